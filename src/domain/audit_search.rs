//! What can be asked of the audit log, in a part of the language of Fusion's own searches (NQL).
//!
//! ```text
//! either     = both ( "||" both )*
//! both       = comparison ( "&&" comparison )*
//! comparison = field ( "==" | "!=" ) value | "(" either ")"
//! value      = word | "text in quotes" | 'text in quotes'
//! ```

use std::fmt;

/// The longest search, in bytes: beyond what people write, and far below what would be slow.
const MAX_BYTES: usize = 4_096;
/// The most comparisons of a search. SQLite takes expressions of a depth of a thousand.
const MAX_COMPARISONS: usize = 100;
/// The deepest brackets.
const MAX_DEPTH: usize = 32;

/// A member of audit records that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the record's members")]
pub enum AuditField {
    Id,
    Class,
    Subclass,
    Action,
    User,
    KeyId,
    OriginalId,
    RequestId,
    Address,
}

impl AuditField {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Class,
        Self::Subclass,
        Self::Action,
        Self::User,
        Self::OriginalId,
        Self::KeyId,
        Self::RequestId,
        Self::Address,
        Self::Id,
    ];

    /// The member's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Class => "class",
            Self::Subclass => "subclass",
            Self::Action => "action",
            Self::User => "user",
            Self::KeyId => "key_id",
            Self::OriginalId => "original_id",
            Self::RequestId => "request_id",
            Self::Address => "address",
        }
    }

    /// The field of a member's name.
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

/// What records are to be like. Texts compare exactly; a member that a record does not have differs from every text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditCondition {
    /// The member has this value.
    Equal(AuditField, String),
    /// The member has another value, or none.
    NotEqual(AuditField, String),
    /// All of these hold; of none, everything does.
    All(Vec<Self>),
    /// One of these holds.
    Any(Vec<Self>),
}

