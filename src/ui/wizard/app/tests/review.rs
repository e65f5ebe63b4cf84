//! How welcome, product, review and the overlays look.

use std::fmt::Write as _;

use super::*;
use crate::action::Verdict;
use crate::engine::journal::Record;
use crate::engine::runs::RunDir;
use crate::engine::{detach, launch};
use crate::facts::probe::probe;
use crate::host::fake::{Package, output};
use crate::host::{Address, Command, Host as _};
use crate::plan::Plan;
use crate::plan::preview::{GuideChecks, packages, preview};
use crate::secret::Secrets;

/// The usual size and the smallest.
const SIZES: [(u16, u16); 2] = [(80, 24), (40, 12)];
/// Also a large one: for one picture of each kind of page, and of an overlay.
const ALL_SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 12)];

/// A fresh Debian that is fit for everything.
pub(super) fn fit() -> FakeHost {
    let host = FakeHost::new();
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(0, "192.0.2.80 STREAM\n", ""));
    host.answer(Address::Tcp("192.0.2.80:80".parse().unwrap()), |_| Vec::new());
    host.on(&["timedatectl", "show"], |_, _| output(0, "NTP=yes\nCanNTP=yes\nNTPSynchronized=yes\n", ""));
    host.put_file("/etc/resolv.conf", "nameserver 192.0.2.1\n", 0o644);
    host.put_file("/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_Packages", "", 0o644);
    host.offer(Package::new("nginx", "1.22.1-9").depends(&["nginx-common"]).size(527_000, 1_500));
    host.offer(Package::new("nginx-common", "1.22.1-9").size(112_000, 300));
    host
}

fn model(size: (u16, u16), root: bool, unicode: bool) -> Model {
    Model::new(Look { width: usize::from(size.0), unicode, colour: false }, root, load::list())
}

/// A wizard on this machine, with everything found out.
pub(super) fn on(host: &FakeHost, size: (u16, u16)) -> App {
    let mut app = App::new(model(size, true, true), size);
    settle_on(&mut app, host);
    app
}

/// The same at the review of the first guide, with these answers.
pub(super) fn reviewing(host: &FakeHost, size: (u16, u16), answers: &[(&str, &str)]) -> App {
    review(on(host, size), host, answers)
}

fn review(mut app: App, host: &FakeHost, answers: &[(&str, &str)]) -> App {
    press_on(&mut app, host, "Enter Enter");
    for (path, text) in answers {
        app.model.interview.as_mut().unwrap().type_in(path, text);
    }
    app.follow(Transition::Go(Route::Review, None));
    app.settle();
    settle_on(&mut app, host);
    app
}

/// What is seen at each size after the same keys.
fn seen(sizes: &[(u16, u16)], keys: &str, make: impl Fn((u16, u16)) -> App) -> String {
    let mut all = String::new();
    for size in sizes {
        let mut app = make(*size);
        press_on(&mut app, &fit(), keys);
        let _ = writeln!(all, "{}", screen(&app));
    }
    all
}

/// A run whose changes stand, with what became of it.
fn ran(host: &FakeHost, records: Vec<Record>) -> String {
    let plan = Plan::new("webapp", "");
    let (dir, mut journal) = RunDir::create(host, &plan).unwrap();
    let begin = Record::Begin { action: "web.site".to_owned(), stage: "web".to_owned(), undo: vec![] };
    for record in std::iter::once(begin).chain(records) {
        journal.write(host, record).unwrap();
    }
    dir.id
}

fn finished(exit: Exit) -> Record {
    Record::Finished { exit, data: BTreeMap::new() }
}

#[test]
fn the_first_frame_needs_nothing_from_the_machine() {
    let seen = seen(&SIZES[..1], "", |size| {
        let mut app = App::new(model(size, true, true), size);
        assert!(matches!(app.cmds().as_slice(), [Cmd::Probe]));
        app
    });
    insta::assert_snapshot!(seen);
}

#[test]
fn a_fit_machine() {
    insta::assert_snapshot!(seen(&ALL_SIZES, "", |size| on(&fit(), size)));
}

#[test]
fn problems_and_warnings_come_first_and_say_what_to_do() {
    let host = fit();
    host.put_file("/run/reboot-required", "", 0o644);
    host.put_file("/proc/meminfo", "MemTotal: 204800 kB\nMemFree: 100000 kB\nSwapTotal: 0 kB\n", 0o444);
    insta::assert_snapshot!(seen(&SIZES, "", |size| on(&host, size)));
}

