//! Two guides on one server, in every order: each run is rolled back separately, what the other one uses stays until
//! the last rollback, and then the server is as it was before the first.

use bringup::answers::OnFailure;
use bringup::engine::data;
use bringup::engine::event::{Event, EventKind};
use bringup::engine::journal::Journal;
use bringup::engine::rollback::{self, Layer, Options};
use bringup::engine::run::{RunContext, execute};
use bringup::engine::runs::{self, RunDir, RunStatus};
use bringup::error::Exit;
use bringup::host::Host;
use bringup::host::fake::{Cut, Defect, FakeHost, Package, Snapshot};
use bringup::plan::Plan;
use bringup::secret::{Secret, Secrets};
use serde_json::{Value, json};

use super::{assert_same, fresh, planned};

/// A machine with an archive whose packages leave things behind, as some do.
fn machine() -> FakeHost {
    let host = fresh();
    host.offer(Package::new("base-lib", "3").file("/usr/lib/base.so", "elf", 0o644));
    host.offer(
        Package::new("cache", "7")
            .depends(&["base-lib"])
            .file("/etc/cache/cache.conf", "port 6379\n", 0o644)
            .user("cache")
            .data("/var/lib/cache")
            .data("/var/www/html")
            .service("cache", &["127.0.0.1:6379"]),
    );
    host.offer(
        Package::new("tool", "1")
            .depends(&["base-lib"])
            .file("/usr/bin/tool", "elf", 0o755)
            .data("/var/lib/tool")
            .data("/var/www/html/tool"),
    );
    host.load_rules("table ip theirs {\n\tchain x {\n\t\ttcp dport 1 accept\n\t}\n}\n");
    host.occupy("sshd", "0.0.0.0:2222".parse().unwrap());
    host
}

fn plan(guide: &str, actions: Vec<(&str, Value)>) -> Plan {
    let actions = actions.into_iter().map(|(id, body)| planned(&format!("{guide}.{id}"), body)).collect();
    Plan { actions, ..Plan::new(guide, guide) }
}

fn edit(line: &str) -> Value {
    json!({"edit": {"path": "/etc/nginx/nginx.conf", "lines": [line]}})
}

fn firewall(name: &str, port: &str) -> Value {
    json!({"firewall": {"manager": "nftables", "name": name, "allow": [port], "confirm": "none"}})
}

fn shop() -> Plan {
    plan(
        "shop",
        vec![
            ("packages", json!({"packages": {"names": ["nginx", "postgresql", "tool"]}})),
            ("user", json!({"user": {"name": "apps", "home": "/srv/apps", "groups": ["adm"]}})),
            ("own_user", json!({"user": {"name": "shop", "home": "/srv/apps/shop"}})),
            ("dir", json!({"directory": {"path": "/opt/apps", "owner": "apps", "mode": "0750"}})),
            ("data", json!({"directory": {"path": "/var/lib/shop", "owner": "shop", "user_data": true}})),
            ("file", json!({"file": {"path": "/opt/apps/shop.txt", "content": "shop\n"}})),
            ("shared", json!({"file": {"path": "/etc/apps/common.conf", "content": "common\n"}})),
            ("conf", json!({"file": {"path": "/etc/shop/shop.conf", "content": "pw = ⟦secret:db.password⟧\n"}})),
            ("edit", edit("# shop")),
            ("site", json!({"file": {"path": "/etc/nginx/sites-enabled/shop", "content": "server { shop }\n"}})),
            ("default", json!({"remove": {"path": "/etc/nginx/sites-enabled/default"}})),
            ("motd", json!({"file": {"path": "/etc/motd", "content": "shop\n"}})),
            ("engine", json!({"service": {"manager": "systemd", "name": "postgresql.service"}})),
            ("database", json!({"database": {"engine": "postgresql", "name": "shop", "role": "shop"}})),
            ("firewall", firewall("shop", "443")),
            (
                "web",
                json!({"service": {"manager": "systemd", "name": "nginx.service", "reload_after": ["shop.site", "shop.edit"]}}),
            ),
        ],
    )
}

