//! DNS-01: how the authority's records get into the DNS, and the checks before they are requested.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::contract::Context;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};
use crate::progress::Progress;
use crate::system::net::wire;
use crate::system::net::wire::dns::Answer;
use crate::system::paths;

/// How the records for DNS-01 (RFC 8555, section 8.4) get into the DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// What adds them.
    pub provider: Provider,
    /// With `cloudflare` and `rfc2136`: the file with their credentials for certbot's plugin, which only root reads.
    #[serde(default)]
    pub credentials: PathBuf,
    /// With `cloudflare` and `rfc2136`: seconds until every name server has them.
    #[serde(default)]
    pub propagation: u32,
    /// With `rfc2136`: the address of the zone's primary name server, which is tested first.
    #[serde(default)]
    pub server: String,
    /// With `rfc2136`: its port.
    #[serde(default = "port")]
    pub port: u16,
    /// With `hook`: the program that adds a record, and waits until it is visible.
    #[serde(default)]
    pub auth_hook: PathBuf,
    /// With `hook`: the program that removes it; none when empty.
    #[serde(default)]
    pub cleanup_hook: PathBuf,
}

/// What adds records to the DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Cloudflare's API.
    Cloudflare,
    /// A name server with dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
    Rfc2136,
    /// The user's own programs, called as certbot's manual plugin calls its hooks.
    Hook,
}

const fn port() -> u16 {
    53
}

/// Timeout of the user's own programs, for all records.
const HOOKS: Duration = Duration::from_mins(30);

impl Dns {
    /// The name of certbot's plugin, without `dns-`; none with hooks.
    pub(super) const fn plugin(&self) -> Option<&'static str> {
        match self.provider {
            Provider::Cloudflare => Some("cloudflare"),
            Provider::Rfc2136 => Some("rfc2136"),
            Provider::Hook => None,
        }
    }

    /// Arguments for certbot; credentials are passed as a file name.
    pub(super) fn options(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut options = if let Some(plugin) = self.plugin() {
            vec![
                format!("--dns-{plugin}"),
                format!("--dns-{plugin}-credentials"),
                text(&self.credentials),
                format!("--dns-{plugin}-propagation-seconds"),
                self.propagation.to_string(),
            ]
        } else {
            let words = ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook"];
            words.map(str::to_owned).into_iter().chain([text(&self.auth_hook)]).collect()
        };
        if self.provider == Provider::Hook && !self.cleanup_hook.as_os_str().is_empty() {
            options.extend(["--manual-cleanup-hook".to_owned(), text(&self.cleanup_hook)]);
        }
        options
    }

    /// How much longer it may take than HTTP-01.
    pub(super) fn patience(&self) -> Duration {
        match self.provider {
            Provider::Hook => HOOKS,
            _ => Duration::from_secs(self.propagation.into()),
        }
    }

    /// Refuses programs that a user other than root could change: renewals run them as root.
    pub(super) fn refuse(&self, host: &dyn Host) -> Outcome<()> {
        if self.provider != Provider::Hook {
            return Ok(());
        }
        let hooks = [&self.auth_hook, &self.cleanup_hook].into_iter().filter(|path| !path.as_os_str().is_empty());
        hooks.into_iter().try_for_each(|path| refuse_hook(host, path))
    }

    /// Whether the name server is authoritative for the name, before an authority is asked.
    pub(super) fn answers(&self, cx: &Context<'_>, name: &str) -> Outcome<()> {
        if self.provider != Provider::Rfc2136 {
            return Ok(());
        }
        let (server, port) = (&self.server, self.port);
        (cx.progress)(Progress::Note(format!("querying the name server {server} for {name}")));
        let what = || format!("query the name server {server}, port {port}, for {name}");
        // Updates use the same transport.
        let (mut stream, _) = wire::connect(cx.host, server, port)?;
        let mut id = [0; 2];
        cx.host.random(&mut id).map_err(|e| Failure::new(what(), e))?;
        let answer = wire::dns::start_of_authority(&mut *stream, id, name).map_err(|e| e.failure(what()))?;
        // No failure: it may answer differently to clients that sign with the key, as certbot does.
        let said = match answer {
            Answer::Authoritative => return Ok(()),
            Answer::NotAuthoritative => "without the key it is not authoritative for the zone".to_owned(),
            Answer::Refused(code) => format!("without the key it answers {code}"),
        };
        (cx.progress)(Progress::Note(format!("{server} answers; {said}")));
        Ok(())
    }
}

fn refuse_hook(host: &dyn Host, path: &Path) -> Outcome<()> {
    let what = || format!("run {} for the ACME records", path.display());
    let refuse = |why: String, hint: String| Err(Failure::new(what(), why).hint(hint));
    paths::missing_parents(host, path)?;
    for dir in path.ancestors().skip(1) {
        let Some(stat) = paths::stat(host, dir)? else { continue };
        // In a sticky directory such as /tmp only root can remove root's files.
        let others_write = stat.meta.mode & 0o022 != 0 && stat.meta.mode & 0o1000 == 0;
        if stat.kind == Kind::Dir && (stat.meta.uid != 0 || others_write) {
            let why = format!("users other than root can change the directory {}", dir.display());
            return refuse(
                why,
                "move the program to a directory that only root can change, such as /usr/local/sbin".to_owned(),
            );
        }
    }
    let Some(stat) = paths::stat(host, path)? else {
        return refuse("there is no such file".to_owned(), "give its full path on this server".to_owned());
    };
    if stat.kind != Kind::File {
        return refuse("it is not a regular file".to_owned(), "give the path of the program itself".to_owned());
    }
    let shown = path.display();
    if stat.meta.uid != 0 {
        return refuse(
            "it does not belong to root but would run as root".to_owned(),
            format!("chown root:root {shown}"),
        );
    }
    if stat.meta.mode & 0o022 != 0 {
        let why = format!("users other than root can change it (mode {:04o})", stat.meta.mode);
        return refuse(why, format!("chmod go-w {shown}"));
    }
    if stat.meta.mode & 0o100 == 0 {
        return refuse("it is not executable".to_owned(), format!("chmod u+x {shown}"));
    }
    Ok(())
}
