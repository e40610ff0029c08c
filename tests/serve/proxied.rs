//! Wiz and Fusion by their own names: through the proxy of the environment, over TLS by an authority of the operator's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::program::Place;
use crate::reports::text;
use crate::world::World;

/// The hosts that certificates are made for.
const HOSTS: [&str; 3] = ["auth.app.wiz.io", "api.us17.app.wiz.io", "api.netography.com"];

/// A proxy behind which every host is the simulator.
struct Proxy {
    address: String,
    /// The authority that its certificates are signed by, in PEM form.
    authority: String,
    /// The head of each request that it was sent.
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start(simulator: String) -> Self {
        let (acceptor, authority) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                connections.spawn(pass_on(client, simulator.clone(), acceptor.clone(), seen));
            }
        });
        Self {
            address,
            authority,
            heads,
            _tasks: tasks,
        }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A server's side of TLS for the hosts, and the authority behind it.
fn certified() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(HOSTS.map(str::to_owned))
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// Passes one connection on to the simulator, whatever host it is for.
async fn pass_on(
    mut client: TcpStream,
    simulator: String,
    acceptor: TlsAcceptor,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let text = String::from_utf8(head.clone()).unwrap();
    heads.lock().unwrap().push(text.clone());
    let mut server = TcpStream::connect(simulator).await.unwrap();
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Who does not trust the authority ends here.
        if let Ok(mut client) = acceptor.accept(client).await {
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    } else {
        server.write_all(&head).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// The settings of a service for which all hosts are behind the proxy. The address of the simulator's report file is without
/// TLS.
fn place(world: &World, proxy: &Proxy) -> Place {
    let netosecret = BASE64_STANDARD.decode(world.simulator.netosecret()).unwrap();
    let mut netosecret: Value = serde_json::from_slice(&netosecret).unwrap();
    netosecret["url"] = json!("https://api.netography.com");
    let proxy = format!("http://{}", proxy.address);
    Place::new()
        .with("NETOSECRET", BASE64_STANDARD.encode(netosecret.to_string()))
        .with("WIZ_CONTEXT_ALLOW_HOSTS", "api.us17.app.wiz.io:80")
        .with("HTTPS_PROXY", &proxy)
        .with("https_proxy", &proxy)
        .with("HTTP_PROXY", &proxy)
        .with("http_proxy", &proxy)
        .with("NO_PROXY", "")
        .with("no_proxy", "")
}

fn wiz(world: &World) -> Value {
    json!({
        "apiendpoint": "https://api.us17.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
        "clientid": world.simulator.client_id(), "clientsecret": world.simulator.client_secret(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy_and_by_an_authority_of_ones_own_it_reaches_wiz_and_fusion_by_their_names() {
    let mut world = World::new(Duration::ZERO).await;
    let proxy = Proxy::start(world.simulator.allow_hosts()).await;
    let place = place(&world, &proxy);
    let authority = place.write("authority.pem", &proxy.authority);
    world.place = place.with("WIZ_CONTEXT_CA_FILE", authority);
    let program = world.serve();
    let id = program.create(&world.place.admin_key(), &wiz(&world));
    world.succeed(&program, &id).await;
    world.assert_in_step();

    let heads = proxy.heads();
    for host in HOSTS {
        let tunnel = format!("CONNECT {host}:443 ");
        assert!(heads.iter().any(|head| head.starts_with(&tunnel)), "{host}");
    }
    // Whoever runs the proxy sees what is not in a tunnel.
    let open: Vec<_> = heads.iter().map(|head| head.to_ascii_lowercase()).collect();
    assert!(
        open.iter()
            .any(|head| head.starts_with("get http://api.us17.app.wiz.io/report-files/"))
    );
    assert!(
        !open.iter().any(|head| head.contains("authorization:")),
        "{heads:#?}"
    );
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_whose_authority_it_does_not_know_is_shown_no_credentials() {
    let mut world = World::new(Duration::ZERO).await;
    let proxy = Proxy::start(world.simulator.allow_hosts()).await;
    world.place = place(&world, &proxy);
    let program = world.serve();
    let key = world.place.admin_key();
    let id = program.create(&key, &wiz(&world));
    let path = format!("/api/v1/integrations/context/{id}/check");
    let (status, answer) = program.call("POST", &path, Some(&key), None);
    assert_eq!(status, 200, "{answer}");
    let step = |name: &str| {
        let steps = answer["data"]["steps"].as_array().unwrap();
        steps.iter().find(|step| step["name"] == name).unwrap().clone()
    };
    for name in ["wiz_sign_in", "fusion_sign_in"] {
        let step = step(name);
        assert_eq!(step["state"], "failed");
        assert!(text(&step["message"]).contains("WIZ_CONTEXT_CA_FILE"), "{step}");
    }
    assert!(proxy.heads().iter().all(|head| head.starts_with("CONNECT ")));
    program.stop();
}
