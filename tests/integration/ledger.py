"""The ledger of all acknowledged operations, and calls that write into it.

What is used once (authorization codes, refresh tokens that rotate) gets its page here and its operation in callers.py
when its routes come: taken before it is sent, acknowledged at most once."""

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

import feed_reader
import rules
import tokens
from service import check_answer
from wire import Broken, Closed, Wire, head, post

DEADLINE_S = 60   # a guard: a request waits for Redis twice (1 s), for the store twice (2 s), and for those before it
KEPT_LIVE = 60    # so many tokens are left alone
DOUBTFUL = 20     # so many revocations may be in doubt before one of them is repeated in any case
TOLERANCE_S = 301  # for so long behind its exp a token may still be taken, and is its revocation told of
WRONG_CLOCK = "by a wrong clock"   # what an instance says whose time of day is off
# Refused for a second, since a rule was made; and what nobody but the watcher asks for. Neither shows that a fault is
# felt.
BORN_REVOKED, FEED = "/token, born revoked", "/revocations"


@dataclass(eq=False)
class Token:
    text: str
    kind: str
    kid: str
    issued_at: int
    expires_at: int
    client: str
    targets: tuple                   # of rules that would be about it (rules.py)
    known_at: float = field(default_factory=time.time)  # it was acknowledged before that
    by_wrong_clock: bool = False     # issued by an instance whose time of day is off
    asked: bool = False              # somebody has tried to revoke it: until that is acknowledged, it is in doubt
    revoked_at: float | None = None  # monotonic: when that was acknowledged

    @classmethod
    def of(cls, text, kind):
        claims = tokens.claims_of(text)
        client = claims.get("client_id", claims.get("azp"))
        targets = (("sub", claims["sub"]), ("client_id", client)) + (
            (("sid", claims["sid"]),) if "sid" in claims else ())
        return cls(text, kind, tokens.header_of(text)["kid"], claims["iat"], claims["exp"], client, targets)

    @property
    def question(self):
        """POST /token/verify, of this very kind."""
        return {"token": self.text, "options": {"tokenType": self.kind}}

    @property
    def hash(self):
        return hashlib.sha256(self.text.encode()).hexdigest()


