//! The order to stop, as a value: from a signal in `main`, from a test elsewhere.
//!
//! The first order asks the run to cancel and end in good order; the second
//! ends it at once.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long a run may take to end in good order after the first signal: CI
/// hosts kill after five to ten seconds.
pub const GRACE: Duration = Duration::from_secs(5);

/// What has been ordered so far.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    first: Option<(u8, Instant)>,
    again: bool,
}

/// Tells whether and when to stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Orders>);

/// Gives the order to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Orders>);

/// A pair: whoever holds the stopper can end the run.
pub fn channel() -> (Stopper, Shutdown) {
    let (sender, receiver) = watch::channel(Orders::default());
    (Stopper(sender), Shutdown(receiver))
}

impl Stopper {
    /// Orders to stop, for a signal of this number.
    pub fn stop(&self, signal: u8) {
        self.0.send_modify(|orders| match orders.first {
            None => orders.first = Some((signal, Instant::now())),
            Some(_) => orders.again = true,
        });
    }
}

impl Shutdown {
    /// Waits for the first order and tells its signal.
    pub async fn first(&self) -> u8 {
        self.wait(|orders| orders.first).await.0
    }

    /// Waits for the second order and tells the first one's signal.
    pub async fn second(&self) -> u8 {
        self.wait(|orders| orders.first.filter(|_| orders.again)).await.0
    }

    /// The first order's signal, if there was one.
    pub fn ordered(&self) -> Option<u8> {
        self.0.borrow().first.map(|(signal, _)| signal)
    }

    /// When the time to end in good order is over, once ordered to stop.
    pub fn grace_ends(&self) -> Option<Instant> {
        self.0.borrow().first.map(|(_, at)| at + GRACE)
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

/// Turns the process's signals into orders, for as long as the runtime lives.
#[cfg(unix)]
pub fn listen() -> std::io::Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};
    let (stopper, shutdown) = channel();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => stopper.stop(1),
                _ = interrupt.recv() => stopper.stop(2),
                _ = terminate.recv() => stopper.stop(15),
            }
        }
    });
    Ok(shutdown)
}

/// Turns Ctrl-C and Ctrl-Break into orders; they end as SIGINT and SIGTERM would.
#[cfg(windows)]
pub fn listen() -> std::io::Result<Shutdown> {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};
    let (stopper, shutdown) = channel();
    let (mut interrupt, mut terminate, mut close) = (ctrl_c()?, ctrl_break()?, ctrl_close()?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => stopper.stop(2),
                _ = terminate.recv() => stopper.stop(15),
                _ = close.recv() => stopper.stop(1),
            }
        }
    });
    Ok(shutdown)
}
