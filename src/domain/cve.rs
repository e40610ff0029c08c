//! CVE ids, and the rank that decides which of them a full label keeps.

use std::fmt;

use super::{Rating, Score};

/// A CVE id, `CVE-2023-0123`, ordered by year, then number.
///
/// Zeros in front are part of an id (`0123` and `00123` are two), so the length of the number's text is kept too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CveId {
    year: u16,
    number: u64,
    digits: u8,
}

impl CveId {
    /// The length of the year, and the bounds of the length of the number, in digits.
    const YEAR_DIGITS: usize = 4;
    const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 4..=19;

    /// All ids in a text, in the order of the text: `CVE-YYYY-N…` in any case, 4 to 19 digits, as a whole word.
    ///
    /// A word ends where neither a letter, a digit (of any script) nor `_` follows, as in regular expressions.
    pub fn find_all(text: &str) -> impl Iterator<Item = Self> + '_ {
        let bytes = text.as_bytes();
        memchr::memchr2_iter(b'C', b'c', bytes).filter_map(move |start| {
            let (id, end) = Self::read_prefix(&bytes[start..])?;
            let is_word =
                |neighbour: Option<char>| neighbour.is_some_and(|char| char.is_alphanumeric() || char == '_');
            let whole =
                !is_word(text[..start].chars().next_back()) && !is_word(text[start + end..].chars().next());
            whole.then_some(id)
        })
    }

    /// The id at the start of `bytes` with the length of its text; a longer run of digits than allowed is none.
    fn read_prefix(bytes: &[u8]) -> Option<(Self, usize)> {
        let prefix = bytes.get(..4)?;
        if !prefix.eq_ignore_ascii_case(b"cve-") {
            return None;
        }
        let number_at = |from: usize, digits: usize| {
            bytes[from..from + digits]
                .iter()
                .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'))
        };
        let digits_at = |from: usize| {
            bytes[from..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let year_at = prefix.len();
        if digits_at(year_at) != Self::YEAR_DIGITS || bytes.get(year_at + Self::YEAR_DIGITS) != Some(&b'-') {
            return None;
        }
        let at = year_at + Self::YEAR_DIGITS + 1;
        let digits = digits_at(at);
        if !Self::NUMBER_DIGITS.contains(&digits) {
            return None;
        }
        let year =
            u16::try_from(number_at(year_at, Self::YEAR_DIGITS)).expect("four digits fit into 16 bits");
        let id = Self {
            year,
            number: number_at(at, digits),
            digits: u8::try_from(digits).expect("at most 19 digits"),
        };
        Some((id, at + digits))
    }

    /// The id as a number that orders like the id: year, number, length. 83 bits.
    const fn packed(self) -> u128 {
        ((self.year as u128) << 69) | ((self.number as u128) << 5) | self.digits as u128
    }

    const fn unpacked(packed: u128) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "each part is masked to its width")]
        let (year, number, digits) = (
            (packed >> 69 & 0x3fff) as u16,
            (packed >> 5 & u64::MAX as u128) as u64,
            (packed & 0x1f) as u8,
        );
        Self { year, number, digits }
    }
}

impl fmt::Display for CveId {
    /// Upper case, zeros in front as they came: `CVE-2023-0123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CVE-{:04}-{:0width$}",
            self.year,
            self.number,
            width = usize::from(self.digits)
        )
    }
}

/// A CVE of an asset or address together with what ranks it: known exploited (CISA KEV), exploit, score (none lowest),
/// rating, and last the id itself. The order of the values is that order, so the highest are the ones to keep.
///
/// One number of 95 bits, so that comparing, storing and keeping the best hundred are cheap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RankedCve(u128);

impl RankedCve {
    /// The length of the stored form, in bytes.
    pub const STORED_BYTES: usize = 12;

    const ID_BITS: u32 = 83;
    const ID_MASK: u128 = (1 << Self::ID_BITS) - 1;

    /// Ranks an id by the row that names it.
    pub fn new(
        id: CveId,
        known_exploited: bool,
        has_exploit: bool,
        score: Option<Score>,
        rating: Option<Rating>,
    ) -> Self {
        let score = score.map_or(0, |score| u128::from(score.tenths()) + 1);
        let rating = u128::from(rating.map_or(0, Rating::level));
        let rank = u128::from(known_exploited) << 11 | u128::from(has_exploit) << 10 | score << 3 | rating;
        Self(rank << Self::ID_BITS | id.packed())
    }

