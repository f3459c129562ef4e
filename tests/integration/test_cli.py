"""The command line: every command, for people and with --json; exit status 0 done, 1 no, 2 a wrong argument or setting,
3 a part failed; and the files it leaves behind."""

import dataclasses
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

import tokens
from ports import free_port
from service import BINARY, DEFAULTS, SCOPES, environment, run

ISSUER = "https://auth.storytailor.ai"
COMMANDS = ["serve", "token", "clients", "users", "sessions", "keys", "doctor", "migrate", "version", "help"]


@pytest.fixture
def settings(tmp_path):
    """A data directory that does not exist yet."""
    return DEFAULTS | {"TOKEN_DATA_DIR": str(tmp_path / "data"), "TOKEN_SIGNING_ALG": "ES256",
                       "TOKEN_LOG_LEVEL": "info"}


@pytest.fixture
def client(settings):
    return json.loads(run("clients", "add", "--id", "web", "--scope", "stories:read stories:write", "--json",
                          settings=settings).stdout)


def refused(*arguments, settings=None, stdin=None, status=2):
    """Nothing on standard output; on standard error one sentence, which is returned."""
    done = run(*arguments, settings=settings, stdin=stdin, expect=status)
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.stdout == "" and len(sentences) == 1, (arguments, done.stdout, done.stderr)
    assert sentences[0].startswith("token-service: "), sentences
    return sentences[0]


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


# --- help -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], []])
def test_help_names_every_command_setting_and_exit_status(arguments):
    text = run(*arguments).stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command}\b", text, re.M), command
    for line in run("serve", "--check-config").stdout.splitlines():
        name = line.split("=")[0]
        flag = "--" + name.removeprefix("TOKEN_").lower().replace("_", "-")
        # secrets have none
        if name in ("DATABASE_URL", "SUPABASE_SERVICE_KEY", "REDIS_URL", "REDIS_SENTINEL_PASSWORD",
                    "TOKEN_PAIRWISE_SALT"):
            flag = name
        assert re.search(rf"^  {flag}\s", text, re.M), flag
    assert all(re.search(rf"^  {status}  ", text, re.M) for status in range(4))
    assert max(map(len, text.splitlines())) <= 100


def test_version():
    for arguments in (["version"], ["--version"]):
        assert re.fullmatch(r"token-service \d+\.\d+\.\d+\n", run(*arguments).stdout)


def test_the_man_page_is_clean(tmp_path):
    page = tmp_path / "token-service.1"
    page.write_text(run("help", "man").stdout)
    for line in run("serve", "--check-config").stdout.splitlines():
        assert line.split("=")[0] in page.read_text()
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed here")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False,
                          timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_settings_as_markdown_have_a_row_each():
    text = run("help", "markdown").stdout
    for line in run("serve", "--check-config").stdout.splitlines():
        (row,) = [row for row in text.splitlines() if row.startswith(f"| `{line.split('=')[0]}` |")]
        assert len(re.findall(r"(?<!\\)\|", row)) == 6, row


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["--nonsense"], ["Serve"], ["serve", "extra"], ["serve", "--nonsense"], ["serve", "--nonsense=1"],
    ["serve", "--listen"], ["token"], ["token", "nonsense"], ["token", "issue"], ["token", "verify", "extra"],
    ["token", "issue", "--client", "x", "--expires-in", "soon"],
    ["token", "issue", "--client", "x", "--expires-in", "0"],
    ["token", "issue", "--client", "x", "--expires-in", "-1"],
    ["token", "issue", "--client", "x", "--expires-in", "99999999999"],
    ["token", "issue", "--client"], ["clients"], ["clients", "nonsense"], ["clients", "add"], ["clients", "disable"],
    ["clients", "add", "--id", ""], ["clients", "add", "--id", "x" * 256], ["clients", "add", "--id", "é"],
    ["clients", "add", "--id", "a\nb"], ["clients", "add", "--id", "a", "--scope", 'a"b'],
    ["clients", "add", "--id", "a", "--scope", "x" * 2049], ["clients", "add", "--id", "a", "--access-ttl", "1h"],
    ["clients", "add", "--id", "a", "--id"], ["keys"], ["keys", "nonsense"], ["doctor", "extra"],
    ["clients", "list", "extra", "more"], ["keys", "list", *["x"] * 300],
])
def test_a_wrong_argument_is_one_sentence_and_status_2(settings, arguments):
    refused(*arguments, settings=settings, stdin="a.b.c")


# --- settings -------------------------------------------------------------------------------------------------------

