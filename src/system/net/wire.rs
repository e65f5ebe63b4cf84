//! Clients for the protocols that engines speak, just large enough to log in and run a statement.
//!
//! They work on any byte stream, so that they can be tested against recorded bytes, and tell apart what an
//! administrator has to tell apart: name, network, password, database.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::{Failure, Outcome};
use crate::host::{Address, Command, Duplex, Host};
use crate::system::net::tls;

pub mod amqp;
pub mod dns;
pub mod mysql;
pub mod postgresql;
pub mod redis;

/// How long connecting, and each reading or writing, may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest message that is accepted from a server, in bytes. What is read here is small; a larger length
/// means that something else answers on the port.
pub const MESSAGE_LIMIT: usize = 4 << 20;

/// Who logs in, and where to.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The user; empty where the protocol has none.
    pub user: &'a str,
    /// The password itself.
    pub password: &'a str,
    /// Database, virtual host or Redis database number.
    pub database: &'a str,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// It does not leave this server.
    Local,
    /// It does: TLS is used where the server offers it, as `libpq` and the MySQL clients do by default (encrypted, the
    /// certificate not verified). The server may be an impostor: the password itself is never sent, only a proof of it.
    Remote,
}

/// What a server's certificate must be signed by, where that is known; TLS is then not left to the server's choice.
pub type Verify = Option<std::sync::Arc<rustls::ClientConfig>>;

/// The authorities in the PEM file `ca`; none when that is empty.
pub fn verify(host: &dyn Host, ca: &str) -> Outcome<Verify> {
    if ca.is_empty() { Ok(None) } else { tls::verified(host, ca, "").map(Some) }
}

/// The server offers no TLS where its certificate was to be seen.
fn no_tls() -> WireError {
    WireError::Unable("the server offers no TLS, so it cannot show its certificate: enable TLS there".to_owned())
}

/// Encrypts the connection to the server `name`, whose certificate is verified where it is known by what.
fn encrypt(stream: Box<dyn Duplex>, name: &str, verify: Verify) -> Result<tls::Protected, WireError> {
    let config = verify.map_or_else(tls::unverified, Ok).map_err(io::Error::other)?;
    tls::protect(config, name, stream).map_err(unprotected)
}

/// A handshake that failed.
fn unprotected(error: io::Error) -> WireError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if inner.is_some() {
        return WireError::Unable(format!("TLS failed: {error}"));
    }
    WireError::Lost(error)
}

impl Channel {
    /// The channel to an address.
    pub fn to(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() { Self::Local } else { Self::Remote }
    }
}

/// Why a server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection broke, or nothing came in time.
    #[error("{}", lost(.0))]
    Lost(#[from] io::Error),
    /// The server does not accept the user or the password.
    #[error("{0}")]
    Credentials(String),
    /// The database (or virtual host) does not exist, or the user may not use it.
    #[error("{0}")]
    Database(String),
    /// The user has to authenticate by a method that is not spoken here.
    #[error("{user} has to authenticate by {method}, which bringup does not support")]
    Method {
        /// Who logs in.
        user: String,
        /// The method, as the server names it.
        method: String,
        /// What the server's administrator can do.
        remedy: String,
    },
    /// The server wants something that is not spoken here.
    #[error("{0}")]
    Unable(String),
    /// Any other refusal, with the server's message.
    #[error("{0}")]
    Server(String),
}

fn lost(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s", TIMEOUT.as_secs())
        }
        _ => error.to_string(),
    }
}

impl WireError {
    /// Tells what was attempted, and what to do about it.
    pub fn failure(&self, what: impl Into<String>) -> Failure {
        let failure = Failure::new(what, self);
        match self {
            Self::Lost(_) => failure.hint("check that the port belongs to this kind of server"),
            Self::Credentials(_) => failure.hint("check the user name and the password"),
            Self::Database(_) => {
                failure.hint("check the name of the database (or virtual host), and that the user may use it")
            }
            Self::Method { remedy, .. } => failure.hint(remedy),
            Self::Unable(_) | Self::Server(_) => failure,
        }
    }
}

/// Connects to `name`, an address or a host name, trying each of its addresses.
pub fn connect(host: &dyn Host, name: &str, port: u16) -> Outcome<(Box<dyn Duplex>, Channel)> {
    connect_within(host, name, port, TIMEOUT)
}

/// The same, with another limit than [`TIMEOUT`].
pub fn connect_within(
    host: &dyn Host,
    name: &str,
    port: u16,
    timeout: Duration,
) -> Outcome<(Box<dyn Duplex>, Channel)> {
    let mut last = None;
    for address in resolve(host, name)? {
        let socket = SocketAddr::new(address, port);
        match host.connect(&Address::Tcp(socket), timeout) {
            Ok(stream) => return Ok((stream, Channel::to(address))),
            Err(error) => last = Some(unreachable(name, socket, timeout, &error)),
        }
    }
    Err(last.unwrap_or_else(|| unresolved(name)))
}

/// The addresses of a host name. A static binary cannot load the modules of the system's resolver, so the
/// system's `getent` is asked, which also knows `/etc/hosts`.
pub fn resolve(host: &dyn Host, name: &str) -> Outcome<Vec<IpAddr>> {
    resolve_within(host, name, Duration::from_secs(15))
}

/// The same, with another limit than the resolver's own.
pub fn resolve_within(host: &dyn Host, name: &str, limit: Duration) -> Outcome<Vec<IpAddr>> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    // A name is an operand of a command from here on.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
        return Err(Failure::new(format!("resolve the name {name:?}"), "it is not a host name"));
    }
    let command = Command::new(["getent", "ahosts", "--", name]).timeout(limit);
    let output = host.run(&command).map_err(|e| Failure::new(format!("resolve the name {name}"), e))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for line in output.text().lines() {
        let Some(Ok(address)) = line.split_whitespace().next().map(str::parse) else { continue };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(unresolved(name)) } else { Ok(addresses) }
}

fn unresolved(name: &str) -> Failure {
    Failure::new(format!("resolve the name {name}"), "no address is known for it")
        .hint(format!("check the spelling, and try `getent ahosts {name}`"))
}

fn unreachable(name: &str, socket: SocketAddr, timeout: Duration, error: &io::Error) -> Failure {
    let (why, hint) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            "connection refused: the server answers, but nothing listens on that port".to_owned(),
            "check that the server runs, its port, and the address that it listens on",
        ),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => (
            format!("no answer within {} s", timeout.as_secs()),
            "check the address, and that no firewall on the way drops the packets",
        ),
        _ => (error.to_string(), "check the address and the network"),
    };
    let place = if name.parse::<IpAddr>().is_ok() { socket.to_string() } else { format!("{name} ({socket})") };
    Failure::new(format!("connect to {place}"), why).hint(hint)
}

/// Reads exactly `N` bytes.
fn take<const N: usize>(stream: &mut dyn Duplex) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads `length` bytes, refusing lengths that no server would send here.
fn take_vec(stream: &mut dyn Duplex, length: usize) -> Result<Vec<u8>, WireError> {
    if length > MESSAGE_LIMIT {
        return Err(garbled());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The answer of something that speaks another protocol.
fn garbled() -> WireError {
    WireError::Unable("the answer is not understood: another kind of server listens there".to_owned())
}

/// Takes fields off the front of a message; `None` when it is too short.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// Up to a zero byte, which is dropped, or to the end.
    fn until_zero(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        let head = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        head
    }

    fn text_until_zero(&mut self) -> String {
        String::from_utf8_lossy(self.until_zero()).into_owned()
    }
}

#[cfg(test)]
mod tests;
