"""A reader of GET /revocations as docs/revocation-feed.md has it; what a page says is judged by PyJWT."""

import base64
import hashlib
import time

import jwt

import tokens

MEMBERS = {"iss", "iat", "exp", "epoch", "since", "next", "position", "more", "tokens", "rules"}


def hash_of(token):
    return hashlib.sha256(token.encode()).digest()[:16]


def open_page(text, published):
    """A page's claims, its signature checked with one of the published keys, and its entries: hash -> expiry."""
    header = jwt.get_unverified_header(text)
    assert header.keys() == {"alg", "typ", "kid"} and header["typ"] == "revocation-feed+jwt"
    (key,) = [key for key in published if key["kid"] == header["kid"]]
    page = jwt.decode(text, jwt.PyJWK(key), [key["alg"]], options={"verify_aud": False})
    assert page.keys() == MEMBERS and page["iat"] <= time.time() + 1 < page["exp"]
    packed = base64.urlsafe_b64decode(page["tokens"] + "=" * (-len(page["tokens"]) % 4))
    assert len(packed) % 20 == 0
    page["entries"] = {packed[at:at + 16]: int.from_bytes(packed[at + 16:at + 20], "big")
                       for at in range(0, len(packed), 20)}
    assert len(page["entries"]) * 20 == len(packed)
    return page


class Reader:
    """What was told up to now: tokens, hash -> expiry; and rules, (claim, hash) -> (before, expiry)."""

    def __init__(self):
        self.since, self.tokens, self.rules = 0, {}, {}
        self.epoch, self.begun_anew = None, 0

    @property
    def path(self):
        return f"/revocations?since={self.since}"

    def take(self, page):
        """The page that was asked for. True: it was the tail."""
        assert page["next"] > page["since"] == self.since if page["more"] else page["next"] == page["since"], page
        for token, expiry in page["entries"].items():
            self.tokens[token] = max(expiry, self.tokens.get(token, 0))
        for rule in page["rules"]:
            (claim,) = rule.keys() - {"before", "exp"}
            name, told = (claim, tokens.decode(rule[claim])), (rule["before"], rule["exp"])
            self.rules[name] = tuple(map(max, told, self.rules.get(name, told)))
        if self.epoch not in (None, page["epoch"]):  # other positions: all of it is read again
            self.epoch, self.since = page["epoch"], 0
            self.begun_anew += 1
            return False
        self.epoch = page["epoch"]
        # A tail that lies before what was asked for is of an instance that looked earlier: from there it goes on.
        self.since = page["next"]
        return not page["more"]
