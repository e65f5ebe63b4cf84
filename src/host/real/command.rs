//! Runs a command until it ends, whatever its children do.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::host::{Command, Output, Stdin, Stream, outside};

/// Where programs are looked for: root's path on Debian.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a group may take to end after SIGTERM, before SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(5);

/// After the child has ended, its pipes are closed unless a daemon that it started holds them. Then what is
/// already there is taken until nothing came for this long: long enough for a reader that a busy machine does not
/// let run, since output that is lost leads to wrong decisions...
const QUIET: Duration = Duration::from_secs(1);
/// ...or until this has passed, for a daemon that keeps writing.
const DRAIN_AT_MOST: Duration = Duration::from_secs(3);

/// Runs `command`; see [`crate::host::Host::run_with`].
pub(super) fn run(command: &Command, line: &mut dyn FnMut(Stream, &str)) -> io::Result<Output> {
    let program = command.argv.first().ok_or_else(|| invalid("the command is empty".to_owned()))?;
    if !is_program(program, &command.cwd) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no program {program}")));
    }
    let account = command.user.as_deref().map(Account::find).transpose()?;
    let mut log = command.log.as_deref().map(super::open_for_append).transpose()?;

    let child = Child::start(command, account.as_ref())?;
    let mut taken = Taken::default();
    let mut logged = 0;
    let status = child.follow(command.timeout, &mut |stream, bytes| {
        if let Some(log) = log.as_mut().filter(|_| logged < LOGGED) {
            // A full disk must not make the command's own result disappear.
            let _ = log.write_all(bytes);
            logged += bytes.len();
        }
        taken.add(stream, bytes, line);
    })?;
    Ok(taken.finish(status, line))
}

