//! Packages that only one command needs: installed before it, and purged after it.
//!
//! A note beside the run's before-images says which ones they are, so that an attempt that was cut off is continued,
//! and that they are gone again, so that a later rollback leaves alone what someone else has installed since.

use std::path::PathBuf;

use crate::action::contract::{Act as _, Context};
use crate::action::packages::{self, Packages};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Host, Meta};
use crate::undo::{Blobs, Undo, UndoContext, Undone};

/// The note once they are purged.
const GONE: &[u8] = b"gone\n";

/// The packages of one command.
pub(super) struct Tools<'a> {
    names: &'a [String],
    /// The note's name.
    note: String,
}

impl<'a> Tools<'a> {
    /// For the command that is described so.
    pub(super) fn new(names: &'a [String], describe: &str) -> Self {
        let hash = sha256_hex(format!("{describe}\n{}", names.join(" ")).as_bytes());
        Self { names, note: format!("tools-{}", &hash[..16]) }
    }

    /// The record that purges them where the command was cut off; none where all are installed.
    pub(super) fn records(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let note = &self.note;
        let tools = |record| match record {
            Undo::Packages { before, planned } if !planned.is_empty() => {
                Some(Undo::Tools { before, planned, note: note.clone() })
            }
            _ => None,
        };
        Ok(self.packages().prepare(cx)?.into_iter().filter_map(tools).collect())
    }

    /// Does the work while they are installed. Where it fails they stay, for the next attempt or the rollback.
    pub(super) fn with(&self, cx: &Context<'_>, work: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
        let ours = if let Some(ours) = noted(cx.host, cx.blobs, &self.note) {
            ours
        } else {
            let ours: Vec<(String, String)> = self.records(cx)?.into_iter().flat_map(new).collect();
            let text = serde_json::to_vec(&ours).map_err(|e| Failure::new("note the packages of a command", e))?;
            self.write(cx, &text)?;
            ours
        };
        self.packages().apply(cx)?;
        work()?;
        let undo = UndoContext { progress: cx.progress, ..UndoContext::of_settings(cx.host, cx.blobs, cx.log) };
        packages::undo(&undo, &[], &ours)?;
        self.write(cx, GONE)
    }

    fn packages(&self) -> Packages {
        Packages { names: self.names.to_vec(), recommends: false }
    }

    fn write(&self, cx: &Context<'_>, text: &[u8]) -> Outcome<()> {
        let path = path(cx.blobs, &self.note);
        cx.host.write(&path, text, Meta::root(0o600)).map_err(|e| Failure::new(format!("write {}", path.display()), e))
    }
}

/// Those that were not there before.
fn new(record: Undo) -> Vec<(String, String)> {
    match record {
        Undo::Tools { before, planned, .. } => planned.into_iter().filter(|(name, _)| !before.contains(name)).collect(),
        _ => Vec::new(),
    }
}

fn path(blobs: &Blobs, note: &str) -> PathBuf {
    blobs.dir().join(note)
}

/// What an attempt that was cut off has noted.
fn noted(host: &dyn Host, blobs: &Blobs, note: &str) -> Option<Vec<(String, String)>> {
    serde_json::from_slice(&host.read(&path(blobs, note)).ok()?).ok()
}

/// Purges them, unless their command has ended.
pub fn undo(cx: &UndoContext<'_>, before: &[String], planned: &[(String, String)], note: &str) -> Outcome<Undone> {
    if cx.host.read(&path(cx.blobs, note)).is_ok_and(|text| text == GONE) {
        return Ok(Undone::Nothing);
    }
    packages::undo(cx, before, planned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;
    use crate::host::fake::Package;

    const NAMES: [&str; 2] = ["make", "rsync"];

    fn bench() -> (Bench, Vec<String>) {
        let bench = Bench::new();
        bench.host.offer(Package::new("libpopt0", "1.19"));
        bench.host.offer(Package::new("make", "4.3"));
        bench.host.offer(Package::new("rsync", "3.2").depends(&["libpopt0"]));
        (bench, NAMES.map(str::to_owned).to_vec())
    }

    fn carry_out(bench: &Bench, records: &[Undo]) -> Undone {
        let [Undo::Tools { before, planned, note }] = records else { panic!("{records:?}") };
        bench.with(|cx| undo(&UndoContext::of_settings(cx.host, cx.blobs, cx.log), before, planned, note).unwrap())
    }

    #[test]
    fn they_are_there_for_the_work_only_and_what_comes_later_stays() {
        let (bench, names) = bench();
        let before = bench.host.packages();
        let tools = Tools::new(&names, "build it");
        let records = bench.with(|cx| tools.records(cx)).unwrap();
        let mut during = 0;
        bench
            .with(|cx| {
                tools.with(cx, || {
                    during = bench.host.packages().len();
                    Ok(())
                })
            })
            .unwrap();
        assert_eq!(during, before.len() + 3);
        assert_eq!(bench.host.packages(), before);
        // An administrator installs one of them.
        let theirs = Packages { names: vec!["make".to_owned()], recommends: false };
        bench.make(&theirs);
        assert_eq!(carry_out(&bench, &records), Undone::Nothing);
        assert!(bench.host.packages().contains_key("make"));
    }

    #[test]
    fn an_attempt_that_was_cut_off_is_continued_or_rolled_back() {
        for continued in [true, false] {
            let (bench, names) = bench();
            let before = bench.host.packages();
            let tools = Tools::new(&names, "build it");
            let records = bench.with(|cx| tools.records(cx)).unwrap();
            bench.with(|cx| tools.with(cx, || Err(Failure::new("build it", "no")))).unwrap_err();
            assert_eq!(bench.host.packages().len(), before.len() + 3);
            if continued {
                bench.with(|cx| tools.with(cx, || Ok(()))).unwrap();
            } else {
                assert!(matches!(carry_out(&bench, &records), Undone::Done(_)));
            }
            assert_eq!(bench.host.packages(), before);
        }
    }

    #[test]
    fn what_is_there_already_stays() {
        let (bench, names) = bench();
        bench.make(&Packages { names: names.clone(), recommends: false });
        let before = bench.host.packages();
        let tools = Tools::new(&names, "build it");
        assert_eq!(bench.with(|cx| tools.records(cx)).unwrap(), []);
        bench.with(|cx| tools.with(cx, || Ok(()))).unwrap();
        assert_eq!(bench.host.packages(), before);
    }
}
