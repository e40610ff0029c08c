//! The fields of `Query` and `Mutation`: what each takes, does and gives.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::simulator::shared::{Shared, State};

use super::file::{MadeFile, PendingFile};
use super::findings;
use super::graphql::Problem;
use super::query::Selected;
use super::reports::Run;
use super::runs::{report_value, run_value};
use super::spec::Spec;

/// A call of one field.
pub(super) struct Caller<'a> {
    pub(super) shared: &'a Shared,
    pub(super) state: &'a mut State,
    /// The host that the client called.
    pub(super) host: &'a str,
    pub(super) now: Timestamp,
    pub(super) field: &'a Selected,
}

/// The scopes that a field takes.
pub(super) fn scopes_of(field: &str) -> &'static [&'static str] {
    match field {
        "createReport" => &["create:reports", "read:vulnerabilities"],
        "updateReport" | "rerunReport" | "cancelReportRun" => &["update:reports"],
        "deleteReport" => &["delete:reports"],
        "vulnerabilityFindings" => &["read:vulnerabilities"],
        _ => &["read:reports"],
    }
}

/// Carries out one field.
pub(super) fn resolve(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    match caller.field.field.as_str() {
        "__typename" => Ok("Query".into()),
        "report" => report(caller),
        "reports" => reports(caller),
        "reportRun" => report_run(caller),
        "reportRuns" => report_runs(caller),
        "vulnerabilityFindings" => findings::page_of_findings(caller),
        "createReport" => create_report(caller),
        "updateReport" => update_report(caller),
        "rerunReport" => rerun_report(caller),
        "deleteReport" => delete_report(caller),
        "cancelReportRun" => cancel_report_run(caller),
        other => Err(Problem::new(
            "INTERNAL",
            format!("the simulator forgot to serve {other}"),
        )),
    }
}

