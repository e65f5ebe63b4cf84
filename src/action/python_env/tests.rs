#![allow(clippy::unwrap_used)]

use super::pip::{RESOLVED, progress};
use super::*;
use crate::action::testing::{Bench, kept};
use crate::host::Meta;
use crate::host::fake::output;

fn env() -> PythonEnv {
    serde_json::from_value(serde_json::json!({"path": "/srv/app/venv", "system_packages": true})).unwrap()
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.host.put_file("/usr/bin/python3.11", "", 0o755);
    bench.host.take_away("/usr/bin/python3");
    bench.host.make_symlink("/usr/bin/python3".as_ref(), "python3.11".as_ref()).unwrap();
    bench
}

fn commands(bench: &Bench) -> String {
    bench.host.commands().iter().map(|command| command.argv.join(" ") + "\n").collect()
}

#[test]
fn pip_tells_which_package_it_fetches_and_compiles() {
    let note = |text: &str| Progress::Note(text.to_owned());
    for (line, told) in [
        ("Collecting lxml==4.6.3 (from -r requirements.txt (line 12))", note("fetching lxml")),
        ("  Building wheel for psycopg2 (setup.py): started", note("compiling psycopg2")),
        ("    Running setup.py install for gevent: started", note("compiling gevent")),
        ("Installing collected packages: pytz, Babel, lxml", note("installing 3 packages")),
    ] {
        assert_eq!(progress(line), told);
    }
    let ended = "  Building wheel for psycopg2 (setup.py): finished with status 'done'";
    assert_eq!(progress(ended), Progress::Output(ended.to_owned()));
}

#[test]
fn an_environment_without_packages_needs_no_pip_and_comes_and_goes() {
    let bench = bench();
    bench.round_trip(&env());
    assert!(commands(&bench).contains("-m venv --system-site-packages --without-pip /srv/app/venv.releases/"));
    assert!(!commands(&bench).contains("pip install"));
}

#[test]
fn packages_are_installed_and_a_changed_file_of_them_makes_a_new_environment() {
    let bench = bench();
    bench.host.put_file("/srv/code/requirements.txt", "flask\n", 0o644);
    let act = PythonEnv {
        requirements: "/srv/code/requirements.txt".to_owned(),
        packages: vec!["uwsgi".to_owned()],
        ..env()
    };
    let first = bench.make(&act);
    assert!(commands(&bench).contains("--requirement /srv/code/requirements.txt uwsgi"), "{}", commands(&bench));
    assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
    let was = bench.host.read_link("/srv/app/venv".as_ref()).unwrap();
    bench.host.put_file("/srv/code/requirements.txt", "flask==3\n", 0o644);
    assert!(bench.summary(&act).contains("replacing the existing one"));
    let second = bench.make(&act);
    assert!(kept(bench.take_back(&second)).is_empty());
    assert_eq!(bench.host.read_link("/srv/app/venv".as_ref()).unwrap(), was);
    assert!(kept(bench.take_back(&first)).is_empty());
    assert!(bench.host.stat("/srv/app".as_ref()).unwrap().is_none());
}

fn with_builder(bench: &Bench) {
    let text = bench.host.text("/etc/passwd").unwrap();
    bench.host.put_file("/etc/passwd", format!("{text}builder:x:997:997::/nonexistent:/usr/sbin/nologin\n"), 0o644);
    let text = bench.host.text("/etc/group").unwrap();
    bench.host.put_file("/etc/group", format!("{text}builder:x:997:\n"), 0o644);
}

#[test]
fn a_user_without_rights_installs_them_and_the_result_is_roots() {
    let bench = bench();
    with_builder(&bench);
    let act = PythonEnv { packages: vec!["flask".to_owned()], user: "builder".to_owned(), ..env() };
    bench.make(&act);
    let dir = bench.with(|cx| act.required_release(cx.host)).unwrap().dir();
    assert_eq!(bench.host.stat(&dir).unwrap().unwrap().meta, Meta::root(0o755));
    let by: Vec<(String, Option<String>)> =
        bench.host.commands().into_iter().map(|command| (command.argv.join(" "), command.user)).collect();
    let user_of = |what: &str| by.iter().rfind(|(argv, _)| argv.contains(what)).unwrap().1.clone();
    assert_eq!(user_of("pip install"), Some("builder".to_owned()));
    assert_eq!(user_of("kill -KILL -1"), Some("builder".to_owned()));
    assert_eq!(user_of("-m venv"), None);
    // All processes of such a user are ended.
    let text = bench.host.text("/etc/passwd").unwrap();
    bench.host.put_file("/etc/passwd", format!("{text}toor:x:0:0::/root:/bin/sh\n"), 0o644);
    let text = bench.host.text("/etc/group").unwrap();
    bench.host.put_file("/etc/group", format!("{text}toor:x:0:\n"), 0o644);
    for user in ["root", "toor"] {
        let user = user.to_owned();
        let act = PythonEnv { path: "/srv/app/other".into(), user: user.clone(), ..act.clone() };
        assert!(bench.try_to_make(&act).is_err(), "{user}");
        assert!(
            !bench.host.commands().iter().any(|c| c.user.as_ref() == Some(&user) && c.argv.join(" ").contains("-KILL"))
        );
    }
}

