//! MariaDB, as its root over the local socket (`unix_socket` authentication).

use serde_json::Value;

use crate::action::database::{DatabaseSpec, PriorDatabase};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Output};
use crate::system::net::wire::mysql::native_hash;

/// Whether the database and the role are as wanted; false when the engine is not there.
pub fn is_so(host: &dyn Host, wanted: &DatabaseSpec) -> bool {
    state(host, &wanted.name, &wanted.role)
        .is_ok_and(|state| state.obstacle(wanted).is_none() && statements(wanted, &state).is_empty())
}

/// The present state.
pub fn before(host: &dyn Host, wanted: &DatabaseSpec) -> Outcome<PriorDatabase> {
    let state = state(host, &wanted.name, &wanted.role)?;
    let mut restore = Vec::new();
    if state.account.is_some() {
        let user = account(&wanted.role);
        let what = "read how the user authenticates";
        let made = judged(what, &ask(host, what, &format!("SHOW CREATE USER {user}"))?)?;
        if let Some(rest) = made.strip_prefix("CREATE USER") {
            restore.push(format!("ALTER USER{rest}"));
        }
        restore.push(format!("REVOKE ALL PRIVILEGES ON {}.* FROM {user}", pattern(&wanted.name)));
        restore.extend(state.grants);
    }
    Ok(PriorDatabase { database: state.charset.is_some(), role: state.account.is_some(), restore, closed: Vec::new() })
}

/// Creates the role and the database, or completes them.
pub fn make(host: &dyn Host, wanted: &DatabaseSpec) -> Outcome<()> {
    let what = format!("create the MariaDB database {} and its role {}", wanted.name, wanted.role);
    let state = state(host, &wanted.name, &wanted.role)?;
    if let Some(why) = state.obstacle(wanted) {
        return Err(Failure::new(what, why).hint("choose another name, or fix it by hand"));
    }
    run(host, &what, &statements(wanted, &state))
}

/// What is missing.
fn statements(wanted: &DatabaseSpec, state: &ServerState) -> Vec<String> {
    let user = account(&wanted.role);
    let mut statements = Vec::new();
    if state.charset.is_none() {
        statements.push(format!("CREATE DATABASE {} CHARACTER SET utf8mb4", quoted(&wanted.name)));
    }
    // The hash is computed here: the password itself never reaches the server or its log.
    let (plugin, hash) = match &wanted.password {
        None => ("unix_socket", String::new()),
        Some(password) => ("mysql_native_password", native_hash(password)),
    };
    let identified = match hash.as_str() {
        "" => format!("IDENTIFIED VIA {plugin}"),
        hash => format!("IDENTIFIED VIA {plugin} USING '{hash}'"),
    };
    match &state.account {
        None => statements.push(format!("CREATE USER {user} {identified}")),
        Some(known) if known.plugin != plugin || known.hash != hash => {
            statements.push(format!("ALTER USER {user} {identified}"));
        }
        Some(_) => {}
    }
    if !state.grants.iter().any(|grant| grant.starts_with("GRANT ALL PRIVILEGES ON ")) {
        statements.push(format!("GRANT ALL PRIVILEGES ON {}.* TO {user}", pattern(&wanted.name)));
    }
    statements
}

/// Whether the database and the role exist.
pub fn exist(host: &dyn Host, name: &str, role: &str) -> Outcome<(bool, bool)> {
    let state = state(host, name, role)?;
    Ok((state.charset.is_some(), state.account.is_some()))
}

/// Drops a database.
pub fn drop_database(host: &dyn Host, name: &str) -> Outcome<()> {
    let sql = format!("DROP DATABASE IF EXISTS {}", quoted(name));
    run(host, &format!("drop the MariaDB database {name}"), &[sql])
}

/// Drops a role, with its privileges.
pub fn drop_role(host: &dyn Host, role: &str) -> Outcome<()> {
    let user = account(role);
    // A session keeps the rights that it had, even after its user is dropped.
    let statements = [format!("DROP USER IF EXISTS {user}"), format!("KILL USER {user}")];
    run(host, &format!("drop the MariaDB role {role}"), &statements)
}

/// Runs statements as root.
pub fn run(host: &dyn Host, what: &str, statements: &[String]) -> Outcome<()> {
    for sql in statements {
        let output = ask(host, what, sql)?;
        // What was to be revoked is already revoked.
        if !no_such_grant(&output) {
            judged(what, &output)?;
        }
    }
    Ok(())
}

/// The state according to the server.
#[derive(Debug, Default)]
struct ServerState {
    /// The database's character set; none when there is no database.
    charset: Option<String>,
    account: Option<Account>,
    /// The role's grants on this database.
    grants: Vec<String>,
}

