//! bringup takes a fresh Linux server to a production set-up that works, and takes it back again.
//!
//! Data flows one way: guide + facts + answers -> [`plan`] -> [`engine`] -> events -> [`ui`].
//! Nothing reaches back up, and only [`host`] touches the machine.

pub mod action;
pub mod answers;
pub mod assets;
pub mod bytes;
pub mod cli;
pub mod engine;
pub mod error;
pub mod facts;
pub mod guide;
pub mod host;
mod near;
pub mod plan;
pub mod proof;
pub mod secret;
pub mod sizing;
pub mod ui;
pub mod visible;
pub mod yaml;
