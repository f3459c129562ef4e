"""docs/openapi.yaml and the running service say the same: paths, methods, statuses, error codes, headers, bodies, and
what a body may be. Whatever the service answers must be described; whatever is described must have been answered."""

import json
import re
import sqlite3
import time
from contextlib import closing
from urllib.parse import urlencode

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import tokens
from people import CALLBACK, PASSWORD, SCOPE, VERIFIER, Person, asked, challenge_of, fields_of, parameters_of
from service import OPEN_PATHS, ROOT, SCOPES, STORY_SCOPES
from wire import Answer, head

ORIGIN = "https://app.storytailor.ai"
FORM = "application/x-www-form-urlencoded"
TRANSPORT = {"date", "content-length", "content-type", "connection"}  # of any HTTP answer
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
METADATA = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
FOR_ANYONE = ("/.well-known/jwks.json", "/revocations", *METADATA)  # of any origin, and in any cache
# Described, and never to be seen here.
BY_NOBODY = {(500, "server_error"): "a fault of the service: no caller can make one", (500, None): "the same, of HEAD"}
NOT_HERE = {("delete", "/admin/clients/{client_id}", 409, "conflict"): "only a shared database refers to a client",
            ("get", "/authorize/{challenge}", 413, None): "it takes a session that has allowed many clients much"}
WAITING = "{challenge}"  # in its place stands a login request that waits
SIGNED_IN = "{sid}"  # in its place, the session of a user who has signed in
ITSELF = "{client_id}"  # a client whose id is what stands in the paths of the document


# --- the document ---------------------------------------------------------------------------------------------------

class StrictLoader(yaml.SafeLoader):
    """A key that comes twice would hide what stands under the first."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice, line {node.start_mark.line + 1}"
        return super().construct_mapping(node, deep)


DOCUMENT = yaml.load((ROOT / "docs/openapi.yaml").read_text(), StrictLoader)
REGISTRY = Registry().with_resource("urn:openapi", Resource(DOCUMENT, DRAFT202012))
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items() for method in METHODS if method in item]
POSTS = [path for method, path in OPERATIONS if method == "post"]
PAGES = ("/authorize", "/login", "/logout")  # for browsers


def find(*path):
    """A node and its JSON pointer; references on the way are followed, one at its end is not."""
    node, pointer = DOCUMENT, ""
    for step in path:
        while "$ref" in node:
            pointer = node["$ref"].removeprefix("#")
            node = DOCUMENT
            for part in pointer.split("/")[1:]:
                node = node[part.replace("~1", "/").replace("~0", "~")]
        node = node[step]
        pointer += "/" + step.replace("~", "~0").replace("/", "~1")
    return node, pointer


def members_of(*path):
    """The members of what is at `path`, through a reference at its end as well; nothing where it isn't there."""
    try:
        node, pointer = find(*path)
    except KeyError:
        return {}
    return members_of(*[part.replace("~1", "/") for part in node["$ref"].split("/")[1:]]) if "$ref" in node else node


def wrong_with(value, *path):
    """What the schema at `path` has against a value."""
    validator = Draft202012Validator({"$ref": "urn:openapi#" + find(*path)[1]}, registry=REGISTRY)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def schema_of_body(path, content_type="application/json"):
    return "paths", path, "post", "requestBody", "content", content_type, "schema"


def codes_of(schema):
    """The error codes that a response's schema names."""
    error = schema.get("properties", {}).get("error", {})
    named = {error["const"]} if "const" in error else set(error.get("enum", ()))
    return named.union(*(codes_of(each) for each in schema.get("oneOf", ())))


def described(method, path):
    """All (status, error code) of an operation; the code is None where the body has none, or there is no body."""
    found = set()
    for status in members_of("paths", path, method, "responses"):
        content = members_of("paths", path, method, "responses", status, "content")
        codes = set().union(*(codes_of(media["schema"]) or {None} for media in content.values()))
        found |= {(int(status), code) for code in (codes if codes and method != "head" else {None})}
    return found


