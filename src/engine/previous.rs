//! The answers of earlier runs, as defaults of the next.

use serde_json::Value;

use crate::answers::Origin;
use crate::answers::file;
use crate::answers::interview::Earlier;
use crate::answers::resolve::Literals;
use crate::engine::detach;
use crate::engine::runs::{self, Run};
use crate::guide::Guide;
use crate::host::Host;

/// The answers of this guide's runs, once for each application: of its newest run in place, or else of its newest run.
/// Applications in place come first, newest first. None when there is none, or when it cannot be read: defaults will
/// do.
pub fn answers(host: &dyn Host, guide: &Guide) -> Vec<Earlier> {
    let all = runs::all(host, detach::running(host).as_deref()).unwrap_or_default();
    let of_guide = |run: &&Run| run.journal.header.guide == guide.id;
    let mut known: Vec<Earlier> = Vec::new();
    for run in runs::standing(&all).rev().chain(all.iter().rev()).filter(of_guide) {
        let Some(earlier) = of(host, guide, run) else { continue };
        if !known.iter().any(|other| other.application() == earlier.application()) {
            known.push(earlier);
        }
    }
    known
}

/// A run's answers.
fn of(host: &dyn Host, guide: &Guide, run: &Run) -> Option<Earlier> {
    let path = run.dir.file("answers.yaml");
    let bytes = host.read(&path).ok()?;
    // Answers that the present guide has no question for, or refuses, are left out.
    let file = file::read_leniently(&path.display().to_string(), &bytes, guide, Literals::Refused).ok()?;
    let mut given = file.given;
    // Whose things may be taken over is asked anew for every run.
    given.take_over.clear();
    given.values.retain(|_, (value, _)| can_be_had(host, value));
    for (_, origin) in given.values.values_mut() {
        *origin = Origin::PreviousRun;
    }
    Some(Earlier { run: run.dir.id.clone(), given })
}

/// Whether a secret's variable is still set; other sources always exist.
fn can_be_had(host: &dyn Host, value: &Value) -> bool {
    let variable = value.as_object().and_then(|source| source.get("env")).and_then(Value::as_str);
    variable.is_none_or(|name| host.env(name).is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::engine::journal::Record;
    use crate::engine::runs::RunDir;
    use crate::guide::load;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    fn ran(host: &FakeHost, guide: &str, answers: &str, taken_back: bool) -> String {
        let plan = Plan::new(guide, "");
        let (dir, mut journal) = RunDir::create(host, &plan).unwrap();
        dir.write(host, "answers.yaml", answers.as_bytes()).unwrap();
        if taken_back {
            journal.write(host, Record::RolledBack { stage: None, kept: 0, waits: Vec::new() }).unwrap();
        }
        dir.id
    }

    const HEAD: &str = "version: 1\nguide: webapp\n";

    #[test]
    fn a_run_that_stands_is_preferred_to_a_later_one_that_was_taken_back() {
        let host = FakeHost::new();
        let guide = load::load("webapp").unwrap();
        assert!(answers(&host, &guide).is_empty());
        let stands = ran(&host, "webapp", &format!("{HEAD}application: {{name: first}}\n"), false);
        ran(&host, "webapp", &format!("{HEAD}application: {{name: second}}\n"), true);
        ran(&host, "other", "version: 1\nguide: other\n", false);
        let previous = answers(&host, &guide);
        assert_eq!(previous[0].run, stands);
        assert_eq!(previous[0].given.values["application.name"], (json!("first"), Origin::PreviousRun));
        assert_eq!(previous.iter().map(Earlier::application).collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn each_application_has_the_answers_of_its_own_newest_run() {
        let host = FakeHost::new();
        let guide = load::load("webapp").unwrap();
        let run = |name: &str, port: u16| {
            ran(&host, "webapp", &format!("{HEAD}application: {{name: {name}, port: {port}}}\n"), false)
        };
        run("shop", 8001);
        let shop = run("shop", 8002);
        let blog = run("blog", 8003);
        let previous = answers(&host, &guide);
        assert_eq!(previous.iter().map(|earlier| earlier.run.as_str()).collect::<Vec<_>>(), [blog, shop]);
        assert_eq!(previous[1].given.values["application.port"].0, json!(8002));
    }

    #[test]
    fn what_the_guide_does_not_know_and_variables_that_are_gone_are_left_out() {
        let host = FakeHost::new();
        let guide = load::load("webapp").unwrap();
        let text = format!(
            "{HEAD}application: {{name: shop, colour: red}}\n\
             database: {{engine: postgresql, password: {{env: GONE}}}}\nqueue: {{password: {{env: THERE}}}}\n"
        );
        ran(&host, "webapp", &text, false);
        host.set_env("THERE", "x");
        let given = answers(&host, &guide).remove(0).given;
        let paths: Vec<&str> = given.values.keys().map(String::as_str).collect();
        assert_eq!(paths, ["application.name", "database.engine", "queue.password"]);
        assert_eq!(given.values["queue.password"].0, json!({"env": "THERE"}));
    }

    #[test]
    fn whoever_may_not_read_the_runs_begins_with_defaults() {
        let host = FakeHost::new();
        ran(&host, "webapp", HEAD, false);
        assert!(answers(&host.as_user(1000), &load::load("webapp").unwrap()).is_empty());
    }
}
