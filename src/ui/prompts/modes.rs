//! The terminal as it was: its modes before the first question, and how they come back whatever ends us.
//!
//! While questions are asked the terminal may hide what is typed or hand over single keys. A thread waits for the
//! signals that end or stop us, and for the terminal to go away, which the key reader would not notice (crossterm's
//! issue 793).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, getpid};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::error::Exit;
use crate::ui::stdio;

static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static ASKING: AtomicBool = AtomicBool::new(false);
static WATCHED: Once = Once::new();

/// While it lives, questions are asked; afterwards the terminal is as before.
pub struct Asking(());

impl Asking {
    /// Remembers the modes of the terminal, and keeps watch.
    pub fn begin() -> Self {
        if let (Ok(modes), Ok(mut before)) = (tcgetattr(io::stdin()), BEFORE.lock()) {
            *before = Some(modes);
        }
        ASKING.store(true, Ordering::Relaxed);
        WATCHED.call_once(|| {
            if let Ok(signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP]) {
                std::thread::spawn(|| wait_for_signals(signals));
            }
            std::thread::spawn(wait_for_the_end_of_the_terminal);
        });
        Self(())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal the modes it had before the first question. Nothing happens when no question is being asked.
pub fn restore() {
    if ASKING.swap(false, Ordering::Relaxed) {
        go_back();
    }
}

/// Restores the former modes; returns those that were set.
fn go_back() -> Option<Termios> {
    let now = tcgetattr(io::stdin()).ok()?;
    let before = BEFORE.try_lock().ok()?;
    if !now.local_modes.contains(LocalModes::ICANON) {
        stdio::mode(stdio::Mode::EditingEnds);
    }
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, before.as_ref()?);
    Some(now)
}

fn wait_for_signals(mut signals: Signals) {
    for signal in signals.forever() {
        if !ASKING.load(Ordering::Relaxed) {
            // Between questions an interruption is handled by the follower of the run.
            if signal != SIGINT {
                let _ = emulate_default_handler(signal);
            }
            continue;
        }
        match signal {
            SIGTSTP => stop(),
            SIGINT => leave(Exit::Interrupted),
            SIGTERM => leave(Exit::Terminated),
            _ => leave(Exit::HungUp),
        }
    }
}

/// Stops this process as its terminal requested, with the former terminal modes, and continues afterwards. Not where no
/// process would continue it.
fn stop() {
    if !controlled() {
        return;
    }
    let now = go_back();
    let _ = emulate_default_handler(SIGTSTP);
    if let Some(now) = now {
        // The prompt has scrolled away, and a half-typed line with it.
        let raw = !now.local_modes.contains(LocalModes::ICANON);
        if raw {
            stdio::mode(stdio::Mode::EditingGoesOn);
        } else {
            stdio::error("> ");
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &now);
    }
}

fn wait_for_the_end_of_the_terminal() {
    let stdin = io::stdin();
    // Polled for no events, it returns only when the other end is closed.
    while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(&stdin, PollFlags::empty())], None) {}
    if ASKING.load(Ordering::Relaxed) {
        leave(Exit::HungUp);
    }
}

/// The asking thread waits for a key that may never come, so we cannot return to it.
fn leave(exit: Exit) {
    restore();
    if exit == Exit::Interrupted {
        stdio::error("\nNothing was changed.\n");
    }
    #[expect(clippy::exit, clippy::disallowed_methods, reason = "the other thread waits for a key")]
    std::process::exit(i32::from(exit.code()));
}
/// Whether another process would continue us if we stopped: one of our session outside our group that waits for it, as
/// a shell does. (An orphaned process group would stay stopped forever: POSIX 3.264.)
fn controlled() -> bool {
    let Some(us) = Kin::of(getpid()) else { return false };
    let mut parent = us.parent;
    while let Some(pid) = parent {
        match Kin::of(pid) {
            Some(kin) if kin.group == us.group => parent = kin.parent,
            Some(kin) => return kin.session == us.session,
            None => return false,
        }
    }
    false
}

/// Where a process belongs. The numbers are 0 for what lives in another PID namespace.
struct Kin {
    parent: Option<Pid>,
    group: i32,
    session: i32,
}

impl Kin {
    /// From the fields after the name in /proc/PID/stat, see proc(5). The name is in brackets and may hold any.
    fn of(pid: Pid) -> Option<Self> {
        let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
        let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0; 512];
        let read = rustix::io::read(&file, &mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..read]);
        let (_, fields) = text.rsplit_once(')')?;
        let mut numbers = fields.split_ascii_whitespace().skip(1).map(|field| field.parse::<i32>().unwrap_or(0));
        Some(Self { parent: Pid::from_raw(numbers.next()?), group: numbers.next()?, session: numbers.next()? })
    }
}
