"""An instance that is cut off from what it hears of revocations by: the policies hold, whichever that is. The shared
database behind a relay that falls silent; a Redis whose replica is cut off, as the lesser side of a divided network
has it."""

import contextlib
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import network
import redis_servers
import service
from redis_servers import until
from relay import Relay

STORE_TIMEOUT_S = 2
SLACK_S = 0.5  # the coarse clock, and the way of a request


def status_of(server, agent, token):
    """200: good; 401: not; 503: nobody knows."""
    return server.verify(agent, token).status_code


def good_for(server, agent, token, begin, patience_s=60):
    """How long after `begin` it was asked for the last time before it said 503, in seconds; until then it must say that
    the token is good."""
    end = time.monotonic() + patience_s
    last = begin
    while time.monotonic() < end:
        asked = time.monotonic()
        status = status_of(server, agent, token)
        if status == 503:
            assert server.post("/token/introspect", auth=agent, form={"token": token}).status_code == 503
            return last - begin
        assert status == 200
        last = asked
    raise AssertionError("it goes on without hearing anything")


@pytest.fixture
def instances(postgres, make_server):
    """instances(TOKEN_X=…): a, whose database may be cut off, and b, whose not; their client; and the relay."""
    relays = []

    def start(**settings):
        url = postgres.database(f"cut-{uuid.uuid4().hex[:8]}")
        relay = Relay(postgres.port).__enter__()
        relays.append(relay)
        settings = {"TOKEN_SIGNING_ALG": "ES256", "TOKEN_STORE_TIMEOUT": STORE_TIMEOUT_S} | settings
        b = make_server(DATABASE_URL=url, **settings).start()
        a = make_server(DATABASE_URL=url.replace(f":{postgres.port}/", f":{relay.port}/"), **settings)
        a.data_dir = b.data_dir
        a.settings["TOKEN_DATA_DIR"] = str(b.data_dir)
        a.start()
        return a, b, b.add_client("agent"), relay

    yield start
    for relay in relays:
        relay.__exit__()


