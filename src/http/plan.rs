//! `/runs/{run}/plan`: what a run was to change, pair by pair.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::Meta;
use super::extract::{Id, Query};
use super::paging::Paging;
use super::problem::{Problem, ProblemBody, ProblemName};
use super::records::{pair_key, read_pair};
use super::refusals::Refusals;
use super::state::AppState;
use crate::domain::{Change, Counts, Labels, RunId, RunRecord, Trigger};
use crate::store::PlanRecord;

/// What happens to a pair.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChangeWord {
    /// Fusion held nothing by the ledger; it gets a value.
    Add,
    /// It gets another value, or its own again where the value was in doubt.
    Change,
    /// It is deleted.
    Remove,
    /// It is to be deleted, but that is kept back until a person approves it.
    Hold,
}

/// One step of a plan.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PlanStepView {
    #[schema(example = "10.1.2.3")]
    ip: String,
    #[schema(example = "cvss_score")]
    context: &'static str,
    change: ChangeWord,
    /// The labels that Fusion last acknowledged; null when it never did.
    #[schema(example = json!(["6.5"]))]
    before: Option<Vec<String>>,
    /// The labels that the pair is to hold; null when it is to hold none.
    #[schema(example = json!(["9.8"]))]
    after: Option<Vec<String>>,
}

/// A page of a plan, and what the whole comes to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PlanEnvelope {
    meta: Meta,
    data: Vec<PlanStepView>,
    /// The counts of the run: `added`, `changed`, `removed`, `held` and `unchanged` are those of the plan.
    totals: Counts,
}

/// Lists the steps of a run's plan, by address and context. Kept for the newest real, the newest dry and the newest held run
/// of an integration, and for its newest verification. With `Accept: text/plain` as a text to read.
#[utoipa::path(
    get, path = "/runs/{run}/plan", operation_id = "list_plan_steps", tag = "runs",
    security(("api_key" = ["readonly"])),
    params(
        ("run" = RunId, Path, description = "The run"),
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 100"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The steps", content(
            (PlanEnvelope = "application/json"),
            (String = "text/plain", example = json!("Dry run 01a20d2a-3996-73a0-af57-c27859874f3e of integration \
                01a20d2a-3996-73a0-af57-c27859874f3d\n0 to add, 1 to change, 1 to remove, 0 held, 40 unchanged\n\
                ~ 10.1.2.3 cvss_rating: high -> critical\n- 10.1.2.4 cve: CVE-2023-0123\n")),
        )),
        Refusals,
        (status = 404, description = "There is no such run, or it made no plan yet", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 410, description = "The plan is no longer kept", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Id(id): Id<RunId>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let paging = Paging::take(&mut query, format!("plan of {id}"), 100, read_pair);
    query.done()?;
    let run = app.store.run(id).await?;
    match app.store.plan_record(id).await? {
        PlanRecord::Kept => {}
        PlanRecord::None => return Err(no_plan(run.state.is_final())),
        PlanRecord::Dropped => return Err(dropped()),
    }
    let mut steps = app.store.plan_steps(id, paging.after, paging.with_next()).await?;
    let next = paging.cut(&mut steps, |step| pair_key(step.pair()));
    if prefers_text(&headers) {
        let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
        return Ok(([kind], as_text(&run, &steps, next.as_deref())).into_response());
    }
    let data: Vec<_> = steps.iter().map(PlanStepView::new).collect();
    let page = PlanEnvelope {
        meta: Meta {
            code: StatusCode::OK.as_u16(),
            count: data.len(),
            next,
        },
        data,
        totals: run.counts,
    };
    let body = serde_json::to_vec(&page).expect("plain data has a JSON form");
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl PlanStepView {
    fn new(step: &Change) -> Self {
        let list = |labels: &Labels| labels.iter().map(str::to_owned).collect();
        Self {
            ip: step.pair().ip.to_string(),
            context: step.pair().context.as_str(),
            change: ChangeWord::of(step),
            before: step.before().map(list),
            after: step.after().map(list),
        }
    }
}

impl ChangeWord {
    const fn of(step: &Change) -> Self {
        match step {
            Change::Add(_) => Self::Add,
            Change::Change { .. } => Self::Change,
            Change::Remove { .. } => Self::Remove,
            Change::Hold { .. } => Self::Hold,
        }
    }
}

/// The plan as a person reads it: a line for the whole, then a line for each step.
fn as_text(run: &RunRecord, steps: &[Change], next: Option<&str>) -> String {
    let counts = &run.counts;
    let mut text = format!(
        "{} {} of integration {}\n{} to add, {} to change, {} to remove, {} held, {} unchanged\n",
        match (run.trigger, run.dry_run) {
            (Trigger::Verify, _) => "Verification",
            (_, true) => "Dry run",
            (_, false) => "Run",
        },
        run.id,
        run.integration,
        counts.added,
        counts.changed,
        counts.removed,
        counts.held,
        counts.unchanged,
    );
    for step in steps {
        let sign = match ChangeWord::of(step) {
            ChangeWord::Add => '+',
            ChangeWord::Change => '~',
            ChangeWord::Remove => '-',
            ChangeWord::Hold => '!',
        };
        let pair = step.pair();
        let line = match (step.before(), step.after()) {
            (Some(before), Some(after)) => {
                writeln!(
                    text,
                    "{sign} {} {}: {} -> {}",
                    pair.ip,
                    pair.context,
                    line_of(before),
                    line_of(after)
                )
            }
            (Some(labels), None) | (None, Some(labels)) => {
                writeln!(text, "{sign} {} {}: {}", pair.ip, pair.context, line_of(labels))
            }
            (None, None) => writeln!(text, "{sign} {} {}: unknown", pair.ip, pair.context),
        };
        line.expect("a text takes every line");
    }
    if let Some(next) = next {
        writeln!(text, "... more with ?cursor={next}").expect("a text takes every line");
    }
    text
}

fn line_of(labels: &Labels) -> String {
    labels.as_lines().replace('\n', ", ")
}

/// Whether the caller names a text before JSON.
fn prefers_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    let ranges = accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut kinds = ranges.filter_map(|range| match range.split(';').next().unwrap_or_default().trim() {
        "text/plain" | "text/*" => Some(true),
        "application/json" | "application/*" | "*/*" => Some(false),
        _ => None,
    });
    kinds.next().unwrap_or_default()
}

/// The run has no plan, and if it ended will have none.
pub(super) fn no_plan(ended: bool) -> Problem {
    let detail = if ended {
        "The run ended before it had a plan; `failure` or `cancellation` of its record says why."
    } else {
        "The run has no plan yet. Ask again when its phase is `pushing`, or when it has ended."
    };
    Problem::new(ProblemName::NotFound, detail)
}

/// The plan is not kept any more.
pub(super) fn dropped() -> Problem {
    let detail =
        "The plan is no longer kept: a newer run of the integration has one. The run's `counts` stay.";
    Problem::new(ProblemName::Gone, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_that_is_known_decides() {
        for (accept, text) in [
            ("", false),
            ("*/*", false),
            ("text/plain", true),
            ("text/plain;q=0.9, application/json", true),
            ("application/json, text/plain", false),
            ("text/html, text/*", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(prefers_text(&headers), text, "{accept}");
        }
    }
}
