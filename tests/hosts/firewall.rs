//! The firewall over real SSH between two hosts: a change that cuts the session off is reverted, a second host sees
//! which ports are open, a reboot changes nothing, and a rollback leaves the rules of others alone.

use crate::host::Init;
use crate::pair::{Pair, until};

/// The stage of a product that brings a chain of its own.
const CHAIN: &str = "\
id: firewall
title: Firewall
why: For a test.
questions:
  - {id: manage, ask: Shall it?, type: bool, default: true, help: For a test.}
  - {id: revert_after, ask: When?, type: integer, default: 60, help: For a test.}
actions:
  - id: rules
    reason: a test
    firewall:
      {manager: iptables, name: test, allow: ['443'], chains: [RAVADA], revert_after: '{{ firewall.revert_after }}'}
";

/// Rules of somebody else.
const THEIRS: &str = "\
table inet theirs {
  chain input { type filter hook input priority 10; policy accept; tcp dport 4444 counter drop; }
  chain other { ip saddr 198.51.100.0/24 drop; }
}
";

impl Pair {
    fn firewall(&self, answers: &str) -> &'static str {
        self.answer(&format!("firewall: {{manage: true, {answers}}}"))
    }

    /// How a port looks from outside.
    pub fn state(&self, port: u16) -> String {
        let probed = self.admin.sh(&format!("bringup probe {} --ports {port} --json", self.address));
        let state = probed.stdout.split("\"state\": \"").nth(1).unwrap_or_default();
        state.split('"').next().unwrap_or_default().to_owned()
    }

    fn rules(&self) -> String {
        self.server.sh("nft -s list ruleset; iptables-save 2>/dev/null | grep -v '^[#:]'; true").expect(0).stdout
    }

    /// From the first rule to the last: changed over SSH, confirmed by a second connection, seen from outside before
    /// and after a reboot, and taken back to exactly what was there.
    fn there_and_back(&self, firewall: &str) {
        let run = self.firewall(firewall);
        let before = self.server.manifest("before");
        let rules = self.rules();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.ssh(run));
            self.await_deadline();
            self.ssh("true").expect(0);
            running.join().unwrap().expect(0);
        });
        // ufw and firewalld bring units of their own.
        if self.server.sh("test -e /etc/systemd/system/bringup-firewall.service").status == 0 {
            self.server.assert_confined();
        }
        let again = self.ssh(run).expect(0);
        assert!(again.both().contains("othing to do"), "{}", again.both());
        self.server.sh("bringup verify").expect(0);
        self.server.sh("bringup rollback --yes --plain").expect(0);
        assert_eq!(self.rules(), rules);
        self.server.assert_identical(&before);
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn rules_that_cut_the_administrator_off_come_back_by_themselves() {
    let pair = Pair::start("bullseye", "nftables");
    // Nobody is logged in, and the administrator's machine is in none of the networks.
    let run = pair.firewall("ssh_sources: [192.0.2.0/24], confirm: new_connection, revert_after: 20");
    let before = pair.server.manifest("before");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| pair.server.sh(run));
        pair.await_deadline();
        assert_eq!(pair.ssh("true").status, 255, "the rules do not cut anybody off, so they prove nothing");
        let ended = running.join().unwrap().expect(3);
        assert!(ended.both().contains("not confirmed by a new SSH connection"), "{}", ended.both());
        pair.ssh("true").expect(0);
    });
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_timer_outlives_the_run_and_the_journal_agrees() {
    let pair = Pair::start("bookworm", "nftables");
    let run = pair.firewall("ssh_sources: [192.0.2.0/24], confirm: new_connection, revert_after: 20");
    let before = pair.server.manifest("before");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| pair.server.sh(run));
        pair.await_deadline();
        pair.server.sh("systemctl kill -s KILL 'bringup-2*'").expect(0);
        running.join().unwrap().expect(4);
    });
    assert_eq!(pair.ssh("true").status, 255);
    pair.server.sh("bringup confirm").expect(1);
    until("the line comes back", || pair.ssh("true").status == 0);
    pair.server.sh("! nft list table inet bringup").expect(0);
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_second_host_finds_open_what_is_planned_before_and_after_a_reboot() {
    let pair = Pair::start("trixie", "nftables");
    pair.server.write("/root/theirs.nft", THEIRS);
    pair.server.sh("nft -f /root/theirs.nft").expect(0);
    let run = pair.firewall("ports: [\"8443\"]");
    pair.server.sh(run).expect(0);
    let as_planned = || {
        assert_eq!(pair.state(22), "open");
        assert_eq!([pair.state(443), pair.state(8443)], ["refused", "refused"], "let in, but nothing listens");
        assert_eq!([pair.state(5432), pair.state(4444)], ["timed_out", "timed_out"]);
    };
    as_planned();
    pair.server.assert_confined();
    assert!(pair.rules().contains("table inet theirs"));
    // What flushes everything has ours loaded again, right behind it.
    pair.server.sh("systemctl restart nftables").expect(0);
    until("our table is loaded again", || pair.server.sh("nft list table inet bringup").status == 0);
    pair.server.reboot();
    pair.admin.sh("ip neigh flush all").expect(0);
    as_planned();
    pair.server.sh("bringup verify").expect(0);
    let exit = pair.admin.sh(&format!("bringup probe {} --ports 22,5432=closed", pair.address));
    assert!(exit.expect(0).stdout.contains("As expected: 2 of 2"));
    pair.admin.sh(&format!("bringup probe {} --ports 5432", pair.address)).expect(6);
}

