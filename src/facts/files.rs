//! Files of this server that an answer names: looked at when a question needs it, and only by their names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::host::{Host, Kind};

/// More of a file is not searched for words, in bytes.
const LONGEST: u64 = 1 << 20;

/// The way to the files of this server; none in facts of another one, or from a file.
#[derive(Clone, Default)]
pub struct Files {
    host: Option<Arc<dyn Host>>,
    /// By the path of a question: the names that its file had in the last run, where it is gone.
    pub former: BTreeMap<String, Vec<String>>,
}

impl Files {
    /// Those of this host.
    pub fn of(host: &dyn Host) -> Self {
        Self { host: Some(host.share()), former: BTreeMap::new() }
    }

    /// The server, where there is one to look at.
    pub fn host(&self) -> Option<&dyn Host> {
        self.host.as_deref()
    }

    /// Which of these are regular files directly in a directory. A directory that is not there, cannot be read or is a
    /// link has none of them; it is not listed, so its size does not matter.
    pub fn which(&self, dir: &str, names: &[String]) -> Vec<String> {
        let Some((host, dir)) = self.directory(dir) else { return Vec::new() };
        let is_file = |name: &&String| is_name(name) && is_regular(host, &dir.join(name));
        names.iter().filter(is_file).cloned().collect()
    }

    /// Which of these words are in a file directly in a directory, in lower or upper case.
    pub fn words(&self, dir: &str, file: &str, words: &[String]) -> Vec<String> {
        let Some((host, dir)) = self.directory(dir).filter(|_| is_name(file)) else { return Vec::new() };
        let path = dir.join(file);
        // Never a pipe, which would be waited for.
        let text =
            if is_regular(host, &path) { host.read_start(&path, LONGEST).unwrap_or_default() } else { Vec::new() };
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let found: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        words.iter().filter(|word| found.contains(&&*word.to_ascii_lowercase())).cloned().collect()
    }

    fn directory<'a>(&'a self, dir: &'a str) -> Option<(&'a dyn Host, &'a Path)> {
        let (host, dir) = (self.host()?, Path::new(dir));
        let is_dir = || host.stat(dir).ok().flatten().is_some_and(|stat| stat.kind == Kind::Dir);
        (dir.is_absolute() && is_dir()).then_some((host, dir))
    }
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
    use crate::host::fake::FakeHost;

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
