#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fake::{FakeHost, output};
use crate::secret::Secrets;

const TIMER: &str = "app-backup.timer";
const SERVICE: &str = "app-backup.service";

fn proof() -> Timer {
    serde_json::from_value(serde_json::json!({
        "describe": "backups are made every night", "unit": TIMER, "start": true, "max_age": 26,
        "newest": {"directory": "/var/backups/app", "prefix": "app-", "suffix": ".tar.gz"},
    }))
    .unwrap()
}

fn shown(at: i64) -> String {
    jiff::Timestamp::from_second(at).unwrap().strftime("%a %Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A timer that is in order, and a service whose state is `service`.
fn host(service: impl Fn(&FakeHost) -> String) -> FakeHost {
    let host = FakeHost::new();
    let now = host.now().sec;
    let timer = format!(
        "LoadState=loaded\nActiveState=active\nSubState=waiting\nUnitFileState=enabled\nUnit={SERVICE}\n\
         LastTriggerUSec=n/a\nActiveEnterTimestamp={}\nNextElapseUSecRealtime={}\n",
        shown(now - 600),
        shown(now + 3600)
    );
    let service = service(&host);
    host.on(&["systemctl", "show", TIMER], move |_, _| output(0, &timer, ""));
    host.on(&["systemctl", "show", SERVICE], move |_, _| output(0, &service, ""));
    host
}

fn ended(hours: i64, result: &'static str) -> impl Fn(&FakeHost) -> String {
    move |host| {
        let state = if result == "success" { "inactive" } else { "failed" };
        let at = shown(host.now().sec - hours * 3600);
        format!("LoadState=loaded\nActiveState={state}\nResult={result}\nExecMainExitTimestamp={at}\n")
    }
}

fn never(_: &FakeHost) -> String {
    "LoadState=loaded\nActiveState=inactive\nResult=success\nExecMainExitTimestamp=\n".to_owned()
}

fn prove(host: &FakeHost, proof: &Timer) -> Outcome<String> {
    proof.prove(&Context { host, secrets: &Secrets::default() })
}

#[test]
fn the_last_result_of_the_service_counts_and_not_that_the_timer_is_active() {
    let evidence = prove(&host(ended(3, "success")), &proof()).unwrap();
    assert!(evidence.starts_with("app-backup.service ended on ") && evidence.contains("; next on "), "{evidence}");

    let bad = host(ended(3, "exit-code"));
    bad.on(&["journalctl"], |_, _| output(0, "Access denied for user 'root'@'localhost'\n", ""));
    let failure = prove(&bad, &proof()).unwrap_err();
    assert!(failure.why.contains("failed: exit-code"), "{failure}");
    assert!(failure.tail[0].contains("Access denied"), "{failure:?}");
    assert!(!bad.commands().iter().any(|command| command.argv[1] == "start"), "what failed at night was tried anew");
}

#[test]
fn a_run_that_is_too_long_ago_is_no_proof() {
    let failure = prove(&host(ended(27, "success")), &proof()).unwrap_err();
    assert!(failure.why.ends_with("27 h ago; at most 26 h are expected"), "{failure}");
    // After a week without power, what was missed is made up for soon after the boot.
    let booted = host(ended(200, "success"));
    booted.put_file("/proc/uptime", "300.21 500.00\n", 0o444);
    prove(&booted, &proof()).unwrap();
}

#[test]
fn without_a_result_the_timers_own_unit_is_started() {
    let host = host(never);
    host.on(&["systemctl", "start"], |_, command| {
        assert_eq!(command.argv[2], SERVICE);
        output(1, "", "Job for app-backup.service failed.\n")
    });
    let after = "LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainExitTimestamp=\n";
    let asked = std::sync::atomic::AtomicBool::new(false);
    host.on(&["systemctl", "show", SERVICE], move |host, _| {
        let _ = host;
        let again = asked.swap(true, std::sync::atomic::Ordering::Relaxed);
        output(0, if again { after } else { "ActiveState=inactive\nResult=success\n" }, "")
    });
    let failure = prove(&host, &proof()).unwrap_err();
    assert!(failure.why.contains("failed: exit-code"), "{failure}");
}

#[test]
fn what_is_not_to_be_started_is_told_as_not_tried_until_its_time_has_passed() {
    let proof = Timer { start: false, newest: None, ..proof() };
    let evidence = prove(&host(never), &proof).unwrap();
    assert!(evidence.starts_with("not tried: app-backup.service: it has not been started yet; next on "), "{evidence}");

    let host = host(never);
    let timer = format!(
        "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nUnit={SERVICE}\nActiveEnterTimestamp={}\n\
         NextElapseUSecRealtime={}\n",
        shown(host.now().sec - 100 * 3600),
        shown(host.now().sec + 60)
    );
    host.on(&["systemctl", "show", TIMER], move |_, _| output(0, &timer, ""));
    let failure = prove(&host, &proof).unwrap_err();
    assert!(failure.why.contains("has never been started"), "{failure}");
}

#[test]
fn a_timer_that_will_not_elapse_is_told() {
    for (properties, why) in [
        ("LoadState=not-found\nActiveState=inactive\n", "is not-found"),
        ("LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n", "is inactive"),
        ("LoadState=masked\nActiveState=inactive\n", "is masked"),
        ("LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n", "would not be after a reboot"),
        (
            "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNextElapseUSecMonotonic=infinity\n",
            "never elapses",
        ),
    ] {
        let host = host(ended(1, "success"));
        host.on(&["systemctl", "show", TIMER], move |_, _| output(0, properties, ""));
        let failure = prove(&host, &proof()).unwrap_err();
        assert!(failure.why.contains(why), "{failure}");
    }
}

#[test]
fn without_systemd_the_age_of_the_newest_file_counts() {
    let host = FakeHost::new();
    let proof = Timer { unit: String::new(), ..proof() };
    assert!(prove(&host, &proof).unwrap_err().why.contains("there is no app-*.tar.gz in /var/backups/app"));
    host.put_file("/var/backups/app/untested-app.tar.gz", "", 0o600);
    assert!(prove(&host, &proof).is_err());
    host.put_file("/var/backups/app/app-first.tar.gz", "", 0o600);
    assert!(prove(&host, &proof).unwrap().starts_with("the newest is app-first.tar.gz, of "));
    host.sleep(Duration::from_hours(27));
    assert!(prove(&host, &proof).unwrap_err().why.contains("27 h ago"));
    host.put_file("/var/backups/app/app-20261129.tar.gz", "", 0o600);
    prove(&host, &proof).unwrap();
}

#[test]
fn after_a_reboot_the_newest_file_tells_and_nothing_is_started() {
    let host = host(never);
    host.put_file("/var/backups/app/app-first.tar.gz", "", 0o600);
    assert!(prove(&host, &proof()).unwrap().starts_with("the newest is app-first.tar.gz, of "));
    assert!(!host.commands().iter().any(|command| command.argv[1] == "start"));
}
