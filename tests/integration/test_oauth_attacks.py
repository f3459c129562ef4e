"""Attacks on OAuth 2.0 and OpenID Connect that once worked on others (RFC 9700 and the CVEs named below), made on the
running provider with browsers and clients."""

import json
import re
import ssl
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

import tokens
from browser import Left, Page, check_page
from provider import CLAIMS, PASSWORD, SCOPES, challenge_of, get_plain, refused, unsigned, wait_past
from wire import PATIENCE_S

VERIFIER, OTHER_VERIFIER = "v" * 43, "w" * 43
PKCE = {"code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = {"keys": [json.loads(ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "1", "alg": "ES256"}]}


@pytest.fixture(scope="module")
def provider(make_provider):
    provider = make_provider()
    provider.ada = provider.add_user("ada", CLAIMS)
    provider.eve = provider.add_user("eve")
    return provider.start().settled()


@pytest.fixture(scope="module")
def web(provider):
    """A confidential client that need not use PKCE."""
    return provider.add_party("web", post_logout_redirect_uris=["https://web.example/bye"])


@pytest.fixture(scope="module")
def evil(provider):
    """A client of an attacker's."""
    return provider.add_party("evil", post_logout_redirect_uris=["https://evil.example/bye"])


@pytest.fixture(scope="module")
def app(provider):
    """A public one, on somebody's phone."""
    return provider.add_party("app", token_endpoint_auth_method="none", require_pkce=True, application_type="native",
                              redirect_uris=["com.example.app:/cb", "http://127.0.0.1/cb", "http://[::1]/cb"])


@pytest.fixture(scope="module")
def strict(provider):
    """A confidential one that must use PKCE, as is the default."""
    return provider.add_party("strict", require_pkce=True)


@pytest.fixture(scope="module")
def signer(provider):
    """One that signs its assertions."""
    return provider.add_party("signer", token_endpoint_auth_method="private_key_jwt", jwks=JWKS,
                              grant_types=["authorization_code", "refresh_token", "client_credentials"])


@pytest.fixture
def browser(provider):
    return provider.browser()


@pytest.fixture
def victim(provider, web):
    """Ada's browser: she is signed in."""
    browser = provider.browser()
    web.log_in(browser)
    return browser


@pytest.fixture(scope="module")
def signed_in(provider, web):
    """The same, for tests that leave her as she is."""
    browser = provider.browser()
    web.log_in(browser)
    return browser


def tls_socket(provider, plain):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(provider.home / "server.pem")
    return context.wrap_socket(plain, server_side=True)


def is_error(end, status=400):
    """A page that says what is wrong, and leads nowhere."""
    assert isinstance(end, Page) and end.is_error and end.status == status and not end.forms, end
    assert "<script" not in end.text and "href=" not in end.text
    return True


def nobody(party, browser):
    return party.ask(browser, prompt="none").answer["error"] == "login_required"


# --- code injection, RFC 9700 section 4.5 ---------------------------------------------------------------------------

def test_a_stolen_code_is_of_no_use_in_another_login(strict, browser, provider):
    """The attacker's own login has another verifier."""
    left = strict.log_in(browser, **PKCE)
    attackers = strict.log_in(provider.browser(), "eve", **PKCE | {"code_challenge": challenge_of(OTHER_VERIFIER)})
    assert refused(strict.redeem(left, code_verifier=OTHER_VERIFIER))
    assert refused(strict.redeem(attackers, code_verifier=VERIFIER))
    assert refused(strict.redeem(left))
    assert strict.tokens(left, code_verifier=VERIFIER)["id_token"], "which did not spend it"


def test_an_injected_code_brings_the_nonce_of_its_own_login(web, browser):
    """Without PKCE it is the client that compares."""
    left = web.log_in(browser, nonce="the victim's")
    assert web.read_id_token(web.tokens(left)["id_token"])["nonce"] == "the victim's"


@pytest.mark.parametrize("redirect_uri", [None, "", "https://web.example/callback/", "https://evil.example/callback",
                                          "https://web.example/Callback", "https://web.example/callback?"])
def test_a_code_is_for_the_redirect_uri_that_it_was_sent_to(web, browser, redirect_uri):
    assert refused(web.redeem(web.log_in(browser), redirect_uri=redirect_uri))


def test_a_code_is_for_its_client(web, evil, strict, app, browser):
    """Keycloak CVE-2026-16089. The attempts don't spend it, and reveal nothing."""
    left = web.log_in(browser)
    for thief in (evil, strict):
        answer = thief.redeem(left, redirect_uri=web.redirect_uri)
        assert refused(answer) and answer.text == thief.redeem("x" * 43, redirect_uri=web.redirect_uri).text
    assert refused(app.redeem(left, redirect_uri=web.redirect_uri, code_verifier=VERIFIER))
    assert web.tokens(left)["id_token"]


def test_a_client_cant_name_another_beside_its_own_credentials(web, evil, browser):
    left = web.log_in(browser)
    answer = evil.redeem(left, redirect_uri=web.redirect_uri, client_id="web")
    assert answer.status_code in (400, 401) and answer.json()["error"] in ("invalid_request", "invalid_client")
    assert web.tokens(left)["id_token"]


def test_of_many_that_redeem_a_code_at_once_one_gets_tokens_which_end(web, browser):
    """Keycloak CVE-2026-4282."""
    left = web.log_in(browser, scope="openid offline_access")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: web.redeem(left), range(16)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1 and all(refused(answer) for answer in answers if answer.status_code != 200)
    assert web.userinfo(good[0]["access_token"]).status_code == 401
    assert refused(web.refresh(good[0]["refresh_token"]))


def test_a_code_is_not_made_longer_shorter_or_empty(web, browser):
    code = web.log_in(browser).code
    for wrong in (code[:-1], code + "A", code + "=", " " + code, tokens.flip(code, 5), "A" * 43, "." * 43):
        assert refused(web.redeem(wrong)), wrong
    for wrong in ("", code + "\0", code + "\0" * 20):
        assert refused(web.redeem(wrong), "invalid_request")
    assert web.tokens(code)["id_token"]


# --- PKCE downgrade, RFC 9700 section 4.8.2 -------------------------------------------------------------------------

@pytest.mark.parametrize("who", ["app", "strict"])
@pytest.mark.parametrize("parameters", [
    {}, {"code_challenge": ""}, {"code_challenge": VERIFIER},
    {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
    PKCE | {"code_challenge_method": "plain"}, PKCE | {"code_challenge_method": "s256"},
    PKCE | {"code_challenge_method": ""}, PKCE | {"code_challenge": "x" * 42}, PKCE | {"code_challenge": "x" * 44},
    {"code_challenge_method": "S256"}, PKCE | {"code_challenge": PKCE["code_challenge"] + "="}],
    ids=lambda parameters: "&".join(f"{name[5:]}={value[:8]}" for name, value in parameters.items()) or "none")
def test_pkce_cant_be_left_out_or_weakened(request, who, browser, parameters):
    left = request.getfixturevalue(who).ask(browser, **parameters)
    assert isinstance(left, Left) and left.answer["error"] == "invalid_request"


def test_a_verifier_for_a_code_without_a_challenge_is_refused(web, browser):
    """authentik CVE-2024-23647: an attacker takes the challenge out of the victim's request."""
    left = web.log_in(browser)
    assert refused(web.redeem(left, code_verifier=VERIFIER))


@pytest.mark.parametrize("verifier", [None, "", PKCE["code_challenge"], VERIFIER + "v", VERIFIER[:-1], VERIFIER.upper(),
                                      "v" * 129, VERIFIER + " ", VERIFIER + "="])
def test_a_challenge_is_met_by_its_verifier_alone(web, browser, verifier):
    """Of a client that may go without PKCE too."""
    assert refused(web.redeem(web.log_in(browser, **PKCE), code_verifier=verifier))


# --- mix-up, RFC 9700 section 4.4 and RFC 9207 ----------------------------------------------------------------------

@pytest.mark.parametrize("mode", [None, "query", "form_post"])
def test_every_answer_names_its_issuer(provider, web, browser, mode):
    assert provider.metadata["authorization_response_iss_parameter_supported"] is True
    web.mode = mode
    try:
        ends = [web.log_in(browser), web.ask(browser, response_type="token"),
                web.ask(browser, prompt="none", max_age="0", id_token_hint="x"),
                browser.press(web.ask(browser, prompt="login"), "cancel")]
    finally:
        web.mode = None
    for end in ends:
        assert end.answer["iss"] == provider.issuer == provider.metadata["issuer"], end


def test_an_answer_names_its_issuer_and_not_the_host_that_was_called(provider, web):
    """A caller may say any Host, and any X-Forwarded-Host."""
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
                    {"Forwarded": "host=evil.example;proto=http"}):
        answer = get_plain(provider, f"/authorize?{urlencode(web.request())}", headers=headers)
        assert answer.status_code == 303 and answer.headers["Location"].startswith(provider.issuer + "/login/")
        assert "Secure" in answer.headers["Set-Cookie"]
        answer = get_plain(provider, f"/authorize?{urlencode(web.request(prompt='none'))}", headers=headers)
        assert f"iss={quote(provider.issuer, safe='')}" in answer.headers["Location"]


# --- redirect URIs, RFC 9700 section 4.1 ----------------------------------------------------------------------------

CALLBACK = "https://web.example/callback"
TRICKS = [
    "https://web.example/callback/", "https://web.example/callback/../evil", "https://web.example/callback/..;/evil",
    "https://web.example/callback/%2e%2e/evil", "https://web.example/callback/%2E%2E%2Fevil",
    "https://web.example/callback%2f..%2fevil", "https://web.example/callback/..%5cevil",
    "https://web.example/%63allback", "https://web.example//callback", "https://web.example/./callback",
    "https://web.example/x/../callback", "https://web.example/callback;x=y", "https://web.example/Callback",
    "HTTPS://web.example/callback", "https://WEB.example/callback", "https://web.example:443/callback",
    "https://web.example./callback", "https://web.example/callback?", "https://web.example/callback?x=y",
    "https://web.example/callback?code=planted", "https://web.example/callback?state=planted&iss=planted",
    "https://web.example/callback?%63ode=planted", "https://web.example/callback#", "https://web.example/callback#x",
    "https://web.example/callback#code=planted", "https://web.example/callback%23x", "https://web.example/callback%00",
    "https://web.example/callback\0", "https://web.example/callback ", " https://web.example/callback",
    "https://web.example/callback\r\nSet-Cookie: x=y", "https://web.example/callback%0d%0aX: y",
    "https://web.example/callback\t", "https://web.example@evil.example/callback",
    "https://web.example:x@evil.example/callback", "https://evil.example/@web.example/callback",
    "https://web.example\\@evil.example/callback", "https://evil.example\\.web.example/callback",
    "https://evil.example#@web.example/callback", "https://evil.example?@web.example/callback",
    "https://evil.example/?https://web.example/callback", "https://web.example.evil.example/callback",
    "https://webxexample/callback", "https://evilweb.example/callback", "https://sub.web.example/callback",
    "http://web.example/callback", "//web.example/callback", "/callback", "callback", "web.example/callback",
    "https:web.example/callback", "https:/web.example/callback", "https:///web.example/callback",
    "https://web.example/callback\u200b", "https://web.exаmple/callback", "https://web.example/callbacK",
    "javascript:alert(1)//https://web.example/callback", "data:text/html,x", "https://[::1]/callback",
    "https://web.example/callback," + CALLBACK, CALLBACK + " " + CALLBACK, "*", "https://*/callback",
    "https://web.example/*", "https://web.example", "https://web.example/bye", "",
    "http://127.0.0.1/callback", "http://localhost/callback", "https://evil.example/callback",
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: repr(trick)[1:60])
def test_only_the_registered_redirect_uri_is_redirected_to(web, signed_in, trick):
    """glewlwyd CVE-2024-25715, Keycloak CVE-2023-6291, CVE-2024-1132, CVE-2024-8883, CVE-2026-3872, CVE-2026-9689 and
    CVE-2026-18209, authentik CVE-2024-52289: neither a code nor an error goes there."""
    assert trick != CALLBACK
    for more in ({}, {"prompt": "none"}, {"response_type": "token"}, {"response_mode": "form_post"},
                 {"request": unsigned({"redirect_uri": trick})}):
        assert is_error(signed_in.open(web.url(redirect_uri=trick, **more)))
        assert is_error(signed_in.post_from_elsewhere("/authorize", web.request(redirect_uri=trick, **more)))


@pytest.mark.parametrize("twice", ["redirect_uri=" + quote("https://evil.example/callback", safe=""),
                                   "client_id=evil", "redirect_uri=", "request=x&request=y",
                                   "redirect_uri[]=https://evil.example/callback&redirect_uri=x"])
def test_who_asks_and_where_the_answer_goes_is_said_once(web, signed_in, twice):
    for query in (f"{urlencode(web.request())}&{twice}", f"{twice}&{urlencode(web.request())}"):
        assert is_error(signed_in.open(f"/authorize?{query}"))


@pytest.mark.parametrize("name", ["state", "nonce", "scope", "prompt", "code_challenge", "response_type", "x"])
def test_no_parameter_is_said_twice(web, signed_in, name):
    left = signed_in.open(f"{web.url(**PKCE)}&{name}=x&{name}=y")
    assert isinstance(left, Left) and left.answer["error"] == "invalid_request"
    assert ("state" in left.answer) == (name != "state"), "of two, none counts"


LOOPBACK_TRICKS = [
    "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:080/cb",
    "http://127.0.0.1:8080/", "http://127.0.0.1:8080/cb/", "http://127.0.0.1:8080/cb?x=y", "http://127.0.0.1:8080/CB",
    "http://127.0.0.1:8080@evil.example/cb", "http://127.0.0.1.evil.example:8080/cb", "http://127.0.0.2:8080/cb",
    "http://127.1:8080/cb", "http://2130706433:8080/cb", "http://0x7f.1:8080/cb", "http://localhost:8080/cb",
    "https://127.0.0.1:8080/cb", "http://[::1]:8080/cb/x", "http://[0:0:0:0:0:0:0:1]:8080/cb",
    "http://[::ffff:127.0.0.1]:8080/cb", "http://0.0.0.0:8080/cb", "com.example.app:/CB", "com.example.app://cb",
    "COM.example.app:/cb", "com.example.app.evil:/cb", "com.example.app:/cb/../x"]


@pytest.mark.parametrize("trick", LOOPBACK_TRICKS)
def test_of_a_loopback_address_the_port_alone_is_free(app, browser, trick):
    """RFC 8252 section 7.3; fosite CVE-2020-15233 and CVE-2020-15234."""
    assert is_error(browser.open(app.url(redirect_uri=trick, **PKCE)))


def test_a_loopback_port_is_free_for_a_native_client(app, browser, provider):
    page = browser.open(app.url(redirect_uri="http://127.0.0.1:34567/cb", **PKCE))
    page = browser.press(page, username="ada", password=PASSWORD)
    left = browser.press(page)
    assert left.url == "http://127.0.0.1:34567/cb"
    assert refused(app.redeem(left, code_verifier=VERIFIER, redirect_uri="http://127.0.0.1:34568/cb"))
    assert app.redeem(left, code_verifier=VERIFIER, redirect_uri="http://127.0.0.1:34567/cb").status_code == 200
    assert provider.issuer


def test_a_native_client_is_never_let_in_unasked(app, provider):
    """RFC 8252 section 8.6: another program can say that it is this one."""
    browser = provider.browser()
    for _ in range(2):
        page = browser.open(app.url(**PKCE))
        if page.is_login:
            page = browser.press(page, username="ada", password=PASSWORD)
        assert page.is_consent and "remember" not in page.form.boxes
        assert browser.press(page, remember="1").code
    end = browser.open(app.url(prompt="none", **PKCE))
    assert end.answer["error"] == "consent_required"
    own = provider.add_party("own-app", token_endpoint_auth_method="none", require_pkce=True, skip_consent=True,
                             application_type="native", redirect_uris=["com.example.own:/cb"])
    assert browser.open(own.url(**PKCE)).is_consent, "whoever registered it"


# --- replayed assertions, RFC 7523 section 3 ------------------------------------------------------------------------

def assertion(provider, client_id="signer", key=KEY, header=None, alg="ES256", **claims):
    now = int(time.time())
    said = {"iss": client_id, "sub": client_id, "aud": provider.issuer, "iat": now, "exp": now + 60,
            "jti": uuid.uuid4().hex} | claims
    said = {name: value for name, value in said.items() if value is not None}
    made = jwt.encode(said, key, algorithm=alg, headers={"kid": "1"} | (header or {}))
    provider.tokens.add(made)
    return made


def by_assertion(party, text, provider=None, **form):
    sent = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": text} | form
    return (provider or party.provider).post("/token", form=sent)


def test_an_assertion_is_good_once(provider, signer):
    """Hydra CVE-2020-5300, fosite CVE-2020-15222."""
    text = assertion(provider)
    assert by_assertion(signer, text).status_code == 200
    for _ in range(3):
        assert refused(by_assertion(signer, text), "invalid_client", 401)


def test_an_assertion_is_spent_by_a_call_that_fails_too(provider, signer):
    text = assertion(provider)
    assert refused(by_assertion(signer, text, grant_type="authorization_code", code="x"))
    assert refused(by_assertion(signer, text), "invalid_client", 401)


def test_of_many_that_send_an_assertion_at_once_one_gets_a_token(provider, signer):
    text = assertion(provider)
    with ThreadPoolExecutor(16) as pool:
        answers = [answer.status_code for answer in pool.map(lambda _: by_assertion(signer, text), range(16))]
    assert sorted(answers) == [200] + [401] * 15


@pytest.mark.parametrize("change", [
    {"aud": "https://evil.example"}, {"aud": None}, {"aud": ["https://evil.example"]}, {"aud": "/token"},
    {"iss": "web"}, {"sub": "web"}, {"iss": "web", "sub": "web"}, {"iss": None}, {"sub": None}, {"jti": None},
    {"jti": ""}, {"jti": 7}, {"exp": None}, {"exp": 1}, {"exp": 4102444800}, {"exp": "4102444800"},
    {"nbf": 4102444800}, {"iat": 4102444800}, {"client_id": "web"}], ids=str)
def test_an_assertion_is_for_this_issuer_and_now(provider, signer, change):
    """With the token endpoint as its audience it may have been asked for elsewhere (2025's audience injection)."""
    if change.get("aud") == "/token":
        change = {"aud": provider.issuer + "/token"}
    form, claims = ({"client_id": "web"}, {}) if "client_id" in change else ({}, change)
    assert refused(by_assertion(signer, assertion(provider, **claims), **form), "invalid_client", 401)


@pytest.mark.parametrize("name", ["none", "HS256 with the public key", "another key", "jwk in the header", "not signed",
                                  "id token"])
def test_an_assertion_is_signed_by_its_client(provider, signer, web, name):
    now = int(time.time())
    claims = {"iss": "signer", "sub": "signer", "aud": provider.issuer, "iat": now, "exp": now + 60, "jti": name}
    other = ec.generate_private_key(ec.SECP256R1())
    made = {
        "none": lambda: unsigned(claims, kid="1"),
        "HS256 with the public key": lambda: jwt.encode(claims, json.dumps(JWKS["keys"][0]).encode() * 2,
                                                        algorithm="HS256", headers={"kid": "1"}),
        "another key": lambda: assertion(provider, key=other),
        "jwk in the header": lambda: assertion(provider, key=other, header={
            "jwk": json.loads(ECAlgorithm.to_jwk(other.public_key())), "kid": "2"}),
        "not signed": lambda: assertion(provider).rpartition(".")[0] + ".",
        "id token": lambda: web.get_tokens()["id_token"],
    }[name]()
    answer = by_assertion(signer, made)
    assert refused(answer, "invalid_client", 401)


def test_a_client_that_signs_has_no_other_way_in(provider, signer, web):
    for form in ({"client_id": "signer"}, {"client_id": "signer", "client_secret": "x"}, {}):
        assert provider.post("/token", form={"grant_type": "client_credentials"} | form).status_code == 401
    assert provider.post("/token", form={"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
                                         "client_assertion": assertion(provider, "web")}).status_code == 401
    both = provider.post("/token", auth=web.client, form={"grant_type": "client_credentials", "client_assertion_type":
                                                          ASSERTION_TYPE, "client_assertion": assertion(provider)})
    assert both.status_code in (400, 401)
    assert by_assertion(signer, assertion(provider)).status_code == 200


def test_an_assertion_is_good_once_over_instances_that_share_a_store(make_provider, postgres):
    url = postgres.database(f"assertions-{uuid.uuid4().hex[:8]}")
    first = make_provider(DATABASE_URL=url)
    second = make_provider(DATABASE_URL=url, TOKEN_ISSUER=first.issuer)
    second.data_dir, second.settings["TOKEN_DATA_DIR"] = first.data_dir, first.settings["TOKEN_DATA_DIR"]
    first.start()
    second.start()
    signer = first.add_party("signer", token_endpoint_auth_method="private_key_jwt", jwks=JWKS, redirect_uris=[],
                             grant_types=["client_credentials"])
    for _ in range(5):
        text = assertion(first)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda at: by_assertion(signer, text, at), [first, second] * 4))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


