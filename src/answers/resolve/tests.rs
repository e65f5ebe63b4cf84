#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::answers::file::read_leniently;
use crate::answers::fixture::{assert_told, facts, tiny};
use crate::facts::Memory;

fn given(answers: &[(&str, Value)]) -> Given {
    let values = answers.iter().map(|(path, value)| ((*path).to_owned(), (value.clone(), Origin::Typed))).collect();
    Given { values, ..Given::default() }
}

fn nowhere(_path: &str) -> String {
    String::new()
}

fn file(answers: &str) -> Result<Resolved, Vec<Problem>> {
    checked(&tiny(), &facts(), answers)
}

fn checked(guide: &Guide, facts: &Facts, answers: &str) -> Result<Resolved, Vec<Problem>> {
    let text = format!("version: 1\nguide: tiny\n{answers}");
    let file = read_leniently("a.yaml", text.as_bytes(), guide, Literals::Refused).unwrap();
    resolve_file(guide, facts, &file, &Given::default())
}

#[test]
fn one_answer_is_enough_where_the_rest_has_defaults() {
    let resolved = resolve(&tiny(), &facts(), &given(&[("web.host", json!("app.example.org"))]), &nowhere).unwrap();
    let web = json!({"host": "app.example.org", "aliases": [], "http_port": 80, "https_port": 443,
        "admin": "admin@app.example.org", "root": "/srv/tiny", "banner": "", "strict": false});
    let wanted = json!({"web": web, "database": {"engine": "sqlite", "version": null, "password": null},
        "workers": {"users": null, "count": null, "token": null}});
    assert_eq!(serde_json::to_value(&resolved.values).unwrap(), wanted);
    assert_eq!(resolved.stages, ["web", "database"]);
    assert_eq!(resolved.locals, BTreeMap::from([("per_worker".to_owned(), Value::Null)]));
    assert!(resolved.secrets.is_empty());
    assert!(resolved.warnings.is_empty());
    assert_eq!(resolved.origins["web.host"], Origin::Typed);
    assert_eq!(resolved.origins["web.admin"], Origin::Default);
    assert!(!resolved.origins.contains_key("database.password"));
}

#[test]
fn locals_and_what_is_detected_are_computed_on_the_way() {
    let answers = [
        ("web.host", json!("app.example.org")),
        ("database.engine", json!("mariadb")),
        ("workers.users", json!(60)),
        ("workers.count", json!("auto")),
        ("web.http_port", json!(79)),
    ];
    let resolved = resolve(&tiny(), &facts(), &given(&answers), &nowhere).unwrap();
    assert_eq!(resolved.values["workers"]["count"], json!(5));
    assert_eq!(resolved.origins["workers.count"], Origin::Detected);
    assert_eq!(resolved.locals["per_worker"], json!(12));
    assert_eq!(resolved.values["database"]["password"], json!("⟦secret:database.password⟧"));
    assert_eq!(resolved.secrets, BTreeMap::from([("database.password".to_owned(), SecretSource::Generate(32))]));
    assert_eq!(resolved.values["workers"]["token"], Value::Null);
    assert_eq!(resolved.warnings, ["web.http_port: port 79 is unusual"]);
}

#[test]
fn missing_answers_are_all_listed_at_their_sections() {
    assert_told(
        &file("database:\n  engine: mariadb\nworkers:\n").unwrap_err(),
        "
        a.yaml:1:1: web.host: must be answered (Under which name? Allowed: a host name such as app.example.org)
        a.yaml:5:1: workers.users: must be answered (How many people at once? Allowed: a whole number, 1 to 5000)
        ",
    );
    assert_told(
        &file("web:\n  host:\n  http_port:\n  banner:\n").unwrap_err(),
        "
        a.yaml:4:3: web.host: has no value (Under which name? Allowed: a host name such as app.example.org)
        a.yaml:5:3: web.http_port: has no value (write a value, or remove the line to take the default)
        ",
    );
}