def test_the_document_is_openapi():
    errors = [(error.message[:300], list(error.absolute_path)) for error in
              OpenAPIV31SpecValidator(DOCUMENT).iter_errors()]
    assert not errors
    names = [find("paths", path, method)[0]["operationId"] for method, path in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_component_is_used():
    text = (ROOT / "docs/openapi.yaml").read_text()
    used = set(re.findall(r"#/components/(\w+/[\w-]+)", text)) | {"securitySchemes/basic", "securitySchemes/bearer",
                                                                  "responses/MethodNotAllowed"}
    assert used == {f"{kind}/{name}" for kind, named in DOCUMENT["components"].items() for name in named}


def examples_in(node, path=()):
    """(path of the node, value) of each example, wherever a schema stands beside it."""
    if isinstance(node, dict):
        if "schema" in node:
            yield from ((path, each["value"]) for each in node.get("examples", {}).values())
            yield from ((path, node["example"]) for _ in range("example" in node))
        for name, child in node.items():
            yield from examples_in(child, (*path, name))


def test_every_example_fits_its_schema():
    examples = list(examples_in(DOCUMENT))
    assert len(examples) > 40
    for path, value in examples:
        assert not wrong_with(value, *path, "schema"), path


# --- an answer and its description ----------------------------------------------------------------------------------

def check_headers(method, path, status, headers):
    named = members_of("paths", path, method, "responses", str(status), "headers")
    for name in named:
        where = ("paths", path, method, "responses", str(status), "headers", name)
        value = headers.get(name.lower())
        assert value is not None or not members_of(*where).get("required"), f"{path} {status} lacks {name}"
        if value is not None:
            number = isinstance(members_of(*where)["schema"].get("const"), int) or \
                members_of(*where)["schema"].get("type") == "integer"
            assert not wrong_with(int(value) if number else value, *where, "schema"), (path, status, name, value)
    unknown = headers.keys() - {name.lower() for name in named} - TRANSPORT
    assert not unknown, f"{method} {path} {status} has headers that are not described: {unknown}"


def check_body(method, path, status, headers, body, empty):
    content = members_of("paths", path, method, "responses", str(status), "content")
    if method == "head" or not content or empty:
        assert body == b"" and (method == "head" or "content-type" not in headers), (path, status, body)
        return None
    where = ("paths", path, method, "responses", str(status), "content", headers["content-type"])
    assert headers["content-type"] in content, (path, status, headers["content-type"])
    value = json.loads(body) if "json" in headers["content-type"] else body.decode()
    assert not wrong_with(value, *where, "schema"), (path, status, value)
    return value.get("error") if isinstance(value, dict) else None


def parts_of(answer):
    """Status, headers in lower case and body, of an answer of requests or of a Wire."""
    if isinstance(answer, Answer):
        return answer.status, answer.headers, answer.body
    return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content


def fits(method, path, answer, empty=False):
    """Holds an answer to its description; (status, error code). `empty`: no body, although one is described (RFC 7009
    section 2.2)."""
    status, headers, body = parts_of(answer)
    named = members_of("paths", path, method, "responses")
    assert str(status) in named, f"{method} {path} answers {status}, which is not described: {body}"
    check_headers(method, path, status, headers)
    return status, check_body(method, path, status, headers, body, empty)


# --- servers --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def server(make_server):
    server = make_server(TOKEN_CORS_ORIGINS=ORIGIN, TOKEN_AUDIENCE="https://api.storytailor.ai",
                         TOKEN_PATH_PREFIX="/stage", TOKEN_LOGIN="builtin").start().settled()
    server.run("users", "add", "ada", "--subject", "user-1", "--claim", "name=Ada Lovelace", stdin=PASSWORD)
    return server


def add_site(server, client_id="site", *arguments):
    """A client that sends its users."""
    return server.add_client(client_id, SCOPE + " stories:read", "--redirect-uri", CALLBACK, "--grant",
                             "authorization_code", "--grant", "refresh_token", "--auth-method", "client_secret_post",
                             *arguments)


@pytest.fixture(scope="module")
def site(server):
    return add_site(server, "site", "--post-logout-redirect-uri", CALLBACK)


@pytest.fixture(scope="module")
def signer(server, tmp_path_factory):
    """One that wants signed answers of UserInfo."""
    path = tmp_path_factory.mktemp("signer") / "metadata.json"
    path.write_text(json.dumps({"userinfo_signed_response_alg": "RS256"}))
    return add_site(server, "signer", "--metadata", str(path))


@pytest.fixture(scope="module")
def agent(server):
    """The client of the examples."""
    server.client = server.add_client("story-agent", SCOPES + " " + STORY_SCOPES, "--grant", "client_credentials")
    return server.client


@pytest.fixture(scope="module")
def nobody(server):
    """A client that may do nothing but have tokens."""
    return server.add_client("nobody", "stories:read", "--grant", "client_credentials")


@pytest.fixture(scope="module")
def strict(make_server):
    """A server that has heard enough wrong secrets from here, for a minute."""
    server = make_server(TOKEN_FAILURE_LIMIT=1, TOKEN_SIGNING_ALG="ES256", TOKEN_LOGIN="builtin").start()
    server.client, server.site = server.add_client("agent"), add_site(server)
    assert server.post("/token/verify", json={"token": "x"}, headers={"Authorization": server.client.basic("x")}
                       ).status_code == 401
    return server


@pytest.fixture(scope="module")
def crowded(make_server):
    """A server at which many log in at once, from here."""
    server = make_server(TOKEN_LOGIN_REQUEST_LIMIT=1, TOKEN_HEADER_MAX=65536, TOKEN_SIGNING_ALG="ES256",
                         TOKEN_LOGIN="builtin").start()
    server.site = add_site(server)
    return server


@pytest.fixture(scope="module")
def broken(make_server):
    """A server whose tables were taken away under its feet; a client that it has in memory, and one that it has not."""
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_CLIENT_CACHE_TTL=3600, TOKEN_LOGIN="builtin").start()
    server.run("users", "add", "ada", stdin=PASSWORD)
    server.client, server.known = server.add_client("agent"), server.add_client("known")
    server.token(server.known)
    server.person = Person(server)
    server.granted = server.person.tokens(add_site(server))
    server.challenge = challenge_of(server.person.begin(add_site(server, "other")))
    with closing(sqlite3.connect(server.database_path, timeout=30)) as database, database:
        for table in ("oauth_clients", "oauth_access_tokens", "revocations", "checks", "items"):
            database.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
    server.until(lambda: server.get("/health/ready").status_code == 503, "a store without its tables is called ready")
    return server


