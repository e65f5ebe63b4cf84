#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::host::fake::{FakeHost, Package};
use crate::plan::Planned;
use crate::plan::preview::{GuideChecks, preview};
use crate::secret::Secrets;

fn planned(id: &str, body: Value) -> Planned {
    let action: Action = serde_json::from_value(body).unwrap();
    Planned {
        id: id.to_owned(),
        stage: "web".to_owned(),
        reason: "a test".to_owned(),
        describe: action.act().describe(),
        reversible: action.act().reversible(),
        skip_reason: None,
        action,
    }
}

/// A site for a web server, and its link.
fn plan(test: &[&str]) -> Plan {
    let service = json!({"service": {"manager": "systemd", "name": "nginx.service",
        "reload_after": ["web.site", "web.link"], "test": test}});
    let actions = vec![
        planned("web.site", json!({"file": {"path": "/etc/nginx/sites-available/shop", "content": "server {}\n"}})),
        planned(
            "web.link",
            json!({"symlink": {"path": "/etc/nginx/sites-enabled/shop", "target": "../sites-available/shop"}}),
        ),
        planned("web.run", service),
    ];
    Plan { actions, ..Plan::new("shop", "Shop") }
}

fn with_nginx() -> FakeHost {
    let host = FakeHost::new();
    host.offer(
        Package::new("nginx", "1.22")
            .file("/etc/nginx/nginx.conf", "user www-data;\n", 0o644)
            .file("/etc/nginx/sites-enabled/default", "server {}\n", 0o644)
            .file("/usr/sbin/nginx", "elf", 0o755)
            .service("nginx", &["0.0.0.0:80"]),
    );
    host.run(&crate::host::Command::new(["apt-get", "install", "-y", "nginx"])).unwrap();
    host.run(&crate::host::Command::new(["systemctl", "start", "nginx.service"])).unwrap();
    assert!(host.is_running("nginx.service"));
    host
}

fn refused(host: &FakeHost, plan: &Plan) -> Vec<String> {
    let verdicts = preview(host, plan, &Secrets::default(), GuideChecks::Run);
    broken_servers(host, plan, &verdicts, Tests::All).iter().map(ToString::to_string).collect()
}

#[test]
fn a_server_that_runs_and_would_not_start_again_is_named_with_file_and_line() {
    for test in [&["nginx", "-t", "-q"][..], &[]] {
        let host = with_nginx();
        assert_eq!(refused(&host, &plan(test)), Vec::<String>::new());
        host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
        let told = refused(&host, &plan(test));
        let [told] = told.as_slice() else { panic!("{told:?}") };
        let expected = "web.run: nginx.service runs, but it would not start again: its configuration on disk is broken: \
            /etc/nginx/conf.d/theirs.conf:2: unknown directive";
        assert!(told.starts_with(expected), "{told}");
        assert!(
            told.contains("(correct /etc/nginx/conf.d/theirs.conf:2, or move that file away; `nginx -t -q` tests it")
        );
        assert!(host.is_running("nginx.service"));
        host.run(&crate::host::Command::new(["systemctl", "stop", "nginx.service"])).unwrap();
        let told = refused(&host, &plan(test));
        assert!(told[0].contains("nginx.service could not start: its configuration on disk is broken"), "{told:?}");
    }
}

#[test]
fn a_server_that_the_plan_does_not_touch_is_not_tested() {
    let host = with_nginx();
    host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
    host.put_file("/etc/nginx/sites-available/shop", "server {}\n", 0o644);
    host.make_symlink(Path::new("/etc/nginx/sites-enabled/shop"), Path::new("../sites-available/shop")).unwrap();
    assert_eq!(refused(&host, &plan(&[])), Vec::<String>::new());
}

#[test]
fn what_the_plan_itself_puts_in_order_is_no_reason() {
    let host = with_nginx();
    host.make_symlink(Path::new("/etc/nginx/sites-enabled/shop"), Path::new("../sites-available/shop")).unwrap();
    host.put_broken_file("/etc/nginx/sites-available/shop");
    assert_eq!(refused(&host, &plan(&[])), Vec::<String>::new());
}

#[test]
fn a_plan_asks_no_program_of_a_guide_and_nobody_but_root_asks_at_all() {
    let host = with_nginx();
    host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
    let plan = plan(&["a-guide's-own"]);
    let verdicts = preview(&host, &plan, &Secrets::default(), GuideChecks::Run);
    let told = broken_servers(&host, &plan, &verdicts, Tests::Own);
    assert!(told[0].message.contains("/etc/nginx/conf.d/theirs.conf:2"), "{told:?}");
    assert!(host.commands().iter().all(|command| command.argv[0] != "a-guide's-own"));
    assert!(host.calls().iter().filter(|call| call.subject.starts_with("nginx")).all(|call| !call.changes));
    assert_eq!(broken_servers(&host.as_user(1000), &plan, &verdicts, Tests::Own), Vec::new());
}

#[test]
fn the_ssh_server_is_one_of_them() {
    let host = FakeHost::new().with_sshd("");
    let broken = "/etc/ssh/sshd_config.d/zz.conf: line 2: Bad configuration option: Foo\n";
    host.on(&["sshd", "-t"], move |_, _| crate::host::fake::output(255, "", broken));
    let actions = vec![planned("web.ssh", json!({"sshd": {"port": 2222, "confirm": "none"}}))];
    let plan = Plan { actions, ..Plan::new("shop", "Shop") };
    let told = refused(&host, &plan);
    assert!(told[0].contains("ssh.service") && told[0].contains("/etc/ssh/sshd_config.d/zz.conf:2"), "{told:?}");
}
