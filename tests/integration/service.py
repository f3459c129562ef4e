"""The program under test: starts and stops `token-service serve`, runs its other commands, and holds every answer and
every log line to what must always be true of them."""

import base64
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import requests
from cryptography.hazmat.primitives import serialization
from prometheus_client.parser import text_string_to_metric_families

import tokens
from wire import PATIENCE_S, Wire, head

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("TOKEN_SERVICE_BINARY") or ROOT / "build/release/token-service").resolve()

DEFAULTS = {
    "TOKEN_LISTEN": "127.0.0.1:0",
    "TOKEN_LOG_FORMAT": "json",
    "TOKEN_LOG_LEVEL": "debug",    # so that check_log() sees all there is
    "TOKEN_FAILURE_LIMIT": "0",    # nearly every test module fails to authenticate from this one address
    "TOKEN_LOGIN_REQUEST_LIMIT": "0",  # and some have many users there
    "TOKEN_QUEUE_WAIT_MS": "60000",    # a busy machine is no failure
    "TOKEN_STORE_TIMEOUT": "20",       # nor is a database that stands still for seconds
}
SCOPES = ("token:issue token:issue:any token:issue:privileged token:verify token:introspect token:revoke:any "
          "keys:rotate clients:read clients:write logins:write sessions:read sessions:write")
STORY_SCOPES = "stories:read stories:write openid profile"

# A sanitizer's words, whichever it is. UBSan's come without a heading.
SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|: runtime error: ")
TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
TOKEN_START = re.compile(r"eyJ(hbGci|0eXAi|raWQi|pc3Mi)O")  # {"alg":, {"typ":, {"kid":, {"iss":
OPEN_PATHS = ("/.well-known/jwks.json", "/.well-known/openid-configuration",
              "/.well-known/oauth-authorization-server", "/health/live", "/health/ready")
PAGE_PATHS = ("/authorize", "/login", "/logout")  # whose errors are for people, where the path has been found
FEED_PATHS = ("/revocations", "/stage/revocations", "/prod/revocations")


def sanitizer_of(binary):
    """"address", "thread" or None: what memory and speed look like depends on it."""
    program = binary.read_bytes()
    return next((name for mark, name in ((b"__asan_init", "address"), (b"__tsan_init", "thread")) if mark in program),
                None)


def environment(settings):
    """Nothing of the caller's environment that could be a setting reaches the program."""
    kept = {name: value for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE")
            or name.startswith("GCOV_") or name.endswith("SAN_OPTIONS")}
    kept.setdefault("ASAN_OPTIONS", "exitcode=99")
    kept.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1:exitcode=99")
    kept.setdefault("TSAN_OPTIONS", "exitcode=66")
    return kept | {name: str(value) for name, value in settings.items()}


def run(*arguments, settings=None, stdin=None, expect=0):
    """Runs a command to its end. `expect`: its exit status, or None for any."""
    done = subprocess.run([BINARY, *arguments], env=environment(settings or {}), input=stdin, capture_output=True,
                          text=True, timeout=PATIENCE_S, check=False)
    assert not SANITIZER.search(done.stderr), done.stderr
    assert expect is None or done.returncode == expect, f"{arguments}: exit {done.returncode}, said {done.stderr!r}"
    return done


@dataclass(frozen=True)
class Client:
    id: str
    secret: str | None
    scope: str

    def basic(self, secret=None):
        """RFC 6749 section 2.3.1: both form-encoded, then base64."""
        pair = f"{quote_plus(self.id)}:{quote_plus(secret or self.secret or '')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def post(self, secret=None):
        """The same, as members of a form."""
        return {"client_id": self.id, "client_secret": secret or self.secret or ""}


def authorization(auth):
    """A Client by Basic, a token as bearer, None: nothing."""
    return auth.basic() if isinstance(auth, Client) else f"Bearer {auth}" if auth else None


def check_error(body, path):
    """RFC 6749 section 5.2: a code and one sentence, and nothing of the inside."""
    error = json.loads(body)
    members = {"error", "error_description"}
    if "valid" in error:
        assert path.endswith("/token/verify") and error["valid"] is False
        members.add("valid")
    assert error.keys() == members, error
    assert re.fullmatch("[a-z]+(_[a-z]+)*", error["error"]), error
    assert 10 <= len(error["error_description"]) <= 200, error
    assert error["error_description"].isprintable(), error
    assert not re.search(r"sqlite|openssl|0x[0-9a-f]{6}|\.c:\d|/tmp/", error["error_description"], re.I), error


def check_answer(method, path, status, headers, body):
    """What is true of every answer (docs/contract.md, "Answers"). `headers` in lower case."""
    assert headers["x-request-id"]
    if not path.endswith(OPEN_PATHS) and not (path in FEED_PATHS and status < 400 and method != "OPTIONS"):
        assert headers.get("cache-control") == "no-store", (path, headers)
    if status in (401, 403):
        assert re.match("(Basic|Bearer) realm=", headers["www-authenticate"])
    if method == "HEAD" or path == "/health/ready":
        return
    if status >= 400 and path.startswith(PAGE_PATHS) and headers["content-type"].startswith("text/html"):
        assert "frame-ancestors 'none'" in headers["content-security-policy"] and b"<!DOCTYPE html>" in body
    elif status >= 400:
        assert headers["content-type"] == "application/json"
        check_error(body, path)
    if status in (429, 503):
        assert int(headers["retry-after"]) >= 1
    assert "access-control-allow-credentials" not in headers


