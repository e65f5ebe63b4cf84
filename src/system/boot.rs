//! When the server was booted, and with what.

use std::path::Path;

use crate::host::Host;

/// Clock ticks a second in `/proc` (`USER_HZ`, which is 100 on every architecture of Debian; `proc_pid_stat(5)`).
const TICKS: i64 = 100;

/// Whether systemd runs the server (`sd_booted(3)`).
pub fn is_systemd(host: &dyn Host) -> bool {
    host.stat(Path::new("/run/systemd/system")).ok().flatten().is_some()
}

/// Seconds since the boot: in a container since its first process began, as `/proc/uptime` is that of the server around
/// it.
pub fn seconds_since(host: &dyn Host) -> Option<i64> {
    let text = |path: &str| Some(String::from_utf8_lossy(&host.read(Path::new(path)).ok()?).into_owned());
    let uptime: i64 = text("/proc/uptime")?.split('.').next()?.trim().parse().ok()?;
    let first = || -> Option<i64> {
        // The name before it, in brackets, may hold anything.
        let stat = text("/proc/1/stat")?;
        Some(stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse::<i64>().ok()? / TICKS)
    };
    Some(uptime - first().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_container_was_booted_when_its_first_process_began() {
        let host = FakeHost::debian("bookworm");
        host.put_file("/proc/uptime", "9000.21 500.00\n", 0o444);
        let started = |ticks: u64| {
            let stat = format!("1 (a) (b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {ticks} 1000 10 99\n");
            host.put_file("/proc/1/stat", &stat, 0o444);
            seconds_since(&host)
        };
        assert_eq!(started(3), Some(9000));
        assert_eq!(started(890_000), Some(100));
        host.take_away("/proc/1/stat");
        assert_eq!(seconds_since(&host), Some(9000));
        host.take_away("/proc/uptime");
        assert_eq!(seconds_since(&host), None);
    }
}
