"""The daemon as an HTTP server: routes and methods, CORS, limits, slow clients, and signals."""

import json
import os
import pathlib
import select
import signal
import socket
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import requests

from service import DEFAULTS, check_answer, run
from wire import PATIENCE_S, Broken, Closed, Wire, head, post

POSTS = ["/token", "/token/verify", "/token/introspect", "/token/revoke"]
GETS = ["/.well-known/jwks.json", "/health/live", "/health/ready", "/metrics"]
PORTAL = "https://portal.storytailor.ai"


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_CORS_ORIGINS=f"{PORTAL}, http://localhost:3000",
                       TOKEN_SIGNING_ALG="ES256").start().settled()


# --- routes and methods ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/nothing", "/token/nothing", "/authorize", "/prod", "/prod/", "/prod/token"])
def test_an_unknown_path_is_404(server, path):
    for method in ("GET", "POST"):
        answer = server.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
@pytest.mark.parametrize("path", POSTS)
def test_a_wrong_method_is_405_with_allow(server, path, method):
    answer = server.request(method, path)
    assert answer.status_code == 405
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == {"POST", "OPTIONS"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", GETS)
def test_what_is_read_is_not_posted(server, path, method):
    answer = server.request(method, path)
    assert answer.status_code == 405
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", GETS)
def test_head_says_what_get_says_without_its_body(server, path):
    if path == "/metrics":
        return  # its length is another each time
    with server.wire() as wire:
        whole = wire.call(head("GET", path))
        wire.send(head("HEAD", path))
        empty = wire.read(to_head=True)
        for each in (whole, empty):
            del each.headers["x-request-id"], each.headers["date"]
        assert (empty.status, empty.headers) == (whole.status, whole.headers)
        assert wire.call(head("GET", "/health/live")).status == 200, "no body came behind the head"


@pytest.fixture(scope="module")
def staged(make_server):
    return make_server(TOKEN_PATH_PREFIX="/prod", TOKEN_SIGNING_ALG="ES256").start().settled()


def test_a_path_has_no_other_name_than_its_own(server):
    """What a proxy refuses by its path must not be had by another: no first segment is a stage unless the settings say
    so."""
    for path in (*POSTS, *GETS, "/admin/rotate-keys", "/admin/revocations", "/revocations"):
        for first in ("/prod", "/x", "/$default", "/token", "/health", "/adm", "/."):
            with server.wire() as wire:  # clients' libraries would mend some of these
                for method in ("GET", "POST", "OPTIONS"):
                    assert wire.call(head(method, first + path)).status == 404, first + path


def test_behind_the_prefix_of_the_settings_is_every_path_and_behind_no_other(staged):
    agent = staged.add_client("agent")
    for prefix in ("", "/prod"):
        for path in POSTS:
            body = {"token": "x"} if path != "/token" else {"subject": "s", "clientId": "agent", "scope": "",
                                                            "tokenType": "access"}
            assert staged.post(prefix + path, auth=agent, json=body).status_code in (200, 401)
        for path in (*GETS, "/revocations"):
            assert staged.get(prefix + path).status_code == 200
        assert staged.post(prefix + "/admin/rotate-keys", auth=agent).status_code == 200
    for path in (*POSTS, *GETS):
        for first in ("/Prod", "/prod/prod", "/prod/", "/pro", "/prodx", "/x", "/%70rod", "/./prod", "//prod"):
            with staged.wire() as wire:
                assert wire.call(head("OPTIONS", first + path)).status == 404, first + path


def test_the_first_page_names_the_documents(server, staged):
    for each, path, prefix in ((server, "/", ""), (staged, "/", ""), (staged, "/prod", "/prod"),
                               (staged, "/prod/", "/prod")):
        answer = each.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        index = answer.json()
        assert index["issuer"] == "https://auth.storytailor.ai"
        for document in index["documents"].values():
            assert document.startswith(prefix + "/") and each.get(document).status_code == 200, document
        assert each.get(index["documents"]["jwks"]).json()["keys"]


# --- the public keys' type ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("accept, kind", [
    (None, "json"), ("", "json"), ("*/*", "json"), ("application/json", "json"), ("application/*", "json"),
    ("application/jwk-set+json", "jwk-set+json"), ("application/jwk-set+json, */*", "jwk-set+json"),
    ("APPLICATION/JWK-SET+JSON", "jwk-set+json"), ("application/jwk-set+json, application/json;q=0.9", "jwk-set+json"),
    ("application/json, application/jwk-set+json", "json"), ("application/jwk-set+json;q=0.5, */*", "json"),
    ("application/jwk-set+json;q=0", "json"), ("application/jwk-set+json;q=x", "json"), ("text/html", "json")])
