//! Carrying out undo records: files here, everything else beside its action.

use std::path::Path;

pub mod data;

use crate::action::service::PriorState;
use crate::action::{acme, database, edit, firewall, packages, rabbitmq, service, sshd, tools, user};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Kind, Stat};
use crate::undo::manifest::Manifest;
use crate::undo::{Carry, Image, Undo, UndoContext, Undone, WRITTEN_AT_MOST};

/// How records are carried out.
pub const CARRY: Carry = Carry { carry_out, restore_service };

/// Carries the record out. Safe to call again after it was interrupted anywhere.
pub fn carry_out(record: &Undo, cx: &UndoContext<'_>) -> Outcome<Undone> {
    match record {
        Undo::Restore { path, image } => restore(cx, path, image),
        Undo::Remove { path } => remove(cx, path),
        Undo::RemoveDir { path } => remove_dir(cx, path),
        Undo::RemoveTree { path } => remove_tree(cx, path),
        Undo::RemoveData { path } => data::remove(cx, path),
        Undo::Unedit { path, image, ours } => edit::undo(cx, path, image, ours.as_deref()),
        Undo::Packages { before, planned } => {
            database::refuse_purge(cx, planned)?;
            data::save_databases(cx, planned)?;
            packages::undo(cx, before, planned)
        }
        Undo::Tools { before, planned, note } => tools::undo(cx, before, planned, note),
        Undo::User { name, with_group } => user::undo_user(cx, name, *with_group),
        Undo::Membership { user, group } => user::undo_membership(cx, user, group),
        Undo::Service { .. } => PriorState::of(record).map_or(Ok(Undone::Nothing), |prior| service::undo(cx, prior)),
        Undo::Database { .. } => record.database().map_or(Ok(Undone::Nothing), |record| database::undo(cx, record)),
        Undo::Rabbitmq { user, vhost, user_existed, vhost_existed, before } => {
            rabbitmq::undo(cx, user, vhost, *user_existed, *vhost_existed, before.as_deref())
        }
        Undo::Firewall { manager, name, loaded, files, made, tables } => {
            firewall::undo(cx, manager, name, loaded.as_deref(), files, made, tables)
        }
        Undo::AcmeCertificate { name } => acme::undo(cx, name),
        Undo::Sshd { server_ran } => sshd::undo(cx, *server_ran),
        Undo::Command { argv, user, cwd, describe } => run(cx, argv, user, cwd, describe),
        Undo::Stays { what, why } => Ok(Undone::Kept { what: what.clone(), why: why.clone() }),
    }
}

/// Has the service of this record reload the restored files; nothing for other records.
fn restore_service(record: &Undo, cx: &UndoContext<'_>) -> Outcome<Undone> {
    PriorState::of(record).map_or(Ok(Undone::Nothing), |prior| service::restore_service(cx, prior))
}

fn restore(cx: &UndoContext<'_>, path: &Path, image: &Image) -> Outcome<Undone> {
    let what = || format!("restore {}", path.display());
    let failed = |e| Failure::new(what(), e);
    if is_image(cx.host, path, image)? {
        return Ok(Undone::Nothing);
    }
    if let Some(why) = foreign(cx, path)? {
        return Ok(Undone::Kept { what: path.display().to_string(), why });
    }
    // The package that owned the directory was purged: there is no place to restore to.
    let parent = path.parent().map_or(Ok(None), |parent| cx.host.stat(parent)).map_err(failed)?;
    if parent.is_none() {
        return Ok(Undone::Kept { what: path.display().to_string(), why: "its directory is gone".to_owned() });
    }
    let stat = cx.host.stat(path).map_err(failed)?;
    if stat.is_some_and(|stat| stat.kind != image.kind && stat.kind != Kind::Dir) {
        cx.host.remove(path).map_err(failed)?;
    }
    match image.kind {
        Kind::File => {
            let blob = image.blob.as_deref().ok_or_else(|| Failure::new(what(), "the record names no content"))?;
            cx.blobs.restore(cx.host, blob, path, image.meta)?;
        }
        Kind::Symlink => {
            let target = image.target.as_deref().ok_or_else(|| Failure::new(what(), "the record names no target"))?;
            cx.host.make_symlink(path, target).map_err(failed)?;
            cx.host.set_meta(path, image.meta).map_err(failed)?;
        }
        Kind::Dir => {
            cx.host.make_dir(path, image.meta).map_err(failed)?;
            cx.host.set_meta(path, image.meta).map_err(failed)?;
        }
        Kind::Other => {
            return Ok(Undone::Kept {
                what: path.display().to_string(),
                why: "a device or socket cannot be restored".to_owned(),
            });
        }
    }
    cx.host.set_mtime(path, image.mtime).map_err(failed)?;
    Ok(Undone::Done(format!("restored {}", path.display())))
}

fn remove(cx: &UndoContext<'_>, path: &Path) -> Outcome<Undone> {
    let failed = |e| Failure::new(format!("remove {}", path.display()), e);
    let Some(stat) = cx.host.stat(path).map_err(failed)? else { return Ok(Undone::Nothing) };
    if stat.kind == Kind::Dir {
        return Ok(Undone::Kept { what: path.display().to_string(), why: "it is a directory now".to_owned() });
    }
    if let Some(why) = foreign(cx, path)? {
        return Ok(Undone::Kept { what: path.display().to_string(), why });
    }
    cx.host.remove(path).map_err(failed)?;
    Ok(Undone::Done(format!("removed {}", path.display())))
}

