"""A load by bench_load (load.c): requests that are due at times of their own, clients that were refused and come again,
requests of several kinds at once; and what came of it, held to the service's own counters."""
import dataclasses
import json
import subprocess

from harness import ACTIVE, INACTIVE, INVALID, ISSUED, MISS, RECORDED, VALID, Unmeasured, end, pinned

WARM_S = 0.3
FULL = 0.95    # of the load's time
STALLED = 0.03 # likewise
LATE_US = 500 # of what the load sends; later than that, it was the load or the machine that was slow
TAKEN = 0.01   # of the server's core: then no p99 says anything of the server
COUNTERS = {"introspect": [ACTIVE], "new": [ACTIVE, MISS], "verify": [VALID], "issue": [ISSUED, RECORDED]} # of a kind
PATHS = {"introspect": "/token/introspect", "new": "/token/introspect", "verify": "/token/verify", "issue": "/token"}


@dataclasses.dataclass
class Group:
    """Clients with a connection each. rate: so many requests are due in a second; 0: each client asks as soon as it has
    its answer. refused: what a client does then: drop, again, later (after Retry-After)."""
    files: dict                # kind: the file with its body
    clients: int
    rate: float = 0
    refused: str = "drop"
    weights: dict = dataclasses.field(default_factory=dict)

    def arguments(self):
        kinds = (f"{kind},{self.weights.get(kind, 1)},{PATHS[kind]},{file}" for kind, file in self.files.items())
        return ["--", f"{self.rate:.3f}", str(self.clients), self.refused, *kinds]


def ask(bench, port, authorization, seconds, groups, warm_s=WARM_S, awake=True):
    """What came of it, a dict for each group, with `rate` of good answers."""
    command = [bench.build / "bench/bench_load", "awake" if awake else "asleep", str(port), authorization, str(warm_s),
               str(seconds)]
    with pinned(bench.load_core):
        process = subprocess.Popen(command + [word for group in groups for word in group.arguments()],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=seconds + warm_s + 30)
    finally:
        end(process)
    if process.returncode != 0:
        raise Unmeasured(errors.strip() or f"bench_load ended with {process.returncode}")
    result = json.loads(output)
    for group in result["groups"]:
        check(group)
        group.update(rate=group["good"] / seconds, refusals_a_second=group["refused"] / seconds,
                     **{name: result[name] for name in ("late_p99_us", "stalled", "busy")})
    return result["groups"]


def offer(bench, service, seconds, *groups, **options):
    """The same of a service, held to its counters."""
    before = service.counters()
    results = ask(bench, service.port, service.authorization, seconds, groups, **options)
    check_counters(results, before, service.counters())
    return results


def check(group):
    if group["other"] or group["cut_off"] or not group["good"]:
        counts = "good", "refused", "other", "cut_off", "unanswered"
        raise Unmeasured("bench_load: " + ", ".join(f"{group[name]} {name}" for name in counts))
    if group["unhelpful"]:
        raise Unmeasured(f"{group['unhelpful']} refusals without Retry-After")


def check_counters(groups, before, after):
    """As Service.checked: the service itself must have counted each good answer."""
    wanted = {}
    for kind, result in (pair for group in groups for pair in group["kinds"].items()):
        for name in COUNTERS[kind]:
            wanted[name] = wanted.get(name, 0) + result["good"]
    for name, count in wanted.items():
        if after.get(name, 0) - before.get(name, 0) < count:
            raise Unmeasured(f"{count} good answers, but {name} grew by {after.get(name, 0) - before.get(name, 0):.0f}")
    if any(after.get(name, 0) != before.get(name, 0) for name in (INACTIVE, INVALID)):
        raise Unmeasured("good tokens were found bad")


def lateness(*groups):
    """What is to be said of the load itself: a sentence, or nothing."""
    late_us, stalled, busy = (max(group[name] for group in groups) for name in ("late_p99_us", "stalled", "busy"))
    if late_us > LATE_US:
        return f"disturbed: the load itself was {late_us / 1000:.1f} ms late (p99)"
    if stalled > STALLED:
        return f"disturbed: the load was kept from its core for {100 * stalled:.0f} % of the time"
    return "the load's core was full: it may be what bounds this" if busy > FULL else ""


def pauses(bench, seconds):
    """What the machine takes from any program on the server's core while both are busy (pauses.c)."""
    started = []
    for core in (bench.server_core, bench.load_core):
        with pinned(core):
            started.append(subprocess.Popen([bench.build / "bench/bench_pauses", str(seconds)], stdout=subprocess.PIPE))
    try:
        of_server, _ = (json.loads(process.communicate(timeout=seconds + 30)[0]) for process in started)
    finally:
        for process in started:
            end(process)
    return of_server


def taken(*of_server):
    """The same as a sentence, of the worst: what a server that needs no time at all would show."""
    worst = max(of_server, key=lambda each: each["taken"])
    told = (f"the machine took {100 * worst['taken']:.1f} % of the core: by that alone p99 "
            f"{worst['p99_us'] / 1000:.1f}, p99.9 {worst['p999_us'] / 1000:.1f} ms")
    return f"disturbed: {told}" if worst["taken"] > TAKEN else told


def notes(*texts):
    return "; ".join(filter(None, texts))
