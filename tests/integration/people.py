"""A browser of the least kind, for tests of single answers: cookies, forms, and no redirect followed by itself. The
issuer may be an address that nobody listens on; only the path of a URL counts."""

import html
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from wire import PATIENCE_S

PASSWORD = "correct horse battery"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK = "https://app.storytailor.ai/callback"
SCOPE = "openid profile offline_access"


def asked(client, **members):
    """The query of a good authorization request; a member of None is left out."""
    members = {"response_type": "code", "client_id": client.id, "redirect_uri": CALLBACK, "scope": SCOPE, "state": "s",
               "code_challenge": CHALLENGE, "code_challenge_method": "S256"} | members
    return {name: value for name, value in members.items() if value is not None}


def path_of(url):
    parts = urlsplit(url)
    return parts.path + ("?" + parts.query if parts.query else "")


def parameters_of(answer):
    """Of a redirect's query."""
    return {name: value for name, (value,) in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def challenge_of(answer):
    return urlsplit(answer.headers["Location"]).path.rsplit("/", 1)[1]


def fields_of(answer):
    """The hidden fields of a page's form."""
    return {name: html.unescape(value) for name, value in
            re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', answer.text)}


class Person:
    """Somebody before a browser."""

    def __init__(self, server, username="ada"):
        self.server, self.username, self.cookies = server, username, {}

    def go(self, path, method="GET", **options):
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        headers |= options.pop("headers", {})
        answer = requests.request(method, self.server.url + path, headers=headers, allow_redirects=False,
                                  timeout=PATIENCE_S, **options)
        for cookie in answer.raw.headers.getlist("Set-Cookie"):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def post(self, path, form, **options):
        return self.go(path, "POST", data=form, **options)

    def begin(self, client, method="GET", **members):
        """An authorization request."""
        query = asked(client, **members)
        return self.post("/authorize", query) if method == "POST" else self.go("/authorize?" + urlencode(query), method)

    def follow(self, answer):
        return self.go(path_of(answer.headers["Location"]))

    def send(self, page, **fields):
        """What a page's form posts."""
        action, = re.findall('<form method="post" action="([^"]*)">', page.text)
        return self.post(path_of(html.unescape(action)), fields_of(page) | fields)

    def finish(self, answer, password=PASSWORD):
        """Logs in and consents, as far as that is asked for: the answer that the client gets."""
        while answer.status_code == 303 and "/login/" in answer.headers["Location"]:
            page = self.follow(answer)
            answer = self.follow(self.send(page, username=self.username, password=password))
        return answer

    def sign_in(self, client, **members):
        return self.finish(self.begin(client, **members))

    def tokens(self, client, **members):
        """What a client gets by a code."""
        code = parameters_of(self.sign_in(client, **members))["code"]
        answer = self.server.post("/token", form=client.post() | {
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER})
        assert answer.status_code == 200, answer.text
        return answer.json()
