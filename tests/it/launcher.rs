//! A launcher that is killed outright, while the binary lives on.

use std::time::Duration;

use crate::lab::Lab;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_run_whose_launcher_is_gone_ends_as_on_sigterm() {
    let mut lab = Lab::new(10 * HOUR, "").await;
    lab.launcher_dies = Some(HOUR);
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (143, "cancelled", 1), "{}", ran.text());
    assert!(ran.took <= HOUR + 2 * SECOND && !lab.is_anything_running(), "{:?}", ran.took);
    assert!(ran.text().contains("launcher is gone"), "{}", ran.text());
    // It leaves its batch where a signal would.
    let mut lab = Lab::new(10 * HOUR, "").await;
    lab.launcher_dies = Some(HOUR);
    let ran = lab.run(&["--on-abort", "detach"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (143, "detached", 0), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_once_the_launcher_is_gone() {
    // It is gone between two looks, shortly before the create: `post` has come and gone by then.
    let mut lab = Lab::new(10 * HOUR, "upload 503 times=1").await;
    lab.launcher_dies = Some(Duration::from_millis(1));
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{}", ran.text());
    assert_eq!((lab.calls("upload"), lab.calls("create")), (2, 0), "{}", ran.text());
    assert!(ran.took < SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_launcher_that_lives_changes_nothing() {
    let mut lab = Lab::new(HOUR, "").await;
    lab.launcher_dies = Some(10 * HOUR);
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
}
