//! `demo`: the whole job on the embedded simulator, for a first look.
//!
//! ```text
//! simulator (Wiz, Fusion) ◀─▶ service ◀── portal: Create and Run, progress ──▶ table of what Fusion holds
//! ```

mod portal;
mod progress;
mod table;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::AllowedHosts;
use crate::fusion::FusionAccount;
use crate::shutdown::Shutdown;
use crate::simulator::{GeneratorSettings, Simulator, SimulatorSettings};
use crate::startup;
use portal::Portal;
use progress::ProgressDisplay;
use table::MostVulnerable;

/// How many addresses the demonstration shows.
const SHOWN: usize = 10;

/// The time between two looks at the run.
const LOOK: Duration = Duration::from_millis(200);

/// How long the service may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show the whole job on an embedded simulator of Wiz and Fusion
///
/// Starts both and the service in a temporary folder, makes an integration by Create and Run over HTTP, follows the run,
/// and shows the most vulnerable addresses with the labels that Fusion then holds, and two queries that match them.
/// Needs no settings, and reaches nothing outside of this machine.
#[derive(Args, Clone, Copy, Debug)]
pub struct DemoArgs {
    /// Where the randomness of the made-up report begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many findings the report has
    #[arg(long, default_value_t = 20_000)]
    pub findings: u64,
    /// How many assets they are on
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub assets: u64,
    /// Go on serving afterwards, until ctrl-c, and print calls to go on with
    #[arg(long)]
    pub keep: bool,
}

/// Runs the command.
///
/// # Errors
/// When a part does not start, or the run does not succeed.
pub async fn demo(args: DemoArgs, clock: Clock, shutdown: Shutdown) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let settings = SimulatorSettings {
        generator: GeneratorSettings {
            seed: args.seed,
            findings: args.findings,
            assets: args.assets,
            ..GeneratorSettings::default()
        },
        ..SimulatorSettings::default()
    };
    let simulator = Simulator::start(settings, clock.clone(), &shutdown).await?;
    let mut allowed_hosts = AllowedHosts::default();
    let address = simulator.address();
    allowed_hosts.allow(address.ip().to_string(), Some(address.port()));
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database: format!("sqlite://{}", folder.path().join("demo.db").display()).parse()?,
        fusion: Some(FusionAccount::read(&simulator.netosecret(), &allowed_hosts)?),
        allowed_hosts,
        ..Config::default()
    };
    let service = startup::start(config, clock.clone(), &shutdown).await?;
    let key_file = folder.path().join("admin-key");
    let portal = Portal::new(
        service.address(),
        &std::fs::read_to_string(&key_file)?,
        clock.clone(),
    )?;

    say(&format!(
        "Wiz and Fusion are simulated on {}, the service listens on {}.\n\
         Create and Run of the integration `demo`, for a report of {} findings on {} assets:\n",
        simulator.base_url(),
        portal.base_url(),
        args.findings,
        args.assets
    ))?;
    let (integration, run) = portal.create_and_run(&simulator).await?;
    let run = follow(&portal, &run, &clock).await?;
    if run["state"] != "succeeded" {
        bail!("the run ended as {}: {}", run["state"], run["failure"]["message"]);
    }
    say(&told(&run, &simulator))?;
    if args.keep {
        say(&calls(
            &portal,
            &integration,
            &key_file.display().to_string(),
            &simulator,
            &args,
        ))?;
        shutdown.token().cancelled().await;
    }
    service.stop(PATIENCE).await;
    Ok(())
}

/// Follows a run to its end.
async fn follow(portal: &Portal, run: &str, clock: &Clock) -> anyhow::Result<Value> {
    let mut display = ProgressDisplay::new();
    loop {
        let run = portal.run(run).await?;
        display.show(&run);
        if !run["finished_at"].is_null() {
            display.end();
            return Ok(run);
        }
        clock.sleep(LOOK).await;
    }
}

/// What came of the run.
fn told(run: &Value, simulator: &Simulator) -> String {
    let counts = &run["counts"];
    let labels = simulator.labels();
    let most = MostVulnerable::of(&labels, SHOWN);
    let mut text = format!(
        "\n{} findings count, on {} assets with {} addresses; several assets share {} of them.\n\
         Fusion holds {} pairs of address and context now. The most vulnerable addresses:\n\n{most}\n\
         Queries in Fusion that match them:\n\n  \
         label.ip.cvss_rating == critical || label.ip.cvss_rating == high\n",
        counts["findings"],
        counts["assets"],
        counts["addresses"],
        counts["shared_addresses"],
        labels.len()
    );
    if let Some(cve) = most.newest_cve() {
        writeln!(text, "  label.ip.cve == {cve}").expect("a String takes everything");
    }
    text
}

/// Calls to go on with.
fn calls(
    portal: &Portal,
    integration: &str,
    key_file: &str,
    simulator: &Simulator,
    args: &DemoArgs,
) -> String {
    let (api, wiz) = (portal.base_url(), simulator.base_url());
    let DemoArgs {
        seed,
        findings,
        assets,
        ..
    } = args;
    format!(
        "\nEverything goes on until ctrl-c. In another terminal:\n\n  \
         KEY=$(cat {key_file})\n  \
         curl -sH \"Authorization: Bearer $KEY\" {api}/api/v1/integrations/context/{integration}/status\n  \
         curl -sH \"Authorization: Bearer $KEY\" '{api}/api/v1/integrations/context/{integration}/labels?limit=10'\n\n\
         A day passes in Wiz, and a run follows it:\n\n  \
         curl -sX POST {wiz}/simulator/report -d '{{\"seed\":{seed},\"findings\":{findings},\"assets\":{assets},\"day\":1}}'\n  \
         curl -sX PUT -H \"Authorization: Bearer $KEY\" -H 'Prefer: wait=30' \\\n    \
         {api}/api/v1/integrations/context/{integration}/run\n\n\
         The API in the browser: {api}/docs\n"
    )
}

fn say(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}
