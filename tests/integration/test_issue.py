"""POST /token (JSON): what is answered, what is in the token, and what may not be asked for."""

import re
import time
from datetime import datetime, timezone

import pytest

import tokens

ISSUER = "https://auth.storytailor.ai"
AUDIENCES = ["https://api.storytailor.ai", "story-agent"]
REGISTERED = ("iss sub aud exp nbf iat jti azp scope client_id token_type nonce auth_time at_hash c_hash s_hash cnf "
              "act issued_after").split()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DAY = 86400


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_AUDIENCE=" , ".join(AUDIENCES)).start()


@pytest.fixture(scope="module")
def plain(server):
    """A client without lifetimes of its own and without privileges."""
    return server.add_client("plain", "token:issue stories:read stories:write")


def moment(text):
    assert TIME.fullmatch(text), text
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def refusal(answer):
    return answer.status_code, answer.json()["error"]


# --- the answer -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, lifetime", [("access", 3600), ("refresh", 2592000), ("id", 3600)])
def test_the_answer_has_exactly_its_members(server, agent, kind, lifetime):
    before = time.time()
    answer = server.issue(agent, subject="user-1", tokenType=kind)
    after = time.time()
    assert answer.keys() == {"token", "tokenType", "expiresIn", "expiresAt", "issuedAt", "claims"}
    assert answer["tokenType"] == kind
    assert answer["expiresIn"] == lifetime and type(answer["expiresIn"]) is int
    assert before - 0.002 <= moment(answer["issuedAt"]) <= after + 0.002
    assert moment(answer["expiresAt"]) == answer["claims"]["exp"]
    assert answer["claims"] == tokens.claims_of(answer["token"])


@pytest.mark.parametrize("kind, typ", [("access", "at+jwt"), ("refresh", "rt+jwt"), ("id", "JWT")])
def test_the_header_names_algorithm_key_and_kind(server, agent, kind, typ):
    kid = server.active_jwk()["kid"]
    assert tokens.header_of(server.token(agent, tokenType=kind)) == {"alg": "RS256", "typ": typ, "kid": kid}


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_every_token_has_the_seven_claims(server, agent, kind):
    answer = server.issue(agent, subject="user-1", tokenType=kind)
    claims = answer["claims"]
    assert claims["iss"] == ISSUER
    assert claims["sub"] == "user-1"
    assert {type(claims[name]) for name in ("exp", "iat", "nbf")} == {int}
    assert claims["iat"] == claims["nbf"] == int(moment(answer["issuedAt"]))
    assert claims["exp"] == claims["iat"] + answer["expiresIn"]
    assert re.fullmatch("[A-Za-z0-9_-]{22}", claims["jti"]), "128 bits"


def test_access_tokens_have_their_claims(server, agent):
    claims = server.issue(agent, subject="user-1", scope="stories:read openid")["claims"]
    assert claims["scope"] == "stories:read openid"
    assert claims["token_type"] == "Bearer"
    assert claims["client_id"] == "agent"
    assert claims["aud"] == ["agent", *AUDIENCES]
    assert claims.keys() == {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "token_type", "client_id"}


def test_refresh_tokens_have_their_claims(server, agent):
    claims = server.issue(agent, subject="user-1", tokenType="refresh", scope="stories:read")["claims"]
    assert claims["scope"] == "stories:read"
    assert claims["token_type"] == "Refresh"
    assert "agent" in claims["aud"]
    assert not set(AUDIENCES) & set(claims["aud"]), "no resource may take a refresh token for its own"


def test_id_tokens_have_their_claims(server, agent):
    claims = server.issue(agent, subject="user-1", tokenType="id", nonce="n-0S6", authTime=1700000000,
                          scope="openid")["claims"]
    assert claims["aud"] == claims["azp"] == "agent"
    assert claims["nonce"] == "n-0S6"
    assert claims["auth_time"] == 1700000000
    assert claims.keys() == {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "azp"}


def test_absent_members_leave_no_claim(server, agent):
    claims = server.issue(agent, tokenType="id")["claims"]
    assert not {"nonce", "auth_time"} & claims.keys()


def test_no_two_tokens_are_the_same(server, agent):
    issued = [server.issue(agent) for _ in range(50)]
    assert len({answer["claims"]["jti"] for answer in issued}) == 50
    assert len({answer["token"] for answer in issued}) == 50


