"""Users who have signed in, for tests of what comes after that. Nobody sees a page here: the service that logs users in
(LOGIN_URL) is the test itself, which accepts each login request."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

import tokens

from service import Client
from wire import PATIENCE_S

LOGIN_URL = "https://login.example/sign-in"
SETTINGS = {"LOGIN_URL": LOGIN_URL, "TOKEN_ISSUER": "http://localhost", "TOKEN_SIGNING_ALG": "ES256"}
CALLBACK = "https://app.example/callback"
USER_SCOPES = "openid profile offline_access"
KEEPER_SCOPES = "logins:write sessions:read sessions:write token:introspect token:revoke:any"


def add_app(server, client_id, scope=USER_SCOPES, *arguments, **metadata):
    """A client of users, who are not asked for consent."""
    asked = {"redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"],
             "skip_consent": True} | metadata
    added = json.loads(server.run("clients", "add", "--id", client_id, "--scope", scope, "--metadata", "-", "--json",
                                  *arguments, stdin=json.dumps(asked)).stdout)
    if "client_secret" in added:
        server.secrets.add(added["client_secret"])
    return Client(added["client_id"], added.get("client_secret"), scope)


@dataclass
class Code:
    text: str
    verifier: str

    def form(self):
        return {"grant_type": "authorization_code", "code": self.text, "redirect_uri": CALLBACK,
                "code_verifier": self.verifier}


def session():
    made = requests.Session()
    made.trust_env = False
    return made


@dataclass
class Browser:
    """One with its cookies. `keeper`: the client of the service that logs users in."""
    keeper: Client
    cookies: requests.Session = field(default_factory=session)

    def _open(self, server, url):
        """At this instance, whichever the URL names."""
        parts = urlsplit(url)
        return self.cookies.get(f"{server.url}{parts.path}?{parts.query}", allow_redirects=False, timeout=PATIENCE_S)

    def _log_in(self, server, location, user, **login):
        challenge = parse_qs(urlsplit(location).query)["challenge"][0]
        answer = server.post(f"/admin/login-requests/{challenge}/accept", auth=self.keeper,
                             json={"subject": user} | login)
        assert answer.status_code == 200, answer.text
        return answer.json()["redirect_to"]

    def code(self, server, app, user="ada", scope=USER_SCOPES, asked=None, **login):
        """Signs in, unless somebody is signed in, and comes back with a code. `asked`: the parameter `claims`."""
        verifier = secrets.token_urlsafe(32)
        challenge = tokens.encode(hashlib.sha256(verifier.encode()).digest())
        location = "/authorize?" + urlencode({
            "response_type": "code", "client_id": app.id, "redirect_uri": CALLBACK, "scope": scope, "state": "here",
            "code_challenge": challenge, "code_challenge_method": "S256"} |
            ({"claims": json.dumps(asked)} if asked else {}))
        for _ in range(6):
            if location.startswith(CALLBACK):
                return Code(parse_qs(urlsplit(location).query)["code"][0], verifier)
            if location.startswith(LOGIN_URL):
                location = self._log_in(server, location, user, **login)
                continue
            answer = self._open(server, location)
            assert answer.status_code in (302, 303), answer.text
            location = answer.headers["Location"]
        raise AssertionError("the browser is sent in a circle")

    def tokens(self, server, app, user="ada", scope=USER_SCOPES, **login):
        """And the app has its tokens."""
        answer = redeem(server, app, self.code(server, app, user, scope, **login))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def log_out(self, server, id_token):
        """As the app has it, unasked."""
        answer = self._open(server, "/logout?" + urlencode({"id_token_hint": id_token}))
        assert answer.status_code == 200, answer.text


def ask_token(server, app, form):
    """POST /token as the app, also when it is a public one."""
    by_name = {} if app.secret else {"client_id": app.id}
    answer = server.post("/token", auth=app if app.secret else None, form=form | by_name)
    if answer.status_code == 200:
        server.tokens.add("." + answer.json().get("refresh_token", ""))  # what follows the dot is in no log
    return answer


def redeem(server, app, code):
    return ask_token(server, app, code.form())


def refresh(server, app, token, **form):
    return ask_token(server, app, {"grant_type": "refresh_token", "refresh_token": token} | form)


def refreshed(server, app, token, **form):
    answer = refresh(server, app, token, **form)
    assert answer.status_code == 200, answer.text
    return answer.json()
