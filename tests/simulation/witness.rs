//! The database of the service under test, seen from outside, and witnesses within it.
//!
//! Workers write while a call is made, so what stands in the database just before a call or just after it does not tell what
//! the call found. Triggers of the simulation's own note what happened in the very transaction in which it did.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, FromRow, SqliteConnection};
use wiz_context::pipeline::REMOVALS_NEVER_HELD;
use wiz_context::store::{Keyring, Store};

use crate::checks::{LedgerRow, Pair, stored_ip};
use crate::turns::{ANY_POLLS, Turns};
use crate::world::{World, folder};

const WITNESSES: &str = "
    -- Rows that left the ledger.
    CREATE TABLE forgotten (number INTEGER PRIMARY KEY AUTOINCREMENT, ip BLOB NOT NULL, context TEXT NOT NULL) STRICT;
    CREATE TRIGGER forgets AFTER DELETE ON ledger BEGIN
        INSERT INTO forgotten (ip, context) VALUES (OLD.ip, OLD.context);
    END;

    -- Addresses that facts of others named when an integration was deleted.
    CREATE TABLE named_when_deleted (integration_id TEXT NOT NULL, ip BLOB NOT NULL) STRICT;
    CREATE TRIGGER deletes AFTER DELETE ON integrations BEGIN
        INSERT INTO named_when_deleted
            SELECT DISTINCT OLD.id, a.ip FROM fact_sets s JOIN fact_addresses a ON a.fact_set = s.id
            WHERE s.state = 'in_force' AND s.integration_id <> OLD.id;
        DELETE FROM kept_back WHERE integration_id = OLD.id;
        DELETE FROM lost_though_kept_back WHERE integration_id = OLD.id;
    END;

    -- The newest plan of each integration, and the pairs that it keeps back, until they are written anew or approved.
    CREATE TABLE newest_plans (integration_id TEXT PRIMARY KEY NOT NULL, run_id TEXT NOT NULL) STRICT;
    CREATE TABLE kept_back (
        integration_id TEXT NOT NULL, ip BLOB NOT NULL, context TEXT NOT NULL,
        PRIMARY KEY (integration_id, ip, context)
    ) STRICT;
    CREATE TRIGGER plans AFTER UPDATE OF plan ON runs
    WHEN NEW.plan = 'kept' AND NEW.dry_run = 0 AND NEW.trigger IN ('manual', 'create', 'schedule') BEGIN
        INSERT OR REPLACE INTO newest_plans VALUES (NEW.integration_id, NEW.id);
        DELETE FROM kept_back WHERE integration_id = NEW.integration_id;
        INSERT INTO kept_back
            SELECT NEW.integration_id, ip, context FROM plan_steps
            WHERE run_id = NEW.id AND change = 'hold' AND NEW.hold <> 'nothing';
    END;
    CREATE TRIGGER approves AFTER UPDATE OF state ON runs WHEN NEW.state = 'succeeded' AND NEW.trigger = 'approval' BEGIN
        DELETE FROM kept_back WHERE integration_id = NEW.integration_id;
    END;
    CREATE TRIGGER writes_anew AFTER UPDATE ON ledger WHEN OLD.sent <> '' AND NEW.sent IS NULL BEGIN
        DELETE FROM kept_back WHERE ip = NEW.ip AND context = NEW.context;
    END;

    -- Pairs that were kept back and left the ledger without an approval, or a removal of the integration.
    CREATE TABLE lost_though_kept_back (integration_id TEXT NOT NULL, ip BLOB NOT NULL, context TEXT NOT NULL) STRICT;
    CREATE TRIGGER loses AFTER DELETE ON ledger BEGIN
        INSERT INTO lost_though_kept_back
            SELECT k.integration_id, k.ip, k.context FROM kept_back k
            WHERE k.ip = OLD.ip AND k.context = OLD.context AND NOT EXISTS (
                SELECT 1 FROM runs r WHERE r.id = OLD.run_id AND r.integration_id = k.integration_id
                AND r.trigger IN ('approval', 'removal'));
    END;

    -- The pairs that the facts before those in force wanted, and those of them that runs of new reports removed.
    CREATE TABLE wanted_before (integration_id TEXT NOT NULL, ip BLOB NOT NULL, context TEXT NOT NULL) STRICT;
    CREATE INDEX wanted_before_by_pair ON wanted_before (ip, context);
    CREATE TRIGGER replaces AFTER UPDATE OF state ON fact_sets WHEN OLD.state = 'in_force' AND NEW.state = 'stale' BEGIN
        DELETE FROM wanted_before WHERE integration_id = NEW.integration_id;
        INSERT INTO wanted_before
            SELECT DISTINCT NEW.integration_id, a.ip, c.value
            FROM fact_addresses a JOIN facts f ON f.fact_set = a.fact_set AND f.asset_no = a.asset_no
            JOIN json_each('[\"cve\", \"cvss_rating\", \"cvss_score\", \"vuln_count\"]') c
            WHERE a.fact_set = NEW.id AND CASE c.value WHEN 'vuln_count' THEN TRUE WHEN 'cvss_rating' THEN f.rating IS NOT NULL
                WHEN 'cvss_score' THEN f.score IS NOT NULL ELSE length(f.cves) > 0 END;
    END;
    CREATE TABLE removed (run_id TEXT NOT NULL, ip BLOB NOT NULL, context TEXT NOT NULL) STRICT;
    CREATE TRIGGER removes AFTER DELETE ON ledger WHEN OLD.sent = '' BEGIN
        INSERT INTO removed
            SELECT OLD.run_id, OLD.ip, OLD.context FROM runs r
            JOIN wanted_before b ON b.integration_id = r.integration_id AND b.ip = OLD.ip AND b.context = OLD.context
            WHERE r.id = OLD.run_id AND r.trigger IN ('manual', 'create', 'schedule');
    END;";

