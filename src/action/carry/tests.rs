#![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

use std::collections::BTreeMap;

use super::*;
use crate::host::fake::{FakeHost, output};
use crate::host::{Meta, Stamp};
use crate::undo::Blobs;
use crate::undo::manifest::Contents;

const BLOBS: &str = "/var/lib/bringup/runs/r/blobs";
const AT: &str = "/etc/app/settings";

fn host() -> FakeHost {
    let host = FakeHost::new();
    host.put_file(format!("{BLOBS}/.keep"), "", 0o600);
    host
}

/// Carries a record out; `wrote` is what the action left at [`AT`].
fn carried(host: &FakeHost, record: &Undo, wrote: Option<&str>) -> Outcome<Undone> {
    let blobs = Blobs::new(BLOBS);
    let wrote = wrote.map(|hash| (AT.into(), hash.to_owned())).into_iter().collect();
    let cx = UndoContext { written_hashes: &wrote, ..UndoContext::of_settings(host, &blobs, "/log".as_ref()) };
    carry_out(record, &cx)
}

fn before(host: &FakeHost) -> Undo {
    Blobs::new(BLOBS).before(host, AT.as_ref()).unwrap()
}

fn now(host: &FakeHost) -> Option<String> {
    written(host, AT.as_ref()).unwrap()
}

fn stat(host: &FakeHost) -> Stat {
    host.stat(AT.as_ref()).unwrap().unwrap()
}

fn done(what: &str) -> Outcome<Undone> {
    Ok(Undone::Done(format!("{what} {AT}")))
}

fn kept(why: &str) -> Outcome<Undone> {
    Ok(Undone::Kept { what: AT.to_owned(), why: why.to_owned() })
}

#[test]
fn a_file_is_back_when_content_mode_and_time_are_those_from_before() {
    type Change = fn(&FakeHost);
    let changes: [(&str, Change); 4] = [
        ("content", |host| {
            let mtime = stat(host).mtime;
            host.write(AT.as_ref(), b"after!", Meta::root(0o640)).unwrap();
            host.set_mtime(AT.as_ref(), mtime).unwrap();
        }),
        ("time", |host| host.put_file(AT, "before", 0o640)),
        ("mode", |host| host.set_meta(AT.as_ref(), Meta::root(0o600)).unwrap()),
        ("gone", |host| host.take_away(AT)),
    ];
    for (what, change) in changes {
        let host = host();
        host.put_file(AT, "before", 0o640);
        let (record, was) = (before(&host), stat(&host));
        assert_eq!(carried(&host, &record, None), Ok(Undone::Nothing));
        change(&host);
        host.forget_calls();
        assert_eq!(carried(&host, &record, None), done("restored"), "{what}");
        let is = stat(&host);
        assert_eq!((host.text(AT).as_deref(), is.meta, is.mtime), (Some("before"), was.meta, was.mtime), "{what}");
        assert!(host.calls().iter().all(|call| call.method != "remove"), "{what}: at no moment is there no file");
        assert_eq!(carried(&host, &record, None), Ok(Undone::Nothing), "{what}");
    }
}

#[test]
fn a_link_is_back_when_it_leads_where_it_led_and_what_took_its_place_is_gone() {
    let host = host();
    host.put_file("/etc/app/.keep", "", 0o644);
    host.make_symlink(AT.as_ref(), "/etc/one".as_ref()).unwrap();
    let record = before(&host);
    assert_eq!(carried(&host, &record, None), Ok(Undone::Nothing));
    for turn in [true, false] {
        host.take_away(AT);
        if turn {
            host.make_symlink(AT.as_ref(), "/etc/two".as_ref()).unwrap();
        } else {
            host.put_file(AT, "a file", 0o644);
        }
        assert_eq!(carried(&host, &record, None), done("restored"));
        assert_eq!(host.read_link(AT.as_ref()).unwrap(), Path::new("/etc/one"));
    }
    // So is a directory.
    host.take_away(AT);
    host.make_dir(AT.as_ref(), Meta::root(0o750)).unwrap();
    let record = before(&host);
    assert_eq!(carried(&host, &record, None), Ok(Undone::Nothing));
    host.take_away(AT);
    host.put_file(AT, "a file", 0o644);
    assert_eq!(carried(&host, &record, None), done("restored"));
    assert_eq!((stat(&host).kind, stat(&host).meta), (Kind::Dir, Meta::root(0o750)));
}

