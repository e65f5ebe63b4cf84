//! What a person reads, whole: snapshots to be read by eye when they change.

use bringup::answers::interview::{Earlier, Interview};
use bringup::answers::{Given, Origin};
use bringup::error::Exit;
use bringup::facts::probe::probe;
use bringup::host::fake::{FakeHost, Package};
use bringup::host::{Command, Host};
use bringup::ui::Look;
use bringup::ui::prompts::{Decision, Dialogue, Means, Voice, choose_guide, welcome};
use insta::assert_snapshot;
use serde_json::json;

use super::{Script, guides, table, tiny};

/// Line mode from its first line on, as `bringup` goes through it.
fn talked(host: &FakeHost, look: Look, lines: &str) -> (Result<Decision, Exit>, String) {
    let mut script = Script::of(lines);
    let facts = probe(host);
    let mut voice = Voice::new(&mut script, look, 24);
    welcome(host, &mut voice, &facts);
    let ended = choose_guide(&mut voice, &facts).and_then(|guide| {
        let interview = Interview::new(guides()[&guide].clone(), facts, Given::default());
        let means = Means { start: host.euid() == 0, ..Means::default() };
        Dialogue::new(host, &mut voice, interview, means).run()
    });
    (ended, without_hashes(&script.screen))
}

/// A plan's hash follows every word of every asset; a picture of what a person reads must not.
fn without_hashes(screen: &str) -> String {
    let hash = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hashes = screen.split_whitespace().filter(hash);
    hashes.fold(screen.to_string(), |screen, hash| screen.replace(hash, "HASH"))
}

fn at(width: usize) -> Look {
    Look { width, ..Look::PLAIN }
}

#[test]
fn from_the_first_question_to_the_start_at_80_columns() {
    let host = FakeHost::debian("bookworm");
    let application = "1|shop||80|?|8080|";
    let database = "PostgreSQL||2|||sp ace|<||a-typed-secret|";
    let rest = "<|||40||auto||shop.example.org||||||||||||||||||||||";
    let lines = [application, database, rest, "9|2|6|<|3|<|1"].join("|");
    let (ended, screen) = talked(&host, at(80), &lines);
    assert!(matches!(ended, Ok(Decision::Start(_))), "{ended:?}\n{screen}");
    assert!(!screen.contains("a-typed-secret"));
    assert_snapshot!(screen);
}

#[test]
fn without_root_and_systemd_the_answers_are_saved_at_40_columns() {
    let host = FakeHost::debian("trixie").without_systemd();
    let (ended, screen) = talked(
        &host.as_user(1000),
        at(40),
        "1|<||2||/srv/shop|||nodejs, git|-||||||||||3000||||||||||||||||||||||||1||||||||||1||/root/no.yaml|<|4",
    );
    assert_eq!(ended, Err(Exit::Rejected), "{screen}");
    // The stages between have no question of another kind.
    let (first, rest) = screen.split_once("Web server (5 of 11)").unwrap();
    let (_, last) = rest.split_once("\nReview\n").unwrap();
    assert_snapshot!(format!("{first}...\n\nReview\n{last}"));
}

#[test]
fn a_default_that_files_show_is_told_with_its_reason() {
    let host = FakeHost::debian("bookworm");
    host.put_file("/srv/shop/package.json", "{}", 0o644);
    let screen = talked(&host, at(80), "1||2|/srv/shop|quit|3").1;
    assert!(screen.contains("How is it started?"), "{screen}");
    assert!(screen.contains("[Enter] Node.js (detected: package.json is there)"), "{screen}");
}

