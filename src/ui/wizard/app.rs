//! The wizard as a whole: one page at a time, perhaps a sheet over it. Keys, pastes, sizes and messages go in; a frame
//! and jobs come out.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::answers::interview::Interview;
use crate::error::{Exit, Problem};
use crate::guide::QuestionKind;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::job::{Job, Message};
use crate::ui::wizard::keys::{self, Act, Offer, offer};
use crate::ui::wizard::layout::{Layout, layout, with_panes};
use crate::ui::wizard::page::{Step, page};
use crate::ui::wizard::sheet::{self, Search, Sheet};
use crate::ui::wizard::watch;

/// What says that somebody was asked and is sure.
pub const SURE: &str = "sure";

mod draw;
mod scroll;

/// Where the pointer stands on a page, and how far it is scrolled.
#[derive(Clone, Debug, Default)]
struct View {
    focus: Option<Stop>,
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
    desk: Desk,
    place: Place,
    views: BTreeMap<Place, View>,
    sheet: Option<(Box<Sheet>, View)>,
    size: (u16, u16),
    doc: Doc,
    last_words: String,
    /// What the page was last scrolled for; while it stays so, a person may scroll away from the pointer.
    revealed: Option<Revealed>,
    /// The page is shown from its top, wherever the pointer is.
    at_top: bool,
}

/// A pointer's place on a screen.
type Revealed = (Place, Option<Stop>, bool, (u16, u16));

impl App {
    /// At its first page.
    pub fn new(desk: Desk, size: (u16, u16)) -> Self {
        let mut app = Self {
            desk,
            place: Place::Welcome,
            views: BTreeMap::new(),
            sheet: None,
            size,
            doc: Doc::default(),
            last_words: String::new(),
            revealed: None,
            at_top: false,
        };
        app.settle();
        app
    }

    /// At the first question of a guide, with answers that are there already. What of them was not taken is said.
    pub fn asked(mut desk: Desk, interview: Interview, refused: &[Problem], size: (u16, u16)) -> Self {
        desk.found(interview.facts().clone());
        desk.jobs.retain(|job| !matches!(job, Job::Probe));
        desk.open(interview);
        let mut app = Self::new(desk, size);
        if let Some(first) = app.desk.beside(&Place::Product, true) {
            app.go(first, None);
        }
        if !refused.is_empty() {
            app.sheet = Some((Box::new(Sheet::not_taken(refused)), View::default()));
        }
        app.settle();
        app
    }

