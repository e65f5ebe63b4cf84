//! This server.

// The one place where the server may be touched directly (see clippy.toml).
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub(super) mod command;
mod lock;
mod path;
mod stream;
mod tree;
mod watch;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, FallocateFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags, mkdirat, openat, readlinkat,
    renameat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use sysinfo::{DiskRefreshKind, Disks};

use super::{Address, Command, Duplex, Hash, Host, Kind, Meta, Output, Stamp, Stat, Stream, Watch};

/// So much is read of a file that only we can change, into memory: manifests and logs of our own.
const READ_OF_OURS: u64 = 1 << 30;
/// So much of a file that someone else may have made as large as he likes.
pub(super) const READ_OF_OTHERS: u64 = 16 << 20;
/// Bytes of an appended file that are read at once; the next read continues there.
pub(super) const READ_FROM: u64 = 16 << 20;
/// Names in a directory that are listed.
const MOST_NAMES: usize = 1_000_000;

/// This server.
///
/// The content of a file is synced before it gets its name. Removals, links, directories and permissions are
/// collected and synced together, at the latest before the next durable [`Host::append`] returns: the journal
/// never claims what a power cut could roll back, and removing thousands of files costs one sync a directory.
#[derive(Debug)]
pub struct RealHost {
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl RealHost {
    /// Opens the real host. Sets our umask to 022, whatever the administrator's shell has: package scripts inherit it,
    /// and it decides whether a web server can read the files they create.
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
            // Gone or replaced since, or behind a link that someone put there: its parent was collected too.
            if let Ok(opened) = open_to_sync(&path) {
                rustix::fs::fsync(opened)?;
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
    fn share(&self) -> Arc<dyn Host> {
        Arc::new(Self { unsynced: Mutex::default() })
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match path::handle(path).and_then(|found| found.metadata()) {
            Ok(found) => Ok(Some(stat(&found))),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        path::open(path, OFlags::RDONLY)?.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (file, about) = open_file(path)?;
        let limit = if path::only_ours_change(&about) { READ_OF_OURS } else { READ_OF_OTHERS };
        let too_large = || {
            let why = format!("it is larger than {}", crate::human_bytes::human(limit));
            io::Error::new(io::ErrorKind::FileTooLarge, why)
        };
        if about.len() > limit {
            return Err(too_large());
        }
        let mut content = Vec::new();
        // One more byte shows that a file is too large. Files of the kernel have no size.
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit { Err(too_large()) } else { Ok(content) }
    }

    fn read_start(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        open_file(path)?.0.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    fn hash(&self, path: &Path) -> io::Result<String> {
        let (mut file, _) = open_file(path)?;
        let mut hash = Hash::default();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(hash.finish()),
                Ok(count) => hash.add(&chunk[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn copy(&self, from: &Path, to: &Path, meta: Meta) -> io::Result<()> {
        let (mut file, _) = open_file(from)?;
        replace(to, meta, |new| copy_data(&mut file, new))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let found = path::handle(path)?;
        if !found.metadata()?.is_symlink() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(PathBuf::from(OsStr::from_bytes(readlinkat(&found, c"", Vec::new())?.as_bytes())))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = path::open(dir, OFlags::RDONLY | OFlags::DIRECTORY)?.into();
        let names = tree::names(&dir, MOST_NAMES + 1)?;
        if names.len() > MOST_NAMES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it holds more than {MOST_NAMES} names")));
        }
        let mut names: Vec<PathBuf> =
            names.iter().map(|name| PathBuf::from(OsStr::from_bytes(name.to_bytes()))).collect();
        names.sort();
        Ok(names)
    }

    fn write(&self, path: &Path, content: &[u8], meta: Meta) -> io::Result<()> {
        replace(path, meta, |file| file.write_all(content))
    }

    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        let ours = rustix::process::getegid().as_raw();
        replace(path, Meta { mode: 0o600, uid: self.euid(), gid: ours }, |file| {
            match rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, size) {
                Err(Errno::NOTSUP | Errno::NOSYS) => io::copy(&mut io::repeat(0).take(size), file).map(drop),
                other => Ok(other?),
            }
        })
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.sync_collected()?;
        let is_new = self.stat(path)?.is_none();
        let mut file = open_for_append(path)?;
        file.write_all(content)?;
        file.sync_data()?;
        if is_new { Ok(rustix::fs::fsync(open_to_sync(parent(path))?)?) } else { Ok(()) }
    }

    fn append_lazily(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        open_for_append(path)?.write_all(content)
    }

    fn make_dir(&self, path: &Path, meta: Meta) -> io::Result<()> {
        let place = path::place(path)?;
        match mkdirat(&place.dir, &place.name, Mode::RWXU) {
            Ok(()) => {
                let dir = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
                let found = dir.metadata()?;
                // Anyone who can change its parent may have put another directory of ours in its place.
                let is_new = found.uid() == self.euid() && found.mode() & 0o777 == 0o700;
                if !is_new || !tree::names(&dir.try_clone()?.into(), 1)?.is_empty() {
                    return Err(io::Error::other("something else is already in its place"));
                }
                give(&dir, meta)?;
                self.sync_later(path);
            }
            Err(Errno::EXIST) if path::directory(path).is_ok() => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        self.sync_later(parent(path));
        Ok(())
    }

    fn make_symlink(&self, path: &Path, target: &Path) -> io::Result<()> {
        let place = path::place(path)?;
        let temp = beside(&place.name)?;
        discard(&place, &temp)?;
        symlinkat(target, &place.dir, &temp)?;
        if let Err(e) = renameat(&place.dir, &temp, &place.dir, &place.name) {
            let _ = discard(&place, &temp);
            return Err(e.into());
        }
        self.sync_later(parent(path));
        Ok(())
    }

    fn set_meta(&self, path: &Path, meta: Meta) -> io::Result<()> {
        // By descriptor, so that it cannot be replaced by a link between the check and the change.
        let handle = path::handle(path)?;
        let found = handle.metadata()?;
        let is_ours = || path::known_place(path).is_ok_and(|place| place.is_ours);
        set_meta_of(&handle, meta, found.nlink() < 2 || is_ours())?;
        if found.is_file() || found.is_dir() {
            self.sync_later(path);
        }
        Ok(())
    }

    fn settle_tree(&self, path: &Path, meta: Meta) -> io::Result<()> {
        tree::settle(path, meta)?;
        self.sync_later(path);
        Ok(())
    }

    fn set_mtime(&self, path: &Path, mtime: Stamp) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.sec, tv_nsec: mtime.nsec.into() },
        };
        let place = path::place(path)?;
        Ok(utimensat(&place.dir, &place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let place = match path::place(path) {
            Err(e) if is_absent(&e) => return Ok(()),
            place => place?,
        };
        // A write that was killed may have left its temporary file.
        discard(&place, &beside(&place.name)?)?;
        discard(&place, &place.name)?;
        self.sync_later(parent(path));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let place = match path::place(path) {
            Err(e) if is_absent(&e) => return Ok(()),
            place => place?,
        };
        match unlinkat(&place.dir, &place.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => self.sync_later(parent(path)),
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match tree::remove(path) {
            Err(e) if !is_absent(&e) => return Err(e),
            _ => self.sync_later(parent(path)),
        }
        Ok(())
    }

    fn xattrs(&self, path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
        // By its name in /proc: a descriptor that may be of anything cannot be asked.
        let handle = path::handle(path)?;
        let path = path::in_proc(&handle);
        let mut names = match rustix::fs::listxattr_query(&path) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Ok(size) => vec![0; size],
            Err(e) => return Err(e.into()),
        };
        let size = rustix::fs::listxattr(&path, &mut names[..])?;
        names.truncate(size);
        let mut found = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0; rustix::fs::getxattr_query(&path, name)?];
            let size = rustix::fs::getxattr(&path, name, &mut value[..])?;
            value.truncate(size);
            found.push((String::from_utf8_lossy(name).into_owned(), value));
        }
        found.sort();
        Ok(found)
    }

    fn set_xattr(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        let handle = path::handle(path)?;
        Ok(rustix::fs::setxattr(path::in_proc(&handle), name, value, XattrFlags::empty())?)
    }

    fn read_from(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>> {
        let mut file = match open_file(path) {
            Ok((file, _)) => file,
            Err(e) if is_absent(&e) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut appended = Vec::new();
        file.take(READ_FROM).read_to_end(&mut appended)?;
        Ok(appended)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        Ok(lock::take(path)?.map(|file| Box::new(file) as Box<dyn Send>))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        lock::is_held(path)
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
        // The signal cannot be blocked, and nobody is left to see an error.
        let _ = kill_process(getpid(), Signal::KILL);
    }

    fn watch(&self, alive: &Path) -> Box<dyn Watch> {
        Box::new(watch::Watcher::start(alive))
    }

    fn connect(&self, address: &Address, timeout: Duration) -> io::Result<Box<dyn Duplex>> {
        stream::open(address, timeout)
    }

    fn now(&self) -> Stamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nsec: since.subsec_nanos() }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn parallelism(&self) -> usize {
        // Small servers have one processor and little memory; what is tried waits for others.
        8
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

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// The temporary name for what is called `name`, in its directory. Always the same, so that the next write or removal
/// clears away what a killed one left behind.
fn beside(name: &OsStr) -> io::Result<OsString> {
    if name == "." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // A name has at most 255 bytes.
    let kept = &name.as_bytes()[..name.len().min(230)];
    let mut temp = OsString::from(".");
    temp.push(OsStr::from_bytes(kept));
    temp.push(".bringup-temp");
    Ok(temp)
}

fn discard(place: &path::Place, name: &OsStr) -> io::Result<()> {
    match unlinkat(&place.dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Puts a new file at `path`, durably and as a whole.
fn replace(path: &Path, meta: Meta, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let place = path::place(path)?;
    let temp = beside(&place.name)?;
    discard(&place, &temp)?;
    let written = (|| {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&place.dir, &temp, flags, Mode::RUSR | Mode::WUSR)?);
        fill(&mut file)?;
        give(&file, meta)?;
        file.sync_all()?;
        renameat(&place.dir, &temp, &place.dir, &place.name)?;
        let dir = openat(&place.dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::fsync(dir)?)
    })();
    if written.is_err() {
        let _ = discard(&place, &temp);
    }
    written
}

/// Copies what a file holds; its holes stay holes.
fn copy_data(from: &mut File, to: &mut File) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        let start = match seek(&*from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but holes.
            Err(Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(Errno::INVAL) => at,
            Err(e) => return Err(e.into()),
        };
        let end = seek(&*from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        seek(&*from, SeekFrom::Start(start))?;
        seek(&*to, SeekFrom::Start(start))?;
        io::copy(&mut Read::take(&mut *from, end.saturating_sub(start)), to)?;
        at = end.max(start + 1);
    }
    Ok(())
}

fn give(file: &File, meta: Meta) -> io::Result<()> {
    let found = file.metadata()?;
    if (found.uid(), found.gid()) != (meta.uid, meta.gid) {
        fchown(file, Some(meta.uid), Some(meta.gid))?;
    }
    file.set_permissions(Permissions::from_mode(meta.mode))
}

/// Sets owner, group and mode through a handle. A file with several hard links is left alone in a directory that
/// another user can change: it may be a file of root's, linked there to be given away.
fn set_meta_of(handle: &File, meta: Meta, is_ours: bool) -> io::Result<()> {
    let found = handle.metadata()?;
    let is_foreign = !found.is_dir() && found.nlink() > 1 && found.uid() != meta.uid;
    if is_foreign && !is_ours {
        return Err(io::Error::other(
            "it has another name elsewhere (a hard link), and another user can change its directory, \
             so its owner and mode are left as they are",
        ));
    }
    if (found.uid(), found.gid()) != (meta.uid, meta.gid) {
        let (uid, gid) = (rustix::fs::Uid::from_raw(meta.uid), rustix::fs::Gid::from_raw(meta.gid));
        rustix::fs::chownat(handle, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    }
    if !found.is_symlink() {
        // A path descriptor cannot be given to fchmod; its name in /proc can. After the owner, because a
        // change of owner takes the set-id bits away.
        fs::set_permissions(path::in_proc(handle), Permissions::from_mode(meta.mode))?;
    }
    Ok(())
}

/// Opens a regular file, not waiting for the other end of a pipe that someone put in its place.
fn open_file(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let file = path::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok((file, about))
}

fn open_for_append(path: &Path) -> io::Result<File> {
    path::open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
}

/// Opens a file or a directory, not following a link, not waiting for the other end of a pipe.
fn open_to_sync(path: &Path) -> io::Result<File> {
    let about = path::handle(path)?.metadata()?;
    // A device may do something when it is opened.
    if !about.is_file() && !about.is_dir() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    path::place(path)?.open(OFlags::RDONLY | OFlags::NONBLOCK)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A directory of the test's own, removed with it.
    pub(super) struct Scratch(pub(super) PathBuf);

    impl Scratch {
        pub(super) fn new(name: &str) -> Self {
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
    fn a_collected_sync_survives_that_the_path_went_away() {
        let (host, dir) = (RealHost::new(), Scratch::new("collected"));
        let gone = dir.0.join("gone");
        host.make_dir(&gone, dir.own(0o700)).unwrap();
        host.remove_dir(&gone).unwrap();
        host.append(&dir.0.join("journal"), b"x").unwrap();
        assert!(host.unsynced.lock().unwrap().is_empty());
    }
}
