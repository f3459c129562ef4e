"""What was acknowledged is there after any end: kill -9 under load, at the first start, a store that fails. The answers
are compared with what a fresh start says, and with the rows of the SQLite file, read past the program."""

import hashlib
import json
import random
import resource
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest

import tokens
from service import open_files
from wire import PATIENCE_S, Broken, Closed, post

ROUNDS = 15
LOAD_S = 0.4
THREADS = 6


# --- kill -9 under load ---------------------------------------------------------------------------------------------

class Caller(threading.Thread):
    """Issues refresh tokens and revokes every third, until the connection breaks. Keeps what was acknowledged, and what
    it had asked for when the end came: of that it can know nothing."""

    def __init__(self, server, agent):
        super().__init__()
        self.server, self.authorization = server, f"Authorization: {agent.basic()}"
        self.issued, self.revoked, self.in_doubt, self.faults = [], [], [], []

    def call(self, wire, path, body):
        answer = wire.call(post(path, json.dumps(body).encode(), "application/json", self.authorization))
        assert answer.status == 200, answer.body
        return answer.json()

    def run(self):
        try:
            with self.server.wire() as wire:
                while True:
                    token = self.call(wire, "/token", {"subject": "user-1", "clientId": "agent", "scope": "",
                                                       "tokenType": "refresh"})["token"]
                    self.issued.append(token)
                    if len(self.issued) % 3 == 0:
                        self.in_doubt.append(token)
                        assert self.call(wire, "/token/revoke", {"token": token}) == {"revoked": True}
                        self.revoked.append(self.in_doubt.pop())
        except (Closed, Broken, ConnectionError):
            pass  # killed
        except AssertionError as fault:
            self.faults.append(fault)


def check_acknowledged(server, agent, issued, revoked, in_doubt):
    """By the rows, then by the service."""
    rows = dict(server.rows("SELECT token_hash, revoked_at FROM oauth_refresh_tokens"))
    kept = {row[0] for row in server.rows("SELECT token_hash FROM revocations")}
    for token in issued:
        hashed = hashlib.sha256(token.encode()).digest()
        assert hashed in rows, "an acknowledged refresh token has no row"
        if token in revoked:
            assert rows[hashed] is not None and hashed in kept, "an acknowledged revocation has no row"
        elif token not in in_doubt:
            assert rows[hashed] is None and hashed not in kept
        if token not in in_doubt:
            assert server.is_active(agent, token) == (token not in revoked)


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(make_server):
    server = make_server().start()
    agent = server.add_client("agent")
    key = server.active_jwk()
    issued, revoked, in_doubt = [], set(), set()
    for _ in range(ROUNDS):
        callers = [Caller(server, agent) for _ in range(THREADS)]
        for caller in callers:
            caller.start()
        server.until(lambda callers=callers: any(caller.issued for caller in callers), "no load comes about")
        time.sleep(LOAD_S * random.uniform(0.5, 1.5))
        server.kill()
        for caller in callers:
            caller.join(PATIENCE_S)
            assert not caller.is_alive() and not caller.faults, caller.faults
        fresh = [token for caller in callers for token in caller.issued]
        assert fresh, "no load came about"
        issued += fresh
        revoked.update(token for caller in callers for token in caller.revoked)
        in_doubt.update(token for caller in callers for token in caller.in_doubt)
        server.tokens.update(fresh)

        server.start()
        check_acknowledged(server, agent, fresh, revoked, in_doubt)
    assert revoked, "nothing was revoked"
    check_acknowledged(server, agent, random.sample(issued, min(len(issued), 1000)), revoked, in_doubt)
    assert server.active_jwk() == key, "the key is still the first one"
    server.settled()  # a file is made before its key has a row
    server.until(lambda: server.key_files() == {*server.kids("active", "pending")}, "a private key lies about")
    assert server.rows("PRAGMA integrity_check") == [("ok",)]
    server.stop()


# --- the first start ------------------------------------------------------------------------------------------------

def strange_files(server):
    """What lies in the data directory and belongs to nothing. A key's file is there a moment before its row."""
    there = {path.name for path in server.data_dir.iterdir() if "pem." not in path.name}
    database = server.database_path.name
    return there - {f"signing-key-{kid}.pem" for kid in server.kids("active", "pending")} - {
        "serve.lock", "database-id", database, database + "-wal", database + "-shm"}


def test_a_first_start_that_is_killed_is_finished_or_undone_by_the_next(make_server):
    for at in range(25):
        server = make_server(TOKEN_SIGNING_ALG="RS256" if at % 5 == 0 else "ES256")
        server.spawn()
        time.sleep(at * 0.002)
        server.kill()
        server.start()
        agent = server.add_client("agent")
        key = server.active_jwk()
        assert server.verify(agent, server.token(agent)).status_code == 200
        assert server.kids("active") == [key["kid"]]
        server.until(lambda server=server: not strange_files(server), lambda server=server: strange_files(server))
        assert {*server.kids("active", "pending")} <= server.key_files(), "a row has no private key"
        server.kill()  # a stop would take its grace each time
        server.check_log()


