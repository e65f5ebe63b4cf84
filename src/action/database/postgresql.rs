//! PostgreSQL, as its superuser over the local socket.

use std::path::{Path, PathBuf};

use crate::action::database::{Before, Wanted};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};
use crate::proof::wire::{Channel, Login, TIMEOUT, WireError, postgresql::Session};

const SUPERUSER: &str = "postgres";
/// Where Debian's servers put their sockets.
const SOCKETS: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;
/// Programs of each major version lie in `<major>/bin`. `/usr/bin/psql` is a Perl script that chooses one of
/// them, and takes five times as long as the program itself.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Whether the database and the role are as wanted. An engine that is not there is not.
pub fn is_so(host: &dyn Host, wanted: &Wanted) -> bool {
    let state = match &wanted.password {
        // Logging in proves the password, and everything else can be read by anyone who is in.
        Some(password) => state_as_role(host, wanted, password),
        None => state(host, &wanted.name, &wanted.role, wanted.owner()).ok(),
    };
    state.is_some_and(|state| {
        let rights = wanted.createdb.is_none_or(|createdb| createdb == state.createdb);
        state.role && state.obstacle(wanted).is_none() && rights && state.database && !state.public
    }) && (wanted.owner.is_empty() || may_make_tables(host, wanted))
}

/// What there is now.
pub fn before(host: &dyn Host, wanted: &Wanted) -> Outcome<Before> {
    let state = state(host, &wanted.name, &wanted.role, wanted.owner())?;
    let mut restore = Vec::new();
    if state.role && wanted.password.is_some() {
        let sql = format!(
            "SELECT format('ALTER ROLE %I PASSWORD %L', rolname, rolpassword) FROM pg_authid WHERE rolname = {}",
            literal(&wanted.role)
        );
        restore.push(ask(host, "read the role's password hash", &sql)?);
    }
    if state.role && wanted.createdb.is_some_and(|createdb| createdb != state.createdb) {
        restore.push(format!("ALTER ROLE {} {}", quoted(&wanted.role), right(state.createdb)));
    }
    if state.database && state.public {
        restore.push(format!("GRANT CONNECT ON DATABASE {} TO PUBLIC", quoted(&wanted.name)));
    }
    Ok(Before { database: state.database, role: state.role, restore })
}

/// Makes the role and the database, or completes them.
pub fn make(host: &dyn Host, wanted: &Wanted) -> Outcome<()> {
    let what = format!("make the PostgreSQL database {} and its role {}", wanted.name, wanted.role);
    let state = state(host, &wanted.name, &wanted.role, wanted.owner())?;
    if let Some(why) = state.obstacle(wanted) {
        return Err(Failure::new(what, why).hint("choose another name, or mend it by hand"));
    }
    run(host, &what, &statements(wanted, &state))?;
    if wanted.owner.is_empty() {
        return Ok(());
    }
    let sql = format!("GRANT CREATE, USAGE ON SCHEMA public TO {}", quoted(&wanted.role));
    ask_in(host, &wanted.name, &what, &sql).map(drop)
}

/// Whether a role that does not own the database may make tables in it, which only a look into it tells.
fn may_make_tables(host: &dyn Host, wanted: &Wanted) -> bool {
    let sql = format!("SELECT has_schema_privilege({}, 'public', 'CREATE')", literal(&wanted.role));
    ask_in(host, &wanted.name, "see what the role may do", &sql).is_ok_and(|answer| answer == "t")
}

