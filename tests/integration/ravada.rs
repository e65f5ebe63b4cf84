//! Plans of the guide Ravada: both answers files, every release, and what it refuses.

use bringup::action::Action;
use bringup::action::firewall::Manager;
use bringup::answers::resolve::requirements;
use bringup::error::Problem;
use bringup::facts::{Facts, Virtualization};
use bringup::guide::load;
use bringup::plan::Plan;
use bringup::secret;

use crate::outline;
use crate::support::{facts, planned};

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn bookworm() -> Facts {
    facts("bookworm", "systemd")
}

/// The answers with these sections.
fn answers(sections: &str) -> String {
    format!("version: 1\nguide: ravada\n{sections}")
}

#[track_caller]
fn plan(facts: &Facts, sections: &str) -> Plan {
    let planned = planned(facts, "answers.yaml", answers(sections).as_bytes());
    planned.unwrap_or_else(|problems| panic!("{}", told(&problems)))
}

#[track_caller]
fn refused(facts: &Facts, sections: &str) -> String {
    match planned(facts, "answers.yaml", answers(sections).as_bytes()) {
        Ok(_) => panic!("it is not refused: {sections}"),
        Err(problems) => told(&problems),
    }
}

const REMOTE: &str = "database: {place: remote, host: db.example.org, port: 3307, password: {env: PATH}}\n";

#[test]
fn on_bookworm_from_its_source() {
    insta::assert_snapshot!(outline::outline(&plan(
        &bookworm(),
        "displays: {administrators: [192.0.2.10, 2001:db8::/32]}\n"
    )));
}

#[test]
fn the_files_on_bookworm() {
    let plan = plan(&bookworm(), "displays: {administrators: [192.0.2.10, 2001:db8::/32]}\n");
    insta::assert_snapshot!(outline::files(&plan, None, |id| !id.starts_with("upkeep.")));
}

#[test]
fn on_trixie_beside_ufw_with_a_remote_database_from_a_package() {
    let mut trixie = facts("trixie", "systemd");
    "ufw".clone_into(&mut trixie.firewall);
    let source = "source: {from: deb, file: /root/ravada.deb}\n";
    insta::assert_snapshot!(outline::outline(&plan(&trixie, &format!("{source}{REMOTE}"))));
}

#[test]
fn only_debian_12_and_13_with_systemd_fit() {
    let guide = load::load("ravada").unwrap();
    for codename in ["bookworm", "trixie"] {
        assert!(requirements(&guide, &facts(codename, "systemd")).is_empty());
        assert!(told(&requirements(&guide, &facts(codename, "tini"))).contains("systemd does not run here"));
    }
    for codename in ["bullseye", "jammy", "noble"] {
        assert!(told(&requirements(&guide, &facts(codename, "systemd"))).contains("Debian 12 (bookworm)"));
    }
    let mut theirs = bookworm();
    theirs.installed.insert("ravada".to_owned(), "2.4.5".to_owned());
    assert!(told(&requirements(&guide, &theirs)).contains("already installed here"));
    theirs.installed_by_us.push("ravada".to_owned());
    theirs.applied.push("ravada".to_owned());
    assert!(requirements(&guide, &theirs).is_empty());
}

#[test]
fn what_upstreams_tools_choke_on_is_refused_with_the_reason() {
    for (sections, expected) in [
        ("administrator: {login: Mary Jane}\n", "no spaces"),
        ("administrator: {login: daemon}\n", "daemon is Ravada's own user"),
        ("ravada: {login_message: \"it's here\"}\n", "apostrophes"),
        ("source: {from: deb, file: /root/my ravada.deb}\n", "without spaces"),
        ("database: {place: remote, host: localhost, password: {env: PATH}}\n", "localhost"),
        ("web: {https_port: 6000}\n", "needed for something else"),
        ("web: {https_port: 8081}\n", "needed for something else"),
        ("firewall: {manage: true, confirm: none, knock: [13023, 7411, 28754]}\n", "knocking needs nftables"),
    ] {
        let said = refused(&bookworm(), sections);
        assert!(said.contains(expected), "{sections}{said}");
    }
}

