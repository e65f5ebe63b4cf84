//! Every fault and every kill point of a change of SSH itself, on a machine in memory: whatever happens, the server
//! listens where it did or where somebody has logged in, and what nobody tried is not on the disk.

use bringup::action::Action;
use bringup::answers::OnFailure;
use bringup::engine::deadman;
use bringup::engine::rollback::{Options, roll_back};
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost, Snapshot};
use bringup::plan::Plan;
use bringup::secret::Secrets;
use serde_json::json;

use super::{newest, plan_of, planned, run_plan};

const CUTS: [Cut; 3] = [Cut::Before, Cut::Halfway, Cut::After];

fn plan(confirm: &str) -> Plan {
    let body = json!({"sshd": {"port": 2222, "keys_only": true, "confirm": confirm, "revert_after": 30}});
    let _: Action = serde_json::from_value(body.clone()).unwrap();
    plan_of(vec![planned("ssh.server", body)])
}

/// SSH on 22, said in the main file.
fn fresh() -> FakeHost {
    let host = FakeHost::new().with_sshd("Port 22\n");
    host.connected("sshd: alice@pts/0", "10.0.0.1:22", "192.0.2.7:51000");
    host
}

fn seen(host: &FakeHost) -> Snapshot {
    // The kernel's view is compared through what is in force.
    host.snapshot(&["/var/lib/bringup", "/proc"])
}

fn run(host: &FakeHost, confirm: &str, on_failure: OnFailure) -> Exit {
    run_plan(host, &plan(confirm), &Secrets::default(), on_failure)
}

fn back(host: &FakeHost) {
    let Some((dir, Ok(mut journal))) = newest(host) else { return };
    let report = roll_back(host, &dir, &mut journal, &Options::default(), &|_| {}).unwrap();
    assert_eq!(report.errors, Vec::new());
}

#[track_caller]
fn assert_same(what: &str, now: &FakeHost, then: &Snapshot) {
    let differences = seen(now).differences(then);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}

fn listens(host: &FakeHost, port: u16) -> bool {
    host.sshd_in_force().lines().any(|line| line.starts_with("listenaddress ") && line.ends_with(&format!(":{port}")))
}

fn changes(confirm: &str) -> u64 {
    let host = fresh();
    run(&host, confirm, OnFailure::Rollback);
    host.changes()
}

/// Kills the run at each of its changes, in each way.
fn killed_everywhere(confirm: &str, judge: impl Fn(&str, &FakeHost)) {
    let all = changes(confirm);
    assert!(all > 15, "only {all} changes");
    for n in 1..=all {
        for cut in CUTS {
            let host = fresh();
            host.kill_after(n, cut);
            run(&host, confirm, OnFailure::Rollback);
            host.revive();
            let what = format!("{confirm}, killed at change {n} of {all}, {cut:?}");
            assert!(listens(&host, 22) || confirm == "none", "{what}: nobody gets in on the old port");
            assert!(listens(&host, 22) || listens(&host, 2222), "{what}: nobody gets in");
            judge(&what, &host);
        }
    }
}

#[test]
fn killed_at_any_change_a_resumed_run_ends_like_an_undisturbed_one() {
    let undisturbed = fresh();
    assert_eq!(run(&undisturbed, "none", OnFailure::Rollback), Exit::Done);
    assert!(listens(&undisturbed, 2222) && !listens(&undisturbed, 22));
    assert!(undisturbed.sshd_in_force().contains("passwordauthentication no"));
    let end = seen(&undisturbed);
    killed_everywhere("none", |what, host| {
        assert_eq!(run(host, "none", OnFailure::Stop), Exit::Done, "{what}");
        assert_same(what, host, &end);
    });
}

#[test]
fn killed_at_any_change_a_rollback_leads_back() {
    let before = seen(&fresh());
    killed_everywhere("none", |what, host| {
        back(host);
        assert_same(what, host, &before);
    });
}

#[test]
fn killed_before_it_was_confirmed_the_timer_leads_back_and_the_journal_agrees() {
    let before = seen(&fresh());
    killed_everywhere("new_connection", |what, host| {
        // What PID 1 does when the time is up.
        deadman::fire(host, 0).ok();
        assert_same(what, host, &before);
        back(host);
        assert_same(what, host, &before);
    });
}

#[test]
fn a_power_cut_at_any_change_leaves_a_server_on_the_old_port_until_the_new_one_was_tried() {
    let lines = std::sync::Mutex::new(Vec::new());
    killed_everywhere("new_connection", |what, host| {
        host.reboot();
        host.sshd_reads();
        assert!(listens(host, 22), "{what}");
        if host.sshd_in_force().contains("passwordauthentication no") {
            lines.lock().unwrap().push(what.to_owned());
        }
    });
    // Only while the server reads the files do they lie on the disk.
    let lines = lines.into_inner().unwrap();
    assert!((1..=24).contains(&lines.len()), "{lines:#?}");
}

#[test]
fn whatever_change_fails_the_run_is_rolled_back_by_itself() {
    let before = seen(&fresh());
    for n in 1..=changes("none") {
        let host = fresh();
        host.fail_after(n);
        let exit = run(&host, "none", OnFailure::Rollback);
        if exit == Exit::Done {
            continue;
        }
        if exit != Exit::RolledBack {
            back(&host);
        }
        assert_same(&format!("failure at change {n}"), &host, &before);
    }
}
