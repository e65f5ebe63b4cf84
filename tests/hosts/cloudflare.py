"""Stands in for Cloudflare's API where certbot's plugin uses it: one zone, one token, TXT records.

The records go to the DNS that the authority asks (pebble-challtestsrv, port 8055).
"""

import json
import re
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ZONE, TOKEN = sys.argv[1], sys.argv[2]
records = {}


def dns(what, **body):
    request = urllib.request.Request(f"http://127.0.0.1:8055/{what}", json.dumps(body).encode())
    urllib.request.urlopen(request, timeout=5).read()


class Api(BaseHTTPRequestHandler):
    def reply(self, result, status=200, code=None, message=None):
        errors = [{"code": code, "message": message}] if code else []
        body = json.dumps({"success": not code, "errors": errors, "messages": [], "result": result}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def is_known(self):
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not known:
            self.reply(None, 403, 9109, "Invalid access token")
        return known

    def do_GET(self):
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if not self.is_known():
            return
        if url.path == "/client/v4/zones":
            self.reply([{"id": "z1", "name": ZONE}] if asked.get("name") == ZONE else [])
        else:
            found = [record for record in records.values() if record["name"] == asked.get("name", record["name"])]
            content = asked.get("content")
            self.reply([record for record in found if content in (None, record["content"])])

    def do_POST(self):
        if not self.is_known():
            return
        record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record["id"] = f"r{len(records) + 1}"
        records[record["id"]] = record
        dns("set-txt", host=record["name"] + ".", value=record["content"].strip('"'))
        self.reply(record)

    def do_DELETE(self):
        if not self.is_known():
            return
        gone = records.pop(re.sub(".*/", "", self.path), None)
        if gone:
            dns("clear-txt", host=gone["name"] + ".")
            for left in records.values():
                dns("set-txt", host=left["name"] + ".", value=left["content"].strip('"'))
        self.reply({"id": gone and gone["id"]})

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", 8080), Api).serve_forever()
