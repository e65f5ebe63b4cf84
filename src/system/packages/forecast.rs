//! What a transaction would install: every package, new dependencies included, with its version, the bytes to download
//! and those on disk. Only reads, and needs no root.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::apt::{self, Lists};
use super::simulation::Simulation;
use super::status::Database;
use super::{counted, listed};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Output};
use crate::human_bytes::human;

/// Where apt keeps the archives that it has fetched.
const ARCHIVES: &str = "/var/cache/apt/archives";
/// A small server builds apt's cache in some seconds.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What a transaction would install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// What it puts on the host, sorted by name.
    pub packages: Vec<Arrival>,
    /// Bytes to download: archives that apt has already do not count.
    pub download: u64,
    /// Bytes that the disk holds more afterwards; less, when negative.
    pub disk: i64,
    /// Names of installed packages that would have to go. A run refuses that.
    pub removes: Vec<String>,
    /// The package lists are older than a day. A run fetches them first, so it may install newer versions.
    pub old_lists: bool,
}

/// A package that a transaction would put on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Its name.
    pub name: String,
    /// Its architecture, `all` included.
    pub arch: String,
    /// Its version.
    pub version: String,
    /// The installed version that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Asked for by name; the others come because these need them.
    pub asked: bool,
    /// Bytes to download; 0 when apt has its archive already.
    pub download: u64,
    /// Bytes on disk when it is installed, as its maintainer says.
    pub disk: u64,
}

impl Forecast {
    /// Why its transaction would be refused or could not be carried out, when that can be seen beforehand.
    pub fn obstacle(&self, host: &dyn Host) -> Option<Failure> {
        let what = || format!("install {}", counted(self.packages.len()));
        if !self.removes.is_empty() {
            let why = format!("apt would remove {}, which is installed", listed(&self.removes));
            return Some(Failure::new(what(), why).hint("remove it yourself if nothing needs it any longer"));
        }
        // Where the archives are fetched to; apt makes the directory if it is not there.
        let place = ["/var/cache/apt/archives", "/var/cache/apt", "/var/cache", "/"].into_iter().map(Path::new);
        let place = place.into_iter().find(|place| host.stat(place).is_ok_and(|stat| stat.is_some()))?;
        let (free, _) = host.disk(place).ok()?;
        if self.download <= free {
            return None;
        }
        let why = format!("{} to download, but {} has {} free", human(self.download), place.display(), human(free));
        Some(Failure::new(what(), why).hint("`apt-get clean` removes old archives; otherwise give that disk more room"))
    }

    /// The names of the packages that it puts on the host.
    pub fn names(&self) -> BTreeSet<String> {
        self.packages.iter().map(|package| package.name.clone()).collect()
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} to download, ", counted(self.packages.len()), human(self.download))?;
        match u64::try_from(self.disk) {
            Ok(more) => write!(f, "{} on disk", human(more))?,
            Err(_) => write!(f, "{} less on disk", human(self.disk.unsigned_abs()))?,
        }
        let upgrades = self.packages.iter().filter(|package| package.replaces.is_some()).count();
        if upgrades > 0 {
            write!(f, "; {upgrades} replace another version")?;
        }
        if !self.removes.is_empty() {
            write!(f, "; {} would be removed", listed(&self.removes))?;
        }
        if self.old_lists {
            f.write_str(" (by package lists older than a day; a run fetches them first)")?;
        }
        Ok(())
    }
}

/// What installing the missing ones of `names` would add, according to the present package lists.
pub fn forecast(host: &dyn Host, names: &[String], recommends: bool) -> Outcome<Forecast> {
    let database = Database::read(host)?;
    let missing = database.missing(names);
    if missing.is_empty() {
        return Ok(Forecast::default());
    }
    let lists = apt::lists(host);
    if lists == Lists::Missing {
        return Err(Failure::new("work out what would be installed", "the package lists were never fetched")
            .hint("`apt-get update` fetches them; a run does so itself"));
    }
    let simulation = simulate(host, &database, &missing, recommends, lists)?;
    let sizes = sizes(host, &simulation)?;
    let mut forecast = Forecast { old_lists: lists == Lists::Old, removes: simulation.removes, ..Forecast::default() };
    let installs = simulation.installs.into_iter().map(|(name, version)| (name, None, version));
    let upgrades = simulation.upgrades.into_iter().map(|(name, old, new)| (name, Some(old), new));
    for (full_name, replaces, version) in installs.chain(upgrades) {
        let (name, arch) = full_name.split_once(':').unwrap_or((&full_name, ""));
        let size = sizes.get(&(name.to_owned(), version.clone())).copied().unwrap_or_default();
        let before = database.get(&full_name).filter(|_| replaces.is_some()).map_or(0, |old| old.installed_kib << 10);
        forecast.disk = forecast.disk.saturating_add_unsigned(size.disk).saturating_sub_unsigned(before);
        let fetched = is_fetched(host, name, &version, arch, size.archive);
        let package = Arrival {
            name: name.to_owned(),
            arch: arch.to_owned(),
            version,
            replaces,
            asked: missing.contains(&name),
            download: if fetched { 0 } else { size.archive },
            disk: size.disk,
        };
        forecast.download = forecast.download.saturating_add(package.download);
        forecast.packages.push(package);
    }
    forecast.packages.sort_by(|a, b| (&a.name, &a.arch).cmp(&(&b.name, &b.arch)));
    Ok(forecast)
}

