//! Who writes files, by fanotify, which names the process with each event (fanotify(7); whole file systems since
//! Linux 4.20, `FAN_OPEN_EXEC` since 5.0).
//!
//! Only closed writes are told this way: directories, links, modes and removals are not.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::{Watch, Writer, control_group, mounts};

/// How often the file of the last sign of life is touched.
const BEAT: Duration = Duration::from_secs(1);
/// How many generations above a process are looked at.
const GENERATIONS: usize = 64;

/// A watch that a thread of its own keeps.
pub struct Watcher {
    shared: Arc<Shared>,
}

struct Shared {
    ended: AtomicBool,
    /// None where the kernel does not report it.
    seen: Option<Mutex<Seen>>,
}

struct Seen {
    group: Fanotify,
    writers: BTreeMap<u64, Writer>,
    /// What makes the inodes of file systems distinct, by the numbers of their devices.
    salts: HashMap<u64, u64>,
    processes: HashMap<i32, Writer>,
    own: Own,
    lost: bool,
}

/// What distinguishes our own processes from others.
struct Own {
    pid: i32,
    /// Our control group, unless it is the root group.
    cgroup: Option<String>,
}

impl Watcher {
    pub fn start(alive: &Path) -> Self {
        let seen = Seen::open().ok().map(Mutex::new);
        let shared = Arc::new(Shared { ended: AtomicBool::new(false), seen });
        let (kept, alive) = (Arc::clone(&shared), alive.to_owned());
        // Without a thread everything is looked at when someone asks.
        let _ = std::thread::Builder::new().name("watch".to_owned()).spawn(move || kept.work(&alive));
        Self { shared }
    }
}

impl Watch for Watcher {
    fn writers(&mut self) -> Option<BTreeMap<u64, Writer>> {
        let seen = self.shared.seen.as_ref()?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.drain();
        (!seen.lost).then(|| seen.writers.clone())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Its thread ends at the next event, or beat.
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Inodes of files that others wrote.
    fn others(&self) -> String {
        let Some(seen) = &self.seen else { return String::new() };
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let foreign = seen.writers.iter().filter(|(_, writer)| **writer == Writer::Other);
        foreign.fold(String::new(), |all, (ino, _)| all + &ino.to_string() + "\n")
    }

    fn work(&self, alive: &Path) {
        // A separate mutex, so that waiting does not block queries.
        let descriptor = self.seen.as_ref().and_then(|seen| {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.group.as_fd().try_clone_to_owned().ok()
        });
        let mut beaten: Option<Instant> = None;
        while !self.ended.load(Ordering::Relaxed) {
            if beaten.is_none_or(|at| at.elapsed() >= BEAT) {
                beat(alive, &self.others());
                beaten = Some(Instant::now());
            }
            match (&descriptor, &self.seen) {
                // At once: a process that has ended cannot be looked at any more.
                (Some(descriptor), Some(seen)) => {
                    if wait(descriptor) {
                        seen.lock().unwrap_or_else(PoisonError::into_inner).drain();
                    }
                }
                _ => std::thread::sleep(BEAT),
            }
        }
    }
}

impl Seen {
    fn open() -> nix::Result<Self> {
        let flags = InitFlags::FAN_CLASS_NOTIF
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE;
        let opened =
            EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC | EventFFlags::O_NONBLOCK;
        let group = Fanotify::init(flags, opened)?;
        let mask = MaskFlags::FAN_CLOSE_WRITE | MaskFlags::FAN_OPEN_EXEC;
        let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        group.mark(mark, mask, rustix::fs::CWD, Some("/"))?;
        let mut salts = HashMap::new();
        for point in mounts::points(&fs::read_to_string(mounts::MOUNTINFO).unwrap_or_default()) {
            // Of one that cannot be watched nothing is known.
            if group.mark(mark, mask, rustix::fs::CWD, Some(&point)).is_ok()
                && let Ok(found) = fs::metadata(&point)
            {
                salts.insert(found.dev(), mounts::salt(&point));
            }
        }
        // Also where it is mounted a second time.
        if let Ok(root) = fs::metadata("/") {
            salts.insert(root.dev(), mounts::salt(Path::new("/")));
        }
        let own = Own::read();
        Ok(Self { group, writers: BTreeMap::new(), salts, processes: HashMap::new(), own, lost: false })
    }

