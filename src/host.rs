//! The only door to the server: files, processes, environment, network, randomness and clock.
//!
//! [`real::RealHost`] is this server. `fake::FakeHost` lives in memory, so that every fault and every kill
//! point can be tried in milliseconds; the released program does not contain it. Nothing else in the crate touches
//! `std::fs`, `std::process`, `std::env`, `std::net` or the clock (`clippy.toml` enforces it).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub mod control_group;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod mounts;
pub mod outside;
pub mod real;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A socket, a pipe or a device.
    Other,
}

/// Permissions and ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Meta {
    /// Permission bits, set-id and sticky bits included (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Meta {
    /// Owned by root, with the given permission bits.
    pub const fn root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

/// A point in time with nanoseconds, as the kernel keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Seconds since the epoch.
    pub sec: i64,
    /// Nanoseconds within the second.
    pub nsec: u32,
}

impl Stamp {
    /// The time since `earlier`; none when the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        let nanoseconds = |at: Self| i128::from(at.sec) * 1_000_000_000 + i128::from(at.nsec);
        let passed = nanoseconds(self).saturating_sub(nanoseconds(earlier)).max(0);
        Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

/// What `lstat` says about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permissions and ownership.
    pub meta: Meta,
    /// Bytes.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Stamp,
    /// Last change of content or metadata; cannot be set by a program.
    pub ctime: Stamp,
    /// Inode number.
    pub ino: u64,
    /// Device number.
    pub dev: u64,
}

/// What a child reads.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Stdin {
    /// Nothing: `/dev/null`, so that it cannot swallow ours.
    #[default]
    Null,
    /// These bytes; the place for secrets, which must not be in argv.
    Bytes(Vec<u8>),
}

/// A command to run: argv without a shell, own process group, `LC_ALL=C`, stdin from null.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments. Never holds a secret.
    pub argv: Vec<String>,
    /// Variables added to the small clean environment. May hold secrets.
    pub env: Vec<(String, String)>,
    /// Working directory; `/` by default.
    pub cwd: PathBuf,
    /// Run as this user (by name) instead of root.
    pub user: Option<String>,
    /// What it reads.
    pub stdin: Stdin,
    /// Its whole process group is killed after this long.
    pub timeout: Duration,
    /// File creation mask.
    pub umask: Option<u32>,
    /// Append stdout and stderr to this file as they come.
    pub log: Option<PathBuf>,
    /// What it starts lives on, so it gets no passwords of proxies.
    pub begins_daemon: bool,
}

impl Command {
    /// A command with a time-out of two minutes.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: None,
            stdin: Stdin::Null,
            timeout: Duration::from_mins(2),
            umask: None,
            log: None,
            begins_daemon: false,
        }
    }

    /// What it starts lives on.
    #[must_use]
    pub fn begins_daemon(mut self) -> Self {
        self.begins_daemon = true;
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs as `user`.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Feeds `bytes` to its stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// Kills it after `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs in `cwd`.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// Appends its output to `log`.
    #[must_use]
    pub fn log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }
}

/// How a child ended, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status: its code, or 128 + signal; 124 when the time-out killed it.
    pub status: i32,
    /// Everything it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it exited with 0.
    pub const fn ok(&self) -> bool {
        self.status == 0
    }

    /// Its stdout as text, without the trailing line break.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// The last `n` lines of stderr, or of stdout when stderr is empty.
    pub fn tail(&self, n: usize) -> Vec<String> {
        let bytes = if self.stderr.iter().all(u8::is_ascii_whitespace) { &self.stdout } else { &self.stderr };
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(n)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

/// Which stream a line of a child came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A two-way byte stream, such as a TCP or a Unix connection.
pub trait Duplex: io::Read + io::Write + Send {}
impl<T: io::Read + io::Write + Send> Duplex for T {}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// The last writer of a file, as far as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writer {
    /// This process, or one that it started.
    Ours,
    /// A service of this name, such as `postgresql@15-main.service`.
    Unit(String),
    /// A process that is neither: another's.
    Other,
    /// A process that ended before it could be inspected, or PID 1.
    Unknown,
}

/// Watches who writes files of the root file system, from [`Host::watch`] until it is dropped.
pub trait Watch: Send {
    /// The last writer of every file written since the watch began, by inode; `None` where the kernel does not report
    /// it (a container without `CAP_SYS_ADMIN`, a kernel before 5.0), or events were lost.
    fn writers(&mut self) -> Option<BTreeMap<u64, Writer>>;
}

/// A SHA-256 that is computed piece by piece.
#[derive(Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Takes in the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum, in hexadecimal.
    pub fn finish(self) -> String {
        use std::fmt::Write as _;
        self.0.finalize().iter().fold(String::with_capacity(64), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    }
}

/// The mode of a file or directory in a settled tree: its owner may change it and its group may read it, nobody else
/// may change it, and it has no setuid or setgid bit.
pub const fn settled(kind: Kind, mode: u32) -> u32 {
    let runs = matches!(kind, Kind::Dir) || mode & 0o111 != 0;
    let read = if runs { 0o750 } else { 0o640 };
    (mode | read) & !0o6022
}

