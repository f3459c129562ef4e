"""The TLS listener: what it speaks, the certificate that it serves, and sessions that are resumed, also at another
instance with the same files."""

import json
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from cryptography import x509

from certificates import make_certificate
from clock import HOUR, Clock
from test_http import refuses_to_start
from wire import PATIENCE_S, head


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


def begin(make_server, certificate, **settings):
    server = make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_TLS_CERT=str(certificate[0]),
                         TOKEN_TLS_KEY=str(certificate[1]), **settings)
    server.spawn()
    server.port = server._wait_for_port(0)
    return server


@pytest.fixture(scope="module")
def tls(make_server, certificate):
    return begin(make_server, certificate)


def handshake(tls, certificate, version=None, ciphers=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate[0])
    if ciphers:
        context.set_ciphers(ciphers)
    if version:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version
        context.minimum_version = version
    with socket.create_connection(("127.0.0.1", tls.port), timeout=PATIENCE_S) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(head("GET", "/health/live"))
            return secure.version(), secure.cipher()[0], secure.recv(65536)


@pytest.mark.parametrize("version, name", [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_tls_of_today_is_spoken(tls, certificate, version, name):
    spoken, _, answer = handshake(tls, certificate, version)
    assert spoken == name
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_of_yesterday_is_not(tls, certificate, version):
    """@SECLEVEL=0 makes the client willing, so that it is the server who refuses."""
    with pytest.raises((ssl.SSLError, ConnectionResetError)) as caught:
        handshake(tls, certificate, version, "DEFAULT@SECLEVEL=0")
    assert "NO_PROTOCOLS_AVAILABLE" not in str(caught.value), "the client did not even ask"


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256",
                                     "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-CCM8"])
def test_ciphers_without_forward_secrecy_or_authentication_are_not(tls, certificate, ciphers):
    """RFC 9325 section 4."""
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        handshake(tls, certificate, ssl.TLSVersion.TLSv1_2, ciphers + ":@SECLEVEL=0")
    handshake(tls, certificate, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256")


def test_the_whole_walk_over_tls(tls, certificate):
    agent = tls.add_client("agent")
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(certificate[0])
        url = f"https://localhost:{tls.port}"
        headers = {"Authorization": agent.basic()}
        token = session.post(url + "/token", headers=headers, timeout=PATIENCE_S, json={
            "subject": "s", "clientId": "agent", "scope": "", "tokenType": "access"}).json()["token"]
        tls.tokens.add(token)
        answers = [session.post(url + "/token/introspect", headers=headers, data={"token": token}, timeout=PATIENCE_S)]
        session.post(url + "/token/revoke", headers=headers, data={"token": token}, timeout=PATIENCE_S)
        answers += [session.post(url + "/token/introspect", headers=headers, data={"token": token}, timeout=PATIENCE_S)]
        assert [answer.json()["active"] for answer in answers] == [True, False]


def test_plain_http_to_the_tls_port_gets_no_answer(tls):
    with tls.wire() as wire:
        wire.send(head("GET", "/health/live"))
        assert wire.is_closed()
        assert b"HTTP/1.1 200" not in wire.unread


def test_many_tls_clients_at_once(tls, certificate):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: handshake(tls, certificate)[2], range(64)))
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


def test_a_renewed_certificate_is_taken_at_sighup_and_a_broken_one_is_not(make_server, tmp_path):
    served = make_certificate(tmp_path)
    (tmp_path / "next").mkdir()
    renewed = make_certificate(tmp_path / "next")
    server = begin(make_server, served, TOKEN_REQUEST_TIMEOUT=300)

    def is_served(certificate):
        try:
            return handshake(server, certificate)[2].startswith(b"HTTP/1.1 200 ")
        except ssl.SSLError:
            return False

    first = tmp_path / "first.pem"
    first.write_bytes(served[0].read_bytes())
    assert is_served((first,)) and not is_served(renewed)
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as plain:
        context = ssl.create_default_context(cafile=first)
        with context.wrap_socket(plain, server_hostname="localhost") as kept:
            for old, new in zip(served, renewed):
                old.write_bytes(new.read_bytes())
            server.process.send_signal(signal.SIGHUP)
            server.until(lambda: is_served(renewed), "the renewed certificate is not served")
            kept.sendall(head("GET", "/health/live"))
            assert kept.recv(65536).startswith(b"HTTP/1.1 200 "), "a connection outlives its certificate"
    assert not is_served((first,))
    served[0].write_text("no PEM")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.events("tls_not_reread"), "a broken certificate goes unnoticed")
    assert is_served(renewed)
    server.stop()


@pytest.mark.parametrize("begins_h, ends_h, says", [
    (-48, -1, "has expired"), (1, 48, "not valid yet"), (-24 * 80, 24 * 10, "expires soon"), (-20, 2, "expires soon"),
    (-1, 24 * 90, None), (-1, 24, None)])
