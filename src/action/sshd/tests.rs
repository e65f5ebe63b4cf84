#![allow(clippy::unwrap_used)]

use super::*;
use crate::action::testing::Bench;
use crate::host::fake::FakeHost;

const OURS: &str = "/var/lib/bringup";

fn bench(config: &str) -> Bench {
    let host = FakeHost::new().with_sshd(config);
    host.put_file(format!("{OURS}/.keep"), "", 0o600);
    Bench::on(host, Path::new(OURS))
}

fn sshd(fields: &serde_json::Value) -> Sshd {
    let mut all = serde_json::json!({"port": 2222, "confirm": "none"});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

/// The round trip, but for what the kernel and the server say of themselves.
fn round_trip(bench: &Bench, act: &Sshd) {
    let seen = |bench: &Bench| bench.host.snapshot(&[OURS, "/proc"]);
    let before = seen(bench);
    let done = bench.make(act);
    assert_eq!(bench.check(act).unwrap(), Verdict::Unchanged);
    bench.take_back(&done);
    assert_eq!(before.differences(&seen(bench)), Vec::<String>::new());
}

fn why(bench: &Bench, fields: &serde_json::Value) -> String {
    bench.check(&sshd(fields)).unwrap_err().why
}

#[test]
fn a_port_moves_and_comes_back() {
    for config in ["", "Port 22\n", "ListenAddress 0.0.0.0\n#Port 1\n"] {
        round_trip(&bench(config), &sshd(&serde_json::json!({"keys_only": true, "root_login": "with_key"})));
    }
    let bench = bench("Port 22\n");
    bench.host.connected("sshd: alice@pts/0", "10.0.0.1:22", "192.0.2.7:51000");
    let waiting = sshd(&serde_json::json!({"confirm": "new_connection"}));
    let shown = "have SSH listen on port 2222 at every address; 0.0.0.0:22 stays open until an administrator has logged in this way \
                 (logged in now: from 192.0.2.7)";
    assert_eq!(bench.summary(&waiting), shown);
    let diff = bench.diff(&sshd(&serde_json::json!({})));
    assert!(diff.contains("+Port 2222\n") && diff.contains("-Port 22\n+#bringup: Port 22\n"), "{diff}");
    bench.make(&sshd(&serde_json::json!({"keys_only": true})));
    let now = bench.host.sshd_in_force();
    assert!(now.contains("listenaddress 0.0.0.0:2222") && !now.contains(":22\n"), "{now}");
    assert!(now.contains("passwordauthentication no"), "{now}");
}

#[test]
fn what_is_so_already_is_left_alone() {
    assert_eq!(bench("").check(&sshd(&serde_json::json!({"port": 22}))).unwrap(), Verdict::Unchanged);
    assert_eq!(bench("Port 2222\n").check(&sshd(&serde_json::json!({}))).unwrap(), Verdict::Unchanged);
    // Keys only is said once more where nobody may contradict it later.
    assert_eq!(
        bench("").summary(&sshd(&serde_json::json!({"port": 22, "keys_only": true}))),
        "have SSH listen on port 22 at every address, take keys only"
    );
}

#[test]
fn what_cannot_be_or_would_lock_somebody_out_is_refused() {
    let bench = bench("");
    bench.host.occupy("nginx", "0.0.0.0:80".parse().unwrap());
    bench.host.occupy("redis", "127.0.0.1:6379".parse().unwrap());
    bench.host.put_file("/proc/net/fib_trie", "  |-- 10.0.0.5\n     /32 host LOCAL\n", 0o444);
    assert!(why(&bench, &serde_json::json!({"port": 0})).contains("0 is no port"));
    assert!(why(&bench, &serde_json::json!({"port": 80})).contains("already taken by nginx"));
    assert!(why(&bench, &serde_json::json!({"port": 6379})).contains("already taken by redis"));
    assert!(bench.check(&sshd(&serde_json::json!({"port": 6379, "listen": ["10.0.0.5"]}))).is_ok());
    assert!(why(&bench, &serde_json::json!({"listen": ["10.0.0.6"]})).contains("no address 10.0.0.6; it has 10.0.0.5"));
    assert!(why(&bench, &serde_json::json!({"root_login": "never"})).contains("nobody could log in"));
    bench.host.take_away("/root/.ssh/authorized_keys");
    assert!(why(&bench, &serde_json::json!({"keys_only": true})).contains("nobody could log in"));
    assert!(bench.check(&sshd(&serde_json::json!({}))).is_ok(), "a port alone asks for nobody's key");
}

#[test]
fn a_server_that_does_not_do_what_its_files_say_is_refused() {
    let bench = bench("");
    bench.host.put_file("/etc/ssh/sshd_config.d/x.conf", "Port 7\n", 0o644);
    let why = why(&bench, &serde_json::json!({}));
    assert_eq!(why, "SSH listens at 0.0.0.0:22, but its configuration says 0.0.0.0:7: there would be no way back");
}

#[test]
fn a_server_that_does_not_listen_as_planned_goes_on_as_before() {
    let bench = bench("");
    // Somebody takes the port between the check and the change.
    bench.host.on(&["systemctl", "daemon-reload"], |host, _| {
        host.occupy("thief", "0.0.0.0:2222".parse().unwrap());
        crate::host::fake::output(0, "", "")
    });
    bench.host.on(&["systemctl", "reload", "ssh.service"], |host, _| {
        host.sshd_reads();
        if host.sshd_in_force().contains(":2222") {
            host.occupy("thief", "0.0.0.0:2222".parse().unwrap());
        }
        crate::host::fake::output(0, "", "")
    });
    let failure = bench.try_to_make(&sshd(&serde_json::json!({}))).err().unwrap();
    assert!(failure.why.contains("instead of 0.0.0.0:22, 0.0.0.0:2222"), "{failure}");
    assert!(bench.host.text(config::OURS).is_none());
    assert!(!bench.host.sshd_in_force().contains("2222"));
}

#[test]
fn without_openssh_there_is_nothing_to_change() {
    let bench = bench("");
    bench.host.take_away("/usr/sbin/sshd");
    assert!(why(&bench, &serde_json::json!({})).contains("no OpenSSH server"));
}
