//! The program: reads its command line and hands over to a command.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use wiz_context::clock::Clock;
use wiz_context::commands::{self, DemoArgs, LabelsArgs, SimulateArgs};
use wiz_context::shutdown::Shutdown;

/// Keeps the IP context labels of a Netography Fusion account equal to what Wiz knows of its vulnerable assets
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(DemoArgs),
    Labels(LabelsArgs),
    Simulate(SimulateArgs),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

/// How long requests under way may take once a signal came.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until a signal comes.
fn simulate(args: SimulateArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown.watch_signals()?;
        let done = commands::simulate(args, Clock::system(), shutdown.clone()).await;
        shutdown.finish(PATIENCE).await;
        done
    })
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => commands::demo(args),
        Command::Labels(args) => commands::labels(&args),
        Command::Simulate(args) => simulate(args),
        Command::Openapi => commands::openapi(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the one line that tells why the program failed"
            )]
            {
                eprintln!("wiz-context: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
