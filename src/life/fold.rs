//! Where earlier runs left a submission: the fold over the records of their journal.

use super::{Held, State};
use crate::journal::{Line, Record};

/// Where earlier runs left the work `key` at the server `origin`. A closing record closes what its run
/// worked on; a run that got nowhere closes nothing.
pub(crate) fn left(earlier: &[Line], origin: &str, key: &str) -> State {
    let mut state = State::New;
    let (mut is_there, mut is_worked_on) = (false, false);
    for Line { at, record } in earlier {
        match record {
            Record::Run { origin: at, .. } => (is_there, is_worked_on) = (at == origin, false),
            _ if !is_there => {}
            Record::Closed { .. } if !is_worked_on => {}
            record if record.key().is_some_and(|of| of != key) => {}
            record => {
                is_worked_on |= record.key().is_some();
                state = state.apply(*at, record);
            }
        }
    }
    state.left_behind()
}

/// The batches that earlier runs left, each with the key of its work: what `collect` takes where none is named.
pub(crate) fn open_batches(earlier: &[Line], origin: &str) -> Vec<(String, Held)> {
    let mut keys: Vec<&str> = Vec::new();
    for Line { record, .. } in earlier {
        if let Record::Created { key, .. } | Record::Attached { key, .. } = record
            && !keys.contains(&key.as_str())
        {
            keys.push(key);
        }
    }
    let mut open: Vec<(String, Held)> = Vec::new();
    for key in keys {
        // `collect` writes one without marks down by no key.
        if let Some(held) = left(earlier, origin, key).chosen()
            && open.iter().all(|(_, other)| other.id != held.id)
        {
            open.push((key.to_owned(), held.clone()));
        }
    }
    open
}

/// What a run was to send, and which batches it had.
#[derive(Debug)]
pub(crate) struct Work<'j> {
    /// The key of it all.
    pub key: &'j str,
    /// Its requests.
    pub total: u64,
    /// The keys of its batches.
    pub keys: Vec<&'j str>,
}

/// The works that earlier runs left open, of those that had a batch. What no batch came of is nobody's to collect.
pub(crate) fn open_works<'j>(earlier: &'j [Line], origin: &str) -> Vec<Work<'j>> {
    let mut works: Vec<Work<'j>> = Vec::new();
    let (mut run, mut is_worked_on) = (None, false);
    for Line { record, .. } in earlier {
        match (record, run) {
            (Record::Run { origin: at, key, total, .. }, _) => {
                (run, is_worked_on) = ((at == origin).then_some((key.as_str(), *total)), false);
            }
            (Record::Closed { .. }, Some((closed, _))) if is_worked_on => works.retain(|work| work.key != closed),
            (Record::Created { key: batch, .. } | Record::Attached { key: batch, .. }, Some((key, total))) => {
                is_worked_on = true;
                match works.iter_mut().find(|work| work.key == key) {
                    Some(work) => {
                        work.total = work.total.max(total);
                        work.keys.push(batch);
                    }
                    None => works.push(Work { key, total, keys: vec![batch] }),
                }
            }
            _ => is_worked_on |= record.key().is_some(),
        }
    }
    // A `collect` of batches without a common mark.
    works.retain(|work| !work.key.is_empty());
    works
}

