"""Standard error, and whoever reads it or doesn't: nobody who calls the service waits for that."""

import fcntl
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import BINARY, DEFAULTS, Server, environment
from wire import PATIENCE_S, Wire, head

PIPE_BYTES = 4096


class Listened:
    """A server whose standard error is a small pipe that is read only when the test says so."""

    def __init__(self, home, **settings):
        read_end, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.unread = b""
        self.pipe = read_end
        self.process = subprocess.Popen([BINARY, "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=write_end,
                                        env=environment(DEFAULTS | {"TOKEN_DATA_DIR": str(home / "data"),
                                                                    "TOKEN_SIGNING_ALG": "ES256",
                                                                    "TOKEN_LOG_LEVEL": "info"} | settings))
        os.close(write_end)
        self.port = next(line for line in iter(self.line, None) if line["event"] == "serving")["port"]

    def line(self):
        """The next line, which must be whole; None at the end."""
        while b"\n" not in self.unread:
            data = os.read(self.pipe, 65536)
            if not data:
                assert not self.unread, self.unread
                return None
            self.unread += data
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def lines_that_are_there(self):
        while b"\n" in self.unread or select.select([self.pipe], [], [], 0.02)[0]:
            yield self.line()

    def call(self, path):
        with Wire(self.port) as wire:
            return wire.call(head("GET", path))

    def fill(self):
        """More lines than the pipe and the queue hold; each of the requests is answered all the same."""
        with Wire(self.port) as wire:
            while not self.lost("queue"):
                for _ in range(500):
                    assert wire.call(head("GET", "/nope")).status == 404

    def lost(self, reason):
        text = self.call("/metrics").body.decode()
        return sum(sample.value for family in text_string_to_metric_families(text) for sample in family.samples
                   if sample.name == "token_service_log_lines_lost_total" and sample.labels == {"reason": reason})

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.pipe)


@pytest.fixture
def listened(tmp_path):
    made = Listened(tmp_path)
    yield made
    made.close()


def test_a_reader_that_stalls_stops_nobody_and_reads_on_when_it_likes(listened):
    listened.fill()
    assert listened.call("/health/live").status == 200
    assert listened.call("/health/ready").status == 200
    lost = listened.lost("queue")
    assert lost > 0
    listened.call("/the-last-of-the-flood")
    said, seen, end = 0, 0, time.monotonic() + PATIENCE_S
    while seen < 3 or said < lost:  # lines flow again: those of now, and some that say how many are missing
        assert time.monotonic() < end, (said, seen, lost)
        listened.call("/after-the-flood")
        for line in listened.lines_that_are_there():
            seen += line.get("path") == "/after-the-flood"
            said += line.get("lines", 0)


def test_a_reader_that_stalls_holds_up_no_stop(listened):
    listened.fill()
    listened.process.send_signal(signal.SIGTERM)
    assert listened.process.wait(PATIENCE_S) == 0


def test_a_stop_says_its_last_words_to_whoever_reads(listened):
    listened.process.send_signal(signal.SIGTERM)
    events = [line["event"] for line in iter(listened.line, None)]
    assert "stopping" in events and events[-1] == "stopped"  # what was under way may say something in between
    assert listened.process.wait(PATIENCE_S) == 0


def test_a_standard_stream_that_is_closed_is_no_file_of_the_service(tmp_path):
    """Else a database's socket would be standard error, and get the log's lines."""
    server = Server(tmp_path, {"TOKEN_SIGNING_ALG": "ES256", "TOKEN_LISTEN": "127.0.0.1:0"})
    process = subprocess.Popen([BINARY, "serve"], env=environment(server.settings),
                               preexec_fn=lambda: [os.close(fd) for fd in range(3)])
    try:
        Server.until(lambda: (server.data_dir / "serve.lock").exists(), "it does not start")
        assert [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_a_commands_stream_that_is_closed_is_none_of_its_files_either(tmp_path):
    settings = environment(DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path / "data")})
    process = subprocess.Popen([BINARY, "token", "verify"], env=settings, stdin=subprocess.PIPE,
                               preexec_fn=lambda: [os.close(fd) for fd in (1, 2)])
    try:
        fds = Path(f"/proc/{process.pid}/fd")
        Server.until(lambda: all((fds / fd).exists() and os.readlink(fds / fd) == "/dev/null" for fd in ("1", "2")),
                     "its standard output and error are none of /dev/null")
    finally:
        process.communicate(b"x", PATIENCE_S)
    assert process.returncode in (1, 2)