#[test]
fn whoever_is_not_root_is_told_at_once_what_still_works() {
    let host = fit().as_user(1000);
    let seen = seen(&SIZES[..1], "", |size| {
        let mut app = App::new(model(size, false, true), size);
        assert!(screen(&app).contains("You are not root"), "{}", screen(&app));
        settle_on(&mut app, &host);
        app
    });
    insta::assert_snapshot!(seen);
}

#[test]
fn earlier_runs_are_said_first() {
    let host = fit();
    ran(&host, vec![finished(Exit::Done)]);
    ran(&host, vec![]);
    insta::assert_snapshot!(seen(&SIZES, "", |size| on(&host, size)));
}

#[test]
fn what_can_be_done_about_an_earlier_run() {
    let host = fit();
    let choices = |size, keys: &str| {
        let mut app = on(&host, size);
        press_on(&mut app, &host, keys);
        screen(&app)
    };
    let mut all = String::new();
    ran(&host, vec![finished(Exit::ProofFailed)]);
    let _ = writeln!(all, "{}", choices((80, 12), "Up Enter"));
    let last = ran(&host, vec![]);
    let _ = writeln!(all, "{}", choices((80, 12), "Up Up Enter"));
    let _ = writeln!(all, "{}", choices((80, 12), "Up Enter"));
    let working = detach::lock(&host, &last).unwrap();
    let _ = writeln!(all, "{}", choices((80, 12), "Up Enter"));
    drop(working);
    insta::assert_snapshot!(all);
}

#[test]
fn products_with_what_stands_and_what_they_miss_here() {
    let host = FakeHost::debian("sid");
    host.put_file("/var/lib/bringup/standing.json", "[\"webapp\"]", 0o644);
    insta::with_settings!({snapshot_path => super::stage::PICTURES, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("products", seen(&ALL_SIZES, "Enter", |size| on(&host, size)));
    });
}

#[test]
fn a_plan_that_can_be_started() {
    insta::assert_snapshot!(seen(&ALL_SIZES, "", |size| reviewing(&fit(), size, &[])));
}

#[test]
fn the_end_of_the_plan_with_the_start() {
    insta::assert_snapshot!(seen(&SIZES, "Tab", |size| reviewing(&fit(), size, &[])));
}

#[test]
fn a_wide_screen_shows_the_action_under_the_pointer() {
    insta::assert_snapshot!(seen(&[(200, 50)], "Down Down", |size| reviewing(&fit(), size, &[])));
}

#[test]
fn a_plan_that_is_being_compared() {
    let host = fit();
    let mut app = on(&host, (80, 24));
    press_on(&mut app, &host, "Enter Enter");
    app.follow(Transition::Go(Route::Review, None));
    app.settle();
    assert!(matches!(app.cmds().as_slice(), [Cmd::Preview { .. }]));
    insta::assert_snapshot!(screen(&app));
}

/// A warning and the sizes of packages push the first action off the screen: what the plan comes to stays in sight.
#[test]
fn what_the_plan_comes_to_stays_in_sight_when_it_was_compared() {
    for height in [24, 22, 20, 16] {
        let app = reviewing(&fit(), (80, height), &[("web.host", "walk.internal")]);
        let page = screen(&app);
        assert!(page.contains("Ready: "), "{height}:\n{page}");
    }
}

#[test]
fn a_plan_with_things_in_the_way() {
    let host = fit();
    host.put_file("/proc/meminfo", "MemTotal: 204800 kB\nMemFree: 100000 kB\nSwapTotal: 0 kB\n", 0o444);
    insta::assert_snapshot!(seen(&SIZES, "", |size| reviewing(&host, size, &[("web.https_port", "0")])));
}

/// A machine whose web server runs with a configuration that is broken on disk.
fn with_broken_nginx() -> FakeHost {
    let host = fit();
    host.offer(
        Package::new("nginx", "1.22.1-9")
            .file("/etc/nginx/nginx.conf", "user www-data;\n", 0o644)
            .file("/usr/sbin/nginx", "elf", 0o755)
            .service("nginx", &[]),
    );
    host.run(&Command::new(["apt-get", "install", "-y", "nginx"])).unwrap();
    host.run(&Command::new(["systemctl", "start", "nginx.service"])).unwrap();
    host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
    host
}

