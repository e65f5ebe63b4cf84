//! The addresses of this server.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::text;
use crate::host::Host;

/// All of them, loopback too, but for link-local ones, which mean nothing without their interface.
pub fn find(host: &dyn Host) -> Vec<String> {
    let mut all: BTreeSet<IpAddr> = BTreeSet::new();
    let tree = text(host, "/proc/net/fib_trie");
    let mut last = "";
    for line in tree.lines() {
        // "  |-- 10.0.0.5" and below it "     /32 host LOCAL" for an address of ours.
        match line.trim().strip_prefix("|-- ") {
            Some(address) => last = address,
            None if line.contains("/32 host LOCAL") => all.extend(last.parse::<Ipv4Addr>().map(IpAddr::V4)),
            None => {}
        }
    }
    let digits = text(host, "/proc/net/if_inet6");
    let hex = digits.lines().filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok());
    all.extend(hex.map(Ipv6Addr::from).filter(|ip| ip.segments()[0] & 0xffc0 != 0xfe80).map(IpAddr::V6));
    all.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn addresses_of_both_kinds_are_found() {
        let host = FakeHost::new();
        let tree = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        host.put_file("/proc/net/fib_trie", tree, 0o444);
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     20010db8000000000000000000000005 02 40 00 80     eth0\n\
                     fe80000000000000d0ecf0fffe000001 02 40 20 80     eth0\n";
        host.put_file("/proc/net/if_inet6", inet6, 0o444);
        assert_eq!(find(&host), ["10.0.0.5", "::1", "2001:db8::5"]);
    }
}
