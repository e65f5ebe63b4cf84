//! Plans of the guide Exosphere: the answers files, every release, and what it refuses.

use bringup::answers::resolve::requirements;
use bringup::error::Problem;
use bringup::facts::Facts;
use bringup::guide::load;
use bringup::plan::Plan;

use crate::outline;
use crate::support::{facts, planned, right};

const RELEASES: [&str; 5] = ["bullseye", "bookworm", "trixie", "jammy", "noble"];
const CLOUDS: &str = "config: {clouds: [{keystone: 'https://cloud.example.org:5000/v3', name: Research cloud}]}\n";
const FINISHED: &str = "source: {from: directory, location: /root/public}\n";

/// A server of a release that asks two name servers.
fn server(codename: &str) -> Facts {
    let mut facts = facts(codename, "systemd");
    facts.name_servers = ["192.0.2.53", "2001:db8::53"].map(str::to_owned).to_vec();
    facts.addresses = ["127.0.0.1", "192.0.2.10", "::1", "2001:db8::10"].map(str::to_owned).to_vec();
    facts
}

fn attempt(facts: &Facts, sections: &str) -> Result<Plan, Vec<Problem>> {
    planned(facts, "answers.yaml", format!("version: 1\nguide: exosphere\n{sections}").as_bytes())
}