fn wiki() -> Plan {
    plan(
        "wiki",
        vec![
            ("packages", json!({"packages": {"names": ["cache", "nginx"]}})),
            ("user", json!({"user": {"name": "apps", "home": "/srv/apps", "groups": ["adm"]}})),
            ("dir", json!({"directory": {"path": "/opt/apps", "owner": "apps", "mode": "0750"}})),
            ("file", json!({"file": {"path": "/opt/apps/wiki.txt", "content": "wiki\n", "owner": "apps"}})),
            ("shared", json!({"file": {"path": "/etc/apps/common.conf", "content": "common\n"}})),
            ("edit", edit("# wiki")),
            ("site", json!({"file": {"path": "/etc/nginx/sites-enabled/wiki", "content": "server { wiki }\n"}})),
            ("default", json!({"remove": {"path": "/etc/nginx/sites-enabled/default"}})),
            ("motd", json!({"file": {"path": "/etc/motd", "content": "wiki\n"}})),
            ("cache", json!({"service": {"manager": "systemd", "name": "cache.service"}})),
            ("firewall", firewall("wiki", "8443")),
            (
                "web",
                json!({"service": {"manager": "systemd", "name": "nginx.service", "reload_after": ["wiki.site", "wiki.edit"]}}),
            ),
        ],
    )
}

/// It shares with both.
fn blog() -> Plan {
    plan(
        "blog",
        vec![
            ("packages", json!({"packages": {"names": ["cache", "postgresql"]}})),
            ("user", json!({"user": {"name": "blog", "home": "/opt/apps"}})),
            ("file", json!({"file": {"path": "/opt/apps/blog.txt", "content": "blog\n"}})),
            ("cache", json!({"service": {"manager": "systemd", "name": "cache.service"}})),
            ("engine", json!({"service": {"manager": "systemd", "name": "postgresql.service"}})),
            ("database", json!({"database": {"engine": "postgresql", "name": "blog", "role": "blog"}})),
        ],
    )
}

fn seen(host: &FakeHost) -> Snapshot {
    host.snapshot(&["/var/lib/bringup", "/var/log", "/var/cache/apt", "/var/lib/apt/lists"])
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("db.password", Secret::new("canary-canary"));
    secrets
}

/// Installs a guide in a run of its own.
fn install(host: &FakeHost, plan: &Plan) -> (String, Exit) {
    let (dir, mut journal) = RunDir::create(host, plan).unwrap();
    (dir.id.clone(), go_on(host, plan, &dir, &mut journal))
}

fn go_on(host: &FakeHost, plan: &Plan, dir: &RunDir, journal: &mut Journal) -> Exit {
    let secrets = secrets();
    let on_failure = OnFailure::Rollback;
    let emit = |what: EventKind| {
        // Shown when a test fails.
        if let EventKind::Failed { step, failure } = &what {
            println!("{step}: {failure} {:?}", failure.tail);
        }
        let line = serde_json::to_string(&Event { at: host.now(), what }).unwrap() + "\n";
        host.append_lazily(&dir.file("events.jsonl"), line.as_bytes()).ok();
    };
    let context = RunContext { host, dir, plan, secrets: &secrets, on_failure, emit: &emit, stop: &|| None };
    execute(&context, journal)
}

fn installed(host: &FakeHost, plan: &Plan) -> String {
    let (id, exit) = install(host, plan);
    assert_eq!(exit, Exit::Done, "{}", plan.guide);
    id
}

/// Rolls one run back, with the runs given after it in the same pass.
fn back(host: &FakeHost, ids: &[&str]) -> Result<rollback::Report, String> {
    let mut open: Vec<(RunDir, Journal)> = Vec::new();
    for id in ids {
        let dir = RunDir::of(id);
        let journal = Journal::open(host, &dir.file("journal.jsonl")).map_err(|e| e.to_string())?;
        open.push((dir, journal));
    }
    let mut layers: Vec<Layer<'_>> = open.iter_mut().map(|(dir, journal)| Layer { dir, journal }).collect();
    let options = Options { drop_data: true, ..Options::default() };
    let report = rollback::together(host, &mut layers, &options, &|_| {}).map_err(|e| e.to_string())?;
    if report.errors.is_empty() { Ok(report) } else { Err(format!("{:?}", report.errors)) }
}

