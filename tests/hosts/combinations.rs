//! Combinations of database, scheduling backend, web server and service manager: installed, verified, run again, rolled
//! back to the very same disk. Nine of them, two on other releases, have every pair of answers; the others are run by `tests/run --long`.

use crate::host::{Host, Init, answers, is_long};

fn whole_way(release: &str, init: Init, database: &str, queue: &str, server: &str, manager: &str) {
    let host = Host::start(release, init);
    let before = host.manifest("before");
    let file = answers(&[
        ("web.host", "app.example.test"),
        ("database.engine", database),
        ("queue.backend", queue),
        ("web.server", server),
        ("services.manager", manager),
    ]);
    host.bringup(&file).expect(0);
    host.exec(&["bringup", "verify"]).expect(0);
    if init == Init::Systemd && manager == "systemd" {
        host.assert_confined();
    }
    let again = host.bringup(&file).expect(0);
    assert!(again.both().contains("othing to do"), "a second run changed something:\n{}", again.both());
    if init == Init::Systemd {
        host.cut();
        host.boot();
        host.exec(&["bringup", "verify"]).expect(0);
    }
    host.roll_back_all();
    host.assert_identical(&before);
}

macro_rules! combinations {
    ($($when:ident $name:ident: $release:literal $init:ident $database:literal $queue:literal $server:literal $manager:literal;)*) => {
        $(
            #[test]
            #[ignore = "needs root and test hosts: tests/run"]
            fn $name() {
                if stringify!($when) == "always" || is_long() {
                    whole_way($release, Init::$init, $database, $queue, $server, $manager);
                }
            }
        )*

        const ROWS: &[(&str, &str, [&str; 4])] =
            &[$((stringify!($when), stringify!($init), [$database, $queue, $server, $manager])),*];
    };
}

combinations! {
    always sqlite_embedded_nginx_systemd: "bookworm" Systemd "sqlite" "embedded" "nginx" "systemd";
    long sqlite_embedded_nginx_supervisor: "bookworm" Systemd "sqlite" "embedded" "nginx" "supervisor";
    long sqlite_embedded_apache_systemd: "bookworm" Systemd "sqlite" "embedded" "apache" "systemd";
    long sqlite_embedded_apache_supervisor: "bookworm" Systemd "sqlite" "embedded" "apache" "supervisor";
    long sqlite_redis_nginx_systemd: "bookworm" Systemd "sqlite" "redis" "nginx" "systemd";
    long sqlite_redis_nginx_supervisor: "bookworm" Systemd "sqlite" "redis" "nginx" "supervisor";
    always sqlite_redis_apache_systemd: "bookworm" Systemd "sqlite" "redis" "apache" "systemd";
    long sqlite_redis_apache_supervisor: "bookworm" Systemd "sqlite" "redis" "apache" "supervisor";
    long sqlite_rabbitmq_nginx_systemd: "bookworm" Systemd "sqlite" "rabbitmq" "nginx" "systemd";
    always sqlite_rabbitmq_nginx_supervisor: "bookworm" Systemd "sqlite" "rabbitmq" "nginx" "supervisor";
    long sqlite_rabbitmq_apache_systemd: "bookworm" Systemd "sqlite" "rabbitmq" "apache" "systemd";
    long sqlite_rabbitmq_apache_supervisor: "bookworm" Systemd "sqlite" "rabbitmq" "apache" "supervisor";
    long postgresql_embedded_nginx_systemd: "bookworm" Systemd "postgresql" "embedded" "nginx" "systemd";
    long postgresql_embedded_nginx_supervisor: "bookworm" Systemd "postgresql" "embedded" "nginx" "supervisor";
    long postgresql_embedded_apache_systemd: "bookworm" Systemd "postgresql" "embedded" "apache" "systemd";
    always postgresql_embedded_apache_supervisor: "bookworm" Systemd "postgresql" "embedded" "apache" "supervisor";
    long postgresql_redis_nginx_systemd: "bookworm" Systemd "postgresql" "redis" "nginx" "systemd";
    long postgresql_redis_nginx_supervisor: "bookworm" Systemd "postgresql" "redis" "nginx" "supervisor";
    long postgresql_redis_apache_systemd: "bookworm" Systemd "postgresql" "redis" "apache" "systemd";
    long postgresql_redis_apache_supervisor: "bookworm" Systemd "postgresql" "redis" "apache" "supervisor";
    always postgresql_rabbitmq_nginx_systemd: "bookworm" Systemd "postgresql" "rabbitmq" "nginx" "systemd";
    long postgresql_rabbitmq_nginx_supervisor: "bookworm" Systemd "postgresql" "rabbitmq" "nginx" "supervisor";
    long postgresql_rabbitmq_apache_systemd: "bookworm" Systemd "postgresql" "rabbitmq" "apache" "systemd";
    long postgresql_rabbitmq_apache_supervisor: "bookworm" Systemd "postgresql" "rabbitmq" "apache" "supervisor";
    always mariadb_embedded_nginx_systemd: "bookworm" Systemd "mariadb" "embedded" "nginx" "systemd";
    long mariadb_embedded_nginx_supervisor: "bookworm" Systemd "mariadb" "embedded" "nginx" "supervisor";
    long mariadb_embedded_apache_systemd: "bookworm" Systemd "mariadb" "embedded" "apache" "systemd";
    long mariadb_embedded_apache_supervisor: "bookworm" Systemd "mariadb" "embedded" "apache" "supervisor";
    long mariadb_redis_nginx_systemd: "bookworm" Systemd "mariadb" "redis" "nginx" "systemd";
    always mariadb_redis_nginx_supervisor: "bookworm" Systemd "mariadb" "redis" "nginx" "supervisor";
    long mariadb_redis_apache_systemd: "bookworm" Systemd "mariadb" "redis" "apache" "systemd";
    long mariadb_redis_apache_supervisor: "bookworm" Systemd "mariadb" "redis" "apache" "supervisor";
    long mariadb_rabbitmq_nginx_systemd: "bookworm" Systemd "mariadb" "rabbitmq" "nginx" "systemd";
    long mariadb_rabbitmq_nginx_supervisor: "bookworm" Systemd "mariadb" "rabbitmq" "nginx" "supervisor";
    long mariadb_rabbitmq_apache_systemd: "bookworm" Systemd "mariadb" "rabbitmq" "apache" "systemd";
    long mariadb_rabbitmq_apache_supervisor: "bookworm" Systemd "mariadb" "rabbitmq" "apache" "supervisor";
    always on_bullseye: "bullseye" Systemd "postgresql" "redis" "nginx" "systemd";
    always on_trixie: "trixie" Systemd "mariadb" "rabbitmq" "apache" "systemd";
    always without_systemd_on_bookworm: "bookworm" None "sqlite" "embedded" "nginx" "supervisor";
    always without_systemd_on_bullseye: "bullseye" None "mariadb" "redis" "apache" "supervisor";
    always without_systemd_on_trixie: "trixie" None "postgresql" "redis" "nginx" "supervisor";
}

/// Both of a pair of answers are tried together by every `tests/run`, on a host with systemd.
#[test]
fn the_short_matrix_has_every_pair() {
    let rows = || ROWS.iter().filter(|(_, init, _)| *init == "Systemd");
    for (_, _, all) in rows() {
        for one in 0..all.len() {
            for other in 0..one {
                let has = |row: &[&str; 4]| row[one] == all[one] && row[other] == all[other];
                assert!(rows().any(|(when, _, row)| *when == "always" && has(row)), "{} {}", all[other], all[one]);
            }
        }
    }
}
