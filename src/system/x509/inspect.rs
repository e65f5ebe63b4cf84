//! What can be wrong with a certificate that someone brings, each said in a way that it can be fixed.
//!
//! Everything is found in one pass and before anything is changed: a server that starts with half a chain or
//! the wrong key fails at its users, later.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::self_signed::names_of;
use crate::error::{Failure, Outcome, Problem};
use crate::host::{Host, Kind};
use crate::visible;

/// Where Debian keeps the authorities that this server trusts.
const TRUST_STORE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Shortest RSA key that is taken, in bits (NIST SP 800-57, the CA/Browser Forum's baseline requirements 6.1.5).
const SHORTEST_RSA: usize = 2048;

/// The files of a provided certificate.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Provided {
    /// The certificate, perhaps followed by its chain, PEM.
    pub certificate: Vec<u8>,
    /// The key, PEM.
    pub key: Vec<u8>,
    /// The chain, PEM; empty when there is none apart.
    pub chain: Vec<u8>,
    /// Permission bits of the key's file.
    pub key_mode: u32,
    /// The authorities that this server trusts, PEM; empty when it has no list of them.
    pub trusted: Vec<u8>,
}

impl Provided {
    /// Reads certificate, key and chain (none when its path is empty) and the host's trust store; `None` when
    /// we may not read the key.
    pub fn read(host: &dyn Host, [certificate, key, chain]: [&str; 3]) -> Outcome<Option<Self>> {
        let read = |path: &str, what: &str| match host.read(Path::new(path)) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(None),
            Err(e) => Err(Failure::new(format!("read the {what} {path}"), e)
                .hint("give the full path of a PEM file on this server")),
        };
        let (Some(certificate), Some(key_content)) = (read(certificate, "certificate")?, read(key, "key")?) else {
            return Ok(None);
        };
        let chain = if chain.is_empty() { Some(Vec::new()) } else { read(chain, "chain")? };
        let Some(chain) = chain else { return Ok(None) };
        let key_mode = mode_behind(host, Path::new(key))?;
        let trusted = host.read(Path::new(TRUST_STORE)).unwrap_or_default();
        Ok(Some(Self { certificate, key: key_content, chain, key_mode, trusted }))
    }

    /// The same for a certificate that was issued for a key of ours; `None` when we may not read the key.
    pub fn issued(host: &dyn Host, certificate: &str, key: &Path, chain: &str) -> Outcome<Option<Self>> {
        if host.stat(key).map_err(|e| Failure::new(format!("look at {}", key.display()), e))?.is_none() {
            let why = format!("the key of its signing request is not on this server ({})", key.display());
            return Err(Failure::new(format!("use the certificate {certificate}"), why).hint(
                "leave tls.issued empty once, so that bringup creates the key and the request; or choose your own certificate",
            ));
        }
        Self::read(host, [certificate, &key.to_string_lossy(), chain])
    }

    /// Certificate and chain in one file, as servers want them.
    pub fn bundle(&self) -> Vec<u8> {
        let mut bundle = self.certificate.clone();
        if !self.chain.is_empty() {
            if !bundle.ends_with(b"\n") {
                bundle.push(b'\n');
            }
            bundle.extend_from_slice(&self.chain);
        }
        bundle
    }
}

/// The permission bits of a file, through the links to it (certbot's `live/` holds links).
fn mode_behind(host: &dyn Host, path: &Path) -> Outcome<u32> {
    let failed = |e| Failure::new(format!("look at {}", path.display()), e);
    let mut at = path.to_owned();
    // The kernel gives up after 40 links too.
    for _ in 0..40 {
        match host.stat(&at).map_err(failed)? {
            Some(stat) if stat.kind == Kind::Symlink => {
                let target = host.read_link(&at).map_err(failed)?;
                at = at.parent().unwrap_or(Path::new("/")).join(target);
            }
            Some(stat) => return Ok(stat.meta.mode),
            None => break,
        }
    }
    Err(Failure::new(format!("look at {}", path.display()), "the link is dangling"))
}

/// Everything that is wrong with a certificate for a server called `names`, at `now` (seconds since the
/// epoch).
pub fn inspect(provided: &Provided, names: &[String], now: i64) -> Vec<Problem> {
    let mut problems = Vec::new();
    let key = readable_key(provided, &mut problems);
    let certificates = readable_certificates(provided, &mut problems);
    let Some(leaf) = certificates.first() else {
        return problems;
    };
    let Ok((_, parsed)) = X509Certificate::from_der(leaf) else {
        problems.push(problem("the certificate cannot be read", "have it issued again"));
        return problems;
    };
    strength(&parsed, &mut problems);
    if let Some(key) = key {
        belongs_together(&certificates, &key, &mut problems);
    }
    validity(&parsed, now, &mut problems);
    coverage(leaf, &parsed, names, &mut problems);
    trust(provided, &certificates, &parsed, now, &mut problems);
    problems
}

