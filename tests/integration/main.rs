//! The library as a whole, without root and without test hosts. One program, so that the library is linked once.
//!
//! `cargo test --test integration [MODULE::NAME]`. Programs of their own are `tests/pty`, which starts itself as the
//! program under test, and `tests/hosts`, which `tests/run` starts on its own.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs
)]

mod answers;
mod bounds;
mod conformance;
mod dialogue;
#[path = "../hosts/dice.rs"]
mod dice;
mod documents;
mod exosphere;
mod exosphere_uap;
mod faults;
mod flectra;
mod guides;
mod layers;
mod outline;
mod plans;
mod ravada;
mod receipts;
mod reference;
mod saltant;
mod support;
mod webapp_database;
mod webapp_web;
mod weblab;
