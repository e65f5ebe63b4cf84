//! `private`: no password in files and command lines that every user can read.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Stat, control_group};
use crate::proof::{Context, NOT_TRIED, Prove};
use crate::secret::Secret;
use crate::sizing::grouped;

/// No file or command line that every user can read contains a secret of the answers.
///
/// Searched are `/etc`, `/run`, `/var/log`, the command lines of services, and what the guide names. Groups and ACLs are
/// not looked at: who is in a group was asked for. What an administrator typed is not the application's doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// Further directories and files, such as those of the application.
    #[serde(default)]
    pub below: Vec<PathBuf>,
}

/// Where programs write what everybody reads.
const ALWAYS: [&str; 3] = ["/etc", "/run", "/var/log"];
/// What others wrote, in many thousand files.
const FOREIGN: [&str; 4] = ["node_modules", "site-packages", "dist-packages", ".git"];
/// Larger files are logs; of them the beginning is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// Shorter secrets are found by chance.
const SHORTEST: usize = 8;
/// Permissions of those who are neither the owner nor in the group: to read, and to go through a directory.
const READ: u32 = 0o004;
const PASS: u32 = 0o001;

impl Prove for Private {
    fn describe(&self) -> String {
        "no file that every user can read and no command line of a service contains a password".to_owned()
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let what = || format!("verify that {}", self.describe());
        let sought: Vec<(&str, &Secret)> = cx.secrets.iter().filter(|(_, value)| is_sought(value.expose())).collect();
        if sought.is_empty() {
            return Ok(format!("{NOT_TRIED}the answers have no password that would not be found by chance"));
        }
        let mut search = Search { host: cx.host, sought, seen: 0, found: Vec::new() };
        let places = ALWAYS.iter().map(Path::new).chain(self.below.iter().map(PathBuf::as_path));
        for place in places {
            search.place(place).map_err(|e| Failure::new(what(), e))?;
        }
        search.command_lines().map_err(|e| Failure::new(what(), e))?;
        if search.found.is_empty() {
            let (secrets, seen) = (search.sought.len(), grouped(search.seen));
            let what = if secrets == 1 { "password" } else { "passwords" };
            return Ok(format!("{secrets} {what} in none of the {seen} files and command lines"));
        }
        Err(Failure::new(what(), format!("everybody can read {}", search.found.join(", ")))
            .hint("take the permission away (`chmod o-r`), or the password out of it, and change the password"))
    }

    /// Another look would find no less.
    fn retry_for(&self) -> Duration {
        Duration::ZERO
    }

    fn independent(&self) -> bool {
        true
    }
}

/// Whether a value would not be found by chance, as a word or an address would: it has two of small letters, capital
/// letters and digits, and no colon.
fn is_sought(value: &str) -> bool {
    let kinds = [char::is_lowercase as fn(char) -> bool, char::is_uppercase, |c| c.is_ascii_digit()];
    let kinds = kinds.iter().filter(|is| value.contains(**is)).count();
    value.len() >= SHORTEST && kinds > 1 && !value.contains(':')
}

struct Search<'a> {
    host: &'a dyn Host,
    sought: Vec<(&'a str, &'a Secret)>,
    seen: u64,
    /// Each as `NAME in PATH`.
    found: Vec<String>,
}

