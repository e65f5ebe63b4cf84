#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::json;

use super::environment::{Assignment, Change, Setting, changed, parse, settings};
use super::logs::Logs;
use super::*;
use crate::action::Action;
use crate::action::testing::Bench;
use crate::answers::{OnFailure, SecretSource};
use crate::engine::health;
use crate::engine::journal::Record as Journaled;
use crate::engine::runs::{self, Settings};
use crate::engine::secret_store;
use crate::error::Exit;
use crate::host::fake::{FakeHost, output};
use crate::host::{Host, Meta};
use crate::secret::{Secret, Secrets};
use crate::system::service::Manager;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LOG: &str = "/var/log/supervisor/web.log";
const NEXT: &str = "89abcdef0123456789abcdef0123456789abcdef";
const REPOSITORY: &str = "https://git.example.org/shop.git";

const STAGE: &str = "
id: application
title: Shop
why: To sell.
questions:
  - {id: name, ask: Name?, type: text, default: shop, help: h}
  - {id: source, ask: Kind?, type: text, default: git, help: h}
  - {id: location, ask: Where?, type: text, default: 'https://git.example.org/shop.git', help: h}
  - {id: reference, ask: Which?, type: text, default: '', optional: true, help: h}
  - {id: env_file, ask: Which file?, type: path, default: '', optional: true, help: h}
  - {id: env, ask: Settings?, type: map, default: {}, optional: true, entries_from: env_file, reserved: [PORT], help: h}
actions:
  - id: code
    reason: the code
    source: {path: '/opt/{{ application.name }}', from: '{{ application.source }}', location: '{{ application.location }}', reference: '{{ application.reference }}'}
  - id: env
    reason: settings
    file: {path: '/etc/{{ application.name }}.env', mode: '0600', content: 'settings {{ application.env }}'}
care:
  code: application.code
  reference: application.reference
  environment: application.env
  services:
    - {name: web, manager: systemd, unit: '{{ application.name }}.service'}
    - {name: worker, manager: supervisor, unit: '{{ application.name }}-worker', log: /var/log/supervisor/worker.log}
    - {name: none, when: 'false', manager: systemd, unit: none.service}
    - {name: clear, job: true, manager: systemd, unit: '{{ application.name }}-job-clear.service'}
  shell: {user: '{{ application.name }}', directory: '/opt/{{ application.name }}'}
";

/// A server with the guide, where its tests put applications in place.
fn host() -> FakeHost {
    let host = FakeHost::new();
    put_guide(&host);
    host
}

fn put_guide(host: &FakeHost) {
    let guide = "version: 1\nguide: shops\ntitle: Shops\nsummary: They sell.\nstages: [01.yaml]\n";
    host.put_file("/root/shops/guide.yaml", guide, 0o644);
    host.put_file("/root/shops/01.yaml", STAGE, 0o644);
}

/// A run that ended well with these answers of its one stage.
fn ran(host: &FakeHost, answers: &str) -> Request {
    let guide = load::load_dir(host, Path::new("/root/shops")).unwrap();
    let text = format!("version: 1\nguide: shops\napplication: {answers}\n");
    let read = file::read("a.yaml", text.as_bytes(), &guide, Literals::Allowed).unwrap();
    let facts = probe(host);
    let resolved = resolve_file(&guide, &facts, &read, &Given::default()).unwrap();
    let request = Request::new(guide, &facts, resolved, OnFailure::Rollback).unwrap();
    record(host, &request);
    request
}

fn record(host: &FakeHost, request: &Request) {
    let (dir, mut journal) = RunDir::create(host, &request.plan).unwrap();
    let answers = file::write(&request.guide, &request.resolved, OnFailure::Rollback).unwrap();
    dir.write(host, "answers.yaml", answers.as_bytes()).unwrap();
    let settings = Settings { on_failure: OnFailure::Rollback, guide: request.guide.dir.clone() };
    dir.keep_settings(host, &settings).unwrap();
    journal.write(host, Journaled::Finished { exit: Exit::Done, data: [].into() }).unwrap();
    runs::note_standing(host, None).unwrap();
}

fn installed(host: &FakeHost) -> Vec<Installed> {
    health::installed(host, &runs::all(host, None).unwrap())
}

