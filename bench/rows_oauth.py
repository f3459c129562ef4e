"""The rows of OAuth's grants: how near the token endpoint comes to the rate of its signatures alone. Beside it, in
turn, npm's oidc-provider: on the same core, asked for the same with the same load."""
import base64
import contextlib
import dataclasses
import functools
import http.client
import json
import os
import statistics
import subprocess
import typing
from urllib.parse import parse_qs, urlencode, urlsplit

from harness import (ALL_SERVED, FORM, HERE, ISSUE, ISSUE_CONNECTIONS, ISSUED, ISSUED_ID, QUICK, RECORDED, TESTS, Bench,
                     Row, Service, Unmeasured, await_port, basic, end, free_port, in_turn, node_of_tests, pinned, rates)

CLIENT = "shop"
CALLBACK = "https://app.example/callback"
LOGIN_URL = "https://login.example/"
RESOURCE = "https://api.example/"
SCOPE = "stories:read stories:write"
GRANTS = ["authorization_code", "refresh_token", "client_credentials"]
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" # RFC 7636 appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CHAIN_USES = 6    # of one chain in a measurement, at most; from 16 in a minute on the service lets a token stay
PREPARE_S = 8     # what is made beforehand takes no longer, or is less: codes, then their exchange
LOAD_MARGIN = 1.5 # the load must be able to ask for so many times what is answered
SPEED = {"RS256": ("rsa2048", "+R1:"), "ES256": ("ecdsap256", "+R5:")} # of `openssl speed`, and its line of signatures


