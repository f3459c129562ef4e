"""What this service signs, everybody else verifies; what they sign, it verifies; and neither takes the neighbours."""

import hashlib
import hmac
import json
from urllib.parse import urlencode

import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jws as joserfc_jws
from joserfc.jwk import JWKRegistry, KeySet
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto import jwt as jwcrypto_jwt

import tokens
from service import run
from tokens import ALGORITHMS

ISSUER = "https://auth.storytailor.ai"


@pytest.fixture(scope="module")
def servers(make_server):
    """One for each algorithm, started when it is first asked for."""
    running = {}

    def get(alg):
        if alg not in running:
            server = make_server(TOKEN_SIGNING_ALG=alg).start()
            running[alg] = server, server.add_client("agent")
        return running[alg]

    return get


# --- our tokens, their code -----------------------------------------------------------------------------------------

def decode_pyjwt(jwks, token, alg):
    kid = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWKSet.from_dict(jwks)[kid]
    return jwt.decode(token, key, algorithms=[alg], issuer=ISSUER, audience="agent",
                      options={"require": ["exp", "iat", "nbf", "iss", "sub", "aud", "jti"]})


def decode_jwcrypto(jwks, token, alg):
    checked = jwcrypto_jwt.JWT(algs=[alg], check_claims={"iss": ISSUER, "exp": None, "nbf": None, "jti": None})
    checked.deserialize(token, jwcrypto_jwk.JWKSet.from_json(json.dumps(jwks)))
    return json.loads(checked.claims)


def decode_joserfc(jwks, token, alg):
    checked = joserfc_jws.deserialize_compact(token, KeySet.import_key_set(jwks), algorithms=[alg])
    return json.loads(checked.payload)


@pytest.mark.parametrize("decode", [decode_pyjwt, decode_jwcrypto, decode_joserfc])
@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_python_libraries_verify_our_tokens_against_the_jwks(servers, alg, kind, decode):
    server, agent = servers(alg)
    issued = server.issue(agent, subject="úser ✓", tokenType=kind, claims={"name": "Zoë \U0001f600", "n": [1, 2.5]})
    assert decode(server.jwks(), issued["token"], alg) == issued["claims"]


@pytest.mark.parametrize("decode", [decode_pyjwt, decode_jwcrypto, decode_joserfc])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_python_libraries_refuse_our_token_once_changed(servers, alg, decode):
    """The neighbour of the test above: its libraries do check."""
    server, agent = servers(alg)
    header, payload, signature = server.token(agent).split(".")
    with pytest.raises(Exception):
        decode(server.jwks(), ".".join([header, payload, tokens.flip(signature, 20)]), alg)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_npm_jose_verifies_our_tokens_against_the_jwks(servers, jose_cli, alg):
    server, agent = servers(alg)
    issued = {kind: server.issue(agent, tokenType=kind) for kind in ("access", "refresh", "id")}
    types = {"access": "at+jwt", "refresh": "rt+jwt", "id": "JWT"}
    options = {"issuer": ISSUER, "audience": "agent", "algorithms": [alg], "requiredClaims": ["jti", "nbf", "sub"]}
    jobs = [{"job": "jwt_verify", "jwks": server.jwks(), "token": issued[kind]["token"],
             "options": options | {"typ": types[expected]}} for kind in types for expected in types]
    outcomes = iter(jose_cli(jobs))
    for kind in types:
        for expected in types:
            outcome = next(outcomes)
            assert outcome["ok"] == (kind == expected), (kind, expected, outcome)
            if outcome["ok"]:
                assert outcome["payload"] == issued[kind]["claims"]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_kid_is_the_rfc_7638_thumbprint(servers, jose_cli, alg):
    server, agent = servers(alg)
    key = server.active_jwk()
    (outcome,) = jose_cli([{"job": "thumbprint", "key": key}])
    theirs = {outcome["thumbprint"], jwcrypto_jwk.JWK(**key).thumbprint(), JWKRegistry.import_key(key).thumbprint()}
    assert theirs == {key["kid"]}
    assert tokens.header_of(server.token(agent))["kid"] == key["kid"]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_jwks_holds_public_members_alone(servers, alg):
    server, _ = servers(alg)
    public = {"RS256": {"n", "e"}, "PS256": {"n", "e"}, "ES256": {"crv", "x", "y"}, "EdDSA": {"crv", "x"}}[alg]
    keys = server.settled().jwks()["keys"]
    assert len(keys) == 2, "the one that signs, and the one that will"
    for key in keys:
        assert key.keys() == {"kid", "kty", "use", "alg"} | public
        assert (key["use"], key["alg"]) == ("sig", alg)


