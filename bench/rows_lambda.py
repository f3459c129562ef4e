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

from harness import HERE, ISSUE, JSON, TESTS, Row, Service, Unmeasured, await_port, free_port, node_of_tests, pinned
from rows_kms import beside

sys.path.insert(0, str(TESTS))
from lambda_events import answer_of, http as http_event # pylint: disable=wrong-import-position,wrong-import-order

EMULATOR = HERE.parent / "build/tools/lambda-rie"
INVOCATIONS = "/2015-03-31/functions/function/invocations"
PATIENCE_S = 10
KIND = "http" # an HTTP API's events


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
        answer = self.invoke(self.event(path, body, content_type))
        if "statusCode" not in answer:
            raise Unmeasured(f"the function fails: {answer.get('errorMessage')}")
        status, _, content = answer_of(KIND, answer)
        if status != 200:
            raise Unmeasured(f"{path} is answered {status}: {content.decode(errors='replace')[:200]}")
        return content

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


def constant(bench, answer):
    """The command of a function that has this answer ready."""
    return [bench.build / "bench/bench_constant_function", bench.file("function-answer", json.dumps(answer))]


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
