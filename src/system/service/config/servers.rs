//! What each server offers for a look at its configuration. None of it starts, stops or changes anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Broken, TIMEOUT, by_command, installed};
use crate::host::{Command, Host, Kind, Output};
use crate::system::service::Manager;

/// Servers whose configuration can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Nginx,
    Apache,
    Mariadb,
    Postgresql,
    Redis,
    Rabbitmq,
    Supervisor,
    Ssh,
    Rsyslog,
}

/// PostgreSQL's programs and clusters, by major version.
const PG_PROGRAMS: &str = "/usr/lib/postgresql";
const PG_CLUSTERS: &str = "/etc/postgresql";
/// Directory of its sockets.
const PG_SOCKETS: &str = "/var/run/postgresql";

const MARIADB: &str = "/etc/mysql";
const REDIS: &str = "/etc/redis/redis.conf";
/// Redis has no test. It reads its whole configuration before it does anything else, and ends at the first line that
/// it does not understand; a port that is none comes last. (With a line that it does not know Redis 8 would start:
/// it keeps such lines for its modules.)
const REDIS_END: &str = "end-of-test";
const RABBITMQ: &str = "/etc/rabbitmq";
const SUPERVISOR: &str = "/etc/supervisor/supervisord.conf";

/// Reads the configuration as supervisord does when it starts.
const READ_AS_SUPERVISORD: &str = "\
import sys
from supervisor.options import ServerOptions
ServerOptions().realize(['-c', sys.argv[1]])";

/// Reads the configuration as RabbitMQ does before it starts: the grammar, then names and values by the schemas of
/// the broker and its plugins.
const READ_AS_RABBITMQ: &str = "\
Say = fun(Format, Args) -> io:format(Format ++ \"~n\", Args), halt(1) end, \
logger:set_primary_config(level, none), \
lists:foreach(fun(F) -> case file:consult(F) of {ok, _} -> ok; \
  {error, {L, M, E}} when is_integer(L) -> Say(\"~ts:~b: ~ts\", [F, L, M:format_error(E)]); \
  {error, {{L, _}, M, E}} -> Say(\"~ts:~b: ~ts\", [F, L, M:format_error(E)]); \
  {error, E} -> Say(\"~ts: ~ts\", [F, file:format_error(E)]) end end, \
  [F || F <- init:get_plain_arguments(), filename:extension(F) =:= \".config\"]), \
Conf = [F || F <- init:get_plain_arguments(), filename:extension(F) =:= \".conf\"], \
Schemas = filelib:wildcard(os:getenv(\"ERL_LIBS\") ++ \"/*/priv/schema/*.schema\"), \
case code:ensure_loaded(cuttlefish_conf) of {module, _} when Conf =/= [], Schemas =/= [] -> \
  case cuttlefish_conf:files(Conf) of \
    {errorlist, [{error, {conf_syntax, {F, {L, _}}}} | _]} -> Say(\"~ts:~b: syntax error\", [F, L]); \
    {errorlist, [E | _]} -> Say(\"~ts: ~0p\", [hd(Conf), E]); \
    Read -> case catch cuttlefish_generator:map(cuttlefish_schema:files(Schemas), Read) of \
      {error, _, {errorlist, [{error, E} | _]}} -> Say(\"~ts\", [cuttlefish_error:xlate(E)]); \
      _ -> ok end end; \
  _ -> ok end, halt(0).";

/// The services of all of them.
pub(crate) const NAMES: [&str; 9] =
    ["nginx", "apache2", "mariadb", "postgresql", "redis-server", "rabbitmq-server", "supervisor", "ssh", "rsyslog"];

impl Server {
    /// Whose configuration a service takes up.
    pub fn of(manager: Manager, service: &str) -> Option<Self> {
        if manager == Manager::Supervisor {
            return Some(Self::Supervisor);
        }
        let name = service.strip_suffix(".service").unwrap_or(service);
        Some(match name.split('@').next().unwrap_or(name) {
            "nginx" => Self::Nginx,
            "apache2" => Self::Apache,
            "mariadb" | "mysql" | "mysqld" => Self::Mariadb,
            "postgresql" => Self::Postgresql,
            "redis-server" | "redis" => Self::Redis,
            "rabbitmq-server" => Self::Rabbitmq,
            "supervisor" => Self::Supervisor,
            "ssh" | "sshd" => Self::Ssh,
            "rsyslog" => Self::Rsyslog,
            _ => return None,
        })
    }

