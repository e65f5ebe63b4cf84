#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fake::{FakeHost, output};

fn told(output: &str) -> String {
    let output = Output { status: 1, stdout: Vec::new(), stderr: output.as_bytes().to_vec() };
    Broken::new("the test", &output).told()
}

#[test]
fn the_place_and_the_fault_are_found_in_the_words_of_every_server() {
    let cases = [
        (
            "2026/11/29 19:45:37 [warn] 78#78: the \"user\" directive makes sense only if\n\
             2026/11/29 19:45:37 [emerg] 5078#5078: unknown directive \"foo\" in /etc/nginx/conf.d/zz.conf:2\n\
             nginx: configuration file /etc/nginx/nginx.conf test failed\n",
            "/etc/nginx/conf.d/zz.conf:2: unknown directive \"foo\" in /etc/nginx/conf.d/zz.conf:2",
        ),
        (
            "nginx: [emerg] cannot load certificate \"/etc/ssl/shop.pem\": BIO_new_file() failed\n\
             nginx: configuration file /etc/nginx/nginx.conf test failed\n",
            "/etc/ssl/shop.pem: cannot load certificate \"/etc/ssl/shop.pem\": BIO_new_file() failed",
        ),
        (
            "AH00526: Syntax error on line 3 of /etc/apache2/conf-enabled/zz.conf:\nInvalid command 'Foo'\n\
             Action 'configtest' failed.\nThe Apache error log may have more information.\n",
            "/etc/apache2/conf-enabled/zz.conf:3: AH00526: Syntax error on line 3 of \
             /etc/apache2/conf-enabled/zz.conf: Invalid command 'Foo'",
        ),
        (
            "2026-11-29 19:45:37.961 GMT [5095] LOG:  syntax error in file \"/etc/postgresql/15/main/conf.d/zz.conf\" \
             line 2, near token \"=\"\n2026-11-29 19:45:37.961 GMT [5095] FATAL:  configuration file \
             \"/etc/postgresql/15/main/postgresql.conf\" contains errors\n",
            "/etc/postgresql/15/main/conf.d/zz.conf:2: syntax error in file \
             \"/etc/postgresql/15/main/conf.d/zz.conf\" line 2, near token \"=\"",
        ),
        (
            "error: Found option without preceding group in config file: /etc/mysql/mariadb.conf.d/zz.cnf at line: 1\n\
             2026-11-29 19:45:37 0 [Warning] Could not increase number of max_open_files\n",
            "/etc/mysql/mariadb.conf.d/zz.cnf:1: error: Found option without preceding group in config file: \
             /etc/mysql/mariadb.conf.d/zz.cnf at line: 1",
        ),
        (
            "/etc/ssh/sshd_config.d/zz.conf: line 2: Bad configuration option: Foo\n\
             /etc/ssh/sshd_config.d/zz.conf: terminating, 1 bad configuration options\n",
            "/etc/ssh/sshd_config.d/zz.conf:2: /etc/ssh/sshd_config.d/zz.conf: line 2: Bad configuration option: Foo",
        ),
        (
            "Error: invalid literal for int() in section 'program:foo' (file: '/etc/supervisor/conf.d/zz.conf')\n\
             For help, use -c -h\n",
            "/etc/supervisor/conf.d/zz.conf: Error: invalid literal for int() in section 'program:foo' (file: \
             '/etc/supervisor/conf.d/zz.conf')",
        ),
        (
            "rsyslogd: version 8.2504.0, config validation run (level 1), master config /etc/rsyslog.conf\n\
             rsyslogd: invalid or yet-unknown config file command 'Foo' [v8.2504.0 try https://www.rsyslog.com/e/3003 ]\n\
             rsyslogd: error during parsing file /etc/rsyslog.d/zz.conf, on or before line 2: errors occurred [v8 try https://www.rsyslog.com/e/2207 ]\n\
             rsyslogd: End of config validation run. Bye.\n",
            "/etc/rsyslog.d/zz.conf:2: rsyslogd: error during parsing file /etc/rsyslog.d/zz.conf, on or before line 2: \
             errors occurred [v8 try https://www.rsyslog.com/e/2207 ]",
        ),
        (
            "Error: File contains no section headers.\nfile: '/etc/supervisor/conf.d/zz.conf', line: 1\n'[program\\n'\n",
            "/etc/supervisor/conf.d/zz.conf:1: Error: File contains no section headers.",
        ),
    ];
    for (output, expected) in cases {
        assert_eq!(told(output), expected);
    }
}

#[test]
fn an_output_without_a_file_is_told_by_its_first_line_and_an_empty_one_by_its_status() {
    assert_eq!(told("it is broken\nsomewhere\n"), "it is broken");
    assert_eq!(told(""), "`the test` ended with status 1");
}

const SERVERS: [(&str, &str, &str); 6] = [
    ("nginx.service", "/usr/sbin/nginx", "/etc/nginx/conf.d/zz.conf"),
    ("apache2", "/usr/sbin/apache2ctl", "/etc/apache2/conf-enabled/zz.conf"),
    ("postgresql.service", "/usr/lib/postgresql/15/bin/postgres", "/etc/postgresql/15/main/conf.d/zz.conf"),
    ("mariadb.service", "/usr/sbin/mariadbd", "/etc/mysql/mariadb.conf.d/zz.cnf"),
    ("redis-server.service", "/usr/bin/redis-server", "/etc/redis/redis.conf"),
    ("rabbitmq-server.service", "/usr/bin/erl", "/etc/rabbitmq/rabbitmq.conf"),
];

#[test]
fn a_broken_file_of_every_server_is_found_and_one_that_is_not_installed_has_none() {
    for (service, program, file) in SERVERS {
        let host = FakeHost::new();
        host.put_file(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nredis:x:7:7::/:/bin/sh\nrabbitmq:x:8:8::/:/bin/sh\n",
            0o644,
        );
        host.put_broken_file(file);
        assert_eq!(own(&host, Manager::Systemd, service), None, "{service}: it is not installed");
        host.put_file(program, "elf", 0o755);
        host.put_file("/etc/postgresql/15/main/postgresql.conf", "", 0o644);
        host.put_file("/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/INSTALL", "", 0o644);
        let broken = own(&host, Manager::Systemd, service).unwrap_or_else(|| panic!("{service}"));
        assert_eq!(broken_servers(&host).len(), 1, "{service}");
        assert_eq!(broken.place.as_deref(), Some(format!("{file}:2").as_str()), "{service}: {broken:?}");
        host.put_file(file, "# good\n", 0o644);
        assert_eq!(own(&host, Manager::Systemd, service), None, "{service}: it is mended");
    }
}

#[test]
fn a_test_that_could_not_be_made_says_nothing() {
    let host = FakeHost::new();
    host.put_broken_file("/etc/nginx/nginx.conf");
    host.put_file("/usr/sbin/nginx", "elf", 0o755);
    host.on(&["nginx"], |_, _| output(124, "", ""));
    assert_eq!(own(&host, Manager::Systemd, "nginx"), None);
    let declared = ["no-such-test".to_owned()];
    assert_eq!(broken(&host, Manager::Systemd, "nginx", &declared, None), None);
}

#[test]
fn paths_are_found_among_other_words() {
    assert_eq!(paths("see \"/etc/a.pem\", (/etc/b.conf:3) and/or /etc/c."), ["/etc/a.pem", "/etc/b.conf", "/etc/c"]);
}
