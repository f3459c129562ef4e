"""More connections than there may be, and more memory than requests may take: who is refused, who makes room, and what
is given back."""

import json
import select
import socket
import ssl

import pytest

from certificates import make_certificate
from service import check_answer, open_files
from test_tls import begin
from wire import PATIENCE_S, Broken, Closed, head, post

MIB = 1024 * 1024


def begun(server, path="/health/live"):
    """A connection with half a request on it, and the other half."""
    whole = head("GET", path)
    wire = server.wire()
    wire.send(whole[:20])
    return wire, whole[20:]


def refused(wire):
    """What a connection that is one too many hears, without a word of its own."""
    answer = wire.read()
    assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    assert answer.headers["connection"] == "close" and wire.is_closed()
    check_answer("GET", "/", answer.status, answer.headers, answer.body)
    return answer


def test_requests_under_way_keep_their_connections_and_others_are_told_503(make_server):
    """Also when many come at once, whether or not they have sent their request by then."""
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CONNECTIONS=8, TOKEN_LOOPS=1,
                     TOKEN_REQUEST_TIMEOUT=300) as server:
        server.session.close()
        first = [begun(server) for _ in range(8)]
        for _ in range(3):
            more = [server.wire() for _ in range(40)]
            for wire in more[::2]:
                wire.send(head("GET", "/health/live"))
            for wire in more:
                with wire:
                    assert refused(wire).json()["error"] == "temporarily_unavailable"
        for wire, rest in first:
            assert wire.call(rest).status == 200
            wire.close()
        server.until(server.still_answers, "the places of closed connections are not given again")
        assert server.metric("refused_connections_total") == 120
        assert server.metric("spared_connections_total") == 0


def test_a_place_that_is_free_again_is_taken_by_the_next(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CONNECTIONS=4, TOKEN_LOOPS=1,
                     TOKEN_REQUEST_TIMEOUT=300) as server:
        server.session.close()
        first = [begun(server) for _ in range(4)]
        with server.wire() as late:
            refused(late)
        wire, rest = first[0]
        assert wire.call(rest).status == 200, "idle from here on"
        with server.wire() as late:
            assert late.call(head("GET", "/health/live")).status == 200
            assert wire.is_closed(), "the idle one has made room"
        for wire, _ in first:
            wire.close()


def test_whoever_is_refused_and_stays_keeps_no_place(make_server):
    """They are told so, read nothing and close nothing: for a second, and a few of them at a time."""
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CONNECTIONS=4, TOKEN_LOOPS=1,
                     TOKEN_REQUEST_TIMEOUT=300) as server:
        server.session.close()
        first = [begun(server) for _ in range(4)]
        stubborn = [server.wire() for _ in range(200)]
        server.until(lambda: all(answered([wire]) for wire in stubborn), "some hear nothing")
        sockets = [name for name in open_files(server.process.pid) if name.startswith("socket:")]
        assert len(sockets) < 4 + 16 + 8
        for wire, rest in first:
            assert wire.call(rest).status == 200
        for wire in stubborn + [wire for wire, _ in first]:
            wire.close()


def test_under_tls_a_connection_too_many_is_closed_before_its_handshake(make_server, tmp_path):
    """It would cost a signature, of which those who are refused must not get one each."""
    certificate = make_certificate(tmp_path)
    server = begin(make_server, certificate, TOKEN_CONNECTIONS=4, TOKEN_LOOPS=1, TOKEN_REQUEST_TIMEOUT=300)
    context = ssl.create_default_context(cafile=certificate[0])

    def secure():
        return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S),
                                   server_hostname="localhost")

    whole = head("GET", "/health/live")
    first = [secure() for _ in range(4)]
    for each in first:
        each.sendall(whole[:20])
    for _ in range(20):
        with server.wire() as wire:
            assert wire.is_closed() and not wire.unread
        with pytest.raises((ssl.SSLError, ConnectionError)):
            secure()
    for each in first:
        each.sendall(whole[20:])
        assert each.recv(65536).startswith(b"HTTP/1.1 200 ")
    with secure() as late:
        late.sendall(whole)
        assert late.recv(65536).startswith(b"HTTP/1.1 200 "), "one that is idle has made room"
    for each in first:
        each.close()
    server.stop()


