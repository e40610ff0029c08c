//! The program: reads its command line and hands over to a command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wiz_context::commands::{self, DemoArgs, GenerateArgs, LabelsArgs};

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
    Generate(GenerateArgs),
    Labels(LabelsArgs),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => commands::demo(args),
        Command::Generate(args) => commands::generate(&args),
        Command::Labels(args) => commands::labels(&args),
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