#[track_caller]
fn plan(facts: &Facts, sections: &str) -> Plan {
    right(attempt(facts, sections), sections)
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn refused(facts: &Facts, sections: &str) -> String {
    match attempt(facts, sections) {
        Ok(_) => panic!("it is not refused: {sections}"),
        Err(problems) => told(&problems),
    }
}

/// The text of one file of a plan.
fn text(plan: &Plan, id: &str) -> String {
    outline::files(plan, None, |action| action == id)
}

#[test]
fn each_answers_file_fits_every_release_that_it_names() {
    for (file, answers, releases) in [
        (
            "native",
            &include_bytes!("../../assets/answers/exosphere-native.yaml")[..],
            &["bookworm", "trixie", "noble"][..],
        ),
        ("prebuilt", include_bytes!("../../assets/answers/exosphere-prebuilt.yaml"), &RELEASES),
        ("containers", include_bytes!("../../assets/answers/exosphere-containers.yaml"), &["trixie"]),
    ] {
        for release in releases {
            let plan = right(planned(&server(release), file, answers), file);
            assert_eq!(plan.hash(), right(planned(&server(release), file, answers), file).hash(), "{file} {release}");
        }
    }
}

#[test]
fn built_here_on_bookworm() {
    let answers = include_bytes!("../../assets/answers/exosphere-native.yaml");
    insta::assert_snapshot!(outline::outline(&right(planned(&server("bookworm"), "native", answers), "native")));
}

#[test]
fn the_files_of_a_server_with_two_clouds() {
    let answers = include_bytes!("../../assets/answers/exosphere-native.yaml");
    let plan = right(planned(&server("trixie"), "native", answers), "native");
    insta::assert_snapshot!(outline::files(&plan, None, |id| !id.starts_with("upkeep.") && !id.starts_with("logs.")));
}

#[test]
fn in_a_container_on_trixie() {
    let answers = include_bytes!("../../assets/answers/exosphere-containers.yaml");
    let plan = right(planned(&server("trixie"), "containers", answers), "containers");
    insta::assert_snapshot!(outline::outline(&plan));
    insta::assert_snapshot!(
        "the_files_of_a_container",
        outline::files(&plan, None, |id| {
            ["containers.", "services."].iter().any(|stage| id.starts_with(stage)) && id != "services.prove_program"
        })
    );
}

#[test]
fn a_container_needs_compose_2_and_a_place_of_its_own() {
    let contained = |more: &str| format!("{CLOUDS}{FINISHED}web: {{way: containers}}\n{more}");
    for codename in RELEASES.iter().filter(|codename| **codename != "trixie") {
        let said = refused(&server(codename), &contained(""));
        assert!(said.contains("needs version 2 of Compose, so Debian 13"), "{codename}: {said}");
    }
    let with = |package: &str| {
        let mut facts = server("trixie");
        facts.installed.insert(package.to_owned(), "1".to_owned());
        facts
    };
    assert!(refused(&with("nginx"), &contained("")).contains("nginx is installed on this server"));
    assert!(refused(&with("podman-docker"), &contained("")).contains("Docker would replace it"));
    // A Docker of others keeps its settings and its place.
    let own = outline::outline(&plan(&server("trixie"), &contained("")));
    assert!(own.contains("/etc/docker/daemon.json") && own.contains("docker.io"), "{own}");
    for package in ["docker.io", "docker-ce"] {
        let beside = outline::outline(&plan(&with(package), &contained("")));
        assert!(!beside.contains("daemon.json") && !beside.contains("/var/lib/docker"), "{package}: {beside}");
    }
    for (more, expected) in [
        ("containers: {image: nginx}\n", "a name with a tag"),
        ("containers: {image: 'nginx:latest'}\n", "another image every few weeks"),
        ("containers: {image: 'nginx:1.30.6;reboot'}\n", "a name with a tag"),
        (
            "containers: {image: 'nginx:1.30.6@sha256:0000000000000000000000000000000000000000000000000000000000000000', \
             archive: /root/nginx.tar}\n",
            "no digest of a registry",
        ),
        ("containers: {archive: nginx.tar}\n", "containers.archive"),
    ] {
        let said = refused(&server("trixie"), &contained(more));
        assert!(said.contains(expected), "{more}{said}");
    }
    // With an authority's certificate the container sees what certbot renews.
    let acme = contained("tls: {mode: acme, terms: true}\n")
        .replace("way: containers", "way: containers, host: a.example.org");
    let files = text(&plan(&server("trixie"), &acme), "services.compose");
    assert!(files.contains("source: \"/etc/letsencrypt\"") && files.contains("source: \"/var/www/acme\""), "{files}");
}

#[test]
fn only_releases_that_have_what_it_needs_fit() {
    let guide = load::load("exosphere").unwrap();
    for codename in RELEASES {
        assert!(requirements(&guide, &server(codename)).is_empty(), "{codename}");
        assert!(told(&requirements(&guide, &facts(codename, "tini"))).contains("systemd is not running"));
    }
    assert!(told(&requirements(&guide, &facts("buster", "systemd"))).contains("not supported"));
    for codename in ["bullseye", "jammy"] {
        let said = refused(&server(codename), &format!("{CLOUDS}{FINISHED}oidc: {{enable: true}}\n"));
        assert!(said.contains("no package of nginx's JavaScript module"), "{said}");
        let said = refused(&server(codename), &format!("{CLOUDS}source: {{from: git}}\n"));
        assert!(said.contains("needs Node.js 18"), "{said}");
        // Without a word about it, it is a finished directory.
        plan(&server(codename), &format!("{CLOUDS}source: {{location: /root/public}}\n"));
    }
}

#[test]
fn a_build_needs_memory_and_a_finished_one_does_not() {
    let mut small = server("bookworm");
    small.memory.usable_mib = 1000;
    let said = refused(&small, CLOUDS);
    assert!(said.contains("1000 MiB of memory and swap are too little"), "{said}");
    plan(&small, &format!("{CLOUDS}{FINISHED}"));
    small.memory.swap_mib = 2000;
    plan(&small, CLOUDS);
}

#[test]
fn each_bad_answer_is_refused_with_the_reason() {
    let cloud = |keystone: &str| format!("config: {{clouds: [{{keystone: '{keystone}', name: A}}]}}\n");
    for (sections, expected) in [
        (cloud("http://cloud.example.org:5000/v3"), "https"),
        (cloud("https://192.0.2.7:5000/v3"), "host name in lower case"),
        (cloud("https://Cloud.example.org/v3"), "host name in lower case"),
        (cloud("https://cloud.example.org/v3/"), "without / at the end"),
        ("config: {clouds: []}\n".to_owned(), "config.clouds"),
        (String::new(), "config.clouds"),
        (
            "config: {clouds: [{keystone: 'https://a.example.org/v3', name: A}, \
             {keystone: 'https://a.example.org:5000/v3', name: B}]}\n"
                .to_owned(),
            "the same Keystone host",
        ),
        (format!("{CLOUDS}proxy: {{domains: [org]}}\n"), "at least two labels"),
        (format!("{CLOUDS}proxy: {{domains: ['*.example.org']}}\n"), "at least two labels"),
        (format!("{CLOUDS}proxy: {{domains: [10.0.0.1]}}\n"), "at least two labels"),
        (format!("{CLOUDS}proxy: {{domains: [example.net]}}\n"), "not every Keystone (cloud.example.org)"),
        (format!("{CLOUDS}proxy: {{name_servers: [ns.example.org]}}\n"), "IP addresses"),
        (format!("{CLOUDS}proxy: {{name_servers: []}}\n"), "proxy.name_servers"),
        (
            format!("{CLOUDS}proxy: {{domains: [example.org]}}\nweb: {{host: example.org}}\n"),
            "the proxy would reach itself",
        ),
        (format!("{CLOUDS}web: {{http_port: 443}}\n"), "different ports"),
        (
            format!("{CLOUDS}oidc: {{enable: true, keystone: 'https://other.example.org/v3'}}\n"),
            "is not among the clouds",
        ),
        (format!("{CLOUDS}oidc: {{enable: true, icon: ../x.png}}\n"), "a path in public/"),
        (format!("{CLOUDS}source: {{from: directory, location: 'https://example.org/x'}}\n"), "an absolute path"),
    ] {
        let said = refused(&server("bookworm"), &sections);
        assert!(said.contains(expected), "{sections}{said}");
    }
}

#[test]
fn the_proxy_knows_its_domains_and_name_servers() {
    let site = |facts: &Facts, sections: &str| {
        text(&plan(facts, &format!("{CLOUDS}{FINISHED}{sections}")), "services.nginx_site")
    };
    let usual = site(&server("bookworm"), "");
    assert!(usual.contains(r#"cloud\.example\.org$" $http_exo_proxy_orig_host;"#), "{usual}");
    assert!(usual.contains("resolver 192.0.2.53 [2001:db8::53] valid=30s;"), "{usual}");
    assert!(usual.contains("proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;"), "{usual}");
    assert!(!usual.contains("js_import"), "{usual}");
    let mut old = server("bookworm");
    old.addresses.pop();
    let private = site(&old, "proxy: {authority: /root/ca.pem, name_servers: [198.51.100.1]}\n");
    assert!(private.contains("resolver 198.51.100.1 valid=30s ipv6=off;"), "{private}");
    assert!(private.contains("proxy_ssl_trusted_certificate /etc/exosphere/authority.pem;"), "{private}");
    let mut alone = server("bookworm");
    alone.name_servers = Vec::new();
    assert!(refused(&alone, &format!("{CLOUDS}{FINISHED}")).contains("proxy.name_servers"));
}

#[test]
fn names_are_written_as_javascript() {
    let clouds = "config: {title: 'Sch\u{f6}n \"& </script>', clouds: [{keystone: 'https://cloud.example.org:5000/v3', \
                  name: 'A \"cloud\" \\ caf\u{e9}', uap: uap.example.org, regions: [East=east.example.org]}]}\n";
    let plan = plan(&server("bookworm"), &format!("{clouds}{FINISHED}"));
    let written = text(&plan, "config.clouds");
    assert!(written.contains(r#""friendlyName": "A \"cloud\" \\ caf\u00e9""#), "{written}");
    assert!(written.contains(r#"{"region": "East", "hostname": "east.example.org"},"#), "{written}");
    assert!(written.contains(r#"{"region": null, "hostname": "uap.example.org"}"#), "{written}");
    let config = text(&plan, "services.config");
    assert!(config.contains(r#"appTitle: "Sch\u00f6n \"& </script>","#), "{config}");
}
