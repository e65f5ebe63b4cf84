//! Killed anywhere, a run can be resumed to the same end and rolled back to the same beginning.

use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::host::{Ended, Host, Init, answers, every};

fn quickstart() -> String {
    answers(&[("web.host", "app.example.test")])
}

/// Where a kill leaves a state that no other kill leaves: with a change announced and not made (after a
/// `begin`), and with a change made and not recorded (before an `end`). Taken from a real run's journal.
fn kill_points(host: &Host) -> Vec<String> {
    let journal = host.sh("cat $(ls -d /var/lib/bringup/runs/*/ | tail -1)journal.jsonl").expect(0).stdout;
    let points: Vec<String> = journal
        .lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let line_number = at + 1;
            if line.contains("\"record\":\"begin\"") {
                Some(format!("after:{line_number}"))
            } else if line.contains("\"record\":\"end\"") || line.contains("\"record\":\"finished\"") {
                Some(format!("before:{line_number}"))
            } else {
                None
            }
        })
        .collect();
    assert!(points.len() > 10, "the journal has too few boundaries to believe:\n{journal}");
    points
}

/// Paths with type, mode and owner, without contents: keys and secrets differ between two installs.
fn shape(host: &Host) -> Vec<String> {
    let find = "find /etc /opt /srv /usr /var/lib -xdev -printf '%y %m %u %g %p\\n' | \
                grep -v -e /var/lib/bringup -e /var/lib/apt/lists -e /var/lib/systemd -e -old -e '~$' -e __pycache__ | sort";
    host.sh(find).expect(0).stdout.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn killed_at_every_boundary_a_resumed_run_ends_like_an_undisturbed_one() {
    let undisturbed = Host::start("bookworm", Init::Systemd);
    undisturbed.bringup(&quickstart()).expect(0);

    let host = Host::start("bookworm", Init::Systemd);
    let mut line = 2;
    let mut ended = host.bringup_env(&["BRINGUP_KILL=before:2"], &quickstart());
    let mut kills = 0;
    // After a line nothing of the next one is done yet, before that all of it is. Otherwise both take turns.
    while ended.status != 0 {
        assert_eq!(ended.status, 4, "{}", ended.both());
        kills += 1;
        assert!(kills < 400, "the run does not get anywhere");
        let wish = if kills % 2 == 1 { format!("after:{line}") } else { format!("before:{}", line + 1) };
        ended = host.exec_env(&[&format!("BRINGUP_KILL={wish}")], &["bringup", "resume", "--yes", "--plain"]);
        line += if kills % 2 == 0 { 1 } else { every(3) - 1 };
    }
    println!("killed at {kills} boundaries");
    assert!(kills > 10);
    host.exec(&["bringup", "verify"]).expect(0);
    assert_eq!(shape(&host), shape(&undisturbed));
    let again = host.bringup(&quickstart()).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
}

/// A whole guide: its run is killed at ten boundaries of the journal or more and its rollback at ten more, spread over
/// it as `BRINGUP_TEST_SEED` has it. What is resumed ends like an undisturbed run, and goes without a trace.
pub fn killed_and_resumed(host: &Host, env: &[&str], answers: &str, rollback: &[&str]) {
    let seed = std::env::var("BRINGUP_TEST_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    println!("BRINGUP_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let before = host.manifest("before");
    host.bringup_env(&[env, &["BRINGUP_KILL=before:2"]].concat(), answers).expect(4);
    let plan = host.sh("cat $(ls -d /var/lib/bringup/runs/*/ | tail -1)plan.json").expect(0).stdout;
    let actions = serde_json::from_str::<serde_json::Value>(&plan).unwrap()["actions"].as_array().unwrap().len();
    let mut killed = |from: usize, records: usize, command: &[&str]| {
        let mut at = Vec::new();
        loop {
            let line = (from + (records * at.len() + dice.roll(records)) / 12).max(host.journal_lines() + 1);
            let wish = format!("BRINGUP_KILL={}:{line}", ["before", "after"][dice.roll(2)]);
            let ended = host.exec_env(&[env, &[&wish]].concat(), command);
            if ended.status == 0 {
                break;
            }
            assert_eq!(ended.status, 4, "{wish}: {}", ended.both());
            at.push(line);
            // What fails each time ends with 4, too.
            assert!(at.len() < 4 * actions, "it does not get anywhere: {}", ended.both());
        }
        println!("{} of {actions} actions: killed at {at:?}", command.join(" "));
        // A rollback writes nothing about actions that changed nothing: in a small plan it is shorter.
        assert!(at.len() >= 8, "{at:?}");
    };
    // An action begins and ends, and is undone at once.
    killed(0, 2 * actions, &["bringup", "resume", "--yes", "--plain"]);
    host.exec(&["bringup", "verify", "--plain"]).expect(0);
    let again = host.bringup_env(env, answers).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    killed(host.journal_lines(), actions, rollback);
    host.assert_identical(&before);
}

/// Every fourth kill point of one kind: the points of both kinds take turns, beginning with `first`.
/// `tests/integration/faults` has all of them on a machine in memory; here each costs a run and its rollback. The server
/// has the packages already, so that most of each run is not theirs; the tests of the package transaction and of the
/// power's loss begin without them.
fn rolled_back_after_kills(first: usize) {
    let host = &Host::start("bookworm", Init::Systemd);
    host.write("/tmp/answers.yaml", &quickstart());
    let plan = host.exec(&["bringup", "plan", "--json", "--answers", "/tmp/answers.yaml"]).expect(7).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let names = plan["plan"]["actions"][0]["packages"]["names"].as_array().unwrap();
    let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    host.sh(&format!("apt-get install -y -q --no-install-recommends {} >/dev/null", names.join(" "))).expect(0);
    let before = host.manifest("before");
    host.bringup(&quickstart()).expect(0);
    let points = kill_points(host);
    host.roll_back_all();
    host.assert_identical(&before);
    for point in points.iter().skip(first).step_by(2 * every(4)) {
        let wish = format!("BRINGUP_KILL={point}");
        host.bringup_env(&[&wish], &quickstart()).expect(4);
        host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
        let difference = host.difference(&before);
        assert!(difference.is_empty(), "killed {point}, the host is not as it was:\n{difference}");
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn killed_with_a_change_announced_and_not_made_a_rollback_leads_back() {
    rolled_back_after_kills(0);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn killed_with_a_change_made_and_not_recorded_a_rollback_leads_back() {
    rolled_back_after_kills(1);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_killed_rollback_goes_on() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    host.bringup(&quickstart()).expect(0);
    let lines = host.journal_lines();
    // The rollback begins one record later; then each of its own boundaries.
    let mut ended = Ended { status: 4, stdout: String::new(), stderr: String::new() };
    let mut line = lines + 1;
    while ended.status != 0 {
        assert_eq!(ended.status, 4, "{}", ended.both());
        let wish = format!("BRINGUP_KILL=after:{line}");
        ended = host.exec_env(&[&wish], &["bringup", "rollback", "--yes", "--plain"]);
        line += 2 * every(3);
        assert!(line < lines + 400, "the rollback does not get anywhere");
    }
    host.assert_identical(&before);
}

/// Prints the processes that execute a run. A fresh Debian has no pgrep; the brackets keep grep from finding itself.
const WORKING: &str = "grep -l -s -z -x -e 'e[x]ecute' /proc/[0-9]*/cmdline";

/// Starts a run and returns when dpkg is at work in its package transaction.
fn in_the_package_transaction(host: &Host) {
    host.write("/tmp/answers.yaml", &quickstart());
    host.sh("nohup bringup --plain --answers /tmp/answers.yaml > /tmp/out 2>&1 &").expect(0);
    let start = Instant::now();
    let unpacking = "grep -q -i -e unpack /var/lib/bringup/runs/*/events.jsonl && \
                     grep -l -z -x -e '.*dp[k]g' /proc/[0-9]*/cmdline";
    while host.sh(unpacking).status != 0 {
        assert!(start.elapsed() < Duration::from_mins(2), "dpkg was never seen at work");
    }
}

fn killed_in_the_package_transaction(how: impl Fn(&Host), then: &str) {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    in_the_package_transaction(&host);
    assert_ne!(host.sh(WORKING).stdout, "", "the run was already over");
    how(&host);
    assert_eq!(host.sh(WORKING).stdout, "", "the run should be dead");
    if then == "resume" {
        host.exec(&["bringup", "resume", "--yes", "--plain"]).expect(0);
        host.exec(&["bringup", "verify"]).expect(0);
    }
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}

fn kill(host: &Host) {
    let kill =
        format!("for f in $({WORKING}); do f=${{f#/proc/}}; kill -9 ${{f%%/*}}; done; while {WORKING}; do :; done");
    host.sh(&kill).expect(0);
}

fn cut(host: &Host) {
    host.cut();
    host.boot();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn killed_in_the_package_transaction_it_resumes() {
    killed_in_the_package_transaction(kill, "resume");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn killed_in_the_package_transaction_it_rolls_back() {
    killed_in_the_package_transaction(kill, "rollback");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn without_power_in_the_package_transaction_it_resumes() {
    killed_in_the_package_transaction(cut, "resume");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn without_power_in_the_package_transaction_it_rolls_back() {
    killed_in_the_package_transaction(cut, "rollback");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn without_power_at_some_boundaries_it_goes_on_or_back() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    host.bringup(&quickstart()).expect(0);
    let points = kill_points(&host);
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    let last = points.len() - 1;
    for (n, at) in [0, last / 3, 2 * last / 3, last].into_iter().enumerate() {
        let wish = format!("BRINGUP_KILL={}", points[at]);
        for resumed in [n % 2 == 0, n % 2 == 1].into_iter().step_by(every(2)) {
            host.bringup_env(&[&wish], &quickstart()).expect(4);
            cut(&host);
            if resumed {
                host.exec(&["bringup", "resume", "--yes", "--plain"]).expect(0);
                host.exec(&["bringup", "verify"]).expect(0);
            }
            host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
            host.assert_identical(&before);
        }
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_run_survives_the_death_of_its_follower() {
    for signal in ["HUP", "KILL", "INT", "TERM"].into_iter().step_by(every(2)) {
        let host = Host::start("bookworm", Init::Systemd);
        host.write("/tmp/answers.yaml", &quickstart());
        // In the background a shell's children would ignore INT.
        let follower = host.sh(&format!(
            "(until ls /var/lib/bringup/runs/*/events.jsonl; do sleep 0.1; done >/dev/null 2>&1; sleep 0.5; \
             kill -s {signal} $(cat /tmp/pid)) & \
             sh -c 'echo $$ >/tmp/pid; exec bringup --plain --answers /tmp/answers.yaml'"
        ));
        assert_ne!(follower.status, 0, "the follower was to die of {signal}");
        let attached = host.exec(&["bringup", "attach", "--plain"]).expect(0);
        assert!(attached.both().contains("nginx"), "attach shows nothing:\n{}", attached.both());
        host.exec(&["bringup", "verify"]).expect(0);
    }
}
