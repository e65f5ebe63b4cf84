//! The wizard: the guides' questions, the plan, the run and its result, full screen.
//!
//! [`App`] is the whole state and knows no terminal: keys and messages go in, frames and commands come out. A page
//! ([`page`]) holds the parts of the [`Model`] that it draws, makes a [`view::View`] of them and says which keys it
//! accepts and what is to follow from them; [`App`] alone carries that out. Nothing is changed on the host before the
//! review page starts the run, and the run itself is another process.

mod app;
mod cmd;
mod editor;
mod event_loop;
mod home_cmd;
mod keys;
mod layout;
mod model;
mod overlay;
mod page;
mod pane;
mod run_cmd;
mod shares;
mod theme;
mod view;

pub use app::{App, Leave};
pub use cmd::{Cmd, Msg};
pub use event_loop::{MakeHost, event_loop};
pub use model::Model;
pub use run_cmd::{RunCmd, RunMsg};
