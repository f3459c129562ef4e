"""Events out: what the bus hears, when it is told, and that nothing is lost when it, the store or the service goes."""

import hashlib
import json
import random
import re
import threading
import time
import uuid

import pytest

import tokens
from eventbridge import BUS, ENTRIES_MAX, SOURCE, TYPES, EventBridge, Moto
from postgres import rows
from service import TOKEN, TOKEN_START

ID = re.compile("[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def bus():
    made = EventBridge()
    yield made
    made.down()


@pytest.fixture
def start(make_server, bus):
    """start(TOKEN_X=…): a server with this bus, and its client. It ends with the test."""
    made = []

    def begin(**settings):
        server = make_server(**bus.environment(TOKEN_SIGNING_ALG="ES256", **settings)).start()
        server.secrets |= bus.credentials.secrets
        made.append(server)
        return server, server.add_client("agent")

    yield begin
    for server in made:
        server.session.close()
        server.stop()


def told_of(bus, *types):
    """The events of these types, each once: a call whose answer was late is made again."""
    return [event for event in bus.first_times() if event.type in types]


def heard(bus, count, *types):
    """The same, once there are so many."""
    end = time.monotonic() + 120
    while len(found := told_of(bus, *types)) < count:
        assert time.monotonic() < end, f"{len(found)} of {count}: {bus.taken[-3:]}"
        time.sleep(0.02)
    return found


def empty(server):
    """Waits until the outbox is, and says so: its length is looked at now and then."""
    server.until(lambda: server.rows("SELECT count(*) FROM events") == [(0,)], "the outbox does not empty", 60)
    server.until(lambda: server.metric("events_outbox_length") == 0 and server.metric("events_queue") == 0,
                 "the outbox is not said to be empty", 60)


# --- doctor ---------------------------------------------------------------------------------------------------------

def findings(server, expect, **settings):
    before, server.settings = server.settings, server.settings | settings
    try:
        (found,) = [each for each in json.loads(server.run("doctor", "--json", expect=expect).stdout)
                    if each["check"] == "events"]
    finally:
        server.settings = before
    return found["ok"], found["detail"]


def test_the_doctor_tries_the_bus_and_puts_nothing(start, bus):
    server, _ = start()
    server.settled()
    empty(server)
    told = bus.events()
    assert findings(server, 0) == (True, "eventbridge: this service may put events there; only its rules show who "
                                         "hears of them")
    assert bus.events() == told and len(bus.asked) == len(told) + 1
    assert (bus.asked[-1]["Source"], bus.asked[-1]["Detail"]) == (SOURCE, "none")
    assert findings(server, 3, EVENT_BUS_NAME="another") == (False, "EventBridge refuses events for this bus; the log "
                                                                    "has its code")
    assert "none" in findings(server, 0, EVENT_BUS_NAME="")[1]
    bus.whole = lambda _: "AccessDeniedException"
    assert findings(server, 3) == (False, "EventBridge denies access to the bus: see the permissions of "
                                          "events:PutEvents")
    bus.heal()
    bus.entry = lambda _: "NotAuthorizedForSourceException"
    assert "denies access" in findings(server, 3)[1]
    bus.down()
    good, why = findings(server, 3)
    assert not good and f"127.0.0.1:{bus.port}" in why


# --- what is told ---------------------------------------------------------------------------------------------------

def test_an_issued_token_is_told_with_its_hash(start, bus):
    server, agent = start()
    issued = {kind: server.issue(agent, subject="reader-1", scope="stories:read" if kind != "id" else "",
                                 tokenType=kind) for kind in ("access", "refresh", "id")}
    told = {event.detail["tokenType"]: event for event in heard(bus, 3, "token_generated")}
    for kind, answer in issued.items():
        assert told[kind].detail == {"eventId": told[kind].id, "tokenHash": hash_of(answer["token"]),
                                     "tokenType": kind, "subject": "reader-1", "clientId": "agent",
                                     "expiresAt": answer["expiresAt"]}
        assert told[kind].at == answer["claims"]["iat"]
        assert ID.fullmatch(told[kind].id) and TIME.fullmatch(told[kind].detail["expiresAt"])
    (entry, *_) = bus.asked
    assert (entry["Source"], entry["EventBusName"]) == (SOURCE, BUS)


def test_a_revocation_is_told_after_its_token(start, bus):
    server, agent = start()
    token = server.token(agent)
    assert server.revoke(agent, token, reason="lost phone").status_code == 200
    (revoked,) = heard(bus, 1, "token_revoked")
    assert revoked.detail == {"eventId": revoked.id, "tokenHash": hash_of(token), "reason": "lost phone"}
    bus.check_order()
    assert server.revoke(agent, tokens.flip(token, -1)).status_code == 200  # no token of ours: nothing to tell
    assert server.post("/admin/revocations", auth=agent, json={"subject": "reader-9", "reason": "left"}).status_code \
        == 200
    rule = heard(bus, 2, "token_revoked")[-1].detail
    assert (rule["kind"], rule["target"], rule["reason"]) == ("subject", "reader-9", "left")
    assert TIME.fullmatch(rule["before"])


def test_a_failed_verification_is_told_by_its_reason(start, bus):
    server, agent = start()
    token = server.token(agent)
    assert server.verify(agent, token).status_code == 200
    assert server.verify(agent, tokens.flip(token, -5)).status_code == 401
    server.revoke(agent, token)
    assert server.verify(agent, token).status_code == 401
    assert server.verify(agent, "nonsense").status_code == 401
    told = [event.detail for event in heard(bus, 3, "token_verification_failed")]
    assert [detail["error"] for detail in told] == ["signature", "revoked", "malformed"]
    assert all(detail.keys() == {"eventId", "error"} for detail in told)


def test_new_keys_are_told(start, bus):
    server, agent = start()
    server.settled()
    (old,) = server.kids("active")
    assert server.post("/admin/rotate-keys", auth=agent, json={"immediate": True}).status_code == 200

    def of_old():
        return [event.detail for event in told_of(bus, "keys_rotated") if event.detail.get("oldKeyId") == old]

    server.until(of_old, "the rotation is not told")
    (rotated,) = of_old()
    assert rotated["newKeyId"] in server.kids("active") and rotated["transition"] == "activated"
    assert all(ID.fullmatch(event.id) for event in bus.events("keys_rotated"))
    transitions = [event.detail["transition"] for event in bus.first_times() if event.type == "keys_rotated"]
    assert transitions[:3] == ["activated", "published", "activated"]  # in their order


def test_what_users_are_given_and_lose_is_told(make_provider, bus):
    provider = make_provider(**bus.environment(TOKEN_SIGNING_ALG="ES256")).start()
    provider.add_user("ada")
    party = provider.add_party("app")
    answer = party.get_tokens(scope="openid offline_access")
    told = {event.detail["tokenType"]: event.detail for event in heard(bus, 3, "token_generated")}
    assert told["access"]["tokenHash"] == hash_of(answer["access_token"])
    assert told["id"]["tokenHash"] == hash_of(answer["id_token"])
    assert told["refresh"]["clientId"] == "app" and told["refresh"]["subject"] == told["id"]["subject"]
    grant = told["refresh"]["tokenHash"]
    assert provider.post("/token/revoke", auth=party.client,
                         form={"token": answer["refresh_token"]}).status_code == 200
    revoked = heard(bus, 1, "token_revoked")[0]
    assert revoked.hash == grant, "a grant's refresh tokens go by one hash"
    no_tokens_in(bus, [answer["access_token"], answer["id_token"], answer["refresh_token"]])


def no_tokens_in(bus, known):
    text = json.dumps([event.detail for event in bus.events()])
    assert not TOKEN.search(text) and not TOKEN_START.search(text)
    for token in known:
        assert not [part for part in token.split(".") if len(part) > 8 and part in text]


def test_no_event_holds_a_token(start, bus):
    """Nor does the log, as is seen when the server ends."""
    server, agent = start()
    token, other = server.token(agent), server.token(agent)
    assert server.revoke(agent, token, reason="stolen: " + other[:240]).status_code == 200
    assert server.revoke(agent, other, reason="a.b.c is no token").status_code == 200
    server.verify(agent, token)
    reasons = {event.hash: event.detail["reason"] for event in heard(bus, 2, "token_revoked")}
    assert reasons == {hash_of(token): "revoked", hash_of(other): "a.b.c is no token"}
    heard(bus, 1, "token_verification_failed")
    no_tokens_in(bus, [token, other])


def test_without_a_bus_there_is_nothing_of_it(make_server, bus):
    settings = bus.environment(TOKEN_SIGNING_ALG="ES256")
    del settings["EVENT_BUS_NAME"]
    server = make_server(**settings).start()
    agent = server.add_client("agent")
    token = server.token(agent)
    server.revoke(agent, token)
    server.verify(agent, token)
    assert "events_outbox_length" not in server.get("/metrics").text
    assert {row[0] for row in server.rows("SELECT type FROM events")} <= {"keys_rotated"}
    assert bus.calls == 0
    server.stop()


def test_a_command_beside_the_server_is_told_of_too(start, bus):
    server, _ = start()
    token = json.loads(server.run("token", "issue", "--client", "agent", "--json").stdout)["token"]
    server.tokens.add(token)
    assert hash_of(token) in {event.hash for event in heard(bus, 1, "token_generated")}


def test_an_issue_costs_one_more_row(start, bus):
    """In the transaction of the token's own record."""
    server, agent = start()
    bus.down()
    before = server.metric("commits_total"), server.metric("committed_records_total")
    server.token(agent)
    assert (server.metric("commits_total"), server.metric("committed_records_total")) == (before[0] + 1, before[1] + 1)
    assert server.rows("SELECT count(*) FROM events WHERE type = 'token_generated'") == [(1,)]


# --- a bus that fails -----------------------------------------------------------------------------------------------

def work(server, agent, count, every=2):
    """Issues so many tokens, and revokes some: the hashes of each."""
    issued, revoked = set(), set()
    for number in range(count):
        token = server.token(agent, subject=f"reader-{number}")
        issued.add(hash_of(token))
        if number % every == 0:
            assert server.revoke(agent, token).status_code == 200
            revoked.add(hash_of(token))
    return issued, revoked


def all_heard(bus, issued, revoked):
    """There may be events of more: of tokens whose answer was cut off."""
    end = time.monotonic() + 120
    while missing := (issued - bus.hashes("token_generated")) | (revoked - bus.hashes("token_revoked")):
        assert time.monotonic() < end, missing
        time.sleep(0.02)
    bus.check_order()


def test_entries_that_are_not_taken_are_put_again(start, bus):
    server, agent = start()
    chance = random.Random(7)
    bus.entry = lambda _: chance.choice([None] * 8 + ["ThrottlingException", "InternalFailure"])
    issued, revoked = work(server, agent, 40)
    all_heard(bus, issued, revoked)
    empty(server)
    assert server.metric("events_total", result="throttled") > 0 and server.metric("events_total", result="failed") > 0
    assert server.metric("events_total", result="published") >= len(issued) + len(revoked)


def test_one_that_is_refused_holds_back_its_own_token_alone(start, bus):
    server, agent = start()
    bad = server.token(agent, subject="bad")
    bus.entry = lambda entry: "MalformedDetail" if hash_of(bad) in entry["Detail"] else None
    server.revoke(agent, bad)
    issued, revoked = work(server, agent, 20)
    all_heard(bus, issued, revoked)
    server.until(lambda: server.metric("events_total", result="refused") > 0, "nothing was refused")
    server.until(lambda: {json.loads(row[0]).get("tokenHash") for row in server.rows("SELECT detail FROM events")} ==
                 {hash_of(bad)}, "others wait too")


@pytest.mark.parametrize("fault", ["ThrottlingException", (500, "InternalFailure"), "AccessDeniedException",
                                   (503, "ServiceUnavailable")])
def test_a_bus_that_fails_as_a_whole_hears_of_it_later(start, bus, fault):
    server, agent = start()
    bus.whole = lambda _: fault
    issued, revoked = work(server, agent, 6)
    server.until(lambda: server.metric("events_outbox_length") > 0 and
                 server.metric("dependency_errors_total", dependency="eventbridge") > 0, "it does not fail", 30)
    assert server.told("event_bus_failing")
    calls = bus.calls
    assert server.issue(agent)["token"], "the service goes on"
    assert server.get("/health/ready").status_code == 200
    bus.heal()
    all_heard(bus, issued, revoked)
    assert server.told("event_bus_recovered")
    assert bus.calls > calls


def test_a_bus_that_hangs_holds_up_nobody(start, bus):
    server, agent = start()
    bus.delay_s = 600
    issued, revoked = work(server, agent, 10)
    server.until(lambda: bus.calls > 0, "it is not called")
    more, others = work(server, agent, 10)
    server.until(lambda: server.metric("events_oldest_seconds") > 0, "the outbox has no age", 30)
    bus.heal()
    all_heard(bus, issued | more, revoked | others)


def test_what_was_taken_and_not_answered_is_told_again_by_the_same_name(start, bus):
    server, agent = start()
    bus.drop = "after"
    token = server.token(agent)
    heard(bus, 1, "token_generated")
    bus.heal()
    server.until(lambda: len(bus.events("token_generated")) > 1, "it is not told again", 30)
    assert len({event.id for event in bus.events("token_generated")}) == 1
    assert bus.events("token_generated")[0].hash == hash_of(token)
    empty(server)


def test_a_clock_that_is_wrong_is_mended(start, bus):
    bus.clock_s = 3600
    server, agent = start()
    issued, revoked = work(server, agent, 4)
    all_heard(bus, issued, revoked)
    assert server.told("clock_corrected")


def test_failed_verifications_are_bounded_in_memory(start, bus):
    server, agent = start()
    bus.down()
    for _ in range(1030):
        assert server.verify(agent, "nonsense").status_code == 401
    server.until(lambda: server.metric("events_total", result="dropped") >= 6, "none is dropped")  # or is being put
    assert server.metric("events_queue") <= 1024
    bus.up()
    heard(bus, 1000, "token_verification_failed")
    empty(server)


# --- kill -9 --------------------------------------------------------------------------------------------------------

class Load(threading.Thread):
    """Issues and revokes until the connection breaks; keeps what was acknowledged."""

    def __init__(self, server, agent):
        super().__init__()
        self.server, self.agent = server, agent
        self.issued, self.revoked, self.ended = set(), set(), False

    def run(self):
        try:
            while not self.ended:
                token = self.server.token(self.agent, subject=uuid.uuid4().hex)
                self.issued.add(hash_of(token))
                if len(self.issued) % 3 == 0 and self.server.revoke(self.agent, token).status_code == 200:
                    self.revoked.add(hash_of(token))
        except (OSError, AssertionError):
            pass  # killed


def load_until(server, agent, moment):
    loads = [Load(server, agent) for _ in range(3)]
    for load in loads:
        load.start()
    moment(loads)
    server.kill()
    for load in loads:
        load.ended = True
        load.join(60)
        assert not load.is_alive()
    issued = set().union(*(load.issued for load in loads))
    assert issued, "no load came about"
    return issued, set().union(*(load.revoked for load in loads))


def test_kill_9_between_commit_and_publication_loses_nothing(start, bus):
    """First nothing is published before the kill; then it comes in the midst of publishing."""
    server, agent = start()
    issued, revoked = set(), set()
    bus.down()
    for number in range(6):
        def moment(loads, number=number):
            server.until(lambda: all(len(load.issued) > 5 for load in loads), "no load comes about")
            if number > 0:
                seen = bus.calls
                server.until(lambda: bus.calls > seen, "nothing is published")
                time.sleep(random.uniform(0, 0.1))
        fresh, gone = load_until(server, agent, moment)
        issued |= fresh
        revoked |= gone
        if number == 0:
            bus.up()
            bus.delay_s = 0.03
        server.start()
    all_heard(bus, issued, revoked)
    empty(server)


# --- instances that share a store -----------------------------------------------------------------------------------

@pytest.fixture(params=["postgres", "supabase"])
def shared(request, postgres, make_supabase):
    """The settings of a shared store, and the URL of its database."""
    url = postgres.database(f"events-{uuid.uuid4().hex[:8]}")
    return ({"DATABASE_URL": url} if request.param == "postgres" else make_supabase(url).settings()), url


@pytest.fixture
def pair(make_server, bus, shared):
    """Two servers on one store and one folder of keys, and their client."""
    settings, _ = shared
    servers = [make_server(**bus.environment(TOKEN_SIGNING_ALG="ES256", **settings)) for _ in range(2)]
    servers[1].data_dir = servers[0].data_dir
    servers[1].settings["TOKEN_DATA_DIR"] = str(servers[0].data_dir)
    for server in servers:
        server.secrets |= bus.credentials.secrets
        server.start()
    yield servers, servers[0].add_client("agent")
    for server in servers:
        server.session.close()
        server.stop()


def test_instances_tell_once_and_in_order(pair, bus, shared):
    (one, other), agent = pair
    issued = set()
    for number in range(30):
        token = (one, other)[number % 2].token(agent, subject=f"reader-{number}")
        issued.add(hash_of(token))
        assert (other, one)[number % 2].revoke(agent, token).status_code == 200
    all_heard(bus, issued, issued)
    one.until(lambda: rows(shared[1], "SELECT count(*) FROM token_service_events") == [(0,)], "the outbox is not empty")
    told = [event.id for event in bus.events("token_generated", "token_revoked")]
    assert len({*told}) == 60
    assert len(told) <= 60 + ENTRIES_MAX, "with nothing wrong, once is enough, but for a call whose answer was late"
    keys = [event.detail["transition"] for event in bus.first_times() if event.type == "keys_rotated"]
    assert keys[:1] == ["activated"]


def test_an_instance_that_is_killed_is_followed_by_the_other(pair, bus, shared):
    (one, other), agent = pair
    bus.delay_s = 0.02
    chance = random.Random(11)
    bus.entry = lambda _: chance.choice([None, None, None, "ThrottlingException"])
    issued, revoked = set(), set()
    for _ in range(3):
        def moment(loads):
            seen = bus.calls
            one.until(lambda: all(len(load.issued) > 5 for load in loads) and bus.calls > seen, "no load comes about")
        fresh, gone = load_until(one, agent, moment)
        issued |= fresh
        revoked |= gone
        more, others = work(other, agent, 5)
        issued |= more
        revoked |= others
        one.start()
    bus.heal()
    all_heard(bus, issued, revoked)
    one.until(lambda: rows(shared[1], "SELECT count(*) FROM token_service_events") == [(0,)],
              "the outbox is not empty", 60)


def test_a_request_that_is_overtaken_tells_nothing(make_provider, bus, postgres):
    """A code that is redeemed many times at once gives one grant, and one event of each of its tokens."""
    url = postgres.database(f"events-{uuid.uuid4().hex[:8]}")
    provider = make_provider(**bus.environment(TOKEN_SIGNING_ALG="ES256", DATABASE_URL=url)).start()
    provider.add_user("ada")
    party = provider.add_party("app")
    left = party.log_in(provider.browser(), scope="openid offline_access")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(party.redeem(left))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (good,) = [answer.json() for answer in answers if answer.status_code == 200]
    heard(bus, 3, "token_generated")
    heard(bus, 1, "token_revoked")  # by those who came later
    provider.until(lambda: rows(url, "SELECT count(*) FROM token_service_events") == [(0,)],
                   "the outbox is not empty", 60)
    issued = {event.detail["tokenType"]: event.hash for event in bus.first_times() if event.type == "token_generated"}
    assert len([event for event in bus.first_times() if event.type == "token_generated"]) == 3
    assert (issued["access"], issued["id"]) == (hash_of(good["access_token"]), hash_of(good["id_token"]))
    assert bus.hashes("token_revoked") == {issued["refresh"]}
    bus.check_order()


# --- somebody else's EventBridge ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def moto():
    made = Moto()
    made.events.create_event_bus(Name=BUS)
    yield made
    made.stop()


def each_once(messages):
    """A call whose answer was late is made again."""
    return {message["detail"]["eventId"]: message for message in messages}.values()


def test_moto_takes_the_events_and_routes_them_by_a_rule(moto, make_server):
    revocations = moto.queue_of({"source": [SOURCE], "detail-type": ["token_revoked"]})
    everything = moto.queue_of({"source": [SOURCE]})
    readers = moto.queue_of({"detail": {"subject": [{"prefix": "reader-"}]}})
    bus = EventBridge(moto.port)
    try:
        server = make_server(**bus.environment(TOKEN_SIGNING_ALG="ES256")).start()
        agent = server.add_client("agent")
        token = server.token(agent, subject="reader-1")
        server.token(agent)
        server.revoke(agent, token, reason="lost")
        server.verify(agent, token)
        heard(bus, 1, "token_verification_failed")
        heard(bus, 1, "token_revoked")
        heard(bus, 2, "token_generated")
        empty(server)
    finally:
        bus.down()
    (revoked,) = each_once(moto.messages(revocations))
    assert revoked["source"] == SOURCE and revoked["detail"]["tokenHash"] == hash_of(token)
    assert [message["detail"]["subject"] for message in each_once(moto.messages(readers))] == ["reader-1"]
    assert {message["detail-type"] for message in moto.messages(everything)} == TYPES


def test_the_doctor_puts_nothing_on_motos_bus(moto, make_server):
    bus = EventBridge(moto.port)
    queue = moto.queue_of({"detail-type": ["token_generated"]})
    try:
        server = make_server(**bus.environment(TOKEN_SIGNING_ALG="ES256")).start()
        server.settled()
        assert findings(server, 0)[0] and [entry for entry in bus.asked if entry["Detail"] == "none"]
        assert not moto.messages(queue)
    finally:
        bus.down()


def test_a_bus_that_does_not_exist_keeps_the_events(moto, make_server):
    bus = EventBridge(moto.port)
    try:
        server = make_server(**bus.environment(TOKEN_SIGNING_ALG="ES256", EVENT_BUS_NAME="none")).start()
        agent = server.add_client("agent")
        server.token(agent)
        why = server.told("event_bus_failing")[0]["why"]
        assert "EventBridge refused" in why
        assert server.told("eventbridge_error")[0]["code"] == "ResourceNotFoundException"
        server.until(lambda: server.metric("events_outbox_length") > 0, "the outbox is empty")
    finally:
        bus.down()
