"""What AWS does with a signed request before it does anything else: who calls, is the signature right, is the time
right. The signature is botocore's, so that nothing here can share a mistake with the service's own (aws/sigv4.c)."""

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import botocore.credentials
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders

CLOCK_S = 300  # how far a signature's time may be from AWS's
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([^,\s]+)")
# AWS insists on these, if they are there, and on every x-amz-*.
MUST_BE_SIGNED = {"host", "content-type", "x-amz-date"}
MISMATCH = ("The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.")


class Refused(Exception):
    """An answer of AWS that is an error."""

    def __init__(self, code, message, status=400):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at: float | None = None  # Unix time

    def environment(self):
        names = {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}
        return names | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})

    @property
    def secrets(self):
        """What no log may hold."""
        return {self.secret_access_key} | ({self.session_token} if self.session_token else set())


class Accounts:
    """The credentials that are known, and what they may do."""

    def __init__(self):
        self.known = {}
        self.lock = threading.Lock()

    def issue(self, session=True, life_s=None):
        """New ones; of a session, with a token, unless told otherwise."""
        made = Credentials(("ASIA" if session else "AKIA") + secrets.token_hex(8).upper(), secrets.token_urlsafe(30),
                           secrets.token_urlsafe(200) if session else None, time.time() + life_s if life_s else None)
        with self.lock:
            self.known[made.access_key_id] = made
        return made

    def expire(self, credentials):
        """From now on AWS takes these for expired, whatever their holder was told."""
        with self.lock:
            self.known[credentials.access_key_id] = replace(credentials, expires_at=0)

    def forget(self, credentials):
        with self.lock:
            del self.known[credentials.access_key_id]

    def find(self, access_key_id):
        with self.lock:
            return self.known.get(access_key_id)


class _Signer(SigV4Auth):
    """botocore's, over exactly the headers that the caller says it signed."""

    def headers_to_sign(self, request):
        return request.headers


def amz_time(unix):
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def _unix_of(text):
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError as error:
        raise Refused("IncompleteSignatureException",
                      "Date must be in ISO-8601 'basic format'. Got something else.") from error


def _check_clock(stamp, now):
    signed, bound = _unix_of(stamp), f"{amz_time(now)} {{}} 5 min."
    if signed < now - CLOCK_S:
        raise Refused("InvalidSignatureException", f"Signature expired: {stamp} is now earlier than "
                      f"{amz_time(now - CLOCK_S)} ({bound.format('-')})")
    if signed > now + CLOCK_S:
        raise Refused("InvalidSignatureException", f"Signature not yet current: {stamp} is still later than "
                      f"{amz_time(now + CLOCK_S)} ({bound.format('+')})")


def _signature(credentials, scope, stamp, method, target, headers, signed, body):
    request = AWSRequest(method=method, url=f"http://{headers['host']}{target}", data=body)
    request.headers = HTTPHeaders()
    for name in signed:
        for value in headers.get_all(name):
            request.headers[name] = value
    request.context["timestamp"] = stamp
    _, region, service, _ = scope
    keys = botocore.credentials.Credentials(credentials.access_key_id, credentials.secret_access_key)
    signer = _Signer(keys, service, region)
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def _check_signed_headers(headers, signed):
    there = {name.lower() for name in headers}
    needed = {name for name in there if name in MUST_BE_SIGNED or name.startswith("x-amz-")}
    if needed - set(signed) or set(signed) - there or signed != sorted(signed):
        raise Refused("InvalidSignatureException", MISMATCH)


def authenticate(accounts, *, method, target, headers, body, now, service, region):
    """The caller's Credentials, or Refused in AWS's words. `headers`: an email.message.Message; `now`: AWS's time."""
    text = headers.get("authorization")
    if not text:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    parts = AUTHORIZATION.fullmatch(text.strip())
    scope = parts.group(1).split("/") if parts else []
    if len(scope) != 5 or scope[4] != "aws4_request" or not headers.get("x-amz-date"):
        raise Refused("IncompleteSignatureException", "Authorization header requires existence of either a "
                      "'X-Amz-Date' or a 'Date' header, a credential scope and all of its parts.")
    who, stamp, signed = accounts.find(scope[0]), headers["x-amz-date"], parts.group(2).split(";")
    if not who or not hmac.compare_digest(headers.get("x-amz-security-token") or "", who.session_token or ""):
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if scope[1:4] != [stamp[:8], region, service]:
        raise Refused("InvalidSignatureException", f"Credential should be scoped to a valid region and to service "
                      f"'{service}', and its date must be that of the request.")
    _check_clock(stamp, now)
    _check_signed_headers(headers, signed)
    expected = _signature(who, scope[1:], stamp, method, target, headers, signed, body)
    digest = headers.get("x-amz-content-sha256")
    if not hmac.compare_digest(expected, parts.group(3)) or digest not in (None, hashlib.sha256(body).hexdigest()):
        raise Refused("InvalidSignatureException", MISMATCH)
    if who.expires_at is not None and who.expires_at <= now:
        raise Refused("ExpiredTokenException", "The security token included in the request is expired")
    return who
