"""What every row of the benchmark stands on: processes on their cores, the service and the load, rows as ratios."""
import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent / "tests/integration"
CONNECTIONS = 32        # of one wrk
ALL_SERVED = {"TOKEN_QUEUE_WAIT_MS": "1000"} # where it is measured what is served, nobody is to be refused
ISSUE_CONNECTIONS = 128 # so many that while some requests wait for a commit, there are others to sign
LOAD_MAX_S = 600        # wrk's own limit; it is ended long before
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
SCOPES = "token:issue:any token:introspect token:verify stories:read stories:write profile"
ISSUE = {"subject": "7f3c1e52-5b0e-4c6f-9d0a-2f4b8f0d9e11", "clientId": "bench", "tokenType": "access",
         "scope": "stories:read stories:write profile"}

# A well-written Node service (Express, jsonwebtoken with a key object, Redis), on one core of such a machine.
NODE = {"issue": "2,700 /s", "verify": "9,000 /s", "introspect": "9,000 /s", "memory": "62-95 MB",
        "start": "150-300 ms"}


class Unmeasured(Exception):
    """A row that can't be given: something failed, or answered what it must not."""


@dataclasses.dataclass
class Plan:
    turns: int          # of the service, between the reference's
    window_s: float     # one measurement by wrk
    openssl_s: int      # one measurement by openssl, of signing and of verifying
    latency_s: float    # one measurement of a p99
    fresh_tokens: int   # minted, for one measurement
    requests: int       # of the longer memory row
    starts: int


QUICK = Plan(turns=1, window_s=0.6, openssl_s=1, latency_s=0.8, fresh_tokens=10000, requests=250000, starts=5)
FULL = Plan(turns=3, window_s=3, openssl_s=3, latency_s=3, fresh_tokens=100000, requests=1000000, starts=15)


@dataclasses.dataclass
class Row:
    name: str
    unit: str
    service: list       # samples; the median is shown
    reference: list     # likewise; empty when the goal is absolute
    beside: str         # what the reference is
    goal: float         # None: the row is there to be read
    compare: str        # ">=": service / reference at least the goal; "<=": at most; "<": service below the goal;
                        # "+": service above reference by no more than the goal
    node: str = ""
    note: str = ""
    peer: list = dataclasses.field(default_factory=list) # samples of a Node service that was measured beside this one
    peer_is: str = "oidc-provider"

    def value(self):
        return statistics.median(self.service)

    def limit(self):
        return statistics.median(self.reference) if self.reference else None

    def ratio(self):
        return self.value() / self.limit() if self.reference else None

    def disturbance(self):
        """What the reference says about the machine: it should be the same each time."""
        if self.unit != "/s" or min(self.reference) > 0.85 * max(self.reference):
            return ""
        return f"disturbed: the reference went from {min(self.reference):,.0f} to {max(self.reference):,.0f}"

    def reached(self):
        if self.goal is None:
            return True
        if self.compare == "<":
            return self.value() < self.goal
        if self.compare == "+":
            return self.value() - self.limit() <= self.goal
        return self.ratio() >= self.goal if self.compare == ">=" else self.ratio() <= self.goal


# --- processes --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def pinned(cores):
    """Processes started within run on these cores alone, from their first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(process, port, what):
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.002)
    raise Unmeasured(f"{what} does not start")


def processor_s(pid):
    """What a process has had of all processors, in user mode and in the kernel."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def node_of_tests():
    """Node.js is that of the integration tests. None: it is not installed."""
    sys.path.insert(0, str(TESTS))
    try:
        from node import NODE # pylint: disable=import-outside-toplevel
    except ImportError:
        return None
    return NODE


def basic(client_id, secret):
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


