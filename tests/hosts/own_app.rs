//! Applications of people's own, as they deploy them: with defaults, then with settings, steps and static files.

use std::path::Path;

use crate::host::{Host, Init, answers, is_long, nothing_left_to_do};
use crate::pair::until;

/// Copies an application of `tests/hosts/apps` to `/root/app`.
pub fn push_app(host: &Host, name: &str) {
    host.sh("rm -rf /root/app").expect(0);
    host.push(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/apps").join(name), "/root/app");
    host.sh("chown -R root:root /root/app").expect(0);
}

/// What the application answers for a page, over TLS and through the web server.
pub fn page(host: &Host, path: &str) -> String {
    host.sh(&format!("curl -sk {} 'https://app.example.test{path}'", to("app.example.test"))).expect(0).stdout
}

/// Status and `Location` of what a name answers for a path over TLS, by its own certificate.
fn answer(host: &Host, name: &str, path: &str) -> String {
    let trust = "--cacert /etc/ssl/app.example.test/fullchain.pem";
    let shown = "-o /dev/null -w '%{http_code} %{redirect_url}'";
    host.sh(&format!("curl -s {shown} {trust} {} 'https://{name}{path}'", to(name))).expect(0).stdout.trim().to_owned()
}

/// An option of curl: this name is this server.
pub fn to(name: &str) -> String {
    format!("--resolve {name}:443:127.0.0.1 --resolve {name}:80:127.0.0.1")
}

/// The whole application `flask`.
const FLASK: &str = include_str!("apps/flask/app.py");

/// What visitors were answered while something is done, of 1,000 requests or more: lines such as `412 200 a page`.
pub fn under_load<R>(host: &Host, act: impl FnOnce() -> R) -> Vec<String> {
    host.write("/root/visitors.py", include_str!("visitors.py"));
    host.sh("setsid sh -c 'python3 /root/visitors.py app.example.test > /tmp/seen 2>&1; mv /tmp/seen /tmp/told' >/dev/null 2>&1 &")
        .expect(0);
    act();
    host.sh("touch /tmp/stop").expect(0);
    until("the visitors have gone", || host.sh("test -e /tmp/told").status == 0);
    let told = host.sh("cat /tmp/told; rm /tmp/told /tmp/stop /root/visitors.py").expect(0).stdout;
    assert!(!told.is_empty(), "there were no visitors");
    told.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn three_lines_of_flask_need_a_source_and_a_host_name() {
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "flask");
    let before = host.manifest("before");
    let defaults = [
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.packages", "[python3-flask, curl]"),
        ("application.processes", "[{name: idle, command: sleep infinity}]"),
        ("application.jobs", "[{name: look, at: '*:0/15', command: cat app.py}]"),
        ("application.check_text", "lines"),
        ("web.host", "app.example.test"),
        ("web.aliases", "[www.app.example.test, other.test]"),
        ("web.redirects", "{/old: /new, /blog/: 'https://blog.example.test/'}"),
        ("web.backends", "{/api/: 9000}"),
    ];
    host.bringup(&answers(&defaults)).expect(0);
    assert_eq!(page(&host, "/"), "three lines\n");
    host.sh("systemctl is-active webapp-idle.service webapp-job-look.timer").expect(0);
    host.sh("journalctl -u webapp-job-look | grep -q 'import Flask'").expect(0);
    assert_eq!(answer(&host, "other.test", "/a%20b/?c=d"), "301 https://app.example.test/a%20b/?c=d");
    assert_eq!(answer(&host, "app.example.test", "/old?c=d"), "301 https://app.example.test/new?c=d");
    assert_eq!(answer(&host, "app.example.test", "/older"), "404");
    let moved = answer(&host, "app.example.test", "/blog/a%20b?c=d");
    assert_eq!(moved, "301 https://blog.example.test/a%20b?c=d");
    // No line break gets into a header.
    assert_eq!(answer(&host, "app.example.test", "/blog/a%0d%0ab"), "404");
    streams(&host);
    host.sh("! grep -q -E 'DATABASE_URL|QUEUE_URL' /etc/webapp/env").expect(0);
    nothing_left_to_do(&host, &answers(&defaults));
    looked_after(&host);
    // The next release, and one that does not start: no visitor notices either.
    let release = |line: &str| host.write("/root/app/app.py", &FLASK.replace("three lines", line));
    release("four lines");
    let seen = under_load(&host, || host.bringup(&answers(&defaults)).expect(0));
    assert!(seen.iter().all(|told| told.ends_with("200 three lines") || told.ends_with("200 four lines")), "{seen:?}");
    assert_eq!(page(&host, "/"), "four lines\n");
    release("five lines\\n\") + nothing(\"");
    let seen = under_load(&host, || host.bringup(&answers(&defaults)).expect(3));
    assert!(seen.len() == 1 && seen[0].ends_with("200 four lines"), "{seen:?}");
    release("four lines");
    // Another port is taken up, and taken back: systemd must read the former files, whose time is older.
    let elsewhere: Vec<(&str, &str)> = defaults.iter().copied().chain([("application.port", "8100")]).collect();
    let listens = || host.sh("ss -Hltn src 127.0.0.1 | grep -o ':8[01]00 '").expect(0).stdout;
    host.bringup(&answers(&elsewhere)).expect(0);
    assert_eq!(listens().trim(), ":8100");
    host.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    assert_eq!(listens().trim(), ":8000");
    assert_eq!(page(&host, "/"), "four lines\n");
    let kept = host.sh("ls /opt/webapp/app.releases | wc -l").expect(0).stdout;
    assert!(kept.trim().parse::<u32>().unwrap() <= 5, "{kept}");
    release("three lines");
    host.roll_back_all();
    host.assert_identical(&before);
}

/// Seven releases with an environment each: five stay, a rollback to a removed one is refused before it begins, and
/// everything can be rolled back.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_last_five_releases_are_kept_and_everything_goes_all_the_same() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "flask");
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.packages", "[python3-flask, curl]"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    let trees = || host.sh("ls /opt/webapp/app.releases").expect(0).stdout;
    let release = |line: &str| host.write("/root/app/app.py", &FLASK.replace("three lines", line));
    let first = trees();
    for number in 2..=5 {
        release(&format!("release {number}"));
        host.sh("bringup deploy --plain").expect(0);
    }
    assert_eq!(trees().lines().count(), 5);
    // Somebody ran Python in an old release, which leaves compiled modules.
    host.sh("for d in /opt/webapp/app.releases/*; do python3 -m compileall -q $d; done").expect(0);
    for number in 6..=7 {
        release(&format!("release {number}"));
        let told = host.sh("bringup deploy --plain").expect(0).both();
        assert!(told.contains("removed old releases in /opt/webapp/app.releases: "), "{told}");
    }
    assert_eq!(trees().lines().count(), 5);
    assert!(!trees().contains(first.trim()), "{}", trees());
    assert_eq!(page(&host, "/"), "release 7\n");
    let history = host.sh("bringup history").expect(0).stdout;
    assert_eq!(history.matches("the release before it is no longer kept").count(), 2, "{history}");
    let second = host.sh("ls /var/lib/bringup/runs | sed -n 2p").expect(0).stdout;
    let refused = host.sh(&format!("bringup rollback --run {} --yes --plain", second.trim())).expect(1).both();
    assert!(refused.contains("only the last 5 are kept") && refused.contains("--run"), "{refused}");
    assert_eq!(page(&host, "/"), "release 7\n");
    let third = refused.split("rollback --run ").nth(1).unwrap().split('`').next().unwrap();
    host.sh(&format!("bringup rollback --run {third} --yes --plain")).expect(0);
    assert_eq!(page(&host, "/"), "release 3\n");
    host.sh("bringup rollback --yes --plain").expect(1);
    // What Python compiled since is not ours to remove, and has kept the directories of two releases.
    host.sh("cd /opt/webapp/app.releases && find . -name __pycache__ -prune -exec rm -r {} + && find . -empty -delete")
        .expect(0);
    release("three lines");
    host.roll_back_all();
    host.assert_identical(&before);
}

