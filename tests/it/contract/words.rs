//! Promises about words: what is wrong with lines, what a server's texts may do, and where the key goes.

use batchstep_sandbox::script;
use batchstep_test_support::bench::port;
use batchstep_test_support::wire::forward;

use super::{HOUR, MINUTE, SECOND, Subject, assert_paid_once};
use crate::lab::{Lab, Ran, github};

/// The key of every lab's runs.
const KEY: &str = "sk-lab-0123456789";

async fn checked(subject: Subject, lab: &Lab) -> Ran {
    lab.command(&["check", &lab.requests(), "--provider", subject.dialect.word()], &[]).await
}

/// A bad line is named by its number.
pub(super) async fn lines_are_checked(subject: Subject) {
    let lab = subject.lab(HOUR, "").await;
    let good = checked(subject, &lab).await;
    assert_eq!(good.exit, 0, "{}", good.text());
    let line = |id: &str| subject.line(id, "Say it");
    let bad = ["{\"custom_id\":", &line("a").replace("\"messages\"", "\"massages\""), &line("b").replace("\"b\"", "7")];
    for bad in bad {
        lab.ask(&[&line("a-1"), &line("a-2"), bad.trim_end(), "\n", &line("a-4")].concat());
        let refused = checked(subject, &lab).await;
        assert!(refused.exit == 3 && refused.text().contains("requests.jsonl:3:"), "{bad}: {}", refused.text());
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().calls.len()), (3, 0), "{}", ran.text());
    }
    lab.ask(&[line("same"), line("same")].concat());
    assert_eq!(checked(subject, &lab).await.exit, 3);
}

/// They are not translated either.
pub(super) async fn foreign_lines(subject: Subject) {
    let lab = subject.lab(HOUR, "").await;
    lab.ask(&subject.other().line("a", "Say it"));
    let refused = checked(subject, &lab).await;
    let whose = subject.other().fact("API");
    let lines: Vec<&str> =
        refused.log.iter().map(|(_, line)| line.as_str()).filter(|line| line.contains("requests.jsonl:")).collect();
    assert_eq!((refused.exit, lines.len()), (3, 1), "{}", refused.text());
    assert!(lines[0].contains(&format!("the requests have {whose} form")), "{}", refused.text());
    assert_eq!((lab.run(&[]).await.exit, lab.tally().calls.len()), (3, 0));
}

/// Texts that command a CI system or a terminal, where they are printed as they come.
const HOSTILE: [&str; 3] = ["::error::owned", "\u{1b}[31mred\u{7}", "##[group]owned\u{2028}::set-output name=x::y"];

/// What a refusal, a row or an id says is text.
pub(super) async fn hostile_texts(subject: Subject) {
    for text in HOSTILE {
        for fault in [format!("create 400 message={text}"), format!("get 200 after=1 times=2 message={text}")] {
            let mut lab = subject.lab(MINUTE, &fault).await;
            lab.env = github(7, 1);
            assert_tame(&lab.run(&[]).await, text);
        }
        let mut lab = subject.lab(MINUTE, "rows status=400").await;
        lab.env = github(7, 1);
        lab.ask(&subject.line(text, text));
        assert_tame(&lab.run(&[]).await, text);
    }
}

/// The text has not begun a line, and no control character was printed.
fn assert_tame(ran: &Ran, text: &str) {
    for line in ran.text().lines() {
        assert!(!line.starts_with(text) && !line.starts_with("##["), "{line:?}");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}'), "{line:?}");
    }
}

/// The key goes to the server that it is for, and a server that repeats it finds it removed.
pub(super) async fn the_key(subject: Subject) {
    let lab = subject.lab(SECOND, &format!("create 403 message=The key {KEY} may not do this.")).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.text().contains("The key *** may not")), (4, true), "{}", ran.text());
    assert_kept(&lab, &ran);
    // A redirect leads to a store elsewhere, which is asked without.
    let (store, port) = port().await;
    let redirect = format!("content redirect=http://localhost:{port}/sandbox/files/{{id}}/content");
    let lab = subject.lab(MINUTE, &redirect).await;
    let heard = forward(store, lab.base_url.split([':', '/']).nth(4).unwrap().parse().unwrap());
    let ran = lab.run(&[]).await;
    assert_paid_once(&lab, &ran);
    let heard = heard.text().to_ascii_lowercase();
    assert!(heard.contains("/sandbox/files/"), "{heard}");
    assert!(["authorization", "x-api-key", KEY].iter().all(|word| !heard.contains(word)), "{heard}");
    // So is a place elsewhere that the batch itself names. This one refuses credentials.
    if subject.dialect.refuses(&script("answers elsewhere").unwrap()).is_none() {
        let lab = subject.lab(MINUTE, "answers elsewhere").await;
        let ran = lab.run(&[]).await;
        assert_paid_once(&lab, &ran);
        assert_kept(&lab, &ran);
    }
}

/// Neither the log nor any file holds the key.
fn assert_kept(lab: &Lab, ran: &Ran) {
    assert!(!ran.text().contains(KEY), "{}", ran.text());
    for entry in std::fs::read_dir(lab.out()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(KEY), "{} holds the key", path.display());
    }
}
