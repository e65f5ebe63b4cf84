//! What lies over a page: help, a long text, a menu, a question. One at a time; Esc takes it away.

use crate::error::Exit;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::keys::{Act, KeyHint};
use crate::ui::wizard::page::Transition;
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

mod menu;
mod pager;
mod prompt;
mod search;
mod stock;

pub use menu::{Entry, Menu, Target};
pub use pager::{Line, Pager};
pub use prompt::{Prompt, saved, typed_secrets};
pub use search::Search;

/// A overlay over the page.
#[derive(Debug)]
pub enum Overlay {
    /// Text to read and to search.
    Pager(Pager),
    /// Things to choose from.
    Menu(Menu),
    /// Something to type.
    Prompt(Prompt),
}

impl Overlay {
    /// Its head.
    pub fn title(&self) -> &str {
        match self {
            Self::Pager(pager) => &pager.title,
            Self::Menu(menu) => &menu.title,
            Self::Prompt(prompt) => &prompt.title,
        }
    }

    /// Whether its lines are so long that it takes the whole screen.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Pager(pager) if pager.is_wide())
    }

    /// What it shows.
    pub fn write(&self, writer: ViewBuilder<'_>) -> View {
        match self {
            Self::Pager(pager) => pager.write(writer),
            Self::Menu(menu) => menu.write(writer),
            Self::Prompt(prompt) => prompt.write(writer),
        }
    }

    /// What stands at the bottom before (or instead of) the keys: a search, and how it went.
    pub fn search(&self) -> Option<&Search> {
        match self {
            Self::Pager(pager) => Some(&pager.search),
            Self::Menu(_) | Self::Prompt(_) => None,
        }
    }

    /// The text that is typed, while some is.
    pub fn editor(&mut self) -> Option<&mut Editor> {
        match self {
            Self::Pager(pager) => pager.search.editor(),
            Self::Menu(_) => None,
            Self::Prompt(prompt) => Some(&mut prompt.editor),
        }
    }

    /// Whether text is typed.
    pub fn is_typing(&self) -> bool {
        match self {
            Self::Pager(pager) => pager.search.is_typing(),
            Self::Menu(_) => false,
            Self::Prompt(_) => true,
        }
    }

    /// How the wizard ends when it is left from here, where that is what is asked.
    pub fn way_out(&self) -> Option<Exit> {
        let Self::Menu(menu) = self else { return None };
        menu.entries.iter().find_map(|entry| if let Target::Out(exit) = entry.target { Some(exit) } else { None })
    }

    /// The acts it accepts.
    pub fn key_hints(&self) -> Vec<KeyHint> {
        match self {
            Self::Pager(pager) => pager.key_hints(),
            Self::Menu(_) => Menu::key_hints(),
            Self::Prompt(_) => Prompt::key_hints(),
        }
    }

    /// Carries one out. `doc` is what it shows, from line `top` on.
    pub fn act(&mut self, act: Act, focus: Option<&Focus>, doc: &View, top: usize) -> Transition {
        match self {
            Self::Pager(pager) => pager.act(act, doc, top),
            Self::Menu(menu) => menu.act(act, focus),
            Self::Prompt(prompt) => prompt.act(act),
        }
    }
}
