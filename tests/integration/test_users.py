"""`token-service users`: the users of the built-in login, in a file that other programs can read too: hashes are judged
by Python's hashlib and cryptography, not by our own code."""

import base64
import hashlib
import json
import os
import pty
import re
import select
import stat
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from service import BINARY, DEFAULTS, environment, run
from wire import PATIENCE_S

PASSWORD = "correct horse battery"
CLAIMS = {"name": "Ada Lovelace", "email": "ada@example.com", "email_verified": "true", "birthdate": "1990-12-10",
          "website": "https://ada.example/", "address.locality": "London", "address.country": "UK"}


@pytest.fixture
def settings(tmp_path):
    """A data directory that does not exist yet."""
    return DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def users(settings):
    """The command, with these settings; standard input is a password."""
    return lambda *arguments, stdin=None, expect=0: run("users", *arguments, settings=settings, stdin=stdin,
                                                         expect=expect)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data/users.json"


def listed(users):
    return {user["username"]: user for user in json.loads(users("list", "--json").stdout)}


def claims_of(values):
    return [word for name, value in values.items() for word in ("--claim", f"{name}={value}")]


def is_hash_of(text, password):
    """The PHC string format, by other people's scrypt and Argon2id."""
    _, kind, *rest = text.split("$")
    salt, expected = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in rest[-2:])
    costs = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", rest[-3])}
    assert len(salt) == 16 and len(expected) == 32
    if kind == "argon2id":
        assert rest[0] == "v=19" and costs["m"] >= 19456 and costs["t"] >= 2, "OWASP's least"
        return Argon2id(salt=salt, length=32, iterations=costs["t"], lanes=costs["p"],
                        memory_cost=costs["m"]).derive(password.encode()) == expected
    assert kind == "scrypt" and costs == {"ln": 15, "r": 8, "p": 3}, "OWASP's least"
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << costs["ln"], r=costs["r"], p=costs["p"],
                          maxmem=256 << 20, dklen=32) == expected


def test_a_user_is_added_before_the_first_start(users, file):
    added = json.loads(users("add", "ada", *claims_of(CLAIMS), "--json", stdin=PASSWORD + "\n").stdout)
    assert added["username"] == "ada" and not added["disabled"] and uuid.UUID(added["subject"]).version == 4
    assert abs(added["claims"].pop("updated_at") - time.time()) < PATIENCE_S
    assert added["claims"] == {"name": "Ada Lovelace", "website": "https://ada.example/", "birthdate": "1990-12-10",
                               "email": "ada@example.com", "email_verified": True,
                               "address": {"locality": "London", "country": "UK"}}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700 and stat.S_IMODE(file.stat().st_mode) == 0o600
    (kept,) = json.loads(file.read_text())
    assert kept["subject"] == added["subject"] and is_hash_of(kept["password_hash"], PASSWORD)
    assert not is_hash_of(kept["password_hash"], PASSWORD + " ")
    assert PASSWORD not in file.read_text() and not [path for path in file.parent.iterdir() if path != file]


def test_a_user_for_people(users):
    text = users("add", "J\u00f6rg", "--subject", "user-7", stdin=PASSWORD).stdout
    assert text == "username  J\u00f6rg\nsubject   user-7\n"
    head, row = users("list").stdout.splitlines()
    assert head.split() == ["USERNAME", "SUBJECT", "STATE"] and row.split() == ["J\u00f6rg", "user-7", "active"]


def test_no_users_are_an_empty_list_and_nothing_is_made(users, file):
    assert json.loads(users("list", "--json").stdout) == []
    assert users("list").stdout.split() == ["USERNAME", "SUBJECT", "STATE"]
    assert not file.parent.exists()


def test_the_list_shows_no_hash(users):
    users("add", "ada", stdin=PASSWORD)
    for form in ([], ["--json"]):
        assert "$" not in users("list", *form).stdout


def test_a_name_and_a_subject_are_given_once(users, file):
    users("add", "ada", "--subject", "1", stdin=PASSWORD)
    before = file.read_bytes()
    assert "already a user of this name" in users("add", "ada", stdin=PASSWORD, expect=1).stderr
    assert "with this subject" in users("add", "bob", "--subject", "1", stdin=PASSWORD, expect=1).stderr
    assert file.read_bytes() == before


