//! A run that fails and asks: every decision, from any terminal, has its stated effect.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::host::{Ended, Host, Init, answers};
use crate::pair::until;

/// A machine with an application that does not start, because of its first line.
fn spoiled() -> Host {
    let host = Host::start("bookworm", Init::Systemd);
    host.push(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/webapp/demo"), "/root/app");
    host.sh("sed -i '1i raise RuntimeError(\"no luck today\")' /root/app/app.py").expect(0);
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.worker", "python3 worker.py"),
        ("database.engine", "sqlite"),
        ("web.host", "app.example.test"),
    ]);
    host.write("/tmp/answers.yaml", &file);
    host
}

/// Starts a run that asks, without a terminal, and returns when it does.
fn ask(host: &Host) -> String {
    let run = "bringup --plain --on-failure ask --answers /tmp/answers.yaml";
    host.sh(&format!("nohup sh -c '{run}; echo $? > /tmp/status' > /tmp/out 2>&1 &")).expect(0);
    question(host, "")
}

/// The number of the question that the run asks; another one than `before`.
fn question(host: &Host, before: &str) -> String {
    let start = Instant::now();
    loop {
        let number = host.sh("grep -o '\"number\":[0-9]*' /var/lib/bringup/runs/*/waiting.json").stdout;
        if !number.is_empty() && number != before {
            return number;
        }
        let log = || host.sh("tail -n 20 /tmp/out").both();
        assert_ne!(host.sh("test -e /tmp/status").status, 0, "the run is over:\n{}", log());
        assert!(start.elapsed() < Duration::from_mins(10), "the run never asked:\n{}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What the follower that started the run returned and wrote.
fn followed(host: &Host) -> Ended {
    let script = "n=0; until test -s /tmp/status || test $n = 6000; do sleep 0.1; n=$((n + 1)); done; \
                  cat /tmp/out; exit $(cat /tmp/status)";
    host.sh(script)
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_question_outlives_terminals_and_a_power_cut() {
    let host = spoiled();
    ask(&host);
    // The follower hears of the question a moment after it was asked.
    until("the ways to decide are told", || host.sh("grep -q 'bringup decide retry' /tmp/out").status == 0);
    let told = host.sh("cat /tmp/out").stdout;
    let (failure, ways) = (told.find("no luck today"), told.find("bringup decide retry"));
    assert!(failure.is_some() && failure < ways, "the failure comes first, then what can be done:\n{told}");
    let status = host.exec(&["bringup", "status"]).expect(0).stdout;
    assert!(status.contains("waiting for a decision about services.app") && status.contains("since 20"), "{status}");
    let json = host.exec(&["bringup", "status", "--json"]).expect(0).stdout;
    assert!(json.contains("\"step\": \"services.app\"") && json.contains("\"rollback_stage\""), "{json}");
    // What is not offered is refused, and it goes on waiting.
    let refused = host.exec(&["bringup", "decide", "skip"]).expect(1).stderr;
    assert!(refused.contains("services.app does not allow it"), "{refused}");
    // A terminal that comes later is asked too, and may go again.
    let attach = "printf '\\n' | TERM=dumb script -qec 'bringup attach' /dev/null";
    let asked = host.sh(attach).expect(130).both();
    assert!(asked.contains("1  retry") && asked.contains("The run waits for a decision"), "{asked}");

    host.cut();
    host.boot();
    let status = host.exec(&["bringup", "status"]).expect(0).stdout;
    assert!(status.contains("interrupted") && !status.contains("waiting for a decision"), "{status}");
    host.exec(&["bringup", "decide", "retry"]).expect(1);
    // Repaired, the failed step is tried again, by whoever resumes.
    host.sh("sed -i 1d /opt/webapp/app/app.py").expect(0);
    let resumed = host.exec(&["bringup", "resume", "--yes", "--plain", "--on-failure", "rollback"]).expect(0).both();
    assert!(resumed.contains("services.app: done") && resumed.contains("services.page: verified"), "{resumed}");
    host.exec(&["bringup", "verify"]).expect(0);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_stage_is_taken_back_alone_and_then_everything() {
    let host = spoiled();
    let before = host.manifest("before");
    let first = ask(&host);
    host.sh("test -e /etc/systemd/system/webapp.service && test -e /etc/nginx/sites-available/webapp").expect(0);
    host.exec(&["bringup", "decide", "rollback-stage"]).expect(0);
    question(&host, &first);
    host.sh("test ! -e /etc/systemd/system/webapp.service && test ! -e /opt/webapp/bin").expect(0);
    host.sh("test -e /etc/nginx/sites-available/webapp").expect(0);
    assert_eq!(host.sh("systemctl is-active nginx").stdout.trim(), "inactive");
    host.exec(&["bringup", "abort"]).expect(0);
    let told = followed(&host).expect(3).both();
    assert!(told.contains("decided: roll back the stage") && told.contains("decided: roll back everything"), "{told}");
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn other_answers_lead_to_production_and_all_the_way_back() {
    let host = spoiled();
    let before = host.manifest("before");
    ask(&host);
    let other =
        answers(&[("database.engine", "postgresql"), ("web.host", "app.example.test"), ("web.https_port", "8443")]);
    host.write("/tmp/answers.yaml", &other);
    // It is shown all the same, and that a run of its own would be refused while this one waits.
    host.sh("bringup plan --json --answers /tmp/answers.yaml > /tmp/plan.json").expect(1);
    // What the wizard does when somebody changes an answer.
    let decide = "import glob, json, os\n\
                  run = glob.glob('/var/lib/bringup/runs/*/')[0]\n\
                  plan = json.load(open('/tmp/plan.json'))['plan']\n\
                  new = {'plan': plan, 'answers': open('/tmp/answers.yaml').read()}\n\
                  number = json.load(open(run + 'waiting.json'))['number']\n\
                  json.dump({'number': number, 'decision': {'replan': new}}, open(run + 'new', 'w'))\n\
                  os.rename(run + 'new', run + 'decision.json')\n";
    host.write("/tmp/decide.py", decide);
    host.exec(&["python3", "/tmp/decide.py"]).expect(0);
    let told = followed(&host).expect(0).both();
    assert!(told.contains("decided: continue with other answers"), "{told}");
    assert!(told.contains("https://app.example.test:8443/"), "{told}");
    host.exec(&["bringup", "verify"]).expect(0);
    let again = host.exec(&["bringup", "--plain", "--answers", "/tmp/answers.yaml"]).expect(0).both();
    assert!(again.contains("Nothing to do"), "{again}");
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}