/// What a guide brings is there and works.
fn assert_intact(what: &str, host: &FakeHost, guide: &str) {
    let text = |path: &str| host.text(path).unwrap_or_default();
    let (packages, units, files): (&[&str], &[&str], &[&str]) = match guide {
        "shop" => (
            &["nginx", "postgresql", "tool", "base-lib"],
            &["nginx.service", "postgresql.service"],
            &["/opt/apps/shop.txt", "/etc/apps/common.conf", "/etc/shop/shop.conf", "/etc/nginx/sites-enabled/shop"],
        ),
        "wiki" => (
            &["nginx", "cache", "base-lib"],
            &["nginx.service", "cache.service"],
            &["/opt/apps/wiki.txt", "/etc/apps/common.conf", "/etc/nginx/sites-enabled/wiki"],
        ),
        _ => (&["cache", "postgresql", "base-lib"], &["cache.service", "postgresql.service"], &["/opt/apps/blog.txt"]),
    };
    for package in packages {
        assert!(host.packages().contains_key(*package), "{what}: the package {package} of {guide} is gone");
    }
    for unit in units {
        assert!(host.is_running(unit), "{what}: {unit} of {guide} does not run");
    }
    for file in files {
        assert!(host.text(file).is_some(), "{what}: {file} of {guide} is gone");
    }
    if guide != "blog" {
        assert!(text("/etc/passwd").contains("apps:"), "{what}: the user of {guide} is gone");
        assert!(text("/etc/group").lines().any(|line| line.starts_with("adm:") && line.contains("apps")), "{what}");
        assert!(text("/etc/nginx/nginx.conf").contains(&format!("# {guide}")), "{what}: {guide}'s line is gone");
        assert!(host.text("/etc/nginx/sites-enabled/default").is_none(), "{what}: the default site is back");
        let rules = host.loaded_rules();
        let port = if guide == "shop" { "tcp dport 443 accept" } else { "tcp dport 8443 accept" };
        assert!(rules.contains("policy drop") && rules.contains(port), "{what}: {guide}'s firewall is gone:\n{rules}");
        assert!(host.text(format!("/etc/bringup/firewall.d/{guide}.nft")).is_some(), "{what}");
        assert!(host.text("/etc/systemd/system/sysinit.target.wants/bringup-firewall.service").is_some(), "{what}");
    }
    if guide != "wiki" {
        assert!(host.has_database("postgresql", guide), "{what}: the database of {guide} is gone");
    }
}

/// What only this guide had.
fn assert_gone(what: &str, host: &FakeHost, guide: &str) {
    let files: &[&str] = match guide {
        "shop" => &["/opt/apps/shop.txt", "/etc/shop/shop.conf", "/etc/nginx/sites-enabled/shop", "/usr/bin/tool"],
        "wiki" => &["/opt/apps/wiki.txt", "/etc/nginx/sites-enabled/wiki"],
        _ => &["/opt/apps/blog.txt"],
    };
    for file in files {
        assert!(host.text(file).is_none(), "{what}: {file} of {guide} is still there");
    }
    if guide != "wiki" {
        assert!(!host.has_database("postgresql", guide), "{what}: the database of {guide} is still there");
    }
    let rules = host.loaded_rules();
    if guide != "blog" {
        let port = if guide == "shop" { "tcp dport 443 accept" } else { "tcp dport 8443 accept" };
        assert!(!rules.contains(port), "{what}: the port of {guide} is still open:\n{rules}");
    }
}

fn states(host: &FakeHost) -> Vec<(String, RunStatus)> {
    runs::all(host, None).unwrap().into_iter().map(|run| (run.journal.header.guide.clone(), run.state)).collect()
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(at);
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, *first);
            tail
        }));
    }
    all
}

#[test]
fn in_every_order_each_is_rolled_back_alone_and_the_last_takes_everything_along() {
    let plans = [shop(), wiki(), blog()];
    let mut orders = 0;
    for subset in [vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]] {
        for order in permutations(&subset) {
            for backwards in permutations(&order) {
                orders += 1;
                let host = machine();
                let before = seen(&host);
                let ids: Vec<String> = order.iter().map(|guide| installed(&host, &plans[*guide])).collect();
                for (done, guide) in backwards.iter().enumerate() {
                    let at = order.iter().position(|other| other == guide).unwrap();
                    let name = |guide: &usize| plans[*guide].guide.clone();
                    let what = format!(
                        "installed {:?}, rolled back {:?}",
                        order.iter().map(name).collect::<Vec<_>>(),
                        backwards[..=done].iter().map(name).collect::<Vec<_>>()
                    );
                    let report = back(&host, &[&ids[at]]).unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_gone(&what, &host, &plans[*guide].guide);
                    for other in &backwards[done + 1..] {
                        assert_intact(&what, &host, &plans[*other].guide);
                    }
                    let foreign: Vec<_> =
                        report.kept.iter().filter(|(_, why)| !why.contains("still used by")).collect();
                    assert!(foreign.is_empty(), "{what}: {foreign:?}");
                    if done + 1 == backwards.len() {
                        assert_same(&what, &seen(&host), &before);
                        assert!(states(&host).iter().all(|(_, state)| *state == RunStatus::RolledBack), "{what}");
                    }
                }
            }
        }
    }
    assert_eq!(orders, 3 * 2 * 2 + 36);
}

