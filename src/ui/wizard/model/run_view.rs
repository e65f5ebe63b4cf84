//! The run on the model: what is known of it, what was asked of it, and how its page is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::decision::{Choice, Waiting};
use crate::engine::event::EventKind;
use crate::error::{Exit, Failure, Problem};
use crate::host::Stamp;
use crate::plan::Plan;
use crate::secret::Secret;
use crate::ui::follow::Followed;
use crate::ui::outputs;
use crate::ui::run_state::{BACK, PROOFS, Phase, RunState, StepState};
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::Act;
use crate::ui::wizard::model::Model;
use crate::ui::wizard::page::Attend;
use crate::ui::wizard::pane::Pane;
use crate::ui::wizard::run_cmd::{Launch, RunCmd, RunMsg};
use crate::ui::wizard::view::Focus;

/// What the run's page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The last checks before the first change.
    Checking,
    /// They came out badly; nothing was changed.
    Refused,
    /// There is nothing to change.
    NothingToDo,
    /// The run, step by step, forward or back.
    Live,
    /// It waits for a decision after a failure.
    Waiting,
    /// The run's process ended early.
    Lost,
    /// The end.
    Result,
}

/// A run that is followed.
#[derive(Debug, Default)]
pub struct RunView {
    /// Its id, once it has one.
    pub run: Option<String>,
    /// Its plan, once it was read.
    pub plan: Option<Box<Plan>>,
    /// The state from its events.
    pub running: RunState,
    /// What keeps it from being started.
    pub refused: Vec<Problem>,
    /// Nothing is to be done; whether the proofs had succeeded.
    pub idle: Option<bool>,
    /// Its process ended early.
    pub lost: bool,
    /// The time, updated once a second while a step works.
    pub now: Option<Stamp>,
    /// Stages that were opened (true) or closed by hand.
    pub folds: BTreeMap<String, bool>,
    /// The output.
    pub pane: Pane,
    /// A request that failed.
    pub trouble: Option<Failure>,
    /// Somebody here asked it to stop.
    pub stopping: bool,
    /// The decision made here, until the run acts on it.
    pub decided: Option<Choice>,
    /// Its answers are being read, to be changed.
    pub changing: bool,
    /// The secret that is shown.
    pub revealed: Option<(String, Secret)>,
    follower: Follower,
}

