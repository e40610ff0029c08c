//! The severity rating of a finding.

use std::fmt;

use super::Score;

/// A severity rating, from the lowest to the highest. A finding that says nothing is unrated (`Option<Rating>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rating {
    /// CVSS v3 0.1 to 3.9.
    Low,
    /// CVSS v3 4.0 to 6.9.
    Medium,
    /// CVSS v3 7.0 to 8.9.
    High,
    /// CVSS v3 9.0 to 10.0.
    Critical,
}

impl Rating {
    /// All ratings, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Reads a severity cell in any case, white space around. `None`, `Info`, an empty cell and any other text say nothing.
    pub fn read(cell: &[u8]) -> Option<Self> {
        let cell = cell.trim_ascii();
        Self::ALL
            .into_iter()
            .find(|rating| cell.eq_ignore_ascii_case(rating.as_str().as_bytes()))
    }

    /// The CVSS v3 rating of a score; none for `0.0`.
    pub const fn of_score(score: Score) -> Option<Self> {
        match score.tenths() {
            0 => None,
            1..=39 => Some(Self::Low),
            40..=69 => Some(Self::Medium),
            70..=89 => Some(Self::High),
            _ => Some(Self::Critical),
        }
    }

    /// Whether CVE ids of findings with this rating belong in the `cve` label.
    pub const fn is_high_or_critical(self) -> bool {
        matches!(self, Self::High | Self::Critical)
    }

    /// The rating as it stands in a label: lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// A small number for storage, in the order of the ratings: 1 (low) to 4 (critical).
    pub const fn level(self) -> u8 {
        match self {
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }

    /// The rating of a level, the reverse of [`Rating::level`]; `None` for any other number.
    pub fn from_level(level: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|rating| rating.level() == level)
    }
}

impl fmt::Display for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_words_say_something() {
        assert_eq!(Rating::read(b" CRITICAL "), Some(Rating::Critical));
        assert_eq!(Rating::read(b"Low"), Some(Rating::Low));
        for cell in ["", "None", "Informational", "Info", "Unknown", "high!", "hi gh"] {
            assert_eq!(Rating::read(cell.as_bytes()), None, "{cell:?}");
        }
    }

    #[test]
    fn the_bands_of_cvss_v3_meet_without_a_gap() {
        let at = |tenths| Rating::of_score(Score::from_tenths(tenths).unwrap());
        assert_eq!(at(0), None);
        assert_eq!((at(1), at(39)), (Some(Rating::Low), Some(Rating::Low)));
        assert_eq!((at(40), at(69)), (Some(Rating::Medium), Some(Rating::Medium)));
        assert_eq!((at(70), at(89)), (Some(Rating::High), Some(Rating::High)));
        assert_eq!(
            (at(90), at(100)),
            (Some(Rating::Critical), Some(Rating::Critical))
        );
    }

    #[test]
    fn levels_go_there_and_back_in_order() {
        for rating in Rating::ALL {
            assert_eq!(Rating::from_level(rating.level()), Some(rating));
        }
        assert_eq!(Rating::from_level(0), None);
        assert!(
            Rating::ALL
                .windows(2)
                .all(|pair| pair[0].level() < pair[1].level())
        );
    }
}
