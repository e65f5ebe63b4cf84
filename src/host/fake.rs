//! A fake host, good enough that the whole engine runs against it in milliseconds.
//!
//! Files behave as on Linux (links, modes, inodes, times that only move forward). Commands are simulated where
//! the engine needs them (`dpkg`, services, accounts, databases); others succeed and do nothing, unless a test
//! says what they do with [`FakeHost::on`]. Any change can be made to fail, or to be the last one before the
//! program is killed.

mod accounts;
mod base;
mod configs;
mod databases;
mod engines;
mod faults;
mod files;
mod locks;
mod nft;
mod packages;
mod programs;
mod services;
mod snapshot;
mod sockets;
mod sshd;
mod tools;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use faults::Cut;
pub use packages::Package;
pub use services::Defect;
pub use snapshot::Snapshot;

use super::real::command::Taken;
use super::real::{READ_FROM, READ_OF_OTHERS, is_absent};
use super::{Address, Command, Duplex, Hash, Host, Kind, Meta, Output, Stamp, Stat, Stdin, Stream, Watch};
use faults::{Fate, Faults};
use files::Files;

/// A fake host. Clones share the same state.
#[derive(Clone)]
pub struct FakeHost {
    world: Arc<Mutex<World>>,
}

type Handler = Arc<dyn Fn(&FakeHost, &Command) -> Output + Send + Sync>;
type Answer = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Everything that there is.
struct World {
    files: Files,
    /// Nanoseconds since the epoch.
    clock: u64,
    /// Anyone who waits loses the time.
    waits: bool,
    euid: u32,
    env: BTreeMap<String, String>,
    disk: (u64, u64),
    inodes: (u64, u64),
    random: u64,
    packages: packages::Archive,
    services: services::Services,
    databases: databases::Databases,
    sockets: sockets::Sockets,
    nft: nft::Ruleset,
    missing_programs: BTreeSet<String>,
    handlers: Vec<(Vec<String>, Handler)>,
    answers: Vec<(Address, Answer)>,
    repositories: BTreeMap<String, BTreeMap<PathBuf, Vec<u8>>>,
    locks: locks::Locks,
    calls: Vec<Call>,
    faults: Faults,
    watch: writers::Watching,
}

