//! Where the rows of a report come from: the generator, or a CSV file that somebody gave.

use std::io::{self, Read, Write};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::generator::{Column, Excerpt, GeneratorSettings, Status};

/// The rows of the account's report.
#[derive(Clone, Debug)]
pub(super) enum ReportSource {
    Generated(GeneratorSettings),
    /// A file, of which a report takes the columns and rows that it was asked for.
    Csv(Arc<[u8]>),
    /// Bytes that are sent whatever was asked for, and how many rows to count.
    Verbatim(Arc<[u8]>, Option<u64>),
}

/// What a report was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The columns; none: those of the default header.
    pub(super) columns: Vec<Column>,
    pub(super) detailed: bool,
    pub(super) statuses: Vec<Status>,
    /// The most rows.
    pub(super) rows: u64,
}

impl ReportSource {
    /// A file as somebody gave it, plain or gzip.
    pub(super) fn of_csv(bytes: Vec<u8>) -> io::Result<Self> {
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(Self::Csv(bytes.into()));
        }
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
        Ok(Self::Csv(plain.into()))
    }

    /// Writes what is asked for and returns how many rows that is; none when nobody knows.
    pub(super) fn write(&self, asked: &Asked, mut out: impl Write) -> io::Result<Option<u64>> {
        match self {
            Self::Generated(settings) => {
                let mut columns = asked.columns.clone();
                if columns.is_empty() {
                    columns = settings.header.columns();
                    let detailed = super::generator::Header::Detailed49.columns();
                    let missing = detailed
                        .into_iter()
                        .filter(|column| asked.detailed && !columns.contains(column));
                    let missing: Vec<_> = missing.collect();
                    columns.extend(missing);
                }
                let (statuses, rows) = (&asked.statuses, asked.rows);
                settings
                    .write_excerpt(
                        Excerpt {
                            columns: &columns,
                            statuses,
                            rows,
                        },
                        out,
                    )
                    .map(Some)
            }
            Self::Csv(csv) if is_whole(csv) => write_csv(csv, asked, out).map(Some),
            // Whoever gives a broken file wants to see it arrive like that.
            Self::Csv(csv) => out.write_all(csv).map(|()| None),
            Self::Verbatim(bytes, rows) => out.write_all(bytes).map(|()| *rows),
        }
    }

    /// The full report, plain.
    pub(super) fn full(&self) -> Vec<u8> {
        match self {
            Self::Csv(csv) | Self::Verbatim(csv, _) => csv.to_vec(),
            Self::Generated(settings) => {
                let mut csv = Vec::new();
                settings.write(&mut csv).expect("memory takes any bytes");
                csv
            }
        }
    }

    /// Roughly how many findings there are.
    pub(super) fn findings(&self) -> u64 {
        let lines = |csv: &[u8]| u64::try_from(memchr::memchr_iter(b'\n', csv).count()).unwrap_or(u64::MAX);
        match self {
            Self::Generated(settings) => settings.findings,
            Self::Csv(csv) | Self::Verbatim(csv, _) => lines(csv).saturating_sub(1),
        }
    }
}

/// Whether every quote is closed, and there is a header.
fn is_whole(csv: &[u8]) -> bool {
    !csv.is_empty() && memchr::memchr_iter(b'"', csv).count().is_multiple_of(2)
}

fn write_csv(csv: &[u8], asked: &Asked, mut out: impl Write) -> io::Result<u64> {
    /// What some programs begin a file with; the reader passes over it.
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    if csv.starts_with(BYTE_ORDER_MARK) {
        out.write_all(BYTE_ORDER_MARK)?;
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(csv);
    let terminator = match memchr::memmem::find(csv, b"\r\n") {
        Some(_) => csv::Terminator::CRLF,
        None => csv::Terminator::Any(b'\n'),
    };
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .terminator(terminator)
        .from_writer(out);
    let mut record = csv::ByteRecord::new();
    reader.read_byte_record(&mut record)?;
    let names = record.clone();
    let place_of = |column: Column| names.iter().position(|name| name == column.as_str().as_bytes());
    let places: Vec<usize> = match asked.columns.as_slice() {
        [] => (0..names.len()).collect(),
        columns => columns.iter().filter_map(|&column| place_of(column)).collect(),
    };
    let status = place_of(Column::FindingStatus);
    if asked.columns.is_empty() {
        writer.write_byte_record(&record)?;
    } else {
        writer.write_record(places.iter().map(|&at| &names[at]))?;
    }
    let mut rows = 0;
    while rows < asked.rows && reader.read_byte_record(&mut record)? {
        let status = status
            .and_then(|at| record.get(at))
            .map_or(Status::Open, |cell| Status::read(&String::from_utf8_lossy(cell)));
        if asked.statuses.contains(&status) {
            // Without a selection a row stays as wide as it is, be that right or wrong.
            if asked.columns.is_empty() {
                writer.write_byte_record(&record)?;
            } else {
                writer.write_record(places.iter().map(|&at| record.get(at).unwrap_or_default()))?;
            }
            rows += 1;
        }
    }
    writer.flush()?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(csv: &[u8], columns: &[Column], statuses: &[Status]) -> (String, Option<u64>) {
        let source = ReportSource::of_csv(csv.to_vec()).unwrap();
        let asked = Asked {
            columns: columns.to_vec(),
            detailed: false,
            statuses: statuses.to_vec(),
            rows: u64::MAX,
        };
        let mut out = Vec::new();
        let rows = source.write(&asked, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), rows)
    }

    #[test]
    fn a_given_file_is_cut_to_what_is_asked() {
        let csv =
            b"\xef\xbb\xbfName,Extra,FindingStatus\r\nCVE-1,\"a,\"\"b\",Open\r\nCVE-2,,resolved\r\nCVE-3\r\n";
        let columns = [Column::FindingStatus, Column::Score, Column::Name];
        let open = written(csv, &columns, &[Status::Open]);
        assert_eq!(
            open,
            (
                "\u{feff}FindingStatus,Name\r\nOpen,CVE-1\r\n,CVE-3\r\n".to_owned(),
                Some(2)
            )
        );
        let all = written(csv, &[], &Status::ALL);
        assert_eq!(all, (String::from_utf8(csv.to_vec()).unwrap(), Some(3)));
    }

    #[test]
    fn a_broken_file_arrives_as_it_is() {
        for csv in [&b"Name,Score\nCVE-1,\"7"[..], b""] {
            let (text, rows) = written(csv, &[Column::Name], &[Status::Open]);
            assert_eq!((text.as_bytes(), rows), (csv, None));
        }
    }
}
