//! The report, and the client that only sends.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use wiz_context::clock::Clock;
use wiz_context::domain::{Address, AllowedHosts, Context, LabelRecord, Labels, Pair};
use wiz_context::fusion::{FusionAccount, FusionClient};
use wiz_context::outgoing::{Outgoing, OutgoingSettings};

use crate::neighbours::Neighbours;
use crate::service::float;

const HEADER: &str = "Name,FindingStatus,CVSSSeverity,Score,Severity,VendorSeverity,NvdSeverity,NVDScore,VendorScore,HasExploit,\
                      HasCisaKevExploit,AssetID,AssetName,ProviderUniqueId,IpAddresses\n";

/// A report of so many addresses, each an asset's, a fifth of them with several CVEs. `version` tells of an address which of
/// its reports it is; `None`: it is not in it. The order of the assets' ids is not that of the addresses.
pub(crate) fn of(addresses: u64, version: impl Fn(u32) -> Option<u64>) -> Vec<u8> {
    let mut csv = HEADER.to_owned();
    for number in 0..u32::try_from(addresses).unwrap() {
        let Some(version) = version(number) else { continue };
        let (ip, asset) = (
            Ipv4Addr::from(0x0a00_0000 + number),
            number.wrapping_mul(2_654_435_761),
        );
        for finding in 0..if number % 5 == 0 { 3 } else { 1 } {
            let (cve, score) = (
                1000 + (number + finding * 7919) % 8000,
                70 + (u64::from(number) + version) % 30,
            );
            writeln!(
                csv,
                "CVE-2024-{cve},Open,High,{}.{},High,,,,,false,false,{asset:08x},vm-{number},,{ip}",
                score / 10,
                score % 10
            )
            .unwrap();
        }
    }
    csv.into_bytes()
}

/// Sends as many labels in prepared records through the client of Fusion alone: no plan, no ledger.
pub(crate) async fn bare_client(neighbours: &Neighbours, addresses: u64, under_way: usize, delay_ms: u64) {
    let allowed: AllowedHosts = neighbours.hosts.parse().unwrap();
    let account = FusionAccount::read(&neighbours.netosecret, &allowed).unwrap();
    let settings = OutgoingSettings {
        allowed,
        ca_file: None,
    };
    let client = FusionClient::new(
        Outgoing::new(settings, Clock::system()).unwrap(),
        Clock::system(),
        account,
    );
    client.sign_in().await.unwrap();
    let record = |number: u32| {
        let ip = Address::try_from(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))).unwrap();
        Context::ALL.map(|context| LabelRecord {
            pair: Pair { ip, context },
            labels: Labels::from_lines("CVE-2024-1000").unwrap(),
        })
    };
    let own = (0..u32::try_from(addresses).unwrap()).filter(|number| number % 2 == 1);
    let records: Arc<[LabelRecord]> = own.flat_map(record).collect();
    let began = Instant::now();
    let mut sending = JoinSet::new();
    for batch in 0..records.len().div_ceil(10_000) {
        if sending.len() >= under_way {
            sending.join_next().await.unwrap().unwrap();
        }
        let (client, records) = (client.clone(), Arc::clone(&records));
        sending.spawn(async move {
            let batch = &records[batch * 10_000..(batch * 10_000 + 10_000).min(records.len())];
            client.put(batch).await.unwrap();
        });
    }
    sending.join_all().await;
    let took = began.elapsed();
    println!(
        "| the client alone: {under_way} at a time, answers after {delay_ms} ms | {:.1} | {:.0} | | | |",
        took.as_secs_f64(),
        float(records.len() as u64) / took.as_secs_f64()
    );
}
