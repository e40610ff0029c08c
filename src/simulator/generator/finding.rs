//! A row of the generated report.
//!
//! All that is random in a row is drawn when it is made, whatever columns are asked, so that a selection has the same
//! cells as the full report.

use super::asset::{Asset, uuid, write};
use super::columns::Column;
use super::cve::Advisory;
use super::random::{Prose, mixed, per_mille, pick, source, zipf};
use super::{GeneratorSettings, Status};

const KIND: u64 = 0x0066_696e;

/// A finding: an advisory on an asset, in a package.
pub(super) struct Finding {
    bits: u64,
    more_bits: u64,
    asset: Asset,
    advisory: Advisory,
    status: &'static str,
    score: Number,
    nvd_score: Number,
    vendor_score: Number,
    severities: Severities,
    detected: [Date; 3],
    package: Package,
}

/// A cell that holds a score, mostly.
enum Number {
    Missing,
    Unreadable(&'static str),
    /// Hundredths, and the character before them.
    Known(u32, char),
}

struct Severities {
    cvss: &'static str,
    overall: &'static str,
    vendor: &'static str,
    nvd: &'static str,
}

struct Date {
    month: u32,
    day: u32,
    second: u32,
    /// Written as Go prints times.
    go: bool,
}

struct Package {
    name: &'static str,
    version: [u32; 3],
}

const STATUSES: [(&str, u32); 10] = [
    ("Open", 800),
    ("OPEN", 15),
    ("open", 10),
    ("", 5),
    ("In Progress", 40),
    ("IN_PROGRESS", 20),
    ("in_progress", 10),
    ("Resolved", 75),
    ("RESOLVED", 15),
    ("Rejected", 10),
];

const PACKAGES: [&str; 16] = [
    "openssl",
    "libcurl4",
    "glibc",
    "linux-image-generic",
    "log4j-core",
    "requests",
    "lodash",
    "python3.10",
    "openssh-server",
    "zlib1g",
    "spring-core",
    "jackson-databind",
    "nginx",
    "sudo",
    "systemd",
    "golang.org/x/net",
];

impl Finding {
    /// The finding of a row.
    pub(super) fn new(settings: &GeneratorSettings, row: u64) -> Self {
        let mut random = source(settings.seed ^ mixed(settings.identity_of(row)), KIND, row);
        let random = &mut random;
        // Some machines have many more findings than others.
        let skewed = zipf(random, settings.assets);
        let asset = if per_mille(random, 700) {
            random.u64(..settings.assets)
        } else {
            skewed
        };
        let advisory = Advisory::new(settings.seed, zipf(random, settings.advisories()));
        let disagreeing = per_mille(random, 50);
        let said = Advisory::severity(advisory.score);
        let other = pick(random, &["Low", "Medium", "High", "Critical"]);
        let mut severity = |silent: u32, silence: &'static str| {
            if per_mille(random, silent) {
                silence
            } else if disagreeing {
                other
            } else {
                said
            }
        };
        let severities = Severities {
            cvss: severity(80, ""),
            overall: severity(20, ""),
            vendor: severity(150, "Informational"),
            nvd: severity(100, "None"),
        };
        let score = Number::new(random, advisory.score, 60);
        let nvd_score = Number::new(random, advisory.score, 100);
        let vendor_score = Number::new(random, advisory.score, 400);
        Self {
            bits: random.u64(..),
            more_bits: random.u64(..),
            asset: Asset::new(settings.seed, asset),
            status: status(random),
            score,
            nvd_score,
            vendor_score,
            severities,
            detected: std::array::from_fn(|_| Date::new(random)),
            package: Package {
                name: PACKAGES[usize::from(advisory.bits.to_le_bytes()[0] % 16)],
                version: std::array::from_fn(|_| random.u32(..20)),
            },
            advisory,
        }
    }

    /// What its status means.
    pub(super) fn status(&self) -> Status {
        Status::read(self.status)
    }

    /// Appends a cell's text, not yet quoted.
    pub(super) fn cell(&self, column: Column, prose: &Prose, cell: &mut String) {
        match column {
            Column::Id => uuid(cell, self.bits, self.more_bits),
            Column::WizUrl => {
                cell.push_str("https://app.wiz.io/explorer/vulnerability-findings#~(entity~(~'");
                uuid(cell, self.bits, self.more_bits);
                cell.push_str("*2cSECURITY_TOOL_FINDING))");
            }
            Column::Name => self.advisory.name(cell),
            Column::CvssSeverity => cell.push_str(self.severities.cvss),
            Column::Severity => cell.push_str(self.severities.overall),
            Column::VendorSeverity => cell.push_str(self.severities.vendor),
            Column::NvdSeverity => cell.push_str(self.severities.nvd),
            Column::HasExploit => boolean(cell, self.advisory.has_exploit),
            Column::HasCisaKevExploit => boolean(cell, self.advisory.known_exploited),
            Column::FindingStatus => cell.push_str(self.status),
            Column::Score => self.score.write(cell),
            Column::NvdScore => self.nvd_score.write(cell),
            Column::VendorScore => self.vendor_score.write(cell),
            Column::CnaScore | Column::ExploitabilityScore | Column::ImpactScore => {
                let tenths = self.advisory.bits.to_le_bytes()[2] % 60;
                write(cell, format_args!("{}.{}", tenths / 10, tenths % 10));
            }
            Column::Epss => write(cell, format_args!("0.{:05}", self.advisory.bits % 100_000)),
            Column::FirstDetected => self.detected[0].write(cell, 2025),
            Column::LastDetected | Column::UpdatedAt => self.detected[1].write(cell, 2026),
            Column::ResolvedAt if self.status() == Status::Resolved => self.detected[2].write(cell, 2026),
            Column::ResolutionReason if self.status() == Status::Resolved => {
                cell.push_str("Vulnerability is fixed");
            }
            Column::CveDescription => {
                cell.push_str(prose.passage(self.advisory.bits, 20 + self.advisory.description_bytes() / 2));
            }
            Column::Description => {
                cell.push_str("The package `");
                cell.push_str(self.package.name);
                cell.push_str("` is vulnerable.\n");
                cell.push_str(prose.passage(self.advisory.bits >> 8, self.advisory.description_bytes()));
            }
            _ => self.package_cell(column, cell),
        }
    }

