"""Keys rotate without anyone noticing: by age, on request, in an emergency, by the command line beside a server, and
with kill -9 in between. Verifiers here are others' libraries with key sets that they keep for as long as they may."""

import json
import random
import threading
import time

import jwt
import pytest

import tokens
from wire import PATIENCE_S, Broken, Closed, post

# Verifiers may keep keys for 2 s; a key is published for 5 before it signs, and signs for 6; tokens live for 6.
SHORT = {"TOKEN_SIGNING_ALG": "ES256", "TOKEN_JWKS_MAX_AGE": 1, "TOKEN_JWKS_STALE_WHILE_REVALIDATE": 1,
         "TOKEN_JWKS_STALE_IF_ERROR": 1, "TOKEN_CLOCK_SKEW": 0, "TOKEN_KEY_PENDING": 5, "TOKEN_KEY_ROTATION": 6,
         "TOKEN_ACCESS_TTL": 6, "TOKEN_ACCESS_TTL_MAX": 6, "TOKEN_REFRESH_TTL": 6, "TOKEN_REFRESH_TTL_MAX": 6,
         "TOKEN_ID_TTL": 6, "TOKEN_ID_TTL_MAX": 6}
KEPT_S = 2
TRANSITIONS = ("published", "activated", "retired")


def rotate(server, auth, **body):
    return server.post("/admin/rotate-keys", auth=auth, json=body)


