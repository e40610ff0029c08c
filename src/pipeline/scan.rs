//! The scanner: CSV records out of a stream of bytes, in constant memory.
//!
//! A record is found in the buffer as a whole and its cells are handed out as slices of it; only a quoted cell with
//! doubled quotes is copied, into a scratch buffer that is used again and again. Cells are parted by `,`, records by LF or
//! CRLF (a lone CR ends a record too), lines without a character are passed over, and a quote inside a cell that did not
//! begin with one is a plain character, all as the `csv` crate reads by default.

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr3};

use super::decode::BUFFER_BYTES;

/// The longest record: some thousand times the longest that Wiz writes. What is longer has broken quotes.
pub(super) const MAX_RECORD_BYTES: usize = 8 * 1024 * 1024;

/// Why no further record could be read.
#[derive(Debug)]
pub(super) enum ScanError {
    OpenQuote,
    TooLong,
    Source(io::Error),
}

/// Reads records from a source.
pub(super) struct Scanner<R> {
    source: R,
    buffer: Vec<u8>,
    filled: Range<usize>,
    at_end: bool,
    cells: Vec<Range<usize>>,
}

/// Where the reading of a record stands at the end of a cell.
enum CellEnd {
    Cell(usize),
    Record(usize),
    /// The buffer ended before the cell did.
    Unfinished,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0..0,
            at_end: false,
            cells: Vec::new(),
        }
    }

    /// The next record's cells; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, ScanError> {
        loop {
            if self.skip_line_ends() {
                break;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
        let length = loop {
            if let Some(length) = self.record()? {
                break length;
            }
            self.fill()?;
        };
        let start = self.filled.start;
        self.filled.start += length;
        Ok(Some(Record {
            bytes: &mut self.buffer[start..start + length],
            cells: &self.cells,
        }))
    }

    /// Passes over line ends; whether a byte of a record follows.
    fn skip_line_ends(&mut self) -> bool {
        let bytes = &self.buffer[self.filled.clone()];
        let ends = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.filled.start += ends;
        !self.filled.is_empty()
    }

    /// Finds the cells of the record at the start of the buffer, and its length with its line end; `None` when the buffer
    /// ends before it does.
    fn record(&mut self) -> Result<Option<usize>, ScanError> {
        self.cells.clear();
        let bytes = &self.buffer[self.filled.clone()];
        let mut start = 0;
        loop {
            let (cell, end) = cell(bytes, start, self.at_end);
            match end {
                CellEnd::Unfinished if self.at_end => return Err(ScanError::OpenQuote),
                CellEnd::Unfinished => return Ok(None),
                CellEnd::Cell(next) => start = next,
                CellEnd::Record(next) => {
                    self.cells.push(cell);
                    return Ok(Some(next));
                }
            }
            self.cells.push(cell);
        }
    }

    /// Reads more into the buffer; whether there was more.
    fn fill(&mut self) -> Result<bool, ScanError> {
        if self.filled.start > 0 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        if self.filled.end == self.buffer.len() {
            if self.buffer.len() >= MAX_RECORD_BYTES {
                return Err(ScanError::TooLong);
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.filled.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    return Ok(false);
                }
                Ok(read) => {
                    self.filled.end += read;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ScanError::Source(error)),
            }
        }
    }
}

/// The cell at `start`, quotes included, and what comes behind it.
fn cell(bytes: &[u8], start: usize, at_end: bool) -> (Range<usize>, CellEnd) {
    let mut at = start;
    if bytes.get(at) == Some(&b'"') {
        at += 1;
        loop {
            match memchr(b'"', &bytes[at..]) {
                None => return (start..start, CellEnd::Unfinished),
                Some(offset) => at += offset + 1,
            }
            match bytes.get(at) {
                // A doubled quote is one of the cell's.
                Some(b'"') => at += 1,
                // Whether another quote follows is not known yet.
                None if !at_end => return (start..start, CellEnd::Unfinished),
                _ => break,
            }
        }
    }
    match memchr3(b',', b'\n', b'\r', &bytes[at..]) {
        Some(offset) => {
            let end = at + offset;
            let next = if bytes[end] == b',' {
                CellEnd::Cell(end + 1)
            } else {
                CellEnd::Record(end + 1)
            };
            (start..end, next)
        }
        None if at_end => (start..bytes.len(), CellEnd::Record(bytes.len())),
        None => (start..start, CellEnd::Unfinished),
    }
}

