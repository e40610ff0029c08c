//! The schedule: when an integration runs by itself.

use std::time::Duration;

use crate::domain::{Integration, IntegrationId, Timestamp, Trigger};
use crate::store::IntegrationOverview;

/// Runs of several integrations spread over this long, so that they do not all ask Wiz at once.
const SPREAD_S: u128 = 15 * 60;

/// When the schedule starts the next run of an integration, by what is known now; never in the past. `None` while auto
/// update is off, and while the integration's labels are being removed.
///
/// A run that fetches a report for real counts from its start, also before it has begun: it then begins now at the earliest.
/// Any other run under way moves nothing; what comes due meanwhile starts when it ends.
pub fn next_run_at(overview: &IntegrationOverview, now: Timestamp) -> Option<Timestamp> {
    let last_started_at = match &overview.active_run {
        Some(run) if run.trigger == Trigger::Removal => return None,
        Some(run) if run.trigger.fetches_report() && !run.dry_run => Some(run.started_at.unwrap_or(now)),
        _ => overview.last_started_at,
    };
    due_at(&overview.integration, last_started_at, now).map(|due| due.max(now))
}

/// When an integration is due: at once where it never ran, else an interval and a fixed part of a quarter of an hour after
/// its last start. `None` while auto update is off.
///
/// A last start in the future, as after a clock was set back, counts as of now.
pub(super) fn due_at(
    integration: &Integration,
    last_started_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let settings = &integration.settings;
    settings.enabled.then(|| match last_started_at {
        None => integration.created_at.min(now),
        Some(started) => started.min(now) + settings.update_interval.duration() + spread(integration.id),
    })
}

/// The integration's own part of the spread: 0 to 15 minutes, by its id.
fn spread(id: IntegrationId) -> Duration {
    let seconds = id.uuid().as_u128() % (SPREAD_S + 1);
    Duration::from_secs(u64::try_from(seconds).expect("a quarter of an hour is a small number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        AllowedHosts, ApiEndpoint, IntegrationSettings, SettingsTag, TokenUrl, UpdateInterval, WizConnection,
    };

    fn integration(enabled: bool) -> Integration {
        let none = AllowedHosts::default();
        let now = Timestamp::from_millis(1_000_000);
        let wiz = WizConnection {
            api_endpoint: ApiEndpoint::read("https://api.us1.app.wiz.io", &none).unwrap(),
            token_url: TokenUrl::read("https://auth.app.wiz.io", &none).unwrap(),
            client_id: "client".into(),
        };
        let update_interval = UpdateInterval::try_from(86_400).unwrap();
        Integration {
            id: IntegrationId::new(now),
            settings: IntegrationSettings {
                name: "wiz1".parse().unwrap(),
                enabled,
                update_interval,
                wiz,
            },
            tag: SettingsTag(1),
            client_secret_set_at: now,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn the_first_run_is_due_at_once_and_the_others_an_interval_later() {
        let now = Timestamp::from_millis(2_000_000);
        let on = integration(true);
        assert!(due_at(&on, None, now).unwrap() <= now);
        let next = due_at(&on, Some(now), now).unwrap();
        let after = next.since(now);
        assert!(after >= Duration::from_hours(24) && after <= Duration::from_mins(24 * 60 + 15));
        assert_eq!(
            due_at(&on, Some(now + Duration::from_hours(900)), now),
            Some(next),
            "a clock that was set back"
        );
        assert_eq!(due_at(&integration(false), None, now), None);
    }
}
