"""Authlib in a Flask application, as its own documentation has it: configured with the URL of the issuer's metadata. It
judges id tokens and access tokens (RFC 9068) by its own checks; logout tokens are read with joserfc."""

import time
from urllib.parse import parse_qs, urlsplit

import flask
import pytest
import requests
from authlib.integrations.flask_client import OAuth, OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from other_clients import API, BYE, CALLBACK, CLAIMS, USER_SCOPES
from wire import PATIENCE_S

DISCOVERY = "/.well-known/openid-configuration"


class App:
    """A Flask application with one page a step; `browser` is its own cookie jar."""

    def __init__(self, provider, client, **client_kwargs):
        self.flask = flask.Flask(client.id)
        self.flask.secret_key = "the tests'"
        self.registered = OAuth(self.flask).register(
            "op", client_id=client.id, client_secret=client.secret, server_metadata_url=provider.issuer + DISCOVERY,
            client_kwargs={"scope": USER_SCOPES, "code_challenge_method": "S256"} | client_kwargs)
        self.flask.add_url_rule("/login", view_func=self.login)
        self.flask.add_url_rule("/callback", view_func=self.callback, methods=["GET", "POST"])
        self.flask.add_url_rule("/logout", view_func=self.logout)
        self.flask.add_url_rule("/bye", view_func=self.bye)
        self.parameters, self.token = {}, None
        self.browser = self.flask.test_client()

    def login(self):
        return self.registered.authorize_redirect(CALLBACK, **self.parameters)

    def callback(self):
        self.token = self.registered.authorize_access_token()
        return self.token["userinfo"]

    def logout(self):
        return self.registered.logout_redirect(BYE, id_token_hint=self.token["id_token"])

    def bye(self):
        return self.registered.validate_logout_response()

    def open(self, url, posted=None):
        """A page of its own, at whatever host."""
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        with self.flask.app_context():
            return self.browser.post(path, data=posted) if posted else self.browser.get(path)

    def sign_in(self, person, **parameters):
        self.parameters = parameters
        back = person.go(self.open("/login").location)
        return self.open(back, person.posted)


@pytest.fixture(scope="module", autouse=True)
def trust(provider):
    """What requests goes by, whatever a session says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(provider.ca))
        yield


@pytest.fixture(scope="module")
def web(provider, endpoint):
    return provider.register_web(backchannel_logout_uri=endpoint.url + "/bcl", backchannel_logout_session_required=True)


@pytest.fixture(scope="module")
def keys(provider):
    return KeySet.import_key_set(requests.get(provider.issuer + "/.well-known/jwks.json", timeout=PATIENCE_S)
                                 .json())


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_user_signs_in_and_is_known(provider, person, web, mode):
    app = App(provider, web)
    answer = app.sign_in(person, response_mode=mode, max_age=600)
    assert answer.status_code == 200 and answer.json["sub"] == "user-1" and answer.json["acr"] == "1"
    assert (person.posted is not None) == (mode == "form_post")
    told = app.registered.userinfo(token=app.token)
    assert told["email"] == CLAIMS["email"] and told["email_verified"] is True


def test_a_user_who_refuses_is_an_error_of_its_own(provider, person, web):
    app = App(provider, web)
    app.flask.testing = True
    person.agrees = False
    with pytest.raises(OAuthError, match="access_denied"):
        app.sign_in(person)


def test_the_session_refreshes_by_itself(provider, person, web):
    """With an access token that has expired, the library first refreshes it."""
    app = App(provider, web)
    app.sign_in(person)
    before = app.token
    with app.flask.app_context():
        session = app.registered._get_oauth_client(**app.registered.load_server_metadata())
        session.token = before | {"expires_at": int(time.time()) - 10}
        assert session.get(provider.issuer + "/userinfo").json()["sub"] == "user-1"
        assert session.token["refresh_token"] != before["refresh_token"]
        assert session.token["access_token"] != before["access_token"]
        session.revoke_token(provider.issuer + "/token/revoke", token=session.token["refresh_token"])
        with pytest.raises(OAuthError, match="invalid_grant"):
            session.refresh_token(provider.issuer + "/token", refresh_token=session.token["refresh_token"])


def test_a_logout_reaches_the_client_twice(provider, person, web, endpoint, keys):
    """By the browser, and at its back channel (Back-Channel Logout section 2.4 to 2.6)."""
    app = App(provider, web)
    signed_in = app.sign_in(person).json
    back = person.go(app.open("/logout").location)
    assert back.startswith(BYE + "?")
    assert app.open(back).json["post_logout_redirect_uri"] == BYE
    (text,) = endpoint.next_post().values()
    token = jwt.decode(text, keys, algorithms=["RS256"])
    assert token.header["typ"] == "logout+jwt"
    now = int(time.time())
    assert token.claims.items() >= {"iss": provider.issuer, "aud": web.id, "sub": "user-1", "sid": signed_in["sid"],
                                    "events": {"http://schemas.openid.net/event/backchannel-logout": {}}}.items()
    assert now - 30 <= token.claims["iat"] <= now and now < token.claims["exp"] <= now + 120
    assert token.claims["jti"] and "nonce" not in token.claims


def test_a_machine_proves_itself_by_a_key_or_a_secret(provider):
    """The assertion is as the library makes it: for the token endpoint, and for an hour."""
    key = RSAKey.generate_key(2048, {"kid": "own", "alg": "RS256"})
    provider.register_machine("keyed", token_endpoint_auth_method="private_key_jwt",
                              assertion_audience="token_endpoint", jwks={"keys": [key.as_dict(private=False)]})
    secret = provider.register_machine()
    url = provider.issuer + "/token"
    by_key = OAuth2Session("keyed", key.as_pem(private=True), token_endpoint_auth_method=PrivateKeyJWT(url))
    for session in (by_key, OAuth2Session(secret.id, secret.secret)):
        token = session.fetch_token(url, grant_type="client_credentials", scope="stories:read")
        assert token["scope"] == "stories:read" and token["token_type"] == "Bearer"
    wrong = OAuth2Session(secret.id, "wrong")
    with pytest.raises(OAuthError, match="invalid_client"):
        wrong.fetch_token(url, grant_type="client_credentials")


class Validator(JWTBearerTokenValidator):
    """Of a resource server, which knows the issuer's URL."""

    def __init__(self, keys, issuer, audience):
        super().__init__(issuer, audience)
        self.keys = keys

    def get_jwks(self):
        return self.keys


def test_a_resource_server_takes_access_tokens_and_nothing_else(provider, person, web, keys):
    app = App(provider, web)
    app.sign_in(person)
    validator = Validator(keys, provider.issuer, API)
    claims = validator.authenticate_token(app.token["access_token"])
    validator.validate_token(claims, ["email"], None)
    assert claims["client_id"] == web.id and claims["sub"] == "user-1"
    for other, text in ((Validator(keys, provider.issuer, "https://other.example/"), app.token["access_token"]),
                        (Validator(keys, "https://other.example", API), app.token["access_token"]),
                        (Validator(keys, provider.issuer, web.id), app.token["id_token"])):
        with pytest.raises(InvalidTokenError):
            other.validate_token(other.authenticate_token(text), [], None)


def test_a_request_without_pkce_is_refused_before_any_page(provider, person, web):
    app = App(provider, web, code_challenge_method=None)
    app.flask.testing = True
    with pytest.raises(OAuthError, match="invalid_request"):
        app.sign_in(person)
    assert person.pages == []
    assert "code" not in parse_qs(urlsplit(person.go(app.open("/login").location)).query)
