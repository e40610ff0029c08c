//! The service as a whole: its parts made, joined and started in order, and brought to an end.
//!
//! ```text
//!  lock ─▶ socket ─▶ keys, database ─▶ Wiz and Fusion ─▶ workers ─▶ API
//! ```
//!
//! What can fail comes before what begins to work.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_lc_rs::rand;
use axum::Router;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::config::{Config, WrongSetting};
use crate::domain::{AllowedHosts, InstallationName};
use crate::fusion::FusionClient;
use crate::http::{self, AdminKey, ApiSettings, AppState, Notes, UnderWay};
use crate::key_file::KeyFile;
use crate::metrics::Metrics;
use crate::outgoing::{Outgoing, OutgoingError, OutgoingSettings};
use crate::shutdown::Shutdown;
use crate::store::{DatabaseLock, Keyring, LockedOut, Store};
use crate::wiz::WizAccounts;
use crate::worker::{Checker, Desk, FusionTarget, RunSettings, Workers};

/// How long the database may take to close. It takes milliseconds, unless a task that was cut off has not let go of it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// The service while it runs.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    router: Router,
    store: Store,
    store_of_runs: Store,
    shutdown: Shutdown,
    _lock: DatabaseLock,
}

impl Service {
    /// Where the API listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API, for those in the same process who can do without its socket.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// Its database.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Asks all tasks to come to an end and waits for them; after `patience` drops those that are left. Then closes the
    /// database and gives it free. Returns whether all ended by themselves.
    pub async fn stop(self, patience: Duration) -> bool {
        let in_time = self.shutdown.finish(patience).await;
        let closed = tokio::time::timeout(CLOSE_PATIENCE, async {
            self.store_of_runs.close_readers().await;
            self.store.close().await;
        })
        .await;
        in_time && closed.is_ok()
    }
}

/// Starts the service. Its tasks belong to `shutdown`.
///
/// # Errors
/// When another service holds the database, the address cannot be listened on, a key file or the database cannot be used,
/// or the keys do not open the stored secrets; a [`WrongSetting`] when a setting turns out to be wrong.
pub async fn start(config: Config, clock: Clock, shutdown: &Shutdown) -> anyhow::Result<Service> {
    start_with(config, clock, shutdown, None).await
}

/// The same with the HTTP clients of another service where given: making them reads all certificates of the system, which
/// is most of what a start takes.
///
/// # Errors
/// As of [`start`].
pub async fn start_with(
    config: Config,
    clock: Clock,
    shutdown: &Shutdown,
    clients: Option<&Outgoing>,
) -> anyhow::Result<Service> {
    let database = config.database.path();
    let lock = lock(database)?;
    let listener = listen(config.listen).await?;
    let address = listener.local_addr()?;
    let settings = config.clone();
    let store_of_runs = shutdown
        .run_behind(async move { open(&settings).await })
        .await??;
    let store = if shutdown.has_background() {
        store_of_runs.with_own_readers().await?
    } else {
        store_of_runs.clone()
    };
    let admin_key = admin_key(&config, &store).await?;
    let wanted = config.installation.as_ref().map(InstallationName::as_str);
    let installation = store.installation(wanted, clock.now()).await?;

    let allowed = reachable(&config);
    let (desk, metrics) = (Desk::new(), Metrics::new());
    let outgoing = match clients {
        Some(clients) => clients.with(allowed, clock.clone()),
        None => outgoing(&config, allowed, clock.clone())?,
    }
    .counting(metrics.clone());
    let fusion = match config.fusion {
        None => None,
        Some(account) => {
            let key = account.key();
            let client = FusionClient::new(outgoing.clone(), clock.clone(), account);
            let account = store.fusion_account(&key.host, &key.shortname).await?;
            Some(FusionTarget { account, client })
        }
    };
    let told = Told {
        database: std::path::absolute(database)?.display().to_string(),
        installation: installation.clone(),
        fusion: fusion.as_ref().map(|target| target.client.key().to_string()),
    };
    let workers = Workers {
        store: store_of_runs.clone(),
        desk: desk.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        wiz: WizAccounts::new(outgoing, clock.clone(), config.wiz_requests_per_second),
        fusion,
        settings: Arc::new(RunSettings {
            installation,
            policy: config.policy,
            asset_types: config.asset_types,
            max_concurrent: config.max_concurrent_runs.get(),
            hold_removals_percent: config.hold_removals_percent,
            run_timeout: config.run_timeout,
            full_push_every: config.full_push_every.get(),
            push_concurrency: config.push_concurrency.get(),
            retention: config.retention,
        }),
    };
    let app = AppState {
        store: store.clone(),
        desk,
        checker: Checker::new(Workers {
            store: store.clone(),
            ..workers.clone()
        }),
        clock: clock.clone(),
        metrics,
        ending: shutdown.token(),
        tasks: shutdown.clone(),
        notes: Notes::new(),
        under_way: UnderWay::new(),
        audit_checks: Arc::new(Semaphore::new(1)),
        settings: Arc::new(ApiSettings {
            admin_key,
            allowed_hosts: config.allowed_hosts,
            account: workers.fusion.as_ref().map(|target| target.account),
            docs: config.docs,
            requests_per_second: config.api_requests_per_second,
            cors_origins: config.cors_origins,
        }),
    };
    told.tell(address);
    workers.start(&shutdown.behind());
    let (notes, ending) = (app.notes.clone(), shutdown.token());
    shutdown.spawn_vital("notes", notes.write_down(store.clone(), clock.clone(), ending));
    let router = http::router(app);
    shutdown.spawn_vital(
        "http",
        http::serve(listener, router.clone(), clock, shutdown.clone()),
    );
    Ok(Service {
        address,
        router,
        store,
        store_of_runs,
        shutdown: shutdown.clone(),
        _lock: lock,
    })
}

