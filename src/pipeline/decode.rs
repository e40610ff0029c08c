//! Plain or gzip: the first two bytes decide.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// The size of the buffers: large enough that a read costs little beside its bytes.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// A report's bytes after decompression, if any. Several gzip members read as one.
pub(super) enum Decoded<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
}

impl<R: Read> Decoded<R> {
    /// Looks at the first bytes of a report and reads on accordingly.
    pub(super) fn new(mut source: R) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        source
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        let is_gzip = magic == GZIP_MAGIC;
        let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(magic).chain(source));
        Ok(if is_gzip {
            Self::Gzip(Box::new(MultiGzDecoder::new(whole)))
        } else {
            Self::Plain(whole)
        })
    }

    pub(super) const fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => {
                // Past the two bytes that were looked at, straight from the source.
                let available = plain.fill_buf()?;
                let taken = available.len().min(buffer.len());
                buffer[..taken].copy_from_slice(&available[..taken]);
                plain.consume(taken);
                Ok(taken)
            }
            Self::Gzip(gzip) => gzip.read(buffer),
        }
    }
}