#[test]
fn files_and_links_that_an_action_wrote_are_known_by_their_records() {
    let path = || AT.into();
    let host = host();
    host.put_file(AT, "before", 0o644);
    let image = Blobs::new(BLOBS).image(&host, AT.as_ref()).unwrap().unwrap();
    for (record, is_written) in [
        (Undo::Remove { path: path() }, true),
        (before(&host), true),
        (Undo::Unedit { path: path(), image, ours: None }, true),
        (Undo::RemoveDir { path: path() }, false),
        (Undo::RemoveTree { path: path() }, false),
        (Undo::RemoveData { path: path() }, false),
    ] {
        assert_eq!(record.path(), is_written.then_some(Path::new(AT)), "{record:?}");
    }
}

/// A file of the same size, a link that leads elsewhere: whatever it is that somebody else put there since.
#[test]
fn what_somebody_else_changed_since_the_action_stays() {
    let host = host();
    host.put_file("/etc/app/.keep", "", 0o644);
    let record = before(&host);
    assert_eq!(record, Undo::Remove { path: AT.into() });
    host.put_file(AT, "ours", 0o644);
    let ours = now(&host);
    assert_eq!(ours.as_deref(), Some(sha256_hex(b"ours").as_str()));
    host.put_file(AT, "them", 0o644);
    assert_eq!(carried(&host, &record, ours.as_deref()), kept("it was changed since"));
    host.put_file(AT, "ours", 0o600);
    assert_eq!(carried(&host, &record, ours.as_deref()), done("removed"));
    assert_eq!(carried(&host, &record, ours.as_deref()), Ok(Undone::Nothing));

    host.make_symlink(AT.as_ref(), "/etc/ours".as_ref()).unwrap();
    let ours = now(&host);
    assert_eq!(ours.as_deref(), Some(sha256_hex(b"/etc/ours").as_str()));
    host.take_away(AT);
    host.make_symlink(AT.as_ref(), "/etc/them".as_ref()).unwrap();
    assert_eq!(carried(&host, &record, ours.as_deref()), kept("it was changed since"));
    assert_eq!(host.read_link(AT.as_ref()).unwrap(), Path::new("/etc/them"));

    // What was there before does not come back over a removal by somebody else.
    host.take_away(AT);
    host.put_file(AT, "before", 0o644);
    let record = before(&host);
    host.take_away(AT);
    assert_eq!(carried(&host, &record, ours.as_deref()), kept("it was removed since"));
    assert_eq!(now(&host), None);
    host.make_dir(AT.as_ref(), Meta::root(0o755)).unwrap();
    assert_eq!(now(&host), None, "a directory has no content");
    assert_eq!(carried(&host, &Undo::Remove { path: AT.into() }, None), kept("it is a directory now"));
}

/// The last sign of life is written every second.
#[test]
fn of_an_action_that_a_crash_cut_off_what_was_changed_later_than_a_second_is_not_ours() {
    let changed_after = |seconds: i64| {
        let host = host();
        host.put_file(AT, "x", 0o644);
        let ctime = stat(&host).ctime;
        let (blobs, nothing) = (Blobs::new(BLOBS), BTreeMap::new());
        let died = Some(Stamp { sec: ctime.sec - seconds, ..ctime });
        let cx =
            UndoContext { written_hashes: &nothing, died, ..UndoContext::of_settings(&host, &blobs, "/log".as_ref()) };
        carry_out(&Undo::Remove { path: AT.into() }, &cx)
    };
    for ours in [-3, 0, 1] {
        assert_eq!(changed_after(ours), done("removed"), "{ours}");
    }
    for theirs in [2, 1000] {
        assert_eq!(changed_after(theirs), kept("it was changed after the run died"), "{theirs}");
    }
}

