"""The shared stores: records in the platform's tables, read back with psycopg and never with our own code; instances
that share them; a database that goes away and comes back."""

import contextlib
import hashlib
import http.server
import json
import os
import re
import subprocess
import threading
import time
import uuid

import psycopg
import pytest

import tokens
from postgres import MIGRATIONS, PLATFORM, ROOT, execute, rows, run_sql
from service import BINARY, Client, run

UNIT = BINARY.parent / "tests/unit"
ROLLBACKS = sorted((ROOT / "deploy/supabase/rollback").glob("*.sql"))


def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def database(postgres, request):
    return postgres.database(f"{request.node.name[:40]}-{uuid.uuid4().hex[:8]}")


@pytest.fixture(params=["postgres", "supabase"])
def shared(request, database, make_supabase):
    """The settings of a shared store, and the URL of its database for the test's own eyes."""
    if request.param == "postgres":
        return {"DATABASE_URL": database}, database
    return make_supabase(database).settings(), database


@pytest.fixture
def instances(make_server, shared):
    """instances(n): that many servers on one store and one folder of keys, started; the first has a client."""
    settings, url = shared

    def start(count, **more):
        first = make_server(TOKEN_SIGNING_ALG="ES256", **settings, **more)
        servers = [first]
        for _ in range(count - 1):
            servers.append(make_server(TOKEN_SIGNING_ALG="ES256", **settings, **more))
            servers[-1].data_dir = first.data_dir
            servers[-1].settings["TOKEN_DATA_DIR"] = str(first.data_dir)
        for server in servers:
            server.spawn()
        for server in servers:
            server.port = server._wait_for_port(0)
            server.secrets |= set(settings.values()) & {settings.get("SUPABASE_SERVICE_KEY")}
            server.until(lambda server=server: server.get("/health/ready").status_code == 200, "it is not ready")
        return servers, first.add_client("agent"), url

    yield start


