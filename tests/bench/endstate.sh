#!/bin/bash
# Is the host in the end state that every contender must reach? Run inside the host, as root.
# endstate.sh [ENVFILE]: where PROOF_TOKEN stands (default /etc/webapp/env). Changes nothing but
# one row and one job, and loads the firewall again. Status 0 and "end state: yes", or 1 and what is missing.
set -u
env_file=${1:-/etc/webapp/env}
name=${HOST_NAME:-app.example.test}
bad=0
miss() { echo "end state: $*"; bad=1; }

if [ "$(stat -c '%a %U' "$env_file" 2>/dev/null)" != "640 root" ]; then
    miss "$env_file is not 0640 root: $(stat -c '%a %U %G' "$env_file" 2>&1)"
fi

# The site, asked as a browser would ask, with the certificate verified.
HOST_NAME=$name ENV_FILE=$env_file python3 -W ignore - <<'PY' || bad=1
import http.client, json, os, re, socket, ssl, sys, time

name = os.environ["HOST_NAME"]
text = open(os.environ["ENV_FILE"]).read()
token = re.search(r'^PROOF_TOKEN=["\']?([^"\'\n]*)', text, re.M).group(1)
bad = []

def tls(oldest=None, newest=None, trust=None):
    context = ssl.create_default_context(cadata=trust)
    if trust is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if newest:
        context.minimum_version, context.maximum_version = oldest, newest
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 10),
                               server_hostname=name)

def ask(method, path, body=None):
    connection = http.client.HTTPSConnection(name)
    connection.sock = tls(trust=certificate)
    connection.request(method, path, body and json.dumps(body), {
        "Host": name, "Content-Type": "application/json", "X-Proof-Token": token})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()

end = time.monotonic() + 20     # what was restarted last may still be starting
while True:
    try:
        certificate = ssl.DER_cert_to_PEM_cert(tls().getpeercert(True))
        status, page = ask("GET", "/health")
        if status == 200:
            break
        problem = "health: %d %s" % (status, page[:200])
    except (OSError, http.client.HTTPException) as error:
        problem = "no page over TLS: %s" % error
    if time.monotonic() > end:
        sys.exit("end state: " + problem)
    time.sleep(0.1)

health = json.loads(page)
if (health["database"], health["queue"]) != ("mariadb", "redis"):
    bad.append("wrong engines: %s" % page)
status, page = ask("GET", "/")
if status != 200 or "Your server is up" not in page:
    bad.append("the page: %d" % status)
for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
    try:
        tls(oldest=old, newest=old)
        bad.append("%s is accepted" % old.name)
    except OSError:
        pass
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
connection.request("GET", "/x", headers={"Host": name})
answer = connection.getresponse()
if answer.status not in (301, 308) or answer.getheader("Location") != "https://%s/x" % name:
    bad.append("http is not redirected: %d %s" % (answer.status, answer.getheader("Location")))
status, reply = ask("POST", "/rows", {"text": "end state"})
if status != 200 or json.loads(ask("GET", "/rows/%d" % json.loads(reply)["id"])[1])["text"] != "end state":
    bad.append("a row: %d %s" % (status, reply[:200]))
status, reply = ask("POST", "/jobs", {"text": "abc"})
job, end = {}, time.monotonic() + 20
while status == 200 and job.get("state") != "done" and time.monotonic() < end:
    job = json.loads(ask("GET", "/jobs/%d" % json.loads(reply)["id"])[1])
    time.sleep(0.05)
if job.get("result") != "cba":
    bad.append("a job: %d %s %s" % (status, reply[:200], job))
for line in bad:
    print("end state: " + line)
sys.exit(bool(bad))
PY

# What listens where: the web server everywhere, all else on loopback only.
listening=$(ss -Hltn | awk '{ print $4 }')
for port in 80 443; do
    grep -qE "^(\*|0\.0\.0\.0|\[::\]):$port\$" <<<"$listening" || miss "port $port is not open"
done
for port in 3306 6379; do
    grep -qE "^127\.0\.0\.1:$port\$" <<<"$listening" || miss "nothing on 127.0.0.1:$port"
done
other=$(grep -vE '^(127\.|\[::1\])' <<<"$listening" | grep -vE ':(22|80|443)$' | tr '\n' ' ')
[ -z "${other// }" ] || miss "also listening beyond loopback: $other"

# Who runs it, how many, and under what.
count() { pgrep -cu "${APP_USER:-webapp}" -f "$1"; }
[ "$(count 'gunicor[n]')" = 6 ] || miss "not 1 + 5 gunicorn processes: $(count 'gunicor[n]')"
[ "$(count 'worker\.p[y]')" = 1 ] || miss "not one job worker: $(count 'worker\.p[y]')"
running() { supervisorctl status 2>&1 | grep -c ' RUNNING '; }
for _ in 1 2 3 4 5 6; do [ "$(running)" = 2 ] && break; sleep 0.5; done    # STARTING for a second
[ "$(running)" = 2 ] || miss "supervisor does not run two programs: $(supervisorctl status 2>&1)"
redis-cli -h 127.0.0.1 ping 2>&1 | grep -q NOAUTH || miss "redis asks for no password"

# The firewall, now and after a reboot; everything comes back after a reboot. SSH is let in where there is SSH.
rules() {
    local rules want
    rules=$(nft list ruleset)
    for want in 'hook input' 'policy drop' ' 80' ' 443'; do
        grep -q -- "$want" <<<"$rules" || miss "$1 without '$want'"
    done
}
rules "firewall"
firewall=nftables
! systemctl -q is-enabled bringup-firewall 2>/dev/null || firewall=bringup-firewall
nft flush ruleset
systemctl restart $firewall
rules "firewall after a restart of $firewall"
for unit in apache2 mariadb redis-server supervisor $firewall; do
    [ "$(systemctl is-enabled $unit)" = enabled ] || miss "$unit does not start at boot"
done
[ $bad = 1 ] || echo "end state: yes"
exit $bad
