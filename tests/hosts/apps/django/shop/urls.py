from django.urls import path

from notes.views import index, settings_seen

urlpatterns = [path("", index), path("settings", settings_seen)]
