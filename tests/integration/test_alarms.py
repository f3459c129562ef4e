"""The alarms and the dashboards in deploy/: Debian's Prometheus scrapes a real server, and each alarm is raised by the
fault that it is for, which was not there a moment before; so is CloudWatch's of the same name, by what the server wrote
for that. What the rules make of nearly bad values is deploy/prometheus/rules_test.yaml, which promtool runs."""

import json
import re
import shutil
import sqlite3
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import yaml

import cloudwatch
import redis_servers
from certificates import make_certificate
from clock import HOUR, LIBRARY, Clock
from eventbridge import EventBridge
from lambda_events import schedule
from lambda_runtime import Function
from prometheus import RULES, Prometheus, rules
from service import ROOT, Client
from wire import head

DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
METRIC = re.compile(r"\b(?:token_service|process)_[a-z0-9_]+")
SETTINGS = {"TOKEN_SIGNING_ALG": "ES256", "TOKEN_EMF": "on", "TOKEN_EMF_INTERVAL": 1}
PATIENT = {"TOKEN_KMS_TIMEOUT": 60, "TOKEN_KMS_TRY_TIMEOUT": 60, "TOKEN_REDIS_TIMEOUT": 30}  # where none is to fail
OF_AWS = {"DeadLetters", "FunctionErrors", "FunctionThrottled"}  # by metrics of AWS's own
LATEST = 5  # lines for CloudWatch, one a second
CAUSED = set()


def causes(*alarms):
    """Of a test: the alarms that it has raised."""
    CAUSED.update(alarms)
    return lambda test: test


def test_every_alarm_has_its_fault():
    assert {rule["alert"] for rule in rules()} == CAUSED
    assert set(cloudwatch.alarms()) - OF_AWS <= CAUSED


