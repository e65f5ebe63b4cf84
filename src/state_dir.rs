//! The state directory, and room on the disk that holds it.
//!
//! Without it no change can be journaled, so nothing may be changed: not even on the way back. A file is kept in
//! reserve there from the first run on, and given up when the disk is full; that is enough for the journal and the
//! manifests of a rollback, which makes room itself.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Outcome};
use crate::host::{Host, Meta};
use crate::human_bytes;

/// What bringup must remember lies here.
pub const STATE_DIR: &str = "/var/lib/bringup";

/// The journal and the manifest of a rollback take 8 to 15 MB on a host with 60,000 files.
const RESERVE: u64 = 24 << 20;

/// With less than this left, a disk is full.
const FULL: u64 = 64 << 10;

fn path() -> PathBuf {
    Path::new(STATE_DIR).join("reserve")
}

/// Takes the room that is kept in reserve, unless it is taken already.
pub fn reserve(host: &dyn Host) {
    if host.stat(&path()).is_ok_and(|stat| stat.is_none()) {
        // A disk that has no room for it now may have some later.
        let _ = host.reserve(&path(), RESERVE);
    }
}

/// Gives up the reserve; whether there was one.
pub fn release(host: &dyn Host) -> bool {
    host.stat(&path()).is_ok_and(|stat| stat.is_some()) && host.remove(&path()).is_ok()
}

/// Writes to the state directory; where the disk is full, once more with the reserve given up.
pub fn with_room(host: &dyn Host, write: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
    match write() {
        Err(error) if is_full(&error) && release(host) => write(),
        result => result,
    }
}

/// Writes a file there, 0600, durably.
pub fn write(host: &dyn Host, path: &Path, content: &[u8]) -> Outcome<()> {
    with_room(host, &|| host.write(path, content, Meta::root(0o600)))
        .map_err(|e| failure(host, format!("write {}", path.display()), &e))
}

/// A failure to write to the state directory, named as what an administrator can mend.
pub fn failure(host: &dyn Host, what: impl Into<String>, error: &io::Error) -> Failure {
    if is_full(error) {
        return Failure::new(what, full(host)).hint("free some space, then `bringup resume` or `bringup rollback`");
    }
    if error.kind() == ErrorKind::ReadOnlyFilesystem {
        return Failure::new(what, read_only()).hint(
            "`dmesg` tells why (often a failing disk); make it writable again, \
             then `bringup resume` or `bringup rollback`",
        );
    }
    Failure::new(what, error)
}

/// Why a process that worked in the state directory may have ended without a word.
pub fn trouble(host: &dyn Host) -> Option<String> {
    let opened = host.append_lazily(&Path::new(STATE_DIR).join("lock"), b"");
    if opened.is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem) {
        return Some(read_only());
    }
    host.disk(Path::new(STATE_DIR)).is_ok_and(|(free, _)| free < FULL).then(|| full(host))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn full(host: &dyn Host) -> String {
    let free = host
        .disk(Path::new(STATE_DIR))
        .map_or(String::new(), |(free, _)| format!(" ({} free)", human_bytes::human(free)));
    format!("no space left on the disk that holds {STATE_DIR}{free}")
}

fn read_only() -> String {
    format!("the file system that holds {STATE_DIR} is read-only")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::journal::Record;
    use crate::engine::runs::RunDir;
    use crate::host::fake::FakeHost;
    use crate::plan::Plan;

    #[test]
    fn a_full_disk_is_named_once_the_reserve_is_used_up() {
        let host = FakeHost::new();
        let (dir, mut journal) = RunDir::create(&host, &Plan::new("t", "T")).unwrap();
        reserve(&host);
        host.set_disk(0, 1 << 30);
        journal.write(&host, Record::RollbackBegin { stage: None }).unwrap();
        dir.write(&host, "cur.manifest", b"x").unwrap();
        assert_eq!(trouble(&host), None);
        host.set_disk(0, 1 << 30);
        assert!(!release(&host), "it is given up once");
        let full = "no space left on the disk that holds /var/lib/bringup (0 B free)";
        let lost = journal.write(&host, Record::RolledBack { stage: None, kept: 0, waits: Vec::new() }).unwrap_err();
        assert_eq!(lost.why, full);
        assert!(lost.hint.unwrap().starts_with("free some space, then `bringup resume`"));
        assert_eq!(dir.write(&host, "x", b"x").unwrap_err().why, full);
        assert_eq!(dir.blobs().put(&host, b"x").unwrap_err().why, full);
        assert_eq!(RunDir::create(&host, &Plan::new("u", "U")).unwrap_err().why, full);
        assert_eq!(trouble(&host).as_deref(), Some(full));
    }

    #[test]
    fn a_read_only_disk_is_named() {
        let error = io::Error::from(ErrorKind::ReadOnlyFilesystem);
        let told = failure(&FakeHost::new(), "write the journal", &error);
        assert_eq!(told.why, "the file system that holds /var/lib/bringup is read-only");
    }
}
