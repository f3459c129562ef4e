"""Pairwise subjects (OpenID Connect Core sections 8 and 8.1): what clients of one sector and of others know a user by,
wherever they are told of one; sector_identifier_uri; and that without the salt nobody is told anything. (How they are
computed: unit/test_pairwise.c.)"""

import base64
import hashlib
import hmac
import json
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode

import pytest
import requests

import tokens
from browser import Left, Page
from https_server import https_server
from provider import CLAIMS, refused
from signed_in import LOGIN_URL, SETTINGS, add_app
from wire import PATIENCE_S

SALT = "a salt for tests, of more than 32 bytes"
ADMIN_SCOPES = "clients:read clients:write sessions:read sessions:write token:introspect token:issue:any token:issue " \
    "token:revoke:any token:verify openid profile"
SCOPE = "openid profile offline_access"


class Web(BaseHTTPRequestHandler):
    """A client's server: publishes `answers` (path → status, headers, body), and is told of logouts."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        self.server.asked.append(self.path)
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": len(body), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.told.append((self.path, parse_qs(body)["logout_token"][0]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


@pytest.fixture(scope="module")
def provider(make_provider):
    provider = make_provider(TOKEN_PAIRWISE_SALT=SALT)
    provider.secrets.add(SALT)
    provider.ada = provider.add_user("ada", CLAIMS)["subject"]
    provider.bob = provider.add_user("bob")["subject"]
    return provider.start().settled()


@pytest.fixture(scope="module")
def admin(provider):
    return provider.add_client("admin", ADMIN_SCOPES)


@pytest.fixture(scope="module")
def web(provider):
    with https_server(Web, provider.home / "server.pem", asked=[], told=[], answers={}) as server:
        yield server


def publish(web, path, uris):
    web.answers[path] = (200, {}, json.dumps(uris).encode())
    return web.url + path


def told_at(web, path):
    """The logout tokens that came there; one whose answer was late comes again some time."""
    return [token for where, token in web.told if where == path]


@pytest.fixture(scope="module")
def parties(provider, web):
    """Two of one sector, one of another, and one that is told of users as they are."""
    def party(client_id, host, **metadata):
        return provider.add_party(client_id, SCOPE, **{
            "redirect_uris": [f"https://{host}/{client_id}"], "subject_type": "pairwise",
            "post_logout_redirect_uris": [f"https://{host}/bye"],
            "backchannel_logout_uri": f"{web.url}/{client_id}", "skip_consent": True} | metadata)

    return {"shop": party("shop", "shop.example"),
            "desk": party("desk", "shop.example:8443", userinfo_signed_response_alg="RS256"),
            "bank": party("bank", "bank.example"),
            "open": party("open", "open.example", subject_type="public")}


@pytest.fixture
def browser(provider):
    return provider.browser()


def computed(host, text, kind="sub"):
    """By another HMAC than the service's."""
    message = f"{kind}\n{host}\n{text}".encode()
    return base64.urlsafe_b64encode(hmac.new(SALT.encode(), message, hashlib.sha256).digest()).rstrip(b"=").decode()


def signed_in(party, browser, user="ada"):
    """The party's tokens, and what its id token says."""
    answer = party.get_tokens(browser, user, scope=SCOPE)
    return answer, party.read_id_token(answer["id_token"])


def silent(party, browser, **parameters):
    end = party.ask(browser, prompt="none", **parameters)
    assert isinstance(end, Left), end
    return end.answer


def change(provider, admin, client_id, **members):
    return provider.request("PATCH", f"/admin/clients/{client_id}", auth=admin, json=members)


# --- who knows whom by what -----------------------------------------------------------------------------------------

def test_the_metadata_offers_pairwise_where_there_is_a_salt(provider):
    assert provider.metadata["subject_types_supported"] == ["public", "pairwise"]


def test_one_sector_knows_a_user_by_one_identifier_and_another_by_another(provider, parties):
    subs = {name: signed_in(party, provider.browser())[1]["sub"] for name, party in parties.items()}
    assert subs == {"shop": computed("shop.example", provider.ada), "desk": computed("shop.example", provider.ada),
                    "bank": computed("bank.example", provider.ada), "open": provider.ada}
    assert signed_in(parties["shop"], provider.browser(), "bob")[1]["sub"] == computed("shop.example", provider.bob)
    assert signed_in(parties["shop"], provider.browser())[1]["sub"] == subs["shop"], "each time the same"


