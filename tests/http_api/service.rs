//! The HTTP API on a real database, with nobody behind it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wiz_context::clock::Clock;
use wiz_context::domain::{AssetType, Policy, Retention, Timestamp};
use wiz_context::http::{AdminKey, ApiSettings, AppState, Notes, UnderWay, router};
use wiz_context::metrics::Metrics;
use wiz_context::outgoing::{Outgoing, OutgoingSettings};
use wiz_context::shutdown::Shutdown;
use wiz_context::store::{Keyring, Store};
use wiz_context::wiz::WizAccounts;
use wiz_context::worker::{Checker, Desk, RunSettings, Workers};

pub(crate) const KEY: &str = "planted-api-key";
pub(crate) const SECRET: &str = "planted-client-secret";
pub(crate) const INTEGRATIONS: &str = "/api/v1/integrations/context";

pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) notes: Notes,
    folder: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_at_pace(1).await
    }

    /// A service whose clock runs `factor` times as fast as the real one.
    pub(crate) async fn start_at_pace(factor: u32) -> Self {
        let clock = Clock::test(Timestamp::from_millis(1_795_493_090_000), factor);
        Self::start_on(tempfile::tempdir().unwrap(), clock, Some(KEY)).await
    }

    /// The service of before, started once more.
    pub(crate) async fn restart(self, admin_key: Option<&str>) -> Self {
        self.store.close().await;
        Self::start_on(self.folder, self.clock, admin_key).await
    }

    async fn start_on(folder: TempDir, clock: Clock, admin_key: Option<&str>) -> Self {
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let keyring = format!("k1:{}", "A".repeat(43) + "=");
        let store = Store::open(&url, Keyring::read(&keyring).unwrap()).await.unwrap();
        let account = Some(store.fusion_account("api.netography.com", "acme").await.unwrap());
        let settings = ApiSettings {
            admin_key: admin_key.map(AdminKey::new),
            allowed_hosts: "".parse().unwrap(),
            account,
            docs: true,
            requests_per_second: None,
            cors_origins: Vec::new(),
        };
        let desk = Desk::new();
        let notes = Notes::new();
        let app = AppState {
            checker: checker(&store, &desk, &clock),
            store: store.clone(),
            desk,
            clock: clock.clone(),
            metrics: Metrics::new(),
            ending: CancellationToken::new(),
            tasks: Shutdown::new(),
            notes: notes.clone(),
            under_way: UnderWay::new(),
            audit_checks: Arc::new(Semaphore::new(1)),
            settings: Arc::new(settings),
        };
        Self {
            router: router(app),
            clock,
            store,
            notes,
            folder,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            !text.contains(SECRET) && !text.contains(KEY),
            "a secret is in the answer: {text}"
        );
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::String(text));
        Answer {
            status,
            headers,
            body,
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.call_as(Some(KEY), method, path, body, headers).await
    }

    /// The same with another key, or none.
    pub(crate) async fn call_as(
        &self,
        key: Option<&str>,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(
            request
                .body(body.map_or(Body::empty(), |body| Body::from(body.to_string())))
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn create(&self, query: &str) -> Answer {
        let answer = self
            .call(
                Method::POST,
                &format!("{INTEGRATIONS}{query}"),
                Some(integration()),
            )
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer
    }
}

impl Service {
    /// Makes a key; gives its id and the key.
    pub(crate) async fn make_key(&self, name: &str, role: &str) -> (String, String) {
        let body = json!({"name": name, "role": role});
        let made = self.call(Method::POST, "/api/v1/api-keys", Some(body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let text = |member: &str| made.body["data"][member].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }

    /// Meddles with the database, from outside.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// All rows of the database, table by table.
    pub(crate) async fn rows(&self) -> Vec<String> {
        let mut connection = self.connect().await;
        let columns = "SELECT m.name, group_concat('quote(\"' || c.name || '\")', ' || '', '' || ') \
                       FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' GROUP BY m.name";
        let tables: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(&mut connection).await.unwrap();
        let mut rows = Vec::new();
        for (table, columns) in tables {
            let sql = format!("SELECT '{table}: ' || {columns} FROM \"{table}\" ORDER BY 1");
            let query = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql));
            rows.extend(query.fetch_all(&mut connection).await.unwrap());
        }
        connection.close().await.unwrap();
        rows
    }

    async fn connect(&self) -> SqliteConnection {
        let file = self.folder.path().join("test.db");
        let options = SqliteConnectOptions::new().filename(file);
        options.connect().await.unwrap()
    }

    /// All files of the database, by name.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let file = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        };
        entries.map(|entry| file(entry.unwrap())).collect()
    }

    /// The audit records of a class, the newest first, once what was noted is written down.
    pub(crate) async fn audit(&self, class: &str) -> Vec<Value> {
        let ended = CancellationToken::new();
        ended.cancel();
        let notes = self.notes.clone();
        notes
            .write_down(self.store.clone(), self.clock.clone(), ended)
            .await;
        let path = format!("/api/v1/audit?class={class}");
        let listed = self.call(Method::GET, &path, None).await;
        listed.body["data"].as_array().unwrap().clone()
    }
}

/// A checker that reaches nobody.
fn checker(store: &Store, desk: &Desk, clock: &Clock) -> Checker {
    let settings = OutgoingSettings {
        allowed: "".parse().unwrap(),
        ca_file: None,
    };
    let outgoing = Outgoing::new(settings, clock.clone()).unwrap();
    Checker::new(Workers {
        store: store.clone(),
        desk: desk.clone(),
        clock: clock.clone(),
        metrics: Metrics::new(),
        wiz: WizAccounts::new(outgoing, clock.clone(), NonZeroU32::MIN),
        fusion: None,
        settings: Arc::new(RunSettings {
            retention: Retention::default(),
            installation: "test".to_owned(),
            policy: Policy::default(),
            asset_types: AssetType::with_addresses(),
            max_concurrent: 1,
            hold_removals_percent: 20,
            run_timeout: Duration::from_hours(48),
            full_push_every: 7,
            push_concurrency: 4,
        }),
    })
}

pub(crate) fn integration() -> Value {
    json!({
        "name": "wiz1", "type": "wiz", "enabled": true, "updateinterval": 86400,
        "wiz": {
            "apiendpoint": "http://api.us17.app.wiz.io/", "tokenurl": "https://auth.app.wiz.io/oauth/token",
            "clientid": "client", "clientsecret": SECRET,
        },
    })
}

pub(crate) fn id(answer: &Answer) -> String {
    answer.body["data"][0]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn pointers(answer: &Answer) -> Vec<&str> {
    answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}
