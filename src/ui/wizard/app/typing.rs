//! Typed text: into the field under the pointer, or into the overlay.

use std::time::Duration;

use crossterm::event::KeyEvent;

use super::App;
use crate::guide::QuestionKind;
use crate::host::Stamp;
use crate::ui::wizard::app::Leave;
use crate::ui::wizard::cmd::Msg;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::keys;
use crate::ui::wizard::model::Route;
use crate::ui::wizard::overlay::Search;
use crate::ui::wizard::page::step;
use crate::ui::wizard::run_cmd::RunMsg;
use crate::ui::wizard::view::Focus;

/// How often a running clock is redrawn.
const TICK: Duration = Duration::from_secs(1);
/// Who stops typing for so long wants to see what comes of it.
const PAUSE: Duration = Duration::from_millis(400);

impl App {
    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        self.said.clear();
        // The entries of a list may come one to a line.
        let list = self.kind().is_some_and(QuestionKind::is_list);
        let text = if list { entries(text) } else { text.to_owned() };
        if self.typing() {
            if self.takes(text.trim()) {
                self.change(|editor| editor.insert(&text));
                self.revealed = None;
            }
        } else {
            "There is no field here to paste into".clone_into(&mut self.said);
        }
        self.settle();
    }

    pub(super) fn typing(&self) -> bool {
        match &self.overlay {
            Some((overlay, _)) => overlay.is_typing(),
            None => self.model.editor.is_some() || self.search().is_some_and(Search::is_typing),
        }
    }

    pub(super) fn search(&self) -> Option<&Search> {
        match &self.overlay {
            Some((overlay, _)) => overlay.search(),
            None if self.route == Route::Run => self.model.run_view.as_ref().map(|run_view| &run_view.pane.search),
            None => None,
        }
    }

    /// The kind of the question that is typed.
    pub(super) fn kind(&self) -> Option<QuestionKind> {
        let (path, _) = self.model.editor.as_ref()?;
        self.model.interview.as_ref()?.question(path).map(|question| question.kind)
    }

    /// Whether the key was one for the text under the cursor.
    pub(super) fn edit(&mut self, key: KeyEvent) -> bool {
        if let Some(edit) = keys::edit_of(key) {
            self.change(edit);
        } else if let Some(c) = keys::typed(key) {
            let text = c.to_string();
            if self.takes(&text) {
                self.change(|editor| editor.insert(&text));
            }
        } else {
            return false;
        }
        true
    }

    /// Whether the field takes this text: one for a number takes digits only, and says so.
    fn takes(&mut self, text: &str) -> bool {
        let number = self.overlay.is_none() && self.kind().is_some_and(QuestionKind::is_number);
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        if !number || digits(text.strip_prefix('-').filter(|_| self.may_be_negative()).unwrap_or(text)) {
            return true;
        }
        "Only digits can be typed here".clone_into(&mut self.said);
        false
    }

    fn may_be_negative(&self) -> bool {
        let path = self.model.editor.as_ref().map(|(path, _)| path);
        let question = path.and_then(|path| self.model.interview.as_ref()?.question(path));
        question.is_some_and(|question| question.min.is_some_and(|min| min < 0))
    }

    /// Whether this is the sign of a number that may be negative, typed where it begins.
    pub(super) fn takes_sign(&self, key: KeyEvent) -> bool {
        let begins = |(_, editor): &(String, Editor)| editor.is_suggestion() || editor.text().is_empty();
        keys::typed(key) == Some('-') && self.may_be_negative() && self.model.editor.as_ref().is_some_and(begins)
    }

    /// Changes the text under the cursor and, when that made a difference, the answer.
    fn change(&mut self, edit: impl FnOnce(&mut Editor)) {
        if let Some((overlay, _)) = &mut self.overlay {
            if let Some(editor) = overlay.editor() {
                edit(editor);
            }
            return;
        }
        if self.route == Route::Run
            && let Some(editor) = self.model.run_view.as_mut().and_then(|run_view| run_view.pane.search.editor())
        {
            return edit(editor);
        }
        let Some((_, editor)) = &mut self.model.editor else { return };
        let before = editor.text().to_owned();
        edit(editor);
        if editor.text() != before {
            self.unread = true;
            // A page that draws what the answers come to waits for a pause: over a slow line it would lag behind.
            if !self.model.visit.draws() {
                self.read_typed();
            }
        }
    }

    /// The next (or previous) round number.
    pub(super) fn step_number(&mut self, up: bool) {
        let (Some((path, editor)), Some(interview)) = (&self.model.editor, &self.model.interview) else { return };
        let Some(question) = interview.question(path) else { return };
        match step::from(editor.text(), question, up) {
            Some(number) => self.change(|editor| *editor = Editor::new(number.to_string())),
            None if up => "This is the largest number allowed".clone_into(&mut self.said),
            None => "This is the smallest number allowed".clone_into(&mut self.said),
        }
    }

    /// What is typed becomes the answer.
    pub(super) fn read_typed(&mut self) {
        if std::mem::take(&mut self.unread)
            && let (Some((path, editor)), Some(interview)) = (&self.model.editor, &mut self.model.interview)
        {
            interview.type_in(path, editor.text());
        }
    }

    /// The pause in typing after which it needs [`App::paused`].
    pub fn pause(&self) -> Option<Duration> {
        if self.unread { Some(PAUSE) } else { self.ticks().then_some(TICK) }
    }

    /// Nothing came for as long as [`App::pause`] said.
    pub fn paused(&mut self, now: Stamp) -> Leave {
        if self.unread {
            self.read_typed();
            self.settle();
            return Leave::No;
        }
        self.tell(Msg::Run(RunMsg::Time(now)))
    }

    /// The editor belongs to the field under the pointer.
    pub(super) fn settle_editor(&mut self) {
        // A temporary overlay ends no editing.
        let focus = self.views.get(&self.route).and_then(|view| view.focus.as_ref());
        let path = match (focus, &self.model.interview) {
            (Some(Focus::Field(path)), Some(interview)) => interview
                .question(path)
                .filter(|question| {
                    !matches!(question.kind, QuestionKind::Bool | QuestionKind::Choice) && !question.kind.has_rows()
                })
                .map(|_| path.clone()),
            _ => None,
        };
        if self.model.editor.as_ref().map(|(path, _)| path) == path.as_ref() {
            return;
        }
        self.read_typed();
        self.model.revealed = false;
        self.model.editor = path.and_then(|path| {
            let interview = self.model.interview.as_ref()?;
            let text = interview.text(&path);
            Some((path, Editor::new(text)))
        });
    }
}

/// Entries that came one to a line, as one types them.
fn entries(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}
