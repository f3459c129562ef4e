"""What the platform's table oauth_id_token_claims says of a user, at UserInfo and in id tokens: rows that SQL has put
there, over PostgreSQL and Supabase."""

import uuid

import pytest

import tokens
from postgres import MIGRATIONS, execute, run_sql
from service import run
from signed_in import KEEPER_SCOPES, SETTINGS, Browser, add_app, refresh
from supabase import PROGRAM, Supabase

SCOPE = "openid profile email phone address offline_access"
ROW = {"preferred_username": "zoë", "profile_url": "https://ada.example/me", "picture_url": "https://ada.example/me.png",
       "website": "https://ada.example/", "email_verified": True, "gender": "female", "birthdate": "1990-12-10",
       "zoneinfo": "Europe/London", "locale": "en-GB", "phone_number": "+44 20 7946 0000",
       "phone_number_verified": False,
       "address_formatted": "12 St James's Square\nLondon", "address_street": "12 St James's Square",
       "address_locality": "London", "address_region": "", "address_postal_code": "SW1Y 4JH", "address_country": "GB"}
CLAIMS = {"preferred_username": "zoë", "profile": "https://ada.example/me", "picture": "https://ada.example/me.png",
          "website": "https://ada.example/", "email_verified": True, "gender": "female", "birthdate": "1990-12-10",
          "zoneinfo": "Europe/London", "locale": "en-GB", "phone_number": "+44 20 7946 0000",
          "phone_number_verified": False,
          "address": {"formatted": "12 St James's Square\nLondon", "street_address": "12 St James's Square",
                      "locality": "London", "postal_code": "SW1Y 4JH", "country": "GB"}}


class Site:
    def __init__(self, server, url):
        self.server, self.url = server.start(), url
        self.keeper = server.add_client("keeper", KEEPER_SCOPES)
        self.app = add_app(server, "app", SCOPE)

    def user(self, **row):
        """A user of the platform's, with a row of claims if any are given."""
        subject = str(uuid.uuid4())
        execute(self.url, "INSERT INTO auth.users (id) VALUES (%s)", subject)
        if row:
            self.write(subject, row)
        return subject

    def write(self, subject, row):
        execute(self.url, "DELETE FROM oauth_id_token_claims WHERE user_id = %s", subject)
        execute(self.url, f"INSERT INTO oauth_id_token_claims (user_id, {', '.join(row)}) "
                          f"VALUES (%s{', %s' * len(row)})", subject, *row.values())

    def tokens(self, subject, scope=SCOPE, **login):
        return Browser(self.keeper).tokens(self.server, self.app, subject, scope, **login)

    def userinfo(self, grant):
        answer = self.server.get("/userinfo", auth=grant["access_token"])
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module", params=["postgres", "supabase"])
def site(request, make_server):
    url = request.getfixturevalue("postgres").database(f"claims-{request.param}-{uuid.uuid4().hex[:8]}")
    if request.param == "postgres":
        yield Site(make_server(**SETTINGS, DATABASE_URL=url), url)
        return
    if not PROGRAM.exists():
        pytest.skip("npm's @supabase/lite is not installed here: `npm ci` in tests/integration")
    supabase = Supabase(url)
    try:
        server = make_server(**SETTINGS, **supabase.start().settings())
        server.secrets.add(supabase.secret_key)
        yield Site(server, url)
        server.stop()
    finally:
        supabase.close()


def test_userinfo_has_the_platforms_claims_by_the_standards_names(site):
    subject = site.user(**ROW)
    grant = site.tokens(subject)
    assert site.userinfo(grant) == CLAIMS | {"sub": subject}
    assert not CLAIMS.keys() & tokens.claims_of(grant["id_token"]).keys(), "by scope they are for UserInfo alone"


@pytest.mark.parametrize("scope,names", [
    ("openid", set()), ("openid email", {"email_verified"}), ("openid address", {"address"}),
    ("openid phone", {"phone_number", "phone_number_verified"}),
    ("openid profile", {"preferred_username", "profile", "picture", "website", "gender", "birthdate", "zoneinfo",
                        "locale"})])
def test_a_client_is_told_what_its_scope_allows(site, scope, names):
    subject = site.user(**ROW)
    assert site.userinfo(site.tokens(subject, scope)) == {"sub": subject} | {name: CLAIMS[name] for name in names}


