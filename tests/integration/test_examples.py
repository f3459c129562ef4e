"""The logins in examples/, in Node and Python, over the same cases: with the service, from the click to the id token
and out again; and with an issuer that lies."""

import json
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests

from node import NODE
from other_clients import CLAIMS
from ports import free_port
from service import ROOT
from tokens import new_key
from wire import PATIENCE_S

PUBLIC = "--client-id=example"
COMMANDS = {"node": [NODE, ROOT / "examples/login.mjs"], "python": [sys.executable, ROOT / "examples/login.py"]}


class Example:
    """Running, for one issuer; `browser` is somebody's, a session of requests."""

    def __init__(self, command, issuer, home, *options, **environment):
        self.said = home / "stderr"
        with self.said.open("wb") as log:
            self.process = subprocess.Popen([*command, issuer, "--port", "0", *options], stdout=subprocess.PIPE,
                                            stderr=log, text=True, env=environment)
        words = self.process.stdout.readline().split()
        if words[:1] != ["open"]:
            self.process.communicate()
            raise AssertionError(self.said.read_text())
        self.url = words[1].rstrip("/")

    def get(self, browser, path, status):
        url = self.url + path if path.startswith("/") else path
        answer = browser.get(url, allow_redirects=False, timeout=PATIENCE_S)
        assert answer.status_code == status, answer.text
        return answer

    def click(self, browser):
        """Where the browser is sent."""
        page = self.get(browser, "/", 200)
        assert 'href="/login"' in page.text
        return self.get(browser, "/login", 303).headers["Location"]

    def close(self):
        with self.process:
            self.process.terminate()
            self.process.wait(PATIENCE_S)


@pytest.fixture(params=COMMANDS)
def start(request, tmp_path):
    made = []

    def begin(issuer, *options, **environment):
        made.append(Example(COMMANDS[request.param], issuer, tmp_path, *options, **environment))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def client(provider):
    """It has no secret, and any port on the loopback is good (RFC 8252 section 7.3)."""
    return provider.register(
        "example", "openid profile email", application_type="native", token_endpoint_auth_method="none",
        redirect_uris=["http://127.0.0.1/callback"], post_logout_redirect_uris=["http://127.0.0.1/"])


# --- with the service ------------------------------------------------------------------------------------------------

@pytest.mark.usefixtures("client")
def test_from_the_click_to_the_id_token_and_out_again(provider, start, person):
    example = start(provider.issuer, PUBLIC, **provider.environment)
    back = person.go(example.click(person.session))
    assert example.get(person.session, back, 303).headers["Location"] == "/"
    page = example.get(person.session, "/", 200).text
    for text in ("user-1", CLAIMS["email"], "at_hash", "auth_time"):
        assert text in page
    example.get(person.session, back, 400)  # not twice
    away = example.get(person.session, "/logout", 303).headers["Location"]
    assert person.go(away) == example.url + "/"
    person.go(example.click(person.session))
    assert person.pages[0] == "Sign in"


def test_a_client_with_a_secret_does_too(provider, start, person):
    port = free_port()
    client = provider.register_web(f"web-{port}", redirect_uris=[f"http://127.0.0.1:{port}/callback"])
    example = start(provider.issuer, f"--client-id={client.id}", f"--client-secret={client.secret}", f"--port={port}",
                    **provider.environment)
    example.get(person.session, person.go(example.click(person.session)), 303)
    assert "user-1" in example.get(person.session, "/", 200).text


@pytest.mark.usefixtures("client")
def test_an_answer_that_was_not_asked_for_is_refused(provider, start, person):
    example = start(provider.issuer, PUBLIC, **provider.environment)
    back = person.go(example.click(person.session))
    with closing(requests.Session()) as victim:
        victim.trust_env = False
        example.get(victim, back, 400)  # who has not clicked
        example.click(victim)
        example.get(victim, back, 400)  # or has, and is given another's answer
    assert "user-1" not in example.get(person.session, back.replace("localhost", "other.example"), 400).text
    person.agrees = False
    assert "access_denied" in example.get(person.session, person.go(example.click(person.session)), 400).text
    assert 'href="/login"' in example.get(person.session, "/", 200).text


# --- with an issuer that lies ----------------------------------------------------------------------------------------

class Liar:
    """An issuer whose id token is what a test makes of a good one. `sub` is that of its userinfo."""

    def __init__(self):
        liar = self
        self.key, self.other = new_key("ES256"), new_key("ES256")
        self.id_token, self.sub = None, "user-1"

        class Handler(BaseHTTPRequestHandler):
            def answer(self, members):
                body = json.dumps(members).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):  # pylint: disable=invalid-name
                self.answer({"/.well-known/openid-configuration": liar.metadata(), "/jwks": liar.jwks(),
                             "/userinfo": {"sub": liar.sub}}[self.path])

            def do_POST(self):  # pylint: disable=invalid-name
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer({"access_token": "x", "token_type": "Bearer", "id_token": liar.id_token})

            def log_message(self, format, *args):  # pylint: disable=redefined-builtin
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def metadata(self):
        names = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks",
                 "userinfo_endpoint": "/userinfo", "end_session_endpoint": "/logout"}
        return {"issuer": self.url} | {name: self.url + path for name, path in names.items()}

    def jwks(self):
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": "1", "alg": "ES256", "use": "sig"}]}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def liar():
    made = Liar()
    yield made
    made.close()


LIES = {  # a change of the claims, of the header, or of the key
    "another issuer": {"iss": "https://other.example"}, "another client": {"aud": "other"},
    "another nonce": {"nonce": "n"}, "no nonce": {"nonce": None}, "expired": {"exp": 1},
    "issued tomorrow": {"iat": 4000000000}, "unsigned": {}, "another key": {}, "an unknown key": {},
    "another kind of key": {}, "somebody else's userinfo": {}}


def test_a_liars_id_token_is_refused(liar, start):
    example = start(liar.url, PUBLIC, PATH="/usr/bin:/bin")
    refused = {}
    for lie in (None, *LIES):
        with closing(requests.Session()) as browser:
            browser.trust_env = False
            asked = {name: values[0] for name, values in parse_qs(urlsplit(example.click(browser)).query).items()}
            claims = {"iss": liar.url, "aud": "example", "sub": "user-1", "nonce": asked["nonce"],
                      "iat": int(time.time()), "exp": int(time.time()) + 60} | LIES.get(lie, {})
            key, alg = {"unsigned": (None, "none"), "another key": (liar.other, "ES256"),
                        "another kind of key": ("secret" * 6, "HS256")}.get(lie, (liar.key, "ES256"))
            liar.id_token = jwt.encode({name: value for name, value in claims.items() if value is not None}, key, alg,
                                       {"kid": "2" if lie == "an unknown key" else "1"})
            liar.sub = "user-2" if lie == "somebody else's userinfo" else "user-1"
            answer = browser.get(f"{example.url}/callback?code=c&state={asked['state']}&iss={liar.url}",
                                 allow_redirects=False, timeout=PATIENCE_S)
            refused[lie] = answer.status_code
    assert refused.pop(None) == 303
    assert set(refused.values()) == {400}, refused