class Ledger:
    """Of one cluster, for all its faults: what was promised before one is still true after the next."""

    def __init__(self):
        self.lock = threading.Lock()
        self.live, self.doubtful, self.revoked = [], [], []
        self.ruled = []        # refused by a rule; a token is on one page alone
        self.rules = rules.Rules()
        self.to_be_told = {}   # by the feed: hash -> until when, of all revocations that were acknowledged
        self.dropped = set()    # of doubtful ones that ended: the feed may tell of them, or not
        self.reader = feed_reader.Reader()  # follows the feed all the time (callers.py)
        self.by_wrong_clocks = set()  # hashes, as the feed has them: revoked while a clock was off
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
            for page in (self.live, self.doubtful, self.revoked, self.ruled):
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
                       if status in statuses and (name == operation if operation
                                                  else name not in (BORN_REVOKED, FEED)))

    def issued(self, token):
        """A rule may have been made since, or before, elsewhere: the token's iat says whether it is about it."""
        with self.lock:
            self.acknowledged += 1
            token.revoked_at = self.rules.refused_since(token)
            token.asked = self.rules.asked_about(token)
            (self.live if token.revoked_at is None else self.ruled).append(token)

    def issued_by_a_wrong_clock(self, token):
        """It may look expired, or not be valid yet; that nobody can count on it is all that can be said. But once it is
        revoked, that holds."""
        with self.lock:
            self.acknowledged += 1
            token.asked = token.by_wrong_clock = True
            self.doubtful.append(token)

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
            self.to_be_told[feed_reader.hash_of(token.text)] = token.expires_at + TOLERANCE_S

    def to_rule(self, chance):
        """A target and a time: of a token that is good, or one more time. What is covered is in doubt from now on."""
        with self.lock:
            doubtful, may = self.rules.doubtful, len(self.live) > KEPT_LIVE
            if doubtful and (not may or len(doubtful) > rules.DOUBTFUL or chance.random() < 0.5):
                return doubtful.pop(0)
            if not may:
                return None
            target, before = self.rules.choose(self.live[-1 - int(len(self.live) * chance.random() ** 4)], chance)
            self.rules.ask(target, before)
            for token in self.live:
                token.asked = token.asked or (target in token.targets and token.issued_at <= before)
            return target, before

    def not_ruled(self, target, before):
        with self.lock:
            self.rules.doubtful.append((target, before))

    def was_ruled(self, target, rule):
        with self.lock:
            self.acknowledged += 1
            self.rules.was_made(target, rule)
            covered = [token for token in self.live if target in token.targets and token.issued_at <= rule.before]
            for token in covered:
                token.revoked_at = rule.at
            self.live[:] = [token for token in self.live if token.revoked_at is None]
            self.ruled += covered

    def one_of(self, page, chance):
        """Mostly one of the latest: what a fault is about."""
        with self.lock:
            return page[-1 - int(len(page) * chance.random() ** 4)] if page else None

    def drop_expired(self):
        """What ends before the next fault does proves nothing any more."""
        until = time.time() + 120
        with self.lock:
            self.dropped |= {feed_reader.hash_of(token.text) for token in self.doubtful if token.expires_at <= until}
            for page in (self.live, self.doubtful, self.revoked, self.ruled):
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
        """The answer, or None when the instance was killed, or is just being. `path`: also with a query."""
        path = path.split("?")[0]
        life, begin = self.cluster.lives[i], time.monotonic()
        try:
            answer = self._wire(i).call(request)
        except TimeoutError:
            self.ledger.violation(f"instance {i} did not answer {path} within {DEADLINE_S} s")
        except (Closed, Broken, OSError) as fault:
            if self.cluster.is_up[i] and self.cluster.lives[i] == life:
                self.ledger.violation(f"instance {i} hung up on {path}: {fault!r}")
        else:
            born_revoked = answer.status == 503 and b"in this second" in answer.body
            self.ledger.count(BORN_REVOKED if born_revoked else path, answer.status, time.monotonic() - begin)
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

    def keys(self, i):
        answer = self.get(i, "/.well-known/jwks.json", 200)
        return answer.json()["keys"] if answer else None

    def kids(self, i):
        keys = self.keys(i)
        return None if keys is None else {key["kid"] for key in keys}

    def follow_feed(self, i, reader):
        """One page more. True: the tail; None: there is no answer now."""
        if self.cluster.clock_is_off(i):  # its pages are of another time, and no reader takes them
            return None
        answer = self.get(i, reader.path, 200, 503)
        if self.cluster.clock_is_off(i):  # since it was asked
            return None
        keys = self.keys(i) if answer and answer.status == 200 else None
        return reader.take(feed_reader.open_page(answer.body.decode(), keys)) if keys else None


def revoke(line, i, token):
    """Asks for it, and notes what came of it. Whether it was acknowledged."""
    was_off = line.cluster.clock_is_off(i)  # it may be put right before the answer is here
    answer = line.post(i, "/token/revoke", {"token": token.text, "reason": "a test"}, 200, 503)
    if was_off or line.cluster.clock_is_off(i) or token.by_wrong_clock:
        line.ledger.by_wrong_clocks.add(feed_reader.hash_of(token.text))
    if answer and answer.status == 200:
        line.ledger.was_revoked(token, time.monotonic())
        return True
    line.ledger.not_revoked(token)
    return False


def make_rule(line, i, target, before):
    """The same for a rule."""
    claim, value = target
    was_off = line.cluster.clock_is_off(i)
    answer = line.post(i, "/admin/revocations", {rules.MEMBERS[claim]: value, "before": before}, 200, 400, 503)
    if answer and answer.status == 400 and not was_off and not line.cluster.clock_is_off(i):
        line.ledger.violation(f"instance {i}, whose clock is right, takes {before} for the future")
    if not answer or answer.status != 200:
        line.ledger.not_ruled(target, before)
        return False
    body = answer.json()
    if body["before"] != before:
        line.ledger.violation(f"instance {i} makes a rule up to {body['before']}, asked for {before}")
    expires_at = tokens.seconds_of(body["expiresAt"])
    line.ledger.was_ruled(target, rules.Rule(body["before"], expires_at, time.monotonic()))
    return True


def rotate(cluster, ledger, i):
    """To another key at once. 409: others are at it, or too many keys are published."""
    line = Line(cluster, ledger)
    answer = line.post(i, "/admin/rotate-keys", {"immediate": True}, 200, 409, 503)
    if answer and answer.status == 200:
        ledger.rotated_to.add(answer.json()["newKeyId"])
    line.close()
