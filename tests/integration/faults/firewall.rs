//! Every fault and every kill point of a change of the firewall, on a host in memory: whatever happens, the rules are
//! the former ones or all of ours, and nobody is locked out.

use bringup::host::fake::FakeHost;
use bringup::plan::Plan;
use serde_json::json;

use super::guarded::Guarded;
use super::{plan_of, planned};

const FIREWALL: Guarded = Guarded {
    fresh,
    plan,
    left_out: &["/var/lib/bringup"],
    assert_safe: |what, _, host| assert_nobody_cut_off(what, host),
};

fn plan(confirm: &str) -> Plan {
    let body = json!({"firewall": {"manager": "nftables", "name": "shop", "allow": ["443"], "confirm": confirm,
        "revert_after": 30}});
    plan_of(vec![planned("firewall.rules", body)])
}

/// SSH on 2222, and rules of somebody else.
fn fresh() -> FakeHost {
    let host = FakeHost::new();
    host.load_rules("table ip theirs {\n\tchain x {\n\t\ttcp dport 1 accept\n\t}\n}\n");
    host.occupy("sshd", "0.0.0.0:2222".parse().unwrap());
    host.connected("sshd: alice@pts/0", "10.0.0.1:2222", "192.0.2.7:51000");
    host
}

/// None of our rules, or all of them, with SSH.
fn assert_nobody_cut_off(what: &str, host: &FakeHost) {
    let rules = host.loaded_rules();
    assert!(rules.contains("tcp dport 1 accept"), "{what}: the rules of somebody else are gone:\n{rules}");
    let whole = rules.contains("policy drop") && rules.contains("tcp dport 2222 accept");
    assert!(whole || !rules.contains("inet bringup"), "{what}:\n{rules}");
}

#[test]
fn killed_at_any_change_a_resumed_run_ends_like_an_undisturbed_one() {
    FIREWALL.resumed_it_ends_like_an_undisturbed_one();
}

#[test]
fn killed_at_any_change_a_rollback_leads_back() {
    FIREWALL.a_rollback_leads_back();
}

#[test]
fn killed_before_it_was_confirmed_the_timer_leads_back_and_the_journal_agrees() {
    FIREWALL.the_timer_leads_back_and_the_journal_agrees();
}

#[test]
fn a_power_cut_at_any_change_leaves_the_rules_of_before_or_those_that_were_confirmed() {
    FIREWALL.killed_everywhere("none", |what, host| {
        let standing = host.text("/etc/systemd/system/sysinit.target.wants/bringup-firewall.service").is_some();
        host.reboot();
        let rules = host.loaded_rules();
        assert_eq!(standing, rules.contains("tcp dport 2222 accept"), "{what}:\n{rules}");
        assert_eq!(standing, rules.contains("policy drop"), "{what}:\n{rules}");
    });
}

#[test]
fn whatever_change_fails_the_run_is_rolled_back_by_itself() {
    FIREWALL.whatever_change_fails_it_is_rolled_back();
}
