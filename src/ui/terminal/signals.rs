//! Signals, and threads with news, end the wait for input: each writes a byte into a pipe that the wait looks at.
//!
//! Handlers are installed once and stay, because a handler cannot be taken away again. While no terminal is open
//! they do what the system would have done. The signal that suspends (SIGTSTP) has no handler, because nothing
//! else stops a process as it does: not where nobody could continue it, and so that sudo understands it. It is
//! blocked while a terminal is open, and read from a descriptor of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level};

/// What asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT from another process; Ctrl-C is a key.
    Interrupt,
    /// SIGTERM, or SIGQUIT.
    Terminate,
    /// SIGHUP, or the terminal was closed.
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

/// Who has the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// By ourselves: signals are reported by the methods of [`Signals`].
    Terminal,
    /// A child for which we wait: signals are noted, but the one that suspends has its usual effect.
    Child,
    /// Nobody of us: signals have their usual effect.
    Nobody,
}

/// Whether a signal came, and what it means.
type End = (Arc<AtomicBool>, Signal);

/// What came, and what it means.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: OwnedFd,
    waker: Waker,
    /// No terminal is open: signals have their usual effect.
    idle: Arc<AtomicBool>,
    suspend: SignalFd,
    hang_up: End,
    terminate: End,
    quit: End,
    interrupt: End,
    resized: Arc<AtomicBool>,
    suspended: AtomicBool,
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
        let on = |signal, default: Option<&Arc<AtomicBool>>| {
            let came = Arc::new(AtomicBool::new(false));
            if let Some(condition) = default {
                flag::register_conditional_default(signal, Arc::clone(condition))?;
            }
            flag::register(signal, Arc::clone(&came))?;
            low_level::pipe::register(signal, waker.pipe.try_clone()?)?;
            io::Result::Ok(came)
        };
        let hang_up = (on(SIGHUP, Some(&idle))?, Signal::HangUp);
        let terminate = (on(SIGTERM, Some(&idle))?, Signal::Terminate);
        let quit = (on(SIGQUIT, Some(&idle))?, Signal::Terminate);
        let interrupt = (on(SIGINT, Some(&idle))?, Signal::Interrupt);
        let (resized, continued) = (on(SIGWINCH, None)?, on(SIGCONT, None)?);
        let suspend = SignalFd::with_flags(&suspending(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let suspended = AtomicBool::new(false);
        Ok(Self { pipe, waker, idle, suspend, hang_up, terminate, quit, interrupt, resized, suspended, continued })
    }

    /// What signals mean from now on. Call this on the thread that waits.
    pub fn watch(&self, watch: Watch) {
        if watch == Watch::Terminal {
            // From the keyboard, they were meant for a child.
            for came in [&self.continued, &self.interrupt.0, &self.quit.0] {
                came.store(false, Ordering::SeqCst);
            }
        }
        self.idle.store(watch == Watch::Nobody, Ordering::SeqCst);
        // Neither fails for a set that is one.
        let _ = if watch == Watch::Terminal { suspending().thread_block() } else { suspending().thread_unblock() };
    }

    /// Stops us, as the terminal would have done at Ctrl-Z, and returns when we are continued; with `group`
    /// everybody in our process group, which the shell sees as one job. Where nobody could continue us the system
    /// does not stop us; whether it did.
    pub fn suspend(&self, group: bool) -> bool {
        self.take_continued();
        self.watch(Watch::Child);
        let _ = if group {
            process::kill_current_process_group(process::Signal::TSTP)
        } else {
            process::kill_process(process::getpid(), process::Signal::TSTP)
        };
        let stopped = self.take_continued();
        self.watch(Watch::Terminal);
        stopped
    }

    /// What asks the program to end, if anything does; from the first time on, always.
    pub fn end(&self) -> Option<Signal> {
        let ends = [&self.hang_up, &self.terminate, &self.quit, &self.interrupt];
        ends.into_iter().find(|(came, _)| came.load(Ordering::Acquire)).map(|(_, signal)| *signal)
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
            || self.suspended.load(Ordering::Acquire)
            || [&self.resized, &self.continued, &self.waker.woken].into_iter().any(|came| came.load(Ordering::Acquire))
    }

    /// What becomes readable when something comes.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.pipe.as_fd(), self.suspend.as_fd()]
    }

    /// Empties the descriptors. Look at the flags after this, never before.
    pub fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!(rustix::io::read(&self.pipe, &mut bytes), Ok(read) if read > 0) {}
        while matches!(self.suspend.read_signal(), Ok(Some(_))) {
            self.suspended.store(true, Ordering::Release);
        }
    }

    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

fn suspending() -> SigSet {
    SigSet::from(nix::sys::signal::Signal::SIGTSTP)
}
