#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::action::testing::Bench;
use crate::host::Address;
use crate::host::fake::output;

mod dns;

const NAME: &str = "app.example.org";
const CHALLENGES: &str = "/var/www/acme/.well-known/acme-challenge";

fn acme() -> Acme {
    serde_json::from_value(serde_json::json!({
        "name": NAME, "directory": "https://ca.example.org/dir", "webroot": "/var/www/acme",
        "certificate": "/etc/ssl/app/fullchain.pem", "key": "/etc/ssl/app/privkey.pem", "reload": ["nginx.service"],
    }))
    .unwrap()
}

fn failing() -> Acme {
    Acme { on_failure: OnFailure::Fail, ..acme() }
}

/// A machine whose name is known and whose web server shows the webroot; `certbot` keeps what it is asked for.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.host.put_file("/etc/ssl/app/self-signed.pem", "ours", 0o644);
    for link in ["/etc/ssl/app/fullchain.pem", "/etc/ssl/app/privkey.pem"] {
        bench.host.make_symlink(link.as_ref(), "self-signed.pem".as_ref()).unwrap();
    }
    bench.host.put_file("/var/www/acme/.keep", "", 0o644);
    bench.host.on(&["getent", "-s", "dns"], |_, _| output(0, "192.0.2.7 STREAM app\n192.0.2.7 DGRAM\n", ""));
    bench.host.on(&["ip"], |_, _| output(0, "2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\n", ""));
    answers(&bench, str::to_owned);
    bench.host.on(&["certbot", "certonly"], |host, command| {
        if !command.argv.contains(&"--dry-run".to_owned()) {
            keep(host, command);
        }
        output(0, "", "")
    });
    bench.host.on(&["certbot", "delete"], |host, _| {
        for path in ["renewal/app.example.org.conf", "live/app.example.org/fullchain.pem"] {
            host.take_away(format!("/etc/letsencrypt/{path}"));
        }
        for path in ["live/app.example.org", "live", "renewal", ""] {
            host.take_away(format!("/etc/letsencrypt/{path}"));
        }
        output(0, "", "")
    });
    bench.host.on(&["systemctl"], |_, _| output(0, "", ""));
    bench
}

/// Port 80 answers with what `text` makes of the token in the path that was asked for.
fn answers(bench: &Bench, text: impl Fn(&str) -> String + Send + Sync + 'static) {
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    bench.host.answer(Address::Tcp(SocketAddr::new(address, 80)), move |sent| {
        let sent = String::from_utf8_lossy(sent);
        let token = sent.split("bringup-").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", text(token)).into_bytes()
    });
}

/// What stands behind each occurrence of an option.
fn options(command: &Command, option: &str) -> Vec<String> {
    let pairs = command.argv.iter().zip(&command.argv[1..]);
    pairs.filter(|(argument, _)| *argument == option).map(|(_, value)| value.clone()).collect()
}

/// Keeps a certificate as certbot does: of its options those that differ from the defaults.
fn keep(host: &crate::host::fake::FakeHost, command: &Command) {
    let names: Vec<String> = options(command, "--domain");
    host.put_file(format!("/etc/letsencrypt/live/{NAME}/fullchain.pem"), rcgen_pem(&names), 0o644);
    let mut settings = "version = 2.1.0\n[renewalparams]\n".to_owned();
    for (key, option) in [
        ("server", "--server"),
        ("renew_hook", "--deploy-hook"),
        ("dns_rfc2136_credentials", "--dns-rfc2136-credentials"),
        ("dns_rfc2136_propagation_seconds", "--dns-rfc2136-propagation-seconds"),
        ("manual_auth_hook", "--manual-auth-hook"),
        ("manual_cleanup_hook", "--manual-cleanup-hook"),
    ] {
        for value in options(command, option).iter().filter(|value| *value != "60") {
            writeln!(settings, "{key} = {value}").unwrap();
        }
    }
    if command.argv.contains(&"--standalone".to_owned()) {
        settings.push_str("authenticator = standalone\n");
    }
    for path in options(command, "--webroot-path") {
        write!(settings, "authenticator = webroot\n[[webroot_map]]\n{NAME} = {path}\n").unwrap();
    }
    host.put_file(format!("/etc/letsencrypt/renewal/{NAME}.conf"), settings, 0o644);
}

fn rcgen_pem(names: &[String]) -> String {
    let now = Bench::new().host.now();
    crate::system::x509::self_signed::make(names, 90, now).unwrap().certificate
}

fn commands(bench: &Bench, program: &str) -> Vec<String> {
    let all = bench.host.commands();
    all.iter().filter(|command| command.argv[0] == program).map(|command| command.argv.join(" ")).collect()
}

#[test]
fn a_certificate_comes_and_goes() {
    let bench = bench();
    bench.round_trip(&acme());
    bench.make(&acme());
    let link = bench.host.read_link("/etc/ssl/app/fullchain.pem".as_ref()).unwrap();
    assert_eq!(link, Path::new("/etc/letsencrypt/live/app.example.org/fullchain.pem"));
    let asked = commands(&bench, "certbot").pop().unwrap();
    assert!(asked.contains("--cert-name app.example.org --domain app.example.org"), "{asked}");
    assert!(asked.contains("--deploy-hook systemctl try-reload-or-restart nginx.service"), "{asked}");
    assert!(bench.host.list(Path::new(CHALLENGES)).is_err(), "the file to be tried is left");
}