def test_silent_connections_make_way_the_longest_silent_first(make_server):
    """More of them than there may be, with a request each, and none closed by its client."""
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CONNECTIONS=40, TOKEN_LOOPS=1, TOKEN_REQUEST_TIMEOUT=300,
                     TOKEN_IDLE_TIMEOUT=3600) as server:
        server.session.close()
        busy, rest = begun(server)
        never_spoke = [server.wire() for _ in range(10)]
        silent = []
        for _ in range(150):
            silent.append(server.wire())
            assert silent[-1].call(head("GET", "/health/live")).status == 200
        for wire in never_spoke + silent[:100]:
            assert wire.is_closed()
        for wire in silent[-30:]:
            assert wire.call(head("GET", "/health/live")).status == 200, "the youngest are kept"
        assert busy.call(rest).status == 200, "a request under way is no silence"
        assert server.metric("spared_connections_total") >= 110
        for wire in [busy, *never_spoke, *silent]:
            wire.close()


def test_few_open_files_leave_enough_for_the_store_and_the_keys(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LOOPS=1, TOKEN_WORKERS=2, TOKEN_IDLE_TIMEOUT=3600,
                     TOKEN_REQUEST_TIMEOUT=300) as server:
        server.stop()
        server.launcher = ("prlimit", "--nofile=128")
        server.start()
        agent = server.add_client("agent")
        (limited,) = server.told("connections_limited")
        assert limited["open_files"] == 128 and limited["allowed"] <= 64
        crowd_of_silent = [server.wire() for _ in range(200)]
        unfinished = [begun(server)[0] for _ in range(limited["allowed"] // 2)]
        assert len(open_files(server.process.pid)) <= limited["allowed"] + 64
        assert server.revoke(agent, server.token(agent)).status_code == 200
        server.run("keys", "rotate", "--immediate")
        server.until(lambda: server.token(agent) and len(server.kids("pending")) == 1, "no key could be made")
        for wire in crowd_of_silent + unfinished:
            wire.close()


def unfinished(server, count, size=60000):
    """So many connections with a body each of which the last bytes never come."""
    wires = [server.wire() for _ in range(count)]
    for wire in wires:
        wire.send(head("POST", "/token/verify", "Content-Type: application/json", f"Content-Length: {size}"))
        wire.send(b" " * (size - 1))
    return wires


def answered(wires):
    """Those that the server has sent something to."""
    poll = select.poll()
    of = {wire.socket.fileno(): wire for wire in wires}
    for fd in of:
        poll.register(fd, select.POLLIN)
    return [of[fd] for fd, _ in poll.poll(0)]


def test_bodies_that_never_end_take_no_more_memory_than_is_allowed(make_server, sanitizer):
    """And what they took is given back. Without the bound it would be 80 MiB."""
    allowed = 16 * MIB
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LOOPS=1, TOKEN_REQUEST_TIMEOUT=300, TOKEN_CONNECTIONS=2000,
                     TOKEN_REQUEST_MEMORY=allowed) as server:
        agent = server.add_client("agent")
        token = server.token(agent)
        before = server.resident_kib()
        wires = unfinished(server, 600)
        server.until(lambda: len(answered(wires)) > 300, "too few are refused")
        for wire in answered(wires):
            answer = wire.read()
            assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
            assert answer.headers["connection"] == "close"
        assert allowed / 2 < server.metric("request_bytes") <= allowed
        assert server.metric("request_memory_full_total") > 300
        assert server.is_active(agent, token), "a quarter is left to small requests"
        if not sanitizer:
            assert server.resident_kib() - before < 2 * allowed / 1024
        for wire in wires:
            wire.close()
        server.until(lambda: server.metric("request_bytes") < MIB, "the bodies are still counted")
        if not sanitizer:
            server.until(lambda: server.resident_kib() - before < allowed / 2 / 1024, "the memory is not given back")
        assert server.is_active(agent, token)


def test_heads_that_never_end_count_as_well(make_server):
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LOOPS=1, TOKEN_REQUEST_TIMEOUT=300,
                     TOKEN_REQUEST_MEMORY=MIB) as server:
        server.session.close()
        first = [begun(server) for _ in range(60)]
        with server.wire() as late:
            answer = late.call(head("GET", "/health/live"))
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
        answers = []
        for wire, rest in first:
            try:
                answers.append(wire.call(rest).status)
            except (Closed, Broken):
                pass
        assert answers.count(200) >= 20, "those that had begun are answered"
        assert server.get("/health/live").status_code == 200
        for wire, _ in first:
            wire.close()


