//! Plans of the guide saltant on recorded machines.

use bringup::action::{Action, Reversible};
use bringup::error::Problem;
use bringup::facts::{Cluster, Facts, Listener};
use bringup::plan::Plan;
use bringup::proof::Proof;
use bringup::proof::ports::Exposure;
use bringup::secret;

use crate::outline::{file, files, outline};
use crate::support::{facts, planned, right};

const LOGIN: &str = "project: {login: operator}\n";
const SITE: &str = "/etc/nginx/sites-available/saltant";
const ENV: &str = "/etc/saltant/env";
const WORKER_ENV: &str = "/etc/saltant-worker/env";
/// Actions whose files are in a picture.
const SHOWN: [&str; 9] = [
    "services.env",
    "services.flower_env",
    "services.production",
    "services.unit[0]",
    "services.uwsgi",
    "services.worker_env",
    "services.worker_unit",
    "services.workers_answers",
    "web.nginx_site",
];

fn saltant(facts: &Facts, sections: &str) -> Result<Plan, Vec<Problem>> {
    planned(facts, "answers.yaml", format!("version: 1\nguide: saltant\n{sections}").as_bytes())
}

/// As [`saltant`], for answers that are right.
#[track_caller]
fn plan(facts: &Facts, sections: &str) -> Plan {
    right(saltant(facts, sections), sections)
}

fn bookworm() -> Facts {
    facts("bookworm", "systemd")
}

fn example(name: &str) -> Plan {
    planned(&bookworm(), name, &bringup::assets::examples()[name]).unwrap()
}

#[test]
fn on_one_server() {
    insta::assert_snapshot!(outline(&example("saltant-single.yaml")));
}

#[test]
fn the_files_on_one_server() {
    insta::assert_snapshot!(files(&example("saltant-single.yaml"), None, |id| SHOWN.contains(&id)));
}

#[test]
fn with_workers_on_other_servers_and_a_remote_database() {
    let answers = format!(
        "{LOGIN}database: {{place: remote, host: db.example.org, password: {{env: DB}}, ca: /etc/ssl/db.pem}}\n\
         workers: {{here: false}}\nweb: {{host: jobs.example.org, flower: false}}\n\
         broker: {{reach: network, plain: false, networks: [10.1.0.0/16]}}\n"
    );
    let plan = plan(&bookworm(), &answers);
    let written = files(&plan, Some(&example("saltant-single.yaml")), |id| SHOWN.contains(&id));
    insta::assert_snapshot!(format!("{}{written}", outline(&plan)));
}

#[test]
fn a_worker_elsewhere() {
    let plan = example("saltant-worker.yaml");
    let written = files(&plan, None, |id| ["services.env", "services.module", "services.unit"].contains(&id));
    insta::assert_snapshot!(format!("{}{written}", outline(&plan)));
}

/// What the main server writes for it.
#[test]
fn the_answers_for_a_worker_are_right() {
    let main =
        plan(&bookworm(), &format!("{LOGIN}broker: {{reach: network}}\nworkers: {{queues: [default, \"a+b\"]}}\n"));
    let written = file(&main, "/etc/saltant/workers/answers.yaml");
    let plan = planned(&bookworm(), "answers.yaml", written.as_bytes()).unwrap();
    let unit = file(&plan, "/etc/systemd/system/saltant-worker.service");
    assert!(unit.contains("-Q default,a+b,bringup-web "), "{unit}");
    assert!(file(&plan, "/opt/saltant/bin/trust").contains(" /root/saltant-workers/authority.pem;"));
    let env = file(&plan, WORKER_ENV);
    assert!(env.contains("@web.example.org:5671/saltant'"), "{env}");
}

#[test]
fn the_same_answers_plan_the_same_bytes_and_every_local_step_can_be_rolled_back() {
    for auth in ["socket", "password"] {
        let answers = format!("{LOGIN}database: {{auth: {auth}}}\n");
        let one = plan(&bookworm(), &answers);
        assert_eq!(one.hash(), plan(&bookworm(), &answers).hash());
        for planned in &one.actions {
            assert!(!matches!(planned.reversible, Reversible::No(_)), "{}", planned.id);
            if let Action::File(file) = &planned.action
                && file.content.contains(secret::OPEN)
            {
                assert!(["0640", "0600"].contains(&file.mode.as_str()), "{:?}", file.path);
            }
        }
    }
}

