//! What stands in `output-dir` may be anybody's: nothing there leads a run out of it, or holds it up.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use crate::lab::Lab;

const PRECIOUS: &str = "precious\n";

/// A lab whose `output-dir` exists, and a file beside it that is not batchstep's.
async fn lab() -> (Lab, std::path::PathBuf) {
    let lab = Lab::new(Duration::ZERO, "").await;
    let victim = lab.dir.path().join("victim");
    std::fs::create_dir_all(lab.out()).unwrap();
    std::fs::write(&victim, PRECIOUS).unwrap();
    (lab, victim)
}

#[tokio::test(start_paused = true)]
async fn a_journal_or_a_lock_that_is_no_file_is_refused_before_anything_is_paid() {
    for name in ["journal.jsonl", ".lock"] {
        for (kind, is) in [
            ("link", "a symbolic link, which is not followed"),
            ("dangling", "a symbolic link, which is not followed"),
            ("fifo", "a pipe, a socket or a device"),
            ("directory", "a directory"),
        ] {
            let (lab, victim) = lab().await;
            let path = lab.out().join(name);
            match kind {
                "link" => symlink(&victim, &path).unwrap(),
                "dangling" => symlink(lab.dir.path().join("nobody"), &path).unwrap(),
                "fifo" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                _ => std::fs::create_dir(&path).unwrap(),
            }
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, lab.tally().uploads), (2, 0), "{name} {kind}: {}", ran.text());
            let told = format!("`{name}` must be a file, but it is {is}");
            assert!(ran.text().contains(&told), "{name} {kind}: {}", ran.text());
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), PRECIOUS);
            assert!(!lab.dir.path().join("nobody").exists());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn links_in_the_place_of_what_is_written_are_replaced_and_not_followed() {
    let (lab, victim) = lab().await;
    let names = ["results.jsonl", "report.json", "results.jsonl.part", "report.json.part", "unexpected.jsonl"];
    for name in names {
        symlink(&victim, lab.out().join(name)).unwrap();
    }
    // Downloads would go into a directory that is not ours.
    let elsewhere = lab.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, lab.out().join(".download")).unwrap();
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), PRECIOUS);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(std::fs::symlink_metadata(lab.out().join("results.jsonl")).unwrap().is_file());
}

#[tokio::test(start_paused = true)]
async fn links_in_the_place_of_downloads_are_replaced_and_not_followed() {
    let (lab, victim) = lab().await;
    std::fs::create_dir(lab.out().join(".download")).unwrap();
    for name in ["output-0.jsonl", "output-0.jsonl.part", "error-0.jsonl", "error-0.jsonl.part", "output-0.jsonl.plain"]
    {
        symlink(&victim, lab.out().join(".download").join(name)).unwrap();
    }
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), PRECIOUS);
}

#[tokio::test(start_paused = true)]
async fn the_directory_itself_may_be_a_link() {
    let (lab, _) = lab().await;
    let elsewhere = lab.dir.path().join("elsewhere");
    std::fs::rename(lab.out(), &elsewhere).unwrap();
    symlink(&elsewhere, lab.out()).unwrap();
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    ran.assert_complete(20);
}
