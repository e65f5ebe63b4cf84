"""saltant's settings for production, written by bringup. saltant's own come first; its source is not changed."""
import os
import ssl

from saltant.settings import *  # noqa: F401,F403
from saltant.celery import app

# Django 3.1 refuses saltant's error pages, which are classes, though they work, and warns about its JSON fields.
SILENCED_SYSTEM_CHECKS = ["urls.E007", "fields.W904"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
STATIC_ROOT = "/opt/saltant/static"
# Cookies travel over https only.
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_CONTENT_TYPE_NOSNIFF = True
{% if database.ca %}
# The database's certificate is verified.
DATABASES["default"]["OPTIONS"] = {"sslmode": "verify-full", "sslrootcert": {{ database.ca | json }}}
{% endif %}
# Errors go to the journal; by default nobody sees them.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "INFO"}},
}
{% if not locals.broker_plain %}
# saltant's own setting encrypts and verifies nothing.
app.conf.broker_use_ssl = {
    "cert_reqs": ssl.CERT_REQUIRED,
    "ca_certs": os.environ.get("REQUESTS_CA_BUNDLE"),
    "server_hostname": {{ web.host | json }},
}
{% endif %}
