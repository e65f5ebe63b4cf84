//! The configuration of an SSH server as its files say it, and the files that say what we want.
//!
//! In sshd the first value of a setting wins, except for `Port` and `ListenAddress`, which add up over all files.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Outcome};
use crate::host::Host;

/// The main file.
const MAIN: &str = "/etc/ssh/sshd_config";
/// Ours: read before all others that follow Debian's names.
pub(crate) const OURS: &str = "/etc/ssh/sshd_config.d/00-bringup.conf";
/// The comment before others' lines that would add to ours.
const TAKEN_OUT: &str = "#bringup: ";
/// Settings whose values add up.
const ADDING_UP: [&str; 2] = ["port", "listenaddress"];

/// One file.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
}

/// A setting and its place.
#[derive(Debug)]
struct Statement<'a> {
    path: &'a Path,
    /// Line, counted from 1.
    line: usize,
    /// In lower case.
    keyword: String,
    value: String,
    /// Whether it counts for some connections only.
    in_match: bool,
}

impl Statement<'_> {
    fn place(&self) -> String {
        format!("{}, line {}", self.path.display(), self.line)
    }
}

/// A file and the content that it is to have.
pub(crate) type FileContent = (PathBuf, String);

/// All files of the configuration.
#[derive(Debug)]
pub(crate) struct Config {
    main: Source,
    /// What the main file includes, but for ours.
    others: Vec<Source>,
    ours: Option<String>,
}

