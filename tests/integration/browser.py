"""A small browser, as far as the pages of a provider need one: cookies, redirects, forms, and what a page's policy
forbids. Every page and redirect is held to what must always be true of them."""

import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

from wire import PATIENCE_S

REDIRECTS_MAX = 10
POLICY = {"default-src": ["'none'"], "frame-ancestors": ["'none'"], "base-uri": ["'none'"]}


def origin_of(url):
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def parameters_of(text):
    """Of a query or a form: each once, or it is no answer."""
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    assert len({name for name, _ in pairs}) == len(pairs), f"a parameter comes twice: {text}"
    return dict(pairs)


@dataclass
class Form:
    action: str
    method: str
    fields: dict = field(default_factory=dict)   # name → value, without buttons and boxes
    boxes: dict = field(default_factory=dict)    # check boxes that are not ticked
    buttons: dict = field(default_factory=dict)  # id → (name, value)


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.forms, self.title, self.scripts, self.alerts, self._into = [], "", [], [], None
        self.elements = []  # (tag, attributes) of each
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "form":
            self.forms.append(Form(attributes["action"], attributes["method"]))
        elif tag == "input" and attributes.get("type") == "checkbox":
            self.forms[-1].boxes[attributes["name"]] = attributes["value"]
        elif tag == "input":
            self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "button":
            self.forms[-1].buttons[attributes["id"]] = (attributes.get("name"), attributes.get("value"))
        elif tag == "script":
            self.scripts.append([attributes.get("nonce"), ""])
        self._into = "alert" if attributes.get("role") == "alert" else tag
        if self._into == "alert":
            self.alerts.append("")

    def handle_data(self, data):
        if self._into == "title":
            self.title += data
        elif self._into == "script":
            self.scripts[-1][1] += data
        elif self._into == "alert":
            self.alerts[-1] += data

    def handle_endtag(self, tag):
        if self._into != "alert" or tag == "p":
            self._into = None


class Page:
    """An HTML page of the provider's."""

    def __init__(self, answer):
        self.answer, self.url, self.status, self.text = answer, answer.url, answer.status_code, answer.text
        read = Reader(self.text)
        self.forms, self.title, self.scripts, self.alerts = read.forms, read.title, read.scripts, read.alerts
        self.elements = read.elements
        self.policy = {words[0]: words[1:] for words in
                       (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))}

    def __repr__(self):
        return f"<page {self.status} {self.title!r} {self.alerts} at {self.url}>"

    @property
    def form(self):
        (form,) = self.forms
        return form

    @property
    def is_login(self):
        return bool(self.forms) and "password" in self.form.fields

    @property
    def is_consent(self):
        return "Allow access" in self.title

    @property
    def is_question_about_logout(self):
        return "Sign out?" in self.title

    @property
    def is_signed_out(self):
        return "You are signed out" in self.title

    @property
    def is_error(self):
        return "This did not work" in self.title and self.status >= 400

    def allows_form_to(self, url):
        """By its policy's form-action, which browsers hold a form's redirects to as well."""
        allowed = self.policy.get("form-action", ["'none'"])
        return origin_of(url) in allowed or ("'self'" in allowed and origin_of(url) == origin_of(self.url))


@dataclass
class Left:
    """The browser has left for somewhere else: by a redirect, or by a page that posts itself there (form_post)."""
    url: str            # without query
    answer: dict        # the parameters
    posted: bool
    full_url: str

    @property
    def code(self):
        assert "code" in self.answer, self
        return self.answer["code"]


def check_cookies(answer):
    """Each is the browser's for this host alone, and no script's."""
    for line in answer.raw.headers.getlist("Set-Cookie"):
        pair, *attributes = line.split("; ")
        name = pair.partition("=")[0]
        assert name in ("__Host-token-service-session", "__Host-token-service-browser"), line
        assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(attributes), line
        assert not [attribute for attribute in attributes if attribute.startswith("Domain")], line


def check_page(answer):
    """Nobody may frame it, keep it, guess at its type, or learn its address; and it loads and runs nothing foreign."""
    headers = answer.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY" and headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    for directive, sources in POLICY.items():
        assert f"{directive} {' '.join(sources)}" in policy
    assert "unsafe" not in policy and "*" not in policy
    assert "Access-Control-Allow-Origin" not in headers
    assert parsedate_to_datetime(headers["Date"])


