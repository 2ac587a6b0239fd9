//! The order to stop, as a value: from a signal in `main`, from a test elsewhere.
//!
//! The first order asks the run to cancel and end in good order. The second ends
//! its waiting: what is on its way to the provider still gets a moment, nothing
//! new is waited for, and the report is still written.

use tokio::sync::watch;
use tokio::time::Instant;

use crate::policy::{GRACE, LAST_REPLY, SAME_SIGNAL};

/// What has been ordered so far: the signals and when they came.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    first: Option<(u8, Instant)>,
    second: Option<(u8, Instant)>,
}

/// Tells whether and when to stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Orders>);

/// Gives the order to stop.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Orders>);

/// A pair: whoever holds the stopper can end the run.
pub fn channel() -> (Stopper, Shutdown) {
    let (sender, receiver) = watch::channel(Orders::default());
    (Stopper(sender), Shutdown(receiver))
}

/// A signal's name; on Windows that of its closest relative.
pub fn name_of(signal: u8) -> String {
    match signal {
        1 => "SIGHUP".to_owned(),
        2 => "SIGINT".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("Signal {other}"),
    }
}

impl Stopper {
    /// Orders to stop, for a signal of this number. What comes within a second of
    /// the first order is the same order.
    pub fn stop(&self, signal: u8) {
        let now = Instant::now();
        self.0.send_modify(|orders| match orders.first {
            None => orders.first = Some((signal, now)),
            Some((_, at)) if now < at + SAME_SIGNAL => {}
            Some(_) => {
                orders.second.get_or_insert((signal, now));
            }
        });
    }
}

impl Orders {
    /// When the time to end in good order is over.
    fn grace_ends(&self) -> Option<Instant> {
        let (_, first) = self.first?;
        let hurried = self.second.map(|(_, second)| second + LAST_REPLY);
        Some(hurried.map_or(first + GRACE, |hurried| hurried.min(first + GRACE)))
    }
}

impl Shutdown {
    /// Waits for the first order and tells its signal.
    pub async fn first(&self) -> u8 {
        self.wait(|orders| orders.first).await.0
    }

    /// Waits for the second order and tells its signal.
    pub async fn second(&self) -> u8 {
        self.wait(|orders| orders.second).await.0
    }

    /// The first order's signal, if there was one.
    pub fn ordered(&self) -> Option<u8> {
        self.0.borrow().first.map(|(signal, _)| signal)
    }

    /// Waits until the time to end in good order is over. It begins with the first order, and
    /// the second brings its end closer.
    pub async fn grace(&self) {
        let hurried = async {
            let ends = self.wait(|orders| orders.second.and_then(|_| orders.grace_ends())).await;
            tokio::time::sleep_until(ends).await;
        };
        let ends = self.wait(Orders::grace_ends).await;
        tokio::select! {
            () = tokio::time::sleep_until(ends) => {}
            () = hurried => {}
        }
    }

    async fn wait<T>(&self, order: impl Fn(&Orders) -> Option<T>) -> T {
        let mut receiver = self.0.clone();
        loop {
            if let Some(found) = order(&receiver.borrow_and_update()) {
                return found;
            }
            if receiver.changed().await.is_err() {
                // Nobody is left who could order a stop.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Turns the process's signals into orders, for as long as the runtime lives. Others may order a stop as well.
#[cfg(unix)]
pub fn listen() -> std::io::Result<(Stopper, Shutdown)> {
    use tokio::signal::unix::{SignalKind, signal};
    let (stopper, shutdown) = channel();
    let ordering = stopper.clone();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => ordering.stop(1),
                _ = interrupt.recv() => ordering.stop(2),
                _ = terminate.recv() => ordering.stop(15),
            }
        }
    });
    Ok((stopper, shutdown))
}

/// Turns Ctrl-C and Ctrl-Break into orders; they end as SIGINT and SIGTERM would.
#[cfg(windows)]
pub fn listen() -> std::io::Result<(Stopper, Shutdown)> {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};
    let (stopper, shutdown) = channel();
    let ordering = stopper.clone();
    let (mut interrupt, mut terminate, mut close) = (ctrl_c()?, ctrl_break()?, ctrl_close()?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => ordering.stop(2),
                _ = terminate.recv() => ordering.stop(15),
                _ = close.recv() => ordering.stop(1),
            }
        }
    });
    Ok((stopper, shutdown))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Instant, channel};

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_second_of_the_first_signal_is_the_same() {
        let (stopper, shutdown) = channel();
        stopper.stop(15);
        for _ in 0..2 {
            tokio::time::advance(Duration::from_millis(499)).await;
            stopper.stop(15);
        }
        let second = tokio::time::timeout(Duration::from_millis(1), shutdown.second()).await;
        assert!(second.is_err() && shutdown.ordered() == Some(15));
        tokio::time::advance(Duration::from_millis(1)).await;
        stopper.stop(2);
        stopper.stop(1);
        assert_eq!((shutdown.first().await, shutdown.second().await), (15, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_shortens_the_grace_and_never_prolongs_it() {
        for (second, ends) in [(None, 5_000), (Some(1_500), 3_500), (Some(4_000), 5_000)] {
            let (stopper, shutdown) = channel();
            let began = Instant::now();
            stopper.stop(15);
            let signalling = async {
                if let Some(second) = second {
                    tokio::time::sleep(Duration::from_millis(second)).await;
                    stopper.stop(15);
                }
                std::future::pending::<()>().await;
            };
            tokio::select! { () = shutdown.grace() => {}, () = signalling => {} }
            assert_eq!(began.elapsed().as_millis(), ends, "{second:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_begins_with_an_order() {
        let (_stopper, shutdown) = channel();
        assert!(tokio::time::timeout(Duration::from_secs(3600), shutdown.grace()).await.is_err());
    }
}
