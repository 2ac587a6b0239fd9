//! Which CI system runs this process, by the values of its variables. Where several say so, the first counts: one system
//! sets the variables of another that it speaks like.

use crate::env::Env;
use crate::values::Ci;

/// The system that the environment shows; the terminal where it shows none.
pub(super) fn shown(env: &Env) -> Ci {
    let is_set = |name| env.get(name).is_some();
    let table = [
        (Ci::Forgejo, env.is_true("FORGEJO_ACTIONS")),
        (Ci::Gitea, env.is_true("GITEA_ACTIONS")),
        (Ci::GitHub, is_action(env)),
        (Ci::GitLab, is_gitlab(env)),
        (Ci::Azure, env.get("TF_BUILD").is_some_and(|value| value.eq_ignore_ascii_case("true"))),
        (Ci::Buildkite, env.is_true("BUILDKITE")),
        (Ci::Circle, env.is_true("CIRCLECI")),
        (Ci::TeamCity, is_set("TEAMCITY_VERSION")),
        (Ci::Bitbucket, is_set("BITBUCKET_BUILD_NUMBER") && is_set("BITBUCKET_COMMIT")),
        (Ci::Woodpecker, env.get("CI") == Some("woodpecker")),
        (Ci::Drone, env.is_true("DRONE")),
        (Ci::Jenkins, is_set("JENKINS_URL") && is_set("BUILD_ID")),
    ];
    table.into_iter().find(|(_, is_shown)| *is_shown).map_or(Ci::Terminal, |(ci, _)| ci)
}

/// Whether steps get their inputs as `INPUT_*`: on GitHub, and on Forgejo and Gitea, which set its variables too.
pub(crate) fn is_action(env: &Env) -> bool {
    env.is_true("GITHUB_ACTIONS")
}

/// Whether this is a job of GitLab's. Tools that run its pipelines on one's own machine set the variable to `false`.
pub(crate) fn is_gitlab(env: &Env) -> bool {
    env.is_true("GITLAB_CI")
}

/// Whether steps may be plugins, which get their settings as `PLUGIN_*`.
pub(crate) fn is_plugin(env: &Env) -> bool {
    env.get("CI") == Some("woodpecker") || env.is_true("DRONE")
}

#[cfg(test)]
mod tests {
    use super::{Ci, shown};
    use crate::env::Env;

    #[test]
    fn values_and_not_names_show_a_system() {
        let github = ("GITHUB_ACTIONS", "true");
        for (pairs, ci) in [
            (&[][..], Ci::Terminal),
            (&[github], Ci::GitHub),
            (&[github, ("FORGEJO_ACTIONS", "true"), ("GITEA_ACTIONS", "true")], Ci::Forgejo),
            (&[github, ("GITEA_ACTIONS", "true")], Ci::Gitea),
            (&[("GITHUB_ACTIONS", "1")], Ci::Terminal),
            (&[("GITLAB_CI", "true")], Ci::GitLab),
            (&[("GITLAB_CI", "false")], Ci::Terminal),
            (&[("TF_BUILD", "True")], Ci::Azure),
            (&[("BUILDKITE", "true")], Ci::Buildkite),
            (&[("BUILDKITE", "false")], Ci::Terminal),
            (&[("CIRCLECI", "true")], Ci::Circle),
            (&[("TEAMCITY_VERSION", "2026.1")], Ci::TeamCity),
            (&[("BITBUCKET_BUILD_NUMBER", "1"), ("BITBUCKET_COMMIT", "a")], Ci::Bitbucket),
            (&[("BITBUCKET_COMMIT", "a")], Ci::Terminal),
            (&[("CI", "woodpecker"), ("DRONE", "true")], Ci::Woodpecker),
            (&[("DRONE", "true"), ("CI", "true")], Ci::Drone),
            (&[("JENKINS_URL", "http://ci"), ("BUILD_ID", "1")], Ci::Jenkins),
            (&[("JENKINS_URL", "http://ci"), ("BUILD_ID", "")], Ci::Terminal),
            (&[("CI", "true")], Ci::Terminal),
        ] {
            assert_eq!(shown(&pairs.iter().copied().collect::<Env>()), ci, "{pairs:?}");
        }
    }
}
