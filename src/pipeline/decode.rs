//! From the bytes as they came to the bytes of the CSV: plain, or gzip by its magic bytes.
//!
//! Waiting for the source takes some of any report's time, and inflating most of a compressed one's, so both happen on a
//! thread of their own beside the scanner. Finding the cells is the work of whoever has less to do: of that thread for a
//! plain report, of the scanner's for a compressed one.
//!
//! ```text
//! plain   source ─▶ read, index ───▶ ▓▓▓ full parts ─▶ scan, fold
//! gzip    source ─▶ read, inflate ─▶ ▓▓▓ full parts ─▶ index, scan, fold
//!                    ▲                                   │
//!                    └──────────── used parts ◀──────────┘
//! ```

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use flate2::bufread::GzDecoder;

use super::ReportError;
use super::index::Indexer;
use super::part::{Part, Parts, Reading};

/// What a gzip stream begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Compressed bytes that are read at once.
const INPUT_BYTES: usize = 64 << 10;

/// Decoded bytes that change hands at once: enough that the hand-over costs nothing, few enough to stay in the cache.
const PART_BYTES: usize = 256 << 10;

/// Parts that may wait for the scanner.
const PARTS_AHEAD: usize = 2;

/// Hands the decoded parts of `source` to `read`, and whether they come out of gzip. A source that ends within a gzip
/// stream ends in an error there.
///
/// # Errors
/// What `read` returns; errors of the source and of decoding reach it as [`io::Error`]s that [`ReportError`] unwraps.
pub(super) fn decoded<R: Read + Send, T>(
    source: R,
    read: impl FnOnce(Received, bool) -> Result<T, ReportError>,
) -> Result<T, ReportError> {
    let mut source = Source(source);
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    (&mut source)
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut start)?;
    let is_gzip = start == GZIP_MAGIC;
    let source = Cursor::new(start).chain(source);
    let (full, parts) = sync_channel(PARTS_AHEAD);
    let (used, empty) = channel();
    let decode = thread::Builder::new().name("decode".to_owned());
    thread::scope(|scope| {
        let indexer = if is_gzip {
            let reading = Reading::new(Members::new(source), PART_BYTES);
            decode.spawn_scoped(scope, move || pump(reading, None, &full, &empty))?;
            Some(Indexer::new())
        } else {
            let reading = Reading::new(source, PART_BYTES);
            decode.spawn_scoped(scope, move || pump(reading, Some(Indexer::new()), &full, &empty))?;
            None
        };
        read(Received { parts, used, indexer }, is_gzip)
    })
}

/// Marks the errors of the source, so that they are not taken for errors of the gzip stream.
struct Source<R>(R);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => ReportError::Source(error).into_io(),
        })
    }
}

fn is_of_the_source(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(ReportError::Source(_)))
}

/// Inflates the members of a gzip file one after the other. Zeros after the last one are padding; anything else there
/// is an error, because it may be the rest of a report.
struct Members<R: Read>(Option<GzDecoder<BufReader<R>>>);

impl<R: Read> Members<R> {
    fn new(source: R) -> Self {
        Self(Some(GzDecoder::new(BufReader::with_capacity(
            INPUT_BYTES,
            source,
        ))))
    }

    /// Begins the next member; `false` when there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(decoder) = self.0.take() else {
            return Ok(false);
        };
        let mut source = decoder.into_inner();
        loop {
            let ahead = source.fill_buf()?;
            let padding = ahead.iter().take_while(|byte| **byte == 0).count();
            match ahead.get(padding) {
                None if padding == 0 => return Ok(false),
                None => source.consume(padding),
                Some(byte) if *byte == GZIP_MAGIC[0] => {
                    source.consume(padding);
                    self.0 = Some(GzDecoder::new(source));
                    return Ok(true);
                }
                Some(_) => {
                    let problem = "something else follows it".to_owned();
                    return Err(ReportError::BrokenGzip(problem).into_io());
                }
            }
        }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            match decoder.read(buffer) {
                Ok(0) if !buffer.is_empty() => _ = self.advance()?,
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) if is_of_the_source(&error) => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ReportError::CutGzip.into_io());
                }
                Err(error) => return Err(ReportError::BrokenGzip(error.to_string()).into_io()),
            }
        }
        Ok(0)
    }
}

/// Reads part after part and hands them on, until the source ends or nobody wants them any more. Indexes them where an
/// indexer is given.
fn pump(
    mut reading: Reading<impl Read>,
    mut indexer: Option<Indexer>,
    full: &SyncSender<io::Result<Part>>,
    empty: &Receiver<Part>,
) {
    while let Some(mut part) = reading.read(empty.try_recv().ok()).transpose() {
        if let (Ok(part), Some(indexer)) = (&mut part, &mut indexer) {
            part.index(indexer);
        }
        // Nobody left to hear of it means that nobody needs to.
        if full.send(part).is_err() {
            return;
        }
    }
}

