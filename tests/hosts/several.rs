//! Several applications on one server: each is rolled back alone, and the last one leaves the server as it was.

use crate::host::{Host, Init, answers};

fn first(host: &Host) -> String {
    host.bringup(&answers(&[
        ("application.name", "shop"),
        ("queue.backend", "redis"),
        ("web.server", "apache"),
        ("web.host", "shop.example.test"),
    ]))
    .expect(0);
    newest(host)
}

fn second(host: &Host) -> String {
    host.bringup(&answers(&[
        ("application.name", "wiki"),
        ("application.port", "8100"),
        ("queue.backend", "redis"),
        ("web.server", "nginx"),
        ("web.host", "wiki.example.test"),
        ("web.http_port", "8080"),
        ("web.https_port", "8443"),
    ]))
    .expect(0);
    newest(host)
}

fn newest(host: &Host) -> String {
    host.sh("ls -1 /var/lib/bringup/runs | tail -n 1").expect(0).stdout.trim().to_owned()
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn two_applications_are_rolled_back_each_alone_the_first_one_first() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    let shop = first(&host);
    let wiki = second(&host);
    // Each has a Redis of its own, which the other one's password does not open.
    host.sh(
        "systemctl is-active redis-server redis-server@wiki && ss -Hltn 'src 127.0.0.1' | grep -c ':6379 \\|:6380 ' | grep -x 2 && \
         . /etc/wiki/env && export REDISCLI_AUTH=${REDIS_URL#redis://:} && REDISCLI_AUTH=${REDISCLI_AUTH%@*} && \
         redis-cli -p 6380 ping | grep -x PONG && ! redis-cli -p 6379 ping 2>&1 | grep -x PONG",
    )
    .expect(0);
    // Each run keeps what it told.
    let told = "cat /var/lib/bringup/runs/*-webapp/events.jsonl | sha256sum; ls -d /var/lib/bringup/runs/*/";
    let said = host.sh(told).expect(0).stdout;

    let back = host.exec(&["bringup", "rollback", "--run", &shop, "--yes", "--plain"]).expect(0);
    assert!(back.both().contains(&format!("still used by run {wiki}")), "{}", back.both());
    host.sh(
        "! systemctl is-active -q apache2 && ! dpkg -l apache2 | grep -q ^ii && ! id shop && ! test -e /opt/shop && \
         ! test -e /var/lib/shop && ! test -e /etc/apache2/sites-enabled/shop.conf",
    )
    .expect(0);
    let verified = host.exec(&["bringup", "verify", "--plain"]).expect(0);
    assert!(verified.both().contains("wiki.example.test"), "{}", verified.both());
    assert_eq!(host.sh(told).expect(0).stdout, said, "a rollback does not touch what runs told");
    let status = host.exec(&["bringup", "status", "--plain"]).expect(0).stdout;
    assert!(status.contains(&wiki) && status.contains("still used by others"), "{status}");

    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    let status = host.exec(&["bringup", "status", "--json"]).expect(0).stdout;
    assert_eq!(status.split_whitespace().collect::<String>(), "[]");
    host.assert_identical(&before);
}
