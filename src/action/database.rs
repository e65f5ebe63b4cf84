//! `database`: makes a database and its role.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Context, Reversible, Verdict};
use crate::error::{Failure, Outcome};
use crate::facts::Cluster;
use crate::facts::probe::engines;
use crate::host::Host;
use crate::undo::{Undo, UndoContext, Undone};

pub mod dump;
pub mod mariadb;
pub mod postgresql;
pub mod running;
pub mod sqlite;

/// Makes a database and its role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The database engine.
    pub engine: Engine,
    /// The database's name; for SQLite the path of its file.
    pub name: String,
    /// The role (engine user); for socket authentication the operating system's user of the same name. For
    /// SQLite the operating system's user that opens the file.
    #[serde(default)]
    pub role: String,
    /// How the role authenticates.
    #[serde(default)]
    pub auth: Auth,
    /// The role's password (a placeholder) for `auth: password`.
    #[serde(default)]
    pub password: String,
    /// Whether the role can create databases (PostgreSQL's CREATEDB), for products that create them themselves; an
    /// existing role gets or loses the right. When left out, a new role does not get it, and an existing role that has
    /// it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub createdb: Option<bool>,
    /// The owner of a PostgreSQL database, when it is not its role: `postgres`, or another existing role. The role can
    /// then create tables in it, but not drop it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Version and name of the PostgreSQL cluster, `15/main`; the only one when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Extensions of PostgreSQL that are created in the database, and dropped with it. What is there already stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Whether an empty SQLite file is created, for an application that may never open it. Otherwise the application
    /// creates its file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_file: bool,
}

/// Database engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A file.
    Sqlite,
    /// PostgreSQL.
    Postgresql,
    /// MariaDB.
    Mariadb,
}

impl Engine {
    /// The name in guides and undo records.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgresql => "postgresql",
            Self::Mariadb => "mariadb",
        }
    }

    /// The product's name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgresql => "PostgreSQL",
            Self::Mariadb => "MariaDB",
        }
    }

    fn from_id(id: &str) -> Outcome<Self> {
        [Self::Sqlite, Self::Postgresql, Self::Mariadb].into_iter().find(|e| e.id() == id).ok_or_else(|| {
            Failure::new("undo a database", format!("the engine {id:?} is not known"))
                .hint("use the copy of bringup that is kept with the run")
        })
    }
}

/// How a role authenticates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Peer authentication: the operating system's user on the local socket, without a password.
    #[default]
    Socket,
    /// A password over the loopback address.
    Password,
}

impl Act for Database {
    fn describe(&self) -> String {
        match self.engine {
            Engine::Sqlite if self.create_file => format!("create the SQLite database {}", self.name),
            Engine::Sqlite => format!("check that {} can write {}", self.role, self.name),
            engine => format!("create the {} database {} and its role {}", engine.title(), self.name, self.role),
        }
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let so = match self.engine {
            Engine::Sqlite => {
                sqlite::is_writable(cx.host, &self.name, &self.role)
                    && (!self.create_file || sqlite::exists(cx.host, &self.name)?)
            }
            Engine::Postgresql => {
                let wanted = self.wanted(cx)?;
                postgresql::is_so(cx.host, &wanted)
            }
            Engine::Mariadb => {
                let wanted = self.wanted(cx)?;
                mariadb::is_so(cx.host, &wanted)
            }
        };
        Ok(if so { Verdict::Unchanged } else { Verdict::change(self.describe()) })
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let before = match self.engine {
            // The file is the application's, in a directory that has a record of its own.
            Engine::Sqlite => return Ok(Vec::new()),
            Engine::Postgresql => postgresql::before(cx.host, &self.wanted(cx)?)?,
            Engine::Mariadb => mariadb::before(cx.host, &self.wanted(cx)?)?,
        };
        let statements = if before.restore.is_empty() {
            None
        } else {
            let json =
                serde_json::to_vec(&before.restore).map_err(|e| Failure::new("save the role's former state", e))?;
            Some(cx.blobs.put(cx.host, &json)?)
        };
        Ok(vec![Undo::Database {
            engine: self.engine.id().to_owned(),
            name: self.name.clone(),
            role: self.role.clone(),
            database_existed: before.database,
            role_existed: before.role,
            before: statements,
            cluster: self.cluster.clone(),
            closed: before.closed,
        }])
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        match self.engine {
            Engine::Sqlite if sqlite::is_writable(cx.host, &self.name, &self.role) => {
                if self.create_file {
                    sqlite::create(cx.host, &self.name, &self.role)
                } else {
                    Ok(())
                }
            }
            Engine::Sqlite => {
                Err(Failure::new(self.describe(), "its directory is missing, or the user may not write there")
                    .hint("create the directory, owned by that user, in an earlier action"))
            }
            Engine::Postgresql => postgresql::make(cx.host, &self.wanted(cx)?),
            Engine::Mariadb => mariadb::make(cx.host, &self.wanted(cx)?),
        }
    }

