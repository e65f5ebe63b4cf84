//! HTTP/1.1, one request a connection, no redirects followed: enough to ask whether a page is what it should.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use crate::error::{Failure, Outcome};
use crate::host::{Duplex, Host};
use crate::system::net::{tls, wire};

/// The longest answer that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// A request.
pub struct Request<'a> {
    /// `GET`, `POST` or another.
    pub method: &'a str,
    /// `http://` or `https://`; the host in it is the name that the certificate must be good for.
    pub url: &'a str,
    /// Connect here instead of resolving the name.
    pub connect: &'a str,
    /// PEM file to trust instead of the system's bundle.
    pub trust: &'a str,
    /// PEM file with a certificate that is trusted too, where it exists.
    pub stand_in: &'a str,
    /// Names and values.
    pub headers: &'a [(String, String)],
    /// The body; its length is sent unless a header has one, as for a body that is sent later.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The content, transfer encoding undone.
    pub body: Vec<u8>,
    /// How the connection was protected.
    pub tls: Option<Protection>,
}

/// What is known about a protected connection.
#[derive(Debug)]
pub struct Protection {
    /// `TLS 1.3`.
    pub version: &'static str,
    /// Common name (or organisation) of who issued the certificate.
    pub issuer: String,
    /// The certificate's last day, `2027-11-21`.
    pub until: String,
}

impl Response {
    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a request and reads the whole answer.
pub fn send(host: &dyn Host, request: &Request<'_>) -> Outcome<Response> {
    let mut begun = Begun::new(host, request, wire::TIMEOUT)?;
    let answer = read(&mut *begun.stream, parse);
    let response = answer.map_err(|e| failure(what(request), request.url, wire::TIMEOUT, &e))?;
    Ok(Response { tls: begun.tls, ..response })
}

/// A request whose head, and as much of its body as is known, was sent.
pub(crate) struct Begun {
    pub(crate) stream: Box<dyn Duplex>,
    tls: Option<Protection>,
}

impl Begun {
    /// Connects to the request's server, which must authenticate itself, and sends the request. Connecting, and each
    /// read or write, may take `timeout`.
    pub(crate) fn new(host: &dyn Host, request: &Request<'_>, timeout: Duration) -> Outcome<Self> {
        let failed = |e: io::Error| failure(what(request), request.url, timeout, &e);
        let url = Url::parse(request.url).map_err(|why| Failure::new(what(request), why))?;
        let message = compose(request, &url).map_err(|why| Failure::new(what(request), why))?;
        let config = if url.tls { Some(tls::verified(host, request.trust, request.stand_in)?) } else { None };
        let place = if request.connect.is_empty() { url.host } else { request.connect };
        let (stream, _) = wire::connect_within(host, place, url.port, timeout)?;
        let mut begun = Self { stream, tls: None };
        if let Some(config) = config {
            let stream = tls::protect(config, url.host, begun.stream).map_err(failed)?;
            begun = Self { tls: Some(protection(&stream)), stream: Box::new(stream) };
        }
        begun.stream.write_all(&message).and_then(|()| begun.stream.flush()).map_err(failed)?;
        Ok(begun)
    }

    /// The status of the answer; none when the server is silent.
    pub(crate) fn status(&mut self) -> io::Result<Option<u16>> {
        match read(&mut *self.stream, parse_head) {
            Ok(response) => Ok(Some(response.status)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn what(request: &Request<'_>) -> String {
    format!("{} {}", request.method, request.url)
}

/// How an answer begins, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Status code.
    pub status: u16,
    /// The redirect's target; empty without one.
    pub location: String,
    /// What the server's certificate is good for; empty without TLS.
    pub names: Vec<String>,
}

/// Gets the beginning of a page from `connect`, accepting any certificate.
pub fn glance(host: &dyn Host, url: &str, connect: &str) -> Outcome<Glance> {
    let request = Request { method: "GET", url, connect, trust: "", stand_in: "", headers: &[], body: b"" };
    let what = || what(&request);
    let failed = |e: io::Error| failure(what(), request.url, wire::TIMEOUT, &e);
    let url = Url::parse(url).map_err(|why| Failure::new(what(), why))?;
    let message = compose(&request, &url).map_err(|why| Failure::new(what(), why))?;
    let (mut stream, _) = wire::connect(host, connect, url.port)?;
    let (response, names) = if url.tls {
        let config = tls::unverified().map_err(|e| Failure::new(what(), e))?;
        let mut stream = tls::protect(config, url.host, stream).map_err(failed)?;
        (exchange(&mut stream, &message, parse_head), tls::names(&stream))
    } else {
        (exchange(&mut *stream, &message, parse_head), Vec::new())
    };
    let response = response.map_err(failed)?;
    let location = response.header("location").unwrap_or_default().to_owned();
    Ok(Glance { status: response.status, location, names })
}

struct Url<'a> {
    tls: bool,
    /// Host and port as written.
    authority: &'a str,
    host: &'a str,
    port: u16,
    target: &'a str,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self, String> {
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("the URL must begin with http:// or https://".to_owned()),
        };
        let (authority, target) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let default = if tls { 443 } else { 80 };
        // An IPv6 address is in brackets because of its colons.
        let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = match colon {
            Some(at) => {
                let port = authority[at + 1..].parse().map_err(|_| "the URL's port is not a number")?;
                (&authority[..at], port)
            }
            None => (authority, default),
        };
        if host.is_empty() || url.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err("the URL names no host, or contains spaces".to_owned());
        }
        Ok(Self { tls, authority, host, port, target })
    }
}