# --- their tokens, our program --------------------------------------------------------------------------------------

HEADER = {"typ": "JWT"}
PAYLOAD = '{"iss":"someone else","exp":1,"name":"Zoë"}'


def sign_pyjwt(key, alg):
    return jwt.api_jws.encode(PAYLOAD.encode(), key, alg, HEADER)


def _jwcrypto_key(key):
    return jwcrypto_jwk.JWK.from_pyca(key)


def sign_jwcrypto(key, alg):
    made = jwcrypto_jws.JWS(PAYLOAD.encode())
    made.add_signature(_jwcrypto_key(key), alg, json.dumps(HEADER | {"alg": alg}))
    return made.serialize(compact=True)


def sign_joserfc(key, alg):
    private = JWKRegistry.import_key(_jwcrypto_key(key).export_private(as_dict=True))
    return joserfc_jws.serialize_compact(HEADER | {"alg": alg}, PAYLOAD, private, algorithms=[alg])


@pytest.fixture(scope="module")
def keys():
    """Two pairs for each algorithm: the right one and a stranger's."""
    return {alg: (tokens.new_key(alg), tokens.new_key(alg)) for alg in ALGORITHMS}


@pytest.fixture
def jwk_file(tmp_path):
    """A file with the public JWK of a private key."""
    def write(key, **members):
        path = tmp_path / "key.jwk"
        path.write_text(json.dumps(_jwcrypto_key(key.public_key()).export_public(as_dict=True) | members))
        return path

    return write


def check(jwk_path, token, expect):
    done = run("token", "verify", "--key", str(jwk_path), stdin=token, expect=expect)
    assert (done.stdout == "valid\n") == (expect == 0), done.stdout
    assert (done.stderr == "") == (expect == 0), done.stderr
    return done


@pytest.mark.parametrize("signer", [sign_pyjwt, sign_jwcrypto, sign_joserfc])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_tokens_of_python_libraries_verify_with_their_key_and_no_other(keys, jwk_file, alg, signer):
    key, stranger = keys[alg]
    token = signer(key, alg)
    check(jwk_file(key, alg=alg), token, 0)
    check(jwk_file(key, alg=alg), token + "\n", 0)
    check(jwk_file(stranger, alg=alg), token, 1)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_tokens_of_npm_jose_verify_with_their_key_and_no_other(keys, jwk_file, jose_cli, alg):
    key, stranger = keys[alg]
    private = _jwcrypto_key(key).export_private(as_dict=True)
    jobs = [{"job": "sign", "key": private, "header": HEADER | {"alg": alg}, "payload": payload}
            for payload in (PAYLOAD, "not JSON at all", "x" * 4000)]
    for outcome in jose_cli(jobs):
        assert outcome["ok"], outcome
        check(jwk_file(key, alg=alg), outcome["token"], 0)
        check(jwk_file(stranger, alg=alg), outcome["token"], 1)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_an_empty_payload_is_one(keys, jwk_file, jose_cli, alg):
    """RFC 7515 section 5.1: the payload is any sequence of bytes. (No JWT has none, and no token of the service.)"""
    key, stranger = keys[alg]
    token = tokens.sign(key, alg, {"alg": alg}, "")
    public = _jwcrypto_key(key.public_key()).export_public(as_dict=True)
    (read,) = jose_cli([{"job": "jws_verify", "key": public, "alg": alg, "token": token}])
    assert read == {"ok": True, "payload": ""}
    check(jwk_file(key, alg=alg), token, 0)
    check(jwk_file(stranger, alg=alg), token, 1)
    header, payload, signature = token.split(".")
    check(jwk_file(key, alg=alg), f"{header}.{payload}{signature}", 1)
    check(jwk_file(key, alg=alg), f"{header}.{payload}.", 1)
    check(jwk_file(key, alg=alg), f".{payload}.{signature}", 1)


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_a_key_without_alg_is_pinned_to_the_one_of_its_type(keys, jwk_file, alg):
    key, _ = keys[alg]
    check(jwk_file(key), sign_pyjwt(key, alg), 0)
    if alg == "RS256":
        check(jwk_file(key), sign_pyjwt(key, "PS256"), 1)


