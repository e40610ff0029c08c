//! From the start to the end of the service.

use anyhow::bail;

use super::ServeArgs;
use crate::clock::Clock;
use crate::shutdown::{PATIENCE, Shutdown};
use crate::{core_dumps, startup, telemetry};

/// Serves until shutdown begins.
///
/// # Errors
/// A [`WrongSetting`](crate::config::WrongSetting), what keeps the service from starting, or the loss of a vital task.
pub async fn run(args: ServeArgs, clock: Clock, shutdown: Shutdown) -> anyhow::Result<()> {
    telemetry::start(&args.log()?)?;
    if let Err(error) = core_dumps::forbid() {
        tracing::warn!(%error, "core dumps could not be forbidden; one would hold secrets");
    }
    let config = args.config(|name| std::env::var_os(name))?;
    let service = startup::start(config, clock, &shutdown).await?;
    shutdown.token().cancelled().await;
    tracing::info!("stopping");
    if service.stop(PATIENCE).await {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped, with work cut off that did not end in time");
    }
    match shutdown.lost_task() {
        Some(task) => {
            bail!("the task `{task}`, which the service cannot do without, ended; the log tells more")
        }
        None => Ok(()),
    }
}
