//! The OpenAPI document.

use super::rules::{SCHEME, describe_layers};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};

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
    modifiers(&ApiKey),
    tags(
        (name = "integrations", description = "The connections to Wiz tenants"),
        (name = "runs", description = "Runs and dry runs"),
        (name = "labels", description = "What Fusion holds by the ledger"),
        (name = "keys", description = "Who may call, and what they may do"),
        (name = "audit", description = "Who did what, when"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Document;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(
            "An API key. Each call names the least role that it takes as the scope: `readonly` reads; `operator` runs, \
             cancels, approves, checks and verifies too; `admin` does everything."
                .to_owned(),
        );
        let scheme = SecurityScheme::Http(scheme);
        document
            .components
            .get_or_insert_default()
            .add_security_scheme(SCHEME, scheme);
        document.security = Some(vec![SecurityRequirement::new(SCHEME, [] as [&str; 0])]);
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
    let mut document = super::router::routes().into_openapi();
    describe_layers(&mut document);
    document.to_pretty_json().expect("the document has a JSON form") + "\n"
}
