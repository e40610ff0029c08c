//! The cell `IpAddresses`: one address, several in a row, or a JSON list of them.

use crate::domain::{Address, AddressProblem, Policy};

/// How often each reason for skipping an address was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Problems([u64; Problems::REASONS.len()]);

impl Problems {
    const REASONS: [AddressProblem; 6] = [
        AddressProblem::Unparsable,
        AddressProblem::Loopback,
        AddressProblem::Unspecified,
        AddressProblem::LinkLocal,
        AddressProblem::Multicast,
        AddressProblem::SkippedNetwork,
    ];

    fn count(&mut self, problem: AddressProblem) {
        self.0[problem as usize] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    pub(super) fn is_none(&self) -> bool {
        self.0 == [0; Self::REASONS.len()]
    }

    /// The reasons that were met, each with its number.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counted = Self::REASONS
            .iter()
            .map(|problem| (problem.reason(), self.0[*problem as usize]));
        counted.filter(|(_, count)| *count > 0)
    }
}

/// Reads the addresses of a cell into `addresses`, sorted, each once. Returns what was skipped, each occurrence.
pub(super) fn read_addresses(cell: &str, policy: &Policy, addresses: &mut Vec<Address>) -> Problems {
    addresses.clear();
    let mut problems = Problems::default();
    for part in cell.split(|char: char| matches!(char, ',' | ';' | '|') || char.is_whitespace()) {
        let part = part.trim_matches(|char| matches!(char, '[' | ']' | '"' | '\''));
        match policy.read_address(part) {
            _ if part.is_empty() => {}
            Ok(address) => addresses.push(address),
            Err(problem) => problems.count(problem),
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str) -> (Vec<String>, Vec<(&'static str, u64)>) {
        let policy = Policy {
            skip_networks: Policy::read_skip_networks("172.17.0.0/16").unwrap(),
            ..Policy::default()
        };
        let mut addresses = Vec::new();
        let problems = read_addresses(cell, &policy, &mut addresses);
        (
            addresses.iter().map(ToString::to_string).collect(),
            problems.reasons().collect(),
        )
    }

    #[test]
    fn all_forms_of_several_addresses_are_read() {
        for cell in [
            "10.0.0.2,10.0.0.1",
            "10.0.0.1; 10.0.0.2",
            "10.0.0.1|10.0.0.2|",
            " 10.0.0.1\t10.0.0.2\n",
            r#"["10.0.0.1", "10.0.0.2", "10.0.0.1/32"]"#,
            "['10.0.0.1' '::ffff:10.0.0.2']",
        ] {
            assert_eq!(
                read(cell),
                (vec!["10.0.0.1".into(), "10.0.0.2".into()], vec![]),
                "{cell:?}"
            );
        }
        assert_eq!(read("[2001:DB8::1]").0, ["2001:db8::1"]);
        assert_eq!(read(" []"), (vec![], vec![]));
    }

    #[test]
    fn what_is_skipped_is_counted_as_often_as_it_stands_there() {
        let cell = "127.0.0.1 127.0.0.1 ::1 n/a 10.0.0.0/8 fe80::1 ff02::1 0.0.0.0 172.17.0.9 10.1.1.1";
        let (addresses, problems) = read(cell);
        assert_eq!(addresses, ["10.1.1.1"]);
        let expected = [
            ("address_unparsable", 2),
            ("address_loopback", 3),
            ("address_unspecified", 1),
            ("address_link_local", 1),
            ("address_multicast", 1),
            ("address_skipped_network", 1),
        ];
        assert_eq!(problems, expected);
    }
}
