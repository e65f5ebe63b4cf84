//! Which simulated program a command is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::faults::{self, Fate};
use super::{
    Cut, FakeHost, World, accounts, configs, databases, engines, given_stdin, nft, packages, services, sockets, tools,
};
use crate::host::real::command::{Account, environment};
use crate::host::{Command, Output};

/// A running program: what it sees and what it writes.
pub(super) struct Program<'a> {
    pub(super) world: &'a mut World,
    /// As it was called.
    pub(super) argv0: String,
    /// Its base name.
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) stdin: String,
    pub(super) cwd: PathBuf,
    /// Who runs it.
    pub(super) user: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) out: String,
    pub(super) err: String,
    /// It is killed in the middle.
    pub(super) is_cut: bool,
}

impl Program<'_> {
    /// Writes a line to stdout.
    pub(super) fn say(&mut self, line: impl AsRef<str>) {
        self.out.push_str(line.as_ref());
        self.out.push('\n');
    }

    /// Writes a line to stderr and gives back the exit status.
    pub(super) fn fail(&mut self, status: i32, line: impl AsRef<str>) -> i32 {
        self.err.push_str(line.as_ref());
        self.err.push('\n');
        status
    }

    /// The arguments that are no options, without the values of the options named in `with_value`.
    pub(super) fn operands(&self, with_value: &[&str]) -> Vec<String> {
        let mut operands = Vec::new();
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            if with_value.contains(&arg.as_str()) {
                args.next();
            } else if !arg.starts_with('-') || arg == "-" {
                operands.push(arg.clone());
            }
        }
        operands
    }

    /// Whether one of these options is given; single letters also count in a cluster (`-rf`).
    pub(super) fn has(&self, options: &[&str]) -> bool {
        self.args.iter().any(|arg| {
            options.iter().any(|option| {
                let letter = option.strip_prefix('-').filter(|letter| letter.len() == 1);
                // Not `-oName=value`: that is an option with its value.
                let letters = arg.strip_prefix('-').unwrap_or_default();
                let is_cluster = letters.len() <= 5 && letters.chars().all(char::is_alphanumeric);
                arg == option || letter.is_some_and(|letter| is_cluster && letters.contains(letter))
            })
        })
    }

    /// The values of an option: `-m 755`, `--mode=755`, `--mode 755`.
    pub(super) fn values(&self, options: &[&str]) -> Vec<String> {
        let mut values = Vec::new();
        for (index, arg) in self.args.iter().enumerate() {
            if options.contains(&arg.as_str()) {
                values.extend(self.args.get(index + 1).cloned());
            } else if let Some((name, value)) = arg.split_once('=')
                && options.contains(&name)
            {
                values.push(value.to_owned());
            }
        }
        values
    }

    pub(super) fn value(&self, options: &[&str]) -> Option<String> {
        self.values(options).into_iter().next()
    }

    /// Whether its children, as those of dpkg, do not reach systemd.
    pub(super) fn is_offline(&self) -> bool {
        self.world.services.has_systemd && self.env.get("SYSTEMD_OFFLINE").is_some_and(|value| value == "1")
    }

    /// A path as the program sees it.
    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }
}

impl FakeHost {
    pub(super) fn simulate(&self, command: &Command) -> io::Result<Output> {
        self.let_in();
        let fate = {
            let mut world = self.world();
            world.tick();
            let changes = !only_looks(&command.argv);
            world.record("run", command.argv.join(" "), changes, Some(command.clone()));
            world.faults.alive()?;
            world.can_start(command)?;
            if changes { world.faults.next_change() } else { Fate::Happens }
        };
        let output = match fate {
            Fate::Fails => super::output(1, "", "made to fail by the test\n"),
            Fate::Killed(Cut::Before) => return Err(faults::killed()),
            Fate::Killed(cut) => {
                self.carry_out(command, cut == Cut::Halfway);
                return Err(faults::killed());
            }
            Fate::Happens => self.carry_out(command, false),
        };
        if let Some(log) = &command.log {
            let mut world = self.world();
            let now = world.now();
            world.files.append(log, &[output.stdout.as_slice(), &output.stderr].concat(), now)?;
        }
        Ok(output)
    }

