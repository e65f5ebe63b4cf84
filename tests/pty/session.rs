//! A program in a real pseudo-terminal, with a terminal (the crate vt100) on the other side: what it writes is
//! read and counted, keys, sizes, signals and hang-ups are sent.
//!
//! A shell holds the terminal, as in life: it is the leader of the session and outlives the program, so that what
//! the program leaves behind can be seen. (When a leader ends, the kernel resets the terminal.)

#![allow(dead_code, reason = "tests and benchmarks use a part each")]

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// How long anything is waited for before the test fails, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long nothing is written when a program has said all.
const QUIET: Duration = Duration::from_millis(60);

pub const UP: &str = "\x1b[A";
pub const DOWN: &str = "\x1b[B";
pub const RIGHT: &str = "\x1b[C";
pub const LEFT: &str = "\x1b[D";
pub const ENTER: &str = "\r";
pub const TAB: &str = "\t";
pub const ESC: &str = "\x1b";
pub const CTRL_C: &str = "\x03";
pub const CTRL_Z: &str = "\x1a";

/// The state of a terminal that a program has to give back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// All of termios.
    pub termios: String,
    pub alternate_screen: bool,
    pub cursor_hidden: bool,
    pub bracketed_paste: bool,
    /// Colours and attributes of what is written next.
    pub attributes: String,
}

/// How a terminal is before anybody has touched it, under the same shell.
pub fn untouched() -> Modes {
    let mut session = Session::start("/bin/true".as_ref(), &[], &[], (80, 24));
    session.exit_status();
    session.modes()
}

/// What the terminal answers by itself.
#[derive(Clone, Default)]
pub struct Answers {
    /// What it says of its background, such as `rgb:ffff/ffff/ffff`; nothing where it does not know the question.
    background: Option<&'static str>,
    /// How long an answer is on its way.
    delay: Duration,
    /// How often it was asked for its background.
    asked: usize,
    /// Answers, with the time at which they arrive.
    due: Vec<(Instant, Vec<u8>)>,
}

impl Answers {
    /// Of a terminal with this background, whose answers take so long.
    pub fn on(background: Option<&'static str>, delay: Duration) -> Self {
        Self { background, delay, ..Self::default() }
    }

    fn say(&mut self, answer: &[u8]) {
        self.due.push((Instant::now() + self.delay, answer.to_vec()));
    }

    /// What arrives now.
    fn take(&mut self) -> Vec<u8> {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = later;
        due.into_iter().flat_map(|(_, answer)| answer).collect()
    }
}

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        first: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        end: char,
    ) {
        let parameter = parameters.first().and_then(|parameter| parameter.first()).copied().unwrap_or(0);
        match (first, parameter, end) {
            (None, 5, 'n') => self.say(b"\x1b[0n"),
            (None, 6, 'n') => {
                let (row, column) = screen.cursor_position();
                self.say(format!("\x1b[{};{}R", row + 1, column + 1).as_bytes());
            }
            (None, 0, 'c') => self.say(b"\x1b[?62;22c"),
            (Some(b'>'), 0, 'c') => self.say(b"\x1b[>0;0;0c"),
            _ => {}
        }
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, parameters: &[&[u8]]) {
        if parameters == [&b"11"[..], b"?"] {
            self.asked += 1;
            if let Some(background) = self.background {
                self.say(format!("\x1b]11;{background}\x1b\\").as_bytes());
            }
        }
    }
}

pub struct Session {
    /// `None` after a hang-up.
    master: Option<OwnedFd>,
    shell: Child,
    program: Pid,
    terminal: vt100::Parser<Answers>,
    /// Everything that was written.
    written: Vec<u8>,
    /// How much of it was counted.
    counted: usize,
    /// When the last of it came.
    written_at: Instant,
    /// Whether what the program writes is read, or piles up.
    reading: bool,
    patience: Duration,
}

impl Session {
    /// Starts `program` on a terminal of `size` (columns, rows), with only `env` and the usual few in its
    /// environment.
    pub fn start(program: &Path, args: &[&str], env: &[(&str, &str)], size: (u16, u16)) -> Self {
        Self::answering(program, args, env, size, Answers::default())
    }

    /// The same on a terminal that answers so.
    pub fn answering(program: &Path, args: &[&str], env: &[(&str, &str)], size: (u16, u16), answers: Answers) -> Self {
        // The exit status is said on the screen; the terminal stays open until it has been looked at.
        let script = r#""$@"; printf '\r\n[exit %s]\r\n' $?; exec cat"#;
        let program = program.to_str().unwrap();
        let mut argv = vec!["-c", script, "sh", program];
        argv.extend_from_slice(args);
        let mut session = Self::spawn("sh", &argv, env, size, answers);
        session.find_program();
        session
    }

    /// How often the program asked for the background.
    pub fn asked(&self) -> usize {
        self.terminal.callbacks().asked
    }

