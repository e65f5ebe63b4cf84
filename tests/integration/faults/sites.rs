//! Every kill point of a web server that loads our site beside an existing one: whatever happens, the other site is
//! served as before, after the timer at the latest.

use std::sync::{Arc, Mutex};

use bringup::action::carry::CARRY;
use bringup::answers::OnFailure;
use bringup::engine::decision::{self, Decision};
use bringup::engine::event::EventKind;
use bringup::engine::run::{RunContext, execute};
use bringup::engine::runs::RunDir;
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost, output};
use bringup::host::{Address, Command, Host};
use bringup::plan::Plan;
use bringup::secret::Secrets;
use bringup::undo::deadman;
use serde_json::json;

use super::{Snapshot, assert_same, back, newest, plan_of, planned, run_plan, seen};

const THEIRS: &str = "server { listen 80; server_name shop.example.org; }\n";
const OURS: &str = "server { listen 80; server_name app.example.org; }\n";
/// Whatever it says, their site then leads to ours.
const BREAKS: &str = "server { listen 80; server_name app.example.org; } # takes everything\n";
/// With it the server dies.
const KILLS: &str = "server { listen 80; server_name app.example.org; } # dies\n";
const UNIT: &str = "[Service]\nExecStart=/bin/web\n[Install]\nWantedBy=multi-user.target\n";

/// A machine with a web server that serves what it has read, and what that is.
struct Web {
    host: FakeHost,
    loaded: Arc<Mutex<String>>,
}

fn on_disk(host: &FakeHost) -> String {
    ["theirs", "ours"].map(|name| host.text(format!("/etc/web/{name}")).unwrap_or_default()).concat()
}

impl Web {
    fn start() -> Self {
        let host = FakeHost::new();
        host.put_file("/etc/web/theirs", THEIRS, 0o644);
        host.put_file("/etc/systemd/system/web.service", UNIT, 0o644);
        host.run(&Command::new(["systemctl", "enable", "--now", "web.service"])).unwrap();
        let loaded = Arc::new(Mutex::new(on_disk(&host)));
        host.on(&["nginx", "-T"], |host, _| output(0, &on_disk(host), ""));
        for verb in ["reload-or-restart", "restart"] {
            let read = loaded.clone();
            host.on(&["systemctl", verb], move |host, _| {
                *read.lock().unwrap() = on_disk(host);
                output(i32::from(on_disk(host).contains("dies")), "", "it died")
            });
        }
        let serves = loaded.clone();
        host.answer(Address::Tcp("127.0.0.1:80".parse().unwrap()), move |asked| {
            let loaded = serves.lock().unwrap();
            let answer = match (asked.first(), loaded.as_str()) {
                // A client that speaks TLS.
                (Some(0x16), _) => "400 Bad Request\r\n",
                (_, text) if text.contains("dies") => return Vec::new(),
                (_, text) if text.contains("takes") => "301 Moved\r\nLocation: https://app.example.org/\r\n",
                _ => "200 OK\r\n",
            };
            format!("HTTP/1.1 {answer}\r\n").into_bytes()
        });
        Self { host, loaded }
    }

    fn loaded(&self) -> String {
        self.loaded.lock().unwrap().clone()
    }

    fn run(&self, ours: &str, on_failure: OnFailure) -> Exit {
        run_plan(&self.host, &plan(ours), &Secrets::default(), on_failure)
    }
}

fn plan(ours: &str) -> Plan {
    let service = json!({"manager": "systemd", "name": "web.service", "reload_after": ["web.site"],
        "sites": {"server": "nginx", "server_names": ["app.example.org"], "timeout": 4}});
    plan_of(vec![
        planned("web.site", json!({"file": {"path": "/etc/web/ours", "content": ours}})),
        planned("web.run", json!({"service": service})),
    ])
}

fn told(host: &FakeHost) -> String {
    let (_, journal) = newest(host).unwrap();
    journal.unwrap().failed.map(|(_, failure)| failure.to_string()).unwrap_or_default()
}

/// Kills the run at each of its changes, in each way.
fn killed_everywhere(ours: &str, judge: impl Fn(&str, &Web)) {
    let whole = Web::start();
    whole.run(ours, OnFailure::Rollback);
    let all = whole.host.changes();
    assert!(all > 15, "only {all} changes");
    for n in 1..=all {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let web = Web::start();
            web.host.kill_after(n, cut);
            web.run(ours, OnFailure::Rollback);
            web.host.revive();
            judge(&format!("killed at change {n} of {all}, {cut:?}"), &web);
        }
    }
}

fn before() -> Snapshot {
    seen(&Web::start().host)
}