    fn reversible(&self) -> Reversible {
        if self.engine == Engine::Sqlite { Reversible::Yes } else { Reversible::WithData }
    }
}

impl Database {
    fn wanted(&self, cx: &Context<'_>) -> Outcome<DatabaseSpec> {
        identifier("database", &self.name)?;
        identifier("role", &self.role)?;
        if !matches!(self.owner.as_str(), "" | "postgres") {
            identifier("owner", &self.owner)?;
        }
        let password = match self.auth {
            Auth::Socket => None,
            Auth::Password => Some(cx.secrets.reveal(&self.password)?),
        };
        if password.as_ref().is_some_and(String::is_empty) {
            return Err(
                Failure::new(self.describe(), "its password is empty").hint("give a password, or use `auth: socket`")
            );
        }
        Ok(DatabaseSpec {
            name: self.name.clone(),
            role: self.role.clone(),
            password,
            createdb: self.createdb,
            owner: self.owner.clone(),
            cluster: self.cluster.clone(),
            extensions: self.extensions.clone(),
        })
    }
}

/// A database and role with the password expanded.
pub struct DatabaseSpec {
    name: String,
    role: String,
    password: Option<String>,
    createdb: Option<bool>,
    /// Empty for the role itself.
    owner: String,
    /// See [`Database::cluster`].
    cluster: String,
    /// See [`Database::extensions`].
    extensions: Vec<String>,
}

impl DatabaseSpec {
    /// The name of the database's owner.
    fn owner(&self) -> &str {
        if self.owner.is_empty() { &self.role } else { &self.owner }
    }
}

/// The prior state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PriorDatabase {
    database: bool,
    role: bool,
    /// Statements that restore an existing role and database.
    restore: Vec<String>,
    /// Other databases whose schema `public` will no longer let every role create objects.
    closed: Vec<String>,
}

/// Refuses names that are not plain, and those that the engines reserve.
fn identifier(kind: &str, name: &str) -> Outcome<()> {
    const RESERVED: [&str; 10] = [
        "postgres",
        "template0",
        "template1",
        "mysql",
        "information_schema",
        "performance_schema",
        "sys",
        "root",
        "mariadb.sys",
        "public",
    ];
    let plain = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let why = if !plain {
        "it may contain letters, digits, _ and - only, must begin with a letter, and has at most 63 characters"
    } else if name.starts_with("pg_") || RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        "the engine reserves that name"
    } else {
        return Ok(());
    };
    Err(Failure::new(format!("use {name:?} as the name of a {kind}"), why).hint("choose another name"))
}

/// A database and a role according to their undo record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// `postgresql`, `mariadb` or `sqlite`.
    pub engine: &'a str,
    /// The database's name; for SQLite its path.
    pub name: &'a str,
    /// The role; empty for SQLite.
    pub role: &'a str,
    /// Whether the database existed before.
    pub database_existed: bool,
    /// Whether the role existed before.
    pub role_existed: bool,
    /// A blob with statements that restore the former password and rights of a role that existed.
    pub before: Option<&'a str>,
    /// See [`Database::cluster`].
    pub cluster: &'a str,
    /// Databases whose schema `public` was closed to every role.
    pub closed: &'a [String],
}

/// Drops a database and a role that a run created; restores existing ones. A database whose data changed since the run
/// is dumped, and dropped only when allowed.
pub fn undo(cx: &UndoContext<'_>, record: Record<'_>) -> Outcome<Undone> {
    let engine = Engine::from_id(record.engine)?;
    let (name, role) = (record.name, record.role);
    if engine == Engine::Sqlite {
        return sqlite::undo(cx, name, record.database_existed);
    }
    identifier("database", name)?;
    identifier("role", role)?;
    let running = match running::make_sure(cx.host, engine, record.cluster) {
        Ok(running) => running,
        Err(running::Away::Removed) => return finished(cx, engine, name, Ok(Undone::Nothing)),
        Err(running::Away::Down(why)) => {
            let kept = Undone::Kept {
                what: format!("the {} database {name} and its role {role}", engine.title()),
                why: format!("{} is not running and could not be started: {why}", engine.title()),
            };
            return finished(cx, engine, name, Ok(kept));
        }
    };
    let result = match drop_ours(cx, engine, record) {
        Ok(Undone::Kept { what, why }) => Ok(Undone::Kept { what, why }),
        Ok(undone) => restore(cx, engine, record, undone),
        Err(failure) => Err(failure),
    };
    running.leave_as_found(cx.host);
    finished(cx, engine, name, result)
}