fn statements(wanted: &Wanted, state: &State) -> Vec<String> {
    let (role, name, owner) = (quoted(&wanted.role), quoted(&wanted.name), quoted(wanted.owner()));
    // The hash is made here: the password itself never reaches the server, its log or its statistics.
    let password = wanted.password.as_ref().map_or_else(String::new, |password| {
        let hash = postgres_protocol::password::scram_sha_256(password.as_bytes());
        format!(" PASSWORD {}", literal(&hash))
    });
    let mut statements = Vec::new();
    let createdb = right(wanted.createdb.unwrap_or(false));
    if state.role {
        if !password.is_empty() {
            statements.push(format!("ALTER ROLE {role}{password}"));
        }
        if wanted.createdb.is_some_and(|wished| wished != state.createdb) {
            statements.push(format!("ALTER ROLE {role} {createdb}"));
        }
    } else {
        statements.push(format!("CREATE ROLE {role} LOGIN NOSUPERUSER {createdb} NOCREATEROLE{password}"));
    }
    if !state.database {
        // template0, because template1 may have the encoding of a cluster that was made in the C locale. Sorted
        // by bytes, since the order of a language's locale changes with the system's C library.
        statements.push(format!(
            "CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
        ));
    }
    statements.push(format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    if !wanted.owner.is_empty() {
        statements.push(format!("GRANT CONNECT ON DATABASE {name} TO {role}"));
    }
    statements
}

/// Whether a role may make databases, as an option of a role.
const fn right(createdb: bool) -> &'static str {
    if createdb { "CREATEDB" } else { "NOCREATEDB" }
}

/// Whether the database and the role are there.
pub fn exist(host: &dyn Host, name: &str, role: &str) -> Outcome<(bool, bool)> {
    state(host, name, role, role).map(|state| (state.database, state.role))
}

/// Drops a database, whoever is connected to it.
pub fn drop_database(host: &dyn Host, name: &str) -> Outcome<()> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    run(host, &format!("drop the PostgreSQL database {name}"), &[sql])
}

/// Drops a role.
pub fn drop_role(host: &dyn Host, role: &str) -> Outcome<()> {
    let sql = format!("DROP ROLE IF EXISTS {}", quoted(role));
    run(host, &format!("drop the PostgreSQL role {role}"), &[sql])
        .map_err(|f| f.hint("see what it owns elsewhere with: psql -c 'SELECT * FROM pg_shdepend'"))
}

/// Runs statements as the superuser.
pub fn run(host: &dyn Host, what: &str, statements: &[String]) -> Outcome<()> {
    ask(host, what, &statements.join(";\n")).map(drop)
}

/// The program `name` of the newest version that is installed.
pub fn program(host: &dyn Host, name: &str) -> Outcome<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = host
        .list(Path::new(PROGRAMS))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| {
            let version = entry.file_name()?.to_str()?.parse().ok()?;
            Some((version, Path::new(PROGRAMS).join(entry).join("bin").join(name)))
        })
        .filter(|(_, path)| matches!(host.stat(path), Ok(Some(_))))
        .collect();
    versions.sort();
    versions.pop().map(|(_, path)| path).ok_or_else(|| {
        Failure::new(format!("find {name}"), "PostgreSQL is not installed").hint("apt-get install postgresql")
    })
}

/// The port of the local server, as its socket's name tells; 5432 when there are several.
pub fn port(host: &dyn Host) -> u16 {
    let ports: Vec<u16> = host
        .list(Path::new(SOCKETS))
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| entry.file_name()?.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok())
        .collect();
    match ports[..] {
        [only] => only,
        _ => DEFAULT_PORT,
    }
}

/// `psql` on the database `name` as the operating system's user `user`, for a script on its stdin. Its output
/// is bare values, `|` between columns.
pub fn psql(host: &dyn Host, user: &str, name: &str) -> Outcome<Command> {
    let program = program(host, "psql")?.display().to_string();
    let port = port(host).to_string();
    let options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse", "-p", &port, "-d", name];
    Ok(Command::new([program.as_str()].into_iter().chain(options)).user(user))
}

/// The databases that somebody made, sorted.
pub fn databases(host: &dyn Host) -> Outcome<Vec<String>> {
    let sql = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1";
    Ok(ask(host, "list the PostgreSQL databases", sql)?.lines().map(str::to_owned).collect())
}

fn ask(host: &dyn Host, what: &str, sql: &str) -> Outcome<String> {
    ask_in(host, SUPERUSER, what, sql)
}

