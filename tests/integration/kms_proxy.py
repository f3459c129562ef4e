"""AWS KMS for the tests: an HTTP server that judges each request as AWS does (aws_auth.py), has local-kms carry it out
(kms_mends.py), injects faults as a test says, and writes down each call. One thread a connection."""

import http.client
import json
import socket
import struct
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aws_auth import Credentials, Refused, authenticate
from kms_mends import Mends
from ports import free_port

PATIENCE_S = 20


@dataclass
class Fault:
    """What happens to the next `times` calls of an operation (None: of any) on a key id (None: on any)."""
    operation: str | None = None
    key_id: str | None = None
    times: float = float("inf")
    status: int = 400
    code: str | None = None        # the error that is answered instead
    message: str = ""
    body: bytes | None = None      # these bytes instead: not JSON, or not AWS's
    headers: dict = field(default_factory=dict)
    delay_s: float = 0             # before anything else
    drop: str | None = None        # "before": nothing is done or answered; "middle": done, and half of the answer is
                                   # sent; "reset": as "before", with an RST

    def fits(self, operation, key_id):
        return self.times > 0 and self.operation in (None, operation) and self.key_id in (None, key_id)


@dataclass
class Call:
    """What was asked, as it came: nothing of it was believed before the signature was checked."""
    operation: str
    body: dict
    who: str | None                # access key id, as the request says
    at: float                      # monotonic
    headers: dict                  # in lower case
    connection: int
    trusted: bool = False          # the signature, the time and the credentials were right
    status: int | None = None      # None: no answer was sent
    error: str | None = None       # the answer's __type
    answer: dict = field(default_factory=dict)
    request_id: str = ""

    @property
    def key_id(self):
        return self.body.get("KeyId")


