//! The CSV scanner: records of borrowed cells from a stream of bytes.
//!
//! Cells that nobody reads are never copied, looked at or kept; a record that is split anywhere between two reads is put
//! together from the parts that matter. The buffer therefore stays small whatever the size of cells, rows and file.
//!
//! A record must have as many cells as the header: a misplaced quote or comma would shift the cells behind it, and labels
//! would be written by the wrong columns. Lines without any character are no records.

use std::borrow::Cow;
use std::io::{self, Read};

use super::error::{MAX_CELL_BYTES, ReportError};
use super::index::{BLOCK_BYTES, CellEnds, offset};

/// The buffer's size at first: it and its offsets stay in a core's own cache.
const BUFFER_BYTES: usize = 128 << 10;

/// What may precede the header: the UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads records from a stream.
pub(super) struct Scanner<R> {
    source: R,
    buffer: Vec<u8>,
    /// How much of the buffer holds bytes, and how much of that was looked at.
    filled: usize,
    indexed: usize,
    ends: CellEnds,
    /// The next record by its number in `ends`, its first cell there, and its first byte.
    record: usize,
    first: usize,
    start: usize,
    /// Which columns are read; `None` until the header is.
    columns: Option<Vec<bool>>,
    rows: u64,
    /// Where the records are that were handed out last.
    spans: Vec<Span>,
    ended: bool,
    ending: Ending,
}

/// Where a record is: its first byte, and its cells among all cells.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    first: usize,
    end: usize,
}

/// How the last record ends; known when the source has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    LineEnd,
    Cell,
    OpenQuote,
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

/// A record: its cells, as they stand in the buffer.
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

impl<R: Read> Scanner<R> {
    pub(super) fn new(source: R) -> Self {
        Self::with_buffer(source, BUFFER_BYTES)
    }

    /// With a buffer of another size at first.
    pub(super) fn with_buffer(source: R, buffer_bytes: usize) -> Self {
        Self {
            source,
            buffer: vec![0; buffer_bytes.max(4 * BLOCK_BYTES)],
            filled: 0,
            indexed: 0,
            ends: CellEnds::new(),
            record: 0,
            first: 0,
            start: 0,
            columns: None,
            rows: 0,
            spans: Vec::new(),
            ended: false,
            ending: Ending::LineEnd,
        }
    }

    /// How large the buffer is by now.
    #[cfg(test)]
    pub(super) const fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Reads the names of the columns; `choose` says which of them are to be read.
    ///
    /// # Errors
    /// When there is no header, it is no header, or `choose` refuses it.
    pub(super) fn header<T>(
        &mut self,
        choose: impl FnOnce(Record<'_>) -> Result<(T, Vec<bool>), ReportError>,
    ) -> Result<T, ReportError> {
        self.fill()?;
        if self.buffer[..self.filled].starts_with(BYTE_ORDER_MARK) {
            // The mark is no part of a cell, so a quote may follow: the index begins behind it.
            (self.start, self.indexed) = (BYTE_ORDER_MARK.len(), BYTE_ORDER_MARK.len());
        }
        self.index();
        let (chosen, columns) = choose(self.read_records(1)?.iter().next().ok_or(ReportError::Empty)?)?;
        self.columns = Some(columns);
        Ok(chosen)
    }

    /// The next records, at least one and at most `limit`; none at the end.
    ///
    /// # Errors
    /// When the source fails, or a record is none; the scanner is of no use then.
    pub(super) fn read_records(&mut self, limit: usize) -> Result<Records<'_>, ReportError> {
        self.spans.clear();
        while self.spans.is_empty() {
            while self.spans.len() < limit
                && let Some(end) = self.ends.record_end(self.record)
            {
                let stop = self.ends.offsets()[end - 1] as usize;
                let span = Span {
                    start: self.start,
                    first: self.first,
                    end,
                };
                (self.record, self.first, self.start) = (self.record + 1, end, stop + 1);
                let is_blank = span.end - span.first == 1 && stop == span.start;
                if !is_blank {
                    self.check(span, stop, true)?;
                    self.rows += u64::from(self.columns.is_some());
                    self.spans.push(span);
                }
            }
            if self.spans.is_empty() {
                if self.ended {
                    break;
                }
                self.keep_pending()?;
                self.fill()?;
                self.index();
            }
        }
        Ok(Records {
            bytes: &self.buffer,
            ends: self.ends.offsets(),
            spans: &self.spans,
        })
    }

