//! Commands of the run's page and their messages: starting, following, asking to stop, reading logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::answers::interview::Interview;
use crate::answers::resolve::Literals;
use crate::answers::{OnFailure, Resolved, file};
use crate::engine::decision::{self, Decision};
use crate::engine::event::{Event, EventKind};
use crate::engine::health;
use crate::engine::launch;
use crate::engine::launch::request::{Launched, Request};
use crate::engine::rollback::{self, Options};
use crate::engine::runs::{self, RunDir};
use crate::engine::secret_store;
use crate::engine::{data, detach};
use crate::error::{Failure, Outcome, Problem};
use crate::facts::probe::probe;
use crate::facts::{Application, Facts};
use crate::guide::{Guide, load};
use crate::host::{Host, Stamp};
use crate::plan::build::build;
use crate::plan::{OutputLine, Plan};
use crate::secret::Secret;
use crate::ui::Renderer;
use crate::ui::estimate::Expected;
use crate::ui::follow::{Asked, Followed, follow};

/// Bytes shown from the end of a log: more than anybody reads, and quickly sent.
const LOG: u64 = 1 << 20;
/// Looks at the events between two reports: at most ten reports a second.
const LOOKS: u32 = 2;

/// Work that concerns the run.
#[derive(Clone, Debug)]
pub enum RunCmd {
    /// Check everything once more, and start it.
    Launch(Box<Launch>),
    /// Tell what it does until it ends, or until `leave`.
    Follow {
        /// The run.
        run: String,
        /// Nobody wants to know any more.
        leave: Arc<AtomicBool>,
    },
    /// Tell it what was decided about its question of this number.
    Decide {
        /// The run.
        run: String,
        /// The question.
        number: usize,
        /// What was decided.
        decision: Decision,
    },
    /// Continue it with other answers.
    Replan {
        /// The run.
        run: String,
        /// The question.
        number: usize,
        /// The answers.
        with: Box<Launch>,
    },
    /// Read its answers, to change one.
    Reopen {
        /// The run.
        run: String,
    },
    /// Ask it to roll back everything.
    Abort {
        /// The run.
        run: String,
    },
    /// Start its process again, forward or back.
    Again {
        /// The run.
        run: String,
        /// Take it back.
        back: bool,
    },
    /// Read a step's log.
    Log {
        /// The run.
        run: String,
        /// The step; empty for the process itself.
        step: String,
    },
    /// Read a secret that was kept.
    Secret {
        /// Whose it is.
        of: Application,
        /// Its name.
        name: String,
    },
}

/// What a run is started with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The guide.
    pub guide: Guide,
    /// The server.
    pub facts: Facts,
    /// Every answer.
    pub resolved: Resolved,
}

/// A message about the run.
#[derive(Debug)]
pub enum RunMsg {
    /// It was not started.
    Refused(Vec<Problem>),
    /// There is nothing to change.
    NothingToDo {
        /// The plan in place.
        plan: Box<Plan>,
        /// Whether the proofs had succeeded.
        proven: bool,
    },
    /// Its process works.
    Started(String),
    /// What it works on, and how long that is likely to take.
    Plan(Box<Plan>, Expected),
    /// What its guide shows at the end, as it came to be.
    Outputs(Vec<OutputLine>),
    /// What happened.
    Events(Vec<Event>),
    /// Following has ended.
    Followed(Followed),
    /// The time.
    Time(Stamp),
    /// Something asked for could not be done.
    Trouble(Failure),
    /// A step's log.
    Log {
        /// What it is the log of.
        title: String,
        /// Its end, or all of it.
        text: String,
    },
    /// The run's questions with its answers.
    Reopened(Box<Interview>),
    /// A secret, by name.
    Secret(String, Secret),
}

