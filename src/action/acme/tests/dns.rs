//! Over DNS-01.

use super::*;

/// Over DNS-01 by a name server that answers with these flags.
fn through_a_name_server(flags: [u8; 2]) -> (Bench, Acme) {
    let bench = bench();
    let address: IpAddr = "192.0.2.53".parse().unwrap();
    bench.host.answer(Address::Tcp(SocketAddr::new(address, 53)), move |sent| {
        let id = sent.get(2..4).unwrap_or(&[0, 0]);
        [&[0, 12], id, &flags, &[0; 8]].concat()
    });
    let dns = serde_json::json!({
        "provider": "rfc2136", "credentials": "/etc/ssl/app/dns.ini", "propagation": 60, "server": "192.0.2.53",
    });
    let dns = serde_json::from_value(dns).unwrap();
    (bench, Acme { webroot: PathBuf::new(), dns: Some(dns), wildcard: true, on_failure: OnFailure::Fail, ..acme() })
}

#[test]
fn a_wildcard_comes_through_a_name_server_and_goes() {
    let (bench, act) = through_a_name_server([0x84, 0]);
    bench.round_trip(&act);
    bench.make(&act);
    let asked = commands(&bench, "certbot").pop().unwrap();
    assert!(asked.contains("--domain app.example.org --domain *.app.example.org"), "{asked}");
    assert!(asked.contains("--dns-rfc2136-credentials /etc/ssl/app/dns.ini"), "{asked}");
    assert!(!asked.contains("webroot"), "{asked}");
    // Another time to wait is for the renewals; another certificate is another one.
    let settings = || bench.host.text(format!("/etc/letsencrypt/renewal/{NAME}.conf")).unwrap();
    assert!(!settings().contains("propagation"));
    let mut later = act.clone();
    later.dns.as_mut().unwrap().propagation = 120;
    bench.make(&later);
    assert!(settings().contains("dns_rfc2136_propagation_seconds = 120\n"), "{}", settings());
    assert_eq!(bench.check(&later).unwrap(), Verdict::Unchanged);
    bench.make(&act);
    assert!(!settings().contains("propagation"), "{}", settings());
    let failure = bench.check(&Acme { wildcard: false, ..act }).unwrap_err();
    assert!(failure.why.contains("its certificate with *.app.example.org stands"), "{failure}");
}

#[test]
fn a_name_server_must_answer_before_the_authority_is_asked() {
    let (bench, act) = through_a_name_server([0x04, 0]);
    let failure = bench.try_to_make(&act).err().unwrap();
    assert!(failure.why.contains("another kind of server"), "{failure}");
    let mut elsewhere = act;
    elsewhere.dns.as_mut().unwrap().server = "192.0.2.54".to_owned();
    assert!(bench.try_to_make(&elsewhere).is_err());
    assert_eq!(commands(&bench, "certbot"), Vec::<String>::new());
    // What it says to those without the key is not its last word.
    for flags in [[0x80, 0], [0x80, 5]] {
        let (bench, act) = through_a_name_server(flags);
        bench.make(&act);
    }
}

#[test]
fn over_http_there_is_no_wildcard() {
    let bench = bench();
    let failure = bench.check(&Acme { wildcard: true, ..acme() }).unwrap_err();
    assert!(failure.why.contains("over http nobody can show"), "{failure}");
    assert!(bench.try_to_make(&Acme { wildcard: true, ..failing() }).is_err());
    assert_eq!(commands(&bench, "certbot"), Vec::<String>::new());
}

fn by_hook(auth: &str, cleanup: &str) -> Acme {
    let dns = serde_json::json!({"provider": "hook", "auth_hook": auth, "cleanup_hook": cleanup});
    Acme { webroot: PathBuf::new(), dns: Some(serde_json::from_value(dns).unwrap()), ..failing() }
}

