"""The rows of connections: more of them than there is room for, few of them on two loops, and what they leave behind in
memory."""
import contextlib
import pathlib
import socket
import statistics
import time

from harness import JSON, Row, Unmeasured
from offered import Group, notes, offer
from rows_load import introspect_file

ROOM = 64         # TOKEN_CONNECTIONS
BEYOND = 100      # connections beyond it
PATIENCE_S = 2    # of one that is not served
EIGHT = 8
PACED = 4000      # requests a second over these
FLOOD = 1000      # large requests at once, each of nearly TOKEN_BODY_MAX
LARGE = 65000
GIVEN_BACK_S = 60 # the goal
KEPT_MB = 1

GET = b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n"


@contextlib.contextmanager
def connections(port, count):
    """So many of them, all ended at the end."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)))
        yield made


def read_now(connection):
    """What has come until now, and whether the other side has ended it."""
    connection.setblocking(False)
    text = b""
    while True:
        try:
            part = connection.recv(65536)
        except BlockingIOError:
            return text, False
        except ConnectionError:
            return text, True
        if not part:
            return text, True
        text += part


def too_many(bench):
    """All connections are in use, a request under way on each: further ones must hear so. Then all are idle: a further
    one is served in the place of the one that has been idle longest."""
    def at_its_limit():
        return bench.service(bench.server_core, TOKEN_LOOPS="1", TOKEN_CONNECTIONS=str(ROOM))

    with at_its_limit() as service, connections(service.port, ROOM) as busy:
        for each in busy:
            each.sendall(GET[:-2])
        time.sleep(0.1)
        with connections(service.port, BEYOND) as further:
            for each in further:
                with contextlib.suppress(ConnectionError):
                    each.sendall(GET)
            time.sleep(PATIENCE_S)
            answers = [read_now(each) for each in further]
    told = sum(ended and text.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: " in text for text, ended in answers)
    with at_its_limit() as service, connections(service.port, ROOM) as idle:
        for each in idle:
            each.sendall(GET)
            each.recv(4096)
        with connections(service.port, ROOM // 2) as further:
            for each in further:
                each.sendall(GET)
            time.sleep(0.2)
            served = sum(read_now(each)[0].startswith(b"HTTP/1.1 200 ") for each in further)
            closed = [read_now(each)[1] for each in idle]
    in_order = all(closed[:served]) and not any(closed[served:])
    return [Row(f"connections beyond {ROOM} in use, told 503 and closed", "", [told], [BEYOND], "of them", 1, ">="),
            Row(f"connections beyond {ROOM} idle ones, served", "", [served if in_order else 0], [ROOM // 2], "of them",
                1, ">=", note="" if in_order else "not in place of the longest idle ones")]


def loops_ns(pid):
    """Processor time of each event loop."""
    tasks = [task for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
             if (task / "comm").read_text().strip() == "loop"]
    return {task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks}


def two_loops(bench):
    """The part of the busier loop in the processor time of both, for one choice of ports after the other."""
    shares = []
    with bench.service(bench.cores, TOKEN_LOOPS="2") as service:
        files = introspect_file(bench, service)
        for _ in range(bench.plan.starts):
            before = loops_ns(service.pid)
            offer(bench, service, 0.3, Group(files, EIGHT, rate=PACED), warm_s=0, awake=False)
            spent = [after - before[task] for task, after in loops_ns(service.pid).items()]
            shares.append(max(spent) / sum(spent))
    if len(spent) != 2:
        raise Unmeasured(f"the service has {len(spent)} loops")
    return [Row(f"the busier of two loops, {EIGHT} connections, at worst", "", [max(shares)], [1], "both", 0.6, "<=",
                note=f"median {statistics.median(shares):.2f} of {len(shares)}")]


def settled_mb(service, limit_mb, patience_s):
    """Resident memory when it is no longer above the limit, or when the time is over; and after how many seconds."""
    begun = time.monotonic()
    while service.resident_mb() > limit_mb and time.monotonic() < begun + patience_s:
        time.sleep(0.25)
    return service.resident_mb(), time.monotonic() - begun


def large_bodies(bench):
    """Many requests at once, each nearly as large as one may be; all of them under way, then all answered."""
    head = (f"POST /token/introspect HTTP/1.1\r\nHost: bench\r\nAuthorization: {bench.authorization}\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: {LARGE}\r\n\r\n").encode()
    body = b'{"token":"' + b"x" * (LARGE - 12) + b'"}'
    with bench.service(bench.server_core, TOKEN_LOOPS="1") as service:
        bench.load("repeat.lua", service.url + "/token/introspect",
                   [introspect_file(bench, service)["introspect"]], bench.plan.window_s)
        before = service.resident_mb()
        with connections(service.port, FLOOD) as many:
            for each in many:
                each.settimeout(10)
                each.sendall(head + body[:-1])
            time.sleep(0.5)
            peak = service.resident_mb()
            for each in many:
                each.sendall(body[-1:])
            for each in many:
                if not each.recv(4096):
                    raise Unmeasured("a large request is not answered")
        after, took_s = settled_mb(service, before + KEPT_MB, GIVEN_BACK_S)
    if peak < before + FLOOD * LARGE / 2e6:
        raise Unmeasured(f"the flood took only {peak - before:.0f} MB")
    return [Row("memory after a flood of large bodies", "MB", [after], [before], "before", KEPT_MB, "+",
                note=notes(f"{peak:.0f} MB in it, looked at {took_s:.0f} s after it"))]
