//! A part of a report on its way to the scanner: some bytes, and where the cells in them end.
//!
//! Parts follow each other without a gap and go round: the scanner gives back the one it is done with, so that reading a
//! report of any size takes the memory of a few.

use std::io::{self, Read};

use super::index::{CellEnds, Indexer};

/// Some bytes of the report. Only the first `length` of its memory hold any.
#[derive(Debug)]
pub(super) struct Part {
    memory: Vec<u8>,
    length: usize,
    ends: CellEnds,
}

/// Where parts come from.
pub(super) trait Parts {
    /// The next part, indexed; `None` at the end. Takes one that is done with, whose memory is used again.
    ///
    /// # Errors
    /// What the source says. There is no part after an error.
    fn next(&mut self, used: Option<Part>) -> io::Result<Option<Part>>;
}

impl Part {
    /// A part without bytes that holds so many. Its memory is zeroed once, and then used again and again.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            memory: vec![0; bytes],
            length: 0,
            ends: CellEnds::new(bytes),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }

    /// Where its cells and records end.
    pub(super) const fn ends(&self) -> &CellEnds {
        &self.ends
    }

    /// Reads until it is full or the source ends; an error leaves what came before. Returns whether it is full.
    fn fill(&mut self, source: &mut impl Read) -> io::Result<bool> {
        self.length = 0;
        while self.length < self.memory.len() {
            match source.read(&mut self.memory[self.length..]) {
                Ok(0) => return Ok(false),
                Ok(length) => self.length += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Finds its cells; parts come to an indexer in their order.
    pub(super) fn index(&mut self, indexer: &mut Indexer) {
        indexer.index(&self.memory[..self.length], &mut self.ends);
    }
}

/// Parts as they are read from a source, not yet indexed.
pub(super) struct Reading<R> {
    source: R,
    part_bytes: usize,
    /// What the source said when it ended, to be told after the bytes that came before.
    ended: Option<io::Result<()>>,
}

impl<R: Read> Reading<R> {
    pub(super) const fn new(source: R, part_bytes: usize) -> Self {
        Self {
            source,
            part_bytes,
            ended: None,
        }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// What the source says, once.
    pub(super) fn read(&mut self, used: Option<Part>) -> io::Result<Option<Part>> {
        if let Some(ended) = &mut self.ended {
            return std::mem::replace(ended, Ok(())).map(|()| None);
        }
        let mut part = used.unwrap_or_else(|| Part::new(self.part_bytes));
        match part.fill(&mut self.source) {
            Ok(true) => return Ok(Some(part)),
            Ok(false) => self.ended = Some(Ok(())),
            Err(error) => self.ended = Some(Err(error)),
        }
        if part.length > 0 {
            return Ok(Some(part));
        }
        self.read(None)
    }
}

/// Parts that are read and indexed where they are scanned.
#[cfg(any(test, fuzzing))]
pub(super) struct InPlace<R> {
    reading: Reading<R>,
    indexer: Indexer,
}

#[cfg(any(test, fuzzing))]
impl<R: Read> InPlace<R> {
    pub(super) fn new(source: R, part_bytes: usize) -> Self {
        Self {
            reading: Reading::new(source, part_bytes),
            indexer: Indexer::new(),
        }
    }
}

#[cfg(any(test, fuzzing))]
impl<R: Read> Parts for InPlace<R> {
    fn next(&mut self, used: Option<Part>) -> io::Result<Option<Part>> {
        let part = self.reading.read(used)?;
        Ok(part.map(|mut part| {
            part.index(&mut self.indexer);
            part
        }))
    }
}
