//! The variables that say how to reach the outside, and the passwords in them: a proxy's address and a package index
//! may hold one. Root's own tools get them whole; what runs as another user gets them without, since every process
//! of that user could read them there.

use crate::host::Host;

/// Variables of our own environment that children get.
pub const VARIABLES: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_FIND_LINKS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_registry",
];

/// The value without names and passwords in the addresses that it holds.
pub fn without_credentials(value: &str) -> String {
    let strip = |word: &str| {
        let (scheme, rest) = word.split_once("://").map_or(("", word), |(scheme, rest)| (scheme, rest));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        // A password may hold an @ that someone forgot to write as %40, or a slash.
        let at = rest[..end].rfind('@').or_else(|| rest.rfind('@'));
        let kept = at.map_or(rest, |at| &rest[at + 1..]);
        if scheme.is_empty() { kept.to_owned() } else { format!("{scheme}://{kept}") }
    };
    value.split(' ').map(strip).collect::<Vec<_>>().join(" ")
}

/// The variables of ours that other users get without their passwords.
pub fn withheld(host: &dyn Host) -> Vec<&'static str> {
    let holds = |name: &&&str| host.env(name).is_some_and(|value| without_credentials(&value) != value);
    VARIABLES.iter().filter(holds).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn names_and_passwords_go_and_nothing_else() {
        for (value, bare) in [
            ("http://me:hush@cache:3142/", "http://cache:3142/"),
            ("http://me@cache:3142", "http://cache:3142"),
            ("me:hush@cache:3142", "cache:3142"),
            ("http://me:hu@sh@cache:3142", "http://cache:3142"),
            ("http://me:hu/sh@cache:3142", "http://cache:3142"),
            ("https://token@a/simple /srv/wheels https://me:x@b/", "https://a/simple /srv/wheels https://b/"),
            ("http://cache:3142/", "http://cache:3142/"),
            ("localhost,.example.org", "localhost,.example.org"),
            ("/etc/ssl/certs/ca.crt", "/etc/ssl/certs/ca.crt"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(value), bare);
        }
        let host = FakeHost::new();
        for name in VARIABLES {
            host.set_env(name, "");
        }
        host.set_env("https_proxy", "http://me:hush@cache:3142");
        assert_eq!(withheld(&host), ["https_proxy"]);
    }
}