#[derive(Debug)]
struct Account {
    plugin: String,
    hash: String,
    /// Privileges on everything, as a bit mask.
    access: u64,
}

impl Account {
    /// From its entry in `mysql.global_priv`.
    fn parse(entry: &str) -> Result<Self, String> {
        let entry: Value = serde_json::from_str(entry).map_err(|e| format!("the user's entry is not JSON: {e}"))?;
        let text = |key| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self {
            plugin: text("plugin"),
            hash: text("authentication_string"),
            access: entry.get("access").and_then(Value::as_u64).unwrap_or_default(),
        })
    }
}

impl ServerState {
    /// From the lines that [`state`] asks for.
    fn parse(text: &str, name: &str) -> Result<Self, String> {
        let mut state = Self::default();
        let on = format!(" ON {}.* TO ", pattern(name));
        for line in text.lines() {
            if let Some(charset) = line.strip_prefix("charset\t") {
                state.charset = Some(charset.to_owned());
            } else if let Some(entry) = line.strip_prefix("user\t") {
                state.account = Some(Account::parse(entry)?);
            } else if line.contains(&on) {
                state.grants.push(line.to_owned());
            }
        }
        Ok(state)
    }

    /// Why an existing database or role cannot be used. Nothing existing is adapted except the password.
    fn obstacle(&self, wanted: &DatabaseSpec) -> Option<String> {
        if self.account.as_ref().is_some_and(|account| account.access != 0) {
            let role = &wanted.role;
            return Some(format!("the user {role} exists and has privileges on every database"));
        }
        match &self.charset {
            Some(charset) if !charset.starts_with("utf8") => {
                Some(format!("the database {} exists and is encoded in {charset}, not in utf8mb4", wanted.name))
            }
            _ => None,
        }
    }
}

fn state(host: &dyn Host, name: &str, role: &str) -> Outcome<ServerState> {
    let what = "query MariaDB";
    let (name_text, role_text) = (literal(name), literal(role));
    // The last one fails where there is no such user.
    let sql = format!(
        "SELECT 'charset', default_character_set_name FROM information_schema.schemata WHERE schema_name = {name_text};\n\
         SELECT 'user', priv FROM mysql.global_priv WHERE user = {role_text} AND host = 'localhost';\n\
         SHOW GRANTS FOR {}",
        account(role)
    );
    let output = ask(host, what, &sql)?;
    let text = output.text();
    if !no_such_grant(&output) {
        judged(what, &output)?;
    }
    ServerState::parse(&text, name).map_err(|why| Failure::new(what, why))
}

fn ask(host: &dyn Host, what: &str, sql: &str) -> Outcome<Output> {
    let command = Command::new(["mariadb", "--protocol=socket", "--batch", "--raw", "--skip-column-names"])
        .stdin(format!("{sql};\n"));
    host.run(&command).map_err(|e| Failure::new(what, e).hint("apt-get install mariadb-server"))
}

/// The databases other than the engine's own, sorted.
pub fn databases(host: &dyn Host) -> Outcome<Vec<String>> {
    let what = "list the MariaDB databases";
    let sql = "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN \
               ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1";
    let output = ask(host, what, sql)?;
    Ok(judged(what, &output)?.lines().map(str::to_owned).collect())
}

/// Error 1141: there is no such grant, or no such user.
fn no_such_grant(output: &Output) -> bool {
    output.tail(1).iter().any(|line| line.starts_with("ERROR 1141 "))
}

fn judged(what: &str, output: &Output) -> Outcome<String> {
    if output.ok() {
        return Ok(output.text());
    }
    let tail = output.tail(10);
    let why = tail.last().cloned().unwrap_or_else(|| format!("mariadb ended with status {}", output.status));
    let hint = if why.contains("ERROR 2002") {
        Some("systemctl start mariadb")
    } else if why.contains("ERROR 1045") || why.contains("ERROR 1698") {
        Some("let root log in by the socket again: ALTER USER root@localhost IDENTIFIED VIA unix_socket")
    } else {
        None
    };
    Err(Failure { hint: hint.map(str::to_owned), ..Failure::new(what, why).tail(tail) })
}

/// The application comes from this server only.
fn account(role: &str) -> String {
    format!("{}@`localhost`", quoted(role))
}

fn quoted(identifier: &str) -> String {
    format!("`{}`", identifier.replace('`', "``"))
}

/// A database's name in a GRANT, where `_` and `%` stand for any characters unless a backslash precedes them.
fn pattern(name: &str) -> String {
    quoted(&name.replace('_', "\\_").replace('%', "\\%"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests;
