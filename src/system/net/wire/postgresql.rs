//! PostgreSQL's protocol, version 3.0 (<https://www.postgresql.org/docs/current/protocol.html>).

use std::io::Write as _;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};

use super::{Channel, Fields, Login, Verify, WireError, garbled, take, take_vec};
use crate::host::Duplex;
use crate::system::net::tls;

/// An open session.
pub struct Session {
    stream: Box<dyn Duplex>,
    /// The server's version, such as `15.14 (Debian 15.14-0+deb12u1)`.
    pub version: String,
    /// `TLS 1.3`; none when the connection is not encrypted.
    pub encryption: Option<&'static str>,
    /// Whether the password was proven by an MD5 sum, from which a weak one can be guessed.
    pub is_weak: bool,
    /// Whether the server's certificate was verified: only then it may have the password itself.
    is_verified: bool,
    /// What binds a proof of the password to this connection: a hash of the server's certificate.
    binding: Option<Vec<u8>>,
}

/// How far a SCRAM exchange is.
enum Scram {
    None,
    Begun(ScramSha256),
    /// The server has proven that it knows the password, too.
    Proven,
}

impl Session {
    /// Logs in over `stream`; `name` is the server's, for TLS. With `verify` its certificate must be good for that
    /// name. Without it the server gets proofs of the password only, never the password.
    pub fn open(
        stream: Box<dyn Duplex>,
        channel: Channel,
        name: &str,
        login: &Login<'_>,
        verify: Verify,
    ) -> Result<Self, WireError> {
        let (encryption, binding) = (None, None);
        let mut session =
            Self { stream, version: String::new(), encryption, is_weak: false, is_verified: false, binding };
        if channel == Channel::Remote || verify.is_some() {
            session = session.encrypt(name, verify)?;
        }
        session.authenticate(login)?;
        Ok(session)
    }

