//! PostgreSQL, as its superuser over the local socket.

use std::path::{Path, PathBuf};

use crate::action::database::{DatabaseSpec, PriorDatabase};
use crate::error::{Failure, Outcome};
use crate::facts::probe::engines;
use crate::host::{Command, Host};
use crate::system::net::wire::postgresql::Session;
use crate::system::net::wire::{Channel, Login, TIMEOUT, WireError};

mod extensions;

const SUPERUSER: &str = "postgres";
/// Socket directory of Debian's servers.
const SOCKETS: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;
/// Programs of each major version are in `<major>/bin`. `/usr/bin/psql` is a Perl script that chooses one of them, and
/// takes five times as long as the program itself.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Settings at the start of a superuser's session: the owner of a database may set these for it, and put functions of
/// their own where unqualified names are looked up. Connection options precede the database's.
const OPTIONS: &str = "-c search_path= -c role=none -c default_transaction_read_only=off -c statement_timeout=0 \
    -c lock_timeout=0 -c client_min_messages=warning";

/// A server that statements go to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Version and name of its cluster, `15/main`; empty where it is the only one.
    pub cluster: String,
    /// Its port, which is also part of its socket's name.
    pub port: u16,
    /// Directory of its socket; the program's default when empty.
    pub socket: String,
}

impl Server {
    /// The server of a cluster; of the only one when `cluster` is empty.
    pub fn find(host: &dyn Host, cluster: &str) -> Outcome<Self> {
        if cluster.is_empty() {
            return Ok(Self { cluster: String::new(), port: port(host), socket: String::new() });
        }
        let found = engines::cluster_of(host, cluster).ok_or_else(|| {
            Failure::new(format!("use PostgreSQL's cluster {cluster}"), "there is no such cluster")
                .hint("`pg_lsclusters` lists the clusters")
        })?;
        Ok(Self { cluster: found.id, port: found.port, socket: found.socket })
    }

    /// Its unit, for systemd.
    pub fn unit(&self) -> String {
        unit(&self.cluster)
    }

    /// `psql` on the database `name` as the operating system's user `user`, for a script on its stdin. Its output
    /// is bare values, `|` between columns.
    pub fn psql(&self, host: &dyn Host, user: &str, name: &str) -> Outcome<Command> {
        let program = program(host, "psql")?.display().to_string();
        let mut argv = vec![program];
        argv.extend(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"].map(str::to_owned));
        argv.extend(self.place());
        argv.extend(["-d".to_owned(), conninfo(name)]);
        Ok(Command::new(argv).user(user))
    }

    /// Options of every PostgreSQL program.
    pub fn place(&self) -> Vec<String> {
        let socket = if self.socket.is_empty() { Vec::new() } else { vec!["-h".to_owned(), self.socket.clone()] };
        socket.into_iter().chain(["-p".to_owned(), self.port.to_string()]).collect()
    }

    fn ask(&self, host: &dyn Host, what: &str, sql: &str) -> Outcome<String> {
        self.ask_in(host, SUPERUSER, what, sql)
    }

    /// As [`Server::ask`], in the database `name`.
    fn ask_in(&self, host: &dyn Host, name: &str, what: &str, sql: &str) -> Outcome<String> {
        let command = self.psql(host, SUPERUSER, name)?.env("PGOPTIONS", OPTIONS).stdin(format!("{sql};\n"));
        let output = host.run(&command).map_err(|e| Failure::new(what, e))?;
        if output.ok() {
            return Ok(output.text());
        }
        let tail = output.tail(20);
        let why = complaint(&tail).unwrap_or_else(|| format!("psql ended with status {}", output.status));
        let failure = Failure::new(what, why);
        // 2: the connection failed.
        Err(if output.status == 2 { failure.hint(format!("systemctl start {}", self.unit())) } else { failure }
            .tail(tail))
    }

    /// A list of texts, which a query returns as JSON: names may contain anything, even line breaks.
    fn texts(&self, host: &dyn Host, name: &str, what: &str, sql: &str) -> Outcome<Vec<String>> {
        let answer = self.ask_in(host, name, what, sql)?;
        if answer.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&answer).map_err(|e| Failure::new(what, format!("unexpected answer: {e}")))
    }

    fn run(&self, host: &dyn Host, name: &str, what: &str, statements: &[String]) -> Outcome<()> {
        self.ask_in(host, name, what, &statements.join(";\n")).map(drop)
    }
}

/// The unit of a cluster, for systemd; of all of them without one.
pub fn unit(cluster: &str) -> String {
    if cluster.is_empty() { "postgresql".to_owned() } else { format!("postgresql@{}", cluster.replace('/', "-")) }
}

/// A database name as PostgreSQL programs take it. Names that look like a connection string would be parsed as one, and
/// lead to another server.
pub fn conninfo(name: &str) -> String {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
        return name.to_owned();
    }
    format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The server's message, with the line that names the obstacle.
