//! `queue_roundtrip`: a job handed in over HTTP, done by a worker, and its result read back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Failure, Outcome};
use crate::proof::{Context, Prove};
use crate::system::net::http::{self, Request};

/// A job handed in over HTTP, done by a worker, and its result read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRoundtrip {
    /// Base URL of the application.
    pub url: String,
    /// Connect here instead of resolving the name.
    #[serde(default)]
    pub connect: String,
    /// PEM file to trust.
    #[serde(default)]
    pub trust: String,
    /// PEM file with a certificate that is trusted too: the self-signed one that is used until the authority has
    /// issued one.
    #[serde(default)]
    pub stand_in: String,
    /// Path to POST to (`/jobs`); the answer is JSON with an `id`.
    pub submit: String,
    /// Path to poll, `{id}` in it replaced (`/jobs/{id}`); the answer is JSON with a `state`.
    pub poll: String,
    /// The text that is sent as the field `text`.
    pub text: String,
    /// What `result` must be once `state` is `done`; empty for anything.
    #[serde(default)]
    pub expect: String,
    /// Headers; values may contain placeholders.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Timeout of one job. Then another is tried, until the proof's timeout.
const LONGEST: Duration = Duration::from_secs(8);

impl Prove for QueueRoundtrip {
    fn describe(&self) -> String {
        format!("a worker completes a job submitted at {}{}", self.url, self.submit)
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let start = cx.host.now();
        let body = http::form(&[("text", &self.text)]);
        let accepted = self.ask(cx, "POST", &self.submit, body.as_bytes())?;
        let id = accepted.get("id").and_then(text).ok_or_else(|| {
            Failure::new(format!("submit a job at {}{}", self.url, self.submit), "the answer has no `id`")
        })?;
        let poll = self.poll.replace("{id}", &id);
        let mut pause = Duration::from_millis(10);
        loop {
            let job = self.ask(cx, "GET", &poll, &[])?;
            let took = cx.host.now().since(start).as_secs_f64();
            match job.get("state").and_then(Value::as_str) {
                Some("done") => return self.judge(&id, &job, took),
                Some("failed") => {
                    return Err(Failure::new(format!("complete job {id}"), "the worker reports that it failed")
                        .hint("check the worker's log"));
                }
                _ => {}
            }
            if took >= LONGEST.as_secs_f64() {
                return Err(Failure::new(
                    format!("complete job {id}"),
                    format!("no worker completed it within {} s", LONGEST.as_secs()),
                )
                .hint("check that a worker runs, and that it uses the same queue as the application"));
            }
            cx.host.sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    fn independent(&self) -> bool {
        true
    }
}

impl QueueRoundtrip {
    fn ask(&self, cx: &Context<'_>, method: &str, path: &str, body: &[u8]) -> Outcome<Value> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            headers.push((name.clone(), cx.secrets.reveal(value)?));
        }
        if method == "POST" {
            let form = "application/x-www-form-urlencoded";
            headers.push(("Content-Type".to_owned(), form.to_owned()));
        }
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let request = Request {
            method,
            url: &url,
            connect: &self.connect,
            trust: &self.trust,
            stand_in: &self.stand_in,
            headers: &headers,
            body,
        };
        let response = http::send(cx.host, &request)?;
        let what = || format!("{method} {url}");
        if !(200..300).contains(&response.status) {
            let answer = cx.secrets.conceal(&String::from_utf8_lossy(&response.body));
            let tail = answer.lines().take(5).map(|line| line.chars().take(200).collect()).collect();
            return Err(Failure::new(what(), format!("it answers {}", response.status)).tail(tail));
        }
        serde_json::from_slice(&response.body).map_err(|e| Failure::new(what(), format!("the answer is not JSON: {e}")))
    }

    fn judge(&self, id: &str, job: &Value, took: f64) -> Outcome<String> {
        let result = job.get("result").and_then(text).unwrap_or_default();
        if !self.expect.is_empty() && result != self.expect {
            return Err(Failure::new(
                format!("complete job {id}"),
                format!("its result is {result:?} instead of {:?}", self.expect),
            ));
        }
        let worker = job.get("worker").and_then(text).unwrap_or_else(|| "a worker".to_owned());
        Ok(format!("job {id} completed by {worker} in {took:.2} s"))
    }
}

/// A text or a number, as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
