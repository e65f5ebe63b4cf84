//! The wizard as a whole: one page at a time, perhaps an overlay over it. Keys, pastes, sizes and messages go in; a frame
//! and commands come out.

use std::collections::BTreeMap;

use crossterm::event::KeyEvent;

use crate::answers::interview::Interview;
use crate::error::{Exit, Problem};
use crate::guide::QuestionKind;
use crate::ui::terminal::Background;
use crate::ui::wizard::cmd::{Cmd, Msg};
use crate::ui::wizard::keys::{self, Act, KeyHint, key_hint};
use crate::ui::wizard::layout::{Layout, layout, with_panes};
use crate::ui::wizard::model::{Model, Route};
use crate::ui::wizard::overlay::Overlay;
use crate::ui::wizard::page::page;
use crate::ui::wizard::theme::Theme;
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// The button of a confirmed act.
pub const SURE: &str = "sure";

mod draw;
mod scroll;
mod typing;
mod update;

/// The pointer's place on a page, and its scroll position.
#[derive(Clone, Debug, Default)]
struct Viewport {
    focus: Option<Focus>,
    scroll: usize,
}

/// What the wizard's driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Goes on.
    No,
    /// Goes on after a shell had the terminal; this is said before.
    Shell(String),
    /// Ends, with this.
    Yes(Exit),
}

/// The wizard.
pub struct App {
    model: Model,
    route: Route,
    views: BTreeMap<Route, Viewport>,
    overlay: Option<(Box<Overlay>, Viewport)>,
    size: (u16, u16),
    doc: View,
    last_words: String,
    /// What the page was last scrolled for; while it stays so, a person may scroll away from the pointer.
    revealed: Option<Revealed>,
    /// The page is shown from its top, wherever the pointer is.
    at_top: bool,
    /// What came of the last key, where nothing on the page shows it.
    said: String,
    /// What is typed was not taken as the answer yet, see [`App::pause`].
    unread: bool,
}

/// A pointer's place on a screen.
type Revealed = (Route, Option<Focus>, bool, (u16, u16));

impl App {
    /// At its first page.
    pub fn new(model: Model, size: (u16, u16)) -> Self {
        let mut app = Self {
            route: if model.home.is_some() { Route::Home } else { Route::Welcome },
            model,
            views: BTreeMap::new(),
            overlay: None,
            size,
            doc: View::default(),
            last_words: String::new(),
            revealed: None,
            at_top: false,
            said: String::new(),
            unread: false,
        };
        app.settle();
        app
    }

    /// At the first question of a guide, with answers that are there already. What of them was not taken is said.
    pub fn asked(mut model: Model, interview: Interview, refused: &[Problem], size: (u16, u16)) -> Self {
        model.found(interview.facts().clone());
        model.cmds.retain(|cmd| !matches!(cmd, Cmd::Probe));
        model.open(interview);
        let mut app = Self::new(model, size);
        if let Some(first) = app.model.beside(&Route::Product, true) {
            app.go(first, None);
        }
        if !refused.is_empty() {
            app.overlay = Some((Box::new(Overlay::not_taken(refused)), Viewport::default()));
        }
        app.settle();
        app
    }

    /// Jobs to be done since the last call.
    pub fn cmds(&mut self) -> Vec<Cmd> {
        std::mem::take(&mut self.model.cmds)
    }

    /// Lines to be printed when the wizard has ended and the terminal is as before; often none.
    pub fn last_words(&self) -> &str {
        &self.last_words
    }

