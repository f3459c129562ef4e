"""`./dev run`, as README.md has a new user start: what it prints is what README says, and all of it works."""

import os
import re
import socket
import subprocess
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests

from node import NODE
from other_clients import Person
from ports import free_port
from service import ROOT, Server
from wire import PATIENCE_S

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("TOKEN_", "KMS_", "REDIS_"))}


def run(data_dir, *arguments, **settings):
    return subprocess.Popen([ROOT / "dev", "run", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=ENVIRONMENT | {"TOKEN_DATA_DIR": str(data_dir)} | settings)


@contextmanager
def running(data_dir, **settings):
    """Yields its URL and what it printed up to there."""
    port = free_port()
    with run(data_dir, "--listen", f"127.0.0.1:{port}", **settings) as process:
        try:
            said = ""
            while "dev: serving on" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            threading.Thread(target=process.stdout.read, daemon=True).start()  # its log
            url = f"http://127.0.0.1:{port}"
            Server.until(lambda: answers(url), "it does not answer")
            yield url, said
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def answers(url):
    try:
        return requests.get(f"{url}/health/ready", timeout=PATIENCE_S).status_code == 200
    except requests.ConnectionError:
        return False


def printed_lines(said):
    """The lines to copy."""
    return said.split("into another terminal:\n\n")[1].split("\ndev: ")[0].strip()


def calls_of(lines):
    """All but the values of the first lines, which differ by machine."""
    return re.sub(r"(?m)^(BASE|ISSUER|AUDIENCE|ID|SECRET)=.*$", r"\1", lines).strip()


def try_lines(lines):
    done = subprocess.run(["bash", "-eu"], input=lines, capture_output=True, text=True, cwd=ROOT, check=False,
                          timeout=PATIENCE_S, env=ENVIRONMENT | {"PATH": f"{NODE.parent}:{os.environ['PATH']}"})
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout


def test_what_it_prints_is_what_the_readme_says_and_works(tmp_path):
    readme, = re.findall(r"```\n(BASE=.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    with running(tmp_path / "data") as (url, said):
        lines = printed_lines(said)
        assert calls_of(lines) == calls_of(readme)
        assert f"BASE={url}\nISSUER={url}\nAUDIENCE={url}/api\n" in lines
        answered = try_lines(lines)
        assert '"token_type":"Bearer","expires_in":3600,"scope":"stories:read"}\n' in answered
        assert re.search(r'"valid":true.*\n.*"active":true.*\nok reader-1\n.*\{"active":false\}\n.*"keys":', answered,
                         re.DOTALL), answered


def test_the_first_user_signs_in_by_a_browser(tmp_path):
    with running(tmp_path / "data") as (url, said):
        password, = re.findall("made the first user, first-user, with the password ([0-9a-f]{18}),", said)
        line, = re.findall("(?m)^  node (examples/login.mjs .*)$", said)
        with subprocess.Popen(f"exec {NODE} {line}", shell=True, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              env=ENVIRONMENT) as process:
            page = process.stdout.readline().removeprefix("open ").strip()
            person = Person(SimpleNamespace(issuer=url, ca="", secrets=set()), username="first-user", password=password)
            login = person.session.get(page + "login", allow_redirects=False, timeout=PATIENCE_S).headers["Location"]
            shown = person.session.get(person.go(login), timeout=PATIENCE_S)
            process.terminate()
    assert person.pages == ["Sign in", "Allow access?"]
    assert shown.url == page and "first@user.example" in shown.text and "at_hash" in shown.text


def test_where_users_log_in_elsewhere_there_is_no_first_user(tmp_path):
    with running(tmp_path / "data", LOGIN_URL="https://login.example/") as (url, said):
        assert "first-user" not in said and not (tmp_path / "data/users.json").exists()
        metadata = requests.get(url + "/.well-known/openid-configuration", timeout=PATIENCE_S).json()
        assert metadata["authorization_endpoint"] == url + "/authorize"


def test_an_issuer_and_an_audience_of_ones_own_stay(tmp_path):
    own = {"TOKEN_ISSUER": "https://issuer.example", "TOKEN_AUDIENCE": "https://one.example,https://two.example"}
    with running(tmp_path / "data", **own) as (_, said):
        assert "\nISSUER=https://issuer.example\nAUDIENCE=https://one.example\n" in said
        assert "\nok reader-1\n" in try_lines(printed_lines(said))


def test_a_port_that_is_taken_is_told_before_anything_else(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run(tmp_path / "data", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        said, _ = process.communicate(timeout=PATIENCE_S * 4)
    assert process.returncode != 0 and "there is a server already at 127.0.0.1:" in said
    assert "SECRET" not in said and "serving" not in said and not (tmp_path / "data").exists()


@pytest.mark.parametrize(("settings", "why"), [
    ({"TOKEN_LISTEN": "192.0.2.1:8080"}, "TOKEN_LISTEN 192.0.2.1:8080: this machine has no such address"),
    ({"TOKEN_TLS_CERT": "/nope", "TOKEN_TLS_KEY": "/nope"}, "TOKEN_TLS_CERT /nope: No such file or directory"),
    ({"REDIS_URL": "rediss://127.0.0.1:1", "REDIS_CA_FILE": "/nope"}, "REDIS_CA_FILE (/nope)"),
    ({"KMS_KEY_ID": "alias/none", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:1",
      "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}, "127.0.0.1:1"),
])
def test_what_serving_refuses_is_told_before_a_secret_is(tmp_path, settings, why):
    process = run(tmp_path / "data", **({"TOKEN_LISTEN": "127.0.0.1:0"} | settings))
    said, _ = process.communicate(timeout=PATIENCE_S * 4)
    assert process.returncode != 0 and why in said, said
    assert "SECRET" not in said and "serving on" not in said and not (tmp_path / "data").exists()


def test_it_says_how_it_is_called(tmp_path):
    for word in ("--help", "-h"):
        process = run(tmp_path / "data", word)
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0 and said.startswith("./dev run [SETTING…]") and "TOKEN_ISSUER" in said
