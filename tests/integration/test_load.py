"""Everything at once, for some seconds: what a thread sanitizer is run over. Every answer is checked against what
its own thread knows; the sanitizer's reports, lines that are no JSON and secrets are looked for in the log when it
stops."""

import json
import random
import signal
import threading
import time

import tokens
from service import check_answer
from wire import PATIENCE_S, head, post

SECONDS = 4
THREADS = 8
LEAST = 10  # calls of each


def question(token):
    """POST /token/verify, of its own kind."""
    return {"token": token, "options": {"tokenType": tokens.kind_of(token)}}


class Worker(threading.Thread):
    def __init__(self, server, agent, end):
        super().__init__()
        self.server, self.end = server, end
        self.basic = f"Authorization: {agent.basic()}"
        self.random = random.Random()
        self.active, self.revoked = [], []
        self.calls, self.fault = 0, None

    def call(self, path, body, statuses=(200,), authorization=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.wire.call(post(path, data, "application/json", authorization or self.basic))
        assert answer.status in statuses, (path, answer.status, answer.body)
        check_answer("POST", path, answer.status, answer.headers, answer.body)
        return answer.json()

    # --- one call of each kind --------------------------------------------------------------------------------------

    def issue(self):
        kind = self.random.choice(["access", "access", "refresh"])
        subject = f"user-{self.random.randrange(1000)}"
        answer = self.call("/token", {"subject": subject, "clientId": "agent", "scope": "stories:read",
                                      "tokenType": kind})
        assert answer["claims"]["sub"] == subject and answer["tokenType"] == kind
        self.active.append(answer["token"])

    def verify(self):
        if self.active:
            assert self.call("/token/verify", question(self.random.choice(self.active)))["valid"] is True

    def introspect(self):
        if self.active:
            assert self.call("/token/introspect", {"token": self.random.choice(self.active)})["active"] is True
        if self.revoked:
            assert self.call("/token/introspect", {"token": self.random.choice(self.revoked)}) == {"active": False}

    def revoke(self):
        if len(self.active) > 3:
            token = self.active.pop(self.random.randrange(len(self.active)))
            assert self.call("/token/revoke", {"token": token}) == {"revoked": True}
            self.revoked.append(token)
            assert self.call("/token/verify", question(token), (401,))["valid"] is False

    def read(self):
        for path in ("/.well-known/jwks.json", "/health/live", "/health/ready", "/metrics"):
            answer = self.wire.call(head("GET", path))
            assert answer.status == 200 and answer.body, path

    def fail(self):
        self.call("/token", b"{", (400,))
        self.call("/token/verify", {"token": "a.b.c"}, (401,))
        self.call("/token/introspect", {}, (400,))
        self.call("/token/revoke", {"token": "x"}, (401,), "Authorization: Basic eDp5")
        self.call("/token/introspect", {"token": "x"}, (401,), "Authorization: Bearer a.b.c")
        self.call("/token", b"[" * 70_000, (413,))
        self.wire.close()  # as the server does behind a 413
        self.wire = self.server.wire()

    def bearer(self):
        """A client that calls with a token that it then takes back."""
        token = self.call("/token", {"subject": "s", "clientId": "agent", "scope": "token:introspect",
                                     "tokenType": "access"})["token"]
        self.revoked.append(token)
        authorization = f"Authorization: Bearer {token}"
        assert self.call("/token/introspect", {"token": token}, authorization=authorization)["active"] is True
        self.call("/token/revoke", {"token": token}, authorization=authorization)
        self.call("/token/introspect", {"token": token}, (401,), authorization)

    def leave(self):
        """Goes in the middle of a request, and comes back."""
        self.wire.send(head("POST", "/token", self.basic, "Content-Length: 100") + b"{")
        self.wire.close()
        self.wire = self.server.wire()

    def run(self):
        kinds = [self.issue] * 4 + [self.verify] * 3 + [self.introspect] * 3 + [self.revoke, self.read, self.fail,
                                                                               self.bearer, self.leave]
        self.wire = self.server.wire()
        try:
            while time.monotonic() < self.end or self.calls <= LEAST:  # also when the machine stands still
                self.random.choice(kinds)()
                self.calls += 1
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault
        finally:
            self.wire.close()


def test_mixed_load(make_server):
    # info: the log drops what comes too fast below warn, and debug would have a line for each call
    server = make_server(TOKEN_LOG_LEVEL="info", TOKEN_CLIENT_CACHE_TTL=3, TOKEN_PURGE_INTERVAL=1,
                         TOKEN_VERIFIED_CACHE=256,
                         TOKEN_LOOPS=2, TOKEN_WORKERS=4).start()
    agent = server.add_client("agent")
    workers = [Worker(server, agent, time.monotonic() + SECONDS) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    beside = 0
    while any(worker.is_alive() for worker in workers):  # commands and signals come in between
        server.add_client(f"beside-{beside}")
        server.run("clients", "disable", f"beside-{beside}")
        server.run("token", "revoke", stdin=server.run("token", "issue", "--client", "agent").stdout)
        server.process.send_signal(signal.SIGHUP)
        beside += 1
    for worker in workers:
        worker.join(PATIENCE_S)
    assert not [worker.fault for worker in workers if worker.fault]
    assert beside > 0

    for worker in workers:
        for token in random.sample(worker.active, min(20, len(worker.active))):
            assert server.is_active(agent, token)
        for token in random.sample(worker.revoked, min(20, len(worker.revoked))):
            assert not server.is_active(agent, token)
        server.tokens.update(worker.active, worker.revoked)
    assert server.metric("tokens_issued_total") >= sum(len(worker.active) for worker in workers)
    is_idle(server)
    server.stop()


def is_idle(server):
    """But for what it does by itself."""
    server.until(lambda: server.metric("queue_depth") == server.metric("commit_queue_depth") == 0, "something waits")


class Issuer(threading.Thread):
    """Wants tokens, one after the other; a 503 is an answer as well."""

    def __init__(self, server, agent, over):
        super().__init__()
        self.server, self.over = server, over
        self.basic = f"Authorization: {agent.basic()}"
        self.issued, self.refused, self.fault = [], 0, None

    def one(self, wire):
        kind = random.choice(["access", "access", "refresh", "id"])
        body = {"subject": "user", "clientId": "agent", "scope": "", "tokenType": kind}
        answer = wire.call(post("/token", json.dumps(body).encode(), "application/json", self.basic))
        assert answer.status in (200, 503), answer.body
        check_answer("POST", "/token", answer.status, answer.headers, answer.body)
        if answer.status == 503:
            self.refused += 1
        elif kind != "id":  # which introspection doesn't know
            self.issued.append(answer.json()["token"])

    def run(self):
        try:
            with self.server.wire() as wire:
                while not self.over.is_set():
                    self.one(wire)
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault


def test_load_while_kms_throttles_and_keys_rotate(kms, start):
    """256 workers, more callers than KMS takes calls, faults, and a rotation or a revocation of a key each moment."""
    server = start(kms.create_key("ES256"), settled=True, TOKEN_LOG_LEVEL="info", TOKEN_SIGNING_ALG="ES256",
                   TOKEN_VERIFIED_CACHE=256, TOKEN_LOOPS=2, TOKEN_KMS_TIMEOUT=2, TOKEN_KMS_TRY_TIMEOUT=1)
    assert server.events("serving")[-1]["workers"] == 256
    kms.proxy.limit(120)
    kms.slow(0.1, operation="Sign", times=50)
    kms.break_inside(operation="Sign", times=20)
    kms.drop("reset", operation="Sign", times=20)
    over, began = threading.Event(), time.monotonic()
    issuers = [Issuer(server, server.agent, over) for _ in range(96)]
    for issuer in issuers:
        issuer.start()
    revoked, rotations = set(), 0
    while rotations < 2 or not over.is_set():
        # without them the quota is there for a rotation at the latest
        if time.monotonic() > began + SECONDS and sum(len(issuer.issued) for issuer in issuers) > 20:
            over.set()
        assert time.monotonic() < began + PATIENCE_S, "keys don't rotate"
        body = {"immediate": True} if rotations % 3 else {"revoke": server.kids("active")[0]}
        answer = server.post("/admin/rotate-keys", auth=server.agent, json=body)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 200:
            rotations += 1
            revoked |= {body.get("revoke")}
        for path in ("/.well-known/jwks.json", "/health/ready", "/metrics"):
            assert server.get(path).content
        time.sleep(0.2)
    for issuer in issuers:
        issuer.join(PATIENCE_S)
    assert not [issuer.fault for issuer in issuers if issuer.fault]
    issued = [token for issuer in issuers for token in issuer.issued]
    server.tokens.update(issued)
    assert rotations > 1
    for token in random.sample(issued, 20):
        assert server.is_active(server.agent, token) == (tokens.header_of(token)["kid"] not in revoked)
    kms.clear_faults()
    server.until(lambda: server.ask(server.agent).status_code == 200, "it never recovers")
    is_idle(server)
