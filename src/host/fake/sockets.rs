//! Listening sockets, as services open them and as `/proc` and `ss` show them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::programs::Program;
use super::{Answer, FakeHost, World};
use crate::host::{Address, Meta};

/// Who listens where.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Unit -> the addresses it listens on while it is active.
    of_units: BTreeMap<String, Vec<SocketAddr>>,
    /// Programs that no unit knows.
    of_programs: BTreeMap<SocketAddr, String>,
    /// The numbers of their sockets: a reopened one gets another.
    numbers: BTreeMap<SocketAddr, usize>,
    opened: usize,
    /// Established connections: our end, the other, the title of the process that holds it.
    established: Vec<(SocketAddr, SocketAddr, String)>,
}

impl FakeHost {
    /// Says where a unit (`nginx.service`) listens while it is active.
    pub fn listens(&self, unit: &str, addresses: &[SocketAddr]) {
        let mut world = self.world();
        world.sockets.of_units.insert(unit.to_owned(), addresses.to_vec());
        world.show_sockets();
    }

    /// Makes a program that no unit knows listen.
    pub fn occupy(&self, program: &str, address: SocketAddr) {
        let mut world = self.world();
        let sockets = &mut world.sockets;
        sockets.opened += 1;
        sockets.numbers.insert(address, 10_000 + sockets.opened);
        sockets.of_programs.insert(address, program.to_owned());
        world.show_sockets();
    }

    /// Makes it listen no more.
    pub fn vacate(&self, program: &str) {
        let mut world = self.world();
        world.sockets.of_programs.retain(|_, known| known != program);
        world.show_sockets();
    }

    /// Someone is connected: our end and the other, as `address:port`, and the title of the process that serves.
    pub fn connected(&self, title: &str, local: &str, peer: &str) {
        if let (Ok(local), Ok(peer)) = (local.parse(), peer.parse()) {
            let mut world = self.world();
            world.sockets.established.push((local, peer, title.to_owned()));
            world.show_sockets();
        }
    }
}

impl World {
    pub(super) fn unit_listens(&mut self, unit: &str, addresses: &[SocketAddr]) {
        if !addresses.is_empty() {
            self.sockets.of_units.entry(unit.to_owned()).or_insert_with(|| addresses.to_vec());
        }
    }

    /// Every listening socket and the program that holds it.
    pub(super) fn listening(&self) -> BTreeMap<SocketAddr, String> {
        let mut all = self.sockets.of_programs.clone();
        for (unit, addresses) in &self.sockets.of_units {
            if self.services.active.contains(unit) {
                let program = unit.trim_end_matches(".service");
                all.extend(addresses.iter().map(|address| (*address, program.to_owned())));
            }
        }
        all
    }

    /// Who holds a port that `unit` wants.
    pub(super) fn port_taken(&self, unit: &str) -> Option<(SocketAddr, String)> {
        let wanted = self.sockets.of_units.get(unit)?;
        let own = unit.trim_end_matches(".service");
        self.listening()
            .into_iter()
            .find(|(address, program)| program != own && wanted.iter().any(|wanted| wanted.port() == address.port()))
    }

    pub(super) fn listens_at(&self, address: &Address) -> bool {
        let Address::Tcp(wanted) = address else {
            return false;
        };
        self.listening().keys().any(|at| at == wanted || (at.port() == wanted.port() && at.ip().is_unspecified()))
    }

    /// Whether only units listen there that do not run.
    pub(super) fn is_closed(&self, address: &Address) -> bool {
        let declared = |wanted| self.sockets.of_units.values().flatten().any(|at| at == wanted);
        matches!(address, Address::Tcp(wanted) if declared(wanted)) && !self.listens_at(address)
    }

    /// Writes /proc/net/tcp, tcp6 and the descriptors of the processes.
    pub(super) fn show_sockets(&mut self) {
        let now = self.tick();
        let header =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let (mut tcp, mut tcp6) = (header.to_owned(), header.to_owned());
        for pid in 5000..5100 {
            self.files.remove_tree(Path::new(&format!("/proc/{pid}")), now);
        }
        let listening = self.listening().into_iter().map(|(address, program)| (address, None, program));
        let connected = self.sockets.established.clone().into_iter();
        let connected = connected.map(|(local, peer, title)| (local, Some(peer), title));
        for (index, (local, peer, title)) in listening.chain(connected).enumerate() {
            let pid = 5000 + index;
            let number = self.sockets.numbers.get(&local).filter(|_| peer.is_none());
            let inode = number.copied().unwrap_or(pid);
            let (state, program) = match peer {
                None => ("0A", title.as_str()),
                Some(_) => ("01", title.split(':').next().unwrap_or_default()),
            };
            let nobody = if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let line = format!(
                "   {index}: {} {} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n",
                in_table(local),
                in_table(peer.unwrap_or(SocketAddr::new(nobody, 0)))
            );
            if local.is_ipv4() {
                tcp += &line;
            } else {
                tcp6 += &line;
            }
            let process = format!("/proc/{pid}");
            self.files.put(
                Path::new(&format!("{process}/comm")),
                format!("{program}\n").as_bytes(),
                Meta::root(0o444),
                now,
            );
            self.files.put(Path::new(&format!("{process}/cmdline")), title.as_bytes(), Meta::root(0o444), now);
            self.files.make_dirs(Path::new(&format!("{process}/fd")), now);
            let _ = self.files.make_symlink(
                Path::new(&format!("{process}/fd/3")),
                Path::new(&format!("socket:[{inode}]")),
                now,
            );
        }
        self.files.put(Path::new("/proc/net/tcp"), tcp.as_bytes(), Meta::root(0o444), now);
        self.files.put(Path::new("/proc/net/tcp6"), tcp6.as_bytes(), Meta::root(0o444), now);
    }
}

/// `0100007F:1F90`: how the kernel's tables show an end of a socket.
fn in_table(end: SocketAddr) -> String {
    let octets = match end.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).fold(String::new(), |all, four| {
        all + &format!("{:08X}", u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    });
    format!("{words}:{:04X}", end.port())
}

/// `ss`: listening TCP sockets, in its columns.
pub(super) fn ss(program: &mut Program<'_>) -> i32 {
    for (pid, (address, owner)) in (5000..).zip(program.world.listening()) {
        let peer = if address.is_ipv4() { "0.0.0.0:*" } else { "[::]:*" };
        program.say(format!("LISTEN 0 128 {address} {peer} users:((\"{owner}\",pid={pid},fd=3))"));
    }
    0
}

/// A connection to something that answers once.
pub(super) struct Conversation {
    answer: Answer,
    asked: Vec<u8>,
    reply: Option<io::Cursor<Vec<u8>>>,
}

impl Conversation {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer, asked: Vec::new(), reply: None }
    }
}

impl Read for Conversation {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reply = self.reply.get_or_insert_with(|| io::Cursor::new((self.answer)(&self.asked)));
        reply.read(buffer)
    }
}

impl Write for Conversation {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
