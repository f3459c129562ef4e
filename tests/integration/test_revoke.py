"""POST /token/revoke, RFC 7009: who may revoke what, and that a revocation holds as long as its token would."""

import time

import pytest

import tokens
from service import SCOPES

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def owner(server):
    """A client with no scope of the service at all: its own tokens it may revoke, and nothing else."""
    return server.add_client("owner", "stories:read")


@pytest.fixture(scope="module")
def stranger(server):
    return server.add_client("stranger", SCOPES.replace("token:revoke:any ", ""))


def ways(server, auth, token):
    """Revokes as JSON, as a form with Basic, as a form with client_secret_post."""
    yield server.post("/token/revoke", auth=auth, json={"token": token})
    yield server.post("/token/revoke", auth=auth, form={"token": token, "token_type_hint": "access_token"})
    if hasattr(auth, "post"):
        yield server.post("/token/revoke", form={"token": token} | auth.post())


def is_revoked(server, agent, token):
    verified = server.verify(agent, token)
    return (verified.status_code, verified.json().get("valid")) == (401, False) and not server.is_active(agent, token)


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
@pytest.mark.parametrize("way", [0, 1, 2])
def test_a_client_revokes_its_own_tokens(server, agent, owner, kind, way):
    token = server.token(agent, clientId="owner", subject="user-1", tokenType=kind, scope="stories:read")
    assert not server.verify(agent, token).json().get("error")
    *_, answer = (answer for at, answer in zip(range(way + 1), ways(server, owner, token)))
    assert answer.status_code == 200, answer.text
    assert answer.content == (b'{"revoked":true}' if way == 0 else b"")
    assert is_revoked(server, agent, token)


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_another_clients_token_needs_the_scope(server, agent, stranger, kind):
    token = server.token(agent, clientId="owner", subject="user-1", tokenType=kind)
    for answer in ways(server, stranger, token):
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert server.verify(agent, token).status_code == 200
    assert server.revoke(agent, token).status_code == 200
    assert is_revoked(server, agent, token)


def test_an_admins_token_revokes_any(server, agent, owner):
    admin = server.token(agent, subject="admin-1", claims={"role": "admin"})
    token = server.token(agent, clientId="owner", subject="user-1")
    assert server.revoke(admin, token).status_code == 200
    assert is_revoked(server, agent, token)


@pytest.mark.parametrize("role", ["Admin", "administrator", "user", ["admin"], {"admin": True}, True, 1, "admin "])
def test_only_the_role_admin_makes_an_admin(server, agent, owner, role):
    bearer = server.token(agent, subject="user-1", claims={"role": role})
    token = server.token(agent, clientId="owner", subject="user-1")
    assert server.revoke(bearer, token).status_code == 403
    assert server.verify(agent, token).status_code == 200


def test_revoking_again_is_no_error(server, agent):
    token = server.token(agent)
    for _ in range(3):
        assert server.revoke(agent, token).json() == {"revoked": True}
    assert is_revoked(server, agent, token)


def test_a_token_revokes_itself_and_then_can_no_more(server, agent):
    token = server.token(agent)
    assert server.revoke(token, token).status_code == 200
    assert server.revoke(token, token).status_code == 401
    assert is_revoked(server, agent, token)


def test_one_revocation_leaves_the_other_tokens_alone(server, agent):
    kept = [server.token(agent, subject="user-1") for _ in range(5)]
    gone = server.token(agent, subject="user-1")
    server.revoke(agent, gone)
    assert is_revoked(server, agent, gone)
    assert all(server.is_active(agent, token) for token in kept)


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "é", "0", "x" * 30000, " "])
def test_an_unknown_token_is_no_error(server, owner, token):
    """RFC 7009 section 2.2: for the caller it is as revoked as can be."""
    as_json, *as_forms = ways(server, owner, token)
    assert (as_json.status_code, as_json.content) == (200, b'{"revoked":true}')
    assert [(answer.status_code, answer.content) for answer in as_forms] == [(200, b"")] * 2


def test_an_expired_token_is_no_error(make_server):
    with make_server(TOKEN_CLOCK_TOLERANCE_MAX=0) as server:
        agent = server.add_client("agent")
        issued = server.issue(agent, expiresIn=1)
        server.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
        assert server.revoke(agent, issued["token"]).json() == {"revoked": True}


def test_an_expired_token_that_a_tolerance_would_let_in_can_be_revoked(server, agent):
    issued = server.issue(agent, expiresIn=1)
    server.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
    assert server.verify(agent, issued["token"], clockTolerance=300).status_code == 200
    assert server.revoke(agent, issued["token"]).status_code == 200
    assert server.verify(agent, issued["token"], clockTolerance=300).status_code == 401


def signed(server, claims, kid=None):
    """By the service's own key, which signs what a clock that is wrong would have made."""
    own_kid, key = server.signing_key()
    token = tokens.sign(key, "RS256", {"alg": "RS256", "typ": "at+jwt", "kid": kid or own_kid}, claims)
    server.tokens.add(token)
    return token