/// A file of settings joins the answers: refused where it is wrong, read anew, and kept where it is gone.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn settings_come_from_a_file_and_stay_when_it_is_gone() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "flask");
    let before = host.manifest("before");
    // Neither the kind nor the way it is started is answered: its files tell.
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.packages", "[python3-flask, curl]"),
        ("application.env_file", "/root/shop.env"),
        ("application.env", "{DEBUG: '1'}"),
        ("web.host", "app.example.test"),
    ]);
    let wrong = |content: &str, mode: &str, why: &str| {
        host.write("/root/shop.env", content);
        host.sh(&format!("chmod {mode} /root/shop.env")).expect(0);
        let refused = host.bringup(&file).expect(1).both();
        assert!(refused.contains(why) && !refused.contains("hunter"), "{refused}");
    };
    wrong("A=1\nhunter22\n", "600", "/root/shop.env, line 2: it has no `=`");
    wrong("A=1\nPATH=/hunter\n", "600", "/root/shop.env, line 2: 'PATH' is set already");
    wrong("A=1\n", "666", "users other than root can change /root/shop.env");
    assert!(host.difference(&before).lines().all(|line| line.contains("/root/")), "something was changed");
    host.write("/root/shop.env", "API='hunter22 $x \"#1\"'\nDEBUG=0\nKEY=\"one\ntwo\"\nSHORT=\n");
    host.sh("chmod 600 /root/shop.env").expect(0);
    host.bringup(&file).expect(0);
    let seen = || host.sh("bringup shell -- sh -c 'echo \"$API|$DEBUG|$KEY|$SHORT\"'").expect(0).stdout;
    assert_eq!(seen(), "hunter22 $x \"#1\"|1|one\ntwo|\n");
    let listed = host.sh("bringup env list").expect(0).stdout;
    assert!(listed.contains("API=***** (in /root/shop.env)\nDEBUG=1\n") && !listed.contains("hunter"), "{listed}");
    host.sh("! grep -r -l hunter22 /var/lib/bringup/runs /var/log").expect(0);
    nothing_left_to_do(&host, &file);
    let refused = host.sh("bringup env unset API --plain").expect(1).both();
    assert!(refused.contains("API is in the file /root/shop.env"), "{refused}");
    host.sh("sed -i s/hunter22/hunter23/ /root/shop.env").expect(0);
    let told = host.sh("bringup deploy --plain").expect(0).both();
    assert!(crate::host::moved(&told).contains(&"restart webapp.service"), "{told}");
    assert!(seen().starts_with("hunter23 "), "{}", seen());
    host.sh("rm /root/shop.env && bringup env set MORE=2 --plain").expect(0);
    assert!(seen().starts_with("hunter23 "), "{}", seen());
    host.roll_back_all();
    host.assert_identical(&before);
}

