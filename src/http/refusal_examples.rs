//! Examples of what single calls refuse for reasons of their own, made by what makes the refusals themselves.

use utoipa::openapi::RefOr;
use utoipa::openapi::path::Operation;

use super::problem::{FieldError, Problem, ProblemName};
use super::refusals::{self, MEDIA_TYPE};
use crate::domain::{Address, RunId, RunState, Trigger};
use crate::store::StoreError;

/// Gives each refusal that an operation describes itself its example.
pub(super) fn exemplify(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let Some(RefOr::T(content)) = response.content.get_mut(MEDIA_TYPE) else {
            continue;
        };
        content.example = example(&id, status).map(refusals::example_of);
    }
}

/// What a call answers with a status, in one of the cases of which its description tells.
fn example(operation: &str, status: &str) -> Option<Problem> {
    let told = |name, detail: &str| Problem::new(name, detail);
    let problem = match (operation, status) {
        ("create_integration" | "replace_integration" | "update_integration" | "create_api_key", "409") => {
            StoreError::NameTaken.into()
        }
        ("delete_integration", "409") => StoreError::RunEnding(run()).into(),
        ("delete_api_key", "409") => StoreError::LastAdminKey.into(),
        ("start_run" | "start_dry_run" | "verify_labels", "409") => {
            StoreError::RunUnderWay(run(), Trigger::Verify).into()
        }
        ("approve_run", "409") => StoreError::NothingHeld.into(),
        ("cancel_run", "409") => StoreError::RunEnded(RunState::Succeeded).into(),
        ("approve_run", "404") => Problem::not_found("run"),
        ("list_integration_runs", "404") => Problem::not_found("integration"),
        ("list_plan_steps", "404") => super::plan::no_plan(false),
        ("list_plan_steps", "410") => super::plan::dropped(),
        ("start_dry_run", "405") => told(
            ProblemName::MethodNotAllowed,
            "This path is not served with this method, but with GET,PUT,OPTIONS.",
        ),
        ("read_address", "400") => {
            let problem = Address::read("10.0.0.0/8").expect_err("it is a network");
            let error = FieldError::new("{ip}", format!("is {problem}"));
            Problem::of_members(ProblemName::InvalidBody, vec![error])
        }
        ("adopt_labels", "400") => {
            let error = FieldError::new("/0/ip", "must be there, as a text");
            Problem::of_members(ProblemName::InvalidBody, vec![error])
        }
        ("check_readiness", "500") => told(
            ProblemName::Internal,
            "The service could not do this because of a fault of its own. The log tells more under this request_id.",
        ),
        _ => return None,
    };
    Some(problem)
}

fn run() -> RunId {
    let id = "01a20d2a-3996-73a0-af57-c27859874f3e".parse();
    id.expect("it is written as ids are")
}
