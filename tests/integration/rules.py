"""The ledger's rules (POST /admin/revocations): which were asked for, which acknowledged, and what that says of a
token. The lock is the ledger's."""

import hashlib
import time
from dataclasses import dataclass

MEMBERS = {"sub": "subject", "client_id": "clientId", "sid": "sessionId"}  # of the request, for a claim
DOUBTFUL = 10   # so many rules may be in doubt before one of them is repeated in any case


@dataclass(frozen=True)
class Rule:
    """One that was acknowledged: every token of its target whose iat is at most `before` is refused."""
    before: int
    expires_at: int
    at: float   # monotonic: when that was acknowledged


def hash_of(target):
    return hashlib.sha256(":".join(target).encode()).digest()


def made_with(target):
    """A session has a second rule, about grants that its user's logout leaves alone (docs/refresh-tokens.md)."""
    claim, value = target
    return [target, (claim, f"offline:{value}")] if claim == "sid" else [target]


class Rules:
    """A target is a claim and its value: ("sub", "user-1")."""

    def __init__(self):
        self.asked = {}         # target: the latest `before` that somebody has asked for
        self.acknowledged = {}  # target: Rule
        self.doubtful = []      # (target, before): asked for, and not acknowledged

    def choose(self, token, chance):
        """One that is about this token, but for the two clocks and the token's iat may leave it alone."""
        subject, client, *session = token.targets
        targets = [subject] * 6 + session * 4 + ([client] if client[1] != "agent" else [])
        now = int(time.time())
        return chance.choice(targets), chance.choice([now, now, now - 1, token.issued_at])

    def ask(self, target, before):
        for made in made_with(target):
            self.asked[made] = max(before, self.asked.get(made, 0))

    def was_made(self, target, rule):
        """Of several with the same target the latest `before` holds."""
        known = self.acknowledged.get(target)
        if known:
            rule = Rule(max(rule.before, known.before), max(rule.expires_at, known.expires_at),
                        rule.at if rule.before > known.before else known.at)
        for made in made_with(target):
            self.acknowledged[made] = rule

    def asked_about(self, token):
        return any(token.issued_at <= self.asked.get(target, 0) for target in token.targets)

    def refused_since(self, token):
        """When the first rule that refuses this token was acknowledged, or None."""
        rules = [self.acknowledged[target] for target in token.targets if target in self.acknowledged]
        return min((rule.at for rule in rules if token.issued_at <= rule.before), default=None)

    def spares(self, token):
        """Whether a rule is about others of this token's target, that are older."""
        return not self.asked_about(token) and any(target in self.acknowledged for target in token.targets)

    def in_force(self, until):
        """Those that end later."""
        return {target: rule for target, rule in self.acknowledged.items() if rule.expires_at > until}
