"""Callers of a cluster, at work all the time, and a watcher of what must be true at every moment."""

import random
import threading
import time

import psycopg

from cluster import COUNT, REDIS_TIMEOUT_S
from ledger import DEADLINE_S, WRONG_CLOCK, Line, Token, make_rule, revoke

# The strict policy's promise, whatever the machine does meanwhile: an instance that has not read the log since a
# revocation was acknowledged says for no longer than this that the token is good. The rest is the clock's grain.
LEASE_S = REDIS_TIMEOUT_S + 0.05
PAUSE_S = 0.003   # of a caller: the machine belongs to others as well


class Caller(threading.Thread):
    """One operation after the other. Those that may wait, at one instance: so while that one waits for what is away,
    others go on elsewhere. Or those that never wait, each at an instance that chance names."""

    def __init__(self, cluster, ledger, seed, instance=None):
        super().__init__(daemon=True)
        self.instance = instance
        self.cluster, self.ledger = cluster, ledger
        self.line = Line(cluster, ledger)
        self.chance = random.Random(seed)
        self.over = threading.Event()
        self.fault = None
        self.operations = [self.issue] * 15 + [self.revoke] * 9 + [self.make_rule] if instance is not None else [
            self.verify_live, self.introspect_live] + [self.verify_revoked] * 2 + [self.introspect_revoked]

    def run(self):
        try:
            while not self.over.wait(PAUSE_S):
                up = [i for i in self.cluster.up() if self.instance in (None, i)]
                if up:
                    self.chance.choice(self.operations)(self.chance.choice(up))
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault
        finally:
            self.line.close()

    def issue(self, i):
        kind = self.chance.choice(["access", "access", "refresh", "id"])
        is_off = self.cluster.clock_is_off(i)
        session = {"sid": f"session-{self.chance.randrange(200)}"} if self.chance.random() < 0.3 else {}
        answer = self.line.post(i, "/token", {
            "subject": f"user-{self.chance.randrange(200)}", "scope": "", "tokenType": kind, "claims": session,
            "clientId": "reader" if self.chance.random() < 0.05 else "agent"}, 200, 503)
        if answer and answer.status == 200:
            token = Token.of(answer.json()["token"], kind)
            is_off = is_off or self.cluster.clock_is_off(i)
            (self.ledger.issued_by_a_wrong_clock if is_off else self.ledger.issued)(token)

    def revoke(self, i):
        token = self.ledger.to_revoke(self.chance)
        if token:
            revoke(self.line, i, token)

    def make_rule(self, i):
        asked = self.ledger.to_rule(self.chance)
        if asked:
            make_rule(self.line, i, *asked)

    def one_revoked(self):
        return self.ledger.one_of(self.chance.choice([self.ledger.revoked, self.ledger.ruled]), self.chance)

    def verify_live(self, i):
        token = self.ledger.one_of(self.ledger.live, self.chance)
        answer = token and self.line.post(i, "/token/verify", token.question, 200, 401, 503)
        if answer and answer.status == 401 and not token.asked:
            self.look_again(i, token)

    def look_again(self, i, token):
        """A good token was refused. That is right for one thing alone: a key that signs since a moment, by an
        immediate rotation, and that this instance has not heard of."""
        if self.cluster.clock_is_off(i):  # by its clock the token has expired, or is not valid yet
            self.ledger.count(WRONG_CLOCK, 401)
            return
        kids = self.line.kids(i)
        if kids is None or token.kid not in kids:
            self.ledger.count("unknown kid", 401)
            return
        answer = self.line.post(i, "/token/verify", token.question, 200, 401, 503)
        if self.cluster.clock_is_off(i):  # since it was looked at
            self.ledger.count(WRONG_CLOCK, 401)
        elif answer and answer.status == 401 and not token.asked:
            self.ledger.broken(token, f"instance {i} refuses a good {token.kind} token: {answer.body}")

    def verify_revoked(self, i):
        token = self.one_revoked()
        asked_at = time.monotonic()
        answer = token and self.line.post(i, "/token/verify", token.question, 200, 401, 503)
        if answer and answer.status == 200:
            self.was_let_in(i, token, asked_at)

    def introspect_live(self, i):
        token = self.ledger.one_of(self.ledger.live, self.chance)
        answer = token and self.line.post(i, "/token/introspect", {"token": token.text}, 200, 503)
        if answer and answer.status == 200 and not answer.json()["active"] and not token.asked:
            self.look_again(i, token)

    def introspect_revoked(self, i):
        token = self.one_revoked()
        asked_at = time.monotonic()
        answer = token and self.line.post(i, "/token/introspect", {"token": token.text}, 200, 503)
        if answer and answer.status == 200 and answer.json()["active"]:
            self.was_let_in(i, token, asked_at)

    def was_let_in(self, i, token, asked_at):
        late_s = asked_at - token.revoked_at
        if late_s > LEASE_S:
            self.ledger.broken(token, f"instance {i} takes a {token.kind} token {late_s:.3f} s after its revocation "
                                      f"was acknowledged")


