//! The wizard and its run: attaching to one, hearing of it.

use super::{App, View};
use crate::answers::interview::Interview;
use crate::error::Exit;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::sheet::{Pager, Sheet};
use crate::ui::wizard::task::News;
use crate::ui::wizard::watch::{self, Watch};

impl App {
    /// At the page of a run that works, or that has ended.
    pub fn attached(mut desk: Desk, run: &str, size: (u16, u16)) -> Self {
        let (watch, job) = Watch::of(run);
        desk.jobs = vec![job];
        desk.watch = Some(Box::new(watch));
        let mut app = Self::new(desk, size);
        app.place = Place::Run;
        app.settle();
        app
    }

    /// The run that was started or attached to, and how it ended, when it did. For whoever says the last words once
    /// the terminal is back.
    pub fn run(&self) -> Option<(&str, Option<Exit>)> {
        let watch = self.desk.watch.as_ref()?;
        Some((watch.run.as_deref()?, watch.exit()))
    }

    /// Whether the page shows a time that passes: then it wants to be told [`News::Time`] about once a second.
    pub fn ticks(&self) -> bool {
        self.place == Place::Run && self.desk.watch.as_ref().is_some_and(|watch| watch.ticks())
    }

    /// News of the run. The pointer goes with the work while it stands on it.
    pub(super) fn hear(&mut self, news: News) {
        let of = |desk: &Desk| desk.watch.as_ref().map(|watch| (watch.face(), watch.pointer()));
        let (before, focus) = (of(&self.desk), self.views.get(&Place::Run).and_then(|view| view.focus.clone()));
        if let News::Log { title, text } = news {
            self.sheet = Some((Box::new(Sheet::Pager(Pager::log(&title, &text))), View::default()));
            return;
        }
        if let News::Reopened(interview) = news {
            self.reopened(*interview);
            return;
        }
        watch::hear(&mut self.desk, news);
        let (before, after) = (before.unzip(), of(&self.desk).unzip());
        if before.0 != after.0 {
            self.turn();
        }
        let (pointer, goes_on) = (after.1.flatten(), before.1.flatten().is_none_or(|before| Some(before) == focus));
        if pointer.is_some() && (before.0 != after.0 || goes_on) {
            self.views.entry(Place::Run).or_default().focus = pointer;
        }
    }

    /// The page shows something else than before: what was asked or typed on it means nothing any more.
    fn turn(&mut self) {
        self.views.remove(&Place::Run);
        if let Some(watch) = &mut self.desk.watch {
            watch.pane.search.cancel();
        }
        if self.place == Place::Run && matches!(self.sheet.as_ref().map(|(sheet, _)| &**sheet), Some(Sheet::Menu(_))) {
            self.sheet = None;
        }
    }

    /// The answers of the run that waits can be changed.
    fn reopened(&mut self, interview: Interview) {
        self.desk.interview = Some(interview);
        let Some(watch) = &mut self.desk.watch else { return };
        if std::mem::take(&mut watch.changing)
            && let Some(stage) = watch.waiting().map(|waiting| waiting.stage.clone())
        {
            let place = watch::questions(&self.desk, &stage);
            self.go(place, None);
        }
    }
}
