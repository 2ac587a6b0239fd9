//! Every command that is printed works as printed, and does what its sentence says.
//!
//! Each situation is made anew for each of the commands that it prints; the command is
//! taken from the text, split as a shell splits it, and run with nothing added but the key.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use crate::lab::{Lab, Ran};
use crate::shards::mixed;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a situation leaves: the lab, and the run that prints.
type Left = Pin<Box<dyn Future<Output = (Lab, Ran)>>>;

/// A situation, and the commands that it is to print.
struct Situation {
    name: &'static str,
    make: fn() -> Left,
    /// The first words of its commands, in any order.
    commands: &'static [&'static str],
}

/// The commands in back-ticks in all that a run says.
fn printed(ran: &Ran) -> BTreeSet<String> {
    let report = &ran.report;
    let lists = [&report["hints"], &report["warnings"]];
    let listed = lists.into_iter().filter_map(|list| list.as_array()).flatten();
    let texts = listed.chain([&report["reason"]]).filter_map(|text| text.as_str().map(str::to_owned));
    let quoted = |text: String| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let commands = texts.chain(ran.log.iter().map(|(_, line)| line.clone())).flat_map(quoted);
    commands.filter(|word| word.starts_with("batchstep ")).collect()
}

/// The words of a command as a shell hands them over.
fn words(command: &str, lab: &Lab) -> Vec<String> {
    let id = lab.tally().batches.last().map(|batch| batch.id.clone()).unwrap_or_default();
    let command = command.replace("\"$BATCHSTEP_BASE_URL\"", &lab.base_url).replace("BATCH_ID", &id);
    shlex::split(&command).unwrap().split_off(1)
}

fn status<'l>(batches: &'l [batchstep_sandbox::TallyBatch], id: &str) -> &'l str {
    batches.iter().find(|batch| batch.id == id).map_or("", |batch| &batch.status)
}

/// Runs a command that was printed, and checks that it does what it is for.
async fn follow(name: &str, command: &str, lab: &Lab, printed_by: &Ran) {
    let words = words(command, lab);
    let context = format!("{name}: `{command}` after\n{}", printed_by.text());
    if words[0] != "check" {
        for flag in ["--provider", "--base-url"] {
            assert!(words.iter().any(|word| word == flag), "{flag} is missing: {context}");
        }
    }
    let before = lab.tally();
    let named: Vec<&str> =
        before.batches.iter().map(|batch| &*batch.id).filter(|id| words.iter().any(|word| word == id)).collect();
    let typed: Vec<&str> = words.iter().map(String::as_str).collect();
    if words[0] != "check" {
        drop(std::fs::remove_file(lab.out().join("results.jsonl")));
    }
    let ran = lab.command(&typed, &[]).await;
    let (after, context) = (lab.tally(), format!("{context}\nwhich said\n{}", ran.text()));
    assert_eq!(before.creates, after.creates, "nothing is paid twice: {context}");
    match (typed[0], typed[1]) {
        ("collect", _) => {
            assert!(matches!(ran.exit, 0 | 5 | 7), "{}: {context}", ran.exit);
            let results = std::fs::read_to_string(lab.out().join("results.jsonl")).unwrap_or_default();
            assert_eq!(results.lines().count(), asked(lab, named.len().max(1)), "{context}");
            assert!(!named.is_empty(), "{context}");
            let is_whole = named.iter().all(|id| status(&after.batches, id) == "completed");
            assert_eq!(ran.exit == 0, is_whole, "{context}");
        }
        ("cancel", _) => {
            assert_eq!(ran.exit, 0, "{context}");
            let ended = |id: &&str| ["cancelled", "cancelling"].contains(&status(&after.batches, id));
            assert!(named.iter().all(ended), "{context}");
            assert!(!named.is_empty() || !lab.is_anything_running(), "{context}");
        }
        ("batch", "get") => assert!(ran.exit == 0 && ran.text().contains(named[0]), "{context}"),
        ("batch", "list") => {
            let lists = |id: &str| ran.text().contains(id);
            assert!(ran.exit == 0 && before.batches.iter().all(|batch| lists(&batch.id)), "{context}");
        }
        ("check", _) => {
            assert!(ran.exit == 3 && lab.calls("upload") == 0, "{context}");
            assert_eq!(fault(&ran), fault(printed_by), "{context}");
        }
        other => panic!("{other:?} is new: {context}"),
    }
}

/// How many requests the first so many batches were made of: each has a model of its own.
fn asked(lab: &Lab, batches: usize) -> usize {
    let requests = std::fs::read_to_string(lab.dir.path().join("requests.jsonl")).unwrap();
    let is_sent = |line: &&str| (0..batches).any(|model| line.contains(&format!("\"m{model}\"")));
    requests.lines().filter(is_sent).count()
}

/// The line of the log that names a fault.
fn fault(ran: &Ran) -> Option<String> {
    ran.log.iter().map(|(_, line)| line.clone()).find(|line| line.contains("not JSON"))
}

/// Inputs of a run that is not at the default provider.
async fn run(lab: &Lab, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
    lab.run_signalled(&[inputs, &["--provider", "compatible"]].concat(), signals).await
}

