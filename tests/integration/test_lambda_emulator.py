"""The program under AWS's own emulator of Lambda."""

import json

import pytest

from lambda_emulator import Emulated, need_emulator
from lambda_events import KINDS, bus, schedule


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    need_emulator()
    made = Emulated(tmp_path_factory.mktemp("emulated-"), TOKEN_SIGNING_ALG="ES256").start()
    yield made
    made.close()


def test_the_emulator_starts_it_and_gets_its_answers(emulated):
    status, _, body = emulated.call("http", "GET", "/.well-known/jwks.json")
    assert status == 200 and json.loads(body)["keys"]
    agent = emulated.add_client("agent")
    headers = [("Authorization", agent.basic()), ("Content-Type", "application/json")]
    for kind in KINDS:
        status, _, body = emulated.call(kind, "POST", "/token", headers, "", json.dumps({
            "subject": "agent", "clientId": "agent", "scope": "", "tokenType": "access"}).encode())
        assert status == 200, body
        token = json.loads(body)["token"]
        emulated.tokens.add(token)
        status, _, body = emulated.call(kind, "POST", "/token/verify", headers, "", json.dumps(
            {"token": token}).encode())
        assert status == 200 and json.loads(body)["valid"] is True
    assert emulated.invoke(bus("GET_JWKS", {}))["body"]["keys"]
    assert emulated.invoke(schedule())["body"]["complete"] is True


def test_a_failed_start_is_told_to_the_emulator(tmp_path):
    need_emulator()
    made = Emulated(tmp_path, TOKEN_ACCESS_TTL="soon").start()
    try:
        answer = made.invoke(schedule())
        assert answer["errorType"] == "Runtime.InitError" and "settings" in answer["errorMessage"]
    finally:
        made.close()
