#!/usr/bin/env python3
"""How a web application signs its users in, in Python (3.11 or later) with the package cryptography: the authorization
code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core), from a click to the claims of a checked id token, and out
again.

    python3 examples/login.py http://127.0.0.1:8080 --client-id=first-web-client --client-secret=SECRET

as ./dev run prints it for login.mjs beside it, which does the same; then open what this prints. A public client has no
secret. --port=PORT (8765), --scope="SCOPE SCOPE". Its redirect URI is http://127.0.0.1:PORT/callback, and it comes back
from signing out at http://127.0.0.1:PORT/.
"""

import argparse
import base64
import hashlib
import html
import json
import re
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

SKEW_S = 30  # how far the clocks of the issuer and of this machine may differ
SESSIONS_MAX = 1000


class Wrong(Exception):
    """Why a login has failed: a sentence for its user."""


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def call(url, form=None, headers=None):
    request = Request(url, urlencode(form).encode() if form else None, headers or {})
    try:
        with build_opener(NoRedirects).open(request, timeout=10) as answer:
            return json.load(answer)
    except HTTPError as fault:
        said = json.load(fault)
        raise Wrong(f"{said['error']}: {said['error_description']}") from None


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- the id token (OpenID Connect Core section 3.1.3.7) ---------------------------------------------------------------

def number(text):
    return int.from_bytes(decode(text), "big")


def rsa_check(jwk, pad):
    key = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
    return lambda signature, data: key.verify(signature, data, pad, hashes.SHA256())


def ec_check(jwk):
    key = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), ec.SECP256R1()).public_key()

    def check(signature, data):
        if len(signature) != 64:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    return check


ALGORITHMS = {  # RFC 7518 section 3, RFC 8037
    "RS256": lambda jwk: rsa_check(jwk, padding.PKCS1v15()),
    "PS256": lambda jwk: rsa_check(jwk, padding.PSS(padding.MGF1(hashes.SHA256()), 32)),
    "ES256": ec_check,
    "EdDSA": lambda jwk: ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"])).verify,
}


class Provider:
    """All that is known of it comes from the issuer's URL (OpenID Connect Discovery 1.0)."""

    def __init__(self, options):
        self.issuer, self.client_id, self.client_secret = options.issuer, options.client_id, options.client_secret
        self.scope = options.scope
        self.metadata = call(f"{self.issuer}/.well-known/openid-configuration")
        if self.metadata["issuer"] != self.issuer:
            raise Wrong(f"it calls itself {self.metadata['issuer']}")

    def tokens(self, **form):
        headers = {}
        if self.client_secret:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self.client_id
        return call(self.metadata["token_endpoint"], form, headers)

    def check_signature(self, header, signed, signature):
        """A key is good for the algorithm that the issuer says it is for, and for no other."""
        keys = call(self.metadata["jwks_uri"])["keys"]
        jwk = next((jwk for jwk in keys if (jwk["kid"], jwk["alg"]) == (header.get("kid"), header.get("alg"))), None)
        if not jwk or jwk["alg"] not in ALGORITHMS:
            raise Wrong("the id token's key is none of the issuer's")
        try:
            ALGORITHMS[jwk["alg"]](jwk)(decode(signature), signed.encode())
        except InvalidSignature:
            raise Wrong("the id token's signature is wrong") from None

    def read_id_token(self, text, nonce):
        header, payload, signature = text.split(".")
        read = {"header": json.loads(decode(header)), "claims": json.loads(decode(payload)), "text": text}
        self.check_signature(read["header"], f"{header}.{payload}", signature)
        claims, now = read["claims"], time.time()
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims["iss"] != self.issuer or self.client_id not in audience or claims.get("nonce") != nonce:
            raise Wrong("the id token is for another login")
        if claims["exp"] <= now - SKEW_S or claims["iat"] >= now + SKEW_S:
            raise Wrong("the id token has expired, or its time has not come")
        return read


# --- the pages --------------------------------------------------------------------------------------------------------

def shown(value):
    return f"<pre>{html.escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


