//! Why a step at Wiz failed, and what that means for the run.

use std::time::Duration;

use crate::domain::{Failure, FailureKind};
use crate::outgoing::SendError;

/// Why a step at Wiz failed. The texts carry neither tokens, nor bodies, nor pre-signed URLs.
#[derive(Debug, thiserror::Error)]
#[error("could not {purpose}")]
pub struct WizError {
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
    #[error("the client id or secret is refused (HTTP {0})")]
    SignInRefused(u16),
    #[error("signed in without a token")]
    NoToken,
    #[error("the fresh token is refused")]
    TokenRefused,
    #[error("the permission {} is missing", .0.join(", "))]
    Denied(Vec<String>),
    #[error("this machine's address is refused (HTTP {0})")]
    AddressDenied(u16),
    #[error("the licence is missing")]
    License,
    #[error("the request is refused: {0}")]
    BadInput(String),
    #[error("too many requests (HTTP {0})")]
    Throttled(u16),
    #[error("not found")]
    NotFound,
    #[error("a server error (HTTP {0})")]
    Unavailable(u16),
    #[error("the answer does not read: {0}")]
    Unreadable(String),
    /// An error that is not in Wiz's published table. Nothing says that it stays, so it is tried again.
    #[error("an error that is not known: {0}")]
    Unknown(String),
    #[error("refused (HTTP {status}): {text}")]
    Refused { status: u16, text: String },
    #[error("the file ended after {received} bytes of {total:?}")]
    FileCut { received: u64, total: Option<u64> },
    #[error("the file changed while it was read")]
    FileChanged,
    #[error("the file's storage refuses (HTTP {0})")]
    FileRefused(u16),
    #[error("the run has no file")]
    NoFile,
}

impl Problem {
    /// The error of a step.
    pub(super) const fn when(self, purpose: &'static str) -> WizError {
        WizError {
            purpose,
            problem: self,
            retry_after: None,
        }
    }
}

impl WizError {
    /// What the failure of a run says about this.
    pub fn failure(&self) -> Failure {
        use FailureKind as Kind;

        let purpose = self.purpose;
        match &self.problem {
            Problem::NoAnswer(error) if error.is_passing() => Failure::passing(
                Kind::WizUnavailable,
                format!(
                    "Could not {purpose}: {error}. Check that this machine reaches the host: name service, firewall, \
                     proxy (HTTPS_PROXY), certificate authorities (WIZ_CONTEXT_CA_FILE)."
                ),
            ),
            Problem::NoAnswer(error) => {
                Failure::permanent(Kind::WizUnavailable, format!("Could not {purpose}: {error}."))
            }
            Problem::SignInRefused(status) => Failure::permanent(
                Kind::Credentials,
                format!(
                    "Wiz refused the client id and secret (HTTP {status}). Check wiz.clientid, wiz.clientsecret and \
                     wiz.tokenurl of the integration."
                ),
            ),
            Problem::NoToken => Failure::permanent(
                Kind::Credentials,
                "Wiz's sign-in answered without a token. Check wiz.clientid, wiz.clientsecret and wiz.tokenurl of the \
                 integration; the service account must be of the type Custom Integration (GraphQL API).",
            ),
            Problem::TokenRefused => Failure::permanent(
                Kind::Credentials,
                format!(
                    "Could not {purpose}: Wiz signed the service account in, but its API refuses the token (HTTP 401). \
                     Check that wiz.apiendpoint and wiz.tokenurl of the integration belong to the same tenant."
                ),
            ),
            Problem::Denied(scopes) => Failure::permanent(
                Kind::Permission,
                format!(
                    "The Wiz service account may not {purpose}: it lacks the permission {}. Add it to the service \
                     account in Wiz (Settings, Access Management, Service Accounts), then run again.",
                    scopes.join(", ")
                ),
            ),
            Problem::AddressDenied(status) => Failure::permanent(
                Kind::Permission,
                format!(
                    "Wiz, or a proxy on the way, refuses requests from this machine (HTTP {status}). Add this machine's \
                     public address to the addresses that the Wiz tenant accepts, then run again."
                ),
            ),
            Problem::License => Failure::permanent(
                Kind::Permission,
                format!(
                    "Could not {purpose}: the Wiz tenant has no licence for it. Ask your Wiz contact for vulnerability \
                     reports through the API."
                ),
            ),
            Problem::BadInput(text) => Failure::permanent(
                Kind::Report,
                format!("Could not {purpose}: Wiz refuses the request: {text}"),
            ),
            Problem::Throttled(_) => Failure::passing(
                Kind::RateLimited,
                format!(
                    "Could not {purpose}: Wiz asks to slow down. When this happens often, lower \
                     WIZ_CONTEXT_WIZ_REQUESTS_PER_SECOND, or give this service a service account of its own."
                ),
            ),
            Problem::NotFound => Failure::permanent(
                Kind::Report,
                format!(
                    "Could not {purpose}: Wiz does not know it any more. The next run looks for the report anew."
                ),
            ),
            Problem::Unavailable(status) => Failure::passing(
                Kind::WizUnavailable,
                format!("Could not {purpose}: Wiz answers with a server error (HTTP {status})."),
            ),
            Problem::Unreadable(what) => Failure::passing(
                Kind::WizUnavailable,
                format!(
                    "Could not {purpose}: the answer does not read ({what}). Check that wiz.apiendpoint and wiz.tokenurl \
                     of the integration are Wiz's, and that no proxy answers in its place."
                ),
            ),
            Problem::Unknown(text) => {
                Failure::passing(Kind::Report, format!("Could not {purpose}: Wiz says: {text}"))
            }
            Problem::Refused { status, text } => Failure::permanent(
                Kind::Report,
                format!("Could not {purpose}: Wiz refuses the request (HTTP {status}): {text}"),
            ),
            file => file_failure(file),
        }
    }

    /// How long Wiz asks to wait before the next try.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether Wiz refused a parameter, as a tenant does that does not know a column: another
    /// [`ColumnChoice`](super::ColumnChoice) may pass.
    pub const fn is_bad_user_input(&self) -> bool {
        matches!(self.problem, Problem::BadInput(_))
    }

    /// Whether Wiz does not know the report, or the run, by this id.
    pub const fn is_not_found(&self) -> bool {
        matches!(self.problem, Problem::NotFound)
    }

    pub(super) const fn is_token_refused(&self) -> bool {
        matches!(self.problem, Problem::TokenRefused)
    }
}

fn file_failure(problem: &Problem) -> Failure {
    match problem {
        Problem::FileCut {
            received,
            total: Some(total),
        } => Failure::passing(
            FailureKind::Incomplete,
            format!(
                "The report file ended after {received} of {total} bytes, and going on from there failed repeatedly. \
                 Nothing was changed in Fusion."
            ),
        ),
        Problem::FileChanged => Failure::passing(
            FailureKind::Incomplete,
            "The report file changed while it was downloaded. Nothing was changed in Fusion.",
        ),
        Problem::FileRefused(status) => Failure::passing(
            FailureKind::Report,
            format!(
                "The storage of the report file refuses the download (HTTP {status}), also by a fresh address. Nothing \
                 was changed in Fusion."
            ),
        ),
        Problem::NoFile => Failure::passing(
            FailureKind::Report,
            "Wiz says that the report is complete, but gives no address of its file.",
        ),
        cut => Failure::passing(
            FailureKind::Incomplete,
            format!("The report file could not be read to its end: {cut}. Nothing was changed in Fusion."),
        ),
    }
}
