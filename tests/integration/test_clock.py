"""A time of day that is hours off, from the start or since it was set, deletes nothing, refuses nothing for long, and
undoes no revocation. It is the only clock that these servers are lied to about."""

import contextlib
import json
import sqlite3
import time
import uuid

import psycopg
import pytest

import tokens
from clock import HOUR, LIBRARY, Clock

LONG_AGO_S = 48 * HOUR   # nothing is kept for so long after it has ended


@pytest.fixture
def begin(make_server, tmp_path):
    """begin(ahead_s, TOKEN_X=…): a server whose clock is off by so much, started, with a client in its `agent`."""
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")

    def start(ahead_s=0, **settings):
        clock = Clock(tmp_path, ahead_s)
        server = make_server(**({"TOKEN_PURGE_INTERVAL": 1} | clock.settings | settings)).start()
        server.clock = clock
        server.agent = server.add_client("agent")
        server.until(lambda: server.ask(server.agent).status_code == 200, "its client is not known")
        return server

    return start


def set_clock(server, ahead_s):
    """Sets it, and waits until the server has seen that."""
    before = server.metric("clock_steps_total")
    server.clock.set(ahead_s)
    server.until(lambda: server.metric("clock_steps_total") > before, "the step is not seen")


def purge(server):
    """Waits for a purge that began after this call: it takes a row that ended long ago."""
    with contextlib.closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.execute("INSERT INTO oauth_access_tokens(token_hash, jti, subject, client_id, scope, audience, "
                         "issued_at, id) VALUES (randomblob(32), 'j', 's', 'agent', '', '[]', 1, 2 << 24)")
    server.until(lambda: server.rows("SELECT count(*) FROM oauth_access_tokens WHERE jti = 'j'") == [(0,)],
                 "what ended long ago stays")


def restart(server, ahead_s):
    server.stop()
    server.clock.set(ahead_s)
    server.start()


def revoked_token(server, **members):
    token = server.token(server.agent, **members)
    assert server.revoke(server.agent, token).json() == {"revoked": True}
    return token


@pytest.mark.parametrize("hours", [2, -2])
def test_a_step_is_told(begin, hours):
    server = begin()
    assert "clock" not in server.get("/health/ready").json()
    set_clock(server, hours * HOUR)
    (event,) = server.told("clock_stepped")
    assert event["level"] == "warn" and abs(event["step_ms"] / 1000 - hours * HOUR) < 60
    told = server.get("/health/ready").json()["clock"]
    assert abs(told["stepped_seconds"] - hours * HOUR) < 60
    assert (told["ahead_seconds"] > 0) == (hours > 0)
    assert (server.metric("clock_ahead_seconds") > 0) == (hours > 0)
    (found,) = [each for each in json.loads(server.run("doctor", "--json", expect=None).stdout)
                if each["check"] == "clock"]
    assert ("it was set by" in found["detail"]) == found["ok"]  # of a program made in the last two hours it is worse
    assert found["ok"] or hours < 0


def test_a_clock_that_runs_ahead_for_a_time_brings_no_revoked_token_back(begin):
    server = begin()
    token = revoked_token(server)
    server.revoke(server.agent, server.token(server.agent, tokenType="refresh"))  # so that memory is never empty
    set_clock(server, 2 * HOUR)
    purge(server)
    purge(server)
    set_clock(server, 0)
    assert not server.is_active(server.agent, token)
    restart(server, 0)
    assert not server.is_active(server.agent, token)


def test_a_clock_that_is_ahead_at_the_start_brings_no_revoked_token_back(begin):
    server = begin()
    token = revoked_token(server)
    restart(server, 2 * HOUR)
    purge(server)
    purge(server)
    set_clock(server, 0)
    assert not server.is_active(server.agent, token)
    restart(server, 0)
    assert not server.is_active(server.agent, token)


def test_a_clock_that_is_ahead_moves_no_key(begin):
    server = begin(TOKEN_KEY_ROTATION=36000, TOKEN_ACCESS_TTL=60, TOKEN_ACCESS_TTL_MAX=60,
                   TOKEN_REFRESH_TTL=60, TOKEN_REFRESH_TTL_MAX=60, TOKEN_ID_TTL=60, TOKEN_ID_TTL_MAX=60)
    server.settled()
    keys = server.kids("pending"), server.kids("active")
    set_clock(server, 12 * HOUR)
    purge(server)
    purge(server)
    assert (server.kids("pending"), server.kids("active"), server.kids("retiring")) == (*keys, [])
    set_clock(server, 0)
    assert server.ask(server.agent).status_code == 200


