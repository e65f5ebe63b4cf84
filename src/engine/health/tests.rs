#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::action::{Action, carry};
use crate::answers::Origin;
use crate::engine::event::EventKind;
use crate::engine::event::{Event, StepInfo};
use crate::engine::journal::{Journal, Record};
use crate::engine::runs::RunDir;
use crate::error::Exit;
use crate::host::fake::{FakeHost, Package, output};
use crate::plan::Answered;
use crate::system::x509::self_signed;

const CERTIFICATE: &str = "/etc/ssl/shop/fullchain.pem";

fn planned(id: &str, body: serde_json::Value) -> Planned {
    let action: Action = serde_json::from_value(body).unwrap();
    let stage = id.split('.').next().unwrap().to_owned();
    let (describe, reversible) = (action.act().describe(), action.act().reversible());
    Planned { id: id.to_owned(), stage, reason: String::new(), describe, reversible, skip_reason: None, action }
}

/// The plan of a shop with a service, a certificate, a backup and two proofs.
fn plan(name: &str) -> Plan {
    let certificate = json!({"certificate": {
        "certificate": CERTIFICATE, "key": "/etc/ssl/shop/key.pem", "names": ["shop.example.org"], "from": "self_signed"}});
    let timer = json!({"describe": "a backup is made every night", "unit": "shop-backup.timer", "max_age": 26,
        "newest": {"directory": "/var/backups/shop", "prefix": "shop-", "suffix": ".tar.gz"}});
    let proof = |id: &str, describe: &str, body: serde_json::Value| PlannedProof {
        id: id.to_owned(),
        stage: "web".to_owned(),
        describe: describe.to_owned(),
        skip_reason: None,
        proof: serde_json::from_value(body).unwrap(),
    };
    let command = json!({"command": {"describe": "the shop sells", "run": ["sell"]}});
    Plan {
        answers: vec![Answered { path: Application::NAME.into(), value: json!(name), origin: Origin::File }],
        actions: vec![
            planned("web.service", json!({"service": {"manager": "systemd", "name": "nginx.service"}})),
            planned("web.certificate", certificate),
        ],
        proofs: vec![
            proof("web.sells", "the shop sells", command),
            proof("web.backups", "a backup is made every night", json!({ "timer": timer })),
        ],
        outputs: vec![OutputLine { label: "Address".to_owned(), value: "https://shop.example.org/".to_owned() }],
        ..Plan::new("shop", "A shop")
    }
}

fn ran(host: &FakeHost, plan: &Plan, actions: &[&str], exit: Option<Exit>) -> String {
    let (dir, mut journal) = RunDir::create(host, plan).unwrap();
    for action in actions {
        let (action, stage) = ((*action).to_owned(), "web".to_owned());
        journal.write(host, Record::Begin { action, stage, undo: Vec::new() }).unwrap();
    }
    if let Some(exit) = exit {
        journal.write(host, Record::Finished { exit, data: [].into() }).unwrap();
    }
    dir.id
}

fn found(host: &FakeHost) -> Vec<(Option<usize>, Finding)> {
    let all = runs::all(host, None).unwrap();
    let told = Mutex::new(Vec::new());
    look(host, &all, &installed(host, &all), &|at, finding| told.lock().unwrap().push((at, finding)));
    told.into_inner().unwrap()
}

fn about(host: &FakeHost, title: &str) -> Finding {
    found(host).into_iter().map(|(_, finding)| finding).find(|finding| finding.title == title).unwrap()
}

