"""A Redis that loses single keys in silence: by eviction, or since somebody deletes them. The keys are there again
soon, whichever store instances have; and a policy by which keys may go is said, and under `strict` makes unready."""

import time
import uuid

import pytest

import redis_servers
from instances import key_of, ready, refused, spawn, status_of
from redis_servers import until
from rules import hash_of

SOON_S = 30  # a guard: a round is a second
PATIENT = {"TOKEN_REDIS_TIMEOUT": 20}  # a Redis that stands still for some of them is no failure
RULE_KEY = "token-service:rule:" + hash_of(("sub", "user-1")).hex()


@pytest.fixture(params=["stores of their own", "one database"])
def pair(request, redis, instances, make_server):
    """Two instances on one Redis, their client, and what makes a third."""
    if request.param == "stores of their own":
        group = instances(redis, **PATIENT)
        return (*group.all, group.agent, lambda: group.add().start())
    postgres = request.getfixturevalue("postgres")
    settings = {"TOKEN_SIGNING_ALG": "ES256", "DATABASE_URL": postgres.database(f"evict-{uuid.uuid4().hex[:8]}"),
                "REDIS_URL": redis.url} | PATIENT
    a = make_server(**settings).start()

    def another():
        server = make_server(**settings)
        server.data_dir = a.data_dir
        server.settings["TOKEN_DATA_DIR"] = str(a.data_dir)
        return server.start()

    return a, another(), a.add_client("agent"), another


def test_a_key_that_was_deleted_is_there_again(redis, pair):
    a, b, agent, another = pair
    tokens = [a.token(agent) for _ in range(5)]
    for token in tokens:
        assert a.revoke(agent, token, reason="stolen").status_code == 200
    assert a.post("/admin/revocations", auth=agent, json={"subject": "user-1"}).status_code == 200
    ruled = redis.ask("GET", RULE_KEY)
    until(lambda: redis.keys() == set(map(key_of, tokens)), "a key is missing")
    resyncs = b.metric("revocations_resyncs_total")
    redis.ask("DEL", key_of(tokens[2]), RULE_KEY)
    until(lambda: redis.keys() == set(map(key_of, tokens)), "the key is not there again", SOON_S)
    until(lambda: redis.ask("GET", RULE_KEY) == ruled, "the rule is not there again", SOON_S)
    # of two with stores of their own, who did not revoke it may be faster, and doesn't know why it was
    reasons = {"stolen"} if "DATABASE_URL" in a.settings else {"stolen", "revoked"}
    assert redis.ask("GET", key_of(tokens[2])) in reasons
    assert 3000 < int(redis.ask("TTL", key_of(tokens[2]))) - redis_servers.MARGIN_S < 4000
    until(lambda: a.metric("revocation_keys_restored_total") + b.metric("revocation_keys_restored_total") >= 2,
          "they are not counted")  # a moment after they are there
    assert b.metric("revocations_resyncs_total") == resyncs, "one key costs no reading of all"
    c = another()
    assert status_of(c, agent, tokens[2]) == 401


def test_a_rule_that_is_older_in_redis_is_raised_again(redis, pair):
    """As when it was lost just after it was extended, and put back by who had read it just before."""
    a, b, agent, _ = pair
    assert a.post("/admin/revocations", auth=agent, json={"subject": "user-1"}).status_code == 200
    ruled = redis.ask("GET", RULE_KEY)
    before, until_s, reason = ruled.split(" ")
    for older in (f"{int(before) - 60} {until_s} {reason}", f"{before} {int(until_s) - 60} {reason}", "none of ours"):
        redis.ask("SET", RULE_KEY, older, "EX", "3000")
        until(lambda: redis.ask("GET", RULE_KEY) == ruled, "the rule is still the older one", SOON_S)
    assert a.metric("revocation_keys_restored_total") + b.metric("revocation_keys_restored_total") >= 1


def test_a_rule_of_another_is_put_back_while_that_one_is_away(redis, instances):
    group = instances(redis, **PATIENT)
    a, b = group.all
    token = b.token(group.agent, subject="user-1")
    assert a.post("/admin/revocations", auth=group.agent, json={"subject": "user-1"}).status_code == 200
    refused(b, group.agent, token, SOON_S)
    ruled = redis.ask("GET", RULE_KEY)
    a.kill()
    redis.ask("DEL", RULE_KEY)
    until(lambda: redis.ask("GET", RULE_KEY).split(" ")[:2] == ruled.split(" ")[:2], "the rule is not there again",
          SOON_S)
    c = group.add().start()
    assert status_of(c, group.agent, token) == 401


def test_an_instance_that_started_while_a_key_was_missing_hears_of_it(redis, instances):
    """With stores of their own, the key is all that it has."""
    group = instances(redis, **PATIENT)
    a, b = group.all
    token = a.token(group.agent)
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token, SOON_S)
    for server in (a, b):
        server.process.send_signal(19)
    redis.ask("DEL", key_of(token))
    redis.ask("DEL", redis_servers.LOG)
    c = group.add().start()
    assert status_of(c, group.agent, token) == 200  # nobody has told it
    for server in (a, b):
        server.process.send_signal(18)
    refused(c, group.agent, token, SOON_S)


