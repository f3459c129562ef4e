"""The rows of many instances: Redis, PostgreSQL, and Supabase's REST API in front of it. The servers are those of the
integration tests."""
import contextlib
import hashlib
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time

from harness import (ACTIVE, ALL_SERVED, ISSUE, ISSUE_CONNECTIONS, ISSUED, JSON, RECORDED, TESTS, Bench, Row,
                     Unmeasured, end, free_port, in_turn, pinned, rates)
from rows import answers_200

REVOCATIONS_A_SECOND = 1000
TURN_S = 3
KEPT_S = 3600
MANY = 1000000


def kits():
    """The servers that the tests start."""
    sys.path.insert(0, str(TESTS))
    try:
        import postgres, redis_servers, supabase # pylint: disable=import-outside-toplevel,multiple-imports
    except ImportError as error:
        raise Unmeasured(f"what the tests' servers need is not installed: {error}") from error
    return postgres, redis_servers, supabase


@contextlib.contextmanager
def postgres(cores):
    """database(name): its URL, with the platform's tables and a user. Commits reach the disk, as the service's own."""
    kit = kits()[0]
    server = kit.Postgres(fsync="on")

    def database(name):
        url = server.database(name)
        kit.run_sql(url, f"INSERT INTO auth.users(id) VALUES ('{ISSUE['subject']}');")
        return url
    try:
        with pinned(cores):
            server.start()
        yield database
    finally:
        server.close()


@contextlib.contextmanager
def redis(folder):
    server = kits()[1].single(folder)
    try:
        yield server.start()
    finally:
        server.kill()


@contextlib.contextmanager
def supabase(url, cores):
    server = kits()[2].Supabase(url)
    try:
        with pinned(cores):
            server.start()
        yield server.settings()
    finally:
        server.close()


class Shared(Bench):
    """A data folder of its own, on a shared store: every server and command gets these settings."""

    def __init__(self, bench, name, **settings):
        self.settings = settings
        folder = bench.folder / name
        folder.mkdir(exist_ok=True)
        super().__init__(bench.build, folder, bench.plan)

    def environment(self, **settings):
        return super().environment(**self.settings, **settings)


def hashes(count):
    return (hashlib.sha256(b"%d" % number).hexdigest() for number in range(count))


# --- revoked at one, refused at the other -----------------------------------------------------------------------------

def revoked_elsewhere(bench):
    with postgres(bench.cores) as database, redis(bench.folder / "redis") as cache:
        shared = Shared(bench, "elsewhere", DATABASE_URL=database("elsewhere"), REDIS_URL=cache.url)
        shared.settle()
        with shared.service(bench.cores) as one, shared.service(bench.cores) as other:
            claims = json.loads(one.ask("/token", json.dumps(ISSUE)))["claims"]
            count = bench.plan.turns * TURN_S * REVOCATIONS_A_SECOND
            tokens = subprocess.run([bench.build / "bench/bench_mint", shared.active_key_file(), claims["iss"],
                                     ISSUE["clientId"], str(count)], stdout=subprocess.PIPE, check=True).stdout
            turns = [revoke_all(bench, shared, one, other, part) for part in parts(tokens, bench.plan.turns)]
    return [Row(f"revoked at A, refused at B, p99, {REVOCATIONS_A_SECOND:,}/s", "ms",
                [turn["p99_us"] / 1000 for turn in turns], [], "", 5, "<", "",
                f"p50 {min(turn['p50_us'] for turn in turns) / 1000:.1f} ms")]


def parts(lines, count):
    lines = lines.splitlines(keepends=True)
    size = len(lines) // count
    return [b"".join(lines[i * size:(i + 1) * size]) for i in range(count)]


def revoke_all(bench, shared, one, other, tokens):
    """Every token once; the rate must have been reached, or the wait of those that came late would be left out."""
    command = [bench.build / "bench/bench_revoke", str(one.port), str(other.port), shared.authorization,
               str(REVOCATIONS_A_SECOND)]
    done = subprocess.run(command, input=tokens, capture_output=True, check=False)
    if done.returncode != 0:
        raise Unmeasured(done.stderr.decode().strip())
    result = json.loads(done.stdout)
    rate = result["tokens"] / (result["duration_us"] / 1e6)
    if rate < 0.95 * REVOCATIONS_A_SECOND:
        raise Unmeasured(f"only {rate:,.0f} revocations a second were made")
    return result


# --- a million entries ------------------------------------------------------------------------------------------------

