//! Every guide that ships loads without a problem, and every example answers file plans.

use bringup::answers::file::peek_guide;
use bringup::answers::resolve::requirements;
use bringup::assets;
use bringup::error::Problem;
use bringup::guide::QuestionKind;
use bringup::guide::load::{self, Offered};

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
        assert!(guide.id != "webapp" || fit == 6, "{name} fits {fit} hosts");
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
                let begins = ["How large", "After how many", "How many seconds", "How many MiB", "From which size"];
                let is_limit =
                    begins.iter().any(|begin| question.ask.starts_with(begin)) || question.ask.contains("kept");
                if !is_limit || of_the_run.contains(&name.as_str()) {
                    continue;
                }
                limits += 1;
                let proven = proofs.iter().any(|proof| proof.contains(&name));
                let said = question.help.contains("not tried by a proof") || stage.why.contains("No proof tries them");
                assert!(proven != said, "{id}, {name}: proven {proven}, said not to be {said}");
            }
        }
    }
    assert!(limits > 12, "only {limits} limits were found");
}