#[test]
fn of_a_tree_only_that_goes_which_stood_there_at_the_end_of_the_run() {
    let tree = Path::new("/usr/lib/app");
    let host = host();
    for file in ["a", "sub/b", "sub/c", "other/d"] {
        host.put_file(tree.join(file), "ours", 0o644);
    }
    let post = Manifest::take(&host, None, &mut Contents::new()).unwrap();
    let (blobs, nothing) = (Blobs::new(BLOBS), BTreeMap::new());
    let take = |host: &FakeHost, post: Option<&Manifest>| {
        let cx =
            UndoContext { written_hashes: &nothing, post, ..UndoContext::of_settings(host, &blobs, "/log".as_ref()) };
        carry_out(&Undo::RemoveTree { path: tree.into() }, &cx).unwrap()
    };
    let mtime = |file: &str| host.stat(&tree.join(file)).unwrap().unwrap().mtime;
    // Same size at another time, another size at the same time, a link in the place of a file, what is new.
    host.put_file(tree.join("a"), "them", 0o644);
    let before = mtime("sub/b");
    host.put_file(tree.join("sub/b"), "longer", 0o644);
    host.set_mtime(&tree.join("sub/b"), before).unwrap();
    host.put_file(tree.join("sub/new"), "", 0o644);
    host.put_file(tree.join("theirs/x"), "", 0o644);
    host.put_file(tree.join("empty/x"), "", 0o644);
    host.take_away(tree.join("empty/x"));
    let Undone::Kept { why, .. } = take(&host, Some(&post)) else { panic!("all went") };
    assert_eq!(why, "4 files in it were changed or added since the run");
    let is_there = |file: &str| host.stat(&tree.join(file)).unwrap().is_some();
    for stays in ["a", "sub/b", "sub/new", "theirs/x"] {
        assert!(is_there(stays), "{stays}");
    }
    for goes in ["sub/c", "other", "empty"] {
        assert!(!is_there(goes), "{goes}");
    }
    // A link of the size and time that the file had.
    host.take_away(tree);
    host.put_file(tree.join("a"), "ours", 0o644);
    let post = Manifest::take(&host, None, &mut Contents::new()).unwrap();
    let at = mtime("a");
    host.take_away(tree.join("a"));
    host.make_symlink(&tree.join("a"), "four".as_ref()).unwrap();
    host.set_mtime(&tree.join("a"), at).unwrap();
    assert!(matches!(take(&host, Some(&post)), Undone::Kept { .. }));
    // Nobody knows what stood at the end of a run that never ended.
    assert_eq!(take(&host, None), Undone::Done("removed /usr/lib/app".to_owned()));
    assert_eq!((take(&host, None), is_there("")), (Undone::Nothing, false));
}

#[test]
fn the_way_back_that_a_guide_declares_runs_as_its_user() {
    let host = host();
    let record = |user: &str| Undo::Command {
        argv: vec!["undo-it".to_owned()],
        user: user.to_owned(),
        cwd: "/".into(),
        describe: "it".to_owned(),
    };
    for (user, wanted) in [("daemon", Some("daemon")), ("", None)] {
        assert_eq!(carried(&host, &record(user), None), Ok(Undone::Done("rolled back \"it\"".to_owned())));
        assert_eq!(host.commands().last().unwrap().user.as_deref(), wanted);
    }
    host.on(&["undo-it"], |_, _| output(3, "", "no\n"));
    let failure = carried(&host, &record(""), None).unwrap_err();
    assert_eq!((failure.why.as_str(), failure.tail.len()), ("undo-it ended with status 3", 1));
}
