#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fake::FakeHost;

fn wanted(password: Option<&str>) -> DatabaseSpec {
    DatabaseSpec {
        name: "shop".to_owned(),
        role: "app".to_owned(),
        password: password.map(str::to_owned),
        createdb: None,
        owner: String::new(),
        cluster: String::new(),
        extensions: Vec::new(),
    }
}

fn state(answer: &str) -> ServerState {
    ServerState::from_values(answer.split('|')).unwrap()
}

#[test]
fn nothing_there_makes_role_and_database() {
    let statements = statements(&wanted(None), &state("f|f|f|f|f|f||f"));
    assert_eq!(
        statements,
        [
            "CREATE ROLE \"app\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE",
            "CREATE DATABASE \"shop\" OWNER \"app\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'",
            "REVOKE CONNECT ON DATABASE \"shop\" FROM PUBLIC",
        ]
    );
}

#[test]
fn a_password_becomes_a_scram_verifier() {
    let statements = statements(&wanted(Some("s3cret")), &state("t|t|f|t|t|f|UTF8|f"));
    assert!(statements[0].starts_with("ALTER ROLE \"app\" PASSWORD 'SCRAM-SHA-256$4096:"));
    assert!(!statements[0].contains("s3cret"));
}

#[test]
fn the_right_to_make_databases_comes_and_goes_where_it_is_asked_for() {
    let asked = |createdb: bool, answer: &str| {
        let wanted = DatabaseSpec { createdb: Some(createdb), ..wanted(None) };
        let state = state(answer);
        assert_eq!(state.obstacle(&wanted), None);
        statements(&wanted, &state)[0].clone()
    };
    assert_eq!(asked(true, "f|f|f|f|f|f||f"), "CREATE ROLE \"app\" LOGIN NOSUPERUSER CREATEDB NOCREATEROLE");
    assert_eq!(asked(true, "t|t|f|t|t|f|UTF8|f"), "ALTER ROLE \"app\" CREATEDB");
    assert_eq!(asked(false, "t|t|f|t|t|f|UTF8|t"), "ALTER ROLE \"app\" NOCREATEDB");
    assert!(asked(true, "t|t|f|t|t|f|UTF8|t").starts_with("REVOKE"));
    assert!(state("t|t|f|t|t|f|UTF8|t").obstacle(&wanted(None)).unwrap().contains("CREATEDB"));
}

#[test]
fn a_role_that_does_not_own_its_database_may_still_work_in_it() {
    let wanted = DatabaseSpec { owner: "postgres".to_owned(), ..wanted(None) };
    let statements = statements(&wanted, &state("f|f|f|f|f|f||f"));
    assert!(statements[1].starts_with("CREATE DATABASE \"shop\" OWNER \"postgres\" TEMPLATE"), "{statements:?}");
    assert_eq!(statements.last().unwrap(), "GRANT CONNECT ON DATABASE \"shop\" TO \"app\"");
    assert!(
        ServerState::query("shop", "app", wanted.owner()).contains("pg_catalog.pg_get_userbyid(d.datdba) = 'postgres'")
    );
    assert!(state("t|t|f|t|f|f|UTF8|f").obstacle(&wanted).unwrap().contains("belongs to another role"));
}

#[test]
fn what_belongs_to_somebody_else_is_not_bent() {
    let why = |answer: &str| state(answer).obstacle(&wanted(None)).unwrap_or_default();
    assert!(why("t|t|t|f|f|f||f").contains("superuser"));
    assert!(why("t|f|f|f|f|f||f").contains("may not log in"));
    assert!(why("t|t|f|t|f|f|UTF8|f").contains("belongs to another role"));
    assert!(why("t|t|f|t|t|f|SQL_ASCII|f").contains("SQL_ASCII"));
    assert_eq!(why("t|t|f|t|t|t|UTF8|f"), "");
}

#[test]
fn an_answer_of_another_form_is_no_state() {
    assert_eq!(ServerState::from_values("t|t|maybe|t|t|f|UTF8|f".split('|')), None);
    assert_eq!(ServerState::from_values("".split('|')), None);
}

#[test]
fn the_newest_version_and_the_only_socket_are_used() {
    let host = FakeHost::new();
    assert!(program(&host, "psql").unwrap_err().hint.unwrap().contains("apt-get install"));
    assert_eq!(port(&host), 5432);
    for version in ["9", "15"] {
        host.put_file(format!("/usr/lib/postgresql/{version}/bin/psql"), "elf", 0o755);
    }
    assert_eq!(program(&host, "psql").unwrap(), Path::new("/usr/lib/postgresql/15/bin/psql"));
    host.put_file("/var/run/postgresql/.s.PGSQL.5433", "", 0o600);
    host.put_file("/var/run/postgresql/.s.PGSQL.5433.lock", "", 0o600);
    assert_eq!(port(&host), 5433);
    host.put_file("/var/run/postgresql/.s.PGSQL.5432", "", 0o600);
    assert_eq!(port(&host), 5432);
}

#[test]
fn quotes_are_doubled() {
    assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    assert_eq!(literal("a'b"), "'a''b'");
}
