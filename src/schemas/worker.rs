//! A thread for work that may never end: if it takes too long it is left behind, and ends with the process.

use std::sync::mpsc::{Sender, channel, sync_channel};
use std::time::Duration;

/// How many threads may be left behind. After that nothing is tried any more.
const MOST_LEFT: u32 = 3;
/// The thread's stack, in bytes: what is checked can be nested 128 deep, in the schema and in the text.
const STACK: usize = 16 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after another.
#[derive(Default)]
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    left: u32,
}

impl Worker {
    /// Does `work` and returns what came of it; none if it takes longer than `limit`.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.left >= MOST_LEFT {
            return None;
        }
        let (to, from) = sync_channel(1);
        let job: Job = Box::new(move || drop(to.send(work())));
        if self.jobs.is_none() {
            self.jobs = start();
        }
        self.jobs.as_ref()?.send(job).ok()?;
        let done = from.recv_timeout(limit).ok();
        if done.is_none() {
            // It may be the last job that the thread ever gets to.
            self.jobs = None;
            self.left += 1;
        }
        done
    }
}

fn start() -> Option<Sender<Job>> {
    let (jobs, queue) = channel::<Job>();
    let work = move || queue.into_iter().for_each(|job| job());
    std::thread::Builder::new().name("schemas".to_owned()).stack_size(STACK).spawn(work).ok().map(|_| jobs)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{MOST_LEFT, Worker};

    #[test]
    fn what_never_ends_is_left_behind_a_few_times() {
        let mut worker = Worker::default();
        assert_eq!(worker.run(Duration::from_secs(60), || 1), Some(1));
        let mut held = Vec::new();
        for _ in 0..MOST_LEFT {
            let (end, forever) = channel::<()>();
            held.push(end);
            assert_eq!(worker.run(Duration::from_millis(10), move || forever.recv().is_ok()), None);
        }
        assert_eq!(worker.run(Duration::from_secs(60), || 1), None);
    }
}
