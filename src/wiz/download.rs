//! The download of a report file: bytes in order and each once, whatever breaks on the way.

use std::fmt;
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::Response;
use reqwest::header::{ACCEPT_ENCODING, HeaderValue, IF_RANGE, RANGE};

use super::error::Problem;
use super::file::{Head, Position, pause};
use super::{ReportRun, ReportUrl, WizClient, WizError};
use crate::domain::ReportRunId;
use crate::outgoing::{Call, retry_after};

/// Object storage redirects once, to the right region; more is odd.
const MAX_REDIRECTS: usize = 3;

/// How often the download goes on without getting further: five pauses are half a minute.
const MAX_STUMBLES: u32 = 5;

/// What counts as getting further.
const PROGRESS_BYTES: u64 = 64 << 10;

/// How often a fresh URL is asked for without getting further.
const MAX_FRESH_URLS: u32 = 2;

/// The pause before going on the first time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

const PURPOSE: &str = "download the report";

/// A report file that is being read. Nothing is read ahead; dropping it ends the download.
pub struct ReportDownload {
    client: WizClient,
    run: ReportRunId,
    url: Option<ReportUrl>,
    position: Position,
    stream: Stream,
    /// Bytes of the present answer that were handed out before.
    known: u64,
    stumbles: u32,
    fresh_urls: u32,
    /// The position from which progress counts.
    progress_from: u64,
}

enum Stream {
    Closed,
    Open(Response),
    Ended,
}

impl WizClient {
    /// Opens the file of a complete run, and asks for its URL when the run does not carry one.
    ///
    /// # Errors
    /// When there is no file, or its storage cannot be reached or refuses; the failure tells whether that may pass.
    pub async fn download(&self, run: &ReportRun) -> Result<ReportDownload, WizError> {
        let mut download = ReportDownload {
            client: self.clone(),
            run: run.id.clone(),
            url: run.url.clone(),
            position: Position::default(),
            stream: Stream::Closed,
            known: 0,
            stumbles: 0,
            fresh_urls: 0,
            progress_from: 0,
        };
        while matches!(download.stream, Stream::Closed) {
            download.open().await?;
        }
        Ok(download)
    }
}

impl ReportDownload {
    /// The next piece of the file as it is stored (gzip, most likely); `None` at its end, and only when all of it came.
    /// Where the connection breaks it is taken up again; the piece after is the one that would have come.
    ///
    /// # Errors
    /// When the file does not get further, or is not the same any more.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, WizError> {
        loop {
            let response = match &mut self.stream {
                Stream::Ended => return Ok(None),
                Stream::Closed => {
                    self.open().await?;
                    continue;
                }
                Stream::Open(response) => response,
            };
            match response.chunk().await {
                Ok(Some(piece)) => {
                    if let Some(piece) = self.take(piece)? {
                        return Ok(Some(piece));
                    }
                }
                Ok(None) if self.position.is_at_end() && self.known == 0 => self.stream = Stream::Ended,
                Ok(None) | Err(_) => {
                    self.stream = Stream::Closed;
                    let (received, total) = (self.position.received, self.position.total);
                    self.stumble(Problem::FileCut { received, total }, None).await?;
                }
            }
        }
    }

    /// The bytes handed out so far.
    pub const fn received_bytes(&self) -> u64 {
        self.position.received
    }

    /// The size of the file, where its storage tells.
    pub const fn total_bytes(&self) -> Option<u64> {
        self.position.total
    }

    /// Leaves out what was handed out before.
    fn take(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, WizError> {
        let known = self.known.min(piece.len() as u64);
        self.known -= known;
        piece.advance(usize::try_from(known).expect("no more than the piece is long"));
        if piece.is_empty() {
            return Ok(None);
        }
        self.position.received += piece.len() as u64;
        if self
            .position
            .total
            .is_some_and(|total| self.position.received > total)
        {
            return Err(Problem::FileChanged.when(PURPOSE));
        }
        Ok(Some(piece))
    }

    /// One try to open the file at the present position. Leaves it closed when a further try may help.
    async fn open(&mut self) -> Result<(), WizError> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => self.fresh_url().await?,
        };
        let mut call = Call::file("wiz.report_file", url.expose().clone(), MAX_REDIRECTS)
            // The file is compressed already, and a storage that compresses on the fly knows neither size nor ranges.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.position.received > 0 {
            let range = format!("bytes={}-", self.position.received);
            call = call.header(RANGE, HeaderValue::try_from(range).expect("digits"));
            if let Some(etag) = self.position.strong_etag() {
                call = call.header(IF_RANGE, etag.clone());
            }
        }
        let response = match self.client.outgoing().open(&call).await {
            Ok(response) => response,
            Err(error) if error.is_passing() => return self.stumble(Problem::NoAnswer(error), None).await,
            Err(error) => return Err(Problem::NoAnswer(error).when(PURPOSE)),
        };
        match self.position.judge(response.status(), response.headers()) {
            Head::Body { known } => {
                self.known = known;
                self.stream = Stream::Open(response);
            }
            Head::End => self.stream = Stream::Ended,
            Head::Stale => {
                self.note_progress();
                if self.fresh_urls == MAX_FRESH_URLS {
                    return Err(Problem::FileRefused(response.status().as_u16()).when(PURPOSE));
                }
                self.fresh_urls += 1;
                self.url = None;
            }
            Head::Later(problem) => {
                let asked = retry_after(response.headers(), self.client.clock().now());
                self.stumble(problem, asked).await?;
            }
            Head::Fail(problem) => return Err(problem.when(PURPOSE)),
        }
        Ok(())
    }

    async fn fresh_url(&mut self) -> Result<ReportUrl, WizError> {
        let run = self.client.report_run(&self.run).await?;
        let run = run.ok_or_else(|| Problem::NotFound.when(PURPOSE))?;
        let url = run.url.ok_or_else(|| Problem::NoFile.when(PURPOSE))?;
        self.url = Some(url.clone());
        Ok(url)
    }

    /// Waits before the next try, or gives up with the problem when the file got no further in a number of tries.
    async fn stumble(&mut self, problem: Problem, asked: Option<Duration>) -> Result<(), WizError> {
        self.note_progress();
        if self.stumbles == MAX_STUMBLES {
            return Err(WizError {
                purpose: PURPOSE,
                problem,
                retry_after: asked,
            });
        }
        tracing::debug!(bytes = self.position.received, problem = %problem, "the download goes on after a pause");
        let own = FIRST_PAUSE * 2_u32.pow(self.stumbles);
        self.stumbles += 1;
        let jittered = own / 2 + (own / 2).mul_f64(fastrand::f64());
        self.client.clock().sleep(pause(asked, jittered)).await;
        Ok(())
    }

    fn note_progress(&mut self) {
        if self.position.received >= self.progress_from + PROGRESS_BYTES {
            self.progress_from = self.position.received;
            (self.stumbles, self.fresh_urls) = (0, 0);
        }
    }
}

impl fmt::Debug for ReportDownload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportDownload")
            .field("run", &self.run)
            .field("received", &self.position.received)
            .field("total", &self.position.total)
            .finish_non_exhaustive()
    }
}
