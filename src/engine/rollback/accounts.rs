//! The account files, merged line by line: our users are removed, all others stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The files that are merged line by line, by the key before the first colon.
const FILES: &[&str] = &["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];
/// Those whose last field lists members.
const GROUPS: &[&str] = &["/etc/group", "/etc/gshadow"];

/// A line that a step changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// The account file.
    pub file: PathBuf,
    /// The account.
    pub key: String,
    /// The line before; none when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The line now; none when it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Whether `path` is merged by key.
pub fn is_merged(path: &Path) -> bool {
    FILES.iter().any(|file| path == Path::new(file))
}

/// Whether `path` is the backup that the account tools keep of such a file.
pub fn is_backup(path: &Path) -> bool {
    path.to_str().and_then(|path| path.strip_suffix('-')).is_some_and(|file| is_merged(Path::new(file)))
}

/// The lines in which two versions of an account file differ.
pub fn changed(file: &Path, before: &[u8], after: &[u8]) -> Vec<AccountLine> {
    let (before, after) = (text(before), text(after));
    let (old, new) = (by_key(&before), by_key(&after));
    let mut keys: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let line = |key: &&str| {
        let (before, after) = (old.get(key), new.get(key));
        let owned = |line: Option<&&str>| line.map(|line| (*line).to_owned());
        (before != after).then(|| AccountLine {
            file: file.to_owned(),
            key: (*key).to_owned(),
            before: owned(before),
            after: owned(after),
        })
    };
    keys.iter().filter_map(line).collect()
}

impl AccountLine {
    /// The part of the change that is ours: all of it where the account is ours, else only our accounts that joined or
    /// left a group.
    pub fn ours(self, is_ours: &dyn Fn(&str) -> bool) -> Option<Self> {
        if is_ours(&self.key) {
            return Some(self);
        }
        let (Some(before), Some(after)) = (&self.before, &self.after) else { return None };
        if !GROUPS.iter().any(|file| self.file == Path::new(file)) {
            return None;
        }
        let ((head, old), (new_head, new)) = (members(before), members(after));
        let mut kept: Vec<&str> = old.iter().copied().filter(|name| new.contains(name) || !is_ours(name)).collect();
        kept.extend(new.iter().filter(|name| !old.contains(name) && is_ours(name)));
        let after = format!("{head}:{}", kept.join(","));
        (head == new_head && after != *before).then_some(Self { after: Some(after), ..self })
    }
}

/// User and group ids that these lines added.
pub fn numbers<'a>(lines: impl Iterator<Item = &'a AccountLine>) -> BTreeSet<u32> {
    let new =
        lines.filter(|line| line.before.is_none() && !line.file.ends_with("shadow") && !line.file.ends_with("gshadow"));
    new.filter_map(|line| line.after.as_ref()?.split(':').nth(2)?.parse().ok()).collect()
}

/// Adds what a later step changed to what earlier ones did.
pub fn add(lines: &mut Vec<AccountLine>, later: &[AccountLine]) {
    for line in later {
        match lines.iter_mut().find(|known| known.file == line.file && known.key == line.key) {
            Some(known) => {
                if known.after != line.before {
                    known.before.clone_from(&line.before);
                }
                known.after.clone_from(&line.after);
            }
            None => lines.push(line.clone()),
        }
    }
    lines.retain(|line| line.before != line.after);
}

/// A file's content without the changes in `lines`. Later changes by others to a line of ours stay.
pub fn without(current: &[u8], lines: &[&AccountLine]) -> Vec<u8> {
    let current = text(current);
    let mut out = String::with_capacity(current.len());
    let mut seen = Vec::new();
    for now in current.lines() {
        let key = key(now);
        seen.push(key);
        let line = lines.iter().find(|line| line.key == key);
        let restored = match line.map(|line| (line.before.as_deref(), line.after.as_deref())) {
            Some((None, Some(ours))) if ours == now => continue,
            Some((Some(before), Some(ours))) if ours == now => before.to_owned(),
            Some((Some(before), Some(ours))) => without_members(now, before, ours),
            _ => now.to_owned(),
        };
        out.push_str(&restored);
        out.push('\n');
    }
    // What we removed is restored.
    for line in lines.iter().filter(|line| line.after.is_none() && !seen.contains(&line.key.as_str())) {
        if let Some(before) = &line.before {
            out.push_str(before);
            out.push('\n');
        }
    }
    out.into_bytes()
}

