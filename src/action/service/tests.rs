#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::action::carry::CARRY;
use crate::host::fake::{Cut, Defect, FakeHost};
use crate::secret::Secrets;
use crate::undo::{Blobs, UndoContext, Undone};

fn with<T>(host: &FakeHost, changed: &[&str], work: impl FnOnce(&Context<'_>) -> T) -> T {
    let (blobs, secrets) = (Blobs::new("/blobs"), Secrets::default());
    work(&Context {
        host,
        secrets: &secrets,
        blobs: &blobs,
        log: Path::new("/log"),
        changed: &|id| changed.contains(&id),
        carry: CARRY,
        undo_records_of: &|_| Vec::new(),
        progress: &|_| {},
    })
}

fn undoing<T>(host: &FakeHost, work: impl FnOnce(&UndoContext<'_>) -> T) -> T {
    let (blobs, nothing) = (Blobs::new("/blobs"), BTreeMap::new());
    work(&UndoContext {
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
    })
}

type Carry = fn(&UndoContext<'_>, PriorState<'_>) -> Outcome<Undone>;

fn carry(host: &FakeHost, records: &[Undo], how: Carry) -> Outcome<Undone> {
    let [record] = records else { panic!("{records:?}") };
    undoing(host, |cx| how(cx, PriorState::of(record).unwrap()))
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
        assert!(matches!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::WouldChange(_))));
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        assert!(runs(&host), "{manager:?}");
        assert_eq!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::Unchanged), "{manager:?}");
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
fn a_timer_is_up_at_once_and_a_service_must_stay_up() {
    let waited = |name: &str| {
        let host = FakeHost::new();
        host.put_file(format!("/etc/systemd/system/{name}"), UNIT, 0o644);
        let action = service(Manager::Systemd, name);
        let millis = || host.now().sec * 1000 + i64::from(host.now().nsec) / 1_000_000;
        let before = millis();
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        millis() - before
    };
    let (service, timer) = (waited("app.service"), waited("app.timer"));
    assert!(service >= 200 && timer < service - 100, "{service} ms and {timer} ms");
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
        carry(&host, &records, restore_service).unwrap();
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
        assert!(matches!(carry(&host, &records, restore_service), Ok(Undone::Done(_))));
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
        assert_eq!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::Unchanged));
        carry(&host, &records, undo).unwrap();
        carry(&host, &records, restore_service).unwrap();
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

#[test]
fn a_program_that_supervisor_started_before_its_action_goes_with_its_file() {
    let (host, action) = ready(Manager::Supervisor);
    with(&host, &[], |cx| action.apply(cx)).unwrap();
    // Its file came with the run, and supervisor with it: it runs already when its own action begins.
    let records = with(&host, &[], |cx| action.prepare(cx)).unwrap();
    assert!(matches!(&records[..], [Undo::Service { was_active: true, .. }]), "{records:?}");
    carry(&host, &records, undo).unwrap();
    host.take_away("/etc/supervisor/conf.d/app.conf");
    assert_eq!(carry(&host, &records, restore_service), Ok(Undone::Nothing));
    assert!(!runs(&host));
}

/// A host with a web server of someone's that runs, and what adds a site to it.
fn web_server(manager: Manager) -> (FakeHost, Service) {
    let host = FakeHost::new();
    let host = if manager == Manager::Sysv { host.without_systemd() } else { host };
    host.put_file("/etc/init.d/nginx", "#!/bin/sh\ncase $1 in\nreload)\nesac\n", 0o755);
    host.put_file("/lib/systemd/system/nginx.service", UNIT.replace("[Install]", "ExecReload=x\n[Install]"), 0o644);
    host.put_file("/usr/sbin/nginx", "elf", 0o755);
    host.put_file("/etc/nginx/nginx.conf", "theirs\n", 0o644);
    let name = if manager == Manager::Sysv { "nginx" } else { "nginx.service" };
    let action = Service { test: Vec::new(), ..service(manager, name) };
    with(&host, &[], |cx| action.apply(cx)).unwrap();
    assert_eq!(host.starts("nginx.service"), 1);
    (host, action)
}

