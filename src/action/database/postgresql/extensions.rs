//! Extensions in a database.

use super::{Server, literal, quoted};
use crate::action::database::DatabaseSpec;
use crate::error::{Failure, Outcome};
use crate::host::Host;

/// An extension that is missing.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    name: String,
    /// Whether the engine has it.
    available: bool,
    /// Whether a database's owner may create it (`trusted` in its control file).
    trusted: bool,
    /// Whether it has a schema of its own.
    own_schema: bool,
}

/// Whether the database has them all; false when the engine does not say.
pub(super) fn are_there(host: &dyn Host, wanted: &DatabaseSpec) -> bool {
    wanted.extensions.is_empty()
        || Server::find(host, &wanted.cluster)
            .and_then(|server| missing(host, &server, wanted))
            .is_ok_and(|missing| missing.is_empty())
}

/// Creates those that are missing.
///
/// The script of an extension runs as the superuser, and looks names up where the owner of the database may have put
/// functions of their own. What a trusted one does the owner could have done anyway; others are created only before the
/// database has anything of anybody else's.
pub(super) fn create(host: &dyn Host, server: &Server, wanted: &DatabaseSpec) -> Outcome<()> {
    if wanted.extensions.is_empty() {
        return Ok(());
    }
    let missing = missing(host, server, wanted)?;
    let what = |name: &str| format!("create the extension {name} in the PostgreSQL database {}", wanted.name);
    for extension in &missing {
        if !extension.available {
            return Err(Failure::new(what(&extension.name), "PostgreSQL does not have it").hint(
                "install the Debian package that has it; `select name from pg_available_extensions` lists the others",
            ));
        }
        if !extension.trusted && server.ask_in(host, &wanted.name, &what(&extension.name), IN_USE)? != "f" {
            return Err(Failure::new(
                what(&extension.name),
                "its script would run as the superuser in a database that is in use, among functions of its owner's",
            )
            .hint(format!(
                "create it by hand, if you trust the application: runuser -u postgres -- psql -d {} -c 'create \
                 extension {}'",
                wanted.name,
                quoted(&extension.name)
            )));
        }
        server.ask_in(host, &wanted.name, &what(&extension.name), &statement(extension)).map(drop)?;
    }
    Ok(())
}

/// Whether roles without a superuser's rights own anything in this database, or are connected to it.
const IN_USE: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_shdepend d \
    JOIN pg_catalog.pg_database b ON b.oid = d.dbid AND b.datname = pg_catalog.current_database() \
    JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid AND NOT r.rolsuper \
    WHERE d.deptype = 'o' AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass) \
    OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid \
    AND NOT r.rolsuper WHERE a.datname = pg_catalog.current_database())";

fn missing(host: &dyn Host, server: &Server, wanted: &DatabaseSpec) -> Outcome<Vec<Missing>> {
    let what = format!("list the extensions of the PostgreSQL database {}", wanted.name);
    let answer = server.ask_in(host, &wanted.name, &what, &query(&wanted.extensions))?;
    answer
        .lines()
        .map(|line| read(line).ok_or_else(|| Failure::new(&*what, format!("unexpected answer: {line:?}"))))
        .collect()
}

fn query(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!(
        "SELECT w.name, a.name IS NOT NULL, coalesce(v.trusted, false), coalesce(v.schema, '') <> '' \
         FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) WITH ORDINALITY w(name, at) \
         LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = w.name::pg_catalog.name \
         LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = w.name::pg_catalog.name) \
         ORDER BY w.at",
        names.join(", ")
    )
}

fn read(line: &str) -> Option<Missing> {
    let mut values = line.split('|');
    let name = values.next()?.to_owned();
    let mut is = || Some(values.next()? == "t");
    Some(Missing { name, available: is()?, trusted: is()?, own_schema: is()? })
}

/// Others would have no schema, since none is looked up in.
fn statement(extension: &Missing) -> String {
    let schema = if extension.own_schema { "" } else { " SCHEMA public" };
    format!("CREATE EXTENSION IF NOT EXISTS {}{schema}", quoted(&extension.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_missing_is_read_and_created_where_it_belongs() {
        let trigrams = read("pg_trgm|t|t|f").unwrap();
        let missing =
            |available, trusted, own_schema| Missing { name: "pg_trgm".into(), available, trusted, own_schema };
        assert_eq!(trigrams, missing(true, true, false));
        assert_eq!(statement(&trigrams), "CREATE EXTENSION IF NOT EXISTS \"pg_trgm\" SCHEMA public");
        assert_eq!(statement(&missing(true, false, true)), "CREATE EXTENSION IF NOT EXISTS \"pg_trgm\"");
        assert_eq!(read("pg_trgm|t|t"), None);
        let names = ["uuid-ossp".to_owned(), "o'x".to_owned()];
        assert!(query(&names).contains("ARRAY['uuid-ossp', 'o''x']::pg_catalog.text[]"));
    }
}
