"""What the service signs says the same to everybody who reads it: PyJWT, npm's jose, golang-jwt with plain struct tags,
and nimbus-jose-jwt with Jackson, which like Go's encoding/json is told to look at no case. And no claim can be given
that one of them would take for another."""

import json
import subprocess
import unicodedata

import jwt
import pytest

import tokens
from service import ROOT, SCOPES

KINDS = ["access", "refresh", "id"]
RESERVED = ("iss sub aud exp nbf iat jti azp scope client_id token_type nonce auth_time at_hash c_hash s_hash cnf act "
            "may_act events authorization_details token_introspection parent_hash parent_client_id parent_iat "
            "issued_after sealed_rules").split()
PRIVILEGED = ["role", "acr", "amr", "groups"]
# The claims that the readers in Go and Java have members for.
READ = ("iss sub aud exp iat nbf jti scope client_id token_type azp nonce auth_time parent_hash parent_client_id "
        "parent_iat sid role acr email groups act cnf").split()
# What a name may be turned into without a reader that folds it seeing the difference.
DISGUISES = {
    "upper case": str.upper,
    "one capital": str.capitalize,
    "fullwidth": lambda name: "".join(chr(ord(c) + 0xFEE0) for c in name),
    "mathematical": lambda name: "".join(chr(0x1D400 + ord(c) - 97 + 26) if c.isalpha() else c for c in name),
    "long s": lambda name: name.replace("s", "\u017f"),
    "Kelvin's K": lambda name: name.replace("k", "\u212a"),
    "dotless i": lambda name: name.replace("i", "\u0131"),
    "I with a dot": lambda name: name.replace("i", "\u0130"),
    "a soft hyphen": lambda name: name[:1] + "\u00ad" + name[1:],
    "a joiner at its end": lambda name: name + "\u200d",
    "a variation selector": lambda name: name + "\ufe0f",
    "a byte order mark": lambda name: "\ufeff" + name,
    "a tag": lambda name: name + "\U000e0061",
    "a small roman one": lambda name: name.replace("i", "\u2170"),
    "a superscript": lambda name: name.replace("n", "\u207f"),
    "a ligature": lambda name: name.replace("st", "\ufb06"),
}


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_AUDIENCE="https://api.storytailor.ai", TOKEN_PRIVILEGED_CLAIMS="groups").start()


def reader(program, missing):
    """A program that reads tokens: {"jwk": …, "tokens": […]} in, a list of outcomes out."""
    if not missing.exists():
        pytest.skip(f"there is no {missing.relative_to(ROOT)}: `./dev test integration` builds it, where its libraries "
                    "can be had")

    def read(server, texts):
        done = subprocess.run(program, input=json.dumps({"jwk": server.active_jwk(), "tokens": texts}), text=True,
                              capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.fixture(scope="module")
def read_by_go():
    program = ROOT / "build/tools/go-reader"
    return reader([program], program)


@pytest.fixture(scope="module")
def read_by_java():
    folder = ROOT / "build/tools/java-reader"
    return reader(["java", "-cp", f"{folder}:{folder}/lib/*", "Reader"], folder / "Reader.class")


def shapes(server, agent):
    """Everything that the service issues, a token each."""
    custom = {"email": "zoe@example.org", "role": "reader", "groups": ["a", "b"], "sid": "session-1", "acr": "silver",
              "Größe": 1, "größer": 2, "nested": {"exp": 1, "role": "x", "a": [{"iss": "y"}]}, "iss ": 1, "subs": "z"}
    bearer = server.token(agent, scope=SCOPES)
    for kind in KINDS:
        for auth in (agent, bearer):
            for members in ({}, {"scope": "stories:read  openid stories:read"}, {"subject": "user-1", "authTime": 1},
                            {"claims": custom}, {"subject": "Zoë \U0001f600", "nonce": "n-1"}):
                members = members | ({"scope": ""} if auth is bearer else {})
                yield server.token(auth, tokenType=kind, **members)
    yield server.token(agent, audience="https://one.example")
    yield server.token(agent, audience=["a", "b"], expiresIn=1200)


def disguised(server, agent):
    """Tokens with a claim in disguise: those that are issued."""
    for name in (*RESERVED, *PRIVILEGED, "sid"):
        for what, disguise in DISGUISES.items():
            if disguise(name) == name:
                continue
            answer = server.ask(agent, claims={"email": "x", disguise(name): "hostile"})
            assert answer.status_code in (200, 400), answer.text
            if answer.status_code == 200:
                yield what, answer.json()["token"]


def seen(claims):
    """What there is to see for a reader with members for some claims, and a list for `aud`."""
    claims = {name: claims[name] for name in READ if name in claims}
    return claims | {"aud": claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]}


