//! The clients of both neighbours against the simulated ones, which refuse what the real ones refuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::time::Duration;

use wiz_context::clock::Clock;
use wiz_context::domain::{
    AllowedHosts, ApiEndpoint, AssetType, ClientSecret, Context, Failure, FailureKind, LabelRecord, Labels,
    Pair, ReportId, ReportRunId, Timestamp, TokenUrl, WizConnection, WizCredentials,
};
use wiz_context::fusion::{FusionAccount, FusionClient};
use wiz_context::outgoing::{Outgoing, OutgoingSettings};
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Column, Effect, Ending, Fault, Simulator, SimulatorSettings};
use wiz_context::wiz::{
    ColumnChoice, ReportDownload, ReportRequest, ReportRun, ReportRunStatus, WizAccounts, WizClient, WizError,
};

struct Neighbours {
    simulator: Simulator,
    clock: Clock,
    outgoing: Outgoing,
    allowed: AllowedHosts,
    _shutdown: Shutdown,
}

impl Neighbours {
    async fn start(settings: SimulatorSettings) -> Self {
        let (shutdown, clock) = (
            Shutdown::new(),
            Clock::test(Timestamp::from_millis(1_795_493_090_000), 100),
        );
        let simulator = Simulator::start(settings, clock.clone(), &shutdown)
            .await
            .unwrap();
        let allowed: AllowedHosts = simulator.allow_hosts().parse().unwrap();
        let settings = OutgoingSettings {
            allowed: allowed.clone(),
            ca_file: None,
        };
        Self {
            outgoing: Outgoing::new(settings, clock.clone()).unwrap(),
            simulator,
            clock,
            allowed,
            _shutdown: shutdown,
        }
    }

    fn wiz_with(&self, secret: &str) -> WizClient {
        let (api, token) = (self.simulator.api_endpoint(), self.simulator.token_url());
        let credentials = WizCredentials {
            connection: WizConnection {
                api_endpoint: ApiEndpoint::read(&api, &self.allowed).unwrap(),
                token_url: TokenUrl::read(&token, &self.allowed).unwrap(),
                client_id: self.simulator.client_id().to_owned(),
            },
            client_secret: ClientSecret::new(secret),
        };
        let per_second = NonZeroU32::new(3).unwrap();
        WizAccounts::new(self.outgoing.clone(), self.clock.clone(), per_second).client(credentials)
    }

    fn wiz(&self) -> WizClient {
        self.wiz_with(self.simulator.client_secret())
    }

    fn fusion(&self) -> FusionClient {
        let account = FusionAccount::read(&self.simulator.netosecret(), &self.allowed).unwrap();
        FusionClient::new(self.outgoing.clone(), self.clock.clone(), account)
    }

