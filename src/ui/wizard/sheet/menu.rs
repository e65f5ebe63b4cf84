//! A few things to choose from.

use ratatui::text::Span;

use crate::error::Exit;
use crate::ui::text;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::{Attend, Step};
use crate::ui::wizard::sheet::{Prompt, Sheet};
use crate::ui::wizard::theme::{Role, Sign};

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
    Page(Place),
    /// A run that stands on this machine.
    Attend(String, Attend),
    /// A question for the name of a file for the answers.
    Save,
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
    pub(super) fn write(&self, mut writer: Writer<'_>) -> Doc {
        if !self.text.is_empty() {
            writer.prose(Role::Value, 0, &self.text);
            writer.blank();
        }
        let longest = self.entries.iter().map(|entry| text::width(&entry.says)).max().unwrap_or(0);
        for (at, entry) in self.entries.iter().enumerate() {
            let stop = Stop::Item(at);
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

    pub(super) fn offers() -> Vec<Offer> {
        vec![offer(Act::Enter, "choose"), offer(Act::Back, "close")]
    }

    pub(super) fn act(&self, act: Act, focus: Option<&Stop>, desk: &Desk) -> Step {
        let chosen = match focus {
            Some(Stop::Item(at)) => self.entries.get(*at),
            _ => None,
        };
        match (act, chosen.map(|entry| &entry.target)) {
            (Act::Enter, Some(Target::Page(place))) => Step::Go(place.clone(), None),
            (Act::Enter, Some(Target::Save)) => {
                Prompt::save(desk).map_or(Step::Close, |prompt| Step::Open(Box::new(Sheet::Prompt(prompt))))
            }
            (Act::Enter, Some(Target::Attend(run, attend))) => Step::Attend(run.clone(), *attend),
            (Act::Enter, Some(Target::Sure(act))) => Step::Sure(*act),
            (Act::Enter, Some(Target::Out(exit))) => Step::Leave(*exit),
            (Act::Enter | Act::Back, _) => Step::Close,
            _ => Step::Stay,
        }
    }
}
