"""The rows of load: more of it than can be served, several kinds at once, and what a light one costs."""
import contextlib
import json
import statistics
import time
from urllib.parse import urlsplit

from harness import FORM, ISSUE, ISSUED, QUICK, Row, Unmeasured, in_turn, rates
from offered import Group, ask, lateness, notes, offer, pauses, taken
from rows import new_bodies

MANY_CONNECTIONS = {"TOKEN_CONNECTIONS": "8192"} # so that only the queue refuses
SERVED = 48             # clients that ask again at once, of whom none has to be refused
CLIENTS = 4000          # of an open loop that is more than can be served: of them some are always free
MIX_SERVED = 16         # likewise, of the mixture
MIXED_CLIENTS = 512     # of one that is less
RETRIERS = (1500, 5000)
TIMES = (2, 5, 20)      # the capacity
BEYOND = 2              # the same, where it is looked at what those wait that are served
MIX = {"introspect": 8, "new": 9, "verify": 2, "issue": 1} # of twenty, as in mixed.lua
SATURATING = 32
PAUSE_S = 0.5           # after a flood: what is queued is served, what was connected is closed


def issue_file(bench):
    return {"issue": bench.file("issue.json", json.dumps(ISSUE))}


def introspect_file(bench, service):
    return {"introspect": bench.file("introspect.form", f"token={service.issue()}")}


@contextlib.contextmanager
def one_core(bench, **settings):
    """A service on one core that knows its client and has begun to work."""
    with bench.service(bench.server_core, TOKEN_LOOPS="1", TOKEN_RECORDS="all", **settings) as service:
        for _ in range(20):
            service.issue()
        yield service


def capacity(bench, service, files, seconds, clients=SERVED, **more):
    """What it serves of clients that wait for their answers, each with one request at a time."""
    result, = offer(bench, service, seconds, Group(files, clients, **more))
    if result["refused"]:
        raise Unmeasured(f"{result['refused']} refused where it was to be seen what can be served")
    return result


# --- more than can be served ------------------------------------------------------------------------------------------

def flood_cases(bench):
    """name: the clients and what they do when they are refused: ask again at once, or after Retry-After; or so many
    times the capacity is due, and who was refused doesn't come again, or after Retry-After."""
    cases = {f"{count:,} clients that ask again at once": (count, 0, "again") for count in RETRIERS}
    if bench.plan is QUICK:
        return cases
    cases |= {f"{count:,} clients, again after Retry-After": (count, 0, "later") for count in RETRIERS}
    for times in TIMES:
        cases[f"{times} times the load"] = CLIENTS, times, "drop"
        cases[f"{times} times the load, again after Retry-After"] = CLIENTS, times, "later"
    return cases


def flood(bench):
    """Good answers a second, of what the same server answers when nobody has to be refused."""
    seconds, files, rows = bench.plan.window_s, issue_file(bench), []
    with one_core(bench, **MANY_CONNECTIONS) as service:
        before = capacity(bench, service, files, seconds)
        for name, (count, times, refused) in flood_cases(bench).items():
            result, = offer(bench, service, seconds, Group(files, count, rate=times * before["rate"], refused=refused),
                            warm_s=seconds / 3)
            time.sleep(0 if bench.plan is QUICK else PAUSE_S)
            after = before if bench.plan is QUICK else capacity(bench, service, files, seconds)
            note = notes(f"{result['refusals_a_second']:,.0f} refusals/s, p99 "
                         f"{result['refusals']['p99_us'] / 1000:.1f} ms", lateness(before, result, after))
            rows.append(Row(f"issue: {name}", "/s", [result["rate"]], rates([before, after]), "capacity", 0.9, ">=",
                            note=note))
            before = after
    return rows


def waiting(bench):
    """What those wait that are served, when twice as much is due as can be; and when the others hear that they aren't.
    From when their requests were due."""
    with one_core(bench, **MANY_CONNECTIONS) as service:
        most = capacity(bench, service, issue_file(bench), bench.plan.window_s)
        results = [offer(bench, service, bench.plan.latency_s,
                         Group(issue_file(bench), CLIENTS, rate=BEYOND * most["rate"]), warm_s=1)[0]
                   for _ in range(bench.plan.turns)]
    late = lateness(most, *results)
    if not all(result["refused"] for result in results):
        raise Unmeasured(f"{BEYOND} times the load, and nothing was refused; {late}")
    return [Row(f"issue at {BEYOND} times the load: what is served, p99", "ms",
                [result["all"]["p99_us"] / 1000 for result in results], [], "", 50, "<", "",
                notes(f"p50 {statistics.median(result['all']['p50_us'] for result in results) / 1000:.1f} ms, "
                      f"{statistics.median(rates(results)) / most['rate']:.2f} of capacity", late)),
            Row(f"issue at {BEYOND} times the load: what is refused, p99", "ms",
                [result["refusals"]["p99_us"] / 1000 for result in results], [], "", 5, "<", "",
                notes(f"{statistics.median(result['refusals_a_second'] for result in results):,.0f} refusals/s", late))]


# --- several kinds ----------------------------------------------------------------------------------------------------

