//! Data of the product's users: whether it changed since the run, and how it is put aside before it goes.

use std::path::Path;
use std::time::Duration;

use crate::action::database::{self, DatabaseServer};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Hash, Host, Kind, Stat};
use crate::undo::{Undo, UndoContext, Undone};

/// How long saving the data of a directory may take.
const LONGEST: Duration = Duration::from_hours(4);
/// Files up to this size count by their content, larger ones by size and time: the application's user may make one of
/// any size, and reading it would take for ever.
const READ_AT_MOST: u64 = 64 << 20;
/// So much is read of one tree; what comes after it counts by size and time.
const READ_IN_ALL: u64 = 4 << 30;
/// Files of one tree that are looked at one by one.
const MOST_FILES: usize = 200_000;
/// Directories that are looked into lie no deeper.
const DEEPEST: usize = 100;

impl Undo {
    /// A fingerprint of the data that this record would take away; `None` when it holds none (any more).
    pub fn data(&self, host: &dyn Host) -> Outcome<Option<String>> {
        match self {
            Self::Database { database_existed: false, .. } => {
                self.database().map_or(Ok(None), |record| database::data_fingerprint(host, record))
            }
            Self::RemoveData { path } => tree(host, path),
            // An engine's packages take every database along, whoever made it.
            Self::Packages { planned, .. } => Ok(served_fingerprint(&served(host, planned))),
            _ => Ok(None),
        }
    }

    /// What the record of a database says; none for other records.
    pub fn database(&self) -> Option<database::Record<'_>> {
        match self {
            Self::Database { engine, name, role, database_existed, role_existed, before, cluster, closed } => {
                Some(database::Record {
                    engine,
                    name,
                    role,
                    database_existed: *database_existed,
                    role_existed: *role_existed,
                    before: before.as_deref(),
                    cluster,
                    closed,
                })
            }
            _ => None,
        }
    }

    /// What the data is called in messages.
    pub fn data_name(&self) -> Option<String> {
        match self {
            Self::Database { engine, name, database_existed: false, .. } => {
                Some(format!("the {engine} database {name}"))
            }
            Self::RemoveData { path } => Some(format!("the data in {}", path.display())),
            _ => None,
        }
    }
}

/// The databases in the servers that these packages are: server and name.
pub fn served(host: &dyn Host, planned: &[(String, String)]) -> Vec<(DatabaseServer, String)> {
    let of = |(server, names): (DatabaseServer, Vec<String>)| names.into_iter().map(move |name| (server.clone(), name));
    database::served_by(host, planned).into_iter().flat_map(of).collect()
}

/// What a record of packages knows those databases by.
pub fn served_fingerprint(databases: &[(DatabaseServer, String)]) -> Option<String> {
    let lines: Vec<String> = databases.iter().map(|(server, name)| server.remembered(name)).collect();
    (!lines.is_empty()).then(|| sha256_hex(lines.join("\n").as_bytes()))
}

/// Saves what others keep in the engines that go with these packages.
pub fn save_databases(cx: &UndoContext<'_>, planned: &[(String, String)]) -> Outcome<()> {
    for (server, names) in database::served_by(cx.host, planned) {
        for name in names {
            database::save(cx, &server, &name)?;
        }
    }
    Ok(())
}

/// Removes a data directory; archives it first when its data changed since the run.
pub fn remove(cx: &UndoContext<'_>, path: &Path) -> Outcome<Undone> {
    let what = || format!("remove the data in {}", path.display());
    if cx.host.stat(path).map_err(|e| Failure::new(what(), e))?.is_none() {
        return Ok(Undone::Nothing);
    }
    let now = tree(cx.host, path)?;
    if now.is_some() && now.as_deref() != cx.data {
        // Without a fingerprint the run never ended: what is there came from the run itself. It is still archived.
        if cx.data.is_some() && !cx.drop_data {
            return Ok(Undone::Kept {
                what: path.display().to_string(),
                why: "its data changed since the run; --drop-data archives and removes it".to_owned(),
            });
        }
        archive(cx, path)?;
    }
    cx.host.remove_tree(path).map_err(|e| Failure::new(what(), e))?;
    Ok(Undone::Done(format!("removed the data in {}", path.display())))
}

