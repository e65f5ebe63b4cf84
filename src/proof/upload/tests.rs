#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::host::real::RealHost;
use crate::secret::Secrets;

/// What a server does with a limit of 100,000 bytes.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    /// Refuses by the length, and counts chunks.
    Counts,
    /// Refuses whoever does not tell a length.
    WantsLength,
    /// Reads as much as is sent, whatever is promised.
    TakesAll,
    /// Waits for the body of whoever waits to be told to go on.
    Hangs,
    /// Takes one byte less.
    TooSmall,
}

const LIMIT: u64 = 100_000;

fn serve(server: Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer(server, stream));
        }
    });
    port
}

fn answer(server: Server, stream: TcpStream) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut output = stream;
    let (mut length, mut chunked, mut expects) = (0, false, false);
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        chunked |= line.starts_with("transfer-encoding");
        expects |= line.starts_with("expect");
    }
    let limit = if server == Server::TooSmall { LIMIT - 1 } else { LIMIT };
    let mut say = |status: &str| output.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).ok();
    if chunked && server == Server::WantsLength {
        return say("411 Length Required");
    }
    if length > limit && server != Server::TakesAll {
        return say("413 Too Large");
    }
    if expects && server != Server::Hangs {
        say("100 Continue")?;
    }
    let mut taken = 0;
    while chunked {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let size = u64::from_str_radix(line.trim(), 16).ok()?;
        taken += size;
        std::io::copy(&mut input.by_ref().take(size + 2), &mut std::io::sink()).ok()?;
        if taken > limit && server != Server::TakesAll {
            return say("413 Too Large");
        }
        chunked = size > 0;
    }
    let read = std::io::copy(&mut input.by_ref().take(length), &mut std::io::sink()).ok()?;
    if read < length {
        return None;
    }
    say("404 Not Found")
}

fn prove(server: Server) -> Outcome<String> {
    let proof: Upload = serde_json::from_value(serde_json::json!({
        "url": format!("http://127.0.0.1:{}/nothing", serve(server)), "limit": LIMIT,
    }))
    .unwrap();
    proof.prove(&Context { host: &RealHost::default(), secrets: &Secrets::default() })
}

#[test]
fn the_limit_is_let_in_and_one_byte_more_is_not() {
    let evidence = prove(Server::Counts).unwrap();
    assert_eq!(evidence, "one byte more: 413; without a length: 413; the limit itself: told to go on, let in (404)");
    assert!(prove(Server::WantsLength).unwrap().contains("without a length: 411"));
}

#[test]
fn a_limit_that_nobody_counts_is_told() {
    let failure = prove(Server::TakesAll).unwrap_err();
    assert_eq!(failure.why, "a request of 100,001 bytes is not refused by its length");
}

#[test]
fn whoever_waits_to_be_told_to_go_on_is_not_left_waiting() {
    let failure = prove(Server::Hangs).unwrap_err();
    assert!(failure.why.contains("Expect: 100-continue"), "{failure}");
}

#[test]
fn a_limit_that_is_lower_than_promised_is_told() {
    let failure = prove(Server::TooSmall).unwrap_err();
    assert_eq!(failure.why, "100,000 bytes are refused");
}
