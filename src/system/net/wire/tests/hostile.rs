//! Against servers that want the password itself, or a proof that says more than it must.

use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};

use super::*;

const PASSWORD: &str = "s3cret-pass";
const HOST: &str = "db.example.org";

struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
    /// SHA-256 of the server's certificate.
    hash: Vec<u8>,
}

/// An authority, and a server with a certificate of it for [`HOST`].
fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let hash = Sha256::digest(certificate.der()).to_vec();
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    Authority { pem: issuer.pem(), server: Arc::new(server), hash }
}

fn trusting(authority: &Authority) -> Verify {
    let host = crate::host::fake::FakeHost::new();
    host.put_file("/etc/ca.pem", &authority.pem, 0o644);
    verify(&host, "/etc/ca.pem").unwrap()
}

/// What a server has seen.
struct Seen(Vec<u8>);

impl Seen {
    fn tells(&self, text: &str) -> bool {
        self.0.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }
}

/// What a server says, when it has seen so much.
type Say = Box<dyn Fn(&Seen) -> Vec<u8> + Send>;
type Says = Vec<Say>;

/// A server that shakes hands after `before` bytes of the client's, answered with `answer`, and then says one thing
/// after the other, whatever it hears.
fn server(
    authority: &Authority,
    greeting: Vec<u8>,
    before: usize,
    answer: Vec<u8>,
    says: Says,
) -> (Box<dyn Duplex>, JoinHandle<Seen>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    for end in [&ours, &theirs] {
        end.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    let config = Arc::clone(&authority.server);
    let handle = std::thread::spawn(move || {
        let mut seen = Seen(Vec::new());
        let mut first = vec![0; before];
        if theirs.write_all(&greeting).and_then(|()| theirs.read_exact(&mut first)).is_err() {
            return seen;
        }
        theirs.write_all(&answer).unwrap();
        let mut stream: Box<dyn Duplex> = if answer == b"N" {
            Box::new(theirs)
        } else {
            Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), theirs))
        };
        let mut chunk = [0; 4096];
        for say in says {
            match stream.read(&mut chunk) {
                Ok(read) if read > 0 => seen.0.extend_from_slice(&chunk[..read]),
                _ => return seen,
            }
            if stream.write_all(&say(&seen)).and_then(|()| stream.flush()).is_err() {
                return seen;
            }
        }
        // What it says to that, and then the connection ends.
        if let Ok(read) = stream.read(&mut chunk) {
            seen.0.extend_from_slice(&chunk[..read]);
        }
        seen
    });
    (Box::new(ours), handle)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
}

fn wants(method: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&method.to_be_bytes(), rest].concat())
}

/// Logs in to a PostgreSQL that answers `S` or `N` and says this.
fn postgresql(authority: &Authority, tls: &str, verify: Verify, says: Says) -> (Option<WireError>, Seen) {
    postgresql_at(HOST, authority, tls, verify, says)
}

fn postgresql_at(
    name: &str,
    authority: &Authority,
    tls: &str,
    verify: Verify,
    says: Says,
) -> (Option<WireError>, Seen) {
    let (stream, handle) = server(authority, Vec::new(), 8, tls.as_bytes().to_vec(), says);
    let session = super::postgresql::Session::open(stream, Channel::Remote, name, &login("m", PASSWORD, "d"), verify);
    let error = session.err();
    (error, handle.join().unwrap())
}

fn cleartext() -> Says {
    vec![Box::new(|_| wants(3, b"")), Box::new(|_| [wants(0, b""), message(b'Z', b"I")].concat())]
}

#[test]
fn postgresql_tells_its_password_to_no_server_that_it_does_not_know() {
    let authority = authority();
    for tls in ["S", "N"] {
        let (error, seen) = postgresql(&authority, tls, None, cleartext());
        assert!(
            matches!(&error, Some(WireError::Unable(why)) if why.contains("name the authority")),
            "{tls}: {error:?}"
        );
        assert!(seen.tells("user\0m\0") && !seen.tells(PASSWORD), "{tls}");
    }
}

#[test]
fn postgresql_tells_it_to_one_whose_certificate_is_verified() {
    let authority = authority();
    let (error, seen) = postgresql(&authority, "S", trusting(&authority), cleartext());
    assert!(error.is_none(), "{error:?}");
    assert!(seen.tells(PASSWORD));
}

#[test]
fn postgresql_says_nothing_to_a_server_without_the_right_certificate() {
    let authority = authority();
    let other = super::hostile::authority();
    for (error, seen) in [
        postgresql(&authority, "S", trusting(&other), cleartext()),
        postgresql(&authority, "N", trusting(&authority), cleartext()),
        postgresql_at("other.example.org", &authority, "S", trusting(&authority), cleartext()),
    ] {
        assert!(matches!(&error, Some(WireError::Unable(why)) if why.contains("TLS")), "{error:?}");
        assert!(!seen.tells("user"));
    }
}

/// The server's part of SCRAM, with so many rounds.
fn rounds(number: u32) -> impl Fn(&Seen) -> Vec<u8> + Send {
    move |seen| {
        let text = String::from_utf8_lossy(&seen.0).into_owned();
        let nonce: String = text.rsplit_once("r=").unwrap().1.to_owned();
        wants(11, format!("r={nonce}x,s=c2FsdA==,i={number}").as_bytes())
    }
}

