//! `demo`: a made-up report, and the labels that follow from it, for a first look.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::ops::ControlFlow;

use clap::Args;

use super::table::write_table;
use crate::domain::{Policy, Rating};
use crate::pipeline::read_report;
use crate::simulator::generator::GeneratorSettings;

/// How many addresses the demonstration shows.
const SHOWN: usize = 10;

/// Show on a made-up report which labels it gives
///
/// Makes a report of a few thousand findings in memory, reads it as a run does, and shows the ten most vulnerable
/// addresses with their labels and two queries that would match them. Needs no settings, and nothing is sent anywhere.
#[derive(Args, Clone, Copy, Debug)]
pub struct DemoArgs {
    /// Where the randomness begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs the command.
///
/// # Errors
/// When the output cannot be written.
pub fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let mut report = Vec::new();
    let settings = GeneratorSettings {
        seed: args.seed,
        ..GeneratorSettings::default()
    };
    settings.write(&mut report)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "A report of {} findings on {} assets was made ({} bytes).",
        settings.findings,
        settings.assets,
        report.len()
    )?;
    let facts = read_report(report.as_slice(), &Policy::default(), &mut |_| {
        ControlFlow::Continue(())
    })?;
    writeln!(
        out,
        "{} findings count, on {} assets. Skipped:",
        facts.findings,
        facts.assets()
    )?;
    for (reason, number) in &facts.skipped {
        writeln!(out, "  {number:>6}  {reason}")?;
    }
    let mut addresses: Vec<_> = facts
        .into_addresses()
        .map(|wanted| (wanted.ip, wanted.facts))
        .collect();
    writeln!(
        out,
        "\n{} addresses get labels. The most vulnerable:\n",
        addresses.len()
    )?;
    addresses.sort_by_key(|(ip, facts)| {
        (
            Reverse((facts.rating, facts.score, facts.cves.len(), facts.findings)),
            *ip,
        )
    });
    addresses.truncate(SHOWN);
    write_table(&addresses, &mut out)?;
    writeln!(out, "\nQueries in Fusion that would match them:")?;
    writeln!(
        out,
        "  label.ip.cvss_rating == {} || label.ip.cvss_rating == {}",
        Rating::Critical,
        Rating::High
    )?;
    if let Some(cve) = addresses.iter().find_map(|(_, facts)| facts.cves.last()) {
        writeln!(out, "  label.ip.cve == {}", cve.id())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_has_something_to_show() {
        let mut report = Vec::new();
        GeneratorSettings::default().write(&mut report).unwrap();
        let facts = read_report(report.as_slice(), &Policy::default(), &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let with_cves = facts
            .into_addresses()
            .filter(|wanted| !wanted.facts.cves.is_empty());
        assert!(with_cves.count() >= SHOWN);
    }
}
