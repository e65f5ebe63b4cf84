//! `guide new|lint|schema`: for authors of guides. Needs no root and changes nothing else.

use std::path::Path;

use serde_json::json;

use crate::assets;
use crate::cli::{Output, answers};
use crate::error::{Exit, Failure, Outcome, Problem};
use crate::guide::{load, schema};
use crate::host::{Host, Meta};
use crate::ui::stdio;
use crate::visible;

/// The guide that a new one begins as, and its name.
const SKELETON: (&str, &str) = ("skeleton", "hello");

/// Writes a small guide that works into a new directory, or into an empty one.
pub(super) fn new(host: &dyn Host, dir: &Path) -> Exit {
    match write_skeleton(host, dir) {
        Ok(files) => {
            for file in files {
                stdio::print(&format!("{}\n", visible::line(&file)));
            }
            let dir = shell_word(dir);
            stdio::print(&format!("\nNext: bringup guide lint {dir}, then: sudo bringup --guide {dir}\n"));
            Exit::Done
        }
        Err(failure) => {
            let Failure { what, why, hint, .. } = failure;
            let problem = Problem::new(format!("could not {what}: {why}"), hint.unwrap_or_default());
            answers::refuse(&[problem], Output::default())
        }
    }
}

/// Says every problem of a guide, with file and line.
pub(super) fn lint(host: &dyn Host, dir: &Path, output: Output) -> Exit {
    let guide = match load::load_dir(host, dir) {
        Ok(guide) => guide,
        Err(problems) => return answers::refuse(&problems, output),
    };
    let actions: usize = guide.stages.iter().map(|stage| stage.actions.len()).sum();
    let proofs: usize = guide.stages.iter().map(|stage| stage.proofs.len()).sum();
    if output.json {
        stdio::json(&format!("{}\n", json!({ "ok": true, "problems": [] })));
    } else {
        let stages = guide.stages.len();
        stdio::print(&format!("No problems: {stages} stages, {actions} actions, {proofs} proofs.\n"));
    }
    Exit::Done
}

/// Prints the JSON Schema of guide files.
pub(super) fn print_schema() -> Exit {
    stdio::json(schema::TEXT);
    Exit::Done
}

/// The paths written. A directory with something in it is left alone.
fn write_skeleton(host: &dyn Host, dir: &Path) -> Outcome<Vec<String>> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let failed = |path: &Path, why: &dyn std::fmt::Display| Failure::new(format!("write {}", path.display()), why);
    let meta = own(host);
    match host.stat(&dir).map_err(|e| failed(&dir, &e))? {
        None => host
            .make_dir(&dir, Meta { mode: 0o755, ..meta })
            .map_err(|e| failed(&dir, &e).hint("the directory above it must exist and be writable"))?,
        // Listing something other than a directory fails with a message.
        Some(_) if host.list(&dir).map_err(|e| failed(&dir, &e))?.is_empty() => {}
        Some(_) => return Err(failed(&dir, &"it is not empty").hint("name a directory that does not exist yet")),
    }
    let (skeleton, id) = SKELETON;
    let name = dir.file_name().and_then(|name| name.to_str()).filter(|name| is_id(name)).unwrap_or(id);
    let mut written = Vec::new();
    for (file, bytes) in assets::below(skeleton) {
        let path = dir.join(&file);
        let text = String::from_utf8_lossy(&bytes).replace(id, name);
        host.write(&path, text.as_bytes(), Meta { mode: 0o644, ..meta }).map_err(|e| failed(&path, &e))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

/// Owner and group of what this process makes.
fn own(host: &dyn Host) -> Meta {
    let uid = host.euid();
    let process = host.stat(Path::new("/proc/self/stat")).ok().flatten();
    let gid = process.map(|stat| stat.meta).filter(|meta| meta.uid == uid).map_or(uid, |meta| meta.gid);
    Meta { mode: 0o644, uid, gid }
}

/// Whether a guide can be called so: its name becomes part of paths.
fn is_id(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

/// A path as a shell takes it. One without a slash would be looked for among the shipped guides first.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let text = if text.contains('/') { text } else { format!("./{text}") };
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::answers::Given;
    use crate::answers::resolve::resolve;
    use crate::facts::probe::probe;
    use crate::host::fake::FakeHost;
    use crate::plan::build::build;

    #[test]
    fn a_new_guide_lints_clean_plans_and_bears_the_name_of_its_directory() {
        let host = FakeHost::debian("bookworm");
        let files = write_skeleton(&host, Path::new("/root/shop")).unwrap();
        assert_eq!(files, ["/root/shop/10-site.yaml", "/root/shop/guide.yaml"]);
        let guide = load::load_dir(&host, Path::new("/root/shop")).unwrap();
        assert_eq!(guide.id, "shop");
        let facts = probe(&host);
        let resolved = resolve(&guide, &facts, &Given::default(), &|_| String::new()).unwrap();
        let plan = build(&guide, &facts, &resolved).unwrap();
        assert!(plan.actions.len() == 4 && plan.proofs.len() == 2, "{plan:?}");
        assert!(serde_json::to_string(&plan).unwrap().contains("/srv/shop/index.html"));
    }

    #[test]
    fn what_stands_in_a_directory_already_is_left_alone() {
        let host = FakeHost::new();
        host.put_file("/root/mine/guide.yaml", "mine\n", 0o644);
        let why = write_skeleton(&host, Path::new("/root/mine")).unwrap_err().why;
        assert_eq!(why, "it is not empty");
        assert_eq!(host.text("/root/mine/guide.yaml").as_deref(), Some("mine\n"));
        assert!(write_skeleton(&host, Path::new("/root/mine/guide.yaml")).is_err());
    }

    #[test]
    fn a_sound_guide_ends_with_0_and_one_with_a_mistake_with_1() {
        let host = FakeHost::new();
        let dir = Path::new("/root/shop");
        write_skeleton(&host, dir).unwrap();
        assert_eq!(lint(&host, dir, Output::default()), Exit::Done);
        let stage = host.text("/root/shop/10-site.yaml").unwrap();
        host.put_file("/root/shop/10-site.yaml", stage.replace("site.text | escape", "site.txet | escape"), 0o644);
        assert_eq!(lint(&host, dir, Output::default()), Exit::Rejected);
        assert_eq!(lint(&host, Path::new("/root/none"), Output::default()), Exit::Rejected);
    }

    #[test]
    fn a_name_that_is_no_id_stays_the_directorys_alone() {
        let host = FakeHost::new();
        write_skeleton(&host, Path::new("/root/My Guide")).unwrap();
        assert_eq!(load::load_dir(&host, Path::new("/root/My Guide")).unwrap().id, "hello");
        assert_eq!(shell_word(Path::new("My Guide")), "'./My Guide'");
    }
}
