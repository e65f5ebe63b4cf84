//! The engine: executes a plan under a journal, and takes it back.
//!
//! [`journal`] is the write-ahead log, [`undo`] the small vocabulary of records that lead back, [`run`]
//! executes, [`rollback`] reverts, [`manifest`] knows what the disk looked like before and after,
//! [`event`] is what it tells the world, [`runs`] the directory of all runs, [`previous`] the answers of an
//! earlier one, [`detach`] the process that outlives the terminal.

pub mod data;
pub mod detach;
pub mod event;
pub mod journal;
pub mod manifest;
pub mod previous;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod undo;
