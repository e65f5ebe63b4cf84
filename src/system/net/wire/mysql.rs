//! The protocol of MariaDB and MySQL (<https://mariadb.com/kb/en/clientserver-protocol/>).

use std::io::Write as _;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256};

use super::{Channel, Fields, Login, Verify, WireError, garbled, take, take_vec};
use crate::host::Duplex;
use crate::system::net::tls;

const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// Long passwords, transactions and the above.
const WANTED: u32 = 1 | PROTOCOL_41 | 1 << 13 | SECURE_CONNECTION | PLUGIN_AUTH;
/// `utf8mb4_general_ci`.
const CHARSET: u8 = 45;

/// An open session.
pub struct Session {
    stream: Box<dyn Duplex>,
    /// Number of the next packet within the exchange.
    sequence: u8,
    /// The server's version, such as `10.11.14-MariaDB-0+deb12u2`.
    pub version: String,
    /// `TLS 1.3`; none when the connection is not encrypted.
    pub encryption: Option<&'static str>,
    /// Whether the server's certificate was verified: only then it may have the password itself.
    is_verified: bool,
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
        let version = String::new();
        let mut session = Self { stream, sequence: 0, version, encryption: None, is_verified: false };
        let greeting = session.receive()?;
        if greeting.first() == Some(&0xff) {
            return Err(refusal(&greeting));
        }
        let greeting = Greeting::parse(&greeting).ok_or_else(garbled)?;
        session.version.clone_from(&greeting.version);
        let mut flags = WANTED;
        if !login.database.is_empty() {
            flags |= CONNECT_WITH_DB;
        }
        let has_tls = greeting.capabilities & SSL != 0;
        if verify.is_some() && !has_tls {
            return Err(super::no_tls());
        }
        if verify.is_some() || (channel == Channel::Remote && has_tls) {
            flags |= SSL;
            // All of the flags: those that come again inside of TLS are not looked at.
            session.send(&opening(flags))?;
            session.is_verified = verify.is_some();
            let stream = super::encrypt(session.stream, name, verify)?;
            session.encryption = Some(tls::version(&stream));
            session.stream = Box::new(stream);
        }
        session.authenticate(&greeting, flags, login)?;
        Ok(session)
    }

    /// Runs one statement and returns the rows of its result.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        self.sequence = 0;
        self.send(&[b"\x03", sql.as_bytes()].concat())?;
        let head = self.receive()?;
        let columns = match head.first() {
            Some(0x00) => return Ok(Vec::new()),
            Some(0xff) => return Err(refusal(&head)),
            Some(0xfb) | None => return Err(garbled()),
            Some(_) => length(&mut Fields(&head)).ok_or_else(garbled)?,
        };
        for _ in 0..=columns {
            self.receive()?; // the columns' definitions, and the end of them
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.receive()?;
            match packet.first() {
                Some(0xfe) if packet.len() < 9 => return Ok(rows),
                Some(0xff) => return Err(refusal(&packet)),
                _ => rows.push(row(&packet).ok_or_else(garbled)?),
            }
        }
    }

    fn authenticate(&mut self, greeting: &Greeting, flags: u32, login: &Login<'_>) -> Result<(), WireError> {
        // A method that we do not know is answered once the server asks for it by name.
        let known = ["mysql_native_password", "caching_sha2_password"];
        let mut plugin = known.into_iter().find(|p| *p == greeting.plugin).unwrap_or(known[0]).to_owned();
        let mut nonce = greeting.nonce.clone();
        let proof = proof(&plugin, login.password, &nonce).unwrap_or_default();
        let mut hello = opening(flags);
        hello.extend([login.user.as_bytes(), b"\0"].concat());
        hello.push(u8::try_from(proof.len()).unwrap_or_default());
        hello.extend(proof);
        if !login.database.is_empty() {
            hello.extend([login.database.as_bytes(), b"\0"].concat());
        }
        hello.extend([plugin.as_bytes(), b"\0"].concat());
        self.send(&hello)?;
        loop {
            let packet = self.receive()?;
            match packet.as_slice() {
                [0x00, ..] => return Ok(()),
                [0xff, ..] => return Err(refusal(&packet)),
                [0xfe, rest @ ..] => {
                    let mut fields = Fields(rest);
                    plugin = fields.text_until_zero();
                    nonce = fields.until_zero().to_vec();
                    let answer = self::proof(&plugin, login.password, &nonce)
                        .ok_or_else(|| unspoken(login.user, &plugin, &self.version))?;
                    self.send(&answer)?;
                }
                // The server knows the password's hash from an earlier login.
                [0x01, 0x03] => {}
                [0x01, 0x04] if self.is_verified && plugin == "caching_sha2_password" => {
                    self.send(&[login.password.as_bytes(), b"\0"].concat())?;
                }
                [0x01, 0x04] => {
                    return Err(WireError::Unable(
                        "caching_sha2_password asks for the password in plain text, and the server is not verified: \
                         name the authority of its certificate, or let another client log in first, so that the \
                         server has the password cached"
                            .to_owned(),
                    ));
                }
                _ => return Err(garbled()),
            }
        }
    }

    fn send(&mut self, body: &[u8]) -> Result<(), WireError> {
        let length = u32::try_from(body.len()).ok().filter(|l| *l < 0xff_ffff).ok_or_else(garbled)?;
        let [a, b, c, _] = length.to_le_bytes();
        self.stream.write_all(&[&[a, b, c, self.sequence], body].concat())?;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self) -> Result<Vec<u8>, WireError> {
        let [a, b, c, sequence] = take::<4>(&mut *self.stream)?;
        self.sequence = sequence.wrapping_add(1);
        let length = u32::from_le_bytes([a, b, c, 0]);
        take_vec(&mut *self.stream, usize::try_from(length).unwrap_or(usize::MAX))
    }
}