def test_a_certificates_end_is_told_at_the_start_and_when_it_is_read_again(make_server, tmp_path, begins_h, ends_h,
                                                                           says):
    cert, key = make_certificate(tmp_path, begins_h, ends_h)
    server = begin(make_server, (cert, key))
    said = server.events("tls_certificate")
    assert [says in each["why"] and each["file"] == str(cert) for each in said] == ([True] if says else [])
    for times in range(2, 4):
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: len(server.events("rereading")) == times - 1, "it reads nothing again")
        if says:
            server.until(lambda: len(server.events("tls_certificate")) == times, "it is not said again")
    make_certificate(tmp_path)  # the renewed one
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: len(server.events("rereading")) == 3, "it reads nothing again")
    until = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc.timestamp()
    context = ssl._create_unverified_context()

    def expiry():
        answer = urllib.request.urlopen(f"https://localhost:{server.port}/metrics", context=context, timeout=60)
        (line,) = [line for line in answer.read().decode().splitlines()
                   if line.startswith("token_service_tls_certificate_expiry_timestamp_seconds ")]
        return float(line.split()[1])

    server.until(lambda: expiry() == until, "the metric is not of the renewed certificate")
    assert len(server.events("tls_certificate")) == (3 if says else 0)


def test_bad_tls_files_stop_the_start_with_one_sentence(make_server, certificate, tmp_path):
    certificate_path, key_path = map(str, certificate)
    garbage, empty, open_key = tmp_path / "garbage.pem", tmp_path / "empty.pem", tmp_path / "open.pem"
    garbage.write_text("no PEM")
    garbage.chmod(0o600)
    empty.write_text("")
    empty.chmod(0o600)
    open_key.write_text((tmp_path.parent / key_path).read_text())
    open_key.chmod(0o644)
    for cert, key in ((str(tmp_path / "absent"), key_path), (certificate_path, str(tmp_path / "absent")),
                      (certificate_path, str(empty)), (certificate_path, str(garbage)), (str(garbage), key_path),
                      (certificate_path, str(open_key)), (certificate_path, str(tmp_path)),
                      (key_path, certificate_path),
                      (certificate_path, ""), ("", key_path)):
        refuses_to_start(make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_TLS_CERT=cert, TOKEN_TLS_KEY=key), "TLS")
    absent = tmp_path / "absent"
    for cert, key, named in ((certificate_path, str(garbage), f"TOKEN_TLS_KEY {garbage}: "),
                             (certificate_path, str(absent), f"TOKEN_TLS_KEY {absent}: No such file"),
                             (str(empty), key_path, f"TOKEN_TLS_CERT {empty}: it is empty"),
                             (certificate_path, str(open_key), f"TOKEN_TLS_KEY {open_key}: it can be read by every")):
        refuses_to_start(make_server(TOKEN_SIGNING_ALG="ES256", TOKEN_TLS_CERT=cert, TOKEN_TLS_KEY=key), named)


# --- sessions that are resumed --------------------------------------------------------------------------------------

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
both_versions = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
DAY = 24 * HOUR


