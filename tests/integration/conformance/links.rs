//! Links: followed where no other user can change them, replaced and removed themselves, and never followed in a place
//! that another user can change.

use std::io::ErrorKind;
use std::path::Path;

use bringup::host::{Kind, Meta, Stamp};

use super::{APP, Ground, kind, of_both};

of_both! {
    a_link_is_read_through_and_told_as_what_it_is
    a_write_puts_a_file_in_the_place_of_a_link
    an_appended_line_goes_where_the_link_leads
    a_directory_is_not_made_over_a_link_that_leads_nowhere
    links_in_a_circle_are_an_error
    a_link_that_another_user_can_change_is_not_followed
}

fn a_link_is_read_through_and_told_as_what_it_is(ground: &Ground) {
    ground.make_dir("dir");
    ground.make_dir("dir/below");
    ground.write("dir/file", "content");
    ground.link("relative", "dir");
    ground.link("absolute", ground.at("dir"));
    ground.link("dir/up", "../relative/file");
    ground.link("dangling", "nothing");
    for link in ["relative", "absolute"] {
        assert_eq!(ground.stat(link).kind, Kind::Symlink);
        assert_eq!(ground.text(&format!("{link}/file")), "content");
        assert_eq!(ground.names(link), ["below", "file", "up"]);
        assert_eq!(ground.stat(&format!("{link}/")).kind, Kind::Dir, "with a slash it is what is behind");
        assert_eq!(ground.stat(&format!("{link}/.")).kind, Kind::Dir);
        assert_eq!(ground.text(&format!("{link}/below/../file")), "content");
    }
    assert_eq!(ground.text("dir/up"), "content");
    assert_eq!(ground.host.read_link(&ground.at("relative")).unwrap(), Path::new("dir"));
    assert_eq!(ground.stat("relative").size, 3);
    assert_eq!(ground.stat("dangling").kind, Kind::Symlink);
    assert_eq!(kind(ground.host.read(&ground.at("dangling"))), ErrorKind::NotFound);
    assert_eq!(kind(ground.host.hash(&ground.at("dangling"))), ErrorKind::NotFound);
}

fn a_write_puts_a_file_in_the_place_of_a_link(ground: &Ground) {
    ground.write("file", "kept");
    ground.link("link", "elsewhere");
    ground.link("link", "file");
    assert_eq!(ground.host.read_link(&ground.at("link")).unwrap(), Path::new("file"), "a link replaces a link");
    ground.write("link", "new");
    assert_eq!((ground.text("file").as_str(), ground.stat("link").kind), ("kept", Kind::File));
    ground.link("link", "file");
    assert_eq!(ground.stat("link").kind, Kind::Symlink, "and a file");
    ground.host.copy(&ground.at("link"), &ground.at("link"), ground.own(0o600)).unwrap();
    assert_eq!((ground.text("link").as_str(), ground.stat("link").kind), ("kept", Kind::File));
}

fn an_appended_line_goes_where_the_link_leads(ground: &Ground) {
    ground.write("file", "one\n");
    ground.link("link", "file");
    ground.link("dangling", "made");
    ground.host.append(&ground.at("link"), b"two\n").unwrap();
    ground.host.append_lazily(&ground.at("dangling"), b"new\n").unwrap();
    assert_eq!((ground.text("file").as_str(), ground.text("made").as_str()), ("one\ntwo\n", "new\n"));
    assert_eq!((ground.stat("link").kind, ground.stat("dangling").kind), (Kind::Symlink, Kind::Symlink));
}

fn a_directory_is_not_made_over_a_link_that_leads_nowhere(ground: &Ground) {
    ground.make_dir("dir");
    ground.link("good", "dir");
    ground.link("dangling", "nothing");
    ground.host.make_dir(&ground.at("good"), ground.own(0o700)).unwrap();
    assert_eq!(ground.stat("dir").meta.mode, 0o755);
    assert_eq!(kind(ground.host.make_dir(&ground.at("dangling"), ground.own(0o700))), ErrorKind::AlreadyExists);
    assert_eq!(ground.stat("dangling").kind, Kind::Symlink);
}

