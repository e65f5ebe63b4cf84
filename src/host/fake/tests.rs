#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};

use super::*;

fn run(host: &FakeHost, argv: &str) -> Output {
    host.run(&Command::new(argv.split(' '))).unwrap()
}

fn succeed(host: &FakeHost, argv: &str) -> String {
    let output = run(host, argv);
    assert_eq!(output.status, 0, "{argv}: {}", String::from_utf8_lossy(&output.stderr));
    output.text()
}

#[test]
fn purging_what_was_installed_leaves_what_debian_leaves() {
    let host = FakeHost::new();
    let before = host.snapshot(&[]);
    let planned = succeed(&host, "apt-get -s install nginx");
    assert_eq!(host.snapshot(&[]), before);
    assert!(planned.contains("Inst nginx-common (1.22.1-9") && planned.contains("Inst nginx (1.22.1-9"));
    succeed(&host, "apt-get -y -o Dpkg::Options::=--force-confold install nginx redis-server");
    assert!(host.is_running("nginx.service") && host.packages().contains_key("nginx-common"));
    assert_eq!(succeed(&host, "dpkg-query -W -f=${Package}=${Version}\\n nginx"), "nginx=1.22.1-9");
    assert_eq!(run(&host, "dpkg-query -W apache2").status, 1);
    succeed(&host, "apt-get -y purge nginx nginx-common redis-server redis-tools");
    let left = before.differences(&host.snapshot(&[]));
    let files: Vec<&str> = left.iter().filter_map(|line| line.split('"').nth(1)).collect();
    let accounts = ["group", "group-", "gshadow", "gshadow-", "passwd", "passwd-", "shadow", "shadow-"];
    let mut expected: Vec<String> = accounts.iter().map(|name| format!("/etc/{name}")).collect();
    expected.push("/var/lib/apt/extended_states".to_owned());
    assert_eq!(files, expected, "{left:#?}");
}

