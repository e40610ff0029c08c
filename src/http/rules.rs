//! What each call asks of its caller, read from the calls' own documents: one place says it, and the document tells it too.

use std::collections::{BTreeMap, HashMap};

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use utoipa::openapi::{HttpMethod, OpenApi, PathItem, RefOr, Response, path::Operation};

use super::refusals;

use crate::domain::Role;

/// The name of the security scheme whose scopes are roles.
pub(super) const SCHEME: &str = "api_key";

/// The searches: a `POST` that changes nothing, so that it may be repeated anyway.
const SEARCHES: [&str; 1] = ["search_audit"];

/// The calls by `GET` that start something, so that `HEAD` is not served.
const STARTERS: [&str; 1] = ["start_dry_run"];

/// What a call asks of its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The least role; none where no key is needed.
    pub(super) role: Option<Role>,
    /// The media types of its answers when it succeeds.
    pub(super) produces: Vec<String>,
    /// Whether an `Idempotency-Key` counts.
    pub(super) is_repeatable: bool,
    /// Whether `HEAD` is served beside `GET`.
    has_head: bool,
}

/// The rules of all calls, by method and path.
#[derive(Debug)]
pub(super) struct Rules(HashMap<(Method, String), Rule>);

impl Rules {
    /// The rules of the calls that documents describe.
    pub(super) fn of<'a>(documents: impl IntoIterator<Item = &'a OpenApi>) -> Self {
        let mut rules = HashMap::new();
        for document in documents {
            for (path, item) in &document.paths.paths {
                for (method, operation) in operations(item) {
                    rules.insert((method_of(&method), path.clone()), rule(&method, path, operation));
                }
            }
        }
        Self(rules)
    }

    /// The methods that a path is served with, for the header `Allow`.
    pub(super) fn methods(&self, path: &str) -> String {
        let known = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        let mut methods = Vec::new();
        for method in known {
            if let Some(rule) = self.0.get(&(method.clone(), path.to_owned())) {
                methods.push(method.to_string());
                methods.extend(rule.has_head.then(|| "HEAD".to_owned()));
            }
        }
        if methods.is_empty() {
            // What is served beside the calls is there to be read.
            methods.extend(["GET".to_owned(), "HEAD".to_owned()]);
        }
        methods.push("OPTIONS".to_owned());
        methods.join(",")
    }
}

/// The rule of a request's call; none where the path is not served with the method. `HEAD` is as `GET`.
pub(super) fn rule_of(request: &Request) -> Option<&'static Rule> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let method = match *request.method() {
        Method::HEAD => Method::GET,
        ref method => method.clone(),
    };
    super::router::rules().0.get(&(method, path.to_owned()))
}

fn rule(method: &HttpMethod, path: &str, operation: &Operation) -> Rule {
    let mut produces = Vec::new();
    for (status, response) in &operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            produces.extend(response.content.keys().cloned());
        }
    }
    let id = operation.operation_id.as_deref().unwrap_or_default();
    Rule {
        role: required_role(operation),
        produces,
        is_repeatable: match method {
            HttpMethod::Post => !SEARCHES.contains(&id),
            HttpMethod::Put => path.ends_with("/run"),
            _ => false,
        },
        has_head: *method == HttpMethod::Get && !STARTERS.contains(&id),
    }
}

/// The role in a call's document. One whose document names none is for the widest role: what was forgotten is not open.
fn required_role(operation: &Operation) -> Option<Role> {
    let requirements = serde_json::to_value(&operation.security).expect("plain data has a JSON form");
    let requirement = requirements.get(0);
    // `security(())` stands for a call without a key.
    if requirement.is_some_and(|requirement| requirement.as_object().is_some_and(serde_json::Map::is_empty)) {
        return None;
    }
    let scope = requirement.and_then(|requirement| requirement.get(SCHEME)?.get(0)?.as_str());
    Some(scope.and_then(Role::read).unwrap_or(Role::Admin))
}

fn operations(item: &PathItem) -> impl Iterator<Item = (HttpMethod, &Operation)> {
    [
        (HttpMethod::Get, &item.get),
        (HttpMethod::Post, &item.post),
        (HttpMethod::Put, &item.put),
        (HttpMethod::Patch, &item.patch),
        (HttpMethod::Delete, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn method_of(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
        _ => Method::GET,
    }
}

/// Adds to the document what the layers before the handlers answer, and what they read.
pub(super) fn describe_layers(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let rule = rule(&method, path, operation);
                describe(&rule, operation);
            }
        }
    }
}

fn describe(rule: &Rule, operation: &mut Operation) {
    let Some(needed) = rule.role else { return };
    let answers = &mut operation.responses.responses;
    let mut add = |refusals: BTreeMap<String, RefOr<Response>>| {
        for (status, refusal) in refusals {
            answers.entry(status).or_insert(refusal);
        }
    };
    if needed > Role::Readonly {
        add(refusals::of_roles());
    }
    if !rule.produces.is_empty() && rule.produces.iter().all(|media| is_fixed(media)) {
        add(refusals::of_types());
    }
    if rule.is_repeatable {
        add(refusals::of_repetitions());
        let parameter = utoipa::openapi::path::ParameterBuilder::new()
            .name("idempotency-key")
            .parameter_in(utoipa::openapi::path::ParameterIn::Header)
            .required(utoipa::openapi::Required::False)
            .description(Some(
                "1 to 255 visible characters. A repetition within a day gets the first answer once more and does nothing",
            ))
            .schema(Some(utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String)))
            .build();
        operation
            .parameters
            .get_or_insert_default()
            .push(parameter.into());
    }
    operation
        .extensions
        .get_or_insert_default()
        .insert("x-required-role".to_owned(), needed.as_str().into());
}

/// Whether who takes something else is refused. The text of the figures is taken by each scraper under a name of its own.
pub(super) fn is_fixed(media: &str) -> bool {
    !media.starts_with("application/openmetrics-text")
}
