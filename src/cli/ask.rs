//! `bringup` and `bringup --answers f --ask`: a person answers the questions, sees the plan and says what now.

use std::collections::BTreeMap;
use std::path::Path;

use crate::answers::OnFailure;
use crate::answers::interview::Interview;
use crate::cli::plan_inputs;
use crate::cli::rollback::{RollbackScope, rollback};
use crate::cli::runs::{follow, resume, verify};
use crate::cli::status::look;
use crate::cli::{Inputs, Output, answers, apply, wizard};
use crate::engine::detach;
use crate::engine::health;
use crate::engine::launch::request::Request;
use crate::engine::rollback::Options;
use crate::engine::runs::{self, RunDir, RunStatus};
use crate::error::{Exit, Problem};
use crate::facts::Facts;
use crate::facts::probe::probe;
use crate::guide::load;
use crate::host::Host;
use crate::plan::Plan;
use crate::ui::health::page;
use crate::ui::prompts::modes::Asking;
use crate::ui::prompts::voice::Pick;
use crate::ui::prompts::{self, Decision, Dialogue, Means, Voice};
use crate::ui::{stdio, tty_caps};

/// Asks, and carries out the decision.
pub(super) fn ask(host: &dyn Host, given: &Inputs, save: Option<&Path>, output: Output) -> Exit {
    // Where to save is asked by the wizard itself.
    if save.is_none()
        && !output.plain
        && !output.json
        && let Some(exit) = wizard::ask(host, given)
    {
        return exit;
    }
    if output.json || !tty_caps::interactive(host) {
        return nobody(given, output);
    }
    if let Some(path) = save
        && host.stat(path).ok().flatten().is_some()
    {
        let problem = Problem::new(format!("{} exists already", path.display()), "choose another file for --save");
        return answers::refuse(&[problem], output);
    }
    let facts = probe(host);
    let mut talk = prompts::at_terminal(host, output.plain);
    let mut voice = Voice::new(talk.as_mut(), tty_caps::asking_look(host), tty_caps::rows(host));
    let ended = line_by_line(host, given, save, output, &facts, &mut voice);
    ended.unwrap_or_else(|exit| exit)
}

/// No terminal, or only a program reads it.
fn nobody(given: &Inputs, output: Output) -> Exit {
    let why = match (output.json, given.answers.is_some()) {
        (true, _) => "--json asks no questions: use --answers FILE without --ask.",
        (false, true) => "--ask needs a terminal, but there is none; leave it out to run without questions.",
        (false, false) => "There is no terminal for questions, and no answers file.",
    };
    stdio::error(&format!(
        "error: {why}\n`sudo bringup` on a terminal asks what it needs. Without one, create an answers file \
         with\n`bringup answers init webapp > answers.yaml`, review it, and run\n`sudo bringup --answers \
         answers.yaml`. `bringup --help` shows the rest.\n"
    ));
    Exit::Usage
}

/// Line mode. An error is how the program ends when nothing was decided.
fn line_by_line(
    host: &dyn Host,
    given: &Inputs,
    save: Option<&Path>,
    output: Output,
    facts: &Facts,
    voice: &mut Voice<'_>,
) -> Result<Exit, Exit> {
    let rejected = |problems: Vec<_>| answers::refuse(&problems, output);
    let asking = Asking::begin();
    if let Some(next) = unfinished(host, voice)? {
        drop(asking);
        return Ok(go_on(host, next, output));
    }
    let named = plan_inputs::named_guide(host, given).map_err(rejected)?;
    let mut chosen = None;
    if named.is_none() {
        match home(host, voice)? {
            Some(Wish::Answers(guide)) => chosen = Some(guide),
            Some(Wish::Verify) => {
                drop(asking);
                return Ok(verify(host, output));
            }
            Some(Wish::RollBack(run)) => {
                drop(asking);
                let options = Options { stage: None, drop_data: false };
                return Ok(rollback(host, &RollbackScope { run: Some(run), all: false, yes: false, options }, output));
            }
            Some(Wish::Add) | None => {}
        }
    }
    prompts::welcome(host, voice, facts);
    let means = Means { start: host.euid() == 0, back: named.is_none(), save: save.map(Path::to_owned) };
    // Anyone who tries another guide and comes back finds the answers as they were.
    let mut kept: BTreeMap<String, Interview> = BTreeMap::new();
    loop {
        let guide = match (&named, chosen.take()) {
            (Some(guide), _) => guide.clone(),
            (None, Some(guide)) => load::load(&guide).map_err(rejected)?,
            (None, None) => load::load(&prompts::choose_guide(voice, facts)?).map_err(rejected)?,
        };
        let mut refused = Vec::new();
        let interview = if let Some(interview) = kept.remove(&guide.id) {
            interview
        } else {
            let opening = plan_inputs::opening(host, given, guide, facts.clone()).map_err(rejected)?;
            if let Some(run) = opening.interview.previous_run() {
                voice.blank();
                voice.prose(0, &format!("The answers of run {run} are the defaults."));
            }
            refused = opening.refused;
            opening.interview
        };
        let mut dialogue = Dialogue::new(host, voice, interview, means.clone());
        dialogue.tell_problems("These lines of the answers file were ignored:", &refused);
        match dialogue.run()? {
            Decision::Start(plan) => return started(host, &mut dialogue, asking, *plan, output),
            Decision::Saved(_) => return Ok(Exit::Done),
            Decision::Back => {
                let interview = dialogue.interview;
                kept.insert(interview.guide().id.clone(), interview);
            }
        }
    }
}

