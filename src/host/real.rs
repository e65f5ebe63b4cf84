//! This machine.

// The one place where the machine may be touched directly (see clippy.toml).
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod command;
mod watch;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use sysinfo::{DiskRefreshKind, Disks};

use super::{Address, Command, Duplex, Host, Kind, Meta, Output, Stamp, Stat, Stream, Watch};

/// This machine.
///
/// The content of a file is synced before it gets its name. Removals, links, directories and permissions are
/// collected and synced together, at the latest before the next durable [`Host::append`] returns: the journal
/// never claims what a power cut could take back, and removing thousands of files costs one sync a directory.
#[derive(Debug)]
pub struct RealHost {
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl RealHost {
    /// Opens the door. Sets our file creation mask to 022, whatever the administrator's shell has: it is
    /// inherited by package scripts, and decides whether a web server can read what they make.
    pub fn new() -> Self {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        Self { unsynced: Mutex::default() }
    }

    fn sync_later(&self, path: &Path) {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    fn sync_collected(&self) -> io::Result<()> {
        let paths = std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        for path in paths {
            match sync(&path) {
                // Gone or replaced since: its parent was collected too.
                Err(e) if is_absent(&e) || e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {}
                other => other?,
            }
        }
        Ok(())
    }
}

impl Default for RealHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for RealHost {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(stat(&found))),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, limit), &mut content)?;
        Ok(content)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names =
            fs::read_dir(dir)?.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn write(&self, path: &Path, content: &[u8], meta: Meta) -> io::Result<()> {
        let temp = beside(path)?;
        discard(&temp)?;
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
            file.write_all(content)?;
            give(&file, meta)?;
            file.sync_all()?;
            fs::rename(&temp, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temp);
        }
        written?;
        sync(parent(path))
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.sync_collected()?;
        let is_new = self.stat(path)?.is_none();
        let mut file = open_for_append(path)?;
        file.write_all(content)?;
        file.sync_data()?;
        if is_new { sync(parent(path)) } else { Ok(()) }
    }

    fn append_lazily(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        open_for_append(path)?.write_all(content)
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> io::Result<()> {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) => self.set_meta(path, meta)?,
            Err(Errno::EXIST) if fs::metadata(path).is_ok_and(|found| found.is_dir()) => {
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        }
        self.sync_later(parent(path));
        Ok(())
    }

    fn make_symlink(&self, path: &Path, target: &Path) -> io::Result<()> {
        let temp = beside(path)?;
        discard(&temp)?;
        std::os::unix::fs::symlink(target, &temp)?;
        if let Err(e) = fs::rename(&temp, path) {
            let _ = fs::remove_file(&temp);
            return Err(e);
        }
        self.sync_later(parent(path));
        Ok(())
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> io::Result<()> {
        // By descriptor, so that nobody can put a link in its place between the look and the change.
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let handle = File::from(handle);
        let found = handle.metadata()?;
        if (found.uid(), found.gid()) != (meta.uid, meta.gid) {
            let (uid, gid) = (rustix::fs::Uid::from_raw(meta.uid), rustix::fs::Gid::from_raw(meta.gid));
            rustix::fs::chownat(&handle, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        }
        if !found.is_symlink() {
            use std::os::fd::AsRawFd;
            // A path descriptor cannot be given to fchmod; its name in /proc can. After the owner, because a
            // change of owner takes the set-id bits away.
            let name = format!("/proc/self/fd/{}", handle.as_raw_fd());
            fs::set_permissions(name, Permissions::from_mode(meta.mode))?;
        }
        if found.is_file() || found.is_dir() {
            self.sync_later(path);
        }
        Ok(())
    }

    fn set_mtime(&self, path: &Path, mtime: Stamp) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.sec, tv_nsec: mtime.nsec.into() },
        };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // A write that was killed may have left its temporary file.
        discard(&beside(path)?)?;
        discard(path)?;
        self.sync_later(parent(path));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir(path) {
            Err(e) if !is_absent(&e) => return Err(e),
            _ => self.sync_later(parent(path)),
        }
        Ok(())
    }

    fn xattrs(&self, path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut names = match rustix::fs::llistxattr(path, &mut [0_u8; 0][..]) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Ok(size) => vec![0; size],
            Err(e) => return Err(e.into()),
        };
        let size = rustix::fs::llistxattr(path, &mut names[..])?;
        names.truncate(size);
        let mut found = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0; rustix::fs::lgetxattr(path, name, &mut [0_u8; 0][..])?];
            let size = rustix::fs::lgetxattr(path, name, &mut value[..])?;
            value.truncate(size);
            found.push((String::from_utf8_lossy(name).into_owned(), value));
        }
        found.sort();
        Ok(found)
    }

    fn set_xattr(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?)
    }

    fn read_from(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if is_absent(&e) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut appended = Vec::new();
        file.read_to_end(&mut appended)?;
        Ok(appended)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let file = open_for_append(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn disk(&self, path: &Path) -> io::Result<(u64, u64)> {
        let device = fs::metadata(path)?.dev();
        let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage());
        let holds = |mount: &Path| fs::metadata(mount).is_ok_and(|found| found.dev() == device);
        let disks = disks.as_deref().unwrap_or_default();
        if let Some(disk) = disks.iter().find(|disk| holds(disk.mount_point())) {
            return Ok((disk.available_space(), disk.total_space()));
        }
        // What sysinfo leaves out: memory file systems, network file systems, a changed root.
        let found = rustix::fs::statvfs(path)?;
        Ok((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
    }

    fn inodes(&self, path: &Path) -> io::Result<(u64, u64)> {
        let found = rustix::fs::statvfs(path)?;
        Ok((found.f_favail, found.f_files))
    }

    fn run_with(&self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> io::Result<Output> {
        command::run(command, line)
    }

    fn hand_over(&self, command: &Command) -> io::Result<i32> {
        command::hand_over(command)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn euid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn die(&self) {
        // The signal cannot be blocked; there is nobody left to see an error.
        let _ = kill_process(getpid(), Signal::KILL);
    }

    fn watch(&self, alive: &Path) -> Box<dyn Watch> {
        Box::new(watch::Watcher::start(alive))
    }

    fn connect(&self, address: &Address, timeout: Duration) -> io::Result<Box<dyn Duplex>> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, timeout)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(Box::new(stream))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(Box::new(stream))
            }
        }
    }

    fn now(&self) -> Stamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nsec: since.subsec_nanos() }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        File::open("/dev/urandom")?.read_exact(bytes)
    }
}