# --- request objects, RFC 9101 --------------------------------------------------------------------------------------

def request_object(party, key=KEY, header=None, **changes):
    now = int(time.time())
    said = party.request(**PKCE) | {"iss": party.id, "aud": party.provider.issuer, "iat": now, "exp": now + 60}
    said |= changes
    said = {name: value for name, value in said.items() if value is not None}
    made = jwt.encode(said, key, algorithm="ES256", headers={"kid": "1", "typ": "oauth-authz-req+jwt"} | (header or {}))
    party.provider.tokens.add(made)
    return made


def ask_by(party, browser, made, **outside):
    return browser.open(f"/authorize?{urlencode({'client_id': party.id, 'request': made} | outside)}")


def test_of_a_signed_request_only_what_is_signed_counts(provider, signer):
    browser = provider.browser()
    signer.log_in(browser, **PKCE)
    made = request_object(signer, state="signed", scope="openid", prompt="none")
    for outside in ({}, {"state": "other", "scope": "openid email", "redirect_uri": signer.redirect_uri,
                         "prompt": "login", "response_mode": "form_post",
                         "code_challenge": challenge_of(OTHER_VERIFIER)},
                    {"redirect_uri": "https://evil.example/callback"}):
        left = signer.check(ask_by(signer, browser, made, **outside))
        assert left.answer["state"] == "signed"
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(provider)}
        answer = signer.redeem(left, code_verifier=VERIFIER, **form)
        assert answer.status_code == 200 and answer.json()["scope"] == "openid", answer.text