const WITH_RELOAD: [Manager; 2] = [Manager::Systemd, Manager::Sysv];

#[test]
fn what_was_reloaded_is_reloaded_when_it_comes_back_and_not_restarted() {
    for manager in WITH_RELOAD {
        let (host, action) = web_server(manager);
        host.put_file("/etc/nginx/logo.conf", "ours\n", 0o644);
        let records = with(&host, &["web.logo"], |cx| action.prepare(cx)).unwrap();
        with(&host, &["web.logo"], |cx| action.apply(cx)).unwrap();
        assert!(host.has_read("nginx.service").iter().any(|file| file.contains("ours")), "{manager:?}");
        host.take_away("/etc/nginx/logo.conf");
        carry(&host, &records, undo).unwrap();
        let done = carry(&host, &records, restore_service).unwrap();
        assert!(matches!(&done, Undone::Done(told) if told.starts_with("reloaded nginx")), "{done:?}");
        assert_eq!((host.starts("nginx.service"), host.reloads("nginx.service")), (1, 2), "{manager:?}");
        assert_eq!(host.has_read("nginx.service"), ["/etc/nginx/nginx.conf: theirs\n"], "{manager:?}");
    }
}

#[test]
fn what_was_restarted_is_restarted_when_it_comes_back_although_it_could_reload() {
    let (host, action) = web_server(Manager::Systemd);
    let records = with(&host, &["web.site"], |cx| action.prepare(cx)).unwrap();
    with(&host, &["web.site"], |cx| action.apply(cx)).unwrap();
    carry(&host, &records, restore_service).unwrap();
    assert_eq!((host.starts("nginx.service"), host.reloads("nginx.service")), (3, 0));
}

#[test]
fn what_the_run_did_not_touch_is_not_touched_when_it_comes_back() {
    for manager in WITH_RELOAD {
        let (host, action) = web_server(manager);
        let disable: &[&str] = if manager == Manager::Sysv {
            &["update-rc.d", "nginx", "disable"]
        } else {
            &["systemctl", "disable", "nginx"]
        };
        host.run(&Command::new(disable.iter().copied())).unwrap();
        let records = with(&host, &[], |cx| action.prepare(cx)).unwrap();
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        assert!(manager.state(&host, &action.name).unwrap().enabled, "{manager:?}");
        carry(&host, &records, undo).unwrap();
        assert_eq!(carry(&host, &records, restore_service), Ok(Undone::Nothing));
        assert!(!manager.state(&host, &action.name).unwrap().enabled, "{manager:?}: it was not enabled before");
        assert_eq!((host.starts("nginx.service"), host.reloads("nginx.service")), (1, 0), "{manager:?}");
        assert!(runs(&host) || host.is_running("nginx.service"));
    }
}

#[test]
fn what_somebody_started_and_the_run_only_enabled_goes_on() {
    let (host, mut action) = ready(Manager::Systemd);
    with(&host, &[], |cx| action.apply(cx)).unwrap();
    action.running = false;
    let Undo::Service { manager, name, existed, was_enabled, .. } =
        with(&host, &[], |cx| action.prepare(cx)).unwrap().remove(0)
    else {
        panic!("no record")
    };
    let record = Undo::Service {
        manager,
        name,
        existed,
        was_active: false,
        was_enabled,
        steps: vec!["enable".to_owned()],
        test: Vec::new(),
        restart_after: Vec::new(),
        reload_after: Vec::new(),
    };
    assert_eq!(carry(&host, &[record], undo), Ok(Undone::Nothing));
    assert!(runs(&host), "the run did not start it");
}

