//! A fresh Debian.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::files::Files;
use super::{Faults, Package, World, packages, services, sockets};
use crate::host::{Meta, Stamp};

/// 2026-01-01, so that certificates of tests are valid.
const START: u64 = 1_767_225_600_000_000_000;

const DIRS: &[&str] = &[
    "/boot",
    "/dev",
    "/etc/cron.d",
    "/etc/default",
    "/etc/init.d",
    "/etc/rc2.d",
    "/etc/logrotate.d",
    "/etc/ssl/certs",
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/tmpfiles.d",
    "/etc/sysctl.d",
    "/home",
    "/lib/systemd/system",
    "/opt",
    "/proc/net",
    "/proc/1",
    "/root",
    "/run",
    "/srv",
    "/sys/fs/cgroup",
    "/tmp",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/share/doc",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/var/backups",
    "/var/cache/apt/archives",
    "/var/lib/apt/lists",
    "/var/lib/dpkg/info",
    "/var/lib/systemd",
    "/var/log",
    "/var/tmp",
    "/var/www",
];

/// The system as its installer leaves it.
pub(super) fn debian(codename: &str) -> World {
    let mut world = World {
        files: Files::new(Stamp::default()),
        clock: START,
        waits: false,
        euid: 0,
        env: BTreeMap::new(),
        disk: (20 << 30, 40 << 30),
        inodes: (2_000_000, 2_500_000),
        random: 0x9e37_79b9_7f4a_7c15,
        packages: packages::Archive::default(),
        services: services::Services::default(),
        databases: super::databases::Databases::default(),
        sockets: sockets::Sockets::default(),
        nft: super::nft::Ruleset::default(),
        missing_programs: BTreeSet::new(),
        handlers: Vec::new(),
        answers: Vec::new(),
        repositories: BTreeMap::new(),
        locks: super::locks::Locks::default(),
        calls: Vec::new(),
        faults: Faults::default(),
        watch: super::writers::Watching::default(),
    };
    let now = world.tick();
    for dir in DIRS {
        world.files.make_dirs(Path::new(dir), now);
    }
    for dir in ["/tmp", "/var/tmp"] {
        let _ = world.files.set_meta(Path::new(dir), Meta::root(0o1777), now);
    }
    let _ = world.files.set_meta(Path::new("/root"), Meta::root(0o700), now);
    for (path, content, mode) in texts(codename) {
        world.files.put(Path::new(path), content.as_bytes(), Meta::root(mode), now);
    }
    for (name, version) in [("apt", "2.6.1"), ("base-files", "12.4"), ("dpkg", "1.21.22"), ("systemd", "252.22-1")] {
        world.preinstall(name, version);
    }
    for package in archive() {
        world.add_to_archive(package);
    }
    world.give_systemd();
    world.show_sockets();
    packages::remember_base_dirs(&mut world);
    world
}

