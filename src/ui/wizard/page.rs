//! The pages: each holds the parts of the model that it draws, says what it shows, what it accepts, and what is to come
//! of it. They keep no state of their own and change nothing.

use std::path::PathBuf;

use crate::error::Exit;
use crate::ui::wizard::cmd::Cmd;
use crate::ui::wizard::keys::{Act, KeyHint};
use crate::ui::wizard::layout::Panes;
use crate::ui::wizard::model::{Change, Model, Route};
use crate::ui::wizard::overlay::Overlay;
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
    /// Something changes first.
    Change(Change, Box<Self>),
    /// To the questions of this guide, once they are there.
    Choose(String),
    /// Over the page.
    Open(Box<Overlay>),
    /// The question for the name of a file for the answers, over the page.
    AskToSave,
    /// Writes this text to a new file; what lies over the page stays, in case that cannot be done.
    Save(PathBuf, String),
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
    /// What is wanted of the application at this place of the first page.
    Application(usize, Wanted),
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

/// What is wanted of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To try its proofs again.
    Verify,
    /// What its services wrote.
    Logs,
    /// Where everything of it is.
    Details,
    /// The question whether its newest run is to be rolled back.
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

impl Transition {
    /// Something changes, and the page stays.
    fn change(change: Change) -> Self {
        Self::Change(change, Box::new(Self::Stay))
    }
}

/// A page, with what it draws.
pub trait Page {
    /// What it shows.
    fn write(&self, writer: ViewBuilder<'_>) -> View;
    /// What it shows beside that on wide screens.
    fn aside(&self, _focus: Option<&Focus>, _writer: ViewBuilder<'_>) -> Option<View> {
        None
    }
    /// What stands in the line above it, whatever part of it is seen.
    fn status(&self, _focus: Option<&Focus>) -> Option<Status> {
        None
    }
    /// What it wants of the screen beyond that.
    fn panes(&self) -> Panes {
        Panes::default()
    }
    /// Lines above it that do not scroll.
    fn top(&self, _writer: ViewBuilder<'_>) -> Option<View> {
        None
    }
    /// Text that scrolls by itself, in so many rows.
    fn pane(&self, _focus: Option<&Focus>, _writer: ViewBuilder<'_>, _rows: usize) -> Option<View> {
        None
    }
    /// The acts it accepts with the pointer there, beyond moving about.
    fn key_hints(&self, focus: Option<&Focus>) -> Vec<KeyHint>;
    /// What is to follow from one.
    fn act(&self, act: Act, focus: Option<&Focus>) -> Transition;
}

/// The page of a place. Here, and nowhere else, it is handed what it draws.
pub fn page<'m>(route: &'m Route, model: &'m Model) -> Box<dyn Page + 'm> {
    let interview = model.interview.as_ref();
    match route {
        Route::Home => Box::new(home::HomePage { home: model.home.as_ref(), root: model.root }),
        Route::Welcome => Box::new(welcome::Welcome { server: &model.server, root: model.root }),
        Route::Product => Box::new(product::ProductPage {
            products: &model.products,
            server: &model.server,
            facts: model.facts.as_ref(),
            chosen: interview.map(|interview| interview.guide().id.as_str()),
            theme: &model.theme,
        }),
        Route::Stage(id) => Box::new(stage::StagePage {
            id,
            next: model.beside(route, true).map(|next| model.title(&next)),
            asked: interview.map(|interview| field::Asked {
                interview,
                visit: &model.visit,
                editor: model.editor.as_ref(),
                revealed: model.revealed,
            }),
            theme: &model.theme,
        }),
        Route::Review => Box::new(review::ReviewPage(model.reviewed())),
        Route::Run => Box::new(run::RunPage { run_view: model.run_view.as_deref(), interview }),
    }
}