#[test]
fn hooks_are_run_that_nobody_but_root_can_change() {
    let bench = bench();
    for dir in ["/home", "/opt"] {
        bench.host.make_dir(dir.as_ref(), Meta::root(0o755)).unwrap();
    }
    bench.host.make_dir("/opt/shared".as_ref(), Meta::root(0o775)).unwrap();
    bench.host.make_dir("/home/ops".as_ref(), Meta { mode: 0o755, uid: 1000, gid: 1000 }).unwrap();
    for (path, mode) in [
        ("/opt/good", 0o700),
        ("/opt/plain", 0o644),
        ("/opt/open", 0o775),
        ("/opt/theirs", 0o755),
        ("/opt/shared/hook", 0o755),
        ("/home/ops/hook", 0o755),
    ] {
        bench.host.put_file(path, "#!/bin/sh\n", mode);
    }
    bench.host.set_meta("/opt/theirs".as_ref(), Meta { mode: 0o755, uid: 1000, gid: 1000 }).unwrap();
    bench.host.make_symlink("/opt/link".as_ref(), "good".as_ref()).unwrap();
    for (path, why) in [
        ("/opt/plain", "not executable"),
        ("/opt/open", "others than root can change it"),
        ("/opt/theirs", "not root's"),
        ("/opt/shared/hook", "change the directory /opt/shared"),
        ("/home/ops/hook", "change the directory /home/ops"),
        ("/opt/link", "not a regular file"),
        ("/opt/missing", "no such file"),
    ] {
        for act in [by_hook(path, ""), by_hook("/opt/good", path)] {
            assert!(bench.check(&act).unwrap_err().why.contains(why), "{path}");
            assert!(bench.try_to_make(&act).is_err(), "{path}");
        }
    }
    assert_eq!(commands(&bench, "certbot"), Vec::<String>::new());
    bench.round_trip(&by_hook("/opt/good", "/opt/good"));
    bench.make(&by_hook("/opt/good", ""));
    let asked = commands(&bench, "certbot").pop().unwrap();
    assert!(asked.contains("--manual --preferred-challenges dns --manual-auth-hook /opt/good --cert-name"), "{asked}");
    // A certificate that another hook of ours has got, or another way of ours, is not this one.
    bench.host.put_file("/opt/other", "#!/bin/sh\n", 0o700);
    for act in [by_hook("/opt/other", ""), failing()] {
        assert!(bench.check(&act).unwrap_err().hint.unwrap().contains("rollback --stage tls"));
    }
}

#[test]
fn what_keeps_records_out_of_the_dns_is_told_in_plain_words() {
    let cloudflare = || {
        let dns = serde_json::json!({"provider": "cloudflare", "credentials": "/etc/ssl/app/dns.ini"});
        Acme { webroot: PathBuf::new(), dns: Some(serde_json::from_value(dns).unwrap()), ..failing() }
    };
    let hook = || {
        let act = by_hook("/opt/hook", "");
        let bench = bench();
        bench.host.make_dir("/opt".as_ref(), Meta::root(0o755)).unwrap();
        bench.host.put_file("/opt/hook", "#!/bin/sh\n", 0o755);
        (bench, act)
    };
    let name_server = || through_a_name_server([0x84, 0]);
    for ((bench, act), said, why, hint) in [
        (
            name_server(),
            "Encountered error adding TXT record: The peer didn't like the signature we sent",
            "does not accept the key",
            "tsig_secret",
        ),
        (
            name_server(),
            "certbot.errors.PluginError: Received response from server: REFUSED",
            "does not take the record: Received",
            "update-policy",
        ),
        (
            name_server(),
            "  Type:   unauthorized\n  Detail: No TXT record found",
            "does not find what it wants",
            "tls.propagation",
        ),
        (
            hook(),
            "  Type:   dns\n  Detail: NXDOMAIN",
            "at _acme-challenge.app.example.org (NXDOMAIN)",
            "have the hook wait",
        ),
        (
            hook(),
            "manual-auth-hook command \"/opt/hook\" returned error code 1",
            "the hook does not enter",
            "CERTBOT_VALIDATION",
        ),
        (
            (bench(), cloudflare()),
            "Error determining zone_id: 6003 Invalid request headers.",
            "Cloudflare does not do it: Error",
            "Edit",
        ),
    ] {
        bench.host.on(&["certbot", "certonly"], move |_, _| output(1, "", said));
        let failure = bench.try_to_make(&act).err().unwrap();
        assert!(failure.why.contains(why), "{said}: {failure}");
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{said}: {failure:?}");
    }
}
