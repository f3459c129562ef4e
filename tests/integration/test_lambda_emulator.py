"""The program under AWS's own emulator of Lambda (Runtime Interface Emulator), which nobody here wrote: it starts the
program as Lambda does, gives it one event at a time and a deadline, and takes what it answers."""

import json
import os
import signal
import subprocess
import time

import pytest
import requests

import lambda_events
from lambda_events import KINDS, bus, schedule
from ports import free_port
from service import BINARY, ROOT, Server, environment
from wire import PATIENCE_S

EMULATOR = ROOT / "build/tools/lambda-rie"
PATH = "/2015-03-31/functions/function/invocations"


class Emulated(Server):
    """The program under the emulator; its output is the emulator's too."""

    def __init__(self, home, **settings):
        super().__init__(home, settings)
        self.settings = {name: value for name, value in self.settings.items() if name != "TOKEN_LISTEN"}
        self.program = self.home / "bootstrap"
        self.program.symlink_to(BINARY)

    def start(self, *_, **__):
        port, api_port = free_port(), free_port()
        self.url_of_function = f"http://127.0.0.1:{port}{PATH}"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address",
                 f"127.0.0.1:{api_port}", self.program], env=environment(self.settings | {
                     "AWS_LAMBDA_FUNCTION_TIMEOUT": "10"}), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        return self

    def invoke(self, event):
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = requests.post(self.url_of_function, json=event, timeout=PATIENCE_S)
                return answer.json()
            except requests.ConnectionError:
                assert time.monotonic() < end and self.process.poll() is None, self.log[-3000:]
                time.sleep(0.02)

    def call(self, kind, method, path, headers=(), query="", body=b""):
        return lambda_events.answer_of(kind, self.invoke(KINDS[kind](method, path, headers, query, body)))

    def close(self):
        """The emulator, and what it has started."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    if not os.access(EMULATOR, os.X_OK):
        pytest.skip("there is no lambda-rie: `./dev test integration` builds it, where Go's modules can be had")
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
    if not os.access(EMULATOR, os.X_OK):
        pytest.skip("there is no lambda-rie: `./dev test integration` builds it, where Go's modules can be had")
    made = Emulated(tmp_path, TOKEN_ACCESS_TTL="soon").start()
    try:
        answer = made.invoke(schedule())
        assert answer["errorType"] == "Runtime.InitError" and "settings" in answer["errorMessage"]
    finally:
        made.close()

