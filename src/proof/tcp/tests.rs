#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::Address;
use crate::host::fake::FakeHost;
use crate::secret::{Secret, Secrets};

fn redis(host: &str, preflight: bool) -> Tcp {
    let json = format!(
        r#"{{"protocol": "redis", "host": "{host}", "port": 6379, "password": "⟦secret:pw⟧", "preflight": {preflight}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn prove(host: &FakeHost, proof: &Tcp) -> Outcome<String> {
    let mut secrets = Secrets::default();
    secrets.insert("pw", Secret::new("s3cret-pass"));
    proof.prove(&Context { host, secrets: &secrets })
}

#[test]
fn the_evidence_names_version_and_protection() {
    let host = FakeHost::new();
    let replies = |request: &[u8]| {
        assert!(request.ends_with(b"s3cret-pass\r\n"));
        b"+OK\r\n+PONG\r\n$22\r\nredis_version:7.0.15\r\n\r\n".to_vec()
    };
    for address in [[127, 0, 0, 1], [192, 0, 2, 7]] {
        host.answer(Address::Tcp((address, 6379).into()), replies);
    }
    assert_eq!(prove(&host, &redis("127.0.0.1", false)).unwrap(), "Redis 7.0.15 answers");
    assert_eq!(prove(&host, &redis("192.0.2.7", false)).unwrap(), "Redis 7.0.15 answers, not encrypted");
}

#[test]
fn no_name_and_no_server_are_told_apart() {
    let host = FakeHost::new();
    assert!(prove(&host, &redis("no.such.example", false)).unwrap_err().what.contains("resolve the name"));
    assert!(prove(&host, &redis("127.0.0.1", false)).unwrap_err().why.contains("refused"));
    assert!(prove(&host, &redis("a;b", false)).unwrap_err().why.contains("not a host name"));
}

#[test]
fn nobody_waits_for_a_server_before_anything_is_changed() {
    assert_eq!(redis("a", true).retry_for(), Duration::ZERO);
    assert!(redis("a", false).retry_for() > Duration::ZERO);
}

#[test]
fn tls_alone_proves_nothing_without_a_certificate_to_look_for() {
    let host = FakeHost::new();
    host.answer(Address::Tcp(([127, 0, 0, 1], 6514).into()), |_| Vec::new());
    let proof: Tcp = serde_json::from_str(r#"{"protocol": "tls", "host": "127.0.0.1", "port": 6514}"#).unwrap();
    assert!(prove(&host, &proof).unwrap_err().why.contains("which certificate"));
}