    /// What is wrong with its configuration. Not seen are RabbitMQ's settings where its parser is packed away
    /// (Debian 11) and names that Redis 8 does not know.
    pub fn broken(self, host: &dyn Host, service: &str) -> Option<Broken> {
        match self {
            Self::Nginx => plain(host, &["nginx", "-t", "-q"]),
            Self::Apache => plain(host, &["apache2ctl", "configtest"]),
            Self::Ssh => ssh(host),
            Self::Rsyslog => plain(host, &["rsyslogd", "-N1"]),
            Self::Mariadb => mariadb(host),
            Self::Postgresql => postgresql(host, service),
            Self::Redis => redis(host),
            Self::Rabbitmq => rabbitmq(host),
            Self::Supervisor => supervisor(host),
        }
    }
}

fn there(host: &dyn Host, path: &Path) -> bool {
    matches!(host.stat(path), Ok(Some(_)))
}

fn plain(host: &dyn Host, argv: &[&str]) -> Option<Broken> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    if !installed(host, &argv[0]) {
        return None;
    }
    by_command(host, &argv, None)
}

/// What a command came to, when it could be carried out at all.
fn tried(host: &dyn Host, command: &Command) -> Option<Output> {
    let output = host.run(command).ok()?;
    (!matches!(output.status, 124 | 126 | 127)).then_some(output)
}

/// Without a server's run-time directory its test fails for that reason alone.
fn ssh(host: &dyn Host) -> Option<Broken> {
    plain(host, &["sshd", "-t"]).filter(|broken| !broken.lines.iter().any(|line| line.contains("/run/sshd")))
}

fn mariadb(host: &dyn Host) -> Option<Broken> {
    let program = ["/usr/sbin/mariadbd", "/usr/sbin/mysqld"].into_iter().find(|path| there(host, Path::new(path)))?;
    let argv = [program, "--verbose", "--help"];
    // The help goes to stdout, and is long.
    let output = tried(host, &Command::new(argv).timeout(TIMEOUT))?;
    let errors = Output { stdout: Vec::new(), ..output };
    // An option file with a syntax error is only a warning, although the server does not start with it.
    let malformed = String::from_utf8_lossy(&errors.stderr).contains("in config file");
    if errors.ok() && !malformed {
        return None;
    }
    let mut broken = Broken::new(&format!("{program} --verbose --help > /dev/null"), &errors);
    if broken.place.is_none() {
        broken.place = quoted(&broken.words).into_iter().find_map(|option| find_option(host, &option));
    }
    Some(broken)
}

/// The text between single quotes in a message: `unknown variable 'nosuch=3'`.
fn quoted(words: &str) -> Vec<String> {
    let parts = words.split('\'').skip(1).step_by(2);
    parts.map(|part| part.trim_start_matches('-').split('=').next().unwrap_or(part).trim().to_owned()).collect()
}

/// The file and line that set an option of `MariaDB`. Hyphens and underscores are the same to it.
fn find_option(host: &dyn Host, option: &str) -> Option<String> {
    let same = |name: &str| name.trim().trim_start_matches("loose-").replace('-', "_") == option.replace('-', "_");
    let mut files: Vec<PathBuf> = below(host, Path::new(MARIADB), "cnf", 3);
    // The last one counts.
    files.reverse();
    files.iter().find_map(|file| line_of(host, file, &|line| same(line.split(['=', '#']).next().unwrap_or(line))))
}

/// The last line of a file for which `is` holds, as `file:line`.
fn line_of(host: &dyn Host, file: &Path, is: &dyn Fn(&str) -> bool) -> Option<String> {
    let text = host.read(file).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let at = text.lines().enumerate().filter(|(_, line)| is(line)).map(|(at, _)| at + 1).last()?;
    Some(format!("{}:{at}", file.display()))
}