    fn carry_out(&self, command: &Command, is_cut: bool) -> Output {
        let handler = {
            let world = self.world();
            let matching = world.handlers.iter().rev().find(|(prefix, _)| begins_with(&command.argv, prefix));
            matching.map(|(_, handler)| handler.clone())
        };
        match handler {
            // Its half is not known: it has not happened.
            Some(_) if is_cut => super::output(1, "", ""),
            Some(handler) => handler(self, command),
            None => run(&mut self.world(), command, is_cut),
        }
    }

    /// Commands that were neither simulated nor described by a test: they succeeded and did nothing.
    pub fn unknown_commands(&self) -> Vec<String> {
        let handled = |command: &Command| {
            let world = self.world();
            world.handlers.iter().any(|(prefix, _)| begins_with(&command.argv, prefix))
        };
        let is_known = |command: &Command| program(inner(&command.argv)).is_some() || handled(command);
        self.commands().iter().filter(|command| !is_known(command)).map(|command| command.argv.join(" ")).collect()
    }
}

impl World {
    fn can_start(&self, command: &Command) -> io::Result<()> {
        let not_found = |what: String| io::Error::new(io::ErrorKind::NotFound, what);
        let Some(first) = command.argv.first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if self.missing_programs.contains(base_name(first)) {
            return Err(not_found(format!("there is no program {first}")));
        }
        if let Some(user) = &command.user {
            Account::find_in(&self.files.text("/etc/passwd"), user)?;
        }
        self.files.carefully(|files| files.list(&command.cwd).map(drop))
    }
}

fn run(world: &mut World, command: &Command, is_cut: bool) -> Output {
    let argv = inner(&command.argv);
    let Some(main) = program(argv) else {
        return super::output(0, "", "");
    };
    let account = command.user.as_ref().and_then(|user| Account::find_in(&world.files.text("/etc/passwd"), user).ok());
    let env = environment(command, account.as_ref(), world.euid == 0, |name| world.env.get(name).cloned());
    let mut program = Program {
        world,
        argv0: argv[0].clone(),
        name: base_name(&argv[0]).to_owned(),
        args: argv[1..].to_vec(),
        stdin: given_stdin(command),
        cwd: command.cwd.clone(),
        user: command.user.clone().unwrap_or_else(|| "root".to_owned()),
        env,
        timeout: command.timeout,
        out: String::new(),
        err: String::new(),
        is_cut,
    };
    if argv[0].starts_with("/etc/init.d/") {
        program.args.insert(0, program.name.clone());
    }
    let status = main(&mut program);
    super::output(status, &program.out, &program.err)
}

