//! What certbot keeps of a certificate: its settings for renewals, and links to its present files.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::Acme;
use crate::action::Act as _;
use crate::error::{Failure, Outcome};
use crate::host::Host;

/// The certificate with its chain, below [`live`].
pub const CERTIFICATE: &str = "fullchain.pem";
/// Its key.
pub const KEY: &str = "privkey.pem";

const ROOT: &str = "/etc/letsencrypt";

/// The directory of links to a certificate's present files.
pub fn live(name: &str) -> PathBuf {
    Path::new(ROOT).join("live").join(name)
}

/// The settings with which a certificate is renewed.
pub fn settings(name: &str) -> PathBuf {
    Path::new(ROOT).join("renewal").join(format!("{name}.conf"))
}

/// Whose certificate of a name it is that certbot keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// It keeps none.
    None,
    /// Ours: from our authority, through our directory.
    Ours {
        /// Whether a renewal reloads who uses it.
        reloads: bool,
    },
    /// Ours, from the authority at this URL.
    From(String),
    /// Somebody else's.
    Foreign,
}

impl Lineage {
    /// Refuses to touch what is not ours, or not from this authority.
    pub fn refuse(&self, acme: &Acme) -> Outcome<()> {
        match self {
            Self::None | Self::Ours { .. } => Ok(()),
            Self::From(other) => Err(Failure::new(
                acme.describe(),
                format!("its certificate from {other} stands, and certbot keeps one of a name"),
            )
            .hint("take that one back first: `bringup rollback --stage tls`")),
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

/// Looks at what certbot keeps.
pub fn read(host: &dyn Host, acme: &Acme) -> io::Result<Lineage> {
    let path = settings(&acme.name);
    if host.stat(&path)?.is_none() {
        return Ok(Lineage::None);
    }
    let text = String::from_utf8_lossy(&host.read(&path)?).into_owned();
    let webroot = acme.webroot.to_string_lossy();
    if value(&text, &acme.name) != Some(&*webroot) {
        return Ok(Lineage::Foreign);
    }
    Ok(match value(&text, "server") {
        Some(server) if server == acme.directory => {
            Lineage::Ours { reloads: value(&text, HOOK) == Some(acme.hook().as_str()) }
        }
        server => Lineage::From(server.unwrap_or("another authority").to_owned()),
    })
}

/// The setting for what runs after a renewal.
const HOOK: &str = "renew_hook";

/// Has renewals reload who uses the certificate now. certbot saves its `--deploy-hook` only with a new certificate.
pub fn set_hook(host: &dyn Host, acme: &Acme) -> Outcome<()> {
    let path = settings(&acme.name);
    let what = || format!("change {}", path.display());
    let failed = |e| Failure::new(what(), e);
    let text = String::from_utf8_lossy(&host.read(&path).map_err(failed)?).into_owned();
    let hook = acme.hook();
    if value(&text, HOOK) == Some(hook.as_str()) {
        return Ok(());
    }
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let is_hook = key(line) == Some(HOOK);
        if !is_hook {
            out.push_str(line);
            out.push('\n');
        }
        if line.trim() == "[renewalparams]" {
            let _ = writeln!(out, "{HOOK} = {hook}");
        }
    }
    let stat = host.stat(&path).map_err(failed)?.ok_or_else(|| Failure::new(what(), "it is gone"))?;
    host.write(&path, out.as_bytes(), stat.meta).map_err(failed)
}

fn key(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

/// The value of a key in whatever section; certbot ends lists with a comma.
fn value<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    text.lines().find(|line| key(line) == Some(wanted)).and_then(|line| line.split_once('=')).map(|(_, v)| v.trim())
}