impl Default for AuditCondition {
    /// Every record.
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// Why a text is not a search.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("goes wrong at character {character}: {problem}")]
pub struct AuditSearchError {
    /// Where, counted from 1.
    pub character: usize,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

impl AuditCondition {
    /// Reads a search; an empty one is met by every record.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn read(text: &str) -> Result<Self, AuditSearchError> {
        let mut reader = Reader {
            text,
            at: 0,
            comparisons: 0,
        };
        if text.len() > MAX_BYTES {
            return Err(reader.wrong(format!("a search has at most {MAX_BYTES} bytes")));
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let condition = reader.either(0)?;
        reader.skip_spaces();
        if reader.rest().is_empty() {
            Ok(condition)
        } else if reader.rest().starts_with(')') {
            Err(reader.wrong("there is no `(` for this `)`"))
        } else {
            Err(reader.wrong("expected `&&`, `||` or the end; a value with spaces or signs goes into quotes"))
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    comparisons: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a sign, if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn wrong(&self, problem: impl fmt::Display) -> AuditSearchError {
        AuditSearchError {
            character: self.text[..self.at].chars().count() + 1,
            problem: problem.to_string(),
        }
    }

    fn either(&mut self, depth: usize) -> Result<AuditCondition, AuditSearchError> {
        let mut parts = vec![self.both(depth)?];
        while self.take("||") {
            parts.push(self.both(depth)?);
        }
        Ok(joined(parts, AuditCondition::Any))
    }

    fn both(&mut self, depth: usize) -> Result<AuditCondition, AuditSearchError> {
        let mut parts = vec![self.comparison(depth)?];
        while self.take("&&") {
            parts.push(self.comparison(depth)?);
        }
        Ok(joined(parts, AuditCondition::All))
    }

    fn comparison(&mut self, depth: usize) -> Result<AuditCondition, AuditSearchError> {
        if self.take("(") {
            if depth == MAX_DEPTH {
                return Err(self.wrong(format!("brackets go {MAX_DEPTH} deep at most")));
            }
            let inside = self.either(depth + 1)?;
            if !self.take(")") {
                return Err(self.wrong("expected `)`, `&&` or `||`"));
            }
            return Ok(inside);
        }
        if self.comparisons == MAX_COMPARISONS {
            return Err(self.wrong(format!("a search has at most {MAX_COMPARISONS} comparisons")));
        }
        self.comparisons += 1;
        let field = self.field()?;
        let equal = if self.take("==") {
            true
        } else if self.take("!=") {
            false
        } else {
            return Err(self.wrong("expected `==` or `!=`; the audit log knows no other comparison"));
        };
        let value = self.value()?;
        Ok(if equal {
            AuditCondition::Equal(field, value)
        } else {
            AuditCondition::NotEqual(field, value)
        })
    }

    fn field(&mut self) -> Result<AuditField, AuditSearchError> {
        self.skip_spaces();
        let word = word_of(self.rest());
        let Some(field) = AuditField::read(word) else {
            let names: Vec<_> = AuditField::ALL.iter().map(|field| field.as_str()).collect();
            return Err(self.wrong(format!("expected a field: {}", names.join(", "))));
        };
        self.at += word.len();
        Ok(field)
    }

    fn value(&mut self) -> Result<String, AuditSearchError> {
        self.skip_spaces();
        let rest = self.rest();
        if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
            return self.quoted(quote);
        }
        let word = word_of(rest);
        if word.is_empty() {
            return Err(self.wrong("expected a value: a word, or a text in quotes"));
        }
        self.at += word.len();
        Ok(word.to_owned())
    }

    /// A text up to the quote that it began with; a backslash stands before a quote or a backslash that belongs to it.
    fn quoted(&mut self, quote: char) -> Result<String, AuditSearchError> {
        let mut value = String::new();
        let mut escaped = false;
        for (at, char) in self.rest().char_indices().skip(1) {
            match char {
                '\\' if !escaped => escaped = true,
                _ if char == quote && !escaped => {
                    self.at += at + char.len_utf8();
                    return Ok(value);
                }
                _ => {
                    escaped = false;
                    value.push(char);
                }
            }
        }
        Err(self.wrong(format!("the text that begins here has no `{quote}` at its end")))
    }
}

fn word_of(text: &str) -> &str {
    let is_part = |char: char| char.is_alphanumeric() || "._-:/@+%".contains(char);
    &text[..text.find(|char| !is_part(char)).unwrap_or(text.len())]
}

fn joined(mut parts: Vec<AuditCondition>, join: fn(Vec<AuditCondition>) -> AuditCondition) -> AuditCondition {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::AuditCondition::{All, Any, Equal, NotEqual};
    use super::*;

    fn read(text: &str) -> AuditCondition {
        AuditCondition::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn equal(field: AuditField, value: &str) -> AuditCondition {
        Equal(field, value.to_owned())
    }

    #[test]
    fn both_binds_closer_than_either_and_brackets_closer_still() {
        let (a, b, c) = (
            equal(AuditField::User, "a"),
            NotEqual(AuditField::Action, "run_end".into()),
            equal(AuditField::Address, "2001:db8::1"),
        );
        let text = "user == a && action != run_end || address==2001:db8::1";
        assert_eq!(read(text), Any(vec![All(vec![a.clone(), b.clone()]), c.clone()]));
        let text = " user==a&&( action!=run_end||address == 2001:db8::1 ) ";
        assert_eq!(read(text), All(vec![a, Any(vec![b, c])]));
        assert_eq!(read("  "), AuditCondition::default());
    }

    #[test]
    fn quotes_hold_what_would_be_a_sign_else() {
        assert_eq!(
            read(r#"user == "nightly job && \"more\" \\""#),
            equal(AuditField::User, r#"nightly job && "more" \"#)
        );
        assert_eq!(read("user == 'o\"k'"), equal(AuditField::User, "o\"k"));
        assert_eq!(read("user == ''"), equal(AuditField::User, ""));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, character, problem) in [
            ("user like admin", 6, "expected `==` or `!=`"),
            ("colour == red", 1, "expected a field: class"),
            ("user == ", 9, "expected a value"),
            ("user == a && ", 14, "expected a field"),
            ("user == a b", 11, "expected `&&`, `||` or the end"),
            ("user == (a)", 9, "expected a value"),
            ("(user == a", 11, "expected `)`"),
            ("user == a)", 10, "no `(` for this"),
            ("user == \"a", 9, "has no `\"`"),
            ("ü", 1, "expected a field"),
            ("user == ü & user == a", 11, "expected `&&`"),
        ] {
            let error = AuditCondition::read(text).unwrap_err();
            assert_eq!(error.character, character, "{text}: {error}");
            assert!(error.problem.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn length_depth_and_number_are_bounded() {
        let deep = |levels: usize| format!("{}user == a{}", "(".repeat(levels), ")".repeat(levels));
        assert!(AuditCondition::read(&deep(MAX_DEPTH)).is_ok());
        assert!(AuditCondition::read(&deep(MAX_DEPTH + 1)).is_err());
        let long = |parts: usize| vec!["user == a"; parts].join("||");
        assert!(AuditCondition::read(&long(MAX_COMPARISONS)).is_ok());
        assert!(AuditCondition::read(&long(MAX_COMPARISONS + 1)).is_err());
        assert!(AuditCondition::read(&" ".repeat(MAX_BYTES + 1)).is_err());
    }
}
