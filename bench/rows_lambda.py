"""The rows of a function in AWS Lambda. AWS's own emulator starts the program, brings it events and takes its answers;
it is the integration tests'. Beside it are, under the same emulator, a function that answers a constant, which shows
what all of that costs by itself, and one in Node.js that only signs."""
import base64
import contextlib
import functools
import http.client
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

from harness import (HERE, ISSUE, JSON, TESTS, Row, Service, Unmeasured, await_port, free_port, in_turn, node_of_tests,
                     pinned)
from rows_kms import beside, kms, settings, sign_body

sys.path.insert(0, str(TESTS))
from lambda_events import answer_of, http as http_event # pylint: disable=wrong-import-position,wrong-import-order

EMULATOR = HERE.parent / "build/tools/lambda-rie"
INVOCATIONS = "/2015-03-31/functions/function/invocations"
PATIENCE_S = 10
KIND = "http" # an HTTP API's events
EVENTS = 500  # in a row, for one p50


def token_of(answer, alg):
    """What an event of POST /token was answered, which must be such a token."""
    status, _, body = answer_of(KIND, answer)
    if status != 200:
        raise Unmeasured(f"/token is answered {status}: {body.decode(errors='replace')[:200]}")
    token = json.loads(body)["token"]
    said = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "==="))["alg"]
    if said != alg:
        raise Unmeasured(f"a token is signed by {said}, not by {alg}")
    return token


def content_of(answer):
    """The body of a response that must be a good one."""
    if "statusCode" not in answer:
        raise Unmeasured(f"the function fails: {answer.get('errorMessage')}")
    status, _, content = answer_of(KIND, answer)
    if status != 200:
        raise Unmeasured(f"an event is answered {status}: {content.decode(errors='replace')[:200]}")
    return content


