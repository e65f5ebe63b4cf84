//! Tests on whole Debian hosts: real apt, systemd, engines, crashes and power cuts.
//!
//! They need root and the hosts of `tests/hosts/machine`, so `cargo test` leaves them out and `tests/run` runs
//! them: `cargo test --test hosts -- --ignored --test-threads 2`. One alone: add its name. A host stays for
//! inspection when its test fails and `BRINGUP_TEST_KEEP` is set.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod acme;
mod acme_dns;
mod backups;
mod broker;
mod combinations;
mod conformance;
mod crashes;
mod databases;
mod decisions;
mod dialogue;
mod dice;
mod exosphere;
mod exosphere_acme;
mod exosphere_containers;
mod exosphere_uap;
mod failures;
mod firewall;
mod flectra;
mod guides;
mod host;
mod life;
mod logs;
mod names;
mod others;
mod own_app;
mod own_container;
mod own_kinds;
mod own_push;
mod own_python;
mod pair;
mod preflight;
mod ravada;
mod running;
mod saltant;
#[path = "../pty/session.rs"]
mod session;
mod several;
mod sites;
mod ssh;
mod weblab;
mod wizard;
