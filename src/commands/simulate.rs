//! `wiz-context simulate`: both neighbours as servers, to rehearse with before real accounts are used.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::clock::Clock;
use crate::shutdown::Shutdown;
use crate::simulator::{GeneratorSettings, Header, Simulator, SimulatorSettings};

/// Serve Wiz and Fusion, both simulated, to rehearse with
///
/// Prints the settings of a service that is to use them and the body of an integration, and goes on until ctrl-c. With
/// `--write-report` it writes a made-up report to a file instead.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// The name and port under which the service reaches the simulator, when that is not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    pub public_host: Option<String>,
    /// A vulnerability report (CSV, plain or gzip) to make reports of, instead of a generated one
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where the randomness of the generated report begins
    #[arg(long, default_value_t = GeneratorSettings::default().seed)]
    pub seed: u64,
    /// How many findings the generated report has
    #[arg(long, default_value_t = GeneratorSettings::default().findings)]
    pub findings: u64,
    /// How many assets they are on
    #[arg(long, default_value_t = GeneratorSettings::default().assets, value_parser = clap::value_parser!(u64).range(1..))]
    pub assets: u64,
    /// How many days have passed: each changes about one finding in fifty
    #[arg(long, default_value_t = 0)]
    pub day: u64,
    /// The columns of a report for which none are selected
    #[arg(long, value_enum, default_value_t)]
    pub header: Header,
    /// How many seconds Wiz takes to make a report
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub report_seconds: u64,
    /// How many seconds tokens last, Wiz's and Fusion's; by default as long as the real ones
    #[arg(long, value_name = "SECONDS")]
    pub token_seconds: Option<u64>,
    /// How many seconds the address of a report file lasts
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    pub url_seconds: u64,
    /// Write the generated report to a file (`-`: standard output) and do nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "report")]
    pub write_report: Option<PathBuf>,
    /// Compress what `--write-report` writes
    #[arg(long, requires = "write_report")]
    pub gzip: bool,
}

impl SimulateArgs {
    fn generator(&self) -> GeneratorSettings {
        GeneratorSettings {
            seed: self.seed,
            findings: self.findings,
            assets: self.assets,
            day: self.day,
            header: self.header,
        }
    }

    fn settings(&self) -> SimulatorSettings {
        let usual = SimulatorSettings::default();
        let token_life = self.token_seconds.map(Duration::from_secs);
        SimulatorSettings {
            listen: self.listen,
            public_host: self.public_host.clone(),
            generator: self.generator(),
            report_duration: Duration::from_secs(self.report_seconds),
            wiz_token_life: token_life.unwrap_or(usual.wiz_token_life),
            fusion_token_life: token_life.unwrap_or(usual.fusion_token_life),
            url_life: Duration::from_secs(self.url_seconds),
            ..usual
        }
    }
}

/// Serves both neighbours until shutdown begins, or writes the report.
///
/// # Errors
/// When the address cannot be listened on, or a file cannot be read or written.
pub async fn run(args: SimulateArgs, clock: Clock, shutdown: Shutdown) -> anyhow::Result<()> {
    if let Some(path) = args.write_report.clone() {
        let write = move || write_report(&args.generator(), &path, args.gzip);
        return tokio::task::spawn_blocking(write).await?;
    }
    let simulator = Simulator::start(args.settings(), clock, &shutdown)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    if let Some(path) = &args.report {
        let csv = tokio::fs::read(path).await;
        let csv = csv.with_context(|| format!("cannot read {}", path.display()))?;
        simulator
            .try_serve_csv(csv)
            .with_context(|| format!("cannot read {}", path.display()))?;
    }
    io::stdout().write_all(welcome(&simulator).as_bytes())?;
    shutdown.token().cancelled().await;
    Ok(())
}

/// What a person needs to go on with.
fn welcome(simulator: &Simulator) -> String {
    let body = json!({
        "name": "simulated",
        "type": "wiz",
        "enabled": false,
        "updateinterval": 86_400,
        "wiz": {
            "apiendpoint": simulator.api_endpoint(),
            "tokenurl": simulator.token_url(),
            "clientid": simulator.client_id(),
            "clientsecret": simulator.client_secret(),
        },
    });
    format!(
        "# Wiz and Fusion, both simulated, at {base}. The settings of a service that is to use them:\n\
         export NETOSECRET={netosecret}\n\
         export WIZ_CONTEXT_ALLOW_HOSTS={hosts}\n\
         # The body of POST /api/v1/integrations/context:\n\
         {body:#}\n\
         # The labels that Fusion holds: curl {base}/simulator/labels\n\
         # What happened so far:         curl {base}/simulator/state\n\
         # Let a download break off:     curl {base}/simulator/faults -d \
         '{{\"operation\":\"wiz.report_file\",\"effect\":{{\"truncate\":{{\"bytes\":1000}}}}}}'\n",
        base = simulator.base_url(),
        netosecret = simulator.netosecret(),
        hosts = simulator.allow_hosts(),
    )
}

fn write_report(settings: &GeneratorSettings, path: &Path, gzip: bool) -> anyhow::Result<()> {
    let mut out: Box<dyn Write> = if path == Path::new("-") {
        Box::new(io::stdout().lock())
    } else {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Box::new(BufWriter::new(file))
    };
    if gzip {
        let mut encoder = GzEncoder::new(&mut out, Compression::default());
        settings.write(&mut encoder)?;
        encoder.finish()?;
    } else {
        settings.write(&mut out)?;
    }
    out.flush().context("cannot write the report")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn args(line: &str) -> SimulateArgs {
        let words = line.split_whitespace();
        Program::try_parse_from(["simulate"].into_iter().chain(words))
            .unwrap()
            .args
    }

    #[tokio::test]
    async fn the_generated_report_is_written_plain_or_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv.gz");
        let line = format!(
            "--findings 50 --assets 5 --header full49 --gzip --write-report {}",
            path.display()
        );
        run(args(&line), Clock::system(), Shutdown::new()).await.unwrap();
        let mut csv = Vec::new();
        flate2::read::MultiGzDecoder::new(File::open(&path).unwrap())
            .read_to_end(&mut csv)
            .unwrap();
        let settings = GeneratorSettings {
            findings: 50,
            assets: 5,
            header: Header::Full49,
            ..GeneratorSettings::default()
        };
        let mut expected = Vec::new();
        settings.write(&mut expected).unwrap();
        assert_eq!(csv, expected);
    }

    #[tokio::test]
    async fn what_is_printed_tells_how_to_go_on_and_a_given_report_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        std::fs::write(&path, "Name,AssetID,IpAddresses\nCVE-2023-0001,a,10.0.0.1\n").unwrap();
        let shutdown = Shutdown::new();
        let args = args(&format!("--listen 127.0.0.1:0 --report {}", path.display()));
        let simulator = Simulator::start(args.settings(), Clock::system(), &shutdown)
            .await
            .unwrap();
        let text = welcome(&simulator);
        assert!(
            text.contains(&format!("export WIZ_CONTEXT_ALLOW_HOSTS={}", simulator.address())),
            "{text}"
        );
        assert!(
            text.contains(&simulator.netosecret()) && text.contains(&simulator.api_endpoint()),
            "{text}"
        );
        let running = run(args, Clock::system(), shutdown.clone());
        shutdown.begin();
        running.await.unwrap();
    }
}
