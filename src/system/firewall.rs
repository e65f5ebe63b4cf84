//! Firewalls: which ones are there, what is to pass, and what is loaded.

pub mod knock;
pub mod managers;
pub mod nft;
pub mod opening;
pub mod ruleset;
