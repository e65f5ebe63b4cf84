//! The terminal in full-screen mode. Nothing else writes to it or reads from it while a [`Terminal`] is open.
//!
//! It is a door of its own, like [`crate::ui::stdio`]: a screen over a slow line, that may go away at any moment,
//! and has to be given back as it was, however the program ends. Little is written (see `paint`), nothing blocks,
//! and nothing spins when the line is gone.

use std::io;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::layout::{Position, Size};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::host::Host;
use crate::ui::style::Look;
use crate::ui::tty_caps;

mod attr;
mod background;
mod grid;
mod keys;
mod paint;
mod pen;
mod scroll;
mod signals;
mod tty;

pub use background::{Background, luminance};
pub use signals::{Signal, Waker};
pub use tty::restore;

use grid::Grid;
#[cfg(test)]
pub(super) use grid::Grid as TestGrid;
use keys::Parser;
#[cfg(test)]
pub(super) use paint::Painter as TestPainter;
use paint::Painter;
use signals::{Signals, Watch};
use tty::{Tty, Wait};

/// After this many inputs without a frame, one is drawn.
const BURST: u32 = 4096;

/// How long the answer to a question may be on its way: a satellite's line takes 0.6 s.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the first frame waits for it: too short to be noticed.
const AT_ONCE: Duration = Duration::from_millis(50);

/// What [`Terminal::next`] waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key. Ctrl-C is one like any other; Ctrl-Z is not, it suspends.
    Key(KeyEvent),
    /// Text that was pasted, with line feeds between lines and otherwise as it came.
    Paste(String),
    /// The size has changed to columns and rows.
    Resize(u16, u16),
    /// The terminal has reported its background, see [`Terminal::ask_background`].
    Background(Background),
    /// A [`Waker`] called.
    Woken,
    /// Nothing came in time.
    Timeout,
    /// The program was suspended and continues (or could not be suspended): draw.
    Continued,
    /// The program has to end. It is said again at every call.
    End(Signal),
}

/// Whether this terminal can show more than lines: it is one, knows its size and understands sequences.
pub fn suits(host: &dyn Host) -> bool {
    tty_caps::moves(host) && Tty::open().is_ok_and(|tty| tty.size().is_some())
}

/// The screen and the keyboard; one at a time. Gives the terminal back when dropped; [`restore`] does the same
/// for a panic hook.
#[derive(Debug)]
pub struct Terminal {
    tty: Tty,
    signals: &'static Signals,
    frames: ratatui::Terminal<Recorder>,
    look: Look,
    painter: Painter,
    parser: Parser,
    /// When an incomplete sequence is processed as it is.
    torn: Option<Instant>,
    entered: bool,
    gone: bool,
    /// The size has changed and was not reported yet.
    resized: bool,
    /// Inputs since the last frame.
    burst: u32,
    /// Until when an answer may come.
    unanswered: Option<Instant>,
}

