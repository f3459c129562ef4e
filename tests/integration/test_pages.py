"""The pages that people see, as tests/unit/test_pages.c writes them: judged by html5lib, a parser of HTML that follows
the standard, and by the rules of WCAG 2.2 that a program can check."""

import os
import re
import subprocess

import html5lib
import pytest

from service import BINARY

UNIT = BINARY.parent / "tests/unit/test_pages"
PAGES = ["login", "login-wrong", "login-limited", "login-busy", "login-stale", "consent", "consent-once", "logout",
         "signed-out", "error", "post", "evil-login", "evil-consent", "evil-logout", "evil-post", "evil-error"]
EVENT = re.compile(r"on\w+$")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not UNIT.exists():
        pytest.skip(f"there is no {UNIT}: configure with -Dtests=true")
    where = tmp_path_factory.mktemp("pages")
    done = subprocess.run([UNIT], env=os.environ | {"TOKEN_PAGES": str(where)}, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.stem for path in where.glob("*.html")) == sorted(PAGES)
    return where


class Page:
    def __init__(self, folder, name):
        self.text = (folder / f"{name}.html").read_text(encoding="utf-8")
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.tree = parser.parse(self.text)
        self.headers = dict(line.split(": ", 1) for line in (folder / f"{name}.headers").read_text().splitlines())

    def all(self, tag):
        return list(self.tree.iter(tag))

    def one(self, tag):
        (found,) = self.all(tag)
        return found

    def policy(self):
        return {words[0]: words[1:] for words in
                (part.split() for part in self.headers["Content-Security-Policy"].split(";"))}


@pytest.fixture(params=PAGES)
def page(folder, request):
    return Page(folder, request.param)


def test_a_page_is_valid_and_says_what_it_is(page):
    """Parsed strictly, each fault of the markup is an error."""
    assert page.one("html").get("lang") == "en" and page.one("title").text.strip()
    assert page.text.index("charset") < 1024, "within what browsers look at"
    assert len(page.all("main")) == 1 and len(page.all("h1")) == 1
    ids = [element.get("id") for element in page.tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in page.tree.iter():
        for name in ("aria-describedby", "for"):
            assert element.get(name) is None or element.get(name) in ids


def test_a_page_loads_and_runs_only_what_its_policy_allows(page):
    policy = page.policy()
    assert policy["default-src"] == ["'none'"] and policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"] and "'unsafe-inline'" not in page.headers["Content-Security-Policy"]
    nonce = page.one("style").get("nonce")
    assert re.fullmatch("[A-Za-z0-9_-]{24}", nonce) and policy["style-src"] == [f"'nonce-{nonce}'"]
    for script in page.all("script"):
        assert script.get("nonce") == nonce and policy["script-src"] == [f"'nonce-{nonce}'"]
        assert script.text == "document.forms[0].submit()"
    for element in page.tree.iter():
        assert element.tag not in ("link", "iframe", "object", "embed", "base")
        assert "style" not in element.attrib
        assert not [name for name in element.attrib if EVENT.match(str(name))], element.attrib
    for image in page.all("img"):
        assert image.get("alt") == "" and image.get("src").startswith(policy["img-src"][0] + "/")
    for link in page.all("a"):
        assert link.get("href").startswith("https://") and "noopener" in link.get("rel")


def test_every_field_has_a_label_and_every_button_words(page):
    labels = {label.get("for"): "".join(label.itertext()).strip() for label in page.all("label")}
    for field in page.all("input"):
        assert field.get("type") == "hidden" or labels[field.get("id")]
    for button in page.all("button"):
        assert "".join(button.itertext()).strip() and button.get("type") == "submit"
    assert all(element.get("tabindex") is None for element in page.tree.iter()), "the order is that of the page"
    assert len([element for element in page.tree.iter() if element.get("autofocus") is not None]) <= 1


@pytest.mark.parametrize("name", [name for name in PAGES if "login" in name])
def test_a_login_page_has_what_password_managers_look_for(folder, name):
    page = Page(folder, name)
    fields = {field.get("name"): field for field in page.all("input")}
    assert fields.keys() == {"csrf", "challenge", "username", "password"}
    assert fields["username"].get("autocomplete") == "username"
    assert fields["password"].get("autocomplete") == "current-password" and not fields["password"].get("value")
    assert page.one("form").get("method") == "post" and page.policy()["form-action"][0] == "'self'"
    assert [button.get("id") for button in page.all("button")] == ["submit", "cancel"]


@pytest.mark.parametrize("name", ["login-wrong", "login-limited", "login-busy", "login-stale", "error"])
def test_what_is_wrong_is_said_to_those_who_do_not_see_it(folder, name):
    page = Page(folder, name)
    (alert,) = [element for element in page.tree.iter() if element.get("role") == "alert"]
    assert "".join(alert.itertext()).strip() and page.one("title").text.startswith("Error: ")
    if name == "login-wrong":
        visible = [field for field in page.all("input") if field.get("type") != "hidden"]
        assert all(field.get("aria-invalid") == "true" and field.get("aria-describedby") == alert.get("id")
                   for field in visible)


def test_what_strangers_wrote_comes_out_as_they_wrote_it(folder):
    """But for what is no text: the NUL and the stray byte."""
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>`&amp;\u202e\ufffd\ufffd"
    (field,) = [field for field in Page(folder, "evil-login").all("input") if field.get("name") == "username"]
    assert field.get("value") == evil
    (name,) = Page(folder, "evil-login").all("bdi")
    assert name.text == evil
    (parameter,) = Page(folder, "evil-post").all("input")
    assert (parameter.get("name"), parameter.get("value")) == (evil, evil)


# --- colours ---------------------------------------------------------------------------------------------------------

def luminance(colour):
    """WCAG 2.2, "relative luminance"."""
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrasts_are_those_of_wcag_aa(folder, scheme):
    style = Page(folder, "login").one("style").text
    roots = re.findall(r":root\{(.*?)\}", style, re.S)
    colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", roots[scheme == "dark"]))
    for text, back in (("text", "card"), ("quiet", "card"), ("accent", "card"), ("on-accent", "accent"),
                       ("bad", "bad-back")):
        assert contrast(colours[text], colours[back]) >= 4.5, (text, back)
    for line, back in (("line", "card"), ("bad", "card"), ("accent", "back")):  # 1.4.11
        assert contrast(colours[line], colours[back]) >= 3, (line, back)


def test_the_style_sheet_has_no_fixed_widths(folder):
    """320 px are 20rem (1.4.10): nothing is wider, and text can be made larger."""
    style = Page(folder, "login").one("style").text
    widths = [float(width) for width in re.findall(r"(?<!max-)(?:min-)?width:([\d.]+)rem", style)]
    assert all(width <= 2.75 for width in widths)
    assert not re.search(r"font-size:[\d.]+px|user-scalable", Page(folder, "login").text)
