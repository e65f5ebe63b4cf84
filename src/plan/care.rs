//! How the application of a plan is looked after, resolved: it is kept with the run, and works months later without the
//! guide.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::system::service::Manager;

/// How the application is looked after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Care {
    /// The action with its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The question that names the version of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The question with its settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Its services, in the order in which they are restarted.
    pub services: Vec<Service>,
    /// A shell as its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Shell>,
}

/// A service of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What people call it.
    pub name: String,
    /// Who manages it.
    pub manager: Manager,
    /// Its name there.
    pub unit: String,
    /// Whether it is a job, which ends by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub job: bool,
    /// The file it logs to; none where it logs to systemd's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
}

/// A shell as the application's user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shell {
    /// The user.
    pub user: String,
    /// The directory in which it starts.
    pub directory: PathBuf,
    /// A file with its environment, for a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<PathBuf>,
    /// A directory of programs that come first, or several with `:` between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<PathBuf>,
    /// A program that root runs instead, with the command as its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<PathBuf>,
}
