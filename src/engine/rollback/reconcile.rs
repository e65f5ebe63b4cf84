//! The disk as it was: a three-way comparison of every path.
//!
//! - nobody touched it since we did (`cur` = `post`): it becomes what `base` says;
//! - we never changed it (`post` = `base`): it stays what `cur` says, and is put back if the purge took it;
//! - both changed it: the other one's version stays and is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::engine::manifest::{Contents, Entry, Manifest, is_kept, is_log};
use crate::engine::rollback::accounts;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta};

/// Where programs keep what changes while they run. A directory that the run brought goes with all that has
/// become of it (databases are asked about before the rollback begins). In a directory that was there before,
/// living programs of others write: only what undo records name is touched there.
const STATE: &[&str] = &["/var/lib", "/var/cache", "/var/log", "/var/spool"];

/// Where applications and sites lie. As [`STATE`], but what somebody changed in a directory of ours stays.
const SITES: &[&str] = &["/opt", "/var/www"];

/// Where certbot keeps certificates. It renews them by itself: one that the run brought goes with all that its
/// renewals have made of it.
const RENEWED: &str = "/etc/letsencrypt";
/// Directories there that are of no certificate alone: copies of keys and requests that certbot before 2.3 writes and
/// never reads, and accounts.
const SHARED: &[&str] = &["keys", "csr", "accounts"];

/// Below [`STATE`], but what is new there came with our packages.
const FETCHED: &str = "/var/cache/apt/archives";

/// The package manager's own records. Put back as a whole, or left alone when others changed the package set.
const PACKAGE_STATE: &[&str] = &[
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/ucf",
    "/var/cache/debconf",
    "/var/lib/systemd/deb-systemd-helper-enabled",
];

/// The list of installed packages.
const STATUS: &str = "/var/lib/dpkg/status";

/// The disk at three times.
pub struct States<'a> {
    /// Before the first change.
    pub base: &'a Manifest,
    /// At the end of the run.
    pub post: &'a Manifest,
    /// When the rollback began.
    pub cur: &'a Manifest,
    /// Contents that were kept, each with its hash.
    pub contents: [&'a Contents; 3],
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Left in place, and why.
    pub kept: Vec<(String, String)>,
    /// Could not be made as it was.
    pub errors: Vec<Failure>,
}

/// What a path shall be.
enum Want<'a> {
    /// As it is now.
    AsIs,
    /// Not there.
    Gone,
    /// This.
    This(&'a Entry),
    /// A file with this content and these permissions.
    Merged(Vec<u8>, Meta),
}

/// Throws away the contents of a manifest at the end of a run that no comparison needs.
pub fn keep_needed(post: &Manifest, contents: &mut Contents) {
    let needed: BTreeSet<&String> = post
        .entries
        .iter()
        .filter(|(path, _)| accounts::is_merged(path) || *path == Path::new(STATUS))
        .filter_map(|(_, entry)| entry.hash.as_ref())
        .collect();
    contents.retain(|hash, _| needed.contains(hash));
}

/// Brings every path to what it shall be. Safe to call again.
pub fn reconcile(host: &dyn Host, states: &States<'_>) -> Outcome<Outcomes> {
    let mut contents = Contents::new();
    let now = Manifest::take(host, Some(states.cur), &mut contents)?;
    let guard = Guard::new(host, states, &now);
    let mut outcomes = Outcomes::default();

    let paths: BTreeSet<&PathBuf> =
        [states.base, states.post, states.cur, &now].into_iter().flat_map(|manifest| manifest.entries.keys()).collect();
    let mut gone = Vec::new();
    for path in paths {
        let here = now.entries.get(path);
        match guard.want(states, path, &mut outcomes) {
            Want::Gone if here.is_some() => gone.push(path),
            Want::AsIs | Want::Gone => {}
            Want::This(entry) if here.is_some_and(|here| here.same(entry)) => {}
            Want::This(entry) => {
                if let Err(failure) = make(host, states, path, entry, here) {
                    outcomes.errors.push(failure);
                }
            }
            Want::Merged(content, meta) => {
                host.write(path, &content, meta).map_err(|e| Failure::new(format!("merge {}", path.display()), e))?;
            }
        }
    }
    remove(host, &gone, &now, &mut outcomes);
    times(host, states);
    Ok(outcomes)
}

