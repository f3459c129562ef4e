"""What a client and the service that logs users in (LOGIN_URL) see of OAuth: metadata, client credentials, and login
requests from /authorize to the code. The built-in login is in test_oidc_provider.py."""

import base64
import hashlib
import json
import os
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from tokens import sign
from service import SCOPES
from wire import PATIENCE_S

CALLBACK = "https://app.example/callback"
LOGIN_URL = "https://login.example/start"
USER = "7c3b2a10-5a0e-4a52-9a1c-1f6f3f6c1d11"
LOGIN_SCOPES = "logins:write"


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(TOKEN_ISSUER="http://provider.test/tenant", LOGIN_URL=LOGIN_URL, TOKEN_AUDIENCE="api").start()


@pytest.fixture(scope="module")
def agent(server):
    return server.add_client("agent", "stories:read stories:write token:introspect openid", "--grant",
                             "client_credentials")


@pytest.fixture(scope="module")
def web(server):
    return server.add_client("web", "openid profile offline_access stories:read", "--redirect-uri", CALLBACK,
                             "--grant", "authorization_code", "--grant", "refresh_token")


@pytest.fixture(scope="module")
def login(server):
    """The service behind LOGIN_URL."""
    return server.add_client("login", LOGIN_SCOPES + " " + SCOPES)


def ask(server, client, **form):
    return requests.post(server.url + "/token", auth=(client.id, client.secret), data=form, timeout=PATIENCE_S)


# --- metadata -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", [
    "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration/tenant", "/.well-known/oauth-authorization-server/tenant"])
def test_the_metadata_is_at_each_well_known_path_of_an_issuer_with_a_path(server, path):
    answer = requests.get(server.url + path, timeout=PATIENCE_S)
    assert answer.status_code == 200 and "max-age" in answer.headers["Cache-Control"]
    document = answer.json()
    assert document["issuer"] == "http://provider.test/tenant"
    assert document["token_endpoint"] == "http://provider.test/tenant/token"
    assert document["request_uri_parameter_supported"] is False
    assert document["code_challenge_methods_supported"] == ["S256"]


def test_another_issuers_path_has_no_metadata(server):
    assert requests.get(server.url + "/.well-known/openid-configuration/other", timeout=PATIENCE_S).status_code == 404


def test_without_users_the_metadata_does_not_claim_any(make_server):
    with make_server() as server:
        document = requests.get(server.url + "/.well-known/openid-configuration", timeout=PATIENCE_S).json()
    assert document["grant_types_supported"] == ["client_credentials"]
    assert not {"authorization_endpoint", "userinfo_endpoint", "end_session_endpoint"} & document.keys()


# --- client credentials ---------------------------------------------------------------------------------------------

def test_a_client_gets_a_token_for_itself(server, agent):
    answer = ask(server, agent, grant_type="client_credentials", scope="stories:read")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Pragma"] == "no-cache"
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["scope"]) == ("Bearer", "stories:read")
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("agent", "agent", ["agent", "api"])
    assert jwt.get_unverified_header(body["access_token"])["typ"] == "at+jwt"


def test_scopes_of_the_service_and_of_users_are_not_given_unasked(server, agent):
    assert ask(server, agent, grant_type="client_credentials").json()["scope"] == "stories:read stories:write"
    asked = ask(server, agent, grant_type="client_credentials", scope="token:introspect")
    assert asked.json()["scope"] == "token:introspect"


