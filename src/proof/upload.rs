//! `upload`: what visitors may send is as large as was promised, and no larger.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::{Address, Duplex};
use crate::proof::{Cx, Prove};
use crate::system::net::http::{self, Url};
use crate::system::net::{tls, wire};

/// What visitors may send is as large as was promised, and no larger.
///
/// One byte more must be refused, whether the request tells its length or not; the limit itself must be let in, from a
/// client that waits to be told to go on, too. Nothing is kept in memory, and nothing is sent where a length is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The URL to which it is sent: one that leads to the application, and that the application does not know.
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
    /// Bytes that are let in.
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
/// The longest head of an answer that is read, in bytes.
const HEAD: usize = 64 << 10;

impl Prove for Upload {
    fn describe(&self) -> String {
        format!("{} bytes may be sent to {}, and no more", grouped(self.limit), self.url)
    }

    fn prove(&self, cx: &Cx<'_>) -> Outcome<String> {
        let with_length = self.refuses_a_length(cx)?;
        let without = self.refuses_chunks(cx)?;
        let let_in = self.lets_in(cx)?;
        Ok(format!("one byte more: {with_length}; without a length: {without}; {let_in}"))
    }

    fn patience(&self) -> Duration {
        Duration::ZERO
    }
}

impl Upload {
    fn refuses_a_length(&self, cx: &Cx<'_>) -> Outcome<String> {
        let more = self.limit.saturating_add(1);
        let mut stream = self.begin(cx, SOON, &format!("Content-Length: {more}\r\n"))?;
        match self.answer(&mut *stream)? {
            Some(413) => Ok("413".to_owned()),
            Some(status) => Err(self.wrong(&format!("a request of {} bytes is answered with {status}", grouped(more)))),
            None => Err(self.wrong(&format!("a request of {} bytes is not refused by its length", grouped(more)))),
        }
    }

    fn refuses_chunks(&self, cx: &Cx<'_>) -> Outcome<String> {
        let chunked = "Transfer-Encoding: chunked\r\n";
        let mut stream = self.begin(cx, SILENT, chunked)?;
        match self.answer(&mut *stream)? {
            Some(status @ (411 | 413)) => return Ok(status.to_string()),
            Some(status) => return Err(self.wrong(&format!("a request without a length is answered with {status}"))),
            None if self.limit > WHOLE => return Ok("not tried, because it is so much".to_owned()),
            None => {}
        }
        let mut stream = self.begin(cx, ANSWER, chunked)?;
        Self::send(&mut *stream, self.limit.saturating_add(1), true);
        match self.answer(&mut *stream)? {
            Some(413) => Ok("413".to_owned()),
            Some(status) => Err(self.wrong(&format!("without a length, one byte more is answered with {status}"))),
            None => Err(self.wrong("without a length, one byte more is not refused")),
        }
    }

    fn lets_in(&self, cx: &Cx<'_>) -> Outcome<String> {
        let head = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", self.limit);
        let mut stream = self.begin(cx, SOON, &head)?;
        let told = match self.answer(&mut *stream)? {
            None => {
                let why = format!("whoever sends `Expect: 100-continue` waits: no answer within {} s", SOON.as_secs());
                return Err(self.wrong(&why));
            }
            Some(413) => return Err(self.wrong(&format!("{} bytes are refused", grouped(self.limit)))),
            Some(100) => "told to go on".to_owned(),
            Some(status) => format!("answered with {status}"),
        };
        if self.limit > WHOLE {
            return Ok(format!("the limit itself: {told} (not tried: sending all of it)"));
        }
        drop(stream);
        let mut stream = self.begin(cx, ANSWER, &format!("Content-Length: {}\r\n", self.limit))?;
        Self::send(&mut *stream, self.limit, false);
        match self.answer(&mut *stream)? {
            Some(413) => Err(self.wrong(&format!("{} bytes are refused", grouped(self.limit)))),
            Some(status) => Ok(format!("the limit itself: {told}, let in ({status})")),
            None => Err(self.wrong(&format!("{} bytes are not answered", grouped(self.limit)))),
        }
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::new(format!("see the limit of {} bytes at {}", grouped(self.limit), self.url), why)
            .hint("see the settings of the web server's site")
    }

    /// Connects, and sends the head of a request with `fields`.
    fn begin(&self, cx: &Cx<'_>, timeout: Duration, fields: &str) -> Outcome<Box<dyn Duplex>> {
        let url = Url::parse(&self.url).map_err(|why| self.wrong(&why))?;
        let place = if self.connect.is_empty() { url.host } else { &self.connect };
        let io = |e: io::Error| self.wrong(&e.to_string());
        let mut stream = Err(self.wrong(&format!("{place} has no address")));
        for address in wire::resolve(cx.host, place)? {
            stream = cx.host.connect(&Address::Tcp((address, url.port).into()), timeout).map_err(io);
            if stream.is_ok() {
                break;
            }
        }
        let mut stream = stream?;
        if url.tls {
            let config = tls::verified(cx.host, &self.trust, &self.stand_in)?;
            stream = Box::new(tls::protect(config, url.host, stream).map_err(io)?);
        }
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bringup\r\nContent-Type: application/octet-stream\r\n\
             Connection: close\r\n{fields}\r\n",
            url.target, url.authority
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.flush()).map_err(io)?;
        Ok(stream)
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
        // Whatever keeps it from being sent, the answer tells.
        let _ = work();
    }

    /// The status of the answer; none when the server is silent.
    fn answer(&self, stream: &mut dyn Duplex) -> Outcome<Option<u16>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = match stream.read(&mut piece) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
                Err(e) => return Err(self.wrong(&e.to_string())),
            };
            bytes.extend_from_slice(&piece[..read]);
            if let Some(response) = http::parse_head(&bytes, read == 0).map_err(|why| self.wrong(&why))? {
                return Ok(Some(response.status));
            }
            if read == 0 || bytes.len() > HEAD {
                return Err(self.wrong("the connection ended before an answer"));
            }
        }
    }
}

/// `1,204`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
