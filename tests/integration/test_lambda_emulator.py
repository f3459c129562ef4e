"""The program under AWS's own emulator of Lambda."""

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
    assert emulated.jwks()["keys"]
    agent = emulated.add_client("agent")
    for kind in KINDS:
        emulated.kind = kind
        token = emulated.token(agent)
        assert emulated.verify(agent, token).json()["valid"] is True
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