#[test]
fn the_user_has_roots_settings_of_pip_while_it_works_and_no_longer() {
    let bench = bench();
    with_builder(&bench);
    bench.host.put_file("/root/.config/pip/pip.conf", "[global]\nindex-url = https://me:hush7@index/simple\n", 0o600);
    bench.host.put_file("/etc/pip.conf", "[global]\ntimeout = 7\n", 0o600);
    bench.host.set_env("PIP_INDEX_URL", "https://me:hush8@index/simple");
    let act = PythonEnv { packages: vec!["flask".to_owned()], user: "builder".to_owned(), ..env() };
    let ground = bench.with(|cx| act.required_release(cx.host)).unwrap().ground();
    let python = ground.with_extension("").join("bin/python").to_string_lossy().into_owned();
    let home = ground.join("home");
    bench.host.on(&[&python, "-m", "pip"], move |host, command| {
        let has = |name: &str, value: &str| command.env.contains(&(name.to_owned(), value.to_owned()));
        assert!(has("PIP_INDEX_URL", "https://me:hush8@index/simple"), "{:?}", command.env);
        assert!(
            has("HOME", &home.to_string_lossy()) && has("PIP_CONFIG_FILE", &home.join("pip.conf").to_string_lossy())
        );
        assert!(host.text(home.join(".config/pip/pip.conf")).unwrap().contains("hush7"));
        assert!(host.text(home.join("pip.conf")).unwrap().contains("timeout = 7"));
        for path in [home.clone(), home.join(".config/pip/pip.conf"), home.join("pip.conf")] {
            let meta = host.stat(&path).unwrap().unwrap().meta;
            assert_eq!((meta.uid, meta.mode & 0o077), (997, 0), "{}", path.display());
        }
        output(0, "", "")
    });
    bench.make(&act);
    assert!(bench.host.stat(&ground).unwrap().is_none());
}

#[test]
fn what_requirements_name_beside_them_is_installed_from_a_copy_that_the_user_can_build_in() {
    let bench = bench();
    with_builder(&bench);
    let act = PythonEnv { requirements: "/srv/code/requirements.txt".to_owned(), user: "builder".to_owned(), ..env() };
    let asked = |content: &str| {
        bench.host.put_file("/srv/code/requirements.txt", content, 0o644);
        let ground = bench.with(|cx| act.required_release(cx.host)).unwrap().ground();
        bench.make(&act);
        let commands = bench.host.commands();
        let pip = commands.iter().rfind(|command| command.argv.iter().any(|word| word == "pip")).unwrap().clone();
        (pip.argv.last().unwrap().clone(), pip.cwd, ground.join("copy"))
    };
    for beside in ["flask\n./lib\n", "-e .\n", "  --editable=.\n"] {
        let (file, cwd, copy) = asked(beside);
        assert_eq!((file, cwd), (copy.join("requirements.txt").to_string_lossy().into_owned(), copy), "{beside}");
    }
    let (file, cwd, _) = asked("flask==3.0 # a comment\n-r ../base.txt\n");
    assert_eq!((file.as_str(), cwd), ("/srv/code/requirements.txt", "/srv/code".into()));
}

#[test]
fn another_version_of_python_makes_a_new_environment() {
    let bench = bench();
    bench.make(&env());
    bench.host.make_symlink("/usr/bin/python3".as_ref(), "python3.13".as_ref()).unwrap();
    assert_ne!(bench.check(&env()), Ok(Verdict::Unchanged));
}

#[test]
fn an_interpreter_that_somebody_else_can_exchange_is_not_run_by_root() {
    let bench = bench();
    let theirs = |path: &str| PythonEnv { interpreter: path.into(), ..env() };
    bench.host.put_file("/home/me/python", "elf", 0o755);
    bench.host.make_dir("/home/me".as_ref(), Meta::root(0o755)).unwrap();
    bench.host.set_meta("/home/me".as_ref(), Meta { mode: 0o755, uid: 1000, gid: 1000 }).unwrap();
    bench.host.make_symlink("/usr/local/python".as_ref(), "../../home/me/python".as_ref()).unwrap();
    bench.host.put_file("/opt/python", "elf", 0o777);
    bench.host.make_symlink("/opt/round".as_ref(), "round".as_ref()).unwrap();
    for (path, why) in [
        ("/home/me/python", "can change /home/me"),
        ("/usr/local/python", "can change /home/me"),
        ("/opt/python", "can change /opt/python"),
        ("/opt/round", "in a circle"),
    ] {
        let failure = bench.check(&theirs(path)).unwrap_err();
        assert!(failure.why.contains(why), "{path}: {failure:?}");
    }
}

