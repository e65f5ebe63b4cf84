//! Whatever is pressed, pasted, told and however large the screen is: nothing breaks.

use proptest::prelude::*;

use super::stage::{at, facts};
use super::*;
use crate::answers::fixture::tiny;
use crate::answers::resolve::{Literals, resolve_file};
use crate::answers::{Given, OnFailure, Origin, SecretSource, file};
use crate::guide::{Guide, QuestionKind, load};
use crate::plan::build::build;

#[derive(Clone, Debug)]
enum Event {
    Key(KeyCode, KeyModifiers),
    Text(String),
    Paste(String),
    Size(u16, u16),
    Pause,
    Facts(u64, u32),
    NotOpened,
    Saved(bool),
    Nothing,
}

fn key() -> impl Strategy<Value = Event> {
    let codes = prop::sample::select(vec![
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(1),
        KeyCode::F(2),
        KeyCode::Char(' '),
        KeyCode::Char('?'),
        KeyCode::Char('-'),
        KeyCode::Char('+'),
    ]);
    let letters = prop::sample::select(vec!['a', 'd', 'e', 'g', 'n', 'p', 'r', 't', 'u', 'w', 'y']);
    prop_oneof![
        12 => codes.prop_map(|code| Event::Key(code, KeyModifiers::NONE)),
        // The usual way on.
        6 => prop::sample::select(vec![KeyCode::Enter, KeyCode::Tab, KeyCode::Down])
            .prop_map(|code| Event::Key(code, KeyModifiers::NONE)),
        3 => letters.prop_map(|c| Event::Key(KeyCode::Char(c), KeyModifiers::CONTROL)),
        1 => any::<char>().prop_map(|c| Event::Key(KeyCode::Char(c), KeyModifiers::NONE)),
    ]
}

fn text() -> impl Strategy<Value = Event> {
    let texts = ["7", "443", "shop", "app.example.org", "/srv/x", "file:/x", "auto", "日本", "a, b", "no good"];
    prop::sample::select(texts.to_vec()).prop_map(|text| Event::Text(text.to_owned()))
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => key(),
        4 => text(),
        2 => "\\PC{0,30}(\n\\PC{0,5})?".prop_map(Event::Paste),
        2 => (1_u16..=300, 1_u16..=100).prop_map(|(width, height)| Event::Size(width, height)),
        2 => Just(Event::Pause),
        1 => (0_u64..1 << 40, 0_u32..1000).prop_map(|(memory, cpus)| Event::Facts(memory, cpus)),
        1 => prop_oneof![Just(Event::NotOpened), any::<bool>().prop_map(Event::Saved), Just(Event::Nothing)],
    ]
}

fn happen(app: &mut App, event: &Event) -> Leave {
    match event {
        Event::Key(code, modifiers) => return app.key(KeyEvent::new(*code, *modifiers)),
        Event::Text(text) => {
            for c in text.chars() {
                app.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
            }
        }
        Event::Paste(text) => app.paste(text),
        Event::Pause if app.pause().is_some() => return app.paused(crate::host::Stamp { sec: 1_795_253_460, nsec: 0 }),
        Event::Pause => {}
        Event::Size(width, height) => app.resize(*width, *height),
        Event::Facts(memory, cpus) => {
            let mut other = facts();
            other.memory.usable_mib = *memory;
            other.cpus.usable = *cpus;
            return app.tell(Msg::Facts(Box::new(other)));
        }
        Event::NotOpened => return app.tell(Msg::NotOpened("it cannot be read".to_owned())),
        Event::Saved(true) => return app.tell(Msg::Saved("/root/answers.yaml".into())),
        Event::Saved(false) => return app.tell(Msg::NotSaved("the disk is full".to_owned())),
        Event::Nothing => {
            app.tell(Msg::Fits(BTreeMap::new()));
            return app.tell(Msg::Runs(Vec::new()));
        }
    }
    Leave::No
}

fn draw(app: &App) {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
}

