//! Another's running web server: whatever happens to the run, it is not stopped, nothing is done to it that the run did
//! not do, and in the end its loaded configuration is the one on disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bringup::answers::OnFailure;
use bringup::engine::journal::Journal;
use bringup::engine::rollback::{Options, Report, roll_back, take_back};
use bringup::engine::runs::RunDir;
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost, Package, output};
use bringup::host::{Command, Host};
use bringup::plan::Plan;
use bringup::secret::Secrets;
use serde_json::json;

use super::{assert_same, newest, plan_of, planned, run_plan, seen};

const THEIRS: &str = "/etc/nginx/conf.d/theirs.conf";
const OURS: &str = "/etc/nginx/sites-enabled/shop";
const DEFAULT: &str = "/etc/nginx/sites-enabled/default";

fn offered() -> FakeHost {
    let host = FakeHost::new();
    host.offer(
        Package::new("nginx", "1.22")
            .file("/etc/nginx/nginx.conf", "user www-data;\n", 0o644)
            .file(DEFAULT, "server {}\n", 0o644)
            .file("/usr/sbin/nginx", "elf", 0o755)
            .service("nginx", &["0.0.0.0:80"]),
    );
    host
}

/// A server that somebody has set up, with a site.
fn theirs() -> FakeHost {
    let host = offered();
    do_(&host, &["apt-get", "install", "-y", "nginx"]);
    host.put_file(THEIRS, "server { server_name theirs; }\n", 0o644);
    do_(&host, &["systemctl", "start", "nginx.service"]);
    host
}

/// The same, with a file outside of what a rollback looks at, that is broken when it is said so.
fn theirs_to_break() -> (FakeHost, Arc<AtomicBool>) {
    let host = theirs();
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = broken.clone();
    host.on(&["nginx"], move |_, _| {
        if is_broken.load(Ordering::Relaxed) {
            return output(1, "", "nginx: [emerg] unknown directive \"x\" in /srv/zz.conf:2\n");
        }
        output(0, "", "")
    });
    (host, broken)
}

fn do_(host: &FakeHost, argv: &[&str]) {
    assert!(host.run(&Command::new(argv.iter().copied())).unwrap().ok(), "{argv:?}");
}

/// The site, the server that takes it up, and something that comes last.
fn plan(after: &str) -> Plan {
    let service = json!({"manager": "systemd", "name": "nginx.service", "reload_after": ["web.site", "web.default"], "restart_after": [after]});
    plan_of(vec![
        planned("base.packages", json!({"packages": {"names": ["nginx"]}})),
        planned("web.site", json!({"file": {"path": OURS, "content": "server { server_name shop; }\n"}})),
        planned("web.default", json!({"remove": {"path": DEFAULT}})),
        planned(
            "end.before",
            json!({"command": {"describe": "go on", "run": ["before"], "check": ["false"], "undo": ["undo-before"]}}),
        ),
        planned("end.nginx", json!({"service": service})),
        planned(
            "end.after",
            json!({"command": {"describe": "go on", "run": ["after"], "check": ["false"], "undo": ["true"]}}),
        ),
    ])
}

fn run(host: &FakeHost) -> Exit {
    run_plan(host, &plan("nothing.else"), &Secrets::default(), OnFailure::Rollback)
}

/// A run of its own, whatever there was before.
fn run_anew(host: &FakeHost) -> (RunDir, Journal, Exit) {
    let plan = plan("nothing.else");
    let (dir, mut journal) = RunDir::create(host, &plan).unwrap();
    let context = bringup::engine::run::RunContext {
        host,
        dir: &dir,
        plan: &plan,
        secrets: &Secrets::default(),
        on_failure: OnFailure::Pause,
        emit: &|_| {},
        stop: &|| None,
    };
    let exit = bringup::engine::run::execute(&context, &mut journal);
    (dir, journal, exit)
}

fn back(host: &FakeHost, stage: Option<&str>) -> Report {
    let (dir, journal) = newest(host).unwrap();
    let options = Options { stage: stage.map(str::to_owned), ..Options::default() };
    roll_back(host, &dir, &mut journal.unwrap(), &options, &|_| {}).unwrap()
}