def test_the_keys_are_json_unless_their_own_type_is_asked_for(server, accept, kind):
    """RFC 9110 section 12.5.1."""
    answer = server.get("/.well-known/jwks.json", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/" + kind
    assert answer.headers["Vary"] == "Accept"
    again = server.get("/.well-known/jwks.json", headers={"Accept": accept, "If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.headers["Vary"]) == (304, "Accept")


def test_entity_tags_on_several_lines_are_one_list(server):
    """RFC 9110 section 5.3."""
    etag = server.settled().get("/.well-known/jwks.json").headers["ETag"]
    for lines, status in (([f"If-None-Match: {etag}", 'If-None-Match: "x"'], 304),
                          (['If-None-Match: "x", W/"y"', f"If-None-Match: W/{etag}"], 304),
                          (['If-None-Match: "a,b"', f"If-None-Match: {etag}"], 304),
                          (['If-None-Match: "x"', 'If-None-Match: "y"'], 200),
                          (["If-None-Match: *"], 304), (["If-None-Match: *", 'If-None-Match: "x"'], 200)):
        with server.wire() as wire:
            assert wire.call(head("GET", "/.well-known/jwks.json", *lines)).status == status, lines


# --- headers --------------------------------------------------------------------------------------------------------

def test_answers_are_not_stored_but_for_the_keys(server, agent):
    for answer in (server.issue, server.introspect):
        assert answer  # checked on every call of the kit: service.check_answer()
    assert server.post("/token/introspect", auth=agent, json={"token": "x"}).headers["Cache-Control"] == "no-store"
    assert server.get("/nothing").headers["Cache-Control"] == "no-store"
    assert server.get("/.well-known/jwks.json").headers["Cache-Control"].startswith("public, max-age=300,")
    assert "no-store" not in server.get("/health/live").headers.get("Cache-Control", "")


def test_every_answer_has_a_request_id_and_a_callers_own_is_kept(server, agent):
    ids = {server.get("/health/live").headers["X-Request-Id"] for _ in range(20)}
    assert len(ids) == 20
    for own in ("a", "trace-1.2_3", "0123456789abcdef" * 4):
        answer = server.post("/token", auth=agent, headers={"X-Request-Id": own}, json={
            "subject": "s", "clientId": "agent", "scope": "", "tokenType": "refresh"})
        assert answer.headers["X-Request-Id"] == own
        server.names(f'"event":"token_issued","request_id":"{own}"')


def test_connections_are_kept_and_closed_when_asked(server):
    with server.wire() as wire:
        for _ in range(100):
            assert wire.call(head("GET", "/health/live")).status == 200
        assert wire.call(head("GET", "/health/live", "Connection: close")).headers["connection"] == "close"
        assert wire.is_closed()
    with server.wire() as wire:
        assert wire.call(head("GET", "/health/live", version="HTTP/1.0")).status == 200
        assert wire.is_closed()


# --- CORS -----------------------------------------------------------------------------------------------------------

def preflight(server, path, origin=PORTAL):
    return server.request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, authorization"})


def allowed(answer):
    return answer.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", POSTS + GETS)
def test_options_is_204(server, path):
    answer = server.request("OPTIONS", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Allow"]
    lower = {name.lower(): value for name, value in answer.headers.items()}
    given = {name: value for name, value in lower.items() if name.startswith("access-control-")}
    assert given.get("access-control-allow-origin") == ("*" if "jwks" in path else None)


@pytest.mark.parametrize("path", ["/token", "/token/revoke"])
def test_the_settings_origins_may_call_token_and_revocation(server, agent, path):
    for origin in (PORTAL, "http://localhost:3000"):
        answer = preflight(server, path, origin)
        assert answer.status_code == 204
        assert allowed(answer) == origin
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
        assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"
        assert "Origin" in answer.headers["Vary"]
        for auth in (agent, None):
            answer = server.post(path, auth=auth, json={"token": "x"}, headers={"Origin": origin})
            assert allowed(answer) == origin, "errors too can be read by the caller"


@pytest.mark.parametrize("path", ["/token", "/token/revoke"])
@pytest.mark.parametrize("origin", [
    "https://evil.example", "null", "*", PORTAL + ".evil.example", PORTAL + "/", PORTAL.upper(), PORTAL + ":443",
    "https://",
    "http://portal.storytailor.ai", "https://portal.storytailor.ai, http://localhost:3000",
    "https://evil.example," + PORTAL,
    "http://localhost:3001", "", "portal.storytailor.ai"])
def test_other_origins_may_not(server, agent, path, origin):
    for answer in (preflight(server, path, origin), server.post(path, auth=agent, json={"token": "x"},
                                                                headers={"Origin": origin})):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")], origin


@pytest.mark.parametrize("path", ["/token/verify", "/token/introspect", "/health/live", "/metrics"])
def test_browsers_have_no_business_elsewhere(server, agent, path):
    assert allowed(preflight(server, path)) is None
    assert allowed(server.request("GET", path, headers={"Origin": PORTAL})) is None


def test_the_keys_are_open_to_all(server):
    for origin in (PORTAL, "https://evil.example", "null"):
        assert allowed(server.get("/.well-known/jwks.json", headers={"Origin": origin})) == "*"
        assert allowed(preflight(server, "/.well-known/jwks.json", origin)) == "*"


def test_no_origin_may_call_by_default_and_all_may_when_asked_for(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256") as server:
        assert allowed(preflight(server, "/token")) is None
        assert allowed(server.get("/.well-known/jwks.json", headers={"Origin": PORTAL})) == "*"
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CORS_ORIGINS="*") as server:
        assert allowed(preflight(server, "/token", "https://any.example")) == "*"


# --- limits ---------------------------------------------------------------------------------------------------------

def test_limits_are_settings(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_BODY_MAX=1024, TOKEN_HEADER_MAX=1024) as server:
        agent = server.add_client("agent")
        for size, status in ((1024, 200), (1025, 413)):
            body = ('{"token":"' + "x" * (size - 12) + '"}').encode()
            assert len(body) == size
            with server.wire() as wire:
                answer = wire.call(post("/token/introspect", body, "application/json",
                                        f"Authorization: {agent.basic()}"))
                assert answer.status == status
        with server.wire() as wire:
            assert wire.call(head("GET", "/health/live", "X-Any: " + "x" * 600)).status == 200
        with server.wire() as wire:
            assert wire.call(head("GET", "/health/live", "X-Any: " + "x" * 40000)).status == 431


def test_a_full_queue_is_answered_503_at_once(make_server):
    with make_server(TOKEN_WORKERS=1, TOKEN_QUEUE=1, TOKEN_LOOPS=1) as server:
        agent = server.add_client("agent")
        request = post("/token", json.dumps({"subject": "s", "clientId": "agent", "scope": "", "tokenType": "access"})
                       .encode(), "application/json", f"Authorization: {agent.basic()}")
        statuses = set()
        for _ in range(20):
            wires = [server.wire() for _ in range(100)]
            for wire in wires:
                wire.send(request)
            for wire in wires:
                with wire:
                    answer = wire.read()
                    check_answer("POST", "/token", answer.status, answer.headers, answer.body)
                    statuses.add(answer.status)
                    if answer.status == 503:
                        assert answer.json()["error"] == "temporarily_unavailable"
                        assert int(answer.headers["retry-after"]) >= 1
            if 503 in statuses:
                break
        assert statuses == {200, 503}
        assert server.metric("queue_full_total") >= 1
        assert server.ask(agent).status_code == 200, "and goes on"


def crowd(server, requests_of_it):
    """Each on a connection of its own, all of them sent before the first answer is read; the answers."""
    wires = [server.wire() for _ in requests_of_it]
    for wire, request in zip(wires, requests_of_it):
        wire.send(request)
    answers = []
    for wire in wires:
        with wire:
            answers.append(wire.read())
            check_answer("POST", "/token", answers[-1].status, answers[-1].headers, answers[-1].body)
    return answers


def issue_request(agent, client_id="agent"):
    body = {"subject": "s", "clientId": client_id, "scope": "", "tokenType": "access"}
    return post("/token", json.dumps(body).encode(), "application/json", f"Authorization: {agent.basic()}")


def test_who_would_wait_too_long_is_told_so_and_who_was_accepted_is_answered(make_server):
    """A flood, of which each asks again on its connection as soon as it is refused, until it has its token."""
    with make_server(TOKEN_LOOPS=1, TOKEN_QUEUE_WAIT_MS=1) as server:
        agent = server.add_client("agent")
        assert server.ask(agent).status_code == 200, "and is known from now on"
        request = issue_request(agent)
        refusals, wires = 0, [server.wire() for _ in range(200)]
        with asleep(server):
            for wire in wires:
                wire.send(request)
        while wires:
            answers = [wire.read() for wire in wires]
            for answer in answers:
                check_answer("POST", "/token", answer.status, answer.headers, answer.body)
                assert answer.status in (200, 503)
                assert answer.status == 200 or int(answer.headers["retry-after"]) >= 1
            refused = [wire for wire, answer in zip(wires, answers) if answer.status == 503]
            for wire in refused:
                wire.send(request)
            for wire in set(wires) - set(refused):
                wire.close()
            refusals, wires = refusals + len(refused), refused
        assert server.metric("queue_slow_total") == refusals > 0
        assert server.metric("queue_full_total") == 0
        assert server.metric("tokens_issued_total", type="access") == 201
        assert server.metric("queue_wait_seconds_count") > 1
        server.until(lambda: sum(line["refused"] for line in server.events("overloaded")) == refusals, "it is not told")
        assert {line["status"] for line in server.events("request")} <= {200}, "they are not told one by one"


def test_what_memory_lacks_when_its_turn_comes_is_looked_up(make_server):
    with make_server(TOKEN_LOOPS=1) as server:
        agent = server.add_client("agent")
        assert server.ask(agent).status_code == 200, "and is known from now on"
        server.add_client("other")
        for answer in crowd(server, [issue_request(agent, "other")] * 20):
            assert answer.status == 200 and answer.json()["claims"]["client_id"] == "other"


def connections_of_loops(server):
    """Of each loop; its epoll's file descriptor tells how many others it watches, of which two are its own."""
    folder, counts = pathlib.Path(f"/proc/{server.process.pid}"), []
    for fd in (folder / "fd").iterdir():
        with suppress(FileNotFoundError):  # it opens others now and then
            if os.readlink(fd) == "anon_inode:[eventpoll]":
                counts.append((folder / "fdinfo" / fd.name).read_text().count("tfd:") - 2)
    return counts


def test_loops_have_as_many_connections_as_each_other(make_server):
    with make_server(TOKEN_LOOPS=4) as server:
        server.session.close()
        server.until(lambda: sum(connections_of_loops(server)) == 0, "the first one stays")
        for wires in ([server.wire() for _ in range(count)] for count in (8, *[40] * 20)):
            for wire in wires:
                assert wire.call(head("GET", "/health/live")).status == 200
            counts = connections_of_loops(server)
            assert len(counts) == 4 and max(counts) - min(counts) <= 1, counts
            for wire in wires:
                wire.close()
            server.until(lambda: sum(connections_of_loops(server)) == 0, "connections stay")


@pytest.mark.parametrize("authorization, status", [(None, 401), ("Basic nonsense", 401), ("Bearer a.b.c", 401),
                                                   ("Scoped", 403)])
def test_whoever_memory_can_judge_waits_for_no_worker(make_server, authorization, status):
    """A crowd of them, before a queue with room for one: nobody is told that it is full."""
    with make_server(TOKEN_WORKERS=1, TOKEN_QUEUE=1, TOKEN_LOOPS=1) as server:
        poor = server.add_client("poor", "token:verify")
        assert server.ask(poor).status_code == 403, "and is known from now on"
        path = "/admin/rotate-keys" if authorization == "Scoped" else "/token"
        line = f"Authorization: {poor.basic() if authorization == 'Scoped' else authorization}"
        request = post(path, b"{}", "application/json", *([line] if authorization else []))
        for _ in range(5):
            assert {answer.status for answer in crowd(server, [request] * 100)} == {status}
        assert server.metric("queue_full_total") == 0


def test_unknown_callers_leave_the_known_ones_their_places(make_server):
    with make_server(TOKEN_WORKERS=1, TOKEN_QUEUE=64, TOKEN_QUEUE_WAIT_MS=60000, TOKEN_LOOPS=1) as server:
        agent = server.add_client("agent")
        body = json.dumps({"subject": "s", "clientId": "agent", "scope": "", "tokenType": "access"}).encode()
        good = post("/token", body, "application/json", f"Authorization: {agent.basic()}")
        assert server.ask(agent).status_code == 200
        for times in range(5):
            strangers = [post("/token", body, "application/json", f"Authorization: {agent.basic(f'wrong-{i}')}")
                         for i in range(150)]
            answers = crowd(server, strangers + [good] * 40)
            assert {answer.status for answer in answers[:150]} <= {401, 503}
            assert [answer.status for answer in answers[150:]] == [200] * 40
        assert server.metric("authentications_total", method="client_secret_basic", result="ok") == 1 + 5 * 40


# --- slow clients ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def impatient(make_server):
    """Too much so for a busy machine: only for clients that are to be cut."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REQUEST_TIMEOUT=1, TOKEN_IDLE_TIMEOUT=1)
    server.spawn()
    server.port = server._wait_for_port(0)
    return server


def timeouts_of(server):
    """The metric. Who asks for it may be cut as well."""
    while True:
        with suppress(requests.ConnectionError):
            return server.metric("request_timeouts_total")


def drip(wire, data):
    """A byte at a time, until the server has had enough. True when it closes before the end."""
    wire.socket.settimeout(0.1)
    for at in range(len(data)):
        wire.send(data[at:at + 1])
        try:
            if not wire._more():
                return True
        except TimeoutError:
            pass
    return False


SLOW = {
    "the request line": b"G" * 400,
    "a header's name": head("GET", "/health/live")[:-2] + b"X" * 400,
    "a header's value": head("GET", "/health/live")[:-2] + b"X: " + b"y" * 400,
    "headers": head("GET", "/health/live")[:-2] + b"X: y\r\n" * 100,
    "a body": head("POST", "/token/verify", "Content-Length: 400") + b"{" + b" " * 399,
    "a body of an unknown path": head("POST", "/nothing", "Content-Length: 400") + b"{" + b" " * 399,
    "a chunk": head("POST", "/token/verify", "Transfer-Encoding: chunked") + b"190\r\n" + b" " * 400,
    "chunks": head("POST", "/token/verify", "Transfer-Encoding: chunked") + b"1\r\n \r\n" * 100,
    "a body too large": head("POST", "/token/verify", "Content-Length: 1000000") + b" " * 400,
    "blank lines": b"\r\n" * 300,
}


def status_after_dripping(server, data):
    with server.wire() as wire:
        quick = min(len(data) - 350, data.find(b"\r\n\r\n") + 4) if b"\r\n\r\n" in data else 0
        wire.send(data[:quick])
        return wire.read().status if drip(wire, data[quick:]) else "it was not cut"


def test_a_client_that_drips_is_cut(make_server):
    """400 bytes, a tenth of a second each: none of them gets to its end."""
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REQUEST_TIMEOUT=8) as server, \
            ThreadPoolExecutor(len(SLOW)) as pool:  # all at once, since the limit is one for a busy machine
        statuses = dict(zip(SLOW, pool.map(lambda data: status_after_dripping(server, data), SLOW.values())))
    assert statuses.pop("a body too large") == 413
    assert set(statuses.values()) <= {400, 408}, statuses


def test_a_silent_connection_is_cut_before_and_between_requests(impatient, make_server):
    with impatient.wire() as silent:
        assert silent.is_closed() and silent.unread == b""
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REQUEST_TIMEOUT=300, TOKEN_IDLE_TIMEOUT=1) as server, \
            server.wire() as idle:
        assert idle.call(head("GET", "/health/live")).status == 200
        assert idle.is_closed() and idle.unread == b""


def test_a_client_that_never_reads_is_cut(impatient):
    """It asks for more than the buffers between can hold, and takes none of it."""
    before = timeouts_of(impatient)
    wire = Wire.__new__(Wire)
    wire.socket, wire.unread = socket.socket(), b""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.socket.settimeout(PATIENCE_S)
    wire.socket.connect(("127.0.0.1", impatient.port))
    request = head("GET", "/metrics") * 50
    wire.socket.setblocking(False)
    end = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < end:  # until neither side's buffers take any more
            wire.socket.send(request)
    except BlockingIOError:
        pass
    except (BrokenPipeError, ConnectionResetError):
        pass  # cut already
    impatient.until(lambda: timeouts_of(impatient) > before, "it is not cut")
    wire.close()


def test_slow_clients_keep_nobody_waiting(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REQUEST_TIMEOUT=8) as server:
        slow = [server.wire() for _ in range(50)]
        for wire in slow:
            wire.send(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert all(server.still_answers() for _ in range(50))
        for wire in slow:
            with wire:
                assert wire.is_closed()
        assert server.metric("request_timeouts_total") >= 50


@pytest.fixture(scope="module")
def patient(make_server):
    """Time limits that no test waits for."""
    return make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REQUEST_TIMEOUT=300, TOKEN_IDLE_TIMEOUT=3600,
                       TOKEN_DRAIN_TIMEOUT=2).start()


@contextmanager
def asleep(server):
    """What comes meanwhile is all there when the server looks next, as it is under load."""
    server.process.send_signal(signal.SIGSTOP)
    yield
    server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_client_that_says_it_is_done_is_answered_and_closed(patient, is_new):
    """It shuts its direction down with its request, as `nc -N` does; the server reads both at once."""
    with patient.wire() as wire:
        if not is_new:
            assert wire.call(head("GET", "/health/live")).status == 200
        with asleep(patient):
            wire.send(head("GET", "/health/live"))
            wire.end()
        assert wire.read().status == 200
        assert wire.is_closed(), "the connection stays until its idle timeout"


PARTS_OF_REQUESTS = [b"", b"G", b"GET", head("GET", "/health/live")[:-2], head("GET", "/health/live"),
                     head("POST", "/token", "Content-Length: 100"),
                     head("POST", "/token", "Content-Length: 100") + b"{"]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_client_that_has_gone_is_noticed(patient, is_new):
    """Else its place is taken for as long as the time limits are."""
    before = patient.metric("connections")
    wires = [patient.wire() for _ in PARTS_OF_REQUESTS * 3]
    for wire in wires:
        if not is_new:
            assert wire.call(head("GET", "/health/live")).status == 200
    with asleep(patient):
        for wire, part in zip(wires, PARTS_OF_REQUESTS * 3):
            with wire:
                wire.send(part)
    patient.until(lambda: patient.metric("connections") <= before, "their connections stay until a time limit")


# --- signals --------------------------------------------------------------------------------------------------------

def test_sigterm_answers_what_is_in_flight(make_server):
    """Requests that were sent before the signal, on connections old and new, are all answered; what was acknowledged is
    there after the next start."""
    server = make_server().start()
    agent = server.add_client("agent")
    body = json.dumps({"subject": "s", "clientId": "agent", "scope": "", "tokenType": "refresh"}).encode()
    request = post("/token", body, "application/json", f"Authorization: {agent.basic()}")
    old = [server.wire() for _ in range(40)]
    for wire in old:
        assert wire.call(head("GET", "/health/live")).status == 200
    new = [server.wire() for _ in range(160)]
    for wire in old + new:
        wire.send(request)
    server.process.send_signal(signal.SIGTERM)
    answers = []
    for wire in old + new:
        with wire:
            answers.append(wire.read())
    assert {answer.status for answer in answers} == {200}
    server.stop()

    server.start()
    for answer in answers:
        assert server.is_active(agent, answer.json()["token"])
    server.stop()


def test_sigterm_under_load_breaks_no_answer(make_server):
    """Callers that go on and on see each request answered in full, or their connection ended between two."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    agent = server.add_client("agent")
    body = json.dumps({"subject": "s", "clientId": "agent", "scope": "", "tokenType": "refresh"}).encode()
    request = post("/token", body, "application/json", f"Authorization: {agent.basic()}")
    acknowledged, broken = [], []

    def call_on_and_on():
        try:
            with server.wire() as wire:
                while True:
                    answer = wire.call(request)
                    assert answer.status == 200
                    acknowledged.append(answer.json()["token"])
        except (Closed, ConnectionRefusedError, ConnectionResetError):
            pass
        except (Broken, AssertionError) as fault:
            broken.append(fault)

    threads = [threading.Thread(target=call_on_and_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    server.until(lambda: len(acknowledged) > 200, "no load came about")
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert not broken
    server.stop()
    server.start()
    for token in acknowledged:
        assert server.is_active(agent, token)
    server.stop()


def test_a_stop_is_not_held_up_by_idle_or_slow_connections(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_DRAIN_TIMEOUT=1).start()
    idle, slow, silent = server.wire(), server.wire(), server.wire()
    assert idle.call(head("GET", "/health/live")).status == 200
    slow.send(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    server.stop()
    for wire in (idle, slow, silent):
        with wire:
            assert wire.is_closed()


def test_a_stop_is_not_held_up_by_a_client_that_has_gone(make_server):
    """Its last bytes and its end come together with the signal; the limits are longer than this test's patience."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_REQUEST_TIMEOUT=300, TOKEN_DRAIN_TIMEOUT=600).start()
    wires = [server.wire() for _ in PARTS_OF_REQUESTS * 3]
    for wire in wires:
        assert wire.call(head("GET", "/health/live")).status == 200
    with asleep(server):
        for wire, part in zip(wires, PARTS_OF_REQUESTS * 3):
            with wire:
                wire.send(part)
        server.process.send_signal(signal.SIGTERM)
    try:
        assert server.process.wait(PATIENCE_S) == 0
    finally:
        server.kill()
    server.check_log()


def test_sigint_stops_as_sigterm_does(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    server.stop(signal.SIGINT)
    (event,) = server.events("stopped")
    assert event["port"] == server.port


def test_sighup_rereads_the_clients_and_breaks_nothing(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CLIENT_CACHE_TTL=3600) as server:
        agent, other = server.add_client("agent"), server.add_client("other")
        assert server.introspect(other, "x") == {"active": False}
        server.run("clients", "disable", "other")
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: server.post("/token/introspect", auth=other, json={"token": "x"}).status_code == 401,
                     "the disabled client is still let in")
        assert server.told("rereading")
        for _ in range(20):
            server.process.send_signal(signal.SIGHUP)
            assert server.ask(agent).status_code == 200


# --- one address, one directory -------------------------------------------------------------------------------------

def refuses_to_start(server, word):
    """One clear sentence on standard error, exit status 2, and no trace of an inside."""
    begin = server.log_path.stat().st_size
    assert server.spawn().wait(PATIENCE_S) == 2
    server.process = None
    log = server.log_path.read_bytes()
    server.log_path.write_bytes(log[:begin])  # the sentence is no JSON, and need not be
    said = log[begin:].decode()
    sentences = [line for line in said.splitlines() if not line.startswith("{")]
    assert len(sentences) == 1 and word in sentences[0], said


def test_a_second_server_on_the_same_directory_is_refused(server, agent, make_server):
    second = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_DATA_DIR=str(server.data_dir))
    refuses_to_start(second, "TOKEN_DATA_DIR")
    assert server.ask(agent).status_code == 200


def test_a_second_server_on_the_same_port_is_refused(server, agent, make_server):
    second = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LISTEN=f"127.0.0.1:{server.port}")
    refuses_to_start(second, "TOKEN_LISTEN")
    assert server.ask(agent).status_code == 200


def test_a_foreign_listener_on_the_port_is_respected(make_server):
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        refuses_to_start(make_server(TOKEN_LISTEN=f"127.0.0.1:{foreign.getsockname()[1]}"), "TOKEN_LISTEN")


def test_the_port_is_free_again_at_once(make_server):
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    port = server.port
    with server.wire() as wire:
        wire.call(head("GET", "/health/live"))
        server.stop()
    server.settings["TOKEN_LISTEN"] = f"127.0.0.1:{port}"
    server.start()
    assert server.port == port
    server.stop()


def test_a_name_is_served_at_all_of_its_addresses(make_server):
    addresses = {each[4][0] for each in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LISTEN="localhost:0", TOKEN_LOOPS=2)
    server.spawn()
    server.port = server._wait_for_port(0)
    for address in addresses:
        for _ in range(8):
            with Wire(server.port, address) as wire:
                assert wire.call(head("GET", "/health/live")).status == 200
    server.stop()


WITHOUT_IPV6 = """
import ctypes, os, sys
# socket(AF_INET6, …) fails as in a kernel without IPv6: seccomp, errno EAFNOSUPPORT (97)
class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]
socket = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
rows = [(0x20, 0, 0, 0), (0x15, 0, 3, socket), (0x20, 0, 0, 16), (0x15, 0, 1, 10),
        (0x06, 0, 0, 0x00050000 | 97), (0x06, 0, 0, 0x7fff0000)]
program = Program(len(rows), (Filter * len(rows))(*[Filter(*row) for row in rows]))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program)) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("listen", [":0", "localhost:0"])
def test_a_kernel_without_ipv6_is_served_over_ipv4(make_server, listen):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LISTEN=listen)
    server.launcher = (sys.executable, "-c", WITHOUT_IPV6)
    server.spawn()
    server.port = server._wait_for_port(0)
    with Wire(server.port, "127.0.0.1") as wire:
        assert wire.call(head("GET", "/health/live")).status == 200
    server.stop()


@pytest.mark.parametrize("listen, why", [
    ("192.0.2.1:8080", "no such address"), ("no-such-host.invalid:8080", "not known"), ("taken", "in use")])
def test_an_address_that_cant_be_had_is_named_with_the_reason(server, tmp_path, listen, why):
    if listen == "taken":
        listen = f"127.0.0.1:{server.port}"
    done = run("serve", settings=DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path / "data"), "TOKEN_LISTEN": listen,
                                             "TOKEN_SIGNING_ALG": "ES256"}, expect=2)
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # among lines of the log
    assert f"TOKEN_LISTEN {listen}" in sentence and why in sentence
    assert ("in use" in sentence) == (why == "in use")


@pytest.mark.parametrize("listen, connect", [("[::1]:0", "::1"), (":0", "127.0.0.1"), ("localhost:0", "localhost"),
                                             ("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.1")])
def test_addresses_have_their_usual_forms(make_server, listen, connect):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LISTEN=listen)
    server.spawn()
    server.port = server._wait_for_port(0)
    with Wire(server.port, connect) as wire:
        assert wire.call(head("GET", "/health/live")).status == 200
        assert wire.call(head("GET", "/metrics")).status == 200, "every one of these connects from this machine"
    server.stop()
