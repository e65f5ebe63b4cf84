//! The first page where something is applied.

use super::review::fit;
use super::*;
use crate::answers::Origin;
use crate::engine::journal::Record;
use crate::engine::runs::{self, RunDir};
use crate::facts::Application;
use crate::facts::probe::applications;
use crate::host::fake::output;
use crate::plan::{Answered, OutputLine, Plan};

/// An application whose run ended well.
fn applied(host: &FakeHost, name: &str) -> String {
    let mut plan = Plan::new("webapp", "Your own web application");
    plan.answers.push(Answered { path: Application::NAME.into(), value: name.into(), origin: Origin::File });
    let output = |label: &str, value: String| OutputLine { label: label.to_owned(), value };
    plan.outputs = vec![
        output("Address", format!("https://{name}.example.org/")),
        output("Settings", format!("/etc/{name}/env, passwords too (readable by root and {name})")),
    ];
    let (dir, mut journal) = RunDir::create(host, &plan).unwrap();
    let begin = Record::Begin { action: "web.site".into(), stage: "web".into(), undo: vec![] };
    journal.write(host, begin).unwrap();
    journal.write(host, Record::Finished { exit: Exit::Done, data: BTreeMap::new() }).unwrap();
    let answers = format!("version: 1\nguide: webapp\napplication: {{name: {name}}}\n");
    dir.write(host, "answers.yaml", answers.as_bytes()).unwrap();
    runs::note_standing(host, None).unwrap();
    dir.id
}

pub(super) fn home(host: &FakeHost, size: (u16, u16)) -> App {
    let look = Look { width: usize::from(size.0), unicode: true, colour: false };
    App::new(Model::new(look, true, load::list()).with_applications(applications(host)), size)
}

pub(super) fn two() -> FakeHost {
    let host = fit();
    host.put_file("/var/lib/apt/lists/deb_Packages", "", 0o644);
    host.on(&["apt-get", "--simulate"], |_, _| output(0, "", ""));
    applied(&host, "wiki");
    applied(&host, "shop");
    host
}

#[test]
fn the_first_frame_names_the_applications_and_waits_for_nothing() {
    let host = two();
    host.forget_calls();
    let app = home(&host, (80, 24));
    let page = screen(&app);
    assert!(page.contains("shop") && page.contains("https://wiki.example.org/") && page.contains("looking"), "{page}");
    assert!(host.commands().is_empty(), "no command was waited for");
    insta::assert_snapshot!(page);
}

#[test]
fn each_application_is_shown_with_what_was_found_and_nothing_changes() {
    let host = two();
    let before = host.snapshot(&[]);
    let mut all = String::new();
    for size in [(80, 24), (200, 50), (60, 20)] {
        let mut app = home(&host, size);
        settle_on(&mut app, &host);
        all += &screen(&app);
        all.push('\n');
    }
    assert_eq!(before.differences(&host.snapshot(&[])), Vec::<String>::new());
    assert!(all.contains("? Proofs") && all.contains("Cannot tell: "), "the runs recorded no proofs:\n{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn where_nothing_is_applied_the_wizard_begins_at_its_welcome() {
    let app = home(&FakeHost::new(), (80, 24));
    assert!(app.route == Route::Welcome && !app.model.places().contains(&Route::Home));
}

#[test]
fn from_an_application_one_comes_to_its_own_answers() {
    let host = two();
    let mut app = home(&host, (80, 24));
    settle_on(&mut app, &host);
    press_on(&mut app, &host, "Down Enter Enter");
    assert_eq!(app.route, Route::Stage("application".to_owned()));
    assert_eq!(app.model.interview.as_ref().unwrap().text("application.name"), "wiki", "and not the newest one's");
}

#[test]
fn what_can_be_done_about_an_application() {
    let host = two();
    let mut app = home(&host, (80, 24));
    settle_on(&mut app, &host);
    press_on(&mut app, &host, "Enter");
    insta::assert_snapshot!(screen(&app));
    press_on(&mut app, &host, "Down Down Down Enter");
    assert!(screen(&app).contains("/etc/shop/env"), "{}", screen(&app));
    press_on(&mut app, &host, "Esc Enter Down Down Down Down Enter");
    assert!(screen(&app).contains("Roll back the last run?"), "{}", screen(&app));
    press_on(&mut app, &host, "Esc Enter Down Enter");
    assert_eq!(app.route, Route::Home, "verified in its place");
    press_on(&mut app, &host, "Down Down Enter");
    assert_eq!(app.route, Route::Product);
}

#[test]
fn whoever_may_not_read_the_runs_is_told_that_and_sees_the_names() {
    let host = two().as_user(1000);
    let mut app = home(&host, (80, 24));
    settle_on(&mut app, &host);
    let page = screen(&app);
    assert!(
        page.contains("Cannot read the state of the applications") && page.contains("https://shop.example.org/"),
        "{page}"
    );
    assert!(!page.contains('✓'), "{page}");
}
