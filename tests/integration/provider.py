"""An OpenID provider for the tests: the program over https with its built-in login, a user who has every standard
claim, and clients that send the user there and take the answer."""

import base64
import functools
import hashlib
import json
import re
import secrets
import time
from urllib.parse import urlencode

import jwt
import requests

import tokens
from browser import Browser, Left
from kms import certificate_chain
from ports import free_port
from service import Client, Server
from wire import PATIENCE_S

SCOPES = "openid profile email address phone offline_access"
PASSWORD = "correct horse battery"
# The same by scrypt at its least: what a hash costs by default would be most of what a login costs, and there are
# hundreds. test_users.py has the default.
CHEAP_HASH = "$scrypt$ln=4,r=8,p=1${}${}".format(*(base64.b64encode(part).decode().rstrip("=") for part in (
    b"sixteen of salt.",
    hashlib.scrypt(PASSWORD.encode(), salt=b"sixteen of salt.", n=16, r=8, p=1, dklen=32))))
CLAIMS = {
    "name": "Ada Byron Lovelace", "given_name": "Ada", "family_name": "Lovelace", "middle_name": "Byron",
    "nickname": "Countess", "preferred_username": "ada", "profile": "https://ada.example/about",
    "picture": "https://ada.example/ada.png", "website": "https://ada.example/", "gender": "female",
    "birthdate": "1990-12-10", "zoneinfo": "Europe/London", "locale": "en-GB", "email": "ada@example.com",
    "email_verified": "true", "phone_number": "+44 20 7946 0000", "phone_number_verified": "false",
    "address.formatted": "12 St James's Square, London", "address.street_address": "12 St James's Square",
    "address.locality": "London", "address.region": "London", "address.postal_code": "SW1Y 4JH",
    "address.country": "UK",
}


def challenge_of(verifier):
    """RFC 7636 section 4.2."""
    return tokens.encode(hashlib.sha256(verifier.encode()).digest())


def wait_past(second):
    """Until the clock shows a later second: times in tokens are whole ones."""
    while time.time() < second + 1:
        time.sleep(0.02)


class Provider(Server):
    """At https://localhost:port, which is its issuer too."""

    def __init__(self, home, settings=None):
        port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        self.ca = home / "ca.pem"
        self.ca.write_bytes(certificate_chain("localhost", home / "server.pem"))
        (home / "server.pem").chmod(0o600)
        self.issuer = f"https://localhost:{port}"
        super().__init__(home, {
            "TOKEN_LISTEN": f"127.0.0.1:{port}", "TOKEN_ISSUER": self.issuer, "TOKEN_LOGIN": "builtin",
            "TOKEN_TLS_CERT": str(home / "server.pem"), "TOKEN_TLS_KEY": str(home / "server.pem"),
            "TOKEN_FETCH_ALLOW": "127.0.0.0/8", "TOKEN_FETCH_CA_FILE": str(self.ca)} | (settings or {}))
        self.secrets.add(PASSWORD)
        self.handed_out = set()  # refresh tokens, of which the same one may be answered twice

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    @property
    def session(self):
        session = super().session
        session.verify = str(self.ca)
        return session

    def check_leaks(self, path, status, headers, body):
        """Signed userinfo looks like a token, and is none."""
        if headers.get("content-type") != "application/jwt":
            super().check_leaks(path, status, headers, body)

    def check_log(self):
        self.secrets |= self.handed_out
        super().check_log()

    def add_user(self, name, claims=None, *arguments):
        words = [word for pair in (claims or {}).items() for word in ("--claim", "=".join(pair))]
        added = json.loads(self.run("users", "add", name, *words, "--json", *arguments, stdin=PASSWORD).stdout)
        users = self.data_dir / "users.json"
        lines = [re.sub(r'"\$scrypt\$[^"]*"', f'"{CHEAP_HASH}"', line) if added["subject"] in line else line
                 for line in users.read_text().splitlines(keepends=True)]
        cheaper = users.with_suffix(".new")
        cheaper.touch(mode=0o600)
        cheaper.write_text("".join(lines))
        cheaper.replace(users)
        return added

    def add_party(self, client_id, scope=SCOPES, **metadata):
        """A client, registered with these members of its metadata."""
        metadata = {"redirect_uris": [f"https://{client_id}.example/callback"],
                    "grant_types": ["authorization_code", "refresh_token"], "require_pkce": False} | metadata
        added = json.loads(self.run("clients", "add", "--id", client_id, "--scope", scope, "--metadata", "-", "--json",
                                    stdin=json.dumps(metadata)).stdout)
        self.secrets |= {added["client_secret"]} if "client_secret" in added else set()
        return Party(self, Client(client_id, added.get("client_secret"), scope), metadata)

    def browser(self):
        return Browser(self)

    @functools.cached_property
    def metadata(self):
        answer = self.get("/.well-known/openid-configuration")
        assert answer.status_code == 200, answer.text
        return answer.json()


