#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::answers::fixture::{assert_told, facts, tiny};
use crate::answers::resolve::{resolve, resolve_file};
use crate::answers::{Resolved, SecretSource};

const HEADER: &str = "version: 1\nguide: tiny\n";

fn problems(text: &str) -> Vec<Problem> {
    read("a.yaml", text.as_bytes(), &tiny(), Literals::Refused).unwrap_err()
}

fn good(text: &str) -> AnswersFile {
    read("a.yaml", text.as_bytes(), &tiny(), Literals::Refused).unwrap()
}

#[test]
fn a_good_file_gives_its_answers() {
    let file = good(
        "# mine\nversion: 1\nguide: tiny\non_failure: stop\nx-note: {a: [1]}\nweb:\n  host: app.example.org\n  aliases: \
         [www.example.org]\n  https_port: auto\n  strict: true\n\ndatabase:\n  engine: postgresql\n  version: 17\n  \
         password: {env: DB_PASSWORD}\nworkers:\n",
    );
    assert_eq!(file.given.on_failure, OnFailure::Pause);
    let values: BTreeMap<_, _> =
        file.given.values.iter().map(|(path, (value, _))| (path.as_str(), value.clone())).collect();
    let wanted = [
        ("web.host", json!("app.example.org")),
        ("web.aliases", json!(["www.example.org"])),
        ("web.https_port", json!("auto")),
        ("web.strict", json!(true)),
        ("database.engine", json!("postgresql")),
        ("database.version", json!("17")),
        ("database.password", json!({"env": "DB_PASSWORD"})),
    ];
    assert_eq!(values, BTreeMap::from(wanted));
    assert!(file.given.values.values().all(|(_, origin)| *origin == Origin::File));
    for (path, place) in [
        ("web.host", "7:9"),
        ("web.aliases", "8:3"),
        ("web.aliases[0]", "8:13"),
        ("web.admin", "6:1"),
        ("database.password", "15:3"),
        ("workers.users", "16:1"),
        ("nothing.here", "1:1"),
        ("", "1:1"),
    ] {
        assert_eq!(file.place_of(path), format!("a.yaml:{place}"), "{path}");
    }
}

#[test]
fn what_is_wrong_with_the_head_is_told() {
    let told: Vec<_> = [
        "web:\n  host: a.example.org\n",
        "version: 2\nguide: other\non_failure: explode\n",
        "version: \"1\"\nguide: [tiny]\non_failure:\n",
        "version: 1\nversion: 1\nguide: tiny\n",
        "version: 1\nguide: tiny\nwebb: {}\n",
        "version: 1\nguide: tiny\nhost: a.example.org\n",
        "version: 1\nguide: tiny\nonfailure: stop\n",
        "version: 1\nguide: tiny\nzzzzz: 1\n",
        "version: 1\nguide: tiny\nweb: app.example.org\n",
        "version: 1\nguide: tiny\nweb:\n  - host: a\n",
        "version: 1\nguide: tiny\n\"\\e[31m\": 1\n",
        "",
        "- version: 1\n",
        "tiny\n",
    ]
    .iter()
    .flat_map(|text| problems(text))
    .collect();
    assert_told(
        &told,
        r"
        a.yaml:1:1: version: is missing (write `version: 1`)
        a.yaml:1:1: guide: is missing (write `guide: tiny`)
        a.yaml:1:10: version: is not a supported version (write `version: 1`)
        a.yaml:2:8: guide: 'other' is a different guide (write `guide: tiny`)
        a.yaml:3:13: on_failure: is not known (allowed: rollback, pause)
        a.yaml:1:10: version: is not a supported version (write `version: 1`)
        a.yaml:2:1: guide: is not the name of a guide (write `guide: tiny`)
        a.yaml:3:1: on_failure: is not known (allowed: rollback, pause)
        a.yaml:2:1: 'version' is given twice (the first one is at a.yaml:1:1; keep one of them)
        a.yaml:3:1: 'webb' is not a section of the guide tiny (known: web, database, workers, version, guide, on_failure, take_over; did you mean web?)
        a.yaml:3:1: 'host' is not a section of the guide tiny (it is a question; move it to the section web)
        a.yaml:3:1: 'onfailure' is not a section of the guide tiny (known: web, database, workers, version, guide, on_failure, take_over; did you mean on_failure?)
        a.yaml:3:1: 'zzzzz' is not a section of the guide tiny (known: web, database, workers, version, guide, on_failure, take_over)
        a.yaml:3:6: web: is not a section (write the answers below it, indented: `web:`)
        a.yaml:3:1: web: is not a section (write the answers below it, indented: `web:`)
        a.yaml:3:1: '\u{1b}[31m' is not a section of the guide tiny (known: web, database, workers, version, guide, on_failure, take_over)
        a.yaml:1:1: the file is empty (write `version: 1`, `guide: NAME` and a section for each stage; `bringup answers init NAME` prints one)
        a.yaml:1:1: sections are expected, and this is a list (write `version: 1`, `guide: NAME` and a section for each stage; `bringup answers init NAME` prints one)
        a.yaml:1:1: sections are expected, and this is a single value (write `version: 1`, `guide: NAME` and a section for each stage; `bringup answers init NAME` prints one)
        ",
    );
}

