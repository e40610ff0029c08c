//! Labels as a table for people.

use std::io::{self, Write};

use crate::domain::{Address, AddressFacts};

/// How many CVE ids a line shows.
const SHOWN_CVES: usize = 3;

/// Writes addresses with their labels, a line each.
pub(super) fn write_table(rows: &[(Address, AddressFacts)], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<40} {:>10} {:<11} {:>10}  cve",
        "address", "vuln_count", "cvss_rating", "cvss_score"
    )?;
    for (ip, facts) in rows {
        let rating = facts.rating.map(|rating| rating.to_string()).unwrap_or_default();
        let score = facts.score.map(|score| score.to_string()).unwrap_or_default();
        let mut cves: Vec<_> = facts
            .cves
            .iter()
            .rev()
            .take(SHOWN_CVES)
            .map(|cve| cve.id().to_string())
            .collect();
        if facts.cves.len() > SHOWN_CVES {
            cves.push(format!("and {} more", facts.cves.len() - SHOWN_CVES));
        }
        writeln!(
            out,
            "{:<40} {:>10} {rating:<11} {score:>10}  {}",
            ip.to_string(),
            facts.findings,
            cves.join(", ")
        )?;
    }
    Ok(())
}
