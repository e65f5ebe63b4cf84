//! Files, directories, modes, times, locks, and what an error is called.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bringup::host::{Kind, Meta, Stamp};

use super::{APP, Ground, kind, of_both};

of_both! {
    a_written_file_has_its_content_and_mode_and_leaves_nothing_beside_it
    a_file_that_is_written_again_is_another_one
    what_is_missing_is_none_and_its_removal_no_error
    what_is_in_the_way_of_a_write_is_told
    what_cannot_be_read_is_told
    an_existing_directory_is_left_as_it_is
    each_removal_takes_its_own_kind_only
    a_tree_goes_with_all_below
    appending_makes_a_private_file_and_keeps_what_is_there
    what_was_appended_since_is_read
    no_more_is_read_than_was_asked_for
    of_a_large_file_of_somebody_else_only_the_beginning_is_read
    a_copy_and_a_hash_are_of_the_content
    names_are_listed_in_their_order
    times_and_permissions_are_set_and_change_nothing_else
    a_settled_tree_belongs_to_one_and_keeps_its_modes
    extended_attributes_are_kept_by_name
    a_lock_is_held_until_its_guard_is_dropped
    a_disk_is_asked_by_what_lies_on_it
    the_clock_goes_on
}

fn a_written_file_has_its_content_and_mode_and_leaves_nothing_beside_it(ground: &Ground) {
    let path = ground.at("a");
    ground.host.write(&path, b"one", ground.own(0o640)).unwrap();
    ground.host.write(&path, b"two", ground.own(0o4711)).unwrap();
    let stat = ground.stat("a");
    assert_eq!((stat.kind, stat.meta, stat.size), (Kind::File, ground.own(0o4711), 3));
    assert_eq!(ground.text("a"), "two");
    assert_eq!(ground.names(""), ["a"]);
    ground.host.write(&path, b"", ground.own(0o600)).unwrap();
    assert_eq!(ground.stat("a").size, 0);
    ground.host.reserve(&path, 4096).unwrap();
    assert_eq!(ground.stat("a").meta.mode, 0o600);
}

fn a_file_that_is_written_again_is_another_one(ground: &Ground) {
    ground.write("a", "one");
    ground.write("b", "other");
    let first = ground.stat("a");
    ground.host.sleep(Duration::from_millis(20));
    ground.write("a", "one");
    let second = ground.stat("a");
    assert!(second.mtime > first.mtime && second.ctime > first.ctime, "{first:?} {second:?}");
    assert_eq!(second.dev, first.dev);
    assert!(second.ino != first.ino && second.ino != ground.stat("b").ino);
    let directory = ground.stat("");
    assert!(directory.mtime >= second.ctime, "the directory has changed too");
}

fn what_is_missing_is_none_and_its_removal_no_error(ground: &Ground) {
    ground.write("file", "");
    for name in ["none", "none/below", "none/below/it", "none/../file", "file/below", "file/below/it", "file/.."] {
        let path = ground.at(name);
        assert_eq!(ground.host.stat(&path).unwrap(), None, "{name}");
        ground.host.remove(&path).unwrap();
        if !name.ends_with("..") {
            ground.host.remove_dir(&path).unwrap();
            ground.host.remove_tree(&path).unwrap();
        }
        assert_eq!(ground.host.read_from(&path, 0).unwrap(), b"", "{name}");
    }
    assert!(ground.is_there("file"));
}

fn what_is_in_the_way_of_a_write_is_told(ground: &Ground) {
    ground.write("file", "kept");
    ground.make_dir("dir");
    let own = ground.own(0o644);
    for (name, expected) in [
        ("none/below", ErrorKind::NotFound),
        ("file/below", ErrorKind::NotADirectory),
        ("file/below/it", ErrorKind::NotADirectory),
        ("dir", ErrorKind::IsADirectory),
    ] {
        let path = ground.at(name);
        assert_eq!(kind(ground.host.write(&path, b"x", own)), expected, "write {name}");
        assert_eq!(kind(ground.host.append(&path, b"x")), expected, "append {name}");
        assert_eq!(kind(ground.host.append_lazily(&path, b"x")), expected, "append_lazily {name}");
        assert_eq!(kind(ground.host.copy(&ground.at("file"), &path, own)), expected, "copy {name}");
        assert_eq!(kind(ground.host.make_symlink(&path, Path::new("x"))), expected, "make_symlink {name}");
        assert_eq!(kind(ground.host.lock(&path)), expected, "lock {name}");
        if expected != ErrorKind::IsADirectory {
            assert_eq!(kind(ground.host.make_dir(&path, own)), expected, "make_dir {name}");
            assert_eq!(kind(ground.host.set_meta(&path, own)), expected, "set_meta {name}");
            assert_eq!(kind(ground.host.set_mtime(&path, Stamp::default())), expected, "set_mtime {name}");
            assert_eq!(kind(ground.host.settle_tree(&path, own)), expected, "settle_tree {name}");
        }
    }
    assert_eq!(kind(ground.host.make_dir(&ground.at("file"), own)), ErrorKind::AlreadyExists);
    assert_eq!(kind(ground.host.settle_tree(&ground.at("file"), own)), ErrorKind::NotADirectory);
    assert_eq!(ground.text("file"), "kept");
    assert_eq!(ground.names(""), ["dir", "file"], "nothing half done is left");
}