    /// Reads until the buffer is full or the source ends.
    fn fill(&mut self) -> Result<(), ReportError> {
        while self.filled < self.buffer.len() {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Finds the cells of what was read.
    fn index(&mut self) {
        let bytes = &self.buffer[..self.filled];
        self.indexed = self.ends.scan(bytes, self.indexed);
        if self.ended {
            let closed = self.ends.finish(bytes, self.indexed, self.start);
            self.ending = match self.ends.offsets().last() {
                _ if !closed => Ending::OpenQuote,
                Some(end) if *end as usize == self.filled => Ending::Cell,
                _ => Ending::LineEnd,
            };
        }
    }

    /// Moves the record under way to the front of the buffer, without the cells that nobody reads, and makes room
    /// behind it.
    fn keep_pending(&mut self) -> Result<(), ReportError> {
        let pending = Span {
            start: self.start,
            first: self.first,
            end: self.ends.offsets().len(),
        };
        self.check(pending, self.indexed, false)?;
        let pending = self.ends.offsets()[self.first..].to_vec();
        let (mut from, mut to) = (self.start, 0);
        let mut moved = Vec::with_capacity(pending.len());
        for (column, end) in pending.into_iter().enumerate() {
            let end = end as usize;
            if is_read(self.columns.as_deref(), column) {
                self.buffer.copy_within(from..end, to);
                to += end - from;
            }
            moved.push(offset(to));
            to += 1;
            from = end + 1;
        }
        if !is_read(self.columns.as_deref(), moved.len()) && self.indexed > from {
            // One byte stays, so that a line with a single cell that is not read does not look blank.
            self.buffer.copy_within(from..=from, to);
            to += 1;
            from = self.indexed;
        }
        self.buffer.copy_within(from..self.filled, to);
        self.indexed = to + self.indexed - from;
        self.filled = to + self.filled - from;
        self.ends.keep_pending(moved.into_iter());
        (self.record, self.first, self.start) = (0, 0, 0);
        if self.filled > self.buffer.len() / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        Ok(())
    }

    /// Checks a record, whole or under way up to `stop`, against the header. What it finds does not depend on how much of
    /// the record is there.
    fn check(&self, span: Span, stop: usize, whole: bool) -> Result<(), ReportError> {
        let Span { start, first, end } = span;
        let is_long = stop - start > MAX_CELL_BYTES;
        let is_last = whole && end == self.ends.offsets().len();
        let ending = if is_last { self.ending } else { Ending::LineEnd };
        let Some(columns) = &self.columns else {
            return match ending {
                _ if is_long => Err(ReportError::HeaderTooLong),
                Ending::OpenQuote => Err(ReportError::UnclosedQuote { row: 0 }),
                Ending::Cell | Ending::LineEnd => Ok(()),
            };
        };
        let (row, cells) = (self.rows + 1, end - first);
        if is_long {
            let ends = self.ends.offsets()[first..end].iter().map(|end| *end as usize);
            let mut from = start;
            for (end, is_read) in ends.chain((!whole).then_some(stop)).zip(columns) {
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
            _ if cells == columns || !whole => Ok(()),
            Ending::Cell => Err(ReportError::CutRow { row, cells, columns }),
            Ending::LineEnd => Err(ReportError::RowTooShort { row, cells, columns }),
        }
    }
}

/// Whether a column is read; the header's all are.
fn is_read(columns: Option<&[bool]>, column: usize) -> bool {
    columns.is_none_or(|columns| columns.get(column).copied().unwrap_or(false))
}