@pytest.mark.parametrize("name, changes", [
    ("another client's", {"client_id": "web"}), ("of another issuer", {"iss": "web"}), ("no iss", {"iss": None}),
    ("no aud", {"aud": None}), ("another aud", {"aud": "https://evil.example"}), ("expired", {"exp": 1}),
    ("not yet", {"nbf": 4102444800}), ("exp is text", {"exp": "4102444800"}), ("in another", {"request": "x.y.z"}),
    ("at a URI", {"request_uri": "https://signer.example/request"}), ("an assertion too", {"sub": "signer", "jti": "1"}),
    ("a list", {"state": ["a", "b"]}), ("an object", {"scope": {"x": "y"}})])
def test_a_signed_request_is_for_this_issuer_now_and_its_clients(signer, browser, name, changes):
    left = ask_by(signer, browser, request_object(signer, **changes), redirect_uri=signer.redirect_uri)
    assert isinstance(left, Left) and left.answer["error"] == "invalid_request_object", name


def test_a_signed_request_may_have_members_that_mean_nothing_here(signer, browser):
    """RFC 9101 section 4, RFC 6749 section 3.1: they are ignored, whatever their type."""
    for member in ([{"type": "payment"}], {"a": 1}, True, None, 1):
        left = ask_by(signer, browser, request_object(signer, prompt="none", authorization_details=member))
        assert left.answer["error"] == "login_required", member
    left = ask_by(signer, browser, request_object(signer, registration={"client_name": "x"}))
    assert left.answer["error"] == "registration_not_supported"
    left = ask_by(signer, browser, request_object(signer, nonce=True), redirect_uri=signer.redirect_uri)
    assert left.answer["error"] == "invalid_request_object"


