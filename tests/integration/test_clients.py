"""Clients as an administrator sees and changes them: on the command line and over HTTP, by the same rules; who may; and
two secrets that overlap. (The rules themselves: unit/test_client_metadata.c, unit/test_client_uri.c.)"""

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import tokens
from service import DEFAULTS, SCOPES, Client, run

ADMIN_SCOPES = "clients:read clients:write"
OTHERS = " ".join(scope for scope in SCOPES.split() if scope not in ADMIN_SCOPES)  # of the service's own
CALLBACK = "https://app.example/callback"
JWKS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "1"}]}
EVERYTHING = {
    "client_name": "Wéb", "scope": "openid stories:read", "access_token_ttl": 60, "refresh_token_ttl": 70,
    "id_token_ttl": 80, "application_type": "native", "redirect_uris": ["com.example.app:/cb", "http://127.0.0.1/cb"],
    "post_logout_redirect_uris": ["com.example.app:/bye"], "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "EdDSA", "jwks": JWKS,
    "subject_type": "public",
    "id_token_signed_response_alg": "EdDSA", "userinfo_signed_response_alg": "EdDSA",
    "request_object_signing_alg": "EdDSA", "require_pkce": False, "require_auth_time": True, "default_max_age": 0,
    "backchannel_logout_uri": "https://app.example/logout", "backchannel_logout_session_required": True,
    "initiate_login_uri": "https://app.example/in", "client_uri": "https://app.example/",
    "logo_uri": "https://app.example/logo.png", "policy_uri": "https://app.example/policy",
    "tos_uri": "https://app.example/tos", "contacts": ["zoë@app.example"], "resources": ["https://api.example/"],
    "refresh_token_rotation": False, "refresh_token_grace": 0, "refresh_token_idle": 600, "skip_consent": True,
    "assertion_audience": "token_endpoint"}


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_SIGNING_ALG="EdDSA").start()


@pytest.fixture(scope="module")
def admin(server):
    return server.add_client("admin", f"{SCOPES} stories:read")


@pytest.fixture
def settings(tmp_path):
    return DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path / "data"), "TOKEN_LOG_LEVEL": "info",
                       "TOKEN_SIGNING_ALG": "EdDSA"}


def add(server, auth, **members):
    answer = server.post("/admin/clients", auth=auth, json=members)
    if answer.status_code == 201 and "client_secret" in answer.json():
        server.secrets.add(answer.json()["client_secret"])
    return answer


def added(server, auth, **members):
    answer = add(server, auth, **members)
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(server, auth, client_id, **members):
    return server.request("PATCH", f"/admin/clients/{client_id}", auth=auth, json=members)


def renew(server, auth, client_id, **members):
    answer = server.post(f"/admin/clients/{client_id}/secret", auth=auth, json=members)
    if answer.status_code == 200:
        server.secrets.add(answer.json()["client_secret"])
    return answer


def client_of(shown):
    return Client(shown["client_id"], shown.get("client_secret"), shown["scope"])


def without_secret(shown):
    return {name: value for name, value in shown.items() if not name.startswith("client_secret")}


# --- over HTTP ------------------------------------------------------------------------------------------------------

def test_a_client_is_added_shown_changed_and_deleted(server, admin):
    shown = added(server, admin, client_id="web", scope="token:introspect", redirect_uris=[CALLBACK])
    assert shown["client_secret_expires_at"] == 0 and len(shown["client_secret"]) == 43
    assert shown["grant_types"] == ["authorization_code"] and shown["response_types"] == ["code"]
    assert server.introspect(client_of(shown), "x") == {"active": False}
    path = "/admin/clients/web"
    assert server.get(path, auth=admin).json() == without_secret(shown)
    changed = change(server, admin, "web", client_name="Web", tos_uri="https://app.example/tos", is_active=False)
    assert changed.json() == without_secret(shown) | {"client_name": "Web", "tos_uri": "https://app.example/tos",
                                                      "is_active": False}
    assert server.get(path, auth=admin).json() == changed.json()
    assert server.post("/token/introspect", auth=client_of(shown), form={"token": "x"}).status_code == 401
    answer = server.request("DELETE", path, auth=admin)
    assert (answer.status_code, answer.content) == (204, b"")
    for gone in (server.get(path, auth=admin), server.request("DELETE", path, auth=admin),
                 change(server, admin, "web", client_name="x"), renew(server, admin, "web")):
        assert (gone.status_code, gone.json()["error"]) == (404, "not_found")
    assert server.told("client_deleted")[-1]["client"] == "web"
    assert server.told("client_added")[-1]["caller"] == "admin"


