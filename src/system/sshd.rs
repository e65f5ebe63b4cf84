//! The SSH server: its configuration as it reads it, and how it is run.

pub mod config;
pub mod server;
