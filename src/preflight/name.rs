//! The host's name: programs that look up their own (brokers, mail, sudo) fail or wait when it does not resolve.

use std::net::IpAddr;

use super::{Finding, PATIENCE, ok, warning};
use crate::facts::Facts;
use crate::facts::probe::text;
use crate::host::Host;
use crate::system::net::wire;

pub(crate) fn name(host: &dyn Host, facts: &Facts) -> Finding {
    let name = facts.hostname.as_str();
    if matches!(name, "" | "localhost" | "(none)") {
        return warning("this server has no host name", "set one: `hostnamectl set-hostname NAME`");
    }
    let full = if facts.fqdn == name { String::new() } else { format!(" ({})", facts.fqdn) };
    let Ok(addresses) = wire::resolve_within(host, name, PATIENCE) else {
        return warning(format!("{name}{full} does not resolve"), hosts_line(facts));
    };
    let own = own_addresses(host);
    match addresses.iter().find(|address| !address.is_loopback() && !own.contains(address)) {
        // Where the kernel does not say which addresses are ours, none is foreign.
        Some(foreign) if !own.is_empty() => warning(
            format!("{name}{full} resolves to {foreign}, not to this server"),
            format!("{}; and check its other entries in /etc/hosts and DNS", hosts_line(facts)),
        ),
        _ => ok(format!("{name}{full} resolves to this server ({})", addresses[0])),
    }
}

fn hosts_line(facts: &Facts) -> String {
    let names =
        if facts.fqdn == facts.hostname { facts.fqdn.clone() } else { format!("{} {}", facts.fqdn, facts.hostname) };
    format!("add the line `127.0.1.1 {names}` to /etc/hosts")
}

/// Our addresses, as the kernel's routing tables know them. Every line of `/proc/net/fib_trie` with an address is
/// followed by lines that say what it is: `/32 host LOCAL` is one of ours.
fn own_addresses(host: &dyn Host) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = Vec::new();
    let mut last = None;
    for line in text(host, "/proc/net/fib_trie").lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            own.extend(last);
        }
    }
    own.extend(text(host, "/proc/net/if_inet6").lines().filter_map(|line| {
        let bytes = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        Some(IpAddr::V6(bytes.into()))
    }));
    own
}