fn only(host: &FakeHost) -> (Installed, Care) {
    let it = choose(&installed(host), None).unwrap().clone();
    let care = care(host, &it).unwrap();
    (it, care)
}

fn source(plan: &Plan) -> &crate::action::source::Source {
    let code = plan.actions.iter().find(|planned| planned.id == "application.code").unwrap();
    let Action::Source(source) = &code.action else { panic!("{code:?}") };
    source
}

fn deploy(host: &FakeHost, reference: Option<&str>) -> Result<deploy::Next, String> {
    let (it, care) = only(host);
    deploy::next(host, &it, &care, reference).map_err(|problems| told(&problems))
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A repository with `main` at this commit, and the tag `v1`.
fn repository(host: &FakeHost, commit: &'static str) {
    host.on(&["git", "ls-remote"], move |_, command| {
        let known = [("HEAD", commit), ("refs/heads/main", commit), ("refs/tags/v1", COMMIT)];
        let asked = known.iter().filter(|(name, _)| command.argv.iter().any(|word| word == name));
        let text: String = asked.map(|(name, commit)| commit.to_string() + "\t" + name + "\n").collect();
        output(0, &text, "")
    });
}

#[test]
fn an_application_is_named_where_there_are_several() {
    let host = host();
    let message = |name| choose(&installed(&host), name).unwrap_err().to_string();
    assert!(message(None).contains("no application is in place"));
    ran(&host, "{}");
    assert_eq!(choose(&installed(&host), None).unwrap().name(), "shop");
    ran(&host, "{name: blog}");
    assert!(message(None).contains("several applications are in place on this server"), "{}", message(None));
    assert!(message(None).contains("name one: blog, shop"), "{}", message(None));
    assert!(message(Some("shp")).contains("did you mean shop?"), "{}", message(Some("shp")));
    for name in ["blog", "shops/blog"] {
        assert_eq!(choose(&installed(&host), Some(name)).unwrap().name(), "blog");
    }
}

#[test]
fn what_a_guide_says_is_kept_with_the_run() {
    let host = host();
    ran(&host, "{}");
    host.remove_tree(Path::new("/root/shops")).unwrap();
    let (it, care) = only(&host);
    let names: Vec<&str> = care.services.iter().map(|service| service.unit.as_str()).collect();
    assert_eq!(names, ["shop.service", "shop-worker", "shop-job-clear.service"]);
    assert_eq!(care.shell.as_ref().unwrap().user, "shop");
    assert_eq!(services(&it, &care, Some("worker")).unwrap()[0].manager, Manager::Supervisor);
    // A job has its time: only who names it runs it now.
    let restarted = |name| to_restart(&it, &care, name).unwrap().into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert_eq!(restarted(None), ["web", "worker"]);
    assert_eq!(restarted(Some("clear")), ["clear"]);
    let missing = services(&it, &care, Some("wrker")).unwrap_err().to_string();
    assert!(missing.contains("shop has no service wrker") && missing.contains("did you mean worker?"), "{missing}");
}

#[test]
fn an_earlier_versions_run_is_looked_after_as_the_guide_says_now() {
    let host = host();
    let mut request = ran(&host, "{}");
    request.plan.care = None;
    record(&host, &request);
    assert_eq!(only(&host).1.services.len(), 3);
}

#[test]
fn a_branch_is_fetched_again_and_stays_there_for_other_runs() {
    let bench = Bench::new();
    let host = &bench.host;
    put_guide(host);
    host.put_repository(REPOSITORY, &[("app.py", "1\n")]);
    repository(host, COMMIT);
    let first = ran(host, "{reference: main}");
    assert_eq!(source(&first.plan).commit, "");
    bench.make(source(&first.plan));
    assert_eq!(installed(host)[0].version(), format!("main (0123456789ab) of {REPOSITORY}"));
    let same = deploy(host, None).unwrap();
    assert_eq!(same.told, "main is still at 0123456789ab.");
    assert_eq!(same.request.plan.hash(), first.plan.hash());
    repository(host, NEXT);
    let next = deploy(host, None).unwrap();
    assert_eq!(next.told, "main is at 89abcdef0123 now.");
    assert_eq!(
        (source(&next.request.plan).reference.as_str(), source(&next.request.plan).commit.as_str()),
        ("main", NEXT)
    );
    record(host, &next.request);
    // Other answers leave the code as it is.
    let other = ran(host, "{reference: main, env: {A: b}}");
    assert_eq!(source(&other.plan).commit, NEXT);
    // The recorded answers name the branch, not its commit.
    assert_eq!(deploy(host, None).unwrap().request.resolved.values["application"]["reference"], json!("main"));
    // Another branch begins anew; a neighbor has branches of its own.
    assert_eq!(source(&ran(host, "{reference: ''}").plan).commit, "");
    assert_eq!(source(&ran(host, "{name: blog, reference: main}").plan).commit, "");
}

#[test]
fn a_tag_or_a_commit_takes_the_place_of_the_former_one_and_has_no_next() {
    let host = host();
    repository(&host, NEXT);
    ran(&host, "{reference: main}");
    for name in ["v1", COMMIT] {
        let next = deploy(&host, Some(name)).unwrap();
        assert_eq!(
            (source(&next.request.plan).reference.as_str(), source(&next.request.plan).commit.as_str()),
            (name, "")
        );
        record(&host, &next.request);
        let refused = deploy(&host, None).unwrap_err();
        assert!(refused.contains("which stays what it is") && refused.contains("deploy REF"), "{refused}");
    }
    let refused = deploy(&host, Some("v9")).unwrap_err();
    assert!(refused.contains("no such branch or tag") && refused.contains("git ls-remote"), "{refused}");
}

#[test]
fn a_directory_is_taken_as_it_is_and_has_no_references() {
    let host = host();
    host.put_file("/root/app/app.py", "1\n", 0o644);
    ran(&host, "{source: directory, location: /root/app}");
    let next = deploy(&host, None).unwrap();
    assert_eq!(next.told, "shop is taken from /root/app as it is now.");
    let refused = deploy(&host, Some("v1")).unwrap_err();
    assert!(refused.contains("which has no branches or tags"), "{refused}");
}

fn text(name: &str, value: &str) -> Change {
    Change::Text(name.to_owned(), value.to_owned())
}

#[test]
fn settings_are_set_and_removed_and_secrets_never_shown() {
    let host = host();
    host.put_file("/root/smtp", "hunter22\n", 0o600);
    ran(&host, "{env: {DEBUG: '0', KEY: {generate: 50}, SMTP_PASSWORD: {file: /root/smtp}}}");
    let (it, care) = only(&host);
    let shown = settings(&it, &care).unwrap();
    let secret = |name: &str| Setting { name: name.to_owned(), value: None, secret: true, file: None };
    let debug = Setting { name: "DEBUG".to_owned(), value: Some("0".to_owned()), secret: false, file: None };
    assert_eq!(shown, [debug, secret("KEY"), secret("SMTP_PASSWORD")]);
    let changes = [text("DEBUG", "1"), text("URL", "a b"), Change::Unset("SMTP_PASSWORD".to_owned())];
    let request = changed(&host, &it, &care, &changes).unwrap();
    let env = &request.resolved.values["application"]["env"];
    assert_eq!((&env["DEBUG"], &env["URL"]), (&json!("1"), &json!("a b")));
    assert!(env.get("SMTP_PASSWORD").is_none() && request.rotate.is_empty());
    assert_eq!(request.resolved.secrets["application.env.KEY"], SecretSource::Generate(50));
    // A generated one is asked for because another is wanted.
    let anew = [Change::Secret("KEY".to_owned(), SecretSource::Generate(40))];
    let anew = changed(&host, &it, &care, &anew).unwrap();
    assert!(anew.rotate.contains("application.env.KEY"));
}

#[test]
fn a_secret_is_not_taken_from_the_command_line() {
    let host = host();
    ran(&host, "{env: {KEY: {generate: 50}}}");
    let (it, care) = only(&host);
    for name in ["KEY", "API_TOKEN"] {
        let refused = told(&changed(&host, &it, &care, &[text(name, "hunter22")]).unwrap_err());
        assert!(refused.contains("everybody could read it") && !refused.contains("hunter"), "{refused}");
        assert!(refused.contains(&format!("bringup env set {name}")), "{refused}");
    }
    let refused = told(&changed(&host, &it, &care, &[Change::Unset("KYE".to_owned())]).unwrap_err());
    assert!(refused.contains("no setting KYE") && refused.contains("settings: KEY"), "{refused}");
}

#[test]
fn an_assignment_is_a_text_a_reference_or_a_name_to_be_asked_for() {
    assert_eq!(parse("A=b=c"), Assignment::Given(text("A", "b=c")));
    assert_eq!(parse("A="), Assignment::Given(text("A", "")));
    assert_eq!(parse("A={\"b\": 1}"), Assignment::Given(text("A", "{\"b\": 1}")));
    assert_eq!(parse("A={literal: x}"), Assignment::Given(text("A", "{literal: x}")));
    let secret = |source| Assignment::Given(Change::Secret("A".to_owned(), source));
    assert_eq!(parse("A={file: /root/a}"), secret(SecretSource::File("/root/a".to_owned())));
    assert_eq!(parse("A={generate: 40}"), secret(SecretSource::Generate(40)));
    assert_eq!(parse("A"), Assignment::Asked("A".to_owned()));
}

#[test]
fn a_secret_whose_source_is_gone_keeps_its_value() {
    let host = host();
    let request =
        ran(&host, "{env: {A: {file: /root/gone}, B: {env: GONE}, C: {file: /root/new}, D: {file: /root/never}}}");
    host.put_file("/root/new", "changed\n", 0o600);
    let mut kept = Secrets::default();
    for name in ["A", "B", "C"] {
        kept.insert(format!("application.env.{name}"), Secret::new("former"));
    }
    let of = request.plan.application();
    secret_store::save(&host, &of, &kept).unwrap();
    let mut sources = request.resolved.secrets.clone();
    secret_store::keep_unavailable(&host, &of, &mut sources);
    let is = |name: &str| sources[&format!("application.env.{name}")].clone();
    let former = SecretSource::Literal("former".to_owned());
    assert_eq!((is("A"), is("B")), (former.clone(), former));
    assert_eq!(is("C"), SecretSource::File("/root/new".to_owned()));
    assert_eq!(is("D"), SecretSource::File("/root/never".to_owned()));
}

fn values(host: &FakeHost, request: &Request) -> BTreeMap<String, String> {
    let mut sources = request.resolved.secrets.clone();
    let of = request.plan.application();
    secret_store::keep_unavailable(host, &of, &mut sources);
    let kept = secret_store::load(host, &of);
    let secrets = secret_store::gather(host, &kept, &sources, &request.plan.secret_patterns).unwrap();
    secret_store::save(host, &of, &secrets).unwrap();
    secrets.iter().map(|(name, value)| (name.to_owned(), value.expose().to_owned())).collect()
}

/// Its names join the answers, its values are secrets, and where it is gone the former ones stay.
#[test]
fn a_file_of_settings_is_read_anew_and_keeps_its_values_when_it_is_gone() {
    let host = host();
    host.put_file("/root/shop.env", "A=hunter22\nDEBUG=0\nEMPTY=\nKEY='one\ntwo'\n", 0o600);
    let request = ran(&host, "{env_file: /root/shop.env, env: {DEBUG: '1', OWN: x}}");
    let env = &request.resolved.values["application"]["env"];
    let mark = |name: &str| json!(crate::secret::mark(&format!("application.env_file.{name}")));
    let of_file = json!({"A": mark("A"), "DEBUG": "1", "EMPTY": mark("EMPTY"), "KEY": mark("KEY"), "OWN": "x"});
    assert_eq!(*env, of_file);
    let wanted = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (format!("application.env_file.{name}"), (*value).to_owned())).collect()
    };
    assert_eq!(values(&host, &request), wanted(&[("A", "hunter22"), ("EMPTY", ""), ("KEY", "one\ntwo")]));
    let answers = file::write(&request.guide, &request.resolved, OnFailure::Rollback).unwrap();
    assert!(
        answers.contains("env: {DEBUG: \"1\", OWN: x}") && answers.contains("env_file: /root/shop.env"),
        "{answers}"
    );
    for text in [answers, serde_json::to_string(&request.plan).unwrap()] {
        assert!(!text.contains("hunter22") && !text.contains("two"), "{text}");
    }
    // In the wizard, its names are no rows.
    let read = file::read(
        "a.yaml",
        b"version: 1\nguide: shops\napplication: {env_file: /root/shop.env}\n",
        &request.guide,
        Literals::Refused,
    );
    let interview = crate::answers::interview::Interview::new(request.guide.clone(), probe(&host), read.unwrap().given);
    assert_eq!((interview.text("application.env"), interview.is_given("application.env")), (String::new(), false));
    // `env` shows where they are, and does not remove them from there; what is set wins.
    let (it, care) = only(&host);
    let shown = settings(&it, &care).unwrap();
    assert_eq!(shown[0].file.as_deref(), Some("/root/shop.env"));
    assert_eq!((shown[1].value.as_deref(), shown[1].file.as_deref()), (Some("1"), None));
    let refused = told(&changed(&host, &it, &care, &[Change::Unset("A".to_owned())]).unwrap_err());
    assert!(refused.contains("A is in the file /root/shop.env"), "{refused}");
    let other = changed(&host, &it, &care, &[text("EMPTY", "x"), Change::Unset("DEBUG".to_owned())]).unwrap();
    let env = &other.resolved.values["application"]["env"];
    assert_eq!((&env["EMPTY"], &env["DEBUG"]), (&json!("x"), &mark("DEBUG")));
    // Read anew.
    host.put_file("/root/shop.env", "A='hunter23 $'\nNEW=\n", 0o640);
    let again = changed(&host, &it, &care, &[]).unwrap();
    assert_eq!(values(&host, &again), wanted(&[("A", "hunter23 $"), ("NEW", "")]));
    record(&host, &again);
    let (it, care) = only(&host);
    host.remove(Path::new("/root/shop.env")).unwrap();
    let gone = changed(&host, &it, &care, &[]).unwrap();
    assert_eq!(values(&host, &gone), wanted(&[("A", "hunter23 $"), ("NEW", "")]));
    assert!(gone.plan.warnings.iter().any(|text| text.contains("/root/shop.env is gone")), "{:?}", gone.plan.warnings);
    host.put_file("/root/shop.env", "A=1\nPORT=3\n", 0o604);
    let refused = told(&changed(&host, &it, &care, &[]).unwrap_err());
    assert!(refused.contains("/root/shop.env, line 2: 'PORT' is set already"), "{refused}");
    host.put_file("/root/shop.env", "A=1\n", 0o604);
    let exposed = changed(&host, &it, &care, &[]).unwrap();
    assert!(exposed.plan.warnings.iter().any(|text| text.contains("other users of this server can read")));
}

