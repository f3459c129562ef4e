"""What the OpenID Foundation's conformance suite holds a provider to, in our own words: its plans config, basic,
form_post basic, RP-initiated logout and back-channel logout. What breaks one of these fails the plan, or is a warning
in it."""

import hashlib
import json
import math
import re
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from jwcrypto import jwk

import tokens
from browser import Left, Page
from https_server import https_server
from provider import CLAIMS, PASSWORD, SCOPES, challenge_of, get_plain, refused, unsigned, wait_past
from wire import PATIENCE_S

NONE_SAYS = ("login_required", "interaction_required", "consent_required", "account_selection_required")
QUIET = {"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "nbf",
         "jti", "sid", "txn"}
PROFILE = {"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
           "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"}
OF_SCOPE = {"profile": PROFILE, "email": {"email", "email_verified"}, "address": {"address"},
            "phone": {"phone_number", "phone_number_verified"}}
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
YEAR_S = 365 * 24 * 3600


class Callbacks(BaseHTTPRequestHandler):
    """Where back-channel logout comes."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.told.append((self.path, self.headers["Content-Type"], body, self.connection.version()))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


@pytest.fixture(scope="module")
def provider(make_provider):
    provider = make_provider()
    provider.ada = provider.add_user("ada", CLAIMS)
    return provider.start().settled()


@pytest.fixture(scope="module")
def listener(provider):
    """A client's HTTPS server: `told` is what came."""
    with https_server(Callbacks, provider.home / "server.pem", told=[]) as server:
        yield server


@pytest.fixture(scope="module")
def parties(provider):
    """The suite's three, and some of ours."""
    return {
        "basic": provider.add_party("basic", post_logout_redirect_uris=["https://basic.example/post_logout_redirect"]),
        "post": provider.add_party("post", token_endpoint_auth_method="client_secret_post"),
        "other": provider.add_party("other"),
        "query": provider.add_party("query", redirect_uris=["https://query.example/cb?dummy1=lorem&dummy2=ipsum"]),
    }


@pytest.fixture(params=[None, "form_post"], ids=["query", "form_post"])
def basic(parties, request):
    """The plan's first client, once for the plan basic and once for form_post basic."""
    parties["basic"].mode = request.param
    yield parties["basic"]
    parties["basic"].mode = None


@pytest.fixture
def client(parties):
    return parties["basic"]


@pytest.fixture
def browser(provider):
    return provider.browser()


def silent(party, browser, **parameters):
    """prompt=none: no page, whatever comes."""
    end = party.ask(browser, prompt="none", **parameters)
    assert isinstance(end, Left), end
    return end


def is_nobody(party, browser):
    return silent(party, browser).answer.get("error") in NONE_SAYS


def estimated_bits(text):
    """As the suite estimates: the length times the Shannon entropy of the characters in this one text."""
    return sum(-count * math.log2(count / len(text)) for count in Counter(text).values())


def is_unguessable(text):
    assert re.fullmatch("[!-~]+", text), "visible ASCII"
    return len(text) * 8 >= 128 and estimated_bits(text) > 96


def check_standard_claims(claims):
    """Texts that say something, and the other types as OpenID Connect Core section 5.1 has them."""
    for name, value in claims.items():
        if name in ("email_verified", "phone_number_verified"):
            assert isinstance(value, bool), name
        elif name == "updated_at":
            assert 631152000 < value <= time.time() + 1
        elif name == "address":
            assert value and all(isinstance(part, str) and part.strip() for part in value.values())
        elif name == "birthdate":
            assert re.fullmatch(r"(1[89]|20)\d\d-\d\d-\d\d", value)
        elif name in PROFILE | {"email", "phone_number", "sub"}:
            assert isinstance(value, str) and value.strip() and value != "null", name


# --- 1: HTTP --------------------------------------------------------------------------------------------------------

def test_every_endpoint_of_the_metadata_is_an_https_url(provider):
    urls = {name: value for name, value in provider.metadata.items()
            if name.endswith("_endpoint") or name == "jwks_uri"}
    assert len(urls) >= 7
    for name, url in urls.items():
        assert urlsplit(url).scheme == "https" and urlsplit(url).hostname, name


@pytest.mark.parametrize("accept", [
    None, "*/*", "application/json", "application/json;charset=utf-8", "text/html, application/json;q=0.9, */*;q=0.1"])
