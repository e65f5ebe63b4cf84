//! `http`: an HTTP or HTTPS answer, with the certificate verified.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::proof::{Context, NOT_TRIED, Prove, ports};
use crate::sizing::grouped;
use crate::system::net::http::{self, Begun, Request, Response};
use crate::system::net::wire;

/// An HTTP or HTTPS answer, with the certificate verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The URL; its host is the name that the certificate must cover.
    pub url: String,
    /// Connect here instead of resolving the name: an address such as `127.0.0.1`.
    #[serde(default)]
    pub connect: String,
    /// PEM file of the authority (or the self-signed certificate) to trust; the system's bundle when empty.
    #[serde(default)]
    pub trust: String,
    /// PEM file with a certificate that is trusted too: the self-signed one that is used until the authority has
    /// issued one.
    #[serde(default)]
    pub stand_in: String,
    /// The body to POST; may contain placeholders. A GET when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The method; `GET`, or `POST` with a body, when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Headers; values may contain placeholders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What is proven, as a statement ("the administrator can log in"), where the URL does not say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub describe: String,
    /// Expected status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Whether any status from 200 to 299 passes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub success: bool,
    /// Text that the body must contain.
    #[serde(default)]
    pub contains: String,
    /// What the `Location` header must be; for redirects (they are never followed).
    #[serde(default)]
    pub location: String,
    /// Headers that the answer must have, by name; it must not have one whose value is empty here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answer_headers: BTreeMap<String, String>,
    /// The port of the loopback address to which the web server passes the URL on, for what the guide does not start:
    /// then any status passes but 502, 503 and 504, with which a web server says that it got no answer. Not tried where
    /// nothing listens there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u16>,
    /// Whether the server must close the connection without an answer. For plain http.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Slow clients at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Stalled>,
}

/// Clients that stop in the middle of sending a form. They must keep nobody else waiting; with more of them than the
/// application has workers, the web server is shown to keep them away from those. No form is ever complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stalled {
    /// How many.
    pub clients: u32,
    /// The URL to which they send: one where the application reads the request's body.
    pub url: String,
}

/// What a stalled client says that it sends, in bytes: more than web servers keep in memory (Apache 16 KiB).
const FORM: usize = 60_000;

/// After this long, what they sent has arrived.
const STUCK: Duration = Duration::from_secs(1);

const fn ok() -> u16 {
    200
}

impl Prove for Http {
    fn describe(&self) -> String {
        if !self.describe.is_empty() {
            return self.describe.clone();
        }
        if let Some(stalled) = &self.stalled {
            return format!("{} answers while {} clients send slowly", self.url, stalled.clients);
        }
        if self.closed {
            return format!("{} is closed without an answer", self.url);
        }
        if let Some(port) = self.behind {
            return format!("{} is answered by port {port}", self.url);
        }
        match (self.location.as_str(), self.url.starts_with("https:")) {
            ("", true) => format!("{} answers {} over TLS", self.url, self.status),
            ("", false) => format!("{} answers {}", self.url, self.status),
            (location, _) => format!("{} redirects to {location}", self.url),
        }
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let body = cx.secrets.reveal(&self.body)?;
        let headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), cx.secrets.reveal(value)?)))
            .collect::<Outcome<_>>()?;
        let request = Request {
            method: match self.method.as_str() {
                "" if body.is_empty() => "GET",
                "" => "POST",
                named => named,
            },
            url: &self.url,
            connect: &self.connect,
            trust: &self.trust,
            stand_in: &self.stand_in,
            headers: &headers,
            body: body.as_bytes(),
        };
        if self.closed {
            return self.is_closed(cx, &request);
        }
        if let Some(port) = self.behind {
            // Nothing in between must answer instead.
            if !ports::is_open(cx.host, port)? {
                return Ok(format!("{NOT_TRIED}nothing listens on port {port} of the loopback address yet"));
            }
        }
        let Some(stalled) = &self.stalled else { return self.judge(cx, &http::send(cx.host, &request)?) };
        let held = self.stall(cx, stalled, &headers)?;
        cx.host.sleep(STUCK);
        let response = http::send(cx.host, &request).map_err(|failure| Failure {
            why: format!("{}, while {} clients send slowly", failure.why, stalled.clients),
            hint: Some(
                "check that the web server buffers requests before it passes them to the application".to_owned(),
            ),
            ..failure
        });
        let evidence = self.judge(cx, &response?)?;
        Ok(format!("{evidence}, while {} clients sent slowly", held.len()))
    }

    fn independent(&self) -> bool {
        true
    }
}