def test_what_another_revoked_is_put_back_while_that_one_is_away(redis, instances):
    group = instances(redis, **PATIENT)
    a, b = group.all
    token = a.token(group.agent)
    assert a.revoke(group.agent, token).status_code == 200
    refused(b, group.agent, token, SOON_S)
    a.kill()
    redis.ask("DEL", key_of(token))
    until(lambda: redis.keys() == {key_of(token)}, "the key is not there again", SOON_S)
    c = group.add().start()
    assert status_of(c, group.agent, token) == 401


def test_what_a_redis_evicts_is_there_again_once_it_stops(start_redis, instances):
    redis = start_redis(redis_servers.single, "maxmemory-policy allkeys-random")  # ours are used every second
    group = instances(redis, 2, TOKEN_REVOCATION_POLICY="bounded", **PATIENT)
    a, _ = group.all
    tokens = [a.token(group.agent) for _ in range(30)]
    for token in tokens:
        assert a.revoke(group.agent, token).status_code == 200
    used = int(next(line for line in redis.ask("INFO", "memory").splitlines()
                    if line.startswith("used_memory:")).split(":")[1])
    redis.ask("CONFIG", "SET", "maxmemory", used + 200000)
    wanted = set(map(key_of, tokens))
    for at in range(1000):  # others' values take the room
        redis.ask("SET", f"other:{at}", "x" * 20000, check=False)
        if not wanted <= redis.keys():
            break  # they may be there again a moment later
    else:
        pytest.fail("it evicts nothing")
    redis.ask("CONFIG", "SET", "maxmemory", 0)
    until(lambda: wanted <= redis.keys(), "an evicted key is not there again", SOON_S)
    assert a.metric("cache_may_evict") == 1


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"])
@pytest.mark.parametrize("strictness", ["strict", "bounded"])
def test_a_policy_that_may_evict_is_said_and_strict_is_not_ready_beside_it(start_redis, instances, policy, strictness):
    redis = start_redis(redis_servers.single, f"maxmemory-policy {policy}")
    group = instances(redis, 1, start=False, TOKEN_REVOCATION_POLICY=strictness, **PATIENT)
    server, = group.all
    spawn(server)
    until(lambda: server.metric("cache_may_evict") == 1, "it does not see it")
    until(lambda: server.metric("cache_up") == 1, "it does not read Redis")
    until(lambda: ready(server) == (strictness == "bounded"), "it is as ready as otherwise")
    answer = server.get("/health/ready")
    assert "noeviction" in answer.json()["cache"]["why"]
    assert answer.json()["checks"]["cache"] == ("ok" if strictness == "bounded" else "failing")
    event, = server.told("redis_may_evict")
    assert (event["policy"], event["level"]) == (policy, "error" if strictness == "strict" else "warn")
    done = server.run("doctor", expect=3 if strictness == "strict" else 0)
    assert "noeviction" in done.stdout + done.stderr
    redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    until(lambda: server.metric("cache_may_evict") == 0 and ready(server), "it does not see the change", SOON_S)
    redis.ask("CONFIG", "SET", "maxmemory-policy", policy)
    until(lambda: server.metric("cache_may_evict") == 1, "it does not see the change back", SOON_S)


def test_the_policy_is_read_where_config_is_refused(start_redis, instances):
    """As at managed ones: by a user who may do what the service does alone."""
    redis = start_redis(redis_servers.with_login, "maxmemory-policy volatile-lru")
    group = instances(redis, 1, start=False, **PATIENT)
    server, = group.all
    spawn(server)
    until(lambda: server.metric("cache_may_evict") == 1, "it does not see it")
    assert not ready(server)


def test_a_server_of_a_cluster_that_evicts_is_seen(start_redis, instances):
    cluster = start_redis(redis_servers.Cluster)
    group = instances(cluster, 1, **PATIENT)
    server, = group.all
    assert server.metric("cache_may_evict") == 0
    cluster.nodes[2].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    until(lambda: server.metric("cache_may_evict") == 1, "it does not see it", SOON_S)
    assert not ready(server)


def test_a_look_at_the_keys_costs_little(redis, instances):
    """A thousand a round and instance, in one exchange: whatever there is to be compared."""
    group = instances(redis, 1, **PATIENT)
    server, = group.all
    for _ in range(20):
        server.revoke(group.agent, server.token(group.agent))

    def asked():
        return sum(int(line.split("calls=")[1].split(",")[0]) for line in
                   redis.ask("INFO", "commandstats").splitlines() if line.startswith("cmdstat_get:"))

    until(lambda: asked() > 0, "nothing is compared", SOON_S)
    begin, before = time.monotonic(), asked()
    until(lambda: time.monotonic() - begin > 3, "time stands still")
    assert asked() - before <= (time.monotonic() - begin + 2) * 40  # the store's, then memory's
