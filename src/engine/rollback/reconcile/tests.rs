//! A test for every row of the table.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fake::FakeHost;

fn manifest(host: &FakeHost) -> (Manifest, Contents) {
    let mut contents = Contents::new();
    (Manifest::take(host, None, &mut contents).unwrap(), contents)
}

/// A machine before a run, and what the run and others then make of it.
struct Disk {
    host: FakeHost,
    baseline: (Manifest, Contents),
    look: Option<(Manifest, Contents)>,
    owned: Owned,
    made: BTreeSet<PathBuf>,
    trees: BTreeSet<PathBuf>,
    kept: BTreeSet<PathBuf>,
    recorded: BTreeSet<PathBuf>,
    quiet: BTreeSet<PathBuf>,
    contents: Contents,
}

impl Disk {
    fn new(before: &[(&str, &str)]) -> Self {
        let host = FakeHost::new();
        for (path, content) in before {
            host.put_file(path, content, 0o644);
        }
        let baseline = manifest(&host);
        let contents = baseline.1.clone();
        let (made, trees, kept, recorded, quiet) = Default::default();
        Self { host, baseline, look: None, owned: Owned::default(), made, trees, kept, recorded, quiet, contents }
    }

    /// The run does this: what differs afterwards is ours.
    fn run(&mut self, does: impl FnOnce(&FakeHost)) {
        let before = manifest(&self.host);
        does(&self.host);
        let after = manifest(&self.host);
        self.contents.extend(before.1.clone());
        let paths: BTreeSet<&PathBuf> = before.0.entries.keys().chain(after.0.entries.keys()).collect();
        for path in paths {
            let (was, is) = (before.0.entries.get(path), after.0.entries.get(path));
            if !same(was, is) {
                let left = self
                    .owned
                    .paths
                    .entry(path.clone())
                    .or_insert_with(|| RunChange { before: was.cloned(), ..RunChange::default() });
                if left.after.is_some() && !same(left.after.as_ref(), was) {
                    (left.before, left.disturbed) = (was.cloned(), true);
                }
                left.was_dir |= is.is_some_and(|is| is.kind == Kind::Dir);
                left.after = is.cloned();
            }
        }
    }

    fn put(&mut self, path: &str, content: &str) {
        self.run(|host| host.put_file(path, content, 0o644));
    }

    /// The run ends.
    fn end(&mut self) {
        self.look = Some(manifest(&self.host));
    }

    fn back(&self) -> Vec<(String, String)> {
        let states = States {
            baseline: &self.baseline.0,
            look: self.look.as_ref().map(|(look, _)| look),
            owned: &self.owned,
            made: &self.made,
            trees: &self.trees,
            kept: &self.kept,
            recorded: &self.recorded,
            quiet: &self.quiet,
            known: &self.baseline.0,
            content: &|hash| self.contents.get(hash).cloned(),
        };
        let outcome = reconcile(&self.host, &states).unwrap();
        assert_eq!(outcome.errors, []);
        outcome.kept
    }

    fn text(&self, path: &str) -> Option<String> {
        self.host.text(path)
    }
}

#[test]
fn row_1_files_of_a_package_that_came_since_stay() {
    let mut disk = Disk::new(&[]);
    disk.put("/etc/x", "ours");
    let status = disk.text("/var/lib/dpkg/status").unwrap();
    let htop = "Package: htop\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    disk.host.put_file("/var/lib/dpkg/status", format!("{status}\n{htop}\n"), 0o644);
    disk.host.put_file("/var/lib/dpkg/info/htop.list", "/etc/x\n", 0o644);
    disk.back();
    assert_eq!(disk.text("/etc/x").as_deref(), Some("ours"));
}

#[test]
fn a_directory_that_a_purge_took_and_others_use_is_named_with_what_it_holds() {
    for purged in [false, true] {
        let mut disk = Disk::new(&[]);
        disk.put("/etc/nginx/nginx.conf", "ours");
        disk.end();
        let site = Path::new("/etc/nginx/sites-enabled/other");
        disk.host.put_file(site, "theirs", 0o644);
        disk.run(|host| host.remove(Path::new("/etc/nginx/nginx.conf")).unwrap());
        if purged {
            disk.run(|host| host.remove_tree(Path::new("/etc/nginx")).unwrap());
        }
        let kept = disk.back();
        assert_eq!(disk.text("/etc/nginx/sites-enabled/other").as_deref(), Some("theirs"));
        let [(what, why)] = &kept[..] else { panic!("purged: {purged}: {kept:?}") };
        assert_eq!(what, "/etc/nginx");
        assert!(why.contains("sites-enabled/other"), "purged: {purged}: {why}");
    }
}