fn complaint(tail: &[String]) -> Option<String> {
    let error = tail
        .iter()
        .rposition(|line| ["ERROR:  ", "FATAL:  ", "PANIC:  ", "error: "].iter().any(|kind| line.contains(kind)));
    let Some(error) = error else { return tail.last().cloned() };
    let mut why = tail[error].replace("psql:<stdin>:", "line ");
    let mut is_detail = false;
    for line in &tail[error + 1..] {
        // A detail continues in lines without a prefix.
        let starts = ["DETAIL:", "HINT:", "CONTEXT:", "LINE ", "LOCATION:", "STATEMENT:", "QUERY:"];
        match line.strip_prefix("DETAIL:") {
            Some(detail) => {
                is_detail = true;
                why = format!("{why}: {}", detail.trim());
            }
            None if starts.iter().any(|word| line.starts_with(word)) => is_detail = false,
            None if is_detail => why = format!("{why}; {}", line.trim()),
            None => {}
        }
    }
    Some(why)
}

/// Whether the database and the role are as wanted; false when the engine is not there.
pub fn is_so(host: &dyn Host, wanted: &DatabaseSpec) -> bool {
    let state = match &wanted.password {
        // Logging in proves the password, and everything else can be read after that.
        Some(password) => state_as_role(host, wanted, password),
        None => Server::find(host, &wanted.cluster)
            .and_then(|server| state(host, &server, &wanted.name, &wanted.role, wanted.owner()))
            .ok(),
    };
    state.is_some_and(|state| {
        let rights = wanted.createdb.is_none_or(|createdb| createdb == state.createdb);
        state.role && state.obstacle(wanted).is_none() && rights && state.database && !state.public
    }) && (wanted.owner.is_empty() || may_make_tables(host, wanted))
        && extensions::are_there(host, wanted)
}

/// The present state.
pub fn before(host: &dyn Host, wanted: &DatabaseSpec) -> Outcome<PriorDatabase> {
    let server = Server::find(host, &wanted.cluster)?;
    let state = state(host, &server, &wanted.name, &wanted.role, wanted.owner())?;
    let mut restore = Vec::new();
    if state.role && wanted.password.is_some() {
        let sql = format!(
            "SELECT pg_catalog.format('ALTER ROLE %I PASSWORD %L', rolname, rolpassword) FROM pg_catalog.pg_authid \
             WHERE rolname = {}",
            literal(&wanted.role)
        );
        restore.push(server.ask(host, "read the role's password hash", &sql)?);
    }
    if state.role && wanted.createdb.is_some_and(|createdb| createdb != state.createdb) {
        restore.push(format!("ALTER ROLE {} {}", quoted(&wanted.role), right(state.createdb)));
    }
    if state.database && state.public {
        restore.push(format!("GRANT CONNECT ON DATABASE {} TO PUBLIC", quoted(&wanted.name)));
    }
    let closed = if state.role { Vec::new() } else { to_close(host, &server, &wanted.name)? };
    Ok(PriorDatabase { database: state.database, role: state.role, restore, closed })
}