@pytest.mark.parametrize(("form", "error"), [
    ({"scope": "stories:read"}, "invalid_request"),
    ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
    ({"grant_type": "client_credentials", "scope": "stories:read admin"}, "invalid_scope"),
    ({"grant_type": "client_credentials", "scope": "openid"}, "invalid_scope"),
    ({"grant_type": "client_credentials", "resource": "https://other.example"}, "invalid_target"),
    ({"grant_type": "client_credentials", "resource": "not a uri"}, "invalid_target"),
    ({"grant_type": "authorization_code", "code": "x"}, "unauthorized_client"),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
])
def test_what_can_not_be_had_is_told_by_the_codes_of_the_standard(server, agent, form, error):
    answer = ask(server, agent, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_parameter_that_comes_twice_is_refused_but_for_resource(server, agent):
    twice = ask(server, agent, grant_type=["client_credentials", "client_credentials"])
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    answer = ask(server, agent, grant_type="client_credentials", resource=["api:x", "api:y"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")  # read, and not registered


def test_a_client_authenticates_as_it_is_registered_to_and_in_no_other_way(server, agent):
    form = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": agent.secret}
    answer = requests.post(server.url + "/token", data=form, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    token = ask(server, agent, grant_type="client_credentials").json()["access_token"]
    answer = requests.post(server.url + "/token", headers={"Authorization": "Bearer " + token},
                           data={"grant_type": "client_credentials"}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("registered", ["Ed25519", "EdDSA"])
@pytest.mark.parametrize("said", ["Ed25519", "EdDSA"])
def test_a_client_signs_by_either_name_of_ed25519_as_the_metadata_says(server, tmp_path, registered, said):
    names = requests.get(server.url + "/.well-known/openid-configuration", timeout=PATIENCE_S).json()
    for kind in ("token_endpoint_auth", "request_object"):
        assert {"Ed25519", "EdDSA"} <= set(names[f"{kind}_signing_alg_values_supported"])
    key, name = ed25519.Ed25519PrivateKey.generate(), f"signs-{registered}-{said}"
    public = json.loads(OKPAlgorithm.to_jwk(key.public_key())) | {"alg": registered}
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]},
                                "token_endpoint_auth_signing_alg": registered,
                                "request_object_signing_alg": registered, "grant_types": ["client_credentials"]}))
    server.run("clients", "add", "--id", name, "--scope", "stories:read", "--metadata", str(path))
    now = int(time.time())
    claims = {"iss": name, "sub": name, "aud": "http://provider.test/tenant", "jti": name, "exp": now + 60}
    assertion = sign(key, "EdDSA", {"alg": said}, claims)
    server.tokens.add(assertion)
    answer = requests.post(server.url + "/token", timeout=PATIENCE_S, data={
        "grant_type": "client_credentials", "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"})
    assert answer.status_code == 200, answer.text


# --- login requests -------------------------------------------------------------------------------------------------

class Attempt:
    """A user's browser on its way through a login elsewhere."""

    def __init__(self, server, **parameters):
        self.server, self.session = server, requests.Session()
        self.verifier = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        self.parameters = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK, "scope": "openid",
                           "state": "a state", "nonce": "a nonce", "code_challenge": challenge,
                           "code_challenge_method": "S256"} | parameters
        self.location = self.go("/authorize", self.parameters)

    def go(self, path, parameters=None):
        answer = self.session.get(self.server.url + path, params=parameters, allow_redirects=False, timeout=PATIENCE_S)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    @property
    def challenge(self):
        assert self.location.startswith(LOGIN_URL + "?"), self.location
        return parse_qs(urlsplit(self.location).query)["challenge"][0]

    def call(self, client, verb, body=None):
        url = f"{self.server.url}/admin/login-requests/{self.challenge}{verb}"
        answer = requests.request("GET" if body is None else "POST", url, json=body, timeout=PATIENCE_S,
                                  auth=(client.id, client.secret))
        if body is not None and answer.status_code == 200:
            path = urlsplit(answer.json()["redirect_to"]).path
            assert path == f"/tenant/authorize/{self.challenge}"
            self.location = self.go(path.removeprefix("/tenant"))
        return answer

    @property
    def answer(self):
        assert self.location.startswith(CALLBACK + "?"), self.location
        return {name: value for name, (value,) in parse_qs(urlsplit(self.location).query).items()}

    def redeem(self, client):
        return ask(self.server, client, grant_type="authorization_code", code=self.answer["code"],
                   redirect_uri=CALLBACK, code_verifier=self.verifier)


def test_a_login_elsewhere_says_who_the_user_is_and_what_was_allowed(server, web, login):
    attempt = Attempt(server, scope="openid profile stories:read", login_hint="reader", acr_values="2 1",
                      prompt="login")
    asked = attempt.call(login, "").json()
    assert (asked["step"], asked["client"]["client_id"], asked["login_hint"]) == ("login", "web", "reader")
    assert (asked["requested_scopes"], asked["prompt"]) == (["openid", "profile", "stories:read"], ["login"])
    assert attempt.call(login, "/accept", {
        "subject": USER, "acr": "2", "amr": ["pwd", "otp"], "claims": {"name": "A Reader", "nickname": "reader"},
        "granted_scopes": ["openid", "profile"]}).status_code == 200
    assert attempt.answer.keys() == {"code", "state", "iss"} and attempt.answer["state"] == "a state"
    tokens = attempt.redeem(web).json()
    assert tokens["scope"] == "openid profile"
    claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["acr"], claims["amr"], claims["nonce"]) == (USER, "2", ["pwd", "otp"], "a nonce")
    told = requests.get(server.url + "/userinfo", timeout=PATIENCE_S,
                        headers={"Authorization": "Bearer " + tokens["access_token"]}).json()
    assert told == {"sub": USER, "name": "A Reader", "nickname": "reader"}


