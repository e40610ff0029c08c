//! Which addresses are in the public internet.

use std::net::{IpAddr, Ipv4Addr};

/// Whether an address lies in the public internet; every form that stands for an IPv4 address is judged by that one.
#[expect(clippy::match_same_arms, reason = "a line a reason to refuse")]
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.segments() {
            // mapped, translated (RFC 6052) and tunnelled (6to4) addresses
            [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
                is_public_v4(embedded(a, b))
            }
            // unspecified, loopback, and the long outdated form with an IPv4 address at its end
            [0, 0, 0, 0, 0, 0, ..] => false,
            // tunnels that hide an IPv4 address (Teredo), names of hosts (ORCHID), and what is for books only
            [0x2001, 0 | 0x10..=0x2f | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
            // benchmarking
            [0x2001, 2, 0, ..] => false,
            // tunnels within a site (ISATAP), which end at the IPv4 address
            [first, .., 0 | 0x200, 0x5efe, a, b] if first & 0xe000 == 0x2000 => is_public_v4(embedded(a, b)),
            // only 2000::/3 is given out for use in the internet
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

const fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[expect(clippy::match_same_arms, reason = "a line a reason to refuse")]
const fn is_public_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // this network, private, loopback, multicast, reserved
        [0 | 10 | 127 | 224..=255, ..] => false,
        // shared by carriers (and some clouds' metadata), link-local (most clouds' metadata), private
        [100, 64..=127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..] => false,
        // what the machines of a cloud are served by (Azure), though it is in a public network; relays to IPv6 (6to4)
        [168, 63, 129, 16] | [192, 88, 99, _] => false,
        // protocol assignments, benchmarks, documentation
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "192.88.99.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2001:0:a00:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2600:1f18::5efe:10.0.0.1",
            "2600:1f18::200:5efe:a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "64:ff9b::7f00:1",
            "2001:db8::1",
            "3fff:0:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "168.63.129.17",
            "192.0.1.1",
            "192.88.98.1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2001:4860::1",
            "2001:3::1",
            "2600:1f18::5efe:101:101",
            "2600:1f18::1",
            "2a05:d018::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