/// Creates the role and the database, or completes them.
pub fn make(host: &dyn Host, wanted: &DatabaseSpec) -> Outcome<()> {
    let what = format!("create the PostgreSQL database {} and its role {}", wanted.name, wanted.role);
    let server = Server::find(host, &wanted.cluster)?;
    let state = state(host, &server, &wanted.name, &wanted.role, wanted.owner())?;
    if let Some(why) = state.obstacle(wanted) {
        return Err(Failure::new(what, why).hint("choose another name, or fix it by hand"));
    }
    // Before the role exists, so that it can never have written in other databases.
    if !state.role {
        for name in to_close(host, &server, &wanted.name)? {
            server.run(host, &name, &what, &["REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned()])?;
        }
    }
    server.run(host, SUPERUSER, &what, &statements(wanted, &state))?;
    extensions::create(host, &server, wanted)?;
    if wanted.owner.is_empty() {
        return Ok(());
    }
    let sql = format!("GRANT CREATE, USAGE ON SCHEMA public TO {}", quoted(&wanted.role));
    server.ask_in(host, &wanted.name, &what, &sql).map(drop)
}

/// The databases whose schema `public` lets every role create objects, the default up to PostgreSQL 14, where closing
/// it takes nothing from anyone: only superusers can log in there.
fn to_close(host: &dyn Host, server: &Server, name: &str) -> Outcome<Vec<String>> {
    let what = "check who may write into the other databases";
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_roles WHERE rolcanlogin AND NOT rolsuper";
    if server.ask(host, what, sql)? != "0" {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT pg_catalog.json_agg(datname ORDER BY datname) FROM pg_catalog.pg_database \
         WHERE datallowconn AND datname <> {}",
        literal(name)
    );
    let mut open = server.texts(host, SUPERUSER, what, &sql)?;
    let mut failed = None;
    open.retain(|name| {
        let sql = "SELECT pg_catalog.has_schema_privilege('public', n.oid, 'CREATE') FROM pg_catalog.pg_namespace n \
                   WHERE n.nspname = 'public'";
        let answer = server.ask_in(host, name, what, sql);
        answer.map_err(|failure| failed = Some(failure)).is_ok_and(|answer| answer == "t")
    });
    failed.map_or(Ok(open), Err)
}

/// Opens the schema `public` of these databases again, where they still exist.
pub fn reopen(host: &dyn Host, server: &Server, names: &[String]) -> Outcome<()> {
    for name in names {
        let what = format!("let every role create tables in the PostgreSQL database {name} again");
        let sql = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", literal(name));
        if server.ask(host, &what, &sql)? == "1" {
            server.run(host, name, &what, &["GRANT CREATE ON SCHEMA public TO PUBLIC".to_owned()])?;
        }
    }
    Ok(())
}

/// Whether a role that does not own the database may create tables in it, which only a query inside it shows.
fn may_make_tables(host: &dyn Host, wanted: &DatabaseSpec) -> bool {
    let sql = format!("SELECT pg_catalog.has_schema_privilege({}, 'public', 'CREATE')", literal(&wanted.role));
    Server::find(host, &wanted.cluster)
        .and_then(|server| server.ask_in(host, &wanted.name, "read the role's privileges", &sql))
        .is_ok_and(|answer| answer == "t")
}

fn statements(wanted: &DatabaseSpec, state: &ServerState) -> Vec<String> {
    let (role, name, owner) = (quoted(&wanted.role), quoted(&wanted.name), quoted(wanted.owner()));
    // The hash is computed here: the password itself never reaches the server, its log or its statistics.
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
        // template0, because template1 may have the encoding of a cluster that was created in the C locale. The C
        // collation, since the order of a language's locale changes with the system's C library.
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

/// Whether a role may create databases, as an option of `CREATE ROLE`.
const fn right(createdb: bool) -> &'static str {
    if createdb { "CREATEDB" } else { "NOCREATEDB" }
}

/// Whether the database and the role exist.
pub fn exist(host: &dyn Host, server: &Server, name: &str, role: &str) -> Outcome<(bool, bool)> {
    state(host, server, name, role, role).map(|state| (state.database, state.role))
}

/// Drops a database, even with clients connected.
pub fn drop_database(host: &dyn Host, server: &Server, name: &str) -> Outcome<()> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    server.run(host, SUPERUSER, &format!("drop the PostgreSQL database {name}"), &[sql])
}

/// What a role owns outside the database that was created for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Databases.
    pub databases: Vec<String>,
    /// Databases of others in which it owns objects or has rights, and its tables and sequences there.
    pub objects: Vec<(String, Vec<String>)>,
}

impl Elsewhere {
    /// Whether anything of it is more than a right.
    pub fn holds_data(&self) -> bool {
        !self.databases.is_empty() || self.objects.iter().any(|(_, tables)| !tables.is_empty())
    }
}

/// Looks into every database but `name`: a role that owns anything anywhere cannot be dropped.
pub fn elsewhere(host: &dyn Host, server: &Server, name: &str, role: &str) -> Outcome<Elsewhere> {
    let what = format!("list what the PostgreSQL role {role} owns in other databases");
    let (name, role) = (literal(name), literal(role));
    let sql = format!(
        "SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname) FROM pg_catalog.pg_database d \
         JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE r.rolname = {role} AND d.datname <> {name}"
    );
    let databases = server.texts(host, SUPERUSER, &what, &sql)?;
    let sql = format!(
        "SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname) FROM pg_catalog.pg_database d \
         WHERE d.datallowconn AND d.datname <> {name} AND d.oid IN (SELECT s.dbid FROM pg_catalog.pg_shdepend s \
         JOIN pg_catalog.pg_authid r ON r.oid = s.refobjid WHERE r.rolname = {role} \
         AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass)"
    );
    let mut objects = Vec::new();
    for database in server.texts(host, SUPERUSER, &what, &sql)? {
        if databases.contains(&database) {
            continue;
        }
        let sql = format!(
            "SELECT pg_catalog.json_agg(pg_catalog.format('%I.%I', n.nspname, c.relname) ORDER BY 1) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_roles r ON r.oid = c.relowner \
             WHERE r.rolname = {role} AND c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't'"
        );
        let tables = server.texts(host, &database, &what, &sql)?;
        objects.push((database, tables));
    }
    Ok(Elsewhere { databases, objects })
}

