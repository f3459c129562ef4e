"""The verifiers in examples/, in Node, Python and C: the same cases over all three, against the service, and against
an issuer that lies (fake_issuer.py)."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from itertools import groupby

import pytest

import tokens
from clock import HOUR, LIBRARY, Clock
from fake_issuer import AUDIENCE, ISSUER, Issuer, jwk_of
from node import NODE
from ports import free_port
from service import ROOT, Server
from wire import PATIENCE_S

EXAMPLES = ROOT / "examples"
REAL_ISSUER, REAL_AUDIENCE = "https://auth.storytailor.ai", "https://api.storytailor.ai"
SKEW_S = 30


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """How each is run. The one in C is compiled here, with what finds a fault of memory."""
    program = tmp_path_factory.mktemp("verify") / "verify"
    flags = ["-std=c17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
             "-fno-sanitize-recover=all"]
    libraries = ["-lcrypto", "-lcurl", "-ljansson", "-lpthread"]
    built = subprocess.run(["gcc", *flags, EXAMPLES / "verify.c", "-o", program, *libraries], capture_output=True,
                           text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    return {"node": [NODE, EXAMPLES / "verify.mjs"], "python": [sys.executable, EXAMPLES / "verify.py"],
            "c": [program]}


class Verifier:
    """A running command: ask(token) is its answer."""

    def __init__(self, command, url, issuer, audience, home, settings=None):
        self.said = home / "stderr"
        with self.said.open("wb") as log:
            self.process = subprocess.Popen([*command, "--issuer-url", url, "--issuer", issuer, "--audience", audience],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env=os.environ | (settings or {}))

    def ask(self, token):
        self.process.stdin.write(token + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line.endswith("\n"), self.said.read_text()
        return line[:-1]

    def until(self, token, answer):
        """Also of the first token: where the first answers to it come late, it knows neither keys nor the feed."""
        Server.until(lambda: self.ask(token) == answer, f"it doesn't say {answer!r} but {self.ask(token)!r}")

    def close(self):
        """Its input ends, and so it does, in good order."""
        with self.process:
            self.process.stdin.close()
            assert self.process.wait(PATIENCE_S) == 0, self.said.read_text()


@pytest.fixture(params=["node", "python", "c"])
def start(request, commands, tmp_path):
    """start(url): a verifier of that issuer's."""
    made = []

    def begin(url, issuer=ISSUER, audience=AUDIENCE, settings=None):
        made.append(Verifier(commands[request.param], url, issuer, audience, tmp_path, settings))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def issuer():
    with Issuer() as made:
        yield made


def packed(*revoked, expiry=None):
    """A page's entries for those tokens."""
    return b"".join(hashlib.sha256(token.encode()).digest()[:16] + (expiry or int(time.time()) + 900).to_bytes(4, "big")
                    for token in revoked)


def rule(kind, value, before, **members):
    digest = hashlib.sha256(f"{kind}:{value}".encode()).digest()
    return {kind: tokens.encode(digest), "before": before, "exp": int(time.time()) + 900} | members


# --- against the service --------------------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=tokens.ALGORITHMS)
def each_alg(request, make_server):
    server = make_server(TOKEN_SIGNING_ALG=request.param, TOKEN_AUDIENCE=REAL_AUDIENCE).start().settled()
    server.alg, server.agent = request.param, server.add_client("agent")
    return server


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_AUDIENCE=REAL_AUDIENCE).start().settled()
    made.agent = made.add_client("agent")
    return made


def verifier_of(start, server):
    return start(server.url, REAL_ISSUER, REAL_AUDIENCE)


