//! Line mode at a terminal that can do nothing but lines, typed by a script.

use crate::host::{Host, Init};

/// What the scripts below begin with. `open CMD` runs it in a terminal of its own whose screen is kept, `say` types
/// lines, `await` waits until a text is on the screen, `absent` fails when it is there.
const TYPIST: &str = r#"
set -eu
rm -f /tmp/keys /tmp/screen && mkfifo /tmp/keys
open() { TERM=$TERM script -qefc "$1" /tmp/screen </tmp/keys >/dev/null 2>&1 & shell=$!; exec 3>/tmp/keys; }
say() { printf '%s\n' "$@" >&3; }
absent() { if grep -q -- "$1" /tmp/screen; then echo "on the screen: $1"; exit 9; fi; }
await() { timeout 200 sh -c 'until grep -q -- "$1" /tmp/screen; do sleep 0.1; done' - "$1"; }
"#;

fn typed(host: &Host, term: &str, script: &str) -> crate::host::Ended {
    let ended = host.exec_env(&[&format!("TERM={term}")], &["bash", "-c", &format!("{TYPIST}{script}")]);
    if ended.status != 0 {
        println!("{}", host.sh("cat /tmp/screen").stdout);
    }
    ended
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn line_mode_leads_from_the_first_question_to_the_proofs_and_its_answers_replay() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    typed(
        &host,
        "dumb",
        r#"
        open bringup
        await 'What shall this server become'
        say 1 shop '' 70000 8080
        await 'out of range'
        say '' PostgreSQL local 2 '' ''
        await "role's password"; sleep 1
        say typed-secret.1
        await 'Which extensions'
        say ''
        await 'Which queue'
        say '' 12 '' auto ''
        await 'Which host name'
        say shop.example.test '' '' '' '' '' '' '' '' '' '' '' '' ''
        await 'how SSH is reached'
        say '' '' '' ''
        await 'Install security updates'
        say '' '' '' '' '' '' ''
        # Typed too early: this must not start anything.
        await 'Comparing the plan'
        say 1
        await 'What now'; sleep 1
        test ! -e /var/lib/bringup/runs
        say 1
        wait $shell
        grep -q 'is in production' /tmp/screen
        absent typed-secret
        absent "$(printf '\033')"
        "#,
    )
    .expect(0);

    // The answers hold no secret, and replay to the same plan.
    host.sh("! grep -rl typed-secret /var/lib/bringup --exclude-dir=secrets").expect(0);
    host.sh("cp /var/lib/bringup/runs/*/answers.yaml /root/replay.yaml && grep -q BRINGUP_DATABASE_PASSWORD /root/replay.yaml")
        .expect(0);
    let secret = ["BRINGUP_DATABASE_PASSWORD=typed-secret.1"];
    let replayed = host.exec_env(&secret, &["bringup", "plan", "--json", "--answers", "/root/replay.yaml"]);
    let plan: serde_json::Value = serde_json::from_str(&replayed.stdout).unwrap();
    let status = host.exec(&["bringup", "status", "--json"]).expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(plan["hash"], status[0]["plan"]);
    let again = host.exec_env(&secret, &["bringup", "--answers", "/root/replay.yaml"]).expect(0);
    assert!(again.both().contains("Nothing to do"), "{}", again.both());

    host.sh("rm -f /root/replay.yaml /tmp/keys /tmp/screen").expect(0);
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_terminal_comes_back_and_a_lost_one_takes_the_questions_with_it() {
    let host = Host::start("bookworm", Init::None);
    typed(
        &host,
        "xterm",
        r#"
        open 'stty -g >/tmp/before; bringup --guide webapp --save /root/s; echo "status $?" >/tmp/status; stty -g >/tmp/after'
        await 'application called'; sleep 1
        kill -TERM $(pidof bringup)
        wait $shell
        grep -q 'status 143' /tmp/status
        cmp /tmp/before /tmp/after

        rm /tmp/keys /tmp/screen; mkfifo /tmp/keys
        open 'bringup --guide webapp --save /root/s'
        await 'application called'; sleep 1
        kill -KILL $shell
        for i in $(seq 50); do pidof bringup >/dev/null || exit 0; sleep 0.1; done
        exit 1
        "#,
    )
    .expect(0);
    // Nobody to ask is a mistake of the command line.
    let nobody = host.sh("bringup </dev/null").expect(2);
    assert!(nobody.stderr.contains("--answers") && nobody.stderr.contains("terminal"), "{}", nobody.stderr);
}
