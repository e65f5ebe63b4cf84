//! `certificate`: puts a TLS certificate and its key in place: a self-signed one, or the user's own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome, Problem};
use crate::host::{Host, Kind, Meta, Stat};
use crate::progress::Progress;
use crate::system::{accounts, paths};
use crate::undo::{self, Undo};

use crate::system::x509::inspect::{self, Provided};
use crate::system::x509::self_signed;

/// Puts a TLS certificate and its key in place: a self-signed one, or the user's own.
///
/// A self-signed one is its own trust anchor: a client that is given the certificate file verifies the server
/// with it. A provided one is inspected before anything is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Path of the certificate with its chain.
    pub certificate: PathBuf,
    /// Path of the key.
    pub key: PathBuf,
    /// Group that may read the key, besides root; `root` for none.
    #[serde(default = "root")]
    pub key_group: String,
    /// Host names or addresses it must cover; the first is its common name.
    pub names: Vec<String>,
    /// Kind of certificate: `self_signed`, `provided` or `requested`.
    pub from: From,
    /// Path of the signing request; needed with `requested`.
    #[serde(default)]
    pub request: PathBuf,
    /// Validity of a self-signed one in days.
    #[serde(default = "days")]
    pub days: u32,
    /// The path of the user's certificate, PEM; with `requested` empty until it has been issued.
    #[serde(default)]
    pub provided_certificate: String,
    /// The path of the user's key, PEM.
    #[serde(default)]
    pub provided_key: String,
    /// The path of the user's chain, PEM; empty when the certificate file contains it or it is not needed.
    #[serde(default)]
    pub provided_chain: String,
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// Made here.
    SelfSigned,
    /// The user's own files.
    Provided,
    /// An authority issues it for a signing request and a key that are created here; until then a self-signed one with
    /// that key is used.
    Requested,
}

fn root() -> String {
    "root".to_owned()
}

const fn days() -> u32 {
    397
}

/// A self-signed certificate is made anew when it is valid for less than this many days.
const RENEW_BEFORE: i64 = 30;

impl Act for Certificate {
    fn describe(&self) -> String {
        let names = self.names.join(", ");
        match self.from {
            From::SelfSigned => format!("create a self-signed certificate for {names}"),
            From::Requested if self.awaits() => {
                format!(
                    "create a key and a signing request for {names}, and a self-signed certificate until it is answered"
                )
            }
            From::Provided | From::Requested => format!("put your certificate for {names} in place"),
        }
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let (certificate_meta, key_meta) = (Meta::root(0o644), self.key_meta(cx.host)?);
        let standing = (self.stat(cx, &self.certificate)?, self.stat(cx, &self.key)?);
        let readable = match self.pair(cx) {
            Ok(pair) => pair,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                return Ok(Verdict::change(format!("{} (only root can check the current state)", self.describe())));
            }
            Err(e) => return Err(Failure::new(self.describe(), e)),
        };
        let content_stands = match self.from {
            From::SelfSigned => readable.is_some_and(|(certificate, key)| self.is_good(cx, &certificate, &key)),
            From::Requested if self.awaits() => readable.is_some_and(|(certificate, key)| {
                self.is_good(cx, &certificate, &key) && self.is_requested(cx, &certificate)
            }),
            From::Provided | From::Requested => match self.provided(cx)? {
                None => {
                    return Ok(Verdict::change(format!("{} (only root can read its key)", self.describe())));
                }
                Some(provided) => readable == Some((provided.bundle(), provided.key)),
            },
        };
        if !content_stands {
            return Ok(Verdict::change(self.describe()));
        }
        let metas = (standing.0.map(|stat| stat.meta), standing.1.map(|stat| stat.meta));
        if metas != (Some(certificate_meta), key_meta) || key_meta.is_none() {
            return Ok(Verdict::change(format!("let only root and {} read {}", self.key_group, self.key.display())));
        }
        Ok(Verdict::Unchanged)
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let mut records: Vec<Undo> = Vec::new();
        for path in self.paths() {
            self.stat(cx, path)?;
            // They may share missing directories: one record each.
            for record in undo::parent_records(cx.host, path)? {
                if !records.contains(&record) {
                    records.push(record);
                }
            }
            records.push(cx.blobs.before(cx.host, path)?);
        }
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let key_meta = self.key_meta(cx.host)?.ok_or_else(|| {
            let why = format!("there is no group {}", self.key_group);
            Failure::new(self.describe(), why).hint("the package or user that creates the group must come first")
        })?;
        let standing = self.pair(cx).map_err(|e| Failure::new(self.describe(), e))?;
        let (certificate, key) = match (self.from, standing) {
            (From::SelfSigned, Some((certificate, key))) if self.is_good(cx, &certificate, &key) => (certificate, key),
            (From::SelfSigned, _) => {
                let made = self_signed::make(&self.names, self.days, cx.host.now())?;
                (made.certificate.into_bytes(), made.key.into_bytes())
            }
            (From::Requested, standing) if self.awaits() => {
                let made = self.make_requested(cx, standing)?;
                (made.certificate.into_bytes(), made.key.into_bytes())
            }
            (From::Provided | From::Requested, _) => {
                let provided = self.provided(cx)?.ok_or_else(|| Failure::new(self.describe(), "permission denied"))?;
                (provided.bundle(), provided.key)
            }
        };
        for (path, content, meta) in [(&self.key, &key, key_meta), (&self.certificate, &certificate, Meta::root(0o644))]
        {
            self.stat(cx, path)?;
            paths::make_parents(cx.host, path)?;
            cx.host.write(path, content, meta).map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
        }
        Ok(())
    }

    fn brings(&self) -> Brings {
        Brings { paths: self.paths().cloned().collect(), ..Brings::default() }
    }
}

