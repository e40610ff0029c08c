//! All routes, with what every request passes through.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use super::problem::{Problem, ProblemName};
use super::rate_limit::RateLimits;
use super::state::AppState;
use super::{
    addresses, adoption, approval, audit, auth, browser, check, deletion, events, health, integrations,
    openapi, plan, rate_limit, records, request_id, run_calls, runs, verification,
};

/// The greatest body: a thousand times the largest that a call needs.
const MAX_BODY_BYTES: usize = 1024 * 1024;

const BASE: &str = "/api/v1";
const DOCUMENT: &str = "/api/v1/openapi.json";

/// The routes without their documents, which take long to make: those that need no key, and those that need one.
static ROUTES: LazyLock<[Router<AppState>; 2]> =
    LazyLock::new(|| [open_routes(), keyed_routes()].map(|routes| routes.split_for_parts().0));

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
        .routes(routes!(audit::search))
        .routes(routes!(audit::read))
        .routes(routes!(audit::list))
        .route("/integrations/context/{id}/run", head(run_calls::no_head));
    OpenApiRouter::new()
        .nest(BASE, api)
        .routes(routes!(health::metrics))
}

/// The service as a router.
pub fn router(app: AppState) -> Router {
    let json = LazyLock::force(&OPENAPI).clone();
    let served =
        move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], json).into_response());
    let [open, keyed] = ROUTES.clone();
    // The last one is the first that a request meets.
    let limits = RateLimits::new(app.clock.clone(), app.settings.requests_per_second);
    let keyed = keyed
        .route_layer(from_fn_with_state(limits.clone(), rate_limit::by_key))
        .route_layer(from_fn_with_state(app.clone(), auth::require_key))
        .route_layer(from_fn_with_state(limits, rate_limit::by_address));
    let mut router = open.merge(keyed).route(DOCUMENT, get(served));
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
        .with_state(app)
}

async fn nothing_there() -> Problem {
    Problem::new(
        ProblemName::NotFound,
        "There is nothing at this path. The calls are listed in /api/v1/openapi.json.",
    )
}

async fn wrong_method() -> Problem {
    Problem::new(
        ProblemName::MethodNotAllowed,
        "This path is not served with this method; the header `Allow` names those that are.",
    )
}

/// What a handler's panic says may carry anything, so nobody gets to read it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    let detail = "The service could not do this because of a fault of its own. The log tells more under this request_id.";
    let mut response = Problem::new(ProblemName::Internal, detail).into_response();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