impl Config {
    /// Reads them.
    pub(crate) fn read(host: &dyn Host) -> Outcome<Self> {
        let read = |path: &Path| match host.read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) => Err(Failure::new(format!("read {}", path.display()), e)),
        };
        let main = Source { path: MAIN.into(), text: read(Path::new(MAIN))? };
        let mut others = Vec::new();
        for pattern in statements(&main).filter(|s| s.keyword == "include").flat_map(|s| patterns(&s.value)) {
            let Some(dir) = pattern.parent() else { continue };
            for name in host.list(dir).unwrap_or_default() {
                let path = dir.join(name);
                let known = others.iter().any(|source: &Source| source.path == path);
                if path != Path::new(OURS) && covers(&pattern, &path) && !known {
                    others.push(Source { text: read(&path)?, path });
                }
            }
        }
        let there = host.stat(Path::new(OURS)).map_err(|e| Failure::new(format!("look at {OURS}"), e))?.is_some();
        let ours = if there { Some(read(Path::new(OURS))?) } else { None };
        Ok(Self { main, others, ours })
    }

    /// Whether a file of ours is there.
    pub(crate) fn has_ours(&self) -> bool {
        self.ours.is_some()
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.main).chain(&self.others)
    }

    /// Refuses a configuration in which these settings of ours, as keyword and value, would not apply to every
    /// connection.
    pub(crate) fn refuse(&self, settings: &[(&str, &str)]) -> Outcome<()> {
        let refused = |why: String, hint: String| Err(Failure::new("change SSH's configuration", why).hint(hint));
        let mut before = Vec::new();
        let mut includes = false;
        for statement in statements(&self.main) {
            if statement.keyword == "include" && !statement.in_match {
                includes |= patterns(&statement.value).iter().any(|pattern| covers(pattern, Path::new(OURS)));
            }
            if !includes {
                before.push(statement);
            }
        }
        if !includes {
            return refused(
                format!(
                    "{MAIN} does not include the files in /etc/ssh/sshd_config.d, where bringup writes its settings"
                ),
                format!("write `Include /etc/ssh/sshd_config.d/*.conf` as the first line of {MAIN}"),
            );
        }
        let earlier = self.others.iter().filter(|source| source.path.as_path() < Path::new(OURS)).flat_map(statements);
        let ours = |statement: &&Statement<'_>| settings.iter().any(|(keyword, _)| same(keyword, &statement.keyword));
        if let Some(first) = before.into_iter().chain(earlier).find(|statement| ours(&statement)) {
            return refused(
                format!("{} in {} comes first, and sshd uses the first value", first.keyword, first.place()),
                "remove that line, or move it below the Include line".to_owned(),
            );
        }
        let exceptions = self.sources().flat_map(statements).filter(|statement| statement.in_match);
        for statement in exceptions {
            let wanted = settings.iter().find(|(keyword, _)| same(keyword, &statement.keyword));
            let differs = |(_, value): &(&str, &str)| !statement.value.eq_ignore_ascii_case(value);
            if wanted.is_some_and(differs) && !statement.value.eq_ignore_ascii_case("no") {
                return refused(
                    format!("{} makes an exception: {} {}", statement.place(), statement.keyword, statement.value),
                    "remove that line from its Match block, or change the answers to allow it".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Whether the server listens so without any word of ours: on this port, at every address.
    fn listens_by_itself(&self, port: u16) -> bool {
        let adding: Vec<Statement<'_>> = self.sources().flat_map(statements).filter(Statement::adds_up).collect();
        let ours = self.ours.as_deref().unwrap_or_default();
        let of_ours = Source { path: OURS.into(), text: ours.to_owned() };
        let by_us = statements(&of_ours).any(|statement| statement.adds_up());
        let ports: Vec<&str> = adding.iter().map(|statement| statement.value.as_str()).collect();
        let only_ports = adding.iter().all(|statement| statement.keyword == "port");
        !by_us && only_ports && (ports == [port.to_string()] || (ports.is_empty() && port == 22))
    }

    /// The files for good: `port`, at `addresses` (none: every one), and the settings.
    pub(crate) fn lasting(&self, port: u16, addresses: &[SocketAddr], settings: &[(&str, &str)]) -> Vec<FileContent> {
        let mut lines = Vec::new();
        if !addresses.is_empty() || !self.listens_by_itself(port) {
            lines.push(format!("Port {port}"));
            lines.extend(addresses.iter().map(|address| format!("ListenAddress {address}")));
        }
        self.files(&lines, settings)
    }

    /// The files for the trial: at exactly these addresses, and the settings.
    pub(crate) fn trial(&self, at: &BTreeSet<SocketAddr>, settings: &[(&str, &str)]) -> Vec<FileContent> {
        let lines: Vec<String> = at.iter().map(|address| format!("ListenAddress {address}")).collect();
        self.files(&lines, settings)
    }

    /// Ours first: an interruption between two files leaves a server that listens on both ports.
    fn files(&self, listening: &[String], settings: &[(&str, &str)]) -> Vec<FileContent> {
        let mut lines = listening.to_vec();
        lines.extend(settings.iter().map(|(keyword, value)| format!("{keyword} {value}")));
        let mut files = Vec::new();
        if !lines.is_empty() {
            let head = "# Written by bringup. In sshd the first value of a setting wins, but Port and ListenAddress add \
                        up:\n# those of other files are commented out while they stand here.\n";
            files.push((PathBuf::from(OURS), format!("{head}{}\n", lines.join("\n"))));
        }
        if !listening.is_empty() {
            files.extend(self.sources().filter_map(|source| Some((source.path.clone(), taken_out(source)?))));
        }
        files
    }
}

impl Statement<'_> {
    fn adds_up(&self) -> bool {
        ADDING_UP.contains(&self.keyword.as_str()) && !self.in_match
    }
}

/// The file without the lines that add to ours; none where it has none.
fn taken_out(source: &Source) -> Option<String> {
    let lines: BTreeSet<usize> =
        statements(source).filter(Statement::adds_up).map(|statement| statement.line).collect();
    if lines.is_empty() {
        return None;
    }
    let mark = |(index, line): (usize, &str)| {
        if lines.contains(&(index + 1)) { format!("{TAKEN_OUT}{line}") } else { line.to_owned() }
    };
    Some(source.text.split_inclusive('\n').enumerate().map(mark).collect())
}

/// Two names of one setting: the older one is `ChallengeResponseAuthentication`.
fn same(one: &str, other: &str) -> bool {
    let name = |keyword: &str| match keyword.to_ascii_lowercase().as_str() {
        "challengeresponseauthentication" => "kbdinteractiveauthentication".to_owned(),
        keyword => keyword.to_owned(),
    };
    name(one) == name(other)
}

fn statements(source: &Source) -> impl Iterator<Item = Statement<'_>> {
    let mut in_match = false;
    source.text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
        let (keyword, value) = line.split_at(end);
        let keyword = keyword.to_ascii_lowercase();
        if keyword.is_empty() || keyword.starts_with('#') {
            return None;
        }
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches('"').to_owned();
        if keyword == "match" {
            in_match = !value.eq_ignore_ascii_case("all");
            return None;
        }
        Some(Statement { path: &source.path, line: index + 1, keyword, value, in_match })
    })
}

