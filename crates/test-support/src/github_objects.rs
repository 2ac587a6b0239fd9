//! What GitHub answers with, as whole as its published schemas ask.

use serde_json::{Value, json};

const DATE: &str = "2026-11-23T01:02:03Z";

pub(crate) fn user(id: u64, kind: &str) -> Value {
    let login = if kind == "Bot" { "github-actions[bot]".to_owned() } else { format!("user-{id}") };
    let mut user = json!({
        "login": login, "id": id, "node_id": "U", "gravatar_id": "", "type": kind, "site_admin": false,
        "public_repos": 1, "public_gists": 1, "followers": 1, "following": 1, "name": null, "company": null, "blog": "",
        "location": null, "email": null, "hireable": null, "bio": null, "created_at": DATE, "updated_at": DATE,
    });
    let urls = ["avatar", "events", "followers", "following", "gists", "html", "organizations", "received_events"];
    for name in urls.into_iter().chain(["repos", "starred", "subscriptions"]).map(|name| format!("{name}_url")) {
        user[name] = json!("https://api.github.com/x");
    }
    user["url"] = json!("https://api.github.com/x");
    user
}

pub(crate) fn comment(id: u64, issue: &str, body: &str, author: &Value) -> Value {
    let url = "https://api.github.com/x";
    json!({
        "id": id, "node_id": "IC", "url": url, "html_url": url, "issue_url": format!("https://api.github.com/{issue}"), "user": author, "body": body,
        "created_at": DATE, "updated_at": DATE, "author_association": "NONE",
    })
}

pub(crate) fn check(id: u64) -> Value {
    let url = "https://api.github.com/x";
    json!({
        "id": id, "node_id": "CR", "url": url, "html_url": url, "details_url": url, "external_id": "",
        "status": "queued", "conclusion": null, "started_at": DATE, "completed_at": null, "check_suite": { "id": 1 },
        "app": null, "pull_requests": [],
        "output": { "title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url": url },
    })
}

pub(crate) fn pull(number: u64, sha: &str) -> Value {
    let url = "https://api.github.com/x";
    let side =
        |sha: &str| json!({ "label": "octo:x", "ref": "x", "sha": sha, "user": user(1, "User"), "repo": repository() });
    let link = json!({ "href": url });
    let mut links = json!({});
    for name in ["comments", "commits", "statuses", "html", "issue", "review_comments", "review_comment", "self"] {
        links[name] = link.clone();
    }
    let mut pull = json!({
        "_links": links, "assignee": null, "labels": [], "base": side(&"c".repeat(40)), "body": null,
        "closed_at": null, "created_at": DATE, "head": side(sha), "id": number, "node_id": "PR",
        "merge_commit_sha": null, "merged_at": null, "milestone": null, "number": number, "state": "open",
        "locked": false, "title": "A change", "updated_at": DATE, "url": url, "user": user(1, "User"),
        "author_association": "MEMBER", "auto_merge": null,
    });
    let urls =
        ["comments", "commits", "diff", "html", "issue", "patch", "review_comment", "review_comments", "statuses"];
    for name in urls {
        pull[format!("{name}_url")] = json!(url);
    }
    pull
}

fn repository() -> Value {
    let url = "https://api.github.com/x";
    let mut repository = json!({
        "id": 1, "node_id": "R", "name": "repo", "full_name": "octo/repo", "owner": user(1, "User"), "private": false,
        "fork": false, "description": null, "default_branch": "main", "forks": 0, "forks_count": 0, "homepage": null,
        "has_downloads": true, "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false,
        "language": null, "archived": false, "disabled": false, "mirror_url": null, "open_issues": 0,
        "open_issues_count": 0, "license": null, "pushed_at": DATE, "size": 1, "stargazers_count": 0, "watchers": 0,
        "watchers_count": 0, "created_at": DATE, "updated_at": DATE, "url": url,
    });
    let urls = "archive assignees blobs branches clone collaborators comments commits compare contents contributors \
                deployments downloads events forks git git_commits git_refs git_tags hooks html issue_comment \
                issue_events issues keys labels languages merges milestones notifications pulls releases ssh \
                stargazers statuses subscribers subscription svn tags teams trees";
    for name in urls.split_whitespace() {
        repository[format!("{name}_url")] = json!(url);
    }
    repository
}
