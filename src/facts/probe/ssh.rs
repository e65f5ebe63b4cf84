//! Through which ports administrators come in, and from where they are connected now.
//!
//! No single source knows: `sshd -T` names the wrong port where systemd holds the socket, a server may listen on a
//! port that its configuration does not name any more, and sudo drops `SSH_CONNECTION`. So all of them are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::listening::{self, Socket};
use super::{connection, exists, text};
use crate::facts::{Listener, Ssh, Sshd};
use crate::host::{Command, Host};

/// What the processes of SSH servers are called.
const SERVERS: &[&str] = &["sshd", "sshd-session", "dropbear"];

/// What holds a socket that systemd opens for a service.
const SYSTEMD: &str = "systemd";

/// Nobody waits longer than this for the ports, in seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to an SSH server of this server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is established, not only being made.
    pub established: bool,
    /// Whether someone has logged in through it. Only root can see that.
    pub logged_in: bool,
}

/// Ports and peers, as far as they can be seen: an ordinary user does not see who else is connected.
pub fn find(host: &dyn Host, listening: &[Listener], ours: Option<&Ssh>) -> Sshd {
    // A session on a port where nothing listens any more is older than a change of the port.
    let open = |port: &u16| listening.is_empty() || listening.iter().any(|listener| listener.port == *port);
    let mut ports: BTreeSet<u16> = ours.map(|ssh| ssh.port).filter(open).into_iter().collect();
    let served = |listener: &&Listener| SERVERS.contains(&listener.process.as_str());
    ports.extend(listening.iter().filter(served).map(|listener| listener.port));
    match socket_unit(host, listening) {
        Some(of_unit) => ports.extend(of_unit),
        // Where systemd holds the socket, the server's own configuration does not count.
        None => ports.extend(configured(host)),
    }
    let here = listening.iter().filter(|listener| ports.contains(&listener.port));
    let listening = here.map(|listener| shown(&listener.address, listener.port)).collect::<BTreeSet<_>>();
    let mut peers: BTreeSet<IpAddr> = ours.and_then(|ssh| ssh.client.parse().ok()).into_iter().collect();
    let connected = connections(host, &ports.iter().copied().collect::<Vec<_>>());
    peers.extend(connected.iter().filter(|connection| connection.logged_in).map(|connection| connection.peer.ip()));
    Sshd {
        ports: ports.into_iter().collect(),
        listening: listening.into_iter().collect(),
        peers: peers.iter().filter(|peer| !peer.is_loopback()).map(ToString::to_string).collect(),
        admins: Vec::new(),
    }
}

/// As [`find`], looked at now.
pub fn now(host: &dyn Host) -> Sshd {
    let listening = listening::find(host, host.euid() == 0);
    find(host, &listening, connection::find(host).as_ref())
}

/// Listening sockets with their numbers and the programs that hold them, SSH servers or not.
pub fn listening(host: &dyn Host) -> Vec<(SocketAddr, u64, String)> {
    listening::held(host)
}

/// Connections to these ports.
pub fn connections(host: &dyn Host, ports: &[u16]) -> Vec<Connection> {
    connections_but(host, ports, &[])
}

/// Connections to these ports, except the known ones, ours and the other end. When all are known, the processes need
/// not be searched.
pub fn connections_but(host: &dyn Host, ports: &[u16], known: &[(SocketAddr, SocketAddr)]) -> Vec<Connection> {
    let mut sockets = listening::connections(host);
    sockets.retain(|socket| ports.contains(&socket.local.port()) && !known.contains(&(socket.local, socket.peer)));
    let logged_in = if sockets.is_empty() { BTreeSet::new() } else { logged_in(host) };
    let connection = |socket: Socket| Connection {
        local: socket.local,
        peer: socket.peer,
        established: socket.is_established(),
        logged_in: socket.is_established() && logged_in.contains(&socket.inode),
    };
    sockets.into_iter().map(connection).collect()
}

/// The two ends of the connection through which this process was started: ours, and the other.
pub fn own(host: &dyn Host) -> Option<(SocketAddr, SocketAddr)> {
    connection::ends(host)
}

