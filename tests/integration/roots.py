"""Programs in a root of their own, where nothing is but what a package brought along; and packages, made by `./dev`."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from network import MACHINE_LACKS
from service import ROOT, Client, Server, environment
from wire import PATIENCE_S

CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")  # whatever PATH a package says
MAKING_S = 600  # where nothing was built before


def why_not():
    """None, or why it can't be had: whoever isn't root needs a namespace in which to be."""
    if os.geteuid() == 0:
        return None
    done = subprocess.run(["unshare", "--map-root-user", "true"], capture_output=True, text=True, check=False)
    return f"{MACHINE_LACKS}right to make user namespaces: {done.stderr.strip()}" if done.returncode else None


def inside(root, user=None):
    """The words of a command that becomes another one in `root`. `user`: "UID:GID", where the tests' own is root."""
    if os.geteuid() == 0:
        return [CHROOT, *([f"--userspec={user}"] if user else []), str(root)]
    return ["unshare", "--map-root-user", f"--root={root}", "--"]


@cache
def made_by(*words):
    """The path of what `./dev` makes by these words."""
    done = subprocess.run([ROOT / "dev", *words], capture_output=True, text=True, timeout=MAKING_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / re.search(r"^dev: ready: ([^\s,;]+)", done.stdout, re.MULTILINE)[1]


class Rooted(Server):
    """`program serve` in `root`, where its data directory is /tmp/data."""

    def __init__(self, home, root, program, settings=None, user=None):
        super().__init__(home, {"TOKEN_DATA_DIR": "/tmp/data"} | (settings or {}))
        self.command = [*inside(root, user), program]
        self.data_dir = Path(root) / self.settings["TOKEN_DATA_DIR"].lstrip("/")

    def spawn(self, *arguments, **options):
        with self.log_path.open("ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([*self.command, "serve", *arguments], env=environment(self.settings),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        return self.process

    def run(self, *arguments, expect=0, **_):
        done = subprocess.run([*self.command, *arguments], env=environment(self.settings), capture_output=True,
                              text=True, timeout=PATIENCE_S, check=False)
        assert expect is None or done.returncode == expect, f"{arguments}: exit {done.returncode}: {done.stderr}"
        return done

    def findings(self, **settings):
        """What `doctor` says of each part: whether it is good, and a sentence."""
        before, self.settings = self.settings, self.settings | settings
        try:
            found = json.loads(self.run("doctor", "--json", expect=None).stdout)
        finally:
            self.settings = before
        return {each["check"]: (each["ok"], each["detail"]) for each in found}


def works(server):
    """A token is issued there, verified, revoked and then refused."""
    agent = server.add_client("agent")
    assert isinstance(agent, Client)
    with server:
        server.settled()
        token = server.token(agent)
        assert server.verify(agent, token).json()["valid"]
        assert server.revoke(agent, token).status_code == 200
        assert not server.is_active(agent, token)
