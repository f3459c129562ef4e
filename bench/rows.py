"""The rows of the embedded default."""
import json
import pathlib
import socket
import statistics
import subprocess
import time
from urllib.parse import urlsplit

from harness import (ACTIVE, ALL_SERVED, CONNECTIONS, FORM, INACTIVE, INVALID, ISSUE, ISSUE_CONNECTIONS, JSON, MISS,
                     NODE, QUICK, VALID, Row, Unmeasured, end, end_load, free_port, in_turn, issuing, openssl, rates,
                     same_size)
from offered import Group, ask, offer


def repeated(bench, name, path, goal, node, content_type, counter):
    """One token, asked about again and again, against the constant server with the same request."""
    with bench.service(bench.server_core, TOKEN_LOOPS="1") as service:
        token = service.issue()
        text = f"token={token}" if content_type == FORM else json.dumps({"token": token})
        answer, body = service.ask(path, text, content_type), bench.file("body", text)
        if not answer.startswith((b'{"active":true,', b'{"valid":true,')):
            raise Unmeasured(f"{path} does not take a good token")
        with bench.constant(answer) as constant:
            def load(url):
                return bench.load("repeat.lua", url + path, [body], bench.plan.window_s, content_type=content_type)
            references, services = in_turn(bench.plan.turns, lambda: load(constant),
                                           lambda: service.checked(lambda: load(service.url), counter))
        if service.ask(path, text, content_type) != answer:
            raise Unmeasured(f"{path} gives another answer after the load than before")
    same_size(references, services)
    return [Row(name, "/s", rates(services), rates(references), "constant answer", goal, ">=", node)]


def introspect_form(bench):
    return repeated(bench, "introspect, one token, form", "/token/introspect", 0.75, NODE["introspect"], FORM, ACTIVE)


def introspect_json(bench):
    return repeated(bench, "introspect, one token, JSON", "/token/introspect", 0.60, NODE["introspect"], JSON, ACTIVE)


def verify_json(bench):
    return repeated(bench, "verify, one token, JSON", "/token/verify", 0.60, NODE["verify"], JSON, VALID)


def mint(bench):
    """A file of tokens that no server has seen, signed with the key of the data folder."""
    with bench.service(bench.cores) as service: # the first start makes the key
        claims = json.loads(service.ask("/token", json.dumps(ISSUE)))["claims"]
    path = bench.folder / "tokens"
    with open(path, "wb") as out:
        subprocess.run([bench.build / "bench/bench_mint", bench.active_key_file(), claims["iss"], ISSUE["clientId"],
                        str(bench.plan.fresh_tokens)], stdout=out, check=True)
    return path


def new_bodies(bench):
    """The same tokens for bench_load, a form a line."""
    tokens = bench.folder / "tokens"
    if not tokens.exists(): # --only
        mint(bench)
    return bench.file("new.lines", "".join(f"token={line}\n" for line in tokens.read_text().splitlines()))


def fresh(bench, tokens):
    """Each token once, on a server that was started for it: no cache can know one."""
    with bench.service(bench.server_core, TOKEN_LOOPS="1") as service:
        service.ask("/token/introspect", f"token={service.issue()}", FORM)
        return service.checked(lambda: bench.load("fresh.lua", service.url + "/token/introspect", [tokens], 60),
                               ACTIVE, MISS)


def unslept(bench, constant, lines):
    """Of a load that never sleeps: both rates of answers to new tokens, the constant one's and the service's, and the
    rate of issuing. Whoever answers a process that sleeps on this machine pays for its waking (README.md)."""
    new, issue = Group({"new": lines}, CONNECTIONS), Group({"issue": bench.file("issue.json", json.dumps(ISSUE))},
                                                           ISSUE_CONNECTIONS)
    seconds = bench.plan.window_s
    with bench.service(bench.server_core, TOKEN_LOOPS="1", TOKEN_RECORDS="all", **ALL_SERVED) as service:
        return {"constant": ask(bench, urlsplit(constant).port, bench.authorization, seconds, [new])[0]["rate"],
                "new": offer(bench, service, seconds, new)[0]["rate"],
                "issued": offer(bench, service, seconds, issue)[0]["rate"]}


