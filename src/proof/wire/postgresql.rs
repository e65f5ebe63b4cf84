//! PostgreSQL's protocol, version 3.0 (<https://www.postgresql.org/docs/current/protocol.html>).

use std::io::Write as _;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

use super::{Channel, Fields, Login, WireError, garbled, take, take_vec};
use crate::host::Duplex;
use crate::proof::tls;

/// An open session.
pub struct Session {
    stream: Box<dyn Duplex>,
    /// The server's version, such as `15.14 (Debian 15.14-0+deb12u1)`.
    pub version: String,
    /// `TLS 1.3`; none when the connection is not encrypted.
    pub encryption: Option<&'static str>,
}

impl Session {
    /// Logs in over `stream`; `name` is the server's, for TLS.
    pub fn open(stream: Box<dyn Duplex>, channel: Channel, name: &str, login: &Login<'_>) -> Result<Self, WireError> {
        let mut session = Self { stream, version: String::new(), encryption: None };
        if channel == Channel::Remote {
            session = session.encrypt(name)?;
        }
        session.authenticate(channel, login)?;
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

    fn encrypt(mut self, name: &str) -> Result<Self, WireError> {
        // SSLRequest: length 8, code 1234 5679.
        self.stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
        self.stream.flush()?;
        match take::<1>(&mut *self.stream)? {
            [b'S'] => {
                let config = tls::unverified().map_err(std::io::Error::other)?;
                let stream = tls::protect(config, name, self.stream)?;
                self.encryption = Some(tls::version(&stream));
                Ok(Self { stream: Box::new(stream), ..self })
            }
            [b'N'] => Ok(self),
            _ => Err(garbled()),
        }
    }

    fn authenticate(&mut self, channel: Channel, login: &Login<'_>) -> Result<(), WireError> {
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

        let mut scram = None;
        loop {
            match self.receive()? {
                (b'R', body) => self.answer(channel, login, &body, &mut scram)?,
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
    fn answer(
        &mut self,
        channel: Channel,
        login: &Login<'_>,
        body: &[u8],
        scram: &mut Option<ScramSha256>,
    ) -> Result<(), WireError> {
        let mut fields = Fields(body);
        let method = fields.array().map(u32::from_be_bytes).ok_or_else(garbled)?;
        let unproven =
            |e: std::io::Error| WireError::Credentials(format!("the server did not prove that it knows the user: {e}"));
        match method {
            0 => Ok(()),
            3 if channel == Channel::Local || self.encryption.is_some() => {
                self.send(b'p', &[login.password.as_bytes(), b"\0"].concat())
            }
            3 => Err(WireError::Unable(
                "the server wants the password in the clear over a connection that is not encrypted".to_owned(),
            )),
            5 => {
                let salt = fields.array().ok_or_else(garbled)?;
                let hash = md5_hash(login.user.as_bytes(), login.password.as_bytes(), salt);
                self.send(b'p', &[hash.as_bytes(), b"\0"].concat())
            }
            10 if fields.0.split(|b| *b == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) => {
                let unsupported = ChannelBinding::unsupported();
                let exchange = ScramSha256::new(login.password.as_bytes(), unsupported);
                let message = exchange.message();
                let length = u32::try_from(message.len()).map_err(|_| garbled())?.to_be_bytes();
                let body = [SCRAM_SHA_256.as_bytes(), b"\0", &length, message].concat();
                *scram = Some(exchange);
                self.send(b'p', &body)
            }
            11 => {
                let exchange = scram.as_mut().ok_or_else(garbled)?;
                exchange.update(fields.0).map_err(unproven)?;
                let message = exchange.message().to_vec();
                self.send(b'p', &message)
            }
            12 => scram.as_mut().ok_or_else(garbled)?.finish(fields.0).map_err(unproven),
            other => Err(WireError::Unable(format!(
                "the server wants authentication method {other}; SCRAM-SHA-256, md5 and password are spoken"
            ))),
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
        // -1 stands for NULL.
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
