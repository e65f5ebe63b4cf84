//! The way to a path: whether it can be trusted, which directories above it are missing, how they are made.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind, Meta, Stat};

/// What is at `path`.
pub fn stat(host: &dyn Host, path: &Path) -> Outcome<Option<Stat>> {
    host.stat(path).map_err(|e| Failure::new(format!("look at {}", path.display()), e))
}

/// Whether there is a file at `path`.
pub fn is_file(host: &dyn Host, path: &Path) -> bool {
    stat(host, path).is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == Kind::File))
}

/// The directories above `path` that do not exist yet, outermost first.
///
/// Refuses a path that is not absolute or climbs with `..`, one that leads through something that is no
/// directory, and one that leads through a link which is not root's: anyone who owns such a link decides where
/// root would write.
pub fn missing_parents(host: &dyn Host, path: &Path) -> Outcome<Vec<PathBuf>> {
    let what = || format!("use the path {}", path.display());
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    if !path.is_absolute() || climbs {
        return Err(Failure::new(what(), "it is not absolute, or it contains `..`"));
    }
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let mut missing = Vec::new();
    for dir in above {
        match stat(host, dir)? {
            None => missing.push(dir.to_owned()),
            Some(stat) if stat.kind == Kind::Dir => {}
            Some(stat) if stat.kind == Kind::Symlink => {
                if stat.meta.uid != 0 && stat.meta.uid != host.euid() {
                    let why = format!("{} is a link that belongs to user id {}", dir.display(), stat.meta.uid);
                    return Err(Failure::new(what(), why)
                        .hint("the link's owner could point it elsewhere; name the real directory instead"));
                }
            }
            Some(_) => {
                return Err(Failure::new(what(), format!("{} is not a directory", dir.display()))
                    .hint("move it away, or choose another path"));
            }
        }
    }
    Ok(missing)
}

/// Refuses a path that another user could turn elsewhere while root fills it: one of the directories above it is his,
/// or he may write to it. Programs that fill a tree (tar, git, pip) are given its path and follow it again and again.
pub fn only_root_changes(host: &dyn Host, path: &Path) -> Outcome<()> {
    for dir in path.ancestors().skip(1) {
        let Some(found) = stat(host, dir)?.filter(|found| found.kind == Kind::Dir) else { continue };
        if changed_by_others(host, &found) {
            let meta = found.meta;
            let why = format!(
                "users other than root can change {} (user id {}, group id {}, mode {:04o}) and could redirect the \
                 path while root fills it",
                dir.display(),
                meta.uid,
                meta.gid,
                meta.mode
            );
            return Err(Failure::new(format!("fill {}", path.display()), why).hint(
                "choose a path below directories that belong to root, such as /opt; the tree itself may belong to any user",
            ));
        }
    }
    Ok(())
}

/// Links that are followed for one program, as in `path_resolution(7)`.
const MOST_LINKS: usize = 40;

/// Refuses a program that another user could exchange before root runs it: one that he may change, or a directory on the
/// way to it, links followed.
pub fn only_root_changes_program(host: &dyn Host, program: &Path) -> Outcome<()> {
    let refused = |why: String| {
        Err(Failure::new(format!("run {}", program.display()), why)
            .hint("choose a program that belongs to root, below directories that belong to root"))
    };
    // What is still to be walked, the last part first.
    let mut ahead: Vec<PathBuf> = program.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect();
    let mut here = PathBuf::from("/");
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        if part == Path::new("..") {
            here.pop();
            continue;
        }
        let next = here.join(part);
        let Some(found) = stat(host, &next)? else { return Ok(()) };
        if found.kind == Kind::Symlink {
            followed += 1;
            if followed > MOST_LINKS {
                return refused("its links lead in a circle".to_owned());
            }
            let target = read_link(host, &next)?;
            ahead.extend(target.components().rev().map(|part| PathBuf::from(part.as_os_str())));
            continue;
        }
        if changed_by_others(host, &found) {
            return refused(format!("users other than root can change {}", next.display()));
        }
        here = next;
    }
    Ok(())
}

/// Whether others than root can change what is there, or exchange what is in a directory.
fn changed_by_others(host: &dyn Host, found: &Stat) -> bool {
    let Meta { mode, uid, gid } = found.meta;
    let by_others = mode & 0o002 != 0 || (mode & 0o020 != 0 && gid != 0);
    let is_sticky = found.kind == Kind::Dir && mode & 0o1000 != 0;
    uid != 0 && uid != host.euid() || by_others && !is_sticky
}

/// Makes the missing directories above `path`, root's and open to read.
pub fn make_parents(host: &dyn Host, path: &Path) -> Outcome<()> {
    for dir in missing_parents(host, path)? {
        make_dir(host, &dir, Meta::root(0o755))?;
    }
    Ok(())
}

/// Makes one directory with exactly this mode and owner.
pub fn make_dir(host: &dyn Host, path: &Path, meta: Meta) -> Outcome<()> {
    host.make_dir(path, meta).map_err(|e| Failure::new(format!("create the directory {}", path.display()), e))
}

/// The target of the link at `path`.
pub fn read_link(host: &dyn Host, path: &Path) -> Outcome<PathBuf> {
    host.read_link(path).map_err(|e| Failure::new(format!("read the link {}", path.display()), e))
}
