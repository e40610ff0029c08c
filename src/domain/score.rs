//! The CVSS score of a finding.

use std::fmt;

/// A CVSS score, 0.0 to 10.0, kept in tenths.
///
/// `0.0` is a score; a finding without a readable cell has none at all (`Option<Score>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u8);

impl Score {
    /// The highest score there is, `10.0`.
    pub const MAX: Self = Self(100);

    /// A score from its tenths (`65` is `6.5`); `None` above 100.
    pub const fn from_tenths(tenths: u8) -> Option<Self> {
        if tenths <= Self::MAX.0 {
            Some(Self(tenths))
        } else {
            None
        }
    }

    /// The score in tenths, 0 to 100.
    pub const fn tenths(self) -> u8 {
        self.0
    }

    /// Reads a cell: digits, at most one `.` or `,` followed by digits, white space around; 0 to 10.
    ///
    /// What lies between two tenths is rounded half up, by its digits and not through a float: `6.95` is `7.0`.
    /// Returns `None` for everything else, an empty cell included.
    pub fn read(cell: &[u8]) -> Option<Self> {
        let cell = cell.trim_ascii();
        let (whole, fraction) = match cell.iter().position(|byte| matches!(byte, b'.' | b',')) {
            Some(at) => (&cell[..at], Some(&cell[at + 1..])),
            None => (cell, None),
        };
        let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        if !is_number(whole) || fraction.is_some_and(|digits| !is_number(digits)) {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        // Ten is the largest value, so more than two digits left of the point can only be leading zeros.
        let whole = whole.iter().try_fold(0_u8, |sum, digit| {
            let sum = u16::from(sum) * 10 + u16::from(digit - b'0');
            (sum <= 10).then_some(u8::try_from(sum).unwrap_or(u8::MAX))
        })?;
        if whole == 10 && fraction.iter().any(|digit| *digit != b'0') {
            return None;
        }
        let digit = |place: usize| fraction.get(place).map_or(0, |digit| digit - b'0');
        Some(Self(whole * 10 + digit(0) + u8::from(digit(1) >= 5)))
    }
}

impl fmt::Display for Score {
    /// One decimal, always: `6.5`, `7.0`, `10.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str) -> Option<String> {
        Score::read(cell.as_bytes()).map(|score| score.to_string())
    }

    #[test]
    fn numbers_from_nought_to_ten_are_scores() {
        for (cell, score) in [
            ("0", "0.0"),
            ("7", "7.0"),
            ("6.5", "6.5"),
            ("6,5", "6.5"),
            (" 9.8\t", "9.8"),
            ("10", "10.0"),
            ("10.000", "10.0"),
            ("007.25", "7.3"),
        ] {
            assert_eq!(read(cell).as_deref(), Some(score), "{cell:?}");
        }
    }

    #[test]
    fn scores_are_rounded_half_up_by_their_digits() {
        for (cell, score) in [
            ("6.95", "7.0"),
            ("6.949999", "6.9"),
            ("3.95", "4.0"),
            ("0.05", "0.1"),
            ("9.99", "10.0"),
        ] {
            assert_eq!(read(cell).as_deref(), Some(score), "{cell:?}");
        }
    }

    #[test]
    fn everything_else_is_not_a_score() {
        for cell in [
            "", " ", "-1", "+1", "10.01", "11", "1e1", "5.", ".5", "1.2.3", "1,2.3", "n/a", "NaN", "٣",
            "0x5", "1 2",
        ] {
            assert_eq!(read(cell), None, "{cell:?}");
        }
    }
}
