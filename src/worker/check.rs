//! The check of an integration's connection: step by step, and without a change anywhere.
//!
//! ```text
//! sign in at Wiz ─┬─▶ list reports
//!                 ├─▶ see a finding with an address         sign in at Fusion
//!                 ├─▶ rerun a report that does not exist
//!                 └─▶ the stored report, which shows that one could be made
//! ```
//!
//! Each step has a time of its own, and those side by side share it: two of them after one another are the longest that a
//! check takes. It signs in with tokens of its own, so that no run loses its.

use std::fmt::Display;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::interruption::log;
use super::workers::Workers;
use crate::domain::CheckName::{
    CreateReports, FusionSignIn, ListReports, SeeFinding, UpdateReports, WizSignIn,
};
use crate::domain::{
    AssetType, CheckName, CheckState, CheckStep, ConnectionCheck, Failure, FailureKind, Integration,
    IntegrationId,
};
use crate::fusion::FusionError;
use crate::store::{Store, StoreError, StoredReport};
use crate::wiz::{FoundReport, Report, Sight, WizClient, WizError};

/// How long a step may take: long enough for a neighbour that is slow, short enough for a person who waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// The permission that cannot be tried out without making a report.
const CREATE_SCOPE: &str = "create:reports";

/// Checks the connections of integrations. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker(Workers);

/// Why a step has no answer.
enum Trouble {
    /// The neighbour, or the way to it, failed.
    Failed {
        failure: Failure,
        /// The permissions that the service account has, where Wiz named them.
        scopes: Vec<String>,
    },
    /// There was no answer in time.
    Late,
    /// The service stops.
    Stopped,
}

impl From<WizError> for Trouble {
    fn from(error: WizError) -> Self {
        log(&error);
        Self::Failed {
            failure: error.failure(),
            scopes: error.effective_scopes().to_vec(),
        }
    }
}

impl From<FusionError> for Trouble {
    fn from(error: FusionError) -> Self {
        log(&error);
        Self::Failed {
            failure: error.failure(),
            scopes: Vec::new(),
        }
    }
}

impl Trouble {
    /// The step that it leaves failed.
    fn step(&self, name: CheckName, host: &impl Display) -> CheckStep {
        match self {
            Self::Failed { failure, .. } => failed(name, failure.message.clone()),
            Self::Late => failed(name, late(host)),
            Self::Stopped => unknown(name, STOPPED),
        }
    }
}

const STOPPED: &str = "Not known, because the service stops. Check again once it is back.";

impl Checker {
    /// A checker with the accounts and settings of the workers.
    pub const fn new(workers: Workers) -> Self {
        Self(workers)
    }

