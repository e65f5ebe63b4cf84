//! An OpenSSH server: it listens and lets in as its files said when it read them last, not as they say now.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FakeHost, output};

const MAIN: &str = "/etc/ssh/sshd_config";
const PARTS: &str = "/etc/ssh/sshd_config.d";
/// What is in force, as `sshd -T` would say it.
const IN_FORCE: &str = "/run/sshd/in-force";

impl FakeHost {
    /// Gives it a server under systemd with Debian's configuration and `more`, that runs.
    #[must_use]
    pub fn with_sshd(self, more: &str) -> Self {
        self.put_file(MAIN, format!("Include {PARTS}/*.conf\nUsePAM yes\n{more}"), 0o644);
        self.put_file(format!("{PARTS}/README"), "", 0o644);
        self.put_file("/usr/sbin/sshd", "", 0o755);
        self.put_file("/root/.ssh/authorized_keys", "ssh-ed25519 AAAAC3 test\n", 0o600);
        self.on(&["/usr/sbin/sshd", "-T"], |host, _| output(0, &effective(host), ""));
        self.on(&["systemctl", "show", "--value", "--property=ActiveState", "ssh.socket"], |_, _| {
            output(0, "inactive\n", "")
        });
        self.on(&["systemctl", "show", "--value", "--property=ActiveState", "ssh.service"], |_, _| {
            output(0, "active\n", "")
        });
        self.on(&["systemctl", "reload", "ssh.service"], |host, _| {
            host.sshd_reads();
            output(0, "", "")
        });
        self.sshd_reads();
        self
    }

    /// The server reads its files, as after a signal or at boot.
    pub fn sshd_reads(&self) {
        let effective = effective(self);
        self.vacate("sshd");
        for address in effective.lines().filter_map(|line| line.strip_prefix("listenaddress ")) {
            if let Ok(address) = address.parse() {
                self.occupy("sshd", address);
            }
        }
        self.put_file(IN_FORCE, effective, 0o644);
    }

    /// What the server does, as `sshd -T` would say it.
    pub fn sshd_in_force(&self) -> String {
        self.text(IN_FORCE).unwrap_or_default()
    }
}

fn effective(host: &FakeHost) -> String {
    let mut text = String::new();
    for name in super::Host::list(host, Path::new(PARTS)).unwrap_or_default() {
        let path = Path::new(PARTS).join(name);
        if path.extension().is_some_and(|extension| extension == "conf") {
            text += &host.text(path).unwrap_or_default();
        }
    }
    text += &host.text(MAIN).unwrap_or_default();
    let (mut ports, mut at, mut single) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (keyword, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        match keyword.to_ascii_lowercase().as_str() {
            "port" => ports.push(value),
            "listenaddress" => at.push(value),
            "include" => {}
            keyword if keyword.starts_with('#') => {}
            keyword => {
                single.entry(keyword.to_owned()).or_insert(value);
            }
        }
    }
    for (keyword, value) in [("passwordauthentication", "yes"), ("permitrootlogin", "without-password")] {
        single.entry(keyword.to_owned()).or_insert(value);
    }
    if ports.is_empty() {
        ports.push("22");
    }
    let mut lines: Vec<String> = ports.iter().map(|port| format!("port {port}")).collect();
    if at.is_empty() {
        lines.extend(ports.iter().map(|port| format!("listenaddress 0.0.0.0:{port}")));
    }
    lines.extend(at.iter().map(|at| format!("listenaddress {at}")));
    lines.extend(single.iter().map(|(keyword, value)| format!("{keyword} {value}")));
    lines.join("\n") + "\naddressfamily inet\n"
}
