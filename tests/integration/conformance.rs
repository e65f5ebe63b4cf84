//! The machine in memory keeps the rules of this one: each test makes the same assertions of both. Accounts, packages
//! and services, which no test changes on this machine, are compared on a test host (`tests/hosts/conformance.rs`).
//!
//! Where the two differ, and why: a program that nobody described succeeds in memory and does nothing, and a package
//! that nobody described is in its archive, so that tests of the engine need only say what matters to them. What is
//! reserved in memory has no size, since room on its disk is a number. What a killed write leaves beside a file is
//! not there, since nothing is written half. Masks and owners of what programs make are those of root.

mod commands;
pub mod debian;
mod files;
mod links;
mod tools;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bringup::host::fake::FakeHost;
use bringup::host::real::RealHost;
use bringup::host::{Command, Host, Meta, Output, Stat};

/// Somebody who is not root.
const APP: u32 = 54321;

/// A host with an empty directory.
struct Ground {
    host: Box<dyn Host>,
    dir: PathBuf,
    is_real: bool,
}

impl Ground {
    fn in_memory(name: &str) -> Self {
        let host = FakeHost::new();
        host.without_program("no-such-program");
        Self::of(Box::new(host), name, false)
    }

    fn real(name: &str) -> Self {
        Self::of(Box::new(RealHost::new()), name, true)
    }

    fn of(host: Box<dyn Host>, name: &str, is_real: bool) -> Self {
        let dir = Path::new("/tmp").join(format!("bringup-conformance-{name}-{}", std::process::id()));
        host.remove_tree(&dir).unwrap();
        let uid = host.euid();
        let gid = if is_real { rustix::process::getegid().as_raw() } else { 0 };
        host.make_dir(&dir, Meta { mode: 0o755, uid, gid }).unwrap();
        Self { host, dir, is_real }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Of whoever runs the tests.
    fn own(&self, mode: u32) -> Meta {
        Meta { mode, ..self.stat("").meta }
    }

    fn is_root(&self) -> bool {
        self.host.euid() == 0
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.host.write(&self.at(name), content.as_ref(), self.own(0o644)).unwrap();
    }

    fn make_dir(&self, name: &str) {
        self.host.make_dir(&self.at(name), self.own(0o755)).unwrap();
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) {
        self.host.make_symlink(&self.at(name), target.as_ref()).unwrap();
    }

    #[track_caller]
    fn stat(&self, name: &str) -> Stat {
        self.host.stat(&self.at(name)).unwrap().unwrap()
    }

    fn is_there(&self, name: &str) -> bool {
        self.host.stat(&self.at(name)).unwrap().is_some()
    }

    #[track_caller]
    fn text(&self, name: &str) -> String {
        String::from_utf8(self.host.read(&self.at(name)).unwrap()).unwrap()
    }

    fn names(&self, name: &str) -> Vec<String> {
        let names = self.host.list(&self.at(name)).unwrap();
        names.iter().map(|name| name.display().to_string()).collect()
    }

    fn command<const N: usize>(&self, argv: [&str; N]) -> Command {
        Command::new(argv).cwd(&self.dir)
    }

    fn run<const N: usize>(&self, argv: [&str; N]) -> Output {
        self.host.run(&self.command(argv)).unwrap()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_real {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

#[track_caller]
fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.map(drop).unwrap_err().kind()
}

/// Makes of each function two tests: `in_memory::<name>` and `real::<name>`.
macro_rules! of_both {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[test] fn $name() { super::$name(&crate::conformance::Ground::in_memory(stringify!($name))); })*
        }
        mod real {
            $(#[test] fn $name() { super::$name(&crate::conformance::Ground::real(stringify!($name))); })*
        }
    };
}
use of_both;

#[test]
fn accounts_packages_and_services_in_memory() {
    debian::agrees(&FakeHost::new());
}
