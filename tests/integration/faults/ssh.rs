//! Every fault and every kill point of a change of SSH itself, on a host in memory: whatever happens, the server
//! listens where it did or where somebody has logged in, and untested settings are not on the disk.

use bringup::host::fake::FakeHost;
use bringup::plan::Plan;
use serde_json::json;

use super::guarded::Guarded;
use super::{plan_of, planned};

// The kernel's view is compared through what is in force.
const SSH: Guarded =
    Guarded { fresh, plan, left_out: &["/var/lib/bringup", "/proc"], assert_safe: assert_somebody_gets_in };

fn plan(confirm: &str) -> Plan {
    let body = json!({"sshd": {"port": 2222, "keys_only": true, "confirm": confirm, "revert_after": 30}});
    plan_of(vec![planned("ssh.server", body)])
}

/// SSH on 22, said in the main file.
fn fresh() -> FakeHost {
    let host = FakeHost::new().with_sshd("Port 22\n");
    host.connected("sshd: alice@pts/0", "10.0.0.1:22", "192.0.2.7:51000");
    host
}

fn listens(host: &FakeHost, port: u16) -> bool {
    host.sshd_in_force().lines().any(|line| line.starts_with("listenaddress ") && line.ends_with(&format!(":{port}")))
}

fn assert_somebody_gets_in(what: &str, confirm: &str, host: &FakeHost) {
    assert!(listens(host, 22) || confirm == "none", "{what}: nobody gets in on the old port");
    assert!(listens(host, 22) || listens(host, 2222), "{what}: nobody gets in");
}

#[test]
fn killed_at_any_change_a_resumed_run_ends_like_an_undisturbed_one() {
    let undisturbed = SSH.resumed_it_ends_like_an_undisturbed_one();
    assert!(listens(&undisturbed, 2222) && !listens(&undisturbed, 22));
    assert!(undisturbed.sshd_in_force().contains("passwordauthentication no"));
}

#[test]
fn killed_at_any_change_a_rollback_leads_back() {
    SSH.a_rollback_leads_back();
}

#[test]
fn killed_before_it_was_confirmed_the_timer_leads_back_and_the_journal_agrees() {
    SSH.the_timer_leads_back_and_the_journal_agrees();
}

#[test]
fn a_power_cut_at_any_change_leaves_a_server_on_the_old_port_until_the_new_one_was_tried() {
    let lines = std::sync::Mutex::new(Vec::new());
    SSH.killed_everywhere("new_connection", |what, host| {
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
    SSH.whatever_change_fails_it_is_rolled_back();
}