fn links_in_a_circle_are_an_error(ground: &Ground) {
    ground.link("one", "other");
    ground.link("other", "one");
    let expected = std::io::Error::from(rustix::io::Errno::LOOP).kind();
    assert_eq!(kind(ground.host.read(&ground.at("one"))), expected);
    assert_eq!(kind(ground.host.list(&ground.at("one"))), expected);
    assert_eq!(kind(ground.host.stat(&ground.at("one/below"))), expected);
    assert_eq!(kind(ground.host.write(&ground.at("one/below"), b"", ground.own(0o600))), expected);
    assert_eq!(kind(ground.host.remove(&ground.at("one/below"))), expected);
    assert_eq!(ground.stat("one").kind, Kind::Symlink);
    ground.host.remove(&ground.at("one")).unwrap();
}

fn a_link_that_another_user_can_change_is_not_followed(ground: &Ground) {
    if !ground.is_root() {
        return;
    }
    let theirs = Meta { mode: 0o755, uid: APP, gid: APP };
    ground.make_dir("outside");
    ground.make_dir("outside/dir");
    ground.write("outside/file", "root's own words");
    ground.make_dir("app");
    ground.link("app/data", ground.at("outside"));
    ground.host.set_meta(&ground.at("app"), theirs).unwrap();
    let (host, path, dir) = (&ground.host, ground.at("app/data/file"), ground.at("app/data/dir"));
    let refused = [
        ("stat", host.stat(&path).map(drop)),
        ("read", host.read(&path).map(drop)),
        ("read_start", host.read_start(&path, 9).map(drop)),
        ("read_at_most", host.read_at_most(&path, 9).map(drop)),
        ("read_from", host.read_from(&path, 0).map(drop)),
        ("hash", host.hash(&path).map(drop)),
        ("list", host.list(&ground.at("app/data")).map(drop)),
        ("xattrs", host.xattrs(&path).map(drop)),
        ("write", host.write(&path, b"x", theirs)),
        ("append", host.append(&path, b"x")),
        ("append_lazily", host.append_lazily(&path, b"x")),
        ("copy from", host.copy(&path, &ground.at("copy"), theirs)),
        ("copy to", host.copy(&ground.at("outside/file"), &ground.at("app/data/copy"), theirs)),
        ("reserve", host.reserve(&path, 1)),
        ("make_dir", host.make_dir(&ground.at("app/data/new"), theirs)),
        ("make_symlink", host.make_symlink(&ground.at("app/data/new"), Path::new("x"))),
        ("set_meta", host.set_meta(&path, theirs)),
        ("set_mtime", host.set_mtime(&path, Stamp::default())),
        ("set_xattr", host.set_xattr(&path, "user.x", b"x")),
        ("settle_tree", host.settle_tree(&dir, theirs)),
        ("lock", host.lock(&path).map(drop)),
        ("remove", host.remove(&path)),
        ("remove_dir", host.remove_dir(&dir)),
        ("remove_tree", host.remove_tree(&dir)),
        ("run", host.run(&ground.command(["cat", "file"]).cwd(ground.at("app/data"))).map(drop)),
    ];
    for (method, result) in refused {
        let said = result.expect_err(method).to_string();
        assert!(said.contains("app/data is a symbolic link that another user can change"), "{method}: {said}");
    }
    assert_eq!(ground.names("outside"), ["dir", "file"]);
    assert_eq!(ground.text("outside/file"), "root's own words");
    // The link itself may be looked at, and go.
    assert_eq!(host.read_link(&ground.at("app/data")).unwrap(), ground.at("outside"));
    host.write(&ground.at("app/data"), b"in its place", theirs).unwrap();
    assert_eq!(ground.text("app/data"), "in its place");
}
