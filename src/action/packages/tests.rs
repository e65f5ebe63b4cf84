#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::action::carry::CARRY;
use crate::action::testing::Bench;
use crate::host::fake::{Cut, FakeHost, Package};
use crate::host::{Command, Meta};
use crate::secret::Secrets;
use crate::system::packages::lock;
use crate::undo::Blobs;

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Runs `work` with all that an action is given; notes go to `notes`.
fn with<T>(host: &FakeHost, notes: &Mutex<Vec<Progress>>, work: impl FnOnce(&Context<'_>) -> T) -> T {
    let (blobs, secrets) = (Blobs::new("/blobs"), Secrets::default());
    work(&Context {
        host,
        secrets: &secrets,
        blobs: &blobs,
        log: Path::new("/log"),
        changed: &|_| false,
        carry: CARRY,
        undo_records_of: &|_| Vec::new(),
        progress: &|progress| notes.lock().unwrap().push(progress),
    })
}

fn on<T>(host: &FakeHost, work: impl FnOnce(&Context<'_>) -> T) -> T {
    with(host, &Mutex::default(), work)
}

fn take_back(host: &FakeHost, records: &[Undo]) -> Outcome<Undone> {
    let [Undo::Packages { before, planned }] = records else { panic!("{records:?}") };
    let (blobs, nothing) = (Blobs::new("/blobs"), BTreeMap::new());
    let cx = UndoContext {
        host,
        blobs: &blobs,
        log: Path::new("/undo.log"),
        progress: &|_| {},
        dumped: &|_, _| {},
        dumps: Path::new("/dumps"),
        drop_data: false,
        written_hashes: &nothing,
        data: None,
        post: None,
        died: None,
    };
    undo(&cx, before, planned)
}

fn wanted(names: &[&str]) -> Packages {
    Packages { names: names.iter().map(|name| (*name).to_owned()).collect(), recommends: false }
}

fn install(host: &FakeHost, action: &Packages) -> Vec<Undo> {
    on(host, |cx| {
        let records = action.prepare(cx).unwrap();
        action.apply(cx).unwrap();
        records
    })
}

#[test]
fn installing_starts_nothing_and_leaves_no_policy() {
    let host = FakeHost::new();
    let action = wanted(&["nginx"]);
    assert!(matches!(on(&host, |cx| action.check(cx)), Ok(Verdict::WouldChange(_))));
    let notes = Mutex::default();
    with(&host, &notes, |cx| action.apply(cx)).unwrap();
    assert_eq!(on(&host, |cx| action.check(cx)), Ok(Verdict::Unchanged));
    assert!(!host.is_running("nginx.service"));
    assert_eq!(host.text(POLICY), None);
    let told = notes.into_inner().unwrap();
    let told = told
        .iter()
        .any(|progress| matches!(progress, Progress::Percent { note, .. } if note == "unpacking nginx-common"));
    assert!(told, "no progress was told");
}

#[test]
fn systemd_reads_its_units_once_after_an_installation_and_once_after_a_purge() {
    let host = FakeHost::debian("bookworm");
    let offline = |command: &Command| command.env.iter().any(|(name, value)| name == "SYSTEMD_OFFLINE" && value == "1");
    let from = host.commands().len();
    let records = install(&host, &wanted(&["nginx"]));
    let commands = host.commands();
    let installs = |command: &Command| command.argv.iter().any(|arg| arg == "install") && !is_simulated(command);
    let at = commands.iter().position(installs).unwrap();
    assert!(at >= from && offline(&commands[at]));
    // ucf would keep the first content of a setting that several packages of the transaction update.
    assert!(commands[at].env.iter().all(|(name, _)| name != "UCF_FORCE_CONFFOLD"));
    let reloads: Vec<&Command> =
        commands[at..].iter().filter(|command| command.argv == ["systemctl", "daemon-reload"]).collect();
    assert_eq!(reloads.len(), 1);
    assert!(!offline(reloads[0]));
    host.run(&Command::new(["systemctl", "start", "nginx.service"])).unwrap();
    let from = host.commands().len();
    take_back(&host, &records).unwrap();
    let commands = host.commands();
    let reloads = commands[from..].iter().filter(|command| command.argv == ["systemctl", "daemon-reload"]).count();
    assert_eq!(reloads, 1);
    assert!(commands[from..].iter().any(|command| command.argv.contains(&"purge".to_owned()) && offline(command)));
    assert!(!host.is_running("nginx.service"));
}

fn is_simulated(command: &Command) -> bool {
    command.argv.iter().any(|arg| arg == "--simulate")
}

#[test]
fn dpkg_keeps_its_stderr() {
    let host = FakeHost::new();
    install(&host, &wanted(&["nginx"]));
    let commands = host.commands();
    let install = commands.iter().find(|command| command.argv.iter().any(|arg| arg == "APT::Status-Fd=9"));
    // apt closes the status descriptor for its children: it must be none of 0, 1 and 2.
    assert_eq!(install.unwrap().argv[2], "exec \"$@\" 9>&2");
}

#[test]
fn the_policy_of_the_administrator_comes_back_as_it_was() {
    let host = FakeHost::new();
    host.put_file(POLICY, "#!/bin/sh\nexit 104\n", 0o700);
    let before = host.stat(Path::new(POLICY)).unwrap().unwrap();
    let seen = std::sync::Arc::new(Mutex::new(None));
    let inner = std::sync::Arc::clone(&seen);
    host.on(&["apt-get", "install"], move |host, _| {
        *inner.lock().unwrap() = host.text(POLICY);
        crate::host::fake::output(100, "", "E: made to fail")
    });
    assert!(on(&host, |cx| wanted(&["nginx"]).apply(cx)).is_err());
    assert!(seen.lock().unwrap().clone().unwrap().contains("exit 101"));
    assert_eq!(host.text(POLICY).as_deref(), Some("#!/bin/sh\nexit 104\n"));
    let after = host.stat(Path::new(POLICY)).unwrap().unwrap();
    assert_eq!((after.meta, after.mtime), (before.meta, before.mtime));
    assert_eq!(host.text(format!("{POLICY}.before-bringup")), None);
}

#[test]
fn only_what_the_transaction_added_is_purged() {
    let host = FakeHost::new();
    install(&host, &wanted(&["curl"]));
    let before = host.packages();
    let records = install(&host, &wanted(&["nginx"]));
    install(&host, &wanted(&["htop"]));
    assert_eq!(take_back(&host, &records), Ok(Undone::Done("purged 2 packages".to_owned())));
    let mut left = host.packages();
    assert!(left.remove("htop").is_some());
    assert_eq!(left, before);
    assert_eq!(take_back(&host, &records), Ok(Undone::Nothing));
}

#[test]
fn what_others_need_by_now_stays_and_is_named() {
    let host = FakeHost::new();
    let records = install(&host, &wanted(&["nginx"]));
    host.offer(Package::new("theirs", "1").depends(&["nginx-common"]));
    install(&host, &wanted(&["theirs"]));
    let Ok(Undone::Kept { what, why }) = take_back(&host, &records) else { panic!("nothing was kept") };
    assert_eq!(what, "the packages nginx-common");
    assert_eq!(why, "needed by theirs; 1 package purged");
    assert!(host.packages().contains_key("nginx-common"));
    assert!(!host.packages().contains_key("nginx"));
}

#[test]
fn what_came_along_unplanned_goes_too_unless_it_was_asked_for_by_name() {
    let host = FakeHost::new();
    let mut records = install(&host, &wanted(&["nginx"]));
    let [Undo::Packages { planned, .. }] = records.as_mut_slice() else { panic!() };
    planned.retain(|(name, _)| name == "nginx:amd64");
    let marks = "Package: nginx-common\nArchitecture: amd64\nAuto-Installed: 1\n";
    let by_hand = host.clone();
    host.put_file("/var/lib/apt/extended_states", "", 0o644);
    assert!(take_back(&host, &records).is_ok());
    assert!(by_hand.packages().contains_key("nginx-common"));
    install(&host, &wanted(&["nginx"]));
    host.put_file("/var/lib/apt/extended_states", marks, 0o644);
    assert_eq!(take_back(&host, &records), Ok(Undone::Done("purged 2 packages".to_owned())));
}

#[test]
fn packages_that_are_asked_for_later_have_a_record_of_their_own() {
    let host = FakeHost::new();
    let before = host.packages();
    let first = install(&host, &wanted(&["nginx"]));
    let later = on(&host, |cx| {
        let action = wanted(&["htop", "nginx"]);
        let records = action.update_undo(cx).unwrap();
        action.apply(cx).unwrap();
        assert_eq!(action.update_undo(cx), Ok(Vec::new()), "nothing more is to come");
        records
    });
    take_back(&host, &later).unwrap();
    assert!(host.packages().contains_key("nginx") && !host.packages().contains_key("htop"));
    take_back(&host, &first).unwrap();
    assert_eq!(host.packages(), before);
}

#[test]
fn killed_at_any_change_it_can_be_finished_and_taken_back() {
    let action = wanted(&["nginx", "redis-server"]);
    for goes_on in [true, false] {
        let mut at = 0;
        loop {
            at += 1;
            let mut outlived = true;
            for cut in [Cut::Before, Cut::Halfway, Cut::After] {
                let host = FakeHost::new();
                let before = host.packages();
                let records = on(&host, |cx| action.prepare(cx)).unwrap();
                host.kill_after(at, cut);
                let _ = on(&host, |cx| action.apply(cx));
                outlived &= !host.is_killed();
                host.revive();
                if goes_on {
                    on(&host, |cx| action.apply(cx)).unwrap();
                    assert_eq!(on(&host, |cx| action.check(cx)), Ok(Verdict::Unchanged));
                    assert!(!host.is_running("nginx.service"), "{at} {cut:?}");
                } else {
                    take_back(&host, &records).unwrap();
                    assert_eq!(host.packages(), before, "{at} {cut:?}");
                }
                assert_eq!(host.text(POLICY), None, "{at} {cut:?}");
            }
            if outlived {
                break;
            }
        }
        assert!(at > 5, "only {at} changes were tried");
    }
}

#[test]
fn killed_at_any_change_of_the_purge_it_can_be_purged_again() {
    let action = wanted(&["nginx", "redis-server"]);
    for at in 1.. {
        let host = FakeHost::new();
        let before = host.packages();
        let records = install(&host, &action);
        host.kill_after(at, Cut::Halfway);
        let _ = take_back(&host, &records);
        let killed = host.is_killed();
        host.revive();
        take_back(&host, &records).unwrap();
        assert_eq!(host.packages(), before, "{at}");
        assert_eq!(host.text(POLICY), None, "{at}");
        if !killed {
            assert!(at > 3, "only {at} changes were tried");
            break;
        }
    }
}

#[test]
fn a_database_that_was_broken_before_is_refused_and_ours_is_mended() {
    let host = FakeHost::new();
    let status = host.text("/var/lib/dpkg/status").unwrap();
    let half = "Package: theirs\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 1\n\n";
    host.put_file("/var/lib/dpkg/status", format!("{status}{half}"), 0o644);
    let action = wanted(&["nginx"]);
    for outcome in [on(&host, |cx| action.check(cx).map(drop)), on(&host, |cx| action.prepare(cx).map(drop))] {
        let failure = outcome.unwrap_err();
        assert!(failure.why.contains("theirs"), "{failure}");
        assert!(failure.hint.unwrap().contains("dpkg --configure -a"));
    }
}

#[test]
fn a_script_that_fails_is_told_and_its_package_can_still_be_purged() {
    let host = FakeHost::new();
    let before = host.packages();
    let action = wanted(&["nginx"]);
    host.break_package("nginx", true);
    let records = on(&host, |cx| action.prepare(cx)).unwrap();
    let failure = on(&host, |cx| action.apply(cx)).unwrap_err();
    assert!(failure.tail.iter().any(|line| line.contains("post-installation")), "{failure:?}");
    take_back(&host, &records).unwrap();
    assert_eq!(host.packages(), before);
}

#[test]
fn a_transaction_that_would_remove_something_is_refused() {
    let host = FakeHost::new();
    host.on(&["apt-get", "--simulate"], |_, _| {
        let plan = "Remv exim4 [4.96]\nInst postfix (3.7 Debian:12 [amd64])\n";
        crate::host::fake::output(0, plan, "")
    });
    let failure = on(&host, |cx| wanted(&["postfix"]).prepare(cx)).unwrap_err();
    assert!(failure.why.contains("exim4"), "{failure}");
}

#[test]
fn lists_that_know_too_little_are_fetched_once_more() {
    let host = FakeHost::new();
    host.put_file("/var/lib/apt/lists/a_main_binary-amd64_Packages", "", 0o644);
    host.make_dir(Path::new("/var/lib/apt/lists/partial"), Meta::root(0o700)).unwrap();
    host.on(&["apt-get", "install"], |host, _| {
        let fetched = host.commands().iter().any(|command| command.argv.iter().any(|arg| arg == "update"));
        if fetched {
            host.put_file(
                "/var/lib/dpkg/status",
                "Package: new\nStatus: install ok installed\nArchitecture: all\n",
                0o644,
            );
            crate::host::fake::output(0, "", "")
        } else {
            crate::host::fake::output(100, "", "E: Failed to fetch http://a/b.deb  404  Not Found")
        }
    });
    on(&host, |cx| wanted(&["new"]).apply(cx)).unwrap();
}

#[test]
fn a_lock_is_waited_for_and_its_holder_named() {
    let host = FakeHost::new();
    host.put_file("/var/lib/dpkg/lock-frontend", "", 0o640);
    let inode = host.stat(Path::new("/var/lib/dpkg/lock-frontend")).unwrap().unwrap().ino;
    let line = format!("1: POSIX  ADVISORY  WRITE 77 fe:01:{inode} 0 EOF\n");
    host.put_file("/proc/locks", line, 0o444);
    host.put_file("/proc/77/comm", "unattended-upgr\n", 0o444);
    let notes = Mutex::new(Vec::new());
    // The holder ends as soon as someone waits for it.
    let watcher = host.clone();
    let wait = |progress: Progress| {
        notes.lock().unwrap().push(progress);
        watcher.put_file("/proc/locks", "", 0o444);
    };
    lock::wait(&host, &wait).unwrap();
    assert_eq!(
        notes.into_inner().unwrap(),
        [Progress::Note("waiting for unattended-upgr (process 77), which is changing packages".to_owned())]
    );
}

#[test]
fn a_lock_that_is_never_freed_is_given_up() {
    let host = FakeHost::new();
    host.put_file("/var/lib/dpkg/lock", "", 0o640);
    let inode = host.stat(Path::new("/var/lib/dpkg/lock")).unwrap().unwrap().ino;
    let line = format!("1: POSIX  ADVISORY  WRITE 77 fe:01:{inode} 0 EOF\n");
    host.put_file("/proc/locks", line, 0o444);
    let failure = on(&host, |cx| wanted(&["nginx"]).apply(cx)).unwrap_err();
    assert!(failure.why.contains("has held the lock"), "{failure}");
    assert!(!host.packages().contains_key("nginx"));
}

#[test]
fn a_package_is_not_purged_together_with_data_of_others() {
    let host = FakeHost::debian("trixie");
    let records = install(&host, &wanted(&["docker.io"]));
    let volume = Path::new("/var/lib/docker/volumes/shop");
    host.put_file(volume.join("_data/orders"), "1", 0o600);
    let refused = take_back(&host, &records).unwrap_err();
    assert!(refused.why.contains("/var/lib/docker/volumes/shop"), "{refused:?}");
    assert!(on(&host, |cx| wanted(&["docker.io"]).check(cx)).is_ok_and(|verdict| verdict == Verdict::Unchanged));
    // Files there are the program's own.
    host.remove_tree(volume).unwrap();
    host.put_file("/var/lib/docker/volumes/metadata.db", "", 0o600);
    assert!(matches!(take_back(&host, &records), Ok(Undone::Done(_))));
}

#[test]
fn what_apt_would_take_for_something_else_is_no_package() {
    let bench = Bench::new();
    for odd in
        ["/root/x.deb", "./x", "nginx-", "nginx=1", "nginx/sid", "-oAPT::Get::Force=1", "", "n", "Nginx", "é1", "a:"]
    {
        let failure = bench.check(&Packages { names: vec![odd.to_owned()], recommends: false }).unwrap_err();
        assert!(failure.why.contains("is not the name of a package"), "{odd}: {failure:?}");
    }
    for name in ["g++", "libc6:amd64", "python3.11-venv", "0ad"] {
        assert!(super::is_name(name), "{name}");
    }
}