def test_a_login_grants_as_many_scopes_as_a_client_may_have(server, login):
    scopes = ["openid", *(f"s{number}" for number in range(400))]  # of 2048 bytes in all
    client = server.add_client("many", " ".join(scopes), "--redirect-uri", CALLBACK, "--grant", "authorization_code")
    attempt = Attempt(server, client_id="many", scope=" ".join(scopes))
    assert attempt.call(login, "").json()["requested_scopes"] == scopes
    granted = scopes + scopes  # twice is once
    assert attempt.call(login, "/accept", {"subject": USER, "granted_scopes": granted}).status_code == 200
    assert attempt.redeem(client).json()["scope"].split() == scopes
    attempt = Attempt(server, client_id="many", scope=" ".join(scopes))
    assert attempt.call(login, "/accept", {"subject": USER, "granted_scopes": ["s1"] * 1025}).status_code == 400


def test_claims_by_name_are_among_what_a_login_elsewhere_is_asked_for(server, web, login):
    """By their scopes; what the user does not allow is not told."""
    claims = json.dumps({"userinfo": {"name": None, "phone_number": None}})
    for granted, told in ((["openid", "profile"], {"sub", "name"}), (["openid"], {"sub"})):
        attempt = Attempt(server, scope="openid", claims=claims)
        assert attempt.call(login, "").json()["requested_scopes"] == ["openid", "profile"], "which is all that it may"
        attempt.call(login, "/accept", {"subject": USER, "granted_scopes": granted,
                                        "claims": {"name": "A Reader", "phone_number": "1"}})
        tokens = attempt.redeem(web).json()
        assert tokens["scope"] == "openid"
        answer = requests.get(server.url + "/userinfo", timeout=PATIENCE_S,
                              headers={"Authorization": "Bearer " + tokens["access_token"]})
        assert answer.json().keys() == told


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "600"}])
def test_an_earlier_login_elsewhere_is_none_where_a_new_one_was_asked_for(server, web, login, asked):
    """OpenID Connect Core sections 3.1.2.1 and 3.1.2.3: a client is not told that it was, by the login's own word."""
    now = int(time.time())
    for auth_time, answer in ((now - 3600, "login_required"), (now, None)):
        attempt = Attempt(server, **asked)
        attempt.call(login, "/accept", {"subject": USER, "auth_time": auth_time, "granted_scopes": ["openid"]})
        assert attempt.answer.get("error") == answer and ("code" in attempt.answer) == (answer is None)


def test_who_does_not_allow_openid_has_not_signed_in(server, web, login):
    """Else what was asked for with OpenID Connect would be given by the rules without it, a refresh token too."""
    attempt = Attempt(server, scope="openid profile")
    attempt.call(login, "/accept", {"subject": USER, "granted_scopes": ["profile"]})
    assert attempt.answer["error"] == "access_denied"


def test_a_standard_claim_of_another_type_is_not_told(server, web, login):
    """As a login elsewhere may send it: clients read what section 5.1 says."""
    attempt = Attempt(server, scope="openid profile")
    attempt.call(login, "/accept", {"subject": USER, "granted_scopes": ["openid", "profile"], "claims": {
        "name": "", "birthdate": 1990, "updated_at": "today", "nickname": None, "website": "javascript:alert(1)",
        "given_name": "A"}})
    told = requests.get(server.url + "/userinfo", timeout=PATIENCE_S,
                        headers={"Authorization": "Bearer " + attempt.redeem(web).json()["access_token"]}).json()
    assert told == {"sub": USER, "given_name": "A"}