/// Runs `command` on our own terminal; see [`crate::host::Host::hand_over`].
pub(super) fn hand_over(command: &Command) -> io::Result<i32> {
    let (program, arguments) = command.argv.split_first().ok_or_else(|| invalid("the command is empty".to_owned()))?;
    let variables = command.env.iter().map(|(name, value)| (name, value));
    let status = std::process::Command::new(program).args(arguments).envs(variables).status()?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// A child that is its own process group, with threads that read its output and wait for its end.
struct Child {
    group: Option<Pid>,
    events: Receiver<Event>,
}

enum Event {
    Bytes(Stream, Vec<u8>),
    Closed,
    Exited(io::Result<ExitStatus>),
}

impl Child {
    fn start(command: &Command, account: Option<&Account>) -> io::Result<Self> {
        let argv = wrapped(command, account);
        // By descriptor, so that no link that another user can change is followed. The child changes its directory
        // before it closes its copy of ours.
        let cwd = super::path::directory(&command.cwd)?;
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let mut expression = duct::cmd(&argv[0], &argv[1..])
            .full_env(environment(command, account, is_root(), |name| std::env::var(name).ok()))
            .dir(super::path::in_proc(&cwd))
            .stdout_file(stdout_end)
            .stderr_file(stderr_end)
            .before_spawn(|child| {
                // A group of its own: the terminal's Ctrl-C does not reach it, and a time-out reaches all of it.
                child.process_group(0);
                Ok(())
            })
            .unchecked();
        let mut input = None;
        expression = match &command.stdin {
            Stdin::Null => expression.stdin_null(),
            Stdin::Bytes(bytes) => {
                let (end, stdin) = io::pipe()?;
                input = Some((stdin, bytes.clone()));
                expression.stdin_file(end)
            }
        };
        let handle = Arc::new(expression.start()?);
        // It holds our copies of the child's ends of the pipes, which must close for the output to end.
        drop(expression);

        // Not duct's own stdin and capture threads: waiting for those waits for every daemon that inherits them.
        if let Some((mut stdin, bytes)) = input {
            thread::spawn(move || {
                // A child may end, or close its stdin, without reading everything.
                let _ = stdin.write_all(&bytes);
            });
        }
        let group = handle.pids().first().and_then(|pid| Pid::from_raw(i32::try_from(*pid).unwrap_or(0)));
        let (sender, events) = mpsc::sync_channel(64);
        read_aside(stdout, Stream::Stdout, sender.clone());
        read_aside(stderr, Stream::Stderr, sender.clone());
        thread::spawn(move || {
            let _ = sender.send(Event::Exited(handle.wait().map(|output| output.status)));
        });
        Ok(Self { group, events })
    }

    /// Hands out its output until it has ended; kills its group when it takes too long.
    fn follow(self, timeout: Duration, take: &mut dyn FnMut(Stream, &[u8])) -> io::Result<i32> {
        let mut deadline = Instant::now().checked_add(timeout);
        let mut signals = [Signal::TERM, Signal::KILL].into_iter();
        let mut killed_since = None;
        let mut open_streams = 2;
        let mut exited: Option<(ExitStatus, Instant)> = None;
        while exited.is_none() || open_streams > 0 {
            let patience = match (&exited, deadline) {
                (Some((_, at)), _) if at.elapsed() >= DRAIN_AT_MOST => break,
                (Some(_), _) => QUIET,
                (None, Some(moment)) if moment <= Instant::now() => {
                    // After SIGKILL only a child stuck in the kernel is still there: there is no more to do.
                    let Some(signal) = signals.next() else { break };
                    self.signal(signal);
                    killed_since = killed_since.or(Some(Instant::now()));
                    deadline = Some(Instant::now() + TERM_GRACE);
                    TERM_GRACE
                }
                (None, Some(moment)) => moment.saturating_duration_since(Instant::now()),
                (None, None) => Duration::MAX,
            };
            match self.events.recv_timeout(patience) {
                Ok(Event::Bytes(stream, bytes)) => take(stream, &bytes),
                Ok(Event::Closed) => open_streams -= 1,
                Ok(Event::Exited(status)) => exited = Some((status?, Instant::now())),
                Err(RecvTimeoutError::Timeout) if exited.is_some() => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(since) = killed_since {
            self.kill_the_rest(since);
            return Ok(124);
        }
        Ok(exited.map_or(124, |(status, _)| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }

    /// The leader may have ended at SIGTERM while others of its group have not.
    fn kill_the_rest(&self, since: Instant) {
        let is_there = || self.group.is_some_and(|group| test_kill_process_group(group).is_ok());
        while is_there() && since.elapsed() < TERM_GRACE {
            thread::sleep(Duration::from_millis(20));
        }
        if is_there() {
            self.signal(Signal::KILL);
        }
    }
}

/// Reads a stream on a thread. When the receiver of the events has stopped, a daemon may still hold the stream: its
/// output is discarded then, so that it neither blocks nor gets SIGPIPE while we live.
fn read_aside(mut from: io::PipeReader, stream: Stream, events: SyncSender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    let _ = events.send(Event::Bytes(stream, buffer[..count].to_vec()));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = events.send(Event::Closed);
    });
}

/// What was read, and the unfinished last line of each stream.
#[derive(Default)]
pub(in crate::host) struct Taken {
    whole: BTreeMap<bool, Kept>,
    partial: BTreeMap<bool, Vec<u8>>,
}

/// The beginning and the end of what a stream said: a program may talk without end.
#[derive(Default)]
struct Kept {
    start: Vec<u8>,
    end: VecDeque<u8>,
    dropped: usize,
}

/// So much of the beginning and of the end of each stream is kept.
const KEPT: usize = 4 << 20;
/// A longer line is reported in pieces.
const LONGEST_LINE: usize = 64 << 10;
/// Limit of a command's output in its log, in bytes.
const LOGGED: usize = 64 << 20;

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(KEPT - self.start.len()));
        self.start.extend_from_slice(first);
        self.end.extend(rest);
        let over = self.end.len().saturating_sub(KEPT);
        self.end.drain(..over);
        self.dropped += over;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!("\n[{} bytes left out]\n", self.dropped);
            self.start.extend_from_slice(note.as_bytes());
        }
        let (one, other) = self.end.as_slices();
        self.start.extend_from_slice(one);
        self.start.extend_from_slice(other);
        self.start
    }
}

impl Taken {
    pub(in crate::host) fn add(&mut self, stream: Stream, bytes: &[u8], line: &mut dyn FnMut(Stream, &str)) {
        let key = stream == Stream::Stderr;
        self.whole.entry(key).or_default().add(bytes);
        let partial = self.partial.entry(key).or_default();
        for &byte in bytes {
            match byte {
                // Progress bars end their states with a carriage return: each state is a line.
                b'\n' | b'\r' => {
                    if byte == b'\n' || !partial.is_empty() {
                        line(stream, &String::from_utf8_lossy(partial));
                    }
                    partial.clear();
                }
                _ => {
                    partial.push(byte);
                    if partial.len() == LONGEST_LINE {
                        line(stream, &String::from_utf8_lossy(partial));
                        partial.clear();
                    }
                }
            }
        }
    }

    pub(in crate::host) fn finish(mut self, status: i32, line: &mut dyn FnMut(Stream, &str)) -> Output {
        for (key, partial) in &self.partial {
            if !partial.is_empty() {
                line(if *key { Stream::Stderr } else { Stream::Stdout }, &String::from_utf8_lossy(partial));
            }
        }
        let mut take = |key| self.whole.remove(&key).unwrap_or_default().finish();
        Output { status, stdout: take(false), stderr: take(true) }
    }
}

