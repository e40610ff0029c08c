//! The body of an integration: how it is read, and what reads of it carry.

use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;
use utoipa::ToSchema;

use super::faults::Faults;
use super::problem::{Problem, ProblemName};
use super::status::Status;
use crate::domain::{
    AllowedHosts, ApiEndpoint, ClientSecret, Integration, IntegrationId, IntegrationName,
    IntegrationSettings, Timestamp, TokenUrl, UpdateInterval, WizConnection,
};

/// An integration as a client sends it.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the schema of the body; it is read member by member to name every fault at once"
)]
pub(super) struct IntegrationBody {
    /// The unique name: 1 to 64 of letters, digits, `.`, `_`, `-` and space.
    #[schema(
        example = "wiz1",
        max_length = 64,
        pattern = "^[A-Za-z0-9._-]([A-Za-z0-9._ -]*[A-Za-z0-9._-])?$"
    )]
    name: String,
    /// The kind of integration; there is one.
    #[schema(example = "wiz", pattern = "^wiz$")]
    r#type: String,
    /// Whether the schedule starts runs (the Portal's *Auto Update*).
    enabled: bool,
    /// Seconds between two runs of the schedule.
    #[schema(example = 86400, minimum = 86400, maximum = 604_800)]
    updateinterval: u32,
    /// The Wiz tenant and its service account.
    wiz: WizBody,
}

/// A Wiz tenant and its service account, as a client sends them.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the schema of the body; it is read member by member to name every fault at once"
)]
pub(super) struct WizBody {
    /// The GraphQL API; a missing `/graphql` is added.
    #[schema(example = "https://api.us17.app.wiz.io/graphql")]
    apiendpoint: String,
    /// Where tokens are given.
    #[schema(example = "https://auth.app.wiz.io/oauth/token")]
    tokenurl: String,
    /// The service account's client id.
    #[schema(example = "a1b2c3d4", min_length = 1)]
    clientid: String,
    /// The service account's client secret. Required to create; left out of a change, the stored one stays.
    #[schema(write_only, min_length = 1)]
    clientsecret: Option<String>,
}

/// An integration as reads carry it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct IntegrationView {
    id: IntegrationId,
    #[schema(example = "wiz1")]
    name: String,
    #[schema(example = "wiz")]
    r#type: &'static str,
    enabled: bool,
    #[schema(example = 86400)]
    updateinterval: u32,
    wiz: WizView,
    created: Timestamp,
    lastupdated: Timestamp,
    /// Where it stands; the same object as of the status call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    status: Option<Status>,
}

/// A Wiz tenant and its service account, as reads carry them: without the secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct WizView {
    #[schema(example = "https://api.us17.app.wiz.io/graphql")]
    apiendpoint: String,
    #[schema(example = "https://auth.app.wiz.io/oauth/token")]
    tokenurl: String,
    clientid: String,
    /// When the secret was last set.
    clientsecret_set_at: Timestamp,
}

impl IntegrationView {
    /// The view of a stored integration; the audit log takes it without a status.
    pub(super) fn new(integration: &Integration, status: Option<Status>) -> Self {
        let settings = &integration.settings;
        Self {
            id: integration.id,
            name: settings.name.to_string(),
            r#type: "wiz",
            enabled: settings.enabled,
            updateinterval: settings.update_interval.as_secs(),
            wiz: WizView {
                apiendpoint: settings.wiz.api_endpoint.to_string(),
                tokenurl: settings.wiz.token_url.to_string(),
                clientid: settings.wiz.client_id.clone(),
                clientsecret_set_at: integration.client_secret_set_at,
            },
            created: integration.created_at,
            lastupdated: integration.updated_at,
            status,
        }
    }

    /// The view as the audit log keeps it.
    pub(super) fn audit_object(&self) -> Value {
        serde_json::to_value(self).expect("plain data has a JSON form")
    }
}

/// What a body came to.
#[derive(Debug)]
pub(super) struct ReadBody {
    pub(super) settings: IntegrationSettings,
    pub(super) client_secret: Option<ClientSecret>,
    /// What was put right of it, to go on with after a sentence: a URL that came as `http://`. Mostly empty.
    pub(super) put_right: String,
}

