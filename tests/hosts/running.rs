//! Services that already run keep running, whatever breaks there before, during and after a run.

use crate::host::{Host, Init, RUN, words};
use crate::pair::{install, until};

/// A site in somebody's web server, a service of its own, and something that waits until it is told how it ends.
const ACTIONS: &str = "\
actions:
  - id: site
    reason: a test
    file: {path: /etc/nginx/conf.d/app.conf, content: 'server { listen 81; return 200 app; }'}
  - id: run
    reason: a test
    service: {manager: systemd, name: nginx.service, reload_after: [web.site], test: [nginx, -t, -q]}
  - id: unit
    reason: a test
    file:
      path: /etc/systemd/system/app.service
      content: |
        [Service]
        ExecStart=/bin/sleep infinity
        [Install]
        WantedBy=multi-user.target
  - id: app
    reason: a test
    service: {manager: systemd, name: app.service, restart_after: [web.unit]}
  - id: wait
    reason: a test
    command:
      describe: wait for the test
      run: [sh, -c, 'trap \"\" TERM; touch /srv/waits; until test -e /srv/go; do sleep 0.2; done; test -e /srv/good']
      check: [test, -e, /srv/good]
      covered_by: web.unit
proofs:
  - id: they_run
    service: {manager: systemd, names: [app.service, nginx.service]}
";

const BACK: &str = "bringup rollback --yes --plain";
const BROKEN: &str = "server {\\n  no_such_directive on;\\n}\\n";

/// The site of somebody else, and the process that serves it.
fn theirs(host: &Host) -> String {
    let answer = host.sh("curl -s -m 5 http://127.0.0.1/; systemctl show --value -p MainPID,ActiveState nginx").stdout;
    words(&answer)
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn what_somebody_breaks_ends_no_server_and_what_he_turns_off_the_next_run_turns_on() {
    let host = Host::start("bookworm", Init::Systemd);
    install(&host, "nginx curl");
    host.sh("rm /etc/nginx/sites-enabled/default; mkdir /srv/shop").expect(0);
    host.write("/etc/nginx/conf.d/shop.conf", "include /srv/shop/*.conf;\nserver { listen 80; return 200 shop; }\n");
    host.sh("systemctl restart nginx").expect(0);
    host.write_guide(ACTIONS);
    let before = host.manifest("before");
    let serves = theirs(&host);
    assert!(serves.starts_with("shop") && serves.ends_with("active"), "{serves}");

    // Broken before, and not yet loaded: nothing is begun.
    host.sh(&format!("printf '{BROKEN}' > /etc/nginx/conf.d/zz.conf")).expect(0);
    let said = host.sh(RUN).expect(1).words();
    assert!(said.contains("nginx.service is running, but could not start again"), "{said}");
    assert!(said.contains("/etc/nginx/conf.d/zz.conf:2"), "{said}");
    let planned = host.sh(&RUN.replace("bringup --plain", "bringup plan")).expect(1).words();
    assert!(planned.contains("/etc/nginx/conf.d/zz.conf:2"), "{planned}");
    assert_eq!(theirs(&host), serves);
    host.sh("rm /etc/nginx/conf.d/zz.conf && ! ls /var/lib/bringup/runs/*").expect(0);

    // Broken during the run, after the server has taken our site up, and the run fails: it serves on.
    std::thread::scope(|scope| {
        let running = scope.spawn(|| host.sh(RUN));
        until("it waits", || host.sh("test -e /srv/waits").status == 0);
        host.sh(&format!("printf '{BROKEN}' > /srv/shop/zz.conf; touch /srv/go")).expect(0);
        let said = running.join().unwrap().expect(4).words();
        assert!(said.contains("nginx.service") && said.contains("not reloaded and keeps running"), "{said}");
        assert!(said.contains("/srv/shop/zz.conf:2"), "{said}");
    });
    assert_eq!(theirs(&host), serves);
    host.sh("rm /srv/shop/zz.conf").expect(0);
    host.sh(BACK).expect(0);
    assert_eq!(theirs(&host), serves, "it was restarted");
    host.sh("curl -s -m 5 http://127.0.0.1:81/").expect(7);

    // Killed, and rolled back at once, while a child of the run does not want to end.
    host.sh("rm /srv/go /srv/waits").expect(0);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| host.sh(RUN));
        until("it waits", || host.sh("test -e /srv/waits").status == 0);
        host.sh(&format!("systemctl kill --kill-who=main -s KILL 'bringup-2*'; {BACK}")).expect(0);
        running.join().unwrap().expect(4);
    });
    assert_eq!(theirs(&host), serves);
    host.sh("rm -r /srv/waits").expect(0);
    host.assert_identical(&before);

    // Turned off by hand, and edited without a word to systemd.
    host.sh("touch /srv/good").expect(0);
    host.sh(RUN).expect(0);
    for by_hand in ["systemctl disable --now app", "echo '# theirs' >> /etc/systemd/system/app.service"] {
        host.sh(by_hand).expect(0);
        host.sh(RUN).expect(0);
        let state = words(
            &host
                .sh("systemctl is-enabled app; systemctl is-active app; \
            systemctl show --value -p UnitFileState,NeedDaemonReload app; bringup verify | tail -1")
                .stdout,
        );
        assert_eq!(state, "enabled active enabled no 1 passed, 0 failed.", "{by_hand}");
    }
    host.sh("ln -sf /dev/null /etc/systemd/system/nginx.service").expect(0);
    let said = host.sh(RUN).expect(1).words();
    assert!(said.contains("systemctl unmask nginx.service"), "{said}");
    host.sh("rm /etc/systemd/system/nginx.service && systemctl daemon-reload").expect(0);
    host.sh("bringup rollback --all --yes --plain").expect(0);
    assert_eq!(theirs(&host), serves, "a reload is enough");
    // What somebody wrote into a file of the first run is his.
    host.sh("grep theirs /etc/systemd/system/app.service && rm /srv/good /etc/systemd/system/app.service").expect(0);
    host.sh("systemctl daemon-reload").expect(0);
    host.assert_identical(&before);
}
