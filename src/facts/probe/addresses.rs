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

/// `resolv.conf(5)`; a link-local address, which names its interface after a `%`, is left out.
pub fn name_servers(host: &dyn Host) -> Vec<String> {
    let text = text(host, "/etc/resolv.conf");
    let mut all: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next());
        if let Some(address) = address.and_then(|word| word.parse::<IpAddr>().ok()).map(|ip| ip.to_string())
            && !all.contains(&address)
        {
            all.push(address);
        }
    }
    all
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

    #[test]
    fn name_servers_are_read_as_the_resolver_reads_them() {
        let host = FakeHost::new();
        assert!(name_servers(&host).is_empty());
        let text = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 # ours\n\
                    nameserver fe80::1%eth0\n; nameserver 192.0.2.2\nnameserver 192.0.2.53\nnameserver name\n";
        host.put_file("/etc/resolv.conf", text, 0o644);
        assert_eq!(name_servers(&host), ["192.0.2.53", "2001:db8::53"]);
    }
}