SILENT = """
import socket, sys
held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for i, one in enumerate(held):
    one.bind((f"127.0.0.{i + 1}", 53))
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def without_names():
    """The words before a command, for which two name servers are there and never answer."""
    if reason := network.why_not():
        pytest.skip(reason)
    name = f"{network.PREFIX}-{os.getpid()}-names"
    settings = Path("/etc/netns") / name
    settings.mkdir(parents=True)
    (settings / "resolv.conf").write_text("nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
    network.ip("netns", "add", name)
    network.ip("-n", name, "link", "set", "lo", "up")
    words = ("ip", "netns", "exec", name)
    with subprocess.Popen([*words, sys.executable, "-c", SILENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as servers:
        assert servers.stdout.readline() == "here\n"
        yield words
        servers.stdin.close()
    network.remove(name)
    (settings / "resolv.conf").unlink()
    settings.rmdir()
    with contextlib.suppress(OSError):  # others may have theirs there
        settings.parent.rmdir()


@pytest.mark.parametrize("setting, url", [("DATABASE_URL", "postgresql://who@database.example.org/names"),
                                          ("REDIS_URL", "redis://redis.example.org")])
def test_a_name_server_that_never_answers_is_not_waited_for(without_names, tmp_path, setting, url):
    """By its own defaults the C library would wait 20 s for these two, each time."""
    begun = time.monotonic()
    done = subprocess.run([*without_names, service.BINARY, "doctor", "--data-dir", tmp_path / "data"], check=False,
                          env={"PATH": os.environ["PATH"], setting: url}, capture_output=True, text=True)
    assert done.returncode != 0 and "example.org" in done.stdout + done.stderr, done.stdout + done.stderr
    assert time.monotonic() - begun < 15


def test_strict_without_redis_says_nothing_once_the_database_is_cut_off(postgres, instances):
    a, b, agent, relay = instances()
    token, revoked = a.token(agent), a.token(agent)
    assert b.revoke(agent, revoked).status_code == 200
    until(lambda: status_of(a, agent, revoked) == 401, "a does not hear of it")
    until(lambda: a.get("/health/ready").json()["checks"]["revocations"] == "ok", "a is not ready")
    relay.cut()
    begin = time.monotonic()
    until(lambda: b.revoke(agent, token).status_code == 200, "b does not revoke it")
    assert good_for(a, agent, token, begin) < STORE_TIMEOUT_S + SLACK_S
    assert status_of(a, agent, revoked) == 401, "what is known stays known"
    ready = a.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["revocations"]) == (503, "failing")
    assert a.metric("revocations_staleness_seconds") > STORE_TIMEOUT_S - SLACK_S
    relay.lead_to(postgres.port)
    until(lambda: status_of(a, agent, token) == 401, "a does not go on")
    until(lambda: a.get("/health/ready").status_code == 200, "a is not ready again")


def test_bounded_without_redis_goes_on_for_its_time_and_no_longer(postgres, instances):
    a, b, agent, relay = instances(TOKEN_REVOCATION_POLICY="bounded", TOKEN_REVOCATION_STALENESS=12)
    token = a.token(agent)
    assert status_of(a, agent, token) == 200
    relay.cut()
    begin = time.monotonic()
    until(lambda: b.revoke(agent, token).status_code == 200, "b does not revoke it")
    assert STORE_TIMEOUT_S + 1 < good_for(a, agent, token, begin) < 12 + SLACK_S
    relay.lead_to(postgres.port)
    until(lambda: status_of(a, agent, token) == 401, "a does not go on")


def test_a_known_client_stays_known_while_the_database_is_away(postgres, instances):
    a, _, agent, relay = instances(TOKEN_REVOCATION_POLICY="bounded", TOKEN_REVOCATION_STALENESS=60,
                                   TOKEN_CLIENT_CACHE_TTL=3, TOKEN_CLIENT_STALENESS=12)
    token = a.token(agent)
    begin = time.monotonic()
    relay.cut()
    while time.monotonic() - begin < 8:  # more than twice as long as it is read again, and every call
        is_known = status_of(a, agent, token) == 200
        # it was read 3 s before the cut or later; and who asks may stand still
        assert is_known or time.monotonic() - begin >= 9, f"not known after {time.monotonic() - begin:.1f} s"
        time.sleep(0.05)
    until(lambda: status_of(a, agent, token) == 503, "a client is known beyond the bound")
    assert time.monotonic() - begin > 8
    relay.lead_to(postgres.port)
    until(lambda: status_of(a, agent, token) == 200, "a does not go on")


# --- a divided Redis ------------------------------------------------------------------------------------------------

class Divided:
    """A master that takes writes only while a replica follows it, as docs/instances.md advises; and that replica."""

    def __init__(self, home):
        self.master = redis_servers.single(home / "master", "repl-diskless-sync-delay 0", "min-replicas-to-write 1",
                                           "min-replicas-max-lag 1", "repl-ping-replica-period 1")
        self.replica = redis_servers.single(home / "replica", "repl-diskless-sync-delay 0")

    def start(self):
        self.master.start()
        self.replica.lines.append(f"replicaof 127.0.0.1 {self.master.port}")
        self.replica.start()
        until(lambda: self.master.ask("SET", "x", "1", check=False) == "OK", "the replica does not follow")
        return self

    @property
    def url(self):
        return self.master.url

    def kill(self):
        self.master.kill()
        self.replica.kill()


@pytest.fixture
def divided(tmp_path):
    made = Divided(tmp_path / "redis").start()
    yield made
    made.kill()


def test_strict_says_nothing_beside_a_redis_that_takes_no_writes(divided, make_server):
    """It answers every read, for it knows nothing of the other side, where a replica has taken its place."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", REDIS_URL=divided.url, TOKEN_REDIS_TIMEOUT=1).start()
    agent = server.add_client("agent")
    token = server.token(agent)
    until(lambda: status_of(server, agent, token) == 200, "it is not good")  # a replica that is late is not enough
    divided.replica.kill()
    until(lambda: "NOREPLICAS" in divided.master.ask("SET", "x", "1", check=False), "the master takes writes")
    assert good_for(server, agent, token, time.monotonic()) < 1 + SLACK_S
    assert server.get("/health/ready").json()["checks"]["revocations"] == "failing"
    assert divided.master.ask("GET", "x") == "1", "reads are answered"
    divided.replica.start()
    until(lambda: server.get("/health/ready").status_code == 200, "it does not go on")
    until(lambda: status_of(server, agent, token) == 200, "it is not good again")


def test_a_lease_costs_redis_few_writes(divided, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", REDIS_URL=divided.url).start()

    def written():
        return int(next(line.split("calls=")[1].split(",")[0] for line in
                        divided.master.ask("INFO", "commandstats").splitlines() if line.startswith("cmdstat_set:")))

    def seconds():
        return int(divided.master.ask("TIME").split()[0])

    begin, before = seconds(), written()
    until(lambda: seconds() >= begin + 4, "time stands still")
    assert 0 < written() - before <= 6 * (seconds() - begin + 1)
    server.stop()
