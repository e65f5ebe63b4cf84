//! Plans of the shipped guides: every combination of facts and answers that matters.

use std::sync::LazyLock;

use bringup::action::Action;
use bringup::error::Problem;
use bringup::facts::{Application, Deployed, Facts};
use bringup::host::real::RealHost;
use bringup::host::{Command, Host as _};
use bringup::plan::Plan;
use bringup::proof::Proof;
use bringup::secret;

use crate::outline::{file, files, outline};
use crate::support::{facts, planned, right};

const DATABASES: [&str; 3] = ["sqlite", "postgresql", "mariadb"];
const QUEUES: [&str; 3] = ["embedded", "redis", "rabbitmq"];
const SERVERS: [&str; 2] = ["nginx", "apache"];
const MANAGERS: [&str; 2] = ["systemd", "supervisor"];

/// The plan of the guide webapp with these sections of answers.
fn webapp(facts: &Facts, sections: &str) -> Result<Plan, Vec<Problem>> {
    planned(facts, "answers.yaml", format!("version: 1\nguide: webapp\n{sections}").as_bytes())
}

/// As [`webapp`], for answers that are right.
#[track_caller]
fn plan(facts: &Facts, sections: &str) -> Plan {
    right(webapp(facts, sections), sections)
}

#[test]
fn the_quickstart_on_bookworm() {
    insta::assert_snapshot!(outline(&plan(&facts("bookworm", "systemd"), "")));
}

#[test]
fn postgresql_and_redis_on_trixie() {
    let answers = "database: {engine: postgresql}\nqueue: {backend: redis}\n";
    insta::assert_snapshot!(outline(&plan(&facts("trixie", "systemd"), answers)));
}

#[test]
fn mariadb_rabbitmq_apache_and_supervisor_on_bookworm() {
    let answers = "database: {engine: mariadb, auth: password}\nqueue: {backend: rabbitmq}\nweb: {server: apache}\n\
                   services: {manager: supervisor}\n";
    insta::assert_snapshot!(outline(&plan(&facts("bookworm", "systemd"), answers)));
}

#[test]
fn mariadb_and_redis_on_bullseye_without_systemd() {
    let answers = "database: {engine: mariadb}\nqueue: {backend: redis}\n";
    insta::assert_snapshot!(outline(&plan(&facts("bullseye", "tini"), answers)));
}

#[test]
fn a_program_from_git_with_remote_engines_and_an_own_certificate() {
    let answers = "\
application: {name: shop, source: git, location: \"https://git.example.org/shop.git\", reference: v1.2, kind: command,
  command: node server.js, packages: [nodejs], worker: node worker.js, check_path: /login}
database: {engine: postgresql, place: remote, host: db.example.org, password: {env: DB}}
queue: {backend: rabbitmq, place: remote, host: mq.example.org, password: {file: /root/mq}}
web: {host: shop.example.org, https_port: 8443}
tls: {mode: provided, certificate: /root/shop.pem, key: /root/shop.key}
";
    insta::assert_snapshot!(outline(&plan(&facts("trixie", "systemd"), answers)));
}

