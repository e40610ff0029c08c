//! Where the cells of a CSV end: the first, branchless pass of the scanner.
//!
//! Sixty-four bytes at a time become three bit sets (separators, line ends, quotes). The separators outside of quotes are
//! where cells end; whether a byte lies inside quotes is the parity of the quotes before it. That is what the grammar says
//! as long as quotes only enclose cells and are doubled inside; a block with any other quote is walked byte by byte.
//!
//! The grammar is the one of the `csv` crate: cells end at `,`, records at `\n`, `\r` or `\r\n`; a quote at the start of a
//! cell encloses it, a doubled quote inside is one; what follows a closing quote belongs to the cell as it stands; any
//! other quote is a character like others.

use wide::u8x16;

/// The bytes that are looked at together: one bit each in a `u64`.
pub(super) const BLOCK_BYTES: usize = 64;

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

/// The offsets where cells end, and which of them end records.
#[derive(Debug)]
pub(super) struct CellEnds {
    /// Offsets of the bytes that end a cell; only the first `count` hold.
    offsets: Vec<u32>,
    count: usize,
    /// For each record that ended: how many cells had ended with it.
    records: Vec<u32>,
    place: Place,
}

impl CellEnds {
    pub(super) const fn new() -> Self {
        Self {
            offsets: Vec::new(),
            count: 0,
            records: Vec::new(),
            place: Place::Start,
        }
    }

    /// The offsets found so far, in order.
    pub(super) fn offsets(&self) -> &[u32] {
        &self.offsets[..self.count]
    }

    /// How many cells had ended with the record of that number, if it ended.
    pub(super) fn record_end(&self, record: usize) -> Option<usize> {
        self.records.get(record).map(|end| *end as usize)
    }

    /// Forgets the records and all cells but the `pending` ones of the record under way, which the caller moved.
    pub(super) fn keep_pending(&mut self, pending: impl ExactSizeIterator<Item = u32>) {
        self.records.clear();
        self.count = pending.len();
        for (slot, offset) in self.offsets.iter_mut().zip(pending) {
            *slot = offset;
        }
    }

    /// Looks at the whole blocks of `bytes` from `from` on and returns where it stopped.
    pub(super) fn scan(&mut self, bytes: &[u8], from: usize) -> usize {
        let (blocks, _) = bytes[from..].as_chunks::<BLOCK_BYTES>();
        // A block is written in steps of eight, so what lies behind the count may be written over.
        self.offsets.resize(
            self.offsets
                .len()
                .max(self.count + (blocks.len() + 1) * BLOCK_BYTES),
            0,
        );
        let mut at = from;
        for block in blocks {
            self.scan_block(block, offset(at));
            at += BLOCK_BYTES;
        }
        at
    }

    /// Looks at the last bytes, fewer than a block, and ends the last record if no line end did; `start` is where the
    /// record under way begins. Returns whether the quotes are closed.
    pub(super) fn finish(&mut self, bytes: &[u8], from: usize, start: usize) -> bool {
        self.offsets
            .resize(self.offsets.len().max(self.count + 2 * BLOCK_BYTES), 0);
        let (ends, place) = walk(&bytes[from..], self.place);
        let terminators = (from..bytes.len())
            .filter(|at| matches!(bytes[*at], b'\n' | b'\r'))
            .fold(0, |set, at| set | 1_u64 << (at - from));
        self.push(ends, terminators & ends, offset(from));
        self.place = place;
        let ended = self.records.last().map_or(0, |end| *end as usize);
        let start = self.offsets[..ended]
            .last()
            .map_or(start, |end| *end as usize + 1);
        if self.count > ended || bytes.len() > start {
            self.offsets[self.count] = offset(bytes.len());
            self.count += 1;
            self.records.push(offset(self.count));
        }
        place != Place::Quoted
    }

    fn scan_block(&mut self, block: &[u8; BLOCK_BYTES], base: u32) {
        let sets = Sets::of(block);
        let mut quoted = parity(sets.quotes);
        if self.place == Place::Quoted {
            quoted = !quoted;
        }
        let (opening, closing) = (sets.quotes & quoted, sets.quotes & !quoted);
        let mut ends = sets.separators & !quoted;
        let openable = (ends | closing) << 1 | u64::from(matches!(self.place, Place::Start | Place::Closed));
        if opening & !openable == 0 {
            const LAST: u64 = 1 << (BLOCK_BYTES - 1);
            self.place = match () {
                () if quoted & LAST != 0 => Place::Quoted,
                () if closing & LAST != 0 => Place::Closed,
                () if ends & LAST != 0 => Place::Start,
                () => Place::Plain,
            };
        } else {
            (ends, self.place) = walk(block, self.place);
        }
        self.push(ends, sets.terminators & ends, base);
    }

    fn push(&mut self, mut ends: u64, mut terminators: u64, base: u32) {
        while terminators != 0 {
            let lowest = terminators & terminators.wrapping_neg();
            let up_to = ends & (lowest | (lowest - 1));
            self.records.push(offset(self.count) + up_to.count_ones());
            terminators ^= lowest;
        }
        let count = ends.count_ones() as usize;
        let slots = self.offsets[self.count..].first_chunk_mut::<BLOCK_BYTES>();
        let slots = slots.expect("scan and finish make room for a block more than there is");
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

/// An offset within the scanner's buffer, which stays far below 4 GiB.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the buffer holds a few cells of bounded size")
}

/// The bytes of a block that mean something, as sets of bits.
struct Sets {
    separators: u64,
    terminators: u64,
    quotes: u64,
}

impl Sets {
    fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        let mut sets = Self {
            separators: 0,
            terminators: 0,
            quotes: 0,
        };
        for (part, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            let terminators = is(b'\n') | is(b'\r');
            let set = |bytes: u8x16| u64::from(bytes.to_bitmask()) << (16 * part);
            sets.separators |= set(terminators | is(b','));
            sets.terminators |= set(terminators);
            sets.quotes |= set(is(b'"'));
        }
        sets
    }
}

/// For each bit, whether an odd number of bits is set up to and with it.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The ends by the fast pass, and the number of records.
    fn scanned(text: &[u8]) -> (Vec<u32>, usize, bool) {
        let mut ends = CellEnds::new();
        let at = ends.scan(text, 0);
        let closed = ends.finish(text, at, 0);
        (ends.offsets().to_vec(), ends.records.len(), closed)
    }

    #[test]
    fn cells_end_at_separators_outside_of_quotes() {
        let (ends, records, closed) = scanned(b"a,\"b,\n\"\"c\",d\r\n\ne,f");
        assert_eq!(ends, [1, 10, 12, 13, 14, 16, 18]);
        assert_eq!((records, closed), (4, true));
        assert_eq!(scanned(b"a\n"), (vec![1], 1, true));
        assert_eq!(scanned(b""), (vec![], 0, true));
        assert!(!scanned(b"a,\"b").2);
    }

    proptest! {
        #[test]
        fn blocks_and_single_bytes_find_the_same_ends(text in "[ab,\"\n\r]{0,400}") {
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
            let (mut fast, _, closed) = scanned(text);
            if !text.is_empty() && fast.last() == Some(&offset(text.len())) {
                fast.pop();
            }
            prop_assert_eq!(fast, ends);
            prop_assert_eq!(closed, place != Place::Quoted);
        }
    }
}
