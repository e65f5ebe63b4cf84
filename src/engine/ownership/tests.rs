#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::*;
use crate::answers::Origin;
use crate::engine::journal::Record;
use crate::engine::runs::RunDir;
use crate::error::Exit;
use crate::host::fake::{FakeHost, Package, output};
use crate::plan::preview::{GuideChecks, preview};
use crate::plan::{Answered, Planned, PlannedProof};
use crate::secret::Secrets;

const SITE: &str = "server { listen 443 ssl; server_name shop.example.org; }\n";
const UNIT: &str = "[Service]\nExecStart=/bin/theirs\n";

/// One kind of thing that a plan may want.
struct Kind {
    name: &'static str,
    action: Value,
    /// Somebody else has made it.
    foreign: fn(&FakeHost),
    /// It is there, exactly as the action would make it; none where that does not make it ours.
    identical: Option<fn(&FakeHost)>,
    /// The record of a run that made it; none where no record can.
    record: Option<Undo>,
    /// Whether what one application of ours has is refused to another.
    alone: bool,
    /// How it can be taken over; none where no rollback could restore it.
    key: Option<&'static str>,
    /// What the message says.
    says: &'static str,
}

fn kinds() -> Vec<Kind> {
    let remove = |path: &str| Some(Undo::Remove { path: path.into() });
    let file = |path: &str| json!({"file": {"path": path, "content": "ours\n"}});
    let unit = json!({"file": {"path": "/etc/systemd/system/shop.service", "content": "ours\n"}});
    vec![
        Kind {
            name: "file",
            action: file("/etc/shop/env"),
            foreign: |host| host.put_file("/etc/shop/env", "theirs\n", 0o600),
            identical: Some(|host| host.put_file("/etc/shop/env", "ours\n", 0o644)),
            record: remove("/etc/shop/env"),
            alone: false,
            key: Some("/etc/shop/env"),
            says: "/etc/shop/env is there already",
        },
        Kind {
            name: "cron file",
            action: file("/etc/cron.d/shop-backup"),
            foreign: |host| host.put_file("/etc/cron.d/shop-backup", "theirs\n", 0o644),
            identical: Some(|host| host.put_file("/etc/cron.d/shop-backup", "ours\n", 0o644)),
            record: remove("/etc/cron.d/shop-backup"),
            alone: false,
            key: Some("/etc/cron.d/shop-backup"),
            says: "/etc/cron.d/shop-backup is there already",
        },
        Kind {
            name: "logrotate file",
            action: file("/etc/logrotate.d/shop"),
            foreign: |host| host.put_file("/etc/logrotate.d/shop", "theirs\n", 0o644),
            identical: Some(|host| host.put_file("/etc/logrotate.d/shop", "ours\n", 0o644)),
            record: remove("/etc/logrotate.d/shop"),
            alone: false,
            key: Some("/etc/logrotate.d/shop"),
            says: "/etc/logrotate.d/shop is there already",
        },
        Kind {
            name: "a link where a file goes",
            action: file("/etc/shop.conf"),
            foreign: |host| host.make_symlink(Path::new("/etc/shop.conf"), Path::new("/srv/theirs")).unwrap(),
            identical: None,
            record: remove("/etc/shop.conf"),
            alone: false,
            key: Some("/etc/shop.conf"),
            says: "/etc/shop.conf is there already",
        },
        Kind {
            name: "link",
            action: json!({"symlink": {"path": "/etc/nginx/sites-enabled/shop", "target": "../sites-available/shop"}}),
            foreign: |host| {
                dir(host, "/etc/nginx/sites-enabled");
                host.make_symlink(Path::new("/etc/nginx/sites-enabled/shop"), Path::new("/srv/theirs")).unwrap();
            },
            identical: Some(|host| {
                dir(host, "/etc/nginx/sites-enabled");
                let target = Path::new("../sites-available/shop");
                host.make_symlink(Path::new("/etc/nginx/sites-enabled/shop"), target).unwrap();
            }),
            record: remove("/etc/nginx/sites-enabled/shop"),
            alone: false,
            key: Some("/etc/nginx/sites-enabled/shop"),
            says: "/etc/nginx/sites-enabled/shop is there already",
        },
        Kind {
            name: "directory that holds something",
            action: json!({"directory": {"path": "/opt/shop"}}),
            foreign: |host| host.put_file("/opt/shop/theirs", "x", 0o644),
            // An empty one.
            identical: Some(|host| dir(host, "/opt/shop")),
            record: Some(Undo::RemoveDir { path: "/opt/shop".into() }),
            alone: false,
            key: Some("/opt/shop"),
            says: "the directory /opt/shop is there already (one entry in it)",
        },
        Kind {
            name: "directory of data",
            action: json!({"directory": {"path": "/var/lib/shop", "mode": "0750", "user_data": true}}),
            foreign: |host| host.put_file("/var/lib/shop/orders", "1", 0o600),
            identical: None,
            record: Some(Undo::RemoveData { path: "/var/lib/shop".into() }),
            alone: true,
            key: None,
            says: "the directory /var/lib/shop is there already (one entry in it)",
        },
        Kind {
            name: "disk for data",
            action: json!({"directory": {"path": "/var/lib/shop", "mode": "0750", "user_data": true}}),
            foreign: |host| dir(host, "/var/lib/shop/lost+found"),
            identical: None,
            record: Some(Undo::RemoveData { path: "/var/lib/shop".into() }),
            alone: true,
            key: Some("/var/lib/shop"),
            says: "the directory /var/lib/shop is there already",
        },
        Kind {
            name: "user",
            action: json!({"user": {"name": "shop", "home": "/var/lib/shop"}}),
            foreign: |host| append(host, "/etc/passwd", "shop:x:998:998::/srv:/bin/sh"),
            identical: None,
            record: Some(Undo::User { name: "shop".into(), with_group: true }),
            alone: true,
            key: Some("user:shop"),
            says: "the user shop is there already (id 998)",
        },
        Kind {
            name: "user of the system",
            action: json!({"user": {"name": "games", "home": "/var/lib/games"}}),
            foreign: |host| append(host, "/etc/passwd", "games:x:5:60::/usr/games:/usr/sbin/nologin"),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "the user games is there already (id 5, of the system)",
        },
        Kind {
            name: "group",
            action: json!({"user": {"name": "shop", "home": "/var/lib/shop"}}),
            foreign: |host| append(host, "/etc/group", "shop:x:998:alice"),
            identical: None,
            record: None,
            alone: true,
            key: Some("group:shop"),
            says: "the group shop is there already (id 998, with alice)",
        },
        Kind {
            name: "user with the name of a package",
            action: json!({"user": {"name": "dbus", "home": "/var/lib/dbus"}}),
            foreign: |host| install(host, "dbus"),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "the user dbus would have the name of the Debian package dbus",
        },
        Kind {
            name: "unit",
            action: unit.clone(),
            foreign: |host| host.put_file("/etc/systemd/system/shop.service", UNIT, 0o644),
            identical: Some(|host| host.put_file("/etc/systemd/system/shop.service", "ours\n", 0o644)),
            record: remove("/etc/systemd/system/shop.service"),
            alone: true,
            key: Some("unit:shop.service"),
            says: "the unit shop.service is there already (/etc/systemd/system/shop.service)",
        },
        Kind {
            name: "alias of another unit",
            action: unit.clone(),
            foreign: |host| {
                let alias = Path::new("/etc/systemd/system/shop.service");
                host.make_symlink(alias, Path::new("/lib/systemd/system/ssh.service")).unwrap();
            },
            identical: None,
            record: remove("/etc/systemd/system/shop.service"),
            alone: true,
            key: Some("unit:shop.service"),
            says: "the unit shop.service is there already",
        },
        Kind {
            name: "unit of a package",
            action: unit.clone(),
            foreign: |host| host.put_file("/lib/systemd/system/shop.service", UNIT, 0o644),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "(/lib/systemd/system/shop.service, which ours would replace)",
        },
        Kind {
            name: "unit that exists while it runs",
            action: unit.clone(),
            foreign: |host| host.put_file("/run/systemd/transient/shop.service", UNIT, 0o644),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "(/run/systemd/transient/shop.service, while it runs)",
        },
        Kind {
            name: "init script",
            action: unit.clone(),
            foreign: |host| host.put_file("/etc/init.d/shop", "#!/bin/sh\n", 0o755),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "(/etc/init.d/shop, which ours would replace)",
        },
        Kind {
            name: "timer that would start the service",
            action: unit.clone(),
            foreign: |host| host.put_file("/etc/systemd/system/shop.timer", "[Timer]\n", 0o644),
            identical: None,
            record: remove("/etc/systemd/system/shop.timer"),
            alone: true,
            key: None,
            says: "the unit shop.timer is there already",
        },
        Kind {
            name: "part of the unit",
            action: unit,
            foreign: |host| host.put_file("/etc/systemd/system/shop.service.d/theirs.conf", "[Service]\n", 0o644),
            identical: None,
            record: remove("/etc/systemd/system/shop.service.d/theirs.conf"),
            alone: false,
            key: None,
            says: "the part /etc/systemd/system/shop.service.d/theirs.conf of the unit shop.service",
        },
        Kind {
            name: "database",
            action: json!({"database": {"engine": "postgresql", "name": "shop", "role": "shop"}}),
            foreign: |host| postgresql(host, "CREATE DATABASE \"shop\""),
            identical: None,
            record: Some(database_record(false)),
            alone: true,
            key: Some("database:shop"),
            says: "the PostgreSQL database shop is there already",
        },
        Kind {
            name: "role",
            action: json!({"database": {"engine": "postgresql", "name": "shop", "role": "shop"}}),
            foreign: |host| postgresql(host, "CREATE ROLE \"shop\" LOGIN"),
            identical: None,
            record: Some(database_record(false)),
            alone: true,
            key: Some("role:shop"),
            says: "the PostgreSQL role shop is there already",
        },
        Kind {
            name: "broker's user",
            action: json!({"rabbitmq": {"user": "shop", "vhost": "shop", "password": "⟦secret:q.password⟧"}}),
            foreign: |host| broker(host, r#"{"users": [{"name": "shop"}], "vhosts": []}"#),
            identical: None,
            record: Some(broker_record()),
            alone: true,
            key: Some("broker-user:shop"),
            says: "the broker's user shop is there already",
        },
        Kind {
            name: "broker's virtual host",
            action: json!({"rabbitmq": {"user": "shop", "vhost": "shop", "password": "⟦secret:q.password⟧"}}),
            foreign: |host| broker(host, r#"{"users": [], "vhosts": [{"name": "shop"}]}"#),
            identical: None,
            record: Some(broker_record()),
            alone: true,
            key: Some("vhost:shop"),
            says: "the broker's virtual host shop is there already",
        },
        Kind {
            name: "program of supervisor's in another file",
            action: json!({"service": {"manager": "supervisor", "name": "shop"}}),
            foreign: |host| host.put_file("/etc/supervisor/conf.d/all.conf", "[program:shop]\ncommand=x\n", 0o644),
            identical: None,
            record: remove("/etc/supervisor/conf.d/all.conf"),
            alone: true,
            key: None,
            says: "supervisor's program shop is there already (/etc/supervisor/conf.d/all.conf)",
        },
        Kind {
            name: "site",
            action: json!({"service": {"manager": "systemd", "name": "nginx.service",
                "sites": {"server": "nginx", "server_names": ["shop.example.org"]}}}),
            foreign: |host| host.on(&["nginx", "-T"], |_, _| output(0, SITE, "")),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "the site shop.example.org on port 443 of the web server is there already",
        },
        Kind {
            name: "port",
            action: json!({"directory": {"path": "/opt/shop"}}),
            foreign: |host| host.occupy("theirs", SocketAddr::from(([0, 0, 0, 0], 443))),
            identical: None,
            record: None,
            alone: true,
            key: None,
            says: "port 443 is taken by theirs",
        },
        Kind {
            name: "certbot's certificate",
            action: json!({"acme": {"name": "shop.example.org", "directory": "https://ca.example.org/dir",
                "webroot": "/var/www/acme", "certificate": "/etc/ssl/a.pem", "key": "/etc/ssl/a.key", "reload": []}}),
            foreign: |host| host.put_file("/etc/letsencrypt/renewal/shop.example.org.conf", "theirs", 0o644),
            identical: None,
            record: Some(Undo::AcmeCertificate { name: "shop.example.org".into() }),
            alone: false,
            key: Some("/etc/letsencrypt/renewal/shop.example.org.conf"),
            says: "certbot's certificate shop.example.org is there already",
        },
    ]
}

fn dir(host: &FakeHost, path: &str) {
    host.put_file(format!("{path}/passing"), "", 0o644);
    host.remove(Path::new(&format!("{path}/passing"))).unwrap();
}

fn install(host: &FakeHost, name: &str) {
    let installed = host.run(&crate::host::Command::new(["apt-get", "-y", "install", name])).unwrap();
    assert!(installed.ok(), "{installed:?}");
}

fn append(host: &FakeHost, path: &str, line: &str) {
    let text = host.text(path).unwrap_or_default();
    host.put_file(path, format!("{text}{line}\n"), 0o644);
}

fn database_record(existed: bool) -> Undo {
    Undo::Database {
        engine: "postgresql".into(),
        name: "shop".into(),
        role: "shop".into(),
        database_existed: existed,
        role_existed: existed,
        before: None,
        cluster: String::new(),
        closed: Vec::new(),
    }
}

fn broker_record() -> Undo {
    Undo::Rabbitmq {
        user: "shop".into(),
        vhost: "shop".into(),
        user_existed: false,
        vhost_existed: false,
        before: None,
    }
}

/// A server that runs, with something of somebody else's in it.
fn postgresql(host: &FakeHost, sql: &str) {
    host.offer(
        Package::new("postgresql", "15")
            .file("/usr/lib/postgresql/15/bin/psql", "elf", 0o755)
            .user("postgres")
            .data("/var/lib/postgresql")
            .service("postgresql", &["127.0.0.1:5432"]),
    );
    install(host, "postgresql");
    host.run(&crate::host::Command::new(["systemctl", "start", "postgresql.service"])).unwrap();
    let server = database::postgresql::Server::find(host, "").unwrap();
    database::postgresql::run(host, &server, "prepare", &[sql.to_owned()]).unwrap();
}

fn broker(host: &FakeHost, definitions: &'static str) {
    dir(host, "/var/lib/rabbitmq");
    host.on(&["rabbitmqctl", "-q", "export_definitions"], move |_, _| output(0, definitions, ""));
}

fn plan(kind: &Kind, name: &str) -> Plan {
    let action: Action = serde_json::from_value(kind.action.clone()).unwrap();
    let ports = json!({"id": "a.ports", "stage": "a", "describe": "",
        "ports": {"ports": [{"port": 443, "name": "web", "on": "any"}]}});
    let proof: PlannedProof = serde_json::from_value(ports).unwrap();
    let answer = |path: &str, value: Value| Answered { path: path.into(), value, origin: Origin::File };
    Plan {
        actions: vec![Planned {
            id: "a.it".into(),
            stage: "a".into(),
            reason: String::new(),
            describe: action.act().describe(),
            reversible: action.act().reversible(),
            skip_reason: None,
            action,
        }],
        proofs: vec![proof],
        answers: vec![answer("application.name", json!(name)), answer("web.host", json!("shop.example.org"))],
        ..Plan::new("webapp", "Web")
    }
}

/// A run of this plan that stands, with this record.
fn stands(host: &FakeHost, plan: &Plan, record: Option<Undo>) {
    let (_, mut journal) = RunDir::create(host, plan).unwrap();
    let (action, stage) = ("a.it".to_owned(), "a".to_owned());
    let undo = record.into_iter().collect();
    journal.write(host, Record::Begin { action: action.clone(), stage, undo }).unwrap();
    journal.write(host, Record::End { action, written_hashes: [].into() }).unwrap();
    journal.write(host, Record::Finished { exit: Exit::Done, data: [].into() }).unwrap();
}

fn refused(host: &FakeHost, plan: &Plan) -> Vec<Problem> {
    let secrets = Secrets::default();
    let verdicts = preview(host, plan, &secrets, GuideChecks::Run);
    let all = runs::all(host, None).unwrap();
    let before = host.snapshot(&[]);
    let problems = problems(host, plan, &all, &verdicts, &BTreeSet::new(), None);
    assert_eq!(host.snapshot(&[]).differences(&before), Vec::<String>::new(), "looking changes nothing");
    problems
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_not_there_is_nobodys() {
    for kind in kinds() {
        let host = FakeHost::new();
        assert_eq!(told(&refused(&host, &plan(&kind, "shop"))), "", "{}", kind.name);
    }
}

#[test]
fn what_is_there_and_not_ours_is_refused_with_what_to_do() {
    for kind in kinds() {
        let host = FakeHost::new();
        (kind.foreign)(&host);
        let problems = refused(&host, &plan(&kind, "shop"));
        assert_eq!(problems.len(), 1, "{}: {}", kind.name, told(&problems));
        let problem = &problems[0];
        assert!(problem.message.contains(kind.says), "{}: {problem}", kind.name);
        assert!(!problem.hint.is_empty(), "{}: {problem}", kind.name);
        let handed = kind.key.map(|key| format!("--take-over {key};"));
        assert_eq!(problem.hint.contains("--take-over"), handed.is_some(), "{}: {problem}", kind.name);
        assert!(handed.is_none_or(|handed| problem.hint.contains(&handed)), "{}: {problem}", kind.name);
    }
}

#[test]
fn what_was_handed_over_is_taken_and_what_cannot_come_back_is_not() {
    for kind in kinds() {
        let host = FakeHost::new();
        (kind.foreign)(&host);
        let mut plan = plan(&kind, "shop");
        plan.take_over =
            [kind.key.unwrap_or_default(), "unit:shop.service", "unit:shop.timer", "user:games", "user:dbus"]
                .map(str::to_owned)
                .to_vec();
        assert_eq!(refused(&host, &plan).is_empty(), kind.key.is_some(), "{}", kind.name);
        plan.take_over = vec!["/etc/other".into(), "user:other".into()];
        assert!(!refused(&host, &plan).is_empty(), "{}: another thing was handed over", kind.name);
    }
}

#[test]
fn what_a_run_of_ours_made_is_ours() {
    for kind in kinds() {
        let Some(record) = kind.record.clone() else { continue };
        let host = FakeHost::new();
        (kind.foreign)(&host);
        stands(&host, &plan(&kind, "shop"), Some(record));
        assert_eq!(told(&refused(&host, &plan(&kind, "shop"))), "", "{}", kind.name);
    }
}

#[test]
fn what_another_application_of_ours_has_is_its_own_or_for_both() {
    for kind in kinds() {
        let Some(record) = kind.record.clone() else { continue };
        let host = FakeHost::new();
        (kind.foreign)(&host);
        stands(&host, &plan(&kind, "first"), Some(record));
        let problems = refused(&host, &plan(&kind, "shop"));
        assert_eq!(problems.is_empty(), !kind.alone, "{}: {}", kind.name, told(&problems));
        if let [problem] = problems.as_slice() {
            assert!(problem.message.contains("belongs to the application first (run "), "{}: {problem}", kind.name);
            assert!(!problem.hint.contains("--take-over"), "{}: {problem}", kind.name);
        }
    }
}

#[test]
fn a_site_and_a_port_of_ours_are_ours_and_not_our_neighbours() {
    for kind in kinds().iter().filter(|kind| matches!(kind.name, "site" | "port")) {
        let host = FakeHost::new();
        (kind.foreign)(&host);
        stands(&host, &plan(kind, "shop"), None);
        assert_eq!(told(&refused(&host, &plan(kind, "shop"))), "", "{}", kind.name);
        let neighbour = told(&refused(&host, &plan(kind, "other")));
        assert!(neighbour.contains("belongs to the application shop (run "), "{neighbour}");
    }
}

#[test]
fn what_is_exactly_as_it_would_be_made_is_left_alone() {
    for kind in kinds() {
        let Some(identical) = kind.identical else { continue };
        let host = FakeHost::new();
        identical(&host);
        assert_eq!(told(&refused(&host, &plan(&kind, "shop"))), "", "{}", kind.name);
    }
}

#[test]
fn what_was_rolled_back_is_nobodys_any_more() {
    for kind in kinds() {
        let Some(record) = kind.record.clone() else { continue };
        let host = FakeHost::new();
        (kind.foreign)(&host);
        stands(&host, &plan(&kind, "shop"), Some(record));
        let run = runs::all(&host, None).unwrap().pop().unwrap();
        let mut journal = run.journal;
        journal.write(&host, Record::RollbackBegin { stage: None }).unwrap();
        journal.write(&host, Record::Undone { action: "a.it".into() }).unwrap();
        journal.write(&host, Record::RolledBack { stage: None, kept: 1, waits: Vec::new() }).unwrap();
        assert_eq!(refused(&host, &plan(&kind, "shop")).len(), 1, "{}", kind.name);
    }
}

#[test]
fn an_action_that_may_find_something_says_so() {
    for action in [
        json!({"file": {"path": "/etc/shop", "content": "ours\n", "may_exist": true}}),
        json!({"symlink": {"path": "/etc/shop", "target": "ours", "may_exist": true}}),
    ] {
        let host = FakeHost::new();
        host.put_file("/etc/shop", "theirs", 0o644);
        let kind = Kind { action, ..kinds().remove(0) };
        assert_eq!(told(&refused(&host, &plan(&kind, "shop"))), "");
    }
    let host = FakeHost::new();
    host.put_file("/opt/shop/theirs", "theirs", 0o644);
    let action = json!({"directory": {"path": "/opt/shop", "may_exist": true}});
    assert_eq!(told(&refused(&host, &plan(&Kind { action, ..kinds().remove(0) }, "shop"))), "");
}

#[test]
fn a_file_of_a_package_that_a_run_of_ours_installed_is_ours() {
    let host = FakeHost::new();
    host.offer(Package::new("theirs", "1").file("/etc/shop/env", "as it came\n", 0o644));
    install(&host, "theirs");
    let kind = kinds().remove(0);
    assert_eq!(refused(&host, &plan(&kind, "shop")).len(), 1);
    let planned = vec![("theirs:amd64".to_owned(), "1".to_owned())];
    stands(&host, &plan(&kind, "other"), Some(Undo::Packages { before: Vec::new(), planned }));
    assert_eq!(told(&refused(&host, &plan(&kind, "shop"))), "");
}

#[test]
fn a_name_that_a_package_of_the_plan_brings_is_refused() {
    let host = FakeHost::new();
    let kind = kinds().into_iter().find(|kind| kind.name == "user").unwrap();
    let plan = plan(&kind, "shop");
    let verdicts = preview(&host, &plan, &Secrets::default(), GuideChecks::Run);
    let arrivals = BTreeSet::from(["shop".to_owned()]);
    let problems = problems(&host, &plan, &[], &verdicts, &arrivals, None);
    assert!(told(&problems).contains("name of the Debian package shop (answer another application.name)"));
}

#[test]
fn the_hint_names_the_answer_that_gave_the_name() {
    let host = FakeHost::new();
    host.put_file("/etc/cron.d/shop-backup", "theirs\n", 0o644);
    let kind = kinds().into_iter().find(|kind| kind.name == "cron file").unwrap();
    let problem = refused(&host, &plan(&kind, "shop")).remove(0);
    assert_eq!(
        problem.to_string(),
        "a.it: /etc/cron.d/shop-backup is there already, and no run of bringup made it (answer another \
         application.name, or take it over with --take-over /etc/cron.d/shop-backup; a rollback restores it as it is \
         now)"
    );
}

#[test]
fn the_run_that_waits_keeps_what_it_made_whatever_the_new_answers_call_it() {
    let host = FakeHost::new();
    let kind = kinds().into_iter().find(|kind| kind.name == "database").unwrap();
    (kind.foreign)(&host);
    stands(&host, &plan(&kind, "first"), kind.record.clone());
    let all = runs::all(&host, None).unwrap();
    let other = plan(&kind, "second");
    let verdicts = preview(&host, &other, &Secrets::default(), GuideChecks::Run);
    let id = all[0].dir.id.clone();
    assert!(problems(&host, &other, &all, &verdicts, &BTreeSet::new(), Some(&id)).is_empty());
    assert_eq!(problems(&host, &other, &all, &verdicts, &BTreeSet::new(), None).len(), 1);
}

#[test]
fn applications_are_noted_once_each_with_their_address_and_stay_beside_a_plan() {
    let host = FakeHost::new();
    let kind = kinds().remove(0);
    let mut first = plan(&kind, "first");
    first.outputs.push(crate::plan::OutputLine { label: "Address".into(), value: "https://first.example.org/".into() });
    stands(&host, &first, None);
    stands(&host, &first, None);
    stands(&host, &plan(&kind, "shop"), None);
    runs::note_standing(&host, None).unwrap();
    let facts = crate::facts::probe::probe(&host);
    let words: Vec<String> = facts.applications.iter().map(crate::facts::Application::words).collect();
    assert_eq!(words, ["first, https://first.example.org/", "shop"]);
    let others = plan(&kind, "shop").others(&facts);
    assert_eq!(others.iter().map(|other| other.name.as_str()).collect::<Vec<_>>(), ["first"]);
}
