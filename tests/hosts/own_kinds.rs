//! Applications of people's own that are no Python: Node.js, programs that are compiled, static files.

use crate::host::{Host, Init, answers, is_long, nothing_left_to_do};
use crate::own_app::{page, push_app, to, under_load};

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_express_application_is_built_by_npm_and_loses_no_request() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "express");
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null").expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.kind", "node"),
        ("application.env", "{API_TOKEN: {generate: 20}, NODE_ENV: production}"),
        ("queue.backend", "redis"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one\n");
    assert_eq!(page(&host, "/visits"), "1\n");
    // Built by a user without rights who saw no secret; what only the build needs is not in production.
    assert_eq!(page(&host, "/built"), r#"{"id":21,"user":"webapp-build","secret":"not-the-secret","mode":null}"#);
    host.sh("cd /opt/webapp/app/ && test -d node_modules/express && test ! -e node_modules/nanoid").expect(0);
    host.sh("[ -z \"$(find /opt/webapp ! -user root)\" ] && ! ls -d /opt/webapp/app.releases/*.build").expect(0);
    assert_eq!(host.sh("ss -Hltn sport = :8000 | awk '{print $4}'").expect(0).stdout, "127.0.0.1:8000\n");
    nothing_left_to_do(&host, &file);
    // The next release: no request is lost, and one in progress is answered by the former.
    let edit = |from: &str, into: &str| {
        host.sh(&format!("sed -i 's/{from}/{into}/' /root/app/server.js")).expect(0);
    };
    edit("release one", "release two");
    let slow = format!(
        "(while [ ! -e /tmp/stop ]; do curl -sk -o /dev/null -w '%{{http_code}}\\n' {} https://app.example.test/slow; done) \
         >/tmp/slow 2>&1",
        to("app.example.test")
    );
    let seen = under_load(&host, || {
        host.sh(&format!("setsid sh -c \"{}\" >/dev/null 2>&1 &", slow.replace('"', "\\\""))).expect(0);
        host.bringup(&file).expect(0)
    });
    assert!(
        seen.len() == 2
            && seen.iter().all(|told| told.ends_with("200 release one") || told.ends_with("200 release two")),
        "{seen:?}"
    );
    host.sh("sleep 4; grep -q 200 /tmp/slow && ! grep -v 200 /tmp/slow; rm /tmp/slow").expect(0);
    assert_eq!(page(&host, "/visits"), "2\n");
    // One that does not start, and one that cannot be built: nobody notices.
    edit("app.listen", "nothing.listen");
    let seen = under_load(&host, || host.bringup(&file).expect(3));
    assert!(seen.len() == 1 && seen[0].ends_with("200 release two"), "{seen:?}");
    edit("nothing.listen", "app.listen");
    host.sh("echo 'throw new Error(\"no\")' >> /root/app/build.js").expect(0);
    let told = host.bringup(&file).expect(3).both();
    assert!(told.contains("build /opt/webapp/app"), "{told}");
    assert_eq!(page(&host, "/"), "release two\n");
    host.sh("sed -i '/no/d' /root/app/build.js").expect(0);
    edit("release two", "release one");
    host.roll_back_all();
    let difference = host.difference(&before);
    // The test itself changed the sources.
    let left: Vec<&str> = difference.lines().filter(|line| !line.contains(" /root/app")).collect();
    assert!(left.is_empty(), "{difference}");
}
