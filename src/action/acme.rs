//! `acme`: a certificate from an authority that speaks ACME (RFC 8555), by Debian's certbot over HTTP-01 or DNS-01.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::action::command_runner::{CommandRunner, run_undo};
use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Kind, Meta};
use crate::progress::Progress;
use crate::system::net::tls::SYSTEM_BUNDLE;
use crate::system::paths;
use crate::system::x509::inspect::looks_like_der;
use crate::undo::{self, Undo, UndoContext, Undone};

mod certbot_errors;
mod dns;
mod http01_precheck;
mod lineage;

pub use dns::{Dns, Provider};
pub use lineage::Lineage;

/// A certificate from an authority that speaks ACME (RFC 8555), by Debian's certbot over HTTP-01 or DNS-01.
///
/// The web server must already run with a certificate of its own at `certificate` and `key`, which are links; they are
/// pointed to what certbot keeps and renews. Over HTTP-01 it must serve `webroot` on port 80, or leave that port to
/// certbot (`standalone`); over DNS-01 a record in the DNS shows control of the name. Before the authority is asked,
/// what it will check is tried from here, and Let's Encrypt's staging server is asked first, because the real one
/// allows few failures (<https://letsencrypt.org/docs/rate-limits/>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The host name; certbot keeps the certificate under it.
    pub name: String,
    /// URL of the authority's ACME directory.
    pub directory: String,
    /// PEM file with the certificates to trust for the authority's server, besides the system's; none when empty.
    #[serde(default)]
    pub authority: String,
    /// Path of a copy of `authority` with the system's certificates, for renewals; needed with `authority`.
    #[serde(default)]
    pub trust: PathBuf,
    /// E-mail address for the authority's expiry notices; none when empty.
    #[serde(default)]
    pub email: String,
    /// What the web server serves at `http://<name>/.well-known/acme-challenge/`; empty with `standalone` and `dns`.
    #[serde(default)]
    pub webroot: PathBuf,
    /// Whether certbot answers the authority itself, on port 80, which must be free then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standalone: bool,
    /// How the authority's records get into the DNS; over HTTP-01 none.
    #[serde(default)]
    pub dns: Option<Dns>,
    /// Whether the certificate also covers `*.<name>`; authorities issue that over DNS-01 only.
    #[serde(default)]
    pub wildcard: bool,
    /// Further host names that it covers. A certificate in place is requested anew when they change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The link that becomes the certificate with its chain.
    pub certificate: PathBuf,
    /// The link that becomes its key.
    pub key: PathBuf,
    /// Units of systemd that use the certificate: reloaded now and after each renewal.
    pub reload: Vec<String>,
    /// What happens when the authority issues nothing.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What becomes of the run when the authority issues nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run continues with the self-signed certificate, and says so.
    #[default]
    SelfSigned,
    /// The step fails.
    Fail,
}

/// Let's Encrypt's servers.
const LETS_ENCRYPT: &str = "api.letsencrypt.org";
/// An authority may take its time to look at the web server, from several places.
const PATIENCE: Duration = Duration::from_mins(5);
/// The variable that tells certbot's HTTP library which authorities to trust; it replaces the system's bundle.
const TRUST_VARIABLE: &str = "REQUESTS_CA_BUNDLE";
/// The start of the command that certbot runs after renewals.
const RELOADS: &str = "systemctl try-reload-or-restart";
/// The service that `certbot.timer` starts for renewals.
const SERVICE: &str = "certbot.service";

