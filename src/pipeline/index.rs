//! Where the cells of a CSV end: the first, branchless pass of the scanner.
//!
//! Sixty-four bytes at a time become three bit sets (separators, line ends, quotes), by the widest registers that the
//! processor has. The separators outside of quotes are where cells end; whether a byte lies inside quotes is the parity of
//! the quotes before it. That is what the grammar says as long as quotes only enclose cells and are doubled inside; a block
//! with any other quote is walked byte by byte.
//!
//! The grammar is the one of the `csv` crate: cells end at `,`, records at `\n`, `\r` or `\r\n`; a quote at the start of a
//! cell encloses it, a doubled quote inside is one; what follows a closing quote belongs to the cell as it stands; any
//! other quote is a character like others.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u8x64};

/// The bytes that are looked at together: one bit each in a `u64`.
const BLOCK_BYTES: usize = BLOCK as usize;
const BLOCK: u32 = 64;

/// What may precede the header: the UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the last byte left the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a cell: a quote opens.
    Start,
    /// Within a cell that is not enclosed, or behind the closing quote's follower: a quote is a character.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote that closes, unless another follows.
    Closed,
}

impl Place {
    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, _) | (Self::Start | Self::Closed, b'"') => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// The offsets in a part where cells end, and which of them end records.
#[derive(Debug)]
pub(super) struct CellEnds {
    /// Offsets of the bytes that end a cell; only the first `count` hold. Room for one more block than there can be, since
    /// a block is written in steps of eight.
    offsets: Vec<u32>,
    count: usize,
    /// For each record that ended: how many cells had ended with it.
    records: Vec<u32>,
    /// Where the first record begins.
    start: usize,
    /// Whether the part ends within quotes.
    ends_quoted: bool,
}

impl CellEnds {
    /// Room for the cells of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            offsets: vec![0; bytes + BLOCK_BYTES],
            count: 0,
            records: Vec::new(),
            start: 0,
            ends_quoted: false,
        }
    }

    /// The offsets, in order.
    pub(super) fn offsets(&self) -> &[u32] {
        &self.offsets[..self.count]
    }

    /// How many cells had ended with the record of that number, if it ended here.
    pub(super) fn record_end(&self, record: usize) -> Option<usize> {
        self.records.get(record).map(|end| *end as usize)
    }

    /// Where the first record begins, or goes on.
    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// Whether the part ends within quotes.
    pub(super) const fn ends_quoted(&self) -> bool {
        self.ends_quoted
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "what a processor can do holds only for what is inlined there"
    )]
    fn push(&mut self, mut ends: u64, mut terminators: u64, base: u32) {
        while terminators != 0 {
            let lowest = terminators & terminators.wrapping_neg();
            let up_to = ends & (lowest | (lowest - 1));
            self.records.push(offset(self.count) + up_to.count_ones());
            terminators ^= lowest;
        }
        let count = ends.count_ones() as usize;
        let slots = self.offsets[self.count..].first_chunk_mut::<BLOCK_BYTES>();
        let slots = slots.expect("there is room for a block more than there are bytes");
        // Eight at once: cheaper than a branch that is mispredicted for each block.
        for step in 0..count.div_ceil(8) {
            for slot in 0..8 {
                slots[(step * 8 + slot) % BLOCK_BYTES] = base + ends.trailing_zeros();
                ends &= ends.wrapping_sub(1);
            }
        }
        self.count += count;
    }
}

/// Finds the cells of parts that follow each other.
#[derive(Debug)]
pub(super) struct Indexer {
    /// What the processor can do.
    level: Level,
    place: Place,
    is_first: bool,
}

impl Indexer {
    pub(super) fn new() -> Self {
        Self::of_level(Level::new())
    }

    /// An indexer that asks no more of the processor than that.
    const fn of_level(level: Level) -> Self {
        Self {
            level,
            place: Place::Start,
            is_first: true,
        }
    }

    /// Finds the cells of the next part.
    pub(super) fn index(&mut self, bytes: &[u8], ends: &mut CellEnds) {
        (ends.count, ends.start) = (0, 0);
        ends.records.clear();
        if std::mem::take(&mut self.is_first) && bytes.starts_with(BYTE_ORDER_MARK) {
            // The mark is no part of a cell, so a quote may follow.
            ends.start = BYTE_ORDER_MARK.len();
        }
        let (blocks, rest) = bytes[ends.start..].as_chunks::<BLOCK_BYTES>();
        let place = self.place;
        self.place = dispatch!(self.level, simd => scan_blocks(simd, blocks, place, ends));

        let from = bytes.len() - rest.len();
        let (found, place) = walk(rest, self.place);
        let terminators = set_of(rest, |byte| matches!(byte, b'\n' | b'\r'));
        ends.push(found, terminators & found, offset(from));
        self.place = place;
        ends.ends_quoted = place == Place::Quoted;
    }
}

