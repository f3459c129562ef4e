"""A function that is frozen between its calls, or in the middle of them, for seconds or hours: revocations, keys,
connections and clients afterwards; what is answered before Lambda would end the call; a process that is ended.

A freeze is SIGSTOP. What hours change besides is done to it: connections are closed behind its back, others revoke and
rotate, and the time of day goes on while its clock stood still (libfaketime)."""

import contextlib
import json
import queue
import threading
import time
import uuid

import psycopg
import pytest

import clock
import lambda_events
import redis_servers
from eventbridge import EventBridge
from lambda_events import bus, schedule
from lambda_runtime import Function
from relay import Relay
from rest_proxy import RestProxy
from service import ROOT, SCOPES, STORY_SCOPES, Server
from supabase import Supabase
from test_lambda import IDP, generate, kid_of
from wire import PATIENCE_S


@pytest.fixture
def made():
    servers = []
    yield servers
    faults = []
    for server in servers:
        try:
            server.stop()
        except AssertionError as fault:
            faults.append(fault)
        finally:
            server.kill()
            if isinstance(server, Function):
                server.close()
    assert not faults, faults


@pytest.fixture
def pair(postgres, tmp_path, made):
    """pair(TOKEN_X=…): a function and a daemon on one database and one folder of keys; their client."""
    def start(begin=True, **settings):
        url = postgres.database(f"lambda-{uuid.uuid4().hex[:8]}")
        settings = {"TOKEN_SIGNING_ALG": "ES256", "DATABASE_URL": url, "TOKEN_STORE_TIMEOUT": 20,
                    "TOKEN_REDIS_TIMEOUT": 20, "TOKEN_CLIENT_CACHE_TTL": 60} | settings  # longer than a machine stalls
        daemon = Server(tmp_path / "daemon", settings)
        made.append(daemon.start())
        function = Function(tmp_path / "function", settings)
        function.data_dir = daemon.data_dir
        function.settings["TOKEN_DATA_DIR"] = str(daemon.data_dir)
        made.append(function)
        function.database = url
        function.agent = daemon.agent = daemon.add_client("agent")
        if begin:
            function.start()
        return function, daemon

    for name in ("daemon", "function"):
        (tmp_path / name).mkdir()
    return start