@pytest.fixture(scope="module")
def full(make_server):
    """A server whose keys may be rotated as often as it lets anybody."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start().settled()
    server.client = server.add_client("agent")
    return server


@pytest.fixture(scope="module")
def closed(make_server):
    return make_server(TOKEN_METRICS="off", TOKEN_REVOCATION_FEED="off", TOKEN_SIGNING_ALG="ES256").start()


# --- the answers of each operation ----------------------------------------------------------------------------------

GOOD = {"/token": {"subject": "user-1", "clientId": "story-agent", "scope": "", "tokenType": "access"},
        "/token/verify": {"token": "a.b.c"}, "/token/introspect": {"token": "a.b.c"},
        "/token/revoke": {"token": "a.b.c"}, "/admin/revocations": {"subject": "user-9"}, "/admin/rotate-keys": {},
        "/admin/clients": {"client_name": "Any"}, "/admin/clients/{client_id}": {"client_name": "Any"},
        "/admin/clients/{client_id}/secret": {"overlap": 60},
        "/admin/login-requests/{challenge}/accept": {"subject": "user-1"},
        "/admin/login-requests/{challenge}/reject": {"error": "access_denied"}}


def answers_to_anyone(server, method, path):
    """Whatever the operation: headers that are in doubt or too large, and a body that is too large."""
    for header in ("Host: another", "X-Any: " + "x" * 10_000):
        with server.wire() as wire:
            wire.send(head(method.upper(), path, header))
            yield wire.read(to_head=method == "head")
    yield server.request(method.upper(), path, data=b"x" * 70_000)
    with server.wire() as wire:
        wire.send(head(method.upper(), path, *["X-Any: x"] * 64))
        yield wire.read(to_head=method == "head")


def answers_to_get(world, method, path):
    server, broken, closed = (world[name] for name in ("server", "broken", "closed"))
    yield server.request(method.upper(), path)
    yield server.request(method.upper(), path, headers={"Origin": ORIGIN, "X-Request-Id": "req-1"})
    if path.endswith("jwks.json"):
        etag = server.get(path).headers["ETag"]
        yield server.request(method.upper(), path, headers={"If-None-Match": etag})
        yield server.request(method.upper(), path, headers={"Accept": "application/jwk-set+json"})
    if path == "/health/ready":
        yield broken.request(method.upper(), path)
    if path == "/metrics":
        yield closed.request(method.upper(), path)
    if path == "/revocations":
        yield server.request(method.upper(), path + "?since=x")
        yield server.request(method.upper(), path, headers={"If-None-Match": "*"})
        yield broken.request(method.upper(), path)
        yield closed.request(method.upper(), path)


def answers_to_options(world, method, path):
    for headers in ({}, {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"},
                    {"Origin": "https://other.example"}):
        yield world["server"].request("OPTIONS", path, headers=headers)


def with_itself(server, agent):
    """Adds the client that the document's paths name, unless it is there."""
    answer = server.post("/admin/clients", auth=agent, json={"client_id": ITSELF, "client_name": "Web",
                                                             "scope": "openid stories:read"})
    assert answer.status_code in (201, 409), answer.text


# --- of those for browsers -------------------------------------------------------------------------------------------

def answers_of_the_store(world, method, path):
    """Whatever it is about, it is not known what becomes of it."""
    broken = world["broken"]
    query = asked(broken.known, client_id="not-in-memory")
    sent = {"data": query} if method == "POST" else {"params": query}
    yield broken.person.go(path.replace(WAITING, broken.challenge), method, **sent)


def answers_to_forms(world, path, is_page):
    """What is no form, and a form that can't be read."""
    server = world["server"]
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": FORM, "Content-Encoding": "gzip"}):
        yield server.post(path, data="{}", headers=headers)
    if not is_page:
        yield server.post(path, data="csrf=%", headers={"Content-Type": FORM})


TOO_MUCH = {"nonce": '"' * 512, "state": '"' * 2048, "login_hint": '"' * 512, "acr_values": '"' * 512,
            "ui_locales": '"' * 512, "claims_locales": '"' * 512,
            "claims": json.dumps({"id_token": {"x" * 3900: None}})}


def answers_to_authorize(world, method):
    server, site, person = world["server"], world["site"], Person(world["server"])
    yield world["closed"].request(method, "/authorize")
    yield server.request(method, "/authorize")
    for members in ({}, {"prompt": "none", "response_mode": "form_post"}, {"redirect_uri": "https://other.example/"},
                    {"client_id": "no-such-client"}, {"scope": "stories:burn", "response_mode": "form_post"}):
        yield person.begin(site, method, **members)
    if method == "POST":
        yield from answers_to_forms(world, "/authorize", is_page=True)
    yield Person(world["crowded"]).begin(world["crowded"].site, method, **TOO_MUCH)
    for _ in range(2):
        yield Person(world["crowded"]).begin(world["crowded"].site, method)
    yield from answers_of_the_store(world, method, "/authorize")


def answers_to_resume(world, method):
    server, site = world["server"], world["site"]
    for mode in ("query", "form_post"):
        person = Person(server)
        answer = person.begin(site, response_mode=mode)
        path = "/authorize/" + challenge_of(answer)
        yield person.go(path, method)
        yield Person(server).go(path, method)
        answer = person.follow(person.send(person.follow(answer), username="ada", password=PASSWORD))
        person.send(person.follow(answer))
        yield person.go(path, method)
    yield from answers_of_the_store(world, method, "/authorize/{challenge}")


def answers_to_login(world, method):
    server, site, person = world["server"], world["site"], Person(world["server"])
    begun = person.begin(site)
    path = "/login/" + challenge_of(begun)
    page = person.follow(begun)
    yield Person(server).go(path, method)
    sent = {"form": {"csrf": "x"}} if method == "POST" else {}
    yield world["closed"].request(method, path, **sent)
    yield from answers_of_the_store(world, method, "/login/{challenge}")
    if method != "POST":
        yield person.go(path, method)
        return
    yield from answers_to_forms(world, path, is_page=False)
    yield person.post(path, {"csrf": "x"})
    yield person.send(page, username="ada", password="wrong")
    yield person.send(page, username="ada", password=PASSWORD)
    users = server.data_dir / "users.json"
    good = users.read_bytes()
    users.write_bytes(b"{")
    yield person.send(page, username="ada", password=PASSWORD)
    users.write_bytes(good)
    stranger = Person(world["strict"])
    page = stranger.follow(stranger.begin(world["strict"].site))
    for _ in range(2):
        yield stranger.send(page, username="ada", password="wrong")


