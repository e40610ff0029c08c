//! Opening the database, and the two ways into it: many readers, one writer.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqlitePool as Pool, Transaction};
use tokio::sync::Mutex;

use super::write::Write;
use super::{AuditVerdict, Keyring, StoreError, audit_chain};

/// Every migration, in order. A test walks them; what is listed here is never edited again.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../../migrations/0001_initial.sql")),
    (
        2,
        "holds_and_plans",
        include_str!("../../migrations/0002_holds_and_plans.sql"),
    ),
    (
        3,
        "keys_and_audit_chain",
        include_str!("../../migrations/0003_keys_and_audit_chain.sql"),
    ),
    (
        4,
        "short_transactions",
        include_str!("../../migrations/0004_short_transactions.sql"),
    ),
];

/// The first SQLite without the bug that can corrupt a database when its WAL is reset, as `major * 10⁶ + minor * 10³ + patch`.
const MIN_SQLITE: i64 = 3_051_003;

/// Readers beside the writer: enough for the API on two cores while a run reads its plan.
const READERS: u32 = 4;

/// How long a connection waits for another process's lock, a backup's for instance.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a writer waits for those before it.
const WRITER_TIMEOUT: Duration = Duration::from_mins(2);

/// The service's database. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) readers: Pool,
    reading: Arc<SqliteConnectOptions>,
    writer: Pool,
    pub(super) keyring: Arc<Keyring>,
    /// Of who works arrears off.
    pub(super) arrears: Arc<Mutex<()>>,
}

/// Whether a connection is tried out before each use, which takes a turn through its thread. Nothing can happen to it while it
/// rests: it leads to a file, and no other end could hang up. After each use it is tried out all the same, which also ends
/// what a dropped call left unfinished; one that fails is closed.
const TEST_BEFORE_USE: bool = false;

impl Store {
    /// Opens the database of a URL (`sqlite://wiz-context.db`), makes it where there is none, and brings it up to date.
    ///
    /// # Errors
    /// When the URL is none of SQLite's, the file cannot be used, its migrations are not a beginning of this version's
    /// (a newer version wrote it), or SQLite is too old.
    pub async fn open(url: &str, keyring: impl Into<Arc<Keyring>>) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Not even a power cut may lose a commit: a pair marked in doubt whose mark is lost would be a label that
            // nobody removes any more.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("temp_store", "MEMORY");
        make_private(options.get_filename())?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(TEST_BEFORE_USE)
            // For good: its thread has the priority of whoever opened it.
            .idle_timeout(None)
            .max_lifetime(None)
            // Each transaction takes a second at most, but many may wait, and a disk may be slow.
            .acquire_timeout(WRITER_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        check_version(&writer).await?;
        migrator(MIGRATIONS).run(&writer).await?;
        let reading = options.read_only(true).create_if_missing(false);
        let store = Self {
            readers: readers(&reading).await?,
            reading: Arc::new(reading),
            writer,
            keyring: keyring.into(),
            arrears: Arc::default(),
        };
        let chained = store.chain_old_records().await?;
        if chained > 0 {
            tracing::info!(records = chained, "chained the audit records of an older version");
        }
        Ok(store)
    }

    /// The same database with connections of its own to read by: their threads belong to who calls this, and to who reads.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn with_own_readers(&self) -> Result<Self, StoreError> {
        Ok(Self {
            readers: readers(&self.reading).await?,
            ..self.clone()
        })
    }

    /// Looks at the chain of the audit log in the database file of a path, which may be in use, and changes nothing.
    ///
    /// # Errors
    /// When the file is none of this version's, or cannot be read.
    pub async fn verify_audit_of(path: &Path, contains: Option<&str>) -> Result<AuditVerdict, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        let mut tx = pool.begin().await?;
        let verdict = audit_chain::verify(&mut tx, contains).await;
        drop(tx);
        pool.close().await;
        verdict
    }

    /// The path of the database file that a URL names; `None` when it names none of SQLite's.
    pub fn path_of(url: &str) -> Option<std::path::PathBuf> {
        SqliteConnectOptions::from_str(url)
            .ok()
            .map(|options| Path::to_path_buf(options.get_filename()))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM installation")
            .fetch_optional(&self.readers)
            .await?;
        Ok(())
    }

    /// Whether nobody uses a connection at this moment.
    pub fn is_idle(&self) -> bool {
        let pools = [&self.readers, &self.writer];
        pools
            .iter()
            .all(|pool| u32::try_from(pool.num_idle()) == Ok(pool.size()))
    }

    /// Closes all connections, so that SQLite folds the WAL into the file. A reader cannot do that: those of
    /// [`Store::with_own_readers`] are closed before.
    pub async fn close(&self) {
        self.close_readers().await;
        self.writer.close().await;
    }

    /// Closes the connections to read by.
    pub(crate) async fn close_readers(&self) {
        self.readers.close().await;
    }

    /// Begins a transaction that may write. It takes the write lock at once: one that reads first and writes later could
    /// otherwise fail in the middle.
    pub(super) async fn write(&self) -> Result<Write, StoreError> {
        Ok(Write::new(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Begins a transaction that reads one state of the database.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.readers.begin().await?)
    }
}

async fn readers(options: &SqliteConnectOptions) -> Result<Pool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(TEST_BEFORE_USE)
        .connect_with(options.clone())
        .await
}

fn migrator(migrations: &'static [(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            sqlx::SqlStr::from_static(sql),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// Makes the database's file for its owner alone, where there is none; SQLite gives its other files the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(sqlx::Error::Io(error).into()),
        _ => Ok(()),
    }
}

