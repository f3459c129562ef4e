"""A proxy on the PostgreSQL wire (protocol 3.0), for URLs with sslmode=disable: at a byte of the answer to a statement
it hangs up or goes on with something else, when the statement was committed, or when it never was."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass

READY = b"Z\x00\x00\x00\x05I"
FLUSH = b"H\x00\x00\x00\x04"


def error(sqlstate, severity=b"ERROR"):
    """An ErrorResponse."""
    fields = b"".join(code + text + b"\0" for code, text in (
        (b"S", severity), (b"V", severity), (b"C", sqlstate.encode()), (b"M", b"said by the proxy"))) + b"\0"
    return b"E" + struct.pack("!i", 4 + len(fields)) + fields


@dataclass
class Fault:
    """`cut`: bytes of the answer that are let through. `then`: what comes instead of the rest; b"": it hangs up."""

    is_committed: bool
    cut: int
    then: bytes = b""
    times: int = 1


def boundaries(answer):
    """Where its messages begin, and where the last one ends."""
    at = [0]
    while at[-1] < len(answer):
        at.append(at[-1] + 1 + struct.unpack_from("!i", answer, at[-1] + 1)[0])
    return at


class _Ended(Exception):
    pass


class _Line:
    def __init__(self, connection):
        self.connection = connection

    def read(self, count):
        got = b""
        while len(got) < count:
            more = self.connection.recv(count - len(got))
            if not more:
                raise _Ended
            got += more
        return got

    def message(self):
        head = self.read(5)
        return head + self.read(struct.unpack("!i", head[1:])[0] - 4)

    def send(self, data):
        self.connection.sendall(data)


class PostgresProxy:
    """fail(statement, fault): from now on what holds `statement` in its SQL meets that fault, `times` times. Of the
    last such statement that met none, `uncommitted` is the answer up to its commit, `answer` all of it."""

    def __init__(self, port):
        self.upstream = port
        self.lock = threading.Lock()
        self.statement, self.fault, self.met = None, None, 0
        self.chance, self.share = None, 0.0
        self.uncommitted = self.answer = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database_url):
        return database_url.replace(f":{self.upstream}/", f":{self.port}/") + "?sslmode=disable"

    def fail(self, statement, fault=None):
        with self.lock:
            self.statement, self.fault, self.met, self.chance = statement.encode(), fault, 0, None

    def disturb(self, statement, chance, share):
        """From now on a share of such statements meets one of all faults that there are."""
        with self.lock:
            self.statement, self.fault, self.met = statement.encode(), None, 0
            self.chance, self.share = chance, share

    def all_is_well(self):
        with self.lock:
            self.statement, self.fault, self.chance = None, None, None

    def _any_fault(self):
        """With the lock."""
        if not self.answer or self.chance.random() >= self.share:
            return None
        is_committed = self.chance.random() < 0.5
        answer = self.answer if is_committed else self.uncommitted
        if is_committed or self.chance.random() < 0.5:
            return Fault(is_committed, self.chance.randrange(len(answer)))
        sqlstate = self.chance.choice(["40001", "40P01", "53100", "57P01", "XX000"])
        return Fault(False, self.chance.choice(boundaries(answer)), error(sqlstate) + READY)

    def close(self):
        self.listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, connection):
        with suppress(OSError, _Ended), connection, \
                socket.create_connection(("127.0.0.1", self.upstream)) as server:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client, server = _Line(connection), _Line(server)
            head = client.read(4)
            server.send(head + client.read(struct.unpack("!i", head)[0] - 4))
            self._log_in(client, server)
            while True:
                self._exchange(client, server)

    @staticmethod
    def _log_in(client, server):
        while True:
            message = server.message()
            client.send(message)
            if message[:1] == b"Z":
                return
            if message[:1] == b"E":
                raise _Ended
            # of authentication, what asks for an answer: all but Ok (0) and SASLFinal (12)
            if message[:1] == b"R" and struct.unpack("!i", message[5:9])[0] not in (0, 12):
                server.send(client.message())

    def _exchange(self, client, server):
        """A statement up to its Sync, and its answer."""
        asked = []
        while not asked or asked[-1][:1] not in b"SQX":
            asked.append(client.message())
        if asked[-1][:1] != b"S":
            server.send(b"".join(asked))
            if asked[-1][:1] == b"X":
                raise _Ended
            return client.send(self._until(server, b"Z"))
        fault, is_watched = self._take(asked[0])
        if not is_watched:
            server.send(b"".join(asked))
            return client.send(self._until(server, b"Z"))
        server.send(b"".join(asked[:-1]) + FLUSH)
        uncommitted = self._until(server, b"CE")
        if fault and not fault.is_committed:
            server.connection.close()  # before its Sync: it is undone
            answer = uncommitted
        else:
            server.send(asked[-1])
            answer = uncommitted + self._until(server, b"Z")
        if not fault:
            self.uncommitted, self.answer = uncommitted, answer
            return client.send(answer)
        client.send(answer[:fault.cut] + fault.then)
        if fault.then and fault.is_committed:
            return None
        if fault.then:  # the server's side is gone: whoever asks on is told so, by the end of the line
            client.message()
        raise _Ended

    def _take(self, parse):
        with self.lock:
            if not self.statement or self.statement not in parse:
                return None, False
            fault = self._any_fault() if self.chance else self.fault
            if not fault or (not self.chance and self.met == fault.times):
                return None, True
            self.met += 1
            return fault, True

    @staticmethod
    def _until(server, kinds):
        answer = b""
        while True:
            message = server.message()
            answer += message
            if message[:1] in kinds:
                return answer