def answers_to_logout(world, method):
    server, site, person = world["server"], world["site"], Person(world["server"])
    hint = {"id_token_hint": person.tokens(site)["id_token"], "post_logout_redirect_uri": CALLBACK, "state": "x"}
    if method == "POST":
        yield from answers_to_forms(world, "/logout", is_page=True)
    for query in ({}, hint | {"post_logout_redirect_uri": "https://other.example/"}, hint):
        body = {"data": query} if method == "POST" else {"params": query}
        yield person.go("/logout", method, **body)
    yield world["broken"].person.go("/logout", method)


def answers_to_confirm(world):
    server, person = world["server"], Person(world["server"])
    person.tokens(world["site"])
    page = person.go("/logout")
    yield from answers_to_forms(world, "/logout/confirm", is_page=False)
    yield server.post("/logout/confirm", form={"csrf": "x"})
    yield person.send(page, cancel="1")
    yield person.send(page)
    broken = world["broken"].person
    form = fields_of(page)
    broken.cookies.update({name: value for name, value in person.cookies.items() if "browser" in name})
    yield broken.post("/logout/confirm", form)


def answers_to_userinfo(world, method):
    server, agent, broken = world["server"], world["agent"], world["broken"]
    for name in ("site", "signer"):
        token = Person(server).tokens(world[name])["access_token"]
        yield server.request(method, "/userinfo", auth=token, headers={"Origin": ORIGIN})
        if method == "POST":
            yield server.post("/userinfo", form={"access_token": token})
            yield server.post("/userinfo", auth=token, form={"access_token": token})
    yield server.request(method, "/userinfo")
    yield server.request(method, "/userinfo", auth="a.b.c")
    yield server.request(method, "/userinfo", auth=server.token(agent, scope="stories:read"))
    yield broken.request(method, "/userinfo", auth=broken.granted["access_token"])
    if method == "POST":
        yield server.post("/userinfo", data="x", headers={"Content-Encoding": "gzip"})


def answers_to_browsers(world, method, path):
    method = method.upper()
    if path == "/authorize":
        yield from answers_to_authorize(world, method)
    elif path.startswith("/authorize/"):
        yield from answers_to_resume(world, method)
    elif path.startswith("/login/"):
        yield from answers_to_login(world, method)
    elif path == "/logout":
        yield from answers_to_logout(world, method)
    elif path == "/logout/confirm":
        yield from answers_to_confirm(world)
    else:
        yield from answers_to_userinfo(world, method)


def session_of(world):
    """The sid of a user who signs in now."""
    return tokens.claims_of(Person(world["server"]).tokens(world["site"])["id_token"])["sid"]


def placed(world, path):
    """A path of the document with a login request or a session of its own in it."""
    if WAITING in path:
        return path.replace(WAITING, challenge_of(Person(world["server"]).begin(world["site"])))
    return path.replace(SIGNED_IN, session_of(world)) if SIGNED_IN in path else path


def answers_to_login_requests(world, path):
    server, agent = world["server"], world["agent"]
    here = placed(world, path)
    for body in ({}, {"subject": "user-1", "granted_scopes": ["stories:burn"]}, {"error": '"'},
                 {"subject": "user-1", "claims": {"a": "x" * 20_000}}, {"error": "x", "error_description": "y" * 200}):
        yield server.post(here, auth=agent, json=body)
    yield server.post(here, auth=agent, json=GOOD[path])
    yield server.post(path, auth=agent, json=GOOD[path])


# --- of those for callers --------------------------------------------------------------------------------------------

def answers_to_clients(world, method, path):
    """What calls by clients with another method than POST have in common, and what is special of those under
    /admin/clients."""
    server, agent, nobody, strict, broken = (world[name] for name in ("server", "agent", "nobody", "strict", "broken"))
    method, body = method.upper(), {"json": GOOD[path]} if method == "patch" else {}
    named, path = path, placed(world, path)
    for at in (server, broken):
        yield at.request(method, path, auth=at.client, **body)
    with_itself(server, agent)
    yield server.request(method, path, auth=agent, **body)
    yield server.request(method, path, auth=nobody, **body)
    yield server.request(method, path, auth="a.b.c", **body)
    yield server.request(method, path, headers={"Authorization": agent.basic("wrong")}, **body)
    yield server.request(method, path)
    for _ in range(2):  # the first, where its minute was over
        yield strict.request(method, path, headers={"Authorization": strict.client.basic("wrong")}, **body)
    yield server.request(method, path.replace(ITSELF, "nobody-at-all"), auth=agent, **body)
    yield server.request(method, named, auth=agent, **body)  # which names no login request and no session
    yield server.request(method, path + "?limit=0", auth=agent, **body)
    with_itself(server, agent)


def answers_to_patch(world, path):
    server, agent = world["server"], world["agent"]
    with_itself(server, agent)
    for members in ({"scope": 1}, {"redirect_uris": ["x"]}, {"grant_types": ["password"]}, {"tos_uri": None}):
        yield server.request("PATCH", path, auth=agent, json=members)
    yield server.request("PATCH", path, auth=server.token(agent, scope="clients:write openid stories:read"),
                         json={"scope": "stories:write"})
    for kind, data in (("text/plain", "{}"), ("application/json", "{"), ("application/merge-patch+json", "{}")):
        yield server.request("PATCH", path, auth=agent, data=data, headers={"Content-Type": kind})
    yield server.request("PATCH", path, auth=agent, json={}, headers={"Content-Encoding": "gzip"})


def answers_to_sessions(world, method):
    """A page, the next, and the end of what they show."""
    server, agent, broken = world["server"], world["agent"], world["broken"]
    for _ in range(2):
        session_of(world)
    page = server.get("/admin/sessions?subject=user-1&limit=1", auth=agent).json()
    assert len(page["sessions"]) == 1
    for query in ("?subject=user-1&limit=1", "?subject=user-1&after=" + page["next"], "?subject=", "?limit=101",
                  "?after=x"):
        yield server.request(method.upper(), "/admin/sessions" + query, auth=agent)
    yield broken.request(method.upper(), "/admin/sessions?subject=user-1", auth=broken.known)