def test_everything_that_a_client_has_comes_back(server, admin):
    shown = added(server, admin, client_id="everything", **EVERYTHING)
    assert "client_secret" not in shown, "it authenticates with a key"
    assert shown == shown | EVERYTHING
    assert server.get("/admin/clients/everything", auth=admin).json() == shown
    assert json.loads(server.run("clients", "show", "everything", "--json").stdout) == shown
    nothing = change(server, admin, "everything", **{name: None for name in EVERYTHING}).json()
    assert nothing["redirect_uris"] == [] and nothing["require_pkce"] is True and nothing["client_name"] == ""
    assert not nothing.keys() & {"jwks", "contacts", "tos_uri", "refresh_token_ttl", "default_max_age"}
    assert nothing["token_endpoint_auth_method"] == "client_secret_basic"


def test_an_id_that_a_path_has_to_encode(server, admin):
    for client_id, path in (("a/b c", "a%2Fb%20c"), ("https://c.example/?x#y", "https:%2F%2Fc.example%2F%3Fx%23y"),
                            ("100%", "100%25"), ("a+b", "a+b")):
        added(server, admin, client_id=client_id)
        assert server.get(f"/admin/clients/{path}", auth=admin).json()["client_id"] == client_id
        assert renew(server, admin, path).json()["client_id"] == client_id
        assert server.request("DELETE", f"/admin/clients/{path}", auth=admin).status_code == 204


def test_a_client_may_be_given_its_id(server, admin):
    first, second = added(server, admin), added(server, admin)
    assert first["client_id"] != second["client_id"] and len(first["client_id"]) == 22
    assert first["client_name"] == first["client_id"]


