"""/admin/sessions and `token-service sessions`: who is signed in, and ending that, with tokens and for clients."""

import contextlib
import http.server
import json
import secrets
import socket
import sqlite3
import threading
import time
import types
from contextlib import closing
from urllib.parse import parse_qs, quote

import pytest

import tokens
from https_server import https_server
from kms import certificate_chain
from service import run
from signed_in import KEEPER_SCOPES, SETTINGS, Browser, add_app, refresh

SESSIONS = "/admin/sessions"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A client's own server, which is told of logouts: `told.tokens` came."""
    home = tmp_path_factory.mktemp("told-")

    class Take(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # pylint: disable=invalid-name
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.tokens += parse_qs(body)["logout_token"]
            self.send_response(204 if self.server.takes else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    (home / "ca.pem").write_bytes(certificate_chain("localhost", home / "server.pem"))
    with https_server(Take, home / "server.pem", tokens=[], takes=True, ca=home / "ca.pem") as made:
        made.url += "/logout"
        yield made


@pytest.fixture(scope="module")
def server(make_server, told):
    return make_server(**SETTINGS, TOKEN_FETCH_ALLOW="127.0.0.0/8", TOKEN_FETCH_CA_FILE=str(told.ca)).start()


@pytest.fixture(scope="module")
def keeper(server):
    return server.add_client("keeper", KEEPER_SCOPES)


@pytest.fixture(scope="module")
def app(server, told):
    return add_app(server, "app", backchannel_logout_uri=told.url)


def listed(server, keeper, query=""):
    answer = server.get(SESSIONS + query, auth=keeper)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sids_of(server, keeper, subject):
    return {each["sid"] for each in listed(server, keeper, f"?subject={quote(subject)}")["sessions"]}


def is_signed_out(server, keeper, app, browser, grant):
    """No token of the session is good any more, and the browser has to log in again: so it gets another session."""
    assert not server.is_active(keeper, grant["access_token"])
    assert refresh(server, app, grant["refresh_token"]).json()["error"] == "invalid_grant"
    sid = tokens.claims_of(grant["id_token"])["sid"]
    assert server.get(f"{SESSIONS}/{sid}", auth=keeper).status_code == 404
    return tokens.claims_of(browser.tokens(server, app, "somebody else")["id_token"])["sid"] != sid


def logouts(told):
    return [tokens.claims_of(token) for token in told.tokens]


# --- asking ---------------------------------------------------------------------------------------------------------

def test_a_session_is_shown_with_what_is_known_of_it(server, keeper, app):
    other = add_app(server, "second app")
    browser = Browser(keeper)
    grant = browser.tokens(server, app, "shown", acr="silver", amr=["pwd", "otp"], claims={"name": "Not shown"})
    browser.tokens(server, other, "shown")
    claims = tokens.claims_of(grant["id_token"])
    (shown,) = listed(server, keeper, "?subject=shown")["sessions"]
    assert shown == {"sid": claims["sid"], "sub": "shown", "begun_at": shown["begun_at"],
                     "auth_time": claims["auth_time"], "expires_at": shown["begun_at"] + 12 * 3600,
                     "idle_expires_at": shown["begun_at"] + 2 * 3600, "acr": "silver",
                     "amr": ["pwd", "otp"], "clients": ["app", "second app"]}
    assert server.get(f"{SESSIONS}/{shown['sid']}", auth=keeper).json() == shown
    assert server.request("HEAD", f"{SESSIONS}/{shown['sid']}", auth=keeper).status_code == 200


def test_pages_have_every_session_once(server, keeper, app):
    subject = "has many sessions & a strange name"
    grants = [Browser(keeper).tokens(server, app, subject) for _ in range(7)]
    path, found, pages = f"?subject={quote(subject)}&limit=3", [], 0
    query = path
    while True:
        page = listed(server, keeper, query)
        found += [each["sid"] for each in page["sessions"]]
        pages += 1
        if "next" not in page:
            break
        query = f"{path}&after={page['next']}"
    assert sorted(found) == sorted(tokens.claims_of(grant["id_token"])["sid"] for grant in grants)
    assert pages == 3
    everybody = listed(server, keeper, "?limit=100")["sessions"]
    assert set(found) < {each["sid"] for each in everybody}


@pytest.mark.parametrize("query", ["?limit=0", "?limit=101", "?limit=x", "?after=abc", "?after=" + "g" * 64,
                                   "?subject=", "?subject=" + "s" * 513, "?subject=%ff", "?subject=a&subject=b"])
def test_a_wrong_question_is_refused(server, keeper, query):
    for method in ("GET", "DELETE"):
        answer = server.request(method, SESSIONS + query, auth=keeper)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_who_asks_needs_the_scopes(server, keeper, app):
    reader, writer = server.add_client("reader", "sessions:read"), server.add_client("writer", "sessions:write")
    grant = Browser(keeper).tokens(server, app, "guarded")
    sid = tokens.claims_of(grant["id_token"])["sid"]
    for path in (f"{SESSIONS}/{sid}", f"{SESSIONS}?subject=guarded"):
        for auth, reads in ((reader, 200), (writer, 403), (app, 403), (grant["access_token"], 403),
                            (None, 401)):
            assert server.get(path, auth=auth).status_code == reads
            assert auth is writer or server.request("DELETE", path, auth=auth).status_code == (
                403 if auth is reader else reads)
    assert sids_of(server, reader, "guarded") == {sid}
    assert server.request("DELETE", f"{SESSIONS}/{sid}", auth=writer).status_code == 204


# --- ending ---------------------------------------------------------------------------------------------------------

def test_one_session_ends_and_its_clients_are_told(server, keeper, app, told):
    browser, elsewhere = Browser(keeper), Browser(keeper)
    grant, other = browser.tokens(server, app, "leaving"), elsewhere.tokens(server, app, "leaving")
    sid = tokens.claims_of(grant["id_token"])["sid"]
    answer = server.request("DELETE", f"{SESSIONS}/{sid}", auth=keeper)
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_signed_out(server, keeper, app, browser, grant)
    server.until(lambda: [each for each in logouts(told) if each["sid"] == sid], "the client was not told")
    (logout, *_) = [each for each in logouts(told) if each["sid"] == sid]
    assert (logout["sub"], logout["aud"]) == ("leaving", "app")
    assert server.is_active(keeper, other["access_token"]), "another session of the same user goes on"
    assert sids_of(server, keeper, "leaving") == {tokens.claims_of(other["id_token"])["sid"]}
    assert server.request("DELETE", f"{SESSIONS}/{sid}", auth=keeper).status_code == 404

    def ended():
        return [each for each in server.events("session_ended") if each["sid"] == sid]

    server.until(ended, "the log does not tell of it")
    (event,) = ended()
    assert (event["sub"], event["reason"]) == ("leaving", "session ended")


@pytest.mark.parametrize("sid", ["x", "%20", "a" * 600, "%00", "%ff", "." * 3])
def test_a_session_that_there_is_not_is_not_found(server, keeper, sid):
    for method in ("GET", "DELETE"):
        assert server.request(method, f"{SESSIONS}/{sid}", auth=keeper).status_code in (400, 404)


def end_all(server, keeper, subject):
    """How many sessions each call has ended."""
    ended = []
    while True:
        answer = server.request("DELETE", f"{SESSIONS}?subject={quote(subject)}", auth=keeper)
        assert answer.status_code == 200, answer.text
        ended.append(answer.json()["ended"])
        if not answer.json()["more"]:
            return ended


def test_all_sessions_of_a_user_end_and_no_other(server, keeper, app, told):
    browsers = [Browser(keeper) for _ in range(35)]
    grants = [browser.tokens(server, app, "everywhere") for browser in browsers]
    other = Browser(keeper).tokens(server, app, "everywhere else")
    assert end_all(server, keeper, "everywhere") == [32, 3], "more than one list of records should hold"
    assert sids_of(server, keeper, "everywhere") == set()
    for browser, grant in list(zip(browsers, grants))[::9]:
        assert is_signed_out(server, keeper, app, browser, grant)
    sids = {tokens.claims_of(grant["id_token"])["sid"] for grant in grants}
    server.until(lambda: sids <= {each["sid"] for each in logouts(told)}, "a client was not told of each of them")
    assert server.is_active(keeper, other["access_token"])
    assert end_all(server, keeper, "everywhere") == [0]


def test_without_a_subject_nothing_ends(server, keeper, app):
    grant = Browser(keeper).tokens(server, app, "stays")
    answer = server.request("DELETE", SESSIONS, auth=keeper)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert server.is_active(keeper, grant["access_token"])


def test_an_ended_session_is_over_after_a_restart(make_server):
    with make_server(**SETTINGS) as server:
        keeper, app, browser = server.add_client("keeper", KEEPER_SCOPES), add_app(server, "app"), None
        browser = Browser(keeper)
        grant = browser.tokens(server, app)
        sid = tokens.claims_of(grant["id_token"])["sid"]
        assert server.request("DELETE", f"{SESSIONS}/{sid}", auth=keeper).status_code == 204
        server.kill()
        server.start()
        assert is_signed_out(server, keeper, app, browser, grant)


# --- the command ----------------------------------------------------------------------------------------------------

def sessions(server, *arguments, expect=0):
    return run("sessions", *arguments, settings=server.settings, expect=expect)


def test_the_command_lists_what_the_service_lists(server, keeper, app):
    subject = "ünï cödé+&"
    grants = [Browser(keeper).tokens(server, app, subject) for _ in range(2)]
    found = json.loads(sessions(server, "list", "--subject", subject, "--json").stdout)
    assert found == listed(server, keeper, f"?subject={quote(subject)}")["sessions"]
    table = sessions(server, "list", "--subject", subject).stdout.splitlines()
    assert table[0].split() == ["SESSION", "SUBJECT", "BEGUN", "ENDS", "CLIENTS"] and len(table) == 3
    for grant in grants:
        sid = tokens.claims_of(grant["id_token"])["sid"]
        (line,) = [line for line in table if line.startswith(sid)]
        assert line.endswith(" app") and subject in line
    assert json.loads(sessions(server, "list", "--subject", "nobody", "--json").stdout) == []


def test_the_command_lists_more_than_a_page(server, keeper, app):
    for _ in range(52):
        Browser(keeper).tokens(server, app, "has many")
    found = json.loads(sessions(server, "list", "--subject", "has many", "--json").stdout)
    assert len({each["sid"] for each in found}) == 52
    done = sessions(server, "end", "--subject", "has many")
    assert done.stdout == "sessions ended: 52; their tokens are revoked\n"
    assert sids_of(server, keeper, "has many") == set()


def test_the_command_ends_a_session_beside_the_server(server, keeper, app, told):
    browser = Browser(keeper)
    grant = browser.tokens(server, app, "at the desk")
    sid = tokens.claims_of(grant["id_token"])["sid"]
    assert sessions(server, "end", sid).stdout == "the session has ended, and its tokens are revoked\n"
    server.until(lambda: not server.is_active(keeper, grant["access_token"]), "the server does not know of it")
    assert is_signed_out(server, keeper, app, browser, grant)
    server.until(lambda: [each for each in logouts(told) if each["sid"] == sid], "the client was not told")
    done = sessions(server, "end", sid, expect=1)
    assert "there is no such session" in done.stderr and not done.stdout


@pytest.mark.parametrize("arguments", [("end",), ("end", "x", "--subject", "ada"), ("end", "--subject", ""), ("begin",),
                                       (), ("list", "--subject", "s" * 513), ("list", "--subject", "")])
def test_the_command_says_what_is_wrong(server, arguments):
    done = sessions(server, *arguments, expect=2)
    assert done.stderr.startswith("token-service: ") and not done.stdout.strip().endswith("revoked")


def test_without_a_store_the_command_makes_none(tmp_path):
    done = run("sessions", "list", settings={"TOKEN_DATA_DIR": str(tmp_path / "data")}, expect=1)
    assert "no store" in done.stderr and not (tmp_path / "data").exists()


def test_a_clock_that_is_a_little_ahead_where_users_log_in_keeps_nobody_out(server, keeper, app):
    grant = Browser(keeper).tokens(server, app, "early", auth_time=int(time.time()) + 25)
    claims = tokens.claims_of(grant["id_token"])
    assert claims["auth_time"] <= claims["iat"]


# --- telling clients, when some are away ----------------------------------------------------------------------------

def add_notices(server, *notices):
    """Into the outbox, all at once: pairs of a place among the others, and what they say."""
    end = int(time.time()) + 3600
    rows = [(place.to_bytes(8, "big") + secrets.token_bytes(24), end, client_id,
             json.dumps({"uri": uri, "jti": secrets.token_hex(8), "tries": int(later), "next_at": end if later else 0}))
            for place, client_id, uri, later in notices]
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.executemany("INSERT INTO items(kind, id, version, change, expires_at, client_id, subject, sid, body)"
                             " VALUES (7, ?, 1, 1, ?, ?, 'somebody', 'their session', ?)", rows)


def drop_notices(server):
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        database.execute("DELETE FROM items WHERE kind = 7")


@pytest.fixture
def silent():
    """A client's server that takes connections and says nothing: `silent.calls` came."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = types.SimpleNamespace(url=f"https://localhost:{listener.getsockname()[1]}/logout", calls=[])

    def accept():
        with contextlib.suppress(OSError):
            while True:
                made.calls.append(listener.accept()[0])

    thread = threading.Thread(target=accept)
    thread.start()
    yield made
    listener.shutdown(socket.SHUT_RDWR)  # or accept() would hold on to it
    thread.join()
    for each in (listener, *made.calls):
        each.close()


def test_many_clients_that_are_away_hide_nobody(server, app, told):
    """More than a round looks at wait for their time, and lie before it."""
    before = len(told.tokens)
    add_notices(server, *((place, "away", "https://localhost:9/", True) for place in range(1, 2102)),
                (2 ** 64 - 2, app.id, told.url, False))
    server.until(lambda: len(told.tokens) > before, "the client was not told")
    drop_notices(server)


def test_a_client_that_never_answers_is_called_once_at_most_before_others_are(server, app, told, silent):
    before = len(told.tokens)
    add_notices(server, *((place, "silent", silent.url, False) for place in range(1, 6)),
                (2 ** 64 - 2, app.id, told.url, False))
    server.until(lambda: len(told.tokens) > before, "the client was not told")
    assert len(silent.calls) <= 1
    server.until(lambda: silent.calls, "the other one was not called")
    drop_notices(server)


def test_each_call_has_a_token_of_its_own(server, app, told):
    """Else a client that looks for replays refuses the second one, though its answer to the first was lost."""
    before, told.takes = len(told.tokens), False
    add_notices(server, (2 ** 64 - 2, app.id, told.url, False))
    server.until(lambda: len(told.tokens) > before, "the client was not told")
    told.takes = True

    def is_told_again():
        with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
            database.execute("UPDATE items SET body = json_set(body, '$.next_at', 0) WHERE kind = 7 AND body <> ''")
        return len(told.tokens) > before + 1

    server.until(is_told_again, "the client was not told again")
    first, *_, last = logouts(told)[before:]
    assert first["jti"] != last["jti"] and first["sid"] == last["sid"]