/// Stops the command that follows the run.
#[derive(Debug, Default)]
struct Follower(Arc<AtomicBool>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl RunView {
    /// A run that is to be followed from its beginning, with the command that does it.
    pub fn of(run: &str) -> (Self, Cmd) {
        let run_view = Self { run: Some(run.to_owned()), ..Self::default() };
        let cmd = run_view.follow(run);
        (run_view, cmd)
    }

    fn follow(&self, run: &str) -> Cmd {
        Cmd::Run(RunCmd::Follow { run: run.to_owned(), leave: Arc::clone(&self.follower.0) })
    }

    /// What its page shows now.
    pub fn face(&self) -> Face {
        if !self.refused.is_empty() {
            Face::Refused
        } else if self.idle.is_some() {
            Face::NothingToDo
        } else if matches!(self.running.phase, Phase::Ended(_)) {
            Face::Result
        } else if self.lost {
            Face::Lost
        } else if self.run.is_none() {
            Face::Checking
        } else if self.waiting().is_some() {
            Face::Waiting
        } else {
            Face::Live
        }
    }

    /// How it ended, when it did.
    pub fn exit(&self) -> Option<Exit> {
        match (&self.running.phase, self.face()) {
            (Phase::Ended(exit), _) => Some(*exit),
            (_, Face::Refused) => Some(Exit::Rejected),
            (_, Face::NothingToDo) => Some(Exit::Done),
            (_, Face::Lost) => Some(Exit::Incomplete),
            _ => None,
        }
    }

    /// What it waits for, when it does.
    pub fn waiting(&self) -> Option<&Waiting> {
        match &self.running.phase {
            Phase::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Whether something is at work, so that a clock makes sense.
    pub fn ticks(&self) -> bool {
        self.face() == Face::Live && self.running.works()
    }

    /// What the page is called.
    pub fn title(&self) -> &'static str {
        match (self.face(), &self.running.phase) {
            (Face::Checking, _) => "Final checks",
            (Face::Refused, _) => "Not started",
            (Face::NothingToDo, _) => "Nothing to do",
            (Face::Lost, _) => "Interrupted",
            (Face::Waiting, _) => "What now?",
            (_, Phase::Back) => "Rolling back",
            (_, Phase::Ended(Exit::Done)) if !self.running.title.is_empty() => "Done",
            (_, Phase::Ended(Exit::Done | Exit::RolledBack)) => "Rolled back",
            (_, Phase::Ended(Exit::ProofFailed)) => "A proof failed",
            (_, Phase::Ended(_)) => "Paused",
            _ => "Running",
        }
    }

    /// The pointer's place while it follows the current step.
    pub fn pointer(&self) -> Option<Focus> {
        if self.face() != Face::Live {
            return None;
        }
        let current = self.running.current()?;
        let open = self.open(&current.stage);
        Some(if open { Focus::Step(current.id.clone()) } else { Focus::Stage(current.stage.clone()) })
    }

    /// Whether a stage shows its steps: as chosen by hand, else the one at work and those that failed.
    pub fn open(&self, stage: &str) -> bool {
        if let Some(open) = self.folds.get(stage) {
            return *open;
        }
        let current = self.running.current().is_some_and(|step| step.stage == stage);
        let failed = |state| state == StepState::Failed;
        current || self.running.steps.iter().any(|step| step.stage == stage && failed(step.state))
    }

    /// Whose output is shown with the pointer there: the step under it, else the one at work.
    pub fn shown(&self, focus: Option<&Focus>) -> String {
        let current = self.running.current();
        let pointed = match focus {
            Some(Focus::Step(id)) => self.running.steps.iter().find(|step| step.id == *id),
            _ => None,
        };
        let followed = pointed.is_none() || pointed.map(|step| &step.id) == current.map(|step| &step.id);
        if self.running.phase == Phase::Back && followed {
            return BACK.to_owned();
        }
        pointed.or(current).map(|step| step.id.clone()).unwrap_or_default()
    }

    /// Scrolls or searches the output, where the act means that.
    pub fn scroll(&mut self, act: Act, focus: Option<&Focus>, rows: usize) -> bool {
        if self.face() != Face::Live {
            return false;
        }
        let shown = self.shown(focus);
        let Self { pane, running, .. } = self;
        match act {
            Act::Enter if pane.search.is_typing() => pane.find(act, &running.output, &shown, rows),
            Act::SearchNext | Act::SearchPrevious => pane.find(act, &running.output, &shown, rows),
            _ => return pane.moves(act, &running.output, &shown, rows),
        }
        true
    }

    /// A stage's name.
    pub fn title_of(&self, stage: &str) -> String {
        if stage == PROOFS {
            return "Proofs".to_owned();
        }
        let known = self.plan.iter().flat_map(|plan| &plan.stages).find(|known| known.id == stage);
        known.map_or_else(|| stage.to_owned(), |known| known.title.clone())
    }

    /// The names of the run's secrets.
    pub fn secrets(&self) -> Vec<&str> {
        self.plan.as_ref().map(|plan| outputs::secrets(plan)).unwrap_or_default()
    }

    /// What is said before a shell gets the terminal.
    pub fn note(&self) -> String {
        let what = self.running.failure().map(|(_, failure, _)| format!("The run waits: {failure}\n"));
        format!("{}This is a shell on this server. `exit` returns to bringup.\n", what.unwrap_or_default())
    }
}

/// Starts a run with the model's answers; a waiting run continues with them.
pub fn start(model: &mut Model) {
    let Some(interview) = &model.interview else { return };
    let launch = Launch {
        guide: interview.guide().clone(),
        facts: interview.facts().clone(),
        resolved: interview.resolved().clone(),
    };
    if let Some(run_view) = &mut model.run_view
        && let (Some(run), Some(number)) = (run_view.run.clone(), run_view.waiting().map(|waiting| waiting.number))
    {
        run_view.decided = Some(Choice::Replan);
        model.cmds.push(Cmd::Run(RunCmd::Replan { run, number, with: Box::new(launch) }));
        return;
    }
    model.run_view = Some(Box::default());
    model.cmds.push(Cmd::Run(RunCmd::Launch(Box::new(launch))));
}

/// Follows a run on this server, or resumes it first.
pub fn attend(model: &mut Model, run: &str, attend: Attend) {
    let (run_view, follow) = RunView::of(run);
    model.run_view = Some(Box::new(run_view));
    model.cmds.push(match attend {
        Attend::Look => follow,
        Attend::Resume => Cmd::Run(RunCmd::Again { run: run.to_owned(), back: false }),
        Attend::RollBack => Cmd::Run(RunCmd::Again { run: run.to_owned(), back: true }),
    });
}

/// Takes news of the run in.
pub fn update(model: &mut Model, msg: RunMsg) {
    let Some(run_view) = &mut model.run_view else { return };
    match msg {
        RunMsg::Refused(problems) => run_view.refused = problems,
        RunMsg::NothingToDo { plan, proven } => {
            run_view.idle = Some(proven);
            run_view.plan = Some(plan);
        }
        RunMsg::Started(run) => {
            run_view.running = RunState::default();
            run_view.folds.clear();
            (run_view.lost, run_view.stopping, run_view.decided, run_view.trouble) = (false, false, None, None);
            let cmd = run_view.follow(&run);
            run_view.run = Some(run);
            model.cmds.push(cmd);
        }
        RunMsg::Plan(plan, expected) => {
            run_view.running.expect(expected);
            run_view.running.describe(&plan);
            run_view.plan = Some(plan);
        }
        RunMsg::Outputs(outputs) => {
            if let Some(plan) = &mut run_view.plan {
                plan.outputs = outputs;
            }
        }
        RunMsg::Events(events) => {
            for event in events {
                // A decision was acted on, made here or elsewhere.
                if matches!(event.what, EventKind::Waiting(_) | EventKind::Decided { .. }) {
                    run_view.decided = None;
                    run_view.trouble = None;
                }
                run_view.running.take_in(&event);
            }
            if let (Some(plan), true) = (&run_view.plan, run_view.running.title.is_empty()) {
                run_view.running.describe(plan);
            }
        }
        RunMsg::Followed(Followed::Died) => run_view.lost = true,
        RunMsg::Time(now) => run_view.now = Some(now),
        RunMsg::Trouble(failure) if run_view.running.phase == Phase::Silent => {
            run_view.refused = vec![Problem::new(failure.to_string(), failure.hint.unwrap_or_default())];
        }
        RunMsg::Trouble(failure) => {
            run_view.trouble = Some(failure);
            (run_view.decided, run_view.stopping, run_view.changing) = (None, false, false);
        }
        RunMsg::Secret(name, secret) => run_view.revealed = Some((name, secret)),
        // The requester shows it; the events report an end.
        RunMsg::Followed(_) | RunMsg::Log { .. } | RunMsg::Reopened(_) => {}
    }
}
