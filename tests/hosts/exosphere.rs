//! Exosphere's main server, all the way and back, with a stand-in for a cloud on another host.
//!
//! `BRINGUP_TEST_EXOSPHERE` names a repository of Exosphere (any that git can read, bare or not); without it the tests
//! print `skipped:`. Its Elm program is not compiled: a stub of one line takes the place of elm-web.js.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::crashes::killed_and_resumed;
use crate::host::{Ended, Host, Init, moved, nothing_left_to_do, open_from_outside};
use crate::pair::install as packages;

const HOST: &str = "exosphere.example.org";
/// What `build.sh` copies beside elm-web.js.
const COPIED: [&str; 9] = [
    "index.html",
    "ports.js",
    "config.js",
    "cloud_configs.js",
    "version.json",
    "exosphere.webmanifest",
    "service-worker.js",
    "assets",
    "fonts",
];
const STUB: &str = "var Elm={Exosphere:{init:function(){return{ports:{}}}}};\n";

/// Upstream's repository on this machine; nothing, with a word about it, where it is not.
pub fn upstream() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("BRINGUP_TEST_EXOSPHERE").map(PathBuf::from) else {
        println!("skipped: BRINGUP_TEST_EXOSPHERE names no repository of Exosphere");
        return None;
    };
    Some(path)
}

/// A finished public/ from the repository, with a stub of the compiled program, at `/root/public` of the server.
pub fn public(host: &Host, upstream: &Path) {
    let archive = host.scratch().join("public.tar");
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "-C"]).arg(upstream).args(["archive", "--output"]).arg(&archive);
    assert!(git.arg("HEAD").args(COPIED).status().unwrap().success());
    host.push(&archive, "/root/public.tar");
    host.write("/root/stub.js", STUB);
    host.sh("umask 022 && mkdir /root/public && tar -xf /root/public.tar -C /root/public --no-same-owner && \
         chmod 0644 /root/stub.js && cp -p /root/stub.js /root/public/elm-web.js && rm /root/public.tar")
        .expect(0);
}

/// A host with the APIs of a cloud and a DNS that knows their names.
pub struct Cloud {
    pub host: Host,
    pub address: String,
}

impl Cloud {
    pub fn start() -> Self {
        let host = Host::start("bookworm", Init::Systemd);
        packages(&host, "python3 openssl dnsmasq curl");
        let address = host.address();
        host.sh("mkdir /root/ca && cd /root/ca && for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes \
             -subj /CN=$ca -days 30 -keyout $ca-key.pem -out $ca.pem 2>/dev/null; done && \
             openssl req -newkey rsa:2048 -nodes -subj /CN=keystone -keyout key.pem -out request.pem 2>/dev/null && \
             echo subjectAltName=DNS:cloud.example.test,DNS:nova.cloud.example.test > names && \
             for pair in 'ca cert' 'other wrong'; do set -- $pair; openssl x509 -req -in request.pem -CA $1.pem \
             -CAkey $1-key.pem -CAcreateserial -days 30 -extfile names -out $2.pem 2>/dev/null; done")
            .expect(0);
        host.push(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/keystone.py"), "/root/ca/keystone.py");
        host.sh("systemd-run -q --unit=keystone --working-directory=/root/ca python3 keystone.py").expect(0);
        // A tenant's name below the cloud's may lead anywhere.
        host.write(
            "/etc/dnsmasq.d/cloud.conf",
            &format!(
                "local=/example.test/\naddress=/cloud.example.test/{address}\naddress=/other.example.test/{address}\n\
                 address=/tenant.cloud.example.test/127.0.0.1\n"
            ),
        );
        host.sh("systemctl restart dnsmasq && for i in $(seq 100); do ss -ltn | grep -q :5001 && exit; sleep 0.1; done; exit 1")
            .expect(0);
        Self { host, address }
    }

    /// The root certificate of its authority.
    pub fn authority(&self) -> String {
        self.host.sh("cat /root/ca/ca.pem").expect(0).stdout
    }
}

/// A server with public/ on it that asks the cloud's DNS and has its authority in a file.
pub fn server(release: &str, upstream: &Path, cloud: &Cloud) -> Host {
    server_with(release, &[], upstream, cloud)
}

fn server_with(release: &str, options: &[&str], upstream: &Path, cloud: &Cloud) -> Host {
    let host = Host::start_with(release, Init::Systemd, options);
    public(&host, upstream);
    host.write("/root/cloud-ca.pem", &cloud.authority());
    host.sh(&format!("echo 'nameserver {}' > /etc/resolv.conf", cloud.address)).expect(0);
    host
}

/// The shipped answers for a finished public/ with the cloud of these tests, and some of its lines replaced.
fn answers(changes: &[(&str, &str)]) -> String {
    shipped("prebuilt", changes)
}

/// Shipped answers with the cloud of these tests, and some of their lines replaced.
pub fn shipped(name: &str, changes: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/answers/exosphere-{name}.yaml"));
    let mut text = std::fs::read_to_string(file).unwrap();
    let ours = [
        ("https://cloud.example.org:5000/v3", "https://cloud.example.test:5000/v3"),
        ("web:\n", "proxy:\n  authority: /root/cloud-ca.pem\nweb:\n"),
    ];
    for (from, to) in ours.iter().chain(changes) {
        assert!(text.contains(from), "there is no {from:?} in\n{text}");
        text = text.replace(from, to);
    }
    text
}

/// A browser on the cloud's host, without a look at the certificate of the site.
pub struct Browser<'a> {
    pub cloud: &'a Cloud,
    pub server: String,
}

