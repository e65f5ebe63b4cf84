//! What the services of an application log: systemd's journal, or files. Every byte is the application's: it is read as
//! text, and escaped where it is shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};
use crate::plan::care::Service;
use crate::system::paths;
use crate::system::service::Manager;

/// At most so much of a file's end is read, in bytes.
const TAIL: u64 = 1 << 20;
/// Timeout of reading the journal.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What journalctl writes before its cursor.
const CURSOR: &str = "-- cursor: ";

/// A place in the logs, from which they are read on.
pub struct Logs {
    units: Vec<String>,
    cursor: Option<String>,
    files: BTreeMap<PathBuf, Position>,
}

/// How far a file was read; another file may have replaced it since.
#[derive(Clone, Copy)]
struct Position {
    ino: u64,
    offset: u64,
}

impl Logs {
    /// The logs of these services; of a service that logs nowhere known, a failure.
    pub fn of(services: &[Service]) -> Outcome<Self> {
        let mut logs = Self { units: Vec::new(), cursor: None, files: BTreeMap::new() };
        for service in services {
            match (&service.log, service.manager) {
                (Some(file), _) => drop(logs.files.insert(file.clone(), Position { ino: 0, offset: 0 })),
                (None, Manager::Systemd) => logs.units.push(service.unit.clone()),
                (None, _) => {
                    let why = format!("the guide does not say where {} logs to", service.unit);
                    return Err(Failure::new("read the logs", why));
                }
            }
        }
        Ok(logs)
    }

    /// The last `count` lines of each.
    pub fn last(&mut self, host: &dyn Host, count: usize) -> Outcome<Vec<String>> {
        let count_text = count.to_string();
        let mut lines = self.journal(host, &["--lines", &count_text])?;
        for path in self.files.keys().cloned().collect::<Vec<_>>() {
            let new = self.file(host, &path)?;
            lines.extend_from_slice(&new[new.len().saturating_sub(count)..]);
        }
        Ok(lines)
    }

    /// What came since.
    pub fn news(&mut self, host: &dyn Host) -> Outcome<Vec<String>> {
        let after = self.cursor.as_ref().map(|cursor| format!("--after-cursor={cursor}"));
        // A journal without an entry so far: all of them are new.
        let mut lines = self.journal(host, &[after.as_deref().unwrap_or("--lines=all")])?;
        for path in self.files.keys().cloned().collect::<Vec<_>>() {
            lines.extend(self.file(host, &path)?);
        }
        Ok(lines)
    }

    fn journal(&mut self, host: &dyn Host, which: &[&str]) -> Outcome<Vec<String>> {
        if self.units.is_empty() {
            return Ok(Vec::new());
        }
        let mut argv = vec!["journalctl", "--quiet", "--no-pager", "--output", "short-iso", "--show-cursor"];
        for unit in &self.units {
            argv.extend(["--unit", unit]);
        }
        argv.extend(which);
        let what = "read systemd's journal";
        let output = host.run(&Command::new(argv).timeout(TIMEOUT)).map_err(|e| Failure::new(what, e))?;
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        // It is the last line: an entry of the application that looks like one comes before it.
        if let Some(cursor) = lines.last().and_then(|line| line.strip_prefix(CURSOR)) {
            self.cursor = Some(cursor.to_owned());
            lines.pop();
        } else if !output.ok() && !output.stderr.is_empty() {
            let tail = output.tail(3);
            return Err(Failure::new(what, tail.join("; ")));
        }
        Ok(lines)
    }

    /// The complete lines that were added to a file since it was read last.
    fn file(&mut self, host: &dyn Host, path: &Path) -> Outcome<Vec<String>> {
        let what = || format!("read {}", path.display());
        // A link in its place, or on the way to it, could lead root to what is another user's to choose.
        paths::only_root_changes(host, path).map_err(|failure| Failure { what: what(), hint: None, ..failure })?;
        let Some(stat) = host.stat(path).map_err(|e| Failure::new(what(), e))? else { return Ok(Vec::new()) };
        if stat.kind != Kind::File {
            return Err(Failure::new(what(), "it is not a regular file"));
        }
        let before = self.files.get(path).copied().unwrap_or(Position { ino: 0, offset: 0 });
        let known = before.ino == stat.ino && before.offset <= stat.size;
        let from = if known { before.offset } else { stat.size.saturating_sub(TAIL) };
        let bytes = host.read_from(path, from).map_err(|e| Failure::new(what(), e))?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.files.insert(path.to_owned(), Position { ino: stat.ino, offset: from + end as u64 });
        let begin =
            if known || from == 0 { 0 } else { bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
        let text = String::from_utf8_lossy(bytes.get(begin..end).unwrap_or_default()).into_owned();
        Ok(text.lines().map(str::to_owned).collect())
    }
}
