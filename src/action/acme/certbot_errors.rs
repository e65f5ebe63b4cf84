//! certbot's errors in plain words, with what to do.

use std::path::Path;

use super::{Acme, Dns, Provider};
use crate::error::Failure;
use crate::host::Host;

/// certbot's log, which has more than its output.
const LOG: &str = "/var/log/letsencrypt/letsencrypt.log";

/// A failure of certbot, explained where its cause is known.
pub fn explain(host: &dyn Host, mut failure: Failure, acme: &Acme) -> Failure {
    // certbot 2.1 under Python 3.11 (Debian 12) hides the authority's answer behind an error about an attribute.
    if failure.tail.iter().any(|line| line.contains("AttributeError")) {
        failure.tail.extend(last_answer(host));
    }
    let text = failure.tail.join("\n");
    if let Some((why, hint)) = cause(&text, acme) {
        failure.why = why;
        failure.hint = Some(hint);
    }
    failure
}

/// The authority's last answer in certbot's log.
fn last_answer(host: &dyn Host) -> Option<String> {
    let log = host.read(Path::new(LOG)).ok()?;
    let log = String::from_utf8_lossy(&log);
    log.lines().rev().find_map(|line| line.strip_prefix("acme.messages.Error: ")).map(str::to_owned)
}

fn cause(text: &str, acme: &Acme) -> Option<(String, String)> {
    let issuer = acme.issuer();
    // Of several names certbot tells which failed.
    let name = field(text, "Domain:").unwrap_or(&acme.name);
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let detail = field(text, "Detail:").map(|detail| format!(" ({detail})")).unwrap_or_default();
    // Messages of certbot 1.12 to 4.0; "Type" is the end of the error's URN (RFC 8555, section 6.7).
    if says(&["rateLimited", "too many certificates", "too many failed", "too many new", "rate limit"]) {
        let said = text.lines().find(|line| line.contains("too many") || line.contains("rate limit")).unwrap_or("");
        return Some((
            format!("{issuer} refused: rate limit exceeded: {}", said.rsplit(" :: ").next().unwrap_or(said).trim()),
            "wait until the time it names; limits: https://letsencrypt.org/docs/rate-limits/".to_owned(),
        ));
    }
    if let Some(cause) = acme.dns.as_ref().and_then(|dns| cause_in_dns(text, dns)) {
        return Some(cause);
    }
    match field(text, "Type:") {
        Some(_) if acme.dns.is_some() => {
            return Some((
                format!("{issuer} does not find the expected record at _acme-challenge.{name}{detail}"),
                match acme.dns.as_ref().map(|dns| dns.provider) {
                    Some(Provider::Hook) => "have the hook wait until every name server of the zone has the record",
                    _ => {
                        "the record reached the name servers too late, or went into another zone: try a longer tls.propagation"
                    }
                }
                .to_owned(),
            ));
        }
        Some("dns") => {
            return Some((
                format!("{issuer} finds no address for {name}{detail}"),
                "add this server's address to the DNS zone, and wait until it resolves everywhere".to_owned(),
            ));
        }
        Some("connection") => {
            return Some((
                format!("{issuer} cannot reach port 80 of {name}{detail}"),
                "open port 80 to every address, in this server's firewall and in every firewall in front of it"
                    .to_owned(),
            ));
        }
        Some("unauthorized") => {
            return Some((
                format!("{issuer} reached another web server as {name}{detail}"),
                "point the name at this server; an outdated IPv6 address (AAAA) counts, too".to_owned(),
            ));
        }
        _ => {}
    }
    if says(&["Could not bind TCP port 80"]) {
        return Some((
            "another program listens on port 80, which certbot needs".to_owned(),
            "stop it, or let the web server answer the challenge (tls.challenge: http)".to_owned(),
        ));
    }
    if says(&["CERTIFICATE_VERIFY_FAILED", "certificate verify failed"]) {
        return Some((
            format!("{issuer} presents a certificate that this server does not trust"),
            "set tls.authority to the root certificate of your authority".to_owned(),
        ));
    }
    if says(&[
        "Max retries exceeded",
        "ConnectionError",
        "Connection refused",
        "Name or service not known",
        "timed out",
    ]) {
        return Some((
            format!("{issuer} cannot be reached ({})", acme.directory),
            "check the address, and that this server can connect to it".to_owned(),
        ));
    }
    if says(&["accountDoesNotExist"]) {
        return Some((
            format!("{issuer} does not know certbot's account"),
            "remove its directory below /etc/letsencrypt/accounts".to_owned(),
        ));
    }
    None
}

/// Why the records did not get into the DNS: messages of certbot's plugins, of its manual plugin and of dnspython.
fn cause_in_dns(text: &str, dns: &Dns) -> Option<(String, String)> {
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    // Without the names of Python's classes.
    let line = |parts: &[&str]| {
        let line = text.lines().find(|line| parts.iter().any(|part| line.contains(part))).unwrap_or("");
        line.rsplit_once("PluginError: ").map_or(line, |(_, rest)| rest).trim()
    };
    let told = |why: String, hint: &str| Some((why, hint.to_owned()));
    match dns.provider {
        Provider::Cloudflare => {
            let parts = ["Error determining zone_id", "Unable to determine zone_id", "the Cloudflare API"];
            let hint = "the token needs Zone / DNS / Edit for the name's zone; a global API key does not work";
            says(&parts).then(|| (format!("Cloudflare refused: {}", line(&parts)), hint.to_owned()))
        }
        Provider::Rfc2136 => {
            let server = &dns.server;
            if says(&["the time we sent", "not within the TSIG's validity"]) {
                return told(
                    format!("the clock of the name server {server} differs from this server's"),
                    "synchronize both with NTP",
                );
            }
            if says(&["know the key we used", "the signature we sent", "TSIG", "BADKEY", "BADSIG"]) {
                return told(
                    format!("the name server {server} does not accept the key"),
                    "compare tls.tsig_name, tls.tsig_algorithm and tls.tsig_secret with the server's configuration",
                );
            }
            let parts = [
                "Received response from server",
                "TXT record:",
                "Unable to determine base domain",
                "when making query",
            ];
            says(&parts).then(|| {
                let hint = "the zone must allow updates of _acme-challenge for this key (in BIND: update-policy)";
                (format!("the name server {server} refused the record: {}", line(&parts)), hint.to_owned())
            })
        }
        Provider::Hook => {
            let parts = ["error code", "Unable to find auth-hook", "auth-hook command"];
            says(&parts).then(|| {
                let hint = format!(
                    "its output is in the log; {} receives CERTBOT_DOMAIN and CERTBOT_VALIDATION and must exit with 0",
                    dns.auth_hook.display()
                );
                (format!("the hook did not add the record: {}", line(&parts)), hint)
            })
        }
    }
}

/// The text after a label such as `Type:`.
fn field<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim)
}
