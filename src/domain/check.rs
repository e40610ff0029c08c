//! What a check of an integration's connection tells.

use serde::Serialize;
use utoipa::ToSchema;

/// What a check of an integration's connection found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConnectionCheck {
    /// Whether no step failed. Steps that are `unknown` do not count.
    pub ok: bool,
    /// The steps, always the same ones in the same order.
    pub steps: Vec<CheckStep>,
}

impl ConnectionCheck {
    /// What the steps come to.
    pub fn of(steps: Vec<CheckStep>) -> Self {
        Self {
            ok: steps.iter().all(|step| step.state != CheckState::Failed),
            steps,
        }
    }
}

/// One step of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckStep {
    /// Which step.
    pub name: CheckName,
    /// How it came out.
    pub state: CheckState,
    /// What was seen; of a failure: what is wrong and how to mend it; else why it is not known.
    #[schema(example = "Wiz accepts the client id and secret.")]
    pub message: String,
}

/// The steps of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// Wiz gives a token for the client id and secret.
    WizSignIn,
    /// The service account may list reports (`read:reports`).
    ListReports,
    /// It sees a vulnerability finding with an address that can carry labels (`read:vulnerabilities`).
    SeeFinding,
    /// It may change and rerun reports (`update:reports`).
    UpdateReports,
    /// It may make the report (`create:reports`).
    CreateReports,
    /// Fusion gives a token for the key in NETOSECRET.
    FusionSignIn,
}

impl CheckName {
    /// The name as it stands in answers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WizSignIn => "wiz_sign_in",
            Self::ListReports => "list_reports",
            Self::SeeFinding => "see_finding",
            Self::UpdateReports => "update_reports",
            Self::CreateReports => "create_reports",
            Self::FusionSignIn => "fusion_sign_in",
        }
    }
}

/// How a step of a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It works.
    Ok,
    /// It does not; the message says how to mend it.
    Failed,
    /// Nothing that a check may do tells.
    Unknown,
}