/// The server's first packet, version 10.
struct Greeting {
    version: String,
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: String,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Option<Self> {
        let mut fields = Fields(packet);
        if fields.byte()? != 10 {
            return None;
        }
        let version = fields.text_until_zero();
        // MariaDB up to 10.x hides behind a version that old replicas accept.
        let version = version.strip_prefix("5.5.5-").unwrap_or(&version).to_owned();
        fields.bytes(4)?; // the connection's number
        let mut nonce = fields.bytes(8)?.to_vec();
        fields.byte()?;
        let [a, b] = fields.array()?;
        fields.bytes(3)?; // character set, status
        let [c, d] = fields.array()?;
        fields.bytes(11)?; // length of the nonce (20 everywhere, and a zero), reserved
        nonce.extend(fields.until_zero());
        let plugin = fields.text_until_zero();
        Some(Self { version, capabilities: u32::from_le_bytes([a, b, c, d]), nonce, plugin })
    }
}

/// What to do about a method that is not spoken, such as `client_ed25519`.
fn unspoken(user: &str, method: &str, version: &str) -> WireError {
    let by = if version.contains("MariaDB") {
        "IDENTIFIED VIA mysql_native_password USING PASSWORD('...'); followed by OR keeps the present method, too"
    } else {
        "IDENTIFIED WITH caching_sha2_password BY '...'"
    };
    let remedy = format!("on the server, give the user a supported method: ALTER USER ... {by}");
    WireError::Method { user: user.to_owned(), method: method.to_owned(), remedy }
}

/// What every answer to the greeting begins with.
fn opening(flags: u32) -> Vec<u8> {
    let limit: u32 = 1 << 24;
    [&flags.to_le_bytes()[..], &limit.to_le_bytes(), &[CHARSET], &[0; 23]].concat()
}

/// The proof of knowing the password that an authentication method wants; `None` for a method not spoken.
fn proof(plugin: &str, password: &str, nonce: &[u8]) -> Option<Vec<u8>> {
    let password = password.as_bytes();
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    Some(match plugin {
        // The server looks at who holds the other end of the socket.
        "unix_socket" | "auth_socket" => Vec::new(),
        "mysql_native_password" | "caching_sha2_password" if password.is_empty() => Vec::new(),
        "mysql_native_password" => {
            let once = digest(&SHA1, &[password]);
            let twice = digest(&SHA1, &[&once]);
            xor(&once, &digest(&SHA1, &[nonce, &twice]))
        }
        "caching_sha2_password" => {
            let once = digest(&SHA256, &[password]);
            let twice = digest(&SHA256, &[&once]);
            xor(&once, &digest(&SHA256, &[&twice, nonce]))
        }
        _ => return None,
    })
}

/// What `mysql_native_password` keeps of a password: `*` and SHA1(SHA1(password)) in hexadecimal.
pub fn native_hash(password: &str) -> String {
    use std::fmt::Write as _;
    let once = digest(&SHA1, &[password.as_bytes()]);
    digest(&SHA1, &[&once]).iter().fold("*".to_owned(), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

fn digest(algorithm: &'static ring::digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// A number of one, three, four or nine bytes.
fn length(fields: &mut Fields<'_>) -> Option<usize> {
    let mut bytes = [0; 8];
    let rest = match fields.byte()? {
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        small => return Some(usize::from(small)),
    };
    bytes[..rest].copy_from_slice(fields.bytes(rest)?);
    usize::try_from(u64::from_le_bytes(bytes)).ok()
}

fn row(packet: &[u8]) -> Option<Vec<Option<String>>> {
    let mut fields = Fields(packet);
    let mut values = Vec::new();
    while let Some(first) = fields.0.first() {
        if *first == 0xfb {
            fields.byte()?;
            values.push(None);
        } else {
            let length = length(&mut fields)?;
            values.push(Some(String::from_utf8_lossy(fields.bytes(length)?).into_owned()));
        }
    }
    Some(values)
}

/// An error packet: 0xff, a code of two bytes, `#` and an SQL state of five characters, a text.
fn refusal(packet: &[u8]) -> WireError {
    let code = match packet {
        [_, a, b, ..] => u16::from_le_bytes([*a, *b]),
        _ => return garbled(),
    };
    let text = packet.get(3..).unwrap_or_default();
    let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
    let text = String::from_utf8_lossy(text).into_owned();
    match code {
        1045 | 1698 => WireError::Credentials(text),
        1044 | 1049 => WireError::Database(text),
        _ => WireError::Server(format!("{text} (error {code})")),
    }
}
