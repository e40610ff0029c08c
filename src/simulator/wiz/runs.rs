//! How reports and their runs look in answers.

use serde_json::{Value, json};

use super::account::Caller;

/// A report with its runs. Naming the last run counts as a read of it, when the client asks for it and `is_read` says so.
pub(super) fn report_value(caller: &mut Caller<'_>, id: &str, is_read: bool) -> Value {
    let is_read = is_read && caller.field.asks("lastRun");
    let last = caller.state.wiz.reports.last_run(id, caller.now, is_read);
    let successful = caller.state.wiz.reports.last_successful_run(id, caller.now);
    let mut value = report_alone(caller, id);
    value["lastRun"] = last.map(|run| run_value(caller, &run)).unwrap_or_default();
    value["lastSuccessfulRun"] = successful.map(|run| run_value(caller, &run)).unwrap_or_default();
    value
}

/// A report without its runs.
fn report_alone(caller: &Caller<'_>, id: &str) -> Value {
    let Some(report) = caller.state.wiz.reports.report(id) else {
        return Value::Null;
    };
    let mut value = report.spec.members();
    value["__typename"] = "Report".into();
    value["id"] = id.into();
    value["createdAt"] = report.created_at.to_string().into();
    value["updatedAt"] = report.updated_at.to_string().into();
    value
}

/// A run. Each time its URL is asked for it gets a new signature.
pub(super) fn run_value(caller: &mut Caller<'_>, id: &str) -> Value {
    let Some(run) = caller.state.wiz.reports.run(id) else {
        return Value::Null;
    };
    let (standing, rows, run_at) = (run.standing(caller.now), run.count(caller.now), run.started_at);
    let report = run.report.clone();
    let results = rows.map(|rows| json!({"__typename": "ReportRunResultsVulnerabilities", "count": rows}));
    let url = (standing.status == "COMPLETED" && caller.field.asks("url")).then(|| signed_url(caller, id));
    json!({
        "__typename": "ReportRun",
        "id": id,
        "status": standing.status,
        "progress": standing.progress,
        "runAt": run_at.to_string(),
        "url": url,
        "failedReason": standing.failed_reason,
        "results": results,
        "report": report_alone(caller, &report),
    })
}

fn signed_url(caller: &mut Caller<'_>, run: &str) -> String {
    let signature = caller.state.new_secret("");
    let life = caller.shared.settings.url_life;
    let signed = (run.to_owned(), caller.now + life);
    caller.state.wiz.urls.insert(signature.clone(), signed);
    let (host, seconds) = (caller.host, life.as_secs());
    format!(
        "http://{host}/report-files/{run}/vulnerabilities.csv?X-Amz-Expires={seconds}&X-Amz-Signature={signature}"
    )
}