#[test]
fn what_a_service_of_ours_wrote_after_the_run_goes_with_the_directory_that_a_record_made() {
    let mut disk = Disk::new(&[]);
    disk.run(|host| host.make_dir(Path::new("/var/backups/shop"), Meta::root(0o700)).unwrap());
    disk.made.insert("/var/backups/shop".into());
    disk.end();
    let file = PathBuf::from("/var/backups/shop/shop-first.tar.gz");
    disk.host.put_file(&file, "a night's backup", 0o600);
    let before = manifest(&disk.host).0.entries.get(&file).cloned();
    assert!(before.is_some());
    // The record of the rollback removes the directory with all of it: the rollback's window sees the file go.
    disk.run(|host| {
        host.remove(&file).unwrap();
        host.remove_dir(Path::new("/var/backups/shop")).unwrap();
    });
    disk.contents.clear();
    assert_eq!(disk.back(), []);
    // Where no record of ours made the directory, it is told.
    disk.made.clear();
    assert_eq!(disk.back().len(), 1);
}

#[test]
fn row_2_the_package_database_of_others_is_left_alone() {
    let mut disk = Disk::new(&[]);
    let status = disk.text("/var/lib/dpkg/status").unwrap();
    disk.put("/var/lib/dpkg/status", &format!("{status}\n"));
    disk.put("/var/lib/apt/extended_states", "ours");
    disk.back();
    assert_eq!(disk.text("/var/lib/dpkg/status").as_deref(), Some(&*status));
    assert_eq!(disk.text("/var/lib/apt/extended_states"), None);
    disk.put("/var/lib/apt/extended_states", "ours");
    disk.host.put_file("/var/lib/dpkg/status", format!("{status}\n\n"), 0o644);
    disk.back();
    assert_eq!(disk.text("/var/lib/apt/extended_states").as_deref(), Some("ours"));
}

#[test]
fn row_3_an_account_file_loses_our_lines_only() {
    let mut disk = Disk::new(&[]);
    let before = disk.text("/etc/passwd").unwrap();
    disk.put("/etc/passwd", &format!("{before}shop:x:999:999\n"));
    let line = |after: &str| accounts::AccountLine {
        file: "/etc/passwd".into(),
        key: "shop".to_owned(),
        before: None,
        after: Some(after.to_owned()),
    };
    disk.owned.lines = vec![line("shop:x:999:999")];
    disk.host.put_file("/etc/passwd", format!("{before}shop:x:999:999\nalice:x:1000:1000\n"), 0o644);
    disk.back();
    assert_eq!(disk.text("/etc/passwd").unwrap(), format!("{before}alice:x:1000:1000\n"));
}

#[test]
fn row_3_the_mode_that_somebody_gave_an_account_file_stays() {
    let mut disk = Disk::new(&[]);
    let before = disk.text("/etc/passwd").unwrap();
    let ours = format!("{before}shop:x:999:999\n");
    disk.put("/etc/passwd", &ours);
    let after = Some("shop:x:999:999".to_owned());
    disk.owned.lines =
        vec![accounts::AccountLine { file: "/etc/passwd".into(), key: "shop".to_owned(), before: None, after }];
    disk.host.put_file("/etc/passwd", ours, 0o640);
    disk.back();
    assert_eq!(disk.text("/etc/passwd").unwrap(), before);
    assert_eq!(disk.host.stat(Path::new("/etc/passwd")).unwrap().unwrap().meta.mode, 0o640);
}

