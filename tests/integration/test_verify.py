"""POST /token/verify: the one decision whether a token is good, asked in every way; and what must never pass. The
hostile tokens are signed with the service's own key, so that nothing but the rule under test can refuse them."""

import hashlib
import hmac
import json
import time

import pytest

import tokens

ISSUER = "https://auth.storytailor.ai"


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_AUDIENCE="https://api.storytailor.ai", TOKEN_SIGNING_ALG="ES256").start()


@pytest.fixture(scope="module")
def forge(server, agent):
    """forge(header={…}, claims={…}) is a good access token of the service but for what is given; None leaves a member
    out. `text`: the payload itself; `raw_header`: the header itself."""
    kid, key = server.signing_key()

    def make(claims=None, header=None, text=None, raw_header=None):
        now = int(time.time())
        payload = {"iss": ISSUER, "sub": "user-1", "aud": [agent.id], "exp": now + 600, "iat": now, "nbf": now,
                   "jti": "AAAAAAAAAAAAAAAAAAAAAA", "scope": "", "token_type": "Bearer", "client_id": agent.id}
        head = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
        for target, changes in ((payload, claims), (head, header)):
            for name, value in (changes or {}).items():
                target[name] = value
                if value is None:
                    del target[name]
        token = tokens.sign(key, "ES256", raw_header or head, text if text is not None else payload)
        server.tokens.add(token)
        return token

    return make


def is_refused(server, agent, token, **options):
    """Refused by /token/verify with RFC 6750's answer, and inactive for RFC 7662; the answer, for more to be asked."""
    answer = server.verify(agent, token, **options)
    assert (answer.status_code, answer.json().get("valid"), answer.json()["error"]) == (401, False, "invalid_token"), (
        answer.status_code, answer.text)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    if not options:
        inactive = server.post("/token/introspect", auth=agent, json={"token": token})
        assert (inactive.status_code, inactive.content) == (200, b'{"active":false}')
    return answer.json()


def is_good(server, agent, token, **options):
    answer = server.verify(agent, token, **options)
    assert answer.status_code == 200, answer.text
    assert answer.json()["valid"] is True
    return True


def test_a_token_made_with_the_services_key_passes(server, agent, forge):
    """What the refusals below differ from by one thing each."""
    token = forge()
    assert is_good(server, agent, token)
    assert server.is_active(agent, token)


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_the_answer_has_the_tokens_kind_and_claims(server, agent, kind):
    issued = server.issue(agent, tokenType=kind, claims={"a": [1]})
    answer = server.verify(agent, issued["token"])
    assert answer.json() == {"valid": True, "tokenType": kind, "claims": issued["claims"]}


@pytest.mark.parametrize("members", [
    {}, {"tokenType": "refresh"}, {"tokenType": "id"}, {"audience": list("abcdefgh")},
    {"claims": {"roles": ["reader", "writer", "editor", "owner", "guest"], "tenant": "t-1", "plan": "family", "n": 1}},
])
def test_asking_again_gives_the_same_answer(server, agent, members):
    """The second time comes from the cache of verified tokens, for whatever tokens of usual size look like."""
    token = server.token(agent, **members)
    hits = server.metric("verified_cache_total", result="hit")
    answers = {server.verify(agent, token).text for _ in range(5)}
    assert len(answers) == 1
    assert server.metric("verified_cache_total", result="hit") == hits + 4


# --- options --------------------------------------------------------------------------------------------------------

OPTIONS = [
    ({"audience": "agent"}, {"audience": "Agent"}),
    ({"audience": "https://api.storytailor.ai"}, {"audience": "https://api.storytailor.ai/"}),
    ({"audience": ["x", "agent"]}, {"audience": ["x", "y"]}),
    ({"audience": ["agent"]}, {"audience": ["agen", "agents", "agent "]}),
    ({"issuer": ISSUER}, {"issuer": ISSUER + "/"}),
    ({"subject": "user-1"}, {"subject": "user-2"}),
    ({"nonce": "n-1"}, {"nonce": "n-2"}),
    ({"tokenType": "id"}, {"tokenType": "access"}),
    ({"tokenType": "id"}, {"tokenType": "refresh"}),
    ({"maxAge": 3600}, {"maxAge": 100}),
    ({"maxAge": 100, "clockTolerance": 300}, {"maxAge": 100, "clockTolerance": 1}),
    ({"clockTolerance": 0}, None),
    ({}, None),
    ({"audience": "agent", "issuer": ISSUER, "subject": "user-1", "nonce": "n-1", "tokenType": "id", "maxAge": 3600},
     {"audience": "agent", "issuer": ISSUER, "subject": "user-1", "nonce": "n-2", "tokenType": "id", "maxAge": 3600}),
]


