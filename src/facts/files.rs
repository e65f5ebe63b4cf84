//! Files of this server that an answer names: looked at when a question needs it, and only by their names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::facts::archive;
use crate::host::{Host, Kind, Stamp, Stat};

/// More of a file is not searched for words, in bytes.
const LONGEST: u64 = 1 << 20;
/// Larger archives are not looked into while questions are asked, in bytes.
const LARGEST: u64 = 64 << 20;

/// The way to the files of this server; none in facts of another one, or from a file.
#[derive(Clone, Default)]
pub struct Files {
    host: Option<Arc<dyn Host>>,
    /// By the path of a question: the names that its file had in the last run, where it is gone.
    pub former: BTreeMap<String, Vec<String>>,
    looked_into: Arc<Mutex<BTreeMap<Entry, Vec<u8>>>>,
}

/// What was read of an archive: its entries' names, or the content of one of them. Another size or time of the archive
/// is another archive.
type Entry = (PathBuf, u64, Stamp, String);

impl Files {
    /// Those of this host.
    pub fn of(host: &dyn Host) -> Self {
        Self { host: Some(host.share()), ..Self::default() }
    }

    /// The server, where there is one to look at.
    pub fn host(&self) -> Option<&dyn Host> {
        self.host.as_deref()
    }

    /// Which of these are regular files at the top of a place, which is a directory or an archive. One that is not there,
    /// cannot be read or is a link has none of them; a directory is not listed, so its size does not matter.
    pub fn which(&self, place: &str, names: &[String]) -> Vec<String> {
        let found = |name: &&String| match self.place(place) {
            Some(Place::Directory(host, dir)) => is_regular(host, &dir.join(name)),
            Some(Place::Archive(archive)) => archive::at_top(&self.entries(&archive), name).is_some(),
            None => false,
        };
        names.iter().filter(|name| is_name(name)).filter(found).cloned().collect()
    }

