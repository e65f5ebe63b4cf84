//! Openings: ports, for everybody or for some networks.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What carries the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its name, as every firewall writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One port, or a range of them: `443`, `5900-7000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// The first.
    pub from: u16,
    /// The last; the same for one port.
    pub to: u16,
}

impl Ports {
    /// A single port.
    pub const fn one(port: u16) -> Self {
        Self { from: port, to: port }
    }

    /// Whether both have a port in common.
    pub const fn meets(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// With another sign between first and last: iptables and ufw write `:`.
    pub fn with(self, sign: char) -> String {
        if self.from == self.to { self.from.to_string() } else { format!("{}{sign}{}", self.from, self.to) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with('-'))
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("\"{text}\" is not a port: write 1 to 65535, or a range such as 5900-7000");
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(refused);
        let ports = match text.split_once('-') {
            None => Self::one(port(text)?),
            Some((from, to)) => Self { from: port(from)?, to: port(to)? },
        };
        if ports.from > ports.to {
            return Err(format!("\"{text}\" is not a range of ports: it ends before it begins"));
        }
        Ok(ports)
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.from == self.to { serializer.serialize_u16(self.from) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u16),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(port) => port.to_string().parse(),
            Form::Text(text) => text.parse(),
        }
        .map_err(de::Error::custom)
    }
}

/// Addresses that have their first bits in common, in CIDR notation; a single one without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    /// A single address.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// Whether it is one of IPv6.
    pub const fn is_ipv6(self) -> bool {
        matches!(self.0, IpNet::V6(_))
    }

    /// Whether it is a single address.
    pub fn is_host(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether the address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.0.network()) || other.contains(self.0.network())
    }

    /// How many of their first bits its addresses have in common.
    pub fn prefix_len(self) -> u8 {
        self.0.prefix_len()
    }

    /// Its first and last address; none for one of IPv6.
    pub fn ipv4_range(self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        match self.0 {
            IpNet::V4(net) => Some((net.network(), net.broadcast())),
            IpNet::V6(_) => None,
        }
    }

    /// The smallest list of networks with the same addresses.
    pub fn merged(networks: &[Self]) -> Vec<Self> {
        let plain: Vec<IpNet> = networks.iter().map(|network| network.0).collect();
        let mut merged: Vec<Self> = IpNet::aggregate(&plain).into_iter().map(Self).collect();
        merged.sort_unstable();
        merged
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::host(address));
        }
        let network: IpNet = text.parse().map_err(|_| {
            format!("\"{text}\" is not a network: write an address, or one such as 10.1.0.0/16 or 2001:db8::/32")
        })?;
        if network.addr() != network.network() {
            return Err(format!(
                "\"{text}\" names a host and a network at once: write {} for the network, or {} for the host",
                network.trunc(),
                network.addr()
            ));
        }
        Ok(Self(network))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a guide or a person lets in. In an answer it is text: `5671/tcp from 10.1.0.0/16, 2001:db8::/32`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct Allow {
    /// The port or ports.
    pub port: Ports,
    /// `tcp` by default.
    pub protocol: Protocol,
    /// From where; empty: from everywhere.
    pub sources: Vec<Network>,
    /// What it is for: "https". Shown to people only.
    pub name: String,
}

/// What may be written for an [`Allow`].
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Form {
    Text(#[serde(deserialize_with = "from_text")] Allow),
    Fields {
        port: Ports,
        #[serde(default)]
        protocol: Protocol,
        #[serde(default)]
        sources: Vec<Network>,
        #[serde(default)]
        name: String,
    },
}

impl From<Form> for Allow {
    fn from(form: Form) -> Self {
        match form {
            Form::Text(allow) => allow,
            Form::Fields { port, protocol, sources, name } => Self { port, protocol, sources, name },
        }
    }
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Allow, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, sources) = match text.split_once(" from ") {
            None => (text.trim(), Vec::new()),
            Some((what, sources)) => {
                let networks = sources.split([',', ' ']).filter(|word| !word.is_empty()).map(str::parse);
                let networks: Vec<Network> = networks.collect::<Result<_, _>>()?;
                if networks.is_empty() {
                    return Err(format!("\"{text}\" names no network after `from`"));
                }
                (what.trim(), networks)
            }
        };
        let (port, protocol) = match what.split_once('/') {
            None => (what, Protocol::Tcp),
            Some((port, "tcp")) => (port, Protocol::Tcp),
            Some((port, "udp")) => (port, Protocol::Udp),
            Some((_, other)) => return Err(format!("\"{other}\" is not a protocol: write tcp or udp")),
        };
        Ok(Self { port: port.parse()?, protocol, sources, name: String::new() })
    }
}

impl Allow {
    /// `443/tcp (https)`: what it lets in, for messages.
    pub fn shown(&self) -> String {
        let name = if self.name.is_empty() { String::new() } else { format!(" ({})", self.name) };
        format!("{}/{}{name}", self.port, self.protocol.name())
    }

