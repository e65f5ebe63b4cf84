//! What a source holds, where the guide says what it must and must not hold.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{From, Links, Source, archive, links};
use crate::action::contract::Act;
use crate::error::Failure;
use crate::facts::archive::components_to_strip;
use crate::host::{Command, Host, Kind};
use crate::system::tree;

/// Timeout of listing an archive.
const LISTING: Duration = Duration::from_mins(1);

/// A file, a directory or something else in a source.
pub(super) struct Entry {
    /// Its path in the source.
    path: String,
    kind: Kind,
    /// Size in bytes.
    size: u64,
    /// Where a symbolic link leads.
    target: Option<PathBuf>,
}

impl Source {
    /// Whether the guide says anything about the content.
    pub(super) const fn is_particular(&self) -> bool {
        !matches!(self.links, Links::Any) || !self.must_hold.is_empty()
    }

    /// Why this content is not what the guide needs.
    pub(super) fn unfit(&self, entries: &[Entry]) -> Option<Failure> {
        let refuse = |why: String, hint: &str| Some(Failure::new(self.describe(), why).hint(hint));
        if let Some(stray) = entries.iter().find(|entry| archive::strays(&entry.path)) {
            let why = format!("it holds {:?}, which would lie outside the directory", stray.path);
            return refuse(why, "do not use this archive");
        }
        let odd = entries.iter().find(|entry| match entry.kind {
            Kind::File | Kind::Dir => false,
            Kind::Symlink => self.links == Links::None || self.links == Links::Inside && entry.target.is_none(),
            Kind::Other => self.links != Links::Any,
        });
        if let Some(odd) = odd {
            let why = format!("{} in it is a link, a device or a pipe", odd.path);
            return refuse(why, "it must hold files and directories only; `cp -rL` makes files of links");
        }
        if self.links == Links::Inside
            && let Some(link) = outside(entries)
        {
            let why = format!("the link {} in it leads out of it", link.display());
            return refuse(why, "only relative links to files and directories in it are allowed");
        }
        let is_there = |name: &String| {
            entries.iter().any(|entry| entry.path == **name && entry.kind == Kind::File && entry.size > 0)
        };
        let missing: Vec<&str> = self.must_hold.iter().filter(|name| !is_there(name)).map(String::as_str).collect();
        if missing.is_empty() {
            return None;
        }
        let why = format!("it lacks {}, or the file is empty", missing.join(", "));
        refuse(why, "give a complete one; an archive holds these files at its top or in a single directory")
    }
}

/// The first link that leads out of what holds it.
fn outside(entries: &[Entry]) -> Option<PathBuf> {
    let link = |entry: &'_ Entry| entry.target.as_ref().map(|target| (PathBuf::from(&entry.path), target.clone()));
    let all: Vec<(PathBuf, PathBuf)> = entries.iter().filter_map(link).collect();
    links::first_outside(&all.iter().map(|(path, target)| (path.as_path(), target.as_path())).collect())
}

/// What a directory holds; none when it cannot be read.
pub(super) fn directory(host: &dyn Host, top: &Path) -> Option<Vec<Entry>> {
    let found = tree::walk(host, top).ok()?;
    let entry = |(path, stat): (PathBuf, crate::host::Stat)| Entry {
        kind: stat.kind,
        size: stat.size,
        target: (stat.kind == Kind::Symlink).then(|| host.read_link(&top.join(&path)).ok()).flatten(),
        path: path.to_string_lossy().into_owned(),
    };
    Some(found.into_iter().map(entry).collect())
}

/// What an archive on this server holds, as it would be unpacked; none when it cannot be read.
///
/// `tar` lists `-rw-r--r-- 0/0 12 2026-01-01 12:00 app-1.0/app.py`, a symbolic link with ` -> target`, and a hard link,
/// which is no file of its own, with ` link to target`.
fn archived(host: &dyn Host, location: &str, keep_top: bool) -> Option<Vec<Entry>> {
    let argv = ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=escape", "--file", location];
    let output = host.run(&Command::new(argv).timeout(LISTING)).ok().filter(crate::host::Output::ok)?;
    let text = output.text();
    let listed = text.lines().filter_map(|line| {
        let size = line.split_whitespace().nth(2).and_then(|size| size.parse().ok()).unwrap_or_default();
        let name = line.split_once(':')?.1.split_once(' ')?.1;
        let (kind, (name, target)) = match line.as_bytes().first()? {
            b'-' => (Kind::File, (name, None)),
            b'd' => (Kind::Dir, (name, None)),
            b'l' => {
                (Kind::Symlink, name.split_once(" -> ").map_or((name, None), |(name, target)| (name, Some(target))))
            }
            b'h' => (Kind::Symlink, (name.split(" link to ").next().unwrap_or(name), None)),
            _ => (Kind::Other, (name, None)),
        };
        Some((kind, size, name, target))
    });
    let listed: Vec<(Kind, u64, &str, Option<&str>)> = listed.collect();
    let names: Vec<&str> = listed.iter().map(|(_, _, name, _)| *name).collect();
    let strip = if keep_top { 0 } else { components_to_strip(&names) };
    let entry = |(kind, size, name, target): (Kind, u64, &str, Option<&str>)| {
        // As `--strip-components` counts, for which a leading `./` is one; without any it means nothing.
        let strip = if archive::strays(name) { 0 } else { strip };
        let name = if strip == 0 { name.strip_prefix("./").unwrap_or(name) } else { name };
        Entry {
            path: name.splitn(strip + 1, '/').nth(strip).unwrap_or_default().trim_end_matches('/').to_owned(),
            kind,
            size,
            target: target.map(PathBuf::from),
        }
    };
    Some(listed.into_iter().map(entry).collect())
}

