//! What a report is asked for.

use serde::Serialize;
use serde_json::Value;

use crate::domain::{AssetType, REPORT_COLUMNS};

/// How many of the columns every tenant knows.
const KNOWN_EVERYWHERE: usize = 13;

/// The columns to ask for. Not every tenant knows all of them; one that refuses a choice is asked for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnChoice {
    /// All columns that the label rules read.
    #[default]
    Full,
    /// The same without `NVDScore` and `VendorScore`.
    WithoutNvdAndVendorScore,
    /// No selection: Wiz's own columns.
    Default,
}

impl ColumnChoice {
    /// The columns of the selection; `None` when Wiz is to choose.
    pub fn columns(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Full => Some(&REPORT_COLUMNS),
            Self::WithoutNvdAndVendorScore => Some(&REPORT_COLUMNS[..KNOWN_EVERYWHERE]),
            Self::Default => None,
        }
    }

    /// What to ask for when Wiz refuses this choice; `None` after the last.
    pub const fn fallback(self) -> Option<Self> {
        match self {
            Self::Full => Some(Self::WithoutNvdAndVendorScore),
            Self::WithoutNvdAndVendorScore => Some(Self::Default),
            Self::Default => None,
        }
    }
}

/// What a report is asked for: open findings of all projects, as gzipped CSV, complete each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// The report's name, by which it is found again.
    pub name: String,
    /// Its columns.
    pub columns: ColumnChoice,
    /// The kinds of assets; Wiz takes virtual machines only when none is named.
    pub asset_types: Vec<AssetType>,
}

impl ReportRequest {
    /// The canonical text of everything that is asked: equal texts ask for the same report.
    ///
    /// # Panics
    /// Never: plain records can be written as JSON.
    pub fn asked(&self) -> String {
        serde_json::to_string(&self.changed()).expect("a plain record")
    }

    /// The input of `createReport`.
    pub(super) fn created(&self) -> impl Serialize + use<'_> {
        let mut parameters = self.changed();
        parameters.report_type = Some(REPORT_TYPE);
        parameters.project_id = Some("*");
        if parameters.column_selection == Some(None) {
            parameters.column_selection = None;
        }
        parameters
    }

    /// The `override` of `updateReport`. A selection is taken back by a null, since what is left out may stay as it was.
    pub(super) fn changed(&self) -> Parameters<'_> {
        let mut asset_types: Vec<_> = self.asset_types.iter().map(AssetType::as_str).collect();
        asset_types.sort_unstable();
        asset_types.dedup();
        Parameters {
            name: &self.name,
            report_type: None,
            project_id: None,
            column_selection: Some(self.columns.columns()),
            compression_method: "GZIP",
            csv_delimiter: "US",
            format: "CSV",
            incremental: false,
            vulnerability_params: VulnerabilityParams {
                report_type: "COMPACT",
                filters: Filters {
                    asset_type: asset_types,
                    status: ["OPEN", "IN_PROGRESS"],
                },
            },
        }
    }
}

/// Which findings a report was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFindings {
    /// Their statuses, in Wiz's words.
    pub statuses: Vec<String>,
    /// The kinds of assets that they are found on, likewise.
    pub asset_types: Vec<String>,
}

impl AskedFindings {
    /// Reads them out of the text that [`ReportRequest::asked`] gave; empty when it is none.
    pub fn read(asked: &str) -> Self {
        let asked: Value = serde_json::from_str(asked).unwrap_or_default();
        let words = |filter: &str| {
            let words = asked["vulnerabilityParams"]["filters"][filter].as_array();
            let words = words.into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        };
        Self {
            statuses: words("status"),
            asset_types: words("assetType"),
        }
    }
}

/// Wiz's word for a report of vulnerability findings.
pub(super) const REPORT_TYPE: &str = "VULNERABILITIES";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters<'a> {
    name: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    report_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(
        clippy::option_option,
        reason = "in GraphQL, absent, null and a list are three things"
    )]
    column_selection: Option<Option<&'static [&'static str]>>,
    compression_method: &'static str,
    csv_delimiter: &'static str,
    format: &'static str,
    incremental: bool,
    vulnerability_params: VulnerabilityParams<'a>,
}

#[derive(Serialize)]
struct VulnerabilityParams<'a> {
    #[serde(rename = "type")]
    report_type: &'static str,
    filters: Filters<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Filters<'a> {
    asset_type: Vec<&'a str>,
    status: [&'static str; 2],
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(columns: ColumnChoice) -> ReportRequest {
        ReportRequest {
            name: "wiz-context/lab/wiz1".into(),
            columns,
            asset_types: AssetType::with_addresses(),
        }
    }

    fn created(request: &ReportRequest) -> Value {
        serde_json::to_value(request.created()).unwrap()
    }

    #[test]
    fn a_report_is_asked_for_complete_gzipped_and_with_the_columns_that_are_read() {
        let expected = json!({
            "name": "wiz-context/lab/wiz1",
            "type": "VULNERABILITIES",
            "projectId": "*",
            "columnSelection": [
                "Name", "FindingStatus", "CVSSSeverity", "Score", "Severity", "VendorSeverity", "NvdSeverity",
                "HasExploit", "HasCisaKevExploit", "AssetID", "AssetName", "ProviderUniqueId", "IpAddresses",
                "NVDScore", "VendorScore",
            ],
            "compressionMethod": "GZIP",
            "csvDelimiter": "US",
            "format": "CSV",
            "incremental": false,
            "vulnerabilityParams": {
                "type": "COMPACT",
                "filters": {
                    "assetType": ["NETWORK_ADDRESS", "VIRTUAL_MACHINE"],
                    "status": ["OPEN", "IN_PROGRESS"],
                },
            },
        });
        assert_eq!(created(&request(ColumnChoice::Full)), expected);
    }

    #[test]
    fn a_refused_selection_shrinks_and_then_is_left_to_wiz() {
        let second = ColumnChoice::Full.fallback().unwrap();
        let columns = created(&request(second))["columnSelection"].clone();
        let columns = columns.as_array().unwrap();
        assert!(
            columns.len() == 13
                && !columns.contains(&json!("NVDScore"))
                && !columns.contains(&json!("VendorScore"))
        );

        let third = second.fallback().unwrap();
        assert_eq!(created(&request(third)).get("columnSelection"), None);
        let changed = serde_json::to_value(request(third).changed()).unwrap();
        assert_eq!(changed.get("columnSelection"), Some(&Value::Null));
        assert_eq!(third.fallback(), None);
    }

    #[test]
    fn what_is_asked_differs_exactly_when_something_asked_differs() {
        let full = request(ColumnChoice::Full);
        let mut same = full.clone();
        same.asset_types.reverse();
        same.asset_types.push("VIRTUAL_MACHINE".parse().unwrap());
        assert_eq!(full.asked(), same.asked());

        let mut renamed = full.clone();
        renamed.name.push('2');
        let mut wider = full.clone();
        wider.asset_types.push("CONTAINER".parse().unwrap());
        for other in [renamed, wider, request(ColumnChoice::Default)] {
            assert_ne!(full.asked(), other.asked());
        }
        assert!(!full.asked().contains("projectId"));
    }

    #[test]
    fn which_findings_were_asked_for_reads_back() {
        let asked = AskedFindings::read(&request(ColumnChoice::Default).asked());
        assert_eq!(asked.statuses, ["OPEN", "IN_PROGRESS"]);
        assert_eq!(asked.asset_types, ["NETWORK_ADDRESS", "VIRTUAL_MACHINE"]);
        assert_eq!(AskedFindings::read("something else"), AskedFindings::default());
    }
}