    /// `443`, `60000-61000/udp`, `5671 from 10.1.0.0/16`: as people write it.
    pub fn in_short(&self) -> String {
        let protocol = if self.protocol == Protocol::Udp { "/udp" } else { "" };
        let from = if self.sources.is_empty() { String::new() } else { format!(" from {}", self.whence()) };
        format!("{}{protocol}{from}", self.port)
    }

    /// `everybody`, or its networks.
    fn whence(&self) -> String {
        if self.sources.is_empty() {
            return "everybody".to_owned();
        }
        self.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Pairs that open the same port to different people: someone must decide.
pub fn clashes(allowed: &[Allow]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, one) in allowed.iter().enumerate() {
        for other in &allowed[at + 1..] {
            let same_port = one.protocol == other.protocol && one.port.meets(other.port);
            if same_port && Network::merged(&one.sources) != Network::merged(&other.sources) {
                found.push(format!(
                    "{} is open to {}, but {} to {}",
                    one.shown(),
                    one.whence(),
                    other.shown(),
                    other.whence()
                ));
            }
        }
    }
    found
}

/// One thing that is let in, as a firewall has it: a rule each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// The ports.
    pub ports: Ports,
    /// From where; none: from everywhere.
    pub source: Option<Network>,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol.name())?;
        self.source.map_or(Ok(()), |source| write!(f, " from {source}"))
    }
}

/// The rules for all of them, none twice.
pub fn openings(allowed: &[Allow]) -> BTreeSet<Opening> {
    let mut openings = BTreeSet::new();
    for allow in allowed {
        let opening = |source| Opening { protocol: allow.protocol, ports: allow.port, source };
        if allow.sources.is_empty() {
            openings.insert(opening(None));
        }
        openings.extend(Network::merged(&allow.sources).into_iter().map(|network| opening(Some(network))));
    }
    openings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn allow(text: &str) -> Allow {
        text.parse().unwrap()
    }

    #[test]
    fn what_people_write_is_read() {
        assert_eq!(allow("8443").shown(), "8443/tcp");
        assert_eq!(allow("60000-61000/udp").shown(), "60000-61000/udp");
        for short in ["443", "60000-61000/udp", "5671 from 10.1.0.0/16, 2001:db8::/32"] {
            assert_eq!(allow(short).in_short(), short);
        }
        let from = allow("5671/tcp from 10.1.0.0/16, 2001:db8::/32 192.0.2.7");
        assert_eq!(from.whence(), "10.1.0.0/16, 2001:db8::/32, 192.0.2.7");
        for wrong in ["0", "65536", "x", "9-1", "80/sctp", "80 from", "80 from ", "80 from 10.0.0.1/8", "80 to 1", ""] {
            assert!(wrong.parse::<Allow>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_with_host_bits_is_refused_with_both_readings() {
        let refused = "10.0.0.5/8".parse::<Network>().unwrap_err();
        assert!(refused.contains("10.0.0.0/8") && refused.contains("10.0.0.5 for the host"), "{refused}");
        assert!("2001:db8::1/32".parse::<Network>().is_err());
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("example.org".parse::<Network>().is_err());
        assert_eq!("10.0.0.5/32".parse::<Network>().unwrap().to_string(), "10.0.0.5");
    }

    #[test]
    fn both_forms_mean_the_same_and_a_plan_keeps_them() {
        let list: Vec<Allow> = serde_json::from_value(serde_json::json!([
            "443 from 10.0.0.0/8",
            {"port": 443, "sources": ["10.0.0.0/8"]},
            {"port": "5900-7000", "protocol": "udp", "name": "displays"},
        ]))
        .unwrap();
        assert_eq!(list[0], list[1]);
        let again: Vec<Allow> = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        assert_eq!(again, list);
        assert!(serde_json::from_value::<Allow>(serde_json::json!({"port": 443, "from": []})).is_err());
    }

    #[test]
    fn overlapping_networks_become_one_and_one_rule_each_is_left() {
        let two =
            openings(&[allow("22 from 10.0.0.0/9, 10.128.0.0/9, 10.1.2.3, 2001:db8::1"), allow("80"), allow("80")]);
        let shown: Vec<String> = two.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["22/tcp from 10.0.0.0/8", "22/tcp from 2001:db8::1", "80/tcp"]);
    }

    #[test]
    fn a_port_for_everybody_and_for_some_is_a_clash() {
        let https = Allow { name: "https".to_owned(), ..allow("443") };
        assert_eq!(clashes(&[https.clone(), allow("443/udp from 10.0.0.0/8"), allow("443")]), Vec::<String>::new());
        let told = clashes(&[https, allow("400-500 from 10.0.0.0/8")]);
        assert_eq!(told, ["443/tcp (https) is open to everybody, but 400-500/tcp to 10.0.0.0/8"]);
    }
}