def rotated(server, auth, **body):
    answer = rotate(server, auth, **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True and len(answer.json()["message"]) > 10
    return answer.json()


def kid_of(token):
    return tokens.header_of(token)["kid"]


def verifies(jwks, token):
    """By PyJWT, against a key set that somebody has. Whether the token has expired meanwhile is not asked."""
    keys = {key["kid"]: jwt.PyJWK(key) for key in jwks["keys"]}
    if kid_of(token) not in keys:
        return False
    jwt.decode(token, keys[kid_of(token)].key, algorithms=["ES256", "RS256"],
               options={"verify_aud": False, "verify_exp": False})
    return True


class CachingVerifier:
    """Fetches the keys, keeps them as long as it may, and never asks again for a token that it does not know."""

    def __init__(self, server):
        self.server, self.fetched_at, self.jwks = server, 0, None

    def verify(self, token, expires_at):
        if time.time() - self.fetched_at > KEPT_S:
            self.fetched_at = time.time()  # before the answer, which may come late
            self.jwks = self.server.jwks()
        assert verifies(self.jwks, token) or time.time() >= expires_at, \
            "a verifier met a token of a key that it does not know"


# --- by age ---------------------------------------------------------------------------------------------------------

def test_keys_rotate_by_age_and_no_verifier_notices(make_server, jose_cli):
    server = make_server(**SHORT).start()
    agent = server.add_client("agent", "token:issue token:verify token:introspect")
    verifiers = [CachingVerifier(server) for _ in range(3)]
    for verifier, age in zip(verifiers, (0, 0.7, 1.4)):  # that fetch at different times
        verifier.fetched_at, verifier.jwks = time.time() - age, server.jwks()
    issued, jobs, phases = [], [], set()

    def transitions():
        return [json.loads(detail)["transition"] for (detail,) in
                server.rows("SELECT detail FROM events WHERE type = 'keys_rotated'")]

    def is_seen():
        return (len({kid_of(token) for token, _ in issued}) >= 4 and (1, 2, 3) in phases
                and any(4 in phase for phase in phases)
                and all(transitions().count(transition) >= 2 for transition in TRANSITIONS))

    end = time.monotonic() + PATIENCE_S
    while not is_seen():
        assert time.monotonic() < end, (phases, transitions())
        answer = server.issue(agent)
        issued.append((answer["token"], answer["claims"]["exp"]))
        for verifier in verifiers:
            verifier.verify(*issued[-1])
        published = server.jwks()
        for token, expires_at in issued:
            if expires_at > time.time():
                assert verifies(published, token), "a live token's key is not published"
                assert server.is_active(agent, token) or time.time() >= expires_at
        phases.add(tuple(sorted(state for (state,) in server.rows("SELECT state FROM oauth_jwks"))))
        jobs.append({"job": "jwt_verify", "jwks": verifiers[0].jwks, "token": answer["token"],
                     "options": {"clockTolerance": 600}})
        time.sleep(0.25)
    outcomes = jose_cli(jobs)  # npm's jose, with the key set that a verifier had when the token was new
    assert all(outcome["ok"] for outcome in outcomes), outcomes
    server.until(lambda: server.key_files() == {*server.kids("pending", "active", "retiring")}, "a key's file stays")
    for transition in TRANSITIONS:
        told = transitions().count(transition)
        server.until(lambda transition=transition, told=told: sum(
            entry["transition"] == transition for entry in server.events("keys_rotated")) >= told - 1,
            f"not in the log: {transition}")  # the first key is made at the start
    assert server.metric("key_transitions_total", to="active") >= 3
    server.stop()


def test_the_next_key_is_ready_a_moment_after_the_start(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start().settled()
    assert server.metric("key_standby") == 1
    assert 7775900 < server.metric("key_rotation_seconds") <= 7776000
    (active,), (pending,) = server.kids("active"), server.kids("pending")
    assert server.metric("key_age_seconds", kid=active, state="active") >= 0
    assert server.metric("key_age_seconds", kid=pending, state="pending") >= 0
    keys = server.jwks()
    server.stop()
    server.start()
    assert server.jwks() == keys
    server.stop()


# --- POST /admin/rotate-keys ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_SIGNING_ALG="ES256").start().settled()


def test_a_rotation_that_is_asked_for_waits_for_verifiers(server, agent):
    (active,), (pending,) = server.kids("active"), server.kids("pending")
    answer = rotated(server, agent)
    assert "newKeyId" not in answer and answer["rotatesAt"].endswith("Z")
    assert {key["kid"]: key["state"] for key in answer["keys"]} == {active: "active", pending: "pending"}
    assert {"kid", "state", "alg", "publishedAt"} <= answer["keys"][0].keys()
    assert server.kids("active") == [active]
    assert server.rows("SELECT rotate_requested_at > 0 FROM oauth_jwks WHERE state = 2") == [(1,)]
    assert 0 < server.metric("key_rotation_seconds") <= 7200


def test_at_once_means_at_once(server, agent):
    (active,), (pending,) = server.kids("active"), server.kids("pending")
    old = server.token(agent)
    answer = rotated(server, agent, immediate=True)
    assert (answer["newKeyId"], answer["oldKeyId"]) == (pending, active)
    assert "may refuse" in answer["message"]
    new = server.token(agent)
    assert (kid_of(old), kid_of(new)) == (active, pending)
    jwks = server.jwks()
    for token in (old, new):
        assert verifies(jwks, token) and server.is_active(agent, token)
    server.settled()


def test_the_body_is_optional(server, agent):
    for options in ({}, {"data": b""}, {"data": b"{}", "headers": {"Content-Type": "application/json"}}):
        assert server.post("/admin/rotate-keys", auth=agent, **options).status_code == 200


def test_a_revoked_key_is_out_at_once_with_all_its_tokens(server, agent):
    server.settled()
    bad = [server.token(agent, tokenType=kind) for kind in ("access", "refresh", "id")]
    for token in bad:
        assert server.verify(agent, token).status_code == 200  # it is in the cache of verified tokens now
    kid = kid_of(bad[0])
    answer = rotated(server, agent, revoke=kid, reason="stolen")
    assert answer["oldKeyId"] == kid and answer["newKeyId"] != kid
    assert {key["kid"]: key["state"] for key in answer["keys"]}[kid] == "revoked"
    assert kid not in {key["kid"] for key in server.jwks()["keys"]}
    for token in bad:
        assert not server.is_active(agent, token)
        assert server.verify(agent, token).json()["valid"] is False
        assert server.post("/token/verify", auth=token, json={"token": "x"}).status_code == 401
    assert server.is_active(agent, server.token(agent))
    again = rotated(server, agent, revoke=kid)
    assert "newKeyId" not in again
    assert server.rows("SELECT revocation_reason FROM oauth_jwks WHERE kid = ?", kid) == [("stolen",)]
    server.until(lambda: kid not in server.key_files(), "the private half of a revoked key is still there")
    server.until(lambda: server.kids("pending"), "no standby followed")


def test_who_may_rotate(server, agent):
    other = server.add_client("other", "token:issue:any token:issue token:verify")
    admin = server.token(agent, claims={"role": "admin"}, clientId="other", subject="admin")
    assert rotate(server, admin).status_code == 200, "a token whose role is admin may"
    assert rotate(server, server.token(agent, scope="keys:rotate")).status_code == 200
    for auth, status, error in ((None, 401, "invalid_client"), ("a.b.c", 401, "invalid_token"),
                                (other, 403, "insufficient_scope"),
                                (server.token(agent), 403, "insufficient_scope"),
                                (server.token(agent, claims={"role": "Admin"}), 403, "insufficient_scope"),
                                (server.token(agent, claims={"role": ["admin"]}), 403, "insufficient_scope"),
                                (server.token(agent, tokenType="id", claims={"role": "admin"}), 401, "invalid_token")):
        answer = rotate(server, auth, immediate=True)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
    for method in ("GET", "PUT", "DELETE"):
        answer = server.request(method, "/admin/rotate-keys", auth=agent)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize("body", [
    b"{", b"[]", b"null", b"true", b'"x"', b'{"immediate":1}', b'{"immediate":"true"}',
    b'{"immediate":true,"immediate":true}', b'{"revoke":""}', b'{"revoke":1}', b'{"revoke":["x"]}',
    b'{"reason":1}', b'{"unknown":true}', b'{"Immediate":true}', b'{"immediate":true}x', b'{"revoke":"\\u0000"}',
    b'{"reason":"\xff"}', b'{"revoke":"' + b"x" * 65 + b'"}', b'{"reason":"' + b"x" * 257 + b'"}',
    b'{"a":' * 40 + b"1" + b"}" * 40, b"\xef\xbb\xbf{}"])
def test_a_bad_body_is_refused_and_rotates_nothing(server, agent, body):
    before = server.kids("active")
    answer = server.post("/admin/rotate-keys", auth=agent, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert server.kids("active") == before


def test_other_content_types_are_refused(server, agent):
    for kind, status in (("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/jose", 415)):
        answer = server.post("/admin/rotate-keys", auth=agent, data=b"immediate=true", headers={"Content-Type": kind})
        assert answer.status_code == status, kind


@pytest.mark.parametrize("kid", ["x", "../../etc/passwd", "' OR '1'='1", "*", "A" * 43, "%"])
def test_an_unknown_kid_is_not_found(server, agent, kid):
    answer = rotate(server, agent, revoke=kid)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_too_many_keys_are_refused_but_an_emergency_is_not(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start().settled()
    agent = server.add_client("agent")
    answer = rotate(server, agent, immediate=True)
    while answer.status_code == 200:
        assert len(server.jwks()["keys"]) <= 32
        answer = rotate(server, agent, immediate=True)
    assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    assert len(server.jwks()["keys"]) >= 30
    server.settled()
    (active,) = server.kids("active")
    assert rotated(server, agent, revoke=active)["oldKeyId"] == active
    assert server.is_active(agent, server.token(agent))
    server.stop()


# --- the command line beside a server -------------------------------------------------------------------------------

def cli(server, *arguments, **options):
    return json.loads(server.run("keys", *arguments, "--json", **options).stdout)


def test_the_command_line_moves_keys_beside_a_server(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start().settled()
    agent = server.add_client("agent")
    old = server.token(agent)
    assert {key["state"] for key in cli(server, "list")} == {"active", "pending"}
    assert cli(server, "rotate")["rotates_at"].endswith("Z")
    moved = cli(server, "rotate", "--immediate")
    assert moved["old_kid"] == kid_of(old)
    server.until(lambda: kid_of(server.token(agent)) == moved["new_kid"], "the server did not notice")
    assert server.is_active(agent, old)
    revoked = cli(server, "revoke", kid_of(old), "--reason", "a test")
    assert "new_kid" not in revoked
    server.until(lambda: not server.is_active(agent, old), "the server did not notice")
    assert cli(server, "show", kid_of(old))["revocation_reason"] == "a test"
    server.settled()
    assert server.key_files() == {*server.kids("pending", "active", "retiring")}
    assert server.get("/health/ready").status_code == 200
    plan = cli(server, "plan")
    assert [row["at"] for row in plan] == sorted(row["at"] for row in plan) and len(plan) >= 4
    for kid in server.kids("pending", "active", "revoked"):
        assert len(cli(server, "explain", kid)["explanation"]) > 60
        assert kid in server.run("keys", "explain", kid).stdout
        shown = cli(server, "show", kid)
        assert shown["jwk"]["kid"] == kid == shown["kid"]
    assert not any(name in json.dumps(cli(server, "show", kid)) for name in ('"d"', "PRIVATE"))
    server.stop()


def test_the_command_line_needs_no_server(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    token = server.token(agent)
    server.settled().stop()
    assert cli(server, "revoke", kid_of(token))["old_kid"] == kid_of(token)
    assert kid_of(token) not in server.key_files()
    second = cli(server, "rotate", "--immediate")
    server.start()
    assert not server.is_active(agent, token)
    assert kid_of(server.token(agent)) == second["new_kid"]
    server.stop()


@pytest.mark.parametrize("arguments, status", [
    (["keys", "show", "none"], 1), (["keys", "revoke", "none"], 1), (["keys", "explain", "none"], 1),
    (["keys", "show"], 2), (["keys", "revoke"], 2), (["keys", "rotate", "x"], 2), (["keys", "list", "--immediate"], 2),
    (["keys", "rotate", "--reason", "x"], 2), (["keys", "turn"], 2),
    (["keys", "revoke", "x", "--reason", "y" * 257], 2)])
def test_a_wrong_command_is_one_sentence(server, arguments, status):
    before = server.kids("active", "pending")
    done = server.run(*arguments, expect=status)
    assert done.stdout == "" and done.stderr.startswith("token-service: ") and done.stderr.count("\n") == 1
    assert server.kids("active", "pending") == before


# --- kill -9 --------------------------------------------------------------------------------------------------------

class Rotator(threading.Thread):
    """Issues tokens and rotates at once, in turn, until the connection breaks."""

    def __init__(self, server, agent):
        super().__init__()
        self.server, self.authorization = server, f"Authorization: {agent.basic()}"
        self.issued, self.revoked, self.faults = [], [], []

    def call(self, wire, path, body):
        answer = wire.call(post(path, json.dumps(body).encode(), "application/json", self.authorization))
        assert answer.status in (200, 409, 503), answer.body
        return answer.json() if answer.status == 200 else {}

    def run(self):
        try:
            with self.server.wire() as wire:
                while True:
                    answer = self.call(wire, "/token", {"subject": "agent", "clientId": "agent", "scope": "",
                                                        "tokenType": "access"})
                    if answer:
                        self.issued.append((answer["token"], answer["claims"]["exp"]))
                    body = {"immediate": True} if random.random() < 0.7 or not answer else {
                        "revoke": kid_of(answer["token"])}
                    done = self.call(wire, "/admin/rotate-keys", body)
                    if done and "revoke" in body:
                        self.revoked.append(body["revoke"])
        except (Closed, Broken, ConnectionError):
            pass
        except AssertionError as fault:
            self.faults.append(fault)


def test_kill_9_during_rotations_leaves_one_active_key_and_every_key_that_is_needed(make_server):
    server = make_server(**SHORT | {"TOKEN_KEY_ROTATION": 0}).start()
    agent = server.add_client("agent", "token:issue keys:rotate token:introspect token:verify")
    for _ in range(12):
        rotators = [Rotator(server, agent) for _ in range(3)]
        for each in rotators:
            each.start()
        time.sleep(random.uniform(0.05, 0.6))
        server.kill()
        for each in rotators:
            each.join(PATIENCE_S)
            assert not each.is_alive() and not each.faults, each.faults
        assert len(server.kids("active")) == 1 and len(server.kids("pending")) <= 1
        server.start()
        revoked = {*server.kids("revoked")}
        assert {kid for each in rotators for kid in each.revoked} <= revoked, "an acknowledged revocation is lost"
        published = {key["kid"] for key in server.jwks()["keys"]}
        assert not published & revoked
        for token, expires_at in (each for rotator in rotators for each in rotator.issued):
            server.tokens.add(token)
            if expires_at > time.time() and kid_of(token) not in revoked:
                assert kid_of(token) in published
        fresh = server.issue(agent)
        assert server.is_active(agent, fresh["token"]) or time.time() >= fresh["claims"]["exp"]
    server.settled()
    server.until(lambda: server.key_files() <= {*server.kids("pending", "active", "retiring")},
                 f"private keys that nobody will use: {server.key_files()}", 30)
    server.stop()
