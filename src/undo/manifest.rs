//! Snapshots of the disk: every path that a package or an action may touch, and the content of files that maintainer
//! scripts change.
//!
//! An exact rollback needs three (measured on Debian 11, 12 and 13): `base` before the first change, `post` at the end
//! of the run, `cur` when the rollback starts. [`crate::engine::rollback`] compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Host, Kind, Meta, Stamp, Stat, mounts};
use crate::state_dir;

/// Top-level directories without system state: virtual, temporary, removable, or home directories.
const NOT_OURS: &[&str] = &["dev", "home", "lost+found", "media", "mnt", "proc", "root", "run", "srv", "sys", "tmp"];

/// Directories whose files' contents are kept, because maintainer scripts change them without a record.
const KEPT: &[&str] = &[
    "/etc",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/ucf",
    "/var/lib/systemd",
    "/var/lib/pam",
    "/var/lib/python",
    "/var/lib/alternatives",
    "/var/lib/emacsen-common",
    "/var/lib/sgml-base",
    "/var/lib/xml-core",
    "/var/cache/debconf",
    "/var/cache/ldconfig",
    "/var/spool/cron",
];

/// Below [`KEPT`], but restored by the package manager itself, or too large to keep.
const NOT_KEPT: &[&str] = &["/var/lib/dpkg/info", "/var/lib/apt/lists", "/var/lib/systemd/coredump"];

/// Paths that change by themselves on a running system; a rollback leaves them alone. `docs/rollback.md` lists them as
/// the exceptions from "identical".
pub const VOLATILE: &[&str] = &[
    "/var/lib/bringup",
    "/usr/local/bin/bringup",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/cache/apt/archives/lock",
    "/var/cache/apt/archives/partial",
    "/var/lib/apt/lists",
    "/var/lib/apt/periodic",
    "/var/lib/dhcp",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/timers",
    "/var/lib/systemd/timesync",
    "/var/lib/systemd/catalog",
    "/var/lib/systemd/coredump",
    "/var/lib/private",
    "/var/log/journal",
    "/var/log/wtmp",
    "/var/log/btmp",
    "/var/log/lastlog",
    "/var/tmp",
    "/etc/.pwd.lock",
    "/etc/resolv.conf",
];

/// Files below here may change their content; new ones that the run made are removed.
const LOGS: &str = "/var/log";

/// Files larger than this are not kept, 32 MiB.
const KEEP_AT_MOST: u64 = 32 << 20;

/// Where services, accounts and databases leave traces: everything below these.
const SETTINGS: &[&str] = &["/etc", "/var/lib/systemd"];

/// And new entries directly below these.
const TOPS: &[&str] = &["/var/lib", "/var/cache", "/var/log", "/var/spool", "/opt"];

/// A part of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestScope {
    /// Everything that packages and actions may touch.
    Disk,
    /// Settings, and the top levels of the directories where services keep their state.
    Settings,
}

impl ManifestScope {
    /// Whether the snapshot includes `path`.
    pub fn holds(self, path: &Path) -> bool {
        match self {
            Self::Disk => true,
            Self::Settings => {
                SETTINGS.iter().any(|root| path.starts_with(root))
                    || TOPS.iter().any(|top| path == Path::new(top) || path.parent() == Some(Path::new(top)))
            }
        }
    }
}

/// A path in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// What it is.
    pub kind: Kind,
    /// Permissions and ownership.
    pub meta: Meta,
    /// Bytes.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Stamp,
    /// Last change of anything.
    pub ctime: Stamp,
    /// Inode, made distinct from those of other file systems ([`mounts::salt`]).
    pub ino: u64,
    /// Whether the directory is the mount point of a file system that holds a part of the system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mounted: bool,
    /// SHA-256 of a file whose content is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Target of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
    /// Extended attributes of a file whose content is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl FileEntry {
    /// Whether both are the same file. Equal times and inode settle it; otherwise the content decides where it is
    /// known, else size and modification time. Directories have no content of their own.
    pub fn same(&self, other: &Self) -> bool {
        if self.kind != other.kind || self.meta != other.meta {
            return false;
        }
        match self.kind {
            Kind::Dir | Kind::Other => true,
            Kind::Symlink => self.target == other.target,
            Kind::File => {
                if self.size != other.size {
                    return false;
                }
                if self.ino == other.ino && self.ctime == other.ctime {
                    return true;
                }
                match (&self.hash, &other.hash) {
                    (Some(a), Some(b)) => a == b,
                    _ => self.mtime == other.mtime,
                }
            }
        }
    }
}

