//! Redis's protocol, RESP 2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use std::fmt::Write as _;

use super::{Login, WireError, garbled, take, take_vec};
use crate::host::Duplex;

/// Logs in over `stream`, selects the database, and returns the server's version.
pub fn login(stream: &mut dyn Duplex, login: &Login<'_>) -> Result<String, WireError> {
    if !login.password.is_empty() {
        let words: &[&str] =
            if login.user.is_empty() { &["AUTH", login.password] } else { &["AUTH", login.user, login.password] };
        ask(stream, words)?;
    }
    if !login.database.is_empty() {
        ask(stream, &["SELECT", login.database])?;
    }
    if ask(stream, &["PING"])? != "PONG" {
        return Err(garbled());
    }
    // A user may be kept from INFO; that it answers PING is what counts.
    let info = ask(stream, &["INFO", "server"]).unwrap_or_default();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    Ok(version.unwrap_or("of unknown version").trim().to_owned())
}

/// Sends a command and returns its reply as text.
fn ask(stream: &mut dyn Duplex, words: &[&str]) -> Result<String, WireError> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(request, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let reply = line(stream)?;
    match reply.split_at_checked(1) {
        Some(("+" | ":", text)) => Ok(text.to_owned()),
        Some(("-", text)) => Err(refusal(text)),
        Some(("$", length)) => {
            let length = length.parse().map_err(|_| garbled())?;
            let text = take_vec(stream, length)?;
            take::<2>(stream)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Err(garbled()),
    }
}

/// A line without its end; at most 1 KiB, as only data come longer, and those with their length.
fn line(stream: &mut dyn Duplex) -> Result<String, WireError> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() > 1024 {
            return Err(garbled());
        }
        bytes.extend(take::<1>(stream)?);
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn refusal(text: &str) -> WireError {
    let text = text.to_owned();
    let credentials = ["WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH"];
    if credentials.iter().any(|start| text.starts_with(start)) {
        WireError::Credentials(text)
    } else if text.contains("DB index") {
        WireError::Database(text)
    } else {
        WireError::Server(text)
    }
}