def test_what_ended_long_ago_is_purged(begin):
    """Beside those that a margin keeps: the rows of hours ago."""
    server = begin(-LONG_AGO_S)
    for _ in range(3):
        revoked_token(server, expiresIn=60)
    server.token(server.agent, tokenType="access", expiresIn=60)
    restart(server, 0)
    server.until(lambda: server.metric("revocations") == 0, "what ended long ago stays in memory")
    server.until(lambda: server.rows("SELECT count(*) FROM revocations") == [(0,)], "and in the store")
    server.until(lambda: server.metric("purged_rows_total") >= 3, "they are not counted")  # a moment after the commit


def test_after_a_rule_a_clock_that_is_set_back_stops_nobody(begin):
    """The rule's time is an hour ahead then: what is issued now says that it came after it."""
    server = begin(HOUR)
    old = server.token(server.agent, tokenType="refresh")
    assert server.post("/admin/revocations", auth=server.agent, json={"everything": True}).status_code == 200
    set_clock(server, 0)
    new = server.token(server.agent, tokenType="refresh")
    assert tokens.claims_of(new)["iat"] < tokens.claims_of(old)["iat"] < tokens.claims_of(new)["issued_after"]
    assert server.is_active(server.agent, new) and not server.is_active(server.agent, old)
    restart(server, 0)
    newer = server.token(server.agent, tokenType="refresh")
    assert server.is_active(server.agent, new) and server.is_active(server.agent, newer)
    set_clock(server, 2 * HOUR)   # whenever that is
    assert server.is_active(server.agent, new) and not server.is_active(server.agent, old)


@pytest.mark.parametrize("target", [{"everything": True}, {"subject": "agent"}, {"everything": True, "before": 0}])
def test_a_rule_after_that_covers_what_was_issued_between(begin, target):
    server = begin(HOUR)
    agent = server.agent
    assert server.post("/admin/revocations", auth=agent, json={"everything": True}).status_code == 200
    set_clock(server, 0)
    between = server.token(agent, tokenType="refresh")
    if "before" in target:
        target = target | {"before": int(time.time())}
    assert server.post("/admin/revocations", auth=agent, json=target).status_code == 200
    assert not server.is_active(agent, between)
    after = server.token(agent, tokenType="refresh")
    assert server.is_active(agent, after) and not server.is_active(agent, between)
    restart(server, 2 * HOUR)
    assert server.is_active(agent, after) and not server.is_active(agent, between)


def test_a_rule_by_a_clock_that_was_set_back_covers_what_was_issued_before(begin):
    server = begin(HOUR)
    old = server.token(server.agent, tokenType="refresh")
    set_clock(server, 0)
    assert server.post("/admin/revocations", auth=server.agent, json={"everything": True}).status_code == 200
    set_clock(server, HOUR + 600)
    assert not server.is_active(server.agent, old)
    new = server.token(server.agent, tokenType="refresh")
    assert server.is_active(server.agent, new)


def test_no_caller_can_say_that_a_token_came_after_a_rule(begin):
    server = begin()
    answer = server.ask(server.agent, claims={"issued_after": 9999999999})
    assert answer.status_code == 400 and "issued_after" in answer.json()["error_description"]


# --- a database that instances share -----------------------------------------------------------------------------

@pytest.fixture
def pair(postgres, make_server, tmp_path):
    """Two servers on one database and one folder of keys; the clock of the second is two hours ahead from its start."""
    return make_pair(postgres, make_server, tmp_path, 2 * HOUR)


def make_pair(postgres, make_server, tmp_path, second_ahead_s, **settings):
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")
    clocks = []
    for ahead_s in (0, second_ahead_s):
        folder = tmp_path / str(ahead_s)
        folder.mkdir()
        clocks.append(Clock(folder, ahead_s))
    shared = settings | {"DATABASE_URL": postgres.database(f"clocks-{uuid.uuid4().hex[:8]}"),
                         "TOKEN_DATA_DIR": str(tmp_path / "data")}
    (tmp_path / "data").mkdir(mode=0o700)
    servers = []
    for clock, interval in zip(clocks, (3600, 1), strict=True):
        servers.append(make_server(**(shared | clock.settings), TOKEN_PURGE_INTERVAL=interval).start())
        servers[-1].clock, servers[-1].data_dir = clock, tmp_path / "data"
    servers[0].agent = servers[0].add_client("agent")
    for server in servers:
        server.agent = servers[0].agent
        server.secrets.add(server.agent.secret)
        server.until(lambda server=server: server.get("/health/ready").status_code == 200, "it is not ready")
    return servers


