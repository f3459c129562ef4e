"""POST /admin/revocations: one entry revokes every token of a subject, a client, a session, or all, up to a time. Here
one instance, with its own store; test_redis.py and test_stores.py have many."""

import hashlib
import json
import random
import sqlite3
import threading
import time
from contextlib import closing

import pytest

import tokens
from clock import HOUR, LIBRARY, Clock
from service import SCOPES
from wire import PATIENCE_S, Broken, Closed, post

KINDS = ("access", "refresh", "id")


@pytest.fixture(scope="module")
def owner(server):
    return server.add_client("owner", "stories:read")


def rule(server, auth, **members):
    return server.post("/admin/revocations", auth=auth, json=members)


def revoke_by(server, auth, **members):
    answer = rule(server, auth, **members)
    assert answer.status_code == 200, answer.text
    return answer.json()


def patient_token(server, auth, **members):
    """In the second of a rule about it, the service asks to come back: what it hands out is good."""
    end = time.monotonic() + PATIENCE_S
    while (answer := server.ask(auth, **members)).status_code == 503:
        assert answer.headers["Retry-After"] == "1" and time.monotonic() < end, answer.text
        time.sleep(0.1)
    assert answer.status_code == 200, answer.text
    return answer.json()["token"]


def good(server, agent, token):
    """Of one mind: verification and, unless it is an id token, introspection."""
    valid = server.verify(agent, token).status_code == 200
    assert tokens.header_of(token)["typ"] == "JWT" or server.is_active(agent, token) == valid
    return valid


def three(server, agent, **members):
    return [patient_token(server, agent, tokenType=kind, **members) for kind in KINDS]


# --- what a rule refuses --------------------------------------------------------------------------------------------

def test_a_subjects_tokens_of_all_kinds_and_clients_are_refused_and_no_others(server, agent, owner):
    hers = three(server, agent, subject="zoe") + three(server, agent, subject="zoe", clientId="owner")
    others = three(server, agent, subject="zo") + three(server, agent, subject="zoe2") + three(
        server, agent, subject="x", claims={"sid": "zoe"})
    before = max(tokens.claims_of(token)["iat"] for token in hers)
    answer = revoke_by(server, agent, subject="zoe", reason="account taken over")
    assert answer["revoked"] is True and before <= answer["before"] <= time.time()
    assert [good(server, agent, token) for token in hers] == [False] * 6
    assert all(good(server, agent, token) for token in others)
    assert good(server, agent, patient_token(server, agent, subject="zoe")), "what is issued later is good"
    assert [good(server, agent, token) for token in hers] == [False] * 6


def test_a_clients_tokens_are_refused(server, agent, owner):
    its = three(server, agent, subject="user-1", clientId="owner")
    others = three(server, agent, subject="owner") + three(server, agent, subject="user-1")
    revoke_by(server, agent, clientId="owner")
    assert [good(server, agent, token) for token in its] == [False] * 3
    assert all(good(server, agent, token) for token in others)


def test_a_sessions_tokens_are_refused(server, agent):
    session = "08a5019c-17e1-4977-8f42-65a12843ea02"
    its = three(server, agent, subject="user-1", claims={"sid": session}) + three(
        server, agent, subject="user-2", claims={"sid": session, "a": 1})
    others = three(server, agent, subject="user-1", claims={"sid": session + "0"}) + three(
        server, agent, subject="user-1", claims={"session": session}) + three(server, agent, subject=session)
    revoke_by(server, agent, sessionId=session)
    assert [good(server, agent, token) for token in its] == [False] * 6
    assert all(good(server, agent, token) for token in others)