/// What must not be touched: files of packages that others brought, and the package database with them.
struct Guard {
    /// Files of packages that are installed although `base` does not know them.
    foreign: BTreeSet<PathBuf>,
    /// Whether the package set is not ours alone.
    packages_changed: bool,
}

impl Guard {
    fn new(host: &dyn Host, states: &States<'_>, now: &Manifest) -> Self {
        let read = |path: &Path| host.read(path).unwrap_or_default();
        let before = packages(states.content(states.base, Path::new(STATUS)).unwrap_or_default());
        let at_end = packages(states.content(states.post, Path::new(STATUS)).unwrap_or_default());
        let at_start = packages(states.content(states.cur, Path::new(STATUS)).unwrap_or_default());
        let after = if now.entries.contains_key(Path::new(STATUS)) {
            packages(&read(Path::new(STATUS)))
        } else {
            BTreeMap::new()
        };
        let mut foreign = BTreeSet::new();
        for name in after.keys().filter(|name| !before.contains_key(*name)) {
            let info = Path::new("/var/lib/dpkg/info");
            let short = name.split(':').next().unwrap_or(name);
            for list in [info.join(format!("{name}.list")), info.join(format!("{short}.list"))] {
                foreign.extend(String::from_utf8_lossy(&read(&list)).lines().map(PathBuf::from));
            }
        }
        let packages_changed = at_end != at_start || !foreign.is_empty();
        Self { foreign, packages_changed }
    }

    fn want<'a>(&self, states: &States<'a>, path: &Path, outcomes: &mut Outcomes) -> Want<'a> {
        let (base, post, cur) =
            (states.base.entries.get(path), states.post.entries.get(path), states.cur.entries.get(path));
        if self.foreign.contains(path) {
            return Want::AsIs;
        }
        let package_state = PACKAGE_STATE.iter().any(|prefix| path.starts_with(prefix));
        if package_state && self.packages_changed {
            return Want::AsIs;
        }
        // Logs go on being written by everybody: only those that the run brought go.
        if is_log(path) {
            let ours = base.is_none() && (post.is_some() || states.brought(path));
            return if ours { Want::Gone } else { Want::AsIs };
        }
        if base.is_none() && states.brought(path) && (lies_below(STATE, path) || same(cur, post)) {
            return Want::Gone;
        }
        if base.is_none() && states.renewed(path) {
            return Want::Gone;
        }
        if lives(path) && !states.brought(path) && !path.starts_with(FETCHED) && !is_kept(path) {
            return Want::AsIs;
        }
        if same(cur, post) {
            return base.map_or(Want::Gone, Want::This);
        }
        if same(post, base) {
            return match cur {
                // Newer than the rollback's beginning: written by the purge itself, or by a living system.
                None if package_state => Want::AsIs,
                None => Want::Gone,
                Some(entry) => Want::This(entry),
            };
        }
        if package_state {
            return Want::AsIs;
        }
        if accounts::is_merged(path)
            && let (Some(base), Some(post), Some(cur_entry)) =
                (states.content(states.base, path), states.content(states.post, path), cur)
            && let Some(cur) = states.content(states.cur, path)
        {
            return Want::Merged(accounts::merge(base, post, cur), cur_entry.meta);
        }
        if same(cur, base) {
            return Want::AsIs;
        }
        // Backups of the account files follow their originals by themselves.
        if !path.to_string_lossy().ends_with('-') {
            let why = if cur.is_some() { "it was changed since the run" } else { "it was removed since the run" };
            outcomes.kept.push((path.display().to_string(), why.to_owned()));
        }
        cur.map_or(Want::Gone, Want::This)
    }
}

