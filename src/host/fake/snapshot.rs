//! Everything that can be seen of the server, for comparing before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::FakeHost;
use super::databases::Databases;
use crate::host::{Kind, Meta};

/// What a path looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    kind: Kind,
    meta: Meta,
    content: String,
}

/// Everything that can be seen of the server. Times are left out: what is restored is as new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, Seen>,
    packages: BTreeMap<String, String>,
    running: BTreeSet<String>,
    databases: Databases,
    listening: BTreeSet<String>,
    rules: BTreeSet<String>,
}

impl FakeHost {
    /// Records everything except what is below `without`, the kernel's file systems and memory.
    pub fn snapshot(&self, without: &[&str]) -> Snapshot {
        let rules = self.loaded_rules().lines().map(str::to_owned).collect();
        let world = self.world();
        let is_left_out = |path: &Path| {
            ["/proc", "/sys", "/run", "/tmp"].iter().chain(without).any(|prefix| path.starts_with(prefix))
        };
        let files = world.files.iter().filter(|(path, _)| !is_left_out(path)).map(|(path, node)| {
            let content = match node.kind {
                Kind::Symlink => node.target.display().to_string(),
                _ => String::from_utf8_lossy(&node.content).into_owned(),
            };
            (path.clone(), Seen { kind: node.kind, meta: node.meta, content })
        });
        Snapshot {
            files: files.collect(),
            packages: world.installed(),
            running: world.services.active.union(&world.services.running_programs).cloned().collect(),
            databases: world.databases.clone(),
            listening: world.listening().into_iter().map(|(address, program)| format!("{address} {program}")).collect(),
            rules,
        }
    }
}

impl Snapshot {
    /// What differs from `self` in `other`, a line each: `+` came, `-` went, `~` changed. Empty when they are equal.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare(&mut lines, "", &self.files, &other.files, |seen| {
            format!("{:?} {:o} {}:{} {:?}", seen.kind, seen.meta.mode, seen.meta.uid, seen.meta.gid, seen.content)
        });
        compare(&mut lines, "package ", &self.packages, &other.packages, Clone::clone);
        let sets = [
            ("running ", &self.running, &other.running),
            ("listening ", &self.listening, &other.listening),
            ("rule ", &self.rules, &other.rules),
            ("role ", &self.databases.roles, &other.databases.roles),
            ("broker user ", &self.databases.broker_users, &other.databases.broker_users),
            ("broker tags ", &self.databases.broker_tags, &other.databases.broker_tags),
            ("virtual host ", &self.databases.vhosts, &other.databases.vhosts),
            ("permission ", &self.databases.permissions, &other.databases.permissions),
        ];
        for (what, before, after) in sets {
            let came = after.difference(before).map(|name| format!("+ {what}{name:?}"));
            let went = before.difference(after).map(|name| format!("- {what}{name:?}"));
            lines.extend(came.chain(went));
        }
        compare(&mut lines, "database ", &self.databases.databases, &other.databases.databases, |rows| rows.join("; "));
        lines
    }
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq>(
    lines: &mut Vec<String>,
    what: &str,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    show: impl Fn(&V) -> String,
) {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let mut line = String::new();
        let _ = match (before.get(key), after.get(key)) {
            (None, Some(new)) => write!(line, "+ {what}{key:?} {}", show(new)),
            (Some(old), None) => write!(line, "- {what}{key:?} {}", show(old)),
            (Some(old), Some(new)) if old != new => {
                write!(line, "~ {what}{key:?} {} -> {}", show(old), show(new))
            }
            _ => continue,
        };
        lines.push(line.trim_end().to_owned());
    }
}
