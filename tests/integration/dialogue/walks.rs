//! The same questions in the same order as the interview asks them, the same answers accepted and refused, and a
//! recorded file that replays to the same plan: random walks through every guide.

use std::collections::VecDeque;

use bringup::answers::file::{self, read};
use bringup::answers::interview::Interview;
use bringup::answers::resolve::{Literals, resolve_file};
use bringup::answers::{Given, Origin};
use bringup::assets;
use bringup::error::Exit;
use bringup::facts::probe::probe;
use bringup::guide::{Guide, Question, QuestionKind, map_cells};
use bringup::host::fake::FakeHost;
use bringup::plan::build::build;
use bringup::ui::Look;
use bringup::ui::prompts::{Decision, Dialogue, Means, Voice};
use proptest::prelude::*;

use super::{Script, guides, tiny};

/// Where the walks end: the review, from where the answers are saved here.
const SAVED: &str = "/root/saved.yaml";

/// Endless choices from a few random numbers.
struct Dice<'a>(std::iter::Cycle<std::slice::Iter<'a, u16>>);

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(*self.0.next().unwrap()) % sides
    }
}

/// What a person might type at a question: the line, and the text that it means to the interview.
fn candidates(question: &Question) -> Vec<(String, String)> {
    let same = |texts: &[&str]| texts.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect::<Vec<_>>();
    let mut found = match question.kind {
        QuestionKind::Choice => {
            let mut found = same(&["0", "nothing like it"]);
            for (at, choice) in question.choices.iter().enumerate() {
                found.push(((at + 1).to_string(), choice.value.clone()));
                if choice.value.parse::<usize>().is_err() {
                    found.push((choice.value.to_uppercase(), choice.value.clone()));
                }
            }
            found
        }
        QuestionKind::Bool => {
            let meant = [("yes", "true"), ("n", "false"), ("true", "true"), ("perhaps", "perhaps")];
            meant.map(|(line, text)| (line.to_owned(), text.to_owned())).into()
        }
        QuestionKind::Integer | QuestionKind::Port | QuestionKind::FreePort => {
            let mut found = same(&["1", "7", "80", "443", "8443", "5432", "70000", "many", "-3"]);
            for edge in [question.min, question.max].into_iter().flatten() {
                found.extend(same(&[&edge.to_string(), &(edge + 1).to_string()]));
            }
            found
        }
        QuestionKind::Hostname => same(&["app.example.org", "Wrong Name", "a", "xn--bcher-kva.example"]),
        QuestionKind::Hostnames => same(&["www.example.org, example.net", "a.example.org, a.example.org", "a"]),
        QuestionKind::Email => same(&["admin@example.org", "nobody"]),
        QuestionKind::Path => same(&["/etc/ssl/own.pem", "/srv/shop_1.0_all.deb", "relative/path", "/srv/../etc"]),
        QuestionKind::Url => same(&[
            "https://example.org/shop.git",
            "https://user:word@example.org/shop.git",
            "/srv/application",
            "git@example.org:shop.git",
            "example.org",
        ]),
        QuestionKind::Regex => same(&["^%d$", "^shop.*$", "(", "a b"]),
        QuestionKind::Ports => same(&["8443", "60000-61000/udp, 5671 from 10.0.0.0/8", "22", "many"]),
        QuestionKind::Networks => same(&["192.0.2.0/24", "192.0.2.7/24, 2001:db8::/32", "nowhere"]),
        QuestionKind::List => same(&["git, curl", "nodejs", ",", "Ä, b", "192.0.2.0/24", "192.0.2.53, 2001:db8::53"]),
        QuestionKind::Secret => same(&[
            "a-long-enough-secret_1.2",
            "file:/root/secret",
            "env:SECRET",
            "generate:40",
            "generate:3",
            "ä",
            "x y",
        ]),
        QuestionKind::Text => same(&[
            "shop",
            "/srv/application",
            "https://example.org/shop.tar.gz",
            "https://ca.example.org/acme/directory",
            "https://user:word@example.org/shop.git",
            "shop.wsgi:application",
            "python3 serve.py --port $PORT",
            "db.example.org",
            "192.0.2.53",
            "root",
            "x",
            "Straße 日本",
            "requirements.txt",
            "/health",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0ZT2ojJ8tEAgZ2nTj8Xc0mMNmVb2mXkY5o1nYqzU7e anna@laptop",
        ]),
        // Its cells are questions of their own.
        QuestionKind::Table | QuestionKind::Map => Vec::new(),
    };
    if question.auto {
        found.extend(same(&["auto"]));
    }
    if question.optional {
        found.push(("-".to_owned(), String::new()));
    }
    found
}

/// A walk through the questions as the interview tells them: what is typed, and which questions are put.
struct Walk {
    lines: VecDeque<String>,
    put: Vec<String>,
}

