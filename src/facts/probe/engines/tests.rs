#![allow(clippy::unwrap_used)]
use super::*;
use crate::host::fake::FakeHost;

fn cluster_at(host: &FakeHost, id: &str, conf: &str, pid: Option<(u32, u16)>) {
    let (version, name) = id.split_once('/').unwrap();
    let data = format!("/var/lib/postgresql/{version}/{name}");
    host.put_file(format!("/etc/postgresql/{id}/postgresql.conf"), format!("data_directory = '{data}'\n{conf}"), 0o644);
    host.put_file(format!("/etc/postgresql/{id}/start.conf"), "# when\n\nauto # at boot\n", 0o644);
    if let Some((pid, port)) = pid {
        let state = format!("{pid}\n{data}\n1795981459\n{port}\n/run/pg/{name}\nlocalhost\n  6888  4\nready\n");
        host.put_file(format!("{data}/postmaster.pid"), state, 0o600);
        host.put_file(format!("/proc/{pid}/comm"), "postgres\n", 0o444);
    }
}

#[test]
fn every_cluster_is_known_with_the_port_that_it_has() {
    let host = FakeHost::new();
    cluster_at(&host, "15/main", "port = 5433\t\t# (change requires restart)\ninclude_dir = 'conf.d'\n", None);
    host.put_file("/etc/postgresql/15/main/conf.d/10-a.conf", "listen_addresses = '*'\nPort 5440\n", 0o644);
    host.put_file("/etc/postgresql/15/main/conf.d/20-b.conf", "# port = 1\nmax_connections=250\n", 0o644);
    host.put_file("/etc/postgresql/15/main/conf.d/old.conf.bak", "port = 9\n", 0o644);
    cluster_at(&host, "15/foreign", "port = 5432\n", Some((700, 5432)));
    cluster_at(&host, "9.6/main", "port = 5434\n", Some((701, 5439)));
    host.put_file("/etc/postgresql/17/half/conf.d/90-shop.conf", "port = 5432\n", 0o644);
    let found = postgresql(&host);
    let shown: Vec<_> = found.iter().map(|c| (c.id.as_str(), c.port, c.configured_port, c.running)).collect();
    assert_eq!(
        shown,
        [("9.6/main", 5439, 5434, true), ("15/foreign", 5432, 5432, true), ("15/main", 5440, 5440, false)]
    );
    assert_eq!((found[2].listen.as_str(), found[2].max_connections, found[2].start.as_str()), ("*", 250, "auto"));
    assert_eq!((found[1].socket.as_str(), found[2].socket.as_str()), ("/run/pg/foreign", "/var/run/postgresql"));
    assert_eq!(cluster_of(&host, "15/main").as_ref(), Some(&found[2]));
    assert!(cluster_of(&host, "15/../15").is_none() && cluster_of(&host, "17/half").is_none());
}

#[test]
fn what_alter_system_set_counts_and_a_process_that_is_no_server_does_not() {
    let host = FakeHost::new();
    cluster_at(&host, "15/main", "port = 5432\n", Some((700, 5432)));
    host.put_file("/var/lib/postgresql/15/main/postgresql.auto.conf", "port = '5477'\n", 0o600);
    host.put_file("/proc/700/comm", "bash\n", 0o444);
    let found = postgresql(&host);
    assert_eq!((found[0].port, found[0].running), (5477, false));
    // Only the file that everybody may read tells of it.
    host.remove(Path::new("/var/lib/postgresql/15/main/postmaster.pid")).unwrap();
    host.put_file("/var/run/postgresql/15-main.pid", "701\n", 0o644);
    host.put_file("/proc/701/comm", "postgres\n", 0o444);
    assert!(postgresql(&host)[0].running);
}

#[test]
fn files_that_include_themselves_end() {
    let host = FakeHost::new();
    cluster_at(&host, "15/main", "include 'postgresql.conf'\nport = 5450\n", None);
    assert_eq!(postgresql(&host)[0].port, 5450);
    host.put_file("/usr/sbin/mariadbd", "elf", 0o755);
    host.put_file("/etc/mysql/my.cnf", "[mysqld]\nport=3310\n!include /etc/mysql/my.cnf\n", 0o644);
    assert_eq!(mariadb(&host)[0].port, 3310);
}

#[test]
fn quoted_and_bare_values_are_read_as_the_server_does() {
    let of = |line: &str| setting(line).map(|(key, value)| format!("{key}:{value}"));
    assert_eq!(of("port = 5433 # why").as_deref(), Some("port:5433"));
    assert_eq!(of("port=5433").as_deref(), Some("port:5433"));
    assert_eq!(of("port '5433'").as_deref(), Some("port:5433"));
    assert_eq!(of("listen_addresses = 'it''s, #no' # x").as_deref(), Some("listen_addresses:it's, #no"));
    assert_eq!(of("# port = 1"), None);
    assert_eq!(of(""), None);
}

#[test]
fn instances_of_mariadb_have_groups_of_their_own() {
    let host = FakeHost::new();
    assert!(mariadb(&host).is_empty());
    host.put_file("/usr/sbin/mariadbd", "elf", 0o755);
    host.put_file(
        "/etc/mysql/my.cnf",
        "!includedir /etc/mysql/conf.d/\n!includedir /etc/mysql/mariadb.conf.d/\n",
        0o644,
    );
    host.put_file("/etc/mysql/conf.d/own.cnf", "[client]\nport = 1\n[mysqld]\nport = 3307\n", 0o644);
    host.put_file("/etc/mysql/mariadb.conf.d/50-server.cnf", "[mariadbd]\nbind_address = 127.0.0.1\n", 0o644);
    host.put_file(
        "/etc/mysql/mariadb.conf.d/70-two.cnf",
        "[mariadbd.two]\nport=3306\nsocket=/run/mysqld/two.sock\n",
        0o644,
    );
    host.put_file(
        "/proc/net/unix",
        "Num RefCount\n0: 00000002 00000000 00010000 0001 01 77 /run/mysqld/two.sock\n",
        0o444,
    );
    let found = mariadb(&host);
    let shown: Vec<_> = found.iter().map(|i| (i.name.as_str(), i.port, i.running, i.listen.as_str())).collect();
    assert_eq!(shown, [("", 3307, false, "127.0.0.1"), ("two", 3306, true, "")]);
}

#[test]
fn servers_of_redis_and_nodes_of_rabbitmq_are_counted() {
    let host = FakeHost::new();
    host.put_file("/etc/redis/redis.conf", "# port 1\nport 6380\npidfile /run/redis/redis-server.pid\n", 0o640);
    host.put_file("/etc/redis/redis-two.conf", "port 6379\n", 0o640);
    host.put_file("/run/redis/redis-server.pid", "55\n", 0o644);
    host.put_file("/proc/55/comm", "redis-server\n", 0o444);
    let shown: Vec<_> = redis(&host).into_iter().map(|i| (i.name, i.port, i.running)).collect();
    assert_eq!(shown, [(String::new(), 6380, true), ("two".to_owned(), 6379, false)]);
    host.put_file("/var/lib/rabbitmq/mnesia/rabbit@web/schema.DAT", "", 0o640);
    host.put_file("/var/lib/rabbitmq/mnesia/rabbit@web-plugins-expand/x", "", 0o640);
    host.put_file("/var/lib/rabbitmq/mnesia/rabbit@web.pid", "56\n", 0o640);
    host.put_file("/proc/56/comm", "beam.smp\n", 0o444);
    assert_eq!(rabbitmq(&host), [Node { name: "rabbit@web".to_owned(), running: true }]);
}
