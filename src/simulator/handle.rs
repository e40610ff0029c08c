//! The handle of a running simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::shutdown::Shutdown;

use super::fault::Fault;
use super::fusion;
use super::generator::GeneratorSettings;
use super::server::{router, serve};
use super::settings::SimulatorSettings;
use super::shared::Shared;
use super::source::ReportSource;
use super::wiz::{ReportView, report_views};

/// A simulator that runs until shutdown begins. Cheap to clone; clones are handles of the same one.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    host: String,
}

impl Simulator {
    /// Starts a simulator.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(settings: SimulatorSettings, clock: Clock, shutdown: &Shutdown) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let host = settings.public_host.clone().unwrap_or_else(|| {
            if address.ip().is_unspecified() {
                format!("127.0.0.1:{}", address.port())
            } else {
                address.to_string()
            }
        });
        let shared = Arc::new(Shared::new(settings, clock, shutdown.clone()));
        let router = router(Arc::clone(&shared));
        shutdown.spawn(serve(listener, router, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            host,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What begins the URLs of the simulator: `http://127.0.0.1:9000`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// The URL of Wiz's GraphQL.
    pub fn api_endpoint(&self) -> String {
        format!("http://{}/graphql", self.host)
    }

    /// The URL where Wiz gives tokens.
    pub fn token_url(&self) -> String {
        format!("http://{}/oauth/token", self.host)
    }

    /// The id of the one service account.
    pub fn client_id(&self) -> &str {
        &self.shared.credentials.client_id
    }

    /// Its secret.
    pub fn client_secret(&self) -> &str {
        &self.shared.credentials.client_secret
    }

    /// The `NETOSECRET` of the Fusion account.
    pub fn netosecret(&self) -> String {
        fusion::netosecret(&self.shared.credentials, &self.base_url())
    }

    /// What `WIZ_CONTEXT_ALLOW_HOSTS` must name, so that the service may talk to the simulator.
    pub fn allow_hosts(&self) -> String {
        self.host.clone()
    }

    /// Every label that the account holds.
    pub fn labels(&self) -> BTreeMap<(IpAddr, String), Vec<String>> {
        self.shared.state().fusion.labels.all().clone()
    }

    /// Writes a label as another product would.
    pub fn plant_label(&self, ip: IpAddr, context: &str, labels: &[&str]) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.shared
            .state()
            .fusion
            .labels
            .plant((ip, context.to_owned()), labels);
    }

    /// Writes over a label of the service's own, as a person would who does not know whose it is.
    pub fn change_label(&self, ip: IpAddr, context: &str, labels: &[&str]) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let mut state = self.shared.state();
        state.fusion.labels.change((ip, context.to_owned()), labels);
    }

    /// Removes a label as another product would.
    pub fn remove_label(&self, ip: IpAddr, context: &str) {
        self.shared
            .state()
            .fusion
            .labels
            .take_away(&(ip, context.to_owned()));
    }

    /// Makes reports of a CSV file from now on, plain or gzip: their columns and rows are those that a report asks for. A
    /// file that is empty or has an open quote comes as it is.
    ///
    /// # Panics
    /// When a gzip file is broken; [`Simulator::serve_verbatim`] is for those.
    pub fn serve_csv(&self, csv: impl Into<Vec<u8>>) {
        self.try_serve_csv(csv)
            .expect("the report to serve is a whole gzip file");
    }

    /// The same for a file that may be broken.
    ///
    /// # Errors
    /// When a gzip file is broken.
    pub fn try_serve_csv(&self, csv: impl Into<Vec<u8>>) -> io::Result<()> {
        self.shared.state().source = ReportSource::of_csv(csv.into())?;
        Ok(())
    }

    /// Makes these very bytes the file of every report from now on, whatever is asked, with this count of rows.
    pub fn serve_verbatim(&self, bytes: impl Into<Vec<u8>>, rows: Option<u64>) {
        self.shared.state().source = ReportSource::Verbatim(bytes.into().into(), rows);
    }

    /// Generates reports from now on.
    pub fn generate(&self, settings: GeneratorSettings) {
        self.shared.state().source = ReportSource::Generated(settings);
    }

    /// The full report as it stands, plain: all columns, findings of all statuses.
    pub fn report_csv(&self) -> Vec<u8> {
        let source = self.shared.state().source.clone();
        source.full()
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.add(fault);
    }

    /// Lets everything go well from now on.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// The account's reports, the oldest first.
    pub fn reports(&self) -> Vec<ReportView> {
        report_views(&self.shared.state(), self.shared.now())
    }

    /// Deletes all reports, as a person in the account would.
    pub fn delete_reports(&self) {
        self.shared.state().wiz.delete_reports();
    }

    /// How many calls there were of an operation, named as in [`Fault::operation`].
    pub fn requests(&self, operation: &str) -> u64 {
        let operation = operation.to_lowercase();
        self.shared
            .state()
            .requests
            .get(&operation)
            .copied()
            .unwrap_or_default()
    }

    /// What clients did that they must not.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// The bearer tokens and URL signatures handed out so far: none of them may turn up in a log or answer.
    pub fn secrets_given(&self) -> Vec<String> {
        self.shared.state().secrets.clone()
    }

    /// Records written by bulk calls so far.
    pub fn labels_put(&self) -> u64 {
        self.shared.state().fusion.labels.put
    }

    /// Pairs that were to be removed though no bulk call ever wrote them: whatever is there is another's.
    pub fn removed_but_never_put(&self) -> BTreeSet<(IpAddr, String)> {
        self.shared.state().fusion.labels.never_put.clone()
    }

    /// Pairs removed by bulk calls so far.
    pub fn labels_deleted(&self) -> u64 {
        self.shared.state().fusion.labels.deleted
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
