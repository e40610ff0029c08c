//! The header: columns by name, wherever they stand.

use super::ReportError;
use crate::domain::Warning;

macro_rules! columns {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A column that the labels follow from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Column { $($variant),* }

        impl Column {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

columns! {
    Name = "Name", FindingStatus = "FindingStatus", CvssSeverity = "CVSSSeverity", Score = "Score", Severity = "Severity",
    VendorSeverity = "VendorSeverity", NvdSeverity = "NvdSeverity", NvdScore = "NVDScore", VendorScore = "VendorScore",
    HasExploit = "HasExploit", HasCisaKevExploit = "HasCisaKevExploit", AssetId = "AssetID", AssetName = "AssetName",
    ProviderUniqueId = "ProviderUniqueId", IpAddresses = "IpAddresses",
}

/// How many columns there are.
pub(super) const COLUMNS: usize = Column::ALL.len();

/// The columns without which there is no label, and those of which one is enough.
const REQUIRED: [Column; 3] = [Column::Name, Column::AssetId, Column::IpAddresses];
const ONE_OF: [Column; 7] = [
    Column::CvssSeverity,
    Column::Score,
    Column::Severity,
    Column::VendorSeverity,
    Column::NvdSeverity,
    Column::NvdScore,
    Column::VendorScore,
];

/// Where each column stands.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) positions: [Option<usize>; COLUMNS],
    pub(super) columns: Vec<String>,
    pub(super) warnings: Vec<Warning>,
}

impl Header {
    pub(super) fn read(names: Vec<String>) -> Result<Self, ReportError> {
        let mut columns = names;
        if let Some(first) = columns.first_mut()
            && let Some(rest) = first.strip_prefix('\u{feff}')
        {
            *first = rest.trim_matches('"').to_owned();
        }
        let position = |column: Column| columns.iter().position(|name| name.trim() == column.name());
        let positions: [_; COLUMNS] = std::array::from_fn(|at| position(Column::ALL[at]));
        let has = |column: &Column| positions[*column as usize].is_some();
        let mut missing: Vec<_> = REQUIRED
            .iter()
            .filter(|column| !has(column))
            .map(|column| format!("`{}`", column.name()))
            .collect();
        if !ONE_OF.iter().any(has) {
            missing.push("`CVSSSeverity` (or another severity or score)".to_owned());
        }
        if !missing.is_empty() {
            return Err(ReportError::Columns {
                missing: missing.join(", "),
                found: columns.join(", "),
            });
        }
        let mut warnings = Vec::new();
        let absent: Vec<_> = Column::ALL
            .iter()
            .filter(|column| !has(column))
            .map(|column| column.name())
            .collect();
        if !absent.is_empty() {
            let message = format!(
                "The report lacks the columns {}; what they say is not in the labels.",
                absent.join(", ")
            );
            warnings.push(Warning::new("columns_missing", message));
        }
        let doubled =
            |column: &&Column| columns.iter().filter(|name| name.trim() == column.name()).count() > 1;
        let doubled: Vec<_> = Column::ALL
            .iter()
            .filter(doubled)
            .map(|column| column.name())
            .collect();
        if !doubled.is_empty() {
            let message = format!(
                "The report has the columns {} twice; the first of each was read.",
                doubled.join(", ")
            );
            warnings.push(Warning::new("columns_doubled", message));
        }
        Ok(Self {
            positions,
            columns,
            warnings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &str) -> Result<Header, ReportError> {
        Header::read(names.split(',').map(str::to_owned).collect())
    }

    #[test]
    fn columns_are_found_by_name_wherever_they_stand() {
        let header = header("\u{feff}IpAddresses,Other,Severity,AssetID,Name").unwrap();
        assert_eq!(header.positions[Column::IpAddresses as usize], Some(0));
        assert_eq!(header.positions[Column::Name as usize], Some(4));
        assert_eq!(header.warnings[0].code, "columns_missing");
    }

    #[test]
    fn a_header_without_what_is_needed_names_what_is_missing_and_what_was_found() {
        let error = header("Name,Foo").unwrap_err().to_string();
        for word in ["`AssetID`", "`IpAddresses`", "`CVSSSeverity`", "Name, Foo"] {
            assert!(error.contains(word), "{error}");
        }
    }
}
