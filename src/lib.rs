//! bringup takes a fresh Linux server to a production set-up that works, and takes it back again.
//!
//! Data flows one way: guide + facts + answers -> [`plan`] -> [`engine`] -> events -> [`ui`].
//! Nothing reaches back up, and only [`host`] touches the machine.
//!
//! The modules lie in layers, from the top: each uses what lies below it, never what lies above. `tests/integration/layers.rs`
//! reads the `use` lines and fails on one that goes up.
//!
//! | layer | what it knows |
//! | --- | --- |
//! | [`cli`] | the command line: which verb does what |
//! | [`ui`], [`preflight`] | what a person reads and is asked; what is wrong with this host before anything begins |
//! | [`engine`] | runs, journal, rollback, decisions, the way into a run |
//! | [`plan`] | guide + facts + answers, resolved |
//! | [`answers`] | values and what is wrong with them |
//! | [`guide`] | a product's way to production, as data |
//! | [`proof`] | functional checks |
//! | [`action`] | the smallest reversible changes, a file for each kind |
//! | [`undo`] | records that lead back, manifests of the disk, changes under the dead-man switch |
//! | [`system`] | what everybody knows about Debian and its networks |
//! | [`facts`] | what this machine is |
//! | the ground | everything else: errors, secrets, YAML, progress, the state directory, and the door to the machine |

pub mod action;
pub mod answers;
pub mod assets;
pub mod cli;
pub mod diff;
pub mod engine;
pub mod error;
pub mod facts;
pub mod guide;
pub mod hash;
pub mod host;
pub mod human_bytes;
pub mod plan;
pub mod preflight;
pub mod progress;
pub mod proof;
pub mod secret;
pub mod sizing;
pub mod state_dir;
mod suggest;
pub mod system;
pub mod ui;
pub mod undo;
pub mod visible;
pub mod yaml;
