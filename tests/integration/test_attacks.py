"""Attacks that once worked on others, made on the running server: those in SECURITY.md that no other test shows."""

import base64
import json
import random
import re
import socket
import sqlite3
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from jwcrypto import jwe, jwk

import tokens
from service import ROOT, SCOPES
from wire import post

NAMED = re.compile(r"`(test_\w+\.(?:c|py)):(\w+)`|`fuzz/(\w+\.c)`")
UNSIGNED = tokens.encode('{"alg":"none","typ":"at+jwt"}')


@pytest.fixture(scope="module")
def admin_claims(server, agent):
    """What an attacker would like to be believed."""
    return server.issue(agent, scope=SCOPES, claims={"role": "admin"})["claims"]


def is_refused(server, agent, token):
    """By every way that takes a token: in a body, as a form, and as a caller's own."""
    server.tokens.add(token)
    answer = server.verify(agent, token)
    assert (answer.status_code, answer.json().get("valid"), answer.json()["error"]) == (401, False, "invalid_token"), (
        token[:100])
    assert server.introspect(agent, token) == {"active": False}
    assert server.post("/token/introspect", auth=agent, json={"token": token}).content == b'{"active":false}'
    bearer = server.post("/token/introspect", json={"token": "x"}, auth=token)
    assert (bearer.status_code, bearer.json()["error"]) == (401, "invalid_token")
    return True


# --- tokens in other clothes ----------------------------------------------------------------------------------------

def encrypted(plaintext, key, header):
    made = jwe.JWE(plaintext.encode(), json.dumps(header))
    made.add_recipient(key)
    return made.serialize(compact=True)


def test_an_encrypted_token_is_no_token(server, agent, admin_claims):
    """pac4j CVE-2026-29000: a JWE, as anyone can make with the published key, and in it a token without signature."""
    public = jwk.JWK(**{name: value for name, value in server.active_jwk().items() if name not in ("alg", "use")})
    secret = jwk.JWK(kty="oct", k=tokens.encode(b"k" * 32))
    inner = {"unsigned": f"{UNSIGNED}.{tokens.encode(json.dumps(admin_claims))}.", "claims": json.dumps(admin_claims),
             "good": server.token(agent), "text": "admin"}
    kid = tokens.header_of(inner["good"])["kid"]
    for what in inner.values():
        for alg in ("RSA-OAEP", "RSA-OAEP-256"):
            for more in ({}, {"typ": "at+jwt", "kid": kid}, {"cty": "JWT", "kid": kid}):
                assert is_refused(server, agent, encrypted(what, public, {"alg": alg, "enc": "A128GCM"} | more))
        assert is_refused(server, agent, encrypted(what, secret, {"alg": "dir", "enc": "A256GCM", "typ": "at+jwt"}))


def test_no_key_is_derived_because_a_token_says_so(server, agent):
    """jose CVE-2022-36083: p2c in the header makes a verifier hash for hours. If it were heeded, this would not end."""
    costly = {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2s": "AAAA", "p2c": 2**31 - 1}
    for rest in (".QUFB.QUFB.QUFB.QUFB", ".QUFB.QUFB"):
        for _ in range(20):
            assert is_refused(server, agent, tokens.encode(json.dumps(costly)) + rest)


def test_a_token_inside_a_token_is_not_unpacked(server, agent, admin_claims):
    """RFC 8725 section 3.3: signed by the service's own key, but what it holds is another token."""
    kid, key = server.signing_key()
    for inner in (server.token(agent), f"{UNSIGNED}.{tokens.encode(json.dumps(admin_claims))}."):
        for payload in (inner, json.dumps(inner), json.dumps({"token": inner})):
            header = {"alg": "RS256", "typ": "at+jwt", "cty": "JWT", "kid": kid}
            assert is_refused(server, agent, tokens.sign(key, "RS256", header, payload))


def test_the_json_serializations_are_no_tokens(server, agent, admin_claims):
    """RFC 7515 sections 7.2, 3.2: their unprotected header is nobody's word (web-token GHSA-jc38-x7x8-2xc8)."""
    header, payload, signature = server.token(agent).split(".")
    forged = tokens.encode(json.dumps(admin_claims))
    for protected, body, unprotected, value in (
            (header, payload, {}, signature), (header, payload, {"alg": "RS256"}, signature),
            (header, forged, {"alg": "none"}, ""), ("", forged, {"alg": "none"}, ""),
            (None, forged, {"alg": "none"}, signature)):
        one = {"protected": protected, "header": unprotected, "signature": value}
        for form in ({"payload": body} | one, {"payload": body, "signatures": [one]}):
            text = json.dumps({name: part for name, part in form.items() if part is not None})
            assert is_refused(server, agent, text)
            for path in ("/token/verify", "/token/introspect", "/token/revoke"):
                answer = server.post(path, auth=agent, json={"token": form})
                assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# --- nothing is fetched, and nothing is looked up -------------------------------------------------------------------

@pytest.fixture
def listener():
    """A port of ours, and whoever called it."""
    callers = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def accept():
            while True:
                try:
                    connection, address = listening.accept()
                except OSError:
                    return
                callers.append(address)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], callers
        listening.shutdown(socket.SHUT_RDWR)