/// Files with an extension, in order, some directories deep.
fn below(host: &dyn Host, dir: &Path, extension: &str, deep: usize) -> Vec<PathBuf> {
    let mut names = host.list(dir).unwrap_or_default();
    names.sort();
    let mut files = Vec::new();
    for name in names {
        let path = dir.join(name);
        match host.stat(&path) {
            Ok(Some(stat)) if stat.kind == Kind::Dir && deep > 0 => {
                files.extend(below(host, &path, extension, deep - 1));
            }
            Ok(Some(stat)) if stat.kind == Kind::File && path.extension().is_some_and(|e| e == extension) => {
                files.push(path);
            }
            _ => {}
        }
    }
    files
}

/// Every cluster that the service starts: `postgresql` all of those that start by themselves, `postgresql@15-main`
/// that one.
fn postgresql(host: &dyn Host, service: &str) -> Option<Broken> {
    let one = service.strip_suffix(".service").unwrap_or(service).split_once('@').map(|(_, cluster)| cluster);
    let entries = |dir: &Path| -> Vec<String> {
        let mut names: Vec<String> =
            host.list(dir).unwrap_or_default().iter().map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    entries(Path::new(PG_CLUSTERS)).into_iter().find_map(|version| {
        let dir = Path::new(PG_CLUSTERS).join(&version);
        entries(&dir).into_iter().find_map(|cluster| {
            let wanted = match one {
                Some(one) => one == format!("{version}-{cluster}"),
                None => starts_by_itself(host, &dir.join(&cluster)),
            };
            if wanted { pg_cluster(host, &version, &dir.join(&cluster)) } else { None }
        })
    })
}

fn starts_by_itself(host: &dyn Host, cluster: &Path) -> bool {
    let text = host.read(&cluster.join("start.conf")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).is_none_or(|how| how == "auto")
}

fn pg_cluster(host: &dyn Host, version: &str, dir: &Path) -> Option<Broken> {
    let programs = Path::new(PG_PROGRAMS).join(version).join("bin");
    let postgres = programs.join("postgres").display().to_string();
    let owner = host.stat(&dir.join("postgresql.conf")).ok().flatten()?.meta;
    if !there(host, Path::new(&postgres)) {
        return None;
    }
    // As its owner: what that one cannot read is broken, and nothing of his runs as root.
    let as_owner = |argv: &[&str]| {
        let ids = [format!("--reuid={}", owner.uid), format!("--regid={}", owner.gid), "--clear-groups".to_owned()];
        let wrapped = std::iter::once("setpriv".to_owned()).chain(ids);
        Command::new(wrapped.chain(argv.iter().map(|word| (*word).to_owned()))).timeout(TIMEOUT)
    };
    let config = dir.display().to_string();
    let shown = |name: &str| tried(host, &as_owner(&[&postgres, "-C", name, "-D", &config]));
    let port = shown("port")?;
    if !port.ok() {
        let mut broken = Broken::new(&format!("{postgres} -C port -D {config}"), &port);
        let parameter =
            broken.words.split('"').nth(1).filter(|_| broken.words.contains("parameter")).map(str::to_owned);
        if let (Some(parameter), Some(file)) = (parameter, broken.place.clone().filter(|place| !place.contains(':'))) {
            let is =
                |line: &str| line.split(['=', ' ', '\t']).find(|word| !word.is_empty()) == Some(parameter.as_str());
            broken.place = line_of(host, Path::new(&file), &is).or(Some(file));
        }
        return Some(broken);
    }
    let psql = programs.join("psql").display().to_string();
    let rules = "select line_number || ': ' || error from pg_catalog.pg_hba_file_rules where error is not null \
        order by line_number limit 1";
    // Who may log in is read by the server alone. One that does not run, or does not let us in, says nothing.
    let ask = as_owner(&[&psql, "-XAtqw", "-h", PG_SOCKETS, "-p", &port.text(), "-d", "postgres", "-c", rules])
        .env("PGOPTIONS", "-c search_path= -c statement_timeout=5000")
        .env("PGCONNECT_TIMEOUT", "5");
    let said = tried(host, &ask).filter(Output::ok)?.text();
    let (line, error) = said.split_once(": ")?;
    let file = shown("hba_file").filter(Output::ok)?.text();
    let words = error.to_owned();
    let by = format!("psql -c 'SELECT * FROM pg_hba_file_rules WHERE error IS NOT NULL' (in {})", dir.display());
    Some(Broken { by, place: Some(format!("{file}:{line}")), lines: vec![words.clone()], words })
}

fn redis(host: &dyn Host) -> Option<Broken> {
    if !there(host, Path::new(REDIS)) || !installed(host, "redis-server") {
        return None;
    }
    let command =
        Command::new(["redis-server", REDIS, "--port", REDIS_END]).user("redis").timeout(Duration::from_secs(10));
    let output = tried(host, &command)?;
    let text = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).join("\n");
    let (_, told) = text.split_once("FATAL CONFIG FILE ERROR")?;
    let mut lines = told.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    let number = lines.next()?.rsplit(' ').next()?.to_owned();
    let line = lines.next()?.strip_prefix(">>> ")?.trim_matches('\'').to_owned();
    if line.contains(REDIS_END) {
        return None;
    }
    let words = format!("{line}: {}", lines.next().unwrap_or("not understood"));
    // It does not say in which of its files; the line does.
    let included = below(host, Path::new("/etc/redis"), "conf", 3);
    let is_there = |file: &PathBuf| {
        let text = String::from_utf8_lossy(&host.read(file).unwrap_or_default()).into_owned();
        let nth = number.parse::<usize>().ok().and_then(|number| text.lines().nth(number.saturating_sub(1)));
        nth.is_some_and(|nth| nth.trim() == line)
    };
    let file = included.into_iter().find(is_there).unwrap_or_else(|| PathBuf::from(REDIS));
    let by = format!("redis-server {REDIS} --port none");
    Some(Broken { by, place: Some(format!("{}:{number}", file.display())), lines: vec![words.clone()], words })
}

