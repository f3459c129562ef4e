"""The rows of signing keys in AWS KMS. kms.c stands for KMS, as far away as one likes."""
import concurrent.futures
import contextlib
import json
import statistics
import subprocess
import time
import urllib.error

from harness import (ACTIVE, ALL_SERVED, ISSUE, ISSUE_CONNECTIONS, ISSUED, JSON, QUICK, RECORDED, Bench, Row,
                     Unmeasured, await_port, end, end_load, free_port, in_turn, pinned, rates)

LATENCY_MS = 10
QUOTA = 1000         # signatures a second by RSA or ECC keys, which KMS allows an account in a region
STEADY = 64          # connections for it, of which a dozen and a half are waiting for KMS
IN_FLIGHT = 200      # calls of Sign: one for each worker
WAITING = 320        # requests, of which some are committed while others are signed
THROTTLED_RATE = 100 # calls a second
TOO_MANY = 600       # requests at once, for two seconds of it


@contextlib.contextmanager
def kms(bench, cores, latency_ms=LATENCY_MS, rate=0):
    """Its address."""
    port = free_port()
    with pinned(cores):
        process = subprocess.Popen([bench.build / "bench/bench_kms", str(port), str(int(latency_ms * 1000)), str(rate)])
    try:
        await_port(process, port, "bench_kms")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def beside(bench, name):
    """Another data folder with a client of its own: keys of one signer don't meet those of another."""
    folder = bench.folder / name
    folder.mkdir(exist_ok=True)
    return Bench(bench.build, folder, bench.plan)


def settings(url, key_id, **more):
    return {"KMS_KEY_ID": key_id, "AWS_ENDPOINT_URL_KMS": url, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true",
            "TOKEN_KMS_RATE": "1000000", **more}


def sign_body(bench):
    """A file with a call of Sign."""
    return bench.file("sign", json.dumps({"KeyId": "es256", "Message": "A" * 43 + "=", "MessageType": "DIGEST",
                                          "SigningAlgorithm": "ECDSA_SHA_256"}))


def sign_directly(bench, url):
    """Calls of Sign without the service, one after the other."""
    return bench.load("kms_sign.lua", url + "/", [sign_body(bench)], bench.plan.latency_s, connections=1)


def issue_at_quota(bench, service, issue):
    """A load of that rate, with the service's processor time a token."""
    before_s = service.processor_s()
    load = service.checked(lambda: bench.load("steady.lua", service.url + "/token", [issue, QUOTA],
                                              bench.plan.latency_s, content_type=JSON, connections=STEADY), ISSUED,
                           RECORDED)
    return {**load, "processor_us": (service.processor_s() - before_s) * 1e6 / load["requests"]}


def introspect_meanwhile(bench, service, issue):
    """A light load of introspection on this instance and, in turn, on one that does nothing else, while this one has
    200 calls under way. All of it, KMS too, is on the same cores: the idle instance shows what that alone costs."""
    def ask(where, one):
        body = where.file("body", f"token={one.issue()}")
        return one.checked(lambda: where.load("paced.lua", one.url + "/token/introspect", [body],
                                              where.plan.latency_s, connections=4), ACTIVE)

    elsewhere = beside(bench, "idle")
    with elsewhere.service(bench.cores, TOKEN_SIGNING_ALG="ES256") as idle:
        quiet = ask(bench, service)
        load = bench.start_load("repeat.lua", service.url + "/token", [issue], content_type=JSON, connections=WAITING)
        try:
            time.sleep(0.2)
            references, services = in_turn(bench.plan.turns, lambda: ask(elsewhere, idle), lambda: ask(bench, service))
            end_load(load)
        finally:
            end(load)
    return quiet, references, services


