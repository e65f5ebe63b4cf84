//! Another user works against us: what he has is his, and nothing outside is touched.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rustix::fs::{CWD, Mode, RenameFlags, mkdirat, mkfifoat, renameat_with};

use crate::host::real::RealHost;
use crate::host::{Command, Host, Kind, Meta, Stamp};

/// The application's user.
const APP: u32 = 54321;
const SECRET: &str = "root's own words";

thread_local! {
    static WITHOUT_OPENAT2: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn without_openat2() -> bool {
    WITHOUT_OPENAT2.get()
}

/// `outside` is root's, `app` the application's.
struct Ground(PathBuf);

impl Ground {
    /// `None` for anyone who is not root, and follows what he likes.
    fn new(name: &str) -> Option<Self> {
        if !super::is_root() {
            return None;
        }
        let top = std::env::temp_dir().join(format!("bringup-path-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let ground = Self(top);
        fs::create_dir_all(ground.at("outside/dir")).unwrap();
        for file in ["outside/file", "outside/dir/file"] {
            fs::write(ground.at(file), SECRET).unwrap();
            fs::set_permissions(ground.at(file), PermissionsExt::from_mode(0o600)).unwrap();
        }
        fs::create_dir(ground.at("app")).unwrap();
        ground.theirs("app");
        Some(ground)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn theirs(&self, name: &str) {
        lchown(self.at(name), Some(APP), Some(APP)).unwrap();
    }

    fn dir(&self, name: &str) {
        fs::create_dir_all(self.at(name)).unwrap();
        self.theirs(name);
    }

    fn link(&self, name: &str, target: &Path) {
        symlink(target, self.at(name)).unwrap();
        self.theirs(name);
    }

    /// Everything that can be told of what is outside.
    fn outside(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut pending = vec![self.at("outside")];
        while let Some(path) = pending.pop() {
            let about = fs::symlink_metadata(&path).unwrap();
            let content = if about.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            let told = format!("{:o} {} {} {:?} {content}", about.mode(), about.uid(), about.gid(), about.mtime());
            if about.is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            found.insert(path, told);
        }
        found
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whatever happens, the others end.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn both(name: &str, test: impl Fn(&Ground)) {
    for without in [false, true] {
        WITHOUT_OPENAT2.set(without);
        if let Some(ground) = Ground::new(&format!("{name}-{without}")) {
            let before = ground.outside();
            test(&ground);
            assert_eq!(ground.outside(), before);
        }
    }
    WITHOUT_OPENAT2.set(false);
}

#[test]
fn a_link_of_another_user_is_not_followed_and_named() {
    both("theirs", |ground| {
        let host = RealHost::new();
        ground.link("app/data", &ground.at("outside"));
        let path = ground.at("app/data/file");
        let meta = Meta { mode: 0o666, uid: APP, gid: APP };
        let refused = host.write(&path, b"x", meta).unwrap_err().to_string();
        assert!(refused.contains("app/data is a symbolic link that another user can change"), "{refused}");
        assert!(host.read(&path).is_err() && host.read_start(&path, 9).is_err() && host.hash(&path).is_err());
        assert!(host.read_at_most(&path, 9).is_err() && host.read_from(&path, 0).is_err());
        assert!(host.list(&ground.at("app/data")).is_err() && host.stat(&path).is_err());
        assert!(host.append(&path, b"x").is_err() && host.append_lazily(&path, b"x").is_err());
        assert!(host.make_dir(&ground.at("app/data/new"), meta).is_err());
        assert!(host.make_symlink(&ground.at("app/data/new"), Path::new("x")).is_err());
        assert!(host.set_meta(&path, meta).is_err() && host.set_mtime(&path, Stamp::default()).is_err());
        assert!(host.settle_tree(&ground.at("app/data"), meta).is_err());
        assert!(host.remove(&path).is_err() && host.remove_dir(&ground.at("app/data/dir")).is_err());
        assert!(host.remove_tree(&ground.at("app/data/dir")).is_err());
        assert!(host.xattrs(&path).is_err() && host.set_xattr(&path, "user.x", b"x").is_err());
        assert!(host.copy(&path, &ground.at("app/copy"), meta).is_err());
        assert!(host.lock(&path).is_err());
        assert!(host.run(&Command::new(["cat", "file"]).cwd(ground.at("app/data"))).is_err());
    });
}

#[test]
fn links_of_the_system_are_followed_and_what_a_link_is_can_be_asked() {
    both("system", |ground| {
        let host = RealHost::new();
        assert_eq!(host.stat(Path::new("/proc/self/exe")).unwrap().unwrap().kind, Kind::Symlink);
        assert!(!host.read_start(Path::new("/proc/self/exe"), 4).unwrap().is_empty());
        assert!(host.list(Path::new("/bin/")).unwrap().len() > 10);
        symlink("outside/dir", ground.at("up")).unwrap();
        assert_eq!(host.read(&ground.at("up/../dir/file")).unwrap(), SECRET.as_bytes());
        assert_eq!(host.read(&ground.at("up/file")).unwrap(), SECRET.as_bytes());
        fs::remove_file(ground.at("up")).unwrap();
        ground.link("app/data", Path::new("elsewhere"));
        assert_eq!(host.read_link(&ground.at("app/data")).unwrap(), Path::new("elsewhere"));
        assert_eq!(host.stat(&ground.at("app/data")).unwrap().unwrap().meta.uid, APP);
        host.remove(&ground.at("app/data")).unwrap();
        // Root's link, where another user could have put another.
        symlink(ground.at("outside"), ground.at("app/ours")).unwrap();
        assert!(host.read(&ground.at("app/ours/file")).is_err());
        // Written in the place of a link, never through it.
        ground.link("app/file", &ground.at("outside/file"));
        host.write(&ground.at("app/file"), b"new", Meta { mode: 0o644, uid: APP, gid: APP }).unwrap();
        host.read(&ground.at("outside/none")).unwrap_err();
        let times = fs::metadata(ground.at("outside")).unwrap();
        assert!(times.is_dir());
    });
}

#[test]
fn a_hard_link_to_a_file_of_roots_is_not_given_away() {
    both("hard", |ground| {
        let host = RealHost::new();
        fs::hard_link(ground.at("outside/file"), ground.at("app/file")).unwrap();
        let theirs = Meta { mode: 0o644, uid: APP, gid: APP };
        let refused = host.set_meta(&ground.at("app/file"), theirs).unwrap_err().to_string();
        assert!(refused.contains("hard link"), "{refused}");
        ground.dir("app/tree");
        fs::hard_link(ground.at("outside/file"), ground.at("app/tree/file")).unwrap();
        assert!(host.settle_tree(&ground.at("app/tree"), theirs).is_err());
        // Where only root can have made it, it is ours.
        fs::hard_link(ground.at("outside/file"), ground.at("second")).unwrap();
        host.set_meta(&ground.at("second"), Meta::root(0o600)).unwrap();
        for name in ["second", "app/file", "app/tree/file"] {
            fs::remove_file(ground.at(name)).unwrap();
        }
    });
}

#[test]
fn a_pipe_in_the_place_of_a_file_stops_nobody() {
    both("pipe", |ground| {
        let host = RealHost::new();
        let pipe = ground.at("app/pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(host.read(&pipe).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(host.hash(&pipe).is_err() && host.read_start(&pipe, 1).is_err() && host.read_from(&pipe, 0).is_err());
    });
}

#[test]
fn a_tree_of_any_depth_goes_and_what_is_beside_it_stays() {
    both("deep", |ground| {
        let host = RealHost::new();
        ground.dir("app/data");
        ground.link("app/data/link", &ground.at("outside"));
        let mut dir = rustix::fs::open(ground.at("app/data"), super::DIRECTORY, Mode::empty()).unwrap();
        // Far beyond the longest path and the number of open files.
        for _ in 0..5_000 {
            mkdirat(&dir, "d", Mode::RWXU).unwrap();
            dir = rustix::fs::openat(&dir, "d", super::DIRECTORY, Mode::empty()).unwrap();
        }
        host.remove_tree(&ground.at("app/data")).unwrap();
        assert!(host.stat(&ground.at("app/data")).unwrap().is_none());
        host.remove_tree(&ground.at("app/data")).unwrap();
        host.remove_tree(&ground.at("app/none/data")).unwrap();
    });
}

/// Threads exchange directories, files, links and pipes as fast as they can.
#[test]
fn nothing_outside_is_touched_while_directories_and_links_are_exchanged() {
    both("race", |ground| {
        ground.link("app/link", &ground.at("outside"));
        let stop = AtomicBool::new(false);
        let restore = || {
            ground.dir("app/data");
            ground.dir("app/data/dir");
            for name in ["file", "dir/file"] {
                let path = ground.at("app/data").join(name);
                if fs::symlink_metadata(&path).is_err() && fs::write(&path, "theirs").is_ok() {
                    let _ = lchown(&path, Some(APP), Some(APP));
                }
            }
        };
        restore();
        // What is put in the place of a file: a link and another name of root's.
        ground.link("app/file-link", &ground.at("outside/file"));
        let host = RealHost::new();
        let done = Cell::new(0);
        // As that user could: from his own directories, wherever they are meanwhile.
        let opened = |name: &str| rustix::fs::open(ground.at(name), super::DIRECTORY, Mode::empty()).unwrap();
        let (app, data) = (&opened("app"), &opened("app/data"));
        thread::scope(|scope| {
            for (dir, one, other) in [(app, "data", "link"), (data, "file", "file-link"), (data, "dir", "link")] {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let _ = renameat_with(dir, one, app, other, RenameFlags::EXCHANGE);
                    }
                });
            }
            let _stopped = Stopped(&stop);
            let theirs = Meta { mode: 0o666, uid: APP, gid: APP };
            let (file, dir) = (ground.at("app/data/file"), ground.at("app/data/dir"));
            let rounds = if std::env::var_os("BRINGUP_TEST_LONG").is_some() { 3_000 } else { 40 };
            let started = Instant::now();
            // Further ones on a busy machine, until one has found the file in its place.
            for round in
                (0..).take_while(|round| *round < rounds || (done.get() == 0 && started.elapsed().as_secs() < 60))
            {
                let _ = mkdirat(data, "dir", Mode::RWXU);
                done.set(done.get() + usize::from(host.write(&file, b"new", theirs).is_ok()));
                let _ = host.set_meta(&file, theirs);
                let _ = host.set_mtime(&file, Stamp { sec: 1, nsec: 0 });
                let _ = host.append_lazily(&file, b"more");
                let _ = host.set_xattr(&file, "user.x", b"x");
                if let Ok(read) = host.read(&file) {
                    assert_ne!(read, SECRET.as_bytes());
                }
                let _ = host.make_symlink(&dir.join("new-link"), Path::new("x"));
                let _ = host.make_dir(&dir.join("new"), theirs);
                let _ = host.settle_tree(&dir, theirs);
                let _ = host.copy(&file, &dir.join("copied"), theirs);
                let _ = host.remove(&dir.join("file"));
                let _ = host.remove_dir(&dir);
                let _ = host.remove_tree(&dir);
                if round % 20 == 0 {
                    let tar = Command::new(["tar", "--create", "--file", "-", "."]).cwd(ground.at("app/data"));
                    let packed = host.run(&tar).map_or(Vec::new(), |output| output.stdout);
                    assert!(!packed.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
                }
            }
        });
        assert!(done.get() > 0, "they were never in the way of each other");
    });
}
