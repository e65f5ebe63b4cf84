//! Logs that are sent to another server: over TLS, to no other one, and kept while it is down.

use std::time::{Duration, Instant};

use crate::host::{Host, Init, answers};

/// What takes logs: an authority, a certificate for `logs.example.test`, and a rsyslog that wants TLS.
pub const RECEIVER: &str = r#"set -e; mkdir /root/ca; cd /root/ca
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test-ca -days 30 -keyout ca-key.pem -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=logs -keyout key.pem -out request.pem 2>/dev/null
echo subjectAltName=DNS:logs.example.test > names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile names -out cert.pem 2>/dev/null
apt-get install -qq -y --no-install-recommends rsyslog rsyslog-gnutls >/dev/null 2>&1
cat > /etc/rsyslog.d/take.conf <<'END'
global(DefaultNetstreamDriverCAFile="/root/ca/ca.pem" DefaultNetstreamDriverCertFile="/root/ca/cert.pem"
       DefaultNetstreamDriverKeyFile="/root/ca/key.pem")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.Authmode="anon")
input(type="imtcp" port="6514" ruleset="taken")
ruleset(name="taken") { action(type="omfile" file="/var/log/taken") }
END
systemctl restart rsyslog"#;

fn file(host: &str, authority: &str) -> String {
    answers(&[
        ("web.host", "app.example.test"),
        ("logs.remote", &format!("'{host}:6514'")),
        ("logs.authority", authority),
        ("logs.journal_mib", "64"),
    ])
}

/// Waits until the receiver has got a line.
pub fn arrives(receiver: &Host, line: &str) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while receiver.sh(&format!("grep -q '{line}' /var/log/taken")).status != 0 {
        let taken = || receiver.sh("tail -n 5 /var/log/taken; journalctl -u rsyslog -n 5 --no-pager").both();
        assert!(Instant::now() < deadline, "{line:?} did not arrive:\n{}", taken());
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn logs_are_sent_over_tls_and_kept_while_nobody_takes_them() {
    let receiver = Host::start("bookworm", Init::Systemd);
    receiver.sh(RECEIVER).expect(0);
    let host = Host::start("bookworm", Init::Systemd);
    let address = receiver.address();
    host.sh(&format!("echo {address} logs.example.test other.example.test >> /etc/hosts")).expect(0);
    host.write("/root/ca.pem", &receiver.sh("cat /root/ca/ca.pem").expect(0).stdout);
    let before = host.manifest("before");

    // Another name than the certificate's, an authority that did not issue it, nobody there: nothing is begun.
    host.bringup(&file("other.example.test", "/root/ca.pem")).expect(1);
    host.bringup(&file("logs.example.test", "''")).expect(1);
    receiver.sh("systemctl stop syslog.socket rsyslog").expect(0);
    host.bringup(&file("logs.example.test", "/root/ca.pem")).expect(1);
    host.assert_identical(&before);

    receiver.sh("systemctl start rsyslog").expect(0);
    host.bringup(&file("logs.example.test", "/root/ca.pem")).expect(0);
    host.sh("logger first-line").expect(0);
    arrives(&receiver, "first-line");
    assert!(
        host.sh("journalctl --header | head -3; systemd-analyze cat-config systemd/journald.conf")
            .expect(0)
            .stdout
            .contains("SystemMaxUse=64M")
    );

    receiver.sh("systemctl stop syslog.socket rsyslog").expect(0);
    host.sh("logger -t kept second-line; sleep 1; logger third-line").expect(0);
    host.reboot();
    receiver.sh("systemctl start rsyslog").expect(0);
    host.sh("logger fourth-line").expect(0);
    arrives(&receiver, "third-line");
    arrives(&receiver, "fourth-line");

    host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}