/// How often it was started, and how often told to read its configuration.
fn told(host: &FakeHost) -> (u32, u32) {
    (host.starts("nginx.service"), host.reloads("nginx.service"))
}

fn serves(host: &FakeHost) -> Vec<String> {
    let names =
        |line: &String| line.split("server_name ").nth(1).and_then(|rest| rest.split(';').next().map(str::to_owned));
    let read = host.has_read("nginx.service");
    let mut sites: Vec<String> = read.iter().filter_map(names).collect();
    if read.iter().any(|line| line.starts_with(DEFAULT)) {
        sites.push("default".to_owned());
    }
    sites
}

#[test]
fn a_server_that_ran_before_is_reloaded_and_never_restarted() {
    let host = theirs();
    let before = seen(&host);
    assert_eq!(run(&host), Exit::Done);
    assert_eq!((serves(&host), told(&host)), (vec!["theirs".to_owned(), "shop".to_owned()], (1, 1)));
    assert_eq!(back(&host, None), Report::default());
    assert_same("after the rollback", &seen(&host), &before);
    assert_eq!((serves(&host), told(&host)), (vec!["theirs".to_owned(), "default".to_owned()], (1, 2)));
}

#[test]
fn a_broken_file_that_comes_during_a_run_ends_no_server() {
    // Before the server was told anything: then it need not be told anything.
    let host = theirs();
    let before = seen(&host);
    host.on(&["before"], |host, _| {
        host.put_broken_file("/etc/nginx/conf.d/zz.conf");
        output(0, "", "")
    });
    assert_eq!(run(&host), Exit::RolledBack);
    let failed = newest(&host).unwrap().1.unwrap().failed.unwrap();
    assert_eq!(failed.0, "end.nginx");
    assert!(failed.1.to_string().contains("/etc/nginx/conf.d/zz.conf:2"), "{}", failed.1);
    assert!(host.is_running("nginx.service"));
    assert_eq!(told(&host), (1, 0));
    host.take_away("/etc/nginx/conf.d/zz.conf");
    assert_same("after the rollback", &seen(&host), &before);

    // After it has taken the site up: it goes on, and the next try ends the rollback. The file is one that no
    // rollback finds.
    let (host, broken) = theirs_to_break();
    let breaks = broken.clone();
    host.on(&["after"], move |_, _| {
        breaks.store(true, Ordering::Relaxed);
        output(1, "", "no luck")
    });
    assert_eq!(run(&host), Exit::Incomplete);
    assert!(host.is_running("nginx.service"));
    assert_eq!((serves(&host).contains(&"shop".to_owned()), told(&host)), (true, (1, 1)));
    let again = back(&host, None);
    let [failure] = again.errors.as_slice() else { panic!("{again:?}") };
    assert!(
        failure.to_string().contains("nginx.service") && failure.to_string().contains("/srv/zz.conf:2"),
        "{failure}"
    );
    assert!(failure.hint.as_deref().unwrap().contains("/srv/zz.conf:2"), "{failure:?}");
    assert!(host.is_running("nginx.service"));
    broken.store(false, Ordering::Relaxed);
    assert_eq!(back(&host, None), Report::default());
    assert_eq!((serves(&host), told(&host)), (vec!["theirs".to_owned(), "default".to_owned()], (1, 2)));
    assert_same("after the rollback", &seen(&host), &before);
}

#[test]
fn killed_at_any_change_with_a_broken_file_beside_no_rollback_ends_the_server() {
    let all = {
        let host = theirs();
        run(&host);
        host.changes()
    };
    let start = theirs().changes();
    let before = seen(&theirs());
    assert!(all - start > 10, "only {} changes", all - start);
    for n in start + 1..=all {
        for cut in [Cut::Before, Cut::Halfway, Cut::After] {
            let at = format!("killed at change {n} of {all}, {cut:?}");
            let (host, broken) = theirs_to_break();
            host.kill_after(n, cut);
            run(&host);
            host.revive();
            broken.store(true, Ordering::Relaxed);
            let Some((dir, Ok(mut journal))) = newest(&host) else { continue };
            let starts = host.starts("nginx.service");
            roll_back(&host, &dir, &mut journal, &Options::default(), &|_| {}).unwrap();
            assert!(host.is_running("nginx.service"), "{at}");
            assert_eq!(host.starts("nginx.service"), starts, "{at}");
            broken.store(false, Ordering::Relaxed);
            let (dir, journal) = newest(&host).unwrap();
            let mut journal = journal.unwrap();
            if journal.rolled_back.is_none() {
                let report = roll_back(&host, &dir, &mut journal, &Options::default(), &|_| {}).unwrap();
                assert_eq!(report.errors, Vec::new(), "{at}");
            }
            assert!(journal.rolled_back.is_some(), "{at}");
            assert!(!serves(&host).contains(&"shop".to_owned()), "{at}");
            assert_same(&at, &seen(&host), &before);
        }
    }
}