    /// Tries each step of an integration's connection. Once `stop` is cancelled it ends with what it knows.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn check(
        &self,
        id: IntegrationId,
        stop: &CancellationToken,
    ) -> Result<ConnectionCheck, StoreError> {
        let store = &self.0.store;
        let integration = store.integration(id).await?;
        let stored = store.report(id).await?;
        let wiz = wiz_client(&self.0, store, id).await?;
        let wiz_steps = async {
            match wiz {
                Ok(wiz) => Box::pin(self.wiz_steps(&wiz, &integration, stored.as_ref(), stop)).await,
                Err(message) => without_sign_in(failed(WizSignIn, message)),
            }
        };
        let (mut steps, fusion) = tokio::join!(wiz_steps, self.fusion_step(stop));
        steps.push(fusion);
        let check = ConnectionCheck::of(steps);
        let not_ok = check.steps.iter().filter(|step| step.state != CheckState::Ok);
        let not_ok: Vec<_> = not_ok.map(|step| step.name.as_str()).collect();
        tracing::info!(instance.id = %id, ok = check.ok, not_ok = not_ok.join(","), "checked the connection");
        Ok(check)
    }

    async fn wiz_steps(
        &self,
        wiz: &WizClient,
        integration: &Integration,
        stored: Option<&StoredReport>,
        stop: &CancellationToken,
    ) -> Vec<CheckStep> {
        let connection = &integration.settings.wiz;
        let sign_in = match self.within(stop, wiz.sign_in()).await {
            Ok(()) => ok(WizSignIn, "Wiz accepts the client id and secret."),
            Err(trouble) => return without_sign_in(trouble.step(WizSignIn, &connection.token_url)),
        };
        let settings = &self.0.settings;
        let name = settings.report_name(&integration.settings.name);
        let carries_labels = |address: &str| settings.policy.read_address(address).is_ok();
        let known = async {
            match stored {
                Some(stored) => wiz.report(&stored.id).await,
                None => Ok(None),
            }
        };
        let (listed, sight, rerun, known) = tokio::join!(
            self.within(stop, wiz.find_report(&name)),
            self.within(stop, wiz.look_at_findings(&settings.asset_types, carries_labels)),
            self.within(stop, wiz.try_rerun_of_nothing()),
            self.within(stop, known),
        );
        let mut scopes: Vec<String> = Vec::new();
        for trouble in [listed.as_ref().err(), sight.as_ref().err(), rerun.as_ref().err()] {
            if let Some(Trouble::Failed { scopes: named, .. }) = trouble {
                scopes.extend(named.iter().cloned());
            }
        }
        let host = &connection.api_endpoint;
        vec![
            sign_in,
            listed.map_or_else(
                |trouble| trouble.step(ListReports, host),
                |found| list_step(&name, found.as_ref()),
            ),
            sight.map_or_else(
                |trouble| trouble.step(SeeFinding, host),
                |sight| finding_step(sight, &settings.asset_types),
            ),
            update_step(rerun),
            create_step(stored, known.ok().flatten().as_ref(), &scopes),
        ]
    }

    async fn fusion_step(&self, stop: &CancellationToken) -> CheckStep {
        let Some(target) = &self.0.fusion else {
            return failed(
                FusionSignIn,
                "NETOSECRET is not set, so that every run is a dry run and no label gets to Fusion. Create an API key in \
                 Fusion with a role that may write IP labels, set its NETOSECRET, and restart the service.",
            );
        };
        let client = target.client.apart();
        match self.within(stop, client.sign_in()).await {
            Ok(()) => ok(
                FusionSignIn,
                "Fusion accepts the key in NETOSECRET. Whether its role may write IP labels shows when a run writes some.",
            ),
            Err(trouble) => trouble.step(FusionSignIn, &client.key().host),
        }
    }

    /// Does a part of a step as long as there is time for it.
    async fn within<T, E: Into<Trouble>>(
        &self,
        stop: &CancellationToken,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            () = self.0.clock.sleep(PATIENCE) => Err(Trouble::Late),
            () = stop.cancelled() => Err(Trouble::Stopped),
            done = work => done.map_err(Into::into),
        }
    }
}

/// A client with a token of its own; the inner error says why the secret cannot be used.
async fn wiz_client(
    workers: &Workers,
    store: &Store,
    id: IntegrationId,
) -> Result<Result<WizClient, &'static str>, StoreError> {
    match store.wiz_credentials(id).await {
        Ok(credentials) => Ok(Ok(workers.wiz.client(credentials).apart())),
        Err(StoreError::Seal(error)) => {
            log(&error);
            Ok(Err(
                "The client secret cannot be opened with the encryption keys of this service. Set \
                 WIZ_CONTEXT_ENCRYPTION_KEY to the key that it was stored with, or give the integration its client secret \
                 again.",
            ))
        }
        Err(error) => Err(error),
    }
}

/// The steps at Wiz when the first one did not succeed.
fn without_sign_in(sign_in: CheckStep) -> Vec<CheckStep> {
    let rest = [ListReports, SeeFinding, UpdateReports, CreateReports];
    let not_tried = |name| unknown(name, "Not tried, because the sign-in at Wiz did not succeed.");
    std::iter::once(sign_in).chain(rest.map(not_tried)).collect()
}

fn list_step(name: &str, found: Option<&FoundReport>) -> CheckStep {
    let message = match found {
        Some(found) if found.matches > 1 => format!(
            "The service account lists reports, and {} are named {name}; runs use the oldest. Delete the others in Wiz.",
            found.matches
        ),
        Some(_) => format!("The service account lists reports, and {name} is among them."),
        None => {
            format!("The service account lists reports. The next run makes {name}, or gives it that name.")
        }
    };
    ok(ListReports, message)
}