#[test]
fn each_name_is_tried_and_in_the_certificate_which_changes_with_them() {
    let bench = bench();
    bench.make(&failing());
    let aliases = vec!["www.example.org".to_owned(), "example.net".to_owned()];
    let more = Acme { aliases: aliases.clone(), ..failing() };
    assert!(matches!(bench.check(&more).unwrap(), Verdict::WouldChange(_)));
    bench.make(&more);
    let asked = commands(&bench, "certbot").pop().unwrap();
    let names = "--domain app.example.org --domain www.example.org --domain example.net --renew-with-new-domains";
    assert!(asked.contains(names), "{asked}");
    let resolved = commands(&bench, "getent").join("\n");
    assert!(aliases.iter().all(|name| resolved.contains(&format!("ahosts {name}"))), "{resolved}");
    assert_eq!(bench.check(&more).unwrap(), Verdict::Unchanged);
    // One less is a change, too.
    assert!(matches!(bench.check(&failing()).unwrap(), Verdict::WouldChange(_)));
    // Of several names the one that fails is told.
    bench.host.on(&["getent", "-s", "dns"], |_, command| {
        let known = !command.argv.contains(&"example.com".to_owned());
        output(if known { 0 } else { 2 }, if known { "192.0.2.7 STREAM app\n" } else { "" }, "")
    });
    let unknown = Acme { aliases: vec!["example.com".to_owned()], ..failing() };
    let failure = bench.try_to_make(&unknown).err().unwrap();
    assert!(failure.to_string().contains("no address for example.com"), "{failure}");
}

#[test]
fn certbot_answers_by_itself_where_nothing_holds_port_80() {
    let alone = Acme { webroot: PathBuf::new(), standalone: true, ..failing() };
    let bench = bench();
    bench.host.on(&["getent", "-s", "dns"], |_, _| output(2, "", ""));
    assert!(bench.try_to_make(&alone).err().unwrap().to_string().contains("the DNS has no address"));
    bench.host.on(&["getent", "-s", "dns"], |_, _| output(0, "192.0.2.7 STREAM app\n", ""));
    bench.round_trip(&alone);
    bench.make(&alone);
    let asked = commands(&bench, "certbot").pop().unwrap();
    assert!(asked.contains(" --standalone ") && !asked.contains("webroot"), "{asked}");
    assert_eq!(bench.check(&alone).unwrap(), Verdict::Unchanged);
    assert!(bench.check(&failing()).unwrap_err().to_string().contains("through standalone"));

    let held = self::bench();
    held.host.occupy("lighttpd", "0.0.0.0:80".parse().unwrap());
    assert!(held.try_to_make(&alone).err().unwrap().to_string().contains("lighttpd already listens on that port"));
    assert_eq!(commands(&held, "certbot"), Vec::<String>::new());
}

#[test]
fn lets_encrypt_is_asked_by_its_staging_server_first() {
    let bench = bench();
    let directory = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
    bench.make(&Acme { directory, ..acme() });
    let asked = commands(&bench, "certbot");
    assert_eq!(asked.len(), 2);
    assert!(asked[0].ends_with("--dry-run") && !asked[1].contains("--dry-run"), "{asked:?}");
}

#[test]
fn nothing_is_asked_while_the_name_is_unknown_or_leads_elsewhere() {
    let unknown = bench();
    unknown.host.on(&["getent", "-s", "dns"], |_, _| output(2, "", ""));
    let elsewhere = bench();
    answers(&elsewhere, |_| "another site".to_owned());
    for (bench, says) in [(unknown, "has no address"), (elsewhere, "another server answers there")] {
        let failure = bench.try_to_make(&failing()).err().unwrap();
        assert!(failure.why.contains(says), "{failure}");
        assert_eq!(commands(&bench, "certbot"), Vec::<String>::new());
        // Unless the answers say so, the run goes on with what the links lead to.
        bench.make(&acme());
        assert_eq!(bench.summary(&acme()), acme().describe());
    }
}

