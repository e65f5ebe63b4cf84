//! dpkg's database, read directly: `dpkg-query` would cost a process to read one file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use crate::error::{Failure, Outcome};
use crate::host::Host;

/// Where dpkg keeps the state of every package.
const STATUS: &str = "/var/lib/dpkg/status";
/// Where dpkg notes changes before it merges them into [`STATUS`]; numbered files there mean that it was
/// interrupted.
const UPDATES: &str = "/var/lib/dpkg/updates";
/// Where apt notes which packages it installed for the sake of others.
const MARKS: &str = "/var/lib/apt/extended_states";

/// dpkg's database.
#[derive(Clone, Debug, Default)]
pub struct Database {
    packages: Vec<Package>,
    /// Whether dpkg was stopped before it had written its state down.
    pub interrupted: bool,
}

/// One package that dpkg knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture, `all` included.
    pub arch: String,
    /// Its version.
    pub version: String,
    /// How far it is.
    pub state: PackageState,
    /// Whether dpkg wants it installed again before anything else.
    pub reinstall: bool,
    /// Whether the administrator wants it kept at its version.
    pub held: bool,
    /// KiB that it takes on disk, as its maintainer says.
    pub installed_kib: u64,
    provides: String,
    depends: String,
}

/// The states of dpkg(1), those that mean the same to us taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// Installed.
    Installed,
    /// Installed, but triggers have still to run (`triggers-awaited`, `triggers-pending`).
    Triggers,
    /// Unpacked, or something between (`half-installed`, `unpacked`, `half-configured`).
    Half,
    /// Removed, its configuration still there.
    ConfigFiles,
    /// Not there.
    Absent,
}

impl Database {
    /// Reads it.
    pub fn read(host: &dyn Host) -> Outcome<Self> {
        let what = "read the package database";
        let bytes = host.read(Path::new(STATUS)).map_err(|e| {
            Failure::new(what, format!("{STATUS}: {e}")).hint("this needs a Debian or Ubuntu host with dpkg")
        })?;
        let mut database = Self::parse(&String::from_utf8_lossy(&bytes));
        if database.packages.is_empty() {
            return Err(Failure::new(what, format!("{STATUS} holds no package"))
                .hint("dpkg keeps copies: see /var/lib/dpkg/status-old and /var/backups/dpkg.status.*"));
        }
        // Without the directory dpkg has never run here; then nothing was interrupted either.
        database.interrupted = host
            .list(Path::new(UPDATES))
            .is_ok_and(|entries| entries.iter().filter_map(|entry| entry.file_name()?.to_str()).any(numbered));
        Ok(database)
    }

    /// Parses the text of the status file.
    pub fn parse(text: &str) -> Self {
        let packages = text.split("\n\n").filter_map(Package::parse).collect();
        Self { packages, interrupted: false }
    }