def answers_to_add(world):
    server, agent = world["server"], world["agent"]
    examples = members_of("paths", "/admin/clients", "post", "requestBody", "content", "application/json", "examples")
    for name, example in examples.items():
        if name != "web":  # which is added when the examples are tried
            yield server.post("/admin/clients", auth=agent, json=example["value"])
    yield server.post("/admin/clients", auth=server.token(agent, scope="clients:write"), json={"scope": "stories:read"})
    yield server.post("/admin/clients", auth=agent, json={"token_endpoint_auth_method": "none"})


def answers_to_renew(world):
    server, agent = world["server"], world["agent"]
    with_itself(server, agent)
    path = "/admin/clients/{client_id}/secret"
    yield server.post(path, auth=agent)
    yield server.post(path.replace(ITSELF, "nobody-at-all"), auth=agent, json={})
    yield server.post(path, auth=agent, json={"overlap": -1})


def answers_to_callers(world, path):
    """What all calls by clients have in common."""
    server, agent, nobody, strict, broken = (world[name] for name in ("server", "agent", "nobody", "strict", "broken"))
    good, path = GOOD[path], placed(world, path)
    for origin in ({}, {"Origin": ORIGIN}):
        yield server.post(path, json=good, headers=origin)
        yield server.post(path, json=good, headers={"Authorization": agent.basic("wrong")} | origin)
        yield server.post(path, json=good, headers={"Authorization": "Digest x"} | origin)
        yield server.post(path, json=good, auth="a.b.c", headers=origin)
        for data, kind in (("{", "application/json"), ("{}", "application/json"), ("", "application/json"),
                           ("token=%", FORM), ("x", "text/plain"), ("<x/>", "application/xml")):
            yield server.post(path, auth=agent, data=data, headers={"Content-Type": kind} | origin)
        yield server.post(path, auth=agent, form=agent.post() | {"token": "x"}, headers=origin)
        yield server.post(path, auth=agent, json=good, headers={"Content-Encoding": "gzip"} | origin)
        for _ in range(2):  # the first, where its minute was over
            yield strict.post(path, json=good, headers={"Authorization": strict.client.basic("wrong")} | origin)
        yield broken.post(path, json=good, auth=broken.client, headers=origin)
    yield server.post(path, auth=nobody, json={"token": server.token(agent)} if path == "/token/revoke" else good)
    yield server.post(path, auth=server.token(agent, scope="stories:read"),
                      json={"token": server.token(agent, clientId="nobody")} if path == "/token/revoke" else good)


def answers_to_issue(world):
    server, agent, broken = world["server"], world["agent"], world["broken"]
    yield broken.ask(broken.known)
    for members in ({}, {"tokenType": "refresh"}, {"tokenType": "id", "nonce": "n", "authTime": 1700000000},
                    {"authTime": 1}, {"claims": {"role": "admin", "a": [1]}}, {"audience": ["a", "b"]},
                    {"scope": "a:b"}, {"scope": "ä"}, {"tokenType": "refresh", "audience": "x"}, {"expiresIn": 10**6},
                    {"clientId": "no-such-client"}, {"claims": {"iss": "x"}}):
        yield server.ask(agent, **members)
    site = world["site"]
    yield server.post("/token", auth=agent, form={"grant_type": "client_credentials"}, headers={"Origin": ORIGIN})
    yield server.post("/token", auth=server.token(agent), form={"grant_type": "client_credentials"})
    for members in ({"grant_type": "authorization_code", "code": "x"}, {"grant_type": "client_credentials"},
                    {"grant_type": "password"}, {"grant_type": "refresh_token",
                                                 "refresh_token": Person(server).tokens(site)["refresh_token"]}):
        yield server.post("/token", form=site.post() | members)


def answers_to_verify(world):
    server, agent = world["server"], world["agent"]
    issued = server.issue(agent, expiresIn=1)
    server.until(lambda: time.time() >= issued["claims"]["exp"], "time stands still")
    yield server.verify(issued["token"], "a.b.c")
    for kind in ("access", "refresh", "id"):
        token = server.token(agent, tokenType=kind)
        yield server.verify(agent, token)
        yield server.verify(agent, token, tokenType=kind, audience="story-agent", maxAge=60)
        yield server.verify(agent, token, audience="other")
        yield server.verify(server.token(agent, scope=SCOPES), token, clockTolerance=301)
    yield server.verify(agent, "a.b.c")


def answers_to_introspect(world):
    server, agent = world["server"], world["agent"]
    for members in ({}, {"tokenType": "refresh"}, {"tokenType": "id"}, {"claims": {"username": "zoe"}}):
        token = server.token(agent, **members)
        yield server.post("/token/introspect", auth=agent, json={"token": token})
        yield server.post("/token/introspect", form={"token": token, "token_type_hint": "x"} | agent.post())


def answers_to_revoke(world):
    server, agent = world["server"], world["agent"]
    for token in (server.token(agent), "a.b.c"):
        yield server.revoke(agent, token, reason="logout")
        yield server.revoke(agent, token)
        yield server.post("/token/revoke", json={"token": token}, auth=agent, headers={"Origin": ORIGIN})


def answers_to_revoke_many(world):
    server, agent = world["server"], world["agent"]
    for members in ({"subject": "user-9", "reason": "x"}, {"clientId": "no-such-client"}, {"sessionId": "s"},
                    {"everything": True, "before": 1}, {"subject": "user-9", "before": int(time.time()) + 3600},
                    {"reason": "a leak"}):
        yield server.post("/admin/revocations", auth=agent, json=members)