impl Browser<'_> {
    /// What curl prints for this path.
    pub fn get(&self, path: &str, options: &[&str]) -> Ended {
        let resolve = format!("{HOST}:443:{}", self.server);
        let url = format!("https://{HOST}{path}");
        let mut argv = vec!["curl", "-sSk", "--path-as-is", "--max-time", "60", "--resolve", &resolve];
        argv.extend(options);
        argv.push(&url);
        self.cloud.host.exec(&argv)
    }

    fn status(&self, path: &str, options: &[&str]) -> String {
        let mut all = vec!["-o", "/dev/null", "-w", "%{http_code}"];
        all.extend(options);
        self.get(path, &all).stdout
    }

    /// The status of a request to the proxy.
    fn proxied(&self, host: &str, port: &str, path: &str) -> String {
        let (host, port) = (format!("exo-proxy-orig-host: {host}"), format!("exo-proxy-orig-port: {port}"));
        self.status(&format!("/proxy{path}"), &["-H", &host, "-H", &port])
    }

    /// The answer to a request to the cloud's API through the proxy.
    fn api(&self, path: &str, options: &[&str]) -> Ended {
        let mut all = vec!["-H", "exo-proxy-orig-host: cloud.example.test", "-H", "exo-proxy-orig-port: 5000"];
        all.extend(options);
        self.get(&format!("/proxy{path}"), &all)
    }
}

