//! The program under test: the wizard itself, on a host in memory. The engine itself carries out runs on it, too, in a
//! thread that replaces its process.

use std::process::ExitCode;
use std::sync::LazyLock;
use std::thread;

use bringup::action::{Action, Reversible};
use bringup::answers::OnFailure;
use bringup::engine::detach;
use bringup::engine::event::{Event, EventKind};
use bringup::engine::run::{RunContext, execute};
use bringup::engine::runs::RunDir;
use bringup::guide::load;
use bringup::host::fake::{FakeHost, Package, output};
use bringup::host::real::RealHost;
use bringup::host::{Address, Host};
use bringup::plan::{OutputLine, Plan, Planned, PlannedStage};
use bringup::secret::Secrets;
use bringup::ui::terminal::Terminal;
use bringup::ui::wizard::{App, Model, event_loop};
use bringup::ui::{Look, tty_caps};
use serde_json::json;

/// What the one step of a run that matters does.
const WORK: &str = "work";

static HOST: LazyLock<FakeHost> = LazyLock::new(machine);

/// A fresh Debian that is fit for everything.
fn machine() -> FakeHost {
    let host = FakeHost::new().in_real_time();
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(0, "192.0.2.80 STREAM\n", ""));
    host.answer(Address::Tcp("192.0.2.80:80".parse().unwrap()), |_| Vec::new());
    host.on(&["timedatectl", "show"], |_, _| output(0, "NTP=yes\nCanNTP=yes\nNTPSynchronized=yes\n", ""));
    host.put_file("/etc/resolv.conf", "nameserver 192.0.2.1\n", 0o644);
    host.put_file("/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_Packages", "", 0o644);
    host.offer(Package::new("nginx", "1.22.1-9"));
    host
}

/// The wizard: `fresh` at its first page, `busy` there with another program on port 80; `works`, `fails` or `succeeds` attached to a run that does.
pub fn main(what: &str) -> ExitCode {
    let look = Look { width: 80, unicode: true, colour: true };
    // Before any thread: the terminal blocks the signal that suspends, and all threads have to.
    let mut terminal = Terminal::open(look).unwrap();
    let asks = tty_caps::tells_background(&RealHost::new());
    let background = if asks { terminal.ask_background().unwrap() } else { None };
    let run = match what {
        "fresh" => None,
        "busy" => {
            HOST.occupy("lighttpd", "0.0.0.0:80".parse().unwrap());
            None
        }
        "works" => Some(run(|| {
            loop {
                thread::park();
            }
        })),
        "fails" => Some(run(|| 1)),
        "succeeds" => Some(run(|| 0)),
        _ => panic!("no {what}"),
    };
    let size = terminal.size();
    let model = Model::new(look, true, load::list());
    let mut app = match run {
        Some(run) => App::attached(model, &run, size),
        None => App::new(model, size),
    };
    if let Some(background) = background {
        app.on(background);
    }
    let exit = event_loop(&mut app, terminal, || Box::new(HOST.clone())).unwrap();
    ExitCode::from(exit.code())
}

/// Starts a run whose work ends with the status of `work`; its id.
fn run(work: impl Fn() -> i32 + Send + Sync + 'static) -> String {
    HOST.on(&[WORK], move |_, _| output(work(), "", "no luck today\n"));
    HOST.on(&["done"], |_, _| output(1, "", ""));
    let plan = plan();
    let (dir, mut journal) = RunDir::create(&*HOST, &plan).unwrap();
    let id = dir.id.clone();
    let lock = detach::lock(&*HOST, &id).unwrap();
    thread::spawn(move || {
        let _lock = lock;
        let emit = |what: EventKind| {
            let event = Event { at: HOST.now(), what };
            let line = serde_json::to_string(&event).unwrap() + "\n";
            HOST.append_lazily(&dir.file("events.jsonl"), line.as_bytes()).unwrap();
        };
        let context = RunContext {
            host: &*HOST,
            dir: &dir,
            plan: &plan,
            secrets: &Secrets::default(),
            on_failure: OnFailure::Ask,
            emit: &emit,
            stop: &|| None,
        };
        execute(&context, &mut journal);
    });
    id
}

fn plan() -> Plan {
    let work = json!({"command": {"describe": "do the work", "run": [WORK], "check": ["done"], "undo": ["true"]}});
    Plan {
        stages: vec![PlannedStage { id: "shop".to_owned(), title: "Shop".to_owned() }],
        actions: vec![
            planned("settings", json!({"file": {"path": "/etc/shop.conf", "content": "open\n"}})),
            planned("work", work),
        ],
        outputs: vec![OutputLine { label: "Address".to_owned(), value: "https://shop.example.test/".to_owned() }],
        ..Plan::new("shop", "A shop")
    }
}

fn planned(id: &str, body: serde_json::Value) -> Planned {
    let action: Action = serde_json::from_value(body).unwrap();
    Planned {
        id: format!("shop.{id}"),
        stage: "shop".to_owned(),
        reason: "the test".to_owned(),
        describe: action.act().describe(),
        reversible: Reversible::Yes,
        skip_reason: None,
        action,
    }
}
