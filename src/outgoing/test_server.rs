//! A small server on this machine, for tests of single calls.

use std::time::Duration;

use axum::Router;
use url::Url;

use super::{Outgoing, OutgoingSettings};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::shutdown::Shutdown;

/// Serves a router on a free port until it is stopped.
pub(crate) struct TestServer {
    /// The clock of everything that is made here: pauses of a second take a millisecond.
    pub(crate) clock: Clock,
    port: u16,
    shutdown: Shutdown,
}

impl TestServer {
    /// Starts serving.
    pub(crate) async fn start(router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shutdown = Shutdown::new();
        shutdown.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let clock = Clock::test(Timestamp::from_millis(1_795_493_090_000), 1000);
        Self {
            clock,
            port,
            shutdown,
        }
    }

    /// A URL of this server.
    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    /// The name that allows requests to this server.
    pub(crate) fn allowed(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Clients that may reach this server.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let settings = OutgoingSettings {
            allowed: self.allowed().parse().unwrap(),
            ca_file: None,
        };
        Outgoing::new(settings, self.clock.clone()).unwrap()
    }

    /// Stops serving and frees the port.
    pub(crate) async fn stop(self) {
        self.shutdown.finish(Duration::ZERO).await;
    }
}
