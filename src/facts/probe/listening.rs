//! Listening TCP sockets, from the kernel's tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::text;
use crate::facts::Listener;
use crate::host::Host;

/// State "listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Every listening socket; with the program that holds it when `with_owners` (which takes root).
pub(super) fn find(host: &dyn Host, with_owners: bool) -> Vec<Listener> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| text(host, path));
    let sockets: Vec<Socket> = tables.iter().flat_map(|table| table.lines().filter_map(Socket::parse)).collect();
    let owners =
        if with_owners { owners(host, sockets.iter().map(|socket| socket.inode).collect()) } else { BTreeMap::new() };
    let listeners: BTreeSet<Listener> = sockets
        .iter()
        .map(|socket| Listener {
            port: socket.port,
            address: socket.address.to_string(),
            process: owners.get(&socket.inode).cloned().unwrap_or_default(),
        })
        .collect();
    listeners.into_iter().collect()
}

struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

impl Socket {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != LISTEN {
            return None;
        }
        let (address, port) = fields[1].split_once(':')?;
        Some(Self {
            address: address_from(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// Words of four bytes in the machine's order, which is little-endian on all of Debian's common architectures.
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

/// Which program holds each socket: the kernel only tells through the processes' descriptors.
fn owners(host: &dyn Host, mut wanted: BTreeSet<u64>) -> BTreeMap<u64, String> {
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
                owners.insert(inode, text(host, process.join("comm")).trim().to_owned());
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
    fn only_listening_sockets_count_and_mapped_addresses_are_plain() {
        let line = |local: &str, state: &str| format!("   0: {local} 00000000:0000 {state} 0:0 0:0 0 0 0 77 1");
        assert!(Socket::parse(&line("0100007F:0050", "01")).is_none());
        let socket = Socket::parse(&line("0000000000000000FFFF00000100007F:1F90", LISTEN)).unwrap();
        assert_eq!((socket.address.to_string(), socket.port, socket.inode), ("127.0.0.1".to_owned(), 8080, 77));
        assert_eq!(address_from("B80D01200000000000000000010000FF").unwrap().to_string(), "2001:db8::ff00:1");
        assert!(Socket::parse("  sl  local_address rem_address   st").is_none());
    }
}