@pytest.mark.parametrize("shift", [-40 * 86400, -7200, 7200, 40 * 86400])
def test_whatever_bears_our_signature_is_recorded_when_it_is_revoked(server, agent, shift):
    """Over, or still to come, by this machine's clock, which may be the one that is wrong: kept for a day beyond."""
    claims = server.issue(agent)["claims"]
    times = {name: claims[name] + shift for name in ("exp", "iat", "nbf")}
    token = signed(server, claims | times)
    assert server.revoke(agent, token).json() == {"revoked": True}
    (kept_until,) = server.row("revocations", token, "expires_at")
    assert kept_until >= max(time.time() - 60, times["exp"]) + 86400


def test_a_token_of_yesterdays_issuer_is_recorded_too(server, agent):
    """Others may still take it, by the same keys."""
    token = signed(server, server.issue(agent)["claims"] | {"iss": "https://yesterday.example"})
    assert server.revoke(agent, token).json() == {"revoked": True}
    assert server.row("revocations", token, "reason") == ("revoked",)


def test_a_token_of_a_key_that_was_revoked_is_recorded_and_one_of_no_key_is_not(make_server):
    with make_server() as server:
        agent = server.settled() and server.add_client("agent")
        token, claims = server.token(agent), server.issue(agent)["claims"]
        kid, _ = server.signing_key()
        of_nobody = signed(server, claims, kid="A" * 43)
        server.run("keys", "revoke", kid)
        server.until(lambda: kid not in {key["kid"] for key in server.jwks()["keys"]}, "the key is still published")
        for one in (token, of_nobody):
            assert server.revoke(agent, one).json() == {"revoked": True}
        assert server.row("revocations", token, "revoked_by") == ("agent",)
        assert server.rows("SELECT count(*) FROM revocations") == [(1,)]


# --- public clients -------------------------------------------------------------------------------------------------

def by_id(server, client_id, token, path="/token/revoke", **more):
    return server.post(path, form={"token": token, "client_id": client_id} | more)


@pytest.fixture(scope="module")
def app(server):
    return server.add_client("app", SCOPES, "--public")


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_a_public_client_revokes_its_own_tokens_with_its_id_alone(server, agent, app, kind):
    """RFC 7009 section 2.1."""
    token, empty = (server.token(agent, clientId="app", subject="user-1", tokenType=kind) for _ in range(2))
    answer = by_id(server, "app", token)
    assert (answer.status_code, answer.content) == (200, b"")
    assert is_revoked(server, agent, token)
    assert by_id(server, "app", empty, client_secret="").status_code == 200
    assert is_revoked(server, agent, empty)
    assert by_id(server, "app", "x").status_code == 200


def test_an_id_alone_gives_nothing_else(server, agent, app, owner):
    others = server.token(agent, clientId="owner", subject="user-1")
    own = server.token(agent, clientId="app", subject="user-1")
    answer = by_id(server, "app", others)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    server.add_client("gone", "", "--public")
    server.run("clients", "disable", "gone")
    said = {what: by_id(server, client_id, others) for what, client_id in (
        ("confidential", "owner"), ("unknown", "nobody"), ("disabled", "gone"))}
    assert {(answer.status_code, answer.content) for answer in said.values()} == {
        (401, said["unknown"].content)}, "none can be told from another"
    assert by_id(server, "app", own, "/token/introspect").status_code == 401
    answer = server.post("/token", form={"client_id": "app", "grant_type": "x"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    assert server.post("/token/revoke", json={"token": own, "client_id": "app"}).status_code == 401
    assert by_id(server, "app", own, client_secret="x").status_code == 401
    assert server.post("/token/revoke?client_id=app", form={"token": own}).status_code == 401
    assert server.is_active(agent, others) and server.is_active(agent, own)


def test_a_forged_token_revokes_nothing(server, agent, owner):
    """A jti that is another's, under a key that is not ours."""
    token = server.token(agent, clientId="owner", subject="user-1")
    forged = tokens.sign(tokens.new_key("RS256"), "RS256", tokens.header_of(token), tokens.claims_of(token))
    assert server.revoke(owner, forged).status_code == 200
    assert server.verify(agent, token).status_code == 200


def test_the_revocation_is_kept_as_long_as_the_token(server, agent):
    issued = server.issue(agent, tokenType="refresh", expiresIn=31536000)
    server.revoke(agent, issued["token"], reason="stolen")
    columns = "revoked_at, revoked_by, revocation_reason"
    revoked_at, *rest = server.row("oauth_refresh_tokens", issued["token"], columns)
    assert abs(revoked_at - time.time()) < 60
    assert rest == ["agent", "stolen"]
    (kept_until,) = server.row("revocations", issued["token"], "expires_at")
    assert kept_until >= issued["claims"]["exp"]


def test_the_reason_is_optional_and_bounded(server, agent):
    for reason, status in (("", 200), ("x" * 256, 200), ("x" * 257, 400), ("ünïcode ✓", 200)):
        assert server.revoke(agent, server.token(agent), reason=reason).status_code == status, reason


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": None}, {"token": 1}, {"token": ["x"]}, {"reason": "x"},
                                  {"token": "x", "unknown": 1}, {"token": "x", "reason": 1}])
def test_json_without_a_token_is_a_bad_request(server, owner, body):
    answer = server.post("/token/revoke", auth=owner, json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["", "token", "token=", "reason=x", "token=a&token=b", "token=%zz"])
def test_a_form_without_a_token_is_a_bad_request(server, owner, form):
    answer = server.post("/token/revoke", auth=owner, data=form, headers={"Content-Type": FORM})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