/// Asks apt, and explains a refusal by the package, hold, pin or source line that causes it.
fn simulate(
    host: &dyn Host,
    database: &Database,
    missing: &[&str],
    recommends: bool,
    lists: Lists,
) -> Outcome<Simulation> {
    let what = format!("install {}", listed(missing));
    let argv = apt::simulation(missing, recommends);
    let output =
        host.run(&Command::new(argv).timeout(TIMEOUT)).map_err(|e| Failure::new(&what, format!("apt-get: {e}")))?;
    let text = output.text();
    let held = held_but_wanted(&text);
    if output.ok() && held.is_empty() {
        return Ok(Simulation::parse(&text));
    }
    let tail = output.tail(8);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = errors.lines().find_map(|line| line.strip_prefix("E: ")).unwrap_or_default().to_owned();
    let failure = |why: String| Failure::new(&what, why).tail(tail.clone());
    if !held.is_empty() {
        let hint = format!("`apt-mark unhold {}` if that is no longer intended", held.join(" "));
        return Err(failure(format!("{} must not be changed: on hold (apt-mark)", listed(&held))).hint(hint));
    }
    if error.starts_with("Malformed") || error.contains("list of sources") || error.contains("not known on line") {
        let hint = "correct that line of the package sources, or remove its file: until then apt reads none of them";
        return Err(failure(error).hint(hint));
    }
    if error.contains("No space left on device") {
        let hint =
            "`apt-get clean` removes old archives; `df -h /var/cache/apt /var/lib/apt /tmp` shows which disk is full";
        return Err(failure(format!("apt cannot check: {error}")).hint(hint));
    }
    let absent: Vec<&str> =
        missing.iter().copied().filter(|name| errors.contains(&named_in_error(&errors, name))).collect();
    if !absent.is_empty() {
        let (pinned, unknown): (Vec<&str>, Vec<&str>) = absent.into_iter().partition(|name| is_pinned_away(host, name));
        if unknown.is_empty() {
            let hint = format!("`apt-cache policy {}` shows it; see /etc/apt/preferences.d", pinned.join(" "));
            return Err(failure(format!("an apt pin excludes every version of {}", listed(&pinned))).hint(hint));
        }
        let hint = match lists {
            Lists::Fresh => "correct the name, or add the package source that has it",
            _ => "correct the name; or update the package lists: `apt-get update`",
        };
        return Err(failure(format!("no package source has {}", listed(&unknown))).hint(hint));
    }
    let unmet = text.lines().chain(errors.lines()).find(|line| line.contains(" but ") && line.contains("Depends: "));
    if let Some(unmet) = unmet {
        let held = database.held();
        let why = format!("apt finds no solution: {}", unmet.trim());
        let hint = if held.is_empty() {
            "is a package pinned to another version? `apt-cache policy NAME` and /etc/apt/preferences.d show it"
                .to_owned()
        } else {
            format!("on hold here: {}; `apt-mark unhold NAME` lets it change", held.join(", "))
        };
        return Err(failure(why).hint(hint));
    }
    let why = if error.is_empty() { format!("apt-get ended with status {}", output.status) } else { error };
    Err(failure(why).hint("`apt-get update`, then read apt's output"))
}

/// Packages on hold that a transaction would change: apt then refuses to continue without confirmation.
fn held_but_wanted(text: &str) -> Vec<&str> {
    let after = text.lines().skip_while(|line| !line.starts_with("The following held packages will be changed"));
    after.skip(1).take_while(|line| line.starts_with(' ')).flat_map(str::split_whitespace).collect()
}

