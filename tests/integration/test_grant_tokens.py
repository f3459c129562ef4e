"""POST /token/revoke (RFC 7009) and POST /token/introspect (RFC 7662) with the refresh token of a grant, which is no
signed token: what it says is in the store alone."""

import base64
import hashlib
import os
import time

import pytest

import tokens
from service import run
from signed_in import KEEPER_SCOPES, SETTINGS, Browser, add_app, redeem, refresh, refreshed

SHORT_S = 2


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(**SETTINGS).start()


@pytest.fixture(scope="module")
def keeper(server):
    return server.add_client("keeper", KEEPER_SCOPES)


@pytest.fixture(scope="module")
def app(server):
    return add_app(server, "app")


@pytest.fixture
def grant(server, keeper, app):
    """What a sign-in brings: access, refresh and id token."""
    return Browser(keeper).tokens(server, app)


def is_over(server, keeper, app, grant):
    """Of all tokens of the grant; the refresh token is refused to its client too."""
    assert server.introspect(keeper, grant["access_token"]) == {"active": False}
    assert server.introspect(keeper, grant["refresh_token"]) == {"active": False}
    assert server.get("/userinfo", auth=grant["access_token"]).status_code == 401
    answer = refresh(server, app, grant["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    return True


# --- introspection --------------------------------------------------------------------------------------------------

def test_a_good_one_is_told_as_the_contract_has_it(server, keeper, grant):
    told = server.introspect(keeper, grant["refresh_token"])
    access, began = tokens.claims_of(grant["access_token"]), told["iat"]
    assert 0 <= access["iat"] - began <= 60, "the grant began with its code"
    assert told == {
        "active": True, "scope": "openid profile offline_access", "client_id": "app", "username": "ada", "sub": "ada",
        "token_type": "Refresh", "iat": began, "nbf": began, "exp": access["iat"] + 30 * 86400,
        "aud": ["app", "http://localhost"], "iss": "http://localhost",
        "jti": tokens.encode(hashlib.sha256(grant["refresh_token"].encode()).digest())}
    as_json = server.post("/token/introspect", auth=keeper, json={"token": grant["refresh_token"]})
    assert as_json.json() == told


def test_a_used_one_is_good_as_long_as_it_brings_its_successor(server, keeper):
    for app in (add_app(server, "patient", refresh_token_grace=600), add_app(server, "hasty", refresh_token_grace=1)):
        first = Browser(keeper).tokens(server, app)["refresh_token"]
        second = refreshed(server, app, first)["refresh_token"]
        if app.id == "patient":
            assert server.is_active(keeper, first)
        else:
            server.until(lambda token=first: not server.is_active(keeper, token), "a used token is good for ever")
        assert server.is_active(keeper, second), "asking is no use: nothing is revoked by it"
        assert refresh(server, app, second).status_code == 200


def test_an_idle_one_ends(server, keeper):
    patient = add_app(server, "rarely", refresh_token_idle=600)
    app = add_app(server, "idle", refresh_token_idle=SHORT_S)
    grant = Browser(keeper).tokens(server, patient)
    told = server.introspect(keeper, grant["refresh_token"])
    assert told["exp"] == tokens.claims_of(grant["access_token"])["iat"] + 600
    grant = Browser(keeper).tokens(server, app)
    server.until(lambda: not server.is_active(keeper, grant["refresh_token"]), "it lies idle for ever")
    assert time.time() >= tokens.claims_of(grant["access_token"])["iat"] + SHORT_S
    assert server.is_active(keeper, grant["access_token"])


def forgeries(token):
    """Each is a refresh token by its form."""
    raw = tokens.decode(token)
    yield from (tokens.encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]) for at in (0, 15, 16, 19, 20, 51, 52, 63))
    yield tokens.encode(raw[:52] + bytes(12))
    yield tokens.encode(os.urandom(64))
    yield tokens.encode(bytes(64))


def test_whatever_is_not_good_is_told_in_the_same_words(server, keeper, app, grant):
    token = grant["refresh_token"]
    for other in (*forgeries(token), token[:-1], token + "A", token.upper(), token[:85] + "=", "A" * 86, " " + token,
                  base64.b64encode(tokens.decode(token)).decode()):
        if other != token:
            assert server.introspect(keeper, other) == {"active": False}, other
            assert refresh(server, app, other).json()["error"] == "invalid_grant"
    assert server.is_active(keeper, token), "a forgery has changed something"


@pytest.mark.parametrize("how", ["disabled", "unregistered"])
def test_its_client_must_be_one_that_may_use_it(server, keeper, how):
    app = add_app(server, f"app-{how}")
    token = Browser(keeper).tokens(server, app)["refresh_token"]
    assert server.is_active(keeper, token)
    if how == "disabled":
        server.run("clients", "disable", app.id)
    else:
        server.run("clients", "change", app.id, "--grant", "authorization_code")
    server.until(lambda: not server.is_active(keeper, token), "its client may not use it")


def test_who_asks_needs_the_scope(server, app, grant):
    for auth, status in ((app, 403), (grant["access_token"], 403), (None, 401)):
        answer = server.post("/token/introspect", auth=auth, form={"token": grant["refresh_token"]})
        assert answer.status_code == status


