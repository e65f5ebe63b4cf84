//! Every guide that ships loads without a problem, and every example answers file plans.

use std::collections::BTreeMap;

use bringup::answers::file::peek_guide;
use bringup::answers::resolve::requirements;
use bringup::assets;
use bringup::error::Problem;
use bringup::guide::QuestionKind;
use bringup::guide::lint::form::{self, Form};
use bringup::guide::load::{self, Offered};
use bringup::ui::fit::{Fit, fits};
use bringup::yaml;
use serde_json::Value;

use crate::support::{facts, planned};

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_guide_loads_and_lints_clean() {
    let guides = load::list();
    assert!(guides.iter().any(|guide| guide.id == "webapp"), "{guides:?}");
    for Offered { id, title, .. } in guides {
        assert_ne!(id, title, "the guide has no title of its own");
        if let Err(problems) = load::load(&id) {
            panic!("{id}:\n{}", told(&problems));
        }
    }
}

/// What the list of products says of each release, before anybody goes through the pages.
#[test]
fn what_a_shipped_guide_needs_of_a_release_is_known_before_its_first_question() {
    let on = |codename: &str| fits(&facts(codename, "systemd"));
    let (bookworm, bullseye) = (on("bookworm"), on("bullseye"));
    let python =
        |fits: &BTreeMap<String, Fit>| fits["flectra"].needs.iter().any(|need| need.contains("Python 3.7 to 3.9"));
    assert!(python(&bookworm) && !python(&bullseye), "{bookworm:?}");
    assert!(bookworm["weblab-deusto"].needs[0].contains("no Python 2.7"), "{bookworm:?}");
    assert!(bullseye["weblab-deusto"].is_whole() && bookworm["webapp"].is_whole());
    assert!(!on("sid")["flectra"].unmet.is_empty());
}

#[test]
fn every_example_answers_file_plans_on_every_host() {
    let examples = assets::examples();
    assert!(examples.contains_key("quickstart.yaml"), "{:?}", examples.keys());
    for (name, bytes) in &examples {
        let guide = load::load(&peek_guide(name, bytes).unwrap()).unwrap();
        let mut fit = 0;
        for codename in ["bullseye", "bookworm", "trixie", "jammy", "noble"] {
            for init in ["systemd", "tini"] {
                let host = facts(codename, init);
                // Its guide refuses other hosts, or its first comment names the one kind of host that it is for.
                let head = String::from_utf8_lossy(bytes);
                let head = head.lines().next().unwrap_or_default();
                let elsewhere = head.contains("on Debian 11 (bullseye)") && codename != "bullseye"
                    || head.contains("on Debian 13") && codename != "trixie"
                    || head.contains("on Debian 12 or later") && ["bullseye", "jammy"].contains(&codename)
                    || head.contains("under systemd") && init != "systemd";
                if elsewhere || !requirements(&guide, &host).is_empty() {
                    continue;
                }
                let plan = planned(&host, name, bytes);
                let plan =
                    plan.unwrap_or_else(|problems| panic!("{name} on {codename} with {init}:\n{}", told(&problems)));
                assert!(plan.actions.len() > 10 && plan.proofs.len() > 5, "{name}");
                fit += 1;
            }
        }
        assert!(fit > 0, "{name} fits no host");
        let expected =
            if String::from_utf8_lossy(bytes).lines().next().is_some_and(|head| head.contains("under systemd")) {
                3
            } else {
                6
            };
        assert!(guide.id != "webapp" || fit == expected, "{name} fits {fit} hosts");
    }
}

#[test]
fn the_quickstart_needs_no_answer_even_where_the_host_has_no_proper_name() {
    let quickstart = &assets::examples()["quickstart.yaml"];
    for fqdn in ["", "localhost", "Web_1", "10.0.0.7", "web.example.org", "ip-10-0-0-7.ec2.internal"] {
        let mut facts = facts("bookworm", "systemd");
        fqdn.clone_into(&mut facts.fqdn);
        let plan = planned(&facts, "quickstart.yaml", quickstart);
        assert!(plan.is_ok(), "{fqdn}: {}", told(&plan.unwrap_err()));
    }
}

