//! Plans of the guide Flectra on recorded machines: Debian 11 to 13, Ubuntu 22.04 and 24.04.

use bringup::action::{Action, Reversible};
use bringup::error::Problem;
use bringup::facts::{Cluster, Disk, Facts, Listener};
use bringup::plan::Plan;
use bringup::proof::Proof;
use bringup::secret;

use crate::outline::{file, files, outline};
use crate::support::{facts, planned, right};

const CONF: &str = "/etc/flectra/flectra.conf";
const SITE: &str = "/etc/nginx/sites-available/flectra";
const LOGIN: &str = "tenancy: {login: operator@example.org}\n";
/// What a release needs whose own Python is too new.
const PYTHON: &str = "source: {python: /opt/python3.9/bin/python3.9}\n";

/// The plan of the guide with these sections of answers.
fn flectra(facts: &Facts, sections: &str) -> Result<Plan, Vec<Problem>> {
    planned(facts, "answers.yaml", format!("version: 1\nguide: flectra\n{sections}").as_bytes())
}

/// As [`flectra`], for answers that are right.
#[track_caller]
fn plan(facts: &Facts, sections: &str) -> Plan {
    right(flectra(facts, sections), sections)
}

/// What Debian's package makes.
fn main_cluster() -> Cluster {
    Cluster {
        id: "13/main".to_owned(),
        version: "13".to_owned(),
        name: "main".to_owned(),
        port: 5432,
        configured_port: 5432,
        running: true,
        start: "auto".to_owned(),
        owner: "postgres".to_owned(),
        socket: "/var/run/postgresql".to_owned(),
        listen: "127.0.0.1".to_owned(),
        max_connections: 148,
        ..Cluster::default()
    }
}

fn bullseye() -> Facts {
    facts("bullseye", "systemd")
}

#[test]
fn on_bullseye_with_its_own_python() {
    insta::assert_snapshot!(outline(&plan(&bullseye(), LOGIN)));
}

#[test]
fn debians_own_package_of_the_product_is_in_the_way() {
    let guide = bringup::guide::load::load("flectra").unwrap();
    let lacks = |facts: &Facts| bringup::answers::resolve::requirements(&guide, facts);
    assert_eq!(lacks(&bullseye()), []);
    let mut facts = bullseye();
    facts.installed.insert("flectra".to_owned(), "2.0".to_owned());
    let told = lacks(&facts).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("installed here from a Debian package"), "{told}");
}

#[test]
fn the_files_on_bullseye() {
    insta::assert_snapshot!(files(&plan(&bullseye(), LOGIN), None, |_| true));
}

#[test]
fn on_bookworm_with_a_named_python_and_a_remote_database() {
    let answers = format!(
        "{LOGIN}{PYTHON}database: {{place: remote, host: db.example.org, name: erp, password: {{env: DB}}}}\n\
         web: {{host: erp.example.org, https_port: 8443}}\n"
    );
    insta::assert_snapshot!(outline(&plan(&facts("bookworm", "systemd"), &answers)));
}

#[test]
fn on_trixie_for_several_databases_with_the_manager_for_a_network() {
    let answers = "source: {python: /opt/python3.9/bin/python3.9}\n\
                   database: {auth: password, name: acme}\n\
                   tenancy: {login: operator@example.org, filter: subdomain, hosts: [www.other.example.org],\n  \
                   manager: networks, networks: [192.0.2.0/24], apps: [sale_management]}\n\
                   web: {host: acme.example.org}\n";
    let plan = plan(&facts("trixie", "systemd"), answers);
    let told = plan.warnings.join("\n");
    assert!(told.contains("with the filter ^%d$, www.other.example.org finds not acme"), "{told}");
    let written = files(&plan, Some(&self::plan(&bullseye(), LOGIN)), |_| true);
    insta::assert_snapshot!(format!("{}{written}", outline(&plan)));
}