/// A database without anything in it but witnesses: making its tables takes longer than a run.
pub(crate) static EMPTY_DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = folder();
    let path = folder.path().join("test.db");
    let url = format!("sqlite://{}", path.display());
    let keyring = Keyring::read(&Keyring::generate()).unwrap();
    Turns::new(ANY_POLLS).block_on(async {
        Store::open(&url, keyring).await.unwrap().close().await;
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(WITNESSES).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    std::fs::read(path).unwrap()
});

impl World {
    /// The ledger, in whatever state it is: of each pair what was acknowledged, and what was sent since.
    pub(crate) fn ledger(&mut self) -> Vec<LedgerRow> {
        let rows = self.look::<(Vec<u8>, String, _, _)>(
            "SELECT ip, context, acknowledged, sent FROM ledger ORDER BY ip, context",
            "",
        );
        let row = |(ip, context, acknowledged, sent)| LedgerRow {
            ip,
            context,
            acknowledged,
            sent,
        };
        rows.into_iter().map(row).collect()
    }

    /// The addresses that facts in force name, with the number of the set of facts.
    pub(crate) fn facts_in_force(&mut self) -> Vec<(i64, Vec<u8>)> {
        self.look(
            "SELECT DISTINCT s.id, a.ip FROM fact_sets s JOIN fact_addresses a ON a.fact_set = s.id \
             WHERE s.state = 'in_force' ORDER BY s.id, a.ip",
            "",
        )
    }

    /// Whether a run is under way, of integrations that are gone too.
    pub(crate) fn works(&mut self) -> bool {
        let under_way: Vec<(i64,)> = self.look(
            "SELECT 1 FROM runs WHERE state IN ('queued', 'running') LIMIT 1",
            "",
        );
        !under_way.is_empty()
    }

    /// What runs came to: trigger, state, whether dry, and how many.
    pub(crate) fn outcomes(&mut self) -> Vec<(String, String, bool, i64)> {
        self.look(
            "SELECT trigger, state, dry_run, count(*) FROM runs GROUP BY trigger, state, dry_run",
            "",
        )
    }

    /// How many rows left the ledger so far.
    pub(crate) fn times_forgotten(&mut self) -> i64 {
        let times: Vec<(i64,)> = self.look("SELECT coalesce(max(number), 0) FROM forgotten", "");
        times[0].0
    }

    /// The pairs whose rows left the ledger after so many others.
    pub(crate) fn forgotten_since(&mut self, number: i64) -> BTreeSet<Pair> {
        let pairs = self.look::<(Vec<u8>, String)>(
            "SELECT ip, context FROM forgotten WHERE number > CAST($1 AS INTEGER)",
            &number.to_string(),
        );
        pairs
            .into_iter()
            .map(|(ip, context)| (stored_ip(&ip), context))
            .collect()
    }

    /// The addresses that facts of others named when an integration was deleted.
    pub(crate) fn named_when_deleted(&mut self, integration: &str) -> Vec<(Vec<u8>,)> {
        self.look(
            "SELECT ip FROM named_when_deleted WHERE integration_id = $1",
            integration,
        )
    }

    /// The run whose plan is the newest of an integration's.
    pub(crate) fn newest_plan(&mut self, integration: &str) -> Option<String> {
        let runs: Vec<(String,)> = self.look(
            "SELECT run_id FROM newest_plans WHERE integration_id = $1",
            integration,
        );
        runs.into_iter().next().map(|(run,)| run)
    }

    /// A pair that left the ledger though it was kept back.
    pub(crate) fn lost_though_kept_back(&mut self) -> Option<Pair> {
        let pairs =
            self.look::<(Vec<u8>, String)>("SELECT ip, context FROM lost_though_kept_back LIMIT 1", "");
        pairs
            .into_iter()
            .next()
            .map(|(ip, context)| (stored_ip(&ip), context))
    }

    /// A run that removed so many pairs that its integration had part in that it should have been held, and how many.
    pub(crate) fn removed_too_many(&mut self) -> Option<(String, i64)> {
        let runs = self.look(
            "SELECT run_id, count(*) FROM removed GROUP BY run_id HAVING count(*) > CAST($1 AS INTEGER)",
            &REMOVALS_NEVER_HELD.to_string(),
        );
        runs.into_iter().next()
    }

    fn look<T: for<'row> FromRow<'row, SqliteRow> + Send + Unpin>(
        &mut self,
        sql: &'static str,
        about: &str,
    ) -> Vec<T> {
        let rows = sqlx::query_as(sql).bind(about.to_owned());
        self.neighbours
            .block_on(rows.fetch_all(&mut self.database))
            .unwrap()
    }
}
