//! A tree that is put in place atomically.
//!
//! It is filled in a directory of its own (`<path>.releases/<key>`), and its path is a link to it. Readers of the path
//! see the old tree or the new one and never half of one; an interrupted filling lacks its stamp; and the rollback is
//! to restore the link and remove the directory. The key is derived from the inputs: an existing tree is not made
//! again. The trees of a path pile up, so [`remove`] takes away an old one.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Kind, Meta, Stat};
use crate::progress::Progress;
use crate::system::{paths, tree};
use crate::undo::manifest::Manifest;
use crate::undo::{self, Undo};

/// Written into a tree when it is complete: its key, and what it was resolved to (such as a commit).
const STAMP: &str = ".bringup-release";

/// More of a stamp is never read, in bytes.
const LONGEST_STAMP: u64 = 4096;

/// Hexadecimal digits of the key: enough that two trees of one path never share one.
const DIGITS: usize = 16;

/// Trees of a path that are kept: the one in place, and those before it.
pub const KEPT: usize = 5;

/// Where Python keeps compiled modules. It adds them while it runs, and makes them again.
const CACHE: &str = "__pycache__";

/// The directory with the trees of `path`.
pub fn trees_of(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}.releases", path.file_name().unwrap_or_default().to_string_lossy()))
}

/// The path for which `dir` holds the trees: `/opt/shop/app` for `/opt/shop/app.releases`.
pub fn path_of(dir: &Path) -> Option<PathBuf> {
    let name = dir.file_name()?.to_str()?.strip_suffix(".releases")?;
    Some(dir.with_file_name(name))
}

/// The tree that a link at `path` with this target leads to; none for a link of another kind.
pub fn tree_of(path: &Path, target: &Path) -> Option<PathBuf> {
    let trees = trees_of(path);
    let key = target.strip_prefix(trees.file_name()?).ok()?;
    let is_key = matches!(key.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    is_key.then(|| trees.join(key))
}

/// Whether a tree is there, and complete.
pub fn is_complete(host: &dyn Host, tree: &Path) -> Outcome<bool> {
    Ok(paths::stat(host, &tree.join(STAMP))?.is_some())
}

/// Removes a tree with everything in it that was there at the end of the run that made it, as `post` has it. Where
/// somebody else changed or added a file, the whole tree stays, and the first such file is returned.
///
/// The stamp goes first: a tree that a crash left half removed is not complete, and is removed the next time.
pub fn remove(host: &dyn Host, tree: &Path, post: &Manifest) -> Outcome<Option<PathBuf>> {
    let failed = |e| Failure::new(format!("remove the old release {}", tree.display()), e);
    let is_ours = |path: &Path, stat: &Stat| {
        let known = post.entries.get(path).filter(|known| known.kind == stat.kind);
        known.is_some_and(|known| {
            stat.kind == Kind::Dir || (known.size, known.mtime, known.meta) == (stat.size, stat.mtime, stat.meta)
        }) || path.strip_prefix(tree).is_ok_and(|below| below.components().any(|part| part.as_os_str() == CACHE))
    };
    let Some(stat) = paths::stat(host, tree)? else { return Ok(None) };
    if !is_ours(tree, &stat) || stat.kind != Kind::Dir {
        return Ok(Some(tree.to_owned()));
    }
    for (below, stat) in tree::walk(host, tree).map_err(failed)? {
        let path = tree.join(below);
        if !is_ours(&path, &stat) {
            return Ok(Some(path));
        }
    }
    host.remove(&tree.join(STAMP)).map_err(failed)?;
    host.remove_tree(tree).map_err(failed)?;
    Ok(None)
}

/// Timeout of removing a tree.
const PATIENCE: Duration = Duration::from_mins(30);

/// Removes an unfinished tree, or where one was worked on.
pub fn clear(cx: &Context<'_>, dir: &Path) -> Outcome<()> {
    let argv = ["rm", "--recursive", "--force", "--one-file-system", "--", &dir.to_string_lossy()];
    let command = Command::new(argv).timeout(PATIENCE);
    CommandRunner::new(command).run(cx, &format!("remove the unfinished {}", dir.display())).map(drop)
}

/// One version of a tree at a path.
pub struct Release<'a> {
    path: &'a Path,
    key: String,
}

impl<'a> Release<'a> {
    /// The tree for `path` that is made from `spec`.
    pub fn new(path: &'a Path, spec: &impl Serialize) -> Outcome<Self> {
        let spec = serde_json::to_vec(spec).map_err(|e| Failure::new("name a release", e))?;
        let mut key = sha256_hex(&spec);
        key.truncate(DIGITS);
        Ok(Self { path, key })
    }