def test_it_is_counted_as_one_call_by_one_caller(server, keeper, grant):
    def counted():
        return (server.metric("authentications_total", method="client_secret_basic"),
                server.metric("introspections_total", result="active"),
                server.metric("requests_total", operation="introspect"))
    before = counted()
    assert server.is_active(keeper, grant["refresh_token"])
    assert [now - then for now, then in zip(counted(), before)] == [1, 1, 1]


# --- revocation -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "nonsense"])
def test_its_client_ends_the_grant_with_it(server, keeper, app, grant, hint):
    form = {"token": grant["refresh_token"]} | ({"token_type_hint": hint} if hint else {})
    answer = server.post("/token/revoke", auth=app, form=form)
    assert (answer.status_code, answer.content) == (200, b"")
    assert is_over(server, keeper, app, grant)
    again = server.post("/token/revoke", auth=app, form=form)
    assert (again.status_code, again.content) == (200, b""), "section 2.2: that it is revoked already is no error"
    (event, *_) = [each for each in server.told("token_revoked") if each["type"] == "grant"]
    assert (event["client_id"], event["caller"]) == ("app", "app")


def test_every_token_of_the_family_stands_for_it(server, keeper, app, grant):
    """Also one that was used: who signs out may not have had the answer with the newest one."""
    newest = refreshed(server, app, refreshed(server, app, grant["refresh_token"])["refresh_token"])
    assert server.post("/token/revoke", auth=app, form={"token": grant["refresh_token"]}).status_code == 200
    assert is_over(server, keeper, app, newest) and is_over(server, keeper, app, grant)


def test_other_grants_go_on(server, keeper, app, grant):
    browser = Browser(keeper)
    other, third = browser.tokens(server, app), browser.tokens(server, app)
    assert server.post("/token/revoke", auth=app, form={"token": grant["refresh_token"]}).status_code == 200
    assert server.post("/token/revoke", auth=app, form={"token": other["refresh_token"]}).status_code == 200
    assert refresh(server, app, third["refresh_token"]).status_code == 200  # of the same session
    assert server.is_active(keeper, third["access_token"])


def test_an_access_token_alone_leaves_its_grant(server, keeper, app, grant):
    """Section 2.1: the refresh token MAY be revoked as well. It is not: a client that wants that shows it."""
    assert server.post("/token/revoke", auth=app, form={"token": grant["access_token"]}).status_code == 200
    assert not server.is_active(keeper, grant["access_token"])
    assert server.is_active(keeper, grant["refresh_token"])
    assert refresh(server, app, grant["refresh_token"]).status_code == 200


def test_a_public_client_names_itself(server, keeper):
    app = add_app(server, "page", token_endpoint_auth_method="none")
    other = add_app(server, "page-2", token_endpoint_auth_method="none")
    grant = Browser(keeper).tokens(server, app)
    answer = server.post("/token/revoke", form={"token": grant["refresh_token"], "client_id": other.id})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert server.is_active(keeper, grant["refresh_token"])
    assert server.post("/token/revoke", form={"token": grant["refresh_token"], "client_id": app.id}).status_code == 200
    assert is_over(server, keeper, app, grant)


def test_another_client_needs_the_scope(server, keeper, app, grant):
    other = server.add_client("other", "token:introspect")
    for auth in (other, server.issue(server.add_client("issuer"), clientId="other", subject="other")["token"]):
        answer = server.post("/token/revoke", auth=auth, form={"token": grant["refresh_token"]})
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert refresh(server, app, grant["refresh_token"]).status_code == 200
    answer = server.revoke(keeper, grant["refresh_token"], reason="the device was lost " * 12)
    assert (answer.status_code, answer.json()) == (200, {"revoked": True})
    assert is_over(server, keeper, app, grant)


def test_a_forgery_revokes_nothing(server, keeper, app, grant):
    """Who knows only a grant's id can't have it revoked; and is not told that there is one."""
    for token in forgeries(grant["refresh_token"]):
        answer = server.post("/token/revoke", auth=app, form={"token": token})
        assert (answer.status_code, answer.content) == (200, b"")
    assert refresh(server, app, grant["refresh_token"]).status_code == 200


def test_a_revoked_grant_is_over_after_a_restart(make_server):
    with make_server(**SETTINGS) as server:
        keeper, app = server.add_client("keeper", KEEPER_SCOPES), add_app(server, "app")
        grant = Browser(keeper).tokens(server, app)
        assert server.post("/token/revoke", auth=app, form={"token": grant["refresh_token"]}).status_code == 200
        server.kill()
        server.start()
        assert is_over(server, keeper, app, grant)


def test_an_operator_revokes_one(server, keeper, app, grant):
    done = run("token", "revoke", "--reason", "lost", settings=server.settings, stdin=grant["refresh_token"])
    assert "revoked" in done.stdout
    server.until(lambda: not server.is_active(keeper, grant["access_token"]), "the server does not know of it")
    assert is_over(server, keeper, app, grant)
    unknown = run("token", "revoke", settings=server.settings, stdin=tokens.encode(os.urandom(64)), expect=1)
    assert "no grant has it" in unknown.stderr


def test_a_code_that_was_revoked_with_its_grant_brings_nothing(server, keeper, app):
    code = Browser(keeper).code(server, app)
    grant = redeem(server, app, code).json()
    assert server.post("/token/revoke", auth=app, form={"token": grant["refresh_token"]}).status_code == 200
    assert redeem(server, app, code).json()["error"] == "invalid_grant"
