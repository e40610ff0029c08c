//! Fusion's labels: which contexts exist here, what text they may hold, and the record that carries them.

use std::fmt;

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use super::Address;

/// One of the four label contexts that this service writes, in alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// The CVE ids of severity high or above.
    Cve,
    /// The highest rating.
    CvssRating,
    /// The highest score.
    CvssScore,
    /// How many findings, any severity.
    VulnCount,
}

impl Context {
    /// All contexts, sorted.
    pub const ALL: [Self; 4] = [Self::Cve, Self::CvssRating, Self::CvssScore, Self::VulnCount];

    /// The context's name in Fusion, and in queries (`label.ip.cve`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cve => "cve",
            Self::CvssRating => "cvss_rating",
            Self::CvssScore => "cvss_score",
            Self::VulnCount => "vuln_count",
        }
    }

    /// The context with that name.
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|context| context.as_str() == name)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pair (ip, context): what Fusion holds one value of. Pairs order by address, then context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The address.
    pub ip: Address,
    /// The context.
    pub context: Context,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ip, self.context)
    }
}

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Pair", 2)?;
        record.serialize_field("ip", &self.ip)?;
        record.serialize_field("context", self.context.as_str())?;
        record.end()
    }
}

/// The value of a pair: 1 to 10,000 labels in their canonical order, each within Fusion's rules
/// (`[A-Za-z0-9 ._/\-#~:()]`, trimmed, 1 to 80 characters).
///
/// Kept as one text, a label a line, so that a value is one allocation and compares at once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Box<str>);

/// Why a text is not a value Fusion would take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelTextError {
    /// No label, or one without text.
    #[error("a label is empty")]
    Empty,
    /// Longer than 80 characters.
    #[error("a label is longer than {} characters", Labels::MAX_LABEL_CHARS)]
    TooLong,
    /// White space at an end.
    #[error("a label begins or ends with a space")]
    NotTrimmed,
    /// A character outside of the set.
    #[error("a label holds a character that Fusion refuses")]
    Character,
    /// More labels than one record takes.
    #[error("more than {} labels in one record", Labels::MAX_LABELS)]
    TooMany,
}

impl Labels {
    /// The most labels that one record takes.
    pub const MAX_LABELS: usize = 10_000;
    /// The greatest length of a label.
    pub const MAX_LABEL_CHARS: usize = 80;

    /// The value of a text that holds a label a line.
    ///
    /// # Errors
    /// When one of the lines is not a label.
    pub fn from_lines(lines: impl Into<Box<str>>) -> Result<Self, LabelTextError> {
        let lines = lines.into();
        let mut count = 0;
        for label in lines.split('\n') {
            count += 1;
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._/\\-#~:()".contains(&byte);
            match label {
                "" => return Err(LabelTextError::Empty),
                _ if label.len() > Self::MAX_LABEL_CHARS => return Err(LabelTextError::TooLong),
                _ if !label.bytes().all(allowed) => return Err(LabelTextError::Character),
                _ if label.trim() != label => return Err(LabelTextError::NotTrimmed),
                _ => {}
            }
        }
        if count > Self::MAX_LABELS {
            Err(LabelTextError::TooMany)
        } else {
            Ok(Self(lines))
        }
    }

    /// The labels, a line each, without a line end at the end.
    pub fn as_lines(&self) -> &str {
        &self.0
    }

    /// The labels one by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.split('\n')
    }

    /// How many labels there are, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a value is never empty")]
    pub fn len(&self) -> usize {
        memchr::memchr_iter(b'\n', self.0.as_bytes()).count() + 1
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, label) in self.iter().enumerate() {
            write!(f, "{}{label}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut labels = serializer.serialize_seq(None)?;
        for label in self.iter() {
            labels.serialize_element(label)?;
        }
        labels.end()
    }
}

/// A label record as Fusion takes and gives it: `{"ip","context","labels":[…]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRecord {
    /// The pair that holds the labels.
    pub pair: Pair,
    /// Its value.
    pub labels: Labels,
}

impl Serialize for LabelRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("LabelRecord", 3)?;
        record.serialize_field("ip", &self.pair.ip)?;
        record.serialize_field("context", self.pair.context.as_str())?;
        record.serialize_field("labels", &self.labels)?;
        record.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_in_alphabetical_order_and_read_back() {
        assert!(Context::ALL.is_sorted());
        assert!(Context::ALL.map(Context::as_str).is_sorted());
        for context in Context::ALL {
            assert_eq!(Context::read(context.as_str()), Some(context));
        }
        assert_eq!(Context::read("CVE"), None);
    }

    #[test]
    fn labels_keep_fusions_rules() {
        assert_eq!(
            Labels::from_lines("CVE-2023-0001\nCVE-2023-0002").unwrap().len(),
            2
        );
        assert_eq!(Labels::from_lines("a".repeat(80)).unwrap().len(), 1);
        for (lines, error) in [
            (String::new(), LabelTextError::Empty),
            ("a\n\nb".into(), LabelTextError::Empty),
            ("a".repeat(81), LabelTextError::TooLong),
            (" a".into(), LabelTextError::NotTrimmed),
            ("a,b".into(), LabelTextError::Character),
            ("é".into(), LabelTextError::Character),
            ("a\n".repeat(10_000) + "a", LabelTextError::TooMany),
        ] {
            assert_eq!(Labels::from_lines(lines), Err(error));
        }
    }

    #[test]
    fn a_record_is_written_as_fusion_takes_it() {
        let pair = Pair {
            ip: Address::read("2001:DB8::1").unwrap(),
            context: Context::Cve,
        };
        let record = LabelRecord {
            pair,
            labels: Labels::from_lines("CVE-2023-0001\nCVE-2023-0002").unwrap(),
        };
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"ip":"2001:db8::1","context":"cve","labels":["CVE-2023-0001","CVE-2023-0002"]}"#
        );
        assert_eq!(
            serde_json::to_string(&pair).unwrap(),
            r#"{"ip":"2001:db8::1","context":"cve"}"#
        );
    }
}