class Server:
    """`token-service serve` on a data directory of its own and a free port. As a context: started, and stopped.
    `launcher`: the words of a command that becomes the program."""

    def __init__(self, home, settings=None, launcher=()):
        self.home = Path(home)
        self.data_dir = self.home / "data"
        self.settings = DEFAULTS | {"TOKEN_DATA_DIR": str(self.data_dir)} | (settings or {})
        self.log_path = self.home / "stderr.log"
        self.log_path.touch()
        self.launcher = launcher
        self.process = None
        self.host = "127.0.0.1"
        self.port = None
        self.secrets = set()   # of clients
        self.tokens = set()
        self.local = threading.local()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            self.kill()  # the test has failed already: its own error is the one to read
        else:
            self.stop()

    # --- life -------------------------------------------------------------------------------------------------------

    def spawn(self, *arguments, **options):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([*self.launcher, BINARY, "serve", *arguments],
                                            env=environment(self.settings), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, **options)
        return self.process

    def start(self, *arguments, **options):
        begin = self.log_path.stat().st_size
        self.spawn(*arguments, **options)
        self.port = self._wait_for_port(begin)
        self.local = threading.local()
        self.until(lambda: self.get("/health/ready").status_code == 200, "the server is not ready")
        return self

    def _wait_for_port(self, begin):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for line in self.log_path.read_bytes()[begin:].splitlines(keepends=True):
                if b'"serving"' in line and line.endswith(b"\n"):
                    return json.loads(line)["port"]
            assert self.process.poll() is None, f"exit {self.process.returncode}: {self.log[-2000:]}"
            time.sleep(0.005)
        raise AssertionError("the server did not say that it serves")

    def stop(self, sign=signal.SIGTERM):
        """As an operator would; then the log is looked through."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sign)
        if self.process:
            code = self.process.wait(PATIENCE_S)
            self.process = None
            assert code == 0, f"exit {code}: {self.log[-4000:]}"
        self.check_log()

    def kill(self):
        """As a power failure would, but for what the kernel still has."""
        if self.process:
            self.process.kill()
            self.process.wait(PATIENCE_S)
            self.process = None

    @staticmethod
    def until(condition, otherwise, patience_s=PATIENCE_S):
        """Waits for what comes in its own time. `otherwise`: what is wrong, or what says it then."""
        end = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < end, otherwise() if callable(otherwise) else otherwise
            time.sleep(0.02)

    # --- the log ----------------------------------------------------------------------------------------------------

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def lines(self):
        """Those that are whole: the server may be writing the next one."""
        return self.log.rpartition("\n")[0].splitlines()

    def events(self, name):
        return [entry for entry in map(json.loads, self.lines()) if entry["event"] == name]

    def told(self, name):
        """Events of that name, once there is one: a line is written in its own time, not before the answer is sent."""
        self.until(lambda: self.events(name), f"not in the log: {name}")
        return self.events(name)

    def names(self, words):
        """Waits until the log holds them."""
        self.until(lambda: words in self.log, f"not in the log: {words}")

    def check_log(self):
        """One JSON object a line, no sanitizer's report, nothing secret."""
        text = self.log
        assert not SANITIZER.search(text), text[-20000:]
        for line in text.splitlines():
            assert {"time", "level", "event"} <= json.loads(line).keys(), line
        assert not TOKEN_START.search(text), "the log holds the start of a token"
        parts = {part for token in self.tokens for part in token.split(".")[1:]}
        assert not parts & set(re.findall(r"[A-Za-z0-9_-]{40,}", text)), "the log holds a part of a token"
        assert not [secret for secret in self.secrets if secret in text], "the log holds a client's secret"
        assert "PRIVATE KEY" not in text
        for pem in self.data_dir.glob("*.pem"):
            lines = [line for line in pem.read_text().splitlines() if len(line) >= 40 and "---" not in line]
            assert not [line for line in lines if line in text], "the log holds a private key"

    def check_leaks(self, path, status, headers, body):
        """No answer holds a token or a secret, but the one that hands the token out, or a page of the feed."""
        text = repr(headers) + body.decode(errors="replace")
        assert not [secret for secret in self.secrets if secret in text], path
        if not ((path.endswith(("/token", "/userinfo")) or path in FEED_PATHS) and status == 200):
            assert not TOKEN_START.search(text), path

    # --- calls ------------------------------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    @property
    def session(self):
        """This thread's."""
        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
            self.local.session.trust_env = False
        return self.local.session

    def request(self, method, path, *, auth=None, headers=None, **body):
        """`body`: json=, form= or data=, as requests has them."""
        if "form" in body:
            body["data"] = body.pop("form")
        sent = {"Authorization": authorization(auth)} | (headers or {})
        answer = self.session.request(method, self.url + path, headers=sent, timeout=PATIENCE_S,
                                      allow_redirects=False, **body)
        bare = path.split("?")[0]
        lower = {name.lower(): value for name, value in answer.headers.items()}
        self.tokens.update(TOKEN.findall(answer.text), TOKEN.findall(repr(body) + repr(sent)))
        check_answer(method, bare, answer.status_code, lower, answer.content)
        self.check_leaks(bare, answer.status_code, lower, answer.content)
        return answer

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def wire(self, **options):
        return Wire(self.port, self.host, **options)

    # --- the operations ---------------------------------------------------------------------------------------------

    def ask(self, auth, **members):
        """POST /token for the caller itself, unless `members` say otherwise; a member of None is left out."""
        who = auth.id if isinstance(auth, Client) else tokens.claims_of(auth)["client_id"]
        body = {"subject": who, "clientId": who, "scope": "", "tokenType": "access"} | members
        return self.post("/token", auth=auth, json={name: value for name, value in body.items() if value is not None})

    def issue(self, auth, **members):
        answer = self.ask(auth, **members)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self, auth, **members):
        return self.issue(auth, **members)["token"]

    def verify(self, auth, token, **options):
        """As the kind that the token says it is, unless `options` name another."""
        if tokens.kind_of(token) != "access":
            options = {"tokenType": tokens.kind_of(token)} | options
        return self.post("/token/verify", auth=auth, json={"token": token} | ({"options": options} if options else {}))

    def introspect(self, auth, token):
        answer = self.post("/token/introspect", auth=auth, form={"token": token})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def is_active(self, auth, token):
        return self.introspect(auth, token)["active"]

    def revoke(self, auth, token, **members):
        return self.post("/token/revoke", auth=auth, json={"token": token} | members)

    def jwks(self):
        answer = self.get("/.well-known/jwks.json")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, name, **labels):
        """The sum of a metric's samples with these labels; `name` without its prefix."""
        self.session.close()  # on a new connection: the kept one may just be reaching its time limit
        text = self.get("/metrics").text
        return sum(sample.value for family in text_string_to_metric_families(text) for sample in family.samples
                   if sample.name == "token_service_" + name and labels.items() <= sample.labels.items())

    # --- beside the server ------------------------------------------------------------------------------------------

    def run(self, *arguments, **options):
        """A command on this server's data directory."""
        return run(*arguments, settings=self.settings, **options)

    def add_client(self, client_id, scope=SCOPES + " " + STORY_SCOPES, *arguments):
        added = json.loads(self.run("clients", "add", "--id", client_id, "--scope", scope, "--json", *arguments).stdout)
        if "client_secret" in added:
            self.secrets.add(added["client_secret"])
        return Client(added["client_id"], added.get("client_secret"), scope)

    @property
    def database_path(self):
        """The one SQLite file of the data directory."""
        (found,) = self.data_dir.glob("*.db")  # other files come and go
        return found

    def rows(self, query, *values):
        """What the store holds, read past the program."""
        with closing(sqlite3.connect(f"file:{self.database_path}?mode=ro", uri=True, timeout=PATIENCE_S)) as database:
            return database.execute(query, values).fetchall()

    def row(self, table, token, columns):
        """What the store holds of a token, by its hash; None when it holds nothing."""
        found = self.rows(f"SELECT {columns} FROM {table} WHERE token_hash = ?",
                          hashlib.sha256(token.encode()).digest())
        return found[0] if found else None

    def kids(self, *states):
        """What the store holds of keys in these states ("pending", "active", …)."""
        numbers = [1 + ["pending", "active", "retiring", "retired", "revoked"].index(state) for state in states]
        return [kid for kid, state in self.rows("SELECT kid, state FROM oauth_jwks ORDER BY created_at")
                if state in numbers]

    def settled(self):
        """Waits for the standby, which is published a moment after the first start: the key set is stable then."""
        def is_published():
            pending = {*self.kids("pending")}
            return pending and pending < {key["kid"] for key in self.jwks()["keys"]}
        self.until(is_published, "no standby was published")
        return self

    def active_jwk(self):
        """The key that signs, as it is published."""
        (kid,) = self.kids("active")
        (key,) = [key for key in self.jwks()["keys"] if key["kid"] == kid]
        return key

    def key_files(self):
        return {path.name.removeprefix("signing-key-").removesuffix(".pem") for path in self.data_dir.glob("*.pem")}

    def signing_key(self):
        """The active private key: with it a test can sign what the service never would."""
        kid = self.active_jwk()["kid"]
        pem = (self.data_dir / f"signing-key-{kid}.pem").read_bytes()
        return kid, serialization.load_pem_private_key(pem, None)

    def resident_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))

    def still_answers(self):
        """A plain request on a fresh connection."""
        with self.wire() as wire:
            return wire.call(head("GET", "/health/live")).status == 200


def open_files(pid):
    """What its file descriptors stand for. One may be closed while they are listed."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found