/// A generated default gives way to a file that has the name.
#[test]
fn a_file_wins_over_a_default() {
    let host = host();
    let stage = STAGE.replace("type: map, default: {}", "type: map, default: {KEY: {generate: 50}}");
    host.put_file("/root/shops/01.yaml", &stage, 0o644);
    host.put_file("/root/shop.env", "KEY=mine\n", 0o600);
    let request = ran(&host, "{env_file: /root/shop.env}");
    let names: Vec<&String> = request.resolved.secrets.keys().collect();
    assert_eq!(names, ["application.env_file.KEY"]);
    let (it, care) = only(&host);
    let again = changed(&host, &it, &care, &[text("B", "1")]).unwrap();
    let names: Vec<&String> = again.resolved.secrets.keys().collect();
    assert_eq!(names, ["application.env_file.KEY"]);
}

fn service(log: Option<&str>) -> Service {
    let unit = "shop.service".into();
    Service { name: "web".into(), manager: Manager::Systemd, unit, job: false, log: log.map(Into::into) }
}

#[test]
fn the_journal_is_read_on_from_its_cursor() {
    let host = FakeHost::new();
    host.on(&["journalctl"], |_, command| {
        let after = command.argv.iter().any(|word| word == "--after-cursor=s=1");
        output(0, if after { "new\n" } else { "-- cursor: s=9\nold\n-- cursor: s=1\n" }, "")
    });
    let mut logs = Logs::of(&[service(None)]).unwrap();
    // What the application wrote is no cursor.
    assert_eq!(logs.last(&host, 5).unwrap(), ["-- cursor: s=9", "old"]);
    assert_eq!(logs.news(&host).unwrap(), ["new"]);
    assert_eq!(logs.news(&host).unwrap(), ["new"]);
}