@pytest.mark.parametrize("subject", ["user-1", "úser ✓ \U0001f600", 'quote " and \\ back', "a\tb\nc", "x" * 255,
                                     "https://example.org/a?b=c&d", "</script>", "${jndi:ldap://x}", "%00"])
def test_a_subject_comes_back_as_it_was_given(server, agent, subject):
    answer = server.issue(agent, subject=subject)
    assert answer["claims"]["sub"] == tokens.claims_of(answer["token"])["sub"] == subject
    assert server.introspect(agent, answer["token"])["sub"] == subject


# --- custom claims --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_custom_claims_are_added_as_given(server, agent, kind):
    custom = {"email": "zoe@example.org", "email_verified": True, "age": 12, "ratio": 0.5, "big": 9007199254740991,
              "tags": ["a", ["b", {}], None, False], "nested": {"a": {"b": {"c": "d"}}}, "": "empty name",
              "Zoë \"q\"": "\u2028\u0001\U0001f600", "https://storytailor.ai/role": "x",
              "iss ": "not the registered one"}
    answer = server.issue(agent, tokenType=kind, claims=custom)
    for claims in (answer["claims"], tokens.claims_of(answer["token"]),
                   server.verify(agent, answer["token"]).json()["claims"]):
        assert {name: claims[name] for name in custom} == custom