#[test]
fn row_4_new_logs_of_ours_go_and_others_stay() {
    let mut disk = Disk::new(&[("/var/log/old.log", "old")]);
    disk.put("/var/log/ours.log", "1");
    disk.put("/var/log/shop/a.log", "1");
    disk.host.put_file("/var/log/daemon.log", "1", 0o644);
    disk.host.put_file("/var/log/theirs.log", "1", 0o644);
    disk.owned.theirs.insert("/var/log/theirs.log".into(), String::new());
    disk.end();
    for path in ["/var/log/ours.log", "/var/log/shop/b.log", "/var/log/old.log", "/var/log/later.log"] {
        disk.host.put_file(path, "went on", 0o644);
    }
    disk.back();
    for gone in ["/var/log/ours.log", "/var/log/shop/a.log", "/var/log/shop/b.log", "/var/log/daemon.log"] {
        assert_eq!(disk.text(gone), None, "{gone}");
    }
    for stays in ["/var/log/old.log", "/var/log/theirs.log", "/var/log/later.log"] {
        assert!(disk.text(stays).is_some(), "{stays}");
    }
}

#[test]
fn row_5_running_state_goes_with_its_directory() {
    let mut disk = Disk::new(&[("/var/lib/other/x", "1")]);
    disk.put("/var/lib/db/data", "1");
    disk.put("/var/spool/cron/crontabs/.keep", "");
    disk.host.put_file("/var/lib/db/more", "later", 0o644);
    disk.host.put_file("/var/lib/db/theirs", "later", 0o644);
    disk.owned.theirs.insert("/var/lib/db/theirs".into(), String::new());
    disk.host.put_file("/var/lib/other/y", "later", 0o644);
    disk.host.put_file("/var/spool/cron/crontabs/root", "later", 0o644);
    let kept = disk.back();
    assert_eq!((disk.text("/var/lib/db/data"), disk.text("/var/lib/db/more")), (None, None));
    for stays in ["/var/lib/db/theirs", "/var/lib/other/y", "/var/spool/cron/crontabs/root"] {
        assert!(disk.text(stays).is_some(), "{stays}");
    }
    assert!(kept.iter().any(|(path, why)| path == "/var/lib/db" && why.contains("theirs")), "{kept:?}");
}

/// A certificate that was renewed since the run goes with all that is left of it; another's stays.
#[test]
fn row_6_what_renewals_made_of_a_certificate_goes_with_it() {
    let mut disk = Disk::new(&[]);
    disk.put("/etc/letsencrypt/renewal/ours.conf", "first");
    disk.put("/etc/letsencrypt/archive/ours/cert1.pem", "1");
    disk.put("/etc/letsencrypt/keys/0000_key-certbot.pem", "1");
    for (path, text) in [
        ("renewal/ours.conf", "renewed"),
        ("archive/ours/cert2.pem", "2"),
        ("keys/0001_key-certbot.pem", "2"),
        ("renewal/theirs.conf", "theirs"),
        ("archive/theirs/cert1.pem", "3"),
    ] {
        disk.host.put_file(format!("/etc/letsencrypt/{path}"), text, 0o644);
    }
    // Its record has removed it.
    disk.run(|host| host.take_away("/etc/letsencrypt/renewal/ours.conf"));
    disk.back();
    let left = manifest(&disk.host).0;
    let is_file = |(path, entry): &(&PathBuf, &FileEntry)| path.starts_with(RENEWED) && entry.kind == Kind::File;
    let files: Vec<_> = left.entries.iter().filter(is_file).map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(files, ["/etc/letsencrypt/archive/theirs/cert1.pem", "/etc/letsencrypt/renewal/theirs.conf"]);
}

#[test]
fn rows_7_and_8_what_is_as_we_left_it_becomes_what_it_was() {
    let mut disk = Disk::new(&[("/etc/a", "before"), ("/etc/b", "before"), ("/etc/c", "before")]);
    disk.put("/etc/a", "ours");
    disk.put("/etc/new", "ours");
    disk.run(|host| host.take_away("/etc/b"));
    disk.put("/etc/c", "ours");
    disk.host.put_file("/etc/c", "before", 0o644);
    assert_eq!(disk.back(), []);
    for path in ["/etc/a", "/etc/b", "/etc/c"] {
        assert_eq!(disk.text(path).as_deref(), Some("before"), "{path}");
    }
    assert_eq!(disk.text("/etc/new"), None);
}