impl Terminal {
    /// Takes the screen. Fails where [`suits`] says no, and leaves the terminal alone then.
    pub fn open(look: Look) -> io::Result<Self> {
        let tty = Tty::open()?;
        let Some((width, height)) = tty.size() else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the terminal does not know its size"));
        };
        let signals = Signals::of_process()?;
        let recorder = Recorder { size: Size::new(width, height), cursor: None };
        let frames = ratatui::Terminal::new(recorder).unwrap_or_else(|never| match never {});
        let mut terminal = Self {
            tty,
            signals,
            frames,
            look,
            painter: Painter::new(),
            parser: Parser::default(),
            torn: None,
            entered: false,
            gone: false,
            resized: false,
            burst: 0,
            unanswered: None,
        };
        signals.watch(Watch::Terminal);
        terminal.take_screen()?;
        Ok(terminal)
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let size = self.frames.backend().size;
        (size.width, size.height)
    }

    /// Asks for the background. What is answered at once is returned, what is answered later is an input. Nothing is
    /// asked over a serial line, or on a console of the kernel.
    pub fn ask_background(&mut self) -> io::Result<Option<Background>> {
        if !Tty::is_pseudo() || self.gone {
            return Ok(None);
        }
        self.parser.asked = true;
        self.write(background::QUESTION)?;
        self.unanswered = now().checked_add(ANSWER);
        let deadline = now() + AT_ONCE;
        while self.unanswered.is_some() && !self.gone && !self.signals.any() && now() < deadline {
            self.wait(Some(deadline.saturating_duration_since(now())))?;
        }
        Ok(self.parser.background.take())
    }

    /// A pending answer would be typed into the next program on the terminal, so we wait for it.
    fn hear_out(&mut self) {
        while let Some(until) = self.unanswered.take_if(|until| *until > now() && self.entered && !self.gone) {
            self.unanswered = Some(until);
            let left = Timespec::try_from(until.saturating_duration_since(now())).ok();
            let mut fds = [PollFd::new(&self.tty, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => break,
                Err(error) if error != Errno::INTR => break,
                _ => {}
            }
            // Gone, where there is nothing to read all the same.
            if !fds[0].revents().is_empty() && !self.read() {
                break;
            }
        }
        self.unanswered = None;
    }

    /// Shows a frame: one write, and none when nothing differs. The cursor is visible when the frame sets one. A closed
    /// terminal is no error: [`Input::End`] reports it.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.burst = 0;
        if !self.entered || self.gone {
            return Ok(());
        }
        let mut wanted = None;
        let drawn = self.frames.draw(|frame| {
            render(frame);
            wanted = Some(Grid::of(frame.buffer_mut(), self.look));
        });
        drawn.unwrap_or_else(|never| match never {});
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let bytes = self.painter.paint(wanted, self.frames.backend().cursor);
        self.write(&bytes)
    }

    /// Waits for the next input, at most for `timeout`. What was read before comes first, but for the end.
    pub fn next(&mut self, timeout: Option<Duration>) -> io::Result<Input> {
        let deadline = timeout.and_then(|timeout| now().checked_add(timeout));
        self.burst = self.burst.saturating_add(1);
        loop {
            if let Some(input) = self.take()? {
                return Ok(input);
            }
            let due = [deadline, self.torn].into_iter().flatten().min();
            let left = due.map(|due| due.saturating_duration_since(now()));
            self.wait(left)?;
            if self.torn.is_some_and(|torn| torn <= now()) {
                self.parser.give_up();
                self.torn = None;
            } else if deadline.is_some_and(|deadline| deadline <= now()) && !self.parser.ready() && !self.signals.any()
            {
                return Ok(if self.gone { Input::End(Signal::HangUp) } else { Input::Timeout });
            }
        }
    }

    /// Whether [`Terminal::next`] would return at once: a burst is worked off before it is worth a frame.
    pub fn pending(&mut self) -> bool {
        if self.burst >= BURST {
            return false;
        }
        if !self.ready() {
            // What cannot be waited for now cannot be waited for in `next` either, which says so.
            let _ = self.wait(Some(Duration::ZERO));
        }
        self.ready()
    }

    /// Whether there is an input that needs no waiting.
    fn ready(&self) -> bool {
        self.parser.ready() || self.signals.any() || self.resized || self.gone
    }

    /// Wakes [`Terminal::next`] from another thread.
    pub fn waker(&self) -> Waker {
        self.signals.waker()
    }

    /// Gives the terminal to a child, such as a shell, with its former modes. Nothing is drawn until
    /// [`Terminal::enter`]. Ctrl-C is the child's meanwhile, Ctrl-Z stops us with it; other signals to end are recorded
    /// and reported afterwards.
    pub fn leave(&mut self) {
        self.give_back();
        self.signals.watch(Watch::Child);
    }

    /// Takes the terminal over again. The next frame is painted completely; what was typed before is discarded.
    pub fn enter(&mut self) -> io::Result<()> {
        self.signals.watch(Watch::Terminal);
        self.parser = Parser::default();
        self.torn = None;
        self.tty.forget_input();
        self.take_screen()?;
        self.measure();
        Ok(())
    }

    /// The next input that needs no waiting.
    fn take(&mut self) -> io::Result<Option<Input>> {
        if let Some(signal) = self.signals.end() {
            return Ok(Some(Input::End(signal)));
        }
        if self.gone {
            return Ok(Some(Input::End(Signal::HangUp)));
        }
        if self.signals.take_suspended() {
            return self.suspend(false).map(Some);
        }
        if self.signals.take_continued() {
            // We were stopped without a chance to leave the terminal. It may be in any state.
            self.take_screen()?;
            self.measure();
            return Ok(Some(Input::Continued));
        }
        if let Some(background) = self.parser.background.take() {
            return Ok(Some(Input::Background(background)));
        }
        if let Some(input) = self.parser.pop() {
            let suspend = Input::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL));
            if input == suspend {
                return self.suspend(true).map(Some);
            }
            return Ok(Some(input));
        }
        if self.signals.take_resized() {
            self.measure();
        }
        if std::mem::take(&mut self.resized) {
            let (width, height) = self.size();
            return Ok(Some(Input::Resize(width, height)));
        }
        Ok(self.signals.take_woken().then_some(Input::Woken))
    }

    /// Suspends us, alone or with our process `group`, without the screen.
    fn suspend(&mut self, group: bool) -> io::Result<Input> {
        self.give_back();
        let mut stopped = self.signals.suspend(group);
        // Continued in the background: there is no screen there.
        while stopped && self.signals.end().is_none() && !self.tty.foreground() {
            stopped = self.signals.suspend(false);
        }
        if let Some(signal) = self.signals.end() {
            return Ok(Input::End(signal));
        }
        self.enter()?;
        Ok(Input::Continued)
    }

    /// Waits until something comes, at most for `left`, and reads it.
    fn wait(&mut self, left: Option<Duration>) -> io::Result<()> {
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let [pipe, suspend] = self.signals.descriptors();
        let mut fds = [
            PollFd::new(&self.tty, PollFlags::IN),
            PollFd::from_borrowed_fd(pipe, PollFlags::IN),
            PollFd::from_borrowed_fd(suspend, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let (input, signalled) = (fds[0].revents(), fds[1..].iter().any(|fd| !fd.revents().is_empty()));
        if signalled {
            self.signals.drain();
        }
        if !input.is_empty() {
            let nothing = !self.read();
            // A terminal that is readable but has no data is closed; we would poll forever.
            self.gone |= nothing && input.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        }
        Ok(())
    }

    /// Reads what is there, a bufferful; whether there was anything. An end of file or an error is the end of the
    /// terminal.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.tty.read(&mut buffer) {
            Ok(0) => self.gone = true,
            Ok(read) => {
                self.parser.feed(&buffer[..read]);
                if self.parser.answered {
                    self.unanswered = None;
                }
                self.torn = self.parser.patience().and_then(|patience| now().checked_add(patience));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => self.gone = true,
        }
        true
    }

    fn give_back(&mut self) {
        self.hear_out();
        restore();
        self.entered = false;
    }

    fn take_screen(&mut self) -> io::Result<()> {
        self.painter = Painter::new();
        match self.tty.enter(&mut UntilEnd(self.signals)) {
            Ok(()) => {
                self.entered = true;
                Ok(())
            }
            Err(error) => self.lost(error),
        }
    }

    /// Asks for the size; a change is reported by the next input, whichever program had the terminal then. A terminal
    /// that no longer knows its size keeps the old one.
    fn measure(&mut self) {
        let backend = self.frames.backend_mut();
        if let Some((width, height)) = self.tty.size() {
            let size = Size::new(width, height);
            self.resized |= size != backend.size;
            backend.size = size;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.tty.write(bytes, &mut UntilEnd(self.signals));
        written.or_else(|error| {
            self.painter = Painter::new();
            self.lost(error)
        })
    }

    /// The error of a closed terminal, or of a write that was abandoned because we have to end, is reported by the next
    /// input.
    fn lost(&mut self, error: io::Error) -> io::Result<()> {
        if error.kind() == io::ErrorKind::TimedOut {
            return Ok(());
        }
        let gone = error.raw_os_error() == Some(Errno::IO.raw_os_error());
        self.gone |= gone;
        if gone { Ok(()) } else { Err(error) }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
        self.signals.watch(Watch::Nobody);
    }
}

/// A frame may take as long as the line needs, unless we have to end.
struct UntilEnd(&'static Signals);

impl Wait for UntilEnd {
    fn more(&mut self) -> bool {
        self.0.end().is_none()
    }
}

/// The clock of timeouts, which cannot be set.
fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the terminal waits by itself, on no host")]
    Instant::now()
}

/// What ratatui wants of a terminal: its size. The frames are painted by [`Painter`].
#[derive(Debug)]
struct Recorder {
    size: Size,
    cursor: Option<Position>,
}

impl Backend for Recorder {
    type Error = std::convert::Infallible;

    fn draw<'a, I>(&mut self, _: I) -> Result<(), Self::Error>
    where
        I: Iterator<Item = (u16, u16, &'a ratatui::buffer::Cell)>,
    {
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Self::Error> {
        self.cursor = None;
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Self::Error> {
        Ok(self.cursor.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Self::Error> {
        self.cursor = Some(position.into());
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Self::Error> {
        Ok(())
    }

    fn size(&self) -> Result<Size, Self::Error> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Self::Error> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::default() })
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