def test_numbers_in_custom_claims_keep_their_text(server, agent):
    body = ('{"subject":"s","clientId":"agent","scope":"","tokenType":"access",'
            '"claims":{"a":1.0,"b":1e2,"c":12345678901234567890123,"d":-0.10}}')
    answer = server.post("/token", auth=agent, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    payload = tokens.decode(answer.json()["token"].split(".")[1]).decode()
    assert '"a":1.0,"b":1e2,"c":12345678901234567890123,"d":-0.10' in payload


@pytest.mark.parametrize("name", REGISTERED)
def test_a_registered_claim_is_refused_by_name(server, agent, name):
    answer = server.ask(agent, claims={"email": "a@example.org", name: "x"})
    assert refusal(answer) == (400, "invalid_request")
    assert f'"{name}"' in answer.json()["error_description"]


@pytest.mark.parametrize("written", [r"\u0069ss", r"is\u0073", r"\u0065xp", r"\u0073ub"])
def test_a_registered_claim_is_refused_however_it_is_written(server, agent, written):
    body = ('{"subject":"s","clientId":"agent","scope":"","tokenType":"access","claims":{"%s":1}}' % written)
    answer = server.post("/token", auth=agent, data=body, headers={"Content-Type": "application/json"})
    assert refusal(answer) == (400, "invalid_request")


def test_claims_too_large_for_a_token_are_refused(server, agent):
    assert server.ask(agent, claims={"x": "y" * 5000}).status_code == 200
    for size in (9000, 20000, 60000):
        assert refusal(server.ask(agent, claims={"x": "y" * size})) == (400, "invalid_request"), size
    assert refusal(server.ask(agent, claims={str(i): i for i in range(300)})) == (400, "invalid_request")


# --- scope and client -----------------------------------------------------------------------------------------------

def test_a_scope_must_be_allowed_to_the_client_that_the_token_is_for(server, agent, plain):
    assert server.issue(agent, clientId="plain", subject="user-1", scope="stories:write")["claims"]["scope"] \
        == "stories:write"
    for scope in ("openid", "stories:read openid", "token:issue:any", "stories", "stories:reader", "STORIES:READ"):
        answer = server.ask(agent, clientId="plain", subject="user-1", scope=scope)
        assert refusal(answer) == (400, "invalid_scope"), scope


@pytest.mark.parametrize("scope, written", [
    ("stories:read  openid", "stories:read openid"), ("  openid ", "openid"), ("openid openid profile openid",
                                                                              "openid profile")])
def test_a_scope_is_written_as_rfc_6749_has_it(server, agent, scope, written):
    """Section 3.3: one space between two words, and none around them."""
    for kind in ("access", "refresh"):
        answer = server.issue(agent, tokenType=kind, scope=scope)
        assert answer["claims"]["scope"] == tokens.claims_of(answer["token"])["scope"] == written
        assert server.introspect(agent, answer["token"])["scope"] == written


@pytest.mark.parametrize("scope", ["", " ", "   "])
def test_no_scope_is_no_claim(server, agent, scope):
    for kind in ("access", "refresh"):
        answer = server.issue(agent, tokenType=kind, scope=scope)
        assert "scope" not in answer["claims"]
        assert "scope" not in server.introspect(agent, answer["token"])


def test_an_optional_member_that_is_null_is_absent(server, agent):
    nothing = {name: None for name in ("claims", "expiresIn", "audience", "nonce", "authTime")}
    body = {"subject": "s", "clientId": "agent", "scope": "", "tokenType": "access"}
    answer = server.post("/token", auth=agent, json=body | nothing)
    assert answer.status_code == 200, answer.text
    for name in body:
        answer = server.post("/token", auth=agent, json=body | {name: None})
        assert refusal(answer) == (400, "invalid_request")


@pytest.mark.parametrize("scope", ['stories:read"', "stories\\read", "stories:read\n", "\tstories:read", "störies",
                                   "stories:read\x7f"])
def test_a_scope_has_the_characters_of_rfc_6749(server, agent, scope):
    assert refusal(server.ask(agent, scope=scope)) == (400, "invalid_scope")


def test_an_unknown_client_is_refused(server, agent):
    assert refusal(server.ask(agent, clientId="nobody")) == (400, "invalid_request")


def test_a_disabled_client_gets_no_tokens(server, agent):
    server.add_client("gone")
    server.run("clients", "disable", "gone")
    assert refusal(server.ask(agent, clientId="gone")) == (400, "invalid_request")


def test_tokens_can_be_for_a_public_client(server, agent):
    server.add_client("app", "stories:read", "--public")
    claims = server.issue(agent, clientId="app", subject="user-1", scope="stories:read")["claims"]
    assert (claims["client_id"], claims["aud"][0]) == ("app", "app")


# --- audience -------------------------------------------------------------------------------------------------------

def test_an_audience_is_a_string_or_a_list(server, agent):
    assert server.issue(agent, audience="https://x.example")["claims"]["aud"] == ["https://x.example"]
    assert server.issue(agent, audience=["a", "b", "a"])["claims"]["aud"] == ["a", "b"]


def test_who_issues_for_itself_may_ask_for_known_audiences_alone(server, plain):
    for audience in ("plain", ISSUER, AUDIENCES[0], ["plain", AUDIENCES[1]]):
        assert server.ask(plain, audience=audience).status_code == 200, audience
    for audience in ("https://other.example", ["plain", "https://other.example"], AUDIENCES[0] + "/", "agent"):
        assert refusal(server.ask(plain, audience=audience)) == (400, "invalid_target"), audience


@pytest.mark.parametrize("kind", ["refresh", "id"])
def test_only_access_tokens_are_given_an_audience(server, agent, kind):
    assert refusal(server.ask(agent, tokenType=kind, audience="x")) == (400, "invalid_target")


# --- lifetimes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, most", [("access", DAY), ("refresh", 365 * DAY), ("id", DAY)])
def test_a_lifetime_may_be_asked_for_up_to_the_maximum(server, agent, kind, most):
    for seconds in (1, 60, most):
        answer = server.issue(agent, tokenType=kind, expiresIn=seconds)
        assert answer["expiresIn"] == seconds == answer["claims"]["exp"] - answer["claims"]["iat"]
    assert refusal(server.ask(agent, tokenType=kind, expiresIn=most + 1)) == (400, "invalid_request")


@pytest.mark.parametrize("kind, seconds", [("access", 120), ("refresh", 240), ("id", 360)])
def test_a_clients_own_lifetime_comes_first(server, agent, kind, seconds):
    if "brief" not in server.run("clients", "list").stdout:
        server.add_client("brief", "stories:read", "--access-ttl", "120", "--refresh-ttl", "240", "--id-ttl", "360")
    ask = {"clientId": "brief", "subject": "user-1", "tokenType": kind}
    assert server.issue(agent, **ask)["expiresIn"] == seconds
    assert server.issue(agent, **ask, expiresIn=seconds - 60)["expiresIn"] == seconds - 60
    assert refusal(server.ask(agent, **ask, expiresIn=seconds + 1)) == (400, "invalid_request")


# --- members --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("member", ["subject", "clientId", "scope", "tokenType"])
def test_a_required_member_that_is_missing_is_named(server, agent, member):
    answer = server.ask(agent, **{member: None})
    assert refusal(answer) == (400, "invalid_request")
    assert f'"{member}"' in answer.json()["error_description"]


@pytest.mark.parametrize("kind", ["Access", "ACCESS", "bearer", "access ", "at+jwt", "refresh_token"])
def test_an_unknown_kind_of_token_is_refused(server, agent, kind):
    assert refusal(server.ask(agent, tokenType=kind)) == (400, "invalid_request")


