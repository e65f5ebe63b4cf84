//! What a person reads, whole: snapshots to be read by eye when they change.

use bringup::answers::Given;
use bringup::answers::interview::Interview;
use bringup::error::Exit;
use bringup::facts::probe::probe;
use bringup::host::Host;
use bringup::host::fake::FakeHost;
use bringup::ui::Look;
use bringup::ui::prompts::{Decision, Dialogue, Means, Voice, choose_guide, welcome};
use insta::assert_snapshot;

use super::{Script, guides, tiny};

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
    let database = "PostgreSQL||2|||sp ace|<||a-typed-secret";
    let rest = "<|||40||auto||shop.example.org|||||||||||||||||||";
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
        "1|<||2||/srv/shop|||nodejs, git|-||3000||||||||||||||||||1||||||||||1||/root/no.yaml|<|4",
    );
    assert_eq!(ended, Err(Exit::Rejected), "{screen}");
    // The stages between have no question of another kind.
    let (first, rest) = screen.split_once("Web server (5 of 11)").unwrap();
    let (_, last) = rest.split_once("\nReview\n").unwrap();
    assert_snapshot!(format!("{first}...\n\nReview\n{last}"));
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

    Leave? Nothing was changed on this machine.
      1  go on here
      2  save the answers so far and leave
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

    Leave? Nothing was changed on this machine.
      1  go on here
      2  save the answers so far and leave
      3  leave
      [Enter] 1
    > 2

    Into which file? It must not exist yet.
      [Enter] webapp-answers.yaml
    > /root/half.yaml

    The answers are in /root/half.yaml. Nothing else was changed.
      Go on with  sudo bringup --answers /root/half.yaml
    ");
    assert!(host.text("/root/half.yaml").unwrap().contains("name: webapp"));
    assert_eq!(host.calls().iter().filter(|call| call.changes).count(), 1);
    assert_eq!(talked(&host, at(80), "1|!|3").0, Err(Exit::Rejected));
    assert_eq!(talked(&host, at(80), "!").0, Err(Exit::Rejected));
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
