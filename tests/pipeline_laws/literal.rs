//! A slow, literal reading of the label rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use wiz_context::domain::{Address, CveId, RankedCve, Rating, Score};

#[derive(Default)]
struct Slow {
    findings: u64,
    score: Option<Score>,
    rating: Option<Rating>,
    addresses: BTreeSet<Address>,
    cves: BTreeMap<CveId, RankedCve>,
}

fn best(cves: &BTreeMap<CveId, RankedCve>, most: usize) -> BTreeMap<CveId, RankedCve> {
    let mut ranked: Vec<_> = cves.values().copied().collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    ranked.into_iter().take(most).map(|cve| (cve.id(), cve)).collect()
}

fn add(cves: &mut BTreeMap<CveId, RankedCve>, cve: RankedCve) {
    let known = cves.entry(cve.id()).or_insert(cve);
    *known = cve.max(*known);
}

/// The labels of a report by the rules as they are written, with the `csv` crate and ordered maps.
pub(crate) fn slow_labels(report: &[u8]) -> String {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(report);
    let names: Vec<String> = reader
        .byte_headers()
        .unwrap()
        .iter()
        .map(|name| String::from_utf8_lossy(name).into())
        .collect();
    let mut assets: BTreeMap<(u8, String), Slow> = BTreeMap::new();
    for record in reader.byte_records() {
        let record = record.unwrap();
        let cell = |name: &str| {
            let at = names.iter().position(|known| known == name);
            let cell = at.and_then(|at| record.get(at)).unwrap_or_default();
            String::from_utf8_lossy(cell).trim().to_owned()
        };
        let status = cell("FindingStatus").to_lowercase().replace([' ', '_'], "");
        if !["", "open", "inprogress"].contains(&status.as_str()) {
            continue;
        }
        let score = ["Score", "NVDScore", "VendorScore"]
            .iter()
            .find_map(|name| Score::read(cell(name).as_bytes()));
        let rating = |name: &str| Rating::read(cell(name).as_bytes());
        let rating = rating("CVSSSeverity")
            .or(score.and_then(Rating::of_score))
            .or(rating("Severity"))
            .or(rating("VendorSeverity"))
            .or(rating("NvdSeverity"));
        let parts = cell("IpAddresses");
        let parts = parts.split([',', ';', '|', ' ', '\t', '\n', '\r']);
        let addresses: BTreeSet<_> = parts
            .filter_map(|part| Address::read(part.trim_matches(['[', ']', '"', '\''])).ok())
            .collect();
        let key = match (cell("AssetID"), cell("ProviderUniqueId")) {
            (id, _) if !id.is_empty() => (0, id),
            (_, id) if !id.is_empty() => (1, id),
            _ => (2, format!("{addresses:?}")),
        };
        let asset = assets.entry(key).or_default();
        asset.findings += 1;
        asset.score = asset.score.max(score);
        asset.rating = asset.rating.max(rating);
        asset.addresses.extend(addresses);
        if rating >= Some(Rating::High) {
            let is = |name: &str| cell(name).to_lowercase() == "true";
            for id in CveId::find_all(&cell("Name")) {
                add(
                    &mut asset.cves,
                    RankedCve::new(id, is("HasCisaKevExploit"), is("HasExploit"), score, rating),
                );
            }
        }
    }
    let mut addresses: BTreeMap<Address, Slow> = BTreeMap::new();
    for asset in assets.values() {
        for ip in &asset.addresses {
            let merged = addresses.entry(*ip).or_default();
            merged.findings += asset.findings;
            merged.score = merged.score.max(asset.score);
            merged.rating = merged.rating.max(asset.rating);
            for cve in best(&asset.cves, 100).into_values() {
                add(&mut merged.cves, cve);
            }
        }
    }
    let mut lines = String::new();
    let mut in_part = 0;
    for (ip, merged) in addresses {
        let cves = best(&merged.cves, 10_000);
        let cves: Vec<String> = cves.keys().map(ToString::to_string).collect();
        let values = [
            ("cve", cves),
            (
                "cvss_rating",
                merged.rating.iter().map(ToString::to_string).collect(),
            ),
            (
                "cvss_score",
                merged.score.iter().map(ToString::to_string).collect(),
            ),
            ("vuln_count", vec![merged.findings.to_string()]),
        ];
        for (context, values) in values.into_iter().filter(|(_, values)| !values.is_empty()) {
            if in_part > 0 && in_part + values.len() > 10_000 {
                in_part = 0;
                lines.push('\n');
            }
            in_part += values.len();
            writeln!(lines, "{ip},{context},{}", values.join(",")).unwrap();
        }
    }
    lines
}
