"""Many instances and one Redis: what is revoked at one is refused at all; while Redis can't be heard the policies hold;
and when it comes back, empty or not, nothing that was acknowledged is missing.

Instances have stores of their own here. They share their keys and clients since each begins with a copy of the first
one's data directory."""

import hashlib
import signal
import statistics
import threading
import time

import pytest

import redis_servers
import tokens
from instances import key_of, ready, refused, spawn, status_of
from redis_servers import LOG, MARGIN_S, until

STALL_S = 20  # longer than a machine stands still: where Redis is there, nobody may take it for gone


@pytest.fixture
def instances(instances):  # pylint: disable=redefined-outer-name
    """The same with time for a machine that stands still. A Redis that is killed is seen at once all the same."""
    return lambda redis, count=2, **settings: instances(redis, count, **{"TOKEN_REDIS_TIMEOUT": STALL_S} | settings)


# --- together -------------------------------------------------------------------------------------------------------

def test_what_is_revoked_at_one_is_refused_at_all_within_milliseconds(redis, instances):
    group = instances(redis, 3)
    a, b, c = group.all
    delays = []
    for _ in range(30):
        token = a.token(group.agent)
        assert [status_of(each, group.agent, token) for each in group.all] == [200] * 3
        assert a.revoke(group.agent, token).status_code == 200
        begin = time.monotonic()
        refused(b, group.agent, token)
        delays.append(time.monotonic() - begin)
        refused(c, group.agent, token)
    assert statistics.median(delays) < 0.25, delays  # the look itself is a request, on a busy machine


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_redis_holds_what_other_agents_read(redis, instances, kind):
    group = instances(redis, 1)
    server, = group.all
    issued = server.issue(group.agent, tokenType=kind, expiresIn=1000)
    assert redis.keys() == set()
    assert server.revoke(group.agent, issued["token"], reason="stolen ✓").status_code == 200
    assert redis.keys() == {key_of(issued["token"])}
    assert redis.ask("--raw", "GET", key_of(issued["token"])) == "stolen ✓"
    left = issued["claims"]["exp"] - time.time()
    kept = int(redis.ask("TTL", key_of(issued["token"]))) - MARGIN_S
    assert left - 5 <= kept <= left + 310  # and the largest clockTolerance


def test_revoking_again_elsewhere_is_no_error(redis, instances):
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent)
    for server in (a, b, a):
        assert server.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token)


def test_a_new_instance_knows_what_was_revoked_before_it_serves(redis, instances):
    group = instances(redis, 1)
    a, = group.all
    gone = [a.token(group.agent) for _ in range(20)]
    kept = a.token(group.agent)
    for token in gone:
        a.revoke(group.agent, token)
    redis.ask("DEL", LOG)  # so that the keys alone can tell
    b = group.add().start()
    assert {status_of(b, group.agent, token) for token in gone} == {401}
    assert status_of(b, group.agent, kept) == 200


def test_an_instance_that_was_away_catches_up(redis, instances):
    group = instances(redis)
    a, b = group.all
    token, other = a.token(group.agent), a.token(group.agent)
    b.stop()
    a.revoke(group.agent, token)
    b.start()
    assert status_of(b, group.agent, token) == 401
    b.kill()
    a.revoke(group.agent, other)
    b.start()
    assert status_of(b, group.agent, other) == 401


def test_a_gap_in_the_log_is_seen_and_closed(redis, instances):
    """While b is stopped by the kernel, the log moves on past what b has read, and is trimmed."""
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent)
    resyncs = b.metric("revocations_resyncs_total")
    b.process.send_signal(19)
    try:
        a.revoke(group.agent, token)
        redis.ask("XTRIM", LOG, "MAXLEN", "0")
    finally:
        b.process.send_signal(18)
    until(lambda: status_of(b, group.agent, token) == 401, "the gap was not seen")
    until(lambda: b.metric("revocations_resyncs_total") > resyncs, "there was no resync")


def test_the_command_line_tells_others_and_asks_them(redis, instances):
    group = instances(redis)
    a, b = group.all
    token, other = a.token(group.agent), a.token(group.agent)
    assert a.run("token", "revoke", stdin=token).returncode == 0
    refused(b, group.agent, token)
    assert b.run("token", "verify", stdin=other).returncode == 0
    a.revoke(group.agent, other)
    assert b.run("token", "verify", stdin=other, expect=1).returncode == 1


def test_the_command_line_asks_for_rules_too(redis, instances):
    """About the token, and about the one that it was issued with, for another client."""
    group = instances(redis)
    a, b = group.all
    client = a.add_client("issuing", "token:issue token:issue:any")
    parent = a.token(client, scope=client.scope)
    born = tokens.claims_of(parent)["iat"]
    until(lambda: time.time() >= born + 1, "the clock stands still")
    child, other = (a.token(auth, clientId=group.agent.id, subject="user-1") for auth in (parent, group.agent))
    for token in (parent, child, other):
        assert b.run("token", "verify", stdin=token).returncode == 0
    rule = {"clientId": client.id, "before": born}
    assert a.post("/admin/revocations", auth=group.agent, json=rule).status_code == 200
    for token, status in ((parent, 1), (child, 1), (other, 0)):
        assert b.run("token", "verify", stdin=token, expect=status).returncode == status
    assert a.post("/admin/revocations", auth=group.agent, json={"subject": "user-1"}).status_code == 200
    assert b.run("token", "verify", stdin=other, expect=1).returncode == 1


