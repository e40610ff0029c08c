//! The server: one address for both neighbours, and the way to end a connection without an answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use tokio::net::TcpListener;

use super::answer::Unsent;
use super::shared::Shared;
use super::{control, fusion, wiz};
use crate::incoming::{self, Limits, routed};

/// All paths.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/oauth/token", post(wiz::token))
        .route("/graphql", post(wiz::graphql))
        .route("/report-files/{run}/{name}", get(wiz::report_file))
        .route("/api/v1/auth/token", post(fusion::token))
        .route("/api/v1/labels/ips", put(fusion::one).post(fusion::one))
        .route("/api/v1/labels/ips/bulk", put(fusion::bulk).delete(fusion::bulk))
        .route("/api/v1/labels/ips/all/{context}", get(fusion::all_of_context))
        .route("/api/v1/labels/ips/{ip}", get(fusion::of_address))
        .route(
            "/api/v1/labels/ips/{ip}/{context}",
            get(fusion::one_pair).delete(fusion::one_pair),
        )
        .merge(control::routes())
        // Each neighbour has its own limit, and a report that is given may be of any size.
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

/// What clients may hold. They keep idle connections for a while, as they would to the real neighbours.
const LIMITS: Limits = Limits {
    header_time: Duration::from_mins(2),
    connections: 1_024,
};

/// Serves until shutdown begins.
pub(super) async fn serve(listener: TcpListener, router: Router, shared: Arc<Shared>) {
    let answer = move |request| {
        let answer = routed(router.clone(), request);
        async {
            let answer = answer.await;
            // An error here is what makes the server drop the connection without a word.
            match answer.extensions().get::<Unsent>() {
                Some(_) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                None => Ok(answer),
            }
        }
    };
    let (clock, shutdown) = (shared.clock.clone(), shared.shutdown.clone());
    incoming::serve(listener, LIMITS, clock, shutdown, answer).await;
}
