//! `database`: makes a database and its role.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::action::{Act, Cx, Reversible, Verdict};
use crate::engine::undo::{Undo, UndoCx, Undone};
use crate::error::{Failure, Outcome};
use crate::host::Host;

pub mod dump;
pub mod mariadb;
pub mod postgresql;
pub mod running;
pub mod sqlite;

/// Makes a database and its role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Which engine.
    pub engine: Engine,
    /// The database's name; for SQLite the path of its file.
    pub name: String,
    /// The role (engine user); for socket authentication the operating system's user of the same name. For
    /// SQLite the operating system's user that opens the file.
    #[serde(default)]
    pub role: String,
    /// How the role proves who it is.
    #[serde(default)]
    pub auth: Auth,
    /// The role's password (a mark) for `auth: password`.
    #[serde(default)]
    pub password: String,
    /// Whether the role may make databases (PostgreSQL's CREATEDB), for products that make them themselves; an
    /// existing role gets or loses the right. Unanswered it is refused to a new role, and an existing role that has it
    /// is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub createdb: Option<bool>,
    /// Who owns a PostgreSQL database, when it is not its role: `postgres`, or another role that exists. The role then
    /// may make tables in it, and not drop it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
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

/// How a role proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// By the operating system's user on the local socket: no password exists.
    #[default]
    Socket,
    /// By a password over the loopback address.
    Password,
}

impl Act for Database {
    fn describe(&self) -> String {
        match self.engine {
            Engine::Sqlite => format!("make sure that {} can keep {}", self.role, self.name),
            engine => format!("make the {} database {} and its role {}", engine.title(), self.name, self.role),
        }
    }

    fn check(&self, cx: &Cx<'_>) -> Outcome<Verdict> {
        let so = match self.engine {
            Engine::Sqlite => sqlite::is_writable(cx.host, &self.name, &self.role),
            Engine::Postgresql => {
                let wanted = self.wanted(cx)?;
                postgresql::is_so(cx.host, &wanted)
            }
            Engine::Mariadb => {
                let wanted = self.wanted(cx)?;
                mariadb::is_so(cx.host, &wanted)
            }
        };
        Ok(if so { Verdict::AlreadySo } else { Verdict::change(self.describe()) })
    }

    fn prepare(&self, cx: &Cx<'_>) -> Outcome<Vec<Undo>> {
        let before = match self.engine {
            // The file is the application's, and lies in a directory that has a record of its own.
            Engine::Sqlite => return Ok(Vec::new()),
            Engine::Postgresql => postgresql::before(cx.host, &self.wanted(cx)?)?,
            Engine::Mariadb => mariadb::before(cx.host, &self.wanted(cx)?)?,
        };
        let statements = if before.restore.is_empty() {
            None
        } else {
            let json =
                serde_json::to_vec(&before.restore).map_err(|e| Failure::new("keep what the role was before", e))?;
            Some(cx.blobs.put(cx.host, &json)?)
        };
        Ok(vec![Undo::Database {
            engine: self.engine.id().to_owned(),
            name: self.name.clone(),
            role: self.role.clone(),
            database_existed: before.database,
            role_existed: before.role,
            before: statements,
        }])
    }

    fn apply(&self, cx: &Cx<'_>) -> Outcome<()> {
        match self.engine {
            Engine::Sqlite if sqlite::is_writable(cx.host, &self.name, &self.role) => Ok(()),
            Engine::Sqlite => {
                Err(Failure::new(self.describe(), "its directory is missing, or the user may not write there")
                    .hint("make the directory, owned by that user, in an earlier action"))
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
    fn wanted(&self, cx: &Cx<'_>) -> Outcome<Wanted> {
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
        Ok(Wanted {
            name: self.name.clone(),
            role: self.role.clone(),
            password,
            createdb: self.createdb,
            owner: self.owner.clone(),
        })
    }
}

/// A database and role with the password revealed.
pub struct Wanted {
    name: String,
    role: String,
    password: Option<String>,
    createdb: Option<bool>,
    /// Empty for the role itself.
    owner: String,
}

impl Wanted {
    /// The name of whoever shall own the database.
    fn owner(&self) -> &str {
        if self.owner.is_empty() { &self.role } else { &self.owner }
    }
}

/// What there was.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Before {
    database: bool,
    role: bool,
    /// Statements that give an existing role and database back what making them ours will change.
    restore: Vec<String>,
}

/// Refuses what is not a plain name, and the names that the engines keep for themselves.
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
        "it may hold letters, digits, _ and - only, begins with a letter, and has 63 characters at most"
    } else if name.starts_with("pg_") || RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        "the engine keeps that name for itself"
    } else {
        return Ok(());
    };
    Err(Failure::new(format!("use {name:?} as the name of a {kind}"), why).hint("choose another name"))
}