#[test]
fn an_old_interpreter_gets_its_environment_from_virtualenv_with_versions_that_know_it() {
    let bench = bench();
    bench.host.put_file("/opt/python2.7", "", 0o755);
    let act = PythonEnv {
        interpreter: "/opt/python2.7".into(),
        virtualenv: vec!["/usr/bin/virtualenv".to_owned()],
        seeds: [("pip".to_owned(), "20.3.4".to_owned())].into(),
        packages: vec!["flask<2".to_owned()],
        ..env()
    };
    bench.host.on(&["/usr/bin/virtualenv"], |_, _| crate::host::fake::output(0, "", ""));
    bench.round_trip(&act);
    let said = commands(&bench);
    assert!(said.contains("/usr/bin/virtualenv --quiet --python /opt/python2.7 --app-data /srv/app/venv.releases/"));
    assert!(said.contains("--system-site-packages --download --pip 20.3.4 /srv/app/venv.releases/"), "{said}");
    assert!(!said.contains("-m venv"));
    let stray = PythonEnv { virtualenv: Vec::new(), ..act };
    assert!(bench.check(&stray).unwrap_err().hint.unwrap().contains("belong to `virtualenv`"));
}

#[test]
fn a_package_that_is_a_link_is_another_one_when_it_leads_elsewhere() {
    let bench = bench();
    let act = PythonEnv { packages: vec!["/srv/code".to_owned()], ..env() };
    assert_ne!(bench.check(&act), Ok(Verdict::Unchanged), "the sources are yet to come");
    assert!(bench.try_to_make(&act).err().unwrap().why.contains("its package /srv/code"));
    bench.host.make_symlink("/srv/code".as_ref(), "code.releases/1".as_ref()).unwrap();
    bench.make(&act);
    assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
    bench.host.make_symlink("/srv/code".as_ref(), "code.releases/2".as_ref()).unwrap();
    assert!(bench.summary(&act).contains("replacing the existing one"));
}

#[test]
fn what_is_yet_to_come_is_a_change_to_come() {
    let bench = Bench::new();
    bench.host.take_away("/usr/bin/python3");
    assert_eq!(bench.summary(&env()), "create the Python environment /srv/app/venv");
    assert!(bench.try_to_make(&env()).err().unwrap().hint.unwrap().contains("python3-venv"));
}

#[test]
fn a_failing_pip_leaves_nothing_that_looks_finished() {
    let bench = bench();
    let act = PythonEnv { packages: vec!["nonsense".to_owned()], ..env() };
    let fail = |_: &crate::host::fake::FakeHost, _: &Command| {
        crate::host::fake::output(1, "", "ERROR: No matching distribution")
    };
    let pip = bench.with(|cx| act.required_release(cx.host)).unwrap().dir().join("bin/python");
    bench.host.on(&[&pip.to_string_lossy()], fail);
    let failure = bench.try_to_make(&act).err().unwrap();
    assert_eq!(failure.tail, ["ERROR: No matching distribution"]);
    assert_ne!(bench.check(&act), Ok(Verdict::Unchanged));
    assert!(bench.host.stat("/srv/app/venv".as_ref()).unwrap().is_none());
}

/// Which variables pip gets.
fn environment(bench: &Bench, act: &PythonEnv) -> Vec<(String, String)> {
    bench.make(act);
    let commands = bench.host.commands();
    let pip = commands.iter().rfind(|command| command.argv.iter().any(|word| word == "pip")).unwrap();
    pip.env.clone()
}

