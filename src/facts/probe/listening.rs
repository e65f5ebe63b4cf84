//! TCP sockets, from the kernel's tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::text;
use crate::facts::Listener;
use crate::host::Host;

/// State "listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// State "established".
const ESTABLISHED: &str = "01";
/// State "the first packet has been answered".
const HALF_OPEN: &str = "03";

/// Every listening socket; with the program that holds it when `with_owners` (which takes root).
pub(super) fn find(host: &dyn Host, with_owners: bool) -> Vec<Listener> {
    let sockets = in_state(host, &[LISTEN]);
    let owners =
        if with_owners { owners(host, sockets.iter().map(|socket| socket.inode).collect()) } else { BTreeMap::new() };
    let listeners: BTreeSet<Listener> = sockets
        .iter()
        .map(|socket| Listener {
            port: socket.local.port(),
            address: socket.local.ip().to_string(),
            process: owners.get(&socket.inode).cloned().unwrap_or_default(),
        })
        .collect();
    listeners.into_iter().collect()
}

/// Every listening socket, its number and the program that holds it.
pub(super) fn held(host: &dyn Host) -> Vec<(SocketAddr, u64, String)> {
    let sockets = in_state(host, &[LISTEN]);
    let mut owners = owners(host, sockets.iter().map(|socket| socket.inode).collect());
    let held = |socket: Socket| (socket.local, socket.inode, owners.remove(&socket.inode).unwrap_or_default());
    sockets.into_iter().map(held).collect()
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where.
    pub at: SocketAddr,
    /// The program; empty when it cannot be seen.
    pub process: String,
    /// The unit of systemd's that it belongs to; empty when it is of none, or that cannot be seen.
    pub unit: String,
}

impl Holder {
    /// Whether it belongs to a service: by its unit where it has one, and else by the program's name.
    pub fn is_of(&self, service: &str) -> bool {
        let stem = |name: &str| name.split(['@', '.', ':']).next().unwrap_or_default().to_owned();
        let service_stem = stem(service);
        if self.unit.ends_with(".service") {
            return stem(&self.unit) == service_stem;
        }
        if self.process == "systemd" {
            return service.ends_with(".socket");
        }
        !self.process.is_empty() && (service_stem.starts_with(&self.process) || self.process.starts_with(&service_stem))
    }
}

/// Who listens now; as much of it as we may see.
pub fn holders(host: &dyn Host) -> Vec<Holder> {
    let sockets = in_state(host, &[LISTEN]);
    let processes = processes(host, sockets.iter().map(|socket| socket.inode).collect());
    let holder = |socket: &Socket| {
        let process = processes.get(&socket.inode);
        let read = |file: &str| process.map_or_else(String::new, |process| text(host, process.join(file)));
        Holder { at: socket.local, process: read("comm").trim().to_owned(), unit: unit_in(&read("cgroup")) }
    };
    sockets.iter().map(holder).collect()
}

/// The service in a path of control groups (cgroups(7)), or else its innermost group.
fn unit_in(cgroup: &str) -> String {
    let paths = || cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).filter(|path| *path != "/");
    let mut parts = paths().flat_map(|path| path.rsplit('/'));
    let service = parts.find(|part| part.ends_with(".service"));
    service.or_else(|| paths().find_map(|path| path.rsplit('/').next())).unwrap_or_default().to_owned()
}

/// A TCP socket in a table of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Our end.
    pub(super) local: SocketAddr,
    /// The other end; unspecified while it listens.
    pub(super) peer: SocketAddr,
    /// Its number, by which a process holds it.
    pub(super) inode: u64,
    is_whole: bool,
}

impl Socket {
    /// Whether the connection is established, not only being made.
    pub(super) const fn is_established(&self) -> bool {
        self.is_whole
    }

    fn parse(line: &str, states: &[&str]) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let state = *fields.get(3)?;
        if !states.contains(&state) {
            return None;
        }
        let inode = fields.get(9)?.parse().ok()?;
        Some(Self { local: end(fields[1])?, peer: end(fields[2])?, inode, is_whole: state == ESTABLISHED })
    }
}

