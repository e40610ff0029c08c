//! What holds for every search of the audit log that somebody may write: for known odd ones, and for such as chance makes.

use proptest::prelude::*;

use super::AuditCondition::{All, Any, Equal, NotEqual};
use super::{AuditCondition, AuditField};

/// Searches that are none, and the character at which they go wrong.
const WRONG: [(&str, usize); 35] = [
    ("=", 1),
    ("==", 1),
    ("user", 5),
    ("user =", 6),
    ("user = a", 6),
    ("user === a", 8),
    ("user =! a", 6),
    ("user ! = a", 6),
    ("user <> a", 6),
    ("user > a", 6),
    ("user in (a, b)", 6),
    ("user like 'a%'", 6),
    ("USER == a", 1),
    ("user == a & action == b", 11),
    ("user == a | action == b", 11),
    ("user == a and action == b", 11),
    ("user == a &&", 13),
    ("user == a || || user == b", 14),
    ("&& user == a", 1),
    ("!user == a", 1),
    ("not user == a", 1),
    ("()", 2),
    ("(user == a))", 12),
    ("((user == a)", 13),
    ("user == a)(", 10),
    ("user == \"a", 9),
    ("user == 'a\"", 9),
    ("user == 'a\\'", 9),
    ("user == 'a''", 12),
    ("user == \"a\" \"b\"", 13),
    ("user == \u{0}", 9),
    ("user == a; DROP TABLE audit", 10),
    ("user == a -- b", 11),
    ("user == 'a' OR '1'=='1'", 13),
    ("\u{feff}user == a", 1),
];

/// Searches for one user, in odd spellings, and who is asked for.
const ODD_VALUES: [(&str, &str); 17] = [
    ("user==a", "a"),
    ("\t\r\n user\u{a0}==\u{3000}a \u{2028}", "a"),
    ("((((user == a))))", "a"),
    ("user == ''", ""),
    ("user == ' '", " "),
    ("user == '\\''", "'"),
    ("user == '\\\\'", "\\"),
    ("user == '\\\\\\''", "\\'"),
    ("user == \"\\a\"", "a"),
    ("user == '\"'", "\""),
    ("user == \"' OR 1=1 --\"", "' OR 1=1 --"),
    ("user == \"a && (b || c)\"", "a && (b || c)"),
    ("user == \"\u{0}\"", "\u{0}"),
    ("user == \"a\nb\"", "a\nb"),
    ("user == ünïcödé", "ünïcödé"),
    ("user == \"👩‍👩‍👧\u{202e}\"", "👩‍👩‍👧\u{202e}"),
    ("user == 2001:db8::1/64", "2001:db8::1/64"),
];

#[test]
fn odd_searches_are_refused_at_their_place() {
    for (text, character) in WRONG {
        let error = AuditCondition::read(text).expect_err(text);
        assert_eq!(error.character, character, "{text}: {error}");
    }
}

#[test]
fn odd_values_are_asked_for_as_they_are_meant() {
    for (text, value) in ODD_VALUES {
        let read = AuditCondition::read(text);
        assert_eq!(read, Ok(Equal(AuditField::User, value.to_owned())), "{text}");
    }
}

/// Values: words, signs of the language, and anything else.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z0-9._:/@+%-]{1,8}",
        2 => "[ =!&|()'\"\\\\a]{0,8}",
        1 => any::<String>().prop_map(|text| text.chars().take(12).collect()),
    ]
}

fn condition() -> impl Strategy<Value = AuditCondition> {
    let field = || prop::sample::select(AuditField::ALL.to_vec());
    let comparison = prop_oneof![
        (field(), value()).prop_map(|(field, value)| Equal(field, value)),
        (field(), value()).prop_map(|(field, value)| NotEqual(field, value)),
    ];
    comparison.prop_recursive(6, 24, 4, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![parts().prop_map(All), parts().prop_map(Any)]
    })
}

/// How a search is written where the language leaves a choice: each choice is the next bit.
struct Writer {
    choices: u64,
}

