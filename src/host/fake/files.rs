//! A file system in memory.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::host::real::is_absent;
use crate::host::{Kind, Meta, Stamp, Stat, Writer, mounts, settled};

/// How many links are followed before it is called a loop, as in Linux.
const MAX_LINKS: usize = 40;

/// The entry at each path.
#[derive(Debug, Default)]
pub(super) struct Files {
    nodes: BTreeMap<PathBuf, Node>,
    last_inode: u64,
    /// Whether what is written now is another's.
    pub(super) by_somebody: bool,
    /// Directories with file systems of their own.
    mounts: BTreeSet<PathBuf>,
    /// Inodes of what someone else wrote.
    others: BTreeSet<u64>,
    /// Links that another user can change are refused, as the real host's methods do; programs follow every link.
    careful: Cell<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Content of a file.
    pub(super) content: Vec<u8>,
    /// Target of a link.
    pub(super) target: PathBuf,
    pub(super) meta: Meta,
    mtime: Stamp,
    ctime: Stamp,
    inode: u64,
    xattrs: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// An empty root directory.
    pub(super) fn new(now: Stamp) -> Self {
        let mut files = Self::default();
        files.insert(PathBuf::from("/"), Kind::Dir, Meta::root(0o755), now);
        files
    }

    /// Does something as the real host's methods do it: no link that another user can change is followed.
    pub(super) fn carefully<T>(&self, does: impl FnOnce(&Self) -> T) -> T {
        self.careful.set(true);
        let result = does(self);
        self.careful.set(false);
        result
    }

    /// As [`Files::carefully`], for a change.
    pub(super) fn change_carefully<T>(&mut self, does: impl FnOnce(&mut Self) -> T) -> T {
        self.careful.set(true);
        let result = does(self);
        self.careful.set(false);
        result
    }