impl Walk {
    /// Fills in what must be filled in of the first row of a table or a map, which is asked for at once.
    fn first_row(&mut self, interview: &mut Interview, table: &Question, path: &str) {
        for column in table.row() {
            let cell = format!("{path}[0].{}", column.id);
            // A map's row has a value or a secret.
            let wanted = table.kind == QuestionKind::Map && column.id == map_cells::VALUE;
            if !wanted && (column.default.is_some() || column.optional) {
                self.lines.push_back(String::new());
                continue;
            }
            // What is wrong with a map's value is told of the map.
            let fits = |text: &str| {
                let mut other = interview.clone();
                other.type_in(&cell, text);
                problem(&other, if wanted { path } else { &cell }).is_none()
            };
            let right = candidates(column).into_iter().find(|(_, text)| fits(text));
            let (line, text) = right.unwrap_or_else(|| panic!("nothing answers {cell}"));
            self.lines.push_back(line);
            interview.type_in(&cell, &text);
        }
    }
}

fn walk(interview: &mut Interview, dice: &mut Dice<'_>) -> Walk {
    let order = |interview: &Interview| -> Vec<String> {
        let stages = interview.stages();
        stages.iter().flat_map(|stage| interview.fields(&stage.id)).map(|field| field.path).collect()
    };
    let mut walk = Walk { lines: VecDeque::new(), put: Vec::new() };
    let mut at = order(interview).first().cloned();
    let mut steps_back = 6;
    'questions: while let Some(path) = at.take() {
        assert!(walk.put.len() < 600, "{path} is asked for ever");
        walk.put.push(path.clone());
        let question = interview.question(&path).unwrap().clone();
        if question.kind.has_rows() && problem(interview, &path).is_some() {
            walk.first_row(interview, &question, &path);
        }
        let candidates = candidates(&question);
        for tries in 0.. {
            assert!(tries < 500, "nothing answers {path}");
            let before = order(interview).iter().position(|candidate| *candidate == path).unwrap().checked_sub(1);
            match dice.roll(9) {
                _ if question.kind.has_rows() => {
                    walk.lines.push_back(String::new());
                    break;
                }
                0 if steps_back > 0 && before.is_some() => {
                    steps_back -= 1;
                    walk.lines.push_back(["<", "back"][dice.roll(2)].to_owned());
                    at = before.map(|before| order(interview)[before].clone());
                    continue 'questions;
                }
                1 => walk.lines.push_back("?".to_owned()),
                2..=4 => {
                    walk.lines.push_back(String::new());
                    if problem(interview, &path).is_none() {
                        break;
                    }
                }
                _ => {
                    // Dice that come round again may never show the one that is right.
                    let pick = if tries < 100 { dice.roll(candidates.len()) + tries } else { tries / 20 };
                    let (line, text) = &candidates[pick % candidates.len()];
                    walk.lines.push_back(line.clone());
                    if interview.refusal(&path, text).is_none() {
                        interview.type_in(&path, text);
                        break;
                    }
                }
            }
        }
        let order = order(interview);
        let next = order.iter().position(|candidate| *candidate == path).unwrap() + 1;
        let stage = |path: &str| path.split('.').next().unwrap().to_owned();
        let next = order.get(next).cloned();
        let ends = next.as_ref().is_none_or(|next| stage(next) != stage(&path));
        // At the end of its stage, an answer that no longer does is asked for again.
        let again = order.iter().find(|other| stage(other) == stage(&path) && problem(interview, other).is_some());
        at = again.filter(|_| ends).cloned().or(next);
    }
    walk
}

fn problem(interview: &Interview, path: &str) -> Option<String> {
    let fields = interview.fields(path.split('.').next().unwrap());
    fields
        .iter()
        .find(|field| field.path == path)
        .and_then(|field| field.problem)
        .map(|problem| problem.message.clone())
}

/// Walks once at random by the interview and once through line mode, and compares.
fn compare(host: &FakeHost, guide: &Guide, given: &Given, dice: &[u16]) {
    let facts = probe(host);
    let mut begun = Interview::new(guide.clone(), facts.clone(), given.clone());
    begun.drop_pointless();
    let mut model = begun.clone();
    let Walk { mut lines, put } = walk(&mut model, &mut Dice(dice.iter().cycle()));
    let complete = model.gaps().is_empty();
    let save = if complete { ["4", SAVED] } else { ["3", SAVED] };
    lines.extend(save.map(str::to_owned));

    let mut script = Script { lines, screen: String::new() };
    let mut voice = Voice::new(&mut script, Look { width: 100, ..Look::PLAIN }, 24);
    let mut dialogue = Dialogue::new(host, &mut voice, begun, Means { start: true, ..Means::default() });
    let ended = dialogue.run();
    let interview = dialogue.interview;
    let asked: Vec<&str> = put.iter().map(|path| guide_question(guide, path).ask.as_str()).collect();
    let all: Vec<&str> = guide.stages.iter().flat_map(|stage| &stage.questions).map(|q| q.ask.as_str()).collect();
    let seen: Vec<&str> = script.screen.lines().filter(|line| all.contains(line)).collect();
    assert_eq!(seen, asked, "{}", script.screen);
    assert_eq!(interview.given().values, model.given().values);
    assert_eq!(interview.resolved().values, model.resolved().values);
    if !complete {
        return;
    }
    assert_eq!(ended, Ok(Decision::Saved(SAVED.into())), "{}", script.screen);
    let saved = host.text(SAVED).unwrap();
    assert!(!saved.contains("a-long-enough-secret"), "a typed secret was written down:\n{saved}");
    assert!(!script.screen.contains("a-long-enough-secret"), "a typed secret was shown");
    let file = read("saved.yaml", saved.as_bytes(), guide, Literals::Refused).unwrap();
    let replayed = resolve_file(guide, &facts, &file, &Given::default()).unwrap();
    let plan = |resolved| build(guide, &facts, resolved).unwrap().hash();
    assert_eq!(plan(&replayed), plan(interview.resolved()), "{saved}");
}