impl<'a> States<'a> {
    /// The content that a file had at that time, when it was kept.
    fn content(&self, manifest: &Manifest, path: &Path) -> Option<&'a [u8]> {
        let hash = manifest.entries.get(path)?.hash.as_ref()?;
        self.contents.iter().find_map(|contents| contents.get(hash)).map(Vec::as_slice)
    }

    /// Whether `path` belongs to a certificate that the run brought and certbot renews.
    fn renewed(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(RENEWED) else { return false };
        let shared = SHARED.iter().any(|name| below.starts_with(name));
        let depth = if shared { 1 } else { 2 };
        let top: PathBuf = Path::new(RENEWED).join(below.components().take(depth).collect::<PathBuf>());
        below.components().count() >= depth
            && !self.base.entries.contains_key(&top)
            && self.post.entries.contains_key(&top)
    }

    /// Whether the run brought `path` with a whole directory of running state.
    fn brought(&self, path: &Path) -> bool {
        lives(path)
            && path.ancestors().any(|above| {
                lives(above)
                    && !self.base.entries.contains_key(above)
                    && self.post.entries.get(above).is_some_and(|e| e.kind == Kind::Dir)
            })
    }
}

/// Whether `path` is one of the package manager's own records.
pub(super) fn is_package_state(path: &Path) -> bool {
    PACKAGE_STATE.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether what is at `path` changes without packages and actions.
fn lives(path: &Path) -> bool {
    lies_below(STATE, path) || lies_below(SITES, path) || path == Path::new("/var/www")
}

fn lies_below(roots: &[&str], path: &Path) -> bool {
    roots.iter().any(|root| path.starts_with(root) && path != Path::new(root))
}

fn same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    }
}

/// Makes `path` what `entry` says.
fn make(host: &dyn Host, states: &States<'_>, path: &Path, entry: &Entry, here: Option<&Entry>) -> Outcome<()> {
    let what = || format!("put {} back", path.display());
    let failed = |e| Failure::new(what(), e);
    parents(host, states, path).map_err(failed)?;
    if here.is_some_and(|here| here.kind != entry.kind) {
        match here.map(|here| here.kind) {
            Some(Kind::Dir) => host.remove_dir(path).map_err(failed)?,
            _ => host.remove(path).map_err(failed)?,
        }
    }
    match entry.kind {
        Kind::Dir => {
            host.make_dir(path, entry.meta).map_err(failed)?;
            host.set_meta(path, entry.meta).map_err(failed)
        }
        Kind::Symlink => {
            let target = entry.target.as_deref().ok_or_else(|| Failure::new(what(), "its target was not kept"))?;
            host.make_symlink(path, target).map_err(failed)?;
            host.set_meta(path, entry.meta).map_err(failed)
        }
        Kind::File => {
            let content =
                entry.hash.as_ref().and_then(|hash| states.contents.iter().find_map(|contents| contents.get(hash)));
            match (content, here) {
                (Some(content), _) => {
                    let already = here.is_some_and(|here| here.hash == entry.hash);
                    if !already {
                        host.write(path, content, entry.meta).map_err(failed)?;
                    }
                    host.set_meta(path, entry.meta).map_err(failed)?;
                    for (name, value) in &entry.xattrs {
                        host.set_xattr(path, name, value).map_err(failed)?;
                    }
                    host.set_mtime(path, entry.mtime).map_err(failed)
                }
                (None, Some(here)) if here.size == entry.size && here.mtime == entry.mtime => {
                    host.set_meta(path, entry.meta).map_err(failed)
                }
                // A program file that a package of before owns: only its package can bring it back.
                (None, _) => Err(Failure::new(what(), "its content was not kept")
                    .hint(format!("find its package with dpkg -S {} and reinstall it", path.display()))),
            }
        }
        Kind::Other => Ok(()),
    }
}

/// Makes the directories above a path that stays although the purge took them.
fn parents(host: &dyn Host, states: &States<'_>, path: &Path) -> std::io::Result<()> {
    let mut missing = Vec::new();
    for above in path.ancestors().skip(1) {
        if host.stat(above)?.is_some() {
            break;
        }
        missing.push(above);
    }
    for above in missing.into_iter().rev() {
        let meta = states.cur.entries.get(above).map_or(Meta::root(0o755), |entry| entry.meta);
        host.make_dir(above, meta)?;
    }
    Ok(())
}

