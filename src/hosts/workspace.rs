//! Paths as CI systems show them: relative to the workspace, whose own path differs between runners.

use std::path::is_separator;

/// A path without the workspace's path before it, and without `./`.
pub(super) fn in_workspace<'a>(path: &'a str, workspace: Option<&str>) -> &'a str {
    let inside =
        workspace.and_then(|root| path.strip_prefix(root.trim_end_matches(is_separator))?.strip_prefix(is_separator));
    let path = inside.unwrap_or(path);
    path.strip_prefix("./").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::in_workspace;

    #[test]
    fn only_the_workspaces_own_path_is_removed() {
        for (path, short) in [
            ("/home/ci/repo/data/a.jsonl", "data/a.jsonl"),
            ("/home/ci/repository/a.jsonl", "/home/ci/repository/a.jsonl"),
            ("./a.jsonl", "a.jsonl"),
            ("-", "-"),
        ] {
            assert_eq!(in_workspace(path, Some("/home/ci/repo/")), short);
        }
        assert_eq!(in_workspace("/home/ci/repo/a", None), "/home/ci/repo/a");
    }
}
