//! `rotate-keys`: seals the stored secrets anew with the first key of the keyring.

use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use zeroize::Zeroizing;

use super::database_args::{DatabaseArgs, EncryptionKeyArgs};
use super::serve::{database_url, encryption_keys};
use crate::clock::Clock;
use crate::config::{Config, WrongSetting};
use crate::key_file::KeyFile;
use crate::store::{Actor, Keyring, Rotation};
use crate::{core_dumps, startup, telemetry};

/// Who does it in the audit log.
const ACTOR: &str = "rotate-keys";

const AFTER_HELP: &str = "\
With --make-key it makes the new key itself, in the file `encryption-key` beside
the database. Where the keys come from WIZ_CONTEXT_ENCRYPTION_KEY, put a new one
in front of the present ones first: new:base64(32 bytes),old:...

The service must be stopped. Older keys open backups from before; take them off
the keyring when you have no use for those any more.";

/// Seal the stored secrets anew with the first key of the keyring, all at once
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct RotateKeysArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    encryption_key: EncryptionKeyArgs,
    /// Make a new key first, in front of those in the file `encryption-key` beside the database
    #[arg(long)]
    make_key: bool,
}

/// Runs the command.
///
/// # Errors
/// When the service runs, a setting is wrong, the database cannot be changed (nothing in it is changed then; a key that was
/// made stays in its file, for the next try), or a secret does not open (the others are sealed anew all the same).
pub fn rotate_keys(args: &RotateKeysArgs, clock: &Clock) -> anyhow::Result<()> {
    // What it opens are secrets in the open, as in the service.
    telemetry::shorten_panics();
    if let Err(error) = core_dumps::forbid() {
        writeln!(
            io::stderr(),
            "core dumps could not be forbidden; one would hold secrets: {error}"
        )?;
    }
    let config = Config {
        database: database_url(&args.database.database_url)?,
        encryption_keys: encryption_keys(&args.encryption_key.encryption_key_file, |name| {
            std::env::var_os(name)
        })?,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rotation = runtime.block_on(rotate(config, args.make_key, clock))?;
    tell(&rotation)?;
    if !rotation.locked_out.is_empty() {
        let names: Vec<_> = rotation
            .locked_out
            .iter()
            .map(|locked| locked.name.as_str())
            .collect();
        bail!(
            "no key opens the stored secrets of: {}. They are as they were; give the key that sealed them, or set their \
             client secrets anew",
            names.join(", ")
        );
    }
    Ok(())
}

async fn rotate(mut config: Config, make_key: bool, clock: &Clock) -> anyhow::Result<Rotation> {
    // Opened with the present keys, so that a new one is made only when these are in order and no service runs.
    let (lock, mut store) = startup::open_existing(&config).await?;
    if make_key {
        if config.encryption_keys.is_some() {
            return Err(WrongSetting::new(
                "--make-key",
                "makes a key in the file `encryption-key` beside the database, but the keys are set elsewhere; put a new one \
                 in front of those yourself",
            )
            .into());
        }
        store.close().await;
        let keyring = add_key(&KeyFile::beside(config.database.path(), "encryption-key"))?;
        config.encryption_keys = Some(Arc::new(keyring));
        let keys = config.encryption_keys.clone().context("was set just now")?;
        store = crate::store::Store::open(config.database.as_str(), keys).await?;
    }
    let rotation = store.rotate_keys(Actor::named(ACTOR), clock.now()).await;
    store.close().await;
    drop(lock);
    Ok(rotation?)
}

/// Puts a new key in front of those of the file.
fn add_key(file: &KeyFile) -> anyhow::Result<Keyring> {
    let present = file
        .read()?
        .with_context(|| format!("the key file {file} is gone"))?;
    let ids: Vec<_> = present
        .split(',')
        .filter_map(|key| Some(key.trim().split_once(':')?.0.to_owned()))
        .collect();
    // Of one more number than there are keys, one is free.
    let id = (1..=ids.len() + 1)
        .rev()
        .map(|number| format!("k{number}"))
        .find(|id| !ids.contains(id))
        .context("there is always another number")?;
    let made = Keyring::generate();
    let (_, key) = made.split_once(':').context("a key has an id")?;
    let text = Zeroizing::new(format!("{id}:{key},{}", *present));
    let keyring = Keyring::read(&text)?;
    file.replace(&text)?;
    Ok(keyring)
}

fn tell(rotation: &Rotation) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let secrets = |number: u64| {
        if number == 1 {
            "1 secret".to_owned()
        } else {
            format!("{number} secrets")
        }
    };
    for (from, number) in &rotation.resealed {
        writeln!(
            out,
            "sealed {} anew, from key {from} to key {}",
            secrets(*number),
            rotation.to
        )?;
    }
    if rotation.unchanged > 0 || rotation.resealed.is_empty() {
        writeln!(
            out,
            "{} had key {} already",
            secrets(rotation.unchanged),
            rotation.to
        )?;
    }
    for locked in &rotation.locked_out {
        writeln!(
            out,
            "left the secret of {} ({}) as it is: {}",
            locked.name, locked.id, locked.error
        )?;
    }
    Ok(())
}