def test_what_is_wrong_with_a_signed_request_is_said_on_the_page(signer, browser):
    page = ask_by(signer, browser, request_object(signer, exp=1))
    assert is_error(page) and page.alerts[0].startswith("the request object has expired"), page.alerts


def test_a_signed_request_is_signed_by_its_client(provider, signer, web, browser):
    other = ec.generate_private_key(ec.SECP256R1())
    good = request_object(signer)
    for made in (request_object(signer, key=other), request_object(signer, header={"typ": "at+jwt"}),
                 request_object(signer, header={"typ": "client-authentication+jwt"}), tokens.flip(good, -10),
                 request_object(signer, key=other, header={"jwk": json.loads(ECAlgorithm.to_jwk(other.public_key()))}),
                 good.rpartition(".")[0] + ".", "x.y.z", "x", web.get_tokens()["id_token"], assertion(provider)):
        left = ask_by(signer, browser, made, redirect_uri=signer.redirect_uri)
        assert isinstance(left, Left) and left.answer["error"].startswith("invalid_request"), made[:30]
        assert is_error(ask_by(signer, browser, made)), "nor is it believed where the answer goes"
        assert is_error(ask_by(signer, browser, made, redirect_uri="https://evil.example/callback"))
    left = ask_by(signer, browser, unsigned(signer.request()), redirect_uri=signer.redirect_uri)
    assert left.answer["error"] in ("request_not_supported", "invalid_request_object")


def test_a_signed_request_is_no_assertion(provider, signer):
    """Section 10.8: who sees one in a browser must not be able to authenticate with it."""
    for made in (request_object(signer), request_object(signer, sub="signer", jti="1"),
                 request_object(signer, header={"typ": "JWT"})):
        assert refused(by_assertion(signer, made), "invalid_client", 401)
    assert provider.issuer


@pytest.mark.parametrize("trick", ["https://evil.example/callback", "https://signer.example/callback?code=x",
                                   "https://signer.example/callback/", "javascript:alert(1)"])
def test_a_signed_redirect_uri_is_a_registered_one(signer, browser, trick):
    for outside in ({}, {"redirect_uri": signer.redirect_uri}):
        assert is_error(ask_by(signer, browser, request_object(signer, redirect_uri=trick), **outside))


# --- clients --------------------------------------------------------------------------------------------------------

def test_a_client_authenticates_as_it_is_registered_to(provider, web):
    """And in one way (RFC 6749 section 2.3)."""
    for auth, form, status in ((None, web.client.post(), 401), (None, {"client_id": "web"}, 401),
                               (web.client, web.client.post(), 400), (None, {}, 401)):
        answer = provider.post("/token", auth=auth, form={"grant_type": "client_credentials"} | form)
        assert answer.status_code == status, (form, answer.text)
    answer = provider.post(f"/token?{urlencode(web.client.post())}", form={"grant_type": "client_credentials"})
    assert answer.status_code in (400, 401), "not in the query"


def test_a_grant_that_a_client_is_not_registered_for_is_refused(provider, web, browser):
    party = provider.add_party("service-only", grant_types=["client_credentials"], redirect_uris=[])
    assert refused(web.post_token(grant_type="client_credentials"), "unauthorized_client")
    assert refused(party.redeem(web.log_in(browser), redirect_uri=web.redirect_uri), "unauthorized_client")
    for grant in ("password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer",
                  "urn:ietf:params:oauth:grant-type:device_code", "AUTHORIZATION_CODE", "authorization_code "):
        assert refused(web.post_token(grant_type=grant, username="ada", password=PASSWORD), "unsupported_grant_type")


