//! Making a self-signed certificate that every client can verify by itself.
//!
//! It is no authority (`CA:FALSE`): rustls refuses an authority as a server's certificate, and every library
//! takes a trusted certificate that is the server's own. It has no key usage: OpenSSL 1.1.1 (bullseye) takes a
//! certificate as self-signed only when its key usage allows signing certificates, or when it has none.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::inspect::key_matches;
use crate::error::{Failure, Outcome};
use crate::host::Stamp;

/// Longest common name allowed by RFC 5280 (`ub-common-name`).
const LONGEST_COMMON_NAME: usize = 64;

/// A certificate and its key, PEM.
pub struct Made {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// Makes a certificate for `names`, valid from the day before `now` (clocks differ) for `days` days.
pub fn make(names: &[String], days: u32, now: Stamp) -> Outcome<Made> {
    make_with(names, days, now, &new_key()?)
}

/// A new key, PEM: ECDSA P-256.
pub fn new_key() -> Outcome<String> {
    let key = KeyPair::generate().map_err(|e| Failure::new("create a key", e))?;
    Ok(key.serialize_pem())
}

/// What both a certificate and a request for one say.
fn params(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(first) = names.first().filter(|name| name.len() <= LONGEST_COMMON_NAME) {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    Ok(params)
}

/// A request (PKCS #10, PEM) to have a certificate for `names` and this key issued.
pub fn request(names: &[String], key: &str) -> Outcome<String> {
    let made = || params(names)?.serialize_request(&KeyPair::from_pem(key)?)?.pem();
    made().map_err(|e| Failure::new("create a signing request", e).hint("the key must be ECDSA or Ed25519, PEM"))
}

/// Whether `request` asks for a certificate for exactly these names and the key of `certificate`.
pub fn is_request_for(request: &[u8], certificate: &[u8], names: &[String]) -> bool {
    let (Ok((_, request)), Ok(certificate)) = (parse_x509_pem(request), CertificateDer::from_pem_slice(certificate))
    else {
        return false;
    };
    let (Ok((_, request)), Ok((_, certificate))) =
        (X509CertificationRequest::from_der(&request.contents), X509Certificate::from_der(&certificate))
    else {
        return false;
    };
    let mut wanted = names.to_vec();
    let mut found: Vec<String> = request
        .requested_extensions()
        .into_iter()
        .flatten()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(name)
        .collect();
    wanted.sort();
    found.sort();
    found == wanted && request.certification_request_info.subject_pki.raw == certificate.public_key().raw
}

/// Makes a certificate with a key that is there already.
pub fn make_with(names: &[String], days: u32, now: Stamp, key: &str) -> Outcome<Made> {
    let failed = |e: &dyn std::fmt::Display| Failure::new("create a certificate", e);
    let mut params = params(names).map_err(|e| failed(&e))?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let day = jiff::Timestamp::from_second(now.sec)
        .map_err(|e| failed(&e))?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
        .yesterday()
        .map_err(|e| failed(&e))?;
    let last = day.checked_add(jiff::Span::new().days(days)).map_err(|e| failed(&e))?;
    let part = |number: i8| u8::try_from(number).unwrap_or(1);
    let midnight = |day: jiff::civil::Date| date_time_ymd(i32::from(day.year()), part(day.month()), part(day.day()));
    (params.not_before, params.not_after) = (midnight(day), midnight(last));
    let key = KeyPair::from_pem(key).map_err(|e| failed(&e))?;
    let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Whether `certificate` is self-signed, for exactly these names, belongs to `key`, and is still good at
/// `until` (seconds since the epoch).
pub fn is_for(certificate: &[u8], key: &[u8], names: &[String], until: i64) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(certificate) else {
        return false;
    };
    let Ok((_, parsed)) = X509Certificate::from_der(&der) else {
        return false;
    };
    let mut wanted: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut found = names_of(&parsed);
    wanted.sort();
    found.sort();
    parsed.issuer() == parsed.subject()
        && found == wanted
        && parsed.validity().not_after.timestamp() > until
        && key_matches(&der, key).unwrap_or(false)
}

/// The names that a certificate is good for.
pub fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::from([*a, *b, *c, *d]).to_string()),
            bytes => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read as _, Write as _};
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
    use rustls_pki_types::{PrivateKeyDer, ServerName};

    use super::*;

    /// 2026-11-21.
    const NOW: Stamp = Stamp { sec: 1_795_219_200, nsec: 0 };
    const DAY: i64 = 86_400;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Client and server talk in memory; returns what the client got after the handshake.
    fn shake_hands(made: &Made, name: &str) -> Result<String, rustls::Error> {
        let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut server = ServerConnection::new(Arc::new(server))?;
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap())?;
        server.writer().write_all(b"hello").unwrap();
        for _ in 0..10 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            feed(&bytes, |part| server.read_tls(part));
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            feed(&bytes, |part| client.read_tls(part));
            client.process_new_packets()?;
        }
        let mut got = [0; 5];
        client.reader().read_exact(&mut got).unwrap();
        Ok(String::from_utf8_lossy(&got).into_owned())
    }

    fn feed(mut bytes: &[u8], mut read: impl FnMut(&mut dyn std::io::Read) -> std::io::Result<usize>) {
        while !bytes.is_empty() {
            read(&mut bytes).unwrap();
        }
    }

    /// The clock of rustls is the server's: the certificate must be valid then.
    fn made_today(list: &[&str]) -> Made {
        let since = rustls_pki_types::UnixTime::now().as_secs();
        make(&names(list), 397, Stamp { sec: i64::try_from(since).unwrap(), nsec: 0 }).unwrap()
    }

    #[test]
    fn a_client_that_is_given_the_certificate_trusts_the_server() {
        let made = made_today(&["app.example.org", "192.0.2.7"]);
        assert_eq!(shake_hands(&made, "app.example.org").as_deref(), Ok("hello"));
        assert_eq!(shake_hands(&made, "192.0.2.7").as_deref(), Ok("hello"));
    }

    #[test]
    fn a_client_that_wants_another_name_does_not() {
        let made = made_today(&["app.example.org"]);
        assert!(shake_hands(&made, "other.example.org").is_err());
    }

    #[test]
    fn it_is_good_for_its_days_and_names_only() {
        let list = names(&["app.example.org", "www.example.org"]);
        let made = make(&list, 397, NOW).unwrap();
        let is_for = |list: &[String], until| is_for(made.certificate.as_bytes(), made.key.as_bytes(), list, until);
        assert!(is_for(&list, NOW.sec + 395 * DAY));
        assert!(!is_for(&list, NOW.sec + 397 * DAY));
        assert!(is_for(&names(&["www.example.org", "APP.example.org"]), NOW.sec), "neither order nor case matters");
        assert!(!is_for(&list[..1], NOW.sec));
        assert!(!is_for(&names(&["app.example.org", "www.example.org", "x.example.org"]), NOW.sec));
    }

    #[test]
    fn another_key_is_seen() {
        let list = names(&["app.example.org"]);
        let (made, other) = (make(&list, 397, NOW).unwrap(), make(&list, 397, NOW).unwrap());
        assert!(!is_for(made.certificate.as_bytes(), other.key.as_bytes(), &list, NOW.sec));
        assert!(!is_for(b"", made.key.as_bytes(), &list, NOW.sec));
    }

    #[test]
    fn a_name_too_long_for_a_common_name_is_still_covered() {
        let long = format!("{}.example.org", "a".repeat(60));
        let made = make(&names(&[&long]), 397, NOW).unwrap();
        assert!(is_for(made.certificate.as_bytes(), made.key.as_bytes(), &names(&[&long]), NOW.sec));
    }
}
