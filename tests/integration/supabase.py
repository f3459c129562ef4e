"""A PostgREST-compatible server over the tests' PostgreSQL: npm's @supabase/lite. Where it differs from Supabase's own:
it takes new keys alone (sb_secret_…), and minds row level security but no GRANT."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import requests

from node import NODE
from ports import free_port

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules/@supabase/lite/dist/cli/index.js"


class Supabase:
    secret_key = "sb_secret_of_the_tests_0123456789abcdef"
    publishable_key = "sb_publishable_of_the_tests_0123456789"

    def __init__(self, database_url):
        self.home = Path(tempfile.mkdtemp(prefix="token-service-supabase-"))
        self.port = free_port()
        self.process = None
        (self.home / "supabase").mkdir()
        (self.home / "supabase/config.toml").write_text(
            f'[api]\nport = {self.port}\n[db]\ndriver = "postgres"\nurl = "{database_url}"\n[auth]\nenabled = false\n'
            f'publishable_key = "{self.publishable_key}"\nsecret_key = "{self.secret_key}"\n')

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def settings(self):
        return {"SUPABASE_URL": self.url, "SUPABASE_SERVICE_KEY": self.secret_key}

    def start(self):
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen([NODE, PROGRAM, "start", "--no-admin"], cwd=self.home,
                                            env=os.environ | {"DO_NOT_TRACK": "1"}, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while True:
            # Its first request makes what it needs in the database; of several at once, some would fail.
            with contextlib.suppress(requests.ConnectionError):
                if requests.post(f"{self.url}/rest/v1/rpc/token_service_call", timeout=30,
                                 headers={"apikey": self.secret_key},
                                 json={"function": "check", "args": "{}"}).status_code == 200:
                    return self
            assert self.process.poll() is None and time.monotonic() < end, (self.home / "log").read_text()[-2000:]
            time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def close(self):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