/// Drops a database and a role that a run made; gives existing ones back what they were. A database whose data
/// changed since the run is dumped, and dropped only with leave.
pub fn undo(
    cx: &UndoCx<'_>,
    engine: &str,
    name: &str,
    role: &str,
    database_existed: bool,
    role_existed: bool,
    before: Option<&str>,
) -> Outcome<Undone> {
    let engine = Engine::from_id(engine)?;
    if engine == Engine::Sqlite {
        return sqlite::undo(cx, name, database_existed);
    }
    identifier("database", name)?;
    identifier("role", role)?;
    let kept = |why: String| {
        Ok(Undone::Kept { what: format!("the {} database {name} and its role {role}", engine.title()), why })
    };
    let running = match running::make_sure(cx.host, engine) {
        Ok(running) => running,
        Err(running::Away::Removed) => return Ok(Undone::Nothing),
        Err(running::Away::Down(why)) => {
            return kept(format!("{} does not run and could not be started: {why}", engine.title()));
        }
    };
    let result = match drop_ours(cx, engine, name, role, [database_existed, role_existed]) {
        Ok(Undone::Kept { what, why }) => Ok(Undone::Kept { what, why }),
        Ok(undone) => restore(cx, engine, before, undone),
        Err(failure) => Err(failure),
    };
    running.leave_as_found(cx.host);
    result
}

fn drop_ours(
    cx: &UndoCx<'_>,
    engine: Engine,
    name: &str,
    role: &str,
    [database_existed, role_existed]: [bool; 2],
) -> Outcome<Undone> {
    let (database, role_there) = match engine {
        Engine::Postgresql => postgresql::exist(cx.host, name, role)?,
        _ => mariadb::exist(cx.host, name, role)?,
    };
    let mut done = Vec::new();
    if database && !database_existed {
        let dump = dump::take(cx, engine, name)?;
        // Without a fingerprint the run never ended: what is there came from the run itself, and is still kept.
        if cx.data.is_some_and(|at_end| at_end != dump.fingerprint) && !cx.drop_data {
            return Ok(Undone::Kept {
                what: format!("the {} database {name} and its role {role}", engine.title()),
                why: format!(
                    "its data changed since the run; it is dumped in {}, and --drop-data drops it",
                    dump.path.display()
                ),
            });
        }
        let file = dump.keep_if_filled(cx)?;
        match engine {
            Engine::Postgresql => postgresql::drop_database(cx.host, name)?,
            _ => mariadb::drop_database(cx.host, name)?,
        }
        done.push(match file {
            Some(file) => format!("the database {name} (dumped in {})", file.display()),
            None => format!("the database {name}"),
        });
    }
    if role_there && !role_existed {
        match engine {
            Engine::Postgresql => postgresql::drop_role(cx.host, role)?,
            _ => mariadb::drop_role(cx.host, role)?,
        }
        done.push(format!("the role {role}"));
    }
    if done.is_empty() {
        return Ok(Undone::Nothing);
    }
    Ok(Undone::Done(format!("dropped {} of {}", done.join(" and "), engine.title())))
}

fn restore(cx: &UndoCx<'_>, engine: Engine, before: Option<&str>, undone: Undone) -> Outcome<Undone> {
    let Some(blob) = before else { return Ok(undone) };
    let what = "give a role back what it was";
    let statements: Vec<String> =
        serde_json::from_slice(&cx.blobs.get(cx.host, blob)?).map_err(|e| Failure::new(what, e))?;
    match engine {
        Engine::Postgresql => postgresql::run(cx.host, what, &statements)?,
        _ => mariadb::run(cx.host, what, &statements)?,
    }
    let again = "gave the role its former password and rights back";
    Ok(Undone::Done(match undone {
        Undone::Done(done) => format!("{done}; {again}"),
        _ => again.to_owned(),
    }))
}

/// SHA-256 of the logical dump of a database, without what changes by itself; `None` when the database or its
/// engine is not there. `name` is a path for SQLite.
pub fn data_fingerprint(host: &dyn Host, engine: &str, name: &str) -> Outcome<Option<String>> {
    let engine = Engine::from_id(engine)?;
    match engine {
        Engine::Sqlite => return sqlite::fingerprint_of(host, Path::new(name)),
        Engine::Postgresql if !postgresql::exist(host, name, "").is_ok_and(|(there, _)| there) => return Ok(None),
        Engine::Mariadb if !mariadb::exist(host, name, "").is_ok_and(|(there, _)| there) => return Ok(None),
        Engine::Postgresql | Engine::Mariadb => {}
    }
    identifier("database", name)?;
    dump::fingerprint_of(host, engine, name).map(Some)
}

/// The engines whose servers these packages are, when they answer, with the databases that somebody made there.
/// They go with the packages.
pub fn served_by(host: &dyn Host, packages: &[(String, String)]) -> Vec<(Engine, Vec<String>)> {
    let ours = |name: &str| packages.iter().any(|(package, _)| package.split(':').next() == Some(name));
    let mut served = Vec::new();
    if ours("postgresql-common")
        && let Ok(databases) = postgresql::databases(host)
    {
        served.push((Engine::Postgresql, databases));
    }
    if ours("mariadb-server")
        && let Ok(databases) = mariadb::databases(host)
    {
        served.push((Engine::Mariadb, databases));
    }
    served
}

/// Saves a database that goes with its engine's packages.
pub fn save(cx: &UndoCx<'_>, engine: Engine, name: &str) -> Outcome<()> {
    dump::take(cx, engine, name)?.keep_if_filled(cx).map(drop)
}

#[cfg(test)]
mod tests;