impl RunCmd {
    /// Does the work.
    pub fn work(self, host: &dyn Host, tell: &(dyn Fn(RunMsg) + Sync)) {
        match self {
            Self::Launch(launch) => tell(match start(host, *launch) {
                Ok(msg) => msg,
                Err(problems) => RunMsg::Refused(problems),
            }),
            Self::Follow { run, leave } => run_view(host, &RunDir::of(&run), &leave, tell),
            Self::Decide { run, number, decision } => {
                trouble(decision::send(host, &RunDir::of(&run), number, &decision), tell);
            }
            Self::Replan { run, number, with } => trouble(replan(host, &RunDir::of(&run), number, &with), tell),
            Self::Reopen { run } => match reopen(host, &RunDir::of(&run)) {
                Ok(interview) => tell(RunMsg::Reopened(Box::new(interview))),
                Err(failure) => tell(RunMsg::Trouble(failure)),
            },
            Self::Abort { run } => trouble(detach::ask_to_stop(host, &RunDir::of(&run)), tell),
            Self::Again { run, back } => match again(host, &RunDir::of(&run), back) {
                Ok(()) => tell(RunMsg::Started(run)),
                Err(failure) => tell(RunMsg::Trouble(failure)),
            },
            Self::Log { run, step } => match log(host, &RunDir::of(&run), &step) {
                Ok(text) => tell(RunMsg::Log { title: step, text }),
                Err(failure) => tell(RunMsg::Trouble(failure)),
            },
            Self::Secret { of, name } => {
                if let Some(secret) = secret_store::load(host, &of).get(&name) {
                    tell(RunMsg::Secret(name, secret.clone()));
                } else {
                    let file = secret_store::in_use(host, &of);
                    let failure = Failure::new(format!("show {name}"), format!("it is not in {}", file.display()));
                    tell(RunMsg::Trouble(failure));
                }
            }
        }
    }
}

fn trouble(outcome: Outcome<()>, tell: &(dyn Fn(RunMsg) + Sync)) {
    if let Err(failure) = outcome {
        tell(RunMsg::Trouble(failure));
    }
}

fn start(host: &dyn Host, launch: Launch) -> Result<RunMsg, Vec<Problem>> {
    let mut request = Request::new(launch.guide, &launch.facts, launch.resolved, OnFailure::Ask)?;
    request.note_kept_secrets(host);
    Ok(match request.launch(host)? {
        Launched::NothingToDo { proven } => RunMsg::NothingToDo { plan: Box::new(request.plan), proven },
        Launched::Started(dir) => RunMsg::Started(dir.id),
    })
}

/// Makes the plan of other answers and hands it to the run that waits.
fn replan(host: &dyn Host, dir: &RunDir, number: usize, with: &Launch) -> Outcome<()> {
    build(&with.guide, &with.facts, &with.resolved)
        .and_then(|plan| launch::replan(host, dir, number, &with.guide, &with.resolved, &plan))
        .map_err(|problems| told("continue with these answers", &problems))
}

fn told(what: &str, problems: &[Problem]) -> Failure {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::new(what, words.join("; "))
}

/// The questions of a run's guide with the run's answers.
fn reopen(host: &dyn Host, dir: &RunDir) -> Outcome<Interview> {
    let what = "read the answers of the run";
    let told = |problems: Vec<Problem>| told(what, &problems);
    let path = dir.file("answers.yaml");
    let bytes = host.read(&path).map_err(|e| Failure::new(what, e))?;
    let name = path.display().to_string();
    let guide = match dir.settings(host)?.guide {
        Some(own) => load::load_dir(host, &own),
        None => file::peek_guide(&name, &bytes).and_then(|id| load::load(&id)),
    }
    .map_err(told)?;
    let answers = file::read_leniently(&name, &bytes, &guide, Literals::Refused).map_err(told)?;
    Ok(Interview::new(guide, probe(host), answers.given))
}

/// Hands events on in batches.
struct Batches<'a> {
    host: &'a dyn Host,
    dir: &'a RunDir,
    /// The run has begun once: when it begins again, it is on another plan.
    begun: bool,
    waiting: Vec<Event>,
    looks: u32,
    tell: &'a (dyn Fn(RunMsg) + Sync),
}

impl Batches<'_> {
    fn tell_plan(&self) {
        if let Ok(plan) = self.dir.plan(self.host) {
            (self.tell)(RunMsg::Plan(Box::new(plan), Expected::read(self.host, self.dir)));
        }
    }

    fn hand_on(&mut self) {
        self.looks = 0;
        if !self.waiting.is_empty() {
            (self.tell)(RunMsg::Events(std::mem::take(&mut self.waiting)));
        }
    }
}

impl Renderer for Batches<'_> {
    fn event(&mut self, event: &Event) {
        if matches!(event.what, EventKind::RunStarted { .. }) && std::mem::replace(&mut self.begun, true) {
            self.hand_on();
            self.tell_plan();
        }
        self.waiting.push(event.clone());
    }

    fn looked(&mut self) {
        self.looks += 1;
        if self.looks >= LOOKS {
            self.hand_on();
        }
    }

    fn end(&mut self, _: Followed) {
        self.hand_on();
    }
}