    /// Starts a shell with job control at its prompt, `$ `; commands are typed with [`Session::keys`]. The
    /// program of this session is what is typed first.
    pub fn interactive(env: &[(&str, &str)], size: (u16, u16)) -> Self {
        let env: Vec<_> = [("PS1", "$ ")].iter().chain(env).copied().collect();
        let mut session =
            Self::spawn("bash", &["--norc", "--noprofile", "--noediting", "-i"], &env, size, Answers::default());
        session.wait_for("$ ");
        session
    }

    fn spawn(
        command: &str,
        args: &[&str],
        env: &[(&str, &str)],
        (columns, rows): (u16, u16),
        answers: Answers,
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, winsize(columns, rows)).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let shell = Command::new("setsid")
            .args(["-c", command])
            .args(args)
            .env_clear()
            .envs([
                ("TERM", "xterm-256color"),
                ("LANG", "C.UTF-8"),
                ("HOME", "/"),
                ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ])
            .envs(env.iter().copied())
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("setsid comes with util-linux");
        let program = Pid::from_child(&shell);
        let (shown_columns, shown_rows) = if columns == 0 || rows == 0 { (80, 24) } else { (columns, rows) };
        let terminal = vt100::Parser::new_with_callbacks(shown_rows, shown_columns, 0, answers);
        Self {
            master: Some(master),
            shell,
            program,
            terminal,
            written: Vec::new(),
            counted: 0,
            written_at: Instant::now(),
            reading: true,
            patience: PATIENCE,
        }
    }

    /// How long anything is waited for from now on.
    pub fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The first child of the shell is the program; it may not have been started yet.
    pub fn find_program(&mut self) {
        let shell = Pid::from_child(&self.shell);
        let path = format!("/proc/{shell}/task/{shell}/children", shell = shell.as_raw_nonzero());
        self.wait_until("the program to start", |session| {
            let children = std::fs::read_to_string(&path).unwrap_or_default();
            let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
            // Between its birth and its exec it is a copy of the shell.
            let started =
                first.filter(|pid| name(*pid).is_some_and(|name| name != self::name(shell).unwrap_or_default()));
            session.program = started.unwrap_or(session.program);
            // It may have come and gone.
            started.is_some() || session.screen().contains("[exit ")
        });
    }

    /// Types. The arrows are sent as the program has asked for them.
    #[track_caller]
    pub fn keys(&mut self, keys: &str) {
        self.pump(Duration::ZERO);
        if self.terminal.screen().application_cursor() {
            let mut keys = keys.to_owned();
            for arrow in [UP, DOWN, RIGHT, LEFT] {
                keys = keys.replace(arrow, &arrow.replace('[', "O"));
            }
            return self.bytes(keys.as_bytes());
        }
        self.bytes(keys.as_bytes());
    }

    /// Sends bytes that need not be text.
    #[track_caller]
    pub fn bytes(&mut self, mut bytes: &[u8]) {
        let deadline = Instant::now() + self.patience;
        while !bytes.is_empty() {
            match rustix::io::write(self.master.as_ref().expect("a terminal that was not hung up"), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => _ = self.pump(Duration::from_millis(1)),
                Err(error) => panic!("{error} while typing\n{}", self.describe()),
            }
            assert!(Instant::now() < deadline, "nobody reads what is typed\n{}", self.describe());
        }
    }

    /// Pastes, as a terminal does that marks pastes where it was asked to.
    pub fn paste(&mut self, text: &str) {
        self.pump(Duration::ZERO);
        let text = text.replace('\n', "\r");
        if self.terminal.screen().bracketed_paste() {
            self.keys(&format!("\x1b[200~{text}\x1b[201~"));
        } else {
            self.keys(&text);
        }
    }

    /// Waits until `text` is on the screen.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_until(&format!("{text:?}"), |session| session.screen().contains(text));
    }

    /// Waits until `done`; `what` says for what.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + self.patience;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.describe());
            self.pump(Duration::from_millis(10));
        }
    }

    /// Waits until nothing more is written.
    pub fn settle(&mut self) {
        while self.pump(QUIET) {}
    }

    /// Reads what is written within `time`; whether there was anything. After the first of it, it does not wait.
    fn pump(&mut self, time: Duration) -> bool {
        self.answer();
        let Some(master) = self.master.as_ref().filter(|_| self.reading) else {
            std::thread::sleep(time);
            return false;
        };
        let timeout = Timespec::try_from(time).unwrap();
        let mut fds = [PollFd::new(master, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).unwrap_or(0) == 0 {
            return false;
        }
        let mut buffer = vec![0; 65536];
        let read = rustix::io::read(master, &mut buffer).unwrap_or_else(|_| {
            // All ends on the other side are closed.
            std::thread::sleep(time);
            0
        });
        if read > 0 {
            self.written_at = Instant::now();
        }
        self.written.extend_from_slice(&buffer[..read]);
        self.terminal.process(&buffer[..read]);
        self.answer();
        read > 0
    }

    fn answer(&mut self) {
        if self.master.is_none() {
            return;
        }
        let answers = self.terminal.callbacks_mut().take();
        if !answers.is_empty() {
            self.bytes(&answers);
        }
    }

    /// What the screen shows, without blanks at the ends of the lines.
    pub fn screen(&self) -> String {
        self.terminal.screen().contents()
    }

    /// The cell at a column and a row: its sign, and whether it is bold.
    pub fn cell(&self, column: u16, row: u16) -> Option<&vt100::Cell> {
        self.terminal.screen().cell(row, column)
    }

    /// Row and column of the cursor.
    pub fn cursor(&self) -> (u16, u16) {
        self.terminal.screen().cursor_position()
    }

    /// How many bytes were written since the last call, once nothing more comes.
    pub fn bytes_since(&mut self) -> usize {
        self.settle();
        self.bytes_already()
    }

    /// How many bytes of those that were written since the last call have been read.
    pub fn bytes_already(&mut self) -> usize {
        let bytes = self.written.len() - self.counted;
        self.counted = self.written.len();
        bytes
    }

    /// When the last byte that was read had come.
    pub fn written_at(&self) -> Instant {
        self.written_at
    }

    /// Whether the terminal shows what is typed (until a program decides otherwise).
    pub fn echo(&self, echo: bool) {
        let master = self.master.as_ref().unwrap();
        let mut modes = tcgetattr(master).unwrap();
        modes.local_modes.set(LocalModes::ECHO, echo);
        tcsetattr(master, OptionalActions::Now, &modes).unwrap();
    }

    /// The bytes themselves that [`Session::bytes_since`] has counted last, of which there were `count`.
    pub fn last(&self, count: usize) -> String {
        String::from_utf8_lossy(&self.written[self.counted - count..self.counted]).into_owned()
    }

    /// Another size; the program is told by SIGWINCH.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.screen_mut().set_size(rows, columns);
        tcsetwinsize(self.master.as_ref().unwrap(), winsize(columns, rows)).unwrap();
    }

    /// Whether what the program writes is read. Else the line takes nothing any more once its buffers are full.
    pub fn read(&mut self, reading: bool) {
        self.reading = reading;
    }

    /// The line goes away.
    pub fn hang_up(&mut self) {
        self.master = None;
    }

    /// Sends a signal to the program alone, unless it has just ended.
    pub fn signal(&self, signal: Signal) {
        match kill_process(self.program, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => panic!("{error} while sending {signal:?}"),
        }
    }

    /// The modes of the terminal, as far as the program has set them up to now.
    pub fn modes(&mut self) -> Modes {
        self.settle();
        let screen = self.terminal.screen();
        Modes {
            termios: format!("{:?}", tcgetattr(self.master.as_ref().unwrap()).unwrap()),
            alternate_screen: screen.alternate_screen(),
            cursor_hidden: screen.hide_cursor(),
            bracketed_paste: screen.bracketed_paste(),
            attributes: String::from_utf8_lossy(&screen.attributes_formatted()).into_owned(),
        }
    }

    /// The exit status of the program, once it ends (as a shell gives it: 128 + signal).
    #[track_caller]
    pub fn exit_status(&mut self) -> i32 {
        self.wait_for("[exit ");
        self.settle();
        let screen = self.screen();
        let (_, status) = screen.rsplit_once("[exit ").unwrap();
        status.split(']').next().unwrap().parse().unwrap()
    }

    /// Whether the program is there, and neither a zombie nor somebody else.
    pub fn alive(&self) -> bool {
        stat(self.program).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
    }

    /// Waits until the program is gone.
    #[track_caller]
    pub fn wait_until_gone(&mut self) {
        self.wait_until("the program to end", |session| !session.alive());
    }

    /// The state of the program, see proc(5): `S` sleeps, `R` runs, `T` is stopped.
    pub fn state(&self) -> String {
        stat(self.program).map_or_else(String::new, |fields| fields[0].clone())
    }

    /// CPU time that the program has used, in clock ticks (of 10 ms); a zombie has it still.
    pub fn ticks(&self) -> Option<u64> {
        let fields = stat(self.program)?;
        Some(fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
    }

    /// For a test that has failed: the screen in a frame, and the last bytes.
    fn describe(&self) -> String {
        let (_, columns) = self.terminal.screen().size();
        let mut text = format!("+{}+\n", "-".repeat(usize::from(columns)));
        for row in self.terminal.screen().rows(0, columns) {
            let _ = writeln!(text, "|{row}");
        }
        let tail = &self.written[self.written.len().saturating_sub(300)..];
        let _ = write!(
            text,
            "written last: {:?}\nprogram {:?}: {}",
            String::from_utf8_lossy(tail),
            self.program,
            self.state()
        );
        text
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.master = None;
        // A hang-up ends what behaves; this ends the rest.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        if self.program != Pid::from_child(&self.shell) && self.alive() {
            let _ = kill_process(self.program, Signal::KILL);
        }
    }
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The fields of /proc/PID/stat from the state on, see proc(5).
fn stat(pid: Pid) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// What a process was started as.
fn name(pid: Pid) -> Option<String> {
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    Some(command).filter(|command| !command.is_empty())
}
