//! An asset of the generator: a machine with its ids, tags and addresses, made anew from its index whenever it is
//! wanted, so that any number of them takes no memory.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::random::{mixed, pick, source};

const KIND: u64 = 0x0061_7373_6574;

/// A machine. What cells say of it follows from these numbers alone.
pub(super) struct Asset {
    index: u64,
    /// Random bits for ids and for choices that nothing else depends on.
    bits: u64,
    /// A second word of them.
    more_bits: u64,
    keyed: Keyed,
    addresses: Addresses,
    cloud: &'static Cloud,
}

/// By what a report names the asset.
enum Keyed {
    AssetId,
    ProviderIdOnly,
    Nothing,
}

/// What its address cell holds.
enum Addresses {
    None,
    One,
    /// Private and public ones, between them this separator.
    Several(&'static str),
    /// A JSON list.
    List,
    OnlyIpv6,
    /// An address that a number of other assets have too.
    Shared,
    /// With some that carry no label: loopback, link-local, names.
    WithUseless(&'static str),
    /// Forms that mean a plain address: mapped, with a prefix, with capitals.
    OddForms,
}

struct Cloud {
    platform: &'static str,
    regions: [&'static str; 4],
    url: &'static str,
}

static CLOUDS: [Cloud; 3] = [
    Cloud {
        platform: "AWS",
        regions: ["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2"],
        url: "https://console.aws.amazon.com/ec2/v2/home#InstanceDetails:instanceId=i-",
    },
    Cloud {
        platform: "Azure",
        regions: ["eastus", "westeurope", "northeurope", "australiaeast"],
        url: "https://portal.azure.com/#resource/virtualMachines/",
    },
    Cloud {
        platform: "GCP",
        regions: ["us-central1", "europe-west4", "asia-east1", "us-east4"],
        url: "https://console.cloud.google.com/compute/instancesDetail/",
    },
];

const SEPARATORS: [&str; 8] = [", ", ",", ";", "; ", "|", " | ", " ", "\n"];
const USELESS: [&str; 8] = [
    "127.0.0.1",
    "::1",
    "169.254.10.20",
    "fe80::1%eth0",
    "0.0.0.0",
    "224.0.0.251",
    "ip-10-0-0-1.internal",
    "n/a",
];

impl Asset {
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut random = source(seed, KIND, index);
        let (bits, more_bits) = (random.u64(..), random.u64(..));
        let keyed = match random.u32(..1000) {
            0..20 => Keyed::ProviderIdOnly,
            20..25 => Keyed::Nothing,
            _ => Keyed::AssetId,
        };
        let addresses = match random.u32(..1000) {
            0..60 => Addresses::None,
            60..240 => Addresses::Several(pick(&mut random, &SEPARATORS)),
            240..300 => Addresses::List,
            300..330 => Addresses::OnlyIpv6,
            330..360 => Addresses::Shared,
            360..390 => Addresses::WithUseless(pick(&mut random, &USELESS)),
            390..410 => Addresses::OddForms,
            _ => Addresses::One,
        };
        let cloud = &CLOUDS[random.usize(..CLOUDS.len())];
        Self {
            index,
            bits,
            more_bits,
            keyed,
            addresses,
            cloud,
        }
    }

    pub(super) fn id(&self, cell: &mut String) {
        if matches!(self.keyed, Keyed::AssetId) {
            uuid(cell, self.bits, self.more_bits);
        }
    }

    pub(super) fn provider_id(&self, cell: &mut String) {
        if !matches!(self.keyed, Keyed::Nothing) {
            let (account, instance) = (self.account(), self.bits);
            write(
                cell,
                format_args!(
                    "arn:aws:ec2:{}:{account:012}:instance/i-{instance:016x}",
                    self.region()
                ),
            );
        }
    }

    pub(super) fn name(&self, cell: &mut String) {
        const ROLES: [&str; 8] = ["web", "api", "db", "cache", "batch", "build", "edge", "mail"];
        let role = ROLES[usize::from(self.bits.to_le_bytes()[0] % 8)];
        write(cell, format_args!("{role}-{:06}.prod.example.com", self.index));
    }

    pub(super) fn region(&self) -> &'static str {
        self.cloud.regions[usize::from(self.bits.to_le_bytes()[1] % 4)]
    }

    pub(super) fn platform(&self) -> &'static str {
        self.cloud.platform
    }

    pub(super) fn cloud_url(&self, cell: &mut String) {
        write(cell, format_args!("{}{:016x}", self.cloud.url, self.bits));
    }

