#!/bin/bash
# saltant as its administrator types it, without firewall, updates, backup and proofs.
set -euxo pipefail
export DEBIAN_FRONTEND=noninteractive PIP_CERT=/etc/ssl/certs/ca-certificates.crt
name=jobs.example.test
password=$(openssl rand -hex 16)

apt-get install -y --no-install-recommends git ca-certificates openssl postgresql nginx python3-venv uwsgi-core \
    uwsgi-plugin-python3
mkdir -p /etc/rabbitmq
echo NODENAME=rabbit@localhost >/etc/rabbitmq/rabbitmq-env.conf
printf 'listeners.tcp.1 = 127.0.0.1:5672\nmanagement.tcp.ip = 127.0.0.1\nmanagement.path_prefix = /rabbitmq\n' \
    >/etc/rabbitmq/rabbitmq.conf
echo '[rabbitmq_management].' >/etc/rabbitmq/enabled_plugins
apt-get install -y --no-install-recommends rabbitmq-server
rabbitmqctl -q await_startup --timeout 60 </dev/null
rabbitmqctl -q add_vhost saltant </dev/null
printf '%s\n' "$password" | rabbitmqctl -q add_user saltant
rabbitmqctl -q set_permissions -p saltant saltant '.*' '.*' '.*' </dev/null
rabbitmqctl -q delete_user guest </dev/null

cd /
runuser -u postgres -- psql -q -c "CREATE ROLE saltant LOGIN PASSWORD '$password'" \
    -c "CREATE DATABASE saltant OWNER saltant ENCODING 'UTF8' TEMPLATE template0"

adduser --system --group --home /var/lib/saltant --shell /usr/sbin/nologin saltant
install -d -o saltant -g saltant /var/lib/saltant/{logs,results,tmp,flower}
git clone -q file:///srv/upstream /opt/saltant/src
git -C /opt/saltant/src checkout -q db498a1
python3 -m venv /opt/saltant/venv
/opt/saltant/venv/bin/pip install -q setuptools==80.9.0 wheel
/opt/saltant/venv/bin/pip install -q -r /root/bench/requirements.txt

mkdir -p /etc/saltant
cat >/etc/saltant/env <<CONF
PROJECT_NAME='saltant'
IM_A_CELERY_WORKER=False
DEBUG=False
SECRET_KEY='$(openssl rand -hex 40)'
ALLOWED_HOSTS='$name','127.0.0.1'
DATABASE_NAME='saltant'
DATABASE_USER='saltant'
DATABASE_USER_PASSWORD='$password'
DATABASE_HOST='127.0.0.1'
DATABASE_PORT='5432'
DJANGO_BASE_URL='https://$name'
TIME_ZONE='UTC'
CELERY_BROKER_POOL_LIMIT=10
CELERY_BROKER_URL='pyamqp://saltant:$password@127.0.0.1:5672/saltant'
RABBITMQ_USES_SSL=False
RABBITMQ_MANAGEMENT_URL='https://$name/rabbitmq/'
FLOWER_URL='https://$name/flower/'
API_AUTH_TOKEN=''
CONF
# The rest as upstream's example has it.
while IFS= read -r line; do grep -q "^${line%%=*}=" /etc/saltant/env || echo "$line" >>/etc/saltant/env
done < <(grep '^[A-Z_0-9]*=' /opt/saltant/src/.env.example)
chown root:saltant /etc/saltant/env
chmod 0640 /etc/saltant/env
ln -s /etc/saltant/env /opt/saltant/src/.env
cat >"$(echo /opt/saltant/venv/lib/python3*/site-packages)/saltant_production.py" <<'CONF'
from saltant.settings import *
SILENCED_SYSTEM_CHECKS = ["urls.E007", "fields.W904"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
CONF
manage() {
    (cd /opt/saltant/src && runuser -u saltant -- env DJANGO_SETTINGS_MODULE=saltant_production \
        PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore ADMIN="$password" /opt/saltant/venv/bin/python manage.py "$@")
}
manage migrate --noinput
install -d -o saltant /opt/saltant/src/static
manage collectstatic --noinput
manage shell -c 'import os
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("operator", "operator@example.test", os.environ["ADMIN"])'

mkdir -p /etc/saltant/tls
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout /etc/saltant/tls/key.pem -out /etc/saltant/tls/cert.pem
echo "127.0.0.1 $name" >>/etc/hosts
cat >/etc/saltant/uwsgi.ini <<CONF
[uwsgi]
plugin = python3
chdir = /opt/saltant/src
module = saltant.wsgi
home = /opt/saltant/venv
env = DJANGO_SETTINGS_MODULE=saltant_production
env = REQUESTS_CA_BUNDLE=/etc/saltant/tls/cert.pem
need-app = true
master = true
processes = 10
socket = /run/saltant/saltant.sock
chmod-socket = 660
CONF
unit() { # NAME LINES: a service of saltant
    printf '[Unit]\nAfter=network.target postgresql.service rabbitmq-server.service\n[Service]\nUser=saltant\nWorkingDirectory=/opt/saltant/src\nRestart=on-failure\nEnvironment=REQUESTS_CA_BUNDLE=/etc/saltant/tls/cert.pem\n%b\n[Install]\nWantedBy=multi-user.target\n' \
        "$2" >"/etc/systemd/system/$1.service"
}
unit saltant-web 'Type=notify\nNotifyAccess=all\nGroup=www-data\nSupplementaryGroups=saltant\nRuntimeDirectory=saltant\nKillSignal=SIGQUIT\nExecStart=/usr/bin/uwsgi-core --ini /etc/saltant/uwsgi.ini'
unit saltant-worker 'Environment=IM_A_CELERY_WORKER=True\nExecStart=/opt/saltant/venv/bin/celery -A saltant worker -Q default -c 2 -n saltant@%%%%h --loglevel=INFO'
unit saltant-flower "Environment=IM_A_CELERY_WORKER=True\nEnvironment=FLOWER_BASIC_AUTH=flower:$password FLOWER_ADDRESS=127.0.0.1 FLOWER_URL_PREFIX=flower FLOWER_DB=/var/lib/saltant/flower/flower.db\nExecStart=/opt/saltant/venv/bin/celery -A saltant flower"
systemctl daemon-reload
systemctl enable --now saltant-web saltant-worker saltant-flower

cat >/etc/nginx/sites-available/saltant <<CONF
server { listen 80; server_name $name; return 301 https://\$host\$request_uri; }
server {
    listen 443 ssl;
    server_name $name;
    ssl_certificate /etc/saltant/tls/cert.pem;
    ssl_certificate_key /etc/saltant/tls/key.pem;
    client_max_body_size 10M;
    location /static/ { alias /opt/saltant/src/static/; }
    location /rabbitmq/ { proxy_pass http://127.0.0.1:15672; proxy_set_header Host \$host; }
    location /flower/ { proxy_pass http://127.0.0.1:5555; proxy_set_header Host \$host; }
    location / { include uwsgi_params; uwsgi_pass unix:/run/saltant/saltant.sock; uwsgi_read_timeout 120s; }
}
CONF
ln -s ../sites-available/saltant /etc/nginx/sites-enabled/saltant
rm /etc/nginx/sites-enabled/default
nginx -t
systemctl reload nginx
