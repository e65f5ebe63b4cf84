//! A few things to choose from.

use ratatui::text::Span;

use crate::error::Exit;
use crate::ui::text;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::model::Route;
use crate::ui::wizard::page::{Attend, Transition, Wanted};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

/// A menu over a page.
#[derive(Debug)]
pub struct Menu {
    /// Its head.
    pub title: String,
    /// What there is to know before choosing.
    pub text: String,
    /// What there is.
    pub entries: Vec<Entry>,
}

/// A line of a menu.
#[derive(Debug)]
pub struct Entry {
    /// How it stands, where that means anything.
    pub sign: Option<(Role, Sign)>,
    /// What it is.
    pub says: String,
    /// A word or two more.
    pub note: String,
    /// Where it leads.
    pub target: Target,
}

/// Where an entry of a menu leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// A page.
    Page(Route),
    /// A run that stands on this machine.
    Attend(String, Attend),
    /// The questions of an application with its answers: its run and its guide.
    Answers(String, String),
    /// Something about the application at this place.
    Application(usize, Wanted),
    /// A question for the name of a file for the answers.
    Save,
    /// Out, after a question where answers would be lost.
    Leave,
    /// Out.
    Out(Exit),
    /// Back to the page.
    Here,
    /// Back to the page, which carries out what it asked about.
    Sure(Act),
}

impl Entry {
    /// An entry without more to say.
    pub fn new(says: impl Into<String>, target: Target) -> Self {
        Self { sign: None, says: says.into(), note: String::new(), target }
    }
}

impl Menu {
    pub(super) fn write(&self, mut writer: ViewBuilder<'_>) -> View {
        if !self.text.is_empty() {
            writer.prose(Role::Value, 0, &self.text);
            writer.blank();
        }
        let longest = self.entries.iter().map(|entry| text::width(&entry.says)).max().unwrap_or(0);
        for (at, entry) in self.entries.iter().enumerate() {
            let stop = Focus::Item(at);
            let from = writer.row();
            let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
            let mut pieces = Vec::new();
            if let Some((role, sign)) = entry.sign {
                pieces.extend([writer.sign(role, sign), Span::raw(" ")]);
            }
            pieces.push(writer.span(role, &entry.says));
            if !entry.note.is_empty() {
                pieces.push(Span::raw(" ".repeat(longest.saturating_sub(text::width(&entry.says)) + 2)));
                pieces.push(writer.span(Role::Dim, &entry.note));
            }
            writer.stop_line(&stop, pieces, None);
            writer.stop(stop, from);
        }
        writer.done()
    }

    pub(super) fn key_hints() -> Vec<KeyHint> {
        vec![key_hint(Act::Enter, "choose"), key_hint(Act::Back, "close")]
    }

    pub(super) fn act(&self, act: Act, focus: Option<&Focus>) -> Transition {
        let chosen = match focus {
            Some(Focus::Item(at)) => self.entries.get(*at),
            _ => None,
        };
        match (act, chosen.map(|entry| &entry.target)) {
            (Act::Enter, Some(Target::Page(place))) => Transition::Go(place.clone(), None),
            (Act::Enter, Some(Target::Save)) => Transition::AskToSave,
            (Act::Enter, Some(Target::Attend(run, attend))) => Transition::Attend(run.clone(), *attend),
            (Act::Enter, Some(Target::Answers(run, guide))) => Transition::Answers(run.clone(), guide.clone()),
            (Act::Enter, Some(Target::Application(at, wanted))) => Transition::Application(*at, *wanted),
            (Act::Enter, Some(Target::Sure(act))) => Transition::Sure(*act),
            (Act::Enter, Some(Target::Leave)) => Transition::AskToLeave,
            (Act::Enter, Some(Target::Out(exit))) => Transition::Leave(*exit),
            (Act::Enter | Act::Back, _) => Transition::Close,
            _ => Transition::Stay,
        }
    }
}