def check_redirect(answer):
    """RFC 9700 section 4.12: never one that repeats a POST. And no cache, no referrer."""
    assert answer.status_code in (302, 303), answer.status_code
    assert answer.request.method != "POST" or answer.status_code == 303
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert not answer.content


class Browser:
    """One person's, with its own cookies. `server` has the pages' url, the authority `ca` that it is trusted by, and
    `secrets`, whose members must not come up in its log."""

    def __init__(self, server):
        self.server = server
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = str(server.ca)
        self.visited = []

    @property
    def cookies(self):
        return {cookie.name: cookie.value for cookie in self.http.cookies}

    def copy(self):
        """Another one with the same cookies: what somebody would have who stole them, or had planted them."""
        other = Browser(self.server)
        other.http.cookies.update(self.http.cookies)
        return other

    # --- moving -----------------------------------------------------------------------------------------------------

    def open(self, url, site="cross-site"):
        """As a link from another site does, or with site="none" a person who types the address."""
        return self._go("GET", urljoin(self.server.url, url), site=site)

    def post_from_elsewhere(self, url, fields, site="cross-site"):
        """A form of another site: Lax cookies don't come along."""
        return self._go("POST", urljoin(self.server.url, url), fields, site=site, has_cookies=False)

    def press(self, page, button="submit", tick=(), **fields):
        """Fills in the page's form and presses a button of it."""
        form = page.form
        name, value = form.buttons[button]
        sent = form.fields | {box: form.boxes[box] for box in tick} | ({name: value} if name else {}) | fields
        action = urljoin(page.url, form.action)
        assert form.method == "post" and page.allows_form_to(action), page.policy
        return self._go("POST", action, sent, site="same-origin", page=page)

    def _send(self, method, url, fields, site, has_cookies):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
                   "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        if has_cookies:
            answer = self.http.request(method, url, data=fields, headers=headers, timeout=PATIENCE_S,
                                       allow_redirects=False)
        else:
            with requests.Session() as stranger:
                stranger.trust_env = False
                answer = stranger.request(method, url, data=fields, headers=headers, timeout=PATIENCE_S,
                                          allow_redirects=False, verify=self.http.verify)
            self.http.cookies.update(answer.cookies)
        self.server.secrets |= {cookie.value for cookie in answer.cookies if cookie.value}
        self.visited.append((method, url, answer.status_code))
        check_cookies(answer)
        return answer

    def _go(self, method, url, fields=None, site="none", has_cookies=True, page=None):
        """Follows redirects within the provider; the end is a Page or a Left."""
        for _ in range(REDIRECTS_MAX):
            answer = self._send(method, url, fields, site, has_cookies)
            if "Location" not in answer.headers:
                return self._show(answer)
            check_redirect(answer)
            url = answer.headers["Location"]
            assert re.fullmatch("[!-~]+", url) and urlsplit(url).scheme, url
            assert page is None or page.allows_form_to(url), f"{page.policy} stops the way to {url}"
            if origin_of(url) != origin_of(self.server.url):
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                return self._leave(url)
            method, fields, has_cookies = "GET", None, True
        raise AssertionError(f"too many redirects: {self.visited[-REDIRECTS_MAX:]}")

    def _leave(self, url):
        bare, _, query = url.partition("?")
        assert "#" not in url, url
        return self._left(Left(bare, parameters_of(query), False, url))

    def _left(self, left):
        self.server.secrets |= {left.answer[name] for name in ("code",) if name in left.answer}
        return left

    def _show(self, answer):
        check_page(answer)
        page = Page(answer)
        if not page.scripts:
            return page
        (nonce, script), = page.scripts  # a page that posts itself
        assert page.policy["script-src"] == [f"'nonce-{nonce}'"], "or it would not run"
        assert script == "document.forms[0].submit()" and page.form.method == "post"
        assert page.allows_form_to(page.form.action), page.policy
        bare, _, query = page.form.action.partition("?")
        assert not {"code", "error", "state", "iss"} & parameters_of(query).keys() and "#" not in page.form.action
        return self._left(Left(bare, page.form.fields, True, page.form.action))
