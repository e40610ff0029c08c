//! What all parts of the simulator share: its settings, the clock, and the state of both neighbours behind one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};

use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::shutdown::Shutdown;

use super::answer::{Answer, cut, empty};
use super::fault::{Effect, Faults, StatusFault};
use super::fusion::FusionState;
use super::settings::SimulatorSettings;
use super::source::ReportSource;
use super::wiz::{Schema, WizState};

/// The schema, read once for all simulators of a process.
static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of_wiz);

/// The simulator behind its handlers.
pub(super) struct Shared {
    pub(super) settings: SimulatorSettings,
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    pub(super) credentials: Credentials,
    pub(super) schema: &'static Schema,
    state: Mutex<State>,
}

/// What the simulated accounts accept.
pub(super) struct Credentials {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) shortname: String,
    pub(super) appname: String,
    pub(super) appkey: String,
    pub(super) shared_secret: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            client_id: "simulated-client".to_owned(),
            client_secret: "simulated-client-secret".to_owned(),
            shortname: "simulated".to_owned(),
            appname: "wiz-context".to_owned(),
            appkey: "simulated-app-key".to_owned(),
            shared_secret: "simulated-shared-secret".to_owned(),
        }
    }
}

/// Everything that changes.
pub(super) struct State {
    pub(super) source: ReportSource,
    pub(super) faults: Faults,
    /// Calls so far by name, and by what names begin with.
    pub(super) requests: BTreeMap<String, u64>,
    pub(super) violations: Vec<String>,
    /// Tokens and URL signatures handed out so far.
    pub(super) secrets: Vec<String>,
    pub(super) wiz: WizState,
    pub(super) fusion: FusionState,
    random: fastrand::Rng,
}

impl State {
    /// A secret that nobody can know beforehand.
    pub(super) fn new_secret(&mut self, prefix: &str) -> String {
        let secret = format!("{prefix}{:016x}{:016x}", self.random.u64(..), self.random.u64(..));
        self.secrets.push(secret.clone());
        secret
    }

    /// Notes something that a client must not do.
    pub(super) fn violation(&mut self, what: impl Into<String>) {
        let what = what.into();
        tracing::warn!(violation = what, "a client of the simulator did what it must not");
        self.violations.push(what);
    }
}

impl Shared {
    pub(super) fn new(settings: SimulatorSettings, clock: Clock, shutdown: Shutdown) -> Self {
        let state = State {
            source: ReportSource::Generated(settings.generator),
            faults: Faults::default(),
            requests: BTreeMap::new(),
            violations: Vec::new(),
            secrets: Vec::new(),
            wiz: WizState::default(),
            fusion: FusionState::default(),
            random: fastrand::Rng::new(),
        };
        let (credentials, schema, state) = (
            Credentials::default(),
            LazyLock::force(&SCHEMA),
            Mutex::new(state),
        );
        Self {
            settings,
            clock,
            shutdown,
            credentials,
            schema,
            state,
        }
    }

    /// The state. A handler that panicked has not left it half changed in a way that others could not live with.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Counts a call that goes by these names, in lower case, and gathers what goes wrong with it, slowness at once.
    pub(super) async fn meet(&self, names: &[String], concerns: impl Fn(&Effect) -> bool) -> Met {
        let effects = {
            let mut state = self.state();
            for name in with_prefixes(names) {
                *state.requests.entry(name.to_owned()).or_default() += 1;
            }
            state.faults.of_call(names, concerns)
        };
        for effect in &effects {
            let delay = match effect {
                Effect::Slow { seconds } => Duration::from_secs(*seconds),
                Effect::Delay { milliseconds } => Duration::from_millis(*milliseconds),
                _ => continue,
            };
            self.clock.sleep(delay).await;
        }
        Met(effects)
    }
}

/// The names and all that they begin with, each once: `wiz`, `wiz.graphql`, `wiz.graphql.report`.
fn with_prefixes(names: &[String]) -> BTreeSet<&str> {
    let prefixes = names.iter().flat_map(|name| {
        let dots = name.match_indices('.').map(|(at, _)| &name[..at]);
        dots.chain([name.as_str()])
    });
    prefixes.collect()
}

/// What goes wrong with a call.
pub(super) struct Met(pub(super) Vec<Effect>);

impl Met {
    /// The answer in place of carrying the call out, if there is one.
    pub(super) fn instead(&self, refusal: impl Fn(&StatusFault) -> Answer) -> Option<Answer> {
        self.0.iter().find_map(|effect| match effect {
            Effect::Status(fault) => Some(refusal(fault)),
            Effect::Cut => Some(cut()),
            _ => None,
        })
    }

    /// The answer to a call that was carried out, unless it or its body gets lost.
    pub(super) fn sent(&self, answer: Answer) -> Answer {
        if self.0.contains(&Effect::ResponseLost) {
            cut()
        } else if self.0.contains(&Effect::EmptyBody) {
            empty(StatusCode::OK)
        } else {
            answer
        }
    }
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    authorization.strip_prefix("Bearer ")
}

/// Whether a list of tokens has one that is still good.
pub(super) fn is_good(tokens: &BTreeMap<String, Timestamp>, token: Option<&str>, now: Timestamp) -> bool {
    let expires = token.and_then(|token| tokens.get(token));
    expires.is_some_and(|expires| now < *expires)
}