@pytest.mark.parametrize("name", ["code", "redirect_uri", "grant_type", "code_verifier", "scope"])
def test_no_member_of_a_token_request_is_said_twice(provider, web, browser, name):
    form = {"grant_type": "authorization_code", "code": web.log_in(browser).code, "redirect_uri": web.redirect_uri}
    body = urlencode(form) + f"&{name}=x&{name}=x"
    answer = provider.post("/token", auth=web.client, data=body.encode(),
                           headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert refused(answer, "invalid_request")


def test_no_more_is_given_than_was_granted(web, browser):
    """By the code and by the refresh token: Keycloak CVE-2026-16103 and CVE-2026-9798."""
    assert refused(web.redeem(web.log_in(browser), scope="openid email"), "invalid_scope")
    refresh = web.tokens(web.log_in(browser, scope="openid offline_access"))["refresh_token"]
    for scope in ("openid email", "email", "openid token:issue"):
        assert refused(web.refresh(refresh, scope=scope), "invalid_scope")
    assert refused(web.refresh(refresh, resource="https://evil.example/"), "invalid_target")
    assert web.refresh(refresh).json()["scope"] == "openid offline_access"


def test_a_user_grants_no_scope_of_the_services_own(provider, browser):
    party = provider.add_party("mighty", SCOPES + " token:issue:any clients:write logins:write")
    for scope in ("openid token:issue:any", "clients:write", "openid logins:write"):
        assert party.ask(browser, scope=scope).answer["error"] == "invalid_scope"


# --- claims by name -------------------------------------------------------------------------------------------------

def by_name(**parts):
    return json.dumps({part: dict.fromkeys(names) for part, names in parts.items()})


def test_a_claim_by_name_is_allowed_by_its_user_as_its_scope_is(provider, browser):
    """An address is one, however it is asked for: it stands on the page, and an earlier consent without it is none."""
    party = provider.add_party("curious")
    party.log_in(browser, remember=True)
    wanted = by_name(userinfo=["email", "phone_number"], id_token=["birthdate"])
    assert party.ask(browser, prompt="none", claims=wanted).answer["error"] == "consent_required"
    page = party.ask(browser, claims=wanted)
    assert page.is_consent
    for words in ("see your e-mail address", "see your phone number", "see your name and your profile"):
        assert words in page.text
    assert "postal" not in page.text
    answer = party.tokens(browser.press(page, tick=["remember"]))
    assert answer["scope"] == "openid"
    assert party.read_id_token(answer["id_token"])["birthdate"] == CLAIMS["birthdate"]
    assert party.userinfo(answer["access_token"]).json().keys() == {"sub", "email", "phone_number"}
    assert party.ask(browser, prompt="none", claims=wanted).code
    assert party.ask(browser, prompt="none", claims=by_name(userinfo=["address"])).answer["error"] == "consent_required"


@pytest.mark.parametrize("skips", [True, False])
def test_a_client_has_no_claim_by_name_of_a_scope_that_it_may_not_ask_for(provider, browser, skips):
    party = provider.add_party(f"modest-{skips}", "openid email", skip_consent=skips)
    page = party.ask(browser, claims=by_name(userinfo=["email", "phone_number", "address"], id_token=["name", "email"]))
    answer = party.tokens(party.go_on(browser, page))
    assert party.userinfo(answer["access_token"]).json().keys() == {"sub", "email"}
    claims = party.read_id_token(answer["id_token"])
    assert claims["email"] == CLAIMS["email"] and "name" not in claims


# --- what was true when the request began, and isn't any longer -----------------------------------------------------

@pytest.fixture
def eves(provider):
    """A user of the test's own, who can be disabled."""
    return provider.add_user(f"user-{uuid.uuid4().hex[:8]}")["username"]


def test_a_disabled_user_has_no_session_no_code_and_no_refresh(provider, web, eves):
    browser = provider.browser()
    granted = web.tokens(web.log_in(browser, eves, scope="openid offline_access"))
    left = web.log_in(browser, eves)
    provider.run("users", "disable", eves)
    assert nobody(web, browser)
    assert refused(web.redeem(left)) and refused(web.refresh(granted["refresh_token"]))
    assert web.userinfo(granted["access_token"]).status_code == 401
    page = browser.press(web.ask(browser), username=eves, password=PASSWORD)
    assert page.is_login and page.alerts == ["The username or the password is wrong."]


def test_a_disabled_client_gets_nothing_more(provider, browser):
    party = provider.add_party("short-lived")
    page = browser.press(party.ask(browser), username="ada", password=PASSWORD)
    left = browser.press(page)
    granted = party.get_tokens(browser, scope="openid offline_access")
    page = party.ask(provider.browser())
    provider.run("clients", "disable", "short-lived")
    provider.until(lambda: isinstance(browser.open(party.url(prompt="none")), Page), "the client is still known")
    assert is_error(browser.open(party.url()))
    assert party.redeem(left).status_code == 401 and party.refresh(granted["refresh_token"]).status_code == 401
    assert party.userinfo(granted["access_token"]).status_code == 401
    assert page.is_login


def test_a_redirect_uri_that_was_removed_meanwhile_is_not_redirected_to(provider, browser):
    party = provider.add_party("moved", redirect_uris=["https://moved.example/old", "https://moved.example/new"])
    page = party.ask(browser)
    provider.run("clients", "change", "moved", "--metadata", "-",
                 stdin=json.dumps({"redirect_uris": ["https://moved.example/new"]}))
    provider.until(lambda: isinstance(provider.browser().open(party.url()), Page) and
                   provider.browser().open(party.url()).is_error, "the old one is still known")
    page = browser.press(page, username="ada", password=PASSWORD)
    assert is_error(browser.press(page) if page.is_consent else page)


def test_a_code_of_a_session_that_has_ended_is_refused(web, provider, browser):
    hint = web.tokens(web.log_in(browser))["id_token"]
    left = web.log_in(browser)
    browser.open(f"/logout?{urlencode({'id_token_hint': hint})}")
    assert refused(web.redeem(left))


def test_what_a_session_gave_ends_with_it(web, browser):
    granted = web.get_tokens(browser)
    assert web.userinfo(granted["access_token"]).status_code == 200
    browser.open(f"/logout?{urlencode({'id_token_hint': granted['id_token']})}")
    assert web.userinfo(granted["access_token"]).status_code == 401


def test_a_users_token_is_no_clients(provider, browser):
    """RFC 9700 section 4.15, the other way round too: what a user has granted lets nobody administer the service."""
    mighty = provider.add_party("mightier", SCOPES + " token:issue token:introspect token:verify clients:read "
                                "logins:write")
    token = mighty.get_tokens(browser, scope="openid profile")["access_token"]
    for method, path, body in (("GET", "/admin/clients", {}), ("GET", "/admin/login-requests/" + "x" * 43, {}),
                               ("POST", "/token/introspect", {"form": {"token": token}}),
                               ("POST", "/token/verify", {"json": {"token": token}}),
                               ("POST", "/token", {"json": {"subject": "x", "clientId": "mightier", "scope": "",
                                                            "tokenType": "access"}})):
        answer = provider.request(method, path, auth=token, **body)
        assert answer.status_code == 403, (path, answer.text)
    answer = provider.post("/token", auth=token, form={"grant_type": "client_credentials"})
    assert answer.status_code == 401


# --- one token in the place of another ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def granted(web):
    return web.get_tokens(scope="openid profile offline_access")


def test_only_an_access_token_opens_userinfo(provider, web, granted, signer):
    secret = provider.add_party("machine", "openid profile stories:read", redirect_uris=[],
                                grant_types=["client_credentials"])
    own = secret.post_token(grant_type="client_credentials").json()["access_token"]
    for token in (granted["id_token"], granted["refresh_token"], web.client.secret, "x.y.z", "",
                  unsigned(tokens.claims_of(granted["access_token"]), typ="at+jwt"),
                  tokens.flip(granted["access_token"], -30)):
        answer = get_plain(provider, "/userinfo", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer"), token[:20]
    answer = web.userinfo(own)
    assert answer.status_code == 403 and answer.json()["error"] == "insufficient_scope", "it is no user's"
    assert refused(secret.post_token(grant_type="client_credentials", scope="openid"), "invalid_scope")
    assert web.userinfo(granted["access_token"]).status_code == 200 and signer.id


def test_nothing_of_another_issuer_is_good_here(provider, make_provider, web, granted, victim):
    """One where the client and the user have the same names: as when somebody runs two."""
    other = make_provider()
    other.add_user("ada", None, "--subject", provider.ada["subject"])
    party = other.start().add_party("web")
    theirs = party.get_tokens(scope="openid offline_access")
    code = party.log_in(other.browser()).code
    provider.tokens |= {theirs["access_token"], theirs["id_token"]}
    assert party.userinfo(theirs["access_token"]).status_code == 200
    assert web.userinfo(theirs["access_token"]).status_code == 401
    assert refused(web.refresh(theirs["refresh_token"])) and refused(web.redeem(code))
    assert web.ask(victim, prompt="none", id_token_hint=theirs["id_token"]).answer["error"] == "invalid_request"
    assert web.userinfo(granted["access_token"]).status_code == 200


def test_a_key_of_another_issuer_signs_nothing_here(provider, web, granted):
    key = tokens.new_key("RS256")
    claims = tokens.claims_of(granted["access_token"])
    kid, own = provider.signing_key()
    for signed in (tokens.sign(key, "RS256", {"alg": "RS256", "typ": "at+jwt", "kid": kid}, claims),
                   tokens.sign(key, "RS256", {"alg": "RS256", "typ": "at+jwt"}, claims),
                   tokens.sign(own, "RS256", {"alg": "RS256", "typ": "at+jwt", "kid": kid},
                               claims | {"iss": "https://evil.example"}),
                   tokens.sign(own, "RS256", {"alg": "RS256", "typ": "at+jwt", "kid": kid},
                               claims | {"aud": "https://api.evil.example/"})):
        provider.tokens.add(signed)
        assert web.userinfo(signed).status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "id_token", "code"])
def test_nothing_but_a_refresh_token_refreshes(web, browser, granted, kind):
    token = web.log_in(browser).code if kind == "code" else granted[kind]
    assert refused(web.refresh(token))


def test_nothing_but_a_code_is_a_code(web, granted):
    for kind in ("access_token", "id_token", "refresh_token"):
        assert refused(web.redeem(granted[kind]))


