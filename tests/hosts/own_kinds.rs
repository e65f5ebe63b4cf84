//! Applications of people's own that are no Python: Node.js, programs that are compiled, static files.

use crate::host::{Host, Init, answers, is_long, nothing_left_to_do};
use crate::own_app::{page, push_app, to, under_load};

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_express_application_is_built_by_npm_and_loses_no_request() {
    if is_long() {
        express_on("bookworm");
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_express_application_runs_with_the_node_of_debian_13() {
    if is_long() {
        express_on("trixie");
    }
}

/// Debian 11's Node 12 is too old for Express 5, and for most others: that is said, and what needs nothing else runs.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_node_of_debian_11_runs_what_is_old_enough() {
    if !is_long() {
        return;
    }
    let host = Host::start("bullseye", Init::Systemd);
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null && mkdir /root/app").expect(0);
    host.write(
        "/root/app/package.json",
        r#"{"name": "old", "version": "1.0.0", "scripts": {"start": "node server.js"}}"#,
    );
    host.write("/root/app/package-lock.json", r#"{"name": "old", "version": "1.0.0", "lockfileVersion": 2, "requires": true, "packages": {"": {"name": "old", "version": "1.0.0"}}}"#);
    let server = "require('http').createServer((_, answer) => answer.end('release one\\n')).listen(process.env.PORT)\n";
    host.write("/root/app/server.js", server);
    host.sh("chmod 644 /root/app/*").expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("web.host", "app.example.test"),
    ]);
    let told = host.bringup(&file).expect(0).words();
    assert!(told.contains("Debian 11 has Node.js 12"), "{told}");
    assert_eq!(page(&host, "/"), "release one\n");
    nothing_left_to_do(&host, &file);
    host.write("/root/app/server.js", &server.replace("one", "two"));
    let seen = under_load(&host, || host.bringup(&file).expect(0));
    assert!(seen.iter().all(|told| told.ends_with("200 release one") || told.ends_with("200 release two")), "{seen:?}");
    host.write("/root/app/server.js", server);
    host.roll_back_all();
    host.assert_identical_but(&before, &["/root/app"]);
}