#[test]
fn the_files_of_an_application_with_processes_and_jobs() {
    let answers = "\
application: {name: shop, source: directory, location: /root/shop, kind: asgi,
  processes: [{name: beat, command: celery -A shop beat}],
  jobs: [{name: clean, at: \"Mon..Fri 03:30\", command: python manage.py clearsessions}]}
web: {host: shop.example.org}
";
    let plan = plan(&facts("bookworm", "systemd"), answers);
    let of_it = ["web_launcher", "module", "app_unit", "socket_unit", "trial_unit", "process", "job"];
    let wanted = |id: &str| of_it.iter().any(|start| id.starts_with(&format!("services.{start}")));
    insta::assert_snapshot!(files(&plan, None, wanted));
    let cared: Vec<_> = plan.care.unwrap().services.into_iter().map(|it| (it.name, it.unit)).collect();
    let expected = [("web", "shop.service"), ("beat", "shop-beat.service"), ("job-clean", "shop-job-clean.service")];
    assert_eq!(cared, expected.map(|(name, unit)| (name.into(), unit.into())));
}

/// What a Node.js application is built, started and restarted by, with uploads, a cache and steps.
#[test]
fn the_files_of_a_node_application() {
    let answers = "\
application: {name: shop, source: directory, location: /root/shop, kind: node, release: npm run migrate, after: npm run warm,
  uploads: /media/, interpreter: /usr/local/node/bin/node, processes: [{name: clock}]}
queue: {cache: true}
web: {host: shop.example.org}
";
    let plan = plan(&facts("bookworm", "systemd"), answers);
    let of_it = ["application.build_program", "services.", "web.nginx_site"];
    insta::assert_snapshot!(files(&plan, None, |id| of_it.iter().any(|start| id.starts_with(start))));
}

/// What those who push get, before the first push and after one; and what their scripts are is understood by their
/// interpreters.
#[test]
fn the_files_of_an_application_that_is_pushed() {
    let answers = "\
application: {name: shop, source: push, kind: command, command: ./server}
push: {keys: {anna: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0ZT2ojJ8tEAgZ2nTj8Xc0mMNmVb2mXkY5o1nYqzU7e anna@laptop}}
web: {host: shop.example.org}
";
    let mut server = facts("bookworm", "systemd");
    let waiting = plan(&server, answers);
    assert!(!waiting.actions.iter().any(|planned| planned.id == "services.app"), "there is nothing to run");
    let (location, reference) = ("/var/lib/shop-push/received".to_owned(), "main".to_owned());
    let deployed = vec![Deployed { location, reference, commit: "1f".repeat(20) }];
    let (guide, name) = ("webapp".to_owned(), "shop".to_owned());
    server.applications = vec![Application { guide, name, deployed, ..Application::default() }];
    let pushed = plan(&server, answers);
    let of_it = ["push.", "services.hold", "services.app_unit", "web.nginx_site"];
    let wanted = |id: &str| of_it.iter().any(|start| id.starts_with(start));
    insta::assert_snapshot!(format!("{}\n{}", files(&waiting, None, wanted), files(&pushed, Some(&waiting), wanted)));
    for (checks, script) in [
        (&["sh", "-n"][..], "push/receive"),
        (&["sh", "-n"], "push/check"),
        (&["perl", "-c"], "push/hooks/pre-receive"),
        (&["perl", "-c"], "push/deploy"),
        (&["bash", "-n"], "bin/hold"),
    ] {
        let check = Command::new(checks.iter().copied()).stdin(file(&pushed, &format!("/opt/shop/{script}")));
        let checked = RealHost::default().run(&check).unwrap();
        assert!(checked.ok(), "{script}: {}", checked.text());
    }
}

/// Whoever starts podman is root: what a command means to a shell is read in the container only.
#[test]
fn a_line_for_a_container_is_never_read_by_the_shell_of_root() {
    let asset = include_str!("../../assets/webapp/bin/container.sh");
    let (_, function) = asset.split_once("run_line() {").unwrap();
    let (function, _) = function.split_once("\n}\n").unwrap();
    let ran = |line: &str| {
        let script = format!("run_image() {{ printf '<%s>' \"$@\"; }}\nrun_line() {{{function}\n}}\nrun_line n \"$0\"");
        let output = std::process::Command::new("sh").args(["-c", &script, line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ran("celery -A shop worker --queues=a,b"), "<n><celery><-A><shop><worker><--queues=a,b>");
    for line in ["a && id", "a; id", "a $HOME", "a `id`", "a 'b c'", "a * > b", "a | b\nid"] {
        assert_eq!(ran(line), format!("<n><sh><-c><{line}>"));
    }
    let answers = "application: {name: shop, source: image, image: registry.example.org/shop, worker: \"work && id\",
  release: migrate; id, jobs: [{name: a, at: daily, command: 'x | y'}], processes: [{name: b, command: \"it's\"}]}
web: {host: shop.example.org}
";
    let plan = plan(&facts("bookworm", "systemd"), answers);
    let told = files(&plan, None, |id| id.starts_with("services."));
    for line in ["worker 'work && id'", "release 'migrate; id'", "job-a 'x | y'", "b 'it'\\''s'"] {
        assert!(told.contains(&format!("run_line shop-{line}\n")), "{line}: {told}");
    }
    let empty = answers.replace("processes: [{name: b, command: \"it's\"}]", "processes: [{name: b}]");
    let problems = webapp(&facts("bookworm", "systemd"), &empty).expect_err("it is refused");
    assert!(problems.iter().any(|one| one.message.contains("needs a command")), "{problems:?}");
}

/// What serves a site without a program: nothing but the web server.
#[test]
fn the_files_of_a_static_site() {
    let answers = |server: &str| {
        format!(
            "application: {{name: site, source: directory, location: /root/site, kind: static, static: dist, \
             static_build: make, build_packages: [make], fallback: index.html}}\n\
             web: {{host: www.example.org, server: {server}}}\n"
        )
    };
    let wanted = |id: &str| ["application.", "services.", "web."].iter().any(|start| id.starts_with(start));
    let nginx = plan(&facts("bookworm", "systemd"), &answers("nginx"));
    let apache = plan(&facts("bookworm", "systemd"), &answers("apache"));
    insta::assert_snapshot!(format!("{}\n{}", files(&nginx, None, wanted), files(&apache, Some(&nginx), wanted)));
    let started: Vec<_> = nginx.actions.iter().filter(|planned| planned.id.starts_with("services.")).collect();
    assert_eq!(started.len(), 1, "{started:?}");
    assert!(nginx.care.unwrap().services.is_empty());
}

#[test]
fn processes_and_jobs_need_names_times_and_systemd() {
    let refused = |more: &str, of: &str| {
        let answers = format!(
            "application: {{source: directory, location: /root/shop, {of}}}\nweb: {{host: shop.example.org}}\n{more}"
        );
        let problems = webapp(&facts("bookworm", "systemd"), &answers).expect_err("it is refused");
        let told: Vec<String> =
            problems.iter().map(|one| format!("{}: {} ({})", one.path, one.message, one.hint)).collect();
        told.join("\n")
    };
    let twice = refused("", "processes: [{name: a, command: b}, {name: a, command: c}]");
    assert!(twice.contains("two processes have the same name"), "{twice}");
    let taken = refused("", "processes: [{name: worker, command: b}]");
    assert!(taken.contains("are services already"), "{taken}");
    let odd = refused("", "jobs: [{name: a, at: tomorrow, command: b}]");
    assert!(odd.contains("every 15 minutes"), "{odd}");
    let lines = refused("", "jobs: [{name: a, at: \"daily\\nOnBootSec=1\", command: b}]");
    assert!(lines.contains("jobs"), "{lines}");
    let supervisor = refused("services: {manager: supervisor}\n", "jobs: [{name: a, at: daily, command: b}]");
    assert!(supervisor.contains("need systemd"), "{supervisor}");
}

/// The plan whose files are pictured whole.
fn quickstart() -> Plan {
    plan(&facts("trixie", "systemd"), "")
}

#[test]
fn the_files_of_the_quickstart() {
    insta::assert_snapshot!(files(&quickstart(), None, |_| true));
}

#[test]
fn the_files_of_the_other_choice() {
    let answers = "database: {engine: mariadb, auth: password}\nqueue: {backend: rabbitmq}\n\
                   web: {server: apache, http_port: 8080, https_port: 8443}\nservices: {manager: supervisor}\n";
    let plan = plan(&facts("bookworm", "systemd"), answers);
    insta::assert_snapshot!(files(&plan, Some(&quickstart()), |_| true));
}

/// Each file that the shared stages write only when somebody wants more than the default.
#[test]
fn the_files_of_what_the_shared_stages_can_do_besides() {
    let answers = "\
queue: {backend: rabbitmq}
broker: {reach: network, networks: [10.1.0.0/16], plain: false, management: true}
logs: {remote: \"logs.example.org:6514\", authority: /root/logs.pem, journal_mib: 64}
upkeep: {reboot: true, clock: true, time_servers: [ntp1.example.org, 192.0.2.1]}
";
    let plan = plan(&facts("bookworm", "systemd"), answers);
    let shared = ["broker", "logs", "upkeep", "services.env", "web"];
    let written = files(&plan, Some(&quickstart()), |id| shared.iter().any(|part| id.starts_with(part)));
    insta::assert_snapshot!(format!("{}{written}", outline(&plan)));
}

/// Every combination of the four choices, on every release, with and without systemd: a name and its plan.
static EVERY: LazyLock<Vec<(String, Plan)>> = LazyLock::new(every_combination);

fn every_combination() -> Vec<(String, Plan)> {
    let mut all = Vec::new();
    for (codename, init) in pairs(&["bullseye", "bookworm", "trixie"], &["systemd", "tini"]) {
        for (database, queue) in pairs(&DATABASES, &QUEUES) {
            for (server, manager) in pairs(&SERVERS, &MANAGERS) {
                if init != "systemd" && manager == "systemd" {
                    continue;
                }
                let sections = format!(
                    "database: {{engine: {database}}}\nqueue: {{backend: {queue}}}\n\
                     web: {{server: {server}}}\nservices: {{manager: {manager}}}\n"
                );
                let name = format!("{codename} {init} {database} {queue} {server} {manager}");
                all.push((name, plan(&facts(codename, init), &sections)));
            }
        }
    }
    all
}

fn pairs<'a>(ones: &[&'a str], others: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    ones.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))).collect()
}

fn every_plan(mut judge: impl FnMut(&str, &Plan)) {
    for (name, plan) in EVERY.iter() {
        judge(name, plan);
    }
}

#[test]
fn every_combination_plans_the_same_bytes_twice() {
    let again = every_combination();
    assert_eq!(again.len(), EVERY.len());
    for ((name, one), (_, two)) in EVERY.iter().zip(&again) {
        assert_eq!(serde_json::to_vec(one).unwrap(), serde_json::to_vec(two).unwrap(), "{name}");
        assert_eq!(one.hash(), two.hash(), "{name}");
    }
}

#[test]
fn different_choices_have_different_plans() {
    let on_bookworm = EVERY.iter().filter(|(name, _)| name.starts_with("bookworm systemd"));
    let mut hashes: Vec<String> = on_bookworm.map(|(_, plan)| plan.hash()).collect();
    let all = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!((hashes.len(), all), (36, 36));
}

#[test]
fn every_engine_is_on_the_loopback_address_and_proven_to_be() {
    every_plan(|name, plan| {
        for planned in &plan.proofs {
            if let Proof::Ports(expected) = &planned.proof {
                for port in &expected.ports {
                    let public = [80, 443].contains(&port.port);
                    assert_eq!(public, port.on == bringup::proof::ports::Exposure::Any, "{name}: {port:?}");
                }
            }
        }
        let text = serde_json::to_string(&plan.actions).unwrap();
        assert!(!text.contains("0.0.0.0"), "{name}");
    });
}

#[test]
fn services_under_systemd_are_units_and_elsewhere_there_are_none() {
    every_plan(|name, plan| {
        for planned in &plan.actions {
            match &planned.action {
                Action::Service(service) => {
                    let is_unit = std::path::Path::new(&service.name).extension().is_some();
                    let systemd = service.manager == bringup::system::service::Manager::Systemd;
                    assert_eq!(is_unit, systemd, "{name}: {}", service.name);
                    assert!(!(systemd && name.contains("tini")), "{name}: {}", service.name);
                }
                Action::File(file) if name.contains("tini") => {
                    assert!(!file.path.starts_with("/etc/systemd"), "{name}: {}", file.path.display());
                }
                _ => {}
            }
        }
    });
}

#[test]
fn marks_stand_only_in_files_of_few_readers_and_in_password_fields() {
    every_plan(|name, plan| {
        for planned in &plan.actions {
            match &planned.action {
                Action::File(file) if file.content.contains(secret::OPEN) => {
                    assert_eq!(file.mode, "0640", "{name}: {}", file.path.display());
                }
                Action::File(_) | Action::Edit(_) | Action::Database(_) | Action::Rabbitmq(_) => {}
                other => {
                    let text = serde_json::to_string(other).unwrap();
                    assert!(!text.contains(secret::OPEN), "{name}: {}", planned.id);
                }
            }
            assert!(!planned.reason.contains(secret::OPEN), "{name}: {}", planned.id);
            assert!(!planned.describe.contains(secret::OPEN), "{name}: {}", planned.id);
        }
        for result in &plan.outputs {
            assert!(!result.value.contains(secret::OPEN), "{name}: {}", result.label);
        }
    });
}

#[test]
fn every_action_has_a_reason_of_one_line_and_every_action_can_be_taken_back() {
    every_plan(|name, plan| {
        for planned in &plan.actions {
            assert!(!planned.reason.trim().is_empty(), "{name}: {}", planned.id);
            assert!(!planned.reason.contains('\n'), "{name}: {}", planned.id);
            let back = !matches!(planned.reversible, bringup::action::Reversible::No(_));
            assert!(back, "{name}: {}", planned.id);
        }
    });
}

#[test]
fn what_this_run_itself_brings_to_the_host_does_not_change_its_plan() {
    let fresh = facts("bookworm", "systemd");
    let answers = "database: {engine: postgresql}\nqueue: {backend: redis}\nweb: {server: apache}\n";
    let mut later = fresh.clone();
    for package in ["apache2", "postgresql", "redis-server", "python3"] {
        later.installed.insert(package.to_owned(), "1".to_owned());
    }
    for (port, process) in
        [(80, "apache2"), (443, "apache2"), (5432, "postgres"), (6379, "redis-server"), (8000, "gunicorn")]
    {
        let (address, process) = ("127.0.0.1".to_owned(), process.to_owned());
        later.listening.push(bringup::facts::Listener { port, address, process });
    }
    later.applied.push("webapp".to_owned());
    later.installed.insert("postgresql-15".to_owned(), "1".to_owned());
    later.postgresql.push(cluster("15/main", 5432));
    later.redis.push(bringup::facts::Instance { port: 6379, running: true, ..Default::default() });
    later.installed_by_us.extend(["apache2", "nginx-common", "postgresql-15", "redis-server"].map(str::to_owned));
    assert_eq!(plan(&fresh, answers).hash(), plan(&later, answers).hash());
}

/// Its password would lock out those who use the one that is there.
#[test]
fn where_others_have_redis_the_application_gets_one_of_its_own_and_keeps_it() {
    let mut others = facts("bookworm", "systemd");
    others.installed.insert("redis-server".to_owned(), "1".to_owned());
    others.redis.push(bringup::facts::Instance { port: 6379, running: true, ..Default::default() });
    let listener =
        |port| bringup::facts::Listener { port, address: "127.0.0.1".into(), process: "redis-server".into() };
    others.listening.push(listener(6379));
    let answers = "application: {name: shop, source: directory, location: /root/shop}\nqueue: {cache: true}\n";
    let own = plan(&others, answers);
    let redis = |id: &str| id.starts_with("queue.redis");
    insta::assert_snapshot!(files(&own, None, redis));
    let ids: Vec<&str> = own.actions.iter().map(|planned| &*planned.id).filter(|id| redis(id)).collect();
    assert_eq!(ids, ["queue.redis_data", "queue.redis_instance", "queue.redis"]);
    // Its next run finds it, and so does one that follows when that of others went.
    let mut later = others.clone();
    later.applied.push("webapp".to_owned());
    later.applications.push(bringup::facts::Application {
        guide: "webapp".into(),
        name: "shop".into(),
        installed: Some(vec!["nginx".into()]),
        ..Default::default()
    });
    later.redis.push(bringup::facts::Instance { name: "shop".into(), port: 6380, running: true, ..Default::default() });
    later.listening.push(listener(6380));
    assert_eq!(plan(&later, answers).hash(), own.hash());
    later.installed_by_us.push("redis-server".to_owned());
    later.redis.remove(0);
    later.listening.retain(|it| it.port != 6379);
    assert_eq!(plan(&later, answers).hash(), own.hash());
}

/// A cluster of PostgreSQL as it runs on Debian.
fn cluster(id: &str, port: u16) -> bringup::facts::Cluster {
    let (version, name) = id.split_once('/').unwrap();
    bringup::facts::Cluster {
        id: id.to_owned(),
        version: version.to_owned(),
        name: name.to_owned(),
        port,
        configured_port: port,
        running: true,
        start: "auto".to_owned(),
        owner: "postgres".to_owned(),
        data: format!("/var/lib/postgresql/{id}"),
        socket: "/var/run/postgresql".to_owned(),
        listen: "localhost".to_owned(),
        max_connections: 100,
    }
}

/// A server on which somebody else has these clusters.
fn with_clusters(clusters: &[(&str, u16)]) -> Facts {
    let mut facts = facts("bookworm", "systemd");
    for (id, port) in clusters {
        let cluster = cluster(id, *port);
        facts.installed.insert("postgresql".to_owned(), "1".to_owned());
        facts.installed.insert(format!("postgresql-{}", cluster.version), "1".to_owned());
        let (address, process) = ("127.0.0.1".to_owned(), "postgres".to_owned());
        facts.listening.push(bringup::facts::Listener { port: *port, address, process });
        facts.postgresql.push(cluster);
    }
    facts
}

const POSTGRESQL: &str = "database: {engine: postgresql}\n";

/// The cluster, the port in the settings and whether the plan touches the cluster itself.
fn used(facts: &Facts, answers: &str) -> (String, String, bool) {
    let plan = plan(facts, answers);
    let cluster = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Database(database) => Some(database.cluster.clone()),
        _ => None,
    });
    let env = file(&plan, "/etc/webapp/env").lines().find(|line| line.starts_with("DATABASE_URL")).unwrap().to_owned();
    let touched = plan.actions.iter().any(|planned| match &planned.action {
        Action::Service(service) => service.name.starts_with("postgresql"),
        Action::File(file) => file.path.starts_with("/etc/postgresql"),
        _ => false,
    });
    (cluster.unwrap(), env, touched)
}