/// Looks at whole blocks, from a place in the grammar to the next.
#[inline(always)]
fn scan_blocks<S: Simd>(
    simd: S,
    blocks: &[[u8; BLOCK_BYTES]],
    mut place: Place,
    found: &mut CellEnds,
) -> Place {
    const LAST: u64 = 1 << (BLOCK_BYTES - 1);
    let mut base = offset(found.start);
    for block in blocks {
        let sets = Sets::of(simd, block);
        let mut quoted = parity(sets.quotes);
        if place == Place::Quoted {
            quoted = !quoted;
        }
        let (opening, closing) = (sets.quotes & quoted, sets.quotes & !quoted);
        let mut ends = sets.separators & !quoted;
        let openable = (ends | closing) << 1 | u64::from(matches!(place, Place::Start | Place::Closed));
        if opening & !openable == 0 {
            place = match () {
                () if quoted & LAST != 0 => Place::Quoted,
                () if closing & LAST != 0 => Place::Closed,
                () if ends & LAST != 0 => Place::Start,
                () => Place::Plain,
            };
        } else {
            (ends, place) = walk(block, place);
        }
        found.push(ends, sets.terminators & ends, base);
        base += BLOCK;
    }
    place
}

/// An offset within a part, which stays far below 4 GiB.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("parts and read cells have a bounded size")
}

/// The bytes of a block that mean something, as sets of bits.
struct Sets {
    separators: u64,
    terminators: u64,
    quotes: u64,
}

impl Sets {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "what a processor can do holds only for what is inlined there"
    )]
    fn of<S: Simd>(simd: S, block: &[u8; BLOCK_BYTES]) -> Self {
        let bytes = u8x64::from_slice(simd, block);
        let set = |byte: u8| bytes.simd_eq(u8x64::splat(simd, byte)).to_bitmask();
        let terminators = set(b'\n') | set(b'\r');
        Self {
            separators: terminators | set(b','),
            terminators,
            quotes: set(b'"'),
        }
    }
}

/// For each bit, whether an odd number of bits is set up to and with it.
#[inline]
const fn parity(mut bits: u64) -> u64 {
    let mut shift = 1;
    while shift < u64::BITS {
        bits ^= bits << shift;
        shift *= 2;
    }
    bits
}

/// The grammar byte by byte: where cells end in at most a block, and the place behind it.
fn walk(bytes: &[u8], mut place: Place) -> (u64, Place) {
    let mut ends = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let is_end = place != Place::Quoted && matches!(byte, b',' | b'\n' | b'\r');
        ends |= u64::from(is_end) << at;
        place = place.after(*byte);
    }
    (ends, place)
}

/// The bytes, at most a block, of which something holds.
fn set_of(bytes: &[u8], holds: impl Fn(u8) -> bool) -> u64 {
    let bits = bytes
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(holds(*byte)) << at);
    bits.fold(0, |set, bit| set | bit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was found in parts of that size: where cells end in the whole text, the number of records that ended, and
    /// whether the text ends within quotes.
    fn indexed(level: Level, text: &[u8], part_bytes: usize) -> (Vec<u32>, usize, bool) {
        let mut indexer = Indexer::of_level(level);
        let mut ends = CellEnds::new(part_bytes);
        let (mut offsets, mut records) = (Vec::new(), 0);
        for (number, part) in text.chunks(part_bytes).enumerate() {
            indexer.index(part, &mut ends);
            offsets.extend(ends.offsets().iter().map(|end| end + offset(number * part_bytes)));
            records += ends.records.len();
            assert!(
                ends.records.is_sorted() && ends.records.last().is_none_or(|end| *end as usize <= ends.count)
            );
        }
        (offsets, records, ends.ends_quoted())
    }

    /// What this processor can do, and less.
    fn levels() -> Vec<Level> {
        let best = Level::new();
        let mut levels = vec![Level::baseline(), best];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(best.as_avx2().map(Level::Avx2));
            levels.extend(best.as_sse4_2().map(Level::Sse4_2));
        }
        levels
    }

    #[test]
    fn cells_end_at_separators_outside_of_quotes() {
        let best = |text| indexed(Level::new(), text, 1000);
        assert_eq!(
            best(b"a,\"b,\n\"\"c\",d\r\n\ne,f"),
            (vec![1, 10, 12, 13, 14, 16], 3, false)
        );
        assert_eq!(best(b"a\n"), (vec![1], 1, false));
        assert_eq!(best(b"\xef\xbb\xbf\"a,b\",c\n"), (vec![8, 10], 1, false));
        assert_eq!(best(b""), (vec![], 0, false));
        assert!(best(b"a,\"b").2);
    }

    proptest! {
        #[test]
        fn blocks_and_single_bytes_find_the_same_ends(text in "[ab,\"\n\r]{0,400}", part_bytes in 1_usize..300) {
            let text = text.as_bytes();
            let mut place = Place::Start;
            let mut ends = Vec::new();
            for (at, byte) in text.iter().enumerate() {
                let (found, next) = walk(&[*byte], place);
                if found != 0 {
                    ends.push(offset(at));
                }
                place = next;
            }
            let records = ends.iter().filter(|end| text[**end as usize] != b',').count();
            for level in levels() {
                let found = indexed(level, text, part_bytes);
                prop_assert_eq!(&found, &(ends.clone(), records, place == Place::Quoted), "{:?}", level);
            }
        }
    }
}
