"""Who may call: the ways to authenticate, what each scope allows and nothing more, and answers that tell an attacker
nothing about which of his guesses was nearer."""

import base64
import time

import pytest

import tokens
from service import SCOPES, STORY_SCOPES
from wire import head, post

OPERATIONS = {
    "/token": {"subject": "s", "clientId": "c", "scope": "", "tokenType": "access"},
    "/token/verify": {"token": "a.b.c"},
    "/token/introspect": {"token": "a.b.c"},
    "/token/revoke": {"token": "a.b.c"},
}
FORMS = ["/token/introspect", "/token/revoke"]


@pytest.fixture(scope="module")
def public(server):
    return server.add_client("public", SCOPES, "--public")


@pytest.fixture(scope="module")
def disabled(server):
    client = server.add_client("disabled")
    server.run("clients", "disable", "disabled")
    return client


def denied(answer, status, error):
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert "WWW-Authenticate" in answer.headers
    return True


# --- ways -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", OPERATIONS)
def test_a_call_without_credentials_is_refused(server, path):
    answer = server.post(path, json=OPERATIONS[path])
    assert denied(answer, 401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("path", FORMS)
def test_basic_post_and_bearer_all_serve(server, agent, path):
    form = {"token": server.token(agent)}
    assert server.post(path, form=form, auth=agent).status_code == 200
    assert server.post(path, form={"token": server.token(agent)} | agent.post()).status_code == 200
    assert server.post(path, form={"token": server.token(agent)},
                       auth=server.token(agent, scope=SCOPES)).status_code == 200


@pytest.mark.parametrize("path", OPERATIONS)
def test_basic_and_bearer_serve_with_json(server, agent, path):
    body = OPERATIONS[path] | ({"clientId": "agent"} if path == "/token" else {})
    for auth in (agent, server.token(agent, scope=SCOPES)):
        answer = server.post(path, json=body, auth=auth)
        assert answer.status_code == (401 if path == "/token/verify" else 200), answer.text
        if path == "/token/verify":
            assert answer.json()["valid"] is False, "the caller was let in; the token was not"


def test_the_scheme_has_no_case(server, agent):
    basic = agent.basic().split(" ")[1]
    for scheme in ("basic", "BASIC", "bAsIc"):
        answer = server.post("/token/introspect", json={"token": "x"}, headers={"Authorization": f"{scheme} {basic}"})
        assert answer.status_code == 200
    token = server.token(agent, scope="token:introspect")
    for scheme in ("bearer", "BEARER"):
        answer = server.post("/token/introspect", json={"token": "x"}, headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200


@pytest.mark.parametrize("client_id", ["with space", "a:b", "50%", "a+b", "%41", "a&b=c", "~!@#$^*()_{}|;'<>?,./`"])
def test_an_id_is_form_encoded_within_basic(server, client_id):
    """RFC 6749 section 2.3.1 and appendix B."""
    client = server.add_client(client_id, "token:introspect")
    assert server.introspect(client, "x") == {"active": False}
    assert server.post("/token/introspect", form={"token": "x"} | client.post()).status_code == 200


def test_the_longest_id_comes_in_however_it_is_encoded(server):
    """RFC 6749 section 2.3.1: each byte of an id of 255 may be three of a percent code."""
    client = server.add_client("a" * 254 + "/", "token:introspect")
    client_id, secret = ("".join(f"%{ord(c):02X}" for c in text) for text in (client.id, client.secret))
    for pair in (f"{client_id}:{client.secret}", f"{client_id}:{secret}"):
        value = base64.b64encode(pair.encode()).decode()
        answer = server.post("/token/introspect", json={"token": "x"}, headers={"Authorization": f"Basic {value}"})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("value", [
    "", "Basic", "Basic ", "Basic :", "Basic !!!", "Basic YWdlbnQ", "Basic YWdlbnQ=", "Bearer", "Bearer ", "Bearer x",
    "Bearer a.b.c", "Digest username=agent", "Negotiate abc", "Token x", "agent", "Basic " + "A" * 6000,
    "Bearer " + "A" * 6000, "Basic " + base64.b64encode(b"agent").decode(), "Basic " + base64.b64encode(b":x").decode(),
    "Basic " + base64.b64encode(b"agent:\0").decode(), "Basic " + base64.b64encode(b"agent:\xff\xfe").decode(),
    "Basic " + base64.b64encode(b"ag\0ent:x").decode(), "Basic " + base64.b64encode(b"agent:%").decode(),
    "Basic " + base64.b64encode(b"agent:%00").decode(), "Basic Basic YWdlbnQ6eA==", "Basic YWdlbnQ6eA== YWdlbnQ6eA==",
    "Basic YWdlbnQ6eA",
])
@pytest.mark.parametrize("path", OPERATIONS)
def test_a_malformed_authorization_is_refused(server, path, value):
    answer = server.post(path, json=OPERATIONS[path], headers={"Authorization": value})
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"] in ("invalid_client", "invalid_token")
    assert "WWW-Authenticate" in answer.headers


def test_a_request_authenticates_in_one_way(server, agent):
    """RFC 6749 section 2.3."""
    other = server.add_client("other")
    answer = server.post("/token/introspect", auth=agent, form={"token": "x"} | agent.post())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = server.post("/token/introspect", auth=agent, form={"token": "x", "client_id": other.id})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = server.post("/token/introspect", auth=server.token(agent), form={"token": "x"} | agent.post())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = server.post("/token/introspect", auth=agent, form={"token": "x", "client_id": agent.id})
    assert answer.status_code == 200


def test_two_authorization_headers_are_refused(server, agent):
    with server.wire() as wire:
        answer = wire.call(post("/token/introspect", b'{"token":"x"}', "application/json",
                                f"Authorization: {agent.basic()}", f"Authorization: {agent.basic('wrong')}"))
        assert answer.status == 400


def test_credentials_elsewhere_are_not_looked_at(server, agent):
    """Not in the query (RFC 6749 section 2.3.1, RFC 6750 section 2.3), not in JSON, not as a form's access_token."""
    token = server.token(agent, scope=SCOPES)
    for query in (f"?client_id={agent.id}&client_secret={agent.secret}", f"?access_token={token}"):
        assert denied(server.post("/token/introspect" + query, json={"token": "x"}), 401, "invalid_client")
    assert server.post("/token/introspect", json={"token": "x"} | agent.post()).status_code == 401
    assert server.post("/token/introspect", form={"token": "x", "access_token": token}).status_code == 401
    assert server.post("/token/introspect", json={"token": "x"},
                       headers={"Cookie": f"token={token}"}).status_code == 401
    assert server.post("/token/introspect", json={"token": "x"},
                       headers={"X-Forwarded-User": agent.id, "Proxy-Authorization": agent.basic()}).status_code == 401


# --- no hints -------------------------------------------------------------------------------------------------------

def failing_callers(agent, public, disabled, server):
    yield "wrong secret", agent.id, "A" * 43
    yield "secret's case", agent.id, agent.secret.swapcase()
    yield "secret cut", agent.id, agent.secret[:-1]
    yield "secret longer", agent.id, agent.secret + "A"
    yield "no secret", agent.id, ""
    yield "unknown client", "nobody", "A" * 43
    yield "unknown client, a real secret", "nobody", agent.secret
    yield "id's case", agent.id.upper(), agent.secret
    yield "disabled client", disabled.id, disabled.secret
    yield "disabled client, wrong secret", disabled.id, "A" * 43
    yield "public client", public.id, "A" * 43
    yield "public client, no secret", public.id, ""
    yield "another client's secret", disabled.id, agent.secret


def what_was_said(answer):
    """All of an answer but what differs between any two."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Date")}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("path", OPERATIONS)
def test_all_failing_callers_hear_the_same_by_basic(server, agent, public, disabled, path):
    said = {}
    for what, client_id, secret in failing_callers(agent, public, disabled, server):
        value = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        said[what] = what_was_said(server.post(path, json=OPERATIONS[path],
                                               headers={"Authorization": f"Basic {value}"}))
    assert len({repr(each) for each in said.values()}) == 1, said
    assert said["wrong secret"][0] == 401
    assert b'"invalid_client"' in said["wrong secret"][2]


@pytest.mark.parametrize("path", FORMS)
def test_all_failing_callers_hear_the_same_by_form(server, agent, public, disabled, path):
    said = {}
    for what, client_id, secret in failing_callers(agent, public, disabled, server):
        if secret:
            form = {"token": "x", "client_id": client_id, "client_secret": secret}
            said[what] = what_was_said(server.post(path, form=form))
    assert len({repr(each) for each in said.values()}) == 1, said
    assert said["wrong secret"][0] == 401


def test_a_failing_caller_hears_nothing_about_the_body(server, agent):
    """Whether a token is good, a client exists or JSON parses is no business of those who have not authenticated."""
    good = server.token(agent)
    said = {repr(what_was_said(server.post("/token/introspect", data=data, headers={
        "Content-Type": "application/json", "Authorization": agent.basic("wrong")})))
        for data in (f'{{"token":"{good}"}}', '{"token":"x"}', "not JSON", "", "{}")}
    assert len(said) == 1, said


# --- scopes ---------------------------------------------------------------------------------------------------------

def try_everything(server, agent, caller, auth):
    """Every kind of call by one caller: which of them it may make."""
    others = server.token(agent, subject="user-1")
    own = server.token(agent, clientId=caller.id, subject="user-1")
    calls = {
        "issue for itself": server.post("/token", auth=auth, json={
            "subject": caller.id, "clientId": caller.id, "scope": "", "tokenType": "access"}),
        "issue for another subject": server.post("/token", auth=auth, json={
            "subject": "user-1", "clientId": caller.id, "scope": "", "tokenType": "access"}),
        "issue for another client": server.post("/token", auth=auth, json={
            "subject": caller.id, "clientId": agent.id, "scope": "", "tokenType": "access"}),
        "issue a role for itself": server.post("/token", auth=auth, json={
            "subject": caller.id, "clientId": caller.id, "scope": "", "tokenType": "access",
            "claims": {"role": "admin"}}),
        "verify": server.post("/token/verify", auth=auth, json={"token": others}),
        "introspect": server.post("/token/introspect", auth=auth, json={"token": others}),
        "introspect by form": server.post("/token/introspect", auth=auth, form={"token": others}),
        "revoke its own": server.post("/token/revoke", auth=auth, json={"token": own}),
        "revoke another's": server.post("/token/revoke", auth=auth, json={"token": others}),
        "revoke another's by form": server.post("/token/revoke", auth=auth, form={"token": others}),
    }
    for what, answer in calls.items():
        assert answer.status_code in (200, 403), (what, answer.text)
        assert answer.status_code == 200 or denied(answer, 403, "insufficient_scope")
    return {what for what, answer in calls.items() if answer.status_code == 200}


ALLOWED = {
    "": set(),
    STORY_SCOPES: set(),
    "token:issue": {"issue for itself"},
    "token:issue:any": {"issue for itself", "issue for another subject", "issue for another client"},
    "token:issue:privileged": set(),
    "token:issue token:issue:privileged": {"issue for itself"},
    "token:issue:any token:issue:privileged": {"issue for itself", "issue for another subject",
                                               "issue for another client"},
    "token:issue token:issue:privileged keys:rotate": {"issue for itself"},
    "token:issue token:issue:privileged keys:rotate token:revoke:any": {
        "issue for itself", "issue a role for itself", "revoke another's", "revoke another's by form"},
    "token:verify": {"verify"},
    "token:introspect": {"introspect", "introspect by form"},
    "token:revoke:any": {"revoke another's", "revoke another's by form"},
    "keys:rotate": set(),
    "token:issuer token token:* TOKEN:VERIFY token:verify:any xtoken:introspect token:introspectx token:revoke": set(),
}
@pytest.mark.parametrize("scope", ALLOWED)
def test_a_scope_allows_what_it_says_and_nothing_more(server, agent, scope):
    caller = server.add_client("scoped" + str(list(ALLOWED).index(scope)), scope)
    assert try_everything(server, agent, caller, caller) == ALLOWED[scope] | {"revoke its own"}


@pytest.mark.parametrize("scope", [scope for scope in ALLOWED if "*" not in scope])
def test_a_bearer_may_do_what_its_token_says_though_its_client_may_more(server, agent, scope):
    """A user's token, which issues nothing whatever its scopes; and the client's own."""
    caller = server.add_client("bearer" + str(list(ALLOWED).index(scope)), SCOPES + " " + STORY_SCOPES)
    allowed = ALLOWED[scope] | ({"revoke its own"} if "token:revoke:any" in scope.split() else set())
    bearer = server.token(agent, clientId=caller.id, subject="user-1", scope=scope)
    assert try_everything(server, agent, caller, bearer) == {what for what in allowed if "issue" not in what}
    bearer = server.token(agent, clientId=caller.id, subject=caller.id, scope=scope)
    assert try_everything(server, agent, caller, bearer) == allowed


def test_a_token_gives_no_more_than_its_client_has_now(server, agent):
    """The client's scopes are taken from it while its token still names them."""
    caller = server.add_client("shrinking", "token:introspect token:verify")
    bearer = server.token(agent, clientId=caller.id, subject="user-1", scope="token:introspect token:verify")
    assert server.post("/token/introspect", auth=bearer, json={"token": "x"}).status_code == 200
    import sqlite3
    from contextlib import closing
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(oauth_clients)")}
        assert "allowed_scopes" in columns
        (before,) = database.execute("SELECT allowed_scopes FROM oauth_clients WHERE client_id='shrinking'").fetchone()
        database.execute("UPDATE oauth_clients SET allowed_scopes = ? WHERE client_id = 'shrinking'",
                         (before.replace("token:introspect", "").strip(),))
    server.process.send_signal(1)  # SIGHUP: read again what can be read again
    server.until(lambda: server.post("/token/introspect", auth=bearer, json={"token": "x"}).status_code == 403,
                 "the server still goes by the client's old scopes")
    assert server.post("/token/verify", auth=bearer, json={"token": "x"}).json().get("valid") is False


@pytest.mark.parametrize("claims", [{"role": "user"}, {"role": ""}, {"role": None}, {"role": ["admin"]}])
def test_any_role_is_privileged(server, agent, claims):
    issuer = server.add_client("issuer" + str(time.monotonic_ns()), "token:issue token:issue:any")
    assert denied(server.ask(issuer, claims=claims), 403, "insufficient_scope")
    assert server.ask(agent, claims=claims).status_code == 200


def test_further_claims_can_be_made_privileged(make_server):
    with make_server(TOKEN_PRIVILEGED_CLAIMS="groups, tenant", TOKEN_SIGNING_ALG="ES256") as server:
        issuer = server.add_client("issuer", "token:issue")
        agent = server.add_client("agent")
        for name in ("role", "groups", "tenant"):
            assert denied(server.ask(issuer, claims={"email": "x", name: "x"}), 403, "insufficient_scope")
            assert server.ask(agent, claims={name: "x"}).status_code == 200
        for name in ("group", "ten", "groups, tenant"):
            assert server.ask(issuer, claims={name: "x"}).status_code == 200
        for name in ("Groups", "TENANT", "group\u017f", "te\u200dnant", "\uff47roups"):
            assert denied(server.ask(issuer, claims={name: "x"}), 403, "insufficient_scope")
            assert server.ask(agent, claims={name: "x"}).status_code == 400


# --- bearer tokens --------------------------------------------------------------------------------------------------

def call_with(server, bearer):
    return server.post("/token/introspect", auth=bearer, json={"token": "x"})


@pytest.mark.parametrize("kind", ["refresh", "id"])
def test_only_an_access_token_is_a_bearer_token(server, agent, kind):
    answer = call_with(server, server.token(agent, tokenType=kind, scope=SCOPES))
    assert denied(answer, 401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


def test_an_id_token_with_the_claims_of_an_access_token_is_none(server, agent):
    """RFC 8725 section 3.11: the kind is in typ; no claim can change it."""
    kid, key = server.signing_key()
    access = server.issue(agent, scope=SCOPES)["claims"]
    for typ in ("JWT", "rt+jwt"):
        token = tokens.sign(key, "RS256", {"alg": "RS256", "typ": typ, "kid": kid}, access)
        server.tokens.add(token)
        assert denied(call_with(server, token), 401, "invalid_token")
    token = tokens.sign(key, "RS256", {"alg": "RS256", "typ": "at+jwt", "kid": kid}, access)
    server.tokens.add(token)
    assert call_with(server, token).status_code == 200


def test_a_revoked_or_expired_or_changed_bearer_token_is_refused(server, agent):
    token = server.token(agent, scope=SCOPES)
    assert call_with(server, token).status_code == 200
    server.revoke(agent, token)
    assert denied(call_with(server, token), 401, "invalid_token")
    issued = server.issue(agent, scope=SCOPES, expiresIn=1)
    server.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
    assert denied(call_with(server, issued["token"]), 401, "invalid_token")
    assert denied(call_with(server, tokens.flip(server.token(agent, scope=SCOPES), -9)), 401, "invalid_token")


def test_a_token_for_somebody_else_is_refused_as_bearer(server, agent):
    """RFC 9068 section 4: the audience must be this service."""
    elsewhere = server.token(agent, scope=SCOPES, audience="https://other.example")
    assert server.verify(agent, elsewhere).status_code == 200
    assert denied(call_with(server, elsewhere), 401, "invalid_token")
    assert call_with(server, server.token(agent, scope=SCOPES,
                                          audience="https://auth.storytailor.ai")).status_code == 200


# --- clients come and go --------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def brisk(make_server):
    """A server that reads its clients again about every second."""
    return make_server(TOKEN_CLIENT_CACHE_TTL=3, TOKEN_SIGNING_ALG="ES256").start()


def test_a_client_added_beside_the_server_works_at_once(brisk):
    for at in range(5):
        client = brisk.add_client(f"new{at}")
        assert brisk.verify(client, brisk.token(client)).status_code == 200


def test_a_client_that_was_asked_for_before_it_existed_works_at_once(brisk):
    for _ in range(3):
        answer = brisk.post("/token/introspect", form={"token": "x", "client_id": "late", "client_secret": "y" * 43})
        assert answer.status_code == 401
    assert brisk.introspect(brisk.add_client("late"), "x") == {"active": False}


def test_a_disabled_client_and_its_tokens_are_soon_refused_and_an_enabled_one_serves_again(brisk):
    client = brisk.add_client("comes-and-goes")
    bearer = brisk.token(client, scope=SCOPES)
    assert call_with(brisk, bearer).status_code == 200
    brisk.run("clients", "disable", client.id)
    brisk.until(lambda: brisk.post("/token/introspect", auth=client, json={"token": "x"}).status_code == 401,
                "the disabled client is still let in")
    assert denied(call_with(brisk, bearer), 401, "invalid_token")
    brisk.run("clients", "enable", client.id)
    brisk.until(lambda: call_with(brisk, bearer).status_code == 200, "the enabled client is still kept out")
    assert brisk.introspect(client, "x") == {"active": False}


# --- guessing is slow -----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def strict(make_server):
    """60 failures a minute: so one becomes free each second."""
    return make_server(TOKEN_FAILURE_LIMIT=60, TOKEN_SIGNING_ALG="ES256").start()


def guess(server, client_id="agent"):
    return server.post("/token/introspect", json={"token": "x"},
                       headers={"Authorization": "Basic " + base64.b64encode(f"{client_id}:guess".encode()).decode()})


def guess_until_slowed(server):
    for at in range(200):
        answer = guess(server)
        if answer.status_code == 429:
            return at, answer
        assert answer.status_code == 401
    raise AssertionError("two hundred wrong guesses, and none was slowed down")


def test_repeated_failures_are_slowed_down_and_then_forgiven(strict):
    client = strict.add_client("agent")
    at, answer = guess_until_slowed(strict)
    assert at >= 60, "the limit is what it says"
    assert answer.json()["error"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60

    assert strict.post("/token/introspect", auth=client, json={"token": "x"}).status_code == 200
    assert strict.get("/.well-known/jwks.json").status_code == 200, "what needs no credentials is open still"
    assert strict.get("/health/ready").status_code == 200
    without = strict.post("/token/introspect", json={"token": "x"})
    assert without.status_code == 401, "nothing is guessed without credentials"

    strict.until(lambda: guess(strict).status_code == 401, "the address is never forgiven")
    assert strict.metric("authentications_total", result="limited") >= 1
    assert strict.metric("authentications_total", result="failed") >= 60


def test_whoever_is_right_comes_in_though_others_fail_from_the_same_address(make_server):
    """By default settings, as behind a proxy: neither guesses nor names lock out a caller who is right, by any way."""
    with make_server(TOKEN_FAILURE_LIMIT=10, TOKEN_SIGNING_ALG="ES256") as server:
        victim, late = server.add_client("victim"), server.add_client("late")
        bearer = server.token(victim, scope=SCOPES)
        assert 429 in {guess(server, "victim").status_code for _ in range(40)}
        for auth in (victim, bearer, late):  # the last one's first call
            assert server.post("/token/introspect", auth=auth, json={"token": "x"}).status_code == 200
            assert server.ask(auth).status_code == 200
        assert server.post("/token/introspect", form={"token": "x"} | victim.post()).status_code == 200
        assert denied(server.post("/token/introspect", auth=tokens.flip(bearer, -9), json={"token": "x"}), 401,
                      "invalid_token"), "a caller with a token must learn that it is no longer good"


def test_a_guess_asks_the_store_no_more_often_than_the_limit(make_server):
    """Any names from one address; and the queue of the workers is not where they wait."""
    with make_server(TOKEN_FAILURE_LIMIT=10, TOKEN_SIGNING_ALG="ES256") as server:
        statuses = [guess(server, f"name-{at}").status_code for at in range(200)]
        assert statuses[:20] == [401] * 20, "the limit, and as many again for names that are new"
        assert statuses.count(429) > 100


def test_bad_tokens_in_a_body_are_no_failed_authentications(strict):
    client = strict.add_client("honest")
    strict.until(lambda: strict.post("/token/introspect", auth=client, json={"token": "x"}).status_code == 200,
                 "the address is never forgiven")
    for _ in range(100):
        assert strict.verify(client, "a.b.c").json()["valid"] is False
    assert strict.introspect(client, "x") == {"active": False}


def test_an_expired_bearer_token_is_no_guess(strict):
    client = strict.add_client("late-renewer")
    strict.until(lambda: strict.post("/token/introspect", auth=client, json={"token": "x"}).status_code == 200,
                 "the address is never forgiven")
    issued = strict.issue(client, scope=SCOPES, expiresIn=1)
    strict.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
    for _ in range(100):
        assert denied(call_with(strict, issued["token"]), 401, "invalid_token")


def test_the_limit_can_be_turned_off(server):
    """The module's own server has 0."""
    assert {guess(server).status_code for _ in range(150)} == {401}


def test_health_needs_no_caller_even_with_wrong_credentials(server):
    with server.wire() as wire:
        answer = wire.call(head("GET", "/health/live", "Authorization: Basic " + "x" * 100))
        assert answer.status == 200