/// SSH opens to a knock and to nothing else, before and after a reboot; a run that nobody knocks for is taken back.
fn knocked_for(release: &str) {
    let pair = Pair::start(release, "nftables");
    let knock = |ports: &str| {
        let address = &pair.address;
        pair.admin
            .sh(&format!("for p in {ports}; do timeout 0.3 bash -c \"</dev/tcp/{address}/$p\"; done; true"))
            .expect(0);
    };
    // At its first boot with an SSH server systemd 257 makes a socket of its own for it.
    pair.server.reboot();
    pair.admin.sh("ip neigh flush all").expect(0);
    let run = pair.firewall("knock: [13123, 7511, 28855], confirm: new_connection, revert_after: 20");
    let before = pair.server.manifest("before");
    let known_to_nobody = pair.ssh(run).expect(3);
    let told = known_to_nobody.both();
    assert!(told.contains("knock on 13123, 7511, 28855, then log in by SSH"), "{told}");
    pair.server.assert_identical(&before);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| pair.server.sh(run));
        until("the rules are loaded", || pair.server.sh("nft list chain inet bringup knock_test").status == 0);
        assert_eq!(pair.ssh("true").status, 255, "nobody knocked");
        knock("13123 7511 28855");
        pair.ssh("sleep 1").expect(0);
        running.join().unwrap().expect(0);
    });
    for reboot in [false, true] {
        if reboot {
            pair.server.reboot();
            pair.admin.sh("ip neigh flush all").expect(0);
            pair.server.sh("bringup verify").expect(0);
        } else {
            // Who knocked before may come in for a while.
            pair.server.sh("nft flush set inet bringup knocked_test_3_ip").expect(0);
        }
        assert_eq!([pair.state(443), pair.state(22)], ["refused", "timed_out"]);
        for wrong in ["13123 7511", "28855 7511 13123", "13123 7511 7512 28855", "7511 28855"] {
            knock(wrong);
            assert_eq!(pair.state(22), "timed_out", "after {wrong}");
        }
        knock("13123 7511 443 28855");
        assert_eq!(pair.state(22), "open", "what is let in is no wrong knock");
    }
    let again = pair.ssh(run).expect(0);
    assert!(again.both().contains("othing to do"), "{}", again.both());
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    pair.server.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn ssh_opens_to_a_knock_with_the_oldest_nftables() {
    knocked_for("bullseye");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn ssh_opens_to_a_knock_with_the_newest_nftables() {
    knocked_for("trixie");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_table_of_our_own_leaves_no_trace_and_those_of_others_alone() {
    let pair = Pair::start("bookworm", "nftables");
    pair.server.write("/root/theirs.nft", THEIRS);
    pair.server.sh("nft -f /root/theirs.nft").expect(0);
    pair.there_and_back("revert_after: 60");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn rules_in_ufw_leave_no_trace() {
    let pair = Pair::start("bookworm", "ufw python3");
    pair.server.sh("ufw allow 22/tcp && ufw limit 9999 && ufw --force enable").expect(0);
    pair.there_and_back("revert_after: 60, ports: [\"5671 from 10.0.0.0/8\", 60000-61000/udp]");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn rules_in_firewalld_leave_no_trace() {
    let pair = Pair::start("trixie", "firewalld nftables");
    pair.server.sh("firewall-cmd --add-port=7777/tcp && firewall-cmd --permanent --add-service=http").expect(0);
    pair.there_and_back("revert_after: 60, ports: [\"5671 from 10.0.0.0/8\", 60000-61000/udp]");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn chains_of_iptables_leave_no_trace() {
    let pair = Pair::start("bullseye", "iptables nftables");
    pair.server.write("/root/guide/02-chain.yaml", CHAIN);
    pair.server.sh("sed -i s,common/firewall,02-chain, /root/guide/guide.yaml").expect(0);
    pair.there_and_back("revert_after: 60");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn without_systemd_a_process_of_its_own_puts_the_rules_back() {
    let pair = Pair::with("bookworm", Init::None, "nftables");
    let run = pair.firewall("ssh_sources: [192.0.2.0/24], confirm: new_connection, revert_after: 20");
    let before = pair.server.manifest("before");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| pair.server.sh(run));
        pair.await_deadline();
        assert_eq!(pair.ssh("true").status, 255, "the rules do not cut anybody off, so they prove nothing");
        // The run is gone, and with it all that it could do.
        let of_the_run = "tr '\\0' ' ' <$p/cmdline | grep -q '^[^ ]*bringup execute '";
        pair.server
            .sh(&format!("for p in /proc/[0-9]*; do {of_the_run} && kill -9 ${{p#/proc/}}; done; true"))
            .expect(0);
        running.join().unwrap().expect(4);
    });
    until("the line comes back", || pair.ssh("true").status == 0);
    pair.server.sh("bringup rollback --yes --plain").expect(0);
    pair.server.assert_identical(&before);
    pair.there_and_back("revert_after: 60");
}