def test_a_refresh_token_is_for_its_client(web, evil, app, strict, browser):
    token = web.tokens(web.log_in(browser, scope="openid offline_access"))["refresh_token"]
    for thief in (evil, app, strict):
        answer = thief.refresh(token)
        assert refused(answer) and answer.text == thief.refresh("x" * 86).text
    assert web.refresh(token).status_code == 200, "nor is it ended by theirs"


def test_a_refresh_token_is_not_made_from_another(web, evil, browser):
    """Who knows one knows none of another family, and can't have it revoked."""
    mine = evil.tokens(evil.log_in(browser, "ada", scope="openid offline_access"))["refresh_token"]
    theirs = web.tokens(web.log_in(browser, scope="openid offline_access"))["refresh_token"]
    for made in (mine[:21] + theirs[21:], theirs[:21] + mine[21:], theirs[:28] + mine[28:], theirs[:70] + mine[70:]):
        for party in (web, evil):
            assert refused(party.refresh(made))
    assert web.refresh(theirs).status_code == 200 and evil.refresh(mine).status_code == 200


def test_only_an_id_token_of_this_client_is_a_hint(provider, web, evil, victim, granted):
    signed = provider.add_party("signed", userinfo_signed_response_alg="RS256")
    said = signed.userinfo(signed.get_tokens(scope="openid profile")["access_token"])
    assert said.headers["Content-Type"] == "application/jwt"
    provider.tokens.add(said.text)
    evils = evil.get_tokens()["id_token"]
    for hint in (granted["access_token"], granted["refresh_token"], said.text, evils, "x", unsigned(
            tokens.claims_of(granted["id_token"])), tokens.flip(granted["id_token"], -30)):
        left = web.ask(victim, id_token_hint=hint, prompt="none")
        assert left.answer["error"] == "invalid_request", hint[:20]


def test_signed_userinfo_is_no_id_token_and_no_access_token(provider, evil):
    signed = provider.add_party("signed-too", userinfo_signed_response_alg="RS256")
    said = signed.userinfo(signed.get_tokens(scope="openid profile")["access_token"]).text
    claims = tokens.claims_of(said)
    provider.tokens.add(said)
    assert claims["aud"] == "signed-too" and claims["iss"] == provider.issuer and "nonce" not in claims
    assert evil.userinfo(said).status_code == 401
    page = provider.browser().open(f"/logout?{urlencode({'id_token_hint': said})}")
    assert is_error(page)


def test_a_hint_of_another_user_lets_nobody_in(web, provider, victim):
    eves = web.get_tokens(user="eve")["id_token"]
    assert web.ask(victim, prompt="none", id_token_hint=eves).answer["error"] == "login_required"
    page = web.ask(victim, id_token_hint=eves)
    assert page.is_login, "and asked for, it is that user who has to log in"
    left = web.check(victim.press(page, username="ada", password=PASSWORD))
    assert left.answer["error"] == "access_denied" and provider.eve


# --- forms that others send -----------------------------------------------------------------------------------------

FORGERIES = {
    "none": lambda form, other: {"csrf": None},
    "empty": lambda form, other: {"csrf": ""},
    "of another request": lambda form, other: {"csrf": other.fields["csrf"]},
    "changed": lambda form, other: {"csrf": tokens.flip(form.fields["csrf"], 7)},
    "longer": lambda form, other: {"csrf": form.fields["csrf"] + "A"},
}


def forged(browser, page, changes, has_cookies=True, site="same-origin", **fields):
    form = page.form
    sent = {name: value for name, value in (form.fields | fields | changes).items() if value is not None}
    return browser._go("POST", form.action, sent, site, has_cookies)  # pylint: disable=protected-access


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_login_logs_nobody_in(web, browser, name):
    page, other = web.ask(browser), web.ask(browser)
    end = forged(browser, page, FORGERIES[name](page.form, other.form), username="eve", password=PASSWORD)
    assert isinstance(end, Page) and end.is_login and end.alerts, "it is asked again"
    assert nobody(web, browser)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_consent_allows_nothing(evil, web, provider, eves, name):
    browser = provider.browser()
    web.log_in(browser, eves)
    page, other = evil.ask(browser), evil.ask(browser)
    assert page.is_consent
    assert is_error(forged(browser, page, FORGERIES[name](page.form, other.form), remember="1"))
    assert evil.ask(browser, prompt="none").answer["error"] == "consent_required"


def test_the_token_of_the_login_form_is_none_for_consent(evil, browser, eves):
    page = evil.ask(browser)
    old = page.form.fields["csrf"]
    page = browser.press(page, username=eves, password=PASSWORD)
    assert page.is_consent and page.form.fields["csrf"] != old
    assert is_error(forged(browser, page, {"csrf": old}))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_that_another_site_sends_does_nothing(web, evil, provider, victim, site):
    """Even with the right fields; with cookies, as an old browser would send them, and without."""
    for has_cookies in (True, False):
        browser = provider.browser()
        end = forged(browser, web.ask(browser), {}, has_cookies, site, username="ada", password=PASSWORD)
        assert isinstance(end, Page) and (end.is_login or end.is_error)
        assert nobody(web, browser)
    page = evil.ask(victim)
    if isinstance(page, Page):
        assert is_error(forged(victim, page, {}, True, site))


@pytest.mark.parametrize("changes, site", [({"csrf": None}, "same-origin"), ({"csrf": "x" * 43}, "same-origin"),
                                           ({}, "cross-site"), ({}, "same-site")])
def test_another_site_signs_nobody_out(web, victim, changes, site):
    page = victim.open("/logout")
    assert page.is_question_about_logout
    assert is_error(forged(victim, page, changes, True, site))
    assert not isinstance(web.ask(victim, prompt="none"), Page) and web.ask(victim, prompt="none").code


def test_a_link_or_an_image_signs_nobody_out(web, evil, victim, provider):
    evils = evil.get_tokens(provider.browser(), "eve")["id_token"]
    own = evil.get_tokens(provider.browser(), "ada")["id_token"]  # of another session of the same user
    for query in ("", "state=x", urlencode({"id_token_hint": evils}), urlencode({"id_token_hint": own}),
                  urlencode({"id_token_hint": own, "post_logout_redirect_uri": "https://evil.example/bye"}),
                  urlencode({"id_token_hint": evils, "logout_hint": provider.ada["subject"]})):
        end = victim.open(f"/logout?{query}")
        assert end.is_question_about_logout, query
    victim.post_from_elsewhere("/logout", {"state": "x"})
    victim.post_from_elsewhere("/logout/confirm", {"csrf": "x"})
    assert web.ask(victim, prompt="none").code


def test_staying_signed_in_is_an_answer_too(web, victim):
    end = victim.press(victim.open("/logout"), "cancel")
    assert isinstance(end, Page) and not end.is_signed_out
    assert web.ask(victim, prompt="none").code


# --- framing, RFC 9700 section 4.16 ---------------------------------------------------------------------------------

def test_no_page_can_be_framed_kept_or_scripted(provider, web, evil, victim):
    fresh = provider.browser()
    login = web.ask(fresh)
    pages = [login, fresh.press(login, username="ada", password="wrong"), evil.ask(victim), victim.open("/logout"),
             victim.open("/authorize"), victim.open("/login/" + "x" * 43), provider.browser().open("/logout")]
    for page in pages:
        assert isinstance(page, Page), page
        check_page(page.answer)
        assert not page.scripts and "script-src" not in page.policy


@pytest.mark.parametrize("evil_text", ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onfocus='x",
                                       "&lt;b&gt;", "</title><script>", "javascript:alert(1)"])
