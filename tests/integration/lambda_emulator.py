"""AWS's own emulator of Lambda (Runtime Interface Emulator), which nobody here wrote, around a function: it starts the
program as Lambda does, gives it one event at a time and a deadline, and takes what it answers.

Two things it is not made for, and both end it with all connections: an event that comes while another is under way (it
reads what it has not got of the second), and a port of its runtime API that somebody has. So events go one after the
other, none is sent again, and a start that finds its ports taken is made again with others. Only as Lambda Managed
Instances are (`at_once`) it takes several."""

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress

import pytest
import requests

from lambda_runtime import ByEvents
from ports import free_port
from service import BINARY, ROOT, Server, environment
from wire import PATIENCE_S

EMULATOR = ROOT / "build/tools/lambda-rie"
PATH = "/2015-03-31/functions/function/invocations"
STARTS = 5


def need_emulator():
    if not os.access(EMULATOR, os.X_OK):
        pytest.skip("there is no lambda-rie: `./dev test integration` builds it, where Go's modules can be had")


class UnderEmulator(ByEvents):
    """Of a Server: `command` becomes the function when the first event comes, or at the start where there are several
    at once. Its output is the emulator's too."""

    at_once = 1  # events

    def words(self, *options):
        """The emulator's own command."""
        return [EMULATOR, *options, *self.command]

    def start(self, *_, **__):
        for _ in range(STARTS):
            self.port, api_port = free_port(), free_port()
            lambdas = {"AWS_LAMBDA_FUNCTION_TIMEOUT": PATIENCE_S}
            if self.at_once > 1:
                lambdas["AWS_LAMBDA_MAX_CONCURRENCY"] = self.at_once
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(
                    self.words("--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
                               "--runtime-api-address", f"127.0.0.1:{api_port}"),
                    env=environment({name: value for name, value in self.settings.items()
                                     if name != "TOKEN_LISTEN"} | lambdas),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            if self._listens(self.port) and self._listens(api_port):
                self.places = threading.BoundedSemaphore(self.at_once)
                return self
            self.close()
        raise AssertionError(f"the emulator does not start: {self.log[-3000:]}")

    def _listens(self, port):
        """False: it has ended."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return self.process.poll() is None
            time.sleep(0.01)
        return False

    def invoke(self, event):
        """What the function answered. It has asked for the next event by then, unless there are several at once: then a
        thread may not be back yet, and the emulator says that it has given the event to none."""
        end = time.monotonic() + PATIENCE_S
        with self.places:
            while True:
                answer = self._post(event)
                if answer != {"errorType": "Runtime.Unavailable"} or time.monotonic() > end:
                    return answer
                time.sleep(0.005)

    def _post(self, event):
        try:
            return requests.post(f"http://127.0.0.1:{self.port}{PATH}", json=event, timeout=2 * PATIENCE_S).json()
        except (requests.RequestException, ValueError) as error:
            raise AssertionError(f"the emulator fails: {error}: {self.log[-3000:]}") from error

    def answer_to(self, event, deadline_s):
        """The deadline is the emulator's own."""
        return self.invoke(event)

    def close(self):
        """The emulator ends what it has started, and then itself."""
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)
            self.process = None


class Emulated(UnderEmulator, Server):
    """The program under test."""

    def __init__(self, home, **settings):
        super().__init__(home, settings)
        self.command = [self.home / "bootstrap"]
        self.command[0].symlink_to(BINARY)