/// Whether a key belongs to a certificate; `None` when it is of a kind that cannot be compared.
pub fn key_matches(certificate: &CertificateDer<'_>, key: &[u8]) -> Option<bool> {
    let key = PrivateKeyDer::from_pem_slice(key).ok()?;
    let key = any_supported_type(&key).ok()?;
    let pair = CertifiedKey::new(vec![certificate.clone().into_owned()], key);
    match pair.keys_match() {
        Ok(()) => Some(true),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Some(false),
        Err(_) => None,
    }
}

/// What keeps tools from reading a PEM file that looks right: a byte order mark before a block (OpenSSL and every
/// server skip the whole block), another encoding, or the typographic dashes of a word processor.
fn garbled(what: &str, content: &[u8]) -> Option<Problem> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        let hint = "save it as plain text: iconv -f UTF-16 -t ASCII FILE > NEW";
        return Some(problem(format!("the {what} is UTF-16, not PEM"), hint));
    }
    let text = String::from_utf8_lossy(content);
    let begins = |line: &str| line.trim_start().trim_start_matches('-').trim_start().starts_with("BEGIN ");
    text.lines().find_map(|line| {
        let odd = visible::odd(line)?;
        let plain = |c: char| match visible::odd(c.encode_utf8(&mut [0; 4])) {
            Some(_) if c.is_whitespace() => ' ',
            Some(_) => '-',
            None => c,
        };
        let plain: String = line.chars().map(plain).collect();
        // Texts between the blocks may hold any.
        begins(&plain).then(|| {
            let hint = format!("{}, or copy the file again: it must begin with `-----BEGIN`", odd.hint);
            problem(format!("the {what} cannot be read: {odd} before or in a line `-----BEGIN`"), hint)
        })
    })
}

fn problem(message: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem { place: String::new(), path: String::new(), message: message.into(), hint: hint.into() }
}

fn readable_key(provided: &Provided, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    if provided.key_mode & 0o004 != 0 {
        problems.push(problem(
            format!("every user on this server can read the key (mode {:04o})", provided.key_mode),
            "chmod 600 it, and consider having the certificate issued again with a new key",
        ));
    }
    if looks_like_der(&provided.key) {
        problems.push(problem("the key is DER, not PEM", "openssl pkey -inform der -in KEY -out key.pem"));
        return None;
    }
    if let Some(garbled) = garbled("key", &provided.key) {
        problems.push(garbled);
        return None;
    }
    let text = String::from_utf8_lossy(&provided.key);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        problems.push(problem(
            "the key is protected by a passphrase, which cannot be typed when the web server starts",
            "openssl pkey -in KEY -out key.pem",
        ));
        return None;
    }
    if PrivateKeyDer::from_pem_slice(&provided.key).is_err() {
        let hint = "it must contain a line `-----BEGIN PRIVATE KEY-----`; are certificate and key mixed up?";
        problems.push(problem("there is no key in the key's file", hint));
        return None;
    }
    Some(provided.key.clone())
}

fn readable_certificates(provided: &Provided, problems: &mut Vec<Problem>) -> Vec<CertificateDer<'static>> {
    let mut found = Vec::new();
    for (what, content, needed) in [("certificate", &provided.certificate, true), ("chain", &provided.chain, false)] {
        if looks_like_der(content) {
            let hint = format!("openssl x509 -inform der -in {} -out {what}.pem", what.to_uppercase());
            problems.push(problem(format!("the {what} is DER, not PEM"), hint));
            if needed {
                return Vec::new();
            }
            continue;
        }
        if let Some(garbled) = garbled(what, content) {
            problems.push(garbled);
            if needed {
                return Vec::new();
            }
            continue;
        }
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() || content.is_empty() && !needed => {
                found.extend(certificates);
            }
            Ok(_) | Err(_) => {
                let hint = "it must contain a complete block from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`";
                problems.push(problem(format!("there is no readable certificate in the {what}'s file"), hint));
                if needed {
                    return Vec::new();
                }
            }
        }
    }
    found
}

/// DER begins with a SEQUENCE in the long form.
pub fn looks_like_der(content: &[u8]) -> bool {
    matches!(content, [0x30, 0x81..=0x84, ..])
}

fn strength(parsed: &X509Certificate<'_>, problems: &mut Vec<Problem>) {
    if let Ok(PublicKey::RSA(key)) = parsed.public_key().parsed()
        && key.key_size() < SHORTEST_RSA
    {
        problems.push(problem(
            format!("its RSA key of {} bits is too short", key.key_size()),
            format!("have it issued again with a key of {SHORTEST_RSA} bits or more, or an ECDSA P-256 key"),
        ));
    }
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    // RFC 8017 and RFC 3279: md5WithRSAEncryption, sha1WithRSAEncryption, ecdsa-with-SHA1.
    if ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"].contains(&algorithm.as_str()) {
        problems
            .push(problem("it is signed with MD5 or SHA-1, which clients no longer accept", "have it issued again"));
    }
}

