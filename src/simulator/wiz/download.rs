//! `GET /report-files/{run}/…`: the object storage that the pre-signed URLs point to.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::simulator::answer::{self, Answer};
use crate::simulator::fault::{Effect, StatusFault};
use crate::simulator::shared::Shared;

/// Serves the file of a run to whoever has a signature that is still good, and nothing else.
pub(in crate::simulator) async fn report_file(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let met = shared.meet(&["wiz.report_file".to_owned()], |_| true).await;
    if let Some(answer) = met.instead(refusal) {
        return answer;
    }
    if headers.contains_key(header::AUTHORIZATION) {
        shared
            .state()
            .violation("a bearer token was sent to the report file");
        return answer::text(StatusCode::BAD_REQUEST, "Only one auth mechanism allowed");
    }
    let run = uri.path().split('/').nth(2).unwrap_or_default().to_owned();
    let query = uri.query().unwrap_or_default();
    let signature = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "X-Amz-Signature")
        .map(|(_, signature)| signature.into_owned());
    let file = {
        let (state, now) = (shared.state(), shared.now());
        let signed = signature.and_then(|signature| state.wiz.urls.get(&signature));
        if !signed.is_some_and(|(of, expires)| *of == run && now < *expires) {
            return answer::text(StatusCode::FORBIDDEN, "AccessDenied: Request has expired");
        }
        let file = state.wiz.reports.run(&run).map(|run| run.file.made());
        file.flatten().and_then(Result::ok)
    };
    let Some(file) = file else {
        return answer::text(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let truncate = met.0.iter().find_map(|effect| match effect {
        Effect::Truncate { bytes, ending } => Some((*bytes, *ending)),
        _ => None,
    });
    met.sent(
        file.serve(&headers, shared.settings.gzip_as_encoding, truncate)
            .await,
    )
}

fn refusal(fault: &StatusFault) -> Answer {
    let text = fault
        .message
        .as_deref()
        .unwrap_or("the storage was told to refuse this");
    answer::with_retry_after(
        answer::text(answer::status(fault.status), text),
        fault.retry_after_s,
    )
}
