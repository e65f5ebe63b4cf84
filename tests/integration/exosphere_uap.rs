//! Plans of the guide of Exosphere's User Application Proxy: every release, any networks, and what it refuses.

use bringup::action::Action;
use bringup::answers::resolve::requirements;
use bringup::error::Problem;
use bringup::facts::{Facts, Listener};
use bringup::guide::load;
use bringup::plan::Plan;
use bringup::proof::Proof;

use crate::outline;
use crate::support::{facts, planned, right};

const WEB: &str = "web: {host: uap.example.org, main: explore.example.org}\n";
const NETWORKS: &str = "networks: {instances: [198.51.100.16/28, 203.0.113.0/24]}\n";

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn bookworm() -> Facts {
    facts("bookworm", "systemd")
}

#[track_caller]
fn plan(facts: &Facts, sections: &str) -> Plan {
    let answers = format!("version: 1\nguide: exosphere-uap\n{sections}");
    right(planned(facts, "answers.yaml", answers.as_bytes()), &answers)
}

#[track_caller]
fn refused(facts: &Facts, sections: &str) -> String {
    let answers = format!("version: 1\nguide: exosphere-uap\n{sections}");
    match planned(facts, "answers.yaml", answers.as_bytes()) {
        Ok(_) => panic!("it is not refused: {sections}"),
        Err(problems) => told(&problems),
    }
}

/// What nginx is told.
fn site(facts: &Facts, sections: &str) -> String {
    outline::files(&plan(facts, sections), None, |id| id == "proxy.site")
}

const ACME: &str = "tls: {mode: acme, terms: true, challenge: dns, wildcard: true, provider: rfc2136, dns_server: 192.0.2.53, \
                    tsig_name: acme, tsig_secret: {env: PATH}}\n";

#[test]
fn on_bookworm_with_a_certificate_through_the_dns() {
    insta::assert_snapshot!(outline::outline(&plan(&bookworm(), &format!("{WEB}{NETWORKS}{ACME}"))));
}

#[test]
fn the_files_on_bookworm() {
    let instance = NETWORKS.replace("]}", "], left_out: [203.0.113.1], instance: 'http://198.51.100.17:8888/a/b'}");
    let plan = plan(&bookworm(), &format!("{WEB}{instance}{ACME}"));
    insta::assert_snapshot!(outline::files(&plan, None, |id| !id.starts_with("upkeep.")));
}

#[test]
fn on_trixie_without_ipv6_beside_other_sites() {
    let mut trixie = facts("trixie", "systemd");
    trixie.ipv6 = false;
    trixie.installed.insert("nginx".to_owned(), "1.26".to_owned());
    trixie.listening.push(Listener { port: 80, address: "0.0.0.0".to_owned(), process: "nginx".to_owned() });
    let sections = format!("{WEB}{NETWORKS}");
    let site = site(&trixie, &sections);
    assert!(!site.contains("[::]") && !site.contains("444") && site.contains("http2 on;"), "{site}");
    let plan = plan(&trixie, &sections);
    assert!(plan.actions.iter().all(|planned| planned.id != "proxy.default"));
    assert!(plan.proofs.iter().all(|planned| planned.id != "proxy.foreign"));
    assert!(plan.warnings.iter().any(|said| said.contains("serves other sites here")), "{:?}", plan.warnings);
}

#[test]
fn every_release_plans_and_other_systems_are_refused() {
    let guide = load::load("exosphere-uap").unwrap();
    for codename in ["bullseye", "bookworm", "trixie", "jammy", "noble"] {
        let facts = facts(codename, "systemd");
        assert!(requirements(&guide, &facts).is_empty(), "{codename}");
        let sections = format!("{WEB}{NETWORKS}{ACME}");
        let made = plan(&facts, &sections);
        assert_eq!(made.hash(), plan(&facts, &sections).hash());
        let packages = made.actions.iter().find_map(|planned| match &planned.action {
            Action::Packages(packages) => Some(packages.names.join(" ")),
            _ => None,
        });
        let expected = if codename == "bullseye" { "nginx-light" } else { "nginx" };
        assert!(packages.unwrap().split(' ').any(|name| name == expected), "{codename}");
    }
    assert!(told(&requirements(&guide, &facts("bookworm", "tini"))).contains("units of systemd"));
    assert!(told(&requirements(&guide, &facts("buster", "systemd"))).contains("is not supported"));
}