# --- the suite ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("suite", ["test_store", "test_store_events", "test_store_items"])
def test_the_conformance_suite_over_every_store(database, make_supabase, suite):
    """The unit tests, unchanged: SQLite, PostgreSQL, PostgREST."""
    program = UNIT / suite
    if not program.exists():
        pytest.skip(f"there is no {program}: configure with -Dtests=true")
    supabase = make_supabase(database)
    told = {"TOKEN_TEST_DATABASE_URL": database, "TOKEN_TEST_SUPABASE_URL": supabase.url,
            "TOKEN_TEST_SUPABASE_KEY": supabase.secret_key}
    done = subprocess.run([program], env=os.environ | told, capture_output=True, text=True, timeout=240, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, "\n".join(line for line in said.splitlines() if " OK ]" not in line)[-6000:]
    for kind in ("sqlite", "postgres", "supabase"):
        assert f"--- {kind}" in said


# --- records --------------------------------------------------------------------------------------------------------

def test_what_was_issued_is_in_the_platforms_tables(instances):
    (server,), agent, url = instances(1)
    user = str(uuid.uuid4())
    execute(url, "INSERT INTO auth.users (id) VALUES (%s)", user)
    access, refresh, stranger, nobody = (
        server.issue(agent, subject=subject, scope="stories:read", tokenType=kind)
        for subject, kind in ((user, "access"), (user, "refresh"), (str(uuid.uuid4()), "access"),
                              ("nobody", "refresh")))
    for issued, table in ((access, "oauth_access_tokens"), (refresh, "oauth_refresh_tokens")):
        claims = issued["claims"]
        found = rows(url, f"SELECT user_id::text, client_id, scope, extract(epoch FROM issued_at)::int, extract(epoch "
                          f"FROM expires_at)::int, jti, revoked_at, audience FROM {table} WHERE token_hash = %s",
                     hash_of(issued["token"]))
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        assert found == [(user, "agent", "stories:read", claims["iat"], claims["exp"], claims["jti"], None, audience)]
    for issued in (stranger, nobody):  # no user of the platform's: the record is kept apart, and counted
        assert rows(url, "SELECT subject FROM token_service_unlinked_tokens WHERE token_hash = %s",
                    hash_of(issued["token"])) == [(issued["claims"]["sub"],)]
    assert server.metric("unlinked_records_total") == 2
    assert rows(url, "SELECT count(*) FROM oauth_access_tokens") == [(1,)]
    assert server.revoke(agent, access["token"], reason="test").status_code == 200
    assert rows(url, "SELECT revoked_by, revocation_reason FROM oauth_access_tokens WHERE revoked_at IS NOT NULL") == [
        ("agent", "test")]
    assert rows(url, "SELECT token_hash, reason FROM token_service_revocations") == [(hash_of(access["token"]), "test")]
    server.kill()
    server.start()
    assert not server.is_active(agent, access["token"])
    assert server.is_active(agent, refresh["token"])
    assert not [row for row in rows(url, "SELECT client_secret FROM oauth_clients") if agent.secret in row[0]]
    server.stop()


def test_secrets_as_the_platform_has_them(instances):
    (server,), _, url = instances(1)
    insert = ("INSERT INTO oauth_clients (client_id, client_name, client_type, redirect_uris, allowed_scopes, "
              "client_secret) VALUES (%s, 'x', %s, '{}', '{token:issue}', %s)")
    bcrypt = "$2b$12$abcdefghijklmnopqrstuuJ1Z7N5o5vHb3WsWcS3kFfXzL5qk9K0e"
    execute(url, insert, "plain", "confidential", "an old secret")
    execute(url, insert, "bcrypt", "confidential", bcrypt)
    execute(url, insert, "public", "public", None)
    scope = "token:issue"
    assert server.ask(Client("plain", "an old secret", scope)).status_code == 200
    for client in (Client("plain", "an old secreT", scope), Client("bcrypt", bcrypt, scope),
                   Client("public", "", scope), Client("plain", hashlib.sha256(b"an old secret").hexdigest(), scope)):
        assert server.ask(client).status_code == 401, client
    assert rows(url, "SELECT client_secret FROM oauth_clients WHERE client_id = 'plain'") == [("an old secret",)]
    assert rows(url, "SELECT token_service_hash_secrets()") == [(1,)]
    assert server.ask(Client("plain", "an old secret", scope)).status_code == 200
    server.stop()


# --- rules ----------------------------------------------------------------------------------------------------------

def test_a_rule_made_at_one_instance_is_in_force_at_all_and_outlives_them(instances):
    servers, agent, url = instances(3)
    a, b, c = servers
    gone = [a.token(agent, subject="user-1", tokenType=kind) for kind in ("access", "refresh")]
    kept = a.token(agent, subject="user-2")
    answer = a.post("/admin/revocations", auth=agent, json={"subject": "user-1", "reason": "taken over ✓"})
    assert answer.status_code == 200
    assert rows(url, "SELECT kind, target, reason, revoked_by, extract(epoch FROM issued_before)::bigint, token_hash "
                     "FROM token_service_revocations") == [
        ("subject", "user-1", "taken over ✓", "agent", answer.json()["before"], hash_of("sub:user-1"))]
    for server in (a, b, c):
        for token in gone:
            server.until(lambda server=server, token=token: not server.is_active(agent, token), "it is not told")
        assert server.is_active(agent, kept)
        assert server.metric("revocation_rules") == 1
    made = answer.json()["before"]
    answer = b.post("/admin/revocations", auth=agent, json={"subject": "user-1", "before": made - 9, "reason": "again"})
    assert answer.status_code == 200  # an earlier one takes nothing back; the latest says why
    assert rows(url, "SELECT extract(epoch FROM issued_before)::bigint, reason FROM token_service_revocations") == [
        (made, "again")]
    for server in servers:
        server.kill()
    a.start()
    assert not any(a.is_active(agent, token) for token in gone)
    a.run("token", "revoke", "--everything", "--before", str(int(time.time())))
    a.until(lambda: not a.is_active(agent, kept), "the command's rule is not heard of")
    a.stop()


def test_many_rules_at_once_and_none_is_lost(instances):
    servers, agent, url = instances(2)
    made, failures = {}, []

    def work(server, which):
        for at in range(25):
            subject = f"user-{which}-{at}"
            made[subject] = server.token(agent, subject=subject)
            if server.post("/admin/revocations", auth=agent, json={"subject": subject}).status_code != 200:
                failures.append(subject)
            # and one that all of them are at
            server.post("/admin/revocations", auth=agent, json={"clientId": "another"})

    threads = [threading.Thread(target=work, args=(server, (at, i))) for at, server in enumerate(servers)
               for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(made) == 150
    assert {row[0] for row in rows(url, "SELECT target FROM token_service_revocations")} == made.keys() | {"another"}
    for server in servers:
        server.until(lambda server=server: server.metric("revocation_rules") == 151, "it has missed some")
        assert not any(server.is_active(agent, token) for token in list(made.values())[::17])
        server.stop()


def test_a_database_of_before_there_were_rules_is_migrated(database, make_server):
    """Its revoked tokens stay revoked, and until it is migrated the service says what to do."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database).start()
    agent = server.add_client("agent")
    token = server.token(agent)
    server.revoke(agent, token)
    server.stop()
    version_1 = ("CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb LANGUAGE sql AS "
                 "$$ SELECT jsonb_build_object('version', 1) $$")
    execute(database, "ALTER TABLE token_service_revocations DROP COLUMN kind, DROP COLUMN issued_before, "
                      "DROP COLUMN target")
    execute(database, version_1)
    since = "FUNCTION token_service_revocations_since(args jsonb)"
    execute(database, f"DROP {since}")  # it answered another type
    execute(database, f"CREATE {since} RETURNS jsonb LANGUAGE sql AS 'SELECT args'")
    assert "migrate" in server.run("serve", expect=3).stderr
    assert "migrate" in server.run("migrate", expect=3).stderr
    server.run("migrate", "--apply")
    server.run("migrate", "--apply")
    server.start()
    assert not server.is_active(agent, token)
    other = server.token(agent, subject="user-1")
    assert server.post("/admin/revocations", auth=agent, json={"everything": True}).status_code == 200
    assert not server.is_active(agent, other)
    server.stop()


# --- a database that is another one ---------------------------------------------------------------------------------

def test_a_lost_database_beside_its_keys_is_not_begun_anew(postgres, make_server, make_supabase):
    """With the old key and none of the revocations, all that was revoked would be good again."""
    first, second = (postgres.database(f"identity-{uuid.uuid4().hex[:8]}") for _ in range(2))
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=first).start()
    agent = server.add_client("agent")
    token = server.token(agent)
    assert server.revoke(agent, token).status_code == 200
    server.stop()
    server.settings["DATABASE_URL"] = second
    said = server.run("serve", expect=2).stderr
    assert "DATABASE_URL" in said and "database-id" in said and "put the old one back" in said
    assert postgres.password not in said
    assert rows(second, "SELECT count(*) FROM oauth_jwks WHERE state IS NOT NULL") == [(0,)], "no key is adopted"
    del server.settings["DATABASE_URL"]
    server.settings |= make_supabase(first).settings()  # the same one by another way
    server.start()
    assert not server.is_active(agent, token)
    server.stop()
    other = make_server(DATABASE_URL=second).start()  # another one, without keys of before
    other.stop()


def test_a_clock_that_is_not_the_databases_is_named(database, make_server):
    """At the start and by the doctor: an instance whose clock is wrong judges tokens by it."""
    server = make_server(DATABASE_URL=database).start()
    assert "clock_wrong" not in server.log_path.read_text()
    found = {each["check"]: each for each in json.loads(server.run("doctor", "--json", expect=None).stdout)}
    assert found["clock"]["ok"], found
    server.stop()
    now_ms = "floor(extract(epoch FROM clock_timestamp() - interval '2 hours') * 1000)::bigint"
    execute(database, "CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb LANGUAGE sql AS "
                      f"$$ SELECT jsonb_build_object('version', 99, 'now_ms', {now_ms}, 'identity', identity) "
                      "FROM token_service_state WHERE id = 1 $$")
    server.start()
    assert "clock_wrong" in server.log_path.read_text()
    found = {each["check"]: each for each in json.loads(server.run("doctor", "--json", expect=3).stdout)}
    assert "ahead of the database's" in found["clock"]["detail"]


def test_the_doctor_does_not_call_an_instance_of_many_the_only_one(database, make_server):
    found = make_server(DATABASE_URL=database).start().run("doctor", expect=None).stdout
    assert "memory: instances learn of revocations from the store they share" in found


def test_the_doctor_makes_no_key_in_a_fresh_database(database, make_server, tmp_path):
    """Its file would lie where the doctor ran, and no server elsewhere could start."""
    server = make_server(DATABASE_URL=database)
    for _ in range(2):
        run("doctor", settings=server.settings | {"TOKEN_DATA_DIR": str(tmp_path / "elsewhere")})
    run("keys", "list", settings=server.settings | {"TOKEN_DATA_DIR": str(tmp_path / "elsewhere")})
    assert not (tmp_path / "elsewhere").exists()
    assert rows(database, "SELECT count(*) FROM oauth_jwks WHERE state IS NOT NULL") == [(0,)]
    server.start()


# --- many instances -------------------------------------------------------------------------------------------------

def test_instances_behave_as_one(instances):
    servers, agent, url = instances(3, TOKEN_CLIENT_CACHE_TTL=3600)
    a, b, c = servers
    b.until(lambda: rows(url, "SELECT count(*) FROM oauth_jwks WHERE state = 'pending'") == [(1,)], "no standby")
    time.sleep(2.5)  # two rounds of everybody's housekeeping
    assert rows(url, "SELECT state, count(*) FROM oauth_jwks WHERE state IS NOT NULL GROUP BY 1 ORDER BY 1") == [
        ("active", 1), ("pending", 1)]
    # losers of the race for the first key leave theirs, to be adopted as the next ones
    assert len(list(a.data_dir.glob("*.pem"))) <= 2 + 2
    for server in servers:
        server.until(lambda server=server: len(server.jwks()["keys"]) == 2, "it does not publish the standby")
    token = a.token(agent)
    assert b.is_active(agent, token) and c.is_active(agent, token)
    assert a.revoke(agent, token).status_code == 200
    for server in (b, c):
        server.until(lambda server=server: not server.is_active(agent, token), "it has not heard of it")

    old = rows(url, "SELECT kid FROM oauth_jwks WHERE state = 'active'")[0][0]
    assert b.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code == 200
    new = rows(url, "SELECT kid FROM oauth_jwks WHERE state = 'active'")[0][0]
    assert new != old
    for server in servers:
        server.until(lambda server=server: {old, new} <= {key["kid"] for key in server.jwks()["keys"]}, "keys")
        server.until(lambda server=server: server.is_active(agent, c.token(agent)), "it refuses")
    assert rows(url, "SELECT detail->>'newKeyId' FROM token_service_events WHERE detail->>'transition' = 'activated' "
                     "ORDER BY id") == [(old,), (new,)]

    a.run("clients", "disable", "agent")
    for server in (b, c):
        server.until(lambda server=server: server.ask(agent).status_code == 401, "a disabled client comes in")
    for server in servers:
        server.stop()


def test_a_token_of_a_key_just_made_elsewhere_is_revoked_and_not_only_said_to_be(instances):
    """b sees the keys once a second. To whom it says "revoked" meanwhile, it must have been true."""
    (a, b), agent, _ = instances(2)
    for _ in range(6):
        for _ in range(2):  # the second one is to a key that nobody has seen; 409: b is making it just now
            a.until(lambda: a.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code == 200,
                    "it does not rotate")
        token = a.token(agent)
        assert b.revoke(agent, token).status_code == 200
        for server in (a, b):
            server.until(lambda server=server: not server.is_active(agent, token), "it goes on being good")
    stranger = tokens.sign(tokens.new_key("ES256"), "ES256", tokens.header_of(token) | {"kid": "nobody"},
                           tokens.claims_of(token))
    assert b.revoke(agent, stranger).status_code == 200, "RFC 7009 section 2.2: an invalid token is no error"
    for server in (a, b):
        server.stop()


def test_whether_a_token_is_of_a_new_key_is_not_guessed_while_the_store_is_away(postgres, database, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database).start()
    agent = server.add_client("agent")
    token = server.token(agent)
    unknown = tokens.sign(tokens.new_key("ES256"), "ES256", tokens.header_of(token) | {"kid": "perhaps-a-new-one"},
                          tokens.claims_of(token))
    postgres.kill()
    try:
        assert server.revoke(agent, unknown).status_code == 503
        assert server.revoke(agent, "no.token.atall").status_code == 200
    finally:
        postgres.start()
    server.until(lambda: server.revoke(agent, unknown).status_code == 200, "it has not recovered")
    server.stop()


def test_the_next_key_is_made_by_who_holds_the_lease(database, make_server):
    """A key pair too many would cost money in AWS KMS."""
    execute(database, "INSERT INTO token_service_leases VALUES ('standby', 'another', now() + interval '1 day')")
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database).start()
    agent = server.add_client("agent")
    time.sleep(4)
    assert rows(database, "SELECT state FROM oauth_jwks WHERE state IS NOT NULL") == [("active",)]
    assert len(server.key_files()) == 1
    answer = server.post("/admin/rotate-keys", auth=agent, json={"immediate": True})
    assert answer.status_code == 409 and "another instance" in answer.json()["error_description"]
    execute(database, "UPDATE token_service_leases SET expires_at = now() - interval '1 second'")
    server.until(lambda: rows(database, "SELECT count(*) FROM oauth_jwks WHERE state = 'pending'") == [(1,)], "none")
    server.until(lambda: rows(database, "SELECT * FROM token_service_leases") == [], "it was not given back")
    assert len(server.key_files()) == 2
    server.stop()


def test_many_write_at_once_and_nothing_is_lost(instances):
    servers, agent, url = instances(3)
    made, failures = [], []

    def work(server):
        for _ in range(30):
            token = server.token(agent, tokenType="refresh")
            if server.revoke(agent, token).status_code != 200:
                failures.append(token)
            made.append(token)

    threads = [threading.Thread(target=work, args=(server,)) for server in servers for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(made) == 270
    known = {row[0] for row in rows(url, "SELECT token_hash FROM token_service_revocations")}
    assert {hash_of(token) for token in made} <= known
    for server in servers:
        server.until(lambda server=server: server.metric("revocations") == 270, "it has missed some")
        assert not any(server.is_active(agent, token) for token in made[::27])
    for server in servers:
        server.stop()


# --- how often tokens are used ---------------------------------------------------------------------------------------

def uses_of(url, issued, table="oauth_access_tokens"):
    column = "use_count" if table == "oauth_access_tokens" else "rotation_count"
    return rows(url, f"SELECT {column}, extract(epoch FROM last_used_at)::float FROM {table} WHERE token_hash = %s",
                hash_of(issued["token"]))[0]


def test_uses_are_counted_at_all_instances_and_written_in_batches(instances):
    servers, agent, url = instances(2, TOKEN_USAGE_INTERVAL=1)
    user = str(uuid.uuid4())
    execute(url, "INSERT INTO auth.users (id) VALUES (%s)", user)
    used, unused, revoked, refresh = (servers[0].issue(agent, subject=user, scope="stories:read", tokenType=kind)
                                      for kind in ("access", "access", "access", "refresh"))
    begin = int(time.time())
    assert servers[0].revoke(agent, revoked["token"]).status_code == 200
    for _ in range(3):
        for server in servers:
            assert server.is_active(agent, used["token"])
    assert servers[1].verify(agent, used["token"]).json()["valid"]
    assert servers[1].is_active(agent, refresh["token"])
    assert not servers[0].is_active(agent, revoked["token"])
    servers[0].until(lambda: uses_of(url, used)[0] == 7, "not all uses are written")
    assert begin <= uses_of(url, used)[1] <= time.time()
    servers[1].until(lambda: uses_of(url, refresh, "oauth_refresh_tokens")[1], "no use of the refresh token is written")
    assert uses_of(url, unused) == uses_of(url, revoked) == (0, None)
    servers[0].until(lambda: sum(server.metric("token_uses_total", result="written") for server in servers) == 8,
                     "they are not counted")  # a moment after they are written
    time.sleep(2.5)  # the next rounds write nothing twice
    assert uses_of(url, used)[0] == 7
    for server in servers:
        server.stop()


def test_a_stop_writes_the_uses_that_are_left(database, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database, TOKEN_USAGE_INTERVAL=3600).start()
    agent, user = server.add_client("agent"), str(uuid.uuid4())
    execute(database, "INSERT INTO auth.users (id) VALUES (%s)", user)
    token = server.issue(agent, subject=user, scope="stories:read")
    for _ in range(3):
        assert server.is_active(agent, token["token"])
    server.stop()
    assert uses_of(database, token)[0] == 3


def test_uses_wait_for_a_database_that_is_away(postgres, database, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database, TOKEN_USAGE_INTERVAL=1,
                         TOKEN_REVOCATION_POLICY="bounded").start()
    agent, user = server.add_client("agent"), str(uuid.uuid4())
    execute(database, "INSERT INTO auth.users (id) VALUES (%s)", user)
    token = server.issue(agent, subject=user, scope="stories:read")
    assert server.is_active(agent, token["token"])
    server.until(lambda: uses_of(database, token)[0] == 1, "the first use is not written")
    postgres.stop()  # in order: of a crash, what was written last need not be left
    try:
        for _ in range(2):
            assert server.is_active(agent, token["token"])
            time.sleep(1.5)  # a round that fails
    finally:
        postgres.start()
    server.until(lambda: uses_of(database, token)[0] == 3, "what was used meanwhile is not written")
    assert server.metric("token_uses_total", result="dropped") == 0
    server.stop()


@pytest.mark.parametrize("settings", [{"TOKEN_USAGE_INTERVAL": 0},
                                      {"TOKEN_USAGE_INTERVAL": 1, "TOKEN_RECORDS": "grants"}])
def test_uses_that_nobody_wants_are_not_counted(database, make_server, settings):
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database, **settings).start()
    agent, user = server.add_client("agent"), str(uuid.uuid4())
    execute(database, "INSERT INTO auth.users (id) VALUES (%s)", user)
    assert server.is_active(agent, server.token(agent, subject=user, scope="stories:read"))
    time.sleep(2.5)  # two rounds
    assert server.metric("token_uses_total") == 0
    server.stop()
    assert rows(database, "SELECT count(*) FROM oauth_access_tokens WHERE use_count > 0") == [(0,)]


def test_through_a_transaction_pooler(database, pooler, make_server):
    """More connections than the pooler has servers, each call perhaps on another one."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=pooler.url(database)).start()
    agent = server.add_client("agent")

    def work():
        for _ in range(25):
            assert server.revoke(agent, server.token(agent, tokenType="refresh")).status_code == 200

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(database, "SELECT count(*) FROM token_service_revocations") == [(200,)]
    assert server.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code == 200
    assert not server.events("database_refused") and not server.events("database_lost")
    server.stop()


# --- faults ---------------------------------------------------------------------------------------------------------

def test_a_database_that_goes_and_comes_back(postgres, database, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database, TOKEN_STORE_TIMEOUT=6,
                         TOKEN_REVOCATION_POLICY="bounded").start()
    agent = server.add_client("agent")
    token = server.token(agent)
    postgres.kill()
    try:
        answer = server.ask(agent)
        assert answer.status_code == 503
        assert server.is_active(agent, token), "verifying needs no database"
        server.until(lambda: server.get("/health/ready").status_code == 503, "it says that it is ready")
    finally:
        postgres.start()
    server.until(lambda: server.get("/health/ready").status_code == 200, "it has not recovered")
    server.until(lambda: server.ask(agent).status_code == 200, "it has not recovered")
    assert rows(database, "SELECT count(*) FROM token_service_unlinked_tokens WHERE token_hash = %s",
                hash_of(token)) == [(1,)]

    postgres.pause()
    try:
        begin = time.monotonic()
        assert server.ask(agent).status_code == 503
        assert time.monotonic() - begin < 30, "TOKEN_STORE_TIMEOUT twice, and some"
        assert server.is_active(agent, token)
    finally:
        postgres.go_on()
    server.until(lambda: server.get("/health/ready").status_code == 200, "it has not recovered")
    server.until(lambda: server.ask(agent).status_code == 200, "it has not recovered")
    server.stop()


def test_without_a_database_or_a_migration_the_start_says_so(postgres, make_server):
    bare = postgres.database(f"bare-{uuid.uuid4().hex[:8]}", migrated=False)
    assert "migrate" in make_server(DATABASE_URL=bare).run("serve", expect=3).stderr
    done = make_server(DATABASE_URL="postgresql://u:hunter2@h:port/x").run("serve", expect=2)
    assert "DATABASE_URL" in done.stderr and "hunter2" not in done.stderr


@pytest.mark.parametrize("change, sentence", [
    (("postgres-of-the-tests", "not-the-password-0123"), "DATABASE_URL ({at}): it refuses this user or its password"),
    (("/bare", "/there-is-none-"), "DATABASE_URL ({at}): it has no database of that name"),
    (("//postgres:", "//nobody-at-all:"), "DATABASE_URL ({at}): it refuses this user or its password"),
    (("{port}/", "1/"), "DATABASE_URL (127.0.0.1:1): it refuses connections: nothing listens there"),
    (("127.0.0.1:", "no-such-host.invalid:"), "DATABASE_URL (no-such-host.invalid:{port}): the name of its host is"),
    (("?x", "?sslmode=require"), "DATABASE_URL ({at}): it does not speak TLS, which sslmode asks for"),
])
def test_why_there_is_no_database_is_said_and_no_secret(postgres, make_server, change, sentence):
    """At the start and by doctor: which it is, the host and the setting."""
    url = f"{postgres.url('bare')}?x"
    changed = url.replace(change[0].replace("{port}", str(postgres.port)), change[1])
    assert changed != url
    server = make_server(DATABASE_URL=changed.removesuffix("?x"))
    postgres.database_if_absent("bare")
    for command in ("serve", "doctor"):
        done = server.run(command, expect=None)
        said = done.stderr + done.stdout
        assert done.returncode != 0
        assert sentence.format(at=f"127.0.0.1:{postgres.port}", port=postgres.port) in said
        assert "in time" not in said
        assert postgres.password not in said and "not-the-password-0123" not in said


@pytest.mark.parametrize("query, named", [
    ("pgbouncer=true", "pgbouncer"), ("sslmode=require&connection_limit=1", "connection_limit"), ("schema=x", "schema"),
    ("sslmode", None), ("hunter2=x@h/d", None),  # perhaps the end of a password with a ? in it
])
def test_a_parameter_that_is_not_known_is_named(make_server, query, named):
    done = make_server(DATABASE_URL=f"postgresql://u:hunter1@127.0.0.1:1/d?{query}").run("serve", expect=2)
    assert "DATABASE_URL" in done.stderr and "hunter" not in done.stderr
    assert named is None or f"parameter {named}," in done.stderr


def test_readiness_says_why_and_callers_are_not_told_where_the_database_is(postgres, database, make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database).start()
    agent = server.add_client("agent")
    postgres.kill()
    try:
        why = f"DATABASE_URL (127.0.0.1:{postgres.port}): it refuses connections"
        server.until(lambda: why in server.get("/health/ready").json()["store"].get("why", ""), "it does not say why")
        answer = server.ask(agent)
        assert answer.status_code == 503 and "127.0.0.1" not in answer.text and str(postgres.port) not in answer.text
    finally:
        postgres.start()
    server.until(lambda: server.get("/health/ready").status_code == 200, "it has not recovered")
    assert "why" not in server.get("/health/ready").json()["store"]
    assert any("refuses connections" in event["why"] for event in server.told("store_failing"))
    server.stop()


class Answers(http.server.BaseHTTPRequestHandler):
    """Says what it was told to say, then that all is well; keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    all_is_well = {"version": 9, "identity": "0" * 32, "rows": ""}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        status, answer = self.server.says.pop(0) if self.server.says else (200, self.all_is_well)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def postgrest():
    """A recorder of what is asked of PostgREST, with the errors that the real one has."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.asked, server.says = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


JWT_KEY = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize("key, is_bearer", [(JWT_KEY, True), ("sb_secret_abcdef", False)])
def test_the_key_goes_where_its_kind_belongs(postgrest, make_server, key, is_bearer):
    server = make_server(SUPABASE_URL=f"http://127.0.0.1:{postgrest.server_port}/", SUPABASE_SERVICE_KEY=key)
    server.run("clients", "list")
    assert postgrest.asked
    for path, headers, body in postgrest.asked:
        assert path == "/rest/v1/rpc/token_service_call"
        assert headers["apikey"] == key
        assert headers.get("Authorization") == (f"Bearer {key}" if is_bearer else None)
        assert json.loads(body["args"]) is not None
    assert key not in server.run("serve", "--check-config").stdout


@pytest.mark.parametrize("path", ["/rest/v1", "/rest/v1/", "//"])
def test_postgrests_own_path_may_stand_behind_the_url(postgrest, make_server, path):
    server = make_server(SUPABASE_URL=f"http://127.0.0.1:{postgrest.server_port}{path}", SUPABASE_SERVICE_KEY="sb_x")
    server.run("clients", "list")
    assert {asked[0] for asked in postgrest.asked} == {"/rest/v1/rpc/token_service_call"}


@pytest.mark.parametrize("says, sentence", [
    ((401, {"message": "Invalid API key"}), "it refuses SUPABASE_SERVICE_KEY (HTTP 401)"),
    ((404, {"message": "no Route matched"}), "there is no PostgREST (HTTP 404)"),
    ((525, {}), "it answered HTTP 525"),
    (None, "it refuses connections"),
])
def test_why_there_is_no_supabase_is_said_and_no_secret(postgrest, make_server, says, sentence):
    postgrest.says = [says] * 9
    port = postgrest.server_port if says else 1
    server = make_server(SUPABASE_URL=f"http://127.0.0.1:{port}", SUPABASE_SERVICE_KEY="sb_secret_hunter2")
    for command in ("serve", "doctor"):
        done = server.run(command, expect=3 if command == "serve" else None)
        said = done.stderr + done.stdout
        assert sentence in said and "SUPABASE_URL" in said and f"127.0.0.1:{port}" in said
        assert "hunter2" not in said


def error(code):
    return {"code": code, "message": "a message of row-secret", "details": "Key (x)=(row-secret)", "hint": None}


@pytest.mark.parametrize("says, exit_code, calls", [
    ([], 0, 2),
    ([(503, error("PGRST002"))], 0, 3),                    # the schema cache is loading: again
    ([(504, error("PGRST003"))], 0, 3),                    # no connection in the pool
    ([(500, error("40001"))], 0, 3),                       # a serialization failure
    ([(500, error("40P01"))] * 2, 0, 4),                   # deadlocks
    ([(500, error("40001"))] * 9, 3, 3),                   # bounded
    ([(429, {"message": "slow down"})], 0, 3),
    *[([(status, {"message": "Cloudflare's"})], 0, 3) for status in (520, 522, 525, 530)],
    ([(531, {"message": "nobody's"})], 3, 1),
    ([(503, error("PGRST000"))] * 9, 3, 2),
    ([(404, error("PGRST202"))], 3, 1),                    # no such function: migrate
    ([(401, error("PGRST301"))], 3, 1),
    ([(403, error("42501"))], 3, 1),
    ([(500, error("XX000"))], 3, 1),
    ([(200, "no object")], 3, 1),
    ([(200, {"version": 1})], 3, 1),                       # an older migration
])
def test_what_postgrest_says(postgrest, make_server, says, exit_code, calls):
    postgrest.says = list(says)
    server = make_server(SUPABASE_URL=f"http://127.0.0.1:{postgrest.server_port}", SUPABASE_SERVICE_KEY="sb_secret_x")
    done = server.run("clients", "list", expect=exit_code)
    assert len(postgrest.asked) == calls
    assert "row-secret" not in done.stderr + done.stdout


# --- the schema -----------------------------------------------------------------------------------------------------

def schema_of(url):
    return rows(url, "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
                     "WHERE table_schema = 'public' ORDER BY 1, 2"), rows(
        url, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"), rows(
        url, "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public' "
             "ORDER BY 1"), rows(url, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1")


def test_the_migration_is_additive_repeatable_and_reversible(postgres):
    url = postgres.database(f"schema-{uuid.uuid4().hex[:8]}", migrated=False)
    settings = {"DATABASE_URL": url, "TOKEN_STORE_TIMEOUT": 60}
    before = schema_of(url)
    assert run("migrate", settings=settings, expect=3).stdout == ""
    assert schema_of(url) == before, "looking changes nothing"
    run("migrate", "--apply", settings=settings)
    after = schema_of(url)
    assert {row[:3] for row in before[0]} <= {row[:3] for row in after[0]} and set(before[1]) <= set(after[1])
    execute(url, "INSERT INTO oauth_clients (client_id, client_name, client_type, redirect_uris) "
                 "VALUES ('c', 'c', 'public', '{}')")
    run("migrate", "--apply", settings=settings)
    assert schema_of(url) == after
    assert "has what this version needs" in run("migrate", settings=settings).stdout
    assert run("migrate", "--print", settings=settings).stdout == "".join(path.read_text() for path in MIGRATIONS)
    assert run("migrate", "--print", "--down", settings=settings).stdout == "".join(
        path.read_text() for path in reversed(ROLLBACKS))
    run("migrate", "--apply", "--down", settings=settings)
    left = [row for row in schema_of(url)[0] if row not in before[0]]
    assert {row[1] for row in left} <= {"created_at"}, left  # the platform may have had it, and the rows' values too
    assert schema_of(url)[1:] == before[1:]
    for path in reversed(ROLLBACKS):  # twice does no harm
        run_sql(url, path.read_text())
    assert schema_of(url)[1:] == before[1:]
    run("migrate", "--apply", settings=settings)
    assert schema_of(url) == after
    assert rows(url, "SELECT kid FROM oauth_jwks") == [("old-service-key",)]


def test_each_migration_is_taken_back_by_the_rollback_of_its_name(postgres):
    """The last one alone too: with those before it run again, as the rollback says, all is as it was."""
    assert [path.name for path in MIGRATIONS] == [path.name for path in ROLLBACKS]
    url = postgres.database(f"steps-{uuid.uuid4().hex[:8]}", migrated=False)
    settings = {"DATABASE_URL": url, "TOKEN_STORE_TIMEOUT": 60}
    states = []
    for path in MIGRATIONS:
        if states:
            assert "migrate" in run("migrate", settings=settings, expect=3).stderr
        run_sql(url, path.read_text())
        states.append(schema_of(url))
    run("migrate", settings=settings)
    for i in reversed(range(1, len(MIGRATIONS))):
        run_sql(url, ROLLBACKS[i].read_text())
        for path in MIGRATIONS[:i]:
            run_sql(url, path.read_text())
        assert schema_of(url) == states[i - 1], ROLLBACKS[i].name
        assert "migrate" in run("migrate", settings=settings, expect=3).stderr


def test_no_statement_goes_without_a_where():
    """Supabase refuses such a one to PostgREST, which no server here does."""
    text = "\n".join(path.read_text() for path in MIGRATIONS)
    statements = re.findall(r"\b(?:UPDATE public|DELETE FROM public)\.[^;]*", text)
    assert len(statements) >= 15
    assert not [each for each in statements if "WHERE" not in each]


def test_the_migration_is_refused_to_who_does_not_see_all_users(postgres):
    """Row level security would hide them, and every subject pass for no user."""
    name = f"owner-{uuid.uuid4().hex[:8]}"
    url = postgres.database(name, migrated=False)
    execute(url, "CREATE ROLE owner_of_tests LOGIN PASSWORD 'owner-of-the-tests'")
    execute(url, "GRANT SELECT, REFERENCES ON auth.users TO owner_of_tests")
    execute(url, "GRANT USAGE ON SCHEMA auth TO owner_of_tests")
    done = run("migrate", "--apply", expect=3,
               settings={"DATABASE_URL": postgres.url(name, "owner_of_tests", "owner-of-the-tests")})
    assert "auth.users" in done.stderr


def test_nobody_but_the_services_role_reads_or_calls_anything(database):
    tables = [row[0] for row in rows(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND "
                                               "tablename LIKE 'token\\_service\\_%%'")]
    functions = [row[0] for row in rows(database, "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE proname LIKE "
                                                  "'token\\_service\\_%%'")]
    assert len(tables) >= 5 and len(functions) >= 25
    for role in ("anon", "authenticated"):
        for table in tables:
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                assert rows(database, "SELECT has_table_privilege(%s, %s, %s)", role, table, right) == [(False,)]
        for function in functions:
            assert rows(database, "SELECT has_function_privilege(%s, %s, 'EXECUTE')", role, function) == [(False,)]
        with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SET LOCAL ROLE {role}")
            connection.execute("SELECT token_service_call('check', '{}')")
    with psycopg.connect(database) as connection:
        connection.execute("SET LOCAL ROLE service_role")
        (told,) = connection.execute("SELECT token_service_call('check', '{}')").fetchone()
        assert told["version"] == 9 and abs(told["now_ms"] / 1000 - time.time()) < 3600
        connection.execute("SELECT token_service_call('record', %s)", [json.dumps({"tokens": [
            {"kind": "access", "hash": "a", "jti": "", "subject": "s", "client": "c", "scope": "", "audience": [],
             "issued": 1, "expires": 2}], "revocations": []})])
        connection.execute("INSERT INTO oauth_clients (client_id, client_name, client_type, redirect_uris) "
                           "VALUES ('c', 'c', 'public', '{}')")
        user = "6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be001"
        connection.execute("RESET ROLE")
        connection.execute("INSERT INTO auth.users (id) VALUES (%s)", [user])
        connection.execute("SET LOCAL ROLE service_role")
        items = [{"list": 0, "kind": kind, "id": "ab" * 32, "was": 0, "change": 1, "expires": 2, "client": "c",
                  "subject": user, "sid": "", "body": '{"token_hash": "x", "granted_scopes": ["a"]}'}
                 for kind in ("code", "grant", "consent")]
        (told,) = connection.execute("SELECT token_service_call('record_items', %s)", [json.dumps(
            {"tokens": [], "revocations": [], "items": items})]).fetchone()
        assert told == {"unlinked": 0, "conflicts": []}
        for table in ("oauth_authorization_codes", "oauth_refresh_tokens", "oauth_consent_records"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_the_service_runs_as_a_user_with_the_services_role(postgres, database, make_server):
    """Not as the owner of the tables: a login of its own, that is a member of service_role."""
    execute(database, "CREATE ROLE token_service_login LOGIN BYPASSRLS PASSWORD 'login-of-the-tests'")
    execute(database, "GRANT service_role TO token_service_login")
    url = postgres.url(database.rsplit("/", 1)[1], "token_service_login", "login-of-the-tests")
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=url)
    server.secrets.add("login-of-the-tests")
    server.start()
    agent = server.add_client("agent")
    token = server.token(agent)
    assert server.revoke(agent, token).status_code == 200
    assert "token_service_login" not in server.run("serve", "--check-config").stdout
    server.stop()