def visitors_of(server, certificate):
    """Makes TLS connections, each with one request that has been answered."""
    context = ssl.create_default_context(cafile=certificate[0])

    def visitor():
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
        secure = context.wrap_socket(plain, server_hostname="localhost")
        secure.sendall(head("GET", "/health/live"))
        assert secure.recv(65536).startswith(b"HTTP/1.1 200 ")
        return secure

    return visitor


def test_part_of_a_tls_record_keeps_no_place(make_server, tmp_path):
    """Or whoever begins a record on each connection, and never ends it, keeps all others out."""
    certificate = make_certificate(tmp_path)
    server = begin(make_server, certificate, TOKEN_CONNECTIONS=4, TOKEN_LOOPS=1, TOKEN_REQUEST_TIMEOUT=300,
                   TOKEN_IDLE_TIMEOUT=3600)
    visitor = visitors_of(server, certificate)
    stubborn = [visitor() for _ in range(4)]
    for each in stubborn:
        socket.socket.sendall(each, bytes.fromhex("1703030100") + bytes(20))
    for _ in range(8):
        visitor().close()
    for each in stubborn:
        each.close()
    server.stop()


def test_what_many_tls_connections_took_is_given_back(make_server, tmp_path, sanitizer):
    """Some 14 KB each, most of it OpenSSL's."""
    certificate = make_certificate(tmp_path)
    server = begin(make_server, certificate, TOKEN_LOOPS=1, TOKEN_IDLE_TIMEOUT=3600)
    visitor = visitors_of(server, certificate)
    for _ in range(20):
        visitor().close()
    before = server.resident_kib()
    visitors = [visitor() for _ in range(900)]
    if not sanitizer:
        assert server.resident_kib() - before > 9000
    for each in visitors:
        each.close()
    if not sanitizer:
        server.until(lambda: server.resident_kib() - before < 4500, "the memory is not given back")
    server.stop()


def test_what_large_bodies_took_is_given_back(make_server, sanitizer):
    """Whole ones, which have all been answered."""
    body = json.dumps({"token": "x" * 60000}).encode()
    with make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_LOOPS=1, TOKEN_REQUEST_TIMEOUT=300,
                     TOKEN_IDLE_TIMEOUT=3600) as server:
        agent = server.add_client("agent")
        request = post("/token/verify", body, "application/json", f"Authorization: {agent.basic()}")
        server.session.close()
        before = server.resident_kib()
        wires = [server.wire() for _ in range(300)]
        for wire in wires:
            wire.send(request[:-1])
        server.until(lambda: server.metric("request_bytes") > 20 * MIB, "they are not in progress")
        for wire in wires:
            assert wire.call(request[-1:]).status in (401, 503)
        if not sanitizer:
            server.until(lambda: server.resident_kib() - before < 1500, "the memory is not given back")
        for wire in wires:
            wire.close()