/// Carries out the decision; a problem that prevents it leads back to the review.
fn started(
    host: &dyn Host,
    dialogue: &mut Dialogue<'_, '_>,
    asking: Asking,
    mut plan: Plan,
    output: Output,
) -> Result<Exit, Exit> {
    loop {
        let interview = &dialogue.interview;
        let made = Request {
            guide: interview.guide().clone(),
            resolved: interview.resolved().clone(),
            // Someone is here to decide, unless the answers say what to do.
            on_failure: match interview.given().on_failure {
                OnFailure::Pause => OnFailure::Pause,
                OnFailure::Rollback | OnFailure::Ask => OnFailure::Ask,
            },
            plan,
            rotate: std::collections::BTreeSet::new(),
            keeps_secrets: false,
        };
        match made.launch(host) {
            Ok(launched) => {
                drop(asking);
                return Ok(apply::follow(host, &made, launched, output));
            }
            Err(problems) => {
                dialogue.tell_problems("The run was not started, and nothing was changed:", &problems);
                match dialogue.review()? {
                    Decision::Start(again) => plan = *again,
                    Decision::Saved(_) | Decision::Back => return Ok(Exit::Done),
                }
            }
        }
    }
}

/// What to do with the applied application.
#[derive(Clone, Debug)]
enum Wish {
    /// Other answers, to the questions of this guide.
    Answers(String),
    /// The proofs, tried again.
    Verify,
    /// This run rolled back.
    RollBack(String),
    /// One application more.
    Add,
}

/// Shows what is applied on this server, as the wizard's first page does, and asks what to do; none where nothing is
/// applied, or where only root could see it.
fn home(host: &dyn Host, voice: &mut Voice<'_>) -> Result<Option<Wish>, Exit> {
    let Ok(all) = runs::all(host, None) else { return Ok(None) };
    let installed = health::installed(host, &all);
    if host.euid() != 0 || installed.is_empty() {
        return Ok(None);
    }
    voice.heading("Applications");
    voice.blank();
    voice.line("Looking at this server ...");
    let found = look(host, &all, &installed);
    voice.blank();
    for line in page(voice.look, &installed, &found, false).lines() {
        voice.line(line);
    }
    let mut wishes: Vec<(String, Wish)> = Vec::new();
    for it in &installed {
        wishes.push((format!("change the answers of {}", it.name()), Wish::Answers(it.application.guide.clone())));
    }
    wishes.push(("verify: try the proofs again".to_owned(), Wish::Verify));
    for it in &installed {
        wishes.push((format!("roll back the last run of {}", it.name()), Wish::RollBack(it.run.clone())));
    }
    wishes.push(("add another application".to_owned(), Wish::Add));
    let mut items: Vec<String> = wishes.iter().map(|(text, _)| text.clone()).collect();
    items.push("leave".to_owned());
    voice.blank();
    voice.line("What now?");
    match voice.choose(&items, None)? {
        Pick::Item(at) if at < wishes.len() => Ok(Some(wishes[at].1.clone())),
        _ => Err(Exit::Rejected),
    }
}

/// What to do with a run that works, or was interrupted.
#[derive(Clone, Debug)]
enum Unfinished {
    Follow(RunDir),
    Resume,
    Rollback,
}

/// A run that works or was interrupted comes before any new one. Only root can see that.
fn unfinished(host: &dyn Host, voice: &mut Voice<'_>) -> Result<Option<Unfinished>, Exit> {
    if host.euid() != 0 {
        return Ok(None);
    }
    let Ok(all) = runs::all(host, detach::running(host).as_deref()) else { return Ok(None) };
    let found = all
        .iter()
        .find(|run| matches!(run.state, RunStatus::Running | RunStatus::Unfinished | RunStatus::RollbackUnfinished));
    let Some(run) = found else { return Ok(None) };
    let (said, offered): (_, &[_]) = match run.state {
        RunStatus::Running => ("is in progress", &[("follow it", Unfinished::Follow(run.dir.clone()))]),
        RunStatus::RollbackUnfinished => {
            ("was interrupted during its rollback", &[("continue the rollback", Unfinished::Rollback)])
        }
        _ => ("was interrupted", &[("resume it", Unfinished::Resume), ("roll it back", Unfinished::Rollback)]),
    };
    voice.blank();
    voice.prose(0, &format!("Run {} {said}.", run.dir.id));
    let mut items: Vec<String> = offered.iter().map(|(text, _)| (*text).to_owned()).collect();
    items.push("leave".to_owned());
    match voice.choose(&items, None)? {
        Pick::Item(at) if at < offered.len() => Ok(Some(offered[at].1.clone())),
        _ => Err(Exit::Rejected),
    }
}

fn go_on(host: &dyn Host, next: Unfinished, output: Output) -> Exit {
    match next {
        Unfinished::Follow(dir) => follow(host, &dir, output),
        Unfinished::Resume => resume(host, true, None, output),
        Unfinished::Rollback => {
            let options = Options { stage: None, drop_data: false };
            rollback(host, &RollbackScope { run: None, all: false, yes: true, options }, output)
        }
    }
}
