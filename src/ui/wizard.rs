//! The wizard: the guides' questions, the plan, the run and its result, full screen.
//!
//! [`App`] is the whole state and knows no terminal: keys and messages go in, frames and jobs come out. A page
//! ([`page`]) turns the [`Desk`] into a [`doc::Doc`] and says which acts it accepts; nothing is changed on the host
//! before the review page starts the run, and the run itself is another process.

mod app;
mod desk;
mod doc;
mod drive;
mod editor;
mod job;
mod keys;
mod layout;
mod machine;
mod page;
mod pane;
mod review;
mod shares;
mod sheet;
mod task;
mod theme;
mod watch;

pub use app::{App, Leave};
pub use desk::Desk;
pub use drive::{MakeHost, drive};
pub use job::{Job, Message};
pub use task::{News, Task};
