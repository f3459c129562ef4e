#!/usr/bin/env python3
"""How a service verifies access tokens by itself, in Python (3.11 or later) with the package cryptography. It fetches
the issuer's public keys, follows its revocation feed (docs/revocation-feed.md), and from then on asks nobody.

    from verify import Refused, Verifier
    verifier = Verifier(issuer_url="https://auth.example", issuer="https://auth.example",
                        audience="https://api.example")
    verifier.start()
    claims = verifier.verify(token)     # raises Refused, whose text is one word; from any thread

As a command: tokens come in a line each, "ok <sub>" or "refused <why>" goes out for each.

    python3 verify.py --issuer-url http://127.0.0.1:8080 --issuer https://auth.example --audience https://api.example

verify.mjs and verify.c beside it do the same.
"""

import argparse
import base64
import binascii
import hashlib
import http.client
import json
import re
import sys
import threading
import time
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

POLL_S = 0.8            # with a cache of one second in between, a revocation is known within two
TIMEOUT_S = 5           # of one request
SKEW_S = 30             # how far the clocks of the issuer and of this machine may differ
UNKNOWN_KEY_S = 10      # an unknown kid has the keys fetched again at most that often
TOKEN_MAX, PAGE_MAX, KEYS_MAX = 16 * 1024, 2 * 1024 * 1024, 256 * 1024  # bytes
HASH_BYTES, ENTRY_BYTES = 16, 20
RULES = ("sub", "client_id", "sid", "all")
TIME_MAX = 2**53 - 1


class Refused(Exception):
    """A token that is not good."""


def now_s():
    return int(time.time())


# --- parts of a JWS ---------------------------------------------------------------------------------------------------

