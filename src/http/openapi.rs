//! The OpenAPI document.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};

use super::refusals;

/// What the document says beside the routes.
#[derive(Debug, utoipa::OpenApi)]
#[openapi(
    info(
        title = "wiz-context",
        description = "Keeps the IP context labels of a Netography Fusion account equal to what Wiz knows of its vulnerable \
            assets. Calls have the shapes of Fusion's own context-integration and audit calls.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This service")),
    modifiers(&Shared),
    tags(
        (name = "integrations", description = "The connections to Wiz tenants"),
        (name = "runs", description = "Runs and dry runs"),
        (name = "labels", description = "What Fusion holds by the ledger"),
        (name = "audit", description = "Who did what, when"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Document;

/// What calls refer to.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api_key", scheme);
        refusals::describe(components);
        document.security = Some(vec![SecurityRequirement::new("api_key", [] as [&str; 0])]);
    }
}

/// The document without routes.
pub(super) fn base() -> OpenApi {
    Document::openapi()
}

/// The whole document as text, with a line end at its end.
///
/// # Panics
/// Never: the document has a JSON form.
pub fn openapi_json() -> String {
    let document = super::router::routes().into_openapi();
    document.to_pretty_json().expect("the document has a JSON form") + "\n"
}