#[test]
fn what_a_rollback_could_not_start_again_the_next_one_tries_again() {
    let host = theirs();
    let before = seen(&host);
    // It has to be restarted for this plan, and its former self does not come up at once.
    let plan = plan("web.site");
    assert_eq!(run_plan(&host, &plan, &Secrets::default(), OnFailure::Pause), Exit::Done);
    host.break_service("nginx", bringup::host::fake::Defect::Refuses);
    let first = back(&host, None);
    let [failure] = first.errors.as_slice() else { panic!("{first:?}") };
    assert!(failure.to_string().contains("nginx.service") && failure.to_string().contains("it is down"), "{failure}");
    assert!(!host.is_running("nginx.service"));
    assert_eq!(back(&host, None).errors.len(), 1, "it is not forgotten");
    host.mend_service("nginx");
    assert_eq!(back(&host, None), Report::default());
    assert!(host.is_running("nginx.service"));
    assert_same("after the third try", &seen(&host), &before);
}

#[test]
fn after_the_rollback_of_a_stage_a_server_of_another_one_takes_up_what_is_left() {
    for host in [theirs(), offered()] {
        assert_eq!(run(&host), Exit::Done);
        assert!(serves(&host).contains(&"shop".to_owned()));
        assert_eq!(back(&host, Some("web")), Report::default());
        assert!(host.is_running("nginx.service"));
        assert!(!serves(&host).contains(&"shop".to_owned()) && serves(&host).contains(&"default".to_owned()));
        assert_eq!(host.starts("nginx.service"), 1, "a reload is enough");
    }
    // A file that somebody broke meanwhile: it is left alone, and that is told.
    let host = theirs();
    run(&host);
    host.put_broken_file("/etc/nginx/conf.d/zz.conf");
    let report = back(&host, Some("web"));
    let [(what, why)] = report.kept.as_slice() else { panic!("{report:?}") };
    assert!(
        what.contains("nginx.service has not loaded its former") && why.contains("/etc/nginx/conf.d/zz.conf:2"),
        "{report:?}"
    );
    assert!(host.is_running("nginx.service") && serves(&host).contains(&"shop".to_owned()));
}

#[test]
fn a_stage_rolled_back_another_run_and_then_all_leaves_nothing() {
    let host = offered();
    let before = seen(&host);
    let (first, mut journal, exit) = run_anew(&host);
    assert_eq!(exit, Exit::Done);
    let web = Options { stage: Some("web".to_owned()), ..Options::default() };
    assert_eq!(roll_back(&host, &first, &mut journal, &web, &|_| {}).unwrap(), Report::default());
    let (second, mut later, exit) = run_anew(&host);
    assert_eq!(exit, Exit::Done);
    assert_eq!(roll_back(&host, &second, &mut later, &Options::default(), &|_| {}).unwrap(), Report::default());
    let report = roll_back(&host, &first, &mut journal, &Options::default(), &|_| {}).unwrap();
    assert_eq!(report, Report::default());
    assert_same("after all", &seen(&host), &before);
}

#[test]
fn a_server_takes_up_what_other_answers_have_no_room_for() {
    let host = theirs();
    assert_eq!(run(&host), Exit::Done);
    let (dir, journal) = newest(&host).unwrap();
    let site: BTreeSet<String> = ["web.site".to_owned()].into();
    take_back(&host, &dir, &mut journal.unwrap(), &site, &|_| {}).unwrap();
    assert_eq!((serves(&host), told(&host)), (vec!["theirs".to_owned()], (1, 2)));
}