def verify_beside_many(bench):
    """One token, asked about again and again, where nothing is revoked and where a million tokens are."""
    few, full = Shared(bench, "few"), Shared(bench, "full")
    for each in (few, full):
        each.settle()
    until = int(time.time()) + KEPT_S
    with contextlib.closing(sqlite3.connect(full.data / "token-service.db")) as rows, rows:
        rows.executemany("INSERT INTO revocations(token_hash, expires_at, reason, revoked_by, revoked_at) "
                         "VALUES (?, ?, 'revoked', 'bench', 1)", ((bytes.fromhex(each), until)
                                                                  for each in hashes(MANY)))

    def rate(shared, entries):
        with shared.service(bench.server_core, TOKEN_LOOPS="1") as service:
            if service.counters()["token_service_revocations"] < entries:
                raise Unmeasured("the revocations are not known")
            body = bench.file("body", f"token={service.issue()}")
            return service.checked(lambda: shared.load("repeat.lua", service.url + "/token/introspect", [body],
                                                      bench.plan.window_s), ACTIVE)
    references, services = in_turn(bench.plan.turns, lambda: rate(few, 0), lambda: rate(full, MANY))
    return [Row(f"introspect beside {MANY:,} revocations", "/s", rates(services), rates(references),
                "beside none", 0.95, ">=")]


def fill_redis(cache, count):
    """As redis-cli --pipe has it: the protocol, as many commands at once as fit."""
    text = b"".join(b"SET revoked:%b revoked EX %d\r\n" % (each.encode(), KEPT_S) for each in hashes(count))
    with socket.create_connection(("127.0.0.1", cache.port)) as connection:
        sender = threading.Thread(target=connection.sendall, args=(text,))
        sender.start()
        left = count * len(b"+OK\r\n")
        while left > 0:
            left -= len(connection.recv(1 << 20))
        sender.join()


def fill_database(url, count):
    import psycopg # pylint: disable=import-outside-toplevel
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO token_service_revocations(token_hash, expires_at, reason, revoked_by, "
                           "revoked_at) SELECT encode(sha256(i::text::bytea), 'hex'), now() + %s * interval '1 s', "
                           "'revoked', 'bench', now() FROM generate_series(0, %s) AS i", (KEPT_S, count - 1))
        connection.execute("VACUUM ANALYZE token_service_revocations")


def start_beside_many(bench):
    """From exec to the first 200 of /health/ready, with a million revocations in Redis and in PostgreSQL."""
    request = b"GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    samples = []
    with postgres(bench.cores) as database, redis(bench.folder / "redis") as cache:
        url = database("million")
        shared = Shared(bench, "million", DATABASE_URL=url, REDIS_URL=cache.url)
        shared.settle()
        fill_database(url, MANY)
        fill_redis(cache, MANY)
        for _ in range(bench.plan.turns):
            port, begun = free_port(), time.monotonic()
            process = shared.spawn_service(port, bench.cores)
            try:
                while not answers_200(port, request):
                    if process.poll() is not None or time.monotonic() - begun > 60:
                        raise Unmeasured("the service does not become ready")
                    time.sleep(0.002)
                samples.append(time.monotonic() - begun)
            finally:
                end(process)
    return [Row(f"start with {MANY:,} revocations to catch up", "s", samples, [], "", 1.5, "<")]


# --- issuing ----------------------------------------------------------------------------------------------------------

def issue_elsewhere(bench):
    """RS256, its record in the platform's tables, against the embedded default. As in the other rows the service has
    one core; wrk, PostgreSQL and PostgREST share the other one."""
    body, rows = bench.file("issue", json.dumps(ISSUE)), []

    def rate(shared):
        with shared.service(bench.server_core, TOKEN_RECORDS="all", TOKEN_LOOPS="1", **ALL_SERVED) as service:
            return service.checked(lambda: shared.load("repeat.lua", service.url + "/token", [body],
                                                       bench.plan.window_s, content_type=JSON,
                                                       connections=ISSUE_CONNECTIONS), ISSUED, RECORDED)
    local = Shared(bench, "embedded")
    local.settle()
    with postgres(bench.load_core) as database:
        direct, behind = database("direct"), database("behind")
        with supabase(behind, bench.load_core) as rest:
            for name, settings in (("Supabase (REST)", rest), ("PostgreSQL", {"DATABASE_URL": direct})):
                shared = Shared(bench, name.split()[0], **settings)
                shared.settle()
                references, services = in_turn(bench.plan.turns, lambda: rate(local), lambda other=shared: rate(other))
                rows.append(Row(f"issue, RS256, records in {name}", "/s", rates(services), rates(references),
                                "embedded default", 0.8, ">="))
    return rows
