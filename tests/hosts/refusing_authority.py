#!/usr/bin/env python3
"""An ACME server (RFC 8555) that lets everybody have an account and nobody a certificate.

It answers orders as Let's Encrypt answers who has had too many. Its certificate and key lie in the working directory.
"""

import http.server
import json
import ssl

PORT = 14001
REFUSAL = {
    "type": "urn:ietf:params:acme:error:rateLimited",
    "status": 429,
    "detail": "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, "
    "retry after 2030-01-02 03:04:05 UTC",
}
RESOURCES = ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"]


class Handler(http.server.BaseHTTPRequestHandler):
    def here(self):
        return "https://" + self.headers["Host"]

    def answer(self, status, body, kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Replay-Nonce", "bm9uY2U")
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        self.answer(200, {name: self.here() + "/" + name for name in RESOURCES})

    do_HEAD = do_GET

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/newAccount":
            self.answer(201, {"status": "valid"}, Location=self.here() + "/account/1")
        else:
            self.answer(429, REFUSAL, "application/problem+json", Retry_After="3600")


server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