impl Certificate {
    /// The files it writes.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let request = (self.from == From::Requested).then_some(&self.request);
        [&self.certificate, &self.key].into_iter().chain(request)
    }

    /// Whether nothing has been issued yet for the request.
    fn awaits(&self) -> bool {
        self.from == From::Requested && self.provided_certificate.is_empty()
    }

    /// Whether the request is for the key of the interim certificate.
    fn is_requested(&self, cx: &Context<'_>, certificate: &[u8]) -> bool {
        let request = cx.host.read(&self.request).unwrap_or_default();
        self_signed::is_request_for(&request, certificate, &self.names)
    }

    /// A key, unless there is one, with its request and an interim certificate.
    fn make_requested(&self, cx: &Context<'_>, standing: Option<(Vec<u8>, Vec<u8>)>) -> Outcome<self_signed::Made> {
        let (certificate, key) = standing.map_or((None, None), |(certificate, key)| (Some(certificate), Some(key)));
        let key = match key.and_then(|key| String::from_utf8(key).ok()) {
            // An issued certificate would not belong to another key.
            Some(key) if self_signed::request(&self.names, &key).is_ok() => key,
            _ => self_signed::new_key()?,
        };
        let made = match certificate.and_then(|certificate| String::from_utf8(certificate).ok()) {
            Some(certificate) if self.is_good(cx, certificate.as_bytes(), key.as_bytes()) => {
                self_signed::Made { certificate, key }
            }
            _ => self_signed::make_with(&self.names, self.days, cx.host.now(), &key)?,
        };
        if !self.is_requested(cx, made.certificate.as_bytes()) {
            self.stat(cx, &self.request)?;
            paths::make_parents(cx.host, &self.request)?;
            let request = self_signed::request(&self.names, &made.key)?;
            cx.host
                .write(&self.request, request.as_bytes(), Meta::root(0o644))
                .map_err(|e| Failure::new(format!("write {}", self.request.display()), e))?;
        }
        (cx.progress)(Progress::Warning(format!(
            "using a self-signed certificate for now: send {} to your authority, set tls.issued to the file it \
             returns, and run bringup again",
            self.request.display()
        )));
        Ok(made)
    }

    /// Root's, and readable by the group if there is one.
    fn key_meta(&self, host: &dyn Host) -> Outcome<Option<Meta>> {
        let mode = if self.key_group == "root" { "0600" } else { "0640" };
        accounts::meta(host, mode, "root", &self.key_group)
    }

    /// What is at a path, if a file may replace it.
    fn stat(&self, cx: &Context<'_>, path: &Path) -> Outcome<Option<Stat>> {
        paths::missing_parents(cx.host, path)?;
        let stat = paths::stat(cx.host, path)?;
        if stat.is_some_and(|stat| !matches!(stat.kind, Kind::File | Kind::Symlink)) {
            let why = format!("{} is a directory or a device", path.display());
            return Err(Failure::new(self.describe(), why).hint("move it away, or choose another path"));
        }
        Ok(stat)
    }

    /// The present certificate and key, when both are files.
    fn pair(&self, cx: &Context<'_>) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        for path in [&self.certificate, &self.key] {
            if cx.host.stat(path)?.is_none_or(|stat| stat.kind != Kind::File) {
                return Ok(None);
            }
        }
        Ok(Some((cx.host.read(&self.certificate)?, cx.host.read(&self.key)?)))
    }

    /// Whether a pair is self-signed for exactly our names, and valid for long enough.
    fn is_good(&self, cx: &Context<'_>, certificate: &[u8], key: &[u8]) -> bool {
        let until = cx.host.now().sec + RENEW_BEFORE * 86_400;
        self_signed::is_for(certificate, key, &self.names, until)
    }

    /// The user's own files, when nothing is wrong with them; `None` when the key is not readable.
    fn provided(&self, cx: &Context<'_>) -> Outcome<Option<Provided>> {
        let (certificate, chain) = (self.provided_certificate.as_str(), self.provided_chain.as_str());
        let provided = if self.from == From::Requested {
            Provided::issued(cx.host, certificate, &self.key, chain)?
        } else {
            Provided::read(cx.host, [certificate, &self.provided_key, chain])?
        };
        let Some(provided) = provided else { return Ok(None) };
        let problems = inspect::inspect(&provided, &self.names, cx.host.now().sec);
        if problems.is_empty() {
            return Ok(Some(provided));
        }
        let what = format!("use the certificate {}", self.provided_certificate);
        let texts: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        let hints: Vec<&str> = problems.iter().map(|problem| problem.hint.as_str()).collect();
        Err(Failure::new(what, texts.join("; ")).hint(hints.join("; ")))
    }
}