fn express_on(release: &str) {
    let host = Host::start(release, Init::Systemd);
    push_app(&host, "express");
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null").expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.kind", "node"),
        ("application.env", "{API_TOKEN: {generate: 20}, NODE_ENV: production}"),
        ("queue.backend", "redis"),
        ("queue.cache", "true"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one\n");
    assert_eq!(page(&host, "/visits"), "1\n");
    // The cache is apart from the queue, and only what expires makes room.
    let redis = |url: &str, command: &str| {
        host.sh(&format!(
            ". /etc/webapp/env && redis-cli --no-auth-warning -u \"$(echo ${url} | sed s#//:#//default:#)\" {command}"
        ))
        .expect(0)
        .stdout
    };
    assert_eq!(redis("REDIS_URL", "set job 1"), "OK\n");
    assert_eq!(redis("CACHE_URL", "get job").trim(), "");
    assert_eq!(redis("CACHE_URL", "config get maxmemory-policy"), "maxmemory-policy\nvolatile-lru\n");
    // Built by a user without rights who saw no secret; what only the build needs is not in production.
    assert_eq!(page(&host, "/built"), r#"{"id":21,"user":"webapp-build","secret":"not-the-secret","mode":null}"#);
    host.sh("cd /opt/webapp/app/ && test -d node_modules/express && test ! -e node_modules/nanoid").expect(0);
    host.sh("[ -z \"$(find /opt/webapp ! -user root)\" ] && ! ls -d /opt/webapp/app.releases/*.build").expect(0);
    assert_eq!(host.sh("ss -Hltn sport = :8000 | awk '{print $4}'").expect(0).stdout, "127.0.0.1:8000\n");
    nothing_left_to_do(&host, &file);
    // The next release: no request is lost, and one in progress is answered by the former.
    let edit = |from: &str, into: &str| {
        host.sh(&format!("sed -i 's/{from}/{into}/' /root/app/server.js")).expect(0);
    };
    edit("release one", "release two");
    let slow = format!(
        "(while [ ! -e /tmp/stop ]; do curl -sk -o /dev/null -w '%{{http_code}}\\n' {} https://app.example.test/slow; done) \
         >/tmp/slow 2>&1",
        to("app.example.test")
    );
    let seen = under_load(&host, || {
        host.sh(&format!("setsid sh -c \"{}\" >/dev/null 2>&1 &", slow.replace('"', "\\\""))).expect(0);
        host.bringup(&file).expect(0)
    });
    assert!(
        seen.len() == 2
            && seen.iter().all(|told| told.ends_with("200 release one") || told.ends_with("200 release two")),
        "{seen:?}"
    );
    host.sh("sleep 4; grep -q 200 /tmp/slow && ! grep -v 200 /tmp/slow; rm /tmp/slow").expect(0);
    assert_eq!(page(&host, "/visits"), "2\n");
    // One that does not start, and one that cannot be built: nobody notices.
    edit("app.listen", "nothing.listen");
    let seen = under_load(&host, || host.bringup(&file).expect(3));
    assert!(seen.len() == 1 && seen[0].ends_with("200 release two"), "{seen:?}");
    edit("nothing.listen", "app.listen");
    host.sh("echo 'throw new Error(\"no\")' >> /root/app/build.js").expect(0);
    let told = host.bringup(&file).expect(3).both();
    assert!(told.contains("build /opt/webapp/app"), "{told}");
    assert_eq!(page(&host, "/"), "release two\n");
    host.sh("sed -i '/no/d' /root/app/build.js").expect(0);
    edit("release two", "release one");
    host.roll_back_all();
    host.assert_identical_but(&before, &["/root/app"]);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_compiled_program_leaves_its_compiler_behind_and_serves_the_socket() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    push_app(&host, "compiled");
    host.sh("apt-get install -y -q --no-install-recommends curl nftables >/dev/null").expect(0);
    let before = host.manifest("before");
    let with = |socket: &str| {
        answers(&[
            ("application.source", "directory"),
            ("application.location", "/root/app"),
            ("application.kind", "command"),
            // Its command is the Procfile's.
            ("application.build", "make"),
            ("application.build_packages", "[gcc, libc6-dev, make]"),
            ("application.socket", socket),
            ("firewall.manage", "false"),
            ("web.host", "app.example.test"),
        ])
    };
    let file = with("true");
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one\n");
    host.sh("! command -v gcc && ! command -v make").expect(0);
    assert_eq!(host.sh("stat -c '%U %a' /opt/webapp/app/server").expect(0).stdout, "root 755\n");
    nothing_left_to_do(&host, &file);
    host.sh("sed -i 's/release one/release two/' /root/app/server.c").expect(0);
    let seen = under_load(&host, || host.bringup(&file).expect(0));
    assert!(seen.iter().all(|told| told.ends_with("200 release one") || told.ends_with("200 release two")), "{seen:?}");
    assert_eq!(page(&host, "/"), "release two\n");
    // It listens by itself: visitors wait for it, and nothing of that stays.
    host.roll_back_all();
    let file = with("false");
    host.bringup(&file).expect(0);
    for release in ["one", "two"] {
        host.sh(&format!("sed -i -E 's/release (one|two)/release {release}/' /root/app/server.c")).expect(0);
        let seen = under_load(&host, || host.bringup(&file).expect(0));
        assert!(seen.len() == 2 && seen.iter().all(|told| told.contains(" 200 release ")), "{seen:?}");
        host.sh("! nft list ruleset | grep .").expect(0);
    }
    // Who stops it has them refused at once.
    host.sh("systemctl stop webapp; ! nft list ruleset | grep .").expect(0);
    assert!(page(&host, "/").contains("502"), "{}", page(&host, "/"));
    host.sh("systemctl start webapp").expect(0);
    // Without a line `web` nothing starts, and it is said why.
    host.sh("sed -i 's/^web/www/' /root/app/Procfile").expect(0);
    let told = host.bringup(&file).expect(3).both();
    assert!(told.contains("which command starts `web` is unknown"), "{told}");
    // A link that leaves the tree is not taken over, and what the build leaves running is ended.
    host.sh("sed -i 's/^www/web/' /root/app/Procfile").expect(0);
    host.sh("printf '\\tln -s /etc/shadow stolen\\n\\tsetsid sleep 1000 >/dev/null 2>&1 &\\n' >> /root/app/Makefile")
        .expect(0);
    let told = host.bringup(&file).expect(3).both();
    assert!(told.contains("the link stolen in it leads out of it"), "{told}");
    host.sh("! pgrep -u webapp-build").expect(0);
    assert_eq!(page(&host, "/"), "release two\n");
    host.roll_back_all();
    host.assert_identical_but(&before, &["/root/app"]);
}

/// Status, type and caching of a path.
fn headers(host: &Host, path: &str) -> String {
    let fetch = format!("curl -sk -D - -o /dev/null {} 'https://app.example.test{path}'", to("app.example.test"));
    let told = host.sh(&fetch).expect(0).stdout.to_lowercase();
    let header =
        |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let status = told.split_whitespace().nth(1).unwrap_or_default();
    format!("{status} {} {}", header("content-type:"), header("cache-control:"))
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_static_site_is_served_by_either_web_server_and_nothing_hidden_is() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null").expect(0);
    host.sh(
        "mkdir -p /root/app/js /root/app/.git /root/app/.well-known && cd /root/app && echo home > index.html && \
         echo about > about.html && echo missing > 404.html && echo app > js/app.0123abcd.js && echo key > .git/config && \
         echo SECRET=1 > .env && echo contact > .well-known/security.txt && chmod -R go+rX .",
    )
    .expect(0);
    for server in ["nginx", "apache"] {
        let before = host.manifest("before");
        let with = |more: &[(&str, &str)]| {
            let usual = [
                ("application.source", "directory"),
                ("application.location", "/root/app"),
                ("application.kind", "static"),
                ("web.server", server),
                ("web.host", "app.example.test"),
                ("web.aliases", "[www.app.example.test]"),
                ("web.redirects", "{/old: /about.html}"),
            ];
            answers(&usual.iter().chain(more).copied().collect::<Vec<_>>())
        };
        host.bringup(&with(&[])).expect(0);
        nothing_left_to_do(&host, &with(&[]));
        assert_eq!((page(&host, "/"), page(&host, "/about.html")), ("home\n".to_owned(), "about\n".to_owned()));
        assert_eq!(page(&host, "/nothing"), "missing\n");
        assert_eq!(page(&host, "/.well-known/security.txt"), "contact\n");
        for hidden in ["/.git/config", "/.env", "/.bringup-release", "/%2egit/config", "/js/../.env"] {
            assert!(headers(&host, hidden).starts_with("404"), "{server} {hidden}: {}", headers(&host, hidden));
        }
        let (home, script) = (headers(&host, "/"), headers(&host, "/js/app.0123abcd.js"));
        assert!(home.starts_with("200 text/html") && home.ends_with(" no-cache"), "{server} {home}");
        assert!(script.starts_with("200 ") && script.ends_with("immutable"), "{server} {script}");
        host.sh("ln -s /etc/passwd $(readlink -f /opt/webapp/app)/leak").expect(0);
        assert!(!page(&host, "/leak").contains("root:"), "{server} followed a link");
        host.sh("rm $(readlink -f /opt/webapp/app)/leak").expect(0);
        // No program, no user for one, and nothing that listens but the web server.
        host.sh("! id webapp 2>/dev/null && ! ss -Hltn | grep -q :8000 && [ ! -e /etc/webapp ]").expect(0);
        // The next release is made by a command, and answers for every path.
        let built = with(&[
            ("application.static", "dist"),
            ("application.static_build", "mkdir dist; sed s/home/built/ index.html > dist/index.html"),
            ("application.fallback", "index.html"),
        ]);
        let seen = under_load(&host, || host.bringup(&built).expect(0));
        assert!(seen.iter().all(|told| told.ends_with("200 home") || told.ends_with("200 built")), "{seen:?}");
        assert_eq!((page(&host, "/"), page(&host, "/any/path")), ("built\n".to_owned(), "built\n".to_owned()));
        host.sh("sed -i s/home/again/ /root/app/index.html && bringup deploy --plain").expect(0);
        assert!(page(&host, "/").contains("again"));
        host.sh("sed -i s/again/home/ /root/app/index.html").expect(0);
        host.roll_back_all();
        host.assert_identical_but(&before, &["/root/app"]);
    }
}

/// Keeps what is posted, and makes links as a hostile application would.
const KEEPER: &str = r#"import os
from flask import Flask, request
app = Flask(__name__)
top = os.environ["MEDIA_ROOT"]

@app.route("/")
def home():
    return "release one\n"

@app.route("/keep/<path:name>", methods=["POST"])
def keep(name):
    os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
    with open(os.path.join(top, name), "wb") as file:
        file.write(request.get_data())
    return os.environ["MEDIA_URL"] + name

@app.route("/link/<name>", methods=["POST"])
def link(name):
    os.symlink(request.get_data(as_text=True), os.path.join(top, name))
    return "linked\n"
"#;

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn uploads_are_served_and_never_run_and_steps_follow_a_release() {
    if !is_long() {
        return;
    }
    let host = Host::start("bookworm", Init::Systemd);
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null && mkdir /root/app").expect(0);
    let post = |path: &str, data: &str| {
        let command = format!("curl -sk -d '{data}' {} https://app.example.test{path}", to("app.example.test"));
        host.sh(&command).expect(0).stdout
    };
    let fetch = |path: &str| {
        host.sh(&format!("curl -ski {} 'https://app.example.test{path}'", to("app.example.test"))).expect(0).stdout
    };
    for server in ["nginx", "apache"] {
        host.write("/root/app/app.py", KEEPER);
        host.write("/root/app/Procfile", "clock: sleep infinity\nweb: false\n");
        host.sh("chmod 644 /root/app/*").expect(0);
        let before = host.manifest("before");
        let file = answers(&[
            ("application.source", "directory"),
            ("application.location", "/root/app"),
            ("application.packages", "[python3-flask]"),
            ("application.uploads", "/media/"),
            ("application.after", "date +%N >> /var/lib/webapp/followed; grep -c . /var/lib/webapp/followed"),
            ("application.processes", "[{name: clock}]"),
            ("web.server", server),
            ("web.host", "app.example.test"),
        ]);
        host.bringup(&file).expect(0);
        nothing_left_to_do(&host, &file);
        assert_eq!(post("/keep/a/page.html", "<script>"), "/media/a/page.html");
        let page = fetch("/media/a/page.html");
        assert!(page.contains("sandbox; default-src") && page.contains("nosniff"), "{server} {page}");
        post("/keep/paper.PDF", "%PDF");
        assert!(!fetch("/media/paper.PDF").to_lowercase().contains("content-security"), "{server}");
        // Nobody but the application and the web server reads them, and no link leads out.
        assert_eq!(host.sh("stat -c '%U:%G %a' /srv/webapp/a/page.html").expect(0).stdout, "webapp:www-data 640\n");
        post("/link/leak", "/etc/passwd");
        post("/link/leaks", "/etc");
        for path in ["/media/leak", "/media/leaks/passwd", "/media/../webapp.env", "/media/"] {
            let seen = fetch(path);
            assert!(!seen.contains("root:") && !seen.starts_with("HTTP/2 200"), "{server} {path}: {seen}");
        }
        host.sh("rm /srv/webapp/leak /srv/webapp/leaks").expect(0);
        // Once for each release.
        assert_eq!(host.sh("grep -c . /var/lib/webapp/followed").expect(0).stdout, "1\n");
        host.sh("systemctl is-active webapp-clock.service").expect(0);
        host.write("/root/app/app.py", &KEEPER.replace("release one", "release two"));
        host.sh("bringup deploy --plain").expect(0);
        assert_eq!(host.sh("grep -c . /var/lib/webapp/followed").expect(0).stdout, "2\n");
        // They are in the backup.
        host.sh("env -i /usr/local/sbin/webapp-backup && tar -tzf $(ls -t /var/backups/webapp/*.tar.gz | head -n 1) | grep -q srv/webapp/a/page.html").expect(0);
        host.sh("bringup rollback --all --yes --drop-data --plain").expect(0);
        host.write("/root/app/app.py", KEEPER);
        host.assert_identical_but(&before, &["/root/app", "/var/backups"]);
        host.sh("rm -rf /var/backups/webapp").expect(0);
    }
}