#[test]
fn networks_that_would_open_this_server_are_refused() {
    for (networks, expected) in [
        ("{instances: []}", "networks.instances"),
        ("{instances: [2001:db8::/32]}", "only addresses of IPv4"),
        ("{instances: [0.0.0.0/0]}", "loopback, link-local"),
        ("{instances: [0.0.0.0/1]}", "loopback, link-local"),
        ("{instances: [198.51.100.0/24, 127.0.0.53]}", "127.0.0.53 holds"),
        ("{instances: [169.254.169.254]}", "loopback, link-local"),
        ("{instances: [128.0.0.0/2]}", "loopback, link-local"),
        ("{instances: [224.0.0.0/8]}", "multicast"),
        ("{instances: [255.255.255.255]}", "reserved"),
        ("{instances: [0.0.0.0]}", "loopback, link-local"),
        ("{instances: [198.51.100.7/24]}", "198.51.100.0/24 for the network"),
        ("{instances: [nowhere]}", "is not a network"),
        ("{instances: [198.51.100.0/24], left_out: ['::1']}", "only addresses of IPv4"),
        ("{instances: [198.51.100.0/24], instance: 'http://192.0.2.7/'}", "in none of the networks"),
        ("{instances: [198.51.100.0/24], left_out: [198.51.100.7], instance: 'http://198.51.100.7/'}", "is left out"),
        ("{instances: [198.51.100.0/24], instance: 'http://web.example.org/'}", "a URL with an IPv4 address"),
        ("{instances: [198.51.100.0/24], instance: 'http://198.51.100.300/'}", "is not an IP address"),
        ("{instances: [198.51.100.0/24], instance: 'http://198.51.100.7:99999/'}", "has no valid port"),
    ] {
        let said = refused(&bookworm(), &format!("{WEB}networks: {networks}\n"));
        assert!(said.contains(expected), "{networks}\n{said}");
    }
}

