//! The last releases are kept, older ones go, and neither a crash nor a rollback is worse for it.

use std::path::Path;

use bringup::action::release::KEPT;
use bringup::engine::rollback::{Layer, ahead, together};
use bringup::engine::runs::{self, Run};

use super::*;

const APP: &str = "/opt/shop/app";
const TREES: &str = "/opt/shop/app.releases";

fn release(number: usize) -> Plan {
    let files = json!({"app.py": format!("print({number})\n"), "static/x.css": "a {}\n"});
    let source = json!({"source": {"path": APP, "from": "asset", "location": "demo", "files": files}});
    let home = json!({"directory": {"path": "/opt/shop"}});
    plan_of(vec![planned("code.home", home), planned("code.source", source)])
}

fn host() -> FakeHost {
    let host = FakeHost::new();
    host.on(&["sync"], |_, _| output(0, "", ""));
    host
}

/// Runs it, or goes on with it where it was killed; what it said.
fn deploy_telling(host: &FakeHost, number: usize) -> (Exit, Vec<String>) {
    let plan = release(number);
    let all = runs::all(host, None).unwrap_or_default();
    let unfinished = all.into_iter().find(|run| run.state == runs::RunStatus::Unfinished);
    let (dir, mut journal) = match unfinished {
        Some(run) => (run.dir, run.journal),
        None => match RunDir::create(host, &plan) {
            Ok(made) => made,
            Err(_) => return (Exit::Incomplete, Vec::new()),
        },
    };
    let told = std::sync::Mutex::new(Vec::new());
    let emit = |what: EventKind| {
        if let EventKind::Note { text } = what {
            told.lock().unwrap().push(text);
        }
    };
    let (secrets, on_failure) = (secrets(), OnFailure::Pause);
    let context =
        RunContext { host, dir: &dir, plan: &plan, secrets: &secrets, on_failure, emit: &emit, stop: &|| None };
    let exit = execute(&context, &mut journal);
    (exit, told.into_inner().unwrap())
}

