//! A budget: a batch that could exceed it is not sent, what is not sent is told apart, and a run that continues buys
//! nothing twice.

use std::time::Duration;

use batchstep_sandbox::Dialect;
use batchstep_test_support::{bench, rounds};
use serde_json::{Value, json};

use crate::lab::{Lab, Ran};

const MINUTE: Duration = Duration::from_secs(60);
/// Batches of five requests of the twenty.
const FIVES: [&str; 2] = ["--max-requests", "5"];

fn not_sent(ran: &Ran) -> usize {
    ran.results.iter().filter(|line| line.to_string().contains(r#""batchstep_not_sent""#)).count()
}

fn hint(ran: &Ran) -> &str {
    ran.report["hints"][0].as_str().unwrap()
}

/// Chat requests that allow so many output tokens each.
fn capped(count: usize, cap: u64) -> String {
    let line = |number: usize| {
        let messages = json!([{"role": "user", "content": format!("Question {number}?")}]);
        let body = json!({"model": "gpt-4.1-mini", "max_completion_tokens": cap, "messages": messages});
        json!({"custom_id": format!("request-{number}"), "method": "POST", "url": "/v1/chat/completions", "body": body})
    };
    (0..count).map(|number| format!("{}\n", line(number))).collect()
}

#[tokio::test(start_paused = true)]
async fn batches_wait_for_each_other_where_only_their_ceilings_exceed_the_budget() {
    // Five answers of 10,000 tokens cost 4 cents at $0.80 a million. Twenty of a few tokens cost nearly nothing.
    let lab = Lab::new(MINUTE, "").await;
    lab.ask(&capped(20, 10_000));
    let ran = lab.run(&[&FIVES[..], &["--max-cost", "0.05"]].concat()).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 4), "{}", ran.text());
    ran.assert_complete(20);
    let mut created: Vec<u64> = lab.tally().batches.iter().map(|batch| batch.created_at).collect();
    created.dedup();
    assert_eq!(created.len(), 4, "one after the other");
    assert!(
        ran.text().contains("A batch of 5 requests waits for the budget until those under way are over"),
        "{}",
        ran.text()
    );
    let spent = ran.report["cost"]["usd"].as_f64().unwrap();
    assert!(spent > 0.0 && spent < 0.05, "{spent}");

    // With room for two at a time, they go in pairs.
    let lab = Lab::new(MINUTE, "").await;
    lab.ask(&capped(20, 10_000));
    let ran = lab.run(&[&FIVES[..], &["--max-cost", "0.09"]].concat()).await;
    let mut created: Vec<u64> = lab.tally().batches.iter().map(|batch| batch.created_at).collect();
    created.dedup_by(|one, other| one.abs_diff(*other) < 30);
    assert_eq!((ran.exit, created.len()), (0, 2), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_budget_keeps_to_what_may_run_at_the_same_time() {
    let lab = Lab::new(MINUTE, "").await;
    let ran = lab.run(&[&FIVES[..], &["--max-total-requests", "20", "--max-in-flight", "1"]].concat()).await;
    let created: Vec<u64> = lab.tally().batches.iter().map(|batch| batch.created_at).collect();
    assert_eq!((ran.exit, created.len()), (0, 4), "{}", ran.text());
    assert!(created.windows(2).all(|pair| pair[1] >= pair[0] + 30), "{created:?}");
}

#[tokio::test(start_paused = true)]
async fn halves_of_what_is_refused_as_too_large_have_their_share() {
    let lab = Lab::new(MINUTE, "create too-many=5").await;
    let ran = lab.run(&["--max-total-requests", "20"]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 4), "{}", ran.text());
    // The journal says that there are halves: their batches are found before anything is granted.
    let again = lab.run(&["--max-total-requests", "20", "--reuse", "finished"]).await;
    assert_eq!((again.exit, lab.tally().creates), (0, 4), "{}", again.text());

    // Cut the journal as if the run had been killed right after it halved the last batch: the halves do not wait for
    // the batch they came from.
    let lab = Lab::new(MINUTE, "create too-many=5").await;
    assert_eq!(lab.run(&["--max-total-requests", "20"]).await.exit, 0);
    let path = lab.out().join("journal.jsonl");
    let journal = std::fs::read_to_string(&path).unwrap();
    let last = journal.rfind("\"step\":\"halved\"").unwrap();
    let end = last + journal[last..].find('\n').unwrap() + 1;
    std::fs::write(&path, &journal[..end]).unwrap();
    let resumed = lab.run(&["--max-total-requests", "20"]).await;
    assert_eq!((resumed.exit, resumed.count("succeeded")), (0, 20), "{}", resumed.text());
}

/// Collects twice what the journal names, without the requests. Both times it is red, for half of them was never sent.
async fn collect_half(lab: &Lab) {
    let limits = [&FIVES[..], &["--max-total-requests", "12"]].concat();
    let submitted = lab.submit(&limits).await;
    assert_eq!((submitted.exit, submitted.outcome(), lab.tally().creates), (4, "refused", 2), "{}", submitted.text());
    std::fs::remove_file(lab.dir.path().join("requests.jsonl")).unwrap();
    for _ in 0..2 {
        let ran = lab.collect(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), ran.count("succeeded")), (4, "refused", 10), "{}", ran.text());
        let (reason, hint) = (ran.report["reason"].as_str().unwrap(), hint(&ran));
        assert!(reason.contains("never sent") && hint.contains("`reuse: finished`"), "{}", ran.text());
    }
}