def test_what_sectors_know_a_session_by_tells_them_nothing_either(parties, browser):
    sids = {name: signed_in(party, browser)[1]["sid"] for name, party in parties.items()}
    assert sids == {"shop": computed("shop.example", sids["open"], "sid"),
                    "desk": computed("shop.example", sids["open"], "sid"),
                    "bank": computed("bank.example", sids["open"], "sid"), "open": sids["open"]}


@pytest.mark.parametrize("name", ["shop", "desk", "bank"])
def test_the_subject_is_nowhere_in_what_a_pairwise_client_is_told(provider, parties, web, browser, name):
    """Id tokens, also after a refresh; UserInfo, JSON (shop, bank) and signed (desk); the logout token."""
    party = parties[name]
    web.told.clear()
    claims = {"id_token": {"sub": None, "name": None}, "userinfo": {"sub": {"essential": True}}}
    answer = party.get_tokens(browser, scope=SCOPE, claims=json.dumps(claims))
    known = party.read_id_token(answer["id_token"])
    refreshed = party.refresh(answer["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    again = party.read_id_token(refreshed.json()["id_token"])
    informed = [party.userinfo(token) for token in (answer["access_token"], refreshed.json()["access_token"])]
    assert [each.status_code for each in informed] == [200, 200]
    infos = [tokens.claims_of(each.text) if name == "desk" else each.json() for each in informed]
    left = browser.open("/logout?" + urlencode({"id_token_hint": refreshed.json()["id_token"], "state": "x",
                                                "post_logout_redirect_uri": "https://%s/bye" %
                                                party.redirect_uri.split("/")[2]}))
    assert isinstance(left, Left), "nobody is asked: the hint is of this session"
    provider.until(lambda: told_at(web, f"/{name}"), "the client was not told")
    token, *_ = told_at(web, f"/{name}")
    logout = party.read_id_token(token)
    provider.tokens.add(token)
    assert known["name"] == infos[0]["name"] == CLAIMS["name"]
    assert {each["sub"] for each in (known, again, *infos, logout)} == {known["sub"]}
    assert {each["sid"] for each in (known, again, logout)} == {known["sid"]}
    told = json.dumps([known, again, infos, logout])
    assert provider.ada not in told
    assert tokens.claims_of(answer["access_token"])["sid"] not in told


def test_access_tokens_keep_the_platforms_subject(provider, admin, parties, browser):
    """They are for resource servers; and a rule for the subject reaches them."""
    answer, known = signed_in(parties["bank"], browser)
    claims = tokens.claims_of(answer["access_token"])
    assert claims["sub"] == provider.ada != known["sub"]
    said = provider.introspect(admin, answer["access_token"])
    assert said["active"] and said["sub"] == provider.ada
    assert provider.request("DELETE", f"/admin/sessions/{claims['sid']}", auth=admin).status_code == 204
    assert not provider.is_active(admin, answer["access_token"])
    assert parties["bank"].userinfo(answer["access_token"]).status_code == 401


@pytest.mark.parametrize("target", ["subject", "sessionId"])
def test_a_rule_reaches_an_id_token_that_does_not_name_its_user(provider, admin, parties, target):
    """Neither by sub nor by sid; of others it reaches nothing."""
    user = provider.add_user(f"eve-{target}")["subject"]
    mine = {name: signed_in(parties[name], provider.browser(), f"eve-{target}")[0] for name in ("shop", "bank", "open")}
    others = [signed_in(parties[name], provider.browser(), "bob")[0]["id_token"] for name in mine]
    for token in [answer["id_token"] for answer in mine.values()] + others:
        assert provider.verify(admin, token).json()["valid"]
    sids = {tokens.claims_of(each["access_token"])["sid"] for each in mine.values()}
    for value in {"subject": {user}, "sessionId": sids}[target]:
        answer = provider.post("/admin/revocations", auth=admin, json={target: value})
        assert answer.status_code == 200, answer.text
    said = {name: provider.verify(admin, answer["id_token"]).json() for name, answer in mine.items()}
    assert {name: (each["valid"], each.get("error_description")) for name, each in said.items()} == \
        {name: (False, "the token has been revoked") for name in mine}
    for token in others:
        assert provider.verify(admin, token).json()["valid"]


def test_an_id_token_that_the_platform_asks_for_is_for_its_client_too(provider, admin, parties):
    asked = {"subject": provider.ada, "clientId": "bank", "scope": "openid"}
    issued = provider.issue(admin, **asked, tokenType="id", nonce="n")
    assert issued["claims"]["sub"] == tokens.claims_of(issued["token"])["sub"] == computed("bank.example", provider.ada)
    assert provider.ada not in json.dumps(issued)
    verified = provider.verify(admin, issued["token"], subject=computed("bank.example", provider.ada))
    assert verified.status_code == 200, verified.text
    access = provider.issue(admin, **asked, tokenType="access")
    assert access["claims"]["sub"] == provider.ada
    assert parties["bank"].userinfo(access["token"]).json()["sub"] == computed("bank.example", provider.ada)


# --- who is asked for -----------------------------------------------------------------------------------------------

def test_a_hint_is_recognised_by_what_its_client_knows_the_user_by(parties, browser):
    for name in ("shop", "bank"):
        hint = signed_in(parties[name], browser)[0]["id_token"]
        assert "code" in silent(parties[name], browser, id_token_hint=hint)


def test_a_hint_of_somebody_else_is_not_the_user(provider, parties, browser):
    hint = signed_in(parties["shop"], provider.browser(), "bob")[0]["id_token"]
    signed_in(parties["shop"], browser)
    assert silent(parties["shop"], browser, id_token_hint=hint)["error"] == "login_required"
    page = parties["shop"].ask(browser, id_token_hint=hint)
    assert isinstance(page, Page) and page.is_login
    left = parties["shop"].go_on(browser, page, "ada")
    assert left.answer["error"] == "access_denied"
    page = parties["shop"].ask(browser, id_token_hint=hint)
    assert "code" in parties["shop"].go_on(browser, page, "bob").answer


def test_a_hint_is_recognised_after_a_login_too(provider, parties):
    hint = signed_in(parties["shop"], provider.browser())[0]["id_token"]
    nobody = provider.browser()
    page = parties["shop"].ask(nobody, id_token_hint=hint)
    assert page.is_login and hint not in page.text
    assert "code" in parties["shop"].go_on(nobody, page).answer


def test_a_hint_that_another_sector_got_is_none(parties, browser):
    hint = signed_in(parties["shop"], browser)[0]["id_token"]
    assert silent(parties["bank"], browser, id_token_hint=hint)["error"] == "invalid_request"


def claims_for(sub):
    return json.dumps({"id_token": {"sub": {"value": sub}}})


def test_a_subject_is_asked_for_by_what_the_client_knows(provider, parties, browser):
    """And by nothing else: a client that knows the platform's subject from elsewhere must not learn whose session it
    is."""
    shop = parties["shop"]
    _, known = signed_in(shop, browser)
    assert "code" in silent(shop, browser, claims=claims_for(known["sub"]))
    for sub in (provider.ada, computed("bank.example", provider.ada), computed("shop.example", provider.bob), "", "x"):
        assert silent(shop, browser, claims=claims_for(sub))["error"] == "login_required", sub
    several = json.dumps({"id_token": {"sub": {"values": ["x", known["sub"]]}}})
    assert "code" in silent(shop, browser, claims=several)
    page = shop.ask(browser, claims=claims_for(computed("shop.example", provider.bob)))
    assert page.is_login
    assert shop.go_on(browser, page, "ada").answer["error"] == "access_denied"


def test_a_public_clients_subject_is_asked_for_as_it_is(provider, parties, browser):
    signed_in(parties["open"], browser)
    assert "code" in silent(parties["open"], browser, claims=claims_for(provider.ada))
    assert silent(parties["open"], browser, claims=claims_for(provider.bob))["error"] == "login_required"


def test_a_service_that_logs_users_in_hears_only_of_subjects_that_it_knows(make_server):
    """It is told who must log in where that is known: of the user who is signed in."""
    with make_server(**SETTINGS, TOKEN_PAIRWISE_SALT=SALT) as server:
        keeper = server.add_client("keeper", "logins:write")
        app = add_app(server, "app", "openid", subject_type="pairwise")

        def asked(person, **parameters):
            """What the service hears, and the challenge."""
            query = {"response_type": "code", "client_id": app.id, "redirect_uri": "https://app.example/callback",
                     "scope": "openid", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
                     "code_challenge_method": "S256"} | parameters
            answer = person.get(f"{server.url}/authorize", params=query, allow_redirects=False, timeout=PATIENCE_S)
            location = answer.headers["Location"]
            assert location.startswith(LOGIN_URL), location
            challenge = location.rpartition("=")[2]
            heard = server.get(f"/admin/login-requests/{challenge}", auth=keeper)
            assert heard.status_code == 200, heard.text
            return heard.json(), challenge

        def log_in(person, challenge, subject):
            accepted = server.post(f"/admin/login-requests/{challenge}/accept", auth=keeper, json={"subject": subject})
            path = accepted.json()["redirect_to"].removeprefix("http://localhost")
            answer = person.get(server.url + path, allow_redirects=False, timeout=PATIENCE_S)
            return parse_qs(answer.headers["Location"].partition("?")[2])

        with requests.Session() as person, requests.Session() as stranger:
            first = log_in(person, asked(person)[1], "ada")
            issued = server.post("/token", auth=app, form={
                "grant_type": "authorization_code", "code": first["code"][0],
                "redirect_uri": "https://app.example/callback",
                "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}).json()
            assert tokens.claims_of(issued["id_token"])["sub"] == computed("app.example", "ada")
            hint = {"id_token_hint": issued["id_token"]}
            assert asked(person, prompt="login", **hint)[0]["subject"] == "ada"
            heard, challenge = asked(stranger, **hint)
            assert "subject" not in heard and computed("app.example", "ada") not in json.dumps(heard)
            assert log_in(stranger, challenge, "bob")["error"] == ["access_denied"]
            assert "code" in log_in(stranger, asked(stranger, **hint)[1], "ada")


def test_a_logout_with_somebody_elses_hint_is_asked_about(provider, parties, browser):
    """RP-Initiated Logout: only an id token of this session ends it unasked."""
    signed_in(parties["shop"], browser)
    for other, user in (("shop", "bob"), ("shop", "ada"), ("bank", "bob")):
        hint = signed_in(parties[other], provider.browser(), user)[0]["id_token"]
        page = browser.open("/logout?" + urlencode({"id_token_hint": hint}))
        assert isinstance(page, Page) and page.is_question_about_logout
    assert "code" in silent(parties["shop"], browser)


# --- sectors that have several hosts, and change --------------------------------------------------------------------

def test_a_sector_of_several_hosts_keeps_its_subjects_when_they_change(provider, admin, web):
    uris = [f"https://{host}.example/cb" for host in ("one", "two", "three")]
    sector = publish(web, "/sector", uris)
    party = provider.add_party("several", SCOPE, redirect_uris=uris[:2], subject_type="pairwise",
                               sector_identifier_uri=sector, skip_consent=True)
    subs = set()
    for uri in uris[:2]:
        party.redirect_uri = uri
        subs.add(signed_in(party, provider.browser())[1]["sub"])
    answer = change(provider, admin, "several", redirect_uris=uris[2:])
    assert answer.status_code == 200, answer.text
    party.redirect_uri = uris[2]
    subs.add(signed_in(party, provider.browser())[1]["sub"])
    assert subs == {computed("localhost", provider.ada)}
    refused(change(provider, admin, "several", redirect_uris=["https://four.example/cb"]), "invalid_client_metadata")
    asked = len(web.asked)
    assert change(provider, admin, "several", client_name="Several").status_code == 200
    assert len(web.asked) == asked, "what has nothing to do with it asks nobody"


def test_without_a_sector_uri_the_host_decides(provider, admin):
    party = provider.add_party("moving", SCOPE, redirect_uris=["https://old.example/cb"], subject_type="pairwise",
                               skip_consent=True)
    before, known = signed_in(party, provider.browser())
    assert known["sub"] == computed("old.example", provider.ada)

    def move(uri, host):
        answer = change(provider, admin, "moving", redirect_uris=[uri])
        assert answer.status_code == 200, answer.text
        party.redirect_uri = uri
        assert signed_in(party, provider.browser())[1]["sub"] == computed(host, provider.ada)

    move("https://old.example/other", "old.example")
    before = party.refresh(before["refresh_token"]).json()
    assert party.read_id_token(before["id_token"])["sub"] == known["sub"]
    move("https://new.example/cb", "new.example")
    assert refused(party.refresh(before["refresh_token"])), "the same grant would have another sub"
    assert party.userinfo(before["access_token"]).status_code == 401
    move("https://old.example/cb", "old.example")
    assert party.refresh(before["refresh_token"]).status_code == 200
    assert party.userinfo(before["access_token"]).json()["sub"] == known["sub"]
    both = ["https://old.example/cb", "https://new.example/cb"]
    refused(change(provider, admin, "moving", redirect_uris=both), "invalid_client_metadata")


BAD = {
    "missing": (404, {}, b"[]"),
    "moved": (302, {"Location": "/good"}, b""),
    "lacking": (200, {}, b'["https://a.example/cb"]'),
    "object": (200, {}, b'{"0": "https://a.example/cb", "1": "https://b.example/cb"}'),
    "numbers": (200, {}, b'["https://a.example/cb", "https://b.example/cb", 1]'),
    "no-json": (200, {}, b'["https://a.example/cb", "https://b.example/cb"'),
    "text": (200, {"Content-Type": "text/plain"}, b'["https://a.example/cb", "https://b.example/cb"]'),
    "large": (200, {}, json.dumps(["https://a.example/cb", "https://b.example/cb", "x" * 65536]).encode()),
}


@pytest.fixture(scope="module")
def wanted(web):
    """A client whose sector is at `path`."""
    web.answers |= {f"/{name}": answer for name, answer in BAD.items()}
    publish(web, "/good", ["https://b.example/cb", "https://a.example/cb"])

    def describe(path, **members):
        return {"redirect_uris": ["https://a.example/cb", "https://b.example/cb"], "subject_type": "pairwise",
                "sector_identifier_uri": web.url + path} | members

    return describe


@pytest.mark.parametrize("name", BAD)
def test_a_sector_that_can_not_be_fetched_or_lacks_a_uri_refuses_the_client(provider, admin, wanted, name):
    """The same over HTTP and by the command line, of a new client and of a change."""
    answer = provider.post("/admin/clients", auth=admin, json=wanted(f"/{name}", client_id="bad"))
    assert refused(answer, "invalid_client_metadata")
    assert 'the member "sector_identifier_uri" is refused: ' in answer.json()["error_description"]
    done = provider.run("clients", "add", "--id", "bad", "--metadata", "-", stdin=json.dumps(wanted(f"/{name}")),
                        expect=2)
    assert answer.json()["error_description"] in done.stderr and not done.stdout
    assert provider.get("/admin/clients/bad", auth=admin).status_code == 404


def test_a_sector_that_is_good_is_asked_for_once(provider, admin, web, wanted):
    web.asked.clear()
    answer = provider.post("/admin/clients", auth=admin, json=wanted("/good", client_id="good"))
    assert answer.status_code == 201, answer.text
    provider.secrets.add(answer.json()["client_secret"])
    assert web.asked == ["/good"]
    assert answer.json()["sector_identifier_uri"] == web.url + "/good"
    assert answer.json()["subject_type"] == "pairwise"
    refused(change(provider, admin, "good", sector_identifier_uri=web.url + "/lacking"), "invalid_client_metadata")
    assert provider.get("/admin/clients/good", auth=admin).json()["sector_identifier_uri"] == web.url + "/good"
    provider.run("clients", "change", "good", "--metadata", "-", expect=2,
                 stdin=json.dumps({"sector_identifier_uri": web.url + "/object"}))
    assert provider.request("DELETE", "/admin/clients/good", auth=admin).status_code == 204
    done = provider.run("clients", "add", "--id", "good", "--metadata", "-", "--json",
                        stdin=json.dumps(wanted("/good")))
    provider.secrets.add(json.loads(done.stdout)["client_secret"])
    assert web.asked[-1] == "/good"


@pytest.mark.parametrize("url", ["https://127.0.0.2:1/sector", "https://10.0.0.1/sector", "https://[::1]/sector"])
def test_a_sector_at_an_address_for_special_use_is_not_called(make_provider, url):
    with make_provider(TOKEN_PAIRWISE_SALT=SALT, TOKEN_FETCH_ALLOW="") as provider:
        admin = provider.add_client("admin", ADMIN_SCOPES)
        answer = provider.post("/admin/clients", auth=admin, json={
            "redirect_uris": ["https://a.example/cb"], "subject_type": "pairwise", "sector_identifier_uri": url})
        assert refused(answer, "invalid_client_metadata")
        assert "special use" in answer.json()["error_description"]


# --- without the salt -----------------------------------------------------------------------------------------------

def test_without_a_salt_pairwise_is_neither_offered_nor_registered(make_provider):
    with make_provider() as provider:
        assert provider.metadata["subject_types_supported"] == ["public"]
        admin = provider.add_client("admin", ADMIN_SCOPES)
        asked = {"client_id": "x", "redirect_uris": ["https://x.example/cb"], "subject_type": "pairwise"}
        answer = provider.post("/admin/clients", auth=admin, json=asked)
        assert refused(answer, "invalid_client_metadata") and "subject_type" in answer.json()["error_description"]
        done = provider.run("clients", "add", "--id", "x", "--metadata", "-", expect=2, stdin=json.dumps({
            name: value for name, value in asked.items() if name != "client_id"}))
        assert "TOKEN_PAIRWISE_SALT" in done.stderr
        done = provider.post("/admin/clients", auth=admin, json=asked | {"subject_type": "public"})
        provider.secrets.add(done.json()["client_secret"])
        refused(change(provider, admin, "x", subject_type="pairwise"), "invalid_client_metadata")


def test_a_client_that_is_in_the_store_without_the_salt_is_told_of_nobody(make_provider, web):
    provider = make_provider(TOKEN_PAIRWISE_SALT=SALT)
    provider.secrets.add(SALT)
    subject = provider.add_user("ada", CLAIMS)["subject"]
    provider.start().settled()
    party = provider.add_party("shop", SCOPE, subject_type="pairwise", skip_consent=True,
                               backchannel_logout_uri=f"{web.url}/gone")
    admin, browser = provider.add_client("admin", ADMIN_SCOPES), provider.browser()
    answer, _ = signed_in(party, browser)
    code = party.ask(browser, scope=SCOPE).code
    provider.stop()
    del provider.settings["TOKEN_PAIRWISE_SALT"]
    provider.start()
    web.told.clear()
    end = party.ask(browser)
    assert end.answer["error"] == "unauthorized_client"
    assert refused(party.redeem(code), "unauthorized_client")
    assert refused(party.refresh(answer["refresh_token"]), "unauthorized_client")
    told = party.userinfo(answer["access_token"])
    assert (told.status_code, told.json()["error"]) == (401, "invalid_token") and subject not in told.text
    issued = provider.ask(admin, subject=subject, clientId="shop", scope="openid", tokenType="id")
    assert refused(issued, "unauthorized_client") and subject not in issued.text
    page = browser.open("/logout?" + urlencode({"id_token_hint": answer["id_token"]}))
    assert page.is_question_about_logout, "the hint can't be recognised"
    assert browser.press(page).is_signed_out
    assert provider.told("backchannel_logout_failed")[-1]["client_id"] == "shop"
    assert not provider.is_active(admin, answer["access_token"]) and not told_at(web, "/gone")
    assert provider.request("PATCH", "/admin/clients/shop", auth=admin, json={"is_active": False}).status_code == 200


def test_a_type_of_subject_that_is_not_known_is_not_public(make_server):
    """The platform writes clients too."""
    with make_server(**SETTINGS, TOKEN_PAIRWISE_SALT=SALT) as server:
        app = add_app(server, "app", "openid")
        with closing(sqlite3.connect(server.database_path, timeout=PATIENCE_S)) as database, database:
            database.execute("UPDATE oauth_clients SET metadata = replace(metadata, '\"public\"', '\"Pairwise\"')")
        query = urlencode({"response_type": "code", "client_id": app.id, "state": "x", "scope": "openid",
                           "redirect_uri": "https://app.example/callback", "code_challenge_method": "S256",
                           "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"})

        def error():
            answer = server.get(f"/authorize?{query}")
            return parse_qs(answer.headers["Location"].partition("?")[2]).get("error")

        server.until(lambda: error() == ["unauthorized_client"], "it is told of users")
