//! SQLite: a file that the application makes itself.

use std::path::{Path, PathBuf};

use crate::engine::undo::{UndoCx, Undone, fingerprint};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};

/// Reads the database as its owner (a reader may have to write the files beside it, and they must not become
/// root's), and prints the SHA-256 of its logical dump and the number of statements in it. A second argument
/// names a file for the dump.
const DUMP: &str = r#"
import hashlib, os, sqlite3, sys, urllib.parse
path = sys.argv[1]
out = None
if len(sys.argv) > 2:
    out = os.fdopen(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
owner = os.stat(path)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
uri = "file:" + urllib.parse.quote(path) + "?mode=rw"
digest, statements = hashlib.sha256(), 0
for line in sqlite3.connect(uri, uri=True, timeout=10).iterdump():
    statements += line not in ("BEGIN TRANSACTION;", "COMMIT;")
    line = (line + "\n").encode("utf-8", "surrogateescape")
    digest.update(line)
    if out:
        out.write(line)
if out:
    out.flush()
    os.fsync(out.fileno())
print(digest.hexdigest(), statements)
"#;

/// Files that belong to a database: its own, and those of an unfinished or shared access.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Whether `user` can make files beside the database.
pub fn is_writable(host: &dyn Host, path: &str, user: &str) -> bool {
    let Some(dir) = Path::new(path).parent() else { return false };
    let command = Command::new(["test", "-d", &dir.display().to_string(), "-a", "-w", &dir.display().to_string()]);
    let command = if user.is_empty() { command } else { command.user(user) };
    host.run(&command).is_ok_and(|output| output.ok())
}

/// SHA-256 of the database's logical dump; of its bytes where Python is not installed.
pub fn fingerprint_of(host: &dyn Host, path: &Path) -> Outcome<Option<String>> {
    if stat(host, path)?.is_none() {
        return Ok(None);
    }
    Ok(Some(match dump(host, path, None)? {
        Some(dump) => dump.0,
        None => of_bytes(host, path)?,
    }))
}

/// Removes a database that was made since; dumped first, and with leave when its data changed since the run.
pub fn undo(cx: &UndoCx<'_>, name: &str, existed: bool) -> Outcome<Undone> {
    let path = Path::new(name);
    if existed || stat(cx.host, path)?.is_none() {
        return Ok(Undone::Nothing);
    }
    let file = cx.dumps.join(format!("sqlite-{}.sql", name.trim_matches('/').replace('/', "-")));
    let (found, filled, file) = match dump(cx.host, path, Some(&file))? {
        Some((found, statements)) => (found, statements > 0, file),
        None => (of_bytes(cx.host, path)?, true, copy(cx, path, &file.with_extension("sqlite"))?),
    };
    if cx.data.is_some_and(|at_end| at_end != found) && !cx.drop_data {
        return Ok(Undone::Kept {
            what: format!("the SQLite database {name}"),
            why: format!(
                "its data changed since the run; it is dumped in {}, and --drop-data drops it",
                file.display()
            ),
        });
    }
    let failed = |e| Failure::new(format!("remove the SQLite database {name}"), e);
    for suffix in SUFFIXES {
        cx.host.remove(Path::new(&format!("{name}{suffix}"))).map_err(failed)?;
    }
    if !filled {
        cx.host.remove(&file).map_err(failed)?;
        return Ok(Undone::Done(format!("removed the SQLite database {name}")));
    }
    (cx.dumped)(&format!("the SQLite database {name}"), &file);
    Ok(Undone::Done(format!("removed the SQLite database {name} (dumped in {})", file.display())))
}

/// Fingerprint and number of statements; `None` without Python.
fn dump(host: &dyn Host, path: &Path, to: Option<&Path>) -> Outcome<Option<(String, u64)>> {
    let what = || format!("dump the SQLite database {}", path.display());
    let python = Path::new("/usr/bin/python3");
    if host.stat(python).map_err(|e| Failure::new(what(), e))?.is_none() {
        return Ok(None);
    }
    let paths = [Some(path), to].into_iter().flatten().map(|path| path.display().to_string());
    let argv = ["/usr/bin/python3", "-I", "-c", DUMP].map(str::to_owned).into_iter().chain(paths);
    let output = host.run(&Command::new(argv).timeout(super::dump::LONGEST)).map_err(|e| Failure::new(what(), e))?;
    let text = output.text();
    // A minimal Python lacks the module.
    if output.tail(1).iter().any(|line| line.contains("ModuleNotFoundError")) {
        return Ok(None);
    }
    let parsed = text.split_once(' ').and_then(|(hash, count)| Some((hash.to_owned(), count.parse().ok()?)));
    match parsed {
        Some(dump) if output.ok() => Ok(Some(dump)),
        _ => {
            let why = output.tail(1).pop().unwrap_or_else(|| "python3 says nothing".to_owned());
            Err(Failure::new(what(), why).tail(output.tail(10)))
        }
    }
}

fn of_bytes(host: &dyn Host, path: &Path) -> Outcome<String> {
    let mut all = Vec::new();
    for suffix in ["", "-wal"] {
        let part = PathBuf::from(format!("{}{suffix}", path.display()));
        if stat(host, &part)?.is_some() {
            let content = host.read(&part).map_err(|e| Failure::new(format!("read {}", part.display()), e))?;
            all.extend_from_slice(fingerprint(&content).as_bytes());
        }
    }
    Ok(fingerprint(&all))
}

/// Copies the file and its write-ahead log, which SQLite reads together.
fn copy(cx: &UndoCx<'_>, path: &Path, to: &Path) -> Outcome<PathBuf> {
    for suffix in ["", "-wal"] {
        let (from, to) = (format!("{}{suffix}", path.display()), format!("{}{suffix}", to.display()));
        let failed = |e| Failure::new(format!("copy {from} to {to}"), e);
        if stat(cx.host, Path::new(&from))?.is_some() {
            let content = cx.host.read(Path::new(&from)).map_err(failed)?;
            cx.host.write(Path::new(&to), &content, crate::host::Meta::root(0o600)).map_err(failed)?;
        }
    }
    Ok(to.to_owned())
}

fn stat(host: &dyn Host, path: &Path) -> Outcome<Option<crate::host::Stat>> {
    host.stat(path).map_err(|e| Failure::new(format!("look at {}", path.display()), e))
}
