//! From the bytes as they came to the bytes of the CSV: plain, or gzip by its magic bytes.
//!
//! Inflating takes most of a compressed report's time, so it runs on a thread of its own beside the scanner:
//!
//! ```text
//! source ─▶ inflate ─▶ ▓▓▓ full chunks ─▶ scanner
//!              ▲                             │
//!              └───────── empty chunks ◀─────┘
//! ```

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use flate2::bufread::GzDecoder;

use super::ReportError;

/// What a gzip stream begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Compressed bytes that are read at once.
const INPUT_BYTES: usize = 64 << 10;

/// Inflated bytes that change hands at once: enough that the hand-over costs nothing, few enough to stay in the cache.
const CHUNK_BYTES: usize = 256 << 10;

/// Chunks that may wait for the scanner.
const CHUNKS_AHEAD: usize = 2;

/// Hands the decoded bytes of `source` to `read`. A source that ends within a gzip stream ends in an error there.
///
/// # Errors
/// What `read` returns; errors of the source and of decoding reach it as [`io::Error`]s that [`ReportError`] unwraps.
pub(super) fn decoded<R: Read + Send, T>(
    source: R,
    read: impl FnOnce(&mut dyn Read) -> Result<T, ReportError>,
) -> Result<T, ReportError> {
    let mut source = Source(source);
    let mut start = Vec::with_capacity(GZIP_MAGIC.len());
    (&mut source)
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut start)?;
    let is_gzip = start == GZIP_MAGIC;
    let mut source = Cursor::new(start).chain(source);
    if !is_gzip {
        return read(&mut source);
    }
    thread::scope(|scope| {
        let (full, chunks) = sync_channel(CHUNKS_AHEAD);
        let (used, empty) = channel();
        thread::Builder::new()
            .name("inflate".to_owned())
            .spawn_scoped(scope, move || pump(Members::new(source), &full, &empty))?;
        let mut chunks = Chunks {
            chunks,
            used,
            chunk: Vec::new(),
            at: 0,
        };
        read(&mut chunks)
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
                Err(error) if error.get_ref().is_some_and(|inner| inner.is::<ReportError>()) => {
                    return Err(error);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ReportError::CutGzip.into_io());
                }
                Err(error) => return Err(ReportError::BrokenGzip(error.to_string()).into_io()),
            }
        }
        Ok(0)
    }
}

/// Reads chunk after chunk and hands them on, until the source ends or nobody wants them any more.
fn pump(mut source: impl Read, full: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut chunk = empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(CHUNK_BYTES));
        chunk.clear();
        let ended = (&mut source).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        let is_last = chunk.is_empty() || ended.is_err();
        if !chunk.is_empty() && full.send(Ok(chunk)).is_err() {
            return;
        }
        if let Err(error) = ended {
            // Nobody left to hear of it means that nobody needs to.
            _ = full.send(Err(error));
        }
        if is_last {
            return;
        }
    }
}

/// The chunks as one stream again.
struct Chunks {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let Ok(chunk) = self.chunks.recv() else {
                return Ok(0);
            };
            let used = std::mem::replace(&mut self.chunk, chunk?);
            self.at = 0;
            if used.capacity() > 0 {
                // The other side is gone once the source has ended; then the chunk is simply dropped.
                _ = self.used.send(used);
            }
        }
        let length = (&self.chunk[self.at..]).read(buffer)?;
        self.at += length;
        Ok(length)
    }
}
