//! Fully qualified host names (RFC 1123, section 2.1; lengths from RFC 1035, section 2.3.4).

use crate::answers::resolve::refusal::Refusal;
use crate::yaml::quoted;

/// Longest name, in characters.
const LONGEST_NAME: usize = 253;
/// Longest part between two dots, in characters.
const LONGEST_LABEL: usize = 63;

/// Refuses what is not a fully qualified host name, with a message for each common mistake.
pub(super) fn check(name: &str) -> Result<(), Refusal> {
    if name.chars().any(char::is_whitespace) {
        return Err(refused(name, "contains a space", "write the name alone, such as app.example.org"));
    }
    if let Some((_, rest)) = name.split_once("://") {
        let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
        return Err(refused(name, "is an address with a scheme", format!("write the name alone: {host}")));
    }
    if name.contains('@') {
        return Err(refused(name, "contains an @", "write the name after it, such as app.example.org"));
    }
    if let Some((host, _)) = name.split_once('/') {
        return Err(refused(name, "contains a path", format!("write the name alone: {host}")));
    }
    if is_ip(name) {
        let hint = "use a DNS name; certificates and redirects need one";
        return Err(refused(name, "is an IP address", hint));
    }
    if let Some((host, _)) = name.split_once(':') {
        return Err(refused(name, "contains a port", format!("write the name alone: {host}")));
    }
    if !name.is_ascii() {
        let hint = "write its ASCII form, which begins with xn-- (punycode); `idn2 NAME` prints it";
        return Err(refused(name, "is an international name", hint));
    }
    if name.contains('*') {
        return Err(refused(name, "is a wildcard", "write one name, such as app.example.org"));
    }
    if name.contains('_') {
        return Err(refused(name, "contains an underscore", "host names use letters, digits, - and ."));
    }
    if name.chars().any(|c| c.is_ascii_uppercase()) {
        let hint = format!("write it in lower case: {}", name.to_ascii_lowercase());
        return Err(refused(name, "contains capital letters", hint));
    }
    if let Some(bad) = name.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(*c))) {
        let what = format!("contains the character {}", quoted(&bad.to_string()));
        return Err(refused(name, &what, "host names use letters, digits, - and ."));
    }
    if let Some(without) = name.strip_suffix('.') {
        return Err(refused(name, "ends with a dot", format!("write {without}")));
    }
    if name.len() > LONGEST_NAME {
        return Err(refused(name, "is too long", format!("at most {LONGEST_NAME} characters")));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(refused(name, "has an empty part between its dots", "write it as app.example.org"));
        }
        if label.len() > LONGEST_LABEL {
            let hint = format!("at most {LONGEST_LABEL} characters between two dots");
            return Err(refused(name, "has a part that is too long", hint));
        }
        if label.starts_with('-') || label.ends_with('-') {
            let hint = "each part begins and ends with a letter or a digit";
            return Err(refused(name, "has a hyphen at the start or end of a part", hint));
        }
    }
    match name.rsplit_once('.') {
        None => Err(refused(name, "has no domain", format!("write the full name, such as {name}.example.org"))),
        Some((_, last)) if last.bytes().all(|b| b.is_ascii_digit()) => {
            Err(refused(name, "ends with a number", "write the full name, such as app.example.org"))
        }
        Some(_) => Ok(()),
    }
}

fn refused(name: &str, what: &str, hint: impl Into<String>) -> Refusal {
    Refusal::new(format!("{} {what}", quoted(name)), hint)
}

/// Whether a person meant an IP address, also one with a port, in brackets or out of range.
fn is_ip(name: &str) -> bool {
    let v6 = name.starts_with('[') || name.matches(':').count() > 1;
    let host = name.split(':').next().unwrap_or_default();
    let v4 = host.split('.').count() == 4
        && host.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    v6 || v4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["a.b", "app.example.org", "xn--bcher-kva.example", "1and1.com", "a-b.c-d.e2", "3.example.org"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        assert_eq!((longest.len(), check(&longest)), (253, Ok(())));
    }

    #[test]
    fn each_mistake_has_a_message_of_its_own() {
        for (name, message, hint) in [
            ("app example.org", "contains a space", "write the name alone, such as app.example.org"),
            ("https://app.example.org:8443/x", "is an address with a scheme", "write the name alone: app.example.org"),
            ("root@example.org", "contains an @", "write the name after it, such as app.example.org"),
            ("example.org/app", "contains a path", "write the name alone: example.org"),
            ("192.0.2.7", "is an IP address", "use a DNS name; certificates and redirects need one"),
            ("192.0.2.7:80", "is an IP address", "use a DNS name; certificates and redirects need one"),
            ("2001:db8::1", "is an IP address", "use a DNS name; certificates and redirects need one"),
            ("[::1]", "is an IP address", "use a DNS name; certificates and redirects need one"),
            ("example.org:443", "contains a port", "write the name alone: example.org"),
            (
                "bücher.example",
                "is an international name",
                "write its ASCII form, which begins with xn-- (punycode); `idn2 NAME` prints it",
            ),
            ("*.example.org", "is a wildcard", "write one name, such as app.example.org"),
            ("my_app.example.org", "contains an underscore", "host names use letters, digits, - and ."),
            ("App.Example.org", "contains capital letters", "write it in lower case: app.example.org"),
            ("app!.org", "contains the character '!'", "host names use letters, digits, - and ."),
            ("app.example.org.", "ends with a dot", "write app.example.org"),
            ("app..org", "has an empty part between its dots", "write it as app.example.org"),
            (".org", "has an empty part between its dots", "write it as app.example.org"),
            (
                "-app.org",
                "has a hyphen at the start or end of a part",
                "each part begins and ends with a letter or a digit",
            ),
            ("localhost", "has no domain", "write the full name, such as localhost.example.org"),
            ("app.1", "ends with a number", "write the full name, such as app.example.org"),
        ] {
            assert_eq!(check(name), Err(Refusal::new(format!("'{name}' {message}"), hint)), "{name}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_dns() {
        let label = format!("{}.org", "a".repeat(64));
        assert_eq!(check(&label).map_err(|r| r.hint), Err("at most 63 characters between two dots".to_owned()));
        let name = format!("{}org", "a.".repeat(126));
        assert_eq!((name.len(), check(&name).map_err(|r| r.hint)), (255, Err("at most 253 characters".to_owned())));
    }
}
