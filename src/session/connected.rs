//! A session that knows its provider and how long it may take.

use std::time::Duration;

use tokio::time::Instant;

use super::{Session, post};
use crate::api::Api;
use crate::client::Client;
use crate::clock::{Clock, rfc3339};
use crate::error::Error;
use crate::events::Event;
use crate::guard::Guard;
use crate::inputs;
use crate::invocation::Invocation;
use crate::plan::{JobEnd, Server};
use crate::policy::BEFORE_BATCH;
use crate::variables::unprinted;

/// A session with its provider.
pub(crate) struct Connected<'a> {
    /// The session.
    pub(crate) session: &'a Session<'a>,
    /// The provider's API.
    pub(crate) api: Api,
    /// How commands that are printed are typed to reach the same provider.
    pub(crate) how: Invocation,
    /// When the command must end.
    pub(crate) deadline: Instant,
    timeout: Duration,
}

impl<'a> Session<'a> {
    /// Prepares calls to the provider, and leaves for the action's `post` how to reach it.
    pub(crate) async fn connect(
        &'a self,
        server: Server,
        inputs: &inputs::Connection,
        timeout: Duration,
    ) -> Result<Connected<'a>, Error> {
        let is_in_process = server.simulator.is_some();
        let left = post::inputs_to_leave(inputs, &server.connection.base_url);
        let api = connect(server, self.world.clock).await?;
        let how = Invocation::new(&api, inputs, unprinted(inputs, &self.world.env));
        let how = if is_in_process { how.in_process() } else { how };
        // A sandbox in this process leaves nothing to anybody.
        if !is_in_process {
            self.events.emit(Event::Connecting { inputs: left });
        }
        Ok(Connected { session: self, api, how, deadline: Instant::now() + timeout, timeout })
    }
}

impl Connected<'_> {
    /// Logs what runs, against which provider, and until when: the log's first line. Where the job may end before that, the
    /// next line says so.
    pub(crate) fn announce(&self, job_end: JobEnd) {
        let (name, origin) = (self.api.vendor().name, self.api.origin());
        let title = format!("batchstep {}, provider {name} at {origin}", env!("CARGO_PKG_VERSION"));
        let seconds = self.timeout.as_secs().try_into().unwrap_or(i64::MAX);
        let deadline = rfc3339(self.session.world.clock.unix().saturating_add(seconds));
        self.session.events.emit(Event::Started { title, timeout: self.timeout, deadline });
        if job_end == JobEnd::Untold && !self.how.ends_with_process() {
            self.session.events.emit(Event::JobEndUntold);
        }
    }

    /// Guards what must be done when the command ends.
    pub(crate) fn guard(&self) -> Guard<'_> {
        self.session.guard(self.deadline)
    }

    /// Guards a look, which has its time even where none is left for waiting.
    pub(crate) fn looking(&self) -> Guard<'_> {
        self.session.guard(self.deadline.max(Instant::now() + BEFORE_BATCH))
    }
}

/// Prepares calls to the server, starting the sandbox in this process if that is what is asked for.
pub(crate) async fn connect(server: Server, clock: Clock) -> Result<Api, Error> {
    let Server { vendor, mut connection, simulator } = server;
    if let Some(simulator) = simulator {
        let listening = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let failed = |error: std::io::Error| Error::internal("The sandbox found no free loopback port.").because(error);
        let listener = listening.map_err(failed)?;
        connection.base_url = format!("http://{}/v1", listener.local_addr().map_err(failed)?);
        tokio::spawn(simulator.serve(listener, clock));
    }
    Ok(Api::new(Client::new(&connection, vendor.dialect, clock)?, vendor))
}
