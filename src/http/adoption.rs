//! `/labels/adopt`: pairs of a former installation come into the ledger.

use axum::Extension;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope};
use super::extract::{Json, Query};
use super::faults::Faults;
use super::problem::{Problem, ProblemBody, ProblemName};
use super::refusals::{BodyRefusals, Refusals};
use super::state::AppState;
use crate::domain::{Address, Context, Pair};
use crate::store::Actor;

/// The most pairs of one call, as of Fusion's own bulk calls.
const MAX_PAIRS: usize = 10_000;

/// The most faults that an answer names.
const MAX_FAULTS: usize = 100;

/// A pair: what Fusion holds one value of.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the schema of the body; it is read member by member to name every fault at once"
)]
pub(super) struct PairBody {
    /// The address.
    #[schema(example = "10.1.2.3")]
    ip: String,
    /// One of the contexts that this service writes.
    #[schema(example = "cve", pattern = "^(cve|cvss_rating|cvss_score|vuln_count)$")]
    context: String,
}

/// What an adoption came to; a pair that was given twice counts once.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct AdoptionView {
    /// Pairs that came into the ledger, in doubt.
    adopted: u64,
    /// Pairs that the ledger knew already; they are as they were.
    known: u64,
}

/// Takes pairs that a former installation wrote into the ledger, in doubt: the next run of any integration writes those
/// that are wanted anew, and **deletes the others in Fusion**. At most 10,000 a call. Pairs that the ledger knows are left
/// as they are.
#[utoipa::path(
    post, path = "/labels/adopt", operation_id = "adopt_labels", tag = "labels",
    security(("api_key" = ["admin"])),
    request_body = Vec<PairBody>,
    responses(
        (status = 200, description = "Adopted", body = Envelope<AdoptionView>),
        Refusals,
        BodyRefusals,
        (status = 400, description = "A pair is wrong, there are too many, or no Fusion account is set", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn adopt(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    query: Query,
    Json(body): Json,
) -> Result<Answer<Envelope<AdoptionView>>, Problem> {
    query.done()?;
    let pairs = read(&body)?;
    let account = app.settings.account.ok_or_else(|| {
        let detail =
            "Pairs are adopted for a Fusion account, and none is set. Set NETOSECRET and start the service again.";
        Problem::new(ProblemName::InvalidBody, detail)
    })?;
    let came = app.store.adopt(account, &pairs, actor, app.clock.now()).await?;
    tracing::info!(
        adopted = came.adopted,
        known = came.known,
        "pairs of a former installation were adopted"
    );
    Ok(Answer::one(AdoptionView {
        adopted: came.adopted,
        known: came.known,
    }))
}

/// Reads the pairs, all faults at once.
fn read(body: &Value) -> Result<Vec<Pair>, Problem> {
    let invalid = |detail: String| Problem::new(ProblemName::InvalidBody, detail);
    let Value::Array(items) = body else {
        let detail =
            "The body must be a JSON array of pairs: [{\"ip\": \"10.1.2.3\", \"context\": \"cve\"}].";
        return Err(invalid(detail.to_owned()));
    };
    if items.len() > MAX_PAIRS {
        return Err(invalid(format!(
            "The body has {} pairs; a call takes at most {MAX_PAIRS}. Send the rest by further calls.",
            items.len()
        )));
    }
    let (mut pairs, mut faults) = (Vec::with_capacity(items.len()), Faults::default());
    for (at, item) in items.iter().enumerate() {
        pairs.extend(pair(at, item, &mut faults));
        if faults.count() >= MAX_FAULTS {
            break;
        }
    }
    faults.none().map(|()| pairs)
}

fn pair(at: usize, item: &Value, faults: &mut Faults) -> Option<Pair> {
    let Value::Object(members) = item else {
        faults.add(format!("/{at}"), "must be an object with `ip` and `context`");
        return None;
    };
    let detail = "is not a member of a pair; send `ip` and `context` only";
    faults.refuse_unknown(members, &format!("/{at}"), &["ip", "context"], detail);
    let mut text = |name: &str| {
        let value = members.get(name).and_then(Value::as_str);
        if value.is_none() {
            faults.add(format!("/{at}/{name}"), "must be there, as a text");
        }
        value
    };
    let (ip, context) = (text("ip"), text("context"));
    let ip = ip.and_then(|ip| match Address::read(ip) {
        Ok(ip) => Some(ip),
        Err(problem) => {
            faults.add(format!("/{at}/ip"), format!("is {problem}"));
            None
        }
    });
    let context = context.and_then(|name| {
        let context = Context::read(name);
        if context.is_none() {
            let detail =
                "must be `cve`, `cvss_rating`, `cvss_score` or `vuln_count`: this service writes no other";
            faults.add(format!("/{at}/context"), detail);
        }
        context
    });
    Some(Pair {
        ip: ip?,
        context: context?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(body: &Value) -> Vec<String> {
        let problem = read(body).unwrap_err().body(String::new());
        problem.errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn every_fault_is_named_by_its_place() {
        let body = json!([
            {"ip": "10.0.0.1", "context": "cve"},
            {"ip": "10.0.0.0/8", "context": "cve"},
            {"ip": "::1"},
            {"ip": "10.0.0.1", "context": "owner", "labels": ["alice"]},
            7,
        ]);
        assert_eq!(
            pointers(&body),
            ["/1/ip", "/2/context", "/2/ip", "/3/labels", "/3/context", "/4"]
        );
        assert_eq!(
            read(&json!({"ip": "10.0.0.1", "context": "cve"}))
                .unwrap_err()
                .body(String::new())
                .name,
            "invalid_body"
        );
    }

    #[test]
    fn addresses_are_read_as_everywhere_and_the_faults_of_a_wrong_file_are_not_all_told() {
        let body =
            json!([{"ip": "::ffff:10.0.0.1", "context": "cve"}, {"ip": "10.0.0.1/32", "context": "cve"}]);
        let pairs = read(&body).unwrap();
        assert_eq!(pairs[0], pairs[1]);
        assert_eq!(
            pointers(&Value::Array(vec![json!(1); MAX_PAIRS])).len(),
            MAX_FAULTS
        );
        let many = Value::Array(vec![json!({"ip": "10.0.0.1", "context": "cve"}); MAX_PAIRS + 1]);
        assert!(
            read(&many)
                .unwrap_err()
                .body(String::new())
                .detail
                .contains("10001")
        );
        assert!(read(&json!([])).unwrap().is_empty());
    }
}
