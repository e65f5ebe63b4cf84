//! Every combination of database, scheduling backend, web server and service manager: installed, verified, run again,
//! rolled back to the very same disk.

use crate::host::{Host, Init, answers};

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
    ($($name:ident: $release:literal $init:ident $database:literal $queue:literal $server:literal $manager:literal;)*) => {
        $(
            #[test]
            #[ignore = "needs root and test hosts: tests/run"]
            fn $name() {
                whole_way($release, Init::$init, $database, $queue, $server, $manager);
            }
        )*
    };
}

combinations! {
    sqlite_embedded_nginx_systemd: "bookworm" Systemd "sqlite" "embedded" "nginx" "systemd";
    sqlite_embedded_nginx_supervisor: "bookworm" Systemd "sqlite" "embedded" "nginx" "supervisor";
    sqlite_embedded_apache_systemd: "bookworm" Systemd "sqlite" "embedded" "apache" "systemd";
    sqlite_embedded_apache_supervisor: "bookworm" Systemd "sqlite" "embedded" "apache" "supervisor";
    sqlite_redis_nginx_systemd: "bookworm" Systemd "sqlite" "redis" "nginx" "systemd";
    sqlite_redis_nginx_supervisor: "bookworm" Systemd "sqlite" "redis" "nginx" "supervisor";
    sqlite_redis_apache_systemd: "bookworm" Systemd "sqlite" "redis" "apache" "systemd";
    sqlite_redis_apache_supervisor: "bookworm" Systemd "sqlite" "redis" "apache" "supervisor";
    sqlite_rabbitmq_nginx_systemd: "bookworm" Systemd "sqlite" "rabbitmq" "nginx" "systemd";
    sqlite_rabbitmq_nginx_supervisor: "bookworm" Systemd "sqlite" "rabbitmq" "nginx" "supervisor";
    sqlite_rabbitmq_apache_systemd: "bookworm" Systemd "sqlite" "rabbitmq" "apache" "systemd";
    sqlite_rabbitmq_apache_supervisor: "bookworm" Systemd "sqlite" "rabbitmq" "apache" "supervisor";
    postgresql_embedded_nginx_systemd: "bookworm" Systemd "postgresql" "embedded" "nginx" "systemd";
    postgresql_embedded_nginx_supervisor: "bookworm" Systemd "postgresql" "embedded" "nginx" "supervisor";
    postgresql_embedded_apache_systemd: "bookworm" Systemd "postgresql" "embedded" "apache" "systemd";
    postgresql_embedded_apache_supervisor: "bookworm" Systemd "postgresql" "embedded" "apache" "supervisor";
    postgresql_redis_nginx_systemd: "bookworm" Systemd "postgresql" "redis" "nginx" "systemd";
    postgresql_redis_nginx_supervisor: "bookworm" Systemd "postgresql" "redis" "nginx" "supervisor";
    postgresql_redis_apache_systemd: "bookworm" Systemd "postgresql" "redis" "apache" "systemd";
    postgresql_redis_apache_supervisor: "bookworm" Systemd "postgresql" "redis" "apache" "supervisor";
    postgresql_rabbitmq_nginx_systemd: "bookworm" Systemd "postgresql" "rabbitmq" "nginx" "systemd";
    postgresql_rabbitmq_nginx_supervisor: "bookworm" Systemd "postgresql" "rabbitmq" "nginx" "supervisor";
    postgresql_rabbitmq_apache_systemd: "bookworm" Systemd "postgresql" "rabbitmq" "apache" "systemd";
    postgresql_rabbitmq_apache_supervisor: "bookworm" Systemd "postgresql" "rabbitmq" "apache" "supervisor";
    mariadb_embedded_nginx_systemd: "bookworm" Systemd "mariadb" "embedded" "nginx" "systemd";
    mariadb_embedded_nginx_supervisor: "bookworm" Systemd "mariadb" "embedded" "nginx" "supervisor";
    mariadb_embedded_apache_systemd: "bookworm" Systemd "mariadb" "embedded" "apache" "systemd";
    mariadb_embedded_apache_supervisor: "bookworm" Systemd "mariadb" "embedded" "apache" "supervisor";
    mariadb_redis_nginx_systemd: "bookworm" Systemd "mariadb" "redis" "nginx" "systemd";
    mariadb_redis_nginx_supervisor: "bookworm" Systemd "mariadb" "redis" "nginx" "supervisor";
    mariadb_redis_apache_systemd: "bookworm" Systemd "mariadb" "redis" "apache" "systemd";
    mariadb_redis_apache_supervisor: "bookworm" Systemd "mariadb" "redis" "apache" "supervisor";
    mariadb_rabbitmq_nginx_systemd: "bookworm" Systemd "mariadb" "rabbitmq" "nginx" "systemd";
    mariadb_rabbitmq_nginx_supervisor: "bookworm" Systemd "mariadb" "rabbitmq" "nginx" "supervisor";
    mariadb_rabbitmq_apache_systemd: "bookworm" Systemd "mariadb" "rabbitmq" "apache" "systemd";
    mariadb_rabbitmq_apache_supervisor: "bookworm" Systemd "mariadb" "rabbitmq" "apache" "supervisor";
    on_bullseye: "bullseye" Systemd "postgresql" "redis" "nginx" "systemd";
    on_trixie: "trixie" Systemd "mariadb" "rabbitmq" "apache" "systemd";
    without_systemd_on_bookworm: "bookworm" None "sqlite" "embedded" "nginx" "supervisor";
    without_systemd_on_bullseye: "bullseye" None "mariadb" "redis" "apache" "supervisor";
    without_systemd_on_trixie: "trixie" None "postgresql" "redis" "nginx" "supervisor";
}
