//! The engine: executes a plan under a journal, and takes it back.
//!
//! [`journal`] is the write-ahead log, [`undo`] the small vocabulary of records that lead back, [`run`]
//! executes, [`rollback`] reverts, [`manifest`] knows what the disk looked like before and after,
//! [`deadman`] takes back by itself what could cut the administrator off,
//! [`event`] is what it tells the world, [`runs`] the directory of all runs, [`detach`] the process that
//! outlives the terminal.

pub mod data;
pub mod deadman;
pub mod detach;
pub mod event;
pub mod journal;
pub mod manifest;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod undo;
