//! Exosphere's User Application Proxy, with a second host as the cloud's instance and as its visitor.
//!
//! Nothing of upstream's is needed. One test there and back, and one with an authority, run always; the others with
//! `tests/run --long`.

use std::path::Path;

use crate::acme::{Authority, NAME, from_the_authority, renew_in_time};
use crate::acme_dns::{PORT, SECRET, name_server};
use crate::crashes::killed_and_resumed;
use crate::host::{Host, Init, is_long, moved, nothing_left_to_do};
use crate::pair::install;

const UAP: &str = "uap.example.test";

/// A web server that takes one request a connection: it changes to a websocket where that is offered, and repeats the
/// request otherwise.
const INSTANCE: &str = r#"
use strict; use warnings; use IO::Socket::INET; $SIG{CHLD} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => 8888, Listen => 20, ReuseAddr => 1) or die;
while (my $c = $listener->accept) {
    next if fork;
    my ($head, $length, $read) = ('', 0, 0);
    while (my $line = <$c>) {
        $line =~ s/\r?\n$//;
        last if $line eq '';
        $head .= "$line\n";
        $length = $1 if $line =~ /^content-length: (\d+)/i;
    }
    while ($read < $length) {
        my $left = $length - $read;
        my $n = read($c, my $part, $left < 65536 ? $left : 65536) or last;
        $read += $n;
    }
    if ($head =~ /^upgrade: websocket$/mi && $head =~ /^connection: upgrade$/mi) {
        print $c "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    } else {
        my $body = "instance read $read bytes\n$head";
        print $c "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    }
    close $c; exit;
}
"#;

/// An instance with a web server on port 8888, and one with TLS on 8443.
fn instance() -> Host {
    let host = Host::start("bookworm", Init::Systemd);
    install(&host, "curl");
    host.write("/root/instance.pl", INSTANCE);
    host.sh(
        "cd /root && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=instance -days 30 -keyout key.pem -out cert.pem \
         2>/dev/null && systemd-run -q --unit=plain perl /root/instance.pl && \
         systemd-run -q --unit=tls openssl s_server -accept 8443 -www -key /root/key.pem -cert /root/cert.pem",
    )
    .expect(0);
    host
}

/// The instance's name below the proxy's, as it is written there.
fn label(host: &Host) -> String {
    host.address().replace('.', "-")
}

/// Answers for a server in the same network as the instance.
fn answers(instance: &Host, more: &str) -> String {
    let (address, network) = (instance.address(), network(instance));
    format!(
        "version: 1\nguide: exosphere-uap\n\
         web:\n  host: {UAP}\n  main: explore.example.test\n  resolves: false\n\
         networks:\n  instances: [198.51.100.16/28, {network}]\n  own: true\n  instance: http://{address}:8888/\n  status: 101\n\
         firewall:\n  manage: true\n  confirm: none\n{more}"
    )
}

/// The network of the test hosts.
fn network(host: &Host) -> String {
    let address = host.address();
    format!("{}.0/24", address.rsplit_once('.').unwrap().0)
}

/// What the visitor gets from the server under a name: the status, the headers and the page. Status 000 is a connection
/// that was closed.
fn visit(visitor: &Host, server: &str, name: &str, more: &str) -> String {
    let script = format!(
        "curl -sk --http1.1 --max-time 20 -i -w '\\nstatus %{{http_code}}\\n' --connect-to '::{server}:' {more} 'https://{name}/'"
    );
    visitor.sh(&script).stdout
}

#[track_caller]
fn answers_with(status: &str, visitor: &Host, server: &str, name: &str, more: &str) -> String {
    let told = visit(visitor, server, name, more);
    assert!(told.contains(&format!("status {status}\n")), "{name} {more}: not {status}:\n{told}");
    told
}

/// Everything that the proxy promises, seen from another host.
#[track_caller]
fn proxies(server: &Host, instance: &Host) {
    let (to, label) = (server.address(), label(instance));
    let get = |status: &str, name: &str, more: &str| answers_with(status, instance, &to, name, more);
    // What is passed on, over both protocols.
    let told = get("200", &format!("http-{label}-8888.{UAP}"), "-H 'X-Forwarded-For: 192.0.2.1' -H 'Cookie: a=b'");
    let host = format!("Host: http-{label}-8888.{UAP}\n");
    for line in
        [&host, "X-Forwarded-Proto: https\n", &format!("X-Forwarded-For: {}\n", instance.address()), "Cookie: a=b\n"]
    {
        assert!(told.contains(line), "{line} is missing:\n{told}");
    }
    assert!(!told.contains("192.0.2.1") && !told.contains("Access-Control"), "{told}");
    let upgrade = "-H 'Connection: Upgrade' -H 'Upgrade: websocket' --max-time 3";
    get("101", &format!("http-{label}-8888.{UAP}"), upgrade);
    for name in [format!("{label}-8443.{UAP}"), format!("https-{label}-8443.{UAP}")] {
        assert!(get("200", &name, "").contains("s_server"), "{name}");
    }
    instance.sh("head -c 40000000 /dev/zero > /root/large").expect(0);
    let told = get("200", &format!("http-{label}-8888.{UAP}"), "-H 'Expect:' -T /root/large");
    assert!(told.contains("instance read 40000000 bytes"), "{told}");
    // Nothing listens there: the proxy's own answer, and no error of its own.
    get("502", &format!("http-{label}-8889.{UAP}"), "");
    // What leads nowhere.
    let own = server.address().replace('.', "-");
    let first = label.rsplit_once('-').unwrap().0.to_owned();
    for name in [
        format!("http-192-0-2-1-80.{UAP}"),
        format!("http-{label}-0.{UAP}"),
        format!("http-{label}-08888.{UAP}"),
        format!("http-{label}-65536.{UAP}"),
        format!("http-{label}-99999.{UAP}"),
        format!("http-{first}-300-8888.{UAP}"),
        format!("http-{first}-029-8888.{UAP}"),
        format!("ftp-{label}-8888.{UAP}"),
        format!("http-{label}-8888-1.{UAP}"),
        format!("x.http-{label}-8888.{UAP}"),
        format!("http-127-0-0-1-22.{UAP}"),
        format!("http-0-0-0-0-22.{UAP}"),
        // The server's own ports, and a loop through itself.
        format!("http-{own}-22.{UAP}"),
        format!("https-{own}-443.{UAP}"),
        format!("shop.{UAP}"),
        UAP.to_owned(),
    ] {
        get("404", &name, "");
    }
    // Names that are not ours, and names with odd characters: closed, refused or unknown.
    for name in ["explore.example.test", "uap.example.test.example.org", "xuap.example.test", &to] {
        get("000", name, "");
    }
    let real = format!("http-{label}-8888.{UAP}");
    for (host, statuses) in [
        (format!("{real}."), ["200", "404"]),
        (real.to_uppercase(), ["200", "404"]),
        (format!("{real}:22"), ["200", "404"]),
        (format!("{real}@127.0.0.1"), ["400", "000"]),
        (format!("{real}/../x"), ["400", "000"]),
        (format!("127.0.0.1:22 {real}"), ["400", "000"]),
        (format!("http-{label}-8888%2e{UAP}"), ["400", "000"]),
        (format!("{real}\\x00.evil"), ["400", "000"]),
        (format!("http-{label}-8888.{UAP}.evil"), ["400", "000"]),
        (format!("{}.{UAP}", "a".repeat(300)), ["400", "404"]),
        (String::new(), ["400", "000"]),
    ] {
        let header = if host.is_empty() { "-H 'Host;'".to_owned() } else { format!("-H 'Host: {host}'") };
        let told = visit(instance, &to, &real, &header);
        assert!(statuses.iter().any(|status| told.contains(&format!("status {status}\n"))), "{host}:\n{told}");
    }
    // The name in the request line counts, and not another one in the header.
    let absolute = format!("--request-target http://http-127-0-0-1-22.{UAP}/");
    get("404", &real, &absolute);
    let told = visit(instance, &to, &real, "-X CONNECT --request-target 127.0.0.1:22");
    assert!(told.contains("status 400\n") || told.contains("status 405\n"), "{told}");
    // CORS.
    let options = |origin: &str| get("204", &real, &format!("-X OPTIONS -H 'Origin: {origin}'")).to_lowercase();
    let ours = options("https://explore.example.test");
    for header in [
        "access-control-allow-origin: https://explore.example.test\r\n",
        "access-control-allow-credentials: true\r\n",
        "access-control-allow-methods: get, post",
        "access-control-allow-headers: authorization",
    ] {
        assert!(ours.contains(header), "{header}:\n{ours}");
    }
    for other in [
        "http://explore.example.test",
        "https://explore.example.test.evil.example",
        "https://xexplore.example.test",
        "https://exploreXexample.test",
        "http://localhost:8000",
        "http://x.exosphere.localhost",
        "null",
        "",
    ] {
        let told = options(other);
        assert!(!told.contains("access-control"), "{other}:\n{told}");
    }
    // Plain http leads to https, for names of ours only.
    let plain = |name: &str| {
        instance
            .sh(&format!("curl -si --max-time 5 --connect-to '::{to}:' 'http://{name}/a?b=c'"))
            .stdout
            .to_lowercase()
    };
    assert!(plain(&real).contains(&format!("location: https://{real}/a?b=c\r\n")), "{}", plain(&real));
    assert_eq!(plain("explore.example.test"), "");
    let errors =
        server.sh("grep -E 'emerg|alert|crit|invalid port|no host in upstream' /var/log/nginx/error.log").stdout;
    assert_eq!(errors, "");
}

/// The ports of the server that another host reaches.
fn open_from(other: &Host, server: &Host) -> Vec<u16> {
    let to = server.address();
    // All at once: a packet that is dropped is waited for.
    let script = format!(
        "for port in 21 22 25 53 80 111 443 3306 5432 8080 8443 8888; do \
         (timeout 2 bash -c '</dev/tcp/{to}/'$port 2>/dev/null && echo $port) & done; wait"
    );
    let mut ports: Vec<u16> = other.sh(&script).stdout.lines().map(|line| line.parse().unwrap()).collect();
    ports.sort_unstable();
    ports
}

fn there_and_back(release: &str) {
    let (server, instance) = std::thread::scope(|scope| {
        let instance = scope.spawn(instance);
        (Host::start(release, Init::Systemd), instance.join().unwrap())
    });
    let before = server.manifest("before");
    let file = answers(&instance, "");
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    proxies(&server, &instance);
    assert_eq!(open_from(&instance, &server), [80, 443]);

    server.cut();
    server.boot();
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    assert_eq!(open_from(&instance, &server), [80, 443]);
    answers_with("200", &instance, &server.address(), &format!("http-{}-8888.{UAP}", label(&instance)), "");

    // One answer is changed, and moves nothing else.
    let main = file.replace("explore.", "cloud.");
    let told = server.bringup(&main).expect(0).both();
    assert_eq!(moved(&told), ["reload nginx.service"], "{told}");
    let origin = "-X OPTIONS -H 'Origin: https://explore.example.test'";
    let told = answers_with("204", &instance, &server.address(), UAP, origin).to_lowercase();
    assert!(!told.contains("access-control"), "{told}");
    server.roll_back_all();
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_there_and_back() {
    there_and_back("bookworm");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_there_and_back_on_trixie() {
    if is_long() {
        there_and_back("trixie");
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_there_and_back_on_bullseye() {
    if is_long() {
        there_and_back("bullseye");
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_killed_at_boundaries_of_the_journal() {
    if is_long() {
        let (server, instance) = (Host::start("bookworm", Init::Systemd), instance());
        let rollback = ["bringup", "rollback", "--all", "--yes", "--plain"];
        killed_and_resumed(&server, &[], &answers(&instance, ""), &rollback);
    }
}

/// A shipped answers file for an authority of the test, and some of its lines replaced.
fn shipped(authority: &Authority, way: &str, changes: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/answers").join(way);
    let mut text = std::fs::read_to_string(file).unwrap();
    let directory = format!(
        "  mode: acme\n  directory: https://{}:14000/dir\n  authority: /root/authority.pem\n  propagation: 1\n",
        authority.address
    );
    let own = [("uap.example.org", NAME), ("  mode: acme\n", &directory)];
    for (from, to) in own.iter().chain(changes) {
        assert!(text.contains(from), "{way} has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

/// What the certificate names that is shown for a name below the proxy's.
fn certificate_names(server: &Host) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:443 -servername http-198-51-100-7-8888.{NAME} </dev/null 2>/dev/null | \
         openssl x509 -noout -ext subjectAltName"
    );
    server.sh(&script).expect(0).stdout
}

/// Issued through the DNS, and renewed.
#[track_caller]
fn certified(server: &Host, file: &str) {
    server.bringup(file).expect(0);
    from_the_authority(server);
    let names = certificate_names(server);
    assert!(names.contains(&format!("DNS:{NAME}")) && names.contains(&format!("DNS:*.{NAME}")), "{names}");
    nothing_left_to_do(server, file);
    renew_in_time(server);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_with_a_certificate_through_a_name_server() {
    let Some(mut authority) = Authority::start() else { return };
    name_server(&mut authority);
    let server = authority.server("bookworm");
    server.write("/root/uap-tsig", &format!("{SECRET}\n"));
    let before = server.manifest("before");
    let server_line = format!("dns_server: {}\n  dns_port: {PORT}", authority.address);
    let file = shipped(&authority, "exosphere-uap-rfc2136.yaml", &[("dns_server: 192.0.2.53", &server_line)]);
    // Both records are looked for before anything is changed: there is none, then one, then one that leads elsewhere.
    let said = server.bringup(&file).expect(1).words();
    assert!(said.contains(&format!("make a record for {NAME} and one for *.{NAME}")), "{said}");
    authority.name(NAME, &server.address());
    let said = server.bringup(&file).expect(1).words();
    assert!(said.contains("resolve the name bringup-"), "{said}");
    authority.name_others(&authority.address);
    let said = server.bringup(&file).expect(1).words();
    assert!(said.contains(&format!("its address is {}", authority.address)), "{said}");
    server.assert_identical(&before);
    authority.name_others(&server.address());
    certified(&server, &file);
    let kept = format!("/etc/ssl/{NAME}/dns.ini");
    assert_eq!(server.sh(&format!("stat -c '%a %U:%G' {kept}")).expect(0).stdout.trim(), "600 root:root");
    server.roll_back_all();
    server.assert_identical(&before);
}

/// Through certbot's real plugin, which asks a stand-in of Cloudflare's API: a token that is refused, then one that is
/// right.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_with_a_certificate_through_cloudflare() {
    if !is_long() {
        return;
    }
    let Some(authority) = Authority::start() else { return };
    install(&authority.host, "python3");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/cloudflare.py");
    authority.host.push(&program, "/root/cloudflare.py");
    authority
        .host
        .sh("systemd-run -q --unit=cloudflare python3 /root/cloudflare.py example.test right-token")
        .expect(0);
    authority.await_port(8080);
    let server = authority.server("bookworm");
    let api = format!("[CloudFlare]\nbase_url = http://{}:8080/client/v4\n", authority.address);
    server.sh("mkdir -m 0700 /root/.cloudflare").expect(0);
    server.write("/root/.cloudflare/cloudflare.cfg", &api);
    authority.name_others("198.51.100.9");
    server.write("/root/uap-cloudflare", "wrong-token\n");
    let before = server.manifest("before");
    let file = shipped(&authority, "exosphere-uap-cloudflare.yaml", &[]);
    let told = server.bringup(&file).expect(0).words();
    assert!(told.contains("self-signed certificate for now") && told.contains("Cloudflare refused"), "{told}");
    server.write("/root/uap-cloudflare", "right-token\n");
    certified(&server, &file);
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    server.write("/root/uap-cloudflare", "wrong-token\n");
    let difference = server.difference(&before);
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains("/root/uap-cloudflare")).collect();
    assert!(others.is_empty(), "{difference}");
}

/// nginx with a site of others that has no name, and so gets what nobody else does; and a long name of ours.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_beside_sites_of_others() {
    if !is_long() {
        return;
    }
    let (server, instance) = (Host::start("bookworm", Init::Systemd), instance());
    install(&server, "nginx curl");
    server.sh("rm /etc/nginx/sites-enabled/default").expect(0);
    server.write("/etc/nginx/sites-enabled/shop", "server { listen 80; location / { return 200 shop; } }\n");
    server.sh("chmod 644 /etc/nginx/sites-enabled/shop && systemctl restart nginx").expect(0);
    let before = server.manifest("before");
    let long = format!("{}.example.test", "a".repeat(60));
    let file = answers(&instance, "").replace(UAP, &long);
    let told = server.bringup(&file).expect(0).words();
    assert!(told.contains("serves other sites here"), "{told}");
    nothing_left_to_do(&server, &file);
    let name = format!("http-{}-8888.{long}", label(&instance));
    answers_with("200", &instance, &server.address(), &name, "");
    answers_with("404", &instance, &server.address(), &format!("http-127-0-0-1-22.{long}"), "");
    // Theirs answers as before, and names of nobody on https lead nowhere.
    assert_eq!(instance.sh(&format!("curl -s --max-time 5 http://{}/", server.address())).stdout, "shop");
    answers_with("404", &instance, &server.address(), "explore.example.test", "");
    server.roll_back_all();
    assert_eq!(instance.sh(&format!("curl -s --max-time 5 http://{}/", server.address())).stdout, "shop");
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn exosphere_uap_goes_away_when_nginx_or_the_last_proof_fails() {
    if !is_long() {
        return;
    }
    let (server, instance) = (Host::start("trixie", Init::Systemd), instance());
    let file = answers(&instance, "");
    let fails = |because: &str| {
        let before = server.manifest("before");
        let told = server.bringup(&file);
        assert_eq!(told.status, 3, "{}", told.both());
        assert!(told.words().contains(because), "{}", told.both());
        server.assert_identical(&before);
    };
    // Early: nginx, once installed, does not take what others have put there before. That is theirs, and stays.
    server.sh("mkdir -p /etc/nginx/conf.d && echo 'nonsense;' > /etc/nginx/conf.d/theirs.conf").expect(0);
    fails("nginx -t -q");
    server.sh("rm -r /etc/nginx").expect(0);
    // Late: the instance does not answer as it should.
    instance.sh("systemctl stop plain").expect(0);
    fails("it answers 502 instead of 101");
    // What is in the way is refused, and left alone.
    server
        .sh("mkdir -p /etc/nginx/sites-available && ln -s /etc/passwd /etc/nginx/sites-available/exosphere-uap")
        .expect(0);
    let before = server.manifest("before");
    let told = server.bringup(&file).expect(1).words();
    assert!(told.contains("/etc/nginx/sites-available/exosphere-uap"), "{told}");
    server.assert_identical(&before);
}