#[test]
fn texts_fit_the_smallest_terminal() {
    for Offered { id, .. } in load::list() {
        let guide = load::load(&id).unwrap();
        for stage in &guide.stages {
            assert!(stage.why.lines().count() <= 18, "{}.why has more lines than a screen", stage.id);
            for question in &stage.questions {
                assert!(question.ask.chars().count() <= 76, "{}.{}: {}", stage.id, question.id, question.ask);
            }
        }
    }
}

/// The most expressions that may take a second look: connectives, conditionals and filters together, one conditional in
/// another, or more than two of them all. What a guide wants beyond that is a function, a filter, a type of question or a
/// table of releases that the engine lacks.
const COMPOUND: usize = 8;

/// Counts what stands in the files themselves, so that a stage that guides share counts once.
#[test]
fn guides_are_data() {
    let mut expressions = Vec::new();
    let mut statements = Vec::new();
    for (name, bytes) in assets::screens().iter().filter(|(name, _)| name.rsplit('.').next() == Some("yaml")) {
        let file: Value = yaml::from_slice(name, bytes).unwrap();
        gather(name, "", &file, &mut expressions, &mut statements);
    }
    assert!(expressions.len() > 1000, "only {} expressions were found", expressions.len());
    assert_eq!(statements, [""; 0], "a text that is a program");
    let compound: Vec<_> = expressions.iter().filter(|(_, text)| Form::of(text).is_compound()).collect();
    assert!(
        compound.len() <= COMPOUND,
        "{} compound expressions of {}: {compound:#?}",
        compound.len(),
        expressions.len()
    );
}

/// The expressions below `value`, each with its place: the fields that are one, locals, and what stands between `{{`
/// and `}}` in every other text; and the statements (`{% … %}`).
fn gather(
    at: &str,
    section: &str,
    value: &Value,
    expressions: &mut Vec<(String, String)>,
    statements: &mut Vec<String>,
) {
    match value {
        Value::Object(entries) => {
            for (key, entry) in entries {
                let is_expression = ["when", "that", "for_each", "beside", "allow_taken"].contains(&key.as_str())
                    || (section == "locals" && key == "value");
                let at = format!("{at}.{key}");
                match entry.as_str().filter(|_| is_expression) {
                    Some(text) => expressions.push((at, text.to_owned())),
                    None => gather(&at, key, entry, expressions, statements),
                }
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            gather(&format!("{at}[{index}]"), section, item, expressions, statements);
        }),
        Value::String(text) => {
            let (found, programs) = form::parts(text);
            expressions.extend(found.into_iter().map(|text| (at.to_owned(), text.to_owned())));
            statements.extend(programs.into_iter().map(|statement| format!("{at}: {statement}")));
        }
        _ => {}
    }
}

/// A limit that a screen asks for is tried by a proof, or its words say that none does.
#[test]
fn each_limit_that_is_promised_is_proven_or_said_not_to_be() {
    // The step that sets these waits for them itself; the last is how long the authority waits, and limits nobody.
    let of_the_run = ["firewall.revert_after", "ssh.revert_after", "tls.propagation"];
    let mut limits = 0;
    for Offered { id, .. } in load::list() {
        let guide = load::load(&id).unwrap();
        let proofs: Vec<String> =
            guide.stages.iter().flat_map(|stage| &stage.proofs).map(|proof| format!("{:?}", proof.body)).collect();
        for stage in &guide.stages {
            for question in stage.questions.iter().filter(|question| matches!(question.kind, QuestionKind::Integer)) {
                let name = format!("{}.{}", stage.id, question.id);
                let marks = ["How large", "fter how many", "ow many seconds", "ow many MiB"];
                let is_limit = marks.iter().any(|mark| question.ask.contains(mark)) || question.ask.contains("kept");
                if !is_limit || of_the_run.contains(&name.as_str()) {
                    continue;
                }
                limits += 1;
                let proven = proofs.iter().any(|proof| proof.contains(&name));
                let said =
                    question.help.contains("No proof tests this limit") || stage.why.contains("No proof tests them");
                assert!(proven != said, "{id}, {name}: proven {proven}, said not to be {said}");
            }
        }
    }
    assert!(limits > 12, "only {limits} limits were found");
}