#[test]
fn a_new_cluster_leaves_the_ports_of_others_alone() {
    let (cluster, env, touched) = used(&facts("bookworm", "systemd"), POSTGRESQL);
    assert_eq!((cluster.as_str(), touched), ("15/main", true));
    assert_eq!(env, "DATABASE_URL='postgresql:///webapp?host=/var/run/postgresql'");
    // PGDG's, beside which Debian's own version is installed.
    let newer = with_clusters(&[("17/main", 5432), ("17/stopped", 5433)]);
    let (cluster, env, touched) = used(&newer, POSTGRESQL);
    assert_eq!((cluster.as_str(), touched), ("15/main", true));
    assert_eq!(env, "DATABASE_URL='postgresql:///webapp?host=/var/run/postgresql&port=5434'");
    let plan = plan(&newer, POSTGRESQL);
    let conf = file(&plan, "/etc/postgresql/15/main/conf.d/90-webapp.conf");
    assert!(conf.contains("port = 5434\n"), "{conf}");
    let lines = outline(&plan);
    assert!(lines.contains("Systemd postgresql@15-main.service") && lines.contains(" postgresql-15 "), "{lines}");
    assert!(!lines.contains("postgresql.service restart"), "{lines}");
    // Whatever else holds the usual port keeps it, too.
    let held = with_listener(5432, "docker-proxy");
    assert!(used(&held, POSTGRESQL).1.ends_with("&port=5433'"));
    let held = with_listener(3306, "mysqld");
    let plan = plan_of(&held, "database: {engine: mariadb, auth: password}\n");
    assert!(file(&plan, "/etc/mysql/mariadb.conf.d/90-webapp.cnf").contains("port = 3307\n"));
    assert!(file(&plan, "/etc/webapp/env").contains("@127.0.0.1:3307/webapp'"));
    let held = with_listener(6379, "redis-server");
    assert!(file(&plan_of(&held, "queue: {backend: redis}\n"), "/etc/webapp/env").contains("@127.0.0.1:6380/0'"));
}