#[test]
fn this_server_and_its_administrators_are_let_in_only_when_that_is_confirmed() {
    let mut facts = bookworm();
    facts.addresses = ["127.0.0.1", "203.0.113.9", "2001:db8::9"].map(str::to_owned).into();
    let said = refused(&facts, &format!("{WEB}{NETWORKS}"));
    assert!(said.contains("203.0.113.9, this server's own") && said.contains("networks.own"), "{said}");
    let own = NETWORKS.replace("]}", "], own: true}");
    let written = site(&facts, &format!("{WEB}{own}"));
    assert!(written.contains(r#""~^(?:https?-)?(?:203-0-113-9)-[0-9]+\.uap\.example\.org$" "";"#), "{written}");
    // The floating address, too: a request to it would come back.
    let floating = WEB.replace('}', ", addresses: [198.51.100.20]}");
    let written = site(&facts, &format!("{floating}{own}"));
    assert!(written.contains("198-51-100-20)-[0-9]+"), "{written}");
    facts.addresses.clear();
    facts.sshd.peers = vec!["198.51.100.17".to_owned()];
    assert!(refused(&facts, &format!("{WEB}{NETWORKS}")).contains("198.51.100.17"));
    facts.sshd.peers = vec!["192.0.2.1".to_owned()];
    plan(&facts, &format!("{WEB}{NETWORKS}"));
}

#[test]
fn names_and_certificates_that_cannot_work_are_refused() {
    for (sections, expected) in [
        (format!("web: {{host: uap.example.org, main: uap.example.org}}\n{NETWORKS}"), "is the proxy itself"),
        (format!("web: {{host: uap.example.org, main: x.uap.example.org}}\n{NETWORKS}"), "or below it"),
        (format!("web: {{host: uap.example.org}}\n{NETWORKS}"), "web.main"),
        (format!("web: {{host: 198.51.100.7, main: explore.example.org}}\n{NETWORKS}"), "is an IP address"),
        (WEB.replace('}', ", addresses: [uap.example.org]}") + NETWORKS, "is not an IP address"),
        (WEB.replace('}', ", http_port: 443}") + NETWORKS, "different ports"),
        (format!("{WEB}{NETWORKS}{}", ACME.replace("wildcard: true", "wildcard: false")), "would not cover them"),
        (format!("{WEB}{NETWORKS}tls: {{mode: acme, terms: true}}\n"), "check such names in the DNS only"),
        (format!("{}{NETWORKS}", WEB.replace("uap.example.org", &format!("{}.org", "a.".repeat(115) + "a"))), "226"),
    ] {
        let said = refused(&bookworm(), &sections);
        assert!(said.contains(expected), "{sections}{said}");
    }
}

#[test]
fn wide_networks_and_unknown_names_are_warned_of() {
    let warned = |sections: &str| plan(&bookworm(), sections).warnings.join("\n");
    let wide = warned(&format!("{WEB}networks: {{instances: [10.0.0.0/8, 16.0.0.0/7]}}\n"));
    assert!(wide.contains("16.0.0.0/7 is wider than a /8") && !wide.contains("10.0.0.0/8 is wider"), "{wide}");
    assert!(wide.contains("browsers refuse each instance") && wide.contains("is not tried"), "{wide}");
    let later = WEB.replace('}', ", resolves: false}");
    assert!(warned(&format!("{later}{NETWORKS}")).contains("no instance can be reached before"));
    let plan = plan(&bookworm(), &format!("{later}{NETWORKS}"));
    assert!(plan.proofs.iter().all(|planned| planned.id != "web.resolve"));
}

#[test]
fn a_long_name_gets_room_and_the_certificate_covers_every_name() {
    let long = format!("{}.example.org", "a".repeat(40));
    let room = "server_names_hash_bucket_size 512;";
    assert!(site(&bookworm(), &(WEB.replace("uap.example.org", &long) + NETWORKS)).contains(room));
    assert!(!site(&bookworm(), &format!("{WEB}{NETWORKS}")).contains(room));
    for sections in [String::new(), "tls: {mode: provided, certificate: /root/a, key: /root/b}\n".to_owned()] {
        let plan = plan(&bookworm(), &format!("{WEB}{NETWORKS}{sections}"));
        let names = plan.actions.iter().find_map(|planned| match &planned.action {
            Action::Certificate(certificate) => Some(certificate.names.join(" ")),
            _ => None,
        });
        assert_eq!(names.as_deref(), Some("uap.example.org *.uap.example.org"));
    }
}

#[test]
fn the_instance_is_asked_under_its_name() {
    let url = |instance: &str| {
        let networks = NETWORKS.replace("]}", &format!("], instance: '{instance}', status: 302}}"));
        let plan = plan(&bookworm(), &format!("{WEB}{networks}"));
        plan.proofs.iter().find_map(|planned| match &planned.proof {
            Proof::Http(http) if planned.id == "proxy.instance" => Some((http.url.clone(), http.status)),
            _ => None,
        })
    };
    for (instance, expected) in [
        (
            "http://198.51.100.17:8888/a/b?c=http://198.51.100.17",
            "http-198-51-100-17-8888.uap.example.org/a/b?c=http://198.51.100.17",
        ),
        ("http://203.0.113.9", "http-203-0-113-9-80.uap.example.org"),
        ("https://203.0.113.9/", "https-203-0-113-9-443.uap.example.org/"),
    ] {
        assert_eq!(url(instance), Some((format!("https://{expected}"), 302)));
    }
}