/// Archives a tree under its own names, so that unpacking it in / puts everything where it was.
fn archive(cx: &UndoContext<'_>, path: &Path) -> Outcome<()> {
    let what = || format!("archive {}", path.display());
    let relative = path.display().to_string().trim_matches('/').to_owned();
    let file = cx.dumps.join(format!("{}.tar", relative.replace('/', "-")));
    // The names as they are stored; a link goes on leading where it leads.
    let escaped = relative.replace('\\', "\\\\").replace(',', "\\,").replace('&', "\\&");
    let argv = [
        "tar",
        "--create",
        "--sparse",
        &format!("--transform=flags=rSh;s,^\\.,{escaped},"),
        "--file",
        &file.display().to_string(),
        ".",
    ]
    .map(str::to_owned);
    // Not by its path: only the working directory is opened without a link that its user could turn, and below it tar
    // follows none.
    let command = Command::new(argv).cwd(path).timeout(LONGEST).log(cx.log);
    let output = cx.host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if !output.ok() {
        // Half of it is of no use, and may be all that fills the disk.
        let _ = cx.host.remove(&file);
        return Err(Failure::new(what(), "tar failed, so nothing was removed").tail(output.tail(10)));
    }
    (cx.dumped)(&format!("the data in {}", path.display()), &file);
    Ok(())
}

/// One fingerprint over names and contents. SQLite files count by their rows, because checkpoints move bytes.
fn tree(host: &dyn Host, path: &Path) -> Outcome<Option<String>> {
    let mut print = Print::default();
    print.collect(host, path, 0)?;
    Ok((print.files > 0).then(|| print.hash.finish()))
}

#[derive(Default)]
struct Print {
    hash: Hash,
    files: usize,
    read: u64,
}

impl Print {
    fn add(&mut self, line: &str) {
        if self.files > 0 {
            self.hash.add(b"\n");
        }
        self.hash.add(line.as_bytes());
        self.files += 1;
    }

    fn collect(&mut self, host: &dyn Host, path: &Path, depth: usize) -> Outcome<()> {
        let failed = |e| Failure::new(format!("read {}", path.display()), e);
        let by_time =
            |stat: &Stat| format!("{} {} {}.{:09}", path.display(), stat.size, stat.mtime.sec, stat.mtime.nsec);
        let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(()) };
        match stat.kind {
            Kind::Dir if depth == DEEPEST || self.files > MOST_FILES => self.add(&by_time(&stat)),
            Kind::Dir => match host.list(path) {
                Ok(names) => {
                    for name in names {
                        self.collect(host, &path.join(name), depth + 1)?;
                    }
                }
                // It went meanwhile, or it is larger than anything that is looked at.
                Err(_) => self.add(&by_time(&stat)),
            },
            Kind::File => {
                let name = path.display().to_string();
                if name.ends_with("-wal") || name.ends_with("-shm") {
                    return Ok(());
                }
                self.read += stat.size.min(READ_AT_MOST);
                let large = stat.size > READ_AT_MOST || self.read > READ_IN_ALL || self.files > MOST_FILES;
                let start = host.read_start(path, 16).unwrap_or_default();
                let rows = if start == b"SQLite format 3\0" {
                    // One that cannot be read as such counts by its bytes.
                    database::sqlite_fingerprint(host, path).ok().flatten()
                } else {
                    None
                };
                match rows {
                    Some(rows) => self.add(&format!("{name} {rows}")),
                    None if large => self.add(&by_time(&stat)),
                    None => match host.hash(path) {
                        Ok(hash) => self.add(&format!("{name} {hash}")),
                        Err(_) => self.add(&by_time(&stat)),
                    },
                }
            }
            Kind::Symlink | Kind::Other => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::action::carry::carry_out;
    use crate::host::Meta;
    use crate::host::fake::FakeHost;
    use crate::undo::Blobs;

    /// The application's user has put a link in the place of a directory above its data.
    #[test]
    fn a_link_of_the_applications_user_leads_no_removal_elsewhere() {
        let host = FakeHost::new();
        host.put_file("/srv/keep/data/file", "root's", 0o600);
        host.put_file("/srv/app/other", "", 0o644);
        let theirs = Meta { mode: 0o755, uid: 1001, gid: 1001 };
        host.set_meta("/srv/app".as_ref(), theirs).unwrap();
        host.make_symlink("/srv/app/link".as_ref(), "/srv/keep".as_ref()).unwrap();
        host.set_meta("/srv/app/link".as_ref(), theirs).unwrap();
        let (blobs, nothing) = (Blobs::new("/b"), BTreeMap::new());
        let cx = UndoContext {
            drop_data: true,
            written_hashes: &nothing,
            data: Some("as it was"),
            ..UndoContext::of_settings(&host, &blobs, "/log".as_ref())
        };
        let path = Path::new("/srv/app/link/data");
        for record in [
            Undo::RemoveData { path: path.into() },
            Undo::RemoveTree { path: path.into() },
            Undo::Remove { path: path.join("file") },
        ] {
            let refused = carry_out(&record, &cx).unwrap_err();
            assert!(refused.why.contains("/srv/app/link is a symbolic link that another user can change"), "{refused}");
        }
        assert_eq!(host.text("/srv/keep/data/file").as_deref(), Some("root's"));
    }
}