def answers_to_rotate(world):
    """Those that the others' keys may not be changed by come from a server of their own."""
    server, agent, full = world["server"], world["agent"], world["full"]
    yield server.post("/admin/rotate-keys", auth=agent)
    yield server.post("/admin/rotate-keys", auth=agent, json={"revoke": "h-iIVmzR05TyI0SRU5UZUSrdRKGnQi9wPxVTNqdvTe4"})
    for kid in full.kids("pending"):
        yield full.post("/admin/rotate-keys", auth=full.client, json={"revoke": kid, "reason": "x"})
    answer = full.post("/admin/rotate-keys", auth=full.client, json={"immediate": True})
    yield answer
    while answer.status_code == 200:
        answer = full.post("/admin/rotate-keys", auth=full.client, json={"immediate": True})
    yield answer


SPECIAL = {"/token": answers_to_issue, "/token/verify": answers_to_verify, "/token/introspect": answers_to_introspect,
           "/token/revoke": answers_to_revoke, "/admin/revocations": answers_to_revoke_many,
           "/admin/rotate-keys": answers_to_rotate, "/admin/clients": answers_to_add,
           "/admin/clients/{client_id}/secret": answers_to_renew}
SPECIAL |= {path: lambda world, path=path: answers_to_login_requests(world, path) for path in POSTS if WAITING in path}


def answers(world, method, path):
    yield from answers_to_anyone(world["server"], method, path)
    if method == "options":
        yield from answers_to_options(world, method, path)
    elif path.startswith(PAGES) or path == "/userinfo":
        yield from answers_to_browsers(world, method, path)
    elif method == "post":
        with_itself(world["server"], world["agent"])
        yield from answers_to_callers(world, path)
        yield from SPECIAL[path](world)
    elif path.startswith("/admin/"):
        yield from answers_to_clients(world, method, path)
        yield from answers_to_patch(world, path) if method == "patch" else ()
        yield from answers_to_sessions(world, method) if path == "/admin/sessions" else ()
    else:
        yield from answers_to_get(world, method, path)


@pytest.fixture(scope="module")
def world(server, agent, nobody, site, signer, strict, crowded, broken, full, closed):
    return {"server": server, "agent": agent, "nobody": nobody, "site": site, "signer": signer, "strict": strict,
            "crowded": crowded, "broken": broken, "full": full, "closed": closed}


@pytest.fixture(scope="module")
def heard(world):
    """All the answers to each operation."""
    return {(method, path): list(answers(world, method, path)) for method, path in OPERATIONS}


@pytest.mark.parametrize("method, path", OPERATIONS)
def test_every_answer_is_described_and_every_description_is_answered(heard, method, path):
    seen = {fits(method, path, answer) for answer in heard[method, path]}
    expected = {(status, code) for status, code in described(method, path)
                if (status, code) not in BY_NOBODY and (method, path, status, code) not in NOT_HERE}
    assert seen == expected


def test_the_two_kinds_of_401_are_told_apart(server, agent):
    """To the check of a token: whose fault it is."""
    assert "valid" not in server.verify("a.b.c", "x").json()
    assert server.verify(agent, "x").json()["valid"] is False


def test_a_form_is_answered_to_a_revocation_with_nothing(server, agent):
    for form in ({"token": server.token(agent)}, {"token": "x", "token_type_hint": "access_token"}):
        assert fits("post", "/token/revoke", server.post("/token/revoke", auth=agent, form=form), True) == (200, None)
        answer = server.post("/token/revoke", form=form | agent.post(), headers={"Origin": ORIGIN})
        assert fits("post", "/token/revoke", answer, True) == (200, None)


def test_a_draining_server_says_so(make_server):
    """On a request that was under way when the signal came."""
    server = make_server(TOKEN_SIGNING_ALG="ES256").start()
    with server.wire() as wire:
        wire.send(head("GET", "/health/ready", "Content-Length: 1", "Expect: 100-continue"))
        assert wire.read().status == 100, "its head has been read: what has not begun may be cut"
        server.process.terminate()
        server.until(lambda: is_deaf(server), "the server still listens")
        wire.send(b"x")
        answer = wire.read()
    assert fits("get", "/health/ready", answer) == (503, None)
    assert answer.json()["status"] == "draining"
    server.stop()


def is_deaf(server):
    try:
        server.wire().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("alg", tokens.ALGORITHMS)
def test_the_keys_of_each_algorithm_are_described(make_server, alg):
    with make_server(TOKEN_SIGNING_ALG=alg) as server:
        answer = server.get("/.well-known/jwks.json")
        assert fits("get", "/.well-known/jwks.json", answer) == (200, None)
        assert answer.json()["keys"][0]["alg"] == alg


# --- paths and methods ----------------------------------------------------------------------------------------------

def fits_component(name, answer, method="get"):
    """An answer that no operation has: against the response of that name."""
    DOCUMENT["paths"]["urn:any"] = {method: {"responses": {str(answer.status_code): {
        "$ref": f"#/components/responses/{name}"}}}}
    try:
        return fits(method, "urn:any", answer)
    finally:
        del DOCUMENT["paths"]["urn:any"]


def routes():
    """The tables of routes as the source has them: path, methods, who may call. What is below a document is the same
    document."""
    found = {}
    for room in ("oauth", "service"):
        source = (ROOT / f"src/{room}/routes.c").read_text()
        names = dict(re.findall('#define (\\w+) "([^"]+)"', source))
        table = "".join(re.findall(r"static const struct route \w+\[\] = \{(.*?)\n\};", source, re.DOTALL))
        rows = re.findall(r'\{\s*STR_INIT\(([^)]+)\),\s*([A-Z_ |]+),\s*OP_\w+,\s*(\w+),', table)
        assert len(rows) == table.count("OP_"), "a row of the table was not understood"
        for path, methods, access in rows:
            path = "".join(each.strip('"') if each.startswith('"') else names[each] for each in path.split())
            path = path.replace("{}", ITSELF if "/clients/" in path else SIGNED_IN if "/sessions/" in path else WAITING)
            if not path.endswith("*"):
                named = methods.replace("GET_ONLY", "METHOD_GET | METHOD_HEAD").split(" | ")
                found[path] = (found.get(path, (set(),))[0] | {name.removeprefix("METHOD_").lower() for name in named},
                               access)
    return found


