//! Pages of lists: how many records, from where on, and where the next page begins.
//!
//! A list goes on by the key of the last record that was shown, so that what comes and goes between two pages makes no
//! record appear twice, and none that stays is passed over. The cursor carries the key and a check over it and the list: one
//! of another list, or one that was changed on its way, is refused and not taken for another place.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::extract::Query;

/// Bytes of the check: a cursor that was changed is taken for a good one once in four billion times.
const CHECK_BYTES: usize = 4;

/// The page that a caller asks for.
#[derive(Debug)]
pub(super) struct Paging<K> {
    list: String,
    limit: u32,
    /// The key that the page before ended with.
    pub(super) after: Option<K>,
}

impl<K> Paging<K> {
    /// Takes `limit` and `cursor` of a query. `list` tells this list from all others; `read` reads a key.
    pub(super) fn take(
        query: &mut Query,
        list: impl Into<String>,
        default_limit: u32,
        read: impl FnOnce(&str) -> Option<K>,
    ) -> Self {
        let list = list.into();
        let limit = query.limit(default_limit);
        let after = query.take("cursor", |cursor| {
            let key = key_of(&list, cursor).and_then(|key| read(&key));
            key.ok_or_else(|| {
                "is not a cursor of this list; take `meta.next` of the page before as it is".to_owned()
            })
        });
        Self { list, limit, after }
    }

    /// How many records to read: one more than the page has, to see whether there is a next one.
    pub(super) const fn with_next(&self) -> u32 {
        self.limit + 1
    }

    /// Cuts what was read to the page; gives the cursor of the next one.
    pub(super) fn cut<T>(&self, records: &mut Vec<T>, key: impl FnOnce(&T) -> String) -> Option<String> {
        let limit = self.limit as usize;
        let has_next = records.len() > limit;
        records.truncate(limit);
        let last = records.last().filter(|_| has_next)?;
        Some(cursor(&self.list, &key(last)))
    }
}

/// The cursor of the place after a key.
fn cursor(list: &str, key: &str) -> String {
    let mut bytes = check(list, key).to_vec();
    bytes.extend(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_of(list: &str, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (given, key) = bytes.split_at_checked(CHECK_BYTES)?;
    let key = std::str::from_utf8(key).ok()?;
    (given == check(list, key)).then(|| key.to_owned())
}

fn check(list: &str, key: &str) -> [u8; CHECK_BYTES] {
    let hash = digest(&SHA256, format!("{list}\n{key}").as_bytes());
    let first = hash.as_ref().first_chunk();
    *first.expect("the hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_has_a_next_one_only_when_there_is_more() {
        let paging = Paging::<String> {
            list: "runs".to_owned(),
            limit: 2,
            after: None,
        };
        for (count, next) in [(0, None), (1, None), (2, None), (3, Some(cursor("runs", "2")))] {
            let mut records: Vec<u32> = (1..=count).collect();
            assert_eq!(paging.cut(&mut records, u32::to_string), next, "{count}");
            assert!(records.len() <= 2);
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_of_its_own_list_and_no_other(list in "[a-z/]{1,20}", other in "[a-z/]{1,20}", key in ".{0,40}") {
            let text = cursor(&list, &key);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(key_of(&list, &text), Some(key));
            if list != other {
                prop_assert_eq!(key_of(&other, &text), None);
            }
        }

        #[test]
        fn a_cursor_that_was_changed_is_none(key in ".{0,40}", at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let text = cursor("runs", &key);
            let at = at.index(text.len());
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(key_of("runs", &changed).is_some(), changed == text);
            prop_assert_eq!(key_of("runs", &text[..at]), None);
        }

        #[test]
        fn whatever_is_sent_as_a_cursor_is_read_or_refused(text in ".{0,60}") {
            drop(key_of("runs", &text));
        }
    }
}