    /// As [`Files::stat`]; an error when the path goes through a link that is not followed.
    pub(super) fn lstat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match self.locate(path) {
            Err(e) if !is_absent(&e) => Err(e),
            _ => Ok(self.stat(path)),
        }
    }

    /// Every path with its entry, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Node)> {
        self.nodes.iter()
    }

    pub(super) fn stat(&self, path: &Path) -> Option<Stat> {
        let path = self.locate(path).ok()?;
        let node = self.nodes.get(&path)?;
        let size = match node.kind {
            Kind::Symlink => node.target.as_os_str().len(),
            _ => node.content.len(),
        };
        Some(Stat {
            kind: node.kind,
            meta: node.meta,
            size: size as u64,
            mtime: node.mtime,
            ctime: node.ctime,
            ino: node.inode,
            dev: self.device(&path),
        })
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.follow(path.as_ref()).is_ok_and(|path| self.nodes.contains_key(&path))
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let node = self.node(&self.follow(path)?)?;
        match node.kind {
            Kind::File => Ok(node.content.clone()),
            Kind::Dir => Err(io::ErrorKind::IsADirectory.into()),
            Kind::Symlink | Kind::Other => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The text of a file; empty when there is none.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> String {
        String::from_utf8_lossy(&self.read(path.as_ref()).unwrap_or_default()).into_owned()
    }

    pub(super) fn everybody_reads(&self, path: &Path) -> bool {
        self.follow(path).ok().and_then(|path| self.nodes.get(&path)).is_some_and(|node| node.meta.mode & 0o004 != 0)
    }

    /// Whether only root can change this file.
    pub(super) fn only_ours_change(&self, path: &Path) -> bool {
        self.follow(path).is_ok_and(|path| self.is_ours(&path))
    }

    pub(super) fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let node = self.node(&self.locate(path)?)?;
        if node.kind == Kind::Symlink { Ok(node.target.clone()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = self.follow(dir)?;
        if self.node(&dir)?.kind != Kind::Dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(self.children(&dir).filter_map(|path| path.file_name().map(PathBuf::from)).collect())
    }

    /// Everything below `dir`, itself left out, sorted.
    pub(super) fn below(&self, dir: &Path) -> Vec<PathBuf> {
        let from_dir = self.nodes.range(dir.to_owned()..).map(|(path, _)| path);
        from_dir.take_while(|path| path.starts_with(dir)).filter(|path| *path != dir).cloned().collect()
    }

    pub(super) fn write(&mut self, path: &Path, content: &[u8], meta: Meta, now: Stamp) -> io::Result<()> {
        let path = self.locate(path)?;
        if self.nodes.get(&path).is_some_and(|node| node.kind == Kind::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.insert(path, Kind::File, meta, now).content = content.to_vec();
        Ok(())
    }

    /// Like [`Files::write`], with the directories above.
    pub(super) fn put(&mut self, path: &Path, content: &[u8], meta: Meta, now: Stamp) {
        if let Some(parent) = path.parent() {
            self.make_dirs(parent, now);
        }
        // It can only fail on what a test has put in its way, and then shows there.
        let _ = self.write(path, content, meta, now);
    }

    pub(super) fn append(&mut self, path: &Path, content: &[u8], now: Stamp) -> io::Result<()> {
        let target = self.follow(path)?;
        if let Some(node) = self.nodes.get_mut(&target) {
            if node.kind != Kind::File {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            node.content.extend_from_slice(content);
            (node.mtime, node.ctime) = (now, now);
            if self.by_somebody {
                self.others.insert(node.inode);
            }
            return Ok(());
        }
        // Writing through a dangling link creates its target.
        self.write(&target, content, Meta::root(0o600), now)
    }

    pub(super) fn make_dir(&mut self, path: &Path, meta: Meta, now: Stamp) -> io::Result<()> {
        if let Ok(existing) = self.follow(path).and_then(|path| self.node(&path)) {
            let is_dir = existing.kind == Kind::Dir;
            return if is_dir { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) };
        }
        let path = self.locate(path)?;
        if self.nodes.contains_key(&path) {
            // A dangling link.
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.insert(path, Kind::Dir, meta, now);
        Ok(())
    }

    /// A directory, with those above it.
    pub(super) fn make_dirs(&mut self, path: &Path, now: Stamp) {
        if let Some(parent) = path.parent().filter(|parent| !self.exists(parent)) {
            self.make_dirs(parent, now);
        }
        let _ = self.make_dir(path, Meta::root(0o755), now);
    }

    pub(super) fn make_symlink(&mut self, path: &Path, target: &Path, now: Stamp) -> io::Result<()> {
        let path = self.locate(path)?;
        if self.nodes.get(&path).is_some_and(|node| node.kind == Kind::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        target.clone_into(&mut self.insert(path, Kind::Symlink, Meta::root(0o777), now).target);
        Ok(())
    }

    pub(super) fn set_meta(&mut self, path: &Path, meta: Meta, now: Stamp) -> io::Result<()> {
        let path = self.locate(path)?;
        let node = self.nodes.get_mut(&path).ok_or(io::ErrorKind::NotFound)?;
        let mode = if node.kind == Kind::Symlink { 0o777 } else { meta.mode & 0o7777 };
        node.meta = Meta { mode, ..meta };
        node.ctime = now;
        Ok(())
    }

    pub(super) fn settle_tree(&mut self, path: &Path, meta: Meta, now: Stamp) -> io::Result<()> {
        let top = self.locate(path)?;
        if self.node(&top)?.kind != Kind::Dir {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        for below in self.below(&top) {
            let node = self.node(&below)?;
            let mode = settled(node.kind, node.meta.mode);
            self.set_meta(&below, Meta { mode, ..meta }, now)?;
        }
        self.set_meta(&top, meta, now)
    }

    pub(super) fn set_mtime(&mut self, path: &Path, mtime: Stamp, now: Stamp) -> io::Result<()> {
        let path = self.locate(path)?;
        let node = self.nodes.get_mut(&path).ok_or(io::ErrorKind::NotFound)?;
        (node.mtime, node.ctime) = (mtime, now);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path, now: Stamp) -> io::Result<()> {
        let path = match self.locate(path) {
            Err(e) if is_absent(&e) => return Ok(()),
            path => path?,
        };
        match self.nodes.get(&path).map(|node| node.kind) {
            None => Ok(()),
            Some(Kind::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            Some(_) => {
                self.nodes.remove(&path);
                self.touch_parent(&path, now);
                Ok(())
            }
        }
    }

    pub(super) fn remove_dir(&mut self, path: &Path, now: Stamp) -> io::Result<()> {
        let path = match self.locate(path) {
            Err(e) if is_absent(&e) => return Ok(()),
            path => path?,
        };
        match self.nodes.get(&path).map(|node| node.kind) {
            None => Ok(()),
            Some(Kind::Dir) if self.children(&path).next().is_some() => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(Kind::Dir) => {
                self.nodes.remove(&path);
                self.touch_parent(&path, now);
                Ok(())
            }
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Removes what is at `path`, with everything below.
    pub(super) fn remove_tree(&mut self, path: &Path, now: Stamp) {
        let Ok(path) = self.locate(path) else { return };
        for below in self.below(&path) {
            self.nodes.remove(&below);
        }
        if self.nodes.remove(&path).is_some() {
            self.touch_parent(&path, now);
        }
    }

    /// rename(2): the file stays the same, with its inode.
    pub(super) fn rename(&mut self, from: &Path, to: &Path, now: Stamp) -> io::Result<()> {
        let (from, to) = (self.locate(from)?, self.locate(to)?);
        let node = self.nodes.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        self.remove_tree(&to, now);
        for path in self.below(&from) {
            if let (Some(node), Ok(rest)) = (self.nodes.remove(&path), path.strip_prefix(&from)) {
                self.nodes.insert(to.join(rest), node);
            }
        }
        self.nodes.insert(to.clone(), Node { ctime: now, ..node });
        self.touch_parent(&from, now);
        self.touch_parent(&to, now);
        Ok(())
    }

    pub(super) fn xattrs(&self, path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
        Ok(self.node(&self.locate(path)?)?.xattrs.clone().into_iter().collect())
    }

    pub(super) fn set_xattr(&mut self, path: &Path, name: &str, value: &[u8], now: Stamp) -> io::Result<()> {
        let path = self.locate(path)?;
        let node = self.nodes.get_mut(&path).ok_or(io::ErrorKind::NotFound)?;
        node.xattrs.insert(name.to_owned(), value.to_owned());
        node.ctime = now;
        Ok(())
    }

    fn insert(&mut self, path: PathBuf, kind: Kind, meta: Meta, now: Stamp) -> &mut Node {
        self.last_inode += 1;
        if self.by_somebody {
            self.others.insert(self.last_inode);
        }
        let node = Node {
            kind,
            content: Vec::new(),
            target: PathBuf::new(),
            meta,
            mtime: now,
            ctime: now,
            inode: self.last_inode,
            xattrs: BTreeMap::new(),
        };
        self.touch_parent(&path, now);
        self.nodes.remove(&path);
        self.nodes.entry(path).or_insert(node)
    }

    /// Inodes of what someone else wrote.
    pub(super) fn others(&self) -> impl Iterator<Item = u64> {
        let told = self.iter().map(|(path, node)| self.writer(path, node));
        told.filter(|(_, writer)| *writer == Writer::Other).map(|(file, _)| file)
    }

    /// The inode of a file, as scans of the disk name it, and who wrote it.
    pub(super) fn writer(&self, path: &Path, node: &Node) -> (u64, Writer) {
        let writer = if self.others.contains(&node.inode) { Writer::Other } else { Writer::Ours };
        let point = self.mounts.iter().rfind(|point| path.starts_with(point));
        (node.inode ^ point.map_or(0, |point| mounts::salt(point)), writer)
    }

    /// Gives a directory a file system of its own.
    pub(super) fn mount(&mut self, point: &Path) {
        self.mounts.insert(point.to_owned());
    }

    /// Kernel and memory file systems are devices of their own.
    fn device(&self, path: &Path) -> u64 {
        let other = ["/proc", "/sys", "/dev", "/run", "/tmp"];
        match self.mounts.iter().rposition(|point| path.starts_with(point)) {
            Some(at) => 3 + at as u64,
            None if other.iter().any(|root| path.starts_with(root)) => 2,
            None => 1,
        }
    }

    fn touch_parent(&mut self, path: &Path, now: Stamp) {
        if let Some(parent) = path.parent().and_then(|parent| self.nodes.get_mut(parent)) {
            (parent.mtime, parent.ctime) = (now, now);
        }
    }

    fn node(&self, path: &Path) -> io::Result<&Node> {
        self.nodes.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn children<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let below = self.nodes.range(dir.to_owned()..).map(|(path, _)| path);
        below.take_while(move |path| path.starts_with(dir)).filter(move |path| path.parent() == Some(dir))
    }

    /// The path with the links above its last part followed; `link/` and `link/.` name what is behind the link.
    pub(super) fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let names_what_is_behind = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if !names_what_is_behind => {
                let parent = self.follow(parent)?;
                if self.node(&parent)?.kind == Kind::Dir {
                    Ok(parent.join(name))
                } else {
                    Err(io::ErrorKind::NotADirectory.into())
                }
            }
            _ => self.follow(path),
        }
    }

    /// The path with every link followed.
    pub(super) fn follow(&self, path: &Path) -> io::Result<PathBuf> {
        let mut links = 0;
        let mut done = PathBuf::from("/");
        // Whether only root can change anything on the path.
        let mut is_ours = self.is_ours(&done);
        let mut rest: Vec<PathBuf> = parts(path);
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                done.pop();
                continue;
            }
            let is_last = rest.is_empty();
            let next = done.join(&part);
            match self.nodes.get(&next) {
                Some(node) if node.kind == Kind::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(rustix::io::Errno::LOOP.into());
                    }
                    let sticky = self.nodes.get(&done).is_some_and(|dir| dir.meta.mode & 0o1000 != 0);
                    if self.careful.get() && (!is_ours || sticky || node.meta.uid != 0) {
                        let link = next.display();
                        return Err(io::Error::other(format!(
                            "{link} is a symbolic link that another user can change, and root does not follow it"
                        )));
                    }
                    if node.target.is_absolute() {
                        done = PathBuf::from("/");
                    }
                    rest.extend(parts(&node.target));
                }
                Some(node) if node.kind != Kind::Dir && !is_last => {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                None if !is_last => return Err(io::ErrorKind::NotFound.into()),
                _ => {
                    done = next;
                    is_ours = is_ours && self.is_ours(&done);
                }
            }
        }
        Ok(done)
    }

    /// Whether only root can replace what this directory holds of root's.
    fn is_ours(&self, dir: &Path) -> bool {
        self.nodes.get(dir).is_none_or(|dir| {
            let others = dir.meta.mode & 0o002 != 0 || (dir.meta.mode & 0o020 != 0 && dir.meta.gid != 0);
            dir.meta.uid == 0 && (!others || dir.meta.mode & 0o1000 != 0)
        })
    }
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().map(|part| PathBuf::from(part.as_os_str())).collect()
}
