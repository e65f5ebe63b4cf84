//! Other sites of a web server: requested before it loads new configuration and afterwards.
//!
//! They must answer as before, or the former configuration is restored, under the dead-man switch of
//! [`crate::undo::deadman`]. Unlike SSH, sites can be checked without a person's confirmation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::contract::Context;
use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::progress::Progress;
use crate::system::net::http::{self, Glance};
use crate::undo::Undo;
use crate::undo::deadman::{self, Confirm};

mod apache;
mod nginx;

/// How to find the sites of a web server that runs already, and which are ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    /// The web server whose configuration lists them.
    pub server: WebServer,
    /// Names that the guide itself serves, which are not requested; `*.name` means every name below it.
    #[serde(rename = "own", alias = "server_names", default)]
    pub server_names: Vec<String>,
    /// Seconds in which the others must answer as before: applications in the server may take that long to start.
    #[serde(rename = "within", alias = "timeout", default = "half_a_minute")]
    pub timeout: u64,
}

const fn half_a_minute() -> u64 {
    30
}

/// Web servers whose configuration can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebServer {
    /// nginx.
    Nginx,
    /// Apache.
    Apache,
}

impl WebServer {
    /// The endpoints of the sites in its configuration.
    fn doors(self, host: &dyn Host) -> Outcome<Vec<Door>> {
        match self {
            Self::Nginx => nginx::doors(host),
            Self::Apache => apache::doors(host),
        }
    }

    /// The command that shows its sites.
    const fn shows(self) -> &'static str {
        match self {
            Self::Nginx => "nginx -T",
            Self::Apache => "apache2ctl -S",
        }
    }
}

/// How often the sites are requested afterwards.
const PAUSE: Duration = Duration::from_millis(500);
/// How long they must answer as before: for a moment after a reload the old processes still answer.
const STEADY: Duration = Duration::from_secs(3);
/// At most this many sites are named in a message.
const NAMED: usize = 3;

/// An endpoint of a site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Door {
    /// The address to connect to.
    address: String,
    port: u16,
    /// One of its names; none for a default site without one.
    name: Option<String>,
}

impl Door {
    fn new(address: &str, port: u16, name: Option<String>) -> Self {
        let address = match address.trim_matches(['[', ']']) {
            "" | "*" | "0.0.0.0" | "_default_" => "127.0.0.1",
            "::" => "::1",
            one => one,
        };
        Self { address: address.to_owned(), port, name }
    }

    fn url(&self, tls: bool) -> String {
        let bracketed =
            || if self.address.contains(':') { format!("[{}]", self.address) } else { self.address.clone() };
        let name = self.name.clone().unwrap_or_else(bracketed);
        match (tls, self.port) {
            (true, 443) => format!("https://{name}/"),
            (true, port) => format!("https://{name}:{port}/"),
            (false, 80) => format!("http://{name}/"),
            (false, port) => format!("http://{name}:{port}/"),
        }
    }
}

/// A server name from the configuration as a name to request: `*.example.org` becomes `any.example.org`. None for those
/// that cannot be requested: regular expressions, `_`, addresses.
fn askable(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let name = match name.strip_prefix("*.") {
        Some(below) => format!("any.{below}"),
        None => name.trim_start_matches('.').to_owned(),
    };
    let name = name.strip_suffix(".*").map_or(name.clone(), |stem| format!("{stem}.test"));
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let named = name.chars().all(good) && name.contains(|c: char| c.is_ascii_alphabetic());
    named.then_some(name)
}

/// A site that answers, and how.
struct Site {
    url: String,
    address: String,
    before: Glance,
}

impl Sites {
    /// Makes `change` so that `restore` reverts it unless the sites of others answer afterwards as they do now. Without
    /// other sites, the change is simply made.
    pub fn guard(
        &self,
        cx: &Context<'_>,
        restore: Vec<Undo>,
        service: &str,
        change: &mut dyn FnMut() -> Outcome<()>,
    ) -> Outcome<()> {
        let sites = self.answering(cx.host)?;
        if sites.is_empty() {
            return change();
        }
        let note = |text: String| (cx.progress)(Progress::Note(text));
        let hint = format!(
            "compare the other site's configuration (`{}` shows it) with the plan: both may claim a name, a port or a \
             server-wide setting; change the answers or that site, then run bringup again",
            self.server.shows()
        );
        let guard = deadman::GuardedChange {
            what: "the web server's configuration",
            hint: &hint,
            confirm: Confirm::None,
            seconds: self.timeout,
            endpoint: None,
            knock: &[],
            restore,
            blobs: cx.blobs,
            log: cx.log,
            carry: cx.carry,
        };
        deadman::guarded(cx.host, &guard, cx.progress, &mut || {
            change()?;
            note(format!("checking {}", count(sites.len())));
            let changed = self.await_as_before(cx.host, &sites, STEADY);
            if changed.is_empty() {
                note(as_before(sites.len()));
                return Ok(());
            }
            Err(Failure::new(format!("reload {service} with the new configuration"), list(&changed)).hint(&hint))
        })
        .map_err(|failure| {
            note("checking that everything is as before".to_owned());
            self.after_return(cx.host, &sites, failure)
        })
    }

