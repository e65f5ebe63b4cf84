//! What pages want changed on the model; only [`Model::change`] does it.

use serde_json::Value;

use crate::engine::decision::Decision;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::model::Model;
use crate::ui::wizard::run_cmd::RunCmd;

/// A change of the model.
#[derive(Debug)]
pub enum Change {
    /// The server is looked at anew.
    LookAgain,
    /// The question with this path is answered; without a value its default holds again.
    Answer(String, Option<Value>),
    /// The secret under the cursor is shown, or hidden again.
    Reveal,
    /// The unchanged actions of this stage are listed on the review, or no longer.
    Unfold(String),
    /// A part of the run's page is opened (true) or closed.
    Fold(String, bool),
    /// Something to look for in the output is typed (true), or that is given up.
    Search(bool),
    /// The run is to do this about the failure with this number.
    Decide(usize, Decision),
    /// The answers of the run are read, to be changed.
    Reopen,
    /// The run ends and is rolled back.
    Abort,
    /// This secret of the run is shown; none hides the one that is.
    Secret(Option<String>),
    /// The run's page is left for its answers.
    LeaveRun,
}

impl Model {
    /// Makes a change.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::LookAgain => self.look_again(),
            Change::Answer(path, value) => {
                if let Some(interview) = &mut self.interview {
                    interview.answer(&path, value);
                    self.editor = None;
                }
            }
            Change::Reveal => self.revealed = !self.revealed,
            Change::Unfold(stage) => {
                if !self.review.unfolded.remove(&stage) {
                    self.review.unfolded.insert(stage);
                }
            }
            Change::LeaveRun => {
                self.run_view = None;
                self.look_again();
            }
            change => self.change_run(change),
        }
    }

    fn change_run(&mut self, change: Change) {
        let Some(run_view) = &mut self.run_view else { return };
        let run = run_view.run.clone().unwrap_or_default();
        let cmd = match change {
            Change::Decide(number, decision) => {
                run_view.decided = Some(decision.choice());
                Some(RunCmd::Decide { run, number, decision })
            }
            Change::Reopen => {
                run_view.changing = true;
                Some(RunCmd::Reopen { run })
            }
            Change::Abort => {
                run_view.stopping = true;
                Some(RunCmd::Abort { run })
            }
            Change::Secret(name) => {
                run_view.revealed = None;
                let of = run_view.plan.as_ref().map(|plan| plan.application());
                name.zip(of).map(|(name, of)| RunCmd::Secret { of, name })
            }
            Change::Fold(part, open) => {
                run_view.folds.insert(part, open);
                None
            }
            Change::Search(true) => {
                run_view.pane.search.begin();
                None
            }
            Change::Search(false) => {
                run_view.pane.search.cancel();
                None
            }
            _ => None,
        };
        self.cmds.extend(cmd.map(Cmd::Run));
    }
}