#[test]
fn colour_only_repeats_what_stands_there() {
    let host = FakeHost::debian("bookworm");
    let lines = format!("1{}", "|".repeat(28));
    let plain = talked(&host, Look { unicode: true, ..at(60) }, &lines).1;
    let coloured = talked(&host, Look { unicode: true, colour: true, ..at(60) }, &lines).1;
    // As the door to the terminal makes it.
    let coloured = bringup::visible::styled(&coloured);
    assert!(coloured.contains('\u{1b}'));
    let mut rest = String::new();
    for (n, part) in coloured.split('\u{1b}').enumerate() {
        rest.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(rest, plain);
}

#[test]
fn leaving_is_asked_once_and_changes_nothing() {
    let host = FakeHost::debian("bookworm");
    host.forget_calls();
    let (ended, screen) = talked(&host, at(80), "1|quit||<|!|2|/root/half.yaml");
    assert_eq!(ended, Err(Exit::Done), "{screen}");
    let (_, from) = screen.split_once("What is the application called?").unwrap();
    assert_snapshot!(from, @r"

      [Enter] webapp (default)
    > quit

    Leave bringup? Nothing was changed on this server.
      1  stay
      2  save the answers and leave
      3  leave
      [Enter] 1
    >

    What is the application called?
      [Enter] webapp (default)
    > <
      ! this is the first question (! leaves)

    What is the application called?
      [Enter] webapp (default)
    > !

    Leave bringup? Nothing was changed on this server.
      1  stay
      2  save the answers and leave
      3  leave
      [Enter] 1
    > 2

    Save to which file? It must not exist yet.
      [Enter] webapp-answers.yaml
    > /root/half.yaml

    The answers are in /root/half.yaml. Nothing else was changed.
      Continue with  sudo bringup --answers /root/half.yaml
    ");
    assert!(host.text("/root/half.yaml").unwrap().contains("name: webapp"));
    assert_eq!(host.calls().iter().filter(|call| call.changes).count(), 1);
    assert_eq!(talked(&host, at(80), "1|!|3").0, Err(Exit::Rejected));
    assert_eq!(talked(&host, at(80), "!").0, Err(Exit::Rejected));
}

#[test]
fn another_application_is_offered_no_answers_of_the_first() {
    let host = FakeHost::debian("bookworm");
    let answers = [("application.name", json!("shop")), ("application.port", json!(8044))];
    let given = answers.map(|(path, value)| (path.to_owned(), (value, Origin::PreviousRun)));
    let shop =
        Earlier { run: "20260101-000000-webapp".to_owned(), given: Given { values: given.into(), ..Given::default() } };
    // To the end of the first stage and away: with the name that is offered, with another, and there and back.
    let screen = |lines: &str| {
        let mut script = Script::of(lines);
        let mut voice = Voice::new(&mut script, at(80), 24);
        let interview = Interview::new(guides()["webapp"].clone(), probe(&host), Given::default());
        let interview = interview.offering(vec![shop.clone()]);
        let ended = Dialogue::new(&host, &mut voice, interview, Means::default()).run();
        assert!(matches!(ended, Err(Exit::Rejected)), "{ended:?}\n{}", script.screen);
        script.screen
    };
    let same = screen("||||||!|3");
    assert!(same.contains("8044 (from the previous run)") && !same.contains("another application"), "{same}");
    let other = screen("blog||||||!|3");
    assert!(other.contains("This is another application: its questions start with the defaults."), "{other}");
    assert!(!other.contains("8044") && other.contains("8000 (default)"), "{other}");
    let back = screen("blog|<|shop||||||!|3");
    assert!(back.contains("The answers of run 20260101-000000-webapp are the defaults."), "{back}");
    assert!(back.contains("8044 (from the previous run)"), "{back}");
}

/// A machine whose web server runs with a configuration that is broken on disk.
fn with_broken_nginx() -> FakeHost {
    let host = FakeHost::debian("bookworm");
    host.offer(
        Package::new("nginx", "1.22.1-9")
            .file("/etc/nginx/nginx.conf", "user www-data;\n", 0o644)
            .file("/usr/sbin/nginx", "elf", 0o755)
            .service("nginx", &[]),
    );
    host.run(&Command::new(["apt-get", "install", "-y", "nginx"])).unwrap();
    host.run(&Command::new(["systemctl", "start", "nginx.service"])).unwrap();
    host.put_broken_file("/etc/nginx/conf.d/theirs.conf");
    host
}

#[test]
fn what_a_run_would_be_refused_for_is_said_before_anything_starts() {
    let host = with_broken_nginx();
    let mut script = Script::of("1|5");
    let mut voice = Voice::new(&mut script, at(80), 24);
    let interview = Interview::new(guides()["webapp"].clone(), probe(&host), Given::default());
    let means = Means { start: true, ..Means::default() };
    let ended = Dialogue::new(&host, &mut voice, interview, means).review();
    assert!(matches!(ended, Err(Exit::Rejected)), "{ended:?}");
    let screen = without_hashes(&script.screen);
    assert_snapshot!(screen);
    assert_eq!(screen.matches("A run would be refused:").count(), 2, "it is checked again");
    assert!(!screen.contains("start: make these changes now"));
}

#[test]
fn what_a_change_leaves_open_is_named_and_asked() {
    let host = FakeHost::debian("bookworm");
    let mut script = Script::of(concat!(
        // The first walk: every default but the one name that has none.
        "|no name|app.example.org|||||||||",
        // Another database needs workers, whose number of users has no default.
        "2|2|2|17||1||0|5||-|4|/root/tiny.yaml",
    ));
    let mut voice = Voice::new(&mut script, at(80), 24);
    let interview = Interview::new(tiny(), probe(&host), Given::default());
    let ended = Dialogue::new(&host, &mut voice, interview, Means { start: true, ..Means::default() }).run();
    let screen = script.screen;
    assert_snapshot!(screen);
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn a_table_is_asked_row_by_row() {
    let host = FakeHost::debian("bookworm");
    // The first row is asked for at once, with a wrong port; then a second one, which goes, and the first is changed.
    let mut script = Script::of("a.example.org|0||north, south|+|<|+|b.example.org|<|<|-2|9|1||5001||?||4|!");
    let mut voice = Voice::new(&mut script, at(80), 24);
    let interview = Interview::new(table(), probe(&host), Given::default());
    let ended = Dialogue::new(&host, &mut voice, interview, Means::default()).run();
    assert!(ended.is_err(), "{ended:?}");
    assert_snapshot!(without_hashes(&script.screen));
}
