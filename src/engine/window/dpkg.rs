//! What dpkg knows of a package transaction: files, conffile hashes, and the words in maintainer scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};

/// dpkg's status file.
pub const STATUS: &str = "/var/lib/dpkg/status";
const INFO: &str = "/var/lib/dpkg/info";
/// The parts of a package that say what its scripts do.
const SCRIPTS: &[&str] = &["preinst", "postinst", "prerm", "postrm", "config", "triggers", "conffiles"];
/// Package files whose text names what services create: users, directories, logs.
const TELLING: &[&str] = &["/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d", "/etc/logrotate.d", "/etc/init.d"];
/// Scripts larger than this are not read, 256 KiB: Debian's largest is smaller.
const SCRIPT_AT_MOST: u64 = 256 << 10;

/// A package's state in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Package {
    version: String,
    conffiles: BTreeMap<PathBuf, String>,
}

/// The packages on the disk before a transaction, as `name:arch`.
#[derive(Clone, Debug, Default)]
pub struct PriorVersions {
    packages: BTreeSet<String>,
}

impl PriorVersions {
    /// The packages that are on the disk now.
    pub fn read(host: &dyn Host) -> Outcome<Self> {
        Ok(Self::of(&status(host)?))
    }

    /// The packages in a status file.
    pub fn of(status: &[u8]) -> Self {
        Self { packages: parse(status).into_keys().collect() }
    }
}

/// What a transaction installed, or is about to purge.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// Files, directories and links of its packages.
    listed: BTreeSet<PathBuf>,
    /// MD5 of its conffiles as shipped.
    conffiles: BTreeMap<PathBuf, String>,
    /// Files of packages that others installed meanwhile.
    others: BTreeSet<PathBuf>,
    /// Scripts and settings of its packages.
    text: String,
}

impl Transaction {
    /// The present files of the packages `planned`; other packages that are new since `before` are not ours.
    pub fn read(host: &dyn Host, before: &PriorVersions, planned: &[String]) -> Outcome<Self> {
        let mut found = Self::default();
        let links = merged_directories(host);
        let packages = parse(&status(host)?);
        let paths = |name: &str| listed(host, name).into_iter().flat_map(|path| [through(&links, &path), path]);
        // Not only those in the status file: an interrupted dpkg is ahead of it.
        for name in planned {
            found.listed.extend(paths(name));
            found.read_scripts(host, name);
            let conffiles = packages.get(name).map(|package| package.conffiles.clone());
            found.conffiles.extend(conffiles.unwrap_or_default());
        }
        for name in packages.keys().filter(|name| !planned.contains(name) && !before.packages.contains(*name)) {
            found.others.extend(paths(name));
        }
        found.read_ucf(host, planned);
        found.read_telling(host);
        Ok(found)
    }