BAD_SETTINGS = {
    "TOKEN_LISTEN": ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "a b:80",
                     "::1:80",
                     "[::1:80", "[]:80", "127.0.0.1:80:80", "http://127.0.0.1:80"],
    "TOKEN_ISSUER": ["auth.storytailor.ai", "ftp://x", "https://", "https://a b", "https://x/?y", "https://x/#y",
                     "https:///x",
                     "HTTPS://x\n", "javascript:alert(1)", "https://x:99999"],
    "TOKEN_AUDIENCE": [",", "a,", ",a", "a,,b", "a, ,b", ",".join("abcdefghijklmnopqrst")],
    "TOKEN_SIGNING_ALG": ["none", "HS256", "rs256", "RS512", "ES384", "RS256 ", "RS256,ES256"],
    "TOKEN_RECORDS": ["none", "All", "grant", "0"],
    "TOKEN_ACCESS_TTL": ["0", "-1", "1h", "3600.0", "1e3", " 3600", "3600 ", "0x10", "010", "99999999999999999999",
                         "86401"],
    "TOKEN_REFRESH_TTL": ["0", "x"], "TOKEN_ID_TTL": ["0", "x"],
    "TOKEN_FAILURE_LIMIT": ["-1", "ten", "1000001"],
    "TOKEN_LOGIN_REQUEST_LIMIT": ["-1", "1e3", "1000001"],
    "TOKEN_CLIENT_CACHE_TTL": ["0", "3601"],
    "TOKEN_BODY_MAX": ["0", "64K", "65536.5", "-65536"], "TOKEN_HEADER_MAX": ["0", "x"], "TOKEN_MAX_BYTES": ["0", "x"],
    "TOKEN_REQUEST_MEMORY": ["0", "1000", "128M"],
    "TOKEN_LOOPS": ["-1", "65", "x"], "TOKEN_WORKERS": ["257"], "TOKEN_QUEUE": ["0"], "TOKEN_CONNECTIONS": ["0"],
    "TOKEN_QUEUE_WAIT_MS": ["0", "60001"],
    "TOKEN_METRICS": ["on", "true", "public"], "TOKEN_LOG_LEVEL": ["verbose", "INFO"], "TOKEN_LOG_FORMAT": ["xml"],
    "TOKEN_CORS_ORIGINS": ["portal.storytailor.ai", "https://x/", "https://X", "https://x:443", "http://x:80",
                           "https://",
                           "https://x,", "https://x y", "://x", "https://x,,https://y", "**"],
    "TOKEN_TLS_CERT": ["only-this-one.pem"], "TOKEN_TLS_KEY": ["only-this-one.pem"],
    "TOKEN_PRIVILEGED_CLAIMS": [",", "a,,b"], "TOKEN_CLOCK_SKEW": ["301", "-1"], "TOKEN_JWKS_MAX_AGE": ["-1", "86401"],
    "TOKEN_CLOCK_TOLERANCE_MAX": ["3601"], "TOKEN_VERIFIED_CACHE": ["-1"], "TOKEN_IDLE_TIMEOUT": ["0"],
    "TOKEN_REQUEST_TIMEOUT": ["0", "301"], "TOKEN_DRAIN_TIMEOUT": ["601"], "TOKEN_PURGE_INTERVAL": ["0"],
    "TOKEN_USAGE_INTERVAL": ["3601"],
    "TOKEN_EMF": ["true", "ON"], "TOKEN_EMF_INTERVAL": ["0", "3601"],
    "TOKEN_EMF_SERVICE": ["a b", 'a"b', "a\\b", "ä", ":a", "a" * 251],
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_setting_stops_everything_with_one_sentence_that_names_it(settings, tmp_path, name):
    flag = "--" + name.removeprefix("TOKEN_").lower().replace("_", "-")
    for value in BAD_SETTINGS[name]:
        for sentence in (refused("serve", settings=settings | {name: value}),
                         refused("serve", "--check-config", settings=settings | {name: value}),
                         refused("serve", flag, value, settings=settings),
                         refused("clients", "list", f"{flag}={value}", settings=settings)):
            assert name in sentence and "allowed" in sentence, (value, sentence)
    assert not (tmp_path / "data").exists(), "nothing is begun before all settings are known to be good"


def test_control_characters_of_a_bad_setting_are_not_printed(settings):
    for value in ("\x1b[31m", "a\nb", "\x7f", "\u0085", "x" * 5000):
        sentence = refused("serve", settings=settings | {"TOKEN_SIGNING_ALG": value})
        assert sentence.isprintable() and len(sentence) < 400


