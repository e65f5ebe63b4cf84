#![allow(clippy::unwrap_used)]

use super::super::Firewall;
use super::*;
use crate::action::contract::{Act, Verdict};
use crate::action::testing::{Bench, kept};
use crate::host::fake::{FakeHost, output};

const HEAD: &str = "*filter\n### RULES ###\n";
const TAIL: &str = "### END RULES ###\nCOMMIT\n";
const THEIRS: &str = "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n\
                      ### tuple ### limit any 9999 0.0.0.0/0 any 0.0.0.0/0 in comment=68656c6c6f\n";

/// What the kernel has, as the made-up ufw loaded it.
fn loaded(ipv6: bool) -> &'static str {
    if ipv6 { "/run/loaded6" } else { "/run/loaded4" }
}

/// The lines of the rules of a file.
fn lines(host: &FakeHost, ipv6: bool) -> Vec<String> {
    let text = host.text(FILES[usize::from(ipv6)]).unwrap();
    text.lines().filter(|line| line.starts_with("### tuple")).map(str::to_owned).collect()
}

fn write(host: &FakeHost, ipv6: bool, lines: &[String]) {
    let rules = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    host.put_file(FILES[usize::from(ipv6)], format!("{HEAD}{rules}{TAIL}"), 0o640);
}

fn load(host: &FakeHost) {
    for ipv6 in [false, true] {
        let rule = |line: &String| {
            let tuple = Tuple::parse(line, ipv6).unwrap();
            let Key { protocol, port, source, .. } = tuple.key;
            format!("-A x -s {source} -p {protocol} --dport {port} -j ACCEPT\n")
        };
        let rules: String = lines(host, ipv6).iter().map(rule).collect();
        host.put_file(loaded(ipv6), rules, 0o600);
    }
}

/// A host on which ufw is active, with rules of somebody else, and as much of ufw as our words need. As the real one
/// it changes a rule that is there when it is told one that differs in its comment only.
fn bench() -> Bench {
    let bench = Bench::new();
    let host = &bench.host;
    host.put_file("/etc/ufw/ufw.conf", "ENABLED=yes\n", 0o644);
    host.put_file("/etc/default/ufw", "IPV6=yes\nDEFAULT_INPUT_POLICY=\"DROP\"\n", 0o644);
    host.put_file("/etc/systemd/system/multi-user.target.wants/ufw.service", "", 0o644);
    host.put_file("/proc/net/if_inet6", "0 1 2 lo\n", 0o444);
    host.put_file(FILES[0], format!("{HEAD}{THEIRS}{TAIL}"), 0o640);
    host.put_file(FILES[1], format!("{HEAD}{TAIL}"), 0o640);
    host.occupy("sshd", "0.0.0.0:22".parse().unwrap());
    load(host);
    host.on(&["ufw"], |_, _| output(0, "Status: active\n", ""));
    host.on(&["ufw", "reload"], |host, _| {
        load(host);
        output(0, "", "")
    });
    for (words, deletes) in [(&["ufw", "allow"][..], false), (&["ufw", "--force", "delete", "allow"], true)] {
        host.on(words, move |host, command| {
            let after = |key: &str| {
                let at = command.argv.iter().position(|word| word == key)?;
                command.argv.get(at + 1).cloned()
            };
            let source = after("from").unwrap();
            let ipv6 = source.contains(':');
            let rule = format!(
                "### tuple ### allow {} {} {} any {source} in",
                after("proto").unwrap(),
                after("port").unwrap(),
                everywhere(ipv6)
            );
            let mut all = lines(host, ipv6);
            all.retain(|line| !line.starts_with(&rule));
            if !deletes {
                let hex =
                    after("comment").unwrap().bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
                all.push(format!("{rule} comment={hex}"));
            }
            write(host, ipv6, &all);
            load(host);
            output(0, "", "")
        });
    }
    for (words, ipv6) in [(["iptables", "-w", "-S"], false), (["ip6tables", "-w", "-S"], true)] {
        host.on(&words, move |host, _| output(0, &host.text(loaded(ipv6)).unwrap(), ""));
    }
    bench
}

fn firewall(more: &serde_json::Value) -> Firewall {
    let mut fields = serde_json::json!({
        "manager": "ufw", "name": "webapp", "confirm": "none",
        "allow": ["443", "5671 from 10.0.0.0/8, 2001:db8::/32", "60000-61000/udp"],
    });
    for (key, value) in more.as_object().unwrap() {
        fields[key] = value.clone();
    }
    serde_json::from_value(fields).unwrap()
}

fn plain() -> Firewall {
    firewall(&serde_json::json!({}))
}

#[test]
fn our_rules_come_and_go_and_those_of_others_stay_as_they_are() {
    let bench = bench();
    let before = bench.snapshot();
    let loaded_before = bench.host.text(loaded(false));
    let done = bench.make(&plain());
    assert_eq!(bench.check(&plain()).unwrap(), Verdict::Unchanged);
    let four = lines(&bench.host, false);
    assert_eq!(
        four[0], "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in",
        "SSH of somebody else is not made ours"
    );
    assert!(
        four.iter().any(|line| line.starts_with("### tuple ### allow tcp 5671 0.0.0.0/0 any 10.0.0.0/8 in comment="))
    );
    let six = lines(&bench.host, true);
    assert!(
        six.iter().any(|line| line.starts_with("### tuple ### allow udp 60000:61000 ::/0 any ::/0 in comment=")),
        "{six:?}"
    );
    assert!(six.iter().any(|line| line.starts_with("### tuple ### allow tcp 22 ::/0")), "SSH by IPv6 is ours: {six:?}");
    assert!(kept(bench.take_back(&done)).is_empty());
    assert_eq!(before.differences(&bench.snapshot()), Vec::<String>::new());
    assert_eq!(bench.host.text(loaded(false)), loaded_before);
}

