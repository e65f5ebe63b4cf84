//! Room on the disks: bytes, inodes, and whether they can be written at all.

use std::path::Path;

use super::{CheckStatus, Finding, ok};
use crate::facts::Facts;
use crate::facts::probe::text;
use crate::host::Host;
use crate::human_bytes::{human, part};

/// What a mount point needs free: below the first a run fails, below the second it may.
struct Need {
    point: &'static str,
    problem_mib: u64,
    warning_mib: u64,
}

/// A web server, an application and a database with what they need take 300 to 800 MiB, most of it below /usr, and
/// their packages 100 to 200 more below /var while they are unpacked. A full /boot fails every later upgrade.
const NEEDS: &[Need] = &[
    Need { point: "/", problem_mib: 500, warning_mib: 2048 },
    Need { point: "/usr", problem_mib: 500, warning_mib: 1536 },
    Need { point: "/var", problem_mib: 500, warning_mib: 2048 },
    // Packages are fetched to the first, and their lists to the second.
    Need { point: "/var/cache", problem_mib: 150, warning_mib: 400 },
    Need { point: "/var/cache/apt", problem_mib: 150, warning_mib: 400 },
    Need { point: "/var/cache/apt/archives", problem_mib: 100, warning_mib: 300 },
    Need { point: "/var/lib", problem_mib: 300, warning_mib: 1024 },
    Need { point: "/var/lib/apt", problem_mib: 50, warning_mib: 150 },
    Need { point: "/tmp", problem_mib: 20, warning_mib: 100 },
    Need { point: "/boot", problem_mib: 0, warning_mib: 30 },
    Need { point: "/home", problem_mib: 0, warning_mib: 100 },
    Need { point: "/opt", problem_mib: 100, warning_mib: 1024 },
    Need { point: "/srv", problem_mib: 0, warning_mib: 100 },
];

/// A product with its dependencies has 10,000 to 30,000 files.
const PROBLEM_INODES: u64 = 20_000;
const WARNING_INODES: u64 = 100_000;

pub(crate) fn disk(host: &dyn Host, facts: &Facts) -> Finding {
    let mounts = text(host, "/proc/self/mountinfo");
    let mut worst = CheckStatus::Ok;
    let (mut found, mut short, mut fixed) = (Vec::new(), Vec::new(), Vec::new());
    for need in NEEDS {
        let Some(disk) = facts.disks.get(need.point) else { continue };
        let point = need.point;
        let free = human(disk.free_mib << 20);
        found.push(format!("{point} {} free", part(disk.free_mib << 20, disk.total_mib << 20)));
        if is_fixed(&mounts, point) {
            worst = CheckStatus::Problem;
            fixed.push(point);
        } else if disk.free_mib < need.warning_mib {
            let state = if disk.free_mib < need.problem_mib { CheckStatus::Problem } else { CheckStatus::Warning };
            worst = worst.max(state);
            short.push(format!("{point} has {free} free"));
        }
    }
    if found.is_empty() {
        return Finding { state: CheckStatus::Warning, found: "not known".to_owned(), fix: "see `df -h`".to_owned() };
    }
    if let Some(point) = fixed.first() {
        let found = format!("{} cannot be written: mounted read-only", fixed.join(", "));
        let fix = format!("find out why with `dmesg`, then `mount -o remount,rw {point}`");
        return Finding { state: worst, found, fix };
    }
    if short.is_empty() {
        return ok(found.join(", "));
    }
    let fix = "make room: `apt-get clean`, `journalctl --vacuum-size=100M`; `du -xh / | sort -h | tail` shows what \
               is big"
        .to_owned();
    Finding { state: worst, found: short.join(", "), fix }
}

/// Whether the last thing mounted at `point` is mounted read-only (`proc(5)`: the mount point is the fifth field,
/// its options are the sixth).
fn is_fixed(mounts: &str, point: &str) -> bool {
    let mut at_point = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        (fields.next() == Some(point)).then(|| fields.next().unwrap_or_default())
    });
    at_point.next_back().is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

pub(crate) fn inodes(host: &dyn Host, facts: &Facts) -> Finding {
    let mut worst = CheckStatus::Ok;
    let (mut found, mut short) = (Vec::new(), Vec::new());
    for point in ["/", "/usr", "/var", "/opt"].into_iter().filter(|point| facts.disks.contains_key(*point)) {
        // Some file systems make inodes as they are needed.
        let Some((free, _)) = host.inodes(Path::new(point)).ok().filter(|(_, total)| *total > 0) else { continue };
        found.push(format!("{point} {free} free"));
        if free < WARNING_INODES {
            worst = worst.max(if free < PROBLEM_INODES { CheckStatus::Problem } else { CheckStatus::Warning });
            short.push(format!("{point} has {free} free"));
        }
    }
    match (short.is_empty(), found.is_empty()) {
        (true, true) => ok("not limited"),
        (true, false) => ok(found.join(", ")),
        (false, _) => Finding {
            state: worst,
            found: short.join(", "),
            fix: "remove what makes many small files: `du --inodes -x / | sort -n | tail` shows where they are"
                .to_owned(),
        },
    }
}