def values(*arguments, settings=None):
    text = run("serve", "--check-config", *arguments, settings=settings).stdout
    return {name: (value, origin) for name, value, origin in re.findall(r"^(\w+)=(.*?)  # (\w+)$", text, re.M)}


def test_check_config_shows_what_is_in_force_and_from_where(settings, tmp_path):
    shown = values(settings=settings | {"TOKEN_ACCESS_TTL": "60"})
    assert shown["TOKEN_ACCESS_TTL"] == ("60", "environment")
    assert shown["TOKEN_ISSUER"] == (ISSUER, "default")
    assert values("--access-ttl", "90", settings=settings | {"TOKEN_ACCESS_TTL": "60"})["TOKEN_ACCESS_TTL"] == ("90",
                                                                                                                "flag")
    assert values("--access-ttl=90", settings=settings)["TOKEN_ACCESS_TTL"] == ("90", "flag")
    assert values(settings=settings | {"TOKEN_ISSUER": ""})["TOKEN_ISSUER"] == (ISSUER, "default"), "empty is absent"
    assert not (tmp_path / "data").exists(), "it only looks"


def test_the_contracts_defaults(settings):
    """docs/contract.md: the lifetimes."""
    shown = values()
    expected = {"TOKEN_LISTEN": "127.0.0.1:8080", "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": "",
                "TOKEN_ACCESS_TTL": "3600",
                "TOKEN_REFRESH_TTL": "2592000", "TOKEN_ID_TTL": "3600", "TOKEN_SIGNING_ALG": "RS256",
                "TOKEN_RECORDS": "all",
                "TOKEN_BODY_MAX": "65536", "TOKEN_CORS_ORIGINS": ""}
    assert {name: shown[name][0] for name in expected} == expected


def test_a_variable_that_nobody_reads_is_said(settings):
    done = run("serve", "--check-config", settings=settings | {"TOKEN_ISUER": "https://x"})
    line = json.loads(done.stderr)
    assert (line["event"], line["variable"], line["meant"]) == ("unknown_setting", "TOKEN_ISUER", "TOKEN_ISSUER")


def test_each_command_has_a_help_of_its_own():
    for command in COMMANDS:
        text = run(command, "--help").stdout
        assert text == run("help", command).stdout == run(command, "x", "-h").stdout
        assert {line.split()[0] for line in text.splitlines() if re.match("  [a-z]", line)} == {command}
        assert "exit status:" in text and "--data-dir" in text and len(text.splitlines()) < 40
    assert "there is no command" in refused("help", "nonsense") and "nonsense" in refused("nonsense", "--help")


@pytest.mark.parametrize("arguments, said", [
    ("token verify --client web", "token verify takes no --client"), ("token verify --scope a", "takes no --scope"),
    ("token verify --expires-in 5", "takes no --expires-in"), ("token issue --client web --reason x", "no --reason"),
    ("token issue --client web --everything", "takes no --everything"), ("token revoke --audience web", "no --aud"),
    ("token inspect --subject web", "takes no --subject"), ("clients list --scope a", "takes no --scope"),
    ("clients add --id x --overlap 5", "no --overlap"), ("clients change web --public", "change takes no --public"),
    ("clients delete web --json", "takes no --json"), ("clients disable web --access-ttl 5", "no --access-ttl"),
    ("users list --claim name=x", "users list takes no --claim"), ("users password a --subject b", "no --sub"),
    ("users list a", "users list takes no name"), ("keys rotate --reason x", "keys rotate takes no --reason"),
    ("keys list --immediate", "no --immediate"), ("sessions end x --json", "no --json"), ("sessions end", "the id"),
    ("sessions end x --subject y", "takes the id"), ("sessions list x", "takes no id"),
    ("token verify --key k.json --audience web", "--key checks the signature alone"),
    ("token revoke --subject a --client b", "one of --subject, --client, --session and --everything"),
    ("token revoke --before 5", "one of --subject, --client, --session and --everything"),
    ("migrate --apply --print", "exclude each other"), ("migrate --down", "needs --print or --apply"),
    ("clients add --scope a", "clients add needs --id"), ("serve --nope", "unknown argument: --nope ("),
])
def test_an_option_that_would_not_be_read_is_refused(settings, client, arguments, said):
    """Who gives one expects that it is heeded: that verify checks the client, that a change is made."""
    assert said in refused(*arguments.split(), settings=settings, stdin=issue(settings))


def test_a_secret_given_as_a_flag_is_not_shown(settings):
    sentence = refused("serve", "--database-url=postgresql://user:hunter2@host/name", settings=settings)
    assert "unknown argument: --database-url (" in sentence and "hunter2" not in sentence


