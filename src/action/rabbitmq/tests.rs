#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::action::carry;
use crate::action::testing::with_cx;
use crate::host::fake::FakeHost;
use crate::undo::Blobs;

fn action() -> Rabbitmq {
    serde_json::from_str(r#"{"user": "shop", "vhost": "shop", "password": "⟦secret:pw⟧"}"#).unwrap()
}

fn host() -> FakeHost {
    let host = FakeHost::debian("bookworm");
    host.put_file("/etc/group", "root:x:0:\nrabbitmq:x:117:\n", 0o644);
    for dir in ["/run", "/var/blobs", "/var/lib/rabbitmq"] {
        host.make_dir(Path::new(dir), Meta::root(0o755)).unwrap();
    }
    host
}

fn carry_out(host: &FakeHost, undo: &Undo) -> Undone {
    let (blobs, written_hashes, progress) = (Blobs::new("/var/blobs"), BTreeMap::new(), |_| {});
    carry::carry_out(
        undo,
        &UndoContext {
            host,
            blobs: &blobs,
            log: Path::new("/var/log/x"),
            progress: &progress,
            dumped: &|_, _| {},
            dumps: Path::new("/var/dumps"),
            drop_data: false,
            written_hashes: &written_hashes,
            data: None,
            post: None,
            died: None,
        },
    )
    .unwrap()
}

fn users(host: &FakeHost) -> Vec<String> {
    let text = host.run(&Command::new(["rabbitmqctl", "-q", "list_users"])).unwrap().text();
    text.lines().filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect()
}

#[test]
fn the_hash_is_the_one_that_the_broker_documents() {
    // The worked example of https://www.rabbitmq.com/docs/passwords: salt 908DC60A, password test12.
    assert_eq!(password_hash([0x90, 0x8d, 0xc6, 0x0a], "test12"), "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");
}

#[test]
fn a_user_is_made_guest_goes_and_both_come_back() {
    let host = host();
    host.run(&Command::new(["rabbitmqctl", "add_user", "guest"])).unwrap();
    let undo = with_cx(&host, |cx| {
        let undo = action().prepare(cx).unwrap().remove(0);
        action().apply(cx).unwrap();
        undo
    });
    assert_eq!(users(&host), ["shop"]);
    assert!(matches!(carry_out(&host, &undo), Undone::Done(_)));
    assert_eq!(users(&host), ["guest"]);
    assert_eq!(carry_out(&host, &undo), Undone::Nothing);
}

#[test]
fn tags_are_given_seen_and_taken_away() {
    let host = host();
    let plain = Rabbitmq { remove_guest: false, ..action() };
    let manager = Rabbitmq { tags: vec!["management".to_owned()], ..plain.clone() };
    with_cx(&host, |cx| {
        plain.apply(cx).unwrap();
        assert!(plain.has_its_tags(cx.host).unwrap() && !manager.has_its_tags(cx.host).unwrap());
        manager.apply(cx).unwrap();
        assert!(manager.has_its_tags(cx.host).unwrap() && !plain.has_its_tags(cx.host).unwrap());
        plain.apply(cx).unwrap();
        assert!(plain.has_its_tags(cx.host).unwrap());
    });
}

#[test]
fn a_user_that_existed_stays() {
    let host = host();
    host.run(&Command::new(["rabbitmqctl", "add_user", "shop"])).unwrap();
    let undo = with_cx(&host, |cx| action().prepare(cx).unwrap().remove(0));
    assert!(matches!(&undo, Undo::Rabbitmq { user_existed: true, vhost_existed: false, before: Some(_), .. }));
    carry_out(&host, &undo);
    assert_eq!(users(&host), ["shop"]);
}

#[test]
fn neither_the_password_nor_the_file_with_its_hash_remains() {
    let host = host();
    host.run(&Command::new(["rabbitmqctl", "add_user", "guest"])).unwrap();
    with_cx(&host, |cx| action().apply(cx).unwrap());
    assert!(host.list(Path::new("/run")).unwrap().iter().all(|path| !path.to_string_lossy().contains("rabbitmq")));
    assert!(host.commands().iter().all(|command| !format!("{:?}", command.argv).contains("s3cret-pass")));
    assert!(host.commands().iter().all(|command| command.stdin == crate::host::Stdin::Null));
}

#[test]
fn a_broker_that_does_not_listen_will_change() {
    with_cx(&host(), |cx| assert!(matches!(action().check(cx).unwrap(), Verdict::WouldChange(_))));
}

#[test]
fn the_name_of_a_user_is_no_option() {
    let action = Rabbitmq { user: "-p".to_owned(), ..action() };
    with_cx(&host(), |cx| assert!(action.apply(cx).unwrap_err().hint.is_some()));
}
