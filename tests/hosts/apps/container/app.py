"""An application in a container: what it sees of its settings, its data, its database and its server."""
import hashlib
import json
import os
import signal
import socket
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def database():
    import psycopg2

    url = os.environ["DATABASE_URL"]
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create table if not exists seen (what text)")
        if os.environ.get("ROLE") != "reader":
            cursor.execute("insert into seen values ('a page')")
        cursor.execute("select count(*) from seen")
        return cursor.fetchone()[0]


def queue():
    url = urllib.parse.urlsplit(os.environ["REDIS_URL"])
    with socket.create_connection((url.hostname, url.port), 5) as connection:
        connection.sendall(b"AUTH %s\r\nPING\r\n" % url.password.encode())
        time.sleep(0.2)
        return connection.recv(100).decode().split()


def fails(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return "it works"


def world():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    open("/data/kept", "a").write("x")
    return {
        "uid": os.getuid(),
        "capabilities": status["CapBnd"],
        "no_new_privileges": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "write": fails(lambda: open("/app/x", "w")),
        "scratch": fails(lambda: open("/scratch/x", "w")),
        "kept": len(open("/data/kept").read()),
        "server": fails(lambda: socket.create_connection(("10.0.2.2", 22), 5)),
    }


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200
        if self.path == "/settings":
            body = json.dumps({name: hashlib.sha256(text.encode()).hexdigest() for name, text in os.environ.items()})
        elif self.path == "/world":
            body = json.dumps(world())
        elif self.path == "/database":
            body = str(database())
        elif self.path == "/queue":
            body = str(queue())
        elif os.environ["VERSION"] == "broken":
            status, body = 500, "broken"
        else:
            body = "version " + os.environ["VERSION"]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode() + b"\n")


def end(*_):
    print("ended as asked", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
if sys.argv[1:] == ["worker"]:
    print("a worker of version", os.environ["VERSION"], flush=True)
    while True:
        time.sleep(1)
if sys.argv[1:2] == ["release"]:
    database()
    print("released", os.environ["VERSION"], flush=True)
    sys.exit(0)
ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
