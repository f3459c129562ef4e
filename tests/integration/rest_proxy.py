"""A proxy before PostgREST that answers in its place, as a test says: in front of a hosted project stands a gateway,
which limits rates and has bad days."""

import http.client
import random
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RestProxy:
    def __init__(self, port):
        """`port`: PostgREST's, on this machine."""
        self.upstream = port
        self.random = random.Random()
        self.lock = threading.Lock()
        self.replaced = 0
        self.all_is_well()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.proxy = self
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def say(self, status, body, share=1.0, headers=(), does_it=False):
        """From now on that is the answer to a `share` of all calls. does_it: the call is carried out all the same, so
        that nobody can tell from the answer."""
        with self.lock:
            self.says = (status, body, share, dict(headers), does_it)

    def cut(self, function, answer, does_it=False, times=1):
        """To the next calls of `function` these bytes, and the end of the line; whether it is carried out or not."""
        with self.lock:
            self.cuts, self.met = (function, answer, does_it, times), 0

    def all_is_well(self):
        with self.lock:
            self.says = self.cuts = None
            self.met = 0

    def choose_cut(self, body):
        with self.lock:
            if not self.cuts or f'"function":"{self.cuts[0]}"'.encode() not in body or self.met == self.cuts[3]:
                return None
            self.met += 1
            return self.cuts

    def choose(self):
        """What to answer instead of what PostgREST says, or None."""
        with self.lock:
            if not self.says or self.random.random() >= self.says[2]:
                return None
            self.replaced += 1
            return self.says

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """An instance that was killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment an answer

    def setup(self):
        super().setup()
        self.upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=20)

    def finish(self):
        self.upstream.close()
        with suppress(OSError):
            super().finish()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cut = self.server.proxy.choose_cut(body)
        if cut:
            if cut[2]:
                self._forward(body)
            self.wfile.write(cut[1])
            self.close_connection = True
            return
        instead = self.server.proxy.choose()
        status, answer, headers = 0, b"", {}
        if not instead or instead[4]:
            status, answer, headers = self._forward(body)
        if instead:
            status, answer, headers = instead[0], instead[1], instead[3]
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(answer))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _forward(self, body):
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        try:
            self.upstream.request("POST", self.path, body, kept)
            answer = self.upstream.getresponse()
            return answer.status, answer.read(), {"Content-Type": answer.getheader("Content-Type", "")}
        except (OSError, http.client.HTTPException):
            self.upstream.close()
            return 502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}

    def log_message(self, *_):
        pass