#[test]
fn jobs_know_the_broker_and_a_token_and_nothing_else() {
    let plan = plan(&bookworm(), &format!("{LOGIN}database: {{auth: password}}\n"));
    let (pages, jobs) = (file(&plan, ENV), file(&plan, WORKER_ENV));
    for secret in ["database.password", "project.secret_key"] {
        assert!(pages.contains(secret) && !jobs.contains(secret), "{secret}");
    }
    assert!(jobs.contains("broker.password") && jobs.contains("project.token"));
    let unit = file(&plan, "/etc/systemd/system/saltant-worker.service");
    assert!(
        unit.contains("User=saltant-worker\n") && unit.contains("-Q default,bringup-web -c 2 -n saltant@%%h"),
        "{unit}"
    );
}

#[test]
fn nothing_but_the_web_server_listens_for_others_unless_workers_are_elsewhere() {
    let public = |answers: &str| {
        let plan = plan(&bookworm(), &format!("{LOGIN}{answers}"));
        let ports = plan.proofs.iter().filter_map(|planned| match &planned.proof {
            Proof::Ports(expected) => Some(expected.ports.clone()),
            _ => None,
        });
        let mut open: Vec<u16> =
            ports.flatten().filter(|port| port.on == Exposure::Any).map(|port| port.port).collect();
        open.sort_unstable();
        open
    };
    assert_eq!(public("broker: {management: true}\n"), [80, 443]);
    assert_eq!(public("broker: {reach: network}\n"), [80, 443, 5671]);
}

#[test]
fn what_the_guide_has_wrong_is_right_here() {
    let plan = plan(&bookworm(), &format!("{LOGIN}broker: {{management: true}}\n"));
    let site = file(&plan, SITE);
    for right in [
        "listen 443 ssl",
        "client_max_body_size 10m;",
        "alias /opt/saltant/static/;",
        // With a path behind the address the encoded slash of the virtual host would be lost.
        "proxy_pass http://127.0.0.1:15672;",
        "uwsgi_pass saltant_reports;",
    ] {
        assert!(site.contains(right), "{right}");
    }
    assert!(!site.contains("%2F") && !site.contains("localhost"), "{site}");
    let env = file(&plan, ENV);
    assert!(env.contains("CELERY_BROKER_POOL_LIMIT='10'") && env.contains("@127.0.0.1:5672/saltant'"), "{env}");
    let flower = file(&plan, "/etc/systemd/system/saltant-flower.service");
    assert!(flower.contains("Type=exec") && !flower.contains("web.flower_password"), "{flower}");
    assert!(file(&plan, "/etc/saltant/uwsgi.ini").contains("need-app = true"));
}