def payload_of(text):
    """As it stands: a member twice would be an error."""
    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(tokens.decode(text.split(".")[1]), object_pairs_hook=once)


def test_every_reader_sees_the_same_claims(server, agent, jose_cli, read_by_go, read_by_java):
    texts = [*shapes(server, agent), *(text for _, text in disguised(server, agent))]
    expected = [payload_of(text) for text in texts]
    key = jwt.PyJWK(server.active_jwk())
    by_python = [jwt.decode(text, key, algorithms=["RS256"], options={"verify_aud": False}) for text in texts]
    by_node = jose_cli([{"job": "jwt_verify", "jwks": server.jwks(), "token": text, "options": {}} for text in texts])
    assert by_python == expected
    assert [outcome["payload"] for outcome in by_node] == expected
    by_java = read_by_java(server, texts)
    assert [outcome["nimbus"] for outcome in by_java] == [
        claims | {"aud": seen(claims)["aud"][0] if len(seen(claims)["aud"]) == 1 else claims["aud"]}
        for claims in expected]
    for outcome, claims in [*zip(read_by_go(server, texts), expected), *zip(by_java, expected)]:
        assert outcome["ok"], outcome
        assert outcome["claims"] == seen(claims)


def test_readers_refuse_what_is_not_signed_so(server, agent, read_by_go, read_by_java):
    """Else the test above would show nothing."""
    bad = tokens.flip(server.token(agent), -9)
    assert not read_by_go(server, [bad])[0]["ok"]
    assert not read_by_java(server, [bad])[0]["ok"]


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_claim_in_disguise_is_that_claim(server, agent, disguise):
    weak = server.add_client(f"weak-{disguise.split()[-1]}-{len(disguise)}", "token:issue")
    for name in (*RESERVED, *PRIVILEGED, "sid"):
        hidden = DISGUISES[disguise](name)
        if hidden == name:
            continue
        answer = server.ask(agent, claims={hidden: "x"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), (name, hidden)
        answer = server.ask(weak, claims={hidden: "x"})
        assert answer.status_code == (403 if name in PRIVILEGED else 400), (name, hidden)
        assert server.ask(agent, claims={"nested": {hidden: "x"}}).status_code == 200, "it is a claim of nobody's there"


def test_no_character_of_unicode_hides_a_claim(server, agent):
    """Each that case folding and NFKC turn into a part of a name, in the place of that part."""
    hidden = 0
    for code in range(0x80, 0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        folded = chr(code)
        for _ in range(3):
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
        name = next((name for name in (*RESERVED, *PRIVILEGED) if folded in name), None)
        if name is None or not folded:
            continue
        answer = server.session.post(server.url + "/token", headers={"Authorization": agent.basic()}, json={
            "subject": "s", "clientId": agent.id, "scope": "", "tokenType": "access",
            "claims": {name.replace(folded, chr(code), 1): "x"}})
        assert answer.status_code == 400, (hex(code), name)
        hidden += 1
    assert hidden > 800


@pytest.mark.parametrize("claims", [
    {"email": "a", "EMAIL": "b"}, {"email": "a", "Email": "b"}, {"user": {"id": 1, "ID": 2}}, {"a": [{"b": 1, "B": 2}]},
    {"größe": 1, "GRÖSSE": 2, "gr\u00f6\u1e9ee": 3}, {"kind": 1, "\u212aind": 2}, {"a": 1, "a\u200b": 2}])
def test_no_two_members_are_one_to_a_reader_that_folds(server, agent, claims):
    answer = server.ask(agent, claims=claims)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
