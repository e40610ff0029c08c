//! `health`: whether the service lives, for those who look at it from outside, a container engine for instance.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::serve::listen_address;

/// How long connecting and answering may take, each: the image's health check is cut off after five seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the first line of the answer of a service that lives begins with.
const LIVES: &str = "HTTP/1.1 200 ";

const AFTER_HELP: &str = "\
Says nothing when the service lives, and in one line why it seems not to. It
asks no more than /healthz, which needs no key: whether the database answers is
told by /readyz.";

/// Ask whether the service lives: exit code 0 if it does, else 1
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct HealthArgs {
    /// Where the service listens, written as for `serve`; where that is all addresses, this machine's own one is asked
    #[arg(
        long,
        env = "WIZ_CONTEXT_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,
}

/// Runs the command.
///
/// # Errors
/// When the service does not answer as one that lives, or the address is none.
pub fn health(args: &HealthArgs) -> anyhow::Result<()> {
    let address = reachable(listen_address(&args.listen)?);
    let first = ask(address, PATIENCE).with_context(|| {
        format!("no answer from {address}, where WIZ_CONTEXT_LISTEN (--listen) says that the service listens")
    })?;
    if first.starts_with(LIVES.as_bytes()) {
        return Ok(());
    }
    let first = String::from_utf8_lossy(&first);
    let status = first.split(' ').nth(1).unwrap_or_default();
    match status.parse::<u16>() {
        Ok(status) => bail!("what listens at {address} answers /healthz with HTTP {status}"),
        Err(_) => bail!("what listens at {address} does not speak HTTP, so it is not the service"),
    }
}

/// Where a service is reached that listens at an address.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// The beginning of the answer, as far as it is looked at.
fn ask(address: SocketAddr, patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut first = Vec::new();
    let read = stream.take(LIVES.len() as u64).read_to_end(&mut first);
    match read {
        // A socket says of an answer that is late that there is nothing to read just now.
        Err(late) if late.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        read => read.map(|_| first),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What the command says of a listener that answers with this text.
    fn told(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let told = health(&HealthArgs { listen }).map_err(|error| format!("{error:#}"));
        let asked = answering.join().unwrap();
        assert!(asked.starts_with("GET /healthz HTTP/1.1\r\n"), "{asked}");
        told
    }

    #[test]
    fn only_an_answer_of_success_counts_as_living() {
        assert_eq!(told("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Ok(()));
        let refused = told("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
        assert!(refused.ends_with("answers /healthz with HTTP 503"), "{refused}");
        for answer in ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 ", ""] {
            let refused = told(answer).unwrap_err();
            assert!(refused.contains("does not speak HTTP"), "{refused}");
        }
    }

    #[test]
    fn an_answer_that_does_not_come_is_called_late() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let late = ask(listener.local_addr().unwrap(), Duration::from_millis(20)).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn an_address_that_stands_for_all_is_asked_at_the_loopback_one_of_its_family() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:8081"), "[::1]:8081");
        assert_eq!(reached("192.0.2.1:80"), "192.0.2.1:80");
    }
}