fn run_view(host: &dyn Host, dir: &RunDir, leave: &AtomicBool, tell: &(dyn Fn(RunMsg) + Sync)) {
    let mut batches = Batches { host, dir, begun: false, waiting: Vec::new(), looks: LOOKS, tell };
    batches.tell_plan();
    let alive = || detach::running(host).as_deref() == Some(dir.id.as_str());
    let left = || leave.load(Ordering::Relaxed);
    let followed = follow(host, &dir.events(host), &mut batches, &alive, &left, &mut |_| Asked::GoOn);
    if matches!(followed, Followed::Ended(_)) {
        if let Ok(plan) = dir.plan(host) {
            tell(RunMsg::Outputs(health::outputs(host, &plan)));
        }
        // Its last lines of bookkeeping: the next command must not find it locked.
        for _ in 0..250 {
            if left() || !alive() {
                break;
            }
            host.sleep(Duration::from_millis(20));
        }
    }
    tell(RunMsg::Followed(followed));
}

/// Starts the run's process again. Data that changed since is not dropped from here.
fn again(host: &dyn Host, dir: &RunDir, back: bool) -> Outcome<()> {
    if back {
        let all = runs::all(host, None)?;
        let ahead = rollback::ahead(host, &all, std::slice::from_ref(&dir.id), &Options::default())?;
        let at_risk = data::at_risk(host, &ahead, &Options::default())?;
        if !at_risk.is_empty() {
            let why = format!("this data changed since the run and would be dropped: {}", at_risk.join(", "));
            return Err(Failure::new("roll back the run", why)
                .hint("`bringup rollback --drop-data` saves it to a file first, then drops it"));
        }
    }
    detach::keep_program(host, dir)?;
    let arguments = if back { vec!["--rollback".to_owned()] } else { Vec::new() };
    detach::start(host, dir, &arguments)
}

/// The end of a step's log, or of the newest one there is.
fn log(host: &dyn Host, dir: &RunDir, step: &str) -> Outcome<String> {
    let path = dir.log(if step.is_empty() { "process" } else { step });
    let what = || format!("show {}", path.display());
    let Some(stat) = host.stat(&path).map_err(|e| Failure::new(what(), e))? else {
        return Err(Failure::new(what(), "this step ran no command, so it has no log"));
    };
    let bytes = host.read_from(&path, stat.size.saturating_sub(LOG)).map_err(|e| Failure::new(what(), e))?;
    let text = String::from_utf8_lossy(&bytes);
    if stat.size <= LOG {
        return Ok(text.into_owned());
    }
    let whole = text.split_once('\n').map_or(&*text, |(_, rest)| rest);
    Ok(format!("(the last megabyte of {})\n{whole}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;
    use crate::engine::runs::Settings;
    use crate::host::fake::FakeHost;

    #[test]
    fn the_answers_of_a_run_are_opened_with_the_guide_it_was_started_from() {
        let host = FakeHost::new();
        host.put_file("/root/own/guide.yaml", "version: 1\nguide: t\ntitle: T\nsummary: S\nstages: [a.yaml]\n", 0o644);
        let stage = "id: a\ntitle: A\nwhy: because\nquestions:\n  - {id: name, ask: n?, type: text, help: h}\n\
                     actions:\n  - {id: x, reason: b, file: {path: /x, content: '{{ a.name }}'}}\n";
        host.put_file("/root/own/a.yaml", stage, 0o644);
        let guide = load::load_dir(&host, Path::new("/root/own")).unwrap();
        let (dir, _) = RunDir::create(&host, &Plan::new("t", "T")).unwrap();
        dir.write(&host, "answers.yaml", b"version: 1\nguide: t\na: {name: shop}\n").unwrap();
        dir.keep_settings(&host, &Settings { on_failure: OnFailure::Ask, guide: guide.dir }).unwrap();
        let interview = reopen(&host, &dir).unwrap();
        assert_eq!(interview.text("a.name"), "shop");

        dir.keep_settings(&host, &Settings::default()).unwrap();
        assert!(reopen(&host, &dir).is_err(), "no shipped guide has this name");
    }
}
