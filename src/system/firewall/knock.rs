//! Port knocking: SSH is let in for anyone who has tried to connect to some ports in order. The kernel keeps count in
//! sets of `nftables`, so that no daemon such as knockd reads every packet, and none can die and lock everybody out.
//!
//! A connection to any port that is closed, but for the next of the row, begins anew: a scan finds no order. Knocks can
//! be overheard and are no password; they keep scanners from SSH, not anyone who listens on the line.

use super::opening::{Allow, Ports, Protocol};

/// Seconds within which the next knock must come.
const NEXT: u32 = 15;
/// Seconds for which SSH is open after the last knock; established connections continue.
const OPEN: u32 = 30;
/// So many ports at least: fewer are found by chance.
const FEWEST: usize = 3;
/// The longest sequence that is reasonable to type.
const MOST: usize = 8;
/// How many addresses a set holds. Anyone who forges more than that within seconds delays the knocks of others.
const SIZE: u32 = 65535;

/// The families, with their types of address in `nftables`.
const FAMILIES: [(&str, &str); 2] = [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")];

/// What is wrong with these ports to knock on, beside those that are let in and those of SSH.
pub fn problems(ports: &[u16], allowed: &[Allow], ssh: &[u16]) -> Vec<String> {
    if ports.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if !(FEWEST..=MOST).contains(&ports.len()) {
        found.push(format!("{} ports are not a knock sequence: it takes {FEWEST} to {MOST}", ports.len()));
    }
    for (at, port) in ports.iter().enumerate() {
        let is_let_in = |allow: &Allow| allow.protocol == Protocol::Tcp && allow.port.meets(Ports::one(*port));
        if *port == 0 {
            found.push("0 is not a port".to_owned());
        } else if ports[..at].contains(port) {
            found.push(format!("port {port} is in the sequence twice"));
        } else if ssh.contains(port) {
            found.push(format!("port {port} is SSH itself"));
        } else if allowed.iter().any(is_let_in) {
            found.push(format!("port {port} is open for something else"));
        }
    }
    if ports.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1])) {
        found.push("a port scan would knock on them in this order".to_owned());
    }
    found
}

/// The row of one of those who ask for openings.
pub(crate) struct Knock<'a> {
    /// Who asks.
    pub(crate) name: &'a str,
    /// The ports, in order.
    pub(crate) row: &'a [u16],
    /// TCP ports of SSH.
    pub(crate) ssh: Vec<u16>,
}

impl Knock<'_> {
    /// The chain with its rules.
    pub(crate) fn chain(&self) -> String {
        format!("knock_{}", self.name)
    }

    /// The addresses that have knocked `at` times; those that may come in have knocked on all.
    fn set(&self, at: usize, family: &str) -> String {
        format!("knocked_{}_{at}_{family}", self.name)
    }

    /// Commands that make the sets. As part of a second block of the same table they would have the nft of Debian 11
    /// crash (seen with 0.9.8).
    pub(crate) fn sets(&self) -> String {
        let mut sets = Vec::new();
        for (family, kind) in FAMILIES {
            for at in 1..=self.row.len() {
                let seconds = if at == self.row.len() { OPEN } else { NEXT };
                let properties = format!("type {kind}; size {SIZE}; flags dynamic,timeout; timeout {seconds}s;");
                sets.push(format!("add set inet bringup {} {{ {properties} }}\n", self.set(at, family)));
            }
        }
        sets.concat()
    }

    /// The rules, in the syntax of `nft list`.
    pub(crate) fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        for (family, _) in FAMILIES {
            let open = self.set(self.row.len(), family);
            for port in &self.ssh {
                rules.push(format!("{family} saddr @{open} tcp dport {port} accept"));
            }
            for (at, port) in self.row.iter().enumerate() {
                let after = if at == 0 { String::new() } else { format!(" {family} saddr @{}", self.set(at, family)) };
                let next = self.set(at + 1, family);
                rules.push(format!("tcp dport {port}{after} update @{next} {{ {family} saddr }} drop"));
            }
            for at in 1..self.row.len() {
                let set = self.set(at, family);
                rules.push(format!("tcp dport 1-65535 {family} saddr @{set} delete @{set} {{ {family} saddr }}"));
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_row_that_would_lead_nowhere_or_that_a_scan_finds_is_refused() {
        let allowed = ["443".parse().unwrap(), "9000-9100".parse().unwrap(), "7003/udp".parse().unwrap()];
        let wrong = |ports: &[u16]| problems(ports, &allowed, &[22]).join("; ");
        assert_eq!(wrong(&[]), "");
        assert_eq!(wrong(&[7003, 7001, 7002]), "");
        for (ports, expected) in [
            (&[7001, 7003][..], "2 ports are not a knock sequence: it takes 3 to 8"),
            (&[9, 8, 7, 6, 5, 4, 3, 2, 1], "9 ports are not a knock"),
            (&[7001, 7003, 7001], "port 7001 is in the sequence twice"),
            (&[7001, 22, 7003], "port 22 is SSH itself"),
            (&[7001, 443, 7003], "port 443 is open for something else"),
            (&[7001, 9050, 7003], "port 9050 is open for something else"),
            (&[7001, 0, 7003], "0 is not a port"),
            (&[7001, 7002, 7003], "a port scan"),
        ] {
            assert!(wrong(ports).contains(expected), "{ports:?}: {}", wrong(ports));
        }
    }

    #[test]
    fn each_knock_leads_to_the_next_and_anything_else_to_the_beginning() {
        let knock = Knock { name: "a", row: &[7003, 7001, 7002], ssh: vec![22, 2222] };
        let rules = knock.rules();
        let (four, six) = rules.split_at(rules.len() / 2);
        assert_eq!(
            four,
            [
                "ip saddr @knocked_a_3_ip tcp dport 22 accept",
                "ip saddr @knocked_a_3_ip tcp dport 2222 accept",
                "tcp dport 7003 update @knocked_a_1_ip { ip saddr } drop",
                "tcp dport 7001 ip saddr @knocked_a_1_ip update @knocked_a_2_ip { ip saddr } drop",
                "tcp dport 7002 ip saddr @knocked_a_2_ip update @knocked_a_3_ip { ip saddr } drop",
                "tcp dport 1-65535 ip saddr @knocked_a_1_ip delete @knocked_a_1_ip { ip saddr }",
                "tcp dport 1-65535 ip saddr @knocked_a_2_ip delete @knocked_a_2_ip { ip saddr }",
            ]
        );
        let as_four: Vec<String> = six.iter().map(|rule| rule.replace("ip6 ", "ip ").replace("_ip6", "_ip")).collect();
        assert_eq!(four, as_four);
        assert_eq!(knock.sets().matches("add set inet bringup knocked_a_").count(), 6);
        assert_eq!(knock.sets().matches("timeout 30s").count(), 2);
    }
}
