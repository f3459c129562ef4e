"""Times near the end of what an integer or a timestamp holds, as somebody may have put them into a database: no sum of
them wraps, and what was revoked stays revoked."""

import sqlite3
import time
import uuid
from contextlib import closing

import psycopg

from postgres import run_sql

FAR = 9223372036854775807


def settle(server, agent, good, *gone):
    """Through some purges, and the reading of everything at a start."""
    for _ in range(2):
        time.sleep(1.2)
        assert [server.is_active(agent, token) for token in gone] == [False] * len(gone)
        assert server.is_active(agent, good)
        assert server.ask(agent).status_code == 200
        server.stop()
        server.start()


def test_in_a_shared_database(postgres, make_server):
    url = postgres.database(f"far-{uuid.uuid4().hex[:8]}")
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=url, TOKEN_PURGE_INTERVAL=1).start()
    agent = server.add_client("agent")
    good, revoked, ruled = (server.token(agent, subject=f"user-{at}") for at in range(3))
    assert server.revoke(agent, revoked).status_code == 200
    assert server.post("/admin/revocations", auth=agent, json={"subject": "user-2"}).status_code == 200
    server.stop()
    run_sql(url, "UPDATE token_service_revocations SET expires_at = 'infinity';"
                 "UPDATE token_service_revocations SET issued_before = 'infinity' WHERE kind IS NOT NULL;"
                 f"UPDATE oauth_jwks SET lifetime_s = {FAR}, created_at = '-infinity', published_at = '-infinity' "
                 "WHERE state = 'active';"
                 "UPDATE oauth_clients SET created_at = 'infinity';")
    server.start()
    settle(server, agent, good, revoked, ruled)
    server.stop()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM token_service_revocations").fetchone() == (2,)


def test_in_the_embedded_one(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_PURGE_INTERVAL=1).start()
    agent = server.add_client("agent")
    good, revoked, ruled = (server.token(agent, subject=f"user-{at}") for at in range(3))
    assert server.revoke(agent, revoked).status_code == 200
    assert server.post("/admin/revocations", auth=agent, json={"subject": "user-2"}).status_code == 200
    server.stop()
    with closing(sqlite3.connect(server.database_path)) as database, database:
        database.execute("UPDATE revocations SET expires_at = ?", (FAR,))
        database.execute("UPDATE revocations SET issued_before = ? WHERE kind <> 0", (FAR,))
        database.execute("UPDATE oauth_jwks SET lifetime_s = ?", (FAR,))
    server.start()
    settle(server, agent, good, revoked, ruled)
    server.stop()