/// The mark that a database could not be undone: its engine's packages then stay, and its data with them.
fn note_of(cx: &UndoContext<'_>, engine: Engine, name: &str) -> PathBuf {
    cx.dumps.join(format!("{}-{}{UNFINISHED}", engine.id(), dump::file_name(name)))
}

const UNFINISHED: &str = ".unfinished";

/// Records whether the packages of the engine may be purged.
fn finished(cx: &UndoContext<'_>, engine: Engine, name: &str, result: Outcome<Undone>) -> Outcome<Undone> {
    let path = note_of(cx, engine, name);
    let failed = |e| Failure::new(format!("record the outcome for the database {name}"), e);
    let why = match &result {
        Ok(Undone::Kept { why, .. }) => why.clone(),
        Ok(_) => {
            if cx.host.stat(&path).map_err(failed)?.is_some() {
                cx.host.remove(&path).map_err(failed)?;
            }
            return result;
        }
        Err(failure) => failure.why.clone(),
    };
    let note = format!("{}\n", why.replace('\n', " "));
    cx.host.write(&path, note.as_bytes(), crate::host::Meta::root(0o600)).map_err(failed)?;
    result
}

/// Whether the database and the role exist; an error when the engine does not answer. SQLite has neither: its file
/// belongs to its directory.
pub fn exist(host: &dyn Host, wanted: &Database) -> Outcome<(bool, bool)> {
    if wanted.engine == Engine::Sqlite {
        return Ok((false, false));
    }
    DatabaseServer::of(host, wanted.engine, &wanted.cluster)?.exist(host, &wanted.name, &wanted.role)
}

/// Refuses to purge the packages of an engine that still holds what an earlier step could not undo, or a cluster of
/// others that would be removed with them.
pub fn refuse_purge(cx: &UndoContext<'_>, packages: &[(String, String)]) -> Outcome<()> {
    let what = || "purge the packages".to_owned();
    for engine in [Engine::Postgresql, Engine::Mariadb] {
        let packaged = match engine {
            Engine::Postgresql => !versions(packages).is_empty() || is_among(packages, "postgresql-common"),
            _ => is_among(packages, "mariadb-server"),
        };
        let prefix = format!("{}-", engine.id());
        let left = cx.host.list(cx.dumps).unwrap_or_default().into_iter().find_map(|entry| {
            let name = entry.file_name()?.to_str()?.to_owned();
            Some(name.strip_prefix(&prefix)?.strip_suffix(UNFINISHED)?.to_owned())
        });
        if let Some(name) = left.filter(|_| packaged) {
            return Err(Failure::new(
                what(),
                format!("the database {name} of {} is not rolled back, and would be lost with them", engine.title()),
            )
            .hint("see the error above, then roll back again"));
        }
    }
    let versions = versions(packages);
    let foreign = engines::postgresql(cx.host)
        .into_iter()
        .find(|cluster| cluster.name != "main" && versions.contains(&cluster.version));
    foreign.map_or(Ok(()), |cluster| {
        let Cluster { id, version, name, .. } = cluster;
        Err(Failure::new(
            what(),
            format!("the run did not create PostgreSQL's cluster {id}, which would be lost with them"),
        )
        .hint(format!(
            "save it with pg_dumpall, drop it with `pg_dropcluster --stop {version} {name}`, then roll back again"
        )))
    })
}

fn is_among(packages: &[(String, String)], name: &str) -> bool {
    packages.iter().any(|(package, _)| package.split(':').next() == Some(name))
}

/// The versions of PostgreSQL whose servers are among these packages: purging them removes all of their clusters.
fn versions(packages: &[(String, String)]) -> Vec<String> {
    let version = |package: &String| {
        let version = package.split(':').next()?.strip_prefix("postgresql-")?;
        let is_version = version.starts_with(|c: char| c.is_ascii_digit())
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        is_version.then(|| version.to_owned())
    };
    packages.iter().filter_map(|(package, _)| version(package)).collect()
}