def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    """base64url without padding, in the one spelling that its bytes have."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        data = None
    if data is None or encode(data) != text:
        raise Refused("malformed")
    return data


def parse_object(data):
    try:
        value = json.loads(data.decode())
    except (UnicodeDecodeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused("malformed")
    return value


def is_time(value):
    return type(value) is int and 0 <= value <= TIME_MAX


def is_hash(value):
    """32 bytes in base64url."""
    return isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", value) is not None


def text_of(value, name):
    return value[name] if isinstance(value.get(name), str) else ""


def media_type(typ):
    """Its "application/" may be left out (RFC 7515 section 4.1.9)."""
    return typ.lower().removeprefix("application/")


# --- keys: one algorithm each -----------------------------------------------------------------------------------------

def rsa_key(jwk, scheme):
    numbers = rsa.RSAPublicNumbers(*(int.from_bytes(decode(jwk[name]), "big") for name in ("e", "n")))
    key = numbers.public_key()
    if key.key_size < 2048:
        raise ValueError("the key is too short")
    return lambda signature, data: key.verify(signature, data, scheme, hashes.SHA256())


def ec_key(jwk):
    x, y = (int.from_bytes(decode(jwk[name]), "big") for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

    def verify(signature, data):
        if len(signature) != 64:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    return verify


# alg -> (kty, crv, how to make a check of signatures of a JWK); RFC 7518 section 3, RFC 8037.
ALGORITHMS = {
    "RS256": ("RSA", None, lambda jwk: rsa_key(jwk, padding.PKCS1v15())),
    "PS256": ("RSA", None, lambda jwk: rsa_key(jwk, padding.PSS(padding.MGF1(hashes.SHA256()), 32))),
    "ES256": ("EC", "P-256", ec_key),
    "EdDSA": ("OKP", "Ed25519", lambda jwk: ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"])).verify),
}


def key_of(jwk):
    """(kid, (alg, check of signatures)), or None for a key that is not for this."""
    kty, crv, make = ALGORITHMS.get(text_of(jwk, "alg"), (None, None, None))
    if not kty or (jwk.get("kty"), jwk.get("crv")) != (kty, crv) or not text_of(jwk, "kid") or \
            jwk.get("use", "sig") != "sig":
        return None
    try:
        return jwk["kid"], (jwk["alg"], make(jwk))
    except (KeyError, TypeError, ValueError, Refused):
        return None


# --- the revoked tokens -----------------------------------------------------------------------------------------------

class RevokedTokens:
    """A hash table in one buffer, some 27 to 53 bytes a token: 16 bytes of the hash, 4 of the expiry, 0 where nothing
    is."""

    def __init__(self, capacity=1024):
        self.capacity = capacity
        self.slots = bytearray(capacity * ENTRY_BYTES)
        self.used = 0

    def _find(self, digest):
        """Where a hash is, or would be. Hashes are spread already: their first bytes will do."""
        slot = int.from_bytes(digest[:4], "big") % self.capacity
        while True:
            at = slot * ENTRY_BYTES
            if not self._expiry(at) or self.slots[at:at + HASH_BYTES] == digest:
                return at
            slot = (slot + 1) % self.capacity

    def _expiry(self, at):
        return int.from_bytes(self.slots[at + HASH_BYTES:at + ENTRY_BYTES], "big")

    def __contains__(self, digest):
        return self._expiry(self._find(digest)) != 0

    def add(self, digest, expiry, now):
        if 4 * (self.used + 1) > 3 * self.capacity:
            self._rebuild(now)
        at = self._find(digest)
        before = self._expiry(at)
        self.used += before == 0
        self.slots[at:at + ENTRY_BYTES] = digest + max(before, expiry).to_bytes(4, "big")

    def _rebuild(self, now):
        """Without those that have expired; half full at most."""
        live = [at for at in range(0, len(self.slots), ENTRY_BYTES) if self._expiry(at) > now]
        capacity = 1024
        while capacity < 2 * (len(live) + 1):
            capacity *= 2
        bigger = RevokedTokens(capacity)
        for at in live:
            bigger.add(bytes(self.slots[at:at + HASH_BYTES]), self._expiry(at), now)
        self.capacity, self.slots, self.used = bigger.capacity, bigger.slots, bigger.used


# --- the verifier -----------------------------------------------------------------------------------------------------

class Verifier:
    def __init__(self, issuer_url, issuer, audience, log=lambda line: print(line, file=sys.stderr, flush=True)):
        self._url = urlsplit(issuer_url.rstrip("/"))
        self._issuer, self._audience, self._log = issuer, audience, log
        self._lock = threading.Lock()           # of what is known; never held while a request is under way
        self._fetching = threading.Lock()       # held while keys are fetched: many unknown ones make one fetch
        self._keys = {}                         # kid -> (alg, check of signatures)
        self._keys_at = 0                       # s; when they were asked for last
        self._keys_until = 0                    # s; when they are to be fetched again
        self._tokens = RevokedTokens()
        self._rules = {kind: {} for kind in RULES}  # kind -> {hash: (before, exp)}
        self._epoch = ""                        # whose positions _since is one of; "": none yet
        self._since = 0                         # the page to read next
        self._begins = False                    # from 0, until the tail has been read
        self._fresh_until = 0                   # s; until then it is known what is revoked
        self._fresh_end = 0                     # the same, by a clock that nobody sets back; time.monotonic()
        self._etag = None                       # of the tail, while _since stays
        self._connection = None                 # the follower's
        self._stopped = threading.Event()
        self._fault = ""                        # what was logged last

    def start(self):
        """Reads the keys and the feed, then follows it. When that fails it goes on trying: until then every token is
        refused."""
        self._connection = self._connect()
        self._round()
        threading.Thread(target=self._follow, daemon=True).start()

    def stop(self):
        self._stopped.set()

    def _follow(self):
        while not self._stopped.wait(POLL_S):
            self._round()

    def _round(self):
        try:
            if now_s() >= self._keys_until:
                with self._fetching:
                    self._fetch_keys(self._connection)
            self._read_feed()
            self._say("")
        except (OSError, http.client.HTTPException, ValueError, Refused) as error:
            self._connection.close()
            self._say(str(error) or type(error).__name__)

    def _say(self, fault):
        """What fails again and again is said once."""
        if fault != self._fault:
            self._log(f"verify: {fault}" if fault else "verify: the feed is followed again")
        self._fault = fault

    def _connect(self):
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._url.hostname, self._url.port, timeout=TIMEOUT_S)

    def _get(self, connection, path, most, headers=None):
        """An answer and its body, of at most `most` bytes. The connection is used again."""
        connection.request("GET", self._url.path + path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read(most + 1)
        if len(body) > most:
            raise ValueError(f"{path} is too large")
        if answer.status not in (200, 304):
            raise ValueError(f"{path} answers {answer.status}")
        return answer, body

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _fetch_keys(self, connection):
        """When it fails, the keys that are there stay."""
        self._keys_at = now_s()
        answer, body = self._get(connection, "/.well-known/jwks.json", KEYS_MAX)
        jwks = parse_object(body).get("keys")
        found = (key_of(jwk) for jwk in (jwks if isinstance(jwks, list) else []) if isinstance(jwk, dict))
        max_age = re.search(r"max-age=(\d+)", answer.getheader("Cache-Control", ""))
        self._keys_until = now_s() + min(max(int(max_age[1]) if max_age else 60, UNKNOWN_KEY_S), 3600)
        self._keys = dict(filter(None, found))

    def _key(self, kid):
        if kid not in self._keys:
            with self._fetching:
                if kid not in self._keys and now_s() >= self._keys_at + UNKNOWN_KEY_S:
                    connection = self._connect()
                    try:
                        self._fetch_keys(connection)
                    except (OSError, http.client.HTTPException, ValueError, Refused) as error:
                        self._say(str(error) or type(error).__name__)
                    finally:
                        connection.close()
        key = self._keys.get(kid)
        if not key:
            raise Refused("unknown_key")
        return key

    def _open(self, jws, typ, most):
        """The payload of a compact JWS of that typ, signed by a key of the issuer's. The algorithm is the key's, never
        the token's (RFC 8725 section 3.1)."""
        if len(jws) > most or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}", jws, re.ASCII):
            raise Refused("malformed")
        header_text, payload, signature = jws.split(".")
        header = parse_object(decode(header_text))
        if header.keys() & {"crit", "b64", "zip"} or not text_of(header, "alg"):
            raise Refused("malformed")
        if media_type(text_of(header, "typ")) != typ:
            raise Refused("type")
        signature = decode(signature)
        alg, check = self._key(text_of(header, "kid"))
        if header["alg"] != alg:
            raise Refused("algorithm")
        try:
            check(signature, f"{header_text}.{payload}".encode())
        except InvalidSignature:
            raise Refused("signature") from None
        return parse_object(decode(payload))

    # --- the feed -----------------------------------------------------------------------------------------------------

    def _read_feed(self):
        """Page by page up to the tail, which is the one that says how things stand. What was once read stays known, so
        an old page that somebody shows again takes nothing away, and makes nothing fresh for longer than its own
        exp."""
        has_started_over = False
        while True:
            headers = {"If-None-Match": self._etag} if self._etag else {}
            if self._begins:
                headers = {"Cache-Control": "no-cache"}  # a cache may hold pages of another sequence
            answer, body = self._get(self._connection, f"/revocations?since={self._since}", PAGE_MAX, headers)
            if answer.status == 304:
                return
            try:
                page = self._open_page(body.decode("latin-1"))
                self._apply(page)
            except Refused as error:
                raise ValueError(f"a page of the feed is not believed: {error}") from None
            self._etag = None
            is_another = self._epoch not in ("", page["epoch"])
            self._epoch = page["epoch"]
            if is_another or (not page["more"] and page["since"] < self._since and not has_started_over):
                self._since, self._begins = 0, True  # positions are given anew
                if has_started_over:
                    raise ValueError("the feed tells of two sequences")
                has_started_over = True
            elif page["more"]:
                self._since = page["next"]
            else:
                self._since, self._begins = page["since"], False
                self._fresh_until = max(self._fresh_until, page["exp"])
                self._fresh_end = max(self._fresh_end, time.monotonic() + page["exp"] - now_s())
                self._etag = answer.getheader("ETag")
                return

    def _open_page(self, jws):
        """A page that fits the one that was asked for. Another one could leave out what lies between."""
        page = self._open(jws, "revocation-feed+jwt", PAGE_MAX)
        if not all(is_time(page.get(name)) for name in ("iat", "exp", "since", "next")) or \
                not isinstance(page.get("more"), bool) or not isinstance(page.get("tokens"), str) or \
                not isinstance(page.get("rules"), list) or page.get("iss") != self._issuer or \
                not re.fullmatch(r"[0-9a-f]{16}", text_of(page, "epoch"), re.ASCII):
            raise Refused("claims")
        if page["exp"] <= now_s():
            raise Refused("expired")
        if page["iat"] > now_s() + SKEW_S:
            raise Refused("not_yet_valid")
        since, following = page["since"], page["next"]
        fits = since == self._since and following > since if page["more"] else \
            since <= self._since and following == since
        if not fits:
            raise Refused("position")
        return page

    def _apply(self, page):
        now, entries = now_s(), decode(page["tokens"])
        if len(entries) % ENTRY_BYTES:
            raise Refused("claims")
        with self._lock:
            for rule in page["rules"]:
                self._apply_rule(rule)
            for at in range(0, len(entries), ENTRY_BYTES):
                expiry = int.from_bytes(entries[at + HASH_BYTES:at + ENTRY_BYTES], "big")
                if expiry > now:
                    self._tokens.add(entries[at:at + HASH_BYTES], expiry, now)
            for kind, known in self._rules.items():
                self._rules[kind] = {digest: rule for digest, rule in known.items() if rule[1] > now}

    def _apply_rule(self, rule):
        """A kind that is not known here can't be followed, and so the feed can't."""
        kinds = [kind for kind in RULES if isinstance(rule, dict) and text_of(rule, kind)]
        if len(kinds) != 1 or not is_time(rule.get("before")) or not is_time(rule.get("exp")):
            raise Refused("claims")
        known, digest = self._rules[kinds[0]], rule[kinds[0]]
        before, exp = known.get(digest, (0, 0))
        known[digest] = max(before, rule["before"]), max(exp, rule["exp"])

    # --- a token ------------------------------------------------------------------------------------------------------

    def verify(self, token):
        """Its claims, when it is good."""
        claims = self._open(token, "at+jwt", TOKEN_MAX)
        self._check_claims(claims)
        digest = hashlib.sha256(token.encode()).digest()[:HASH_BYTES]
        with self._lock:
            if digest in self._tokens or self._has_lost_its_parent(claims) or self._is_ruled_out(claims):
                raise Refused("revoked")
            if now_s() >= self._fresh_until or time.monotonic() >= self._fresh_end:
                raise Refused("feed_stale")
        return claims

    def _check_claims(self, claims):
        audience = [claims["aud"]] if isinstance(claims.get("aud"), str) else claims.get("aud")
        if not text_of(claims, "sub") or not isinstance(audience, list) or \
                not all(is_time(claims.get(name)) for name in ("exp", "iat")) or \
                not all(is_time(claims.get(name, 0)) for name in ("nbf", "issued_after")) or \
                not self._has_whole_parent(claims):
            raise Refused("claims")
        if claims.get("iss") != self._issuer:
            raise Refused("issuer")
        if self._audience not in audience:
            raise Refused("audience")
        if now_s() >= claims["exp"] + SKEW_S:
            raise Refused("expired")
        if max(claims.get("nbf", 0), claims["iat"]) > now_s() + SKEW_S:
            raise Refused("not_yet_valid")

    @staticmethod
    def _has_whole_parent(claims):
        """All that a token says of the one that it was issued with, or nothing."""
        if "parent_hash" not in claims:
            return "parent_client_id" not in claims and "parent_iat" not in claims
        return is_hash(claims["parent_hash"]) and text_of(claims, "parent_client_id") and \
            is_time(claims.get("parent_iat"))

    def _has_lost_its_parent(self, claims):
        """A token that was issued with a token is revoked with it."""
        return "parent_hash" in claims and decode(claims["parent_hash"])[:HASH_BYTES] in self._tokens

    def _is_ruled_out(self, claims):
        """By a rule about itself, or about the token that it was issued with, which was its client's own."""
        values = {"sub": claims["sub"], "client_id": claims.get("client_id", claims.get("azp")),
                  "sid": claims.get("sid"), "all": ""}
        parent = claims.get("parent_client_id")
        return self._is_covered(values, claims["iat"], claims) or parent is not None and \
            self._is_covered({"sub": parent, "client_id": parent, "all": ""}, claims["parent_iat"], claims)

    def _is_covered(self, values, issued_at, claims):
        for kind, value in values.items():
            if self._rules[kind] and isinstance(value, str):
                digest = encode(hashlib.sha256(f"{kind}:{value}".encode()).digest())
                before, expiry = self._rules[kind].get(digest, (-1, 0))
                if issued_at <= before and claims.get("issued_after", 0) <= expiry:
                    return True
        return False


# --- the command ------------------------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description="Verifies access tokens, a line each, from standard input.")
    for name in ("--issuer-url", "--issuer", "--audience"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    verifier = Verifier(given.issuer_url, given.issuer, given.audience)
    verifier.start()
    for line in sys.stdin:
        try:
            sub = verifier.verify(line.removesuffix("\n"))["sub"]
            print("ok", re.sub(r"[\x00-\x1f\x7f]", "?", sub), flush=True)  # one line each, whatever it holds
        except Refused as error:
            print("refused", error, flush=True)
    verifier.stop()


if __name__ == "__main__":
    main()