def test_doctor_and_health_show_redis(redis, instances):
    group = instances(redis, 1)
    server, = group.all
    checks = server.get("/health/ready").json()["checks"]
    assert (checks["cache"], checks["revocations"]) == ("ok", "ok")
    assert "redis: it accepts writes" in server.run("doctor").stdout
    until(lambda: server.metric("revocations_staleness_seconds") < 1, "it does not hear Redis all the time")
    assert server.metric("cache_up") == 1
    assert server.metric("redis_command_duration_seconds_count") > 0
    redis.kill()
    assert "cache    FAILS" in server.run("doctor", expect=3).stdout


def test_without_redis_nothing_of_it_is_shown(make_server):
    server = make_server().start()
    assert server.get("/health/ready").json()["checks"].keys() == {"store", "keys"}
    assert "staleness" not in server.get("/metrics").text
    assert "memory: this instance is the only one" in server.run("doctor").stdout


# --- without Redis --------------------------------------------------------------------------------------------------

def test_strict_refuses_to_say_while_redis_is_gone_and_goes_on_by_itself(redis, instances):
    group = instances(redis)
    a, b = group.all
    token, revoked = a.token(group.agent), a.token(group.agent)
    a.revoke(group.agent, revoked)
    refused(b, group.agent, revoked)
    redis.kill()
    for server in (a, b):
        until(lambda server=server: status_of(server, group.agent, token) == 503, "it goes on without Redis")
        answer = server.verify(group.agent, token)
        assert answer.json()["error"] == "temporarily_unavailable"
        assert server.post("/token/introspect", auth=group.agent, form={"token": token}).status_code == 503
        assert status_of(server, group.agent, revoked) == 401          # what is known stays known
        assert server.verify(group.agent, token + "x").status_code == 401
        assert server.get("/.well-known/jwks.json").status_code == 200
        assert server.ask(group.agent).status_code == 200              # issuing goes on
        assert not ready(server)
        assert server.get("/health/ready").json()["checks"]["cache"] == "failing"
        assert server.get("/health/live").status_code == 200
        assert server.metric("cache_up") == 0
    assert a.revoke(group.agent, token).status_code == 503             # and a retry is safe
    redis.start()
    for server in (a, b):
        until(lambda server=server: ready(server), "it does not find Redis again")
        assert status_of(server, group.agent, revoked) == 401
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token)
    assert a.metric("redis_reconnects_total") >= 1
    assert a.metric("dependency_errors_total", dependency="redis") >= 1


def test_bounded_goes_on_for_its_time_and_no_longer(redis, instances):
    group = instances(redis, 1, TOKEN_REVOCATION_POLICY="bounded", TOKEN_REVOCATION_STALENESS=10)
    server, = group.all
    token = server.token(group.agent)
    assert status_of(server, group.agent, token) == 200
    begin = time.monotonic()
    redis.kill()
    killed = asked = last_good = time.monotonic()
    until(lambda: server.metric("cache_up") == 0, "it does not see that Redis is gone")
    assert ready(server)
    while status_of(server, group.agent, token) == 200:
        last_good = asked
        asked = time.monotonic()
    assert last_good - killed < 10.5 and time.monotonic() - begin > 3  # it may have heard nothing for a while before
    assert status_of(server, group.agent, token) == 503 and not ready(server)
    assert server.metric("revocations_staleness_seconds") >= 9.5
    redis.start()
    until(lambda: status_of(server, group.agent, token) == 200, "it does not find Redis again")
    until(lambda: server.metric("revocations_staleness_seconds") < 1, "it does not hear Redis all the time")


@pytest.mark.parametrize("policy,status", [("strict", 503), ("bounded", 200)])
def test_a_redis_that_hangs_is_as_good_as_none(redis, instances, policy, status):
    group = instances(redis, 1, TOKEN_REVOCATION_POLICY=policy, TOKEN_REDIS_TIMEOUT=1)
    server, = group.all
    token = server.token(group.agent)
    redis.pause()
    try:
        until(lambda: server.metric("cache_up") == 0, "it does not see that Redis hangs")
        assert status_of(server, group.agent, token) == status
        begin = time.monotonic()
        assert server.revoke(group.agent, token).status_code == 503
        assert time.monotonic() - begin < 20  # TOKEN_REDIS_TIMEOUT for each of the commands, and not for ever
        took = [server.get("/health/live").elapsed.total_seconds() for _ in range(5)]
        assert statistics.median(took) < 0.5, took
    finally:
        redis.resume()
    until(lambda: server.metric("cache_up") == 1, "it does not hear Redis again")
    until(lambda: server.revoke(group.agent, token).status_code == 200, "it does not go on")