def test_what_a_request_says_is_text_in_a_page(provider, web, evil, victim, evil_text):
    fresh = provider.browser()
    page = web.ask(fresh, login_hint=evil_text, state=evil_text, ui_locales=evil_text[:20])
    assert page.form.fields["username"] == evil_text
    again = fresh.press(page, username=evil_text, password="wrong")
    evil.mode = "form_post"
    try:
        left = evil.ask(fresh, prompt="none", state=evil_text)
    finally:
        evil.mode = None
    assert again.form.fields["username"] == evil_text and left.answer["state"] == evil_text
    for shown in (page, again, victim.open(f"/authorize?client_id={quote(evil_text)}"),
                  victim.open(f"/logout?{urlencode({'id_token_hint': evil_text})}")):
        assert not {"script", "img", "a", "b"} & {tag for tag, _ in shown.elements}
        assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]


def test_other_sites_scripts_can_read_no_page(provider, web):
    """RFC 9700 section 2.6: no CORS at the authorization endpoint, whatever the origin."""
    for path in (f"/authorize?{urlencode(web.request())}", "/login/" + "x" * 43, "/logout"):
        for origin in ("https://evil.example", "null", provider.issuer):
            answer = get_plain(provider, path, headers={"Origin": origin})
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")], path


# --- sessions -------------------------------------------------------------------------------------------------------

SESSION = "__Host-token-service-session"


def test_a_login_makes_a_session_that_nobody_knew_before(web, browser):
    """Session fixation: what was planted is not taken up, and what there was is replaced."""
    browser.http.cookies.set(SESSION, "planted" * 6 + "x", domain="localhost.local", path="/", secure=True)
    assert nobody(web, browser)
    web.log_in(browser)
    first = browser.cookies[SESSION]
    assert first != "planted" * 6 + "x"
    thief = browser.copy()
    web.log_in(browser, prompt="login")
    assert browser.cookies[SESSION] != first
    assert nobody(web, thief), "nor is the one of before still good"


def test_a_session_that_was_planted_stays_the_attackers(web, provider):
    """Eve plants her own session in Ada's browser. When Ada logs in, Eve's cookie does not become Ada's."""
    eves = provider.browser()
    web.log_in(eves, "eve")
    adas = eves.copy()
    web.log_in(adas, "ada", prompt="login")
    claims = web.read_id_token(web.tokens(web.ask(eves, prompt="none"))["id_token"])
    assert claims["sub"] == provider.eve["subject"]
    claims = web.read_id_token(web.tokens(web.ask(adas, prompt="none"))["id_token"])
    assert claims["sub"] == provider.ada["subject"]


def test_a_session_ends_for_every_copy_of_its_cookie(web, browser):
    hint = web.get_tokens(browser)["id_token"]
    copy = browser.copy()
    browser.open(f"/logout?{urlencode({'id_token_hint': hint})}")
    assert SESSION not in browser.cookies and SESSION in copy.cookies
    assert nobody(web, copy)


def test_a_cookie_that_comes_twice_is_none(provider, web, victim):
    value = victim.cookies[SESSION]
    request = f"/authorize?{urlencode(web.request(prompt='none'))}"
    for cookies in (f"{SESSION}={value}; {SESSION}={value}", f"{SESSION}=x; {SESSION}={value}",
                    f"token-service-session={value}", f"{SESSION.lower()}={value}", f'{SESSION}="{value}"'):
        answer = get_plain(provider, request, headers={"Cookie": cookies})
        assert "error=login_required" in answer.headers["Location"], cookies
    assert "code=" in get_plain(provider, request, headers={"Cookie": f"a=b; {SESSION}={value}"}).headers["Location"]


# --- a login in another browser -------------------------------------------------------------------------------------

def test_a_login_goes_on_in_its_own_browser_alone(web, provider):
    """Eve begins a login and sends its address to Ada: Ada would log in for Eve, or be logged in as Eve."""
    eves, adas = provider.browser(), provider.browser()
    page = web.ask(eves)
    assert is_error(adas.open(page.url))
    assert is_error(adas.open(page.url.replace("/login/", "/authorize/")))
    assert is_error(forged(adas, page, {}, username="ada", password=PASSWORD))
    page = eves.press(page, username="eve", password=PASSWORD)
    assert page.is_consent or isinstance(page, Left)


def test_an_answer_that_waits_is_not_taken_in_another_browser(evil, provider, eves):
    """Eve has logged in and consented; the last step is a GET that she leaves to Ada."""
    browser, adas = provider.browser(), provider.browser()
    page = evil.ask(browser)
    form = page.form.fields | {"username": eves, "password": PASSWORD}
    answer = browser.http.post(page.form.action, data=form, headers={"Sec-Fetch-Site": "same-origin"},
                               allow_redirects=False, timeout=PATIENCE_S)
    assert answer.status_code == 303
    assert is_error(adas.open(answer.headers["Location"]))
    assert SESSION not in adas.cookies


def test_a_login_that_is_over_is_over(web, browser):
    page = web.ask(browser)
    page = browser.press(page, username="ada", password=PASSWORD)
    url = page.url if isinstance(page, Page) else browser.visited[0][1]
    if isinstance(page, Page):
        web.check(browser.press(page))
    for path in ("/login/", "/authorize/"):
        assert is_error(browser.open(url.replace("/login/", path).replace("/authorize/", path)))


def test_another_user_in_the_same_browser_does_not_inherit_an_answer(evil, web, provider, eves):
    """Two tabs: a consent page of one user's, and meanwhile a login as another."""
    browser = provider.browser()
    web.log_in(browser, eves)
    page = evil.ask(browser)
    assert page.is_consent
    web.log_in(browser, "eve", prompt="login")
    end = browser.press(page)
    assert isinstance(end, Page) and end.is_login, "it was the other one's consent"


# --- open redirects, RFC 9700 section 4.11 --------------------------------------------------------------------------

ELSEWHERE = ["https://evil.example/", "//evil.example/", "\\\\evil.example", "/\\evil.example", "javascript:alert(1)"]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_no_page_redirects_to_where_a_parameter_says(provider, web, victim, url):
    names = ("next", "return_to", "redirect", "redirect_uri", "redirect_to", "url", "continue", "target_link_uri",
             "post_logout_redirect_uri", "challenge", "iss", "login_url")
    query = urlencode({name: url for name in names})
    for path in ("/authorize", "/login/" + "x" * 43, "/authorize/" + "x" * 43, "/logout", "/logout/confirm"):
        end = victim.open(f"{path}?{query}") if path != "/logout/confirm" else victim.post_from_elsewhere(
            f"{path}?{query}", {name: url for name in names})
        assert isinstance(end, Page), path
    fresh = provider.browser()
    page = web.ask(fresh)
    end = fresh.press(page, username="ada", password=PASSWORD, **{name: url for name in names if name != "challenge"})
    assert urlsplit(end.url).hostname in ("localhost", "web.example")


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/%2f..", "/%2f%2fevil.example", "/\\evil.example",
                                  "/authorize//evil.example", "/login//evil.example", "/login/%2f%2fevil.example",
                                  "/authorize/%0d%0aLocation:%20https:%2f%2fevil.example", "/authorize/..%2f..%2f",
                                  "/login/x%00", "/.evil.example", "/@evil.example"])
def test_no_path_is_a_redirect(provider, path):
    with requests.Session() as session:
        session.trust_env = False
        request = requests.Request("GET", provider.url + "/").prepare()
        request.url = provider.url + path
        answer = session.send(request, verify=str(provider.ca), timeout=PATIENCE_S, allow_redirects=False)
    assert answer.status_code in (400, 404, 405) and "Location" not in answer.headers


def test_a_logout_redirects_nobody_to_another_clients_address(web, evil, victim, browser):
    hint = evil.get_tokens(browser)["id_token"]
    for who, target in ((hint, "https://web.example/bye"), (None, "https://evil.example/bye"),
                        (hint, "https://evil.example/bye?x"), (hint, "https://evil.example/bye/"),
                        (hint, "https://evil.example/callback"), (hint, "https://evil.example/bye#x")):
        query = {"post_logout_redirect_uri": target} | ({"id_token_hint": who} if who else {})
        end = victim.open(f"/logout?{urlencode(query)}")
        assert isinstance(end, Page), target
    assert web.id