impl Search<'_> {
    /// Searches a directory or file, if every user can get there.
    fn place(&mut self, place: &Path) -> io::Result<()> {
        for directory in place.ancestors().skip(1) {
            match self.host.stat(directory)? {
                Some(stat) if stat.kind == Kind::Symlink || stat.meta.mode & PASS != 0 => {}
                _ => return Ok(()),
            }
        }
        match self.host.stat(place)? {
            // A release, behind a link of root's.
            Some(stat) if stat.kind == Kind::Symlink => self.below(place),
            Some(stat) => self.entry(place, &stat),
            None => Ok(()),
        }
    }

    fn entry(&mut self, path: &Path, stat: &Stat) -> io::Result<()> {
        match stat.kind {
            Kind::Dir if stat.meta.mode & PASS != 0 => self.below(path),
            Kind::File if stat.meta.mode & READ != 0 => {
                self.read(path);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn below(&mut self, directory: &Path) -> io::Result<()> {
        for name in gone_is_empty(self.host.list(directory))? {
            let path = directory.join(&name);
            if FOREIGN.iter().any(|foreign| name == Path::new(foreign)) {
                continue;
            }
            // What disappears while we look is no longer readable.
            if let Some(stat) = self.host.stat(&path)? {
                self.entry(&path, &stat)?;
            }
        }
        Ok(())
    }

    fn command_lines(&mut self) -> io::Result<()> {
        for name in self.host.list(Path::new("/proc"))? {
            let process = Path::new("/proc").join(&name);
            if name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) && self.is_of_a_service(&process)? {
                self.read(&process.join("cmdline"));
            }
        }
        Ok(())
    }

    /// Whether a process belongs to a service. Without groups of systemd's, to any user but root, who types.
    fn is_of_a_service(&self, process: &Path) -> io::Result<bool> {
        let groups = self.host.read_start(&process.join("cgroup"), LARGEST).unwrap_or_default();
        let group = control_group::find(&String::from_utf8_lossy(&groups)).unwrap_or_default();
        if group.contains(".slice/") {
            return Ok(control_group::service(&group).is_some());
        }
        Ok(self.host.stat(process)?.is_some_and(|stat| stat.meta.uid != 0))
    }

    fn read(&mut self, path: &Path) {
        let Ok(bytes) = self.host.read_start(path, LARGEST) else { return };
        let text = String::from_utf8_lossy(&bytes);
        self.seen += 1;
        let contained = self.sought.iter().filter(|(_, value)| text.contains(value.expose()));
        self.found.extend(contained.map(|(name, _)| format!("{name} in {}", path.display())));
    }
}

/// A directory that is gone, or that is none any more, holds nothing.
fn gone_is_empty(names: io::Result<Vec<PathBuf>>) -> io::Result<Vec<PathBuf>> {
    match names {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::Meta;
    use crate::host::fake::FakeHost;
    use crate::secret::Secrets;

    const PASSWORD: &str = "correctHorse7";

    fn host() -> FakeHost {
        let host = FakeHost::new();
        for directory in ["/etc", "/run", "/var", "/var/log", "/var/lib", "/opt", "/opt/shop", "/opt/shop/app.releases"]
        {
            let _ = host.make_dir(Path::new(directory), Meta::root(0o755));
        }
        host.put_file("/proc/7/cmdline", "shop\0serve\0", 0o444);
        host
    }

    fn prove(host: &FakeHost) -> Outcome<String> {
        let mut secrets = Secrets::default();
        secrets.insert("database.password", Secret::new(PASSWORD));
        secrets.insert("application.env[MODE]", Secret::new("production"));
        let proof = Private { below: vec!["/opt/shop/app".into(), "/var/lib/shop".into()] };
        proof.prove(&Context { host, secrets: &secrets })
    }

    #[test]
    fn what_others_cannot_read_may_hold_it() {
        let host = host();
        host.put_file("/etc/shop.conf", PASSWORD, 0o640);
        host.put_file("/etc/mode", "production", 0o644);
        host.make_dir(Path::new("/var/lib/shop"), Meta::root(0o750)).unwrap();
        host.put_file("/var/lib/shop/notes", PASSWORD, 0o644);
        let told = prove(&host).unwrap();
        assert!(told.starts_with("1 password in none of the "), "{told}");
    }

    #[test]
    fn a_readable_file_is_found_behind_the_link_to_a_release_too() {
        let host = host();
        host.make_dir(Path::new("/opt/shop/app.releases/1"), Meta::root(0o755)).unwrap();
        host.make_symlink(Path::new("/opt/shop/app"), Path::new("app.releases/1")).unwrap();
        host.put_file("/opt/shop/app/settings.py", format!("PASSWORD = '{PASSWORD}'\n"), 0o644);
        host.put_file("/var/log/shop.log", PASSWORD, 0o644);
        let failure = prove(&host).unwrap_err();
        assert_eq!(
            failure.why,
            "everybody can read database.password in /var/log/shop.log, database.password in /opt/shop/app/settings.py"
        );
        assert!(!format!("{failure:?}").contains(PASSWORD));
    }

    #[test]
    fn what_an_administrator_types_is_no_service() {
        let host = host();
        let typed = format!("sh\0-c\0echo {PASSWORD} | bringup env set KEY\0");
        for (number, group) in
            [("8", "0::/user.slice/session-1.scope"), ("9", "0::/system.slice/ssh.service"), ("10", "")]
        {
            host.put_file(format!("/proc/{number}/cmdline"), &*typed, 0o444);
            host.put_file(format!("/proc/{number}/cgroup"), group, 0o444);
        }
        prove(&host).unwrap();
        host.put_file("/proc/9/cgroup", "1:name=systemd:/system.slice/shop.service\n", 0o444);
        assert_eq!(prove(&host).unwrap_err().why, "everybody can read database.password in /proc/9/cmdline");
        host.set_meta(Path::new("/proc/10"), Meta { uid: 33, gid: 33, mode: 0o555 }).unwrap();
        assert!(prove(&host).unwrap_err().why.contains("/proc/10/cmdline"));
    }

    #[test]
    fn a_command_line_is_read_and_packages_of_others_are_not() {
        let host = host();
        host.put_file("/proc/8/cmdline", format!("psql\0--password={PASSWORD}\0"), 0o444);
        host.put_file("/proc/8/cgroup", "0::/system.slice/shop.service\n", 0o444);
        host.make_dir(Path::new("/opt/shop/app"), Meta::root(0o755)).unwrap();
        host.make_dir(Path::new("/opt/shop/app/node_modules"), Meta::root(0o755)).unwrap();
        host.put_file("/opt/shop/app/node_modules/odd.js", PASSWORD, 0o644);
        let failure = prove(&host).unwrap_err();
        assert_eq!(failure.why, "everybody can read database.password in /proc/8/cmdline");
    }

    #[test]
    fn without_a_password_nothing_was_proven() {
        let proof = Private { below: Vec::new() };
        let told = proof.prove(&Context { host: &host(), secrets: &Secrets::default() }).unwrap();
        assert!(told.starts_with(NOT_TRIED), "{told}");
    }

    #[test]
    fn words_and_addresses_are_not_sought() {
        for common in ["production", "short1", "localhost:5432", "https://errors.example.org/7", "12345678901"] {
            assert!(!is_sought(common), "{common}");
        }
        assert!(is_sought(PASSWORD) && is_sought("a+9/bcdefg=="));
    }
}
