"""An issuer that does what a test says: keys, pages of a feed, and what the service would never sign."""

import http.server
import json
import threading
import time
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization

import tokens

ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"


def jwk_of(key, kid):
    """Of a key of P-256."""
    point = key.public_key().public_bytes(serialization.Encoding.X962,
                                          serialization.PublicFormat.UncompressedPoint)[1:]
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
            "x": tokens.encode(point[:32]), "y": tokens.encode(point[32:])}


class Issuer:
    """As a context. `pages`: since -> the JWS that answers, or a number, the status."""

    def __init__(self):
        self.key, self.kid = tokens.new_key("ES256"), "key-1"
        self.jwks = {"keys": [jwk_of(self.key, self.kid)]}
        self.pages = {}
        self.epoch = "0" * 15 + "1"
        self.asked = []         # (path, If-None-Match)
        self.directives = []    # their Cache-Control
        self.show()

    def sign(self, payload, typ="at+jwt", key=None, **header):
        return tokens.sign(key or self.key, "ES256", {"alg": "ES256", "typ": typ, "kid": self.kid} | header, payload)

    def token(self, typ="at+jwt", **claims):
        now = int(time.time())
        return self.sign({"iss": ISSUER, "aud": [AUDIENCE], "sub": "user-1", "client_id": "client-1", "iat": now,
                          "nbf": now, "exp": now + 600, "jti": "x"} | claims, typ)

    def page(self, tokens_=b"", rules=(), since=0, following=None, life_s=60, **claims):
        now = int(time.time())
        following = since if following is None else following
        return {"iss": ISSUER, "iat": now, "exp": now + life_s, "epoch": self.epoch, "since": since, "next": following,
                "position": following, "more": following != since, "tokens": tokens.encode(tokens_),
                "rules": list(rules)} | claims

    def show(self, *arguments, **options):
        """Signs a page, and answers with it from now on."""
        page = self.page(*arguments, **options)
        self.pages[page["since"]] = self.sign(page, "revocation-feed+jwt")

    def answer(self, path, tag):
        """(status, body, its headers)"""
        self.asked.append((path, tag))
        if urlsplit(path).path == "/.well-known/jwks.json":
            return 200, json.dumps(self.jwks), {"Cache-Control": "public, max-age=300"}
        since = int(parse_qs(urlsplit(path).query)["since"][0])
        page = self.pages.get(since, 404)
        if isinstance(page, int):
            return page, "", {}
        etag = f'"{hash(page)}"'
        return (304, "", {"ETag": etag}) if tag == etag else (200, page, {"ETag": etag})

    def __enter__(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                issuer.directives.append(self.headers["Cache-Control"])
                status, body, headers = issuer.answer(self.path, self.headers["If-None-Match"])
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