/// Every connection that is established or just being made.
pub(super) fn connections(host: &dyn Host) -> Vec<Socket> {
    in_state(host, &[ESTABLISHED, HALF_OPEN])
}

fn in_state(host: &dyn Host, states: &[&str]) -> Vec<Socket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| text(host, path));
    tables.iter().flat_map(|table| table.lines().filter_map(|line| Socket::parse(line, states))).collect()
}

/// `0100007F:1F90`.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    Some(SocketAddr::new(address_from(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// Words of four bytes in the server's order, which is little-endian on all of Debian's common architectures.
fn address_from(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_le_bytes());
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// Which program holds each socket: the kernel only shows it through the processes' descriptors.
fn owners(host: &dyn Host, wanted: BTreeSet<u64>) -> BTreeMap<u64, String> {
    let named = |(inode, process): (u64, PathBuf)| (inode, text(host, process.join("comm")).trim().to_owned());
    processes(host, wanted).into_iter().map(named).collect()
}

/// The directory in `/proc` of the process that holds each socket.
fn processes(host: &dyn Host, mut wanted: BTreeSet<u64>) -> BTreeMap<u64, PathBuf> {
    let mut owners = BTreeMap::new();
    for process in host.list(Path::new("/proc")).unwrap_or_default() {
        if wanted.is_empty() {
            break;
        }
        if !process.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let process = Path::new("/proc").join(process);
        let descriptors = process.join("fd");
        for descriptor in host.list(&descriptors).unwrap_or_default() {
            let Ok(target) = host.read_link(&descriptors.join(descriptor)) else {
                continue;
            };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|inode| wanted.remove(inode)) {
                owners.insert(inode, process.clone());
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn sockets_have_address_port_and_owner() {
        let host = FakeHost::new();
        host.occupy("redis", "127.0.0.1:6379".parse().unwrap());
        host.occupy("web", "[::]:443".parse().unwrap());
        let found = find(&host, true);
        let shown: Vec<_> = found.iter().map(|l| (l.port, l.address.as_str(), l.process.as_str())).collect();
        assert_eq!(shown, [(443, "::", "web"), (6379, "127.0.0.1", "redis")]);
        assert!(find(&host, false).iter().all(|listener| listener.process.is_empty()));
    }

    #[test]
    fn a_holder_belongs_to_its_unit_or_else_to_whom_its_name_says() {
        let holder = |process: &str, unit: &str| Holder {
            at: "127.0.0.1:5432".parse().unwrap(),
            process: process.to_owned(),
            unit: unit.to_owned(),
        };
        assert_eq!(
            unit_in("0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n"),
            "postgresql@15-main.service"
        );
        assert_eq!(unit_in("1:name=systemd:/system.slice/shop.service/inner\n0::/\n"), "shop.service");
        assert_eq!(unit_in("0::/user.slice/session-1.scope\n"), "session-1.scope");
        assert!(holder("postgres", "postgresql@15-main.service").is_of("postgresql.service"));
        assert!(!holder("nginx", "shop.service").is_of("nginx.service"));
        assert!(holder("nginx", "session-1.scope").is_of("nginx"));
        assert!(holder("mariadbd", "").is_of("mariadb"));
        assert!(holder("systemd", "init.scope").is_of("epmd.socket"));
        assert!(!holder("", "").is_of("nginx.service"));
    }

    #[test]
    fn only_listening_sockets_count_and_mapped_addresses_are_plain() {
        let line = |local: &str, state: &str| format!("   0: {local} 00000000:0000 {state} 0:0 0:0 0 0 0 77 1");
        assert!(Socket::parse(&line("0100007F:0050", "01"), &[LISTEN]).is_none());
        let mapped = line("0000000000000000FFFF00000100007F:1F90", LISTEN);
        let socket = Socket::parse(&mapped, &[LISTEN]).unwrap();
        assert_eq!((socket.local.to_string(), socket.inode), ("127.0.0.1:8080".to_owned(), 77));
        assert_eq!(address_from("B80D01200000000000000000010000FF").unwrap().to_string(), "2001:db8::ff00:1");
        assert!(Socket::parse("  sl  local_address rem_address   st", &[LISTEN]).is_none());
    }
}
