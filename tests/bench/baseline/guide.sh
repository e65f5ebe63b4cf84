#!/bin/bash
# Contender (a): a guide for Debian, followed line by line by a careful person. One section per
# part, packages installed where the guide mentions them, a restart after every edit.
# Run a second time, it does what a person does who follows the guide again: steps that would
# fail because they were done before are guarded, everything else is done again.
set -e
export DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")/files"      # the configuration listings of the guide

# 1. The web server
apt-get install -y apache2
a2enmod ssl proxy proxy_http headers
systemctl restart apache2

# 2. The database
apt-get install -y mariadb-server
cp mariadb.cnf /etc/mysql/mariadb.conf.d/60-webapp.cnf
systemctl disable --now mariadb.socket || true   # bookworm's listens on all addresses
systemctl restart mariadb
mariadb -e "CREATE DATABASE IF NOT EXISTS webapp CHARACTER SET utf8mb4"
mariadb -e "CREATE USER IF NOT EXISTS webapp@localhost IDENTIFIED BY 'BenchDatabase1'"
mariadb -e "GRANT ALL ON webapp.* TO webapp@localhost"

# 3. The queue
apt-get install -y redis-server
sed -i 's/^bind .*/bind 127.0.0.1/' /etc/redis/redis.conf
systemctl restart redis-server
sed -i 's/^#* *requirepass .*/requirepass BenchQueue1/' /etc/redis/redis.conf
systemctl restart redis-server

# 4. The application
apt-get install -y gunicorn python3-pymysql python3-redis
id webapp >/dev/null 2>&1 || useradd --system --home-dir /opt/webapp --shell /usr/sbin/nologin webapp
mkdir -p /opt/webapp
cp -r /root/bench/demo/. /opt/webapp/
mkdir -p /etc/webapp
install -m 0640 -g webapp env /etc/webapp/env

# 5. Process control
apt-get install -y supervisor
cp supervisor.conf /etc/supervisor/conf.d/webapp.conf
systemctl restart supervisor

# 6. TLS
[ -e /etc/ssl/certs/webapp.pem ] || openssl req -x509 -newkey rsa:2048 -nodes -days 365 \
    -subj /CN=app.example.test -addext subjectAltName=DNS:app.example.test \
    -keyout /etc/ssl/private/webapp.key -out /etc/ssl/certs/webapp.pem
cp apache.conf /etc/apache2/sites-available/webapp.conf
a2ensite webapp
systemctl restart apache2
a2dissite 000-default
systemctl restart apache2

# 7. The firewall
apt-get install -y nftables
cp nftables.conf /etc/nftables.conf
systemctl enable nftables
systemctl restart nftables