async fn check_version(pool: &SqlitePool) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(pool)
        .await?;
    let number = version
        .split('.')
        .try_fold(0, |sum: i64, part| Some(sum * 1000 + part.parse::<i64>().ok()?));
    if number.is_some_and(|number| number >= MIN_SQLITE) {
        Ok(())
    } else {
        Err(StoreError::SqliteTooOld(version))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sqlx::Row as _;

    use super::super::LedgerQuery;
    use super::*;

    /// A store in a folder of its own, which lives as long as the test.
    pub(in crate::store) async fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let keyring = Keyring::read(&Keyring::generate()).unwrap();
        (Store::open(&url, keyring).await.unwrap(), folder)
    }

    /// Checks that SQLite reads no rows of pairs and facts as a whole to carry a statement out.
    pub(in crate::store) async fn assert_looked_up(store: &Store, statement: &str) {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        for step in &steps {
            // The few sets of facts may be.
            assert!(
                !step.starts_with("SCAN ") || step.starts_with("SCAN s"),
                "{steps:#?}"
            );
            let bounded = ["ip=?", "held_for=?"].iter().any(|key| step.contains(key));
            assert!(!step.starts_with("SEARCH ledger") || bounded, "{steps:#?}");
        }
    }

    #[tokio::test]
    async fn opening_twice_keeps_the_database() {
        let (store, folder) = store().await;
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        store.close().await;
        let store = Store::open(&url, Keyring::read(&Keyring::generate()).unwrap())
            .await
            .unwrap();
        store.ping().await.unwrap();
    }

    /// A row in every table of the first version.
    const FILL: &str = "
        INSERT INTO installation VALUES (1, 'berlin', 1);
        INSERT INTO integrations VALUES ('01a20d2a-3996-73a0-af57-c27859874f3e', 'wiz1', 1, 86400,
            'https://api.us17.app.wiz.io/graphql', 'https://auth.app.wiz.io/oauth/token', 'client', x'00', 'a', 1, 3,
            'report', 'asked', 1, 2, 1, 1);
        INSERT INTO runs (id, integration_id, state, trigger, requested_by, dry_run, full, resume_at, queued_at, finished_at)
            VALUES ('01a20d2a-52f4-76b3-85de-865a20570c91', '01a20d2a-3996-73a0-af57-c27859874f3e', 'succeeded', 'manual',
            'admin', 0, 0, 1, 1, 2);
        INSERT INTO fact_sets VALUES (1, '01a20d2a-3996-73a0-af57-c27859874f3e', '01a20d2a-52f4-76b3-85de-865a20570c91',
            'in_force', 1, 1, 1, 1);
        INSERT INTO facts VALUES (1, 0, x'01', 'vm', 1, 65, 2, x'');
        INSERT INTO fact_addresses VALUES (1, x'040a000001', 0);
        INSERT INTO fusion_accounts VALUES (1, 'api.netography.com', 'acme');
        INSERT INTO ledger VALUES (1, x'040a000001', 'cvss_score', '6.5', NULL, 0,
            '01a20d2a-52f4-76b3-85de-865a20570c91', 1);
        INSERT INTO audit VALUES (1, '01a20d2a-52f4-76b3-85de-865a20570c92', 1, 'integration', 'context', 'create', 'admin',
            'made', NULL, NULL, NULL, NULL, NULL);";

    /// More audit records than are chained at a time, some of them deleted, and the beginning too.
    const FILL_AUDIT: &str = "
        WITH RECURSIVE numbers (number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1210)
        INSERT INTO audit SELECT number, printf('01a20d2a-52f4-76b3-85de-%012d', number), number, 'integration', 'context',
            'update', 'admin', 'changed ü', 'x', '{\"b\":1,\"a\":[1.5,null]}', NULL, NULL, NULL FROM numbers;
        DELETE FROM audit WHERE number < 8;";

    #[tokio::test]
    async fn a_filled_database_of_each_version_is_brought_up_to_date() {
        for version in 1..MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("old.db").display());
            let options = SqliteConnectOptions::from_str(&url)
                .unwrap()
                .create_if_missing(true);
            let old = SqlitePool::connect_with(options.foreign_keys(true))
                .await
                .unwrap();
            migrator(&MIGRATIONS[..1]).run(&old).await.unwrap();
            sqlx::raw_sql(FILL).execute(&old).await.unwrap();
            sqlx::raw_sql(FILL_AUDIT).execute(&old).await.unwrap();
            migrator(&MIGRATIONS[..version]).run(&old).await.unwrap();
            old.close().await;

            let keyring = Keyring::read(&Keyring::generate()).unwrap();
            let store = Store::open(&url, keyring).await.unwrap();
            let integrations = store.integrations(None, 10).await.unwrap();
            assert_eq!((integrations[0].pairs, integrations[0].held), (1, 0));
            assert!(integrations[0].last_success.is_some());
            let account = store.fusion_account("api.netography.com", "acme").await.unwrap();
            let query = LedgerQuery {
                limit: 10,
                ..LedgerQuery::default()
            };
            let labels = store
                .labels(integrations[0].integration.id, account, &query)
                .await
                .unwrap();
            assert_eq!(labels[0].labels.as_lines(), "6.5");
            let verdict = store.verify_audit(None).await.unwrap();
            assert_eq!((verdict.valid, verdict.records), (true, 1203), "{verdict:?}");
        }
    }

    #[test]
    fn every_migration_file_is_listed_in_its_place() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<_> = MIGRATIONS
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        assert_eq!(files, listed);
    }
}
