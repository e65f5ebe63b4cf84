//! `certificate`: puts a TLS certificate and its key in place: a self-signed one, or the user's own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::{Act, Brings, Cx, Verdict, names, place};
use crate::engine::undo::Undo;
use crate::error::{Failure, Outcome, Problem};
use crate::host::{Host, Kind, Meta, Stat};

pub mod inspect;
pub(super) mod self_signed;

use inspect::Provided;

/// Puts a TLS certificate and its key in place: a self-signed one, or the user's own.
///
/// A self-signed one is its own trust anchor: a client that is given the certificate file verifies the server
/// with it. A provided one is inspected before anything is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Where the certificate (with its chain) goes.
    pub certificate: PathBuf,
    /// Where the key goes.
    pub key: PathBuf,
    /// Group that may read the key, besides root; `root` for none.
    #[serde(default = "root")]
    pub key_group: String,
    /// Host names or addresses it must be good for; the first is its common name.
    pub names: Vec<String>,
    /// Where it comes from: `self_signed` or `provided`.
    pub from: From,
    /// Validity of a self-signed one in days.
    #[serde(default = "days")]
    pub days: u32,
    /// The path of the user's certificate, PEM.
    #[serde(default)]
    pub provided_certificate: String,
    /// The path of the user's key, PEM.
    #[serde(default)]
    pub provided_key: String,
    /// The path of the user's chain, PEM; empty when it stands in the certificate file or is not needed.
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
}

fn root() -> String {
    "root".to_owned()
}

const fn days() -> u32 {
    397
}

/// A self-signed certificate is made anew when it is good for less than this many days.
const RENEW_BEFORE: i64 = 30;

impl Act for Certificate {
    fn describe(&self) -> String {
        let names = self.names.join(", ");
        match self.from {
            From::SelfSigned => format!("make a self-signed certificate for {names}"),
            From::Provided => format!("put your certificate for {names} in place"),
        }
    }

    fn check(&self, cx: &Cx<'_>) -> Outcome<Verdict> {
        let (certificate_meta, key_meta) = (Meta::root(0o644), self.key_meta(cx.host)?);
        let standing = (self.stat(cx, &self.certificate)?, self.stat(cx, &self.key)?);
        let readable = match self.pair(cx) {
            Ok(pair) => pair,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                return Ok(Verdict::change(format!(
                    "{} (only root can see whether it is already so)",
                    self.describe()
                )));
            }
            Err(e) => return Err(Failure::new(self.describe(), e)),
        };
        let content_stands = match self.from {
            From::SelfSigned => readable.is_some_and(|(certificate, key)| self.is_good(cx, &certificate, &key)),
            From::Provided => match self.provided(cx)? {
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
        Ok(Verdict::AlreadySo)
    }

    fn prepare(&self, cx: &Cx<'_>) -> Outcome<Vec<Undo>> {
        let mut records: Vec<Undo> = Vec::new();
        for path in [&self.certificate, &self.key] {
            self.stat(cx, path)?;
            // Both may share directories that are missing: one record each.
            for record in place::parent_records(cx.host, path)? {
                if !records.contains(&record) {
                    records.push(record);
                }
            }
            records.push(cx.blobs.before(cx.host, path)?);
        }
        Ok(records)
    }

    fn apply(&self, cx: &Cx<'_>) -> Outcome<()> {
        let key_meta = self.key_meta(cx.host)?.ok_or_else(|| {
            let why = format!("there is no group {}", self.key_group);
            Failure::new(self.describe(), why).hint("the package or user that brings the group must come before")
        })?;
        let standing = self.pair(cx).map_err(|e| Failure::new(self.describe(), e))?;
        let (certificate, key) = match (self.from, standing) {
            (From::SelfSigned, Some((certificate, key))) if self.is_good(cx, &certificate, &key) => (certificate, key),
            (From::SelfSigned, _) => {
                let made = self_signed::make(&self.names, self.days, cx.host.now())?;
                (made.certificate.into_bytes(), made.key.into_bytes())
            }
            (From::Provided, _) => {
                let provided = self.provided(cx)?.ok_or_else(|| Failure::new(self.describe(), "permission denied"))?;
                (provided.bundle(), provided.key)
            }
        };
        for (path, content, meta) in [(&self.key, &key, key_meta), (&self.certificate, &certificate, Meta::root(0o644))]
        {
            self.stat(cx, path)?;
            place::make_parents(cx.host, path)?;
            cx.host.write(path, content, meta).map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
        }
        Ok(())
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![self.certificate.clone(), self.key.clone()], ..Brings::default() }
    }
}

impl Certificate {
    /// Root's, and readable by the group if there is one.
    fn key_meta(&self, host: &dyn Host) -> Outcome<Option<Meta>> {
        let mode = if self.key_group == "root" { "0600" } else { "0640" };
        names::meta(host, mode, "root", &self.key_group)
    }

    /// What stands at a path, if a file may take its place.
    fn stat(&self, cx: &Cx<'_>, path: &Path) -> Outcome<Option<Stat>> {
        place::missing_parents(cx.host, path)?;
        let stat = place::stat(cx.host, path)?;
        if stat.is_some_and(|stat| !matches!(stat.kind, Kind::File | Kind::Symlink)) {
            let why = format!("{} is a directory or a device", path.display());
            return Err(Failure::new(self.describe(), why).hint("move it away, or choose another path"));
        }
        Ok(stat)
    }

    /// Certificate and key as they stand, when both are files there.
    fn pair(&self, cx: &Cx<'_>) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        for path in [&self.certificate, &self.key] {
            if cx.host.stat(path)?.is_none_or(|stat| stat.kind != Kind::File) {
                return Ok(None);
            }
        }
        Ok(Some((cx.host.read(&self.certificate)?, cx.host.read(&self.key)?)))
    }

    /// Whether a pair is self-signed for exactly our names, and good for a while.
    fn is_good(&self, cx: &Cx<'_>, certificate: &[u8], key: &[u8]) -> bool {
        let until = cx.host.now().sec + RENEW_BEFORE * 86_400;
        self_signed::is_for(certificate, key, &self.names, until)
    }

    /// The user's own files, when nothing is wrong with them; `None` when we may not read the key.
    fn provided(&self, cx: &Cx<'_>) -> Outcome<Option<Provided>> {
        let paths = [&self.provided_certificate, &self.provided_key, &self.provided_chain];
        let Some(provided) = Provided::read(cx.host, paths.map(String::as_str))? else {
            return Ok(None);
        };
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
    use crate::action::bench::Bench;

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
        assert_eq!(bench.check(&certificate()), Ok(Verdict::AlreadySo));
    }

    #[test]
    fn other_names_or_an_end_in_sight_ask_for_a_new_one() {
        let bench = Bench::new();
        bench.make(&certificate());
        let other = Certificate { names: vec!["www.example.org".to_owned()], ..certificate() };
        assert_eq!(bench.summary(&other), other.describe());
        bench.host.sleep(std::time::Duration::from_hours(8640));
        assert_eq!(bench.check(&certificate()), Ok(Verdict::AlreadySo));
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
        assert_eq!(bench.check(&certificate()), Ok(Verdict::AlreadySo));
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
            failure.why.contains("every user") && failure.why.contains("not good for other.example.org"),
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
