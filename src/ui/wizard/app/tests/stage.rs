//! The pages of stages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::answers::Given;
use crate::answers::fixture::tiny;
use crate::answers::interview::Interview;
use crate::facts::{Cpus, Facts, Memory, Netfilter, Os, Sshd};
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
