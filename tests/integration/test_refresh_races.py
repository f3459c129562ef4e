"""Many who use one refresh token, or one code, at the same moment, on each store: SQLite with its one instance, and
shared ones with three. docs/refresh-tokens.md has the rules; the store decides who is first."""

import hashlib
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import requests

import tokens
from signed_in import KEEPER_SCOPES, SETTINGS, Browser, add_app, ask_token, redeem, refresh, refreshed
from supabase import PROGRAM, Supabase

# of the app that is quick to suspect, and slow enough for a busy machine; and how far instances' clocks may differ
GRACE_S, SKEW_S = 8, 1
SUCCESSORS_MAX = 16  # of one grace period
PATIENCE_S = 60


class Rig:
    """The instances on one store, and who calls them. `rows(kind)`: the bodies of items, past the program."""

    def __init__(self, servers, rows):
        self.servers, self.rows = servers, rows
        first = servers[0]
        self.keeper = first.add_client("keeper", KEEPER_SCOPES)
        self.app = add_app(first, "app", refresh_token_grace=3600)
        self.hasty = add_app(first, "hasty", refresh_token_grace=GRACE_S)
        for server in servers:
            server.secrets |= {self.keeper.secret, self.app.secret, self.hasty.secret}

    def any(self, number):
        return self.servers[number % len(self.servers)]

    def sign_in(self, app):
        return Browser(self.keeper).tokens(self.servers[0], app, f"user-{uuid.uuid4().hex[:8]}")

    def family(self, refresh_token):
        """Its row: the id is the hash of the grant's."""
        return self.rows("grant")[hashlib.sha256(tokens.decode(refresh_token)[:16]).hexdigest()]

    def is_active(self, token):
        """The same at each instance."""
        answers = {server.introspect(self.keeper, token)["active"] for server in self.servers}
        assert len(answers) == 1, answers
        return answers.pop()

    def refused_everywhere(self, token):
        for server in self.servers:
            server.until(lambda server=server: not server.introspect(self.keeper, token)["active"],
                         "a revoked token is still good")

    def at_once(self, count, call):
        """call(server, number), from so many threads that have their connections and begin together."""
        barrier = threading.Barrier(count)

        def one(number):
            server = self.any(number)
            server.get("/health/live")
            barrier.wait(PATIENCE_S)
            return call(server, number)
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))


def generation(refresh_token):
    return int.from_bytes(tokens.decode(refresh_token)[16:20], "big")


def bodies(answers):
    """Of answers that are all good."""
    assert {answer.status_code for answer in answers} == {200}, {answer.text for answer in answers if not answer.ok}
    return [answer.json() for answer in answers]


def of_sqlite(server):
    numbers = {"code": 1, "grant": 2}
    return lambda kind: {item.hex(): json.loads(body) for item, body in server.rows(
        "SELECT id, body FROM items WHERE kind = ? AND body <> ''", numbers[kind])}


def of_postgres(url):
    def rows(kind):
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute("SELECT id, body FROM token_service_items WHERE kind = %s", (kind,)).fetchall()
        return {item: json.loads(body) for item, body in found}
    return rows


def start_together(servers):
    """On one folder of keys."""
    for server in servers[1:]:
        server.data_dir = servers[0].data_dir
        server.settings["TOKEN_DATA_DIR"] = str(servers[0].data_dir)
    for server in servers:
        server.start()
    return servers


@pytest.fixture(scope="module", params=["sqlite", "postgres", "supabase"])
def rig(request, make_server):
    settings = SETTINGS | {"TOKEN_CLOCK_SKEW": SKEW_S, "TOKEN_STORE_TIMEOUT": 20}
    if request.param == "sqlite":
        server = make_server(**settings).start()
        yield Rig([server], of_sqlite(server))
        return
    database = request.getfixturevalue("postgres").database(f"races-{request.param}-{uuid.uuid4().hex[:8]}")
    if request.param == "postgres":
        servers = [make_server(**settings, DATABASE_URL=database) for _ in range(3)]
        yield Rig(start_together(servers), of_postgres(database))
        return
    if not PROGRAM.exists():
        pytest.skip("npm's @supabase/lite is not installed here: `npm ci` in tests/integration")
    supabase = Supabase(database)
    try:
        supabase.start()
        servers = [make_server(**settings, **supabase.settings()) for _ in range(3)]
        for server in servers:
            server.secrets.add(supabase.secret_key)
        yield Rig(start_together(servers), of_postgres(database))
        for server in servers:
            server.stop()
    finally:
        supabase.close()


