"""A small web application with a database and a job queue, to prove that a server works.

WSGI: gunicorn --chdir <this directory> app:application. Settings are in README.md.
"""
import hmac
import json
import os
import re
import sys
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from jobqueue import open_queue
from store import Database

# A form of TEXT_LIMIT characters: of four bytes, each as %XX, at most.
TEXT_LIMIT = 4000
BODY_LIMIT = TEXT_LIMIT * 4 * 3 + 12 * 1024

database = Database(os.environ["DATABASE_URL"])
queue = open_queue(os.environ.get("QUEUE_URL") or "database:", database)
token = os.environ.get("PROOF_TOKEN", "").encode("utf-8", "surrogateescape")
page = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))


class Refused(Exception):
    """An answer other than 200: status line and message."""


def text_of(environ):
    """The field `text` of a form or a JSON object in the request's body."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or "")
    except ValueError:
        raise Refused("411 Length Required", "send a Content-Length")
    if length > BODY_LIMIT:
        raise Refused("413 Payload Too Large", "at most %d bytes" % BODY_LIMIT)
    try:
        body = environ["wsgi.input"].read(max(length, 0)).decode("utf-8")
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() == "application/json":
            text = json.loads(body)["text"]
        else:
            text = parse_qs(body, errors="strict", keep_blank_values=True)["text"][0]
        text.encode("utf-8")
        if not 0 < len(text) <= TEXT_LIMIT or "\0" in text:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("400 Bad Request", "`text` must be 1 to %d characters" % TEXT_LIMIT)
    return text


def may(environ):
    sent = environ.get("HTTP_X_PROOF_TOKEN", "").encode("latin-1", "replace")
    if not (token and hmac.compare_digest(sent, token)):
        raise Refused("403 Forbidden", "X-Proof-Token is missing or wrong")


def index(environ):
    status, state, numbers = "200 OK", "working", ("?", "?", "?")
    try:
        numbers = database.counts()
    except database.errors as error:
        log(error)
        status, state = "503 Service Unavailable", "the database is away"
    return status, page.substitute(
        state=state, mood="good" if status.startswith("200") else "bad",
        database=database.engine, queue=queue.name,
        rows=numbers[0], jobs=numbers[1], done=numbers[2])


def health(environ):
    try:
        return "200 OK", {"database": database.engine, "queue": queue.name,
                          "rows": database.counts()[0]}
    except database.errors as error:
        log(error)
        return "503 Service Unavailable", {"database": database.engine, "queue": queue.name,
                                           "error": "the database is away"}


def add_row(environ):
    may(environ)
    return "200 OK", {"id": database.add_row(text_of(environ))}


def row(environ, number):
    may(environ)
    return found(database.row(int(number)))


def add_job(environ):
    may(environ)
    number = database.add_job(text_of(environ))
    try:
        queue.push(number)
    except queue.errors as error:
        log(error)
        database.drop_job(number)  # 503 means that nothing was accepted
        raise Refused("503 Service Unavailable", "the queue is away")
    return "200 OK", {"id": number}


def job(environ, number):
    may(environ)
    return found(database.job(int(number)))


def found(thing):
    if not thing:
        raise Refused("404 Not Found", "no such id")
    return "200 OK", thing


ROUTES = (
    ("GET", r"/", index),
    ("GET", r"/health", health),
    ("POST", r"/rows", add_row),
    ("GET", r"/rows/([0-9]{1,18})", row),
    ("POST", r"/jobs", add_job),
    ("GET", r"/jobs/([0-9]{1,18})", job),
)


def answer(environ):
    method = environ["REQUEST_METHOD"]
    for wanted, pattern, function in ROUTES:
        match = re.fullmatch(pattern, environ.get("PATH_INFO") or "/")
        if match and (method == wanted or (method, wanted) == ("HEAD", "GET")):
            return function(environ, *match.groups())
        if match:
            raise Refused("405 Method Not Allowed", "use " + wanted, ("Allow", wanted))
    raise Refused("404 Not Found", "nothing here")


def log(error):
    print("%s: %s" % (type(error).__name__, " ".join((str(error) or repr(error)).split())),
          file=sys.stderr, flush=True)


def application(environ, start_response):
    extra = []
    try:
        status, content = answer(environ)
    except Refused as refused:
        status, content = refused.args[0], {"error": refused.args[1]}
        extra = list(refused.args[2:])
    except database.errors as error:
        log(error)
        database.close()
        status, content = "503 Service Unavailable", {"error": "the database is away"}
    if isinstance(content, str):
        kind, body = "text/html; charset=utf-8", content.encode("utf-8")
    else:
        kind, body = "application/json", (json.dumps(content) + "\n").encode("ascii")
    start_response(status, [
        ("Content-Type", kind), ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ] + extra)
    return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [body]