def test_the_rules_make_the_right_thing_of_good_and_bad_and_nearly_bad_values():
    if not shutil.which("promtool"):
        pytest.skip("there is no promtool here: Debian's package prometheus")
    done = subprocess.run(["promtool", "test", "rules", "rules_test.yaml"], cwd=RULES.parent, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load((RULES.parent / "rules_test.yaml").read_text())["tests"]
    judged = {case["alertname"]: set() for test in tests for case in test["alert_rule_test"]}
    for test in tests:
        for case in test["alert_rule_test"]:
            judged[case["alertname"]].add(bool(case["exp_alerts"]))
    assert judged == {rule["alert"]: {True, False} for rule in rules()}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    made = Prometheus(tmp_path_factory.mktemp("prometheus-"))
    try:
        yield made.start()
    finally:
        made.stop()


class Watched:
    """A server that both watch."""

    def __init__(self, prometheus, server, scheme="http"):
        self.prometheus, self.server = prometheus, server
        self.instance = prometheus.watch(server, scheme)
        self.since = len(server.events("metrics"))

    def all_is_well(self):
        """Before the fault: what was slow since the machine stood still calms down. The next key is made only a second
        after the start."""
        self.server.until(lambda: not self.raised() - {"NextKeyMissing"}, lambda: f"raised: {self.raised()}")
        self.since = len(self.server.events("metrics"))
        return self

    def raised(self):
        """By both, now."""
        return self.alarms() | cloudwatch.raised(self.server.events("metrics")[-LATEST:])

    def alarms(self):
        return self.prometheus.alarms(self.instance)

    def raises(self, alarm, meanwhile=lambda: None):
        """Waits for both, doing that meanwhile."""
        self.prometheus.raises(alarm, self.instance, meanwhile)
        if alarm in cloudwatch.alarms():
            cloudwatch.raises(self.server, alarm, self.since, meanwhile)

    def calms_down(self, alarm):
        self.prometheus.calms_down(alarm, self.instance)


@causes("TokenServiceDown")
def test_an_instance_that_is_gone(prometheus, make_server):
    server = make_server(**SETTINGS).start()
    watched = Watched(prometheus, server).all_is_well()
    server.stop()
    watched.raises("TokenServiceDown")


@causes("TokenGenerationFailing", "SignerFailing", "KmsFailing")
def test_a_kms_that_refuses(prometheus, kms, start):
    server = start(kms.create_key("ES256"), settled=True, **SETTINGS)
    watched = Watched(prometheus, server).all_is_well()
    kms.deny(operation="Sign")
    for alarm in ("TokenGenerationFailing", "KmsFailing", "SignerFailing"):
        watched.raises(alarm, lambda: server.ask(server.agent))
    kms.clear_faults()
    for alarm in ("SignerFailing", "TokenGenerationFailing", "KmsFailing"):
        watched.calms_down(alarm)


def age_key(server, seconds):
    """While it is stopped: the key has signed for so much longer."""
    server.stop()
    with closing(sqlite3.connect(server.database_path)) as database, database:
        database.execute("UPDATE oauth_jwks SET activated_at = activated_at - ?", (seconds,))
    server.start()


@causes("NextKeyMissing", "SigningKeyEnding", "SigningKeyOverdue")
def test_a_key_near_its_end_that_none_can_follow(prometheus, kms, start):
    kms.deny(operation="CreateKey")
    server = start(kms.create_key("ES256"), **SETTINGS)
    watched = Watched(prometheus, server)
    watched.raises("NextKeyMissing")
    assert not watched.alarms() & {"SigningKeyEnding", "SigningKeyOverdue"}
    age_key(server, 90 * 24 * HOUR - 8 * HOUR)
    watched = Watched(prometheus, server)
    watched.raises("SigningKeyEnding")
    assert "SigningKeyOverdue" not in watched.alarms()
    age_key(server, 9 * HOUR)
    watched = Watched(prometheus, server)
    watched.raises("SigningKeyOverdue")
    kms.clear_faults()  # the next one is made, which is to be published before it signs
    watched.calms_down("NextKeyMissing")
    watched.raises("SigningKeyOverdue")


@causes("TokenGenerationSlow")
def test_a_kms_that_is_slow(prometheus, kms, start):
    server = start(kms.create_key("ES256"), **SETTINGS, **PATIENT)
    watched = Watched(prometheus, server).all_is_well()
    kms.slow(1.2, operation="Sign")
    watched.raises("TokenGenerationSlow", lambda: server.token(server.agent))


@causes("VerificationSlow")
def test_a_check_that_takes_long(prometheus, make_server):
    """By a caller whose body comes late: nothing in the service takes as long."""
    server = make_server(**SETTINGS).start()
    agent = server.add_client("agent")
    server.until(lambda: server.ask(agent).status_code == 200, "its client is not known")
    watched = Watched(prometheus, server).all_is_well()
    body = json.dumps({"token": server.token(agent)}).encode()

    def verify():
        with server.wire() as wire:
            wire.send(head("POST", "/token/verify", f"Authorization: {agent.basic()}", "Content-Type: application/json",
                           f"Content-Length: {len(body)}"))
            time.sleep(0.3)
            assert wire.call(body).status == 200

    watched.raises("VerificationSlow", verify)


@causes("TokenServiceOverloaded")
def test_more_requests_than_the_queue_takes(prometheus, kms, start):
    server = start(kms.create_key("ES256"), TOKEN_WORKERS=1, TOKEN_QUEUE=1, **SETTINGS)
    watched = Watched(prometheus, server).all_is_well()
    kms.slow(0.2, operation="Sign")
    with ThreadPoolExecutor(4) as threads:
        def at_once():
            statuses = list(threads.map(lambda _: server.ask(server.agent).status_code, range(8)))
            assert set(statuses) <= {200, 503}
        watched.raises("TokenServiceOverloaded", at_once)


@causes("CallersLimited")
def test_a_caller_that_guesses(prometheus, make_server):
    server = make_server(TOKEN_FAILURE_LIMIT=1, **SETTINGS).start()
    watched = Watched(prometheus, server).all_is_well()

    def guess():
        answer = server.post("/token/introspect", auth=Client("agent", "a guess", ""), form={"token": "x"})
        assert answer.status_code in (401, 429)

    watched.raises("CallersLimited", guess)


@causes("RedisFailing", "RevocationsUnknown", "RevocationsStale", "RequestsFailing")
def test_a_redis_that_is_stopped(prometheus, redis, make_server):
    server = make_server(REDIS_URL=redis.url, **SETTINGS).start()
    agent = server.add_client("agent")
    token = server.token(agent)
    watched = Watched(prometheus, server).all_is_well()
    redis.stop()
    for alarm in ("RedisFailing", "RevocationsUnknown", "RequestsFailing", "RevocationsStale"):
        watched.raises(alarm, lambda: server.verify(agent, token))
    redis.start()
    for alarm in ("RevocationsUnknown", "RevocationsStale", "RequestsFailing", "RedisFailing"):
        watched.calms_down(alarm)


@causes("RedisMayEvict")
def test_a_redis_that_may_forget(prometheus, start_redis, make_server):
    redis = start_redis(redis_servers.single)
    server = make_server(REDIS_URL=redis.url, **SETTINGS).start()
    watched = Watched(prometheus, server).all_is_well()
    redis.ask("CONFIG", "SET", "maxmemory", 100_000_000)
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    watched.raises("RedisMayEvict")


@causes("StoreFailing")
def test_a_database_that_is_gone(prometheus, postgres, make_server):
    server = make_server(DATABASE_URL=postgres.database(f"alarms-{uuid.uuid4().hex[:8]}"), TOKEN_STORE_TIMEOUT=2,
                         **SETTINGS).start()
    watched = Watched(prometheus, server).all_is_well()
    postgres.kill()
    try:
        watched.raises("StoreFailing")
    finally:
        postgres.start()
    watched.calms_down("StoreFailing")


@pytest.mark.parametrize("gone", ["RedisFailing", "StoreFailing"])
def test_a_function_that_nobody_calls_tells_too(gone, redis, postgres, tmp_path):
    """With nothing but its schedule: what CloudWatch gets of one minute is enough."""
    function = Function(tmp_path, SETTINGS | {"REDIS_URL": redis.url, "TOKEN_STORE_TIMEOUT": 2,
                                              "DATABASE_URL": postgres.database(f"alarms-{uuid.uuid4().hex[:8]}")})
    try:
        function.start()

        def of_a_minute():
            since = len(function.events("metrics"))
            time.sleep(1)  # the gauges are due again
            function.api.invoke(schedule())
            function.until(lambda: any("StoreUp" in line for line in function.events("metrics")[since:]), "no gauges")
            return cloudwatch.raised(function.events("metrics")[since:])

        function.until(lambda: not {"RedisFailing", "StoreFailing"} & of_a_minute(), "it is not well")
        stopped, begin = {"RedisFailing": (redis.stop, redis.start),
                          "StoreFailing": (postgres.kill, postgres.start)}[gone]
        stopped()
        try:
            function.until(lambda: gone in of_a_minute(), "CloudWatch hears of nothing")
        finally:
            begin()
    finally:
        function.kill()
        function.close()


@causes("CertificateEnding")
def test_a_certificate_that_ends_soon(prometheus, make_server, tmp_path):
    for days, is_raised in ((8, False), (6, True)):
        certificate, key = make_certificate(tmp_path, ends_h=24 * days)
        server = make_server(TOKEN_TLS_CERT=str(certificate), TOKEN_TLS_KEY=str(key), **SETTINGS)
        server.spawn()
        server.port = server._wait_for_port(0)  # pylint: disable=protected-access
        watched = Watched(prometheus, server, "https")
        if is_raised:
            watched.raises("CertificateEnding")
        else:
            watched.all_is_well()


@causes("ClockWrong")
def test_a_clock_that_is_set_ahead(prometheus, make_server, tmp_path):
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")
    clock = Clock(tmp_path)
    server = make_server(**clock.settings, **SETTINGS).start()
    watched = Watched(prometheus, server).all_is_well()
    clock.set(2 * HOUR)
    watched.raises("ClockWrong")


@pytest.fixture
def bus():
    made = EventBridge()
    yield made
    made.down()


@causes("EventsOutboxGrowing", "EventsLate")
def test_an_event_bus_that_takes_nothing(prometheus, bus, make_server):
    server = make_server(**bus.environment(**SETTINGS)).start()
    server.secrets |= bus.credentials.secrets
    agent = server.add_client("agent")
    server.until(lambda: server.ask(agent).status_code == 200, "its client is not known")
    watched = Watched(prometheus, server).all_is_well()
    bus.whole = lambda number: "ThrottlingException"
    watched.raises("EventsOutboxGrowing", lambda: [server.token(agent) for _ in range(100)])
    assert "EventsLate" not in watched.alarms()
    server.stop()
    with closing(sqlite3.connect(server.database_path)) as database, database:
        database.execute("UPDATE events SET created_at = created_at - 400")
    server.start()
    watched = Watched(prometheus, server)
    watched.raises("EventsLate")


# --- the dashboard ----------------------------------------------------------------------------------------------------

def queries():
    """The expressions of all panels, as Grafana would send them."""
    def panels(of):
        for panel in of["panels"]:
            yield panel
            yield from panels({"panels": panel.get("panels", [])})

    for panel in panels(json.loads(DASHBOARD.read_text())):
        for target in panel.get("targets", []):
            yield panel["title"], re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: {
                "__rate_interval": "15s", "job": "token-service", "instance": ".+"}[found[1] or found[2]],
                target["expr"])


