"""The service as other people's clients meet it: an OpenID provider over TLS, whose users log in on its own pages; a
person with a browser that runs no script; and a client's library in a process of its own."""

import base64
import hashlib
import json
import os
import re
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit

import html5lib
import requests

from kms import certificate_chain
from node import NODE
from ports import free_port
from service import Client, Server
from wire import PATIENCE_S

HERE = Path(__file__).parent
USER, PASSWORD = "alice", "correct horse battery staple"
CLAIMS = {"name": "Alice Liddell", "email": "alice@example.org", "email_verified": "true"}
CALLBACK, BYE = "https://app.example/callback", "https://app.example/bye"
USER_SCOPES = "openid profile email offline_access"
API = "https://api.example/"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def file_of(home, name, data):
    (home / name).write_bytes(data)
    (home / name).chmod(0o600)
    return home / name


class Provider(Server):
    """On https://localhost:PORT, which is its issuer; `ca` is the file of who vouches for that name."""

    def __init__(self, home, **settings):
        port = free_port()
        self.issuer = f"https://localhost:{port}"
        self.ca = file_of(home, "ca.pem", certificate_chain("localhost", home / "server.pem"))
        key, certificate = re.fullmatch(b"(.*?END PRIVATE KEY-----\n)(.*)", (home / "server.pem").read_bytes(),
                                        re.S).groups()
        super().__init__(home, {
            "TOKEN_LISTEN": f"127.0.0.1:{port}", "TOKEN_ISSUER": self.issuer, "TOKEN_AUDIENCE": API,
            "TOKEN_TLS_CERT": file_of(home, "certificate.pem", certificate), "TOKEN_TLS_KEY": file_of(home, "key", key),
            "TOKEN_LOGIN": "builtin", "TOKEN_FETCH_ALLOW": "127.0.0.0/8", "TOKEN_FETCH_CA_FILE": self.ca} | settings)
        self.secrets.add(PASSWORD)
        claims = [word for claim in CLAIMS.items() for word in ("--claim", "=".join(claim))]
        self.run("users", "add", USER, "--subject", "user-1", *claims, stdin=PASSWORD + "\n")

    @property
    def url(self):
        return self.issuer

    @property
    def session(self):
        session = super().session
        session.verify = str(self.ca)
        return session

    @property
    def environment(self):
        """What tells a client's process whom to trust."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "NODE_EXTRA_CA_CERTS": str(self.ca),
                "SSL_CERT_FILE": str(self.ca)}

    def register(self, client_id, scope=USER_SCOPES, **metadata):
        """A client, by what RFC 7591 names."""
        added = json.loads(self.run("clients", "add", "--id", client_id, "--scope", scope, "--metadata", "-", "--json",
                                    stdin=json.dumps(metadata)).stdout)
        if "client_secret" in added:
            self.secrets.add(added["client_secret"])
        return Client(client_id, added.get("client_secret"), scope)

    def register_web(self, client_id="web", **metadata):
        """One that users log in to, and that keeps a secret."""
        return self.register(client_id, USER_SCOPES + " token:introspect", **{
            "client_name": "Web", "redirect_uris": [CALLBACK], "post_logout_redirect_uris": [BYE],
            "grant_types": ["authorization_code", "refresh_token"]} | metadata)

    def register_machine(self, client_id="machine", **metadata):
        """One that acts for itself."""
        return self.register(client_id, "stories:read stories:write token:introspect", **{
            "grant_types": ["client_credentials"]} | metadata)

    def machine_token(self, client, **parameters):
        """By client_credentials."""
        answer = self.post("/token", auth=client, form={"grant_type": "client_credentials"} | parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def sign_in(self, person, client, **parameters):
        """The tokens of a user, by a client of our own, for tests of who is shown them."""
        verifier = b64url(os.urandom(32))
        query = {"response_type": "code", "client_id": client.id, "redirect_uri": CALLBACK, "scope": USER_SCOPES,
                 "code_challenge": b64url(hashlib.sha256(verifier.encode()).digest()), "code_challenge_method": "S256"}
        back = person.go(f"{self.issuer}/authorize?{urlencode(query | parameters)}")
        answer = self.post("/token", auth=client, form={
            "grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0],
            "redirect_uri": CALLBACK, "code_verifier": verifier})
        assert answer.status_code == 200, answer.text
        self.secrets.add(answer.json()["refresh_token"])
        return answer.json()


class Person:
    """`pages` are the titles of the provider's pages that were filled in. `posted` is what the last page posted to the
    client, if the answer came by form_post."""

    def __init__(self, provider, agrees=True, remembers=False, username=USER, password=PASSWORD):
        self.provider, self.agrees, self.remembers = provider, agrees, remembers
        self.username, self.password = username, password
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(provider.ca)
        self.pages, self.posted = [], None

    def is_provider(self, url):
        return url.startswith(self.provider.issuer + "/")

    def go(self, url):
        """Where the browser leaves the provider, through all of its pages; or the text of the last page there."""
        answer, self.pages, self.posted = self._ask("GET", url), [], None
        while True:
            if answer.is_redirect:
                url = urljoin(answer.url, answer.headers["Location"])
                if not self.is_provider(url):
                    self.provider.secrets.update(re.findall(r"[?&]code=([\w-]+)", url))
                    return url
                answer = self._ask("GET", url)
                continue
            tree = html5lib.parse(answer.text, namespaceHTMLElements=False)
            form = tree.find(".//form")
            if form is None:
                return "".join(tree.itertext())
            fields = {field.get("name"): field.get("value") or "" for field in form.iter("input")}
            if not self.is_provider(urljoin(answer.url, form.get("action"))):
                self.posted = fields
                return form.get("action")
            self.pages.append(tree.find(".//h1").text)
            assert len(self.pages) < 5, answer.text
            answer = self._ask("POST", urljoin(answer.url, form.get("action")), data=self._fill_in(fields))

    def _ask(self, method, url, **options):
        answer = self.session.request(method, url, timeout=PATIENCE_S, allow_redirects=False, **options)
        assert answer.status_code in (200, 303) or answer.status_code == 400 and "<h1>" in answer.text, answer.text
        return answer

    def _fill_in(self, fields):
        if "password" in fields:
            return fields | {"username": self.username, "password": self.password}
        if not self.remembers:
            fields.pop("remember", None)
        return fields if self.agrees else fields | {"cancel": "1"}


class Library:
    """A program over somebody else's library, that keeps running: a line with a job in, a line with the outcome out."""

    def __init__(self, provider, *command):
        self.said = provider.home / f"{Path(command[-1]).name}.stderr"
        self.secrets = provider.secrets
        with self.said.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=HERE, env=provider.environment, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)

    def ask(self, job, **members):
        self.process.stdin.write(json.dumps({"job": job} | members) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.said.read_text()
        outcome = json.loads(line)
        self.secrets.update(value for name, value in outcome.get("tokens", {}).items() if name == "refresh_token")
        return outcome

    def do(self, job, **members):
        """What has to go well."""
        outcome = self.ask(job, **members)
        assert outcome.pop("ok"), (job, outcome)
        return outcome

    def refused(self, job, **members):
        """Why it went wrong."""
        outcome = self.ask(job, **members)
        assert not outcome["ok"], (job, outcome)
        return outcome["error"]

    def close(self):
        with self.process:
            self.process.stdin.close()
            assert self.process.wait(PATIENCE_S) == 0, self.said.read_text()


def node_library(provider, script):
    return Library(provider, str(NODE), script)


class Endpoint:
    """A client's own server: `posted` has the forms that were posted to it, in their order. With a provider it is one
    for the same name, over TLS; else http://127.0.0.1, which to a browser is another site. `page` is what it shows."""

    def __init__(self, provider=None):
        endpoint = self
        self.posted = []
        self.content_type = "text/html; charset=utf-8"
        self.page = "<!doctype html><html lang=en><title>The client</title><p>The client</p></html>"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                body = endpoint.page.encode()
                self.send_response(200)
                self.send_header("Content-Type", endpoint.content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.posted.append(dict(parse_qsl(body, strict_parsing=True)))
                self.do_GET()

            def log_message(self, format, *args):  # pylint: disable=redefined-builtin
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        if provider:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(provider.home / "server.pem")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next_post(self):
        Server.until(lambda: self.posted, "nothing was posted")
        return self.posted.pop(0)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Api:
    """Somebody else's resource server: a program that prints its port, serves, and ends with its standard input."""

    def __init__(self, provider, *command):
        self.said = provider.home / "api.stderr"
        with self.said.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=HERE, env=provider.environment, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.process.communicate()
            raise AssertionError(line + self.said.read_text())
        self.url = f"http://127.0.0.1:{line.strip()}"
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, token=None, path="/"):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.session.get(self.url + path, headers=headers, timeout=PATIENCE_S)

    def close(self):
        self.session.close()
        with self.process:
            self.process.stdin.close()
            self.process.wait(PATIENCE_S)