/// A manifest: path -> entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Every path.
    pub entries: BTreeMap<PathBuf, FileEntry>,
}

/// Contents that go with a manifest, in memory: hash -> content.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// Whether a rollback leaves the path alone.
pub fn is_volatile(path: &Path) -> bool {
    VOLATILE.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether a path is a log, whose content may change.
pub fn is_log(path: &Path) -> bool {
    path.starts_with(LOGS)
}

/// Whether a path's content is kept.
pub fn is_kept(path: &Path) -> bool {
    KEPT.iter().any(|prefix| path.starts_with(prefix)) && !NOT_KEPT.iter().any(|prefix| path.starts_with(prefix))
}

/// Where a scan is.
#[derive(Clone, Copy)]
struct Within<'a> {
    /// The number of the device.
    device: u64,
    /// What makes its inodes distinct.
    salt: u64,
    /// Depth below the path.
    levels: usize,
    /// Mount points of file systems that hold a part of the system.
    points: &'a BTreeSet<PathBuf>,
}

/// Paths that a user has nested too deep, made too long, or replaced by a link between two looks are not part of the
/// system, and no reason to refuse a rollback.
fn is_out_of_reach(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, InvalidFilename, NotADirectory, NotFound};
    // ELOOP: a link appeared between two looks.
    matches!(error.kind(), FileTooLarge | InvalidFilename | NotADirectory | NotFound)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
        || error.to_string().contains("symbolic link that another user can change")
}

impl Manifest {
    /// Scans the whole disk. Contents of kept files that are unchanged since `known` are not read again; the others are
    /// put into `contents`.
    pub fn take(host: &dyn Host, known: Option<&Self>, contents: &mut Contents) -> Outcome<Self> {
        Self::take_in(host, ManifestScope::Disk, known, contents)
    }

    /// As [`Manifest::take`], of a part of the disk.
    pub fn take_in(
        host: &dyn Host,
        scope: ManifestScope,
        known: Option<&Self>,
        contents: &mut Contents,
    ) -> Outcome<Self> {
        let mut manifest = Self::default();
        let root = Path::new("/");
        let failed = |e| Failure::new("look at the disk", e);
        let device = host.stat(root).map_err(failed)?.map_or(0, |stat| stat.dev);
        let mounted = host.read(Path::new(mounts::MOUNTINFO)).unwrap_or_default();
        let points = mounts::points(&String::from_utf8_lossy(&mounted));
        let within = |levels| Within { device, salt: 0, levels, points: &points };
        match scope {
            ManifestScope::Disk => {
                for name in host.list(root).map_err(failed)? {
                    if !NOT_OURS.iter().any(|skip| name == Path::new(skip)) {
                        manifest.walk(host, &root.join(name), within(usize::MAX), known, contents)?;
                    }
                }
            }
            ManifestScope::Settings => {
                for path in SETTINGS {
                    manifest.walk(host, Path::new(path), within(usize::MAX), known, contents)?;
                }
                for path in TOPS {
                    manifest.walk(host, Path::new(path), within(1), known, contents)?;
                }
            }
        }
        Ok(manifest)
    }

    fn walk(
        &mut self,
        host: &dyn Host,
        path: &Path,
        within: Within<'_>,
        known: Option<&Self>,
        contents: &mut Contents,
    ) -> Outcome<()> {
        let mut within = within;
        if is_volatile(path) {
            return Ok(());
        }
        let failed = |e| Failure::new(format!("look at {}", path.display()), e);
        // It may vanish meanwhile: then it does not exist.
        let stat = match host.stat(path) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(()),
            Err(e) if is_out_of_reach(&e) => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        let mounted = stat.dev != within.device;
        if mounted {
            // Other file systems are not part of what packages change; nor is one that was mounted since the first scan:
            // what it holds is not new.
            let was_there = known.is_none_or(|known| known.entries.get(path).is_some_and(|entry| entry.mounted));
            if !within.points.contains(path) || !was_there {
                return Ok(());
            }
            (within.device, within.salt) = (stat.dev, mounts::salt(path));
        }
        let entry = Self::entry(host, path, &stat, (mounted, within.salt), known, contents);
        self.entries.insert(path.to_owned(), entry);
        if stat.kind == Kind::Dir && within.levels > 0 {
            // It may vanish meanwhile, too.
            let names = match host.list(path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound || is_out_of_reach(&e) => Vec::new(),
                names => names.map_err(failed)?,
            };
            for name in names {
                let below = Within { levels: within.levels - 1, ..within };
                self.walk(host, &path.join(name), below, known, contents)?;
            }
        }
        Ok(())
    }

