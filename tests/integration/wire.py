"""HTTP/1.1 by hand on a plain socket: what no client library would send, and what it would hide of the answer."""

import json
import socket
from dataclasses import dataclass, field

PATIENCE_S = 60  # a guard against hanging; nothing is expected to take anywhere near as long


class Closed(Exception):
    """The server closed the connection before an answer began."""


class Broken(Exception):
    """The server closed the connection in the middle of an answer, or what it sent is no HTTP."""


@dataclass
class Answer:
    status: int
    headers: dict = field(default_factory=dict)  # names in lower case
    body: bytes = b""

    def json(self):
        return json.loads(self.body)


def head(method, path, *lines, version="HTTP/1.1"):
    """A request's head with a Host; `lines` follow as they are."""
    return "\r\n".join([f"{method} {path} {version}", "Host: localhost", *lines, "", ""]).encode("latin-1")


def post(path, body, content_type="application/json", *lines):
    return head("POST", path, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *lines) + body


class Wire:
    """One connection. Not for several threads."""

    def __init__(self, port, host="127.0.0.1", patience_s=PATIENCE_S):
        self.socket = socket.create_connection((host, port), timeout=patience_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.has_ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Sends all; a server that has already answered and closed may stop it half-way, which is no failure."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self):
        """Says that nothing follows, and leaves the other direction open."""
        self.has_ended = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.unread += data
        return bool(data)

    def _take(self, count):
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken

    def read(self, to_head=False):
        """The next answer. `to_head`: it answers a HEAD, so no body follows."""
        while b"\r\n\r\n" not in self.unread:
            if not self._more():
                raise Broken(self.unread) if self.unread else Closed()
        first, *lines = self._take(self.unread.index(b"\r\n\r\n") + 4)[:-4].decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        if version != "HTTP/1.1" or len(status) != 3:
            raise Broken(first)
        pairs = [line.split(": ", 1) for line in lines]
        answer = Answer(int(status), {name.lower(): value for name, value in pairs})
        if len(answer.headers) != len(pairs):
            raise Broken("a header comes twice: " + "; ".join(lines))
        length = 0 if to_head or answer.status in (100, 204, 304) else int(answer.headers["content-length"])
        while len(self.unread) < length:
            if not self._more():
                raise Broken("the body ends early")
        answer.body = self._take(length)
        return answer

    def read_some(self):
        """Whatever comes first, be it an answer or the end."""
        self._more()

    def call(self, data):
        self.send(data)
        return self.read()

    def is_closed(self):
        """Waits for the other side to close; anything it sends before is kept."""
        try:
            while self._more():
                pass
        except (TimeoutError, OSError):
            return False
        return True