/// As [`ask`], in the database `name`.
fn ask_in(host: &dyn Host, name: &str, what: &str, sql: &str) -> Outcome<String> {
    let command = psql(host, SUPERUSER, name)?.stdin(format!("{sql};\n"));
    let output = host.run(&command).map_err(|e| Failure::new(what, e))?;
    if output.ok() {
        return Ok(output.text());
    }
    let tail = output.tail(10);
    let why = tail.last().cloned().unwrap_or_else(|| format!("psql ended with status {}", output.status));
    let failure = Failure::new(what, why.replace("psql:<stdin>:", "line "));
    // 2: the connection could not be made.
    Err(if output.status == 2 { failure.hint("systemctl start postgresql") } else { failure }.tail(tail))
}

/// What the catalogue says.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the columns of one answer")]
struct State {
    role: bool,
    login: bool,
    privileged: bool,
    database: bool,
    owned: bool,
    /// Whether anyone may connect to the database.
    public: bool,
    encoding: String,
    /// Whether the role may make databases.
    createdb: bool,
}

impl State {
    fn query(name: &str, role: &str, owner: &str) -> String {
        let (name, role, owner) = (literal(name), literal(role), literal(owner));
        format!(
            "SELECT r.rolname IS NOT NULL, coalesce(r.rolcanlogin, false), \
             coalesce(r.rolsuper OR r.rolcreaterole OR r.rolbypassrls OR r.rolreplication, false), \
             d.datname IS NOT NULL, coalesce(pg_get_userbyid(d.datdba) = {owner}, false), \
             coalesce(has_database_privilege('public', d.oid, 'CONNECT'), false), \
             coalesce(pg_encoding_to_char(d.encoding), ''), coalesce(r.rolcreatedb, false) \
             FROM (SELECT 1) one LEFT JOIN pg_roles r ON r.rolname = {role} \
             LEFT JOIN pg_database d ON d.datname = {name}"
        )
    }

    fn from_values<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let flag = |value: Option<&str>| match value? {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        };
        Some(Self {
            role: flag(values.next())?,
            login: flag(values.next())?,
            privileged: flag(values.next())?,
            database: flag(values.next())?,
            owned: flag(values.next())?,
            public: flag(values.next())?,
            encoding: values.next()?.to_owned(),
            createdb: flag(values.next())?,
        })
    }

    /// Why what is there cannot be used. Nothing that exists is bent to our needs, since it is somebody else's.
    fn obstacle(&self, wanted: &Wanted) -> Option<String> {
        let (name, role) = (&wanted.name, &wanted.role);
        if self.role && (self.privileged || (self.createdb && wanted.createdb.is_none())) {
            return Some(format!(
                "the role {role} exists and may do more than an application should (superuser, CREATEDB, CREATEROLE ...)"
            ));
        }
        if self.role && !self.login {
            return Some(format!("the role {role} exists and may not log in"));
        }
        if self.database && !self.owned {
            return Some(format!("the database {name} exists and belongs to another role"));
        }
        if self.database && self.encoding != "UTF8" {
            return Some(format!("the database {name} exists and is encoded in {}, not in UTF8", self.encoding));
        }
        None
    }
}

fn state(host: &dyn Host, name: &str, role: &str, owner: &str) -> Outcome<State> {
    let what = "ask PostgreSQL what it holds";
    let answer = ask(host, what, &State::query(name, role, owner))?;
    State::from_values(answer.split('|'))
        .ok_or_else(|| Failure::new(what, format!("its answer is not understood: {answer:?}")))
}

fn state_as_role(host: &dyn Host, wanted: &Wanted, password: &str) -> Option<State> {
    let address = crate::host::Address::Tcp(([127, 0, 0, 1], port(host)).into());
    let stream = host.connect(&address, TIMEOUT).ok()?;
    let login = Login { user: &wanted.role, password, database: &wanted.name };
    let read = || -> Result<_, WireError> {
        let mut session = Session::open(stream, Channel::Local, "localhost", &login)?;
        session.query(&State::query(&wanted.name, &wanted.role, wanted.owner()))
    };
    let rows = read().ok()?;
    State::from_values(rows.first()?.iter().map(|value| value.as_deref().unwrap_or_default()))
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
