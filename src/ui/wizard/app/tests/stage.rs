//! The pages of stages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::answers::Given;
use crate::answers::fixture::tiny;
use crate::answers::interview::Interview;
use crate::facts::{Cpus, Facts, Files, Memory, Netfilter, Os, Sshd};
use crate::guide::{Guide, load};
use crate::yaml;

/// Where the pictures of the guides' pages lie, seen from here.
pub(super) const PICTURES: &str = "../../../../../tests/snapshots/pages";

/// A small fresh server.
pub(super) fn facts() -> Facts {
    Facts {
        os: Os {
            id: "debian".to_owned(),
            codename: "bookworm".to_owned(),
            version: "12".to_owned(),
            name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        },
        fqdn: "web.example.org".to_owned(),
        cpus: Cpus { usable: 2, cores: 2, threads: 2, source: "2 processors".to_owned() },
        memory: Memory { usable_mib: 4096, total_mib: 4096, ..Memory::default() },
        init: "systemd".to_owned(),
        root: true,
        netfilter: Netfilter { allowed: true, nft: true },
        sshd: Sshd { ports: vec![22], ..Sshd::default() },
        ..Facts::default()
    }
}

/// A wizard at the first stage of a guide, with some answers given.
pub(super) fn at(guide: Guide, size: (u16, u16), unicode: bool, answers: &[(&str, &str)]) -> App {
    let look = Look { width: usize::from(size.0), unicode, colour: false };
    let mut app = App::new(Model::new(look, true, Vec::new()), size);
    app.cmds();
    app.tell(Msg::Facts(Box::new(facts())));
    let mut interview = Interview::new(guide, facts(), Given::default());
    for (path, text) in answers {
        interview.type_in(path, text);
    }
    app.follow(Transition::Go(Route::Product, None));
    app.tell(Msg::Opened(Box::new(interview)));
    app.cmds();
    app
}

/// The stages of the wizard's guide that apply.
fn stages(app: &App) -> Vec<String> {
    app.model.interview.iter().flat_map(|interview| interview.stages()).map(|stage| stage.id.clone()).collect()
}

pub(super) fn open(app: &mut App, stage: &str) {
    app.follow(Transition::Go(Route::Stage(stage.to_owned()), None));
    app.settle();
}

