//! An attempt at a run: what one owner did of it, from its claim until it let go.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Failure, Phase, RunState, Timestamp};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It brought its run to the end.
    Ended,
    /// Something failed; the run goes on with another attempt, or failed with this one.
    Failed,
    /// The service stopped; the run goes on when it starts again.
    Interrupted,
    /// Nothing was heard of it any more, as when its process was killed.
    Lost,
    /// The run was told to end.
    Cancelled,
}

impl AttemptOutcome {
    /// How the attempt ended that brought its run into a final state.
    pub const fn of_last(state: RunState) -> Self {
        match state {
            RunState::Failed => Self::Failed,
            RunState::Cancelled => Self::Cancelled,
            RunState::Queued | RunState::Running | RunState::Succeeded | RunState::Held => Self::Ended,
        }
    }
}

/// One attempt at a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptRecord {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended, of a lost one: when it was last heard of; null while it is under way.
    pub ended_at: Option<Timestamp>,
    /// The phase in which it ended; null while it is under way, and when it came to none.
    pub phase: Option<Phase>,
    /// How it ended; null while it is under way.
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed; else null.
    pub failure: Option<Failure>,
}
