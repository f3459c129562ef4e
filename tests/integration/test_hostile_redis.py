"""What the service makes of a Redis that answers wrongly: nothing that it says too much or too little is believed, no
answer costs more than its time, and when it behaves again all goes on."""

import contextlib
import threading
import time

import pytest

from hostile_redis import OK, TWISTS, HostileRedis, fixed
from instances import key_of, ready, refused, spawn, status_of
from redis_servers import until

FAR = 9223372036854775807
RECOVERY_S = 60  # a guard
FOR_QUESTIONS = ("another status", "a number", "nil", "an empty list", "an error", "a redirection to nowhere",
                 "RESP3: a map", "RESP3: a double", "a list of a billion", "lists in lists", "a line without an end",
                 "one answer too many behind it", "one answer too many before it", "half of it, and the end")
LIES = {("PTTL", "a number"), ("GET", "nil")}  # which nobody could see through


@pytest.fixture
def hostile(redis):
    made = HostileRedis(redis)
    yield made
    made.kill()


def revoke(server, agent, by_rule, number):
    if by_rule:
        return server.post("/admin/revocations", auth=agent, json={"subject": f"user-{number}"}).status_code
    return server.revoke(agent, server.token(agent)).status_code


@pytest.mark.parametrize("verb", ["SET", "XADD", "EVAL", "ECHO"])
def test_whatever_is_no_answer_to_a_write_acknowledges_nothing(hostile, instances, verb):
    group = instances(hostile, 1)
    server, = group.all
    for number, (name, how) in enumerate(TWISTS.items()):
        hostile.twist(verb, how)
        assert revoke(server, group.agent, verb == "EVAL", number) == 503, name
        hostile.behave()
        until(lambda number=number: revoke(server, group.agent, verb == "EVAL", number) == 200,
              f"it does not go on after {name}", RECOVERY_S)
    until(lambda: ready(server), "it is not ready again", RECOVERY_S)


@pytest.mark.parametrize("verb", ["INFO", "CLUSTER", "XRANGE", "XREAD", "SCAN", "PTTL", "GET"])
def test_whatever_is_no_answer_to_a_question_makes_no_token_good(hostile, instances, verb):
    """A start needs all of these, but for XREAD. The revocations are another instance's, so Redis alone can tell."""
    group = instances(hostile, 1)
    a, = group.all
    token = a.token(group.agent)
    ruled = a.token(group.agent, subject="user-1")
    assert a.revoke(group.agent, token).status_code == 200
    assert revoke(a, group.agent, True, 1) == 200
    names = [name for name in FOR_QUESTIONS if (verb, name) not in LIES]
    with contextlib.ExitStack() as stack:
        liars, others = [], []
        for name in names:  # each has a liar of its own, and all wait at the same time
            liars.append(HostileRedis(hostile.redis))
            stack.callback(liars[-1].kill)
            liars[-1].twist(verb, TWISTS[name])
            others.append(group.add(REDIS_URL=liars[-1].url))
        spawn(*others)
        for name, b in zip(names, others):
            for each in (token, ruled):
                assert status_of(b, group.agent, each) in (401, 503), name
        for liar in liars:
            liar.behave()
        for name, b in zip(names, others):
            until(lambda b=b: ready(b), f"it does not go on after {name}", RECOVERY_S)
            assert [status_of(b, group.agent, each) for each in (token, ruled)] == [401, 401], name


@pytest.mark.parametrize("by_rule", [False, True])
def test_what_redis_refused_is_not_acknowledged_by_a_surplus_answer(hostile, instances, by_rule):
    """One answer too many, wherever it comes, and from then on everything would be out of step by one."""
    group = instances(hostile, 1)
    server, = group.all
    for verb in ("*", "SET", "INFO", "SELECT", "XRANGE", "XREAD", "EVAL", "XADD", "ECHO"):
        hostile.redis.ask("CONFIG", "SET", "maxmemory", "1")
        for how in (lambda real: real + OK, lambda real: OK + real, lambda real: (real, 0.02, OK),
                    lambda real: (OK, 0.02, real)):
            hostile.twist(verb, how)
            for number in range(3):
                assert revoke(server, group.agent, by_rule, number) == 503
        hostile.behave()
        hostile.redis.ask("CONFIG", "SET", "maxmemory", "0")
        until(lambda: revoke(server, group.agent, by_rule, 0) == 200, "it does not go on", RECOVERY_S)