# --- clients --------------------------------------------------------------------------------------------------------

def test_a_client_is_added_before_the_first_start(settings, tmp_path):
    added = json.loads(run("clients", "add", "--id", "web", "--scope", "a b", "--json", settings=settings).stdout)
    assert added.keys() >= {"client_id", "client_secret"}
    assert added["client_id"] == "web"
    assert re.fullmatch("[A-Za-z0-9_-]{43}", added["client_secret"]), "256 bits"
    assert mode_of(tmp_path / "data") == 0o700
    for path in (tmp_path / "data").iterdir():
        assert mode_of(path) == 0o600, path


def test_a_secret_is_shown_once_and_kept_as_a_hash(settings, tmp_path, client):
    assert client["client_secret"] not in run("clients", "list", "--json", settings=settings).stdout
    assert client["client_secret"] not in run("clients", "list", settings=settings).stdout
    for path in (tmp_path / "data").iterdir():
        assert client["client_secret"].encode() not in path.read_bytes(), path
    again = run("clients", "add", "--id", "other", "--scope", "a", "--json", settings=settings)
    assert json.loads(again.stdout)["client_secret"] != client["client_secret"]


def test_a_client_for_people(settings):
    text = run("clients", "add", "--id", "web", "--scope", "a b", "--name", "Wéb", settings=settings).stdout
    secret = re.search(r"client_secret +([A-Za-z0-9_-]{43})$", text, re.M).group(1)
    assert "once" in text and secret
    listed = run("clients", "list", settings=settings).stdout.splitlines()
    assert listed[0].split() == ["CLIENT", "TYPE", "STATE", "SCOPE"]
    assert listed[1].split() == ["web", "confidential", "active", "a", "b"]


def test_the_list_of_clients(settings, client):
    run("clients", "add", "--id", "app", "--scope", "a", "--public", "--json", settings=settings)
    run("clients", "add", "--id", 'quote"\\id', "--name", 'Z"oë\n\u2028', "--scope", "", "--json", settings=settings)
    listed = json.loads(run("clients", "list", "--json", settings=settings).stdout)
    assert [each["client_id"] for each in listed] == sorted(["web", "app", 'quote"\\id'])
    by_id = {each["client_id"]: each for each in listed}
    assert by_id["app"]["client_type"] == "public" and by_id["web"]["client_type"] == "confidential"
    assert by_id["web"]["scope"] == "stories:read stories:write" and by_id["web"]["is_active"] is True
    assert by_id['quote"\\id']["client_name"] == 'Z"oë\n\u2028'


def test_no_clients_are_an_empty_list(settings):
    assert json.loads(run("clients", "list", "--json", settings=settings).stdout) == []


def test_a_public_client_has_no_secret(settings):
    added = json.loads(run("clients", "add", "--id", "app", "--scope", "a", "--public", "--json",
                           settings=settings).stdout)
    assert "client_secret" not in added and added["client_type"] == "public"


def test_an_id_is_given_once(settings, client):
    sentence = refused("clients", "add", "--id", "web", "--scope", "a", "--json", settings=settings, status=1)
    assert "already" in sentence
    (listed,) = json.loads(run("clients", "list", "--json", settings=settings).stdout)
    assert listed["scope"] == "stories:read stories:write", "the first is as it was"


def test_clients_are_disabled_and_enabled(settings, client):
    for verb, active in (("disable", False), ("disable", False), ("enable", True)):
        run("clients", verb, "web", settings=settings)
        (listed,) = json.loads(run("clients", "list", "--json", settings=settings).stdout)
        assert listed["is_active"] is active
        for other in ("nobody", "WEB", "we"):
            refused("clients", verb, other, settings=settings, status=1)


# --- tokens ---------------------------------------------------------------------------------------------------------

def issue(settings, *arguments):
    return run("token", "issue", "--client", "web", *arguments, settings=settings).stdout.strip()