@pytest.fixture(scope="module")
def id_token(server, agent):
    """Its user logged in 200 s ago; of both audiences, as the service itself would not issue it."""
    now = int(time.time())
    kid, key = server.signing_key()
    token = tokens.sign(key, "ES256", {"alg": "ES256", "typ": "JWT", "kid": kid}, {
        "iss": ISSUER, "sub": "user-1", "aud": [agent.id, "https://api.storytailor.ai"], "exp": now + 600, "iat": now,
        "nbf": now, "jti": "BBBBBBBBBBBBBBBBBBBBBB", "azp": agent.id, "nonce": "n-1", "auth_time": now - 200})
    server.tokens.add(token)
    return token


@pytest.mark.parametrize("good, bad", OPTIONS)
def test_each_option_is_asked_of_the_token(server, agent, id_token, good, bad):
    for _ in range(2):  # the cache of verified tokens must not skip what differs by call
        assert is_good(server, agent, id_token, **good)
        if bad:
            is_refused(server, agent, id_token, **bad)


def test_without_a_kind_only_an_access_token_is_good(server, agent):
    """A refresh token or an id token opens no door, unless somebody asks for just that kind."""
    for kind in ("access", "refresh", "id"):
        token = server.token(agent, tokenType=kind)
        for options in ({}, {"options": {}}, {"options": None}, {"options": {"tokenType": None}}):
            answer = server.post("/token/verify", auth=agent, json={"token": token} | options)
            assert (answer.status_code == 200) == (kind == "access"), (kind, options)
            assert answer.json()["valid"] is (kind == "access")
        assert is_good(server, agent, token, tokenType=kind)


def test_an_optional_member_that_is_null_is_absent(server, agent):
    nothing = {name: None for name in ("audience", "issuer", "subject", "nonce", "tokenType", "clockTolerance",
                                       "maxAge")}
    assert is_good(server, agent, server.token(agent), **nothing)
    assert is_good(server, agent, server.token(agent, claims={"a": None}), **nothing)


def test_a_login_in_the_future_has_no_age(server, agent, forge):
    token = forge({"auth_time": 253402300799})
    assert is_good(server, agent, token)
    is_refused(server, agent, token, maxAge=2147483647)


def test_a_nonce_or_age_can_be_asked_of_a_token_without_one(server, agent):
    token = server.token(agent)
    is_refused(server, agent, token, nonce="n-1")
    assert is_good(server, agent, token, maxAge=60), "without auth_time the age is that of iat"


def test_max_age_without_auth_time_is_that_of_iat(server, agent, forge):
    now = int(time.time())
    token = forge({"iat": now - 100, "nbf": now - 100})
    assert is_good(server, agent, token, maxAge=200)
    is_refused(server, agent, token, maxAge=50)


@pytest.mark.parametrize("options", [
    {"clockTolerance": -1}, {"clockTolerance": 301}, {"clockTolerance": "60"}, {"clockTolerance": 1.5},
    {"maxAge": -1}, {"maxAge": "60"}, {"maxAge": 2**63}, {"audience": []}, {"audience": ""},
    {"audience": [""]}, {"audience": [1]}, {"audience": {}}, {"audience": ["x"] * 100}, {"issuer": ""}, {"issuer": 1},
    {"subject": ""}, {"nonce": ""}, {"tokenType": "bearer"}, {"tokenType": ""}, {"unknown": 1},
    {"algorithms": ["none"]},
    {"ignoreExpiration": True},
])
def test_a_wrong_option_is_a_bad_request_and_never_a_good_token(server, agent, options):
    answer = server.verify(agent, server.token(agent), **options)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# --- time -----------------------------------------------------------------------------------------------------------

