//! What has to hold, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wiz_context::simulator::Simulator;

use crate::reports::Labels;
use crate::world::World;

/// An address and a context.
pub(crate) type Pair = (IpAddr, String);

/// A property that a history broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) property: &'static str,
    pub(crate) detail: String,
}

impl Broken {
    pub(crate) fn new(property: &'static str, detail: impl Into<String>) -> Self {
        Self {
            property,
            detail: detail.into(),
        }
    }
}

/// A row of the ledger as it is stored.
pub(crate) struct LedgerRow {
    pub(crate) ip: Vec<u8>,
    pub(crate) context: String,
    pub(crate) acknowledged: Option<String>,
    pub(crate) sent: Option<String>,
}

impl LedgerRow {
    pub(crate) fn pair(&self) -> Pair {
        (stored_ip(&self.ip), self.context.clone())
    }

    fn acknowledged(&self) -> Option<Vec<String>> {
        let lines = self.acknowledged.as_ref()?;
        Some(lines.lines().map(str::to_owned).collect())
    }
}

/// An address as it is stored: the family, and the octets.
pub(crate) fn stored_ip(stored: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(&stored[1..]) {
        Ok(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&stored[1..]).unwrap())),
    }
}

/// Labels of another product. One is at an address of reports, one at an address and in a context that no report gives.
pub(crate) fn foreign() -> Labels {
    [
        ("10.0.0.2", "owner", "alice"),
        ("2001:db8::4", "cve", "by hand"),
        ("10.9.9.9", "cve", "CVE-1999-0001"),
        ("10.9.9.9", "vuln_count", "1"),
    ]
    .map(|(ip, context, label)| ((ip.parse().unwrap(), context.to_owned()), vec![label.to_owned()]))
    .into()
}

/// At any time: nobody touched what another product wrote.
pub(crate) fn foreign_labels_are_untouched(world: &World) -> Result<(), Broken> {
    let held = world.fusion().labels();
    for (pair, labels) in foreign() {
        if held.get(&pair) != Some(&labels) {
            let detail = format!("{pair:?} is {:?} and was {labels:?}", held.get(&pair));
            return Err(Broken::new("foreign_labels_are_untouched", detail));
        }
    }
    Ok(())
}

/// At any time: the neighbours saw nothing that they must not, such as a second report of a name, one pair in two bodies
/// at once, or the deletion of a label that was never sent.
pub(crate) fn nobody_did_what_he_must_not(world: &World) -> Result<(), Broken> {
    let violations: Vec<_> = world.simulators.iter().flat_map(Simulator::violations).collect();
    match violations.first() {
        Some(violation) => Err(Broken::new("nobody_did_what_he_must_not", violation)),
        None => Ok(()),
    }
}

/// At any time: each label in Fusion is another's, was given up with its integration, or is in the ledger; and what the
/// ledger does not doubt is so, but where somebody changed it by hand.
pub(crate) fn the_ledger_knows_what_fusion_holds(
    world: &mut World,
    given_up: &mut BTreeSet<Pair>,
    by_hand: &mut BTreeSet<Pair>,
) -> Result<(), Broken> {
    let broken = |detail: String| Err(Broken::new("the_ledger_knows_what_fusion_holds", detail));
    let ledger: BTreeMap<Pair, LedgerRow> = world.ledger().into_iter().map(|row| (row.pair(), row)).collect();
    let held = world.fusion().labels();
    let may_come = world.works();
    // What is in the ledger again is given up no more, nor what is not in Fusion once nothing can get there any more.
    given_up.retain(|pair| !ledger.contains_key(pair) && (may_come || held.contains_key(pair)));
    // Until the service has sent the pair anew.
    by_hand.retain(|pair| {
        let row = ledger.get(pair);
        row.is_some_and(|row| row.sent.is_some() || row.acknowledged().as_ref() != held.get(pair))
    });
    let foreign = foreign();
    for (pair, labels) in &held {
        if !foreign.contains_key(pair) && !given_up.contains(pair) && !ledger.contains_key(pair) {
            return broken(format!(
                "Fusion holds {labels:?} for {pair:?}, of which the ledger knows nothing"
            ));
        }
    }
    for (pair, row) in &ledger {
        let (acknowledged, holds) = (row.acknowledged(), held.get(pair));
        if row.sent.is_none() && acknowledged.as_ref() != holds && !by_hand.contains(pair) {
            return broken(format!(
                "{pair:?} is {acknowledged:?} by the ledger, and {holds:?} in Fusion"
            ));
        }
    }
    Ok(())
}

