//! Software that guides care about, from dpkg's own list.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::text;
use crate::host::Host;

/// Packages that guides ask for by name: data, so that another product needs no Rust.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lines = include_str!("../../../assets/packages").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
});

/// Engines that are also there when only the package of one version is: `postgresql-15`, `mariadb-server-10.5`.
const VERSIONED: &[&str] = &["mariadb-server", "mysql-server", "postgresql"];

/// What dpkg knows.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// dpkg's own architecture.
    pub(super) arch: Option<String>,
    /// Name -> version.
    pub(super) versions: BTreeMap<String, String>,
}

impl Packages {
    pub(super) fn read(host: &dyn Host) -> Self {
        let mut packages = Self::default();
        for stanza in text(host, "/var/lib/dpkg/status").split("\n\n") {
            let Some(name) = stanza.trim_start().strip_prefix("Package: ").and_then(|rest| rest.lines().next()) else {
                continue;
            };
            if name == "dpkg" {
                packages.arch = field(stanza, "Architecture").map(str::to_owned);
            }
            let is_installed = || field(stanza, "Status").is_some_and(|status| status.ends_with(" installed"));
            if let Some(known) = known(name).filter(|_| is_installed()) {
                let version = field(stanza, "Version").unwrap_or_default().to_owned();
                if known != name {
                    packages.versions.entry(known.to_owned()).or_insert_with(|| version.clone());
                }
                // Which version of an engine is there matters, too.
                packages.versions.insert(name.to_owned(), version);
            }
        }
        packages
    }
}

/// Whether this package is looked for; a guide cannot know of others.
pub fn is_known(name: &str) -> bool {
    known(name).is_some()
}

/// All names that are looked for, but for those of single versions of engines.
pub fn names() -> &'static [&'static str] {
    &NAMES
}

fn known(name: &str) -> Option<&'static str> {
    if let Ok(index) = NAMES.binary_search(&name) {
        return Some(NAMES[index]);
    }
    let is_version = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '.');
    let mut versioned = VERSIONED.iter().filter(|stem| {
        let version = name.strip_prefix(**stem).and_then(|rest| rest.strip_prefix('-'));
        version.is_some_and(is_version)
    });
    versioned.next().copied()
}

fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn only_what_is_installed_counts_and_one_version_of_an_engine_is_the_engine() {
        let host = FakeHost::new();
        let stanza = |name: &str, status: &str, version: &str| {
            format!(
                "Package: {name}\nStatus: {status}\nArchitecture: arm64\nVersion: {version}\nDescription: x\n Package: y\n\n"
            )
        };
        let status = [
            stanza("dpkg", "install ok installed", "1.21"),
            stanza("nginx", "install ok installed", "1.22.1-9"),
            stanza("apache2", "deinstall ok config-files", "2.4"),
            stanza("redis-server", "hold ok installed", "5:7.0"),
            stanza("postgresql-15", "install ok installed", "15.6-0"),
            stanza("postgresql-common", "install ok installed", "248"),
            stanza("ufw", "install ok half-configured", "0.36"),
            stanza("certbot", "install ok installed", "2.1"),
        ];
        host.put_file("/var/lib/dpkg/status", status.concat(), 0o644);
        let packages = Packages::read(&host);
        let found: Vec<(&str, &str)> = packages.versions.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            found,
            [
                ("certbot", "2.1"),
                ("nginx", "1.22.1-9"),
                ("postgresql", "15.6-0"),
                ("postgresql-15", "15.6-0"),
                ("redis-server", "5:7.0")
            ]
        );
        assert_eq!(packages.arch.as_deref(), Some("arm64"));
    }

    #[test]
    fn the_names_are_sorted_for_the_search() {
        assert!(NAMES.is_sorted());
    }
}