/// What `bringup plan` says that a run would be refused for.
fn refused(host: &FakeHost, app: &App) -> Vec<String> {
    let plan = app.model.review.plan().unwrap();
    let verdicts = preview(host, plan, &Secrets::default(), GuideChecks::Leave);
    let forecast = packages(host, plan);
    let foreseen = launch::foreseen(host, plan, &verdicts, forecast.as_ref());
    foreseen.into_iter().map(|problem| problem.message).collect()
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn a_server_that_would_not_start_again_is_said_before_anything_starts() {
    let host = with_broken_nginx();
    insta::assert_snapshot!(seen(&SIZES[..1], "", |size| reviewing(&host, size, &[])));
}

#[test]
fn the_review_says_what_plan_says() {
    let broken = with_broken_nginx();
    let small = fit();
    small.offer(Package::new("nginx", "1.22.1-9").size(1 << 50, 300));
    let interrupted = fit();
    ran(&interrupted, vec![]);
    for (host, about) in [(broken, "theirs.conf:2"), (small, "to download"), (interrupted, "was interrupted")] {
        let app = reviewing(&host, (80, 60), &[]);
        let plan = refused(&host, &app);
        assert!(plan.iter().any(|message| message.contains(about)), "{about}: {plan:?}");
        // Without the rail beside the page.
        let page: Vec<String> = screen(&app)
            .lines()
            .filter_map(|line| Some(line.split_once('│')?.1.trim_end_matches('"').to_owned()))
            .collect();
        let shown = squeezed(&page.concat());
        for message in plan {
            assert_eq!(shown.matches(&squeezed(&message)).count(), 1, "{message}\n{}", screen(&app));
        }
        assert!(!screen(&app).contains("[ Start ]"), "{}", screen(&app));
    }
}

#[test]
fn a_plan_that_changes_nothing() {
    let seen = seen(&SIZES[..1], "", |size| {
        let mut app = reviewing(&fit(), size, &[]);
        let plan = app.model.review.plan().unwrap();
        let same = plan.actions.iter().map(|planned| (planned.id.clone(), Ok(Verdict::Unchanged))).collect();
        let hash = plan.hash();
        app.tell(Msg::Forecast(hash.clone(), None));
        app.tell(Msg::Compared(hash, same, vec![]));
        app
    });
    insta::assert_snapshot!(seen);
}

#[test]
fn the_packages_of_a_plan() {
    insta::assert_snapshot!(seen(&SIZES, "Enter", |size| reviewing(&fit(), size, &[])));
}

#[test]
fn the_diff_of_a_file_that_is_searched() {
    let host = fit();
    host.put_file("/etc/nginx/sites-available/webapp", "# mine\nserver {\n    listen 8080;\n}\n", 0o644);
    let make = |size| {
        let mut app = reviewing(&host, size, &[]);
        let plan = app.model.review.plan().unwrap();
        let site = plan.actions.iter().position(|planned| planned.id == "web.nginx_site").unwrap();
        app.follow(Transition::Go(Route::Review, Some(Focus::Line("actions", site))));
        app
    };
    insta::assert_snapshot!(seen(&SIZES, "Enter / l i s t e n Enter n n", make));
}

#[test]
fn what_is_typed_to_be_searched_stands_at_the_bottom() {
    let keys = "Enter / n g i n x";
    insta::assert_snapshot!(seen(&[(80, 12), (40, 12)], keys, |size| reviewing(&fit(), size, &[])));
}

#[test]
fn all_pages_to_go_to_with_how_they_stand() {
    let make = |size| reviewing(&fit(), size, &[("web.https_port", "0"), ("application.name", "")]);
    insta::assert_snapshot!(seen(&ALL_SIZES, "g", make));
}

#[test]
fn leaving_is_asked_about() {
    insta::assert_snapshot!(seen(&[(80, 12), (40, 12)], "^C", |size| reviewing(&fit(), size, &[])));
}

#[test]
fn saving_asks_for_a_file() {
    let make = |size| reviewing(&fit(), size, &[("application.proof_token", "hunter22hunter22")]);
    insta::assert_snapshot!(seen(&SIZES, "s", make));
}

#[test]
fn ascii_is_enough() {
    let host = fit();
    host.put_file("/run/reboot-required", "", 0o644);
    let mut all = String::new();
    let make = || {
        let mut app = App::new(model((80, 24), true, false), (80, 24));
        settle_on(&mut app, &host);
        app
    };
    let _ = writeln!(all, "{}", screen(&make()));
    for keys in ["", "Tab", "Enter", "g"] {
        let mut app = review(make(), &host, &[]);
        press_on(&mut app, &host, keys);
        let _ = writeln!(all, "{}", screen(&app));
    }
    assert!(all.is_ascii());
    insta::assert_snapshot!(all);
}

#[test]
fn a_machine_is_looked_at_again_on_demand() {
    let host = fit();
    host.put_file("/run/reboot-required", "", 0o644);
    let mut app = on(&host, (80, 24));
    assert!(screen(&app).contains("1 warning: see below"), "{}", screen(&app));
    assert_eq!(app.model.facts, Some(probe(&host)));
    press_on(&mut app, &fit(), "r");
    assert!(screen(&app).contains("All preflight checks passed"), "{}", screen(&app));
}
