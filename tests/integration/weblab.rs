//! Plans of the guide weblab-deusto: both ways, every release, and what it refuses.

use std::fmt::Write as _;

use bringup::action::Action;
use bringup::answers::resolve::requirements;
use bringup::error::Problem;
use bringup::facts::Facts;
use bringup::guide::load;
use bringup::plan::Plan;
use bringup::proof::Proof;
use bringup::secret;

use crate::outline;
use crate::support::{facts, planned};

const WAYS: [&str; 2] = ["weblab-board.yaml", "weblab-server.yaml"];

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn example(way: &str) -> String {
    String::from_utf8(bringup::assets::examples()[way].clone()).unwrap()
}

/// A shipped answers file with some of its lines replaced.
fn changed(way: &str, lines: &[(&str, &str)]) -> String {
    lines.iter().fold(example(way), |text, (from, to)| {
        assert!(text.contains(from), "{way} has no {from}");
        text.replace(from, to)
    })
}

#[track_caller]
fn plan(facts: &Facts, answers: &str) -> Plan {
    planned(facts, "answers.yaml", answers.as_bytes()).unwrap_or_else(|problems| panic!("{}", told(&problems)))
}

#[track_caller]
fn refused(facts: &Facts, answers: &str) -> String {
    match planned(facts, "answers.yaml", answers.as_bytes()) {
        Ok(_) => panic!("it is not refused"),
        Err(problems) => told(&problems),
    }
}

/// Every file that is written, but those of the upkeep.
fn files(plan: &Plan) -> String {
    outline::files(plan, None, is_own)
}

fn is_own(id: &str) -> bool {
    !id.starts_with("upkeep.")
}

fn outline(plan: &Plan) -> String {
    let mut out = String::new();
    for planned in &plan.actions {
        let what = planned.action.act().describe();
        let also = match &planned.action {
            Action::Packages(a) => a.names.join(" "),
            Action::PythonEnv(a) => {
                format!("{} {:?} {:?} {}", a.interpreter.display(), a.virtualenv, a.seeds, a.packages.join(" "))
            }
            Action::Service(a) => format!("after {}; {}", a.restart_after.join(" "), a.reload_after.join(" ")),
            Action::Edit(a) => {
                let set: Vec<String> = a.set.iter().map(|s| format!("{}{}{}", s.key, s.separator, s.value)).collect();
                set.join("; ")
            }
            Action::Directory(a) => {
                format!("{} {}:{}{}", a.mode, a.owner, a.group, if a.user_data { " data" } else { "" })
            }
            Action::Command(a) => format!("{} as {:?}", a.run.join(" "), a.user),
            _ => String::new(),
        };
        writeln!(out, "{} | {what} | {also}", planned.id).unwrap();
    }
    for planned in &plan.proofs {
        writeln!(out, "prove {} | {}", planned.id, planned.proof.prover().describe()).unwrap();
    }
    out
}

#[test]
fn both_ways_on_bullseye() {
    let mut first = None;
    for way in WAYS {
        let plan = plan(&facts("bullseye", "systemd"), &example(way));
        insta::assert_snapshot!(way.replace(".yaml", ""), outline(&plan));
        insta::assert_snapshot!(way.replace(".yaml", "_files"), outline::files(&plan, first.as_ref(), is_own));
        first.get_or_insert(plan);
    }
}

#[test]
fn the_board_needs_no_systemd() {
    let answers = example("weblab-board.yaml");
    let plan = plan(&facts("bullseye", "tini"), &answers);
    assert!(!outline(&plan).contains("systemctl"));
    let said = refused(&facts("bullseye", "tini"), &example("weblab-server.yaml"));
    assert!(said.contains("systemd"), "{said}");
}

