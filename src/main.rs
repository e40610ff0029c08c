//! The program: reads its command line and hands over to a command.

use std::future::Future;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wiz_context::behind;
use wiz_context::clock::Clock;
use wiz_context::commands::{
    self, AuditArgs, DemoArgs, HealthArgs, LabelsArgs, RotateKeysArgs, ServeArgs, SimulateArgs,
};
use wiz_context::config::WrongSetting;
use wiz_context::shutdown::{PATIENCE, Shutdown};

/// Keeps the IP context labels of a Netography Fusion account equal to what Wiz knows of its vulnerable assets
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Demo(DemoArgs),
    Labels(LabelsArgs),
    Simulate(SimulateArgs),
    Health(HealthArgs),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    RotateKeys(RotateKeysArgs),
    Audit(AuditArgs),
}

/// As for a flag that does not exist.
const WRONG_USAGE: u8 = 2;

/// Runs a command that goes on until a signal comes.
fn until_a_signal<F>(command: impl FnOnce(Shutdown) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("api")
        .enable_all()
        .build()?;
    let background = behind::runtime()?;
    let done = runtime.block_on(async {
        let shutdown = Shutdown::with_background(background.handle());
        shutdown.watch_signals()?;
        let done = command(shutdown.clone()).await;
        shutdown.finish(PATIENCE).await;
        done
    });
    // A thread that reads or computes cannot be cut off, and must not hold the process.
    background.shutdown_background();
    runtime.shutdown_background();
    done
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => until_a_signal(|shutdown| commands::serve(*args, Clock::system(), shutdown)),
        Command::Demo(args) => until_a_signal(|shutdown| commands::demo(args, Clock::system(), shutdown)),
        Command::Labels(args) => commands::labels(&args),
        Command::Simulate(args) => {
            until_a_signal(|shutdown| commands::simulate(args, Clock::system(), shutdown))
        }
        Command::Health(args) => commands::health(&args),
        Command::Openapi => commands::openapi(),
        Command::RotateKeys(args) => commands::rotate_keys(&args, &Clock::system()),
        Command::Audit(args) => commands::audit(&args),
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
            if error.is::<WrongSetting>() {
                ExitCode::from(WRONG_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
