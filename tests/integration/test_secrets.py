"""Secrets by reference: read at the start from moto's Secrets Manager and Parameter Store, and nowhere to be seen."""

import json
import uuid

import pytest

from moto_account import ACCOUNT, REGION, Account
from ports import free_port
from service import run

SALT = "correct horse battery staple, and more of it"
NOWHERE = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:nowhere-AbCdEf"


@pytest.fixture(scope="module")
def account():
    made = Account(free_port()).start()
    made.client("secretsmanager").list_secrets()  # moto reads the code of a service when it is first asked, and a start
    made.client("ssm").describe_parameters()      # has few seconds
    yield made
    made.stop()


@pytest.fixture
def secret(account):
    """secret(text) is the ARN of a secret with it."""
    def make(text):
        return account.client("secretsmanager").create_secret(Name=uuid.uuid4().hex, SecretString=text)["ARN"]
    return make


@pytest.fixture
def parameter(account):
    """parameter(text) is the ARN of an encrypted parameter with it."""
    def make(text):
        name = f"/token-service/{uuid.uuid4().hex}"
        account.client("ssm").put_parameter(Name=name, Value=text, Type="SecureString")
        return account.client("ssm").get_parameter(Name=name)["Parameter"]["ARN"]
    return make


def test_a_server_starts_by_references_and_shows_no_value(account, make_server, postgres, secret, parameter):
    url = postgres.database(f"secrets-{uuid.uuid4().hex[:8]}")
    settings = account.environment() | {"DATABASE_URL": secret(json.dumps({"url": url, "other": 1})) + ":url::",
                                        "TOKEN_PAIRWISE_SALT": parameter(SALT)}
    run("migrate", "--apply", settings=settings)
    server = make_server(**settings)
    server.secrets |= {SALT, url}
    server.start()
    agent = server.add_client("agent")
    assert server.verify(agent, server.token(agent)).status_code == 200
    assert server.events("serving")[-1]["store"] == "postgres"
    with open(f"/proc/{server.process.pid}/environ", "rb") as file:
        variables = file.read()
    assert SALT.encode() not in variables and url.encode() not in variables
    assert [one["setting"] for one in server.events("secret_read")] == ["TOKEN_PAIRWISE_SALT", "DATABASE_URL"]
    server.session.close()
    server.stop()


@pytest.mark.parametrize("reference, words", [
    (NOWHERE, "TOKEN_PAIRWISE_SALT can't be read: there is no such secret"),
    (f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/nowhere",
     "TOKEN_PAIRWISE_SALT can't be read: there is no such parameter")])
def test_a_start_without_its_secret_says_which(account, tmp_path, reference, words):
    settings = account.environment() | {"TOKEN_PAIRWISE_SALT": reference, "TOKEN_DATA_DIR": str(tmp_path / "data"),
                                        "TOKEN_LISTEN": "127.0.0.1:0"}
    assert words in run("serve", settings=settings, expect=3).stderr
    assert not (tmp_path / "data").exists(), "nothing was made"
    assert words in run("token", "issue", "--client", "x", settings=settings, expect=3).stderr


def test_a_value_that_does_not_fit_is_not_shown(account, tmp_path, secret):
    settings = account.environment() | {"TOKEN_PAIRWISE_SALT": secret("hunter2"), "TOKEN_DATA_DIR": str(tmp_path)}
    said = run("serve", settings=settings, expect=2).stderr
    assert "TOKEN_PAIRWISE_SALT is not usable: it is shorter than 32 bytes" in said and "hunter2" not in said


def test_an_aws_that_is_away_ends_the_start(tmp_path):
    settings = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://127.0.0.1:{free_port()}", "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "y", "TOKEN_PAIRWISE_SALT": NOWHERE, "TOKEN_DATA_DIR": str(tmp_path)}
    said = run("serve", settings=settings, expect=3).stderr
    assert "TOKEN_PAIRWISE_SALT can't be read: Secrets Manager (AWS_ENDPOINT_URL_SECRETS_MANAGER): " in said


def test_a_check_of_the_settings_asks_nobody(tmp_path):
    settings = {"TOKEN_PAIRWISE_SALT": NOWHERE, "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
                "TOKEN_DATA_DIR": str(tmp_path)}
    said = run("serve", "--check-config", settings=settings).stdout
    assert f"TOKEN_PAIRWISE_SALT=(read at {NOWHERE})" in said
