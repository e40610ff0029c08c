//! The report file: streamed from Wiz into the parser, and its facts staged. Memory holds the assets, never the rows.
//!
//! ```text
//! ReportDownload ─▶ channel of a few pieces ─▶ read_report (its own thread) ─▶ facts ─▶ store, staged under the run
//! ```

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::interruption::{Interruption, broke_down};
use super::pace::{Pace, percent};
use crate::behind;
use crate::domain::{Certificate, Counts, Failure, FailureKind, Phase, Progress, Proof, Verdict, Warning};
use crate::pipeline::{ReportError, ReportFacts, check_row_count, read_report};
use crate::store::{FactSetId, FactsDigest, Reading};
use crate::wiz::{AskedFindings, ReportDownload, ReportRun};

/// Pieces between the network and the parser; each is what one read of the socket gave.
const PIECES_WAITING: usize = 32;

/// Assets in one transaction: some tens of milliseconds of writing, so that other writers get their turn.
const ASSETS_PER_WRITE: usize = 8_000;

/// A piece of the file on its way to the parser. Its end is told, since a channel that closes may also mean a broken
/// download.
enum Piece {
    Bytes(Bytes),
    End,
}

/// The parser's side of the channel.
struct Pieces {
    channel: mpsc::Receiver<Piece>,
    present: Bytes,
    ended: bool,
}

impl Attempt {
    /// Reads a complete run of the report and stages its facts, which are then the run's.
    pub(super) async fn download(&mut self, report_run: &ReportRun) -> Result<FactSetId, Interruption> {
        let begun = Progress {
            rows_total: report_run.rows,
            ..Progress::default()
        };
        self.show(Phase::Downloading, begun).await?;
        let mut download = self.wiz()?.download(report_run).await?;
        let read = self.read(&mut download, report_run.rows).await?;
        let facts = match read {
            Ok(facts) => facts,
            Err(error) => return Err(unusable(error, &download).into()),
        };
        let read_to_its_end = Progress {
            rows: facts.rows,
            rows_total: report_run.rows,
            bytes: download.received_bytes(),
            percent: Some(100),
            ..Progress::default()
        };
        self.show(Phase::Downloading, read_to_its_end).await?;
        let rule = self.workers.settings.policy.row_count;
        let row_warning = match check_row_count(facts.rows, report_run.rows, rule) {
            Ok(warning) => warning,
            Err(error) => return Err(unusable(error, &download).into()),
        };
        let warnings: Vec<Warning> = facts.warnings.iter().cloned().chain(row_warning).collect();
        for warning in &warnings {
            self.warn(warning).await?;
        }
        let reading = self.reading(report_run, &facts, &warnings, &download);
        tracing::info!(
            rows = facts.rows,
            bytes = download.received_bytes(),
            assets = facts.assets(),
            "read the report"
        );
        self.stage(facts, &reading).await
    }

