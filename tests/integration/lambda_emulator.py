"""AWS's own emulator of Lambda (Runtime Interface Emulator), which nobody here wrote: it starts the program as Lambda
does, gives it one event at a time and a deadline, and takes what it answers."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

import lambda_events
from lambda_events import KINDS
from ports import free_port
from service import BINARY, ROOT, Server, environment
from wire import PATIENCE_S

EMULATOR = ROOT / "build/tools/lambda-rie"
PATH = "/2015-03-31/functions/function/invocations"


def need_emulator():
    if not os.access(EMULATOR, os.X_OK):
        pytest.skip("there is no lambda-rie: `./dev test integration` builds it, where Go's modules can be had")


class UnderEmulator:
    """A Server that the emulator starts, with the first event; its output is the emulator's too. `emulator`: the words
    of a command that becomes it; `bootstrap`: what it starts, or nothing: what it looks for, as Lambda does."""

    emulator = (EMULATOR,)
    bootstrap = ()

    def start(self, *_, **__):
        port, api_port = free_port(), free_port()
        self.url_of_function = f"http://127.0.0.1:{port}{PATH}"
        settings = {name: value for name, value in self.settings.items() if name != "TOKEN_LISTEN"}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.emulator, "--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address",
                 f"127.0.0.1:{api_port}", *self.bootstrap],
                env=environment(settings | {"AWS_LAMBDA_FUNCTION_TIMEOUT": "10"}), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
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

    def function_pids(self):
        """What the emulator has started, in a process group of its own."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]

    def close(self):
        """The function, and then the emulator."""
        if self.process:
            with suppress(FileNotFoundError):
                for pid in self.function_pids():
                    os.kill(pid, signal.SIGKILL)
            self.kill()


class Emulated(UnderEmulator, Server):
    """The program, where nothing else is made as on Lambda."""

    def __init__(self, home, **settings):
        super().__init__(home, settings)
        self.bootstrap = (self.home / "bootstrap",)
        self.bootstrap[0].symlink_to(BINARY)