/// A line that others changed too, without the members that only we added.
fn without_members(now: &str, before: &str, ours: &str) -> String {
    let ((head, here), (_, old), (_, new)) = (members(now), members(before), members(ours));
    let ours_only = |name: &&str| new.contains(name) && !old.contains(name);
    let kept: Vec<&str> = here.iter().copied().filter(|name| !ours_only(name)).collect();
    if kept.len() == here.len() { now.to_owned() } else { format!("{head}:{}", kept.join(",")) }
}

/// A group's line: everything before its members, and the members.
fn members(line: &str) -> (&str, Vec<&str>) {
    let (head, last) = line.rsplit_once(':').unwrap_or((line, ""));
    (head, last.split(',').filter(|name| !name.is_empty()).collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn key(line: &str) -> &str {
    line.split(':').next().unwrap_or(line)
}

fn by_key(text: &str) -> BTreeMap<&str, &str> {
    text.lines().map(|line| (key(line), line)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{AccountLine, add, changed, is_backup, is_merged, numbers, without};

    const GROUP: &str = "/etc/group";

    /// What is left of `current` without what the accounts of ours changed from `baseline` to `post`.
    fn back(baseline: &str, post: &str, current: &str) -> String {
        let ours = |key: &str| ["webapp", "ours"].contains(&key);
        let lines = changed(Path::new(GROUP), baseline.as_bytes(), post.as_bytes());
        let lines: Vec<AccountLine> = lines.into_iter().filter_map(|line| line.ours(&ours)).collect();
        let lines: Vec<&AccountLine> = lines.iter().collect();
        String::from_utf8_lossy(&without(current.as_bytes(), &lines)).into_owned()
    }

    #[test]
    fn our_user_goes_and_the_administrators_stays() {
        let baseline = "root:x:0:\nwww:x:33:\n";
        let post = "root:x:0:\nwww:x:33:webapp\nwebapp:x:998:\n";
        let current = "root:x:0:\nwww:x:33:webapp\nwebapp:x:998:\nalice:x:1000:\n";
        assert_eq!(back(baseline, post, current), "root:x:0:\nwww:x:33:\nalice:x:1000:\n");
    }

    #[test]
    fn a_user_that_somebody_made_while_we_worked_stays() {
        let post = "www:x:33:webapp,alice\nwebapp:x:998:\nalice:x:1000:\n";
        assert_eq!(back("www:x:33:\n", post, post), "www:x:33:alice\nalice:x:1000:\n");
    }

    #[test]
    fn a_line_that_somebody_changed_after_us_is_left_alone() {
        assert_eq!(back("", "ours:1\n", "ours:changed\n"), "ours:changed\n");
        assert_eq!(back("a:1:\n", "a:1:ours\n", "a:1:ours,alice\n"), "a:1:alice\n");
        assert_eq!(back("a:1:\n", "a:2:\n", "a:2:\n"), "a:2:\n", "nobody of ours");
    }

    #[test]
    fn a_line_that_the_run_removed_comes_back() {
        assert_eq!(back("a:1\nours:1\n", "a:1\n", "a:1\nc:1\n"), "a:1\nc:1\nours:1\n");
    }

    #[test]
    fn what_a_later_step_does_is_added() {
        let line = |before: Option<&str>, after: Option<&str>| AccountLine {
            file: GROUP.into(),
            key: "a".to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let mut lines = vec![line(None, Some("a:1"))];
        add(&mut lines, &[line(Some("a:1"), Some("a:2"))]);
        assert_eq!(lines, [line(None, Some("a:2"))]);
        // Others changed it in between: their version is restored.
        add(&mut lines, &[line(Some("a:3"), Some("a:4"))]);
        assert_eq!(lines, [line(Some("a:3"), Some("a:4"))]);
        add(&mut lines, &[line(Some("a:4"), Some("a:3"))]);
        assert!(lines.is_empty());
    }

    #[test]
    fn our_own_line_becomes_what_it_was_and_comes_neither_twice_nor_over_a_removal() {
        assert_eq!(back("ours:1\n", "ours:2\n", "ours:2\n"), "ours:1\n");
        assert_eq!(back("ours:1\n", "ours:2\n", ""), "", "somebody removed it since");
        assert_eq!(back("ours:1\n", "", "ours:9\n"), "ours:9\n", "somebody made it anew");
        let mut lines = vec![line(GROUP, None, Some("a:1"))];
        add(&mut lines, &[line("/etc/passwd", None, Some("a:1")), line(GROUP, None, Some("b:1"))]);
        assert_eq!(lines.len(), 3, "of each file and account its own");
    }

    fn line(file: &str, before: Option<&str>, after: Option<&str>) -> AccountLine {
        let key = before.or(after).unwrap_or_default().split(':').next().unwrap_or_default();
        AccountLine {
            file: file.into(),
            key: key.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn of_a_line_of_others_only_our_members_are_ours() {
        let ours = |key: &str| key == "ours";
        let of = |file: &str, before: &str, after: &str| {
            line(file, Some(before), Some(after)).ours(&ours).map(|line| line.after.unwrap_or_default())
        };
        assert_eq!(of("/etc/passwd", "ours:x:1", "ours:x:2").as_deref(), Some("ours:x:2"));
        for file in [GROUP, "/etc/gshadow"] {
            assert_eq!(of(file, "a:x:1:alice", "a:x:1:alice,ours").as_deref(), Some("a:x:1:alice,ours"));
            // Other accounts that joined or left meanwhile are not ours.
            assert_eq!(of(file, "a:x:1:alice,bob", "a:x:1:bob,ours,eve").as_deref(), Some("a:x:1:alice,bob,ours"));
            assert_eq!(of(file, "a:x:1:alice,ours", "a:x:1:").as_deref(), Some("a:x:1:alice"));
            assert_eq!(of(file, "a:x:1:alice", "a:x:1:eve"), None);
            assert_eq!(of(file, "a:x:1:", "a:x:2:ours"), None, "somebody gave it another number");
        }
        // Only groups have members.
        assert_eq!(of("/etc/passwd", "a:x:1:", "a:x:1:ours"), None);
        assert_eq!(line(GROUP, None, Some("a:x:1:ours")).ours(&ours), None);
        assert_eq!(line(GROUP, Some("a:x:1:ours"), None).ours(&ours), None);
    }

    #[test]
    fn numbers_are_those_of_new_accounts() {
        let lines = [
            line("/etc/passwd", None, Some("ours:x:999:998::/:/bin/sh")),
            line(GROUP, None, Some("ours:x:998:")),
            line("/etc/shadow", None, Some("ours:!:19000:0:99999:7:::")),
            line("/etc/gshadow", None, Some("ours:!:17:")),
            line(GROUP, Some("a:x:4:"), Some("a:x:4:ours")),
            line(GROUP, Some("b:x:5:"), None),
        ];
        assert_eq!(numbers(lines.iter()), BTreeSet::from([998, 999]));
    }

    #[test]
    fn account_files_and_their_backups_are_known_by_name() {
        for file in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"] {
            let backup = format!("{file}-");
            assert!(is_merged(Path::new(file)) && !is_backup(Path::new(file)));
            assert!(is_backup(Path::new(&backup)) && !is_merged(Path::new(&backup)));
        }
        assert!(!is_merged(Path::new("/etc/hosts")) && !is_backup(Path::new("/etc/hosts-")));
    }
}
