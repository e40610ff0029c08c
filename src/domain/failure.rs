//! Why a run failed, in words for the person who has to mend it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of failure ended a run; the operator's guide has a page on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Wiz or Fusion refuses the credentials.
    Credentials,
    /// The credentials are good, but may not do what the run needs.
    Permission,
    /// A neighbour asked to slow down for longer than the run could wait.
    RateLimited,
    /// The report cannot be used: Wiz failed to make it, or its content is not what was asked.
    Report,
    /// The report is shorter than what Wiz counted, or was cut.
    Incomplete,
    /// Wiz does not answer, or with a server error.
    WizUnavailable,
    /// Fusion does not answer, or with a server error.
    FusionUnavailable,
    /// Fusion refused what was sent.
    FusionRejected,
    /// The run took longer than it may.
    Timeout,
    /// A fault of this service or of its machine.
    Internal,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Credentials,
        Self::Permission,
        Self::RateLimited,
        Self::Report,
        Self::Incomplete,
        Self::WizUnavailable,
        Self::FusionUnavailable,
        Self::FusionRejected,
        Self::Timeout,
        Self::Internal,
    ];

    /// The kind as it stands in answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Permission => "permission",
            Self::RateLimited => "rate_limited",
            Self::Report => "report",
            Self::Incomplete => "incomplete",
            Self::WizUnavailable => "wiz_unavailable",
            Self::FusionUnavailable => "fusion_unavailable",
            Self::FusionRejected => "fusion_rejected",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }
}

/// Why a run, or an attempt of it, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What happened, and what to do about it. Carries no secret.
    #[schema(
        example = "Wiz refused the client id and secret (HTTP 401). Check wiz.clientid, wiz.clientsecret and \
                        wiz.tokenurl of the integration."
    )]
    pub message: String,
    /// Whether trying again without any change may help.
    pub retryable: bool,
}

impl Failure {
    /// A failure that trying again does not mend.
    pub fn permanent(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retryable: false,
        }
    }

    /// A failure that may pass by itself.
    pub fn passing(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retryable: true,
        }
    }
}