    /// Which of `names` are not installed; a package that provides a name counts.
    pub fn missing<'n>(&self, names: &'n [String]) -> Vec<&'n str> {
        let present: HashSet<&str> = self
            .packages
            .iter()
            .filter(|package| package.present())
            .flat_map(|package| std::iter::once(package.name.as_str()).chain(package.provided()))
            .collect();
        let bare = |name: &'n str| name.split_once(':').map_or(name, |(name, _arch)| name);
        names.iter().map(String::as_str).filter(|name| !present.contains(bare(name))).collect()
    }

    /// `name:arch` of all that is installed, completely or not.
    pub fn installed(&self) -> Vec<String> {
        let there = |package: &&Package| !matches!(package.state, PackageState::Absent | PackageState::ConfigFiles);
        let mut names: Vec<String> = self.packages.iter().filter(there).map(Package::full_name).collect();
        names.sort_unstable();
        names
    }

    /// Names of packages that are not completely installed or removed.
    pub fn broken(&self) -> Vec<&str> {
        let half = |package: &&Package| package.state == PackageState::Half || package.reinstall;
        self.packages.iter().filter(half).map(|package| package.name.as_str()).collect()
    }

    /// Names of installed packages that are held at their version.
    pub fn held(&self) -> Vec<&str> {
        let held = |package: &&Package| package.held && package.present();
        self.packages.iter().filter(held).map(|package| package.name.as_str()).collect()
    }

    /// Whether dpkg has work left from an interrupted transaction.
    pub fn unfinished(&self) -> bool {
        let open = |package: &Package| package.state == PackageState::Triggers;
        self.interrupted || !self.broken().is_empty() || self.packages.iter().any(open)
    }

    /// The package `name:arch`, in any state.
    pub fn get(&self, full_name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.is(full_name))
    }

    /// The installed package of this name, of any architecture.
    pub fn present(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name && package.present())
    }

    /// Whether anything is left of `name:arch`: the package, or its configuration.
    pub fn has_traces(&self, full_name: &str) -> bool {
        self.get(full_name).is_some_and(|package| package.state != PackageState::Absent)
    }

    /// What came along with `ours` without having been planned, because the archive changed meanwhile: new,
    /// installed automatically, and needed by one of ours.
    pub fn came_along(
        &self,
        host: &dyn Host,
        ours: &BTreeSet<String>,
        is_new: &dyn Fn(&str) -> bool,
    ) -> BTreeSet<String> {
        let marks = host.read(Path::new(MARKS)).unwrap_or_default();
        let marks = String::from_utf8_lossy(&marks).into_owned();
        let automatic: HashSet<&str> = marks
            .split("\n\n")
            .filter(|stanza| stanza.contains("Auto-Installed: 1"))
            .filter_map(|stanza| stanza.lines().find_map(|line| line.strip_prefix("Package: ")))
            .collect();
        let mut found = BTreeSet::new();
        loop {
            let needed: HashSet<&str> = self
                .packages
                .iter()
                .filter(|package| {
                    let name = package.full_name();
                    ours.contains(&name) || found.contains(&name)
                })
                .flat_map(|package| package.dependencies().flatten())
                .collect();
            let more: Vec<String> = self
                .packages
                .iter()
                .filter(|package| package.present() && automatic.contains(package.name.as_str()))
                .filter(|package| {
                    needed.contains(package.name.as_str()) || package.provided().any(|name| needed.contains(name))
                })
                .map(Package::full_name)
                .filter(|name| is_new(name) && !ours.contains(name) && !found.contains(name))
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// What of `wanted` may go without breaking a package outside of it, and who needs the rest:
    /// `(removable, kept: name:arch -> who needs it)`.
    pub fn removable(&self, wanted: &BTreeSet<String>) -> (BTreeSet<String>, Vec<(String, String)>) {
        let present: Vec<&Package> = self.packages.iter().filter(|package| package.present()).collect();
        let mut providers: HashMap<&str, Vec<&Package>> = HashMap::new();
        for package in &present {
            for name in std::iter::once(package.name.as_str()).chain(package.provided()) {
                providers.entry(name).or_default().push(package);
            }
        }
        let mut removable = wanted.clone();
        let mut kept: Vec<(String, String)> = Vec::new();
        // Keeping a package keeps its dependencies, so repeat until nothing more is found.
        loop {
            let mut needed: Option<(String, String)> = None;
            'search: for package in present.iter().filter(|package| !removable.contains(&package.full_name())) {
                for alternatives in package.dependencies() {
                    let satisfied_by: Vec<String> = alternatives
                        .iter()
                        .filter_map(|name| providers.get(name))
                        .flatten()
                        .map(|provider| provider.full_name())
                        .collect();
                    if let Some(first) = satisfied_by.first()
                        && satisfied_by.iter().all(|name| removable.contains(name))
                    {
                        needed = Some((first.clone(), package.full_name()));
                        break 'search;
                    }
                }
            }
            let Some((name, by)) = needed else {
                return (removable, kept);
            };
            removable.remove(&name);
            kept.push((name, by));
        }
    }
}

impl Database {
    /// Which of `wanted` must stay as long as `asked` stay: the packages of these names, and those needed by them or by
    /// packages outside of `wanted`.
    pub fn needed(&self, wanted: &BTreeSet<String>, asked: &BTreeSet<&str>) -> BTreeSet<String> {
        let asked: BTreeSet<&str> =
            asked.iter().map(|name| name.split_once(':').map_or(*name, |(name, _)| name)).collect();
        let is_asked = |package: &&Package| {
            asked.contains(package.name.as_str()) || package.provided().any(|name| asked.contains(name))
        };
        let mut needed: BTreeSet<String> = self.packages.iter().filter(is_asked).map(Package::full_name).collect();
        needed.retain(|name| wanted.contains(name));
        let rest = wanted.difference(&needed).cloned().collect();
        needed.extend(self.removable(&rest).1.into_iter().map(|(name, _)| name));
        needed
    }
}