def set_back(server):
    """A database of the version before."""
    server.add_client("of-before")
    with closing(sqlite3.connect(server.database_path)) as database, database:
        for column in ("subject", "sid"):
            database.execute(f"DROP INDEX items_sessions_{column}")
        for column in ("client_id", "subject", "sid"):
            database.execute(f"CREATE INDEX items_{column.removesuffix('_id')} ON items(kind, {column}, id)")
        database.execute("PRAGMA user_version = 7")


@pytest.mark.parametrize("setting, is_json", [("auto", False), ("text", False), ("json", True)])
def test_what_a_command_logs_on_a_terminal_is_text(make_server, setting, is_json):
    server = make_server()
    set_back(server)
    settings = server.settings | {"TOKEN_LOG_FORMAT": setting}
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run([BINARY, "clients", "add", "--id", "one", "--scope", "a"], env=environment(settings),
                              stdout=subprocess.DEVNULL, stderr=theirs, timeout=PATIENCE_S, check=True)
        text = ""
        while "store_migrated" not in text:  # it comes in pieces
            assert select.select([ours], [], [], PATIENCE_S)[0], text
            text += os.read(ours, 65536).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 0
    assert text.startswith("{") == is_json


def test_a_migration_is_told_and_a_new_or_empty_store_is_none(make_server):
    server = make_server()
    for command in (("keys", "list"), ("clients", "list"), ("doctor",)):  # which look into what isn't there
        assert "store_migrated" not in server.run(*command, expect=None).stderr
    assert "store_migrated" not in server.run("clients", "add", "--id", "one", "--scope", "a").stderr
    set_back(server)
    server.start()
    assert [event["version"] for event in server.events("store_migrated")] == [8]


def test_what_is_put_where_it_does_not_belong_is_in_no_line(make_server):
    """A secret or a token in a path, the handle of a login that went wrong, a token for a subject, no path at all."""
    server = make_server(TOKEN_LOG_LEVEL="debug", TOKEN_LOGIN="builtin").start()
    agent = server.add_client("agent", "token:issue token:verify token:revoke:any clients:read")
    handle, token = "Ewr8y8iLNB2o3rOhTstZIFzBA5IG1QItu1MKe6a4xBc", server.token(agent)
    paths = {f"/login/{handle}": "/login/Ewr8y8iL...", f"/nope/{token}/x": "/nope/eyJ",
             f"/admin/clients/{agent.secret}/secret": f"/admin/clients/{agent.secret[:8]}.../secret",
             "/nope/": "/nope/", "/0197a5b0-7c5e-7d3f-9a61-1f2e3d4c5b6a": "/0197a5b0-7c5e-7d3f-9a61-1f2e3d4c5b6a"}
    for path in paths:
        assert server.get(path).status_code >= 400
    assert server.post("/admin/revocations", auth=agent, json={"subject": token}).status_code == 200
    with Wire(server.port) as wire:
        assert wire.call(head("POST", "/token", "Content-Length: x")).status == 400
    server.until(lambda: "" in [line["path"] for line in server.events("request")], "the line of the last request")
    shown = [line["path"] for line in server.events("request")]
    assert set(paths.values()) <= set(shown)
    (rule,) = server.events("rule_revoked")
    assert rule["target"] == "eyJ"
    assert handle not in server.log  # secrets and tokens: Server.check_log()
