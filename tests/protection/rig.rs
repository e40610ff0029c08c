//! A service behind a socket, and requests written by hand.

use std::fmt::Write as _;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wiz_context::clock::Clock;
use wiz_context::config::Config;
use wiz_context::domain::{ApiKey, Timestamp};
use wiz_context::shutdown::Shutdown;
use wiz_context::startup::{self, Service};

pub(crate) const KEY: &str = "planted-api-key";
pub(crate) const INTEGRATIONS: &str = "/api/v1/integrations/context";

/// A service of its own; its time stands still.
pub(crate) struct Rig {
    pub(crate) clock: Clock,
    pub(crate) service: Service,
    _folder: TempDir,
}

/// What came back: the status, and all of it as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The value of a header, whose name is written in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n").unwrap_or((&self.text, ""));
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn is_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(
            self.text.contains(&format!("\"name\":\"{name}\"")),
            "{}",
            self.text
        );
    }
}

impl Rig {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database: url.parse().unwrap(),
            admin_key: Some(ApiKey::new(KEY)),
            ..Config::default()
        };
        change(&mut config);
        let clock = Clock::standing(Timestamp::from_millis(1_795_493_090_000));
        let service = startup::start(config, clock.clone(), &Shutdown::new())
            .await
            .unwrap();
        Self {
            clock,
            service,
            _folder: folder,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.service.address()).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads until the service closes it.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }

    /// A request with a key, a body perhaps, and further header lines.
    pub(crate) async fn send(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let key = format!("authorization: Bearer {KEY}");
        self.send_as(line, &[&[key.as_str()], headers].concat(), body)
            .await
    }

    /// The same without the key.
    pub(crate) async fn send_as(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n");
        if !body.is_empty() {
            let length = body.len();
            write!(
                head,
                "content-type: application/json\r\ncontent-length: {length}\r\n"
            )
            .unwrap();
        }
        for header in headers {
            write!(head, "{header}\r\n").unwrap();
        }
        answer(self.raw(&[head.as_bytes(), b"\r\n", body].concat()).await)
    }

    /// The service still does its work.
    pub(crate) async fn is_well(&self) {
        assert_eq!(
            self.send(&format!("GET {INTEGRATIONS}"), &[], b"").await.status,
            200
        );
    }

    pub(crate) async fn stop(self) {
        let clock = self.clock.clone();
        let stopping = self.service.stop(Duration::from_mins(1));
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                in_time = &mut stopping => return assert!(in_time),
                () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
            }
        }
    }
}

/// What comes until the other side closes. One that closes while bytes of ours are unread resets the connection, after what
/// it had to say.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn answer(text: String) -> Answer {
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
        text,
    }
}
