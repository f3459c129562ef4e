"""Debian's libapache2-mod-auth-openidc, configured with the URL of the issuer's metadata: a page of Apache's is seen by
those who have signed in, and no longer when they have signed out, wherever that was."""

import pytest

from apache import MODULES, PAGE, PROGRAM, Apache
from other_clients import CLAIMS, PASSWORD, Person


@pytest.fixture(scope="module")
def apache(provider):
    if not PROGRAM or not (MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("there is no Apache with OpenID Connect here: Debian's package libapache2-mod-auth-openidc")
    made = Apache(provider)
    try:
        yield made.start(provider.register_web(
            "apache", redirect_uris=[made.callback], post_logout_redirect_uris=[made.url + "/"],
            backchannel_logout_uri=made.callback + "?logout=backchannel", backchannel_logout_session_required=True))
    finally:
        made.close()


def get(person, url):
    return person.session.get(url, allow_redirects=False, timeout=60)


def see(apache, person, path="/protected/"):
    """What the browser is shown at last."""
    answer = get(person, apache.url + path)
    for _ in range(5):
        if answer.status_code not in (302, 303):
            assert answer.status_code == 200, answer.text + apache.said()
            return answer
        url = answer.headers["Location"]
        answer = get(person, person.go(url) if person.is_provider(url) else url)
    raise AssertionError("it leads in circles")


def is_let_in(apache, person):
    """Without being asked to sign in."""
    answer = get(person, apache.url + "/protected/")
    return answer.status_code == 200 and answer.text == PAGE


def session_of(apache, person):
    return person.session.get(apache.callback + "?info=json", timeout=60).json()


def test_a_user_sees_the_page_after_signing_in(apache, person):
    assert not is_let_in(apache, person)
    answer = see(apache, person)
    assert answer.text == PAGE and person.pages == ["Sign in", "Allow access?"]
    assert (answer.headers["X-User"], answer.headers["X-Email"]) == ("user-1", CLAIMS["email"])
    assert is_let_in(apache, person)
    held = session_of(apache, person)
    assert held["userinfo"]["name"] == CLAIMS["name"] and held["id_token"]["sub"] == "user-1"


def test_a_user_who_refuses_is_not_let_in(apache, person):
    """Debian 12's module doesn't know RFC 9207, and takes an error with `iss` for a login that somebody else initiates:
    it says something else than access_denied, but it says no."""
    person.agrees = False
    back = person.go(get(person, apache.url + "/protected/").headers["Location"])
    assert back.startswith(apache.callback + "?error=access_denied&")
    assert PAGE not in get(person, back).text and not is_let_in(apache, person)


def test_a_session_is_refreshed(provider, apache, person):
    see(apache, person)
    before = session_of(apache, person)
    provider.secrets.add(before["refresh_token"])
    wanted = {"refresh": apache.url + "/", "access_token": before["access_token"]}
    answer = person.session.get(apache.callback, params=wanted, timeout=60)
    assert answer.text == "the open page" and "error" not in answer.url
    after = session_of(apache, person)
    assert after["access_token"] != before["access_token"] and after["refresh_token"] != before["refresh_token"]
    provider.secrets.add(after["refresh_token"])


def test_a_user_signs_out_there(apache, person):
    see(apache, person)
    assert see(apache, person, f"/oidc/callback?logout={apache.url}/").text == "the open page"
    assert not is_let_in(apache, person)
    see(apache, person)
    assert person.pages[0] == "Sign in", "the session of the provider is over too"


def test_a_user_who_signs_out_elsewhere_is_signed_out_there(provider, apache, person):
    """By the back channel, and nobody else is."""
    other = Person(provider)
    see(apache, person)
    see(apache, other)
    assert is_let_in(apache, person) and is_let_in(apache, other)
    person.go(provider.issuer + "/logout")
    assert person.pages == ["Sign out?"]
    provider.until(lambda: not is_let_in(apache, person), apache.said)
    assert is_let_in(apache, other)
    assert PASSWORD not in apache.said()
