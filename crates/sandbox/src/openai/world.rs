//! The sandbox's world: files, batches and the weather over them.
//!
//! Each operation is a function of the world, the request and the time; there
//! is no IO and no clock in here. Time passes only in that the next operation
//! names a later one. HTTP is routes.rs's matter.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::batch::{Batch, Settled};
use super::create::Create;
use super::files::{File, Files};
use super::page::Cut;
use super::upload::Upload;
use super::validate::{Checked, Manners, broken_input, no_input, scripted, too_many, validate};
use crate::api::Query;
use crate::engine::Engine;
use crate::faults::{BatchFault, Fault};
use crate::life::Cancelled;
use crate::refusal::Refusal;
use crate::tally::Tally;

/// Everything that a sandbox knows that speaks OpenAI's dialect.
pub(crate) struct World {
    pub(super) engine: Engine,
    files: Files,
    /// Oldest first.
    batches: Vec<Batch>,
    uploads: u64,
}

impl World {
    pub(crate) fn new(takes: Duration, faults: Vec<Fault>) -> Self {
        Self { engine: Engine::new(takes, faults), files: Files::default(), batches: Vec::new(), uploads: 0 }
    }

    pub(super) fn upload(&mut self, upload: Upload, now: Duration) -> Result<Value, Refusal> {
        let file = upload.file(self.engine.ids.file(), self.engine.weather.file(now), now)?;
        self.uploads += 1;
        let object = file.object(now);
        self.files.add(file);
        Ok(object)
    }

    pub(super) fn list_files(&mut self, query: Query<'_>, now: Duration) -> Result<Value, Refusal> {
        self.settle(now);
        self.files.list(query, now)
    }

    pub(super) fn file(&mut self, id: &str, now: Duration) -> Result<Value, Refusal> {
        self.settle(now);
        Ok(self.files.find(id, now)?.object(now))
    }

    pub(super) fn content(&mut self, id: &str, now: Duration) -> Result<Bytes, Refusal> {
        self.settle(now);
        let content = self.files.find(id, now)?.content()?;
        let of = self.batches.iter().find(|batch| batch.has_file(id));
        let delivered = of.map_or(Some(content.clone()), |batch| batch.life.deliver(&content, now));
        delivered.ok_or_else(|| Refusal::scripted(404, None))
    }

    pub(super) fn delete_file(&mut self, id: &str, now: Duration) -> Result<Value, Refusal> {
        self.settle(now);
        self.files.delete(id, now)
    }

    /// Creates a batch, of at most so many requests.
    pub(super) fn create(&mut self, body: &[u8], now: Duration, most: Option<u64>) -> Result<Value, Refusal> {
        let create = Create::read(body)?;
        let faults = self.engine.weather.batch(now);
        let manners = if faults.contains(&BatchFault::Lenient) { Manners::Lenient } else { Manners::Strict };
        let (content, mut checked) = self.check(&create, manners, now);
        if let Some(most) = most.filter(|most| checked.rows.len() as u64 > *most) {
            let message = format!("Too many requests in the input file: at most {most} are allowed.");
            return Err(Refusal::field("input_file_id", "too_many_tasks", message));
        }
        for fault in &faults {
            let error = match fault {
                BatchFault::Fail(code) => scripted(code, checked.model.as_deref()),
                BatchFault::TooMany(most) if checked.rows.len() as u64 > *most => {
                    too_many(format!("The batch input file has more than {most} requests."))
                }
                _ => continue,
            };
            checked.errors = vec![error];
            checked.rows.clear();
        }
        let mut life = self.engine.begin("batch_", (content, checked.rows), |id| id, faults, now);
        life.course.fails = !checked.errors.is_empty();
        let (model, errors) = (checked.model, checked.errors);
        let batch = Batch { life, create, model, errors, settled: None };
        self.batches.push(batch);
        // A batch that takes no time has ended already.
        self.settle(now);
        self.batches.last().map(|batch| batch.object(now)).ok_or_else(|| Refusal::scripted(500, None))
    }

    pub(super) fn batch(&mut self, id: &str, now: Duration) -> Result<Value, Refusal> {
        self.settle(now);
        let batch = self.batches.iter().find(|batch| batch.life.id == id);
        batch.map(|batch| batch.object(now)).ok_or_else(|| Refusal::no_batch(id))
    }

