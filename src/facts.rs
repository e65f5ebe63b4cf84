//! Facts: what this server is, probed once, before the first question. Pure data afterwards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) mod archive;
mod files;
pub mod probe;

pub use files::Files;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The distribution.
    pub os: Os,
    /// Processor architecture as Debian names it: `amd64`, `arm64`.
    pub arch: String,
    /// Short host name.
    pub hostname: String,
    /// Fully qualified host name; the short one where there is none.
    pub fqdn: String,
    /// Processors that this system can use.
    pub cpus: Cpus,
    /// Memory that this system can use.
    pub memory: Memory,
    /// Mounted file systems that matter, by mount point.
    pub disks: BTreeMap<String, Disk>,
    /// `systemd`, or what PID 1 is called.
    pub init: String,
    /// What kind of container this is (`systemd-nspawn`, `docker`, `lxc`); empty on a physical or virtual machine.
    pub container: String,
    /// Whether we run as root.
    pub root: bool,
    /// Listening sockets.
    pub listening: Vec<Listener>,
    /// Installed packages that guides name: package -> version.
    pub installed: BTreeMap<String, String>,
    /// How the administrator is connected, when over SSH.
    pub ssh: Option<Ssh>,
    /// How administrators reach this server.
    pub sshd: Sshd,
    /// Active firewall manager: `none`, `nftables`, `ufw`, `firewalld`, `iptables`.
    pub firewall: String,
    /// Whether this server can filter packets.
    pub netfilter: Netfilter,
    /// Whether IPv6 is available.
    pub ipv6: bool,
    /// Addresses of this server, except link-local ones.
    pub addresses: Vec<String>,
    /// Addresses of the name servers that programs ask here, as `/etc/resolv.conf` lists them.
    pub name_servers: Vec<String>,
    /// Guides with a run in place, by id.
    pub applied: Vec<String>,
    /// Packages that these runs installed, sorted.
    pub installed_by_us: Vec<String>,
    /// Their applications, each once. One recorded by an earlier version has no name.
    pub applications: Vec<Application>,
    /// Clusters of PostgreSQL, by version and name.
    pub postgresql: Vec<Cluster>,
    /// Instances of MariaDB, Debian's own first.
    pub mariadb: Vec<Instance>,
    /// Servers of Redis, Debian's own first.
    pub redis: Vec<Instance>,
    /// Nodes of RabbitMQ.
    pub rabbitmq: Vec<Node>,
    /// Whether virtual machines can run here.
    pub virtualization: Virtualization,
    /// The files that answers name.
    #[serde(skip)]
    pub files: Files,
}

/// What virtual machines on this server need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Virtualization {
    /// Whether there is `/dev/kvm`.
    pub kvm: bool,
    /// What the processors offer: `vmx` (Intel), `svm` (AMD), or nothing.
    pub cpu: String,
    /// Whether virtual machines can run virtual machines of their own.
    pub nested: bool,
    /// Bridges of the network, sorted.
    pub bridges: Vec<String>,
}

/// A cluster of PostgreSQL: a server with its own port, data and databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// Version and name, as its directory below /etc/postgresql is called: `15/main`.
    pub id: String,
    /// Major version: `15`.
    pub version: String,
    /// Its name: `main`.
    pub name: String,
    /// The port it listens on; the configured one while it is not running.
    pub port: u16,
    /// The port that its configuration names, which it has after its next restart.
    pub configured_port: u16,
    /// Whether it runs.
    pub running: bool,
    /// When it starts: `auto` (at boot), `manual`, `disabled`.
    pub start: String,
    /// The user that it runs as.
    pub owner: String,
    /// Its data directory.
    pub data: String,
    /// Directory of its socket.
    pub socket: String,
    /// `listen_addresses`.
    pub listen: String,
    /// `max_connections`.
    pub max_connections: u32,
}

/// A server of MariaDB or Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Empty for the one that the package's own unit starts, else the instance's name: `two` of `mariadb@two`.
    pub name: String,
    /// TCP port; 0 when it has none.
    pub port: u16,
    /// Path of its socket; empty when it has none.
    pub socket: String,
    /// Where it listens: `bind-address`, `bind`.
    pub listen: String,
    /// Whether it runs.
    pub running: bool,
}