def public_key_work(bench):
    """What RS256 bounds: introspection of tokens never seen, and issuing. Both stand beside openssl's own speed."""
    tokens, lines = mint(bench), new_bodies(bench)
    with open(tokens, "r", encoding="ascii") as file:
        token = file.readline().strip()
    with bench.service(bench.server_core) as service:
        answer = service.ask("/token/introspect", f"token={token}", FORM)
    if not answer.startswith(b'{"active":true,'):
        raise Unmeasured("the service does not take the tokens of bench_mint")
    body = bench.file("body", f"token={token}")
    with bench.constant(answer) as constant:
        def reference():
            return {"constant": bench.load("repeat.lua", constant + "/token/introspect", [body], bench.plan.window_s),
                    **openssl(bench)}
        references, services = in_turn(bench.plan.turns, reference, lambda: (
            fresh(bench, tokens), issuing(bench, bench.server_core, TOKEN_LOOPS="1"), issuing(bench, bench.cores),
            None if bench.plan is QUICK else unslept(bench, constant, lines)))
    unseen, issued, issued_by_all, awake = zip(*services)
    same_size([each["constant"] for each in references], unseen)
    limits = [1 / (1 / each["constant"]["rate"] + 1 / each["verify"]) for each in references]
    signs = [each["sign"] for each in references]
    signs_by_all = [sign * len(bench.cores) for sign in signs]
    notes = ["", ""]
    if all(awake):
        verify, sign = (statistics.median(each[name] for each in references) for name in ("verify", "sign"))
        shares = [[each["new"] * (1 / each["constant"] + 1 / verify) for each in awake],
                  [each["issued"] / sign for each in awake]]
        notes = [f"{statistics.median(each):.2f} when the load never sleeps" for each in shares]
    return [Row("introspect, tokens never seen, form", "/s", rates(unseen), limits, "constant + RS256 verify",
                0.75, ">=", NODE["introspect"], notes[0]),
            Row("issue, RS256, record committed", "/s", rates(issued), signs, "RS256 sign", 0.90, ">=", NODE["issue"],
                notes[1]),
            Row("the same on both cores", "/s", rates(issued_by_all), signs_by_all,
                f"RS256 sign x {len(bench.cores)} cores", None, "", "", "the load is among them")]


def start(bench):
    """From exec to the first 200 of /health/ready, in the data folder that the issuing rows have filled."""
    request = b"GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    samples = []
    for _ in range(bench.plan.starts):
        port = free_port()
        begun = time.monotonic()
        process = bench.spawn_service(port, bench.server_core)
        try:
            while not answers_200(port, request):
                if process.poll() is not None or time.monotonic() - begun > 10:
                    raise Unmeasured("the service does not become ready")
                time.sleep(0.0002)
            samples.append((time.monotonic() - begun) * 1000)
        finally:
            end(process)
    return [Row("start to first answer", "ms", samples, [], "", 50, "<", NODE["start"])]


def answers_200(port, request):
    with socket.socket() as connection:
        connection.settimeout(5)
        try:
            connection.connect(("127.0.0.1", port))
            connection.sendall(request)
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False


def memory(bench):
    """Resident memory after requests of all kinds (mixed.lua), many of them with tokens that are new to the cache."""
    tokens = bench.folder / "tokens"
    if not tokens.exists(): # --only
        mint(bench)
    with bench.service(bench.cores, TOKEN_RECORDS="all") as service:
        files = [tokens, bench.file("token", service.issue()), bench.file("issue", json.dumps(ISSUE))]

        def load(count, seconds):
            before = service.counters()
            result = bench.load("mixed.lua", service.url + "/", [count, *files], seconds)
            after = service.counters()
            if any(after.get(name, 0) != before.get(name, 0) for name in (INACTIVE, INVALID)):
                raise Unmeasured("good tokens were found bad")
            return result["requests"]
        first = load(100000 + CONNECTIONS, 120) # what is on its way at the end is not counted
        early = service.resident_mb()
        total = first + load(bench.plan.requests - first, 2 if bench.plan is QUICK else 300)
        late = service.resident_mb()
    note = "fewer than a million: --quick" if total < 990000 else ""
    return [Row("memory after 100,000 requests", "MB", [early], [], "", 20, "<", NODE["memory"]),
            Row(f"memory after {total:,} requests", "MB", [late], [early], "after 100,000", 1.0, "+", "", note)]


def latency(bench):
    """p99 of introspect on one core, alone and while the same core issues as many tokens as it can."""
    path, issue_rates = "/token/introspect", []
    with bench.service(bench.server_core, TOKEN_LOOPS="1", TOKEN_RECORDS="all", **ALL_SERVED) as service:
        body = bench.file("body", f"token={service.issue()}")
        issue_body = bench.file("issue", json.dumps(ISSUE))

        def alone():
            return service.checked(lambda: bench.load("repeat.lua", service.url + path, [body], bench.plan.latency_s),
                                   ACTIVE)

        def beside_issuing():
            issue = bench.start_load("repeat.lua", service.url + "/token", [issue_body], content_type=JSON,
                                     connections=CONNECTIONS)
            try:
                time.sleep(0.2)
                result = alone()
                issue_rates.append(end_load(issue)["rate"])
                return result
            finally:
                end(issue)
        references, services = in_turn(bench.plan.turns, alone, beside_issuing)
    return [Row("p99 of introspect while issuing", "ms", [load["p99_us"] / 1000 for load in services],
                [load["p99_us"] / 1000 for load in references], "p99 alone", 3, "<=", "",
                f"{statistics.median(issue_rates):,.0f} tokens/s issued beside")]