/// What a browser sees: files, the proxy, and what it refuses.
#[track_caller]
pub fn works(server: &Host, cloud: &Cloud) {
    let browser = Browser { cloud, server: server.address() };
    assert_eq!(browser.get("/elm-web.js", &[]).stdout, STUB);
    let head = browser.get("/elm-web.js", &["-I"]).stdout.to_lowercase();
    assert!(head.contains("content-type: application/javascript"), "{head}");
    assert!(head.contains("cache-control: no-cache") && head.contains("nosniff"), "{head}");
    assert_eq!(browser.status("/elm-none.js", &[]), "404");
    assert_eq!(browser.status("/assets/../../../etc/passwd", &[]), "400");
    assert_eq!(browser.status("/.bringup-release", &[]), "404");

    // The proxy passes on what came, as it came.
    let answer = browser.api("/v3", &["-i"]).stdout;
    assert!(answer.contains("v3.14") && answer.to_lowercase().contains("x-subject-token: a-token"), "{answer}");
    assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
    let path = "/v3/a%2Fb//c%20d?x=1%2F2&y=%zz";
    let forged = ["-H", "X-Forwarded-For: 192.0.2.1", "-H", "Cookie: a=1", "-H", "X-Auth-Token: t"];
    let echo = browser.api(path, &forged).stdout;
    assert!(echo.contains(&format!("\"path\": \"{path}\"")), "{echo}");
    assert!(
        echo.contains("\"host\": \"cloud.example.test:5000\"") && echo.contains("\"x-auth-token\": \"t\""),
        "{echo}"
    );
    assert!(!echo.contains("192.0.2.1") && !echo.contains("cookie") && !echo.contains("exo-proxy"), "{echo}");
    // Larger than nginx's limit of 1 MiB, with and without its length.
    cloud.host.sh("head -c 30000000 /dev/zero > /root/image").expect(0);
    for how in [
        &["-T", "/root/image"][..],
        &["-T", "/root/image", "-H", "Transfer-Encoding: chunked"],
        &["--http1.1", "-T", "/root/image"],
    ] {
        let sent = browser.api("/v2/images/1/file", how).stdout;
        assert!(sent.contains("\"length\": 30000000"), "{how:?}: {sent}");
    }

    for (host, port, expected) in [
        ("nova.cloud.example.test", "5000", "200"),
        ("CLOUD.example.test", "5000", "200"),
        // The certificate is of another authority, or for another name.
        ("cloud.example.test", "5001", "502"),
        ("glance.cloud.example.test", "5000", "502"),
        // Nobody listens there; the name is unknown; a tenant's name leads to the server itself.
        ("cloud.example.test", "4999", "502"),
        ("tenant.cloud.example.test", "443", "502"),
        ("other.example.test", "5000", "403"),
        ("127.0.0.1", "443", "403"),
        ("localhost", "443", "403"),
        ("169.254.169.254", "80", "403"),
        ("[::1]", "443", "403"),
        (HOST, "443", "403"),
        ("xcloud.example.test", "5000", "403"),
        ("cloud.example.test.example.net", "5000", "403"),
        ("cloud.example.test:5000@127.0.0.1", "443", "403"),
        ("cloud.example.test", "99999", "400"),
        ("cloud.example.test", "5000/x", "400"),
        ("cloud.example.test", "", "400"),
    ] {
        assert_eq!(browser.proxied(host, port, "/v3"), expected, "{host}, port {port}");
    }
    assert_eq!(browser.status("/proxy/v3", &[]), "403");
    assert_eq!(
        browser.status(
            "/%70roxy/v3",
            &["-H", "exo-proxy-orig-host: cloud.example.test", "-H", "exo-proxy-orig-port: 5000"]
        ),
        "400"
    );
}