fn plan_of(facts: &Facts, answers: &str) -> Plan {
    plan(facts, answers)
}

fn with_listener(port: u16, process: &str) -> Facts {
    let mut facts = facts("bookworm", "systemd");
    let (address, process) = ("0.0.0.0".to_owned(), process.to_owned());
    facts.listening.push(bringup::facts::Listener { port, address, process });
    facts
}

#[test]
fn somebody_else_s_cluster_gets_a_database_and_nothing_more() {
    let two = with_clusters(&[("15/foreign", 5432), ("15/main", 5433)]);
    let (cluster, env, touched) = used(&two, POSTGRESQL);
    assert_eq!((cluster.as_str(), touched), ("15/main", false));
    assert_eq!(env, "DATABASE_URL='postgresql:///webapp?host=/var/run/postgresql&port=5433'");
    let named = "database: {engine: postgresql, cluster: 15/foreign, auth: password}\n";
    let (cluster, env, touched) = used(&two, named);
    assert_eq!((cluster.as_str(), touched), ("15/foreign", false));
    assert!(env.ends_with("@127.0.0.1:5432/webapp'"), "{env}");
    assert!(!outline(&plan(&two, named)).contains("prove database.listens"));
    let newer = with_clusters(&[("17/main", 5432)]);
    let (cluster, _, touched) = used(&newer, "database: {engine: postgresql, cluster: 17/main}\n");
    assert_eq!((cluster.as_str(), touched), ("17/main", false));
}