/// A server on which everything is well.
fn well() -> FakeHost {
    let host = FakeHost::new();
    host.offer(Package::new("nginx", "1.22").service("nginx", &[]));
    for argv in [&["apt-get", "install", "-y", "nginx"][..], &["systemctl", "enable", "--now", "nginx.service"]] {
        host.run(&crate::host::Command::new(argv.iter().copied())).unwrap();
    }
    let made = self_signed::make(&["shop.example.org".to_owned()], 400, host.now()).unwrap();
    host.put_file(CERTIFICATE, made.certificate, 0o644);
    host.put_file("/var/backups/shop/shop-1.tar.gz", "", 0o600);
    host.put_file("/var/lib/apt/lists/deb_Packages", "", 0o644);
    host.on(&["apt-get", "--simulate"], |_, _| output(0, "", ""));
    host.on(&["sell"], |_, _| output(0, "sold", ""));
    let id = ran(&host, &plan("shop"), &["web.service", "web.certificate"], None);
    let mut journal = Journal::open(&host, &RunDir::of(&id).file("journal.jsonl")).unwrap();
    let hash = carry::written(&host, CERTIFICATE.as_ref()).unwrap().unwrap();
    let wrote = [(CERTIFICATE.into(), hash)].into();
    journal.write(&host, Record::End { action: "web.certificate".into(), written_hashes: wrote }).unwrap();
    journal.write(&host, Record::Finished { exit: Exit::Done, data: [].into() }).unwrap();
    let step = |id: &str, describe: &str| StepInfo { id: id.into(), stage: "web".into(), describe: describe.into() };
    let ended = |proof: &str, failure| EventKind::ProofEnded {
        proof: proof.into(),
        evidence: Some("yes".into()),
        failure,
        millis: 1,
    };
    let proofs = vec![step("web.sells", "the shop sells"), step("web.backups", "a backup is made every night")];
    let events = [
        EventKind::RunStarted { run: id.clone(), guide: "A shop".into(), resumed: false, actions: vec![], proofs },
        ended("web.sells", None),
        ended("web.backups", None),
    ];
    for what in events {
        let line = serde_json::to_string(&Event { at: host.now(), what }).unwrap() + "\n";
        host.append_lazily(&RunDir::of(&id).file("events.jsonl"), line.as_bytes()).unwrap();
    }
    host
}

#[test]
fn each_application_is_told_once_with_the_changes_of_all_its_runs() {
    let host = FakeHost::new();
    ran(&host, &plan("shop"), &["web.service", "web.certificate"], Some(Exit::Done));
    ran(&host, &plan("wiki"), &["web.service"], Some(Exit::ProofFailed));
    let again = ran(&host, &plan("shop"), &["web.certificate", "web.new"], None);
    let all = runs::all(&host, None).unwrap();
    let found = installed(&host, &all);
    let told: Vec<_> = found.iter().map(|it| (it.name(), it.changes, it.state)).collect();
    assert_eq!(told, [("shop", 3, RunStatus::Unfinished), ("wiki", 1, RunStatus::ProofFailed)]);
    assert_eq!((&found[0].run, found[0].ended.as_ref()), (&again, Some(&all[0].dir.id)));
    assert_eq!(found[0].application.address, "https://shop.example.org/");
}

#[test]
fn a_server_on_which_all_is_well_says_so_of_each_side_and_looking_changes_nothing() {
    let host = well();
    let before = host.snapshot(&[]);
    let found = found(&host);
    assert_eq!(before.differences(&host.snapshot(&[])), Vec::<String>::new());
    let unwell: Vec<_> = found.iter().filter(|(_, finding)| finding.level != Level::Good).collect();
    assert!(unwell.is_empty(), "{unwell:?}");
    let mut titles: Vec<_> = found.iter().map(|(_, finding)| finding.title).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["Backup", "Certificate", "Drift", "Proofs", "Services", "Updates"]);
    assert!(about(&host, "Proofs").found.starts_with("2 of 2 passed, on "));
    assert!(about(&host, "Certificate").found.starts_with("self-signed"));
}

#[test]
fn what_is_not_well_says_what_to_do() {
    let host = well();
    host.run(&crate::host::Command::new(["systemctl", "stop", "nginx.service"])).unwrap();
    let services = about(&host, "Services");
    assert_eq!((services.level, services.fix.as_str()), (Level::Problem, "systemctl status nginx.service"));
    let made = self_signed::make(&["shop.example.org".to_owned()], 5, host.now()).unwrap();
    host.put_file(CERTIFICATE, made.certificate, 0o644);
    assert_eq!(about(&host, "Certificate").level, Level::Warning);
    host.take_away("/var/backups/shop/shop-1.tar.gz");
    assert_eq!(about(&host, "Backup").level, Level::Problem);
    host.on(&["apt-get", "--simulate"], |_, _| {
        output(0, "Inst libssl3 [3.0.15-1] (3.0.16-1 Debian-Security:12/stable-security [amd64])\n", "")
    });
    let updates = about(&host, "Updates");
    assert_eq!((updates.level, &updates.found[..18]), (Level::Warning, "1 security updates"));
}