fn what_cannot_be_read_is_told(ground: &Ground) {
    ground.write("file", "");
    ground.make_dir("dir");
    for (name, expected) in [
        ("none", ErrorKind::NotFound),
        ("none/../file", ErrorKind::NotFound),
        ("file/below", ErrorKind::NotADirectory),
        ("dir", ErrorKind::IsADirectory),
    ] {
        let path = ground.at(name);
        assert_eq!(kind(ground.host.read(&path)), expected, "read {name}");
        assert_eq!(kind(ground.host.read_start(&path, 9)), expected, "read_start {name}");
        assert_eq!(kind(ground.host.read_at_most(&path, 9)), expected, "read_at_most {name}");
        assert_eq!(kind(ground.host.hash(&path)), expected, "hash {name}");
        assert_eq!(kind(ground.host.copy(&path, &ground.at("to"), ground.own(0o600))), expected, "copy {name}");
        if expected != ErrorKind::IsADirectory {
            assert_eq!(kind(ground.host.list(&path)), expected, "list {name}");
            assert_eq!(kind(ground.host.read_link(&path)), expected, "read_link {name}");
            assert_eq!(kind(ground.host.xattrs(&path)), expected, "xattrs {name}");
        }
    }
    assert_eq!(kind(ground.host.read_from(&ground.at("dir"), 0)), ErrorKind::IsADirectory);
    assert_eq!(kind(ground.host.list(&ground.at("file"))), ErrorKind::NotADirectory);
    assert_eq!(kind(ground.host.read_link(&ground.at("file"))), ErrorKind::InvalidInput);
    assert!(!ground.is_there("to"));
}

fn an_existing_directory_is_left_as_it_is(ground: &Ground) {
    let path = ground.at("dir");
    ground.host.make_dir(&path, ground.own(0o2750)).unwrap();
    ground.write("dir/file", "");
    ground.host.make_dir(&path, ground.own(0o700)).unwrap();
    let stat = ground.stat("dir");
    assert_eq!((stat.kind, stat.meta.mode), (Kind::Dir, 0o2750));
    assert_eq!(ground.names("dir"), ["file"]);
}

fn each_removal_takes_its_own_kind_only(ground: &Ground) {
    ground.write("file", "");
    ground.make_dir("dir");
    ground.make_dir("dir/below");
    ground.link("link", "dir");
    let host = &ground.host;
    assert_eq!(kind(host.remove(&ground.at("dir"))), ErrorKind::IsADirectory);
    assert_eq!(kind(host.remove_dir(&ground.at("dir"))), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(host.remove_dir(&ground.at("file"))), ErrorKind::NotADirectory);
    assert_eq!(kind(host.remove_dir(&ground.at("link"))), ErrorKind::NotADirectory);
    assert_eq!(ground.names(""), ["dir", "file", "link"]);
    host.remove(&ground.at("link")).unwrap();
    host.remove_dir(&ground.at("dir/below")).unwrap();
    host.remove_dir(&ground.at("dir")).unwrap();
    host.remove(&ground.at("file")).unwrap();
    assert!(ground.names("").is_empty());
}

fn a_tree_goes_with_all_below(ground: &Ground) {
    for dir in ["tree", "tree/a", "tree/a/b", "tree-beside"] {
        ground.make_dir(dir);
    }
    ground.write("tree/a/b/file", "x");
    ground.write("tree-beside/file", "kept");
    ground.link("tree/a/link", ground.at("tree-beside"));
    ground.host.remove_tree(&ground.at("tree")).unwrap();
    ground.link("only-a-link", ground.at("tree-beside"));
    ground.host.remove_tree(&ground.at("only-a-link")).unwrap();
    assert_eq!(ground.names(""), ["tree-beside"]);
    assert_eq!(ground.text("tree-beside/file"), "kept");
    ground.host.remove_tree(&ground.at("tree-beside/file")).unwrap();
    assert!(ground.names("tree-beside").is_empty());
}

