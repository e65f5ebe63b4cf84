//! A web server with existing sites: they keep working beside ours, and where ours would break one of them the former
//! configuration is restored, even when the run is killed meanwhile.

use std::time::{Duration, Instant};

use crate::host::{Host, Init, RUN, answers};
use crate::pair::{install, until};

/// A web server with a site of somebody else.
struct Theirs {
    package: &'static str,
    /// Their site, without encryption and with.
    site: &'static str,
    path: &'static str,
    /// What the test's guide does, and how it has the server take that up. It breaks their site.
    breaks: &'static str,
}

const NGINX: Theirs = Theirs {
    package: "nginx",
    // Without a name, it answers for as long as it is the first.
    site: "\
server { listen 80; location / { return 200 shop; } }
server { listen 443 ssl; server_name shop.example.test; ssl_certificate /etc/ssl/shop.pem;
  ssl_certificate_key /etc/ssl/shop.key; location / { return 200 shop; } }
",
    path: "/etc/nginx/sites-enabled/shop",
    breaks: "actions:
  - id: site
    reason: it is the first, and takes what comes for no other
    file:
      path: /etc/nginx/sites-available/app
      content: |
        server { listen 80; server_name app.example.test; return 301 https://app.example.test/; }
  - {id: enable, reason: a test, symlink: {path: /etc/nginx/sites-enabled/app, target: ../sites-available/app}}
  - id: run
    reason: a test
    service:
      {manager: systemd, name: nginx.service, reload_after: [web.site, web.enable], test: [nginx, -t, -q],
      sites: {server: nginx, server_names: [app.example.test], timeout: 10}}
",
};

const APACHE: Theirs = Theirs {
    package: "apache2",
    site: "\
<VirtualHost *:80>
  ServerName shop.example.test
  DocumentRoot /var/www/html
</VirtualHost>
<VirtualHost *:443>
  ServerName shop.example.test
  DocumentRoot /var/www/html
  SSLEngine on
  SSLCertificateFile /etc/ssl/shop.pem
  SSLCertificateKeyFile /etc/ssl/shop.key
</VirtualHost>
",
    path: "/etc/apache2/sites-enabled/shop.conf",
    breaks: "actions:
  - id: conf
    reason: it is for the whole server
    file: {path: /etc/apache2/conf-enabled/app.conf, content: 'Redirect permanent / https://app.example.test/'}
  - id: run
    reason: a test
    service:
      {manager: systemd, name: apache2.service, restart_after: [web.conf], test: [apache2ctl, configtest],
      sites: {server: apache, server_names: [app.example.test], timeout: 10}}
",
};

/// It passes the server's own test, and keeps it from starting.
const HELD_PORT: &str = "actions:
  - id: conf
    reason: another program has the port
    file: {path: /etc/apache2/conf-enabled/app.conf, content: 'Listen 8099'}
  - id: run
    reason: a test
    service:
      {manager: systemd, name: apache2.service, restart_after: [web.conf], test: [apache2ctl, configtest],
      sites: {server: apache, server_names: [app.example.test], timeout: 10}}
";

impl Theirs {
    fn start(&self) -> Host {
        let host = Host::start("bookworm", Init::Systemd);
        install(&host, &format!("{} curl openssl", self.package));
        host.sh("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=shop.example.test \
             -addext subjectAltName=DNS:shop.example.test -keyout /etc/ssl/shop.key -out /etc/ssl/shop.pem 2>/dev/null")
            .expect(0);
        host.sh("if test -e /etc/apache2; then a2enmod -q ssl; else rm /etc/nginx/sites-enabled/default; fi").expect(0);
        host.write(self.path, self.site);
        host.sh(&format!("systemctl restart {}", self.package)).expect(0);
        host.write_guide(self.breaks);
        assert_eq!(shop(&host), "200 200");
        host
    }

    /// The whole guide of a product beside them.
    fn beside(&self) {
        let host = self.start();
        let before = host.manifest("before");
        let server = if self.package == "nginx" { "nginx" } else { "apache" };
        let file = own(server, &[]);
        host.bringup(&file).expect(0);
        assert_eq!(shop(&host), "200 200");
        assert!(host.sh(TOLD).stdout.contains("other sites of this server answer as before"));
        host.sh("curl -fsSk --resolve app.example.test:443:127.0.0.1 https://app.example.test/").expect(0);
        let again = host.bringup(&file).expect(0);
        assert!(again.both().contains("othing to do"), "{}", again.both());
        host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
        assert_eq!(shop(&host), "200 200");
        host.assert_identical(&before);
    }

    /// It breaks theirs, and comes back by itself.
    fn broken(&self) {
        let host = self.start();
        let before = host.manifest("before");
        let said = host.sh(RUN).expect(3).words();
        assert!(said.contains("answered 200 before, and now 301 to https://app.example.test/"), "{said}");
        assert!(said.contains("the former configuration was restored"), "{said}");
        assert_eq!(shop(&host), "200 200");
        host.assert_identical(&before);
    }

    /// It breaks theirs, and is killed before it notices.
    fn killed(&self) {
        let host = self.start();
        let before = host.manifest("before");
        std::thread::scope(|scope| {
            let running = scope.spawn(|| host.sh(RUN));
            until("the sites are asked", || host.sh(TOLD).stdout.contains("checking the"));
            host.sh("systemctl kill -s KILL 'bringup-2*'").expect(0);
            running.join().unwrap().expect(4);
        });
        assert!(shop(&host).starts_with("301 "), "nothing is broken, so that nothing is proven");
        let started = Instant::now();
        while shop(&host) != "200 200" {
            assert!(started.elapsed() < Duration::from_mins(3), "their site does not come back");
            std::thread::sleep(Duration::from_secs(1));
        }
        // The timer's work goes on for a moment after the server has started.
        until("the timer is gone", || host.sh("systemctl is-active 'bringup-deadman*'").status != 0);
        host.sh("bringup rollback --yes --plain").expect(0);
        assert_eq!(shop(&host), "200 200");
        host.assert_identical(&before);
    }
}

/// What the run has told.
const TOLD: &str = "cat /var/lib/bringup/runs/*/events.jsonl";

fn own(server: &str, more: &[(&str, &str)]) -> String {
    let pairs = [
        ("web.host", "app.example.test"),
        ("database.engine", "sqlite"),
        ("queue.backend", "embedded"),
        ("web.server", server),
        ("services.manager", "systemd"),
    ];
    answers(&[&pairs, more].concat())
}

/// How their site answers, without encryption and with.
fn shop(host: &Host) -> String {
    let at = "--resolve shop.example.test:80:127.0.0.1 --resolve shop.example.test:443:127.0.0.1";
    let get = format!("curl -sk -m 5 -o /dev/null -w '%{{http_code}}' {at}");
    let ended = host.sh(&format!("{get} http://shop.example.test/; printf ' '; {get} https://shop.example.test/"));
    ended.stdout.trim().to_owned()
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_sites_of_others_in_nginx_go_on_beside_ours() {
    NGINX.beside();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_sites_of_others_in_apache_go_on_beside_ours() {
    APACHE.beside();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_site_in_nginx_that_ours_would_break_comes_back_by_itself() {
    NGINX.broken();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_site_in_apache_that_ours_would_break_comes_back_by_itself() {
    APACHE.broken();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_timer_brings_a_site_in_nginx_back_when_the_run_is_killed() {
    NGINX.killed();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn the_timer_brings_a_site_in_apache_back_when_the_run_is_killed() {
    APACHE.killed();
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn answers_that_take_the_port_from_a_site_in_apache_are_taken_back() {
    let host = APACHE.start();
    let before = host.manifest("before");
    let ports = [("web.http_port", "8080"), ("web.https_port", "8443")];
    let said = host.bringup(&own("apache", &ports)).expect(3).both();
    assert!(said.contains("does not answer"), "{said}");
    assert_eq!(shop(&host), "200 200");
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_server_that_would_not_start_again_comes_back_by_itself() {
    let host = Theirs { breaks: HELD_PORT, ..APACHE }.start();
    host.sh("systemd-run --quiet --unit=holder --socket-property=ListenStream=8099 sleep 1000").expect(0);
    let before = host.manifest("before");
    let said = host.sh(RUN).expect(3).both();
    assert!(said.contains("could not restart apache2.service") && said.contains("Address already in use"), "{said}");
    assert!(said.contains("the former configuration was restored"), "{said}");
    assert_eq!(shop(&host), "200 200");
    host.assert_identical(&before);
}
