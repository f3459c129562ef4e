"""The row of expired records, which must go faster than new ones can come."""
import contextlib
import json
import os
import sqlite3
import statistics

from harness import ISSUE, ISSUE_CONNECTIONS, ISSUED, JSON, RECORDED, Bench, Row, Unmeasured, in_turn, rates

PURGED = "token_service_purged_rows_total"
LEFT_S = 60 # of purging at twice the rate of issuing, more rows lie there than a measurement can purge


class Expired(Bench):
    """A data folder of its own, with keys for ES256: signatures are no limit there."""

    def __init__(self, bench, name):
        folder = bench.folder / name
        folder.mkdir()
        super().__init__(bench.build, folder, bench.plan)
        self.settle()

    def environment(self, **settings):
        return super().environment(TOKEN_SIGNING_ALG="ES256", TOKEN_RECORDS="all", TOKEN_PURGE_INTERVAL="1", **settings)

    def database(self):
        return contextlib.closing(sqlite3.connect(self.data / "token-service.db"))

    def fill(self, count):
        """Rows such as these tokens have, of which the last has expired for days."""
        row = ("j" * 22, ISSUE["subject"], ISSUE["clientId"], ISSUE["scope"], '["bench"]')
        with self.database() as rows, rows:
            rows.execute("DELETE FROM oauth_access_tokens")
            rows.executemany("INSERT INTO oauth_access_tokens(token_hash, jti, subject, client_id, scope, audience, "
                             "issued_at, id) VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
                             ((os.urandom(32), *row, ((number >> 14) << 24) + number) for number in range(count)))

    def left(self):
        with self.database() as rows:
            return rows.execute("SELECT count(*) FROM oauth_access_tokens WHERE id < (1000000000 << 24)").fetchone()[0]


def purging(bench):
    """Issuing on one core, alone and while the records of a million expired tokens are deleted there."""
    alone, full = Expired(bench, "alone"), Expired(bench, "full")
    body, purged = bench.file("issue", json.dumps(ISSUE)), []
    many = int(bench.plan.window_s * LEFT_S * 10000)

    def issue(folder):
        with folder.service(folder.server_core, TOKEN_LOOPS="1") as service:
            before = service.counters()[PURGED]
            load = service.checked(lambda: folder.load("repeat.lua", service.url + "/token", [body],
                                                       folder.plan.window_s, content_type=JSON,
                                                       connections=ISSUE_CONNECTIONS, awake=False), ISSUED, RECORDED)
            load["purged"] = (service.counters()[PURGED] - before) / (load["duration_us"] / 1e6)
        return load

    def issue_beside():
        full.fill(many)
        load = issue(full)
        if full.left() == 0:
            raise Unmeasured("all expired rows were gone before the end")
        purged.append(load["purged"])
        return load

    references, services = in_turn(bench.plan.turns, lambda: issue(alone), issue_beside)
    p99 = [statistics.median(load["p99_us"] for load in loads) / 1000 for loads in (services, references)]
    return [Row("rows purged while issuing, ES256", "/s", purged, rates(services), "tokens issued meanwhile", 2, ">="),
            Row("issue, ES256, while rows are purged", "/s", rates(services), rates(references), "no row expired", 0.8,
                ">=", "", f"p99 {p99[0]:.1f} ms, {p99[1]:.1f} alone")]
