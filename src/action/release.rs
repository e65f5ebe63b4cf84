//! A tree that is put in place atomically.
//!
//! It is filled in a directory of its own (`<path>.releases/<key>`), and its path is a link to it. Readers of the path
//! see the old tree or the new one and never half of one; an interrupted filling lacks its stamp; and the rollback is
//! to restore the link and remove the directory. The key is derived from the inputs: an existing tree is not made
//! again.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::action::command_runner::CommandRunner;
use crate::action::contract::{Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Kind, Meta};
use crate::progress::Progress;
use crate::system::paths;
use crate::undo::{self, Undo};

/// Written into a tree when it is complete: its key, and what it was resolved to (such as a commit).
const STAMP: &str = ".bringup-release";

/// More of a stamp is never read, in bytes.
const LONGEST_STAMP: u64 = 4096;

/// Hexadecimal digits of the key: enough that two trees of one path never share one.
const DIGITS: usize = 16;

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
        Ok(self.standing(host)?.as_ref() == Some(&self.target()) && self.is_complete(host)?)
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
        if !self.is_complete(cx.host)? {
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
        if !self.is_complete(cx.host)? {
            self.clear(cx, &dir)?;
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

    /// Removes what an interrupted filling has left.
    fn clear(&self, cx: &Context<'_>, dir: &Path) -> Outcome<()> {
        if paths::stat(cx.host, dir)?.is_none() {
            return Ok(());
        }
        (cx.progress)(Progress::Note("removing the rest of an interrupted attempt".to_owned()));
        let command = Command::new(["rm", "--recursive", "--force", "--one-file-system", "--", &dir.to_string_lossy()]);
        CommandRunner::new(command).run(cx, &format!("remove the unfinished {}", self.dir().display()))?;
        Ok(())
    }

    /// What it was resolved to when it was filled; none where it is not the current one.
    pub fn resolved(&self, host: &dyn Host) -> Option<String> {
        let stamp = self.dir().join(STAMP);
        let current = self.is_current(host).unwrap_or_default();
        let stamp = current.then(|| host.read_at_most(&stamp, LONGEST_STAMP).ok()).flatten()?;
        String::from_utf8_lossy(&stamp).lines().nth(1).map(str::to_owned)
    }

    fn is_complete(&self, host: &dyn Host) -> Outcome<bool> {
        Ok(paths::stat(host, &self.dir().join(STAMP))?.is_some())
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
                if target.starts_with(self.releases_name()) {
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
        self.path.with_file_name(self.releases_name()).join(&self.key)
    }

    /// What the link holds: relative, so that the tree can be moved or mounted elsewhere as a whole.
    fn target(&self) -> PathBuf {
        Path::new(&self.releases_name()).join(&self.key)
    }

    fn releases_name(&self) -> String {
        format!("{}.releases", self.path.file_name().unwrap_or_default().to_string_lossy())
    }
}
