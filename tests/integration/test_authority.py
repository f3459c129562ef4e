"""No token does more than whoever had it issued. Every kind of caller, with little or much of its own and in its token,
asks for tokens of every kind, for itself and for others, each time for one thing more than nothing. Whatever is issued
is held to its caller: by what the token says, and by what can be done with it."""

import hashlib
import http.client
import json
import time
from dataclasses import dataclass

import pytest

import tokens
from service import SCOPES, STORY_SCOPES, Client, authorization

OWN = frozenset(SCOPES.split())        # the service's own scopes
ISSUER = "https://auth.storytailor.ai"
API = "https://api.storytailor.ai"
ELSEWHERE = "https://elsewhere.example"
LIFE_S = 600                           # of a caller's token
CLIENTS = ["token:issue", "token:issue:any", "token:issue token:issue:privileged stories:read keys:rotate",
           "token:issue:any token:issue:privileged token:revoke:any keys:rotate stories:read",
           SCOPES + " " + STORY_SCOPES, "stories:read token:verify"]
KINDS = ["access", "refresh", "id"]
TARGETS = ["itself", "weak", "strong"]
CONNECTIONS = {}

# What each cell asks for, beside an empty scope for the target client itself.
ASKS = {"nothing": {}, **{scope: {"scope": scope} for scope in (*sorted(OWN), "stories:read")},
        "a user": {"subject": "user-1"}, "the role admin": {"claims": {"role": "admin"}},
        "another role": {"claims": {"role": "reader"}}, "a long life": {"expiresIn": 2 * LIFE_S},
        "its audience": {"audience": ISSUER}, "another's audience": {"audience": ELSEWHERE}}

REVOKED = "token-service: the token has been revoked\n"


@dataclass(frozen=True)
class Caller:
    client: Client
    kind: str
    token: str | None = None       # None: by secret
    is_admin: bool = False

    @property
    def auth(self):
        return self.token or self.client

    @property
    def claims(self):
        return tokens.claims_of(self.token) if self.token else {}

    @property
    def words(self):
        """Its scopes: the client's, and of those its token's."""
        own = set(self.client.scope.split())
        return own & set(self.claims.get("scope", "").split()) if self.token else own

    @property
    def issues(self):
        return self.kind in ("secret", "its own token", "its own admin's token")


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_SIGNING_ALG="EdDSA", TOKEN_AUDIENCE=API).start()


@pytest.fixture(scope="module")
def targets(server):
    return {"weak": server.add_client("weak", "stories:read"), "strong": server.add_client("strong")}


def callers_of(server, agent, client):
    """One client, as it may come: with its secret, and with tokens of more or fewer scopes."""
    yield Caller(client, "secret")
    for scope in sorted({"token:issue", "token:issue:any"} & {*client.scope.split()} | {client.scope, ""}):
        asked = {"clientId": client.id, "scope": scope, "expiresIn": LIFE_S}
        yield Caller(client, "its own token", server.token(agent, subject=client.id, **asked))
        yield Caller(client, "its own admin's token",
                     server.token(agent, subject=client.id, claims={"role": "admin"}, **asked), is_admin=True)
        yield Caller(client, "a user's token", server.token(agent, subject="user-7", **asked))
        yield Caller(client, "a user's admin's token",
                     server.token(agent, subject="user-7", claims={"role": "admin"}, **asked), is_admin=True)
        yield Caller(client, "a session's token",
                     server.token(agent, subject=client.id, claims={"sid": "session-1"}, **asked))
    if "token:issue" in client.scope.split():
        parent = server.token(client, scope=client.scope)
        yield Caller(client, "a child's token", server.token(parent, scope=client.scope, expiresIn=LIFE_S))


def may_be_issued(caller, target, kind, ask):
    """The rules once more, in other words than the service's."""
    words, ask = caller.words, {"subject": target.id, "scope": "", "claims": {}} | ask
    for_anyone = "token:issue:any" in words
    if not caller.issues or not (for_anyone or "token:issue" in words):
        return False
    if not for_anyone and (target.id, ask["subject"]) != (caller.client.id, caller.client.id):
        return False
    for scope in ask["scope"].split():
        if scope not in target.scope.split() or (scope not in words and (caller.token or scope in OWN)):
            return False
    role = ask["claims"].get("role")
    if role and "token:issue:privileged" not in words:
        return False
    if role == "admin" and not (caller.is_admin or {"keys:rotate", "token:revoke:any"} <= words):
        return False
    if caller.token and ask.get("expiresIn", 0) > LIFE_S:
        return False
    audience = ask.get("audience")
    if audience and (kind != "access" or not (for_anyone or (
            audience == ISSUER and (not caller.token or ISSUER in caller.claims["aud"])))):
        return False
    return True