@pytest.mark.parametrize("members, error", [
    ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
    ({"redirect_uris": [CALLBACK + "#x"]}, "invalid_redirect_uri"),
    ({"redirect_uris": [CALLBACK + "?code=x"]}, "invalid_redirect_uri"),
    ({"grant_types": ["authorization_code"]}, "invalid_redirect_uri"),
    ({"grant_types": ["password"]}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ({"contacts": ["x" * 256]}, "invalid_client_metadata"),
    ({"post_logout_redirect_uris": [f"https://app.example/{at:02}" + "x" * 2000 for at in range(17)]},
     "invalid_client_metadata"),
    ({"client_id": "é"}, "invalid_request"), ({"scope": 'a"'}, "invalid_request"), ({"x": 1}, "invalid_request"),
    ({"client_secret": "mine"}, "invalid_request"), ({"access_token_ttl": 0}, "invalid_request"),
    ({"client_id": "admin"}, "conflict")])
def test_what_may_not_be_is_refused_with_its_code(server, admin, members, error):
    answer = add(server, admin, **members)
    assert (answer.status_code, answer.json()["error"]) == (409 if error == "conflict" else 400, error)


def test_a_merge_patch_may_come_by_its_own_name_and_nothing_else(server, admin):
    added(server, admin, client_id="patched")
    for kind, status in (("application/merge-patch+json", 200), ("application/merge-patch+json; charset=utf-8", 200),
                         ("application/json", 200), ("application/json-patch+json", 415), ("text/plain", 415)):
        answer = server.request("PATCH", "/admin/clients/patched", auth=admin, data=b'{"client_name":"x"}',
                                headers={"Content-Type": kind})
        assert answer.status_code == status, kind
    for body in (b"", b"[]", b"null", b"{"):
        answer = server.request("PATCH", "/admin/clients/patched", auth=admin, data=body,
                                headers={"Content-Type": "application/merge-patch+json"})
        assert answer.status_code in (400, 415)


def test_clients_are_listed_page_by_page(make_server):
    with make_server(TOKEN_SIGNING_ALG="EdDSA") as server:
        admin = server.add_client("admin", ADMIN_SCOPES)
        ids = sorted(["admin", *(added(server, admin, client_id=f"c {at:02}&=")["client_id"] for at in range(23))])
        listed, after = [], None
        while after != "":
            query = "?limit=10" + (f"&after={after.replace(' ', '+').replace('&', '%26').replace('=', '%3D')}"
                                   if after else "")
            page = server.get("/admin/clients" + query, auth=admin).json()
            listed += page["clients"]
            after = page.get("next", "")
            assert len(page["clients"]) == (10 if after else 4)
        assert [each["client_id"] for each in listed] == ids
        assert listed[0] == server.get("/admin/clients/admin", auth=admin).json()
        assert server.get("/admin/clients", auth=admin).json() == {"clients": listed}
        for query in ("limit=0", "limit=201", "limit=x", "limit=1&limit=2", "after=%ff"):
            assert server.get("/admin/clients?" + query, auth=admin).status_code == 400, query
        long = ["https://app.example/" + f"{at:02}" + "x" * 2000 for at in range(15)]
        for at in range(40):  # more than fits into one response
            added(server, admin, client_id=f"long-{at:02}", post_logout_redirect_uris=long)
        page = server.get("/admin/clients?limit=200&after=long-", auth=admin).json()
        assert 10 < len(page["clients"]) < 40 and page["next"] == page["clients"][-1]["client_id"]


# --- who may --------------------------------------------------------------------------------------------------------

CALLS = [("GET", "/admin/clients", "clients:read"), ("POST", "/admin/clients", "clients:write"),
         ("GET", "/admin/clients/target", "clients:read"), ("PATCH", "/admin/clients/target", "clients:write"),
         ("POST", "/admin/clients/target/secret", "clients:write"),
         ("DELETE", "/admin/clients/target", "clients:write")]


@pytest.mark.parametrize("method, path, scope", CALLS)
def test_each_call_needs_its_scope(server, admin, method, path, scope):
    for allowed in ("", OTHERS, "clients:read", "clients:write", "clients", "clients:readwrite"):
        name = f"caller-{CALLS.index((method, path, scope))}-{len(allowed)}"
        caller = server.add_client(name, allowed)
        add(server, admin, client_id="target")
        by_secret = server.request(method, path, auth=caller, json={}).status_code
        assert (by_secret != 403) == (allowed == scope), allowed
        if allowed == scope:
            assert by_secret in (200, 201, 204)
            add(server, admin, client_id="target")
            poor = server.token(admin, clientId=name, subject=name, scope="")
            assert server.request(method, path, auth=poor, json={}).status_code == 403
    role = server.token(admin, claims={"role": "admin"})
    assert server.request(method, path, auth=role, json={}).status_code == 403, "the role admin is no such scope"
    assert server.request(method, path, json={}).status_code == 401
    add(server, admin, client_id="target")


WORDS = ["", "stories:read", "keys:rotate", "clients:write", "token:issue:any"]
HOLDERS = ["clients:write", "clients:write keys:rotate", SCOPES,
           "clients:write stories:read"]


def callers_of(server, admin, holder):
    """(its scopes as they count, whether it may change clients at all, what it authenticates with)."""
    caller = server.add_client(f"holder-{HOLDERS.index(holder)}", holder)
    asked = {"clientId": caller.id, "expiresIn": 600}
    yield set(holder.split()), True, False, caller
    for scope in {holder, "clients:write"}:
        issuer = server.add_client(f"issuer-{HOLDERS.index(holder)}-{len(scope)}",
                                   f"{holder} token:issue:any token:issue")
        yield set(scope.split()), True, True, server.token(issuer, subject=caller.id, scope=scope, **asked)
        yield set(scope.split()), False, True, server.token(issuer, subject="user-1", scope=scope, **asked)
        yield set(scope.split()), False, True, server.token(issuer, subject=caller.id, scope=scope,
                                                            claims={"sid": "session-1"}, **asked)


def may_hand_on(words, is_bearer, scope):
    """The rule once more, in other words than the service's."""
    own = {word for word in scope.split() if word.split(":")[0] in ("token", "keys", "clients")}
    return (set(scope.split()) if is_bearer else own) <= words


@pytest.mark.parametrize("holder", HOLDERS)
def test_nobody_gives_a_client_more_than_it_has_or_takes_over_one_that_has_more(server, holder):
    everyone = server.add_client(f"everyone-{HOLDERS.index(holder)}", f"{SCOPES} stories:read")
    seen = set()
    for words, changes, is_bearer, auth in callers_of(server, everyone, holder):
        for scope in WORDS:
            may = changes and may_hand_on(words, is_bearer, scope)
            cell = (sorted(words), changes, is_bearer, scope)
            answer = add(server, auth, scope=scope)
            assert (answer.status_code == 201) == may, (cell, answer.text)
            assert may or answer.json()["error"] in ("invalid_scope", "insufficient_scope")
            poor, rich = added(server, everyone), added(server, everyone, scope=scope)
            assert (change(server, auth, poor["client_id"], scope=scope).status_code == 200) == may, cell
            for call in (lambda: change(server, auth, rich["client_id"], contacts=["x"]),
                         lambda: change(server, auth, rich["client_id"], scope=""),
                         lambda: renew(server, auth, rich["client_id"]),
                         lambda: server.request("DELETE", f"/admin/clients/{rich['client_id']}", auth=auth)):
                if scope == "":
                    rich = added(server, everyone)
                answer = call()
                assert (answer.status_code in (200, 204)) == may, (cell, answer.text)
                assert may or answer.status_code == 403
                if may and answer.status_code != 204:
                    change(server, everyone, rich["client_id"], scope=scope)
            seen.add(may)
    assert seen == {True, False}


def test_the_scopes_of_this_service_are_handed_on_by_tokens_as_before(server, admin):
    issuer = server.add_client("plain-issuer", "token:issue token:issue:any")
    answer = server.ask(issuer, clientId="admin", subject="admin", scope="clients:write")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    child = server.token(server.token(admin, scope=f"token:issue {ADMIN_SCOPES}"), scope="clients:write")
    assert tokens.claims_of(child)["scope"] == "clients:write"
    assert add(server, child).json()["error"] == "insufficient_scope"


# --- secrets --------------------------------------------------------------------------------------------------------

def works(server, client):
    return server.post("/token/introspect", auth=client, form={"token": "x"}).status_code == 200


def test_two_secrets_overlap_and_the_older_one_ends(server, admin):
    first = client_of(added(server, admin, client_id="overlapping", scope="token:introspect"))
    assert works(server, first)
    before = time.time()
    shown = renew(server, admin, first.id, overlap=600).json()
    assert before + 599 <= shown["old_secret_until"] <= time.time() + 601
    second = dataclasses.replace(first, secret=shown["client_secret"])
    assert works(server, first) and works(server, second)
    third = dataclasses.replace(first, secret=renew(server, admin, first.id, overlap=600).json()["client_secret"])
    assert [works(server, each) for each in (first, second, third)] == [False, True, True]
    assert "old_secret_until" not in change(server, admin, first.id, old_secret_until=None).json()
    assert [works(server, each) for each in (second, third)] == [False, True]
    brief = renew(server, admin, first.id, overlap=1).json()
    last = dataclasses.replace(first, secret=brief["client_secret"])
    server.until(lambda: not works(server, third), "the old secret does not end")
    assert time.time() >= brief["old_secret_until"] and works(server, last)
    at_once = dataclasses.replace(first, secret=renew(server, admin, first.id).json()["client_secret"])
    assert works(server, at_once) and not works(server, last)
    for overlap in (-1, 90 * 86400 + 1, 1.5, "60"):
        assert renew(server, admin, first.id, overlap=overlap).status_code == 400


def test_the_body_of_a_renewal_may_be_left_out(server, admin):
    first = added(server, admin)
    answer = server.post(f"/admin/clients/{first['client_id']}/secret", auth=admin)
    assert answer.status_code == 200 and answer.json()["client_secret"] != first["client_secret"]
    server.secrets.add(answer.json()["client_secret"])


def test_who_authenticates_without_a_secret_gets_none(server, admin):
    for client_id, members in (("open", {"token_endpoint_auth_method": "none"}),
                               ("keyed", {"token_endpoint_auth_method": "private_key_jwt", "jwks": JWKS})):
        assert "client_secret" not in added(server, admin, client_id=client_id, **members)
        assert renew(server, admin, client_id).status_code == 404


def test_a_client_that_takes_a_key_loses_its_secrets(server, admin):
    first = client_of(added(server, admin, client_id="to-a-key", scope="token:introspect"))
    second = dataclasses.replace(first, secret=renew(server, admin, first.id, overlap=600).json()["client_secret"])
    assert works(server, first) and works(server, second)
    changed = change(server, admin, first.id, token_endpoint_auth_method="private_key_jwt", jwks=JWKS)
    assert changed.status_code == 200 and "old_secret_until" not in changed.json()
    assert not works(server, first) and not works(server, second)
    answer = change(server, admin, first.id, token_endpoint_auth_method="none")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_changes_at_the_same_time_undo_nothing(server, admin):
    added(server, admin, client_id="busy")
    members = [{"tos_uri": f"https://app.example/{at}"} if at % 2 else {"contacts": [f"c{at}"]} for at in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: change(server, admin, "busy", **each), members))
    assert {answer.status_code for answer in answers} <= {200, 503}
    done = [each for each, answer in zip(members, answers) if answer.status_code == 200]
    shown = server.get("/admin/clients/busy", auth=admin).json()
    assert {"tos_uri": shown["tos_uri"]} in done and {"contacts": shown["contacts"]} in done


