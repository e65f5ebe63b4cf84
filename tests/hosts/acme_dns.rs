//! Certificates over DNS-01: Pebble, and a BIND that takes dynamic updates. See `acme` for what is shared.

use std::fmt::Write as _;

use crate::acme::{Authority, NAME, from_the_authority, renew_in_time};
use crate::host::Host;

/// The port of BIND; the host's other DNS, that of the servers under test, is at 53 and does not know [`NAME`].
pub const PORT: u16 = 5353;
/// The secret of the key `acme`, with all the characters that Base64 has besides letters and digits.
pub const SECRET: &str = "+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+/8=";

/// Gives the authority's host a name server for `example.test` that lets a key change the one record, and has Pebble
/// ask it.
pub fn name_server(authority: &mut Authority) {
    let host = &authority.host;
    host.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends bind9 >/dev/null 2>&1")
        .expect(0);
    host.write(
        "/etc/bind/named.conf",
        &format!(
            r#"options {{ directory "/var/cache/bind"; listen-on port {PORT} {{ any; }}; listen-on-v6 {{ none; }}; recursion no; }};
            key "acme" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
            zone "example.test" {{ type primary; file "/var/lib/bind/example.test";
              update-policy {{ grant acme name _acme-challenge.{NAME}. TXT; }}; }};
            "#
        ),
    );
    host.write(
        "/var/lib/bind/example.test",
        "$TTL 60\n@ SOA ns.example.test. root.example.test. (1 600 600 600 1)\n@ NS ns\nns A 127.0.0.1\n",
    );
    host.sh("chmod 644 /etc/bind/named.conf && chown bind /var/lib/bind/example.test && systemctl restart named")
        .expect(0);
    authority.await_port(PORT);
    authority.ask_dns(PORT);
}

/// What the web server shows as any name: the names in its certificate, and the page's status.
fn shown_as(server: &Host, name: &str) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:443 -servername {name} </dev/null 2>/dev/null | \
         openssl x509 -noout -ext subjectAltName; \
         (printf 'GET /health HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n'; sleep 2) | \
         openssl s_client -quiet -connect 127.0.0.1:443 -servername {name} 2>/dev/null | head -1"
    );
    server.sh(&script).expect(0).stdout
}

fn serves_every_name(server: &Host) {
    for name in [NAME, &format!("shop.{NAME}")] {
        let shown = shown_as(server, name);
        assert!(shown.contains(&format!("DNS:*.{NAME}")) && shown.contains(&format!("DNS:{NAME}")), "{shown}");
        assert!(shown.contains("HTTP/1.1 200"), "{shown}");
    }
}

/// Where on the server the secret stands.
fn places_of_the_secret(server: &Host) -> String {
    let script = format!(
        "grep -rlF '{SECRET}' /etc /var/lib /var/log /root /run/systemd /tmp 2>/dev/null | sort; \
         journalctl -o cat --no-pager | grep -F '{SECRET}'"
    );
    server.sh(&script).stdout
}

fn says(text: &str, words: &[&str]) {
    for said in words {
        assert!(text.contains(said), "\"{said}\" is not said:\n{text}");
    }
}

