//! A failed run asks for a decision, and waits without a timeout.

use std::time::Duration;

use super::step::PlanStep;
use super::{NextMove, RunContext, Stop, paused, roll_back_run};
use crate::engine::decision::{self, Choice, Decision, Skippable, Waiting};
use crate::engine::event::EventKind;
use crate::engine::journal::{Journal, Record};
use crate::engine::replan;
use crate::engine::rollback::{self, Options};
use crate::engine::runs;
use crate::error::{Exit, Outcome};

/// How often the run polls for a decision.
const POLL: Duration = Duration::from_millis(300);

/// Asks until a decision ends the waiting. `at` is the step that failed, `told` the one that was named as the cause.
pub fn ask(run: &RunContext<'_>, journal: &mut Journal, steps: &[PlanStep<'_>], at: usize, told: &str) -> NextMove {
    let mut asking = Asking::new(steps, at, told);
    loop {
        // Other answers are planned meanwhile, for a host on which this run's packages are its own. Without this record
        // they only find fewer of them.
        let _ = runs::note_standing(run.host, Some(&run.dir.id));
        let question = asking.question(run, journal);
        let heard = wait(run, &question);
        decision::close(run.host, run.dir);
        let decision = match heard {
            Heard::Pause => return NextMove::Exit(paused(run)),
            Heard::Abort => Decision::Rollback,
            Heard::Decision(decision) => decision,
        };
        (run.emit)(EventKind::Decided { choice: decision.choice() });
        let tried = match decision {
            Decision::Retry => return NextMove::From(asking.from),
            Decision::Rollback => return NextMove::Exit(roll_back_run(run, journal)),
            Decision::Pause => return NextMove::Exit(Exit::Incomplete),
            Decision::RollbackStage => asking.roll_back_stage(run, journal),
            Decision::Skip => match asking.skip(run, journal) {
                Ok(()) => return NextMove::From(at),
                Err(failure) => Err(failure),
            },
            Decision::Replan(new) => match replan::adopt(run.host, run.dir, journal, run.plan, &new) {
                Ok(()) => return NextMove::Replanned(Box::new(new.plan)),
                Err(failure) => Err(failure),
            },
        };
        if let Err(failure) = tried {
            let step = "bringup".to_owned();
            (run.emit)(EventKind::Failed { step: step.clone(), failure: failure.clone() });
            // Recorded as any failure; it gives the next question another number.
            let _ = journal.write(run.host, Record::Failed { step, failure });
        }
    }
}

enum Heard {
    Pause,
    Abort,
    Decision(Decision),
}

fn wait(run: &RunContext<'_>, question: &Waiting) -> Heard {
    let mut asked = false;
    loop {
        // The disk may be full: the question is asked as soon as there is room for it.
        if !asked && decision::ask(run.host, run.dir, question).is_ok() {
            asked = true;
            (run.emit)(EventKind::Waiting(question.clone()));
        }
        match (run.stop)() {
            Some(Stop::Pause) => return Heard::Pause,
            Some(Stop::Abort) => return Heard::Abort,
            None => {}
        }
        if let Some(decision) = decision::take(run.host, run.dir, question) {
            return Heard::Decision(decision);
        }
        run.host.sleep(POLL);
    }
}

/// The failure that the question is about.
struct Asking<'a> {
    steps: &'a [PlanStep<'a>],
    told: &'a str,
    /// The step that can be skipped; none where the failure is not a step's.
    step: Option<PlanStep<'a>>,
    /// The stage of the step that was named; empty where the plan has no such step.
    stage: &'a str,
    /// The step that a retry starts with.
    from: usize,
    stage_rolled_back: bool,
}

impl<'a> Asking<'a> {
    fn new(steps: &'a [PlanStep<'a>], at: usize, told: &'a str) -> Self {
        let place = |id: &str| steps.iter().position(|step| step.id() == id);
        let cause = place(told);
        let failed = cause.and_then(|cause| steps.get(cause));
        let taken_back = failed.into_iter().flat_map(|step| step.may_revert()).filter_map(place);
        Self {
            steps,
            told,
            step: cause.and_then(|_| steps.get(at)).copied(),
            stage: failed.map_or("", |step| step.stage()),
            from: taken_back.chain(cause).min().map_or(at, |first| first.min(at)),
            stage_rolled_back: false,
        }
    }

    fn question(&self, run: &RunContext<'_>, journal: &Journal) -> Waiting {
        let skip = self.step.filter(|_| !self.stage_rolled_back).and_then(|step| {
            let (step, reason) = (step.id().to_owned(), step.skip_reason()?.to_owned());
            Some(Skippable { step, reason })
        });
        let in_stage = journal.entries().iter().any(|entry| !entry.undone && entry.stage == self.stage);
        let choices = [
            (Choice::Retry, true),
            (Choice::Skip, skip.is_some()),
            (Choice::Replan, true),
            (Choice::RollbackStage, in_stage),
            (Choice::Rollback, true),
            (Choice::Pause, true),
        ];
        Waiting {
            number: journal.lines(),
            step: self.told.to_owned(),
            stage: self.stage.to_owned(),
            choices: choices.into_iter().filter_map(|(choice, offered)| offered.then_some(choice)).collect(),
            retry_from: self.steps.get(self.from).map_or(self.told, |step| step.id()).to_owned(),
            skip,
            changed: journal.standing(),
            since: run.host.now(),
        }
    }

    fn skip(&self, run: &RunContext<'_>, journal: &mut Journal) -> Outcome<()> {
        let Some(step) = self.step else { return Ok(()) };
        let (step, stage) = (step.id().to_owned(), step.stage().to_owned());
        journal.write(run.host, Record::Skipped { step, stage })
    }

    fn roll_back_stage(&mut self, run: &RunContext<'_>, journal: &mut Journal) -> Outcome<()> {
        self.stage_rolled_back = true;
        let first = self.steps.iter().position(|step| step.stage() == self.stage);
        self.from = first.map_or(self.from, |first| first.min(self.from));
        let options = Options { stage: Some(self.stage.to_owned()), ..Options::default() };
        // What could not be rolled back has been reported; the choice is still offered.
        rollback::roll_back(run.host, run.dir, journal, &options, run.emit).map(drop)
    }
}