#[test]
fn pip_reaches_nothing_by_plain_http_unless_it_is_told_so() {
    let has = |env: &[(String, String)], name: &str, value: &str| env.contains(&(name.to_owned(), value.to_owned()));
    let act = PythonEnv { packages: vec!["flask".to_owned()], ..env() };
    let closed = environment(&bench(), &act);
    assert!(has(&closed, "http_proxy", NOWHERE) && has(&closed, "no_proxy", ""), "{closed:?}");
    // Behind a proxy the exceptions from it hold on.
    let proxied = bench();
    proxied.host.set_env("https_proxy", "http://proxy.example.org:3128");
    let closed = environment(&proxied, &act);
    assert!(has(&closed, "http_proxy", NOWHERE), "{closed:?}");
    assert!(!closed.iter().any(|(name, _)| name.to_lowercase() == "no_proxy"), "{closed:?}");
    // Anyone who names an index without TLS has it so.
    let told = bench();
    told.host.set_env("PIP_INDEX_URL", "http://index.example.org/simple");
    let configured = bench();
    configured.host.put_file("/etc/pip.conf", "[global]\nindex-url = http://index.example.org/simple\n", 0o644);
    let written = bench();
    written.host.put_file("/srv/requirements.txt", "--find-links http://files.example.org/\nflask\n", 0o644);
    let of_file = PythonEnv { requirements: "/srv/requirements.txt".to_owned(), ..act.clone() };
    for (bench, act) in [(told, &act), (configured, &act), (written, &of_file)] {
        let open = environment(&bench, act);
        assert!(!open.iter().any(|(name, _)| name == "http_proxy"), "{open:?}");
    }
    // virtualenv fetches what it begins with by pip, too.
    let old = PythonEnv {
        virtualenv: vec!["/usr/bin/virtualenv".to_owned()],
        seeds: [("pip".to_owned(), "20.3.4".to_owned())].into(),
        ..env()
    };
    let bench = bench();
    bench.host.on(&["/usr/bin/virtualenv"], |_, _| crate::host::fake::output(0, "", ""));
    bench.make(&old);
    let commands = bench.host.commands();
    let made = commands.iter().find(|command| command.argv[0] == "/usr/bin/virtualenv").unwrap();
    assert!(has(&made.env, "http_proxy", NOWHERE));
}

const LOCKED: &str = r#"{"_meta": {}, "default": {"flask": {"version": "==3.0.3", "hashes": ["sha256:00"]}}}"#;

/// What pip is asked, in the order in which it is.
fn asked_of_pip(bench: &Bench) -> Vec<String> {
    let commands = bench.host.commands();
    let pip = commands.iter().filter(|command| command.argv.iter().any(|word| word == "pip"));
    pip.map(|command| command.argv.join(" ").split(" --no-cache-dir ").nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_lock_file_is_installed_with_its_hashes_and_nothing_else() {
    let bench = bench();
    bench.host.put_file("/srv/code/Pipfile.lock", LOCKED, 0o644);
    let act = PythonEnv {
        requirements: "/srv/code/requirements.txt".to_owned(),
        alternatives: vec!["uv.lock".to_owned(), "Pipfile.lock".to_owned()],
        packages: vec!["gunicorn".to_owned()],
        ..env()
    };
    let dir = bench.with(|cx| act.required_release(cx.host)).unwrap().dir();
    let version = r#"{"python_full_version": "3.11.2"}"#;
    bench
        .host
        .on(&[&dir.join("bin/python").to_string_lossy(), "-E"], move |_, _| crate::host::fake::output(0, version, ""));
    bench.make(&act);
    let shown = dir.display();
    let expected = [
        format!("--no-deps --require-hashes --requirement {shown}/bringup-requirements.txt"),
        format!("--constraint {shown}/bringup-constraints.txt gunicorn"),
    ];
    assert_eq!(asked_of_pip(&bench), expected);
    let written = bench.host.read(&dir.join(RESOLVED)).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), "flask==3.0.3 --hash=sha256:00\n");
    assert_eq!(bench.check(&act), Ok(Verdict::Unchanged));
    // A requirements file goes before, and is another environment.
    bench.host.put_file("/srv/code/requirements.txt", "flask\n", 0o644);
    assert_ne!(bench.check(&act), Ok(Verdict::Unchanged));
    bench.make(&act);
    assert_eq!(asked_of_pip(&bench).last().unwrap(), "--requirement /srv/code/requirements.txt gunicorn");
}

#[test]
fn a_package_with_another_hash_is_told_from_a_missing_index() {
    let bench = bench();
    bench.host.put_file("/srv/code/Pipfile.lock", LOCKED, 0o644);
    let act = PythonEnv { requirements: "/srv/code/Pipfile.lock".to_owned(), ..env() };
    let dir = bench.with(|cx| act.required_release(cx.host)).unwrap().dir();
    let program = dir.join("bin/python").to_string_lossy().into_owned();
    bench.host.on(&[&program, "-E"], |_, _| crate::host::fake::output(0, "{}", ""));
    bench.host.on(&[&program, "-m"], |_, _| {
        crate::host::fake::output(
            1,
            "",
            "    flask==3.0.3 from https://x:\n        Expected sha256 00\n             Got        11\n",
        )
    });
    let failure = bench.try_to_make(&act).err().unwrap();
    assert!(failure.why.contains("another file than /srv/code/Pipfile.lock names"), "{failure:?}");
    assert!(bench.host.stat("/srv/app/venv".as_ref()).unwrap().is_none());
}

#[test]
fn an_option_among_the_packages_is_refused() {
    let act = PythonEnv { packages: vec!["--index-url=http://x".to_owned()], ..env() };
    assert!(bench().check(&act).unwrap_err().hint.unwrap().contains("requirements file"));
}
