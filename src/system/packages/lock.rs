//! Who holds the locks of dpkg and apt, so that waiting for them can be explained.

use std::path::Path;
use std::time::Duration;

use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::progress::Progress;

/// Locked by every program that changes packages or refreshes the lists.
const LOCKS: &[&str] = &["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"];
/// Unattended upgrades of a point release take this long on a small server.
const PATIENCE: Duration = Duration::from_mins(15);

/// Waits until no other program changes packages, and reports which one it waits for.
pub fn wait(host: &dyn Host, progress: &(dyn Fn(Progress) + Sync)) -> Outcome<()> {
    let pause = Duration::from_millis(250);
    let mut waited = Duration::ZERO;
    let mut told = None;
    while let Some(holder) = holder(host) {
        if waited >= PATIENCE {
            return Err(Failure::new(
                "change packages",
                format!("{holder} has held the lock for {} minutes", PATIENCE.as_secs() / 60),
            )
            .hint("let it finish or end it, then continue with `bringup resume`"));
        }
        if told.as_ref() != Some(&holder) {
            progress(Progress::Note(format!("waiting for {holder}, which is changing packages")));
            told = Some(holder);
        }
        host.sleep(pause);
        waited += pause;
    }
    Ok(())
}

/// The process that holds one of the locks, such as "apt-get (process 1234)".
pub fn holder(host: &dyn Host) -> Option<String> {
    let inodes: Vec<u64> = LOCKS.iter().filter_map(|path| Some(host.stat(Path::new(path)).ok()??.ino)).collect();
    let table = host.read(Path::new("/proc/locks")).ok()?;
    let pid = locker(&String::from_utf8_lossy(&table), &inodes)?;
    let name = host.read(Path::new(&format!("/proc/{pid}/comm"))).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim().to_owned();
    Some(if name.is_empty() { "another process".to_owned() } else { format!("{name} (process {pid})") })
}

/// The holder of a lock on one of `inodes` in a table like `/proc/locks`, whose lines read
/// `1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`. Lines with `->` are those who wait.
fn locker(table: &str, inodes: &[u64]) -> Option<i64> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", pid, file, ..] = words.as_slice() else {
            return None;
        };
        let inode: u64 = file.rsplit(':').next()?.parse().ok()?;
        if inodes.contains(&inode) { pid.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_inode_and_those_who_wait_are_not() {
        let table = "\
1: FLOCK  ADVISORY  WRITE 10 fe:01:100 0 EOF
2: -> POSIX  ADVISORY  WRITE 11 fe:01:100 0 EOF
3: POSIX  ADVISORY  READ  12 fe:01:100 0 EOF
4: POSIX  ADVISORY  WRITE 13 fe:01:100 0 EOF
";
        assert_eq!(locker(table, &[100]), Some(13));
        assert_eq!(locker(table, &[101]), None);
    }
}
