//! A URL as an answer: of an allowed scheme, and without a password, which would end up in logs.

use crate::answers::resolve::refusal::Refusal;
use crate::guide::Question;
use crate::yaml::quoted;

/// The schemes of a question that names none.
const WEB: &[&str] = &["https", "http"];

/// Why a text is refused as an answer to a question of type `url`.
pub fn check(question: &Question, text: &str) -> Result<(), Refusal> {
    let named: Vec<&str> = question.schemes.iter().map(String::as_str).collect();
    let schemes = if named.is_empty() { WEB } else { &named };
    let written = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let write = if question.or_path {
        format!("begin with / for a path on this server, or with {written}")
    } else {
        format!("write a URL that begins with {written}")
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        let path = text.starts_with('/') || schemes.contains(&"ssh") && is_remote_path(text);
        if question.or_path && path {
            return Ok(());
        }
        return Err(Refusal::new(format!("{} is not a URL", quoted(text)), write));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (credentials, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    // A bare name is a password to web servers that take a token in its place; in `ssh://git@host/` it is none.
    if credentials.contains(':') || (!credentials.is_empty() && scheme.starts_with("http")) {
        let hint = if question.or_path {
            "use a deploy key, or fetch the sources yourself and give the directory"
        } else {
            "leave it out: it would end up in logs"
        };
        return Err(Refusal::new("the URL holds a password", hint));
    }
    if !schemes.contains(&scheme) {
        return Err(Refusal::new(format!("{} does not begin with {written}", quoted(text)), write));
    }
    if text.contains(char::is_whitespace) {
        return Err(Refusal::new(format!("{} contains a space", quoted(text)), "write %20 instead"));
    }
    let empty = host.split(':').next().unwrap_or_default().is_empty();
    if empty && scheme != "file" {
        return Err(Refusal::new(format!("{} names no host", quoted(text)), write));
    }
    // The colons in the brackets are those of an address of IPv6.
    let port = host.rsplit(']').next().unwrap_or_default().split_once(':').map(|(_, port)| port);
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) && scheme != "file" {
        return Err(Refusal::new(format!("{} has no valid port", quoted(text)), "write one from 1 to 65535"));
    }
    Ok(())
}

/// `git@host:path`, as ssh writes it.
fn is_remote_path(text: &str) -> bool {
    text.split_once(':').is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn question(rest: &str) -> Question {
        crate::yaml::from_slice("q.yaml", format!("{{id: q, ask: q, type: url{rest}}}").as_bytes()).unwrap()
    }

    #[test]
    fn a_url_has_a_scheme_that_is_allowed_and_a_host() {
        let web = question("");
        for good in ["https://ca.example.org/acme", "http://[2001:db8::1]:8080/", "https://example.org/@team?a@b:c"] {
            assert_eq!(check(&web, good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("example.org", "is not a URL"),
            ("/srv/app", "is not a URL"),
            ("ftp://example.org/", "does not begin with https:// or http://"),
            ("https:///x", "names no host"),
            ("https://:443/", "names no host"),
            ("https://example.org:65536/", "has no valid port"),
            ("https://example.org:0/", "has no valid port"),
            ("https://[2001:db8::1]:x/", "has no valid port"),
            ("https://example.org/a b", "contains a space"),
        ] {
            let refusal = check(&web, bad).unwrap_err();
            assert!(refusal.message.contains(why), "{bad}: {refusal:?}");
        }
    }

    #[test]
    fn a_password_is_refused_without_being_repeated() {
        let source = question(", schemes: [https, ssh], or_path: true");
        for bad in
            ["https://me:hunter2@example.org/x", "https://hunter2@example.org/", "ssh://git:hunter2@example.org/"]
        {
            let refusal = check(&source, bad).unwrap_err();
            assert_eq!(refusal.message, "the URL holds a password", "{bad}");
            assert!(refusal.hint.contains("deploy key") && !refusal.hint.contains("hunter2"), "{refusal:?}");
        }
        assert!(check(&question(""), "https://a:b@c/").unwrap_err().hint.contains("leave it out"));
    }

    #[test]
    fn a_path_is_one_where_the_question_says_so() {
        let source = question(", schemes: [https, ssh, file], or_path: true");
        for good in ["/srv/app.git", "git@example.org:app.git", "ssh://git@example.org/app.git", "file:///srv/app.git"]
        {
            assert_eq!(check(&source, good), Ok(()), "{good}");
        }
        for bad in ["app.git", "./a:b", "http://example.org/"] {
            assert!(check(&source, bad).is_err(), "{bad}");
        }
        assert!(check(&question(", or_path: true"), "git@example.org:app.git").is_err());
    }
}
