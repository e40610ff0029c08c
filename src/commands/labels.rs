//! `labels`: a report to the labels it gives, without server or network.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use crate::domain::{Address, AddressFacts, AssetFacts, LabelRecord, Labels, Policy};
use crate::pipeline::{ReportError, label_records, merge_into, read_report};

/// What a part of Fusion's CSV upload may hold.
const MAX_LABELS_PER_PART: usize = Labels::MAX_LABELS;

/// Turn a Wiz vulnerability report into the labels it gives
///
/// Reads a report (CSV, plain or gzip) and writes its label records to standard output, by address (IPv4, then IPv6, by
/// number) and context. A summary goes to standard error. Nothing is sent anywhere.
#[derive(Args, Clone, Debug)]
pub struct LabelsArgs {
    /// The report's file, or `-` for standard input
    pub file: PathBuf,
    /// How the labels are written
    #[arg(long, value_enum, default_value_t)]
    pub format: LabelFormat,
    /// Networks whose addresses get no labels, comma-separated
    #[arg(
        long,
        env = "WIZ_CONTEXT_SKIP_NETWORKS",
        value_delimiter = ',',
        value_name = "NETWORK"
    )]
    pub skip_networks: Vec<IpNet>,
}

/// How labels are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LabelFormat {
    /// One label record a line, as JSON
    #[default]
    Ndjson,
    /// `IP,Context,Label1,…` without a header, as Fusion's upload takes it; an empty line ends a part of 10,000 labels
    Csv,
}

/// What a report came to, for the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelsSummary {
    /// Rows of the report.
    pub rows: u64,
    /// Rows that count.
    pub findings: u64,
    /// Assets with a counting finding.
    pub assets: usize,
    /// Addresses with labels.
    pub addresses: u64,
    /// Addresses that several assets share.
    pub shared_addresses: u64,
    /// Label records, one a pair of address and context.
    pub pairs: u64,
}

/// Runs the command on its file.
///
/// # Errors
/// When the file cannot be read, is no usable report, or the output cannot be written. A reader that closes the pipe is
/// none.
pub fn labels(args: &LabelsArgs) -> anyhow::Result<()> {
    let policy = Policy {
        skip_networks: args.skip_networks.clone(),
        ..Policy::default()
    };
    let out = BufWriter::new(io::stdout().lock());
    let written = if args.file.as_os_str() == "-" {
        labels_of(io::stdin().lock(), &policy, args.format, out, io::stderr())
    } else {
        let file = File::open(&args.file)
            .map_err(|error| anyhow::anyhow!("{} cannot be opened: {error}", args.file.display()))?;
        labels_of(file, &policy, args.format, out, io::stderr())
    };
    match written {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// Writes the labels of a report to `out` and a summary of it to `told`.
///
/// # Errors
/// When the report is not usable, or one of the two cannot be written.
pub fn labels_of(
    report: impl Read,
    policy: &Policy,
    format: LabelFormat,
    mut out: impl Write,
    mut told: impl Write,
) -> anyhow::Result<LabelsSummary> {
    let mut facts = read_report(report, policy, &mut |_| ControlFlow::Continue(())).map_err(explain)?;
    let (skipped, warnings) = (
        std::mem::take(&mut facts.skipped),
        std::mem::take(&mut facts.warnings),
    );
    let mut summary = LabelsSummary {
        rows: facts.rows,
        findings: facts.findings,
        assets: facts.assets(),
        addresses: 0,
        shared_addresses: 0,
        pairs: 0,
    };
    let assets: Vec<_> = facts.into_assets().collect();
    let mut writer = RecordWriter {
        format,
        labels_in_part: 0,
    };
    for (ip, merged, carriers) in by_address(&assets) {
        summary.addresses += 1;
        summary.shared_addresses += u64::from(carriers > 1);
        for record in label_records(ip, &merged) {
            summary.pairs += 1;
            writer.write(&record, &mut out)?;
        }
    }
    out.flush()?;
    let LabelsSummary {
        rows,
        findings,
        assets,
        addresses,
        shared_addresses,
        pairs,
    } = &summary;
    writeln!(told, "{rows} rows, {findings} counting findings, {assets} assets")?;
    writeln!(
        told,
        "{addresses} addresses ({shared_addresses} shared by several assets), {pairs} label records"
    )?;
    for (reason, number) in skipped {
        writeln!(told, "skipped {number}: {reason}")?;
    }
    for warning in warnings {
        writeln!(told, "warning: {}", warning.message)?;
    }
    Ok(summary)
}

/// The addresses of assets in their order, each with its merged facts and how many assets carry it.
pub(super) fn by_address(assets: &[AssetFacts]) -> impl Iterator<Item = (Address, AddressFacts, usize)> + '_ {
    let mut carriers: Vec<(Address, u32)> = Vec::new();
    for (at, asset) in assets.iter().enumerate() {
        let at = u32::try_from(at).expect("a report has less than four thousand million assets");
        carriers.extend(asset.addresses.iter().map(|ip| (*ip, at)));
    }
    carriers.sort_unstable();
    let mut next = 0;
    std::iter::from_fn(move || {
        let (ip, _) = *carriers.get(next)?;
        let first = next;
        let mut facts = AddressFacts::default();
        while let Some((_, at)) = carriers.get(next).filter(|(carried, _)| *carried == ip) {
            let asset = &assets[*at as usize];
            merge_into(&mut facts, asset.findings, asset.score, asset.rating, &asset.cves);
            next += 1;
        }
        Some((ip, facts, next - first))
    })
}

struct RecordWriter {
    format: LabelFormat,
    labels_in_part: usize,
}

impl RecordWriter {
    fn write(&mut self, record: &LabelRecord, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            LabelFormat::Ndjson => {
                serde_json::to_writer(&mut *out, record)?;
                writeln!(out)
            }
            LabelFormat::Csv => {
                let labels = record.labels.len();
                if self.labels_in_part > 0 && self.labels_in_part + labels > MAX_LABELS_PER_PART {
                    self.labels_in_part = 0;
                    writeln!(out)?;
                }
                self.labels_in_part += labels;
                write!(out, "{},{}", record.pair.ip, record.pair.context)?;
                for label in record.labels.iter() {
                    // No character of a label needs quotes in CSV.
                    write!(out, ",{label}")?;
                }
                writeln!(out)
            }
        }
    }
}

