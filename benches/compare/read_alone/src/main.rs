//! Reads a file to its end, and inflates it when it is gzip, and does nothing else: what any reader of reports has to do,
//! by the same library as `wiz-context`. Prints the number of bytes. `benches/compare` measures it beside the rest.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use flate2::bufread::GzDecoder;

/// Compressed and decoded bytes at once, as `wiz-context` has them.
const INPUT_BYTES: usize = 64 << 10;
const OUTPUT_BYTES: usize = 256 << 10;

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let is_gzip = path.to_string_lossy().ends_with(".gz");
    let file = File::open(path)?;
    let mut source: Box<dyn Read> = if is_gzip {
        Box::new(GzDecoder::new(BufReader::with_capacity(INPUT_BYTES, file)))
    } else {
        Box::new(file)
    };
    let (mut bytes, mut buffer) = (0_u64, vec![0; OUTPUT_BYTES]);
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            length => bytes += length as u64,
        }
    }
    writeln!(io::stdout(), "{bytes}")?;
    Ok(())
}
