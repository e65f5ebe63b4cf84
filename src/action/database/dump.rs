//! Logical dumps: the only representation of a database that stays the same while its data does.
//!
//! They are piped from the engine's tool into a file or a hash, since they may be larger than memory.

use std::path::PathBuf;
use std::time::Duration;

use crate::action::database::DatabaseServer;
use crate::action::database::postgresql::{self, Elsewhere};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Output};
use crate::undo::UndoContext;

/// Timeout of a dump.
pub const LONGEST: Duration = Duration::from_hours(4);

/// Prints the SHA-256 of a dump without what differs between dumps (random `\restrict` tokens, tool versions, session
/// settings) and without sequence values, which jump ahead when an engine recovers from a crash; then the number of
/// statements with content.
const SUMMARY: &str = r"
noise() {
    sed -E -e '/^\\(un)?restrict [A-Za-z0-9]+$/d' -e '/^-- Dumped (from|by) /d' \
        -e '/^\/\*M?![0-9]+ ?(SET .*|\\?-? ?enable the sandbox mode ?)\*\/;? ?$/d' -e '/^\/\*M?!999999/d' \
        -e '/^SELECT pg_catalog\.setval\(/d' -e 's/^(\) ENGINE=.*) AUTO_INCREMENT=[0-9]+/\1/'
}
hash() { noise | sha256sum | cut -c 1-64; }
count() { noise | grep -cvE '^(--.*|SET .*|SELECT pg_catalog\.set_config.*|/\*.*|)$' || test $? = 1; }
";

/// A dump in a file.
pub struct Dump {
    what: String,
    /// The file, 0600.
    pub path: PathBuf,
    /// See [`fingerprint_of`].
    pub fingerprint: String,
    statements: u64,
}

/// Dumps a database into the directory for dumps, durably.
pub fn take(cx: &UndoContext<'_>, server: &DatabaseServer, name: &str) -> Outcome<Dump> {
    let of = match server {
        DatabaseServer::Postgresql(at) if !matches!(at.cluster.as_str(), "") && !at.cluster.ends_with("/main") => {
            format!("{}-{}", at.cluster.replace('/', "-"), file_name(name))
        }
        _ => file_name(name),
    };
    take_as(cx, server, name, &of, &[])
}

/// Dumps some tables and sequences of a PostgreSQL database.
pub fn take_tables(cx: &UndoContext<'_>, server: &DatabaseServer, name: &str, tables: &[String]) -> Outcome<Dump> {
    // A command line is limited in length: beyond that the whole database is dumped.
    let options: Vec<String> =
        if tables.len() > 200 { Vec::new() } else { tables.iter().map(|table| format!("--table={table}")).collect() };
    take_as(cx, server, name, &format!("{}-of-the-role", file_name(name)), &options)
}

fn take_as(cx: &UndoContext<'_>, server: &DatabaseServer, name: &str, of: &str, options: &[String]) -> Outcome<Dump> {
    let engine = server.engine();
    let path = cx.dumps.join(format!("{}-{of}.sql", engine.id()));
    let script = format!(
        "{SUMMARY}umask 077; file=$1; shift; \"$@\" > \"$file\" && sync \"$file\" \"${{file%/*}}\" \
         && hash < \"$file\" && count < \"$file\""
    );
    let what = format!("dump the {} database {name} to {}", engine.title(), path.display());
    let output = bash(cx.host, &what, &script, Some(&path), tool(cx.host, server, name, options)?)?;
    let text = output.text();
    let mut lines = text.lines();
    let (Some(hash), Some(Ok(statements))) = (lines.next(), lines.next().map(str::parse)) else {
        return Err(Failure::new(what, "the dump could not be read"));
    };
    let what = format!("the {} database {name}", engine.title());
    Ok(Dump { what, path, fingerprint: hash.to_owned(), statements })
}

/// A database's name as part of a file name: it must not choose a path of root's.
pub fn file_name(name: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain) {
        return name.to_owned();
    }
    let plain: String =
        name.chars().map(|c| if u8::try_from(c).is_ok_and(is_plain) { c } else { '_' }).take(40).collect();
    format!("{plain}-{}", &sha256_hex(name.as_bytes())[..8])
}

/// The fingerprint of a database with what its role has created elsewhere; the plain one where it has created nothing.
pub fn with_elsewhere(own: &str, elsewhere: &Elsewhere) -> String {
    let tables = elsewhere.objects.iter().flat_map(|(name, tables)| tables.iter().map(move |table| (name, table)));
    let mut all: Vec<String> = tables.map(|(name, table)| format!("{name:?} {table:?}")).collect();
    all.extend(elsewhere.databases.iter().map(|name| format!("{name:?}")));
    if all.is_empty() { own.to_owned() } else { sha256_hex(format!("{own}\n{}", all.join("\n")).as_bytes()) }
}

impl Dump {
    /// Reports what was dumped to which file; an empty dump is removed.
    pub fn keep_if_filled(self, cx: &UndoContext<'_>) -> Outcome<Option<PathBuf>> {
        if self.statements == 0 {
            let failed = |e| Failure::new(format!("remove the empty dump {}", self.path.display()), e);
            cx.host.remove(&self.path).map_err(failed)?;
            return Ok(None);
        }
        (cx.dumped)(&self.what, &self.path);
        Ok(Some(self.path))
    }
}

/// SHA-256 of a database's logical dump, without what changes by itself.
pub fn fingerprint_of(host: &dyn Host, server: &DatabaseServer, name: &str) -> Outcome<String> {
    let what = format!("read the data of the {} database {name}", server.engine().title());
    let output = bash(host, &what, &format!("{SUMMARY}\"$@\" | hash"), None, tool(host, server, name, &[])?)?;
    Ok(output.text())
}

/// The engine's own dump tool, as the user who may read everything.
fn tool(host: &dyn Host, server: &DatabaseServer, name: &str, options: &[String]) -> Outcome<Vec<String>> {
    let mut argv: Vec<String> = Vec::new();
    match server {
        DatabaseServer::Postgresql(at) => {
            let program = postgresql::program(host, "pg_dump")?.display().to_string();
            let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", &program];
            argv.extend(user.map(str::to_owned));
            argv.extend(at.place());
            argv.extend(options.iter().cloned());
            argv.extend(["--".to_owned(), postgresql::conninfo(name)]);
        }
        DatabaseServer::Mariadb => {
            let options =
                ["--protocol=socket", "--skip-comments", "--skip-dump-date", "--single-transaction", "--hex-blob"];
            let all = ["--routines", "--events", "--triggers", "--", name];
            argv.extend(["mariadb-dump"].into_iter().chain(options).chain(all).map(str::to_owned));
        }
    }
    Ok(argv)
}

fn bash(host: &dyn Host, what: &str, script: &str, file: Option<&PathBuf>, tool: Vec<String>) -> Outcome<Output> {
    // bash is essential on Debian; its pipefail reports a failure in front of a pipe.
    let argv = ["/bin/bash", "-o", "pipefail", "-c", script, "bash"].map(str::to_owned);
    let file = file.map(|path| path.display().to_string());
    let command = Command::new(argv.into_iter().chain(file).chain(tool)).timeout(LONGEST);
    let output = host.run(&command).map_err(|e| Failure::new(what, e))?;
    if output.ok() {
        return Ok(output);
    }
    let why = output.tail(1).pop().unwrap_or_else(|| format!("it ended with status {}", output.status));
    Err(Failure::new(what, why).tail(output.tail(10)))
}

#[cfg(test)]
mod tests;