#[test]
fn elsewhere_a_python_2_7_must_be_named_and_is_tried_before_anything_is_changed() {
    for codename in ["bookworm", "trixie", "noble"] {
        let facts = facts(codename, "systemd");
        for way in WAYS {
            let said = refused(&facts, &example(way));
            assert!(
                said.contains("only Debian 11 (bullseye) and Ubuntu 22.04 still have it")
                    && said.contains("application.interpreter"),
                "{said}"
            );
            let own =
                changed(way, &[("  name: weblab\n", "  name: weblab\n  interpreter: /opt/python/bin/python2.7\n")]);
            // `name: weblab` stands once in the board's file, and in the server's in one section only.
            let plan = plan(&facts, &own);
            let proof = plan.proofs.iter().find(|proof| proof.id == "application.interpreter").unwrap();
            assert!(proof.proof.prover().preflight(), "it would be tried when it is too late");
            let said = outline(&plan);
            assert!(
                said.contains(r#"/opt/python/bin/python2.7 ["/opt/python/bin/python2.7", "-m", "virtualenv"]"#),
                "{said}"
            );
            assert!(!said.contains("python2.7-dev"), "Debian has no such package there");
        }
        let theirs = changed(WAYS[0], &[("  name: weblab\n", "  name: weblab\n  interpreter: /usr/bin/python2.7\n")]);
        assert!(refused(&facts, &theirs).contains("does not bring"));
    }
}

#[test]
fn ubuntu_22_04_has_its_own_python_2_7_and_24_04_has_none() {
    let (jammy, noble) = (facts("jammy", "systemd"), facts("noble", "systemd"));
    for way in WAYS {
        let plan = plan(&jammy, &example(way));
        assert!(outline(&plan).contains("python2.7 "), "Ubuntu's own is installed");
        assert!(plan.warnings.iter().any(|said| said.contains("tried to the end were only Debian 11")));
        // Redis 6.0 does not know an optional address.
        assert!(!outline(&plan).contains("-::1"));
    }
    for release in [&jammy, &noble] {
        assert!(requirements(&load::load("weblab-deusto").unwrap(), release).is_empty());
    }
}

#[test]
fn an_older_debian_is_refused_and_told_what_can_be_used() {
    let said = told(&requirements(&load::load("weblab-deusto").unwrap(), &facts("buster", "systemd")));
    assert!(said.contains("is not supported") && said.contains("Debian 11 (bullseye)"), "{said}");
}

#[test]
fn every_release_plans_the_same_bytes_twice() {
    for codename in ["bullseye", "bookworm", "trixie", "jammy", "noble"] {
        let facts = facts(codename, "systemd");
        for way in WAYS {
            let own = changed(way, &[("application:\n", "application:\n  interpreter: /opt/python/bin/python2.7\n")]);
            assert_eq!(plan(&facts, &own).hash(), plan(&facts, &own).hash(), "{codename}, {way}");
        }
    }
}

#[test]
fn queues_in_sql_have_a_database_of_their_own_and_its_name_is_an_answer() {
    let facts = facts("bullseye", "systemd");
    let answers = |more: &str| {
        format!("version: 1\nguide: weblab-deusto\ndatabase: {{engine: mariadb}}\nscheduling: {{backend: sql{more}}}\n")
    };
    let names = |more: &str| {
        let plan = plan(&facts, &answers(more));
        let database = plan.actions.iter().find_map(|planned| match &planned.action {
            Action::Database(database) if planned.id == "scheduling.schedule" => Some(database.name.clone()),
            _ => None,
        });
        assert!(files(&plan).contains(&format!("core_coordinator_db_name = '{}'", database.clone().unwrap())));
        database.unwrap()
    };
    assert_eq!(names(""), "WebLabCoordination");
    assert_eq!(names(", name: Queues"), "Queues");
    assert!(refused(&facts, &answers(", name: weblab")).contains("different databases"));
}

#[test]
fn several_cores_need_mariadb_and_the_cores_follow_the_machine() {
    let facts = facts("bullseye", "systemd");
    let said = refused(&facts, &changed("weblab-board.yaml", &[("cores: 1", "cores: 2")]));
    assert!(said.contains("one process may write to"), "{said}");
    for (cpus, memory, cores) in [(1, 4096, 1), (2, 4096, 2), (8, 8192, 4), (8, 1024, 1), (8, 512, 1)] {
        let mut facts = facts.clone();
        (facts.cpus.usable, facts.memory.usable_mib) = (cpus, memory);
        let plan = plan(&facts, &changed("weblab-server.yaml", &[("cores: 2", "cores: auto")]));
        let written = files(&plan);
        assert_eq!(written.matches("core_facade_port:").count(), cores, "{cpus} processors, {memory} MiB");
        assert_eq!(written.matches("BalancerMember").count(), cores);
        assert_eq!(written.matches(".txt 0644").count(), cores + 1, "a log configuration for each process");
    }
}

#[test]
fn redis_here_needs_systemd_and_none_that_others_use_is_touched() {
    let fresh = facts("bullseye", "systemd");
    let supervised = changed("weblab-server.yaml", &[("manager: systemd", "manager: supervisor")]);
    assert!(refused(&fresh, &supervised).contains("cannot restart WebLab-Deusto when Redis restarts"));
    let mut used = fresh.clone();
    used.installed.insert("redis-server".to_owned(), "5:6.0.16-1+deb11u2".to_owned());
    assert!(refused(&used, &example("weblab-server.yaml")).contains("Redis is here already"));
    used.applied.push("weblab-deusto".to_owned());
    assert!(refused(&used, &example("weblab-server.yaml")).contains("Redis is here already"), "somebody else's since");
    used.installed_by_us.push("redis-server".to_owned());
    plan(&used, &example("weblab-server.yaml"));
}

#[test]
fn whatever_runs_on_its_ports_is_left_alone() {
    let mut busy = facts("bullseye", "systemd");
    busy.listening = serde_json::from_value(serde_json::json!([
        {"address": "0.0.0.0", "port": 10001, "process": "python"}
    ]))
    .unwrap();
    let said = refused(&busy, &example("weblab-server.yaml"));
    assert!(
        said.contains("python listens on port 10001") && said.contains("perhaps a WebLab-Deusto runs here"),
        "{said}"
    );
}

#[test]
fn passwords_stand_in_one_private_file_and_in_no_argument() {
    for way in WAYS {
        let plan = plan(&facts("bullseye", "systemd"), &example(way));
        for planned in &plan.actions {
            match &planned.action {
                Action::File(file) if file.content.contains(secret::OPEN) => {
                    assert_eq!((planned.id.as_str(), file.mode.as_str()), ("instance.settings", "0640"));
                }
                Action::Command(command) => {
                    assert!(!command.run.join(" ").contains(secret::OPEN), "{}", planned.id);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn only_the_encrypted_site_passes_anything_on() {
    let plan = plan(&facts("bullseye", "systemd"), &example("weblab-server.yaml"));
    let written = files(&plan);
    let site = written.split("=== ").find(|file| file.starts_with("web.site")).unwrap();
    let (plain, encrypted) = site.split_once("<VirtualHost *:443>").unwrap();
    assert!(!plain.contains("\n    Proxy") && plain.contains("Redirect permanent / https://weblab.example.org/"));
    assert!(encrypted.contains("ProxyPassReverse /weblab/ http://weblab.example.org/weblab/"));
    assert!(!encrypted.contains("Indexes") && !encrypted.contains("://localhost"));
    assert!(written.contains("debug_mode = False") && !written.contains("debugger_ports"));
}

#[test]
fn remote_engines_are_tried_before_anything_is_changed() {
    let answers = "version: 1\nguide: weblab-deusto\ndatabase: {engine: mariadb, place: remote, host: db.example.org, \
                   password: {env: DB}}\nscheduling: {backend: redis, place: remote, host: q.example.org, password: \
                   {env: Q}}\n";
    let plan = plan(&facts("bullseye", "systemd"), answers);
    let before: Vec<&str> =
        plan.proofs.iter().filter(|p| p.proof.prover().preflight()).map(|p| p.id.as_str()).collect();
    assert_eq!(before, ["database.reachable", "scheduling.reachable"]);
    assert!(plan.proofs.iter().all(|p| !matches!(&p.proof, Proof::Tcp(tcp) if tcp.host == "127.0.0.1")));
    assert!(!outline(&plan).contains("mariadb-server") && !outline(&plan).contains("redis-server"));
    let odd = answers.replace("host: db.example.org", "host: db.example.org, port: 3307");
    assert!(refused(&facts("bullseye", "systemd"), &odd).contains("port 3306"));
}

#[test]
fn what_cores_that_are_gone_logged_by_goes_with_them() {
    let facts = facts("bullseye", "systemd");
    let gone = |cores: &str| -> Vec<String> {
        let plan = plan(&facts, &changed("weblab-server.yaml", &[("cores: 2", cores)]));
        let removed = plan.actions.iter().filter_map(|planned| match &planned.action {
            Action::Remove(absent) => Some(std::iter::once(&absent.path).chain(&absent.also)),
            _ => None,
        });
        let paths = removed.flatten().map(|path| path.display().to_string());
        paths.filter(|path| path.contains("/logging/")).collect()
    };
    let paths = gone("cores: 2");
    let (first, last) = (paths.first().unwrap(), paths.last().unwrap());
    assert!(
        paths.len() == 14 && first.ends_with("/logging/core3.txt") && last.ends_with("/logging/core16.txt"),
        "{paths:?}"
    );
    assert_eq!(gone("cores: 15").len(), 1);
    assert_eq!(gone("cores: 16"), [""; 0]);
}

/// Each log is a file and its older parts.
#[test]
fn a_log_takes_no_more_than_the_screen_says() {
    let plan = plan(&facts("bullseye", "systemd"), &example("weblab-server.yaml"));
    let files = files(&plan);
    let handlers: Vec<&str> = files
        .lines()
        // A file that is like another is shown by what differs.
        .filter_map(|line| line.trim_start_matches(['+', '-', ' ']).strip_prefix("args=('logs/"))
        .collect();
    assert!(handlers.len() > 14, "{}", handlers.len());
    for handler in handlers {
        let mut numbers = handler.trim_end_matches(')').rsplit(',').map(|number| number.parse::<u64>().unwrap());
        let (older, size) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!((1 + older) * size <= 50 << 20, "{handler}");
    }
}
