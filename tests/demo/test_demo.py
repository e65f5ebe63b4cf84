#!/usr/bin/env python3
"""The demonstration application end to end: web server, three workers, every answer.

Needs the standard library only and takes about a second with SQLite. DATABASE_URL and QUEUE_URL
choose other engines; SERVER=gunicorn another server; RESTART="command" restarts the engines in
the middle of the run.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "assets" / "webapp" / "demo"
TOKEN = "a token / with spaces"
WSGIREF = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
class Server(ThreadingMixIn, WSGIServer): daemon_threads, request_queue_size = True, 64
class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass
from app import application
make_server('127.0.0.1', int(sys.argv[1]), application, Server, Quiet).serve_forever()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(method, path, body=None, kind="application/json", token=TOKEN):
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data=body, method=method,
                                     headers={"Content-Type": kind})
    if token is not None:
        request.add_header("X-Proof-Token", token)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(what, function, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = function()
            if value:
                return value
        except OSError:
            pass
        time.sleep(0.03)
    raise AssertionError("not within %d s: %s" % (seconds, what))


def check(label, got, wanted):
    assert got == wanted, "%s: got %r, wanted %r" % (label, got, wanted)


def job_done(number):
    status, body = call("GET", "/jobs/%d" % number)
    check("job", status, 200)
    job = json.loads(body)
    return job if job["state"] == "done" else None


def answers():
    check("page", call("GET", "/", token=None)[0], 200)
    check("head", call("HEAD", "/", token=None), (200, ""))
    check("no token", call("POST", "/rows", {"text": "x"}, token=None)[0], 403)
    check("wrong token", call("POST", "/rows", {"text": "x"}, token="no")[0], 403)
    check("no token for a read", call("GET", "/rows/1", token=None)[0], 403)
    check("wrong method", call("POST", "/health", b"")[0], 405)
    check("wrong method", call("DELETE", "/rows/1")[0], 405)
    check("wrong method", call("GET", "/rows")[0], 405)
    for path in ("/nowhere", "/rows/", "/rows/x", "/rows/-1", "/rows/999999999", "/jobs/999999999",
                 "/rows/999999999999999999", "/rows/9999999999999999999999"):
        check(path, call("GET", path)[0], 404)
    for bad in (b"", b"{", b"[]", b"null", b'{"text": 5}', b'{"text": ""}', b'{"text": "\\ud800"}',
                b'{"text": "a\\u0000b"}', b'{"text": "' + b"x" * 4001 + b'"}', b"\xff", b"[" * 9000):
        check(bad[:20], call("POST", "/rows", bad)[0], 400)
    form = "application/x-www-form-urlencoded"
    check("bad form", call("POST", "/rows", b"txt=1", form)[0], 400)
    check("bad form", call("POST", "/rows", b"text=%ff", form)[0], 400)
    check("too large", call("POST", "/rows", b"x" * 61000)[0], 413)
    for text in ("plain", "h\u00e9llo \u4e16\u754c \U0001f680 %s ? ' \" ; -- \n", "x" * 4000):
        status, body = call("POST", "/rows", {"text": text})
        check("row", status, 200)
        number = json.loads(body)["id"]
        check("row", json.loads(call("GET", "/rows/%d" % number)[1]), {"id": number, "text": text})
    check("longest form", call("POST", "/rows", b"text=" + b"%F0%9F%9A%80" * 4000, form)[0], 200)
    check("form", call("POST", "/rows", b"text=a+b%26c", form)[0], 200)
    check("form", json.loads(call("GET", "/rows/%d" % (number + 2))[1])["text"], "a b&c")
    health = json.loads(call("GET", "/health", token=None)[1])
    assert health["rows"] >= 4, health
    return health


def many_jobs(count):
    texts = ["job %d \u00fc" % index for index in range(count)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda text: call("POST", "/jobs", {"text": text}), texts))
    for text, (status, body) in zip(texts, replies):
        check("job", status, 200)
        job = until("job done", lambda: job_done(json.loads(body)["id"]))
        check("result", job["result"], text[::-1])
        host, _, pid = job["worker"].rpartition(":")
        assert host and pid.isdigit(), job
    return [json.loads(body)["id"] for _, body in replies]


def main():
    global BASE
    port = free_port()
    BASE = "http://127.0.0.1:%d" % port
    with tempfile.TemporaryDirectory() as folder:
        environ = dict(os.environ, PROOF_TOKEN=TOKEN, PYTHONDONTWRITEBYTECODE="1")
        environ.setdefault("DATABASE_URL", "sqlite:///%s/demo.db" % folder)
        environ.setdefault("QUEUE_URL", "database:")
        if environ.get("SERVER") == "gunicorn":
            web = ["gunicorn", "--chdir", str(DEMO), "--bind", "127.0.0.1:%d" % port,
                   "--workers", "3", "--log-level", "warning", "app:application"]
        else:
            web = [sys.executable, "-c", WSGIREF, str(port)]
        log = open(folder + "/log", "w+")
        start = lambda command: subprocess.Popen(command, env=environ, cwd=DEMO,
                                                 stdin=subprocess.DEVNULL, stderr=log)
        children = [start([sys.executable, "worker.py"]) for _ in range(3)] + [start(web)]
        try:
            until("web server up", lambda: call("GET", "/health", token=None)[0] == 200)
            health = answers()
            numbers = many_jobs(40)
            if os.environ.get("RESTART"):
                subprocess.run(os.environ["RESTART"], shell=True, check=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                until("web server back",
                      lambda: call("POST", "/jobs", {"text": "again"})[0] == 200, 60)
                numbers += many_jobs(8)
            for child in children:
                child.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            for child in children[:3]:
                check("worker's exit", child.wait(5), 0)
            took = time.monotonic() - asked
            log.seek(0)
            said = log.read()
            for number in numbers:
                check("times that job %d was done" % number,
                      len([line for line in said.splitlines() if line == "job %d done" % number]), 1)
            print("ok  %(database)s + %(queue)s" % health, " workers stopped in %.2f s" % took,
                  end="", flush=True)
            noise = [line for line in said.splitlines()
                     if not line.startswith(("job ", "worker "))]
            if os.environ.get("SHOW_LOG"):
                print("\n" + "\n".join(noise), end="")
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                child.wait()
        print("  (%.1f s of CPU)" % sum(os.times()[2:4]))


if __name__ == "__main__":
    main()
