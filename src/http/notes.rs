//! What is written down of requests beside their work: failures of authentication, and when keys were used.
//!
//! No request waits for it, and whoever sends many of them writes few records: of each source the first failure of an hour is
//! recorded at once, the others as one number when the hour is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::{ApiKeyId, ApiKeyName, ApiKeyRecord, Timestamp};
use crate::store::{Actor, AuditAction, AuditEntry, Store};

/// How long failures are counted before their number is recorded.
const WINDOW: Duration = Duration::from_hours(1);
/// How many sources are told apart within that time; all others are one. So an hour writes 65 records at most.
const SOURCES: usize = 32;
/// How far behind the truth the last use of a key may be. A write for each request would be more work than most requests.
const USE_NOTED_EVERY: Duration = Duration::from_hours(1);

/// Why a request did not get past the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Missing,
    Invalid,
    Expired,
    Role,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Role => "role",
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::Missing => "without an API key was refused",
            Self::Invalid => "with an API key that is not valid was refused",
            Self::Expired => "with an API key that has expired was refused",
            Self::Role => "with an API key of too narrow a role was refused",
        }
    }

    const fn action(self) -> AuditAction {
        match self {
            Self::Role => AuditAction::Forbid,
            _ => AuditAction::Refuse,
        }
    }
}

/// A request that did not get past the keys.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// Who it was, as far as that is known.
    pub(super) actor: Actor,
    /// The path as the document writes it: nothing that the client made up.
    pub(super) route: String,
}

/// Whom failures are counted for.
type Source = (Option<String>, Reason, String);

#[derive(Debug, Default)]
struct Failures {
    /// When the window under way ends, as the clock counts the time that passed.
    window_ends: Option<Duration>,
    sources: BTreeMap<Source, (Actor, u64)>,
    others: u64,
    to_record: Vec<AuditEntry>,
}

impl Failures {
    fn note(&mut self, failure: Failure, passed: Duration) {
        self.close_if_over(passed);
        self.window_ends.get_or_insert(passed + WINDOW);
        let Failure { reason, actor, route } = failure;
        let source = (actor.address.clone(), reason, actor.user.clone());
        let has_room = self.sources.len() < SOURCES;
        match self.sources.get_mut(&source) {
            Some((_, count)) => *count += 1,
            None if has_room => {
                self.to_record.push(AuditEntry {
                    action: reason.action(),
                    description: format!("A request {}: {route}", reason.told()),
                    original_id: String::new(),
                    original_object: None,
                    new_object: Some(json!({ "reason": reason.as_str(), "route": route, "requests": 1 })),
                    actor: actor.clone(),
                });
                // The request that is counted next is another one.
                let actor = Actor {
                    request_id: None,
                    ..actor
                };
                self.sources.insert(source, (actor, 0));
            }
            None => self.others += 1,
        }
    }

    fn close_if_over(&mut self, passed: Duration) {
        if self.window_ends.is_some_and(|end| end <= passed) {
            self.close();
        }
    }

    /// Ends the window: what was counted is to be recorded.
    fn close(&mut self) {
        self.window_ends = None;
        for ((_, reason, _), (actor, count)) in std::mem::take(&mut self.sources) {
            if count > 0 {
                self.to_record.push(AuditEntry {
                    actor,
                    action: reason.action(),
                    description: format!("{count} further requests of the same kind within an hour"),
                    original_id: String::new(),
                    original_object: None,
                    new_object: Some(json!({ "reason": reason.as_str(), "requests": count })),
                });
            }
        }
        let others = std::mem::take(&mut self.others);
        if others > 0 {
            self.to_record.push(AuditEntry {
                actor: Actor::named(ApiKeyName::ANONYMOUS),
                action: AuditAction::Refuse,
                description: format!(
                    "{others} further requests from other sources were refused within an hour"
                ),
                original_id: String::new(),
                original_object: None,
                new_object: Some(json!({ "reason": "others", "requests": others })),
            });
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    failures: Mutex<Failures>,
    uses: Mutex<BTreeMap<ApiKeyId, Timestamp>>,
    changed: Notify,
}

/// What is to be written down. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Inner>);

impl Notes {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn failed(&self, failure: Failure, passed: Duration) {
        self.failures().note(failure, passed);
        self.0.changed.notify_one();
    }

    pub(super) fn key_used(&self, key: &ApiKeyRecord, now: Timestamp) {
        let is_old = |used: Timestamp| now.since(used) >= USE_NOTED_EVERY || used > now;
        if key.last_used_at.is_none_or(is_old) {
            self.uses().insert(key.id, now);
            self.0.changed.notify_one();
        }
    }

    /// Writes down what comes until the end begins, and then what is left.
    pub async fn write_down(self, store: Store, clock: Clock, ending: CancellationToken) {
        loop {
            let window = self.failures().window_ends;
            let window_is_over = async {
                match window {
                    Some(end) => clock.sleep(end.saturating_sub(clock.passed())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.changed.notified() => {}
                () = window_is_over => {}
                () = ending.cancelled() => {}
            }
            let ends = ending.is_cancelled();
            let entries = {
                let mut failures = self.failures();
                if ends {
                    failures.close();
                } else {
                    failures.close_if_over(clock.passed());
                }
                std::mem::take(&mut failures.to_record)
            };
            let uses = std::mem::take(&mut *self.uses());
            for entry in entries {
                if let Err(error) = store.record(&entry, clock.now()).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a failure of authentication could not be recorded"
                    );
                }
            }
            for (id, at) in uses {
                if let Err(error) = store.note_key_use(id, at).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the use of a key could not be noted"
                    );
                }
            }
            if ends {
                return;
            }
        }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        // Each change of it leaves it whole.
        self.0.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uses(&self) -> MutexGuard<'_, BTreeMap<ApiKeyId, Timestamp>> {
        self.0.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(address: &str, reason: Reason) -> Failure {
        Failure {
            reason,
            actor: Actor {
                address: Some(address.to_owned()),
                ..Actor::named("anonymous")
            },
            route: "/api/v1/runs".to_owned(),
        }
    }

    fn requests(failures: &mut Failures) -> Vec<u64> {
        let entries = std::mem::take(&mut failures.to_record);
        let number = |entry: &AuditEntry| entry.new_object.as_ref().unwrap()["requests"].as_u64().unwrap();
        entries.iter().map(number).collect()
    }

    #[test]
    fn of_a_source_the_first_failure_is_told_at_once_and_the_others_as_a_number() {
        let mut failures = Failures::default();
        for _ in 0..1_000 {
            failures.note(failure("192.0.2.1", Reason::Invalid), Duration::ZERO);
        }
        failures.note(failure("192.0.2.1", Reason::Missing), Duration::ZERO);
        assert_eq!(requests(&mut failures), [1, 1]);
        failures.note(failure("192.0.2.1", Reason::Invalid), WINDOW);
        assert_eq!(requests(&mut failures), [999, 1]);
        failures.close();
        assert!(requests(&mut failures).is_empty());
    }

    #[test]
    fn however_many_sources_there_are_an_hour_writes_few_records() {
        let mut failures = Failures::default();
        for round in 0..3 {
            for source in 0..10_000 {
                failures.note(
                    failure(&format!("2001:db8::{source:x}"), Reason::Missing),
                    Duration::from_secs(round),
                );
            }
        }
        failures.close();
        let told = requests(&mut failures);
        assert_eq!((told.len(), told.iter().sum::<u64>()), (65, 30_000));
        assert!(failures.sources.is_empty());
    }
}
