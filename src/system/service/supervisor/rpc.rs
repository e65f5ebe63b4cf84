//! Calls to supervisord: XML-RPC in HTTP over a Unix socket.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{malformed, xml};
use crate::host::{Address, Host};

/// Debian's configuration.
const CONFIG: &str = "/etc/supervisor/supervisord.conf";
/// Debian's socket.
const SOCKET: &str = "/var/run/supervisor.sock";
/// supervisord answers at once, since nothing is asked that waits; a busy one is given time.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A supervisord that may be called.
pub struct Supervisord<'a> {
    host: &'a dyn Host,
    socket: PathBuf,
    /// The value of an `Authorization` header.
    authorization: Option<String>,
}

/// Why a call had no result.
#[derive(Debug)]
pub enum Error {
    /// Nobody answers, or not in a way that can be understood.
    Unreachable(String),
    /// It wants to know who we are.
    Refused(String),
    /// The call failed: its code and message.
    Fault(i64, String),
}

impl<'a> Supervisord<'a> {
    /// The one of this server.
    pub fn find(host: &'a dyn Host) -> Result<Self, Error> {
        let config = match host.read(Path::new(CONFIG)) {
            Ok(config) => String::from_utf8_lossy(&config).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Unreachable(format!("there is no {CONFIG}")));
            }
            Err(error) => return Err(Error::Unreachable(format!("{CONFIG}: {error}"))),
        };
        let setting = |key| setting(&config, "[unix_http_server]", key);
        let authorization = match (setting("username"), setting("password")) {
            (Some(user), Some(password)) => Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))),
            _ => None,
        };
        Ok(Self { host, socket: PathBuf::from(setting("file").unwrap_or(SOCKET)), authorization })
    }

    /// Calls `supervisor.<method>` with a list of texts and flags.
    pub fn call(&self, method: &str, arguments: &Value) -> Result<Value, Error> {
        let body = xml::call(&format!("supervisor.{method}"), arguments);
        let reply = self.exchange(&body).map_err(|e| Error::Unreachable(e.to_string()))?;
        let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(|| Error::Unreachable("a cut answer".to_owned()))?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        match status {
            "200" => {}
            "401" | "403" => return Err(Error::Refused(format!("HTTP status {status}"))),
            _ => return Err(Error::Unreachable(format!("HTTP status {status}"))),
        }
        match xml::reply(body).map_err(|e| Error::Unreachable(e.to_string()))? {
            Ok(value) => Ok(value),
            Err(fault) => Err(Error::Fault(
                fault["faultCode"].as_i64().unwrap_or(0),
                fault["faultString"].as_str().unwrap_or_default().to_owned(),
            )),
        }
    }

    fn exchange(&self, body: &str) -> io::Result<String> {
        let mut stream = self.host.connect(&Address::Unix(self.socket.clone()), TIMEOUT)?;
        let authorization =
            self.authorization.as_ref().map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
        // HTTP/1.0: the answer comes in one piece and ends with the connection.
        let request = format!(
            "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n{authorization}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        String::from_utf8(reply).map_err(|_| malformed("an answer that is not UTF-8"))
    }
}

/// The value of `key` in `section` of an INI file; comments begin with `;`, after a blank also behind a value.
fn setting<'c>(config: &'c str, section: &str, key: &str) -> Option<&'c str> {
    let lines = config.lines().map(str::trim).skip_while(|line| *line != section).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with([';', '#']))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.split(" ;").next().unwrap_or(value).trim())
}

/// Base64 of RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let length = chunk.len();
            [18, 12, 6, 0].into_iter().enumerate().map(move |(i, shift)| {
                if i > length { '=' } else { char::from(ALPHABET[(bits >> shift & 63) as usize]) }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in cases {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_setting_is_taken_from_its_own_section_without_its_comment() {
        let config = "[inet_http_server]\nfile=/no\n[unix_http_server]\n;file=/old\nfile=/run/s.sock   ; (the path)\n\
            [supervisord]\nusername=no\n";
        assert_eq!(setting(config, "[unix_http_server]", "file"), Some("/run/s.sock"));
        assert_eq!(setting(config, "[unix_http_server]", "username"), None);
    }
}