/// The next release, other settings, logs, a restart and commands as the application, all from the record of the last run.
fn looked_after(host: &Host) {
    host.sh("sed -i s/three/four/ /root/app/app.py").expect(0);
    let told = host.sh("bringup deploy --plain").expect(0).both();
    assert!(crate::host::moved(&told).contains(&"restart webapp.service"), "{told}");
    assert_eq!(page(host, "/"), "four lines\n");
    let told = host.sh("bringup deploy --plain").expect(0).both();
    assert!(told.contains("othing to do"), "{told}");
    let refused = host.sh("bringup deploy v1").expect(1).both();
    assert!(refused.contains("no branches or tags"), "{refused}");
    // A secret comes by standard input; no command line, no journal and no plan holds it, and it outlives other changes.
    host.sh("echo hunter22 | bringup env set API_TOKEN GREETING='a $b' --plain").expect(0);
    host.sh("bringup env set GREETING=\"it's\" --plain").expect(0);
    assert_eq!(host.sh("bringup env list | grep -v KEY").expect(0).stdout, "API_TOKEN=***** (secret)\nGREETING=it's\n");
    host.sh("! grep -r -l hunter22 /var/lib/bringup/runs/*/{plan.json,answers.yaml,journal.jsonl,events.jsonl,log}")
        .expect(0);
    host.sh("bringup env set API_TOKEN=hunter23").expect(1);
    // As the application: its user, directory and settings, and the command's status.
    let seen = host.sh("bringup shell -- sh -c 'id -un; pwd; echo \"$GREETING $API_TOKEN\"; exit 7'").expect(7).stdout;
    assert_eq!(seen, "webapp\n/opt/webapp/app\nit's hunter22\n");
    // At a terminal it is a shell, with a terminal of its own; a secret that is asked for is not shown.
    let typed = "(sleep 2; echo 'tty; id -un; exit 3') | script -qec 'tty; bringup shell' /dev/null";
    let seen = host.sh(typed).expect(3).both();
    let terminals: std::collections::BTreeSet<&str> =
        seen.lines().map(str::trim).filter(|line| line.starts_with("/dev/pts/")).collect();
    assert!(terminals.len() == 2 && seen.contains("webapp\r"), "{seen:?}");
    let typed = "(sleep 2; echo hunter24; sleep 5) | script -qec 'bringup env set API_TOKEN --plain' /dev/null";
    let seen = host.sh(typed).expect(0).both();
    assert!(seen.contains("it is not shown") && !seen.contains("hunter24"), "{seen}");
    host.sh("grep -q hunter24 /etc/webapp/env").expect(0);
    let told = host.sh("bringup restart && bringup logs -n 20").expect(0).both();
    assert!(
        told.contains("web (webapp.service) is restarted and runs")
            && told.contains("idle (webapp-idle.service)")
            && told.contains("Booting worker"),
        "{told}"
    );
    let told = host.sh("bringup restart --service job-look && bringup logs --service job-look").expect(0).both();
    assert!(told.contains("was run, and ended with success") && told.contains("import Flask"), "{told}");
    // What a careless hand opened is found.
    let found = host.sh("chmod o+rx /etc/webapp; chmod o+r /etc/webapp/env; bringup verify --plain").expect(6).words();
    assert!(found.contains("everybody can read application.env.API_TOKEN in /etc/webapp/env"), "{found}");
    assert!(!found.contains("hunter24"), "{found}");
    let found = host
        .sh("chmod o= /etc/webapp/env /etc/webapp; chown webapp /opt/webapp/bin; bringup verify --plain")
        .expect(6)
        .words();
    assert!(found.contains("/opt/webapp/bin can be changed by the application"), "{found}");
    host.sh("chown root /opt/webapp/bin && bringup verify").expect(0);
    host.sh("bringup env unset API_TOKEN GREETING --plain && sed -i s/four/three/ /root/app/app.py").expect(0);
    host.sh("! grep -E 'API_TOKEN|GREETING' /etc/webapp/env").expect(0);
}

