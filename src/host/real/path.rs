//! From a path to a descriptor, without a link on the way that another user can turn elsewhere.
//!
//! Root works in directories of the application: a path there may lead through a link to /etc between the look and
//! the change. So a path is opened part by part, and a link is followed only where nobody but root (and the
//! administrator who called sudo) can have put it: the link, its directory and every directory above are theirs. The
//! links of the system, such as /bin and /var/run, are of that kind. Behind a directory that another user can change,
//! no link is followed at all.
//!
//! Most paths lead through no link: one call of openat2 (Linux 5.6) opens those. Without it, or where there is a link,
//! the parts are opened one by one.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat, openat2, readlinkat};
use rustix::io::Errno;

/// How many links are followed before it is called a loop, as in Linux.
const MAX_LINKS: usize = 40;

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A name in an open directory.
pub(super) struct Place {
    /// The directory, for use as a starting point only (`O_PATH`).
    pub(super) dir: OwnedFd,
    /// The last part of the path; `.` for a path that has none. Below /proc it may have more parts than one.
    pub(super) name: OsString,
    /// Whether only root can have changed anything on the path.
    pub(super) is_ours: bool,
    /// Whether the rest is for the kernel to resolve: links in /proc are no texts.
    in_proc: bool,
}

/// The place of what `path` names, which need not be there. A link in the last part is not followed.
pub(super) fn place(path: &Path) -> io::Result<Place> {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
        && !names_what_is_behind(path)
        && let Some(dir) = at_once(or_here(parent), DIRECTORY)?
    {
        return Ok(Place { dir, name: name.to_owned(), is_ours: false, in_proc: false });
    }
    walk(path, names_what_is_behind(path))
}

/// As [`place`], and whether only root can have changed anything on the way.
pub(super) fn known_place(path: &Path) -> io::Result<Place> {
    walk(path, false)
}

/// What `path` names itself, for looking at it and for changing its owner: not opened, a link not followed.
pub(super) fn handle(path: &Path) -> io::Result<File> {
    if let Some(found) = at_once(path, HANDLE)? {
        return Ok(File::from(found));
    }
    place(path)?.open(HANDLE)
}

/// The directory at `path`, as a starting point.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    if let Some(dir) = at_once(path, DIRECTORY)? {
        return Ok(dir);
    }
    Ok(OwnedFd::from(walk(path, true)?.open(DIRECTORY)?))
}

/// Opens what `path` names; links that no other user can change are followed.
pub(super) fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC;
    if let Some(found) = at_once(path, flags)? {
        return Ok(File::from(found));
    }
    walk(path, true)?.open(flags)
}

impl Place {
    /// Opens it; a link is not followed. A new file is private.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<File> {
        let stop = if self.in_proc { OFlags::empty() } else { OFlags::NOFOLLOW };
        Ok(File::from(openat(&self.dir, &self.name, flags | stop | OFlags::CLOEXEC, mode(flags))?))
    }
}

fn mode(flags: OFlags) -> Mode {
    if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() }
}

/// Opens a path without links; `None` when it has one, or the kernel cannot tell.
fn at_once(path: &Path, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    if !is_root() {
        // Without root, a link only leads to what is accessible anyway.
        return Ok(Some(openat(CWD, path, flags, mode(flags))?));
    }
    #[cfg(test)]
    if tests::without_openat2() {
        return Ok(None);
    }
    match openat2(CWD, path, flags, mode(flags), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS) {
        Ok(found) => Ok(Some(found)),
        // A sandbox may forbid what it does not know.
        Err(Errno::LOOP | Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Opens the directories of a path one by one.
fn walk(path: &Path, follow_last: bool) -> io::Result<Place> {
    let mut shown = PathBuf::from("/");
    let mut rest = parts(path);
    if !path.is_absolute() {
        rest.extend(parts(&std::env::current_dir()?));
    }
    let root = || openat(CWD, "/", DIRECTORY, Mode::empty());
    let mut dir = root()?;
    let mut is_ours = only_ours_change(&File::from(dir.try_clone()?).metadata()?);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        let is_last = rest.is_empty();
        let there = |dir, name, in_proc| Ok(Place { dir, name, is_ours, in_proc });
        if is_last && !follow_last && name != ".." {
            return there(dir, name, false);
        }
        let found = match openat(&dir, &name, HANDLE, Mode::empty()) {
            Ok(found) => File::from(found),
            Err(Errno::NOENT) if is_last => return there(dir, name, false),
            Err(e) => return Err(e.into()),
        };
        let about = found.metadata()?;
        if about.is_symlink() {
            if fstatfs(&dir)?.f_type == PROC_SUPER_MAGIC {
                let rest = rest.iter().rev().fold(PathBuf::from(name), |path, part| path.join(part));
                return there(dir, rest.into_os_string(), true);
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP.into());
            }
            let sticky = File::from(dir.try_clone()?).metadata()?.mode() & 0o1000 != 0;
            if !is_ours || sticky || !is_trusted(about.uid()) {
                return Err(turned(&shown.join(&name)));
            }
            let target = readlinkat(&found, c"", Vec::new())?;
            let target = Path::new(OsStr::from_bytes(target.as_bytes())).to_owned();
            if target.is_absolute() {
                dir = root()?;
                shown = PathBuf::from("/");
            }
            rest.extend(parts(&target));
        } else if about.is_dir() {
            // The parent of a directory that is ours is one that is.
            is_ours = is_ours && (name == ".." || only_ours_change(&about));
            dir = OwnedFd::from(found);
            if name == ".." {
                shown.pop();
            } else {
                shown.push(&name);
            }
        } else if is_last {
            return there(dir, name, false);
        } else {
            return Err(Errno::NOTDIR.into());
        }
    }
    Ok(Place { dir, name: OsString::from("."), is_ours, in_proc: false })
}

/// Whether a link in the last part is followed anyway: `link/` and `link/.` name the directory behind it.
fn names_what_is_behind(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.")
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

fn or_here(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Root, ourselves, and the administrator who called sudo.
fn is_trusted(uid: u32) -> bool {
    let caller = || std::env::var("SUDO_UID").ok()?.parse().ok();
    uid == 0 || uid == rustix::process::geteuid().as_raw() || caller() == Some(uid)
}

/// Whether no other user can replace what the directory holds of ours.
pub(super) fn only_ours_change(dir: &Metadata) -> bool {
    let mode = dir.mode();
    let others = mode & 0o002 != 0 || (mode & 0o020 != 0 && dir.gid() != 0);
    is_trusted(dir.uid()) && (!others || mode & 0o1000 != 0)
}

fn turned(link: &Path) -> io::Error {
    io::Error::other(format!(
        "{} is a symbolic link that another user can change, and root does not follow it; name the real path instead",
        link.display()
    ))
}

/// The name under which /proc knows an open descriptor: for calls that take a path and no descriptor.
pub(super) fn in_proc(descriptor: impl AsFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests;