impl Source {
    /// What an archive holds, as it would be unpacked; none when it cannot be read.
    pub(super) fn archived(&self, host: &dyn Host, location: &str) -> Option<Vec<Entry>> {
        archived(host, location, self.keep_top)
    }

    /// Why the content of a directory or an archive on this server is not what the guide needs.
    pub(super) fn unfit_here(&self, host: &dyn Host) -> Option<Failure> {
        if !self.is_particular() {
            return None;
        }
        let entries = match self.from {
            From::Directory => directory(host, Path::new(&self.location)),
            From::Archive => self.archived(host, &self.location),
            From::Asset | From::Git | From::Image | From::Push => None,
        };
        self.unfit(&entries?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};

    fn source(from: &str, location: &str) -> Source {
        serde_json::from_value(serde_json::json!({
            "path": "/opt/site", "from": from, "location": location,
            "must_hold": ["index.html", "js/app.js"], "links": "none"
        }))
        .unwrap()
    }

    fn listed(text: &'static str) -> FakeHost {
        let host = FakeHost::new();
        host.on(&["tar", "--list"], move |_, _| output(0, text, ""));
        host
    }

    const GOOD: &str = "drwxr-xr-x 0/0 0 2026-01-01 12:00 public/\n-rw-r--r-- 0/0 5 2026-01-01 12:00 public/index.html\n\
                        -rw-r--r-- 0/0 5 2026-01-01 12:00 public/js/app.js\n";

    #[test]
    fn an_archive_is_judged_as_it_would_be_unpacked() {
        let why = |text: String| {
            let host = listed(Box::leak(text.into_boxed_str()));
            source("archive", "/root/site.tgz").unfit_here(&host).map(|failure| failure.why)
        };
        assert_eq!(why(GOOD.to_owned()), None);
        assert_eq!(why(GOOD.replace("public/", "./")), None);
        assert_eq!(why(GOOD.replace(" public/\n", " ./\n").replace("public/", "./public/")), None);
        assert!(why(GOOD.replace("app.js", "app.mjs")).unwrap().contains("lacks js/app.js"));
        assert!(why(GOOD.replace(" 5 2026", " 0 2026")).unwrap().contains("lacks index.html, js/app.js"));
        let symbolic = format!("{GOOD}lrwxrwxrwx 0/0 0 2026-01-01 12:00 public/logo.png -> /etc/shadow\n");
        assert!(why(symbolic).unwrap().starts_with("logo.png in it is a link"));
        let stray = format!("{GOOD}-rw-r--r-- 0/0 0 2026-01-01 12:00 /etc/hostname\n");
        assert!(why(stray).unwrap().contains("outside the directory"));
        let hard = format!("{GOOD}hrw-r--r-- 0/0 0 2026-01-01 12:00 public/b link to public/index.html\n");
        assert!(why(hard).unwrap().starts_with("b in it is a link"));
    }

    #[test]
    fn links_may_be_allowed_that_stay_inside() {
        let host = FakeHost::new();
        let act = Source { must_hold: Vec::new(), links: Links::Inside, ..source("directory", "/srv/site") };
        host.put_file("/srv/site/lib/cli.js", "x", 0o644);
        host.make_symlink("/srv/site/bin".as_ref(), "lib/cli.js".as_ref()).unwrap();
        assert_eq!(act.unfit_here(&host), None);
        host.make_symlink("/srv/site/lib/out".as_ref(), "../../other".as_ref()).unwrap();
        assert!(act.unfit_here(&host).unwrap().why.starts_with("the link lib/out in it leads out"));
        let why = |text: String| {
            let host = listed(Box::leak(text.into_boxed_str()));
            let act = Source { from: From::Archive, location: "/root/site.tgz".to_owned(), ..act.clone() };
            act.unfit_here(&host).map(|failure| failure.why)
        };
        let link = |target: &str| format!("{GOOD}lrwxrwxrwx 0/0 0 2026-01-01 12:00 public/js/logo -> {target}\n");
        assert_eq!(why(link("../index.html")), None);
        assert!(why(link("/etc/shadow")).unwrap().starts_with("the link js/logo"));
        let pipe = format!("{GOOD}prw-r--r-- 0/0 0 2026-01-01 12:00 public/pipe\n");
        assert!(why(pipe).unwrap().starts_with("pipe in it is"));
    }

    #[test]
    fn a_directory_is_judged_and_a_source_that_cannot_be_read_is_not() {
        let host = FakeHost::new();
        let act = source("directory", "/srv/site");
        assert_eq!(act.unfit_here(&host), None);
        host.put_file("/srv/site/index.html", "x", 0o644);
        assert!(act.unfit_here(&host).unwrap().why.contains("lacks js/app.js"));
        host.put_file("/srv/site/js/app.js", "x", 0o644);
        assert_eq!(act.unfit_here(&host), None);
        host.make_symlink("/srv/site/all".as_ref(), "/".as_ref()).unwrap();
        assert!(act.unfit_here(&host).unwrap().why.starts_with("all in it is a link"));
        let easy = Source { must_hold: Vec::new(), links: Links::Any, ..act };
        assert_eq!(easy.unfit_here(&host), None);
    }
}