/// An account of the system's own database.
pub(in crate::host) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

impl Account {
    const fn is_root(&self) -> bool {
        self.uid == 0
    }

    fn find(name: &str) -> io::Result<Self> {
        Self::find_in(&fs::read_to_string("/etc/passwd")?, name)
    }

    /// The account of this name in the text of `/etc/passwd`.
    pub(in crate::host) fn find_in(passwd: &str, name: &str) -> io::Result<Self> {
        let mut lines = passwd.lines();
        lines
            .find_map(|line| Self::parse(line).filter(|account| account.name == name))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name} in /etc/passwd")))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        Some(Self {
            name: fields.next()?.to_owned(),
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
            home: fields.nth(1)?.to_owned(),
        })
    }
}

/// The command behind what changes the user and the mask for it.
///
/// setpriv, not runuser or su: it only changes ids and groups. The others open a PAM session, which logs,
/// applies limits of interactive users, may start a user manager, and changes the environment.
fn wrapped(command: &Command, account: Option<&Account>) -> Vec<String> {
    let mut argv = Vec::new();
    if let Some(account) = account.filter(|account| account.uid != rustix::process::geteuid().as_raw()) {
        argv.extend(["setpriv".to_owned(), format!("--reuid={}", account.uid), format!("--regid={}", account.gid)]);
        argv.extend(["--init-groups".to_owned(), "--".to_owned()]);
    }
    if let Some(umask) = command.umask {
        argv.extend(["sh".to_owned(), "-c".to_owned(), format!("umask {umask:04o}; exec \"$@\""), "sh".to_owned()]);
    }
    argv.extend(command.argv.iter().cloned());
    argv
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A small clean environment, from `ours`.
///
/// `C.UTF-8` and not `C`: messages and sorting are the same, but a `PostgreSQL` cluster that a package creates
/// in the C locale is `SQL_ASCII`, and Python would read files as ASCII. glibc has it built in since Debian 11.
pub(in crate::host) fn environment(
    command: &Command,
    account: Option<&Account>,
    is_root: bool,
    ours: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut env = to_reach_outside(command, account, &ours);
    let own_home = || ours("HOME").filter(|_| !is_root).unwrap_or_else(|| "/root".to_owned());
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set("PATH", PATH);
    set("HOME", &account.map_or_else(own_home, |account| account.home.clone()));
    set("LC_ALL", "C.UTF-8");
    set("LANG", "C.UTF-8");
    set("TERM", "dumb");
    if let Some(account) = account {
        set("USER", &account.name);
        set("LOGNAME", &account.name);
    }
    env.extend(command.env.iter().cloned());
    env
}

/// How to reach the outside, without passwords for any user but root and for daemons.
fn to_reach_outside(
    command: &Command,
    account: Option<&Account>,
    ours: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let whole = !command.begins_daemon && account.is_none_or(Account::is_root);
    let value = |name| ours(name).map(|value| if whole { value } else { outside::without_credentials(&value) });
    outside::VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}

fn is_program(name: &str, cwd: &Path) -> bool {
    let is_executable = |path: PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return is_executable(cwd.join(name));
    }
    PATH.split(':').any(|dir| is_executable(Path::new(dir).join(name)))
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sh(script: &str) -> Command {
        Command::new(["sh", "-c", script])
    }

    fn quietly(command: &Command) -> Output {
        run(command, &mut |_, _| {}).unwrap()
    }

    #[test]
    fn both_streams_and_the_exact_status_are_kept() {
        let output = quietly(&sh("echo out; echo err >&2; exit 7"));
        assert_eq!(output, Output { status: 7, stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() });
        assert_eq!(quietly(&sh("kill -9 $$")).status, 137);
    }

    #[test]
    fn lines_arrive_as_they_come_and_progress_bars_line_by_line() {
        let mut lines = Vec::new();
        run(&sh(r"printf 'a\n\nb\rc\r\nd'; printf 'e\n' >&2"), &mut |stream, line| {
            if stream == Stream::Stdout {
                lines.push(line.to_owned());
            }
        })
        .unwrap();
        assert_eq!(lines, ["a", "", "b", "c", "", "d"]);
    }

    #[test]
    fn of_output_without_end_the_beginning_and_the_end_are_kept() {
        let mut pieces = 0;
        let flood = sh("echo first; head -c 40000000 /dev/zero | tr '\\0' x; echo last");
        let output = run(&flood, &mut |_, line| {
            assert!(line.len() <= LONGEST_LINE);
            pieces += 1;
        });
        let output = output.unwrap();
        assert!(output.stdout.starts_with(b"first\n") && output.stdout.ends_with(b"xlast\n"));
        assert!(output.stdout.len() < 2 * KEPT + 100 && output.text().contains("bytes left out"));
        assert!(pieces > 600);
    }

    #[test]
    fn stdin_is_empty_unless_given_and_need_not_be_read() {
        assert_eq!(quietly(&Command::new(["cat"])).text(), "");
        assert_eq!(quietly(&Command::new(["cat"]).stdin("secret")).text(), "secret");
        let much = vec![b'x'; 1 << 20];
        assert_eq!(quietly(&Command::new(["wc", "-c"]).stdin(much.clone())).text(), "1048576");
        assert!(quietly(&Command::new(["true"]).stdin(much)).ok());
    }

    #[test]
    fn a_daemon_that_keeps_the_pipes_does_not_hold_us_up() {
        let output = quietly(&sh("sleep 300 & echo $!; exit 3"));
        let daemon: i32 = output.text().parse().unwrap();
        assert_eq!(output.status, 3);
        let daemon = Pid::from_raw(daemon).unwrap();
        assert!(rustix::process::test_kill_process(daemon).is_ok(), "the daemon lives on");
        rustix::process::kill_process(daemon, Signal::KILL).unwrap();
    }

    #[test]
    fn a_time_out_ends_the_whole_group_even_if_it_talks_all_the_time() {
        for script in ["sleep 301 & echo $!; sleep 302", "sleep 303 & echo $!; while :; do echo busy; done"] {
            let output = quietly(&sh(script).timeout(Duration::from_millis(200)));
            assert_eq!(output.status, 124, "{script}");
            let text = output.text();
            let child: i32 = text.lines().next().unwrap().parse().unwrap();
            // Reaped by PID 1 at its own pace: a zombie does not count as alive.
            let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            assert!(state.is_empty() || state.contains(") Z "), "{state}");
        }
    }

    #[test]
    fn the_environment_is_clean_and_the_mask_is_set() {
        let output = quietly(&Command::new(["env"]).env("GIVEN", "1"));
        let text = output.text();
        let names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(names.contains(&"GIVEN") && text.contains("LC_ALL=C.UTF-8") && text.contains("TERM=dumb"));
        assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
        let mut masked = sh("umask; echo \"$1\"");
        masked.argv.extend(["name".to_owned(), "a b".to_owned()]);
        masked.umask = Some(0o027);
        assert_eq!(quietly(&masked).text(), "0027\na b");
    }

    #[test]
    fn passwords_of_proxies_stay_with_root() {
        let ours = |name: &str| (name == "https_proxy").then(|| "http://me:hush@cache:3142".to_owned());
        let given = |command: &Command, user: Option<&str>| {
            let account = user.map(|user| Account::find(user).unwrap());
            to_reach_outside(command, account.as_ref(), ours)["https_proxy"].clone()
        };
        let tool = Command::new(["env"]);
        assert_eq!(given(&tool, None), "http://me:hush@cache:3142");
        assert_eq!(given(&tool, Some("root")), "http://me:hush@cache:3142");
        assert_eq!(given(&tool, Some("daemon")), "http://cache:3142");
        assert_eq!(given(&tool.begins_daemon(), None), "http://cache:3142");
    }

    #[test]
    fn what_cannot_be_started_is_an_error_and_not_a_status() {
        let error = |command: &Command| run(command, &mut |_, _| {}).unwrap_err();
        assert_eq!(error(&Command::new(["no-such-program"])).kind(), io::ErrorKind::NotFound);
        assert_eq!(error(&Command::new(["true"]).user("no-such-user")).kind(), io::ErrorKind::NotFound);
        assert_eq!(error(&Command::new(["true"]).cwd("/no/such/place")).kind(), io::ErrorKind::NotFound);
        assert_eq!(error(&Command::new(Vec::<String>::new())).kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn another_user_has_its_own_ids_groups_and_home() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let output = quietly(&sh("id -un; id -gn; echo $HOME $USER").user("daemon"));
        assert_eq!(output.text(), "daemon\ndaemon\n/usr/sbin daemon");
    }

    #[test]
    fn output_is_logged_to_a_private_file() {
        let log = std::env::temp_dir().join(format!("bringup-command-log-{}", std::process::id()));
        let _ = fs::remove_file(&log);
        quietly(&sh("echo out; echo err >&2").log(&log));
        let (text, mode) = (fs::read_to_string(&log).unwrap(), fs::metadata(&log).unwrap().permissions().mode());
        fs::remove_file(&log).unwrap();
        assert!(text.contains("out\n") && text.contains("err\n"));
        assert_eq!(mode & 0o777, 0o600);
    }
}
