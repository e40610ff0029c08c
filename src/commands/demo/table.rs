//! The labels of the most vulnerable addresses, as a table for people.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::domain::{Context, Rating, Score};

/// How many CVE ids a line shows.
const SHOWN_CVES: usize = 3;

/// The most vulnerable addresses of an account, the worst first.
#[derive(Debug)]
pub(super) struct MostVulnerable(Vec<Row>);

/// What an address carries.
#[derive(Debug, Default)]
struct Row {
    findings: u64,
    rating: Option<Rating>,
    score: Option<Score>,
    /// Sorted, the newest last.
    cves: Vec<String>,
    ip: Option<IpAddr>,
}

impl MostVulnerable {
    /// The first `count` by rating, score, CVEs and findings.
    pub(super) fn of(labels: &BTreeMap<(IpAddr, String), Vec<String>>, count: usize) -> Self {
        let mut rows: BTreeMap<IpAddr, Row> = BTreeMap::new();
        for ((ip, context), values) in labels {
            let row = rows.entry(*ip).or_default();
            row.ip = Some(*ip);
            row.read(context, values);
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_by_key(|row| {
            (
                Reverse((row.rating, row.score, row.cves.len(), row.findings)),
                row.ip,
            )
        });
        rows.truncate(count);
        Self(rows)
    }

    /// The newest CVE of the worst address that has one.
    pub(super) fn newest_cve(&self) -> Option<&str> {
        self.0.iter().find_map(|row| row.cves.last()).map(String::as_str)
    }
}

impl Row {
    fn read(&mut self, context: &str, values: &[String]) {
        let Some(first) = values.first() else { return };
        match Context::read(context) {
            Some(Context::VulnCount) => self.findings = first.parse().unwrap_or_default(),
            Some(Context::CvssRating) => self.rating = Rating::read(first.as_bytes()),
            Some(Context::CvssScore) => self.score = Score::read(first.as_bytes()),
            Some(Context::Cve) => self.cves = values.to_vec(),
            None => {}
        }
    }
}

impl fmt::Display for MostVulnerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self
            .0
            .iter()
            .filter_map(|row| row.ip)
            .map(|ip| ip.to_string().len());
        let width = widest.max().unwrap_or_default().max("address".len());
        writeln!(
            f,
            "  {:<width$}  vuln_count  cvss_rating  cvss_score  cve",
            "address"
        )?;
        for row in &self.0 {
            let ip = row.ip.map(|ip| ip.to_string()).unwrap_or_default();
            let rating = row.rating.map(|rating| rating.to_string()).unwrap_or_default();
            let score = row.score.map(|score| score.to_string()).unwrap_or_default();
            write!(
                f,
                "  {ip:<width$}  {:>10}  {rating:<11}  {score:>10}  ",
                row.findings
            )?;
            let shown: Vec<_> = row
                .cves
                .iter()
                .rev()
                .take(SHOWN_CVES)
                .map(String::as_str)
                .collect();
            write!(f, "{}", shown.join(", "))?;
            let more = row.cves.len() - shown.len();
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_address_comes_first_with_its_newest_cves() {
        let mut labels = BTreeMap::new();
        let mut label = |ip: &str, context: &str, values: &[&str]| {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            labels.insert((ip.parse().unwrap(), context.to_owned()), values);
        };
        label("10.0.0.1", "vuln_count", &["40"]);
        label("10.0.0.1", "cvss_rating", &["high"]);
        label("10.0.0.2", "vuln_count", &["5"]);
        label("10.0.0.2", "cvss_rating", &["critical"]);
        label("10.0.0.2", "cvss_score", &["9.8"]);
        let cves = ["CVE-2020-0001", "CVE-2021-0001", "CVE-2022-0001", "CVE-2023-0001"];
        label("10.0.0.2", "cve", &cves);
        label("10.0.0.3", "owner", &["alice"]);
        let most = MostVulnerable::of(&labels, 2);
        assert_eq!(most.newest_cve(), Some("CVE-2023-0001"));
        let table = most.to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[1],
            "  10.0.0.2           5  critical            9.8  CVE-2023-0001, CVE-2022-0001, CVE-2021-0001 and 1 more"
        );
        assert!(lines[2].starts_with("  10.0.0.1          40  high"), "{table}");
    }
}