/// What listens on port 9000 below `/api/` gets the whole path, and what it sends arrives before it is done.
fn streams(host: &Host) {
    host.write(
        "/root/events.py",
        "import http.server, time\n\
         class Events(http.server.BaseHTTPRequestHandler):\n    \
             def do_GET(self):\n        \
                 self.send_response(200)\n        \
                 self.send_header('Content-Type', 'text/event-stream')\n        \
                 self.send_header('X-Accel-Buffering', 'no')\n        \
                 self.end_headers()\n        \
                 seen = (self.path, self.headers['X-Forwarded-Proto'], self.headers['X-Forwarded-For'])\n        \
                 self.wfile.write(('data: %s %s %s\\n\\n' % seen).encode())\n        \
                 self.wfile.flush()\n        \
                 time.sleep(30)\n\
         http.server.ThreadingHTTPServer(('127.0.0.1', 9000), Events).serve_forever()\n",
    );
    host.sh("systemd-run --unit events python3 /root/events.py && sleep 1").expect(0);
    let fetch = format!("curl -skN -m 3 -H 'X-Forwarded-For: 192.0.2.66' {}", to("app.example.test"));
    let seen = host.sh(&format!("{fetch} 'https://app.example.test/api/v1?x=y'")).stdout;
    assert_eq!(seen, "data: /api/v1?x=y https 127.0.0.1\n\n");
    host.sh("systemctl stop events; rm /root/events.py").expect(0);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn apache_serves_static_files_names_and_paths() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "flask");
    host.sh(
        "mkdir /root/app/public && echo plain > /root/app/public/a.txt && echo hashed > /root/app/public/a.0123abcd.js",
    )
    .expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.packages", "[python3-flask, curl]"),
        ("application.static", "public"),
        ("web.server", "apache"),
        ("web.host", "app.example.test"),
        ("web.aliases", "[www.app.example.test, other.test]"),
        ("web.aliases_served", "serve"),
        ("web.redirects", "{/old: /new, /blog/: 'https://blog.example.test/', /blog/own: /own}"),
        ("web.backends", "{/api/: 9000}"),
    ]);
    host.bringup(&file).expect(0);
    for name in ["app.example.test", "www.app.example.test", "other.test"] {
        assert_eq!(answer(&host, name, "/"), "200");
        let plain = format!("curl -s -o /dev/null -w '%{{redirect_url}}' {} http://{name}/a?b=c", to(name));
        assert_eq!(host.sh(&plain).expect(0).stdout, format!("https://{name}/a?b=c"));
    }
    assert_eq!(answer(&host, "other.test", "/old?c=d"), "301 https://app.example.test/new?c=d");
    assert_eq!(answer(&host, "app.example.test", "/older"), "404");
    assert_eq!(answer(&host, "app.example.test", "/blog/own"), "301 https://app.example.test/own");
    let moved = answer(&host, "app.example.test", "/blog/a%0d%0ab?c=d");
    assert_eq!(moved, "301 https://blog.example.test/a%0d%0ab?c=d");
    let fetch = format!("curl -ski {} https://app.example.test/static", to("app.example.test"));
    let plain = host.sh(&format!("{fetch}/a.txt")).expect(0).stdout;
    assert!(plain.contains("plain\n") && plain.contains("public, max-age=3600\r"), "{plain}");
    let hashed = host.sh(&format!("{fetch}/a.0123abcd.js")).expect(0).stdout;
    assert!(hashed.contains("hashed\n") && hashed.contains("immutable"), "{hashed}");
    host.sh("ln -s /etc/passwd $(readlink -f /opt/webapp/app)/public/leak").expect(0);
    assert!(!host.sh(&format!("{fetch}/leak")).expect(0).stdout.contains("root:"), "a link was followed");
    host.sh("rm $(readlink -f /opt/webapp/app)/public/leak").expect(0);
    streams(&host);
    nothing_left_to_do(&host, &file);
    // One name less, which is redirected now.
    host.bringup(&file.replace("[www.app.example.test, other.test]", "[other.test]").replace("serve\n", "redirect\n"))
        .expect(0);
    assert_eq!(answer(&host, "other.test", "/x"), "301 https://app.example.test/x");
    host.sh("! openssl x509 -in /etc/ssl/app.example.test/fullchain.pem -noout -ext subjectAltName | grep www.")
        .expect(0);
    host.roll_back_all();
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_application_that_never_opens_its_sqlite_database_has_one() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "flask");
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.packages", "[python3-flask]"),
        ("database.engine", "sqlite"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(host.sh("stat -c '%U %a' /var/lib/webapp/webapp.db").expect(0).stdout, "webapp 640\n");
    nothing_left_to_do(&host, &file);
    host.roll_back_all();
    host.assert_identical(&before);
}