def test_a_user_changes(users, file):
    users("add", "ada", *claims_of(CLAIMS), "--claim", "updated_at=1700000000", stdin=PASSWORD)
    first = listed(users)["ada"]
    assert first["claims"]["updated_at"] == 1700000000
    users("change", "ada", "--claim", "email=", "--claim", "name=Countess", "--claim", "address.locality=Marylebone")
    claims = listed(users)["ada"]["claims"]
    assert "email" not in claims and claims["name"] == "Countess" and claims["birthdate"] == "1990-12-10"
    assert claims["address"] == {"locality": "Marylebone", "country": "UK"} and claims["updated_at"] > 1700000000
    users("change", "ada", "--claim", "address=")
    assert "address" not in listed(users)["ada"]["claims"]
    users("password", "ada", stdin="another password")
    (kept,) = json.loads(file.read_text())
    assert is_hash_of(kept["password_hash"], "another password") and kept["subject"] == first["subject"]
    users("disable", "ada")
    users("disable", "ada")
    assert listed(users)["ada"]["disabled"] is True
    users("enable", "ada")
    assert listed(users)["ada"]["disabled"] is False
    users("remove", "ada")
    assert listed(users) == {}


@pytest.mark.parametrize("verb", ["password", "change", "disable", "enable", "remove"])
def test_nobody_is_not_found(users, file, verb):
    users("add", "ada", stdin=PASSWORD)
    before = file.read_bytes()
    more = ["--claim", "name=x"] if verb == "change" else []
    for name in ("bob", "Ada", "ada ", ""):
        assert "no user of this name" in users(verb, name, *more, stdin=PASSWORD, expect=1).stderr
    assert "name the user" in users(verb, *more, stdin=PASSWORD, expect=2).stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize(("arguments", "password", "words"), [
    (["add"], PASSWORD, "name the user"),
    (["add", ""], PASSWORD, "a username has"),
    (["add", " ada"], PASSWORD, "a username has"),
    (["add", "a\nda"], PASSWORD, "a username has"),
    (["add", "a" * 256], PASSWORD, "a username has"),
    (["add", "ada", "--subject", "a b"], PASSWORD, "--subject takes"),
    (["add", "ada", "--subject", "a" * 256], PASSWORD, "--subject takes"),
    (["add", "ada"], "", "no password was given"),
    (["add", "ada"], "\n", "no password was given"),
    (["add", "ada"], "seven77", "fewer than 8"),
    (["add", "ada"], "\u00e4" * 7, "fewer than 8"),
    (["add", "ada"], "x" * 1025, "more than 1024"),
    (["add", "ada"], "two lines\nof text", "control character"),
    (["add", "ada"], "nul\0nul\0nul", "control character"),
    (["add", "ada", "--claim", "name"], PASSWORD, "NAME=VALUE"),
    (["add", "ada", "--claim", "role=admin"], PASSWORD, "no standard claim"),
    (["add", "ada", "--claim", "sub=1"], PASSWORD, "no standard claim"),
    (["add", "ada", "--claim", "address=London"], PASSWORD, "in parts"),
    (["add", "ada", "--claim", "address.city=London"], PASSWORD, "no standard claim"),
    (["add", "ada", "--claim", "email=ada"], PASSWORD, "e-mail"),
    (["add", "ada", "--claim", "email_verified=yes"], PASSWORD, "true or false"),
    (["add", "ada", "--claim", "birthdate=10.12.1990"], PASSWORD, "YYYY-MM-DD"),
    (["add", "ada", "--claim", "website=javascript:alert(1)"], PASSWORD, "https://"),
    (["add", "ada", "--claim", "updated_at=soon"], PASSWORD, "seconds since 1970"),
    (["add", "ada", "--claim", "name=null"], PASSWORD, "not blank"),
    (["add", "ada", *["--claim", "name=x"] * 33], PASSWORD, "too often"),
    (["add", "ada", "--password", PASSWORD], PASSWORD, "unknown argument"),
    (["change", "ada"], None, "--claim NAME=VALUE"),
    (["disable", "ada", "--claim", "name=x"], None, "users disable takes no --claim"),
    (["list", "ada"], None, "users list takes no name"),
    (["nonsense"], None, "users takes"),
    ([], None, "users takes"),
])
def test_a_wrong_argument_is_one_sentence_and_nothing_is_made(users, file, arguments, password, words):
    done = users(*arguments, stdin=password, expect=2)
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("token-service: ") and words in sentence and done.stdout == ""
    assert PASSWORD not in sentence or "--password" in arguments
    assert not file.exists()


