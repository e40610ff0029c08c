//! All routes, with what every request passes through.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, MatchedPath};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use super::problem::{Problem, ProblemName};
use super::rate_limit::RateLimits;
use super::rules::Rules;
use super::state::AppState;
use super::{
    addresses, adoption, api_keys, approval, audit, audit_search, auth, browser, check, deletion, events,
    health, idempotency, integrations, negotiation, openapi, plan, rate_limit, records, request_id,
    run_calls, runs, verification,
};

/// The greatest body: a thousand times the largest that a call needs.
const MAX_BODY_BYTES: usize = 1024 * 1024;

const BASE: &str = "/api/v1";
const DOCUMENT: &str = "/api/v1/openapi.json";

/// The routes: those that need no key, and those that need one, with what each call asks of its caller.
struct Routes {
    open: Router<AppState>,
    keyed: Router<AppState>,
    rules: Rules,
}

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let (open, open_document) = open_routes().split_for_parts();
    let (keyed, keyed_document) = keyed_routes().split_for_parts();
    Routes {
        open,
        keyed,
        rules: Rules::of([&open_document, &keyed_document]),
    }
});

/// The rules of all calls.
pub(super) fn rules() -> &'static Rules {
    &ROUTES.rules
}

/// The document that describes them.
static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| openapi::openapi_json().into());

/// The routes that need a key, with their documents, and those that need none.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(open_routes())
        .merge(keyed_routes())
}

fn open_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

fn keyed_routes() -> OpenApiRouter<AppState> {
    let api = OpenApiRouter::new()
        .routes(routes!(integrations::list, integrations::create))
        .routes(routes!(
            integrations::read,
            integrations::replace,
            integrations::update,
            deletion::delete
        ))
        .routes(routes!(integrations::status))
        .routes(routes!(check::check))
        .routes(routes!(run_calls::start, run_calls::start_dry))
        .routes(routes!(records::list))
        .routes(routes!(addresses::read))
        .routes(routes!(adoption::adopt))
        .routes(routes!(verification::verify))
        .routes(routes!(runs::list))
        .routes(routes!(runs::list_of_integration))
        .routes(routes!(runs::read))
        .routes(routes!(runs::cancel))
        .routes(routes!(approval::approve))
        .routes(routes!(plan::list))
        .routes(routes!(events::follow))
        .routes(routes!(audit_search::search))
        .routes(routes!(audit::read))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(audit::verify))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::delete))
        .route("/integrations/context/{id}/run", head(run_calls::no_head));
    OpenApiRouter::new()
        .nest(BASE, api)
        .routes(routes!(health::metrics))
}

/// The service as a router.
pub fn router(app: AppState) -> Router {
    let json = LazyLock::force(&OPENAPI).clone();
    let served = move |headers: HeaderMap| std::future::ready(document(&headers, json.clone()));
    // The last one is the first that a request meets.
    let limits = RateLimits::new(app.clock.clone(), app.settings.requests_per_second);
    let keyed = ROUTES
        .keyed
        .clone()
        .route_layer(from_fn_with_state(app.clone(), idempotency::repeat))
        .route_layer(from_fn(negotiation::require_acceptable))
        .route_layer(from_fn_with_state(limits.clone(), rate_limit::by_key))
        // Comes before them: whoever has no key learns nothing. It leaves who calls on the request.
        .route_layer(from_fn_with_state(app.clone(), auth::require_key))
        .route_layer(from_fn_with_state(limits, rate_limit::by_address));
    let mut router = ROUTES.open.clone().merge(keyed).route(DOCUMENT, get(served));
    if app.settings.docs {
        router = router.merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from(DOCUMENT)));
    }
    let mut router = router
        .fallback(nothing_there)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(browser::refuse_doubles));
    if !app.settings.cors_origins.is_empty() {
        router = router.layer(browser::cross_origin(&app.settings.cors_origins));
    }
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(browser::protect))
        .layer(from_fn_with_state(app.clone(), request_id::layer))
        .layer(CompressionLayer::new())
        .with_state(app)
}

/// The document, unless the caller has this one already.
fn document(headers: &HeaderMap, json: Bytes) -> Response {
    static TAG: LazyLock<String> = LazyLock::new(|| {
        let hash = digest(&SHA256, &OPENAPI);
        let first = hash
            .as_ref()
            .iter()
            .take(8)
            .fold(0, |first: u64, byte| first << 8 | u64::from(*byte));
        format!("\"{first:016x}\"")
    });
    if negotiation::is_known(headers, &TAG) {
        return negotiation::not_modified(&TAG);
    }
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::ETAG, TAG.as_str()),
    ];
    (headers, json).into_response()
}

async fn nothing_there() -> Problem {
    Problem::new(
        ProblemName::NotFound,
        "There is nothing at this path. The calls are listed in /api/v1/openapi.json.",
    )
}

/// `OPTIONS` tells the methods of a path; it needs no key, as the document does not.
async fn wrong_method(method: Method, path: Option<MatchedPath>) -> Response {
    let allowed = rules().methods(path.as_ref().map_or("", MatchedPath::as_str));
    let answer = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let detail = format!("This path is not served with this method, but with {allowed}.");
        Problem::new(ProblemName::MethodNotAllowed, detail).into_response()
    };
    ([(header::ALLOW, allowed)], answer).into_response()
}

/// What a handler's panic says may carry anything, so nobody gets to read it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    let detail = "The service could not do this because of a fault of its own. The log tells more under this request_id.";
    let mut response = Problem::new(ProblemName::Internal, detail).into_response();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
