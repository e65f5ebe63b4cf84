//! AMQP 0-9-1, RabbitMQ's protocol (<https://www.rabbitmq.com/amqp-0-9-1-protocol>).

use super::{Fields, Login, WireError, garbled, take, take_vec};
use crate::host::Duplex;

const CONNECTION: u16 = 10;
const START: u16 = 10;
const START_OK: u16 = 11;
const TUNE: u16 = 30;
const TUNE_OK: u16 = 31;
const OPEN: u16 = 40;
const OPEN_OK: u16 = 41;
const CLOSE: u16 = 50;
const CLOSE_OK: u16 = 51;
const FRAME_END: u8 = 0xce;

/// Logs in over `stream`, opens the virtual host, and returns the server's version.
pub fn login(stream: &mut dyn Duplex, login: &Login<'_>) -> Result<String, WireError> {
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    stream.flush()?;
    let start = expect(stream, START)?;
    let version = version(&start).unwrap_or_else(|| "of unknown version".to_owned());

    // Without this capability RabbitMQ answers a wrong password by closing, after a second's pause.
    let mut capabilities = Vec::new();
    short(&mut capabilities, "authentication_failure_close");
    capabilities.extend(b"t\x01");
    let mut properties = Vec::new();
    short(&mut properties, "capabilities");
    properties.push(b'F');
    long(&mut properties, &capabilities);
    let mut body = Vec::new();
    long(&mut body, &properties);
    short(&mut body, "PLAIN");
    long(&mut body, format!("\0{}\0{}", login.user, login.password).as_bytes());
    short(&mut body, "en_US");
    send(stream, &method(START_OK, &body))?;

    // Its limits are taken as they are, but no heartbeat is wanted. Both methods go out at once: one after the
    // other, the second would wait 40 ms for the first to be acknowledged.
    let tune = expect(stream, TUNE)?;
    let limits = tune.get(..6).ok_or_else(garbled)?;
    let mut body = Vec::new();
    short(&mut body, if login.database.is_empty() { "/" } else { login.database });
    body.extend([0, 0]);
    let tuned = method(TUNE_OK, &[limits, &[0, 0]].concat());
    send(stream, &[tuned, method(OPEN, &body)].concat())?;
    expect(stream, OPEN_OK)?;

    // Reply code 200, no text, no method that failed.
    send(stream, &method(CLOSE, &[0, 200, 0, 0, 0, 0, 0]))?;
    // We are in; a broker that does not say goodbye changes nothing.
    let _ = expect(stream, CLOSE_OK);
    Ok(version)
}

fn send(stream: &mut dyn Duplex, frames: &[u8]) -> Result<(), WireError> {
    stream.write_all(frames)?;
    Ok(stream.flush()?)
}

/// A frame with a method of the class `connection`.
fn method(method: u16, arguments: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0];
    long(&mut frame, &[&CONNECTION.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat());
    frame.push(FRAME_END);
    frame
}

/// The arguments of the method that must come next.
fn expect(stream: &mut dyn Duplex, wanted: u16) -> Result<Vec<u8>, WireError> {
    loop {
        let [kind, _, _, size @ ..] = take::<7>(stream)?;
        if !matches!(kind, 1 | 8) {
            return Err(garbled());
        }
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        let payload = take_vec(stream, size)?;
        if take::<1>(stream)? != [FRAME_END] {
            return Err(garbled());
        }
        if kind == 8 {
            continue; // a heartbeat
        }
        let mut fields = Fields(&payload);
        let class = fields.array().map(u16::from_be_bytes);
        let method = fields.array().map(u16::from_be_bytes);
        return match (class, method) {
            (Some(CONNECTION), Some(method)) if method == wanted => Ok(fields.0.to_vec()),
            (Some(CONNECTION), Some(CLOSE)) => Err(refusal(fields).unwrap_or_else(garbled)),
            _ => Err(garbled()),
        };
    }
}

/// 403 is a wrong user or password; 530 a virtual host that is not there, or not for this user.
fn refusal(mut fields: Fields<'_>) -> Option<WireError> {
    let code = u16::from_be_bytes(fields.array()?);
    let text = short_text(&mut fields)?;
    Some(match code {
        403 => WireError::Credentials(text),
        530 => WireError::Database(text),
        _ => WireError::Server(text),
    })
}

/// `RabbitMQ 3.10.8`, from the properties that the server presents.
fn version(start: &[u8]) -> Option<String> {
    let mut fields = Fields(start.get(2..)?);
    let size = usize::try_from(u32::from_be_bytes(fields.array()?)).ok()?;
    let mut table = Fields(fields.bytes(size)?);
    let (mut product, mut version) = (None, None);
    while let Some(key) = short_text(&mut table) {
        let value = match table.byte()? {
            b'S' | b'F' => {
                let size = usize::try_from(u32::from_be_bytes(table.array()?)).ok()?;
                table.bytes(size)?
            }
            b't' => table.bytes(1)?,
            _ => break,
        };
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match key.as_str() {
            "product" => product = text(),
            "version" => version = text(),
            _ => {}
        }
    }
    Some(format!("{} {}", product?, version?))
}

fn short_text(fields: &mut Fields<'_>) -> Option<String> {
    let size = fields.byte()?;
    Some(String::from_utf8_lossy(fields.bytes(usize::from(size))?).into_owned())
}

/// A text of at most 255 bytes, with its length in front.
fn short(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(255)];
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend(bytes);
}

/// Bytes with their length, a number of four bytes, in front.
fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}