#[test]
fn a_cluster_that_cannot_be_used_is_refused_before_anything_is_changed() {
    let but = |change: fn(&mut bringup::facts::Cluster)| {
        let mut facts = with_clusters(&[("15/main", 5432)]);
        change(&mut facts.postgresql[0]);
        facts
    };
    let down = with_clusters(&[("15/foreign", 5432), ("15/main", 5432)]);
    let down = Facts {
        postgresql: down
            .postgresql
            .iter()
            .cloned()
            .map(|c| bringup::facts::Cluster { running: c.name != "main", ..c })
            .collect(),
        ..down
    };
    for (facts, answers, expected, hint) in [
        (
            with_clusters(&[("15/foreign", 5432)]),
            POSTGRESQL,
            "PostgreSQL 15 is installed here without the cluster 15/main",
            "create it with `pg_createcluster --start 15 main`, or set `cluster: 15/foreign`",
        ),
        (
            with_clusters(&[("15/foreign", 5432)]),
            "database: {engine: postgresql, cluster: 15/other}\n",
            "this server has no cluster 15/other",
            "choose one of 15/foreign",
        ),
        (down.clone(), POSTGRESQL, "15/main already exists, but is not running", "pg_ctlcluster 15 main start"),
        (
            down,
            POSTGRESQL,
            "port 5432 of the cluster 15/main is already taken by postgres",
            "pg_conftool 15 main set port",
        ),
        (but(|c| c.start = "manual".to_owned()), POSTGRESQL, "does not start at boot", "start.conf"),
        (but(|c| c.configured_port = 5440), POSTGRESQL, "will on port 5440 after its next restart", "restart it"),
        (but(|c| c.owner = "tim".to_owned()), POSTGRESQL, "runs as tim", "another cluster"),
        (
            but(|c| c.listen = "10.0.0.5".to_owned()),
            "database: {engine: postgresql, auth: password}\n",
            "does not listen on the loopback address",
            "socket",
        ),
    ] {
        let problems = webapp(&facts, answers).expect_err(expected);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let found = told.iter().find(|line| line.contains(expected));
        assert!(found.is_some_and(|line| line.contains(hint)), "expected `{expected}` and `{hint}`, got {told:#?}");
    }
    let old = with_clusters(&[("9.6/main", 5432)]);
    let problems = webapp(&old, "database: {engine: postgresql, cluster: 9.6/main}\n").expect_err("too old");
    assert!(problems.iter().any(|problem| problem.to_string().contains("PostgreSQL 13 or later")));
    let mut without = with_clusters(&[("17/main", 5432), ("15/main", 5433)]);
    without.init = "tini".to_owned();
    without.installed_by_us.push("postgresql-15".to_owned());
    let problems = webapp(&without, POSTGRESQL).expect_err("umbrella");
    assert!(problems.iter().any(|problem| problem.to_string().contains("would restart the others too")));
}

#[test]
fn somebody_else_s_mariadb_keeps_its_settings() {
    let mut facts = facts("bookworm", "systemd");
    facts.installed.insert("mariadb-server".to_owned(), "1".to_owned());
    let socket = "/run/mysqld/own.sock".to_owned();
    let listen = "0.0.0.0".to_owned();
    facts.mariadb.push(bringup::facts::Instance { port: 3310, socket, listen, running: true, ..Default::default() });
    let socket = plan(&facts, "database: {engine: mariadb}\n");
    let lines = outline(&socket);
    assert!(!lines.contains("mariadb_conf") && !lines.contains("database.mariadb |"), "{lines}");
    assert!(!lines.contains("mariadb.socket") && !lines.contains("prove database.listens"), "{lines}");
    assert!(file(&socket, "/etc/webapp/env").contains("unix_socket=/run/mysqld/own.sock"));
    let password = plan(&facts, "database: {engine: mariadb, auth: password}\n");
    assert!(file(&password, "/etc/webapp/env").contains("@127.0.0.1:3310/webapp'"));
    facts.mariadb[0].running = false;
    let problems = webapp(&facts, "database: {engine: mariadb}\n").expect_err("down");
    assert!(
        problems
            .iter()
            .any(|problem| problem.to_string().contains("its own instance (mariadb.service) is not running"))
    );
}

