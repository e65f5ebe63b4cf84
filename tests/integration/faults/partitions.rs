//! Servers whose /var, /opt or /usr are file systems of their own.

use bringup::answers::OnFailure;
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost};
use bringup::plan::Plan;
use serde_json::json;

use super::{assert_same, back, fresh, plan, plan_of, planned, run_plan, secrets, seen};

/// What a run may touch, on as many file systems as an administrator may have.
fn divided() -> FakeHost {
    let host = fresh();
    for point in ["/opt", "/usr", "/usr/sbin", "/var"] {
        host.mount(point);
    }
    host
}

/// The usual plan, with code below /opt.
fn with_code() -> Plan {
    let code =
        json!({"source": {"path": "/opt/shop/app", "from": "asset", "location": "demo", "files": {"a/app.py": "1\n"}}});
    let actions = plan().actions.into_iter().chain([planned("shop.code", code)]);
    plan_of(actions.collect())
}

#[test]
fn a_rollback_reaches_every_file_system_of_the_system() {
    let host = divided();
    let before = seen(&host);
    assert_eq!(run_plan(&host, &with_code(), &secrets(), OnFailure::Rollback), Exit::Done);
    assert!(host.text("/opt/shop/app/a/app.py").is_some());
    back(&host).unwrap();
    assert_same("after the rollback", &seen(&host), &before);
}

#[test]
fn killed_at_any_change_everything_is_taken_back_from_them() {
    let changes = {
        let host = divided();
        run_plan(&host, &with_code(), &secrets(), OnFailure::Rollback);
        host.changes()
    };
    let mut kills = 0;
    for n in 1..=changes {
        let host = divided();
        let before = seen(&host);
        host.kill_after(n, Cut::Halfway);
        run_plan(&host, &with_code(), &secrets(), OnFailure::Rollback);
        kills += u32::from(host.is_killed());
        host.revive();
        back(&host).unwrap();
        assert_same(&format!("rolled back after a kill at change {n}"), &seen(&host), &before);
    }
    assert!(kills > 60, "only {kills} kills took place");
}

#[test]
fn what_somebody_else_wrote_there_stays() {
    let host = divided();
    let note = "/var/lib/theirs/note";
    // While the packages are installed.
    host.visit_after(200, move |host| host.put_file(note, "theirs\n", 0o644));
    assert_eq!(run_plan(&host, &with_code(), &secrets(), OnFailure::Rollback), Exit::Done);
    host.visit_now();
    back(&host).unwrap();
    assert_eq!(host.text(note).as_deref(), Some("theirs\n"));
    assert_eq!(host.text("/opt/shop/app/a/app.py"), None);
}

/// Nobody writes what comes with a file system.
#[test]
fn what_is_mounted_during_a_run_is_not_new() {
    let host = divided().without_writers();
    let old = "/usr/lib/postgresql/archive/old";
    host.visit_after(200, move |host| {
        host.put_file(old, "years of work\n", 0o644);
        host.mount("/usr/lib/postgresql");
    });
    assert_eq!(run_plan(&host, &with_code(), &secrets(), OnFailure::Rollback), Exit::Done);
    back(&host).unwrap();
    assert_eq!(host.text(old).as_deref(), Some("years of work\n"));
}