class Watcher(threading.Thread):
    """Looks again and again at what must be true at every moment."""

    def __init__(self, cluster, ledger, seed, memory_kib):
        super().__init__(daemon=True)
        self.chance = random.Random(seed)
        self.cluster, self.ledger, self.memory_kib = cluster, ledger, memory_kib
        self.line = Line(cluster, ledger)
        self.over = threading.Event()
        self.fault = None
        self.published = {}   # (instance, its life): the keys that it once published
        self.looked = 0

    def run(self):
        try:
            while not self.over.wait(0.2):
                self.keys_in_the_store()
                self.follow_feed()
                for i in self.cluster.up():
                    self.keys_of(i)
                    self.memory_of(i)
                self.looked += 1
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault
        finally:
            self.line.close()

    def follow_feed(self):
        """As one who asks another instance each time. What it was told is looked at in the end."""
        up = self.cluster.up()
        if up:
            self.line.follow_feed(self.chance.choice(up), self.ledger.reader)

    def keys_in_the_store(self):
        try:
            active = self.cluster.rows("SELECT kid FROM oauth_jwks WHERE state = 'active'")
        except psycopg.OperationalError:
            return  # it is away
        if len(active) != 1:
            self.ledger.violation(f"{len(active)} keys are active: {active}")

    def keys_of(self, i):
        life = self.cluster.lives[i]
        kids = self.line.kids(i)
        if kids is None or life != self.cluster.lives[i]:
            return
        with self.ledger.lock:
            needed = {token.kid for token in self.ledger.live}
        before = self.published.setdefault((i, life), set())
        gone = before & needed - kids
        if gone:
            self.ledger.violation(f"instance {i} publishes {gone} no more, whose tokens are good")
        before |= kids

    def memory_of(self, i):
        life = self.cluster.lives[i]
        try:
            resident = self.cluster.servers[i].resident_kib()
        except (OSError, AttributeError):
            return  # it was killed
        if resident > self.memory_kib and life == self.cluster.lives[i]:
            self.ledger.violation(f"instance {i} takes {resident} KiB of memory")


class Load:
    """As a context: callers and the watcher at work; none of them may have failed itself."""

    def __init__(self, cluster, ledger, chance, memory_kib):
        self.threads = [Caller(cluster, ledger, chance.random(), instance)
                        for instance in (*range(COUNT), *range(COUNT), None, None, None)]
        self.threads.append(Watcher(cluster, ledger, chance.random(), memory_kib))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        for thread in self.threads:
            thread.over.set()
        for thread in self.threads:
            thread.join(2 * DEADLINE_S)
            if not kind:
                assert not thread.is_alive(), "a caller hangs"
                if thread.fault:
                    raise thread.fault
        assert kind or self.threads[-1].looked > 0, "the watcher has not looked once"