/// The redirector: a token that Keystone's form posts, and nothing of it in the log.
#[track_caller]
pub fn redirects(server: &Host, cloud: &Cloud) {
    let browser = Browser { cloud, server: server.address() };
    let post = |body: &str| {
        browser
            .get("/oidc-redirector", &["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "--data-binary", body])
            .stdout
    };
    let target = format!("302 https://{HOST}/auth/oidc-login?token=gAAAAAB-secret_1");
    assert_eq!(post("token=gAAAAAB-secret_1"), target);
    assert_eq!(post("a=1&token=gAAAAAB-secret_1&b=2"), target);
    assert_eq!(post("token=gAAAAAB-secret_1\r\n"), target);
    for bad in ["token=", "a=1", "token=a b", "token=a%0d%0aX: 1\u{1}", "token=<script>"] {
        assert_eq!(post(bad), "401 ", "{bad}");
    }
    assert_eq!(browser.status("/oidc-redirector?token=x", &[]), "401");
    assert_eq!(
        browser.status("/oidc-redirector", &["-H", "Content-Type: application/json", "--data", "token=x"]),
        "401"
    );
    let page = browser.get("/auth/oidc-login?token=gAAAAAB-secret_1", &["-i"]).stdout;
    assert!(page.contains("elm-web.js") && page.to_lowercase().contains("referrer-policy: strict-origin"), "{page}");
    server.sh("! grep -rs gAAAAAB-secret /var/log/nginx && ! journalctl --grep gAAAAAB-secret").expect(0);
}

/// A server of a release with the pages, and a cloud; nothing, with a word about it, without upstream's repository.
pub fn begin(release: &str) -> Option<(Host, Cloud)> {
    let upstream = upstream()?;
    let cloud = Cloud::start();
    Some((server(release, &upstream, &cloud), cloud))
}

fn there_and_back(release: &str) {
    let Some((server, cloud)) = begin(release) else { return };
    let before = server.manifest("before");
    let file = answers(&[]);
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    works(&server, &cloud);
    // The authority's certificate was copied.
    server.sh("mv /root/cloud-ca.pem /root/moved.pem").expect(0);
    nothing_left_to_do(&server, &file);
    server.sh("mv /root/moved.pem /root/cloud-ca.pem").expect(0);
    let ports: Vec<u16> = (1..1024).chain([3306, 5000, 8080, 8443]).collect();
    assert_eq!(open_from_outside(&server, &ports), [80, 443]);

    server.cut();
    server.boot();
    // The server's network card is another one now.
    cloud.host.sh("ip neigh flush all").expect(0);
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    works(&server, &cloud);
    nothing_left_to_do(&server, &file);

    // One answer changes what it must, and nothing else.
    let titled = file.replace("title: Research cloud", "title: Cloud of the school");
    let told = server.bringup(&titled).expect(0).both();
    assert!(moved(&told).is_empty(), "{told}");
    let browser = Browser { cloud: &cloud, server: server.address() };
    assert!(browser.get("/config.js", &[]).stdout.contains("Cloud of the school"));
    let login = release != "bullseye";
    let told = if login {
        let with = titled.replace("web:\n", "oidc:\n  enable: true\nweb:\n");
        let told = server.bringup(&with).expect(0).both();
        assert_eq!(moved(&told), ["reload nginx.service"], "{told}");
        nothing_left_to_do(&server, &with);
        redirects(&server, &cloud);
        with
    } else {
        let with = titled.replace("web:\n", "oidc:\n  enable: true\nweb:\n");
        let refused = server.bringup(&with).expect(1).words();
        assert!(refused.contains("JavaScript module"), "{refused}");
        titled
    };

    // A new release takes the place of the old one in one step, and goes with its run.
    let tree = || server.exec(&["readlink", "-f", "/opt/exosphere/public"]).expect(0).stdout;
    let old = tree();
    server.sh("echo 'var Elm={Exosphere:{init:function(){return 2}}};' > /root/public/elm-web.js").expect(0);
    let second = server.bringup(&told).expect(0).both();
    assert!(moved(&second).is_empty(), "{second}");
    assert_ne!(tree(), old);
    assert!(browser.get("/elm-web.js", &[]).stdout.contains("return 2"));
    server.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    assert_eq!(tree(), old);
    assert_eq!(browser.get("/elm-web.js", &[]).stdout, STUB);
    server.sh("cp -p /root/stub.js /root/public/elm-web.js").expect(0);

    server.roll_back_all();
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_from_a_finished_build_to_the_cloud_and_back_on_bookworm() {
    there_and_back("bookworm");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_from_a_finished_build_to_the_cloud_and_back_on_trixie() {
    there_and_back("trixie");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_from_a_finished_build_to_the_cloud_and_back_on_bullseye() {
    there_and_back("bullseye");
}

/// A finished build in an archive: its checksum counts, and what could lead out of it, or is incomplete, is refused
/// before anything changes.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_from_an_archive_and_what_is_refused_in_one() {
    let Some((server, cloud)) = begin("bookworm") else { return };
    server
        .sh("cd /root && tar -czf good.tgz public && \
             cp -r public linked && ln -s /etc/shadow linked/assets/shadow.txt && tar -cf linked.tar linked && \
             cp -r public hard && ln hard/index.html hard/other.html && tar -cf hard.tar hard && \
             tar -cPf absolute.tar public /etc/hostname && tar -cPf climbing.tar public /root/../etc/hostname && \
             cp -r public empty && : > empty/elm-web.js && tar -cf empty.tar empty && \
             tar -cf without.tar --exclude=elm-web.js public && head -c 1000 good.tgz > cut.tgz")
        .expect(0);
    let sum = server.sh("sha256sum < /root/good.tgz | cut -c -64").expect(0).stdout.trim().to_owned();
    let with = |from: &str, location: &str, sum: &str| {
        let source = format!("  from: {from}\n  location: /root/{location}\n{sum}");
        answers(&[("  from: directory\n  location: /root/public\n", &source)])
    };
    let before = server.manifest("before");
    for (from, location, expected) in [
        ("archive", "linked.tar", "assets/shadow.txt in it is a link"),
        ("directory", "linked", "assets/shadow.txt in it is a link"),
        ("archive", "hard.tar", "in it is a link"),
        ("archive", "empty.tar", "lacks elm-web.js"),
        ("directory", "empty", "lacks elm-web.js"),
        ("archive", "without.tar", "lacks elm-web.js"),
        ("directory", "nowhere", "on this server before the run"),
    ] {
        let told = server.bringup(&with(from, location, "")).expect(1).words();
        assert!(told.contains(expected), "{location}: {told}");
    }
    for (location, expected) in
        [("absolute.tar", "outside the directory"), ("climbing.tar", "outside the directory"), ("cut.tgz", "")]
    {
        let ended = server.bringup(&with("archive", location, ""));
        assert!([1, 3].contains(&ended.status) && ended.words().contains(expected), "{location}: {}", ended.both());
    }
    let wrong = format!("  sha256: {}\n", "0".repeat(64));
    let told = server.bringup(&with("archive", "good.tgz", &wrong)).expect(3).words();
    assert!(told.contains("SHA-256"), "{told}");
    server.assert_identical(&before);

    let file = with("archive", "good.tgz", &format!("  sha256: {sum}\n"));
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    works(&server, &cloud);
    server.roll_back_all();
    server.assert_identical(&before);
}

#[track_caller]
fn failing(host: &Host, answers: &str, because: &str) -> String {
    let told = host.bringup(answers).expect(3).words();
    assert!(told.contains(because), "{told}");
    told
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_goes_away_when_the_cloud_is_not_trusted_or_does_not_answer() {
    let Some((server, cloud)) = begin("bookworm") else { return };
    let before = server.manifest("before");
    // The proxy trusts the system's authorities only.
    let public = answers(&[("proxy:\n  authority: /root/cloud-ca.pem\n", "")]);
    failing(&server, &public, "answers 502 through the proxy");
    server.assert_identical(&before);
    // A file without a certificate is refused before anything changes.
    let key = cloud.host.sh("cat /root/ca/ca-key.pem").expect(0).stdout;
    server.write("/root/other.pem", &key);
    let before = server.manifest("before");
    let other = answers(&[("/root/cloud-ca.pem", "/root/other.pem")]);
    let told = server.bringup(&other).expect(1).words();
    assert!(told.contains("it holds a private key"), "{told}");
    server.assert_identical(&before);
    // Late: security updates do not install themselves.
    server.write("/etc/apt/apt.conf.d/99-never", "APT::Periodic::Unattended-Upgrade \"0\";\n");
    let before = server.manifest("before");
    failing(&server, &answers(&[]), "apt installs security updates automatically");
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_killed_at_twenty_boundaries() {
    let Some((server, _cloud)) = begin("bookworm") else { return };
    killed_and_resumed(&server, &[], &answers(&[]), &["bringup", "rollback", "--all", "--yes", "--plain"]);
}

/// The build, with upstream's files and a stub of its compiler: npm's registry is all that it reaches.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_is_built_by_a_user_without_rights() {
    let Some((server, _cloud)) = begin("bookworm") else { return };
    packages(&server, "git");
    let package = |compile: &str| {
        format!(
            "{{\"name\": \"stub\", \"version\": \"1.0.0\", \"scripts\": {{\"elm:sideload\": \"id -un > who\", \
             \"elm:git\": \"test ! -w /opt/exosphere\", \"elm\": \"{compile}; :\"}}}}"
        )
    };
    let lock = r#"{"name": "stub", "version": "1.0.0", "lockfileVersion": 2, "packages": {"": {"name": "stub", "version": "1.0.0"}}}"#;
    let commit = |compile: &str| {
        server.write("/root/public/package.json", &package(compile));
        server.write("/root/public/package-lock.json", lock);
        let git = "git -C /root/public -c user.name=a -c user.email=a@example.org";
        server
            .sh(&format!(
                "cd /root/public && chmod 644 package*.json && {{ [ -d .git ] || git init -q; }} && git add -A && \
                 {git} commit -qm stub && git rev-parse HEAD"
            ))
            .expect(0)
            .stdout
            .trim()
            .to_owned()
    };
    let with = |commit: &str| {
        let source = format!("  from: git\n  location: /root/public\n  reference: {commit}\n");
        answers(&[("  from: directory\n  location: /root/public\n", &source)])
    };
    server.sh("rm /root/public/elm-web.js").expect(0);
    let good = commit("cp who elm-web.js");
    let failing_one = commit("echo the compiler says no; exit 3");
    let empty = commit("touch elm-web.js");
    let linked = commit("ln -s /etc/shadow assets/shadow; cp who elm-web.js");
    let second = commit("cp who elm-web.js; echo 2 >> elm-web.js; (setsid sleep 1000 > /dev/null 2>&1 < /dev/null &)");
    let before = server.manifest("before");

    let told = failing(&server, &with(&failing_one), "step 4 of 5 failed with status 3");
    assert!(told.contains("the compiler says no"), "{told}");
    server.assert_identical(&before);
    failing(&server, &with(&empty), "lacks elm-web.js");
    failing(&server, &with(&linked), "assets/shadow in it is a link");
    server.assert_identical(&before);

    server.bringup(&with(&good)).expect(0);
    nothing_left_to_do(&server, &with(&good));
    let page = || server.sh("cat /opt/exosphere/public/elm-web.js").expect(0).stdout;
    assert_eq!(page(), "exosphere-build\n");
    server.sh("[ -z \"$(find /opt/exosphere ! -user root)\" ]").expect(0);
    server.sh("! command -v npm && ! command -v node && [ ! -e /opt/exosphere/public/package.json ]").expect(0);
    assert_eq!(server.sh("ls /opt/exosphere/public.releases | wc -l").expect(0).stdout.trim(), "1");
    // Another commit takes its place in one step; what the build has left running is ended.
    server.bringup(&with(&second)).expect(0);
    assert_eq!(page(), "exosphere-build\n2\n");
    server.sh("! pgrep -u exosphere-build sleep 2>/dev/null; ! grep -l '^sleep' /proc/[0-9]*/comm").expect(0);
    server.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    assert_eq!(page(), "exosphere-build\n");
    server.roll_back_all();
    server.assert_identical(&before);
}

/// The smallest server that the guide takes.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_fits_256_mib() {
    let Some(upstream) = upstream() else { return };
    let cloud = Cloud::start();
    let server = server_with("trixie", &["--memory", "256M"], &upstream, &cloud);
    server.bringup(&answers(&[])).expect(0);
    works(&server, &cloud);
    server.roll_back_all();
}