def test_no_url_that_a_token_names_is_ever_fetched(server, agent, listener):
    """Server-side request forgery through jku, x5u, a kid or an issuer (RFC 8725 section 3.10)."""
    port, callers = listener
    url = f"http://127.0.0.1:{port}/jwks.json"
    kid, key = server.signing_key()
    stranger = tokens.new_key("RS256")
    claims = server.issue(agent)["claims"]
    for signer in (key, stranger):
        for more in ({"jku": url}, {"x5u": url}, {"kid": url}, {"jku": url, "kid": "unknown"}, {"jwk": {"jku": url}}):
            for issuer in (claims["iss"], url):
                header = {"alg": "RS256", "typ": "at+jwt", "kid": kid} | more
                token = tokens.sign(signer, "RS256", header, claims | {"iss": issuer})
                if signer is stranger or issuer == url or header["kid"] != kid:
                    assert is_refused(server, agent, token)
                server.revoke(agent, token)
    server.ask(agent, claims={"jku": url, "jwks_uri": url}, audience=url, subject=url)
    with socket.create_connection(("127.0.0.1", port)):
        server.until(lambda: callers, "the listener does not listen")
    assert len(callers) == 1, "somebody else than the test has called"


def test_unknown_kids_cost_no_trip_to_the_store(make_server):
    """Else each random kid makes a verifier ask somebody, and a few strangers keep it busy. The table of keys is taken
    away: whoever looked there would fail, and be counted. Only housekeeping does, once a second."""
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        good, stranger = server.token(agent), tokens.new_key("ES256")
        unknown = [tokens.sign(stranger, "ES256", {"alg": "ES256", "typ": "at+jwt", "kid": f"unknown-{at}"},
                               tokens.claims_of(good)) for at in range(2000)]
        with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
            database.execute("ALTER TABLE oauth_jwks RENAME TO away")
        server.until(lambda: server.metric("dependency_errors_total") > 0, "nobody misses the table")
        before = server.metric("dependency_errors_total")
        assert not [token for token in unknown if server.is_active(agent, token)]
        assert server.metric("dependency_errors_total") - before < len(unknown) / 2
        assert server.is_active(agent, good)


# --- keys and secrets -----------------------------------------------------------------------------------------------

def test_no_two_ecdsa_signatures_share_their_nonce(make_server):
    """RFC 8725 section 3.2: two signatures with one nonce tell the private key, and show the same r."""
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        with ThreadPoolExecutor(8) as threads:
            signed = list(threads.map(lambda _: server.token(agent), range(400)))
        assert len({tokens.decode(token.split(".")[2])[:32] for token in signed}) == 400


PARTS = 20