def test_a_token_is_issued_verified_inspected_and_revoked(settings, client):
    token = issue(settings, "--subject", "user-1", "--scope", "stories:read", "--expires-in", "60")
    claims = tokens.claims_of(token)
    assert (claims["sub"], claims["scope"], claims["client_id"]) == ("user-1", "stories:read", "web")
    assert claims["exp"] - claims["iat"] == 60

    verified = json.loads(run("token", "verify", settings=settings, stdin=token).stdout)
    assert verified == {"valid": True, "tokenType": "access", "claims": claims}

    inspected = json.loads(run("token", "inspect", settings=settings, stdin=token).stdout)
    assert inspected == {"header": tokens.header_of(token), "claims": claims, "verified": False}

    assert json.loads(run("token", "revoke", "--reason", "test", "--json", settings=settings, stdin=token).stdout) == {
        "revoked": True}
    run("token", "verify", settings=settings, stdin=token, expect=1)


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_every_kind_and_option(settings, client, kind):
    answer = json.loads(issue(settings, "--type", kind, "--subject", "user-1", "--claims", '{"role":"admin","n":[1]}',
                              "--json",
                              *(["--nonce", "n-1"] if kind == "id" else [])))
    assert answer["tokenType"] == kind and answer["claims"]["role"] == "admin" and answer["claims"]["n"] == [1]
    assert answer["claims"].get("nonce") == ("n-1" if kind == "id" else None)


@pytest.mark.parametrize("good, bad", [
    (["--type", "access"], ["--type", "refresh"]), (["--audience", "web"], ["--audience", "app"]),
    (["--subject", "user-1"], ["--subject", "user-2"]), (["--require-issuer", ISSUER],
                                                         ["--require-issuer", "https://x"]),
    ([], ["--nonce", "x"]),
])
def test_what_verify_asks_of_a_token(settings, client, good, bad):
    token = issue(settings, "--subject", "user-1")
    run("token", "verify", *good, settings=settings, stdin=token)
    run("token", "verify", *bad, settings=settings, stdin=token, expect=1)
    run("token", "verify", *bad, "--json", settings=settings, stdin=token, expect=1)


@pytest.mark.parametrize("arguments", [
    ["--client", "nobody"], ["--client", "web", "--scope", "other"], ["--client", "web", "--type", "other"],
    ["--client", "web", "--claims", '{"iss":"x"}'], ["--client", "web", "--claims", "[]"],
    ["--client", "web", "--claims", "x"],
    ["--client", "web", "--claims", '{"a":1},"subject":"x"'], ["--client", "web", "--expires-in", "99999999"],
])
def test_a_token_that_may_not_be_issued_is_not(settings, client, arguments):
    done = run("token", "issue", *arguments, "--json", settings=settings, expect=1)
    assert "error" in json.loads(done.stdout)
    done = run("token", "issue", *arguments, settings=settings, expect=1)
    assert done.stdout == "", "a script would take it for a token"
    assert re.fullmatch("token-service: .+\n", done.stderr) and "eyJ" not in done.stderr


