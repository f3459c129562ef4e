"""Acknowledged means kept: whatever becomes of the answer of a shared store, who was told yes finds it there. The rows
are read with psycopg, past the program and past the proxy."""

import hashlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from postgres import MIGRATIONS, PLATFORM, execute, rows, run_sql
from postgres_proxy import READY, Fault, PostgresProxy, boundaries, error
from rest_proxy import RestProxy

RECORD = "token_service_record"
PATIENT_S = 60  # for the store: a machine that stands still is none of the faults


def is_kept(url, token):
    return rows(url, "SELECT count(*) FROM token_service_revocations WHERE token_hash = %s",
                hashlib.sha256(token.encode()).hexdigest()) == [(1,)]


@pytest.fixture
def database(postgres):
    return postgres.database(f"acknowledged-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def proxied(postgres, database, make_server):
    """A server behind the proxy, and a client of it that may do everything."""
    proxy = PostgresProxy(postgres.port)
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_STORE_TIMEOUT=PATIENT_S,
                         DATABASE_URL=proxy.url(database)).start()
    yield proxy, server, server.add_client("agent")
    proxy.fail("nothing")
    server.stop()
    proxy.close()


def learn(proxy, server, agent):
    """A revocation that meets no fault: what its answer looks like."""
    token = server.token(agent)
    proxy.fail(RECORD)
    assert server.revoke(agent, token).status_code == 200
    assert proxy.answer.startswith(proxy.uncommitted) and proxy.answer.endswith(READY)
    return proxy.uncommitted, proxy.answer


def hold(database, server, agent, token):
    """Revokes it, and holds the answer to what is there. Whether it was acknowledged."""
    answer = server.revoke(agent, token)
    print(answer.text)  # pytest shows it when the test fails
    assert answer.status_code in (200, 503), answer.text
    if answer.status_code == 200:
        assert is_kept(database, token), "acknowledged, and not there"
    return answer.status_code == 200


# --- PostgreSQL's wire ----------------------------------------------------------------------------------------------

def test_an_answer_cut_at_any_byte_acknowledges_nothing_that_was_not_committed(proxied, database):
    proxy, server, agent = proxied
    uncommitted, _ = learn(proxy, server, agent)
    tokens = [server.token(agent) for _ in range(2 * len(uncommitted) + 2)]
    for cut in range(len(uncommitted) + 1):
        proxy.fail(RECORD, Fault(False, cut, times=2))
        assert not hold(database, server, agent, tokens.pop()), f"cut at {cut}: acknowledged"
        assert proxy.met == 2, "a record is tried again: twice does no harm"
        proxy.fail(RECORD, Fault(False, cut))
        assert hold(database, server, agent, tokens.pop()), f"cut at {cut}: not tried again"


def test_an_answer_cut_at_any_byte_after_the_commit_is_asked_for_again(proxied, database):
    proxy, server, agent = proxied
    _, answer = learn(proxy, server, agent)
    tokens = [server.token(agent) for _ in answer]
    for cut in range(len(answer)):
        proxy.fail(RECORD, Fault(True, cut))
        assert hold(database, server, agent, tokens.pop()), f"cut at {cut}"


@pytest.mark.parametrize("sqlstate, tries, mends", [("40001", 3, True), ("53100", 1, False), ("57P01", 1, False)])
def test_an_error_at_any_message_acknowledges_nothing(proxied, database, sqlstate, tries, mends):
    """Also after CommandComplete, where a failed commit says so."""
    proxy, server, agent = proxied
    uncommitted, _ = learn(proxy, server, agent)
    for cut in boundaries(uncommitted):
        proxy.fail(RECORD, Fault(False, cut, error(sqlstate) + READY, times=99))
        assert not hold(database, server, agent, server_token(proxy, server, agent)), f"an error at {cut}: acknowledged"
        assert proxy.met == tries
        proxy.fail(RECORD, Fault(False, cut, error(sqlstate) + READY, times=1))
        assert hold(database, server, agent, server_token(proxy, server, agent)) == mends


def test_connections_that_broke_unnoticed_cost_nobody_an_answer(proxied, database):
    """As a router does that has forgotten all of them: each looks alive until something is sent."""
    proxy, server, agent = proxied
    for _ in range(5):
        token = server.token(agent)
        proxy.fail("token_service_list_keys", Fault(False, 0, error("53100") + READY, times=99))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: server.post("/admin/revocations", auth=agent, json={"subject": f"user-{n}"}),
                          range(16)))
        proxy.fail("nothing")
        assert hold(database, server, agent, token)


def server_token(proxy, server, agent):
    """One that meets no fault."""
    statement, fault = proxy.statement, proxy.fault
    proxy.fail(RECORD)
    token = server.token(agent)
    proxy.fail(statement.decode(), fault)
    return token


@pytest.mark.parametrize("state", [b"T", b"E"])
def test_an_answer_that_leaves_a_transaction_open_acknowledges_nothing(proxied, database, state):
    proxy, server, agent = proxied
    uncommitted, _ = learn(proxy, server, agent)
    proxy.fail(RECORD, Fault(False, len(uncommitted), READY[:-1] + state, times=9))
    assert not hold(database, server, agent, server_token(proxy, server, agent))


