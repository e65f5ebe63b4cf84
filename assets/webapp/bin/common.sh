set -eu
set -a
. /etc/{{ application.name }}/env
set +a
{% if locals.venv %}
PATH=/opt/{{ application.name }}/venv/bin:$PATH
export PATH
{% endif %}
cd /opt/{{ application.name }}/app
