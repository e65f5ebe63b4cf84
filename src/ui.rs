//! What a person (or a program) sees: a guide's questions and the plan, a run's events as bars, plain lines or
//! JSON, and the pages at the end.
//!
//! [`prompts`] asks line by line and ends in a decision.
//! [`follow`] reads the events of a run, live or later, and hands each to a [`Renderer`]; [`report`] writes the
//! last page. Nothing here works on the host: closing any of it leaves the run alone.

use crate::engine::event::Event;
use crate::ui::follow::Followed;

pub mod estimate;
#[cfg(test)]
mod hostile;
mod messages;
mod outputs;
pub mod run_state;
mod style;
mod text;

pub mod ask;
pub mod fit;
pub mod follow;
pub mod health;
pub mod json;
pub mod plain;
pub mod preflight;
pub mod progress;
pub mod prompts;
pub mod report;
pub mod stdio;
pub mod terminal;
pub mod tty_caps;
pub mod wizard;

pub use style::Look;

/// Shows a run, one event after the other.
pub trait Renderer {
    /// Shows an event.
    fn event(&mut self, event: &Event);

    /// All that is known for now was shown.
    fn looked(&mut self) {}

    /// Following ends, with the run or before it: nothing moves on the screen any more.
    fn end(&mut self, _how: Followed) {}
}