impl Package {
    /// `name:arch`.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.name, self.arch)
    }

    /// Whether this is the package called `name:arch`.
    fn is(&self, full_name: &str) -> bool {
        full_name.rsplit_once(':').is_some_and(|(name, arch)| name == self.name && arch == self.arch)
    }

    /// Whether it is installed and set up.
    pub const fn present(&self) -> bool {
        matches!(self.state, PackageState::Installed | PackageState::Triggers)
    }

    fn parse(stanza: &str) -> Option<Self> {
        let mut package = Self {
            name: String::new(),
            arch: String::new(),
            version: String::new(),
            state: PackageState::Absent,
            reinstall: false,
            held: false,
            installed_kib: 0,
            provides: String::new(),
            depends: String::new(),
        };
        for line in stanza.lines() {
            // Continuation lines begin with a blank; no field that matters here has any.
            let Some((field, value)) = line.split_once(": ") else {
                continue;
            };
            match field {
                "Package" => value.clone_into(&mut package.name),
                "Architecture" => value.clone_into(&mut package.arch),
                "Version" => value.clone_into(&mut package.version),
                "Installed-Size" => package.installed_kib = value.parse().unwrap_or(0),
                "Provides" => value.clone_into(&mut package.provides),
                "Depends" | "Pre-Depends" => {
                    if !package.depends.is_empty() {
                        package.depends.push_str(", ");
                    }
                    package.depends.push_str(value);
                }
                "Status" => {
                    let mut words = value.split(' ');
                    package.held = words.next() == Some("hold");
                    package.reinstall = words.next() == Some("reinstreq");
                    package.state = match words.next() {
                        Some("installed") => PackageState::Installed,
                        Some("triggers-awaited" | "triggers-pending") => PackageState::Triggers,
                        Some("half-installed" | "unpacked" | "half-configured") => PackageState::Half,
                        Some("config-files") => PackageState::ConfigFiles,
                        _ => PackageState::Absent,
                    };
                }
                _ => {}
            }
        }
        (!package.name.is_empty()).then_some(package)
    }

    fn provided(&self) -> impl Iterator<Item = &str> {
        self.provides.split(',').filter_map(bare_name)
    }

    /// Every dependency, as the names of which one is enough.
    fn dependencies(&self) -> impl Iterator<Item = Vec<&str>> {
        let groups = self.depends.split(',');
        groups.map(|group| group.split('|').filter_map(bare_name).collect())
    }
}

/// The name in `mail-transport-agent (= 1)` or `python3:any (>= 3.9)`.
fn bare_name(relation: &str) -> Option<&str> {
    relation.trim().split([' ', ':', '(']).next().filter(|name| !name.is_empty())
}

fn numbered(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: library
 Status: install ok half-installed is a line of a description

Package: exim4
Status: install ok triggers-pending
Architecture: all
Provides: mail-transport-agent, default-mta (= 1)
Depends: libc6 (>= 2.30)

Package: nginx
Status: install ok half-configured
Architecture: amd64
Depends: libc6, nginx-common

Package: old
Status: deinstall ok config-files
Architecture: amd64

Package: damaged
Status: install reinstreq installed
Architecture: amd64
";

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_provided_name_counts_as_installed_and_a_half_package_does_not() {
        let database = Database::parse(SAMPLE);
        let wanted = names(&["libc6", "default-mta", "nginx", "old", "never-heard-of", "libc6:amd64"]);
        assert_eq!(database.missing(&wanted), ["nginx", "old", "never-heard-of"]);
    }

    #[test]
    fn what_stands_between_two_states_is_broken() {
        let database = Database::parse(SAMPLE);
        assert_eq!(database.broken(), ["nginx", "damaged"]);
        assert!(database.unfinished());
    }

    #[test]
    fn installed_leaves_out_what_was_removed() {
        let installed = Database::parse(SAMPLE).installed();
        assert_eq!(installed, ["damaged:amd64", "exim4:all", "libc6:amd64", "nginx:amd64"]);
    }

    #[test]
    fn a_package_that_another_one_needs_stays_with_all_it_needs_itself() {
        let stanza = |name: &str, depends: &str| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nDepends: {depends}\n\n")
        };
        let text = [
            stanza("theirs", "server | server-lite"),
            stanza("server", "server-common (= 1)"),
            stanza("server-common", "base"),
            stanza("extra", "server"),
            stanza("base", ""),
        ]
        .concat();
        let ours = ["server:all", "server-common:all", "extra:all"].map(str::to_owned).into();
        let (removable, kept) = Database::parse(&text).removable(&ours);
        assert_eq!(removable.into_iter().collect::<Vec<_>>(), ["extra:all"]);
        let kept: Vec<_> = kept.iter().map(|(name, by)| (name.as_str(), by.as_str())).collect();
        assert_eq!(kept, [("server:all", "theirs:all"), ("server-common:all", "server:all")]);
    }

    #[test]
    fn an_alternative_that_stays_frees_the_other() {
        let text = "Package: theirs\nStatus: install ok installed\nArchitecture: all\nDepends: ours | other\n\n\
            Package: ours\nStatus: install ok installed\nArchitecture: all\n\n\
            Package: other\nStatus: install ok installed\nArchitecture: all\n";
        let (removable, kept) = Database::parse(text).removable(&["ours:all".to_owned()].into());
        assert!(removable.contains("ours:all"));
        assert_eq!(kept, []);
    }
}
