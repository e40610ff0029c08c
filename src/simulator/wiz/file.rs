//! The files of report runs: made in the background, kept on disk, served with ranges from pre-signed URLs.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::watch;
use tokio_util::io::ReaderStream;

use crate::simulator::answer::{Answer, text};
use crate::simulator::fault::Ending;
use crate::simulator::source::{Asked, ReportSource};

/// A file that lies on the disk until nobody needs it any more.
#[derive(Debug)]
pub(super) struct MadeFile {
    file: tempfile::NamedTempFile,
    pub(super) bytes: u64,
    /// How many rows it has; none when nobody knows.
    pub(super) rows: Option<u64>,
    pub(super) gzip: bool,
    etag: String,
}

type Outcome = Option<Result<Arc<MadeFile>, String>>;

/// A file that is there already, or will be.
#[derive(Clone)]
pub(super) struct PendingFile(watch::Receiver<Outcome>);

impl PendingFile {
    /// A file that somebody will make, and where to put it.
    pub(super) fn new() -> (watch::Sender<Outcome>, Self) {
        let (made, pending) = watch::channel(None);
        (made, Self(pending))
    }

    /// A file that is not kept any more.
    pub(super) fn gone() -> Self {
        Self(watch::channel(Some(Err("the file is no longer kept".to_owned()))).1)
    }

    /// The file or why there is none; nothing while it is being made.
    pub(super) fn made(&self) -> Outcome {
        self.0.borrow().clone()
    }

    /// Waits until it is made.
    pub(super) async fn wait(&mut self) {
        // When whoever makes it is gone, waiting longer does not help.
        let _ = self.0.wait_for(Option::is_some).await;
    }
}

impl fmt::Debug for PendingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PendingFile").field(&self.made()).finish()
    }
}

impl MadeFile {
    /// Makes the file of a run.
    pub(super) fn make(source: &ReportSource, asked: &Asked, gzip: bool, run: &str) -> io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix("simulated-report-").tempfile()?;
        let is_verbatim = matches!(source, ReportSource::Verbatim(..));
        let mut out = BufWriter::with_capacity(256 * 1024, file.as_file_mut());
        let rows = if gzip && !is_verbatim {
            let mut encoder = GzEncoder::new(&mut out, Compression::default());
            let rows = source.write(asked, &mut encoder)?;
            encoder.finish()?;
            rows
        } else {
            source.write(asked, &mut out)?
        };
        out.flush()?;
        drop(out);
        let bytes = file.as_file_mut().stream_position()?;
        let etag = format!("\"{run}-{bytes:x}\"");
        Ok(Self {
            file,
            bytes,
            rows,
            gzip,
            etag,
        })
    }

    /// Serves the file, or the part of it that the request's range names.
    pub(super) async fn serve(
        &self,
        request: &HeaderMap,
        as_encoding: bool,
        truncate: Option<(u64, Ending)>,
    ) -> Answer {
        let Ok(range) = self.range(request) else {
            let mut answer = text(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
            let range = format!("bytes */{}", self.bytes);
            answer.headers_mut().insert(header::CONTENT_RANGE, value(&range));
            return answer;
        };
        let (from, to) = range.unwrap_or((0, self.bytes));
        let announced = to - from;
        let (sent, ending) = match truncate {
            Some((bytes, ending)) if bytes < announced => (bytes, Some(ending)),
            _ => (announced, None),
        };
        let Ok(body) = self.body(from, sent, ending == Some(Ending::Cut)).await else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        };
        let mut answer = Response::new(body);
        let headers = answer.headers_mut();
        match ending {
            Some(Ending::Unannounced) => {}
            Some(Ending::Honest) => drop(headers.insert(header::CONTENT_LENGTH, sent.into())),
            Some(Ending::Cut) | None => drop(headers.insert(header::CONTENT_LENGTH, announced.into())),
        }
        headers.insert(header::ETAG, value(&self.etag));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let (kind, encoding) = match (self.gzip, as_encoding) {
            (true, false) => ("application/gzip", None),
            (true, true) => ("text/csv", Some("gzip")),
            (false, _) => ("text/csv", None),
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if range.is_some() {
            let range = format!("bytes {from}-{}/{}", to - 1, self.bytes);
            headers.insert(header::CONTENT_RANGE, value(&range));
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        answer
    }

    /// The part that is asked for, from (inclusive) and to (exclusive); none for the whole. An error when there is no
    /// such part.
    fn range(&self, request: &HeaderMap) -> Result<Option<(u64, u64)>, ()> {
        let text = |name| request.get(name).and_then(|value| value.to_str().ok());
        if text(header::IF_RANGE).is_some_and(|etag| etag != self.etag) {
            return Ok(None);
        }
        // As servers do, what cannot be read, or names several parts, is passed over.
        let range = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let parsed = range.and_then(|(from, to)| {
            let from: u64 = from.parse().ok()?;
            let to = if to.is_empty() { u64::MAX } else { to.parse().ok()? };
            (from <= to).then_some((from, to))
        });
        match parsed {
            None => Ok(None),
            Some((from, _)) if from >= self.bytes => Err(()),
            Some((from, to)) => Ok(Some((from, to.saturating_add(1).min(self.bytes)))),
        }
    }

    /// A body of so many bytes, after which the connection may end.
    async fn body(&self, from: u64, bytes: u64, cut: bool) -> io::Result<Body> {
        const CHUNK_BYTES: usize = 64 * 1024;
        let mut file = tokio::fs::File::from_std(File::open(self.file.path())?);
        file.seek(io::SeekFrom::Start(from)).await?;
        let chunks = ReaderStream::with_capacity(file.take(bytes), CHUNK_BYTES);
        if !cut {
            return Ok(Body::from_stream(chunks));
        }
        let end = futures_util::stream::once(async {
            // Lets the server send what it has before the connection ends.
            tokio::task::yield_now().await;
            Err(io::Error::from(io::ErrorKind::ConnectionAborted))
        });
        Ok(Body::from_stream(chunks.chain(end)))
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("made of digits and letters")
}
