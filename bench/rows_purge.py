"""The rows of ES256, whose signatures cost so little that everything else shows: issuing, and purging beside it."""
import contextlib
import json
import sqlite3
import time

from harness import ISSUE, ISSUE_CONNECTIONS, ISSUED, JSON, Row, Unmeasured, end, end_load, in_turn, issuing, rates
from rows_kms import beside
from rows_oauth import sign_rate

PURGED = "token_service_purged_rows_total"
EXPIRED = 1000000 # rows, which are due while tokens are issued
KEPT_S = 3600     # how long a row is kept after its token's end: STORE_TOKEN_KEPT_S of src/store/store.h
DUE_IN_S = 15     # time to write them, to start, and to look at issuing by itself
PATIENCE_S = 20


def issue_es256(bench):
    """POST /token with its record, as the row of RS256."""
    bench = beside(bench, "es256")
    bench.settle(TOKEN_SIGNING_ALG="ES256")
    references, services = in_turn(bench.plan.turns, lambda: sign_rate(bench, "ES256"), lambda: issuing(
        bench, bench.server_core, TOKEN_LOOPS="1", TOKEN_SIGNING_ALG="ES256"))
    return [Row("issue, ES256, record committed", "/s", rates(services), references, "ES256 sign", 0.5, ">=")]


def add_rows(bench, due_at_s):
    """Rows of access tokens that are to be deleted then, as issuing writes them."""
    with contextlib.closing(sqlite3.connect(bench.data / "token-service.db")) as rows, rows:
        rows.execute("INSERT INTO oauth_access_tokens(id, token_hash, jti, subject, client_id, scope, audience, "
                     "issued_at) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
                     "SELECT (?2 << 24) | i, randomblob(32), printf('%032d', i), ?3, ?4, ?5, ?4, ?2 - 3600 FROM n",
                     (EXPIRED - 1, due_at_s - KEPT_S, ISSUE["subject"], ISSUE["clientId"], ISSUE["scope"]))


def file_bytes(bench):
    """Of the database; what lies in its log comes to it soon."""
    database = f"file:{bench.data / 'token-service.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(database, uri=True)) as rows:
        return rows.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()").fetchone()[0]


class Watched:
    """What a server has done between two looks."""

    def __init__(self, bench, service):
        self.bench, self.service = bench, service

    def look(self):
        counters = self.service.counters()
        return {"at": time.monotonic(), "issued": counters[ISSUED], "purged": counters[PURGED],
                "bytes": file_bytes(self.bench)}

    def over(self, seconds):
        """What a second has of it, on the average."""
        before = self.look()
        time.sleep(seconds)
        after = self.look()
        took_s = after.pop("at") - before["at"]
        return {name: (after[name] - before[name]) / took_s for name in after}

    def await_purging(self):
        deadline = time.monotonic() + PATIENCE_S
        before = self.look()["purged"]
        while self.look()["purged"] == before:
            if time.monotonic() > deadline:
                raise Unmeasured("nothing is purged")
            time.sleep(0.02)


def beside_issuing(bench, service, body, due_at_s):
    """A second of issuing by itself, and of issuing while rows that are due are purged."""
    watched, seconds = Watched(bench, service), bench.plan.window_s
    time.sleep(max(0, due_at_s - time.time() - seconds - 1))
    process = bench.start_load("repeat.lua", service.url + "/token", [body], content_type=JSON,
                               connections=ISSUE_CONNECTIONS)
    try:
        time.sleep(0.5)
        alone = watched.over(seconds)
        watched.await_purging()
        both = watched.over(seconds)
        end_load(process)
    finally:
        end(process)
    if alone["purged"]:
        raise Unmeasured("rows were purged before they were due, or it took long to begin")
    return alone, both


def purge(bench):
    """Rows are due while tokens are issued as fast as they can be: the service must delete faster than it adds."""
    bench = beside(bench, "purge")
    bench.settle(TOKEN_SIGNING_ALG="ES256")
    due_at_s = int(time.time() + DUE_IN_S + bench.plan.window_s)
    add_rows(bench, due_at_s)
    with bench.service(bench.server_core, TOKEN_SIGNING_ALG="ES256", TOKEN_PURGE_INTERVAL="1", TOKEN_RECORDS="all",
                       TOKEN_LOOPS="1") as service:
        alone, both = beside_issuing(bench, service, bench.file("issue", json.dumps(ISSUE)), due_at_s)
    growth, growth_alone = (each["bytes"] / each["issued"] for each in (both, alone))
    return [Row("purging beside issuing, ES256", "/s", [both["purged"]], [both["issued"]], "issued", 2, ">="),
            Row("issue, ES256, beside purging", "/s", [both["issued"]], [alone["issued"]], "alone", 0.9, ">="),
            Row("growth of the file a token, beside purging", "B", [growth], [growth_alone], "alone", 0.1, "<=",
                note="the space of purged rows is used again" if growth <= 0.1 * growth_alone else "")]
