//! What would make a run fail is reported before it starts, with what to do.

use crate::host::{Host, Init};

/// The lines of one check: what was found, and what to do.
fn about(page: &str, title: &str) -> String {
    let mut lines = page.lines().skip_while(|line| !line.contains(title));
    let first = lines.next().unwrap_or_else(|| panic!("no {title} in\n{page}"));
    let rest = lines.take_while(|line| line.starts_with("    "));
    std::iter::once(first).chain(rest).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_host_that_is_not_fit_is_told_why_and_what_to_do() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    let page = host.exec(&["bringup", "preflight", "webapp"]).expect(0).stdout;
    assert!(page.ends_with("21 checks: 21 ok, 0 warnings, 0 problems.\n"), "{page}");
    let ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bringup", "preflight"];
    let page = host.exec(&ordinary).expect(0).stdout;
    assert!(about(&page, "User").contains("use sudo"), "{page}");
    host.assert_identical(&before);

    // A package whose script fails, a stranger on port 80, no name server.
    host.sh(
        "mkdir -p /tmp/p/DEBIAN && cd /tmp/p && \
         printf 'Package: halfway\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.test>\\nDescription: x\\n' \
         > DEBIAN/control && printf '#!/bin/sh\\nexit 1\\n' > DEBIAN/postinst && chmod 755 DEBIAN/postinst && \
         dpkg-deb --build /tmp/p /tmp/halfway.deb >/dev/null && ! dpkg -i /tmp/halfway.deb 2>/dev/null",
    )
    .expect(0);
    host.sh("perl -e 'use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 1) or die; \
             sleep 600' >/dev/null 2>&1 & until grep -q ':0050 ' /proc/net/tcp; do sleep 0.1; done")
        .expect(0);
    host.sh("rm -f /etc/resolv.conf").expect(0);

    let page = host.exec(&["bringup", "preflight"]).expect(1).stdout;
    let packages = about(&page, "Packages ");
    assert!(
        packages.contains("not completely installed: halfway") && packages.contains("dpkg --configure -a"),
        "{page}"
    );
    let ports = about(&page, "Web ports");
    assert!(ports.contains("80 by perl") && ports.contains("stop perl, or choose other ports"), "{page}");
    let mirrors = about(&page, "Mirrors");
    assert!(mirrors.contains("deb.debian.org does not resolve") && mirrors.contains("nameserver ADDRESS"), "{page}");
    assert!(page.ends_with("20 checks: 17 ok, 1 warning, 2 problems.\n"), "{page}");

    // The same for programs, and each fix helps.
    let json = host.exec(&["bringup", "preflight", "--json"]).expect(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let state = |id: &str| {
        let checks = json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (json["ok"].as_bool(), state("dpkg"), state("mirror"), state("ports"), state("swap")),
        (Some(false), "problem".to_owned(), "problem".to_owned(), "warning".to_owned(), "ok".to_owned())
    );
    // Test hosts are minimal: there is no pkill.
    host.sh("dpkg --purge halfway >/dev/null && echo 'nameserver 192.0.2.1' > /etc/resolv.conf && \
         for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" != perl ] || kill ${p#/proc/}; done; sleep 1")
        .expect(0);
    let page = host.exec(&["bringup", "preflight"]).expect(1).stdout;
    assert!(about(&page, "Packages ").contains("all in order") && about(&page, "Web ports").contains("free"), "{page}");
    // A name server that does not answer is given up in time.
    assert!(about(&page, "Mirrors").contains("name servers in /etc/resolv.conf"), "{page}");
}