#[test]
fn an_authority_makes_the_application_verify_its_database() {
    let remote = |engine: &str, more: &str| {
        format!("database: {{engine: {engine}, place: remote, host: db.example.org, password: {{env: DB}}{more}}}\n")
    };
    let ca = ", ca: /etc/ssl/db.pem";
    let facts = facts("bookworm", "systemd");
    let with = plan(&facts, &remote("postgresql", ca));
    let env = file(&with, "/etc/webapp/env");
    assert!(env.contains(":5432/webapp?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem'"), "{env}");
    assert!(
        file(&plan(&facts, &remote("mariadb", ca)), "/etc/webapp/env").contains(":3306/webapp?ssl_ca=/etc/ssl/db.pem'")
    );
    let cas: Vec<String> = with
        .proofs
        .iter()
        .filter_map(|planned| match &planned.proof {
            bringup::proof::Proof::Tcp(tcp) => Some(tcp.ca.clone()),
            bringup::proof::Proof::DatabaseRoundtrip(row) => Some(row.ca.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(cas, ["/etc/ssl/db.pem", "/etc/ssl/db.pem"]);
    assert!(with.warnings.iter().all(|warning| !warning.contains("nothing shows")));
    let without = plan(&facts, &remote("postgresql", ""));
    assert!(file(&without, "/etc/webapp/env").contains(":5432/webapp'"));
    assert!(without.warnings.iter().any(|warning| warning.contains("db.example.org is not verified")));
}

#[test]
fn addresses_for_ipv6_stand_only_where_there_is_ipv6() {
    let mut without = facts("bookworm", "systemd");
    without.ipv6 = false;
    let path = "/etc/nginx/sites-available/webapp";
    assert!(file(&plan(&facts("bookworm", "systemd"), ""), path).contains("listen [::]:443"));
    assert!(!file(&plan(&without, ""), path).contains("[::]"));
}

#[test]
fn strict_transport_security_is_for_certificates_that_browsers_trust() {
    let own = "tls: {mode: provided, certificate: /root/c.pem, key: /root/k.pem}\n";
    for (server, path) in
        [("nginx", "/etc/nginx/sites-available/webapp"), ("apache", "/etc/apache2/sites-available/webapp.conf")]
    {
        let web = format!("web: {{server: {server}}}\n");
        assert!(!file(&plan(&facts("bookworm", "systemd"), &web), path).contains("Strict-Transport-Security"));
        let with = plan(&facts("bookworm", "systemd"), &format!("{web}{own}"));
        assert!(file(&with, path).contains("Strict-Transport-Security"));
        let without = plan(&facts("bookworm", "systemd"), &format!("{web}{}", own.replace('}', ", hsts: false}")));
        assert!(!file(&without, path).contains("Strict-Transport-Security"));
    }
}

const ACME: &str = "web: {server: SERVER, host: app.example.org}\ntls: {mode: acme, terms: true}\n";

#[test]
fn a_certificate_from_lets_encrypt_on_bookworm() {
    let answers = ACME.replace("SERVER", "apache");
    let plan = plan(&facts("bookworm", "systemd"), &answers);
    insta::assert_snapshot!(outline(&plan));
    let ids: Vec<&str> = plan.actions.iter().map(|planned| planned.id.as_str()).collect();
    assert_eq!(ids.last(), Some(&"tls.acme"), "the web server must be at work before the authority is asked");
}

/// Answers for DNS-01 with further ones.
fn over_dns(more: &str) -> String {
    let web = "web: {server: apache, host: app.example.org, http_port: 8080}\n";
    format!("{web}tls: {{mode: acme, terms: true, challenge: dns, {more}}}\n")
}

#[test]
fn a_wildcard_through_a_name_server_on_trixie() {
    let more = "wildcard: true, provider: rfc2136, dns_server: 192.0.2.53, tsig_name: acme., tsig_secret: {env: KEY}";
    let plan = plan(&facts("trixie", "systemd"), &over_dns(more));
    let file_of_key = file(&plan, "/etc/ssl/app.example.org/dns.ini");
    insta::assert_snapshot!(format!("{}=== dns.ini\n{file_of_key}", outline(&plan)));
    let site = file(&plan, "/etc/apache2/sites-available/webapp.conf");
    assert_eq!(site.matches("    ServerAlias *.app.example.org\n").count(), 2, "{site}");
    assert!(!site.contains("acme-challenge"), "{site}");
    let nginx = over_dns(more).replace("apache", "nginx");
    let plan = self::plan(&facts("trixie", "systemd"), &nginx);
    let site = file(&plan, "/etc/nginx/sites-available/webapp");
    assert_eq!(site.matches("    server_name app.example.org *.app.example.org;\n").count(), 2, "{site}");
    assert!(!site.contains("acme-challenge"), "{site}");
}

#[test]
fn the_token_for_cloudflare_stands_in_a_file_of_roots_alone() {
    let plan =
        plan(&facts("bookworm", "systemd"), &over_dns("provider: cloudflare, cloudflare_token: {file: /root/t}"));
    let holds = |planned: &&bringup::plan::Planned| serde_json::to_string(planned).unwrap().contains(secret::OPEN);
    let with_secrets: Vec<_> = plan.actions.iter().filter(holds).filter(|planned| planned.stage == "tls").collect();
    let [planned] = with_secrets.as_slice() else { panic!("{with_secrets:?}") };
    let Action::File(file) = &planned.action else { panic!("{planned:?}") };
    assert_eq!(file.path.display().to_string(), "/etc/ssl/app.example.org/dns.ini");
    assert_eq!((file.mode.as_str(), file.owner.as_str(), file.group.as_str()), ("0600", "root", "root"));
    assert!(file.content.ends_with("\ndns_cloudflare_api_token = ⟦secret:tls.cloudflare_token⟧\n"), "{}", file.content);
    let is_it = |planned: &&bringup::plan::Planned| planned.id == "packages";
    let packages = plan.actions.iter().find(is_it).unwrap();
    let listed = serde_json::to_string(packages).unwrap();
    assert!(listed.contains(r#""python3-certbot-dns-cloudflare""#), "{listed}");
    let Some(Action::Acme(acme)) = plan.actions.last().map(|planned| &planned.action) else { panic!("{plan:?}") };
    assert_eq!(acme.dns.as_ref().map(|dns| (dns.credentials.clone(), dns.propagation)), Some((file.path.clone(), 10)));
}

#[test]
fn a_hook_needs_no_plugin_and_gets_the_time_it_takes() {
    let hook = "provider: hook, auth_hook: /usr/local/sbin/enter";
    let plan = plan(&facts("bookworm", "systemd"), &over_dns(hook));
    assert!(!serde_json::to_string(&plan).unwrap().contains("certbot-dns-"));
    assert!(!plan.actions.iter().any(|planned| planned.describe.contains("dns.ini")));
    let renewal = plan.proofs.iter().find_map(|planned| match &planned.proof {
        Proof::Renewal(renewal) => Some(renewal.seconds),
        _ => None,
    });
    assert_eq!(renewal, Some(2100));
}

#[test]
fn a_signing_request_waits_for_its_answer() {
    let tls = |issued: &str| {
        let answers = format!("web: {{host: app.example.org}}\ntls: {{mode: requested{issued}}}\n");
        let plan = plan(&facts("bookworm", "systemd"), &answers);
        let is_it = |planned: &&bringup::plan::Planned| planned.id == "tls.certificate";
        let made = plan.actions.iter().find(is_it).map(|planned| planned.describe.clone()).unwrap();
        let results: Vec<String> = plan.outputs.iter().map(|line| format!("{}: {}", line.label, line.value)).collect();
        let site = file(&plan, "/etc/nginx/sites-available/webapp").to_owned();
        (made, results.join("\n"), site.contains("Strict-Transport-Security"))
    };
    let (made, results, strict) = tls("");
    assert!(made.contains("a key and a signing request for app.example.org"), "{made}");
    assert!(results.contains("Signing request: /etc/ssl/app.example.org/request.csr"), "{results}");
    assert!(!strict, "browsers must not be told to refuse what stands in");
    let (made, results, strict) = tls(", issued: /root/issued.pem");
    assert!(made.contains("put your certificate for app.example.org in place"), "{made}");
    assert!(!results.contains("request.csr") && strict, "{results}");
}

#[test]
fn what_the_authority_wants_to_see_is_the_only_thing_on_the_plain_site() {
    let site = |server: &str, path: &str| {
        let plan = plan(&facts("bookworm", "systemd"), &ACME.replace("SERVER", server));
        file(&plan, path).to_owned()
    };
    let nginx = site("nginx", "/etc/nginx/sites-available/webapp");
    let plain = nginx.split("ssl http2").next().unwrap();
    assert!(plain.contains("location ^~ /.well-known/acme-challenge/ {\n        root /var/www/acme;"), "{plain}");
    assert!(plain.contains("return 301 https://app.example.org$request_uri;") && !plain.contains("proxy_pass"));
    let apache = site("apache", "/etc/apache2/sites-available/webapp.conf");
    let plain = apache.split("</VirtualHost>").next().unwrap();
    assert!(plain.contains("Alias /.well-known/acme-challenge/ /var/www/acme/.well-known/acme-challenge/"), "{plain}");
    assert!(
        plain
            .contains(r#"RedirectMatch permanent "^(?!/\.well-known/acme-challenge/)(.*)$" https://app.example.org$1"#)
    );
    assert!(!plain.contains("    ProxyPass"), "{plain}");
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_changed() {
    let held = |port: u16, process: &str| {
        let mut facts = facts("bookworm", "systemd");
        let (address, process) = ("0.0.0.0".to_owned(), process.to_owned());
        facts.listening.push(bringup::facts::Listener { port, address, process });
        facts
    };
    let with = |package: &str| {
        let mut facts = facts("bookworm", "systemd");
        facts.installed.insert(package.to_owned(), "1".to_owned());
        facts
    };
    let without = |change: fn(&mut Facts)| {
        let mut facts = facts("bookworm", "systemd");
        change(&mut facts);
        facts
    };
    // Somebody else installed it after our first run, which had no need of it.
    let since = |package: &str| {
        let mut facts = with(package);
        facts.applied.push("webapp".to_owned());
        facts
    };
    for (facts, answers, expected) in vec![
        (since("rabbitmq-server"), "queue: {backend: rabbitmq}\n", "RabbitMQ is already installed"),
        (held(80, "apache2"), "", "port 80 is already taken by apache2"),
        (held(443, "haproxy"), "", "port 443 is already taken by haproxy"),
        (held(8000, "java"), "", "port 8000 is already taken by java"),
        (held(5672, "beam.smp"), "queue: {backend: rabbitmq}\n", "port 5672 of RabbitMQ is already taken by beam.smp"),
        (held(4369, "epmd"), "queue: {backend: rabbitmq}\n", "port 4369 of RabbitMQ is already taken by epmd"),
        (with("rabbitmq-server"), "queue: {backend: rabbitmq}\n", "RabbitMQ is already installed"),
        (
            without(|facts| {
                "none".clone_into(&mut facts.init);
                facts.installed.insert("redis-server".to_owned(), "1".to_owned());
            }),
            "queue: {backend: redis}\n",
            "Redis is already installed",
        ),
        (with("mysql-server"), "database: {engine: mariadb}\n", "MySQL is installed here"),
        (facts("bookworm", "systemd"), "web: {http_port: 443}\n", "different ports"),
        (facts("bookworm", "systemd"), "application: {name: postgres}\n", "is the name of something else"),
        (facts("bookworm", "tini"), "services: {manager: systemd}\n", "is not available"),
        (facts("bookworm", "tini"), "tls: {mode: acme, terms: true}\n", "is not available"),
        (facts("bookworm", "systemd"), "tls: {mode: acme}\n", "without your consent to its terms"),
        (facts("bookworm", "systemd"), "web: {http_port: 8080}\ntls: {mode: acme, terms: true}\n", "port 80 only"),
        (
            facts("bookworm", "systemd"),
            "tls: {mode: acme, terms: true, wildcard: true}\n",
            "a wildcard cannot be validated over http",
        ),
        (
            facts("bookworm", "systemd"),
            "tls: {mode: acme, terms: true, challenge: dns, provider: rfc2136, dns_server: ns.example.org}\n",
            "certbot accepts no name here",
        ),
        (
            facts("bookworm", "systemd"),
            "tls: {mode: acme, terms: true, challenge: dns, provider: cloudflare}\n",
            "tls.cloudflare_token: must be answered",
        ),
        (
            facts("bookworm", "systemd"),
            "tls: {mode: acme, terms: true, challenge: dns, provider: hook, auth_hook: \"/root/my hook\"}\n",
            "without spaces",
        ),
        (
            facts("bookworm", "systemd"),
            "web: {host: app.corp.internal}\ntls: {mode: acme, terms: true}\n",
            "a name for private networks, and Let's Encrypt",
        ),
        (
            facts("bookworm", "systemd"),
            "web: {host: app.example.org}\ntls: {mode: acme, terms: true, directory: \"http://ca.example.org\"}\n",
            "begins with https://",
        ),
        (
            facts("bookworm", "systemd"),
            "application: {source: git, location: \"https://me:secret@git.example.org/x.git\"}\n",
            "the URL holds a password",
        ),
        (
            facts("bookworm", "systemd"),
            "database: {engine: postgresql, place: remote, host: db.example.org}\n",
            "must be answered",
        ),
        (facts("bookworm", "systemd"), "firewall: {ssh_sources: [10.0.0.5/8]}\n", "write 10.0.0.0/8 for the network"),
        (
            facts("bookworm", "systemd"),
            "firewall: {ports: [\"443 from 10.0.0.0/8\"]}\n",
            "443/tcp (https) is open to everybody",
        ),
        (facts("bookworm", "systemd"), "firewall: {ports: [20-30]}\n", "opens port 22, which is SSH"),
        (facts("bookworm", "systemd"), "firewall: {ports: [http]}\n", "is not a port"),
        (facts("bookworm", "systemd"), "ssh: {manage: true, port: 0}\n", "1 to 65535"),
        (facts("bookworm", "systemd"), "ssh: {manage: true, port: 443}\n", "needed for something else here"),
        (held(2222, "gitea"), "ssh: {manage: true, port: 2222}\n", "port 2222 is already taken by gitea"),
        (
            without(|facts| facts.addresses = vec!["10.0.0.5".to_owned()]),
            "ssh: {manage: true, listen: [10.0.0.6]}\n",
            "this server does not have the address 10.0.0.6 (it has 10.0.0.5)",
        ),
        (facts("bookworm", "systemd"), "ssh: {manage: true, keys_only: true}\n", "you would be locked out"),
        (
            facts("bookworm", "systemd"),
            "ssh: {manage: true, root_login: never}\n",
            "no administrator could log in any longer",
        ),
        (without(|facts| facts.sshd.ports.clear()), "ssh: {manage: true}\n", "this server has no SSH server"),
        (
            without(|facts| facts.ipv6 = false),
            "firewall: {ssh_sources: [\"2001:db8::/32\"]}\n",
            "but this server has no IPv6",
        ),
        (without(|facts| facts.netfilter.allowed = false), "firewall: {manage: true}\n", "CAP_NET_ADMIN"),
    ] {
        let problems = webapp(&facts, answers).expect_err(expected);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "expected `{expected}`, got {told:#?}");
    }
}

fn firewall_of(facts: &Facts, sections: &str) -> Option<bringup::action::firewall::Firewall> {
    let planned = plan(facts, sections);
    planned.actions.into_iter().find_map(|planned| match planned.action {
        Action::Firewall(firewall) => Some(firewall),
        _ => None,
    })
}

#[test]
fn the_firewall_is_managed_by_whoever_does_so_already_and_confirmed_where_somebody_can() {
    use bringup::action::firewall::Manager;
    use bringup::undo::deadman::Confirm;
    let mut host = facts("bookworm", "systemd");
    assert_eq!(firewall_of(&host, "").map(|f| (f.manager, f.confirm)), Some((Manager::Nftables, Confirm::None)));
    host.ssh = Some(bringup::facts::Ssh { client: "192.0.2.7".to_owned(), port: 22 });
    for (found, manager) in [("ufw", Manager::Ufw), ("firewalld", Manager::Firewalld), ("iptables", Manager::Nftables)]
    {
        found.clone_into(&mut host.firewall);
        let firewall = firewall_of(&host, "").expect(found);
        assert_eq!((firewall.manager, firewall.confirm), (manager, Confirm::NewConnection), "{found}");
        let brings_nftables = packages_of(&plan(&host, "")).contains(&"nftables".to_owned());
        assert_eq!(brings_nftables, manager == Manager::Nftables, "{found}");
    }
    let narrow =
        firewall_of(&host, "firewall: {ssh_sources: [10.0.0.0/8], revert_after: 30, confirm: local}\n").unwrap();
    assert_eq!((narrow.ssh_sources.len(), narrow.revert_after, narrow.confirm), (1, 30, Confirm::Local));
}

#[test]
fn a_new_port_of_ssh_is_let_in_before_and_the_old_one_shut_afterwards() {
    let mut host = facts("bookworm", "systemd");
    let ids = |plan: &Plan| -> Vec<String> {
        let ours = |id: &&String| id.starts_with("ssh.") || id.starts_with("firewall.");
        plan.actions.iter().map(|planned| &planned.id).filter(ours).cloned().collect()
    };
    assert_eq!(ids(&plan(&host, "")), ["firewall.rules"], "SSH is left alone unless somebody asks for it");
    let answers = "ssh: {manage: true, port: 2222}\n";
    assert_eq!(ids(&plan(&host, answers)), ["firewall.rules", "ssh.server", "ssh.old_ports"]);
    assert_eq!(firewall_of(&host, answers).unwrap().ssh_ports, [2222]);
    let alone = plan(&host, &format!("firewall: {{manage: false}}\n{answers}"));
    assert_eq!(ids(&alone), ["ssh.server"]);
    assert_eq!(alone.warnings.iter().filter(|warning| warning.contains("2222")).count(), 0);
    host.firewall = "ufw".to_owned();
    let alone = plan(&host, &format!("firewall: {{manage: false}}\n{answers}"));
    assert!(
        alone.warnings.iter().any(|warning| warning.contains("unless it allows port 2222")),
        "{:?}",
        alone.warnings
    );
}

fn packages_of(plan: &Plan) -> Vec<String> {
    let packages = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Packages(packages) => Some(packages.names.clone()),
        _ => None,
    });
    packages.unwrap_or_default()
}

#[test]
fn where_rules_may_not_be_changed_or_nothing_can_there_is_no_firewall() {
    for (allowed, nft) in [(false, true), (true, false)] {
        let mut host = facts("bookworm", "systemd");
        host.netfilter = bringup::facts::Netfilter { allowed, nft };
        assert_eq!(firewall_of(&host, ""), None);
        assert!(!packages_of(&plan(&host, "")).contains(&"nftables".to_owned()));
    }
    assert_eq!(firewall_of(&facts("bookworm", "systemd"), "firewall: {manage: false}\n"), None);
}

#[test]
fn a_way_in_that_no_answer_names_is_kept_and_told() {
    let mut host = facts("bookworm", "systemd");
    host.sshd.peers = vec!["192.0.2.7".to_owned(), "10.1.2.3".to_owned()];
    let plan = plan(&host, "firewall: {ssh_sources: [10.0.0.0/8]}\n");
    let told = plan.warnings.iter().find(|warning| warning.contains("logged in from 192.0.2.7, which"));
    assert!(told.is_some(), "{:?}", plan.warnings);
}

#[test]
fn a_second_application_is_a_neighbour_and_not_other_answers_of_the_first() {
    let mut facts = facts("bookworm", "systemd");
    facts.applied.push("webapp".to_owned());
    facts.applications.push(bringup::facts::Application {
        guide: "webapp".to_owned(),
        name: "shop".to_owned(),
        address: "https://shop.example.org/".to_owned(),
        ..Default::default()
    });
    facts.listening.push(bringup::facts::Listener {
        port: 8000,
        address: "127.0.0.1".to_owned(),
        process: "gunicorn".to_owned(),
    });
    let shop = plan(&facts, "application: {name: shop}\n");
    assert!(shop.beside.is_empty());
    let taken = webapp(&facts, "application: {name: blog}\n").unwrap_err();
    assert!(
        taken.iter().any(|problem| problem.message.contains("port 8000 is already taken by gunicorn")),
        "{taken:?}"
    );
    let blog = plan(&facts, "application: {name: blog, port: 8001}\n");
    assert_eq!(
        blog.beside.iter().map(bringup::facts::Application::words).collect::<Vec<_>>(),
        ["shop, https://shop.example.org/"]
    );
    let shown = bringup::plan::preview::summary(&blog, &Vec::new(), None, 80, false);
    assert!(shown.contains("kept           shop, https://shop.example.org/"), "{shown}");
}

#[test]
fn a_host_that_is_not_supported_is_told_before_the_first_question() {
    let guide = bringup::guide::load::load("webapp").unwrap();
    let mut small = facts("buster", "systemd");
    small.memory.usable_mib = 256;
    small.disks.insert("/".to_owned(), bringup::facts::Disk { free_mib: 10, total_mib: 100 });
    let told = bringup::answers::resolve::requirements(&guide, &small);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(bringup::answers::resolve::requirements(&guide, &facts("bookworm", "systemd")).is_empty());
}

/// Every combination of engine and PID 1 makes a script that the shell understands, and that runs nothing of the
/// application's as a superuser.
#[test]
fn no_backup_is_made_or_restored_with_more_rights_than_it_needs() {
    for engine in DATABASES {
        for init in ["systemd", "sysv"] {
            let plan = plan(&facts("bookworm", init), &format!("database: {{engine: {engine}}}\n"));
            let script = file(&plan, "/usr/local/sbin/webapp-backup");
            let check = Command::new(["sh", "-n"]).stdin(script);
            assert!(RealHost::default().run(&check).unwrap().ok(), "{engine}");
            for word in ["runuser", "chown", "-u postgres", "set role", "{%", "{{"] {
                assert!(!script.contains(word), "{engine}: {word}");
            }
            let users: Vec<_> = plan.brings().users;
            assert!(users.contains(&"webapp-backup".to_owned()), "{users:?}");
            let timer = plan.proofs.iter().find(|planned| planned.id == "upkeep.scheduled").unwrap();
            let Proof::Timer(timer) = &timer.proof else { panic!("{timer:?}") };
            assert_eq!((timer.unit.is_empty(), timer.start, timer.newest.is_some()), (init != "systemd", true, true));
        }
    }
}

#[test]
fn backups_never_lie_in_what_is_backed_up() {
    let within = "upkeep: {backup_directory: /var/lib/webapp/backups}\n";
    let problems = webapp(&facts("bookworm", "systemd"), within).unwrap_err();
    assert!(problems[0].message.contains("would be inside the backed-up data"), "{problems:?}");
    plan(&facts("bookworm", "systemd"), "upkeep: {backup_directory: /var/lib/webapp-backups}\n");
}
