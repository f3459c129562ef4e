"""Ports for servers that must be told theirs. None of those that the kernel gives to outgoing connections: such a one
may be taken again before its server has started."""

import os
import random
import socket
from collections import deque
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST, MANY = 10240, 20000
CLASSES = 16  # workers that test side by side choose among ports of their own, since many are taken only seconds later
OWN = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % CLASSES
chance = random.SystemRandom()
given = deque(maxlen=100)


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(*others):
    """Ports that lie `others` above it are free too."""
    end = int(RANGE.read_text().split()[0])
    if end < FIRST + MANY:  # a kernel with a setting of its own
        end = 32768
    while True:
        port = chance.randrange(FIRST + OWN, end - max(others, default=0), CLASSES)
        ports = [port + above for above in (0, *others)]
        if not any(each in given for each in ports) and all(map(is_free, ports)):
            given.extend(ports)
            return port