#[test]
fn what_cannot_be_seen_is_named() {
    let told = |body: &str| problems(&format!("{HEADER}{body}"));
    assert_told(&told("web:\n  host: app.example.org\n  http_port: 08000\n  strict: tRue\n"), "
        a.yaml:5:14: web.http_port: '08000' is not written as a whole number (write 8000, without zeros or a + before it)
        a.yaml:6:11: web.strict: 'tRue' is neither true nor false (write true)
        ");
    assert_told(
        &told("web:\n  host: “app.example.org”\n  http_port: 8000\u{a0}\n  aliases: [www.\u{200b}example.org]\n"),
        "
        a.yaml:4:9: web.host: '“app.example.org”' contains a typographic quote (U+201C) (type a plain \" instead)
        a.yaml:5:14: web.http_port: '8000\\u{a0}' contains a no-break space (U+00A0) (type a plain space instead)
        a.yaml:6:13: web.aliases[0]: contains the invisible character U+200B (remove it)
        ",
    );
    assert_told(&told("web:\n  host: app.example.org\n  http_port:\u{a0}8000\n  strict: true\n"), "
        a.yaml:5:13: this is not valid YAML here or in the next line: found a no-break space (U+00A0) (type a plain space instead)
        ");
    assert_told(
        &told("web:\n\u{a0}\u{a0}host: app.example.org\n"),
        "
        a.yaml:4:1: the name '\\u{a0}\\u{a0}host' contains a no-break space (U+00A0) (type a plain space instead)
        ",
    );
    assert_told(&told("x-web: &web {strict: true}\nweb:\n  <<: *web\n  host: app.example.org\n"), "
        a.yaml:5:3: web: merge keys (<<) are not supported (write the answers out; an alias such as *name can replace one value only)
        ");
    assert_told(&told("web:\n  host: app.example.org\n\u{feff}workers:\n"), "
        a.yaml:5:1: a byte order mark (U+FEFF) in the middle of the file (files were joined here; remove it, although it is invisible)
        ");
}

#[test]
fn what_is_wrong_with_the_answers_is_told_in_one_pass_with_places() {
    let text = "\
version: 1
guide: tiny
web:
  host: https://app.example.org/
  hots: app.example.org
  aliases: [www.example.org, UPPER, 3]
  http_port: 99999
  https_port: \"443\"
  admin: nobody
  root: srv/tiny
  banner: one two three four five
  strict: yes
  engine: sqlite
  host: again.example.org
database:
  engine: postgres
  version: 16
  password: hunter2-in-the-clear
workers:
  users: 1.5
  count: [1]
  token: {generate: 8}
";
    assert_told(&problems(text), "
        a.yaml:4:9: web.host: 'https://app.example.org/' is an address with a scheme (write the name alone: app.example.org)
        a.yaml:5:3: web: 'hots' is not a question of this section (known: host, aliases, http_port, https_port, admin, root, banner, strict; did you mean host?)
        a.yaml:6:30: web.aliases[1]: 'UPPER' is not allowed (host names)
        a.yaml:7:14: web.http_port: 99999 is out of range (allowed: 1 to 65535)
        a.yaml:8:15: web.https_port: is text, where a whole number is expected (remove the quotes)
        a.yaml:9:10: web.admin: 'nobody' is not an e-mail address: it has no @ (write an address such as admin@example.org)
        a.yaml:10:9: web.root: 'srv/tiny' is not absolute (write a path that begins with /)
        a.yaml:11:11: web.banner: is too long (at most 20 characters; it has 23)
        a.yaml:12:11: web.strict: 'yes' is neither true nor false (write true)
        a.yaml:13:3: web: 'engine' is not a question of this section (it belongs in the section database)
        a.yaml:14:3: web: 'host' is given twice (the first one is at a.yaml:4:3; keep one of them)
        a.yaml:16:11: database.engine: 'postgres' is not one of the choices (allowed: sqlite, postgresql, mariadb; did you mean postgresql?)
        a.yaml:17:12: database.version: '16' is not one of the choices (allowed: 15, 17)
        a.yaml:18:13: database.password: a secret must not be written here in plain text (write {file: /path}, {env: NAME} or {generate: 32}; --allow-literal-secrets accepts it)
        a.yaml:20:10: workers.users: 1.5 is not a whole number (allowed: 1 to 5000)
        a.yaml:21:3: workers.count: a list is given where a whole number is expected (allowed: 1 to 64)
        a.yaml:22:3: workers.token: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        ");
}

#[test]
fn other_wrong_values_have_messages_of_their_own() {
    let told: Vec<_> = [
        "web:\n  host: 7\n",
        "web:\n  aliases: www.example.org\n",
        "web:\n  aliases: [a, b, c, d]\n",
        "web:\n  aliases: [{a: 1, a: 2}]\n",
        "web:\n  http_port: true\n",
        "web:\n  http_port: many\n",
        "web:\n  http_port: auto\n",
        "web:\n  admin: a@b@example.org\n",
        "web:\n  admin: a b@example.org\n",
        "web:\n  admin: root@localhost\n",
        "web:\n  admin: .a@example.org\n",
        "web:\n  root: ~/site\n",
        "web:\n  root: /srv/../etc\n",
        "web:\n  banner: |\n    two\n    lines\n",
        "web:\n  banner: \"a\\tb\"\n",
        "web:\n  banner: \"\u{27e6}secret:database.password\u{27e7}\"\n",
        "web:\n  banner: {a: b}\n",
        "web:\n  strict: maybe\n",
        "web:\n  strict: 1\n",
        "database:\n  engine: [sqlite]\n",
        "workers:\n  users: 0\n",
        "workers:\n  users: \"12\"\n",
    ]
    .iter()
    .flat_map(|text| problems(&format!("{HEADER}{text}")))
    .collect();
    assert_told(&told, "
        a.yaml:4:9: web.host: a number is given where text is expected (put it between quotes)
        a.yaml:4:12: web.aliases: text is given where a list is expected (write a list: [first, second])
        a.yaml:4:3: web.aliases: has too many entries: 4 (allowed: a list of texts, at most 3 entries, host names)
        a.yaml:4:20: web.aliases: 'a' is given twice (the first one is at a.yaml:4:14; keep one of them)
        a.yaml:4:14: web.http_port: true or false is given where a whole number is expected (allowed: 1 to 65535)
        a.yaml:4:14: web.http_port: 'many' is not a whole number (allowed: 1 to 65535)
        a.yaml:4:14: web.http_port: 'auto' is not a whole number (allowed: 1 to 65535)
        a.yaml:4:10: web.admin: 'a@b@example.org' has more than one @ (write an address such as admin@example.org)
        a.yaml:4:10: web.admin: 'a b@example.org' contains ' ' before the @ (write an address such as admin@example.org)
        a.yaml:4:10: web.admin: after the @, 'localhost' has no domain (write the full name, such as localhost.example.org)
        a.yaml:4:10: web.admin: '.a@example.org' has one dot too many before the @ (write an address such as admin@example.org)
        a.yaml:4:9: web.root: '~/site' is not absolute (write the home directory out)
        a.yaml:4:9: web.root: '/srv/../etc' contains .. (write the path without it)
        a.yaml:4:11: web.banner: has more than one line (write it on one line)
        a.yaml:4:11: web.banner: contains the control character U+0009 (remove it)
        a.yaml:4:11: web.banner: contains the placeholder of a secret (remove ⟦secret:)
        a.yaml:4:3: web.banner: a section is given where text is expected (write one value on one line)
        a.yaml:4:11: web.strict: 'maybe' is neither true nor false (allowed: true or false)
        a.yaml:4:11: web.strict: a number is given where true or false is expected (allowed: true or false)
        a.yaml:4:3: database.engine: a list is given where a choice is expected (allowed: sqlite, postgresql, mariadb)
        a.yaml:4:10: workers.users: 0 is out of range (allowed: 1 to 5000)
        a.yaml:4:10: workers.users: is text, where a whole number is expected (remove the quotes)
        ");
}

#[test]
fn a_secret_is_a_reference_and_is_never_repeated() {
    let told: Vec<_> = [
        "hunter2",
        "12345678",
        "true",
        "[hunter2]",
        "{hunter2}",
        "{file: hunter2}",
        "{env: hunter-2}",
        "{env: /hunter2}",
        "{generate: 15}",
        "{generate: 129}",
        "{generate: hunter2}",
        "{generate: 32, file: /hunter2}",
        "{literal: hunter2}",
        "{hunter2: 1, hunter2: 2}",
    ]
    .iter()
    .flat_map(|value| problems(&format!("{HEADER}database:\n  engine: mariadb\n  password: {value}\n")))
    .collect();
    assert!(!format!("{told:?}").contains("hunter"), "{told:?}");
    assert_told(&told, "
        a.yaml:5:13: database.password: a secret must not be written here in plain text (write {file: /path}, {env: NAME} or {generate: 32}; --allow-literal-secrets accepts it)
        a.yaml:5:13: database.password: a secret must not be written here in plain text (write {file: /path}, {env: NAME} or {generate: 32}; --allow-literal-secrets accepts it)
        a.yaml:5:13: database.password: a secret must not be written here in plain text (write {file: /path}, {env: NAME} or {generate: 32}; --allow-literal-secrets accepts it)
        a.yaml:5:3: database.password: that is not a reference to a secret (write {file: /path}, {env: NAME} or {generate: 32})
        a.yaml:5:3: database.password: that is not a reference to a secret (write {file: /path}, {env: NAME} or {generate: 32})
        a.yaml:5:3: database.password: the path of a secret's file must be absolute (write {file: /root/secrets/name})
        a.yaml:5:3: database.password: that is not a variable name (write {env: NAME}, of letters, digits and _)
        a.yaml:5:3: database.password: that is not a variable name (write {env: NAME}, of letters, digits and _)
        a.yaml:5:3: database.password: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        a.yaml:5:3: database.password: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        a.yaml:5:3: database.password: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        a.yaml:5:3: database.password: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        a.yaml:5:3: database.password: a secret must not be written here in plain text (write {file: /path}, {env: NAME} or {generate: 32}; --allow-literal-secrets accepts it)
        a.yaml:5:26: database.password: a key is given twice (keep one of them)
        ");
}

#[test]
fn a_literal_secret_is_taken_where_that_is_allowed() {
    let text = |value: &str| format!("{HEADER}workers:\n  token: {value}\n");
    let read = |value: &str| read("a.yaml", text(value).as_bytes(), &tiny(), Literals::Allowed);
    let file = read("hunter2-hunter2-hunter2").unwrap();
    assert_eq!(file.given.values["workers.token"].0, json!({"literal": "hunter2-hunter2-hunter2"}));
    let told: Vec<_> = ["short", "with/slash-hunter2-hunter2", "12345678901234567890"]
        .iter()
        .flat_map(|v| read(v).unwrap_err())
        .collect();
    assert_told(&told, "
        a.yaml:4:10: workers.token: the length of the secret is not allowed (at least 20 characters)
        a.yaml:4:10: workers.token: the secret contains characters that are not safe in URLs and configuration files (use letters, digits, -, _ and . only)
        a.yaml:4:10: a number this large cannot be read (use at most 9223372036854775807; if it is text, put it between quotes)
        ");
}

#[test]
fn more_problems_than_a_person_reads_are_counted() {
    let lines: Vec<_> = (0..60).map(|n| format!("  q{n}: 1\n")).collect();
    let lines = lines.concat();
    let told = problems(&format!("{HEADER}web:\n{lines}"));
    assert_eq!(told.len(), 51);
    assert_eq!(told[50].to_string(), "a.yaml:1:1: 10 more problems are not shown (correct these first)");
}

#[test]
fn the_guide_is_known_before_the_rest_is_read() {
    assert_eq!(peek_guide("a.yaml", b"web: {x: 1}\nguide: tiny\n"), Ok("tiny".to_owned()));
    let told: Vec<_> = ["version: 1\n", "a: 1\nguide: 7\n", "guide:\n", "", "guide: [\n"]
        .iter()
        .flat_map(|text| peek_guide("a.yaml", text.as_bytes()).unwrap_err())
        .collect();
    assert_told(&told, "
        a.yaml:1:1: guide: is missing (write `guide: NAME`; `bringup guides` lists the names)
        a.yaml:2:8: guide: is not the name of a guide (write `guide: NAME`; `bringup guides` lists the names)
        a.yaml:1:1: guide: is not the name of a guide (write `guide: NAME`; `bringup guides` lists the names)
        a.yaml:1:1: the file is empty (write `version: 1`, `guide: NAME` and a section for each stage; `bringup answers init NAME` prints one)
        a.yaml:1:9: this is not valid YAML: did not find expected node content, while parsing a flow node (check the indentation, the quotes and the colons of this line and of the one before)
        ");
}

#[test]
fn flags_are_read_by_the_type_of_their_question() {
    let guide = tiny();
    for (text, path, value) in [
        ("web.host=app.example.org", "web.host", json!("app.example.org")),
        ("web.banner=a=b", "web.banner", json!("a=b")),
        ("web.banner=", "web.banner", json!("")),
        ("web.http_port=8080", "web.http_port", json!(8080)),
        ("web.https_port=auto", "web.https_port", json!("auto")),
        ("web.strict=true", "web.strict", json!(true)),
        ("web.aliases=a.org, b.org", "web.aliases", json!(["a.org", "b.org"])),
        ("database.version=17", "database.version", json!("17")),
        ("database.password=generate:20", "database.password", json!({"generate": 20})),
        ("database.password=file:/root/p", "database.password", json!({"file": "/root/p"})),
        ("database.password=env:PW", "database.password", json!({"env": "PW"})),
    ] {
        assert_eq!(parse_set(&guide, text, Literals::Refused), Ok((path.to_owned(), value)), "{text}");
    }
}

#[test]
fn wrong_flags_are_explained() {
    let guide = tiny();
    let told: Vec<_> = [
        "web.host",
        "host=app.example.org",
        "web.hots=app.example.org",
        "web.host=localhost",
        "web.http_port=http",
        "web.strict=yes",
        "database.password=hunter2",
        "database.password=generate:4",
        "database.password=generate:hunter2",
    ]
    .iter()
    .map(|text| parse_set(&guide, text, Literals::Refused).unwrap_err())
    .collect();
    assert!(!format!("{told:?}").contains("hunter"), "{told:?}");
    assert_told(&told, "
        --set: it has no = (write --set SECTION.QUESTION=VALUE)
        --set: 'host' is not a question of the guide tiny (write --set SECTION.QUESTION=VALUE)
        --set: 'web.hots' is not a question of the guide tiny (write --set SECTION.QUESTION=VALUE; did you mean web.host?)
        --set: web.host: 'localhost' has no domain (write the full name, such as localhost.example.org)
        --set: web.http_port: 'http' is not a whole number (allowed: 1 to 65535)
        --set: web.strict: 'yes' is neither true nor false (write true)
        --set: database.password: a secret must not be written here in plain text (write {file: /path}, {env: NAME} or {generate: 32}; --allow-literal-secrets accepts it)
        --set: database.password: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        --set: database.password: a secret of that length cannot be generated (write {generate: N} with N from 16 to 128)
        ");
}

fn resolved(text: &str, flags: &[&str]) -> (Guide, Resolved) {
    let guide = tiny();
    let file = good(text);
    let mut over = Given::default();
    for flag in flags {
        let (path, value) = parse_set(&guide, flag, Literals::Allowed).unwrap();
        over.values.insert(path, (value, Origin::Flag));
    }
    let resolved = resolve_file(&guide, &facts(), &file, &over).unwrap();
    (guide, resolved)
}

#[test]
fn the_recorded_file_says_where_each_answer_came_from() {
    let (guide, resolved) = resolved(
        &format!("{HEADER}web:\n  host: app.example.org\ndatabase:\n  engine: mariadb\nworkers:\n  users: 12\n"),
        &["web.strict=true", "workers.token=hunter2-hunter2-hunter2"],
    );
    let text = write(&guide, &resolved, OnFailure::Pause).unwrap();
    assert!(!text.contains("hunter2"));
    assert_eq!(
        text,
        "\
# A tiny guide: the answers of a run. Replay: bringup --answers THIS-FILE
version: 1
guide: tiny
on_failure: pause

web:
  host: app.example.org         # given
  aliases: []                   # default
  http_port: 80                 # default
  https_port: 443               # default
  admin: admin@app.example.org  # default
  root: /srv/tiny               # default
  banner: ''                    # default
  strict: true                  # given with --set

database:
  engine: mariadb           # given
  password: {generate: 32}  # default

workers:
  users: 12                            # given
  count: 5                             # detected
  token: {env: BRINGUP_WORKERS_TOKEN}  # given with --set; not recorded: set this variable to replay
"
    );
}

#[test]
fn the_recorded_file_reads_back_to_the_same_answers() {
    for (answers, flags) in [
        ("web:\n  host: a.b\n", &[][..]),
        ("web:\n  host: a.b\n  banner: 'yes: no # x'\n  aliases: [c.d]\n", &["web.admin=x@y.z", "web.root=/a b"]),
        ("web:\n  host: a.b\ndatabase:\n  engine: postgresql\n  password: {file: /x}\nworkers:\n  users: 3\n", &[]),
        ("web:\n  host: a.b\n  banner:\ndatabase: {engine: mariadb}\nworkers: {users: 9, token: }\n", &[]),
    ] {
        let (guide, first) = resolved(&format!("{HEADER}{answers}"), flags);
        let text = write(&guide, &first, OnFailure::Rollback).unwrap();
        let file = good(&text);
        let second = resolve(
            &guide,
            &crate::facts::Facts { cpus: crate::facts::Cpus { usable: 64, ..Default::default() }, ..facts() },
            &file.given,
            &|path| file.place_of(path),
        )
        .unwrap();
        assert_eq!(first.values, second.values, "{text}");
        assert_eq!(first.secrets, second.secrets, "{text}");
        assert_eq!(first.locals, second.locals, "{text}");
        assert!(second.origins.values().all(|origin| *origin == Origin::File), "{text}");
    }
    let (_, with_file) = resolved(
        &format!(
            "{HEADER}web: {{host: a.b}}\ndatabase: {{engine: mariadb, password: {{file: /x}}}}\nworkers: {{users: 3}}\n"
        ),
        &[],
    );
    assert_eq!(with_file.secrets["database.password"], SecretSource::File("/x".to_owned()));
}

#[test]
fn what_may_be_taken_over_is_a_path_or_a_thing_with_its_kind() {
    let names =
        ["/etc/shop", "unit:shop.service", "user:u", "group:g", "database:d", "role:r", "vhost:v", "broker-user:b"];
    let list = serde_json::to_string(&names).unwrap();
    let file = good(&format!("{HEADER}take_over: {list}\nweb: {{host: a.example.org}}\n"));
    assert_eq!(file.given.take_over, names);
    for bad in ["etc/shop", "shop", "'unit:'", "':shop'", "'package:nginx'", "5", "['unit:a']", "''"] {
        let told = problems(&format!("{HEADER}take_over: [{bad}]\nweb: {{host: a.example.org}}\n"));
        assert_eq!(told.len(), 1, "{bad}: {told:?}");
        assert!(told[0].message.contains("not a name that can be taken over"), "{bad}: {told:?}");
    }
    assert!(problems(&format!("{HEADER}take_over: /etc/shop\n"))[0].message.contains("is not a list"));
}
