"""The ledger of all acknowledged operations, and calls that write into it.

What is used once (authorization codes, refresh tokens that rotate) gets its page here and its operation in callers.py
when its routes come: taken before it is sent, acknowledged at most once. So do rules that revoke by subject, client or
time."""

import hashlib
import json
import threading
import time
from dataclasses import dataclass

from service import check_answer
from wire import Broken, Closed, Wire, head, post

DEADLINE_S = 20   # a request waits for Redis twice (1 s), for the store twice (2 s), and for those before it
KEPT_LIVE = 60    # so many tokens are left alone
DOUBTFUL = 20     # so many revocations may be in doubt before one of them is repeated in any case


@dataclass(eq=False)
class Token:
    text: str
    kind: str
    kid: str
    expires_at: int
    asked: bool = False              # somebody has tried to revoke it: until that is acknowledged, it is in doubt
    revoked_at: float | None = None  # monotonic: when that was acknowledged

    @property
    def hash(self):
        return hashlib.sha256(self.text.encode()).hexdigest()


class Ledger:
    """Of one cluster, for all its faults: what was promised before one is still true after the next."""

    def __init__(self):
        self.lock = threading.Lock()
        self.live, self.doubtful, self.revoked = [], [], []
        self.rotated_to = set()
        self.new_page()
        self.acknowledged = 0
        self.began = time.monotonic()

    def violation(self, text):
        with self.lock:
            self.violations.append(f"{time.monotonic() - self.began:.2f} s: {text}")

    def broken(self, token, text):
        """The same, and the token is left alone from now on: said once is enough."""
        self.violation(f"{text} ({token.hash[:12]})")
        with self.lock:
            for page in (self.live, self.doubtful, self.revoked):
                if token in page:
                    page.remove(token)

    def new_page(self):
        """For the next fault, what was promised is kept and what was counted is not."""
        self.violations, self.counts, self.slowest_s = [], {}, 0.0

    def count(self, operation, status, took_s=0.0):
        with self.lock:
            self.slowest_s = max(self.slowest_s, took_s)
            self.counts[operation, status] = self.counts.get((operation, status), 0) + 1

    def counted(self, *statuses, operation=None):
        with self.lock:
            return sum(n for (name, status), n in self.counts.items()
                       if status in statuses and operation in (None, name))

    def issued(self, token):
        with self.lock:
            self.acknowledged += 1
            self.live.append(token)

    def to_revoke(self, chance):
        """One to be revoked, perhaps one more time; from now on it is in doubt, and nobody else's."""
        with self.lock:
            pages = [page for page, kept in ((self.doubtful, 0), (self.live, KEPT_LIVE)) if len(page) > kept]
            if not pages:
                return None
            page = pages[0] if len(self.doubtful) > DOUBTFUL else chance.choice(pages)
            at = chance.randrange(len(page))
            page[at], page[-1] = page[-1], page[at]
            page[-1].asked = True
            return page.pop()

    def not_revoked(self, token):
        with self.lock:
            self.doubtful.append(token)

    def was_revoked(self, token, at):
        with self.lock:
            self.acknowledged += 1
            token.revoked_at = at
            self.revoked.append(token)

    def one_of(self, page, chance):
        """Mostly one of the latest: what a fault is about."""
        with self.lock:
            return page[-1 - int(len(page) * chance.random() ** 4)] if page else None

    def drop_expired(self):
        """What ends before the next fault does proves nothing any more."""
        until = time.time() + 120
        with self.lock:
            for page in (self.live, self.doubtful, self.revoked):
                page[:] = [token for token in page if token.expires_at > until]


class Line:
    """Calls of one thread, over a connection to each instance that is kept."""

    def __init__(self, cluster, ledger):
        self.cluster, self.ledger = cluster, ledger
        self.basic = f"Authorization: {cluster.agent.basic()}"
        self.wires = {}

    def close(self):
        for _, wire in self.wires.values():
            wire.close()
        self.wires = {}

    def _wire(self, i):
        server, life = self.cluster.servers[i], self.cluster.lives[i]
        kept = self.wires.get(i)
        if kept and kept[0] != life:
            kept[1].close()
            kept = None
        if not kept:
            kept = self.wires[i] = (life, Wire(server.port, server.host, DEADLINE_S))
        return kept[1]

    def call(self, i, request, path, allowed):
        """The answer, or None when the instance was killed, or is just being."""
        life, begin = self.cluster.lives[i], time.monotonic()
        try:
            answer = self._wire(i).call(request)
        except TimeoutError:
            self.ledger.violation(f"instance {i} did not answer {path} within {DEADLINE_S} s")
        except (Closed, Broken, OSError) as fault:
            if self.cluster.is_up[i] and self.cluster.lives[i] == life:
                self.ledger.violation(f"instance {i} hung up on {path}: {fault!r}")
        else:
            self.ledger.count(path, answer.status, time.monotonic() - begin)
            if answer.status not in allowed:
                self.ledger.violation(f"instance {i} answered {path} with {answer.status}: {answer.body[:300]}")
            check_answer(request[:4].decode().strip(), path, answer.status, answer.headers, answer.body)
            return answer
        if i in self.wires:
            self.wires.pop(i)[1].close()
        return None

    def post(self, i, path, body, *allowed):
        return self.call(i, post(path, json.dumps(body).encode(), "application/json", self.basic), path, allowed)

    def get(self, i, path, *allowed):
        return self.call(i, head("GET", path), path, allowed)

    def kids(self, i):
        answer = self.get(i, "/.well-known/jwks.json", 200)
        return {key["kid"] for key in answer.json()["keys"]} if answer else None


def revoke(line, i, token):
    """Asks for it, and notes what came of it. Whether it was acknowledged."""
    answer = line.post(i, "/token/revoke", {"token": token.text, "reason": "a test"}, 200, 503)
    if answer and answer.status == 200:
        line.ledger.was_revoked(token, time.monotonic())
        return True
    line.ledger.not_revoked(token)
    return False


def rotate(cluster, ledger, i):
    """To another key at once. 409: others are at it, or too many keys are published."""
    line = Line(cluster, ledger)
    answer = line.post(i, "/admin/rotate-keys", {"immediate": True}, 200, 409, 503)
    if answer and answer.status == 200:
        ledger.rotated_to.add(answer.json()["newKeyId"])
    line.close()