/// What a body stands beside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'a> {
    /// A new integration: everything is required.
    Create,
    /// A complete body for an integration that exists: only the secret may be left out.
    Replace(&'a Integration),
    /// Some members of an integration that exists (RFC 7396).
    Patch(&'a Integration),
}

/// Members that reads carry and writes ignore, so that what was read can be sent back.
const READ_ONLY: [&str; 4] = ["id", "created", "lastupdated", "status"];
const READ_ONLY_WIZ: [&str; 1] = ["clientsecret_set_at"];

/// Reads a body, all faults at once.
///
/// # Errors
/// A problem that names each member, what is wrong with it and what would be right.
pub(super) fn read(body: &Value, purpose: Purpose<'_>, allowed: &AllowedHosts) -> Result<ReadBody, Problem> {
    let Value::Object(body) = body else {
        let detail =
            "The body must be a JSON object with `name`, `type`, `enabled`, `updateinterval` and `wiz`.";
        return Err(Problem::new(ProblemName::InvalidBody, detail));
    };
    let present = match purpose {
        Purpose::Create => None,
        Purpose::Replace(integration) | Purpose::Patch(integration) => Some(integration),
    };
    let kept = if let Purpose::Patch(integration) = purpose {
        Some(&integration.settings)
    } else {
        None
    };
    let mut reader = Reader::default();
    reader.refuse_unknown(
        body,
        "",
        &["name", "type", "enabled", "updateinterval", "wiz"],
        &READ_ONLY,
    );
    if let (Some(integration), Some(id)) = (present, body.get("id"))
        && id.as_str() != Some(&integration.id.to_string())
    {
        reader.fault::<()>("/id", "is not the id of this integration; leave it out");
    }
    let name = reader.text(body, "", "name", kept.map(|kept| kept.name.as_str()), |text| {
        text.parse::<IntegrationName>().map_err(|error| error.to_string())
    });
    reader.text(body, "", "type", kept.map(|_| "wiz"), |text| {
        if text == "wiz" {
            Ok(())
        } else {
            Err("must be `wiz`, the one type there is".to_owned())
        }
    });
    let enabled = match (body.get("enabled"), kept) {
        (Some(Value::Bool(enabled)), _) => Some(*enabled),
        (None, Some(kept)) => Some(kept.enabled),
        (None, None) => reader.missing(
            "/enabled",
            "`true` lets the schedule start runs, `false` leaves them to you",
        ),
        (Some(_), _) => reader.fault("/enabled", "must be `true` or `false`"),
    };
    let interval = match (body.get("updateinterval"), kept) {
        (Some(Value::Number(number)), _) => {
            let interval = UpdateInterval::try_from(number.as_i64().unwrap_or(-1));
            interval
                .map_err(|error| reader.fault::<()>("/updateinterval", error.to_string()))
                .ok()
        }
        (None, Some(kept)) => Some(kept.update_interval),
        (None, None) => reader.missing("/updateinterval", "seconds between two runs, 86400 for a day"),
        (Some(_), _) => reader.fault("/updateinterval", crate::domain::UpdateIntervalError.to_string()),
    };
    let wiz = read_wiz(&mut reader, body, present, kept.map(|kept| &kept.wiz), allowed);
    match (name, enabled, interval, wiz) {
        (Some(name), Some(enabled), Some(update_interval), Some((wiz, client_secret)))
            if reader.faults.count() == 0 =>
        {
            let settings = IntegrationSettings {
                name,
                enabled,
                update_interval,
                wiz,
            };
            let put_right = put_right(body, &settings.wiz);
            Ok(ReadBody {
                settings,
                client_secret,
                put_right,
            })
        }
        _ => Err(reader.faults.problem()),
    }
}

/// Names the URLs that came with `http://` and are kept with `https://`.
fn put_right(body: &Map<String, Value>, kept: &WizConnection) -> String {
    let kept = [
        ("apiendpoint", kept.api_endpoint.to_string()),
        ("tokenurl", kept.token_url.to_string()),
    ];
    let changed = kept.iter().filter(|(member, kept)| {
        let came = body.get("wiz").and_then(|wiz| wiz.get(member)?.as_str());
        // Looked at as it was read: `http:\\api…` and others are `http://` to readers of URLs.
        let came = came.and_then(|came| Url::parse(came.trim()).ok());
        came.is_some_and(|came| came.scheme() == "http") && kept.starts_with("https://")
    });
    let told =
        |(member, kept): &(&str, String)| format!("; `wiz.{member}` came as http:// and became {kept}");
    changed.map(told).collect()
}

/// Reads the member `wiz`; what `kept` has may be left out.
fn read_wiz(
    reader: &mut Reader,
    body: &Map<String, Value>,
    present: Option<&Integration>,
    kept: Option<&WizConnection>,
    allowed: &AllowedHosts,
) -> Option<(WizConnection, Option<ClientSecret>)> {
    let empty = Map::new();
    let wiz = match (body.get("wiz"), kept) {
        (Some(Value::Object(wiz)), _) => wiz,
        (None, Some(_)) => &empty,
        (None, None) => {
            return reader.missing(
                "/wiz",
                "an object with `apiendpoint`, `tokenurl`, `clientid` and `clientsecret`",
            );
        }
        (Some(_), _) => return reader.fault("/wiz", "must be an object"),
    };
    reader.refuse_unknown(
        wiz,
        "/wiz",
        &["apiendpoint", "tokenurl", "clientid", "clientsecret"],
        &READ_ONLY_WIZ,
    );
    let kept_api = kept.map(|kept| kept.api_endpoint.to_string());
    let api_endpoint = reader.text(wiz, "/wiz", "apiendpoint", kept_api.as_deref(), |text| {
        ApiEndpoint::read(text, allowed).map_err(|error| error.to_string())
    });
    let kept_token = kept.map(|kept| kept.token_url.to_string());
    let token_url = reader.text(wiz, "/wiz", "tokenurl", kept_token.as_deref(), |text| {
        TokenUrl::read(text, allowed).map_err(|error| error.to_string())
    });
    let kept_client = kept.map(|kept| kept.client_id.as_str());
    let client_id = reader.text(wiz, "/wiz", "clientid", kept_client, |text| match text.trim() {
        "" => Err("must not be empty".to_owned()),
        text if text.len() > 1024 || text.chars().any(char::is_control) => {
            Err("must be the client id as Wiz shows it".to_owned())
        }
        text => Ok(text.to_owned()),
    });
    let client_secret = match wiz.get("clientsecret") {
        Some(Value::String(text)) if is_secret(text) => Some(ClientSecret::new(text.trim())),
        Some(_) => reader.fault(
            "/wiz/clientsecret",
            "must be the secret itself, a text without control characters that is neither empty nor a mask; leave it out to keep the stored one",
        ),
        None => {
            let stored = present.map(|present| &present.settings.wiz);
            let moved = |stored: &WizConnection| {
                token_url.as_ref().is_some_and(|url| *url != stored.token_url)
                    || client_id.as_ref().is_some_and(|id| *id != stored.client_id)
            };
            if stored.is_none() {
                reader.missing::<()>("/wiz/clientsecret", "the secret of the service account");
            } else if stored.is_some_and(moved) {
                reader.fault::<()>(
                    "/wiz/clientsecret",
                    "is required when `tokenurl` or `clientid` changes, for the stored secret belongs to the old ones",
                );
            }
            None
        }
    };
    Some((
        WizConnection {
            api_endpoint: api_endpoint?,
            token_url: token_url?,
            client_id: client_id?,
        },
        client_secret,
    ))
}

fn is_secret(text: &str) -> bool {
    let text = text.trim();
    let is_mask = text.chars().all(|char| matches!(char, '*' | '•' | '…'));
    !text.is_empty() && text.len() <= 4096 && !is_mask && !text.chars().any(char::is_control)
}

/// Collects faults, so that one answer names them all.
#[derive(Default)]
struct Reader {
    faults: Faults,
}

impl Reader {
    fn fault<T>(&mut self, pointer: &str, detail: impl Into<String>) -> Option<T> {
        self.faults.add(pointer, detail);
        None
    }

    fn missing<T>(&mut self, pointer: &str, what: &str) -> Option<T> {
        self.fault(pointer, format!("is missing: {what}"))
    }

    fn refuse_unknown(&mut self, object: &Map<String, Value>, at: &str, known: &[&str], ignored: &[&str]) {
        let detail = format!("is not a member; known are {}", known.join(", "));
        self.faults
            .refuse_unknown(object, at, &[known, ignored].concat(), &detail);
    }

    fn text<T>(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        member: &str,
        kept: Option<&str>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let pointer = format!("{at}/{member}");
        let text = match (object.get(member), kept) {
            (Some(Value::String(text)), _) => text.as_str(),
            (None, Some(kept)) => {
                // What is stored was checked when it came.
                return read(kept)
                    .map_err(|detail| self.fault::<()>(&pointer, detail))
                    .ok();
            }
            (None, None) => return self.missing(&pointer, "it is required"),
            (Some(_), _) => return self.fault(&pointer, "must be a text"),
        };
        read(text)
            .map_err(|detail| self.fault::<()>(&pointer, detail))
            .ok()
    }
}