    /// Lets the parser read while the file comes; the outer error is the download's, the inner one the report's.
    async fn read(
        &mut self,
        download: &mut ReportDownload,
        rows_total: Option<u64>,
    ) -> Result<Result<ReportFacts, ReportError>, Interruption> {
        let (sender, channel) = mpsc::channel(PIECES_WAITING);
        let rows = Arc::new(AtomicU64::new(0));
        let (policy, rows_read) = (self.workers.settings.policy.clone(), Arc::clone(&rows));
        // A run that is cancelled drops this future: the parser then stops at its next look, whatever still waits for it.
        let abandoned = CancellationToken::new();
        let _guard = abandoned.clone().drop_guard();
        let parser = behind::compute("fold", move || {
            read_report(Pieces::new(channel), &policy, &mut |progress| {
                rows_read.store(progress.rows, Ordering::Relaxed);
                if abandoned.is_cancelled() {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
        });
        let mut pace = Pace::new(self.workers.clock.clone());
        loop {
            let piece = download.chunk().await?;
            let ended = piece.is_none();
            // A parser that gave up says why when it is asked below.
            if sender.send(piece.map_or(Piece::End, Piece::Bytes)).await.is_err() || ended {
                break;
            }
            if pace.is_due() {
                let (rows, bytes) = (rows.load(Ordering::Relaxed), download.received_bytes());
                // By bytes where the storage tells how many there are, for rows lie differently dense in them.
                let by_bytes = download.total_bytes().map(|total| (bytes, total));
                let by = by_bytes.or(rows_total.map(|total| (rows, total)));
                let progress = Progress {
                    rows,
                    rows_total,
                    bytes,
                    rows_per_s: pace.per_second(rows),
                    percent: by.map(|(part, whole)| percent(part, whole)),
                    eta_s: by.and_then(|(part, whole)| pace.seconds_left(part, whole)),
                    ..Progress::default()
                };
                self.show(Phase::Downloading, progress).await?;
            }
        }
        drop(sender);
        parser.await.map_err(|_| broke_down().into())
    }

    /// What the report said, with the proof that it was whole.
    fn reading(
        &self,
        report_run: &ReportRun,
        facts: &ReportFacts,
        warnings: &[Warning],
        download: &ReportDownload,
    ) -> Reading {
        let report = self.run.checkpoint.rerun.as_ref();
        let asked = self.run.checkpoint.asked.as_deref().map(AskedFindings::read);
        let asked = asked.unwrap_or_default();
        let certificate = Certificate {
            report_id: report.map(|rerun| rerun.report.to_string()).unwrap_or_default(),
            report_run_id: report_run.id.to_string(),
            report_run_at: report_run.run_at,
            rows_expected: report_run.rows,
            rows_parsed: facts.rows,
            bytes: download.received_bytes(),
            columns: facts.columns.clone(),
            statuses: asked.statuses,
            asset_types: asked.asset_types,
            skipped: facts.skipped.clone(),
            proofs: proofs(report_run, facts, download.total_bytes()),
            row_count_rule: Some(self.workers.settings.policy.row_count),
            warnings: warnings.iter().map(|warning| warning.code.clone()).collect(),
            verdict: if warnings.is_empty() {
                Verdict::Complete
            } else {
                Verdict::CompleteWithWarnings
            },
        };
        let counts = Counts {
            findings: facts.findings,
            assets: facts.assets() as u64,
            ..Counts::default()
        };
        Reading { certificate, counts }
    }

    async fn stage(&mut self, facts: ReportFacts, reading: &Reading) -> Result<FactSetId, Interruption> {
        let (store, now) = (self.workers.store.clone(), self.now());
        self.run.record.counts = reading.counts;
        let (facts, digest) = digested(facts).await?;
        if let Some(set) = store.confirm_facts(&mut self.run, reading, digest, now).await? {
            self.advanced = true;
            tracing::info!("the report says what the one before said");
            return Ok(set);
        }
        let mut staging = store.begin_facts(&self.run, reading, now).await?;
        let mut assets = facts.into_assets();
        loop {
            let some: Vec<_> = assets.by_ref().take(ASSETS_PER_WRITE).collect();
            if some.is_empty() {
                break;
            }
            let now = self.now();
            store.append_facts(&self.run, &mut staging, &some, now).await?;
        }
        let now = self.now();
        let set = store.complete_facts(&mut self.run, staging, now).await?;
        self.advanced = true;
        Ok(set)
    }
}

/// The digest of what a report says.
async fn digested(facts: ReportFacts) -> Result<(ReportFacts, FactsDigest), Interruption> {
    let digest = behind::compute("digest", move || {
        let mut digest = FactsDigest::new();
        facts.each_asset().for_each(|asset| digest.add(&asset));
        (facts, digest)
    });
    digest.await.map_err(|_| broke_down().into())
}

impl Pieces {
    fn new(channel: mpsc::Receiver<Piece>) -> Self {
        Self {
            channel,
            present: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.present.is_empty() && !self.ended {
            match self.channel.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.present = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            }
        }
        let length = self.present.len().min(buffer.len());
        self.present.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// The failure of a report that cannot be used. It will be the same on a second reading, unless its end was not known.
fn unusable(error: ReportError, download: &ReportDownload) -> Failure {
    let kind = error.kind();
    let may_have_been_cut = kind == FailureKind::Incomplete && download.total_bytes().is_none();
    if may_have_been_cut {
        Failure::passing(kind, error.to_string())
    } else {
        Failure::permanent(kind, error.to_string())
    }
}

/// What proved that a report was whole, which was read to its end.
fn proofs(report_run: &ReportRun, facts: &ReportFacts, announced_bytes: Option<u64>) -> Vec<Proof> {
    let counted = report_run.rows.is_some_and(|expected| facts.rows >= expected);
    let proofs = [
        (announced_bytes.is_some(), Proof::AnnouncedLength),
        (facts.gzip, Proof::GzipTrailer),
        (true, Proof::ClosedRows),
        (true, Proof::NeededColumns),
        (counted, Proof::RowCount),
    ];
    let held = proofs.into_iter().filter(|(held, _)| *held);
    held.map(|(_, proof)| proof).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_closes_is_a_broken_download_and_no_end() {
        let (sender, channel) = mpsc::channel(2);
        sender.try_send(Piece::Bytes(Bytes::from_static(b"abc"))).unwrap();
        drop(sender);
        let mut text = Vec::new();
        let error = Pieces::new(channel).read_to_end(&mut text).unwrap_err();
        assert_eq!(
            (text.as_slice(), error.kind()),
            (&b"abc"[..], io::ErrorKind::ConnectionAborted)
        );

        let (sender, channel) = mpsc::channel(2);
        sender.try_send(Piece::Bytes(Bytes::from_static(b"abc"))).unwrap();
        sender.try_send(Piece::End).unwrap();
        drop(sender);
        let mut text = String::new();
        Pieces::new(channel).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }
}
