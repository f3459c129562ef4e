"""Three instances of the service and the servers that they share, for tests of faults: one PostgreSQL, directly or by
way of PostgREST; one Redis, or a master and a replica watched by Sentinels; one folder of keys. With a network of its
own for each instance (network.py), when that is to be disturbed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

import redis_servers
from clock import LIBRARY, Clock
from hostile_redis import HostileRedis
from network import NETWORK, Network
from postgres import Postgres
from postgres_proxy import PostgresProxy
from relay import Relay
from rest_proxy import RestProxy
from service import Server
from supabase import Supabase

COUNT = 3
REDIS_TIMEOUT_S, STORE_TIMEOUT_S = 1, 2
FEED_PAGE = 4096  # positions
CLOCK_GRAIN_S = 2  # after its clock was set right, for so long what an instance says may still be by the wrong one
RECOVERY_S = 45  # a guard: all of them are ready within seconds after a fault has ended

SETTINGS = {
    "TOKEN_SIGNING_ALG": "ES256",
    "TOKEN_REVOCATION_POLICY": "strict",
    "TOKEN_REDIS_TIMEOUT": REDIS_TIMEOUT_S,
    "TOKEN_STORE_TIMEOUT": STORE_TIMEOUT_S,
    "TOKEN_METRICS": "any",
    "TOKEN_PURGE_INTERVAL": 2,
    "TOKEN_LOG_LEVEL": "info",
}


@dataclass(frozen=True)
class Shape:
    redis: str = "single"     # or "watched"; or "hostile": somebody stands before it, and may twist what it answers
    store: str = "postgres"   # or "supabase"; or "replicated": a PostgreSQL that may fail over
    has_network: bool = False
    is_proxied: bool = False  # PostgreSQL's answers go through a proxy that can cut them


class Cluster:
    """As a context: started, and stopped. An instance's number is its place in `servers`."""

    def __init__(self, home, shape, **settings):
        self.home, self.shape, self.settings = Path(home), shape, SETTINGS | settings
        self.stack = ExitStack()
        self.servers, self.lives = [], [0] * COUNT
        self.is_up = [False] * COUNT
        self.clocks, self.clocks_off = [], {}  # instance: until when its time of day is wrong (monotonic)
        self.most_off_s = 0                    # of any of them, up to now
        self.network = self.postgres = self.redis = self.supabase = self.proxy = self.agent = self.database = None
        self.postgres_proxy = None
        self.relay = self.hostile = None
        self.lagged = []        # (from, to): what was acknowledged then, a standby that took over has not heard of
        self.rotation = None    # the one that goes on while something is wrong
        self.lock = threading.Lock()

    # --- life -------------------------------------------------------------------------------------------------------

    def __enter__(self):
        with ExitStack() as stack:  # whatever was started is stopped again when the rest can't be
            self._start(stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        with self.stack:
            if not kind:  # else the test's own error is the one to read
                for server in self.servers:
                    server.session.close()  # or it would wait for it
                    server.process.terminate()  # so that all of them end at the same time
                for server in self.servers:
                    server.stop()

    def _start(self, stack):
        if self.shape.has_network:
            self.network = Network(COUNT)
            stack.callback(self.network.close)
        addresses = self.network.servers_at if self.network else []
        self.postgres = Postgres(addresses, NETWORK if self.network else None)
        stack.callback(self.postgres.close)
        self.postgres.start()
        self.database = self.postgres.database("tokens")
        self.rows(f"SELECT setval('token_service_positions', {FEED_PAGE - 100})")  # so the feed soon has two pages
        if self.shape.is_proxied:
            self.postgres_proxy = PostgresProxy(self.postgres.port)
            stack.callback(self.postgres_proxy.close)
        if self.shape.redis == "watched":
            self.redis = redis_servers.Watched(self.home / "redis")
        else:
            self.redis = redis_servers.single(self.home / "redis", "protected-mode no", addresses=addresses)
        stack.callback(self.redis.kill)
        self.redis.start()
        if self.shape.redis == "hostile":
            self.hostile = HostileRedis(self.redis)
            stack.callback(self.hostile.kill)
        if self.shape.store == "replicated":
            self.relay = stack.enter_context(Relay(self.postgres.port))
        if self.shape.store == "supabase":
            self.supabase = Supabase(self.database)
            stack.callback(self.supabase.close)
            self.supabase.start()
            self.proxy = RestProxy(self.supabase.port)
            stack.callback(self.proxy.close)
        for i in range(COUNT):
            home = self.home / str(i)
            home.mkdir(parents=True)
            self.clocks.append(Clock(home))
            own = self._settings_of(i) | (self.clocks[i].settings if LIBRARY else {})
            server = Server(home, own, self.network.launcher(i) if self.network else ())
            if self.network:
                server.host = self.network.calls_at[i]
            self.servers.append(server)
            stack.callback(server.kill)
        self.servers[0].data_dir.mkdir(mode=0o700)
        self.restart(0)  # makes what the others find
        with ThreadPoolExecutor(COUNT) as pool:
            list(pool.map(self.restart, range(1, COUNT)))
        self.agent = self.servers[0].add_client("agent")
        reader = self.servers[0].add_client("reader", "")  # tokens are issued for it, and revoked all at once
        for server in self.servers:
            server.secrets |= {self.agent.secret, reader.secret}
        self.wait_until_ready()

    def _settings_of(self, i):
        here = self.network.servers_at[i] if self.network else "127.0.0.1"
        own = self.settings | {"TOKEN_DATA_DIR": str(self.home / "0/data"),
                               "REDIS_URL": (self.hostile or self.redis).url.replace("127.0.0.1", here)}
        if self.network:
            own["TOKEN_LISTEN"] = f"{self.network.calls_at[i]}:0"
        if self.supabase:
            return own | {"SUPABASE_URL": self.proxy.url, "SUPABASE_SERVICE_KEY": self.supabase.secret_key}
        if self.postgres_proxy:
            return own | {"DATABASE_URL": self.postgres_proxy.url(self.database)}
        if self.relay:
            return own | {"DATABASE_URL": self.database.replace(f":{self.postgres.port}/", f":{self.relay.port}/")}
        return own | {"DATABASE_URL": self.database.replace("127.0.0.1", here)}

    def fail_over(self, standby, lagged_since):
        """The standby takes the database's place, at the same address."""
        self.postgres.kill()
        standby.promote()
        self.stack.callback(standby.close)
        self.database = self.database.replace(f":{self.postgres.port}/", f":{standby.port}/")
        self.postgres = standby
        self.lagged.append((lagged_since, time.time()))
        self.relay.lead_to(standby.port)

    # --- instances --------------------------------------------------------------------------------------------------

    def spawn(self, i):
        """False: it could not start, since what it needs is away."""
        server = self.servers[i]
        begin = server.log_path.stat().st_size
        server.spawn()
        try:
            server.port = server._wait_for_port(begin)  # pylint: disable=protected-access
        except AssertionError:
            if server.process.poll() != 3:
                raise
            self._forget_sentence(server)
            server.process = None
            return False
        with self.lock:
            self.is_up[i] = True
        return True

    @staticmethod
    def _forget_sentence(server):
        """The last line of a start that failed is for people, and no JSON."""
        lines = server.log.splitlines(keepends=True)
        server.log_path.write_text("".join(line for line in lines if line.startswith("{")))

    def kill(self, i):
        with self.lock:
            self.is_up[i] = False
            self.lives[i] += 1
        self.servers[i].kill()

    def restart(self, i):
        """Until it is there, as whoever supervises it would."""
        end = time.monotonic() + RECOVERY_S
        while not self.spawn(i):
            assert time.monotonic() < end, f"instance {i} does not start: {self.servers[i].log[-2000:]}"
            time.sleep(0.2)

    def set_clock(self, i, ahead_s):
        """0: it is right again, and a moment later all of the instance goes by that."""
        self.clocks_off[i] = float("inf")
        self.most_off_s = max(self.most_off_s, abs(ahead_s))
        self.clocks[i].set(ahead_s)
        if ahead_s == 0:
            self.clocks_off[i] = time.monotonic() + CLOCK_GRAIN_S

    def clock_is_off(self, i):
        return self.clocks_off.get(i, 0) > time.monotonic()

    def up(self):
        return [i for i in range(COUNT) if self.is_up[i]]

    def wait_until_ready(self):
        for i, server in enumerate(self.servers):
            server.until(lambda server=server: server.get("/health/ready").status_code == 200,
                         f"instance {i} is not ready", RECOVERY_S)

    # --- what lies in the servers, past our own code ----------------------------------------------------------------

    def rows(self, query, *values):
        with psycopg.connect(self.database, autocommit=True, connect_timeout=20) as connection:
            return connection.execute(query, values).fetchall()

    def redis_master(self):
        if self.shape.redis != "watched":
            return self.redis
        port = self.redis.master_port()
        return next(server for server in self.redis.servers if server.port == port)