#[test]
fn what_cannot_be_told_is_never_told_as_fine() {
    let host = well();
    host.take_away(CERTIFICATE);
    host.take_away("/var/lib/apt/lists/deb_Packages");
    let id = runs::all(&host, None).unwrap()[0].dir.id.clone();
    host.take_away(RunDir::of(&id).file("events.jsonl"));
    for title in ["Certificate", "Updates", "Proofs"] {
        let finding = about(&host, title);
        assert_eq!(finding.level, Level::Unknown, "{finding:?}");
        assert!(finding.found.starts_with("Cannot tell: "), "{finding:?}");
    }
    // What does not answer in time is not waited for.
    let all = runs::all(&host, None).unwrap();
    let told = Mutex::new(Vec::new());
    look_within(&host, &all, &installed(&host, &all), &|_, f| told.lock().unwrap().push(f), Duration::ZERO);
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), 6, "{told:?}");
}

#[test]
fn proofs_that_are_tried_again_are_what_is_told_from_then_on() {
    let host = well();
    host.on(&["sell"], |_, _| output(1, "", "sold out"));
    let all = runs::all(&host, None).unwrap();
    let found = installed(&host, &all);
    let seen = std::cell::Cell::new(0);
    verify::verify(&host, &all, &found, &|at, _, _| seen.set(seen.get() + at + 1)).unwrap();
    assert_eq!(seen.get(), 2);
    let proofs = about(&host, "Proofs");
    assert_eq!(proofs.level, Level::Problem, "{proofs:?}");
    assert!(proofs.found.contains("failed: the shop sells"), "{proofs:?}");
}

#[test]
fn a_certificate_is_told_as_it_is_and_not_as_it_was_planned() {
    let host = FakeHost::new();
    let made = self_signed::make(&["shop.example.org".to_owned()], 400, host.now()).unwrap();
    host.put_file(CERTIFICATE, made.certificate, 0o644);
    let acme = json!({"acme": {"name": "shop.example.org", "directory": "https://acme.example/", "certificate": CERTIFICATE,
        "key": "/etc/ssl/shop/key.pem", "reload": []}});
    let plan = Plan {
        actions: vec![planned("tls.acme", acme)],
        outputs: vec![OutputLine {
            label: "Certificate".into(),
            value: format!("{CERTIFICATE} (renewed by certbot.timer)"),
        }],
        ..Plan::new("shop", "A shop")
    };
    let value = outputs(&host, &plan).remove(0).value;
    assert!(value.starts_with(&format!("{CERTIFICATE}: self-signed")), "{value}");
    assert!(!value.contains("renewed by certbot") && value.contains("the authority issued none"), "{value}");
}

#[test]
fn the_memory_of_the_applications_services_is_told_where_systemd_knows_it() {
    let host = FakeHost::new();
    let care = json!({"services": [
        {"name": "web", "manager": "systemd", "unit": "shop.service"},
        {"name": "worker", "manager": "systemd", "unit": "shop-worker.service"},
        {"name": "old", "manager": "supervisor", "unit": "old"}]});
    let plan = Plan { care: Some(serde_json::from_value(care).unwrap()), ..plan("shop") };
    ran(&host, &plan, &["web.service"], Some(Exit::Done));
    host.on(&["systemctl", "show", "--property=MemoryCurrent"], |_, command| {
        let of_web = command.argv.last().is_some_and(|unit| unit == "shop.service");
        output(0, if of_web { "MemoryCurrent=120000000\n" } else { "MemoryCurrent=18446744073709551615\n" }, "")
    });
    let all = runs::all(&host, None).unwrap();
    let it = &installed(&host, &all)[0];
    assert_eq!(checks::memory(&host, it), "; memory: web 120 MB");
}
