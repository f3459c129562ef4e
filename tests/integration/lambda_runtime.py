"""AWS Lambda around the program: its runtime API, which brings events and takes answers, and `token-service lambda` as
a server that the other tests' helpers can call."""

import json
import os
import queue
import select
import signal
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import DEVNULL, Popen
from urllib.parse import urlencode

import lambda_events
from lambda_events import KINDS
from service import BINARY, TOKEN, Server, authorization, check_answer, environment
from wire import PATIENCE_S

BASE = "/2018-06-01/runtime/"


@dataclass
class Call:
    """An invocation: what was sent, and how it ended: "response" or "error", with its body and headers."""

    event: bytes
    deadline_s: float
    headers: dict = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    taken: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    how: str = ""
    body: bytes = b""
    sent: dict = field(default_factory=dict)
    deadline_ms: int = 0
    times: int = 0  # it was answered

    def wait(self):
        assert self.done.wait(PATIENCE_S), "the event was not answered"
        return self

    def json(self):
        self.wait()
        assert self.how == "response", (self.how, self.body)
        return json.loads(self.body)

    def error(self):
        self.wait()
        assert self.how == "error", (self.how, self.body)
        body = json.loads(self.body)
        assert body.keys() == {"errorMessage", "errorType", "stackTrace"}
        assert self.sent["lambda-runtime-function-error-type"] == body["errorType"]
        return body


def is_open(connection):
    """Nothing has come, and no end."""
    readable, _, _ = select.select([connection], [], [], 0)
    return not readable


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.api.get(self)

    def do_POST(self):
        self.server.api.post(self)

    def answer(self, status, body=b"{}", headers=()):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def raw(self, text):
        """Bytes of a test's own; the connection ends with them."""
        self.wfile.write(text)
        self.wfile.flush()
        self.close_connection = True

    def hang_up(self):
        self.close_connection = True


