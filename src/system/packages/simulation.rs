//! What a transaction would do, parsed from `apt-get --simulate`.

/// The effects of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    /// New packages: `(name:arch, version)`.
    pub installs: Vec<(String, String)>,
    /// Installed packages that would get another version: `(name:arch, old, new)`.
    pub upgrades: Vec<(String, String, String)>,
    /// Names of installed packages that would go.
    pub removes: Vec<String>,
}

impl Simulation {
    /// Parses lines such as
    /// `Inst libssl3 [3.0.15-1] (3.0.16-1 Debian-Security:12/stable-security [amd64]) []` and
    /// `Remv exim4 [4.96-15]`.
    pub fn parse(output: &str) -> Self {
        let mut simulation = Self::default();
        for line in output.lines() {
            if let Some(rest) = line.strip_prefix("Inst ") {
                simulation.install(rest);
            } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
                simulation.removes.extend(rest.split(' ').next().map(str::to_owned));
            }
        }
        simulation
    }

    /// All that the transaction puts on the host: `(name:arch, version)`.
    pub fn planned(&self) -> Vec<(String, String)> {
        let upgraded = self.upgrades.iter().map(|(name, _, new)| (name.clone(), new.clone()));
        let mut planned: Vec<_> = self.installs.iter().cloned().chain(upgraded).collect();
        planned.sort_unstable();
        planned
    }

    fn install(&mut self, rest: &str) {
        let Some((head, tail)) = rest.split_once(" (") else {
            return;
        };
        let (name, old) = match head.split_once(" [") {
            Some((name, old)) => (name, Some(old.trim_end_matches(']'))),
            None => (head, None),
        };
        let Some((inside, _)) = tail.split_once(')') else {
            return;
        };
        let version = inside.split(' ').next().unwrap_or_default().to_owned();
        let arch = inside.rsplit_once('[').map_or("", |(_, arch)| arch.trim_end_matches(']'));
        let bare = name.split_once(':').map_or(name, |(bare, _)| bare);
        let full = format!("{bare}:{arch}");
        match old {
            Some(old) => self.upgrades.push((full, old.to_owned(), version)),
            None => self.installs.push((full, version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_upgraded_and_removed_packages_are_told_apart() {
        let output = "\
NOTE: This is only a simulation!
Remv exim4 [4.96-15]
Inst nginx-common (1.22.1-9+deb12u3 Debian:12.11/stable, Debian-Security:12/stable-security [all]) []
Inst libssl3 [3.0.15-1] (3.0.16-1 Debian-Security:12/stable-security [amd64]) [x:amd64 ]
Inst libc6:i386 (2.36-9 Debian:12.11/stable [i386])
Conf nginx-common (1.22.1-9+deb12u3 Debian:12.11/stable [all])
";
        let simulation = Simulation::parse(output);
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(simulation.installs, [pair("nginx-common:all", "1.22.1-9+deb12u3"), pair("libc6:i386", "2.36-9")]);
        assert_eq!(simulation.upgrades, [("libssl3:amd64".to_owned(), "3.0.15-1".to_owned(), "3.0.16-1".to_owned())]);
        assert_eq!(simulation.removes, ["exim4"]);
        assert_eq!(simulation.planned().len(), 3);
    }
}