fn stat(found: &fs::Metadata) -> Stat {
    let kind = match found.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Dir,
        kind if kind.is_symlink() => Kind::Symlink,
        _ => Kind::Other,
    };
    let stamp = |sec, nsec| Stamp { sec, nsec: u32::try_from(nsec).unwrap_or(0) };
    Stat {
        kind,
        meta: Meta { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() },
        size: found.size(),
        mtime: stamp(found.mtime(), found.mtime_nsec()),
        ctime: stamp(found.ctime(), found.ctime_nsec()),
        ino: found.ino(),
        dev: found.dev(),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// The temporary name for `path`, in its directory. Always the same, so that the next write or removal clears
/// away what a killed one left behind.
fn beside(path: &Path) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // A name has at most 255 bytes.
    let kept = &name.as_bytes()[..name.len().min(230)];
    let mut temp = OsString::from(".");
    temp.push(OsStr::from_bytes(kept));
    temp.push(".bringup-temp");
    Ok(path.with_file_name(temp))
}

fn discard(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if !is_absent(&e) => Err(e),
        _ => Ok(()),
    }
}

fn give(file: &File, meta: Meta) -> io::Result<()> {
    let found = file.metadata()?;
    if (found.uid(), found.gid()) != (meta.uid, meta.gid) {
        fchown(file, Some(meta.uid), Some(meta.gid))?;
    }
    file.set_permissions(Permissions::from_mode(meta.mode))
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Syncs a file or a directory, not following a link, not waiting for the other end of a pipe.
fn sync(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::fsync(rustix::fs::open(path, flags, Mode::empty())?)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A directory of the test's own, removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("bringup-real-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn own(&self, mode: u32) -> Meta {
            let found = fs::metadata(&self.0).unwrap();
            Meta { mode, uid: found.uid(), gid: found.gid() }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_written_file_has_its_content_and_mode_and_leaves_nothing_beside_it() {
        let (host, dir) = (RealHost::new(), Scratch::new("write"));
        let path = dir.0.join("a");
        host.write(&path, b"one", dir.own(0o640)).unwrap();
        host.write(&path, b"two", dir.own(0o4711)).unwrap();
        assert_eq!(host.read(&path).unwrap(), b"two");
        assert_eq!(host.stat(&path).unwrap().unwrap().meta.mode, 0o4711);
        assert_eq!(host.list(&dir.0).unwrap(), [PathBuf::from("a")]);
    }

    #[test]
    fn the_left_over_of_a_killed_write_goes_with_the_next_one_and_with_a_removal() {
        let (host, dir) = (RealHost::new(), Scratch::new("left-over"));
        let path = dir.0.join("a");
        fs::write(dir.0.join(".a.bringup-temp"), "half").unwrap();
        host.write(&path, b"whole", dir.own(0o600)).unwrap();
        assert_eq!(host.list(&dir.0).unwrap(), [PathBuf::from("a")]);
        fs::write(dir.0.join(".a.bringup-temp"), "half").unwrap();
        host.remove(&path).unwrap();
        assert!(host.list(&dir.0).unwrap().is_empty());
    }

    #[test]
    fn writing_over_a_link_replaces_the_link_and_not_its_target() {
        let (host, dir) = (RealHost::new(), Scratch::new("link"));
        let (file, link) = (dir.0.join("file"), dir.0.join("link"));
        host.write(&file, b"kept", dir.own(0o600)).unwrap();
        host.make_symlink(&link, Path::new("elsewhere")).unwrap();
        host.make_symlink(&link, &file).unwrap();
        assert_eq!(host.read_link(&link).unwrap(), file);
        host.write(&link, b"new", dir.own(0o600)).unwrap();
        assert_eq!(host.read(&file).unwrap(), b"kept");
        assert_eq!(host.stat(&link).unwrap().unwrap().kind, Kind::File);
    }

    #[test]
    fn what_is_missing_is_none_and_removing_it_is_no_error() {
        let (host, dir) = (RealHost::new(), Scratch::new("missing"));
        let path = dir.0.join("no/such");
        assert_eq!(host.stat(&path).unwrap(), None);
        host.remove(&path).unwrap();
        host.remove_dir(&path).unwrap();
        host.write(&dir.0.join("file"), b"", dir.own(0o600)).unwrap();
        assert_eq!(host.stat(&dir.0.join("file/below")).unwrap(), None);
        assert!(host.write(&path, b"", dir.own(0o600)).is_err());
    }

    #[test]
    fn an_existing_directory_is_left_as_it_is() {
        let (host, dir) = (RealHost::new(), Scratch::new("dir"));
        let path = dir.0.join("d");
        host.make_dir(&path, dir.own(0o2750)).unwrap();
        host.make_dir(&path, dir.own(0o700)).unwrap();
        assert_eq!(host.stat(&path).unwrap().unwrap().meta.mode, 0o2750);
        host.write(&path.join("f"), b"", dir.own(0o600)).unwrap();
        assert!(host.make_dir(&path.join("f"), dir.own(0o700)).is_err());
        assert!(host.remove_dir(&path).is_err());
    }

    #[test]
    fn times_and_permissions_are_set_on_the_thing_itself() {
        let (host, dir) = (RealHost::new(), Scratch::new("meta"));
        let (file, link) = (dir.0.join("file"), dir.0.join("link"));
        host.write(&file, b"", dir.own(0o600)).unwrap();
        host.make_symlink(&link, &file).unwrap();
        let then = Stamp { sec: 1_000_000_000, nsec: 123_456_789 };
        host.set_mtime(&link, then).unwrap();
        host.set_meta(&link, dir.own(0o777)).unwrap();
        assert_eq!(host.stat(&link).unwrap().unwrap().mtime, then);
        let found = host.stat(&file).unwrap().unwrap();
        assert_ne!(found.mtime, then);
        assert_eq!(found.meta.mode, 0o600);
        host.set_meta(&file, dir.own(0o4755)).unwrap();
        assert_eq!(host.stat(&file).unwrap().unwrap().meta.mode, 0o4755);
    }

    #[test]
    fn appending_makes_a_private_file_and_keeps_what_is_there() {
        let (host, dir) = (RealHost::new(), Scratch::new("append"));
        let path = dir.0.join("log");
        host.append(&path, b"one\n").unwrap();
        host.append_lazily(&path, b"two\n").unwrap();
        assert_eq!(host.read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(host.stat(&path).unwrap().unwrap().meta.mode, 0o600);
    }

    #[test]
    fn a_collected_sync_survives_that_the_path_went_away() {
        let (host, dir) = (RealHost::new(), Scratch::new("collected"));
        let gone = dir.0.join("gone");
        host.make_dir(&gone, dir.own(0o700)).unwrap();
        host.remove_dir(&gone).unwrap();
        host.append(&dir.0.join("journal"), b"x").unwrap();
        assert!(host.unsynced.lock().unwrap().is_empty());
    }

    #[test]
    fn a_lock_is_held_until_its_guard_is_dropped() {
        let (host, dir) = (RealHost::new(), Scratch::new("lock"));
        let path = dir.0.join("lock");
        let guard = host.lock(&path).unwrap();
        assert!(guard.is_some());
        // Another descriptor, as another process would have.
        assert!(host.lock(&path).unwrap().is_none());
        assert_eq!(host.stat(&path).unwrap().unwrap().meta.mode, 0o600);
        drop(guard);
        assert!(host.lock(&path).unwrap().is_some());
    }

    #[test]
    fn what_was_appended_since_is_read_and_nothing_is_no_error() {
        let (host, dir) = (RealHost::new(), Scratch::new("since"));
        let path = dir.0.join("events");
        assert_eq!(host.read_from(&path, 0).unwrap(), b"");
        host.append_lazily(&path, b"one\ntwo\n").unwrap();
        assert_eq!(host.read_from(&path, 4).unwrap(), b"two\n");
        assert_eq!(host.read_from(&path, 99).unwrap(), b"");
    }

    #[test]
    fn a_disk_has_room_and_random_bytes_differ() {
        let (host, dir) = (RealHost::new(), Scratch::new("disk"));
        let (free, total) = host.disk(&dir.0).unwrap();
        assert!(free <= total && total > 0);
        assert!(host.disk(Path::new("/proc")).is_ok());
        let (mut a, mut b) = ([0; 16], [0; 16]);
        host.random(&mut a).unwrap();
        host.random(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