def wrong_tokens(token, alg, key, kid):
    """(what must be said, a token that is wrong in one way)"""
    header, payload, signature = token.split(".")
    good, claims = tokens.header_of(token), tokens.claims_of(token)
    now = int(time.time())

    def signed(header=None, without=(), **changed):
        body = {name: value for name, value in (claims | changed).items() if name not in without}
        return tokens.sign(key, alg, header or good, body)

    yield "expired", signed(exp=now - SKEW_S)
    yield "not_yet_valid", signed(nbf=now + SKEW_S + 60)
    yield "not_yet_valid", signed(iat=now + SKEW_S + 60)
    yield "audience", signed(aud="https://other.example")
    yield "audience", signed(aud=["https://other.example", 1])
    yield "audience", signed(aud=[])
    yield "issuer", signed(iss="https://other.example")
    yield "issuer", signed(without=("iss",))
    for name in ("sub", "aud", "exp", "iat"):
        yield "claims", signed(without=(name,))
    for name, value in (("exp", "2100-01-01"), ("exp", 1e300), ("exp", -1), ("iat", None), ("nbf", True), ("sub", 1),
                        ("sub", ""), ("aud", {}), ("aud", 1)):
        yield "claims", signed(**{name: value})
    parent = {"parent_hash": "A" * 43, "parent_client_id": "client", "parent_iat": now}
    for name, value in (("parent_hash", ""), ("parent_hash", 1), ("parent_hash", "A" * 42),
                        ("parent_hash", "A" * 42 + "B"), ("parent_hash", "A" * 44), ("parent_client_id", ""),
                        ("parent_client_id", 1), ("parent_iat", -1), ("parent_iat", "1")):
        yield "claims", signed(**parent | {name: value})
    for name in parent:
        yield "claims", signed(**{other: parent[other] for other in parent if other != name})
    for typ in ("rt+jwt", "JWT", "revocation-feed+jwt", "", None, 1):
        yield "type", signed(good | {"typ": typ})
    yield "type", signed({"alg": alg, "kid": kid})
    yield "unknown_key", signed(good | {"kid": "another"})
    yield "unknown_key", signed({"alg": alg, "typ": "at+jwt"})
    for other in {"none", "HS256", "ES256", "RS256"} - {alg}:
        yield "algorithm", signed(good | {"alg": other})
    for name, value in (("crit", ["exp"]), ("b64", False), ("zip", "DEF")):
        yield "malformed", signed(good | {name: value})
    yield "malformed", signed({"typ": "at+jwt", "kid": kid})
    yield "malformed", tokens.sign(key, alg, good, b"[1]")
    yield "malformed", tokens.sign(key, alg, good, b"{")
    yield "malformed", tokens.sign(key, alg, good, b'{"sub":"\xff"}')
    yield "malformed", tokens.sign(key, alg, b"[]", claims)
    yield "signature", f"{header}.{payload}.{tokens.flip(signature, 5)}"
    yield "signature", f"{header}.{tokens.encode(json.dumps(claims | {'sub': 'admin'}))}.{signature}"
    yield "signature", tokens.sign(tokens.new_key(alg), alg, good, claims)
    yield "signature", f"{header}.{payload}.{tokens.encode(tokens.decode(signature)[:-1])}"
    for text in ("", ".", "..", "a.b", "a.b.c.d", f"{header}.{payload}.", f"{header}..{signature}", f"{token}=",
                 f"{token} ", f" {token}", f"{header}.{payload}.{signature}.", token.replace(".", "..", 1),
                 f"{header}.{payload}.{signature}é", "x" * 20000, f"+{token}"):
        yield "malformed", text
    yield "signature", f"{header}.{payload}.{tokens.encode(tokens.decode(signature) + b'x')}"
    if respelled := tokens.same_bytes_other_text(signature):
        yield "malformed", f"{header}.{payload}.{respelled}"


def test_a_token_is_held_to_everything(start, each_alg):
    server = each_alg
    verifier = verifier_of(start, server)
    token = server.token(server.agent, subject="user-1")
    verifier.until(token, "ok user-1")
    kid, key = server.signing_key()
    for why, wrong in wrong_tokens(token, server.alg, key, kid):
        assert verifier.ask(wrong) == f"refused {why}", (wrong, tokens.header_of(wrong) if why != "malformed" else "")
    for kind in ("refresh", "id"):
        assert verifier.ask(server.token(server.agent, tokenType=kind)) == "refused type"
    assert verifier.ask(server.get("/revocations").text) == "refused type"
    good = tokens.header_of(token)
    assert verifier.ask(tokens.sign(key, server.alg, good | {"typ": "application/AT+JWT"}, tokens.claims_of(token))
                        ) == "ok user-1"
    assert verifier.ask(tokens.sign(key, server.alg, good, tokens.claims_of(token) | {"aud": REAL_AUDIENCE})
                        ) == "ok user-1"
    assert verifier.ask(token) == "ok user-1"


