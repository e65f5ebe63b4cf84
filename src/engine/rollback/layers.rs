//! The layers in which runs lie on the server, and what the disk owes to each.
//!
//! A run that is rolled back while later ones are in place leaves what they use, and the disk is compared with what
//! it was before it only when the last of them is gone. By then an earlier rollback has changed what the run had left:
//! its manifest of the run's end says nothing about such a path any more. Whether somebody else changed it is told by
//! the manifests around everything that bringup did in between ([`expected`]): what is at one's beginning as it was
//! at the end of the one before, nobody else touched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::engine::event::{self, What};
use crate::engine::journal::Journal;
use crate::engine::manifest::{Entry, Manifest};
use crate::engine::rollback::shared::Used;
use crate::engine::rollback::{accounts, reconcile};
use crate::engine::runs::{self, Run, RunDir, State};
use crate::engine::undo::Undo;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Stamp};

/// A run to be rolled back.
pub struct Layer<'a> {
    /// Its files.
    pub dir: &'a RunDir,
    /// Its journal.
    pub journal: &'a mut Journal,
}

/// Where a run lies among the others: the later, the higher.
pub type Height = (Stamp, String);

/// The height of the run with this journal.
pub fn height(journal: &Journal) -> Height {
    (journal.header.at, journal.header.run.clone())
}

/// A run that stays in place, and what it uses.
pub struct Above {
    height: Height,
    /// What it uses.
    pub used: Used,
}

impl Above {
    /// What the runs use that are in place, later than `lowest`, and none of `but`.
    pub fn all(host: &dyn Host, all: &[Run], lowest: &Height, but: &[String]) -> Outcome<Vec<Self>> {
        let stays = |run: &&Run| run.state != State::RolledBack && !but.contains(&run.dir.id);
        all.iter()
            .filter(stays)
            .filter(|run| height(&run.journal) > *lowest)
            .map(|run| {
                let id = &run.dir.id;
                if matches!(run.state, State::Unfinished | State::RollbackUnfinished) {
                    let why = format!("the later run {id} was interrupted, and may still use any of it");
                    let hint =
                        "`bringup resume` goes on with it, `bringup rollback` rolls it back; then try this again";
                    return Err(Failure::new("roll back a run below others", why).hint(hint));
                }
                let plan = run.dir.plan(host).map_err(|failure| {
                    failure.hint(format!("what run {id} uses is not known without it: roll that one back first"))
                })?;
                Ok(Self { height: height(&run.journal), used: Used::of(&run.dir.id, &plan, &run.journal) })
            })
            .collect()
    }

    /// Those that are later than `height`.
    pub fn than<'a>(all: &'a [Self], height: &Height) -> Vec<&'a Used> {
        all.iter().filter(|above| above.height > *height).map(|above| &above.used).collect()
    }
}

/// The name of a manifest that the present rollback of a run keeps: it may be rolled back in several parts.
pub fn manifest(journal: &Journal, name: &str) -> String {
    numbered(name, journal.rollbacks)
}

fn numbered(name: &str, earlier: usize) -> String {
    if earlier == 0 { name.to_owned() } else { format!("{name}-{}", earlier + 1) }
}

/// Something that bringup did to the disk, between two manifests.
struct Deed {
    height: Height,
    begin: Manifest,
    end: Manifest,
    at: Stamp,
}

/// The manifests around everything that was done to the disk since `begin`, in the order in which it was done.
fn deeds(host: &dyn Host, all: &[Run], layer: (&RunDir, &Journal), begin: Stamp) -> Outcome<Vec<Deed>> {
    let mut deeds = Vec::new();
    // Others are rolled back in the same pass: their present part is over. That of this layer is not.
    let others = all.iter().filter(|run| run.dir.id != layer.0.id).map(|run| (&run.dir, &run.journal, 1));
    for (dir, journal, present) in others.chain([(layer.0, layer.1, 0)]) {
        // The last look of a run that did not end after it counts for nothing. Of one that failed and is gone nothing
        // was left but what others did.
        let ended = journal.finished.is_some();
        if !ended && journal.rolled_back.is_some() && journal.waits.is_empty() {
            continue;
        }
        let run = ended.then(|| ("base".to_owned(), "post".to_owned()));
        let rollbacks = 0..journal.rollbacks + present;
        let rollbacks = rollbacks.map(|earlier| (numbered("cur", earlier), numbered("left", earlier)));
        for (first, last) in run.into_iter().chain(rollbacks) {
            let path = dir.file(&format!("{first}.manifest"));
            let Some(at) = host.stat(&path).ok().flatten().map(|stat| stat.mtime) else { continue };
            if at < begin {
                continue;
            }
            if let (Some((first, _)), Some((last, _))) =
                (Manifest::load(host, dir, &first)?, Manifest::load(host, dir, &last)?)
            {
                deeds.push(Deed { height: height(journal), begin: first, end: last, at });
            }
        }
    }
    deeds.sort_by_key(|deed| deed.at);
    Ok(deeds)
}