    /// Lists batches, newest first; those younger than `lag` are not shown.
    pub(super) fn list(&mut self, query: Query<'_>, now: Duration, lag: Duration) -> Result<Value, Refusal> {
        self.settle(now);
        let old_enough = |batch: &&Batch| now >= batch.life.course.created + lag;
        let batches: Vec<&Batch> = self.batches.iter().rev().filter(old_enough).collect();
        let cut = Cut { usual: 20, most: 100, unknown: Refusal::no_batch };
        cut.page(batches, query, |batch| &batch.life.id, |batch| batch.object(now))
    }

    pub(super) fn cancel(&mut self, id: &str, now: Duration) -> Result<Value, Refusal> {
        self.settle(now);
        let batch = self.batches.iter_mut().find(|batch| batch.life.id == id).ok_or_else(|| Refusal::no_batch(id))?;
        match batch.life.cancel(now) {
            Cancelled::Taken => Ok(batch.object(now)),
            Cancelled::TooLate(status) => {
                let message = format!("Cannot cancel a batch with status '{}'.", status.word());
                Err(Refusal::new(409, message))
            }
        }
    }

    /// How many batches have not ended.
    pub(super) fn running(&self, now: Duration) -> usize {
        self.batches.iter().filter(|batch| !batch.life.course.at(now).status.is_terminal()).count()
    }

    pub(super) fn count(&self, now: Duration) -> Tally {
        let batches = self.batches.iter().map(|batch| (&batch.life, batch.marked()));
        Tally::of(self.engine.calls(), self.uploads, batches, |id| id, now)
    }

    /// What validation will say of the input file, and its content.
    fn check(&self, create: &Create, manners: Manners, now: Duration) -> (Bytes, Checked) {
        let id = &create.input_file_id;
        let refused = |error| (Bytes::new(), Checked { errors: vec![error], ..Checked::default() });
        match self.files.find(id, now) {
            Err(_) => refused(no_input(id)),
            Ok(file) if file.broken() => refused(broken_input(id)),
            Ok(file) => (file.content.clone(), validate(&file.content, &create.endpoint, manners)),
        }
    }