fn belongs_together(certificates: &[CertificateDer<'static>], key: &[u8], problems: &mut Vec<Problem>) {
    match key_matches(&certificates[0], key) {
        Some(true) => {}
        Some(false) if certificates[1..].iter().any(|other| key_matches(other, key) == Some(true)) => {
            problems.push(problem(
                "the server's certificate is not the first in its file",
                "put it first, and the certificates of the authorities after it",
            ));
        }
        Some(false) => problems.push(problem(
            "the key belongs to another certificate",
            "compare `openssl x509 -noout -pubkey -in CERTIFICATE` with `openssl pkey -pubout -in KEY`",
        )),
        None => problems.push(problem(
            "the key is damaged or of an unusual kind",
            "use RSA of 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519",
        )),
    }
}

fn validity(parsed: &X509Certificate<'_>, now: i64, problems: &mut Vec<Problem>) {
    let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    if until < now {
        problems.push(problem(format!("it expired on {}", day(until)), "have it renewed"));
    }
    if from > now {
        problems.push(problem(
            format!("it is valid only from {}", day(from)),
            "compare with `date`: the clock of this server is wrong, or it is too early",
        ));
    }
}

fn coverage(leaf: &CertificateDer<'_>, parsed: &X509Certificate<'_>, names: &[String], problems: &mut Vec<Problem>) {
    let Ok(certificate) = EndEntityCert::try_from(leaf) else {
        return;
    };
    let uncovered: Vec<&str> = names
        .iter()
        .filter(|name| {
            let subject = ServerName::try_from(name.as_str());
            !subject.is_ok_and(|subject| certificate.verify_is_valid_for_subject_name(&subject).is_ok())
        })
        .map(String::as_str)
        .collect();
    if uncovered.is_empty() {
        return;
    }
    let good_for = names_of(parsed);
    let good_for = if good_for.is_empty() {
        "no name at all (a common name does not count)".to_owned()
    } else {
        good_for.join(", ")
    };
    problems.push(problem(
        format!("it is not valid for {}, but for {good_for}", uncovered.join(", ")),
        "have it issued for the server's name, or correct the name",
    ));
}

/// Whether a client gets from the certificate to an authority with what the server sends, and takes it for a
/// server's.
fn trust(
    provided: &Provided,
    certificates: &[CertificateDer<'static>],
    parsed: &X509Certificate<'_>,
    now: i64,
    problems: &mut Vec<Problem>,
) {
    let authority = parsed.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca);
    if authority {
        problems.push(problem(
            "it is an authority's certificate, which strict clients refuse from a server",
            "for a self-signed one add -extensions usr_cert to `openssl req -x509`",
        ));
        return;
    }
    let usage = parsed.extended_key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        problems.push(problem(
            "it is not meant for servers (serverAuth is missing)",
            "have it issued as a server certificate",
        ));
        return;
    }
    let Ok(leaf) = EndEntityCert::try_from(&certificates[0]) else {
        problems.push(problem("clients do not support its format", "it must be X.509 version 3"));
        return;
    };
    let is_root = |der: &&CertificateDer<'static>| {
        X509Certificate::from_der(der).is_ok_and(|(_, parsed)| parsed.issuer() == parsed.subject())
    };
    let trusted: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&provided.trusted).filter_map(Result::ok).collect();
    let mut roots: Vec<&CertificateDer<'static>> = certificates.iter().filter(is_root).chain(&trusted).collect();
    // Without a list of authorities only the chain itself can be judged: its last certificate must do as one.
    if trusted.is_empty() && certificates.len() > 1 {
        roots.extend(certificates.last());
    }
    let anchors: Vec<TrustAnchor<'_>> =
        roots.into_iter().filter_map(|root| anchor_from_trusted_cert(root).ok()).collect();
    // Expiry has been judged already, with a better message: here it must not hide a broken chain.
    let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    let at = Duration::from_secs(u64::try_from(now.clamp(from, until)).unwrap_or(0));
    let verified = leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &certificates[1..],
        UnixTime::since_unix_epoch(at),
        KeyUsage::server_auth(),
        None,
        None,
    );
    let Err(error) = verified else { return };
    problems.push(match error {
        webpki::Error::UnknownIssuer => {
            let top = top_of(certificates, parsed);
            problem(
                format!("its chain is incomplete: the certificate of its issuer \"{top}\" is missing"),
                "add the intermediate certificates that came with it (often called chain.pem, ca-bundle or fullchain.pem); \
                 for an authority of your own add its root certificate too",
            )
        }
        webpki::Error::CertExpired { .. } => problem("a certificate of its chain has expired", "get the current chain from the authority"),
        webpki::Error::InvalidSignatureForPublicKey => {
            problem("a certificate of its chain did not sign it", "get the chain that belongs to it from the authority")
        }
        other => problem(format!("clients would refuse it: {other}"), "have it issued again"),
    });
}

/// The name of the first issuer that is not there.
fn top_of(certificates: &[CertificateDer<'static>], leaf: &X509Certificate<'_>) -> String {
    let parsed: Vec<X509Certificate<'_>> =
        certificates.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let mut issuer = leaf.issuer();
    // At most as many steps as there are certificates: a chain can be a circle.
    for _ in &parsed {
        match parsed.iter().find(|candidate| candidate.subject() == issuer && candidate.issuer() != issuer) {
            Some(next) => issuer = next.issuer(),
            None => break,
        }
    }
    issuer.to_string()
}

fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("{seconds} s after 1970"), |at| at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests;