fn appending_makes_a_private_file_and_keeps_what_is_there(ground: &Ground) {
    let path = ground.at("log");
    ground.host.append(&path, b"one\n").unwrap();
    let first = ground.stat("log");
    assert_eq!(first.meta, ground.own(0o600));
    ground.host.set_meta(&path, ground.own(0o640)).unwrap();
    ground.host.append_lazily(&path, b"two\n").unwrap();
    ground.host.append(&path, b"").unwrap();
    let second = ground.stat("log");
    assert_eq!((second.ino, second.meta.mode, second.size), (first.ino, 0o640, 8));
    assert_eq!(ground.text("log"), "one\ntwo\n");
}

fn what_was_appended_since_is_read(ground: &Ground) {
    let path = ground.at("events");
    assert_eq!(ground.host.read_from(&path, 7).unwrap(), b"");
    ground.host.append_lazily(&path, b"one\ntwo\n").unwrap();
    assert_eq!(ground.host.read_from(&path, 0).unwrap(), b"one\ntwo\n");
    assert_eq!(ground.host.read_from(&path, 4).unwrap(), b"two\n");
    assert_eq!(ground.host.read_from(&path, 99).unwrap(), b"");
}

fn no_more_is_read_than_was_asked_for(ground: &Ground) {
    ground.write("file", "0123456789");
    for (limit, expected) in [(0, ""), (4, "0123"), (10, "0123456789"), (u64::MAX, "0123456789")] {
        assert_eq!(ground.host.read_start(&ground.at("file"), limit).unwrap(), expected.as_bytes());
        assert_eq!(ground.host.read_at_most(&ground.at("file"), limit).unwrap(), expected.as_bytes());
    }
    let much = vec![b'x'; (16 << 20) + 5];
    ground.write("much", &much);
    assert_eq!(ground.host.read(&ground.at("much")).unwrap().len(), much.len(), "ours is read whole");
    let piece = ground.host.read_from(&ground.at("much"), 0).unwrap();
    assert_eq!(piece.len(), 16 << 20);
    let rest = ground.host.read_from(&ground.at("much"), piece.len() as u64).unwrap();
    assert_eq!(rest, b"xxxxx");
}

fn of_a_large_file_of_somebody_else_only_the_beginning_is_read(ground: &Ground) {
    if !ground.is_root() {
        return;
    }
    let theirs = Meta { mode: 0o644, uid: APP, gid: APP };
    let path = ground.at("much");
    ground.host.write(&path, &vec![b'x'; 16 << 20], theirs).unwrap();
    assert_eq!(ground.host.read(&path).unwrap().len(), 16 << 20);
    ground.host.append(&path, b"x").unwrap();
    assert_eq!(kind(ground.host.read(&path)), ErrorKind::FileTooLarge);
    assert_eq!(ground.host.read_start(&path, 3).unwrap(), b"xxx");
    assert_eq!(ground.host.read_at_most(&path, 3).unwrap(), b"xxx");
    assert_eq!(ground.host.hash(&path).unwrap().len(), 64);
    ground.host.copy(&path, &ground.at("copy"), ground.own(0o600)).unwrap();
    assert_eq!(ground.stat("copy").size, (16 << 20) + 1);
}

fn a_copy_and_a_hash_are_of_the_content(ground: &Ground) {
    ground.write("from", "content\0with zero");
    ground.host.copy(&ground.at("from"), &ground.at("to"), ground.own(0o4700)).unwrap();
    assert_eq!(ground.stat("to").meta, ground.own(0o4700));
    assert_eq!(ground.host.read(&ground.at("to")).unwrap(), b"content\0with zero");
    let hash = ground.host.hash(&ground.at("to")).unwrap();
    assert_eq!(hash, ground.host.hash(&ground.at("from")).unwrap());
    ground.write("empty", "");
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(ground.host.hash(&ground.at("empty")).unwrap(), of_nothing);
}

fn names_are_listed_in_their_order(ground: &Ground) {
    for name in ["b", "a-b", "a.b", "A", ".hidden", "ä", "a"] {
        ground.write(name, "");
    }
    ground.make_dir("ab");
    ground.write("ab/below", "");
    let expected = [".hidden", "A", "a", "a-b", "a.b", "ab", "b", "ä"].map(PathBuf::from);
    assert_eq!(ground.host.list(&ground.dir).unwrap(), expected);
}

