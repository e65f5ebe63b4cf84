//! A server that is changed over SSH, and its administrator's host.

use std::time::{Duration, Instant};

use crate::host::{Ended, Host, Init, RUN};

/// A guide that is nothing but the shared stage.
const GUIDE: &str = "\
version: 1
guide: firewall
title: A firewall
summary: Nothing but the stage that all guides share.
stages: [01-public.yaml, common/firewall.yaml]
";

const PUBLIC: &str = "\
id: public
title: What is open
why: For a test.
locals:
  - {name: public, value: \"{'name': 'test', 'ports': [{'port': 443, 'name': 'https'}]}\"}
";

/// A server to be changed, and an administrator's machine with a key for it.
pub struct Pair {
    pub server: Host,
    pub admin: Host,
    pub address: String,
}

impl Pair {
    pub fn start(release: &str, packages: &str) -> Self {
        Self::with(release, Init::Systemd, packages)
    }

    pub fn with(release: &str, init: Init, packages: &str) -> Self {
        let (server, admin) = std::thread::scope(|scope| {
            let admin = scope.spawn(|| {
                let admin = Host::start("bookworm", Init::Systemd);
                install(&admin, "openssh-client");
                admin.sh("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519").expect(0);
                admin
            });
            let server = Host::start(release, init);
            install(&server, &format!("openssh-server {packages}"));
            if matches!(init, Init::None) {
                server.sh("service ssh start").expect(0);
            }
            (server, admin.join().unwrap())
        });
        let key = admin.sh("cat /root/.ssh/id_ed25519.pub").expect(0).stdout;
        server.sh("mkdir -p -m 0700 /root/.ssh /root/guide").expect(0);
        server.write("/root/.ssh/authorized_keys", &key);
        server.write("/root/guide/guide.yaml", GUIDE);
        server.write("/root/guide/01-public.yaml", PUBLIC);
        let address = server.address();
        let pair = Self { server, admin, address };
        pair.ssh("true").expect(0);
        pair
    }

    /// Runs a command on the server, over SSH.
    pub fn ssh(&self, command: &str) -> Ended {
        let options = "-o StrictHostKeyChecking=no -o LogLevel=ERROR -o ConnectTimeout=3";
        self.admin.sh(&format!("timeout 120 ssh {options} root@{} '{command}'", self.address))
    }

    /// Writes answers and gives the command that makes them so.
    pub fn answer(&self, sections: &str) -> &'static str {
        self.server.write("/root/answers.yaml", &format!("version: 1\nguide: firewall\n{sections}\n"));
        RUN
    }

    /// Waits until the server waits for its confirmation.
    pub fn await_deadline(&self) {
        // Runs that were rolled back keep their events.
        let events = "d=$(ls -d /var/lib/bringup/runs/*/ | tail -n 1) && [ ! -e $d/rollback.json ] && \
                      grep -qs '\"deadline\"' $d/events.jsonl";
        until("a deadline is told", || self.server.sh(events).status == 0);
    }
}

pub fn install(host: &Host, packages: &str) {
    host.sh(&format!("apt-get install -y -qq --no-install-recommends {packages} >/dev/null")).expect(0);
}

/// Waits for what comes by itself, for a minute.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
