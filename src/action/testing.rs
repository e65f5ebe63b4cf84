//! Runs one action on a fake host: apply, apply again, roll back.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::action::carry;
use crate::action::carry::CARRY;
use crate::action::contract::{Act, Context, Verdict};
use crate::error::Outcome;
use crate::host::Host;
use crate::host::fake::{FakeHost, Snapshot};
use crate::secret::{Secret, Secrets};
use crate::undo::{Blobs, Undo, UndoContext, Undone};

/// The directory of before-images and logs.
const OURS: &str = "/var/lib/bringup";

/// A host with everything else an action needs.
pub struct Bench<H = FakeHost> {
    pub host: H,
    pub secrets: Secrets,
    blobs: Blobs,
    log: PathBuf,
}

/// What an action has done.
pub struct Done {
    pub records: Vec<Undo>,
    pub written_hashes: BTreeMap<PathBuf, String>,
}

impl Bench {
    pub fn new() -> Self {
        let host = FakeHost::new();
        host.put_file(format!("{OURS}/.keep"), "", 0o600);
        Self::on(host, Path::new(OURS))
    }

    /// Everything but our own files and the copies that account tools keep.
    pub fn snapshot(&self) -> Snapshot {
        self.host.snapshot(&[OURS, "/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-"])
    }

    /// Applies and rolls back: applying again changes nothing, and rolling back leaves nothing.
    pub fn round_trip(&self, act: &dyn Act) {
        let before = self.snapshot();
        let done = self.make(act);
        assert_eq!(self.check(act).unwrap(), Verdict::Unchanged);
        let kept = kept(self.take_back(&done));
        assert!(kept.is_empty(), "{kept:?}");
        assert_eq!(before.differences(&self.snapshot()), Vec::<String>::new());
    }
}

impl<H: Host> Bench<H> {
    /// Works on `host` with `ours` (an existing directory) for before-images and logs.
    pub fn on(host: H, ours: &Path) -> Self {
        let mut secrets = Secrets::default();
        secrets.insert("db.password", Secret::new("correct-horse"));
        Self { host, secrets, blobs: Blobs::new(ours), log: ours.join("log") }
    }

    pub fn with<T>(&self, does: impl FnOnce(&Context<'_>) -> T) -> T {
        does(&Context {
            host: &self.host,
            secrets: &self.secrets,
            blobs: &self.blobs,
            log: &self.log,
            changed: &|_| false,
            carry: CARRY,
            undo_records_of: &|_| Vec::new(),
            progress: &|_| {},
        })
    }

    pub fn check(&self, act: &dyn Act) -> Outcome<Verdict> {
        self.with(|cx| act.check(cx))
    }

    /// What would change, in a line.
    pub fn summary(&self, act: &dyn Act) -> String {
        match self.check(act).unwrap() {
            Verdict::Unchanged | Verdict::NotAsked(_) => String::new(),
            Verdict::WouldChange(change) => change.summary,
        }
    }

    pub fn diff(&self, act: &dyn Act) -> String {
        match self.check(act).unwrap() {
            Verdict::Unchanged | Verdict::NotAsked(_) => String::new(),
            Verdict::WouldChange(change) => change.diff.unwrap_or_default(),
        }
    }

    /// Prepares and applies, as the engine does.
    pub fn make(&self, act: &dyn Act) -> Done {
        self.try_to_make(act).unwrap()
    }

    pub fn try_to_make(&self, act: &dyn Act) -> Outcome<Done> {
        self.with(|cx| {
            let records = act.prepare(cx)?;
            act.apply(cx)?;
            let written = |path: &Path| Some((path.to_owned(), carry::written(&self.host, path).unwrap()?));
            let written_hashes = records.iter().filter_map(Undo::path).filter_map(written).collect();
            Ok(Done { records, written_hashes })
        })
    }

    /// Carries the records out, last first.
    pub fn take_back(&self, done: &Done) -> Vec<Undone> {
        let cx = UndoContext {
            host: &self.host,
            blobs: &self.blobs,
            log: &self.log,
            progress: &|_| {},
            dumped: &|_, _| {},
            dumps: Path::new("/tmp"),
            drop_data: false,
            written_hashes: &done.written_hashes,
            data: None,
            post: None,
            died: None,
        };
        done.records.iter().rev().map(|record| carry::carry_out(record, &cx).unwrap()).collect()
    }
}

/// The three verbs of one action on one host, with a secret called `pw`.
pub fn with_cx<T>(host: &FakeHost, f: impl FnOnce(&Context<'_>) -> T) -> T {
    let mut secrets = Secrets::default();
    secrets.insert("pw", Secret::new("s3cret-pass"));
    let blobs = Blobs::new("/var/blobs");
    let (log, changed, progress) = (PathBuf::from("/var/log/x"), |_: &str| false, |_| {});
    f(&Context {
        host,
        secrets: &secrets,
        blobs: &blobs,
        log: &log,
        changed: &changed,
        carry: CARRY,
        undo_records_of: &|_| Vec::new(),
        progress: &progress,
    })
}

/// What was left in place, with the reason.
pub fn kept(undone: Vec<Undone>) -> Vec<String> {
    let kept = |undone| match undone {
        Undone::Kept { what, why } => Some(format!("{what}: {why}")),
        Undone::Done(_) | Undone::Nothing => None,
    };
    undone.into_iter().filter_map(kept).collect()
}
