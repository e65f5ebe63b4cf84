//! Certificates from an authority that speaks ACME: Pebble, the one that Let's Encrypt tests clients with.
//!
//! `machine pebble` builds it once. Where its source is not available, these tests say "skipped" and why.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::host::{Host, Init, answers, machine};

pub const NAME: &str = "app.example.test";

/// Pebble on a host of its own, with the DNS that it and the server under test ask.
pub struct Authority {
    pub host: Host,
    pub address: String,
    /// The port of the DNS that Pebble asks.
    dns: u16,
}

/// The directory of Pebble's programs; nothing, with a word about it, where they cannot be had.
fn pebble() -> Option<PathBuf> {
    let out = machine(&["pebble"], None);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let at = PathBuf::from(text(&out.stdout));
    if out.status.success() && at.join("pebble").exists() && at.join("pebble-challtestsrv").exists() {
        return Some(at);
    }
    println!("skipped: the ACME server Pebble is not here: {}", text(&out.stderr).lines().last().unwrap_or_default());
    None
}

impl Authority {
    pub fn start() -> Option<Self> {
        let programs = pebble()?;
        let host = Host::start("bookworm", Init::Systemd);
        let address = host.address();
        for name in ["pebble", "pebble-challtestsrv"] {
            host.push(&programs.join(name), &format!("/usr/local/bin/{name}"));
        }
        host.sh(&format!(
            "mkdir /root/ca && cd /root/ca && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test-ca -days 30 \
             -keyout ca-key.pem -out ca.pem 2>/dev/null && openssl req -newkey rsa:2048 -nodes -subj /CN=pebble \
             -keyout key.pem -out request.pem 2>/dev/null && echo subjectAltName=IP:{address},IP:127.0.0.1 > names && \
             openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile names \
             -out cert.pem 2>/dev/null"
        ))
        .expect(0);
        host.write(
            "/root/ca/config.json",
            r#"{"pebble": {"listenAddress": "0.0.0.0:14000", "managementListenAddress": "0.0.0.0:15000",
               "certificate": "/root/ca/cert.pem", "privateKey": "/root/ca/key.pem", "httpPort": 80, "tlsPort": 443,
               "profiles": {"default": {"description": "the only one", "validityPeriod": 7776000}},
               "retryAfter": {"authz": 1, "order": 1}}}"#,
        );
        // One that names no default address, so that an unknown name is unknown.
        host.sh(
            "systemd-run -q --unit=dns pebble-challtestsrv -dnsserver :53 -management :8055 -defaultIPv4 '' -defaultIPv6 '' \
             -http01 '' -https01 '' -tlsalpn01 '' -doh ''",
        )
        .expect(0);
        let authority = Self { host, address, dns: 53 };
        authority.await_port(8055);
        authority.power_on();
        authority.resolve_mirrors();
        Some(authority)
    }

    fn power_on(&self) {
        self.host
            .sh(&format!(
                "systemd-run -q --unit=pebble -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_AUTHZREUSE=0 -E PEBBLE_WFE_NONCEREJECT=0 \
                 pebble -config /root/ca/config.json -dnsserver 127.0.0.1:{}",
                self.dns
            ))
            .expect(0);
        self.await_port(14000);
        self.await_port(15000);
    }

    /// Has Pebble look into another DNS of its host from now on.
    pub fn ask_dns(&mut self, port: u16) {
        self.dns = port;
        self.host.sh("systemctl stop pebble").expect(0);
        self.power_on();
    }

    pub fn await_port(&self, port: u16) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect((self.address.as_str(), port)).is_err() {
            assert!(Instant::now() < deadline, "nothing listens on port {port} of the authority");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Tells the DNS the one address of a name.
    pub fn name(&self, name: &str, address: &str) {
        self.names(name, &[address]);
    }

    /// Gives all other names this address.
    pub fn name_others(&self, address: &str) {
        self.tell_dns("set-default-ipv4", &format!(r#"{{"ip": "{address}"}}"#));
    }

    fn names(&self, name: &str, addresses: &[&str]) {
        let addresses = serde_json::json!(addresses);
        self.tell_dns("clear-a", &format!(r#"{{"host": "{name}"}}"#));
        self.tell_dns("add-a", &format!(r#"{{"host": "{name}", "addresses": {addresses}}}"#));
    }

    fn tell_dns(&self, what: &str, body: &str) {
        let mut stream = TcpStream::connect((self.address.as_str(), 8055)).unwrap();
        let length = body.len();
        let request = format!("POST /{what} HTTP/1.0\r\nHost: dns\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }

    /// What was not downloaded ahead is fetched by the hosts, who have no other DNS.
    fn resolve_mirrors(&self) {
        for mirror in ["deb.debian.org", "security.debian.org", "pypi.org", "files.pythonhosted.org"] {
            let out = std::process::Command::new("getent").args(["ahostsv4", mirror]).output().unwrap();
            // All of them: apt tries the next when one does not answer.
            let text = String::from_utf8_lossy(&out.stdout);
            let addresses: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
            self.names(mirror, &addresses.into_iter().collect::<Vec<_>>());
        }
    }

    /// An authority at another port that lets everybody have an account and nobody a certificate, as Let's Encrypt
    /// answers who has had too many (RFC 8555, section 6.6); its directory.
    fn refuses(&self) -> String {
        self.host.sh("apt-get install -y -qq --no-install-recommends python3 >/dev/null 2>&1").expect(0);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/refusing_authority.py");
        self.host.push(&program, "/root/ca/refuses.py");
        self.host
            .sh("cd /root/ca && systemd-run -q --unit=refuses --working-directory=/root/ca python3 refuses.py")
            .expect(0);
        self.await_port(14001);
        format!("https://{}:14001/dir", self.address)
    }

    /// Whom to trust: the authority's own server, and what it issues.
    fn roots(&self) -> String {
        let ask = "cat /root/ca/ca.pem; printf 'GET /roots/0 HTTP/1.0\\r\\n\\r\\n' | \
                   openssl s_client -quiet -connect 127.0.0.1:15000 2>/dev/null | sed -n '/^-----BEGIN/,/^-----END/p'";
        let pem = self.host.sh(ask).expect(0).stdout;
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2, "{pem}");
        pem
    }

    /// A server that asks this DNS and has been given the roots.
    pub fn server(&self, release: &str) -> Host {
        let server = Host::start(release, Init::Systemd);
        self.introduce(&server);
        server
    }

    /// Has a server ask this DNS, and gives it the roots.
    pub fn introduce(&self, server: &Host) {
        server.sh(&format!("echo nameserver {} > /etc/resolv.conf", self.address)).expect(0);
        server.write("/root/authority.pem", &self.roots());
    }

    pub fn answers(&self, more: &[(&str, &str)]) -> String {
        let directory = format!("https://{}:14000/dir", self.address);
        let mut pairs = vec![
            ("web.host", NAME),
            ("tls.mode", "acme"),
            ("tls.terms", "true"),
            ("tls.directory", directory.as_str()),
            ("tls.authority", "/root/authority.pem"),
        ];
        pairs.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
        pairs.extend(more);
        answers(&pairs)
    }
}

/// Issuer and serial number of the certificate that the web server shows.
fn shown(server: &Host) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null | \
         openssl x509 -noout -issuer -serial"
    );
    server.sh(&script).expect(0).stdout
}

pub fn from_the_authority(server: &Host) -> String {
    let shown = shown(server);
    assert!(shown.contains("Pebble Intermediate"), "{shown}");
    shown
}

/// Compressed pages tell secrets by their length.
fn assert_not_compressed(server: &Host) {
    let script = format!(
        "(printf 'GET / HTTP/1.1\\r\\nHost: {NAME}\\r\\nAccept-Encoding: gzip\\r\\nConnection: close\\r\\n\\r\\n'; sleep 2) | \
         openssl s_client -quiet -connect 127.0.0.1:443 -servername {NAME} 2>/dev/null | tr -d '\\000'"
    );
    let answer = server.sh(&script).expect(0).stdout.to_lowercase();
    assert!(answer.contains("http/1.1 200") && !answer.contains("content-encoding"), "{answer}");
}

/// Renews as the timer does, without its random pause, after a certificate has become due.
pub fn renew_in_time(server: &Host) {
    let before = from_the_authority(server);
    server
        .sh(&format!(
            "sed -i '1i renew_before_expiry = 100 days' /etc/letsencrypt/renewal/{NAME}.conf && \
             mkdir -p /run/systemd/system/certbot.service.d && printf '[Service]\\nExecStart=\\n\
             ExecStart=/usr/bin/certbot -q renew --no-random-sleep-on-renew\\n' \
             > /run/systemd/system/certbot.service.d/now.conf && systemctl daemon-reload && \
             systemctl start certbot.service && rm -r /run/systemd/system/certbot.service.d && systemctl daemon-reload"
        ))
        .expect(0);
    let deadline = Instant::now() + Duration::from_secs(30);
    while from_the_authority(server) == before {
        assert!(Instant::now() < deadline, "the renewed certificate is not served");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// There, a second time, through a renewal, and back.
fn whole_life(release: &str, web: &str) {
    whole_life_with(release, &[("web.server", web)]);
}

fn whole_life_with(release: &str, more: &[(&str, &str)]) {
    let Some(authority) = Authority::start() else { return };
    let server = authority.server(release);
    authority.name(NAME, &server.address());
    let before = server.manifest("before");
    let file = authority.answers(more);
    let done = server.bringup(&file).expect(0);
    assert!(done.both().contains("renewed, and served at once"), "{}", done.both());
    assert!(!done.both().contains("self-signed certificate for now"), "{}", done.both());
    from_the_authority(&server);
    assert_not_compressed(&server);
    let again = server.bringup(&file).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    renew_in_time(&server);
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_with_nginx() {
    whole_life("bookworm", "nginx");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_by_certbot_alone_beside_a_web_server_on_another_port() {
    whole_life_with(
        "bookworm",
        &[("web.http_port", "8080"), ("tls.challenge", "standalone"), ("firewall.manage", "true")],
    );
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_with_apache() {
    whole_life("trixie", "apache");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_on_bullseye() {
    whole_life("bullseye", "nginx");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_that_is_down_is_asked_again_later() {
    let Some(authority) = Authority::start() else { return };
    let server = authority.server("bookworm");
    authority.name(NAME, &server.address());
    let before = server.manifest("before");
    authority.host.sh("systemctl stop pebble").expect(0);
    let done = server.bringup(&authority.answers(&[])).expect(0);
    for said in ["self-signed certificate for now", "cannot be reached", "bringup tls retry"] {
        assert!(done.both().contains(said), "\"{said}\" is not said:\n{}", done.both());
    }
    let stand_in = shown(&server);
    assert!(!stand_in.contains("Pebble"), "{stand_in}");
    server.exec(&["bringup", "verify"]).expect(0);

    // Still down: the retry says so, and leaves everything as it was.
    let standing = server.manifest("standing");
    let refused = server.exec(&["bringup", "tls", "retry", "--plain"]).expect(3);
    assert!(refused.both().contains("cannot be reached"), "{}", refused.both());
    server.assert_identical(&standing);
    assert_eq!(shown(&server), stand_in);

    authority.power_on();
    server.write("/root/authority.pem", &authority.roots());
    server.exec(&["bringup", "tls", "retry", "--plain"]).expect(0);
    from_the_authority(&server);
    let again = server.exec(&["bringup", "tls", "retry", "--plain"]).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    // The authority's new root is what the test itself changed.
    server.sh("rm /root/authority.pem").expect(0);
    let difference = server.difference(&before);
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains("/root/authority.pem")).collect();
    assert!(others.is_empty(), "{difference}");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_for_a_name_that_leads_nowhere_or_elsewhere() {
    let Some(authority) = Authority::start() else { return };
    let server = authority.server("bookworm");
    let before = server.manifest("before");
    let fail = authority.answers(&[("tls.on_failure", "fail")]);
    let failed = server.bringup(&fail).expect(3);
    assert!(failed.both().contains("the DNS has no address"), "{}", failed.both());
    server.assert_identical(&before);

    // It leads to the authority's own host, where no web server is.
    authority.name(NAME, &authority.address);
    let done = server.bringup(&authority.answers(&[])).expect(0);
    assert!(
        done.both().contains("cannot reach port 80") && done.both().contains("bringup tls retry"),
        "{}",
        done.both()
    );
    assert!(!shown(&server).contains("Pebble"));

    // It leads here, and the authority has issued enough.
    authority.name(NAME, &server.address());
    let refuses = authority.refuses();
    let done = server.bringup(&authority.answers(&[("tls.directory", &refuses)])).expect(0);
    for said in
        ["rate limit exceeded", "retry after 2030-01-02 03:04:05 UTC", "letsencrypt.org/docs/rate-limits", "tls retry"]
    {
        assert!(done.both().contains(said), "\"{said}\" is not said:\n{}", done.both());
    }
    assert!(!shown(&server).contains("Pebble"));
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_refuses_what_cannot_work_before_anything_is_changed() {
    let server = Host::start("bookworm", Init::Systemd);
    server.sh("echo nonsense > /root/nonsense.pem").expect(0);
    let before = server.manifest("before");
    let directory = "https://ca.example.test/dir";
    let with = |more: &[(&str, &str)]| {
        let base = [("web.host", NAME), ("tls.mode", "acme"), ("tls.terms", "true"), ("tls.directory", directory)];
        let kept: Vec<_> =
            base.iter().filter(|(key, _)| !more.iter().any(|(other, _)| other == key)).copied().collect();
        answers(&[kept.as_slice(), more].concat())
    };
    for (file, says) in [
        (with(&[("tls.terms", "false")]), "without your consent"),
        (with(&[("web.http_port", "8080")]), "port 80 only"),
        (with(&[("web.host", "\"*.example.test\"")]), "is a wildcard"),
        (with(&[("web.host", "192.0.2.7")]), "is an IP address"),
        (with(&[("web.host", "\"app example.test\"")]), "contains a space"),
        (with(&[("tls.directory", "http://ca.example.test/dir")]), "begins with https://"),
        (with(&[("tls.directory", "https://acme-v02.api.letsencrypt.org/directory")]), "private networks"),
        (with(&[("tls.authority", "/root/nonsense.pem")]), "no readable certificate"),
        (with(&[("tls.authority", "/root/missing.pem")]), "/root/missing.pem"),
    ] {
        let told = server.bringup(&file).expect(1).both();
        assert!(told.contains(says), "\"{says}\" is not said:\n{told}");
    }
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn acme_is_not_needed_where_a_signing_request_is_answered_by_hand() {
    let server = Host::start("bookworm", Init::Systemd);
    server
        .sh("mkdir /root/ca && cd /root/ca && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=by-hand -days 30 \
             -keyout key.pem -out ca.pem 2>/dev/null")
        .expect(0);
    let before = server.manifest("before");
    let with = |more: &[(&str, &str)]| answers(&[&[("web.host", NAME), ("tls.mode", "requested")], more].concat());
    let request = format!("/etc/ssl/{NAME}/request.csr");
    let waits = server.bringup(&with(&[])).expect(0);
    assert!(waits.both().contains(&format!("send {request} to your authority")), "{}", waits.both());
    assert!(server.bringup(&with(&[])).expect(0).both().contains("othing to do"));
    let key = server.sh(&format!("sha256sum /etc/ssl/{NAME}/privkey.pem")).expect(0).stdout;
    server
        .sh(&format!(
            "cd /tmp && echo subjectAltName=DNS:{NAME} > names && openssl x509 -req -in {request} -CA /root/ca/ca.pem \
             -CAkey /root/ca/key.pem -CAserial /tmp/serial -CAcreateserial -days 30 -extfile names -out issued.pem \
             2>/dev/null"
        ))
        .expect(0);
    let answered = with(&[
        ("tls.issued", "/tmp/issued.pem"),
        ("tls.chain", "/root/ca/ca.pem"),
        ("tls.authority", "/root/ca/ca.pem"),
    ]);
    server.bringup(&answered).expect(0);
    assert!(shown(&server).contains("by-hand"), "{}", shown(&server));
    assert_eq!(server.sh(&format!("sha256sum /etc/ssl/{NAME}/privkey.pem")).expect(0).stdout, key);
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    server.assert_identical(&before);
}
