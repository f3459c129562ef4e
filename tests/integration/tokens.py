"""Compact tokens taken apart, and put together again in ways that must not be accepted."""

import base64
import json
from datetime import datetime

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]


def encode(data):
    """base64url without padding, RFC 7515 section 2."""
    data = data if isinstance(data, bytes) else data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def seconds_of(time_text):
    """Of a time in RFC 3339."""
    return int(datetime.fromisoformat(time_text).timestamp())


def header_of(token):
    return json.loads(decode(token.split(".")[0]))


def kind_of(token):
    """What its typ says; "access" of what is no token."""
    try:
        return {"rt+jwt": "refresh", "JWT": "id"}.get(header_of(token).get("typ"), "access")
    except (ValueError, AttributeError, TypeError):
        return "access"


def claims_of(token):
    return json.loads(decode(token.split(".")[1]))


def new_key(alg):
    if alg in ("RS256", "PS256"):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else ed25519.Ed25519PrivateKey.generate()


def raw_signature(key, alg, data):
    """RFC 7518 section 3 and RFC 8037 section 3.1, on the primitives."""
    if alg == "RS256":
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if alg == "PS256":
        return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    if alg == "ES256":
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return key.sign(data)


def sign(key, alg, header, payload):
    """A token of exactly this header and payload: objects, or the bytes themselves."""
    parts = [part if isinstance(part, (bytes, str)) else json.dumps(part) for part in (header, payload)]
    text = ".".join(encode(part) for part in parts)
    return text + "." + encode(raw_signature(key, alg, text.encode()))


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def flip(text, at):
    """Another character of the alphabet in the place of one: other bits, still base64url."""
    at %= len(text)
    return text[:at] + ("A" if text[at] != "A" else "Q") + text[at + 1:]


def same_bytes_other_text(part):
    """Another spelling of the same bytes: bits that decoding drops. None when the length leaves no such bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if len(part) % 4 == 0:
        return None
    last = alphabet[alphabet.index(part[-1]) ^ 1]
    assert decode(part[:-1] + last) == decode(part)
    return part[:-1] + last
