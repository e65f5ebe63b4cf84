//! Things with the planned names that belong to others: refused, or handed over and restored.

use std::collections::BTreeMap;

use bringup::engine::launch;
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost};
use bringup::host::{Command, Host as _};
use bringup::plan::Plan;
use serde_json::json;

use super::{assert_same, back, plan_of, planned, run_plan, seen};
use bringup::answers::OnFailure;
use bringup::secret::Secrets;

const THEIRS: &str = "[Service]\nUser=shop\nExecStart=/bin/theirs\n[Install]\nWantedBy=multi-user.target\n";
const OURS: &str = "[Service]\nUser=shop\nExecStart=/bin/ours\n[Install]\nWantedBy=multi-user.target\n";

/// An application of ours in the smallest.
fn plan() -> Plan {
    plan_of(
        [
            ("user", json!({"user": {"name": "shop", "home": "/var/lib/shop"}})),
            (
                "data",
                json!({"directory": {"path": "/var/lib/shop", "mode": "0750", "owner": "shop", "group": "shop", "user_data": true}}),
            ),
            ("settings", json!({"directory": {"path": "/etc/shop", "mode": "0750", "group": "shop"}})),
            ("unit", json!({"file": {"path": "/etc/systemd/system/shop.service", "content": OURS}})),
            (
                "app",
                json!({"service": {"manager": "systemd", "name": "shop.service", "restart_after": ["shop.unit"]}}),
            ),
        ]
        .into_iter()
        .map(|(id, body)| planned(&format!("shop.{id}"), body))
        .collect(),
    )
}

/// A server on which somebody else's shop runs.
fn with_theirs() -> FakeHost {
    let host = FakeHost::new();
    host.put_file("/etc/systemd/system/shop.service", THEIRS, 0o644);
    host.put_file("/etc/shop/theirs.conf", "1\n", 0o600);
    let passwd = host.text("/etc/passwd").unwrap();
    host.put_file("/etc/passwd", format!("{passwd}shop:x:998:998::/srv:/bin/sh\n"), 0o644);
    let group = host.text("/etc/group").unwrap();
    host.put_file("/etc/group", format!("{group}shop:x:998:\n"), 0o644);
    for verb in ["enable", "start"] {
        let done = host.run(&Command::new(["systemctl", verb, "shop.service"])).unwrap();
        assert!(done.ok(), "{done:?}");
    }
    host
}

fn told(host: &FakeHost, plan: &Plan) -> String {
    let refused = launch::check(host, plan, &BTreeMap::new()).unwrap_err();
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_somebody_else_runs_under_the_planned_name_is_refused_and_untouched() {
    let host = with_theirs();
    let before = seen(&host);
    let refused = told(&host, &plan());
    for what in [
        "the unit shop.service already exists (/etc/systemd/system/shop.service, and it is running)",
        "--take-over unit:shop.service",
        "the user shop already exists (id 998)",
        "the directory /etc/shop already exists (one entry in it)",
    ] {
        assert!(refused.contains(what), "{what}: {refused}");
    }
    assert_same("refused", &seen(&host), &before);
    assert!(host.is_running("shop.service"));
}

#[test]
fn what_was_handed_over_comes_back_as_it_was_and_runs() {
    let host = with_theirs();
    let before = seen(&host);
    let keys = ["unit:shop.service", "user:shop", "/etc/shop"];
    for without in 0..keys.len() {
        let mut some = plan();
        some.take_over =
            keys.iter().enumerate().filter(|(at, _)| *at != without).map(|(_, k)| (*k).to_owned()).collect();
        assert!(told(&host, &some).contains(&format!("--take-over {};", keys[without])));
    }
    let mut plan = plan();
    plan.take_over = keys.map(str::to_owned).to_vec();
    launch::check(&host, &plan, &BTreeMap::new()).unwrap();
    assert_eq!(run_plan(&host, &plan, &Secrets::default(), OnFailure::Rollback), Exit::Done);
    assert_eq!(host.text("/etc/systemd/system/shop.service").as_deref(), Some(OURS));
    assert!(host.is_running("shop.service"));
    // A second run finds its own.
    let again = Plan { take_over: Vec::new(), ..plan };
    launch::check(&host, &again, &BTreeMap::new()).unwrap();
    let starts = host.starts("shop.service");
    back(&host).unwrap();
    assert_same("taken over and rolled back", &seen(&host), &before);
    assert!(host.is_running("shop.service") && host.starts("shop.service") > starts, "with its own program");
}

#[test]
fn ours_does_not_run_any_more_when_the_former_user_and_files_come_back() {
    // Only the unit is there before: the user is ours, and cannot go while our program runs as it.
    let host = FakeHost::new();
    host.put_file("/etc/systemd/system/shop.service", THEIRS, 0o644);
    host.run(&Command::new(["systemctl", "start", "shop.service"])).unwrap();
    host.on(&["userdel", "shop"], |host, _| {
        // The former program is started when everything else is back.
        if host.is_running("shop.service") {
            return bringup::host::fake::output(8, "", "userdel: user shop is currently used by process 77");
        }
        for file in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"] {
            if let Some(text) = host.text(file) {
                let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with("shop:")).collect();
                let rest = rest.join("\n") + "\n";
                host.put_file(file, rest, if file.ends_with("shadow") { 0o640 } else { 0o644 });
            }
        }
        bringup::host::fake::output(0, "", "")
    });
    let mut plan = plan();
    plan.take_over = vec!["unit:shop.service".to_owned()];
    launch::check(&host, &plan, &BTreeMap::new()).unwrap();
    assert_eq!(run_plan(&host, &plan, &Secrets::default(), OnFailure::Rollback), Exit::Done);
    back(&host).unwrap();
    assert!(host.is_running("shop.service"));
    assert_eq!(host.text("/etc/systemd/system/shop.service").as_deref(), Some(THEIRS));
    assert!(!host.text("/etc/passwd").unwrap().contains("\nshop:"));
}

#[test]
fn killed_at_any_change_what_was_handed_over_comes_back() {
    let mut plan = plan();
    plan.take_over = vec!["unit:shop.service".into(), "user:shop".into(), "/etc/shop".into()];
    let changes = {
        let host = with_theirs();
        run_plan(&host, &plan, &Secrets::default(), OnFailure::Rollback);
        host.changes()
    };
    let before = seen(&with_theirs());
    let mut kills = 0;
    for n in 1..=changes {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let host = with_theirs();
            host.kill_after(n, cut);
            run_plan(&host, &plan, &Secrets::default(), OnFailure::Rollback);
            kills += u32::from(host.is_killed());
            host.revive();
            back(&host).unwrap_or_else(|e| panic!("kill at change {n}, {cut:?}: {e}"));
            assert_same(&format!("kill at change {n}, {cut:?}"), &seen(&host), &before);
            assert!(host.is_running("shop.service"), "kill at change {n}, {cut:?}");
        }
    }
    assert!(kills > 20, "only {kills} kills took place");
}
