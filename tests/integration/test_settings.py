"""What the settings change in the running service: records, purging, issuer, lifetimes, metrics, log, algorithm."""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import time

import pytest

import tokens
from service import open_files, run
from wire import head


@pytest.fixture(scope="module")
def start(make_server):
    """start(TOKEN_X=…) is a server with these settings, and its agent."""
    def start(*arguments, **settings):
        server = make_server(TOKEN_SIGNING_ALG="ES256", **settings).start(*arguments)
        return server, server.add_client("agent")

    return start


# --- records --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("records, access_rows", [("all", True), ("grants", False)])
def test_which_tokens_are_recorded(start, records, access_rows):
    server, agent = start(TOKEN_RECORDS=records)
    access, refresh, identity = (server.issue(agent, subject="user-1", scope="stories:read", tokenType=kind)
                                 for kind in ("access", "refresh", "id"))
    columns = "subject, client_id, scope, issued_at, expires_at, jti, revoked_at"
    for issued, table, is_kept in ((access, "oauth_access_tokens", access_rows),
                                   (refresh, "oauth_refresh_tokens", True)):
        claims = issued["claims"]
        row = ("user-1", "agent", "stories:read", claims["iat"], claims["exp"], claims["jti"], None)
        assert server.row(table, issued["token"], columns) == (row if is_kept else None)
    for table in ("oauth_access_tokens", "oauth_refresh_tokens"):
        assert server.row(table, identity["token"], "jti") is None

    for issued in (access, refresh, identity):  # revocations are kept whatever the setting
        assert server.revoke(agent, issued["token"], reason="test").status_code == 200
        assert server.row("revocations", issued["token"], "reason") == ("test",)
    assert server.row("oauth_refresh_tokens", refresh["token"], "revoked_at IS NULL, revoked_by") == (0, "agent")
    if access_rows:
        assert server.row("oauth_access_tokens", access["token"], "revoked_at IS NULL, revoked_by") == (0, "agent")
    server.kill()
    server.start()
    for issued in (access, refresh, identity):
        assert server.verify(agent, issued["token"]).status_code == 401
    server.stop()


def test_no_token_is_in_the_store(start):
    server, agent = start()
    issued = [server.token(agent, tokenType=kind) for kind in ("access", "refresh", "id")]
    for token in issued:
        server.revoke(agent, token)
    server.stop()
    for path in server.data_dir.iterdir():
        data = path.read_bytes()
        for token in issued:
            assert not [part for part in token.split(".")[1:] if part.encode() in data], path


def test_expired_rows_are_purged_and_the_others_stay(start):
    server, agent = start(TOKEN_PURGE_INTERVAL=1, TOKEN_CLOCK_TOLERANCE_MAX=0)
    long_lived = {kind: server.token(agent, tokenType=kind) for kind in ("access", "refresh")}
    revoked = server.token(agent, tokenType="refresh")
    server.revoke(agent, revoked)
    for at in range(30):
        token = server.token(agent, tokenType=("access", "refresh", "id")[at % 3], expiresIn=300 + at % 3)
        if at % 2:  # in time: of what has expired by then, a revocation is kept for a day
            server.revoke(agent, token)

    def counts():
        return [server.rows(f"SELECT count(*) FROM {table}")[0][0]
                for table in ("oauth_access_tokens", "oauth_refresh_tokens", "revocations")]

    assert counts() == [11, 12, 16], "what has only just expired is kept: a clock may be wrong"
    soon, two_days = int(time.time()) + 600, 2 * 24 * 3600
    with contextlib.closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.execute(f"UPDATE oauth_access_tokens SET id = id - ({two_days} << 24) WHERE expires_at < {soon}")
        for table in ("oauth_refresh_tokens", "revocations"):
            database.execute(f"UPDATE {table} SET expires_at = expires_at - {two_days} WHERE expires_at < {soon}")
    server.until(lambda: counts() == [1, 2, 1],
                 lambda: f"expired rows stay, or others go: {counts()}, purged: {server.metric('purged_rows_total')}; "
                         + server.log[-2000:])
    assert all(server.is_active(agent, token) for token in long_lived.values())
    assert not server.is_active(agent, revoked)
    server.until(lambda: server.metric("purged_rows_total") >= 20, "they are not counted")  # which comes after it
    server.stop()


