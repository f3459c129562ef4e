"""POST /token/introspect, RFC 7662: what an active token says, and that everything else says exactly the same."""

import time

import pytest

import tokens

ISSUER = "https://auth.storytailor.ai"
INACTIVE = b'{"active":false}'


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_AUDIENCE="https://api.storytailor.ai").start()


def both_ways(server, agent, token):
    """The answer to JSON and to a form, which must be the same bytes."""
    as_json = server.post("/token/introspect", auth=agent, json={"token": token})
    as_form = server.post("/token/introspect", auth=agent, form={"token": token})
    assert as_json.status_code == as_form.status_code == 200, (as_json.text, as_form.text)
    assert as_json.headers["Content-Type"] == as_form.headers["Content-Type"] == "application/json"
    assert as_json.content == as_form.content
    return as_json


def test_an_access_token_says_all_members_of_rfc_7662(server, agent):
    issued = server.issue(agent, subject="user-1", scope="stories:read openid")
    claims = issued["claims"]
    assert both_ways(server, agent, issued["token"]).json() == {
        "active": True, "scope": "stories:read openid", "client_id": "agent", "username": "user-1",
        "token_type": "Bearer", "exp": claims["exp"], "iat": claims["iat"], "nbf": claims["nbf"], "sub": "user-1",
        "aud": ["agent", "https://api.storytailor.ai"], "iss": ISSUER, "jti": claims["jti"]}


def test_a_refresh_token_says_so(server, agent):
    issued = server.issue(agent, subject="user-1", tokenType="refresh", scope="stories:read")
    answer = both_ways(server, agent, issued["token"]).json()
    assert answer["token_type"] == "Refresh"
    assert answer["aud"] == issued["claims"]["aud"]
    assert answer["exp"] == issued["claims"]["exp"]


def test_the_username_is_the_subject_and_no_clients_word(server, agent):
    for claims in ({"username": "Zoë"}, {"preferred_username": "zoe"}, {"username": {"no": "string"}}):
        token = server.token(agent, subject="user-1", claims=claims)
        assert server.introspect(agent, token)["username"] == "user-1"


def test_custom_claims_are_not_told(server, agent):
    token = server.token(agent, claims={"email": "zoe@example.org", "active": False, "role": "admin"})
    answer = server.introspect(agent, token)
    assert answer["active"] is True
    assert not {"email", "role"} & answer.keys()


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "made_up", ""])
def test_a_hint_is_a_hint_alone(server, agent, hint):
    for kind in ("access", "refresh"):
        token = server.token(agent, tokenType=kind)
        for body in ({"form": {"token": token, "token_type_hint": hint}}, {"json": {"token": token,
                                                                                  "token_type_hint": hint}}):
            assert server.post("/token/introspect", auth=agent, **body).json()["active"] is True


def test_parameters_that_are_not_known_are_ignored_in_a_form(server, agent):
    """RFC 7662 section 2.1 lets other parameters come; in JSON, which is ours, an unknown member is refused."""
    token = server.token(agent)
    answer = server.post("/token/introspect", auth=agent, form={"token": token, "resource": "x", "empty": ""})
    assert answer.json()["active"] is True


def inactive_tokens(server, agent):
    yield "revoked", revoked(server, agent)
    yield "expired", expired(server, agent)
    yield "an id token", server.token(agent, tokenType="id")
    yield "changed", tokens.flip(server.token(agent), -5)
    yield "unsigned", tokens.encode('{"alg":"none"}') + "." + server.token(agent).split(".")[1] + "."
    yield from (("no token", text) for text in ("x", "a.b.c", "..", "é", "x" * 30000, " ", "null", "%00", "0"))
    yield "another key's", tokens.sign(tokens.new_key("RS256"), "RS256",
                                       tokens.header_of(server.token(agent)), tokens.claims_of(server.token(agent)))


def revoked(server, agent):
    token = server.token(agent)
    assert server.revoke(agent, token).status_code == 200
    return token


def expired(server, agent):
    issued = server.issue(agent, expiresIn=1)
    server.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
    return issued["token"]


def test_whatever_is_not_active_says_exactly_that(server, agent):
    answers = [both_ways(server, agent, token) for _, token in inactive_tokens(server, agent)]
    assert {answer.content for answer in answers} == {INACTIVE}
    headers = [{name: value for name, value in answer.headers.items() if name not in ("Date", "X-Request-Id")}
               for answer in answers]
    assert all(each == headers[0] for each in headers), "nothing tells the reasons apart"


def test_a_token_can_be_introspected_by_another_client_with_the_scope(server, agent):
    other = server.add_client("resource", "token:introspect")
    assert server.introspect(other, server.token(agent))["active"] is True


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": None}, {"token": 1}, {"token": ["x"]}, {"token": {}},
                                  {"Token": "x"}, {"token": "x", "unknown": 1}, {"token": "x", "token_type_hint": 1}])
def test_json_without_a_token_is_a_bad_request(server, agent, body):
    answer = server.post("/token/introspect", auth=agent, json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["", "token", "token=", "Token=x", "token=a&token=b", "token=%", "token=%4",
                                  "token=%00", "token=%ff", "token=a&token_type_hint=x&token_type_hint=y",
                                  "&".join(f"p{i}=x" for i in range(100))])
def test_a_form_without_a_token_is_a_bad_request(server, agent, form):
    answer = server.post("/token/introspect", auth=agent, data=form,
                         headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_form_is_decoded_as_forms_are(server, agent):
    token = server.token(agent)
    coded = "".join(f"%{ord(char):02x}" if at % 3 else char for at, char in enumerate(token))
    answer = server.post("/token/introspect", auth=agent, data=f"%74oken={coded}&",
                         headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    assert answer.json()["active"] is True
