//! Where packages come from: apt's sources, in both of their forms (sources.list(5)).

use std::path::{Path, PathBuf};

use super::{Finding, PATIENCE, ok, problem, warning};
use crate::facts::Facts;
use crate::facts::probe::text;
use crate::host::{Command, Host};
use crate::system::packages::apt::{self, Lists};

/// Names that Debian's own archive has for a release besides its codename.
const ALIASES: &[&str] = &["stable", "oldstable", "oldoldstable"];

/// A source of binary packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uri: String,
    suite: String,
    components: Vec<String>,
}

impl Source {
    /// Whether it has the release's own packages, as against additions and other archives.
    pub(crate) fn is_base(&self, facts: &Facts) -> bool {
        let of_release = self.suite == facts.os.codename || ALIASES.contains(&self.suite.as_str());
        of_release && self.components.iter().any(|component| component == "main")
    }
}

pub(crate) fn sources(host: &dyn Host, facts: &Facts) -> Finding {
    let sources = read(host);
    let codename = facts.os.codename.as_str();
    let fix = format!(
        "write the line `deb http://deb.debian.org/debian {codename} main` into /etc/apt/sources.list, and `deb \
         http://deb.debian.org/debian-security {codename}-security main`"
    );
    if let Some(malformed) = malformed(host) {
        let fix = "correct that line, or remove its file: until then apt reads no source at all";
        return problem(malformed, fix);
    }
    if sources.is_empty() {
        return problem("none: nothing can be installed", fix);
    }
    if sources.iter().all(|source| source.uri.starts_with("cdrom:")) {
        return problem("only a CD-ROM", fix);
    }
    let mut suites: Vec<&str> = sources.iter().map(|source| source.suite.as_str()).collect();
    suites.dedup();
    let found = suites.join(", ");
    if !sources.iter().any(|source| source.is_base(facts)) {
        return warning(format!("{found}, but not this release"), fix);
    }
    ok(match apt::lists(host) {
        Lists::Missing => format!("{found} (lists not fetched yet; a run does it)"),
        Lists::Old => format!("{found} (lists older than a day; a run fetches them)"),
        Lists::Fresh => found,
    })
}

/// apt's own message about sources that it cannot read. It needs no lists and no root for that.
fn malformed(host: &dyn Host) -> Option<String> {
    let output = host.run(&Command::new(["apt-get", "indextargets"]).timeout(PATIENCE)).ok()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let first = errors.lines().find_map(|line| line.strip_prefix("E: "))?;
    (!output.ok()).then(|| first.to_owned())
}

/// All sources that are switched on.
pub(crate) fn read(host: &dyn Host) -> Vec<Source> {
    let parts = Path::new("/etc/apt/sources.list.d");
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(host.list(parts).unwrap_or_default().into_iter().map(|name| parts.join(name)));
    let mut sources = Vec::new();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(text(host, &file).lines().filter_map(line)),
            Some("sources") => sources.extend(text(host, &file).split("\n\n").flat_map(stanza)),
            _ => {}
        }
    }
    sources
}

/// `deb [ option=value … ] uri suite component…`.
fn line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.starts_with([' ', '\t', '[']).then(|| rest.trim_start())?;
    let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source { uri: words.next()?, suite: words.next()?, components: words.collect() })
}

/// A stanza of `Types`, `URIs`, `Suites` and `Components`: every URI with every suite.
fn stanza(stanza: &str) -> Vec<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_lowercase(), value.to_owned()));
        }
    }
    let words = |name: &str| -> Vec<&str> {
        let value = fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
        value.split_whitespace().collect()
    };
    let off = words("enabled").first().is_some_and(|word| ["no", "false", "0"].contains(word));
    if off || !words("types").contains(&"deb") {
        return Vec::new();
    }
    let components: Vec<String> = words("components").into_iter().map(str::to_owned).collect();
    let mut sources = Vec::new();
    for uri in words("uris") {
        for suite in words("suites") {
            sources.push(Source { uri: uri.to_owned(), suite: suite.to_owned(), components: components.clone() });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sources: &[Source]) -> Vec<String> {
        let one = |s: &Source| format!("{} {} {}", s.uri, s.suite, s.components.join(","));
        sources.iter().map(one).collect()
    }

    #[test]
    fn lines_of_binary_packages_are_sources() {
        let text = "# deb http://off/debian bookworm main\ndeb-src http://a/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://b/debian bookworm main contrib # note\n\
                    deb\thttp://c/debian\tbookworm-security\tmain\ndebris http://d x\ndeb http://e/\n";
        let sources: Vec<Source> = text.lines().filter_map(line).collect();
        assert_eq!(
            shown(&sources),
            ["https://b/debian bookworm main,contrib", "http://c/debian bookworm-security main"]
        );
    }

    #[test]
    fn stanzas_give_every_uri_with_every_suite() {
        let text = "Types: deb deb-src\nURIs: http://a http://b\nSuites: x\n x-updates\n# note\nComponents: main\n";
        assert_eq!(
            shown(&stanza(text)),
            ["http://a x main", "http://a x-updates main", "http://b x main", "http://b x-updates main"]
        );
        assert!(stanza(&format!("{text}Enabled: no\n")).is_empty());
        assert!(stanza("Types: deb-src\nURIs: http://a\nSuites: x\n").is_empty());
    }
}