def test_a_file_that_others_reach_or_that_is_broken_is_refused_and_kept(users, file):
    users("add", "ada", stdin=PASSWORD)
    good = file.read_text()
    for mode, text, words in ((0o644, good, "chmod 600"), (0o660, good, "chmod 600"),
                              (0o600, good[:-3], "does not end"), (0o600, "{}", "JSON array"),
                              (0o600, good.replace("$", "%", 1), "password_hash")):
        file.write_text(text)
        file.chmod(mode)
        for arguments in (["list"], ["disable", "ada"], ["add", "bob"]):
            done = users(*arguments, stdin=PASSWORD, expect=2)
            assert words in done.stderr, (arguments, done.stderr)
        assert file.read_text() == text
        file.chmod(0o600)


def test_the_file_may_lie_elsewhere(settings, tmp_path):
    elsewhere = settings | {"TOKEN_USERS_FILE": str(tmp_path / "people.json")}
    run("users", "add", "ada", settings=elsewhere, stdin=PASSWORD)
    run("users", "add", "bob", "--users-file", str(tmp_path / "people.json"), settings=settings, stdin=PASSWORD)
    assert [user["username"] for user in json.loads((tmp_path / "people.json").read_text())] == ["ada", "bob"]
    assert not (tmp_path / "data").exists()


def test_many_commands_at_once(users):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: users("add", f"user-{at}", stdin=PASSWORD), range(8)))
    assert set(listed(users)) == {f"user-{at}" for at in range(8)}


# --- at a terminal ---------------------------------------------------------------------------------------------------

class Terminal:
    """The command at a terminal of its own, as a person would use it."""

    def __init__(self, settings, *arguments):
        self.ours, theirs = pty.openpty()
        self.shown = b""
        self.process = subprocess.Popen([BINARY, "users", *arguments], env=environment(settings), stdin=theirs,
                                        stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)

    def read_until(self, words):
        while words not in self.shown:
            assert select.select([self.ours], [], [], PATIENCE_S)[0], self.shown
            self.shown += os.read(self.ours, 4096)

    def answer(self, prompt, text):
        self.read_until(prompt)
        self.shown = b""
        os.write(self.ours, text)

    def end(self):
        while True:
            try:
                more = os.read(self.ours, 4096)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            self.shown += more
        os.close(self.ours)
        return self.process.wait(PATIENCE_S)


def test_at_a_terminal_a_password_is_typed_twice_and_not_shown(users, settings, file):
    terminal = Terminal(settings, "add", "ada")
    terminal.answer(b"Password: ", PASSWORD.encode() + b"\n")
    terminal.answer(b"Once more: ", PASSWORD.encode() + b"\n")
    assert terminal.end() == 0 and PASSWORD.encode() not in terminal.shown and b"username  ada" in terminal.shown
    assert is_hash_of(json.loads(file.read_text())[0]["password_hash"], PASSWORD)


@pytest.mark.parametrize(("first", "second", "words"), [
    (PASSWORD.encode() + b"\n", PASSWORD.encode() + b"x\n", b"differ"),
    (b"\x03", None, b"no password was given"),
    (b"\x04", None, b"no password was given"),
])
def test_at_a_terminal_it_can_be_given_up(settings, file, first, second, words):
    terminal = Terminal(settings, "add", "ada")
    terminal.answer(b"Password: ", first)
    if second:
        terminal.answer(b"Once more: ", second)
    assert terminal.end() == 2 and words in terminal.shown
    assert not file.exists()
