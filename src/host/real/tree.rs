//! Whole trees, by open descriptors: a concurrent change cannot lead us elsewhere.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::path;
use crate::host::{Kind, Meta, settled};

const LIST: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Depth to which directories are opened; deeper ones are moved up first. A user can nest them without limit, and the
/// number of descriptors is limited.
const DEEPEST: usize = 64;
/// So many names of a directory are held at once.
const BATCH: usize = 4096;
/// How often a directory is read without getting emptier.
const ATTEMPTS: usize = 3;
/// Someone may make files faster than they are removed.
const LONGEST: Duration = Duration::from_mins(30);

/// Removes what is at `path`, with everything below.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let place = path::place(path)?;
    match unlinkat(&place.dir, &place.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(e) => return Err(e.into()),
    }
    let top = File::from(openat(&place.dir, &place.name, LIST, Mode::empty())?);
    let device = top.metadata()?.dev();
    Removal { top: OwnedFd::from(top.try_clone()?), device, moved: 0, until: Instant::now() + LONGEST }
        .empty(&OwnedFd::from(top), 0)?;
    Ok(unlinkat(&place.dir, &place.name, AtFlags::REMOVEDIR)?)
}

struct Removal {
    top: OwnedFd,
    device: u64,
    moved: usize,
    until: Instant,
}

impl Removal {
    fn empty(&mut self, dir: &OwnedFd, depth: usize) -> io::Result<()> {
        let mut attempts = 0;
        loop {
            let names = names(dir, BATCH)?;
            if names.is_empty() {
                return Ok(());
            }
            let mut removed = 0;
            for name in &names {
                removed += usize::from(self.take(dir, name, depth)?);
            }
            attempts = if removed == 0 { attempts + 1 } else { 0 };
            if attempts == ATTEMPTS {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            if Instant::now() > self.until {
                return Err(io::Error::other("new files keep appearing in it"));
            }
        }
    }

    /// Whether it was removed. What replaces it meanwhile is handled the next time.
    fn take(&mut self, dir: &OwnedFd, name: &CString, depth: usize) -> io::Result<bool> {
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::ISDIR) => {}
            Err(e) => return Err(e.into()),
        }
        if depth >= DEEPEST {
            self.moved += 1;
            let moved = renameat(dir, name, &self.top, format!(".bringup-removed-{}", self.moved));
            return changed_meanwhile(moved);
        }
        let below = match openat(dir, name, LIST, Mode::empty()) {
            Ok(below) => File::from(below),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        if below.metadata()?.dev() != self.device {
            let name = name.to_string_lossy();
            return Err(io::Error::other(format!("a file system is mounted at {name} in it: unmount that first")));
        }
        self.empty(&OwnedFd::from(below), depth + 1)?;
        changed_meanwhile(unlinkat(dir, name, AtFlags::REMOVEDIR))
    }
}

fn changed_meanwhile(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// At most so many names of an open directory.
pub(super) fn names(dir: &OwnedFd, at_most: usize) -> io::Result<Vec<CString>> {
    // A description of its own, so that it is read from the beginning.
    let mut entries = Dir::new(openat(dir, ".", LIST, Mode::empty())?)?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
            if names.len() == at_most {
                break;
            }
        }
    }
    Ok(names)
}

/// Gives a tree to its owner, the deepest first, so that nothing is looked at after it was given away.
pub(super) fn settle(path: &Path, meta: Meta) -> io::Result<()> {
    let place = path::known_place(path)?;
    let top = File::from(openat(&place.dir, &place.name, LIST, Mode::empty())?);
    let is_ours = place.is_ours && path::only_ours_change(&top.metadata()?);
    settle_below(&OwnedFd::from(top.try_clone()?), meta, is_ours)?;
    super::give(&top, meta)
}

fn settle_below(dir: &OwnedFd, meta: Meta, is_ours: bool) -> io::Result<()> {
    for name in names(dir, usize::MAX)? {
        let found = File::from(openat(dir, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
        let about = found.metadata()?;
        if about.is_dir() {
            let below = openat(dir, &name, LIST, Mode::empty())?;
            settle_below(&below, meta, is_ours)?;
        }
        let kind = super::stat(&about).kind;
        let mode = if kind == Kind::Symlink { about.mode() } else { settled(kind, about.mode() & 0o7777) };
        super::set_meta_of(&found, Meta { mode, ..meta }, is_ours)?;
    }
    Ok(())
}