def test_consent_is_asked_for_by_itself_and_remembered(server, web, login):
    attempt = Attempt(server)
    attempt.call(login, "/accept", {"subject": USER})
    asked = attempt.call(login, "").json()
    assert (asked["step"], asked["subject"]) == ("consent", USER)
    attempt.call(login, "/accept", {"granted_scopes": ["openid"], "remember_consent_for": 3600})
    assert "code" in attempt.answer
    attempt.location = attempt.go("/authorize", attempt.parameters | {"prompt": "none"})
    assert "code" in attempt.answer
    attempt.location = attempt.go("/authorize", attempt.parameters | {"prompt": "none", "scope": "openid profile"})
    assert attempt.answer["error"] == "consent_required"


def test_a_consent_that_is_over_is_none_where_no_scope_is_asked_for(server, web, login):
    first = Attempt(server)
    first.call(login, "/accept", {"subject": "brief"})
    first.call(login, "/accept", {"granted_scopes": ["openid"], "remember_consent_for": 1})
    assert "code" in first.answer
    end = int(time.time()) + 1
    while time.time() < end + 1:
        time.sleep(0.05)
    second = Attempt(server, scope=None)
    second.call(login, "/accept", {"subject": "brief"})
    assert (second.call(login, "").json()["step"], second.call(login, "").json()["requested_scopes"]) == ("consent", [])
    second.call(login, "/accept", {})
    assert second.redeem(web).json()["scope"] == ""


def test_a_login_is_refused_by_the_error_that_the_service_names(server, web, login):
    attempt = Attempt(server)
    attempt.call(login, "/reject", {"error": "access_denied", "error_description": "not old enough"})
    assert attempt.answer == {"error": "access_denied", "error_description": "not old enough", "state": "a state",
                              "iss": "http://provider.test/tenant"}


@pytest.mark.parametrize("body", [
    {}, {"subject": ""}, {"subject": USER, "auth_time": 99999999999}, {"subject": USER, "granted_scopes": ["admin"]},
    {"subject": USER, "role": "admin"}, {"subject": USER, "amr": ["x"] * 100}])
def test_an_answer_that_makes_no_sense_is_refused_and_the_request_waits_on(server, web, login, body):
    attempt = Attempt(server)
    answer = attempt.call(login, "/accept", body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert attempt.call(login, "").json()["step"] == "login"


def test_answers_to_logins_are_counted_and_those_to_consents_are_not(server, web, login):
    def answers():
        return tuple(server.metric("logins_total", by="login_url", result=each) for each in ("accepted", "rejected"))

    accepted, rejected = answers()
    attempt = Attempt(server)
    attempt.call(login, "/accept", {"subject": "somebody"})
    assert answers() == (accepted + 1, rejected)
    attempt.call(login, "/reject", {"error": "access_denied"})  # in the step consent
    Attempt(server).call(login, "/accept", {})  # says nobody
    assert answers() == (accepted + 1, rejected)
    Attempt(server).call(login, "/reject", {})
    assert answers() == (accepted + 1, rejected + 1)


def test_only_a_client_with_the_scope_answers(server, web, agent):
    attempt = Attempt(server)
    assert attempt.call(agent, "").status_code == 403
    assert attempt.call(agent, "/accept", {"subject": USER}).status_code == 403


def test_what_was_answered_in_one_browser_goes_on_in_no_other(server, web, login):
    attempt = Attempt(server)
    challenge = attempt.challenge
    attempt.call(login, "/accept", {"subject": USER})
    answer = requests.get(f"{server.url}/authorize/{challenge}", allow_redirects=False, timeout=PATIENCE_S)
    assert answer.status_code == 400 and "Location" not in answer.headers


def test_a_request_is_answered_once(server, web, login):
    attempt = Attempt(server)
    challenge = attempt.challenge
    attempt.call(login, "/accept", {"subject": USER, "granted_scopes": ["openid"]})
    assert "code" in attempt.answer
    url = f"{server.url}/admin/login-requests/{challenge}/accept"
    again = requests.post(url, auth=(login.id, login.secret), json={"subject": "another"}, timeout=PATIENCE_S)
    assert again.status_code == 404


def test_where_users_log_in_elsewhere_there_are_no_login_pages(server, web):
    challenge = Attempt(server).challenge
    for method, form in (("GET", None), ("POST", {"username": "a", "password": "b"})):
        answer = requests.request(method, f"{server.url}/login/{challenge}", data=form, timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/authorize", "/userinfo", "/logout", "/admin/login-requests/x"])
def test_without_users_their_endpoints_are_not_there(make_server, path):
    with make_server() as server:
        assert requests.get(server.url + path, timeout=PATIENCE_S).status_code == 404
