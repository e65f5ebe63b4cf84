#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fake::FakeHost;

fn entry(kind: Kind) -> FileEntry {
    FileEntry {
        kind,
        meta: Meta::root(0o644),
        size: 3,
        mtime: Stamp { sec: 100, nsec: 1 },
        ctime: Stamp { sec: 100, nsec: 1 },
        ino: 7,
        mounted: false,
        hash: None,
        target: None,
        xattrs: Vec::new(),
    }
}

fn changed(from: &FileEntry, change: impl FnOnce(&mut FileEntry)) -> FileEntry {
    let mut entry = from.clone();
    change(&mut entry);
    entry
}

fn later(entry: &mut FileEntry) {
    (entry.mtime.sec, entry.ctime.sec) = (200, 200);
}

fn taken(host: &FakeHost) -> (Manifest, Contents) {
    let mut contents = Contents::new();
    let manifest = Manifest::take(host, None, &mut contents).unwrap();
    (manifest, contents)
}

#[test]
fn a_change_of_nothing_but_mode_owner_or_group_is_a_change() {
    for kind in [Kind::File, Kind::Dir, Kind::Symlink, Kind::Other] {
        let before = entry(kind);
        assert!(before.same(&before.clone()));
        assert!(!before.same(&changed(&before, |e| e.meta.mode = 0o600)), "{kind:?}");
        assert!(!before.same(&changed(&before, |e| e.meta.uid = 1)), "{kind:?}");
        assert!(!before.same(&changed(&before, |e| e.meta.gid = 1)), "{kind:?}");
    }
    assert!(!entry(Kind::File).same(&entry(Kind::Dir)));
}

#[test]
fn of_a_directory_neither_times_nor_size_count_and_of_a_link_its_target_does() {
    let dir = entry(Kind::Dir);
    assert!(dir.same(&changed(&dir, |e| (e.size, e.ino) = (9, 9))) && dir.same(&changed(&dir, later)));
    let link = changed(&entry(Kind::Symlink), |e| e.target = Some("/a".into()));
    assert!(link.same(&changed(&link, later)));
    assert!(!link.same(&changed(&link, |e| e.target = Some("/b".into()))));
}

#[test]
fn a_file_is_the_same_by_inode_and_time_else_by_its_content_where_that_is_known() {
    let file = changed(&entry(Kind::File), |e| e.hash = Some("a".to_owned()));
    assert!(!file.same(&changed(&file, |e| e.size = 4)), "whatever else agrees");
    let renewed = changed(&file, |e| {
        later(e);
        e.ino = 8;
    });
    assert!(file.same(&renewed), "written anew with the same content");
    assert!(!file.same(&changed(&renewed, |e| e.hash = Some("b".to_owned()))));
    // Either of both that differs has the content looked at.
    let other = changed(&file, |e| e.hash = Some("b".to_owned()));
    assert!(!file.same(&changed(&other, |e| e.ino = 8)));
    assert!(!file.same(&changed(&other, |e| e.ctime.sec = 200)));
    assert!(file.same(&other), "with the same inode and time it was not written since");
    // Of one whose content is not kept, the time of its last change says it.
    let large = entry(Kind::File);
    assert!(large.same(&changed(&large, |e| e.ino = 8)));
    assert!(!large.same(&changed(&large, later)));
}

