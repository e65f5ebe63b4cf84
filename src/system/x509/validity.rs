//! Until when a certificate is good, and who says so.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Seconds since the epoch.
    pub until: i64,
    /// It is signed with its own key: browsers do not trust it.
    pub self_signed: bool,
    /// Who issued it.
    pub issuer: String,
}

/// Of the first certificate in this PEM; none where there is none that can be read.
pub fn validity(pem: &[u8]) -> Option<Validity> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let issuer = certificate.issuer();
    let named = issuer.iter_organization().chain(issuer.iter_common_name()).find_map(|name| name.as_str().ok());
    Some(Validity {
        until: certificate.validity().not_after.timestamp(),
        self_signed: issuer == certificate.subject(),
        issuer: named.unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::Stamp;
    use crate::system::x509::self_signed;

    #[test]
    fn a_certificate_says_until_when_it_is_good_and_that_nobody_else_signed_it() {
        let now = Stamp { sec: 1_800_000_000, nsec: 0 };
        let made = self_signed::make(&["shop.example.org".to_owned()], 30, now).unwrap();
        let found = validity(made.certificate.as_bytes()).unwrap();
        assert!(found.self_signed && found.until > now.sec && found.until <= now.sec + 31 * 86_400, "{found:?}");
        assert_eq!(found.issuer, "shop.example.org");
        assert_eq!(validity(b"no certificate"), None);
    }
}
