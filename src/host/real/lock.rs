//! Locks on files: taken for us alone, and looked at without taking anything.
//!
//! A lock is a write lock of the open file description (fcntl(2), `F_OFD_SETLK`), since the kernel tells who asks
//! whether one is held. Versions before this one knew flock(2) only, exclusive, and looked by taking it: a shared one is
//! held beside ours, so that each sees the other's.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{File, is_absent, open_file, open_for_append};

/// An earlier version that looks has its lock for less than this.
const LOOK: Duration = Duration::from_millis(20);
/// So often it may be met there.
const LOOKS: u32 = 5;

/// Takes the lock if it is free. It is held until the file is closed.
pub(super) fn take(path: &Path) -> io::Result<Option<File>> {
    let file = open_for_append(path)?;
    if !flock_shared(&file)? {
        return Ok(None);
    }
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&write_lock())) {
        Ok(_) => Ok(Some(file)),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Whether someone has the lock.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match open_file(path) {
        Ok((file, _)) => file,
        Err(e) if is_absent(&e) => return Ok(false),
        Err(e) => return Err(e),
    };
    let mut lock = write_lock();
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    if lock.l_type != kind(libc::F_UNLCK) {
        return Ok(true);
    }
    // An earlier version may hold it, and then keeps it.
    for look in 0..LOOKS {
        if look > 0 {
            sleep(LOOK);
        }
        if flock_shared(&file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A shared lock of flock(2), which only conflicts with an earlier version's; false when one is held.
fn flock_shared(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// A write lock on the whole file.
fn write_lock() -> libc::flock {
    libc::flock { l_type: kind(libc::F_WRLCK), l_whence: kind(libc::SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 }
}

/// The constants are of another width than the fields that hold them.
fn kind(constant: libc::c_int) -> libc::c_short {
    libc::c_short::try_from(constant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::super::tests::Scratch;
    use super::*;

    fn earlier_version(path: &Path) -> io::Result<File> {
        let file = open_for_append(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }

    #[test]
    fn a_lock_is_held_until_its_guard_is_dropped() {
        let dir = Scratch::new("lock");
        let path = dir.0.join("lock");
        assert!(!is_held(&path).unwrap());
        assert!(!path.exists(), "looking makes nothing");
        let guard = take(&path).unwrap();
        assert!(guard.is_some());
        // Another descriptor, as another process would have.
        assert!(take(&path).unwrap().is_none());
        assert!(is_held(&path).unwrap());
        drop(guard);
        assert!(!is_held(&path).unwrap());
        assert!(take(&path).unwrap().is_some());
    }

    #[test]
    fn those_who_look_are_in_nobodys_way_and_do_not_see_each_other() {
        let dir = Scratch::new("look");
        let path = dir.0.join("lock");
        drop(take(&path).unwrap());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let look = || {
                while !done.load(Ordering::Relaxed) {
                    assert!(!is_held(&path).unwrap(), "somebody who looks was taken for one who works");
                }
            };
            let looking: Vec<_> = (0..3).map(|_| scope.spawn(look)).collect();
            // A lock that is briefly held may be observed; a probe must never be taken for a holder.
            for _ in 0..2_000 {
                assert!(!is_held(&path).unwrap());
            }
            done.store(true, Ordering::Relaxed);
            for one in looking {
                one.join().unwrap();
            }
            done.store(false, Ordering::Relaxed);
            let look = || {
                while !done.load(Ordering::Relaxed) {
                    is_held(&path).unwrap();
                }
            };
            let looking: Vec<_> = (0..3).map(|_| scope.spawn(look)).collect();
            let taken = (0..2_000).filter(|_| take(&path).unwrap().is_some()).count();
            done.store(true, Ordering::Relaxed);
            for one in looking {
                one.join().unwrap();
            }
            assert_eq!(taken, 2_000, "somebody who looks was in the way");
        });
    }

    #[test]
    fn a_process_of_an_earlier_version_and_one_of_ours_see_each_other() {
        let dir = Scratch::new("earlier");
        let path = dir.0.join("lock");
        let theirs = earlier_version(&path).unwrap();
        assert!(is_held(&path).unwrap());
        assert!(take(&path).unwrap().is_none());
        drop(theirs);
        assert!(!is_held(&path).unwrap());
        let ours = take(&path).unwrap();
        assert!(earlier_version(&path).is_err());
        drop(ours);
        assert!(earlier_version(&path).is_ok());
        // One of theirs that only looks has it for a moment.
        let theirs = earlier_version(&path).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleep(LOOK);
                drop(theirs);
            });
            assert!(!is_held(&path).unwrap());
        });
    }
}
