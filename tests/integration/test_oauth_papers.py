"""docs/oauth.md: its login service does what the page says, and the settings and errors that it names are there."""

import json
import os
import re
import subprocess
import sys
import time

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from people import CALLBACK, PASSWORD, VERIFIER, Person, parameters_of, path_of
from ports import free_port
from service import ROOT, Server
from wire import PATIENCE_S

PAGE = (ROOT / "docs/oauth.md").read_text()


@pytest.fixture(scope="module")
def login_port():
    return free_port()


@pytest.fixture(scope="module")
def server(make_server, login_port):
    return make_server(LOGIN_URL=f"http://127.0.0.1:{login_port}/").start()


@pytest.fixture(scope="module")
def site(server):
    return server.add_client("site", "openid profile", "--name", "The site", "--redirect-uri", CALLBACK)


@pytest.fixture(scope="module")
def login(server, login_port, tmp_path_factory):
    """The login service of the page, as it stands there."""
    program, = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path_factory.mktemp("login") / "login.py"
    path.write_text(program)
    client = server.add_client("login", "logins:write")
    settings = {"SERVICE": server.url, "CLIENT": f"{client.id}:{client.secret}"}
    with subprocess.Popen([sys.executable, path, str(login_port)], env=os.environ | settings,
                          stderr=subprocess.DEVNULL) as process:
        Server.until(lambda: listens(login_port), "the login service does not listen")
        yield f"http://127.0.0.1:{login_port}"
        process.terminate()


def listens(port):
    try:
        return requests.get(f"http://127.0.0.1:{port}/nothing/", timeout=PATIENCE_S).status_code > 0
    except requests.ConnectionError as error:
        return "refused" not in str(error)


def answer_there(sent, **form):
    """What the user answers at the login service; where that sends the browser."""
    page = requests.get(sent.headers["Location"], timeout=PATIENCE_S)
    challenge, = re.findall('value="([A-Za-z0-9_-]{43})"', page.text)
    done = requests.post(page.url.split("?")[0], data={"challenge": challenge} | form, allow_redirects=False,
                         timeout=PATIENCE_S)
    assert done.status_code == 303
    return page.text, path_of(done.headers["Location"])


