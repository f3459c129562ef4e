"""Behind proxies: whose word about the caller is believed, and what follows from it: the log, the limit of failures,
and who is on this machine."""

import base64

import pytest

from wire import head

STRANGER, OTHER = "203.0.113.9", "2001:db8::7"


@pytest.fixture(scope="module")
def direct(make_server):
    """Trusts nobody, as by default."""
    return make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_FAILURE_LIMIT=5).start()


@pytest.fixture(scope="module")
def proxied(make_server):
    return make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_FAILURE_LIMIT=5,
                       TOKEN_TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8").start()


def metrics(server, *lines):
    with server.wire() as wire:
        return wire.call(head("GET", "/metrics", *lines)).status


def guess(server, name, *lines):
    """A wrong secret, of a client that there is not."""
    credentials = base64.b64encode(f"{name}:wrong".encode()).decode()
    with server.wire() as wire:
        return wire.call(head("POST", "/token/introspect", f"Authorization: Basic {credentials}", "Content-Length: 0",
                              *lines)).status


def peer_of(server, *lines):
    """How the log names whoever called so."""
    mark = f"mark-{len(server.log)}"
    with server.wire() as wire:
        assert wire.call(head("GET", "/nothing", f"X-Request-Id: {mark}", *lines)).status == 404

    def told():
        return [(event["peer"], event["scheme"]) for event in server.events("request") if event["request_id"] == mark]

    server.until(told, f"not in the log: {mark}")
    (seen,) = told()
    return seen


def test_who_scrapes_from_this_machine_may_and_whom_a_proxy_on_it_speaks_for_may_not(direct, proxied):
    for server in (direct, proxied):
        assert metrics(server) == 200
        for said in (f"X-Forwarded-For: {STRANGER}", f"Forwarded: for={STRANGER}", "X-Forwarded-For: nonsense",
                     f"X-Forwarded-For: 127.0.0.1, {STRANGER}", "Forwarded: for=unknown", "Via: 1.1 proxy",
                     f"X-Real-IP: {STRANGER}", "X-Forwarded-Host: h", "X-Forwarded-For:"):
            assert metrics(server, said) == 404, said
    assert metrics(direct, "X-Forwarded-For: 127.0.0.1") == 404, "nobody said that this proxy is to be believed"
    assert metrics(proxied, "X-Forwarded-For: 127.0.0.1") == 200, "it is, and says that its caller is here"
    assert metrics(proxied, "X-Forwarded-For: 127.0.0.1", f"X-Forwarded-For: {STRANGER}") == 404, "one list"
    assert metrics(proxied, f"X-Forwarded-For: {STRANGER}", "Forwarded: for=127.0.0.1") == 404, "one of them came along"


def test_the_log_names_the_right_most_address_that_is_no_proxy(direct, proxied):
    said = f"X-Forwarded-For: 127.0.0.1, 192.0.2.1, {STRANGER}, 10.1.2.3"
    assert peer_of(direct, said, "X-Forwarded-Proto: https") == ("127.0.0.1", "http")
    assert peer_of(proxied) == ("127.0.0.1", "http")
    assert peer_of(proxied, said) == (STRANGER, "http")
    assert peer_of(proxied, said, "X-Forwarded-Proto: https") == (STRANGER, "https")
    assert peer_of(proxied, f'Forwarded: for=192.0.2.1, for="[{OTHER}]:4711";proto=https') == (OTHER, "https")
    assert peer_of(proxied, "X-Forwarded-For: nonsense") == ("127.0.0.1", "http")


def test_failures_count_for_whom_a_trusted_proxy_names_and_for_nobody_else(direct, proxied):
    said = f"X-Forwarded-For: 198.51.100.1, {STRANGER}"
    statuses = [guess(proxied, f"a-{at}", said) for at in range(30)]
    assert statuses[:10] == [401] * 10 and 429 in statuses
    assert guess(proxied, "b", f"X-Forwarded-For: {STRANGER}, {OTHER}") == 401, "another address is another's"
    assert guess(proxied, "c") == 401, "nor is it the proxy's fault"
    rotating = [guess(proxied, f"d-{at}", f"X-Forwarded-For: 198.51.100.{at}, {STRANGER}") for at in range(30)]
    assert 429 in rotating, "what stands further left is anybody's word"

    statuses = [guess(direct, f"a-{at}", f"X-Forwarded-For: 198.51.100.{at}") for at in range(30)]
    assert 429 in statuses, "nobody's word is believed: all of them came from one address"