type Main = fn(&mut Program<'_>) -> i32;

fn program(argv: &[String]) -> Option<Main> {
    let first = argv.first()?;
    if first.starts_with("/etc/init.d/") {
        return Some(services::service);
    }
    let main: Main = match base_name(first) {
        "apt-get" | "apt" => packages::apt_get,
        "apt-cache" => packages::apt_cache,
        "apt-mark" => packages::apt_mark,
        "dpkg" => packages::dpkg,
        "dpkg-query" => packages::dpkg_query,
        "systemctl" => services::systemctl,
        "service" | "invoke-rc.d" => services::service,
        "update-rc.d" => services::update_rc_d,
        "supervisorctl" => services::supervisorctl,
        "ss" => sockets::ss,
        "nft" => nft::nft,
        "useradd" | "adduser" => accounts::useradd,
        "groupadd" | "addgroup" => accounts::groupadd,
        "userdel" | "deluser" => accounts::userdel,
        "groupdel" | "delgroup" => accounts::groupdel,
        "usermod" => accounts::usermod,
        "gpasswd" => accounts::gpasswd,
        "getent" => accounts::getent,
        "id" => accounts::id,
        "psql" | "mariadb" | "mysql" => engines::client,
        "pg_dump" | "mariadb-dump" | "mysqldump" => databases::dump,
        "createdb" | "dropdb" | "createuser" | "dropuser" => databases::short_form,
        "bash" => engines::bash,
        "rabbitmqctl" => engines::rabbitmqctl,
        "nginx" | "apache2ctl" | "postgres" | "mariadbd" | "redis-server" | "erl" => configs::test,
        "install" => tools::install,
        "mkdir" => tools::mkdir,
        "cp" => tools::cp,
        "mv" => tools::mv,
        "rm" | "rmdir" => tools::rm,
        "ln" => tools::ln,
        "chmod" => tools::chmod,
        "chown" | "chgrp" => tools::chown,
        "touch" => tools::touch,
        "cat" => tools::cat,
        "printenv" => tools::printenv,
        "sleep" => tools::sleep,
        "test" | "[" => tools::test,
        // Fires a timer, for tests.
        "true" | "sync" | ":" | "systemd-run" => |_| 0,
        "false" => |_| 1,
        "tar" => tools::tar,
        "git" => tools::git,
        "python3" => tools::python,
        "pip" | "pip3" => tools::pip,
        _ => return None,
    };
    Some(main)
}

/// Whether a command begins so, with its wrappers or without them.
fn begins_with(argv: &[String], prefix: &[String]) -> bool {
    argv.starts_with(prefix) || inner(argv).starts_with(prefix)
}

/// The command that wrappers like `env A=1 nice -n 5 …` start in the end.
fn inner(argv: &[String]) -> &[String] {
    let Some(first) = argv.first() else {
        return argv;
    };
    let is_wrapper =
        matches!(base_name(first), "env" | "nice" | "ionice" | "eatmydata" | "setpriv" | "setsid" | "nohup");
    let rest = match base_name(first) {
        "runuser" | "sudo" if argv.len() > 3 => &argv[3..],
        "timeout" if argv.len() > 2 => &argv[2..],
        // `sh -c 'exec "$@" >>"$0" 2>&1' LOG …`, which only redirects output.
        "sh" if argv.len() > 4 && argv[2].starts_with("exec \"$@\"") => &argv[4..],
        _ if is_wrapper => &argv[1..],
        _ => return argv,
    };
    let skipped = rest.iter().take_while(|arg| arg.starts_with('-') || arg.contains('=') || arg.parse::<i32>().is_ok());
    let rest = &rest[skipped.count()..];
    if rest.is_empty() { argv } else { inner(rest) }
}

fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Commands that change nothing, so that no fault and no kill need be tried at them.
fn only_looks(argv: &[String]) -> bool {
    let argv = inner(argv);
    let Some(first) = argv.first() else {
        return true;
    };
    let has = |words: &[&str]| argv.iter().skip(1).any(|arg| words.contains(&arg.as_str()));
    match base_name(first) {
        "redis-server" | "erl" | "dpkg-query" | "apt-cache" | "apt-config" | "getent" | "id" | "ss" | "cat"
        | "test" | "[" | "true" | "false" | "printenv" | "sleep" | "uname" | "pg_dump" | "mariadb-dump"
        | "mysqldump" | "sha256sum" | "stat" | "readlink" => true,
        "apt-get" | "apt" => has(&["-s", "--simulate", "--dry-run", "--print-uris", "indextargets"]),
        "apt-mark" => has(&["showauto", "showmanual", "showhold"]),
        "dpkg" => has(&[
            "-s",
            "-l",
            "-L",
            "-S",
            "--get-selections",
            "--audit",
            "-C",
            "--print-architecture",
            "--compare-versions",
        ]),
        "timedatectl" => has(&["show", "status"]),
        "nginx" | "sshd" => has(&["-t", "-T"]),
        "apache2ctl" => has(&["configtest", "-t"]),
        "postgres" => has(&["-C"]),
        "mariadbd" => has(&["--help"]),
        "rsyslogd" => has(&["-N1"]),
        "python3" => has(&["-I"]),
        "systemctl" => {
            has(&["show", "is-active", "is-enabled", "is-failed", "status", "list-units", "list-unit-files", "cat"])
        }
        "service" | "supervisorctl" => has(&["status"]),
        "nft" => has(&["list", "-c"]),
        "rabbitmqctl" => has(&["list_users", "list_vhosts", "list_permissions", "status", "ping", "await_startup"]),
        "git" => has(&["rev-parse", "ls-remote", "status", "describe"]),
        _ => false,
    }
}
