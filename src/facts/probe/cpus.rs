//! Processors: of the server, and those that we may use.

use std::collections::BTreeSet;

use super::cgroup::Limits;
use super::text;
use crate::facts::Cpus;
use crate::host::Host;

pub(super) fn find(host: &dyn Host, limits: &Limits) -> Cpus {
    let (cores, threads) = machine(&text(host, "/proc/cpuinfo"));
    let status = text(host, "/proc/self/status");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(listed);
    let mut usable = threads;
    let mut source = counted(threads);
    if let Some(allowed) = allowed.filter(|allowed| *allowed > 0 && *allowed < threads) {
        usable = allowed;
        source = format!("affinity to {allowed} of {}", counted(threads));
    }
    if let Some(quota) = limits.cpu_hundredths.filter(|quota| *quota < u64::from(usable) * 100) {
        usable = u32::try_from(quota / 100).unwrap_or(u32::MAX).max(1);
        let hundredths = format!("{}.{:02}", quota / 100, quota % 100);
        source = format!("cgroup quota of {}", hundredths.trim_end_matches('0').trim_end_matches('.'));
    }
    Cpus { usable, cores, threads, source }
}

/// Cores and threads, each at least 1. Where the kernel names no cores (many virtual machines, ARM), every thread
/// counts as one.
fn machine(cpuinfo: &str) -> (u32, u32) {
    let mut cores = BTreeSet::new();
    let (mut threads, mut package) = (0, "");
    for line in cpuinfo.lines() {
        let (name, value) = line.split_once(':').map_or(("", ""), |(name, value)| (name.trim(), value.trim()));
        match name {
            "processor" => threads += 1,
            "physical id" => package = value,
            "core id" => {
                cores.insert((package, value));
            }
            _ => {}
        }
    }
    let threads = threads.max(1);
    let cores = u32::try_from(cores.len()).unwrap_or(threads);
    (if cores == 0 { threads } else { cores.min(threads) }, threads)
}

/// How many numbers are in `0-2,5`.
fn listed(list: &str) -> u32 {
    let count = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to) = (from.trim().parse::<u32>().ok()?, to.trim().parse::<u32>().ok()?);
        Some(to.checked_sub(from)?.saturating_add(1))
    };
    list.split(',').filter_map(count).fold(0, u32::saturating_add)
}

fn counted(threads: u32) -> String {
    if threads == 1 { "1 processor".to_owned() } else { format!("{threads} processors") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn eight_threads() -> FakeHost {
        let host = FakeHost::new();
        let cpu = |n: u32| format!("processor\t: {n}\nphysical id\t: {}\ncore id\t\t: {}\n\n", n / 4, n % 2);
        host.put_file("/proc/cpuinfo", (0..8).map(cpu).collect::<String>(), 0o444);
        host.put_file("/proc/self/status", "Cpus_allowed_list:\t0-7\n", 0o444);
        host
    }

    #[test]
    fn threads_of_one_core_are_one_core() {
        let cpus = find(&eight_threads(), &Limits::default());
        assert_eq!((cpus.cores, cpus.threads, cpus.usable, cpus.source.as_str()), (4, 8, 8, "8 processors"));
    }

    #[test]
    fn affinity_and_quota_limit_whichever_is_less() {
        let host = eight_threads();
        host.put_file("/proc/self/status", "Cpus_allowed_list:\t0-2,5\n", 0o444);
        let quota = |hundredths| Limits { cpu_hundredths: Some(hundredths), memory: None };
        let cpus = find(&host, &quota(1600));
        assert_eq!((cpus.usable, cpus.source.as_str()), (4, "affinity to 4 of 8 processors"));
        let cpus = find(&host, &quota(150));
        assert_eq!((cpus.usable, cpus.source.as_str()), (1, "cgroup quota of 1.5"));
        let cpus = find(&host, &quota(5));
        assert_eq!((cpus.usable, cpus.source.as_str()), (1, "cgroup quota of 0.05"));
        assert_eq!(find(&host, &quota(200)).source, "cgroup quota of 2");
    }

    #[test]
    fn rubbish_counts_for_nothing() {
        assert_eq!((machine("").1, listed("x,3-1,-,7"), listed("0-4294967295")), (1, 1, u32::MAX));
    }
}
