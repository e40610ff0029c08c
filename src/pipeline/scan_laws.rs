//! The laws of the scanner: it reads as the `csv` crate does, in any pieces, and its memory stays small.

use std::io::{self, Read};

use proptest::prelude::*;

use super::ReportError;
use super::error::MAX_CELL_BYTES;
use super::scan::{Scanner, unquoted};

/// A source that gives so many bytes a read, in turn.
pub(super) struct Pieces<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
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

/// The cells that are read, row by row, and what ended the reading if it was an error.
type Scan = (Vec<Vec<Vec<u8>>>, Option<String>);

/// Reads the columns of even numbers.
fn scan(mut scanner: Scanner<impl Read>, at_once: usize) -> Scan {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_reads_as_the_csv_crate_reads_it(
        text in prop_oneof![
            r#"(\u{feff})?[ab",\r\n]{0,80}"#,
            // Three columns, and mostly rows.
            r#"a,b,c(\r?\n([a-z ]{0,90}|"([a-z,\r\n]|""){0,90}"[a-z"]?),([ab]{0,300}|"[ab,\n]{0,9}"),[ab"]{0,9}){0,12}\n?[a,"]{0,3}"#,
        ],
        sizes in prop::collection::vec(1_usize..200, 1..5),
        at_once in 1_usize..40,
    ) {
        let (rows, problem) = reference(text.as_bytes());
        let (small_rows, small_problem) = scan(Scanner::with_buffer(Pieces::new(text.as_bytes(), sizes), 0), at_once);
        let (large_rows, large_problem) = scan(Scanner::new(text.as_bytes()), at_once);
        prop_assert_eq!((&small_problem, &large_problem), (&problem, &problem));
        // Rows that came together with one that is none are lost with it.
        prop_assert!(rows.starts_with(&small_rows) && rows.starts_with(&large_rows));
        if problem.is_none() {
            prop_assert_eq!((&small_rows, &large_rows), (&rows, &rows));
        }
    }
}

/// A report with one row whose second cell has so many bytes, in a column that is not read; or in one that is.
fn with_cell(bytes: usize, is_read: bool) -> impl Read {
    let (front, back) = if is_read {
        ("a,b,c\n1,2,", "\n")
    } else {
        ("a,b,c\n1,", ",3\n")
    };
    let cell = io::repeat(b'x').take(bytes as u64);
    front.as_bytes().chain(cell).chain(back.as_bytes())
}

#[test]
fn a_cell_that_is_not_read_costs_no_memory() {
    let mut scanner = Scanner::with_buffer(with_cell(50 << 20, false), 4096);
    let () = scanner.header(|_| Ok(((), vec![true, false, true]))).unwrap();
    let record = scanner.read_records(1).unwrap().iter().next().unwrap();
    assert_eq!((record.raw(0), record.raw(2)), (&b"1"[..], &b"3"[..]));
    assert_eq!(scanner.buffer_bytes(), 4096);
}

#[test]
fn a_line_of_one_cell_that_is_not_read_is_not_blank() {
    let text = ["a,b,c\n", &"x".repeat(1000), "\n"].concat();
    let mut scanner = Scanner::with_buffer(text.as_bytes(), 0);
    let () = scanner.header(|_| Ok(((), vec![false, false, true]))).unwrap();
    let result = scanner.read_records(1).map(|_| ());
    assert!(
        matches!(
            result,
            Err(ReportError::RowTooShort {
                row: 1,
                cells: 1,
                columns: 3
            })
        ),
        "{result:?}"
    );
}

#[test]
fn a_cell_that_is_read_has_a_bound_however_it_comes() {
    for buffer_bytes in [0, 128 << 10, 4 << 20] {
        let (rows, problem) = scan(
            Scanner::with_buffer(with_cell(MAX_CELL_BYTES, true), buffer_bytes),
            9,
        );
        assert_eq!((rows.len(), problem), (1, None));
        let (_, problem) = scan(
            Scanner::with_buffer(with_cell(MAX_CELL_BYTES + 1, true), buffer_bytes),
            9,
        );
        assert_eq!(problem, Some(ReportError::CellTooLong { row: 1 }.to_string()));
    }
}

#[test]
fn what_never_ends_is_an_error_and_not_an_allocation() {
    let (_, problem) = scan(Scanner::new(io::repeat(b'x')), 9);
    assert_eq!(problem, Some(ReportError::HeaderTooLong.to_string()));
    let (_, problem) = scan(Scanner::new((&b"a,b,c\n"[..]).chain(io::repeat(b','))), 9);
    assert_eq!(
        problem,
        Some(ReportError::RowTooLong { row: 1, columns: 3 }.to_string())
    );
}
