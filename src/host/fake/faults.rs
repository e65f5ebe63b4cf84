//! Faults at any change.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::FakeHost;

/// Where in a change the program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of it was done.
    Before,
    /// Half of it was done, where that can be: a torn line, half of a package transaction. Else nothing.
    Halfway,
    /// All of it was done, but the caller gets an error.
    After,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Happens,
    Fails,
    Killed(Cut),
}

/// What was asked for, counted in changes.
#[derive(Debug, Default)]
pub(super) struct Faults {
    count: u64,
    fail_at: Option<u64>,
    kill_at: Option<(u64, Cut)>,
    dead: bool,
    unreadable: BTreeSet<(&'static str, PathBuf)>,
}

impl Faults {
    pub(super) fn alive(&self) -> io::Result<()> {
        if self.dead { Err(killed()) } else { Ok(()) }
    }

    pub(super) fn readable(&self, method: &'static str, path: &Path) -> io::Result<()> {
        if self.unreadable.contains(&(method, path.to_owned())) { Err(failed()) } else { Ok(()) }
    }

    pub(super) fn die(&mut self) {
        self.dead = true;
    }

    pub(super) fn next_change(&mut self) -> Fate {
        self.count += 1;
        if let Some((_, cut)) = self.kill_at.filter(|(at, _)| *at == self.count) {
            self.dead = true;
            return Fate::Killed(cut);
        }
        if self.fail_at == Some(self.count) { Fate::Fails } else { Fate::Happens }
    }

    pub(super) fn is_torn_next(&self) -> bool {
        !self.dead && self.kill_at == Some((self.count + 1, Cut::Halfway))
    }
}

impl FakeHost {
    /// How many changes (file mutations and commands that may change something) there were.
    pub fn changes(&self) -> u64 {
        self.world().faults.count
    }

    /// Makes the `n`-th change from now fail (1 is the next one).
    pub fn fail_after(&self, n: u64) {
        let faults = &mut self.world().faults;
        faults.fail_at = Some(faults.count + n);
    }

    /// Makes every look of one kind (`stat`, `list`, `read`) at `path` fail, as a damaged disk does.
    pub fn fail_looks(&self, method: &'static str, path: impl AsRef<Path>) {
        self.world().faults.unreadable.insert((method, path.as_ref().to_owned()));
    }

    /// Kills the program at the `n`-th change from now (1 is the next one): every call after it is an error,
    /// until [`FakeHost::revive`].
    pub fn kill_after(&self, n: u64, cut: Cut) {
        let faults = &mut self.world().faults;
        faults.kill_at = Some((faults.count + n, cut));
    }

    /// Whether the program was killed.
    pub fn is_killed(&self) -> bool {
        self.world().faults.dead
    }

    /// Restarts the program: planned faults are cleared, its locks are released.
    pub fn revive(&self) {
        self.leave_sign_of_life();
        let mut world = self.world();
        world.locks.release_ours();
        let faults = &mut world.faults;
        *faults = Faults { count: faults.count, ..Faults::default() };
    }
}

pub(super) fn killed() -> io::Error {
    io::Error::other("the program was killed here")
}

pub(super) fn failed() -> io::Error {
    io::Error::other("made to fail by the test")
}
