//! Commands: status, streams, what they are given, and what cannot be started.

use std::io::ErrorKind;
use std::time::Duration;

use bringup::host::{Address, Command, Stream};

use super::{Ground, kind, of_both};

of_both! {
    status_and_streams_are_those_of_the_program
    stdin_is_empty_unless_given
    the_environment_is_clean_and_what_was_given_is_in_it
    a_command_works_where_it_was_told_to
    lines_arrive_as_they_are_written
    what_takes_too_long_ends_with_124
    what_cannot_be_started_is_an_error_and_not_a_status
    output_is_logged_to_a_private_file
    another_user_has_its_own_name_and_home
    where_nobody_listens_nobody_answers
}

fn status_and_streams_are_those_of_the_program(ground: &Ground) {
    ground.write("file", "one\ntwo\n");
    let good = ground.run(["cat", "file"]);
    assert_eq!((good.status, good.stdout.as_slice(), good.stderr.as_slice()), (0, &b"one\ntwo\n"[..], &b""[..]));
    let bad = ground.run(["cat", "none"]);
    assert_eq!((bad.status, bad.stdout.as_slice()), (1, &b""[..]));
    assert!(bad.tail(1)[0].ends_with("No such file or directory"), "{:?}", bad.tail(9));
    assert_eq!((ground.run(["true"]).status, ground.run(["false"]).status), (0, 1));
    assert_eq!(ground.run(["test", "-e", "file"]).status, 0);
    assert_eq!(ground.run(["test", "-d", "file"]).status, 1);
    assert_eq!(ground.run(["test", "-L", "none"]).status, 1);
}

fn stdin_is_empty_unless_given(ground: &Ground) {
    assert_eq!(ground.run(["cat"]).stdout, b"");
    let given = ground.host.run(&ground.command(["cat"]).stdin("a secret\n")).unwrap();
    assert_eq!(given.stdout, b"a secret\n");
    assert!(ground.host.run(&ground.command(["true"]).stdin(vec![b'x'; 1 << 20])).unwrap().ok(), "it need not be read");
}

fn the_environment_is_clean_and_what_was_given_is_in_it(ground: &Ground) {
    let value = |name: &str| {
        let command = Command::new(["printenv", name]).env("GIVEN", "a value").env("TERM", "vt100");
        let output = ground.host.run(&command).unwrap();
        output.ok().then(|| output.text())
    };
    assert_eq!(value("GIVEN").as_deref(), Some("a value"));
    assert_eq!(value("TERM").as_deref(), Some("vt100"), "what is given counts");
    assert_eq!(value("LC_ALL").as_deref(), Some("C.UTF-8"));
    assert!(value("PATH").unwrap().starts_with("/usr/local/sbin:"));
    assert_eq!(value("CARGO"), None);
    assert_eq!(value("USER"), None);
    if ground.is_root() {
        assert_eq!(value("HOME").as_deref(), Some("/root"));
    }
}

fn a_command_works_where_it_was_told_to(ground: &Ground) {
    ground.make_dir("dir");
    ground.write("dir/file", "here");
    assert_eq!(ground.host.run(&Command::new(["cat", "file"]).cwd(ground.at("dir"))).unwrap().text(), "here");
    assert!(!ground.host.run(&Command::new(["cat", "dir/file"])).unwrap().ok(), "else at the root");
}

fn lines_arrive_as_they_are_written(ground: &Ground) {
    let mut lines = Vec::new();
    let command = ground.command(["cat"]).stdin("a\n\nb\rc\r\nd");
    let output = ground.host.run_with(&command, &mut |stream, line| lines.push((stream, line.to_owned()))).unwrap();
    let expected = ["a", "", "b", "c", "", "d"].map(|line| (Stream::Stdout, line.to_owned()));
    assert_eq!(lines, expected);
    assert_eq!(output.stdout, b"a\n\nb\rc\r\nd");
    let mut streams = Vec::new();
    ground.host.run_with(&ground.command(["cat", "none"]), &mut |stream, _| streams.push(stream)).unwrap();
    assert_eq!(streams, [Stream::Stderr]);
}

fn what_takes_too_long_ends_with_124(ground: &Ground) {
    let start = ground.host.now();
    let slow = ground.command(["sleep", "30"]).timeout(Duration::from_millis(200));
    assert_eq!(ground.host.run(&slow).unwrap().status, 124);
    let quick = ground.command(["sleep", "0.1"]);
    assert_eq!(ground.host.run(&quick).unwrap().status, 0);
    let took = ground.host.now().since(start);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(25), "{took:?}");
}

fn what_cannot_be_started_is_an_error_and_not_a_status(ground: &Ground) {
    ground.write("file", "");
    let error = |command: &Command| kind(ground.host.run(command));
    assert_eq!(error(&Command::new(["no-such-program"])), ErrorKind::NotFound);
    assert_eq!(error(&Command::new(["true"]).user("no-such-user")), ErrorKind::NotFound);
    assert_eq!(error(&Command::new(["true"]).cwd(ground.at("none"))), ErrorKind::NotFound);
    assert_eq!(error(&Command::new(["true"]).cwd(ground.at("file"))), ErrorKind::NotADirectory);
    assert_eq!(error(&Command::new(Vec::<String>::new())), ErrorKind::InvalidInput);
}

fn output_is_logged_to_a_private_file(ground: &Ground) {
    ground.write("file", "one\n");
    for name in ["file", "none"] {
        ground.host.run(&ground.command(["cat", name]).log(ground.at("log"))).unwrap();
    }
    let log = ground.text("log");
    assert!(log.starts_with("one\n") && log.ends_with("No such file or directory\n"), "{log}");
    assert_eq!(ground.stat("log").meta, ground.own(0o600));
}

fn another_user_has_its_own_name_and_home(ground: &Ground) {
    if !ground.is_root() {
        return;
    }
    let ran = |argv: [&str; 2]| ground.host.run(&Command::new(argv).user("daemon")).unwrap().text();
    assert_eq!(ran(["id", "-un"]), "daemon");
    assert_eq!(ran(["id", "-gn"]), "daemon");
    assert_eq!(ran(["printenv", "HOME"]), "/usr/sbin");
    assert_eq!(ran(["printenv", "USER"]), "daemon");
}

fn where_nobody_listens_nobody_answers(ground: &Ground) {
    ground.write("file", "");
    let second = Duration::from_secs(1);
    // Port 1 is tcpmux, which nobody has run for decades.
    let refused = [Address::Tcp("127.0.0.1:1".parse().unwrap()), Address::Unix(ground.at("file"))];
    for address in refused {
        let error = ground.host.connect(&address, second).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address:?}");
    }
    let error = ground.host.connect(&Address::Unix(ground.at("none")), second).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