    /// Which of these words are in a file at the top of a place, in lower or upper case.
    pub fn words(&self, place: &str, file: &str, words: &[String]) -> Vec<String> {
        let text = match self.place(place).filter(|_| is_name(file)) {
            // Never a pipe, which would be waited for.
            Some(Place::Directory(host, dir)) if is_regular(host, &dir.join(file)) => {
                host.read_start(&dir.join(file), LONGEST).unwrap_or_default()
            }
            Some(Place::Archive(archive)) => {
                let entries = self.entries(&archive);
                archive::at_top(&entries, file).map(|entry| self.content(&archive, entry)).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let found: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        words.iter().filter(|word| found.contains(&&*word.to_ascii_lowercase())).cloned().collect()
    }

    fn place<'a>(&'a self, place: &'a str) -> Option<Place<'a>> {
        let (host, path) = (self.host()?, Path::new(place));
        if !path.is_absolute() {
            return None;
        }
        let stat = host.stat(path).ok()??;
        match stat.kind {
            Kind::Dir => Some(Place::Directory(host, path)),
            Kind::File if stat.size <= LARGEST && is_archive(place) => {
                Some(Place::Archive(Archive { host, path, stat }))
            }
            _ => None,
        }
    }

    fn entries(&self, archive: &Archive<'_>) -> Vec<String> {
        let names = self.once(archive, "", || archive::entries(archive.host, archive.path).join("\n").into_bytes());
        String::from_utf8_lossy(&names).lines().map(str::to_owned).collect()
    }

    fn content(&self, archive: &Archive<'_>, entry: &str) -> Vec<u8> {
        self.once(archive, entry, || archive::read(archive.host, archive.path, entry))
    }

    /// What was read before, or is now: expressions are evaluated again with every key.
    fn once(&self, archive: &Archive<'_>, entry: &str, read: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let key = (archive.path.to_owned(), archive.stat.size, archive.stat.mtime, entry.to_owned());
        let mut known = self.looked_into.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_insert_with(read).clone()
    }
}

enum Place<'a> {
    Directory(&'a dyn Host, &'a Path),
    Archive(Archive<'a>),
}

struct Archive<'a> {
    host: &'a dyn Host,
    path: &'a Path,
    stat: Stat,
}

fn is_archive(name: &str) -> bool {
    let ends = [".tar", ".tgz", ".txz", ".tbz2", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"];
    ends.iter().any(|end| name.ends_with(end))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with("..")
}

fn is_regular(host: &dyn Host, path: &Path) -> bool {
    host.stat(path).ok().flatten().is_some_and(|stat| stat.kind == Kind::File)
}

/// Facts are the same whoever looks.
impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.former == other.former
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("former", &self.former).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn files_are_found_by_name_and_nothing_else_is_touched() {
        let host = FakeHost::new();
        host.put_file("/srv/shop/package.json", "{}", 0o644);
        host.put_file("/srv/shop/manage.py/x", "", 0o644);
        host.put_file("/srv/other/app.py", "", 0o644);
        host.make_symlink("/srv/shop/app.py".as_ref(), "/srv/other/app.py".as_ref()).unwrap();
        host.make_symlink("/srv/link".as_ref(), "shop".as_ref()).unwrap();
        let files = Files::of(&host);
        let asked = names(&["package.json", "manage.py", "app.py", "../other/app.py", "..", "", "none"]);
        assert_eq!(files.which("/srv/shop", &asked), ["package.json"]);
        host.forget_calls();
        files.which("/srv/shop", &asked);
        assert!(host.calls().iter().all(|call| call.method == "stat"), "a directory of any size is not listed");
        for dir in ["/srv/link", "/srv/none", "srv/shop", "", "/srv/shop/package.json", "https://x.test/shop.git"] {
            assert_eq!(files.which(dir, &asked), [""; 0], "{dir}");
        }
        assert_eq!(Files::default().which("/srv/shop", &asked), [""; 0]);
        host.fail_looks("stat", "/srv/shop/package.json");
        assert_eq!(files.which("/srv/shop", &asked), [""; 0]);
    }

    #[test]
    fn an_archive_is_looked_into_once() {
        let host = FakeHost::new();
        host.put_file("/srv/shop.tar.gz", "packed", 0o644);
        host.on(&["tar", "--list"], |_, _| {
            output(0, "shop/\nshop/package.json\nshop/lib/app.py\nshop/pyproject.toml\n", "")
        });
        host.on(&["tar", "--extract", "--to-stdout"], |_, command| {
            assert_eq!(command.argv.last().unwrap(), "shop/pyproject.toml");
            output(0, "dependencies = ['FastAPI']\n", "")
        });
        let files = Files::of(&host);
        for _ in 0..2 {
            let asked = names(&["package.json", "app.py", "lib", "none"]);
            assert_eq!(files.which("/srv/shop.tar.gz", &asked), ["package.json"]);
            assert_eq!(files.words("/srv/shop.tar.gz", "pyproject.toml", &names(&["fastapi", "flask"])), ["fastapi"]);
        }
        assert_eq!(host.commands().len(), 2);
        host.put_file("/srv/shop.tar.gz", "packed anew", 0o644);
        files.which("/srv/shop.tar.gz", &names(&["app.py"]));
        assert_eq!(host.commands().len(), 3);
        host.on(&["tar", "--list"], |_, _| output(2, "", "not an archive\n"));
        host.put_file("/srv/odd.tar", "text", 0o644);
        assert_eq!(files.which("/srv/odd.tar", &names(&["app.py"])), [""; 0]);
    }

    #[test]
    fn words_are_whole_ones() {
        let host = FakeHost::new();
        host.put_file("/srv/shop/requirements.txt", "FastAPI[standard]>=0.1\nmy_starlette\n", 0o644);
        let files = Files::of(&host);
        let asked = names(&["fastapi", "starlette", "flask"]);
        assert_eq!(files.words("/srv/shop", "requirements.txt", &asked), ["fastapi"]);
        assert_eq!(files.words("/srv/shop", "none", &asked), [""; 0]);
        assert_eq!(files.words("/srv/shop", "../shop/requirements.txt", &asked), [""; 0]);
    }
}