/// Removes paths, deepest first; directories only when empty.
fn remove(host: &dyn Host, gone: &[&PathBuf], now: &Manifest, outcomes: &mut Outcomes) {
    let mut full: BTreeSet<&Path> = BTreeSet::new();
    for path in gone.iter().rev() {
        let failed = |e| Failure::new(format!("remove {}", path.display()), e);
        let is_dir = now.entries.get(*path).is_some_and(|entry| entry.kind == Kind::Dir);
        if !is_dir {
            if let Err(e) = host.remove(path) {
                outcomes.errors.push(failed(e));
            }
            continue;
        }
        match host.list(path) {
            Ok(names) if names.is_empty() => {
                if let Err(e) = host.remove_dir(path) {
                    outcomes.errors.push(failed(e));
                }
            }
            Ok(_) => {
                full.insert(path);
            }
            Err(e) => outcomes.errors.push(failed(e)),
        }
    }
    // Of nested directories that stay, the outermost says enough.
    for path in &full {
        if !path.ancestors().skip(1).any(|above| full.contains(above)) {
            outcomes.kept.push((path.display().to_string(), "it holds files that are not ours".to_owned()));
        }
    }
}

/// Gives directories that only we changed the time they had, deepest first.
fn times(host: &dyn Host, states: &States<'_>) {
    for (path, base) in states.base.entries.iter().rev().filter(|(_, entry)| entry.kind == Kind::Dir) {
        let untouched = match (states.post.entries.get(path), states.cur.entries.get(path)) {
            (Some(post), Some(cur)) => post.mtime == cur.mtime,
            _ => false,
        };
        if untouched
            && host.stat(path).ok().flatten().is_some_and(|stat| stat.kind == Kind::Dir && stat.mtime != base.mtime)
        {
            // A time that cannot be set harms nobody.
            let _ = host.set_mtime(path, base.mtime);
        }
    }
}

/// The installed packages of a dpkg status file: `name:arch` -> version.
fn packages(status: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(status);
    let mut out = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("Status:").is_some_and(|status| status.ends_with(" installed"))
            && let (Some(name), Some(version)) = (field("Package:"), field("Version:"))
        {
            out.insert(format!("{name}:{}", field("Architecture:").unwrap_or("all")), version.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::FakeHost;

    fn manifest(host: &FakeHost) -> (Manifest, Contents) {
        let mut contents = Contents::new();
        (Manifest::take(host, None, &mut contents).unwrap(), contents)
    }

    /// A certificate that was renewed since the run goes with all that is left of it; another's stays.
    #[test]
    fn what_renewals_made_of_a_certificate_goes_with_it() {
        let host = FakeHost::new();
        let base = manifest(&host);
        host.put_file("/etc/letsencrypt/renewal/ours.conf", "first", 0o644);
        host.put_file("/etc/letsencrypt/archive/ours/cert1.pem", "1", 0o644);
        host.put_file("/etc/letsencrypt/keys/0000_key-certbot.pem", "1", 0o600);
        let post = manifest(&host);
        host.put_file("/etc/letsencrypt/renewal/ours.conf", "renewed", 0o644);
        host.put_file("/etc/letsencrypt/archive/ours/cert2.pem", "2", 0o644);
        host.put_file("/etc/letsencrypt/keys/0001_key-certbot.pem", "2", 0o600);
        host.put_file("/etc/letsencrypt/renewal/theirs.conf", "theirs", 0o644);
        host.put_file("/etc/letsencrypt/archive/theirs/cert1.pem", "3", 0o644);
        let cur = manifest(&host);
        host.take_away("/etc/letsencrypt/renewal/ours.conf");
        let states = States { base: &base.0, post: &post.0, cur: &cur.0, contents: [&base.1, &post.1, &cur.1] };
        reconcile(&host, &states).unwrap();
        let left = manifest(&host).0;
        let is_file = |(path, entry): &(&PathBuf, &Entry)| path.starts_with(RENEWED) && entry.kind == Kind::File;
        let files: Vec<_> = left.entries.iter().filter(is_file).map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(files, ["/etc/letsencrypt/archive/theirs/cert1.pem", "/etc/letsencrypt/renewal/theirs.conf"]);
    }
}
