"""Contender (c): pyinfra @local deploy.py -y, inside the host, so that no SSH is paid for.

One list of packages per part; restarts only when something changed.
"""
from pathlib import Path

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import apt, files, mysql, server, systemd
from pyinfra.operations.util import any_changed

HERE = Path(__file__).resolve().parent.parent / "files"


def listing(name):
    return str(HERE / name)


# database
apt.packages(name="Database packages", packages=["mariadb-server"])
config = files.put(name="Database configuration", src=listing("mariadb.cnf"),
                   dest="/etc/mysql/mariadb.conf.d/60-webapp.cnf", mode="644")
socket = systemd.service(name="No database socket unit (it listens on all addresses)",
                         service="mariadb.socket", running=False, enabled=False)
systemd.service(name="Restart the database", service="mariadb", restarted=True,
                _if=any_changed(config, socket))
mysql.database(name="Database", database="webapp", charset="utf8mb4")
mysql.user(name="Database role", user="webapp", user_hostname="localhost",
           password="BenchDatabase1")
mysql.privileges(name="Database privileges", user="webapp", user_hostname="localhost",
                 database="webapp", table="*", privileges=["ALL"])

# queue
apt.packages(name="Queue packages", packages=["redis-server"])
bind = files.line(name="Queue address", path="/etc/redis/redis.conf", line=r"^bind .*",
                  replace="bind 127.0.0.1")
password = files.line(name="Queue password", path="/etc/redis/redis.conf",
                      line=r"^(# )?requirepass .*", replace="requirepass BenchQueue1",
                      extended_regex=True)
systemd.service(name="Restart the queue", service="redis-server", restarted=True,
                _if=any_changed(bind, password))

# application
apt.packages(name="Application packages",
             packages=["gunicorn", "python3-pymysql", "python3-redis", "supervisor"])
server.user(name="Application user", user="webapp", system=True, home="/opt/webapp",
            create_home=False, ensure_home=False, shell="/usr/sbin/nologin")
app = files.sync(name="Application", src="/root/bench/demo", dest="/opt/webapp")
files.directory(name="Directory of the settings", path="/etc/webapp", mode="755")
env = files.put(name="Settings", src=listing("env"), dest="/etc/webapp/env",
                group="webapp", mode="640")
programs = files.put(name="Processes", src=listing("supervisor.conf"),
                     dest="/etc/supervisor/conf.d/webapp.conf", mode="644")
systemd.service(name="Restart the processes", service="supervisor", restarted=True,
                _if=any_changed(app, env, programs))

# web server
apt.packages(name="Web server packages", packages=["apache2", "openssl"])
if not host.get_fact(File, path="/etc/ssl/certs/webapp.pem"):
    server.shell(
        name="Certificate",
        commands=["openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=app.example.test"
                  " -addext subjectAltName=DNS:app.example.test"
                  " -keyout /etc/ssl/private/webapp.key -out /etc/ssl/certs/webapp.pem"])
changes = [
    files.link(name="Module " + module, path="/etc/apache2/mods-enabled/" + module,
               target="../mods-available/" + module)
    for module in ("socache_shmcb.load", "ssl.load", "ssl.conf", "proxy.load", "proxy.conf",
                   "proxy_http.load", "headers.load")
]
changes += [
    files.put(name="Site", src=listing("apache.conf"),
              dest="/etc/apache2/sites-available/webapp.conf", mode="644"),
    files.link(name="Site enabled", path="/etc/apache2/sites-enabled/webapp.conf",
               target="../sites-available/webapp.conf"),
    files.link(name="Default site disabled", path="/etc/apache2/sites-enabled/000-default.conf",
               present=False),
]
systemd.service(name="Restart the web server", service="apache2", restarted=True,
                _if=any_changed(*changes))

# firewall
apt.packages(name="Firewall packages", packages=["nftables"])
rules = files.put(name="Firewall rules", src=listing("nftables.conf"),
                  dest="/etc/nftables.conf", mode="755")
systemd.service(name="Firewall on at boot", service="nftables", running=True, enabled=True)
systemd.service(name="Load the rules", service="nftables", restarted=True, _if=rules.did_change)