/// pip inside trusts what this machine trusts.
const PIP: &str = "PIP_CERT=/etc/ssl/certs/ca-certificates.crt";

/// A value that a shell and an env file choke on.
const GREETING: &str = "it's $HOME #1\n\"two\" \\ lines";
const PASSWORD: &str = "p'a$s w#o\"r`d\\";

fn sha256(text: &str) -> String {
    bringup::hash::sha256_hex(text.as_bytes())
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_django_project_is_in_production_with_its_settings_migrations_and_static_files() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "django");
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null").expect(0);
    host.write("/root/smtp", &format!("{PASSWORD}\n"));
    let before = host.manifest("before");
    let greeting = serde_json::to_string(GREETING).unwrap();
    let env = format!("{{SECRET_KEY: {{generate: 50}}, SMTP_PASSWORD: {{file: /root/smtp}}, GREETING: {greeting}}}");
    let with = |env: &str| {
        answers(&[
            ("application.source", "directory"),
            ("application.location", "/root/app"),
            ("application.env", env),
            ("application.write_path", "/health/write"),
            ("application.release", "python manage.py migrate --noinput"),
            ("application.static", "staticfiles"),
            ("application.static_build", "python manage.py collectstatic --noinput"),
            ("database.engine", "postgresql"),
            ("database.extensions", "[pg_trgm, uuid-ossp, postgis]"),
            ("web.host", "app.example.test"),
        ])
    };
    let run = |env: &str| host.bringup_env(&[PIP], &with(env));
    run(&env).expect(0);
    // It writes and reads, and knows its settings to the last character.
    host.sh("curl -sk --resolve app.example.test:443:127.0.0.1 -d text=hello https://app.example.test/").expect(0);
    assert_eq!(page(&host, "/"), "release one: hello\n");
    let seen: serde_json::Value = serde_json::from_str(&page(&host, "/settings")).unwrap();
    assert_eq!(
        (seen["GREETING"].as_str(), seen["SMTP_PASSWORD"].as_str()),
        (Some(&*sha256(GREETING)), Some(&*sha256(PASSWORD)))
    );
    // Its static files come from the web server, which follows no link out of them.
    let style = host
        .sh("cd /opt/webapp/static && ls notes/style.*.css && test \"$(stat -L -c %U notes)\" = root")
        .expect(0)
        .stdout;
    let fetch = "curl -ski --resolve app.example.test:443:127.0.0.1 https://app.example.test/static";
    let hashed = host.sh(&format!("{fetch}/{}", style.trim())).expect(0).stdout;
    assert!(hashed.contains("color: #123") && hashed.contains("immutable"), "{hashed}");
    let plain = host.sh(&format!("{fetch}/notes/style.css")).expect(0).stdout;
    assert!(plain.contains("color: #123") && plain.contains("max-age=3600"), "{plain}");
    host.sh("ln -s /etc/passwd $(readlink -f /opt/webapp/static)/leak").expect(0);
    assert!(!host.sh(&format!("{fetch}/leak")).expect(0).stdout.contains("root:"), "a link was followed");
    host.sh("rm $(readlink -f /opt/webapp/static)/leak").expect(0);
    // No secret where others read: neither in files, nor in the journal and the plan, nor in command lines.
    host.write("/root/patterns", "p'a$s w#o\np'\\''a$s w#o\n");
    let read = "/var/lib/bringup/runs /var/log /opt/webapp /proc/[0-9]*/cmdline";
    host.sh(&format!("! grep -r -l -F -f /root/patterns {read} 2>/dev/null")).expect(0);
    host.sh("rm /root/patterns").expect(0);
    let again = run(&env).expect(0).both();
    assert!(again.contains("othing to do"), "{again}");
    // An extension that runs as the superuser does not come into a database in use; one that its owner could have does.
    let more = |name: &str| with(&env).replace("uuid-ossp, postgis", &format!("uuid-ossp, postgis, {name}"));
    let refused = host.bringup_env(&[PIP], &more("postgis_raster")).expect(3).both();
    assert!(refused.contains("in a database that is in use"), "{refused}");
    host.bringup_env(&[PIP], &more("hstore")).expect(0);
    let named = "select string_agg(extname, ' ' order by extname) from pg_extension";
    let named = host.sh(&format!("runuser -u webapp -- psql -XAtc \"{named}\" webapp")).expect(0).stdout;
    assert_eq!(named, "hstore pg_trgm plpgsql postgis uuid-ossp\n");
    // A changed value restarts what reads it; a generated one stays.
    let key = seen["SECRET_KEY"].clone();
    let told = run(&env.replace("GREETING: ", "DEBUG: \"0\", GREETING: ")).expect(0).both();
    assert_eq!(crate::host::moved(&told), ["restart webapp.service"], "{told}");
    let seen: serde_json::Value = serde_json::from_str(&page(&host, "/settings")).unwrap();
    assert_eq!(seen["SECRET_KEY"], key);
    let env = env.replace("GREETING: ", "DEBUG: \"0\", GREETING: ");
    // A secret that goes is not shown by the plan, either.
    host.write("/tmp/answers.yaml", &with("{SECRET_KEY: {generate: 50}}"));
    let plan = host.sh("bringup plan --answers /tmp/answers.yaml").both();
    assert!(!plan.contains("w#o"), "{plan}");
    // The next release: its migration fails, and the former one goes on.
    host.sh("cd /root/app && sed -i 's/RELEASE = \"one\"/RELEASE = \"two\"/' notes/views.py && \
         sed 's/initial = True/dependencies = [(\"notes\", \"0001_initial\")]/; s/migrations.CreateModel/broken(/' \
         notes/migrations/0001_initial.py > notes/migrations/0002_broken.py")
        .expect(0);
    let failed = run(&env).expect(3).both();
    assert!(failed.contains("prepare the release"), "{failed}");
    assert_eq!(page(&host, "/"), "release one: hello\n");
    host.exec(&["bringup", "verify"]).expect(0);
    // Mended, it is in place, with the rows of before.
    host.sh("rm /root/app/notes/migrations/0002_broken.py").expect(0);
    run(&env).expect(0);
    assert_eq!(page(&host, "/"), "release two: hello\n");
    host.sh("bringup rollback --all --yes --drop-data --plain").expect(0);
    host.assert_identical_but(&before, &["/root/app"]);
}