def test_a_client_is_not_said_to_be_disabled_when_the_commit_failed(proxied, database):
    proxy, server, agent = proxied
    uncommitted = learn(proxy, server, agent)[0]
    for then in (b"", error("40001") + READY, error("53100") + READY):
        proxy.fail("token_service_change_client", Fault(False, len(uncommitted) + 99, then, times=99))
        server.run("clients", "disable", "agent", expect=3)
        assert rows(database, "SELECT is_active FROM oauth_clients") == [(True,)]


# --- PostgREST's answers ---------------------------------------------------------------------------------------------

YES = b'{"unlinked":0}'
FRAMINGS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + YES,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + YES[:8] + b"\r\n6\r\n" + YES[8:] +
              b"\r\n0\r\n\r\n",
    "end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + YES,
}
STRANGE = [b"{}", b'{"unlinked":null}', b'{"unlinked":"0"}', b'{"unlinked":-1}', b"[]", b"null", b"", b'"ok"',
           b'{"error":"no"}', b"<html>", b'{"unlinked":0']


@pytest.fixture
def behind_rest_proxy(database, make_supabase, make_server):
    supabase = make_supabase(database)
    proxy = RestProxy(supabase.port)
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_STORE_TIMEOUT=PATIENT_S,
                         **(supabase.settings() | {"SUPABASE_URL": proxy.url})).start()
    yield proxy, server, server.add_client("agent")
    proxy.all_is_well()
    server.stop()
    proxy.close()


def test_an_answer_of_postgrest_cut_at_any_byte_acknowledges_nothing(behind_rest_proxy, database):
    proxy, server, agent = behind_rest_proxy
    token, again = server.token(agent), server.token(agent)
    for framing, answer in FRAMINGS.items():
        end = len(answer) - (framing == "chunks")  # behind the last chunk's CR, libcurl waits for no LF
        for cut in range(end):
            proxy.cut("record", answer[:cut], times=99)
            assert not hold(database, server, agent, token), f"{framing}, cut at {cut}: acknowledged"
    proxy.cut("record", FRAMINGS["length"][:-1], does_it=True)
    assert hold(database, server, agent, again), "not asked for again"


def test_an_answer_that_is_not_that_commands_acknowledges_nothing(behind_rest_proxy, database):
    """Of something else that answers in PostgREST's place."""
    proxy, server, agent = behind_rest_proxy
    token = server.token(agent)
    for text in STRANGE:
        proxy.cut("record", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text, times=9)
        assert not hold(database, server, agent, token), text
    proxy.all_is_well()
    assert hold(database, server, agent, token)


# --- one bad list among good ones -----------------------------------------------------------------------------------

GOOD = 30


def in_one_batch(database, server, calls):
    """Does all calls while a lock holds the first one up, so that the others gather behind it. Their results."""
    results = [None] * len(calls)

    def work(at):
        results[at] = calls[at]()

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(calls))]
    with psycopg.connect(database) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('token_service_positions', 0))")
        for thread in threads:
            thread.start()
        server.until(lambda: server.metric("commit_queue_depth") >= len(calls) - 1, "they do not gather")
    for thread in threads:
        thread.join()
    return results


@pytest.fixture(params=["postgres", "supabase"])
def through(request, database, make_supabase):
    return {"DATABASE_URL": database} if request.param == "postgres" else make_supabase(database).settings()


def test_a_bad_list_fails_alone_and_no_innocent_with_it(database, make_server, through):
    execute(database, "ALTER TABLE token_service_revocations ADD CONSTRAINT poison CHECK (reason <> 'poison')")
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_WORKERS=64, TOKEN_STORE_TIMEOUT=PATIENT_S, **through).start()
    agent = server.add_client("agent")
    tokens = [server.token(agent) for _ in range(GOOD)]
    answers = in_one_batch(database, server, [
        lambda token=token, at=at: server.revoke(agent, token, reason="poison" if at == 17 else "good")
        for at, token in enumerate(tokens)])
    refused = 400 if "DATABASE_URL" in through else 503  # @supabase/lite passes no SQLSTATE of a constraint on
    assert [answer.status_code for answer in answers] == [refused if at == 17 else 200 for at in range(GOOD)]
    assert [is_kept(database, token) for token in tokens] == [at != 17 for at in range(GOOD)]
    assert server.metric("committed_records_total") == 2 * GOOD - 1
    server.stop()


def test_a_text_that_the_databases_encoding_cannot_hold_fails_alone(postgres, make_server):
    name = f"latin-{uuid.uuid4().hex[:8]}"
    execute(postgres.url(), f"CREATE DATABASE \"{name}\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database = postgres.url(name)
    for script in (PLATFORM, *MIGRATIONS):
        run_sql(database, script.read_text())
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_WORKERS=64, TOKEN_STORE_TIMEOUT=PATIENT_S,
                         DATABASE_URL=database).start()
    agent = server.add_client("agent")
    tokens = [server.token(agent) for _ in range(GOOD)]
    answers = in_one_batch(database, server, [
        lambda token=token, at=at: server.revoke(agent, token, reason="stolen ✓" if at == 3 else "stolen é")
        for at, token in enumerate(tokens)])
    assert [answer.status_code for answer in answers] == [400 if at == 3 else 200 for at in range(GOOD)]
    assert "encoding" in answers[3].json()["error_description"]
    assert [is_kept(database, token) for token in tokens] == [at != 3 for at in range(GOOD)]
    server.stop()