SHORT = {f"TOKEN_{kind}_TTL{end}": HOUR for kind in ("ACCESS", "REFRESH", "ID") for end in ("", "_MAX")}


def test_a_rotation_by_a_clock_that_is_behind_goes_by_the_databases(postgres, make_server, tmp_path):
    """By its own, the old key would have signed its last token two hours ago, and be retired at once."""
    right, behind = make_pair(postgres, make_server, tmp_path, -2 * HOUR, **SHORT)
    tokens_ = [right.token(right.agent, tokenType=kind) for kind in ("access", "refresh")]
    with psycopg.connect(right.settings["DATABASE_URL"], autocommit=True) as database:
        for _ in range(2):
            right.until(lambda: database.execute("SELECT kid FROM oauth_jwks WHERE state = 'pending'").fetchall(),
                        "no next key is published")
            answer = behind.post("/admin/rotate-keys", auth=right.agent, json={"immediate": True})
            assert answer.status_code == 200, answer.text
        for column in ("published_at", "activated_at"):
            oldest, = database.execute(f"SELECT extract(epoch FROM now() - min({column})) FROM oauth_jwks").fetchone()
            assert oldest < HOUR, column
    time.sleep(2.5)  # rounds of housekeeping
    published = {key["kid"] for key in right.jwks()["keys"]}
    for token in tokens_:
        assert tokens.header_of(token)["kid"] in published
        assert right.verify(right.agent, token).status_code == 200


def test_a_rotation_after_a_clock_was_set_back_keeps_the_old_key(begin):
    """The same without a database that is shared: the last token says when."""
    server = begin(2 * HOUR, **SHORT)
    server.settled()
    token = server.token(server.agent)
    set_clock(server, 0)
    assert server.post("/admin/rotate-keys", auth=server.agent, json={"immediate": True}).status_code == 200
    restart(server, 2 * HOUR)
    time.sleep(2.5)
    assert server.is_active(server.agent, token)


def test_a_clock_that_is_not_the_databases_is_told_while_serving(pair):
    right, ahead = pair
    ahead.until(lambda: abs(ahead.metric("clock_difference_seconds") - 2 * HOUR) < 60, "the difference is not told")
    assert [event for event in ahead.told("clock_wrong") if event["level"] == "warn"]
    assert abs(right.metric("clock_difference_seconds")) < 30 and not right.events("clock_wrong")


def test_an_instance_whose_clock_is_ahead_purges_nothing_of_the_others(pair):
    right, ahead = pair
    token = revoked_token(right)  # an access token: over for a clock that is two hours ahead
    with psycopg.connect(ahead.settings["DATABASE_URL"], autocommit=True) as database:
        for _ in range(2):  # whole purges that began after that
            database.execute("INSERT INTO token_service_revocations(token_hash, reason, revoked_by, revoked_at, "
                             "expires_at) VALUES (repeat('0', 64), '', '', now(), now() - interval '3 days')")
            ahead.until(lambda: database.execute("SELECT count(*) FROM token_service_revocations WHERE token_hash = "
                                                 "repeat('0', 64)").fetchone() == (0,), "what ended long ago stays")
    right.stop()
    right.start()
    assert not right.is_active(right.agent, token)


def test_a_rule_made_by_a_clock_that_is_ahead_goes_by_the_databases(pair):
    right, ahead = pair
    old = right.token(right.agent), ahead.token(ahead.agent, tokenType="refresh")
    answer = ahead.post("/admin/revocations", auth=ahead.agent, json={"everything": True})
    assert answer.status_code == 200
    right.until(lambda: not right.is_active(right.agent, old[0]), "the rule is not heard of")
    new = right.token(right.agent)
    assert right.is_active(right.agent, new)
    assert not ahead.is_active(ahead.agent, old[1])
