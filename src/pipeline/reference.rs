//! The obvious way to read a CSV, by the `csv` crate, and the scanner held to it: any bytes, in any pieces, the same rows
//! or the same error. For property tests and for fuzzing alike.

use std::io::{self, Read};

use super::ReportError;
use super::part::{InPlace, Parts};
use super::scan::{Scanner, unquoted};

/// A source that gives so many bytes a read, in turn.
pub(super) struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(bytes: &'a [u8], sizes: Vec<usize>) -> Self {
        Self {
            bytes,
            sizes: sizes.into_iter().cycle(),
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap_or(1);
        self.bytes.take(size as u64).read(buffer).inspect(|length| {
            self.bytes = &self.bytes[*length..];
        })
    }
}

/// The byte order mark is looked for in the first part only, so that has to hold it.
pub(super) const MIN_PART_BYTES: usize = 3;

/// The cells that are read, row by row, and what ended the reading if it was an error.
pub(super) type Scan = (Vec<Vec<Vec<u8>>>, Option<String>);

/// Reads the columns of even numbers.
pub(super) fn scan(mut scanner: Scanner<impl Parts>, at_once: usize) -> Scan {
    let mut rows = Vec::new();
    let result = (|| {
        let columns =
            scanner.header(|header| Ok((header.len(), (0..header.len()).map(is_read).collect())))?;
        loop {
            let records = scanner.read_records(at_once)?;
            if records.iter().len() == 0 {
                return Ok(());
            }
            for record in records.iter() {
                let read = (0..columns).filter(|column| is_read(*column));
                rows.push(
                    read.map(|column| unquoted(record.raw(column)).into_owned())
                        .collect(),
                );
            }
        }
    })();
    (rows, result.err().map(|error: ReportError| error.to_string()))
}

fn is_read(column: usize) -> bool {
    column.is_multiple_of(2)
}

/// The same by the `csv` crate, and the rules of what is no row.
fn reference(text: &[u8]) -> Scan {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(text);
    let records: Vec<_> = reader.byte_records().map(Result::unwrap).collect();
    let Some((header, rows)) = records.split_first() else {
        return (vec![], Some(ReportError::Empty.to_string()));
    };
    let (columns, last) = (header.len(), records.len() as u64 - 1);
    let is_open = quote_is_open(text);
    let mut read = Vec::new();
    let mut problem = (last == 0 && is_open).then_some(ReportError::UnclosedQuote { row: 0 });
    for (row, record) in (1..).zip(rows) {
        let cells = record.len();
        problem = match () {
            () if cells > columns => Some(ReportError::RowTooLong { row, columns }),
            () if row == last && is_open => Some(ReportError::UnclosedQuote { row }),
            () if cells == columns => None,
            () if row == last && !text.ends_with(b"\n") && !text.ends_with(b"\r") => {
                Some(ReportError::CutRow { row, cells, columns })
            }
            () => Some(ReportError::RowTooShort { row, cells, columns }),
        };
        if problem.is_some() {
            break;
        }
        let cells = record.iter().enumerate().filter(|(column, _)| is_read(*column));
        read.push(cells.map(|(_, cell)| cell.to_vec()).collect());
    }
    (read, problem.map(|problem| problem.to_string()))
}

/// Whether the text ends within quotes, by the grammar.
fn quote_is_open(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut at_start, mut quoted, mut closed) = (true, false, false);
    for byte in text {
        if quoted {
            (quoted, closed) = (*byte != b'"', *byte == b'"');
        } else {
            quoted = *byte == b'"' && (at_start || closed);
            (at_start, closed) = (matches!(byte, b',' | b'\n' | b'\r'), false);
        }
    }
    quoted
}

/// Reads the text in both ways: the scanner in parts of that size, from a source that gives it in such pieces, so many
/// records at once.
///
/// # Panics
/// When they differ.
pub(super) fn hold_to_reference(text: &[u8], part_bytes: usize, pieces: Vec<usize>, at_once: usize) {
    let (rows, problem) = reference(text);
    let (read, found) = scan(
        Scanner::new(InPlace::new(Pieces::new(text, pieces), part_bytes)),
        at_once,
    );
    assert_eq!(found, problem);
    // Rows that came together with one that is none are lost with it.
    assert!(rows.starts_with(&read), "{read:?} instead of {rows:?}");
    if problem.is_none() {
        assert_eq!(read, rows);
    }
}

/// The same for input that nobody chose: its first three bytes say how the others come.
///
/// # Panics
/// When the scanner reads other rows than the `csv` crate, or finds another error.
pub fn hold_scanner_to_csv(input: &[u8]) {
    let Some(([part_bytes, piece, at_once], text)) = input.split_first_chunk() else {
        return;
    };
    let (piece, at_once) = (usize::from(*piece) + 1, usize::from(*at_once) + 1);
    hold_to_reference(
        text,
        usize::from(*part_bytes) + MIN_PART_BYTES,
        vec![piece],
        at_once,
    );
    hold_to_reference(text, 64 << 10, vec![usize::MAX], at_once);
}
