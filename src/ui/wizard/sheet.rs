//! What lies over a page: help, a long text, a menu. One at a time; Esc takes it away.

use crate::error::Exit;
use crate::guide::{Question, Stage};
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer, offer};
use crate::ui::wizard::page::Step;
use crate::ui::wizard::theme::Role;

/// A sheet over the page.
#[derive(Debug)]
pub enum Sheet {
    /// Text in paragraphs, each with its role.
    Text {
        /// Its head.
        title: String,
        /// The paragraphs.
        parts: Vec<(Role, String)>,
    },
    /// Things to choose from.
    Menu {
        /// Its head.
        title: String,
        /// What there is to know before choosing.
        text: String,
        /// The entries, and where each leads.
        entries: Vec<(String, Target)>,
    },
}

/// Where an entry of a menu leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// A page.
    Page(Place),
    /// Out.
    Out(Exit),
    /// Back to the page.
    Here,
}

impl Sheet {
    /// What a question means, and why its stage matters.
    pub fn help(stage: &Stage, question: Option<&Question>) -> Self {
        let mut parts = Vec::new();
        if let Some(question) = question {
            parts.push((Role::Heading, question.ask.clone()));
            parts.push((Role::Value, question.help.clone()));
            parts.push((Role::Dim, format!("Allowed: {}", crate::answers::resolve::allowed(question))));
            let path = format!("{}.{}", stage.id, question.id);
            parts.push((Role::Dim, format!("In an answers file: {path}")));
        }
        parts.push((Role::Heading, stage.title.clone()));
        parts.push((Role::Value, stage.why.clone()));
        Self::Text { title: "Help".to_owned(), parts }
    }

    /// Every page, to jump to.
    pub fn go_to(desk: &Desk) -> Self {
        let entries = desk.places().into_iter().map(|place| (desk.title(&place), Target::Page(place))).collect();
        Self::Menu { title: "Go to".to_owned(), text: String::new(), entries }
    }

    /// Whether to leave.
    pub fn quit() -> Self {
        Self::Menu {
            title: "Leave bringup?".to_owned(),
            text:
                "Nothing was changed on this server. The answers are forgotten unless you save them on the review page."
                    .to_owned(),
            entries: vec![("Stay".to_owned(), Target::Here), ("Leave".to_owned(), Target::Out(Exit::Interrupted))],
        }
    }

    /// Its head.
    pub fn title(&self) -> &str {
        match self {
            Self::Text { title, .. } | Self::Menu { title, .. } => title,
        }
    }

    /// What it shows.
    pub fn write(&self, mut writer: Writer<'_>) -> Doc {
        match self {
            Self::Text { parts, .. } => {
                for (role, text) in parts {
                    writer.blank();
                    writer.prose(*role, 0, text);
                }
            }
            Self::Menu { text, entries, .. } => {
                if !text.is_empty() {
                    writer.prose(Role::Value, 0, text);
                    writer.blank();
                }
                for (at, (says, _)) in entries.iter().enumerate() {
                    let stop = Stop::Item(at);
                    let from = writer.row();
                    let role = if writer.at(&stop) { Role::Focus } else { Role::Value };
                    let piece = writer.span(role, says);
                    writer.stop_line(&stop, vec![piece], None);
                    writer.stop(stop, from);
                }
            }
        }
        writer.done()
    }

    /// The acts it accepts.
    pub fn offers(&self) -> Vec<Offer> {
        match self {
            Self::Text { .. } => vec![offer(Act::Back, "close"), offer(Act::Enter, "")],
            Self::Menu { .. } => vec![offer(Act::Enter, "choose"), offer(Act::Back, "close")],
        }
    }

    /// Carries one out.
    pub fn act(&self, act: Act, focus: Option<&Stop>) -> Step {
        match (self, act, focus) {
            (Self::Menu { entries, .. }, Act::Enter, Some(Stop::Item(at))) => match entries.get(*at) {
                Some((_, Target::Page(place))) => Step::Go(place.clone(), None),
                Some((_, Target::Out(exit))) => Step::Leave(*exit),
                Some((_, Target::Here)) | None => Step::Close,
            },
            (_, Act::Enter | Act::Back, _) => Step::Close,
            _ => Step::Stay,
        }
    }
}