class Pages(BaseHTTPRequestHandler):
    provider = None
    sessions = {}  # what this side remembers of a browser, by the cookie that it was given

    @property
    def here(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, status, body="", **headers):
        data = f'<!doctype html><html lang="en"><title>Example</title><h1>Example</h1>{body}</html>'.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(data)),
                            "Cache-Control": "no-store", "Content-Security-Policy":
                            "default-src 'none'; frame-ancestors 'none'"}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def go(self, url, **headers):
        self.answer(303, Location=url, **headers)

    def session_id(self):
        found = re.search(r"(?:^|; )example_session=([\w-]{43})(?:;|$)", self.headers.get("Cookie", ""))
        return found[1] if found else None

    def do_GET(self):  # pylint: disable=invalid-name
        pages = {"/": self.home, "/login": self.login, "/callback": self.callback, "/logout": self.logout}
        parts = urlsplit(self.path)
        if parts.path not in pages:
            self.answer(404, "<p>There is nothing here.</p>")
            return
        try:
            pages[parts.path](self.sessions.get(self.session_id(), {}), dict(parse_qsl(parts.query)))
        except (Wrong, OSError, ValueError, LookupError) as fault:
            self.answer(400, f'<p>{html.escape(str(fault))}</p><p><a href="/">Back</a></p>')

    def home(self, session, _):
        user = session.get("user")
        if not user:
            self.answer(200, '<p><a href="/login">Sign in</a></p>')
            return
        self.answer(200, f'<p><a href="/logout">Sign out</a></p><h2>ID token</h2>{shown(user["header"])}'
                         f'{shown(user["claims"])}<h2>Userinfo</h2>{shown(user["userinfo"])}')

    def login(self, *_):
        """The click: the browser goes to the issuer, with a state, a nonce and a challenge of this login's own."""
        name = secrets.token_urlsafe(32)
        session = {key: secrets.token_urlsafe(32) for key in ("state", "nonce", "verifier")}
        while len(self.sessions) >= SESSIONS_MAX:
            self.sessions.pop(next(iter(self.sessions)), None)
        self.sessions[name] = session
        query = {"response_type": "code", "client_id": self.provider.client_id, "scope": self.provider.scope,
                 "redirect_uri": f"{self.here}/callback", "state": session["state"], "nonce": session["nonce"],
                 "code_challenge": encode(hashlib.sha256(session["verifier"].encode()).digest()),
                 "code_challenge_method": "S256"}
        self.go(f"{self.provider.metadata['authorization_endpoint']}?{urlencode(query)}",
                Set_Cookie=f"example_session={name}; HttpOnly; SameSite=Lax; Path=/")

    def callback(self, session, query):
        """And comes back with a code, which is good for this login only."""
        state = session.pop("state", None)
        if not state or query.get("state") != state or query.get("iss") != self.provider.issuer:  # RFC 9207
            raise Wrong("this answer belongs to no login that was begun here")
        if "error" in query:
            raise Wrong(f"{query['error']}: {query.get('error_description')}")
        tokens = self.provider.tokens(grant_type="authorization_code", code=query["code"],
                                      redirect_uri=f"{self.here}/callback", code_verifier=session["verifier"])
        user = self.provider.read_id_token(tokens["id_token"], session["nonce"])
        user["userinfo"] = call(self.provider.metadata["userinfo_endpoint"],
                                headers={"Authorization": f"Bearer {tokens['access_token']}"})
        if user["userinfo"]["sub"] != user["claims"]["sub"]:
            raise Wrong("the userinfo is somebody else's")
        session["user"] = user
        self.go("/")

    def logout(self, session, _):
        self.sessions.pop(self.session_id(), None)
        if "user" not in session:
            self.go("/")
            return
        query = {"id_token_hint": session["user"]["text"], "post_logout_redirect_uri": f"{self.here}/"}
        self.go(f"{self.provider.metadata['end_session_endpoint']}?{urlencode(query)}")

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("issuer", nargs="?", default="http://127.0.0.1:8080")
    parser.add_argument("--client-id", default="first-web-client")
    parser.add_argument("--client-secret")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--scope", default="openid profile email")
    options = parser.parse_args()
    Pages.provider = Provider(options)
    with ThreadingHTTPServer(("127.0.0.1", options.port), Pages) as server:
        print(f"open http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