class Answer(Exception):
    """An answer, or none, that a fault says."""

    def __init__(self, status=None, body=b"", headers=None, half=False, reset=False):
        super().__init__(status)
        self.status, self.body, self.headers, self.half, self.reset = status, body, headers or {}, half, reset


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, address, proxy, context=None):
        super().__init__(address, _Handler)
        self.proxy, self.context = proxy, context
        self.sockets = set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def get_request(self):
        connection, address = super().get_request()
        if self.context:  # the handshake is the connection's own thread's
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def end(self):
        """Nobody listens, and what was connected is cut off."""
        self.shutdown()
        self.server_close()
        for connection in list(self.sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """A peer that went away is what half of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment an answer

    def setup(self):
        super().setup()
        self.server.sockets.add(self.connection)

    def finish(self):
        self.server.sockets.discard(self.connection)
        self.server.proxy.leave()
        with suppress(OSError):
            super().finish()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.server.proxy.handle(self, body)
        except Answer as fault:
            answer = fault
        self._send(answer)

    do_GET = do_PUT = do_DELETE = do_POST

    def _send(self, answer):
        if answer.status is None:
            self._hang_up(answer.reset)
            return
        self.send_response_only(answer.status)
        headers = {"Date": formatdate(self.server.proxy.now(), usegmt=True),
                   "Content-Type": "application/x-amz-json-1.1"} | answer.headers
        for name, value in (headers | {"Content-Length": str(len(answer.body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[:len(answer.body) // 2] if answer.half else answer.body)
        with suppress(OSError):
            self.wfile.flush()
        if answer.half:
            self._hang_up(False)

    def _hang_up(self, reset):
        self.close_connection = True
        with suppress(OSError):
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        """The calls are in the record."""


class KmsProxy:
    """`upstream_port`: local-kms's. `accounts`: whom to believe. `admin`: the test's own credentials, whose calls meet
    no faults and are in no record."""

    def __init__(self, upstream_port, accounts, admin: Credentials, region, pool):
        self.upstream_port, self.accounts, self.admin, self.region = upstream_port, accounts, admin, region
        self.local = threading.local()
        self.lock = threading.Lock()
        self.mends = Mends(self._ask, pool)
        self.server = self.secure = None
        self.port = free_port()  # after a fault it listens there again
        self.released = threading.Event()
        self.record, self.faults = [], []
        self.reset()

    # --- life -------------------------------------------------------------------------------------------------------

    def up(self):
        """Listens: on the same port as before."""
        self.server = Listener(("127.0.0.1", self.port), self)

    def up_with_tls(self, context):
        """Listens on another port too, until the reset: that port."""
        self.secure = Listener(("127.0.0.1", 0), self, context)
        return self.secure.server_address[1]

    def down(self):
        """As if there were no such machine."""
        server, self.server = self.server, None
        self.released.set()
        server.end()

    def reset(self):
        """No fault, no record, the right time; who waits in a slow answer goes on."""
        with self.lock:
            self.released.set()
            self.released = threading.Event()
            self.record, self.faults = [], []
            self.clock_s = 0                       # what AWS's clock is ahead of ours
            self.rate, self.tokens, self.filled_at = None, 0.0, time.monotonic()
            self.in_flight = self.most_in_flight = 0
        if self.server is None and self.port:
            self.up()
        if self.secure:
            self.secure.end()
            self.secure = None

    def now(self):
        return time.time() + self.clock_s

    # --- a request --------------------------------------------------------------------------------------------------

    def handle(self, handler, body):
        call = self._note(handler, body)
        own = call.who == self.admin.access_key_id
        with self.lock:
            if not own:
                self.record.append(call)
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return self._answer(call, handler, body, own)
        finally:
            with self.lock:
                self.in_flight -= not own

    @staticmethod
    def _note(handler, body):
        headers = {name.lower(): value for name, value in handler.headers.items()}
        try:
            members = json.loads(body)
        except ValueError:
            members = None
        credential = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        return Call(headers.get("x-amz-target", "").partition("TrentService.")[2],
                    members if isinstance(members, dict) else {}, credential or None, time.monotonic(), headers,
                    handler.client_address[1], request_id=str(uuid.uuid4()))

    def _answer(self, call, handler, body, own):
        call.headers["x-amzn-requestid"] = call.request_id
        try:
            fault = None if own else self._fault_of(call)
            self._before(fault)
            authenticate(self.accounts, method=handler.command, target=handler.path, headers=handler.headers, body=body,
                         now=self.now(), service="kms", region=self.region)
            call.trusted = True
            self._refuse(fault, call)
            if not own:
                self._throttle()
            call.status, call.answer = self._carry_out(handler, call)
        except Refused as refused:
            call.status, call.error = refused.status, refused.code
            # KMS writes Message with a capital when access is denied
            call.answer = {"__type": refused.code,
                           "Message" if refused.code == "AccessDeniedException" else "message": refused.message}
            fault = None
        call.error = call.answer.get("__type")
        answer = Answer(call.status, json.dumps(call.answer).encode() if call.answer else b"",
                        {"x-amzn-RequestId": call.request_id})
        answer.half = bool(fault and fault.drop == "middle")
        return answer

    def _carry_out(self, handler, call):
        kind = handler.headers.get("content-type", "")
        if (handler.command, handler.path) != ("POST", "/") or kind != "application/x-amz-json-1.1":
            raise Refused("UnknownOperationException", f"{handler.command} {handler.path} of type {kind}", 404)
        return self.mends.call(call.operation, call.body)

    # --- faults -----------------------------------------------------------------------------------------------------

    def add(self, fault):
        with self.lock:
            self.faults.append(fault)
        return fault

    def _fault_of(self, call):
        with self.lock:
            for fault in self.faults:
                if fault.fits(call.operation, call.key_id):
                    fault.times -= 1
                    return fault
        return None

    def _before(self, fault):
        """What needs no signature: a network has no idea of it."""
        if not fault:
            return
        self.released.wait(fault.delay_s)
        if fault.drop in ("before", "reset"):
            raise Answer(reset=fault.drop == "reset")

    @staticmethod
    def _refuse(fault, call):
        if not fault or (fault.code is None and fault.body is None):
            return
        call.status, call.error = fault.status, fault.code
        if fault.body is not None:
            raise Answer(fault.status, fault.body, fault.headers)
        raise Refused(fault.code, fault.message, fault.status)

    def limit(self, per_second, holds=None):
        """From now on, as KMS: a bucket that fills by so many a second, and holds a tenth of a second's, or `holds`."""
        with self.lock:
            self.rate, self.holds, self.filled_at = per_second, holds or max(1.0, per_second / 10), time.monotonic()
            self.tokens = self.holds

    def _throttle(self):
        with self.lock:
            if self.rate is None:
                return
            now = time.monotonic()
            self.tokens = min(self.holds, self.tokens + (now - self.filled_at) * self.rate)
            self.filled_at = now
            if self.tokens < 1:
                raise Refused("ThrottlingException", "You have exceeded the rate at which you may call KMS. "
                              "Reduce the frequency of your calls.")
            self.tokens -= 1

    # --- local-kms --------------------------------------------------------------------------------------------------

    def _ask(self, operation, body):
        """(status, answer) of local-kms."""
        for fresh in (False, True):
            try:
                return self._exchange(operation, body, fresh)
            except (OSError, http.client.HTTPException):
                if fresh:
                    raise
        raise AssertionError

    def leave(self):
        """This thread asks no more."""
        upstream = self.local.__dict__.pop("upstream", None)
        if upstream:
            upstream.close()

    def _exchange(self, operation, body, fresh):
        if fresh:
            self.leave()
        if not hasattr(self.local, "upstream"):
            self.local.upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=PATIENCE_S)
        upstream = self.local.upstream
        upstream.request("POST", "/", json.dumps(body), {"Content-Type": "application/x-amz-json-1.1",
                                                         "X-Amz-Target": f"TrentService.{operation}"})
        answer = upstream.getresponse()
        text = answer.read()
        if answer.status == 501:
            raise Refused("UnknownOperationException", f"local-kms has no {operation}")
        return answer.status, json.loads(text) if text else {}
