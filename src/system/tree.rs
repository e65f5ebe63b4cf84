//! Walking directory trees through the door.

use std::io;
use std::path::{Path, PathBuf};

use crate::host::{Host, Stat};

/// Everything below `root` with its path relative to it, directories before what they hold, in the order of
/// their names. Links are listed, not followed.
pub fn walk(host: &dyn Host, root: &Path) -> io::Result<Vec<(PathBuf, Stat)>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let names = host.list(&root.join(&dir))?;
        for name in names.iter().rev() {
            let relative = dir.join(name);
            // What disappears while we look was not there.
            let Some(stat) = host.stat(&root.join(&relative))? else {
                continue;
            };
            if stat.kind == crate::host::Kind::Dir {
                pending.push(relative.clone());
            }
            found.push((relative, stat));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}