/// A node of RabbitMQ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// `rabbit@host`.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
}

/// An installation of a guide: the guide, and the name that its answers give it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Application {
    /// The guide's id.
    pub guide: String,
    /// The answer `application.name`; empty where the guide has no such question, and then there is one at most.
    pub name: String,
    /// URL for visitors; empty when it has none.
    pub address: String,
    /// The packages that its runs installed; none where an earlier version of the program noted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<Vec<String>>,
    /// The commits of the branches that `bringup deploy` fetched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deployed: Vec<Deployed>,
}

/// A branch, or an image's tag, as it was fetched last: runs stay at its commit until it is deployed again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deployed {
    /// The repository.
    pub location: String,
    /// The branch; empty for the repository's default branch.
    pub reference: String,
    /// The commit's 40 hexadecimal digits, or the digest of an image.
    pub commit: String,
}

impl Application {
    /// The question whose answer distinguishes several applications of one guide.
    pub const NAME: &str = "application.name";

    /// "shop, `https://shop.example.org/`", or the guide's id where it has no name.
    pub fn words(&self) -> String {
        let name = if self.name.is_empty() { &self.guide } else { &self.name };
        if self.address.is_empty() { name.clone() } else { format!("{name}, {}", self.address) }
    }

    /// Whether both are the same installation, perhaps with other answers.
    pub fn is_same(&self, other: &Self) -> bool {
        self.guide == other.guide && self.name == other.name
    }
}

/// The distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Os {
    /// `debian`, `ubuntu`.
    pub id: String,
    /// `bookworm`.
    pub codename: String,
    /// `12`.
    pub version: String,
    /// "Debian GNU/Linux 12 (bookworm)".
    pub name: String,
}

/// Processors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpus {
    /// Usable at once: affinity and cgroup quota counted, rounded down, at least 1.
    pub usable: u32,
    /// Physical cores of the server.
    pub cores: u32,
    /// Hardware threads of the server.
    pub threads: u32,
    /// What set `usable`: "2 processors", "cgroup quota of 1.5".
    pub source: String,
}

/// Memory, in MiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Usable memory, within cgroup limits.
    pub usable_mib: u64,
    /// Total memory of the server.
    pub total_mib: u64,
    /// Swap.
    pub swap_mib: u64,
    /// What set `usable_mib`.
    pub source: String,
}

/// A file system, in MiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Free space for root.
    pub free_mib: u64,
    /// Total space.
    pub total_mib: u64,
}

/// A listening socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// TCP port.
    pub port: u16,
    /// Address: `127.0.0.1`, `::`, `0.0.0.0`.
    pub address: String,
    /// The listening program, when known.
    pub process: String,
}

impl Listener {
    /// The program that holds it, for messages.
    pub fn owner(&self) -> &str {
        if self.process.is_empty() { "another program" } else { &self.process }
    }
}

/// An SSH connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ssh {
    /// The administrator's address.
    pub client: String,
    /// The server's port.
    pub port: u16,
}

/// SSH servers of this server, and who is logged in through them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sshd {
    /// TCP ports: configured, or listening.
    pub ports: Vec<u16>,
    /// `address:port` of each of them that listens now.
    pub listening: Vec<String>,
    /// Addresses of clients that are logged in now. Only root sees those of other users.
    pub peers: Vec<String>,
    /// Users who can become root.
    pub admins: Vec<Admin>,
}

/// root, or a user who may become root by sudo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Admin {
    /// Login name.
    pub name: String,
    /// Whether an authorized key is where the server reads it. Only root sees those of other users.
    pub key: bool,
    /// Whether a password is set and not locked. Only root sees it.
    pub password: bool,
    /// Whether they can become root: a password for sudo, or sudo without one.
    pub root: bool,
}

/// What the kernel and the installed programs let us do with packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Netfilter {
    /// Whether root can change rules: the capability `CAP_NET_ADMIN`, which many containers lack.
    pub allowed: bool,
    /// Whether the program `nft` is installed.
    pub nft: bool,
}
