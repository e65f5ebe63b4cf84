//! What ships inside the binary: the guides (`screens/`) and what they put on a host (`assets/`).
//!
//! A guide of the user's own is read from disk with [`read_tree`] into the same form.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, File, include_dir};

use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};

/// Files by their path relative to the directory they were taken from.
pub type Tree = BTreeMap<String, Vec<u8>>;

static SCREENS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/screens");
static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/assets");

/// Limit for a guide's tree, in bytes. Templates are small; more than this is a mistake such as `--guide /`.
const TREE_LIMIT: u64 = 16 * 1024 * 1024;

/// How deep directories may be nested in a guide.
const DEPTH_LIMIT: usize = 16;

/// The ids of the guides that ship with the binary, sorted.
pub fn guides() -> Vec<String> {
    let mut ids: Vec<String> = SCREENS
        .dirs()
        .filter(|dir| dir.get_file(dir.path().join("guide.yaml")).is_some())
        .map(|dir| dir.path().display().to_string())
        .collect();
    ids.sort();
    ids
}

/// A file below `screens/`, such as `webapp/guide.yaml`.
pub fn screen(path: &str) -> Option<&'static [u8]> {
    SCREENS.get_file(path).map(File::contents)
}

/// Every file below `screens/`, by its path there.
pub fn screens() -> Tree {
    let mut tree = Tree::new();
    collect(&SCREENS, SCREENS.path(), &mut tree);
    tree
}

/// The files below `assets/<dir>/`; empty when there are none.
pub fn below(dir: &str) -> Tree {
    let mut tree = Tree::new();
    if let Some(found) = ASSETS.get_dir(dir) {
        collect(found, found.path(), &mut tree);
    }
    tree
}

/// The example answers files: `name -> content`.
pub fn examples() -> Tree {
    below("answers")
}

/// Reads every file below `dir` of this server.
pub fn read_tree(host: &dyn Host, dir: &Path) -> Outcome<Tree> {
    let mut tree = Tree::new();
    let mut left = TREE_LIMIT;
    read_into(host, dir, "", DEPTH_LIMIT, &mut left, &mut tree)?;
    Ok(tree)
}

fn collect(dir: &Dir<'static>, root: &Path, tree: &mut Tree) {
    for file in dir.files() {
        if let Ok(relative) = file.path().strip_prefix(root) {
            let name = relative.display().to_string();
            if belongs(&name) {
                tree.insert(name, file.contents().to_vec());
            }
        }
    }
    for child in dir.dirs() {
        collect(child, root, tree);
    }
}

fn read_into(host: &dyn Host, dir: &Path, prefix: &str, depth: usize, left: &mut u64, tree: &mut Tree) -> Outcome<()> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| Failure::new(format!("read {}", path.display()), why);
    let mut names = host.list(dir).map_err(|e| failed(dir, &e))?;
    names.sort();
    for entry in names {
        // A host lists names or whole paths; only the last part matters here.
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let path = dir.join(name);
        let relative = format!("{prefix}{name}");
        let Some(stat) = host.stat(&path).map_err(|e| failed(&path, &e))? else {
            continue;
        };
        match stat.kind {
            Kind::Dir if depth == 0 => {
                return Err(failed(&path, &"directories are nested too deeply for a guide"));
            }
            Kind::Dir => read_into(host, &path, &format!("{relative}/"), depth - 1, left, tree)?,
            Kind::File if belongs(&relative) => {
                *left = left.checked_sub(stat.size).ok_or_else(|| {
                    failed(dir, &"it holds more than 16 MiB, too much for a guide")
                        .hint("give the guide's own directory")
                })?;
                tree.insert(relative, host.read_start(&path, TREE_LIMIT).map_err(|e| failed(&path, &e))?);
            }
            // Links could point out of the guide; nothing in a guide needs them.
            Kind::File | Kind::Symlink | Kind::Other => {}
        }
    }
    Ok(())
}

/// Whether a file is part of a guide, and not what an interpreter or an editor left beside it.
fn belongs(relative: &str) -> bool {
    let mut parts = relative.split('/');
    let name = relative.rsplit('/').next().unwrap_or(relative);
    let is_bytecode = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pyc"));
    !(parts.any(|part| part == "__pycache__" || part.starts_with('.')) || is_bytecode || name.ends_with('~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_interpreters_and_editors_are_no_part_of_a_guide() {
        assert!(belongs("demo/app.py"));
        assert!(!belongs("demo/__pycache__/app.cpython-311.pyc"));
        assert!(!belongs("demo/app.pyc"));
        assert!(!belongs(".git/config"));
        assert!(!belongs("nginx/site.conf~"));
    }

    #[test]
    fn the_demonstration_application_is_embedded_without_bytecode() {
        let tree = below("webapp");
        assert!(tree.contains_key("demo/app.py"), "{:?}", tree.keys());
        assert!(tree.keys().all(|name| belongs(name)));
    }

    #[test]
    fn a_directory_that_does_not_exist_is_empty() {
        assert!(below("no-such-guide").is_empty());
        assert_eq!(screen("no-such-guide/guide.yaml"), None);
    }
}
