//! Every fault and every kill point of a plan with every kind of record, in bulk, on a host in memory.
//!
//! The same engine as on real hosts: `conformance` shows that the machine in memory keeps the rules of a real one.

mod decisions;
mod firewall;
mod guarded;
mod names;
mod others;
mod partitions;
mod releases;
mod running;
mod shared;
mod sites;
mod ssh;
mod tally;

use std::path::PathBuf;

use bringup::action::Action;
use bringup::answers::OnFailure;
use bringup::engine::event::EventKind;
use bringup::engine::journal::Journal;
use bringup::engine::rollback::{Options, roll_back};
use bringup::engine::run::{RunContext, execute};
use bringup::engine::runs::RunDir;
use bringup::error::Exit;
use bringup::host::Host;
use bringup::host::fake::{Cut, FakeHost, Package, Snapshot, output};
use bringup::plan::{Plan, Planned};
use bringup::secret::{Secret, Secrets};
use serde_json::{Value, json};

/// A plan that uses every way back.
fn plan() -> Plan {
    let actions = [
        ("packages", json!({"packages": {"names": ["nginx", "postgresql"]}})),
        ("user", json!({"user": {"name": "shop", "home": "/var/lib/shop"}})),
        (
            "data",
            json!({"directory": {"path": "/var/lib/shop", "mode": "0750", "owner": "shop", "group": "shop", "user_data": true}}),
        ),
        (
            "conf",
            json!({"file": {"path": "/etc/shop/deep/shop.conf", "content": "pw = ⟦secret:db.password⟧\n", "mode": "0640", "group": "shop"}}),
        ),
        (
            "edit",
            json!({"edit": {"path": "/etc/nginx/nginx.conf", "set": [{"key": "worker_processes", "value": "4;", "separator": " "}], "lines": ["# by bringup"]}}),
        ),
        ("link", json!({"symlink": {"path": "/etc/nginx/sites-enabled/shop", "target": "../sites-available/shop"}})),
        ("default", json!({"remove": {"path": "/etc/nginx/sites-enabled/default"}})),
        ("motd", json!({"file": {"path": "/etc/motd", "content": "shop\n"}})),
        ("engine", json!({"service": {"manager": "systemd", "name": "postgresql.service"}})),
        ("database", json!({"database": {"engine": "postgresql", "name": "shop", "role": "shop"}})),
        (
            "web",
            json!({"service": {"manager": "systemd", "name": "nginx.service", "restart_after": ["shop.conf", "shop.edit"]}}),
        ),
    ];
    plan_of(actions.into_iter().map(|(id, body)| planned(&format!("shop.{id}"), body)).collect())
}

fn plan_of(actions: Vec<Planned>) -> Plan {
    Plan { actions, ..Plan::new("shop", "Shop") }
}

/// An action by its id (`stage.action`) and what a plan says of it.
fn planned(id: &str, body: Value) -> Planned {
    let action: Action = serde_json::from_value(body).unwrap();
    Planned {
        id: id.to_owned(),
        stage: id.split('.').next().unwrap().to_owned(),
        reason: "the test".to_owned(),
        describe: action.act().describe(),
        reversible: action.act().reversible(),
        skip_reason: None,
        action,
    }
}

fn fresh() -> FakeHost {
    let host = FakeHost::new();
    host.put_file("/etc/motd", "welcome\n", 0o644);
    host.offer(
        Package::new("nginx", "1.22")
            .file("/etc/nginx/nginx.conf", "user www-data;\nworker_processes auto;\n", 0o644)
            .file("/etc/nginx/sites-enabled/default", "server {}\n", 0o644)
            .file("/usr/sbin/nginx", "elf", 0o755)
            .service("nginx", &["0.0.0.0:80"]),
    );
    host.offer(
        Package::new("postgresql", "15")
            .file("/usr/lib/postgresql/15/bin/psql", "elf", 0o755)
            .file("/usr/lib/postgresql/15/bin/pg_dump", "elf", 0o755)
            .user("postgres")
            .data("/var/lib/postgresql")
            .service("postgresql", &["127.0.0.1:5432"]),
    );
    // Dumps are pipelines of bash: the hash of the rows, and for a file also how many statements there are.
    host.on(&["/bin/bash"], |host, command| {
        if let Some(file) = command.argv.iter().find(|word| word.contains("/dumps/")) {
            host.put_file(file, "-- dump\n", 0o600);
            return output(0, "0123456789abcdef\n0\n", "");
        }
        output(0, "0123456789abcdef\n", "")
    });
    host
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("db.password", Secret::new("canary-canary"));
    secrets
}