fn texts(codename: &str) -> Vec<(&'static str, String, u32)> {
    let version = match codename {
        "bullseye" => "11",
        "trixie" => "13",
        _ => "12",
    };
    let release = format!(
        "PRETTY_NAME=\"Debian GNU/Linux {version} ({codename})\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"{version}\"\n\
         VERSION=\"{version} ({codename})\"\nVERSION_CODENAME={codename}\nID=debian\n"
    );
    let cpus = (0..2)
        .fold(String::new(), |all, cpu| all + &format!("processor\t: {cpu}\nphysical id\t: 0\ncore id\t\t: {cpu}\n\n"));
    let meminfo = "MemTotal:        2097152 kB\nMemFree:         1500000 kB\nSwapTotal:             0 kB\n";
    let passwd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                  www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    let group = "root:x:0:\ndaemon:x:1:\nadm:x:4:\nsudo:x:27:\nwww-data:x:33:\nnogroup:x:65534:\n";
    let shadow = "root:*:20000:0:99999:7:::\nwww-data:*:20000:0:99999:7:::\n";
    let gshadow = "root:*::\nadm:*::\nsudo:*::\nwww-data:*::\n";
    let own = |text: &str| text.to_owned();
    vec![
        ("/etc/os-release", release, 0o644),
        ("/etc/apt/sources.list", format!("deb http://deb.debian.org/debian {codename} main\n"), 0o644),
        ("/etc/hostname", own("host\n"), 0o644),
        ("/etc/hosts", own("127.0.0.1 localhost\n127.0.1.1 host.example.test host\n"), 0o644),
        ("/etc/passwd", own(passwd), 0o644),
        ("/etc/group", own(group), 0o644),
        ("/etc/shadow", own(shadow), 0o640),
        ("/etc/gshadow", own(gshadow), 0o640),
        ("/etc/ssl/certs/ca-certificates.crt", own("# the bundle\n"), 0o644),
        ("/proc/cpuinfo", cpus, 0o444),
        ("/proc/meminfo", own(meminfo), 0o444),
        ("/proc/self/status", own("Name:\tbringup\nPPid:\t1\nCpus_allowed_list:\t0-1\n"), 0o444),
        ("/proc/self/cgroup", own("0::/init.scope\n"), 0o444),
        (
            "/proc/self/mountinfo",
            own("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            0o444,
        ),
        ("/proc/sys/kernel/hostname", own("host\n"), 0o444),
        ("/sys/fs/cgroup/cgroup.controllers", own("cpu memory\n"), 0o444),
    ]
}

/// Packages as Debian has them, each with what an engine has to cope with.
fn archive() -> Vec<Package> {
    let web = |name: &str, version: &str| Package::new(name, version).service(name, &["0.0.0.0:80", "[::]:80"]);
    vec![
        web("nginx", "1.22.1-9").depends(&["nginx-common"]),
        Package::new("nginx-common", "1.22.1-9")
            .file("/etc/nginx/nginx.conf", "user www-data;\n", 0o644)
            .file("/etc/nginx/sites-available/default", "server { listen 80; }\n", 0o644)
            .file("/etc/nginx/sites-enabled/default", "server { listen 80; }\n", 0o644)
            .file("/etc/nginx/conf.d/README", "\n", 0o644)
            .file("/var/www/html/index.nginx-debian.html", "<h1>Welcome</h1>\n", 0o644),
        web("apache2", "2.4.57-2")
            .depends(&["apache2-bin"])
            .recommends(&["ssl-cert"])
            .file("/etc/apache2/apache2.conf", "ServerRoot /etc/apache2\n", 0o644)
            .file("/etc/apache2/ports.conf", "Listen 80\n", 0o644)
            .file("/etc/apache2/sites-available/000-default.conf", "<VirtualHost *:80>\n", 0o644)
            .file("/etc/apache2/sites-enabled/000-default.conf", "<VirtualHost *:80>\n", 0o644)
            .file("/etc/apache2/mods-enabled/README", "\n", 0o644)
            .file("/etc/apache2/conf-enabled/README", "\n", 0o644),
        Package::new("apache2-bin", "2.4.57-2").file("/usr/sbin/apache2", "binary\n", 0o755),
        Package::new("ssl-cert", "1.1.2").file("/etc/ssl/private/ssl-cert-snakeoil.key", "key\n", 0o640),
        Package::new("postgresql", "15+248").depends(&["postgresql-15"]).service("postgresql", &["127.0.0.1:5432"]),
        Package::new("postgresql-15", "15.6-0")
            .depends(&["postgresql-common"])
            .file("/etc/postgresql/15/main/postgresql.conf", "port = 5432\n", 0o644)
            .file("/etc/postgresql/15/main/pg_hba.conf", "local all all peer\n", 0o640)
            .data("/var/lib/postgresql/15/main"),
        Package::new("postgresql-common", "248").user("postgres"),
        Package::new("mariadb-server", "1:10.11.6-0")
            .depends(&["mariadb-common"])
            .service("mariadb", &["127.0.0.1:3306"])
            .user("mysql")
            .data("/var/lib/mysql"),
        Package::new("mariadb-common", "1:10.11.6-0").file("/etc/mysql/mariadb.cnf", "[client-server]\n", 0o644),
        Package::new("redis-server", "5:7.0.15-1")
            .depends(&["redis-tools"])
            .service("redis-server", &["127.0.0.1:6379"])
            .file("/etc/redis/redis.conf", "bind 127.0.0.1 -::1\n", 0o640)
            .user("redis"),
        Package::new("rabbitmq-server", "3.10.8-1")
            .depends(&["erlang-base"])
            .service("rabbitmq-server", &["0.0.0.0:5672"])
            .user("rabbitmq"),
        Package::new("docker.io", "26.1.5-1").service("docker", &[]),
        Package::new("supervisor", "4.2.5-1")
            .service("supervisor", &[])
            .file("/etc/supervisor/supervisord.conf", "[supervisord]\n", 0o644)
            .file("/etc/supervisor/conf.d/README", "\n", 0o644),
    ]
}