/// Locks a role out, and ends its sessions.
pub fn lock_out(host: &dyn Host, server: &Server, role: &str) -> Outcome<()> {
    let statements = [
        format!("ALTER ROLE {} NOLOGIN", quoted(role)),
        format!(
            "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity \
             WHERE usename = {}",
            literal(role)
        ),
    ];
    server.run(host, SUPERUSER, &format!("end the sessions of the PostgreSQL role {role}"), &statements)
}

/// Drops what a role owns in the database `name`, and its rights there. Dependent objects of others stay, and are an
/// error.
pub fn drop_owned(host: &dyn Host, server: &Server, name: &str, role: &str) -> Outcome<()> {
    let what = format!("drop what the PostgreSQL role {role} owns in the database {name}");
    server.run(host, name, &what, &[format!("DROP OWNED BY {}", quoted(role))]).map_err(|f| {
        f.hint(format!("drop or change by hand what depends on it, then roll back again: {}", by_hand(server, name)))
    })
}

/// Drops a role.
pub fn drop_role(host: &dyn Host, server: &Server, role: &str) -> Outcome<()> {
    // In any database: rights on shared objects, such as databases, are dropped too.
    drop_owned(host, server, SUPERUSER, role)?;
    let sql = format!("DROP ROLE IF EXISTS {}", quoted(role));
    server.run(host, SUPERUSER, &format!("drop the PostgreSQL role {role}"), &[sql]).map_err(|f| {
        let at = by_hand(server, SUPERUSER);
        f.hint(format!("drop by hand what the role still owns, then roll back again: {at}"))
    })
}

/// A command that exists while PostgreSQL is installed.
fn by_hand(server: &Server, name: &str) -> String {
    let socket = if server.socket.is_empty() { String::new() } else { format!(" -h {}", server.socket) };
    format!("runuser -u {SUPERUSER} -- psql{socket} -p {} -d {name}", server.port)
}

/// Runs statements as the superuser.
pub fn run(host: &dyn Host, server: &Server, what: &str, statements: &[String]) -> Outcome<()> {
    server.run(host, SUPERUSER, what, statements)
}

/// The program `name` of the newest installed version.
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

/// The port of the local server, from its socket's name; 5432 when there are several.
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

/// The databases other than the engine's own, sorted.
pub fn databases(host: &dyn Host, server: &Server) -> Outcome<Vec<String>> {
    let sql = "SELECT pg_catalog.json_agg(datname ORDER BY datname) FROM pg_catalog.pg_database \
               WHERE NOT datistemplate AND datname <> 'postgres'";
    server.texts(host, SUPERUSER, "list the PostgreSQL databases", sql)
}

/// The state according to the catalog.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the columns of one answer")]
struct ServerState {
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

impl ServerState {
    fn query(name: &str, role: &str, owner: &str) -> String {
        let (name, role, owner) = (literal(name), literal(role), literal(owner));
        format!(
            "SELECT r.rolname IS NOT NULL, coalesce(r.rolcanlogin, false), \
             coalesce(r.rolsuper OR r.rolcreaterole OR r.rolbypassrls OR r.rolreplication, false), \
             d.datname IS NOT NULL, coalesce(pg_catalog.pg_get_userbyid(d.datdba) = {owner}, false), \
             coalesce(pg_catalog.has_database_privilege('public', d.oid, 'CONNECT'), false), \
             coalesce(pg_catalog.pg_encoding_to_char(d.encoding), ''), coalesce(r.rolcreatedb, false) \
             FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_roles r ON r.rolname = {role} \
             LEFT JOIN pg_catalog.pg_database d ON d.datname = {name}"
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

    /// Why an existing database or role cannot be used. Existing ones are never adapted, since they are another's.
    fn obstacle(&self, wanted: &DatabaseSpec) -> Option<String> {
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

fn state(host: &dyn Host, server: &Server, name: &str, role: &str, owner: &str) -> Outcome<ServerState> {
    let what = "query PostgreSQL";
    let answer = server.ask(host, what, &ServerState::query(name, role, owner))?;
    ServerState::from_values(answer.split('|'))
        .ok_or_else(|| Failure::new(what, format!("unexpected answer: {answer:?}")))
}

fn state_as_role(host: &dyn Host, wanted: &DatabaseSpec, password: &str) -> Option<ServerState> {
    let server = Server::find(host, &wanted.cluster).ok()?;
    let address = crate::host::Address::Tcp(([127, 0, 0, 1], server.port).into());
    let stream = host.connect(&address, TIMEOUT).ok()?;
    let login = Login { user: &wanted.role, password, database: &wanted.name };
    let read = || -> Result<_, WireError> {
        let mut session = Session::open(stream, Channel::Local, "localhost", &login, None)?;
        session.query(&ServerState::query(&wanted.name, &wanted.role, wanted.owner()))
    };
    let rows = read().ok()?;
    ServerState::from_values(rows.first()?.iter().map(|value| value.as_deref().unwrap_or_default()))
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