#[test]
fn a_log_file_is_read_on_by_whole_lines_and_from_its_beginning_when_it_is_another() {
    let host = FakeHost::new();

    let mut logs = Logs::of(&[service(Some(LOG))]).unwrap();
    assert_eq!(logs.last(&host, 5).unwrap(), [""; 0]);
    host.put_file(LOG, "one\ntwo\nthr", 0o644);
    assert_eq!(logs.last(&host, 1).unwrap(), ["two"]);
    host.append(Path::new(LOG), b"ee\n").unwrap();
    assert_eq!(logs.news(&host).unwrap(), ["three"]);
    host.remove(Path::new(LOG)).unwrap();
    host.put_file(LOG, "four\n", 0o644);
    assert_eq!(logs.news(&host).unwrap(), ["four"]);
}

#[test]
fn root_follows_no_link_to_a_log_and_no_directory_of_others() {
    let host = FakeHost::new();
    let refused = |log: &str| Logs::of(&[service(Some(log))]).unwrap().last(&host, 5).unwrap_err().to_string();
    host.put_file("/etc/shadow", "root:x\n", 0o600);
    host.make_dir(Path::new("/var/log"), Meta::root(0o755)).unwrap();
    host.make_symlink(Path::new("/var/log/web.log"), Path::new("/etc/shadow")).unwrap();
    assert!(refused("/var/log/web.log").contains("not a regular file"));
    host.make_dir(Path::new("/srv/shop"), Meta { mode: 0o755, uid: 1000, gid: 1000 }).unwrap();
    host.put_file("/srv/shop/web.log", "x\n", 0o644);
    assert!(refused("/srv/shop/web.log").contains("users other than root can change /srv/shop"));
}