class Visitor:
    """A client that keeps a session, as a library does, and tries to resume it wherever it is sent."""

    def __init__(self, certificate, version):
        self.context = ssl.create_default_context(cafile=certificate[0])
        self.context.minimum_version = self.context.maximum_version = version
        self.session = None

    def visit(self, server, keeps=True):
        """Whether the session was resumed. In TLS 1.3, tickets have come when the answer has."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost", session=self.session) as secure:
                secure.sendall(head("GET", "/health/live"))
                assert secure.recv(65536).startswith(b"HTTP/1.1 200 ")
                if keeps:
                    self.session = secure.session
                return secure.session_reused


def handshakes(server):
    """How many there were, by their result."""
    text = urllib.request.urlopen(f"https://localhost:{server.port}/metrics", timeout=PATIENCE_S,
                                  context=ssl._create_unverified_context()).read().decode()
    return {result: int(float(count)) for result, count in
            re.findall(r'^token_service_tls_handshakes_total\{result="(\w+)"\} (\S+)$', text, re.MULTILINE)}


def names_of_keys(server, certificate):
    """Of the keys that seal tickets of TLS 1.2 and 1.3: a ticket begins with it."""
    for version in ("-tls1_2", "-tls1_3"):
        path = certificate[0].parent / f"session{version}"
        path.unlink(missing_ok=True)
        subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version, "-sess_out", path,
                        "-ign_eof"], input=head("GET", "/health/live", "Connection: close"), capture_output=True,
                       timeout=PATIENCE_S, check=True)
        text = subprocess.run(["openssl", "sess_id", "-in", path, "-noout", "-text"], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True).stdout
        yield re.search(r"TLS session ticket:\s+0000 - ((?:[0-9a-f]{2}[ -]){16})", text).group(1)


@contextmanager
def clocked(make_server, certificate, folder, *aheads_s):
    """Instances with the same files and clocks that can be set: so many seconds before a day begins, and this far off
    from that."""
    before_midnight = 3 * HOUR - HOUR // 2
    now = time.time()
    begins = -(-(now + before_midnight) // DAY) * DAY - before_midnight
    clocks = []
    for at, ahead_s in enumerate(aheads_s):
        (folder / str(at)).mkdir()
        clocks.append(Clock(folder / str(at), round(begins - now) + ahead_s))
    yield [(begin(make_server, certificate, **clock.settings), clock) for clock in clocks]


def test_a_session_resumes_at_every_instance_with_the_same_key_file(make_server, certificate):
    """So a balancer need not send a client to where it was before."""
    one, other = begin(make_server, certificate), begin(make_server, certificate)
    visitor = Visitor(certificate, TLS_1_3)
    assert [visitor.visit(server) for server in (one, other, one, other)] == [False, True, True, True]
    assert handshakes(other) == {"full": 1, "resumed": 2, "failed": 0}, "this call is the full one"
    assert handshakes(one) == {"full": 2, "resumed": 1, "failed": 0}


def test_a_session_of_tls_1_2_resumes_where_it_began_and_nowhere_else(make_server, certificate):
    """No key that can be derived again later may open what holds the secret of a whole connection."""
    one, other = begin(make_server, certificate), begin(make_server, certificate)
    visitor = Visitor(certificate, TLS_1_2)
    assert [visitor.visit(server, keeps=keeps) for server, keeps in ((one, True), (one, False), (other, False),
                                                                     (one, False))] == [False, True, False, True]


def test_no_session_resumes_where_the_key_file_is_another(make_server, certificate, tmp_path):
    (tmp_path / "other").mkdir()
    foreign = make_certificate(tmp_path / "other")
    one, other = begin(make_server, certificate), begin(make_server, foreign)
    visitor = Visitor(certificate, TLS_1_3)
    visitor.context.check_hostname, visitor.context.verify_mode = False, ssl.CERT_NONE
    assert [visitor.visit(server) for server in (one, one, other)] == [False, True, False]


@both_versions
def test_a_reload_of_the_same_files_ends_no_session_and_of_others_does(make_server, tmp_path, version):
    """Whoever replaces a key that others have seen wants nothing to go on under the old one."""
    served = make_certificate(tmp_path)
    server = begin(make_server, served)
    visitor = Visitor(served, version)
    visitor.context.check_hostname, visitor.context.verify_mode = False, ssl.CERT_NONE
    assert not visitor.visit(server)
    for times in (1, 2):  # when the second one is told, the first has been done
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: len(server.events("rereading")) == times, "it reads nothing again")
    assert visitor.visit(server)
    (tmp_path / "next").mkdir()
    for old, new in zip(served, make_certificate(tmp_path / "next")):
        old.write_bytes(new.read_bytes())
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: not visitor.visit(server), "a session outlives the key")


def test_keys_of_tickets_change_each_day_alike_at_all_instances(make_server, certificate, tmp_path):
    with clocked(make_server, certificate, tmp_path, 0, 0) as ((one, one_clock), (other, other_clock)):
        before = list(names_of_keys(one, certificate))
        assert list(names_of_keys(one, certificate)) == before
        theirs = list(names_of_keys(other, certificate))
        assert theirs[0] != before[0] and theirs[1] == before[1], "of TLS 1.2 its own, of TLS 1.3 shared"
        for clock in (one_clock, other_clock):
            clock.set(clock.ahead_s + 3 * HOUR)
        after = list(names_of_keys(one, certificate))
        assert not set(before) & set(after)
        assert list(names_of_keys(other, certificate))[1] == after[1]


@both_versions
def test_a_session_outlives_a_change_of_keys_but_not_its_time(make_server, certificate, tmp_path, version):
    with clocked(make_server, certificate, tmp_path, 2 * HOUR) as ((server, clock),):
        visitor = Visitor(certificate, version)
        assert not visitor.visit(server)
        clock.set(clock.ahead_s + HOUR)
        assert visitor.visit(server, keeps=False), "half an hour after midnight"
        clock.set(clock.ahead_s + HOUR + 60)
        assert not visitor.visit(server, keeps=False)


def test_clocks_on_both_sides_of_midnight_agree(make_server, certificate, tmp_path):
    with clocked(make_server, certificate, tmp_path, 2 * HOUR, 3 * HOUR) as ((late, _), (early, _)):
        visitor = Visitor(certificate, TLS_1_3)
        assert [visitor.visit(server) for server in (early, late, early)] == [False, True, True]


def test_no_key_of_tickets_is_logged(make_server, certificate):
    server = begin(make_server, certificate)
    (_, name) = names_of_keys(server, certificate)
    server.stop()
    assert name.replace(" ", "").replace("-", "") not in server.log
