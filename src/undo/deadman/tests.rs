#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};

use super::*;
use crate::action::carry::CARRY;
use crate::host::fake::{FakeHost, output};

const FLAG: &str = "/etc/changed";

/// A host with SSH, where alice is logged in and a stranger knocks.
fn host() -> FakeHost {
    let host = FakeHost::new();
    host.put_file("/var/lib/bringup/runs/r/blobs/.keep", "", 0o600);
    host.occupy("sshd", "0.0.0.0:22".parse().unwrap());
    host.connected("sshd: alice@pts/0", "10.0.0.1:22", "192.0.2.7:51000");
    host.connected("sshd: [accepted]", "10.0.0.1:22", "203.0.113.9:40000");
    host
}

/// Changes the host under the switch; `meanwhile` happens whenever the reader hears how much time is left.
fn change(host: &FakeHost, confirm: Confirm, meanwhile: impl Fn(u64)) -> Outcome<()> {
    change_way(host, confirm, None, meanwhile)
}

/// The same for a change of SSH itself.
fn change_way(
    host: &FakeHost,
    confirm: Confirm,
    endpoint: Option<SshEndpoint>,
    meanwhile: impl Fn(u64),
) -> Outcome<()> {
    let blobs = Blobs::new("/var/lib/bringup/runs/r/blobs");
    let restore = vec![Undo::Remove { path: FLAG.into() }];
    let log = Path::new("/var/lib/bringup/log");
    let guard = GuardedChange {
        what: "the firewall",
        hint: "log in",
        confirm,
        seconds: 60,
        endpoint,
        knock: &[],
        restore,
        blobs: &blobs,
        log,
        carry: CARRY,
    };
    // The engine's closures must be shareable; a test has one thread.
    let told = std::sync::Mutex::new(Vec::new());
    let done = std::thread::scope(|scope| {
        let (done, heard) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let (told, ack) = (&told, std::sync::Mutex::new((done.0, heard.1)));
        let worker = scope.spawn(move || {
            guarded(
                host,
                &guard,
                &|progress| {
                    let Progress::Deadline { left, .. } = &progress else { return };
                    told.lock().unwrap().push(*left);
                    let ack = ack.lock().unwrap();
                    ack.0.send(*left).unwrap();
                    ack.1.recv().unwrap();
                },
                &mut || {
                    host.put_file(FLAG, "", 0o644);
                    Ok(())
                },
            )
        });
        while let Ok(left) = done.1.recv() {
            meanwhile(left);
            heard.0.send(()).unwrap();
        }
        worker.join().unwrap()
    });
    let told = told.into_inner().unwrap();
    assert!(told.windows(2).all(|pair| pair[0] > pair[1]), "{told:?}");
    done
}

fn is_changed(host: &FakeHost) -> bool {
    host.text(FLAG).is_some()
}

#[test]
fn a_new_connection_from_where_somebody_was_logged_in_keeps_the_change() {
    let host = host();
    let come = |left| {
        if left == 50 {
            host.connected("sshd: [accepted]", "10.0.0.1:22", "192.0.2.7:51001");
        }
    };
    change(&host, Confirm::NewConnection, come).unwrap();
    assert!(is_changed(&host));
    // The timer may go off late: it finds nothing to do.
    expire(&host, 0, CARRY).unwrap();
    assert!(is_changed(&host));
    let commands: Vec<String> = host.commands().iter().map(|command| command.argv.join(" ")).collect();
    assert!(commands.iter().any(|line| line.starts_with("systemd-run ") && line.contains("--on-active=60")));
    assert!(commands.iter().any(|line| line.contains("--on-active=180")), "armed before the change");
    assert!(
        commands.last().unwrap().starts_with("systemctl reset-failed -- bringup-deadman-early.timer"),
        "{commands:?}"
    );
}

