//! One question of the DNS (RFC 1035) over TCP: whether a server speaks for the zone that a name is in.

use super::{WireError, garbled, take, take_vec};
use crate::host::Duplex;

/// What a name server says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is one of the zone's own.
    Authoritative,
    /// It knows the name from others, or not at all.
    NotAuthoritative,
    /// It does not say; the name of the response code.
    Refused(String),
}

/// Types and classes (RFC 1035, sections 3.2.2 and 3.2.4).
const SOA: u16 = 6;
const INTERNET: u16 = 1;
/// Flags (section 4.1.1): a response, one with authority.
const RESPONSE: u8 = 0x80;
const AUTHORITATIVE: u8 = 0x04;

/// Asks for the start of authority at `name`. A server of the zone answers with authority also where the name itself
/// has none.
pub fn start_of_authority(stream: &mut dyn Duplex, id: [u8; 2], name: &str) -> Result<Answer, WireError> {
    // One question; recursion is not desired.
    let mut message = [&id[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
        message.push(length.ok_or_else(|| WireError::Unable(format!("{name} is not a valid DNS name")))?);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend([SOA, INTERNET].iter().flat_map(|number| number.to_be_bytes()));
    let length = u16::try_from(message.len()).map_err(|_| garbled())?;
    stream.write_all(&[&length.to_be_bytes()[..], &message].concat())?;
    stream.flush()?;
    let length = u16::from_be_bytes(take::<2>(stream)?);
    let answer = take_vec(stream, length.into())?;
    let (Some(head), true) = (answer.get(..4), answer.starts_with(&id)) else { return Err(garbled()) };
    if head[2] & RESPONSE == 0 {
        return Err(garbled());
    }
    Ok(match head[3] & 0x0f {
        // No error, or no such name: both are answers for the server's own zone.
        0 | 3 if head[2] & AUTHORITATIVE != 0 => Answer::Authoritative,
        0 | 3 => Answer::NotAuthoritative,
        2 => Answer::Refused("SERVFAIL".to_owned()),
        5 => Answer::Refused("REFUSED".to_owned()),
        9 => Answer::Refused("NOTAUTH".to_owned()),
        code => Answer::Refused(format!("code {code}")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::system::net::wire::tests::replay;

    fn ask(flags: [u8; 2]) -> Result<Answer, WireError> {
        let mut answer = vec![0, 12, 7, 9, flags[0], flags[1]];
        answer.extend([0; 8]);
        let (mut stream, sent) = replay(&answer);
        let result = start_of_authority(&mut *stream, [7, 9], "app.example.org");
        assert_eq!(
            *sent.lock().unwrap(),
            b"\0\x21\x07\x09\0\0\0\x01\0\0\0\0\0\0\x03app\x07example\x03org\0\0\x06\0\x01"
        );
        result
    }

    #[test]
    fn a_server_of_the_zone_is_told_from_others() {
        assert_eq!(ask([0x84, 0]).unwrap(), Answer::Authoritative);
        assert_eq!(ask([0x84, 3]).unwrap(), Answer::Authoritative);
        assert_eq!(ask([0x80, 0]).unwrap(), Answer::NotAuthoritative);
        assert_eq!(ask([0x80, 5]).unwrap(), Answer::Refused("REFUSED".to_owned()));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(ask([0x04, 0]).is_err(), "a question");
        let other = b"\0\x0c\0\0\x84\0\0\0\0\0\0\0\0\0";
        assert!(start_of_authority(&mut *replay(other).0, [7, 9], "app.example.org").is_err());
        assert!(start_of_authority(&mut *replay(b"").0, [7, 9], "a..b").is_err());
    }
}
