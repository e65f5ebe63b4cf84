#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::Command;
use crate::host::fake::FakeHost;
use crate::plan::Plan;

/// A machine, and a run that has looked at it.
struct Begun {
    host: FakeHost,
    dir: RunDir,
    base: (Manifest, Contents),
}

impl Begun {
    fn with(files: &[(&str, &str)]) -> Self {
        let host = FakeHost::new();
        for (path, content) in files {
            host.put_file(path, content, 0o644);
        }
        let (dir, _) = RunDir::create(&host, &Plan::new("shop", "")).unwrap();
        let mut contents = Contents::new();
        let manifest = Manifest::take(&host, None, &mut contents).unwrap();
        Self { host, dir, base: (manifest, contents) }
    }

    fn tracker(&self) -> Tracker<'_> {
        Tracker::new(&self.host, &self.dir, Some(self.base.clone())).unwrap()
    }

    fn numbers(&self) -> Vec<(usize, bool)> {
        kept::list(&self.host, &self.dir).unwrap().iter().map(|kept| (kept.number, kept.open)).collect()
    }
}

fn step(nature: Nature) -> Footprint {
    Footprint { action: "a.b".to_owned(), nature, names: vec!["shop".to_owned()], ..Footprint::default() }
}

fn paths<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Vec<String> {
    paths.map(|path| path.display().to_string()).filter(|path| !path.starts_with("/var/lib/bringup")).collect()
}

fn does(tracker: &mut Tracker<'_>, step: Footprint, works: impl FnOnce()) -> Closed {
    let open = tracker.open(step).unwrap().unwrap();
    works();
    tracker.close(open).unwrap()
}

#[test]
fn every_window_has_a_number_of_its_own_also_after_a_restart() {
    let begun = Begun::with(&[]);
    let mut tracker = begun.tracker();
    tracker.last_look().unwrap();
    tracker.last_look().unwrap();
    tracker.note_reconciled().unwrap();
    does(&mut tracker, step(Nature::Program), || {});
    assert_eq!(begun.numbers(), [(0, false), (1, false), (2, false), (3, false)]);
    begun.tracker().last_look().unwrap();
    begun.tracker().open(step(Nature::Settings)).unwrap();
    assert_eq!(begun.numbers().last(), Some(&(5, true)));
    assert!(begun.tracker().open(step(Nature::Recorded)).unwrap().is_none(), "its records say it all");
    // One that a crash left open is closed by whoever goes on.
    assert_eq!(begun.numbers().last(), Some(&(5, false)));
}

#[test]
fn what_a_step_changed_is_ours_and_what_came_before_or_from_others_is_not() {
    let begun = Begun::with(&[("/etc/a", "before")]);
    let host = &begun.host;
    let mut tracker = begun.tracker();
    host.put_file("/etc/drift", "", 0o644);
    does(&mut tracker, step(Nature::Program), || {
        host.put_file("/etc/ours", "", 0o644);
        host.put_file("/etc/a", "ours", 0o644);
        host.as_somebody(|host| host.write(Path::new("/etc/theirs"), b"", Meta::root(0o644))).unwrap();
    });
    assert_eq!(paths(tracker.owned().paths.keys()), ["/etc/a", "/etc/ours"]);
    assert_eq!(paths(tracker.owned().theirs.keys()), ["/etc/theirs"]);
    // What others write between two steps is theirs, too, and what nobody is known to have written nobody's.
    host.as_somebody(|host| host.write(Path::new("/etc/a"), b"theirs", Meta::root(0o644))).unwrap();
    host.put_file("/etc/more", "", 0o644);
    tracker.last_look().unwrap();
    assert_eq!(paths(tracker.owned().theirs.keys()), ["/etc/a", "/etc/theirs"]);
    drop(tracker);
    let again = begun.tracker();
    assert_eq!(paths(again.owned().paths.keys()), ["/etc/a", "/etc/ours"]);
    assert_eq!(paths(again.owned().theirs.keys()), ["/etc/a", "/etc/theirs"]);
    let before = again.owned().paths[Path::new("/etc/a")].before.as_ref().and_then(|entry| entry.hash.clone()).unwrap();
    assert_eq!(again.content(&before).as_deref(), Some(&b"before"[..]), "what has to come back is kept");
}

#[test]
fn account_files_are_ours_line_by_line_and_their_backups_where_a_line_is() {
    let begun = Begun::with(&[("/etc/passwd-", "old"), ("/etc/group-", "old")]);
    let host = &begun.host;
    let mut tracker = begun.tracker();
    does(&mut tracker, step(Nature::Settings), || {
        host.put_file("/etc/group-", "older", 0o644);
    });
    assert_eq!(paths(tracker.owned().paths.keys()), [""; 0], "no line of ours went with it");
    does(&mut tracker, step(Nature::Settings), || {
        let passwd = host.text("/etc/passwd").unwrap();
        host.put_file("/etc/passwd", format!("{passwd}shop:x:999:999::/:\nalice:x:1000:1000::/:\n"), 0o644);
        host.put_file("/etc/passwd-", passwd, 0o644);
    });
    assert_eq!(paths(tracker.owned().paths.keys()), ["/etc/passwd", "/etc/passwd-"]);
    let keys: Vec<&str> = tracker.owned().lines.iter().map(|line| line.key.as_str()).collect();
    assert_eq!(keys, ["shop"]);
}

