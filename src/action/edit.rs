//! `edit`: changes lines or keys in a file that is not ours, so that exactly our change can be removed again.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Change, Context, Verdict};
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta, Stat};
use crate::system::paths;
use crate::undo::{Image, Undo, UndoContext, Undone};

mod lines;
mod merge;

/// Changes lines or keys in a file of others, so that exactly this change can be rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Which file; it must exist when the action is applied.
    pub path: PathBuf,
    /// Keys to set. The last active line with the key (in `section`) is replaced; else the line is added after
    /// a commented-out one with that key, else at the end of the section.
    #[serde(default)]
    pub set: Vec<Setting>,
    /// Lines that must be there; added at the end when missing.
    #[serde(default)]
    pub lines: Vec<String>,
}

/// A key to set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The text between key and value: `" = "` by default, `" "` for Redis or sshd.
    #[serde(default = "equals")]
    pub separator: String,
    /// The `[section]` it belongs to; none when empty.
    #[serde(default)]
    pub section: String,
}

fn equals() -> String {
    " = ".to_owned()
}

impl Act for Edit {
    fn describe(&self) -> String {
        format!("edit {}", self.path.display())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        paths::missing_parents(cx.host, &self.path)?;
        let change = |summary: String, diff| Ok(Verdict::WouldChange(Change { summary, diff }));
        let path = self.path.display();
        if self.stat(cx.host)?.is_none() {
            return change(format!("edit {path}, once its package has installed it"), None);
        }
        let present = match cx.host.read(&self.path) {
            Ok(present) => present,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                return change(format!("edit {path} (only root can check the current state)"), None);
            }
            Err(e) => return Err(Failure::new(format!("read {path}"), e)),
        };
        if let Ok(wanted) = self.revealed(cx)
            && wanted.applied(&present) == present
        {
            return Ok(Verdict::Unchanged);
        }
        let marked = String::from_utf8(self.applied(&present)).ok();
        let diff =
            marked.and_then(|text| diff::unified(&self.path, Some(&present), &cx.secrets.conceal(&text), cx.secrets));
        change(self.describe(), diff)
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let (present, _) = self.present(cx.host)?;
        let Some(image) = cx.blobs.image(cx.host, &self.path)? else {
            return Err(self.gone());
        };
        let ours = cx.blobs.put(cx.host, &self.revealed(cx)?.applied(&present))?;
        Ok(vec![Undo::Unedit { path: self.path.clone(), image, ours: Some(ours) }])
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let (present, meta) = self.present(cx.host)?;
        let wanted = self.revealed(cx)?.applied(&present);
        if wanted == present {
            return Ok(());
        }
        replace(cx.host, &self.path, &wanted, meta)
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.path.clone()], ..Brings::default() }
    }
}

impl Edit {
    /// The file after the edit.
    fn applied(&self, present: &[u8]) -> Vec<u8> {
        let mut text = lines::Text::new(present);
        for setting in &self.set {
            text.set(setting);
        }
        for line in &self.lines {
            text.require(line);
        }
        text.into_bytes()
    }

    /// The same edit with the secrets filled in.
    fn revealed(&self, cx: &Context<'_>) -> Outcome<Self> {
        let mut edit = self.clone();
        for setting in &mut edit.set {
            setting.value = cx.secrets.reveal(&setting.value)?;
        }
        for line in &mut edit.lines {
            *line = cx.secrets.reveal(line)?;
        }
        Ok(edit)
    }

    /// The file's present content; an error when it does not exist.
    fn present(&self, host: &dyn Host) -> Outcome<(Vec<u8>, Meta)> {
        let Some(stat) = self.stat(host)? else {
            return Err(self.gone());
        };
        let content = host.read(&self.path).map_err(|e| Failure::new(self.describe(), e))?;
        Ok((content, stat.meta))
    }

    fn gone(&self) -> Failure {
        Failure::new(self.describe(), "the file does not exist")
            .hint("install its package first, or write it with a `file` action")
    }

