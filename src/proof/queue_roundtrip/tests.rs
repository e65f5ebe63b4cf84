#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::host::Address;
use crate::host::fake::FakeHost;
use crate::secret::{Secret, Secrets};

fn job() -> QueueRoundtrip {
    serde_json::from_value(serde_json::json!({
        "url": "http://127.0.0.1:8000", "submit": "/jobs", "poll": "/jobs/{id}", "text": "a b", "expect": "b a",
        "headers": {"X-Proof-Token": "⟦secret:token⟧"},
    }))
    .unwrap()
}

fn answer(status: &str, json: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{json}", json.len()).into_bytes()
}

/// Proves against an application that says `states` one after the other.
fn prove(states: &'static [&'static str]) -> Outcome<String> {
    let host = FakeHost::new();
    let asked = AtomicU32::new(0);
    host.answer(Address::Tcp(([127, 0, 0, 1], 8000).into()), move |request| {
        let request = String::from_utf8_lossy(request);
        if !request.contains("X-Proof-Token: t0ken-value") {
            return answer("403 Forbidden", "{}");
        }
        if request.starts_with("POST /jobs ") && request.ends_with("text=a%20b") {
            return answer("200 OK", r#"{"id": 7}"#);
        }
        if !request.starts_with("GET /jobs/7 ") {
            return Vec::new();
        }
        let at = asked.fetch_add(1, Ordering::Relaxed) as usize;
        answer("200 OK", states[at.min(states.len() - 1)])
    });
    let mut secrets = Secrets::default();
    secrets.insert("token", Secret::new("t0ken-value"));
    job().prove(&Context { host: &host, secrets: &secrets })
}

const QUEUED: &str = r#"{"id": 7, "state": "queued", "result": null, "worker": null}"#;

#[test]
fn a_job_is_waited_for_and_its_worker_named() {
    let evidence = prove(&[QUEUED, QUEUED, r#"{"state": "done", "result": "b a", "worker": "web1:42"}"#]).unwrap();
    assert!(evidence.starts_with("job 7 done by web1:42 in "), "{evidence}");
}

#[test]
fn a_wrong_result_a_failed_job_and_no_worker_are_told_apart() {
    let why = |states| prove(states).unwrap_err().why;
    assert_eq!(why(&[r#"{"state": "done", "result": "x"}"#]), r#"its result is "x" instead of "b a""#);
    assert!(why(&[r#"{"state": "failed"}"#]).contains("failed"));
    assert!(why(&[QUEUED]).contains("no worker has done it"));
    assert!(why(&["no json"]).contains("not JSON"));
}
