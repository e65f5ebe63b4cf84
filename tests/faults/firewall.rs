//! Every fault and every kill point of a change of the firewall, on a machine in memory: whatever happens, the
//! rules are those of before or all of ours, and nobody is cut off.

use bringup::action::Action;
use bringup::answers::OnFailure;
use bringup::engine::deadman;
use bringup::engine::rollback::{Options, roll_back};
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost, Snapshot};
use bringup::plan::{Plan, Planned};
use bringup::secret::Secrets;
use serde_json::json;

use super::{newest, run_plan};

const CUTS: [Cut; 3] = [Cut::Before, Cut::Halfway, Cut::After];

fn plan(confirm: &str) -> Plan {
    let body = json!({"firewall": {"manager": "nftables", "name": "shop", "allow": ["443"], "confirm": confirm,
        "revert_after": 30}});
    let action: Action = serde_json::from_value(body).unwrap();
    let planned = Planned {
        id: "firewall.rules".to_owned(),
        stage: "firewall".to_owned(),
        because: "the test".to_owned(),
        describe: action.act().describe(),
        reversible: action.act().reversible(),
        skippable: None,
        action,
    };
    Plan { actions: vec![planned], ..Plan::new("shop", "Shop") }
}

/// SSH on 2222, and rules of somebody else.
fn fresh() -> FakeHost {
    let host = FakeHost::new();
    host.load_rules("table ip theirs {\n\tchain x {\n\t\ttcp dport 1 accept\n\t}\n}\n");
    host.occupy("sshd", "0.0.0.0:2222".parse().unwrap());
    host.connected("sshd: alice@pts/0", "10.0.0.1:2222", "192.0.2.7:51000");
    host
}

fn seen(host: &FakeHost) -> Snapshot {
    host.snapshot(&["/var/lib/bringup"])
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

/// None of our rules, or all of them, with SSH.
#[track_caller]
fn assert_nobody_cut_off(what: &str, host: &FakeHost) {
    let rules = host.loaded_rules();
    assert!(rules.contains("tcp dport 1 accept"), "{what}: the rules of somebody else are gone:\n{rules}");
    let whole = rules.contains("policy drop") && rules.contains("tcp dport 2222 accept");
    assert!(whole || !rules.contains("inet bringup"), "{what}:\n{rules}");
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
            assert_nobody_cut_off(&what, &host);
            judge(&what, &host);
        }
    }
}

#[test]
fn killed_at_any_change_a_resumed_run_ends_like_an_undisturbed_one() {
    let undisturbed = fresh();
    assert_eq!(run(&undisturbed, "none", OnFailure::Rollback), Exit::Done);
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
        assert_eq!(newest(host).and_then(|(_, journal)| journal.ok()).map_or(0, |journal| journal.standing()), 0);
    });
}

#[test]
fn a_power_cut_at_any_change_leaves_the_rules_of_before_or_those_that_were_confirmed() {
    killed_everywhere("none", |what, host| {
        let standing = host.text("/etc/systemd/system/sysinit.target.wants/bringup-firewall.service").is_some();
        host.reboot();
        let rules = host.loaded_rules();
        assert_eq!(standing, rules.contains("tcp dport 2222 accept"), "{what}:\n{rules}");
        assert_eq!(standing, rules.contains("policy drop"), "{what}:\n{rules}");
    });
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