class _Api(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a function that was killed


class RuntimeApi:
    """begin(event) is a Call; invoke(event) waits for its end. `faults`: what the next GETs of an event meet, a
    function of the handler each; `answer_faults` the same of what is posted."""

    def __init__(self):
        self.events = queue.Queue()
        self.calls = {}
        self.init_errors, self.restore_errors = [], []
        self.faults, self.answer_faults = queue.Queue(), queue.Queue()
        self.asked = threading.Semaphore(0)  # released when a function asks for an event
        self.waiting, self.waiting_most = 0, 0
        self.restore = threading.Event()
        self.restore_asked = threading.Event()
        self.ahead_s = lambda: 0  # of the function's time of day
        self.lock = threading.Lock()
        self.server = _Api(("127.0.0.1", 0), _Handler)
        self.server.api = self
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def expect(self, event, deadline_s=30.0, headers=None):
        """A call whose event a test brings by itself."""
        call = Call(event if isinstance(event, bytes) else json.dumps(event).encode(), deadline_s, headers or {})
        with self.lock:
            self.calls[call.id] = call
        return call

    def begin(self, event, deadline_s=30.0, **headers):
        call = self.expect(event, deadline_s, headers)
        self.events.put(call)
        return call

    def invoke(self, event, **options):
        return self.begin(event, **options).wait()

    def wait_for_function(self):
        assert self.asked.acquire(timeout=PATIENCE_S), "no event was asked for"

    # --- what a function sees -----------------------------------------------------------------------------------------

    def get(self, handler):
        if handler.path == BASE + "restore/next":
            self.restore_asked.set()
            self.restore.wait(PATIENCE_S)
            handler.answer(200)
            return
        assert handler.path == BASE + "invocation/next", handler.path
        self.asked.release()
        with suppress(queue.Empty):
            self.faults.get_nowait()(handler)
            return
        with self.lock:
            self.waiting += 1
            self.waiting_most = max(self.waiting, self.waiting_most)
        call = self._next_for(handler)
        with self.lock:
            self.waiting -= 1
        if not call:
            handler.hang_up()
            return
        call.deadline_ms = int((time.time() + self.ahead_s() + call.deadline_s) * 1000)
        headers = {"Lambda-Runtime-Aws-Request-Id": call.id, "Lambda-Runtime-Deadline-Ms": str(call.deadline_ms),
                   "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:111122223333:function:tokens",
                   "Lambda-Runtime-Trace-Id": f"Root=1-5759e988-{call.id[:8]};Parent=53995c3f42cd8ad8;Sampled=1"}
        call.taken.set()
        try:
            handler.answer(200, call.event, [(name, value) for name, value in (headers | call.headers).items()
                                             if value is not None])
        except OSError:  # nobody took it
            call.taken.clear()
            self.events.put(call)

    def _next_for(self, handler):
        """None: the function that asked is gone."""
        while True:
            with suppress(queue.Empty):
                call = self.events.get(timeout=0.05)
                if is_open(handler.connection):
                    return call
                self.events.put(call)
            if not is_open(handler.connection):
                return None

    def post(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        sent = {name.lower(): value for name, value in handler.headers.items()}
        path = handler.path.removeprefix(BASE)
        with suppress(queue.Empty):
            self.answer_faults.get_nowait()(handler)
            return
        if path == "init/error":
            self.init_errors.append((body, sent))
        elif path == "restore/error":
            self.restore_errors.append((body, sent))
        else:
            _, call_id, how = path.split("/")
            with self.lock:
                call = self.calls[call_id]
                call.times += 1
                if call.times == 1:
                    call.how, call.body, call.sent = how, body, sent
            handler.answer(202, b'{"status":"OK"}\n')
            call.done.set()
            return
        handler.answer(202, b'{"status":"OK"}\n')


class Answer:
    """As requests has them."""

    def __init__(self, status, fields, content):
        self.status_code, self.fields, self.content = status, fields, content
        self.headers = {}
        for name, value in fields:
            name = name.lower()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    @property
    def text(self):
        return self.content.decode()

    def json(self):
        return json.loads(self.content)


class ByEvents:
    """Of a Server: requests go as events of the kind `kind`, by answer_to(event, deadline_s), which is what the
    function answered. It listens nowhere."""

    kind = "http"

    def event_of(self, method, path, *, auth=None, headers=None, json=None, form=None, data=None, kind=None, **options):
        """An event of this request, as Server.request() would send it."""
        path, _, query = path.partition("?")
        fields = list((headers or {}).items())
        if authorization(auth):
            fields.append(("Authorization", authorization(auth)))
        body = data if data is not None else b""
        if json is not None:
            body = dumps(json)
            fields.append(("Content-Type", "application/json"))
        elif form is not None:
            body = urlencode(form).encode()
            fields.append(("Content-Type", "application/x-www-form-urlencoded"))
        return KINDS[kind or self.kind](method, path, fields, query, body, **options)

    def request(self, method, path, *, deadline_s=30.0, **options):
        kind = options.get("kind") or self.kind
        event = self.event_of(method, path, **options)
        answer = Answer(*lambda_events.answer_of(kind, self.answer_to(event, deadline_s)))
        bare = path.split("?")[0]
        self.tokens.update(TOKEN.findall(answer.text), TOKEN.findall(repr(options)))
        check_answer(method, bare, answer.status_code, answer.headers, answer.content)
        self.check_leaks(bare, answer.status_code, answer.headers, answer.content)
        return answer


class Function(ByEvents, Server):
    """The program as a function. Its requests come as events of `kind`."""

    def __init__(self, home, settings=None, kind="http", **lambda_settings):
        super().__init__(home, settings)
        self.api = RuntimeApi()
        self.kind = kind
        self.settings = {name: value for name, value in self.settings.items() if name != "TOKEN_LISTEN"} | {
            "AWS_LAMBDA_RUNTIME_API": self.api.address, "AWS_LAMBDA_FUNCTION_NAME": "tokens",
            "_HANDLER": "function.handler"} | lambda_settings

    def spawn(self, *arguments, program=BINARY, **options):
        with self.log_path.open("ab") as log:
            self.process = Popen([*self.launcher, program, *arguments], env=environment(self.settings), stdin=DEVNULL,
                                 stdout=log, stderr=log, **options)
        return self.process

    def start(self, *arguments, **options):
        begin = self.log_path.stat().st_size
        self.spawn(*arguments, **options)

        def serves():
            assert self.process.poll() is None, f"exit {self.process.returncode}: {self.log[-2000:]}"
            return b'"serving_lambda"' in self.log_path.read_bytes()[begin:]
        self.until(serves, "the function did not start")
        return self

    def run(self, *arguments, **options):
        """A command, which is none of Lambda's."""
        kept, self.settings = self.settings, {name: value for name, value in self.settings.items()
                                              if not name.startswith("AWS_LAMBDA")}
        try:
            return super().run(*arguments, **options)
        finally:
            self.settings = kept

    def close(self):
        self.api.close()

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def answer_to(self, event, deadline_s):
        return self.api.invoke(event, deadline_s=deadline_s).json()

    def bus(self, detail_type, detail, **options):
        """A Call of an EventBridge event."""
        return self.api.invoke(lambda_events.bus(detail_type, detail, **options))


def dumps(value):
    return json.dumps(value).encode()