fn seen(host: &FakeHost) -> Snapshot {
    host.snapshot(&["/var/lib/bringup", "/var/log", "/var/cache/apt", "/var/lib/apt/lists"])
}

/// Starts a run, or goes on with the one that is there.
fn run(host: &FakeHost, on_failure: OnFailure) -> Exit {
    run_plan(host, &plan(), &secrets(), on_failure)
}

fn run_plan(host: &FakeHost, plan: &Plan, secrets: &Secrets, on_failure: OnFailure) -> Exit {
    let (dir, mut journal) = match newest(host) {
        Some((dir, Ok(journal))) => (dir, journal),
        _ => match RunDir::create(host, plan) {
            Ok(made) => made,
            Err(_) => return Exit::Incomplete,
        },
    };
    // Shown when a test fails.
    let emit = |what: EventKind| {
        if let EventKind::Failed { step, failure } = what {
            println!("{step}: {failure} {:?}", failure.tail);
        }
    };
    let context = RunContext { host, dir: &dir, plan, secrets, on_failure, emit: &emit, stop: &|| None };
    execute(&context, &mut journal)
}

fn newest(host: &FakeHost) -> Option<(RunDir, Result<Journal, bringup::error::Failure>)> {
    let names = host.list(&PathBuf::from("/var/lib/bringup/runs")).ok()?;
    let name = names.last()?.file_name()?.to_string_lossy().into_owned();
    let dir = RunDir::of(&name);
    host.stat(&dir.file("journal.jsonl")).ok()??;
    let journal = Journal::open(host, &dir.file("journal.jsonl"));
    Some((dir, journal))
}

fn back(host: &FakeHost) -> Result<(), String> {
    let Some((dir, journal)) = newest(host) else { return Ok(()) };
    let Ok(mut journal) = journal else { return Ok(()) };
    let report = roll_back(host, &dir, &mut journal, &Options::default(), &|what| println!("{what:?}"))
        .map_err(|e| e.to_string())?;
    if report.errors.is_empty() { Ok(()) } else { Err(format!("{:?}", report.errors)) }
}

fn assert_same(what: &str, now: &Snapshot, then: &Snapshot) {
    let differences = now.differences(then);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}

#[test]
fn an_undisturbed_run_changes_the_host_and_its_rollback_takes_everything_back() {
    let host = fresh();
    let before = seen(&host);
    assert_eq!(run(&host, OnFailure::Rollback), Exit::Done);
    assert!(host.is_running("nginx.service") && host.has_database("postgresql", "shop"));
    assert_ne!(seen(&host).differences(&before), Vec::<String>::new());
    back(&host).unwrap();
    assert_same("after the rollback", &seen(&host), &before);
    assert_eq!(host.unknown_commands(), Vec::<String>::new());
}

fn changes_of_a_run() -> u64 {
    let host = fresh();
    assert_eq!(run(&host, OnFailure::Rollback), Exit::Done);
    host.changes()
}

#[test]
fn killed_at_any_change_a_resumed_run_ends_like_an_undisturbed_one() {
    let undisturbed = fresh();
    run(&undisturbed, OnFailure::Rollback);
    let end = seen(&undisturbed);
    let mut kills = 0;
    for n in 1..=changes_of_a_run() {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let host = fresh();
            host.kill_after(n, cut);
            run(&host, OnFailure::Rollback);
            kills += u32::from(host.is_killed());
            host.revive();
            assert_eq!(run(&host, OnFailure::Pause), Exit::Done, "resumed after a kill at change {n}, {cut:?}");
            assert_same(&format!("resumed after a kill at change {n}, {cut:?}"), &seen(&host), &end);
        }
    }
    assert!(kills > 60, "only {kills} kills took place");
}