def test_everything_is_refused_also_the_administrators_own(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        admin = server.token(agent, subject="admin-1", claims={"role": "admin"})
        all_of_them = three(server, agent) + three(server, agent, subject="user-1")
        revoke_by(server, admin, everything=True, reason="a leak")
        assert [good(server, agent, token) for token in all_of_them] == [False] * 6
        assert rule(server, admin, everything=True).status_code == 401, "a bearer is a token like any other"
        assert good(server, agent, patient_token(server, agent))


def test_before_is_to_the_second(server, agent):
    """What was issued at `before` is refused; a second later, not."""
    first = server.issue(agent, subject="dora")
    server.until(lambda: time.time() >= first["claims"]["iat"] + 1, "time stands still")
    second = server.issue(agent, subject="dora")
    revoke_by(server, agent, subject="dora", before=first["claims"]["iat"] - 1)
    assert good(server, agent, first["token"])
    revoke_by(server, agent, subject="dora", before=first["claims"]["iat"])
    assert not good(server, agent, first["token"])
    assert good(server, agent, second["token"])
    revoke_by(server, agent, subject="dora", before=second["claims"]["iat"])
    assert not good(server, agent, second["token"])
    revoke_by(server, agent, subject="dora", before=first["claims"]["iat"])  # an earlier one takes nothing back
    assert not good(server, agent, second["token"])


def test_a_refused_token_may_still_be_revoked_by_itself(server, agent, owner):
    token = server.token(agent, subject="emil")
    revoke_by(server, agent, subject="emil")
    assert not good(server, agent, token)
    assert server.revoke(agent, token).json() == {"revoked": True}
    assert server.row("oauth_access_tokens", token, "revoked_by") == ("agent",)


def test_a_refused_bearer_is_no_caller(server, agent):
    bearer = server.token(agent, subject="frida", scope=SCOPES)
    assert server.verify(bearer, bearer).status_code == 200
    revoke_by(server, agent, subject="frida")
    answer = server.verify(bearer, bearer)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


# --- issuing --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("target", [{"subject": "greta"}, {"clientId": "owner"}, {"sessionId": "s-greta"}])
def test_no_token_is_handed_out_that_would_be_refused_at_once(server, agent, owner, target):
    """A rule may be some seconds ahead of this clock: what is issued by who knows of it says that it came later."""
    members = {"subject": "greta", "clientId": "owner", "claims": {"sid": "s-greta"}}
    answer = revoke_by(server, agent, before=int(time.time()) + 28, **target)
    before = answer["before"]
    for kind in KINDS:
        token = patient_token(server, agent, tokenType=kind, **members)
        claims = tokens.claims_of(token)
        assert claims["iat"] > before or claims["issued_after"] > tokens.seconds_of(answer["expiresAt"])
        assert good(server, agent, token)
    other = members | {"subject": "hugo", "clientId": "agent", "claims": {"sid": "s-hugo"}}
    assert "issued_after" not in tokens.claims_of(server.token(agent, **other))


def test_a_rule_refuses_no_more_than_was_asked_for_whatever_the_others_are(server, agent):
    """A rule of some seconds ahead raises no other; what is told apart from it by issued_after is met by the next."""
    old = server.token(agent, subject="hans")
    iat = tokens.claims_of(old)["iat"]
    revoke_by(server, agent, subject="gerd", before=int(time.time()) + 28)
    assert revoke_by(server, agent, subject="hans", before=iat - 1)["before"] == iat - 1
    assert good(server, agent, old)
    marked = server.token(agent, subject="gerd")
    claims = tokens.claims_of(marked)
    assert "issued_after" in claims and good(server, agent, marked)
    assert revoke_by(server, agent, subject="hans", before=iat - 1)["before"] == iat - 1
    assert revoke_by(server, agent, subject="gerd", before=claims["iat"])["before"] == claims["iat"]
    assert not good(server, agent, marked) and good(server, agent, old)


@pytest.mark.parametrize("sid", [1, 1.5, None, True, ["s"], {"s": 1}])
def test_a_sid_is_a_text(server, agent, sid):
    """In another form, no rule would ever meet it."""
    answer = server.ask(agent, claims={"sid": sid})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "sid" in answer.json()["error_description"]


# --- who may, and what they send ------------------------------------------------------------------------------------

def test_who_may(server, agent, owner):
    stranger = server.add_client("stranger", SCOPES.replace("token:revoke:any", "keys:rotate"))
    assert server.post("/admin/revocations", json={"subject": "x"}).status_code == 401
    for nobody in (owner, stranger, server.token(agent, scope="stories:read"),
                   server.token(agent, subject="user-1", claims={"role": "user"})):
        answer = rule(server, nobody, subject="ida")
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    token = server.token(agent, subject="ida")
    revoke_by(server, server.token(agent, subject="admin-1", claims={"role": "admin"}), subject="ida")
    assert not good(server, agent, token)


@pytest.mark.parametrize("body", [
    {}, {"reason": "x"}, {"before": 1}, {"everything": False}, {"subject": "a", "clientId": "b"},
    {"subject": "a", "everything": True}, {"sessionId": "a", "everything": True}, {"subject": "", "clientId": ""},
    {"subject": ""}, {"subject": None}, {"subject": 1}, {"subject": ["a"]}, {"subject": {"a": 1}},
    {"subject": "a" * 1025}, {"clientId": "a" * 1025}, {"sessionId": "a" * 1025}, {"everything": "true"},
    {"everything": 1}, {"everything": None},
    {"subject": "a", "before": -1}, {"subject": "a", "before": 1.5}, {"subject": "a", "before": "1"},
    {"subject": "a", "before": 10**30}, {"subject": "a", "before": 253402300800},
    {"subject": "a", "before": 253402300799}, {"subject": "a", "reason": 1}, {"subject": "a", "reason": "x" * 257},
    {"subject": "a", "expiresAt": 1}, {"subject": "a", "token": "x"}, {"Subject": "a"}, {"sub": "a"}, [], None, "a", 1])
def test_a_body_that_is_none_revokes_nothing(server, agent, body):
    rows = server.rows("SELECT count(*) FROM revocations")
    answer = server.post("/admin/revocations", auth=agent, data=json.dumps(body),
                         headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text
    assert server.rows("SELECT count(*) FROM revocations") == rows


@pytest.mark.parametrize("data", [
    b'{"subject":"a","subject":"b"}', b'{"subject":"a"', b'{"subject":"\xff"}', b'{"subject":"\\ud800"}',
    b'{"subject":"a\\u0000b"}', b"subject=a", b"", b'{"everything":true}{'])
def test_a_body_that_is_no_json_revokes_nothing(server, agent, data):
    rows = server.rows("SELECT count(*) FROM revocations")
    answer = server.post("/admin/revocations", auth=agent, data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert server.post("/admin/revocations", auth=agent, data=b'{"everything":true}',
                       headers={"Content-Type": "text/plain"}).status_code == 415
    assert server.rows("SELECT count(*) FROM revocations") == rows


def test_before_may_not_lie_in_the_future(server, agent):
    """But as far as clocks may differ (TOKEN_CLOCK_SKEW: 30 s)."""
    assert rule(server, agent, subject="jan", before=int(time.time()) + 25).status_code == 200
    answer = rule(server, agent, subject="jan", before=int(time.time()) + 60)
    assert answer.status_code == 400 and "future" in answer.json()["error_description"]


@pytest.mark.parametrize("subject", ["ä€\U0001f600", "a\nb", '"\\', "%s%n", "x" * 255, "'; DROP TABLE x; --"])
def test_any_text_is_met_byte_by_byte(server, agent, subject):
    token, other = (server.token(agent, subject=who) for who in (subject, subject[:-1] + "?"))
    revoke_by(server, agent, subject=subject, reason=subject[:200])
    assert not good(server, agent, token)
    assert good(server, agent, other)


# --- what is kept, and for how long ---------------------------------------------------------------------------------

def test_what_is_kept_of_it(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        token = server.token(agent, subject="kim")
        answer = revoke_by(server, agent, subject="kim", reason="taken over ✓")
        row, = server.rows("SELECT kind, target, reason, revoked_by, issued_before, expires_at, token_hash "
                           "FROM revocations")
        assert row[:5] == (1, "kim", "taken over ✓", "agent", answer["before"])
        assert row[6] == hashlib.sha256(b"sub:kim").digest()
        # the longest lifetime of a refresh token, the largest clockTolerance, and one
        assert row[5] == answer["before"] + 31536000 + 300 + 1
        assert answer["expiresAt"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(row[5]))
        assert server.metric("revocation_rules") == 1
        assert server.metric("revocations") == 0
        assert server.metric("revocations_total", result="rule") == 1
        assert server.metric("rule_refusals_total") == 0
        server.verify(agent, token)
        assert server.metric("rule_refusals_total") == 1
        said, = server.told("rule_revoked")
        assert [said[name] for name in ("kind", "target", "reason", "caller")] == [
            "subject", "kim", "taken over ✓", "agent"]
        revoke_by(server, agent, subject="kim", before=answer["before"])
        assert server.rows("SELECT count(*) FROM revocations") == [(1,)], "one entry, however often"
        assert revoke_by(server, agent, everything=True, before=5)["before"] == 5
        assert server.rows("SELECT count(*) FROM revocations WHERE expires_at > ?", int(time.time()) + 80000) == [(2,)]
        assert server.metric("revocation_rules") == 2, "none of those tokens can live, if this clock is right"


def test_a_client_with_a_longer_life_of_its_own_is_reckoned_with(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        server.add_client("slow", "stories:read", "--refresh-ttl", "40000000")
        answer = revoke_by(server, agent, everything=True)
        assert server.rows("SELECT expires_at FROM revocations") == [(answer["before"] + 40000000 + 301,)]


def test_a_rule_outlives_the_sessions_that_it_refuses_where_tokens_live_for_seconds(make_server):
    """Else a user who was revoked would be signed in again when the rule ends: sessions may last for a year."""
    short = {f"TOKEN_{kind}_TTL{most}": 2 for kind in ("ACCESS", "REFRESH", "ID") for most in ("", "_MAX")}
    with make_server(TOKEN_SIGNING_ALG="ES256", **short) as server:
        agent = server.add_client("agent")
        for members in ({"subject": "lea"}, {"sessionId": "lea's"}, {"everything": True}):
            answer = revoke_by(server, agent, **members)
            assert tokens.seconds_of(answer["expiresAt"]) >= answer["before"] + 365 * 24 * 3600
        assert server.rows("SELECT count(*) FROM revocations WHERE expires_at < issued_before + 31536000") == [(0,)]


def test_a_rule_ends_with_its_last_token(make_server, tmp_path):
    """And the margin by which clocks may be off: two days ago it was made, for tokens that lived for seconds."""
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")
    clock = Clock(tmp_path, -48 * HOUR)
    short = {f"TOKEN_{kind}_TTL{most}": 2 for kind in ("ACCESS", "REFRESH", "ID") for most in ("", "_MAX")}
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CLOCK_TOLERANCE_MAX=0, TOKEN_PURGE_INTERVAL=1,
                         **(short | clock.settings)).start()
    agent = server.add_client("agent")
    revoke_by(server, agent, clientId=agent.id)
    assert server.metric("revocation_rules") == 1 and server.metric("revocations_bytes") > 0
    server.stop()
    clock.set(0)
    server.start()
    server.until(lambda: server.metric("revocation_rules") == 0, "the rule is held for ever")
    server.until(lambda: server.rows("SELECT count(*) FROM revocations") == [(0,)], "the row is kept for ever")
    server.until(lambda: server.verify(agent, patient_token(server, agent)).status_code == 200,
                 "no token is good")


def test_there_is_an_end_to_rules_and_none_to_what_they_promise(make_server):
    """As many as there may be; one more is refused before anything comes of it, one again is not. Before that, users'
    logouts are refused, and leave room for what an administrator revokes."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    token = server.token(agent, subject="rosa")
    server.stop()
    now, many = int(time.time()), 999_999
    with closing(sqlite3.connect(server.database_path)) as database, database:
        database.executemany(
            "INSERT INTO revocations (token_hash, expires_at, reason, revoked_by, revoked_at, kind, issued_before, "
            "target) VALUES (?, ?, 'x', 'x', ?, 1, ?, ?)",
            ((hashlib.sha256(f"sub:u{at}".encode()).digest(), now + 10_000, now, now, f"u{at}") for at in range(many)))
    server.start()
    assert server.metric("revocation_rules") == many
    assert server.metric("revocations_bytes") < 118 * many + 100_000
    assert rule(server, agent, sessionId="one more").status_code == 503
    assert rule(server, agent, subject="the last one").status_code == 200
    many += 1
    answer = rule(server, agent, subject="rosa")
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert server.metric("rules_full_total") == 2
    assert good(server, agent, token)
    assert rule(server, agent, subject="u5").status_code == 200
    assert server.metric("revocation_rules") == many
    assert server.rows("SELECT count(*) FROM revocations") == [(many,)]
    server.stop()


def test_the_command_line_revokes_for_a_running_server(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        first, other = server.token(agent, subject="mia"), server.token(agent, subject="nils", claims={"sid": "s1"})
        said = json.loads(server.run("token", "revoke", "--subject", "mia", "--reason", "lost", "--json").stdout)
        assert said["revoked"] is True
        server.until(lambda: server.verify(agent, first).status_code != 200, "the server never hears of it")
        assert not good(server, agent, first)
        assert good(server, agent, other)
        assert server.rows("SELECT target, reason, revoked_by FROM revocations") == [("mia", "lost", "local-operator")]
        iat = tokens.claims_of(other)["iat"]
        server.run("token", "revoke", "--session", "s1", "--before", str(iat - 1))
        server.run("token", "revoke", "--client", "owner")
        time.sleep(2)
        assert good(server, agent, other)
        server.run("token", "revoke", "--everything", "--before", str(iat))
        server.until(lambda: server.verify(agent, other).status_code != 200, "the server never hears of it")
        assert not good(server, agent, other)
        assert server.run("token", "verify", stdin=other, expect=1).returncode == 1
        for wrong in (["--subject", ""], ["--everything", "--before", "9999999999"]):
            assert server.run("token", "revoke", *wrong, expect=1).returncode == 1
        for wrong in (["--subject", "a", "--client", "b"], ["--before", "1"], ["--everything", "--session", "x"],
                      ["--everything", "--before", "x"], ["--everything", "--before", "-1"],
                      ["--everything", "--before", ""], ["--everything", "--before", "1,\"subject\":\"x\""]):
            assert server.run("token", "revoke", *wrong, expect=2).returncode == 2


# --- what lasts -----------------------------------------------------------------------------------------------------

def test_a_restart_keeps_rules(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    gone, kept = server.token(agent, subject="olga"), server.token(agent, subject="paul")
    revoke_by(server, agent, subject="olga")
    for end in (server.stop, server.kill):
        end()
        server.start()
        assert not good(server, agent, gone)
        assert good(server, agent, kept)
        assert server.metric("revocation_rules") == 1
    server.stop()


class Revoker(threading.Thread):
    """Revokes subjects, a token each, until the connection breaks; keeps those that were acknowledged."""

    def __init__(self, server, agent, batch):
        super().__init__()
        self.server, self.authorization, self.batch = server, f"Authorization: {agent.basic()}", batch
        self.acknowledged, self.faults = [], []

    def run(self):
        try:
            with self.server.wire() as wire:
                for subject, _ in self.batch:
                    answer = wire.call(post("/admin/revocations", json.dumps({"subject": subject}).encode(),
                                            "application/json", self.authorization))
                    if answer.status != 200:
                        self.faults.append(answer.body)
                    self.acknowledged.append(subject)
        except (Closed, Broken, ConnectionError):
            pass  # killed


def test_kill_9_under_load_forgets_no_rule_that_was_acknowledged(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    acknowledged, issued = set(), {}
    for turn in range(6):
        batches = [[(f"s-{turn}-{thread}-{i}", None) for i in range(150)] for thread in range(4)]
        batches = [[(subject, server.token(agent, subject=subject)) for subject, _ in batch] for batch in batches]
        issued.update(pair for batch in batches for pair in batch)
        revokers = [Revoker(server, agent, batch) for batch in batches]
        for revoker in revokers:
            revoker.start()
        enough = random.randint(1, 400)
        server.until(lambda: sum(len(each.acknowledged) for each in revokers) >= enough, "too little is revoked")
        server.kill()
        for revoker in revokers:
            revoker.join(PATIENCE_S)
            assert not revoker.is_alive() and not revoker.faults, revoker.faults
        acknowledged |= {subject for each in revokers for subject in each.acknowledged}
        server.start()
        kept = {target for target, in server.rows("SELECT target FROM revocations")}
        assert acknowledged <= kept, "an acknowledged rule has no row"
        for subject in random.sample(sorted(acknowledged), min(len(acknowledged), 100)):
            assert not server.is_active(agent, issued[subject])
    server.stop()