    /// What follows from the package.
    fn package_cell(&self, column: Column, cell: &mut String) {
        let Package {
            name,
            version: [major, minor, patch],
        } = self.package;
        match column {
            Column::Remediation => write(
                cell,
                format_args!(
                    "sudo apt-get update && sudo apt-get install --only-upgrade {name}={major}.{minor}.{}",
                    patch + 1
                ),
            ),
            Column::LocationPath if self.bits.is_multiple_of(3) => write(
                cell,
                format_args!(
                    "/opt/app-{:02}/lib/{name}-{major}.{minor}.{patch}.jar",
                    self.bits % 40
                ),
            ),
            Column::DetailedName => cell.push_str(name),
            Column::Version => write(cell, format_args!("{major}.{minor}.{patch}")),
            Column::FixedVersion => write(cell, format_args!("{major}.{minor}.{}", patch + 1)),
            Column::DetectionMethod => {
                cell.push_str(if self.bits.is_multiple_of(3) {
                    "Library"
                } else {
                    "Package"
                });
            }
            Column::Link => {
                cell.push_str("https://ubuntu.com/security/");
                self.advisory.name(cell);
            }
            Column::Projects => write(cell, format_args!("payments, platform-{:02}", self.bits % 30)),
            Column::ExecutionControllers if self.bits.is_multiple_of(7) => {
                write(cell, format_args!("deployment/{name}-{:03}", self.bits % 500));
            }
            Column::ExecutionControllersKubernetesClusterNames if self.bits.is_multiple_of(7) => {
                write(cell, format_args!("prod-cluster-{:02}", self.bits % 20));
            }
            Column::CriticalRelatedIssuesCount
            | Column::HighRelatedIssuesCount
            | Column::MediumRelatedIssuesCount
            | Column::LowRelatedIssuesCount
            | Column::InfoRelatedIssuesCount => {
                write(cell, format_args!("{}", self.more_bits.to_le_bytes()[1] % 4));
            }
            _ => self.asset_cell(column, cell),
        }
    }

    /// What follows from the asset; further cells are empty.
    fn asset_cell(&self, column: Column, cell: &mut String) {
        let asset = &self.asset;
        match column {
            Column::AssetId => asset.id(cell),
            Column::AssetName => asset.name(cell),
            Column::AssetRegion => cell.push_str(asset.region()),
            Column::AssetType => cell.push_str("VIRTUAL_MACHINE"),
            Column::ProviderUniqueId => asset.provider_id(cell),
            Column::CloudProviderUrl => asset.cloud_url(cell),
            Column::CloudPlatform => cell.push_str(asset.platform()),
            Column::Status => cell.push_str("Active"),
            Column::SubscriptionExternalId => asset.subscription_external_id(cell),
            Column::SubscriptionId => asset.subscription_id(cell),
            Column::SubscriptionName => asset.subscription_name(cell),
            Column::Tags => asset.tags(cell),
            Column::OperatingSystem => cell.push_str(asset.operating_system()),
            Column::IpAddresses => asset.ip_addresses(cell),
            _ => {}
        }
    }
}

fn status(random: &mut fastrand::Rng) -> &'static str {
    let mut left = random.u32(..1000);
    for (status, share) in STATUSES {
        if left < share {
            return status;
        }
        left -= share;
    }
    STATUSES[0].0
}

fn boolean(cell: &mut String, value: bool) {
    cell.push_str(if value { "true" } else { "false" });
}

impl Number {
    fn new(random: &mut fastrand::Rng, tenths: u32, missing: u32) -> Self {
        let (chance, exact) = (random.u32(..1000), random.u32(..1000));
        if chance < missing {
            return Self::Missing;
        }
        if chance >= 997 {
            return Self::Unreadable(pick(random, &["N/A", "-", "unknown"]));
        }
        // Most scores have one decimal, a few a second one, and some a comma.
        let hundredths = if exact < 10 && tenths < 100 {
            random.u32(1..10)
        } else {
            0
        };
        let point = if exact >= 970 { ',' } else { '.' };
        Self::Known(tenths * 10 + hundredths, point)
    }

    fn write(&self, cell: &mut String) {
        match *self {
            Self::Missing => {}
            Self::Unreadable(text) => cell.push_str(text),
            Self::Known(number, point) if number.is_multiple_of(10) => {
                write(cell, format_args!("{}{point}{}", number / 100, number / 10 % 10));
            }
            Self::Known(number, point) => {
                write(cell, format_args!("{}{point}{:02}", number / 100, number % 100));
            }
        }
    }
}

impl Date {
    fn new(random: &mut fastrand::Rng) -> Self {
        Self {
            month: random.u32(1..12),
            day: random.u32(1..29),
            second: random.u32(..86_400),
            go: per_mille(random, 100),
        }
    }

    fn write(&self, cell: &mut String, year: u32) {
        let Self {
            month,
            day,
            second,
            go,
        } = *self;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        if go {
            write(
                cell,
                format_args!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.43042 +0000 UTC"),
            );
        } else {
            write(
                cell,
                format_args!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            );
        }
    }
}