class Bench:
    """The folder that everything lies in, the client that calls, and who runs on which core."""

    def __init__(self, build, folder, plan):
        self.build, self.folder, self.plan = build, folder, plan
        self.server_core, self.load_core = ({core} for core in sorted(os.sched_getaffinity(0))[:2])
        self.cores = self.server_core | self.load_core
        self.data, self.log = folder / "data", folder / "log"
        self.authorization = basic("bench", self.add_client("bench", SCOPES))

    def environment(self, **settings):
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TOKEN_DATA_DIR": str(self.data), **settings}

    def add_client(self, client_id, scope, metadata=None):
        """Its secret."""
        command = [self.build / "token-service", "clients", "add", "--id", client_id, "--scope", scope, "--json"]
        added = subprocess.run(command + (["--metadata", "-"] if metadata else []),
                               input=json.dumps(metadata or {}), env=self.environment(), capture_output=True,
                               text=True)
        if added.returncode != 0:
            raise Unmeasured(f"no client could be added: {added.stderr.strip()}")
        return json.loads(added.stdout)["client_secret"]

    @contextlib.contextmanager
    def service(self, cores, **settings):
        """A server on these cores, ready; ended at the end."""
        port = free_port()
        process = self.spawn_service(port, cores, **settings)
        try:
            service = Service(port, process, self.authorization, settings.get("TOKEN_TLS_CERT"))
            service.await_ready()
            yield service
        except (OSError, Unmeasured) as error:
            if process.poll() is None:
                raise
            tail = self.log.read_text(errors="replace").splitlines()[-3:]
            story = [f"the service ended ({process.returncode}): {error}; its log:", *tail]
            raise Unmeasured("\n  ".join(story)) from error
        finally:
            end(process)

    def settle(self, **settings):
        """Until the next key is published: making it takes a processor for a while, at a first start."""
        with self.service(self.cores, **settings) as service:
            deadline = time.monotonic() + 30
            while service.counters().get("token_service_key_standby") != 1:
                if time.monotonic() > deadline:
                    raise Unmeasured("the service makes no next key")
                time.sleep(0.1)

    def spawn_service(self, port, cores, **settings):
        environment = self.environment(TOKEN_LISTEN=f"127.0.0.1:{port}", **settings)
        with pinned(cores), open(self.log, "ab") as log:
            return subprocess.Popen([self.build / "token-service", "serve"], env=environment, stdout=log, stderr=log)

    @contextlib.contextmanager
    def constant(self, answer):
        """The reference server, with this body as its answer, on the server's core."""
        port = free_port()
        body = self.file("constant-answer", answer)
        with pinned(self.server_core):
            process = subprocess.Popen([self.build / "bench/bench_constant", str(port), body])
        try:
            await_port(process, port, "bench_constant")
            yield f"http://127.0.0.1:{port}"
        finally:
            end(process)

    def active_key_file(self):
        listed = subprocess.run([self.build / "token-service", "keys", "list", "--json"], env=self.environment(),
                                capture_output=True, check=True)
        (kid,) = (key["kid"] for key in json.loads(listed.stdout) if key["state"] == "active")
        return self.data / f"signing-key-{kid}.pem"

    def file(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    # --- load: wrk, on its own core ---

    def start_load(self, script, url, arguments, content_type=FORM, connections=CONNECTIONS):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{LOAD_MAX_S}s", "--timeout", "10s", "--latency",
                   "-s", HERE / script, "-H", f"Authorization: {self.authorization}",
                   "-H", f"Content-Type: {content_type}", url, "--"]
        with pinned(self.load_core):
            return subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True)

    def load(self, script, url, arguments, seconds, **options):
        """Runs wrk for so many seconds, or less when its script ends it; None: until the script ends it."""
        process = self.start_load(script, url, arguments, **options)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            return end_load(process)
        finally:
            end(process)


def end_load(process):
    process.send_signal(signal.SIGINT) # wrk then ends, and divides by the time that really passed
    output, errors = process.communicate(timeout=20)
    try:
        result = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise Unmeasured(f"wrk gave no result: {(errors or output).strip()[:200]}") from error
    if result["refused"] or result["broken"] or not result["requests"]:
        counts = "requests", "refused", "broken"
        raise Unmeasured("wrk: " + ", ".join(f"{result[name]} {name}" for name in counts))
    result["rate"] = result["requests"] / (result["duration_us"] / 1e6)
    return result


