//! How much less comes over the wire when Wiz is asked only for the columns that are read: sizes of a made-up report with
//! the default columns and with the selected ones, plain and gzip.
//!
//! `cargo run --release --example report_sizes -- 1000000 20000`

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use wiz_context::domain::REPORT_COLUMNS;
use wiz_context::simulator::generator::{Excerpt, Status};
use wiz_context::simulator::{Column, GeneratorSettings, Header};

/// Counts what is written to it.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what is written to it, plain and compressed.
struct Both(Count, GzEncoder<Count>);

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write_all(bytes)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse());
    let settings = GeneratorSettings {
        findings: numbers.next().transpose()?.unwrap_or(1_000_000),
        assets: numbers.next().transpose()?.unwrap_or(20_000),
        ..GeneratorSettings::default()
    };
    let selected: Vec<Column> = REPORT_COLUMNS
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    let open = [Status::Open, Status::InProgress];
    let mut out = io::stdout();
    writeln!(out, "| columns | findings | MB | MB as gzip |\n|---|---|---|---|")?;
    for (name, columns, statuses) in [
        ("the default, 45", Header::Default45.columns(), &Status::ALL[..]),
        ("49, with descriptions", Header::Full49.columns(), &Status::ALL),
        ("the 15 that are read", selected.clone(), &Status::ALL),
        ("the 15 that are read, open ones only", selected, &open),
    ] {
        let mut both = Both(Count(0), GzEncoder::new(Count(0), Compression::default()));
        let excerpt = Excerpt {
            columns: &columns,
            statuses,
            rows: u64::MAX,
        };
        let findings = settings.write_excerpt(excerpt, &mut both)?;
        let (plain, gzip) = (both.0.0, both.1.finish()?.0);
        writeln!(
            out,
            "| {name} | {findings} | {:.1} | {:.1} |",
            megabytes(plain),
            megabytes(gzip)
        )?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for the eye")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
