//! An integration: the settings of one Wiz tenant, as an operator gives them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{ApiEndpoint, ClientSecret, IntegrationId, Timestamp, TokenUrl};

/// The unique name of an integration: 1 to 64 of `[A-Za-z0-9._ -]`, no space at an end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegrationName(String);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {max} characters out of letters, digits, `.`, `_`, `-` and space, without a space at either end",
    max = IntegrationName::MAX_CHARS)]
pub struct NameError;

impl IntegrationName {
    /// The greatest length of a name.
    pub const MAX_CHARS: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IntegrationName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._ -".contains(&byte);
        let fits =
            (1..=Self::MAX_CHARS).contains(&text.len()) && text.bytes().all(allowed) && text.trim() == text;
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError)
        }
    }
}

impl fmt::Display for IntegrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How often an integration runs by itself: a day to a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateInterval(u32);

/// Why a number is not an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a whole number of seconds from {} (one day) to {} (one week)",
    UpdateInterval::MIN_S,
    UpdateInterval::MAX_S
)]
pub struct UpdateIntervalError;

impl UpdateInterval {
    /// The least interval, in seconds: Wiz makes a report anew once a day.
    pub const MIN_S: u32 = 86_400;
    /// The greatest interval, in seconds: what Fusion's own integrations take.
    pub const MAX_S: u32 = 604_800;

    /// The interval in seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The interval as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl TryFrom<i64> for UpdateInterval {
    type Error = UpdateIntervalError;

    fn try_from(seconds: i64) -> Result<Self, UpdateIntervalError> {
        let seconds = u32::try_from(seconds).map_err(|_| UpdateIntervalError)?;
        if (Self::MIN_S..=Self::MAX_S).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(UpdateIntervalError)
        }
    }
}

/// Where a Wiz tenant is and who asks, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WizConnection {
    /// The GraphQL API.
    pub api_endpoint: ApiEndpoint,
    /// Where tokens are given.
    pub token_url: TokenUrl,
    /// The service account's client id.
    pub client_id: String,
}

/// The settings of an integration, complete but for the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationSettings {
    /// The unique name.
    pub name: IntegrationName,
    /// Whether the schedule starts runs (the Portal's *Auto Update*).
    pub enabled: bool,
    /// How often it does.
    pub update_interval: UpdateInterval,
    /// The Wiz tenant.
    pub wiz: WizConnection,
}

/// The version of an integration's settings: its entity tag, a number that every change of them raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingsTag(pub i64);

impl fmt::Display for SettingsTag {
    /// As an entity tag stands in a header: `"3"`, quotes included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// An integration as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// Its settings.
    pub settings: IntegrationSettings,
    /// The version of the settings.
    pub tag: SettingsTag,
    /// When the client secret was last set.
    pub client_secret_set_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
}

/// What a sign-in at Wiz takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WizCredentials {
    /// Where, and who.
    pub connection: WizConnection,
    /// The service account's secret.
    pub client_secret: ClientSecret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_and_trimmed() {
        for name in ["wiz1", "Wiz prod.eu_1-b", &"a".repeat(64)] {
            assert_eq!(name.parse::<IntegrationName>().unwrap().as_str(), name);
        }
        for name in ["", " wiz", "wiz ", "wiz/1", "wíz", "a\n", &"a".repeat(65)] {
            assert_eq!(name.parse::<IntegrationName>(), Err(NameError), "{name:?}");
        }
    }

    #[test]
    fn intervals_run_from_a_day_to_a_week() {
        for seconds in [86_400, 604_800] {
            assert_eq!(
                i64::from(UpdateInterval::try_from(seconds).unwrap().as_secs()),
                seconds
            );
        }
        for seconds in [-1, 0, 86_399, 604_801, i64::MAX] {
            assert_eq!(UpdateInterval::try_from(seconds), Err(UpdateIntervalError));
        }
    }
}