#[test]
fn a_policy_holds_services_back() {
    let host = FakeHost::new();
    host.put_file("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755);
    succeed(&host, "apt-get -y install nginx");
    assert!(!host.is_running("nginx.service"));
    assert_eq!(succeed(&host, "systemctl is-enabled nginx"), "enabled");
    succeed(&host, "systemctl restart nginx.service");
    assert_eq!(host.starts("nginx.service"), 1);
    assert!(succeed(&host, "ss -Hltn").contains("0.0.0.0:80"));
    let apache = run(&host, "apt-get -y install apache2");
    assert!(apache.ok());
    let taken = run(&host, "systemctl start apache2");
    assert!(taken.status == 1 && String::from_utf8_lossy(&taken.stderr).contains("in use by nginx"));
}

#[test]
fn a_transaction_that_is_cut_must_be_configured_first() {
    let host = FakeHost::new();
    host.kill_after(1, Cut::Halfway);
    let install = Command::new(["apt-get", "-y", "install", "nginx"]);
    assert!(host.run(&install).is_err() && host.is_killed());
    assert!(host.read(Path::new("/etc/hostname")).is_err(), "a dead program reads nothing");
    host.revive();
    assert_eq!(host.run(&install).unwrap().status, 100);
    succeed(&host, "dpkg --configure -a");
    assert!(host.run(&install).unwrap().ok());
    assert!(host.packages().contains_key("nginx"));
}

#[test]
fn what_goes_wrong_with_packages_is_said_as_apt_says_it() {
    let host = FakeHost::new();
    host.withdraw("nope");
    assert_eq!(run(&host, "apt-get -y install nope").tail(1), ["E: Unable to locate package nope"]);
    host.lock_packages(1);
    assert!(run(&host, "apt-get -y install git").tail(1)[0].contains("lock-frontend"));
    host.break_package("git", true);
    assert_eq!(run(&host, "apt-get -y install git").status, 100);
    host.break_package("git", false);
    succeed(&host, "dpkg --configure -a");
    host.set_offline(true);
    assert_eq!(run(&host, "apt-get update").status, 100);
}

#[test]
fn units_of_ours_are_enabled_by_links_and_come_back_after_a_reboot() {
    let host = FakeHost::new();
    let before = host.snapshot(&[]);
    let unit = "[Service]\nExecStart=/bin/app\n[Install]\nWantedBy=multi-user.target\n";
    host.put_file("/etc/systemd/system/app.service", unit, 0o644);
    assert_eq!(run(&host, "systemctl start other").status, 5);
    succeed(&host, "systemctl daemon-reload");
    succeed(&host, "systemctl enable --now app");
    let shown = succeed(&host, "systemctl show app -p ActiveState,UnitFileState --value");
    assert_eq!(shown, "active\nenabled");
    host.reboot();
    assert!(host.is_running("app.service") && host.is_running("app"));
    host.break_service("app", Defect::Dies);
    succeed(&host, "systemctl restart app");
    assert_eq!(run(&host, "systemctl is-active app").text(), "failed");
    succeed(&host, "systemctl disable --now app");
    host.take_away("/etc/systemd/system/app.service");
    assert_eq!(before.differences(&host.snapshot(&[])), Vec::<String>::new());
}

#[test]
fn without_systemd_init_scripts_do() {
    let host = FakeHost::new().without_systemd();
    succeed(&host, "apt-get -y install nginx");
    assert_eq!(run(&host, "systemctl start nginx").status, 1);
    succeed(&host, "service nginx restart");
    assert_eq!(succeed(&host, "/etc/init.d/nginx status"), "nginx is running");
    succeed(&host, "update-rc.d nginx disable");
    host.reboot();
    assert!(!host.is_running("nginx.service"));
}

#[test]
fn supervisor_runs_what_its_files_say() {
    let host = FakeHost::new();
    succeed(&host, "apt-get -y install supervisor");
    host.put_file("/etc/supervisor/conf.d/app.conf", "[program:app]\ncommand=/bin/app\nnumprocs = 2\n", 0o644);
    assert_eq!(succeed(&host, "supervisorctl reread"), "app: available");
    succeed(&host, "supervisorctl update");
    assert!(host.is_running("app:app_01"));
    assert!(succeed(&host, "supervisorctl status app:*").contains("app:app_00"));
    succeed(&host, "supervisorctl restart app:*");
    assert_eq!(host.starts("app:app_00"), 2);
    assert_eq!(run(&host, "supervisorctl status other").status, 4);
    host.take_away("/etc/supervisor/conf.d/app.conf");
    succeed(&host, "supervisorctl update");
    assert!(!host.is_running("app:app_00"));
}

#[test]
fn accounts_live_in_their_files() {
    let host = FakeHost::new();
    let before = host.snapshot(&["/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-"]);
    succeed(&host, "useradd --system --user-group --home-dir /srv/app --shell /usr/sbin/nologin app");
    assert_eq!(run(&host, "useradd app").status, 9);
    succeed(&host, "usermod -aG www-data app");
    assert_eq!(succeed(&host, "id -Gn app"), "app www-data");
    assert!(succeed(&host, "getent passwd app").ends_with("/srv/app:/usr/sbin/nologin"));
    assert!(host.run(&Command::new(["true"]).user("app")).is_ok());
    succeed(&host, "gpasswd -d app www-data");
    succeed(&host, "userdel app");
    assert_eq!(run(&host, "getent group app").status, 2);
    assert!(host.run(&Command::new(["true"]).user("app")).is_err());
    let after = host.snapshot(&["/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-"]);
    assert_eq!(before.differences(&after), Vec::<String>::new());
}

#[test]
fn engines_know_their_databases_and_roles() {
    let host = FakeHost::new();
    succeed(&host, "apt-get -y install postgresql mariadb-server");
    let ask = |program: &str, sql: &str| host.run(&Command::new([program, "-At", "-c", sql])).unwrap();
    assert!(ask("psql", "CREATE ROLE \"app\" LOGIN; CREATE DATABASE app OWNER app").ok());
    assert!(!ask("psql", "CREATE DATABASE app").ok());
    assert_eq!(ask("psql", "SELECT 1 FROM pg_database WHERE datname = 'app'").text(), "1");
    assert_eq!(ask("psql", "SELECT 1 FROM pg_roles WHERE rolname='other'").text(), "");
    let sql = "CREATE DATABASE IF NOT EXISTS `shop`;\nCREATE USER IF NOT EXISTS 'shop'@'localhost' IDENTIFIED BY 'pw';";
    assert!(host.run(&Command::new(["mariadb", "--batch"]).stdin(sql)).unwrap().ok());
    assert!(
        host.has_database("mariadb", "shop")
            && host.has_role("mariadb", "shop")
            && !host.has_database("mariadb", "app")
    );
    let found = host.run(&Command::new([
        "mariadb",
        "-NBe",
        "SELECT COUNT(*) FROM mysql.user WHERE user='shop' AND host='localhost'",
    ]));
    assert_eq!(found.unwrap().text(), "1");
    let empty = succeed(&host, "pg_dump app");
    host.put_row("postgresql", "app", "(1)");
    assert_ne!(succeed(&host, "pg_dump app"), empty);
    assert!(ask("psql", "DROP DATABASE IF EXISTS app; DROP ROLE app").ok());
    succeed(&host, "systemctl stop postgresql");
    assert_eq!(ask("psql", "SELECT 1").status, 2);
}

#[test]
fn a_broker_has_users_hosts_and_permissions() {
    let host = FakeHost::new();
    assert_eq!(run(&host, "rabbitmqctl -q add_user app pw").status, 0);
    assert_eq!(run(&host, "rabbitmqctl add_user app pw").status, 70);
    succeed(&host, "rabbitmqctl add_vhost app");
    succeed(&host, "rabbitmqctl set_permissions -p app app .* .* .*");
    assert_eq!(succeed(&host, "rabbitmqctl list_permissions -p app"), "app\t.*\t.*\t.*");
    succeed(&host, "rabbitmqctl delete_user app");
    assert_eq!(succeed(&host, "rabbitmqctl list_permissions -p app"), "");
}

#[test]
fn sources_are_cloned_unpacked_and_copied() {
    let host = FakeHost::new();
    host.put_repository("https://example.test/app.git", &[("app.py", "print()\n")]);
    succeed(&host, "git clone --depth 1 https://example.test/app.git /srv/app");
    assert_eq!(host.text("/srv/app/app.py").as_deref(), Some("print()\n"));
    assert_eq!(run(&host, "git clone https://example.test/other /srv/b").status, 128);
    host.put_archive("/root/app.tar.gz", &[("app-1.0/app.py", "1\n")]);
    succeed(&host, "tar -xzf /root/app.tar.gz -C /opt --strip-components=1");
    assert_eq!(host.text("/opt/app.py").as_deref(), Some("1\n"));
    succeed(&host, "cp -a /srv/app /srv/copy");
    assert!(host.text("/srv/copy/app.py").is_some());
    succeed(&host, "python3 -m venv /srv/env");
    succeed(&host, "/srv/env/bin/pip install flask");
    assert_eq!(succeed(&host, "/srv/env/bin/pip freeze"), "flask");
}

#[test]
fn every_change_can_be_the_last_one_done_half_done_or_not_done() {
    for (cut, expected) in [(Cut::Before, "one\n"), (Cut::Halfway, "one\ntw"), (Cut::After, "one\ntwo\n")] {
        let host = FakeHost::new();
        let path = Path::new("/var/log/journal");
        host.append(path, b"one\n").unwrap();
        host.kill_after(1, cut);
        assert!(host.append(path, b"two\n").is_err());
        assert!(
            host.is_killed() && host.append(path, b"three\n").is_err() && host.run(&Command::new(["true"])).is_err()
        );
        assert_eq!(host.text(path).as_deref(), Some(expected), "{cut:?}");
        host.revive();
        assert!(host.append(path, b"four\n").is_ok());
    }
}

#[test]
fn one_change_can_fail_and_only_looking_does_not_count() {
    let host = FakeHost::new();
    let path = Path::new("/etc/a");
    host.fail_after(2);
    host.write(path, b"1", Meta::root(0o644)).unwrap();
    run(&host, "dpkg-query -W");
    assert_eq!(host.changes(), 1);
    assert!(host.write(path, b"2", Meta::root(0o644)).is_err());
    host.write(path, b"3", Meta::root(0o644)).unwrap();
    host.fail_after(1);
    assert_eq!(run(&host, "apt-get -y install nginx").status, 1);
    host.set_disk(0, 1);
    assert_eq!(host.write(path, b"4", Meta::root(0o644)).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_test_says_what_an_unknown_program_does() {
    let host = FakeHost::new();
    host.on(&["openssl", "req"], |host, command| {
        host.put_file(&command.argv[2], "certificate\n", 0o600);
        output(0, "done\n", "")
    });
    assert_eq!(succeed(&host, "openssl req /etc/cert.pem"), "done");
    succeed(&host, "frobnicate --all");
    assert_eq!(host.unknown_commands(), ["frobnicate --all"]);
    host.without_program("frobnicate");
    assert_eq!(host.run(&Command::new(["frobnicate"])).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn an_ordinary_user_looks_but_does_not_touch() {
    let host = FakeHost::new().as_user(1000);
    assert!(host.read(Path::new("/etc/passwd")).is_ok());
    assert_eq!(host.read(Path::new("/etc/shadow")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(host.remove(Path::new("/etc/passwd")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn the_clock_moves_by_sleeping_and_a_little_by_every_call() {
    let host = FakeHost::new();
    let start = host.now();
    host.sleep(Duration::from_secs(90));
    let later = host.now();
    assert!(later.sec - start.sec == 90 && later > start && host.now() > later);
}

#[test]
fn conversations_are_answered_and_silence_is_refused() {
    let host = FakeHost::new();
    let address = Address::Tcp("127.0.0.1:6379".parse().unwrap());
    assert!(host.connect(&address, Duration::from_secs(1)).is_err());
    host.answer(address.clone(), |asked| [b"+", asked].concat());
    let mut stream = host.connect(&address, Duration::from_secs(1)).unwrap();
    stream.write_all(b"PING").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "+PING");
}

#[test]
fn locks_end_with_their_guard_or_their_program() {
    let host = FakeHost::new();
    let path = Path::new("/run/lock");
    let guard = host.lock(path).unwrap();
    assert!(guard.is_some() && host.lock(path).unwrap().is_none());
    assert!(host.is_locked(path).unwrap() && !host.is_locked(Path::new("/run/other")).unwrap());
    assert!(host.stat(Path::new("/run/other")).unwrap().is_none(), "looking makes nothing");
    host.die();
    assert!(host.is_killed() && host.lock(path).is_err());
    host.revive();
    let next = host.lock(path).unwrap();
    assert!(next.is_some() && host.is_locked(path).unwrap());
    drop(guard);
    assert!(host.lock(path).unwrap().is_none(), "the dead program's guard does not free it");
    drop(next);
    assert!(!host.is_locked(path).unwrap());
    host.lock_elsewhere(path, true);
    assert!(host.lock(path).unwrap().is_none());
}
