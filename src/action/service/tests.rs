#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::engine::undo::Blobs;
use crate::host::fake::{Cut, Defect, FakeHost};
use crate::secret::Secrets;

fn with<T>(host: &FakeHost, changed: &[&str], work: impl FnOnce(&Cx<'_>) -> T) -> T {
    let (blobs, secrets) = (Blobs::new("/blobs"), Secrets::default());
    work(&Cx {
        host,
        secrets: &secrets,
        blobs: &blobs,
        log: Path::new("/log"),
        changed: &|id| changed.contains(&id),
        way_back: &|_| Vec::new(),
        progress: &|_| {},
    })
}

fn undoing<T>(host: &FakeHost, work: impl FnOnce(&UndoCx<'_>) -> T) -> T {
    let (blobs, nothing) = (Blobs::new("/blobs"), BTreeMap::new());
    work(&UndoCx {
        host,
        blobs: &blobs,
        log: Path::new("/undo.log"),
        progress: &|_| {},
        dumped: &|_, _| {},
        dumps: Path::new("/dumps"),
        drop_data: false,
        wrote: &nothing,
        data: None,
        post: None,
        died: None,
    })
}

type Carry = fn(&UndoCx<'_>, Former<'_>) -> Outcome<Undone>;

fn carry(host: &FakeHost, records: &[Undo], how: Carry) -> Outcome<Undone> {
    let [record] = records else { panic!("{records:?}") };
    undoing(host, |cx| how(cx, Former::of(record).unwrap()))
}

fn service(manager: Manager, name: &str) -> Service {
    Service {
        manager,
        name: name.to_owned(),
        running: true,
        restart_after: vec!["web.site".to_owned()],
        reload_after: vec!["web.logo".to_owned()],
        test: vec!["app-test".to_owned()],
        sites: None,
    }
}

const UNIT: &str = "[Service]\nExecStart=/bin/app\n[Install]\nWantedBy=multi-user.target\n";
const PROGRAM: &str = "[program:app]\ncommand=/bin/app\n";

/// A host on which `app` can be run by `manager`, but is not.
fn ready(manager: Manager) -> (FakeHost, Service) {
    let host = FakeHost::new();
    let host = match manager {
        Manager::Systemd => {
            host.put_file("/etc/systemd/system/app.service", UNIT, 0o644);
            host
        }
        Manager::Sysv => {
            host.put_file("/etc/init.d/app", "#!/bin/sh\n", 0o755);
            host.without_systemd()
        }
        Manager::Supervisor => {
            host.run(&Command::new(["apt-get", "install", "supervisor"])).unwrap();
            host.put_file("/etc/supervisor/conf.d/app.conf", PROGRAM, 0o644);
            host
        }
    };
    let name = if manager == Manager::Systemd { "app.service" } else { "app" };
    (host, service(manager, name))
}

fn runs(host: &FakeHost) -> bool {
    host.is_running("app.service") || host.is_running("app")
}

fn starts(host: &FakeHost) -> u32 {
    host.starts("app.service") + host.starts("app")
}

const MANAGERS: [Manager; 3] = [Manager::Systemd, Manager::Sysv, Manager::Supervisor];

#[test]
fn it_runs_now_and_at_boot_and_then_there_is_nothing_to_do() {
    for manager in MANAGERS {
        let (host, action) = ready(manager);
        assert!(matches!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::WillChange(_))));
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        assert!(runs(&host), "{manager:?}");
        assert_eq!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::AlreadySo), "{manager:?}");
        let state = manager.state(&host, &action.name).unwrap();
        assert!(state.known && state.enabled && state.active && !state.at_rest);
    }
}

#[test]
fn it_is_restarted_only_when_what_it_depends_on_has_changed() {
    for manager in MANAGERS {
        let (host, action) = ready(manager);
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        assert_eq!(starts(&host), 1, "{manager:?}");
        with(&host, &["other.action"], |cx| action.apply(cx)).unwrap();
        assert_eq!(starts(&host), 1, "{manager:?}");
        with(&host, &["web.site"], |cx| action.apply(cx)).unwrap();
        assert_eq!(starts(&host), 2, "{manager:?}");
        assert!(runs(&host));
    }
}

#[test]
fn a_program_whose_file_changed_is_restarted_once() {
    let (host, action) = ready(Manager::Supervisor);
    with(&host, &[], |cx| action.apply(cx)).unwrap();
    let changed = PROGRAM.replace("/bin/app", "/bin/app --fast");
    host.put_file("/etc/supervisor/conf.d/app.conf", changed, 0o644);
    with(&host, &["web.site"], |cx| action.apply(cx)).unwrap();
    assert_eq!(starts(&host), 2);
}

#[test]
fn nothing_is_started_when_its_configuration_test_fails() {
    for manager in MANAGERS {
        let (host, action) = ready(manager);
        host.on(&["app-test"], |_, _| crate::host::fake::output(1, "", "app.conf:3: unexpected }\n"));
        let failure = with(&host, &[], |cx| action.apply(cx)).unwrap_err();
        assert_eq!(failure.tail, ["app.conf:3: unexpected }"]);
        assert_eq!(starts(&host), 0, "{manager:?}");
    }
}