def close_connections(postgres, url):
    """As a database, or what is before it, does with those that lie idle for hours."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                           (url.rsplit("/", 1)[1],))


# --- revocations ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("via", ["store", "redis"])
def test_under_strict_each_answer_knows_all_that_was_revoked(pair, start_redis, via):
    """No time passes between a revocation elsewhere and the next event."""
    settings = {"REDIS_URL": start_redis(redis_servers.single).url} if via == "redis" else {}
    function, daemon = pair(TOKEN_REVOCATION_POLICY="strict", **settings)
    for _ in range(30):
        token = daemon.token(daemon.agent)
        assert function.verify(function.agent, token).status_code == 200
        assert daemon.revoke(daemon.agent, token).status_code == 200
        assert function.verify(function.agent, token).status_code == 401
        assert not function.is_active(function.agent, token)


@pytest.mark.parametrize("via", ["store", "redis"])
def test_what_was_revoked_before_the_start_is_known_to_the_first_answer(pair, start_redis, via):
    settings = {"REDIS_URL": start_redis(redis_servers.single).url} if via == "redis" else {}
    function, daemon = pair(begin=False, **settings)
    token = daemon.token(daemon.agent)
    assert daemon.revoke(daemon.agent, token).status_code == 200
    function.start()
    assert function.verify(function.agent, token).status_code == 401


def test_the_daemon_knows_what_a_function_has_revoked(pair):
    function, daemon = pair(TOKEN_REVOCATION_POLICY="strict")
    token = function.token(function.agent)
    assert daemon.verify(daemon.agent, token).status_code == 200
    assert function.revoke(function.agent, token).status_code == 200
    daemon.until(lambda: daemon.verify(daemon.agent, token).status_code == 401, "the daemon does not know")


def test_under_bounded_an_answer_is_no_older_than_that(pair):
    """Half of the time at most passes without a look."""
    function, daemon = pair(TOKEN_REVOCATION_POLICY="bounded", TOKEN_REVOCATION_STALENESS=4)
    token = daemon.token(daemon.agent)
    assert function.verify(function.agent, token).status_code == 200
    assert daemon.revoke(daemon.agent, token).status_code == 200
    revoked_at = asked_at = time.monotonic()
    while function.verify(function.agent, token).status_code == 200:
        assert asked_at - revoked_at < 4
        time.sleep(0.1)
        asked_at = time.monotonic()


def test_when_nothing_can_be_heard_it_is_not_guessed(postgres, pair, made):
    """503 under strict; keys and metadata are had all the same."""
    function, daemon = pair(begin=False, TOKEN_REVOCATION_POLICY="strict")
    with Relay(postgres.port) as relay:
        function.settings |= {"DATABASE_URL": function.database.replace(f":{postgres.port}/", f":{relay.port}/"),
                              "TOKEN_STORE_TIMEOUT": "1"}
        function.start()
        token = daemon.token(daemon.agent)
        function.until(lambda: function.verify(function.agent, token).status_code == 200, "it hears nothing")
        relay.cut()
        assert function.verify(function.agent, token).status_code == 503
        assert function.get("/.well-known/jwks.json").status_code == 200
        assert function.api.invoke(schedule()).error()["errorType"] == "Function.Unavailable"
        relay.lead_to(postgres.port)
        function.until(lambda: function.verify(function.agent, token).status_code == 200, "it does not recover")
        function.stop()
        made.remove(function)
        function.close()


# --- freezes --------------------------------------------------------------------------------------------------------

def test_a_freeze_hides_nothing(postgres, pair):
    """While it was frozen, a token was revoked, a client disabled, the keys rotated, and its connections closed."""
    function, daemon = pair(TOKEN_REVOCATION_POLICY="strict")
    token, other = daemon.token(daemon.agent), daemon.token(daemon.agent)
    assert function.verify(function.agent, token).status_code == 200
    function.freeze()
    time.sleep(1.5)
    assert daemon.revoke(daemon.agent, token).status_code == 200
    daemon.until(lambda: daemon.post("/admin/rotate-keys", auth=daemon.agent, json={"immediate": True}).status_code
                 == 200, "the keys were not rotated")
    new = daemon.token(daemon.agent)
    assert kid_of(new) != kid_of(token)
    close_connections(postgres, function.database)
    call = function.api.begin(function.event_of("POST", "/token/verify", auth=function.agent, json={"token": token}))
    function.thaw()
    assert lambda_events.answer_of("http", call.json())[0] == 401
    assert function.verify(function.agent, new).status_code == 200
    assert function.verify(function.agent, other).status_code == 200
    assert kid_of(function.token(function.agent)) == kid_of(new)
    assert {kid_of(new), kid_of(token)} <= {key["kid"] for key in function.jwks()["keys"]}


def test_a_redis_that_has_hung_up_meanwhile_is_called_again(pair, start_redis):
    redis = start_redis(redis_servers.single)
    function, daemon = pair(TOKEN_REVOCATION_POLICY="strict", REDIS_URL=redis.url)
    token = daemon.token(daemon.agent)
    assert function.verify(function.agent, token).status_code == 200
    for _ in range(3):
        function.freeze()
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        daemon.until(lambda: daemon.revoke(daemon.agent, token).status_code == 200, "it could not be revoked")
        call = function.api.begin(function.event_of("POST", "/token/verify", auth=function.agent,
                                                    json={"token": token}))
        function.thaw()
        assert lambda_events.answer_of("http", call.json())[0] == 401
        token = daemon.token(daemon.agent)
        function.until(lambda one=token: function.verify(function.agent, one).status_code == 200, "it is not good")


def test_a_clock_that_stood_still_is_seen(pair, tmp_path):
    """As on a machine that was paused for hours: every lease and every age on that clock is over."""
    if not clock.LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package faketime")
    day = clock.Clock(tmp_path)
    function, daemon = pair(begin=False, TOKEN_REVOCATION_POLICY="bounded", TOKEN_REVOCATION_STALENESS=3600,
                            TOKEN_ACCESS_TTL=86400, TOKEN_USAGE_INTERVAL=3600, TOKEN_EMF_INTERVAL=3600)
    function.settings |= {name: str(value) for name, value in day.settings.items()}
    function.start()
    function.api.ahead_s = lambda: day.ahead_s
    other = daemon.add_client("other")
    user = str(uuid.uuid4())
    with psycopg.connect(function.database, autocommit=True) as connection:
        connection.execute("INSERT INTO auth.users (id) VALUES (%s)", (user,))
    token, live = (daemon.token(daemon.agent, subject=user, scope="stories:read") for _ in range(2))

    def uses():
        function.get("/health/live")  # begins when the call before it has been settled
        with psycopg.connect(function.database, autocommit=True) as connection:
            return connection.execute("SELECT sum(use_count) FROM oauth_access_tokens").fetchone()[0]

    def gauges():
        return sum("SignerUp" in line for line in function.events("metrics"))

    assert function.verify(function.agent, token).status_code == 200
    assert function.verify(other, live).status_code == 200
    function.until(lambda: gauges() == 1, "CloudWatch is not told how it is")
    before = uses()
    function.freeze()
    assert daemon.revoke(daemon.agent, token).status_code == 200
    daemon.run("clients", "disable", "other")
    day.set(2 * clock.HOUR)
    function.thaw()
    assert function.verify(function.agent, token).status_code == 401
    assert function.verify(function.agent, live).status_code == 200
    assert function.verify(other, live).status_code == 401
    function.told("clock_stood_still")
    assert uses() > before  # what has an interval is due
    function.until(lambda: gauges() == 2, "CloudWatch is not told how it is")


@pytest.mark.parametrize("moment", ["request", "commit"])
def test_a_freeze_in_the_middle_of_a_call_loses_nothing(pair, moment):
    """Frozen again and again while tokens are issued and revoked; what was acknowledged holds."""
    function, daemon = pair(TOKEN_REVOCATION_POLICY="strict")
    stop = threading.Event()

    def freeze():
        pause_s = 0.001 if moment == "request" else 0.004
        while not stop.is_set():
            function.freeze()
            time.sleep(0.02)
            function.thaw()
            time.sleep(pause_s)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        for _ in range(15):
            token = function.token(function.agent)
            assert daemon.verify(daemon.agent, token).status_code == 200
            assert function.revoke(function.agent, token).json() == {"revoked": True}
            daemon.until(lambda one=token: daemon.verify(daemon.agent, one).status_code == 401, "it is still good")
    finally:
        stop.set()
        thread.join()
        function.thaw()


def test_a_call_that_was_frozen_past_its_end_ends_nothing(function_on_kms):
    """Lambda has ended it; the next one is answered."""
    function, kms = function_on_kms()
    kms.slow(1, operation="Sign")
    call = function.api.begin(function.event_of("POST", "/token", auth=function.agent, json={
        "subject": "agent", "clientId": "agent", "scope": "", "tokenType": "access"}), deadline_s=1.2)
    assert call.taken.wait(PATIENCE_S)
    function.freeze()
    time.sleep(1.5)
    function.thaw()
    call.wait()
    kms.clear_faults()
    assert function.get("/health/live").status_code == 200
    assert function.issue(function.agent)["token"]


# --- deadlines ------------------------------------------------------------------------------------------------------

@pytest.fixture
def function_on_kms(kms, tmp_path, made):
    """A function whose signatures come from a KMS that can be slow."""
    def start(**settings):
        function = Function(tmp_path / "kms-function", kms.environment(kms.create_key("ES256")) | {
            "TOKEN_SIGNING_ALG": "ES256", "TOKEN_KMS_TIMEOUT": 8, "TOKEN_KMS_TRY_TIMEOUT": 8} | settings)
        made.append(function.start())
        function.agent = function.add_client("agent")
        function.until(lambda: function.ask(function.agent).status_code == 200, "its client is not known")
        return function, kms
    (tmp_path / "kms-function").mkdir()
    return start


HANGS_S = 60
HANGING = {"TOKEN_KMS_TIMEOUT": HANGS_S, "TOKEN_KMS_TRY_TIMEOUT": HANGS_S}


def issue_event(function, **options):
    return function.event_of("POST", "/token", auth=function.agent, json={
        "subject": "agent", "clientId": "agent", "scope": "", "tokenType": "access"}, **options)


def in_time(function, events):
    """Their calls, which have a second each, and not what they wait for. One may be late: the machine stood still."""
    calls, late_ms = [], []
    for event in events:
        calls.append(function.api.invoke(event, deadline_s=1))
        late_ms.append(time.time() * 1000 - calls[-1].deadline_ms)
    assert min(late_ms) < 0 and max(late_ms) < 1000 * HANGS_S / 2, late_ms
    return calls


@pytest.mark.parametrize("kind", lambda_events.KINDS)
def test_a_dependency_that_hangs_is_a_503_before_lambda_ends_the_call(function_on_kms, kind):
    function, kms = function_on_kms(**HANGING)
    kms.slow(HANGS_S, operation="Sign")
    calls = in_time(function, [issue_event(function, kind=kind) for _ in range(3)])
    for call in calls:
        status, fields, _ = lambda_events.answer_of(kind, call.json())
        assert status == 503 and "retry-after" in {name.lower() for name, _ in fields}
    kms.clear_faults()
    assert function.get("/health/live").status_code == 200  # while the others still wait
    assert function.issue(function.agent)["token"]
    kms.reset()
    function.told("too_late")
    assert [call.times for call in calls] == [1, 1, 1]


def test_an_event_that_hangs_fails_before_its_end_and_comes_again(function_on_kms):
    function, kms = function_on_kms(**HANGING)
    function.add_client(IDP, SCOPES + " " + STORY_SCOPES)
    kms.slow(HANGS_S, operation="Sign")
    events = [bus("GENERATE_TOKEN", generate()) for _ in range(3)]
    for call in in_time(function, events):
        assert call.error()["errorType"] == "Function.Unavailable"
    kms.reset()
    function.told("too_late")

    def done():
        again = function.api.invoke(events[0])
        return again.how == "response" and again.json()["statusCode"] == 200
    function.until(done, "it is never done")


def test_too_many_that_hang_begin_anew(function_on_kms, made):
    """Rather than threads without an end: Lambda starts the process again."""
    function, kms = function_on_kms(**HANGING)
    kms.slow(HANGS_S, operation="Sign")

    def has_ended():
        return function.process.poll() is not None

    for _ in range(40):  # 17 are enough, but one that comes late to it is refused before it hangs
        call = function.api.begin(issue_event(function), deadline_s=0.5)
        function.until(lambda call=call: call.done.is_set() or has_ended(), "the event was not answered")
        if has_ended():
            break
    assert function.process.wait(PATIENCE_S) == 3
    made.remove(function)  # the last line is a sentence for people
    function.close()


# --- a process that is ended ----------------------------------------------------------------------------------------

def test_what_was_acknowledged_survives_a_kill(pair):
    """kill -9 right after each answer."""
    function, daemon = pair()
    for _ in range(5):
        token = function.token(function.agent)
        assert function.revoke(function.agent, token).json() == {"revoked": True}
        function.kill()
        daemon.until(lambda one=token: daemon.verify(daemon.agent, one).status_code == 401, "it is still good")
        function.start()


def test_an_event_whose_function_was_killed_is_done_when_it_comes_again(pair):
    function, daemon = pair()
    daemon.add_client(IDP, SCOPES + " " + STORY_SCOPES)
    for _ in range(3):  # each waits for what the killed one had taken for itself: half a minute
        event = bus("ROTATE_KEYS", {})
        call = function.api.begin(event)
        assert call.taken.wait(PATIENCE_S)
        time.sleep(0.002)
        function.kill()
        with contextlib.suppress(queue.Empty):
            while True:
                function.api.events.get_nowait()
        function.start()

        def done(one=event):
            again = function.api.invoke(one)
            return again.how == "response" and again.json()["statusCode"] in (200, 409)
        function.until(done, "it is never done", patience_s=70)


def test_uses_are_written_although_nothing_runs_between_calls(pair):
    function, _ = pair(TOKEN_USAGE_INTERVAL=1)
    user = str(uuid.uuid4())
    with psycopg.connect(function.database, autocommit=True) as connection:
        connection.execute("INSERT INTO auth.users (id) VALUES (%s)", (user,))
    token = function.token(function.agent, subject=user, scope="stories:read")
    for _ in range(3):
        assert function.verify(function.agent, token).status_code == 200
    time.sleep(1.1)
    for _ in range(2):  # after the answer to the first, and before the second
        function.get("/health/live")
    with psycopg.connect(function.database, autocommit=True) as connection:
        assert connection.execute("SELECT sum(use_count) FROM oauth_access_tokens").fetchone()[0] == 3


def test_nothing_is_begun_after_the_answer_to_a_call_whose_time_is_over(pair, tmp_path):
    """Lambda would end the process meanwhile. The next one has the time."""
    if not clock.LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package faketime")
    day = clock.Clock(tmp_path)
    function, _ = pair(begin=False, TOKEN_USAGE_INTERVAL=3600, TOKEN_ACCESS_TTL=86400)
    function.settings |= {name: str(value) for name, value in day.settings.items()}
    function.start()
    function.api.ahead_s = lambda: day.ahead_s
    user = str(uuid.uuid4())
    with psycopg.connect(function.database, autocommit=True) as connection:
        connection.execute("INSERT INTO auth.users (id) VALUES (%s)", (user,))
        token = function.token(function.agent, subject=user, scope="stories:read")

        def written(deadline_s):
            """In the whole, after a call of that deadline when they are due."""
            assert function.verify(function.agent, token).status_code == 200
            day.set(day.ahead_s + 2 * clock.HOUR)
            function.api.invoke(function.event_of("GET", "/health/live"), deadline_s=deadline_s)
            function.api.invoke(function.event_of("GET", "/health/live"), deadline_s=0.01)  # begins after that
            return connection.execute("SELECT sum(use_count) FROM oauth_access_tokens").fetchone()[0]

        before = written(30)
        assert before > 0
        assert written(0.01) == before
        assert written(30) > before


# --- what others are told -------------------------------------------------------------------------------------------

@pytest.fixture
def told(tmp_path, made):
    """A function with an event bus; and that bus."""
    (tmp_path / "told").mkdir()
    bus_of_aws = EventBridge()
    function = Function(tmp_path / "told", bus_of_aws.environment(TOKEN_SIGNING_ALG="ES256"))
    function.secrets |= bus_of_aws.credentials.secrets
    made.append(function.start())
    function.agent = function.add_client("agent")
    yield function, bus_of_aws
    bus_of_aws.heal()
    bus_of_aws.down()


def types_of(bus_of_aws):
    """But for the first key, which the bus is told of too."""
    return sorted(event.type for event in bus_of_aws.taken if event.type != "keys_rotated")


def test_the_bus_hears_of_a_call_before_the_process_is_frozen(told):
    function, bus_of_aws = told
    token = function.token(function.agent)
    function.get("/health/live")  # begins when the call before it has been settled
    assert types_of(bus_of_aws) == ["token_generated"]
    assert function.revoke(function.agent, token).status_code == 200
    assert function.verify(function.agent, token).status_code == 401
    function.get("/health/live")
    assert types_of(bus_of_aws) == ["token_generated", "token_revoked", "token_verification_failed"]


def test_what_the_bus_did_not_take_is_told_by_the_next_schedule(told):
    function, bus_of_aws = told
    bus_of_aws.whole = lambda _: "InternalFailure"
    token = function.token(function.agent)
    assert token and function.get("/health/live").status_code == 200
    assert not bus_of_aws.taken
    bus_of_aws.heal()

    def is_told():
        assert function.api.invoke(schedule()).json()["statusCode"] == 200
        return types_of(bus_of_aws) == ["token_generated"]
    function.until(is_told, "the event was lost")


def test_an_issue_asks_of_supabase_what_its_costs_are_reckoned_by(postgres, make_supabase, tmp_path, made):
    """docs/aws.md: how many calls, and how much is sent; headers have some 400 bytes more."""
    rest = RestProxy(make_supabase(postgres.database(f"lambda-{uuid.uuid4().hex[:8]}")).port)
    choose, sent = rest.choose_cut, []
    rest.choose_cut = lambda body: sent.append(body) or choose(body)
    bus_of_aws = EventBridge()
    function = Function(tmp_path, bus_of_aws.environment(
        TOKEN_SIGNING_ALG="ES256", TOKEN_REVOCATION_POLICY="strict", SUPABASE_URL=rest.url,
        SUPABASE_SERVICE_KEY=Supabase.secret_key, TOKEN_STORE_TIMEOUT=20))
    function.secrets |= bus_of_aws.credentials.secrets
    made.append(function.start())
    function.agent = function.add_client("agent")
    takes = dict(row.strip("| ").split(" | ")[:2] for row in (ROOT / "docs/aws.md").read_text().splitlines()
                 if row.startswith(("| calls of Supabase", "| to Supabase, KB")))

    def calls_of_an_issue():
        function.get("/health/live")  # begins when the call before it has been settled
        sent.clear()
        assert function.token(function.agent)
        function.get("/.well-known/jwks.json")
        return [body for body in sent if b'"function":"list_keys"' not in body]  # read once a second

    def are_as_documented():
        calls = calls_of_an_issue()
        return len(calls) == int(takes["calls of Supabase"]) and \
            sum(len(body) + 400 for body in calls) <= 1024 * int(takes["to Supabase, KB"])
    function.until(are_as_documented, lambda: f"it asks for {[(len(body), body[:60]) for body in sent]}")
    rest.close()
    bus_of_aws.down()


def test_cloudwatch_gets_a_line_with_each_answer(told):
    function, _ = told
    function.token(function.agent)

    def lines():
        return [line for line in map(json.loads, function.lines()) if "_aws" in line]

    def names():
        return {metric["Name"] for line in lines() for each in line["_aws"]["CloudWatchMetrics"]
                for metric in each["Metrics"]}

    function.until(lambda: "ColdStarts" in names(), lambda: f"told of {names()}")
    assert all(each["Namespace"] == "TokenService" for line in lines() for each in line["_aws"]["CloudWatchMetrics"])