    /// Settings that scripts manage with ucf(1), which knows their package and shipped content.
    fn read_ucf(&mut self, host: &dyn Host, planned: &[String]) {
        let text = |name: &str| {
            let path = Path::new("/var/lib/ucf").join(name);
            String::from_utf8_lossy(&host.read(&path).unwrap_or_default()).into_owned()
        };
        let ours: BTreeSet<&str> = planned.iter().map(|name| short(name)).collect();
        let registry = text("registry");
        let settings = registry.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let settings =
            settings.filter(|(package, _)| ours.contains(package)).map(|(_, path)| PathBuf::from(path.trim()));
        let hashes = text("hashfile");
        let hashes: BTreeMap<&str, &str> = hashes
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace))
            .map(|(md5, path)| (path.trim(), md5))
            .collect();
        for path in settings {
            if let Some(md5) = path.to_str().and_then(|path| hashes.get(path)) {
                self.conffiles.insert(path.clone(), (*md5).to_owned());
            }
            self.listed.insert(path);
        }
    }

    /// Merges what was known at another time.
    pub fn join(&mut self, other: Self) {
        self.listed.extend(other.listed);
        self.conffiles.extend(other.conffiles);
        self.text.push_str(&other.text);
    }

    fn read_scripts(&mut self, host: &dyn Host, name: &str) {
        for stem in [name, short(name)] {
            for script in SCRIPTS {
                self.read_text(host, &Path::new(INFO).join(format!("{stem}.{script}")));
            }
        }
    }

    fn read_telling(&mut self, host: &dyn Host) {
        let telling = |path: &&PathBuf| TELLING.iter().any(|dir| path.parent() == Some(Path::new(dir)));
        let paths: Vec<PathBuf> = self.listed.iter().filter(telling).cloned().collect();
        for path in paths {
            self.read_text(host, &path);
        }
    }

    fn read_text(&mut self, host: &dyn Host, path: &Path) {
        let small = |stat: &crate::host::Stat| stat.kind == Kind::File && stat.size <= SCRIPT_AT_MOST;
        if host.stat(path).ok().flatten().is_some_and(|stat| small(&stat))
            && let Ok(bytes) = host.read_at_most(path, SCRIPT_AT_MOST)
        {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
            self.text.push('\n');
        }
    }

    /// Whether `path` is in the file list of one of its packages.
    pub fn lists(&self, path: &Path) -> bool {
        self.listed.contains(path)
    }

    /// Whether a package that others installed contains it.
    pub fn is_of_others(&self, path: &Path) -> bool {
        self.others.contains(path) && !self.listed.contains(path)
    }

    /// The MD5 of a conffile as shipped.
    pub fn delivered(&self, path: &Path) -> Option<&str> {
        self.conffiles.get(path).map(String::as_str)
    }

    /// Whether a script names `path`, or its directory and its name separately.
    pub fn mentions(&self, path: &Path) -> bool {
        let apart = || {
            let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
            Some(dir.components().count() > 2 && self.names(dir) && self.mentions_word(name))
        };
        self.names(path) || apart() == Some(true)
    }

    /// Whether a script names a directory above `path` itself, as one that removes it with all that is in it.
    pub fn sweeps(&self, path: &Path) -> bool {
        let is_named = |above: &Path| {
            let text = above.to_string_lossy();
            let whole = |rest: &str| ends(rest) && !rest.starts_with('/');
            self.text.match_indices(&*text).any(|(at, _)| whole(&self.text[at + text.len()..]))
        };
        path.ancestors().skip(1).filter(|above| above.components().count() > 2).any(is_named)
    }

    fn names(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        text.len() > 4 && self.text.match_indices(&*text).any(|(at, _)| ends(&self.text[at + text.len()..]))
    }

    /// Whether a script contains this word: the name of an account or a service.
    pub fn mentions_word(&self, word: &str) -> bool {
        !word.is_empty()
            && self.text.match_indices(word).any(|(at, _)| {
                let before = self.text[..at].chars().next_back();
                before.is_none_or(|c| !is_of_name(c)) && ends(&self.text[at + word.len()..])
            })
    }
}

