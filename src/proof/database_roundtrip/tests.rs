#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::Stdin;
use crate::host::fake::{FakeHost, output};
use crate::secret::Secrets;

fn row(engine: &str) -> DatabaseRoundtrip {
    let json = format!(r#"{{"engine": "{engine}", "name": "shop", "role": "app", "user": "app"}}"#);
    serde_json::from_str(&json).unwrap()
}

/// Proves against a client that answers with what `reply` makes of its input (or its arguments).
fn prove(engine: &str, reply: fn(&str) -> String) -> Outcome<String> {
    let host = FakeHost::new();
    host.put_file("/etc/passwd", "app:x:101:101::/:/bin/sh\n", 0o644);
    host.put_file("/usr/lib/postgresql/15/bin/psql", "elf", 0o755);
    for program in ["/usr/lib/postgresql/15/bin/psql", "mariadb", "python3"] {
        host.on(&[program], move |_, command| {
            assert_eq!(command.user.as_deref(), Some("app"));
            let text = match &command.stdin {
                Stdin::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Stdin::Null => command.argv.join("'"),
            };
            output(0, &reply(&text), "")
        });
    }
    row(engine).prove(&Context { host: &host, secrets: &Secrets::default() })
}

/// What a working engine answers: the value in the INSERT, or the last argument of the script.
fn echo(text: &str) -> String {
    let inserted = text.split_once("VALUES ('").and_then(|(_, rest)| rest.split_once('\''));
    let value = inserted.map_or_else(|| text.rsplit('\'').next().unwrap(), |(value, _)| value);
    format!("{value} Engine 1.2\n")
}

#[test]
fn the_row_that_was_written_must_come_back() {
    for engine in ["sqlite", "postgresql", "mariadb"] {
        let evidence = prove(engine, echo).unwrap();
        assert!(evidence.starts_with("app wrote a row and read it back in"), "{evidence}");
        assert!(evidence.ends_with(", Engine 1.2"), "{evidence}");
        assert!(prove(engine, |_| "something else 1.2".to_owned()).is_err());
        assert!(prove(engine, |_| String::new()).is_err());
    }
}

#[test]
fn the_table_goes_again() {
    let probe = Probe { table: "bringup_proof_1".to_owned(), value: "v".to_owned() };
    for engine in ["postgresql", "mariadb"] {
        let statements = row(engine).statements(&probe);
        assert!(statements[0].starts_with("CREATE TABLE bringup_proof_1"));
        assert_eq!(statements[3], "DROP TABLE bringup_proof_1");
    }
}

#[test]
fn no_two_proofs_share_a_table() {
    let host = crate::host::real::RealHost::default();
    let [a, b] = [0, 1].map(|_| Probe::new(&host).unwrap());
    assert!(a.table != b.table && a.value != b.value);
}
