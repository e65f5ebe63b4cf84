"""What uWSGI loads, written by bringup: saltant with its settings for production."""
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "saltant_production"

from saltant.wsgi import application  # noqa: E402,F401