def test_a_backlog_of_expired_rows_does_not_wait_for_the_next_interval(make_server):
    """Rows must go faster than they can come: some thousand tokens a second."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_PURGE_INTERVAL=3600)
    server.add_client("agent")
    with contextlib.closing(sqlite3.connect(server.database_path)) as database, database:
        database.executemany("INSERT INTO oauth_access_tokens(token_hash, jti, subject, client_id, scope, audience, "
                             "issued_at, id) VALUES (?, 'j', 's', 'agent', '', '[]', 1, (2 << 24) | ?)",
                             ((os.urandom(32), number) for number in range(25_000)))
    server.start()
    server.until(lambda: server.rows("SELECT count(*) FROM oauth_access_tokens") == [(0,)], "a part of them stays", 60)
    server.stop()


# --- issuing --------------------------------------------------------------------------------------------------------

def test_the_issuer(start):
    server, agent = start(TOKEN_ISSUER="http://localhost:9999/tokens")
    issued = server.issue(agent)
    assert issued["claims"]["iss"] == "http://localhost:9999/tokens"
    assert server.verify(agent, issued["token"]).status_code == 200
    assert server.verify(agent, issued["token"], issuer="http://localhost:9999/tokens").status_code == 200
    assert server.verify(agent, issued["token"], issuer="https://auth.storytailor.ai").status_code == 401
    assert server.introspect(agent, issued["token"])["iss"] == "http://localhost:9999/tokens"
    server.stop()


@pytest.mark.parametrize("audience, expected", [("", []), ("a", ["a"]), ("a,b", ["a", "b"]),
                                                (" a , https://b ", ["a", "https://b"]),
                                                ("agent,a", ["a"]), ("a,a", ["a"])])
def test_the_audience(start, audience, expected):
    server, agent = start(TOKEN_AUDIENCE=audience)
    assert server.issue(agent)["claims"]["aud"] == ["agent", *expected]
    assert server.issue(agent, tokenType="id")["claims"]["aud"] == "agent"
    server.stop()


def test_the_lifetimes(start):
    ttls = {"access": (60, 120), "refresh": (600, 1200), "id": (30, 40)}
    server, agent = start(**{f"TOKEN_{kind.upper()}_TTL": ttl for kind, (ttl, _) in ttls.items()},
                          **{f"TOKEN_{kind.upper()}_TTL_MAX": most for kind, (_, most) in ttls.items()})
    own = server.add_client("own", "", "--access-ttl", "5000")
    for kind, (ttl, most) in ttls.items():
        assert server.issue(agent, tokenType=kind)["expiresIn"] == ttl
        assert server.issue(agent, tokenType=kind, expiresIn=most)["expiresIn"] == most
        assert server.ask(agent, tokenType=kind, expiresIn=most + 1).status_code == 400
    assert server.issue(agent, clientId=own.id)["expiresIn"] == 5000, "a client's own setting comes first"
    server.stop()


def test_flags_come_before_the_environment(start):
    server, agent = start("--access-ttl", "77", "--issuer=https://flag.example", TOKEN_ACCESS_TTL=60,
                          TOKEN_ISSUER="https://environment.example")
    issued = server.issue(agent)
    assert (issued["expiresIn"], issued["claims"]["iss"]) == (77, "https://flag.example")
    server.stop()


def test_another_algorithm_leaves_the_old_tokens_good(make_server):
    """Every published key verifies the tokens that carry its kid (docs/contract.md, the last section)."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    old = server.token(agent, tokenType="refresh")
    for alg in ("EdDSA", "RS256", "ES256"):
        server.stop()
        server.settings["TOKEN_SIGNING_ALG"] = alg
        server.start()
        new = server.token(agent)
        published = {key["kid"]: key["alg"] for key in server.jwks()["keys"]}
        for token in (old, new):
            header = tokens.header_of(token)
            assert published[header["kid"]] == header["alg"]
            assert server.verify(agent, token).status_code == 200
        active = [row[0] for row in server.rows("SELECT kid FROM oauth_jwks WHERE state = 2")]
        assert active == [tokens.header_of(new)["kid"]]
    server.stop()


def test_the_keys_may_be_kept_for_as_long_as_the_setting_says(start):
    server, _ = start(TOKEN_JWKS_MAX_AGE=0, TOKEN_JWKS_STALE_WHILE_REVALIDATE=0, TOKEN_JWKS_STALE_IF_ERROR=0)
    assert server.get("/.well-known/jwks.json").headers["Cache-Control"] == "public, max-age=0"
    server.stop()
    server.settings |= {"TOKEN_JWKS_MAX_AGE": "86400", "TOKEN_JWKS_STALE_WHILE_REVALIDATE": "7",
                        "TOKEN_JWKS_STALE_IF_ERROR": "86400", "TOKEN_KEY_PENDING": "200000"}
    server.start()
    assert server.get("/.well-known/jwks.json").headers["Cache-Control"] == (
        "public, max-age=86400, stale-while-revalidate=7, stale-if-error=86400")
    server.stop()


@pytest.mark.parametrize("name, unsafe, safe", [
    ("TOKEN_KEY_PENDING", 3931, 3932), ("TOKEN_KEY_RETIRING", 31536031, 31536032),
    ("TOKEN_KEY_ROTATION", 7199, 7776000), ("TOKEN_JWKS_MAX_AGE", 3569, 3568),
    ("TOKEN_KEY_ROTATION", 1000000, 1100000)])
