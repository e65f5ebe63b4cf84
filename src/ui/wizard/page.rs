//! The pages: each says what it shows, what it accepts, and what comes of it. They keep no state of their own.

use crate::error::Exit;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer};
use crate::ui::wizard::layout::Panes;
use crate::ui::wizard::sheet::{Search, Sheet};
use crate::ui::wizard::theme::{Role, Sign};

mod failure;
mod field;
mod help;
mod parts;
mod product;
mod result;
mod review;
mod run;
mod sizing;
mod stage;
mod step;
mod visit;
mod welcome;
mod why;

pub use visit::Visit;

/// What follows from an act.
#[derive(Debug)]
pub enum Step {
    /// The page stays.
    Stay,
    /// To the next question or button.
    Next,
    /// To the page after this one.
    Forward,
    /// To the page before.
    Back,
    /// To a page, and to something on it.
    Go(Place, Option<Stop>),
    /// Over the page.
    Open(Box<Sheet>),
    /// What lies over the page goes.
    Close,
    /// Carry out what the page asked about.
    Sure(Act),
    /// Hand the terminal to a shell for a while.
    Shell,
    /// Scrolls a sheet so that this line can be seen.
    Show(usize),
    /// To the page of a run that stands on this machine.
    Attend(String, Attend),
    /// Starts the run that was reviewed.
    Start,
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
    fn write(&self, desk: &Desk, writer: Writer<'_>) -> Doc;
    /// What it shows beside that on wide screens.
    fn aside(&self, _desk: &Desk, _focus: Option<&Stop>, _writer: Writer<'_>) -> Option<Doc> {
        None
    }
    /// What stands in the line above it, whatever part of it is seen.
    fn status(&self, _desk: &Desk, _focus: Option<&Stop>) -> Option<Status> {
        None
    }
    /// What it wants of the screen beyond that.
    fn panes(&self, _desk: &Desk) -> Panes {
        Panes::default()
    }
    /// Lines above it that do not scroll.
    fn top(&self, _desk: &Desk, _writer: Writer<'_>) -> Option<Doc> {
        None
    }
    /// Text that scrolls by itself, in so many rows.
    fn pane(&self, _desk: &Desk, _focus: Option<&Stop>, _writer: Writer<'_>, _rows: usize) -> Option<Doc> {
        None
    }
    /// What is looked for in that text.
    fn search<'d>(&self, _desk: &'d Desk) -> Option<&'d Search> {
        None
    }
    /// Scrolls that text, where the act means that.
    fn scrolls(&self, _act: Act, _focus: Option<&Stop>, _desk: &mut Desk, _rows: usize) -> bool {
        false
    }
    /// The acts it accepts with the pointer there, beyond moving about.
    fn offers(&self, desk: &Desk, focus: Option<&Stop>) -> Vec<Offer>;
    /// Carries one out.
    fn act(&self, act: Act, focus: Option<&Stop>, desk: &mut Desk) -> Step;
}

/// The page of a place.
pub fn page(place: &Place) -> Box<dyn Page + '_> {
    match place {
        Place::Welcome => Box::new(welcome::Welcome),
        Place::Product => Box::new(product::ProductPage),
        Place::Stage(id) => Box::new(stage::StagePage { id }),
        Place::Review => Box::new(review::ReviewPage),
        Place::Run => Box::new(run::RunPage),
    }
}