#[test]
fn postgresql_binds_its_proof_to_the_certificate_that_it_sees() {
    let authority = authority();
    let both = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    let (error, seen) = postgresql(&authority, "S", None, vec![Box::new(|_| wants(10, both)), Box::new(rounds(4096))]);
    assert!(matches!(error, Some(WireError::Lost(_))), "{error:?}");
    assert!(seen.tells("SCRAM-SHA-256-PLUS\0") && seen.tells("p=tls-server-end-point,,n=,r="));
    let bound = [b"p=tls-server-end-point,,", authority.hash.as_slice()].concat();
    assert!(seen.tells(&format!("c={},r=", STANDARD.encode(bound))));
    // A server that is told that it did not offer to bind knows better, where someone in between took it out.
    let (_, seen) = postgresql(&authority, "S", None, vec![Box::new(|_| wants(10, b"SCRAM-SHA-256\0\0"))]);
    assert!(seen.tells("SCRAM-SHA-256\0") && seen.tells("y,,n=,r="));
    let (_, seen) = postgresql(&authority, "N", None, vec![Box::new(|_| wants(10, both))]);
    assert!(seen.tells("n,,n=,r="));
}

#[test]
fn postgresql_gives_no_cheap_proof_and_takes_none_that_breaks_off() {
    let authority = authority();
    let offer = || -> Say { Box::new(|_| wants(10, b"SCRAM-SHA-256\0\0")) };
    let (error, seen) = postgresql(&authority, "S", None, vec![offer(), Box::new(rounds(1))]);
    assert!(matches!(&error, Some(WireError::Credentials(why)) if why.contains("4096 rounds")), "{error:?}");
    assert!(!seen.tells("p="), "a proof was sent");
    let done = [wants(0, b""), message(b'Z', b"I")].concat();
    let (error, _) = postgresql(&authority, "S", None, vec![offer(), Box::new(move |_| done.clone())]);
    assert!(
        matches!(&error, Some(WireError::Credentials(why)) if why.contains("ended the exchange early")),
        "{error:?}"
    );
}

#[test]
fn an_md5_sum_is_given_and_told() {
    let authority = authority();
    let done = [wants(0, b""), message(b'Z', b"I")].concat();
    let says: Says = vec![Box::new(|_| wants(5, b"salt")), Box::new(move |_| done.clone())];
    let (stream, handle) = server(&authority, Vec::new(), 8, b"S".to_vec(), says);
    let session =
        super::postgresql::Session::open(stream, Channel::Remote, HOST, &login("m", PASSWORD, "d"), None).unwrap();
    assert!(session.is_weak);
    drop(session);
    assert!(!handle.join().unwrap().tells(PASSWORD));
}

fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    [&[u8::try_from(body.len()).unwrap(), 0, 0, sequence], body].concat()
}

/// Logs in to a MariaDB (or MySQL) that says this in TLS.
fn mysql(authority: &Authority, verify: Verify, says: Says) -> (Option<WireError>, Seen) {
    // The request for TLS is a header of 4 bytes and 32 more.
    let (stream, handle) = server(authority, with_tls(), 36, Vec::new(), says);
    let session = super::mysql::Session::open(stream, Channel::Remote, HOST, &login("u", PASSWORD, "d"), verify);
    let error = session.err();
    (error, handle.join().unwrap())
}

/// The greeting of a server that offers TLS.
fn with_tls() -> Vec<u8> {
    let mut greeting = MARIADB[..104].to_vec();
    let at = greeting.windows(2).position(|bytes| bytes == b"\xfe\xff").unwrap() + 1;
    greeting[at] |= 0x08;
    greeting
}

fn full_authentication() -> Says {
    let switch = packet(3, b"\xfecaching_sha2_password\x0012345678901234567890\0");
    vec![
        Box::new(move |_| switch.clone()),
        Box::new(|_| packet(5, b"\x01\x04")),
        Box::new(|_| packet(7, b"\0\0\0\x02\0\0\0")),
    ]
}

#[test]
fn mysql_tells_its_password_to_no_server_that_it_does_not_know() {
    let authority = authority();
    let (error, seen) = mysql(&authority, None, full_authentication());
    assert!(matches!(&error, Some(WireError::Unable(why)) if why.contains("name the authority")), "{error:?}");
    assert!(seen.tells("caching_sha2") || seen.tells("mysql_native_password"));
    assert!(!seen.tells(PASSWORD));
    let clear = packet(3, b"\xfemysql_clear_password\0");
    let (error, seen) = mysql(&authority, None, vec![Box::new(move |_| clear.clone())]);
    assert!(matches!(&error, Some(WireError::Method { method, .. }) if method == "mysql_clear_password"), "{error:?}");
    assert!(!seen.tells(PASSWORD));
    let (error, seen) = mysql(&authority, trusting(&authority), full_authentication());
    assert!(error.is_none(), "{error:?}");
    assert!(seen.tells(PASSWORD));
}

#[test]
fn mysql_says_nothing_to_a_server_without_the_right_certificate() {
    let (authority, other) = (authority(), super::hostile::authority());
    let (error, seen) = mysql(&authority, trusting(&other), full_authentication());
    assert!(matches!(&error, Some(WireError::Unable(why)) if why.contains("TLS failed")), "{error:?}");
    assert!(!seen.tells("u\0"));
    let mut greeting = with_tls();
    let at = greeting.windows(2).position(|bytes| bytes == b"\xfe\xff").unwrap() + 1;
    greeting[at] &= !0x08;
    let (stream, sent) = replay(&greeting);
    let login = login("u", PASSWORD, "d");
    let error = super::mysql::Session::open(stream, Channel::Remote, HOST, &login, trusting(&authority)).err().unwrap();
    assert!(matches!(&error, WireError::Unable(why) if why.contains("offers no TLS")), "{error:?}");
    assert!(sent.lock().unwrap().is_empty());
}