#[test]
fn neither_old_connections_nor_strangers_who_knock_nor_this_host_itself_count() {
    let host = host();
    let come = |left: u64| {
        let port = 60_000 + left;
        host.connected("sshd: root [net]", "10.0.0.1:22", &format!("198.51.100.4:{port}"));
        host.connected("sshd: root@pts/1", "127.0.0.1:22", &format!("127.0.0.1:{port}"));
        host.connected("nginx: worker", "10.0.0.1:443", &format!("192.0.2.7:{port}"));
    };
    let failure = change(&host, Confirm::NewConnection, come).unwrap_err();
    assert!(failure.why.contains("within 60 s") && failure.hint.is_some(), "{failure}");
    assert!(!is_changed(&host));
}

#[test]
fn of_a_new_way_in_only_a_login_on_it_counts() {
    let endpoint = SshEndpoint { port: 2222, addresses: vec!["10.0.0.1".parse().unwrap()] };
    assert!(endpoint.leads("10.0.0.1:2222".parse().unwrap()));
    assert!(!endpoint.leads("10.0.0.1:22".parse().unwrap()) && !endpoint.leads("10.0.0.2:2222".parse().unwrap()));
    let host = host();
    let come = |left: u64| {
        let port = 60_000 + left;
        match left {
            // On the old port; on the new one, but not logged in; logged in at another address.
            50 => host.connected("sshd: alice@pts/1", "10.0.0.1:22", &format!("192.0.2.7:{port}")),
            40 => host.connected("sshd: alice [preauth]", "10.0.0.1:2222", &format!("192.0.2.7:{port}")),
            30 => host.connected("sshd: alice@pts/1", "10.0.0.2:2222", &format!("192.0.2.7:{port}")),
            20 => {
                host.set_env("SSH_CONNECTION", &format!("192.0.2.7 {port} 10.0.0.1 22"));
                assert!(confirm(&host).unwrap_err().why.contains("the old way"));
            }
            _ => {}
        }
    };
    assert!(change_way(&host, Confirm::NewConnection, Some(endpoint.clone()), come).is_err());
    let come = |left: u64| {
        if left == 50 {
            host.connected("sshd: alice@pts/2", "10.0.0.1:2222", "192.0.2.7:61000");
        }
    };
    change_way(&host, Confirm::NewConnection, Some(endpoint), come).unwrap();
    assert!(is_changed(&host));
}

#[test]
fn somebody_who_logs_in_from_elsewhere_counts() {
    let host = host();
    let come = |left| {
        if left == 30 {
            host.connected("sshd-session: bob@notty", "10.0.0.1:22", "198.51.100.4:1234");
        }
    };
    change(&host, Confirm::NewConnection, come).unwrap();
    assert!(is_changed(&host));
}

#[test]
fn the_command_confirms_only_in_a_session_that_is_new() {
    let host = host();
    let refused = RefCell::new(Vec::new());
    let come = |left| match left {
        50 => refused.borrow_mut().push(confirm(&host).unwrap_err()),
        40 => {
            host.set_env("SSH_CONNECTION", "192.0.2.7 51000 10.0.0.1 22");
            refused.borrow_mut().push(confirm(&host).unwrap_err());
        }
        30 => {
            host.set_env("SSH_CONNECTION", "::ffff:198.51.100.4 1234 10.0.0.1 22");
            assert_eq!(confirm(&host).as_deref(), Ok("the firewall"));
        }
        _ => {}
    };
    change(&host, Confirm::NewConnection, come).unwrap();
    assert!(is_changed(&host));
    let refused = refused.into_inner();
    assert!(refused[0].why.contains("no SSH session"), "{}", refused[0]);
    assert!(refused[1].why.contains("older than the change"), "{}", refused[1]);
    assert!(confirm(&host).unwrap_err().why.contains("none waits"));
}

#[test]
fn at_the_console_the_command_confirms_when_the_answers_say_so() {
    let host = host();
    let confirmed = Cell::new(false);
    let come = |left| {
        if left == 59 {
            confirmed.set(confirm(&host).is_ok());
        }
    };
    change(&host, Confirm::Local, come).unwrap();
    assert!(confirmed.get() && is_changed(&host));
}