    /// Assets share some hundred subscriptions.
    fn account(&self) -> u64 {
        mixed(self.more_bits % 200) % 1_000_000_000_000
    }

    pub(super) fn subscription_external_id(&self, cell: &mut String) {
        write(cell, format_args!("{:012}", self.account()));
    }

    pub(super) fn subscription_id(&self, cell: &mut String) {
        let account = self.account();
        uuid(cell, mixed(account), mixed(account ^ 1));
    }

    pub(super) fn subscription_name(&self, cell: &mut String) {
        write(cell, format_args!("payments-prod-{:03}", self.more_bits % 200));
    }

    pub(super) fn tags(&self, cell: &mut String) {
        let (team, cost) = (self.more_bits % 40, self.bits % 9000);
        write(
            cell,
            format_args!(
                r#"{{"Name":"host-{:06}","environment":"production","team":"team-{team:02}","cost-center":"{cost:04}"}}"#,
                self.index
            ),
        );
    }

    pub(super) fn operating_system(&self) -> &'static str {
        const SYSTEMS: [&str; 4] = [
            "Ubuntu 22.04",
            "Amazon Linux 2023",
            "Windows Server 2022",
            "Debian 12",
        ];
        SYSTEMS[usize::from(self.bits.to_le_bytes()[2] % 4)]
    }

    pub(super) fn ip_addresses(&self, cell: &mut String) {
        let (private, public, six) = (self.private(), self.public(), self.six());
        match self.addresses {
            Addresses::None => {}
            Addresses::One => write(cell, format_args!("{private}")),
            Addresses::Several(between) if self.more_bits.is_multiple_of(3) => {
                write(cell, format_args!("{private}{between}{public}{between}{six}"));
            }
            Addresses::Several(between) => write(cell, format_args!("{private}{between}{public}")),
            Addresses::List => write(cell, format_args!(r#"["{private}","{public}","{six}"]"#)),
            Addresses::OnlyIpv6 => write(cell, format_args!("{six}")),
            Addresses::Shared => {
                // A few addresses behind which there are many machines: gateways, load balancers.
                let shared = Ipv4Addr::from(0x0aff_ff00 | u32::from(self.bits.to_le_bytes()[3] % 32));
                write(cell, format_args!("{private}, {shared}"));
            }
            Addresses::WithUseless(useless) => write(cell, format_args!("{useless}, {private}")),
            Addresses::OddForms => match self.more_bits % 3 {
                0 => write(cell, format_args!("{private}/32")),
                1 => write(cell, format_args!("::ffff:{private}; {public}")),
                _ => write(cell, format_args!("{:#X}", SixInCapitals(six))),
            },
        }
    }

    /// In 10.0.0.0/9, each asset's own up to eight million of them.
    fn private(&self) -> Ipv4Addr {
        Ipv4Addr::from(0x0a00_0000 | spread(self.index) & 0x7f_ffff)
    }

    /// In 34.0.0.0/8, each asset's own up to sixteen million of them.
    fn public(&self) -> Ipv4Addr {
        Ipv4Addr::from(0x2200_0000 | spread(self.index.wrapping_add(0x5555)))
    }

    fn six(&self) -> Ipv6Addr {
        let high = 0x2001_0db8_0000_0000 | u64::from(spread(self.index) & 0xff) << 16;
        Ipv6Addr::from(u128::from(high) << 64 | u128::from(self.index + 1))
    }
}

/// An address in the form that some tools print: capitals, nothing shortened.
struct SixInCapitals(Ipv6Addr);

impl std::fmt::UpperHex for SixInCapitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, group) in self.0.segments().iter().enumerate() {
            write!(f, "{}{group:04X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Scatters the first 2²⁴ indexes over 24 bits, each to a place of its own (the factor is odd), and so the first 2²³
/// over the lower 23.
fn spread(index: u64) -> u32 {
    u32::try_from(index.wrapping_mul(0x9e_3779 * 2 + 1) & 0xff_ffff).expect("24 bits")
}

/// Writes 128 bits as a UUID.
pub(super) fn uuid(cell: &mut String, high: u64, low: u64) {
    let id = uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
        .into_uuid();
    cell.push_str(id.hyphenated().encode_lower(&mut [0; 36]));
}

/// Writes to a cell, which cannot fail.
pub(super) fn write(cell: &mut String, text: std::fmt::Arguments<'_>) {
    cell.write_fmt(text).expect("a string takes any text");
}
