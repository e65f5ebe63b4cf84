set -eu
set -a
. /etc/{{ application.name }}/env
set +a
{% if locals.venv %}
{# What starts later, such as a new worker of gunicorn, is of the release that it started with. #}
venv=$(readlink -f /opt/{{ application.name }}/venv)
PATH=$venv/bin:$PATH
export PATH
{% endif %}
cd -P /opt/{{ application.name }}/app
{% if locals.node %}
{% include "bin/node.sh" %}
{% endif %}
{% if locals.python %}
{% include "bin/source_layout.sh" %}
{% endif %}
