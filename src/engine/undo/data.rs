//! Data of the product's users: whether it changed since the run, and how it is put aside before it goes.

use std::path::Path;

use crate::action::database::{self, Engine};
use crate::engine::undo::{Undo, UndoCx, Undone, fingerprint};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind};

impl Undo {
    /// A fingerprint of the data that this record would take away; `None` when it holds none (any more).
    pub fn data(&self, host: &dyn Host) -> Outcome<Option<String>> {
        match self {
            Self::Database { engine, name, database_existed: false, .. } => {
                database::data_fingerprint(host, engine, name)
            }
            Self::RemoveData { path } => tree(host, path),
            // An engine's packages take every database along, whoever made it.
            Self::Packages { planned, .. } => Ok(served_fingerprint(&served(host, planned))),
            _ => Ok(None),
        }
    }

    /// What the data is called in messages.
    pub fn data_name(&self) -> Option<String> {
        match self {
            Self::Database { engine, name, database_existed: false, .. } => {
                Some(format!("the {engine} database {name}"))
            }
            Self::RemoveData { path } => Some(format!("the data in {}", path.display())),
            Self::Packages { .. } => Some("a database that was made since, in an engine that would go".to_owned()),
            _ => None,
        }
    }
}

/// The databases in the engines whose servers these packages are: engine and name.
pub fn served(host: &dyn Host, planned: &[(String, String)]) -> Vec<(Engine, String)> {
    let of = |(engine, names): (Engine, Vec<String>)| names.into_iter().map(move |name| (engine, name));
    database::served_by(host, planned).into_iter().flat_map(of).collect()
}

/// What a record of packages knows those databases by.
pub fn served_fingerprint(databases: &[(Engine, String)]) -> Option<String> {
    let lines: Vec<String> = databases.iter().map(|(engine, name)| format!("{engine:?} {name}")).collect();
    (!lines.is_empty()).then(|| fingerprint(lines.join("\n").as_bytes()))
}

/// Saves what others keep in the engines that go with these packages.
pub fn save_databases(cx: &UndoCx<'_>, planned: &[(String, String)]) -> Outcome<()> {
    for (engine, names) in database::served_by(cx.host, planned) {
        for name in names {
            database::save(cx, engine, &name)?;
        }
    }
    Ok(())
}

/// Removes a data directory; archives it first when its data changed since the run.
pub fn remove(cx: &UndoCx<'_>, path: &Path) -> Outcome<Undone> {
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
    empty(cx.host, path)?;
    Ok(Undone::Done(format!("removed the data in {}", path.display())))
}

fn archive(cx: &UndoCx<'_>, path: &Path) -> Outcome<()> {
    let what = || format!("archive {}", path.display());
    let name = path.display().to_string().trim_matches('/').replace('/', "-");
    let file = cx.dumps.join(format!("{name}.tar"));
    let argv = ["tar", "--create", "--file", &file.display().to_string(), "--directory", "/"];
    let relative = path.strip_prefix("/").unwrap_or(path).display().to_string();
    let command = Command::new(argv.into_iter().chain([relative.as_str()])).log(cx.log);
    let output = cx.host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if !output.ok() {
        return Err(Failure::new(what(), "tar failed, so nothing was removed").tail(output.tail(10)));
    }
    (cx.dumped)(&format!("the data in {}", path.display()), &file);
    Ok(())
}

fn empty(host: &dyn Host, path: &Path) -> Outcome<()> {
    let failed = |e| Failure::new(format!("remove {}", path.display()), e);
    if host.stat(path).map_err(failed)?.is_some_and(|stat| stat.kind == Kind::Dir) {
        for name in host.list(path).map_err(failed)? {
            empty(host, &path.join(name))?;
        }
        return host.remove_dir(path).map_err(failed);
    }
    host.remove(path).map_err(failed)
}

/// One fingerprint over names and contents. SQLite files count by their rows, because checkpoints move bytes.
fn tree(host: &dyn Host, path: &Path) -> Outcome<Option<String>> {
    let mut lines = Vec::new();
    collect(host, path, &mut lines)?;
    Ok((!lines.is_empty()).then(|| fingerprint(lines.join("\n").as_bytes())))
}

fn collect(host: &dyn Host, path: &Path, lines: &mut Vec<String>) -> Outcome<()> {
    let failed = |e| Failure::new(format!("read {}", path.display()), e);
    let Some(stat) = host.stat(path).map_err(failed)? else { return Ok(()) };
    match stat.kind {
        Kind::Dir => {
            for name in host.list(path).map_err(failed)? {
                collect(host, &path.join(name), lines)?;
            }
        }
        Kind::File => {
            let name = path.display().to_string();
            if name.ends_with("-wal") || name.ends_with("-shm") {
                return Ok(());
            }
            let content = host.read(path).map_err(failed)?;
            let of = if content.starts_with(b"SQLite format 3\0") {
                database::data_fingerprint(host, "sqlite", &name)?.unwrap_or_default()
            } else {
                fingerprint(&content)
            };
            lines.push(format!("{name} {of}"));
        }
        Kind::Symlink | Kind::Other => {}
    }
    Ok(())
}
