//! What certbot keeps of a certificate: its renewal settings, and links to its current files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::{Acme, Provider, RELOADS};
use crate::action::contract::Act as _;
use crate::error::{Failure, Outcome};
use crate::host::Host;

/// The certificate with its chain, below [`live`].
pub const CERTIFICATE: &str = "fullchain.pem";
/// Its key.
pub const KEY: &str = "privkey.pem";

const ROOT: &str = "/etc/letsencrypt";

/// The directory of links to a certificate's current files.
pub fn live(name: &str) -> PathBuf {
    Path::new(ROOT).join("live").join(name)
}

/// The renewal settings of a certificate.
pub fn settings(name: &str) -> PathBuf {
    Path::new(ROOT).join("renewal").join(format!("{name}.conf"))
}

/// The owner of the certificate that certbot keeps for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// It keeps none.
    None,
    /// Ours: from our authority, in our way, for our names.
    Ours {
        /// Whether renewals have our settings, such as the reload of services.
        as_wanted: bool,
        /// Whether it is for all names, and no others; true where it cannot be read.
        covers: bool,
    },
    /// Ours, but different: how, as "from …", "without …".
    Other(String),
    /// Someone else's.
    Foreign,
}

impl Lineage {
    /// Refuses to touch what is not ours, or was requested differently.
    pub fn refuse(&self, acme: &Acme) -> Outcome<()> {
        match self {
            Self::None | Self::Ours { .. } => Ok(()),
            Self::Other(other) => Err(Failure::new(
                acme.describe(),
                format!("its certificate {other} is in place, and certbot keeps one per name"),
            )
            .hint("roll that one back first: `bringup rollback --stage tls`")),
            Self::Foreign => Err(Failure::new(
                acme.describe(),
                format!("certbot already keeps a certificate of this name ({})", settings(&acme.name).display()),
            )
            .hint(format!(
                "choose your own certificate and name the files in {}, or remove it: certbot delete --cert-name {}",
                live(&acme.name).display(),
                acme.name
            ))),
        }
    }
}

/// Reads what certbot keeps.
pub fn read(host: &dyn Host, acme: &Acme) -> io::Result<Lineage> {
    let path = settings(&acme.name);
    if host.stat(&path)?.is_none() {
        return Ok(Lineage::None);
    }
    let text = String::from_utf8_lossy(&host.read(&path)?).into_owned();
    if !is_our_way(&text, acme) {
        // A certificate that we requested differently still has our reload command.
        let ours = value(&text, HOOK).is_some_and(|hook| hook.starts_with(RELOADS));
        let way = value(&text, "authenticator").unwrap_or("another authenticator");
        return Ok(if ours { Lineage::Other(format!("through {way}")) } else { Lineage::Foreign });
    }
    let server = value(&text, "server");
    if server != Some(acme.directory.as_str()) {
        return Ok(Lineage::Other(format!("from {}", server.unwrap_or("another authority"))));
    }
    let wildcard = format!("*.{}", acme.name);
    let kept = names(host, acme);
    if kept.as_ref().is_some_and(|kept| kept.contains(&wildcard) != acme.wildcard) {
        let with = if acme.wildcard { "without" } else { "with" };
        return Ok(Lineage::Other(format!("{with} {wildcard}")));
    }
    let covers = kept.is_none_or(|kept| kept == acme.names().into_iter().collect());
    Ok(Lineage::Ours { as_wanted: wanted(acme).iter().all(|setting| setting.stands(&text)), covers })
}

/// Whether it was requested with our webroot, our credentials or our hook.
fn is_our_way(text: &str, acme: &Acme) -> bool {
    let is = |key: &str, path: &Path| value(text, key) == Some(&*path.to_string_lossy());
    let reloads = || value(text, HOOK).is_some_and(|hook| hook.starts_with(RELOADS));
    match &acme.dns {
        None if acme.standalone => value(text, "authenticator") == Some("standalone") && reloads(),
        None => is(&acme.name, &acme.webroot),
        Some(dns) => match dns.plugin() {
            Some(plugin) => is(&format!("dns_{plugin}_credentials"), &dns.credentials),
            // Others may have the same hook.
            None => is("manual_auth_hook", &dns.auth_hook) && reloads(),
        },
    }
}

/// The names of the certificate that certbot keeps; nothing when it cannot be read.
fn names(host: &dyn Host, acme: &Acme) -> Option<BTreeSet<String>> {
    let pem = host.read(&live(&acme.name).join(CERTIFICATE)).ok()?;
    let der = CertificateDer::from_pem_slice(&pem).ok()?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let name = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    Some(names.value.general_names.iter().filter_map(name).collect())
}

/// The setting for the command after a renewal.
const HOOK: &str = "renew_hook";

/// A setting of renewals.
struct Setting {
    key: String,
    value: String,
    /// certbot's default; it leaves such settings out.
    default: String,
}

impl Setting {
    fn stands(&self, text: &str) -> bool {
        value(text, &self.key).unwrap_or(&self.default) == self.value
    }
}

/// The settings that may change while the certificate stays. certbot saves them only with a new certificate.
fn wanted(acme: &Acme) -> Vec<Setting> {
    let setting =
        |key: &str, value: String, default: &str| Setting { key: key.to_owned(), value, default: default.to_owned() };
    let mut all = vec![setting(HOOK, acme.hook(), "")];
    if let Some(dns) = &acme.dns {
        all.push(match dns.provider {
            // The defaults of certbot 1.12 to 4.0.
            Provider::Cloudflare => setting("dns_cloudflare_propagation_seconds", dns.propagation.to_string(), "10"),
            Provider::Rfc2136 => setting("dns_rfc2136_propagation_seconds", dns.propagation.to_string(), "60"),
            Provider::Hook => setting("manual_cleanup_hook", dns.cleanup_hook.to_string_lossy().into_owned(), ""),
        });
    }
    all
}

/// Updates the renewal settings.
pub fn set(host: &dyn Host, acme: &Acme) -> Outcome<()> {
    let path = settings(&acme.name);
    let what = || format!("change {}", path.display());
    let failed = |e| Failure::new(what(), e);
    let text = String::from_utf8_lossy(&host.read(&path).map_err(failed)?).into_owned();
    let wanted = wanted(acme);
    if wanted.iter().all(|setting| setting.stands(&text)) {
        return Ok(());
    }
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if !wanted.iter().any(|setting| key(line) == Some(&setting.key)) {
            out.push_str(line);
            out.push('\n');
        }
        if line.trim() == "[renewalparams]" {
            for Setting { key, value, .. } in wanted.iter().filter(|setting| setting.value != setting.default) {
                let _ = writeln!(out, "{key} = {value}");
            }
        }
    }
    let stat = host.stat(&path).map_err(failed)?.ok_or_else(|| Failure::new(what(), "it no longer exists"))?;
    host.write(&path, out.as_bytes(), stat.meta).map_err(failed)
}

fn key(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

/// The value of a key in any section; certbot ends lists with a comma.
fn value<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    text.lines().find(|line| key(line) == Some(wanted)).and_then(|line| line.split_once('=')).map(|(_, v)| v.trim())
}