/// The end of a layer as a comparison needs it that comes after an earlier part of its rollback: paths that this part
/// changed, and nobody else since, count as they are in `cur`, which is the disk now.
pub struct Story {
    /// What the disk would look like if the layer had ended like this.
    pub post: Manifest,
    /// Paths that rollbacks of lower layers changed meanwhile: a difference there is nobody else's.
    pub quiet: BTreeSet<PathBuf>,
}

/// What the disk owes to the layer of this run. `all` are the runs of this server, `post` is the end of the run as far
/// as it is known.
pub fn story(
    host: &dyn Host,
    all: &[Run],
    layer: (&RunDir, &Journal),
    [base, post, cur]: [&Manifest; 3],
) -> Outcome<Story> {
    let nothing = || Story { post: post.clone(), quiet: BTreeSet::new() };
    let first = layer.0.file("base.manifest");
    let Some(begin) = host.stat(&first).ok().flatten().map(|stat| stat.mtime) else { return Ok(nothing()) };
    let deeds = deeds(host, all, layer, begin)?;
    let height = height(layer.1);
    let below = deeds.iter().filter(|deed| deed.height < height);
    let quiet: BTreeSet<PathBuf> = below.flat_map(|deed| changed(&deed.begin, &deed.end)).map(Path::to_owned).collect();
    let own: Vec<&Deed> = deeds.iter().filter(|deed| deed.height == height).collect();
    let chain: Vec<&Deed> = deeds.iter().filter(|deed| deed.height >= height).collect();
    let upper = all.iter().filter(|run| self::height(&run.journal) >= height);
    let windows: Vec<_> = upper.flat_map(|run| package_windows(host, (&run.dir, &run.journal))).collect();
    let mut expected = expected_end(&own, &chain, &windows, [post, cur]);
    if layer.1.finished.is_none() {
        // Whatever stands there now would be this run's: but this is known to be the lower layers'.
        for path in &quiet {
            put(&mut expected, path, base);
        }
    }
    Ok(Story { post: expected, quiet })
}

/// See [`Story::post`]. `own` are the deeds of the layer itself, the run first; `chain` those of it and of all above; packages were
/// installed in `windows`.
fn expected_end(own: &[&Deed], chain: &[&Deed], windows: &[(Stamp, Stamp)], [post, cur]: [&Manifest; 2]) -> Manifest {
    let mut expected = post.clone();
    let mut ours: BTreeSet<&Path> = BTreeSet::new();
    for deed in own.iter().skip(1) {
        ours.extend(changed(&deed.begin, &deed.end));
    }
    // The package manager's records were left alone as long as the set of packages was not one run's alone.
    // Others' packages may have brought anew what ours had.
    let brought = |path: &Path| cur.entries.get(path).is_some_and(|entry| within(windows, entry));
    if own.len() > 1 {
        ours.extend(changed(post, cur).filter(|path| reconcile::is_package_state(path) || brought(path)));
    }
    for path in ours {
        // These are merged by their lines, whoever changed which.
        if accounts::is_merged(path) || !(untouched(own, cur, path) || untouched(chain, cur, path)) {
            continue;
        }
        put(&mut expected, path, cur);
    }
    // Directories say by their times whether anything was made or removed in them.
    for (path, entry) in expected.entries.iter_mut().filter(|(_, entry)| entry.kind == Kind::Dir) {
        let time = |manifest: &Manifest| manifest.entries.get(path).map(|entry| entry.mtime);
        let ends = chain.iter().map(|deed| time(&deed.end));
        let begins = chain.iter().skip(1).map(|deed| time(&deed.begin)).chain([time(cur)]);
        if own.len() > 1
            && ends.zip(begins).all(|(end, begin)| end == begin)
            && let Some(now) = time(cur)
        {
            entry.mtime = now;
        }
    }
    expected
}

