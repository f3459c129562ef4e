"""A network of its own for each instance, whose packets are late, lost or cut off as a test says.

An instance runs in a network namespace with two links. By the first, a veth pair, the test calls it, always
undisturbed. By the second it reaches its servers. That one is a pair of TUN devices with a process of ours between
them, which hands each IP packet on: what `tc qdisc … netem` does, on kernels too that were built without it. So it is
the kernel's own TCP that meets the loss, and sends again. Needs root, iproute2 and /dev/net/tun.

As a program this file is that process: it makes the devices, names them, and does what each line of its input says,
until the input ends; then the devices are gone, however the test ended."""

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
PREFIX = "tsf"                                              # of all that is named in the kernel
NETWORK = "198.18.0.0/15"                                   # RFC 2544: for tests of networks, and nothing else
MTU = 1500
MACHINE_LACKS = "the machine has no "  # how the reason begins


def why_not():
    """None, or why it can't be had. What no package brings, a test may lack in CI too (conftest.py)."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "there is no ip: Debian's package iproute2"
    if not os.access("/dev/net/tun", os.W_OK):
        return f"{MACHINE_LACKS}/dev/net/tun"
    probe = f"{PREFIX}-{os.getpid()}-probe"  # root in a container need not have the right
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    remove(probe)
    return f"{MACHINE_LACKS}right to make network namespaces: {done.stderr.strip()}" if done.returncode else None


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


def addresses(number):
    """The two ends of link `number` of this process: a /30 of NETWORK."""
    block = (os.getpid() % 4096) * 16 + number
    base = (198 << 24) + (18 << 16) + (block % 0x8000) * 4
    return tuple(".".join(str(b) for b in (base + i).to_bytes(4, "big")) for i in (1, 2))


class Network:
    """`count` namespaces. In the i-th the program `launcher(i)` starts; `calls_at[i]` is where it can be called, and
    `servers_at[i]` the address by which it finds servers that run here."""

    def __init__(self, count):
        remove_stale()
        self.count = count
        self.names = [f"{PREFIX}-{os.getpid()}-{i}" for i in range(count)]
        self.servers_at, self.calls_at = [], []
        self.lock = threading.Lock()
        self.relay = None
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        # pylint: disable-next=consider-using-with
        self.relay = subprocess.Popen([sys.executable, __file__, str(self.count)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        devices = json.loads(self.relay.stdout.readline())
        for i, name in enumerate(self.names):
            here, there = addresses(2 * i)
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("link", "set", devices[i][1], "netns", name)
            ip("addr", "add", f"{here}/30", "dev", devices[i][0])
            ip("link", "set", devices[i][0], "up")
            ip("-n", name, "addr", "add", f"{there}/30", "dev", devices[i][1])
            ip("-n", name, "link", "set", devices[i][1], "up")
            self.servers_at.append(here)
            here, there = addresses(2 * i + 1)
            veth = f"{PREFIX}{os.getpid()}v{i}"[-15:]
            ip("link", "add", veth, "type", "veth", "peer", "name", "calls", "netns", name)
            ip("addr", "add", f"{here}/30", "dev", veth)
            ip("link", "set", veth, "up")
            ip("-n", name, "addr", "add", f"{there}/30", "dev", "calls")
            ip("-n", name, "link", "set", "calls", "up")
            self.calls_at.append(there)

    def launcher(self, i):
        return ("ip", "netns", "exec", self.names[i])

    def disturb(self, delay_ms=0, jitter_ms=0, loss=0.0, cut=()):
        """From now on, on the way to the servers and on the way back: each packet is late by delay_ms and up to
        jitter_ms more, never before the one that was sent before it; is lost with that probability; the links of
        `cut` pass nothing. Without arguments: all is well."""
        line = {"delay_s": delay_ms / 1000, "jitter_s": jitter_ms / 1000, "loss": loss, "cut": list(cut)}
        with self.lock:
            self.relay.stdin.write(json.dumps(line) + "\n")
            self.relay.stdin.flush()
            self.relay.stdout.readline()  # it does so from here on

    def counts(self):
        """Packets that were handed on, and that were lost."""
        with self.lock:
            self.relay.stdin.write("{}\n")
            self.relay.stdin.flush()
            return json.loads(self.relay.stdout.readline())

    def close(self):
        """With a namespace goes its end of the veth pair, and with that the other one."""
        if self.relay:
            self.relay.stdin.close()
            self.relay.wait(60)
            self.relay.stdout.close()
        for name in self.names:
            remove(name)


def remove(name):
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def remove_stale():
    """What a process left that was killed."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0] if line else ""
        parts = name.split("-")
        if parts[0] == PREFIX and len(parts) == 3 and not Path(f"/proc/{parts[1]}").exists():
            remove(name)


# --- the process between the devices --------------------------------------------------------------------------------

def open_tun():
    """A device and its name."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    answer = fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", PREFIX.encode() + b"%d", IFF_TUN | IFF_NO_PI))
    return device, answer[:16].rstrip(b"\0").decode()


class Relay:
    def __init__(self, count):
        pairs = [(open_tun(), open_tun()) for _ in range(count)]
        self.names = [[name for _, name in pair] for pair in pairs]
        self.other, self.link = {}, {}
        for number, ((here, _), (there, _)) in enumerate(pairs):
            self.other |= {here: there, there: here}
            self.link |= {here: number, there: number}
        self.settings = {"delay_s": 0, "jitter_s": 0, "loss": 0, "cut": []}
        self.late, self.last_due, self.order = [], {}, 0
        self.passed = self.lost = 0
        self.random = random.Random()

    def take(self, device):
        """All that has come at a device, which may be none."""
        for _ in range(64):
            try:
                packet = os.read(device, MTU + 100)
            except (BlockingIOError, OSError):
                return
            settings = self.settings
            if self.link[device] in settings["cut"] or self.random.random() < settings["loss"]:
                self.lost += 1
                continue
            due = time.monotonic() + settings["delay_s"] + self.random.random() * settings["jitter_s"]
            due = self.last_due[device] = max(due, self.last_due.get(device, 0))
            self.order += 1
            heapq.heappush(self.late, (due, self.order, self.other[device], packet))

    def send_due(self):
        """Returns for how long nothing will be due."""
        while self.late and self.late[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(self.late)
            with contextlib.suppress(OSError):  # the device is not up yet, or its queue is full: as a network does
                os.write(device, packet)
                self.passed += 1
        return max(0, self.late[0][0] - time.monotonic()) if self.late else None

    def run(self):
        print(json.dumps(self.names), flush=True)
        poll = select.poll()
        for device in (*self.other, sys.stdin.fileno()):
            poll.register(device, select.POLLIN)
        while True:
            wait_s = self.send_due()
            for device, _ in poll.poll(None if wait_s is None else wait_s * 1000):
                if device != sys.stdin.fileno():
                    self.take(device)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                self.settings |= json.loads(line)
                print(json.dumps([self.passed, self.lost]), flush=True)


if __name__ == "__main__":
    Relay(int(sys.argv[1])).run()