/// How apt says that it cannot have a package: without a version, or without knowing it at all.
fn named_in_error(errors: &str, name: &str) -> String {
    let unavailable = format!("Package '{name}' has no installation candidate");
    if errors.contains(&unavailable) { unavailable } else { format!("Unable to locate package {name}\n") }
}

/// Whether there are versions, and a pin of below 0 keeps them all out.
fn is_pinned_away(host: &dyn Host, name: &str) -> bool {
    let asked = host.run(&Command::new(["apt-cache", "policy", "--", name]).timeout(TIMEOUT));
    asked.is_ok_and(|output| {
        let text = output.text();
        let versions = text.lines().skip_while(|line| line.trim() != "Version table:").nth(1);
        text.contains("Candidate: (none)") && versions.is_some()
    })
}

/// In bytes.
#[derive(Clone, Copy, Default)]
struct Size {
    archive: u64,
    disk: u64,
}

/// The sizes by name and version, as the package lists have them.
fn sizes(host: &dyn Host, simulation: &Simulation) -> Outcome<HashMap<(String, String), Size>> {
    let planned = simulation.planned();
    if planned.is_empty() {
        return Ok(HashMap::new());
    }
    let mut argv = vec!["apt-cache".to_owned(), "show".to_owned()];
    argv.extend(planned.iter().map(|(name, version)| format!("{}={version}", name.trim_end_matches(":all"))));
    let shown = ask(host, argv)?.text();
    let sizes = shown.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        let size = Size { archive: number("Size"), disk: number("Installed-Size").saturating_mul(1024) };
        Some(((field("Package")?.to_owned(), field("Version")?.to_owned()), size))
    });
    Ok(sizes.collect())
}

/// Whether apt has the archive already. In its names, the colon of a version is `%3a`.
fn is_fetched(host: &dyn Host, name: &str, version: &str, arch: &str, size: u64) -> bool {
    let archive: PathBuf = Path::new(ARCHIVES).join(format!("{name}_{}_{arch}.deb", version.replace(':', "%3a")));
    host.stat(&archive).ok().flatten().is_some_and(|stat| stat.size == size)
}

