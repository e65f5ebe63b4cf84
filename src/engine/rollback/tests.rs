#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::engine::window::RunChange;
use crate::host::fake::FakeHost;
use crate::host::{Kind, Meta, Stamp};
use crate::plan::Plan;
use crate::undo::manifest;

/// A journal in which each of these actions, `stage.name`, has begun with such a record.
fn journal(host: &FakeHost, actions: &[(&str, serde_json::Value)]) -> Journal {
    let (_, mut journal) = RunDir::create(host, &Plan::new("shop", "")).unwrap();
    for (action, undo) in actions {
        let stage = action.split('.').next().unwrap().to_owned();
        let undo = serde_json::from_value(undo.clone()).unwrap();
        journal.write(host, Record::Begin { action: (*action).to_owned(), stage, undo: vec![undo] }).unwrap();
    }
    journal
}

fn at(op: &str, path: &str) -> serde_json::Value {
    json!({"op": op, "path": path})
}

#[test]
fn a_rollback_concerns_what_stands_and_of_a_stage_nothing_else() {
    let host = FakeHost::new();
    let actions = ["web.a", "web.b", "base.a"].map(|action| (action, at("remove", "/etc/x")));
    let mut journal = journal(&host, &actions);
    journal.write(&host, Record::Undone { action: "web.b".to_owned() }).unwrap();
    let of = |stage: Option<&str>| -> Vec<&str> {
        let options = Options { stage: stage.map(str::to_owned), ..Options::default() };
        let entries = journal.entries().iter().filter(|entry| concerns(entry, &options));
        entries.map(|entry| entry.action.as_str()).collect()
    };
    assert_eq!(of(None), ["web.a", "base.a"]);
    assert_eq!(of(Some("web")), ["web.a"]);
    assert_eq!(of(Some("other")), [""; 0]);
}

#[test]
fn the_paths_of_a_run_are_those_that_its_records_name() {
    let host = FakeHost::new();
    let image = json!({"kind": "file", "meta": {"mode": 420, "uid": 0, "gid": 0}, "mtime": {"sec": 1, "nsec": 0}});
    let journal = journal(
        &host,
        &[
            ("a.tree", at("remove_tree", "/opt/tree")),
            ("a.dir", at("remove_dir", "/opt/dir")),
            ("a.data", at("remove_data", "/srv/data")),
            ("a.file", at("remove", "/etc/file")),
            ("a.back", json!({"op": "restore", "path": "/etc/back", "image": image})),
            (
                "a.wall",
                json!({"op": "firewall", "manager": "ufw", "name": "x", "files": [["/etc/ufw/user.rules", null]]}),
            ),
            ("a.user", json!({"op": "user", "name": "x", "with_group": true})),
        ],
    );
    let Traces { made, trees, recorded } = Traces::of(&journal);
    let paths = |set: BTreeSet<PathBuf>| set.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(paths(trees), ["/opt/tree"]);
    assert_eq!(paths(made), ["/opt/dir", "/opt/tree", "/srv/data"]);
    assert_eq!(
        paths(recorded),
        ["/etc/back", "/etc/file", "/etc/ufw/user.rules", "/opt/dir", "/opt/tree", "/srv/data"]
    );
}

fn entry(size: u64) -> manifest::FileEntry {
    let at = Stamp::default();
    manifest::FileEntry {
        kind: Kind::File,
        meta: Meta::root(0o644),
        size,
        mtime: at,
        ctime: at,
        ino: 1,
        mounted: false,
        hash: None,
        target: None,
        xattrs: Vec::new(),
    }
}

#[test]
fn what_a_run_left_is_its_last_look_with_newer_windows_and_without_what_is_others() {
    let mut look = Manifest::default();
    for path in ["/seen", "/both", "/theirs"] {
        look.entries.insert(path.into(), entry(1));
    }
    let mut owned = Owned::default();
    for (path, after) in [("/both", Some(entry(2))), ("/newer", Some(entry(2))), ("/removed", None)] {
        owned.paths.insert(path.into(), RunChange { after, ..RunChange::default() });
    }
    owned.theirs.insert("/theirs".into(), String::new());
    let sizes = |left: Manifest| {
        left.entries.iter().map(|(path, entry)| (path.display().to_string(), entry.size)).collect::<Vec<_>>()
    };
    let of = |path: &str, size| (path.to_owned(), size);
    assert_eq!(sizes(left(Some(&look), &owned)), [of("/both", 1), of("/newer", 2), of("/seen", 1)]);
    assert_eq!(sizes(left(None, &owned)), [of("/both", 2), of("/newer", 2)]);
}

