#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::engine::journal::Header;
use crate::host::Stamp;
use crate::host::fake::FakeHost;
use crate::plan::Planned;

/// A run whose plan has these actions.
fn user(actions: &Value) -> Used {
    let host = FakeHost::new();
    let actions = actions.as_array().unwrap().iter().map(|body| Planned {
        id: "a.a".into(),
        stage: "a".into(),
        reason: String::new(),
        describe: String::new(),
        reversible: crate::action::Reversible::Yes,
        skip_reason: None,
        action: serde_json::from_value(body.clone()).unwrap(),
    });
    let plan = Plan { actions: actions.collect(), ..Plan::new("other", "") };
    let header = Header {
        schema: 1,
        run: "later".into(),
        guide: "other".into(),
        plan: String::new(),
        program: String::new(),
        at: Stamp::default(),
    };
    let journal = Journal::create(&host, Path::new("/journal.jsonl"), header).unwrap();
    Used::of("later", &plan, &journal)
}

fn record(body: Value) -> Undo {
    serde_json::from_value(body).unwrap()
}

fn at(op: &str, path: &str) -> Value {
    json!({"op": op, "path": path})
}

const PACKAGES: &str = "\
Package: server
Status: install ok installed
Architecture: amd64
Depends: library

Package: library
Status: install ok installed
Architecture: amd64

Package: mta
Status: install ok installed
Architecture: all
Provides: mail-transport-agent

Package: tool
Status: install ok installed
Architecture: amd64
";

#[test]
fn a_record_stays_when_a_later_run_uses_what_it_takes_away() {
    let file = |path: &str, content: &str| json!({"file": {"path": path, "content": content}});
    let web = json!({"service": {"manager": "systemd", "name": "web.service"}});
    let database = json!({"database": {"engine": "postgresql", "name": "shop", "role": "shop"}});
    let command = json!({"command": {"describe": "d", "run": ["do"], "check": ["is"], "undo": ["undo", "it"]}});
    let member = json!({"user": {"name": "shop", "home": "/srv/shop", "groups": ["adm"]}});
    let source = json!({"source": {"path": "/opt/shop/app", "from": "asset", "location": "demo"}});
    let service = |name: &str| json!({"op": "service", "manager": "systemd", "name": name, "existed": true, "was_active": false, "was_enabled": false});
    let account = json!({"op": "user", "name": "shop", "with_group": true});
    let membership = |group: &str| json!({"op": "membership", "user": "shop", "group": group});
    let run = |argv: &[&str]| json!({"op": "command", "argv": argv, "user": "", "cwd": "/", "describe": "d"});
    let table = [
        // The same path, one below it, one above it, another one.
        (at("remove", "/etc/x/a"), file("/etc/x/a", ""), true),
        (at("remove_dir", "/etc/x"), file("/etc/x/a", ""), true),
        (at("remove", "/etc/x/a/b"), file("/etc/x/a", ""), false),
        (at("remove", "/etc/x/b"), file("/etc/x/a", ""), false),
        // A file names it.
        (at("remove", "/etc/ssl/shop/key.pem"), file("/etc/site", "key /etc/ssl/shop/key.pem;"), true),
        (at("remove_dir", "/etc/ssl/shop"), file("/etc/site", "key '/etc/ssl/shop/key.pem'"), true),
        (at("remove", "/run/x.sock"), file("/etc/site", "unix:/run/x.sock:"), true),
        (at("remove", "/app.example.org"), file("/etc/site", "https://app.example.org/"), false),
        // The tree that a path leads to.
        (at("remove_tree", "/opt/shop/app.releases/0123"), source.clone(), true),
        (at("remove_dir", "/opt/shop/app.releases"), source, true),
        (at("remove_tree", "/opt/shop/env.releases/0123"), file("/opt/shop/app", ""), false),
        (account.clone(), member.clone(), true),
        (account.clone(), json!({"directory": {"path": "/srv/x", "owner": "shop"}}), true),
        (account.clone(), json!({"directory": {"path": "/srv/x", "group": "shop"}}), true),
        (account, file("/etc/x/shop", "shop"), false),
        (membership("adm"), member.clone(), true),
        (membership("www-data"), member.clone(), false),
        (service("web.service"), web.clone(), true),
        (service("other.service"), web.clone(), false),
        (
            json!({"op": "database", "engine": "postgresql", "name": "shop", "role": "x", "database_existed": false, "role_existed": false}),
            database.clone(),
            true,
        ),
        (
            json!({"op": "database", "engine": "mariadb", "name": "shop", "role": "shop", "database_existed": false, "role_existed": false}),
            database,
            false,
        ),
        (json!({"op": "acme_certificate", "name": "x"}), web.clone(), false),
        (run(&["undo", "it"]), command.clone(), true),
        (run(&["undo", "another"]), command, false),
        (run(&["rm", "/etc/x/a"]), file("/etc/x/a", ""), true),
        (run(&["usermod", "--home", "/old", "shop"]), member, true),
        (run(&["systemctl", "stop", "web.service"]), web, true),
        (json!({"op": "stays", "what": "w", "why": "y"}), file("/w", ""), false),
    ];
    for (body, action, stays) in table {
        let undo = record(body.clone());
        let used = user(&json!([action]));
        let split = split(std::slice::from_ref(&undo), &[&used], &Database::default());
        let what = format!("{body} beside {action}");
        assert_eq!(!split.later.is_empty(), stays, "{what}");
        assert_eq!(split.now.is_empty(), stays, "{what}");
        assert_eq!(split.used_by.contains("later"), stays, "{what}");
    }
}

