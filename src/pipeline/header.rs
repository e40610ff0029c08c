//! The columns of a report, found by their names.

use super::ReportError;
use super::scan::{Record, unquoted};
use crate::domain::{REPORT_COLUMNS, Warning};

/// A column that is read; its name stands at the same place in [`REPORT_COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    FindingStatus,
    CvssSeverity,
    Score,
    Severity,
    VendorSeverity,
    NvdSeverity,
    HasExploit,
    HasCisaKevExploit,
    AssetId,
    AssetName,
    ProviderUniqueId,
    IpAddresses,
    NvdScore,
    VendorScore,
}

/// Nothing can be said without these.
const REQUIRED: [Column; 3] = [Column::Name, Column::AssetId, Column::IpAddresses];

/// Nothing can be rated without one of these.
const RATING: [Column; 7] = [
    Column::CvssSeverity,
    Column::Score,
    Column::Severity,
    Column::VendorSeverity,
    Column::NvdSeverity,
    Column::NvdScore,
    Column::VendorScore,
];

/// The longest text that is shown as a column's name. What else stands in a first line may be anything.
const MAX_SHOWN_NAME_CHARS: usize = 64;

/// The most names that are shown.
const MAX_SHOWN_NAMES: usize = 60;

impl Column {
    const fn name(self) -> &'static str {
        REPORT_COLUMNS[self as usize]
    }
}

/// Where a report has the columns that are read.
pub(super) struct Header {
    /// All names, as the report has them.
    pub(super) names: Vec<String>,
    /// What is not as it should be, though the report can be read.
    pub(super) warnings: Vec<Warning>,
    places: [Option<usize>; REPORT_COLUMNS.len()],
}

impl Header {
    /// Reads the names; a name that stands twice counts where it stands first.
    ///
    /// # Errors
    /// When columns are missing that nothing can be said without.
    pub(super) fn read(record: Record<'_>) -> Result<Self, ReportError> {
        let names: Vec<String> = (0..record.len())
            .map(|column| {
                String::from_utf8_lossy(&unquoted(record.raw(column)))
                    .trim()
                    .to_owned()
            })
            .collect();
        let places = REPORT_COLUMNS.map(|wanted| names.iter().position(|name| name == wanted));
        let header = Self {
            names,
            places,
            warnings: Vec::new(),
        };
        header.refuse_missing()?;
        Ok(Self {
            warnings: header.warnings(),
            ..header
        })
    }

    /// Where a column stands.
    pub(super) const fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// For each column of the report, whether it is read.
    pub(super) fn read_columns(&self) -> Vec<bool> {
        (0..self.names.len())
            .map(|at| self.places.contains(&Some(at)))
            .collect()
    }

    fn refuse_missing(&self) -> Result<(), ReportError> {
        let is_missing = |column: &Column| self.place(*column).is_none();
        let mut missing: Vec<_> = REQUIRED
            .into_iter()
            .filter(is_missing)
            .map(Column::name)
            .collect();
        let any_rating = RATING.map(Column::name).join(", ");
        let any_rating = format!("any column of {any_rating}");
        if RATING.iter().all(is_missing) {
            missing.push(&any_rating);
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(ReportError::MissingColumns {
            missing: missing.join(" and "),
            found: self.found(),
        })
    }

    /// The names in words; what does not read like a name is only counted.
    fn found(&self) -> String {
        let is_name = |name: &&str| {
            (1..=MAX_SHOWN_NAME_CHARS).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b" ()_-".contains(&byte))
        };
        let names: Vec<_> = self
            .names
            .iter()
            .map(String::as_str)
            .filter(is_name)
            .take(MAX_SHOWN_NAMES)
            .collect();
        match (names.is_empty(), self.names.len() - names.len()) {
            (true, others) => format!("nothing that reads like a column's name ({others} cells)"),
            (false, 0) => names.join(", "),
            (false, others) => format!("{} and {others} more", names.join(", ")),
        }
    }

    fn warnings(&self) -> Vec<Warning> {
        let named = |is_wanted: &dyn Fn(usize, &str) -> bool| {
            let columns = REPORT_COLUMNS.iter().enumerate();
            let names: Vec<_> = columns
                .filter(|(at, name)| is_wanted(*at, name))
                .map(|(_, name)| *name)
                .collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let missing = named(&|at, _| self.places[at].is_none()).map(|names| {
            let message = format!("The report has no column {names}; what it would say counts as empty.");
            Warning::new("columns_missing", message)
        });
        let repeated = named(&|_, wanted| self.names.iter().filter(|name| *name == wanted).count() > 1);
        let repeated = repeated.map(|names| {
            let message = format!("The report has more than one column {names}; the first counts.");
            Warning::new("columns_repeated", message)
        });
        missing.into_iter().chain(repeated).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::part::InPlace;
    use crate::pipeline::scan::Scanner;

    fn header(line: &str) -> Result<Header, ReportError> {
        Scanner::new(InPlace::new(line.as_bytes(), 100)).header(|record| {
            let header = Header::read(record)?;
            let columns = header.read_columns();
            Ok((header, columns))
        })
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let header = header("\u{feff}IpAddresses,\"AssetID\",Other, Name ,Severity,Name\r\n").unwrap();
        assert_eq!(header.place(Column::Name), Some(3));
        assert_eq!(header.place(Column::AssetId), Some(1));
        assert_eq!(header.place(Column::Score), None);
        assert_eq!(header.read_columns(), [true, true, false, true, true, false]);
        assert_eq!(header.names[0], "IpAddresses");
        let codes: Vec<_> = header
            .warnings
            .iter()
            .map(|warning| warning.code.as_str())
            .collect();
        assert_eq!(codes, ["columns_missing", "columns_repeated"]);
        assert!(
            header.warnings[0].message.contains("NVDScore")
                && !header.warnings[0].message.contains("AssetID")
        );
    }

    #[test]
    fn what_is_missing_and_what_is_there_is_named() {
        let error = header("ID,Name,WizURL").map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("lacks AssetID and IpAddresses and any column of CVSSSeverity, Score"),
            "{error}"
        );
        assert!(error.contains("has ID, Name, WizURL."), "{error}");
        assert!(header("Name,AssetID,IpAddresses,VendorScore").is_ok());
    }

    #[test]
    fn a_file_that_is_no_report_does_not_show_its_content() {
        let error = header("<Error><Key>secret/1</Key></Error>")
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("nothing that reads like a column's name") && !error.contains("secret"),
            "{error}"
        );
    }
}