def issue_beside_introspection(bench):
    """Both as fast as they are answered, on one core: what each keeps of what it has by itself."""
    with one_core(bench) as service:
        introspect = Group(introspect_file(bench, service), SATURATING)
        issue = Group(issue_file(bench), SERVED)

        def alone():
            return (offer(bench, service, bench.plan.window_s, introspect)[0],
                    offer(bench, service, bench.plan.window_s, issue)[0])
        references, both = in_turn(bench.plan.turns, alone, lambda: offer(bench, service, bench.plan.latency_s,
                                                                          introspect, issue))
    asked, issued = zip(*both)
    asked_alone, issued_alone = zip(*references)
    late = lateness(*asked, *asked_alone)
    shares = [statistics.median(rates(results)) for results in (asked, asked_alone)]
    return [Row("issue beside saturated introspection", "/s", rates(issued), rates(issued_alone), "alone", 0.3, ">=",
                note=notes(f"introspection keeps {shares[0] / shares[1]:.2f}", late)),
            Row("p99 of introspect, saturated, beside issuing", "ms",
                [result["all"]["p99_us"] / 1000 for result in asked],
                [result["all"]["p99_us"] / 1000 for result in asked_alone], "alone", 3, "<=", note=late)]


def mix_files(bench, service):
    token = service.issue()
    return {"introspect": bench.file("introspect.form", f"token={token}"), "new": new_bodies(bench),
            "verify": bench.file("verify.json", json.dumps({"token": token})), **issue_file(bench)}


def story(results):
    """Of each kind: p50, p99, p99.9."""
    def of(kind):
        return "/".join(f"{statistics.median(result['kinds'][kind][name] for result in results) / 1000:.2f}"
                        for name in ("p50_us", "p99_us", "p999_us"))
    return "p50/p99/p99.9: " + ", ".join(f"{kind} {of(kind)}" for kind in MIX)


def at_share(bench, service, files, rate):
    """So many a second of all kinds; in turn, the same rate of one kind from the constant server, and what the machine
    takes from any program: neither of which is the service's fault."""
    with bench.constant(service.ask("/token/introspect", files["introspect"].read_text(), FORM)) as constant:
        port, one = urlsplit(constant).port, {"introspect": files["introspect"]}

        def reference():
            result, = ask(bench, port, bench.authorization, bench.plan.latency_s,
                          [Group(one, MIXED_CLIENTS, rate=rate)])
            return {**result, "machine": pauses(bench, bench.plan.latency_s)}
        return in_turn(bench.plan.turns, reference,
                       lambda: offer(bench, service, bench.plan.latency_s,
                                     Group(files, MIXED_CLIENTS, rate=rate, weights=MIX))[0])


def mixed_capacity(bench, service, files):
    """Of so few clients that none is refused: else less would be issued, and it would be another mixture."""
    return statistics.median(rates([capacity(bench, service, files, bench.plan.window_s, clients=MIX_SERVED,
                                             weights=MIX) for _ in range(bench.plan.turns)]))


def mixed(bench):
    """All kinds in an open loop, at half and at four fifths of what can be served of that mixture."""
    new_bodies(bench) # makes them by a server of its own
    with one_core(bench) as service:
        files = mix_files(bench, service)
        most = mixed_capacity(bench, service, files)
        half, much = (at_share(bench, service, files, share * most) for share in (0.5, 0.8))

    def row(name, both, percentile, goal, kinds=(), note=""):
        references, services = both
        times = [max(result["kinds"][kind][percentile] for kind in kinds) if kinds else result["all"][percentile]
                 for result in services]
        return Row(f"mixed load, {name}", "ms", [time / 1000 for time in times],
                   [result["all"][percentile] / 1000 for result in references], "constant answer", goal, "<", "",
                   notes(note, taken(*(result["machine"] for result in references)),
                         lateness(*services, *references)))
    return [row("0.5 of capacity, p99", half, "p99_us", 1.5, note=f"{0.5 * most:,.0f}/s; {story(half[1])}"),
            row("0.5 of capacity, p99.9", half, "p999_us", 5),
            row("0.8 of capacity, p99 of introspect", much, "p99_us", 1, ("introspect", "new"), story(much[1])),
            row("0.8 of capacity, p99 of the slowest kind", much, "p99_us", 10, tuple(MIX))]


# --- what a light load costs ------------------------------------------------------------------------------------------

def processor_time(bench):
    """Of an issue, user mode and kernel, at half of what can be served and when all of it is asked for."""
    with one_core(bench) as service:
        def cost(**more):
            before_s, before = service.processor_s(), service.counters()[ISSUED]
            result, = offer(bench, service, bench.plan.latency_s, Group(issue_file(bench), SERVED, **more))
            return {**result, "us": (service.processor_s() - before_s) * 1e6 / (service.counters()[ISSUED] - before)}
        most = cost()["rate"]
        saturated, half = in_turn(bench.plan.turns, cost, lambda: cost(rate=most / 2))
    return [Row("processor time of an issue, RS256, half load", "µs", [result["us"] for result in half],
                [result["us"] for result in saturated], "saturated", 320, "<", note=notes(
                    f"{most / 2:,.0f}/s", lateness(*half)))]