fn remove_dir(cx: &UndoContext<'_>, path: &Path) -> Outcome<Undone> {
    let failed = |e| Failure::new(format!("remove {}", path.display()), e);
    if cx.host.stat(path).map_err(failed)?.is_none() {
        return Ok(Undone::Nothing);
    }
    if !cx.host.list(path).map_err(failed)?.is_empty() {
        return Ok(Undone::Kept {
            what: path.display().to_string(),
            why: "it holds files that bringup did not create".to_owned(),
        });
    }
    cx.host.remove_dir(path).map_err(failed)?;
    Ok(Undone::Done(format!("removed {}", path.display())))
}

fn remove_tree(cx: &UndoContext<'_>, path: &Path) -> Outcome<Undone> {
    let failed = |e| Failure::new(format!("remove {}", path.display()), e);
    if cx.host.stat(path).map_err(failed)?.is_none() {
        return Ok(Undone::Nothing);
    }
    let kept = if let Some(post) = cx.post {
        remove_ours(cx, post, path)?
    } else {
        // The final state is unknown: the run never reached its end.
        cx.host.remove_tree(path).map_err(failed)?;
        0
    };
    if kept == 0 {
        return Ok(Undone::Done(format!("removed {}", path.display())));
    }
    Ok(Undone::Kept {
        what: path.display().to_string(),
        why: format!("{kept} files in it were changed or added since the run"),
    })
}

/// Removes what existed at the end of the run and is unchanged; returns how many files stay.
fn remove_ours(cx: &UndoContext<'_>, post: &Manifest, path: &Path) -> Outcome<usize> {
    let failed = |e| Failure::new(format!("remove {}", path.display()), e);
    let Some(stat) = cx.host.stat(path).map_err(failed)? else { return Ok(0) };
    let known = post.entries.get(path);
    if stat.kind == Kind::Dir {
        if known.is_none() {
            // Not ours: removed when it is empty, and not searched when it is not.
            let is_empty = cx.host.list(path).is_ok_and(|names| names.is_empty());
            return Ok(usize::from(!is_empty || cx.host.remove_dir(path).is_err()));
        }
        let mut kept = 0;
        for name in cx.host.list(path).map_err(failed)? {
            kept += remove_ours(cx, post, &path.join(name))?;
        }
        if kept == 0 {
            cx.host.remove_dir(path).map_err(failed)?;
        }
        return Ok(kept);
    }
    let ours =
        known.is_some_and(|entry| entry.size == stat.size && entry.mtime == stat.mtime && entry.kind == stat.kind);
    if !ours {
        return Ok(1);
    }
    cx.host.remove(path).map_err(failed)?;
    Ok(0)
}

fn run(cx: &UndoContext<'_>, argv: &[String], user: &str, cwd: &Path, describe: &str) -> Outcome<Undone> {
    let mut command = Command::new(argv.iter().map(String::as_str)).cwd(cwd).log(cx.log);
    if !user.is_empty() {
        command = command.user(user);
    }
    let what = || format!("roll back \"{describe}\"");
    let output = cx.host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if output.ok() {
        return Ok(Undone::Done(format!("rolled back \"{describe}\"")));
    }
    Err(Failure::new(what(), format!("{} ended with status {}", argv.join(" "), output.status)).tail(output.tail(10)))
}

/// Whether `path` already is what the image says.
fn is_image(host: &dyn Host, path: &Path, image: &Image) -> Outcome<bool> {
    let failed = |e| Failure::new(format!("look at {}", path.display()), e);
    let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(false) };
    if stat.kind != image.kind || (stat.kind != Kind::Symlink && stat.meta != image.meta) {
        return Ok(false);
    }
    Ok(match image.kind {
        Kind::File => {
            stat.mtime == image.mtime && image.blob.as_deref() == Some(&hash(host, path, &stat).map_err(failed)?)
        }
        Kind::Symlink => image.target == Some(host.read_link(path).map_err(failed)?),
        Kind::Dir | Kind::Other => true,
    })
}

/// Why the file at `path` is not what we wrote, when someone else changed it.
fn foreign(cx: &UndoContext<'_>, path: &Path) -> Outcome<Option<String>> {
    let Some(ours) = cx.written_hashes.get(path) else {
        let failed = |e| Failure::new(format!("look at {}", path.display()), e);
        let stat = cx.host.stat(path).map_err(failed)?;
        let later = cx.died.zip(stat).is_some_and(|(died, stat)| stat.ctime.sec > died.sec + 1);
        return Ok(later.then(|| "it was changed after the run died".to_owned()));
    };
    Ok(match written(cx.host, path)? {
        None => Some("it was removed since".to_owned()),
        Some(now) if now != *ours => Some("it was changed since".to_owned()),
        Some(_) => None,
    })
}

/// The SHA-256 of what is at `path`: of a file's content, or of a link's target.
pub fn written(host: &dyn Host, path: &Path) -> Outcome<Option<String>> {
    let failed = |e| Failure::new(format!("look at {}", path.display()), e);
    let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(None) };
    Ok(match stat.kind {
        Kind::File => Some(hash(host, path, &stat).map_err(failed)?),
        Kind::Symlink => Some(sha256_hex(host.read_link(path).map_err(failed)?.as_os_str().as_encoded_bytes())),
        _ => None,
    })
}

/// The SHA-256 of a file; for one larger than anything we write, only its size.
fn hash(host: &dyn Host, path: &Path, stat: &Stat) -> std::io::Result<String> {
    if stat.size > WRITTEN_AT_MOST { Ok(format!("{} bytes", stat.size)) } else { host.hash(path) }
}

impl Undo {
    /// The files and links that the action of this record writes.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Restore { path, .. } | Self::Remove { path } | Self::Unedit { path, .. } => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