#[test]
fn row_7_what_somebody_made_between_two_steps_comes_back_and_is_reported() {
    let mut disk = Disk::new(&[("/etc/a", "before")]);
    disk.put("/etc/a", "ours");
    disk.host.put_file("/etc/a", "theirs", 0o644);
    disk.run(|host| host.take_away("/etc/a"));
    let kept = disk.back();
    assert_eq!(disk.text("/etc/a").as_deref(), Some("theirs"));
    assert_eq!(kept, [("/etc/a".to_owned(), "it was changed since the run".to_owned())]);
}

#[test]
fn rows_9_and_10_what_was_changed_since_stays_and_is_reported() {
    let mut disk = Disk::new(&[("/etc/a", "before"), ("/etc/b", "before")]);
    disk.put("/etc/a", "ours");
    disk.put("/etc/b", "ours");
    disk.put("/var/cache/debconf/x", "ours");
    disk.host.put_file("/etc/a", "theirs", 0o644);
    disk.host.take_away("/etc/b");
    disk.host.put_file("/var/cache/debconf/x", "theirs", 0o644);
    let kept = disk.back();
    assert_eq!(disk.text("/etc/a").as_deref(), Some("theirs"));
    assert_eq!(disk.text("/etc/b"), None);
    let names: Vec<&str> = kept.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["/etc/a", "/etc/b"]);
    assert!(kept[1].1.contains("removed"));
    // A second rollback brings nothing back either.
    assert_eq!(disk.back(), kept);
}

#[test]
fn rows_11_and_12_trees_and_directories_of_records() {
    let mut disk = Disk::new(&[]);
    disk.host.put_file("/opt/shop/app/made", "by a service of ours", 0o644);
    disk.host.put_file("/opt/shop/app/moved", "theirs", 0o644);
    disk.owned.theirs.insert("/opt/shop/app/moved".into(), String::new());
    disk.trees.insert("/opt/shop/app".into());
    disk.made.extend([PathBuf::from("/opt/shop/app"), PathBuf::from("/opt/shop"), PathBuf::from("/etc/shop")]);
    disk.host.make_dir(Path::new("/etc/shop"), Meta::root(0o755)).unwrap();
    disk.end();
    disk.host.put_file("/opt/shop/app/later", "theirs", 0o644);
    let kept = disk.back();
    assert_eq!(disk.text("/opt/shop/app/made"), None);
    assert!(disk.text("/opt/shop/app/moved").is_some() && disk.text("/opt/shop/app/later").is_some());
    assert!(disk.host.stat(Path::new("/etc/shop")).unwrap().is_none());
    assert_eq!(kept[0].0, "/opt/shop", "the outermost says enough");
    disk.kept.insert("/opt/shop".into());
    disk.host.put_file("/opt/shop/app/made", "again", 0o644);
    disk.back();
    assert!(disk.text("/opt/shop/app/made").is_some(), "a record has left it");
}

#[test]
fn row_13_what_others_did_while_the_run_worked_stays_and_is_named() {
    let mut disk = Disk::new(&[("/etc/hosts.deny", "before")]);
    disk.put("/etc/x", "ours");
    disk.host.put_file("/etc/cron.d/mine", "mine", 0o644);
    disk.host.put_file("/etc/hosts.deny", "mine", 0o644);
    disk.host.put_file("/opt/tool/run", "mine", 0o755);
    disk.end();
    disk.host.put_file("/etc/later", "mine", 0o644);
    let kept = disk.back();
    for stays in ["/etc/cron.d/mine", "/etc/hosts.deny", "/opt/tool/run", "/etc/later"] {
        assert!(disk.text(stays).is_some(), "{stays}");
    }
    let names: Vec<&str> = kept.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["/etc/cron.d/mine", "/etc/hosts.deny", "/opt/tool"]);
}

#[test]
fn what_a_purge_took_along_is_put_back() {
    let disk = Disk::new(&[("/etc/pkg/theirs.conf", "theirs")]);
    let before = disk.baseline.0.entries[Path::new("/etc/pkg/theirs.conf")].clone();
    disk.host.take_away("/etc/pkg");
    let path = PathBuf::from("/etc/pkg/theirs.conf");
    let taken = vec![StepChange { path, before: Some(before), after: None }];
    let dirs = [(PathBuf::from("/etc/pkg"), Meta::root(0o750))].into();
    let outcome = put_back(&disk.host, &Closed { taken, dirs }, &|hash| disk.contents.get(hash).cloned());
    assert_eq!((outcome.kept, outcome.errors), (Vec::new(), Vec::new()));
    assert_eq!(disk.text("/etc/pkg/theirs.conf").as_deref(), Some("theirs"));
    assert_eq!(disk.host.stat(Path::new("/etc/pkg")).unwrap().unwrap().meta.mode, 0o750);
}