def test_a_get_is_answered_whatever_it_accepts_and_with_a_length_of_zero(provider, client, accept):
    headers = {"Content-Length": "0"} | ({"Accept": accept} if accept else {})
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
                 "/.well-known/jwks.json"):
        answer = get_plain(provider, path, headers=headers)
        assert answer.status_code == 200, path
        assert re.fullmatch(r"application/(jwk-set\+)?json(; ?charset=utf-8)?", answer.headers["Content-Type"]), path
        assert isinstance(answer.json(), dict)
    token = client.get_tokens()["access_token"]
    answer = get_plain(provider, "/userinfo", headers=headers | {"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")


def test_errors_for_programs_are_json(provider, client):
    for answer in (provider.post("/token", form={}), provider.post("/token", form={"grant_type": "nonsense"}),
                   client.post_token(grant_type="nonsense"), client.redeem("x"), provider.get("/userinfo"),
                   provider.get("/nowhere"), provider.get("/token"), provider.get("/userinfo", auth="x.y.z"),
                   provider.post("/token", data=b"grant_type=x", headers={"Content-Type": "text/plain"})):
        assert 400 <= answer.status_code < 500, answer.url
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json" and answer.json()["error"]


def test_a_form_may_have_parameters_of_its_type(client, browser):
    left = client.log_in(browser)
    answer = client.redeem(left, headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"})
    assert answer.status_code == 200, answer.text


def test_answers_have_the_time_in_rfc_1123s_form(client):
    answer = client.userinfo(client.get_tokens()["access_token"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["Date"])
    assert abs(parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()) < 300


@pytest.mark.parametrize("scheme", ["Bearer", "bEARER", "BEARER"])
def test_names_of_headers_and_schemes_have_no_case(provider, client, scheme):
    token = client.get_tokens()["access_token"]
    for name in ("Authorization", "AUTHORIZATION", "authorization"):
        answer = get_plain(provider, "/userinfo", headers={name: f"{scheme} {token}"})
        assert answer.status_code == 200, (name, scheme)


# --- 1: metadata and keys -------------------------------------------------------------------------------------------

def test_the_issuer_is_where_its_metadata_is(provider):
    issuer = provider.metadata["issuer"]
    parts = urlsplit(issuer)
    assert issuer == provider.url and parts.scheme == "https" and parts.hostname
    assert not parts.query and not parts.fragment and not parts.username
    assert get_plain(provider, "/.well-known/oauth-authorization-server").json() == provider.metadata


def test_the_metadata_has_what_a_client_needs(provider):
    metadata = provider.metadata
    for name in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint",
                 "end_session_endpoint"):
        assert isinstance(metadata[name], str), name
    assert "code" in metadata["response_types_supported"]
    assert {"authorization_code", "refresh_token"} <= set(metadata["grant_types_supported"])
    assert {"query", "form_post"} <= set(metadata["response_modes_supported"])
    assert {"public", "pairwise"} & set(metadata["subject_types_supported"])
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert {"client_secret_basic", "client_secret_post", "private_key_jwt"} <= set(
        metadata["token_endpoint_auth_methods_supported"])
    assert metadata["scopes_supported"] == SCOPES.split()
    assert PROFILE | {"sub", "email", "address", "phone_number"} <= set(metadata["claims_supported"])
    for scope in metadata["scopes_supported"]:
        assert re.fullmatch(r"[!#-\[\]-~]+", scope), "RFC 6749 section 3.3"


def test_a_public_client_comes_in_where_the_metadata_says_and_nowhere_else(provider, parties):
    public = provider.add_party("nameless", token_endpoint_auth_method="none", require_pkce=True)
    for name, path in (("token", "/token"), ("revocation", "/token/revoke"), ("introspection", "/token/introspect")):
        answer = provider.post(path, form={"client_id": public.id, "token": "x", "grant_type": "refresh_token",
                                           "refresh_token": "x"})
        is_offered = "none" in provider.metadata[f"{name}_endpoint_auth_methods_supported"]
        assert is_offered == (answer.status_code != 401), (name, answer.text)


def test_userinfo_challenges_for_a_bearer_token(provider, client):
    """RFC 6750 section 3: with each refusal, and without an error for who has sent nothing."""
    token = client.get_tokens()["access_token"]
    for headers, form, status, error in (({}, None, 401, None), ({"Authorization": "Basic eA=="}, None, 401, None),
                                         ({"Authorization": "Bearer x"}, None, 401, "invalid_token"),
                                         ({"Authorization": f"Bearer {token}"}, {"access_token": token}, 400,
                                          "invalid_request")):
        answer = provider.request("POST" if form else "GET", "/userinfo", headers=headers, form=form)
        assert answer.status_code == status
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge == 'Bearer realm="token-service"' + (f', error="{error}"' if error else "")


def test_the_metadata_says_what_becomes_of_requests_in_objects(provider):
    metadata = provider.metadata
    assert metadata["request_uri_parameter_supported"] is False, "absent would mean true"
    assert isinstance(metadata["request_parameter_supported"], bool)
    assert "none" not in metadata["request_object_signing_alg_values_supported"], "then what is unsigned is skipped"


def test_the_metadata_has_members_of_the_right_types(provider):
    """RFC 8414 section 2 and OpenID Connect Discovery section 3."""
    lists = {"acr_values_supported", "claim_types_supported", "claims_locales_supported", "claims_supported",
             "code_challenge_methods_supported", "display_values_supported", "grant_types_supported",
             "id_token_signing_alg_values_supported", "prompt_values_supported",
             "request_object_signing_alg_values_supported", "response_modes_supported", "response_types_supported",
             "scopes_supported", "subject_types_supported", "ui_locales_supported",
             "userinfo_signing_alg_values_supported"} | {
                 f"{endpoint}_endpoint_auth_{what}" for endpoint in ("token", "introspection", "revocation")
                 for what in ("methods_supported", "signing_alg_values_supported")}
    truths = {"authorization_response_iss_parameter_supported", "backchannel_logout_session_supported",
              "backchannel_logout_supported", "claims_parameter_supported", "request_parameter_supported",
              "request_uri_parameter_supported", "require_pushed_authorization_requests"}
    for name, value in provider.metadata.items():
        if name in lists:
            assert value and all(isinstance(item, str) and item for item in value), name
            assert len(set(value)) == len(value), name
        elif name in truths:
            assert isinstance(value, bool), name
        else:
            assert name in ("issuer", "jwks_uri") or name.endswith("_endpoint"), f"{name}: an unknown name is a warning"
            assert isinstance(value, str) and value


def test_languages_are_named_in_canonical_case(provider):
    for name in ("ui_locales_supported", "claims_locales_supported"):
        for tag in provider.metadata.get(name, []):
            assert re.fullmatch("[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", tag), tag


def test_the_keys_are_public_and_can_be_read_by_others(provider):
    keys = provider.jwks()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) >= 2
    for key in keys:
        assert key["use"] == "sig" and key["alg"] == "RS256"
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
        assert all(re.fullmatch("[A-Za-z0-9_-]+", key[name]) for name in ("n", "e")), "base64url without padding"
        assert not jwk.JWK(**key).has_private and jwt.PyJWK(key).key.key_size >= 2048


def test_a_key_is_published_before_it_signs(provider, client):
    before = provider.jwks()
    client.read_id_token(client.get_tokens()["id_token"], before)


# --- 1: codes and tokens --------------------------------------------------------------------------------------------

def test_nobody_guesses_a_code_or_a_token(client, browser):
    for _ in range(5):
        left = client.log_in(browser, scope="openid offline_access")
        answer = client.tokens(left)
        assert is_unguessable(left.code) and is_unguessable(answer["access_token"])
        assert is_unguessable(answer["refresh_token"])


def test_a_token_answer_has_the_members_of_rfc_6749(client):
    answer = client.get_tokens()
    assert answer.keys() == {"access_token", "token_type", "expires_in", "id_token", "scope"}
    assert answer["token_type"].lower() == "bearer" and isinstance(answer["expires_in"], int)
    assert 0 < answer["expires_in"] <= YEAR_S


def test_an_id_token_says_who_for_whom_and_when(client, browser):
    left = client.log_in(browser, nonce="n" * 384)
    token = client.tokens(left)["id_token"]
    claims, now = client.read_id_token(token), time.time()
    header = tokens.header_of(token)
    assert header["alg"] == "RS256" and header["kid"]
    assert claims["iss"] == client.provider.issuer and claims["aud"] in (client.id, [client.id])
    assert claims["sub"] == client.provider.ada["subject"] and abs(claims["iat"] - now) < 300
    assert now < claims["exp"] < now + 50 * YEAR_S and claims["nonce"] == "n" * 384
    assert claims["acr"] and now - YEAR_S < claims["auth_time"] <= now and claims["sid"]
    assert claims["amr"] == ["pwd"]


def test_an_id_token_has_no_claims_that_nobody_asked_for(client):
    claims = client.read_id_token(client.get_tokens(scope="openid profile email address phone")["id_token"])
    assert claims.keys() <= QUIET, claims.keys() - QUIET


def test_an_id_tokens_at_hash_is_of_the_access_token(client):
    answer = client.get_tokens()
    claims = client.read_id_token(answer["id_token"])
    digest = hashlib.sha256(answer["access_token"].encode()).digest()
    assert claims["at_hash"] == tokens.encode(digest[:16])


def test_at_hash_is_by_the_key_that_signs_and_not_by_the_next_ones_algorithm(make_provider):
    """SHA-512 goes with Ed25519, and SHA-256 with the others."""
    provider = make_provider()
    provider.add_user("ada")
    party = provider.add_party("basic")
    provider.start().stop()
    provider.settings["TOKEN_SIGNING_ALG"] = "EdDSA"
    answer = provider.start() and party.get_tokens()
    assert tokens.header_of(answer["id_token"])["alg"] == "RS256"
    digest = hashlib.sha256(answer["access_token"].encode()).digest()
    assert party.read_id_token(answer["id_token"])["at_hash"] == tokens.encode(digest[:16])


# --- 1: the authorization endpoint ----------------------------------------------------------------------------------

def test_a_request_may_be_posted_from_another_site(basic, browser):
    """ensure-post-request-succeeds."""
    page = browser.post_from_elsewhere("/authorize", basic.request())
    assert isinstance(page, Page) and page.is_login
    assert basic.tokens(basic.go_on(browser, page))["id_token"]


def test_a_session_is_seen_when_a_request_is_posted(basic, browser):
    basic.log_in(browser)
    end = basic.check(browser.post_from_elsewhere("/authorize", basic.request(prompt="none")))
    assert basic.tokens(end)["id_token"]
    assert not is_nobody(basic, browser), "and the browser still has its session"


@pytest.mark.parametrize("parameters", [
    {"extra": "foobar"}, {"display": "page"}, {"display": "popup"}, {"ui_locales": "se"}, {"ui_locales": "de-DE fr"},
    {"claims_locales": "se"}, {"login_hint": "buffy@localhost"}, {"acr_values": "1 2"},
    {"claims": json.dumps({"userinfo": {"name": {"essential": True}}})},
    {"claims": json.dumps({"id_token": {"auth_time": {"essential": True}, "acr": {"values": ["1"]}}, "x": None})},
], ids=lambda parameters: "-".join(next(iter(parameters.items())))[:30])
def test_a_parameter_that_does_not_matter_is_no_error(basic, browser, parameters):
    left = basic.log_in(browser, **parameters)
    assert basic.tokens(left)["id_token"]


@pytest.mark.parametrize("change", [
    lambda uri: uri + "/Zf3d", lambda uri: uri + "?foo=bar", lambda uri: uri + "/", lambda uri: uri + "#x",
    lambda uri: "https://elsewhere.example/callback", lambda uri: uri.replace("https", "http"), lambda uri: None],
    ids=["path", "query", "slash", "fragment", "host", "scheme", "none"])
def test_another_redirect_uri_is_shown_to_the_user_and_never_redirected_to(basic, browser, change):
    """ensure-registered-redirect-uri."""
    for more in ({}, {"prompt": "none"}, {"response_type": None}):
        end = browser.open(basic.url(redirect_uri=change(basic.redirect_uri), **more))
        assert isinstance(end, Page) and end.is_error and end.status == 400 and not end.forms


@pytest.mark.parametrize("response_type", [None, "token", "id_token", "code id_token", "none", ""])
def test_another_response_type_is_told_to_the_client(basic, browser, response_type):
    """response-type-missing."""
    left = basic.ask(browser, response_type=response_type, state="s" * 128)
    assert left.answer["error"] in ("invalid_request", "unsupported_response_type")
    assert left.answer["state"] == "s" * 128 and "code" not in left.answer


ERRORS = {
    "login_required": {"prompt": "none"},
    "invalid_scope": {"scope": "openid token:issue"},
    "invalid_request": {"prompt": "none login"},
    "invalid_target": {"resource": "https://elsewhere.example/"},
    "unsupported_response_type": {"response_type": "token"},
    "request_uri_not_supported": {"request_uri": "https://basic.example/request"},
    "registration_not_supported": {"registration": "{}"},
    "request_not_supported": {"request": unsigned({"client_id": "basic"})},
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("state", ["s" * 128, "t" * 1000, "ü&=+ #%\"\\", None], ids=["128", "1000", "odd", "none"])
def test_an_error_for_the_client_has_what_rfc_6749_allows(basic, browser, error, state):
    left = basic.ask(browser, **ERRORS[error] | {"state": state})
    assert left.answer["error"] == error and left.answer.get("state") == state
    assert re.fullmatch(r"[ !#-\[\]-~]+", left.answer["error_description"])


def test_a_redirect_uri_keeps_its_own_query(parties, browser):
    party = parties["query"]
    left = party.log_in(browser)
    assert left.full_url.startswith(party.redirect_uri + "&")
    assert (left.answer["dummy1"], left.answer["dummy2"]) == ("lorem", "ipsum")
    assert party.tokens(left)["id_token"]


def test_a_client_may_go_without_pkce_or_with_it(basic, browser):
    assert basic.tokens(basic.log_in(browser))["id_token"]
    verifier = "v" * 43
    left = basic.log_in(browser, code_challenge=challenge_of(verifier), code_challenge_method="S256")
    assert basic.tokens(left, code_verifier=verifier)["id_token"]


# --- 2 and 3: basic, and the same by form_post ----------------------------------------------------------------------

def test_a_client_authenticates_by_basic_with_form_encoded_parts(provider, browser):
    """client_secret_basic, RFC 6749 section 2.3.1."""
    party = provider.add_party("100%:odd+client/", redirect_uris=["https://odd.example/cb"])
    assert party.tokens(party.log_in(browser))["id_token"]


def test_a_client_authenticates_by_post(parties, browser):
    party = parties["post"]
    assert party.tokens(party.log_in(browser))["id_token"]


def test_a_user_logs_in_and_consents_and_is_sent_back(basic, browser):
    page = basic.ask(browser, state="the-state")
    assert page.is_login
    page = browser.press(page, username="ada", password=PASSWORD)
    assert page.is_consent and "You are signed in as <bdi>ada</bdi>." in page.text
    left = basic.check(browser.press(page))
    assert left.answer["state"] == "the-state" and left.code


def test_prompt_none_without_a_session_says_so(basic, browser):
    left = silent(basic, browser, state="x")
    assert left.answer["error"] in NONE_SAYS and left.answer["state"] == "x"


@pytest.mark.parametrize("remember", [False, True])
def test_prompt_none_with_a_session_gives_a_code_at_once(basic, provider, browser, remember):
    """The user consented a second ago, whether for good or just now."""
    user = provider.add_user(f"user-{basic.mode}-{remember}")["username"]
    first = basic.read_id_token(basic.tokens(basic.log_in(browser, user, remember))["id_token"])
    wait_past(first["iat"])
    again = basic.read_id_token(basic.tokens(silent(basic, browser))["id_token"])
    assert (again["sub"], again["auth_time"], again["sid"]) == (first["sub"], first["auth_time"], first["sid"])


def test_an_ordinary_request_with_a_session_gives_a_code_at_once_too(basic, browser):
    basic.log_in(browser)
    assert isinstance(basic.ask(browser), Left)


def test_a_consent_for_the_session_ends_with_it_and_is_for_its_scopes_alone(client, provider, browser):
    user = provider.add_user("careful")["username"]
    client.log_in(browser, user)
    assert silent(client, browser, scope="openid email").answer["error"] == "consent_required"
    elsewhere = provider.browser()
    page = elsewhere.press(client.ask(elsewhere), username=user, password=PASSWORD)
    assert page.is_consent, "another session of the same user is asked again"


def test_prompt_login_asks_again_and_the_login_is_later(basic, browser):
    first = basic.read_id_token(basic.tokens(basic.log_in(browser))["id_token"])
    wait_past(first["auth_time"])
    page = basic.ask(browser, prompt="login")
    assert page.is_login
    second = basic.read_id_token(basic.tokens(basic.go_on(browser, page))["id_token"])
    assert second["auth_time"] > first["auth_time"] and second["sub"] == first["sub"]


def test_max_age_asks_again_when_the_login_is_older(basic, browser):
    first = basic.read_id_token(basic.tokens(basic.log_in(browser, max_age="15000"))["id_token"])
    wait_past(first["auth_time"] + 1)
    page = basic.ask(browser, max_age="1")
    assert page.is_login
    second = basic.read_id_token(basic.tokens(basic.go_on(browser, page))["id_token"])
    assert second["auth_time"] > first["auth_time"]


@pytest.mark.parametrize("max_age", ["10000", "15000"])
def test_max_age_asks_nobody_whose_login_is_younger(basic, browser, max_age):
    first = basic.read_id_token(basic.tokens(basic.log_in(browser, max_age=max_age))["id_token"])
    again = basic.read_id_token(basic.tokens(basic.ask(browser, max_age=max_age))["id_token"])
    assert again["auth_time"] == first["auth_time"] and again["sub"] == first["sub"]


def test_max_age_of_zero_asks_again(basic, browser):
    """As prompt=login does (OpenID Connect Core section 3.1.2.1)."""
    basic.log_in(browser)
    page = basic.ask(browser, max_age="0")
    assert page.is_login
    assert basic.go_on(browser, page).code, "once"
    assert silent(basic, browser, max_age="0").answer["error"] == "login_required"


def test_an_id_token_hint_with_prompt_none_is_the_same_user(basic, browser):
    token = basic.tokens(basic.log_in(browser))["id_token"]
    again = basic.read_id_token(basic.tokens(silent(basic, browser, id_token_hint=token))["id_token"])
    assert again["sub"] == tokens.claims_of(token)["sub"]


def test_acr_is_one_of_those_that_were_asked_for(basic, browser):
    values = basic.provider.metadata["acr_values_supported"]
    answer = basic.tokens(basic.log_in(browser, acr_values=" ".join(values)))
    assert basic.read_id_token(answer["id_token"])["acr"] in values


def test_a_code_is_good_once_and_what_it_gave_ends_with_its_second_use(basic, browser):
    left = basic.log_in(browser, scope="openid offline_access")
    answer = basic.tokens(left)
    assert basic.userinfo(answer["access_token"]).status_code == 200
    assert refused(basic.redeem(left))
    assert 400 <= basic.userinfo(answer["access_token"]).status_code < 500
    assert refused(basic.refresh(answer["refresh_token"]))
    assert refused(basic.redeem(left)), "and a third time"


def test_a_code_expires(make_provider):
    provider = make_provider(TOKEN_CODE_TTL="1")
    provider.add_user("ada")
    party = provider.start().add_party("basic")
    left = party.log_in(provider.browser())
    wait_past(time.time() + 1)
    assert refused(party.redeem(left))


def test_userinfo_takes_the_token_in_each_way_that_rfc_6750_has_but_the_query(provider, client):
    answer = client.get_tokens()
    token, sub = answer["access_token"], client.read_id_token(answer["id_token"])["sub"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for said in (client.userinfo(token), provider.post("/userinfo", auth=token, data=b"", headers=form),
                 provider.post("/userinfo", auth=token), provider.post("/userinfo", form={"access_token": token})):
        assert said.status_code == 200 and said.headers["Content-Type"].partition(";")[0] == "application/json"
        assert said.json() == {"sub": sub}
    answer = provider.get(f"/userinfo?access_token={token}")
    assert answer.status_code in (400, 401) and "sub" not in answer.json()


@pytest.mark.parametrize("scope", ["profile", "email", "address", "phone", "profile email address phone"])
def test_a_scope_gives_all_of_its_claims_and_no_others(basic, browser, scope):
    answer = basic.tokens(basic.log_in(browser, scope=f"openid {scope}"))
    claims = basic.userinfo(answer["access_token"]).json()
    assert claims.keys() == {"sub"}.union(*(OF_SCOPE[word] for word in scope.split()))
    assert claims["sub"] == basic.read_id_token(answer["id_token"])["sub"]
    check_standard_claims(claims)


def test_a_claim_that_is_asked_for_comes_where_it_was_asked_for(basic, browser):
    claims = json.dumps({"userinfo": {"name": {"essential": True}}})
    answer = basic.tokens(basic.log_in(browser, claims=claims))
    assert basic.userinfo(answer["access_token"]).json()["name"] == CLAIMS["name"]
    assert "name" not in basic.read_id_token(answer["id_token"])


def test_an_id_token_has_the_claims_that_were_asked_for_by_name(basic, browser):
    """OpenID Connect Core section 5.5, for every claim that the metadata names."""
    own = {"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid"}
    names = set(basic.provider.metadata["claims_supported"]) - own
    answer = basic.tokens(basic.log_in(browser, claims=json.dumps({"id_token": {name: None for name in names}})))
    claims = basic.read_id_token(answer["id_token"])
    assert names <= claims.keys() and claims["amr"] == ["pwd"]
    check_standard_claims(claims)
    assert basic.userinfo(answer["access_token"]).json().keys() == {"sub"}
    assert "name" not in tokens.claims_of(answer["access_token"])


def test_without_a_nonce_none_comes_back(basic, browser):
    assert "nonce" not in basic.read_id_token(basic.tokens(basic.log_in(browser, nonce=None))["id_token"])


def test_scopes_and_parameters_may_come_in_any_order(basic, browser):
    request = basic.request(scope="email openid")
    query = urlencode(sorted(request.items(), reverse=True))
    left = basic.go_on(browser, browser.open(f"/authorize?{query}"))
    answer = basic.tokens(left)
    assert basic.userinfo(answer["access_token"]).json()["email"] == CLAIMS["email"]


def test_an_unsigned_request_object_is_refused_and_not_ignored(basic, browser):
    request = basic.request()
    left = basic.ask(browser, **request | {"request": unsigned(request)})
    assert left.answer["error"] == "request_not_supported" and left.answer["state"] == request["state"]


def test_a_bad_redirect_uri_beside_a_request_object_is_shown_to_the_user(basic, browser):
    """ensure-request-object-with-redirect-uri."""
    end = browser.open(basic.url(request=unsigned(basic.request()), redirect_uri=basic.redirect_uri + "/other"))
    assert isinstance(end, Page) and end.is_error


def test_a_refresh_token_comes_with_offline_access_and_consent(basic, browser):
    """refresh-token."""
    basic.log_in(browser, remember=True, scope="openid offline_access")
    page = basic.ask(browser, scope="openid offline_access", prompt="consent")
    assert page.is_consent
    first = basic.tokens(basic.go_on(browser, page))
    before = basic.read_id_token(first["id_token"])
    wait_past(before["iat"])
    for form in ({}, {"scope": "openid"}, {"scope": "openid offline_access"}):
        answer = basic.refresh(first["refresh_token"], **form)
        assert answer.status_code == 200, answer.text
        assert answer.json()["access_token"] != first["access_token"]
        after = basic.read_id_token(answer.json()["id_token"])
        for name in ("iss", "sub", "aud", "azp", "auth_time", "sid"):
            assert after.get(name) == before.get(name), name
        assert after["iat"] > before["iat"] and after.get("nonce") in (None, before["nonce"])
        assert basic.userinfo(answer.json()["access_token"]).status_code == 200


def test_a_refresh_token_of_another_client_is_refused_as_a_grant(parties, basic, browser):
    token = basic.tokens(basic.log_in(browser, scope="openid offline_access"))["refresh_token"]
    assert refused(parties["other"].refresh(token))
    assert basic.refresh(token).status_code == 200, "and its own client may still use it"


def test_a_refusal_is_told_to_the_client(basic, browser):
    left = basic.check(browser.press(basic.ask(browser, state="x"), "cancel"))
    assert (left.answer["error"], left.answer["state"]) == ("access_denied", "x")
    page = browser.press(basic.ask(browser, state="y", prompt="consent"), username="ada", password=PASSWORD)
    left = basic.check(browser.press(page, "cancel"))
    assert (left.answer["error"], left.answer["state"]) == ("access_denied", "y")


# --- 5: logout by the client ----------------------------------------------------------------------------------------

def target_of(party):
    return party.metadata["post_logout_redirect_uris"][0]


def log_out(browser, site="cross-site", **parameters):
    """To the end, past the question whether it is meant."""
    page = browser.open(f"/logout?{urlencode(parameters)}", site)
    return browser.press(page) if isinstance(page, Page) and page.is_question_about_logout else page


@pytest.fixture
def signed_in(client, browser):
    """A browser with a session, and the id token of it."""
    browser.id_token = client.tokens(client.log_in(browser))["id_token"]
    return browser


@pytest.mark.parametrize("state", ["s" * 128, None])
def test_a_client_signs_its_user_out(client, signed_in, state):
    parameters = {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": target_of(client), "state": state}
    left = log_out(signed_in, **{name: value for name, value in parameters.items() if value})
    assert isinstance(left, Left) and left.url == target_of(client)
    assert left.answer == ({"state": state} if state else {}), "and nothing else"
    assert is_nobody(client, signed_in)


def test_a_client_signs_its_user_out_by_a_post_from_its_site(client, signed_in):
    left = signed_in.post_from_elsewhere("/logout", {"id_token_hint": signed_in.id_token, "state": "x",
                                                     "post_logout_redirect_uri": target_of(client)})
    assert isinstance(left, Left) and (left.url, left.answer) == (target_of(client), {"state": "x"})
    assert is_nobody(client, signed_in)


def test_whoever_is_asked_first_comes_back_to_the_client_too(client, signed_in):
    """Its hint is of an earlier session of the user's."""
    asked = {"id_token_hint": client.get_tokens()["id_token"], "post_logout_redirect_uri": target_of(client),
             "state": "a b&c=<d>"}
    page = signed_in.open(f"/logout?{urlencode(asked)}", "cross-site")
    assert page.is_question_about_logout and not is_nobody(client, signed_in)
    left = signed_in.press(page)
    assert isinstance(left, Left) and (left.url, left.answer) == (target_of(client), {"state": "a b&c=<d>"})
    assert is_nobody(client, signed_in)


@pytest.mark.parametrize("change", [
    {"post_logout_redirect_uri": "https://elsewhere.example/"}, {"client_id": "told"}, {"client_id": None},
    {"post_logout_redirect_uri": None}])
def test_a_page_that_asks_leads_to_where_it_was_made_for_alone(client, signed_in, change):
    asked = {"id_token_hint": client.get_tokens()["id_token"], "post_logout_redirect_uri": target_of(client)}
    page = signed_in.open(f"/logout?{urlencode(asked)}", "cross-site")
    page.form.fields = {name: value for name, value in (page.form.fields | change).items() if value is not None}
    end = signed_in.press(page)
    assert isinstance(end, Page) and end.is_error and not is_nobody(client, signed_in)


def foreign_hint(client):
    """HS256 with the client's secret, which the client can make for itself."""
    assert len(client.client.secret) >= 32
    return jwt.encode({"iss": client.id, "aud": client.provider.issuer, "sub": client.provider.ada["subject"]},
                      client.client.secret, algorithm="HS256")


@pytest.mark.parametrize("change", [
    lambda client, asked: {"post_logout_redirect_uri": "https://elsewhere.example/"},
    lambda client, asked: {"post_logout_redirect_uri": target_of(client) + "?foo=bar"},
    lambda client, asked: {"post_logout_redirect_uri": client.redirect_uri},
    lambda client, asked: {"id_token_hint": unsigned(tokens.claims_of(asked["id_token_hint"]))},
    lambda client, asked: {"id_token_hint": foreign_hint(client)},
    lambda client, asked: {"id_token_hint": tokens.flip(asked["id_token_hint"], -20)},
    lambda client, asked: {"id_token_hint": None},
    lambda client, asked: {"client_id": "other"},
], ids=["unregistered", "query", "callback", "alg none", "of the client", "bad signature", "no hint", "another client"])
def test_nobody_is_redirected_by_a_logout_that_is_not_the_clients(client, signed_in, change):
    asked = {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": target_of(client), "state": "x"}
    asked |= change(client, asked)
    page = log_out(signed_in, **{name: value for name, value in asked.items() if value})
    assert isinstance(page, Page) and (page.is_error or page.is_signed_out), page


@pytest.mark.parametrize("parameters", [[], ["state"], ["id_token_hint"]])
def test_a_logout_without_a_target_ends_on_a_page(client, signed_in, parameters):
    values = {"state": "x", "id_token_hint": signed_in.id_token}
    page = log_out(signed_in, **{name: values[name] for name in parameters})
    assert isinstance(page, Page) and page.is_signed_out
    assert is_nobody(client, signed_in)


def test_an_expired_hint_is_still_a_hint(make_provider):
    provider = make_provider(TOKEN_ID_TTL="1")
    provider.add_user("ada")
    party = provider.start().add_party("basic", post_logout_redirect_uris=["https://basic.example/bye"])
    browser = provider.browser()
    token = party.tokens(party.log_in(browser))["id_token"]
    wait_past(tokens.claims_of(token)["exp"])
    left = log_out(browser, id_token_hint=token, post_logout_redirect_uri="https://basic.example/bye")
    assert isinstance(left, Left) and is_nobody(party, browser)


# --- 5: logout by the back channel ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def told_party(provider, listener):
    return provider.add_party("told", redirect_uris=[f"{listener.url}/callback"],
                              post_logout_redirect_uris=[f"{listener.url}/bye"],
                              backchannel_logout_uri=f"{listener.url}/backchannel_logout")


def test_the_metadata_has_the_back_channel(provider):
    assert provider.metadata["backchannel_logout_supported"] is True
    assert provider.metadata["backchannel_logout_session_supported"] is True


def wait_until_told(provider, listener, sid):
    """What came of that session's end, which may come again if the answer was late."""
    def told():
        return [each for each in listener.told if sid_of(each) == sid]
    provider.until(told, "the client was not told", PATIENCE_S)
    return told()[0]


def sid_of(told):
    (token,) = parse_qs(told[2], strict_parsing=True)["logout_token"]
    return tokens.claims_of(token)["sid"]


def test_a_logout_is_told_to_the_client(provider, told_party, listener, browser):
    id_token = told_party.tokens(told_party.log_in(browser))["id_token"]
    known = told_party.read_id_token(id_token)
    left = log_out(browser, id_token_hint=id_token, post_logout_redirect_uri=f"{listener.url}/bye", state="x")
    assert (left.url, left.answer) == (f"{listener.url}/bye", {"state": "x"})
    path, content_type, body, version = wait_until_told(provider, listener, known["sid"])
    assert (path, content_type) == ("/backchannel_logout", "application/x-www-form-urlencoded")
    assert version in ("TLSv1.2", "TLSv1.3")
    form = parse_qs(body, strict_parsing=True)
    assert form.keys() == {"logout_token"} and len(form["logout_token"]) == 1
    (token,) = form["logout_token"]
    claims = told_party.read_id_token(token)
    assert tokens.header_of(token)["typ"] == "logout+jwt" and claims["jti"]
    assert claims["events"] == {LOGOUT_EVENT: {}} and "nonce" not in claims
    assert (claims["sub"], claims["sid"]) == (known["sub"], known["sid"]) and claims["exp"] <= claims["iat"] + 120
    provider.tokens.add(token)
    assert is_nobody(told_party, browser)
    assert told_party.userinfo(token).status_code == 401, "it is no access token, and no hint"
    assert provider.browser().open(f"/logout?{urlencode({'id_token_hint': token})}").is_error


def test_a_client_without_an_address_is_not_told(provider, client, told_party, listener, signed_in):
    log_out(signed_in, id_token_hint=signed_in.id_token)
    other = provider.browser()
    id_token = told_party.tokens(told_party.log_in(other))["id_token"]
    log_out(other, id_token_hint=id_token)
    wait_until_told(provider, listener, tokens.claims_of(id_token)["sid"])
    assert tokens.claims_of(signed_in.id_token)["sid"] not in map(sid_of, listener.told)
