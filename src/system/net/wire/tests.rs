//! Against what real servers said to this client, in part shortened (Debian 12: PostgreSQL 15, MariaDB 10.11, Redis 7, RabbitMQ 3.10).
#![allow(clippy::unwrap_used, clippy::octal_escapes)]

use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};

use super::*;

mod hostile;

/// Says what was recorded, and keeps what is sent.
struct Replay {
    says: Cursor<Vec<u8>>,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Read for Replay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.says.read(buffer)
    }
}

impl Write for Replay {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn replay(says: &[u8]) -> (Box<dyn Duplex>, Arc<Mutex<Vec<u8>>>) {
    let sent = Arc::default();
    (Box::new(Replay { says: Cursor::new(says.to_vec()), sent: Arc::clone(&sent) }), sent)
}

fn login<'a>(user: &'a str, password: &'a str, database: &'a str) -> Login<'a> {
    Login { user, password, database }
}

const POSTGRESQL: &[u8] = b"R\0\0\0\x0c\0\0\0\x05\r=a\xf5R\0\0\0\x08\0\0\0\0S\0\0\0\x1dapplication_name\0bringup\0\
    S\0\0\0\x19client_encoding\0UTF8\0S\0\0\x002server_version\015.20 (Debian 15.20-0+deb12u1)\0\
    K\0\0\0\x0c\0\0#\x9ee\xbd\xc6\xeaZ\0\0\0\x05IT\0\0\0!\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
    D\0\0\0\x0b\0\x01\0\0\0\x011C\0\0\0\rSELECT 1\0Z\0\0\0\x05I";

#[test]
fn postgresql_logs_in_and_answers_a_query() {
    let (stream, sent) = replay(POSTGRESQL);
    let login = login("m", "s3cret-pass", "d");
    let mut session = postgresql::Session::open(stream, Channel::Local, "localhost", &login, None).unwrap();
    assert_eq!(session.version, "15.20 (Debian 15.20-0+deb12u1)");
    assert_eq!(session.query("SELECT 1").unwrap(), [[Some("1".to_owned())]]);
    let expected: &[u8] =
        b"\0\0\0I\0\x03\0\0user\0m\0database\0d\0client_encoding\0UTF8\0application_name\0bringup\0\0\
        p\0\0\0(md5981b7c0daaad8a6b8f50069c707f9b75\0Q\0\0\0\rSELECT 1\0";
    assert_eq!(*sent.lock().unwrap(), expected);
}

#[test]
fn postgresql_tells_a_wrong_password_from_an_unknown_database() {
    let refusal = |says: &[u8]| {
        let (stream, _) = replay(says);
        let login = login("m", "no", "nodb");
        postgresql::Session::open(stream, Channel::Local, "localhost", &login, None).err().unwrap()
    };
    let password = refusal(
        b"R\0\0\0\x0c\0\0\0\x05\xd7/\xe3!E\0\0\0aSFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"m\"\0\
          Fauth.c\0L334\0Rauth_failed\0\0",
    );
    assert!(matches!(&password, WireError::Credentials(why) if why == "password authentication failed for user \"m\""));
    let database = refusal(
        b"R\0\0\0\x08\0\0\0\0E\0\0\0YSFATAL\0VFATAL\0C3D000\0Mdatabase \"nodb\" does not exist\0Fpostinit.c\0L948\0\
          RInitPostgres\0\0",
    );
    assert!(matches!(&database, WireError::Database(why) if why == "database \"nodb\" does not exist"));
    let barred = refusal(b"E\0\0\0\x29SFATAL\0C28000\0Mno pg_hba.conf entry\0\0");
    assert!(matches!(&barred, WireError::Server(why) if why.contains("pg_hba.conf")));
}

#[test]
fn postgresql_keeps_its_password_from_a_remote_server_that_wants_it_in_the_clear() {
    let (stream, sent) = replay(b"NR\0\0\0\x08\0\0\0\x03");
    let login = login("m", "s3cret-pass", "d");
    let error = postgresql::Session::open(stream, Channel::Remote, "db", &login, None).err().unwrap();
    assert!(matches!(error, WireError::Unable(_)));
    assert!(!sent.lock().unwrap().windows(6).any(|bytes| bytes == b"s3cret"));
}

