#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::*;
use crate::host::Address;
use crate::host::fake::FakeHost;
use crate::host::real::RealHost;
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
    proof(more).judge(&Context { host: &FakeHost::new(), secrets: &secrets }, response)
}

#[test]
fn status_content_and_target_must_all_be_right() {
    let why = |more: &str, response: &Response| judged(more, response).unwrap_err().why;
    assert!(why("", &response(502, "", "")).contains("502 instead of 200"));
    assert!(why(r#", "contains": "It works""#, &response(200, "", "Welcome to nginx")).contains("It works"));
    let redirect = r#", "status": 301, "location": "https://app.example.org/""#;
    assert!(why(redirect, &response(301, "https://other/", "")).contains("https://other/"));
    let evidence = judged(redirect, &response(301, "https://app.example.org/", "moved")).unwrap();
    assert_eq!(evidence, "301, 5 bytes, redirects to https://app.example.org/");
    assert_eq!(judged(r#", "contains": "works""#, &response(200, "", "it works")).unwrap(), "200, 8 bytes");
}

#[test]
fn any_status_of_success_may_do() {
    let any = r#", "success": true"#;
    for status in [200, 201, 204] {
        judged(any, &response(status, "", "")).unwrap();
    }
    for status in [302, 403, 500] {
        let why = judged(any, &response(status, "", "")).unwrap_err().why;
        assert_eq!(why, format!("it answers {status} instead of 200 to 299"));
    }
}

#[test]
fn what_others_start_is_reached_or_not_tried() {
    let behind = r#", "behind": 9000"#;
    for status in [200, 302, 401, 404, 500] {
        judged(behind, &response(status, "", "")).unwrap();
    }
    for status in [502, 503, 504] {
        let why = judged(behind, &response(status, "", "")).unwrap_err().why;
        assert!(why.contains("the web server got no answer"), "{why}");
    }
    let host = FakeHost::new();
    host.put_file("/proc/net/tcp", "  sl  local_address rem_address   st\n", 0o444);
    let evidence = proof(behind).prove(&Context { host: &host, secrets: &Secrets::default() }).unwrap();
    assert_eq!(evidence, "not tried: nothing listens on port 9000 of the loopback address yet");
}

#[test]
fn a_page_over_tls_that_leads_off_it_is_refused() {
    let protection = || http::Protection { version: "TLS 1.3", issuer: String::new(), until: String::new() };
    let answer = |to: &str| Response { tls: Some(protection()), ..response(302, to, "") };
    let why = judged(r#", "status": 302"#, &answer("HTTP://app.example.org/login")).unwrap_err().why;
    assert!(why.contains("redirects from https to \"HTTP://app.example.org/login\""), "{why}");
    for fine in ["https://app.example.org/login", "/login"] {
        judged(r#", "status": 302"#, &answer(fine)).unwrap();
    }
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
        proof.prove(&Context { host: &host, secrets: &secrets })
    };
    for sent in ["POST /login HTTP/1.1", "X-Token: correct-horse", "{\"password\": \"correct-horse\"}"] {
        proof(sent).unwrap();
    }
    let told = format!("{:?}", proof("nothing of the kind").unwrap_err());
    assert!(told.contains(&mark) && !told.contains("correct-horse"), "{told}");
}

/// A web server before an application with as many workers as `free` holds. It asks a worker at once, or with
/// `takes_in` once the whole request is there.
fn serve(stream: TcpStream, takes_in: bool, free: &(Mutex<u32>, Condvar)) -> Option<()> {
    let mut input = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = input.by_ref().take(length);
    // Apache keeps so much in memory, and that takes a moment.
    let first = if takes_in { length } else { length.min(16_384) };
    std::io::copy(&mut body.by_ref().take(first), &mut std::io::sink()).ok()?;
    std::thread::sleep(Duration::from_millis(if length > 0 { 200 } else { 0 }));
    *free.1.wait_while(free.0.lock().unwrap(), |free| *free == 0).unwrap() -= 1;
    let rest = std::io::copy(&mut body, &mut std::io::sink());
    *free.0.lock().unwrap() += 1;
    free.1.notify_one();
    if rest.ok()? + first < length {
        return None;
    }
    input.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()
}

/// A page with two workers.
fn prove_stalled(takes_in: bool, clients: u32) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let free = Arc::new((Mutex::new(2), Condvar::new()));
        for stream in listener.incoming().map_while(Result::ok) {
            let free = Arc::clone(&free);
            std::thread::spawn(move || serve(stream, takes_in, &free));
        }
    });
    let stalled = serde_json::json!({"clients": clients, "url": format!("{page}form")});
    let proof: Http = serde_json::from_value(serde_json::json!({"url": page, "stalled": stalled})).unwrap();
    proof.prove(&Context { host: &RealHost::default(), secrets: &Secrets::default() })
}

#[test]
fn clients_that_are_stuck_keep_nobody_waiting() {
    assert_eq!(prove_stalled(true, 3).unwrap(), "200, 2 bytes, while 3 clients sent slowly");
    let failure = prove_stalled(false, 2).unwrap_err();
    assert_eq!(failure.why, "no answer within 5 s, while 2 clients send slowly");
    // One worker is left.
    prove_stalled(false, 1).unwrap();
}