/// Answers that open further questions, from `tests/fixtures/opened/<guide>.yaml`; none for a guide without such a file.
#[expect(clippy::disallowed_methods, reason = "a fixture of this test, on no host")]
fn opened(guide: &str) -> BTreeMap<String, String> {
    let path = format!("{}/tests/fixtures/opened/{guide}.yaml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).map_or_else(|_| BTreeMap::new(), |text| yaml::from_slice(&path, &text).unwrap())
}

fn guides() -> Vec<(String, Guide)> {
    let shipped = load::list().into_iter().map(|guide| (guide.id.clone(), load::load(&guide.id).unwrap()));
    std::iter::once(("tiny".to_owned(), tiny())).chain(shipped).collect()
}

const SIZES: [(u16, u16, bool); 4] = [(80, 24, true), (120, 40, true), (40, 12, true), (80, 24, false)];

/// Drawn at every size. Pictures of all sizes are kept of the guide with one question of every type; of the others it is
/// their words that a reader looks at, and one size shows them.
#[test]
fn every_stage_of_every_guide() {
    for (id, guide) in guides() {
        let opened = opened(&id);
        let others: Vec<(&str, &str)> = opened.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let mut states = vec![("", &[][..])];
        states.extend((!others.is_empty()).then_some(("_opened", &others[..])));
        for (state, answers) in states {
            for (width, height, unicode) in SIZES {
                let mut app = at(guide.clone(), (width, height), unicode, answers);
                let look = if unicode { "" } else { "_ascii" };
                let mut screens = String::new();
                for stage in stages(&app) {
                    // The others look as with the defaults.
                    if state.is_empty() || answers.iter().any(|(path, _)| path.split('.').next() == Some(&stage)) {
                        open(&mut app, &stage);
                        writeln!(screens, "{stage}\n{}", screen(&app)).unwrap();
                    }
                }
                assert!(unicode || screens.is_ascii(), "{screens}");
                if id == "tiny" || (width, height, unicode) == SIZES[0] {
                    // The guides' own words, which are no matter of the program.
                    insta::with_settings!({snapshot_path => PICTURES, prepend_module_to_snapshot => false}, {
                        insta::assert_snapshot!(format!("{id}{state}_{width}x{height}{look}"), screens);
                    });
                }
            }
        }
    }
}

#[test]
fn a_default_that_files_show_stands_with_its_reason() {
    let host = FakeHost::new();
    host.put_file("/srv/shop/package.json", "{}", 0o644);
    let mut app = at(load::load("webapp").unwrap(), (80, 120), true, &[]);
    let facts = Facts { files: Files::of(&host), ..facts() };
    let mut interview = Interview::new(load::load("webapp").unwrap(), facts, Given::default());
    interview.type_in("application.source", "directory");
    interview.type_in("application.location", "/srv/shop");
    app.tell(Msg::Opened(Box::new(interview)));
    open(&mut app, "application");
    let screen = screen(&app);
    let line = screen.lines().find(|line| line.contains("How is it started?")).unwrap();
    assert!(line.contains("package.json is there"), "{line}");
}

/// The cell of the cursor; it is on a screen of every page with something to point at.
fn cursor(app: &App) -> (u16, u16) {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    assert!(terminal.backend().cursor_visible(), "{}", screen(app));
    let position = terminal.backend().cursor_position();
    (position.x, position.y)
}

#[test]
fn the_cursor_is_on_the_line_under_the_pointer_in_lists_too() {
    let mut app = at(load::load("webapp").unwrap(), (80, 24), true, &[]);
    let on_pointer = |app: &App| {
        let (_, y) = cursor(app);
        let line = screen(app).lines().nth(usize::from(y)).unwrap().to_owned();
        // The list of pages has a pointer of its own, at its left.
        assert!(line.chars().skip(20).any(|c| c == '▸'), "row {y}\n{}", screen(app));
    };
    for stage in ["database", "services"] {
        open(&mut app, stage);
        for _ in 0..app.doc.stops.len() {
            if !matches!(app.view().focus, Some(Focus::Field(_))) || app.model.editor.is_none() {
                on_pointer(&app);
            }
            press(&mut app, "Down");
        }
    }
    press(&mut app, "F2");
    on_pointer(&app);
    press(&mut app, "Down");
    on_pointer(&app);
}

#[test]
fn a_field_is_as_wide_as_what_it_takes() {
    let fields = |unicode| {
        let mut app = at(tiny(), (80, 24), unicode, &[("web.host", "app.example.org")]);
        let mut all = screen(&app);
        while let Some(Route::Stage(next)) = app.model.beside(&app.route, true) {
            open(&mut app, &next);
            all.push_str(&screen(&app));
        }
        (app, all)
    };
    let (_, ascii) = fields(false);
    assert!(ascii.contains(&format!("app.example.org{}", "_".repeat(25))), "{ascii}");
    // Elsewhere it is underlined.
    let mut app = at(tiny(), (80, 24), true, &[("web.host", "app.example.org")]);
    open(&mut app, "web");
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let underlined = |y: u16| {
        (0..80_u16).filter(|x| buffer[(*x, y)].modifier.contains(ratatui::style::Modifier::UNDERLINED)).count()
    };
    let widths: Vec<usize> = (0..24).map(underlined).filter(|width| *width > 0).collect();
    assert!(widths.contains(&40) && widths.contains(&8), "{widths:?}\n{}", screen(&app));
}

/// Every question of every guide can be read to its end, on a page of usual width and on a narrow one.
#[test]
fn no_question_is_cut() {
    for (id, guide) in guides() {
        for width in [80, 40] {
            let mut app = at(guide.clone(), (width, 24), true, &[]);
            for stage in stages(&app) {
                open(&mut app, &stage);
                let text = app.doc.lines.iter().map(|line| line.to_string().trim().to_owned()).collect::<Vec<_>>();
                let text = text.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
                let interview = app.model.interview.as_ref().unwrap();
                for field in interview.fields(&stage) {
                    // Where the answer came from stands at the right end of its first line.
                    let (ask, last) = (&field.question.ask, field.question.ask.split_whitespace().next_back());
                    assert!(text.contains(last.unwrap()), "{id} at {width}: {ask}\n{text}");
                    assert!(!ask.contains('…') && !cut(&text, ask), "{id} at {width}: {ask}\n{text}");
                }
            }
        }
    }
}

/// Whether a beginning of `ask` is followed by the sign of something cut off.
fn cut(text: &str, ask: &str) -> bool {
    ask.char_indices().skip(8).any(|(at, _)| text.contains(&format!("{}…", &ask[..at])))
}

#[test]
fn a_message_is_parted_from_the_next_question() {
    for (id, guide) in guides() {
        let mut app = at(guide, (80, 24), true, &[]);
        for stage in stages(&app) {
            open(&mut app, &stage);
            for (_, lines) in app.doc.stops.clone() {
                let line = |at: usize| app.doc.lines.get(at).map(ToString::to_string).unwrap_or_default();
                let note = line(lines.end - 1);
                let note = ["✗ ", "▲ ", "· "].iter().any(|sign| note.trim_start().starts_with(sign));
                assert!(!note || line(lines.end).trim().is_empty(), "{id} {stage}\n{}", screen(&app));
            }
        }
    }
}

#[test]
fn wide_screens_show_the_help_of_the_question_under_the_pointer() {
    let mut app = at(load::load("webapp").unwrap(), (160, 24), true, &[]);
    open(&mut app, "workers");
    insta::assert_snapshot!(screen(&app));
}

#[test]
fn help_for_a_question() {
    let mut app = at(load::load("webapp").unwrap(), (80, 24), true, &[]);
    open(&mut app, "workers");
    press(&mut app, "Tab Tab F1");
    insta::assert_snapshot!(screen(&app));
}