class Service:
    """A running server, and what this script itself asks it; over TLS if there is a certificate to be trusted."""

    def __init__(self, port, process, authorization, certificate=None):
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
        self.port, self.process, self.authorization, self.pid = port, process, authorization, process.pid
        self.trusted = ssl.create_default_context(cafile=certificate) if certificate else None

    def ask(self, path, body=None, content_type=JSON):
        headers = {"Authorization": self.authorization, "Content-Type": content_type} if body else {}
        request = urllib.request.Request(self.url + path, body and body.encode(), headers)
        with urllib.request.urlopen(request, timeout=10, context=self.trusted) as answer:
            return answer.read() # anything but 2xx has raised an OSError

    def await_ready(self):
        await_port(self.process, self.port, "token-service")
        self.ask("/health/ready")

    def counters(self):
        lines = (line.rpartition(" ") for line in self.ask("/metrics").decode().splitlines() if line[:1] != "#")
        return {name: float(value) for name, _, value in lines}

    def resident_mb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise Unmeasured("the service has ended")

    def processor_s(self):
        return processor_s(self.pid)

    def checked(self, run, *names):
        """The result of a load on this server, held to the server's own counters: each of `names` must have grown by
        the number of requests at least, and no token may have been found bad. So no wrong answer goes into a row."""
        before = self.counters()
        load = run()
        after = self.counters()
        for name in names:
            grown = after.get(name, 0) - before.get(name, 0)
            if grown < load["requests"]:
                raise Unmeasured(f"{load['requests']} requests, but {name} grew by {grown:.0f}")
        for name in (INACTIVE, INVALID):
            if after.get(name, 0) != before.get(name, 0):
                raise Unmeasured(f"good tokens were found bad: {name} grew")
        return load

    def issue(self):
        return json.loads(self.ask("/token", json.dumps(ISSUE)))["token"]


ACTIVE = 'token_service_introspections_total{result="active"}'
INACTIVE = 'token_service_introspections_total{result="inactive"}'
VALID = 'token_service_verifications_total{result="valid"}'
INVALID = 'token_service_verifications_total{result="invalid"}'
MISS = 'token_service_verified_cache_total{result="miss"}'
ISSUED = 'token_service_tokens_issued_total{type="access"}'
ISSUED_ID = 'token_service_tokens_issued_total{type="id"}'
RECORDED = "token_service_committed_records_total"


# --- parts of rows ----------------------------------------------------------------------------------------------------

def in_turn(turns, reference, service):
    """Reference, service, reference, service, reference: what disturbs the machine for a while disturbs both. A single
    turn ends with the service."""
    references, services = [reference()], []
    for _ in range(turns):
        services.append(service())
        if turns > 1:
            references.append(reference())
    return references, services


def rates(loads):
    return [load["rate"] for load in loads]


def same_size(references, services):
    """The reference must send what the service sends: bytes an answer, headers included."""
    reference, service = (sum(load["bytes"] for load in loads) / sum(load["requests"] for load in loads)
                          for loads in (references, services))
    if abs(reference - service) > 0.02 * service:
        raise Unmeasured(f"the constant answer has {reference:.0f} bytes, the service's {service:.0f}")


def openssl(bench):
    """Signatures and verifications a second of one core."""
    with pinned(bench.server_core):
        done = subprocess.run(["openssl", "speed", "-seconds", str(bench.plan.openssl_s), "-mr", "rsa2048"],
                              capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("+F2:"):
            return dict(zip(("sign", "verify"), map(float, line.split(":")[3:5])))
    raise Unmeasured("openssl speed gave no result")


def issuing(bench, cores, **settings):
    """On the server's core, with the load on the other; or on both cores, where the load has to share them. How long
    a request may wait is another row's; here none is refused for it."""
    body, seconds = bench.file("issue", json.dumps(ISSUE)), bench.plan.window_s * 1.5
    with bench.service(cores, TOKEN_RECORDS="all", **ALL_SERVED, **settings) as service:
        return service.checked(lambda: bench.load("repeat.lua", service.url + "/token", [body], seconds,
                                                  content_type=JSON, connections=ISSUE_CONNECTIONS), ISSUED, RECORDED)
