#!/bin/bash
# Ravada as its administrator types it, without firewall, updates, backup and proofs.
set -euxo pipefail
export DEBIAN_FRONTEND=noninteractive
name=desktops.example.org
password=$(openssl rand -hex 16)
release=$(. /etc/os-release && echo "$VERSION_ID")

apt-get install -y --no-install-recommends git rsync make perl-doc ca-certificates libmojolicious-perl libipc-run3-perl
git clone -q --depth 1 --branch v2.4.6 file:///srv/upstream /usr/src/ravada
(cd /usr/src/ravada && perl deb/debianize.pl)
apt-get install -y --no-install-recommends mariadb-server apache2 nftables
apt-get install -y --no-install-recommends "/usr/src/ravada_release/ravada_2.4.6_debian-${release}_all.deb" dnsmasq-base iptables

systemctl disable --now mariadb.socket || true
systemctl restart mariadb
mariadb -e "CREATE DATABASE ravada; CREATE USER 'rvd_user'@'localhost' IDENTIFIED BY '$password';
    GRANT ALL ON ravada.* TO 'rvd_user'@'localhost'"
printf -- '---\ndb:\n  hostname: localhost\n  user: rvd_user\n  password: "%s"\n' "$password" >/etc/ravada.conf
chmod 0600 /etc/ravada.conf
printf '%s\ny\n' "$password" | rvd_back --add-user admin

sed -i "s/,secrets => .*/,secrets => ['$(openssl rand -hex 32)', '$(openssl rand -hex 32)']/
    s#,listen => \[.*\]#,listen => ['http://127.0.0.1:8081']#" /etc/rvd_front.conf
chmod 0600 /etc/rvd_front.conf
for unit in rvd_back rvd_front; do
    mkdir -p /etc/systemd/system/$unit.service.d
    printf '[Unit]\nAfter=mariadb.service libvirtd.service\nWants=mariadb.service libvirtd.service\n[Service]\nRemainAfterExit=no\nRestart=always\n' \
        >/etc/systemd/system/$unit.service.d/10-order.conf
done
systemctl daemon-reload
systemctl enable --now rvd_back rvd_front

mkdir -p /etc/ravada/tls
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout /etc/ravada/tls/key.pem -out /etc/ravada/tls/cert.pem
cat >/etc/apache2/sites-available/ravada.conf <<CONF
<VirtualHost *:80>
    ServerName $name
    Redirect permanent / https://$name/
</VirtualHost>
<VirtualHost *:443>
    ServerName $name
    SSLEngine on
    SSLCertificateFile /etc/ravada/tls/cert.pem
    SSLCertificateKeyFile /etc/ravada/tls/key.pem
    ProxyPreserveHost On
    ProxyPass /ws/ ws://127.0.0.1:8081/ws/ keepalive=On
    ProxyPass / http://127.0.0.1:8081/ keepalive=On
    ProxyPassReverse / http://127.0.0.1:8081/
    RequestHeader unset X-Forwarded-For early
    RequestHeader set X-Forwarded-Proto "https"
</VirtualHost>
CONF
a2enmod -q ssl proxy proxy_http proxy_wstunnel headers
a2dissite -q 000-default
a2ensite -q ravada
systemctl restart apache2