#[test]
fn a_service_that_dies_after_its_start_is_a_failure() {
    for manager in MANAGERS {
        for defect in [Defect::Refuses, Defect::Dies] {
            let (host, action) = ready(manager);
            for name in ["app", "app.service"] {
                host.break_service(name, defect);
            }
            host.on(&["journalctl"], |_, _| crate::host::fake::output(0, "cannot bind\n", ""));
            let failure = with(&host, &[], |cx| action.apply(cx)).unwrap_err();
            assert!(failure.what.starts_with("start app"), "{manager:?} {failure:?}");
            if manager == Manager::Systemd {
                assert_eq!(failure.tail, ["cannot bind"]);
            }
        }
    }
}

#[test]
fn a_service_that_still_computes_is_waited_for_but_not_for_ever() {
    let seconds = |state: &str| {
        let (host, action) = ready(Manager::Systemd);
        host.put_file("/sys/fs/cgroup/system.slice/app.service/cgroup.procs", "7\n", 0o444);
        host.put_file("/proc/7/stat", format!("7 (app) {state} 1 7\n"), 0o444);
        let before = host.now().sec;
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        host.now().sec - before
    };
    assert!(seconds("S") <= 1, "it is at rest");
    assert_eq!(seconds("R"), 5, "it is at work");
}

#[test]
fn a_masked_unit_is_refused_before_anything_is_done() {
    let host = FakeHost::new();
    host.make_symlink(Path::new("/etc/systemd/system/app.service"), Path::new("/dev/null")).unwrap();
    let action = service(Manager::Systemd, "app.service");
    let failure = with(&host, &[], |cx| action.check(cx)).unwrap_err();
    assert!(failure.hint.unwrap().contains("unmask"));
}

#[test]
fn an_unknown_service_is_named() {
    for manager in MANAGERS {
        let (host, _) = ready(manager);
        let action = service(manager, "nosuch");
        let failure = with(&host, &[], |cx| action.apply(cx)).unwrap_err();
        assert!(failure.why.contains("does not know it"), "{failure}");
    }
}

#[test]
fn taken_back_it_neither_runs_nor_starts_at_boot() {
    for manager in MANAGERS {
        let (host, action) = ready(manager);
        let records = with(&host, &[], |cx| action.prepare(cx)).unwrap();
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        carry(&host, &records, undo).unwrap();
        assert!(!runs(&host), "{manager:?}");
        for file in ["/etc/systemd/system/app.service", "/etc/init.d/app", "/etc/supervisor/conf.d/app.conf"] {
            host.take_away(file);
        }
        carry(&host, &records, settle).unwrap();
        assert!(!manager.state(&host, &action.name).unwrap().known);
        host.reboot();
        assert!(!runs(&host), "{manager:?}");
    }
}

#[test]
fn what_ran_before_is_restarted_with_its_former_configuration() {
    for manager in MANAGERS {
        let (host, action) = ready(manager);
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        let records = with(&host, &["web.site"], |cx| action.prepare(cx)).unwrap();
        with(&host, &["web.site"], |cx| action.apply(cx)).unwrap();
        assert_eq!(carry(&host, &records, undo), Ok(Undone::Nothing));
        assert_eq!(starts(&host), 2, "{manager:?}");
        assert!(matches!(carry(&host, &records, settle), Ok(Undone::Done(_))));
        assert_eq!(starts(&host), 3, "{manager:?}");
        assert!(runs(&host));
    }
}

#[test]
fn what_shall_not_run_is_stopped_and_comes_back() {
    for manager in [Manager::Systemd, Manager::Sysv] {
        let (host, mut action) = ready(manager);
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        action.running = false;
        let records = with(&host, &[], |cx| action.prepare(cx)).unwrap();
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        assert!(!runs(&host), "{manager:?}");
        assert_eq!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::AlreadySo));
        carry(&host, &records, undo).unwrap();
        carry(&host, &records, settle).unwrap();
        assert!(runs(&host), "{manager:?}");
        assert!(manager.state(&host, &action.name).unwrap().enabled);
    }
}

#[test]
fn killed_at_any_change_it_can_be_finished_and_taken_back() {
    for manager in MANAGERS {
        for at in 1.. {
            let mut outlived = true;
            for cut in [Cut::Before, Cut::After] {
                let (host, action) = ready(manager);
                let records = with(&host, &[], |cx| action.prepare(cx)).unwrap();
                host.kill_after(at, cut);
                let _ = with(&host, &[], |cx| action.apply(cx));
                outlived &= !host.is_killed();
                host.revive();
                if cut == Cut::Before {
                    with(&host, &[], |cx| action.apply(cx)).unwrap();
                    assert!(runs(&host), "{manager:?} {at}");
                } else {
                    carry(&host, &records, undo).unwrap();
                    assert!(!runs(&host), "{manager:?} {at}");
                }
            }
            if outlived {
                assert!(at > 1, "{manager:?}");
                break;
            }
        }
    }
}

#[test]
fn without_supervisord_its_programs_are_simply_not_there() {
    let host = FakeHost::new();
    let state = Manager::Supervisor.state(&host, "app").unwrap();
    assert!(!state.known && state.at_rest);
    let action = service(Manager::Supervisor, "app");
    let failure = with(&host, &[], |cx| action.apply(cx)).unwrap_err();
    assert!(failure.hint.unwrap().contains("start supervisor"), "the way out is missing");
}
