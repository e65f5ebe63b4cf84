//! RabbitMQ for other machines: over TLS with the web server's certificate, and nothing else of it.

use crate::host::{Host, Init, answers};

const PASSWORD: &str = "a-long-enough-password_1.2";

/// An authority, and two certificates of it for the same name.
const ISSUE: &str = "umask 077; mkdir /root/ca && cd /root/ca && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test-ca \
     -days 30 -keyout ca-key.pem -out ca.pem 2>/dev/null && echo subjectAltName=DNS:app.example.test > names && \
     for n in 1 2; do openssl req -newkey rsa:2048 -nodes -subj /CN=app -keyout $n-key.pem -out request.pem 2>/dev/null && \
     openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile names \
     -out $n.pem 2>/dev/null || exit; done";

/// Logs in as `user` at `name`, sends a message through the queue `probe`, and tells what became of it.
const CLIENT: &str = r#"
import pika, ssl, sys
name, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile="/root/ca.pem")
try:
    broker = pika.BlockingConnection(pika.ConnectionParameters(
        name, 5671, "webapp", pika.PlainCredentials(user, password), ssl_options=pika.SSLOptions(context, name),
        connection_attempts=1, socket_timeout=5, stack_timeout=10))
    channel = broker.channel()
    channel.queue_declare("probe")
    channel.basic_publish("", "probe", b"hello")
    print("received", channel.basic_get("probe", auto_ack=True)[2].decode())
    channel.queue_delete("probe")
    broker.close()
except Exception as error:
    print("refused", type(error).__name__)
"#;

fn file(server: &str, certificate: u8) -> String {
    answers(&[
        ("web.host", "app.example.test"),
        ("web.server", server),
        ("queue.backend", "rabbitmq"),
        ("broker.reach", "network"),
        ("broker.plain", "false"),
        ("broker.management", "true"),
        ("broker.password", "{file: /root/password}"),
        ("tls.mode", "provided"),
        ("tls.certificate", &format!("/root/ca/{certificate}.pem")),
        ("tls.key", &format!("/root/ca/{certificate}-key.pem")),
        ("tls.chain", "/root/ca/ca.pem"),
        ("tls.authority", "/root/ca/ca.pem"),
    ])
}

fn other_machines_use_the_broker(release: &str, server: &str) {
    let host = Host::start(release, Init::Systemd);
    host.sh(&format!("{ISSUE}; printf {PASSWORD} > /root/password")).expect(0);
    let before = host.manifest("before");
    host.bringup(&file(server, 1)).expect(0);
    assert!(host.bringup(&file(server, 1)).expect(0).both().contains("othing to do"));

    let client = Host::start("bookworm", Init::Systemd);
    client.sh(&format!("echo {} app.example.test >> /etc/hosts", host.address())).expect(0);
    client.sh("apt-get install -qq -y --no-install-recommends python3-pika curl >/dev/null 2>&1").expect(0);
    client.write("/root/ca.pem", &host.sh("cat /root/ca/ca.pem").expect(0).stdout);
    client.write("/root/client.py", CLIENT);
    let says = |name: &str, user: &str, password: &str| {
        client.exec(&["python3", "/root/client.py", name, user, password]).expect(0).stdout.trim().to_owned()
    };
    assert_eq!(says("app.example.test", "webapp", PASSWORD), "received hello");
    assert_eq!(says("app.example.test", "webapp", "wrong"), "refused ProbableAuthenticationError");
    assert_eq!(says("app.example.test", "guest", "guest"), "refused ProbableAuthenticationError");
    assert!(says(&host.address(), "webapp", PASSWORD).starts_with("refused "), "a certificate for another name did");

    let address = host.address();
    for (port, open) in [(5671, true), (5672, false), (15672, false), (25672, false), (4369, false)] {
        let tried = client.sh(&format!("timeout 3 bash -c ': < /dev/tcp/{address}/{port}' 2>/dev/null && echo open"));
        assert_eq!(tried.stdout.contains("open"), open, "port {port}");
    }
    let page = format!(
        "curl -sS --cacert /root/ca.pem -u webapp:{PASSWORD} https://app.example.test/rabbitmq/api/whoami; \
         curl -s -o /dev/null -w ' %{{http_code}}' --cacert /root/ca.pem https://app.example.test/rabbitmq/api/whoami; \
         curl -s -o /dev/null -w ' %{{http_code}}' --cacert /root/ca.pem -u webapp:{PASSWORD} \
         https://app.example.test/rabbitmq/api/exchanges/%2Fnone/x"
    );
    let page = client.sh(&page).expect(0).stdout;
    // Known to it, refused without a password, and the encoded slash arrives as one: a virtual host that is not there.
    assert!(page.contains(r#""name":"webapp""#) && page.ends_with(" 401 404"), "{page}");

    let modes = "stat -c '%a %U' /run/rabbitmq-tls/privkey.pem; systemctl show -p MainPID rabbitmq-server; \
                 openssl s_client -connect 127.0.0.1:5671 </dev/null 2>/dev/null | openssl x509 -noout -serial";
    let first = host.sh(modes).expect(0).stdout;
    assert!(first.starts_with("400 rabbitmq\n"), "{first}");
    host.bringup(&file(server, 2)).expect(0);
    let second = host.sh(modes).expect(0).stdout;
    let (first, second): (Vec<_>, Vec<_>) = (first.lines().collect(), second.lines().collect());
    assert_eq!(first[..2], second[..2], "a new certificate restarted the broker, or left its key to others");
    assert_ne!(first[2], second[2], "the broker still shows the old certificate");
    assert_eq!(says("app.example.test", "webapp", PASSWORD), "received hello");

    host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(0);
    host.assert_identical(&before);
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn broker_for_other_machines_on_bullseye() {
    other_machines_use_the_broker("bullseye", "nginx");
}

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn broker_for_other_machines_on_trixie() {
    other_machines_use_the_broker("trixie", "apache");
}