def deeds(server, auth):
    """What somebody may do, tried with bodies that do nothing: who may is told that they are wrong, and others that
    they may not."""
    calls = {"introspect": ("/token/introspect", {}), "verify": ("/token/verify", {}),
             "revoke any": ("/admin/revocations", {}), "rotate": ("/admin/rotate-keys", {"revoke": 1})}
    statuses = {what: post(server, path, auth, body).status_code for what, (path, body) in calls.items()}
    assert set(statuses.values()) <= {400, 401, 403}, statuses
    return {what for what, status in statuses.items() if status == 400}


@dataclass(frozen=True)
class Answer:
    status_code: int
    text: str

    def json(self):
        return json.loads(self.text)


def post(server, path, auth, body):
    """By one connection, and without the looks at every answer that Server.post() takes: there are thousands."""
    if server not in CONNECTIONS:
        CONNECTIONS[server] = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection = CONNECTIONS[server]
    connection.request("POST", path, json.dumps(body),
                       {"Authorization": authorization(auth), "Content-Type": "application/json"})
    answer = connection.getresponse()
    return Answer(answer.status, answer.read().decode())


def exceeds(server, caller, answer, powers):
    """In what the token is more than its caller, by what it says and by what it does."""
    claims = tokens.claims_of(answer["token"])
    words = set(claims.get("scope", "").split())
    yield from (f"the scope {word}" for word in words & OWN - caller.words)
    if "token:issue:any" not in caller.words:
        yield from ("another's name" for _ in range(
            not {claims["sub"], claims.get("client_id", claims.get("azp"))} <= {caller.client.id}))
    if caller.token:
        yield from (f"the scope {word}" for word in words - caller.words)
        if claims["exp"] > caller.claims["exp"]:
            yield "a longer life"
        if claims.get("parent_hash") != tokens.encode(hashlib.sha256(caller.token.encode()).digest()):
            yield "no parent"
        if "access" in answer["tokenType"] and "token:issue:any" not in caller.words and \
                not set(claims["aud"]) <= set(caller.claims["aud"]):
            yield "a wider audience"
    if answer["tokenType"] == "access":
        yield from deeds(server, answer["token"]) - powers


@pytest.mark.parametrize("scope", CLIENTS)
def test_no_token_exceeds_whoever_had_it_issued(server, agent, targets, scope):
    client = server.add_client(f"client-{CLIENTS.index(scope)}", scope)
    issued = set()
    for caller in callers_of(server, agent, client):
        powers = deeds(server, caller.auth)
        for name in TARGETS:
            target = targets.get(name, client)
            for kind in KINDS:
                for what, ask in ASKS.items():
                    cell = (caller.kind, sorted(caller.words), name, kind, what)
                    body = {"clientId": target.id, "subject": target.id, "scope": "", "tokenType": kind} | ask
                    answer = post(server, "/token", caller.auth, body)
                    assert answer.status_code in (200, 400, 403), (cell, answer.text)
                    assert (answer.status_code == 200) == may_be_issued(caller, target, kind, ask), (cell, answer.text)
                    if answer.status_code == 200:
                        assert not list(exceeds(server, caller, answer.json(), powers)), cell
                        server.tokens.add(answer.json()["token"])
                        issued.add(caller.kind)
    assert ("secret" in issued) == ("token:issue" in scope), "the table says nothing"


def test_a_token_of_another_kind_or_bound_to_a_key_is_no_caller(server, agent):
    kid, key = server.signing_key()
    claims = server.issue(agent, scope=SCOPES)["claims"]
    bound = tokens.sign(key, "EdDSA", {"alg": "EdDSA", "typ": "at+jwt", "kid": kid}, claims | {"cnf": {"jkt": "x"}})
    plain = tokens.sign(key, "EdDSA", {"alg": "EdDSA", "typ": "at+jwt", "kid": kid}, claims)
    server.tokens |= {bound, plain}
    assert server.ask(plain).status_code == 200
    for token in (bound, server.token(agent, tokenType="refresh", scope=SCOPES), server.token(agent, tokenType="id")):
        answer = server.post("/token", auth=token, json={"clientId": "agent", "subject": "agent", "scope": "",
                                                         "tokenType": "access"})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_whoever_acts_for_another_issues_nothing(server, agent):
    """RFC 8693 section 4.1: a delegated token would lose who acts."""
    kid, key = server.signing_key()
    claims = server.issue(agent, scope=SCOPES)["claims"] | {"act": {"sub": "another"}}
    token = tokens.sign(key, "EdDSA", {"alg": "EdDSA", "typ": "at+jwt", "kid": kid}, claims)
    server.tokens.add(token)
    answer = server.ask(token)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


