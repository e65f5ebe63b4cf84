//! Hostile servers, files, documents and templates, with 64 MiB of memory: each ends in an error that names it, within
//! seconds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use bringup::action::carry::carry_out;
use bringup::facts::Facts;
use bringup::guide::Guide;
use bringup::guide::expression::{Context, Expressions};
use bringup::host::real::RealHost;
use bringup::host::{Host, Meta};
use bringup::progress::Progress;
use bringup::proof::{self, Proof};
use bringup::secret::Secrets;
use bringup::undo::{Blobs, Undo, UndoContext, Undone};
use bringup::yaml;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const LIMITED: &str = "BRINGUP_TEST_LIMITED";
const LIMIT: u64 = 64 << 20;

/// Runs one test of this module again, in a process of its own that gets so much memory and no more.
fn limited(name: &str, test: impl FnOnce()) {
    if std::env::var_os(LIMITED).is_some() {
        let given = getrlimit(Resource::Data);
        setrlimit(Resource::Data, Rlimit { current: Some(LIMIT), ..given }).unwrap();
        return test();
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again
        .args(["--exact", &format!("bounds::{name}"), "--nocapture", "--test-threads", "1"])
        .env(LIMITED, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A server that does the same to everybody who comes.
fn server(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn told(proof: serde_json::Value) -> String {
    let proof: Proof = serde_json::from_value(proof).unwrap();
    let (host, secrets) = (RealHost::new(), Secrets::default());
    proof.prover().prove(&proof::Context { host: &host, secrets: &secrets }).unwrap_err().to_string()
}

/// Everything that a protocol may take for the beginning of an answer, and then zeros, or messages, without end.
fn flooding(start: &'static [u8], then: &'static [u8]) -> impl Fn(TcpStream) + Send + Sync + Clone + 'static {
    move |mut stream: TcpStream| {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(start);
        let much = then.repeat((1 << 16) / then.len());
        while stream.write_all(&much).is_ok() {}
    }
}

#[test]
fn a_server_that_floods_is_left() {
    limited("a_server_that_floods_is_left", || {
        // Of PostgreSQL: a notice, again and again. Of Redis: a bulk string without end.
        let floods: [(&[u8], &[u8]); 5] = [
            (b"", b"\0"),
            (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
            (b"", b"N\0\0\0\x05\0"),
            (b"", b"+OK\r\n"),
            (b"", b"\xff"),
        ];
        for (start, then) in floods {
            let port = server(flooding(start, then));
            for protocol in ["postgresql", "mariadb", "redis", "rabbitmq", "tls"] {
                told(
                    serde_json::json!({"tcp": {"protocol": protocol, "host": "127.0.0.1", "port": port, "user": "u", "password": "p"}}),
                );
            }
            let url = format!("http://127.0.0.1:{port}/");
            let why = told(serde_json::json!({"http": {"url": url, "contains": "never"}}));
            assert!(!why.is_empty());
        }
    });
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("bringup-bounds-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    dir
}

#[test]
fn a_file_of_any_size_is_no_obstacle() {
    limited("a_file_of_any_size_is_no_obstacle", || {
        let dir = scratch("sparse");
        let data = dir.join("data");
        fs::create_dir_all(data.join("below")).unwrap();
        fs::create_dir(dir.join("dumps")).unwrap();
        fs::create_dir(dir.join("blobs")).unwrap();
        fs::write(data.join("upload"), "somebody's").unwrap();
        let huge = File::create(data.join("below/huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        huge.write_all_at(b"an end", (1 << 40) - 6).unwrap();
        // One that says it is a database.
        let database = File::create(data.join("db")).unwrap();
        database.set_len(1 << 40).unwrap();
        database.write_all_at(b"SQLite format 3\0", 0).unwrap();

        let host = RealHost::new();
        let why = |path: &Path| host.read(path).unwrap_err().to_string();
        assert!(!why(&data.join("below/huge")).is_empty(), "root's own may be larger, but not than memory");
        if host.euid() == 0 {
            std::os::unix::fs::chown(data.join("below/huge"), Some(54321), None).unwrap();
            assert!(why(&data.join("below/huge")).contains("larger than"));
        }
        assert_eq!(host.read_start(&data.join("below/huge"), 4).unwrap(), [0; 4]);
        let record = Undo::RemoveData { path: data.clone() };
        let first = record.data(&host).unwrap().unwrap();
        assert_eq!(record.data(&host).unwrap().unwrap(), first);

        let nothing = BTreeMap::new();
        let (blobs, log, dumps) = (Blobs::new(dir.join("blobs")), dir.join("log"), dir.join("dumps"));
        let cx = UndoContext {
            host: &host,
            blobs: &blobs,
            log: &log,
            progress: &|_: Progress| {},
            dumped: &|_, _| {},
            dumps: &dumps,
            drop_data: true,
            written_hashes: &nothing,
            data: Some("as it was"),
            post: None,
            died: None,
        };
        let before = blobs.before(&host, &data.join("below/huge")).unwrap_err();
        assert!(before.why.contains("larger than 1.1 GB"), "{before}");
        assert!(matches!(carry_out(&record, &cx).unwrap(), Undone::Done(_)));
        assert!(!data.exists());
        let [archive] = &host.list(&dumps).unwrap()[..] else { panic!("one archive") };
        let listed = Command::new("tar").arg("-tf").arg(dumps.join(archive)).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let inside = data.strip_prefix("/").unwrap().display().to_string();
        assert!(listed.lines().any(|line| line == format!("{inside}/upload")), "{listed}");
        assert!(fs::metadata(dumps.join(archive)).unwrap().len() < 1 << 20);

        // A before-image that does not fit into memory twice.
        let large = dir.join("large");
        fs::write(&large, "beginning").unwrap();
        File::options().write(true).open(&large).unwrap().set_len(40 << 20).unwrap();
        let record = blobs.before(&host, &large).unwrap();
        let hash = host.hash(&large).unwrap();
        host.write(&large, b"ours", Meta::root(0o600)).unwrap();
        carry_out(&record, &cx).unwrap();
        assert_eq!(host.hash(&large).unwrap(), hash);
        fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn a_program_that_talks_without_end_is_heard_to_its_end() {
    limited("a_program_that_talks_without_end_is_heard_to_its_end", || {
        let host = RealHost::new();
        let command = bringup::host::Command::new(["sh", "-c", "head -c 300000000 /dev/zero; echo done >&2"]);
        let output = host.run(&command).unwrap();
        assert!(output.ok() && output.stdout.len() < 16 << 20);
        assert_eq!(output.tail(1), ["done"]);
    });
}

#[test]
fn a_document_that_grows_when_it_is_read_is_refused() {
    limited("a_document_that_grows_when_it_is_read_is_refused", || {
        let mut laughs = String::from("a0: &a0 [lol, lol]\n");
        for level in 1..30 {
            laughs += &format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n", level - 1);
        }
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 15_000].join(","));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [laughs, long, deep, "a: b\n".repeat(100_000)] {
            let problems = yaml::parse("hostile.yaml", text.as_bytes()).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
    });
}

#[test]
fn a_template_without_end_is_stopped() {
    limited("a_template_without_end_is_stopped", || {
        let expressions = Expressions::new(&Guide { id: "t".into(), ..Guide::default() });
        let context = Context::new(&Facts::default());
        let refused = |template: &str| expressions.render(template, &context).unwrap_err();
        let nested = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(refused(nested).contains("fuel"), "{}", refused(nested));
        let wide = format!("{{% for a in range(9999) %}}{}{{% endfor %}}", "x".repeat(50_000));
        assert!(refused(&wide).contains("more than 8 MiB"), "{}", refused(&wide));
        let endless = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
        assert!(!refused(endless).is_empty());
    });
}