impl Caller<'_> {
    /// A member of the arguments, by a pointer such as `/input/id`.
    pub(super) fn argument(&self, pointer: &str) -> Option<&Value> {
        let (name, rest) = match pointer[1..].split_once('/') {
            Some((name, _)) => (name, &pointer[name.len() + 1..]),
            None => (&pointer[1..], ""),
        };
        let value = self.field.arguments.get(name)?.pointer(rest)?;
        (!value.is_null()).then_some(value)
    }

    fn text(&self, pointer: &str) -> String {
        let text = self.argument(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    /// The id of a report that exists.
    fn known_report(&self, pointer: &str) -> Result<String, Problem> {
        let id = self.text(pointer);
        match self.state.wiz.reports.report(&id) {
            Some(_) => Ok(id),
            None => Err(Problem::new("NOT_FOUND", "report not found")),
        }
    }

    fn known_run(&self) -> Result<String, Problem> {
        let id = self.text("/id");
        match self.state.wiz.reports.run(&id) {
            Some(_) => Ok(id),
            None => Err(Problem::new("NOT_FOUND", "report run not found")),
        }
    }

    /// Starts a run of a report; its file is made in the background.
    fn start_run(&mut self, report: &str) {
        let settings = &self.shared.settings;
        let effects = self.state.faults.of_run();
        let (made, file) = PendingFile::new();
        let run = Run::new(
            report.to_owned(),
            self.now,
            settings.report_duration,
            file,
            effects,
        );
        let reports = &mut self.state.wiz.reports;
        let id = reports.start(run, settings.stale_last_run_reads, settings.stale_last_run_for);
        let spec = reports.report(report).map(|report| report.spec.clone());
        let (source, spec) = (
            self.state.source.clone(),
            spec.expect("the run was started for it"),
        );
        self.shared.shutdown.spawn(async move {
            let gzip = spec.compression == "GZIP";
            let making = move || MadeFile::make(&source, &spec.asked, gzip, &id);
            let outcome = match tokio::task::spawn_blocking(making).await {
                Ok(Ok(file)) => Ok(Arc::new(file)),
                Ok(Err(problem)) => Err(problem.to_string()),
                Err(_) => Err("the simulator failed to make the file".to_owned()),
            };
            made.send_replace(Some(outcome));
        });
    }
}

fn report(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let id = caller.known_report("/id")?;
    Ok(report_value(caller, &id, true))
}

fn reports(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let (search, types) = (
        caller.text("/filterBy/search"),
        caller.argument("/filterBy/type").cloned(),
    );
    let wanted = caller.state.wiz.reports.all().filter(|(_, report)| {
        let spec = &report.spec;
        // The search looks at parts of names, whatever their case.
        let named = spec.name.to_lowercase().contains(&search.to_lowercase());
        let of_type = types.as_ref().and_then(Value::as_array);
        named && of_type.is_none_or(|types| types.iter().any(|kind| *kind == spec.kind))
    });
    let ids: Vec<String> = wanted.map(|(id, _)| id.clone()).collect();
    connection(caller, "Report", &ids, |caller, id| {
        report_value(caller, id, true)
    })
}

fn report_run(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let id = caller.known_run()?;
    Ok(run_value(caller, &id))
}

fn report_runs(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let report = caller.text("/filterBy/reportId");
    let wanted = caller
        .state
        .wiz
        .reports
        .runs()
        .filter(|(_, run)| report.is_empty() || run.report == report);
    let ids: Vec<String> = wanted.map(|(id, _)| id.clone()).collect();
    connection(caller, "ReportRun", &ids, run_value)
}

fn connection(
    caller: &mut Caller<'_>,
    of: &str,
    ids: &[String],
    value: impl Fn(&mut Caller<'_>, &str) -> Value,
) -> Result<Value, Problem> {
    let Page { from, first } = page(caller, 500)?;
    let shown = ids.get(from..).unwrap_or_default();
    let nodes: Vec<Value> = shown.iter().take(first).map(|id| value(caller, id)).collect();
    let edge = |(at, node): (usize, &Value)| json!({"__typename": format!("{of}Edge"), "cursor": (from + at + 1).to_string(), "node": node});
    Ok(json!({
        "__typename": format!("{of}Connection"),
        "edges": nodes.iter().enumerate().map(edge).collect::<Vec<_>>(),
        "pageInfo": page_info(from + nodes.len(), shown.len() > first),
        "totalCount": ids.len(),
        "nodes": nodes,
    }))
}

/// The part of a list that is asked for.
pub(super) struct Page {
    pub(super) from: usize,
    pub(super) first: usize,
}

pub(super) fn page(caller: &Caller<'_>, most: u64) -> Result<Page, Problem> {
    let bad = |what: &str| Problem::new("BAD_USER_INPUT", format!("`{what}` is out of range"));
    let first = caller.argument("/first").map_or(Some(20), Value::as_u64);
    let first = first
        .filter(|first| (1..=most).contains(first))
        .ok_or_else(|| bad("first"))?;
    let from = caller
        .argument("/after")
        .map_or(Some(0), |after| after.as_str()?.parse().ok());
    let from = from.ok_or_else(|| bad("after"))?;
    Ok(Page {
        from,
        first: usize::try_from(first).unwrap_or(usize::MAX),
    })
}

pub(super) fn page_info(end: usize, has_next: bool) -> Value {
    json!({"__typename": "PageInfo", "endCursor": has_next.then(|| end.to_string()), "hasNextPage": has_next})
}

fn create_report(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let input = caller.argument("/input").cloned().unwrap_or_default();
    let spec = Spec::read(&caller.shared.settings, &input)?;
    let has_namesake = caller
        .state
        .wiz
        .reports
        .all()
        .any(|(_, report)| report.spec.name == spec.name);
    if has_namesake {
        caller
            .state
            .violation(format!("a second report is called `{}`", spec.name));
    }
    let id = caller.state.wiz.reports.create(spec, caller.now);
    caller.start_run(&id);
    Ok(payload("CreateReportPayload", &report_value(caller, &id, true)))
}

fn update_report(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let id = caller.known_report("/input/id")?;
    if let Some(change) = caller.argument("/input/override").cloned() {
        let now = caller.now;
        let report = caller
            .state
            .wiz
            .reports
            .report_mut(&id)
            .expect("it was found before");
        report.spec = report.spec.changed(&caller.shared.settings, &change)?;
        report.updated_at = now;
    }
    Ok(payload("UpdateReportPayload", &report_value(caller, &id, true)))
}

fn rerun_report(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let id = caller.known_report("/input/id")?;
    caller.start_run(&id);
    // What a rerun answers is as old as what is read after it, and costs no read.
    Ok(payload("RerunReportPayload", &report_value(caller, &id, false)))
}

fn delete_report(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let id = caller.known_report("/input/id")?;
    caller.state.wiz.reports.delete(&id);
    Ok(json!({"__typename": "DeleteReportPayload", "_stub": null}))
}

fn cancel_report_run(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    let id = caller.known_run()?;
    let now = caller.now;
    if let Some(run) = caller
        .state
        .wiz
        .reports
        .run_mut(&id)
        .filter(|run| !run.is_due(now))
    {
        run.cancel();
    }
    Ok(run_value(caller, &id))
}

fn payload(of: &str, report: &Value) -> Value {
    json!({"__typename": of, "report": report})
}