def test_verifying_never_waits_for_redis(redis, instances):
    group = instances(redis, 1, TOKEN_REVOCATION_POLICY="bounded", TOKEN_REDIS_TIMEOUT=1)
    server, = group.all
    token = server.token(group.agent)
    redis.pause()
    try:
        times = []
        for _ in range(300):
            begin = time.monotonic()
            assert status_of(server, group.agent, token) == 200
            times.append(time.monotonic() - begin)
        *most, _, _, _ = sorted(times)  # of three the machine may be late
        assert statistics.median(times) < 0.1 and most[-1] < 0.9, sorted(times)[-10:]
    finally:
        redis.resume()


def test_an_instance_that_starts_without_redis_knows_nothing_until_it_is_there(redis, instances):
    group = instances(redis, 1, TOKEN_REVOCATION_POLICY="bounded")
    server, = group.all
    token = server.token(group.agent)
    server.stop()
    redis.kill()
    spawn(server)
    assert status_of(server, group.agent, token) == 503
    assert not ready(server)
    redis.start()
    until(lambda: ready(server), "it does not find Redis")
    assert status_of(server, group.agent, token) == 200


# --- a Redis that forgets -------------------------------------------------------------------------------------------

def test_a_redis_that_comes_back_empty_is_given_what_the_stores_hold(redis, instances):
    group = instances(redis)
    a, b = group.all
    of_a, of_b = a.token(group.agent), b.token(group.agent)
    a.revoke(group.agent, of_a, reason="by a")
    b.revoke(group.agent, of_b, reason="by b")
    redis.kill()
    redis.start()
    until(lambda: redis.keys() == {key_of(of_a), key_of(of_b)}, "revocations are missing in Redis")
    until(lambda: redis.ask("GET", key_of(of_a)) == "by a", "the reason is lost")  # b may have been first
    assert 3000 < int(redis.ask("TTL", key_of(of_b))) - MARGIN_S < 4000
    c = group.add().start()
    assert [status_of(c, group.agent, token) for token in (of_a, of_b)] == [401, 401]


def test_who_knows_the_reason_says_it_where_another_only_knew_that_it_was_revoked(redis, instances):
    """An instance that has a token only in memory puts it back too, and may be first."""
    group = instances(redis, 1)
    server, = group.all
    token = server.token(group.agent)
    server.revoke(group.agent, token, reason="by a")
    redis.ask("SET", key_of(token), "revoked", "EX", "4000")
    until(lambda: redis.ask("GET", key_of(token)) == "by a", "the reason is lost")


def test_a_redis_that_was_flushed_is_given_what_the_stores_hold(redis, instances):
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent)
    a.revoke(group.agent, token)
    redis.ask("FLUSHALL")
    until(lambda: redis.keys() == {key_of(token)}, "a revocation is missing in Redis")
    until(lambda: ready(a) and ready(b), "an instance does not go on")
    refused(b, group.agent, token)  # it may not have heard of it yet when Redis forgot it


def test_what_one_puts_back_the_others_learn(redis, instances):
    """b loses its memory, then Redis loses its own, while only a's store has the revocation."""
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent)
    a.revoke(group.agent, token)
    b.kill()
    a.kill()
    redis.kill()
    redis.start()
    b.start()
    assert status_of(b, group.agent, token) == 200  # nobody who knows is there
    a.start()
    refused(b, group.agent, token)


@pytest.mark.parametrize("by_rule", [False, True])
def test_no_acknowledged_revocation_is_lost_when_redis_and_instances_are_killed(redis, instances, by_rule):
    """Revocations at two instances while Redis is killed again and again, and comes back empty each time."""
    group = instances(redis, 2, TOKEN_REDIS_TIMEOUT=1)
    a, b = group.all
    subjects = [[f"user-{which}-{at}" for at in range(100)] for which in range(2)]
    batches = [[(subject, a.token(group.agent, subject=subject)) for subject in each] for each in subjects]
    acknowledged, over = [], threading.Event()

    def revoke_all(server, batch):
        for subject, token in batch:
            answer = revoke_by(server, group.agent, subject=subject) if by_rule else server.revoke(group.agent, token)
            if answer.status_code == 200:
                acknowledged.append((subject, token))
            time.sleep(0.005)

    def trouble():
        while not over.wait(0.3):
            redis.kill()
            redis.start()

    threads = [threading.Thread(target=revoke_all, args=pair) for pair in zip(group.all, batches)]
    troublemaker = threading.Thread(target=trouble)
    for thread in (*threads, troublemaker):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    troublemaker.join()
    assert acknowledged
    a.kill()
    a.start()
    wanted = {rule_key("sub", subject) if by_rule else key_of(token) for subject, token in acknowledged}
    until(lambda: wanted <= redis.keys() | rules_in(redis).keys(),
          f"of {len(wanted)} acknowledged some are missing in Redis")
    for server in (a, b):
        until(lambda server=server: ready(server), "it does not go on")
        for _, token in acknowledged:
            refused(server, group.agent, token)  # what another one has put into Redis is read a moment later


