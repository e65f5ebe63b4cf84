//! Checks before anything is changed: whether a source can be fetched, and whether the application could read it.

use std::path::Path;
use std::time::Duration;

use super::{From, Source, git, image, push, shown};
use crate::action::contract::Act;
use crate::error::Failure;
use crate::host::{Command, Host, Kind};
use crate::system::net::http;
use crate::system::tree;

/// Timeout of asking a repository or a web server.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Timeout of listing an archive; one that takes longer is not judged.
const LISTING: Duration = Duration::from_secs(30);
/// Variables that configure proxies.
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
/// Files in which root may keep passwords for git.
const CREDENTIALS: [&str; 3] = ["/root/.netrc", "/root/.git-credentials", "/root/.gitconfig"];

impl Source {
    /// Why the source cannot be fetched, or is of no use, as far as can be determined without fetching it.
    pub fn obstacle(&self, host: &dyn Host) -> Option<Failure> {
        match self.from {
            From::Asset => None,
            From::Directory => {
                self.unreadable(&directory(host, Path::new(&self.location))).or_else(|| self.unfit_here(host))
            }
            From::Archive if self.location.starts_with('/') => {
                self.unreadable(&archive(host, &self.location)).or_else(|| self.unfit_here(host))
            }
            From::Archive => self.page(host, &self.location, &[401, 403, 404, 410]),
            From::Git => self.repository(host),
            From::Image => image::obstacle(self, host),
            From::Push => push::obstacle(self, host),
        }
    }

    /// Refuses files that the application's user could not read: a tree created with umask 077. Dot files are ignored,
    /// and a group of the application's own reads everything.
    fn unreadable(&self, closed: &[String]) -> Option<Failure> {
        let first = closed.first().filter(|_| self.group == "root" && self.owner == "root")?;
        let why = match closed.len() {
            1 => format!("only its owner can read {first} in it, and the application runs as another user"),
            n => format!(
                "only the owner can read {n} files and directories in it, such as {first}, and the application runs \
                 as another user"
            ),
        };
        let hint = if self.from == From::Directory {
            format!("chmod -R go+rX {} (a umask of 077 made them so)", self.location)
        } else {
            "pack it again after `chmod -R go+rX` (a umask of 077 made them so)".to_owned()
        };
        Some(Failure::new(self.describe(), why).hint(hint))
    }

    fn repository(&self, host: &dyn Host) -> Option<Failure> {
        let location = self.location.strip_prefix("file://").unwrap_or(&self.location);
        let there = |path: &Path| host.stat(path).is_ok_and(|stat| stat.is_some());
        if location.starts_with('/') {
            let path = Path::new(location);
            let works = [path.join("HEAD"), path.join(".git")].iter().any(|part| there(part));
            let bundle = host.stat(path).is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == Kind::File));
            return (!works && !bundle).then(|| {
                Failure::new(self.describe(), format!("there is no git repository at {location}"))
                    .hint("the source must be on this server before the run")
            });
        }
        if there(Path::new("/usr/bin/git")) && host.euid() == 0 {
            return self.listed(host);
        }
        let web = location.starts_with("https://") || location.starts_with("http://");
        if !web {
            return None;
        }
        let private = CREDENTIALS.iter().any(|path| there(Path::new(path)));
        let refusals: &[u16] = if private { &[410] } else { &[401, 403, 404, 410] };
        let url = format!("{}/info/refs?service=git-upload-pack", location.trim_end_matches('/'));
        self.page(host, &url, refusals)
    }

    /// Checks the repository and the branch or tag with git.
    fn listed(&self, host: &dyn Host) -> Option<Failure> {
        let mut argv = vec!["git", "ls-remote", "--quiet", "--exit-code", "--", &self.location];
        let named = !self.reference.is_empty() && !git::is_commit(&self.reference);
        argv.push(if named { &self.reference } else { "HEAD" });
        let output = host.run(&git::git(argv).timeout(TIMEOUT)).ok()?;
        match output.status {
            // It exists; or it may only be slow.
            0 | 124 => None,
            // An empty repository without a default branch can be cloned, but has no files.
            2 if named => Some(
                Failure::new(self.describe(), format!("the repository has no branch or tag {}", self.reference))
                    .hint(format!("`git ls-remote {}` lists them", shown(&self.location))),
            ),
            2 => Some(Failure::new(self.describe(), "the repository is empty").hint("push to it first")),
            _ => {
                let tail = output.tail(5);
                let last = tail.last().cloned().unwrap_or_default();
                Some(Failure::new(self.describe(), last).hint(git::HINT).tail(tail))
            }
        }
    }

    /// Whether a web server refuses the URL. A server that cannot be reached now is no refusal: it may be reached in
    /// another way, or later.
    fn page(&self, host: &dyn Host, url: &str, refusals: &[u16]) -> Option<Failure> {
        if PROXIES.iter().any(|name| host.env(name).is_some_and(|value| !value.is_empty())) {
            return None;
        }
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?']).next()?;
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name).trim_matches(['[', ']']);
        let glance = http::glance(host, url, name).ok()?;
        refusals.contains(&glance.status).then(|| {
            let why = format!("{} answers {}", shown(&self.location), glance.status);
            Failure::new(self.describe(), why).hint("check the address, and that it needs no login")
        })
    }
}