# --- one refresh token ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("count", [64, 100])
def test_all_who_use_a_token_at_once_get_the_same_successor(rig, count):
    """Several times in a row, so that each generation is a race."""
    live = rig.sign_in(rig.app)["refresh_token"]
    families = len(rig.rows("grant"))
    for number in range(1, 4):
        answers = rig.at_once(count, lambda server, _: refresh(server, rig.app, live))
        came = bodies(answers)
        assert len({each["access_token"] for each in came}) == count
        (successor,) = {each["refresh_token"] for each in came}
        family = rig.family(successor)
        assert (generation(successor), family["rotation_count"]) == (number, number)
        assert family["token_hash"] == hashlib.sha256(successor.encode()).hexdigest()
        assert family["previous_token_hash"] == hashlib.sha256(live.encode()).hexdigest()
        assert "revoked_at" not in family
        live = successor
    assert len(rig.rows("grant")) == families
    assert all(rig.is_active(each["access_token"]) for each in came[:: count // 8])


def test_two_generations_at_once_lead_to_the_live_one(rig):
    """The one who is late and the one who is early, within the grace period."""
    first = rig.sign_in(rig.app)["refresh_token"]
    second = refreshed(rig.any(0), rig.app, first)["refresh_token"]
    came = bodies(rig.at_once(64, lambda server, number: refresh(server, rig.app, first if number % 2 else second)))
    assert {each["refresh_token"] for each in came[1::2]} == {second}
    (third,) = {each["refresh_token"] for each in came[0::2]}
    assert rig.family(third)["rotation_count"] == 2


def wait_until_over(used_at):
    """The grace period, by the clock that all of them have here; shared stores add how far clocks may differ."""
    while time.time() <= used_at + GRACE_S + SKEW_S + 1:
        time.sleep(0.05)


def test_a_reuse_after_the_grace_period_revokes_the_family_for_all(rig):
    """Many reuses at once, beside the rightful holder: nobody gets anything of that family afterwards."""
    begun = rig.sign_in(rig.hasty)
    successor = refreshed(rig.any(0), rig.hasty, begun["refresh_token"])
    again = refresh(rig.any(1), rig.hasty, begun["refresh_token"])
    assert again.json()["refresh_token"] == successor["refresh_token"]
    used_at = rig.family(successor["refresh_token"])["successors"][0]["used_at"]
    wait_until_over(used_at)
    assert rig.is_active(begun["refresh_token"]) is False and rig.is_active(successor["refresh_token"]) is True
    answers = rig.at_once(64, lambda server, _: refresh(server, rig.hasty, begun["refresh_token"]))
    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(400, "invalid_grant")}
    family = rig.family(successor["refresh_token"])
    assert family["revocation_reason"] == "refresh token reused" and family["revoked_at"] > used_at
    for server in rig.servers:
        assert refresh(server, rig.hasty, successor["refresh_token"]).json()["error"] == "invalid_grant"
    for token in (begun["access_token"], successor["access_token"], again.json()["access_token"]):
        rig.refused_everywhere(token)


def test_a_reuse_and_the_live_token_at_once(rig):
    """Whoever is first: in the end the family is revoked, with whatever came of it on the way."""
    begun = rig.sign_in(rig.hasty)
    successor = refreshed(rig.any(0), rig.hasty, begun["refresh_token"])
    wait_until_over(rig.family(successor["refresh_token"])["successors"][0]["used_at"])
    stolen, live = begun["refresh_token"], successor["refresh_token"]
    answers = rig.at_once(64, lambda server, number: refresh(server, rig.hasty, stolen if number % 2 else live))
    assert {answer.status_code for answer in answers[1::2]} == {400}
    assert {answer.status_code for answer in answers[0::2]} <= {200, 400}
    won = [answer.json() for answer in answers[0::2] if answer.status_code == 200]
    assert len({each["refresh_token"] for each in won}) <= 1
    assert rig.family(live)["revoked_at"] > 0
    for each in won[:4]:
        rig.refused_everywhere(each["access_token"])
        assert refresh(rig.any(1), rig.hasty, each["refresh_token"]).status_code == 400


# --- one code -------------------------------------------------------------------------------------------------------

def test_a_code_that_is_used_many_times_at_once_is_good_once(rig):
    """And what the first one got is revoked, since a second one had the code as well (RFC 6749 section 4.1.2)."""
    code = Browser(rig.keeper).code(rig.servers[0], rig.app)
    answers = rig.at_once(64, lambda server, _: redeem(server, rig.app, code))
    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) == 1, [answer.status_code for answer in answers]
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    rig.refused_everywhere(won[0]["access_token"])
    assert refresh(rig.any(2), rig.app, won[0]["refresh_token"]).json()["error"] == "invalid_grant"
    assert rig.family(won[0]["refresh_token"])["revocation_reason"] == "code reused"


# --- ends that all instances must know of ---------------------------------------------------------------------------