#[test]
fn all_at_once_is_one_pass_and_starts_each_service_once_at_most() {
    let host = machine();
    let before = seen(&host);
    let ids: Vec<String> = [shop(), wiki(), blog()].iter().map(|plan| installed(&host, plan)).collect();
    host.forget_calls();
    back(&host, &ids.iter().rev().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_same("all at once", &seen(&host), &before);
    let starts = host
        .commands()
        .iter()
        .filter(|command| {
            command.argv[0] == "systemctl"
                && command.argv.iter().any(|word| word == "restart" || word == "start" || word == "reload-or-restart")
        })
        .count();
    assert_eq!(starts, 0, "nothing of it ran before the first run");
}

#[test]
fn what_somebody_changed_in_between_is_kept_whoever_goes_first() {
    for first in [0, 1] {
        let host = machine();
        let ids = [installed(&host, &shop()), installed(&host, &wiki())];
        host.put_file("/etc/cron.d/theirs", "theirs\n", 0o644);
        host.put_file("/etc/nginx/theirs.conf", "theirs\n", 0o644);
        host.put_file("/etc/motd", "by hand\n", 0o644);
        back(&host, &[&ids[first]]).unwrap();
        host.put_file("/etc/cron.d/later", "theirs\n", 0o644);
        host.put_file("/etc/apps/later.conf", "theirs\n", 0o644);
        back(&host, &[&ids[1 - first]]).unwrap();
        for path in ["/etc/cron.d/theirs", "/etc/nginx/theirs.conf", "/etc/cron.d/later", "/etc/apps/later.conf"] {
            assert_eq!(host.text(path).as_deref(), Some("theirs\n"), "{path}, {first} first");
        }
        assert_eq!(host.text("/etc/motd").as_deref(), Some("by hand\n"), "{first} first");
        assert!(!host.packages().contains_key("nginx") && !host.packages().contains_key("cache"));
    }
}

#[test]
fn rolled_back_and_installed_again_beside_the_other_one() {
    for order in [[1, 2], [2, 1]] {
        let host = machine();
        let before = seen(&host);
        let first = installed(&host, &shop());
        let mut ids = vec![first.clone(), installed(&host, &wiki())];
        back(&host, &[&first]).unwrap();
        ids.push(installed(&host, &shop()));
        assert_intact("installed again", &host, "shop");
        assert_intact("installed again", &host, "wiki");
        back(&host, &[&ids[order[0]]]).unwrap();
        assert_intact("one of these", &host, if order[0] == 1 { "shop" } else { "wiki" });
        back(&host, &[&ids[order[1]]]).unwrap();
        assert_same(&format!("{order:?}"), &seen(&host), &before);
    }
}

#[test]
fn what_is_still_used_is_named_and_stays_ours() {
    let host = machine();
    let shop = installed(&host, &shop());
    let wiki = installed(&host, &wiki());
    let report = back(&host, &[&shop]).unwrap();
    let (what, why) = report.kept.iter().find(|(_, why)| why.contains("still used by")).expect("it is told");
    assert!(why.contains(&wiki), "{why}");
    for word in ["nginx", "apps", "/etc/apps", "firewall"] {
        assert!(what.contains(word), "{word}: {what}");
    }
    assert!(!what.contains("tool") && !what.contains("/opt/apps/shop.txt"), "{what}");
    runs::note_standing(&host, None).unwrap();
    let brought = host.text("/var/lib/bringup/brought.json").unwrap();
    assert!(brought.contains("nginx") && !brought.contains("tool"), "{brought}");
    assert_eq!(host.text("/var/lib/bringup/standing.json").unwrap(), "[\"wiki\"]");
    let all = runs::all(&host, None).unwrap();
    assert_eq!(all.iter().filter(|run| run.waits()).count(), 1);
    back(&host, &[&wiki]).unwrap();
    let all = runs::all(&host, None).unwrap();
    assert_eq!(all.iter().filter(|run| run.waits()).count(), 0);
}

/// Every change of both rollbacks is a place to die.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long the tests may take is asked of the process that runs them")]
fn killed_at_any_change_of_either_rollback_it_goes_on_and_leads_back() {
    let before = seen(&machine());
    for first in [0, 1] {
        let prepared = || {
            let host = machine();
            let ids = [installed(&host, &shop()), installed(&host, &wiki())];
            (host, ids)
        };
        let (host, ids) = prepared();
        let start = host.changes();
        back(&host, &[&ids[first]]).unwrap();
        let half = host.changes() - start;
        let start = host.changes();
        back(&host, &[&ids[1 - first]]).unwrap();
        let second = host.changes() - start;
        for (which, changes) in [(0, half), (1, second)] {
            for n in 1..=changes {
                // All of them take minutes: the long run tries each, this one every fourth, each another way.
                let cuts = [Cut::Before, Cut::Halfway, Cut::After];
                let long = std::env::var_os("BRINGUP_TEST_LONG").is_some();
                let turn = usize::try_from(n).unwrap();
                let due = |at: usize| long || (turn.is_multiple_of(4) && turn / 4 % 3 == at);
                for cut in cuts.into_iter().enumerate().filter(|(at, _)| due(*at)).map(|(_, cut)| cut) {
                    let what = format!("{first} first, rollback {which} killed at change {n} of {changes}, {cut:?}");
                    let (host, ids) = prepared();
                    if which == 1 {
                        back(&host, &[&ids[first]]).unwrap();
                    }
                    host.kill_after(host.changes() + n, cut);
                    let wanted = &ids[if which == 0 { first } else { 1 - first }];
                    let _ = back(&host, &[wanted]);
                    host.revive();
                    goes_on(&what, &host, wanted);
                    if which == 0 {
                        assert_intact(&what, &host, if first == 0 { "wiki" } else { "shop" });
                        back(&host, &[&ids[1 - first]]).unwrap_or_else(|e| panic!("{what}: {e}"));
                    }
                    assert_same(&what, &seen(&host), &before);
                }
            }
        }
    }
}

/// What a person does about a rollback that was cut short: goes on with it, or begins it again.
fn goes_on(what: &str, host: &FakeHost, wanted: &str) {
    let of = |state: fn(&runs::Run) -> bool| -> Vec<String> {
        runs::all(host, None).unwrap().into_iter().rev().filter(state).map(|run| run.dir.id).collect()
    };
    let mut ids = of(|run| run.state == RunStatus::RollbackUnfinished);
    if ids.is_empty() {
        ids = of(|run| run.state != RunStatus::RolledBack);
        ids.retain(|id| id == wanted);
    }
    if !ids.is_empty() {
        back(host, &ids.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

/// What the databases of both lie in goes with the last: then nobody's data is left to be asked about but a stranger's.
#[test]
fn whose_data_would_be_lost_is_asked_only_where_it_would_be() {
    let at_risk = |host: &FakeHost, id: &str| {
        let all = runs::all(host, None).unwrap();
        let options = Options::default();
        let ahead = rollback::ahead(host, &all, &[id.to_owned()], &options).unwrap();
        data::at_risk(host, &ahead, &options).unwrap()
    };
    let host = machine();
    let ids = [installed(&host, &shop()), installed(&host, &blog())];
    assert_eq!(at_risk(&host, &ids[0]), Vec::<String>::new(), "the engine stays for the other one");
    back(&host, &[&ids[0]]).unwrap();
    assert_eq!(at_risk(&host, &ids[1]), Vec::<String>::new(), "its own database is as it was left");
}

/// A run that fails beside others is rolled back by itself, and disturbs neither those nor what waits for them.
#[test]
fn a_run_that_fails_beside_others_is_rolled_back_alone() {
    let host = machine();
    let before = seen(&host);
    let shop = installed(&host, &shop());
    let wiki = installed(&host, &wiki());
    back(&host, &[&shop]).unwrap();
    let beside = seen(&host);
    host.break_service("postgresql.service", Defect::Refuses);
    assert_eq!(install(&host, &blog()).1, Exit::RolledBack);
    assert_same("without the one that failed", &seen(&host), &beside);
    assert_intact("after another one failed", &host, "wiki");
    back(&host, &[&wiki]).unwrap();
    assert_same("rolled back by itself", &seen(&host), &before);
}

#[test]
fn below_a_run_that_was_interrupted_nothing_is_rolled_back() {
    let host = machine();
    let shop = installed(&host, &shop());
    let wiki = wiki();
    let (dir, mut journal) = RunDir::create(&host, &wiki).unwrap();
    host.break_service("cache.service", Defect::Refuses);
    let secrets = secrets();
    let context = RunContext {
        host: &host,
        dir: &dir,
        plan: &wiki,
        secrets: &secrets,
        on_failure: OnFailure::Pause,
        emit: &|_| {},
        stop: &|| None,
    };
    assert_eq!(execute(&context, &mut journal), Exit::Incomplete);
    let then = seen(&host);
    let refused = back(&host, &[&shop]).unwrap_err();
    assert!(refused.contains(&dir.id) && refused.contains("interrupted"), "{refused}");
    assert_same("refused", &seen(&host), &then);
    assert_eq!(states(&host)[0].1, RunStatus::Done);
}