/// Everything that is wrong with a certificate of the user's, before anything is changed.
pub fn inspect_files(host: &dyn Host, paths: [&str; 3], names: &[String]) -> Outcome<Vec<Problem>> {
    let provided = Provided::read(host, paths)?;
    Ok(provided.map_or_else(Vec::new, |provided| inspect::inspect(&provided, names, host.now().sec)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::Bench;

    fn certificate() -> Certificate {
        serde_json::from_value(serde_json::json!({
            "certificate": "/etc/webapp/tls/cert.pem", "key": "/etc/webapp/tls/key.pem", "key_group": "www-data",
            "names": ["app.example.org"], "from": "self_signed",
        }))
        .unwrap()
    }

    fn meta(bench: &Bench, path: &str) -> Meta {
        bench.host.stat(path.as_ref()).unwrap().unwrap().meta
    }

    #[test]
    fn a_self_signed_pair_comes_and_goes() {
        let bench = Bench::new();
        bench.round_trip(&certificate());
        bench.make(&certificate());
        assert_eq!(meta(&bench, "/etc/webapp/tls/cert.pem"), Meta::root(0o644));
        assert_eq!(meta(&bench, "/etc/webapp/tls/key.pem"), Meta { mode: 0o640, uid: 0, gid: 33 });
    }

    #[test]
    fn a_pair_that_is_good_is_kept_when_only_its_modes_are_wrong() {
        let bench = Bench::new();
        bench.make(&certificate());
        let key = bench.host.text("/etc/webapp/tls/key.pem").unwrap();
        bench.host.set_meta("/etc/webapp/tls/key.pem".as_ref(), Meta::root(0o644)).unwrap();
        assert_eq!(bench.summary(&certificate()), "let only root and www-data read /etc/webapp/tls/key.pem");
        bench.make(&certificate());
        assert_eq!(bench.host.text("/etc/webapp/tls/key.pem").unwrap(), key);
        assert_eq!(bench.check(&certificate()), Ok(Verdict::Unchanged));
    }

    #[test]
    fn other_names_or_an_end_in_sight_ask_for_a_new_one() {
        let bench = Bench::new();
        bench.make(&certificate());
        let other = Certificate { names: vec!["www.example.org".to_owned()], ..certificate() };
        assert_eq!(bench.summary(&other), other.describe());
        bench.host.sleep(std::time::Duration::from_hours(8640));
        assert_eq!(bench.check(&certificate()), Ok(Verdict::Unchanged));
        bench.host.sleep(std::time::Duration::from_hours(240));
        assert_eq!(bench.summary(&certificate()), certificate().describe());
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_mended() {
        let bench = Bench::new();
        bench.make(&certificate());
        let other = self_signed::make(&certificate().names, 397, bench.host.now()).unwrap();
        bench.host.put_file("/etc/webapp/tls/key.pem", other.key, 0o640);
        bench.with(|cx| certificate().apply(cx)).unwrap();
        assert_eq!(bench.check(&certificate()), Ok(Verdict::Unchanged));
    }

    fn requested(issued: &str) -> Certificate {
        Certificate {
            from: From::Requested,
            request: "/etc/webapp/tls/request.csr".into(),
            provided_certificate: issued.to_owned(),
            ..certificate()
        }
    }

    #[test]
    fn a_request_comes_and_goes_and_its_key_stays() {
        let bench = Bench::new();
        bench.round_trip(&requested(""));
        bench.make(&requested(""));
        let key = bench.host.text("/etc/webapp/tls/key.pem").unwrap();
        let request = bench.host.text("/etc/webapp/tls/request.csr").unwrap();
        assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"), "{request}");
        // The interim certificate expires while the authority still works on the request.
        bench.host.sleep(std::time::Duration::from_hours(9000));
        bench.make(&requested(""));
        assert_eq!(bench.host.text("/etc/webapp/tls/key.pem").unwrap(), key);
        assert_eq!(bench.host.text("/etc/webapp/tls/request.csr").unwrap(), request);
        // Other names need another request.
        let other = Certificate { names: vec!["www.example.org".to_owned()], ..requested("") };
        bench.make(&other);
        assert_ne!(bench.host.text("/etc/webapp/tls/request.csr").unwrap(), request);
    }

    #[test]
    fn an_issued_certificate_is_taken_for_the_key_that_it_was_asked_for_with() {
        let bench = Bench::new();
        let missing = bench.check(&requested("/root/issued.pem")).unwrap_err();
        assert!(missing.why.contains("the key of its signing request is not on this server"), "{missing}");
        bench.make(&requested(""));
        let foreign = self_signed::make(&certificate().names, 90, bench.host.now()).unwrap();
        bench.host.put_file("/root/issued.pem", foreign.certificate, 0o644);
        assert!(bench.check(&requested("/root/issued.pem")).is_err(), "it belongs to another key");
        let key = bench.host.text("/etc/webapp/tls/key.pem").unwrap();
        let issued = self_signed::make_with(&certificate().names, 90, bench.host.now(), &key).unwrap();
        bench.host.put_file("/root/issued.pem", &issued.certificate, 0o644);
        bench.round_trip(&requested("/root/issued.pem"));
        bench.make(&requested("/root/issued.pem"));
        assert_eq!(bench.host.text("/etc/webapp/tls/cert.pem").unwrap(), issued.certificate);
        assert_eq!(bench.host.text("/etc/webapp/tls/key.pem").unwrap(), key);
    }

    fn provided(bench: &Bench) -> Certificate {
        let made = self_signed::make(&certificate().names, 397, bench.host.now()).unwrap();
        bench.host.put_file("/root/my.crt", made.certificate, 0o644);
        bench.host.put_file("/root/my.key", made.key, 0o600);
        Certificate {
            from: From::Provided,
            provided_certificate: "/root/my.crt".to_owned(),
            provided_key: "/root/my.key".to_owned(),
            ..certificate()
        }
    }

    #[test]
    fn a_provided_pair_comes_and_goes() {
        let bench = Bench::new();
        let act = provided(&bench);
        bench.round_trip(&act);
        bench.make(&act);
        assert_eq!(bench.host.text("/etc/webapp/tls/key.pem"), bench.host.text("/root/my.key"));
    }

    #[test]
    fn a_bad_provided_pair_is_refused_with_all_its_problems_and_nothing_is_changed() {
        let bench = Bench::new();
        let act = Certificate { names: vec!["other.example.org".to_owned()], ..provided(&bench) };
        bench.host.set_meta("/root/my.key".as_ref(), Meta::root(0o644)).unwrap();
        let failure = bench.check(&act).unwrap_err();
        assert!(
            failure.why.contains("every user") && failure.why.contains("not valid for other.example.org"),
            "{failure}"
        );
        assert!(bench.try_to_make(&act).is_err());
        assert!(bench.host.text("/etc/webapp/tls/key.pem").is_none());
    }

    #[test]
    fn links_to_the_key_are_followed_to_see_who_can_read_it() {
        let bench = Bench::new();
        let act = Certificate { provided_key: "/root/live/key.pem".to_owned(), ..provided(&bench) };
        bench.host.put_file("/root/live/.keep", "", 0o600);
        bench.host.make_symlink("/root/live/key.pem".as_ref(), "../my.key".as_ref()).unwrap();
        assert!(bench.check(&act).is_ok());
        bench.host.set_meta("/root/my.key".as_ref(), Meta::root(0o644)).unwrap();
        assert!(bench.check(&act).unwrap_err().why.contains("every user"));
    }
}