#[test]
fn of_settings_everything_below_etc_is_looked_at_and_the_tops_of_where_state_lies() {
    for inside in
        ["/etc", "/etc/nginx/a/b", "/var/lib/systemd/system/x", "/var/lib", "/var/lib/mysql", "/opt", "/opt/x"]
    {
        assert!(ManifestScope::Settings.holds(Path::new(inside)), "{inside}");
    }
    for outside in ["/var/lib/mysql/data", "/opt/x/y", "/usr/bin/x", "/etcetera", "/var"] {
        assert!(!ManifestScope::Settings.holds(Path::new(outside)), "{outside}");
        assert!(ManifestScope::Disk.holds(Path::new(outside)), "{outside}");
    }
    let host = FakeHost::new();
    for file in ["/etc/a/b/c", "/var/lib/systemd/system/x", "/var/lib/mysql/data", "/opt/x/y", "/usr/bin/x"] {
        host.put_file(file, "x", 0o644);
    }
    let manifest = Manifest::take_in(&host, ManifestScope::Settings, None, &mut Contents::new()).unwrap();
    assert!(manifest.entries.keys().all(|path| ManifestScope::Settings.holds(path)));
    for held in ["/etc/a/b/c", "/var/lib/systemd/system/x", "/var/lib/mysql", "/opt/x"] {
        assert!(manifest.entries.contains_key(Path::new(held)), "{held}");
    }
}

#[test]
fn peoples_own_and_volatile_paths_are_no_part_of_the_disk() {
    let host = FakeHost::new();
    let outside =
        ["/home/alice/x", "/srv/x", "/root/x", "/proc/1/x", "/var/lib/bringup/x", "/var/tmp/x", "/etc/resolv.conf"];
    for path in outside.into_iter().chain(["/usr/local/lib/x"]) {
        host.put_file(path, "x", 0o644);
    }
    let (manifest, _) = taken(&host);
    for path in outside {
        assert!(!manifest.entries.contains_key(Path::new(path)), "{path}");
    }
    assert!(manifest.entries.contains_key(Path::new("/usr/local/lib/x")));
    assert!(is_log(Path::new("/var/log/x/y")) && !is_log(Path::new("/var/logs")));
}

#[test]
fn the_content_is_kept_of_settings_that_are_not_too_large_and_of_nothing_else() {
    let host = FakeHost::new();
    host.put_file("/etc/a", "settings", 0o600);
    host.set_xattr(Path::new("/etc/a"), "user.x", b"y").unwrap();
    let limit = usize::try_from(KEEP_AT_MOST).unwrap();
    host.put_file("/etc/larger", vec![b'x'; limit + 1], 0o644);
    host.put_file("/usr/lib/program", "program", 0o755);
    host.put_file("/var/lib/dpkg/info/x.list", "list", 0o644);
    let (manifest, contents) = taken(&host);
    let hash = |path: &str| manifest.entries[Path::new(path)].hash.clone();
    let kept = hash("/etc/a").unwrap();
    assert_eq!(contents[&kept], b"settings");
    assert_eq!(manifest.entries[Path::new("/etc/a")].xattrs, [("user.x".to_owned(), b"y".to_vec())]);
    for not_kept in ["/etc/larger", "/usr/lib/program", "/var/lib/dpkg/info/x.list"] {
        assert_eq!(hash(not_kept), None, "{not_kept}");
    }
}

/// What was read before is believed only where size, inode and time of the last change all agree.
#[test]
fn a_content_is_read_again_unless_the_file_is_untouched() {
    let host = FakeHost::new();
    host.put_file("/etc/a", "one", 0o644);
    let (known, _) = taken(&host);
    let path = Path::new("/etc/a");
    host.put_file("/etc/a", "two", 0o644);
    let two = sha256_hex(b"two");
    let now = taken(&host).0.entries[path].clone();
    let look = |before: &FileEntry| {
        let known = Manifest { entries: BTreeMap::from([(path.to_owned(), before.clone())]) };
        let mut contents = Contents::new();
        let manifest = Manifest::take(&host, Some(&known), &mut contents).unwrap();
        (manifest.entries[path].hash.clone().unwrap(), contents.contains_key(&two))
    };
    let believed = changed(&now, |e| e.hash = Some("as known".to_owned()));
    assert_eq!(look(&believed), ("as known".to_owned(), false));
    for stale in [
        changed(&believed, |e| e.size = 4),
        changed(&believed, |e| e.ino += 1),
        changed(&believed, |e| e.ctime.sec -= 1),
        known.entries[path].clone(),
    ] {
        assert_eq!(look(&stale), (two.clone(), true), "{stale:?}");
    }
}