/// Sockets through which someone has logged in: held by a process that calls itself `sshd: alice@pts/0`. Before the
/// login it is `sshd: [accepted]` or `sshd: alice [net]`, which anyone can cause.
fn logged_in(host: &dyn Host) -> BTreeSet<u64> {
    let mut inodes = BTreeSet::new();
    for process in host.list(Path::new("/proc")).unwrap_or_default() {
        if !process.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let process = Path::new("/proc").join(process);
        let title = text(host, process.join("cmdline")).replace('\0', " ");
        let session = title.split_once(": ").filter(|(server, _)| server.rsplit('/').next().is_some_and(is_server));
        // dropbear does not show it: its children are counted as they are.
        let is_dropbear = text(host, process.join("comm")).trim() == "dropbear";
        if session.is_some_and(|(_, who)| who.contains('@') && !who.contains('[')) || is_dropbear {
            inodes.extend(held(host, &process));
        }
    }
    inodes
}

fn is_server(name: &str) -> bool {
    SERVERS.contains(&name)
}

/// The sockets that a process holds.
fn held(host: &dyn Host, process: &Path) -> Vec<u64> {
    let descriptors = process.join("fd");
    let number = |descriptor: PathBuf| {
        let target = host.read_link(&descriptors.join(descriptor)).ok()?;
        target.to_string_lossy().strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    host.list(&descriptors).unwrap_or_default().into_iter().filter_map(number).collect()
}

/// The ports that systemd opens for an SSH server, when it does.
fn socket_unit(host: &dyn Host, listening: &[Listener]) -> Option<Vec<u16>> {
    let held: Vec<&Listener> =
        listening.iter().filter(|listener| listener.process == SYSTEMD || listener.process.is_empty()).collect();
    let unit = ["ssh.socket", "sshd.socket"].into_iter().find(|unit| {
        ["/etc", "/lib", "/usr/lib"].iter().any(|top| exists(host, format!("{top}/systemd/system/{unit}")))
    });
    let unit = unit.filter(|_| !held.is_empty() && exists(host, "/run/systemd/system"))?;
    let command = Command::new(["systemctl", "show", "--property=ActiveState,Listen", unit]).timeout(PATIENCE);
    let output = host.run(&command).ok().filter(crate::host::Output::ok)?.text();
    let values: BTreeMap<&str, Vec<&str>> =
        output.lines().filter_map(|line| line.split_once('=')).fold(BTreeMap::new(), |mut values, (key, value)| {
            values.entry(key).or_insert_with(Vec::new).push(value);
            values
        });
    if values.get("ActiveState").is_none_or(|state| state != &["active"]) {
        return None;
    }
    // "[::]:22 (Stream)" or "0.0.0.0:22 (Stream)"; older ones "Listen=22 (Stream)".
    let port = |value: &&str| value.split_whitespace().next()?.rsplit(':').next()?.parse().ok();
    Some(values.get("Listen").into_iter().flatten().filter_map(port).collect())
}

/// The ports of the server's configuration: from itself, where it may read its keys, else from its files.
fn configured(host: &dyn Host) -> Vec<u16> {
    let config = Path::new("/etc/ssh/sshd_config");
    if !exists(host, config) {
        return Vec::new();
    }
    // Without that directory it refuses to speak; it is there while the server runs.
    if host.euid() == 0 && exists(host, "/run/sshd") && exists(host, "/usr/sbin/sshd") {
        let output = host.run(&Command::new(["/usr/sbin/sshd", "-T"]).timeout(PATIENCE));
        if let Ok(output) = output
            && output.ok()
        {
            let told = told(&output.text());
            if !told.is_empty() {
                return told;
            }
        }
    }
    let ports: Vec<u16> =
        statements(host).iter().filter_map(|line| line.strip_prefix("port ")?.trim().parse().ok()).collect();
    if ports.is_empty() { vec![22] } else { ports }
}

/// All settings in the configuration's files.
fn statements(host: &dyn Host) -> Vec<String> {
    let drop_ins = Path::new("/etc/ssh/sshd_config.d");
    let parts = host.list(drop_ins).unwrap_or_default().into_iter().map(|name| drop_ins.join(name));
    let files = parts.chain([PathBuf::from("/etc/ssh/sshd_config")]);
    files.flat_map(|file| lines(&text(host, file))).collect()
}

/// The files of authorized keys, as the configuration names them.
pub fn key_files(host: &dyn Host) -> Vec<String> {
    let named = |line: &String| line.strip_prefix("authorizedkeysfile ").map(str::to_owned);
    let first = statements(host).iter().find_map(named);
    let files = first.unwrap_or_else(|| ".ssh/authorized_keys .ssh/authorized_keys2".to_owned());
    files.split_whitespace().map(str::to_owned).collect()
}

/// Of `sshd -T`: where it listens, which has the port in it, else its ports.
fn told(output: &str) -> Vec<u16> {
    let value = |key: &str| -> Vec<u16> {
        let values = output.lines().filter_map(|line| line.strip_prefix(key));
        values.filter_map(|value| value.trim().rsplit(':').next()?.parse().ok()).collect()
    };
    let at = value("listenaddress ");
    if at.is_empty() { value("port ") } else { at }
}

/// The settings of a configuration, the keyword in lower case and with one blank behind the keyword.
fn lines(config: &str) -> Vec<String> {
    let words = |line: &str| {
        line.split(['#'])
            .next()
            .unwrap_or_default()
            .split(['=', ' ', '\t'])
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let lower = |line: String| match line.split_once(' ') {
        Some((keyword, value)) => format!("{} {value}", keyword.to_ascii_lowercase()),
        None => line,
    };
    config.lines().map(words).map(lower).filter(|line| !line.is_empty()).collect()
}

fn shown(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fake::{FakeHost, output};

    fn ports(host: &FakeHost) -> Vec<u16> {
        now(host).ports
    }

    #[test]
    fn every_source_of_a_port_counts() {
        let host = FakeHost::new();
        assert_eq!(ports(&host), Vec::<u16>::new(), "nobody can come in");
        host.put_file("/etc/ssh/sshd_config", "#Port 22\nInclude /etc/ssh/sshd_config.d/*.conf\n", 0o644);
        assert_eq!(ports(&host), [22]);
        host.put_file("/etc/ssh/sshd_config.d/a.conf", "Port=2222\n", 0o644);
        assert_eq!(ports(&host), [2222]);
        host.put_file("/run/sshd/.keep", "", 0o755);
        host.put_file("/usr/sbin/sshd", "", 0o755);
        host.on(&["/usr/sbin/sshd", "-T"], |_, _| {
            output(0, "port 22\nlistenaddress [::]:2200\nlistenaddress 10.0.0.1:2201\n", "")
        });
        assert_eq!(ports(&host), [2200, 2201]);
        host.occupy("sshd", "0.0.0.0:2022".parse().unwrap());
        host.set_env("SSH_CONNECTION", "192.0.2.7 51000 192.0.2.1 9022");
        assert_eq!(ports(&host), [2022, 2200, 2201], "the session is older than a change of the port");
        host.occupy("other", "0.0.0.0:9022".parse().unwrap());
        assert_eq!(ports(&host), [2022, 2200, 2201, 9022]);
    }

    #[test]
    fn where_systemd_holds_the_socket_the_configuration_does_not_count() {
        let host = FakeHost::new();
        host.put_file("/etc/ssh/sshd_config", "Port 22\n", 0o644);
        host.put_file("/lib/systemd/system/ssh.socket", "", 0o644);
        host.occupy("systemd", "[::]:2222".parse().unwrap());
        host.on(&["systemctl", "show"], |_, _| output(0, "Listen=[::]:2222 (Stream)\nActiveState=active\n", ""));
        assert_eq!(
            now(&host),
            Sshd { ports: vec![2222], listening: vec!["[::]:2222".to_owned()], peers: vec![], ..Sshd::default() }
        );
        host.on(&["systemctl", "show"], |_, _| output(0, "Listen=[::]:22 (Stream)\nActiveState=inactive\n", ""));
        assert_eq!(ports(&host), [22]);
    }

    #[test]
    fn who_is_logged_in_is_known_and_who_only_knocks_is_not() {
        let host = FakeHost::new();
        host.occupy("sshd", "0.0.0.0:22".parse().unwrap());
        host.connected("sshd: alice@pts/0", "10.0.0.1:22", "192.0.2.7:51000");
        host.connected("sshd: [accepted]", "10.0.0.1:22", "203.0.113.9:40000");
        host.connected("sshd: root [net]", "[::1]:22", "[2001:db8::9]:40000");
        host.connected("sshd-session: bob@notty", "[2001:db8::1]:22", "[2001:db8::7]:51001");
        host.connected("sshd: carol@pts/1", "127.0.0.1:22", "127.0.0.1:51002");
        host.connected("nginx: worker process", "10.0.0.1:443", "198.51.100.1:1");
        assert_eq!(now(&host).peers, ["192.0.2.7", "2001:db8::7"]);
        assert_eq!(connections(&host, &[22]).len(), 5);
    }
}