#[test]
fn row_5_only_what_lies_below_a_directory_that_the_run_brought_goes() {
    let mut disk = Disk::new(&[("/var/lib/db/data", "1"), ("/var/lib/file", "1")]);
    // Of a directory that was there the run changed the mode, and of a file that was none the content.
    disk.run(|host| host.set_meta(Path::new("/var/lib/db"), Meta::root(0o700)).unwrap());
    disk.put("/var/lib/single", "ours");
    disk.host.put_file("/var/lib/db/more", "theirs", 0o644);
    disk.back();
    assert_eq!(disk.text("/var/lib/db/more").as_deref(), Some("theirs"));
    assert_eq!(disk.host.stat(Path::new("/var/lib/db")).unwrap().unwrap().meta.mode, 0o755);
}

#[test]
fn row_7_a_former_content_that_was_not_kept_is_told_with_the_way_to_get_it() {
    let mut disk = Disk::new(&["/usr/lib/x/a", "/usr/lib/x/b", "/usr/lib/x/c"].map(|path| (path, "before")));
    // Another content of the same size, and one of the same time.
    disk.put("/usr/lib/x/a", "ours!!");
    disk.run(|host| {
        let path = Path::new("/usr/lib/x/c");
        let mtime = host.stat(path).unwrap().unwrap().mtime;
        host.put_file(path, "much longer", 0o644);
        host.set_mtime(path, mtime).unwrap();
    });
    // Of one whose mode alone changed nothing is lost.
    disk.run(|host| host.set_meta(Path::new("/usr/lib/x/b"), Meta::root(0o600)).unwrap());
    let kept = disk.back();
    let names: Vec<&str> = kept.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["/usr/lib/x/a", "/usr/lib/x/c"]);
    assert!(kept[0].1.contains("`dpkg -S /usr/lib/x/a`"), "{kept:?}");
    let b = disk.host.stat(Path::new("/usr/lib/x/b")).unwrap().unwrap();
    assert_eq!((b.meta.mode, disk.text("/usr/lib/x/b").as_deref()), (0o644, Some("before")));
}

#[test]
fn row_7_what_somebody_made_in_between_is_told_but_for_what_changes_by_itself_or_is_another_runs() {
    for (path, is_told) in [("/etc/x", true), ("/etc/passwd-", false), ("/var/lib/systemd/x", false), ("/etc/q", false)]
    {
        let mut disk = Disk::new(&[(path, "before")]);
        disk.quiet.insert("/etc/q".into());
        disk.put(path, "ours");
        disk.host.put_file(path, "theirs", 0o644);
        disk.run(|host| host.take_away(path));
        let kept = disk.back();
        assert_eq!(disk.text(path).as_deref(), Some("theirs"), "{path}");
        assert_eq!(kept.iter().any(|(known, _)| known == path), is_told, "{path}: {kept:?}");
    }
}

#[test]
fn row_13_of_new_directories_the_outermost_is_named_and_of_old_ones_what_is_new_in_them() {
    let mut disk =
        Disk::new(&[("/etc/old/a", "before"), ("/etc/quiet/a", "before"), ("/var/spool/cron/crontabs/other", "")]);
    disk.quiet.insert("/etc/quiet/a".into());
    disk.host.set_meta(Path::new("/etc/old"), Meta::root(0o700)).unwrap();
    for path in
        ["/etc/old/b", "/etc/new/a", "/etc/new/b", "/etc/quiet/a", "/var/lib/x/state", "/var/spool/cron/crontabs/root"]
    {
        disk.host.put_file(path, "theirs", 0o644);
    }
    disk.end();
    let names: Vec<String> = disk.back().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["/etc/new", "/etc/old", "/etc/old/b", "/var/spool/cron/crontabs/root"]);
    // What is gone meanwhile, or as it was, is nobody's news.
    disk.host.take_away("/etc/new");
    disk.host.put_file("/etc/old/a", "before", 0o644);
    let names: Vec<String> = disk.back().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["/etc/old", "/etc/old/b", "/var/spool/cron/crontabs/root"]);
}