fn times_and_permissions_are_set_and_change_nothing_else(ground: &Ground) {
    ground.write("file", "x");
    ground.link("link", "file");
    let before = ground.stat("file");
    let then = Stamp { sec: 1_000_000_000, nsec: 123_456_789 };
    ground.host.set_mtime(&ground.at("link"), then).unwrap();
    ground.host.set_meta(&ground.at("link"), ground.own(0o600)).unwrap();
    let link = ground.stat("link");
    assert_eq!((link.mtime, link.meta.mode, link.size), (then, 0o777, 4), "the link itself");
    assert_eq!(ground.stat("file"), before);
    ground.host.sleep(Duration::from_millis(20));
    ground.host.set_meta(&ground.at("file"), ground.own(0o4755)).unwrap();
    let after = ground.stat("file");
    assert_eq!((after.meta.mode, after.mtime, after.ino), (0o4755, before.mtime, before.ino));
    assert!(after.ctime > before.ctime);
    ground.host.set_mtime(&ground.at("file"), then).unwrap();
    let last = ground.stat("file");
    assert!(last.mtime == then && last.ctime > then && last.meta == after.meta);
    if ground.is_root() {
        let theirs = Meta { mode: 0o2640, uid: APP, gid: APP };
        ground.host.set_meta(&ground.at("file"), theirs).unwrap();
        assert_eq!(ground.stat("file").meta, theirs);
        ground.host.set_meta(&ground.at("link"), theirs).unwrap();
        assert_eq!(ground.stat("link").meta, Meta { mode: 0o777, ..theirs });
    }
}

fn a_settled_tree_belongs_to_one_and_keeps_its_modes(ground: &Ground) {
    if !ground.is_root() {
        return;
    }
    ground.make_dir("tree");
    ground.make_dir("tree/dir");
    ground.link("tree/link", ground.at("outside"));
    ground.write("outside", "");
    for (name, mode) in [("plain", 0o600), ("program", 0o4711), ("open", 0o666)] {
        ground.host.write(&ground.at("tree/dir").join(name), b"", ground.own(mode)).unwrap();
    }
    let top = Meta { mode: 0o750, uid: APP, gid: APP };
    ground.host.settle_tree(&ground.at("tree"), top).unwrap();
    assert_eq!(ground.stat("tree").meta, top);
    for (name, mode) in
        [("link", 0o777), ("dir", 0o755), ("dir/plain", 0o640), ("dir/program", 0o751), ("dir/open", 0o644)]
    {
        assert_eq!(ground.stat(&format!("tree/{name}")).meta, Meta { mode, ..top }, "{name}");
    }
    assert_eq!(ground.stat("outside").meta, ground.own(0o644));
}

fn extended_attributes_are_kept_by_name(ground: &Ground) {
    ground.write("file", "");
    let path = ground.at("file");
    assert_eq!(ground.host.xattrs(&path).unwrap(), []);
    match ground.host.set_xattr(&path, "user.b", b"2") {
        Err(e) if ground.is_real && e.kind() == ErrorKind::Unsupported => return,
        set => set.unwrap(),
    }
    ground.host.set_xattr(&path, "user.a", b"\0\xff").unwrap();
    ground.host.set_xattr(&path, "user.b", b"3").unwrap();
    let expected = [("user.a".to_owned(), b"\0\xff".to_vec()), ("user.b".to_owned(), b"3".to_vec())];
    assert_eq!(ground.host.xattrs(&path).unwrap(), expected);
    ground.write("file", "another");
    assert_eq!(ground.host.xattrs(&path).unwrap(), [], "a file that is written again has none");
}

fn a_lock_is_held_until_its_guard_is_dropped(ground: &Ground) {
    let path = ground.at("lock");
    let guard = ground.host.lock(&path).unwrap();
    assert!(guard.is_some());
    assert_eq!(ground.stat("lock").meta, ground.own(0o600));
    assert!(ground.host.lock(&path).unwrap().is_none());
    ground.link("other", "lock");
    assert!(ground.host.lock(&ground.at("other")).unwrap().is_none(), "the same file by another name");
    assert!(ground.host.lock(&ground.at("free")).unwrap().is_some());
    drop(guard);
    assert!(ground.host.lock(&path).unwrap().is_some());
}

fn a_disk_is_asked_by_what_lies_on_it(ground: &Ground) {
    let (free, total) = ground.host.disk(&ground.dir).unwrap();
    assert!(free <= total && total > 0);
    assert!(ground.host.disk(Path::new("/proc")).is_ok());
    let (free, total) = ground.host.inodes(&ground.dir).unwrap();
    assert!(free <= total);
    assert_eq!(kind(ground.host.disk(&ground.at("none"))), ErrorKind::NotFound);
    assert_eq!(kind(ground.host.inodes(&ground.at("none"))), ErrorKind::NotFound);
}

fn the_clock_goes_on(ground: &Ground) {
    let start = ground.host.now();
    ground.host.sleep(Duration::from_millis(30));
    assert!(ground.host.now().since(start) >= Duration::from_millis(30));
    let (mut a, mut b) = ([0; 16], [0; 16]);
    ground.host.random(&mut a).unwrap();
    ground.host.random(&mut b).unwrap();
    assert_ne!(a, b);
}
