"""A real browser: Debian's Chromium without a window, through the built-in pages, with openid-client on the other side.
The client is another site than the provider, as it mostly is."""

import shutil

import pytest

from node import NODE
from other_clients import PASSWORD, USER, USER_SCOPES, Endpoint, Library

WHERE = shutil.which("chromium")
LOGIN = {"Username": USER, "Password": PASSWORD}
SILENT = {"prompt": "none"}
CONSENT, BACK = {"heading": "Allow access?"}, {"url": "**/callback*"}


@pytest.fixture(scope="module")
def site():
    """The client's own."""
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture(scope="module")
def library(start_node):
    return start_node("openid_client.mjs", "openid-client")


@pytest.fixture(scope="module")
def use(provider, site, library):
    """use(id): the library is that client from now on."""
    known = {}

    def become(client_id):
        if client_id not in known:
            known[client_id] = provider.register_web(client_id, redirect_uris=[site.url + "/callback"],
                                                     post_logout_redirect_uris=[site.url + "/bye"])
        library.do("discover", issuer=provider.issuer, client_id=client_id, secret=known[client_id].secret,
                   method="client_secret_basic")
        return library

    return become


@pytest.fixture
def client(use):
    return use("web")


@pytest.fixture(scope="module")
def chromium(provider, library):  # pylint: disable=unused-argument
    if not WHERE:
        pytest.skip("there is no Chromium here: Debian's package chromium")
    made = Library(provider, str(NODE), "chromium.mjs", WHERE)
    yield made
    made.close()


@pytest.fixture
def browser(chromium):
    chromium.do("fresh")
    return chromium


@pytest.fixture
def begin(library, site):
    """begin(…) is the URL by which a login begins."""
    def make(**parameters):
        return library.do("begin", parameters={"redirect_uri": site.url + "/callback", "scope": USER_SCOPES}
                         | parameters)["url"]
    return make


def sign_in(browser, url, remember=False):
    """To where the client is again."""
    assert browser.do("open", url=url)["heading"] == "Sign in"
    browser.do("fill", fields=LOGIN)
    browser.do("click", selector="#submit", then=CONSENT)
    if remember:
        browser.do("click", selector="#remember")
    return browser.do("click", selector="#submit", then=BACK)


def test_a_user_signs_in_and_stays_signed_in(provider, browser, use, begin):
    client = use("remembered")
    at = sign_in(browser, begin(), remember=True)
    assert at["complaints"] == [], "the policy of a page forbids what the page needs"
    tokens = client.do("finish", url=at["url"])["tokens"]
    assert tokens["claims"]["sub"] == "user-1"
    assert client.do("userinfo")["userinfo"]["sub"] == "user-1" and client.do("refresh")
    cookies = browser.do("cookies", url=provider.issuer)["cookies"]
    assert cookies and browser.do("cookies", url="https://other.example/")["cookies"] == []
    for cookie in cookies:
        assert cookie["name"].startswith("__Host-") and cookie["secure"] and cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax" and cookie["path"] == "/"
    at = browser.do("open", url=begin(**SILENT))
    assert client.do("finish", url=at["url"])["tokens"]["claims"]["auth_time"] == tokens["claims"]["auth_time"]


@pytest.mark.parametrize("javascript", [True, False])
def test_a_form_carries_the_answer_with_and_without_scripts(chromium, client, begin, site, javascript):
    chromium.do("fresh", javaScriptEnabled=javascript)
    chromium.do("open", url=begin(response_mode="form_post"))
    chromium.do("fill", fields=LOGIN)
    chromium.do("click", selector="#submit", then=CONSENT)
    at = chromium.do("click", selector="#submit", then=BACK if javascript else {"heading": "One moment"})
    if not javascript:
        at = chromium.do("click", selector="#continue", then=BACK)
    assert at["url"] == site.url + "/callback" and at["complaints"] == []
    assert client.do("finish", url=at["url"], form=site.next_post())["tokens"]["claims"]["sub"] == "user-1"


def test_a_keyboard_is_enough(browser, client, begin):
    browser.do("open", url=begin())
    browser.do("type", keys=[USER, "<Tab>", PASSWORD, "<Enter>"], then=CONSENT)
    assert f"You are signed in as {USER}." in browser.do("look")["tree"]
    at = browser.do("type", keys=["<Tab>", "<Tab>", "<Enter>"], then=BACK)
    client.do("finish", url=at["url"])


def test_a_wrong_password_is_said_aloud_and_a_right_one_still_goes(browser, client, begin):
    browser.do("open", url=begin())
    browser.do("fill", fields=LOGIN | {"Password": "wrong"})
    at = browser.do("click", selector="#submit", then={"alert": True})
    assert at["alert"] == "The username or the password is wrong."
    assert f'textbox "Username" [invalid]: {USER}' in browser.do("look")["tree"]
    browser.do("fill", fields={"Password": PASSWORD})
    browser.do("click", selector="#submit", then=CONSENT)
    at = browser.do("click", selector="#cancel", then=BACK)
    assert client.refused("finish", url=at["url"]) == "access_denied"


def test_a_user_signs_out(browser, client, begin, provider, site):
    client.do("finish", url=sign_in(browser, begin())["url"])
    url = client.do("logout_url", parameters={"post_logout_redirect_uri": site.url + "/bye", "state": "s"})["url"]
    assert browser.do("open", url=url)["url"] == site.url + "/bye?state=s"
    at = browser.do("open", url=begin(**SILENT))
    assert client.refused("finish", url=at["url"]) == "login_required"
    sign_in(browser, begin())
    assert browser.do("open", url=provider.issuer + "/logout")["heading"] == "Sign out?"
    assert f"You are signed in as {USER}." in browser.do("look")["tree"]
    at = browser.do("click", selector="#submit", then={"heading": "You are signed out"})
    assert at["complaints"] == []
    at = browser.do("open", url=begin(**SILENT))
    assert client.refused("finish", url=at["url"]) == "login_required"


@pytest.mark.usefixtures("client")
def test_a_page_fits_a_phone_and_the_dark(chromium, begin):
    chromium.do("fresh", viewport={"width": 320, "height": 568}, colorScheme="dark")
    chromium.do("open", url=begin())
    seen = [chromium.do("look")]
    chromium.do("fill", fields=LOGIN)
    chromium.do("click", selector="#submit", then=CONSENT)
    seen.append(chromium.do("look"))
    for page in seen:
        assert page["overflow"] <= 0 and page["background"] == "rgb(16, 17, 20)"


@pytest.mark.usefixtures("client")
def test_no_other_site_shows_the_login_in_a_frame(provider, browser, begin, site):
    shown, site.page = site.page, f'<!doctype html><iframe src="{begin()}"></iframe>'.replace("&", "&amp;")
    browser.do("open", url=site.url + "/")
    site.page = shown

    def look():
        return browser.do("type", keys=[])["complaints"], browser.do("frames")["frames"]

    def is_refused():  # which a browser says in its own time
        complaints, frames = look()
        return (any("frame-ancestors" in complaint for complaint in complaints)
                and frames[1:] == ["chrome-error://chromewebdata/"])
    provider.until(is_refused, lambda: f"it is shown: {look()}")
