"""Tokens of the service, judged by others: PyJWT and npm's jose, against the published keys; and the published keys
against those that KMS has."""

import re

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import tokens
from wire import PATIENCE_S

ISSUER = "https://auth.storytailor.ai"


def check_by_pyjwt(server, token, alg, issuer=ISSUER, leeway_s=0):
    """The claims, if all is right. `leeway_s`: for tokens that live for seconds."""
    key = jwt.PyJWKSet.from_dict(server.jwks())[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=[alg], issuer=issuer, audience="agent", leeway=leeway_s,
                      options={"require": ["exp", "iat", "nbf", "iss", "sub", "aud", "jti"]})


def check_by_jose(jose_cli, server, token, alg, issuer=ISSUER):
    """Good; and not with another signature."""
    head, signature = token.rsplit(".", 1)
    options = {"algorithms": [alg], "issuer": issuer, "audience": "agent"}
    good, bad = jose_cli([{"job": "jwt_verify", "jwks": server.jwks(), "token": text, "options": options}
                          for text in (token, head + "." + tokens.flip(signature, 20))])
    assert good["ok"], good
    assert not bad["ok"], "any signature is good"


def published_spki(server, kid):
    """The public key of the JWKS, as KMS has it: DER SubjectPublicKeyInfo."""
    return jwt.PyJWKSet.from_dict(server.jwks())[kid].key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def kms_signature(token, alg):
    """A token's signature as KMS knows it: DER for ECDSA."""
    raw = tokens.decode(token.split(".")[2])
    if alg != "ES256":
        return raw
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def refuses_to_serve(server, words):
    """It does not start, and its last line is one sentence that says why. `words`: a pattern of what it told."""
    begin = server.log_path.stat().st_size
    server.spawn()
    code = server.process.wait(PATIENCE_S)
    server.process = None
    told = server.log_path.read_text()[begin:]
    assert code != 0, "it started"
    *events, sentence = told.splitlines()
    assert re.fullmatch(r"token-service: [ -~]{20,400}", sentence), told
    assert re.search(words, told), told
    for credentials in server.kms.accounts.known.values():
        assert not [secret for secret in credentials.secrets if secret in told]
    server.log_path.write_text("".join(line + "\n" for line in events))  # whose form is looked at when it stops