#[test]
fn root_reads_nothing_of_the_applications_for_its_shell() {
    let host = FakeHost::new();
    host.set_env("TERM", "xterm");
    host.set_env("LD_PRELOAD", "/tmp/x.so");
    let shell = crate::plan::care::Shell {
        user: "shop".into(),
        directory: "/opt/shop/app".into(),
        environment: Some("/etc/shop/env".into()),
        programs: None,
        opened_by: None,
    };
    let account = crate::system::accounts::Account {
        name: "shop".into(),
        uid: 999,
        gid: 999,
        home: "/var/lib/shop".into(),
        shell: "/usr/sbin/nologin".into(),
    };
    let command = |words: &[&str], terminal| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        shell::command(&host, &shell, &account, &words, terminal).argv
    };
    let opened = command(&[], true);
    let at = |word: &str| opened.iter().position(|other| other == word).unwrap();
    // Before it is the user, nothing but the tools of the system is named.
    assert_eq!(&opened[..2], ["env", "-i"]);
    assert_eq!(
        &opened[at("runuser")..at("-c")],
        ["runuser", "--pty", "-u", "shop", "--", "setpriv", "--no-new-privs", "sh"]
    );
    assert!(opened.iter().any(|word| word == "TERM=xterm") && !opened.iter().any(|word| word.contains("LD_PRELOAD")));
    assert_eq!(&opened[at("/opt/shop/app")..], ["/opt/shop/app", "/etc/shop/env", ""]);
    let ran = command(&["ls", "-l"], false);
    assert_eq!(&ran[ran.len() - 2..], ["ls", "-l"]);
    assert!(ran.iter().any(|word| word == "setsid") && !ran.iter().any(|word| word == "--pty"));
}

#[test]
fn a_shell_in_a_container_is_opened_by_its_program_without_the_administrators_environment() {
    let host = FakeHost::new();
    host.set_env("TERM", "xterm");
    host.set_env("CONTAINER_HOST", "tcp://192.0.2.1:1");
    let opened = shell::in_container(&host, "/opt/shop/bin/shell".as_ref(), &["ls".to_owned(), "-l".to_owned()]).argv;
    assert_eq!(&opened[..2], ["env", "-i"]);
    assert_eq!(&opened[opened.len() - 3..], ["/opt/shop/bin/shell", "ls", "-l"]);
    assert!(opened.contains(&"TERM=xterm".to_owned()) && !opened.join(" ").contains("CONTAINER_HOST"));
}