    /// The CVE's id.
    pub const fn id(self) -> CveId {
        CveId::unpacked(self.0 & Self::ID_MASK)
    }

    /// What ranks the id, without the id: 12 bits. Of two rows of one CVE the one with the higher rank counts.
    pub const fn rank(self) -> u16 {
        #[expect(clippy::cast_possible_truncation, reason = "12 bits are left above the id")]
        let rank = (self.0 >> Self::ID_BITS) as u16;
        rank
    }

    /// Whether CISA lists the CVE as known to be exploited.
    pub const fn is_known_exploited(self) -> bool {
        self.rank() >> 11 & 1 == 1
    }

    /// Whether an exploit is known.
    pub const fn has_exploit(self) -> bool {
        self.rank() >> 10 & 1 == 1
    }

    /// The score that ranks it, if its row has one.
    pub fn score(self) -> Option<Score> {
        let tenths = (self.rank() >> 3 & 0x7f).checked_sub(1)?;
        Score::from_tenths(u8::try_from(tenths).ok()?)
    }

    /// The rating that ranks it, if its row has one.
    pub fn rating(self) -> Option<Rating> {
        Rating::from_level(u8::try_from(self.rank() & 0x7).ok()?)
    }

    /// The stored form: big endian, so that it orders like the value.
    pub fn to_stored(self) -> [u8; Self::STORED_BYTES] {
        let [_, _, _, _, stored @ ..] = self.0.to_be_bytes();
        stored
    }

    /// The value in 64 bits, for the ids that fit: those with a number below 2³³, which is all that were ever given out.
    pub const fn to_compact(self) -> Option<CompactCve> {
        let (top, low) = (self.0 >> CompactCve::NUMBER_END, self.0 & CompactCve::LOW_MASK);
        let number_fits = top & CompactCve::CUT_MASK == 0;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "26 bits of rank and year above 38 of number and length"
        )]
        let compact = ((top >> CompactCve::CUT_BITS << CompactCve::LOW_BITS) | low) as u64;
        if number_fits {
            Some(CompactCve(compact))
        } else {
            None
        }
    }

    /// The value of a stored form.
    pub fn from_stored(stored: [u8; Self::STORED_BYTES]) -> Self {
        let mut bytes = [0; 16];
        bytes[4..].copy_from_slice(&stored);
        Self(u128::from_be_bytes(bytes))
    }
}

/// A [`RankedCve`] in 64 bits: half the memory, and the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompactCve(u64);

impl CompactCve {
    /// The bits of the number that are kept, with the length of its text below them.
    const LOW_BITS: u32 = 33 + 5;
    const LOW_MASK: u128 = (1 << Self::LOW_BITS) - 1;
    /// The bits of the number that are cut, and where they begin.
    const CUT_BITS: u32 = 64 - 33;
    const CUT_MASK: u128 = (1 << Self::CUT_BITS) - 1;
    const NUMBER_END: u32 = Self::LOW_BITS;
    /// The bits of the id: number and length, and 14 of the year.
    const ID_MASK: u64 = (1 << (Self::LOW_BITS + 14)) - 1;

    /// Whether both are of the same CVE.
    pub const fn same_id(self, other: Self) -> bool {
        (self.0 ^ other.0) & Self::ID_MASK == 0
    }

    /// The value in its full form.
    pub const fn ranked(self) -> RankedCve {
        let wide = self.0 as u128;
        RankedCve((wide >> Self::LOW_BITS << (Self::LOW_BITS + Self::CUT_BITS)) | (wide & Self::LOW_MASK))
    }
}