async fn submit(lab: &Lab, inputs: &[&str]) -> Ran {
    lab.submit(&[inputs, &["--provider", "compatible"]].concat()).await
}

async fn collect(lab: &Lab, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
    let ids: Vec<String> = lab.tally().batches.into_iter().map(|batch| batch.id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    lab.collect_signalled(&[&ids, inputs, &["--provider", "compatible"]].concat(), signals).await
}

macro_rules! left {
    ($takes:expr, $faults:expr, $models:expr, $lab:ident => $ran:expr) => {
        || {
            Box::pin(async {
                let $lab = mixed($takes, $faults, $models).await;
                let ran = $ran;
                ($lab, ran)
            })
        }
    };
}

const DETACH: [&str; 4] = ["--timeout", "1h", "--on-timeout", "detach"];

#[rustfmt::skip]
const SITUATIONS: &[Situation] = &[
    Situation {
        name: "cancelled after a signal",
        make: left!(10 * HOUR, "", 1, lab => run(&lab, &[], &[(HOUR, 15)]).await),
        commands: &["collect"],
    },
    Situation {
        name: "one batch that was not seen to end, another that is over",
        make: left!(HOUR, "cancel 503 for=1m", 1, lab => run(&lab, &[], &[(MINUTE, 2)]).await),
        commands: &["cancel"],
    },
    Situation {
        name: "three batches that were not seen to end",
        make: left!(HOUR, "cancel 503 for=1m", 3, lab => run(&lab, &[], &[(MINUTE, 2)]).await),
        commands: &["cancel"],
    },
    Situation {
        name: "a create in doubt",
        make: left!(HOUR, "create drop\nlist 503 after=1 for=1m", 1,
            lab => run(&lab, &[], &[(10 * SECOND, 2), (11 * SECOND, 15)]).await),
        commands: &["cancel --create"],
    },
    Situation {
        name: "detached by a signal",
        make: left!(10 * HOUR, "", 1, lab => run(&lab, &["--on-abort", "detach"], &[(HOUR, 15)]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "several detached by a signal",
        make: left!(10 * HOUR, "", 3, lab => run(&lab, &["--on-abort", "detach"], &[(HOUR, 15)]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "one over and one detached by a signal",
        make: left!(HOUR, "", 2,
            lab => run(&lab, &["--on-abort", "detach", "--max-in-flight", "1"], &[(2 * HOUR, 15)]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "detached by the deadline",
        make: left!(10 * HOUR, "", 1, lab => run(&lab, &DETACH, &[]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "several detached by the deadline",
        make: left!(10 * HOUR, "", 3, lab => run(&lab, &DETACH, &[]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "some detached by the deadline and some not created",
        make: left!(10 * HOUR, "", 3,
            lab => run(&lab, &[&DETACH[..], &["--max-in-flight", "1"]].concat(), &[]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "detached without reuse",
        make: left!(10 * HOUR, "", 1, lab => run(&lab, &[&DETACH[..], &["--reuse", "never"]].concat(), &[]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "another run's batch at the deadline",
        make: left!(10 * HOUR, "", 1, lab => {
            submit(&lab.neighbour(), &[]).await;
            run(&lab, &["--timeout", "1h"], &[]).await
        }),
        commands: &["collect"],
    },
    Situation {
        name: "another run's batch after a signal",
        make: left!(10 * HOUR, "", 1, lab => {
            submit(&lab.neighbour(), &[]).await;
            run(&lab, &[], &[(HOUR, 15)]).await
        }),
        commands: &["collect"],
    },
    Situation {
        name: "another run's batch that cannot be read for a while",
        make: left!(10 * HOUR, "get 403 after=3 for=10m", 1, lab => {
            submit(&lab.neighbour(), &[]).await;
            let ran = run(&lab, &[], &[]).await;
            tokio::time::sleep(10 * MINUTE).await;
            ran
        }),
        commands: &["collect"],
    },
    Situation {
        name: "submitted",
        make: left!(HOUR, "", 1, lab => submit(&lab, &[]).await),
        commands: &["collect"],
    },
    Situation {
        name: "several submitted",
        make: left!(HOUR, "", 3, lab => submit(&lab, &[]).await),
        commands: &["collect"],
    },
    Situation {
        name: "some submitted and one refused",
        make: left!(HOUR, "create 400 after=2", 3, lab => submit(&lab, &["--max-in-flight", "1"]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "a submission whose time was up",
        make: left!(HOUR, "upload 503 after=1", 3,
            lab => submit(&lab, &["--max-in-flight", "1", "--timeout", "5m"]).await),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "a batch that cannot be read for a while",
        make: left!(10 * HOUR, "get 401 after=3 for=10m", 1, lab => {
            let ran = run(&lab, &[], &[]).await;
            tokio::time::sleep(10 * MINUTE).await;
            ran
        }),
        commands: &["batch get", "cancel"],
    },
    Situation {
        name: "a batch that is not seen to end after the deadline",
        make: left!(10 * HOUR, "cancel 503 for=12m", 1, lab => {
            let ran = run(&lab, &["--timeout", "1h"], &[]).await;
            tokio::time::sleep(MINUTE).await;
            ran
        }),
        commands: &["batch get", "cancel"],
    },
    Situation {
        name: "several batches that are not seen to end after the deadline",
        make: left!(10 * HOUR, "cancel 503 for=12m", 2, lab => {
            let ran = run(&lab, &["--timeout", "1h"], &[]).await;
            tokio::time::sleep(MINUTE).await;
            ran
        }),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "pending",
        make: left!(HOUR, "", 1, lab => {
            submit(&lab, &[]).await;
            collect(&lab, &["--timeout", "0"], &[]).await
        }),
        commands: &["collect"],
    },
    Situation {
        name: "several of which one is pending",
        make: left!(HOUR, "batch stuck=in_progress after=2", 2, lab => {
            let ran = submit(&lab, &["--max-in-flight", "1"]).await;
            assert_eq!(ran.exit, 0, "{}", ran.text());
            collect(&lab, &["--timeout", "10m"], &[]).await
        }),
        commands: &["collect"],
    },
    Situation {
        name: "a collection that a signal ends",
        make: left!(HOUR, "", 2, lab => {
            submit(&lab, &[]).await;
            collect(&lab, &[], &[(MINUTE, 15)]).await
        }),
        commands: &["cancel", "collect"],
    },
    Situation {
        name: "answers that could not be fetched",
        make: left!(HOUR, "content 503 for=1h", 1, lab => {
            let ran = run(&lab, &[], &[]).await;
            tokio::time::sleep(HOUR).await;
            ran
        }),
        commands: &["collect"],
    },
    Situation {
        name: "answers of one of two that could not be fetched",
        make: left!(HOUR, "content 503 after=1 for=1h", 2, lab => {
            let ran = run(&lab, &[], &[]).await;
            tokio::time::sleep(HOUR).await;
            ran
        }),
        commands: &["collect"],
    },
    Situation {
        name: "answers that may come",
        make: left!(HOUR, "answers absent=10m", 2, lab => {
            submit(&lab, &[]).await;
            tokio::time::sleep(HOUR).await;
            let ran = collect(&lab, &["--timeout", "0"], &[]).await;
            tokio::time::sleep(10 * MINUTE).await;
            ran
        }),
        commands: &["collect"],
    },
    Situation {
        name: "a create whose fate is not known",
        make: left!(HOUR, "create drop\nlist 403", 1, lab => run(&lab, &[], &[]).await),
        commands: &["collect"],
    },
    Situation {
        name: "an earlier create whose fate is not known",
        make: left!(HOUR, "create stall times=1\nlist 403", 1, lab => {
            let killed = tokio::time::timeout(3 * SECOND, run(&lab, &[], &[])).await;
            assert!(killed.is_err());
            run(&lab, &[], &[]).await
        }),
        commands: &["collect"],
    },
    Situation {
        name: "a cancel that a signal ends",
        make: left!(10 * HOUR, "cancel 503 for=1m", 2, lab => {
            submit(&lab, &[]).await;
            let ids: Vec<String> = lab.tally().batches.into_iter().map(|batch| batch.id).collect();
            let words = ["cancel", &ids[0], &ids[1], "--provider", "compatible"];
            lab.command(&words, &[(SECOND, 2)]).await
        }),
        commands: &["cancel"],
    },
    Situation {
        name: "a single create whose reply is lost",
        make: left!(HOUR, "create drop times=1", 1, lab => {
            let file = lab.dir.path().join("requests.jsonl").display().to_string();
            let uploaded = lab.command(&["file", "upload", &file], &[]).await.text();
            let id = uploaded.split('"').find(|word| word.starts_with("file-")).unwrap().to_owned();
            let words = ["batch", "create", &id, "--endpoint", "/v1/chat/completions", "--provider", "compatible"];
            lab.command(&words, &[]).await
        }),
        commands: &["batch list"],
    },
    Situation {
        name: "requests with a fault",
        make: left!(HOUR, "", 1, lab => {
            std::fs::write(lab.dir.path().join("requests.jsonl"), "nothing\n").unwrap();
            run(&lab, &["--max-requests", "7"], &[]).await
        }),
        commands: &["check"],
    },
];

#[tokio::test(start_paused = true)]
async fn every_command_that_is_printed_does_what_it_is_for() {
    for situation in SITUATIONS {
        let Situation { name, make, commands } = situation;
        let (lab, ran) = make().await;
        let found = printed(&ran);
        let said = |command: &&&str| found.iter().any(|found| found.starts_with(&format!("batchstep {command} ")));
        let (expected, is_all) = (commands.iter().filter(said).count(), found.len() == commands.len());
        assert!(expected == commands.len() && is_all, "{name}: {found:?} in\n{}", ran.text());
        drop(lab);
        for at in 0..found.len() {
            let (lab, ran) = make().await;
            follow(name, printed(&ran).iter().nth(at).unwrap(), &lab, &ran).await;
        }
    }
}