#[test]
fn a_directory_that_stays_names_the_first_five_that_it_holds() {
    let mut disk = Disk::new(&[]);
    disk.run(|host| host.make_dir(Path::new("/etc/dir"), Meta::root(0o755)).unwrap());
    let mut told = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        disk.host.put_file(format!("/etc/dir/{name}"), "", 0o644);
        told.push(held(&disk.host, Path::new("/etc/dir")));
    }
    assert_eq!(told[4], "it is not empty: a, b, c, d, e");
    assert_eq!(told[5], "it is not empty: a, b, c, d, e and more");
}

#[test]
fn a_directory_has_its_time_again_where_the_same_names_are_in_it() {
    let mtime = |disk: &Disk, dir: &str| disk.host.stat(Path::new(dir)).unwrap().unwrap().mtime;
    let mut disk =
        Disk::new(&[("/etc/dir/a", "before"), ("/etc/dir/sub/deeper", ""), ("/etc/theirs/a", ""), ("/etc/less/a", "")]);
    let before = ["/etc/dir", "/etc/theirs", "/etc/less"].map(|dir| mtime(&disk, dir));
    for dir in ["dir", "theirs", "less"] {
        disk.put(&format!("/etc/{dir}/ours"), "ours");
    }
    disk.host.put_file("/etc/theirs/new", "", 0o644);
    disk.host.take_away("/etc/less/a");
    disk.back();
    assert_eq!(mtime(&disk, "/etc/dir"), before[0]);
    assert_ne!(mtime(&disk, "/etc/theirs"), before[1], "somebody has put something there");
    assert_ne!(mtime(&disk, "/etc/less"), before[2], "somebody has taken something away");
    // What a record brought back is looked at in the same way.
    let mut disk = Disk::new(&[("/etc/dir/a", "before")]);
    let before = mtime(&disk, "/etc/dir");
    disk.recorded.insert("/etc/dir/a".into());
    disk.host.put_file("/etc/dir/x", "", 0o644);
    disk.host.take_away("/etc/dir/x");
    assert_ne!(mtime(&disk, "/etc/dir"), before);
    disk.back();
    assert_eq!(mtime(&disk, "/etc/dir"), before);
}

#[test]
fn row_7_whatever_kind_of_thing_the_run_made_of_it_it_becomes_what_it_was() {
    let mut disk =
        Disk::new(&[("/etc/file-to-dir", "before"), ("/etc/file-to-link", "before"), ("/etc/dir-to-file/.keep", "")]);
    let run = |disk: &mut Disk| {
        disk.run(|host| {
            for path in ["/etc/file-to-dir", "/etc/file-to-link", "/etc/dir-to-file"] {
                host.take_away(path);
            }
            host.make_dir(Path::new("/etc/file-to-dir"), Meta::root(0o755)).unwrap();
            host.make_symlink(Path::new("/etc/file-to-link"), Path::new("/etc/hosts")).unwrap();
            host.put_file("/etc/dir-to-file", "ours", 0o644);
        });
    };
    run(&mut disk);
    assert_eq!(disk.back(), []);
    for path in ["/etc/file-to-dir", "/etc/file-to-link"] {
        assert_eq!(disk.host.stat(Path::new(path)).unwrap().unwrap().kind, Kind::File, "{path}");
        assert_eq!(disk.text(path).as_deref(), Some("before"), "{path}");
    }
    assert!(disk.text("/etc/dir-to-file/.keep").is_some());
    assert!(disk.text("/etc/hosts").unwrap().contains("localhost"), "the link's target is untouched");
}

#[test]
fn row_7_what_somebody_made_in_between_and_nobody_kept_is_told_where_it_is_no_running_state() {
    for (path, told) in [("/usr/lib/x", Some("was removed with what the run installed")), ("/var/lib/x/state", None)] {
        let mut disk = Disk::new(&[(path, "before")]);
        disk.put(path, "ours");
        disk.host.put_file(path, "theirs", 0o644);
        disk.run(|host| host.take_away(path));
        let kept = disk.back();
        assert_eq!(kept.len(), usize::from(told.is_some()), "{kept:?}");
        assert!(told.is_none_or(|why| kept[0].1.contains(why)), "{kept:?}");
    }
}