@pytest.mark.parametrize("text", ["", "\n", "x", "a.b.c", "..", "é", "\x00", "x" * 70000, "a.b.c d.e.f",
                                  "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_not_valid(settings, client, text):
    for verb in ("verify", "inspect"):
        done = run("token", verb, settings=settings, stdin=text, expect=1)
        assert "Traceback" not in done.stderr and '"valid":true' not in done.stdout


def test_standard_input_that_is_not_text_is_no_token(settings, client):
    for raw in (b"\xff\xfe", b"a.b.\xff", bytes(range(256))):
        for verb in ("verify", "inspect", "revoke"):
            done = subprocess.run([BINARY, "token", verb], input=raw, env=environment(settings), capture_output=True,
                                  timeout=60, check=False)
            assert done.returncode == 1, (verb, done)


@pytest.mark.parametrize("text", ["abc", "a.b.c", "..", "x" * 10000])
def test_who_revokes_nonsense_is_told_that_nothing_was_done(settings, client, text):
    issue(settings)
    said = run("token", "revoke", settings=settings, stdin=text, expect=1).stderr
    assert said.startswith("token-service: not a token of this service"), said
    answer = json.loads(run("token", "revoke", "--json", settings=settings, stdin=text, expect=1).stdout)
    assert answer["error_description"].startswith("not a token of this service")


def test_who_revokes_a_token_of_another_service_or_issuer_is_told_so(settings, client):
    token = issue(settings, "--subject", "user-1")
    forged = tokens.sign(tokens.new_key("ES256"), "ES256", tokens.header_of(token), tokens.claims_of(token))
    assert run("token", "revoke", settings=settings, stdin=forged, expect=1).stderr.startswith(
        "token-service: not a token of this service")
    other = settings | {"TOKEN_ISSUER": "https://other.example"}
    said = run("token", "revoke", settings=other, stdin=token, expect=1).stderr
    assert said.startswith("token-service: not a token of this service")
    assert ISSUER in said and "https://other.example" in said and "TOKEN_ISSUER" in said
    run("token", "verify", settings=settings, stdin=token)  # nothing was done
    run("token", "revoke", settings=settings, stdin=token)
    run("token", "verify", settings=settings, stdin=token, expect=1)


LOOKS = [["token", "verify"], ["token", "revoke"], ["token", "revoke", "--subject", "user-1"],
         ["token", "revoke", "--everything"]]


@pytest.mark.parametrize("arguments", LOOKS)
def test_a_command_that_only_looks_or_revokes_makes_no_store(settings, arguments):
    assert "no store" in refused(*arguments, settings=settings, stdin="a.b.c", status=1)
    assert not Path(settings["TOKEN_DATA_DIR"]).exists()


@pytest.mark.parametrize("arguments", LOOKS)
def test_a_command_that_only_looks_or_revokes_makes_no_key(settings, client, arguments):
    folder = Path(settings["TOKEN_DATA_DIR"])
    before = {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    said = refused(*arguments, settings=settings, stdin="a.b.c", status=1)
    assert "no signing key" in said
    assert {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))} == before
    assert json.loads(run("keys", "list", "--json", settings=settings).stdout) == []


def test_inspecting_a_token_needs_no_store(settings):
    token = tokens.sign(tokens.new_key("ES256"), "ES256", {"alg": "ES256"}, {"sub": "x"})
    assert json.loads(run("token", "inspect", settings=settings, stdin=token).stdout)["claims"] == {"sub": "x"}
    assert not Path(settings["TOKEN_DATA_DIR"]).exists()


def test_a_token_on_standard_input_may_end_with_line_breaks(settings, client):
    token = issue(settings)
    for end in ("", "\n", "\r\n", "\n\n"):
        run("token", "verify", settings=settings, stdin=token + end)


# --- keys and doctor ------------------------------------------------------------------------------------------------

def test_the_keys_are_listed(settings, client):
    assert json.loads(run("keys", "list", "--json", settings=settings).stdout) == []
    token = issue(settings)
    (key,) = json.loads(run("keys", "list", "--json", settings=settings).stdout)
    assert key["kid"] == tokens.header_of(token)["kid"]
    assert (key["alg"], key["state"]) == ("ES256", "active")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", key["created_at"])
    header, row = run("keys", "list", settings=settings).stdout.splitlines()
    assert header.split() == ["KID", "ALG", "STATE", "CREATED"]
    assert row.split() == [key["kid"], "ES256", "active", key["created_at"]]


def test_the_doctor_finds_a_good_service_good(settings):
    findings = json.loads(run("doctor", "--json", settings=settings).stdout)
    assert {each["check"] for each in findings} >= {"store", "signer", "sign", "clock"}
    assert all(each["ok"] is True and each["detail"] for each in findings)
    assert "FAILS" not in run("doctor", settings=settings).stdout


def test_what_the_doctor_says_is_json_whatever_was_set(settings):
    done = run("doctor", "--json", settings=settings | {"TOKEN_KEY_PENDING": "5"}, expect=3)
    (found,) = [each for each in json.loads(done.stdout) if each["check"] == "open"]
    assert 'TOKEN_KEY_PENDING is "5"' in found["detail"]


def key_file(settings):
    (path,) = Path(settings["TOKEN_DATA_DIR"]).glob("*.pem")
    return path


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o610, 0o777])
def test_a_command_uses_no_key_file_that_others_can_reach(settings, client, mode):
    issue(settings)
    path = key_file(settings)
    assert mode_of(path) == 0o600
    path.chmod(mode)
    sentence = refused("token", "issue", "--client", "web", settings=settings)
    assert path.name in sentence and "chmod 600" in sentence
    done = run("doctor", "--json", settings=settings, expect=3)
    assert [each for each in json.loads(done.stdout) if not each["ok"]]
    path.chmod(0o600)
    issue(settings)


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "another key", "a link", "a directory"])
def test_a_key_file_that_does_not_hold_its_key_is_refused(settings, client, tmp_path, damage):
    """Never signs with one key what is published under another (docs/contract.md, the last section)."""
    issue(settings)
    path = key_file(settings)
    original = path.read_bytes()
    path.unlink()
    other = tmp_path / "other.pem"
    if damage == "another key":
        original = tokens.new_key("ES256").private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                         serialization.NoEncryption())
    if damage == "a link":
        other.write_bytes(original)
        other.chmod(0o600)
        path.symlink_to(other)
    elif damage == "a directory":
        path.mkdir(0o700)
    elif damage != "gone":
        path.write_bytes({"empty": b"", "garbage": b"no key" * 50}.get(damage, original))
        path.chmod(0o600)
    done = run("serve", settings=settings, expect=None)
    assert done.returncode in (2, 3), done
    assert len([line for line in done.stderr.splitlines() if not line.startswith("{")]) == 1
    assert "PRIVATE KEY" not in done.stderr
    assert path.name in done.stderr
    run("doctor", settings=settings, expect=3)