fn deploy(host: &FakeHost, number: usize) -> String {
    let (exit, told) = deploy_telling(host, number);
    assert_eq!(exit, Exit::Done, "{told:?}");
    host.read_link(Path::new(APP)).unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

fn trees(host: &FakeHost) -> Vec<String> {
    let names = host.list(Path::new(TREES)).unwrap_or_default();
    names.iter().map(|name| name.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

fn sorted(keys: &[String]) -> Vec<String> {
    let mut keys = keys.to_vec();
    keys.sort();
    keys
}

/// Rolls back these runs, all where none is named, the latest first.
fn roll(host: &FakeHost, from: Option<usize>) -> Result<(), String> {
    let all = runs::all(host, None).unwrap();
    let mut chosen: Vec<Run> = runs::standing(&all).skip(from.unwrap_or(0)).cloned().collect();
    chosen.reverse();
    let ids: Vec<String> = chosen.iter().map(|run| run.dir.id.clone()).collect();
    let said = |failure: bringup::error::Failure| format!("{failure}; {}", failure.hint.clone().unwrap_or_default());
    // What is shown before, and what is done.
    let first = ahead(host, &all, &ids, &Options::default()).map(|_| ()).map_err(said);
    let mut layers: Vec<Layer<'_>> = chosen.iter_mut().map(|Run { dir, journal, .. }| Layer { dir, journal }).collect();
    let report = together(host, &mut layers, &Options::default(), &|_| {}).map_err(said);
    assert_eq!(first, report.as_ref().map(|_| ()).map_err(Clone::clone));
    let report = report?;
    assert_eq!((report.errors, report.kept), (Vec::new(), Vec::new()));
    Ok(())
}

#[test]
fn the_last_releases_are_kept_and_a_rollback_to_an_older_one_is_refused_before_it_begins() {
    let host = host();
    let before = seen(&host);
    let mut keys = Vec::new();
    for number in 0..KEPT + 3 {
        keys.push(deploy(&host, number));
        assert_eq!(trees(&host), sorted(&keys[keys.len().saturating_sub(KEPT)..]), "after release {number}");
    }
    // One run after the other, as far as there are releases.
    let now = seen(&host);
    let refused = roll(&host, Some(2)).unwrap_err();
    let id = |at: usize| runs::all(&host, None).unwrap()[at].dir.id.clone();
    for told in [&keys[1], "only the last 5 are kept", &format!("rollback --run {}`", id(4)), "rollback --all"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    assert_same("after a refusal", &seen(&host), &now);
    assert_eq!(runs::all(&host, None).unwrap()[2].state, runs::RunStatus::Done);
    roll(&host, Some(5)).unwrap();
    assert!(host.read_link(Path::new(APP)).unwrap().ends_with(&keys[4]));
    roll(&host, Some(4)).unwrap();
    assert!(roll(&host, Some(3)).unwrap_err().contains(&keys[2]));
    // Everything goes in one pass, through releases that are not there.
    roll(&host, None).unwrap();
    assert_same("after everything was rolled back", &seen(&host), &before);
}

/// An older release that is deployed again is the newest.
#[test]
fn what_is_in_place_stays_however_old_it_is() {
    let host = host();
    let before = seen(&host);
    let keys: Vec<String> = (0..KEPT).map(|number| deploy(&host, number)).collect();
    assert_eq!(deploy(&host, 0), keys[0]);
    let new = deploy(&host, 100);
    assert_eq!(trees(&host), sorted(&[&keys[..1], &keys[2..], std::slice::from_ref(&new)].concat()));
    roll(&host, Some(KEPT)).unwrap();
    assert!(host.read_link(Path::new(APP)).unwrap().ends_with(&keys[4]));
    roll(&host, None).unwrap();
    assert_same("after everything was rolled back", &seen(&host), &before);
}

#[test]
fn what_somebody_else_put_there_stays_and_no_link_is_followed() {
    let host = host();
    let mut keys: Vec<String> = (0..KEPT).map(|number| deploy(&host, number)).collect();
    let at = |key: &str, name: &str| format!("{TREES}/{key}/{name}");
    host.put_file(at(&keys[0], "settings_local.py"), "x", 0o644);
    host.put_file(at(&keys[1], "__pycache__/app.cpython-311.pyc"), "x", 0o644);
    host.put_file(at("0123456789abcdef", ".bringup-release"), "x", 0o644);
    host.put_file("/opt/others/file", "x", 0o644);
    host.make_symlink(format!("{TREES}/fedcba9876543210").as_ref(), "/opt/others".as_ref()).unwrap();
    for number in [100, 101] {
        let (exit, told) = deploy_telling(&host, number);
        assert_eq!(exit, Exit::Done);
        let stays = told.iter().any(|text| text.contains("settings_local.py was added or changed outside bringup"));
        assert!(stays, "{told:?}");
        let removed = told.iter().any(|text| text.contains("removed old releases in") && text.contains(&keys[1]));
        assert_eq!(removed, number == 101, "{told:?}");
        keys.push(host.read_link(Path::new(APP)).unwrap().file_name().unwrap().to_string_lossy().into_owned());
    }
    let theirs = ["0123456789abcdef", "fedcba9876543210"].map(str::to_owned);
    assert_eq!(trees(&host), sorted(&[&keys[..1], &keys[2..], &theirs[..]].concat()));
    assert!(host.text("/opt/others/file").is_some() && host.text(at(&keys[0], ".bringup-release")).is_some());
    // Somebody points the path elsewhere: then nothing is known to be out of use.
    host.remove(Path::new(APP)).unwrap();
    host.make_symlink(Path::new(APP), "/opt/others".as_ref()).unwrap();
    assert_eq!(deploy_telling(&host, 102).0, Exit::Incomplete);
    assert!(trees(&host).contains(&keys[2]));
}

/// Two files of a run's commands may use: the release that it left stays as long as it can be rolled back.
#[test]
fn the_release_that_an_undo_command_works_with_stays() {
    let host = host();
    let first = deploy(&host, 0);
    let mut run = runs::all(&host, None).unwrap().remove(0);
    let argv = ["/opt/shop/bin/data", "back"].map(str::to_owned).to_vec();
    let (user, cwd, describe) = (String::new(), "/".into(), "x".to_owned());
    let undo = vec![bringup::undo::Undo::Command { argv, user, cwd, describe }];
    let begin = bringup::engine::journal::Record::Begin { action: "a.b".into(), stage: "a".into(), undo };
    run.journal.write(&host, begin).unwrap();
    let keys: Vec<String> = (1..=KEPT + 1).map(|number| deploy(&host, number)).collect();
    assert_eq!(trees(&host), sorted(&[std::slice::from_ref(&first), &keys[1..]].concat()));
}

#[test]
fn killed_at_any_change_of_the_removal_the_next_run_completes_it() {
    let prepared = || {
        let host = host();
        let keys: Vec<String> = (0..KEPT).map(|number| deploy(&host, number)).collect();
        (host, keys)
    };
    let (host, _) = prepared();
    let start = host.changes();
    deploy(&host, 100);
    let whole = host.changes() - start;
    let before = seen(&self::host());
    let mut half_removed = 0;
    // The removal is the last of it; of what is before, other tests have every point.
    for n in (1..=whole).filter(|n| n % 4 == 0 || n + 8 > whole) {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let what = format!("killed at change {n}, {cut:?}");
            let (host, keys) = prepared();
            host.kill_after(n, cut);
            let _ = deploy_telling(&host, 100);
            host.revive();
            // A tree that lacks its stamp does not count, and the others are complete.
            let there = |key: &str, name: &str| host.text(format!("{TREES}/{key}/{name}")).is_some();
            half_removed += u32::from(there(&keys[0], "app.py") && !there(&keys[0], ".bringup-release"));
            assert!(there(&keys[0], "app.py") || !there(&keys[0], ".bringup-release"), "{what}");
            assert!(keys[1..].iter().all(|key| there(key, "app.py") && there(key, ".bringup-release")), "{what}");
            if runs::all(&host, None).unwrap().iter().any(|run| run.state == runs::RunStatus::Unfinished) {
                assert_eq!(deploy_telling(&host, 100).0, Exit::Done, "{what}");
            }
            // The same sources again are fetched again, where they are gone or half gone.
            assert_eq!(deploy(&host, 0), keys[0], "{what}");
            assert!(there(&keys[0], "app.py") && there(&keys[0], ".bringup-release"), "{what}");
            assert!(trees(&host).len() <= KEPT + 1, "{what}: {:?}", trees(&host));
            roll(&host, None).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert_same(&what, &seen(&host), &before);
        }
    }
    assert!(half_removed > 0, "no kill came between the stamp and the rest");
}