def test_an_instance_killed_while_it_revokes_loses_nothing_acknowledged(redis, instances):
    group = instances(redis)
    a, b = group.all
    tokens = [a.token(group.agent) for _ in range(200)]
    acknowledged = []

    def revoke_all():
        try:
            for token in tokens:
                if a.revoke(group.agent, token).status_code == 200:
                    acknowledged.append(token)
        except OSError:
            pass  # it was killed, as it should be

    thread = threading.Thread(target=revoke_all)
    thread.start()
    until(lambda: len(acknowledged) > 50, "nothing is revoked")
    a.kill()
    thread.join()
    for token in acknowledged:
        refused(b, group.agent, token)
    redis.kill()  # and now the store alone can tell
    redis.start()
    a.start()
    assert {status_of(a, group.agent, token) for token in acknowledged} == {401}
    assert {key_of(token) for token in acknowledged} <= redis.keys()


def test_a_full_redis_revokes_nothing(start_redis, instances):
    redis = start_redis(redis_servers.single, "maxmemory-policy noeviction")
    group = instances(redis, 1)
    server, = group.all
    token = server.token(group.agent)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    assert server.revoke(group.agent, token).status_code == 503
    assert revoke_by(server, group.agent, subject="user-1").status_code == 503
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    until(lambda: server.revoke(group.agent, token).status_code == 200, "it does not go on")


# --- rules: many tokens at once --------------------------------------------------------------------------------------

def rule_key(claim, value=""):
    return "token-service:rule:" + hashlib.sha256(f"{claim}:{value}".encode()).hexdigest()


def revoke_by(server, agent, **members):
    return server.post("/admin/revocations", auth=agent, json=members)


def rules_in(redis):
    """The times that Redis holds of each rule."""
    return {key: tuple(map(int, redis.ask("GET", key).split(" ")[:2])) for key in redis.keys("token-service:rule:*")}


def test_a_rule_made_at_one_is_in_force_at_all_within_milliseconds(redis, instances):
    group = instances(redis, 3)
    a, b, c = group.all
    delays = []
    for at in range(20):
        token = a.token(group.agent, subject=f"user-{at}", claims={"sid": f"s-{at}"})
        assert [status_of(each, group.agent, token) for each in group.all] == [200] * 3
        target = [{"subject": f"user-{at}"}, {"sessionId": f"s-{at}"}][at % 2]
        assert revoke_by(a, group.agent, **target).status_code == 200
        begin = time.monotonic()
        refused(b, group.agent, token)
        delays.append(time.monotonic() - begin)
        refused(c, group.agent, token)
    assert statistics.median(delays) < 0.25, delays
    assert redis.keys() == set(), "what other agents read is about single tokens"
    until(lambda: b.metric("revocation_rules") == 30, "of a session there are two")


@pytest.mark.parametrize("target,claim,value", [
    ({"subject": "zoë"}, "sub", "zoë"), ({"clientId": "agent"}, "client_id", "agent"), ({"sessionId": "s"}, "sid", "s"),
    ({"everything": True}, "all", "")])
def test_redis_holds_a_rule_as_long_as_it_matters(redis, instances, target, claim, value):
    group = instances(redis, 1)
    server, = group.all
    assert revoke_by(server, group.agent, reason="a leak ✓", **target).status_code == 200
    before, expires_at = server.rows("SELECT issued_before, expires_at FROM revocations")[0]
    assert redis.ask("--raw", "GET", rule_key(claim, value)) == f"{before} {expires_at} a leak ✓"
    assert abs(int(redis.ask("TTL", rule_key(claim, value))) - MARGIN_S - (expires_at - time.time())) < 30
    assert f"rule {rule_key(claim, value)[19:]} {before} {expires_at}" in redis.ask("XRANGE", LOG, "-", "+")


def test_a_new_instance_knows_the_rules_before_it_serves(redis, instances):
    group = instances(redis, 1)
    a, = group.all
    gone, kept = a.token(group.agent, subject="user-1"), a.token(group.agent, subject="user-2")
    revoke_by(a, group.agent, subject="user-1")
    redis.ask("DEL", LOG)  # so that the keys alone can tell
    b = group.add().start()
    assert status_of(b, group.agent, gone) == 401
    assert status_of(b, group.agent, kept) == 200


def test_a_rule_in_a_gap_of_the_log_is_found(redis, instances):
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent, subject="user-1")
    b.process.send_signal(19)
    try:
        revoke_by(a, group.agent, subject="user-1")
        redis.ask("XTRIM", LOG, "MAXLEN", "0")
    finally:
        b.process.send_signal(18)
    refused(b, group.agent, token)