    /// The screen has another size.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.size = (width, height);
        self.settle();
    }

    /// The terminal has reported its background.
    pub fn on(&mut self, background: Background) {
        self.model.theme = Theme::on(self.model.look, Some(background));
        self.settle();
    }

    /// A command reports.
    pub fn tell(&mut self, message: Msg) -> Leave {
        self.read_typed();
        let leave = self.update(message);
        self.settle();
        leave
    }

    /// A key was pressed. One that does nothing says so.
    pub fn key(&mut self, key: KeyEvent) -> Leave {
        self.said.clear();
        let steps = self.kind() == Some(QuestionKind::Integer) && keys::is_step(key) && !self.takes_sign(key);
        let typing = self.typing() && !steps;
        if typing && self.edit(key) {
            self.revealed = None;
            self.settle();
            return Leave::No;
        }
        if !steps {
            self.read_typed();
        }
        let leave = if let Some(act) = keys::act_of(key, &self.key_hints(), typing) {
            self.act(act)
        } else {
            self.said = format!("{} does nothing here", keys::name_of(&self.model.theme, key));
            Leave::No
        };
        self.settle();
        leave
    }

    // --- moving -------------------------------------------------------------

    fn view(&self) -> &Viewport {
        static NOWHERE: Viewport = Viewport { focus: None, scroll: 0 };
        match &self.overlay {
            Some((_, view)) => view,
            None => self.views.get(&self.route).unwrap_or(&NOWHERE),
        }
    }

    fn view_mut(&mut self) -> &mut Viewport {
        match &mut self.overlay {
            Some((_, view)) => view,
            None => self.views.entry(self.route.clone()).or_default(),
        }
    }

    fn point_at(&mut self, stop: Focus) {
        self.view_mut().focus = Some(stop);
        self.revealed = None;
    }

    fn focused(&self) -> Option<usize> {
        let focus = self.view().focus.as_ref()?;
        self.doc.stops.iter().position(|(stop, _)| stop == focus)
    }

    /// To the stop beside; over text without stops, by a line.
    fn step_focus(&mut self, forward: bool) -> bool {
        let Some(at) = self.focused() else { return self.scroll(if forward { 1 } else { -1 }) };
        if self.is_away(forward) {
            // Nothing on the way to it is jumped over.
            return self.scroll(if forward { 1 } else { -1 });
        }
        let to = if forward { at + 1 } else { at.wrapping_sub(1) };
        match self.doc.stops.get(to) {
            Some((stop, _)) => {
                let stop = stop.clone();
                self.point_at(stop);
            }
            // Text above the first stop, and below the last, can be scrolled to.
            None => return self.scroll(if forward { 1 } else { -1 }),
        }
        true
    }

    /// To the next (or previous) question, at its answer.
    fn next_question(&mut self, forward: bool) -> bool {
        let Some(at) = self.focused() else { return false };
        let here = self.doc.stops[at].0.clone();
        let other = |stop: &Focus| !stop.beside(&here);
        let found = if forward {
            self.doc.stops[at + 1..].iter().find(|(stop, _)| other(stop))
        } else {
            self.doc.stops[..at].iter().rev().find(|(stop, _)| other(stop))
        };
        let Some((stop, _)) = found else { return true };
        let stop = self.chosen(stop.clone());
        self.point_at(stop);
        true
    }

    /// Of a question's choices, the one that is chosen.
    fn chosen(&self, stop: Focus) -> Focus {
        let Focus::Choice(path, _) = &stop else { return stop };
        let chosen = self.model.interview.as_ref().map(|interview| Focus::Choice(path.clone(), interview.text(path)));
        let known = |wanted: &Focus| self.doc.stops.iter().any(|(stop, _)| stop == wanted);
        chosen.filter(known).unwrap_or(stop)
    }

    // --- the frame ----------------------------------------------------------

    fn layout(&self) -> Layout {
        match &self.overlay {
            Some((overlay, _)) if overlay.is_wide() => layout(self.size.0, self.size.1).without_sides(self.size.0),
            // What lies over a page without sides has none either.
            Some(_) if matches!(self.route, Route::Run | Route::Home) => {
                layout(self.size.0, self.size.1).without_sides(self.size.0)
            }
            Some(_) => layout(self.size.0, self.size.1),
            None => with_panes(self.size.0, self.size.1, page(&self.route, &self.model).panes()),
        }
    }

    fn key_hints(&self) -> Vec<KeyHint> {
        let mut key_hints = match &self.overlay {
            Some((overlay, _)) => overlay.key_hints(),
            None => page(&self.route, &self.model).key_hints(self.view().focus.as_ref()),
        };
        let moves = [Act::Up, Act::Down, Act::PageUp, Act::PageDown, Act::First, Act::Last];
        key_hints.extend(moves.map(|act| key_hint(act, "")));
        if self.overlay.is_none() {
            key_hints.extend([key_hint(Act::Next, ""), key_hint(Act::Previous, ""), key_hint(Act::Help, "help")]);
            // From the run no other page can be reached.
            key_hints.extend((self.route != Route::Run).then(|| key_hint(Act::GoTo, "pages")));
        }
        key_hints.push(key_hint(Act::Quit, "leave"));
        key_hints
    }

    fn write(&self) -> View {
        let width = self.layout().main.width;
        let focus = self.view().focus.as_ref();
        let writer = ViewBuilder::new(&self.model.theme, width, focus).tall(self.layout().main.height);
        match &self.overlay {
            Some((overlay, _)) => overlay.write(writer),
            None => page(&self.route, &self.model).write(writer),
        }
    }

    /// Lays the page out again after a change, and keeps the pointer on something that exists.
    fn settle(&mut self) {
        if let Route::Stage(_) = &self.route
            && !self.model.places().contains(&self.route)
        {
            self.route = Route::Review;
        }
        if let Some(interview) = &self.model.interview {
            if self.route == Route::Review {
                self.model.cmds.extend(self.model.review.look_at(interview));
            }
            let stage = if let Route::Stage(id) = &self.route { Some(id.as_str()) } else { None };
            self.model.visit.look(interview, stage);
        }
        let before = self.focused();
        let line = self.focused_line();
        let seen = before.is_some() && !self.is_away(true) && !self.is_away(false);
        self.doc = self.write();
        if self.focused().is_none() && !self.doc.stops.is_empty() {
            let near = before.unwrap_or(0).min(self.doc.stops.len() - 1);
            let stop = self.chosen(self.doc.stops[near].0.clone());
            self.point_at(stop);
        }
        // Problems found by the comparison are shown above the first action, and are to be read first.
        if self.overlay.is_none()
            && self.route == Route::Review
            && before == Some(0)
            && self.focused() != Some(0)
            && let Some((first, _)) = self.doc.stops.first()
        {
            self.point_at(first.clone());
        }
        self.settle_editor();
        self.doc = self.write();
        self.stand_still(line);
        // A page that is seen from its top stays so: what came above the first thing to point at is to be read first.
        let at_top = self.view().scroll == 0 && self.focused() == Some(0);
        if seen && !at_top && (self.is_away(true) || self.is_away(false)) {
            self.revealed = None;
        }
        self.reveal_focus();
        self.scroll(0);
    }
}

mod run;
#[cfg(test)]
mod tests;
