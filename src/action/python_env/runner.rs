//! Who runs pip.

use std::path::{Path, PathBuf};

use super::{LONGEST, PATIENCE};
use crate::action::command_runner::CommandRunner;
use crate::action::contract::Context;
use crate::action::release::clear;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Kind, Meta, Stat, outside};
use crate::system::paths;

/// Root's own settings of pip, by their place in its home.
const OF_ROOT: [&str; 2] = [".config/pip/pip.conf", ".pip/pip.conf"];
/// Those of all users.
const OF_ALL: &str = "/etc/pip.conf";
/// Has pip install a directory as it is, instead of a link to it, in $0, a file of requirements, and those beside it.
const UNLINK: &str = r#"for file in "$0" "${0%/*}"/*.txt; do
    [ ! -f "$file" ] || sed -E -i 's/^[[:space:]]*(-e|--editable)[[:space:]=]+//' -- "$file"
done"#;

/// Who runs pip: root, or a user without rights with a home, where it reads root's settings.
pub(super) struct Runner<'a> {
    pub(super) user: &'a str,
    ground: &'a Path,
    /// A copy of pip's settings for all users, where the user cannot read those.
    settings: Option<PathBuf>,
}

impl<'a> Runner<'a> {
    /// Root with an empty name. Another user works in `ground`.
    pub(super) const fn new(user: &'a str, ground: &'a Path) -> Self {
        Self { user, ground, settings: None }
    }

    /// Makes the user's home, with root's settings of pip in it.
    pub(super) fn set_up(&mut self, cx: &Context<'_>, owner: Meta) -> Outcome<()> {
        clear(cx, self.ground)?;
        paths::make_dir(cx.host, self.ground, owner)?;
        self.settings = self.give_settings(cx, owner)?;
        Ok(())
    }

    fn home(&self) -> PathBuf {
        self.ground.join("home")
    }

    /// This command, in this directory, as that user.
    pub(super) fn command(&self, cx: &Context<'_>, command: Command) -> Command {
        if self.user.is_empty() {
            return command;
        }
        // With the passwords in them, which other programs of such users do not get.
        let whole = outside::VARIABLES.iter().filter_map(|name| Some((*name, cx.host.env(name)?)));
        let command = whole.fold(command.user(self.user), |command, (name, value)| command.env(name, value));
        let command = command.env("HOME", self.home().to_string_lossy());
        match &self.settings {
            Some(file) => command.env("PIP_CONFIG_FILE", file.to_string_lossy()),
            None => command,
        }
    }

    /// Copies root's settings of pip, which may name an index with a password, to the user's home.
    fn give_settings(&self, cx: &Context<'_>, owner: Meta) -> Outcome<Option<PathBuf>> {
        let home = self.home();
        let own = |path: &Path| paths::make_dir(cx.host, path, owner);
        let copy = |from: &Path, to: &Path| {
            let bytes =
                cx.host.read_at_most(from, LONGEST).map_err(|e| Failure::new(format!("read {}", from.display()), e))?;
            let written = cx.host.write(to, &bytes, Meta { mode: 0o600, ..owner });
            written.map_err(|e| Failure::new(format!("write {}", to.display()), e))
        };
        own(&home)?;
        own(&home.join(".config"))?;
        for file in OF_ROOT.iter().filter(|file| paths::is_file(cx.host, &Path::new("/root").join(file))) {
            let to = home.join(file);
            own(to.parent().unwrap_or(&home))?;
            copy(&Path::new("/root").join(file), &to)?;
        }
        let withheld = |stat: &Stat| stat.kind == Kind::File && stat.meta.mode & 0o004 == 0;
        let to = home.join("pip.conf");
        let settings = paths::stat(cx.host, Path::new(OF_ALL))?.filter(withheld).map(|_| to);
        if let Some(to) = &settings {
            copy(Path::new(OF_ALL), to)?;
        }
        Ok(settings)
    }

    /// The file of requirements, in a copy of its directory where it names something in that: pip builds it where it is.
    pub(super) fn copied(&self, cx: &Context<'_>, file: &Path) -> Outcome<PathBuf> {
        let text =
            cx.host.read_at_most(file, LONGEST).map_err(|e| Failure::new(format!("read {}", file.display()), e))?;
        let beside = String::from_utf8_lossy(&text).lines().any(names_something_beside);
        let (Some(directory), Some(name)) = (file.parent().filter(|_| beside), file.file_name()) else {
            return Ok(file.to_owned());
        };
        let copy = self.ground.join("copy");
        let (from, to) = (format!("{}/.", directory.display()), copy.to_string_lossy().into_owned());
        let as_user = |argv: &[&str]| {
            let mut command = Command::new(argv.iter().copied()).user(self.user).timeout(PATIENCE);
            command.umask = Some(0o022);
            CommandRunner::new(command).run(cx, &format!("copy {}", directory.display())).map(drop)
        };
        as_user(&["cp", "--recursive", "--no-target-directory", "--", &from, &to])?;
        let file = copy.join(name);
        as_user(&["sh", "-c", UNLINK, &file.to_string_lossy()])?;
        Ok(file)
    }
}

/// Whether a line of requirements names a package that lies beside the file.
fn names_something_beside(line: &str) -> bool {
    ["-e", "--editable", ".", "file:."].iter().any(|begin| line.trim_start().starts_with(begin))
}