/// What a journal names is all well only if it is all of the requests.
#[tokio::test(start_paused = true)]
async fn a_collect_is_not_green_while_requests_were_never_sent() {
    collect_half(&Lab::new(MINUTE, "batch no-metadata").await).await;
    let lab = Lab::new(MINUTE, "").await;
    let requests = std::fs::read_to_string(lab.dir.path().join("requests.jsonl")).unwrap();
    collect_half(&lab).await;
    // Whoever names them wants these.
    let ids: Vec<String> = lab.tally().batches.into_iter().map(|batch| batch.id).collect();
    let named = lab.collect(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((named.exit, named.count("succeeded")), (0, 10), "{}", named.text());
    lab.ask(&requests);
    let rest = lab.run(&[&FIVES[..], &["--reuse", "finished"]].concat()).await;
    assert_eq!((rest.exit, rest.count("succeeded"), lab.tally().creates), (0, 20, 4), "{}", rest.text());
}

/// A server that counts wrongly makes no collect red.
#[tokio::test(start_paused = true)]
async fn a_collect_does_not_need_a_servers_counts() {
    for fault in ["answers uncounted", "answers undercounted"] {
        let lab = Lab::new(MINUTE, fault).await;
        assert_eq!(lab.submit(&FIVES).await.exit, 0);
        std::fs::remove_file(lab.dir.path().join("requests.jsonl")).unwrap();
        let ran = lab.collect(&[]).await;
        assert_eq!((ran.exit, ran.count("succeeded")), (0, 20), "{fault}: {}", ran.text());
    }
}

/// A run of requests that were sent before, and of more, has the batches of both.
#[tokio::test(start_paused = true)]
async fn a_collect_is_green_where_a_file_grew_between_two_submissions() {
    let lab = Lab::new(MINUTE, "").await;
    for (count, creates) in [(10, 2), (15, 3)] {
        lab.ask(&capped(count, 10));
        assert_eq!((lab.submit(&FIVES).await.exit, lab.tally().creates), (0, creates));
    }
    std::fs::remove_file(lab.dir.path().join("requests.jsonl")).unwrap();
    let ran = lab.collect(&[]).await;
    assert_eq!((ran.exit, ran.count("succeeded")), (0, 15), "{}", ran.text());
}

/// Whether a batch was created, or what it did cost, is not always known: then what was reserved for it stays.
#[tokio::test(start_paused = true)]
async fn what_is_not_known_stays_reserved() {
    // Nobody knows whether the first create made a batch.
    let lab = Lab::new(MINUTE, "create drop times=1\nlist 403").await;
    let ran = lab.run(&[&FIVES[..], &["--max-total-requests", "10", "--max-in-flight", "1"]].concat()).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "unknown", 2), "{}", ran.text());
    // Answers that the provider counts are not delivered.
    let late = "answers late=40s\nanswers uncounted";
    for faults in ["rows missing share=20%", "rows missing share=20%\nanswers uncounted", late] {
        let lab = Lab::new(MINUTE, faults).await;
        lab.ask(&capped(20, 10_000));
        let inputs = [&FIVES[..], &["--max-cost", "0.05", "--max-in-flight", "1", "--max-failed", "100%"]].concat();
        let ran = lab.run(&inputs).await;
        assert!((1..4).contains(&lab.tally().creates) && ran.exit == 4, "{faults}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_report_says_how_long_answers_are() {
    let lab = Lab::new(MINUTE, "").await;
    lab.ask(&bench::requests(20, &"word ".repeat(200)));
    let first = lab.run(&[]).await;
    let estimate = |ran: &Ran, name: &str| ran.report["cost"]["estimate"][name].clone();
    assert_eq!(estimate(&first, "likely_output_tokens"), 1_000);
    // As if real answers were in it: those of a sandbox say nothing.
    let mut report = first.report.clone();
    report["simulated"] = json!(false);
    std::fs::write(lab.out().join("report.json"), report.to_string()).unwrap();
    let second = lab.run(&["--reuse", "never"]).await;
    let used = |kind: &str| first.report["tokens"][kind].as_u64().unwrap();
    assert_eq!(estimate(&second, "likely_output_tokens"), used("output").div_ceil(20));
    assert_eq!(estimate(&second, "input_tokens")["likely"], used("input"), "by what the first run used");
    assert!(estimate(&second, "basis").as_str().unwrap().contains("by the last report"), "{}", second.report["cost"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_not_sent_and_the_hint_sends_the_rest() {
    for dialect in [Dialect::Openai, Dialect::Anthropic] {
        let lab = Lab::speaking(dialect, MINUTE, "", 20).await;
        let ran = lab.run(&[&FIVES[..], &["--max-total-requests", "12"]].concat()).await;
        assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 2), "{}", ran.text());
        assert_eq!((not_sent(&ran), ran.count("succeeded"), ran.count("missing")), (10, 10, 10));
        assert_eq!(ran.report["cost"]["budget"]["not_sent"], 10);
        let reason = ran.report["reason"].as_str().unwrap();
        assert_eq!(
            reason,
            "2 of 4 batches were not sent, with 10 requests: they may need up to 10 requests beside 10 requests for the \
             others, and `max-total-requests` is 12."
        );
        assert!(
            hint(&ran).contains(" --only-failed --max-requests 5 --retries 0 --max-total-requests 10 "),
            "{}",
            hint(&ran)
        );

        let rest = [&FIVES[..], &["--only-failed", "--max-total-requests", "10"]].concat();
        let second = lab.run(&rest).await;
        assert_eq!((second.exit, second.count("succeeded"), not_sent(&second)), (0, 20, 0), "{}", second.text());
        second.assert_complete(20);
        assert_eq!((lab.tally().rows_paid, lab.tally().rows_good_again), (20, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_run_with_a_larger_limit_attaches_to_what_there_is() {
    let lab = Lab::new(MINUTE, "").await;
    let within = |most: &'static str| [&FIVES[..], &["--max-total-requests", most]].concat();
    assert_eq!(lab.run(&within("10")).await.exit, 4);
    let same = lab.run(&within("10")).await;
    assert_eq!((same.exit, not_sent(&same), lab.tally().creates), (4, 10, 2), "{}", same.text());
    let larger = lab.run(&within("20")).await;
    assert_eq!((larger.exit, larger.count("succeeded")), (0, 20), "{}", larger.text());
    assert_eq!((lab.tally().creates, lab.tally().rows_paid), (4, 20));
}

#[tokio::test(start_paused = true)]
async fn nothing_at_all_is_sent_where_nothing_fits() {
    let lab = Lab::new(MINUTE, "").await;
    lab.ask(&capped(3, 1_000_000));
    // Three million output tokens at $0.80, and a little input.
    let ran = lab.run(&["--max-cost", "2"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().uploads), (4, "refused", 0), "{}", ran.text());
    assert_eq!(not_sent(&ran), 3);
    assert_eq!(ran.report["reason"], "3 requests were not sent: they may need up to $2.40, and `max-cost` is $2.00.");
    assert!(hint(&ran).contains(" --max-cost 2.41 "), "{}", hint(&ran));
    assert_eq!(lab.run(&["--only-failed", "--max-cost", "2.41"]).await.exit, 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_does_not_fit_is_not_sent() {
    let lab = Lab::new(MINUTE, "rows status=500 share=30% times=1").await;
    let ran = lab.run(&["--retries", "1", "--max-total-requests", "20"]).await;
    assert_eq!((ran.exit, lab.tally().creates, not_sent(&ran)), (7, 1, 0), "{}", ran.text());
    assert!(ran.text().contains("Nothing more was retried. A batch of "), "{}", ran.text());
    let lab = Lab::new(MINUTE, "rows status=500 share=30% times=1").await;
    let ran = lab.run(&["--retries", "1", "--max-total-requests", "40"]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_strict_budget_wants_a_cap_and_any_wants_a_price() {
    let lab = Lab::new(MINUTE, "").await;
    let strict = lab.run(&["--max-cost", "100", "--budget", "strict"]).await;
    assert_eq!((strict.exit, strict.outcome(), lab.tally().uploads), (4, "refused", 0));
    let reason = strict.report["reason"].as_str().unwrap();
    assert_eq!(reason, "`budget: strict` refuses 20 requests without a limit on the answer: nothing was sent.");
    assert_eq!(lab.run(&["--max-cost", "100"]).await.exit, 0, "the likely cost is reserved");

    let lab = Lab::new(MINUTE, "").await;
    lab.ask(&capped(3, 10).replace("gpt-4.1-mini", "my-model"));
    let unpriced = lab.run(&["--max-cost", "100"]).await;
    assert_eq!((unpriced.exit, unpriced.outcome(), lab.tally().uploads), (4, "refused", 0));
    let reason = unpriced.report["reason"].as_str().unwrap();
    assert_eq!(reason, "`max-cost` cannot be kept to. The batch price of `my-model` is not known.");
    assert_eq!(lab.run(&["--max-tokens", "1000"]).await.exit, 0, "tokens need no price");

    let prices = lab.dir.path().join("prices.json");
    let model = json!({"names": ["my-model"], "rates": [{"batch": {"input": 1, "output": 2}}]});
    let vendor = json!({"id": "openai", "models": [model]});
    std::fs::write(&prices, json!({"date": "2027-01-01", "source": "mine", "vendors": [vendor]}).to_string()).unwrap();
    let priced = lab.run(&["--max-cost", "1", "--reuse", "never", "--prices", &prices.display().to_string()]).await;
    assert_eq!(priced.exit, 0, "{}", priced.text());
    let used = |kind: &str| priced.report["tokens"][kind].as_f64().unwrap();
    let expected = (used("input") + 2.0 * used("output")) / 1e6;
    assert!((priced.report["cost"]["usd"].as_f64().unwrap() - expected).abs() < 1e-12, "{}", priced.report["cost"]);
}

#[tokio::test(start_paused = true)]
async fn a_submission_sends_what_fits_and_says_how_to_go_on() {
    let lab = Lab::new(MINUTE, "").await;
    let ran = lab.submit(&[&FIVES[..], &["--max-total-requests", "10"]].concat()).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 2), "{}", ran.text());
    let hints = ran.report["hints"].to_string();
    assert!(hints.contains("batchstep collect ") && hints.contains("--max-total-requests 20"), "{hints}");
    let ran = lab.submit(&[&FIVES[..], &["--max-total-requests", "20"]].concat()).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 4), "{}", ran.text());
}

/// Requests of some models, with and without caps.
fn requests(random: &mut fastrand::Rng) -> String {
    let models = ["gpt-4.1-mini", "gpt-5-mini", "gpt-4o"];
    let line = |number: usize, random: &mut fastrand::Rng| {
        let text = "word ".repeat(random.usize(1..300));
        let mut line: Value =
            serde_json::from_str(&bench::request(Dialect::Openai, &format!("r{number}"), &text)).unwrap();
        line["body"]["model"] = json!(models[random.usize(0..models.len())]);
        if random.u8(0..4) > 0 {
            line["body"]["max_completion_tokens"] = json!(random.u64(1..5_000));
        }
        format!("{line}\n")
    };
    (0..random.usize(1..40)).map(|number| line(number, random)).collect()
}

/// Whatever the requests, the limits and the troubles are: a run spends no more than it may, by requests and by money,
/// and the runs that continue it send everything once.
#[tokio::test(start_paused = true)]
async fn no_run_exceeds_its_budget_and_nothing_is_bought_twice() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..rounds(40) as u64 {
        let mut random = fastrand::Rng::with_seed(90_000 + seed);
        let faults =
            ["", "create drop times=1", "rows status=500 share=30% times=1", "batch expire=30s", "content 503 times=1"];
        let faults = faults[random.usize(0..faults.len())];
        let lab = Lab::new(MINUTE * random.u32(1..30), faults).await;
        let lines = requests(&mut random);
        let total = lines.lines().count() as u64;
        lab.ask(&lines);
        let (most, dollars) = (random.u64(0..=total), random.f64() * 0.05);
        let money = format!("{dollars:.6}");
        let limits = [
            vec!["--max-total-requests".to_owned(), most.to_string()],
            vec!["--max-cost".to_owned(), money.clone()],
            vec!["--max-tokens".to_owned(), (random.u64(0..200_000)).to_string()],
        ];
        let limit = &limits[random.usize(0..3)];
        let shards = random.usize(1..12).to_string();
        let at_once = random.usize(1..6).to_string();
        let plan = ["--max-requests", &shards, "--max-in-flight", &at_once, "--max-failed", "100%"];
        let inputs: Vec<&str> = plan.into_iter().chain(limit.iter().map(String::as_str)).collect();
        let attached = random.bool();
        if attached {
            // What another step submitted before counts, and is not refused.
            lab.submit(&[&plan[..4], &["--max-total-requests", &(total / 3).to_string()]].concat()).await;
        }
        let before = lab.tally();
        let ran = lab.run(&inputs).await;
        let case = format!("seed {seed}: {faults:?}, {inputs:?}, attached {attached}\n{}", ran.text());
        assert!([0, 4, 5].contains(&ran.exit), "{case}");
        let after = lab.tally();
        if !attached {
            let sent = total - not_sent(&ran) as u64;
            assert!(limit[0] != "--max-total-requests" || sent <= most, "{case}");
            let spent = ran.report["cost"]["usd"].as_f64().unwrap_or(0.0);
            assert!(limit[0] != "--max-cost" || spent <= dollars, "{case}");
        } else if ran.exit == 0 {
            assert!(after.creates >= before.creates, "{case}");
        }
        assert_eq!(not_sent(&ran) > 0, ran.exit == 4, "{case}");
        let rest = lab.run(&[&plan[..], &["--only-failed"]].concat()).await;
        assert!([0, 5].contains(&rest.exit), "{case}\n{}", rest.text());
        assert_eq!((not_sent(&rest), lab.tally().rows_good_again), (0, 0), "{case}\n{}", rest.text());
        *ends.entry((ran.exit, limit[0].clone())).or_insert(0) += 1;
    }
    println!("budget: {ends:?}");
}
