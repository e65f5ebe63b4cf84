//! Accounts, packages and services, asserted of the host in memory here, and of a Debian by `tests/hosts`.

use std::path::Path;

use bringup::host::{Command, Host};

/// Everything below, in this order, on a fresh bookworm whose archive has nginx.
pub fn agrees(host: &dyn Host) {
    accounts(host);
    packages(host);
    services(host);
    removal(host);
}

/// Runs commands and compares their exit statuses.
#[track_caller]
fn ends<const N: usize>(host: &dyn Host, expected: [(&str, i32); N]) {
    for (line, status) in expected {
        let output = run(host, line);
        assert_eq!(output.status, status, "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn run(host: &dyn Host, line: &str) -> bringup::host::Output {
    host.run(&Command::new(line.split(' ')).env("DEBIAN_FRONTEND", "noninteractive")).unwrap()
}

#[track_caller]
fn says<const N: usize>(host: &dyn Host, expected: [(&str, &str); N]) {
    for (line, text) in expected {
        assert_eq!(run(host, line).text(), text, "{line}");
    }
}

fn accounts(host: &dyn Host) {
    ends(
        host,
        [
            ("getent passwd shop", 2),
            ("id -u shop", 1),
            ("useradd --system --user-group --home-dir /srv/shop --shell /usr/sbin/nologin shop", 0),
            ("useradd --system shop", 9),
            ("groupadd --system shop", 9),
            ("groupadd --system others", 0),
            ("useradd --system -g none buyer", 6),
            ("usermod -aG none shop", 6),
            ("usermod -aG others none", 6),
            ("usermod -aG others shop", 0),
        ],
    );
    says(host, [("id -un shop", "shop"), ("id -gn shop", "shop"), ("id -Gn shop", "shop others")]);
    let line = run(host, "getent passwd shop").text();
    assert!(line.starts_with("shop:x:") && line.ends_with(":/srv/shop:/usr/sbin/nologin"), "{line}");
    let uid: u32 = run(host, "id -u shop").text().parse().unwrap();
    assert!((100..1000).contains(&uid), "of the system's range: {uid}");
    assert!(host.run(&Command::new(["true"]).user("shop")).unwrap().ok());
    ends(
        host,
        [
            ("gpasswd -d shop others", 0),
            ("userdel shop", 0),
            ("userdel shop", 6),
            ("getent group shop", 2),
            ("groupdel others", 0),
            ("groupdel others", 6),
        ],
    );
    assert!(host.run(&Command::new(["true"]).user("shop")).is_err());
}

fn packages(host: &dyn Host) {
    ends(host, [("dpkg-query -W nginx", 1), ("dpkg -s nginx", 1)]);
    let planned = run(host, "apt-get -s install nginx").text();
    assert!(planned.lines().any(|line| line.starts_with("Inst nginx (")), "{planned}");
    assert!(planned.lines().any(|line| line.starts_with("Conf nginx-common (")), "{planned}");
    ends(host, [("dpkg-query -W nginx", 1)]);
    // Nothing that is installed starts before it is told to.
    host.write(Path::new("/usr/sbin/policy-rc.d"), b"#!/bin/sh\nexit 101\n", bringup::host::Meta::root(0o755)).unwrap();
    ends(host, [("apt-get -y install nginx", 0), ("apt-get -y install nginx", 0), ("dpkg -s nginx", 0)]);
    says(host, [("dpkg-query -W -f=${Package}:${db:Status-Status}\\n nginx", "nginx:installed")]);
    let automatic = run(host, "apt-mark showauto").text();
    assert!(automatic.lines().any(|line| line == "nginx-common"), "{automatic}");
    assert!(!automatic.lines().any(|line| line == "nginx"), "{automatic}");
}

fn services(host: &dyn Host) {
    says(host, [("systemctl is-enabled nginx.service", "enabled"), ("systemctl is-active nginx.service", "inactive")]);
    ends(host, [("systemctl is-active nginx.service", 3), ("systemctl start no-such.service", 5)]);
    ends(host, [("systemctl start nginx.service", 0), ("systemctl is-active nginx.service", 0)]);
    let shown = run(host, "systemctl show nginx.service -p ActiveState,UnitFileState --value").text();
    assert_eq!(shown, "active\nenabled");
    assert!(run(host, "ss -Hltn").text().contains(":80 "), "it listens");
    ends(host, [("systemctl disable nginx.service", 0), ("systemctl is-enabled nginx.service", 1)]);
    says(host, [("systemctl is-enabled nginx.service", "disabled")]);
    ends(host, [("systemctl stop nginx.service", 0), ("systemctl is-active nginx.service", 3)]);
    ends(host, [("systemctl mask nginx.service", 0), ("systemctl start nginx.service", 1)]);
    ends(host, [("systemctl unmask nginx.service", 0), ("systemctl enable --now nginx.service", 0)]);
    says(host, [("systemctl is-active nginx.service", "active")]);
}

fn removal(host: &dyn Host) {
    host.remove(Path::new("/usr/sbin/policy-rc.d")).unwrap();
    ends(host, [("apt-get -y purge nginx nginx-common", 0), ("dpkg-query -W nginx-common", 1), ("dpkg -s nginx", 1)]);
    assert_eq!(host.stat(Path::new("/etc/nginx/nginx.conf")).unwrap(), None);
    says(host, [("systemctl is-active nginx.service", "inactive")]);
}
