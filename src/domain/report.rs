//! What a report has to carry.

/// The columns that the labels follow from, by their names in a report. The last two are not known to every tenant.
pub const REPORT_COLUMNS: [&str; 15] = [
    "Name",
    "FindingStatus",
    "CVSSSeverity",
    "Score",
    "Severity",
    "VendorSeverity",
    "NvdSeverity",
    "HasExploit",
    "HasCisaKevExploit",
    "AssetID",
    "AssetName",
    "ProviderUniqueId",
    "IpAddresses",
    "NVDScore",
    "VendorScore",
];
