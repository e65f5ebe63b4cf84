//! What certbot says when it gets no certificate, in plain words and with what to do.

use super::Acme;
use crate::error::Failure;

/// A failure of certbot, explained where its cause is known.
pub fn explain(mut failure: Failure, acme: &Acme) -> Failure {
    let text = failure.tail.join("\n");
    if let Some((why, hint)) = cause(&text, acme) {
        failure.why = why;
        failure.hint = Some(hint);
    }
    failure
}

fn cause(text: &str, acme: &Acme) -> Option<(String, String)> {
    let (name, issuer) = (&acme.name, acme.issuer());
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let detail = field(text, "Detail:").map(|detail| format!(" ({detail})")).unwrap_or_default();
    // Words of certbot 1.12 to 4.0; "Type" is the end of the error's URN (RFC 8555, section 6.7).
    if says(&["rateLimited", "too many certificates", "too many failed", "too many new", "rate limit"]) {
        let said = text.lines().find(|line| line.contains("too many") || line.contains("rate limit")).unwrap_or("");
        return Some((
            format!("{issuer} refuses, because it was asked too often: {}", said.trim()),
            "wait until the time that it names; https://letsencrypt.org/docs/rate-limits/ has the limits".to_owned(),
        ));
    }
    match field(text, "Type:") {
        Some("dns") => {
            return Some((
                format!("{issuer} finds no address for {name}{detail}"),
                "enter this server's address at your name server, and wait until everybody knows it".to_owned(),
            ));
        }
        Some("connection") => {
            return Some((
                format!("{issuer} cannot reach port 80 of {name}{detail}"),
                "open port 80 to everybody, in this server's firewall and in those before it".to_owned(),
            ));
        }
        Some("unauthorized") => {
            return Some((
                format!("{issuer} met another web server as {name}{detail}"),
                "have the name lead to this server; an old IPv6 address (AAAA) counts too".to_owned(),
            ));
        }
        _ => {}
    }
    if says(&["CERTIFICATE_VERIFY_FAILED", "certificate verify failed"]) {
        return Some((
            format!("the server {issuer} shows a certificate that is not trusted here"),
            "answer tls.authority with the root certificate of your authority".to_owned(),
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
            "check the address, and that this server may go out to it".to_owned(),
        ));
    }
    if says(&["accountDoesNotExist", "AttributeError"]) {
        return Some((
            format!("{issuer} does not know the account that certbot has there"),
            "remove its directory below /etc/letsencrypt/accounts".to_owned(),
        ));
    }
    None
}

/// What stands behind a label such as `Type:`.
fn field<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim)
}
