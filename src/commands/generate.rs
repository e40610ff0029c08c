//! `generate`: a made-up report, as hard to read as real ones.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::simulator::generator::{GeneratorSettings, Header};

/// Write a made-up vulnerability report
///
/// The same settings give the same report, byte by byte. Use it to try the other commands, or to rehearse with reports of
/// your size.
#[derive(Args, Clone, Debug)]
pub struct GenerateArgs {
    /// The file to write, or `-` for standard output
    pub file: PathBuf,
    /// Where the randomness begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many findings the report has, of any status
    #[arg(long, default_value_t = 3_000)]
    pub findings: u64,
    /// How many assets have them
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub assets: u64,
    /// Which columns the report has
    #[arg(long, value_enum, default_value_t)]
    pub header: HeaderChoice,
    /// Compress with gzip
    #[arg(long)]
    pub gzip: bool,
}

/// Which columns a report has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HeaderChoice {
    /// Today's 45 columns
    #[default]
    Default45,
    /// The 41 columns of older reports, without a score
    Legacy41,
    /// Today's, all scores and the descriptions: 49 columns
    Full49,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be written.
pub fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    let header = match args.header {
        HeaderChoice::Default45 => Header::Default45,
        HeaderChoice::Legacy41 => Header::Legacy41,
        HeaderChoice::Full49 => Header::Full49,
    };
    let GenerateArgs {
        seed,
        findings,
        assets,
        ..
    } = *args;
    let settings = GeneratorSettings {
        seed,
        findings,
        assets,
        header,
        ..GeneratorSettings::default()
    };
    if args.file.as_os_str() == "-" {
        write(settings, args.gzip, io::stdout().lock())?;
    } else {
        write(settings, args.gzip, File::create(&args.file)?)?;
    }
    Ok(())
}

fn write(settings: GeneratorSettings, gzip: bool, out: impl Write) -> io::Result<()> {
    if gzip {
        let mut out = GzEncoder::new(out, Compression::default());
        settings.write(&mut out)?;
        out.finish()?.flush()
    } else {
        let mut out = out;
        settings.write(&mut out)?;
        out.flush()
    }
}
