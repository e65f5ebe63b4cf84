//! Limits of the control groups that we are in, of both versions: the strictest on the way up counts.

use std::path::{Component, Path, PathBuf};

use super::text;
use crate::host::Host;

/// What control groups allow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Processor time, in hundredths of a processor.
    pub(super) cpu_hundredths: Option<u64>,
    /// Bytes.
    pub(super) memory: Option<u64>,
}

impl Limits {
    pub(super) fn find(host: &dyn Host) -> Self {
        let mut limits = Self::default();
        let mounts = mounts(&text(host, "/proc/self/mountinfo"));
        for line in text(host, "/proc/self/cgroup").lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let names: Vec<&str> = controllers.split(',').collect();
            let is_unified = controllers.is_empty();
            let serves = |mount: &&Mount| {
                if is_unified {
                    mount.is_unified
                } else {
                    !mount.is_unified && names.iter().any(|name| mount.has(name))
                }
            };
            let Some(mount) = mounts.iter().find(serves) else {
                continue;
            };
            for dir in mount.way_up(Path::new(path)) {
                if is_unified {
                    limits.restrict(
                        cpu_max(&text(host, dir.join("cpu.max"))),
                        number(&text(host, dir.join("memory.max"))),
                    );
                }
                if names.contains(&"cpu") {
                    let quota = number(&text(host, dir.join("cpu.cfs_quota_us")));
                    let period = number(&text(host, dir.join("cpu.cfs_period_us")));
                    limits.restrict(hundredths(quota, period), None);
                }
                if names.contains(&"memory") {
                    limits.restrict(None, number(&text(host, dir.join("memory.limit_in_bytes"))));
                }
            }
        }
        limits
    }

    fn restrict(&mut self, cpu_hundredths: Option<u64>, memory: Option<u64>) {
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        self.cpu_hundredths = least(self.cpu_hundredths, cpu_hundredths);
        self.memory = least(self.memory, memory);
    }
}

/// A mounted hierarchy.
struct Mount {
    /// Which part of the hierarchy is mounted.
    root: PathBuf,
    point: PathBuf,
    is_unified: bool,
    /// Controllers of a version 1 hierarchy, among other options.
    options: String,
}

impl Mount {
    fn has(&self, controller: &str) -> bool {
        !controller.is_empty() && self.options.split(',').any(|option| option == controller)
    }

    /// The group's directory and those above it, as far as they are visible.
    fn way_up(&self, group: &Path) -> Vec<PathBuf> {
        // A container may see a group's path from outside (no namespace), or from below (`/../..`).
        let below = group.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let below: PathBuf = below.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let dir = if below.as_os_str().is_empty() { self.point.clone() } else { self.point.join(below) };
        dir.ancestors().take_while(|dir| dir.starts_with(&self.point)).map(Path::to_owned).collect()
    }
}

fn mounts(mountinfo: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        let kind = after.next()?;
        let is_unified = kind == "cgroup2";
        (is_unified || kind == "cgroup").then_some(())?;
        Some(Mount {
            root: before.next()?.into(),
            point: before.next()?.into(),
            is_unified,
            options: after.nth(1).unwrap_or_default().to_owned(),
        })
    };
    mountinfo.lines().filter_map(parse).collect()
}

/// `150000 100000` is 1.5 processors; `max 100000` is no limit.
fn cpu_max(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    hundredths(number(quota), number(period))
}

fn hundredths(quota: Option<u64>, period: Option<u64>) -> Option<u64> {
    quota?.saturating_mul(100).checked_div(period?)
}

/// A number; `max`, `-1` and nothing are no limit.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn the_strictest_limit_on_the_way_up_counts() {
        let host = FakeHost::new();
        host.put_file("/proc/self/cgroup", "0::/machine.slice/box.scope/session\n", 0o444);
        host.put_file("/sys/fs/cgroup/machine.slice/box.scope/session/cpu.max", "max 100000\n", 0o444);
        host.put_file("/sys/fs/cgroup/machine.slice/box.scope/cpu.max", "150000 100000\n", 0o444);
        host.put_file("/sys/fs/cgroup/machine.slice/cpu.max", "400000 100000\n", 0o444);
        host.put_file("/sys/fs/cgroup/machine.slice/memory.max", "1073741824\n", 0o444);
        host.put_file("/sys/fs/cgroup/machine.slice/box.scope/memory.max", "max\n", 0o444);
        assert_eq!(Limits::find(&host), Limits { cpu_hundredths: Some(150), memory: Some(1 << 30) });
    }

    #[test]
    fn the_old_version_counts_even_where_only_part_of_it_is_mounted() {
        let host = FakeHost::new();
        host.put_file("/proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n", 0o444);
        let mountinfo = "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro shared:1 - cgroup cgroup rw,cpu,cpuacct\n\
                         35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        host.put_file("/proc/self/mountinfo", mountinfo, 0o444);
        host.put_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n", 0o444);
        host.put_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n", 0o444);
        host.put_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n", 0o444);
        assert_eq!(Limits::find(&host), Limits { cpu_hundredths: Some(250), memory: Some(512 << 20) });
    }

    #[test]
    fn no_limit_is_none() {
        let host = FakeHost::new();
        assert_eq!(Limits::find(&host), Limits::default());
        assert_eq!((hundredths(Some(1), Some(0)), number("-1"), cpu_max("")), (None, None, None));
    }
}
