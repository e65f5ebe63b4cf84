#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::action::carry;
use crate::action::testing::with_cx;
use crate::host::fake::FakeHost;
use crate::host::{Kind, Meta};
use crate::undo::Blobs;

const DUMPS: &str = "/var/dumps";

fn host() -> FakeHost {
    let host = FakeHost::debian("bookworm");
    host.put_file("/etc/passwd", "root:x:0:0::/root:/bin/sh\npostgres:x:101:101::/var/lib/postgresql:/bin/sh\n", 0o644);
    for program in ["psql", "pg_dump"] {
        host.put_file(format!("/usr/lib/postgresql/15/bin/{program}"), "elf", 0o755);
    }
    for dir in ["/var/dumps", "/var/blobs", "/var/lib/postgresql", "/var/lib/mysql"] {
        host.make_dir(Path::new(dir), Meta::root(0o700)).unwrap();
    }
    host
}

fn database(engine: Engine) -> Database {
    let (name, role) = ("shop_app".to_owned(), "shop".to_owned());
    Database {
        engine,
        name,
        role,
        auth: Auth::Socket,
        password: String::new(),
        createdb: None,
        owner: String::new(),
        cluster: String::new(),
        create_file: false,
        extensions: Vec::new(),
    }
}

fn make(host: &FakeHost, action: &Database) -> Undo {
    with_cx(host, |cx| {
        assert!(matches!(action.check(cx).unwrap(), Verdict::WouldChange(_)));
        let undo = action.prepare(cx).unwrap().remove(0);
        action.apply(cx).unwrap();
        assert_eq!(action.check(cx).unwrap(), Verdict::Unchanged);
        undo
    })
}

fn carry_out(host: &FakeHost, undo: &Undo, data: Option<&str>, drop_data: bool) -> Outcome<Undone> {
    carry_out_telling(host, undo, data, drop_data, &|_, _| {})
}

fn carry_out_telling(
    host: &FakeHost,
    undo: &Undo,
    data: Option<&str>,
    drop_data: bool,
    dumped: &(dyn Fn(&str, &Path) + Sync),
) -> Outcome<Undone> {
    let (blobs, written_hashes, progress) = (Blobs::new("/var/blobs"), BTreeMap::new(), |_| {});
    carry::carry_out(
        undo,
        &UndoContext {
            host,
            blobs: &blobs,
            log: Path::new("/var/log/x"),
            progress: &progress,
            dumped,
            dumps: Path::new(DUMPS),
            drop_data,
            written_hashes: &written_hashes,
            data,
            post: None,
            died: None,
        },
    )
}

#[test]
fn an_empty_sqlite_file_is_made_where_it_is_wanted_and_one_with_data_is_left_alone() {
    let host = host();
    let file = Path::new("/var/lib/shop/shop.db");
    host.make_dir(Path::new("/var/lib/shop"), Meta::root(0o755)).unwrap();
    let its = Database { name: file.display().to_string(), role: String::new(), ..database(Engine::Sqlite) };
    let made = Database { create_file: true, ..its.clone() };
    with_cx(&host, |cx| {
        assert_eq!(its.check(cx).unwrap(), Verdict::Unchanged, "the application makes it");
        assert!(matches!(made.check(cx).unwrap(), Verdict::WouldChange(_)));
        made.apply(cx).unwrap();
        assert_eq!((host.text(file).as_deref(), made.check(cx).unwrap()), (Some(""), Verdict::Unchanged));
        host.put_file(file, "rows", 0o640);
        let before = host.stat(file).unwrap();
        made.apply(cx).unwrap();
        assert_eq!(host.stat(file).unwrap(), before);
    });
}

const SERVERS: [Engine; 2] = [Engine::Postgresql, Engine::Mariadb];

