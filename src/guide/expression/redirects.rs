//! A filter over redirects in answers: what is wrong with them, in words, so that a rule can refuse them.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, ErrorKind, Value};

/// Makes the filter known.
pub fn add(environment: &mut Environment<'static>) {
    environment.add_filter("redirect_problems", |redirects: Value, base: String| {
        let failed = |e: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("redirect_problems: {e}"));
        let redirects = serde_json::from_value(serde_json::to_value(&redirects).map_err(failed)?).map_err(failed)?;
        Ok::<_, Error>(problems(&redirects, &base))
    });
}

/// `{'/old/': '/new/'} | redirect_problems('https://shop.example.org')`: what is wrong with redirects of paths, each to a
/// path of the same site or to a URL. A path that ends with `/` stands for all paths below it.
fn problems(redirects: &BTreeMap<String, String>, base: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (from, to) in redirects {
        if from.ends_with('/') && !to.ends_with('/') {
            problems.push(format!("{from} stands for all paths below it, so {to} must end with /, too"));
        }
        // Where it leads on this site.
        let here = if to.starts_with('/') { Some(to.as_str()) } else { to.strip_prefix(base) };
        let meets = |other: &String| {
            here.is_some_and(|here| {
                let below = other.ends_with('/') && here.starts_with(other.as_str());
                // Below a prefix more follows, which may be what another one redirects. All of the site is not meant:
                // there a circle has to come back below the prefix, which is found by itself.
                let more = from.ends_with('/') && here != "/" && other != from && other.starts_with(here);
                here == other || below || more
            })
        };
        match redirects.keys().find(|other| meets(other)) {
            Some(other) if other == from => problems.push(format!("{from} leads to itself")),
            Some(other) => problems.push(format!("{from} leads to {to}, and {other} is redirected, too")),
            None => {}
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(redirects: &[(&str, &str)]) -> Vec<String> {
        let map = redirects.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        problems(&map, "https://shop.example.org")
    }

    #[test]
    fn redirects_that_end_somewhere_pass() {
        let fine = [
            ("/old", "/new"),
            ("/blog/", "https://blog.example.org/"),
            ("/feed", "https://blog.example.org/old"),
            ("/news/", "/posts/"),
            ("/home", "/"),
            ("/shop/", "/"),
            ("/v1/docs/", "/v1/"),
        ];
        assert_eq!(told(&fine), [""; 0]);
        assert_eq!(told(&[]), [""; 0]);
    }

    #[test]
    fn circles_and_detours_are_told() {
        assert_eq!(told(&[("/a", "/a")]), ["/a leads to itself"]);
        assert_eq!(told(&[("/a/", "/a/b/")]), ["/a/ leads to itself"]);
        assert_eq!(told(&[("/a/", "https://shop.example.org/a/b/")]), ["/a/ leads to itself"]);
        let circle = told(&[("/a/", "/b/"), ("/b/x/", "/a/x/")]);
        assert_eq!(circle[0], "/a/ leads to /b/, and /b/x/ is redirected, too");
        assert_eq!(told(&[("/a", "/b"), ("/b", "/c")]), ["/a leads to /b, and /b is redirected, too"]);
        assert_eq!(told(&[("/a", "/b/c"), ("/b/", "/d/")]), ["/a leads to /b/c, and /b/ is redirected, too"]);
        assert_eq!(told(&[("/a/", "/b")]), ["/a/ stands for all paths below it, so /b must end with /, too"]);
    }
}
