//! The server: one address for both neighbours, and the way to end a connection without an answer.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, Response};
use axum::routing::{get, post, put};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::answer::Unsent;
use super::shared::Shared;
use super::{control, fusion, wiz};

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

/// Takes connections until shutdown begins.
pub(super) async fn serve(listener: TcpListener, router: Router, shared: Arc<Shared>) {
    let token = shared.shutdown.token();
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve_connection(stream, router.clone(), Arc::clone(&shared));
                shared.shutdown.spawn(connection);
            }
            Err(error) => tracing::warn!(%error, "the simulator could not take a connection"),
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router, shared: Arc<Shared>) {
    // Answers are small and come in several writes, which must not wait for each other.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let answer: Response<Body> = match router.oneshot(request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            // An error here is what makes the server drop the connection without a word.
            match answer.extensions().get::<Unsent>() {
                Some(_) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                None => Ok(answer),
            }
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let token = shared.shutdown.token();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = token.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the simulator ended early");
    }
}
