//! Another administrator works while a run works, fails, waits and is rolled back: nothing of theirs is lost, and
//! everything of ours is removed.

use crate::host::{Host, Init, answers};
use crate::pair::until;

/// What he does in the middle of the package transaction.
const EARLY: &str = r"
    echo '# mine' >> /etc/hosts
    mkdir -p /etc/cron.d /etc/ssh/sshd_config.d /opt/tool
    echo '0 3 * * * root true' > /etc/cron.d/mine
    echo 'X11Forwarding no' > /etc/ssh/sshd_config.d/mine.conf
    useradd alice
    printf '#!/bin/sh\n' > /usr/local/bin/mytool
    echo x > /opt/tool/run
    printf '[Service]\nExecStart=/bin/sleep 9999\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/mine.service
    systemctl enable --now mine.service
    (apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends sl >/tmp/sl.log 2>&1; echo $? > /tmp/sl.done) &
    until [ -d /etc/nginx/conf.d ]; do sleep 0.2; done
    echo '# mine' > /etc/nginx/conf.d/mine.conf
";

/// What must be there at the end, and what he then does to have the server as it was before all.
const STILL: &str = r"
    set -e
    grep -q mine /etc/hosts
    grep -q root /etc/cron.d/mine
    grep -q no /etc/ssh/sshd_config.d/mine.conf
    grep -q '^alice:' /etc/passwd && grep -q '^alice:' /etc/shadow
    test -e /usr/local/bin/mytool -a -e /opt/tool/run
    systemctl is-active -q mine.service && systemctl is-enabled -q mine.service
    grep -q mine /etc/nginx/conf.d/mine.conf
    grep -q later /etc/webapp/later.conf
    dpkg -s sl | grep -q 'ok installed'
";
const GONE: &str = r"
    sed -i '/# mine/d' /etc/hosts
    rm -rf /etc/cron.d/mine /etc/ssh/sshd_config.d/mine.conf /usr/local/bin/mytool /opt/tool /etc/nginx /etc/webapp
    rmdir /etc/ssh/sshd_config.d /etc/ssh 2>/dev/null
    systemctl disable -q --now mine.service; rm /etc/systemd/system/mine.service; systemctl daemon-reload
    userdel alice
    apt-get purge -y -q sl >/dev/null; apt-get autopurge -y -q >/dev/null
";

/// What his own tools leave, alone on a server: account files of the same lines with backups beside them, and dpkg's
/// records of packages that came and went.
fn is_of_his_tools(line: &str) -> bool {
    let paths = [
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/subuid",
        "/etc/subgid",
        "/etc/hosts",
        "/etc/cron.d",
        "/var/lib/dpkg",
        "/var/lib/apt",
        "/var/cache",
        "/var/lib/ucf",
        "/usr/share/man",
    ];
    paths.iter().any(|path| line.contains(path))
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn nothing_of_his_is_lost_and_everything_of_ours_is_gone() {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh("mkdir /root/app && echo 'raise RuntimeError(\"no luck today\")' > /root/app/app.py").expect(0);
    let file = answers(&[
        ("web.host", "app.example.test"),
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("database.engine", "postgresql"),
    ]);
    let before = host.manifest("before");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.bringup(&file.replace("guide: webapp\n", "guide: webapp\non_failure: pause\n")));
        // However busy the machine is: what he did before a run is not reported.
        until("packages are installed", || {
            host.sh("grep -q packages /var/lib/bringup/runs/*/journal.jsonl").status == 0
        });
        host.sh(EARLY).expect(0);
        run.join().unwrap();
    });
    // While it waits he goes on: in a directory of ours, and in a file of the run.
    host.sh("echo later > /etc/webapp/later.conf; echo '# by hand' >> /etc/webapp/env").expect(0);
    host.sh("until [ -e /tmp/sl.done ]; do sleep 0.5; done; cat /tmp/sl.log; exit $(cat /tmp/sl.done)").expect(0);
    let told = host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0).both();
    for name in ["/etc/webapp/env", "/etc/hosts", "/usr/local/bin/mytool", "/opt/tool"] {
        assert!(told.contains(&format!("kept: {name}")), "{name} is not reported:\n{told}");
    }
    host.sh("grep -q 'by hand' /etc/webapp/env").expect(0);
    host.sh(STILL).expect(0);
    // A second rollback has nothing to do, and does nothing.
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.sh(STILL).expect(0);
    host.sh(GONE).expect(0);
    let left = host.difference(&before);
    let ours: Vec<&str> = left.lines().filter(|line| !is_of_his_tools(line)).collect();
    assert!(ours.is_empty(), "left of ours:\n{}", ours.join("\n"));
}