/// The creates that earlier runs sent and never learned the fate of, by their marks.
pub(crate) fn in_doubt(earlier: &[Line], origin: &str) -> Vec<String> {
    let mut keys: Vec<&str> = earlier.iter().filter_map(|line| line.record.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    let doubt = |key: &str| match left(earlier, origin, key) {
        State::InDoubt(create) => Some(create.mark),
        _ => None,
    };
    keys.into_iter().filter_map(doubt).collect()
}

/// Every batch that a journal names.
pub(crate) fn batch_ids(earlier: &[Line]) -> Vec<String> {
    let of = |line: &Line| match &line.record {
        Record::Created { batch_id, .. } | Record::Attached { batch_id, .. } => Some(batch_id.clone()),
        _ => None,
    };
    earlier.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Creation, Upload};
    use super::{Held, Line, Record, State, left, open_batches, open_works};
    use crate::attachment::Owner;

    fn uploaded(key: &str, file: &str) -> Record {
        Record::Uploaded { key: key.into(), file_id: file.into() }
    }

    fn create(key: &str, mark: &str) -> Record {
        Record::Create { key: key.into(), create: mark.into(), file_id: Some("f".into()) }
    }

    fn created(key: &str, batch: &str) -> Record {
        Record::Created { key: key.into(), create: "c".into(), batch_id: batch.into() }
    }

    fn attached(key: &str, batch: &str, instead_of: Option<&str>) -> Record {
        let (owner, instead_of) = (Owner::AnotherRun, instead_of.map(str::to_owned));
        Record::Attached { key: key.into(), batch_id: batch.into(), owner, instead_of }
    }

    fn run() -> Record {
        Record::Run { version: "1".into(), origin: "o".into(), key: "k".into(), total: 1 }
    }

    fn closed() -> Record {
        Record::Closed { outcome: "succeeded".into() }
    }

    fn lines(records: &[Record]) -> Vec<Line> {
        records.iter().map(|record| Line { at: 7, record: record.clone() }).collect()
    }

    fn of(records: &[Record]) -> State {
        left(&lines(records), "o", "k")
    }

    fn named(held: &Held) -> (&str, Owner, Option<&str>) {
        (&held.id, held.owner(), held.made_by())
    }

    fn batch(records: &[Record]) -> Option<(String, Owner)> {
        of(records).chosen().map(|held| (held.id.clone(), held.owner()))
    }

    fn own(id: &str) -> Option<(String, Owner)> {
        Some((id.to_owned(), Owner::ThisRun))
    }

    #[test]
    fn a_run_without_a_closing_record_leaves_what_it_came_to() {
        assert!(matches!(of(&[run()]), State::New));
        assert!(matches!(of(&[run(), uploaded("k", "f")]), State::Uploaded(upload) if upload == Upload::claimed("f")));
        let creation = Creation { upload: Some(Upload::claimed("f")), mark: "c".into(), first: 7, last: 7 };
        let cut_off = of(&[run(), uploaded("k", "f"), create("k", "c")]);
        assert!(matches!(cut_off, State::InDoubt(create) if create == creation), "it may have been sent");
        assert_eq!(batch(&[run(), create("k", "c"), created("k", "b")]), own("b"));
        assert_eq!(batch(&[run(), created("k", "b"), closed()]), None);
        let dropped = |key: &str| Record::Dropped { key: key.into() };
        assert_eq!(batch(&[run(), created("k", "b"), dropped("k")]), None);
        assert_eq!(batch(&[run(), created("k", "b"), dropped("other")]), own("b"));
        let records = lines(&[run(), created("k", "b")]);
        assert!(matches!(left(&records, "elsewhere", "k"), State::New));
        assert!(matches!(left(&records, "o", "other"), State::New));
    }

    #[test]
    fn a_create_that_is_sent_again_is_as_old_as_its_last_sending() {
        let at = |at, mark| Line { at, record: create("k", mark) };
        let begun = Line { at: 1, record: run() };
        let intent = |lines: &[Line]| match left(lines, "o", "k") {
            State::InDoubt(create) => (create.mark, create.first, create.last),
            state => panic!("{state:?}"),
        };
        assert_eq!(intent(&[begun.clone(), at(7, "c"), at(99, "c")]), ("c".into(), 7, 99));
        assert_eq!(intent(&[begun, at(7, "c"), at(99, "d")]), ("d".into(), 99, 99));
    }

    #[test]
    fn a_later_run_closes_what_it_worked_on_and_nothing_else() {
        let left_by_first = [run(), created("k", "b")];
        let after = |records: &[Record]| batch(&[&left_by_first, records].concat());
        // The second run was refused before it could look.
        assert_eq!(after(&[run(), closed()]), own("b"));
        let other = Some(("other".to_owned(), Owner::AnotherRun));
        assert_eq!(after(&[run(), attached("k", "other", None)]), other);
        assert_eq!(after(&[run(), attached("k", "b", None)]), own("b"), "it was created here");
        assert_eq!(after(&[run(), attached("k", "b", None), closed()]), None);
        // A run of other work in the same directory.
        let other = [run(), created("other", "x"), closed()];
        assert_eq!(after(&other), own("b"));
        let open = |records: &[Record]| {
            let open = open_batches(&lines(records), "o");
            open.iter().map(|(key, held)| format!("{key} {:?}", named(held))).collect::<Vec<_>>()
        };
        let expected = [r#"k ("b", ThisRun, Some("c"))"#];
        assert_eq!(open(&[&left_by_first[..], &other].concat()), expected);
        let collected = [&left_by_first[..], &[run(), attached("", "b", None)]].concat();
        assert_eq!(open(&collected), expected, "once, by whatever key");
    }

    #[test]
    fn a_work_is_open_with_all_its_requests_until_its_run_is_closed() {
        let of = |work: &str, total| Record::Run { version: "1".into(), origin: "o".into(), key: work.into(), total };
        let works = |records: &[Record]| {
            let lines = lines(records);
            let shown = open_works(&lines, "o").into_iter().map(|work| format!("{} of {:?}", work.total, work.keys));
            shown.collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        let first = [of("W", 4), created("k", "b")];
        assert_eq!(works(&first), [r#"4 of ["k"]"#]);
        // The file grew: the new run has the batch as well.
        let grown = [&first[..], &[of("V", 6), attached("k", "b", None), created("l", "c")]].concat();
        assert_eq!(works(&grown), [r#"4 of ["k"]"#, r#"6 of ["k", "l"]"#]);
        // A look at what was sent has fewer requests, and leaves open what was not.
        let looked = [&first[..], &[of("W", 2), attached("k", "b", None)]].concat();
        assert_eq!(works(&looked), [r#"4 of ["k", "k"]"#]);
        assert_eq!(works(&[&looked[..], &[closed()]].concat()), none);
        assert_eq!(works(&[&first[..], &[of("W", 4), closed()]].concat()).len(), 1, "that run got nowhere");
        assert_eq!(works(&[of("W", 4), uploaded("k", "f")]), none);
        assert_eq!(works(&[of("", 4), created("", "b")]), none);
        assert!(open_works(&lines(&first), "elsewhere").is_empty());
    }

    #[test]
    fn a_batch_that_yields_keeps_the_mark_of_its_create() {
        let records = [run(), create("k", "c"), created("k", "b"), attached("k", "older", Some("b"))];
        let State::Yielding { own, older } = of(&records) else { panic!("{:?}", of(&records)) };
        assert_eq!(named(&own), ("b", Owner::ThisRun, Some("c")));
        assert_eq!(named(&older), ("older", Owner::AnotherRun, None));
        assert_eq!(of(&records).last_create(), Some("c"));
        // The next run has settled it.
        let settled = of(&[&records[..], &[run(), attached("k", "older", None)]].concat());
        assert!(matches!(&settled, State::Held(held) if held.id == "older"), "{settled:?}");
        // A journal that names only the two.
        let State::Yielding { own, .. } = of(&[run(), attached("k", "older", Some("b"))]) else { panic!() };
        assert_eq!(named(&own), ("b", Owner::ThisRun, None));
    }

    #[test]
    fn halved_work_stays_halved_until_its_run_is_closed() {
        let halved = |key: &str| Record::Halved { key: key.into() };
        let is_halved = |records: &[Record]| matches!(of(records), State::Halved);
        let sent = [run(), created("k", "b"), halved("k"), created("half", "h")];
        assert!(is_halved(&sent) && is_halved(&[&sent[..], &[run(), closed()]].concat()));
        assert!(!is_halved(&[]) && !is_halved(&[run(), halved("other")]));
        assert!(!is_halved(&[&sent[..], &[closed()]].concat()));
        let open: Vec<String> = open_batches(&lines(&sent), "o").into_iter().map(|(_, held)| held.id).collect();
        assert_eq!((batch(&sent), open), (None, vec!["h".to_owned()]));
    }

    #[test]
    fn any_records_fold() {
        let records = [
            run(),
            uploaded("k", "f"),
            create("k", "c"),
            created("k", "b"),
            attached("k", "b", None),
            attached("k", "o", Some("b")),
            Record::Halved { key: "k".into() },
            Record::Dropped { key: "k".into() },
            closed(),
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let some: Vec<Record> = (0..12).map(|_| random.choice(&records).unwrap().clone()).collect();
            let state = of(&some);
            // Nothing is only intended once its process is gone, and a batch is never held beside a create in doubt.
            assert!(!matches!(state, State::Intended(_)), "{some:?}");
            assert!(state.creation().is_none() || state.held().is_none(), "{some:?}");
        }
    }
}