/// One call that came through the door.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The method's name.
    pub method: &'static str,
    /// The path, or the command's argv joined by blanks.
    pub subject: String,
    /// Whether it may change the server.
    pub changes: bool,
    /// The command, when it is one.
    pub command: Option<Command>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}", self.method, if self.changes { "!" } else { "" }, self.subject)
    }
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// A fresh Debian 12 with systemd, 2 processors and 2 GiB, reached as root.
    pub fn new() -> Self {
        Self::debian("bookworm")
    }

    /// A fresh Debian: `bullseye`, `bookworm` or `trixie`.
    pub fn debian(codename: &str) -> Self {
        Self { world: Arc::new(Mutex::new(base::debian(codename))) }
    }

    /// Takes systemd away: PID 1 is a shell, services are `SysV` scripts.
    #[must_use]
    pub fn without_systemd(self) -> Self {
        self.world().take_systemd_away();
        self
    }

    /// Whether waiting takes real time; otherwise it only advances the clock.
    #[must_use]
    pub fn in_real_time(self) -> Self {
        self.world().waits = true;
        self
    }

    /// A view as an ordinary user, who changes nothing and reads what is world-readable.
    #[must_use]
    pub fn as_user(self, uid: u32) -> Self {
        self.world().euid = uid;
        self
    }

    /// Sets a variable of our own environment.
    pub fn set_env(&self, name: &str, value: &str) {
        self.world().env.insert(name.to_owned(), value.to_owned());
    }

    /// Sets free and total bytes of every disk; with nothing free, writing fails.
    pub fn set_disk(&self, free: u64, total: u64) {
        self.world().disk = (free, total);
    }

    /// Gives a directory a file system of its own, as an administrator who has partitions.
    pub fn mount(&self, point: &str) {
        // The directory is there before.
        self.put_file(format!("{point}/lost+found/x"), "", 0o600);
        self.world().files.mount(Path::new(point));
        let known = self.text(crate::host::mounts::MOUNTINFO).unwrap_or_default();
        let line = format!("40 1 8:2 / {point} rw,relatime shared:2 - ext4 /dev/sda2 rw\n");
        self.put_file(crate::host::mounts::MOUNTINFO, known + &line, 0o444);
    }

    /// Sets free and total inodes of every disk.
    pub fn set_inodes(&self, free: u64, total: u64) {
        self.world().inodes = (free, total);
    }

    /// Puts a file there with the directories above it; not counted as a call.
    pub fn put_file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>, mode: u32) {
        let mut world = self.world();
        let now = world.tick();
        world.files.put(path.as_ref(), content.as_ref(), Meta::root(mode), now);
    }

    /// The text of a file; `None` when there is none. Not counted as a call.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let content = self.world().files.read(path.as_ref()).ok()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    /// Removes a file, a link or a whole tree; not counted as a call.
    pub fn take_away(&self, path: impl AsRef<Path>) {
        let mut world = self.world();
        let now = world.tick();
        world.files.remove_tree(path.as_ref(), now);
    }

    /// Puts an archive there that the simulated `tar` can unpack.
    pub fn put_archive(&self, path: impl AsRef<Path>, files: &[(&str, &str)]) {
        self.put_file(
            path,
            tools::archive(files.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes()))),
            0o644,
        );
    }

    /// Makes a repository that the simulated `git` can clone.
    pub fn put_repository(&self, url: &str, files: &[(&str, &str)]) {
        let files = files.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).collect();
        self.world().repositories.insert(url.to_owned(), files);
    }

    /// Says what commands that begin with `prefix` do. The latest that matches counts. What the closure changes
    /// by [`FakeHost::put_file`] and the like is part of the one command.
    pub fn on<F>(&self, prefix: &[&str], does: F)
    where
        F: Fn(&Self, &Command) -> Output + Send + Sync + 'static,
    {
        let prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        self.world().handlers.push((prefix, Arc::new(does)));
    }

    /// Says that a program does not exist.
    pub fn without_program(&self, name: &str) {
        self.world().missing_programs.insert(name.to_owned());
    }

    /// Answers what is sent to `address`: the closure gets all bytes sent before the first read. Where a unit listens
    /// there, while it is active.
    pub fn answer<F>(&self, address: Address, with: F)
    where
        F: Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    {
        self.world().answers.push((address, Arc::new(with)));
    }

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// Every command so far, oldest first.
    pub fn commands(&self) -> Vec<Command> {
        self.world().calls.iter().filter_map(|call| call.command.clone()).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look<T>(&self, method: &'static str, path: &Path, at: impl FnOnce(&World) -> io::Result<T>) -> io::Result<T> {
        self.let_in();
        let mut world = self.world();
        world.tick();
        world.record(method, path.display().to_string(), false, None);
        world.faults.alive()?;
        world.faults.readable(method, path)?;
        if world.euid != 0 {
            return at(&world);
        }
        world.files.carefully(|_| at(&world))
    }

    fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.look("read", path, |world| {
            let content = world.files.read(path)?;
            let may_read = world.euid == 0 || world.files.everybody_reads(path);
            if may_read { Ok(content) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        })
    }

    fn change(
        &self,
        method: &'static str,
        path: &Path,
        make: impl FnOnce(&mut Files, Stamp) -> io::Result<()>,
    ) -> io::Result<()> {
        self.let_in();
        let mut world = self.world();
        let now = world.tick();
        world.record(method, path.display().to_string(), true, None);
        world.faults.alive()?;
        if world.euid != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match world.faults.next_change() {
            Fate::Happens => world.files.change_carefully(|files| make(files, now)),
            Fate::Fails => Err(faults::failed()),
            Fate::Killed(Cut::After) => {
                world.files.change_carefully(|files| make(files, now)).and(Err(faults::killed()))
            }
            Fate::Killed(Cut::Before | Cut::Halfway) => Err(faults::killed()),
        }
    }

    fn room(&self) -> io::Result<()> {
        if self.world().disk.0 == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn append_to(&self, method: &'static str, path: &Path, content: &[u8]) -> io::Result<()> {
        self.room()?;
        let torn = self.world().faults.is_torn_next();
        // The one change that can be seen half done: a line without its end.
        if torn && self.world().euid == 0 {
            let mut world = self.world();
            let now = world.tick();
            world.record(method, path.display().to_string(), true, None);
            world.faults.next_change();
            world.files.append(path, &content[..content.len() / 2], now)?;
            return Err(faults::killed());
        }
        self.change(method, path, |files, now| files.append(path, content, now))
    }
}

impl World {
    /// Moves the clock by a microsecond, so that no two changes have the same time.
    fn tick(&mut self) -> Stamp {
        self.clock += 1_000;
        self.now()
    }

    fn now(&self) -> Stamp {
        let (sec, nsec) = (self.clock / 1_000_000_000, self.clock % 1_000_000_000);
        Stamp { sec: i64::try_from(sec).unwrap_or(0), nsec: u32::try_from(nsec).unwrap_or(0) }
    }

    fn record(&mut self, method: &'static str, subject: String, changes: bool, command: Option<Command>) {
        if self.faults.alive().is_ok() && !self.files.by_somebody {
            self.watch.last_alive = self.now();
        }
        self.calls.push(Call { method, subject, changes, command });
    }
}

impl Host for FakeHost {
    fn share(&self) -> Arc<dyn Host> {
        Arc::new(self.clone())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.look("stat", path, |world| world.files.lstat(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let content = self.content(path)?;
        let is_large = content.len() as u64 > READ_OF_OTHERS && !self.world().files.only_ours_change(path);
        if is_large { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
    }

    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = self.content(path)?;
        content.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(content)
    }

    fn read_start(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.read_at_most(path, limit)
    }

    fn hash(&self, path: &Path) -> io::Result<String> {
        let mut hash = Hash::default();
        hash.add(&self.content(path)?);
        Ok(hash.finish())
    }

    fn copy(&self, from: &Path, to: &Path, meta: Meta) -> io::Result<()> {
        self.write(to, &self.content(from)?, meta)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.look("read_link", path, |world| world.files.read_link(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.look("list", dir, |world| world.files.list(dir))
    }

    fn write(&self, path: &Path, content: &[u8], meta: Meta) -> io::Result<()> {
        self.room()?;
        self.change("write", path, |files, now| files.write(path, content, meta, now))
    }

    /// Of no size: room on a disk in memory is [`FakeHost::set_disk`]'s.
    fn reserve(&self, path: &Path, _size: u64) -> io::Result<()> {
        self.room()?;
        self.change("reserve", path, |files, now| files.write(path, b"", Meta::root(0o600), now))
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.append_to("append", path, content)
    }

    fn append_lazily(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.append_to("append_lazily", path, content)
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> io::Result<()> {
        self.room()?;
        self.change("make_dir", path, |files, now| files.make_dir(path, meta, now))
    }

    fn make_symlink(&self, path: &Path, target: &Path) -> io::Result<()> {
        self.room()?;
        self.change("make_symlink", path, |files, now| files.make_symlink(path, target, now))
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> io::Result<()> {
        self.change("set_meta", path, |files, now| files.set_meta(path, meta, now))
    }

    fn settle_tree(&self, path: &Path, meta: Meta) -> io::Result<()> {
        self.change("settle_tree", path, |files, now| files.settle_tree(path, meta, now))
    }

    fn set_mtime(&self, path: &Path, mtime: Stamp) -> io::Result<()> {
        self.change("set_mtime", path, |files, now| files.set_mtime(path, mtime, now))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let reserved = path.ends_with("reserve") && self.world().files.exists(path);
        self.change("remove", path, |files, now| files.remove(path, now))?;
        if reserved {
            self.world().disk.0 += 1 << 20;
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change("remove_dir", path, |files, now| files.remove_dir(path, now))
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.change("remove_tree", path, |files, now| {
            match files.locate(path) {
                Err(e) if !is_absent(&e) => return Err(e),
                _ => files.remove_tree(path, now),
            }
            Ok(())
        })
    }

    fn xattrs(&self, path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
        self.look("xattrs", path, |world| world.files.xattrs(path))
    }

    fn set_xattr(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        self.change("set_xattr", path, |files, now| files.set_xattr(path, name, value, now))
    }

    fn read_from(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>> {
        self.look("read_from", path, |world| {
            let content = match world.files.read(path) {
                Err(e) if is_absent(&e) => Vec::new(),
                content => content?,
            };
            let skipped = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let most = usize::try_from(READ_FROM).unwrap_or(usize::MAX);
            Ok(content.into_iter().skip(skipped).take(most).collect())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let file = self.look("lock", path, |world| {
            let file = world.files.follow(path)?;
            let is_dir = world.files.stat(&file).is_some_and(|stat| stat.kind == Kind::Dir);
            if is_dir { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
        })?;
        let mut world = self.world();
        let now = world.tick();
        if !world.files.exists(&file) {
            world.files.write(&file, b"", Meta::root(0o600), now)?;
        }
        Ok(self.take_lock(&mut world, &file))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.look("is_locked", path, |world| Ok(world.locks.is_held(path)))
    }

    fn disk(&self, path: &Path) -> io::Result<(u64, u64)> {
        self.look("disk", path, |world| {
            if world.files.exists(path) { Ok(world.disk) } else { Err(io::ErrorKind::NotFound.into()) }
        })
    }

    fn inodes(&self, path: &Path) -> io::Result<(u64, u64)> {
        self.look("inodes", path, |world| {
            if world.files.exists(path) { Ok(world.inodes) } else { Err(io::ErrorKind::NotFound.into()) }
        })
    }

    fn run_with(&self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> io::Result<Output> {
        let output = self.simulate(command)?;
        let mut taken = Taken::default();
        taken.add(Stream::Stdout, &output.stdout, line);
        taken.add(Stream::Stderr, &output.stderr, line);
        Ok(taken.finish(output.status, line))
    }

    fn hand_over(&self, command: &Command) -> io::Result<i32> {
        self.simulate(command).map(|output| output.status)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.world().env.get(name).cloned()
    }

    fn euid(&self) -> u32 {
        self.world().euid
    }

    fn die(&self) {
        self.world().faults.die();
    }

    fn watch(&self, alive: &Path) -> Box<dyn Watch> {
        self.world().watch.alive = Some(alive.to_owned());
        Box::new(writers::Told(self.clone()))
    }

    fn connect(&self, address: &Address, _timeout: Duration) -> io::Result<Box<dyn Duplex>> {
        let mut world = self.world();
        world.tick();
        world.record("connect", format!("{address:?}"), false, None);
        world.faults.alive()?;
        let answer = world
            .answers
            .iter()
            .rev()
            .find(|(at, _)| at == address && !world.is_closed(at))
            .map(|(_, answer)| answer.clone())
            .or_else(|| self.supervisord(&world, address));
        match answer {
            Some(answer) => Ok(Box::new(sockets::Conversation::new(answer))),
            None if world.listens_at(address) => Ok(Box::new(sockets::Conversation::new(Arc::new(|_| Vec::new())))),
            None => match address {
                Address::Unix(path) if !world.files.exists(path) => Err(io::ErrorKind::NotFound.into()),
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            },
        }
    }

    fn now(&self) -> Stamp {
        self.world().tick()
    }

    /// Everything in order: each kill point stays what it is, and each wait moves its clock.
    fn parallelism(&self) -> usize {
        1
    }

    fn sleep(&self, duration: Duration) {
        let mut world = self.world();
        world.clock += u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4);
        if world.waits {
            drop(world);
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            std::thread::sleep(duration);
        }
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        // Xorshift: the same bytes in every test run, different ones at every call.
        let mut world = self.world();
        for byte in bytes {
            world.random ^= world.random << 13;
            world.random ^= world.random >> 7;
            world.random ^= world.random << 17;
            *byte = world.random.to_le_bytes()[3];
        }
        Ok(())
    }
}

/// Output of a made-up command.
pub fn output(status: i32, stdout: &str, stderr: &str) -> Output {
    Output { status, stdout: stdout.into(), stderr: stderr.into() }
}

fn given_stdin(command: &Command) -> String {
    match &command.stdin {
        Stdin::Null => String::new(),
        Stdin::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests;