# --- on the command line --------------------------------------------------------------------------------------------

def cli(settings, *arguments, **options):
    return run("clients", *arguments, settings=settings, **options)


def shown_by_cli(settings, *arguments, **options):
    return json.loads(cli(settings, *arguments, "--json", **options).stdout)


def test_the_flags_say_what_a_client_registers(settings):
    shown = shown_by_cli(settings, "add", "--id", "web", "--scope", "openid", "--name", "Wéb", "--grant",
                         "authorization_code", "--grant", "refresh_token", "--redirect-uri", CALLBACK, "--redirect-uri",
                         "http://127.0.0.1/cb", "--post-logout-redirect-uri", "https://app.example/", "--auth-method",
                         "client_secret_post", "--refresh-ttl", "600")
    assert shown == shown | {
        "client_id": "web", "client_name": "Wéb", "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "refresh_token_ttl": 600,
        "post_logout_redirect_uris": ["https://app.example/"], "token_endpoint_auth_method": "client_secret_post"}
    assert shown_by_cli(settings, "show", "web") == without_secret(shown)
    (listed,) = shown_by_cli(settings, "list")
    assert listed == without_secret(shown)
    lines = dict(line.split(maxsplit=1) for line in cli(settings, "show", "web").stdout.splitlines())
    assert lines["redirect_uris"] == f"{CALLBACK} http://127.0.0.1/cb" and lines["require_pkce"] == "true"
    assert "client_secret" not in lines