#[test]
fn the_problems_of_the_file_and_of_the_answers_come_in_one_list() {
    let text = "\
web:
  host: app.example.org
  hots: x
  http_port: 443
  banner: bad
  strict: 7
database:
  engine: mariadb
  version: 15
workers:
  users: 2000
  count: 5
";
    assert_told(&file(text).unwrap_err(), "
        a.yaml:3:1: web.https_port: port 443 is used for http already (choose another one)
        a.yaml:5:3: web: 'hots' is no question of this section (known: host, aliases, http_port, https_port, admin, root, banner, strict; did you mean host?)
        a.yaml:7:11: web.banner: bad is bad (be good)
        a.yaml:8:11: web.strict: a number is given where true or false is expected (allowed: true or false)
        a.yaml:11:12: database.version: has no effect: it is not asked (remove it; it is asked when database.engine == 'postgresql')
        a.yaml:14:10: workers.count: 400 people for each worker are too many (use more workers)
        ");
}

#[test]
fn one_mistake_is_told_once() {
    // Whether `version`, `password` and the stage `workers` apply depends on the engine.
    assert_told(
        &file("web: {host: a.b}\ndatabase:\n  engine: postgre\n  version: 15\nworkers:\n  users: 10\n").unwrap_err(),
        "
        a.yaml:5:11: database.engine: 'postgre' is not one of the choices (allowed: sqlite, postgresql, mariadb; did you mean postgresql?)
        ",
    );
    // The default of `admin` depends on the host; what can be judged still is.
    assert_told(
        &file("web: {host: localhost}\nworkers: {users: 9000}\n").unwrap_err(),
        "
        a.yaml:3:13: web.host: 'localhost' has no domain (write the full name, such as localhost.example.org)
        a.yaml:4:18: workers.users: 9000 is out of range (allowed: 1 to 5000)
        ",
    );
}

#[test]
fn an_answer_without_effect_is_a_problem_unless_it_is_null_or_left_from_before() {
    let text = "web: {host: a.b}\ndatabase:\n  engine: sqlite\n  password: {generate: 20}\n  version: ~\nworkers:\n  users: 3\n";
    assert_told(&file(text).unwrap_err(), "
        a.yaml:6:3: database.password: has no effect: it is not asked (remove it; it is asked when database.engine != 'sqlite')
        a.yaml:9:10: workers.users: has no effect: the stage workers does not apply (remove it; it is asked when database.engine != 'sqlite')
        ");
    let answers = [("web.host", json!("a.b")), ("workers.users", json!(3)), ("gone.away", json!(1))];
    let resolved = resolve(&tiny(), &facts(), &given(&answers), &nowhere).unwrap();
    assert_eq!(resolved.values["workers"]["users"], Value::Null);
}

#[test]
fn a_whole_number_in_a_list_is_text_and_nothing_else_is() {
    let listed = |items: Value| {
        resolve(&tiny(), &facts(), &given(&[("web.host", json!("a.b")), ("web.aliases", items)]), &nowhere)
    };
    assert_eq!(listed(json!([7001, "x.y"])).unwrap().values["web"]["aliases"], json!(["7001", "x.y"]));
    for other in [json!([1.5]), json!([-1]), json!([true]), json!([["a"]])] {
        assert!(listed(other.clone()).is_err(), "{other}");
    }
}

#[test]
fn a_choice_that_is_not_on_offer_is_refused_with_the_reason() {
    let small = Facts { memory: Memory { usable_mib: 256, ..Memory::default() }, ..facts() };
    assert_told(
        &checked(
            &tiny(),
            &small,
            "web: {host: a.b}\ndatabase: {engine: postgresql}\nworkers: {users: 1}\n",
        )
        .unwrap_err(),
        "
        a.yaml:4:20: database.engine: 'postgresql' is not on offer: needs 512 MiB of memory (choose one of: sqlite, mariadb)
        ",
    );
    assert!(file("web: {host: a.b}\ndatabase: {engine: postgresql}\nworkers: {users: 1}\n").is_ok());
}

#[test]
fn flags_win_over_the_file_and_say_so_when_they_are_wrong() {
    let guide = tiny();
    let text = b"version: 1\nguide: tiny\nweb: {host: localhost, http_port: 80}\n";
    let file = read_leniently("a.yaml", text, &guide, Literals::Refused).unwrap();
    let mut flags = Given::default();
    flags.values.insert("web.https_port".to_owned(), (json!(80), Origin::Flag));
    flags.values.insert("web.nothing".to_owned(), (json!(80), Origin::Flag));
    assert_told(
        &resolve_file(&guide, &facts(), &file, &flags).unwrap_err(),
        "
        --set: web.https_port: port 80 is used for http already (choose another one)
        --set: web.nothing: the guide tiny has no such question (remove it)
        a.yaml:3:13: web.host: 'localhost' has no domain (write the full name, such as localhost.example.org)
        ",
    );
    // The file is still wrong where a flag replaces it: it would be wrong without the flag.
    flags.values.clear();
    flags.values.insert("web.host".to_owned(), (json!("a.b"), Origin::Flag));
    assert_told(
        &resolve_file(&guide, &facts(), &file, &flags).unwrap_err(),
        "
        a.yaml:3:13: web.host: 'localhost' has no domain (write the full name, such as localhost.example.org)
        ",
    );
}

#[test]
fn a_default_that_does_not_do_must_be_answered() {
    let mut guide = tiny();
    guide.stages[0].questions[0].default = Some(json!("{{ facts.fqdn }}"));
    let named = |name: &str| Facts { fqdn: name.to_owned(), ..facts() };
    assert_told(&checked(&guide, &named("debian"), "").unwrap_err(), "
        a.yaml:1:1: web.host: must be answered, because the default does not do: 'debian' has no domain (write the full name, such as debian.example.org)
        ");
    assert_told(
        &checked(&guide, &named(""), "").unwrap_err(),
        "
        a.yaml:1:1: web.host: must be answered (Under which name? Allowed: a host name such as app.example.org)
        ",
    );
    let resolved = checked(&guide, &named("web.example.org"), "").unwrap();
    assert_eq!(resolved.origins["web.host"], Origin::Detected);
    assert_eq!(resolved.values["web"]["admin"], json!("admin@web.example.org"));
}

#[test]
fn defects_of_a_guide_are_called_so() {
    let mut guide = tiny();
    guide.stages[0].questions[4].default = Some(json!("{{ web.nobody }}"));
    guide.stages[0].questions[5].pattern = Some("(".to_owned());
    guide.stages[1].questions[1].when = Some("database.engin == 1".to_owned());
    guide.stages[1].when = Some("((".to_owned());
    let problems = checked(&guide, &facts(), "web: {host: a.b}\n").unwrap_err();
    let told: Vec<_> = problems.iter().map(|problem| (problem.path.as_str(), problem.hint.as_str())).collect();
    let defect = "this is a defect of the guide";
    assert_eq!(told, [("database", defect), ("web.admin", defect), ("web.root", defect)]);
}

#[test]
fn a_survey_says_what_is_known_so_far() {
    let (so_far, problems) = survey(&tiny(), &facts(), &given(&[("database.engine", json!("mariadb"))]), &nowhere);
    assert_eq!(problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["web.host", "workers.users"]);
    assert!(!so_far.values["web"].contains_key("host"));
    assert!(!so_far.values["web"].contains_key("admin"), "its default needs the host");
    assert_eq!(so_far.values["database"]["version"], Value::Null);
    assert_eq!(so_far.values["workers"]["count"], json!(5));
}

#[test]
fn a_host_that_does_not_fit_is_told_what_it_lacks() {
    assert_eq!(requirements(&tiny(), &facts()), []);
    let mut other = facts();
    other.os.id = "fedora".into();
    other.os.name = "Fedora 42".into();
    assert_told(&requirements(&tiny(), &other), "Fedora 42 is not supported (use Debian)");
}