def test_a_grant_that_is_revoked_while_it_is_used_is_over(rig):
    """Whoever is first: no token that came of it is good afterwards, at no instance."""
    begun = rig.sign_in(rig.app)
    live = begun["refresh_token"]

    def call(server, number):
        if number == 7:
            return server.post("/token/revoke", auth=rig.app, form={"token": live})
        return refresh(server, rig.app, live)
    answers = rig.at_once(64, call)
    assert answers[7].status_code == 200, answers[7].text
    used = [answer for number, answer in enumerate(answers) if number != 7]
    assert {answer.status_code for answer in used} <= {200, 400}
    won = [answer.json() for answer in used if answer.status_code == 200]
    for each in [begun, *won[:6]]:
        rig.refused_everywhere(each["access_token"])
        assert not rig.is_active(each["refresh_token"])
        for server in rig.servers:
            assert refresh(server, rig.app, each["refresh_token"]).json()["error"] == "invalid_grant"
    assert rig.family(live)["revocation_reason"] == "revoked"


def test_a_session_that_many_end_at_once_is_over_at_all_instances(rig):
    begun = rig.sign_in(rig.app)
    claims = tokens.claims_of(begun["id_token"])
    path = f"/admin/sessions?subject={claims['sub']}"
    for server in rig.servers:
        (shown,) = server.get(path, auth=rig.keeper).json()["sessions"]
        assert (shown["sid"], shown["clients"]) == (claims["sid"], ["app"])
    answers = rig.at_once(16, lambda server, _: server.request("DELETE", f"/admin/sessions/{claims['sid']}",
                                                               auth=rig.keeper))
    assert {answer.status_code for answer in answers} <= {204, 404}
    assert [answer.status_code for answer in answers].count(204) == 1, "it ends once, for who was first"
    for server in rig.servers:
        assert server.get(path, auth=rig.keeper).json() == {"sessions": []}
        server.until(lambda server=server: refresh(server, rig.app, begun["refresh_token"]).status_code == 400,
                     "the refresh token is still good")
    rig.refused_everywhere(begun["access_token"])


# --- an instance that ends in the middle ----------------------------------------------------------------------------

class Holder:
    """A client that goes on with its newest token, and asks again with the same one when no answer came."""

    def __init__(self, rig, number):
        self.rig, self.number, self.uses, self.lost, self.generation = rig, number, 0, 0, 0
        self.token = rig.sign_in(rig.app)["refresh_token"]
        self.access_token = None

    def _ask(self, number):
        try:
            return refresh(self.rig.any(number), self.rig.app, self.token)
        except requests.RequestException:
            self.lost += 1
            return None

    def use(self):
        end = time.monotonic() + PATIENCE_S
        number = self.number
        while not (answer := self._ask(number)):
            assert time.monotonic() < end, "no answer, however often"
            number += 1
        assert answer.status_code == 200, answer.text  # nobody is refused for an answer that was lost
        self.token, self.access_token = answer.json()["refresh_token"], answer.json()["access_token"]
        self.uses += 1
        self.generation = min(self.generation + 1, SUCCESSORS_MAX)  # then it keeps its token for a while
        assert generation(self.token) == self.generation


def hold(holders, uses, stop):
    """Each on a thread, until `stop` is set, and at least so many times."""
    def run(holder):
        while holder.uses < uses or not stop.is_set():
            holder.use()
    pool = ThreadPoolExecutor(len(holders))
    return pool, [pool.submit(run, holder) for holder in holders]


def test_nobody_is_refused_when_an_instance_is_killed_in_the_middle(rig):
    holders = [Holder(rig, number) for number in range(12)]
    stop = threading.Event()
    pool, running = hold(holders, 12, stop)
    victim = rig.servers[-1]
    try:
        for life in range(3):
            goal = 3 * (life + 1)
            victim.until(lambda goal=goal: sum(holder.uses for holder in holders) >= goal * len(holders) or
                         any(each.done() for each in running), "the holders don't come on", PATIENCE_S)
            victim.kill()
            victim.start()
    finally:
        stop.set()
        pool.shutdown()
    for each in running:
        each.result()
    assert sum(holder.lost for holder in holders) > 0, "nobody noticed: the test has tested nothing"
    for holder in holders:
        family = rig.family(holder.token)
        assert (family["rotation_count"], family.get("revoked_at")) == (holder.generation, None)
    assert all(rig.is_active(holder.access_token) for holder in holders[:4])


def test_a_code_that_was_used_when_an_instance_was_killed_is_good_at_most_once(rig):
    """The answer may be lost, but then the code is used up, or it is still good."""
    victim = rig.servers[-1]
    for _ in range(3):
        codes = [Browser(rig.keeper).code(rig.servers[0], rig.app) for _ in range(8)]
        with ThreadPoolExecutor(len(codes)) as pool:
            first = [pool.submit(ask_token, victim, rig.app, code.form()) for code in codes]
            victim.until(lambda first=first: any(each.done() for each in first), "no code was used")
            victim.kill()
        victim.start()
        for code, each in zip(codes, first):
            was_lost = isinstance(each.exception(), requests.RequestException)
            assert was_lost or each.result().status_code == 200
            again = redeem(rig.servers[0], rig.app, code)
            assert again.status_code == 400 or was_lost, "a code was good twice"
