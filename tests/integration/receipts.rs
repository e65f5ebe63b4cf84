//! Journals that earlier releases wrote must stay undoable for ever; see `tests/receipts/README.md`.

use std::path::Path;

use bringup::engine::journal::Journal;
use bringup::engine::rollback::{Options, roll_back};
use bringup::engine::runs::RunDir;
use bringup::host::fake::FakeHost;
use bringup::host::{Host, Kind};
use bringup::undo::Undo;

/// Every frozen run, as (name, directory).
fn receipts() -> Vec<(String, std::path::PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receipts/v1");
    let mut found: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    found
}

/// A machine that has the run's directory, and the files that the run wrote as far as its journal tells.
fn machine(name: &str, from: &Path) -> (FakeHost, RunDir) {
    let host = FakeHost::new();
    let dir = RunDir::of(name);
    host.put_file(dir.file("journal.jsonl"), std::fs::read(from.join("journal.jsonl")).unwrap(), 0o600);
    // A run that restores only links keeps no contents.
    for blob in std::fs::read_dir(from.join("blobs")).into_iter().flatten() {
        let blob = blob.unwrap();
        host.put_file(dir.file("blobs").join(blob.file_name()), std::fs::read(blob.path()).unwrap(), 0o600);
    }
    host.put_file(dir.file("dumps/.keep"), "", 0o600);
    host.put_file(dir.file("log/.keep"), "", 0o600);
    (host, dir)
}

#[test]
fn frozen_journals_are_read_whole() {
    let found = receipts();
    assert!(found.len() >= 2);
    for (name, path) in found {
        let (host, dir) = machine(&name, &path);
        let journal = Journal::open(&host, &dir.file("journal.jsonl")).unwrap();
        assert!(journal.entries().len() > 15, "{name}: only {} entries", journal.entries().len());
        assert!(journal.entries().iter().all(|entry| entry.ended && !entry.undo.is_empty()), "{name}");
        assert!(journal.finished.is_some(), "{name}");
    }
}

#[test]
fn frozen_journals_can_be_taken_back() {
    for (name, path) in receipts() {
        let (host, dir) = machine(&name, &path);
        let mut journal = Journal::open(&host, &dir.file("journal.jsonl")).unwrap();
        // Nothing of the run is left but what is restored: absence is success, not an error.
        let report = roll_back(&host, &dir, &mut journal, &Options::default(), &|what| println!("{what:?}")).unwrap();
        assert_eq!(report.errors, Vec::new(), "{name}");
        assert_eq!(journal.standing(), 0, "{name}");
        let mut restored = 0;
        for undo in journal.entries().iter().flat_map(|entry| &entry.undo) {
            if let Undo::Restore { path, image } = undo {
                // Somebody removed the file since: then it stays away, and is reported.
                let back = host.stat(path).unwrap().is_some_and(|stat| stat.kind == image.kind);
                let told = report.kept.iter().any(|(what, _)| *what == path.display().to_string());
                assert!(back || told || image.kind == Kind::Dir, "{name}: {}", path.display());
                restored += 1;
            }
        }
        assert!(restored > 0, "{name} restores nothing");
    }
}