# --- commits that fail, and commits that only warn -------------------------------------------------------------------

DEFERRED = """
    CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'at commit' USING ERRCODE = '40001'; END $$;
    CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON token_service_revocations DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.reason = 'poison') EXECUTE FUNCTION refuse_at_commit()"""


@pytest.mark.parametrize("through", ["itself", "pooler"])
def test_a_commit_that_a_deferred_trigger_refuses_is_no_success(request, database, make_server, through):
    execute(database, DEFERRED)
    url = request.getfixturevalue("pooler").url(database) if through == "pooler" else database
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_STORE_TIMEOUT=PATIENT_S, DATABASE_URL=url) as server:
        agent = server.add_client("agent")
        token = server.token(agent)
        assert server.revoke(agent, token, reason="poison").status_code == 503
        assert not is_kept(database, token)
        assert server.revoke(agent, token, reason="good").status_code == 200
        assert is_kept(database, token)


def test_serializable_by_default_loses_nothing_that_was_acknowledged(database, make_server):
    execute(database, f'ALTER DATABASE "{database.rsplit("/", 1)[1]}" SET default_transaction_isolation = serializable')
    servers = [make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database) for _ in range(2)]
    servers[1].data_dir = servers[0].data_dir
    servers[1].settings["TOKEN_DATA_DIR"] = str(servers[0].data_dir)
    servers[0].start()
    servers[1].start()
    agent = servers[0].add_client("agent")
    servers[1].until(lambda: servers[1].ask(agent).status_code == 200, "its client is not known")
    acknowledged, refused = [], []

    def work(server):
        for _ in range(25):
            answer = server.ask(agent)
            if answer.status_code == 200:
                token = answer.json()["token"]
                (acknowledged if server.revoke(agent, token).status_code == 200 else refused).append(token)

    threads = [threading.Thread(target=work, args=(server,)) for server in servers for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(acknowledged) > 20
    kept = {row[0] for row in rows(database, "SELECT token_hash FROM token_service_revocations")}
    assert {hashlib.sha256(token.encode()).hexdigest() for token in acknowledged} <= kept
    for server in servers:
        server.stop()


def waiting_for_a_standby(url):
    return [pid for (pid,) in rows(url, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND "
                                        "datname = current_database()")]


def cancelling_each_wait(url, what):
    """what() while each commit that waits for a standby is cancelled. Its result, and how many there were."""
    results, cancelled = [], 0
    thread = threading.Thread(target=lambda: results.append(what()))
    thread.start()
    while thread.is_alive():
        for pid in waiting_for_a_standby(url):
            execute(url, "SELECT pg_cancel_backend(%s)", pid)
            cancelled += 1
        thread.join(0.05)
    return results[0], cancelled


@pytest.fixture
def standby_away(postgres, database):
    """standby_away(): from then on commits wait for a standby that never comes."""
    def begin():
        execute(database, "ALTER SYSTEM SET synchronous_standby_names = 'a_standby_that_is_away'")
        execute(database, "SELECT pg_reload_conf()")
        probe = "UPDATE token_service_state SET checks = checks + 1"
        while cancelling_each_wait(database, lambda: execute(database, probe))[1] == 0:
            pass  # the checkpointer has not read it yet

    yield begin
    execute(database, "ALTER SYSTEM RESET synchronous_standby_names")
    execute(database, "SELECT pg_reload_conf()")


@pytest.mark.parametrize("what", ["revoke", "access", "refresh"])
def test_a_wait_for_the_standby_that_was_cancelled_is_no_success(database, make_server, standby_away, what):
    """PostgreSQL then says that it is committed, with a warning that it may not be at the standby: after a fail-over it
    could be gone. So it is in doubt, and tried again; the second try finds the row, and must wait for the standby all
    the same."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=database, TOKEN_STORE_TIMEOUT=PATIENT_S).start()
    agent, user = server.add_client("agent"), str(uuid.uuid4())
    execute(database, "INSERT INTO auth.users (id) VALUES (%s)", user)
    token = server.token(agent)

    def ask():
        if what == "revoke":
            return server.revoke(agent, token)
        return server.ask(agent, subject=user, scope="stories:read", tokenType=what)

    standby_away()
    answer, cancelled = cancelling_each_wait(database, ask)
    assert (cancelled >= 2, answer.status_code) == (True, 503), (cancelled, answer.text, server.log[-1500:])
    assert server.told("database_lost")
    execute(database, "ALTER SYSTEM RESET synchronous_standby_names")
    execute(database, "SELECT pg_reload_conf()")
    server.until(lambda: ask().status_code == 200, "it has not recovered")
    server.stop()
