"""A database fails over to a standby that lagged: what was acknowledged is refused at every instance, and is in the
promoted database again; readers of the feed learn that its positions began anew. PostgreSQL's own streaming
replication, behind an address that stays (relay.py)."""

import hashlib
import time

import psycopg
import pytest

import feed_reader
from postgres import PROGRAMS, Postgres, Standby
from redis_servers import single, until
from relay import Relay



def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Site:
    """A primary, a standby, and the address by which instances find the one or the other."""

    def __init__(self):
        self.servers, self.relay = [], None

    def __enter__(self):
        self.primary = Postgres()
        self.servers.append(self.primary)
        self.primary.start()
        self.primary.database("tokens")
        self.standby = Standby(self.primary)
        self.servers.append(self.standby)
        self.standby.start()
        self.relay = Relay(self.primary.port).__enter__()
        return self

    def __exit__(self, *_):
        if self.relay:
            self.relay.__exit__()
        for server in self.servers:
            server.close()

    @property
    def url(self):
        return self.primary.url("tokens").replace(f":{self.primary.port}/", f":{self.relay.port}/")

    def fall_behind(self):
        self.standby.has_all_of(self.primary)
        self.standby.fall_behind()

    def fail_over(self):
        self.primary.kill()
        self.standby.promote()
        self.relay.lead_to(self.standby.port)

    def rows(self, query, *values):
        """Of the promoted one."""
        with psycopg.connect(self.standby.url("tokens"), autocommit=True) as connection:
            return connection.execute(query, values).fetchall()


@pytest.fixture
def site():
    if not PROGRAMS:
        pytest.skip("there is no PostgreSQL here")
    with Site() as made:
        yield made


@pytest.fixture(params=[False, True], ids=["alone", "with-redis"])
def instances(request, site, make_server, tmp_path):
    """Two on that database, and their client."""
    settings = {"TOKEN_SIGNING_ALG": "ES256", "DATABASE_URL": site.url, "TOKEN_STORE_TIMEOUT": 30,
                "TOKEN_REDIS_TIMEOUT": 30}  # who is gone hangs up, and who is only slow is waited for
    redis = single(tmp_path / "redis").start() if request.param else None
    if redis:
        settings["REDIS_URL"] = redis.url
    a = make_server(**settings).start()
    b = make_server(**settings)
    b.data_dir = a.data_dir
    b.settings["TOKEN_DATA_DIR"] = str(a.data_dir)
    b.start()
    yield a, b, a.add_client("agent")
    a.stop()
    b.stop()
    if redis:
        redis.kill()


def status_of(server, agent, token):
    return server.verify(agent, token).status_code


def test_what_was_acknowledged_before_a_fail_over_is_refused_and_kept_after_it(site, instances):
    a, b, agent = instances
    known = [a.token(agent, subject=f"user-{at}") for at in range(3)]
    kept = a.token(agent, subject="kept")
    lost = [a.token(agent, subject=f"lost-{at}") for at in range(40)]  # a sequence is 32 ahead in the log
    ruled, later = a.token(agent, subject="ruled"), [a.token(agent, subject=f"later-{at}") for at in range(3)]
    refresh = a.token(agent, tokenType="refresh")
    for token in known:
        assert a.revoke(agent, token).status_code == 200
    site.fall_behind()
    for token in (*lost, refresh):
        assert a.revoke(agent, token).status_code == 200
    assert a.post("/admin/revocations", auth=agent, json={"subject": "ruled"}).status_code == 200
    gone = (*known, *lost, refresh, ruled)
    until(lambda: {status_of(b, agent, token) for token in gone} == {401}, "b has not heard of all")

    site.fail_over()
    wanted = {hash_of(token) for token in (*known, *lost, refresh)}
    until(lambda: wanted <= {row[0] for row in site.rows("SELECT token_hash FROM token_service_revocations")},
          "the promoted database lacks what was acknowledged")
    until(lambda: site.rows("SELECT kind FROM token_service_revocations WHERE kind IS NOT NULL") == [("subject",)],
          "the promoted database lacks a rule")
    for at, token in enumerate(later):  # the promoted one gives them positions that b has passed
        server = (a, b)[at % 2]
        until(lambda: server.revoke(agent, token).status_code == 200, "nothing can be revoked any more")
    for server in (a, b):
        until(lambda: {status_of(server, agent, token) for token in (*gone, *later)} == {401},
              "a revoked token is good at an instance")
        until(lambda: status_of(server, agent, kept) == 200, "a good token is refused")
        until(lambda: server.metric("store_epochs_total") == 1, "it has not noticed")
        assert server.told("store_began_anew")
    assert sum(event["written_back"] for server in (a, b) for event in server.told("store_began_anew")) >= 42


def test_a_new_instance_knows_after_a_fail_over_what_was_acknowledged_before_it(site, instances, make_server):
    a, b, agent = instances
    token = a.token(agent)
    site.fall_behind()
    assert a.revoke(agent, token).status_code == 200
    site.fail_over()
    until(lambda: site.rows("SELECT count(*) FROM token_service_revocations") == [(1,)], "it was not written back")
    c = make_server(**{name: value for name, value in a.settings.items()
                       if name not in ("REDIS_URL", "TOKEN_DATA_DIR", "TOKEN_LISTEN")})
    c.data_dir = a.data_dir
    c.settings["TOKEN_DATA_DIR"] = str(a.data_dir)
    c.start()
    assert status_of(c, agent, token) == 401
    c.stop()


def read_all(server, reader):
    """To the tail; None: it can't be had now."""
    while True:
        answer = server.get(reader.path)
        if answer.status_code != 200:
            return None
        if reader.take(feed_reader.open_page(answer.text, server.jwks()["keys"])):
            return reader


def test_readers_of_the_feed_are_told_that_it_began_anew(site, instances):
    a, b, agent = instances
    readers = [feed_reader.Reader() for _ in range(2)]
    first, second, third = (a.token(agent) for _ in range(3))
    assert a.revoke(agent, first).status_code == 200
    site.fall_behind()
    assert a.revoke(agent, second).status_code == 200
    for server, reader in zip((a, b), readers):
        until(lambda: read_all(server, reader) and feed_reader.hash_of(second) in reader.tokens, "not told")
    epochs = {reader.epoch for reader in readers}
    assert len(epochs) == 1, "instances of one database tell of one sequence"

    site.fail_over()
    until(lambda: a.revoke(agent, third).status_code == 200, "nothing can be revoked any more")
    fresh = feed_reader.Reader()
    for server, reader in ((a, readers[0]), (b, readers[1]), (b, fresh)):
        until(lambda: read_all(server, reader) and {feed_reader.hash_of(token) for token in (first, second, third)} ==
              set(reader.tokens), "the feed lacks what was acknowledged")
    until(lambda: read_all(a, readers[0]) and read_all(b, readers[1]) and
          len({reader.epoch for reader in readers}) == 1, "two sequences")
    assert readers[0].epoch not in epochs
    assert [reader.begun_anew for reader in readers] == [1, 1]
