//! Signals, and threads with news, end the wait for input: each writes a byte into a pipe that the wait looks at.
//!
//! Handlers are installed once and stay, because a handler cannot be taken away again. While no terminal is open
//! they do what the system would have done.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::{flag, low_level};

/// What asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT from another process; Ctrl-C is a key.
    Interrupt,
    /// SIGTERM, or SIGQUIT.
    Terminate,
    /// SIGHUP, or the terminal is gone.
    HangUp,
}

/// Wakes [`super::Terminal::next`] from any thread.
#[derive(Clone, Debug)]
pub struct Waker {
    pipe: Arc<OwnedFd>,
    woken: Arc<AtomicBool>,
}

impl Waker {
    /// Has `next` return [`super::Input::Woken`], once for all calls since it last did.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // A full pipe wakes as well.
            let _ = rustix::io::write(&self.pipe, b"w");
        }
    }
}

/// What came, and when a terminal is open.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: OwnedFd,
    waker: Waker,
    /// No terminal is open: signals have their usual effect.
    idle: Arc<AtomicBool>,
    /// As `idle`, for the signal that suspends; not where nobody could wake us again.
    idle_and_controlled: Arc<AtomicBool>,
    ends: [(Arc<AtomicBool>, Signal); 4],
    resized: Arc<AtomicBool>,
    suspended: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

impl Signals {
    /// The signals of this process.
    pub fn of_process() -> io::Result<&'static Self> {
        if let Some(signals) = SIGNALS.get() {
            return Ok(signals);
        }
        let signals = Self::install()?;
        Ok(SIGNALS.get_or_init(|| signals))
    }

    fn install() -> io::Result<Self> {
        let (pipe, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let waker = Waker { pipe: Arc::new(write), woken: Arc::default() };
        let idle = Arc::new(AtomicBool::new(true));
        let idle_and_controlled = Arc::new(AtomicBool::new(true));
        let on = |signal, default: Option<&Arc<AtomicBool>>| {
            let came = Arc::new(AtomicBool::new(false));
            if let Some(condition) = default {
                flag::register_conditional_default(signal, Arc::clone(condition))?;
            }
            flag::register(signal, Arc::clone(&came))?;
            low_level::pipe::register(signal, waker.pipe.try_clone()?)?;
            io::Result::Ok(came)
        };
        let ends = [
            (on(SIGHUP, Some(&idle))?, Signal::HangUp),
            (on(SIGTERM, Some(&idle))?, Signal::Terminate),
            (on(SIGQUIT, Some(&idle))?, Signal::Terminate),
            (on(SIGINT, Some(&idle))?, Signal::Interrupt),
        ];
        let suspended = on(SIGTSTP, Some(&idle_and_controlled))?;
        let (resized, continued) = (on(SIGWINCH, None)?, on(SIGCONT, None)?);
        Ok(Self { pipe, waker, idle, idle_and_controlled, ends, resized, suspended, continued })
    }

    /// A terminal is open (signals are told by the methods below) or none is (they have their usual effect).
    /// `controlled`: somebody would continue us if we were stopped.
    pub fn watch(&self, open: bool, controlled: bool) {
        self.idle.store(!open, Ordering::SeqCst);
        self.idle_and_controlled.store(!open && controlled, Ordering::SeqCst);
        if !open {
            for (came, _) in &self.ends {
                came.store(false, Ordering::SeqCst);
            }
        }
    }

    /// What asks the program to end, if anything does; from the first time on, always.
    pub fn end(&self) -> Option<Signal> {
        self.ends.iter().find(|(came, _)| came.load(Ordering::Acquire)).map(|(_, signal)| *signal)
    }

    /// Whether the size has changed since the last call.
    pub fn take_resized(&self) -> bool {
        self.resized.swap(false, Ordering::AcqRel)
    }

    /// Whether we were asked to stop (SIGTSTP) since the last call.
    pub fn take_suspended(&self) -> bool {
        self.suspended.swap(false, Ordering::AcqRel)
    }

    /// Whether we were continued (SIGCONT) since the last call.
    pub fn take_continued(&self) -> bool {
        self.continued.swap(false, Ordering::AcqRel)
    }

    /// Whether a thread has woken us since the last call.
    pub fn take_woken(&self) -> bool {
        self.waker.woken.swap(false, Ordering::AcqRel)
    }

    /// Whether anything came that was not taken yet.
    pub fn any(&self) -> bool {
        self.end().is_some()
            || [&self.resized, &self.suspended, &self.continued, &self.waker.woken]
                .into_iter()
                .any(|came| came.load(Ordering::Acquire))
    }

    /// Empties the pipe. Look at the flags after this, never before.
    pub fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!(rustix::io::read(&self.pipe, &mut bytes), Ok(read) if read > 0) {}
    }

    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
