//! `database_roundtrip`: a row written and read back through the engine, as the role that the application uses.

use serde::{Deserialize, Serialize};

use crate::action::database::{Engine, postgresql};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host};
use crate::proof::{Context, Prove};
use crate::system::net::wire::{self, Login, WireError};

/// A row written and read back through the engine, as the role that the application uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseRoundtrip {
    /// The database engine.
    pub engine: Engine,
    /// The database's name; for SQLite the path of its file.
    pub name: String,
    /// The role; for socket authentication also the operating system user that connects.
    #[serde(default)]
    pub role: String,
    /// Host of a remote (or loopback) engine; the local socket when empty.
    #[serde(default)]
    pub host: String,
    /// Port of the engine, when `host` is given.
    #[serde(default)]
    pub port: u16,
    /// The role's password (a placeholder), when `host` is given.
    #[serde(default)]
    pub password: String,
    /// The operating system user to read and write a SQLite file as.
    #[serde(default)]
    pub user: String,
    /// Version and name of the PostgreSQL cluster of a local engine, `15/main`; the only one when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// PEM file with the authority that a remote engine's certificate must come from; it is not verified when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca: String,
}

/// Writes as one connection, reads as another, and leaves nothing behind. `mode=rw`: a missing file is an error,
/// not an empty database.
const SQLITE: &str = r#"
import sqlite3, sys, urllib.parse
path, table, value = sys.argv[1:]
uri = "file:" + urllib.parse.quote(path) + "?mode=rw"
def connect():
    return sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)
writer = connect()
writer.execute("CREATE TABLE %s (value TEXT)" % table)
try:
    writer.execute("INSERT INTO %s VALUES (?)" % table, (value,))
    print(connect().execute("SELECT value FROM %s" % table).fetchone()[0], "SQLite", sqlite3.sqlite_version)
finally:
    writer.execute("DROP TABLE %s" % table)
"#;

impl Prove for DatabaseRoundtrip {
    fn describe(&self) -> String {
        format!("{} can write a row and read it back in {}", self.who(), self.place())
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let probe = Probe::new(cx.host)?;
        let answer = match (self.engine, self.host.is_empty()) {
            (Engine::Sqlite, _) => self.run(cx.host, &self.python(&probe))?,
            (Engine::Postgresql, true) => {
                // In one transaction, so that nothing is left behind whatever happens.
                let script = format!("BEGIN;\n{};\nCOMMIT;\n", self.statements(&probe).join(";\n"));
                let server = postgresql::Server::find(cx.host, &self.cluster)?;
                let mut psql = server.psql(cx.host, &self.role, &self.name)?.stdin(script);
                psql.argv.extend(["-v", "VERBOSITY=terse"].map(str::to_owned));
                self.run(cx.host, &psql)?
            }
            (Engine::Mariadb, true) => {
                // --force: the table is dropped even when the row could not be written.
                let argv =
                    ["mariadb", "--protocol=socket", "--force", "--batch", "--skip-column-names", "--", &self.name];
                let script = format!("{};\n", self.statements(&probe).join(";\n"));
                self.run(cx.host, &Command::new(argv).user(&self.role).stdin(script))?
            }
            (Engine::Postgresql | Engine::Mariadb, false) => self.over_the_network(cx, &probe)?,
        };
        match answer.split_once([' ', '\t']) {
            Some((value, version)) if value == probe.value => {
                Ok(format!("{} wrote a row and read it back in {}, {}", self.who(), self.place(), version.trim()))
            }
            _ => {
                Err(Failure::new(self.what(), "the row read differs from the row written")
                    .hint("check the engine's log"))
            }
        }
    }

    fn independent(&self) -> bool {
        true
    }
}

impl DatabaseRoundtrip {
    fn who(&self) -> &str {
        match self.engine {
            Engine::Sqlite => &self.user,
            Engine::Postgresql | Engine::Mariadb => &self.role,
        }
    }

    fn place(&self) -> String {
        let place = format!("the {} database {}", self.engine.title(), self.name);
        if self.host.is_empty() { place } else { format!("{place} at {}:{}", self.host, self.port) }
    }

    fn what(&self) -> String {
        format!("write a row and read it back in {}", self.place())
    }

    /// The third yields the value and the server's version.
    fn statements(&self, probe: &Probe) -> [String; 4] {
        let Probe { table, value } = probe;
        let read = match self.engine {
            Engine::Postgresql => "value || ' PostgreSQL ' || current_setting('server_version')",
            Engine::Mariadb | Engine::Sqlite => "CONCAT(value, ' ', VERSION())",
        };
        [
            format!("CREATE TABLE {table} (value VARCHAR(40))"),
            format!("INSERT INTO {table} VALUES ('{value}')"),
            format!("SELECT {read} FROM {table}"),
            format!("DROP TABLE {table}"),
        ]
    }

    fn python(&self, probe: &Probe) -> Command {
        let command = Command::new(["python3", "-I", "-c", SQLITE, &self.name, &probe.table, &probe.value]);
        if self.user.is_empty() { command } else { command.user(&self.user) }
    }

    fn run(&self, host: &dyn Host, command: &Command) -> Outcome<String> {
        let output = host.run(command).map_err(|e| Failure::new(self.what(), e))?;
        if output.ok() {
            return Ok(output.text());
        }
        let tail = output.tail(10);
        let why = tail.last().cloned().unwrap_or_else(|| format!("the client ended with status {}", output.status));
        Err(Failure::new(self.what(), why)
            .tail(tail)
            .hint("check that the engine runs, and that this user may use that database"))
    }

    fn over_the_network(&self, cx: &Context<'_>, probe: &Probe) -> Outcome<String> {
        let password = cx.secrets.reveal(&self.password)?;
        let login = Login { user: &self.role, password: &password, database: &self.name };
        let (stream, channel) = wire::connect(cx.host, &self.host, self.port)?;
        let verify = wire::verify(cx.host, &self.ca)?;
        let failed = |error: WireError| error.failure(self.what());
        if self.engine == Engine::Postgresql {
            let mut session =
                wire::postgresql::Session::open(stream, channel, &self.host, &login, verify).map_err(failed)?;
            // One message is one transaction.
            return session.query(&self.statements(probe).join("; ")).map(first).map_err(failed);
        }
        let mut session = wire::mysql::Session::open(stream, channel, &self.host, &login, verify).map_err(failed)?;
        let [create, insert, read, drop] = self.statements(probe);
        session.query(&create).map_err(failed)?;
        let answer = session.query(&insert).and_then(|_| session.query(&read));
        session.query(&drop).map_err(failed)?;
        answer.map(first).map_err(failed)
    }
}

/// A unique table name and value.
struct Probe {
    table: String,
    value: String,
}

impl Probe {
    fn new(host: &dyn Host) -> Outcome<Self> {
        let mut random = [0; 16];
        host.random(&mut random).map_err(|e| Failure::new("get random bytes", e))?;
        let hex = sha256_hex(&random);
        Ok(Self { table: format!("bringup_proof_{}", &hex[..12]), value: hex[12..36].to_owned() })
    }
}

fn first(rows: Vec<Vec<Option<String>>>) -> String {
    rows.into_iter().flatten().flatten().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