#[test]
fn an_untouched_database_is_made_and_dropped_again() {
    for engine in SERVERS {
        let host = host();
        let undo = make(&host, &database(engine));
        assert!(host.has_database(engine.id(), "shop_app") && host.has_role(engine.id(), "shop"));
        let data = undo.data(&host).unwrap();
        assert!(matches!(carry_out(&host, &undo, data.as_deref(), false).unwrap(), Undone::Done(_)));
        assert!(!host.has_database(engine.id(), "shop_app") && !host.has_role(engine.id(), "shop"));
        assert_eq!(host.list(Path::new(DUMPS)).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(carry_out(&host, &undo, data.as_deref(), false).unwrap(), Undone::Nothing);
    }
}

#[test]
fn a_database_with_new_rows_is_dumped_and_kept_until_there_is_leave() {
    for engine in SERVERS {
        let host = host();
        let undo = make(&host, &database(engine));
        let data = undo.data(&host).unwrap();
        host.put_row(engine.id(), "shop_app", "a customer");
        let kept = carry_out(&host, &undo, data.as_deref(), false).unwrap();
        assert!(matches!(kept, Undone::Kept { why, .. } if why.contains("--drop-data")));
        assert!(host.has_database(engine.id(), "shop_app") && host.has_role(engine.id(), "shop"));
        let dump = format!("{DUMPS}/{}-shop_app.sql", engine.id());
        assert_eq!(host.text(&dump).as_deref(), Some("a customer"));
        let done = carry_out(&host, &undo, data.as_deref(), true).unwrap();
        assert!(matches!(done, Undone::Done(done) if done.contains(&dump)));
        assert!(!host.has_database(engine.id(), "shop_app"));
        assert_eq!(host.text(&dump).as_deref(), Some("a customer"));
    }
}

#[test]
fn what_a_run_that_never_ended_put_in_is_dumped_and_dropped() {
    let host = host();
    let undo = make(&host, &database(Engine::Postgresql));
    host.put_row("postgresql", "shop_app", "first tables");
    let told = std::sync::Mutex::new(Vec::new());
    let dumped = |what: &str, file: &Path| told.lock().unwrap().push(format!("{what}: {}", file.display()));
    assert!(matches!(carry_out_telling(&host, &undo, None, false, &dumped).unwrap(), Undone::Done(_)));
    assert_eq!(*told.lock().unwrap(), ["the PostgreSQL database shop_app: /var/dumps/postgresql-shop_app.sql"]);
    assert!(!host.has_database("postgresql", "shop_app"));
    assert_eq!(host.text("/var/dumps/postgresql-shop_app.sql").as_deref(), Some("first tables"));
}

#[test]
fn what_existed_before_stays() {
    for engine in SERVERS {
        let host = host();
        make(&host, &database(engine));
        let undo = with_cx(&host, |cx| database(engine).prepare(cx).unwrap().remove(0));
        carry_out(&host, &undo, None, true).unwrap();
        assert!(host.has_database(engine.id(), "shop_app") && host.has_role(engine.id(), "shop"));
    }
}

#[test]
fn an_engine_that_is_not_there_will_change_and_cannot_be_prepared() {
    let host = FakeHost::debian("bookworm");
    host.without_program("mariadb");
    with_cx(&host, |cx| {
        for engine in SERVERS {
            assert!(matches!(database(engine).check(cx).unwrap(), Verdict::WouldChange(_)));
            assert!(database(engine).prepare(cx).unwrap_err().hint.unwrap().contains("apt-get install"));
        }
    });
}

#[test]
fn an_engine_that_was_removed_with_its_data_leaves_nothing_to_undo() {
    let host = host();
    let undo = make(&host, &database(Engine::Postgresql));
    for program in ["psql", "pg_dump"] {
        host.remove(Path::new(&format!("/usr/lib/postgresql/15/bin/{program}"))).unwrap();
    }
    host.remove_dir(Path::new("/var/lib/postgresql")).unwrap();
    assert_eq!(carry_out(&host, &undo, Some("x"), false).unwrap(), Undone::Nothing);
}

#[test]
fn a_password_reaches_neither_a_command_nor_its_input() {
    for engine in SERVERS {
        let host = host();
        let action = Database { auth: Auth::Password, password: "⟦secret:pw⟧".to_owned(), ..database(engine) };
        with_cx(&host, |cx| action.apply(cx).unwrap());
        assert!(host.has_role(engine.id(), "shop"));
        for command in host.commands() {
            let input = match command.stdin {
                crate::host::Stdin::Null => Vec::new(),
                crate::host::Stdin::Bytes(bytes) => bytes,
            };
            let seen = format!("{:?} {:?} {}", command.argv, command.env, String::from_utf8_lossy(&input));
            assert!(!seen.contains("s3cret-pass"), "{seen}");
        }
    }
}

#[test]
fn names_that_are_not_plain_or_belong_to_the_engine_are_refused() {
    for name in ["", "1st", "a b", "a\"b", "a;b", "-x", "postgres", "pg_x", "ROOT", "mysql", &"x".repeat(64)] {
        assert!(identifier("role", name).is_err(), "{name:?}");
    }
    for name in ["shop", "web_app", "a-b", "_x", "Shop2", &"x".repeat(63)] {
        assert!(identifier("role", name).is_ok(), "{name:?}");
    }
}

#[test]
fn an_undo_of_an_unknown_engine_says_which_binary_can() {
    let undo = Undo::Database {
        engine: "oracle".to_owned(),
        name: "a".to_owned(),
        role: "b".to_owned(),
        database_existed: false,
        role_existed: false,
        before: None,
        cluster: String::new(),
        closed: Vec::new(),
    };
    assert!(carry_out(&host(), &undo, None, true).unwrap_err().hint.unwrap().contains("kept with the run"));
}

#[test]
fn a_record_from_before_there_were_restoring_statements_can_still_be_read() {
    let old =
        r#"{"op":"database","engine":"mariadb","name":"a","role":"b","database_existed":false,"role_existed":true}"#;
    let undo: Undo = serde_json::from_str(old).unwrap();
    assert!(matches!(undo, Undo::Database { before: None, role_existed: true, .. }));
}

#[test]
fn a_sqlite_file_is_dumped_before_it_is_removed() {
    let host = host();
    host.put_file("/srv/app.db", "SQLite format 3\0...", 0o640);
    host.put_file("/srv/app.db-wal", "log", 0o640);
    host.without_program("/usr/bin/python3");
    let undone = sqlite_undo(&host, Some("another"), false);
    assert!(matches!(undone, Undone::Kept { .. }));
    assert_eq!(host.stat(Path::new("/srv/app.db")).unwrap().map(|stat| stat.kind), Some(Kind::File));
    assert!(matches!(sqlite_undo(&host, Some("another"), true), Undone::Done(_)));
    assert_eq!(host.stat(Path::new("/srv/app.db-wal")).unwrap(), None);
    assert_eq!(host.text("/var/dumps/sqlite-srv-app.db.sqlite").as_deref(), Some("SQLite format 3\0..."));
    assert_eq!(sqlite_undo(&host, Some("another"), true), Undone::Nothing);
}

fn sqlite_undo(host: &FakeHost, data: Option<&str>, drop_data: bool) -> Undone {
    let undo = Undo::Database {
        engine: "sqlite".to_owned(),
        name: "/srv/app.db".to_owned(),
        role: String::new(),
        database_existed: false,
        role_existed: false,
        before: None,
        cluster: String::new(),
        closed: Vec::new(),
    };
    carry_out(host, &undo, data, drop_data).unwrap()
}

/// What a role that a visitor had at hand has made where it has no business.
#[test]
fn what_a_role_made_in_other_databases_is_dumped_and_dropped_with_it() {
    let host = host();
    let undo = make(&host, &database(Engine::Postgresql));
    let data = undo.data(&host).unwrap();
    host.put_owned("shop", "postgres", "public.base_registry_signaling");
    host.put_owned("shop", "postgres", "public.base_cache_signaling");
    host.put_owned("shop", "", "shop_two");
    // It counts as data, of which the rollback asks before it begins.
    assert_ne!(undo.data(&host).unwrap(), data);
    assert!(matches!(carry_out(&host, &undo, data.as_deref(), false).unwrap(), Undone::Kept { .. }));
    assert!(host.has_role("postgresql", "shop") && host.has_database("postgresql", "shop_two"));
    let Undone::Done(done) = carry_out(&host, &undo, data.as_deref(), true).unwrap() else { panic!("not done") };
    assert!(!host.has_role("postgresql", "shop") && !host.has_database("postgresql", "shop_two"));
    assert!(done.contains("the role's database shop_two (dumped in /var/dumps/postgresql-shop_two.sql)"), "{done}");
    let dump = host.text("/var/dumps/postgresql-postgres-of-the-role.sql").unwrap();
    assert_eq!(dump, "public.base_cache_signaling\npublic.base_registry_signaling");
    // The role is kept out before anything of it is looked for a last time.
    let said: Vec<String> = host.commands().iter().map(|command| stdin(&command.stdin)).collect();
    let at = |words: &str| said.iter().position(|text| text.contains(words)).unwrap();
    assert!(at("NOLOGIN") < at("DROP OWNED BY") && at("pg_terminate_backend") < at("DROP ROLE"));
}

#[test]
fn what_a_role_made_in_a_database_that_was_there_first_goes_and_the_database_stays() {
    let host = host();
    host.put_row("postgresql", "shop_app", "somebody else's");
    host.put_owned("shop", "shop_app", "public.entries");
    let undo = Undo::Database {
        engine: "postgresql".to_owned(),
        name: "shop_app".to_owned(),
        role: "shop".to_owned(),
        database_existed: true,
        role_existed: false,
        before: None,
        cluster: String::new(),
        closed: Vec::new(),
    };
    host.run(&crate::host::Command::new(["psql"]).stdin("CREATE ROLE \"shop\";\n")).unwrap();
    assert!(host.has_role("postgresql", "shop"));
    assert!(matches!(carry_out(&host, &undo, None, true).unwrap(), Undone::Done(_)));
    assert!(host.has_database("postgresql", "shop_app") && !host.has_role("postgresql", "shop"));
    assert_eq!(host.text("/var/dumps/postgresql-shop_app-of-the-role.sql").as_deref(), Some("public.entries"));
}

fn stdin(stdin: &crate::host::Stdin) -> String {
    match stdin {
        crate::host::Stdin::Null => String::new(),
        crate::host::Stdin::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[test]
fn packages_stay_while_a_database_of_their_engine_is_not_undone() {
    let host = host();
    let undo = make(&host, &database(Engine::Postgresql));
    host.put_owned("shop", "reports", "public.entries");
    host.entangle("reports", true);
    let failure = carry_out(&host, &undo, None, true).unwrap_err();
    assert!(failure.why.contains("line 1: ERROR:  cannot drop desired object(s)"), "{}", failure.why);
    assert!(failure.why.ends_with(": view reports depends on table entries"), "{}", failure.why);
    assert!(failure.hint.unwrap().contains("runuser -u postgres -- psql -p 5432 -d reports"));
    let packages = |names: &[&str]| Undo::Packages {
        before: Vec::new(),
        planned: names.iter().map(|name| (format!("{name}:amd64"), "1".to_owned())).collect(),
    };
    for names in [&["postgresql-common", "postgresql-15"][..], &["postgresql-15"]] {
        let failure = carry_out(&host, &packages(names), None, true).unwrap_err();
        assert!(failure.why.contains("the database shop_app of PostgreSQL is not rolled back"), "{}", failure.why);
    }
    assert!(carry_out(&host, &packages(&["nginx", "postgresql-client-15"]), None, true).is_ok());
    host.entangle("reports", false);
    assert!(matches!(carry_out(&host, &undo, None, true).unwrap(), Undone::Done(_)));
    assert!(carry_out(&host, &packages(&["postgresql-15"]), None, true).is_ok());
}

#[test]
fn a_cluster_of_somebody_else_s_keeps_the_packages_that_it_runs_on() {
    let host = host();
    host.put_file("/etc/postgresql/15/main/postgresql.conf", "port = 5432\n", 0o644);
    host.put_file("/etc/postgresql/15/second/postgresql.conf", "port = 5433\n", 0o644);
    let undo = Undo::Packages { before: Vec::new(), planned: vec![("postgresql-15:amd64".to_owned(), "1".to_owned())] };
    let failure = carry_out(&host, &undo, None, true).unwrap_err();
    assert!(failure.why.contains("15/second") && failure.hint.unwrap().contains("pg_dropcluster --stop 15 second"));
    let other =
        Undo::Packages { before: Vec::new(), planned: vec![("postgresql-17:amd64".to_owned(), "1".to_owned())] };
    assert!(carry_out(&host, &other, None, true).is_ok());
}

#[test]
fn other_databases_are_closed_to_the_role_where_that_takes_nothing_from_others() {
    let host = host();
    for name in ["postgres", "template1"] {
        host.open_schema(name);
    }
    let undo = make(&host, &database(Engine::Postgresql));
    assert!(!host.is_schema_open("postgres") && !host.is_schema_open("template1"));
    let Undo::Database { closed, .. } = &undo else { panic!("{undo:?}") };
    assert_eq!(*closed, ["postgres", "template1"]);
    carry_out(&host, &undo, None, true).unwrap();
    assert!(host.is_schema_open("postgres") && host.is_schema_open("template1"));
}

#[test]
fn other_databases_stay_open_where_other_roles_use_them() {
    let host = host();
    host.open_schema("postgres");
    make(&host, &Database { name: "mail".to_owned(), role: "mail".to_owned(), ..database(Engine::Postgresql) });
    host.open_schema("template1");
    let undo = make(&host, &database(Engine::Postgresql));
    assert!(matches!(&undo, Undo::Database { closed, .. } if closed.is_empty()), "{undo:?}");
    assert!(host.is_schema_open("template1"));
}

/// Two clusters, the foreign one on the usual port.
#[test]
fn only_the_cluster_that_is_named_is_spoken_to() {
    let host = host();
    host.put_file("/etc/postgresql/15/foreign/postgresql.conf", "port = 5432\n", 0o644);
    host.put_file("/etc/postgresql/15/main/postgresql.conf", "port = 5433\n", 0o644);
    host.make_dir(Path::new("/var/lib/postgresql/15"), Meta::root(0o755)).unwrap();
    host.make_dir(Path::new("/var/lib/postgresql/15/main"), Meta::root(0o700)).unwrap();
    let undo = make(&host, &Database { cluster: "15/main".to_owned(), ..database(Engine::Postgresql) });
    assert!(matches!(&undo, Undo::Database { cluster, .. } if cluster == "15/main"));
    carry_out(&host, &undo, None, true).unwrap();
    let mut spoken = 0;
    for command in host.commands().iter().filter(|command| command.argv.iter().any(|arg| arg.contains("/bin/p"))) {
        let at = command.argv.iter().position(|arg| arg == "-p").unwrap();
        assert_eq!(command.argv[at + 1], "5433", "{:?}", command.argv);
        spoken += 1;
    }
    assert!(spoken > 6, "{spoken}");
    let gone = Database { cluster: "15/gone".to_owned(), ..database(Engine::Postgresql) };
    with_cx(&host, |cx| assert!(gone.prepare(cx).unwrap_err().why.contains("no such cluster")));
}

/// `public.has_schema_privilege` of anyone who owns a database must never be what a superuser calls.
#[test]
fn a_superuser_s_session_looks_for_names_nowhere_but_in_the_catalogue() {
    let host = host();
    let action = Database { owner: "postgres".to_owned(), ..database(Engine::Postgresql) };
    with_cx(&host, |cx| {
        let _ = action.check(cx);
        action.prepare(cx).unwrap();
        action.apply(cx).unwrap();
        let _ = action.check(cx);
    });
    let commands = host.commands();
    let sessions: Vec<_> = commands.iter().filter(|command| command.argv[0].ends_with("/psql")).collect();
    assert!(sessions.len() > 4);
    for command in sessions {
        let options = command.env.iter().find(|(name, _)| name == "PGOPTIONS").map(|(_, value)| value.as_str());
        assert!(options.is_some_and(|options| options.contains("-c search_path= ")), "{:?}", command.argv);
        assert!(["-X", "ON_ERROR_STOP=1"].iter().all(|option| command.argv.iter().any(|arg| arg == option)));
        let sql = stdin(&command.stdin);
        let calls = ["has_", "pg_get_", "pg_encoding", "json_agg", "format(", "count(", "pg_roles", "pg_database"];
        for call in calls {
            for (at, _) in sql.match_indices(call) {
                assert!(sql[..at].ends_with("pg_catalog.") || sql[..at].ends_with("JOIN pg_catalog."), "{call}: {sql}");
            }
        }
    }
}

#[test]
fn whoever_names_a_database_chooses_neither_a_file_nor_a_server() {
    assert_eq!(dump::file_name("shop_app"), "shop_app");
    let hostile = dump::file_name("../../etc/cron.d/x");
    assert!(hostile.starts_with("______etc_cron_d_x-") && !hostile.contains('/'), "{hostile}");
    assert_ne!(dump::file_name("a/b"), dump::file_name("a.b"));
    assert_eq!(postgresql::conninfo("shop_app"), "shop_app");
    assert_eq!(postgresql::conninfo("host=evil user=x"), "dbname='host=evil user=x'");
    assert_eq!(postgresql::conninfo("postgresql://evil/"), "dbname='postgresql://evil/'");
    assert_eq!(postgresql::conninfo(r"it's \ me"), r"dbname='it\'s \\ me'");
}
