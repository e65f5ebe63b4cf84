//! Who wrote what: the program under test, or someone else beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::FakeHost;
use crate::host::{Kind, Meta, Stamp, Watch, Writer};

/// What another administrator does.
type Visit = Arc<dyn Fn(&FakeHost) + Send + Sync>;

/// What the server knows of its writers.
#[derive(Default)]
pub(super) struct Watching {
    /// Who comes when, by the number of the call.
    visits: BTreeMap<usize, Vec<Visit>>,
    /// The file of the last sign of life.
    pub(super) alive: Option<PathBuf>,
    /// When the program last did something.
    pub(super) last_alive: Stamp,
    /// The kernel reports nothing.
    pub(super) blind: bool,
}

impl FakeHost {
    /// Does what another administrator does at this moment: his files are not ours, and no planned fault meets him.
    pub fn as_somebody<T>(&self, does: impl FnOnce(&Self) -> T) -> T {
        let (faults, before) = {
            let mut world = self.world();
            let before = std::mem::replace(&mut world.files.by_somebody, true);
            (std::mem::take(&mut world.faults), before)
        };
        let result = does(self);
        let mut world = self.world();
        world.files.by_somebody = before;
        world.faults = faults;
        drop(world);
        result
    }

    /// Has another administrator come by at the `n`-th call from now (1 is the next one), just before it is answered.
    pub fn visit_after(&self, n: usize, does: impl Fn(&Self) + Send + Sync + 'static) {
        let mut world = self.world();
        let at = world.calls.len() + n;
        world.watch.visits.entry(at).or_default().push(Arc::new(does));
    }

    /// Lets everybody in who wanted to come later.
    pub fn visit_now(&self) {
        let visits = std::mem::take(&mut self.world().watch.visits);
        for does in visits.into_values().flatten() {
            self.as_somebody(|host| does(host));
        }
    }

    /// Called before a call is answered.
    pub(super) fn let_in(&self) {
        let due: Vec<Visit> = {
            let mut world = self.world();
            if world.files.by_somebody || world.watch.visits.is_empty() {
                return;
            }
            let now = world.calls.len() + 1;
            let later = world.watch.visits.split_off(&(now + 1));
            std::mem::replace(&mut world.watch.visits, later).into_values().flatten().collect()
        };
        for does in due {
            self.as_somebody(|host| does(host));
        }
    }

    /// Takes the kernel's news of writers away, as in a container without rights.
    #[must_use]
    pub fn without_writers(self) -> Self {
        self.world().watch.blind = true;
        self
    }

    /// Leaves the last sign of life of a program that was killed.
    pub(super) fn leave_sign_of_life(&self) {
        let mut world = self.world();
        if let Some(alive) = world.watch.alive.take() {
            let at = world.watch.last_alive;
            let others = world.files.others().fold(String::new(), |all, ino| all + &ino.to_string() + "\n");
            let others = if world.watch.blind { String::new() } else { others };
            world.files.put(&alive, others.as_bytes(), Meta::root(0o600), at);
        }
    }
}

/// A watch that reports everything, or nothing.
pub(super) struct Told(pub(super) FakeHost);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.leave_sign_of_life();
    }
}

impl Watch for Told {
    fn writers(&mut self) -> Option<BTreeMap<u64, Writer>> {
        let world = self.0.world();
        if world.watch.blind {
            return None;
        }
        let files = world.files.iter().filter(|(_, node)| node.kind == Kind::File);
        Some(files.map(|(path, node)| world.files.writer(path, node)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;
    use crate::host::Host;

    #[test]
    fn somebody_elses_files_are_told_apart_and_meet_no_fault() {
        let host = FakeHost::new();
        let mut watch = host.watch(Path::new("/var/lib/alive"));
        host.fail_after(1);
        host.as_somebody(|host| host.write(Path::new("/etc/theirs"), b"x", Meta::root(0o644))).unwrap();
        assert!(host.write(Path::new("/etc/ours"), b"x", Meta::root(0o644)).is_err());
        host.write(Path::new("/etc/ours"), b"x", Meta::root(0o644)).unwrap();
        let writers = watch.writers().unwrap();
        let of = |path: &str| writers[&host.stat(Path::new(path)).unwrap().unwrap().ino].clone();
        assert_eq!((of("/etc/theirs"), of("/etc/ours")), (Writer::Other, Writer::Ours));
    }
}
