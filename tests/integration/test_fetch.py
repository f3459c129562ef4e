"""URLs that clients name for themselves, fetched from Python's HTTPS server: what comes of one that is good, and of
those by which a client would have us call what only we can reach. unit/test_fetch.c has the tricks with names; here the
names are looked up as they are."""

import json
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kms import certificate_chain
from service import BINARY, Server

FETCH_URL = BINARY.parent / "tests/unit/fetch_url"
KEYS = '{"keys":[]}'
LATE = "temporarily_unavailable no complete response came in time"
SPECIAL = "its address is for special use, and TOKEN_FETCH_ALLOW does not allow it"

pytestmark = pytest.mark.skipif(not FETCH_URL.exists(), reason="the unit tests' programs are not built (-Dtests=true)")


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answers[self.path.partition("?")[0]]
        self.send_response(status)
        for name, value in {"Content-Length": len(body), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """An HTTPS server for the name localhost, and beside it one without TLS."""
    home = tmp_path_factory.mktemp("web")
    (home / "ca.pem").write_bytes(certificate_chain("localhost", home / "server.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "server.pem")
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Answers) for _ in range(2)]
    servers[0].socket = context.wrap_socket(servers[0].socket, server_side=True)
    for server in servers:
        server.asked = []
        server.answers = {"/keys": (200, {}, KEYS.encode())}
        threading.Thread(target=server.serve_forever, daemon=True).start()
    web = servers[0]
    web.plain, web.ca, web.url = servers[1], home / "ca.pem", f"https://localhost:{servers[0].server_port}"
    yield web
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def fetch(web):
    """fetch(URL…) is a list with what was said of each; a server that was late is asked again. Its log is fetch.log."""
    def run_once(*urls, allow="127.0.0.0/8", ca=web.ca, **environment):
        settings = {"TOKEN_FETCH_ALLOW": allow, "TOKEN_FETCH_CA_FILE": str(ca or ""), "PATH": os.environ["PATH"]}
        done = subprocess.run([FETCH_URL, *urls], env=settings | environment, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        run.log = [json.loads(line) for line in done.stderr.splitlines()]
        run.said = done.stdout.splitlines()
        return LATE not in run.said

    def run(*urls, **options):
        Server.until(lambda: run_once(*urls, **options), "it is always late")
        return run.said

    return run


def test_a_key_set_is_fetched_with_its_lifetime(web, fetch):
    web.answers["/cached"] = 200, {"Cache-Control": "public, max-age=3600",
                                   "Content-Type": "application/jwk-set+json; charset=utf-8"}, KEYS.encode()
    assert fetch(f"{web.url}/keys", f"{web.url}/cached?a=%2F") == [f"ok 300 {KEYS}", f"ok 3600 {KEYS}"]
    path, headers = web.asked[-1]
    assert path == "/cached?a=%2F"
    assert set(headers) == {"Host", "User-Agent", "Accept"}
    assert not fetch.log


def test_no_proxy_of_the_environment_is_asked(web, fetch):
    nowhere = "http://127.0.0.1:1"
    assert fetch(f"{web.url}/keys", https_proxy=nowhere, HTTPS_PROXY=nowhere, ALL_PROXY=nowhere) == [f"ok 300 {KEYS}"]


@pytest.mark.parametrize("url", [
    "https://localhost:{port}/keys", "https://localhost.localdomain:{port}/keys", "https://127.0.0.1:{port}/keys",
    "https://[::1]:{port}/keys", "https://[::ffff:127.0.0.1]:{port}/keys", "https://[::]:{port}/keys",
    "https://0.0.0.0:{port}/keys", "https://169.254.169.254/latest/meta-data/", "https://10.0.0.1/",
    "https://192.168.0.1/", "https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://100.100.100.200/"])
def test_an_address_for_special_use_is_not_called(web, fetch, url):
    before = len(web.asked)
    said, = fetch(url.format(port=web.server_port), allow="")
    assert said.endswith(SPECIAL) or "its name is not known" in said  # localhost.localdomain, on some machines
    assert len(web.asked) == before


@pytest.mark.parametrize("url, why", [
    ("http://localhost:{plain}/keys", "it does not begin with https://"),
    ("file:///etc/passwd", "it does not begin with https://"),
    ("gopher://localhost:{plain}/_GET%20/keys", "it does not begin with https://"),
    ("https://user:password@localhost:{port}/keys", "it has a user or a password"),
    ("https://localhost:{port}@127.0.0.1:{port}/keys", "it has a user or a password"),
    ("https://localhost:{port}/keys#a", "it has a fragment"),
    ("https://localhost\\@127.0.0.1:{port}/keys", "it has characters that are not allowed in a URL"),
    ("https://localhost:{port}/ke\tys", "it has characters that are not allowed in a URL"),
    ("https://\uff4cocalhost:{port}/keys", "it has characters that are not allowed in a URL"),
    ("https://2130706433:{port}/keys", "its host is not an IPv4 address in its usual form"),
    ("https://0x7f.1:{port}/keys", "its host is not an IPv4 address in its usual form"),
    ("https://0177.0.0.1:{port}/keys", "its host is not an IPv4 address in its usual form"),
    ("https://127.1:{port}/keys", "its host is not an IPv4 address in its usual form"),
    ("https://localhost.:{port}/keys", "its host is not a name or an address"),
    ("https://%6cocalhost:{port}/keys", "its host is not a name or an address"),
    ("https://[::1%25lo]:{port}/keys", "what stands in brackets is not an IPv6 address"),
    ("https://localhost:/keys", "its port is not a number from 1 to 65535"),
])
def test_a_url_of_another_form_is_refused(web, fetch, url, why):
    before = len(web.asked), len(web.plain.asked)
    said, = fetch(url.format(port=web.server_port, plain=web.plain.server_port))
    assert said == f"invalid_request the URL can't be fetched: {why}"
    assert (len(web.asked), len(web.plain.asked)) == before


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(web, fetch, status):
    web.answers["/moved"] = status, {"Location": "/keys"}, b""
    before = len(web.asked)
    said, = fetch(f"{web.url}/moved")
    assert said == "temporarily_unavailable the response is a redirect, which is not followed"
    assert {path for path, _ in web.asked[before:]} == {"/moved"}
    assert fetch.log[0]["event"] == "fetch_failed" and fetch.log[0]["host"] == "localhost"


def test_an_answer_that_is_no_key_set_is_refused(web, fetch):
    web.answers |= {"/html": (200, {"Content-Type": "text/html"}, KEYS.encode()),
                    "/missing": (404, {}, KEYS.encode()),
                    "/huge": (200, {}, b"x" * 65537)}
    assert fetch(f"{web.url}/html", f"{web.url}/missing", f"{web.url}/huge") == [
        "temporarily_unavailable the response is not JSON by its Content-Type",
        "temporarily_unavailable the response is not 200 OK",
        "temporarily_unavailable the response is too long"]


def test_a_certificate_is_checked(web, fetch):
    untrusted = "temporarily_unavailable its certificate is not trusted, has expired, or is for another name"
    assert fetch(f"{web.url}/keys", ca=None) == [untrusted]
    assert fetch(f"https://127.0.0.1:{web.server_port}/keys") == [untrusted]  # it is for localhost


def test_what_speaks_no_tls_is_no_server(web, fetch):
    before = len(web.plain.asked)
    said, = fetch(f"https://localhost:{web.plain.server_port}/keys")
    assert said.startswith("temporarily_unavailable TLS with it failed")
    assert len(web.plain.asked) == before
