//! How an application is looked after once it is in place: what `bringup deploy`, `env`, `logs`, `restart` and `shell`
//! need to know of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the application is looked after.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Care {
    /// The `source` action with its code (`application.code`): `bringup deploy` brings its next version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The question that names the branch, tag or commit of a git repository (`application.reference`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The question of the type `map` with its settings (`application.env`): `bringup env` changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Its services, in the order in which `bringup restart` restarts them.
    #[serde(default)]
    pub services: Vec<CareService>,
    /// What `bringup shell` opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<CareShell>,
}

/// A service of the application; text leaves are templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CareService {
    /// What people call it: `web`, `worker`.
    pub name: String,
    /// Who manages it: `systemd`, `sysv` or `supervisor`.
    pub manager: Value,
    /// Its name there, such as `shop.service`.
    pub unit: String,
    /// Whether it is a job, which ends by itself: `bringup restart` runs it only where it is named. Of systemd.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub job: bool,
    /// The file it logs to, where that is not systemd's journal; below directories that only root can change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// When there is one.
    #[serde(default, skip_serializing)]
    pub when: Option<String>,
    /// An expression that yields a list: there is one for each `item` (and `index` from 0).
    #[serde(default, skip_serializing)]
    pub for_each: Option<String>,
}

/// A shell as the application's user; text leaves are templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CareShell {
    /// The user.
    pub user: String,
    /// The directory in which it starts.
    pub directory: String,
    /// A file with its environment, as assignments for a shell; the user must be able to read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// A directory of programs that come before those of the system, such as a virtual environment's `bin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<String>,
    /// A program that root runs instead, with the command as its arguments: one that opens the shell in a container. It must
    /// be below directories that only root can change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<String>,
}
