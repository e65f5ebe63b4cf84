//! `file`: writes a file that is ours.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Change, Context, Verdict};
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::host::{Kind, Stat};
use crate::system::{accounts, paths};
use crate::undo::{self, Undo};

/// Writes a whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The file's path.
    pub path: PathBuf,
    /// The whole content; placeholders stand for secrets. (In a guide: `content:` or `template: <asset>`.)
    pub content: String,
    /// Permission bits in octal, "0644" by default.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// Owner's name.
    #[serde(default = "root")]
    pub owner: String,
    /// Group's name.
    #[serde(default = "root")]
    pub group: String,
    /// Whether something that bringup did not create may exist there: it is replaced, and a rollback restores it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_exist: bool,
}

fn default_mode() -> String {
    "0644".to_owned()
}

fn root() -> String {
    "root".to_owned()
}

impl Act for File {
    fn describe(&self) -> String {
        format!("write {}", self.path.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        paths::missing_parents(cx.host, &self.path)?;
        let meta = accounts::meta(cx.host, &self.mode, &self.owner, &self.group)?;
        let change = |summary: String, diff| Ok(Verdict::WouldChange(Change { summary, diff }));
        let path = self.path.display();
        let Some(stat) = self.stat(cx)? else {
            return change(format!("create {path}"), diff::unified(&self.path, None, &self.content, cx.secrets));
        };
        if stat.kind == Kind::Symlink {
            let diff = diff::unified(&self.path, None, &self.content, cx.secrets);
            return change(format!("replace the link {path} by a file"), diff);
        }
        let present = match cx.host.read(&self.path) {
            Ok(present) => present,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                return change(format!("write {path} (only root can check the current state)"), None);
            }
            Err(e) => return Err(Failure::new(format!("read {path}"), e)),
        };
        // A secret that is not generated yet cannot be in the file.
        let same = cx.secrets.reveal(&self.content).is_ok_and(|wanted| wanted.as_bytes() == present);
        if !same {
            let diff = diff::unified(&self.path, Some(&present), &self.content, cx.secrets);
            return change(format!("change {path}"), diff);
        }
        if meta != Some(stat.meta) {
            let Self { mode, owner, group, .. } = self;
            return change(format!("set {path} to {owner}:{group}, mode {mode}"), None);
        }
        Ok(Verdict::Unchanged)
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.stat(cx)?;
        let mut records = undo::parent_records(cx.host, &self.path)?;
        records.push(cx.blobs.before(cx.host, &self.path)?);
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.stat(cx)?;
        let meta = accounts::require_meta(cx.host, &self.mode, &self.owner, &self.group)?;
        let content = cx.secrets.reveal(&self.content)?;
        paths::make_parents(cx.host, &self.path)?;
        cx.host
            .write(&self.path, content.as_bytes(), meta)
            .map_err(|e| Failure::new(format!("write {}", self.path.display()), e))
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl File {
    /// What is at the path, if a file may replace it. A link is replaced, never written through: its target belongs to
    /// someone else and is in no record of ours.
    fn stat(&self, cx: &Context<'_>) -> Outcome<Option<Stat>> {
        let stat = paths::stat(cx.host, &self.path)?;
        match stat.map(|stat| stat.kind) {
            None | Some(Kind::File | Kind::Symlink) => Ok(stat),
            Some(Kind::Dir | Kind::Other) => {
                let what = format!("write {}", self.path.display());
                Err(Failure::new(what, "a directory or a device is already there")
                    .hint("move it away, or choose another path"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;
    use crate::host::Host as _;
    use crate::secret::mark;

    fn file(path: &str, content: &str) -> File {
        serde_json::from_value(serde_json::json!({"path": path, "content": content})).unwrap()
    }

    #[test]
    fn a_new_file_comes_with_its_directories_and_goes_with_them() {
        let bench = Bench::new();
        bench.round_trip(&file("/etc/new/deep/x.conf", "a\n"));
        bench.make(&file("/etc/new/deep/x.conf", "a\n"));
        assert_eq!(bench.host.text("/etc/new/deep/x.conf").as_deref(), Some("a\n"));
        assert_eq!(bench.host.stat("/etc/new".as_ref()).unwrap().unwrap().meta, crate::host::Meta::root(0o755));
    }

    #[test]
    fn a_changed_file_comes_back_with_its_content_and_mode() {
        let bench = Bench::new();
        bench.host.put_file("/etc/x", "theirs\n", 0o600);
        assert_eq!(bench.diff(&file("/etc/x", "ours\n")), "--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-theirs\n+ours\n");
        bench.round_trip(&file("/etc/x", "ours\n"));
    }

    #[test]
    fn a_wrong_mode_alone_is_mended() {
        let bench = Bench::new();
        bench.host.put_file("/etc/x", "ours\n", 0o600);
        assert_eq!(bench.summary(&file("/etc/x", "ours\n")), "set /etc/x to root:root, mode 0644");
        bench.round_trip(&file("/etc/x", "ours\n"));
    }

    #[test]
    fn a_link_is_replaced_and_what_it_points_to_is_not_touched() {
        let bench = Bench::new();
        bench.host.put_file("/etc/target", "theirs\n", 0o644);
        bench.host.make_symlink("/etc/x".as_ref(), "target".as_ref()).unwrap();
        bench.round_trip(&file("/etc/x", "ours\n"));
        bench.make(&file("/etc/x", "ours\n"));
        assert_eq!(bench.host.text("/etc/target").as_deref(), Some("theirs\n"));
    }

    #[test]
    fn a_directory_in_the_way_is_refused_before_anything_is_changed() {
        let bench = Bench::new();
        assert!(bench.check(&file("/etc/default", "x")).is_err());
        assert!(bench.check(&file("/etc/passwd/x", "x")).is_err());
        assert!(bench.check(&file("relative", "x")).is_err());
        assert!(bench.check(&file("/etc/../x", "x")).is_err());
    }

    #[test]
    fn a_link_of_somebody_else_on_the_way_is_refused() {
        let bench = Bench::new();
        bench.host.make_symlink("/srv/www".as_ref(), "/etc".as_ref()).unwrap();
        assert!(bench.check(&file("/srv/www/x", "x")).is_ok(), "root's own links are fine");
        let theirs = crate::host::Meta { mode: 0o777, uid: 1000, gid: 1000 };
        bench.host.set_meta("/srv/www".as_ref(), theirs).unwrap();
        assert!(bench.check(&file("/srv/www/x", "x")).unwrap_err().why.contains("/srv/www"));
    }

    #[test]
    fn a_secret_stands_in_the_file_and_nowhere_else() {
        let bench = Bench::new();
        let act = file("/etc/x", &format!("password = {}\n", mark("db.password")));
        let verdict = bench.check(&act).unwrap();
        assert!(!format!("{verdict:?}").contains("correct-horse"));
        bench.round_trip(&act);
        bench.make(&act);
        assert_eq!(bench.host.text("/etc/x").as_deref(), Some("password = correct-horse\n"));
    }

    #[test]
    fn a_secret_that_is_yet_to_be_made_is_a_change_to_come() {
        let bench = Bench::new();
        let act = file("/etc/x", &format!("{}\n", mark("not.yet")));
        assert_eq!(bench.summary(&act), "create /etc/x");
        assert!(bench.try_to_make(&act).is_err());
    }

    #[test]
    fn an_owner_that_is_yet_to_come_is_a_change_to_come_and_then_a_failure() {
        let bench = Bench::new();
        let act = File { owner: "webapp".to_owned(), ..file("/etc/x", "x") };
        assert_eq!(bench.summary(&act), "create /etc/x");
        assert!(bench.try_to_make(&act).err().unwrap().hint.unwrap().contains("getent passwd webapp"));
        assert!(bench.host.text("/etc/x").is_none());
    }

    #[test]
    fn an_ordinary_user_can_plan() {
        let bench = Bench::new();
        bench.host.put_file("/etc/x", "secret\n", 0o600);
        let _ = bench.host.clone().as_user(1000);
        assert!(bench.summary(&file("/etc/x", "ours\n")).contains("only root"));
    }
}
