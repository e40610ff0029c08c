//! The CSV scanner: records of borrowed cells from parts of a report.
//!
//! Records are read where they lie in a part. One that goes on in the next is put together in a seam, from the cells that
//! are read:
//!
//! ```text
//! parts  ▏record,record,reco▕▏rd,record,record,…▕
//! seam                  reco   rd
//! ```
//!
//! Cells that nobody reads are never copied or looked at, so memory stays small whatever the size of cells, rows and file.
//!
//! A record must have as many cells as the header: a misplaced quote or comma would shift the cells behind it, and labels
//! would be written by the wrong columns. Lines without any character are no records.

use std::borrow::Cow;

use super::error::{MAX_CELL_BYTES, ReportError};
use super::index::offset;
use super::part::{Part, Parts};

/// Reads records from parts.
pub(super) struct Scanner<P> {
    parts: P,
    /// The present part; none before the first and after the last.
    part: Option<Part>,
    /// The next record in the part: its number, its first cell, and its first byte.
    record: usize,
    first: usize,
    start: usize,
    seam: Seam,
    /// Which columns are read; `None` until the header is.
    columns: Option<Vec<bool>>,
    rows: u64,
    /// Where the records are that were handed out last.
    spans: Vec<Span>,
    /// Whether what was read last ends within quotes.
    is_quoted: bool,
}

/// Where a record is: its first byte, and its cells among all cells.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    first: usize,
    end: usize,
}

/// A record that several parts have a share in. Cells that are not read are empty here.
#[derive(Default)]
struct Seam {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// How many bytes of the report it covers.
    covered: usize,
}

/// How a record ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    LineEnd,
    /// With the report.
    Cut,
    /// With the report, in quotes.
    OpenQuote,
    /// It goes on in the next part.
    Open,
}

/// Some records that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    ends: &'a [u32],
    spans: &'a [Span],
}

impl<'a> Records<'a> {
    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = Record<'a>> {
        self.spans.iter().map(move |span| Record {
            bytes: self.bytes,
            start: offset(span.start),
            ends: &self.ends[span.first..span.end],
        })
    }
}

/// A record: its cells, as they stand in the report.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    bytes: &'a [u8],
    start: u32,
    ends: &'a [u32],
}

impl<'a> Record<'a> {
    /// How many cells there are.
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// A cell as it stands, with its quotes.
    pub(super) fn raw(&self, column: usize) -> &'a [u8] {
        let start = match column {
            0 => self.start,
            _ => self.ends[column - 1] + 1,
        };
        &self.bytes[start as usize..self.ends[column] as usize]
    }
}

/// The content of a cell: without the quotes around it, doubled ones single.
pub(super) fn unquoted(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some((b'"', quoted)) = raw.split_first() else {
        return Cow::Borrowed(raw);
    };
    match memchr::memchr(b'"', quoted) {
        Some(at) if at + 1 == quoted.len() => Cow::Borrowed(&quoted[..at]),
        _ => Cow::Owned(unescaped(quoted)),
    }
}

/// The slow way, from behind the opening quote.
fn unescaped(mut quoted: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(quoted.len());
    while let Some(at) = memchr::memchr(b'"', quoted) {
        content.extend_from_slice(&quoted[..at]);
        quoted = &quoted[at + 1..];
        match quoted.split_first() {
            Some((b'"', rest)) => {
                content.push(b'"');
                quoted = rest;
            }
            // The quotes are closed: what follows belongs to the cell as it stands.
            _ => break,
        }
    }
    content.extend_from_slice(quoted);
    content
}

impl Seam {
    fn is_begun(&self) -> bool {
        self.covered > 0
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.covered = 0;
    }

    /// Takes a share of the record: the bytes from `start` to `stop`, and the cells that end there. A record that ends
    /// there does so at `stop`.
    fn take(&mut self, bytes: &[u8], (start, stop): (usize, usize), ends: &[u32], columns: Option<&[bool]>) {
        let mut from = start;
        for end in ends {
            let end = *end as usize;
            self.extend(&bytes[from..end], columns);
            self.ends.push(offset(self.bytes.len()));
            // Stands where the separator was.
            self.bytes.push(b',');
            from = end + 1;
        }
        self.extend(bytes.get(from..stop).unwrap_or_default(), columns);
        self.covered += stop - start;
    }