#[test]
fn what_the_authority_says_is_told_in_plain_words() {
    for (said, why, hint) in [
        ("  Type:   connection\n  Detail: 192.0.2.7: Connection refused", "cannot reach port 80", "open port 80"),
        ("  Type:   unauthorized\n  Detail: 404", "reached another web server", "point the name at"),
        ("  Type:   dns\n  Detail: NXDOMAIN", "finds no address", "DNS zone"),
        ("Error creating new order :: too many certificates already issued", "rate limit exceeded", "wait until"),
        ("urn:ietf:params:acme:error:rateLimited :: too many failed", "rate limit exceeded", "wait until"),
        ("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "does not trust", "tls.authority"),
        ("HTTPSConnectionPool: Max retries exceeded with url", "cannot be reached", "can connect"),
    ] {
        let bench = bench();
        bench.host.on(&["certbot", "certonly"], move |_, _| output(1, "", said));
        let failure = bench.try_to_make(&failing()).err().unwrap();
        assert!(failure.why.contains(why), "{said}: {failure}");
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{said}: {failure:?}");
    }
}

#[test]
fn what_certbot_keeps_to_itself_is_read_in_its_log() {
    for (answered, why) in [
        (
            "rateLimited :: too many requests :: too many certificates (5), retry after 2030-01-02",
            "rate limit exceeded",
        ),
        (
            "accountDoesNotExist :: The request specified an account that does not exist",
            "does not know certbot's account",
        ),
    ] {
        let bench = bench();
        let log =
            format!("acme.messages.Error: older\nacme.messages.Error: urn:ietf:params:acme:error:{answered}\nmore\n");
        bench.host.put_file("/var/log/letsencrypt/letsencrypt.log", log, 0o600);
        bench.host.on(&["certbot", "certonly"], |_, _| output(1, "", "AttributeError: can't set attribute"));
        let failure = bench.try_to_make(&failing()).err().unwrap();
        assert!(failure.why.contains(why), "{failure}");
    }
    let bench = bench();
    bench.host.on(&["certbot", "certonly"], |_, _| output(1, "", "AttributeError: can't set attribute"));
    assert!(bench.try_to_make(&failing()).err().unwrap().why.contains("ended with status 1"));
}

#[test]
fn a_certificate_of_somebody_else_or_of_another_authority_is_not_touched() {
    let foreign = bench();
    foreign.host.put_file(format!("/etc/letsencrypt/renewal/{NAME}.conf"), "authenticator = nginx\n", 0o644);
    assert!(foreign.check(&acme()).unwrap_err().why.contains("already keeps a certificate"));
    assert!(foreign.try_to_make(&failing()).is_err());
    assert_eq!(commands(&foreign, "certbot"), Vec::<String>::new());

    let other = bench();
    other.make(&acme());
    let act = Acme { directory: "https://other.example.org/dir".to_owned(), ..acme() };
    assert!(other.check(&act).unwrap_err().why.contains("https://ca.example.org/dir is in place"));
}

#[test]
fn another_web_server_is_reloaded_after_renewals_without_a_new_certificate() {
    let bench = bench();
    bench.make(&acme());
    let act = Acme { reload: vec!["apache2.service".to_owned()], ..acme() };
    bench.round_trip(&act);
    bench.make(&act);
    let settings = bench.host.text(format!("/etc/letsencrypt/renewal/{NAME}.conf")).unwrap();
    assert!(settings.contains("renew_hook = systemctl try-reload-or-restart apache2.service\n"), "{settings}");
    assert_eq!(settings.matches("renew_hook").count(), 1);
    assert_eq!(commands(&bench, "certbot").len(), 1);
}

#[test]
fn renewals_trust_a_private_authority_too() {
    let bench = bench();
    bench.host.put_file("/etc/ssl/certs/ca-certificates.crt", "system\n", 0o644);
    bench.host.put_file("/root/ca.pem", rcgen_pem(&[NAME.to_owned()]), 0o644);
    let act = Acme { authority: "/root/ca.pem".to_owned(), trust: "/etc/ssl/app/authority.pem".into(), ..acme() };
    bench.round_trip(&act);
    bench.make(&act);
    let drop_in = bench.host.text(format!("/etc/systemd/system/certbot.service.d/{NAME}.conf")).unwrap();
    assert!(drop_in.contains("Environment=REQUESTS_CA_BUNDLE=/etc/ssl/app/authority.pem\n"), "{drop_in}");
    let trust = bench.host.text("/etc/ssl/app/authority.pem").unwrap();
    assert!(trust.starts_with("system\n-----BEGIN CERTIFICATE"), "{trust}");
    let asked = bench.host.commands().into_iter().rfind(|command| command.argv[0] == "certbot").unwrap();
    assert!(asked.env.contains(&(TRUST_VARIABLE.to_owned(), "/etc/ssl/app/authority.pem".to_owned())));
}

#[test]
fn a_file_that_is_no_authority_is_refused_before_anything_is_changed() {
    let bench = bench();
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    bench.host.put_file("/root/key.pem", key, 0o600);
    bench.host.put_file("/root/der.crt", [0x30, 0x82, 1, 1], 0o644);
    bench.host.put_file("/root/text", "nonsense", 0o644);
    for (path, why) in [
        ("/root/key.pem", "a private key is in it"),
        ("/root/der.crt", "it is DER"),
        ("/root/text", "no readable certificate"),
    ] {
        let act = Acme { authority: path.to_owned(), trust: "/etc/ssl/app/authority.pem".into(), ..acme() };
        let failure = bench.check(&act).unwrap_err();
        assert!(failure.why.contains(why), "{path}: {failure}");
    }
    let missing = Acme { authority: "/root/missing".to_owned(), trust: "/etc/ssl/app/authority.pem".into(), ..acme() };
    assert!(bench.check(&missing).is_err());
}