def test_the_table_of_routes_and_the_document_have_the_same_calls():
    listed = {(method, path) for path, (methods, _) in routes().items() for method in methods | {"options"}}
    assert listed == set(OPERATIONS)


@pytest.mark.parametrize("prefix", ["", "/stage"])
@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_a_described_path_knows_its_methods_and_no_others(server, path, prefix):
    known = {method.upper() for method, each in OPERATIONS if each == path}
    for method in [*map(str.upper, METHODS), "PROPFIND"]:
        answer = server.session.request(method, server.url + prefix + path)
        assert answer.status_code != 404
        assert (answer.status_code == 405) == (method not in known)
        if answer.status_code == 405 or method == "OPTIONS":
            assert set(answer.headers["Allow"].split(", ")) == known
        if answer.status_code == 405:
            code = None if method == "HEAD" else "method_not_allowed"
            assert fits_component("MethodNotAllowed", answer, method.lower()) == (405, code)


@pytest.mark.parametrize("path", ["/toke", "//", "/prod", "/prod/token", "/prod/metrics", "/token/", "/admin/rotate",
                                  "/authorize/", "/authorize/a/b", "/login", "/a/b/token",
                                  "/admin/login-requests", "/admin/sessions/", "/admin/sessions/a/b"])
def test_a_path_that_is_not_described_answers_404(server, path):
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        answer = server.request(method, path, headers={"Origin": ORIGIN})
        assert fits_component("NotFound", answer) == (404, "not_found")


def test_security_is_described_where_it_is_asked_for(server):
    """The service asks those for credentials, and the table of routes says so, where the document does."""
    for method, path in OPERATIONS:
        schemes = {name for each in find("paths", path, method)[0].get("security", []) for name in each}
        is_asked = server.request(method.upper(), path).status_code == 401
        assert is_asked == bool(schemes)
        assert (schemes == {"basic", "bearer"}) == (
            method != "options" and routes()[path][1] in ("CALLER", "ANY_CLIENT"))
        assert (schemes == {"bearer"}) == (path == "/userinfo" and method != "options")
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"basic", "bearer"}


def test_cors_is_described_where_it_is_answered(server, agent):
    for method, path in OPERATIONS:
        status = min(members_of("paths", path, method, "responses"))
        allowed = "Access-Control-Allow-Origin" in members_of("paths", path, method, "responses", status, "headers")
        answer = server.request(method.upper(), path, headers={"Origin": ORIGIN})
        assert ("Access-Control-Allow-Origin" in answer.headers) == allowed, (method, path)
        other = server.request(method.upper(), path, headers={"Origin": "https://other.example"})
        assert ("Access-Control-Allow-Origin" in other.headers) == (path in FOR_ANYONE), (method, path)


def test_what_may_be_cached_is_described(server):
    for path in (path for method, path in OPERATIONS if method == "get"):
        statuses = members_of("paths", path, "get", "responses")
        headers = members_of("paths", path, "get", "responses", "200" if "200" in statuses else "303", "headers")
        reference = headers.get("Cache-Control", {}).get("$ref", "")
        assert reference.endswith("MaxAge") == (path in FOR_ANYONE)
        assert (reference == "") == path.startswith("/health/")
        assert (path in (*OPEN_PATHS, *FOR_ANYONE)) != reference.endswith("NoStore")


# --- bodies ---------------------------------------------------------------------------------------------------------

VALUES = [None, True, 0, 1, -1, 1.5, 60, 300, 301, 86400, 2147483647, 2147483648, 253402300799, 253402300800, 10**30,
          "", "x", "access", "story-agent", "x" * 64, "x" * 65, "x" * 255, "x" * 256, "x" * 1024, "x" * 1025, "a\nb",
          'a"b', "a\\b", "ä", [], ["x"], [""], [1], ["x", None], ["x"] * 16, ["x"] * 17, [["x"]], ["x" * 256], {},
          {"a": 1}, {"iss": "x"}, {"a": 1, "cnf": {}}, {"": 1}, {"audience": "x"}, {"unknown": 1}]

# Refusals that no schema can foretell: they depend on what the service knows, or on the other members.
KNOWING = re.compile(r"clientId does not name a client|the subject is missing|a scope that was not asked for|"
                     "auth_time lies in the future|"
                     r"expiresIn is at most|the client is not allowed a scope|"
                     "only an access token|before lies in the future|authTime lies in the future")

# The same of a client, where they may come before what a schema does foretell: which URIs and keys are good, and what
# fits what.
REGISTERING = re.compile("is refused: (it is not absolute|it is empty, or longer than 2048|it has |the grant type|"
                         "private_key_jwt needs|it needs jwks|pairwise needs|refresh_token needs)")


def refused_for_its_form(answer):
    """Whether the body was refused as one that is never good."""
    if answer.status_code != 400:
        assert answer.status_code in (200, 201, 404, 409) or answer.json().get("valid") is False, answer.text
        return False
    return not KNOWING.search(answer.json()["error_description"])


def bodies(path):
    """A good body, and all that differ from one in one member."""
    good = dict(GOOD[path])
    schema = members_of(*schema_of_body(path))
    yield good
    yield good | {"unknown": 1}
    for name in schema["properties"]:
        yield {key: value for key, value in good.items() if key != name}
        yield from (good | {name: value} for value in VALUES)
    for name in schema["properties"].get("options", {}).get("properties", {}):
        yield from (good | {"options": {name: value}} for value in VALUES)


