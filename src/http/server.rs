//! The API behind a socket.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::incoming::{self, Limits, routed};
use crate::shutdown::Shutdown;

/// Ten seconds are plenty for headers, also on a bad line; the number is far beyond what an operator's tools open, and
/// below the file descriptors that a process usually gets (1,024).
const LIMITS: Limits = Limits {
    header_time: Duration::from_secs(10),
    connections: 512,
};

/// Serves the API until shutdown begins; requests under way are answered.
pub async fn serve(listener: TcpListener, router: Router, clock: Clock, shutdown: Shutdown) {
    let answer = move |request| {
        let answer = routed(router.clone(), request);
        async { Ok::<_, Infallible>(answer.await) }
    };
    incoming::serve(listener, LIMITS, clock, shutdown, answer).await;
}
