//! The pages: each says what it shows, what it accepts, and what comes of it. They keep no state of their own.

use crate::error::Exit;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::{Act, KeyHint};
use crate::ui::wizard::layout::Panes;
use crate::ui::wizard::model::{Model, Route};
use crate::ui::wizard::overlay::{Overlay, Search};
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{Focus, View, ViewBuilder};

mod failure;
mod field;
pub mod help;
pub mod home;
mod parts;
mod product;
mod result;
mod review;
mod run;
pub mod sizing;
mod stage;
pub mod step;
mod welcome;
mod why;

/// What follows from an act.
#[derive(Debug)]
pub enum Transition {
    /// The page stays.
    Stay,
    /// To the next question or button.
    Next,
    /// To the page after this one.
    Forward,
    /// To the page before.
    Back,
    /// To a page, and to something on it.
    Go(Route, Option<Focus>),
    /// Over the page.
    Open(Box<Overlay>),
    /// What lies over the page goes.
    Close,
    /// Carry out what the page asked about.
    Sure(Act),
    /// Hand the terminal to a shell for a while.
    Shell,
    /// Scrolls an overlay so that this line can be seen.
    Show(usize),
    /// To the page of a run that stands on this machine.
    Attend(String, Attend),
    /// The questions of an application, by its run and its guide, with its answers.
    Answers(String, String),
    /// Has something done; what lies over the page goes.
    Do(Box<Cmd>),
    /// Starts the run that was reviewed.
    Start,
    /// Out of the wizard, after a question where answers would be lost.
    AskToLeave,
    /// Out of the wizard.
    Leave(Exit),
}

/// What is wanted of a run that stands on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attend {
    /// To see what it does, or how it ended.
    Look,
    /// To have it go on.
    Resume,
    /// To have it taken back, or that go on.
    RollBack,
}

/// What a page has to say above everything it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub role: Role,
    /// Its sign.
    pub sign: Sign,
    /// In a line; what is too long is cut.
    pub text: String,
}

/// A page.
pub trait Page {
    /// What it shows.
    fn write(&self, model: &Model, writer: ViewBuilder<'_>) -> View;
    /// What it shows beside that on wide screens.
    fn aside(&self, _desk: &Model, _focus: Option<&Focus>, _writer: ViewBuilder<'_>) -> Option<View> {
        None
    }
    /// What stands in the line above it, whatever part of it is seen.
    fn status(&self, _desk: &Model, _focus: Option<&Focus>) -> Option<Status> {
        None
    }
    /// What it wants of the screen beyond that.
    fn panes(&self, _desk: &Model) -> Panes {
        Panes::default()
    }
    /// Lines above it that do not scroll.
    fn top(&self, _desk: &Model, _writer: ViewBuilder<'_>) -> Option<View> {
        None
    }
    /// Text that scrolls by itself, in so many rows.
    fn pane(&self, _desk: &Model, _focus: Option<&Focus>, _writer: ViewBuilder<'_>, _rows: usize) -> Option<View> {
        None
    }
    /// What is looked for in that text.
    fn search<'d>(&self, _desk: &'d Model) -> Option<&'d Search> {
        None
    }
    /// Scrolls that text, where the act means that.
    fn scrolls(&self, _act: Act, _focus: Option<&Focus>, _desk: &mut Model, _rows: usize) -> bool {
        false
    }
    /// The acts it accepts with the pointer there, beyond moving about.
    fn key_hints(&self, model: &Model, focus: Option<&Focus>) -> Vec<KeyHint>;
    /// Carries one out.
    fn act(&self, act: Act, focus: Option<&Focus>, model: &mut Model) -> Transition;
}

/// The page of a place.
pub fn page(place: &Route) -> Box<dyn Page + '_> {
    match place {
        Route::Home => Box::new(home::HomePage),
        Route::Welcome => Box::new(welcome::Welcome),
        Route::Product => Box::new(product::ProductPage),
        Route::Stage(id) => Box::new(stage::StagePage { id }),
        Route::Review => Box::new(review::ReviewPage),
        Route::Run => Box::new(run::RunPage),
    }
}
