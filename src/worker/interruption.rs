//! Why an attempt stops before its run has ended.

use std::error::Error;
use std::time::Duration;

use crate::domain::{Failure, FailureKind};
use crate::fusion::FusionError;
use crate::store::StoreError;
use crate::wiz::WizError;

/// Why an attempt stops before its run has ended.
#[derive(Debug)]
pub(super) enum Interruption {
    /// Something failed; a neighbour may have asked to wait before the next try.
    Failed(Failure, Option<Duration>),
    /// Another owner has the run: nothing that this one writes counts any more.
    LeaseLost,
    /// The work was to stop.
    Stopped,
    /// The run was told to end.
    ToldToEnd,
}

impl Interruption {
    /// What two that happened side by side come to: the one that decides, with the longer of the pauses asked for.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed(one, one_pause), Self::Failed(other, other_pause)) => {
                let decides = if other.retryable { one } else { other };
                Self::Failed(decides, one_pause.max(other_pause))
            }
            (Self::Failed(..), other) => other,
            (one, _) => one,
        }
    }
}

impl From<Failure> for Interruption {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, None)
    }
}

impl From<WizError> for Interruption {
    fn from(error: WizError) -> Self {
        log(&error);
        Self::Failed(error.failure(), error.retry_after())
    }
}

impl From<FusionError> for Interruption {
    fn from(error: FusionError) -> Self {
        log(&error);
        Self::Failed(error.failure(), error.retry_after())
    }
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost => Self::LeaseLost,
            StoreError::RunEnding(_) => Self::ToldToEnd,
            StoreError::Seal(error) => {
                log(&error);
                Self::from(Failure::permanent(
                    FailureKind::Credentials,
                    "The client secret cannot be opened with the encryption keys of this service. Set \
                     WIZ_CONTEXT_ENCRYPTION_KEY to the key that it was stored with, or give the integration its client \
                     secret again.",
                ))
            }
            StoreError::NotFound(what) => Self::from(Failure::passing(
                FailureKind::Internal,
                format!(
                    "The service's database has no {what} any more that the run works on. It is looked up again."
                ),
            )),
            StoreError::Corrupt { column } => Self::from(Failure::permanent(
                FailureKind::Internal,
                format!(
                    "The service's database holds a value in {column} that this version does not know. Start the version \
                     that wrote it, or restore a backup."
                ),
            )),
            StoreError::FactsChanged => Self::from(Failure::passing(
                FailureKind::Internal,
                "Another integration was deleted while the plan was made. The plan is made anew.",
            )),
            error => {
                log(&error);
                Self::from(Failure::passing(
                    FailureKind::Internal,
                    "The service's database failed. Its log says how; look at the free space and the permissions of the \
                     database's folder.",
                ))
            }
        }
    }
}

/// The failure of an attempt that panicked.
pub(super) fn broke_down() -> Failure {
    Failure::passing(
        FailureKind::Internal,
        "The run broke down. This is a fault of the service; its log says more.",
    )
}

/// Logs an error with all that caused it. What the run's record keeps is for its reader; this is for the operator.
pub(super) fn log(error: &dyn Error) {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::warn!(error = chain, "a step failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_failures_side_by_side_the_permanent_one_decides_and_the_longest_pause_counts() {
        let passing = |seconds| {
            let pause = Some(Duration::from_secs(seconds));
            Interruption::Failed(Failure::passing(FailureKind::RateLimited, "slow down"), pause)
        };
        let permanent =
            || Interruption::Failed(Failure::permanent(FailureKind::Credentials, "no such key"), None);
        for (one, other, retryable, seconds) in [
            (passing(3), passing(60), true, 60),
            (passing(60), passing(3), true, 60),
            (passing(3), permanent(), false, 3),
            (permanent(), passing(3), false, 3),
        ] {
            let Interruption::Failed(failure, pause) = one.and(other) else {
                panic!("a failure is expected")
            };
            assert_eq!(
                (failure.retryable, pause),
                (retryable, Some(Duration::from_secs(seconds)))
            );
        }
        let lost = passing(3).and(Interruption::LeaseLost);
        assert!(matches!(lost, Interruption::LeaseLost));
    }
}
