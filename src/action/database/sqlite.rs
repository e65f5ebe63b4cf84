//! SQLite: a file that the application creates itself.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Meta};
use crate::undo::{UndoContext, Undone};

/// Reads the database as the given user and group, and prints the SHA-256 of its logical dump and the number of
/// statements in it. A further argument names a file for the dump.
const DUMP: &str = r#"
import hashlib, os, sqlite3, sys, urllib.parse
path, uid, gid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
out = None
if len(sys.argv) > 4:
    out = os.fdopen(os.open(sys.argv[4], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
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

/// A larger file is compared by size and time: its user may make it as large as it likes.
const HASHED_AT_MOST: u64 = 64 << 20;

/// Files of a database: the main file, and those of an unfinished or shared access.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Whether `user` can create files beside the database.
pub fn is_writable(host: &dyn Host, path: &str, user: &str) -> bool {
    let Some(dir) = Path::new(path).parent() else { return false };
    let command = Command::new(["test", "-d", &dir.display().to_string(), "-a", "-w", &dir.display().to_string()]);
    let command = if user.is_empty() { command } else { command.user(user) };
    host.run(&command).is_ok_and(|output| output.ok())
}

/// Whether its file exists.
pub fn exists(host: &dyn Host, path: &str) -> Outcome<bool> {
    Ok(stat(host, Path::new(path))?.is_some())
}

/// Makes an empty database, unless there is one. Its user does it, because a link of that user may be there.
pub fn create(host: &dyn Host, path: &str, user: &str) -> Outcome<()> {
    let what = || format!("create the SQLite database {path}");
    if exists(host, path)? {
        return Ok(());
    }
    let command = Command::new(["touch", "--", path]);
    let mut command = if user.is_empty() { command } else { command.user(user) };
    command.umask = Some(0o027);
    let output = host.run(&command).map_err(|e| Failure::new(what(), e))?;
    if output.ok() { Ok(()) } else { Err(Failure::new(what(), "its user cannot create it").tail(output.tail(10))) }
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

/// Removes a database that was created since. If its data changed since the run, it is dumped first, and removed only
/// when allowed.
pub fn undo(cx: &UndoContext<'_>, name: &str, existed: bool) -> Outcome<Undone> {
    let path = Path::new(name);
    if existed || stat(cx.host, path)?.is_none() {
        return Ok(Undone::Nothing);
    }
    let file = cx.dumps.join(format!("sqlite-{}.sql", name.trim_matches('/').replace('/', "-")));
    let (found, filled, file) = match dump(cx.host, path, Some(&file)) {
        Ok(Some((found, statements))) => (found, statements > 0, file),
        Err(failure) if failure.why.contains("locked") => return Err(failure),
        // Without Python, or if it is no database, its bytes are saved.
        Ok(None) | Err(_) => (of_bytes(cx.host, path)?, true, copy(cx, path, &file.with_extension("sqlite"))?),
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
    let Some(owner) = reader(host, path)? else { return Ok(None) };
    let mut argv = ["/usr/bin/python3", "-I", "-c", DUMP].map(str::to_owned).to_vec();
    argv.extend([path.display().to_string(), owner.uid.to_string(), owner.gid.to_string()]);
    argv.extend(to.map(|to| to.display().to_string()));
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
            let why = output.tail(1).pop().unwrap_or_else(|| "python3 printed nothing".to_owned());
            Err(Failure::new(what(), why).tail(output.tail(10)))
        }
    }
}

/// The user as whom the database is read: its owner, since a reader may have to write the files beside it, and they
/// must not become root's. `None` for a file of root's in a directory that another user can change: files placed beside
/// it would tell SQLite, as root, what to write and what to delete.
fn reader(host: &dyn Host, path: &Path) -> Outcome<Option<Meta>> {
    let Some(owner) = stat(host, path)?.map(|stat| stat.meta) else { return Ok(None) };
    if owner.uid == 0 {
        for dir in path.ancestors().skip(1) {
            let meta = stat(host, dir)?.map_or(Meta::root(0o755), |stat| stat.meta);
            if meta.uid != 0 || (meta.mode & 0o022 != 0 && meta.mode & 0o1000 == 0) {
                return Ok(None);
            }
        }
    }
    Ok(Some(owner))
}

fn of_bytes(host: &dyn Host, path: &Path) -> Outcome<String> {
    let mut all = Vec::new();
    for suffix in ["", "-wal"] {
        let part = PathBuf::from(format!("{}{suffix}", path.display()));
        if let Some(found) = stat(host, &part)? {
            if found.size > HASHED_AT_MOST {
                all.extend_from_slice(format!("{} {:?}", found.size, found.mtime).as_bytes());
                continue;
            }
            let hash = host.hash(&part).map_err(|e| Failure::new(format!("read {}", part.display()), e))?;
            all.extend_from_slice(hash.as_bytes());
        }
    }
    Ok(sha256_hex(&all))
}

/// Copies the file and its write-ahead log, which SQLite reads together.
fn copy(cx: &UndoContext<'_>, path: &Path, to: &Path) -> Outcome<PathBuf> {
    for suffix in ["", "-wal"] {
        let (from, to) = (format!("{}{suffix}", path.display()), format!("{}{suffix}", to.display()));
        let failed = |e| Failure::new(format!("copy {from} to {to}"), e);
        if stat(cx.host, Path::new(&from))?.is_some() {
            cx.host.copy(Path::new(&from), Path::new(&to), Meta::root(0o600)).map_err(failed)?;
        }
    }
    Ok(to.to_owned())
}

fn stat(host: &dyn Host, path: &Path) -> Outcome<Option<crate::host::Stat>> {
    host.stat(path).map_err(|e| Failure::new(format!("look at {}", path.display()), e))
}