/// A name server that is down, then does not know the key; the certificate, its renewal, and back.
fn through_a_name_server(release: &str, web: &str) {
    let Some(mut authority) = Authority::start() else { return };
    name_server(&mut authority);
    let server = authority.server(release);
    server.write("/root/tsig", "d3Jvbmcgd3JvbmcgISE=\n");
    let before = server.manifest("before");
    let port = PORT.to_string();
    let file = authority.answers(&[
        ("web.server", web),
        ("web.http_port", "8080"),
        ("tls.challenge", "dns"),
        ("tls.wildcard", "true"),
        ("tls.provider", "rfc2136"),
        ("tls.dns_server", &authority.address),
        ("tls.dns_port", &port),
        ("tls.tsig_name", "acme"),
        ("tls.tsig_secret", "{file: /root/tsig}"),
        ("tls.propagation", "1"),
    ]);
    authority.host.sh("systemctl stop named").expect(0);
    let done = server.bringup(&file).expect(0);
    says(&done.both(), &["self-signed certificate for now", "connection refused", "bringup tls retry"]);
    authority.host.sh("systemctl start named").expect(0);
    let refused = server.exec(&["bringup", "tls", "retry", "--plain"]).expect(3);
    says(&refused.both(), &["does not accept the key", "tls.tsig_secret"]);

    server.sh(&format!("echo '{SECRET}' > /root/tsig")).expect(0);
    let done = server.bringup(&file).expect(0);
    says(&done.both(), &["renewed, and served at once"]);
    assert!(!done.both().contains("self-signed certificate for now"), "{}", done.both());
    from_the_authority(&server);
    serves_every_name(&server);
    let kept = format!("/etc/ssl/{NAME}/dns.ini");
    assert_eq!(server.sh(&format!("stat -c '%a %U:%G' {kept}")).expect(0).stdout.trim(), "600 root:root");
    let mut places = String::new();
    for path in [kept.as_str(), "/root/tsig", "/var/lib/bringup/secrets/webapp@webapp.json"] {
        let _ = writeln!(places, "{path}");
    }
    assert_eq!(places_of_the_secret(&server), places);
    assert!(server.bringup(&file).expect(0).both().contains("othing to do"));
    renew_in_time(&server);
    serves_every_name(&server);
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    server.sh("echo d3Jvbmcgd3JvbmcgISE= > /root/tsig").expect(0);
    let difference = server.difference(&before);
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains("/root/tsig")).collect();
    assert!(others.is_empty(), "{difference}");
    assert_eq!(places_of_the_secret(&server), "");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_wildcard_through_a_name_server() {
    through_a_name_server("bookworm", "nginx");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_wildcard_through_a_name_server_on_bullseye() {
    through_a_name_server("bullseye", "nginx");
}

/// A hook that others could change, then one that does nothing; the certificate, its renewal, and back.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_wildcard_by_a_hook() {
    let Some(mut authority) = Authority::start() else { return };
    name_server(&mut authority);
    let server = authority.server("trixie");
    server.sh("apt-get install -y -qq --no-install-recommends bind9-dnsutils >/dev/null 2>&1").expect(0);
    let hook = |change: &str| {
        format!(
            "#!/bin/sh\nprintf 'server {} {PORT}\\nupdate {change} _acme-challenge.%s. %s TXT \"%s\"\\nsend\\n' \
             \"$CERTBOT_DOMAIN\" {} \"$CERTBOT_VALIDATION\" | nsupdate -y hmac-sha256:acme:{SECRET}\n",
            authority.address,
            if change == "add" { "60" } else { "''" }
        )
    };
    let put = |name: &str, text: &str| {
        server.write(&format!("/usr/local/sbin/{name}"), text);
        server.sh(&format!("chmod 0755 /usr/local/sbin/{name}")).expect(0);
    };
    put("dns-enter", "#!/bin/sh\nexit 0\n");
    put("dns-remove", &hook("delete"));
    let before = server.manifest("before");
    let file = authority.answers(&[
        ("web.server", "apache"),
        ("tls.challenge", "dns"),
        ("tls.wildcard", "true"),
        ("tls.provider", "hook"),
        ("tls.auth_hook", "/usr/local/sbin/dns-enter"),
        ("tls.cleanup_hook", "/usr/local/sbin/dns-remove"),
    ]);
    server.sh("chmod g+w /usr/local/sbin/dns-enter").expect(0);
    let refused = server.bringup(&file).expect(1);
    says(&refused.both(), &["users other than root can change it (mode 0775)", "chmod go-w /usr/local/sbin/dns-enter"]);
    server.sh("chmod g-w /usr/local/sbin/dns-enter").expect(0);

    let done = server.bringup(&file).expect(0);
    says(
        &done.both(),
        &["self-signed certificate for now", &format!("at _acme-challenge.{NAME}"), "have the hook wait"],
    );
    put("dns-enter", &hook("add"));
    server.exec(&["bringup", "tls", "retry", "--plain"]).expect(0);
    from_the_authority(&server);
    serves_every_name(&server);
    let entered = format!("dig +short @{} -p {PORT} TXT _acme-challenge.{NAME}", authority.address);
    assert_eq!(server.sh(&entered).expect(0).stdout, "", "the hook was not called to remove the records");
    renew_in_time(&server);
    serves_every_name(&server);
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    put("dns-enter", "#!/bin/sh\nexit 0\n");
    let difference = server.difference(&before);
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains("/usr/local/sbin/dns-enter")).collect();
    assert!(others.is_empty(), "{difference}");
}
