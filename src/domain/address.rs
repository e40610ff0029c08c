//! IP addresses that can carry a label.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An IP address that can carry a label: neither loopback, unspecified, link-local nor multicast, and never an
/// IPv4-mapped IPv6 address. IPv4 orders before IPv6, each by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "IpAddr", into = "IpAddr")]
pub struct Address(IpAddr);

/// Why a text gives no address that could carry a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum AddressProblem {
    /// Not an IP address, or a network of more than one.
    #[error("not an IP address")]
    Unparsable,
    /// `127.0.0.0/8`, `::1`.
    #[error("a loopback address")]
    Loopback,
    /// `0.0.0.0`, `::`.
    #[error("the unspecified address")]
    Unspecified,
    /// `169.254.0.0/16`, `fe80::/10`.
    #[error("a link-local address")]
    LinkLocal,
    /// `224.0.0.0/4`, `ff00::/8`.
    #[error("a multicast address")]
    Multicast,
    /// In one of the networks that the operator excluded.
    #[error("in an excluded network")]
    SkippedNetwork,
}

impl AddressProblem {
    /// The key under which a run counts what it skipped.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unparsable => "address_unparsable",
            Self::Loopback => "address_loopback",
            Self::Unspecified => "address_unspecified",
            Self::LinkLocal => "address_link_local",
            Self::Multicast => "address_multicast",
            Self::SkippedNetwork => "address_skipped_network",
        }
    }
}

impl Address {
    /// Reads one address; a `/32` of IPv4, a `/128` of IPv6 and a zone (`%eth0`) are dropped.
    ///
    /// # Errors
    /// The reason why the text gives no address that could carry a label; excluded networks are not looked at here
    /// (see [`Policy`](super::Policy)).
    pub fn read(text: &str) -> Result<Self, AddressProblem> {
        let (text, prefix) = match text.split_once('/') {
            Some((text, prefix)) => (text, Some(prefix)),
            None => (text, None),
        };
        let address = match text.split_once('%') {
            Some((text, zone)) if !zone.is_empty() => text.parse().map(IpAddr::V6).ok(),
            Some(_) => None,
            None => text.parse().ok(),
        };
        match (address, prefix) {
            (Some(address), None)
            | (Some(address @ IpAddr::V4(_)), Some("32"))
            | (Some(address @ IpAddr::V6(_)), Some("128")) => Self::try_from(address),
            _ => Err(AddressProblem::Unparsable),
        }
    }

    /// The plain address.
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// The stored form, which orders like the address: the digit 4 or 6, then the address in network order.
    pub fn to_stored(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => [&[4], &address.octets()[..]].concat(),
            IpAddr::V6(address) => [&[6], &address.octets()[..]].concat(),
        }
    }

    /// The address of a stored form; `None` when the bytes are none.
    pub fn from_stored(stored: &[u8]) -> Option<Self> {
        let address = match stored.split_first()? {
            (4, octets) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
            (6, octets) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
            _ => return None,
        };
        Self::try_from(address).ok()
    }
}

impl TryFrom<IpAddr> for Address {
    type Error = AddressProblem;

    fn try_from(address: IpAddr) -> Result<Self, AddressProblem> {
        let address = address.to_canonical();
        let link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        match address {
            _ if address.is_unspecified() => Err(AddressProblem::Unspecified),
            _ if address.is_loopback() => Err(AddressProblem::Loopback),
            _ if address.is_multicast() => Err(AddressProblem::Multicast),
            _ if link_local => Err(AddressProblem::LinkLocal),
            _ => Ok(Self(address)),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    /// Dotted decimal, or RFC 5952 for IPv6.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, AddressProblem> {
        Address::read(text).map(|address| address.to_string())
    }

    #[test]
    fn addresses_are_written_in_one_form_only() {
        for (text, written) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::FFFF:0A01:0203/128", "10.1.2.3"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("2001:db8::1%eth0", "2001:db8::1"),
            ("2001:db8::1%eth0/128", "2001:db8::1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(written), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_carry_a_label_says_why() {
        for (text, problem) in [
            ("", AddressProblem::Unparsable),
            ("host.example", AddressProblem::Unparsable),
            ("010.1.2.3", AddressProblem::Unparsable),
            ("10.1.2.0/24", AddressProblem::Unparsable),
            ("10.1.2.3/128", AddressProblem::Unparsable),
            ("2001:db8::/32", AddressProblem::Unparsable),
            ("10.1.2.3%eth0", AddressProblem::Unparsable),
            ("2001:db8::1%", AddressProblem::Unparsable),
            ("127.0.0.1", AddressProblem::Loopback),
            ("::ffff:127.9.9.9", AddressProblem::Loopback),
            ("::1", AddressProblem::Loopback),
            ("0.0.0.0", AddressProblem::Unspecified),
            ("::", AddressProblem::Unspecified),
            ("169.254.1.1", AddressProblem::LinkLocal),
            ("fe80::1%eth0", AddressProblem::LinkLocal),
            ("224.0.0.1", AddressProblem::Multicast),
            ("ff02::1", AddressProblem::Multicast),
        ] {
            assert_eq!(read(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn stored_forms_order_like_the_addresses() {
        let texts = [
            "1.2.3.4",
            "9.255.0.0",
            "200.0.0.1",
            "::2",
            "2001:db8::1",
            "fd00::1",
        ];
        let addresses: Vec<_> = texts.iter().map(|text| Address::read(text).unwrap()).collect();
        let stored: Vec<_> = addresses.iter().map(|address| address.to_stored()).collect();
        assert!(addresses.is_sorted() && stored.is_sorted());
        for (address, stored) in addresses.iter().zip(&stored) {
            assert_eq!(Address::from_stored(stored), Some(*address));
        }
        assert_eq!(Address::from_stored(&[4, 127, 0, 0, 1]), None);
        assert_eq!(Address::from_stored(&[4, 1, 2, 3]), None);
    }
}