/// The entries of a directory that others cannot read, by their paths in it.
fn directory(host: &dyn Host, top: &Path) -> Vec<String> {
    let Ok(found) = tree::walk(host, top) else { return Vec::new() };
    let closed = |kind: Kind, mode: u32| match kind {
        Kind::File => mode & 0o004 == 0,
        Kind::Dir => mode & 0o005 != 0o005,
        Kind::Symlink | Kind::Other => false,
    };
    let names = found.into_iter().filter(|(_, stat)| closed(stat.kind, stat.meta.mode)).map(|(path, _)| {
        let path = path.strip_prefix(top).map(Path::to_path_buf).unwrap_or(path);
        path.to_string_lossy().into_owned()
    });
    // The top directory itself gets its mode when it is copied.
    names.filter(|name| !name.is_empty() && !is_hidden(name)).collect()
}

/// The same of an archive: `tar` lists `-rw------- me/me 12 2026-01-01 12:00 app-1.0/app.py`.
fn archive(host: &dyn Host, location: &str) -> Vec<String> {
    let argv = ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=escape", "--file", location];
    let Ok(output) = host.run(&Command::new(argv).timeout(LISTING)) else { return Vec::new() };
    if !output.ok() {
        return Vec::new();
    }
    let text = output.text();
    let closed = text.lines().filter_map(|line| {
        let mode = line.split_whitespace().next()?.as_bytes();
        let name = line.split_once(':')?.1.split_once(' ')?.1;
        let others = mode.get(7..10)?;
        let closed = match mode.first()? {
            b'-' => others[0] != b'r',
            b'd' => others[0] != b'r' || !matches!(others[2], b'x' | b't'),
            _ => false,
        };
        (closed && !is_hidden(name) && name.trim_end_matches('/').contains('/')).then(|| name.to_owned())
    });
    closed.collect()
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};

    fn source(from: &str, location: &str) -> Source {
        serde_json::from_value(serde_json::json!({"path": "/opt/app", "from": from, "location": location})).unwrap()
    }

    #[test]
    fn a_directory_that_only_its_owner_can_read_is_refused_unless_a_group_reads_it() {
        let host = FakeHost::new();
        host.put_file("/srv/app/app.py", "1\n", 0o644);
        host.put_file("/srv/app/.env", "x\n", 0o600);
        let open = source("directory", "/srv/app");
        assert_eq!(open.obstacle(&host), None);
        host.put_file("/srv/app/lib/a.py", "1\n", 0o600);
        host.put_file("/srv/app/lib/b.py", "1\n", 0o600);
        let refused = open.obstacle(&host).unwrap();
        assert!(refused.why.contains("2 files and directories in it, such as lib/a.py"), "{refused}");
        assert_eq!(refused.hint.unwrap(), "chmod -R go+rX /srv/app (a umask of 077 made them so)");
        assert_eq!(Source { group: "app".into(), ..open }.obstacle(&host), None);
    }

    #[test]
    fn an_archive_that_only_its_owner_can_read_is_refused() {
        let host = FakeHost::new();
        let listed = "drwxr-xr-x 0/0 0 2026-01-01 12:00 app-1/\n-rw------- 0/0 12 2026-01-01 12:00 app-1/app.py\n\
                      -rw------- 0/0 12 2026-01-01 12:00 app-1/.env\n-rw-r--r-- 0/0 12 2026-01-01 12:00 app-1/b.py\n";
        host.on(&["tar", "--list"], move |_, _| output(0, listed, ""));
        let refused = source("archive", "/root/app.tgz").obstacle(&host).unwrap();
        assert!(refused.why.starts_with("only its owner can read app-1/app.py in it"), "{refused}");
    }

    #[test]
    fn a_repository_that_is_not_there_or_lacks_the_branch_is_refused() {
        let host = FakeHost::new();
        let missing = source("git", "/srv/none.git").obstacle(&host).unwrap();
        assert!(missing.why.contains("no git repository at /srv/none.git"), "{missing}");
        host.put_file("/srv/bare.git/HEAD", "ref: refs/heads/main\n", 0o644);
        assert_eq!(source("git", "/srv/bare.git").obstacle(&host), None);

        let url = source("git", "https://git.example.org/app.git");
        assert_eq!(url.obstacle(&host), None, "without git, and out of reach, nothing can be told");
        host.put_file("/usr/bin/git", "elf", 0o755);
        host.on(&["git", "ls-remote"], |_, command| match command.argv.last().unwrap().as_str() {
            "HEAD" => output(128, "", "fatal: repository 'https://git.example.org/app.git/' not found\n"),
            _ => output(2, "", ""),
        });
        let refused = url.obstacle(&host).unwrap();
        assert!(refused.why.contains("not found") && refused.hint.unwrap().contains("deploy key"));
        let branch = Source { reference: "v9".into(), ..url };
        assert!(branch.obstacle(&host).unwrap().why.contains("no branch or tag v9"));
    }

    #[test]
    fn what_a_web_server_says_counts_and_that_it_cannot_be_reached_does_not() {
        let host = FakeHost::new();
        let address = crate::host::Address::Tcp("192.0.2.7:80".parse().unwrap());
        host.answer(address, |_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
        let archive = Source { sha256: "ab".repeat(32), ..source("archive", "http://192.0.2.7/app.tgz") };
        assert!(archive.obstacle(&host).unwrap().why.contains("http://192.0.2.7/app.tgz answers 404"));
        let git = source("git", "http://192.0.2.7/app.git");
        assert!(git.obstacle(&host).is_some());
        host.put_file("/root/.netrc", "machine 192.0.2.7\n", 0o600);
        assert_eq!(git.obstacle(&host), None, "a password may open it");
        assert_eq!(source("archive", "https://192.0.2.9/app.tgz").obstacle(&host), None);
        host.set_env("http_proxy", "http://proxy:3128");
        assert_eq!(archive.obstacle(&host), None);
    }
}