def test_a_token_is_refused_from_its_expiry_on(server, agent):
    issued = server.issue(agent, expiresIn=8)
    assert is_good(server, agent, issued["token"])
    server.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
    is_refused(server, agent, issued["token"])  # though it lies in the cache of verified tokens
    assert is_good(server, agent, issued["token"], clockTolerance=60)


def test_expiry_is_exact_and_the_future_has_some_seconds_of_grace(server, agent, forge):
    now = int(time.time())
    for good in ({"exp": now + 30}, {"nbf": now + 5}, {"iat": now + 5}, {"exp": 253402300799}):
        assert is_good(server, agent, forge(good)), good
    for bad in ({"exp": now}, {"exp": now - 1}, {"exp": 0}, {"nbf": now + 120}, {"iat": now + 120},
                {"nbf": 253402300799}):
        is_refused(server, agent, forge(bad))


def test_tolerance_widens_expiry_and_beginning(server, agent, forge):
    now = int(time.time())
    assert is_good(server, agent, forge({"exp": now - 30}), clockTolerance=60)
    is_refused(server, agent, forge({"exp": now - 70}), clockTolerance=60)
    assert is_good(server, agent, forge({"nbf": now + 80}), clockTolerance=60)
    is_refused(server, agent, forge({"nbf": now + 140}), clockTolerance=60)


# --- what must never pass: the claims -------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"])
def test_a_token_without_a_required_claim_is_refused(server, agent, forge, name):
    is_refused(server, agent, forge({name: None}))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize("written", ["1e400", "-1", "9223372036854775808", "18446744073709551617", "1e3", "1.5",
                                     '"1700000000"', "null", "true", "[1]", "{}", "253402300800", "1e18", "-0.0",
                                     "NaN", "Infinity", "0x10", "+1", "01"])
def test_a_time_that_is_no_sane_integer_is_refused(server, agent, forge, name, written):
    now = int(time.time())
    times = {"exp": str(now + 600), "iat": str(now), "nbf": str(now)} | {name: written}
    rest = ",".join(f'"{key}":{value}' for key, value in times.items())
    is_refused(server, agent, forge(text=f'{{"iss":"{ISSUER}","sub":"s","aud":"agent","jti":"j","client_id":"agent",'
                                         f'"scope":"","token_type":"Bearer",{rest}}}'))


@pytest.mark.parametrize("claims", [
    {"iss": "https://auth.storytailor.ai/"}, {"iss": "https://AUTH.storytailor.ai"}, {"iss": ""}, {"iss": 1},
    {"iss": [ISSUER]}, {"iss": ISSUER + "\u0001"}, {"sub": 1}, {"sub": ["user-1"]}, {"aud": []}, {"aud": 1},
    {"aud": {}},
    {"aud": [1]}, {"aud": [["agent"]]}, {"aud": ["agent", 1]}, {"aud": ["x"] * 1000}, {"jti": 1}, {"scope": 1},
    {"scope": ["a"]}, {"client_id": 1}, {"nonce": 1}, {"azp": []}, {"token_type": 1},
])
def test_a_registered_claim_of_a_wrong_form_is_refused(server, agent, forge, claims):
    is_refused(server, agent, forge(claims))


def test_claims_that_are_not_one_strict_json_object_are_refused(server, agent, forge):
    now = int(time.time())
    good = (f'"iss":"{ISSUER}","sub":"s","aud":"agent","exp":{now + 600},"iat":{now},"nbf":{now},"jti":"j",'
            '"client_id":"agent","scope":"","token_type":"Bearer"')
    assert is_good(server, agent, forge(text="{" + good + "}"))
    for text in ("{" + good + f',"exp":{now + 9999}}}', "{" + good + r',"\u0065xp":1}', "{" + good + ',"a":1,"a":1}',
                 "{" + good + ',"a":{"b":1,"b":2}}', "{" + good + "}x", "{" + good + "},{}", "[{" + good + "}]",
                 "{" + good + ",}", "{" + good, "", "null", '"x"', "{" + good + ',"a":"\\u0000"}',
                 "{" + good + ',"a":"\\ud800"}', b"{" + good.encode() + b',"a":"\xff"}', "\ufeff{" + good + "}",
                 b"{" + good.encode() + b"}\0", "{" + good + ',"a":' + "[" * 5000 + "]" * 5000 + "}",
                 "{" + good + ',"a":1e999}'):
        if text in ("", b""):
            continue  # an empty part: among the broken tokens below
        is_refused(server, agent, forge(text=text))