/// A crash may come at any time, and the next process compares with what was there then.
#[test]
fn what_dpkg_and_the_account_files_say_is_kept_at_every_step() {
    let begun = Begun::with(&[]);
    let host = &begun.host;
    let mut tracker = begun.tracker();
    let mut kept = Vec::new();
    for (path, text) in [(dpkg::STATUS, "Package: a\n"), ("/etc/group", "a:x:1:\n"), ("/etc/x", "x\n")] {
        does(&mut tracker, step(Nature::Program), || host.put_file(path, text, 0o644));
        kept.push(crate::hash::sha256_hex(text.as_bytes()));
    }
    drop(tracker);
    let again = begun.tracker();
    let known: Vec<bool> = kept.iter().map(|hash| again.content(hash).is_some()).collect();
    assert_eq!(known, [true, true, false], "of other files what was before them is enough");
}

#[test]
fn of_a_run_without_windows_what_differs_at_its_end_is_taken_for_its_own() {
    let begun = Begun::with(&[("/etc/a", "before"), ("/etc/gone", ""), ("/var/lib/db/data", "1")]);
    let host = &begun.host;
    let passwd = host.text("/etc/passwd").unwrap();
    host.put_file("/etc/passwd", format!("{passwd}shop:x:999:999::/:\n"), 0o644);
    host.put_file("/etc/a", "after", 0o644);
    host.put_file("/etc/new", "", 0o644);
    host.put_file("/var/lib/db/data", "it lives", 0o644);
    host.put_file("/var/lib/db/new", "", 0o644);
    host.take_away("/etc/gone");
    let mut contents = Contents::new();
    let post = Manifest::take(host, None, &mut contents).unwrap();
    let mut tracker = begun.tracker();
    tracker.learn(contents);
    tracker.assume(Some(&post), Footprint { back: true, ..step(Nature::Program) }).unwrap();
    let ours = ["/etc/a", "/etc/gone", "/etc/new", "/etc/passwd", "/var/lib/db/new"];
    assert_eq!(paths(tracker.owned().paths.keys()), ours);
    let keys: Vec<&str> = tracker.owned().lines.iter().map(|line| line.key.as_str()).collect();
    assert_eq!(keys, ["shop"]);
    assert!(tracker.known().entries.contains_key(Path::new("/etc/new")));
    tracker.last_look().unwrap();
    drop(tracker);
    let again = begun.tracker();
    assert_eq!(paths(again.owned().paths.keys()), ours);
    assert_eq!(begun.numbers(), [(0, false), (1, false)]);
}

#[test]
fn what_others_put_into_a_directory_that_the_run_brought_is_kept_before_a_purge() {
    let begun = Begun::with(&[("/etc/theirs/conf", "there before")]);
    let host = &begun.host;
    let mut tracker = begun.tracker();
    does(&mut tracker, step(Nature::Program), || {
        host.make_dir(Path::new("/etc/pkg"), Meta::root(0o755)).unwrap();
        host.put_file("/etc/pkg/ours", "ours", 0o644);
    });
    host.as_somebody(|host| {
        host.put_file("/etc/pkg/beside", "beside", 0o644);
        host.put_file("/etc/theirs/new", "elsewhere", 0o644);
    });
    // A look of just now is believed.
    host.sleep(std::time::Duration::from_secs(1));
    let purged = does(&mut tracker, step(Nature::Packages), || host.take_away("/etc/pkg"));
    drop(tracker);
    let again = begun.tracker();
    let is_kept = |content: &str| again.content(&crate::hash::sha256_hex(content.as_bytes())).is_some();
    assert!(is_kept("beside") && !is_kept("elsewhere"));
    let taken: Vec<String> = purged.taken.iter().map(|change| change.path.display().to_string()).collect();
    assert_eq!(taken, ["/etc/pkg/beside"]);
    assert_eq!(purged.dirs[Path::new("/etc/pkg")], Meta::root(0o755));
}

/// update-catalog(8) writes a new catalog, here with what was in it before, and keeps the former one by renaming it.
#[test]
fn what_a_trigger_keeps_under_another_name_is_known_for_it() {
    let (catalog, former) = ("/var/lib/sgml-base/supercatalog", "/var/lib/sgml-base/supercatalog.old");
    let begun = Begun::with(&[(catalog, "now"), (former, "before")]);
    let host = &begun.host;
    let mut tracker = begun.tracker();
    does(&mut tracker, step(Nature::Packages), || {
        host.run(&Command::new(["mv", catalog, former])).unwrap();
        host.put_file(catalog, "now", 0o644);
    });
    assert_eq!(paths(tracker.renamed.iter()), [former]);
    assert_eq!(paths(tracker.owned().paths.keys()), [former]);
    does(&mut tracker, step(Nature::Packages), || host.put_file(former, "new", 0o644));
    assert!(tracker.renamed.is_empty());
}
