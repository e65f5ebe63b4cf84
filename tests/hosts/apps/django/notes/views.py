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


@csrf_exempt
def write(request):
    """Writes a note and takes it back, for who has the token."""
    if request.method != "POST" or request.headers.get("X-Proof-Token") != os.environ["PROOF_TOKEN"]:
        return HttpResponse(status=403)
    Note.objects.create(text="a proof").delete()
    return HttpResponse(status=204)