def test_a_file_says_the_rest_and_flags_come_first(settings, tmp_path):
    path = tmp_path / "client.json"
    path.write_text(json.dumps(EVERYTHING))
    shown = shown_by_cli(settings, "add", "--id", "a", "--metadata", str(path), "--scope", "x")
    assert shown == shown | EVERYTHING | {"client_id": "a", "scope": "x"}
    again = shown_by_cli(settings, "add", "--metadata", "-", stdin=json.dumps(EVERYTHING | {"client_id": "b"}))
    assert again == again | EVERYTHING | {"client_id": "b"}
    changed = shown_by_cli(settings, "change", "a", "--metadata", "-", "--name", "A", stdin='{"jwks_uri": null, '
                           '"contacts": null, "client_name": "B"}')
    assert changed == {name: value for name, value in (shown | {"client_name": "A"}).items() if name != "contacts"}


def test_a_change_says_what_is_to_be_changed(settings):
    cli(settings, "add", "--id", "web", "--scope", "a")
    changed = shown_by_cli(settings, "change", "web", "--scope", "a b", "--grant", "client_credentials")
    assert changed["scope"] == "a b" and changed["grant_types"] == ["client_credentials"]
    assert "say what" in cli(settings, "change", "web", expect=2).stderr
    assert "name the client" in cli(settings, "change", expect=2).stderr
    cli(settings, "change", "nobody", "--scope", "a", expect=1)
    cli(settings, "show", "nobody", expect=1)