/// The machine.
///
/// Methods return plain `io::Result`; callers turn them into a [`crate::error::Failure`] that says what was
/// attempted. Writes are durable when they return: file and directory are synced.
///
/// As root, no method follows a symbolic link that another user can change: a link counts only when it, its directory
/// and all directories above belong to root and nobody else can change them. An error says which link it was.
pub trait Host: Send + Sync {
    /// The same host, for those who look at it later.
    fn share(&self) -> Arc<dyn Host>;
    /// `lstat`; `None` when nothing is there (or a parent is missing).
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;
    /// The whole content of a regular file (links are followed).
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The first `limit` bytes of `path`: for files that others name, which may be endless.
    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// The first `limit` bytes of a regular file; never waits for the other end of a pipe.
    fn read_start(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// The SHA-256 of the content of a regular file, in hexadecimal; the file may be larger than memory.
    fn hash(&self, path: &Path) -> io::Result<String>;
    /// Copies a regular file as [`Host::write`] writes one; it may be larger than memory.
    fn copy(&self, from: &Path, to: &Path, meta: Meta) -> io::Result<()>;
    /// The target of a symbolic link.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Replaces or creates a file: written beside it, given its owner and mode, synced, renamed over it.
    fn write(&self, path: &Path, content: &[u8], meta: Meta) -> io::Result<()>;
    /// Makes a file of `size` bytes, 0600, that takes up their room on the disk.
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()>;
    /// Appends to a file, creating it 0600, and syncs it.
    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Appends without syncing: for logs and events, which may be lost with the power.
    fn append_lazily(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Makes one directory; its parent must exist. An existing directory is no error.
    fn make_dir(&self, path: &Path, meta: Meta) -> io::Result<()>;
    /// Makes or replaces a symbolic link, atomically.
    fn make_symlink(&self, path: &Path, target: &Path) -> io::Result<()>;
    /// Sets owner, group and mode (of a link: owner and group only).
    fn set_meta(&self, path: &Path, meta: Meta) -> io::Result<()>;
    /// Gives a directory, which gets `meta`, and all below it to the owner and group of `meta`. The rest keeps its
    /// modes but for what [`settled`] changes.
    fn settle_tree(&self, path: &Path, meta: Meta) -> io::Result<()>;
    /// Sets the modification time, not following links.
    fn set_mtime(&self, path: &Path, mtime: Stamp) -> io::Result<()>;
    /// Removes a file or a link. A missing one is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory. A missing one is no error.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes what is at `path`, with everything below, but nothing that is mounted there. A missing path is no error.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Extended attributes of a path (not following links), sorted by name.
    fn xattrs(&self, path: &Path) -> io::Result<Vec<(String, Vec<u8>)>>;
    /// Sets one extended attribute.
    fn set_xattr(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()>;
    /// What was appended to a file since `offset` bytes; empty when nothing was, or when there is no file.
    fn read_from(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>>;
    /// Locks a file (made 0600 if missing) for us alone, until the guard is dropped or the process ends;
    /// `None` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>>;
    /// Whether a process, perhaps ours, holds such a lock. Takes no lock itself.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;
    /// Free and total bytes of the file system that holds `path`.
    fn disk(&self, path: &Path) -> io::Result<(u64, u64)>;
    /// Free and total inodes of the file system that holds `path`; 0 in all where it makes them as needed.
    fn inodes(&self, path: &Path) -> io::Result<(u64, u64)>;

    /// Runs a command to its end; `line` is called with each line while it runs.
    /// An error means that it could not be started.
    fn run_with(&self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> io::Result<Output>;
    /// Runs a command to its end.
    fn run(&self, command: &Command) -> io::Result<Output> {
        self.run_with(command, &mut |_, _| {})
    }

    /// Runs a command to its end on our own terminal, with our own environment: a shell for the administrator. Of
    /// the command only argv and the variables count. Its exit status.
    fn hand_over(&self, command: &Command) -> io::Result<i32>;

    /// A variable of our own environment.
    fn env(&self, name: &str) -> Option<String>;
    /// Our effective user id.
    fn euid(&self) -> u32;
    /// Ends this process at once, as SIGKILL would. For tests of what a crash leaves behind.
    fn die(&self);
    /// Watches who writes files. Meanwhile the time of the file `alive` is our last sign of life, to the second, and
    /// its content the inodes of files that others wrote: after a crash it shows which changes came later.
    fn watch(&self, alive: &Path) -> Box<dyn Watch>;
    /// Connects within `timeout`.
    fn connect(&self, address: &Address, timeout: Duration) -> io::Result<Box<dyn Duplex>>;
    /// The wall clock.
    fn now(&self) -> Stamp;
    /// Waits.
    fn sleep(&self, duration: Duration);
    /// How many things that mostly wait may be tried at once.
    fn parallelism(&self) -> usize;
    /// Fills `bytes` from the kernel's random number generator.
    fn random(&self, bytes: &mut [u8]) -> io::Result<()>;
}