def test_a_key_file_that_a_killed_start_left_half_made_is_removed(make_server):
    """As the test above finds it now and then: signer_local.c's temporary name, of a process that is gone."""
    server = make_server(TOKEN_SIGNING_ALG="ES256")
    server.data_dir.mkdir(0o700)
    half_made = server.data_dir / f".signing-key-{'A' * 43}.pem.4194305"  # above any process id that Linux gives
    half_made.write_text("-----BEGIN PRIVATE KEY-----\n")
    half_made.chmod(0o600)
    server.start()
    assert not half_made.exists()
    assert len(server.kids("active")) == 1
    server.stop()


def test_parallel_first_starts_agree_on_one_key(make_server):
    """One serves; the others, and commands that come at the same moment, find its key or make the one it finds."""
    server = make_server(TOKEN_SIGNING_ALG="ES256")
    threads = [threading.Thread(target=lambda: server.run("doctor", expect=None)) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    agent = server.add_client("agent")
    token = server.token(agent)
    assert server.kids("active") == [server.active_jwk()["kid"]] == [tokens.header_of(token)["kid"]]
    assert server.verify(agent, token).status_code == 200
    server.until(lambda: server.settled().key_files() >= {*server.kids("active", "pending")}, "a key has no file")
    server.stop()


# --- restarts -------------------------------------------------------------------------------------------------------

def test_a_restart_keeps_keys_clients_tokens_and_revocations(make_server):
    server = make_server().start()
    agent = server.add_client("agent")
    keys = server.settled().jwks()
    good = {kind: server.token(agent, tokenType=kind) for kind in ("access", "refresh", "id")}
    bad = {kind: server.token(agent, tokenType=kind) for kind in ("access", "refresh", "id")}
    for token in bad.values():
        assert server.revoke(agent, token).status_code == 200
    for _ in range(3):
        server.stop()
        server.start()
        assert server.jwks() == keys
        for kind in good:
            assert server.verify(agent, good[kind]).status_code == 200, kind
            assert server.verify(agent, bad[kind]).status_code == 401, kind
    server.stop()


def test_the_command_line_revokes_for_a_running_server(make_server):
    """Another process's revocation is followed within a second or so."""
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        agent = server.add_client("agent")
        token = server.token(agent, tokenType="refresh")
        assert server.is_active(agent, token)
        server.run("token", "revoke", stdin=token)
        server.until(lambda: not server.is_active(agent, token), "the server never hears of the revocation")


def test_the_log_file_of_the_database_stays_with_a_running_server(make_server):
    """Commands beside the server come and go; none of them may take the write-ahead log away from under it."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    tokens = []
    for at in range(10):
        tokens.append(server.token(agent, tokenType="refresh"))
        server.add_client(f"beside-{at}")
        server.run("clients", "list")
        server.run("keys", "list")
    assert not [name for name in open_files(server.process.pid) if "(deleted)" in name]
    server.kill()
    server.start()
    assert all(server.is_active(agent, token) for token in tokens)
    assert len(json.loads(server.run("clients", "list", "--json").stdout)) == 11
    server.stop()


# --- a store that fails ---------------------------------------------------------------------------------------------

@contextmanager
def locked(server):
    """Another program holds the database's write lock, for longer than the service waits for it."""
    with closing(sqlite3.connect(server.database_path, timeout=PATIENCE_S, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def test_a_locked_store_is_answered_503_and_nothing_acknowledged_is_lost(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    kept, revoked = server.token(agent, tokenType="refresh"), server.token(agent, tokenType="refresh")
    assert server.revoke(agent, revoked).status_code == 200
    victim = server.token(agent, tokenType="refresh")
    with locked(server):
        asked = [lambda: server.ask(agent, tokenType="refresh"), lambda: server.ask(agent),
                 lambda: server.revoke(agent, victim),
                 lambda: server.post("/token/revoke", auth=agent, form={"token": victim})]
        answers = []
        threads = [threading.Thread(target=lambda ask=ask: answers.append(ask())) for ask in asked]
        for thread in threads:
            thread.start()
        for _ in range(20):  # meanwhile nothing that needs no store waits for it
            assert server.is_active(agent, kept)
            assert not server.is_active(agent, revoked)
            assert server.jwks()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert len(answers) == 4
        for answer in answers:
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert server.metric("dependency_errors_total", dependency="store") >= 1
        server.until(lambda: server.get("/health/ready").status_code == 503, "it says that it is ready")
        assert server.get("/health/ready").json() == {
            "status": "failing", "checks": {"store": "failing", "keys": "ok"}, "signer": {"kind": "local"},
            "store": {"kind": "sqlite", "why": "the store failed; see the log"}}
        stranger = server.get("/health/ready", headers={"X-Forwarded-For": "192.0.2.1"})  # through a proxy
        assert stranger.status_code == 503 and stranger.json()["store"] == {"kind": "sqlite"}
        assert server.get("/health/live").status_code == 200
        assert server.metric("store_up") == 0
        assert not server.is_active(agent, victim), "whose revocation is not recorded is still let in nowhere"
    server.until(lambda: server.ask(agent, tokenType="refresh").status_code == 200, "it never recovers")
    server.until(lambda: server.get("/health/ready").status_code == 200, "it never says that it is ready again")
    assert server.metric("store_up") == 1
    assert server.revoke(agent, victim).status_code == 200, "a repeated revocation is recorded"
    assert server.told("store_failing") and server.told("store_recovered")
    server.kill()
    server.start()
    assert server.is_active(agent, kept)
    assert not server.is_active(agent, revoked)
    assert not server.is_active(agent, victim)
    server.stop()


def test_a_full_disk_is_answered_503_and_forgiven(make_server):
    """A limit on the size of files stands in for the full disk: whatever would grow a file fails."""
    server = make_server(TOKEN_SIGNING_ALG="ES256")
    # without these the signal of that limit would end the process, which a full disk would not
    server.start(preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN), restore_signals=False)
    agent = server.add_client("agent")
    kept = [server.token(agent, tokenType="refresh") for _ in range(20)]
    pid, (_, hard) = server.process.pid, resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    server.until(lambda: server.log_path.stat().st_size > 4096, "the log is short")  # or half a line would fit in
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    refused = 0
    for _ in range(200):
        answer = server.ask(agent, tokenType="refresh")
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 200:
            kept.append(answer.json()["token"])
        refused += answer.status_code == 503
        if refused == 3:
            break
    assert refused == 3, "the disk did not get full"
    victim = kept.pop()
    assert server.revoke(agent, victim).status_code == 503
    assert all(server.is_active(agent, token) for token in kept)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    server.until(lambda: server.ask(agent, tokenType="refresh").status_code == 200, "it never recovers")
    assert server.revoke(agent, victim).status_code == 200
    server.kill()
    server.start()
    assert all(server.is_active(agent, token) for token in kept)
    assert not server.is_active(agent, victim)
    assert server.rows("PRAGMA integrity_check") == [("ok",)]
    server.stop()


@pytest.mark.parametrize("damage", ["garbage", "a newer version"])
def test_a_database_that_cannot_be_used_stops_the_start_with_one_sentence(make_server, damage):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    path = server.database_path
    server.stop()
    if damage == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    else:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA user_version = 9999")
    begin = server.log_path.stat().st_size
    assert server.spawn().wait(PATIENCE_S) == 3
    server.process = None
    log = server.log_path.read_bytes()
    server.log_path.write_bytes(log[:begin])
    sentences = [line for line in log[begin:].decode().splitlines() if not line.startswith("{")]
    assert len(sentences) == 1, sentences
    assert "newer version" in sentences[0] or damage == "garbage"


# --- a database that is taken away ----------------------------------------------------------------------------------

def test_a_database_that_is_replaced_under_the_server_acknowledges_nothing(make_server, tmp_path):
    """What is written to a file without a name is lost at the next start."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    token = server.token(agent)
    path, kept = server.database_path, tmp_path / "kept.db"
    path.rename(kept)
    assert server.revoke(agent, token).status_code == 503
    path.write_bytes(kept.read_bytes())  # a copy, as from a backup
    assert server.revoke(agent, token).status_code == 503
    assert server.ask(agent).status_code == 503
    server.until(lambda: server.get("/health/ready").status_code == 503, "it says that it is ready")
    assert any("restart" in event["why"] for event in server.told("store_failing"))
    kept.rename(path)
    server.until(lambda: server.revoke(agent, token).status_code == 200, "it is back, and not taken")
    server.until(lambda: server.get("/health/ready").status_code == 200, "it has not recovered")
    server.kill()
    server.start()
    assert not server.is_active(agent, token)
    server.stop()


def test_a_lost_database_beside_its_keys_is_not_begun_anew(make_server):
    """With the old key and none of the revocations, all that was revoked would be good again."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    server.revoke(agent, server.token(agent))
    server.stop()
    database = server.database_path
    for end in ("", "-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)
    said = server.run("serve", expect=2).stderr
    assert "TOKEN_DATA_DIR" in said and "database-id" in said and "put the old one back" in said
    assert not database.exists()
    for path in [*server.data_dir.glob("signing-key-*"), server.data_dir / "database-id"]:
        path.unlink()
    server.start()  # as the sentence says
    assert server.token(server.add_client("agent"))
    server.stop()
