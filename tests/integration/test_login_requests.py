"""What strangers may have kept: authorization requests that wait for a user, as many as one address may begin and as
large as one may be."""

import json
import sqlite3
from contextlib import closing
from urllib.parse import urlencode

import pytest

from browser import Page, check_page
from people import CALLBACK, PASSWORD, Person, asked, challenge_of, parameters_of
from service import SCOPES

LIMIT = 3  # one more each 20 s
NETWORK = "2001:db8:1:2:"


@pytest.fixture(scope="module")
def server(make_server):
    server = make_server(TOKEN_LOGIN="builtin", TOKEN_LOGIN_REQUEST_LIMIT=LIMIT, TOKEN_SIGNING_ALG="ES256",
                         TOKEN_TRUSTED_PROXIES="127.0.0.0/8").start()
    server.run("users", "add", "ada", stdin=PASSWORD)
    server.client = server.add_client("agent", SCOPES)
    return server


@pytest.fixture(scope="module")
def site(server):
    return server.add_client("site", "openid profile offline_access stories:read", "--redirect-uri", CALLBACK,
                             "--grant", "authorization_code", "--auth-method", "client_secret_post", "--metadata",
                             str(own_client(server)))


def own_client(server):
    """One of the operator's own: users are not asked to consent."""
    path = server.data_dir.parent / "own.json"
    path.write_text(json.dumps({"skip_consent": True}))
    return path


class Guest(Person):
    """Who comes from an address of the test's."""

    def __init__(self, server, address):
        super().__init__(server)
        self.address = address

    def go(self, path, method="GET", **options):
        headers = {"X-Forwarded-For": self.address} | options.pop("headers", {})
        return super().go(path, method, headers=headers, **options)


def is_refused(answer):
    if answer.status_code != 429:
        return False
    check_page(answer)
    assert Page(answer).is_error and "too_many_requests" in answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 60 // LIMIT + 1
    assert not {"Location", "Set-Cookie"} & set(answer.headers)
    return True


def waiting(server):
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database:
        return database.execute("SELECT count(*) FROM items WHERE kind = 4 AND body <> ''").fetchone()[0]


@pytest.mark.parametrize("method, network", [("GET", "198.51.100."), ("GET", NETWORK + ":"), ("POST", "203.0.113.")])
def test_an_address_begins_so_many_and_no_more_and_others_go_on(server, site, method, network):
    one = (lambda number: f"{network}7") if "." in network else (lambda number: f"{network}{number + 1:x}")  # one /64
    before, limited = waiting(server), server.metric("login_requests_limited_total")
    for number in range(LIMIT):
        assert Guest(server, one(number)).begin(site, method, state=str(number)).status_code == 303
    assert is_refused(Guest(server, one(LIMIT)).begin(site, method))
    assert server.metric("login_requests_limited_total") == limited + 1
    assert waiting(server) - before == LIMIT
    other = "192.0.2." + str(len(method)) if "." in network else "2001:db8:1:3::1"
    assert Guest(server, other).begin(site, method).status_code == 303


def test_who_is_over_the_limit_is_told_of_other_faults_as_ever(server, site):
    guest = Guest(server, "198.51.100.20")
    while not is_refused(Guest(server, guest.address).begin(site)):
        pass
    answer = guest.begin(site, client_id="nobody-of-this-name")
    assert answer.status_code == 400 and "Location" not in answer.headers
    assert guest.begin(site, redirect_uri="https://other.example/").status_code == 400
    left = guest.begin(site, scope="stories:burn")  # which is for the client, at its own redirect URI
    assert parameters_of(left)["error"] == "invalid_scope"
    assert parameters_of(guest.begin(site, prompt="none"))["error"] == "login_required"


def test_who_is_signed_in_is_not_counted(server, site):
    guest = Guest(server, "198.51.100.30")
    assert "code" in parameters_of(guest.sign_in(site))
    for number in range(3 * LIMIT):
        assert "code" in parameters_of(guest.begin(site, state=str(number)))


def test_a_page_that_is_loaded_again_leaves_no_request_behind(server, site):
    guest, before = Guest(server, "198.51.100.40"), waiting(server)
    first = challenge_of(guest.begin(site))
    for _ in range(3 * LIMIT):
        assert challenge_of(guest.begin(site)) == first
    assert waiting(server) == before + 1
    other = challenge_of(guest.begin(site, state="of another tab"))
    assert other != first and waiting(server) == before + 2
    assert challenge_of(Guest(server, guest.address).begin(site)) not in (first, other)  # of another browser
    assert "code" in parameters_of(guest.finish(guest.begin(site)))
    assert guest.go(f"/login/{other}").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_too_large_to_be_kept_is_told_by_a_page(make_server, method):
    much = {name: '"' * 512 for name in ("nonce", "login_hint", "acr_values", "ui_locales", "claims_locales")}
    much |= {"state": '"' * 2048, "claims": json.dumps({"id_token": {"x" * 3900: None}})}
    with make_server(TOKEN_LOGIN="builtin", TOKEN_HEADER_MAX=65536, TOKEN_SIGNING_ALG="ES256") as server:
        site = server.add_client("site", "openid profile offline_access", "--redirect-uri", CALLBACK, "--grant",
                                 "authorization_code", "--auth-method", "client_secret_post")
        assert len(urlencode(asked(site, **much))) > 12 * 1024
        answer = Person(server).begin(site, method, **much)
        assert answer.status_code == 413 and not {"Location", "Set-Cookie"} & set(answer.headers)
        check_page(answer)
        assert Page(answer).is_error and "request_too_large" in answer.text
        assert waiting(server) == 0
        assert Person(server).begin(site, method, **much | {"claims": None}).status_code == 303