/// The patterns of an Include; relative ones are in /etc/ssh.
fn patterns(value: &str) -> Vec<PathBuf> {
    value.split_whitespace().map(|pattern| Path::new("/etc/ssh").join(pattern.trim_matches('"'))).collect()
}

/// Whether a pattern with at most one `*`, in its last part, takes in a path.
fn covers(pattern: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (shape, name) = (name(pattern), name(path));
    let fits = match shape.split_once('*') {
        None => shape == name,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    };
    fits && pattern.parent() == path.parent() && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fake::FakeHost;

    const KEYS: [(&str, &str); 1] = [("PasswordAuthentication", "no")];

    fn config(main: &str, others: &[(&str, &str)]) -> Config {
        let host = FakeHost::new();
        host.put_file(MAIN, main, 0o644);
        host.put_file("/etc/ssh/sshd_config.d/.keep", "", 0o644);
        for (name, text) in others {
            host.put_file(format!("/etc/ssh/sshd_config.d/{name}"), text, 0o644);
        }
        Config::read(&host).unwrap()
    }

    fn lasting(config: &Config, port: u16) -> Vec<String> {
        config.lasting(port, &[], &[]).into_iter().map(|(path, text)| format!("{}:{text}", path.display())).collect()
    }

    const INCLUDE: &str = "Include /etc/ssh/sshd_config.d/*.conf\n";

    #[test]
    fn ports_of_other_files_would_add_to_ours_and_are_taken_out() {
        let config = config(&format!("{INCLUDE}Port 22\n#Port 1\n  port=2200 # x\n"), &[("50-x.conf", "Port 7\n")]);
        let files = lasting(&config, 2222);
        assert!(files[0].ends_with("while they stand here.\nPort 2222\n"), "{files:#?}");
        assert_eq!(files[1], format!("{MAIN}:{INCLUDE}#bringup: Port 22\n#Port 1\n#bringup:   port=2200 # x\n"));
        assert_eq!(files[2], "/etc/ssh/sshd_config.d/50-x.conf:#bringup: Port 7\n");
    }

    #[test]
    fn nothing_is_written_where_the_server_listens_so_by_itself() {
        assert_eq!(lasting(&config(INCLUDE, &[]), 22), Vec::<String>::new());
        assert_eq!(lasting(&config(&format!("{INCLUDE}Port 2222\n"), &[]), 2222), Vec::<String>::new());
        assert_eq!(lasting(&config(&format!("{INCLUDE}ListenAddress 10.0.0.1\n"), &[]), 22).len(), 2);
        assert_eq!(lasting(&config(INCLUDE, &[("00-bringup.conf", "Port 2222\n")]), 2222).len(), 1);
    }

    #[test]
    fn where_our_settings_would_not_count_they_are_refused() {
        let why = |config: &Config| config.refuse(&KEYS).unwrap_err().why;
        assert!(config(INCLUDE, &[]).refuse(&KEYS).is_ok());
        assert!(why(&config("UsePAM yes\n", &[])).contains("does not include"));
        let first = config(&format!("UsePAM yes\nPasswordAuthentication yes\n{INCLUDE}"), &[]);
        assert!(why(&first).contains("line 2 comes first"), "{}", why(&first));
        let sorted = config(INCLUDE, &[("00-a.conf", "passwordauthentication yes\n")]);
        assert!(why(&sorted).contains("00-a.conf, line 1"));
        assert!(config(INCLUDE, &[("50-cloud-init.conf", "PasswordAuthentication yes\n")]).refuse(&KEYS).is_ok());
    }

    #[test]
    fn an_exception_in_a_match_block_is_refused_and_a_stricter_one_is_not() {
        let with = |line: &str| config(&format!("{INCLUDE}Match User bob\n  {line}\n"), &[]).refuse(&KEYS);
        assert!(with("PasswordAuthentication yes").unwrap_err().why.contains("line 3 makes an exception"));
        assert!(with("PasswordAuthentication no").is_ok());
        assert!(with("X11Forwarding yes").is_ok());
        let all = config(&format!("{INCLUDE}Match User bob\nMatch all\nPasswordAuthentication yes\n"), &[]);
        assert!(all.refuse(&KEYS).is_ok(), "behind `Match all` everything counts for everybody again");
    }
}
