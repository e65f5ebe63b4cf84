//! After a stage of a run was rolled back by itself: what its records have brought back is the run's own doing, as if
//! it had ended so. Without that, a rollback of the rest takes it for somebody else's.

use std::path::Path;

use crate::engine::journal::Entry as Action;
use crate::engine::manifest::{Contents, Entry, Manifest};
use crate::engine::runs::RunDir;
use crate::engine::undo::{Undo, carry};
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};

/// Notes in the manifest of the run's end what the records of these actions have brought back. What somebody else
/// has changed there since stays as it was at the end.
pub(super) fn note(
    host: &dyn Host,
    dir: &RunDir,
    post: Option<(Manifest, Contents)>,
    actions: &[Action],
) -> Outcome<()> {
    let Some((mut manifest, contents)) = post else { return Ok(()) };
    let before = manifest.clone();
    for record in actions.iter().flat_map(|action| &action.undo) {
        match record {
            Undo::Restore { path, image } | Undo::Unedit { path, image, .. } => {
                if let Some(entry) = look(host, path)?
                    && entry.kind == image.kind
                    && (entry.kind == Kind::Symlink || entry.meta == image.meta)
                    && is_content(host, path, image.blob.as_deref())?
                    && entry.target == image.target
                {
                    // What the manifest knows of kept files comes from their content.
                    let hash = before.entries.get(path).and_then(|known| known.hash.as_ref()).and(image.blob.clone());
                    manifest.entries.insert(path.clone(), Entry { hash, ..entry });
                }
            }
            Undo::Remove { path }
            | Undo::RemoveDir { path }
            | Undo::RemoveTree { path }
            | Undo::RemoveData { path }
                if look(host, path)?.is_none() =>
            {
                manifest.entries.retain(|known, _| !known.starts_with(path));
            }
            _ => {}
        }
    }
    if manifest == before {
        return Ok(());
    }
    manifest.save(host, dir, "post", &contents)
}

fn is_content(host: &dyn Host, path: &Path, blob: Option<&str>) -> Outcome<bool> {
    let Some(blob) = blob else { return Ok(true) };
    Ok(carry::written(host, path)?.as_deref() == Some(blob))
}

fn look(host: &dyn Host, path: &Path) -> Outcome<Option<Entry>> {
    let failed = |e| Failure::new(format!("look at {}", path.display()), e);
    let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(None) };
    let target = if stat.kind == Kind::Symlink { Some(host.read_link(path).map_err(failed)?) } else { None };
    Ok(Some(Entry {
        kind: stat.kind,
        meta: stat.meta,
        size: stat.size,
        mtime: stat.mtime,
        ctime: stat.ctime,
        ino: stat.ino,
        hash: None,
        target,
        xattrs: Vec::new(),
    }))
}