fn ask(host: &dyn Host, argv: Vec<String>) -> Outcome<Output> {
    let what = "work out what would be installed";
    let program = argv.first().cloned().unwrap_or_default();
    let output =
        host.run(&Command::new(argv).timeout(TIMEOUT)).map_err(|e| Failure::new(what, format!("{program}: {e}")))?;
    if output.ok() {
        return Ok(output);
    }
    let tail = output.tail(5);
    let why = tail.iter().find_map(|line| line.strip_prefix("E: ")).map(str::to_owned);
    Err(Failure::new(what, why.unwrap_or_else(|| format!("{program} ended with status {}", output.status)))
        .hint("`apt-get update`, then read apt's output")
        .tail(tail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fake::{FakeHost, Package, output};

    fn listed_host() -> FakeHost {
        let host = FakeHost::new();
        host.put_file("/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_Packages", "", 0o644);
        host.offer(Package::new("server", "1:2.0-1").depends(&["server-common"]).size(1_500_000, 4_000));
        host.offer(Package::new("server-common", "2.0-1").size(500_000, 1_000));
        host
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn dependencies_are_told_with_their_sizes_and_nothing_is_changed() {
        let host = listed_host().as_user(1000);
        let forecast = forecast(&host, &names(&["server", "dpkg"]), false).unwrap();
        let shown: Vec<_> =
            forecast.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.asked, p.download)).collect();
        assert_eq!(shown, [("server", "1:2.0-1", true, 1_500_000), ("server-common", "2.0-1", false, 500_000)]);
        assert_eq!(forecast.to_string(), "2 packages, 2.0 MB to download, 5.1 MB on disk");
        assert!(host.calls().iter().all(|call| !call.changes));
    }

    #[test]
    fn what_apt_has_fetched_already_is_not_downloaded() {
        let host = listed_host();
        host.put_file("/var/cache/apt/archives/server_1%3a2.0-1_amd64.deb", vec![0; 1_500_000], 0o644);
        // Another size is a download that was cut off.
        host.put_file("/var/cache/apt/archives/server-common_2.0-1_amd64.deb", "half", 0o644);
        assert_eq!(forecast(&host, &names(&["server"]), false).unwrap().download, 500_000);
    }

    #[test]
    fn an_upgrade_counts_by_what_it_takes_more() {
        let host = listed_host();
        let status = host.text("/var/lib/dpkg/status").unwrap();
        let old =
            "Package: libx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nInstalled-Size: 900\n\n";
        host.put_file("/var/lib/dpkg/status", format!("{status}{old}"), 0o644);
        host.offer(Package::new("libx", "2").size(10_000, 1_000));
        host.on(&["apt-get", "--simulate"], |_, _| {
            output(
                0,
                "Remv rival [1]\nInst libx [1] (2 Debian:12 [amd64])\nInst server (1:2.0-1 Debian:12 [amd64])\n",
                "",
            )
        });
        let forecast = forecast(&host, &names(&["server"]), false).unwrap();
        assert_eq!(forecast.disk, 4_096_000 + 102_400);
        assert_eq!((forecast.packages[0].replaces.as_deref(), forecast.packages[0].asked), (Some("1"), false));
        let text = forecast.to_string();
        assert!(text.ends_with("; 1 replace another version; rival would be removed"), "{text}");
    }

    #[test]
    fn without_lists_it_says_so_and_old_ones_are_named() {
        let host = FakeHost::new();
        let failure = forecast(&host, &names(&["nginx"]), false).unwrap_err();
        assert!(failure.hint.unwrap().contains("apt-get update"));
        assert!(host.commands().is_empty());

        let host = listed_host();
        host.sleep(Duration::from_hours(25));
        assert!(forecast(&host, &names(&["server"]), false).unwrap().to_string().contains("older than a day"));
        assert_eq!(forecast(&host, &names(&["dpkg"]), false), Ok(Forecast::default()));
        host.withdraw("nginx");
        let failure = forecast(&host, &names(&["nginx"]), false).unwrap_err();
        assert_eq!(failure.why, "no package source has nginx");
        assert!(failure.hint.unwrap().contains("`apt-get update`"), "the lists are old");
    }

    /// Messages of Debian 12's apt, and how they are reported.
    #[test]
    fn what_apt_refuses_is_told_with_its_cause() {
        let refused = |stdout: &'static str, stderr: &'static str, policy: &'static str| {
            let host = listed_host();
            let status = if stderr.is_empty() { 0 } else { 100 };
            host.on(&["apt-get"], move |_, _| output(status, stdout, stderr));
            host.on(&["apt-cache", "policy"], move |_, _| output(0, policy, ""));
            let failure = forecast(&host, &names(&["server"]), false).unwrap_err();
            format!("{failure} ({})", failure.hint.clone().unwrap_or_default())
        };
        let held = "The following NEW packages will be installed:\n  server server-common\nThe following held packages \
                    will be changed:\n  server\n0 upgraded\nInst server (1)\n";
        assert_eq!(
            refused(held, "", ""),
            "could not install server: server must not be changed: on hold (apt-mark) (`apt-mark unhold server` if \
             that is no longer intended)"
        );
        let no_candidate = "E: Package 'server' has no installation candidate\n";
        let pinned = "server:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n     1.22 -1\n";
        assert!(refused("", no_candidate, pinned).contains("an apt pin excludes every version of server"));
        let unknown = "server:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        assert!(refused("", no_candidate, unknown).contains("no package source has server (correct the name"));
        let malformed = "E: Malformed entry 1 in list file /etc/apt/sources.list.d/x.list (Suite)\nE: The list of \
                         sources could not be read.\n";
        let told = refused("", malformed, "");
        assert!(told.contains("Malformed entry 1 in list file /etc/apt/sources.list.d/x.list"), "{told}");
        assert!(told.contains("correct that line"), "{told}");
        let unmet = "The following packages have unmet dependencies:\n server : Depends: server-common (>= 2) but it \
                     is not installable\n";
        let told = refused(unmet, "E: Unable to correct problems, you have held broken packages.\n", "");
        assert!(told.contains("apt finds no solution: server : Depends: server-common (>= 2) but it is"), "{told}");
        assert!(told.contains("pinned to another version"), "{told}");
    }

    #[test]
    fn a_transaction_that_removes_something_or_has_no_room_is_refused() {
        let host = listed_host();
        let good = forecast(&host, &names(&["server"]), false).unwrap();
        assert_eq!(good.obstacle(&host), None);
        host.set_disk(1_000_000, 40 << 30);
        let full = good.obstacle(&host).unwrap();
        assert!(full.why.starts_with("2.0 MB to download, but /"), "{full}");
        let removes = Forecast { removes: vec!["rival".into()], ..good };
        assert!(removes.obstacle(&host).unwrap().why.contains("would remove rival"));
    }
}
