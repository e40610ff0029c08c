//! The columns of a vulnerability report, by their names in the header.

use std::fmt;
use std::str::FromStr;

macro_rules! columns {
    ($($column:ident = $name:literal),* $(,)?) => {
        /// A column of a vulnerability report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the variants are the names that stand in the header")]
        pub enum Column { $($column),* }

        impl Column {
            /// All columns: first those of today's default header in its order, then those of a detailed report, then
            /// those that are given on request only.
            pub const ALL: &[Self] = &[$(Self::$column),*];

            /// The column's name in the header.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$column => $name),* }
            }
        }
    };
}

columns! {
    Id = "ID", WizUrl = "WizURL", Name = "Name", CvssSeverity = "CVSSSeverity", HasExploit = "HasExploit",
    HasCisaKevExploit = "HasCisaKevExploit", FindingStatus = "FindingStatus", Score = "Score", Severity = "Severity",
    VendorSeverity = "VendorSeverity", NvdSeverity = "NvdSeverity", FirstDetected = "FirstDetected",
    LastDetected = "LastDetected", ResolvedAt = "ResolvedAt", ResolutionReason = "ResolutionReason",
    Remediation = "Remediation", LocationPath = "LocationPath", DetailedName = "DetailedName", Version = "Version",
    FixedVersion = "FixedVersion", DetectionMethod = "DetectionMethod", Link = "Link", Projects = "Projects",
    AssetId = "AssetID", AssetName = "AssetName", AssetRegion = "AssetRegion",
    ProviderUniqueId = "ProviderUniqueId", CloudProviderUrl = "CloudProviderURL", CloudPlatform = "CloudPlatform",
    Status = "Status", SubscriptionExternalId = "SubscriptionExternalId", SubscriptionId = "SubscriptionId",
    SubscriptionName = "SubscriptionName", Tags = "Tags", ExecutionControllers = "ExecutionControllers",
    ExecutionControllersSubscriptionExternalIds = "ExecutionControllersSubscriptionExternalIds",
    ExecutionControllersSubscriptionNames = "ExecutionControllersSubscriptionNames",
    ExecutionControllersKubernetesClusterNames = "ExecutionControllersKubernetesClusterNames",
    CriticalRelatedIssuesCount = "CriticalRelatedIssuesCount", HighRelatedIssuesCount = "HighRelatedIssuesCount",
    MediumRelatedIssuesCount = "MediumRelatedIssuesCount", LowRelatedIssuesCount = "LowRelatedIssuesCount",
    InfoRelatedIssuesCount = "InfoRelatedIssuesCount", OperatingSystem = "OperatingSystem",
    IpAddresses = "IpAddresses",
    // A detailed report has these too.
    CveDescription = "CVEDescription", Description = "Description", ExploitabilityScore = "ExploitabilityScore",
    ImpactScore = "ImpactScore",
    // On request only.
    NvdScore = "NVDScore", VendorScore = "VendorScore", CnaScore = "CNAScore", AssetType = "AssetType",
    UpdatedAt = "UpdatedAt", Epss = "Exploitation Probability (EPSS)",
}

impl Column {
    /// Today's default header is the first of [`Column::ALL`].
    const DEFAULT: usize = 45;
    /// The default header and what a detailed report adds.
    const DETAILED: usize = 49;
    /// What today's default header has and the older one lacks.
    const SINCE_ADDED: [Self; 4] = [
        Self::Score,
        Self::Severity,
        Self::NvdSeverity,
        Self::ExecutionControllersKubernetesClusterNames,
    ];
}

/// A name that no column has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no column is called `{0}`")]
pub struct UnknownColumn(pub String);

impl FromStr for Column {
    type Err = UnknownColumn;

    fn from_str(name: &str) -> Result<Self, UnknownColumn> {
        let column = Self::ALL.iter().find(|column| column.as_str() == name);
        column.copied().ok_or_else(|| UnknownColumn(name.to_owned()))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which columns a report has when nobody selects any.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// The header of today's reports, 45 columns.
    #[default]
    Default45,
    /// The header of older reports, 41 columns: no score at all.
    Legacy41,
    /// Today's header, both further scores and both descriptions, 49 columns.
    Full49,
    /// The header of a detailed report, 49 columns.
    Detailed49,
}

impl Header {
    /// The columns in their order.
    pub fn columns(self) -> Vec<Column> {
        let of_today = &Column::ALL[..Column::DEFAULT];
        match self {
            Self::Default45 => of_today.to_vec(),
            Self::Legacy41 => of_today
                .iter()
                .filter(|column| !Column::SINCE_ADDED.contains(column))
                .copied()
                .collect(),
            Self::Full49 => {
                let further = [
                    Column::NvdScore,
                    Column::VendorScore,
                    Column::CveDescription,
                    Column::Description,
                ];
                [of_today, &further].concat()
            }
            Self::Detailed49 => Column::ALL[..Column::DETAILED].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_columns_that_their_names_promise() {
        for (header, width) in [
            (Header::Default45, 45),
            (Header::Legacy41, 41),
            (Header::Full49, 49),
            (Header::Detailed49, 49),
        ] {
            assert_eq!(header.columns().len(), width, "{header:?}");
        }
        let legacy = Header::Legacy41.columns();
        assert_eq!(
            (legacy[7], legacy[40]),
            (Column::VendorSeverity, Column::IpAddresses)
        );
        assert_eq!(Header::Detailed49.columns()[48], Column::ImpactScore);
    }

    #[test]
    fn names_read_back_and_other_names_are_refused() {
        for column in Column::ALL {
            assert_eq!(column.as_str().parse(), Ok(*column));
        }
        assert!("name".parse::<Column>().is_err());
    }
}
