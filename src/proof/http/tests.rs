#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::Address;
use crate::host::fake::FakeHost;
use crate::secret::{Secret, Secrets, mark};

fn proof(more: &str) -> Http {
    serde_json::from_str(&format!(r#"{{"url": "https://app.example.org/"{more}}}"#)).unwrap()
}

fn response(status: u16, location: &str, body: &str) -> Response {
    let headers = vec![("location".to_owned(), location.to_owned())];
    Response { status, headers, body: body.as_bytes().to_vec(), tls: None }
}

fn judged(more: &str, response: &Response) -> Outcome<String> {
    let mut secrets = Secrets::default();
    secrets.insert("admin.password", Secret::new("correct-horse"));
    proof(more).judge(&Cx { host: &FakeHost::new(), secrets: &secrets }, response)
}

#[test]
fn status_content_and_target_must_all_be_right() {
    let why = |more: &str, response: &Response| judged(more, response).unwrap_err().why;
    assert!(why("", &response(502, "", "")).contains("502 instead of 200"));
    assert!(why(r#", "contains": "It works""#, &response(200, "", "Welcome to nginx")).contains("It works"));
    let redirect = r#", "status": 301, "location": "https://app.example.org/""#;
    assert!(why(redirect, &response(301, "https://other/", "")).contains("https://other/"));
    let evidence = judged(redirect, &response(301, "https://app.example.org/", "moved")).unwrap();
    assert_eq!(evidence, "301, 5 bytes, to https://app.example.org/");
    assert_eq!(judged(r#", "contains": "works""#, &response(200, "", "it works")).unwrap(), "200, 8 bytes");
}

#[test]
fn a_page_over_tls_that_leads_off_it_is_refused() {
    let protection = || http::Protection { version: "TLS 1.3", issuer: String::new(), until: String::new() };
    let answer = |to: &str| Response { tls: Some(protection()), ..response(302, to, "") };
    let why = judged(r#", "status": 302"#, &answer("HTTP://app.example.org/login")).unwrap_err().why;
    assert!(why.contains("leads from https to \"HTTP://app.example.org/login\""), "{why}");
    for fine in ["https://app.example.org/login", "/login"] {
        judged(r#", "status": 302"#, &answer(fine)).unwrap();
    }
}

#[test]
fn numbers_are_grouped_by_thousands() {
    assert_eq!([0, 999, 1204, 1_048_576].map(grouped), ["0", "999", "1,204", "1,048,576"]);
}

#[test]
fn what_is_sent_has_its_secrets_and_what_is_told_has_none() {
    let host = FakeHost::new();
    // A server that repeats what it was sent.
    host.answer(Address::Tcp(([127, 0, 0, 1], 8080).into()), |sent| {
        [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), sent].concat()
    });
    let mut secrets = Secrets::default();
    secrets.insert("admin.password", Secret::new("correct-horse"));
    let mark = mark("admin.password");
    let proof = |contains: &str| -> Outcome<String> {
        let proof: Http = serde_json::from_value(serde_json::json!({
            "url": "http://app.example.org:8080/login", "connect": "127.0.0.1", "describe": "somebody can log in",
            "headers": {"X-Token": mark}, "body": format!("{{\"password\": \"{mark}\"}}"), "contains": contains,
        }))
        .unwrap();
        assert_eq!(proof.describe(), "somebody can log in");
        proof.prove(&Cx { host: &host, secrets: &secrets })
    };
    for sent in ["POST /login HTTP/1.1", "X-Token: correct-horse", "{\"password\": \"correct-horse\"}"] {
        proof(sent).unwrap();
    }
    let told = format!("{:?}", proof("nothing of the kind").unwrap_err());
    assert!(told.contains(&mark) && !told.contains("correct-horse"), "{told}");
}
