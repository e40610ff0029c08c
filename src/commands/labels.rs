//! `labels`: a report to the labels it gives, without server or network.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use crate::domain::{LabelRecord, Labels, Policy};
use crate::pipeline::{ReportError, label_records, read_report};

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
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true
    )]
    pub skip_networks: SkipNetworks,
}

/// The networks of one setting, separated by commas; empty means none, as where a container's settings leave it blank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkipNetworks(pub Vec<IpNet>);

impl FromStr for SkipNetworks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Policy::read_skip_networks(text).map(Self)
    }
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
        skip_networks: args.skip_networks.0.clone(),
        ..Policy::default()
    };
    let out = BufWriter::new(io::stdout().lock());
    let written = if args.file.as_os_str() == "-" {
        labels_of(io::stdin(), &policy, args.format, out, io::stderr())
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
    report: impl Read + Send,
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
    let mut writer = RecordWriter {
        format,
        labels_in_part: 0,
    };
    let mut addresses = facts.into_addresses();
    for address in &mut addresses {
        for record in label_records(address.ip, &address.facts) {
            summary.pairs += 1;
            writer.write(&record, &mut out)?;
        }
    }
    (summary.addresses, summary.shared_addresses) = (addresses.addresses(), addresses.shared());
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
    fn networks_are_skipped_by_one_setting_that_may_be_empty() {
        use clap::Parser;
        #[derive(Parser)]
        struct Command {
            #[command(flatten)]
            labels: LabelsArgs,
        }
        let networks = |arguments: &[&str]| {
            let command = Command::try_parse_from(["labels", "-"].iter().chain(arguments));
            command.map(|command| command.labels.skip_networks.0.len())
        };
        assert_eq!(networks(&["--skip-networks", ""]).unwrap(), 0);
        assert_eq!(
            networks(&["--skip-networks", "10.0.0.0/8, 2001:db8::/32"]).unwrap(),
            2
        );
        assert!(networks(&["--skip-networks", "home"]).is_err());
    }

    #[test]
    fn the_csv_comes_in_parts_that_fusion_takes() {
        let rows = (0..12_000).map(|at| format!("x,{at},10.1.{}.{},Low\n", at / 200, at % 200 + 1));
        let report = format!("Name,AssetID,IpAddresses,Severity\n{}", rows.collect::<String>());
        let mut out = Vec::new();
        let (policy, told) = (Policy::default(), io::sink());
        labels_of(report.as_bytes(), &policy, LabelFormat::Csv, &mut out, told).unwrap();
        let out = String::from_utf8(out).unwrap();
        let parts: Vec<_> = out.split("\n\n").map(|part| part.lines().count()).collect();
        assert_eq!(parts, [10_000, 10_000, 4_000]);
    }

    #[test]
    fn the_csv_is_what_fusions_upload_takes() {
        let (out, _) = written(LabelFormat::Csv);
        assert_eq!(out.lines().nth(1), Some("10.0.0.9,cve,CVE-2023-0123"));
    }
}
