//! `deb`: installs a Debian package from its file, and purges it again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::action::packages::{apt, record, refuse_broken};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};
use crate::system::packages::policy;
use crate::system::packages::status::Database;
use crate::system::paths;
use crate::undo::Undo;

/// Installs a Debian package from its file, with what it needs from the archives, and starts none of its services.
///
/// An earlier action may make the file. Where another version is installed, that of the file replaces it. Once the
/// package is installed, the file may go. One that users other than root can change is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deb {
    /// The package's name; a file with another one is refused.
    pub package: String,
    /// Its file, such as `/root/product_1.0_all.deb`.
    pub file: PathBuf,
}

/// Reading a control file takes no time.
const TIMEOUT: Duration = Duration::from_mins(1);

impl Act for Deb {
    fn describe(&self) -> String {
        format!("install {} from {}", self.package, self.file.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let installed = version(&Database::read(cx.host)?, &self.package);
        if policy::is_left(cx.host)? {
            return Ok(Verdict::change("finish an interrupted package transaction"));
        }
        let there = cx.host.stat(&self.file).map_err(|e| Failure::new(self.describe(), e))?.is_some();
        match (installed, there) {
            // The action that makes the file comes first; without one, applying says that it is missing.
            (None, false) => Ok(Verdict::change(self.describe())),
            (Some(_), false) => Ok(Verdict::Unchanged),
            (installed, true) => {
                let offered = self.offered(cx.host)?;
                Ok(match installed {
                    Some(installed) if installed == offered => Verdict::Unchanged,
                    Some(installed) => {
                        let what = format!("{} {offered} instead of {installed}", self.package);
                        Verdict::change(format!("install {what} from {}", self.file.display()))
                    }
                    None => Verdict::change(self.describe()),
                })
            }
        }
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let database = Database::read(cx.host)?;
        refuse_broken(cx, &database)?;
        self.offered(cx.host)?;
        Ok(vec![record(cx, &database, &[&self.name()?], false)?])
    }

    /// Another version may need other packages.
    fn update_undo(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.prepare(cx)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let apt = apt(cx);
        apt.wait()?;
        if Database::read(cx.host)?.unfinished() && (policy::is_left(cx.host)? || apt.has_begun()) {
            apt.mend()?;
        }
        policy::clean(cx.host)?;
        if self.check(cx)? == Verdict::Unchanged {
            return Ok(());
        }
        let offered = self.offered(cx.host)?;
        apt.install(&[&self.name()?], false)?;
        match version(&Database::read(cx.host)?, &self.package) {
            Some(installed) if installed == offered => Ok(()),
            _ => Err(Failure::new(self.describe(), format!("apt reports success, but {offered} is not installed"))
                .hint("see `dpkg --audit`")),
        }
    }

    fn brings(&self) -> Brings {
        Brings { packages: vec![self.package.clone()], ..Brings::default() }
    }
}

impl Deb {
    /// The file as an argument of apt: without a `/` it would be the name of a package.
    fn name(&self) -> Outcome<String> {
        let path = self.file.to_str().filter(|path| Path::new(path).is_absolute());
        path.map(str::to_owned)
            .ok_or_else(|| Failure::new(self.describe(), "the path is not absolute").hint("begin it with /"))
    }

    /// Refuses a file that another user could exchange: scripts in it run as root.
    fn belongs_to_root(&self, host: &dyn Host) -> Outcome<()> {
        let hint = "copy it to a directory of root's, such as /root, and give it to root with mode 0644";
        let refused = |why: String| Failure::new(self.describe(), why).hint(hint);
        paths::only_root_changes(host, &self.file).map_err(|failure| refused(failure.why))?;
        let shown = self.file.display();
        match host.stat(&self.file).map_err(|e| Failure::new(self.describe(), e))? {
            Some(stat) if stat.kind != Kind::File => Err(refused(format!("{shown} is not a regular file"))),
            Some(stat) if stat.meta.uid != 0 || stat.meta.mode & 0o022 != 0 => Err(refused(format!(
                "users other than root can change {shown} (user id {}, mode {:04o})",
                stat.meta.uid, stat.meta.mode
            ))),
            // That none is there, dpkg-deb says.
            Some(_) | None => Ok(()),
        }
    }

    /// The version in the file, which must hold this package.
    fn offered(&self, host: &dyn Host) -> Outcome<String> {
        let failed = |why: String| Failure::new(self.describe(), why);
        self.belongs_to_root(host)?;
        let command = Command::new(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", &self.name()?]);
        let output = host.run(&command.timeout(TIMEOUT)).map_err(|e| failed(format!("dpkg-deb: {e}")))?;
        if !output.ok() {
            return Err(failed("the file is missing, or no Debian package".to_owned()).tail(output.tail(3)));
        }
        let text = output.text();
        match text.trim().split_once(' ') {
            Some((package, version)) if package == self.package => Ok(version.to_owned()),
            _ => Err(failed(format!("the file holds another package, {}", text.trim()))),
        }
    }
}

/// The installed version of a package.
fn version(database: &Database, name: &str) -> Option<String> {
    database.present(name).map(|package| package.version.clone())
}

#[cfg(test)]
mod tests;