impl Writer {
    fn chooses(&mut self) -> bool {
        self.choices = self.choices.rotate_left(1);
        self.choices & 1 == 1
    }

    fn space(&mut self) -> &'static str {
        match (self.chooses(), self.chooses()) {
            (true, true) => "\n\t ",
            (true, false) => " ",
            _ => "",
        }
    }

    fn comparison(&mut self, field: AuditField, sign: &str, value: &str) -> String {
        let is_word = |char: char| char.is_alphanumeric() || "._-:/@+%".contains(char);
        let quote = if self.chooses() { '"' } else { '\'' };
        let value = if !value.is_empty() && value.chars().all(is_word) && self.chooses() {
            value.to_owned()
        } else {
            let escaped = value.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
            format!("{quote}{escaped}{quote}")
        };
        format!("{}{}{sign}{}{value}", field.as_str(), self.space(), self.space())
    }

    fn joined(&mut self, parts: &[AuditCondition], sign: &str, bare: fn(&AuditCondition) -> bool) -> String {
        let mut text = String::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                text += self.space();
                text += sign;
                text += self.space();
            }
            let inner = self.write(part);
            // Brackets that are not needed change nothing.
            let part = if bare(part) && self.chooses() {
                inner
            } else {
                format!("({}{inner}{})", self.space(), self.space())
            };
            text += &part;
        }
        text
    }

    fn write(&mut self, condition: &AuditCondition) -> String {
        match condition {
            Equal(field, value) => self.comparison(*field, "==", value),
            NotEqual(field, value) => self.comparison(*field, "!=", value),
            All(parts) => self.joined(parts, "&&", |part| matches!(part, Equal(..) | NotEqual(..))),
            Any(parts) => self.joined(parts, "||", |part| !matches!(part, Any(_))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_as_it_was_meant(condition in condition(), choices in any::<u64>()) {
        let text = Writer { choices }.write(&condition);
        prop_assert_eq!(AuditCondition::read(&text), Ok(condition), "{}", text);
    }

    #[test]
    fn any_text_is_a_search_that_can_be_written_again_or_an_error_within_it(
        text in prop_oneof!["[a-z_ =!&|()'\"\\\\ü\u{0}👩]{0,60}", any::<String>()], choices in any::<u64>(),
    ) {
        match AuditCondition::read(&text) {
            Ok(condition) if condition == AuditCondition::default() => prop_assert!(text.trim().is_empty()),
            Ok(condition) => {
                let again = Writer { choices }.write(&condition);
                prop_assert_eq!(AuditCondition::read(&again), Ok(condition), "{}", again);
            }
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.character)),
        }
    }

    /// Texts that are nearly searches reach further into the reader than texts by chance do.
    #[test]
    fn a_search_with_something_taken_out_or_put_in_is_one_or_an_error_within_it(
        condition in condition(), choices in any::<u64>(), at in any::<prop::sample::Index>(), out in 0_usize..4,
        put_in in prop_oneof![Just(String::new()), "[=!&|()'\"\\\\ ]{1,2}", any::<char>().prop_map(String::from)],
    ) {
        let mut chars: Vec<_> = Writer { choices }.write(&condition).chars().collect();
        let start = at.index(chars.len());
        let end = (start + out).min(chars.len());
        chars.splice(start..end, put_in.chars());
        let text: String = chars.into_iter().collect();
        match AuditCondition::read(&text) {
            Ok(condition) => {
                let again = Writer { choices }.write(&condition);
                prop_assert!(text.trim().is_empty() || AuditCondition::read(&again) == Ok(condition), "{}", again);
            }
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.character)),
        }
    }

    #[test]
    fn brackets_go_as_deep_as_is_promised_and_no_deeper(levels in 0_usize..100) {
        let text = format!("{}user == a{}", "(".repeat(levels), ")".repeat(levels));
        prop_assert_eq!(AuditCondition::read(&text).is_ok(), levels <= 32);
    }
}