def test_an_earlier_rule_takes_nothing_back_wherever_it_is_made(redis, instances):
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent, subject="user-1")
    now = int(time.time())
    assert revoke_by(a, group.agent, subject="user-1", before=now).status_code == 200
    a.kill()  # and b has not heard of it, as far as its own store goes
    assert revoke_by(b, group.agent, subject="user-1", before=now - 1000).status_code == 200
    assert rules_in(redis)[rule_key("sub", "user-1")][0] == now
    c = group.add().start()
    assert status_of(c, group.agent, token) == 401
    assert c.run("token", "verify", stdin=token, expect=1).returncode == 1


def test_without_redis_no_rule_is_acknowledged_and_a_retry_is_safe(redis, instances):
    group = instances(redis, 2, TOKEN_REDIS_TIMEOUT=1)
    a, b = group.all
    token = a.token(group.agent, subject="user-1")
    redis.kill()
    answer = revoke_by(a, group.agent, subject="user-1")
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    redis.start()
    until(lambda: revoke_by(a, group.agent, subject="user-1").status_code == 200, "it does not go on")
    refused(b, group.agent, token)
    assert a.rows("SELECT count(*) FROM revocations") == [(1,)]


def test_a_redis_that_forgets_is_given_the_rules_that_the_stores_hold(redis, instances):
    """Whatever it forgets: all, one key, or how far a rule went."""
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent, subject="user-1")
    revoke_by(a, group.agent, subject="user-1", reason="by a")
    revoke_by(b, group.agent, clientId="owner", reason="by b")
    held = rules_in(redis)
    assert held.keys() == {rule_key("sub", "user-1"), rule_key("client_id", "owner")}
    redis.kill()
    redis.start()
    until(lambda: rules_in(redis) == held, "rules are missing in Redis")
    assert redis.ask("GET", rule_key("sub", "user-1")).endswith(" by a")
    redis.ask("FLUSHALL")
    until(lambda: rules_in(redis) == held, "rules are missing in Redis")
    redis.ask("SET", rule_key("sub", "user-1"), "5 9999999999 lowered", "EX", "1000")
    redis.ask("XTRIM", LOG, "MAXLEN", "0")  # a gap: everything is read again
    until(lambda: rules_in(redis)[rule_key("sub", "user-1")][0] == held[rule_key("sub", "user-1")][0],
          "a rule goes less far in Redis than in the store")
    c = group.add().start()
    assert status_of(c, group.agent, token) == 401


def test_a_rule_that_one_puts_back_the_others_learn(redis, instances):
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent, subject="user-1")
    revoke_by(a, group.agent, subject="user-1")
    b.kill()
    a.kill()
    redis.kill()
    redis.start()
    b.start()
    assert status_of(b, group.agent, token) == 200  # nobody who knows is there
    a.start()
    refused(b, group.agent, token)


def test_what_somebody_else_puts_in_the_place_of_a_rule_does_no_harm(redis, instances):
    group = instances(redis, 1)
    a, = group.all
    token = a.token(group.agent, subject="user-1")
    for at, value in enumerate(("", "x", "1", "1 2", "-1 -1 x", "9" * 30 + " 1 x", "1 " + "9" * 30 + " x")):
        redis.ask("SET", rule_key("sub", f"x-{at}"), value, "EX", "1000")
    redis.ask("SET", rule_key("sub", "user-1"), "nonsense", "EX", "1000")
    redis.ask("SET", "token-service:rule:short", "1 2 x", "EX", "1000")
    for item in ("rule", "rule ", "rule x 1 2", f"rule {'0' * 64}", f"rule {'0' * 64} 1", f"rule {'0' * 64} 1 x",
                 f"rule {'0' * 64} {'9' * 40} {'9' * 40}"):
        redis.ask("XADD", LOG, "*", "v", item)
    b = group.add().start()
    assert status_of(b, group.agent, token) == 200
    assert b.metric("revocation_rules") == 0 and a.metric("revocation_rules") == 0
    assert revoke_by(a, group.agent, subject="user-1").status_code == 200  # over it
    refused(b, group.agent, token)


def test_the_command_line_tells_others_of_rules_and_asks_them(redis, instances):
    group = instances(redis)
    a, b = group.all
    first, second = (a.token(group.agent, subject=f"user-{at}", claims={"sid": f"s-{at}"}) for at in range(2))
    assert a.run("token", "revoke", "--subject", "user-0").returncode == 0
    refused(b, group.agent, first)
    assert b.run("token", "verify", stdin=second).returncode == 0
    revoke_by(a, group.agent, sessionId="s-1")
    assert b.run("token", "verify", stdin=second, expect=1).returncode == 1
    redis.kill()
    assert b.run("token", "revoke", "--subject", "x", expect=3).returncode == 3


# --- logging in, TLS ------------------------------------------------------------------------------------------------

def test_a_user_with_a_password_and_few_rights_is_enough(start_redis, instances):
    redis = start_redis(redis_servers.with_login)
    group = instances(redis)
    a, b = group.all
    token = a.token(group.agent)
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token)
    token = a.token(group.agent, subject="user-1")
    assert revoke_by(a, group.agent, subject="user-1").status_code == 200
    refused(b, group.agent, token)
    late = group.add().start()  # which reads all keys
    assert status_of(late, group.agent, token) == 401


