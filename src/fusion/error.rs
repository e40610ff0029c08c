//! Why a call of Fusion failed, and what that means for the run.

use std::time::Duration;

use crate::domain::{Failure, FailureKind};
use crate::outgoing::SendError;

/// Why a call of Fusion failed. The texts carry neither secrets nor bodies.
#[derive(Debug, thiserror::Error)]
#[error("could not {purpose}")]
pub struct FusionError {
    /// What was tried, in words that go on after "could not".
    pub(super) purpose: &'static str,
    #[source]
    pub(super) problem: Problem,
    pub(super) retry_after: Option<Duration>,
}

/// What went wrong, told apart by what has to be done about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("no answer")]
    NoAnswer(#[from] SendError),
    #[error("the key is refused (HTTP {0})")]
    SignInRefused(u16),
    #[error("the fresh token is refused")]
    TokenRefused,
    #[error("the key's role is too narrow")]
    Denied,
    /// What was sent is refused for its content: a part of it may be taken.
    #[error("refused (HTTP {status}): {text}")]
    Content { status: u16, text: String },
    /// Refused for another reason than its content.
    #[error("refused (HTTP {status}): {text}")]
    Refused { status: u16, text: String },
    /// So many records were refused one by one that something else must be wrong.
    #[error("all {count} records that were tried one by one are refused: {text}")]
    AllRefused { count: usize, text: String },
    #[error("too many requests")]
    Throttled,
    #[error("a server error (HTTP {0})")]
    Unavailable(u16),
    #[error("the answer does not read: {0}")]
    Unreadable(&'static str),
    #[error("the answer is no acknowledgement (HTTP {0})")]
    NotAcknowledged(u16),
}

impl Problem {
    /// The error of a call.
    pub(super) const fn when(self, purpose: &'static str) -> FusionError {
        FusionError {
            purpose,
            problem: self,
            retry_after: None,
        }
    }
}

impl FusionError {
    /// What the failure of a run says about this.
    pub fn failure(&self) -> Failure {
        use FailureKind as Kind;

        let purpose = self.purpose;
        match &self.problem {
            Problem::NoAnswer(error) if error.is_passing() => Failure::passing(
                Kind::FusionUnavailable,
                format!(
                    "Could not {purpose}: {error}. Check that this machine reaches the host: name service, firewall, \
                     proxy (HTTPS_PROXY), certificate authorities (WIZ_CONTEXT_CA_FILE)."
                ),
            ),
            Problem::NoAnswer(error) => {
                Failure::permanent(Kind::FusionUnavailable, format!("Could not {purpose}: {error}."))
            }
            Problem::SignInRefused(status) => Failure::permanent(
                Kind::Credentials,
                format!(
                    "Fusion refused the key in NETOSECRET (HTTP {status}). Check that it was not revoked and that this \
                     machine's clock is right; or create a new key in Fusion and set its NETOSECRET."
                ),
            ),
            Problem::TokenRefused => Failure::permanent(
                Kind::Credentials,
                format!(
                    "Could not {purpose}: Fusion signed the key in NETOSECRET in, but refuses its token (HTTP 401). \
                     Create a new key in Fusion and set its NETOSECRET."
                ),
            ),
            Problem::Denied => Failure::permanent(
                Kind::Permission,
                format!(
                    "Could not {purpose}: the role of the key in NETOSECRET is too narrow (HTTP 403). Give the key a \
                     role in Fusion that may write IP labels, then run again."
                ),
            ),
            Problem::Content { status, text } => Failure::permanent(
                Kind::FusionRejected,
                format!("Could not {purpose}: Fusion refuses what was sent (HTTP {status}): {text}"),
            ),
            Problem::Refused { status, text } => Failure::permanent(
                Kind::FusionRejected,
                format!(
                    "Could not {purpose}: Fusion refuses the request (HTTP {status}): {text}. Check that the `url` in \
                     NETOSECRET is Fusion's API."
                ),
            ),
            Problem::AllRefused { count, text } => Failure::permanent(
                Kind::FusionRejected,
                format!(
                    "Could not {purpose}: Fusion refuses each of the {count} records that were sent one by one, and has \
                     taken none of their batch: {text}"
                ),
            ),
            Problem::Throttled => Failure::passing(
                Kind::RateLimited,
                format!("Could not {purpose}: Fusion asks to slow down (HTTP 429)."),
            ),
            Problem::Unavailable(status) => Failure::passing(
                Kind::FusionUnavailable,
                format!("Could not {purpose}: Fusion answers with a server error (HTTP {status})."),
            ),
            Problem::Unreadable(what) => Failure::passing(
                Kind::FusionUnavailable,
                format!(
                    "Could not {purpose}: the answer does not read ({what}). Check that the `url` in NETOSECRET is \
                     Fusion's API, and that no proxy answers in its place."
                ),
            ),
            Problem::NotAcknowledged(status) => Failure::passing(
                Kind::FusionUnavailable,
                format!(
                    "Could not {purpose}: the answer (HTTP {status}) does not say that it was done. Check that no proxy \
                     answers in Fusion's place."
                ),
            ),
        }
    }

    /// How long Fusion asks to wait before the next try.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether Fusion refused what was sent for its content, so that a part of it may be taken; with its words.
    pub(super) fn refused_content(&self) -> Option<&str> {
        match &self.problem {
            Problem::Content { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(super) const fn is_token_refused(&self) -> bool {
        matches!(self.problem, Problem::TokenRefused)
    }
}
