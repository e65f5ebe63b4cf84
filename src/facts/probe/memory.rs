//! Memory: of the server, and what we may use.

use super::cgroup::Limits;
use super::text;
use crate::facts::Memory;
use crate::host::Host;

pub(super) fn find(host: &dyn Host, limits: &Limits) -> Memory {
    let meminfo = text(host, "/proc/meminfo");
    let mib = |name: &str| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = value.and_then(|value| value.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok());
        kib.unwrap_or(0) >> 10
    };
    let total_mib = mib("MemTotal");
    // An old kernel shows "no limit" as a number near 2^63: it is above the total.
    let limit = limits.memory.map(|bytes| bytes >> 20).filter(|limit| *limit < total_mib);
    Memory {
        usable_mib: limit.unwrap_or(total_mib),
        total_mib,
        swap_mib: mib("SwapTotal"),
        source: limit.map_or("memory of the server", |_| "cgroup limit").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_limit_counts_only_below_the_total() {
        let host = FakeHost::new();
        host.put_file("/proc/meminfo", "MemTotal:        8388608 kB\nSwapTotal:       1048576 kB\n", 0o444);
        let limited = |memory| find(&host, &Limits { cpu_hundredths: None, memory });
        let memory = limited(Some(512 << 20));
        assert_eq!(
            (memory.usable_mib, memory.total_mib, memory.swap_mib, memory.source.as_str()),
            (512, 8192, 1024, "cgroup limit")
        );
        for none in [None, Some(9_223_372_036_854_771_712)] {
            assert_eq!((limited(none).usable_mib, limited(none).source.as_str()), (8192, "memory of the server"));
        }
    }
}