def usual_times(server, requests):
    """Of each kind of request, the times that one, two, … of PARTS are faster than, up to the median. They come in any
    order, so that whatever else the machine does falls on all alike."""
    taken = {what: [] for what in requests}
    order = list(requests) * 300
    random.shuffle(order)
    with server.wire() as wire:
        for what in order:
            begin = time.perf_counter()
            assert wire.call(requests[what]).status == 401
            taken[what].append(time.perf_counter() - begin)
    return [statistics.quantiles(times, n=PARTS)[:PARTS // 2] for times in taken.values()]


def guess(client_id, secret):
    value = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return post("/token/introspect", b'{"token":"x"}', "application/json", f"Authorization: Basic {value}")


def test_a_wrong_secret_and_an_unknown_client_take_the_same_time(server, agent):
    """No list of clients is to be had by a stopwatch: all take the same way, and a trip to a worker more or less would
    be seen in each of the rounds, and in the quicker half of each. Machines are noisy, so the bound is wide, and one
    quiet round of five is enough; and where every second request is held up by others, the median may be either time,
    but what is quicker tells."""
    server.add_client("public", SCOPES, "--public")
    server.add_client("disabled")
    server.run("clients", "disable", "disabled")
    assert server.introspect(agent, "x") == {"active": False}, "this client is in memory, as those of real callers are"
    requests = {"wrong secret": guess("agent", "A" * 43), "unknown": guess("nobody", "A" * 43),
                "public": guess("public", "A" * 43), "disabled": guess("disabled", "A" * 43)}
    ratios = []
    for _ in range(5):
        ratios.append(min(max(times) / min(times) for times in zip(*usual_times(server, requests))))
        if ratios[-1] < 1.4:
            return
    raise AssertionError(f"in no round did they take the same time: {ratios}")


# --- what a caller says of itself -----------------------------------------------------------------------------------

@pytest.mark.parametrize("written", [r'{"\u0072ole":"admin"}', r'{"rol\u0065":"admin"}', '{"email":"x","role":"admin"}',
                                     '{"a":{"role":"user"},"role":"admin"}'])
def test_a_privileged_claim_is_one_however_it_is_written(server, written):
    issuer = server.add_client(f"issuer-{abs(hash(written))}", "token:issue")
    body = f'{{"subject":"{issuer.id}","clientId":"{issuer.id}","scope":"","tokenType":"access","claims":{written}}}'
    answer = server.post("/token", auth=issuer, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


def test_what_looks_like_a_role_is_none(server, agent):
    """Claims that need no privilege must give none (a bearer token whose role is admin, among them)."""
    issuer = server.add_client("hopeful", "token:issue")
    for claims in ({"roles": ["admin"]}, {"role ": "admin"}, {"user": {"role": "admin"}},
                   {"is_admin": True}, {"admin": True}, {"scopes": SCOPES}, {"permissions": SCOPES.split()}):
        bearer = server.token(issuer, claims=claims)
        others = server.token(agent)
        assert server.revoke(bearer, others).status_code == 403, claims
        assert server.post("/token/introspect", auth=bearer, json={"token": others}).status_code == 403, claims
        assert server.is_active(agent, others)


def test_a_forwarded_address_does_not_escape_the_limit(make_server):
    """The address that counts failures is the connection's: a header could name another with each guess."""
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_FAILURE_LIMIT=5) as server:
        agent = server.add_client("agent")
        statuses = []
        for at in range(10):
            forwarded = {name: f"203.0.113.{at}" for name in ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP")}
            forwarded["Forwarded"] = f"for=203.0.113.{at}"
            statuses.append(server.post("/token/verify", json={"token": "x"}, headers=forwarded | {
                "Authorization": agent.basic("wrong")}).status_code)
        assert statuses[:5] == [401] * 5
        assert 429 in statuses[5:]


# --- the table ------------------------------------------------------------------------------------------------------

def has_test(file, name):
    path = ROOT / "tests" / ("unit" if file.endswith(".c") else "integration") / file
    definition = rf"^static void {name}\(void \*\*state\)" if file.endswith(".c") else rf"^def {name}\("
    return path.is_file() and re.search(definition, path.read_text(), re.M)


def test_every_test_that_security_md_names_exists():
    named = NAMED.findall((ROOT / "SECURITY.md").read_text())
    assert len(named) > 100
    assert not [(file, name) for file, name, _ in named if file and not has_test(file, name)]
    assert not [target for *_, target in named if target and not (ROOT / "tests/fuzz" / target).is_file()]
    rows = [line for line in (ROOT / "SECURITY.md").read_text().split("### Not in")[0].splitlines()
            if line.startswith("| ") and "shown by" not in line]
    assert not [row for row in rows if not NAMED.search(row)], "a row that no test shows"
