//! Another administrator works at random moments: before, in, between and after run, failure, rollback, second
//! rollback, resume and crash. Nothing of theirs is lost, and everything of ours is removed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bringup::answers::OnFailure;
use bringup::engine::journal::Journal;
use bringup::engine::rollback::{Options, roll_back};
use bringup::engine::runs::RunDir;
use bringup::host::fake::{Cut, FakeHost, Package, Snapshot};
use bringup::host::{Command, Host};

use super::tally::{self, Tally};
use super::{fresh, newest, run};
use crate::dice::Dice;

/// What he does, how, and a path that shows it.
type Act = (&'static str, fn(&FakeHost), &'static str);

/// Each can be done at any time, and once.
const ACTS: &[Act] = &[
    ("edits a file of his", |host| host.put_file("/etc/hosts", "127.0.0.1 mine\n", 0o644), "/etc/hosts"),
    ("adds a cron file", |host| host.put_file("/etc/cron.d/mine", "0 3 * * * root true\n", 0o644), "/etc/cron.d/mine"),
    (
        "adds a setting of SSH",
        |host| host.put_file("/etc/ssh/sshd_config.d/mine.conf", "X11Forwarding no\n", 0o600),
        "/etc/ssh/sshd_config.d/mine.conf",
    ),
    ("adds a program", |host| host.put_file("/usr/local/bin/mytool", "#!/bin/sh\n", 0o755), "/usr/local/bin/mytool"),
    ("adds a tool", |host| host.put_file("/opt/tool/run", "#!/bin/sh\n", 0o755), "/opt/tool/run"),
    (
        "has a crontab",
        |host| host.put_file("/var/spool/cron/crontabs/root", "0 4 * * * true\n", 0o600),
        "/var/spool/cron/crontabs/root",
    ),
    (
        "adds a site's setting",
        |host| host.put_file("/etc/nginx/conf.d/mine.conf", "# mine\n", 0o644),
        "/etc/nginx/conf.d/mine.conf",
    ),
    (
        "adds a setting to ours",
        |host| host.put_file("/etc/shop/deep/mine.conf", "mine\n", 0o644),
        "/etc/shop/deep/mine.conf",
    ),
    (
        "has a unit",
        |host| {
            host.put_file("/etc/systemd/system/mine.service", "[Service]\nExecStart=/usr/local/bin/mytool\n", 0o644);
            let wants = "/etc/systemd/system/multi-user.target.wants/mine.service";
            host.put_file("/etc/systemd/system/multi-user.target.wants/keep", "", 0o644);
            host.make_symlink(Path::new(wants), Path::new("/etc/systemd/system/mine.service")).unwrap();
        },
        "/etc/systemd/system/mine.service",
    ),
    (
        "adds himself",
        |host| {
            for (file, line) in [
                ("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash"),
                ("/etc/group", "alice:x:1000:"),
                ("/etc/shadow", "alice:!:20000::::::"),
            ] {
                let text = host.text(file).unwrap();
                host.put_file(file, format!("{text}{line}\n"), 0o644);
            }
        },
        "/etc/passwd",
    ),
    (
        "installs a package",
        |host| {
            let install = || host.run(&Command::new(["apt-get", "install", "-y", "htop"])).unwrap().ok();
            // A run that was killed may have left dpkg in the middle: apt refuses, and says what to do.
            if !install() {
                host.run(&Command::new(["dpkg", "--configure", "-a"])).unwrap();
                assert!(install(), "his package can be installed");
            }
        },
        "/etc/htoprc",
    ),
];

fn without_backups(host: &FakeHost) -> Snapshot {
    let backups = ["/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"];
    let left_out = ["/var/lib/bringup", "/var/log", "/var/cache/apt", "/var/lib/apt/lists"];
    host.snapshot(&[&left_out[..], &backups[..]].concat())
}

fn opened(host: &FakeHost) -> Option<(RunDir, Journal)> {
    let (dir, journal) = newest(host)?;
    Some((dir, journal.ok()?))
}

/// Rolls back until it is done, as somebody would who is told that it is not; what keeps it from that.
fn back(host: &FakeHost) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..5 {
        let Some((dir, mut journal)) = opened(host) else { return Vec::new() };
        if journal.rolled_back.is_some() {
            return Vec::new();
        }
        match roll_back(host, &dir, &mut journal, &Options { drop_data: true, ..Options::default() }, &|_| {}) {
            Ok(report) if report.errors.is_empty() => return Vec::new(),
            Ok(report) => {
                told = report.errors.iter().map(|failure| format!("the rollback does not end: {failure}")).collect();
            }
            Err(failure) => told = vec![format!("the rollback does not end: {failure}")],
        }
        host.revive();
    }
    told
}

