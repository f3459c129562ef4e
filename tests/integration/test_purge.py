"""Expired rows go while tokens are issued, the database does not grow by what comes in their place, and its log doesn't
stay as large as somebody's long look made it. (How fast rows go, whatever one costs: unit/test_purge.c.)"""

import contextlib
import os
import sqlite3
import threading

import pytest

from wire import PATIENCE_S

EXPIRED = 20_000  # a thread of the least priority purges them
CYCLES = 3
ISSUED_BYTES = 256  # twice what a token takes in the database that is issued meanwhile
LOG_MAX = 16 * 1024 * 1024


@pytest.fixture
def server(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_RECORDS="all", TOKEN_PURGE_INTERVAL=1).start()
    yield server
    server.stop()


@pytest.fixture
def issuing(server):
    """A thread that issues tokens until the end of the test: how many there are. While somebody else writes for long,
    they can't be recorded, and it is told so."""
    agent, over, issued = server.add_client("agent"), threading.Event(), []

    def issue():
        while not over.is_set():
            answer = server.ask(agent)
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                issued.append(answer.json()["token"])

    thread = threading.Thread(target=issue)
    thread.start()
    yield issued
    over.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def open_database(path):
    return contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_S))


def add_expired(path):
    with open_database(path) as database, database:
        database.executemany("INSERT INTO oauth_access_tokens(token_hash, jti, subject, client_id, scope, audience, "
                             "issued_at, id) VALUES (?, ?, 's', 'agent', '', '[]', 1, (2 << 24) | ?)",
                             ((os.urandom(32), "j" * 200, number) for number in range(EXPIRED)))


def rows(path, query):
    with open_database(path) as database:
        return database.execute(query).fetchone()[0]


def await_purge(server, path):
    query = "SELECT count(*) FROM oauth_access_tokens WHERE id < (3 << 24)"
    server.until(lambda: rows(path, query) == 0, lambda: f"expired rows stay: {rows(path, query)}")


def test_the_space_of_purged_rows_is_used_again(server, issuing):
    path, sizes = server.database_path, []
    for _ in range(CYCLES):
        add_expired(path)
        await_purge(server, path)
        sizes.append(rows(path, "PRAGMA page_count") * 4096)
    assert sizes[0] > EXPIRED * 200, "so many rows were there"
    assert sizes[-1] < 1.1 * sizes[0] + ISSUED_BYTES * len(issuing), f"the database grows: {sizes}, {len(issuing)}"
    purged = CYCLES * EXPIRED  # a step is counted after its commit, which await_purge() saw
    server.until(lambda: server.metric("purged_rows_total") >= purged, "not all of them are counted")
    assert server.metric("purged_rows_total") == purged
    acknowledged = len(issuing)  # before the look at their rows: there are more and more
    assert 0 < acknowledged <= rows(path, "SELECT count(*) FROM oauth_access_tokens")


def test_a_log_that_a_long_reader_kept_does_not_stay_as_large(server, issuing):
    path = server.database_path  # looked up once: whoever opens the file and closes it drops the reader's locks
    log = path.with_name(path.name + "-wal")
    with open_database(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM oauth_access_tokens").fetchone()
        while log.stat().st_size < 2 * LOG_MAX:  # nothing of it can be used again
            add_expired(path)
            await_purge(server, path)
        server.until(lambda: issuing, "no token is issued meanwhile")
    server.until(lambda: log.stat().st_size <= LOG_MAX, lambda: f"the log has {log.stat().st_size} bytes")
