#!/usr/bin/env python3
"""A stand-in for OpenStack's APIs: Keystone's list of versions, and an echo of every other request.

Over TLS on port 5000 with cert.pem and key.pem of the working directory, and on 5001 with wrong.pem, of an authority
that nobody trusts.
"""

import hashlib
import http.server
import json
import ssl
import threading

VERSION = {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "https://keystone/v3/"}]}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Subject-Token", "a-token")
        self.send_header("Set-Cookie", "cloud=1")
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path in ("/v3", "/v3/"):
            self.answer(VERSION)
        else:
            self.answer({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}})

    def chunks(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            left = int(self.headers.get("Content-Length", 0))
            while left:
                data = self.rfile.read(min(left, 1 << 20))
                left -= len(data)
                yield data
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_POST(self):
        digest, length = hashlib.sha256(), 0
        for data in self.chunks():
            digest.update(data)
            length += len(data)
        self.answer({"path": self.path, "length": length, "sha256": digest.hexdigest()})

    do_PUT = do_POST

    def log_message(self, *_):
        pass


def serve(port, certificate):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


threading.Thread(target=serve, args=(5001, "wrong.pem"), daemon=True).start()
serve(5000, "cert.pem")
