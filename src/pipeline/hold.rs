//! Decides whether removals are kept back until a person approves them.

/// Up to so many pairs are removed without asking, whatever part of an integration's labels they are: a small account may
/// lose its ten servers in a day.
pub const REMOVALS_NEVER_HELD: u64 = 40;

/// Whether a plan that removes `removals` of the `had_part` pairs that its integration had part in keeps these removals
/// back: more than `percent` of a hundred, and more than [`REMOVALS_NEVER_HELD`].
pub fn is_held(removals: u64, had_part: u64, percent: u8) -> bool {
    let exceeds = u128::from(removals) * 100 > u128::from(had_part) * u128::from(percent);
    exceeds && removals > REMOVALS_NEVER_HELD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_removals_of_a_great_part_are_held() {
        for (removals, had_part, percent, held) in [
            (41, 100, 20, true),
            (40, 40, 20, false),
            (200, 1000, 20, false),
            (201, 1000, 20, true),
            (41, 1000, 0, true),
            (1000, 1000, 100, false),
            (u64::MAX, u64::MAX, 20, true),
        ] {
            assert_eq!(
                is_held(removals, had_part, percent),
                held,
                "{removals} of {had_part}"
            );
        }
    }
}