#[test]
fn of_packages_those_stay_that_are_asked_for_with_all_that_they_need() {
    let packages = Database::parse(PACKAGES);
    let planned: Vec<(String, String)> = ["library:amd64", "mta:all", "server:amd64", "tool:amd64"]
        .into_iter()
        .map(|name| (name.to_owned(), "1".to_owned()))
        .collect();
    let undo = Undo::Packages { before: vec!["dpkg:amd64".into()], planned };
    let names = |records: &[Undo]| -> Vec<String> {
        let planned = records.iter().filter_map(|undo| match undo {
            Undo::Packages { planned, .. } => Some(planned.iter().map(|(name, _)| name.clone())),
            _ => None,
        });
        planned.flatten().collect()
    };
    for (asked, stay) in [
        (vec!["server"], vec!["library:amd64", "server:amd64"]),
        (vec!["mail-transport-agent"], vec!["mta:all"]),
        (vec!["server", "tool", "mta"], vec!["library:amd64", "mta:all", "server:amd64", "tool:amd64"]),
        (vec!["something-else"], vec![]),
    ] {
        let used = user(&json!([{"packages": {"names": asked}}]));
        let split = split(std::slice::from_ref(&undo), &[&used], &packages);
        assert_eq!(names(&split.later), stay, "{asked:?}");
        let mut all = [names(&split.now), names(&split.later)].concat();
        all.sort_unstable();
        assert_eq!(all.len(), 4, "{asked:?}: {all:?}");
        assert_eq!(split.used_by.is_empty(), stay.is_empty(), "{asked:?}");
        if let [Undo::Packages { before, .. }] = split.now.as_slice() {
            // For the purge, those that stay were there before.
            assert!(stay.iter().all(|name| before.iter().any(|known| known == name)), "{asked:?}: {before:?}");
        }
    }
}

#[test]
fn of_a_shared_role_the_database_goes_and_the_role_stays() {
    let undo = record(json!({"op": "database", "engine": "postgresql", "name": "shop", "role": "apps",
        "database_existed": false, "role_existed": false, "before": "blob"}));
    let used = user(&json!([{"database": {"engine": "postgresql", "name": "wiki", "role": "apps"}}]));
    let split = split(&[undo], &[&used], &Database::default());
    let of = |database_existed: bool, role_existed: bool, before: Option<&str>| Undo::Database {
        engine: "postgresql".into(),
        name: "shop".into(),
        role: "apps".into(),
        database_existed,
        role_existed,
        before: before.map(str::to_owned),
        cluster: String::new(),
        closed: Vec::new(),
    };
    assert_eq!(split.now, [of(false, true, None)]);
    assert_eq!(split.later, [of(true, false, Some("blob"))]);
}

#[test]
fn ssh_stays_as_a_whole_and_so_does_what_loads_the_firewall() {
    let records = [
        record(json!({"op": "sshd", "server_ran": true})),
        record(at("remove", "/etc/ssh/sshd_config.d/00-bringup.conf")),
        record(at("remove", "/etc/systemd/system/ssh.socket.d/only-ours.conf")),
    ];
    let ssh = user(&json!([{"sshd": {"port": 2222}}]));
    assert_eq!(split(&records, &[&ssh], &Database::default()).now, []);
    let nobody = user(&json!([]));
    assert_eq!(split(&records, &[&nobody], &Database::default()).later, []);

    let load = json!({"op": "service", "manager": "systemd", "name": "loads-rules.service", "existed": false,
        "was_active": false, "was_enabled": false});
    let records = [
        record(at("remove", "/etc/bringup/firewall.d/shop.nft")),
        record(json!({"op": "firewall", "manager": "nftables", "name": "shop"})),
        record(load),
    ];
    let wall = user(&json!([{"firewall": {"manager": "nftables", "name": "wiki", "allow": ["443"]}}]));
    let split = split(&records, &[&wall], &Database::default());
    assert_eq!(split.now, records[..1], "what only this one let in is its own file");
    assert_eq!(split.later, records[1..]);
}

#[test]
fn what_is_left_is_told_in_words() {
    let records = [
        record(json!({"op": "packages", "before": ["a:all"], "planned": [["a:all", "1"], ["nginx:amd64", "1"]]})),
        record(json!({"op": "user", "name": "shop", "with_group": true})),
        record(json!({"op": "firewall", "manager": "nftables", "name": "shop"})),
        record(at("remove_dir", "/opt/shop")),
    ];
    assert_eq!(words(&records), "the packages nginx; the firewall, the user shop; /opt/shop");
    assert_eq!(words(&[]), "");
}