    async fn completed(
        &self,
        wiz: &WizClient,
        report: &ReportId,
        other_than: Option<&ReportRunId>,
    ) -> ReportRun {
        loop {
            let newest = wiz.newest_report_run(report).await.unwrap();
            match newest.filter(|run| Some(&run.id) != other_than) {
                Some(run) if run.status == ReportRunStatus::Completed => return run,
                _ => self.clock.sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn assert_no_violation(&self) {
        assert_eq!(self.simulator.violations(), [""; 0]);
    }
}

fn request(columns: ColumnChoice) -> ReportRequest {
    ReportRequest {
        name: "wiz-context/test/one".into(),
        columns,
        asset_types: AssetType::with_addresses(),
    }
}

async fn read(mut download: ReportDownload) -> Result<Vec<u8>, WizError> {
    let mut content = Vec::new();
    while let Some(piece) = download.chunk().await? {
        content.extend_from_slice(&piece);
    }
    assert_eq!(download.received_bytes(), content.len() as u64);
    Ok(content)
}

fn failure<T: std::fmt::Debug>(result: Result<T, WizError>) -> Failure {
    result.unwrap_err().failure()
}

#[tokio::test]
async fn a_report_is_made_found_rerun_and_downloaded() {
    let neighbours = Neighbours::start(SimulatorSettings::default()).await;
    let wiz = neighbours.wiz();
    wiz.sign_in().await.unwrap();
    assert!(wiz.sees_finding().await.unwrap());
    let request = request(ColumnChoice::Full);
    assert!(wiz.find_report(&request.name).await.unwrap().is_none());

    let report = wiz.create_report(&request).await.unwrap();
    let first = neighbours.completed(&wiz, &report.id, None).await;
    let found = wiz.find_report(&request.name).await.unwrap().unwrap();
    assert_eq!((found.report.id, found.matches), (report.id.clone(), 1));

    wiz.update_report(&report.id, &request).await.unwrap();
    wiz.rerun_report(&report.id).await.unwrap();
    let second = neighbours.completed(&wiz, &report.id, Some(&first.id)).await;
    assert!(second.run_at >= first.run_at && second.rows.is_some_and(|rows| rows > 0));

    let content = read(wiz.download(&second).await.unwrap()).await.unwrap();
    assert!(content.starts_with(&[0x1f, 0x8b]));
    assert!(wiz.report(&ReportId::new("no-such")).await.unwrap().is_none());
    assert!(
        wiz.report_run(&ReportRunId::new("no-such"))
            .await
            .unwrap()
            .is_none()
    );
    neighbours.assert_no_violation();
}

#[tokio::test]
async fn a_download_that_breaks_and_expires_gives_the_same_bytes() {
    let neighbours = Neighbours::start(SimulatorSettings::default()).await;
    let wiz = neighbours.wiz();
    let report = wiz.create_report(&request(ColumnChoice::Full)).await.unwrap();
    let run = neighbours.completed(&wiz, &report.id, None).await;
    let whole = read(wiz.download(&run).await.unwrap()).await.unwrap();

    for bytes in [0, 1, 1000] {
        let ending = Ending::Cut;
        let cut = Fault::new("wiz.report_file", Effect::Truncate { bytes, ending });
        neighbours.simulator.inject(cut.times(2));
        assert_eq!(
            read(wiz.download(&run).await.unwrap()).await.unwrap(),
            whole,
            "{bytes}"
        );
    }
    neighbours
        .simulator
        .inject(Fault::new("wiz.report_file", Effect::status(503)).times(2));
    neighbours.clock.advance(Duration::from_mins(16));
    assert_eq!(read(wiz.download(&run).await.unwrap()).await.unwrap(), whole);
    neighbours.assert_no_violation();
}

#[tokio::test]
async fn refused_columns_lead_to_the_next_choice() {
    let settings = SimulatorSettings {
        refused_columns: vec![Column::NvdScore],
        ..SimulatorSettings::default()
    };
    let neighbours = Neighbours::start(settings).await;
    let wiz = neighbours.wiz();
    let refused = wiz.create_report(&request(ColumnChoice::Full)).await.unwrap_err();
    assert!(refused.is_bad_user_input());
    let report = wiz
        .create_report(&request(ColumnChoice::WithoutNvdAndVendorScore))
        .await
        .unwrap();
    wiz.update_report(&report.id, &request(ColumnChoice::Default))
        .await
        .unwrap();
    neighbours.assert_no_violation();
}

#[tokio::test]
async fn a_short_token_is_renewed_and_a_wrong_secret_or_scope_is_named() {
    let mut settings = SimulatorSettings {
        wiz_token_life: Duration::from_mins(15),
        ..SimulatorSettings::default()
    };
    settings.scopes.remove("create:reports");
    let neighbours = Neighbours::start(settings).await;
    let wiz = neighbours.wiz();
    for _ in 0..4 {
        assert!(wiz.find_report("a").await.unwrap().is_none());
        neighbours.clock.advance(Duration::from_mins(12));
    }
    assert_eq!(neighbours.simulator.requests("wiz.token"), 4);

    let denied = failure(wiz.create_report(&request(ColumnChoice::Full)).await);
    assert_eq!((denied.kind, denied.retryable), (FailureKind::Permission, false));
    assert!(denied.message.contains("create:reports"), "{}", denied.message);
    let refused = failure(neighbours.wiz_with("wrong").sign_in().await);
    assert_eq!(
        (refused.kind, refused.retryable),
        (FailureKind::Credentials, false)
    );
}

#[tokio::test]
async fn errors_inside_200_and_partial_data_are_failed_calls() {
    let neighbours = Neighbours::start(SimulatorSettings::default()).await;
    let wiz = neighbours.wiz();
    let (code, carried_out) = ("INTERNAL".to_owned(), false);
    let error = Fault::new("wiz.graphql", Effect::ErrorIn200 { code, carried_out });
    for fault in [error, Fault::new("wiz.graphql", Effect::PartialData)] {
        neighbours.simulator.inject(fault);
        assert!(failure(wiz.find_report("a").await).retryable);
    }
    let token = Fault::new("wiz.token", Effect::TokenWithoutAccessToken);
    neighbours.simulator.inject(token);
    assert_eq!(
        failure(wiz.apart().sign_in().await).kind,
        FailureKind::Credentials
    );
}

#[tokio::test]
async fn labels_are_written_and_deleted_whatever_is_lost_or_refused() {
    let neighbours = Neighbours::start(SimulatorSettings::default()).await;
    let fusion = neighbours.fusion();
    let record = |number: u8| LabelRecord {
        pair: Pair {
            ip: format!("10.0.0.{number}")
                .parse::<std::net::IpAddr>()
                .unwrap()
                .try_into()
                .unwrap(),
            context: Context::VulnCount,
        },
        labels: Labels::from_lines(number.to_string()).unwrap(),
    };
    let records: Vec<_> = (1..=20).map(record).collect();
    neighbours
        .simulator
        .inject(Fault::new("fusion.put", Effect::ResponseLost));
    let ip = records[6].pair.ip.ip();
    neighbours
        .simulator
        .inject(Fault::new("fusion.put", Effect::RejectRecords { ip }).times(100));
    let outcome = fusion.push_labels(&records).await;
    assert!(outcome.error.is_none(), "{outcome:?}");
    let rejected: Vec<_> = outcome.rejected.iter().map(|(pair, _)| *pair).collect();
    assert_eq!(
        (outcome.acknowledged.len(), rejected),
        (19, vec![records[6].pair])
    );
    assert_eq!(neighbours.simulator.labels().len(), 19);

    let held = fusion.labels_of(records[0].pair.ip).await.unwrap();
    assert_eq!(
        (held[0].context.as_str(), &held[0].labels[..]),
        ("vuln_count", &["1".to_owned()][..])
    );
    neighbours
        .simulator
        .inject(Fault::new("fusion.delete", Effect::Cut));
    let outcome = fusion.push_removals(&outcome.acknowledged).await;
    assert_eq!(outcome.acknowledged.len(), 19);
    assert!(neighbours.simulator.labels().is_empty());
    neighbours.assert_no_violation();
}