/// The parts as they come from the other thread.
pub(super) struct Received {
    parts: Receiver<io::Result<Part>>,
    used: Sender<Part>,
    /// Where they are not indexed yet.
    indexer: Option<Indexer>,
}

impl Parts for Received {
    fn next(&mut self, used: Option<Part>) -> io::Result<Option<Part>> {
        if let Some(used) = used {
            // The other side is gone once the source has ended; then the part is simply dropped.
            _ = self.used.send(used);
        }
        let Ok(part) = self.parts.recv() else {
            return Ok(None);
        };
        let mut part = part?;
        if let Some(indexer) = &mut self.indexer {
            part.index(indexer);
        }
        Ok(Some(part))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read_all(source: impl Read + Send) -> Result<Vec<u8>, ReportError> {
        decoded(source, |mut parts, _| {
            let mut bytes = Vec::new();
            let mut used = None;
            while let Some(part) = parts.next(used)? {
                bytes.extend_from_slice(part.bytes());
                used = Some(part);
            }
            Ok(bytes)
        })
    }

    /// Larger than a few parts, and not all alike.
    fn content() -> Vec<u8> {
        (0..5 * PART_BYTES / 8)
            .flat_map(|number| (number * number).to_le_bytes())
            .collect()
    }

    #[test]
    fn plain_bytes_pass_as_they_are() {
        for content in [&b""[..], b"\x1f", b"\x1fa", b"Name,AssetID", &content()] {
            assert_eq!(read_all(content).unwrap(), content);
        }
    }

    #[test]
    fn all_members_of_a_gzip_file_are_read_and_padding_is_not() {
        let content = content();
        let (start, end) = content.split_at(100_000);
        let mut file = [gzip(start), gzip(b""), gzip(end)].concat();
        assert!(read_all(&file[..]).unwrap() == content);
        file.extend([0; 1000]);
        assert!(read_all(&file[..]).unwrap() == content);
    }

    #[test]
    fn a_gzip_file_that_is_cut_anywhere_is_an_error() {
        let file = [
            gzip(b"Name,AssetID,IpAddresses\n"),
            gzip(b"CVE-2024-0001,a,10.0.0.1\n"),
        ]
        .concat();
        let first_member = gzip(b"Name,AssetID,IpAddresses\n").len();
        for length in (2..file.len()).filter(|length| *length != first_member) {
            let result = read_all(&file[..length]);
            assert!(
                matches!(result, Err(ReportError::CutGzip)),
                "{length}: {result:?}"
            );
        }
    }

    #[test]
    fn a_gzip_file_that_is_damaged_is_an_error() {
        let mut wrong_checksum = gzip(&content());
        let at = wrong_checksum.len() - 8;
        wrong_checksum[at] ^= 1;
        let trailing = [gzip(b"Name"), b"\0more".to_vec()].concat();
        for file in [wrong_checksum, trailing] {
            let result = read_all(&file[..]);
            assert!(matches!(result, Err(ReportError::BrokenGzip(_))), "{result:?}");
        }
    }

    #[test]
    fn an_error_of_the_source_is_told_from_one_of_the_gzip_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let cut = gzip(&content());
        for start in [&b"Name"[..], &cut[..1], &cut[..5], &cut[..1000]] {
            let result = read_all(start.chain(Broken));
            assert!(matches!(result, Err(ReportError::Source(_))), "{result:?}");
        }
    }

    #[test]
    fn a_reader_that_gives_up_does_not_wait_for_the_rest() {
        let result = decoded(io::repeat(b'a'), |_, _| Err::<(), _>(ReportError::Stopped));
        assert!(matches!(result, Err(ReportError::Stopped)));
    }

    #[test]
    fn a_source_is_read_only_a_few_parts_ahead() {
        struct Endless<'a>(&'a AtomicUsize);
        impl Read for Endless<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(b'a');
                self.0.fetch_add(buffer.len(), Ordering::Relaxed);
                Ok(buffer.len())
            }
        }
        let bytes = AtomicUsize::new(0);
        let result = decoded(Endless(&bytes), |mut parts, _| {
            let mut used = None;
            for _ in 0..10 {
                used = parts.next(used)?;
            }
            Err::<(), _>(ReportError::Stopped)
        });
        assert!(matches!(result, Err(ReportError::Stopped)));
        // The parts that were taken, those that wait, and the one that is being filled or waits to wait.
        let parts = bytes.into_inner().div_ceil(PART_BYTES);
        assert!((10..=10 + PARTS_AHEAD + 1).contains(&parts), "{parts}");
    }
}