    /// The file at the path, if there is one. A link is refused: its target has a path of its own, under which the
    /// change can be recorded and found again.
    fn stat(&self, host: &dyn Host) -> Outcome<Option<Stat>> {
        let stat = paths::stat(host, &self.path)?;
        match stat.map(|stat| stat.kind) {
            None | Some(Kind::File) => Ok(stat),
            Some(Kind::Symlink) => {
                let target = paths::read_link(host, &self.path)?;
                Err(Failure::new(self.describe(), format!("it is a symbolic link to {}", target.display()))
                    .hint("edit the file that it points to"))
            }
            Some(Kind::Dir | Kind::Other) => Err(Failure::new(self.describe(), "it is not a regular file")),
        }
    }
}

/// Carries out [`Undo::Unedit`]: removes our lines, and keeps what others changed since.
pub fn undo(cx: &UndoContext<'_>, path: &Path, image: &Image, ours: Option<&str>) -> Outcome<Undone> {
    let shown = path.display();
    let kept = |why: &str| Ok(Undone::Kept { what: shown.to_string(), why: why.to_owned() });
    let Some(stat) = paths::stat(cx.host, path)? else {
        return kept("it was removed since");
    };
    let Some(blob) = &image.blob else {
        return Err(Failure::new(format!("roll back the edit of {shown}"), "its former content was not kept"));
    };
    if stat.kind != Kind::File {
        return kept("it is no longer a regular file");
    }
    let present = cx.host.read(path).map_err(|e| Failure::new(format!("read {shown}"), e))?;
    let before = cx.blobs.get(cx.host, blob)?;
    let hash = crate::hash::sha256_hex(&present);
    let settle =
        || cx.host.set_mtime(path, image.mtime).map_err(|e| Failure::new(format!("restore the times of {shown}"), e));
    if &hash == blob {
        // Never edited, or already rolled back by an undo that was interrupted.
        settle()?;
        return Ok(Undone::Nothing);
    }
    // The edit never changed owner and mode: the present ones are right.
    if ours == Some(&hash) || cx.written_hashes.get(path) == Some(&hash) {
        replace(cx.host, path, &before, stat.meta)?;
        settle()?;
        return Ok(Undone::Done(format!("removed bringup's changes from {shown}")));
    }
    let Some(ours) = ours else {
        return kept("someone else changed it since");
    };
    let merged = merge::take_out(&cx.blobs.get(cx.host, ours)?, &before, &present);
    if merged.content != present {
        replace(cx.host, path, &merged.content, stat.meta)?;
    }
    if merged.conflicts.is_empty() {
        return Ok(Undone::Done(format!("removed bringup's lines from {shown}; other changes in it are kept")));
    }
    let places: Vec<String> = merged.conflicts.iter().map(ToString::to_string).collect();
    kept(&format!("someone else changed bringup's lines since (line {})", places.join(", ")))
}

