//! `ports`: ports listening exactly where the plan says, and nothing of ours anywhere else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::proof::{Context, Prove};

/// Ports listening exactly where the plan says, and nothing of ours anywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The ports.
    pub ports: Vec<Expected>,
}

/// A port and where it may listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// TCP port.
    pub port: u16,
    /// What it is for: "nginx", "Redis".
    pub name: String,
    /// Addresses where it must listen.
    pub on: Exposure,
}

/// Where a port listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Every address.
    Any,
    /// `127.0.0.0/8` or `::1` only.
    Loopback,
    /// Nowhere.
    Closed,
}

impl Prove for Ports {
    fn describe(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(Expected::wish).collect();
        format!("ports are open where they should be and nowhere else: {}", ports.join(", "))
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let sockets = listening(cx.host)?;
        let (evidence, wrong): (Vec<_>, Vec<_>) =
            self.ports.iter().map(|port| port.compare(&sockets)).partition(Result::is_ok);
        if wrong.is_empty() {
            let evidence: Vec<String> = evidence.into_iter().flatten().collect();
            return Ok(evidence.join("; "));
        }
        let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
        Err(Failure::new("verify the listening ports", wrong.join("; "))
            .hint("`ss -ltnp` shows every listening socket and its process"))
    }

    fn independent(&self) -> bool {
        true
    }
}

impl Expected {
    fn wish(&self) -> String {
        let place = match self.on {
            Exposure::Any => "everywhere",
            Exposure::Loopback => "loopback only",
            Exposure::Closed => "closed",
        };
        format!("{} {} ({place})", self.port, self.name)
    }

    /// What is seen of this port, as evidence or as a complaint.
    fn compare(&self, sockets: &[SocketAddr]) -> Result<String, String> {
        let mut at: Vec<IpAddr> = sockets
            .iter()
            .filter(|socket| socket.port() == self.port)
            .map(|socket| socket.ip().to_canonical())
            .collect();
        at.sort_unstable();
        at.dedup();
        let Self { port, name, .. } = self;
        let places = at.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let outside = at.iter().any(|ip| !ip.is_loopback());
        match self.on {
            Exposure::Closed if at.is_empty() => Ok(format!("{port} {name} closed")),
            Exposure::Closed => Err(format!("port {port} ({name}) should be closed, but listens on {places}")),
            Exposure::Any | Exposure::Loopback if at.is_empty() => {
                Err(format!("nothing listens on port {port} ({name})"))
            }
            Exposure::Loopback if outside => {
                Err(format!("port {port} ({name}) should listen on loopback only, but listens on {places}"))
            }
            Exposure::Any if !at.iter().any(IpAddr::is_unspecified) => {
                Err(format!("port {port} ({name}) should listen on every address, but only listens on {places}"))
            }
            Exposure::Any | Exposure::Loopback => Ok(format!("{port} {name} on {places}")),
        }
    }
}

/// Whether something listens on a port of the loopback address.
pub fn is_open(host: &dyn Host, port: u16) -> Outcome<bool> {
    let reached = |ip: IpAddr| ip.is_unspecified() || ip == IpAddr::from([127, 0, 0, 1]);
    Ok(listening(host)?.iter().any(|socket| socket.port() == port && reached(socket.ip().to_canonical())))
}

/// Every listening TCP socket. A host without IPv6 has no `tcp6`.
fn listening(host: &dyn Host) -> Outcome<Vec<SocketAddr>> {
    let read = |path: &str| host.read(Path::new(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let v4 =
        read("/proc/net/tcp").map_err(|e| Failure::new("read the table of sockets", format!("/proc/net/tcp: {e}")))?;
    let v6 = match read("/proc/net/tcp6") {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Failure::new("read the table of sockets", format!("/proc/net/tcp6: {error}")));
        }
    };
    Ok(v4.lines().chain(v6.lines()).filter_map(listener).collect())
}

/// The address of a line such as `0: 0100007F:1F90 00000000:0000 0A ...`, if that socket listens (0A). The
/// kernel writes each 32-bit word of an address in the server's own byte order.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    let words: Vec<[u8; 4]> = (0..address.len() / 8)
        .map(|i| u32::from_str_radix(address.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    let bytes = words.concat();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Recorded on a little-endian machine.
    #[cfg(target_endian = "little")]
    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 1 1
   1: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:1538 0100007F:D431 01 00000000:00000000 00:00000000 00000000   105        0 3 1
   3: 0A4DD50A:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1
   4: 00000000000000000000000001000000:18EC 00000000000000000000000000000000:0000 0A 0:0 0 0 0 0 5
   5: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0 0 0 0 6
";

    fn sockets() -> Vec<SocketAddr> {
        TABLE.lines().filter_map(listener).collect()
    }

    fn compare(port: u16, on: Exposure) -> Result<String, String> {
        Expected { port, name: "it".to_owned(), on }.compare(&sockets())
    }

    #[test]
    fn every_port_that_is_wrong_is_named_and_without_ipv6_all_goes_on() {
        let host = crate::host::fake::FakeHost::new();
        host.occupy("app", "127.0.0.1:8000".parse().unwrap());
        host.occupy("db", "0.0.0.0:5432".parse().unwrap());
        host.take_away("/proc/net/tcp6");
        let port = |port, on| Expected { port, name: "it".to_owned(), on };
        let prove = |ports: Vec<Expected>| {
            let secrets = crate::secret::Secrets::default();
            Ports { ports }.prove(&Context { host: &host, secrets: &secrets })
        };
        let good = prove(vec![port(8000, Exposure::Loopback), port(80, Exposure::Closed)]);
        assert_eq!(good.as_deref(), Ok("8000 it on 127.0.0.1; 80 it closed"));
        let bad = prove(vec![port(8000, Exposure::Any), port(5432, Exposure::Loopback), port(80, Exposure::Closed)]);
        let why = bad.unwrap_err().why;
        assert!(why.contains("8000") && why.contains("5432") && !why.contains("80 ("));
    }

    #[test]
    fn addresses_of_both_families_are_read_and_connections_are_not() {
        let seen: Vec<String> = sockets().iter().map(ToString::to_string).collect();
        assert_eq!(seen, ["127.0.0.1:5432", "0.0.0.0:443", "10.213.77.10:6379", "[::1]:6380", "[::]:80"]);
    }

    #[test]
    fn a_port_is_right_only_where_it_was_asked_for() {
        assert_eq!(compare(5432, Exposure::Loopback).unwrap(), "5432 it on 127.0.0.1");
        assert!(compare(6380, Exposure::Loopback).is_ok());
        assert!(compare(443, Exposure::Any).is_ok() && compare(80, Exposure::Any).is_ok());
        assert!(compare(4369, Exposure::Closed).is_ok());
        for (port, on) in [
            (443, Exposure::Loopback),
            (6379, Exposure::Loopback),
            (6379, Exposure::Any),
            (5432, Exposure::Any),
            (5432, Exposure::Closed),
            (4369, Exposure::Any),
            (4369, Exposure::Loopback),
        ] {
            assert!(compare(port, on).is_err(), "{port} {on:?}");
        }
    }
}