/// Speaks over a websocket through the web server, and says when each event of a stream came.
const LISTEN: &str = r#"
import asyncio, http.client, ssl, time, websockets
context = ssl._create_unverified_context()
async def echo():
    where = dict(host="127.0.0.1", port=443, server_hostname="app.example.test")
    async with websockets.connect("wss://app.example.test/echo", ssl=context, **where) as socket:
        await socket.send("me")
        print(await socket.recv())
asyncio.run(echo())
connection = http.client.HTTPSConnection("127.0.0.1", context=context)
connection.request("GET", "/events", headers={"Host": "app.example.test"})
answer, begun = connection.getresponse(), time.time()
print(answer.readline().decode().strip(), "early" if time.time() - begun < 1.5 else "late")
"#;

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_fastapi_application_has_websockets_and_a_stream_of_events() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "fastapi");
    let before = host.manifest("before");
    let with = |settings: &str| {
        answers(&[
            ("application.source", "directory"),
            ("application.location", "/root/app"),
            ("application.kind", "asgi"),
            ("application.packages", "[curl]"),
            ("application.env", settings),
            ("web.host", "app.example.test"),
        ])
    };
    host.bringup_env(&[PIP], &with("{MODE: one}")).expect(0);
    assert_eq!(page(&host, "/"), "a fast page\n");
    host.write("/root/listen.py", LISTEN);
    assert_eq!(host.sh("python3 /root/listen.py; rm /root/listen.py").expect(0).stdout, "heard me\ndata: 0 early\n");
    let seen = under_load(&host, || host.bringup_env(&[PIP], &with("{MODE: two}")).expect(0));
    assert!(seen.len() == 1 && seen[0].ends_with("200 a fast page"), "{seen:?}");
    host.roll_back_all();
    host.assert_identical(&before);
}
