//! Applications of people's own as container images, which podman runs.
//!
//! No registry is within reach: the images are made of a Debian with Python, as `docker save` writes them.

use std::path::Path;

use crate::host::{Host, Init, answers, is_long, moved, nothing_left_to_do, open_from_outside};
use crate::own_app::under_load;
use crate::pair::install as packages;

/// podman in a test host: the host has the cgroups of version 1, which are not its own, and no right to crun's limits. Its
/// disk is an overlay, on which no other one can be: so whole copies take the place of layers.
const PODMAN: &str = "\
#!/bin/sh
for word; do
    shift
    case $word in
    overlay) word=vfs ;;
    overlay.skip_mount_home=true) word=vfs.ignore_chown_errors=false ;;
    overlay.imagestore=*) word=vfs.${word#overlay.} ;;
    esac
    set -- \"$@\" \"$word\"
done
exec unshare -m --propagation slave sh -c '
    umount -R -l /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
    exec /usr/bin/podman --runtime runc \"$@\"' sh \"$@\"
";

/// What the images leave out of a Debian.
const LEFT_OUT: &str = "proc sys dev run tmp var/cache var/lib/apt var/lib/dpkg var/log usr/share/doc usr/share/man \
                        usr/share/locale usr/share/perl usr/lib/x86_64-linux-gnu/perl usr/lib/systemd usr/share/zoneinfo root boot";

/// A host on which podman, once it is installed, can run containers.
fn host(release: &str) -> Host {
    let host = Host::start(release, Init::Systemd);
    packages(&host, "runc curl nftables");
    host.write("/usr/local/sbin/podman", PODMAN);
    host.sh("chmod 0755 /usr/local/sbin/podman").expect(0);
    host
}

/// Puts three archives of images on the server, `one.tar`, `two.tar` and `broken.tar` in /root.
fn images(server: &Host) {
    let maker = Host::start("bookworm", Init::Systemd);
    packages(&maker, "python3-psycopg2");
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/apps/container");
    maker.push(&app, "/app");
    maker
        .sh(&format!("cd / && tar -c --one-file-system $(for dir in {LEFT_OUT}; do echo --exclude=./$dir; done) \
             -f /root/layer.tar . && cd /root && sum=$(sha256sum < layer.tar | cut -c -64) && \
             for version in one two broken; do \
             printf '{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{{\"Env\":[\"VERSION=%s\"],\
             \"Cmd\":[\"python3\",\"/app/app.py\"]}},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}}}' \
             $version $sum > config.json && printf '[{{\"Config\":\"config.json\",\"RepoTags\":[\"registry.example.org/shop:%s\"],\
             \"Layers\":[\"layer.tar\"]}}]' $version > manifest.json && \
             tar -cf $version.tar manifest.json config.json layer.tar || exit; done"))
        .expect(0);
    for name in ["one.tar", "two.tar", "broken.tar"] {
        let here = server.scratch().join(name);
        maker.pull(&format!("/root/{name}"), &here);
        server.push(&here, &format!("/root/{name}"));
    }
    server.sh("cp /root/one.tar /root/shop.tar").expect(0);
}

fn page(host: &Host, path: &str) -> String {
    host.sh(&format!("curl -sk --resolve app.example.test:443:127.0.0.1 'https://app.example.test{path}'"))
        .expect(0)
        .stdout
        .trim()
        .to_owned()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A value that a shell and an env file choke on.
const GREETING: &str = "it's $HOME #1\n\"two\" \\ lines";
const PASSWORD: &str = "p'a$s w#o\"r`d\\";

fn sha256(text: &str) -> String {
    bringup::hash::sha256_hex(text.as_bytes())
}

fn with(more: &[(&str, &str)]) -> String {
    let greeting = serde_json::to_string(GREETING).unwrap();
    let env = format!("{{SECRET_KEY: {{generate: 50}}, SMTP_PASSWORD: {{file: /root/smtp}}, GREETING: {greeting}}}");
    let ours = [
        ("application.source", "image"),
        ("application.image", "/root/shop.tar"),
        ("application.scratch", "[/scratch]"),
        ("application.env", &env),
        // A line for a shell is read by the image's, and not by root's: there is no /app on the server.
        ("application.release", "python3 /app/app.py release && test -e /app/app.py"),
        ("application.worker", "python3 /app/app.py worker"),
        ("application.processes", "[{name: idle, command: python3 /app/app.py worker}]"),
        ("application.jobs", "[{name: look, at: '*:0/15', command: cat /app/app.py}]"),
        ("web.host", "app.example.test"),
        ("firewall.manage", "false"),
    ];
    answers(&[&ours, more].concat())
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_image_is_in_production_with_a_database_and_a_worker_and_goes_with_everything_of_its_own() {
    if !is_long() {
        return;
    }
    let host = host("bookworm");
    images(&host);
    host.write("/root/smtp", &format!("{PASSWORD}\n"));
    let before = host.manifest("before");
    let network = || {
        host.sh("ip -o -brief link; cat /proc/sys/net/ipv4/ip_forward; ls /dev/net; ls /dev/shm | grep -v PostgreSQL")
            .stdout
    };
    let links = network();
    let file = with(&[("database.engine", "postgresql"), ("queue.backend", "redis")]);
    host.bringup(&file).expect(0);
    nothing_left_to_do(&host, &file);
    assert_eq!(page(&host, "/"), "version one");
    assert_eq!(page(&host, "/queue"), "['+OK', '+PONG']");
    // It writes to its database by its own user's socket, and knows its settings to the last character.
    assert_eq!(page(&host, "/database"), "2");
    let seen = json(&page(&host, "/settings"));
    let known = (seen["GREETING"].as_str(), seen["SMTP_PASSWORD"].as_str());
    assert_eq!(known, (Some(&*sha256(GREETING)), Some(&*sha256(PASSWORD))));
    assert_eq!(seen["container_settings"], serde_json::Value::Null);
    // It has no right, and no place to write to but its data and what is asked for.
    let world = json(&page(&host, "/world"));
    let uid = host.sh("id -u webapp").expect(0).stdout;
    assert_eq!(world["uid"].to_string(), uid.trim());
    assert_eq!(world["capabilities"], "0000000000000000");
    assert_eq!((&world["no_new_privileges"], &world["seccomp"]), (&"1".into(), &"2".into()));
    assert_eq!((&world["write"], &world["scratch"]), (&"Read-only file system".into(), &"it works".into()));
    host.sh("test \"$(stat -c %U /var/lib/webapp/kept)\" = webapp").expect(0);
    let ports: Vec<u16> = (1..1024).chain([5432, 6379, 8000, 8080]).collect();
    assert_eq!(open_from_outside(&host, &ports), [80, 443]);
    assert_eq!(network(), links, "no bridge and no forwarding");
    host.sh("! nft list ruleset | grep .").expect(0);
    // No secret where others read it, nor in a command line.
    host.write("/root/patterns", "p'a$s w#o\np'\\''a$s w#o\n");
    let read = "/var/lib/bringup/runs /var/log /opt/webapp/bin /opt/webapp/app/ /proc/[0-9]*/cmdline";
    host.sh(&format!("! grep -r -l -F -f /root/patterns {read} 2>/dev/null")).expect(0);
    host.sh("rm /root/patterns").expect(0);
    host.sh("journalctl -u webapp-worker -u webapp-idle | grep -c 'a worker of version one' | grep -qx 2").expect(0);
    host.sh("journalctl -u webapp-job-look | grep -q 'class Handler'").expect(0);
    looked_after(&host);

    // The next image is tried first, and a broken one reaches nobody.
    host.sh("cp /root/broken.tar /root/shop.tar").expect(0);
    let failed = host.sh("bringup deploy --plain").expect(3).both();
    assert!(failed.contains("/ answered 500 instead of 200"), "{failed}");
    assert_eq!(page(&host, "/"), "version one");
    host.sh("cp /root/two.tar /root/shop.tar").expect(0);
    let seen = under_load(&host, || host.sh("bringup deploy --plain").expect(0));
    assert!(seen.len() == 2 && seen.iter().all(|told| told.contains(" 200 version ")), "{seen:?}");
    assert_eq!(page(&host, "/"), "version two");
    host.sh("bringup logs --service worker | grep -q 'version two'").expect(0);
    assert_eq!(json(&page(&host, "/world"))["kept"], 2, "its data stays");
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    assert_eq!(page(&host, "/"), "version one");
    // One that is killed is started again.
    host.sh("kill -9 $(systemctl show -p MainPID --value webapp) && for i in $(seq 300); do sleep 0.1; \
             curl -sf -o /dev/null http://127.0.0.1:8000/ && exit; done; exit 1")
        .expect(0);
    host.sh("cp -p /root/one.tar /root/shop.tar && rm /root/smtp").expect(0);
    host.sh("bringup rollback --all --yes --drop-data --plain").expect(0);
    assert_eq!(host.sh("find /opt -mindepth 1 | head -20").stdout, "");
    host.assert_identical_but(&before, &["/root"]);
    assert_eq!(network(), links);
}

/// Logs, a restart, other settings and commands as the application.
fn looked_after(host: &Host) {
    assert_eq!(
        host.sh("bringup shell -- python3 -c 'import os; print(os.getuid())'").expect(0).stdout,
        host.sh("id -u webapp").stdout
    );
    host.sh("bringup shell -- false").expect(1);
    assert_eq!(host.sh("echo 'cat /data/kept' | bringup shell -- sh").expect(0).stdout, "x");
    let told = host.sh("bringup env set DEBUG=0 --plain").expect(0).both();
    assert_eq!(moved(&told)[0], "restart webapp.service", "{told}");
    assert_eq!(json(&page(host, "/settings"))["DEBUG"], sha256("0").as_str());
    let told = host.sh("bringup restart --plain").expect(0).both();
    assert!(told.contains("web (webapp.service) is restarted and runs"), "{told}");
    assert_eq!(page(host, "/"), "version one");
    let told = host.sh("bringup deploy v2 --plain").expect(1).both();
    assert!(told.contains("no branches or tags"), "{told}");
    host.exec(&["bringup", "verify", "--plain"]).expect(0);
}

/// The podman of the oldest and of the newest Debian, and a database with a password, through the container's network.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_image_runs_with_every_podman_and_goes_again() {
    if !is_long() {
        return;
    }
    for release in ["bullseye", "trixie"] {
        let host = host(release);
        images(&host);
        host.write("/root/smtp", &format!("{PASSWORD}\n"));
        let before = host.manifest("before");
        let file = with(&[("database.engine", "postgresql"), ("database.auth", "password")]);
        host.bringup(&file).expect(0);
        nothing_left_to_do(&host, &file);
        assert_eq!(page(&host, "/"), "version one");
        assert_eq!(page(&host, "/database"), "2");
        assert_eq!(json(&page(&host, "/world"))["capabilities"], "0000000000000000");
        let seen = json(&page(&host, "/settings"));
        assert_eq!(seen["GREETING"], sha256(GREETING).as_str());
        host.sh("bringup shell -- true").expect(0);
        host.sh("cp /root/two.tar /root/shop.tar && bringup deploy --plain").expect(0);
        assert_eq!(page(&host, "/"), "version two");
        host.sh("bringup rollback --all --yes --drop-data --plain").expect(0);
        assert_eq!(host.sh("find /opt -mindepth 1 | head -20").stdout, "");
        host.assert_identical_but(&before, &["/root"]);
    }
}