#[test]
fn killed_at_any_change_a_rollback_leads_back() {
    let before = seen(&fresh());
    for n in 1..=changes_of_a_run() {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let host = fresh();
            host.kill_after(n, cut);
            run(&host, OnFailure::Rollback);
            host.revive();
            back(&host).unwrap_or_else(|e| panic!("kill at change {n}, {cut:?}: {e}"));
            assert_same(&format!("rolled back after a kill at change {n}, {cut:?}"), &seen(&host), &before);
        }
    }
}

#[test]
fn a_rollback_killed_at_any_change_goes_on_and_leads_back() {
    let before = seen(&fresh());
    let whole = {
        let host = fresh();
        run(&host, OnFailure::Rollback);
        let start = host.changes();
        back(&host).unwrap();
        host.changes() - start
    };
    for n in 1..=whole {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let host = fresh();
            run(&host, OnFailure::Rollback);
            host.kill_after(n, cut);
            let _ = back(&host);
            host.revive();
            back(&host).unwrap_or_else(|e| panic!("kill at change {n}, {cut:?}: {e}"));
            assert_same(&format!("rollback killed at change {n}, {cut:?}"), &seen(&host), &before);
        }
    }
}

#[test]
fn whatever_change_fails_the_run_is_rolled_back_by_itself() {
    let before = seen(&fresh());
    for n in 1..=changes_of_a_run() {
        let host = fresh();
        host.fail_after(n);
        let exit = run(&host, OnFailure::Rollback);
        if exit == Exit::Done {
            // A failure that harms nothing, such as a line of the log.
            continue;
        }
        // The fault may hit the last lines of the bookkeeping; then a second try must finish it.
        if exit != Exit::RolledBack {
            back(&host).unwrap_or_else(|e| panic!("failure at change {n}: {e}"));
        }
        assert_same(&format!("failure at change {n}"), &seen(&host), &before);
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let host = fresh();
    assert_eq!(run(&host, OnFailure::Rollback), Exit::Done);
    let end = seen(&host);
    let (dir, journal) = newest(&host).unwrap();
    let records = journal.unwrap().entries().len();
    assert_eq!(run(&host, OnFailure::Rollback), Exit::Done);
    assert_eq!(Journal::open(&host, &dir.file("journal.jsonl")).unwrap().entries().len(), records);
    assert_same("after the second run", &seen(&host), &end);
}

#[test]
fn no_secret_reaches_journal_plan_or_argv() {
    let host = fresh();
    run(&host, OnFailure::Rollback);
    let (dir, _) = newest(&host).unwrap();
    for file in ["journal.jsonl", "plan.json"] {
        assert!(!host.text(dir.file(file)).unwrap().contains("canary"), "{file}");
    }
    for command in host.commands() {
        assert!(!command.argv.join(" ").contains("canary"));
    }
    assert!(host.text("/etc/shop/deep/shop.conf").unwrap().contains("canary-canary"));
}

#[test]
fn what_somebody_else_changed_is_kept_and_reported() {
    let host = fresh();
    run(&host, OnFailure::Rollback);
    host.put_file("/etc/motd", "by hand\n", 0o644);
    host.put_file("/etc/shop/deep/theirs.conf", "theirs\n", 0o644);
    host.put_file("/etc/cron.d/theirs", "theirs\n", 0o644);
    let (dir, journal) = newest(&host).unwrap();
    let report = roll_back(&host, &dir, &mut journal.unwrap(), &Options::default(), &|_| {}).unwrap();
    assert_eq!(report.errors, Vec::new());
    assert_eq!(host.text("/etc/motd").as_deref(), Some("by hand\n"));
    assert_eq!(host.text("/etc/shop/deep/theirs.conf").as_deref(), Some("theirs\n"));
    assert_eq!(host.text("/etc/cron.d/theirs").as_deref(), Some("theirs\n"));
    let kept: Vec<&str> = report.kept.iter().map(|(what, _)| what.as_str()).collect();
    assert!(kept.contains(&"/etc/motd"), "{kept:?}");
    assert!(kept.iter().any(|what| what.starts_with("/etc/shop")), "{kept:?}");
}
