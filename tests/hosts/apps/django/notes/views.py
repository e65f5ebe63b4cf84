import hashlib
import os

from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from notes.models import Note

RELEASE = "one"


@csrf_exempt
def index(request):
    """Reads all notes; a POST writes one."""
    if request.method == "POST":
        Note.objects.create(text=request.POST["text"])
    notes = " ".join(note.text for note in Note.objects.order_by("id"))
    return HttpResponse("release %s: %s\n" % (RELEASE, notes), content_type="text/plain")


def settings_seen(request):
    """What came from the environment; of secrets only a hash."""
    names = ("GREETING", "SMTP_PASSWORD", "SECRET_KEY")
    seen = {name: hashlib.sha256(os.environ.get(name, "").encode()).hexdigest() for name in names}
    return JsonResponse(seen)