    /// Takes up all events that wait.
    fn drain(&mut self) {
        while let Ok(events) = self.group.read_events() {
            for event in &events {
                let mask = event.mask();
                if mask.contains(MaskFlags::FAN_Q_OVERFLOW) {
                    self.lost = true;
                }
                let pid = event.pid();
                if mask.contains(MaskFlags::FAN_OPEN_EXEC) {
                    // Another program in the same process, or a new process with an old number.
                    self.processes.insert(pid, self.own.writer(pid));
                }
                let Some(fd) = event.fd().filter(|_| mask.contains(MaskFlags::FAN_CLOSE_WRITE)) else { continue };
                if let Ok(stat) = rustix::fs::fstat(fd)
                    && let Some(salt) = self.salts.get(&stat.st_dev)
                {
                    let file = stat.st_ino ^ salt;
                    let writer = self.writer(pid);
                    self.writers.insert(file, writer);
                }
            }
            if events.is_empty() {
                break;
            }
        }
    }

    fn writer(&mut self, pid: i32) -> Writer {
        match self.processes.get(&pid) {
            Some(known) if *known != Writer::Unknown => known.clone(),
            _ => {
                let writer = self.own.writer(pid);
                self.processes.insert(pid, writer.clone());
                writer
            }
        }
    }
}

impl Own {
    fn read() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let shared = cgroup(1);
        Self { pid, cgroup: cgroup(pid).filter(|own| Some(own) != shared.as_ref() && own != "/") }
    }

    fn writer(&self, pid: i32) -> Writer {
        // 0: a process that our namespace does not show, such as one of the server around a container.
        if pid == 0 {
            return Writer::Other;
        }
        if pid == self.pid {
            return Writer::Ours;
        }
        let Some(group) = group_of(pid, &proc_file) else { return Writer::Unknown };
        if self.cgroup.as_ref().is_some_and(|own| group == *own || group.starts_with(&format!("{own}/"))) {
            return Writer::Ours;
        }
        if self.descends(pid) {
            return Writer::Ours;
        }
        if pid == 1 {
            return Writer::Unknown;
        }
        match control_group::service(&group) {
            Some(unit) => Writer::Unit(unit),
            // Without control groups, a daemon may be ours or another's.
            None if self.cgroup.is_none() && parent(pid) == Some(1) => Writer::Unknown,
            None => Writer::Other,
        }
    }

    fn descends(&self, mut pid: i32) -> bool {
        for _ in 0..GENERATIONS {
            match parent(pid) {
                Some(above) if above == self.pid => return true,
                Some(above) if above > 1 => pid = above,
                _ => return false,
            }
        }
        false
    }
}

/// The control group of a process: systemd's, or that of the unified hierarchy.
fn cgroup(pid: i32) -> Option<String> {
    control_group::find(&proc_file(pid, "cgroup")?)
}

/// The control group that a process works for; none when nothing tells any more. The traditional hierarchies show each
/// process that is ending in the root group ("Control Groups version 1", and `proc_cgroup_show` in the kernel), and it
/// is then that files which it had open are closed: its parent's group is looked at instead.
fn group_of(pid: i32, read: &dyn Fn(i32, &str) -> Option<String>) -> Option<String> {
    let mut pid = pid;
    for _ in 0..GENERATIONS {
        let group = control_group::find(&read(pid, "cgroup")?)?;
        let stat = read(pid, "stat")?;
        if group != "/" || !is_ending(&stat) {
            return Some(group);
        }
        pid = parent_in(&stat).filter(|above| *above > 1)?;
    }
    None
}

fn proc_file(pid: i32, name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}")).ok()
}

fn parent(pid: i32) -> Option<i32> {
    parent_in(&proc_file(pid, "stat")?)
}