#[test]
fn what_is_left_in_place_is_told_once_in_the_words_of_the_first() {
    let told = Mutex::new(Vec::new());
    let mut report = Report { kept: vec![("/a".to_owned(), "better words".to_owned())], ..Report::default() };
    let kept = ["/a", "/b"].map(|path| (path.to_owned(), "why".to_owned())).to_vec();
    let outcome = reconcile::Outcomes { kept, errors: vec![Failure::new("do it", "no")] };
    tell(outcome, &mut report, &|what| told.lock().unwrap().push(what));
    let kept = [("/a", "better words"), ("/b", "why")].map(|(path, why)| (path.to_owned(), why.to_owned()));
    assert_eq!((report.kept.as_slice(), report.errors.len()), (&kept[..], 1));
    let told = told.into_inner().unwrap();
    assert!(matches!(&told[..], [EventKind::Kept { what, .. }] if what == "/b"), "{told:?}");
}

/// A run that ended, and made this file.
fn ran(host: &FakeHost, guide: &str) -> String {
    let (dir, mut journal) = RunDir::create(host, &Plan::new(guide, "")).unwrap();
    let (action, stage, path) = ("web.file".to_owned(), "web".to_owned(), PathBuf::from(format!("/etc/{guide}")));
    let undo = vec![Undo::Remove { path: path.clone() }];
    journal.write(host, Record::Begin { action: action.clone(), stage, undo }).unwrap();
    host.put_file(&path, guide, 0o644);
    let wrote = [(path, crate::hash::sha256_hex(guide.as_bytes()))].into();
    journal.write(host, Record::End { action, written_hashes: wrote }).unwrap();
    let exit = crate::error::Exit::Done;
    journal.write(host, Record::Finished { exit, data: std::collections::BTreeMap::new() }).unwrap();
    dir.id
}

fn of(host: &FakeHost, id: &str) -> Run {
    runs::all(host, None).unwrap().into_iter().find(|run| run.dir.id == id).unwrap()
}

fn back(host: &FakeHost, id: &str) {
    let Run { dir, mut journal, .. } = of(host, id);
    let report = roll_back(host, &dir, &mut journal, &Options::default(), &|_| {}).unwrap();
    assert_eq!((report.kept, report.errors), (Vec::new(), Vec::new()));
}

#[test]
fn a_run_below_others_waits_for_the_last_of_them_and_is_ended_with_it() {
    let host = FakeHost::new();
    let [a, b, c] = ["a", "b", "c"].map(|guide| ran(&host, guide));
    back(&host, &a);
    assert_eq!((of(&host, &a).journal.waits, host.text("/etc/a")), (vec![b.clone(), c.clone()], None));
    // What a stage or a run in the middle frees is not the end of it.
    let lines = of(&host, &a).journal.lines();
    let stage = Options { stage: Some("web".to_owned()), ..Options::default() };
    let all = runs::all(&host, None).unwrap();
    let ahead_of = |options: &Options| {
        let parts = ahead(&host, &all, std::slice::from_ref(&c), options).unwrap();
        parts.into_iter().map(|(journal, entries)| (journal.header.run.clone(), entries.len())).collect::<Vec<_>>()
    };
    assert_eq!(ahead_of(&stage), [(c.clone(), 1)]);
    assert_eq!(ahead_of(&Options::default()), [(a.clone(), 0), (c.clone(), 1)]);
    back(&host, &b);
    assert_eq!((of(&host, &a).journal.lines(), of(&host, &b).journal.waits), (lines, vec![c.clone()]));
    back(&host, &c);
    for id in [&a, &b, &c] {
        let run = of(&host, id);
        assert!(run.state == runs::RunStatus::RolledBack && !run.waits(), "{id}");
    }
}
