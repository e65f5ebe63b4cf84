//! TLS over any byte stream.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme, StreamOwned,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;

use crate::error::{Failure, Outcome};
use crate::host::{Duplex, Host};

/// The authorities that Debian trusts (package ca-certificates).
pub const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A protected stream.
pub type Protected = StreamOwned<ClientConnection, Box<dyn Duplex>>;

/// Trusts the certificates in the PEM file `trust`, or the system's bundle when that is empty; and besides the one
/// in `stand_in`, where there is such a file.
pub fn verified(host: &dyn Host, trust: &str, stand_in: &str) -> Outcome<Arc<ClientConfig>> {
    let path = if trust.is_empty() { SYSTEM_BUNDLE } else { trust };
    let what = || format!("read the trusted certificates in {path}");
    let mut pem = host.read(Path::new(path)).map_err(|e| {
        let failure = Failure::new(what(), e);
        if trust.is_empty() { failure.hint("apt-get install ca-certificates") } else { failure }
    })?;
    if !stand_in.is_empty() {
        pem.push(b'\n');
        pem.extend(host.read(Path::new(stand_in)).unwrap_or_default());
    }
    config(Trust::read(&pem).map_err(|why| Failure::new(what(), why))?).map_err(|e| Failure::new(what(), e))
}

/// Encrypts, but believes any certificate: what database clients do where nothing was arranged.
pub fn unverified() -> Result<Arc<ClientConfig>, rustls::Error> {
    config(Trust::Anything)
}

/// Shakes hands with the server `name` over `stream`.
pub fn protect(config: Arc<ClientConfig>, name: &str, mut stream: Box<dyn Duplex>) -> io::Result<Protected> {
    let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// The names that the server's certificate is good for, sorted; its subject's where it has no others.
pub fn names(stream: &Protected) -> Vec<String> {
    let parsed = stream
        .conn
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(|cert| x509_parser::parse_x509_certificate(cert).ok());
    let Some((_, cert)) = parsed else { return Vec::new() };
    let alternative = cert.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let mut names: Vec<String> = alternative
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        names.push(cert.subject().to_string());
    }
    names.sort();
    names.dedup();
    names
}

/// The binding `tls-server-end-point` of RFC 5929: the server's certificate, hashed as its signature hashes; none where
/// that is not defined.
pub fn server_end_point(stream: &Protected) -> Option<Vec<u8>> {
    use sha2::{Digest, Sha256, Sha384, Sha512};
    let certificate = stream.conn.peer_certificates()?.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // MD5 and SHA-1 count as SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2" => Sha256::digest(certificate).to_vec(),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(certificate).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(certificate).to_vec(),
        _ => return None,
    })
}

/// `TLS 1.3`, `TLS 1.2`.
pub fn version(stream: &Protected) -> &'static str {
    match stream.conn.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    }
}

/// Whom a client believes.
enum Trust {
    Anything,
    These { roots: RootCertStore, exact: Vec<CertificateDer<'static>> },
}

impl Trust {
    fn read(pem: &[u8]) -> Result<Self, String> {
        let exact: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let mut roots = RootCertStore::empty();
        // Bundles hold certificates of odd forms that are of no use here; one that is must remain.
        let (usable, _) = roots.add_parsable_certificates(exact.iter().cloned());
        if usable == 0 {
            return Err("no certificate is in it".to_owned());
        }
        Ok(Self::These { roots, exact })
    }
}

fn config(trust: Trust) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = match &trust {
        Trust::Anything => None,
        Trust::These { roots, .. } => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
                .build()
                .map_err(|e| rustls::Error::Other(OtherError(Arc::new(e))))?,
        ),
    };
    let exact = match trust {
        Trust::Anything => Vec::new(),
        Trust::These { exact, .. } => exact,
    };
    let verifier = Verifier { chain, exact, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Verifies as browsers do, and accepts besides a self-signed certificate that is itself trusted: such a one
/// is often marked as an authority, which the chain's rules refuse for a server although clients based on
/// OpenSSL accept it. Its name and dates are still checked.
struct Verifier {
    /// None believes anything.
    chain: Option<Arc<WebPkiServerVerifier>>,
    exact: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let result = chain.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        let Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) = &result else {
            return result;
        };
        if !self.exact.iter().any(|known| known == end_entity) {
            return result;
        }
        check_dates(end_entity, now)?;
        webpki::EndEntityCert::try_from(end_entity)
            .and_then(|cert| cert.verify_is_valid_for_subject_name(name))
            .map_err(|_| rustls::Error::from(CertificateError::NotValidForName))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

fn check_dates(cert: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(cert).map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}
