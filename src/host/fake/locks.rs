//! Locks on files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{FakeHost, World};

/// Held locks: path -> whose. Each guard of ours has a number, so that the guard of a program that was killed does
/// not release the lock of the one that came after it.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<PathBuf, Option<u64>>,
    last: u64,
}

impl Locks {
    pub(super) fn is_held(&self, path: &Path) -> bool {
        self.held.contains_key(path)
    }

    /// The kernel releases the locks of a process that ends.
    pub(super) fn release_ours(&mut self) {
        self.held.retain(|_, holder| holder.is_none());
    }
}

impl FakeHost {
    /// Makes another process hold, or release, the lock on a file.
    pub fn lock_elsewhere(&self, path: impl AsRef<Path>, held: bool) {
        let locks = &mut self.world().locks.held;
        if held {
            locks.insert(path.as_ref().to_owned(), None);
        } else {
            locks.remove(path.as_ref());
        }
    }

    pub(super) fn take_lock(&self, world: &mut World, path: &Path) -> Option<Box<dyn Send>> {
        if world.locks.is_held(path) {
            return None;
        }
        world.locks.last += 1;
        let number = world.locks.last;
        world.locks.held.insert(path.to_owned(), Some(number));
        Some(Box::new(Guard { host: self.clone(), path: path.to_owned(), number }))
    }
}

struct Guard {
    host: FakeHost,
    path: PathBuf,
    number: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let held = &mut self.host.world().locks.held;
        if held.get(&self.path) == Some(&Some(self.number)) {
            held.remove(&self.path);
        }
    }
}
