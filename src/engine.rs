//! The engine: executes a plan under a journal, and takes it back.
//!
//! [`journal`] is the write-ahead log, [`undo`] the small vocabulary of records that lead back, [`run`]
//! executes, [`rollback`] reverts, [`manifest`] knows what the disk looked like before and after,
//! [`deadman`] takes back by itself what could cut the administrator off,
//! [`event`] is what it tells the world, [`decision`] what it asks after a failure, [`replan`] what becomes of a
//! run that is given other answers, [`runs`] the directory of all runs, [`previous`] the answers of an earlier
//! one, [`launch`] the way into a run, [`ownership`] whose the things are that it would change, [`detach`] the process that outlives the terminal.

pub mod data;
pub mod decision;
pub mod detach;
pub mod drift;
pub mod event;
pub mod health;
pub mod journal;
pub mod launch;
pub mod ownership;
pub mod previous;
pub mod replan;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod secret_store;
pub mod window;
