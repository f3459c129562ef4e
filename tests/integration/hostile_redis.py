"""Between the service and a real Redis: passes on what is asked, and twists what is answered, as a test says. What
stands here, anybody may send who sits at the other end of that connection, or a Redis, proxy or network that is
broken."""

import contextlib
import socket
import threading
import time

OK = b"+OK\r\n"


def fixed(answer):
    return lambda _: answer


# What is no answer to SET, XADD or EVAL, whatever Redis did with the command: each takes the real one.
TWISTS = {
    "another status": fixed(b"+QUEUED\r\n"),
    "an empty status": fixed(b"+\r\n"),
    "a text that says OK": fixed(b"$2\r\nOK\r\n"),
    "a number": fixed(b":1\r\n"),
    "nil": fixed(b"$-1\r\n"),
    "an empty list": fixed(b"*0\r\n"),
    "an error in a list": fixed(b"*1\r\n-ERR no\r\n"),
    "an id that is none": fixed(b"$3\r\n1-x\r\n"),
    "an error": fixed(b"-ERR no\r\n"),
    "an empty error": fixed(b"-\r\n"),
    "a redirection to nowhere": fixed(b"-MOVED 1 127.0.0.1:1\r\n"),
    "RESP3: a map": fixed(b"%1\r\n+a\r\n+b\r\n"),
    "RESP3: a set": fixed(b"~1\r\n+OK\r\n"),
    "RESP3: a push before it": lambda real: b">2\r\n+message\r\n+a\r\n" + real,
    "RESP3: an attribute before it": lambda real: b"|1\r\n+a\r\n+b\r\n" + real,
    "RESP3: a double": fixed(b",1.5\r\n"),
    "RESP3: true": fixed(b"#t\r\n"),
    "RESP3: null": fixed(b"_\r\n"),
    "RESP3: a great number": fixed(b"(123456789012345678901234567890\r\n"),
    "RESP3: a verbatim text": fixed(b"=6\r\ntxt:OK\r\n"),
    "a text of a terabyte": fixed(b"$1099511627776\r\n"),
    "a list of a billion": fixed(b"*1000000000\r\n"),
    "a length that is negative": fixed(b"$-2\r\n"),
    "lists in lists": fixed(b"*1\r\n" * 100000),
    "a line without an end": fixed(b"+" + b"x" * 8 * 1024 * 1024),
    "lines that end in LF": lambda real: real.replace(b"\r\n", b"\n"),
    "HTTP": fixed(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "noise": fixed(bytes(range(256)) * 64),
    "one answer too many behind it": lambda real: real + OK,
    "one answer too many before it": lambda real: OK + real,
    "nothing, and the end": fixed(None),
    "half of it, and the end": lambda real: (real[:len(real) // 2], None),
}


class HostileRedis:
    """`redis` is the real one. `twist(verb, how)`: from now on how(answer) is sent in the place of each answer to that
    verb, "*" for all: bytes, or several, where None hangs up and a number waits so many seconds. With `asks=False` the
    real one never hears of the command, and the answer is b""."""

    def __init__(self, redis):
        self.redis, self.twists, self.asked, self.lock = redis, {}, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://{self.redis.login}127.0.0.1:{self.port}"

    def twist(self, verb, how, asks=True):
        self.twists[verb] = how, asks

    def behave(self):
        self.twists = {}

    def count(self, verb):
        with self.lock:
            return self.asked.count(verb)

    def kill(self):
        self.over.set()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, EOFError), client, socket.create_connection(
                ("127.0.0.1", self.redis.port)) as server:
            asked, answered = client.makefile("rb"), server.makefile("rb")
            while True:
                command, words = read_command(asked)
                verb = words[0].upper().decode("latin-1")
                with self.lock:
                    self.asked.append(verb)
                how, asks = self.twists.get(verb) or self.twists.get("*") or (lambda real: real, True)
                if asks:
                    server.sendall(command)
                self._answer(client, how(read_reply(answered) if asks else b""))

    def _answer(self, client, parts):
        for part in parts if not isinstance(parts, (bytes, type(None))) else (parts,):
            if self.over.is_set() or part is None:
                raise EOFError
            if isinstance(part, bytes):
                client.sendall(part)
            else:
                time.sleep(part)


def read_line(stream):
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError
    return line


def read_command(stream):
    """Its bytes, and its words."""
    raw = read_reply(stream)
    rest, words = raw.split(b"\r\n", 1)[1], []
    while rest:
        length, rest = rest.split(b"\r\n", 1)
        words.append(rest[:int(length[1:])])
        rest = rest[int(length[1:]) + 2:]
    return raw, words


def read_reply(stream):
    """The bytes of one reply, or of one command, which looks like a list of texts."""
    line = read_line(stream)
    number = int(line[1:]) if line[:1] in b"$*" else 0
    if line[:1] == b"$" and number >= 0:
        return line + stream.read(number + 2)
    if line[:1] == b"*":
        return line + b"".join(read_reply(stream) for _ in range(max(number, 0)))
    return line
