//! The clients of the two neighbours, which hold credentials, tokens and pre-signed URLs.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use wiz_context::clock::Clock;
use wiz_context::domain::{AssetType, ClientSecret, WizConnection, WizCredentials};
use wiz_context::fusion::{FusionAccount, FusionClient};
use wiz_context::outgoing::{Outgoing, OutgoingSettings};
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Effect, Fault, Simulator, SimulatorSettings, StatusFault};
use wiz_context::wiz::{ColumnChoice, ReportRequest, ReportRunStatus, WizAccounts, WizClient};

use super::{Prints, SECRET, connection, netosecret};

/// The clients of both neighbours, with the simulator in their place.
struct Clients {
    simulator: Simulator,
    outgoing: Outgoing,
    clock: Clock,
    accounts: WizAccounts,
}

impl Clients {
    fn wiz(&self, secret: &str) -> WizClient {
        self.accounts.client(WizCredentials {
            connection: WizConnection {
                client_id: self.simulator.client_id().to_owned(),
                ..connection(&self.simulator.api_endpoint(), &self.simulator.token_url())
            },
            client_secret: ClientSecret::new(secret),
        })
    }

    fn fusion(&self, netosecret: &str) -> FusionClient {
        let loopback = "127.0.0.1".parse().unwrap();
        let account = FusionAccount::read(netosecret, &loopback).unwrap();
        FusionClient::new(self.outgoing.clone(), self.clock.clone(), account)
    }

    /// A refusal that repeats all that it was told.
    fn refusal(&self, status: u16) -> Effect {
        let given = self.simulator.secrets_given().join(" ");
        Effect::Status(StatusFault {
            status,
            message: Some(format!("refused: {given} {}", self.simulator.client_secret())),
            ..StatusFault::default()
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_have_tokens_and_urls_do_not_print_them_nor_do_their_errors() {
    let (shutdown, clock) = (Shutdown::new(), Clock::test(Clock::system().now(), 100));
    let simulator = Simulator::start(SimulatorSettings::default(), clock.clone(), &shutdown)
        .await
        .unwrap();
    let settings = OutgoingSettings {
        allowed: "127.0.0.1".parse().unwrap(),
        ca_file: None,
    };
    let outgoing = Outgoing::new(settings, clock.clone()).unwrap();
    let accounts = WizAccounts::new(outgoing.clone(), clock.clone(), NonZeroU32::new(10).unwrap());
    let clients = Clients {
        simulator,
        outgoing,
        clock,
        accounts,
    };
    let simulator = &clients.simulator;
    let mut prints = Prints::with(SECRET);

    let (wiz, fusion) = (
        clients.wiz(simulator.client_secret()),
        clients.fusion(&simulator.netosecret()),
    );
    wiz.sign_in().await.unwrap();
    fusion.sign_in().await.unwrap();
    let request = ReportRequest {
        name: "wiz-context/test/one".into(),
        columns: ColumnChoice::Full,
        asset_types: AssetType::with_addresses(),
    };
    let report = wiz.create_report(&request).await.unwrap();
    let run = loop {
        let newest = wiz.newest_report_run(&report.id).await.unwrap();
        match newest.filter(|run| run.status == ReportRunStatus::Completed) {
            Some(run) => break run,
            None => clients.clock.sleep(Duration::from_secs(1)).await,
        }
    };
    let mut download = wiz.download(&run).await.unwrap();
    download.chunk().await.unwrap();
    prints.debug("a report", &report);
    prints.debug("a run with its URL", &run);
    prints.debug("ReportDownload", &download);
    prints.debug("WizClient", &wiz);
    prints.debug("WizAccounts", &clients.accounts);
    prints.debug("FusionClient", &fusion);
    prints.debug("Outgoing", &clients.outgoing);
    prints.debug("Simulator", simulator);

    prints.error(
        "a wrong secret",
        &clients.wiz(SECRET).sign_in().await.unwrap_err(),
    );
    let wrong = clients.fusion(&netosecret(&format!("{}/api/v1", simulator.base_url()), SECRET));
    prints.error("a wrong account", &wrong.sign_in().await.unwrap_err());
    for (operation, status) in [
        ("wiz.token", 400),
        ("wiz.graphql", 400),
        ("wiz.graphql", 403),
        ("wiz.report_file", 400),
        ("fusion", 400),
    ] {
        simulator.inject(Fault::new(operation, clients.refusal(status)).times(u32::MAX));
        let name = format!("{operation} {status}");
        let errors: [Option<Box<dyn Error>>; 4] = [
            clients
                .wiz(simulator.client_secret())
                .apart()
                .sign_in()
                .await
                .err()
                .map(Into::into),
            wiz.newest_report_run(&report.id).await.err().map(Into::into),
            wiz.download(&run).await.err().map(Into::into),
            fusion.apart().sign_in().await.err().map(Into::into),
        ];
        let errors: Vec<_> = errors.into_iter().flatten().collect();
        assert!(!errors.is_empty(), "{name}");
        for error in errors {
            prints.error(&name, &*error);
        }
        simulator.clear_faults();
    }
    // Nobody listens there: such an error of the HTTP client names its URL.
    let nowhere = connection("http://127.0.0.1:9/graphql", "http://127.0.0.1:9/oauth/token");
    let nowhere = clients.accounts.client(WizCredentials {
        connection: nowhere,
        client_secret: ClientSecret::new(SECRET),
    });
    prints.error("no connection", &nowhere.sign_in().await.unwrap_err());

    prints.must_not_tell("the client secret", simulator.client_secret());
    let account: Value =
        serde_json::from_slice(&BASE64_STANDARD.decode(simulator.netosecret()).unwrap()).unwrap();
    for member in ["appkey", "sharedsecret"] {
        prints.must_not_tell(member, account[member].as_str().unwrap());
    }
    let given = simulator.secrets_given();
    assert!(given.len() > 2, "{}", given.len());
    for secret in given {
        prints.needles.add_plain("a token or signature", &secret);
    }
    prints.assert_nothing_told();
}
