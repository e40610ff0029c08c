//! HTTP in: the one accept loop, for the service and the simulator alike.
//!
//! What a client can hold is bounded: how many connections there are, and how long the headers of a request may take. When
//! shutdown begins no connection is taken any more, and those there are end with the request under way.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::clock::Clock;
use crate::shutdown::Shutdown;

/// How long to wait after a connection could not be taken, as when no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(200);

/// How long clients may take to receive the answers under way when shutdown begins: less than a service has for its end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What clients may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long the headers of a request may take, counted from the connection or the answer before.
    pub(crate) header_time: Duration,
    /// How many connections there may be at a time; further ones wait to be taken.
    pub(crate) connections: usize,
}

/// Takes connections until shutdown begins, and gives each request to `answer`, with the client's address as the extension
/// [`ConnectInfo`]. An error of `answer` drops the connection without a word.
pub(crate) async fn serve<A, F, E>(
    listener: TcpListener,
    limits: Limits,
    clock: Clock,
    shutdown: Shutdown,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    let token = shutdown.token();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = token
            .run_until_cancelled(async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            })
            .await;
        match accepted {
            None => return,
            Some((place, Ok((stream, peer)))) => {
                let connection = connection(
                    stream,
                    peer,
                    limits,
                    clock.clone(),
                    shutdown.clone(),
                    answer.clone(),
                );
                shutdown.spawn(async move {
                    let _place = place;
                    connection.await;
                });
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "a connection could not be taken");
                token.run_until_cancelled(clock.sleep(PAUSE)).await;
            }
        }
    }
}

/// The answer of a router, which has one for every request.
pub(crate) async fn routed(router: Router, request: Request<Incoming>) -> Response<Body> {
    let answered: Result<_, Infallible> = router.oneshot(request).await;
    match answered {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

async fn connection<A, F, E>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    clock: Clock,
    shutdown: Shutdown,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    // Answers are small and come in several writes, which must not wait for each other.
    let _ = stream.set_nodelay(true);
    // A socket for both families tells IPv4 addresses in IPv6 form.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .serve_connection(TokioIo::new(stream), service);
    let token = shutdown.token();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = token.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                // One who does not read must not keep the others waiting.
                () = clock.sleep(LAST_ANSWERS) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;
    use crate::domain::Timestamp;

    /// A server that notes the path of each request and who asked, and answers the path `/slow` once it is told to.
    struct Server {
        address: SocketAddr,
        clock: Clock,
        shutdown: Shutdown,
        asked: Arc<Mutex<Vec<String>>>,
        begun: Arc<Notify>,
        go_on: Arc<Notify>,
    }

    impl Server {
        async fn start(limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let server = Self {
                address: listener.local_addr().unwrap(),
                clock: Clock::test(Timestamp::from_millis(0), 1),
                shutdown: Shutdown::new(),
                asked: Arc::default(),
                begun: Arc::default(),
                go_on: Arc::default(),
            };
            let (asked, begun, go_on) = (server.asked.clone(), server.begun.clone(), server.go_on.clone());
            let answer = move |request: Request<Incoming>| {
                let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap().0;
                assert!(peer.ip().is_loopback());
                let path = request.uri().path().to_owned();
                let (asked, begun, go_on) = (asked.clone(), begun.clone(), go_on.clone());
                async move {
                    asked.lock().unwrap().push(path.clone());
                    if path == "/slow" {
                        begun.notify_one();
                        go_on.notified().await;
                    }
                    let body = match &*path {
                        "/large" => Body::from(vec![0; 64 << 20]),
                        _ => Body::from("answered"),
                    };
                    Ok::<_, Infallible>(Response::new(body))
                }
            };
            let serving = serve(
                listener,
                limits,
                server.clock.clone(),
                server.shutdown.clone(),
                answer,
            );
            server.shutdown.spawn(serving);
            server
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    fn request(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_client_that_dribbles_its_headers_loses_its_place() {
        let server = Server::start(Limits {
            header_time: Duration::from_millis(50),
            connections: 1,
        })
        .await;
        let dribbling = server.send("GET / HTTP/1.1\r\nhost").await;
        let whole = server.send(&request("/next")).await;
        assert!(rest(whole).await.ends_with("answered"));
        assert_eq!(rest(dribbling).await, "");
        assert_eq!(*server.asked.lock().unwrap(), ["/next"]);
    }

    #[tokio::test]
    async fn a_connection_beyond_the_cap_waits_for_its_turn() {
        let server = Server::start(Limits {
            header_time: Duration::from_mins(1),
            connections: 1,
        })
        .await;
        let mut first = server.send("GET /first HTTP/1.1\r\n").await;
        let second = server.send(&request("/second")).await;
        first
            .write_all(b"host: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(rest(second).await.ends_with("answered"));
        assert!(rest(first).await.ends_with("answered"));
        assert_eq!(*server.asked.lock().unwrap(), ["/first", "/second"]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answer_does_not_hold_up_the_end() {
        let server = Server::start(Limits {
            header_time: Duration::from_mins(1),
            connections: 8,
        })
        .await;
        let mut unread = server.send(&request("/large")).await;
        // Its beginning has come; the rest is more than the sockets hold.
        unread.read_exact(&mut [0; 16]).await.unwrap();
        let end = server.shutdown.finish(Duration::from_mins(1));
        tokio::pin!(end);
        assert!(futures_util::poll!(end.as_mut()).is_pending());
        let passing = async {
            loop {
                tokio::task::yield_now().await;
                server.clock.advance(Duration::from_millis(1));
            }
        };
        tokio::select! {
            in_time = end => assert!(in_time),
            () = passing => unreachable!("time never ends"),
        }
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_when_shutdown_begins() {
        let server = Server::start(Limits {
            header_time: Duration::from_mins(1),
            connections: 8,
        })
        .await;
        let idle = server.send("").await;
        let kept_alive = server.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        server.begun.notified().await;
        server.shutdown.begin();
        server.go_on.notify_one();
        assert!(rest(kept_alive).await.ends_with("answered"));
        assert_eq!(rest(idle).await, "");
        assert!(server.shutdown.finish(Duration::from_mins(1)).await);
    }
}
