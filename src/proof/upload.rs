//! `upload`: what visitors may send is as large as was promised, and no larger.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::Duplex;
use crate::proof::{Context, Prove};
use crate::sizing::grouped;
use crate::system::net::http::{Begun, Request};

/// What visitors may send is as large as was promised, and no larger.
///
/// One byte more must be refused, whether the request tells its length or not; the limit itself must be let in, from a
/// client that waits to be told to go on, too. Nothing is kept in memory, and nothing is sent where a length is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The URL to upload to: one that is passed to the application, but that it does not know.
    pub url: String,
    /// Connect here instead of resolving the name.
    #[serde(default)]
    pub connect: String,
    /// PEM file to trust instead of the system's bundle.
    #[serde(default)]
    pub trust: String,
    /// PEM file with a certificate that is trusted too, where it exists.
    #[serde(default)]
    pub stand_in: String,
    /// Largest accepted upload, in bytes.
    pub limit: u64,
}

/// Bodies up to so many bytes are sent as a whole.
const WHOLE: u64 = 64 << 20;
/// How long an answer may take that does not depend on the application.
const SOON: Duration = Duration::from_secs(5);
/// After so long a server waits for the body.
const SILENT: Duration = Duration::from_secs(1);
/// How long the application may take to answer.
const ANSWER: Duration = Duration::from_mins(1);

impl Prove for Upload {
    fn describe(&self) -> String {
        format!("{} bytes can be uploaded to {}, and no more", grouped(self.limit), self.url)
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let with_length = self.refuses_a_length(cx)?;
        let without = self.refuses_chunks(cx)?;
        let let_in = self.lets_in(cx)?;
        Ok(format!("one byte more: {with_length}; without a length: {without}; {let_in}"))
    }

    fn retry_for(&self) -> Duration {
        Duration::ZERO
    }

    fn independent(&self) -> bool {
        true
    }
}

impl Upload {
    fn refuses_a_length(&self, cx: &Context<'_>) -> Outcome<String> {
        let more = self.limit.saturating_add(1);
        let mut begun = self.begin(cx, SOON, &[("Content-Length", &more.to_string())])?;
        match self.status(&mut begun)? {
            Some(413) => Ok("413".to_owned()),
            Some(status) => Err(self.wrong(&format!("a request of {} bytes is answered with {status}", grouped(more)))),
            None => Err(self.wrong(&format!("a request of {} bytes is not refused by its length", grouped(more)))),
        }
    }

    fn refuses_chunks(&self, cx: &Context<'_>) -> Outcome<String> {
        let chunked = &[("Transfer-Encoding", "chunked")];
        let mut begun = self.begin(cx, SILENT, chunked)?;
        match self.status(&mut begun)? {
            Some(status @ (411 | 413)) => return Ok(status.to_string()),
            Some(status) => return Err(self.wrong(&format!("a request without a length is answered with {status}"))),
            None if self.limit > WHOLE => return Ok("not tried, because of its size".to_owned()),
            None => {}
        }
        let mut begun = self.begin(cx, ANSWER, chunked)?;
        Self::send(&mut *begun.stream, self.limit.saturating_add(1), true);
        match self.status(&mut begun)? {
            Some(413) => Ok("413".to_owned()),
            Some(status) => Err(self.wrong(&format!("without a length, one byte more is answered with {status}"))),
            None => Err(self.wrong("without a length, one byte more is not refused")),
        }
    }

    fn lets_in(&self, cx: &Context<'_>) -> Outcome<String> {
        let limit = self.limit.to_string();
        let mut begun = self.begin(cx, SOON, &[("Content-Length", &limit), ("Expect", "100-continue")])?;
        let told = match self.status(&mut begun)? {
            None => {
                let why =
                    format!("a client that sends `Expect: 100-continue` waits: no answer within {} s", SOON.as_secs());
                return Err(self.wrong(&why));
            }
            Some(413) => return Err(self.wrong(&format!("{} bytes are refused", grouped(self.limit)))),
            Some(100) => "told to continue".to_owned(),
            Some(status) => format!("answered with {status}"),
        };
        if self.limit > WHOLE {
            return Ok(format!("the limit itself: {told} (not tried: sending all of it)"));
        }
        drop(begun);
        let mut begun = self.begin(cx, ANSWER, &[("Content-Length", &limit)])?;
        Self::send(&mut *begun.stream, self.limit, false);
        match self.status(&mut begun)? {
            Some(413) => Err(self.wrong(&format!("{} bytes are refused", grouped(self.limit)))),
            Some(status) => Ok(format!("the limit itself: {told}, accepted ({status})")),
            None => Err(self.wrong(&format!("{} bytes are not answered", grouped(self.limit)))),
        }
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::new(format!("verify the limit of {} bytes at {}", grouped(self.limit), self.url), why)
            .hint("check the settings of the web server's site")
    }

    /// Begins a request with `fields`, names and values.
    fn begin(&self, cx: &Context<'_>, timeout: Duration, fields: &[(&str, &str)]) -> Outcome<Begun> {
        let fields = [&[("Content-Type", "application/octet-stream")], fields].concat();
        let headers: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let request = Request {
            method: "POST",
            url: &self.url,
            connect: &self.connect,
            trust: &self.trust,
            stand_in: &self.stand_in,
            headers: &headers,
            body: b"",
        };
        Begun::new(cx.host, &request, timeout)
    }

    /// Sends `count` bytes, or as many as the server takes: it may answer earlier.
    fn send(stream: &mut dyn Duplex, count: u64, chunked: bool) {
        const PIECE: usize = 64 << 10;
        let zeros = vec![0; PIECE];
        let mut left = count;
        let mut work = || -> io::Result<()> {
            while left > 0 {
                let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                if chunked {
                    stream.write_all(format!("{now:x}\r\n").as_bytes())?;
                }
                stream.write_all(&zeros[..now])?;
                if chunked {
                    stream.write_all(b"\r\n")?;
                }
                left -= now as u64;
            }
            if chunked {
                stream.write_all(b"0\r\n\r\n")?;
            }
            stream.flush()
        };
        // Whatever prevents sending it, the answer decides.
        let _ = work();
    }

    /// The status of the answer; none when the server is silent.
    fn status(&self, begun: &mut Begun) -> Outcome<Option<u16>> {
        begun.status().map_err(|e| self.wrong(&e.to_string()))
    }
}

#[cfg(test)]
mod tests;