    /// The sites of others that answer now. What already fails cannot be broken.
    fn answering(&self, host: &dyn Host) -> Outcome<Vec<Site>> {
        let mut doors = self.server.doors(host)?;
        doors.retain(|door| !door.name.as_deref().is_some_and(|name| self.is_own(name)));
        doors.sort();
        doors.dedup();
        // Ports that speak TLS, as far as an answer has shown it.
        let mut tls: BTreeMap<(String, u16), bool> = BTreeMap::new();
        let mut sites = Vec::new();
        for door in doors {
            let known = tls.get(&(door.address.clone(), door.port)).copied();
            let ways = known.map_or(vec![true, false], |tls| vec![tls]);
            let answered = ways.into_iter().find_map(|tls| {
                let url = door.url(tls);
                http::glance(host, &url, &door.address).ok().map(|before| (tls, url, before))
            });
            let Some((is_tls, url, before)) = answered else { continue };
            // A port with TLS answers 400 to plain HTTP.
            if is_tls || before.status != 400 {
                tls.insert((door.address.clone(), door.port), is_tls);
            }
            if before.status < 500 {
                sites.push(Site { url, address: door.address, before });
            }
        }
        Ok(sites)
    }

    /// Our server names that the configuration already has, on one of these ports. If it cannot be read, there is no
    /// such server, or no conflict.
    pub fn claimed(&self, host: &dyn Host, ports: &BTreeSet<u16>) -> BTreeSet<(String, u16)> {
        let doors = self.server.doors(host).unwrap_or_default().into_iter();
        let named = doors.filter_map(|door| Some((door.name?, door.port)));
        named.filter(|(name, port)| ports.contains(port) && self.is_own(name)).collect()
    }

    /// Whether it is one of our own names.
    pub fn is_own(&self, name: &str) -> bool {
        self.server_names.iter().any(|own| {
            let own = own.to_ascii_lowercase();
            match own.strip_prefix('*') {
                Some(below) => name.ends_with(below),
                None => name == own,
            }
        })
    }

    /// Waits until all of them answer as before, and keep doing so for `steady`; returns what differs when time is up.
    fn await_as_before(&self, host: &dyn Host, sites: &[Site], steady: Duration) -> Vec<String> {
        let begun = host.now();
        let mut good_since = None;
        loop {
            let asked = host.now();
            let changed: Vec<String> = sites.iter().filter_map(|site| site.changed(host)).collect();
            if !changed.is_empty() {
                good_since = None;
                if host.now().since(begun) >= Duration::from_secs(self.timeout) {
                    return changed;
                }
            } else if asked.since(*good_since.get_or_insert(asked)) >= steady {
                return changed;
            }
            host.sleep(PAUSE);
        }
    }

    /// Adds the state of the sites after the former configuration was restored.
    fn after_return(&self, host: &dyn Host, sites: &[Site], failure: Failure) -> Failure {
        let changed = self.await_as_before(host, sites, Duration::ZERO);
        let end = match changed.as_slice() {
            [] => format!("the former configuration was restored, and {}", as_before(sites.len())),
            _ => format!("the former configuration was restored, but still: {}", list(&changed)),
        };
        Failure { why: format!("{}; {end}", failure.why.trim_end_matches('.')), ..failure }
    }
}

impl Site {
    /// What is different from before, as a sentence; none when nothing is.
    fn changed(&self, host: &dyn Host) -> Option<String> {
        let Self { url, address, before } = self;
        match http::glance(host, url, address) {
            Ok(now) if is_same(before, &now) => None,
            Ok(now) => {
                let certificates = before.names != now.names;
                let (before, now) = (shown(before, certificates), shown(&now, certificates));
                Some(format!("{url} answered {before} before, and now {now}"))
            }
            Err(failure) => Some(format!(
                "{url} answered {} before, and now does not answer: {}",
                shown(before, false),
                failure.why
            )),
        }
    }
}

/// The text after a question mark may differ between visitors.
fn is_same(before: &Glance, now: &Glance) -> bool {
    let place = |glance: &Glance| glance.location.split('?').next().unwrap_or_default().to_owned();
    before.status == now.status && place(before) == place(now) && before.names == now.names
}

/// `301 to https://example.org/ with a certificate for example.org`.
fn shown(glance: &Glance, certificate: bool) -> String {
    let to = if glance.location.is_empty() { String::new() } else { format!(" to {}", glance.location) };
    let with = if certificate { format!(" with a certificate for {}", glance.names.join(", ")) } else { String::new() };
    format!("{}{to}{with}", glance.status)
}

fn list(changed: &[String]) -> String {
    let named = changed.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match changed.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

fn count(sites: usize) -> String {
    if sites == 1 {
        "the other site of this server".to_owned()
    } else {
        format!("the {sites} other sites of this server")
    }
}

fn as_before(sites: usize) -> String {
    format!("{} {} as before", count(sites), if sites == 1 { "answers" } else { "answer" })
}

#[cfg(test)]
mod tests;