def test_a_data_directory_is_made_and_kept_closed(settings, tmp_path):
    run("clients", "add", "--id", "a", "--scope", "a", settings=settings)
    assert mode_of(tmp_path / "data") == 0o700
    for umask in (0o000, 0o077):
        folder = tmp_path / f"data-{umask:o}"
        subprocess.run([BINARY, "clients", "add", "--id", "a", "--scope", "a"], check=True, umask=umask,
                       env=environment(settings | {"TOKEN_DATA_DIR": folder}), capture_output=True, timeout=60)
        assert mode_of(folder) == 0o700
        assert {mode_of(path) for path in folder.iterdir()} == {0o600}


def test_an_open_data_directory_is_found_by_the_doctor(settings, client, tmp_path):
    (tmp_path / "data").chmod(0o755)
    done = run("doctor", "--json", settings=settings, expect=3)
    assert [each["check"] for each in json.loads(done.stdout) if not each["ok"]] == ["data"]


@pytest.mark.parametrize("where", ["a file", "below a file", "no parent"])
def test_a_data_directory_that_cannot_be_is_one_sentence(settings, tmp_path, where):
    (tmp_path / "file").write_text("x")
    path = {"a file": "file", "below a file": "file/data", "no parent": "absent/parent/data"}[where]
    for arguments in (["serve"], ["clients", "list"], ["keys", "list"], ["token", "issue", "--client", "x"]):
        done = run(*arguments, settings=settings | {"TOKEN_DATA_DIR": str(tmp_path / path)}, expect=None)
        assert done.returncode in (2, 3), done
        sentences = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert len(sentences) == 1 and "TOKEN_DATA_DIR" in sentences[0], done.stderr


# --- what only looks, and output that fails -------------------------------------------------------------------------

LOOKING = [["clients", "list"], ["clients", "list", "--json"], ["keys", "list"], ["keys", "plan"],
           ["keys", "show", "k"], ["keys", "explain", "k"], ["doctor"], ["doctor", "--json"],
           ["serve", "--check-config"]]


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_what_only_looks_makes_nothing(settings, tmp_path, arguments):
    """No directory, no store, no key: a server elsewhere, or another user, would find them."""
    run(*arguments, settings=settings, expect=None)
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir(0o700)
    run(*arguments, settings=settings, expect=None)
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_what_only_looks_changes_no_file(settings, client, arguments):
    issue(settings)
    folder = Path(settings["TOKEN_DATA_DIR"])
    before = {path.name: (path.stat().st_mode, path.stat().st_ino) for path in folder.iterdir()}
    keys = run("keys", "list", "--json", settings=settings).stdout
    run(*arguments, settings=settings, expect=None)
    assert {path.name: (path.stat().st_mode, path.stat().st_ino) for path in folder.iterdir()} == before
    assert run("keys", "list", "--json", settings=settings).stdout == keys


def test_the_doctor_says_what_is_not_there_yet(settings):
    found = {each["check"]: each for each in json.loads(run("doctor", "--json", settings=settings).stdout)}
    assert all("does not exist yet" in found[part]["detail"] or "no database yet" in found[part]["detail"]
               or "no key yet" in found[part]["detail"] for part in ("data", "store", "signer", "sign"))


def test_the_doctor_tries_to_listen(settings, client):
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("doctor", "--json", settings=settings | {"TOKEN_LISTEN": address}, expect=3)
        assert [each["check"] for each in json.loads(done.stdout) if not each["ok"]] == ["listen"]
    run("doctor", settings=settings | {"TOKEN_LISTEN": address})


def test_the_doctor_tries_the_tls_files(settings, tmp_path):
    (tmp_path / "cert.pem").write_text("no certificate")
    (tmp_path / "key.pem").write_text("no key")
    files = {"TOKEN_TLS_CERT": str(tmp_path / "cert.pem"), "TOKEN_TLS_KEY": str(tmp_path / "key.pem")}
    done = run("doctor", "--json", settings=settings | files, expect=3)
    assert [each["check"] for each in json.loads(done.stdout) if not each["ok"]] == ["tls"]


PRINTING = LOOKING[:5] + LOOKING[6:] + [["help"], ["--help"], ["help", "man"], ["help", "markdown"], ["version"],
                                       ["migrate", "--print"], ["token", "issue", "--client", "web"],
                                       ["clients", "disable", "web"], ["keys", "rotate"]]