/// What the log says of a start.
struct Told {
    database: String,
    installation: String,
    fusion: Option<String>,
}

impl Told {
    fn tell(&self, address: SocketAddr) {
        let version = env!("CARGO_PKG_VERSION");
        let fusion = self.fusion.as_deref().unwrap_or("not configured");
        let (database, installation) = (&self.database, &self.installation);
        // Scripts wait for this line and read the port from it.
        tracing::info!(%address, version, database, installation, fusion, "listening");
        if self.fusion.is_none() {
            tracing::warn!(
                "NETOSECRET is not set, so EVERY RUN IS A DRY RUN and nothing is sent to Fusion; create an API key in \
                 Fusion and set its NETOSECRET"
            );
        }
    }
}

/// Locks and opens the database of a configuration for a command that changes it; there must be one.
///
/// # Errors
/// When there is none, a service runs on it, or the keys do not open what is stored.
pub(crate) async fn open_existing(config: &Config) -> anyhow::Result<(DatabaseLock, Store)> {
    let database = config.database.path();
    if !database.is_file() {
        bail!(
            "there is no database {}; set WIZ_CONTEXT_DATABASE_URL (--database-url) to the one of the service",
            database.display()
        );
    }
    let lock = lock(database)?;
    Ok((lock, open(config).await?))
}

fn lock(database: &Path) -> anyhow::Result<DatabaseLock> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!(
            "the folder {} of the database does not exist; make it, or set WIZ_CONTEXT_DATABASE_URL to a file elsewhere",
            folder.display()
        );
    }
    Ok(DatabaseLock::acquire(database)?)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; end what listens there, or set WIZ_CONTEXT_LISTEN to another address"
        )
    })
}

/// Opens the database with the keys of the settings, else of the key file, else with new ones. New ones are written down
/// only once it is sure that no other ones are missing.
async fn open(config: &Config) -> anyhow::Result<Store> {
    let database = config.database.path();
    let file = KeyFile::beside(database, "encryption-key");
    let mut made = None;
    let (keyring, source) = if let Some(keyring) = &config.encryption_keys {
        (Arc::clone(keyring), "WIZ_CONTEXT_ENCRYPTION_KEY".to_owned())
    } else if let Some(text) = file.read()? {
        let keyring = Keyring::read(&text).with_context(|| format!("the key file {file} cannot be used"))?;
        (Arc::new(keyring), format!("the key file {file}"))
    } else {
        let text = made.insert(Keyring::generate());
        (Arc::new(Keyring::read(text)?), String::new())
    };
    let opened = Store::open(config.database.as_str(), keyring).await;
    let store = opened.with_context(|| format!("the database {} cannot be opened", database.display()))?;
    let state = store.sealing_state().await?;
    let names: Vec<_> = state
        .locked_out
        .iter()
        .map(|locked| locked.name.as_str())
        .collect();
    let names = names.join(", ");
    match made {
        _ if state.locked_out.is_empty() => {}
        Some(_) => bail!(
            "the key file {file} is gone, and nothing else opens the stored secrets of: {names}. Put the file back from a \
             backup; if it is lost for good, move the database away and create the integrations anew"
        ),
        None if !state.keys_fit => bail!(
            "{source} does not open the stored secrets of: {names}. Give the key that sealed them again; older keys follow \
             the present one after a comma"
        ),
        None => {
            for LockedOut { id, name, error } in &state.locked_out {
                tracing::error!(
                    integration = id,
                    name,
                    %error,
                    "the stored secret of this integration does not open: its runs fail until its client secret is set anew"
                );
            }
        }
    }
    if let Some(text) = made {
        file.create(&text)?;
        tracing::info!(%file, "made a new encryption key; back it up apart from the database, which is useless without it");
    }
    store.adopt_keys().await?;
    Ok(store)
}

/// The admin key of the settings, else of the key file, else a new one; none where a stored key does its work for good.
async fn admin_key(config: &Config, store: &Store) -> anyhow::Result<Option<AdminKey>> {
    if let Some(key) = &config.admin_key {
        return Ok(Some(AdminKey::new(key.expose())));
    }
    let file = KeyFile::beside(config.database.path(), "admin-key");
    if let Some(key) = file.read()? {
        return Ok(Some(AdminKey::new(&key)));
    }
    if store.has_lasting_admin_key().await? {
        tracing::info!(%file, "there is no admin key in the settings or in this file; stored keys of the role `admin` are valid");
        return Ok(None);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).context("the system gives no random bytes")?;
    let key = Zeroizing::new(format!("wck_{}", BASE64_URL_SAFE_NO_PAD.encode(*bytes)));
    file.create(&key)?;
    tracing::info!(%file, "made the first API key");
    Ok(Some(AdminKey::new(&key)))
}

/// The hosts that may be reached beside public ones.
fn reachable(config: &Config) -> AllowedHosts {
    let mut allowed = config.allowed_hosts.clone();
    if let Some(account) = &config.fusion {
        let (host, port) = account.host_and_port();
        allowed.allow(host, Some(port));
    }
    allowed
}

fn outgoing(config: &Config, allowed: AllowedHosts, clock: Clock) -> anyhow::Result<Outgoing> {
    let ca_file = config.ca_file.clone();
    match Outgoing::new(OutgoingSettings { allowed, ca_file }, clock) {
        Err(error @ (OutgoingError::CaFile(..) | OutgoingError::CaContent(..))) => {
            let problem = format!("{:#}", anyhow::Error::new(error));
            Err(WrongSetting::new("WIZ_CONTEXT_CA_FILE", problem).into())
        }
        made => Ok(made?),
    }
}