@pytest.mark.parametrize("arguments, said", [
    (["--redirect-uri", "http://app.example/"], "redirect_uris"), (["--grant", "password"], "grant_types"),
    (["--auth-method", "basic"], "token_endpoint_auth_method"), (["--public", "--auth-method", "none"], "--public"),
    (["--metadata", "/nonexistent/file"], "--metadata"), (["--jwks-uri", "http://127.0.0.1/"], "jwks_uri"),
    (["--redirect-uri"], "needs a value"), (sum((["--grant", "x"] for _ in range(33)), []), "too often")])
def test_what_may_not_be_is_a_wrong_argument(settings, arguments, said):
    done = cli(settings, "add", "--id", "web", "--scope", "a", *arguments, expect=2)
    assert said in done.stderr and done.stdout == ""
    assert shown_by_cli(settings, "list") == []


def test_metadata_that_is_no_object_is_refused_before_anything_is_made(settings, tmp_path):
    for text in ("", "[]", "{", "x" * 70000):
        done = cli(settings, "add", "--id", "web", "--metadata", "-", stdin=text, expect=2)
        assert "--metadata" in done.stderr
    assert not (tmp_path / "data").exists()


def test_secrets_overlap_by_the_command_line_too(server, admin):
    first = server.add_client("by-command", "token:introspect")
    assert works(server, first)
    shown = json.loads(server.run("clients", "secret", first.id, "--overlap", "600", "--json").stdout)
    server.secrets.add(shown["client_secret"])
    second = dataclasses.replace(first, secret=shown["client_secret"])
    server.until(lambda: works(server, second), "the new secret is not taken")
    assert works(server, first)
    assert "old_secret_until" not in json.loads(
        server.run("clients", "change", first.id, "--drop-old-secret", "--json").stdout)
    server.until(lambda: not works(server, first), "the old secret is still taken")
    assert works(server, second)
    text = server.run("clients", "secret", first.id, "--overlap", "60").stdout
    server.secrets.add(text.split()[3])
    assert "60 s" in text
    server.run("clients", "secret", first.id, "--overlap", str(90 * 86400 + 1), expect=2)


def test_a_client_that_is_deleted_beside_a_server_is_refused_soon(server, admin):
    client = server.add_client("to-be-deleted", "token:introspect")
    assert works(server, client)
    token = server.token(admin, clientId=client.id, subject=client.id)
    assert "deleted" in server.run("clients", "delete", client.id).stdout
    server.until(lambda: not works(server, client), "a deleted client is still let in")
    assert server.is_active(admin, token), "its tokens stay good"
    server.run("clients", "delete", client.id, expect=1)