impl Act for Acme {
    fn describe(&self) -> String {
        format!("get a certificate for {} from {}", self.names().join(", "), self.issuer())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.read_authority(cx.host)?;
        self.refuse_what_cannot_work(cx.host)?;
        match self.stands(cx.host) {
            Ok(true) => Ok(Verdict::Unchanged),
            Ok(false) => {
                self.lineage(cx.host)?.refuse(self)?;
                Ok(Verdict::change(self.describe()))
            }
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                Ok(Verdict::change(format!("{} (only root can see whether it is there)", self.describe())))
            }
            Err(e) => Err(Failure::new(self.describe(), e)),
        }
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let mut records = Vec::new();
        // Undone last: until then the links point to it.
        match self.lineage(cx.host)? {
            Lineage::None => records.push(Undo::AcmeCertificate { name: self.name.clone() }),
            _ => records.push(cx.blobs.before(cx.host, &lineage::settings(&self.name))?),
        }
        if let Some((drop_in, _)) = self.drop_in() {
            // systemd has to reload without the drop-in.
            records.push(Undo::Service {
                manager: "systemd".to_owned(),
                name: SERVICE.to_owned(),
                existed: true,
                was_active: false,
                was_enabled: false,
                steps: Vec::new(),
                test: Vec::new(),
                restart_after: Vec::new(),
                reload_after: Vec::new(),
            });
            for path in [&drop_in, &self.trust] {
                records.extend(undo::parent_records(cx.host, path)?);
                records.push(cx.blobs.before(cx.host, path)?);
            }
        }
        for link in [&self.certificate, &self.key] {
            records.push(cx.blobs.before(cx.host, link)?);
        }
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        match self.obtain(cx) {
            Ok(()) => Ok(()),
            Err(failure) if self.on_failure == OnFailure::SelfSigned => {
                (cx.progress)(Progress::Warning(stand_in(&failure)));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn brings(&self) -> Brings {
        let drop_in = self.drop_in().map(|(path, _)| path);
        let trust = drop_in.is_some().then(|| self.trust.clone());
        Brings { paths: drop_in.into_iter().chain(trust).collect(), ..Brings::default() }
    }
}

impl Acme {
    /// Whether the authority is Let's Encrypt, which has a staging server and strict limits.
    fn is_lets_encrypt(&self) -> bool {
        authority_of(&self.directory).ends_with(LETS_ENCRYPT)
    }

    fn issuer(&self) -> &str {
        if self.is_lets_encrypt() { "Let's Encrypt" } else { authority_of(&self.directory) }
    }

    /// Whether nothing is left to do.
    fn stands(&self, host: &dyn Host) -> std::io::Result<bool> {
        let leads = |link: &Path, file: &str| -> std::io::Result<bool> {
            let is_link = host.stat(link)?.is_some_and(|stat| stat.kind == Kind::Symlink);
            Ok(is_link && host.read_link(link)? == lineage::live(&self.name).join(file))
        };
        Ok(leads(&self.certificate, lineage::CERTIFICATE)?
            && leads(&self.key, lineage::KEY)?
            && lineage::read(host, self)? == Lineage::Ours { as_wanted: true, covers: true }
            && self.is_valid(host)
            && self.trust_stands(host))
    }

    fn lineage(&self, host: &dyn Host) -> Outcome<Lineage> {
        lineage::read(host, self).map_err(|e| Failure::new(self.describe(), e))
    }

    /// Whether the certificate that certbot keeps has not expired.
    fn is_valid(&self, host: &dyn Host) -> bool {
        let pem = host.read(&lineage::live(&self.name).join(lineage::CERTIFICATE)).unwrap_or_default();
        let Ok(der) = CertificateDer::from_pem_slice(&pem) else { return false };
        X509Certificate::from_der(&der)
            .is_ok_and(|(_, parsed)| parsed.validity().not_after.timestamp() > host.now().sec)
    }

    fn obtain(&self, cx: &Context<'_>) -> Outcome<()> {
        self.lay_trust(cx)?;
        self.refuse_what_cannot_work(cx.host)?;
        let found = self.lineage(cx.host)?;
        found.refuse(self)?;
        if !matches!(found, Lineage::Ours { covers: true, .. }) || !self.is_valid(cx.host) {
            match &self.dns {
                None if self.standalone => http01_precheck::is_free(cx.host, self)?,
                None => {
                    for name in self.hosts() {
                        (cx.progress)(Progress::Note(format!("trying http://{name}/ as the authority will")));
                        http01_precheck::leads_here(cx, self, name)?;
                    }
                }
                Some(dns) => self.hosts().try_for_each(|name| dns.answers(cx, name))?,
            }
            if self.is_lets_encrypt() {
                (cx.progress)(Progress::Note("trying Let's Encrypt's staging server first".to_owned()));
                self.certbot(cx, &["--dry-run"])?;
            }
            (cx.progress)(Progress::Note(format!("requesting a certificate from {}", self.issuer())));
            self.certbot(cx, &[])?;
        }
        lineage::set(cx.host, self)?;
        for (link, file) in [(&self.certificate, lineage::CERTIFICATE), (&self.key, lineage::KEY)] {
            let target = lineage::live(&self.name).join(file);
            cx.host.make_symlink(link, &target).map_err(|e| Failure::new(format!("switch {}", link.display()), e))?;
        }
        self.reload(cx)
    }

    fn certbot(&self, cx: &Context<'_>, more: &[&str]) -> Outcome<()> {
        let mut argv = vec!["certbot", "certonly", "--non-interactive", "--agree-tos", "--server", &self.directory];
        if self.email.is_empty() {
            argv.push("--register-unsafely-without-email");
        } else {
            argv.extend(["--email", &self.email, "--no-eff-email"]);
        }
        let hook = self.hook();
        let how = match &self.dns {
            Some(dns) => dns.options(),
            None if self.standalone => vec!["--standalone".to_owned()],
            None => ["--webroot", "--webroot-path", &self.webroot.to_string_lossy()].map(str::to_owned).into(),
        };
        argv.extend(how.iter().map(String::as_str));
        argv.extend(["--cert-name", &self.name]);
        let names = self.names();
        argv.extend(names.iter().flat_map(|name| ["--domain", name]));
        // Also where certbot keeps a certificate for fewer or other names.
        argv.extend(["--renew-with-new-domains", "--deploy-hook", &hook]);
        argv.extend(more);
        let patience = PATIENCE + self.dns.as_ref().map_or(Duration::ZERO, Dns::patience);
        let mut command = Command::new(argv).timeout(patience);
        if !self.authority.is_empty() {
            command = command.env(TRUST_VARIABLE, self.trust.to_string_lossy());
        }
        CommandRunner::new(command)
            .run(cx, &self.describe())
            .map_err(|failure| certbot_errors::explain(cx.host, failure, self))
            .map(drop)
    }

    /// The names of the certificate.
    fn names(&self) -> Vec<String> {
        let wildcard = self.wildcard.then(|| format!("*.{}", self.name));
        std::iter::once(self.name.clone()).chain(wildcard).chain(self.aliases.iter().cloned()).collect()
    }

    /// The names that the authority checks.
    fn hosts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }

    fn refuse_what_cannot_work(&self, host: &dyn Host) -> Outcome<()> {
        match &self.dns {
            Some(dns) => dns.refuse(host),
            None if self.wildcard => Err(Failure::new(
                self.describe(),
                "a wildcard cannot be validated over HTTP: RFC 8555 requires the DNS",
            )
            .hint("use a DNS challenge, or leave the wildcard out")),
            None => Ok(()),
        }
    }

    /// The command that certbot runs after each renewal: it reloads only the services that use the certificate.
    fn hook(&self) -> String {
        format!("{RELOADS} {}", self.reload.join(" "))
    }

    fn reload(&self, cx: &Context<'_>) -> Outcome<()> {
        let mut argv = vec!["systemctl".to_owned(), "try-reload-or-restart".to_owned()];
        argv.extend(self.reload.iter().cloned());
        CommandRunner::new(Command::new(argv)).run(cx, &format!("reload {}", self.reload.join(", "))).map(drop)
    }

    /// The authority's own certificates; refused when the file is anything else.
    fn read_authority(&self, host: &dyn Host) -> Outcome<Option<Vec<u8>>> {
        if self.authority.is_empty() {
            return Ok(None);
        }
        let what = || format!("trust the authority in {}", self.authority);
        let content = host.read(Path::new(&self.authority)).map_err(|e| {
            Failure::new(what(), e).hint("give the full path of a PEM file on this server, or leave it empty")
        })?;
        if looks_like_der(&content) {
            let hint = format!("openssl x509 -inform der -in {} -out authority.pem", self.authority);
            return Err(Failure::new(what(), "it is DER, not PEM").hint(hint));
        }
        if String::from_utf8_lossy(&content).contains("PRIVATE KEY") {
            return Err(Failure::new(what(), "a private key is in it")
                .hint("it must hold certificates only: every user can read the copy"));
        }
        match CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>() {
            Ok(certificates) if !certificates.is_empty() => Ok(Some(content)),
            _ => Err(Failure::new(what(), "it holds no readable certificate").hint(
                "it must hold complete blocks from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`",
            )),
        }
    }

    /// The drop-in with which renewals trust the authority too, where needed.
    fn drop_in(&self) -> Option<(PathBuf, String)> {
        if self.authority.is_empty() {
            return None;
        }
        let path = format!("/etc/systemd/system/{SERVICE}.d/{}.conf", self.name);
        let text = format!(
            "# Written by bringup: the authority of {} is not one that the system trusts.\n\
             [Service]\nEnvironment={TRUST_VARIABLE}={}\n",
            self.name,
            self.trust.display()
        );
        Some((PathBuf::from(path), text))
    }

    fn trust_stands(&self, host: &dyn Host) -> bool {
        let Some((drop_in, text)) = self.drop_in() else { return true };
        let Ok(Some(authority)) = self.read_authority(host) else { return false };
        // The system's certificates may have been updated since.
        let trust = host.read(&self.trust).unwrap_or_default();
        trust.ends_with(&authority) && host.read(&drop_in).is_ok_and(|standing| standing == text.as_bytes())
    }

    fn lay_trust(&self, cx: &Context<'_>) -> Outcome<()> {
        let (Some((drop_in, text)), Some(authority)) = (self.drop_in(), self.read_authority(cx.host)?) else {
            return Ok(());
        };
        let mut trust = cx.host.read(Path::new(SYSTEM_BUNDLE)).unwrap_or_default();
        trust.extend_from_slice(&authority);
        for (path, content) in [(&self.trust, trust.as_slice()), (&drop_in, text.as_bytes())] {
            paths::make_parents(cx.host, path)?;
            cx.host
                .write(path, content, Meta::root(0o644))
                .map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
        }
        CommandRunner::new(Command::new(["systemctl", "daemon-reload"]))
            .run(cx, "have systemd read its units")
            .map(drop)
    }
}

/// `ca.example.org` of `https://ca.example.org:9000/acme/directory`.
fn authority_of(directory: &str) -> &str {
    let rest = directory.split_once("://").map_or(directory, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or(rest)
}

/// The warning when the authority issued nothing.
fn stand_in(failure: &Failure) -> String {
    let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("using a self-signed certificate for now: {}{hint}. `bringup tls retry` tries again", failure.why)
}

/// Removes a certificate that certbot keeps, with everything its renewals have left.
pub fn undo(cx: &UndoContext<'_>, name: &str) -> Outcome<Undone> {
    let settings = lineage::settings(name);
    let there = cx.host.stat(&settings).map_err(|e| Failure::new(format!("look at {}", settings.display()), e))?;
    if there.is_none() {
        return Ok(Undone::Nothing);
    }
    let what = format!("remove the certificate of {name}");
    let command = Command::new(["certbot", "delete", "--non-interactive", "--cert-name", name]);
    run_undo(cx, &what, &command, Some("`certbot certificates` lists certbot's certificates"))?;
    Ok(Undone::Done(format!("removed certbot's certificate of {name}")))
}

#[cfg(test)]
mod tests;
