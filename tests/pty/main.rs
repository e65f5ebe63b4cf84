//! Programs in real pseudo-terminals: whatever happens to them, the terminal comes back as it was, nothing spins,
//! and little is written. Needs neither root nor test hosts.
//!
//! Started with `demo`, `line` or `wizard` as its first argument, this program is the one under test; else it runs the tests,
//! as cargo's own harness would: `cargo test --test pty [NAME]`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    missing_docs
)]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

mod demo;
mod fields;
mod machine;
mod pages;
mod session;
mod terminal;
mod tour;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("demo") => return demo::main(),
        Some("line") => return fields::line(),
        Some("wizard") => return machine::main(&arguments.next().unwrap()),
        _ => {}
    }
    // What loses its parent becomes our child: its end and its CPU time can be seen.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let arguments = Arguments::from_args();
    let tests =
        terminal::tests().into_iter().chain(pages::tests()).chain(fields::tests()).chain(tour::tests()).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// A test that passes unless it panics.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