/// A record in the scanner's buffer.
pub(super) struct Record<'a> {
    bytes: &'a mut [u8],
    cells: &'a [Range<usize>],
}

impl Record<'_> {
    /// How many cells there are, at least one.
    pub(super) const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Takes the quotes off a cell, in place; to be done once, before it is looked at. A missing cell is empty.
    pub(super) fn unquote(&mut self, cell: usize) -> Range<usize> {
        let Some(range) = self.cells.get(cell) else {
            return 0..0;
        };
        let bytes = &mut self.bytes[range.clone()];
        if bytes.first() != Some(&b'"') {
            return range.clone();
        }
        let (mut read, mut written, mut quoted) = (1, 0, true);
        while read < bytes.len() {
            let byte = bytes[read];
            read += 1;
            if quoted && byte == b'"' {
                if bytes.get(read) == Some(&b'"') {
                    read += 1;
                } else {
                    quoted = false;
                    continue;
                }
            }
            bytes[written] = byte;
            written += 1;
        }
        range.start..range.start + written
    }

    /// The bytes of a range that [`Record::unquote`] gave.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A source that gives so many bytes a read, in turn.
    pub(in crate::pipeline) struct Pieces<'a> {
        pub(in crate::pipeline) bytes: &'a [u8],
        pub(in crate::pipeline) sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self
                .sizes
                .next()
                .unwrap_or(1)
                .min(buffer.len())
                .min(self.bytes.len());
            buffer[..size].copy_from_slice(&self.bytes[..size]);
            self.bytes = &self.bytes[size..];
            Ok(size)
        }
    }

    fn scan(source: impl Read) -> Option<Vec<Vec<Vec<u8>>>> {
        let mut scanner = Scanner::new(source);
        let mut records = Vec::new();
        while let Some(mut record) = scanner.next().ok()? {
            let ranges: Vec<_> = (0..record.len()).map(|cell| record.unquote(cell)).collect();
            records.push(
                ranges
                    .into_iter()
                    .map(|range| record.bytes(range).to_vec())
                    .collect(),
            );
        }
        Some(records)
    }

    fn reference(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .from_reader(bytes);
        let records = reader
            .byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect());
        records.collect()
    }

    #[test]
    fn an_open_quote_is_an_error_and_not_a_short_file() {
        assert!(scan(&b"a,b\n1,\"two"[..]).is_none());
        assert!(scan(&b"a,b\n1,\"two\"\"\n"[..]).is_none());
        assert_eq!(scan(&b"a,b\n1,\"two\""[..]).unwrap().len(), 2);
    }

    #[test]
    fn a_record_without_an_end_is_an_error_and_not_an_allocation() {
        assert!(matches!(
            Scanner::new(io::repeat(b'x')).next(),
            Err(ScanError::TooLong)
        ));
        assert!(matches!(
            Scanner::new((&b"\""[..]).chain(io::repeat(b'x'))).next(),
            Err(ScanError::TooLong)
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_read_as_the_csv_crate_reads_them(
            text in r#"[a-z",\r\né ]{0,60}"#,
            sizes in prop::collection::vec(1_usize..7, 1..5),
        ) {
            let pieces = Pieces { bytes: text.as_bytes(), sizes: sizes.into_iter().cycle() };
            // Where the scanner finds an open quote the crate reads on to the end.
            if let Some(records) = scan(pieces) {
                prop_assert_eq!(records, reference(text.as_bytes()));
            }
        }
    }
}
