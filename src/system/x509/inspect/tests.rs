#![allow(clippy::unwrap_used)]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use super::*;

/// 2026-11-21.
const NOW: i64 = 1_795_219_200;
const NAME: &str = "app.example.org";

/// A server certificate, the intermediate that signed it and the root that signed that.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    middle: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority("Test Root"), KeyPair::generate().unwrap()).unwrap();
        let middle =
            CertifiedIssuer::signed_by(authority("Test Intermediate"), KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, middle }
    }

    /// Issues a certificate, with its chain apart and the root in the host's store.
    fn issue(&self, params: &CertificateParams) -> Provided {
        let key = KeyPair::generate().unwrap();
        Provided {
            certificate: params.signed_by(&key, &self.middle).unwrap().pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            chain: self.middle.pem().into_bytes(),
            key_mode: 0o600,
            trusted: self.root.pem().into_bytes(),
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = server(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages.clear();
    params
}

fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn good() -> Provided {
    Authority::new().issue(&server(&[NAME]))
}

fn messages(provided: &Provided) -> Vec<String> {
    inspect(provided, &[NAME.to_owned()], NOW).into_iter().map(|problem| problem.message).collect()
}

/// Exactly one problem, and it says this.
fn assert_only(provided: &Provided, says: &str) {
    let found = messages(provided);
    assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
}

#[test]
fn a_good_certificate_has_no_problem() {
    let mut provided = good();
    assert_eq!(messages(&provided), Vec::<String>::new());
    provided = Provided { certificate: provided.bundle(), chain: Vec::new(), ..provided };
    assert_eq!(messages(&provided), Vec::<String>::new(), "chain in the same file");
}

#[test]
fn der_is_told_from_pem() {
    let provided = good();
    let der = CertificateDer::from_pem_slice(&provided.certificate).unwrap().to_vec();
    assert_only(&Provided { certificate: der, ..provided.clone() }, "the certificate is DER");
    let key = PrivateKeyDer::from_pem_slice(&provided.key).unwrap().secret_der().to_vec();
    assert_only(&Provided { key, ..provided }, "the key is DER");
}

#[test]
fn files_without_what_they_should_hold_are_seen() {
    let provided = good();
    assert_only(&Provided { key: provided.certificate.clone(), ..provided.clone() }, "no key in the key's file");
    assert_only(&Provided { certificate: b"hello".to_vec(), ..provided.clone() }, "no readable certificate");
    assert_only(&Provided { certificate: Vec::new(), ..provided.clone() }, "no readable certificate");
    let cut = provided.certificate[..provided.certificate.len() / 2].to_vec();
    assert_only(&Provided { certificate: cut, ..provided }, "no readable certificate");
}

#[test]
fn what_a_word_processor_or_another_system_made_of_a_file_is_named() {
    let with = |from: &str, to: &str| {
        let provided = good();
        let text = String::from_utf8(provided.certificate.clone()).unwrap();
        Provided { certificate: text.replacen(from, to, 1).into_bytes(), ..provided }
    };
    let told = |provided: &Provided| messages(provided).join("; ");
    let mark = told(&with("-----BEGIN", "\u{feff}-----BEGIN"));
    assert!(mark.contains("the certificate cannot be read: a byte order mark (U+FEFF) before"), "{mark}");
    assert!(told(&with("-----BEGIN", "—BEGIN")).contains("a dash that is not a hyphen (U+2014)"));
    assert!(told(&with("BEGIN CERT", "BEGIN\u{a0}CERT")).contains("a no-break space (U+00A0)"));
    let key = Provided { key: [b"\xef\xbb\xbf".as_slice(), &good().key].concat(), ..good() };
    assert!(told(&key).contains("the key cannot be read: a byte order mark"), "{}", told(&key));
    let wide = |content: &[u8]| content.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>();
    let utf16 = Provided { key: [vec![0xff, 0xfe], wide(&good().key)].concat(), ..good() };
    assert!(told(&utf16).contains("the key is UTF-16"), "{}", told(&utf16));
    // A chain whose second block nobody would see.
    let chained = good();
    let marked = [chained.certificate.as_slice(), b"\xef\xbb\xbf", &chained.certificate].concat();
    assert!(told(&Provided { certificate: marked, ..chained }).contains("a byte order mark (U+FEFF)"));
    // A note between the blocks may hold any.
    let fine = good();
    let noted = [b"Issued by \xe2\x80\x9cus\xe2\x80\x9d\n".as_slice(), &fine.certificate].concat();
    assert_eq!(told(&Provided { certificate: noted, ..fine }), "");
}

#[test]
fn a_key_with_a_passphrase_is_refused() {
    let key = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n".to_vec();
    assert_only(&Provided { key, ..good() }, "passphrase");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    assert_only(
        &Provided { key: KeyPair::generate().unwrap().serialize_pem().into_bytes(), ..good() },
        "belongs to another",
    );
}

#[test]
fn the_servers_certificate_must_be_the_first() {
    let provided = good();
    let certificate = [provided.chain.clone(), provided.certificate.clone()].concat();
    let found = messages(&Provided { certificate, chain: Vec::new(), ..provided });
    assert!(found.iter().any(|message| message.contains("not the first in its file")), "{found:?}");
}

#[test]
fn an_expired_certificate_and_one_of_the_future_are_refused() {
    let mut params = server(&[NAME]);
    params.not_after = date_time_ymd(2026, 11, 1);
    assert_only(&Authority::new().issue(&params), "expired on 2026-11-01");
    let mut params = server(&[NAME]);
    params.not_before = date_time_ymd(2026, 12, 1);
    assert_only(&Authority::new().issue(&params), "valid only from 2026-12-01");
}

#[test]
fn names_must_be_covered_and_wildcards_count_for_one_label() {
    assert_only(
        &Authority::new().issue(&server(&["other.example.org"])),
        "not valid for app.example.org, but for other.example.org",
    );
    let mut nameless = server(&[]);
    nameless.distinguished_name.push(DnType::CommonName, NAME);
    assert_only(&Authority::new().issue(&nameless), "a common name does not count");
    assert_eq!(messages(&Authority::new().issue(&server(&["*.example.org"]))), Vec::<String>::new());
    assert_only(&Authority::new().issue(&server(&["*.org"])), "not valid for");
}

#[test]
fn a_missing_chain_is_seen_with_and_without_a_trust_store() {
    let provided = Provided { chain: Vec::new(), ..good() };
    assert_only(&provided, "incomplete: the certificate of its issuer \"CN=Test Intermediate\"");
    assert_only(&Provided { trusted: Vec::new(), ..provided }, "incomplete");
}

#[test]
fn without_a_trust_store_the_chain_itself_is_enough() {
    assert_eq!(messages(&Provided { trusted: Vec::new(), ..good() }), Vec::<String>::new());
}

#[test]
fn a_chain_to_an_authority_that_nobody_knows_needs_its_root() {
    let issuer = Authority::new();
    let mut provided = issuer.issue(&server(&[NAME]));
    provided.trusted = Authority::new().root.pem().into_bytes();
    // Both roots have the same name here, as a renewed authority has: then it is the signature that tells.
    assert_eq!(messages(&provided).len(), 1);
    provided.chain.extend(issuer.root.pem().into_bytes());
    assert_eq!(messages(&provided), Vec::<String>::new());
}

#[test]
fn a_chain_that_did_not_sign_it_is_refused() {
    let foreign = Authority::new();
    let provided = Provided { chain: foreign.middle.pem().into_bytes(), ..good() };
    assert_eq!(messages(&provided).len(), 1, "{:?}", messages(&provided));
}

#[test]
fn an_authority_and_a_client_certificate_are_no_servers() {
    let mut params = server(&[NAME]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_only(&Authority::new().issue(&params), "authority's certificate");
    let mut params = server(&[NAME]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_only(&Authority::new().issue(&params), "not meant for servers");
}

#[test]
fn a_self_signed_one_needs_no_chain() {
    let key = KeyPair::generate().unwrap();
    let certificate = server(&[NAME]).self_signed(&key).unwrap().pem().into_bytes();
    let provided =
        Provided { certificate, key: key.serialize_pem().into_bytes(), key_mode: 0o600, ..Provided::default() };
    assert_eq!(messages(&provided), Vec::<String>::new());
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    assert_only(&Provided { key_mode: 0o644, ..good() }, "every user on this server can read the key (mode 0644)");
    assert_eq!(messages(&Provided { key_mode: 0o640, ..good() }), Vec::<String>::new());
}

#[test]
fn several_problems_are_told_at_once() {
    let mut params = server(&["other.example.org"]);
    params.not_after = date_time_ymd(2026, 11, 1);
    let provided = Provided { key_mode: 0o644, chain: Vec::new(), ..Authority::new().issue(&params) };
    assert_eq!(messages(&provided).len(), 4, "{:?}", messages(&provided));
}

#[test]
fn a_short_rsa_key_is_refused() {
    // openssl req -x509 -newkey rsa:1024 -subj /CN=app.example.org -addext subjectAltName=DNS:app.example.org
    let certificate = include_bytes!("rsa-1024.pem").to_vec();
    let found = messages(&Provided { certificate, ..good() });
    assert!(found.iter().any(|message| message.contains("1024 bits is too short")), "{found:?}");
}