/// Replaces a file's content, keeping its extended attributes (such as ACLs).
fn replace(host: &dyn Host, path: &Path, content: &[u8], meta: Meta) -> Outcome<()> {
    let failed = |e| Failure::new(format!("write {}", path.display()), e);
    let attributes = host.xattrs(path).map_err(failed)?;
    host.write(path, content, meta).map_err(failed)?;
    for (name, value) in attributes {
        host.set_xattr(path, &name, &value).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};
    use crate::host::Stamp;
    use crate::secret::mark;

    const CONF: &str = "# a file\nport 1\n#bind 0.0.0.0\nlast yes\n";

    fn edit() -> Edit {
        let set = serde_json::json!([
            {"key": "port", "value": "2", "separator": " "},
            {"key": "bind", "value": "127.0.0.1", "separator": " "},
        ]);
        serde_json::from_value(serde_json::json!({"path": "/etc/x.conf", "set": set, "lines": ["include y"]})).unwrap()
    }

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.host.put_file("/etc/x.conf", CONF, 0o640);
        bench
    }

    fn text(bench: &Bench) -> String {
        bench.host.text("/etc/x.conf").unwrap()
    }

    #[test]
    fn an_edit_comes_and_goes_and_leaves_the_time_of_the_file() {
        let bench = bench();
        let old = Stamp { sec: 1_000_000_000, nsec: 7 };
        bench.host.set_mtime("/etc/x.conf".as_ref(), old).unwrap();
        bench.round_trip(&edit());
        assert_eq!(bench.host.stat("/etc/x.conf".as_ref()).unwrap().unwrap().mtime, old);
        bench.make(&edit());
        assert_eq!(text(&bench), "# a file\nport 2\n#bind 0.0.0.0\nbind 127.0.0.1\nlast yes\ninclude y\n");
    }

    #[test]
    fn what_others_changed_since_stays() {
        let bench = bench();
        let done = bench.make(&edit());
        bench.host.put_file("/etc/x.conf", text(&bench).replace("last yes", "last no\ntheirs 1"), 0o600);
        assert!(kept(bench.take_back(&done)).is_empty());
        assert_eq!(text(&bench), "# a file\nport 1\n#bind 0.0.0.0\nlast no\ntheirs 1\n");
        assert_eq!(bench.host.stat("/etc/x.conf".as_ref()).unwrap().unwrap().meta.mode, 0o600);
    }

    #[test]
    fn our_own_line_changed_by_others_stays_and_is_told() {
        let bench = bench();
        let done = bench.make(&edit());
        bench.host.put_file("/etc/x.conf", text(&bench).replace("port 2", "port 3"), 0o640);
        assert_eq!(kept(bench.take_back(&done)), ["/etc/x.conf: someone else changed bringup's lines since (line 2)"]);
        assert_eq!(text(&bench), "# a file\nport 3\n#bind 0.0.0.0\nlast yes\n");
    }

    #[test]
    fn a_file_that_is_gone_is_told() {
        let bench = bench();
        let done = bench.make(&edit());
        bench.host.take_away("/etc/x.conf");
        assert_eq!(kept(bench.take_back(&done)), ["/etc/x.conf: it was removed since"]);
    }

    #[test]
    fn taking_back_twice_changes_nothing_more() {
        let bench = bench();
        let done = bench.make(&edit());
        bench.take_back(&done);
        assert_eq!(bench.take_back(&done), [Undone::Nothing]);
        assert_eq!(text(&bench), CONF);
    }

    #[test]
    fn two_edits_of_one_file_can_be_taken_back_in_any_order() {
        let bench = bench();
        let first = bench.make(&Edit { lines: Vec::new(), ..edit() });
        let second = bench.make(&Edit { set: Vec::new(), ..edit() });
        bench.take_back(&first);
        assert_eq!(text(&bench), format!("{CONF}include y\n"));
        bench.take_back(&second);
        assert_eq!(text(&bench), CONF);
    }

    #[test]
    fn extended_attributes_survive() {
        let bench = bench();
        bench.host.set_xattr("/etc/x.conf".as_ref(), "user.note", b"kept").unwrap();
        let done = bench.make(&edit());
        let note = vec![("user.note".to_owned(), b"kept".to_vec())];
        assert_eq!(bench.host.xattrs("/etc/x.conf".as_ref()).unwrap(), note);
        bench.take_back(&done);
        assert_eq!(bench.host.xattrs("/etc/x.conf".as_ref()).unwrap(), note);
    }

    #[test]
    fn a_secret_is_written_and_never_shown() {
        let bench = bench();
        let mut act = edit();
        act.lines = vec![format!("requirepass {}", mark("db.password"))];
        assert!(!format!("{:?}", bench.check(&act)).contains("correct-horse"));
        bench.round_trip(&act);
        bench.make(&act);
        assert!(text(&bench).contains("requirepass correct-horse\n"));
        act.set[0].value = "9".to_owned();
        assert!(!bench.diff(&act).contains("correct-horse"));
    }

    #[test]
    fn a_file_that_is_yet_to_come_is_a_change_to_come_and_a_link_is_refused() {
        let bench = Bench::new();
        assert!(bench.summary(&edit()).contains("once its package has installed it"));
        assert!(bench.try_to_make(&edit()).err().unwrap().why.contains("does not exist"));
        bench.host.make_symlink("/etc/x.conf".as_ref(), "/etc/passwd".as_ref()).unwrap();
        assert!(bench.check(&edit()).unwrap_err().why.contains("symbolic link to /etc/passwd"));
    }
}