def test_a_wrong_password_is_said_and_never_shown(start_redis, instances):
    redis = start_redis(redis_servers.with_login)
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings["REDIS_URL"] = f"redis://service:not-{'the-one'}@127.0.0.1:{redis.port}"
    spawn(server)
    assert server.told("redis_failing")[0]["why"] == "it refused the user and password"
    assert not ready(server)
    assert "the-one" not in server.log
    assert "the-one" not in server.run("serve", "--check-config").stdout


def test_a_database_is_chosen(redis, instances):
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings["REDIS_URL"] = redis.url + "/5"
    server.start()
    token = server.token(group.agent)
    server.revoke(group.agent, token)
    assert redis.ask("-n", "5", "EXISTS", key_of(token)) == "1"
    assert redis.keys() == set()


def test_tls_with_the_right_certificate(start_redis, instances):
    redis = start_redis(redis_servers.with_tls)
    group = instances(redis, 2, start=False)
    for server in group.all:
        server.settings |= {"REDIS_URL": f"rediss://localhost:{redis.port}", "REDIS_CA_FILE": redis.home / "ca.pem"}
        server.start()
    a, b = group.all
    token = a.token(group.agent)
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token)


@pytest.mark.parametrize("host,ca,why", [
    ("localhost", "other-ca.pem", "certificate"),       # issued by somebody else
    ("127.0.0.1", "ca.pem", "mismatch"),                # of another name
    ("localhost", None, "certificate"),                 # the system does not know who issued it
])
def test_tls_with_a_wrong_certificate_is_refused(start_redis, instances, host, ca, why):
    redis = start_redis(redis_servers.with_tls)
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings |= {"REDIS_URL": f"rediss://{host}:{redis.port}"}
    server.settings |= {"REDIS_CA_FILE": redis.home / ca} if ca else {}
    spawn(server)
    assert why in server.told("redis_failing")[0]["why"]
    assert not ready(server)


def test_no_plain_text_goes_to_a_server_that_wants_tls(start_redis, instances):
    redis = start_redis(redis_servers.with_tls)
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings["REDIS_URL"] = f"redis://127.0.0.1:{redis.port}"
    spawn(server)
    assert not ready(server)


def test_a_missing_ca_file_stops_the_start(redis, instances):
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings |= {"REDIS_URL": "rediss://localhost", "REDIS_CA_FILE": "/nowhere/ca.pem"}
    assert "certificates" in server.run("serve", expect=2).stderr


def test_a_redis_that_wants_client_certificates(start_redis, instances):
    redis = start_redis(redis_servers.wanting_certificates)
    group = instances(redis, 2, start=False)
    mine = {"REDIS_CERT_FILE": redis.home / "client.pem", "REDIS_KEY_FILE": redis.home / "client.pem"}
    for server in group.all:
        server.settings |= {"REDIS_URL": f"rediss://localhost:{redis.port}",
                            "REDIS_CA_FILE": redis.home / "server-ca.pem"} | mine
        server.start()
    a, b = group.all
    token = a.token(group.agent)
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token)


@pytest.mark.parametrize("mine,why", [(None, "wants a client certificate"), ("stranger", "client certificate")])
def test_without_the_right_client_certificate_that_is_said(start_redis, instances, mine, why):
    redis = start_redis(redis_servers.wanting_certificates)
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings |= {"REDIS_URL": f"rediss://localhost:{redis.port}", "REDIS_CA_FILE": redis.home / "server-ca.pem"}
    if mine:
        server.settings |= {name: redis.home / f"{mine}.pem" for name in ("REDIS_CERT_FILE", "REDIS_KEY_FILE")}
    spawn(server)
    assert not ready(server)
    assert why in server.told("redis_failing")[0]["why"]
    said = server.run("doctor", expect=3).stdout
    assert why in said and f"localhost:{redis.port}" in said and "REDIS_URL" in said


@pytest.mark.parametrize("settings,why", [
    ({"REDIS_URL": "redis://localhost", "REDIS_CA_FILE": "ca.pem"}, "REDIS_URL does not use TLS"),
    ({"REDIS_URL": "redis+sentinel://localhost/g", "REDIS_CA_FILE": "ca.pem"}, "REDIS_URL does not use TLS"),
    ({"REDIS_URL": "redis://localhost", "REDIS_CERT_FILE": "c", "REDIS_KEY_FILE": "k"}, "REDIS_URL does not use TLS"),
    ({"REDIS_URL": "rediss://localhost", "REDIS_CERT_FILE": "c"}, "REDIS_KEY_FILE is missing"),
    ({"REDIS_URL": "rediss://localhost", "REDIS_KEY_FILE": "k"}, "REDIS_CERT_FILE is missing"),
    ({"REDIS_URL": "redis://localhost", "REDIS_SENTINEL_PASSWORD": "hunter2"}, "names no Sentinels"),
    ({"REDIS_URL": "redis+sentinel://localhost/g", "REDIS_SENTINEL_USER": "u"}, "REDIS_SENTINEL_PASSWORD is missing"),
    ({"REDIS_URL": "rediss://localhost", "REDIS_CERT_FILE": "/nowhere/c.pem", "REDIS_KEY_FILE": "/nowhere/k.pem"},
     "REDIS_CERT_FILE, REDIS_KEY_FILE (/nowhere/c.pem)"),
    ({"REDIS_URL": "rediss://localhost", "REDIS_CA_FILE": "/nowhere/ca.pem"}, "REDIS_CA_FILE (/nowhere/ca.pem)"),
])
def test_settings_that_would_be_ignored_or_cannot_be_read_stop_the_start(make_server, settings, why):
    said = make_server(**settings).run("serve", expect=2).stderr
    assert why in said and "hunter2" not in said