fn explain(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::Source(source) => {
            anyhow::Error::new(source).context("the report cannot be read to its end")
        }
        error => error.into(),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .and_then(serde_json::Error::io_error_kind)
                == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Name,Severity,Score,AssetID,IpAddresses\n\
        CVE-2023-0123,Critical,9.8,vm-1,\"10.0.0.9, 2001:db8::1\"\n\
        CVE-2023-0124,Low,2.0,vm-2,10.0.0.9\n\
        GHSA-c9cp-9c75-9v8c,,,vm-3,9.0.0.1\n";

    fn written(format: LabelFormat) -> (String, String) {
        let (mut out, mut told) = (Vec::new(), Vec::new());
        labels_of(REPORT.as_bytes(), &Policy::default(), format, &mut out, &mut told).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(told).unwrap())
    }

    #[test]
    fn records_come_by_address_and_context() {
        let (out, told) = written(LabelFormat::Ndjson);
        let expected = [
            r#"{"ip":"9.0.0.1","context":"vuln_count","labels":["1"]}"#,
            r#"{"ip":"10.0.0.9","context":"cve","labels":["CVE-2023-0123"]}"#,
            r#"{"ip":"10.0.0.9","context":"cvss_rating","labels":["critical"]}"#,
            r#"{"ip":"10.0.0.9","context":"cvss_score","labels":["9.8"]}"#,
            r#"{"ip":"10.0.0.9","context":"vuln_count","labels":["2"]}"#,
            r#"{"ip":"2001:db8::1","context":"cve","labels":["CVE-2023-0123"]}"#,
            r#"{"ip":"2001:db8::1","context":"cvss_rating","labels":["critical"]}"#,
            r#"{"ip":"2001:db8::1","context":"cvss_score","labels":["9.8"]}"#,
            r#"{"ip":"2001:db8::1","context":"vuln_count","labels":["1"]}"#,
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), expected);
        assert!(
            told.contains("3 addresses (1 shared by several assets), 9 label records"),
            "{told}"
        );
    }

    #[test]
    fn the_csv_is_what_fusions_upload_takes() {
        let (out, _) = written(LabelFormat::Csv);
        assert_eq!(out.lines().nth(1), Some("10.0.0.9,cve,CVE-2023-0123"));
    }
}
