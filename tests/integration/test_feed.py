"""GET /revocations, the signed feed of what was revoked: judged by PyJWT, and by what the store holds."""

import hashlib
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import jwt
import pytest

import feed_reader
import redis_servers
import tokens
from feed_reader import hash_of
from postgres import execute

BLOCK = 4096
FAR = 4102444800  # 2100
SLOW_KMS = {"TOKEN_KMS_TIMEOUT": "60", "TOKEN_KMS_TRY_TIMEOUT": "30"}  # it is asked once, however late it answers


def open_page(server, answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/revocation-feed+jwt"
    return feed_reader.open_page(answer.text, server.jwks()["keys"])


def page_of(server, since=0):
    return open_page(server, server.get(f"/revocations?since={since}"))


def until_told(server, token, since=0):
    server.until(lambda: hash_of(token) in page_of(server, since)["entries"], "the feed does not tell of it")


def add_rows(server, positions, expires_at=FAR):
    """As another process would: revocations of invented tokens at these positions."""
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.executemany(
            "INSERT INTO revocations (position, token_hash, expires_at, reason, revoked_by, revoked_at) "
            "VALUES (?, ?, ?, 'why', 'who', 1)",
            [(at, hashlib.sha256(str(at).encode()).digest(), expires_at) for at in positions])


def hashes_of(positions):
    return {hashlib.sha256(str(at).encode()).digest()[:16] for at in positions}


# --- what a page says -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("alg", tokens.ALGORITHMS)
def test_what_is_revoked_is_told_by_its_hash_alone(make_server, alg):
    server = make_server(TOKEN_SIGNING_ALG=alg).start()
    agent = server.add_client("agent-of-the-feed")
    before = page_of(server)
    assert (before["since"], before["next"], before["more"], before["rules"]) == (0, 0, False, [])
    told = {}
    for kind in ("access", "refresh", "id"):
        issued = server.issue(agent, tokenType=kind, subject="subject-of-the-feed")
        assert server.revoke(agent, issued["token"], reason="reason-of-the-feed").status_code == 200
        told[hash_of(issued["token"])] = issued["claims"]["exp"] + 301  # the largest clockTolerance, and one
    good = server.token(agent)
    server.until(lambda: page_of(server)["entries"] == told, "the feed does not tell of them")
    page, jws = page_of(server), server.get("/revocations").text
    assert page["position"] == before["position"] + 3 and page["iss"] == "https://auth.storytailor.ai"
    assert page["exp"] - page["iat"] == 60
    assert hash_of(good) not in page["entries"]
    payload = tokens.decode(jws.split(".")[1])
    for private in (b"agent-of-the-feed", b"subject-of-the-feed", b"reason-of-the-feed", b"revoked"):
        assert private not in payload


def test_a_page_is_no_token(server, agent):
    page = server.get("/revocations").text
    assert server.verify(agent, page).json()["valid"] is False
    assert server.introspect(agent, page) == {"active": False}
    assert server.revoke(agent, page).status_code == 200
    assert server.post("/token/verify", auth=page, json={"token": page}).status_code == 401


def test_expired_entries_are_left_out(make_server):
    """But for those that a reader whose clock is behind may still hold for live."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    add_rows(server, range(1, 11), int(time.time()) - redis_servers.MARGIN_S - 5)
    add_rows(server, range(11, 21), int(time.time()) - redis_servers.MARGIN_S + 600)
    add_rows(server, range(21, 31))
    server.until(lambda: page_of(server)["position"] == 30, "the feed does not go on")
    assert page_of(server)["entries"].keys() == hashes_of(range(11, 31))


# --- HTTP -----------------------------------------------------------------------------------------------------------

def test_a_cache_may_keep_the_tail_for_a_second(server):
    answer = server.get("/revocations", headers={"Origin": "https://any.example"})
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    assert answer.headers["Access-Control-Allow-Origin"] == "*" and "Vary" not in answer.headers
    head = server.request("HEAD", "/revocations?since=0")
    assert head.status_code == 200 and head.content == b"" and head.headers["Content-Type"].endswith("feed+jwt")
    same = server.get("/revocations", headers={"If-None-Match": answer.headers["ETag"]})
    if same.status_code == 200:  # signed anew in between
        same = server.get("/revocations", headers={"If-None-Match": f'"x", W/{same.headers["ETag"]}'})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["Cache-Control"] == "public, max-age=1" and same.headers["ETag"]


def test_the_tag_changes_with_what_is_told(server, agent):
    tag = server.get("/revocations").headers["ETag"]
    token = server.token(agent)
    server.revoke(agent, token)
    until_told(server, token)
    answer = server.get("/revocations", headers={"If-None-Match": tag})
    assert answer.status_code == 200 and answer.headers["ETag"] != tag


@pytest.mark.parametrize("query", ["since=-1", "since=01", "since=", "since", "since=1.0", "since=x", "x=1",
                                   "since=1&x=1", "since=1&since=1", "since=%2B1", "since=9007199254740993",
                                   "since=" + "9" * 40])
def test_another_query_is_refused(server, query):
    answer = server.get(f"/revocations?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_another_method_is_refused(server):
    assert server.post("/revocations", json={}).status_code == 405
    assert server.request("OPTIONS", "/revocations").headers["Allow"] == "GET, HEAD, OPTIONS"


# --- pages ----------------------------------------------------------------------------------------------------------

def test_pages_are_cut_at_fixed_positions(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    first, second, last = range(1, BLOCK + 1), range(BLOCK + 1, 5001), [10000]
    add_rows(server, [*first, *second])
    server.until(lambda: page_of(server, BLOCK)["position"] == 5000, "the feed does not go on")
    for since in (BLOCK, BLOCK + 1, 5000, 2 * BLOCK, 2**53):  # what lies behind the tail is the tail
        page = page_of(server, since)
        assert (page["since"], page["next"], page["more"]) == (BLOCK, BLOCK, False)
        assert page["entries"].keys() == hashes_of(second)
    add_rows(server, last)
    server.until(lambda: not page_of(server, 2 * BLOCK)["more"] and page_of(server, 2 * BLOCK)["position"] == 10000,
                 "the feed does not go on")
    for since in (0, 1, BLOCK - 1):
        page = page_of(server, since)
        assert (page["since"], page["next"], page["more"], page["position"]) == (0, BLOCK, True, BLOCK)
        assert page["entries"].keys() == hashes_of(first)
    page = page_of(server, 5000)
    assert (page["since"], page["next"], page["more"]) == (BLOCK, 2 * BLOCK, True)
    assert page["entries"].keys() == hashes_of(second)
    closed = server.get("/revocations?since=0")
    assert closed.headers["Cache-Control"] == "public, max-age=60"
    assert server.get("/revocations?since=1", headers={"If-None-Match": closed.headers["ETag"]}).status_code == 304
    assert page_of(server, 2 * BLOCK)["entries"].keys() == hashes_of(last)

    server.kill()
    server.start()
    seen, since, steps = {}, 0, 0
    while True:
        page = page_of(server, since)
        assert page["since"] == since
        seen |= page["entries"]
        steps += 1
        if not page["more"]:
            break
        since = page["next"]
    assert steps == 3 and seen.keys() == hashes_of([*first, *second, *last])


def test_pages_without_anything_are_passed_over(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    add_rows(server, [5, 10 * BLOCK + 1, 20 * BLOCK])  # the last position of its page: the tail is the one behind it
    server.until(lambda: page_of(server, 2**53)["position"] == 20 * BLOCK, "the feed does not go on")
    assert [(page["since"], page["next"]) for page in map(lambda at: page_of(server, at),
                                                          (0, 3 * BLOCK, 10 * BLOCK, 19 * BLOCK, 20 * BLOCK))] == [
        (0, 10 * BLOCK), (3 * BLOCK, 10 * BLOCK), (10 * BLOCK, 19 * BLOCK), (19 * BLOCK, 20 * BLOCK),
        (20 * BLOCK, 20 * BLOCK)]


def test_nobody_makes_the_service_sign_as_often_as_they_like(make_server):
    """More pages than may be signed at once, and than are kept. The tail is not touched by it."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    pages = 3000
    add_rows(server, [at * BLOCK + 1 for at in range(pages)])
    tail = (pages - 1) * BLOCK
    server.until(lambda: page_of(server, tail)["position"] == tail + 1, "the feed does not go on")

    def ask(at):
        while "is being made" in (answer := server.get(f"/revocations?since={at * BLOCK}")).text:
            pass  # too many wait for a page that is slow, which is another bound
        return answer

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(pages - 1)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert len(answers) - len(refused) >= 256
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert page_of(server, tail)["more"] is False
    assert server.metric("feed_limited_total") > 0
    assert server.metric("feed_pages_signed_total") < pages
    assert server.metric("feed_bytes") < 16 * 1024 * 1024
    server.until(lambda: ask(pages - 2).status_code == 200, "it does not come back")


# --- what fails, and where there is none ----------------------------------------------------------------------------

def test_nothing_is_signed_without_the_store(make_server):
    """What was signed is told on until its exp; anything newer would be made up."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    add_rows(server, [1, BLOCK + 1])
    server.until(lambda: page_of(server, BLOCK)["position"] == BLOCK + 1, "the feed does not go on")
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.execute("ALTER TABLE revocations RENAME TO away")
    last = page_of(server, BLOCK)
    closed = server.get("/revocations?since=0")
    assert closed.status_code == 503 and closed.json()["error"] == "temporarily_unavailable"
    while time.time() <= last["iat"] + 13:  # it would be signed again when it is 10 s old
        assert page_of(server, BLOCK)["iat"] == last["iat"]
        time.sleep(0.5)
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.execute("ALTER TABLE away RENAME TO revocations")
    server.until(lambda: page_of(server, BLOCK)["iat"] > last["iat"], "it does not go on")
    assert page_of(server)["entries"].keys() == hashes_of([1])


def test_an_old_page_is_signed_again(server):
    first = page_of(server)["iat"]
    server.until(lambda: page_of(server)["iat"] > first, "it gets old")
    assert page_of(server)["iat"] >= first + 10


def test_a_page_of_a_revoked_key_is_signed_again(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start().settled()
    agent = server.add_client("agent")
    add_rows(server, [1, BLOCK + 1])
    server.until(lambda: page_of(server, BLOCK)["position"] == BLOCK + 1, "the feed does not go on")
    kids = {jwt.get_unverified_header(server.get(f"/revocations?since={at}").text)["kid"] for at in (0, BLOCK)}
    assert server.post("/admin/rotate-keys", auth=agent, json={"immediate": True, "revoke": kids.pop()}
                       ).status_code == 200 and not kids
    for at in (0, BLOCK):
        page_of(server, at)  # open_page() finds its key among those that are published


def test_a_feed_at_rest_costs_kms_hardly_a_signature(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256", **SLOW_KMS)
    begin = time.time()
    page_of(server)  # or others would wait for it, which they do for a second
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda at: server.get(f"/revocations?since={at * BLOCK}"), range(300)))
    assert {answer.status_code for answer in answers} == {200}
    signed = kms.calls("Sign")
    assert 1 <= len(signed) <= 2 + (time.time() - begin) / 10
    assert open_page(server, answers[-1])["more"] is False


def test_what_could_not_be_signed_is_told_once_it_can(kms, start):
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256", **SLOW_KMS)
    token = server.token(server.agent)
    before = page_of(server)
    kms.proxy.down()
    assert server.revoke(server.agent, token).status_code == 200
    time.sleep(1)
    page = page_of(server)  # what was signed, and is good for a minute
    assert page["iat"] == before["iat"] and hash_of(token) not in page["entries"]
    kms.proxy.up()
    until_told(server, token)


def test_it_may_be_turned_off(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REVOCATION_FEED="off").start()
    answer = server.get("/revocations")
    assert answer.status_code == 404 and "turned off" in answer.json()["error_description"]


def test_without_a_store_that_knows_everything_there_is_none(make_server, tmp_path):
    redis = redis_servers.single(tmp_path / "redis").start()
    try:
        server = make_server(TOKEN_SIGNING_ALG="ES256", REDIS_URL=redis.url).start()
        answer = server.get("/revocations")
        assert answer.status_code == 404 and "one database" in answer.json()["error_description"]
        assert server.told("no_revocation_feed")
        server.session.close()
        server.stop()
    finally:
        redis.kill()


# --- many instances -------------------------------------------------------------------------------------------------

def test_instances_of_one_database_tell_the_same(postgres, make_server):
    url = postgres.database(f"feed-{uuid.uuid4().hex[:8]}")
    one = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=url).start()
    other = make_server(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=url, TOKEN_DATA_DIR=str(one.data_dir)).start()
    agent = one.add_client("agent")
    revoked = [one.token(agent) for _ in range(20)]
    for at, token in enumerate(revoked):
        assert (one, other)[at % 2].revoke(agent, token).status_code == 200
    for server in (one, other):
        server.until(lambda server=server: page_of(server)["entries"].keys() == {*map(hash_of, revoked)},
                     "it lacks some")
    assert page_of(one)["position"] == page_of(other)["position"]
    execute(url, "SELECT setval('token_service_positions', 5000)")
    token = one.token(agent)
    assert one.revoke(agent, token).status_code == 200
    for server in (one, other):
        until_told(server, token, BLOCK)
        first = page_of(server)
        assert (first["next"], first["more"]) == (BLOCK, True) and len(first["entries"]) == 20
    for server in (one, other):
        server.session.close()
        server.stop()