    /// Whether it is complete, and the link at the path points to it.
    fn is_current(&self, host: &dyn Host) -> Outcome<bool> {
        Ok(self.standing(host)?.as_ref() == Some(&self.target()) && is_complete(host, &self.dir())?)
    }

    /// Whether the link at the path points to another version.
    fn replaces(&self, host: &dyn Host) -> Outcome<bool> {
        Ok(self.standing(host)?.is_some())
    }

    /// Whether there is anything to do, which is described so; `instead` names what a former version is called.
    pub fn verdict(&self, host: &dyn Host, describe: String, instead: &str) -> Outcome<Verdict> {
        if self.is_current(host)? {
            return Ok(Verdict::Unchanged);
        }
        let instead = if self.replaces(host)? { format!(", replacing the existing {instead}") } else { String::new() };
        Ok(Verdict::change(describe + &instead))
    }

    /// Its undo records.
    pub fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.standing(cx.host)?;
        let dir = self.dir();
        let mut records = undo::parent_records(cx.host, &dir)?;
        if !is_complete(cx.host, &dir)? {
            records.push(Undo::RemoveTree { path: dir });
        }
        records.push(cx.blobs.before(cx.host, self.path)?);
        Ok(records)
    }

    /// Has the tree filled, unless it is complete already, and points the link to it. `fill` gets an empty directory
    /// and returns what the tree was resolved to.
    pub fn install(&self, cx: &Context<'_>, fill: impl FnOnce(&Path) -> Outcome<String>) -> Outcome<()> {
        self.standing(cx.host)?;
        let dir = self.dir();
        if !is_complete(cx.host, &dir)? {
            if paths::stat(cx.host, &dir)?.is_some() {
                (cx.progress)(Progress::Note("removing the rest of an interrupted attempt".to_owned()));
                clear(cx, &dir)?;
            }
            paths::make_parents(cx.host, &dir)?;
            paths::make_dir(cx.host, &dir, Meta::root(0o755))?;
            let resolved = fill(&dir)?;
            // The stamp must not reach the disk before the files that it vouches for.
            let sync = Command::new(["sync", "--file-system", &dir.to_string_lossy()]);
            CommandRunner::new(sync).run(cx, &format!("write {} to the disk", dir.display()))?;
            let stamp = format!("{}\n{resolved}\n", self.key);
            let failed = |e| Failure::new(format!("write {}", dir.join(STAMP).display()), e);
            cx.host.write(&dir.join(STAMP), stamp.as_bytes(), Meta::root(0o644)).map_err(failed)?;
        }
        let failed = |e| Failure::new(format!("switch {} to {}", self.path.display(), dir.display()), e);
        cx.host.make_symlink(self.path, &self.target()).map_err(failed)
    }

    /// What it was resolved to when it was filled; none where it is not the current one.
    pub fn resolved(&self, host: &dyn Host) -> Option<String> {
        let stamp = self.dir().join(STAMP);
        let current = self.is_current(host).unwrap_or_default();
        let stamp = current.then(|| host.read_at_most(&stamp, LONGEST_STAMP).ok()).flatten()?;
        String::from_utf8_lossy(&stamp).lines().nth(1).map(str::to_owned)
    }

    /// The present target of the link at the path, if there is one. Anything that we did not create is refused.
    fn standing(&self, host: &dyn Host) -> Outcome<Option<PathBuf>> {
        paths::missing_parents(host, self.path)?;
        paths::only_root_changes(host, self.path)?;
        let what = || format!("use {}", self.path.display());
        match paths::stat(host, self.path)?.map(|stat| stat.kind) {
            None => Ok(None),
            Some(Kind::Symlink) => {
                let target = paths::read_link(host, self.path)?;
                if tree_of(self.path, &target).is_some() {
                    return Ok(Some(target));
                }
                Err(Failure::new(
                    what(),
                    format!("a link to {} is already there, and bringup did not create it", target.display()),
                )
                .hint("remove the link, or choose another path"))
            }
            Some(_) => Err(Failure::new(what(), "something is already there, and bringup did not create it")
                .hint("move it away, or choose another path; the path itself must not exist before")),
        }
    }

    /// The directory of the tree itself.
    pub fn dir(&self) -> PathBuf {
        trees_of(self.path).join(&self.key)
    }

    /// Where a user without rights works on it, beside the finished trees.
    pub fn ground(&self) -> PathBuf {
        self.dir().with_extension("build")
    }

    /// What the link holds: relative, so that the tree can be moved or mounted elsewhere as a whole.
    fn target(&self) -> PathBuf {
        Path::new(trees_of(self.path).file_name().unwrap_or_default()).join(&self.key)
    }
}