fn drop_ours(cx: &UndoContext<'_>, engine: Engine, record: Record<'_>) -> Outcome<Undone> {
    let Record { name, role, database_existed, role_existed, .. } = record;
    let server = DatabaseServer::of(cx.host, engine, record.cluster)?;
    let (database, role_there) = server.exist(cx.host, name, role)?;
    let drops_database = database && !database_existed;
    let elsewhere = match &server {
        DatabaseServer::Postgresql(server) if role_there && !role_existed => {
            // A database that stays belongs to others.
            postgresql::elsewhere(cx.host, server, if drops_database { name } else { "" }, role)?
        }
        _ => postgresql::Elsewhere::default(),
    };
    let mut done = Vec::new();
    if !drops_database && elsewhere.holds_data() && cx.post.is_some() && !cx.drop_data {
        return Ok(Undone::Kept {
            what: format!("the role {role} of {}", engine.title()),
            why: "it owns tables or databases that the run did not create; --drop-data saves and drops them".to_owned(),
        });
    }
    let is_kept = |at_end: &str, now: &str| at_end != now && !cx.drop_data;
    if drops_database {
        let dump = dump::take(cx, &server, name)?;
        let now = dump::with_elsewhere(&dump.fingerprint, &elsewhere);
        // Without a fingerprint the run never ended: the data is the run's own, and is kept all the same.
        if cx.data.is_some_and(|at_end| is_kept(at_end, &now)) {
            return Ok(Undone::Kept {
                what: format!("the {} database {name} and its role {role}", engine.title()),
                why: format!(
                    "its data changed since the run; it is dumped in {}, and --drop-data drops it",
                    dump.path.display()
                ),
            });
        }
        let file = dump.keep_if_filled(cx)?;
        server.drop_database(cx.host, name)?;
        done.push(match file {
            Some(file) => format!("the database {name} (dumped in {})", file.display()),
            None => format!("the database {name}"),
        });
    }
    if role_there && !role_existed {
        match &server {
            DatabaseServer::Postgresql(at) => {
                postgresql::lock_out(cx.host, at, role)?;
                drop_elsewhere(cx, &server, at, role, &elsewhere, &mut done)?;
                postgresql::drop_role(cx.host, at, role)?;
            }
            DatabaseServer::Mariadb => mariadb::drop_role(cx.host, role)?,
        }
        done.push(format!("the role {role}"));
    }
    if done.is_empty() {
        return Ok(Undone::Nothing);
    }
    Ok(Undone::Done(format!("dropped {} of {}", done.join(" and "), engine.title())))
}

/// Drops what a role owns outside its own database, after a dump.
fn drop_elsewhere(
    cx: &UndoContext<'_>,
    server: &DatabaseServer,
    at: &postgresql::Server,
    role: &str,
    elsewhere: &postgresql::Elsewhere,
    done: &mut Vec<String>,
) -> Outcome<()> {
    for name in &elsewhere.databases {
        let file = dump::take(cx, server, name)?.keep_if_filled(cx)?;
        postgresql::drop_database(cx.host, at, name)?;
        done.push(match file {
            Some(file) => format!("the role's database {name} (dumped in {})", file.display()),
            None => format!("the role's database {name}"),
        });
    }
    for (name, tables) in &elsewhere.objects {
        let file =
            if tables.is_empty() { None } else { dump::take_tables(cx, server, name, tables)?.keep_if_filled(cx)? };
        postgresql::drop_owned(cx.host, at, name, role)?;
        done.push(match file {
            Some(file) => format!("the role's objects in the database {name} (dumped in {})", file.display()),
            None => format!("the role's objects in the database {name}"),
        });
    }
    Ok(())
}

fn restore(cx: &UndoContext<'_>, engine: Engine, record: Record<'_>, undone: Undone) -> Outcome<Undone> {
    let what = "restore a role";
    if !record.closed.is_empty() {
        postgresql::reopen(cx.host, &postgresql::Server::find(cx.host, record.cluster)?, record.closed)?;
    }
    let Some(blob) = record.before else { return Ok(undone) };
    let statements: Vec<String> =
        serde_json::from_slice(&cx.blobs.get(cx.host, blob)?).map_err(|e| Failure::new(what, e))?;
    match DatabaseServer::of(cx.host, engine, record.cluster)? {
        DatabaseServer::Postgresql(server) => postgresql::run(cx.host, &server, what, &statements)?,
        DatabaseServer::Mariadb => mariadb::run(cx.host, what, &statements)?,
    }
    let again = "restored the role's former password and privileges";
    Ok(Undone::Done(match undone {
        Undone::Done(done) => format!("{done}; {again}"),
        _ => again.to_owned(),
    }))
}

