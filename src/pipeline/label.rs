//! From facts to label records.

use std::fmt::Write;

use crate::domain::{Address, AddressFacts, Context, LabelRecord, Labels, Pair};

/// The label records of an address, by context: the count in plain decimal, the rating in lower case and the score with one
/// decimal where known, and a label per CVE by year and number where there are any.
///
/// # Panics
/// Never: digits, ratings and CVE ids are within Fusion's rules.
pub fn label_records(ip: Address, facts: &AddressFacts) -> Vec<LabelRecord> {
    let mut ids: Vec<_> = facts.cves.iter().map(|cve| cve.id()).collect();
    ids.sort_unstable();
    let mut cves = String::new();
    for id in ids {
        let separator = if cves.is_empty() { "" } else { "\n" };
        write!(cves, "{separator}{id}").expect("writing to a text does not fail");
    }
    let values = [
        (Context::Cve, Some(cves).filter(|cves| !cves.is_empty())),
        (Context::CvssRating, facts.rating.map(|rating| rating.to_string())),
        (Context::CvssScore, facts.score.map(|score| score.to_string())),
        (Context::VulnCount, Some(facts.findings.to_string())),
    ];
    let record = |(context, value): (Context, Option<String>)| {
        let labels =
            Labels::from_lines(value?).expect("digits, ratings and CVE ids are within Fusion's rules");
        Some(LabelRecord {
            pair: Pair { ip, context },
            labels,
        })
    };
    values.into_iter().filter_map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CveId, RankedCve, Rating, Score};

    #[test]
    fn labels_have_one_form_each() {
        let rank = |id| {
            RankedCve::new(
                id,
                id == CveId::find_all("CVE-2021-10000").next().unwrap(),
                false,
                None,
                None,
            )
        };
        let cves = CveId::find_all("CVE-2021-10000 CVE-2021-9999 CVE-2020-0001")
            .map(rank)
            .collect();
        let facts = AddressFacts {
            findings: 10,
            score: Score::from_tenths(70),
            rating: Some(Rating::High),
            cves,
        };
        let ip = Address::read("10.0.0.1").unwrap();
        let written: Vec<_> = label_records(ip, &facts)
            .iter()
            .map(|record| format!("{}: {}", record.pair.context, record.labels))
            .collect();
        assert_eq!(
            written,
            [
                "cve: CVE-2020-0001, CVE-2021-9999, CVE-2021-10000",
                "cvss_rating: high",
                "cvss_score: 7.0",
                "vuln_count: 10"
            ]
        );
        let bare = AddressFacts {
            findings: 1,
            ..AddressFacts::default()
        };
        assert_eq!(label_records(ip, &bare).len(), 1);
    }
}