fn compose(request: &Request<'_>, url: &Url<'_>) -> Result<Vec<u8>, String> {
    let tells = |names: &[&str]| {
        request.headers.iter().any(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
    };
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, url.target);
    if !tells(&["host"]) {
        let _ = write!(head, "Host: {}\r\n", url.authority);
    }
    head.push_str("User-Agent: bringup\r\nAccept: */*\r\n");
    if !tells(&["connection"]) {
        head.push_str("Connection: close\r\n");
    }
    if request.method != "GET" && !tells(&["content-length", "transfer-encoding"]) {
        let _ = write!(head, "Content-Length: {}\r\n", request.body.len());
    }
    for (name, value) in request.headers {
        if format!("{name}{value}").contains(['\r', '\n']) {
            return Err(format!("the value of the header {name:?} has more than one line"));
        }
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    Ok([head.as_bytes(), request.body].concat())
}

/// Finds in what has come so far what was waited for, or nothing yet. True: nothing more will come.
type Find = fn(&[u8], bool) -> Result<Option<Response>, String>;

fn exchange(stream: &mut dyn Duplex, message: &[u8], find: Find) -> io::Result<Response> {
    stream.write_all(message)?;
    stream.flush()?;
    read(stream, find)
}

fn read(stream: &mut dyn Duplex, find: Find) -> io::Result<Response> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let read = match stream.read(&mut chunk) {
            // Many servers end TLS without saying so; whether anything is missing is judged by the content.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(response) = find(&bytes, read == 0).map_err(io::Error::other)? {
            return Ok(response);
        }
        if read == 0 {
            return Err(io::Error::other("the connection ended in the middle of the answer"));
        }
        if bytes.len() > LIMIT {
            return Err(io::Error::other("the answer is longer than 1 MiB"));
        }
    }
}

/// The answer, once it is complete. `ended` says that nothing more will come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Response>, String> {
    let Some(response) = parse_head(bytes, ended)? else { return Ok(None) };
    let end = head_end(bytes).unwrap_or(bytes.len());
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let body = if matches!(response.status, 101 | 204 | 304) {
        // These have none (RFC 9110, section 6.4.1); after 101 the connection goes on in another protocol.
        Some(Vec::new())
    } else if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        unchunk(rest)?
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().map_err(|_| nonsense())?;
        if length > LIMIT {
            return Err(format!("the answer is {length} bytes long; 1 MiB is read at most"));
        }
        rest.get(..length).map(<[u8]>::to_vec)
    } else {
        ended.then(|| rest.to_vec())
    };
    Ok(body.map(|body| Response { body, ..response }))
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n")
}

/// The answer without its content, once its headers are complete.
fn parse_head(bytes: &[u8], _ended: bool) -> Result<Option<Response>, String> {
    let Some(end) = head_end(bytes) else {
        let start = &bytes[..bytes.len().min(5)];
        return if b"HTTP/".starts_with(start) { Ok(None) } else { Err(nonsense()) };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let mut status_line = lines.next().unwrap_or_default().split(' ');
    let version = status_line.next().unwrap_or_default();
    let status = status_line.next().and_then(|code| code.parse().ok());
    let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
        return Err(nonsense());
    };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Some(Response { status, headers, body: Vec::new(), tls: None }))
}

/// The content of a chunked body, once its last chunk has come.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&rest[..end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| nonsense())?;
        if size == 0 {
            return Ok(Some(body));
        }
        if size > LIMIT {
            return Err("the answer is longer than 1 MiB".to_owned());
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        let Some(after) = rest.get(end + 4 + size..) else { return Ok(None) };
        rest = after;
    }
}

fn nonsense() -> String {
    "the answer is not HTTP: another kind of server listens there".to_owned()
}

fn protection(stream: &tls::Protected) -> Protection {
    let version = tls::version(stream);
    let unknown = || "unknown".to_owned();
    let parsed = stream
        .conn
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(|cert| x509_parser::parse_x509_certificate(cert).ok());
    let Some((_, cert)) = parsed else {
        return Protection { version, issuer: unknown(), until: unknown() };
    };
    let name = cert.issuer().iter_common_name().chain(cert.issuer().iter_organization()).next();
    let issuer = name.and_then(|n| n.as_str().ok()).map_or_else(unknown, str::to_owned);
    let until = jiff::Timestamp::from_second(cert.validity().not_after.timestamp())
        .map_or_else(|_| unknown(), |at| at.strftime("%Y-%m-%d").to_string());
    Protection { version, issuer, until }
}

fn failure(what: String, url: &str, timeout: Duration, error: &io::Error) -> Failure {
    use rustls::CertificateError as Bad;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else {
        return match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Failure::new(what, format!("no answer within {} s", timeout.as_secs()))
            }
            _ => Failure::new(what, error),
        };
    };
    let (why, hint) = match tls {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => ("the certificate has expired".to_owned(), "renew it"),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
                "the certificate is not valid yet".to_owned(),
                "check the clocks of this server and of the issuing one",
            ),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => (
                format!("the certificate is not for {}", Url::parse(url).map_or(url, |url| url.host)),
                "use a certificate whose subject alternative names hold that name",
            ),
            Bad::UnknownIssuer => (
                "this server does not trust the authority that issued the certificate".to_owned(),
                "check that the server sends its whole chain, and which authorities are trusted",
            ),
            other => (format!("the certificate is not acceptable: {other:?}"), "use another one"),
        },
        rustls::Error::InvalidMessage(_) => {
            ("the answer is not TLS".to_owned(), "check that the server speaks https on that port")
        }
        other => (other.to_string(), "check the web server's error log"),
    };
    Failure::new(what, why).hint(hint)
}

/// A form as browsers send it.
pub fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
    };
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests;