class Function(Service):
    """A program under the emulator, which starts it when the first event comes. What is asked of it are events."""

    def __init__(self, bench, port, process, begun):
        super().__init__(port, process, bench.authorization)
        self.begun = begun # bench_begin's file

    def event(self, path, body=None, content_type=JSON):
        headers = [("authorization", self.authorization), ("content-type", content_type)] if body else []
        return http_event("POST" if body else "GET", path, headers, "", (body or "").encode())

    def invoke(self, event):
        """What it answers. The emulator refuses an event (400) while an earlier one is under way."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as emulator:
                emulator.request("POST", INVOCATIONS, json.dumps(event), {"Content-Type": JSON})
                answer = emulator.getresponse()
                body = answer.read()
            if answer.status != 400 or time.monotonic() > deadline:
                break
            time.sleep(0.005)
        try:
            return json.loads(body)
        except ValueError as error:
            raise Unmeasured(f"the emulator answers {answer.status}: {body.decode(errors='replace')[:200]}") from error

    def ask(self, path, body=None, content_type=JSON):
        return content_of(self.invoke(self.event(path, body, content_type)))

    def p50_ms(self, events, expected):
        """From an event to the next one being asked for, when the emulator passes the answer on: one after the other,
        as it takes them. Each answer has `expected` in it."""
        samples = []
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as emulator:
            for event in events:
                text = json.dumps(event)
                begun = time.monotonic_ns()
                emulator.request("POST", INVOCATIONS, text, {"Content-Type": JSON})
                answer = emulator.getresponse().read()
                samples.append((time.monotonic_ns() - begun) / 1e6)
                if expected not in content_of(json.loads(answer)):
                    raise Unmeasured(f"an event is answered {answer.decode(errors='replace')[:200]}")
        return statistics.median(samples)

    def began_ns(self):
        """When it was executed, by time.monotonic_ns()'s clock. Its process is known from then on."""
        try:
            began_ns, self.pid = map(int, self.begun.read_text().split())
        except (OSError, ValueError) as error:
            raise Unmeasured("the emulator has not started the function") from error
        return began_ns

    def is_there(self):
        """It has been started, and has not ended."""
        state, parent = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return state != "Z" and int(parent) == self.process.pid

    def end(self):
        """Both: the emulator gives what it starts a process group of its own. The function first, so that it closes its
        files: a store that has to be mended would make the next start slower."""
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(Unmeasured, OSError): # it is not there
            self.began_ns()
            while self.is_there():
                os.kill(self.pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
                time.sleep(0.01)
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def function(bench, command, **more):
    """This program under the emulator: it has the server's core, the emulator the other one."""
    if not os.access(EMULATOR, os.X_OK):
        raise Unmeasured("AWS's emulator of Lambda is not there: ./dev bench builds it, where Go's modules can be had")
    port = free_port()
    begun = bench.folder / f"begun-{port}"
    begin = [bench.build / "bench/bench_begin", begun, str(*bench.server_core)]
    with pinned(bench.load_core), open(bench.log, "ab") as log:
        process = subprocess.Popen([EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
                                    "--runtime-api-address", f"127.0.0.1:{free_port()}", *begin, *command],
                                   env=bench.environment(AWS_LAMBDA_FUNCTION_TIMEOUT=str(PATIENCE_S), **more),
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    made = Function(bench, port, process, begun)
    try:
        await_port(process, port, "AWS's emulator of Lambda")
        yield made
    finally:
        made.end()
        begun.unlink(missing_ok=True)


def program(bench):
    """Without a command: it sees by itself where it runs."""
    return [bench.build / "token-service"]


def constant(bench, answer, *sign):
    """The command of a function that has this answer ready. `sign`: what it calls before it gives it."""
    return [bench.build / "bench/bench_constant_function", bench.file("function-answer", json.dumps(answer)), *sign]


@functools.cache
def bench_of(bench):
    """One data folder for all rows of RS256: where no database is named, keys and records lie in it."""
    made = beside(bench, "function")
    made.settle()
    return made


# --- the start --------------------------------------------------------------------------------------------------------

def first_token(bench, command):
    """From exec to the answer of the first event, in ms, and the resident memory then, in MB."""
    with function(bench, command) as started:
        answer = started.invoke(started.event("/token", json.dumps(ISSUE)))
        answered_ns = time.monotonic_ns()
        token_of(answer, "RS256")
        return (answered_ns - started.began_ns()) / 1e6, started.resident_mb()


def start_of_function(bench):
    """Whose first event asks for a token: the service, a function that answers a constant, and one in Node.js."""
    bench, node = bench_of(bench), node_of_tests()
    with function(bench, program(bench)) as service:
        answer = service.invoke(service.event("/token", json.dumps(ISSUE)))
    token_of(answer, "RS256")
    commands = {"service": program(bench), "constant": constant(bench, answer)}
    if node:
        commands["node"] = [node, HERE / "node_function.mjs", bench.active_key_file(), "RS256"]
    samples = {name: [] for name in commands}
    for _ in range(bench.plan.starts):
        for name, command in commands.items():
            samples[name].append(first_token(bench, command))
    ms, mb = ({name: [pair[i] for pair in pairs] for name, pairs in samples.items()} for i in range(2))
    note = "" if node else "PyPI's Node.js is not installed"
    peer = {"peer_is": "a function"}
    return [Row("function: from exec to the first token, RS256", "ms", ms["service"], [], "", 25, "<",
                note="; ".join(filter(None, [f"a constant: {statistics.median(ms['constant']):.1f} ms", note])),
                peer=ms.get("node", []), **peer),
            Row("function: memory after it", "MB", mb["service"], [], "", 25, "<", note=note, peer=mb.get("node", []),
                **peer), *size_of_zip()]


def size_of_zip():
    """No row where `./dev lambda` has made none."""
    architecture = platform.machine().replace("aarch64", "arm64") # as AWS calls it
    path = HERE.parent / f"build/packages/token-service-lambda-{architecture}.zip"
    return [Row("function: size of the zip", "MB", [path.stat().st_size / 1e6], [], "", 10, "<")
            ] if path.exists() else []


# --- a warm one -------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def beside_constant(bench, event_of, *sign, **more):
    """A warm function, and one that has its answer ready. Each has its own emulator, and only one of the two has an
    event at a time."""
    with function(bench, program(bench), **more) as service:
        service.ask("/token", json.dumps(ISSUE)) # the first one finds everything cold
        answer = service.invoke(event_of(service))
        content_of(answer)
        with function(bench, constant(bench, answer, *sign)) as reference:
            reference.invoke(event_of(reference))
            service.began_ns()
            yield service, reference


def minted(bench, count):
    """Events that ask about tokens that no function has seen, signed with the key of the data folder."""
    with function(bench, program(bench)) as service:
        issuer = json.loads(service.ask("/token", json.dumps(ISSUE)))["claims"]["iss"]
    done = subprocess.run([bench.build / "bench/bench_mint", bench.active_key_file(), issuer, ISSUE["clientId"],
                           str(count)], capture_output=True, text=True, check=True)
    return (json.dumps({"token": token}) for token in done.stdout.split())


def warm_verify(bench):
    """What a function adds to an event that asks about a token."""
    bench = bench_of(bench)
    bodies = minted(bench, (bench.plan.turns + 1) * EVENTS)

    def event_of(started):
        return started.event("/token/verify", next(bodies))

    with beside_constant(bench, event_of) as (service, reference):
        known = event_of(reference) # to the constant function all events are alike
        references, services = in_turn(bench.plan.turns, lambda: reference.p50_ms([known] * EVENTS, b'"valid":true'),
                                       lambda: service.p50_ms((event_of(service) for _ in range(EVENTS)),
                                                              b'"valid":true'))
    return [Row("function: p50 of verify, warm, tokens never seen", "ms", services, references, "a constant", 1, "+")]


def issue_event(started):
    return started.event("/token", json.dumps(ISSUE))


def issued_p50_ms(started):
    return started.p50_ms((issue_event(started) for _ in range(EVENTS)), b'"token":')


def log_bytes(bench):
    """What the program itself has written: objects, a line each."""
    return sum(len(line) for line in bench.log.read_bytes().splitlines(True) if line.startswith(b"{"))


def warm_issue(bench):
    """What it adds to an event that asks for a token, and what that takes of a processor and writes into the log."""
    bench = bench_of(bench)
    with beside_constant(bench, issue_event) as (service, reference):
        before_s, before_bytes = service.processor_s(), log_bytes(bench)
        references, services = in_turn(bench.plan.turns, lambda: issued_p50_ms(reference),
                                       lambda: issued_p50_ms(service))
        events = bench.plan.turns * EVENTS
        processor_ms = (service.processor_s() - before_s) * 1000 / events
        log_kb = (log_bytes(bench) - before_bytes) / events / 1024
    return [Row("function: p50 of issuing, warm, RS256", "ms", services, references, "a constant", None, "",
                note=f"{processor_ms:.1f} ms of processor, {log_kb:.1f} KB of log a token")]


def warm_issue_by_kms(bench):
    """ES256: kms.c signs it in no time, and holds the answer back."""
    bench = beside(bench, "function-kms")
    with kms(bench, bench.cores) as url:
        sign = url.removeprefix("http://"), sign_body(bench)
        with beside_constant(bench, issue_event, *sign, **settings(url, "es256", TOKEN_SIGNING_ALG="ES256")) as (
                service, reference):
            references, services = in_turn(bench.plan.turns, lambda: issued_p50_ms(reference),
                                           lambda: issued_p50_ms(service))
    return [Row("function: p50 of issuing by KMS, warm", "ms", services, references, "a constant after a Sign", 1,
                "+")]
