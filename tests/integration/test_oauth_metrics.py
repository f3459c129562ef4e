"""What is counted of log-ins, of calls to URLs that clients name, and of logouts that clients are told of."""

import json
import sqlite3
import time
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from https_server import https_server
from provider import PASSWORD

KEY = ec.generate_private_key(ec.SECP256R1())
KEYS = json.dumps({"keys": [json.loads(ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "1", "alg": "ES256"}]}).encode()
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Answers(BaseHTTPRequestHandler):
    """A client's own server: its keys at /keys, and logouts, which it takes when `takes` is set."""

    def do_GET(self):  # pylint: disable=invalid-name
        body = KEYS if self.path == "/keys" else b"no keys"
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if self.path == "/keys" else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):  # pylint: disable=invalid-name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204 if self.server.takes else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


@pytest.fixture(scope="module")
def provider(make_provider):
    provider = make_provider(TOKEN_FAILURE_LIMIT="3")
    provider.add_user("ada")
    return provider.start().settled()


@pytest.fixture(scope="module")
def own(provider):
    """The client's server."""
    with https_server(Answers, provider.home / "server.pem", takes=True) as server:
        yield server


def counted(provider, name, *results, **labels):
    return tuple(provider.metric(name, result=result, **labels) for result in results)


def test_log_ins_are_counted_by_what_became_of_them(provider):
    """First of all, since the failures here are for a minute."""
    def log_ins():
        return counted(provider, "logins_total", "succeeded", "failed", "slowed", by="builtin")

    party, browser = provider.add_party("web"), provider.browser()
    assert log_ins() == (0, 0, 0)
    party.log_in(browser)
    assert log_ins() == (1, 0, 0)
    page = party.ask(browser, prompt="login")
    for _ in range(5):
        page = browser.press(page, username="ada", password="wrong")
    assert log_ins() == (1, 3, 2) and page.status == 429
    page = browser.press(page, username="ada", password=PASSWORD)
    assert log_ins() == (1, 3, 3)
    assert counted(provider, "logins_total", "accepted", "rejected", by="login_url") == (0, 0)


@pytest.mark.parametrize("uri, result", [("/keys", "ok"), ("/none", "unfit"), ("https://localhost:9/", "failed"),
                                         ("https://10.0.0.1/keys", "refused")])
def test_fetches_are_counted_by_what_came_of_them_and_name_no_url(provider, own, uri, result):
    before = counted(provider, "client_fetches_total", "ok", "refused", "failed", "unfit")
    name, now = f"signer-{uuid.uuid4().hex}", int(time.time())
    provider.add_party(name, token_endpoint_auth_method="private_key_jwt", grant_types=["client_credentials"],
                       redirect_uris=[], jwks_uri=uri if uri.startswith("https:") else own.url + uri)
    claims = {"iss": name, "sub": name, "aud": provider.issuer, "exp": now + 60, "jti": name}
    assertion = jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": "1"})
    provider.tokens.add(assertion)
    answer = provider.post("/token", form={"grant_type": "client_credentials", "client_assertion": assertion,
                                           "client_assertion_type": ASSERTION_TYPE})
    assert answer.status_code == (200 if result == "ok" else 401), answer.text
    after = counted(provider, "client_fetches_total", "ok", "refused", "failed", "unfit")
    expected = tuple(was + (kind == result) for was, kind in zip(before, ("ok", "refused", "failed", "unfit")))
    assert after == expected
    assert "localhost" not in provider.get("/metrics").text


def test_logouts_are_counted_until_they_are_delivered_or_given_up(provider, own):
    def logouts():
        return counted(provider, "backchannel_logouts_total", "delivered", "retried", "given_up")

    provider.add_user("eve")
    party = provider.add_party("told", backchannel_logout_uri=own.url + "/logout")

    def sign_out():
        browser = provider.browser()
        hint = party.tokens(party.log_in(browser, "eve"))["id_token"]
        assert browser.open(f"/logout?{urlencode({'id_token_hint': hint})}").is_signed_out

    assert logouts() == (0, 0, 0) and provider.metric("backchannel_logouts_waiting") == 0
    def is_given_up():
        with closing(sqlite3.connect(provider.database_path, timeout=30)) as database, database:
            database.execute("UPDATE items SET expires_at = ? WHERE kind = 7", (int(time.time()) - 1,))
        return logouts()[2] > 0

    sign_out()
    provider.until(lambda: logouts()[0] > 0, "it was not delivered")
    own.takes, (_, tried, _) = False, logouts()  # whose answer is late is told again
    sign_out()
    provider.until(lambda: logouts()[1] > tried, "it was not tried")
    provider.until(lambda: provider.metric("backchannel_logouts_waiting") == 1, "it does not wait")
    provider.until(is_given_up, "it was not given up")
    provider.until(lambda: provider.metric("backchannel_logouts_waiting") == 0, "it still waits")
    (event,) = provider.told("backchannel_logout_given_up")
    assert event["client_id"] == "told"
    assert logouts()[::2] == (1, 1), "and once"