# --- a life, and its end --------------------------------------------------------------------------------------------

def test_a_child_lasts_no_longer_than_its_parent(server, agent):
    parent = server.issue(agent, scope=SCOPES, expiresIn=60)
    for kind in KINDS:
        child = server.issue(parent["token"], tokenType=kind)
        assert child["claims"]["exp"] <= parent["claims"]["exp"]
        assert child["expiresIn"] <= 60
        assert server.ask(parent["token"], tokenType=kind, expiresIn=61).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_children_are_revoked_with_their_parent(server, agent, kind):
    parent, other = (server.token(agent, scope=SCOPES) for _ in range(2))
    child, others = (server.token(token, tokenType=kind, subject="user-1") for token in (parent, other))
    for token in (child, others):
        assert server.verify(agent, token).status_code == 200
    assert server.revoke(agent, parent).status_code == 200
    fresh = server.verify(agent, child)
    assert (fresh.status_code, fresh.json()["error_description"]) == (401, "the token has been revoked")
    assert server.introspect(agent, child) == {"active": False}
    assert server.verify(agent, others).status_code == 200


def test_a_revoked_parents_children_stay_revoked_after_a_restart(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    parent = server.token(agent, scope=SCOPES)
    child = server.token(parent, scope="token:introspect")
    server.revoke(agent, parent)
    server.stop()
    server.start()
    assert server.verify(agent, child).status_code == 401
    assert server.run("token", "verify", stdin=child, expect=1).stderr == REVOKED
    server.stop()


def test_a_rule_about_a_token_refuses_what_was_issued_with_it_to_whomever(server, agent):
    """The client's tokens are revoked, and what was issued with them, for whomever, also after the rule's time."""
    scope = "token:issue token:issue:any"
    client, other = (server.add_client(f"ruled-{name}", scope) for name in "ab")
    parent, others = (server.token(one, scope=scope) for one in (client, other))
    born = tokens.claims_of(parent)["iat"]
    while time.time() < born + 1:
        time.sleep(0.05)
    children = [server.token(parent, clientId=agent.id, subject=name) for name in ("user-1", agent.id)]
    spared = server.token(others, clientId=agent.id, subject="user-1")
    assert all(server.is_active(agent, token) for token in (*children, spared))
    rule = {"clientId": client.id, "before": born}
    assert server.post("/admin/revocations", auth=agent, json=rule).status_code == 200
    assert [server.is_active(agent, token) for token in (*children, spared)] == [False, False, True]
    assert server.run("token", "verify", stdin=children[0], expect=1).stderr == REVOKED


def test_a_bearer_revokes_itself_and_its_children_and_nothing_else(server, agent, targets):
    own = {"clientId": "weak", "subject": "user-1"}
    bearer, same_user = (server.token(agent, **own) for _ in range(2))
    another_user = server.token(agent, clientId="weak", subject="user-2")
    of_client = server.token(agent, clientId="weak", subject="weak")
    for token in (same_user, another_user, of_client, server.token(agent)):
        answer = server.revoke(bearer, token)
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
        assert server.is_active(agent, token)
    assert server.revoke(bearer, bearer).status_code == 200
    assert not server.is_active(agent, bearer)
    parent = server.token(agent, scope="token:issue")
    child, other = server.token(parent), server.token(agent)
    assert server.revoke(parent, other).status_code == 403
    assert server.revoke(parent, child).status_code == 200
    assert not server.is_active(agent, child)
    assert server.is_active(agent, parent)


# --- the times that a caller says -----------------------------------------------------------------------------------

def test_nobody_logged_in_in_the_future(server, agent):
    now = int(time.time())
    for kind in KINDS:
        for at in (now + 3600, 253402300799):
            answer = server.ask(agent, tokenType=kind, authTime=at)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert server.ask(agent, tokenType=kind, authTime=now).status_code == 200