/// The pointer is on something that is there, and can be seen where there is room.
fn assert_sound(app: &App) {
    let focus = app.view().focus.clone();
    assert!(app.doc.stops.is_empty() || app.focused().is_some(), "{focus:?} is not on the page");
    let height = usize::from(app.layout().main.height);
    assert!(app.view().scroll <= app.doc.lines.len().saturating_sub(height));
    for line in &app.doc.lines {
        assert!(line.width() <= usize::from(app.layout().main.width), "{line}");
    }
}

/// From the first question, or from the last page, where the run can be started.
fn walk(guide: Guide, from_review: bool, events: &[Event]) {
    let mut app = at(guide, (80, 24), true, &[]);
    if from_review {
        app.follow(Transition::Go(Route::Review, None));
        app.settle();
        settle(&mut app);
    }
    for event in events {
        let before = (app.route.clone(), app.overlay.is_none(), app.view().focus.clone());
        let left = happen(&mut app, event);
        if app.route == Route::Run {
            // There is one way only to here.
            assert_eq!(before, (Route::Review, true, Some(Focus::Button("start"))));
            assert!(matches!(event, Event::Key(KeyCode::Enter, _)), "{event:?}");
            assert_eq!(app.model.interview.as_ref().unwrap().gaps(), []);
            return;
        }
        if !app.model.cmds.is_empty() {
            settle(&mut app);
        }
        draw(&app);
        assert_sound(&app);
        if left != Leave::No {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_that_happens_breaks_a_small_guide(review: bool, events in prop::collection::vec(event(), 0..60)) {
        walk(tiny(), review, &events);
    }
}

/// Takes back what is refused, and answers what is missing.
fn mend(app: &mut App) {
    let interview = app.model.interview.as_mut().unwrap();
    for _ in 0..20 {
        let Some((stage, question)) = interview.gaps().into_iter().find_map(|gap| gap.stage.zip(gap.question)) else {
            return;
        };
        // A cell goes with its table.
        let path = format!("{stage}.{}", question.split('[').next().unwrap_or(&question));
        if interview.given().values.contains_key(&path) {
            interview.answer(&path, None);
            continue;
        }
        if interview.question(&path).is_some_and(|question| question.kind == QuestionKind::Map) {
            let key = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}", "a".repeat(43));
            interview.answer(&path, Some(serde_json::json!({"anna": key})));
            continue;
        }
        let answers = ["/srv/x", "db.example.org", "file:/root/x", "node server.js", "8001"];
        let fits = answers.into_iter().find(|text| interview.refusal(&path, text).is_none());
        interview.type_in(&path, fits.unwrap_or_else(|| panic!("nothing fits {path}")));
    }
    panic!("{:?}", interview.gaps());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn nothing_that_happens_breaks_a_shipped_guide(review: bool, events in prop::collection::vec(event(), 0..40)) {
        walk(load::load("webapp").unwrap(), review, &events);
    }

    /// What a person answered, however they went about it, replays to the same plan from the recorded file.
    #[test]
    fn recorded_answers_replay_to_the_same_plan(events in prop::collection::vec(prop_oneof![5 => key(), 1 => text()], 0..60)) {
        let guide = load::load("webapp").unwrap();
        let mut app = at(guide.clone(), (80, 24), true, &[]);
        for event in &events {
            if happen(&mut app, event) != Leave::No {
                break;
            }
        }
        mend(&mut app);
        let interview = app.model.interview.as_ref().unwrap();
        let resolved = interview.resolved();
        let plan = build(&guide, &facts(), resolved).unwrap();
        let recorded = file::write(&guide, resolved, OnFailure::Rollback).unwrap();
        let read = file::read("answers.yaml", recorded.as_bytes(), &guide, Literals::Refused).unwrap();
        let again = resolve_file(&guide, &facts(), &read, &Given::default()).unwrap();
        prop_assert!(again.origins.values().all(|origin| *origin == Origin::File));
        prop_assert!(again.secrets.values().all(|source| !matches!(source, SecretSource::Literal(_))));
        prop_assert_eq!(plan.hash(), build(&guide, &facts(), &again).unwrap().hash(), "{}", recorded);
    }
}
