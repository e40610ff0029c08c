//! The ids of this service's own records, one type each, and those that Wiz gives.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Uuid};

use super::Timestamp;

/// Orders ids that are made within one millisecond.
static SEQUENCE: Mutex<ContextV7> = Mutex::new(ContextV7::new());

macro_rules! own_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, which orders by the time of its making.
            pub fn new(now: Timestamp) -> Self {
                let epoch_ms = u64::try_from(now.as_millis()).unwrap_or(0);
                let time = uuid::Timestamp::from_unix(
                    &SEQUENCE,
                    epoch_ms / 1000,
                    u32::try_from(epoch_ms % 1000).expect("less than a thousand") * 1_000_000,
                );
                Self(Uuid::new_v7(time))
            }

            /// The plain UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self(text.parse()?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

own_ids! {
    /// The id of an integration, a UUIDv7.
    IntegrationId;
    /// The id of a run, a UUIDv7.
    RunId;
    /// The id of an audit record, a UUIDv7.
    AuditId;
    /// The id of a key of the API, a UUIDv7.
    ApiKeyId;
}

macro_rules! foreign_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an id as Wiz gave it.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id as Wiz gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

foreign_ids! {
    /// The id of a report in Wiz.
    ReportId;
    /// The id of one run of a report in Wiz.
    ReportRunId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_within_one_millisecond_keep_their_order() {
        let now = Timestamp::from_millis(1_795_493_090_123);
        let ids: Vec<_> = (0..1000).map(|_| AuditId::new(now)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].to_string().parse::<AuditId>().unwrap(), ids[0]);
    }
}