fn guide_question<'g>(guide: &'g Guide, path: &str) -> &'g Question {
    let (stage, question) = path.split_once('.').unwrap();
    let stage = guide.stages.iter().find(|candidate| candidate.id == stage).unwrap();
    stage.questions.iter().find(|candidate| candidate.id == question).unwrap()
}

/// A host where the secrets that the walks refer to can be had; they are Base64, too.
fn host() -> FakeHost {
    let host = FakeHost::debian("bookworm");
    host.put_file("/root/secret", "fromthefile1fromthefile1fromthefile1from\n", 0o600);
    // What the examples name.
    for bytes in assets::examples().values() {
        let text = String::from_utf8_lossy(bytes).into_owned();
        for path in text.split("{file: ").skip(1).filter_map(|rest| rest.split('}').next()) {
            host.put_file(path, "fromthefile1\n", 0o600);
        }
    }
    host.put_file("/root/saltant-workers/token", "0123456789012345678901234567890123456789\n", 0o600);
    host.set_env("SECRET", "fromtheenvironment12fromtheenvironment12");
    host
}

/// Few random walks come to it.
#[test]
fn a_map_that_needs_an_entry_is_asked_as_the_interview_tells() {
    let guide = &guides()["webapp"];
    let answers = b"version: 1\nguide: webapp\napplication: {source: push}\n";
    let given = read("push.yaml", answers, guide, Literals::Refused).unwrap().given;
    for first in 0..4 {
        let host = host();
        host.put_file("/etc/ssh/sshd_config", "Port 22\n", 0o644);
        compare(&host, guide, &given, &[first, 2, 3, 7, 11, 4, 5, 8]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_guide_is_asked_as_the_interview_tells(dice in prop::collection::vec(any::<u16>(), 20..200), systemd: bool) {
        for guide in guides().values() {
            let host = if systemd { host() } else { host().without_systemd() };
            compare(&host, guide, &Given::default(), &dice);
        }
    }

    #[test]
    fn the_answers_of_a_file_or_of_an_earlier_run_are_offered_in_the_same_order(
        dice in prop::collection::vec(any::<u16>(), 20..200),
        example: prop::sample::Index,
        origin in prop::sample::select(vec![Origin::File, Origin::PreviousRun]),
    ) {
        let examples = assets::examples();
        let (name, bytes) = example.get(&examples.iter().collect::<Vec<_>>()).to_owned();
        let guide = &guides()[&file::peek_guide(name, bytes).unwrap()];
        let mut given = read(name, bytes, guide, Literals::Refused).unwrap().given;
        given.values.values_mut().for_each(|(_, from)| *from = origin);
        compare(&host(), guide, &given, &dice);
    }

    #[test]
    fn every_kind_of_question_is_asked_as_the_interview_tells(dice in prop::collection::vec(any::<u16>(), 20..200)) {
        compare(&host(), &tiny(), &Given::default(), &dice);
    }

    #[test]
    fn whatever_is_typed_nothing_starts_but_a_plan_that_was_reviewed(
        lines in prop::collection::vec(prop_oneof![Just(String::new()), "[?<!a-]", "[1-7]", "\\PC{0,12}", Just("back".to_owned())], 0..120),
    ) {
        let host = host();
        let mut script = Script { lines: lines.into(), screen: String::new() };
        let mut voice = Voice::new(&mut script, Look { width: 40, unicode: true, ..Look::PLAIN }, 10);
        let interview = Interview::new(guides()["webapp"].clone(), probe(&host), Given::default());
        host.forget_calls();
        let mut dialogue = Dialogue::new(&host, &mut voice, interview, Means { start: true, back: true, save: None });
        let ended = dialogue.run();
        let gaps = dialogue.interview.gaps();
        let changes = host.calls().iter().filter(|call| call.changes).count();
        match ended {
            Ok(Decision::Start(_)) => {
                prop_assert!(gaps.is_empty());
                prop_assert!(script.screen.contains("In short"));
                prop_assert_eq!(changes, 0);
            }
            Ok(Decision::Back) => prop_assert_eq!(changes, 0),
            Ok(Decision::Saved(_)) | Err(Exit::Done) => prop_assert_eq!(changes, 1),
            Err(exit) => {
                prop_assert_eq!(exit, Exit::Rejected);
                prop_assert_eq!(changes, 0);
                prop_assert!(script.screen.contains("Nothing was changed"), "{}", script.screen);
            }
        }
    }
}