@pytest.mark.parametrize("mode", ["fragment", "jwt", "web_message", "query.jwt", "FORM_POST", "form_post "])
def test_no_code_is_put_where_it_was_not_registered_to_be_put(web, victim, mode):
    left = victim.open(web.url(response_mode=mode))
    assert isinstance(left, Left) and left.answer["error"] == "invalid_request" and not left.posted


def test_line_breaks_end_no_header(web, victim):
    assert is_error(victim.open(web.url(state="x\0y")))
    for text in ("x\r\nSet-Cookie: y=z", "x\nLocation: https://evil.example", "x\x7f", "x\ty"):
        left = web.ask(victim, state=text)
        assert isinstance(left, Left) and left.answer["error"] == "invalid_request" and "state" not in left.answer
        left = web.ask(victim, nonce=text)
        assert left.answer["error"] == "invalid_request"


@pytest.mark.parametrize("length, fits", [(2048, True), (2049, False), (7000, False)])
@pytest.mark.parametrize("character", ["s", "\"", "ü"])
def test_what_is_too_long_is_refused_and_nothing_is_cut_off(web, victim, length, fits, character):
    state = character * (length // len(character.encode()))
    state += "s" * (length - len(state.encode()))
    end = victim.post_from_elsewhere("/authorize", web.request(state=state, prompt="none"))
    assert isinstance(end, Left)
    assert (end.answer.get("state"), "code" in end.answer) == ((state, True) if fits else (None, False))


# --- what a server is made to fetch ---------------------------------------------------------------------------------

def test_no_url_of_a_request_is_fetched(provider, web, victim):
    """Keycloak CVE-2020-10770: request_uri."""
    asked = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format, *args):  # pylint: disable=redefined-builtin
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{listener.server_port}/"
        for name in ("request_uri", "sector_identifier_uri", "jwks_uri", "logo_uri", "registration", "claims"):
            end = victim.open(web.url(**{name: url + name}))
            assert isinstance(end, (Left, Page))
        assert web.ask(victim, request_uri=url).answer["error"] == "request_uri_not_supported"
        header = tokens.encode(json.dumps({"alg": "RS256", "jku": url, "x5u": url, "kid": url}))
        assert web.userinfo(f"{header}.e30.AAAA").status_code == 401
        requests.get(url + "end", timeout=PATIENCE_S)
    finally:
        listener.shutdown()
        listener.server_close()
    assert asked == ["/end"] and provider.issuer


def test_a_client_cant_make_the_service_call_what_only_it_can_reach(make_provider):
    """By its address for logouts: nothing of a network for special use is called, unless the settings allow it."""
    asked = []

    class Inside(BaseHTTPRequestHandler):
        def do_POST(self):  # pylint: disable=invalid-name
            asked.append(self.path)
            self.send_error(500)

        def log_message(self, format, *args):  # pylint: disable=redefined-builtin
            pass

    provider = make_provider(TOKEN_FETCH_ALLOW="")
    provider.add_user("ada")
    inside = ThreadingHTTPServer(("127.0.0.1", 0), Inside)
    inside.socket = tls_socket(provider, inside.socket)
    threading.Thread(target=inside.serve_forever, daemon=True).start()
    try:
        party = provider.start().add_party(
            "inside", backchannel_logout_uri=f"https://localhost:{inside.server_port}/latest/meta-data")
        browser = provider.browser()
        hint = party.get_tokens(browser)["id_token"]
        assert browser.open(f"/logout?{urlencode({'id_token_hint': hint})}").is_signed_out
        assert provider.told("backchannel_logout_failed")
    finally:
        inside.shutdown()
        inside.server_close()
    assert not asked


@pytest.mark.parametrize("body", [b"state=a\r\nSet-Cookie: x=y", b"state=a#b", b"state=a b", "state=ü".encode(),
                                  b"state=\xff", b"\x7f=1"])
def test_a_form_whose_bytes_fit_no_address_is_not_sent_on(provider, body):
    """A posted logout goes on as a GET."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(provider.url + "/logout", data=body, verify=str(provider.ca), allow_redirects=False,
                              headers={"Content-Type": "application/x-www-form-urlencoded"}, timeout=PATIENCE_S)
    assert answer.status_code == 400 and "Location" not in answer.headers


# --- guessing -------------------------------------------------------------------------------------------------------

def test_a_wrong_password_and_an_unknown_user_look_the_same(provider, web):
    said = []
    for user in ("ada", "nobody-of-this-name"):
        browser = provider.browser()
        page = browser.press(web.ask(browser), username=user, password="wrong")
        assert page.is_login and page.alerts == ["The username or the password is wrong."]
        text = re.sub(r'(nonce|value|action)="[^"]*"', "", page.text)
        said.append((page.status, text, sorted(set(page.answer.headers) - {"Date"})))
    assert said[0] == said[1]


def test_guesses_are_slowed(make_provider):
    provider = make_provider(TOKEN_FAILURE_LIMIT="2")  # another guess is let through after half a minute
    provider.add_user("ada")
    party = provider.start().add_party("web")
    browser = provider.browser()
    page = party.ask(browser)
    for _ in range(5):
        page = browser.press(page, username="ada", password="wrong")
    assert page.status == 429 and int(page.answer.headers["Retry-After"]) >= 1 and "too many" in page.alerts[0]
    page = browser.press(page, username="ada", password=PASSWORD)
    assert page.is_login, "then not even the right one"


def test_a_challenge_is_not_guessed(provider, victim):
    for path in ("/login/", "/authorize/"):
        for challenge in ("A" * 43, "x", "x" * 44, "x" * 1000, "'%20OR%201=1--", "%2e%2e%2fadmin"):
            assert is_error(victim.open(path + challenge))
        for challenge in ("", "%00" * 3, "x%ff", "x/y"):
            answer = get_plain(provider, path + challenge)
            assert answer.status_code in (400, 404) and "Location" not in answer.headers, challenge


# --- refresh tokens at once -----------------------------------------------------------------------------------------

def test_a_refresh_token_that_many_use_at_once_has_one_successor(web, browser):
    """Keycloak CVE-2026-1035, ory/docs 1959: never a second branch."""
    token = web.tokens(web.log_in(browser, scope="openid offline_access"))["refresh_token"]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: web.refresh(token), range(64)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert len({answer.json()["access_token"] for answer in answers}) == 64


def test_a_public_clients_refresh_token_rotates_whatever_is_registered(provider, browser):
    """RFC 9700 section 4.14.2. A confidential one's may stay."""
    for method, stays in (("none", False), ("client_secret_basic", True)):
        party = provider.add_party(f"keeps-{method}", token_endpoint_auth_method=method, require_pkce=True,
                                   refresh_token_rotation=False)
        left = party.log_in(browser, scope="openid offline_access", **PKCE)
        token = party.tokens(left, code_verifier=VERIFIER)["refresh_token"]
        assert (party.refresh(token).json()["refresh_token"] == token) == stays


def test_a_stolen_refresh_token_that_is_used_late_ends_the_grant(provider):
    party = provider.add_party("no-grace", refresh_token_grace=0)
    browser = provider.browser()
    granted = party.tokens(party.log_in(browser, scope="openid offline_access"))
    second = party.refresh(granted["refresh_token"]).json()
    wait_past(time.time() + 1)
    assert refused(party.refresh(granted["refresh_token"]))
    assert refused(party.refresh(second["refresh_token"])), "the thief's and the owner's"
    for answer in (granted, second):
        assert party.userinfo(answer["access_token"]).status_code == 401