@pytest.mark.parametrize("check, more", [
    ("fetch", {"TOKEN_FETCH_CA_FILE": "/nowhere.pem"}), ("users", {"TOKEN_LOGIN": "builtin", "TOKEN_USERS_FILE": "."})])
def test_the_doctor_tries_the_users_and_the_certificates_of_others(settings, check, more):
    done = run("doctor", "--json", settings=settings | more, expect=3)
    assert [each["check"] for each in json.loads(done.stdout) if not each["ok"]] == [check]


@pytest.mark.parametrize("arguments", [each for each in PRINTING if each != ["keys", "show", "k"]], ids=" ".join)
def test_output_that_fails_is_no_success(settings, client, arguments):
    issue(settings)
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([BINARY, *arguments], env=environment(settings), stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)
    assert done.returncode == 3, done
    assert "could not be written" in done.stderr


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("away", ["full", "gone"])
def test_a_client_whose_secret_could_not_be_shown_gets_another(settings, form, away):
    """And whoever added it is told so: it is there, and nobody knows its secret."""
    with open("/dev/full", "w", encoding="ascii") as full:
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run([BINARY, "clients", "add", "--id", "web", "--scope", "a", *form],
                              env=environment(settings), stdout=full if away == "full" else write_end,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        os.close(write_end)
    assert done.returncode == 3 and "clients secret" in done.stderr, done
    shown = json.loads(run("clients", "secret", "web", "--json", settings=settings).stdout)
    assert shown["client_id"] == "web" and re.fullmatch("[A-Za-z0-9_-]{43}", shown["client_secret"])


def test_a_client_gets_another_secret_and_the_old_one_ends(server):
    old = server.add_client("rotated", SCOPES)
    assert server.ask(old).status_code == 200
    shown = json.loads(server.run("clients", "secret", "rotated", "--json").stdout)
    server.secrets.add(shown["client_secret"])
    assert shown["client_secret"] != old.secret
    new = dataclasses.replace(old, secret=shown["client_secret"])
    server.until(lambda: server.ask(new).status_code == 200, "the new secret is not taken")
    server.until(lambda: server.ask(old).status_code == 401, "the old secret is still taken")


def test_only_a_client_with_a_secret_gets_another(settings, client):
    run("clients", "add", "--id", "app", "--scope", "a", "--public", settings=settings)
    assert "public" in refused("clients", "secret", "app", settings=settings, status=1)
    assert "no client" in refused("clients", "secret", "none", settings=settings, status=1)
    assert "name the client" in refused("clients", "secret", settings=settings)
    text = run("clients", "secret", "web", settings=settings).stdout
    assert re.search(r"client_secret  [A-Za-z0-9_-]{43}\n", text) and "TOKEN_CLIENT_CACHE_TTL" in text


# --- beside a running server ----------------------------------------------------------------------------------------

def test_commands_beside_a_running_server(server, agent):
    token = server.run("token", "issue", "--client", "agent", "--subject", "user-1", "--type", "refresh").stdout.strip()
    server.tokens.add(token)
    assert server.introspect(agent, token)["sub"] == "user-1"
    assert json.loads(server.run("token", "verify", stdin=server.token(agent)).stdout)["valid"] is True
    assert len(json.loads(server.run("keys", "list", "--json").stdout)) in (1, 2)
    server.settled()  # or doctor misses the next key, on a machine that takes long to make it
    findings = server.run("doctor", expect=None).stdout
    assert "FAILS" not in findings, findings
    added = server.add_client("beside", SCOPES)
    assert server.introspect(added, token)["active"] is True


def test_many_clients_are_added_at_once(server, agent):
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda at: server.add_client(f"many-{at}", "token:introspect"), range(24)))
    for client in added:
        assert server.introspect(client, "x") == {"active": False}


def test_the_program_says_which_libraries_it_loads_when_they_are_needed():
    """In notes of its file, for what makes packages: a list of needed libraries knows nothing of dlopen."""
    data, notes = Path(BINARY).read_bytes(), []
    for found in re.finditer(re.escape(struct.pack("<I", 0x407c0c0a) + b"FDO\0"), data):
        owner_size, text_size = struct.unpack("<II", data[found.start() - 8:found.start()])
        text = data[found.end():found.end() + text_size]
        assert owner_size == 4 and text[-1:] == b"\0"
        notes += json.loads(text[:-1])
    assert sorted(note["soname"] for note in notes) == [["libcurl.so.4"], ["libpq.so.5"]]
    assert all(note["priority"] == "recommended" and note["feature"] and note["description"] for note in notes)