@pytest.mark.parametrize("path", [path for path in POSTS if path in GOOD])
def test_a_body_is_refused_exactly_where_its_schema_refuses_it(server, agent, site, make_server, path):
    counts = {True: 0, False: 0}
    here = placed({"server": server, "site": site}, path)
    if path == "/admin/rotate-keys":  # good ones do move keys, which the examples want to stay
        server = make_server(TOKEN_SIGNING_ALG="ES256").start()
        agent = server.add_client("agent")
    with_itself(server, agent)
    for body in bodies(path):
        wrong = wrong_with(body, *schema_of_body(path))
        answer = server.post(here, auth=agent, json=body)
        fits("post", path, answer)
        if not REGISTERING.search(answer.json().get("error_description", "")):
            assert refused_for_its_form(answer) == bool(wrong), (body, wrong, answer.text)
            counts[bool(wrong)] += 1
    assert min(counts.values()) > 8, counts


@pytest.mark.parametrize("path", ["/token/introspect", "/token/revoke"])
def test_a_form_is_refused_exactly_where_its_schema_refuses_it(server, agent, path):
    for form in ({"token": "x"}, {}, {"token": ""}, {"token_type_hint": "x"}, {"token": "x", "token_type_hint": ""},
                 {"token": "x", "anything": "y"}, {"token": "x", "client_id": "story-agent"}):
        wrong = wrong_with(form, *schema_of_body(path, FORM))
        answer = server.post(path, auth=agent, data=urlencode(form), headers={"Content-Type": FORM})
        assert (answer.status_code == 400) == bool(wrong), (form, wrong)


def deep(levels):
    return '{"claims":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def many(values):
    return '{"claims":[' + ",".join("1" * (values - 2)) + "]}"


@pytest.mark.parametrize("stated, made, most", [
    ("at most {} levels deep", deep, 32), ("with at most {} values", many, 4096),
    ("no number longer than {} characters", lambda length: '{"expiresIn":' + "1" * length + "}", 64)],
    ids=["levels", "values", "numbers"])
def test_the_limits_that_refuse_sound_json_are_in_the_documents(server, agent, stated, made, most):
    for text in (DOCUMENT["info"]["description"], (ROOT / "README.md").read_text()):
        assert stated.format(most) in " ".join(text.split())
    said = []
    for size in (most, most + 1):
        answer = server.post("/token", auth=agent, data=made(size), headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        said.append("the JSON is not valid" in answer.json()["error_description"])
    assert said == [False, True], "the last that is read as JSON, and the first that is not"


# --- examples -------------------------------------------------------------------------------------------------------

def shape_of(value):
    """Members and types; what an example and a real answer have in common. Keys of one second come in any order."""
    if isinstance(value, dict):
        return {name: shape_of(each) for name, each in value.items()}
    return sorted(map(shape_of, value), key=repr) if isinstance(value, list) else type(value).__name__


def request_examples():
    return [(path, kind, name) for path in POSTS for kind, media in members_of(
        "paths", path, "post", "requestBody", "content").items() for name in media.get("examples", ())]


@pytest.mark.parametrize("path, kind, name", request_examples())
def test_an_example_is_answered_as_its_example_says(server, agent, site, path, kind, name):
    """An answer's example has its request's name. Where the example has a shortened token or a code, a real one is
    sent."""
    body = dict(members_of("paths", path, "post", "requestBody", "content", kind, "examples", name)["value"])
    if body.get("token", "").startswith("eyJ"):
        body["token"] = server.token(agent, subject="user-1", scope="stories:read")
    if len(body.get("code", "")) > 1:
        body["code"] = parameters_of(Person(server).sign_in(site))["code"]
        body["code_verifier"] = VERIFIER
    if "client_secret" in body:
        body["client_secret"] = {agent.id: agent, site.id: site}[body["client_id"]].secret
    with_itself(server, agent)
    sent = {"form": body} if kind == FORM else {"json": body}
    answer = server.post(placed({"server": server, "site": site}, path),
                         auth=None if "client_secret" in body else agent, **sent)
    if answer.content == b"":
        assert fits("post", path, answer, empty=True) == (200, None)
        return
    fits("post", path, answer)
    example = members_of("paths", path, "post", "responses", str(answer.status_code), "content", "application/json",
                         "examples").get(name)
    assert example, f"no example of {answer.status_code} is called {name}"
    assert shape_of(answer.json()) == shape_of(example["value"])
    if answer.status_code >= 400:
        assert answer.json() == example["value"]


def test_every_example_of_an_error_was_heard(server, heard):
    told = [answer for each in heard.values() for answer in each]
    told += [server.get("/nothing"), server.request("DELETE", "/token")]
    said = [json.loads(body) for body in {parts_of(answer)[2] for answer in told} if body.startswith(b'{"')]
    examples = [value for path, value in examples_in(DOCUMENT)
                if "responses" in path and isinstance(value, dict) and "error" in value]
    assert len(examples) > 15
    assert not [example for example in examples if example not in said]


def test_the_scopes_that_the_document_names_are_the_services():
    named = set(re.findall(r"`((?:token|keys|clients|logins|sessions):[a-z:]+)`", json.dumps(DOCUMENT)))
    assert named == set(SCOPES.split())
    assert not named & set(STORY_SCOPES.split())


def test_the_settings_that_the_document_names_exist():
    table = (ROOT / "src/base/settings.c").read_text()
    named = set(re.findall(r"`(TOKEN_[A-Z_]+)`", json.dumps(DOCUMENT)))
    assert len(named) > 5
    assert not [name for name in named if f'{{ "{name}",' not in table]


def test_the_documents_version_is_the_programs(server):
    assert DOCUMENT["info"]["version"] in server.run("version").stdout