/// Whether findings could become labels. What a service account cannot see is not told by Wiz, so causes are only likely.
fn finding_step(sight: Sight, asset_types: &[AssetType]) -> CheckStep {
    let kinds: Vec<_> = asset_types.iter().map(AssetType::as_str).collect();
    let kinds = kinds.join(", ");
    let (known, has_others) = (AssetType::with_addresses(), |known: &[AssetType]| {
        asset_types.iter().any(|kind| !known.contains(kind))
    });
    match sight {
        Sight { address: true, .. } => ok(
            SeeFinding,
            "The service account sees vulnerability findings, and addresses of what they are found on.",
        ),
        Sight { findings: 0, .. } => failed(
            SeeFinding,
            format!(
                "The service account may read vulnerability findings, but sees no open one ({kinds}). Most likely it is \
                 limited to projects without any: in Wiz, choose no project for it (Settings, Access Management, Service \
                 Accounts), so that it sees all. Else the tenant has no open finding on such assets; see \
                 WIZ_CONTEXT_ASSET_TYPES."
            ),
        ),
        Sight { findings, .. } if has_others(&known) => unknown(
            SeeFinding,
            format!(
                "None of the {findings} findings that were looked at ({kinds}) shows an address here; of some kinds of \
                 assets only the report tells it. A dry run shows whether there are any."
            ),
        ),
        Sight { findings, .. } => failed(
            SeeFinding,
            format!(
                "The service account sees vulnerability findings, but none of the {findings} that were looked at \
                 ({kinds}) has an address that can carry labels. Most likely it is limited to projects without such \
                 machines: in Wiz, choose no project for it (Settings, Access Management, Service Accounts). Else look \
                 at WIZ_CONTEXT_SKIP_NETWORKS."
            ),
        ),
    }
}

/// Only a refusal says that the permission is missing; that Wiz does not answer shows in other steps too.
fn update_step(rerun: Result<(), Trouble>) -> CheckStep {
    match rerun {
        Ok(()) => ok(
            UpdateReports,
            "The service account may rerun reports: Wiz looked for one that does not exist.",
        ),
        Err(Trouble::Failed { failure, .. })
            if matches!(failure.kind, FailureKind::Permission | FailureKind::Credentials) =>
        {
            failed(UpdateReports, failure.message)
        }
        Err(Trouble::Failed { failure, .. }) => unknown(
            UpdateReports,
            format!(
                "Wiz does not tell whether the service account has the permission update:reports. {}",
                failure.message
            ),
        ),
        Err(Trouble::Late) => unknown(UpdateReports, "Not known, because Wiz did not answer in time."),
        Err(Trouble::Stopped) => unknown(UpdateReports, STOPPED),
    }
}

/// Making a report is the only proof that one can be made, and a check makes none.
fn create_step(stored: Option<&StoredReport>, known: Option<&Report>, scopes: &[String]) -> CheckStep {
    // Of a permission for all of something, Wiz does not say here what it covers.
    let covers_all = scopes.iter().any(|scope| scope.ends_with(":all"));
    if scopes.iter().any(|scope| scope == CREATE_SCOPE) {
        return ok(
            CreateReports,
            format!("Wiz names {CREATE_SCOPE} among the permissions of the service account."),
        );
    }
    if !scopes.is_empty() && !covers_all {
        return failed(
            CreateReports,
            format!(
                "The Wiz service account may not create the report: it lacks the permission {CREATE_SCOPE}. Add it to the \
                 service account in Wiz (Settings, Access Management, Service Accounts), then check again."
            ),
        );
    }
    match (stored, known) {
        (Some(_), Some(_)) => ok(
            CreateReports,
            "The integration has its report in Wiz; the permission is needed again only when that is deleted.",
        ),
        _ => unknown(
            CreateReports,
            format!(
                "Only making the report tells whether the service account has the permission {CREATE_SCOPE}, and a check \
                 makes none. The first run tells; a dry run will do."
            ),
        ),
    }
}

fn late(host: &impl Display) -> String {
    format!(
        "No answer within {} seconds from {host}. Check that this machine reaches it: name service, firewall, proxy \
         (HTTPS_PROXY). When runs of the same service account are under way, check again later.",
        PATIENCE.as_secs()
    )
}

fn ok(name: CheckName, message: impl Into<String>) -> CheckStep {
    step(name, CheckState::Ok, message)
}

fn failed(name: CheckName, message: impl Into<String>) -> CheckStep {
    step(name, CheckState::Failed, message)
}

fn unknown(name: CheckName, message: impl Into<String>) -> CheckStep {
    step(name, CheckState::Unknown, message)
}

fn step(name: CheckName, state: CheckState, message: impl Into<String>) -> CheckStep {
    let message = message.into();
    CheckStep { name, state, message }
}