    /// Runs one statement and returns the rows of its result.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat())?;
        let mut rows = Vec::new();
        let mut error = None;
        loop {
            match self.receive()? {
                (b'D', body) => rows.push(row(&body).ok_or_else(garbled)?),
                (b'E', body) => error = Some(refusal(&body)),
                (b'Z', _) => return error.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    fn encrypt(mut self, name: &str, verify: Verify) -> Result<Self, WireError> {
        // SSLRequest: length 8, code 1234 5679.
        self.stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
        self.stream.flush()?;
        match take::<1>(&mut *self.stream)? {
            [b'S'] => {
                self.is_verified = verify.is_some();
                let stream = super::encrypt(self.stream, name, verify)?;
                self.encryption = Some(tls::version(&stream));
                self.binding = tls::server_end_point(&stream);
                Ok(Self { stream: Box::new(stream), ..self })
            }
            [b'N'] if verify.is_some() => Err(super::no_tls()),
            [b'N'] => Ok(self),
            _ => Err(garbled()),
        }
    }

    fn authenticate(&mut self, login: &Login<'_>) -> Result<(), WireError> {
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        let database = if login.database.is_empty() { login.user } else { login.database };
        for (key, value) in
            [("user", login.user), ("database", database), ("client_encoding", "UTF8"), ("application_name", "bringup")]
        {
            startup.extend([key.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        startup.push(0);
        self.stream.write_all(&framed(&startup)?)?;
        self.stream.flush()?;

        let mut scram = Scram::None;
        loop {
            match self.receive()? {
                (b'R', body) => self.answer(login, &body, &mut scram)?,
                (b'S', body) => {
                    let mut fields = Fields(&body);
                    if fields.until_zero() == b"server_version" {
                        self.version = fields.text_until_zero();
                    }
                }
                (b'E', body) => return Err(refusal(&body)),
                (b'Z', _) => return Ok(()),
                (b'K' | b'N' | b'v', _) => {}
                _ => return Err(garbled()),
            }
        }
    }

    /// Answers a request for authentication.
    fn answer(&mut self, login: &Login<'_>, body: &[u8], scram: &mut Scram) -> Result<(), WireError> {
        let mut fields = Fields(body);
        let method = fields.array().map(u32::from_be_bytes).ok_or_else(garbled)?;
        let unproven =
            |e: std::io::Error| WireError::Credentials(format!("the server did not prove that it knows the user: {e}"));
        match (method, scram) {
            // A server that breaks SCRAM off has proven nothing.
            (0, Scram::Begun(_)) => Err(unproven(std::io::Error::other("it ended the exchange early"))),
            (0, _) => Ok(()),
            (3, _) if self.is_verified => self.send(b'p', &[login.password.as_bytes(), b"\0"].concat()),
            (3, _) => Err(WireError::Unable(
                "the server asks for the password in plain text, and is not verified: have it ask for scram-sha-256, \
                 or name the authority of its certificate"
                    .to_owned(),
            )),
            (5, _) => {
                self.is_weak = true;
                let salt = fields.array().ok_or_else(garbled)?;
                let hash = md5_hash(login.user.as_bytes(), login.password.as_bytes(), salt);
                self.send(b'p', &[hash.as_bytes(), b"\0"].concat())
            }
            (10, scram) => {
                let offers: Vec<&[u8]> = fields.0.split(|b| *b == 0).collect();
                let offered = |name: &str| offers.contains(&name.as_bytes());
                let (method, binding) = match (&self.binding, offered(SCRAM_SHA_256_PLUS)) {
                    (Some(hash), true) => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone())),
                    // A server that supports channel binding, and is told that it did not offer it, detects a man in
                    // the middle.
                    (Some(_), false) if offered(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
                    (None, _) if offered(SCRAM_SHA_256) => (SCRAM_SHA_256, ChannelBinding::unsupported()),
                    _ => return Err(unspoken(login.user, method)),
                };
                let exchange = ScramSha256::new(login.password.as_bytes(), binding);
                let message = exchange.message();
                let length = u32::try_from(message.len()).map_err(|_| garbled())?.to_be_bytes();
                let body = [method.as_bytes(), b"\0", &length, message].concat();
                *scram = Scram::Begun(exchange);
                self.send(b'p', &body)
            }
            (11, Scram::Begun(exchange)) => {
                // So few rounds would only help to guess the password from its proof.
                let rounds =
                    String::from_utf8_lossy(fields.0).split(',').find_map(|part| part.strip_prefix("i=")?.parse().ok());
                if !self.is_verified && rounds.is_some_and(|rounds: u32| rounds < SCRAM_ROUNDS) {
                    let why = format!("it wants fewer than {SCRAM_ROUNDS} rounds, the least that the standard allows");
                    return Err(unproven(std::io::Error::other(why)));
                }
                exchange.update(fields.0).map_err(unproven)?;
                let message = exchange.message().to_vec();
                self.send(b'p', &message)
            }
            (12, scram) => {
                let Scram::Begun(exchange) = scram else { return Err(garbled()) };
                exchange.finish(fields.0).map_err(unproven)?;
                *scram = Scram::Proven;
                Ok(())
            }
            (11, _) => Err(garbled()),
            (other, _) => Err(unspoken(login.user, other)),
        }
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), WireError> {
        self.stream.write_all(&[&[kind], framed(body)?.as_slice()].concat())?;
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>), WireError> {
        let [kind, length @ ..] = take::<5>(&mut *self.stream)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let body = take_vec(&mut *self.stream, length.checked_sub(4).ok_or_else(garbled)?)?;
        Ok((kind, body))
    }
}

/// The fewest iterations that RFC 7677 allows, and PostgreSQL's default.
const SCRAM_ROUNDS: u32 = 4096;

fn unspoken(user: &str, method: u32) -> WireError {
    // As the protocol numbers them.
    let method = match method {
        2 => "Kerberos".to_owned(),
        7 => "GSSAPI".to_owned(),
        9 => "SSPI".to_owned(),
        10 => "SASL without SCRAM-SHA-256".to_owned(),
        other => format!("method {other}"),
    };
    let remedy = "have pg_hba.conf on the server require scram-sha-256 for this user from this address".to_owned();
    WireError::Method { user: user.to_owned(), method, remedy }
}

/// A message with its length, which counts itself, in front.
fn framed(body: &[u8]) -> Result<Vec<u8>, WireError> {
    let length = u32::try_from(body.len() + 4).map_err(|_| garbled())?;
    Ok([&length.to_be_bytes(), body].concat())
}

fn row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let mut fields = Fields(body);
    let count = u16::from_be_bytes(fields.array()?);
    let mut values = Vec::new();
    for _ in 0..count {
        let length = i32::from_be_bytes(fields.array()?);
        // -1 means NULL.
        values.push(match usize::try_from(length) {
            Ok(length) => Some(String::from_utf8_lossy(fields.bytes(length)?).into_owned()),
            Err(_) => None,
        });
    }
    Some(values)
}

/// An error message: fields of a code and a text. `C` is the SQLSTATE, `M` the text.
fn refusal(body: &[u8]) -> WireError {
    let (mut state, mut message) = (String::new(), String::new());
    let mut fields = Fields(body);
    while let Some(code) = fields.byte().filter(|code| *code != 0) {
        let text = fields.text_until_zero();
        match code {
            b'C' => state = text,
            b'M' => message = text,
            _ => {}
        }
    }
    match state.as_str() {
        // 28000 is also what pg_hba.conf refuses, which no other password would change.
        "28P01" => WireError::Credentials(message),
        "28000" if !message.contains("pg_hba.conf") => WireError::Credentials(message),
        "3D000" => WireError::Database(message),
        "42501" if message.contains("database") => WireError::Database(message),
        _ => WireError::Server(format!("{message} (SQLSTATE {state})")),
    }
}