fn rabbitmq(host: &dyn Host) -> Option<Broken> {
    let dir = Path::new(RABBITMQ);
    let mut files: Vec<PathBuf> =
        ["rabbitmq.conf", "advanced.config", "rabbitmq.config"].iter().map(|name| dir.join(name)).collect();
    files.extend(below(host, &dir.join("conf.d"), "conf", 0));
    files.retain(|file| there(host, file));
    let libraries = Path::new("/usr/lib/rabbitmq/lib");
    let server = host.list(libraries).unwrap_or_default().into_iter().next_back()?;
    if files.is_empty() || !installed(host, "erl") {
        return None;
    }
    let argv = ["erl", "-noinput", "-boot", "start_clean", "-eval", READ_AS_RABBITMQ, "-extra"];
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let command = Command::new(argv.iter().map(|word| (*word).to_owned()).chain(files.iter().cloned()))
        .env("ERL_LIBS", libraries.join(server).join("plugins").display().to_string())
        .env("HOME", "/nonexistent")
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .user("rabbitmq")
        .timeout(TIMEOUT);
    let output = tried(host, &command)?;
    let said = output.text();
    // Anything but a sentence of the script above is trouble of the test's own.
    if output.status != 1 || said.is_empty() {
        return None;
    }
    let by = "rabbitmq-server, when it starts".to_owned();
    let mut broken = Broken { by, ..Broken::new("", &Output { stderr: Vec::new(), ..output }) };
    if broken.place.is_none() {
        let words: Vec<String> = broken.words.split(' ').map(str::to_owned).collect();
        let named = |line: &str| {
            let key = line.split('=').next().unwrap_or_default().trim();
            !key.is_empty() && words.iter().any(|word| word.trim_matches(['"', '.', ',']) == key)
        };
        broken.place = files.iter().rev().find_map(|file| line_of(host, Path::new(file), &named));
    }
    Some(broken)
}

fn supervisor(host: &dyn Host) -> Option<Broken> {
    if !there(host, Path::new(SUPERVISOR)) || !installed(host, "supervisord") {
        return None;
    }
    let argv = ["/usr/bin/python3", "-I", "-c", READ_AS_SUPERVISORD, SUPERVISOR];
    let output = tried(host, &Command::new(argv).timeout(TIMEOUT))?;
    // Status 2 is about the configuration; with anything else the test itself failed.
    if output.status != 2 {
        return None;
    }
    Some(Broken::new("supervisorctl reread", &output))
}