#[test]
fn the_timer_puts_the_change_back_and_the_run_hears_of_it() {
    let host = host();
    let come = |left| {
        if left == 20 {
            expire(&host, 0, CARRY).unwrap();
            assert!(!is_changed(&host));
            let last = host.commands().last().unwrap().argv.join(" ");
            assert_eq!(last, "systemctl stop -- bringup-deadman-early.timer bringup-deadman.timer");
        }
    };
    assert!(change(&host, Confirm::NewConnection, come).unwrap_err().why.contains("again as it was before"));
    assert!(confirm(&host).unwrap_err().why.contains("nobody confirmed"));
}

#[test]
fn what_cannot_be_put_back_at_first_is_tried_again_and_told() {
    let host = host();
    let come = |left| {
        if left == 20 {
            host.fail_after(host.changes() + 1);
            expire(&host, 0, CARRY).unwrap();
            assert!(!is_changed(&host), "one failure is no reason to give up");
        }
    };
    assert!(change(&host, Confirm::Local, come).is_err());
}

#[test]
fn without_a_timer_nothing_is_changed() {
    let host = host();
    host.on(&["systemd-run"], |_, _| output(1, "", "Failed to start transient timer unit\n"));
    let failure = change(&host, Confirm::None, |_| {}).unwrap_err();
    assert!(failure.tail.join("").contains("transient timer"), "{failure:?}");
    assert!(!is_changed(&host));
    expire(&host, 0, CARRY).unwrap();
}

#[test]
fn without_systemd_a_process_of_its_own_waits() {
    let host = host().without_systemd();
    host.put_file("/var/lib/bringup/runs/r/bringup", "program", 0o700);
    change(&host, Confirm::None, |_| {}).unwrap();
    let commands: Vec<String> = host.commands().iter().map(|command| command.argv.join(" ")).collect();
    assert!(
        commands.contains(&"setsid --fork /var/lib/bringup/runs/r/bringup deadman --wait=180".to_owned()),
        "{commands:?}"
    );
    expire(&host, 60, CARRY).unwrap();
    assert!(is_changed(&host));
}

#[test]
fn a_run_that_died_leaves_a_switch_that_the_next_one_uses_first() {
    let host = host();
    let come = |left| {
        if left == 50 {
            host.die();
        }
    };
    assert!(change(&host, Confirm::NewConnection, come).is_err());
    host.revive();
    assert!(is_changed(&host), "its timer still runs");
    revert_now(&host, CARRY);
    assert!(!is_changed(&host));
}

#[test]
fn a_switch_of_an_earlier_boot_guards_nothing() {
    let host = host();
    host.put_file("/proc/sys/kernel/random/boot_id", "one\n", 0o444);
    let come = |left| {
        if left == 50 {
            host.die();
        }
    };
    assert!(change(&host, Confirm::Local, come).is_err());
    host.revive();
    host.put_file("/proc/sys/kernel/random/boot_id", "two\n", 0o444);
    revert_now(&host, CARRY);
    expire(&host, 0, CARRY).unwrap();
    assert!(is_changed(&host));
    assert!(confirm(&host).is_err());
}

#[test]
fn a_change_that_fails_tells_what_could_not_be_put_back() {
    let host = host();
    host.on(&["mend"], |_, _| output(1, "", "no luck\n"));
    let (argv, describe) = (vec!["mend".to_owned()], "it".to_owned());
    let restore = vec![Undo::Command { argv, user: String::new(), cwd: "/".into(), describe }];
    let (blobs, log) = (Blobs::new("/var/lib/bringup/runs/r/blobs"), Path::new("/var/lib/bringup/log"));
    let confirm = Confirm::None;
    let guard = GuardedChange {
        what: "it",
        hint: "",
        confirm,
        seconds: 5,
        endpoint: None,
        knock: &[],
        restore,
        blobs: &blobs,
        log,
        carry: CARRY,
    };
    let failure = guarded(&host, &guard, &|_| {}, &mut || Err(Failure::new("change it", "it broke"))).unwrap_err();
    assert!(failure.why.starts_with("it broke; and not all of it could be reverted: "), "{failure}");
}
