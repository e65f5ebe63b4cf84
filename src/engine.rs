//! The engine: carries out a plan under a journal, and rolls it back.
//!
//! [`journal`] is the write-ahead log, [`undo`] the vocabulary of undo records, [`run`] carries out a plan, [`rollback`]
//! undoes it, [`manifest`] records the disk before and after, [`deadman`] reverts changes that could cut the
//! administrator off, [`event`] is what it reports, [`decision`] what it asks after a failure, [`replan`] exchanges the
//! plan of a waiting run, [`runs`] is the directory of all runs, [`previous`] reads the answers of an earlier one,
//! [`launch`] starts a run, [`ownership`] says whose things a plan would change, [`detach`] is the process that
//! outlives the terminal.

pub mod care;
pub mod data;
pub mod decision;
pub mod detach;
pub mod drift;
pub mod event;
pub mod health;
pub mod journal;
pub mod launch;
pub mod old_releases;
pub mod ownership;
pub mod previous;
pub mod replan;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod secret_store;
pub mod window;