def test_a_life_near_the_end_of_what_a_number_holds_is_a_long_one(hostile, instances):
    group = instances(hostile, 1)
    a, = group.all
    token = a.token(group.agent)
    hostile.redis.ask("SET", key_of(token), "by somebody else", "EX", 1000)
    for life in (FAR, FAR - 999, 2**31 * 1000):
        hostile.twist("PTTL", lambda real, life=life: b":%d\r\n" % life)
        b = group.add(TOKEN_PURGE_INTERVAL=1).start()
        assert status_of(b, group.agent, token) == 401
        time.sleep(1.2)  # a purge
        assert status_of(b, group.agent, token) == 401, life
        b.stop()


def test_an_answer_that_drips_or_floods_ends_with_its_time(hostile, instances):
    """Each goes on until whoever asked has hung up."""
    hung_up = threading.Event()

    def forever(*parts):
        def how(_):
            try:
                for _ in range(100000):
                    yield from parts
                raise AssertionError("it has listened to the end")
            finally:
                hung_up.set()
        return how

    group = instances(hostile, 1, TOKEN_REDIS_TIMEOUT=1)
    server, = group.all
    for how in (forever(b"+", 0.05), forever(b":1", 0.05), forever(b"$9000000\r\n", b"x", 0.05),
                forever(b"*200000\r\n", b":1\r\n", 0.05), forever(b"x", 0.05), forever(b"+" * 65536),
                forever(b"*200000\r\n" + b"$4\r\nabcd\r\n" * 10000)):
        hung_up.clear()
        hostile.twist("SET", how)
        assert revoke(server, group.agent, False, 0) == 503
        hostile.behave()
        assert hung_up.wait(60), "it listens on"
        until(lambda: revoke(server, group.agent, False, 0) == 200, "it does not go on", RECOVERY_S)


def test_failures_that_go_on_are_paused_for_longer_each_time(hostile, instances):
    """Redis takes connections, and answers each at once with what is none."""
    group = instances(hostile, 1)
    server, = group.all
    token = server.token(group.agent)
    for twists in ({"*": b"+nonsense\r\n"}, {"XREAD": b"*-1\r\n"}, {"XRANGE": b"*0\r\n"}, {"XREAD": b"-ERR no\r\n"},
                   {"SET": b"-OOM no\r\n", "XREAD": b"*-1\r\n"}, {"INFO": b"$0\r\n\r\n", "XRANGE": b"*0\r\n"}):
        for verb, answer in twists.items():
            hostile.twist(verb, fixed(answer), asks=False)
        until(lambda: status_of(server, group.agent, token) == 503, "it believes what it is told")
        begin, before = time.monotonic(), len(hostile.asked)
        time.sleep(1.5)
        asked = len(hostile.asked) - before
        assert asked < 130 * (time.monotonic() - begin), "it asks on and on"
        hostile.behave()
        until(lambda: ready(server), "it does not go on", RECOVERY_S)
        until(lambda: status_of(server, group.agent, token) == 200, "the token is not good again", RECOVERY_S)


def test_a_server_that_is_out_of_step_harms_no_reader(hostile, instances):
    """Out of step all the while, with revocations under way: what was acknowledged is refused everywhere."""
    group = instances(hostile, 2)
    a, b = group.all
    acknowledged, number = [], 0

    def now_and_then(real):
        nonlocal number
        number += 1
        return real + OK if number % 17 == 0 else real

    hostile.twist("*", now_and_then)
    for _ in range(100):
        token = a.token(group.agent)
        if a.revoke(group.agent, token).status_code == 200:
            acknowledged.append(token)
    hostile.behave()
    until(lambda: ready(a) and ready(b), "they do not go on", RECOVERY_S)
    assert acknowledged
    for token in acknowledged:
        refused(b, group.agent, token)
    assert {key_of(token) for token in acknowledged} <= hostile.redis.keys()