    /// Jobs to be done since the last call.
    pub fn jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.desk.jobs)
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

    /// A job reports.
    pub fn tell(&mut self, message: Message) -> Leave {
        let leave = self.take_in(message);
        self.settle();
        leave
    }

    fn take_in(&mut self, message: Message) -> Leave {
        match message {
            Message::Facts(facts) => self.desk.found(*facts),
            Message::Check(check) => self.desk.machine.learn(check),
            Message::Runs(runs) => self.desk.machine.runs = runs,
            Message::Unmet(unmet) => self.desk.machine.unmet = unmet,
            Message::Opened(interview) => {
                self.desk.open(*interview);
                if self.place == Place::Product
                    && let Some(next) = self.desk.beside(&Place::Product, true)
                {
                    self.go(next, None);
                }
            }
            Message::Run(news) => self.hear(news),
            Message::NotOpened(why) => self.desk.machine.not_opened(why),
            Message::Compared(hash, verdicts, missing) => self.desk.review.compared(&hash, verdicts, missing),
            Message::Forecast(hash, forecast) => self.desk.review.forecast(&hash, forecast),
            Message::Saved(path) => {
                self.last_words = sheet::saved(&self.desk, &path);
                return Leave::Yes(Exit::Done);
            }
            Message::NotSaved(why) => {
                if let Some((sheet, _)) = &mut self.sheet
                    && let Sheet::Prompt(prompt) = sheet.as_mut()
                {
                    prompt.refuse(why);
                }
            }
        }
        Leave::No
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Leave {
        let typing = self.typing() && !self.acts_while_typing(key);
        if typing && self.edit(key) {
            self.revealed = None;
            self.settle();
            return Leave::No;
        }
        let offers = self.offers();
        let leave = match keys::act_of(key, &offers, typing) {
            Some(act) => self.act(act),
            None => Leave::No,
        };
        self.settle();
        leave
    }

    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        if self.typing() {
            // The entries of a list may come one to a line.
            let text = if self.kind().is_some_and(QuestionKind::is_list) { entries(text) } else { text.to_owned() };
            self.change(|editor| editor.insert(&text));
            self.revealed = None;
        }
        self.settle();
    }

    fn act(&mut self, act: Act) -> Leave {
        let (focus, rows) = (self.view().focus.clone(), usize::from(self.layout().pane.height.saturating_sub(1)));
        if self.sheet.is_none() && page(&self.place).scrolls(act, focus.as_ref(), &mut self.desk, rows) {
            return Leave::No;
        }
        let moved = match act {
            Act::Up => self.step_focus(false),
            Act::Down => self.step_focus(true),
            Act::PageUp => self.page(-(self.page_height() - 1)),
            Act::PageDown => self.page(self.page_height() - 1),
            Act::First => self.page(isize::MIN / 2),
            Act::Last => self.page(isize::MAX / 2),
            Act::Next => self.next_question(true),
            Act::Previous => self.next_question(false),
            _ => false,
        };
        if moved {
            return Leave::No;
        }
        let step = match (&mut self.sheet, act) {
            (Some((sheet, view)), act) => sheet.act(act, focus.as_ref(), &self.doc, view.scroll, &mut self.desk),
            (None, act) if self.place == Place::Run => page(&self.place).act(act, focus.as_ref(), &mut self.desk),
            (None, Act::GoTo) => {
                // The pointer begins at this page.
                let here = self.desk.places().iter().position(|place| *place == self.place);
                let view = View { focus: here.map(Stop::Item), ..View::default() };
                self.sheet = Some((Box::new(Sheet::go_to(&self.desk)), view));
                Step::Stay
            }
            (None, Act::Quit) if self.desk.watch.is_some() => page(&Place::Run).act(act, None, &mut self.desk),
            (None, Act::Quit) => Step::Open(Box::new(Sheet::quit(&self.desk))),
            (None, act) => page(&self.place).act(act, focus.as_ref(), &mut self.desk),
        };
        self.follow(step)
    }

    fn follow(&mut self, step: Step) -> Leave {
        match step {
            Step::Stay => {}
            Step::Next => {
                // The answer may have opened further questions.
                self.doc = self.write();
                self.next_question(true);
            }
            Step::Forward => {
                if let Some(next) = self.desk.beside(&self.place, true) {
                    self.go(next, None);
                }
            }
            Step::Back => match self.desk.beside(&self.place, false) {
                Some(before) => self.go(before, None),
                None => self.sheet = Some((Box::new(Sheet::quit(&self.desk)), View::default())),
            },
            Step::Go(place, stop) => self.go(place, stop),
            Step::Open(sheet) => self.sheet = Some((sheet, View::default())),
            Step::Close => self.sheet = None,
            Step::Show(line) => {
                let height = usize::from(self.layout().main.height);
                let view = self.view_mut();
                if line < view.scroll || line >= view.scroll + height {
                    view.scroll = line.saturating_sub(height / 3);
                }
            }
            Step::Sure(act) => {
                self.sheet = None;
                let step = page(&Place::Run).act(act, Some(&Stop::Button(SURE)), &mut self.desk);
                return self.follow(step);
            }
            Step::Start => {
                watch::start(&mut self.desk);
                self.views.remove(&Place::Run);
                self.go(Place::Run, None);
            }
            Step::Attend(run, attend) => {
                watch::attend(&mut self.desk, &run, attend);
                self.views.remove(&Place::Run);
                self.go(Place::Run, None);
            }
            Step::Shell => return Leave::Shell(self.desk.watch.as_ref().map(|watch| watch.note()).unwrap_or_default()),
            Step::Leave(exit) => return Leave::Yes(exit),
        }
        Leave::No
    }

    fn go(&mut self, place: Place, stop: Option<Stop>) {
        self.sheet = None;
        self.desk.revealed = false;
        self.place = place;
        self.doc = Doc::default();
        self.at_top = self.place == Place::Review && !self.views.contains_key(&self.place);
        let Some(stop) = stop else { return };
        self.point_at(stop.clone());
        self.doc = self.write();
        // A question with choices is stopped at by these.
        if self.focused().is_none()
            && let Some((near, _)) = self.doc.stops.iter().find(|(other, _)| other.beside(&stop))
        {
            let near = self.chosen(near.clone());
            self.point_at(near);
        }
    }

    // --- typing -------------------------------------------------------------

    fn typing(&self) -> bool {
        match &self.sheet {
            Some((sheet, _)) => sheet.is_typing(),
            None => self.desk.editor.is_some() || self.search().is_some_and(Search::is_typing),
        }
    }

    fn search(&self) -> Option<&Search> {
        match &self.sheet {
            Some((sheet, _)) => sheet.search(),
            None => page(&self.place).search(&self.desk),
        }
    }

    /// The kind of the question that is typed.
    fn kind(&self) -> Option<QuestionKind> {
        let (path, _) = self.desk.editor.as_ref()?;
        self.desk.interview.as_ref()?.question(path).map(|question| question.kind)
    }

    fn acts_while_typing(&self, key: KeyEvent) -> bool {
        self.kind().is_some_and(|kind| keys::acts_while_typing(key, kind))
    }

    /// Whether the key was one for the text under the cursor.
    fn edit(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let edit: fn(&mut Editor) = match key.code {
            KeyCode::Left => Editor::left,
            KeyCode::Right => Editor::right,
            KeyCode::Home => Editor::home,
            KeyCode::End => Editor::end,
            KeyCode::Char('a') if control => Editor::home,
            KeyCode::Char('e') if control => Editor::end,
            KeyCode::Char('u') if control => Editor::clear_before,
            KeyCode::Char('w') if control => Editor::delete_word,
            KeyCode::Backspace => Editor::backspace,
            KeyCode::Delete => Editor::delete,
            _ => match keys::typed(key) {
                Some(c) => {
                    self.change(|editor| editor.insert(c.encode_utf8(&mut [0; 4])));
                    return true;
                }
                None => return false,
            },
        };
        self.change(edit);
        true
    }

    /// Changes the text under the cursor and, when that made a difference, the answer.
    fn change(&mut self, edit: impl FnOnce(&mut Editor)) {
        if let Some((sheet, _)) = &mut self.sheet {
            if let Some(editor) = sheet.editor() {
                edit(editor);
            }
            return;
        }
        if self.place == Place::Run
            && let Some(editor) = self.desk.watch.as_mut().and_then(|watch| watch.pane.search.editor())
        {
            return edit(editor);
        }
        let Some((path, editor)) = &mut self.desk.editor else { return };
        let before = editor.text().to_owned();
        edit(editor);
        if editor.text() != before
            && let Some(interview) = &mut self.desk.interview
        {
            interview.type_in(path, editor.text());
        }
    }

    /// The editor belongs to the field under the pointer.
    fn settle_editor(&mut self) {
        let path = match (&self.sheet, &self.view().focus, &self.desk.interview) {
            (None, Some(Stop::Field(path)), Some(interview)) => interview
                .question(path)
                .filter(|question| !matches!(question.kind, QuestionKind::Bool | QuestionKind::Choice))
                .map(|_| path.clone()),
            _ => None,
        };
        if self.desk.editor.as_ref().map(|(path, _)| path) == path.as_ref() {
            return;
        }
        self.desk.revealed = false;
        self.desk.editor = path.and_then(|path| {
            let interview = self.desk.interview.as_ref()?;
            let text = interview.text(&path);
            let suggestion = !interview.given().values.contains_key(&path);
            Some((path, Editor::new(text, suggestion)))
        });
    }

    // --- moving -------------------------------------------------------------

    fn view(&self) -> &View {
        static NOWHERE: View = View { focus: None, scroll: 0 };
        match &self.sheet {
            Some((_, view)) => view,
            None => self.views.get(&self.place).unwrap_or(&NOWHERE),
        }
    }

    fn view_mut(&mut self) -> &mut View {
        match &mut self.sheet {
            Some((_, view)) => view,
            None => self.views.entry(self.place.clone()).or_default(),
        }
    }

    fn point_at(&mut self, stop: Stop) {
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
            // What stands above the first stop, and below the last, can be read too.
            None => return self.scroll(if forward { 1 } else { -1 }),
        }
        true
    }

    /// To the next (or previous) question, at its answer.
    fn next_question(&mut self, forward: bool) -> bool {
        let Some(at) = self.focused() else { return false };
        let here = self.doc.stops[at].0.clone();
        let other = |stop: &Stop| !stop.beside(&here);
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
    fn chosen(&self, stop: Stop) -> Stop {
        let Stop::Choice(path, _) = &stop else { return stop };
        let chosen = self.desk.interview.as_ref().map(|interview| Stop::Choice(path.clone(), interview.text(path)));
        let known = |wanted: &Stop| self.doc.stops.iter().any(|(stop, _)| stop == wanted);
        chosen.filter(known).unwrap_or(stop)
    }

    // --- the frame ----------------------------------------------------------

    fn layout(&self) -> Layout {
        match &self.sheet {
            Some((sheet, _)) if sheet.is_wide() => layout(self.size.0, self.size.1).without_sides(self.size.0),
            // What lies over a page without sides has none either.
            Some(_) if self.place == Place::Run => layout(self.size.0, self.size.1).without_sides(self.size.0),
            Some(_) => layout(self.size.0, self.size.1),
            None => with_panes(self.size.0, self.size.1, page(&self.place).panes(&self.desk)),
        }
    }

    fn offers(&self) -> Vec<Offer> {
        let mut offers = match &self.sheet {
            Some((sheet, _)) => sheet.offers(),
            None => page(&self.place).offers(&self.desk, self.view().focus.as_ref()),
        };
        offers
            .extend([Act::Up, Act::Down, Act::PageUp, Act::PageDown, Act::First, Act::Last].map(|act| offer(act, "")));
        if self.sheet.is_none() {
            offers.extend([Act::Next, Act::Previous].map(|act| offer(act, "")));
        }
        // The run's page says itself what leaving means.
        if self.sheet.is_none() && self.place != Place::Run {
            offers.extend([offer(Act::GoTo, "go to"), offer(Act::Quit, "leave")]);
        }
        offers
    }

    fn write(&self) -> Doc {
        let width = self.layout().main.width;
        let focus = self.view().focus.as_ref();
        let writer = Writer::new(&self.desk.theme, width, focus).tall(self.layout().main.height);
        match &self.sheet {
            Some((sheet, _)) => sheet.write(writer),
            None => page(&self.place).write(&self.desk, writer),
        }
    }

    /// Makes the page anew after anything may have changed, and keeps the pointer on something that is there.
    fn settle(&mut self) {
        if let Place::Stage(_) = &self.place
            && !self.desk.places().contains(&self.place)
        {
            self.place = Place::Review;
        }
        if let Some(interview) = &self.desk.interview {
            if self.place == Place::Review {
                self.desk.jobs.extend(self.desk.review.look_at(interview));
            }
            let stage = if let Place::Stage(id) = &self.place { Some(id.as_str()) } else { None };
            self.desk.visit.look(interview, stage);
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
        // What the comparison finds in the way comes to stand above the first action, and is to be read first.
        if self.sheet.is_none()
            && self.place == Place::Review
            && before == Some(0)
            && self.focused() != Some(0)
            && let Some((first, _)) = self.doc.stops.first()
        {
            self.point_at(first.clone());
        }
        self.settle_editor();
        self.doc = self.write();
        self.stand_still(line);
        if seen && (self.is_away(true) || self.is_away(false)) {
            self.revealed = None;
        }
        self.reveal_focus();
        self.scroll(0);
    }
}

/// Entries that came one to a line, as one types them.
fn entries(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

mod run;
#[cfg(test)]
mod tests;