fn parent_in(stat: &str) -> Option<i32> {
    after_name(stat)?.nth(1)?.parse().ok()
}

/// Whether the kernel's flags of a process have `PF_EXITING` (`include/linux/sched.h`), in the text of
/// `/proc/PID/stat`.
fn is_ending(stat: &str) -> bool {
    const PF_EXITING: u64 = 0x4;
    let flags = after_name(stat).and_then(|mut fields| fields.nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & PF_EXITING != 0)
}

/// The fields of `/proc/PID/stat` from the third on (`proc_pid_stat(5)`): the name before them, in brackets, may hold
/// anything.
fn after_name(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

/// Waits for events, as long as a beat.
fn wait(events: &OwnedFd) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: BEAT.as_nanos().min(999_999_999).try_into().unwrap_or(0) };
    poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Leaves a sign of life, with the inodes of what others wrote.
fn beat(alive: &Path, others: &str) {
    // Without it a crash is judged more strictly.
    if let Ok(mut file) = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(alive) {
        let _ = file.write_all(format!("{others}.\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_process_that_is_ending_works_for_its_parents_group() {
        const RUNNING: u64 = 0x40_0000;
        const ENDING: u64 = 0x40_000c;
        let stat = |pid: i32, parent: i32, flags: u64| format!("{pid} (a) b) S {parent} 5 5 0 -1 {flags} 1 2 3\n");
        let session = "1:name=systemd:/user.slice/user-0.slice/session-3.scope\n";
        let service = "1:name=systemd:/system.slice/nginx.service\n";
        let root = "1:name=systemd:/\n";
        let processes = [
            (7, stat(7, 1, ENDING), root),
            (8, stat(8, 9, ENDING), root),
            (9, stat(9, 1, RUNNING), session),
            (10, stat(10, 1, RUNNING), service),
            (11, stat(11, 1, RUNNING), root),
            (12, stat(12, 8, ENDING), root),
            (13, stat(13, 14, ENDING), root),
        ];
        let read = |pid: i32, name: &str| {
            let (_, stat, cgroup) = processes.iter().find(|(known, ..)| *known == pid)?;
            Some(if name == "stat" { stat.clone() } else { (*cgroup).to_owned() })
        };
        let of = |pid: i32| group_of(pid, &read);
        assert_eq!(of(7), None, "a daemon that ends: nothing tells which");
        assert_eq!(of(8).as_deref(), Some("/user.slice/user-0.slice/session-3.scope"));
        assert_eq!(of(12).as_deref(), Some("/user.slice/user-0.slice/session-3.scope"));
        assert_eq!(of(10).as_deref(), Some("/system.slice/nginx.service"));
        assert_eq!(of(11).as_deref(), Some("/"), "one that runs is where it says");
        assert_eq!(of(13), None, "its parent is gone");
    }

    /// Needs root and a kernel that reports writers: elsewhere it says so.
    #[test]
    fn what_we_write_is_ours_and_what_another_writes_is_not() {
        let dir = std::env::current_dir().unwrap().join(format!("target/watch-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut watcher = Watcher::start(&dir.join("alive"));
        if watcher.writers().is_none() {
            println!("skipped: this kernel, or these rights, tell no writers");
            fs::remove_dir_all(&dir).unwrap();
            return;
        }
        fs::write(dir.join("own"), "x").unwrap();
        let script = format!("echo y > {0}/child; cp {0}/child {0}/copy; wait", dir.display());
        std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
        let writers = watcher.writers().unwrap();
        let of = |name: &str| writers.get(&fs::metadata(dir.join(name)).unwrap().ino()).cloned();
        assert_eq!(of("own"), Some(Writer::Ours));
        // A process that ended before it could be inspected is attributed to nobody.
        for name in ["child", "copy"] {
            assert!([Some(Writer::Ours), Some(Writer::Unknown)].contains(&of(name)), "{name}: {:?}", of(name));
        }
        assert!(dir.join("alive").exists());
        drop(watcher);
        fs::remove_dir_all(&dir).unwrap();
    }
}
