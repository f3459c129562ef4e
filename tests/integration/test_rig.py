"""What the tests and the build rest on: which skipped test is a failure, and what a build says that can't do all."""

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from service import BINARY, ROOT

SKIPS = """
import pytest
from network import MACHINE_LACKS
def test_what_a_package_would_bring():
    pytest.skip("there is no such package")
def test_what_none_brings():
    pytest.skip(f"{MACHINE_LACKS}/dev/net/tun")
"""


@pytest.mark.parametrize("ci, failed, skipped", [("true", 1, 1), ("", 0, 2)])
def test_in_ci_a_skipped_test_is_a_failure_unless_no_package_brings_what_it_lacks(tmp_path, ci, failed, skipped):
    (tmp_path / "test_skips.py").write_text(SKIPS)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", "-c",
                           ROOT / "tests/integration/pytest.ini", "--rootdir", tmp_path, tmp_path], check=False,
                          capture_output=True, text=True, cwd=tmp_path,
                          env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT / "tests/integration")})
    summary = done.stdout.splitlines()[-1]
    assert f"{skipped} skipped" in summary and (f"{failed} failed" in summary or not failed), done.stdout + done.stderr


def test_a_static_build_says_what_it_has_not(tmp_path):
    done = subprocess.run(["meson", "setup", tmp_path / "build", "-Dc_link_args=-static"], cwd=ROOT, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0 and "has no AWS KMS, PostgreSQL and Supabase" in done.stdout, done.stdout


def test_a_commands_log_is_text_on_a_terminal_and_json_elsewhere(tmp_path):
    def log_of(stderr):
        subprocess.run([BINARY, "doctor", "--data-dir", tmp_path / "data"], stdout=subprocess.DEVNULL, stderr=stderr,
                       env={"PATH": os.environ["PATH"], "REDIS_URL": "redis://127.0.0.1:1"}, check=False)

    ours, terminal = pty.openpty()
    log_of(terminal)
    os.close(terminal)
    said = b""
    with suppress(OSError):  # its end; before, the kernel gives what it has passed on up to now
        while more := os.read(ours, 65536):
            said += more
    os.close(ours)
    assert b" warn  redis_failing  host=127.0.0.1" in said
    with (tmp_path / "log").open("wb") as file:
        log_of(file)
    assert b'"event":"redis_failing"' in (tmp_path / "log").read_bytes()
