//! The terminal device: opened again, so that reading and writing never block and no other process is affected, and
//! switched to raw mode and back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use nix::unistd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{self, LocalModes, OptionalActions, QueueSelector, Termios};

/// The other screen, pastes marked as such, no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?25l";
/// Restores the former modes, from any state. Idempotent.
const RESTORE: &[u8] = b"\x1b[m\x1b[?25h\x1b[?2004l\x1b[?1049l";
/// How long a terminal that takes nothing is waited for before it is left as it is.
const PATIENCE: Duration = Duration::from_millis(200);

/// What has to be restored, and how. Beside the terminal itself, for the panic hook.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    tty: Arc<OwnedFd>,
    modes: Termios,
}

/// Gives the terminal back as it was before it was opened, if one is open. Never panics, never blocks for long;
/// once more changes nothing.
pub fn restore() {
    let mut before = match BEFORE.try_lock() {
        Ok(before) => before,
        Err(TryLockError::Poisoned(before)) => before.into_inner(),
        // A panic in the few lines that hold the lock: there is nothing to restore yet, or not any more.
        Err(TryLockError::WouldBlock) => return,
    };
    if let Some(Before { tty, modes }) = before.take() {
        let foreground = foreground(&tty);
        // In the background, writing or changing modes may stop us for good; the terminal belongs to another process
        // group.
        if !foreground && modes.local_modes.contains(LocalModes::TOSTOP) {
            return;
        }
        let _ = write(&tty, RESTORE, &mut Patience(2));
        if foreground {
            // Keys that were meant for us must not become commands of a shell.
            let _ = termios::tcflush(&tty, QueueSelector::IFlush);
            let _ = termios::tcsetattr(&tty, OptionalActions::Now, &modes);
        }
    }
}

/// Whether to keep waiting for a terminal that accepts no output.
pub(super) trait Wait {
    fn more(&mut self) -> bool;
}

struct Patience(u32);

impl Wait for Patience {
    fn more(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

#[derive(Debug)]
pub(super) struct Tty {
    fd: Arc<OwnedFd>,
}

impl Tty {
    /// The terminal that stdin and stdout are.
    #[expect(clippy::disallowed_methods, reason = "stdout is asked, not written to")]
    pub fn open() -> io::Result<Self> {
        if !termios::isatty(io::stdin()) || !termios::isatty(io::stdout()) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "no terminal"));
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // A terminal may have no name here (in a container), unless it is ours.
        let ours = has_session(io::stdout().as_fd());
        let fd = if ours {
            rustix::fs::open("/dev/tty", flags, Mode::empty())?
        } else {
            rustix::fs::open(termios::ttyname(io::stdout(), Vec::new())?.as_c_str(), flags, Mode::empty())?
        };
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Columns and rows; `None` when the terminal does not know, as on a serial line.
    pub fn size(&self) -> Option<(u16, u16)> {
        let size = termios::tcgetwinsize(&self.fd).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }

    /// Whether a terminal emulator is at the other end, and no serial line or console of the kernel.
    #[expect(clippy::disallowed_methods, reason = "stdout is asked, not written to")]
    pub fn is_pseudo() -> bool {
        // The majors of Linux's pseudo-terminals (admin-guide/devices.txt).
        rustix::fs::fstat(io::stdout()).is_ok_and(|stat| (136..=143).contains(&rustix::fs::major(stat.st_rdev)))
    }

    /// Takes the screen: raw mode and [`ENTER`]. Again, when we have it already, it is taken as it was before.
    pub fn enter(&self, wait: &mut dyn Wait) -> io::Result<()> {
        let mut before = BEFORE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let modes = match before.as_ref() {
            Some(before) => before.modes.clone(),
            None => termios::tcgetattr(&self.fd)?,
        };
        let mut raw = modes.clone();
        raw.make_raw();
        termios::tcsetattr(&self.fd, OptionalActions::Now, &raw)?;
        *before = Some(Before { tty: Arc::clone(&self.fd), modes });
        drop(before);
        self.write(ENTER, wait)
    }

    /// Writes all of it, in one go where the terminal takes it.
    pub fn write(&self, bytes: &[u8], wait: &mut dyn Wait) -> io::Result<()> {
        write(&self.fd, bytes, wait)
    }

    /// What is there; nothing there is an error of the kind `WouldBlock`, the end of the terminal any other or 0.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }

    /// Forgets what was typed and not read yet.
    pub fn forget_input(&self) {
        if self.foreground() {
            let _ = termios::tcflush(&self.fd, QueueSelector::IFlush);
        }
    }

    /// Whether we may use it, or are in the background of a shell.
    pub fn foreground(&self) -> bool {
        foreground(&self.fd)
    }
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A terminal that is not our controlling one knows no background. In a PID namespace the kernel names groups and
/// sessions from outside by 0, ours (if it came from there) and the terminal's alike; rustix has no name for them.
fn foreground(tty: &OwnedFd) -> bool {
    unistd::tcgetpgrp(tty).is_ok_and(|group| group == unistd::getpgrp()) || !has_session(tty.as_fd())
}

/// Whether it is our controlling terminal.
fn has_session(tty: BorrowedFd<'_>) -> bool {
    nix::sys::termios::tcgetsid(tty).is_ok()
}

fn write(tty: &OwnedFd, mut bytes: &[u8], wait: &mut dyn Wait) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(tty, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let patience = Timespec::try_from(PATIENCE).ok();
                let mut fds = [PollFd::new(tty, PollFlags::OUT)];
                match poll(&mut fds, patience.as_ref()) {
                    Ok(0) | Err(Errno::INTR) if !wait.more() => return Err(io::ErrorKind::TimedOut.into()),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