def by_kms(bench):
    """ES256, since nothing here could sign RS256 as often as KMS does."""
    bench = beside(bench, "kms")
    issue = bench.file("issue", json.dumps(ISSUE))

    def issue_alone(service):
        return service.checked(lambda: bench.load("repeat.lua", service.url + "/token", [issue], bench.plan.window_s,
                                                  content_type=JSON, connections=1), ISSUED, RECORDED)

    with kms(bench, bench.cores) as url, \
            bench.service(bench.cores, **settings(url, "es256", TOKEN_SIGNING_ALG="ES256", **ALL_SERVED,
                                                 TOKEN_WORKERS=str(IN_FLIGHT))) as service:
        alone, one = in_turn(bench.plan.turns, lambda: sign_directly(bench, url), lambda: issue_alone(service))
        steady = [issue_at_quota(bench, service, issue) for _ in range(bench.plan.turns)]
        quiet, beside_it, meanwhile = introspect_meanwhile(bench, service, issue)
    processor_us, p50_us = (statistics.median(load[name] for load in steady) for name in ("processor_us", "p50_us"))
    return [Row("issue by KMS, as often as its quota allows", "/s", rates(steady), [QUOTA], "the quota", 0.95, ">=",
                "", f"{processor_us:.0f} µs of processor a token, p50 {p50_us / 1000:.1f} ms"),
            Row("p50 of issuing by KMS, one at a time", "ms", [load["p50_us"] / 1000 for load in one],
                [load["p50_us"] / 1000 for load in alone], "p50 of Sign alone", 1, "+"),
            Row("p99 of introspect while KMS signs", "ms", [load["p99_us"] / 1000 for load in meanwhile],
                [load["p99_us"] / 1000 for load in beside_it], "an idle instance beside", 2, "<=", "",
                f"{quiet['p99_us'] / 1000:.2f} ms before")]


def by_envelope(bench):
    """RS256 with a wrapped key against a key in a file."""
    issue = bench.file("issue", json.dumps(ISSUE))
    local, wrapped = beside(bench, "local"), beside(bench, "envelope")

    def rate(bench, more):
        with bench.service(bench.server_core, TOKEN_LOOPS="1", **ALL_SERVED, **more) as service:
            return service.checked(lambda: bench.load("repeat.lua", service.url + "/token", [issue],
                                                      bench.plan.window_s, content_type=JSON,
                                                      connections=ISSUE_CONNECTIONS), ISSUED, RECORDED)

    with kms(bench, bench.load_core) as url:
        local.settle()
        wrapped.settle(**settings(url, "wrap"))
        references, services = in_turn(bench.plan.turns, lambda: rate(local, {}),
                                       lambda: rate(wrapped, settings(url, "wrap")))
    return [Row("issue with a wrapped key, RS256", "/s", rates(services), rates(references), "a key in a file", 0.97,
                ">=")]


def throttled(bench):
    """As many at once as can be served in time: none may fail. Then many more: the others get 503 with Retry-After."""
    bench = beside(bench, "throttled")
    issue = bench.file("issue", json.dumps(ISSUE))
    with kms(bench, bench.load_core, rate=THROTTLED_RATE) as url, \
            bench.service(bench.server_core, **settings(url, "es256", TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_TIMEOUT="2",
                                                        TOKEN_KMS_RATE=str(THROTTLED_RATE))) as service:
        time.sleep(1)
        seconds = 1 if bench.plan is QUICK else 5
        load = service.checked(lambda: bench.load("repeat.lua", service.url + "/token", [issue], seconds,
                                                  content_type=JSON, connections=THROTTLED_RATE),
                               ISSUED, RECORDED)
        with concurrent.futures.ThreadPoolExecutor(TOO_MANY) as pool:
            answers = list(pool.map(lambda _: issue_or_refusal(service), range(TOO_MANY)))
    refused = [answer for answer in answers if answer != 200]
    if not refused or len(refused) == len(answers):
        raise Unmeasured(f"of {TOO_MANY} requests at once {len(refused)} were refused")
    return [Row(f"issue by KMS that takes {THROTTLED_RATE}/s, none refused", "/s", [load["rate"]], [THROTTLED_RATE],
                "its limit", 0.8, ">="),
            Row(f"of {TOO_MANY} at once, refused with 503 and Retry-After", "", [refused.count("503, later")],
                [len(refused)], "refused", 1, ">=")]


def issue_or_refusal(service):
    """200, or what was said instead."""
    try:
        service.ask("/token", json.dumps(ISSUE))
        return 200
    except urllib.error.HTTPError as error:
        return f"{error.code}, later" if int(error.headers.get("Retry-After", 0)) > 0 else str(error.code)
