//! From an address's facts to the label records that say them.

use std::fmt::Write;

use crate::domain::{Address, AddressFacts, Context, LabelRecord, Labels, Pair};

/// The label records of an address, sorted by context: what it has no fact for is left out.
///
/// # Panics
/// Never: ids, ratings and numbers are within Fusion's rules.
pub fn label_records(ip: Address, facts: &AddressFacts) -> Vec<LabelRecord> {
    if facts.findings == 0 {
        return Vec::new();
    }
    let value = |context| match context {
        Context::Cve => cve_lines(facts),
        Context::CvssRating => facts.rating.map(|rating| rating.to_string()),
        Context::CvssScore => facts.score.map(|score| score.to_string()),
        Context::VulnCount => Some(facts.findings.to_string()),
    };
    let record = |context| {
        let lines = value(context)?;
        let labels = Labels::from_lines(lines).expect("ids, ratings and numbers are within Fusion's rules");
        Some(LabelRecord {
            pair: Pair { ip, context },
            labels,
        })
    };
    Context::ALL.into_iter().filter_map(record).collect()
}

/// The CVEs sorted by year, then number; a line each.
fn cve_lines(facts: &AddressFacts) -> Option<String> {
    let mut ids: Vec<_> = facts.cves.iter().map(|cve| cve.id()).collect();
    ids.sort_unstable();
    let mut lines = String::with_capacity(ids.len() * "CVE-2024-123456\n".len());
    for id in ids {
        let separator = if lines.is_empty() { "" } else { "\n" };
        write!(lines, "{separator}{id}").expect("a String takes everything");
    }
    (!lines.is_empty()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CveId, RankedCve, Rating, Score};

    fn written(facts: &AddressFacts) -> Vec<String> {
        let records = label_records(Address::read("10.0.0.1").unwrap(), facts);
        records
            .iter()
            .map(|record| format!("{} = {}", record.pair.context, record.labels))
            .collect()
    }

    #[test]
    fn labels_have_one_form() {
        let cves = CveId::find_all("cve-2024-10000 CVE-2024-9999 CVE-2023-0123");
        let facts = AddressFacts {
            findings: 1000,
            score: Score::from_tenths(70),
            rating: Some(Rating::Critical),
            cves: cves
                .map(|id| RankedCve::new(id, false, false, None, None))
                .collect(),
        };
        let expected = [
            "cve = CVE-2023-0123, CVE-2024-9999, CVE-2024-10000",
            "cvss_rating = critical",
            "cvss_score = 7.0",
            "vuln_count = 1000",
        ];
        assert_eq!(written(&facts), expected);
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let facts = AddressFacts {
            findings: 1,
            ..AddressFacts::default()
        };
        assert_eq!(written(&facts), ["vuln_count = 1"]);
        assert!(written(&AddressFacts::default()).is_empty());
        let zero = AddressFacts {
            findings: 1,
            score: Score::from_tenths(0),
            ..AddressFacts::default()
        };
        assert_eq!(written(&zero), ["cvss_score = 0.0", "vuln_count = 1"]);
    }
}