/// The firewall's manager and chains, and what loads rules of the displays' own.
fn in_charge(facts: &Facts, sections: &str) -> (Option<(Manager, String)>, &'static str) {
    let plan = plan(facts, sections);
    let firewall = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Firewall(firewall) => Some((firewall.manager, firewall.chains.join(" "))),
        _ => None,
    });
    let by = ["displays.rules", "displays.direct"].into_iter();
    let by: Vec<_> = by.filter(|id| plan.actions.iter().any(|planned| planned.id == *id)).collect();
    (firewall, by.first().copied().unwrap_or_default())
}

#[test]
fn one_place_decides_about_the_displays() {
    let on = |manager: &str| {
        let mut facts = bookworm();
        manager.clone_into(&mut facts.firewall);
        facts
    };
    let ours = (Some((Manager::Iptables, "RAVADA".to_owned())), "");
    assert_eq!(in_charge(&on("none"), ""), ours);
    assert_eq!(in_charge(&on("nftables"), ""), ours);
    assert_eq!(in_charge(&on("ufw"), ""), (Some((Manager::Ufw, String::new())), "displays.rules"));
    // It removes the rules of others when it is reloaded.
    let direct = (Some((Manager::Firewalld, String::new())), "displays.direct");
    assert_eq!(in_charge(&on("firewalld"), ""), direct);
    assert_eq!(in_charge(&on("none"), "firewall: {manage: false}\n"), (None, "displays.rules"));
    // firewalld is asked after the rules of iptables: what they let in must get through there, too.
    let open = |manager: &str, sections: &str| {
        let plan = plan(&on(manager), sections);
        let firewall = plan.actions.iter().find_map(|planned| match &planned.action {
            Action::Firewall(firewall) => {
                Some(firewall.allow.iter().map(bringup::system::firewall::opening::Allow::in_short).collect::<Vec<_>>())
            }
            _ => None,
        });
        firewall.unwrap().into_iter().filter(|allow| allow.starts_with("5900")).collect::<Vec<_>>().join("; ")
    };
    let admins = "displays: {administrators: [192.0.2.10]}\n";
    assert_eq!(open("none", ""), "");
    assert_eq!(open("none", admins), "5900-7000 from 192.0.2.10");
    assert_eq!(open("firewalld", admins), "5900-7000");
}

#[test]
fn what_virtual_machines_lack_is_said_and_refuses_nothing() {
    let said = |virtualization: Virtualization| {
        let mut facts = bookworm();
        facts.virtualization = virtualization;
        plan(&facts, "").warnings.join("\n")
    };
    assert!(said(Virtualization::default()).contains("do not show VMX or SVM"));
    let off = Virtualization { cpu: "svm".to_owned(), ..Virtualization::default() };
    assert!(said(off).contains("the processors have SVM, but there is no /dev/kvm"));
    let whole = Virtualization { kvm: true, cpu: "vmx".to_owned(), nested: true, bridges: Vec::new() };
    assert!(!said(whole.clone()).contains("KVM"));
    assert!(said(Virtualization { nested: false, ..whole }).contains("nested virtualization is off"));
}

#[test]
fn workers_follow_the_memory() {
    for (memory, workers) in [(16_000, 10), (3_900, 4), (1_600, 4)] {
        let mut facts = bookworm();
        facts.memory.usable_mib = memory;
        let written = outline::files(&plan(&facts, ""), None, |id| id == "ravada.conf");
        assert!(written.contains(&format!(",workers => {workers}\n")), "{memory}: {written}");
    }
}

#[test]
fn the_password_is_in_one_file_for_root_and_the_driver_gets_the_port() {
    let written = outline::files(&plan(&bookworm(), REMOTE), None, |id| id == "database.conf");
    assert!(written.contains("hostname: \"db.example.org;port=3307\""), "{written}");
    assert!(written.contains(&format!("password: \"{}\"", secret::mark("database.password"))), "{written}");
    assert!(written.contains("0600"), "{written}");
}

#[test]
fn each_release_plans_the_same_bytes_twice() {
    for codename in ["bookworm", "trixie"] {
        let facts = facts(codename, "systemd");
        assert_eq!(plan(&facts, "").hash(), plan(&facts, "").hash());
    }
}