/// One schedule; `None` when it ends as it should.
fn play(seed: u64, told: bool, tally: &mut Tally) -> Option<String> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    dice.roll(2);
    let host = if told { fresh() } else { fresh().without_writers() };
    let acts: Vec<usize> = (0..=dice.roll(4)).map(|_| dice.roll(ACTS.len())).collect();
    let mut acts = acts;
    acts.sort_unstable();
    acts.dedup();
    let expected = fresh();
    for host in [&host, &expected] {
        let htop = Package::new("htop", "3.2").file("/usr/bin/htop", "elf", 0o755).file("/etc/htoprc", "a=1\n", 0o644);
        host.offer(htop);
    }
    // What he did while a window was open, and which.
    let hit: Arc<Mutex<Vec<(usize, PathBuf)>>> = Arc::default();
    for act in acts.iter().copied() {
        expected.as_somebody(ACTS[act].1);
        let hit = hit.clone();
        host.visit_after(1 + dice.roll(9_000), move |host| {
            hit.lock().unwrap().extend(tally::open_window(host).map(|window| (act, window)));
            ACTS[act].1(host);
        });
    }
    let scenario = dice.roll(5);
    let at = 1 + u64::try_from(dice.roll(150)).unwrap();
    let cut = [Cut::Before, Cut::Halfway, Cut::After][dice.roll(3)];
    match scenario {
        0 => host.fail_after(at),
        1 | 2 => host.kill_after(at, cut),
        _ => {}
    }
    run(&host, if dice.roll(2) == 0 { OnFailure::Pause } else { OnFailure::Rollback });
    if dice.roll(2) == 0 {
        host.visit_now();
    }
    host.revive();
    if scenario == 2 {
        run(&host, OnFailure::Pause);
        host.revive();
    }
    if scenario == 3 {
        host.kill_after(at, cut);
    }
    back(&host);
    host.revive();
    host.visit_now();
    let mut differences = back(&host);
    differences.extend(without_backups(&expected).differences(&without_backups(&host)));
    let hit = hit.lock().unwrap();
    for act in &acts {
        let (kind, _, path) = ACTS[*act];
        let window = hit.iter().find(|(hit, _)| hit == act);
        let lost = differences.iter().any(|line| line.contains(&format!("{path:?}")));
        tally.count(kind, window.and_then(|(_, window)| tally::verdict(&host, window, path)), lost);
    }
    let names: Vec<&str> = acts.iter().map(|act| ACTS[*act].0).collect();
    let shown = format!("seed {seed}, scenario {scenario}, change {at} {cut:?}, he {names:?}: {differences:#?}");
    (!differences.is_empty()).then_some(shown)
}

fn all(seeds: std::ops::Range<u64>, told: bool) {
    let total = seeds.end - seeds.start;
    let mut tally = Tally::default();
    let failed: Vec<String> = seeds.filter_map(|seed| play(seed, told, &mut tally)).collect();
    println!(
        "{total} schedules, the kernel {} who writes:\n{}",
        if told { "tells" } else { "does not tell" },
        tally.table()
    );
    assert!(tally.in_windows() > 0, "no change fell into a window: nothing was tried");
    assert!(failed.is_empty(), "{} of {total} schedules: {}", failed.len(), failed[..failed.len().min(3)].join("\n"));
}

/// How many schedules: thousands with `tests/run --long`.
#[allow(clippy::disallowed_methods)]
fn schedules() -> u64 {
    if std::env::var_os("BRINGUP_TEST_LONG").is_some() { 4_000 } else { 120 }
}

#[test]
fn nothing_of_another_administrator_is_lost_and_everything_of_ours_is_gone() {
    all(0..schedules(), true);
}

/// Without the kernel's news only what he puts into directories of packages while they are installed is taken for
/// theirs.
#[test]
fn where_the_kernel_does_not_tell_who_writes_dpkg_and_the_windows_have_to_do() {
    all(100_000..100_000 + schedules(), false);
}

/// Found among thousands: a first line of the journal that was torn, a mode given while the rollback looked at the disk,
/// a package installed after dpkg was cut off.
#[test]
fn schedules_that_once_ended_otherwise_end_as_they_should() {
    for (seed, told) in [(914, true), (1135, true), (2511, true), (100_392, false), (100_845, false), (101_016, false)]
    {
        assert_eq!(play(seed, told, &mut Tally::default()), None);
    }
}
