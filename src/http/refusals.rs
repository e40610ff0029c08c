//! What calls refuse, as the OpenAPI document has it: each kind of refusal is described once, and calls name those that
//! they share.
//!
//! A call that refuses for a reason of its own says so beside these, and after them: the last description of a status
//! counts.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::IntoResponses;
use utoipa::openapi::{Components, Content, Ref, RefOr, Response, ResponseBuilder};

use super::problem::{FieldError, Problem, ProblemName};

/// The media type of problems.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// What every call that needs a key can answer.
pub(super) struct Refusals;

/// What a call that needs no key can answer: a header came twice.
pub(super) struct OpenRefusals;

/// What a call on something that may not exist can answer.
pub(super) struct Missing;

/// What a call with a body can answer.
pub(super) struct BodyRefusals;

/// What a call that takes `If-Match` can answer.
pub(super) struct Stale;

/// A kind of refusal: its name in the document, its problem, when it comes, and an example of its detail.
struct Kind {
    name: &'static str,
    problem: ProblemName,
    description: &'static str,
    example: &'static str,
}

const INVALID: Kind = Kind {
    name: "InvalidRequest",
    problem: ProblemName::InvalidBody,
    description: "A parameter or a member of the body is wrong; each one is named",
    example: "",
};

const UNAUTHORIZED: Kind = Kind {
    name: "Unauthorized",
    problem: ProblemName::Unauthorized,
    description: "No valid API key",
    example: "Send an API key: `Authorization: Bearer <key>`.",
};

const FORBIDDEN: Kind = Kind {
    name: "Forbidden",
    problem: ProblemName::Forbidden,
    description: "The role of the API key is too narrow",
    example: "The role of the API key is `readonly`, and this call needs `operator`. Use a key of that role; one is made by \
              `POST /api/v1/api-keys`.",
};

const NOT_ACCEPTABLE: Kind = Kind {
    name: "NotAcceptable",
    problem: ProblemName::NotAcceptable,
    description: "The header `Accept` takes none of the types of this answer",
    example: "This call answers with `application/json`, which the header `Accept` does not take. Send that, or `*/*`.",
};

const UNDER_WAY: Kind = Kind {
    name: "RequestUnderWay",
    problem: ProblemName::RequestUnderWay,
    description: "A call with the same `Idempotency-Key` is under way",
    example: "The first call with this Idempotency-Key is under way. Repeat it in a moment.",
};

const MISMATCH: Kind = Kind {
    name: "IdempotencyMismatch",
    problem: ProblemName::IdempotencyMismatch,
    description: "The `Idempotency-Key` was used for another call or body",
    example: "The Idempotency-Key was used for another call or body within the last day. Repeat that one, or take a new key.",
};

const NOT_FOUND: Kind = Kind {
    name: "NotFound",
    problem: ProblemName::NotFound,
    description: "There is none with this id",
    example: "There is no integration with this id. List them to see which there are.",
};

const STALE: Kind = Kind {
    name: "PreconditionFailed",
    problem: ProblemName::PreconditionFailed,
    description: "It changed meanwhile: `If-Match` names another version",
    example: "The settings are at version \"3\" by now. Read them again and repeat the change with that If-Match.",
};

const TOO_LARGE: Kind = Kind {
    name: "TooLarge",
    problem: ProblemName::TooLarge,
    description: "The body is too large",
    example: "The body is larger than 1 MiB, which no call of this service needs.",
};

const MEDIA: Kind = Kind {
    name: "UnsupportedMediaType",
    problem: ProblemName::UnsupportedMediaType,
    description: "The body is not JSON",
    example: "Send the body as JSON, with the header `Content-Type: application/json`.",
};

const SLOW: Kind = Kind {
    name: "RequestTimeout",
    problem: ProblemName::Slow,
    description: "The body did not come in time",
    example: "The body did not come within 30 s. Send it again, without pauses.",
};

const RATE_LIMITED: Kind = Kind {
    name: "RateLimited",
    problem: ProblemName::RateLimited,
    description: "Too many requests of this caller; `Retry-After` says when to try again",
    example: "These are too many requests. Try again after 1 s, and ask less often.",
};

const FAULT: Kind = Kind {
    name: "Fault",
    problem: ProblemName::Internal,
    description: "A fault of the service; the log tells more",
    example: "The service could not do this because of a fault of its own. The log tells more under this request_id.",
};

/// All kinds, as the document lists them.
const KINDS: [&Kind; 13] = [
    &SLOW,
    &RATE_LIMITED,
    &INVALID,
    &UNAUTHORIZED,
    &FORBIDDEN,
    &NOT_ACCEPTABLE,
    &UNDER_WAY,
    &MISMATCH,
    &NOT_FOUND,
    &STALE,
    &TOO_LARGE,
    &MEDIA,
    &FAULT,
];

impl Kind {
    fn response(&self) -> Response {
        let problem = if self.example.is_empty() {
            let detail = "must be a whole number of seconds from 86400 (one day) to 604800 (one week)";
            Problem::of_members(self.problem, vec![FieldError::new("/updateinterval", detail)])
        } else {
            Problem::new(self.problem, self.example)
        };
        let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
        content.example = Some(example_of(problem));
        ResponseBuilder::new()
            .description(self.description)
            .content(MEDIA_TYPE, content)
            .build()
    }
}

/// A problem as it would be answered.
pub(super) fn example_of(problem: Problem) -> Value {
    let body = problem.body("3f1c7a52-6f0e-4d38-8f2b-6f3c1f0d9a11".to_owned());
    serde_json::to_value(body).expect("plain data has a JSON form")
}

/// References to kinds, by their status.
fn refer(kinds: &[&Kind]) -> BTreeMap<String, RefOr<Response>> {
    let entry = |kind: &&Kind| {
        let reference = RefOr::Ref(Ref::from_response_name(kind.name));
        (kind.problem.status().as_u16().to_string(), reference)
    };
    kinds.iter().map(entry).collect()
}

/// What a layer before the handlers can answer to a call that asks for a role.
pub(super) fn of_roles() -> BTreeMap<String, RefOr<Response>> {
    refer(&[&FORBIDDEN])
}

/// What a layer before the handlers can answer to a call with answers of one type.
pub(super) fn of_types() -> BTreeMap<String, RefOr<Response>> {
    refer(&[&NOT_ACCEPTABLE])
}

/// What a layer before the handlers can answer to a call that may be repeated.
pub(super) fn of_repetitions() -> BTreeMap<String, RefOr<Response>> {
    refer(&[&INVALID, &SLOW, &UNDER_WAY, &TOO_LARGE, &MISMATCH])
}

/// Writes the kinds down where calls refer to them.
pub(super) fn describe(components: &mut Components) {
    for kind in KINDS {
        components
            .responses
            .insert(kind.name.to_owned(), kind.response().into());
    }
}

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refer(&[&INVALID, &UNAUTHORIZED, &RATE_LIMITED, &FAULT])
    }
}

impl IntoResponses for OpenRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refer(&[&INVALID])
    }
}

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refer(&[&NOT_FOUND])
    }
}

impl IntoResponses for BodyRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refer(&[&SLOW, &TOO_LARGE, &MEDIA])
    }
}

impl IntoResponses for Stale {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refer(&[&STALE])
    }
}