#[test]
fn a_server_whose_configuration_somebody_broke_is_left_alone_until_it_is_mended() {
    for manager in WITH_RELOAD {
        for changed in ["web.logo", "web.site"] {
            let (host, action) = web_server(manager);
            let records = with(&host, &[changed], |cx| action.prepare(cx)).unwrap();
            with(&host, &[changed], |cx| action.apply(cx)).unwrap();
            let told = (host.starts("nginx.service"), host.reloads("nginx.service"));
            host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
            carry(&host, &records, undo).unwrap();
            let failure = carry(&host, &records, restore_service).unwrap_err();
            let said = failure.to_string();
            assert!(
                said.contains("not reloaded and keeps running") && said.contains("/etc/nginx/conf.d/theirs.conf:2"),
                "{said}"
            );
            assert!(failure.hint.unwrap().contains("`bringup rollback` again"));
            assert!(host.is_running("nginx.service"), "{manager:?}");
            assert_eq!((host.starts("nginx.service"), host.reloads("nginx.service")), told, "{manager:?}");
            host.take_away("/etc/nginx/conf.d/theirs.conf");
            assert!(matches!(carry(&host, &records, restore_service), Ok(Undone::Done(_))));
            assert!(host.is_running("nginx.service"), "{manager:?}");
        }
    }
}

#[test]
fn a_server_that_is_down_after_all_is_called_down() {
    let (host, action) = web_server(Manager::Systemd);
    let records = with(&host, &["web.site"], |cx| action.prepare(cx)).unwrap();
    host.run(&Command::new(["systemctl", "stop", "nginx.service"])).unwrap();
    host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
    let failure = carry(&host, &records, restore_service).unwrap_err();
    assert!(failure.to_string().contains("it is down") && failure.to_string().contains("theirs.conf:2"), "{failure}");
    host.take_away("/etc/nginx/conf.d/theirs.conf");
    host.break_service("nginx", Defect::Refuses);
    let failure = carry(&host, &records, restore_service).unwrap_err();
    assert!(failure.to_string().contains("could not start nginx.service again: it is down"), "{failure}");
}

#[test]
fn a_server_that_runs_is_told_nothing_when_its_configuration_is_broken_and_nothing_is_on_record() {
    for manager in WITH_RELOAD {
        let (host, action) = web_server(manager);
        host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
        for changed in ["web.logo", "web.site"] {
            let failure = with(&host, &[changed], |cx| action.prepare(cx)).unwrap_err();
            assert!(failure.to_string().contains("/etc/nginx/conf.d/theirs.conf:2"), "{failure}");
            with(&host, &[changed], |cx| action.apply(cx)).unwrap_err();
        }
        assert!(host.is_running("nginx.service"), "{manager:?}");
        assert_eq!((host.starts("nginx.service"), host.reloads("nginx.service")), (1, 0), "{manager:?}");
    }
}

/// What someone does to a service by hand, and systemd knows of it or not.
#[test]
fn what_somebody_turned_off_by_hand_the_next_run_turns_on() {
    let by_hand: [(Manager, &[&str]); 6] = [
        (Manager::Systemd, &["systemctl", "disable", "app.service"]),
        (Manager::Systemd, &["systemctl", "stop", "app.service"]),
        (Manager::Systemd, &["rm", "/etc/systemd/system/multi-user.target.wants/app.service"]),
        (Manager::Sysv, &["update-rc.d", "app", "disable"]),
        (Manager::Sysv, &["update-rc.d", "app", "remove"]),
        (Manager::Supervisor, &["supervisorctl", "stop", "app"]),
    ];
    for (manager, command) in by_hand {
        let (host, action) = ready(manager);
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        host.run(&Command::new(command.iter().copied())).unwrap();
        assert!(matches!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::WouldChange(_))), "{command:?}");
        with(&host, &[], |cx| action.apply(cx)).unwrap();
        assert_eq!(with(&host, &[], |cx| action.check(cx)), Ok(Verdict::Unchanged), "{command:?}");
        assert!(runs(&host), "{command:?}");
    }
}

#[test]
fn what_somebody_masked_is_refused_although_it_runs() {
    let (host, action) = ready(Manager::Systemd);
    with(&host, &[], |cx| action.apply(cx)).unwrap();
    // systemd does not know of the link yet, and calls the unit loaded and enabled.
    host.on(&["systemctl", "is-enabled"], |_, _| crate::host::fake::output(1, "masked\n", ""));
    let failure = with(&host, &["web.site"], |cx| action.check(cx)).unwrap_err();
    assert!(failure.hint.unwrap().contains("unmask"));
}
