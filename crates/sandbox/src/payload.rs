//! Bodies in motion, and the hold on a paused clock while they move.
//!
//! Under tokio's paused clock a runtime with nothing to do jumps to the next
//! timer, which may be a client's timeout, though bytes are still on their way
//! through the kernel. A parked blocking task inhibits the jump.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The connection is to be closed where it stands.
#[derive(Debug)]
pub(super) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sandbox closed the connection")
    }
}

impl std::error::Error for Closed {}

/// Keeps a paused clock from jumping for as long as it lives.
pub(super) struct Hold {
    /// Never sent on: dropping it releases the task that waits for it.
    _release: mpsc::Sender<Infallible>,
}

impl Hold {
    pub(super) fn new() -> Self {
        let (release, parked) = mpsc::channel::<Infallible>();
        tokio::task::spawn_blocking(move || parked.recv().is_ok());
        Self { _release: release }
    }
}

/// Receives a whole request body; `Err` where the client went away or sends more than `most` bytes.
pub(super) async fn receive(mut body: Incoming, most: usize) -> Result<Bytes, Closed> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(most).min(most);
    let mut received = BytesMut::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Closed)?.into_data() else { continue };
        if received.len() + data.len() > most {
            return Err(Closed);
        }
        received.extend_from_slice(&data);
    }
    Ok(received.freeze())
}

/// A response body, sent in chunks, perhaps cut off.
pub(super) struct Payload {
    rest: Bytes,
    /// How many bytes may still go before the connection closes.
    cut: Option<usize>,
    /// Whether what went before the cut has had its chance to be written.
    flushed: bool,
    hold: Option<Hold>,
}

const CHUNK: usize = 64 * 1024;

impl Payload {
    pub(super) fn new(content: Bytes, hold: Hold) -> Self {
        Self { rest: content, cut: None, flushed: false, hold: Some(hold) }
    }

    /// Closes the connection after so many bytes. The length that was promised stays.
    pub(super) fn cut(mut self, after: u64) -> Self {
        self.cut = usize::try_from(after).ok().filter(|after| *after < self.rest.len());
        self
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        let allowed = self.cut.unwrap_or(CHUNK).min(CHUNK).min(self.rest.len());
        if allowed > 0 {
            self.cut = self.cut.map(|cut| cut - allowed);
            return Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(allowed)))));
        }
        self.hold = None;
        match self.cut {
            None => Poll::Ready(None),
            Some(_) if self.flushed => Poll::Ready(Some(Err(Closed))),
            Some(_) => {
                // hyper writes out what it has when a body makes it wait.
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