#[test]
fn a_site_that_goes_on_is_the_confirmation() {
    let web = Web::start();
    assert_eq!(web.run(OURS, OnFailure::Rollback), Exit::Done, "{}", told(&web.host));
    assert_eq!(web.loaded(), format!("{THEIRS}{OURS}"));
    let armed = web.host.commands().iter().filter(|command| command.argv[0] == "systemd-run").count();
    assert_eq!(armed, 1, "the change was made under no switch");
    deadman::expire(&web.host, 0, CARRY).unwrap();
    assert_eq!(web.loaded(), format!("{THEIRS}{OURS}"), "the timer may go off late");
    back(&web.host).unwrap();
    assert_same("after the rollback", &seen(&web.host), &before());
    assert_eq!(web.loaded(), THEIRS);
}

#[test]
fn a_site_that_breaks_comes_back_and_the_message_says_which_and_how() {
    let web = Web::start();
    assert_eq!(web.run(BREAKS, OnFailure::Pause), Exit::Incomplete);
    assert_eq!(web.loaded(), THEIRS, "it comes back before anything is rolled back");
    assert!(web.host.text("/etc/web/ours").is_none());
    assert_eq!(
        told(&web.host),
        "could not reload web.service with the new configuration: http://shop.example.org/ answered 200 before, and \
         now 301 to https://app.example.org/; the former configuration was restored, and the other site of this \
         server answers as before"
    );
    // The journal agrees, both ways.
    back(&web.host).unwrap();
    assert_same("after the rollback", &seen(&web.host), &before());
    let web = Web::start();
    assert_eq!(web.run(BREAKS, OnFailure::Rollback), Exit::RolledBack);
    assert_same("rolled back by itself", &seen(&web.host), &before());
}

#[test]
fn a_server_that_does_not_survive_comes_back() {
    let web = Web::start();
    assert_eq!(web.run(KILLS, OnFailure::Pause), Exit::Incomplete);
    assert!(told(&web.host).contains("answers as before"), "{}", told(&web.host));
    assert_eq!(web.loaded(), THEIRS);
}

#[test]
fn a_site_that_failed_before_is_no_reason() {
    let web = Web::start();
    web.host.answer(Address::Tcp("127.0.0.1:80".parse().unwrap()), |_| b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec());
    assert_eq!(web.run(BREAKS, OnFailure::Pause), Exit::Done);
    assert!(web.host.commands().iter().all(|command| command.argv[0] != "systemd-run"));
}

#[test]
fn tried_again_it_begins_with_what_was_taken_back() {
    let web = Web::start();
    let plan = plan(BREAKS);
    let (dir, mut journal) = RunDir::create(&web.host, &plan).unwrap();
    let started = Mutex::new(Vec::new());
    let emit = |what: EventKind| match what {
        EventKind::Waiting(waiting) => {
            // Meanwhile somebody has mended their site so that it bears ours.
            web.host.answer(Address::Tcp("127.0.0.1:80".parse().unwrap()), |_| b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
            decision::send(&web.host, &dir, waiting.number, &Decision::Retry).unwrap();
        }
        EventKind::ActionStarted { action } => started.lock().unwrap().push(action),
        _ => {}
    };
    let secrets = Secrets::default();
    let on_failure = OnFailure::Ask;
    let context = RunContext {
        host: &web.host,
        dir: &dir,
        plan: &plan,
        secrets: &secrets,
        on_failure,
        emit: &emit,
        stop: &|| None,
    };
    assert_eq!(execute(&context, &mut journal), Exit::Done);
    assert_eq!(*started.lock().unwrap(), ["web.site", "web.run", "web.site", "web.run"]);
    assert_eq!(web.loaded(), format!("{THEIRS}{BREAKS}"));
}

#[test]
fn killed_at_any_change_the_timer_leads_back_and_the_journal_agrees() {
    let before = before();
    for ours in [BREAKS, KILLS] {
        killed_everywhere(ours, |what, web| {
            // What PID 1 does when the time is up.
            deadman::expire(&web.host, 0, CARRY).ok();
            assert_eq!(web.loaded(), THEIRS, "{what}");
            back(&web.host).unwrap();
            assert_same(what, &seen(&web.host), &before);
            assert_eq!(web.loaded(), THEIRS, "{what}");
        });
    }
}

#[test]
fn killed_at_any_change_a_resumed_run_ends_like_an_undisturbed_one() {
    let undisturbed = Web::start();
    undisturbed.run(OURS, OnFailure::Rollback);
    let end = seen(&undisturbed.host);
    for timer in [false, true] {
        killed_everywhere(OURS, |what, web| {
            if timer {
                deadman::expire(&web.host, 0, CARRY).ok();
            }
            assert_eq!(web.run(OURS, OnFailure::Pause), Exit::Done, "{what}");
            assert_same(what, &seen(&web.host), &end);
            assert_eq!(web.loaded(), format!("{THEIRS}{OURS}"), "{what}");
        });
    }
}

#[test]
fn killed_at_any_change_a_resumed_run_does_not_take_the_broken_site_for_the_former_one() {
    killed_everywhere(BREAKS, |what, web| {
        assert_eq!(web.run(BREAKS, OnFailure::Pause), Exit::Incomplete, "{what}");
        assert_eq!(web.loaded(), THEIRS, "{what}");
    });
}