# --- what the user may do -------------------------------------------------------------------------------------------

NEEDED = ["set", "get", "eval", "xadd", "xrange", "xread", "scan", "pttl", "echo", "info"]


@pytest.mark.parametrize("verb", NEEDED)
def test_doctor_and_readiness_try_every_command_that_serving_uses(start_redis, instances, verb):
    """What a user may not run is said by name before the emergency that needs it."""
    redis = start_redis(lambda home: redis_servers.with_login(home, but=f"-{verb}"))
    group = instances(redis, 1, start=False)
    server, = group.all
    said = server.run("doctor", expect=3).stdout
    assert f"run {verb.upper()} " in said
    assert f"127.0.0.1:{redis.port}" in said and "REDIS_URL" in said and "a-Pass" not in said
    spawn(server)
    assert not ready(server)


def test_a_user_who_may_not_touch_what_others_read_is_found_out(start_redis, instances):
    redis = start_redis(redis_servers.with_login)
    group = instances(redis, 1)
    server, = group.all
    redis.kill()
    redis.lines = [line.replace("~revoked:* ", "") for line in redis.lines]
    redis.start()
    assert "run SET on the service's keys" in server.run("doctor", expect=3).stdout
    until(lambda: not ready(server), "it is ready")


def test_trying_leaves_nothing_behind(redis, instances):
    group = instances(redis, 1)
    server, = group.all
    server.run("doctor")
    until(lambda: redis.keys("*check:*") == set() and redis.keys() == set(), "what was tried stays")


def test_a_password_that_is_missing_is_said(start_redis, instances):
    redis = start_redis(redis_servers.with_login)
    group = instances(redis, 1, start=False)
    server, = group.all
    server.settings["REDIS_URL"] = f"redis://127.0.0.1:{redis.port}"
    spawn(server)
    assert "it asks for a user and password" in server.run("doctor", expect=3).stdout
    assert not ready(server)


# --- cluster --------------------------------------------------------------------------------------------------------

@pytest.fixture
def cluster(start_redis):
    return start_redis(redis_servers.Cluster)


def test_a_cluster_holds_revocations_on_all_its_servers(cluster, instances):
    group = instances(cluster)
    a, b = group.all
    tokens, ruled = [a.token(group.agent) for _ in range(30)], []
    for token in tokens:
        assert a.revoke(group.agent, token).status_code == 200
        refused(b, group.agent, token)
    for at in range(20):
        token = a.token(group.agent, subject=f"user-{at}")
        assert revoke_by(a, group.agent, subject=f"user-{at}").status_code == 200
        refused(b, group.agent, token)
        ruled.append(token)
    assert all(node.keys() and node.keys("token-service:rule:*") for node in cluster.nodes)
    assert cluster.keys() == {key_of(token) for token in tokens}
    c = group.add().start()
    assert {status_of(c, group.agent, token) for token in tokens + ruled} == {401}


def test_a_slot_that_moves_is_followed(cluster, instances):
    group = instances(cluster)
    a, b = group.all
    before = a.metric("redis_redirections_total")
    token = a.token(group.agent)
    source, slot = cluster.owner_of(key_of(token))
    target = next(node for node in cluster.nodes if node is not source)
    cluster.begin_move(slot, source, target)
    assert a.revoke(group.agent, token).status_code == 200   # ASK: the key isn't there yet, and goes to the target
    assert key_of(token) in target.ask("CLUSTER", "GETKEYSINSLOT", slot, 10)
    refused(b, group.agent, token)
    cluster.end_move(slot, source, target)
    assert a.revoke(group.agent, token).status_code == 200   # MOVED
    assert a.metric("redis_redirections_total") > before
    assert key_of(token) in target.keys()


def test_the_slot_of_a_rule_that_moves_is_followed(cluster, instances):
    group = instances(cluster)
    a, b = group.all
    token = a.token(group.agent, subject="user-1")
    key = rule_key("sub", "user-1")
    source, slot = cluster.owner_of(key)
    target = next(node for node in cluster.nodes if node is not source)
    cluster.begin_move(slot, source, target)
    assert revoke_by(a, group.agent, subject="user-1").status_code == 200   # ASK
    assert key in target.ask("CLUSTER", "GETKEYSINSLOT", slot, 10)
    refused(b, group.agent, token)
    cluster.end_move(slot, source, target)
    assert revoke_by(a, group.agent, subject="user-1").status_code == 200   # MOVED
    c = group.add().start()
    assert status_of(c, group.agent, token) == 401


