//! `vulnerabilityFindings`: the findings of the report, page by page.

use serde_json::{Value, json};

use crate::simulator::generator::{Column, Status};
use crate::simulator::source::Asked;

use super::account::{Caller, Page, page, page_info};
use super::graphql::Problem;

const COLUMNS: [Column; 13] = [
    Column::Id,
    Column::Name,
    Column::Severity,
    Column::FindingStatus,
    Column::Score,
    Column::HasExploit,
    Column::HasCisaKevExploit,
    Column::AssetId,
    Column::AssetName,
    Column::ProviderUniqueId,
    Column::IpAddresses,
    Column::FirstDetected,
    Column::LastDetected,
];

/// A page of findings; without a filter only those that are open.
pub(super) fn page_of_findings(caller: &mut Caller<'_>) -> Result<Value, Problem> {
    const MOST: u64 = 5_000;
    let Page { from, first } = page(caller, MOST)?;
    let statuses = match caller.argument("/filterBy/status").and_then(Value::as_array) {
        Some(statuses) => statuses
            .iter()
            .filter_map(Value::as_str)
            .map(Status::read)
            .collect(),
        None => vec![Status::Open],
    };
    let rows = u64::try_from(from + first + 1).unwrap_or(u64::MAX);
    let asked = Asked {
        columns: COLUMNS.to_vec(),
        detailed: false,
        statuses,
        rows,
    };
    let mut csv = Vec::new();
    if is_asked_for(caller.argument("/filterBy/assetType")) {
        let written = caller.state.source.write(&asked, &mut csv);
        written.expect("memory takes any bytes");
    }
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(csv.as_slice());
    let header = reader.headers().cloned().unwrap_or_default();
    let records: Vec<_> = reader.records().flatten().skip(from).collect();
    let nodes: Vec<Value> = records
        .iter()
        .take(first)
        .map(|record| finding(&header, record))
        .collect();
    Ok(json!({
        "__typename": "VulnerabilityFindingConnection",
        "pageInfo": page_info(from + nodes.len(), records.len() > first),
        "totalCount": caller.state.source.findings(),
        "maxCountReached": false,
        "nodes": nodes,
    }))
}

/// Whether findings on the assets that there are, which are virtual machines, pass a filter of kinds.
fn is_asked_for(asset_types: Option<&Value>) -> bool {
    let asset_types = asset_types.and_then(Value::as_array);
    asset_types.is_none_or(|kinds| kinds.iter().any(|kind| kind == "VIRTUAL_MACHINE"))
}

fn finding(header: &csv::StringRecord, record: &csv::StringRecord) -> Value {
    let cell = |column: Column| {
        let at = header.iter().position(|name| name == column.as_str());
        at.and_then(|at| record.get(at)).unwrap_or_default()
    };
    let status = match Status::read(cell(Column::FindingStatus)) {
        Status::Open => "OPEN",
        Status::InProgress => "IN_PROGRESS",
        Status::Resolved => "RESOLVED",
        Status::Rejected => "REJECTED",
    };
    let severity = match cell(Column::Severity).to_uppercase() {
        known if ["LOW", "MEDIUM", "HIGH", "CRITICAL"].contains(&known.as_str()) => known,
        _ => "NONE".to_owned(),
    };
    let addresses: Vec<&str> = cell(Column::IpAddresses)
        .split([',', ';', '|', ' ', '\n', '[', ']', '"'])
        .filter(|text| !text.is_empty())
        .collect();
    json!({
        "__typename": "VulnerabilityFinding",
        "id": cell(Column::Id),
        "name": cell(Column::Name),
        "severity": severity,
        "status": status,
        "score": cell(Column::Score).replace(',', ".").parse::<f64>().ok(),
        "hasExploit": cell(Column::HasExploit) == "true",
        "hasCisaKevExploit": cell(Column::HasCisaKevExploit) == "true",
        "firstDetectedAt": cell(Column::FirstDetected),
        "lastDetectedAt": cell(Column::LastDetected),
        "updatedAt": cell(Column::LastDetected),
        "vulnerableAsset": {
            "__typename": "VulnerableAssetVirtualMachine",
            "id": cell(Column::AssetId),
            "type": "VIRTUAL_MACHINE",
            "name": cell(Column::AssetName),
            "providerUniqueId": cell(Column::ProviderUniqueId),
            "ipAddresses": addresses,
        },
    })
}