impl fmt::Debug for RankedCve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rank {:#x})", self.id(), self.rank())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        CveId::find_all(text).map(|id| id.to_string()).collect()
    }

    #[test]
    fn ids_are_found_as_whole_words_in_any_case() {
        assert_eq!(found("CVE-2023-0123"), ["CVE-2023-0123"]);
        assert_eq!(
            found("fix for cve-2021-44228 (Cve-1999-00001)."),
            ["CVE-2021-44228", "CVE-1999-00001"]
        );
        assert_eq!(
            found("CVE-2024-1234567890123456789"),
            ["CVE-2024-1234567890123456789"]
        );
        assert_eq!(
            found("“CVE-2024-1111”,CVE-2024-2222-3"),
            ["CVE-2024-1111", "CVE-2024-2222"]
        );
    }

    #[test]
    fn what_only_looks_like_an_id_is_none() {
        for text in [
            "GHSA-c9cp-9c75-9v8c",
            "CVE-2023-123",
            "CVE-203-12345",
            "CVE-20233-1234",
            "XCVE-2023-1234",
            "_CVE-2023-1234",
            "éCVE-2023-1234",
            "CVE-2023-1234x",
            "CVE-2023-1234_",
            "CVE-2023-1234é",
            "CVE-2024-12345678901234567890",
            "CVE-2023",
            "CVE-",
            "c",
        ] {
            assert_eq!(found(text), [] as [&str; 0], "{text:?}");
        }
    }

    #[test]
    fn ids_order_by_year_then_number_and_not_as_text() {
        let mut ids: Vec<_> =
            CveId::find_all("CVE-2023-10000 CVE-2023-9999 CVE-2022-99999 CVE-2023-09999").collect();
        ids.sort_unstable();
        let text: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "CVE-2022-99999",
                "CVE-2023-9999",
                "CVE-2023-09999",
                "CVE-2023-10000"
            ]
        );
    }

    #[test]
    fn the_compact_form_orders_like_the_full_one_and_refuses_what_does_not_fit() {
        let ranked = |text, kev, score| {
            let id = CveId::find_all(text).next().unwrap();
            RankedCve::new(id, kev, false, Score::from_tenths(score), Some(Rating::High))
        };
        let ascending = [
            ranked("CVE-0000-0000", false, 0),
            ranked("CVE-2023-09999", false, 75),
            ranked("CVE-2023-8589934591", false, 75),
            ranked("CVE-9999-8589934591", false, 75),
            ranked("CVE-1999-0001", false, 100),
            ranked("CVE-1999-0001", true, 10),
        ];
        let compact: Vec<_> = ascending.iter().map(|cve| cve.to_compact().unwrap()).collect();
        assert!(ascending.is_sorted() && compact.is_sorted());
        assert!(compact.iter().map(|cve| cve.ranked()).eq(ascending));
        assert!(compact[4].same_id(compact[5]) && !compact[3].same_id(compact[4]));
        assert_eq!(ranked("CVE-2023-8589934592", false, 75).to_compact(), None);
        assert_eq!(
            ranked("CVE-2023-9999999999999999999", true, 75).to_compact(),
            None
        );
    }

    #[test]
    fn rank_compares_known_exploited_exploit_score_rating_then_id() {
        let id = |text: &str| CveId::find_all(text).next().unwrap();
        let (old, new) = (id("CVE-2001-0001"), id("CVE-2024-9999"));
        let score = Score::from_tenths;
        let ascending = [
            RankedCve::new(new, false, false, None, Some(Rating::High)),
            RankedCve::new(old, false, false, None, Some(Rating::Critical)),
            RankedCve::new(old, false, false, score(0), Some(Rating::High)),
            RankedCve::new(old, false, false, score(98), Some(Rating::High)),
            RankedCve::new(new, false, false, score(98), Some(Rating::High)),
            RankedCve::new(old, false, true, None, Some(Rating::High)),
            RankedCve::new(old, true, false, None, Some(Rating::High)),
            RankedCve::new(old, true, true, score(10), Some(Rating::High)),
        ];
        assert!(ascending.is_sorted());
        for cve in ascending {
            assert_eq!(RankedCve::from_stored(cve.to_stored()), cve);
            assert!(cve.id() == old || cve.id() == new);
        }
        let largest = id("CVE-9999-9999999999999999999");
        assert_eq!(
            RankedCve::new(largest, true, true, Some(Score::MAX), Some(Rating::Critical)).id(),
            largest
        );
    }

    #[test]
    fn what_ranks_a_cve_can_be_read_again() {
        let id = CveId::find_all("CVE-2024-0001").next().unwrap();
        for score in [
            None,
            Score::from_tenths(0),
            Score::from_tenths(98),
            Some(Score::MAX),
        ] {
            for rating in [None, Some(Rating::Low), Some(Rating::Critical)] {
                let cve = RankedCve::new(id, true, false, score, rating);
                assert_eq!((cve.score(), cve.rating()), (score, rating));
                assert!(cve.is_known_exploited() && !cve.has_exploit());
            }
        }
    }
}