#[test]
fn the_manager_is_closed_or_open_for_networks_or_for_whoever_knows_the_password() {
    let page = |more: &str| {
        let plan = plan(&bullseye(), &LOGIN.replace('}', &format!(", {more}}}")));
        let page = file(&plan, SITE).split_once("location /web/database {").unwrap().1.to_owned();
        let warned = plan.warnings.iter().any(|said| said.contains("anyone with the master password"));
        (page.contains("deny all;"), page.contains("return 403;"), file(&plan, CONF).contains("list_db = True"), warned)
    };
    assert_eq!(page("manager: nobody"), (false, true, false, false));
    assert_eq!(page("manager: networks, networks: [192.0.2.0/24]"), (true, false, true, false));
    assert_eq!(page("manager: everybody"), (false, false, true, true));
}

#[test]
fn every_release_plans_the_same_bytes_twice_and_every_step_can_be_taken_back() {
    for codename in ["bullseye", "bookworm", "trixie", "jammy", "noble"] {
        let facts = facts(codename, "systemd");
        for auth in ["socket", "password"] {
            let answers = format!("{LOGIN}{PYTHON}database: {{auth: {auth}}}\n");
            let one = plan(&facts, &answers);
            assert_eq!(one.hash(), plan(&facts, &answers).hash(), "{codename}");
            for planned in &one.actions {
                assert!(!matches!(planned.reversible, Reversible::No(_)), "{codename}: {}", planned.id);
                if let Action::File(file) = &planned.action
                    && file.content.contains(secret::OPEN)
                {
                    assert_eq!((file.mode.as_str(), file.group.as_str()), ("0640", "flectra"), "{codename}");
                }
            }
            let version = match codename {
                "bullseye" => 13,
                "jammy" => 14,
                "bookworm" => 15,
                "noble" => 16,
                _ => 17,
            };
            assert!(
                file(&one, &format!("/etc/postgresql/{version}/main/conf.d/90-flectra.conf")).contains("127.0.0.1")
            );
        }
    }
}

#[test]
fn a_database_of_postgres_is_found_by_its_name_and_not_by_a_filter() {
    let of = |owner: &str| {
        let plan = plan(&bullseye(), &LOGIN.replace('}', &format!(", owner: {owner}}}")));
        let made = plan.actions.iter().find_map(|planned| match &planned.action {
            Action::Database(database) => Some(database.owner.clone()),
            _ => None,
        });
        (made.unwrap(), file(&plan, CONF).contains("dbfilter"), file(&plan, CONF).contains("db_name = flectra\n"))
    };
    assert_eq!(of("role"), (String::new(), true, true));
    assert_eq!(of("postgres"), ("postgres".to_owned(), false, true));
}

#[test]
fn nothing_but_the_web_server_listens_for_others() {
    let plan = plan(&bullseye(), LOGIN);
    for planned in &plan.proofs {
        if let Proof::Ports(expected) = &planned.proof {
            for port in &expected.ports {
                let public = [80, 443].contains(&port.port);
                assert_eq!(public, port.on == bringup::proof::ports::Exposure::Any, "{port:?}");
            }
        }
    }
    assert!(file(&plan, CONF).contains("http_interface = 127.0.0.1\n"));
}

#[test]
fn what_the_guide_has_wrong_is_right_here() {
    let plan = plan(&bullseye(), LOGIN);
    let site = file(&plan, SITE);
    // The names of the servers behind nginx, and the port of long polling.
    assert!(
        site.contains("upstream flectra {\n    server 127.0.0.1:7073;") && site.contains("proxy_pass http://flectra;")
    );
    assert!(site.contains("server 127.0.0.1:7072;") && site.contains("proxy_pass http://flectra_longpolling;"));
    for wrong in ["flectrahq", "8072", "ssl on", "TLSv1 ", "TLSv1.1", "DES", "$host$"] {
        assert!(!site.contains(wrong), "{wrong}");
    }
    for right in ["listen 443 ssl", "client_max_body_size 64m;", "return 301 https://web.example.org$request_uri;"] {
        assert!(site.contains(right), "{right}");
    }
    let conf = file(&plan, CONF);
    for right in ["dbfilter = ^flectra$", "list_db = False", "proxy_mode = True", "workers = 2", "without_demo = all"] {
        assert!(conf.contains(right), "{right}");
    }
    assert!(!conf.contains("admin_passwd = admin"));
}