def test_what_the_login_said_wins(site):
    """Whether an address is verified is for who says which."""
    subject = site.user(**ROW)
    said = {"locale": "nl", "email": "ada@login.example", "address": {"country": "NL"}, "name": "Ada"}
    told = site.userinfo(site.tokens(subject, claims=said))
    expected = CLAIMS | said | {"sub": subject}
    del expected["email_verified"]
    assert told == expected


def test_an_id_token_has_the_claims_that_were_asked_for_by_name(site):
    subject = site.user(**ROW)
    asked = {"id_token": {"locale": None, "address": {"essential": True}, "email": None}, "userinfo": {"gender": None}}
    grant = site.tokens(subject, "openid offline_access", asked=asked)
    for came in (grant, refresh(site.server, site.app, grant["refresh_token"]).json()):
        claims = tokens.claims_of(came["id_token"])
        assert {name: claims[name] for name in CLAIMS if name in claims} == {
            "locale": "en-GB", "address": CLAIMS["address"]}
        assert not CLAIMS.keys() & tokens.claims_of(came["access_token"]).keys()
    assert site.userinfo(grant) == {"sub": subject, "gender": "female"}


def test_the_table_is_read_each_time(site):
    subject = site.user()
    grant = site.tokens(subject)
    assert site.userinfo(grant) == {"sub": subject}
    site.write(subject, {"locale": "fr", "gender": None, "website": "no url"})
    assert site.userinfo(grant) == {"sub": subject, "locale": "fr"}
    site.write(subject, {"locale": "de"})
    assert site.userinfo(grant) == {"sub": subject, "locale": "de"}


@pytest.mark.parametrize("subject", ["ada", "0", "6b29fc40-ca47-1067-b31d-00dd010662d", "' OR true --", "zoë"])
def test_who_is_no_user_of_the_platforms_has_no_row(site, subject):
    site.user(**ROW)
    assert site.userinfo(site.tokens(subject, claims={"name": "Ada"})) == {"sub": subject, "name": "Ada"}


def test_a_table_that_cannot_be_read_is_no_reason_to_say_less(site):
    """Nobody takes a claim that is missing for one that isn't so. Verifying goes on: nothing there asks the table."""
    subject = site.user(**ROW)
    asked = site.tokens(subject, asked={"id_token": {"locale": None}})
    grant = site.tokens(subject)
    execute(site.url, "ALTER TABLE oauth_id_token_claims RENAME TO away")
    try:
        answer = site.server.get("/userinfo", auth=grant["access_token"])
        assert answer.status_code == 503 and "locale" not in answer.text
        assert refresh(site.server, site.app, asked["refresh_token"]).status_code == 503
        assert refresh(site.server, site.app, grant["refresh_token"]).status_code == 200, "no claim is in its id token"
        assert site.server.is_active(site.keeper, grant["access_token"])
        assert site.server.is_active(site.keeper, asked["refresh_token"])
    finally:
        execute(site.url, "ALTER TABLE away RENAME TO oauth_id_token_claims")
    assert site.userinfo(grant) == CLAIMS | {"sub": subject}
    claims = tokens.claims_of(refresh(site.server, site.app, asked["refresh_token"]).json()["id_token"])
    assert claims["locale"] == "en-GB", "and the token that met the failure is not used up"


# --- a database of before ---------------------------------------------------------------------------------------------

def test_a_database_of_the_version_before_is_migrated(postgres, make_server):
    """Until then the service says what to do; grants of before have the claims afterwards."""
    url = postgres.database(f"claims-{uuid.uuid4().hex[:8]}")
    server = make_server(**SETTINGS, DATABASE_URL=url)
    site = Site(server, url)
    subject = site.user(**ROW)
    grant = site.tokens(subject)
    server.stop()
    execute(url, "DROP FUNCTION token_service_find_user_claims(jsonb)")
    for path in MIGRATIONS[:3]:
        run_sql(url, path.read_text())
    assert "migrate" in server.run("serve", expect=3).stderr
    assert "migrate" in run("migrate", settings={"DATABASE_URL": url}, expect=3).stderr
    run("migrate", "--apply", settings={"DATABASE_URL": url})
    server.start()
    assert site.userinfo(grant) == CLAIMS | {"sub": subject}
    server.stop()