    /// Writes the files of batches that have ended by now.
    fn settle(&mut self, now: Duration) {
        for batch in self.batches.iter_mut().filter(|batch| batch.settled.is_none()) {
            let moment = batch.life.course.at(now);
            let Some(ended) = moment.stamps.ended else { continue };
            let harvest = batch.harvest(&moment, ended);
            let mut keep = |content: Vec<u8>, kind: &str| {
                let file = File {
                    id: self.engine.ids.file(),
                    filename: format!("{}_{kind}.jsonl", batch.life.id),
                    purpose: "batch_output".to_owned(),
                    content: content.into(),
                    created: ended,
                    life: batch.create.output_life,
                    faults: Vec::new(),
                };
                (!file.content.is_empty()).then(|| {
                    let id = file.id.clone();
                    self.files.add(file);
                    id
                })
            };
            let (output, errors) = (keep(harvest.output, "output"), keep(harvest.errors, "error"));
            let (input_tokens, output_tokens) = (harvest.input_tokens, harvest.output_tokens);
            batch.settled = Some(Settled { output, errors, input_tokens, output_tokens });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Bytes, Duration, Query, Refusal, Upload, Value, World};
    use crate::script::script;

    const START: Duration = Duration::from_secs(1_700_000_000);

    /// A world in which a batch takes 100 seconds, and one batch of 50 rows in it.
    fn begun(faults: &str) -> (World, String) {
        let mut world = World::new(Duration::from_secs(100), script(faults).unwrap());
        let batch = create(&mut world, 50, at(0));
        (world, text(&batch, "id"))
    }

    fn at(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    fn text(object: &Value, name: &str) -> String {
        object[name].as_str().unwrap_or_default().to_owned()
    }

    fn create(world: &mut World, rows: usize, now: Duration) -> Value {
        let line = |i| {
            format!(
                r#"{{"custom_id":"r{i}","method":"POST","url":"/v1/embeddings","body":{{"model":"m","input":"x"}}}}"#
            )
        };
        let content = Bytes::from((0..rows).map(line).collect::<Vec<_>>().join("\n"));
        let purpose = Some("batch".to_owned());
        let file = world.upload(Upload { filename: "a.jsonl".to_owned(), purpose, content, ..Upload::default() }, now);
        create_on(world, &text(&file.unwrap(), "id"), now).unwrap()
    }

    fn create_on(world: &mut World, file: &str, now: Duration) -> Result<Value, Refusal> {
        let metadata = json!({"batchstep_key": "k"});
        let body = json!({"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h", "metadata": metadata});
        world.create(body.to_string().as_bytes(), now, None)
    }

    fn lines(world: &mut World, batch: &Value, file: &str, now: Duration) -> usize {
        let id = text(batch, file);
        if id.is_empty() { 0 } else { world.content(&id, now).unwrap().iter().filter(|b| **b == b'\n').count() }
    }

    /// Status, completed, failed, lines of output, lines of errors.
    fn seen(world: &mut World, id: &str, second: u64) -> (String, u64, u64, usize, usize) {
        let batch = world.batch(id, at(second)).unwrap();
        let counts = |name: &str| batch["request_counts"][name].as_u64().unwrap();
        let (output, errors) = ("output_file_id", "error_file_id");
        let files = [output, errors].map(|file| lines(world, &batch, file, at(second)));
        (text(&batch, "status"), counts("completed"), counts("failed"), files[0], files[1])
    }

    fn told(
        status: &str,
        completed: u64,
        failed: u64,
        output: usize,
        errors: usize,
    ) -> (String, u64, u64, usize, usize) {
        (status.to_owned(), completed, failed, output, errors)
    }

    #[test]
    fn a_batch_completes() {
        let (mut world, id) = begun("");
        let new = world.batch(&id, at(0)).unwrap();
        assert!(new.get("model").is_none() && new.get("usage").is_none());
        assert_eq!(new["request_counts"], json!({"total": 0, "completed": 0, "failed": 0}));
        assert_eq!(new["expires_at"], (START.as_secs() + 86_400));
        assert_eq!(seen(&mut world, &id, 50), told("in_progress", 25, 0, 0, 0));
        assert_eq!(seen(&mut world, &id, 95), told("finalizing", 50, 0, 0, 0));
        assert_eq!(seen(&mut world, &id, 300), told("completed", 50, 0, 50, 0));
        let done = world.batch(&id, at(300)).unwrap();
        assert!(done["error_file_id"].is_null());
        assert_eq!((&done["usage"]["input_tokens"], &done["model"]), (&json!(50), &json!("m")));
        let file = world.file(&text(&done, "output_file_id"), at(300)).unwrap();
        assert_eq!((&file["purpose"], &file["created_at"]), (&json!("batch_output"), &json!(START.as_secs() + 100)));
        assert_eq!(world.cancel(&id, at(301)).unwrap_err().message, "Cannot cancel a batch with status 'completed'.");
        assert_eq!(world.count(at(301)).rows_paid, 50);
    }

    #[test]
    fn all_rows_can_fail_and_the_batch_completes() {
        let (mut world, id) = begun("rows status=500");
        assert_eq!(seen(&mut world, &id, 100), told("completed", 0, 50, 0, 50));
        assert!(world.batch(&id, at(100)).unwrap()["output_file_id"].is_null());
        assert_eq!(world.count(at(100)).rows_paid, 0);
    }

    #[test]
    fn a_cancel_keeps_what_was_done() {
        let (mut world, id) = begun("");
        assert_eq!(text(&world.cancel(&id, at(50)).unwrap(), "status"), "cancelling");
        assert_eq!(seen(&mut world, &id, 52), told("cancelling", 25, 0, 0, 0));
        assert_eq!(seen(&mut world, &id, 55), told("cancelled", 26, 0, 26, 24));
        assert_eq!(text(&world.cancel(&id, at(56)).unwrap(), "status"), "cancelled");
        let batch = world.batch(&id, at(56)).unwrap();
        assert_eq!((&batch["cancelling_at"], &batch["cancelled_at"]), (&json!(1_700_000_050), &json!(1_700_000_055)));
    }

    #[test]
    fn a_cancel_can_lose_its_race() {
        let (mut world, id) = begun("batch complete-on-cancel");
        assert_eq!(world.cancel(&id, at(20)).unwrap_err().status, 409);
        assert_eq!(seen(&mut world, &id, 20), told("completed", 50, 0, 50, 0));
    }

    #[test]
    fn somebody_else_can_cancel() {
        let (mut world, id) = begun("batch cancel=5s");
        assert_eq!(seen(&mut world, &id, 30), told("cancelled", 0, 0, 0, 50));
    }

    #[test]
    fn an_expired_batch_says_so_of_each_row() {
        let (mut world, id) = begun("batch expire=50s");
        assert_eq!(seen(&mut world, &id, 50), told("expired", 25, 0, 25, 25));
        assert_eq!(world.cancel(&id, at(60)).unwrap_err().status, 409);
    }

    #[test]
    fn a_batch_fails_on_what_it_was_given() {
        let (mut world, id) = begun("file late=2s\nbatch fail=token_limit_exceeded after=1");
        let failed = world.batch(&id, at(10)).unwrap();
        assert_eq!(
            (text(&failed, "status"), &failed["errors"]["data"][0]["param"]),
            ("failed".into(), &json!("file_id"))
        );
        let id = text(&create(&mut world, 3, at(10)), "id");
        let failed = world.batch(&id, at(20)).unwrap();
        assert_eq!(failed["errors"]["data"][0]["code"], "token_limit_exceeded");
        assert!(failed["output_file_id"].is_null() && failed["error_file_id"].is_null());
    }

    #[test]
    fn a_batch_can_be_too_large_for_a_create_or_for_its_validation() {
        let mut world = World::new(Duration::ZERO, script("batch too-many=2").unwrap());
        assert_eq!(text(&create(&mut world, 2, at(0)), "status"), "completed");
        let failed = create(&mut world, 3, at(0));
        assert_eq!(
            (text(&failed, "status"), &failed["errors"]["data"][0]["code"]),
            ("failed".into(), &json!("too_many_tasks"))
        );
        let file = text(&world.list_files(Query(""), at(0)).unwrap()["data"][0], "id");
        let body = json!({"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"});
        let refused = world.create(body.to_string().as_bytes(), at(0), Some(1)).unwrap_err();
        assert_eq!((refused.status, refused.code.as_deref()), (400, Some("too_many_tasks")));
    }

    #[test]
    fn batches_can_be_odd() {
        let (mut world, id) = begun("batch no-metadata\nbatch status=paused");
        let batch = world.batch(&id, at(50)).unwrap();
        assert_eq!((text(&batch, "status"), &batch["metadata"]), ("paused".into(), &Value::Null));
        let tally = world.count(at(50));
        assert_eq!((tally.batches[0].key.as_deref(), tally.batches[0].status.as_str()), (Some("k"), "in_progress"));
    }

    #[test]
    fn lists_are_newest_first_and_may_lag() {
        let (mut world, first) = begun("");
        let first = [first];
        let second = text(&create(&mut world, 1, at(40)), "id");
        let ids = |page: Value| page["data"].as_array().unwrap().iter().map(|b| text(b, "id")).collect::<Vec<_>>();
        let none = Duration::ZERO;
        assert_eq!(ids(world.list(Query(""), at(60), none).unwrap()), [second.clone(), first[0].clone()]);
        assert_eq!(ids(world.list(Query(""), at(60), Duration::from_secs(30)).unwrap()), first);
        let after = format!("limit=1&after={second}");
        assert_eq!(ids(world.list(Query(&after), at(60), none).unwrap()), first);
        assert_eq!(world.batch("batch_x", at(60)).unwrap_err().message, "No batch found with id 'batch_x'.");
    }

    #[test]
    fn files_come_late_slowly_and_go() {
        let mut world = World::new(Duration::ZERO, script("file late=2s\nfile slow=3s").unwrap());
        let (purpose, seconds) = (Some("batch".to_owned()), Some("3600".to_owned()));
        let anchor = Some("created_at".to_owned());
        let upload = Upload { filename: "a.jsonl".to_owned(), purpose, anchor, seconds, ..Upload::default() };
        let id = text(&world.upload(upload, at(0)).unwrap(), "id");
        assert_eq!(world.file(&id, at(1)).unwrap_err().status, 404);
        assert_eq!(text(&world.file(&id, at(2)).unwrap(), "status"), "uploaded");
        assert_eq!(text(&world.file(&id, at(3)).unwrap(), "status"), "processed");
        assert_eq!(world.list_files(Query("purpose=batch"), at(3)).unwrap()["data"].as_array().unwrap().len(), 1);
        assert_eq!(world.file(&id, at(3_600)).unwrap_err().status, 404);
        assert_eq!(world.delete_file(&id, at(9)).unwrap()["deleted"], true);
        assert_eq!(world.delete_file(&id, at(9)).unwrap_err().status, 404);
    }
}