    fn entry(
        host: &dyn Host,
        path: &Path,
        stat: &Stat,
        (mounted, salt): (bool, u64),
        known: Option<&Self>,
        contents: &mut Contents,
    ) -> FileEntry {
        let mut entry = FileEntry {
            kind: stat.kind,
            meta: stat.meta,
            size: stat.size,
            mtime: stat.mtime,
            ctime: stat.ctime,
            ino: stat.ino ^ salt,
            mounted,
            hash: None,
            target: None,
            xattrs: Vec::new(),
        };
        match stat.kind {
            Kind::Symlink => entry.target = host.read_link(path).ok(),
            Kind::File if is_kept(path) && stat.size <= KEEP_AT_MOST => {
                let before = known.and_then(|known| known.entries.get(path));
                if let Some(before) =
                    before.filter(|b| b.ino == entry.ino && b.ctime == entry.ctime && b.size == entry.size)
                {
                    entry.hash.clone_from(&before.hash);
                    entry.xattrs.clone_from(&before.xattrs);
                } else if let Ok(content) = host.read(path) {
                    let hash = sha256_hex(&content);
                    contents.entry(hash.clone()).or_insert(content);
                    entry.hash = Some(hash);
                    entry.xattrs = host.xattrs(path).unwrap_or_default();
                }
            }
            Kind::File | Kind::Dir | Kind::Other => {}
        }
        entry
    }

    /// Writes the manifest and the contents into the directory of a run, durably.
    pub fn save(&self, host: &dyn Host, dir: &Path, name: &str, contents: &Contents) -> Outcome<()> {
        let failed = |e: serde_json::Error| Failure::new(format!("keep the manifest {name}"), e);
        // One file for all contents: a single sync instead of hundreds.
        let mut pack = Vec::new();
        let mut index = BTreeMap::new();
        for (hash, content) in contents {
            index.insert(hash.as_str(), (pack.len(), content.len()));
            pack.extend_from_slice(content);
        }
        state_dir::write(host, &dir.join(format!("{name}.pack")), &pack)?;
        let mut lines = serde_json::to_vec(&index).map_err(failed)?;
        lines.push(b'\n');
        for entry in &self.entries {
            serde_json::to_writer(&mut lines, &entry).map_err(failed)?;
            lines.push(b'\n');
        }
        // The manifest is written last: where it exists, its contents do.
        state_dir::write(host, &dir.join(format!("{name}.manifest")), &lines)
    }

    /// Reads a manifest and its contents; `None` when the run has none of that name.
    pub fn load(host: &dyn Host, dir: &Path, name: &str) -> Outcome<Option<(Self, Contents)>> {
        let path = dir.join(format!("{name}.manifest"));
        let what = || format!("read {}", path.display());
        if host.stat(&path).map_err(|e| Failure::new(what(), e))?.is_none() {
            return Ok(None);
        }
        let bytes = host.read(&path).map_err(|e| Failure::new(what(), e))?;
        let pack = host.read(&dir.join(format!("{name}.pack"))).map_err(|e| Failure::new(what(), e))?;
        let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let index: BTreeMap<String, (usize, usize)> =
            serde_json::from_slice(lines.next().unwrap_or_default()).map_err(|e| Failure::new(what(), e))?;
        let mut contents = Contents::new();
        for (hash, (start, length)) in index {
            let content = pack
                .get(start..start + length)
                .filter(|content| sha256_hex(content) == hash)
                .ok_or_else(|| Failure::new(what(), "a kept content is damaged"))?;
            contents.insert(hash, content.to_vec());
        }
        let mut manifest = Self::default();
        for line in lines {
            let (entry_path, entry) = serde_json::from_slice(line).map_err(|e| Failure::new(what(), e))?;
            manifest.entries.insert(entry_path, entry);
        }
        Ok(Some((manifest, contents)))
    }
}

#[cfg(test)]
mod tests;
