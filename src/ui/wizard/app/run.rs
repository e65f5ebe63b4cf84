//! The wizard and its run: attaching to one, hearing of it.

use super::App;
use crate::answers::interview::Interview;
use crate::error::Exit;
use crate::ui::wizard::model::run_view::{self, RunView};
use crate::ui::wizard::model::{Model, Route, questions};
use crate::ui::wizard::overlay::{Overlay, Pager};
use crate::ui::wizard::run_cmd::RunMsg;

impl App {
    /// At the page of a run that works, or that has ended.
    pub fn attached(mut model: Model, run: &str, size: (u16, u16)) -> Self {
        let (run_view, cmd) = RunView::of(run);
        model.cmds = vec![cmd];
        model.run_view = Some(Box::new(run_view));
        let mut app = Self::new(model, size);
        app.route = Route::Run;
        app.settle();
        app
    }

    /// The run that was started or attached to, and how it ended, if it did. For the message after the screen was
    /// closed.
    pub fn run(&self) -> Option<(&str, Option<Exit>)> {
        let run_view = self.model.run_view.as_ref()?;
        Some((run_view.run.as_deref()?, run_view.exit()))
    }

    /// Whether the page shows a running clock: then it needs [`News::Time`] about once a second.
    pub fn ticks(&self) -> bool {
        self.route == Route::Run && self.model.run_view.as_ref().is_some_and(|run_view| run_view.ticks())
    }

    /// Events of the run. The pointer follows the current step while it is on it.
    pub(super) fn update_run(&mut self, msg: RunMsg) {
        let of = |model: &Model| model.run_view.as_ref().map(|run_view| (run_view.face(), run_view.pointer()));
        let (before, focus) = (of(&self.model), self.views.get(&Route::Run).and_then(|view| view.focus.clone()));
        if let RunMsg::Log { title, text } = msg {
            self.lay(Overlay::Pager(Pager::log(&title, &text)));
            return;
        }
        if let RunMsg::Reopened(interview) = msg {
            self.reopened(*interview);
            return;
        }
        run_view::update(&mut self.model, msg);
        let (before, after) = (before.unzip(), of(&self.model).unzip());
        if before.0 != after.0 {
            self.turn();
        }
        let (pointer, goes_on) = (after.1.flatten(), before.1.flatten().is_none_or(|before| Some(before) == focus));
        if pointer.is_some() && (before.0 != after.0 || goes_on) {
            self.views.entry(Route::Run).or_default().focus = pointer;
        }
    }

    /// The page shows something else than before: what was asked or typed on it means nothing any more.
    fn turn(&mut self) {
        self.views.remove(&Route::Run);
        if let Some(run_view) = &mut self.model.run_view {
            run_view.pane.search.cancel();
        }
        if self.route == Route::Run
            && matches!(self.overlay.as_ref().map(|(overlay, _)| &**overlay), Some(Overlay::Menu(_)))
        {
            self.overlay = None;
        }
    }

    /// The answers of the run that waits can be changed.
    fn reopened(&mut self, interview: Interview) {
        self.model.interview = Some(interview);
        let Some(run_view) = &mut self.model.run_view else { return };
        if std::mem::take(&mut run_view.changing)
            && let Some(stage) = run_view.waiting().map(|waiting| waiting.stage.clone())
        {
            let place = questions(self.model.interview.as_ref(), &stage).unwrap_or(Route::Review);
            self.go(place, None);
        }
    }
}
