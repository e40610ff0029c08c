//! `/runs/{run}/events`: how a run moves, as server-sent events.
//!
//! ```text
//! worker ─▶ store: the run's record
//!    └───▶ desk: "it moved" ─▶ each listener ─▶ reads the record ─▶ phase, progress, finished
//! ```
//!
//! No worker waits for a listener. One that is slow hears of fewer moves; what it then reads is the present state.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};

use super::extract::{Id, Query};
use super::problem::Problem;
use super::refusals::{Missing, Refusals};
use super::state::AppState;
use crate::domain::{RunId, RunRecord};
use crate::store::StoreError;

/// How long a stream is silent at most. Proxies cut connections that are silent for half a minute or more.
const HEARTBEAT: Duration = Duration::from_secs(15);

const HEARTBEAT_COMMENT: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// When a client that lost its connection is to come back, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// Follows a run: `text/event-stream` of the events `phase` (it entered a phase, or changed its state), `progress` (anything
/// else of it changed) and `finished` (it ended, and so does the stream). The first event tells the present state.
///
/// The `data` of each event is the whole record of the run, as `GET /runs/{run}` has it in `data`. Ids count the events; a
/// client that comes back with `Last-Event-ID` gets the present state first, and ids that go on from there. What lay between
/// is not told again: each event tells everything. A comment comes when nothing happened for 15 seconds. The stream also
/// ends when the service stops.
#[utoipa::path(
    get, path = "/runs/{run}/events", operation_id = "follow_run", tag = "runs",
    security(("api_key" = ["readonly"])),
    params(
        ("run" = RunId, Path, description = "The run"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that was received"),
    ),
    responses(
        (status = 200, description = "The events; the `data` of each is a `RunRecord`", body = String,
            content_type = "text/event-stream",
            headers(("cache-control" = String, description = "`no-store`"),
                ("x-accel-buffering" = String, description = "`no`: a proxy is to pass events on at once")),
            example = json!("id: 1\nevent: phase\ndata: {\"id\":\"01a20d2a-3996-73a0-af57-c27a2caa0561\",\"state\":\"running\",\
                \"phase\":\"downloading\",\"progress\":{\"rows\":1200,\"percent\":41}}\n\n")),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn follow(
    State(app): State<AppState>,
    Id(id): Id<RunId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.done()?;
    // Listens before it looks, so that no move falls between.
    let moved = app.desk.moved_runs();
    let present = app.store.run(id).await?;
    let listener = Listener {
        next_beat: app.clock.passed() + HEARTBEAT,
        app,
        id,
        moved,
        told: None,
        present: Some(present),
        last_id: last_event_id(&headers),
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let piece = listener.next().await?;
        Some((Ok::<_, Infallible>(piece), listener))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// One client that follows a run.
struct Listener {
    app: AppState,
    id: RunId,
    moved: broadcast::Receiver<Option<RunId>>,
    /// The record of the last event.
    told: Option<RunRecord>,
    /// A record that is yet to be told.
    present: Option<RunRecord>,
    last_id: u64,
    /// As the clock counts the time that passed.
    next_beat: Duration,
}

/// What woke a listener.
enum Woken {
    Moved,
    Beat,
    Ending,
}

impl Listener {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.told.as_ref().is_some_and(|told| told.state.is_final()) {
            return None;
        }
        loop {
            if let Some(record) = self.present.take()
                && let Some(event) = self.event(record)
            {
                return Some(event);
            }
            let woken = self.woken().await;
            if matches!(woken, Woken::Ending) {
                return None;
            }
            // Each beat looks too, in case that nobody told of a move.
            match self.app.store.run(self.id).await {
                Ok(record) => self.present = Some(record),
                // Forgotten meanwhile.
                Err(StoreError::NotFound(_)) => return None,
                Err(error) => {
                    // The client comes back, and finds what there is then.
                    tracing::warn!(%error, run.id = %self.id, "a listener lost its run");
                    return None;
                }
            }
            if matches!(woken, Woken::Beat) && self.present == self.told {
                return Some(self.beat());
            }
        }
    }

    async fn woken(&mut self) -> Woken {
        let left = self.next_beat.saturating_sub(self.app.clock.passed());
        let beat = self.app.clock.sleep(left);
        tokio::pin!(beat);
        loop {
            tokio::select! {
                () = self.app.ending.cancelled() => return Woken::Ending,
                () = &mut beat => return Woken::Beat,
                moved = self.moved.recv() => match moved {
                    Ok(Some(run)) if run != self.id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return Woken::Moved,
                    Err(RecvError::Closed) => return Woken::Ending,
                },
            }
        }
    }

    fn beat(&mut self) -> Bytes {
        self.present = None;
        self.next_beat = self.app.clock.passed() + HEARTBEAT;
        HEARTBEAT_COMMENT
    }

    /// The event that tells of a record, unless the last one told the same.
    fn event(&mut self, record: RunRecord) -> Option<Bytes> {
        let stands = |record: &RunRecord| (record.state, record.phase);
        let name = match &self.told {
            _ if record.state.is_final() => "finished",
            Some(told) if *told == record => return None,
            Some(told) if stands(told) == stands(&record) => "progress",
            _ => "phase",
        };
        let retry = match self.told {
            None => format!("retry: {RETRY_MS}\n"),
            Some(_) => String::new(),
        };
        self.last_id += 1;
        let data = serde_json::to_string(&record).expect("plain data has a JSON form");
        let event = format!("{retry}id: {}\nevent: {name}\ndata: {data}\n\n", self.last_id);
        self.told = Some(record);
        self.next_beat = self.app.clock.passed() + HEARTBEAT;
        Some(event.into())
    }
}

/// The id to go on from: what the client received last, where that is one of ours.
fn last_event_id(headers: &HeaderMap) -> u64 {
    let id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // Far from the greatest number, so that counting on never overflows.
    id.and_then(|id| id.trim().parse::<u32>().ok())
        .unwrap_or_default()
        .into()
}
