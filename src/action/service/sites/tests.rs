#![allow(clippy::unwrap_used)]

use super::*;

fn glance(status: u16, location: &str, names: &[&str]) -> Glance {
    Glance { status, location: location.to_owned(), names: names.iter().map(|name| (*name).to_owned()).collect() }
}

#[test]
fn names_of_our_own_are_those_below_a_wildcard_too() {
    let own = vec!["App.example.org".to_owned(), "*.app.example.org".to_owned()];
    let sites = Sites { server: WebServer::Nginx, server_names: own, timeout: 30 };
    for name in ["app.example.org", "a.app.example.org"] {
        assert!(sites.is_own(name), "{name}");
    }
    for name in ["example.org", "myapp.example.org", "shop.example.org"] {
        assert!(!sites.is_own(name), "{name}");
    }
}

#[test]
fn a_name_is_asked_for_as_somebody_types_it() {
    let asked = ["Shop.org", "*.shop.org", ".shop.org", "www.shop.*", "_", "", "10.0.0.1", "~^a$", "a/b"].map(askable);
    let expected = ["shop.org", "any.shop.org", "shop.org", "www.shop.test"].map(|name| Some(name.to_owned()));
    assert_eq!(asked[..4], expected);
    assert_eq!(asked[4..], [None, None, None, None, None]);
}

#[test]
fn another_status_place_or_certificate_is_a_change_and_what_differs_by_visitor_is_none() {
    let before = glance(302, "/login?from=1", &["a.org", "b.org"]);
    assert!(is_same(&before, &glance(302, "/login?from=2", &["a.org", "b.org"])));
    for now in [
        glance(200, "/login", &["a.org", "b.org"]),
        glance(302, "https://c.org/login", &["a.org", "b.org"]),
        glance(302, "/login", &["c.org"]),
    ] {
        assert!(!is_same(&before, &now), "{now:?}");
    }
}

#[test]
fn a_message_names_a_few_and_counts_the_rest() {
    let changed: Vec<String> = (1..=5).map(|n| format!("site {n}")).collect();
    assert_eq!(list(&changed), "site 1; site 2; site 3; and 2 more");
    assert_eq!(shown(&glance(200, "", &["a.org"]), true), "200 with a certificate for a.org");
}