#[test]
fn postgresql_answers_scram_with_its_first_message() {
    let (stream, sent) = replay(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");
    let login = login("m", "s3cret-pass", "d");
    let error = postgresql::Session::open(stream, Channel::Local, "localhost", &login, None).err().unwrap();
    assert!(matches!(error, WireError::Lost(_)));
    let sent = String::from_utf8_lossy(&sent.lock().unwrap()).into_owned();
    assert!(sent.contains("p\0\0\06SCRAM-SHA-256\0\0\0\0 n,,n=,r="), "{sent:?}");
}

const MARIADB: &[u8] = b"d\0\0\0\n5.5.5-10.11.19-MariaDB-0+deb12u1\0\n\0\0\0.UD2lKs#\0\xfe\xff-\x02\0\xff\x81\x15\0\0\0\0\0\0\
    \x1d\0\0\0M=*W[Ap6V12F\0mysql_native_password\0\x07\0\0\x02\0\0\0\x02\0\0\0\x01\0\0\x01\x01\x17\0\0\x02\x03def\0\0\0\x011\0\
    \x0c?\0\x01\0\0\0\x03\x81\0\0\0\0\x05\0\0\x03\xfe\0\0\x02\0\x02\0\0\x04\x011\x05\0\0\x05\xfe\0\0\x02\0";

#[test]
fn mariadb_logs_in_and_answers_a_query() {
    let (stream, sent) = replay(MARIADB);
    let login = login("u", "s3cret-pass", "d");
    let mut session = mysql::Session::open(stream, Channel::Local, "localhost", &login, None).unwrap();
    assert_eq!(session.version, "10.11.19-MariaDB-0+deb12u1");
    assert_eq!(session.query("SELECT 1").unwrap(), [[Some("1".to_owned())]]);
    let expected: &[u8] = b"O\0\0\x01\t\xa2\x08\0\0\0\0\x01-\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0u\0\
        \x14j\xaa\x0c\x8b'\x8eZ\x8b\x9a\x87M\xd0o\x12\x9d\xa9\x80@\x91Fd\0mysql_native_password\0\t\0\0\0\x03SELECT 1";
    assert_eq!(*sent.lock().unwrap(), expected);
}

#[test]
fn mariadb_tells_a_wrong_password_from_an_unknown_database_and_an_unknown_method() {
    let refusal = |packet: &[u8]| {
        let length = u8::try_from(packet.len()).unwrap();
        let says = [&MARIADB[..104], &[length, 0, 0, 2], packet].concat();
        let login = login("u", "no", "d");
        mysql::Session::open(replay(&says).0, Channel::Local, "localhost", &login, None).err().unwrap()
    };
    let text = "Access denied for user 'u'@'localhost' (using password: YES)";
    let error = refusal(&[b"\xff\x15\x04#28000", text.as_bytes()].concat());
    assert!(matches!(&error, WireError::Credentials(why) if why == text));
    let error = refusal(b"\xff\x19\x04#42000Unknown database 'd'");
    assert!(matches!(&error, WireError::Database(why) if why == "Unknown database 'd'"));
    let error = refusal(b"\xfeclient_ed25519\x0012345678901234567890123456789012");
    let failure = error.failure("log in");
    assert_eq!(failure.why, "u has to authenticate by client_ed25519, which bringup does not support");
    assert!(
        failure.hint.unwrap().contains("ALTER USER ... IDENTIFIED VIA mysql_native_password USING PASSWORD('...')")
    );
}

#[test]
fn mysql_sends_no_password_without_tls() {
    let greeting = &MARIADB[..104];
    let switch = b"\xfecaching_sha2_password\x0012345678901234567890\0";
    let packet = |sequence: u8, body: &[u8]| [&[u8::try_from(body.len()).unwrap(), 0, 0, sequence], body].concat();
    // A server that offers no TLS: the flag is bit 11 of its capabilities.
    let mut greeting = greeting.to_vec();
    let at = greeting.windows(2).position(|bytes| bytes == b"\xfe\xff").unwrap() + 1;
    greeting[at] &= !0x08;
    let says = [greeting, packet(2, switch), packet(4, b"\x01\x04")].concat();
    let (stream, sent) = replay(&says);
    let error =
        mysql::Session::open(stream, Channel::Remote, "db", &login("u", "s3cret-pass", ""), None).err().unwrap();
    assert!(matches!(&error, WireError::Unable(why) if why.contains("the server is not verified")));
    assert!(!sent.lock().unwrap().windows(6).any(|bytes| bytes == b"s3cret"));
}

#[test]
fn redis_selects_a_database_and_tells_its_version() {
    let (mut stream, sent) = replay(b"+OK\r\n+PONG\r\n$32\r\n# Server\r\nredis_version:7.0.15\r\n\r\n");
    assert_eq!(redis::login(&mut *stream, &login("", "", "3")).unwrap(), "7.0.15");
    let expected = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n";
    assert_eq!(*sent.lock().unwrap(), expected.as_bytes());
}

#[test]
fn redis_tells_a_wrong_password_from_an_unknown_database() {
    let refusal = |says: &[u8], login: &Login<'_>| redis::login(&mut *replay(says).0, login).unwrap_err();
    let bad = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert!(matches!(refusal(bad.as_bytes(), &login("", "bad", "")), WireError::Credentials(_)));
    let none = b"-NOAUTH Authentication required.\r\n";
    assert!(matches!(refusal(none, &login("", "", "")), WireError::Credentials(_)));
    let range = b"-ERR DB index is out of range\r\n";
    assert!(matches!(refusal(range, &login("", "", "300")), WireError::Database(_)));
    assert!(matches!(refusal(b"HTTP/1.1 400 Bad Request\r\n", &login("", "", "")), WireError::Unable(_)));
}

const RABBITMQ_START: &[u8] = b"\x01\0\0\0\0\0\x66\0\n\0\n\0\t\0\0\0\x41\x0ccapabilitiesF\0\0\0\x07\x04nackt\x01\
    \x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8\0\0\0\x0eAMQPLAIN PLAIN\0\0\0\x05en_US\xce";
const RABBITMQ_TUNE: &[u8] = b"\x01\0\0\0\0\0\x0c\0\n\0\x1e\x07\xff\0\x02\0\0\0<\xce";

#[test]
fn rabbitmq_opens_a_virtual_host_and_tells_its_version() {
    let done = b"\x01\0\0\0\0\0\x05\0\n\0)\0\xce\x01\0\0\0\0\0\x04\0\n\x003\xce";
    let (mut stream, sent) = replay(&[RABBITMQ_START, RABBITMQ_TUNE, done].concat());
    assert_eq!(amqp::login(&mut *stream, &login("guest", "guest", "")).unwrap(), "RabbitMQ 3.10.8");
    let expected: &[u8] = b"AMQP\0\0\t\x01\x01\0\0\0\0\0U\0\n\0\x0b\0\0\01\x0ccapabilitiesF\0\0\0\x1f\
        \x1cauthentication_failure_closet\x01\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US\xce\
        \x01\0\0\0\0\0\x0c\0\n\0\x1f\x07\xff\0\x02\0\0\0\0\xce\x01\0\0\0\0\0\x08\0\n\0(\x01/\0\0\xce\
        \x01\0\0\0\0\0\x0b\0\n\x002\0\xc8\0\0\0\0\0\xce";
    assert_eq!(*sent.lock().unwrap(), expected);
}

#[test]
fn rabbitmq_tells_a_wrong_password_from_an_unknown_virtual_host() {
    let refusal = |rest: &[u8]| {
        let says = [RABBITMQ_START, rest].concat();
        amqp::login(&mut *replay(&says).0, &login("guest", "guest", "nope")).unwrap_err()
    };
    let text = b"\x01\0\0\0\0\0\x19\0\n\x002\x01\x93\x0eACCESS_REFUSED\0\0\0\0\xce";
    assert!(matches!(refusal(text), WireError::Credentials(why) if why == "ACCESS_REFUSED"));
    let text = b"\x01\0\0\0\0\0-\0\n\x002\x02\x12\"NOT_ALLOWED - vhost nope not found\0\n\0(\xce";
    let error = refusal(&[RABBITMQ_TUNE, text].concat());
    assert!(matches!(error, WireError::Database(why) if why == "NOT_ALLOWED - vhost nope not found"));
    assert!(matches!(refusal(b"HTTP/1.1 400 Bad Request\r\n"), WireError::Unable(_)));
}

#[test]
fn a_server_of_another_kind_neither_panics_nor_takes_memory() {
    let login = login("u", "p", "d");
    for says in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ] {
        assert!(postgresql::Session::open(replay(says).0, Channel::Local, "x", &login, None).is_err());
        assert!(mysql::Session::open(replay(says).0, Channel::Local, "x", &login, None).is_err());
        assert!(redis::login(&mut *replay(says).0, &login).is_err());
        assert!(amqp::login(&mut *replay(says).0, &login).is_err());
    }
}

#[test]
fn network_troubles_are_told_apart() {
    let socket = "192.0.2.7:5432".parse().unwrap();
    let why = |kind: io::ErrorKind| unreachable("db.example.org", socket, TIMEOUT, &io::Error::from(kind));
    assert!(why(io::ErrorKind::ConnectionRefused).why.contains("nothing listens"));
    assert!(why(io::ErrorKind::TimedOut).hint.unwrap().contains("firewall"));
    assert_eq!(why(io::ErrorKind::TimedOut).what, "connect to db.example.org (192.0.2.7:5432)");
}

#[test]
fn an_address_that_maps_ipv4_into_ipv6_is_local_too() {
    assert_eq!(Channel::to("::ffff:127.0.0.1".parse().unwrap()), Channel::Local);
    assert_eq!(Channel::to("192.0.2.7".parse().unwrap()), Channel::Remote);
}