def test_what_is_revoked_is_refused(start, server):
    verifier = verifier_of(start, server)
    revoked, other = (server.token(server.agent, subject=name) for name in ("user-1", "user-2"))
    verifier.until(revoked, "ok user-1")
    assert verifier.ask(other) == "ok user-2"
    assert server.revoke(server.agent, revoked).status_code == 200
    verifier.until(revoked, "refused revoked")
    assert verifier.ask(other) == "ok user-2"
    late = verifier_of(start, server)
    late.until(other, "ok user-2")
    assert late.ask(revoked) == "refused revoked"


def test_what_was_issued_with_a_token_is_refused_with_it(start, server):
    verifier = verifier_of(start, server)
    parent, other = (server.token(server.agent, scope="token:issue:any") for _ in range(2))
    child, others = server.token(parent, subject="user-1"), server.token(other, subject="user-2")
    verifier.until(child, "ok user-1")
    assert verifier.ask(others) == "ok user-2"
    assert server.revoke(server.agent, parent).status_code == 200
    verifier.until(child, "refused revoked")
    assert verifier.ask(others) == "ok user-2"


@pytest.mark.parametrize("rule_of", ["subject", "clientId", "session", "everything"])
def test_a_rule_of_the_service_is_followed(start, make_server, rule_of):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_AUDIENCE=REAL_AUDIENCE).start()
    agent, other = server.add_client("agent"), server.add_client("other")
    verifier = verifier_of(start, server)
    kid, key = server.signing_key()
    header, now = {"alg": "ES256", "typ": "at+jwt", "kid": kid}, int(time.time())
    claims = tokens.claims_of(server.token(agent, subject="user-1")) | {"sid": "session-1", "iat": now - 60}
    covered = tokens.sign(key, "ES256", header, claims)
    spared = tokens.sign(key, "ES256", header, claims | {"sub": "user-2", "client_id": other.id, "sid": "session-2"} |
                         ({"iat": now - 29} if rule_of == "everything" else {}))
    verifier.until(covered, "ok user-1")
    assert verifier.ask(spared) == "ok user-2"
    body = {"subject": {"subject": "user-1"}, "clientId": {"clientId": "agent"}, "session": {"sessionId": "session-1"},
            "everything": {"everything": True}}[rule_of] | {"before": now - 30}
    answer = server.post("/admin/revocations", auth=agent, json=body)
    assert answer.status_code == 200, answer.text
    verifier.until(covered, "refused revoked")
    assert verifier.ask(spared) == "ok user-2"


def test_keys_may_rotate(start, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_AUDIENCE=REAL_AUDIENCE).start().settled()
    agent = server.add_client("agent")
    verifier = verifier_of(start, server)
    before = server.token(agent, subject="before")
    verifier.until(before, "ok before")
    for _ in range(2):  # the first key was published already; of the second nobody has heard
        assert server.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code == 200
        token = server.token(agent, subject="after")
        verifier.until(token, "ok after")
        server.settled()
    revoked = server.token(agent)
    assert server.revoke(agent, revoked).status_code == 200
    verifier.until(revoked, "refused revoked")
    assert verifier.ask(before) == "ok before"