/// The MD5 of a setting's content, as dpkg writes it.
pub fn md5_hex(content: &[u8]) -> String {
    use std::fmt::Write as _;
    Md5::digest(content).iter().fold(String::with_capacity(32), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn ends(rest: &str) -> bool {
    rest.chars().next().is_none_or(|c| !is_of_name(c))
}

fn short(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

fn status(host: &dyn Host) -> Outcome<Vec<u8>> {
    let path = Path::new(STATUS);
    let what = || format!("read {STATUS}");
    match host.stat(path).map_err(|e| Failure::new(what(), e))? {
        Some(_) => host.read(path).map_err(|e| Failure::new(what(), e)),
        None => Ok(Vec::new()),
    }
}

/// The paths in a package's list.
pub fn listed(host: &dyn Host, name: &str) -> Vec<PathBuf> {
    for stem in [name, short(name)] {
        let path = Path::new(INFO).join(format!("{stem}.list"));
        if let Ok(bytes) = host.read(&path) {
            return String::from_utf8_lossy(&bytes).lines().map(PathBuf::from).collect();
        }
    }
    Vec::new()
}

/// Top-level directories that are links into `/usr`: packages still list their files under the old names.
fn merged_directories(host: &dyn Host) -> Vec<(PathBuf, PathBuf)> {
    let tops = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map(Path::new);
    let target = |top: &Path| Some((top.to_owned(), Path::new("/").join(host.read_link(top).ok()?)));
    tops.into_iter().filter_map(target).collect()
}

fn through(links: &[(PathBuf, PathBuf)], path: &Path) -> PathBuf {
    let moved = links.iter().find_map(|(link, target)| Some(target.join(path.strip_prefix(link).ok()?)));
    moved.unwrap_or_else(|| path.to_owned())
}

/// The packages that have anything on the disk, by `name:arch`.
fn parse(status: &[u8]) -> BTreeMap<String, Package> {
    let text = String::from_utf8_lossy(status);
    let mut out = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let gone = |status: &str| status.ends_with(" not-installed") || status.ends_with(" config-files");
        let Some(name) = field("Package:") else { continue };
        if field("Status:").is_none_or(gone) {
            continue;
        }
        let key = format!("{name}:{}", field("Architecture:").unwrap_or("all"));
        let version = field("Version:").unwrap_or_default().to_owned();
        out.insert(key, Package { version, conffiles: conffiles(stanza) });
    }
    out
}

/// The packages in a status file, with their versions.
pub fn versions(status: &[u8]) -> BTreeMap<String, String> {
    parse(status).into_iter().map(|(name, package)| (name, package.version)).collect()
}

fn conffiles(stanza: &str) -> BTreeMap<PathBuf, String> {
    let mut lines = stanza.lines().skip_while(|line| *line != "Conffiles:").skip(1);
    let mut out = BTreeMap::new();
    while let Some(line) = lines.next().filter(|line| line.starts_with(' ')) {
        let mut words = line.split_whitespace();
        // dpkg writes `newconffile` there until a package is configured.
        if let (Some(path), Some(hash)) = (words.next(), words.next().filter(|hash| hash.len() == 32)) {
            out.insert(PathBuf::from(path), hash.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::Meta;
    use crate::host::fake::FakeHost;

    const LIST: &str = "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nConffiles:\n /etc/nginx/nginx.conf 0123456789abcdef0123456789abcdef \n /etc/old newconffile\nDescription: x\n\nPackage: htop\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 2\n";

    #[test]
    fn files_of_planned_packages_are_told_from_those_of_others() {
        let host = FakeHost::new();
        host.put_file(STATUS, LIST, 0o644);
        host.put_file("/var/lib/dpkg/info/nginx.list", "/lib/systemd/system/nginx.service\n/etc/nginx\n", 0o644);
        host.put_file("/var/lib/dpkg/info/htop.list", "/usr/bin/htop\n", 0o644);
        let script = "adduser --system nginx-user\nmkdir -p /var/lib/nginx/body\nchown x /etc/nginx.d";
        host.put_file("/var/lib/dpkg/info/nginx.postinst", script, 0o755);
        let found = Transaction::read(&host, &PriorVersions::default(), &["nginx:amd64".to_owned()]).unwrap();
        assert!(found.lists(Path::new("/etc/nginx")) && !found.lists(Path::new("/usr/bin/htop")));
        assert!(found.is_of_others(Path::new("/usr/bin/htop")));
        assert_eq!(found.delivered(Path::new("/etc/nginx/nginx.conf")), Some("0123456789abcdef0123456789abcdef"));
        assert_eq!(found.delivered(Path::new("/etc/old")), None, "not configured yet");
        assert!(
            found.mentions_word("nginx-user") && !found.mentions_word("nginx-use") && !found.mentions_word("ginx-user")
        );
        assert!(found.mentions(Path::new("/var/lib/nginx/body")) && !found.mentions(Path::new("/etc/nginx")));
        assert!(found.mentions(Path::new("/var/lib/nginx")), "a directory above it");
    }

    #[test]
    fn old_names_of_merged_directories_are_known_by_their_new_ones() {
        let host = FakeHost::new();
        let link = host.read_link(Path::new("/lib"));
        if link.is_err() {
            host.take_away("/lib");
            host.make_dir(Path::new("/usr/lib"), Meta::root(0o755)).unwrap();
            host.make_symlink(Path::new("/lib"), Path::new("usr/lib")).unwrap();
        }
        host.put_file(STATUS, LIST, 0o644);
        host.put_file("/var/lib/dpkg/info/nginx.list", "/lib/systemd/system/nginx.service\n", 0o644);
        let found = Transaction::read(&host, &PriorVersions::default(), &["nginx:amd64".to_owned()]).unwrap();
        assert!(found.lists(Path::new("/usr/lib/systemd/system/nginx.service")));
    }

    #[test]
    fn a_list_is_read_as_dpkg_writes_it() {
        assert_eq!(versions(LIST.as_bytes()).into_values().collect::<Vec<_>>(), ["3", "1"]);
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn what_was_there_before_a_purge_is_still_known_after_it() {
        let host = FakeHost::new();
        host.put_file(STATUS, LIST, 0o644);
        host.put_file("/var/lib/dpkg/info/nginx.list", "/etc/nginx\n", 0o644);
        host.put_file("/var/lib/dpkg/info/nginx.postrm", "deluser nginx-user", 0o755);
        let planned = ["nginx:amd64".to_owned()];
        let before = Transaction::read(&host, &PriorVersions::default(), &planned).unwrap();
        host.put_file(STATUS, "", 0o644);
        host.take_away("/var/lib/dpkg/info");
        let mut after = Transaction::read(&host, &PriorVersions::default(), &planned).unwrap();
        assert!(!after.lists(Path::new("/etc/nginx")) && !after.mentions_word("nginx-user"));
        after.join(before);
        assert!(after.lists(Path::new("/etc/nginx")) && after.mentions_word("nginx-user"));
        assert!(after.delivered(Path::new("/etc/nginx/nginx.conf")).is_some());
    }

    #[test]
    fn no_script_is_read_that_is_larger_than_any_of_debians_or_no_file() {
        let host = FakeHost::new();
        let limit = usize::try_from(SCRIPT_AT_MOST).unwrap();
        let script = |name: &str, size: usize| {
            let text = format!("{name} {}", " ".repeat(size - name.len() - 1));
            host.put_file(format!("/var/lib/dpkg/info/nginx.{name}"), text, 0o755);
        };
        script("postinst", limit);
        script("prerm", limit + 1);
        host.put_file("/root/elsewhere", "preinst", 0o755);
        host.make_symlink(Path::new("/var/lib/dpkg/info/nginx.preinst"), Path::new("/root/elsewhere")).unwrap();
        let found = Transaction::read(&host, &PriorVersions::default(), &["nginx:amd64".to_owned()]).unwrap();
        assert!(found.mentions_word("postinst"));
        assert!(!found.mentions_word("prerm") && !found.mentions_word("preinst"));
    }

    #[test]
    fn a_script_names_a_path_as_a_whole_or_its_directory_and_its_name_apart() {
        let text = "for dir in /var/lib/shop /opt; do touch $dir/data /etc/a /etc/shop.d/x.conf; done".to_owned();
        let found = Transaction { text, ..Transaction::default() };
        for named in ["/etc/shop.d/x.conf", "/etc/shop.d", "/var/lib/shop/data", "/etc/a"] {
            assert!(found.mentions(Path::new(named)), "{named}");
        }
        // Directories directly below the root are named everywhere, and a name of four characters is part of many
        // others.
        for not in ["/opt/data", "/etc/shop.d/x", "/var/lib/shop/dat", "/var/lib/sho", "/opt", "/etc/b"] {
            assert!(!found.mentions(Path::new(not)), "{not}");
        }
        assert!(found.mentions_word("touch") && !found.mentions_word("") && !found.mentions_word("ouch"));
    }
}