impl Http {
    /// Clients that have sent half a form, and send no more.
    fn stall(&self, cx: &Context<'_>, stalled: &Stalled, headers: &[(String, String)]) -> Outcome<Vec<Begun>> {
        let mut headers = headers.to_vec();
        headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        headers.push(("Content-Length".to_owned(), FORM.to_string()));
        let half = vec![b'a'; FORM / 2];
        let (url, connect, trust, stand_in) = (&stalled.url, &self.connect, &self.trust, &self.stand_in);
        let request = Request { method: "POST", url, connect, trust, stand_in, headers: &headers, body: &half };
        (0..stalled.clients).map(|_| Begun::new(cx.host, &request, wire::TIMEOUT)).collect()
    }

    fn is_closed(&self, cx: &Context<'_>, request: &Request<'_>) -> Outcome<String> {
        let mut begun = Begun::new(cx.host, request, wire::TIMEOUT)?;
        match begun.stream.read(&mut [0; 64]) {
            Ok(0) => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
            Ok(_) => {
                return Err(Failure::new(format!("have {} closed", self.url), "it is answered")
                    .hint("check which site the web server uses for names that none has"));
            }
            Err(e) => return Err(Failure::new(format!("have {} closed", self.url), e)),
        }
        Ok("closed without an answer".to_owned())
    }

    fn judge(&self, cx: &Context<'_>, response: &Response) -> Outcome<String> {
        let body = String::from_utf8_lossy(&response.body);
        let wrong = |why: String| {
            // An answer may repeat what it was sent.
            let lines: Vec<String> =
                cx.secrets.conceal(&body).lines().take(10).map(|l| l.chars().take(200).collect()).collect();
            Err(Failure::new(format!("get the right answer from {}", self.url), why)
                .tail(lines)
                .hint("check the logs of the web server and the application"))
        };
        if self.behind.is_some() {
            if matches!(response.status, 502..=504) {
                return wrong(format!("it answers {}: the web server got no answer", response.status));
            }
        } else if self.success {
            if !(200..300).contains(&response.status) {
                return wrong(format!("it answers {} instead of 200 to 299", response.status));
            }
        } else if response.status != self.status {
            return wrong(format!("it answers {} instead of {}", response.status, self.status));
        }
        let location = response.header("location").unwrap_or_default();
        if response.tls.is_some() && location.to_ascii_lowercase().starts_with("http://") {
            return wrong(format!("it redirects from https to {location:?}, which is not encrypted"));
        }
        if !self.location.is_empty() && location != self.location {
            return wrong(format!("it redirects to {location:?} instead of {:?}", self.location));
        }
        if !self.contains.is_empty() && !body.contains(&self.contains) {
            return wrong(format!("its content does not contain {:?}", self.contains));
        }
        for (name, value) in &self.answer_headers {
            let shown = response.header(&name.to_ascii_lowercase()).unwrap_or_default();
            if shown != value {
                return wrong(format!("its header {name} is {shown:?} instead of {value:?}"));
            }
        }
        let mut evidence = format!("{}, {} bytes", response.status, grouped(response.body.len() as u64));
        if !location.is_empty() {
            let _ = write!(evidence, ", redirects to {location}");
        }
        if let Some(tls) = &response.tls {
            let _ = write!(
                evidence,
                ", {}, certificate verified, issued by {}, valid until {}",
                tls.version, tls.issuer, tls.until
            );
        }
        Ok(evidence)
    }
}

#[cfg(test)]
mod tests;
