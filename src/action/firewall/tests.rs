#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use crate::action::testing::{Bench, kept};
use crate::host::Command;

/// Of others, and in nobody's way: as libvirt and fail2ban have them.
const THEIRS: &str = "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority 0; policy accept;\n\
                      \t\tip saddr 198.51.100.9 tcp dport 22 drop\n\t}\n}\n";

fn firewall(more: &serde_json::Value) -> Firewall {
    let mut fields = serde_json::json!({
        "manager": "nftables", "name": "webapp", "confirm": "none",
        "allow": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}],
    });
    for (key, value) in more.as_object().unwrap() {
        fields[key] = value.clone();
    }
    serde_json::from_value(fields).unwrap()
}

fn plain() -> Firewall {
    firewall(&serde_json::json!({}))
}

/// A host with SSH on 2222, where somebody is logged in.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.host.load_rules(THEIRS);
    bench.host.occupy("sshd", "0.0.0.0:2222".parse().unwrap());
    bench.host.connected("sshd: alice@pts/0", "10.0.0.1:2222", "192.0.2.7:51000");
    bench.host.put_file("/proc/net/if_inet6", "0 1 2 lo\n", 0o444);
    bench
}

fn rules(bench: &Bench) -> Vec<String> {
    let all = bench.host.loaded_rules();
    let ours = all.split("chain open_webapp {\n").nth(1).unwrap_or_default();
    ours.split("\t}\n").next().unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn what_the_plan_says_and_ssh_are_let_in_and_all_goes_back() {
    let bench = bench();
    bench.round_trip(&plain());
    assert_eq!(bench.host.loaded_rules(), {
        let only = Bench::new();
        only.host.load_rules(THEIRS);
        only.host.loaded_rules()
    });
    bench.make(&plain());
    assert_eq!(rules(&bench), ["tcp dport 80 accept", "tcp dport 443 accept", "tcp dport 2222 accept"]);
    assert!(bench.host.loaded_rules().contains("policy drop"));
    assert_eq!(bench.host.unknown_commands().iter().filter(|command| !command.contains("deadman")).count(), 0);
}

#[test]
fn the_same_rules_are_there_after_a_reboot_and_go_with_the_service() {
    let bench = bench();
    bench.make(&plain());
    let before = bench.host.loaded_rules();
    bench.host.reboot();
    assert_eq!(bench.host.loaded_rules(), before.replace(&listing_of_theirs(), ""));
    assert_eq!(bench.check(&plain()).unwrap(), Verdict::Unchanged);
    bench.host.run(&Command::new(["systemctl", "stop", "bringup-firewall.service"])).unwrap();
    assert_eq!(bench.host.loaded_rules(), "");
    assert!(bench.summary(&plain()).starts_with("let in 80/tcp, 443/tcp, 2222/tcp, drop everything else"));
}

fn listing_of_theirs() -> String {
    let only = Bench::new();
    only.host.load_rules(THEIRS);
    only.host.loaded_rules()
}

#[test]
fn who_is_logged_in_keeps_the_way_in_whatever_the_answers_say() {
    let bench = bench();
    let narrow = firewall(&serde_json::json!({"ssh_sources": ["203.0.113.0/24"]}));
    bench.make(&narrow);
    let ours = rules(&bench);
    assert!(ours.contains(&"ip saddr 203.0.113.0/24 tcp dport 2222 accept".to_owned()), "{ours:?}");
    assert!(ours.contains(&"ip saddr 192.0.2.7 tcp dport 2222 accept".to_owned()), "{ours:?}");
    assert!(!ours.contains(&"tcp dport 2222 accept".to_owned()), "{ours:?}");
    // Kept for somebody at that time: a later run finds nothing to do, although nobody is connected.
    let later = Bench::new();
    later.host.occupy("sshd", "0.0.0.0:2222".parse().unwrap());
    later.host.load_rules(&bench.host.loaded_rules());
    for path in ["/etc/bringup/firewall.nft", "/etc/bringup/firewall.d/webapp.nft"] {
        later.host.put_file(path, bench.host.text(path).unwrap(), 0o644);
    }
    later.host.put_file(
        "/etc/systemd/system/bringup-firewall.service",
        bench.host.text("/etc/systemd/system/bringup-firewall.service").unwrap(),
        0o644,
    );
    later.host.run(&Command::new(["systemctl", "enable", "--now", "bringup-firewall.service"])).unwrap();
    assert_eq!(later.check(&narrow).unwrap(), Verdict::Unchanged);
    let other = firewall(&serde_json::json!({"ssh_sources": ["198.51.100.0/24"]}));
    assert_ne!(later.check(&other).unwrap(), Verdict::Unchanged);
}

#[test]
fn other_answers_change_only_what_differs_and_go_back_to_the_first() {
    let bench = bench();
    bench.make(&plain());
    let first = (bench.host.loaded_rules(), bench.snapshot());
    let more = firewall(&serde_json::json!({"allow": ["80", "443"],
        "ssh_sources": ["192.0.2.0/24"]}));
    assert!(bench.diff(&more).contains("-\t\ttcp dport 2222 accept"), "{}", bench.diff(&more));
    let done = bench.make(&more);
    assert!(rules(&bench).contains(&"ip saddr 192.0.2.0/24 tcp dport 2222 accept".to_owned()));
    assert!(kept(bench.take_back(&done)).is_empty());
    assert_eq!(bench.host.loaded_rules(), first.0);
    assert_eq!(first.1.differences(&bench.snapshot()), Vec::<String>::new());
}

#[test]
fn who_has_no_network_of_his_own_knocks_first_and_nobody_is_kept_besides() {
    let bench = bench();
    let knock = |more: serde_json::Value| {
        let mut fields = serde_json::json!({"knock": [7003, 7001, 7002]});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        firewall(&fields)
    };
    let anywhere = knock(serde_json::json!({}));
    bench.round_trip(&anywhere);
    bench.make(&anywhere);
    assert_eq!(rules(&bench), ["tcp dport 80 accept", "tcp dport 443 accept"]);
    let loaded = bench.host.loaded_rules();
    assert!(loaded.contains("ip saddr @knocked_webapp_3_ip tcp dport 2222 accept"), "{loaded}");
    let stat = bench.host.stat(Path::new("/etc/bringup/firewall.d/webapp.nft")).unwrap().unwrap();
    assert_eq!(stat.meta.mode, 0o600);
    bench.host.reboot();
    assert_eq!(bench.check(&anywhere).unwrap(), Verdict::Unchanged);
    assert!(anywhere.prove(&bench.host).unwrap().contains("2222/tcp after a knock"));
    // Another row, or none, is another firewall.
    for other in [serde_json::json!({"knock": [7003, 7002, 7001]}), serde_json::json!({"ssh_sources": ["192.0.2.7"]})] {
        let other = knock(other);
        assert!(other.prove(&bench.host).is_err());
        assert_ne!(bench.check(&other).unwrap(), Verdict::Unchanged);
    }
    let first = bench.host.loaded_rules();
    let plain = plain();
    let done = bench.make(&plain);
    assert!(!bench.host.loaded_rules().contains("knock"));
    assert!(kept(bench.take_back(&done)).is_empty());
    assert_eq!(bench.host.loaded_rules(), first);
    let refused = |fields: serde_json::Value| bench.check(&knock(fields)).unwrap_err().to_string();
    assert!(refused(serde_json::json!({"manager": "ufw"})).contains("only nftables"));
    assert!(refused(serde_json::json!({"knock": [1, 2, 3]})).contains("a scan"));
    assert!(refused(serde_json::json!({"ssh_ports": [7001]})).contains("is SSH itself"));
}

#[test]
fn two_guides_share_the_table_and_neither_closes_what_the_other_opened() {
    let bench = bench();
    bench.make(&plain());
    let other = firewall(&serde_json::json!({"name": "shop", "allow": ["8443 from 10.0.0.0/8"]}));
    let done = bench.make(&other);
    assert_eq!(bench.check(&plain()).unwrap(), Verdict::Unchanged);
    assert!(bench.host.loaded_rules().contains("ip saddr 10.0.0.0/8 tcp dport 8443 accept"));
    bench.take_back(&done);
    assert_eq!(bench.check(&plain()).unwrap(), Verdict::Unchanged);
    assert!(!bench.host.loaded_rules().contains("8443"));
}

#[test]
fn rules_that_somebody_took_away_are_missed() {
    let bench = bench();
    bench.make(&plain());
    assert!(plain().prove(&bench.host).unwrap().contains("443/tcp"));
    bench.host.load_rules("flush ruleset\n");
    assert!(plain().prove(&bench.host).unwrap_err().why.contains("not in force"));
    bench.make(&plain());
    bench.host.run(&Command::new(["systemctl", "disable", "bringup-firewall.service"])).unwrap();
    assert!(plain().prove(&bench.host).unwrap_err().why.contains("after a reboot"));
    let less = firewall(&serde_json::json!({"allow": []}));
    assert!(less.prove(&bench.host).unwrap_err().why.contains("let in besides: 80/tcp, 443/tcp"));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_changed() {
    let bench = bench();
    bench.host.forget_calls();
    for (wrong, told) in [
        (serde_json::json!({"name": "a b"}), "no name"),
        (serde_json::json!({"allow": ["443", "443 from 10.0.0.0/8"]}), "443/tcp is open to everybody"),
    ] {
        let failure = bench.check(&firewall(&wrong)).unwrap_err();
        assert!(failure.to_string().contains(told) && failure.hint.is_some(), "{failure}");
    }
    bench.host.take_away("/proc/net/if_inet6");
    let six = firewall(&serde_json::json!({"ssh_sources": ["2001:db8::/32"]}));
    assert!(bench.check(&six).unwrap_err().why.contains("this host has none"));
    bench.host.load_rules(
        "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n",
    );
    let failure = bench.check(&plain()).unwrap_err();
    assert!(failure.why.contains("chain input of the table inet filter"), "{failure}");
    assert!(bench.host.calls().iter().all(|call| !call.changes), "{:?}", bench.host.calls());
}

#[test]
fn where_the_kernel_does_not_permit_it_nothing_is_begun() {
    let bench = bench();
    bench.host.on(&["nft"], |_, _| crate::host::fake::output(1, "", "Error: Operation not permitted\n"));
    assert!(bench.check(&plain()).unwrap_err().hint.unwrap().contains("CAP_NET_ADMIN"));
}

#[test]
fn an_ordinary_user_can_plan() {
    let bench = bench();
    let _ = bench.host.clone().as_user(1000);
    assert!(bench.summary(&plain()).contains("let in 80, 443 and SSH"));
}

#[test]
fn nobody_who_confirms_means_the_old_rules_and_a_failure() {
    let bench = bench();
    let before = (bench.host.loaded_rules(), bench.snapshot());
    let act = firewall(&serde_json::json!({"confirm": "new_connection", "revert_after": 30}));
    let failure = bench.try_to_make(&act).err().unwrap();
    assert!(failure.why.contains("nobody confirmed it by a new SSH connection within 30 s"), "{failure}");
    assert_eq!(bench.host.loaded_rules(), before.0);
    assert_eq!(before.1.differences(&bench.snapshot()), Vec::<String>::new());
}

#[test]
fn rules_that_cannot_be_loaded_change_nothing_and_leave_no_timer() {
    let bench = bench();
    let before = bench.host.loaded_rules();
    bench.host.on(&["nft", "-f"], |_, _| crate::host::fake::output(1, "", "Error: syntax error\n"));
    let failure = bench.try_to_make(&plain()).err().unwrap();
    assert!(failure.tail.join(" ").contains("syntax error"), "{failure:?}");
    assert_eq!(bench.host.loaded_rules(), before);
    let stopped =
        bench.host.commands().iter().any(|command| {
            command.argv.join(" ") == "systemctl stop -- bringup-deadman-early.timer bringup-deadman.timer"
        });
    assert!(stopped);
}

#[test]
fn a_confirmation_that_cannot_come_is_refused() {
    let bench = Bench::new();
    let act = firewall(&serde_json::json!({"confirm": "new_connection"}));
    let failure = bench.check(&act).unwrap_err();
    assert!(failure.why.contains("no SSH server") && failure.hint.is_some(), "{failure}");
    assert!(bench.check(&plain()).is_ok());
    let hasty = firewall(&serde_json::json!({"revert_after": 1}));
    assert!(bench.check(&hasty).unwrap_err().why.contains("too short"));
}

#[test]
fn who_can_reach_the_host_is_told_before_it_is_asked() {
    assert_eq!(plain().summary(), "80, 443 and SSH let in; everything else is dropped (nftables)");
    let narrow = firewall(&serde_json::json!({"allow": ["80", "5671 from 10.0.0.0/8"], "ssh_sources": ["192.0.2.7"]}));
    let told = "80, 5671 from 10.0.0.0/8, and SSH from 192.0.2.7 let in; everything else is dropped (nftables)";
    assert_eq!(narrow.summary(), told);
}
