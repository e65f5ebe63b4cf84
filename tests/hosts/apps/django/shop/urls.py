from django.urls import path

from notes.views import index, settings_seen, write

urlpatterns = [path("", index), path("settings", settings_seen), path("health/write", write)]