def test_all_pages_are_read(start, make_server):
    """More revocations than one page holds, made as another process would: 3 pages, and tokens in each."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_AUDIENCE=REAL_AUDIENCE).start()
    agent = server.add_client("agent")
    revoked = {at: server.token(agent) for at in (1, 4096, 4097, 9000)}
    good = server.token(agent, subject="good")
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.executemany("INSERT INTO revocations (position, token_hash, expires_at, reason, revoked_by, "
                             "revoked_at) VALUES (?, ?, 4102444800, '', '', 1)",
                             [(at, hashlib.sha256((revoked.get(at) or str(at)).encode()).digest())
                              for at in range(1, 9001)])
    server.until(lambda: tokens.claims_of(server.get("/revocations?since=8192").text)["position"] == 9000, "no")
    verifier = verifier_of(start, server)
    verifier.until(good, "ok good")
    assert {verifier.ask(token) for token in revoked.values()} == {"refused revoked"}
    assert server.revoke(agent, good).status_code == 200
    verifier.until(good, "refused revoked")


def test_an_issuer_that_comes_back_is_followed_again(start, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_AUDIENCE=REAL_AUDIENCE,
                         TOKEN_LISTEN=f"127.0.0.1:{free_port()}").start()
    agent = server.add_client("agent")
    verifier = verifier_of(start, server)
    token = server.token(agent, subject="user-1")
    verifier.until(token, "ok user-1")
    server.kill()
    assert verifier.ask(token) == "ok user-1"  # what it knows is good for a while
    Server.until(lambda: "verify:" in verifier.said.read_text(), "it says nothing of it")
    server.start()
    assert server.revoke(agent, token).status_code == 200
    verifier.until(token, "refused revoked")


# --- against an issuer that lies ------------------------------------------------------------------------------------

def polls(issuer, count=2, begin=None):
    """Waits until the feed was asked for that often since `begin` questions, or now."""
    begin = len(issuer.asked) if begin is None else begin
    Server.until(lambda: sum("/revocations" in path for path, _ in issuer.asked[begin:]) >= count, "nobody asks")


def questions(issuer, begin=0):
    """What was asked for of the feed, and with which tag; without repetitions, for who hears nothing asks again."""
    return [question for question, _ in groupby(each for each in issuer.asked[begin:] if "/revocations" in each[0])]


def test_nothing_is_good_once_the_feed_is_stale(start, issuer):
    issuer.show(life_s=3)
    verifier = start(issuer.url)
    token = issuer.token()
    assert verifier.ask(token) in ("ok user-1", "refused feed_stale", "refused unknown_key")  # it may be a slow machine
    verifier.until(token, "refused feed_stale")
    issuer.show()
    verifier.until(token, "ok user-1")
    issuer.pages[0] = 503
    polls(issuer)
    assert verifier.ask(token) == "ok user-1"


def test_a_clock_that_is_set_back_keeps_nothing_fresh(start, issuer, tmp_path):
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")
    clock, now = Clock(tmp_path), int(time.time())
    # a sanitizer wants to be the first library, which does no harm here
    options = {"ASAN_OPTIONS": clock.settings["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    issuer.show(life_s=15)
    verifier = start(issuer.url, settings=clock.settings | options)
    token = issuer.token(iat=now - 7200, nbf=now - 7200, exp=now + 7200)
    verifier.until(token, "ok user-1")
    issuer.pages[0] = 503
    clock.set(-HOUR)
    verifier.until(token, "refused feed_stale")


def test_a_feed_that_never_came_is_stale(start, issuer):
    issuer.pages[0] = 404
    verifier = start(issuer.url)
    verifier.until(issuer.token(), "refused feed_stale")
    assert verifier.ask("x") == "refused malformed"
    issuer.show()
    verifier.until(issuer.token(), "ok user-1")


def lies(issuer):
    """Pages that must not be believed, each wrong in one way."""
    now, good, typ = int(time.time()), issuer.page(), "revocation-feed+jwt"
    yield "another's signature", issuer.sign(good, typ, tokens.new_key("ES256"))
    yield "an unknown key", issuer.sign(good, typ, kid="another")
    yield "unsigned", tokens.sign(issuer.key, "ES256", {"alg": "none", "typ": typ, "kid": issuer.kid}, good)
    yield "a token", issuer.sign(good, "at+jwt")
    yield "no typ", issuer.sign(good, "JWT")
    yield "expired", issuer.sign(good | {"exp": now}, typ)
    yield "of tomorrow", issuer.sign(good | {"iat": now + 86400, "exp": now + 86460}, typ)
    yield "another issuer's", issuer.sign(good | {"iss": "https://other.example"}, typ)
    yield "another page, the tail", issuer.sign(good | {"since": 4096, "next": 4096, "position": 4096}, typ)
    yield "another page", issuer.sign(good | {"since": 4096, "next": 8192, "more": True}, typ)
    yield "without a way on", issuer.sign(good | {"more": True}, typ)
    yield "with a tail that goes on", issuer.sign(good | {"next": 4096}, typ)
    yield "entries cut short", issuer.sign(good | {"tokens": tokens.encode(b"x" * 19)}, typ)
    yield "entries respelled", issuer.sign(good | {"tokens": "AAAAAAAAAAAAAAAAAAAAAAAAAAB"}, typ)
    yield "an unknown kind of rule", issuer.sign(good | {"rules": [rule("country", "x", now)]}, typ)
    yield "a rule of two kinds", issuer.sign(good | {"rules": [rule("sub", "x", now) | rule("sid", "x", now)]}, typ)
    yield "a rule without a time", issuer.sign(good | {"rules": [rule("sub", "x", None)]}, typ)
    yield "rules that are none", issuer.sign(good | {"rules": {}}, typ)
    yield "of no epoch", issuer.sign(good | {"epoch": ""}, typ)
    yield "of an epoch that is none", issuer.sign(good | {"epoch": "0123456789ABCDEF"}, typ)
    for name in ("iss", "iat", "exp", "epoch", "since", "next", "more", "tokens", "rules"):
        yield f"without {name}", issuer.sign({key: value for key, value in good.items() if key != name}, typ)
        yield f"{name} of a wrong type", issuer.sign(good | {name: None}, typ)
    yield "cut", issuer.sign(good, typ)[:-10]
    yield "nothing", ""
    yield "no JWS", "<html>"


def test_a_lie_is_not_believed(start):
    """A page that is not believed leaves the feed stale; the next good one mends it. Several verifiers hear a lie each
    at once, and are asked when they have come for the next."""
    with ExitStack() as stack:
        issuers = [stack.enter_context(Issuer()) for _ in range(8)]
        for issuer in issuers:
            issuer.pages[0] = 503
        verifiers = [start(issuer.url) for issuer in issuers]
        for verifier, issuer in zip(verifiers, issuers):
            verifier.until(issuer.token(), "refused feed_stale")  # so it has the keys
        told = [list(lies(issuer)) for issuer in issuers]
        for first in range(0, len(told[0]), len(issuers)):
            heard = [(verifier, issuer, lie[at]) for at, (verifier, issuer, lie)
                     in enumerate(zip(verifiers, issuers, told), first) if at < len(lie)]
            for _, issuer, (_, page) in heard:
                issuer.pages[0] = page
            begins = [len(issuer.asked) for _, issuer, _ in heard]
            for begin, (verifier, issuer, (what, _)) in zip(begins, heard):
                polls(issuer, 2, begin)
                assert verifier.ask(issuer.token()) == "refused feed_stale", what
        for verifier, issuer in zip(verifiers, issuers):
            issuer.show()
            verifier.until(issuer.token(), "ok user-1")


def test_an_old_page_takes_nothing_back(start, issuer):
    """Shown again within its time, as by a cache or by somebody in between."""
    token, other = issuer.token(), issuer.token(sub="user-2")
    old = issuer.pages[0]
    issuer.show(packed(token))
    verifier = start(issuer.url)
    verifier.until(other, "ok user-2")
    assert verifier.ask(token) == "refused revoked"
    issuer.pages[0] = old
    polls(issuer, 3)
    assert [verifier.ask(token), verifier.ask(other)] == ["refused revoked", "ok user-2"]


def test_an_old_page_makes_nothing_fresh(start, issuer):
    issuer.show(life_s=4)
    old = issuer.pages[0]
    verifier = start(issuer.url)
    polls(issuer)  # the old one was read: it may end after the next one
    issuer.show(life_s=3)
    polls(issuer)
    issuer.pages[0] = old
    verifier.until(issuer.token(), "refused feed_stale")
    polls(issuer)
    assert verifier.ask(issuer.token()) == "refused feed_stale"


def test_rules_refuse_what_was_issued_before(start, issuer):
    now = int(time.time())
    issuer.show(rules=[rule("sub", "user-9", now - 10), rule("client_id", "client-9", now - 10),
                       rule("sid", "session-9", now - 10), rule("sub", "ü", now - 10),
                       rule("sub", "expired", now, exp=now - 1)])
    verifier = start(issuer.url)
    verifier.until(issuer.token(), "ok user-1")

    def ask(iat, **claims):
        return verifier.ask(issuer.token(iat=iat, **claims))

    for claims in ({"sub": "user-9"}, {"client_id": "client-9"}, {"sid": "session-9"}, {"sub": "ü"},
                   {"sub": "user-9", "sid": "other"}):
        assert ask(now - 11, **claims) == ask(now - 10, **claims) == "refused revoked", claims
        assert ask(now - 9, **claims).startswith("ok "), claims
    for claims in ({"sub": "client-9"}, {"client_id": "user-9"}, {"sid": "user-9"}, {"sid": 1}, {"sub": "expired"}):
        assert ask(now - 11, **claims).startswith("ok "), claims
    old = issuer.token(iat=now - 6, sub="user-1")
    assert verifier.ask(old) == "ok user-1"
    issuer.show(rules=[rule("all", "", now - 5)])
    verifier.until(old, "refused revoked")
    assert ask(now - 4) == "ok user-1"


def test_a_rule_about_a_token_is_about_what_was_issued_with_it(start, issuer):
    now = int(time.time())
    issuer.show(rules=[rule("client_id", "client-9", now - 10), rule("sub", "client-8", now - 10)])
    verifier = start(issuer.url)
    verifier.until(issuer.token(), "ok user-1")
    for client in ("client-9", "client-8"):
        child = {"sub": "user-1", "iat": now - 5, "parent_hash": "A" * 43, "parent_client_id": client}
        assert verifier.ask(issuer.token(parent_iat=now - 10, **child)) == "refused revoked"
        assert verifier.ask(issuer.token(parent_iat=now - 9, **child)) == "ok user-1"
    issuer.show(rules=[rule("all", "", now - 9)])
    verifier.until(issuer.token(parent_iat=now - 9, **child), "refused revoked")
    assert verifier.ask(issuer.token(parent_iat=now - 8, **child)) == "ok user-1"


def test_a_token_that_came_after_a_rule_is_spared_until_the_next(start, issuer):
    """By a clock that was set back since: its iat says nothing then."""
    now = int(time.time())
    issuer.show(rules=[rule("sub", "user-9", now - 10, exp=now + 500)])
    verifier = start(issuer.url)
    verifier.until(issuer.token(), "ok user-1")
    for issued_after, answer in ((now + 500, "refused revoked"), (now + 501, "ok user-9")):
        assert verifier.ask(issuer.token(iat=now - 60, sub="user-9", issued_after=issued_after)) == answer
    token = issuer.token(iat=now - 60, sub="user-9", issued_after=now + 501)
    issuer.show(rules=[rule("sub", "user-9", now - 61, exp=now + 501), rule("sub", "user-9", now - 60, exp=now + 502)])
    verifier.until(token, "refused revoked")
    assert verifier.ask(issuer.token(iat=now - 60, sub="user-9", issued_after=now + 503)) == "ok user-9"


def test_a_store_from_a_backup_has_the_feed_read_again(start, issuer):
    """Positions went back by two pages, and are given again: to tokens that only the first pages tell of."""
    first, second, third = (issuer.token(sub=name) for name in ("first", "second", "third"))
    issuer.show(packed(first), following=4096)
    issuer.show(since=4096, following=8192)
    issuer.show(since=8192)
    verifier = start(issuer.url)
    verifier.until(second, "ok second")
    assert verifier.ask(first) == "refused revoked"
    issuer.show(packed(second), following=4096)
    issuer.show(packed(third), since=4096)
    issuer.pages[8192] = issuer.pages[4096]
    verifier.until(third, "refused revoked")  # which is on the last of the pages that are read again
    verifier.until(second, "refused revoked")
    assert verifier.ask(first) == "refused revoked"
    assert verifier.ask(issuer.token()) == "ok user-1"


def test_another_epoch_has_the_feed_read_again(start, issuer):
    """The head has not gone back, so no position tells: a page that was left behind says something else now."""
    first, second, third = (issuer.token(sub=name) for name in ("first", "second", "third"))
    issuer.show(packed(first), following=4096)
    issuer.show(since=4096)
    verifier = start(issuer.url)
    verifier.until(second, "ok second")
    assert verifier.ask(first) == "refused revoked"
    begin = len(issuer.asked)
    issuer.epoch = "0" * 15 + "2"
    issuer.show(packed(second), following=4096)
    issuer.show(packed(third), since=4096)
    verifier.until(second, "refused revoked")
    assert [verifier.ask(first), verifier.ask(third)] == ["refused revoked", "refused revoked"]
    assert verifier.ask(issuer.token()) == "ok user-1"
    asked = [path for path, _ in questions(issuer, begin)]
    assert asked.count("/revocations?since=0") == 1, "read again once"
    again = begin + next(at for at, (path, _) in enumerate(issuer.asked[begin:]) if path.endswith("since=0"))
    Server.until(lambda: len(issuer.directives) >= again + 2, "it does not go on reading")
    assert issuer.directives[again:again + 2] == ["no-cache"] * 2, "past caches, which may hold pages of before"
    polls(issuer, 2)
    assert issuer.asked[-1][1], "and then with its tag, as ever"


def test_pages_of_two_epochs_say_nothing_together(start, issuer):
    """The tail of one and a page of the other, as a cache mixes them: what they tell is taken, and nothing is fresh."""
    token = issuer.token(sub="revoked")
    issuer.show(packed(token), following=4096)
    issuer.epoch = "0" * 15 + "2"
    issuer.show(since=4096)
    verifier = start(issuer.url)
    polls(issuer, 4)
    assert verifier.ask(issuer.token()) == "refused feed_stale"
    assert verifier.ask(token) == "refused revoked"
    issuer.show(following=4096)
    verifier.until(issuer.token(), "ok user-1")


def test_the_tail_is_asked_for_with_its_tag(start, issuer):
    issuer.show(since=0, following=4096)
    issuer.show(since=4096)
    verifier = start(issuer.url)
    verifier.until(issuer.token(), "ok user-1")
    polls(issuer, 3)
    asked = questions(issuer)
    assert asked[:2] == [("/revocations?since=0", None), ("/revocations?since=4096", None)]
    assert {path for path, _ in asked[2:]} == {"/revocations?since=4096"} and all(tag for _, tag in asked[2:])


def test_an_unknown_key_is_fetched_once_in_a_while(start, issuer):
    verifier = start(issuer.url)
    verifier.until(issuer.token(), "ok user-1")
    begin = len(issuer.asked)
    issuer.jwks["keys"].append({"kty": "oct", "kid": "key-2", "alg": "HS256", "k": "AAAA"})
    for _ in range(50):
        assert verifier.ask(issuer.sign({}, kid="key-2")) == "refused unknown_key"
    asked = issuer.asked[begin:]
    assert sum("jwks" in path for path, _ in asked) <= 2 + len(asked) // 12
    next_key = tokens.new_key("ES256")
    issuer.jwks["keys"].append(jwk_of(next_key, "key-3"))
    claims = tokens.claims_of(issuer.token(sub="user-3"))
    verifier.until(issuer.sign(claims, key=next_key, kid="key-3"), "ok user-3")


def test_many_revocations_are_remembered(start, issuer):
    """So that its table grows, and drops what has expired."""
    now = int(time.time())
    many = [issuer.token(jti=str(at), sub=f"user-{at % 7}") for at in range(6)]
    filler = [hashlib.sha256(str(at).encode()).digest()[:16] for at in range(12000)]
    for at in range(3):
        entries = b"".join(digest + (now + (4 if at == 0 else 900)).to_bytes(4, "big")
                           for digest in filler[at * 4000:(at + 1) * 4000])
        issuer.show(entries + packed(*many[at * 2:at * 2 + 2]), since=at * 4096, following=(at + 1) * 4096)
    issuer.show(since=3 * 4096)
    verifier = start(issuer.url)
    verifier.until(issuer.token(sub="good"), "ok good")
    assert {verifier.ask(token) for token in many} == {"refused revoked"}


def test_output_stays_one_line_a_token(start, issuer):
    verifier = start(issuer.url)
    verifier.until(issuer.token(sub="a\nok admin\x7f"), "ok a?ok admin?")


def test_wrong_arguments_are_told(commands):
    for command in commands.values():
        done = subprocess.run([*command, "--issuer", "x"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and "--audience" in done.stderr, done