def test_a_life_cycle_that_verifiers_could_not_follow_is_refused(tmp_path, name, unsafe, safe):
    settings = {"TOKEN_DATA_DIR": str(tmp_path / "data"), "TOKEN_LISTEN": "127.0.0.1:0"}
    for arguments in (["serve"], ["serve", "--check-config"]):
        done = run(*arguments, settings=settings | {name: unsafe}, expect=2)
        assert re.search(r"TOKEN_KEY_(PENDING|RETIRING|ROTATION) is ", done.stderr.splitlines()[-1]), done.stderr
    assert not (tmp_path / "data").exists()
    assert f"{name}={safe}" in run("serve", "--check-config", settings=settings | {name: safe}).stdout


# --- checking -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("entries", [0, 1, 8])
def test_the_cache_of_verified_tokens_changes_no_answer(start, entries):
    server, agent = start(TOKEN_VERIFIED_CACHE=entries)
    issued = [server.token(agent, subject=f"user-{at}") for at in range(40)]
    for _ in range(2):
        for at, token in enumerate(issued):
            assert server.introspect(agent, token)["sub"] == f"user-{at}"
    for token in issued[::2]:
        server.revoke(agent, token)
    for at, token in enumerate(issued):
        assert server.is_active(agent, token) == (at % 2 == 1)
    if entries == 0:
        assert server.metric("verified_cache_total", result="hit") == 0
    server.stop()


def test_the_skew_and_the_greatest_tolerance(start):
    server, agent = start(TOKEN_CLOCK_SKEW=0, TOKEN_CLOCK_TOLERANCE_MAX=10)
    kid, key = server.signing_key()
    claims = server.issue(agent)["claims"]
    for ahead, good in ((0, True), (20, False)):
        times = {"iat": int(time.time()) + ahead, "nbf": int(time.time()) + ahead}
        token = tokens.sign(key, "ES256", {"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims | times)
        server.tokens.add(token)
        assert (server.verify(agent, token).status_code == 200) == good
    token = server.token(agent)
    assert server.verify(agent, token, clockTolerance=10).status_code == 200
    assert server.verify(agent, token, clockTolerance=11).status_code == 400
    server.stop()


# --- metrics and log ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("access, status", [("loopback", 200), ("any", 200), ("off", 404)])
def test_who_may_read_the_metrics(start, access, status):
    server, _ = start(TOKEN_METRICS=access)
    assert server.get("/metrics").status_code == status
    forwarded = server.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"})
    assert forwarded.status_code == (200 if access == "any" else 404), "whoever comes through a proxy is not from here"



@pytest.mark.parametrize("level, expected", [("error", set()), ("warn", {"warn"}), ("info", {"warn", "info"}),
                                             ("debug", {"warn", "info", "debug"})])
def test_the_log_level(make_server, level, expected):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LOG_LEVEL=level, TOKEN_LISTEN="127.0.0.1:0")
    server.spawn()
    # without the line that names the port, the kernel does
    server.until(lambda: listening_port(server.process.pid), "it does not listen")
    server.port = listening_port(server.process.pid)
    agent = server.add_client("agent")
    server.token(agent)
    server.post("/token", json={})
    server.stop()
    levels = {json.loads(line)["level"] for line in server.lines()}
    assert levels <= {"error"} | expected
    assert expected - {"warn"} <= levels


def listening_port(pid):
    """Of the one socket that this process listens on; None when there is none yet."""
    inodes = set()
    for name in open_files(pid):
        found = re.fullmatch(r"socket:\[(\d+)\]", name)
        inodes |= {found.group(1)} if found else set()
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    ports = {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}
    return ports.pop() if ports else None


def test_the_log_as_text_has_a_line_each_and_no_forged_ones(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LOG_FORMAT="text", TOKEN_LOG_LEVEL="debug")
    server.spawn()
    serving = re.compile(r"serving .*?\bport=(\d+)\b.*\n")
    server.until(lambda: serving.search(server.log), "it does not serve")
    server.port = int(serving.search(server.log).group(1))
    agent = server.add_client("agent")
    forged = 'x\n00:00:00.000 error forged level="error"\r\n\x1b[2J\u2028\u202e"'
    server.token(agent, subject=forged)
    with server.wire() as wire:
        wire.call(head("GET", "/nothing%0a00:00:00.000", "X-Request-Id: a\tb"))
    server.process.terminate()
    assert server.process.wait(60) == 0
    server.process = None
    text = server.log
    server.log_path.write_text("")  # the kit looks for JSON
    for line in text.split("\n")[:-1]:
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3} (error|warn |info |debug) \w+", line) and line.isprintable(), line
    assert not re.search("^00:00:00.000", text, re.M)
    assert "eyJ" not in text and agent.secret not in text


def test_what_was_done_is_in_the_log(start):
    server, agent = start()
    token = server.token(agent, subject="user-1", tokenType="refresh")
    server.revoke(agent, token, reason="logout")
    (issued,), (revoked,) = server.told("token_issued"), server.told("token_revoked")
    assert issued["token"] == revoked["token"] == hashlib.sha256(token.encode()).hexdigest()[:12]
    assert (issued["sub"], issued["client_id"], issued["type"]) == ("user-1", "agent", "refresh")
    assert (revoked["caller"], revoked["reason"]) == ("agent", "logout")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", issued["time"])
    server.stop()
