"""Celery's application for saltant's worker, written by bringup; saltant's source is not changed."""
import os
import ssl

from saltant.celery import app

# saltant's own setting encrypts and verifies nothing.
app.conf.broker_use_ssl = {
    "cert_reqs": ssl.CERT_REQUIRED,
    "ca_certs": os.environ["REQUESTS_CA_BUNDLE"],
    "server_hostname": {{ server.host | json }},
}
__all__ = ["app"]