# --- what must never pass: the header -------------------------------------------------------------------------------

@pytest.mark.parametrize("header", [
    {"alg": "none"}, {"alg": "None"}, {"alg": "NONE"}, {"alg": "nOnE"}, {"alg": ""}, {"alg": None}, {"alg": "HS256"},
    {"alg": "RS256"}, {"alg": "PS256"}, {"alg": "ES384"}, {"alg": "EdDSA"}, {"alg": "es256"}, {"alg": "ES256 "},
    {"alg": " ES256"}, {"alg": 1}, {"alg": ["ES256"]}, {"alg": {}}, {"alg": True}, {"typ": None}, {"typ": ""},
    {"typ": "logout+jwt"}, {"typ": "at+jwt+x"}, {"typ": "jose"}, {"typ": 1}, {"typ": ["at+jwt"]}, {"kid": None},
    {"kid": ""}, {"kid": "A" * 43}, {"kid": 1}, {"kid": ["x"]}, {"kid": {}}, {"kid": "../../../../etc/passwd"},
    {"kid": "' OR '1'='1"}, {"kid": "x\nkid: y"}, {"kid": "k" * 1000}, {"crit": ["exp"]}, {"crit": []},
    {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": True}, {"zip": "DEF"}, {"x": "y" * 20000},
])
def test_a_header_that_asks_for_anything_else_is_refused(server, agent, forge, header):
    is_refused(server, agent, forge(header=header))


def test_members_of_a_header_that_say_nothing_of_the_check_are_ignored(server, agent, forge):
    for header in ({"x5t": "abc"}, {"cty": "JWT"}, {"typ": "AT+JWT"}, {"typ": "application/at+jwt"}):
        assert is_good(server, agent, forge(header=header)), header


def test_a_header_with_a_member_twice_is_refused(server, agent, forge, server_kid):
    for raw in (f'{{"alg":"ES256","typ":"at+jwt","kid":"{server_kid}","kid":"x"}}',
                f'{{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"{server_kid}"}}',
                f'{{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"{server_kid}"}}',
                f'{{"alg":"ES256","\\u0061lg":"none","typ":"at+jwt","kid":"{server_kid}"}}',
                f'{{"alg":"ES256","typ":"at+jwt","typ":"rt+jwt","kid":"{server_kid}"}}'):
        is_refused(server, agent, forge(raw_header=raw))


@pytest.fixture(scope="module")
def server_kid(server):
    return server.signing_key()[0]


def test_a_strangers_key_is_not_taken_from_the_header(server, agent, server_kid):
    """RFC 8725 section 3.10, under the service's own kid and under the stranger's."""
    stranger = tokens.new_key("ES256")
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "s", "aud": "agent", "exp": now + 600, "iat": now, "nbf": now, "jti": "j",
              "client_id": "agent", "scope": "", "token_type": "Bearer"}
    numbers = stranger.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "kid": "stranger", "x": tokens.encode(numbers.x.to_bytes(32, "big")),
           "y": tokens.encode(numbers.y.to_bytes(32, "big"))}
    for brought in ({}, {"jwk": jwk}, {"jku": "http://127.0.0.1:1/jwks"}, {"x5u": "http://127.0.0.1:1/"},
                    {"x5c": ["MIIB"]}, {"jwk": jwk, "jku": "http://127.0.0.1:1/"}):
        for kid in (server_kid, "stranger"):
            header = {"alg": "ES256", "typ": "at+jwt", "kid": kid} | brought
            is_refused(server, agent, tokens.sign(stranger, "ES256", header, claims))