#[test]
fn postgresql_lets_all_processes_in_and_one_worker_more_does_not_restart_it() {
    let path = "/etc/postgresql/13/main/conf.d/90-flectra.conf";
    let of = |workers: u32| {
        let plan = plan(&bullseye(), &format!("{LOGIN}workers: {{web: {workers}}}\n"));
        file(&plan, path).to_owned()
    };
    assert_eq!(of(2), of(3));
    for workers in [1, 13, 14, 30, 64] {
        let text = of(workers);
        let line = text.lines().find_map(|line| line.strip_prefix("max_connections = ")).unwrap().to_owned();
        let allowed: u32 = line.parse().unwrap();
        assert!(allowed >= (workers + 3) * 16 + 20, "{workers}: {allowed}");
    }
}

#[test]
fn a_python_that_is_too_new_is_refused_and_the_screen_says_which_release_can() {
    for codename in ["bookworm", "trixie", "jammy", "noble"] {
        let facts = facts(codename, "systemd");
        let told = |answers: &str| {
            let problems = flectra(&facts, answers).expect_err(codename);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let unanswered = told(LOGIN);
        assert!(unanswered.contains("source.python"), "{unanswered}");
        let system = told(&format!("{LOGIN}source: {{python: /usr/bin/python3}}\n"));
        assert!(system.contains("too new") && system.contains("Debian 11 (bullseye)"), "{system}");
        // One that is named is tried before anything is changed.
        let plan = plan(&facts, &format!("{LOGIN}{PYTHON}"));
        let tried =
            plan.proofs.iter().any(|planned| matches!(&planned.proof, Proof::Command(proof) if proof.preflight));
        assert!(tried, "{codename}");
    }
    let guide = bringup::guide::load::load("flectra").unwrap();
    assert!(guide.stages[0].why.contains("Debian 11 (bullseye)"));
}

#[test]
fn other_ports_of_its_own_are_the_same_wherever_they_stand() {
    let plan = plan(&bullseye(), &format!("{LOGIN}web: {{port: 8073, longpolling_port: 8072}}\n"));
    let conf = file(&plan, CONF);
    assert!(conf.contains("http_port = 8073\nlongpolling_port = 8072\n"), "{conf}");
    let site = file(&plan, SITE);
    assert!(site.contains("server 127.0.0.1:8073;") && site.contains("server 127.0.0.1:8072;"), "{site}");
    let all = serde_json::to_string(&plan).unwrap();
    assert!(!all.contains("7073") && !all.contains("7072"), "a port of the defaults is left");
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_changed() {
    let held = |port: u16, process: &str| {
        let mut facts = bullseye();
        let (address, process) = ("0.0.0.0".to_owned(), process.to_owned());
        facts.listening.push(Listener { port, address, process });
        facts
    };
    let more = |section: &str| format!("{LOGIN}{section}");
    let kept = |max_connections: u32| {
        let mut facts = bullseye();
        facts.installed.insert("postgresql-13".to_owned(), "1".to_owned());
        facts.postgresql.push(Cluster { max_connections, ..main_cluster() });
        facts
    };
    for (facts, answers, expected) in vec![
        (held(7073, "python3"), more(""), "port 7073 is already taken by python3 (it may be another Flectra"),
        (held(7072, ""), more(""), "port 7072 is already taken by another program"),
        (held(443, "apache2"), more(""), "port 443 is already taken by apache2"),
        (kept(100), more(""), "accepts 100 connections, and 276 may be needed"),
        (bullseye(), String::new(), "tenancy.login"),
        (bullseye(), "tenancy: {login: admin}\n".to_owned(), "tenancy.login"),
        (bullseye(), more("database: {name: \"my.db\"}\n"), "database.name"),
        (bullseye(), more("database: {name: postgres}\n"), "belongs to PostgreSQL itself"),
        (bullseye(), more("database: {place: remote, host: db.example.org}\n"), "database.password"),
        (bullseye(), more("source: {from: archive}\n"), "source.location"),
        (bullseye(), more("source: {location: \"https://me:secret@git.example.org/f.git\"}\n"), "holds a password"),
        (bullseye(), more("source: {python: /root/python3.9/bin/python}\n"), "the service cannot see"),
        (bullseye(), more("workers: {web: 0}\n"), "workers.web"),
        (bullseye(), more("workers: {soft_mib: 1000, hard_mib: 900}\n"), "more than the size"),
        (bullseye(), more("workers: {cpu_seconds: 900, real_seconds: 600}\n"), "at least its CPU time"),
        (bullseye(), more("web: {http_port: 443}\n"), "different ports"),
        (bullseye(), more("web: {https_port: 7073}\n"), "port 7073 is the web server's"),
        (bullseye(), more("web: {port: 5432}\n"), "port 5432 is the web server's or PostgreSQL's"),
        (bullseye(), more("web: {longpolling_port: 7073}\n"), "need different ports"),
        (
            bullseye(),
            "tenancy: {login: a@example.org, filter: subdomain}\nweb: {host: erp.example.org}\n".to_owned(),
            "does not find the database flectra",
        ),
        (
            bullseye(),
            "tenancy: {login: a@example.org, filter: custom, custom: \"^(%d$\"}\n".to_owned(),
            "not a regular expression",
        ),
        (
            bullseye(),
            "tenancy: {login: a@example.org, manager: networks, networks: [192.0.2.7/24]}\n".to_owned(),
            "write 192.0.2.0/24",
        ),
    ] {
        let problems = flectra(&facts, &answers).expect_err(expected);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "expected `{expected}`, got {told:#?}");
    }
}

#[test]
fn a_host_that_cannot_carry_it_is_told_before_the_first_question() {
    let guide = bringup::guide::load::load("flectra").unwrap();
    let told = |facts: &Facts| bringup::answers::resolve::requirements(&guide, facts);
    assert!(told(&bullseye()).is_empty());
    let mut small = facts("buster", "tini");
    small.memory.usable_mib = 512;
    small.disks.insert("/".to_owned(), Disk { free_mib: 2000, total_mib: 4000 });
    small.installed.insert("flectra".to_owned(), "2.0".to_owned());
    assert_eq!(told(&small).len(), 5, "{:#?}", told(&small));
}

#[test]
fn what_this_run_itself_brings_to_the_host_does_not_change_its_plan() {
    let fresh = bullseye();
    let mut later = fresh.clone();
    for package in ["nginx", "postgresql", "postgresql-13", "python3"] {
        later.installed.insert(package.to_owned(), "1".to_owned());
    }
    for (port, process) in [(80, "nginx"), (443, "nginx"), (5432, "postgres"), (7073, "python3"), (7072, "python3")] {
        later.listening.push(Listener { port, address: "127.0.0.1".to_owned(), process: process.to_owned() });
    }
    later.applied.push("flectra".to_owned());
    later.installed_by_us.extend(["nginx-common", "postgresql-13"].map(str::to_owned));
    later.postgresql.push(main_cluster());
    assert_eq!(plan(&fresh, LOGIN).hash(), plan(&later, LOGIN).hash());
}

#[test]
fn a_default_site_that_was_there_first_is_left_alone_in_every_run() {
    let mut first = bullseye();
    first.installed.insert("nginx".to_owned(), "1".to_owned());
    let mut second = first.clone();
    second.applied.push("flectra".to_owned());
    for facts in [&first, &second] {
        assert!(plan(facts, LOGIN).actions.iter().all(|action| action.id != "web.nginx_default"));
    }
    assert!(plan(&bullseye(), LOGIN).actions.iter().any(|action| action.id == "web.nginx_default"));
}
