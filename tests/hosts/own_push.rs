//! `git push` deploys: from another host, over SSH, with a key that opens nothing else.

use std::path::Path;

use crate::host::{Ended, answers, is_long, nothing_left_to_do};
use crate::own_app::{page, to, under_load};
use crate::pair::{Pair, install, until};

/// What a push of this revision says; on the developer's host.
fn push(pair: &Pair, what: &str) -> Ended {
    pair.admin.sh(&format!("cd /root/shop && timeout 300 git push server {what} 2>&1"))
}

/// Commits the application with this line on its page.
fn release(pair: &Pair, line: &str) {
    let source = include_str!("apps/flask/app.py").replace("three lines", line);
    pair.admin.write("/root/shop/app.py", &source);
    pair.admin.sh("cd /root/shop && git add -A && git commit -qm 'Next' --allow-empty").expect(0);
}

/// The commit that the server's repository has.
fn branch(pair: &Pair) -> String {
    pair.admin.sh("cd /root/shop && git ls-remote -q server refs/heads/main | cut -f 1").expect(0).stdout
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn what_is_pushed_is_deployed_or_the_push_fails() {
    if !is_long() {
        return;
    }
    let pair = Pair::start("bookworm", "curl");
    let (server, developer) = (&pair.server, &pair.admin);
    install(developer, "git");
    let key = developer.sh("cat /root/.ssh/id_ed25519.pub").expect(0).stdout;
    let before = server.manifest("before");
    let file = answers(&[
        ("application.source", "push"),
        ("application.packages", "[python3-flask]"),
        ("application.release", "cat app.py"),
        ("database.engine", "sqlite"),
        ("push.keys", &format!("{{anna: '{}'}}", key.trim())),
        ("push.limit_mib", "20"),
        ("web.host", "app.example.test"),
    ]);
    server.bringup(&file).expect(0);
    let told = server.sh("bringup status --plain").expect(0).words();
    assert!(told.contains("ssh://webapp-push@app.example.test/webapp.git && git push server main"), "{told}");
    assert!(page(server, "/").contains("Nothing here yet"));
    nothing_left_to_do(server, &file);
    let refused = server.sh("bringup deploy --plain").expect(1).both();
    assert!(refused.contains("nothing has been pushed yet"), "{refused}");
    // The four commands of the page.
    developer.push(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/apps/flask"), "/root/shop");
    developer.write(
        "/root/.gitconfig",
        "[user]\nname = Anna\nemail = anna@example.test\n[core]\nsshCommand = ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR\n",
    );
    // It has a setup.py only, which pip runs as the user who builds; the result is root's.
    developer.write("/root/shop/requirements.txt", "docopt\n./lib\n-e ./more\n");
    for (directory, name) in [("lib", "shop_lib"), ("more", "shop_more")] {
        let setup = format!("from setuptools import setup\nsetup(name='{name}', version='1', py_modules=['{name}'])\n");
        developer.sh(&format!("mkdir /root/shop/{directory} && touch /root/shop/{directory}/{name}.py")).expect(0);
        developer.write(&format!("/root/shop/{directory}/setup.py"), &setup);
    }
    let address = &pair.address;
    developer
        .sh(&format!(
            "cd /root/shop && git init -q -b main && git remote add server ssh://webapp-push@{address}/webapp.git"
        ))
        .expect(0);
    release(&pair, "one");
    let told = push(&pair, "main").expect(0).both();
    assert!(told.contains("remote: ") && told.contains("[new branch]"), "{told}");
    assert_eq!(page(server, "/"), "one\n");
    server.sh("cd /opt/webapp/venv/lib/python3*/site-packages && ls docopt.py shop_lib.py shop_more.py").expect(0);
    server.sh("[ -z \"$(find /opt/webapp ! -user root)\" ] && ! pgrep -u webapp-build").expect(0);
    let told = push(&pair, "main").expect(0).both();
    assert!(told.contains("up-to-date"), "{told}");
    nothing_left_to_do(server, &file);
    server.sh("bringup verify --plain").expect(0);
    let status = server.sh("bringup status --plain").expect(0).both();
    assert!(status.contains("main ("), "{status}");
    // No visitor notices the next one.
    release(&pair, "two");
    let seen = under_load(server, || push(&pair, "main").expect(0));
    assert!(seen.iter().all(|told| told.ends_with("200 one") || told.ends_with("200 two")), "{seen:?}");
    assert_eq!(page(server, "/"), "two\n");
    let good = branch(&pair);
    let goes_on = |line: &str| {
        assert_eq!(page(server, "/"), format!("{line}\n"));
        assert_eq!(branch(&pair), good);
    };
    // One that does not start: the push fails with the reason, and the former goes on, in settings to come, too.
    release(&pair, "three\\n\") + nothing(\"");
    let told = push(&pair, "main").expect(1).both();
    assert!(told.contains("pre-receive hook declined") && told.contains("NameError"), "{told}");
    goes_on("two");
    server.sh("bringup env set DEBUG=1 --plain").expect(0);
    goes_on("two");
    let told = server.sh("bringup deploy --plain").expect(0).both();
    assert!(told.contains("main is still at"), "{told}");
    // What is not deployed.
    let other = push(&pair, "HEAD:other").expect(1).both();
    assert!(other.contains("only the branch main is deployed here"), "{other}");
    let tag = developer.sh("cd /root/shop && git tag v1 && git push server v1 2>&1").expect(1).both();
    assert!(tag.contains("not refs/tags/v1"), "{tag}");
    let several = push(&pair, "main HEAD:other").expect(1).both();
    assert!(several.contains("push one branch at a time"), "{several}");
    let gone = push(&pair, ":main").expect(1).both();
    assert!(gone.contains("deletion prohibited") || gone.contains("cannot be deleted"), "{gone}");
    developer.sh("cd /root/shop && head -c 30000000 /dev/urandom > big").expect(0);
    release(&pair, "four");
    let large = push(&pair, "main").expect(1).both();
    assert!(large.contains("exceeds maximum allowed size"), "{large}");
    developer.sh("cd /root/shop && head -c 30000000 /dev/zero > big").expect(0);
    developer.sh("cd /root/shop && git add -A && git commit -q --amend -m x").expect(0);
    let unpacked = push(&pair, "main").expect(1).both();
    assert!(unpacked.contains("its files are larger than 20 MiB"), "{unpacked}");
    developer.sh("cd /root/shop && git reset -q --hard HEAD~1 && git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub && git commit -qm sub").expect(0);
    let module = push(&pair, "main").expect(1).both();
    assert!(module.contains("submodules are not pushed, and this is one: sub"), "{module}");
    developer.sh("cd /root/shop && git reset -q --hard HEAD~1").expect(0);
    goes_on("two");
    locked_up(&pair);
    // A release of 10 MB, with a link out of it, by force.
    developer.sh("cd /root/shop && git reset -q --hard HEAD~2 && head -c 10000000 /dev/urandom > big && ln -s /etc/shadow leak").expect(0);
    release(&pair, "five");
    let refused = push(&pair, "main").expect(1).both();
    assert!(refused.contains("non-fast-forward") || refused.contains("fetch first"), "{refused}");
    push(&pair, "+main").expect(0);
    assert_eq!(page(server, "/"), "five\n");
    server.sh("! runuser -u webapp -- cat /opt/webapp/app/leak").expect(0);
    pushers_in_each_others_way(&pair);
    server.exec(&["bringup", "rollback", "--all", "--yes", "--plain", "--drop-data"]).expect(0);
    server.assert_identical(&before);
}

/// A key opens git for the repository, and nothing else.
fn locked_up(pair: &Pair) {
    let ssh = |options: &str, command: &str| {
        let always = "-o StrictHostKeyChecking=no -o LogLevel=ERROR -o ConnectTimeout=3";
        pair.admin
            .sh(&format!("timeout 20 ssh {always} {options} webapp-push@{} {command} < /dev/null 2>&1", pair.address))
    };
    for (options, command) in [
        ("", ""),
        ("-tt", ""),
        ("", "id"),
        ("", "\"git-receive-pack '/etc'\""),
        ("", "\"git-receive-pack 'webapp.git'; id\""),
        ("", "\"git-upload-archive 'webapp.git'\""),
        ("-s", "sftp"),
    ] {
        let told = ssh(options, command);
        assert!(told.status != 0 && !told.both().contains("uid="), "{command}: {}", told.both());
    }
    let forwarded = ssh("-N -o ExitOnForwardFailure=yes -R 9999:localhost:22", "");
    assert!(forwarded.status != 0, "{}", forwarded.both());
    // Nothing that decides is the pusher's to write, and nobody else can hand something over.
    let as_user = |user: &str, script: &str| pair.server.sh(&format!("runuser -u {user} -- sh -c '{script}' 2>&1"));
    for path in ["", "/.ssh/authorized_keys", "/hooks", "/hooks/pre-receive", "/receive", "/deploy"] {
        as_user("webapp-push", &format!("test -w /opt/webapp/push{path}")).expect(1);
    }
    as_user("webapp-push", "ls /var/lib/webapp-push/received").expect(2);
    as_user("webapp-push", "touch /var/lib/webapp-push/x").expect(1);
    as_user("webapp", "ls /var/lib/webapp-push/repository.git").expect(2);
    let connect = "use IO::Socket::UNIX; exit !IO::Socket::UNIX->new(Peer => \"/run/webapp-push.socket\")";
    as_user("webapp", &format!("perl -e \"{}\"", connect.replace('"', "\\\""))).expect(1);
}

/// Two pushes at once, one while bringup works, and one whose developer goes away.
fn pushers_in_each_others_way(pair: &Pair) {
    let (server, developer) = (&pair.server, &pair.admin);
    let begin = || {
        developer.sh("cd /root/shop && (setsid git push server main > /tmp/first 2>&1; echo $? > /tmp/ended) >/dev/null 2>&1 &").expect(0);
        until("a run begins", || server.sh("pgrep -f '[b]ringup execute'").status == 0);
    };
    developer.sh("cd /root/shop && git rm -q --cached leak; rm leak; sed -i 's/^app = /import time; time.sleep(5)\\napp = /' app.py && git commit -qam slow").expect(0);
    begin();
    let second = push(pair, "main").expect(128).both();
    assert!(second.contains("another push is being deployed"), "{second}");
    until("the first has ended", || developer.sh("test -s /tmp/ended").status == 0);
    assert_eq!(developer.sh("cat /tmp/ended; rm /tmp/ended").stdout, "0\n");
    // The run goes on without the developer; the next push finds it done.
    developer.sh("cd /root/shop && sed -i s/five/six/ app.py && git commit -qam six").expect(0);
    begin();
    developer.sh("pkill -KILL -x ssh; pkill -KILL -x git; rm -f /tmp/ended").expect(0);
    until("it is deployed", || page(server, "/") == "six\n");
    until("the run has ended", || server.sh("pgrep -f '[b]ringup execute'").status != 0);
    until("the next push is taken", || push(pair, "main").status == 0);
    assert_eq!(page(server, "/"), "six\n");
    // An administrator's run comes first.
    server.sh("setsid sh -c 'bringup env set DEBUG=2 --plain' >/dev/null 2>&1 &").expect(0);
    until("a run begins", || server.sh("pgrep -f '[b]ringup execute'").status == 0);
    developer.sh("cd /root/shop && sed -i s/six/seven/ app.py && git commit -qam seven").expect(0);
    let refused = push(pair, "main").expect(1).both();
    assert!(refused.contains("is in progress"), "{refused}");
    until("the run has ended", || server.sh("pgrep -f '[b]ringup execute'").status != 0);
    push(pair, "main").expect(0);
    assert_eq!(page(server, "/"), "seven\n");
    server.sh(&format!("curl -sk {} https://app.example.test/ | grep seven", to("app.example.test"))).expect(0);
}