class Party:
    """A client (a relying party): it asks, and takes the answer."""

    def __init__(self, provider, client, metadata):
        self.provider, self.client, self.metadata = provider, client, metadata
        self.redirect_uri = next(iter(metadata["redirect_uris"]), None)
        self.mode = None  # the response_mode that it asks for

    @property
    def id(self):
        return self.client.id

    # --- asking -----------------------------------------------------------------------------------------------------

    def request(self, **parameters):
        """An authorization request; a parameter of None is left out."""
        asked = {"client_id": self.id, "response_type": "code", "scope": "openid", "redirect_uri": self.redirect_uri,
                 "state": secrets.token_urlsafe(32), "nonce": secrets.token_urlsafe(32),
                 "response_mode": self.mode} | parameters
        return {name: value for name, value in asked.items() if value is not None}

    def url(self, **parameters):
        return f"{self.provider.url}/authorize?{urlencode(self.request(**parameters))}"

    def ask(self, browser, **parameters):
        """Whatever comes first: a Page or a Left."""
        return self.check(browser.open(self.url(**parameters)))

    def check(self, end):
        """The answer comes where and as it was asked for, and has only what it may have."""
        if not isinstance(end, Left):
            return end
        assert end.url == self.redirect_uri.partition("?")[0], end
        assert end.posted == (self.mode == "form_post"), end
        own = self.redirect_uri.partition("?")[2]
        members = set(end.answer) - {pair.partition("=")[0] for pair in own.split("&")}
        assert members <= ({"code", "state", "iss"} if "code" in members else
                           {"error", "error_description", "state", "iss"}), end
        assert end.answer["iss"] == self.provider.issuer
        return end

    def log_in(self, browser, user="ada", remember=False, **parameters):
        """All the way to the answer, past the pages that come."""
        return self.go_on(browser, self.ask(browser, **parameters), user, remember)

    def go_on(self, browser, page, user="ada", remember=False):
        for _ in range(3):
            if isinstance(page, Left):
                return page
            assert page.is_login or page.is_consent, page
            page = (browser.press(page, username=user, password=PASSWORD) if page.is_login else
                    browser.press(page, tick=["remember"] if remember else []))
            self.check(page)
        return page

    # --- the token endpoint -----------------------------------------------------------------------------------------

    def post_token(self, headers=None, **form):
        """As the client is registered to; a member of None is left out."""
        sent = {name: value for name, value in form.items() if value is not None}
        method = self.metadata.get("token_endpoint_auth_method", "client_secret_basic")
        by_post = self.client.post() if method == "client_secret_post" else {"client_id": self.id}
        is_basic = method == "client_secret_basic"
        answer = self.provider.post("/token", auth=self.client if is_basic else None, headers=headers,
                                    form=sent if is_basic else by_post | sent)
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        assert "no-store" in [part.strip() for part in answer.headers["Cache-Control"].split(",")]
        if answer.ok and "refresh_token" in answer.json():
            self.provider.handed_out.add(answer.json()["refresh_token"])
        return answer

    def redeem(self, left, **form):
        code = left.code if isinstance(left, Left) else left
        return self.post_token(**({"grant_type": "authorization_code", "code": code,
                                   "redirect_uri": self.redirect_uri} | form))

    def tokens(self, left, **form):
        answer = self.redeem(left, **form)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refresh(self, refresh_token, **form):
        return self.post_token(grant_type="refresh_token", refresh_token=refresh_token, **form)

    def get_tokens(self, browser=None, user="ada", **parameters):
        return self.tokens(self.log_in(browser or self.provider.browser(), user, **parameters))

    # --- what came --------------------------------------------------------------------------------------------------

    def read_id_token(self, token, jwks=None):
        """Judged by PyJWT, with the keys that are published."""
        keys = {key["kid"]: key for key in (jwks or self.provider.jwks())["keys"]}
        key = jwt.PyJWK(keys[tokens.header_of(token)["kid"]])
        return jwt.decode(token, key, algorithms=["RS256"], audience=self.id, issuer=self.provider.issuer,
                          options={"require": ["iss", "sub", "aud", "exp", "iat"]})

    def userinfo(self, access_token, **options):
        return self.provider.get("/userinfo", auth=access_token, **options)


def refused(answer, error="invalid_grant", status=400):
    """RFC 6749 section 5.2."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert "access_token" not in answer.text
    return True


def get_plain(provider, path, **options):
    """As any HTTP client does, without the checks of Server.get."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(provider.url + path, verify=str(provider.ca), timeout=PATIENCE_S, allow_redirects=False,
                           **options)


def unsigned(claims, **header):
    """What looks like a token, and is signed by nobody."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none"} | header).encode()).rstrip(b"=").decode()
    return f"{head}.{tokens.encode(json.dumps(claims))}."