def test_the_panels_of_the_dashboard_lie_beside_each_other():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(x, y) for at in (panel["gridPos"] for panel in panels)
              for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(set(places)) == len(places) and max(x for x, _ in places) < 24


def test_every_query_of_the_dashboard_is_answered(prometheus, kms, start, redis):
    server = start(kms.create_key("ES256"), REDIS_URL=redis.url, settled=True, **SETTINGS, **PATIENT)
    token = server.token(server.agent)
    server.verify(server.agent, token)
    server.revoke(server.agent, token)
    assert server.ask(server.agent, scope="no:such").status_code == 400
    prometheus.watch(server)
    shown = set(METRIC.findall(server.get("/metrics").text))
    asked = list(queries())
    assert len(asked) >= 15
    for title, expression in asked:
        names = set(METRIC.findall(expression))
        assert names, f"{title}: {expression} asks for nothing of ours"
        if names <= shown:
            prometheus.finds(expression, title)
        else:
            strange = {name for name in names - shown if not re.search("_events_o|_clock_diff|_tls_", name)}
            assert not strange, f"{title}: {expression}"


def test_nothing_is_raised_while_all_is_well(prometheus, kms, start, redis):
    server = start(kms.create_key("ES256"), REDIS_URL=redis.url, settled=True, **SETTINGS, **PATIENT)
    watched = Watched(prometheus, server)
    first = prometheus.scrapes(watched.instance)

    def use():
        token = server.token(server.agent)
        assert server.verify(server.agent, token).status_code == 200
        assert server.ask(server.agent, scope="no:such").status_code == 400
        assert server.verify(server.agent, token + "x").status_code == 401
        assert server.revoke(server.agent, token).status_code == 200

    while prometheus.scrapes(watched.instance) < first + 10:
        use()
    # what a machine that stood still has raised calms down while it is used; what is wrong does not
    server.until(lambda: use() or not watched.raised(), lambda: f"raised: {watched.raised()}")
