#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use rustls::ServerConnection;
use rustls_pki_types::PrivateKeyDer;

use super::*;
use crate::host::Address;
use crate::host::fake::FakeHost;

fn parsed(bytes: &[u8]) -> Result<Option<Response>, String> {
    parse(bytes, false)
}

#[test]
fn an_answer_is_complete_when_its_length_is_reached() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLocation: /x\r\n\r\nhello";
    for end in 0..answer.len() {
        assert!(parsed(&answer[..end]).unwrap().is_none(), "{end}");
    }
    let response = parsed(answer).unwrap().unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(response.header("location"), Some("/x"));
}

#[test]
fn a_chunked_answer_is_put_together() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n";
    for end in 0..answer.len() - 4 {
        assert!(parsed(&answer[..end]).unwrap().is_none(), "{end}");
    }
    assert_eq!(parsed(answer).unwrap().unwrap().body, b"hello world");
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let answer = b"HTTP/1.0 200 OK\r\n\r\nhello";
    assert!(parse(answer, false).unwrap().is_none());
    assert_eq!(parse(answer, true).unwrap().unwrap().body, b"hello");
}

#[test]
fn what_is_no_http_or_too_long_is_refused() {
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
        assert!(parsed(answer.as_bytes()).is_err(), "{answer}");
    }
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    assert!(parsed(long.as_bytes()).unwrap_err().contains("1 MiB"));
    let huge = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
    assert!(parsed(huge.as_bytes()).unwrap_err().contains("1 MiB"));
}

#[test]
fn urls_are_taken_apart() {
    let of = |url| Url::parse(url).map(|u| (u.tls, u.host, u.port, u.target));
    assert_eq!(of("https://a.example"), Ok((true, "a.example", 443, "/")));
    assert_eq!(of("http://a.example:8080/x?y=1"), Ok((false, "a.example", 8080, "/x?y=1")));
    assert_eq!(of("https://[::1]:8443/x"), Ok((true, "[::1]", 8443, "/x")));
    assert_eq!(of("https://[::1]/x"), Ok((true, "[::1]", 443, "/x")));
    for url in ["ftp://a", "https://", "https://a b/", "https://a:x/", "http://a/\r\nX: y"] {
        assert!(of(url).is_err(), "{url}");
    }
}

#[test]
fn a_header_cannot_smuggle_in_another() {
    let headers = [("X-Token".to_owned(), "a\r\nHost: b".to_owned())];
    let url = Url::parse("http://a/").unwrap();
    let request =
        Request { method: "GET", url: "", connect: "", trust: "", stand_in: "", headers: &headers, body: b"" };
    assert!(compose(&request, &url).is_err());
}

#[test]
fn a_form_is_encoded_by_bytes() {
    assert_eq!(form(&[("text", "ä & b=c")]), "text=%C3%A4%20%26%20b%3Dc");
}

/// A server that answers within the same thread: what is written to it is taken at once.
struct Server {
    tls: ServerConnection,
    answered: bool,
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = Cursor::new(bytes);
        while rest.position() < bytes.len() as u64 {
            self.tls.read_tls(&mut rest)?;
            // The client sees the alert that follows a failure.
            let _ = self.tls.process_new_packets();
        }
        let mut request = Vec::new();
        let _ = self.tls.reader().read_to_end(&mut request);
        if request.ends_with(b"\r\n\r\n") && !self.answered {
            self.answered = true;
            self.tls.writer().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Server {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        self.tls.write_tls(&mut buffer)
    }
}

struct Identity {
    pem: String,
    stream: Box<dyn Duplex>,
}

/// A self-signed server for `app.example.org`, until the given year.
fn server(is_authority: bool, until: i32) -> Identity {
    let mut params = rcgen::CertificateParams::new(vec!["app.example.org".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Test");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    if is_authority {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let tls = ServerConnection::new(Arc::new(config)).unwrap();
    Identity { pem: cert.pem(), stream: Box::new(Server { tls, answered: false }) }
}

fn get(stream: Box<dyn Duplex>, trust: &str, name: &str) -> Result<Response, Failure> {
    let host = crate::host::fake::FakeHost::new();
    host.put_file("/trust.pem", trust, 0o644);
    let config = tls::verified(&host, "/trust.pem", "")?;
    let url = format!("https://{name}/");
    let failed = |e: io::Error| failure("GET".to_owned(), &url, wire::TIMEOUT, &e);
    let mut stream = tls::protect(config, name, stream).map_err(failed)?;
    let mut response = exchange(&mut stream, b"GET / HTTP/1.1\r\n\r\n", parse).map_err(failed)?;
    response.tls = Some(protection(&stream));
    Ok(response)
}

#[test]
fn a_trusted_self_signed_certificate_is_good_whether_or_not_it_is_an_authority() {
    for is_authority in [false, true] {
        let Identity { pem, stream } = server(is_authority, 2099);
        let response = get(stream, &pem, "app.example.org").unwrap();
        assert_eq!(response.body, b"ok");
        let tls = response.tls.unwrap();
        assert_eq!((tls.version, tls.issuer.as_str(), tls.until.as_str()), ("TLS 1.3", "Test", "2099-01-01"));
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    for is_authority in [false, true] {
        let Identity { pem, stream } = server(is_authority, 2099);
        assert_eq!(get(stream, &pem, "b.example.org").unwrap_err().why, "the certificate is not for b.example.org");
    }
}

#[test]
fn an_expired_certificate_is_refused_although_it_is_trusted() {
    for is_authority in [false, true] {
        let Identity { pem, stream } = server(is_authority, 2001);
        assert_eq!(get(stream, &pem, "app.example.org").unwrap_err().why, "the certificate has expired");
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    for is_authority in [false, true] {
        let other = server(true, 2099).pem;
        let failure = get(server(is_authority, 2099).stream, &other, "app.example.org").unwrap_err();
        assert!(failure.why.contains("not trusted") || failure.why.contains("not acceptable"), "{}", failure.why);
    }
}

#[test]
fn a_trust_file_without_certificates_is_told() {
    let failure = get(server(false, 2099).stream, "nothing", "app.example.org").unwrap_err();
    assert_eq!(failure.why, "no certificate is in it");
}

#[test]
fn a_glance_needs_no_more_than_the_head() {
    let host = FakeHost::new();
    let at = "127.0.0.1:80".parse().unwrap();
    host.answer(Address::Tcp(at), |asked| {
        assert!(String::from_utf8_lossy(asked).contains("Host: shop.example.org\r\n"));
        b"HTTP/1.1 301 Moved\r\nLocation: https://a.org/\r\nContent-Length: 99999999\r\n\r\nand so on".to_vec()
    });
    let seen = glance(&host, "http://shop.example.org/", "127.0.0.1").unwrap();
    assert_eq!(seen, Glance { status: 301, location: "https://a.org/".to_owned(), names: Vec::new() });
    assert!(glance(&host, "https://shop.example.org/", "127.0.0.1").is_err(), "nobody listens there");
}
