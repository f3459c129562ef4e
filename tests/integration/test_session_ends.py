"""How sessions end, over every store and two instances where they share one: unused, by their user, by an
administrator; and what becomes of their grants (OpenID Connect Back-Channel Logout 1.0 section 2.7)."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import tokens
from clock import LIBRARY, Clock
from postgres import rows
from signed_in import KEEPER_SCOPES, SETTINGS, USER_SCOPES, Browser, add_app, refresh, refreshed
from supabase import PROGRAM, Supabase

SESSIONS = "/admin/sessions"
SHORT_S = 8  # a busy machine signs in within it
IDLE_S = 7200  # by default
STEP_S = IDLE_S // 10


class Site:
    """Instances on one store, who calls them, and what the store says. `ask(query)` goes past the program."""

    def __init__(self, servers, sessions):
        for server in servers[1:]:
            server.data_dir = servers[0].data_dir
            server.settings["TOKEN_DATA_DIR"] = str(server.data_dir)
        for server in servers:
            server.start()
        self.servers, self.sessions = servers, sessions
        self.keeper = servers[0].add_client("keeper", KEEPER_SCOPES)
        self.app = add_app(servers[0], "app")
        self.plain = add_app(servers[0], "plain", "stories:read")  # OAuth alone: a refresh token needs no scope there
        for server in servers:
            server.secrets |= {self.keeper.secret, self.app.secret, self.plain.secret}

    def everywhere(self, condition, otherwise):
        for server in self.servers:
            server.until(lambda server=server: condition(server), otherwise)

    def shown(self, sid, server=None):
        return (server or self.servers[-1]).get(f"{SESSIONS}/{sid}", auth=self.keeper)

    def is_refused(self, server, app, token):
        answer = refresh(server, app, token)
        return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


def sid_of(grant):
    return tokens.claims_of(grant["id_token"])["sid"]


def of_database(url):
    """Of each session that the store has: its version and its end."""
    return lambda sid: rows(url, "SELECT version, extract(epoch FROM expires_at)::bigint FROM token_service_items "
                                 "WHERE kind = 'session' AND sid = %s AND body <> ''", sid)


def of_file(server):
    return lambda sid: server.rows("SELECT version, expires_at FROM items WHERE kind = 3 AND sid = ? AND body <> ''",
                                   sid)


@pytest.fixture(scope="module", params=["sqlite", "postgres", "supabase"])
def sites(request, make_server):
    """sites(TOKEN_X=…): a site on that kind of store."""
    supabases, servers = [], []

    def start(**more):
        settings = SETTINGS | more
        if request.param == "sqlite":
            servers.append(make_server(**settings))
            return Site(servers[-1:], of_file(servers[-1]))
        url = request.getfixturevalue("postgres").database(f"ends-{request.param}-{uuid.uuid4().hex[:8]}")
        if request.param == "postgres":
            settings |= {"DATABASE_URL": url}
        else:
            supabases.append(Supabase(url))
            settings |= supabases[-1].start().settings()
        servers.extend(make_server(**settings) for _ in range(2))
        for server in servers:
            server.secrets |= {each.secret_key for each in supabases}
        return Site(servers[-2:], of_database(url))

    if request.param == "supabase" and not PROGRAM.exists():
        pytest.skip("npm's @supabase/lite is not installed here: `npm ci` in tests/integration")
    try:
        yield start
        for server in servers:
            server.stop()
    finally:
        for supabase in supabases:
            supabase.close()


@pytest.fixture(scope="module")
def site(sites):
    return sites()


@pytest.fixture(scope="module")
def brief(sites):
    return sites(TOKEN_SESSION_IDLE=SHORT_S)


def user():
    return f"user-{uuid.uuid4().hex[:8]}"


# --- unused ---------------------------------------------------------------------------------------------------------

def test_a_session_that_nobody_uses_is_over(brief):
    """At each instance; and a browser that comes back has to log in."""
    browser, ada = Browser(brief.keeper), user()
    grant = browser.tokens(brief.servers[0], brief.app, ada)
    sid = sid_of(grant)
    begun_at = tokens.claims_of(grant["id_token"])["auth_time"]
    brief.everywhere(lambda server: brief.shown(sid, server).status_code == 404, "it lies unused for ever")
    assert time.time() >= begun_at + SHORT_S
    assert sid_of(browser.tokens(brief.servers[-1], brief.app, ada)) != sid
    assert refresh(brief.servers[0], brief.app, grant["refresh_token"]).status_code == 200, "its grant is none the less"


def test_who_comes_back_late_to_log_out_ends_what_came_of_the_session(brief):
    browser = Browser(brief.keeper)
    grant = browser.tokens(brief.servers[0], brief.app, user(), "openid")
    brief.everywhere(lambda server: brief.shown(sid_of(grant), server).status_code == 404, "it lies unused for ever")
    assert brief.servers[-1].is_active(brief.keeper, grant["access_token"])
    browser.log_out(brief.servers[0], grant["id_token"])
    brief.everywhere(lambda server: not server.is_active(brief.keeper, grant["access_token"]),
                     "a token of the session is still good")


def test_uses_cost_a_write_a_tenth_of_the_idle_time(site):
    browser, ada = Browser(site.keeper), user()
    sid = sid_of(browser.tokens(site.servers[0], site.app, ada))
    ((version, end),) = site.sessions(sid)
    shown = site.shown(sid).json()
    assert shown["idle_expires_at"] == shown["begun_at"] + IDLE_S < shown["expires_at"] == end
    for number in range(12):
        assert sid_of(browser.tokens(site.servers[number % len(site.servers)], site.app, ada)) == sid
    assert site.sessions(sid) == [(version, end)]


def test_a_use_moves_the_idle_end_and_a_refresh_does_not(make_server, tmp_path):
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")
    clock = Clock(tmp_path)
    site = Site([make_server(**SETTINGS, **clock.settings)], None)
    (server,) = site.servers
    browser = Browser(site.keeper)
    grant = browser.tokens(server, site.app)
    sid = sid_of(grant)
    first = site.shown(sid).json()
    clock.set(STEP_S + 60)  # whatever a slow test takes is less than the rest of a step
    refreshed(server, site.app, grant["refresh_token"])
    assert site.shown(sid).json() == first, "a program that runs is no user who is there"
    assert sid_of(browser.tokens(server, site.app)) == sid
    second = site.shown(sid).json()
    moved_s = second["idle_expires_at"] - first["idle_expires_at"]
    assert STEP_S + 60 <= moved_s < 2 * STEP_S
    assert second == first | {"idle_expires_at": second["idle_expires_at"]}
    clock.set(IDLE_S + 60)  # when it would be over, unused
    assert sid_of(browser.tokens(server, site.app)) == sid
    clock.set(2 * IDLE_S + 120)
    assert site.shown(sid).status_code == 404
    assert sid_of(browser.tokens(server, site.app)) != sid


def test_a_session_of_a_length_that_the_login_asked_for_has_no_idle_end(site):
    grant = Browser(site.keeper).tokens(site.servers[0], site.app, user(), remember_for=30 * 86400)
    shown = site.shown(sid_of(grant)).json()
    assert shown["expires_at"] == shown["begun_at"] + 30 * 86400 and "idle_expires_at" not in shown


# --- by its user ----------------------------------------------------------------------------------------------------

def names_a_session(server, app, token):
    came = refreshed(server, app, token)
    return any("sid" in tokens.claims_of(came[name]) for name in ("access_token", "id_token"))


def test_grants_with_offline_access_outlive_a_logout_and_no_others(site):
    browser, ada = Browser(site.keeper), user()
    kept = browser.tokens(site.servers[0], site.app, ada)
    ends = browser.tokens(site.servers[0], site.plain, ada, scope="stories:read")
    sid = sid_of(kept)
    assert tokens.claims_of(kept["access_token"])["sid"] == tokens.claims_of(ends["access_token"])["sid"] == sid
    browser.log_out(site.servers[0], kept["id_token"])
    for server in site.servers:
        came = refreshed(server, site.app, kept["refresh_token"])  # at once, also where nobody has heard of the logout
        assert tokens.claims_of(came["access_token"])["sub"] == ada
    for each in (kept, ends):
        site.everywhere(lambda server, each=each: not server.is_active(site.keeper, each["access_token"]),
                        "a token of the session is still good")
    site.everywhere(lambda server: site.is_refused(server, site.plain, ends["refresh_token"]), "its grant goes on")
    site.everywhere(lambda server: not names_a_session(server, site.app, kept["refresh_token"]),
                    "a new token is of a session that has ended")
    came = refreshed(site.servers[-1], site.app, kept["refresh_token"])
    for server in site.servers:
        assert server.is_active(site.keeper, came["access_token"])
        assert server.is_active(site.keeper, came["refresh_token"])
        assert server.get("/userinfo", auth=came["access_token"]).json()["sub"] == ada
        assert site.shown(sid, server).status_code == 404
    again = browser.tokens(site.servers[0], site.app, ada)
    assert sid_of(again) != sid


def refresh_until(site, app, token, is_over):
    """Again and again, at all instances by turns; the answers."""
    answers = []
    while not is_over():
        answers.append(refresh(site.servers[len(answers) % len(site.servers)], app, token))
        if answers[-1].status_code == 200:
            token = answers[-1].json()["refresh_token"]
    return answers


def while_refreshing(site, grants, act):
    """act() when each has been refreshed, and until it has been again: the answers of each."""
    over = []
    with ThreadPoolExecutor(len(grants)) as pool:
        running = [pool.submit(refresh_until, site, site.app, grant["refresh_token"], lambda: bool(over))
                   for grant in grants]
        try:
            refreshed(site.servers[0], site.app, grants[0]["refresh_token"])
            act()
            refresh(site.servers[0], site.app, grants[0]["refresh_token"])
        finally:
            over.append(True)
        return [each.result() for each in running]


def test_nobody_is_refused_who_refreshes_while_the_user_logs_out(site):
    browser, ada = Browser(site.keeper), user()
    grants = [browser.tokens(site.servers[0], site.app, ada) for _ in range(4)]
    came = while_refreshing(site, grants, lambda: browser.log_out(site.servers[0], grants[0]["id_token"]))
    assert {answer.status_code for answers in came for answer in answers} == {200}
    last = [answers[-1].json()["refresh_token"] for answers in came if answers]
    site.everywhere(lambda server: not any(names_a_session(server, site.app, token) for token in last),
                    "a new token is of a session that has ended")


# --- by an administrator --------------------------------------------------------------------------------------------

def end_by_sid(site, sid, _):
    assert site.servers[0].request("DELETE", f"{SESSIONS}/{sid}", auth=site.keeper).status_code == 204


def end_by_subject(site, _, subject):
    answer = site.servers[0].request("DELETE", f"{SESSIONS}?subject={subject}", auth=site.keeper)
    assert answer.json() == {"ended": 1, "more": False}


def end_by_command(site, sid, _):
    site.servers[0].run("sessions", "end", sid)


def end_by_rule(site, sid, _):
    answer = site.servers[0].post("/admin/revocations", auth=site.keeper, json={"sessionId": sid})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("end", [end_by_sid, end_by_subject, end_by_command, end_by_rule])
def test_an_administrator_ends_all_of_a_session_and_nothing_else(site, end):
    browser, ada = Browser(site.keeper), user()
    first = browser.tokens(site.servers[0], site.app, ada)
    ends = browser.tokens(site.servers[0], site.plain, ada, scope="stories:read")
    later = refreshed(site.servers[-1], site.app, first["refresh_token"])
    other = Browser(site.keeper).tokens(site.servers[0], site.app, ada if end is not end_by_subject else user())
    end(site, sid_of(first), ada)
    for grant, app in ((first, site.app), (ends, site.plain), (later, site.app)):
        site.everywhere(lambda server, each=grant, app=app: site.is_refused(server, app, each["refresh_token"]),
                        "a grant of it goes on")
        site.everywhere(lambda server, each=grant: not server.is_active(site.keeper, each["access_token"]),
                        "a token of it is still good")
        assert not any(server.is_active(site.keeper, grant["refresh_token"]) for server in site.servers)
    for server in site.servers:
        assert site.shown(sid_of(first), server).status_code == 404
        assert server.is_active(site.keeper, other["access_token"])
        assert refresh(server, site.app, other["refresh_token"]).status_code == 200


def test_nobody_slips_through_an_administrators_end_by_refreshing_meanwhile(site):
    browser, ada = Browser(site.keeper), user()
    grants = [browser.tokens(site.servers[0], site.app, ada, USER_SCOPES) for _ in range(4)]
    came = while_refreshing(site, grants, lambda: end_by_sid(site, sid_of(grants[0]), ada))
    given = [answer.json()["refresh_token"] for answers in came for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answers in came for answer in answers} <= {200, 400}
    for token in {grant["refresh_token"] for grant in grants} | set(given):
        site.everywhere(lambda server, token=token: site.is_refused(server, site.app, token), "a grant of it goes on")


def test_an_end_is_one_after_a_restart_too(site):
    browser, ada = Browser(site.keeper), user()
    left, ended = browser.tokens(site.servers[0], site.app, ada), Browser(site.keeper).tokens(
        site.servers[0], site.app, ada)
    browser.log_out(site.servers[0], left["id_token"])
    end_by_sid(site, sid_of(ended), ada)
    site.servers[-1].kill()
    site.servers[-1].start()
    assert site.is_refused(site.servers[-1], site.app, ended["refresh_token"])
    assert not names_a_session(site.servers[-1], site.app, left["refresh_token"])


def test_a_session_ends_whichever_clock_its_tokens_were_issued_by(make_server, tmp_path):
    """Of two instances one may be ahead by TOKEN_CLOCK_SKEW. What was issued there seems to come after the end that the
    other one makes; but nothing is issued in a session that is over."""
    if not LIBRARY:
        pytest.skip("there is no libfaketime here: Debian's package of that name")
    clock = Clock(tmp_path, 20)
    server = make_server(**SETTINGS, **clock.settings).start()
    keeper = server.add_client("keeper", KEEPER_SCOPES)
    app = add_app(server, "app")
    grants = [Browser(keeper).tokens(server, app, user) for user in ("logs out", "is ended")]
    browser = Browser(keeper)
    grants.append(browser.tokens(server, app, "logs out by herself", scope="openid"))
    server.stop()
    clock.set(0)
    server.start()
    browser.log_out(server, grants[2]["id_token"])
    sid = tokens.claims_of(grants[1]["id_token"])["sid"]
    assert server.request("DELETE", f"/admin/sessions/{sid}", auth=keeper).status_code == 204
    assert [server.is_active(keeper, grant["access_token"]) for grant in grants] == [True, False, False]
    assert refresh(server, app, grants[1]["refresh_token"]).json()["error"] == "invalid_grant"
    assert server.metric("revocations_total", result="rule") >= 2
    clock.set(20)
    assert not server.is_active(keeper, grants[1]["access_token"]), "it is no token of later either"
    again = Browser(keeper).tokens(server, app, "is ended")
    assert server.is_active(keeper, again["access_token"]), "whoever logs in anew gets another session"
    assert "issued_after" not in tokens.claims_of(again["access_token"])
