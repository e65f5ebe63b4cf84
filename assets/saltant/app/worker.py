"""Celery's application for saltant's workers and Flower, written by bringup; saltant's source is not changed."""
{% if not locals.broker_plain %}
import os
import ssl

{% endif %}
from saltant.celery import app
{% if not locals.broker_plain %}

# saltant's own setting encrypts and verifies nothing.
app.conf.broker_use_ssl = {
    "cert_reqs": ssl.CERT_REQUIRED,
    "ca_certs": os.environ["REQUESTS_CA_BUNDLE"],
    "server_hostname": {{ web.host | json }},
}
{% endif %}
{# Where nothing is changed, the import is all. #}
__all__ = ["app"]