#[test]
fn a_broker_without_a_port_in_the_clear_is_verified() {
    let module = |answers: &str| {
        let plan = plan(&bookworm(), &format!("{LOGIN}{answers}"));
        let env = file(&plan, WORKER_ENV).to_owned();
        (env, file(&plan, "/opt/saltant/worker/saltant_worker.py").to_owned())
    };
    let (env, code) = module("broker: {reach: network, plain: false}\n");
    assert!(env.contains("127.0.0.1:5671/saltant'\n") && env.contains("RABBITMQ_USES_SSL='True'"), "{env}");
    assert!(code.contains("CERT_REQUIRED") && code.contains(r#""server_hostname": "web.example.org""#), "{code}");
    let (env, code) = module("broker: {reach: network}\n");
    assert!(env.contains("RABBITMQ_USES_SSL='False'") && !code.contains("ssl"), "{code}");
}

#[test]
fn what_does_not_fit_is_told_before_anything_is_changed() {
    let held = |port: u16, process: &str| {
        let mut facts = bookworm();
        let (address, process) = ("0.0.0.0".to_owned(), process.to_owned());
        facts.listening.push(Listener { port, address, process });
        facts
    };
    let more = |section: &str| format!("{LOGIN}{section}");
    let project = |answers: &str| format!("project: {{login: operator, {answers}}}\n");
    for (facts, answers, expected) in vec![
        (held(443, "apache2"), more(""), "port 443 is already taken by apache2"),
        (held(5555, "python3"), more(""), "port 5555, which Flower uses, is already taken by python3"),
        (held(5672, "beam.smp"), more(""), "port 5672 of RabbitMQ is already taken by beam.smp"),
        (bookworm(), String::new(), "project.login"),
        (bookworm(), "project: {login: \"an operator\"}\n".to_owned(), "no spaces"),
        (bookworm(), "project: {login: saltant-worker}\n".to_owned(), "the account that workers report with"),
        (bookworm(), project("name: \"Jobs for $5\""), "changes $, quotes and backslashes"),
        (bookworm(), project("name: \"It's\""), "changes $, quotes and backslashes"),
        (bookworm(), project("time_zone: \"Europe/Vienna'\""), "a name of the time zone database"),
        (bookworm(), project("access_days: 30, refresh_days: 7"), "at least as long as an access token"),
        (bookworm(), project("rollbar: true"), "project.rollbar_token"),
        (
            bookworm(),
            project("rollbar: true, rollbar_token: {env: R}, rollbar_url: \"https://r.example/$x\""),
            "$ and quotes",
        ),
        (bookworm(), more("workers: {queues: [\"with space\"]}\n"), "saltant's own rule"),
        (bookworm(), more("workers: {here: false}\n"), "the broker is closed to workers on other servers"),
        (bookworm(), more("web: {processes: 1}\n"), "web.processes"),
        (bookworm(), more("web: {http_port: 443}\n"), "different ports"),
        (bookworm(), more("web: {aliases: [web.example.org]}\n"), "is the name itself"),
        (bookworm(), more("web: {aliases: [\"WWW.example.org\"]}\n"), "host names in lower case"),
        (bookworm(), more("web: {flower_login: \"a:b\"}\n"), "letters, digits and . _ -"),
        (bookworm(), more("database: {name: postgres}\n"), "belongs to PostgreSQL itself"),
        (bookworm(), more("database: {place: remote, host: db.example.org}\n"), "database.password"),
        (bookworm(), more("source: {location: \"https://me:secret@git.example.org/s.git\"}\n"), "holds a password"),
    ] {
        let problems = saltant(&facts, &answers).expect_err(expected);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "expected `{expected}`, got {told:#?}");
    }
}

#[test]
fn a_server_that_cannot_carry_it_is_told_before_the_first_question() {
    let guide = bringup::guide::load::load("saltant").unwrap();
    let told = |facts: &Facts| bringup::answers::resolve::requirements(&guide, facts);
    assert_eq!(told(&bookworm()), []);
    for codename in ["bullseye", "trixie", "jammy", "noble"] {
        assert!(told(&facts(codename, "systemd"))[0].to_string().contains("another Python than 3.11"), "{codename}");
    }
    let mut small = facts("bookworm", "tini");
    small.memory.usable_mib = 512;
    small.disks.get_mut("/").unwrap().free_mib = 900;
    assert_eq!(told(&small).len(), 3, "{:#?}", told(&small));
}

#[test]
fn what_this_run_itself_brings_to_the_host_does_not_change_its_plan() {
    let fresh = bookworm();
    let mut later = fresh.clone();
    for package in ["nginx", "postgresql", "postgresql-15", "python3", "rabbitmq-server"] {
        later.installed.insert(package.to_owned(), "1".to_owned());
    }
    let held =
        [(80, "nginx"), (443, "nginx"), (5432, "postgres"), (5555, "celery"), (5672, "beam.smp"), (4369, "epmd")];
    for (port, process) in held {
        later.listening.push(Listener { port, address: "127.0.0.1".to_owned(), process: process.to_owned() });
    }
    later.applied.push("saltant".to_owned());
    later.installed_by_us.extend(["nginx-common", "postgresql-15", "rabbitmq-server"].map(str::to_owned));
    later.postgresql.push(Cluster {
        id: "15/main".to_owned(),
        version: "15".to_owned(),
        name: "main".to_owned(),
        port: 5432,
        configured_port: 5432,
        running: true,
        start: "auto".to_owned(),
        owner: "postgres".to_owned(),
        socket: "/var/run/postgresql".to_owned(),
        listen: "127.0.0.1".to_owned(),
        max_connections: 100,
        ..Cluster::default()
    });
    let answers = format!("{LOGIN}broker: {{management: true}}\n");
    assert_eq!(plan(&fresh, &answers).hash(), plan(&later, &answers).hash());
}
