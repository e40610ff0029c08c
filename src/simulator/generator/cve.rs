//! An advisory of the generator: a CVE or another one, with what all its findings have in common.

use super::asset::write;
use super::random::{mixed, per_mille, source};

const KIND: u64 = 0x0063_7665;

/// An advisory. What cells say of it follows from these numbers alone.
pub(super) struct Advisory {
    /// Random bits for choices that nothing else depends on.
    pub(super) bits: u64,
    id: Id,
    /// The score in tenths, 0 to 100.
    pub(super) score: u32,
    pub(super) has_exploit: bool,
    pub(super) known_exploited: bool,
}

enum Id {
    Cve { year: u32, number: u64 },
    Ghsa(u64),
}

impl Advisory {
    /// The advisory of a rank of popularity.
    pub(super) fn new(seed: u64, rank: u64) -> Self {
        let mut random = source(seed, KIND, rank);
        let bits = random.u64(..);
        let id = if per_mille(&mut random, 60) {
            Id::Ghsa(random.u64(..))
        } else {
            let year = 2026 - random.u32(..12) * random.u32(..13) / 11;
            // The rank makes the number unique; what is added makes four to six digits of it.
            let number = 1000 + (rank * 12 + u64::from(random.u32(..12))) % 999_000;
            Id::Cve { year, number }
        };
        let score = match random.u32(..100) {
            0..10 => 90 + random.u32(..11),
            10..45 => 70 + random.u32(..20),
            45..90 => 40 + random.u32(..30),
            90..99 => random.u32(1..40),
            _ => 0,
        };
        let has_exploit = per_mille(&mut random, 80);
        let known_exploited = has_exploit && per_mille(&mut random, 150);
        Self {
            bits,
            id,
            score,
            has_exploit,
            known_exploited,
        }
    }

    pub(super) fn name(&self, cell: &mut String) {
        match self.id {
            Id::Cve { year, number } => write(cell, format_args!("CVE-{year}-{number:04}")),
            Id::Ghsa(bits) => {
                const LETTERS: &[u8; 20] = b"23456789cfghjmpqrvwx";
                cell.push_str("GHSA");
                for place in 0..12_u32 {
                    if place.is_multiple_of(4) {
                        cell.push('-');
                    }
                    let at = usize::try_from((bits >> (5 * place)) % 20).expect("below twenty");
                    cell.push(char::from(LETTERS[at]));
                }
            }
        }
    }

    /// The severity that goes with a score.
    pub(super) const fn severity(score: u32) -> &'static str {
        match score {
            0 => "None",
            1..=39 => "Low",
            40..=69 => "Medium",
            70..=89 => "High",
            _ => "Critical",
        }
    }

    /// How many bytes the advisory's two descriptions take.
    pub(super) fn description_bytes(&self) -> usize {
        usize::try_from(mixed(self.bits) % 150).expect("small")
    }
}