def test_the_public_key_is_no_hmac_secret(server, agent, server_kid):
    _, key = server.signing_key()
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "s", "aud": "agent", "exp": now + 600, "iat": now, "nbf": now, "jti": "j"}
    text = ".".join(tokens.encode(json.dumps(part))
                    for part in ({"alg": "HS256", "typ": "at+jwt", "kid": server_kid}, claims))
    jwk = server.active_jwk()
    for secret in (tokens.public_pem(key), json.dumps(jwk).encode(), jwk["x"].encode(), tokens.decode(jwk["x"]), b""):
        mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        is_refused(server, agent, f"{text}.{tokens.encode(mac)}")


# --- what must never pass: the form ---------------------------------------------------------------------------------

def broken(token):
    """One step away from a good token, by RFC 7515 section 7.1 and strict base64url."""
    header, payload, signature = token.split(".")
    yield from ("x", ".", "..", "...", "a.b.c", "null", "\u00e9.\u00e9.\u00e9", "Bearer " + token)
    yield from (token + " ", " " + token, token + "\n", "\t" + token, token + "=", token + "==", token + ".",
                "." + token, token + "." + signature, token[:-1], token[1:], token + "A", token + "AAAA",
                token + "\u0001")
    yield from (f"{header}.{payload}", f"{header}.{payload}.", f"{header}..{signature}", f".{payload}.{signature}",
                f"{payload}.{header}.{signature}", f"{header}.{payload}.{payload}", f"{header}.{header}.{signature}",
                f"{header} .{payload}.{signature}", f"{header}.{payload[:9]} {payload[9:]}.{signature}",
                f"{header}.{payload[:9]}\n{payload[9:]}.{signature}", f"{header}=.{payload}.{signature}",
                f"{header}.{payload}.+{signature[1:]}", f"{header}.{payload}./{signature[1:]}",
                f"{header}.{payload}.{signature.upper()}", f"{header}.{payload}.{tokens.flip(signature, 0)}",
                f"{header}.{payload}.{tokens.flip(signature, -1)}", f"{header}.{tokens.flip(payload, 30)}.{signature}",
                f"{tokens.flip(header, 10)}.{payload}.{signature}", token * 2, token * 30, "x" * 60000, "." * 60000)
    for part in range(3):
        parts = token.split(".")
        other = tokens.same_bytes_other_text(parts[part])
        if other:
            parts[part] = other
            yield ".".join(parts)


def test_every_other_spelling_of_a_good_token_is_refused(server, agent):
    for subject in ("a", "ab", "abc"):  # so that the payload ends in each of the three ways that base64 can
        token = server.token(agent, subject=subject)
        assert is_good(server, agent, token)
        for other in broken(token):
            is_refused(server, agent, other)
        assert is_good(server, agent, token)


def test_a_revoked_token_stays_revoked_in_every_spelling(server, agent):
    token = server.token(agent)
    assert server.revoke(agent, token).status_code == 200
    for other in [token, *broken(token)]:
        is_refused(server, agent, other)
    assert is_good(server, agent, server.token(agent))


def test_a_token_of_another_service_is_refused(server, agent, make_server):
    """The same issuer, but its own key."""
    with make_server(TOKEN_SIGNING_ALG="ES256") as other:
        token = other.token(other.add_client("agent"))
        other.tokens.add(token)
        is_refused(server, agent, token)


def test_a_token_of_another_issuer_is_refused(make_server):
    """The same key, as after a change of TOKEN_ISSUER: RFC 8725 section 3.8."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    token = server.token(agent)
    server.stop()
    server.settings["TOKEN_ISSUER"] = "https://auth.example"
    server.start()
    is_refused(server, agent, token)
    server.stop()
    del server.settings["TOKEN_ISSUER"]
    server.start()
    assert is_good(server, agent, token)
    server.stop()


def test_a_token_longer_than_the_setting_is_not_looked_at(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_MAX_BYTES=1024) as server:
        agent = server.add_client("agent")
        assert server.ask(agent, claims={"x": "y" * 2000}).status_code == 400
        kid, key = server.signing_key()
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "s", "aud": "agent", "exp": now + 600, "iat": now, "nbf": now, "jti": "j",
                  "client_id": "agent", "scope": "", "token_type": "Bearer"}
        for size, good in ((10, True), (2000, False)):
            token = tokens.sign(key, "ES256", {"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims | {"x": "y" * size})
            assert (server.verify(agent, token).status_code == 200) == good