def test_the_log_that_moves_is_followed(cluster, instances):
    group = instances(cluster)
    a, b = group.all
    source, slot = cluster.owner_of(LOG)
    target = next(node for node in cluster.nodes if node is not source)
    cluster.begin_move(slot, source, target)
    cluster.end_move(slot, source, target)
    token = a.token(group.agent)
    until(lambda: a.revoke(group.agent, token).status_code == 200, "nothing can be revoked any more")
    refused(b, group.agent, token)
    until(lambda: ready(a) and ready(b), "an instance does not go on")


def test_a_server_of_a_cluster_that_comes_back_empty_is_given_what_it_lacks(cluster, instances):
    group = instances(cluster, 1)
    server, = group.all
    tokens = [server.token(group.agent) for _ in range(20)]
    for token in tokens:
        server.revoke(group.agent, token)
    log_owner, _ = cluster.owner_of(LOG)
    other = next(node for node in cluster.nodes if node is not log_owner)
    assert other.keys()
    other.kill()
    other.start()
    fresh = server.token(group.agent)
    until(lambda: server.revoke(group.agent, fresh).status_code == 200, "it does not go on")
    # whoever talks to that server sees that it is another process
    def whole():
        server.revoke(group.agent, fresh)
        return {key_of(token) for token in tokens} <= cluster.keys()
    for _ in range(20):
        token = server.token(group.agent)
        server.revoke(group.agent, token)
    until(whole, "revocations are missing in the cluster")


# --- Sentinel -------------------------------------------------------------------------------------------------------

def test_a_fail_over_is_followed(start_redis, instances):
    watched = start_redis(redis_servers.Watched)
    group = instances(watched)
    a, b = group.all
    token, later = a.token(group.agent), a.token(group.agent)
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token)
    old = watched.master_port()
    next(server for server in watched.servers if server.port == old).kill()
    until(lambda: watched.master_port() != old, "the Sentinels do not fail over")
    until(lambda: a.revoke(group.agent, later).status_code == 200, "the new master is not found")
    for server in (a, b):
        until(lambda server=server: ready(server), "the new master is not followed")
        for each in (token, later):
            refused(server, group.agent, each)
    survivor = next(server for server in watched.servers if server.process)
    assert {key_of(token), key_of(later)} <= survivor.keys()


def test_who_stood_still_while_the_master_was_replaced_promises_nothing_at_the_old_one(start_redis, instances):
    """Which stood still as well, and is a master by its own account until the Sentinels come to it: for ten seconds."""
    watched = start_redis(redis_servers.Watched)
    group = instances(watched, TOKEN_REVOCATION_POLICY="strict", TOKEN_REDIS_TIMEOUT=1)
    a, b = group.all
    ours, theirs = ([a.token(group.agent) for _ in range(3)] for _ in range(2))
    for server in (a, b):
        until(lambda server=server: status_of(server, group.agent, ours[0]) == 200, "it does not hear Redis")
    old = next(server for server in watched.servers if server.port == watched.master_port())
    a.process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)  # what it has asked is answered
    old.process.send_signal(signal.SIGSTOP)
    until(lambda: watched.master_port() != old.port, "the Sentinels do not fail over")
    until(lambda: ready(b), "the new master is not followed")
    revoked = [token for token in theirs if b.revoke(group.agent, token).status_code == 200]
    for stopped in (old.process, a.process):
        stopped.send_signal(signal.SIGCONT)
    was_master = False
    for token in ours:
        revoked += [token] if a.revoke(group.agent, token).status_code == 200 else []
        was_master = was_master or "role:master" in old.ask("INFO", "replication")
    assert was_master, "the old one is none any more: nothing was tried"
    time.sleep(1)  # TOKEN_REDIS_TIMEOUT
    assert not [token for server in (a, b) for token in revoked if status_of(server, group.agent, token) == 200]
    until(lambda: a.revoke(group.agent, ours[0]).status_code == 200, "the new master is not found")
    refused(b, group.agent, ours[0])


@pytest.mark.parametrize("said,found", [(redis_servers.SENTINEL_PASSWORD, True), ("another", False), (None, False)])
def test_sentinels_may_have_a_password_of_their_own(start_redis, instances, said, found):
    watched = start_redis(redis_servers.Watched, redis_servers.SENTINEL_PASSWORD)
    group = instances(watched, 1, start=False)
    server, = group.all
    server.settings |= {"REDIS_SENTINEL_PASSWORD": said} if said else {}
    spawn(server)
    assert ready(server) == found
    said_by_doctor = server.run("doctor", expect=0 if found else 3).stdout
    assert found or "no Sentinel names a master" in said_by_doctor
    assert "another" not in server.log + said_by_doctor
