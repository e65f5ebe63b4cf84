//! SSH itself is changed over SSH between two hosts: a new port is kept only after a login on it, passwords are refused
//! only where an administrator has a key, and a rollback leaves the configuration of others alone.

use crate::host::Init;
use crate::pair::{Pair, until};

/// The shared stage, without a firewall and with one.
const GUIDE: &str = "\
version: 1
guide: firewall
title: SSH
summary: Nothing but the stages that all guides share.
stages: [01-public.yaml, common/firewall.yaml, common/ssh.yaml]
";

impl Pair {
    fn for_ssh(release: &str, packages: &str) -> Self {
        let pair = Self::start(release, packages);
        pair.server.write("/root/guide/guide.yaml", GUIDE);
        pair
    }

    fn hardened(&self, answers: &str) -> &'static str {
        self.answer(&format!("firewall: {{manage: false}}\nssh: {{manage: true, {answers}}}"))
    }

    /// Whether somebody with the key can log in on a port.
    fn lets_in(&self, port: u16) -> bool {
        self.on(port, "sleep 1").status == 0
    }

    /// Runs a command on the server, over SSH on a port.
    fn on(&self, port: u16, command: &str) -> crate::host::Ended {
        let options =
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=3";
        self.admin.sh(&format!("timeout 120 ssh -p {port} {options} root@{} '{command}'", self.address))
    }

    /// The ways to log in that a stranger is offered on a port.
    fn offered(&self, port: u16) -> String {
        let options = "-v -o BatchMode=yes -o PubkeyAuthentication=no -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
        let told = self.admin.sh(&format!("ssh -p {port} {options} root@{} true", self.address)).both();
        let line = told.lines().find_map(|line| line.split_once("Authentications that can continue: "));
        line.map(|(_, ways)| ways.trim().to_owned()).unwrap_or_default()
    }

    /// Runs it over SSH, and logs in on `port` when that is waited for.
    fn confirmed(&self, run: &str, port: u16) -> crate::host::Ended {
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.ssh(run));
            self.await_deadline();
            assert!(self.lets_in(port), "the new way does not work");
            running.join().unwrap()
        })
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_new_port_is_kept_by_a_login_on_it_and_taken_back_without_a_trace() {
    let pair = Pair::for_ssh("bookworm", "");
    pair.server.sh("sed -i '1a Port 22' /etc/ssh/sshd_config && systemctl reload ssh").expect(0);
    let run = pair.hardened("port: 2222, keys_only: true, revert_after: 60");
    let before = pair.server.manifest("before");
    pair.confirmed(run, 2222).expect(0);
    assert_eq!([pair.state(22), pair.state(2222)], ["refused", "open"]);
    assert_eq!(pair.offered(2222), "publickey");
    let again = pair.on(2222, run).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    pair.server.reboot();
    pair.admin.sh("ip neigh flush all").expect(0);
    assert!(pair.lets_in(2222));
    pair.server.sh("bringup verify").expect(0);
    pair.on(2222, "bringup rollback --yes --plain").expect(0);
    assert!(pair.lets_in(22) && !pair.lets_in(2222));
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn without_a_login_on_the_new_port_everything_is_as_before_by_itself() {
    let pair = Pair::for_ssh("trixie", "");
    let run =
        pair.hardened("port: 2222, keys_only: true, root_login: with_key, confirm: new_connection, revert_after: 20");
    let before = pair.server.manifest("before");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| pair.ssh(run));
        pair.await_deadline();
        // The old way works on, and proves nothing; nothing is on the disk.
        assert!(pair.lets_in(22));
        assert_eq!([pair.offered(22), pair.offered(2222)], ["publickey", "publickey"]);
        pair.server.sh("! ls /etc/ssh/sshd_config.d/* 2>/dev/null").expect(0);
        let ended = running.join().unwrap().expect(3);
        assert!(ended.both().contains("not confirmed by a new SSH connection"), "{}", ended.both());
    });
    assert!(pair.lets_in(22) && !pair.lets_in(2222));
    assert_eq!(pair.offered(22), "publickey,password");
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_old_way_comes_back_when_the_run_is_dead() {
    let pair = Pair::for_ssh("bullseye", "");
    let run = pair.hardened("port: 2222, keys_only: true, confirm: new_connection, revert_after: 20");
    let before = pair.server.manifest("before");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| pair.server.sh(run));
        pair.await_deadline();
        pair.server.sh("systemctl kill -s KILL 'bringup-2*'").expect(0);
        running.join().unwrap().expect(4);
    });
    assert_eq!(pair.offered(22), "publickey");
    until("passwords are taken again", || pair.offered(22) == "publickey,password");
    assert!(!pair.lets_in(2222));
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn whoever_would_be_locked_out_is_refused_before_anything_is_changed() {
    let pair = Pair::for_ssh("bookworm", "nginx-light");
    let before = pair.server.manifest("before");
    for (answers, expected) in [
        ("port: 80", "port 80 is already taken by nginx"),
        ("port: 0", "1 to 65535"),
        ("listen: [10.99.99.99]", "does not have the address 10.99.99.99"),
        ("root_login: never", "no administrator could log in any longer"),
    ] {
        let ended = pair.server.sh(pair.hardened(answers)).expect(1);
        assert!(ended.both().contains(expected), "{answers}: {}", ended.both());
    }
    pair.server.sh("mv /root/.ssh /root/ssh").expect(0);
    let ended = pair.server.sh(pair.hardened("keys_only: true")).expect(1);
    assert!(ended.both().contains("has a public key here"), "{}", ended.both());
    pair.server.sh("mv /root/ssh /root/.ssh").expect(0);
    pair.server.sh("printf 'Match User bob\\nPasswordAuthentication yes\\n' >>/etc/ssh/sshd_config").expect(0);
    let ended = pair.server.sh(pair.hardened("keys_only: true")).expect(1);
    assert!(ended.both().contains("makes an exception"), "{}", ended.both());
    pair.server
        .sh("head -n -2 /etc/ssh/sshd_config >/root/x && cat /root/x >/etc/ssh/sshd_config; rm /root/x")
        .expect(0);
    assert_eq!(pair.offered(22), "publickey,password");
    let differing = pair.server.difference(&before);
    assert!(differing.lines().all(|line| line.contains("sshd_config") || !line.starts_with('~')), "{differing}");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_firewall_lets_in_both_ports_until_one_is_kept() {
    let pair = Pair::for_ssh("bookworm", "nftables");
    let run = pair.answer(
        "firewall: {manage: true, confirm: none}\nssh: {manage: true, port: 2222, confirm: new_connection, revert_after: 60}",
    );
    let before = pair.server.manifest("before");
    pair.confirmed(run, 2222).expect(0);
    assert_eq!([pair.state(22), pair.state(2222)], ["timed_out", "open"], "the old port is let in no more");
    let again = pair.on(2222, run).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    pair.server.sh("bringup verify").expect(0);
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    assert!(pair.lets_in(22));
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn where_systemd_holds_the_socket_the_port_is_changed_there() {
    let pair = Pair::for_ssh("trixie", "");
    pair.server.sh("systemctl disable --now ssh.service && systemctl enable --now ssh.socket").expect(0);
    pair.ssh("true").expect(0);
    let run = pair.hardened("port: 2222, keys_only: true, revert_after: 60");
    let before = pair.server.manifest("before");
    pair.confirmed(run, 2222).expect(0);
    assert_eq!([pair.state(22), pair.state(2222)], ["refused", "open"]);
    assert_eq!(pair.offered(2222), "publickey");
    let again = pair.on(2222, run).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    pair.server.sh("bringup verify").expect(0);
    pair.on(2222, "bringup rollback --yes --plain").expect(0);
    assert!(pair.lets_in(22) && !pair.lets_in(2222));
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_single_address_is_listened_at_after_a_reboot_too() {
    let pair = Pair::for_ssh("bookworm", "");
    let run = pair.hardened(&format!("port: 2222, listen: [{}], confirm: none", pair.address));
    let before = pair.server.manifest("before");
    pair.ssh(run).expect(0);
    assert!(pair.lets_in(2222));
    pair.server.reboot();
    pair.admin.sh("ip neigh flush all").expect(0);
    assert!(pair.lets_in(2222) && !pair.lets_in(22));
    let ordered = pair.server.sh("systemctl show -p After ssh.service").expect(0);
    assert!(ordered.stdout.contains("network-online.target"));
    pair.server.sh("bringup verify").expect(0);
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    assert!(pair.lets_in(22));
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn without_systemd_the_init_script_takes_it_up_and_one_address_is_enough() {
    let pair = Pair::with("bookworm", Init::None, "");
    pair.server.write("/root/guide/guide.yaml", GUIDE);
    let run = pair.hardened(&format!("listen: [{}], keys_only: true, revert_after: 60", pair.address));
    let before = pair.server.manifest("before");
    pair.confirmed(run, 22).expect(0);
    pair.server.sh("! ssh-keyscan -T 2 127.0.0.1 2>/dev/null | grep -q .").expect(0);
    assert_eq!(pair.offered(22), "publickey");
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    pair.server.sh("ssh-keyscan -T 2 127.0.0.1 2>/dev/null | grep -q .").expect(0);
    pair.server.assert_identical(&before);
}