/// What the scripts of a run's packages have left in directories that an earlier run of ours brought. The comparison
/// leaves such paths alone, because living programs write in directories that were there before; but these were made
/// while the packages were installed (by their ctime and the run's own log), nobody touched them since, and the
/// directory is the earlier run's. Deepest first.
pub fn leftovers(
    host: &dyn Host,
    all: &[Run],
    layer: (&RunDir, &Journal),
    [base, post, cur]: [&Manifest; 3],
) -> Outcome<Vec<PathBuf>> {
    let windows = package_windows(host, layer);
    let made = |entry: &Entry| within(&windows, entry);
    let mut found: Vec<&PathBuf> = post
        .entries
        .iter()
        .filter(|(path, entry)| !base.entries.contains_key(*path) && made(entry))
        .filter(|(path, entry)| cur.entries.get(*path).is_some_and(|now| now.ctime == entry.ctime && now.same(entry)))
        .map(|(path, _)| path)
        .collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let own = height(layer.1);
    let below = all.iter().filter(|run| height(&run.journal) < own && (run.state != State::RolledBack || run.waits()));
    let mut theirs: BTreeSet<PathBuf> = BTreeSet::new();
    for run in below {
        if let (Some((before, _)), Some((after, _))) =
            (Manifest::load(host, &run.dir, "base")?, Manifest::load(host, &run.dir, "post")?)
        {
            let dirs = after.entries.iter().filter(|(_, entry)| entry.kind == Kind::Dir);
            theirs.extend(dirs.map(|(path, _)| path).filter(|path| !before.entries.contains_key(*path)).cloned());
        }
    }
    found.retain(|path| {
        path.ancestors().skip(1).any(|above| theirs.contains(above) && base.entries.contains_key(above))
    });
    Ok(found.into_iter().rev().cloned().collect())
}

/// Whether what stands at a path came there at one of these times.
fn within(windows: &[(Stamp, Stamp)], entry: &Entry) -> bool {
    windows.iter().any(|(from, to)| (*from..=*to).contains(&entry.ctime))
}

/// When the packages of a run were installed.
fn package_windows(host: &dyn Host, (dir, journal): (&RunDir, &Journal)) -> Vec<(Stamp, Stamp)> {
    let installs = |action: &str| {
        let entry = journal.entry(action);
        entry.is_some_and(|entry| entry.undo.iter().any(|undo| matches!(undo, Undo::Packages { .. })))
    };
    let mut windows = Vec::new();
    let mut begun = None;
    for event in event::read(host, &dir.file(runs::EVENTS)) {
        match event.what {
            What::ActionStarted { action } if installs(&action) => begun = Some(event.at),
            What::ActionEnded { action, .. } if installs(&action) => {
                windows.extend(begun.take().map(|begun| (begun, event.at)));
            }
            _ => {}
        }
    }
    windows
}

/// Makes `path` what it is in another manifest.
fn put(manifest: &mut Manifest, path: &Path, from: &Manifest) {
    match from.entries.get(path) {
        Some(entry) => drop(manifest.entries.insert(path.to_owned(), entry.clone())),
        None => drop(manifest.entries.remove(path)),
    }
}

/// Whether nobody changed `path` between these deeds, and after them.
fn untouched(deeds: &[&Deed], cur: &Manifest, path: &Path) -> bool {
    let ends = deeds.iter().map(|deed| &deed.end);
    let begins = deeds.iter().skip(1).map(|deed| &deed.begin).chain([cur]);
    ends.zip(begins).all(|(end, begin)| same(end.entries.get(path), begin.entries.get(path)))
}

/// The paths at which two manifests differ.
fn changed<'a>(before: &'a Manifest, after: &'a Manifest) -> impl Iterator<Item = &'a Path> {
    let all: BTreeSet<&PathBuf> = before.entries.keys().chain(after.entries.keys()).collect();
    all.into_iter().filter(|path| !same(before.entries.get(*path), after.entries.get(*path))).map(PathBuf::as_path)
}

fn same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