#[test]
fn what_somebody_added_since_stays_when_ours_go() {
    let bench = bench();
    let done = bench.make(&plain());
    let mut four = lines(&bench.host, false);
    four.push("### tuple ### allow tcp 7777 0.0.0.0/0 any 0.0.0.0/0 in".to_owned());
    write(&bench.host, false, &four);
    bench.take_back(&done);
    let left = lines(&bench.host, false);
    assert!(left.iter().any(|line| line.contains(" 7777 ")), "{left:?}");
    assert!(!left.iter().any(|line| line.contains("comment=6272")), "{left:?}");
    assert!(!bench.host.text(loaded(false)).unwrap().contains("443"));
}

#[test]
fn until_it_is_confirmed_the_disk_has_the_old_rules_and_they_come_back() {
    let bench = bench();
    let before = (bench.snapshot(), bench.host.text(loaded(false)));
    let act = firewall(&serde_json::json!({"confirm": "new_connection", "revert_after": 20}));
    let seen = std::sync::Mutex::new(Vec::new());
    let failure = bench.with(|cx| {
        let progress = |_| {
            let kernel = bench.host.text(loaded(false)).unwrap();
            seen.lock().unwrap().push((kernel.contains("443"), lines(&bench.host, false).len()));
        };
        act.apply(&Context { progress: &progress, ..*cx }).unwrap_err()
    });
    assert!(failure.why.contains("nobody confirmed"), "{failure}");
    assert_eq!(seen.lock().unwrap()[0], (true, 2), "loaded, but not on the disk");
    assert_eq!(before.0.differences(&bench.snapshot()), Vec::<String>::new());
    assert_eq!(bench.host.text(loaded(false)), before.1);
}

#[test]
fn other_answers_change_only_what_differs() {
    let bench = bench();
    bench.make(&plain());
    let first = bench.snapshot();
    let done = bench.make(&firewall(&serde_json::json!({"allow": ["443", "8443"]})));
    let four = lines(&bench.host, false);
    assert!(
        four.iter().any(|line| line.contains(" 8443 ")) && !four.iter().any(|line| line.contains(" 5671 ")),
        "{four:?}"
    );
    bench.take_back(&done);
    assert_eq!(first.differences(&bench.snapshot()), Vec::<String>::new());
}

#[test]
fn where_ours_would_mean_nothing_it_is_refused_with_what_to_do() {
    let refused = |prepare: &dyn Fn(&FakeHost), act: &Firewall| {
        let bench = bench();
        prepare(&bench.host);
        let failure = bench.check(act).unwrap_err();
        assert!(failure.hint.is_some(), "{failure}");
        failure.why
    };
    let sources = firewall(&serde_json::json!({"ssh_sources": ["10.0.0.0/8"]}));
    assert!(refused(&|_| {}, &sources).contains("another administrator's rule admits everyone"));
    let status = |host: &FakeHost| host.on(&["ufw"], |_, _| output(0, "Status: inactive\n", ""));
    assert!(refused(&status, &plain()).contains("not loaded"));
    let not_at_boot = |host: &FakeHost| host.take_away("/etc/systemd/system/multi-user.target.wants/ufw.service");
    assert!(refused(&not_at_boot, &plain()).contains("not enabled"));
    let accept = |host: &FakeHost| host.put_file("/etc/default/ufw", "DEFAULT_INPUT_POLICY=\"ACCEPT\"\n", 0o644);
    assert!(refused(&accept, &plain()).contains("lets everything in by default"));
    let denies =
        |host: &FakeHost| write(host, false, &["### tuple ### deny any 443 0.0.0.0/0 any 0.0.0.0/0 in".to_owned()]);
    assert!(refused(&denies, &plain()).contains("denies 443/tcp"));
    let both = |host: &FakeHost| {
        host.put_file("/run/firewalld/.keep", "", 0o644);
        host.put_file("/proc/77/comm", "firewalld\n", 0o444);
    };
    assert!(refused(&both, &plain()).contains("both switched on"));
}

#[test]
fn rules_of_the_kernel_are_known_in_every_form() {
    let key = |ipv6: bool, protocol: &str, port: &str, source: &str| Key {
        ipv6,
        protocol: protocol.to_owned(),
        port: port.to_owned(),
        source: source.to_owned(),
    };
    let rules: Vec<String> = [
        "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A ufw-user-input -s 192.0.2.7/32 -p tcp -m tcp --dport 97 -j ACCEPT",
        "-A ufw6-user-input -s 2001:db8::/32 -p udp -m multiport --dports 60000:61000 -j ACCEPT",
        "-A ufw-user-input -p tcp -m tcp --dport 8083 -j ufw-user-limit-accept",
        "-A ufw-user-input -p tcp -m tcp --dport 98 -j DROP",
    ]
    .map(str::to_owned)
    .into();
    assert!(is_loaded(&rules, &key(false, "tcp", "22", "0.0.0.0/0")));
    assert!(is_loaded(&rules, &key(false, "tcp", "97", "192.0.2.7")));
    assert!(is_loaded(&rules, &key(true, "udp", "60000:61000", "2001:db8::/32")));
    assert!(is_loaded(&rules, &key(false, "tcp", "8083", "0.0.0.0/0")));
    assert!(!is_loaded(&rules, &key(false, "tcp", "98", "0.0.0.0/0")));
    assert!(!is_loaded(&rules, &key(false, "tcp", "97", "0.0.0.0/0")));
}
