//! The small tools of every Debian, which plans and packages call: what they leave behind.

use super::{Ground, of_both};

of_both! {
    directories_are_made_and_removed
    files_are_copied
    a_rename_replaces_what_was_there
    links_and_modes_are_set
    installed_files_have_the_mode_that_was_asked_for
}

impl Ground {
    /// Runs commands and compares their exit statuses.
    #[track_caller]
    fn ends<const N: usize>(&self, expected: [(&str, i32); N]) {
        for (line, status) in expected {
            let command = bringup::host::Command::new(line.split(' ')).cwd(&self.dir);
            let output = self.host.run(&command).unwrap();
            assert_eq!(output.status, status, "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn mode(&self, name: &str) -> u32 {
        self.stat(name).meta.mode
    }
}

fn directories_are_made_and_removed(ground: &Ground) {
    ground.ends([
        ("mkdir a", 0),
        ("mkdir a", 1),
        ("mkdir -p a/b/c", 0),
        ("mkdir -p a/b/c", 0),
        ("mkdir -m 0700 private", 0),
        ("touch a/file", 0),
        ("rmdir a/b", 1),
        ("rmdir a/b/c", 0),
        ("rm none", 1),
        ("rm -f none", 0),
        ("rm a", 1),
        ("rm a/file", 0),
    ]);
    assert_eq!((ground.mode("a/b"), ground.mode("private")), (0o755, 0o700));
    ground.ends([("rm -r a", 0), ("rm -rf a", 0)]);
    assert_eq!(ground.names(""), ["private"]);
}

fn files_are_copied(ground: &Ground) {
    ground.make_dir("from");
    ground.host.write(&ground.at("from/file"), b"x", ground.own(0o640)).unwrap();
    ground.link("from/link", "file");
    ground.ends([("cp none to", 1), ("cp -a from to", 0), ("cp -a from to", 0), ("cp -a from/. flat", 0)]);
    assert_eq!(ground.names("to"), ["file", "from", "link"], "into a directory that is there");
    assert_eq!((ground.text("to/from/file").as_str(), ground.mode("to/file")), ("x", 0o640));
    assert_eq!(ground.names("flat"), ["file", "link"]);
    assert_eq!(ground.host.read_link(&ground.at("flat/link")).unwrap().to_str(), Some("file"));
}

fn a_rename_replaces_what_was_there(ground: &Ground) {
    ground.write("old", "old");
    ground.host.write(&ground.at("new"), b"new", ground.own(0o600)).unwrap();
    ground.make_dir("dir");
    ground.ends([("mv none old", 1), ("mv new old", 0)]);
    assert_eq!((ground.text("old").as_str(), ground.mode("old")), ("new", 0o600));
    ground.ends([("mv old dir", 0), ("mv dir moved", 0)]);
    assert_eq!(ground.names(""), ["moved"]);
    assert_eq!(ground.text("moved/old"), "new");
}

fn links_and_modes_are_set(ground: &Ground) {
    ground.write("file", "");
    ground.ends([("ln -s file link", 0), ("ln -s other link", 1), ("ln -sf other link", 0)]);
    assert_eq!(ground.host.read_link(&ground.at("link")).unwrap().to_str(), Some("other"));
    ground.ends([("chmod 2750 file", 0), ("chmod 0600 none", 1)]);
    assert_eq!(ground.mode("file"), 0o2750);
    if ground.is_root() {
        ground.ends([("chown daemon:www-data file", 0), ("chown no-such-user file", 1), ("chmod 0640 file", 0)]);
        let meta = ground.stat("file").meta;
        assert_eq!((meta.uid, meta.gid, meta.mode), (1, 33, 0o640));
    }
}

fn installed_files_have_the_mode_that_was_asked_for(ground: &Ground) {
    ground.write("from", "x");
    ground.ends([
        ("install -d -m 0750 a/b", 0),
        ("install -m 0640 from to", 0),
        ("install from a", 0),
        ("install none to", 1),
    ]);
    assert_eq!((ground.mode("a/b"), ground.mode("to"), ground.mode("a/from")), (0o750, 0o640, 0o755));
    assert_eq!(ground.text("a/from"), "x");
}
