//! Actions: the smallest reversible changes.
//!
//! An action has three verbs: `check` (is the host already as it should be?), `prepare` (the undo records, written to
//! the journal before the first change) and `apply`. All three may be called any number of times. An action is rolled
//! back as a whole.
//!
//! Each kind lives in a file of its own. Kinds are general: nothing here knows a product.

use serde::{Deserialize, Serialize};

pub use contract::{Act, Brings, Change, Context, Reversible, Verdict};

pub mod acme;
pub mod build;
pub mod carry;
pub mod certificate;
pub mod command;
mod command_runner;
pub mod contract;
pub mod database;
pub mod deb;
pub mod directory;
pub mod edit;
pub mod file;
pub mod firewall;
pub mod packages;
pub mod python_env;
pub mod rabbitmq;
pub mod release;
pub mod remove;
pub mod service;
pub mod source;
pub mod sshd;
pub mod symlink;
#[cfg(test)]
pub(crate) mod testing;
mod tools;
pub mod trial;
pub mod user;

/// Every kind of action, in the form it has in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Packages(packages::Packages),
    File(file::File),
    Edit(edit::Edit),
    Directory(directory::Directory),
    Symlink(symlink::Symlink),
    #[serde(rename = "absent", alias = "remove")]
    Remove(remove::Remove),
    User(user::User),
    Deb(deb::Deb),
    Source(source::Source),
    PythonEnv(python_env::PythonEnv),
    Build(build::Build),
    Trial(trial::Trial),
    Service(service::Service),
    Database(database::Database),
    Rabbitmq(rabbitmq::Rabbitmq),
    Certificate(certificate::Certificate),
    Firewall(firewall::Firewall),
    Acme(acme::Acme),
    Sshd(sshd::Sshd),
    Command(command::RawCommand),
}

impl Action {
    /// The kinds' names as a guide writes them.
    pub const KINDS: &'static [&'static str] = &[
        "packages",
        "file",
        "edit",
        "directory",
        "symlink",
        "remove",
        "user",
        "deb",
        "source",
        "python_env",
        "build",
        "trial",
        "service",
        "database",
        "rabbitmq",
        "certificate",
        "firewall",
        "acme",
        "sshd",
        "command",
    ];

    /// Whether it may be applied over `earlier`, with the records of `earlier` still leading to the prior state.
    /// Otherwise `earlier` is rolled back first: edits would add up, trees would lie side by side, a user would stay in
    /// its groups, and the effect of a command is unknown.
    pub fn supersedes(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            // A purge leaves accounts and data behind: only rolling back the whole run removes those.
            (Self::Packages(new), Self::Packages(old)) => old.names.iter().all(|name| new.names.contains(name)),
            (Self::Deb(new), Self::Deb(old)) => new.package == old.package,
            (Self::File(new), Self::File(old)) => new.path == old.path,
            (Self::Directory(new), Self::Directory(old)) => new.path == old.path && new.user_data == old.user_data,
            (Self::Symlink(new), Self::Symlink(old)) => new.path == old.path,
            (Self::Certificate(new), Self::Certificate(old)) => {
                new.certificate == old.certificate && new.key == old.key
            }
            // Nothing of a trial stays.
            (Self::Trial(_), Self::Trial(_)) => true,
            (Self::Service(new), Self::Service(old)) => new.manager == old.manager && new.name == old.name,
            _ => false,
        }
    }

    /// The contract of this kind.
    pub fn act(&self) -> &dyn Act {
        match self {
            Self::Packages(a) => a,
            Self::File(a) => a,
            Self::Edit(a) => a,
            Self::Directory(a) => a,
            Self::Symlink(a) => a,
            Self::Remove(a) => a,
            Self::User(a) => a,
            Self::Deb(a) => a,
            Self::Source(a) => a,
            Self::PythonEnv(a) => a,
            Self::Build(a) => a,
            Self::Trial(a) => a,
            Self::Service(a) => a,
            Self::Database(a) => a,
            Self::Rabbitmq(a) => a,
            Self::Certificate(a) => a,
            Self::Firewall(a) => a,
            Self::Acme(a) => a,
            Self::Sshd(a) => a,
            Self::Command(a) => a,
        }
    }
}
