//! `audit verify`: whether the audit log is as it was written, without the service.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::database_args::DatabaseArgs;
use super::serve::database_url;
use crate::store::Store;

/// Look at the audit log without the service
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
}

const AFTER_HELP: &str = "\
Reads only, so the service may run meanwhile; the database may also be a copy.
Ends with code 0 when the log is as it was written, and with 1 when it is not,
or the hash of --head is none of its. A log whose beginning was deleted for its
age (WIZ_CONTEXT_AUDIT_RETENTION_DAYS) is as it was written.";

/// Check the chain of the audit log: whether every record is as it was written, and none is missing
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
struct VerifyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A hash that was kept elsewhere and must be one of the log's, such as the head of an earlier check
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the log is not as it was written, or cannot be read.
pub fn audit(args: &AuditArgs) -> anyhow::Result<()> {
    let AuditCommand::Verify(args) = &args.command;
    let database = database_url(&args.database.database_url)?;
    let head = args.head.as_deref().map(str::to_ascii_lowercase);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let path = database.path();
    let verdict = runtime.block_on(Store::verify_audit_of(path, head.as_deref()));
    let verdict = verdict.with_context(|| {
        format!(
            "the audit log of {} cannot be checked; it must be a database that this version's `serve` has opened once",
            path.display()
        )
    })?;
    if let Some(problem) = &verdict.problem {
        let record = verdict
            .first_bad
            .map_or_else(|| "at the beginning".to_owned(), |id| id.to_string());
        bail!(
            "the audit log is not as it was written; the first bad record of {} is {record}: {problem}",
            verdict.records
        );
    }
    if verdict.contains == Some(false) {
        bail!(
            "the hash of --head is none of this log's: records were taken away or written anew, or it is the hash of \
             another log, or of a record that was deleted for its age"
        );
    }
    let mut out = io::stdout().lock();
    write!(out, "valid: {} records, head {}", verdict.records, verdict.head)?;
    if verdict.deleted > 0 {
        write!(out, ", after {} that were deleted for their age", verdict.deleted)?;
    }
    writeln!(out)?;
    Ok(())
}