def authorize_path(scope):
    members = {"response_type": "code", "client_id": CLIENT, "redirect_uri": CALLBACK, "scope": scope, "state": "bench",
               "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    return "/authorize?" + urlencode(members | ({"nonce": "n-0S6_WzA2Mj"} if "openid" in scope.split() else {}))


class Browser:
    """As much of one as a login takes: it keeps cookies, and says where it is sent."""

    def __init__(self, url):
        self.host, self.cookies = urlsplit(url).netloc, {}

    def cookie(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def go(self, target, form=None):
        """To the path of `target` at its server, whichever host the URL names: the Location of the answer."""
        parts = urlsplit(target)
        headers = {"Cookie": self.cookie()} | ({"Content-Type": FORM} if form else {})
        with contextlib.closing(http.client.HTTPConnection(self.host, timeout=10)) as connection:
            connection.request("POST" if form else "GET", parts.path + (f"?{parts.query}" if parts.query else ""),
                               urlencode(form) if form else None, headers)
            answer = connection.getresponse()
            answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            self.cookies[name] = value
        self.cookies = {name: value for name, value in self.cookies.items() if value} # without one it is deleted
        location = answer.headers["Location"]
        if not location:
            raise Unmeasured(f"{parts.path} answers {answer.status}, and does not redirect")
        return location


# --- the service ------------------------------------------------------------------------------------------------------

class Provider(Bench):
    """A data folder whose keys are of this algorithm, with a client of users, and one of the service that logs in."""

    def __init__(self, bench, alg):
        self.alg = alg
        folder = bench.folder / f"grants-{alg}"
        folder.mkdir()
        super().__init__(bench.build, folder, bench.plan)
        self.login = basic("login", self.add_client("login", "logins:write"))
        self.secret = self.add_client(CLIENT, f"openid {SCOPE}", {"redirect_uris": [CALLBACK], "grant_types": GRANTS,
                                                                 "skip_consent": True})
        self.authorization = basic(CLIENT, self.secret)
        self.settle()

    def environment(self, **settings):
        return super().environment(TOKEN_SIGNING_ALG=self.alg, LOGIN_URL=LOGIN_URL, TOKEN_CODE_TTL="600",
                                   TOKEN_RECORDS="all", **settings)


@functools.cache
def provider_of(bench, alg):
    """One for all rows."""
    return Provider(bench, alg)


def log_in_here(bench, service):
    """A browser whose user has logged in: LOGIN_URL is answered by this script."""
    browser, login = Browser(service.url), Service(service.port, service.process, bench.login)
    location = browser.go(authorize_path("openid"))
    if not location.startswith(LOGIN_URL):
        raise Unmeasured(f"/authorize does not ask for a login, but sends to {location}")
    challenge, = parse_qs(urlsplit(location).query)["challenge"]
    accepted = login.ask(f"/admin/login-requests/{challenge}/accept",
                         json.dumps({"subject": ISSUE["subject"], "amr": ["pwd"]}))
    browser.go(json.loads(accepted)["redirect_to"])
    return browser


# --- npm's oidc-provider ----------------------------------------------------------------------------------------------

@contextlib.contextmanager
def oidc_provider(bench):
    """Its URL, on the server's core; None: it is not installed, or it would take too long."""
    node = None if bench.plan is QUICK else node_of_tests()
    if not node or not (TESTS / "node_modules/oidc-provider").is_dir():
        yield None
        return
    port = free_port()
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "NODE_ENV": "production", "CLIENT_ID": CLIENT,
                   "CLIENT_SECRET": bench.secret, "REDIRECT_URI": CALLBACK, "RESOURCE": RESOURCE, "SCOPE": SCOPE}
    with pinned(bench.server_core), open(bench.folder / "oidc-provider.log", "ab") as log:
        process = subprocess.Popen([node, HERE / "oidc_provider.mjs", str(port), bench.alg], env=environment,
                                   stdout=log, stderr=log)
    try:
        await_port(process, port, "oidc-provider")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def log_in_there(url):
    """By its pages for development, which believe everybody."""
    browser = Browser(url)
    page = browser.go(authorize_path("openid"))
    browser.go(browser.go(page, {"prompt": "login", "login": ISSUE["subject"], "password": "any"}))
    return browser


# --- what is asked ----------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Asked:
    """One of the two, with a browser that is logged in."""
    bench: Provider
    url: str
    browser: Browser
    arguments: list = dataclasses.field(default_factory=list) # what the script was told last

    def post(self, **form):
        """One call of the token endpoint: its answer."""
        host, authorization = urlsplit(self.url).netloc, self.bench.authorization
        with contextlib.closing(http.client.HTTPConnection(host, timeout=10)) as connection:
            connection.request("POST", "/token", urlencode(form), {"Authorization": authorization,
                                                                   "Content-Type": FORM})
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != 200:
            raise Unmeasured(f"{form['grant_type']} is answered {answer.status}: {body.decode(errors='replace')[:200]}")
        return json.loads(body)

    def exchange(self, scope):
        """A code that is asked for now."""
        back = self.browser.go(authorize_path(scope))
        code, = parse_qs(urlsplit(back).query).get("code", [""])
        return self.post(grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER)

    def load(self, script, path, arguments, seconds):
        return self.bench.load(script, self.url + path, arguments, seconds, connections=ISSUE_CONNECTIONS)

    def exchange_form(self):
        return self.bench.file("exchange", urlencode({"grant_type": "authorization_code", "redirect_uri": CALLBACK,
                                                      "code_verifier": VERIFIER}))

    def codes(self, scope, count):
        """A file of codes that nobody has used: so many, or as many as can be had in time."""
        return self.gathered("codes", lambda path: self.load("authorize.lua", authorize_path(scope),
                                                             [path, count, self.browser.cookie()], PREPARE_S))

    def chains(self, count):
        """A file of refresh tokens, each the first of its grant."""
        codes = self.codes(SCOPE, count)
        return self.gathered("chains", lambda path: self.load("exchange.lua", "/token",
                                                              [codes, self.exchange_form(), path], PREPARE_S))

    def gathered(self, name, load):
        path = self.bench.folder / f"{name}-{urlsplit(self.url).port}"
        load(path)
        with open(path, "rb") as lines:
            got = sum(1 for _ in lines)
        if got < 2 * ISSUE_CONNECTIONS:
            raise Unmeasured(f"only {got} {name} could be made beforehand")
        return path


@dataclasses.dataclass
class Grant:
    script: str
    prepare: typing.Callable # (asked, signs): what the script is to be told, for a measurement in which a core could
                             # make `signs` signatures
    ask: typing.Callable     # (asked): one answer
    members: set             # what is in an answer beside the access token
    counters: list           # of the service, which grow with each answer
    watch: list = dataclasses.field(default_factory=list) # what the script is told besides, unless all answers are one


CLIENT_CREDENTIALS = {"grant_type": "client_credentials", "scope": SCOPE}
FOR_CLIENT = Grant("repeat.lua", lambda asked, signs: [asked.bench.file("body", urlencode(CLIENT_CREDENTIALS))],
                   lambda asked: asked.post(**CLIENT_CREDENTIALS), set(), [ISSUED, RECORDED])
BY_REFRESH = Grant("refresh.lua", lambda asked, signs: [asked.chains(signs // CHAIN_USES + 2 * ISSUE_CONNECTIONS)],
                   lambda asked: asked.post(grant_type="refresh_token",
                                            refresh_token=asked.exchange(SCOPE)["refresh_token"]),
                   {"refresh_token"}, [ISSUED, RECORDED], ["rotating"])
BY_CODE = Grant("exchange.lua", lambda asked, signs: [asked.codes(f"openid {SCOPE}", signs // 2 + ISSUE_CONNECTIONS),
                                                      asked.exchange_form()],
                lambda asked: asked.exchange(f"openid {SCOPE}"), {"id_token"}, [ISSUED, ISSUED_ID, RECORDED])


def check_answer(alg, answer, members):
    """The same tokens from both, signed alike: else their rates are not for one row."""
    tokens = {"access_token", "refresh_token", "id_token"} & set(answer)
    if tokens != members | {"access_token"}:
        raise Unmeasured(f"an answer has {', '.join(sorted(tokens))}")
    for name in tokens - {"refresh_token"}:
        head = answer[name].split(".")[0]
        if json.loads(base64.urlsafe_b64decode(head + "==="))["alg"] != alg:
            raise Unmeasured(f"the {name} is not signed by {alg}")


# --- the rows ---------------------------------------------------------------------------------------------------------

def sign_rate(bench, alg):
    """Signatures a second of one core, as `openssl speed` counts them; it is ended before it verifies."""
    what, mark = SPEED[alg]
    with pinned(bench.server_core):
        process = subprocess.Popen(["openssl", "speed", "-seconds", str(bench.plan.openssl_s), "-mr", what],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if line.startswith(mark):
                return int(line.split(":")[1]) / float(line.split(":")[3])
    finally:
        end(process)
        process.stderr.close()
    raise Unmeasured("openssl speed gave no result")


sign_rate_once = functools.cache(sign_rate)


def check_load(bench, grant, answer, arguments, rate):
    """What the load alone could ask for, of a server that has its answer ready: it must not be what bounds the row."""
    with bench.constant(json.dumps(answer, separators=(",", ":"))) as url:
        alone = bench.load(grant.script, url + "/token", arguments, bench.plan.window_s / 2,
                           connections=ISSUE_CONNECTIONS)["rate"]
    if alone < LOAD_MARGIN * rate:
        raise Unmeasured(f"{rate:,.0f} answers a second, and the load can't ask for more than {alone:,.0f}")
    return alone


def grants(bench, name, alg, goal, grant):
    bench = provider_of(bench, alg)
    seconds, ours, theirs, signs = bench.plan.window_s, [], [], []

    def reference():
        signs.append((sign_rate_once if bench.plan is QUICK else sign_rate)(bench, alg))
        return signs[-1]

    # two signatures for each of so many requests under way: longer than the service would let them wait
    with bench.service(bench.server_core, TOKEN_LOOPS="1", **ALL_SERVED) as service, \
            oidc_provider(bench) as other:
        here = Asked(bench, service.url, log_in_here(bench, service))
        there = Asked(bench, other, log_in_there(other)) if other else None
        answer = grant.ask(here)
        check_answer(alg, answer, grant.members)
        if there: # what it runs often, Node.js compiles
            check_answer(alg, grant.ask(there), grant.members)
            there.load("repeat.lua", "/token", FOR_CLIENT.prepare(there, 0), seconds / 2)

        def measure(asked):
            asked.arguments = grant.prepare(asked, int(signs[-1] * seconds))
            def load():
                return asked.load(grant.script, "/token", asked.arguments + grant.watch, seconds)
            return service.checked(load, *grant.counters) if asked is here else load()

        def both():
            ours.append(measure(here))
            theirs.extend([measure(there)] if there else [])
        references, _ = in_turn(bench.plan.turns, reference, both)
        alone = check_load(bench, grant, answer, here.arguments, statistics.median(rates(ours)))
    note = f"the load alone: {alone:,.0f} /s"
    if not there and bench.plan is not QUICK:
        note += "; npm's oidc-provider is not installed"
    return [Row(name, "/s", rates(ours), references, f"{alg} sign", goal, ">=", note=note, peer=rates(theirs))]


def client_credentials(bench):
    return grants(bench, "client_credentials, RS256", "RS256", 0.85, FOR_CLIENT)


def client_credentials_es256(bench):
    return grants(bench, "client_credentials, ES256", "ES256", 0.50, FOR_CLIENT)


def refresh(bench):
    return grants(bench, "refresh, RS256, rotation committed", "RS256", 0.60, BY_REFRESH)


def code_exchange(bench):
    return grants(bench, "code for access and id token, RS256", "RS256", 0.40, BY_CODE)