/// The server of a record or an action.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatabaseServer {
    /// One of PostgreSQL's clusters.
    Postgresql(postgresql::Server),
    /// Debian's own instance of MariaDB.
    Mariadb,
}

impl DatabaseServer {
    fn of(host: &dyn Host, engine: Engine, cluster: &str) -> Outcome<Self> {
        Ok(match engine {
            Engine::Postgresql => Self::Postgresql(postgresql::Server::find(host, cluster)?),
            _ => Self::Mariadb,
        })
    }

    /// Its engine.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Postgresql(_) => Engine::Postgresql,
            Self::Mariadb => Engine::Mariadb,
        }
    }

    fn exist(&self, host: &dyn Host, name: &str, role: &str) -> Outcome<(bool, bool)> {
        match self {
            Self::Postgresql(server) => postgresql::exist(host, server, name, role),
            Self::Mariadb => mariadb::exist(host, name, role),
        }
    }

    fn drop_database(&self, host: &dyn Host, name: &str) -> Outcome<()> {
        match self {
            Self::Postgresql(server) => postgresql::drop_database(host, server, name),
            Self::Mariadb => mariadb::drop_database(host, name),
        }
    }
}

/// SHA-256 of the logical dump of a database, without what changes by itself; `None` when the database or its engine
/// does not exist. `name` is a path for SQLite. Databases and tables that a PostgreSQL role removed with it has created
/// elsewhere count too.
pub fn data_fingerprint(host: &dyn Host, record: Record<'_>) -> Outcome<Option<String>> {
    let engine = Engine::from_id(record.engine)?;
    let name = record.name;
    if engine == Engine::Sqlite {
        return sqlite::fingerprint_of(host, Path::new(name));
    }
    let Ok(server) = DatabaseServer::of(host, engine, record.cluster) else { return Ok(None) };
    if !server.exist(host, name, "").is_ok_and(|(there, _)| there) {
        return Ok(None);
    }
    identifier("database", name)?;
    let fingerprint = dump::fingerprint_of(host, &server, name)?;
    let elsewhere = match &server {
        DatabaseServer::Postgresql(server) if !record.role_existed => {
            postgresql::elsewhere(host, server, name, record.role)?
        }
        _ => postgresql::Elsewhere::default(),
    };
    Ok(Some(dump::with_elsewhere(&fingerprint, &elsewhere)))
}

/// SHA-256 of the logical dump of a SQLite database; none when it does not exist.
pub fn sqlite_fingerprint(host: &dyn Host, path: &Path) -> Outcome<Option<String>> {
    sqlite::fingerprint_of(host, path)
}

/// The engines whose servers are among these packages and that answer, with their databases, which are removed with the
/// packages.
pub fn served_by(host: &dyn Host, packages: &[(String, String)]) -> Vec<(DatabaseServer, Vec<String>)> {
    let mut served = Vec::new();
    let versions = versions(packages);
    let clusters: Vec<String> = engines::postgresql(host)
        .into_iter()
        .filter(|cluster| versions.contains(&cluster.version))
        .map(|cluster| cluster.id)
        .collect();
    // Where Debian's directories list none, the only server there is.
    let is_alone = clusters.is_empty() && is_among(packages, "postgresql-common");
    let clusters = if is_alone { vec![String::new()] } else { clusters };
    for cluster in clusters {
        if let Ok(server) = postgresql::Server::find(host, &cluster)
            && let Ok(databases) = postgresql::databases(host, &server)
        {
            served.push((DatabaseServer::Postgresql(server), databases));
        }
    }
    if is_among(packages, "mariadb-server")
        && let Ok(databases) = mariadb::databases(host)
    {
        served.push((DatabaseServer::Mariadb, databases));
    }
    served
}

impl DatabaseServer {
    /// The name under which runs record its databases.
    pub fn remembered(&self, name: &str) -> String {
        match self {
            Self::Postgresql(server)
                if !matches!(server.cluster.as_str(), "") && !server.cluster.ends_with("/main") =>
            {
                format!("{:?} {} {name}", self.engine(), server.cluster)
            }
            _ => format!("{:?} {name}", self.engine()),
        }
    }
}

/// Saves a database that is removed with its engine's packages.
pub fn save(cx: &UndoContext<'_>, server: &DatabaseServer, name: &str) -> Outcome<()> {
    dump::take(cx, server, name)?.keep_if_filled(cx).map(drop)
}

#[cfg(test)]
mod tests;
