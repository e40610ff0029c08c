//! The keys of this service's own API: who may do what.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{ApiKey, ApiKeyId, Timestamp};

/// What a key may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Readonly,
    /// Runs, cancels, approves, checks and verifies too.
    Operator,
    /// Everything: integrations, adoption and keys too.
    Admin,
}

impl Role {
    /// All roles, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Readonly, Self::Operator, Self::Admin];

    /// The role as it stands in bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of a word.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// The unique name of a key, by which the audit log tells who did something: 1 to 64 of `[A-Za-z0-9._ -]`, no space at an
/// end, and none of the names that the service itself goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyName(String);

/// Why a text is not a key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyNameError {
    /// Its form is wrong.
    #[error(
        "must be 1 to 64 characters out of letters, digits, `.`, `_`, `-` and space, without a space at either end"
    )]
    Form,
    /// Somebody else goes by it in the audit log.
    #[error("must not be `admin`, `scheduler` or `anonymous`, which the audit log uses itself")]
    Reserved,
}

impl ApiKeyName {
    /// The name of the key of the settings.
    pub const SETTINGS: &str = "admin";
    /// The name of the service where it acts by itself.
    pub const SCHEDULER: &str = "scheduler";
    /// The name of those who came without a key that is valid.
    pub const ANONYMOUS: &str = "anonymous";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyName {
    type Err = ApiKeyNameError;

    fn from_str(text: &str) -> Result<Self, ApiKeyNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._ -".contains(&byte);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(allowed) || text.trim() != text {
            return Err(ApiKeyNameError::Form);
        }
        let reserved = [Self::SETTINGS, Self::SCHEDULER, Self::ANONYMOUS];
        if reserved.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(ApiKeyNameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ApiKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ApiKeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A key as reads carry it: all but the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiKeyRecord {
    /// Its id, which is a part of its text too.
    pub id: ApiKeyId,
    /// Its name: the `user` of audit records.
    #[schema(value_type = String, example = "nightly-job")]
    pub name: ApiKeyName,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// The name of the key that made it.
    #[schema(example = "admin")]
    pub created_by: String,
    /// From when on it is not valid any more; null is never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, within the hour; null is never.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKeyRecord {
    /// Whether it is valid no more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// What the text of each key begins with, so that those who search for lost secrets know it.
const PREFIX: &str = "wck_";

impl ApiKey {
    /// The text of a key: `wck_`, its id as 32 hexadecimal digits, `_`, and what nobody guesses.
    pub fn with_id(id: ApiKeyId, secret: &str) -> Self {
        Self::new(format!("{PREFIX}{}_{secret}", id.uuid().simple()))
    }

    /// The id in the text of a key. It says which key this would be, not that it is that key.
    pub fn id_in(text: &str) -> Option<ApiKeyId> {
        let (id, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
        id.parse().ok().filter(|_| id.len() == 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(Role::read(role.as_str()), Some(role));
        }
        assert_eq!(Role::read("Admin"), None);
    }

    #[test]
    fn a_name_is_plain_and_nobody_elses() {
        for name in ["a", "nightly job", "A.b_c-1"] {
            assert_eq!(name.parse::<ApiKeyName>().unwrap().as_str(), name);
        }
        for name in ["", " a", "a ", "a/b", "ä", &"a".repeat(65)] {
            assert_eq!(name.parse::<ApiKeyName>(), Err(ApiKeyNameError::Form), "{name}");
        }
        for name in ["admin", "Scheduler", "ANONYMOUS"] {
            assert_eq!(name.parse::<ApiKeyName>(), Err(ApiKeyNameError::Reserved));
        }
    }

    #[test]
    fn the_text_of_a_key_tells_its_id() {
        let id = ApiKeyId::new(Timestamp::from_millis(1_795_493_090_000));
        let key = ApiKey::with_id(id, "pla_nted-");
        assert_eq!(ApiKey::id_in(key.expose()), Some(id));
        for text in [
            "",
            "wck_",
            "wck_planted",
            "wck_planted_x",
            "other_00000000000000000000000000000000_x",
        ] {
            assert_eq!(ApiKey::id_in(text), None, "{text}");
        }
        let hyphened = format!("wck_{id}_planted");
        assert_eq!(ApiKey::id_in(&hyphened), None);
    }
}