#[test]
fn what_its_user_has_put_out_of_reach_is_no_reason_to_refuse() {
    use std::io::{Error, ErrorKind};
    for kind in [ErrorKind::FileTooLarge, ErrorKind::InvalidFilename, ErrorKind::NotADirectory, ErrorKind::NotFound] {
        assert!(is_out_of_reach(&kind.into()), "{kind:?}");
    }
    assert!(is_out_of_reach(&rustix::io::Errno::LOOP.into()));
    assert!(is_out_of_reach(&Error::other("/x is a symbolic link that another user can change, and so on")));
    for error in [ErrorKind::PermissionDenied.into(), Error::other("I/O error"), rustix::io::Errno::IO.into()] {
        assert!(!is_out_of_reach(&error), "{error}");
    }
}

/// Whichever of the many looks it is that meets a link which its user turned meanwhile.
#[test]
fn a_directory_that_turns_into_a_link_between_two_looks_stops_nothing() {
    let theirs = Meta { mode: 0o755, uid: 1001, gid: 1001 };
    let fresh = || {
        let host = FakeHost::new();
        host.put_file("/usr/keep/file", "x", 0o644);
        host.put_file("/var/x/file", "x", 0o644);
        host.set_meta("/var/x".as_ref(), theirs).unwrap();
        host.forget_calls();
        host
    };
    let counted = fresh();
    taken(&counted);
    let looks = counted.calls();
    let of_theirs = looks.iter().filter(|call| call.subject.starts_with("/var/x")).count();
    assert!(of_theirs >= 3, "the directory, its list and the file: {of_theirs}");
    for (n, _) in looks.iter().enumerate().filter(|(_, call)| call.subject.starts_with("/var/x")) {
        let host = fresh();
        host.visit_after(n + 1, move |host| {
            host.take_away("/var/x");
            host.make_symlink("/var/x".as_ref(), "/usr/keep".as_ref()).unwrap();
            host.set_meta("/var/x".as_ref(), theirs).unwrap();
        });
        let (manifest, _) = taken(&host);
        assert!(!manifest.entries.contains_key(Path::new("/var/x/file")) || looks[n].subject.ends_with("x/file"));
        assert!(manifest.entries.contains_key(Path::new("/usr/keep/file")));
    }
}

/// Half a manifest would have a rollback take the rest of the disk away.
#[test]
fn a_look_that_fails_gives_no_manifest() {
    for (method, path) in [("stat", "/usr/dir"), ("list", "/usr/dir"), ("stat", "/usr/dir/file")] {
        let host = FakeHost::new();
        host.put_file("/usr/dir/file", "x", 0o644);
        host.fail_looks(method, path);
        let failure = Manifest::take(&host, None, &mut Contents::new()).unwrap_err();
        assert_eq!(failure.what, format!("look at {path}"), "{method}");
    }
}

#[test]
fn a_manifest_comes_back_as_it_was_kept_and_a_damaged_content_is_refused() {
    let host = FakeHost::new();
    host.put_file("/etc/a", "first", 0o644);
    host.put_file("/etc/b", "second, and longer", 0o644);
    host.put_file("/etc/empty", "", 0o644);
    let (manifest, contents) = taken(&host);
    let dir = Path::new("/var/lib/bringup/runs/r");
    host.put_file(dir.join(".keep"), "", 0o600);
    assert_eq!(Manifest::load(&host, dir, "base").unwrap(), None);
    manifest.save(&host, dir, "base", &contents).unwrap();
    assert_eq!(Manifest::load(&host, dir, "base").unwrap(), Some((manifest, contents)));
    let pack = host.text(dir.join("base.pack")).unwrap();
    host.put_file(dir.join("base.pack"), pack.replace("first", "fired"), 0o600);
    assert!(Manifest::load(&host, dir, "base").unwrap_err().why.contains("damaged"));
}