    /// Takes a share of the cell under way.
    fn extend(&mut self, bytes: &[u8], columns: Option<&[bool]>) {
        if is_read(columns, self.ends.len()) {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Ends the record with the report.
    fn finish(&mut self) {
        self.ends.push(offset(self.bytes.len()));
    }
}

impl<P: Parts> Scanner<P> {
    pub(super) fn new(parts: P) -> Self {
        Self {
            parts,
            part: None,
            record: 0,
            first: 0,
            start: 0,
            seam: Seam::default(),
            columns: None,
            rows: 0,
            spans: Vec::new(),
            is_quoted: false,
        }
    }

    /// How much memory the seam takes by now.
    #[cfg(test)]
    pub(super) fn seam_bytes(&self) -> usize {
        self.seam.bytes.capacity() + self.seam.ends.capacity() * size_of::<u32>()
    }

    /// Reads the names of the columns; `choose` says which of them are to be read.
    ///
    /// # Errors
    /// When there is no header, it is no header, or `choose` refuses it.
    pub(super) fn header<T>(
        &mut self,
        choose: impl FnOnce(Record<'_>) -> Result<(T, Vec<bool>), ReportError>,
    ) -> Result<T, ReportError> {
        let (chosen, columns) = choose(self.read_records(1)?.iter().next().ok_or(ReportError::Empty)?)?;
        self.columns = Some(columns);
        Ok(chosen)
    }

    /// The next records, at least one and at most `limit`; none at the end.
    ///
    /// # Errors
    /// When the source fails, or a record is none; the scanner is of no use then.
    pub(super) fn read_records(&mut self, limit: usize) -> Result<Records<'_>, ReportError> {
        self.seam.clear();
        self.spans.clear();
        let has_more = loop {
            self.take_whole_records(limit)?;
            if !self.spans.is_empty() {
                break true;
            }
            if !self.advance()? {
                break false;
            }
            if !self.spans.is_empty() {
                return Ok(Records {
                    bytes: &self.seam.bytes,
                    ends: &self.seam.ends,
                    spans: &self.spans,
                });
            }
        };
        let part = self.part.as_ref().filter(|_| has_more);
        Ok(part.map_or(
            Records {
                bytes: &[],
                ends: &[],
                spans: &[],
            },
            |part| Records {
                bytes: part.bytes(),
                ends: part.ends().offsets(),
                spans: &self.spans,
            },
        ))
    }

    /// Finds the next records that lie wholly in the part.
    fn take_whole_records(&mut self, limit: usize) -> Result<(), ReportError> {
        let Some(part) = &self.part else {
            return Ok(());
        };
        let ends = part.ends();
        while self.spans.len() < limit
            && let Some(end) = ends.record_end(self.record)
        {
            let cells = &ends.offsets()[self.first..end];
            let stop = *cells.last().expect("a record has a cell") as usize;
            let span = Span {
                start: self.start,
                first: self.first,
                end,
            };
            (self.record, self.first, self.start) = (self.record + 1, end, stop + 1);
            if cells.len() > 1 || stop > span.start {
                self.check((span.start, stop), cells, Ending::LineEnd)?;
                self.rows += u64::from(self.columns.is_some());
                self.spans.push(span);
            }
        }
        Ok(())
    }

    /// Goes on to the next part, and takes what is left of the present one into the seam. A record that ends in the seam
    /// becomes the one span. `false` at the end of the report.
    fn advance(&mut self) -> Result<bool, ReportError> {
        if let Some(part) = &self.part {
            let (bytes, ends) = (part.bytes(), &part.ends().offsets()[self.first..]);
            self.seam
                .take(bytes, (self.start, bytes.len()), ends, self.columns.as_deref());
            self.is_quoted = part.ends().ends_quoted();
            self.check_seam(Ending::Open)?;
        }
        self.part = self.parts.next(self.part.take())?;
        (self.record, self.first, self.start) = (0, 0, 0);
        let Some(part) = &self.part else {
            if !self.seam.is_begun() {
                return Ok(false);
            }
            self.seam.finish();
            self.check_seam(if self.is_quoted {
                Ending::OpenQuote
            } else {
                Ending::Cut
            })?;
            self.hand_out_seam();
            return Ok(true);
        };
        self.start = part.ends().start();
        let ends = part.ends().record_end(0).filter(|_| self.seam.is_begun());
        if let Some(end) = ends {
            let ends = &part.ends().offsets()[..end];
            let stop = *ends.last().expect("a record has a cell") as usize;
            self.seam
                .take(part.bytes(), (self.start, stop), ends, self.columns.as_deref());
            self.check_seam(Ending::LineEnd)?;
            self.hand_out_seam();
            (self.record, self.first, self.start) = (1, end, stop + 1);
        }
        Ok(true)
    }

    fn hand_out_seam(&mut self) {
        self.rows += u64::from(self.columns.is_some());
        self.spans.push(Span {
            start: 0,
            first: 0,
            end: self.seam.ends.len(),
        });
    }

    /// Checks the record in the seam. What it finds does not depend on how much of the record is there.
    fn check_seam(&self, ending: Ending) -> Result<(), ReportError> {
        let stop = match (&self.columns, ending) {
            (None, _) => self.seam.covered,
            (Some(_), Ending::Open) => self.seam.bytes.len(),
            (Some(_), _) => self.seam.ends.last().map_or(0, |end| *end as usize),
        };
        self.check((0, stop), &self.seam.ends, ending)
    }

    /// Checks a record, whole or under way up to `stop`, against the header.
    fn check(&self, (start, stop): (usize, usize), ends: &[u32], ending: Ending) -> Result<(), ReportError> {
        let is_long = stop - start > MAX_CELL_BYTES;
        let Some(columns) = &self.columns else {
            return match ending {
                _ if is_long => Err(ReportError::HeaderTooLong),
                Ending::OpenQuote => Err(ReportError::UnclosedQuote { row: 0 }),
                _ => Ok(()),
            };
        };
        let (row, cells) = (self.rows + 1, ends.len());
        if is_long {
            let ends = ends.iter().map(|end| *end as usize);
            let mut from = start;
            for (end, is_read) in ends.chain((ending == Ending::Open).then_some(stop)).zip(columns) {
                if *is_read && end.saturating_sub(from) > MAX_CELL_BYTES {
                    return Err(ReportError::CellTooLong { row });
                }
                from = end + 1;
            }
        }
        let columns = columns.len();
        match ending {
            _ if cells > columns => Err(ReportError::RowTooLong { row, columns }),
            Ending::OpenQuote => Err(ReportError::UnclosedQuote { row }),
            Ending::Open => Ok(()),
            _ if cells == columns => Ok(()),
            Ending::Cut => Err(ReportError::CutRow { row, cells, columns }),
            Ending::LineEnd => Err(ReportError::RowTooShort { row, cells, columns }),
        }
    }
}

/// Whether a column is read; the header's all are.
fn is_read(columns: Option<&[bool]>, column: usize) -> bool {
    columns.is_none_or(|columns| columns.get(column).copied().unwrap_or(false))
}
