//! The pages: each says what it shows, what it accepts, and what comes of it. They keep no state of their own.

use crate::error::Exit;
use crate::ui::wizard::desk::{Desk, Place};
use crate::ui::wizard::doc::{Doc, Stop, Writer};
use crate::ui::wizard::keys::{Act, Offer};
use crate::ui::wizard::sheet::Sheet;

mod field;
mod product;
mod stage;
mod welcome;

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
    /// Out of the wizard.
    Leave(Exit),
}

/// A page.
pub trait Page {
    /// What it shows.
    fn write(&self, desk: &Desk, writer: Writer<'_>) -> Doc;
    /// What it shows beside that on wide screens.
    fn aside(&self, _desk: &Desk, _focus: Option<&Stop>, _writer: Writer<'_>) -> Option<Doc> {
        None
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
        Place::Review | Place::Run => Box::new(welcome::Welcome),
    }
}