/// At any time: what a run kept back is not removed but by its approval, or with its integration.
pub(crate) fn nothing_that_is_kept_back_is_lost(world: &mut World) -> Result<(), Broken> {
    match world.lost_though_kept_back() {
        Some(pair) => Err(Broken::new(
            "nothing_that_is_kept_back_is_lost",
            format!("{pair:?}"),
        )),
        None => Ok(()),
    }
}

/// At any time: no run of a new report removed more than it may without asking. Where that is more than forty pairs it is more
/// than a fifth too, for no report here gives two hundred.
pub(crate) fn no_run_removes_many_without_asking(world: &mut World) -> Result<(), Broken> {
    match world.removed_too_many() {
        Some((run, pairs)) => {
            let detail = format!("{run} removed {pairs} pairs");
            Err(Broken::new("no_run_removes_many_without_asking", detail))
        }
        None => Ok(()),
    }
}

/// When an integration is deleted: each address that facts of another name keeps at least its number of findings.
pub(crate) fn nobody_wants_what_is_given_up(
    world: &mut World,
    integration: &str,
    given_up: &BTreeSet<Pair>,
) -> Result<(), Broken> {
    for (ip,) in world.named_when_deleted(integration) {
        let pair = (stored_ip(&ip), "vuln_count".to_owned());
        if given_up.contains(&pair) {
            return Err(Broken::new("nobody_wants_what_is_given_up", format!("{pair:?}")));
        }
    }
    Ok(())
}

/// At the end: nothing is in doubt.
pub(crate) fn nothing_is_in_doubt(world: &mut World) -> Result<(), Broken> {
    match world.ledger().iter().find(|row| row.sent.is_some()) {
        Some(row) => Err(Broken::new(
            "nothing_is_in_doubt",
            format!("{:?} is {:?}", row.pair(), row.sent),
        )),
        None => Ok(()),
    }
}

/// At the end: Fusion holds what the reports say, and beside that only what is another's or was given up.
pub(crate) fn fusion_holds_what_the_reports_say(
    world: &World,
    wanted: &Labels,
    given_up: &BTreeSet<Pair>,
) -> Result<(), Broken> {
    let broken = |detail: String| Err(Broken::new("fusion_holds_what_the_reports_say", detail));
    let held = world.fusion().labels();
    for (pair, labels) in wanted {
        if held.get(pair) != Some(labels) {
            return broken(format!(
                "{pair:?} is {:?} and should be {labels:?}",
                held.get(pair)
            ));
        }
    }
    let foreign = foreign();
    let mut others = held.iter().filter(|(pair, _)| !wanted.contains_key(*pair));
    match others.find(|(pair, _)| !foreign.contains_key(*pair) && !given_up.contains(*pair)) {
        Some((pair, labels)) => broken(format!("{pair:?} is {labels:?}, and nothing wants it")),
        None => Ok(()),
    }
}

/// At the end: no account of Wiz has more reports than integrations that ever pointed to it.
pub(crate) fn there_is_one_report_per_integration(world: &World, pointed: &[usize; 2]) -> Result<(), Broken> {
    for (simulator, most) in world.simulators.iter().zip(pointed) {
        let names: Vec<_> = simulator
            .reports()
            .into_iter()
            .map(|report| report.name)
            .collect();
        if names.len() > *most {
            let detail = format!("{names:?} where {most} integrations were");
            return Err(Broken::new("there_is_one_report_per_integration", detail));
        }
    }
    Ok(())
}

/// At any time: no error is in the log, for everything that goes wrong here is expected to.
pub(crate) fn no_error_is_logged(world: &World) -> Result<(), Broken> {
    match world.watch.errors().first() {
        Some(error) => Err(Broken::new("no_error_is_logged", error)),
        None => Ok(()),
    }
}
