//! What a source holds, where the guide says what it must and must not hold.

use std::path::Path;
use std::time::Duration;

use super::{From, Source, archive};
use crate::action::contract::Act;
use crate::error::Failure;
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
}

impl Source {
    /// Whether the guide says anything about the content.
    pub(super) const fn is_particular(&self) -> bool {
        self.no_links || !self.must_hold.is_empty()
    }

    /// Why this content is not what the guide needs.
    pub(super) fn unfit(&self, entries: &[Entry]) -> Option<Failure> {
        let refuse = |why: String, hint: &str| Some(Failure::new(self.describe(), why).hint(hint));
        if let Some(stray) = entries.iter().find(|entry| archive::strays(&entry.path)) {
            let why = format!("it holds {:?}, which would lie outside the directory", stray.path);
            return refuse(why, "do not use this archive");
        }
        let link = entries.iter().find(|entry| !matches!(entry.kind, Kind::File | Kind::Dir)).filter(|_| self.no_links);
        if let Some(link) = link {
            let why = format!("{} in it is a link, a device or a pipe", link.path);
            return refuse(why, "it must hold files and directories only; `cp -rL` makes files of links");
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

/// What a directory holds; none when it cannot be read.
pub(super) fn directory(host: &dyn Host, top: &Path) -> Option<Vec<Entry>> {
    let found = tree::walk(host, top).ok()?;
    let entry = |(path, stat): (std::path::PathBuf, crate::host::Stat)| Entry {
        path: path.to_string_lossy().into_owned(),
        kind: stat.kind,
        size: stat.size,
    };
    Some(found.into_iter().map(entry).collect())
}

/// What an archive on this server holds, as it would be unpacked; none when it cannot be read.
///
/// `tar` lists `-rw-r--r-- 0/0 12 2026-01-01 12:00 app-1.0/app.py`, a symbolic link with ` -> target`, and a hard link,
/// which is no file of its own, with ` link to target`.
pub(super) fn archived(host: &dyn Host, location: &str) -> Option<Vec<Entry>> {
    let argv = ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=escape", "--file", location];
    let output = host.run(&Command::new(argv).timeout(LISTING)).ok().filter(crate::host::Output::ok)?;
    let text = output.text();
    let listed = text.lines().filter_map(|line| {
        let size = line.split_whitespace().nth(2).and_then(|size| size.parse().ok()).unwrap_or_default();
        let name = line.split_once(':')?.1.split_once(' ')?.1;
        let (kind, name) = match line.as_bytes().first()? {
            b'-' => (Kind::File, name),
            b'd' => (Kind::Dir, name),
            b'l' => (Kind::Symlink, name.split(" -> ").next().unwrap_or(name)),
            b'h' => (Kind::Symlink, name.split(" link to ").next().unwrap_or(name)),
            _ => (Kind::Other, name),
        };
        Some((kind, size, name))
    });
    let listed: Vec<(Kind, u64, &str)> = listed.collect();
    let strip = archive::components_to_strip(&listed.iter().map(|(_, _, name)| *name).collect::<Vec<_>>());
    let entry = |(kind, size, name): (Kind, u64, &str)| {
        // As `--strip-components` counts, for which a leading `./` is one; without any it means nothing.
        let strip = if archive::strays(name) { 0 } else { strip };
        let name = if strip == 0 { name.strip_prefix("./").unwrap_or(name) } else { name };
        Entry {
            path: name.splitn(strip + 1, '/').nth(strip).unwrap_or_default().trim_end_matches('/').to_owned(),
            kind,
            size,
        }
    };
    Some(listed.into_iter().map(entry).collect())
}

impl Source {
    /// Why the content of a directory or an archive on this server is not what the guide needs.
    pub(super) fn unfit_here(&self, host: &dyn Host) -> Option<Failure> {
        if !self.is_particular() {
            return None;
        }
        let entries = match self.from {
            From::Directory => directory(host, Path::new(&self.location)),
            From::Archive => archived(host, &self.location),
            From::Asset | From::Git | From::Image => None,
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
            "must_hold": ["index.html", "js/app.js"], "no_links": true
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
        let easy = Source { must_hold: Vec::new(), no_links: false, ..act };
        assert_eq!(easy.unfit_here(&host), None);
    }
}