def neighbours(key, alg):
    """What is one step away from a good token, and must be refused: RFC 8725 section 3.1 to 3.4, RFC 7515 7.1."""
    good = sign_pyjwt(key, alg)
    header, payload, signature = good.split(".")
    signed = f"{header}.{payload}"
    none = tokens.encode('{"alg":"none","typ":"JWT"}')
    yield "payload changed", f"{header}.{tokens.encode(PAYLOAD.replace('1', '9'))}.{signature}"
    yield "payload's other spelling", f"{header}.{tokens.flip(payload, 5)}.{signature}"
    yield "header changed", f"{tokens.encode(json.dumps({'alg': alg}))}.{payload}.{signature}"
    for at in (0, len(signature) // 2, -2):
        yield f"signature changed at {at}", f"{signed}.{tokens.flip(signature, at)}"
    yield "signature cut", f"{signed}.{signature[:-4]}"
    yield "signature longer", f"{signed}.{signature}AAAA"
    yield "signature empty", f"{signed}."
    yield "no signature", signed
    yield "five parts", f"{good}.{payload}.{signature}"
    yield "padding", f"{good}{'=' * (-len(signature) % 4) or '='}"
    yield "white space behind", good + " "
    yield "white space before", " " + good
    yield "line break inside", good[:40] + "\n" + good[40:]
    yield "NUL behind", good + "\0"
    yield "standard alphabet", f"{signed}.+/{signature[2:]}"
    for part in range(3):
        parts = good.split(".")
        other = tokens.same_bytes_other_text(parts[part])
        if other:
            parts[part] = other
            yield f"stray bits in part {part}", ".".join(parts)
    for name in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {name!r}", f"{tokens.encode(json.dumps({'alg': name}))}.{payload}.{signature}"
    yield "alg none, no signature", f"{none}.{payload}."
    yield "alg none, some signature", f"{none}.{payload}.{signature}"
    for wrong in ("HS256", "RS512", "ES384", alg.lower(), alg + " ", " " + alg, alg + "\0"):
        yield f"good signature under alg {wrong!r}", tokens.sign(key, alg, {"alg": wrong}, PAYLOAD)
    for wrong in (None, 256, ["RS256"], {}, True):
        yield f"good signature under alg {wrong!r}", tokens.sign(key, alg, {"alg": wrong}, PAYLOAD)
    yield "good signature, no alg", tokens.sign(key, alg, {"typ": "JWT"}, PAYLOAD)
    for extension in ({"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": False},
                      {"zip": "DEF"}):
        yield f"good signature with {extension}", tokens.sign(key, alg, {"alg": alg} | extension, PAYLOAD)
    yield "alg twice", tokens.sign(key, alg, f'{{"alg":"none","alg":"{alg}"}}', PAYLOAD)
    yield "alg twice, the right one first", tokens.sign(key, alg, f'{{"alg":"{alg}","alg":"none"}}', PAYLOAD)
    yield "header is a list", tokens.sign(key, alg, f'["{alg}"]', PAYLOAD)
    yield "header not UTF-8", tokens.sign(key, alg, f'{{"alg":"{alg}","x":"'.encode() + b'\xff"}', PAYLOAD)
    yield "header nested deep", tokens.sign(key, alg, f'{{"alg":"{alg}","x":{"[" * 1000}{"]" * 1000}}}', PAYLOAD)
    yield "kid too long", tokens.sign(key, alg, {"alg": alg, "kid": "k" * 1500}, PAYLOAD)
    yield "header too long", tokens.sign(key, alg, {"alg": alg, "x": "x" * 60000}, PAYLOAD)
    public = _jwcrypto_key(key.public_key()).export_public()
    for secret in (tokens.public_pem(key), tokens.public_pem(key).strip(), public.encode(), b""):
        text = f"{tokens.encode(json.dumps({'alg': 'HS256'}))}.{payload}"
        mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        yield f"HS256 with the public key, {len(secret)} bytes", f"{text}.{tokens.encode(mac)}"
    if alg == "RS256":
        yield "PS256 by the same key", sign_pyjwt(key, "PS256")
    if alg == "PS256":
        yield "RS256 by the same key", sign_pyjwt(key, "RS256")
        yield "a salt of another length", _pss(key, 20)
    if alg == "ES256":
        r, s = tokens.decode(signature)[:32], tokens.decode(signature)[32:]
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        zero, n = bytes(32), order.to_bytes(32, "big")
        for what, raw in (("r of 0", zero + s), ("s of 0", r + zero), ("r and s of 0", zero + zero),
                          ("r of n", n + s), ("s of n", r + n), ("r and s of n", n + n), ("s first", s + r)):
            yield what, f"{signed}.{tokens.encode(raw)}"
        yield "DER", f"{signed}.{tokens.encode(_der(r, s))}"
    if alg == "EdDSA":
        yield "zeros", f"{signed}.{tokens.encode(bytes(64))}"


def _pss(key, salt):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    text = f"{tokens.encode(json.dumps({'alg': 'PS256'}))}.{tokens.encode(PAYLOAD)}"
    raw = key.sign(text.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    return f"{text}.{tokens.encode(raw)}"


def _der(r, s):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_neighbour_of_a_good_token_is_refused(keys, jwk_file, alg):
    key, _ = keys[alg]
    path = jwk_file(key, alg=alg)
    check(path, tokens.sign(key, alg, {"alg": alg, "typ": "JWT"}, PAYLOAD), 0)  # what the neighbours are made with
    accepted = [what for what, token in neighbours(key, alg)
                if run("token", "verify", "--key", str(path), stdin=token, expect=None).returncode != 1]
    assert not accepted


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_in_the_header_is_not_looked_at(keys, jwk_file, alg):
    """RFC 8725 section 3.10: a stranger's token that brings its own key, in any of the ways of RFC 7515 section 4.1."""
    key, stranger = keys[alg]
    theirs = _jwcrypto_key(stranger.public_key()).export_public(as_dict=True)
    for brought in ({"jwk": theirs}, {"jku": "https://attacker.example/jwks"}, {"x5u": "https://attacker.example/x"},
                    {"x5c": ["MIIB"]}, {"kid": "../../etc/passwd"}, {"kid": "' OR 1=1 --"}):
        check(jwk_file(key, alg=alg), tokens.sign(stranger, alg, {"alg": alg} | brought, PAYLOAD), 1)
        check(jwk_file(key, alg=alg), tokens.sign(key, alg, {"alg": alg} | brought, PAYLOAD), 0)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_nothing_is_valid_under_what_is_no_public_key_for_signatures(keys, tmp_path, alg):
    key, _ = keys[alg]
    token = sign_pyjwt(key, alg)
    public = _jwcrypto_key(key.public_key()).export_public(as_dict=True) | {"alg": alg}
    private = _jwcrypto_key(key).export_private(as_dict=True) | {"alg": alg}
    weak = {"kty": "RSA", "e": "AQAB", "n": tokens.encode(b"\xc1" * 128)}
    for wrong in (private, {"kty": "oct", "k": tokens.encode(b"k" * 32), "alg": "HS256"}, public | {"use": "enc"},
                  public | {"alg": "HS256"}, public | {"alg": "none"}, public | {"key_ops": ["sign"]},
                  public | {"kty": "XYZ"}, public | {"kty": 1}, weak, {}, [public], {"keys": [public]}):
        path = tmp_path / "wrong.jwk"
        path.write_text(json.dumps(wrong))
        check(path, token, 1)
    run("token", "verify", "--key", str(tmp_path / "absent.jwk"), stdin=token, expect=2)


# --- the RFCs' own clients ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["basic", "post"])
def test_openid_client_introspects_and_revokes(servers, jose_cli, method):
    """npm's openid-client checks what RFC 7662 and 7009 say of status, content type and members."""
    server, agent = servers("ES256")
    issued = server.issue(agent, tokenType="refresh", scope="stories:read")
    caller = {"url": server.url, "client_id": agent.id, "client_secret": agent.secret, "method": method,
              "token": issued["token"]}
    before, revoked, after = jose_cli([{"job": "introspect"} | caller, {"job": "revoke"} | caller,
                                       {"job": "introspect"} | caller])
    assert before["ok"] and before["answer"]["active"] is True, before
    assert before["answer"]["jti"] == issued["claims"]["jti"]
    assert revoked["ok"], revoked
    assert after == {"ok": True, "answer": {"active": False}}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_introspects_and_revokes(servers, method):
    server, agent = servers("ES256")
    token = server.token(agent)
    with OAuth2Session(agent.id, agent.secret, token_endpoint_auth_method=method,
                       revocation_endpoint_auth_method=method) as session:
        session.trust_env = False
        url = server.url + "/token/introspect"
        assert session.introspect_token(url, token=token).json()["active"] is True
        assert session.revoke_token(server.url + "/token/revoke", token=token,
                                    token_type_hint="access_token").status_code == 200
        assert session.introspect_token(url, token=token, body=urlencode({"unknown": "x"})).json() == {"active": False}
