"""Instances on one PostgreSQL and one Redis: they begin with what the store and Redis's log say, and compare Redis's
keys with the store afterwards, for those who read them."""

import hashlib
import time
import uuid

import pytest

import redis_servers
from redis_servers import LOG, MARGIN_S, until


def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def redis(tmp_path):
    server = redis_servers.single(tmp_path / "redis")
    yield server.start()
    server.kill()


@pytest.fixture
def instances(postgres, redis, make_server, request):
    """Two on one folder of keys, the first of them started, and a client."""
    url = postgres.database(f"{request.node.name[:40]}-{uuid.uuid4().hex[:8]}")
    a, b = (make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=url, REDIS_URL=redis.url, TOKEN_REDIS_TIMEOUT=20)
            for _ in range(2))
    b.data_dir = a.data_dir
    b.settings["TOKEN_DATA_DIR"] = str(a.data_dir)
    agent = a.add_client("agent")
    a.start()
    yield a, b, agent
    a.stop()
    b.stop()


def test_what_was_under_way_while_an_instance_started_is_in_the_log(redis, instances):
    """Announced before it looked, recorded after it had: it must not wait until it reads the store again."""
    a, b, agent = instances
    token, other = a.token(agent), a.token(agent)
    redis.ask("XADD", LOG, "*", "v", f"revoked {hash_of(token)} {int(time.time()) + 3600}")
    until(lambda: not a.is_active(agent, token), "the instance that runs has not heard of it")
    b.start()
    assert not b.is_active(agent, token)  # at once
    assert b.is_active(agent, other)
    assert not redis.keys(), "what nobody recorded needs no key"


def test_an_item_whose_token_has_expired_takes_no_room(redis, instances):
    a, b, agent = instances
    token = a.token(agent)
    redis.ask("XADD", LOG, "*", "v", f"revoked {hash_of(token)} {int(time.time()) - MARGIN_S - 10}")
    b.start()
    assert b.metric("revocations") == 0


@pytest.mark.parametrize("running", [1, 2])
def test_redis_is_given_what_the_store_holds_and_nobody_waits_for_that(redis, instances, running):
    a, b, agent = instances
    if running == 2:
        b.start()
    tokens = [a.token(agent) for _ in range(3)]
    for token in tokens:
        assert a.revoke(agent, token).status_code == 200
    assert a.post("/admin/revocations", auth=agent, json={"subject": "somebody else"}).status_code == 200
    redis.ask("FLUSHALL")
    if running == 1:
        b.start()
    for token in tokens:
        if running == 2:  # it may have lost its place in the log before it read of them there
            until(lambda token=token: not b.is_active(agent, token), "it has not heard of it")
        assert not b.is_active(agent, token)
    until(lambda: redis.keys() == {f"revoked:{hash_of(token)}" for token in tokens}, "a revocation is missing in Redis")
    until(lambda: len(redis.keys("token-service:rule:*")) == 1, "a rule is missing in Redis")


def test_a_key_that_others_have_put_there_is_learnt(redis, instances):
    a, b, agent = instances
    token = a.token(agent)
    redis.ask("SET", f"revoked:{hash_of(token)}", "by hand", "EX", 3600)
    b.start()
    until(lambda: not b.is_active(agent, token), "a key of Redis is not known")