def test_the_login_service_of_the_page_logs_a_user_in(server, site, login):
    person = Person(server)
    begun = person.begin(site, scope="openid profile")
    assert begun.headers["Location"].startswith(login)
    page, path = answer_there(begun, answer="yes", who="zoe")
    assert "The site asks. Who are you?" in page
    page, path = answer_there(person.go(path), answer="yes")
    assert "May it have this? openid profile" in page
    came = parameters_of(person.go(path))
    tokens = server.post("/token", auth=site, form={
        "grant_type": "authorization_code", "code": came["code"], "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER}).json()
    assert server.get("/userinfo", auth=tokens["access_token"]).json() == {"sub": "zoe", "name": "zoe"}


def test_the_login_service_of_the_page_takes_a_no(server, site, login):
    person = Person(server)
    _, path = answer_there(person.begin(site, scope="openid"), answer="no")
    came = parameters_of(person.go(path))
    assert (came["error"], came["error_description"]) == ("access_denied", "the user has refused")


def test_where_another_service_logs_users_in_there_is_no_page_to_do_so(server, site, login):
    person = Person(server)
    challenge = person.begin(site, scope="openid").headers["Location"].rpartition("=")[2]
    for answer in (person.go("/login/" + challenge), person.post("/login/" + challenge, {"csrf": "x"})):
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    server.still_answers()


@pytest.mark.parametrize(("members", "error"), [
    ({"code_challenge_method": "plain"}, "invalid_request"), ({"code_challenge": None}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"request_uri": "https://app.example/request"}, "request_uri_not_supported"),
    ({"registration": "{}"}, "registration_not_supported"), ({"scope": "openid clients:write"}, "invalid_scope"),
    ({"resource": "https://other.example/"}, "invalid_target")])
def test_what_the_page_says_is_refused_is_refused_so(server, site, members, error):
    assert f"`{error}`" in PAGE
    assert parameters_of(Person(server).begin(site, **{"scope": "openid"} | members))["error"] == error


# --- codes and clients ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def builtin(make_server):
    server = make_server(TOKEN_LOGIN="builtin").start()
    server.run("users", "add", "ada", stdin=PASSWORD)
    server.site = server.add_client("site", "openid offline_access", "--redirect-uri", CALLBACK, "--redirect-uri",
                                    CALLBACK + "2", "--grant", "authorization_code", "--grant", "refresh_token")
    server.other = server.add_client("other", "openid", "--redirect-uri", CALLBACK)
    return server


def redeem(server, client, code, **members):
    return server.post("/token", auth=client, form={"grant_type": "authorization_code", "code": code, "redirect_uri":
                                                    CALLBACK, "code_verifier": VERIFIER} | members)


def test_a_code_that_is_used_twice_revokes_what_it_gave(builtin):
    code = parameters_of(Person(builtin).sign_in(builtin.site, scope="openid offline_access"))["code"]
    given = redeem(builtin, builtin.site, code).json()
    assert builtin.get("/userinfo", auth=given["access_token"]).status_code == 200
    assert redeem(builtin, builtin.site, code).json()["error"] == "invalid_grant"
    assert builtin.get("/userinfo", auth=given["access_token"]).status_code == 401
    again = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    assert builtin.post("/token", auth=builtin.site, form=again).json()["error"] == "invalid_grant"


def test_a_code_is_for_its_client_its_uri_and_its_verifier(builtin):
    code = parameters_of(Person(builtin).sign_in(builtin.site, scope="openid"))["code"]
    for client, members in ((builtin.other, {}), (builtin.site, {"redirect_uri": CALLBACK + "2"}),
                            (builtin.site, {"code_verifier": VERIFIER[:-1] + "l"}),
                            (builtin.site, {"code_verifier": ""})):
        assert redeem(builtin, client, code, **members).json()["error"] == "invalid_grant", (client.id, members)
    assert redeem(builtin, builtin.site, code).status_code == 200


@pytest.mark.parametrize("uri", [
    "https://other.example/callback", CALLBACK + "/", CALLBACK + "?x=1", CALLBACK.upper(), CALLBACK + "#x",
    CALLBACK.replace("https", "http"), CALLBACK.replace("/callback", ":443/callback"), CALLBACK + "/../callback",
    CALLBACK.replace("//", "//other.example@"), None])
def test_nobody_is_sent_to_where_the_client_has_not_registered(builtin, uri):
    for members in ({}, {"response_type": "token"}, {"response_mode": "form_post"}):
        answer = Person(builtin).begin(builtin.site, redirect_uri=uri, **members)
        assert answer.status_code == 400 and "Location" not in answer.headers and "<form" not in answer.text


def test_an_assertion_is_good_once(builtin, tmp_path):
    key = generate_private_key(SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": "1", "alg": "ES256", "use": "sig"}
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"jwks": {"keys": [jwk]}}))
    client = builtin.add_client("signer", "stories:read", "--auth-method", "private_key_jwt", "--metadata",
                                str(metadata), "--grant", "client_credentials")
    issuer = builtin.get("/.well-known/openid-configuration").json()["issuer"]

    def ask(**members):
        claims = {"iss": client.id, "sub": client.id, "aud": issuer, "jti": "1", "exp": int(time.time()) + 60} | members
        return builtin.post("/token", form={
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(claims, key, "ES256", {"kid": "1"})})

    assert ask().status_code == 200
    for members in ({}, {"exp": int(time.time()) + 120}, {"jti": "2", "aud": issuer + "/token"},
                    {"jti": "3", "aud": [issuer]}, {"jti": "4", "exp": int(time.time()) + 7200}):
        answer = ask(**members)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), members
    assert ask(jti="5").status_code == 200


def test_the_settings_that_the_page_names_exist():
    table = (ROOT / "src/base/settings.c").read_text()
    named = set(re.findall(r"`((?:TOKEN|LOGIN)_[A-Z_]+)`", PAGE))
    assert len(named) > 10
    assert not [name for name in named if f'{{ "{name}",' not in table]
