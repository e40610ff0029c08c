//! A generator of vulnerability reports: as many rows as one likes, the same for the same settings, with everything that
//! makes real reports hard to read.
//!
//! Nothing is kept from row to row: assets and advisories are made anew from their numbers whenever a row names them.

mod asset;
mod columns;
mod cve;
mod finding;
mod random;

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

pub use columns::{Column, Header, UnknownColumn};

use finding::Finding;
use random::{Prose, mixed};

/// What report to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorSettings {
    /// Where the randomness begins. Default 1.
    pub seed: u64,
    /// How many findings there are, of any status. Default 3,000.
    pub findings: u64,
    /// How many assets have them. Default 200.
    pub assets: u64,
    /// How many days have passed: each day, about one finding in fifty goes and another one comes. Default 0.
    pub day: u64,
    /// The columns of a report for which none are selected. Default: today's 45.
    pub header: Header,
}

impl Default for GeneratorSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            findings: 3_000,
            assets: 200,
            day: 0,
            header: Header::default(),
        }
    }
}

/// What the status of a finding means, however it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Open; also what says nothing.
    Open,
    /// Being worked on.
    InProgress,
    /// Mended.
    Resolved,
    /// Not to be mended.
    Rejected,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::InProgress, Self::Resolved, Self::Rejected];

    /// Reads a status; case, spaces and underscores do not matter, and any other word is as good as rejected.
    pub fn read(text: &str) -> Self {
        let letters = text.bytes().filter(|byte| !matches!(byte, b' ' | b'_'));
        let is = |word: &str| {
            letters
                .clone()
                .map(|byte| byte.to_ascii_lowercase())
                .eq(word.bytes())
        };
        if is("") || is("open") {
            Self::Open
        } else if is("inprogress") {
            Self::InProgress
        } else if is("resolved") {
            Self::Resolved
        } else {
            Self::Rejected
        }
    }
}

/// A part of a report: which of its columns, and which of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a> {
    /// The columns, in their order.
    pub columns: &'a [Column],
    /// The statuses of the findings that are in it.
    pub statuses: &'a [Status],
    /// The most rows.
    pub rows: u64,
}

impl GeneratorSettings {
    /// Rows change their identity once in so many days.
    const DAYS_OF_A_ROW: u64 = 50;

    /// Writes the full report: every finding, the columns of the header. Returns the number of rows.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn write(&self, out: impl Write) -> io::Result<u64> {
        let columns = self.header.columns();
        let excerpt = Excerpt {
            columns: &columns,
            statuses: &Status::ALL,
            rows: u64::MAX,
        };
        self.write_excerpt(excerpt, out)
    }

    /// Writes a part of the report: its cells are those of the full one. Returns the number of rows.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn write_excerpt(&self, excerpt: Excerpt<'_>, mut out: impl Write) -> io::Result<u64> {
        /// Large enough that calls to `out` do not count, small enough for the cache.
        const BUFFER_BYTES: usize = 64 * 1024;
        let prose = Prose::new(self.seed);
        let (mut buffer, mut cell) = (Vec::with_capacity(BUFFER_BYTES + 8 * 1024), String::new());
        for (at, column) in excerpt.columns.iter().enumerate() {
            push_cell(&mut buffer, at, column.as_str());
        }
        buffer.push(b'\n');
        let mut rows = 0;
        for row in 0..self.findings {
            if rows == excerpt.rows {
                break;
            }
            let finding = Finding::new(self, row);
            if !excerpt.statuses.contains(&finding.status()) {
                continue;
            }
            for (at, column) in excerpt.columns.iter().enumerate() {
                cell.clear();
                finding.cell(*column, &prose, &mut cell);
                push_cell(&mut buffer, at, &cell);
            }
            buffer.push(b'\n');
            rows += 1;
            if buffer.len() >= BUFFER_BYTES {
                out.write_all(&buffer)?;
                buffer.clear();
            }
        }
        out.write_all(&buffer)?;
        out.flush()?;
        Ok(rows)
    }

    /// How many advisories there are to choose from.
    fn advisories(&self) -> u64 {
        (self.findings / 10).clamp(100, 60_000)
    }

    /// Which identity a row has on this day: a number that rises once in fifty days, for each row on another day.
    const fn identity_of(&self, row: u64) -> u64 {
        (self.day + mixed(self.seed ^ row) % Self::DAYS_OF_A_ROW) / Self::DAYS_OF_A_ROW
    }
}

/// Appends a cell, in quotes where it must be.
fn push_cell(row: &mut Vec<u8>, at: usize, cell: &str) {
    if at > 0 {
        row.push(b',');
    }
    let bytes = cell.as_bytes();
    if memchr::memchr3(b'"', b',', b'\n', bytes).is_none() {
        row.extend_from_slice(bytes);
        return;
    }
    row.push(b'"');
    let mut from = 0;
    for quote in memchr::memchr_iter(b'"', bytes) {
        row.extend_from_slice(&bytes[from..=quote]);
        row.push(b'"');
        from = quote + 1;
    }
    row.extend_from_slice(&bytes[from..]);
    row.push(b'"');
}

#[cfg(test)]
mod tests;
