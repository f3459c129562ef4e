"""Three instances under mixed load while something goes wrong: whatever was acknowledged stays true (ledger.py), and
all goes on without a restart afterwards. Each fault of faults.py in a cluster of the shape that it needs; faults of one
shape follow each other in one cluster. `./dev soak` does the same at random, for as long as one likes."""

import os
import shutil

import pytest

import faults
import network
from cluster import Cluster, Shape
from ledger import Ledger
from postgres import PROGRAMS
from supabase import PROGRAM

SHAPES = {
    "loopback": Shape(),
    "network": Shape(has_network=True),
    "replicated": Shape(store="replicated"),
    "sentinels": Shape(redis="watched"),
    "postgrest": Shape(store="supabase"),
    "proxied": Shape(is_proxied=True),
    "hostile": Shape(redis="hostile"),
}
CASES = [(name, kind) for name, shape in SHAPES.items() for kind in faults.ALL
         if kind.fits(shape) and (name == "loopback" or not kind.fits(SHAPES["loopback"]))]


def memory_bound_kib(sanitizer):
    """An instance needs some 20 MiB; a sanitizer keeps what was freed for a while."""
    return 1024 * (900 if sanitizer else 64)


def skip_if_lacking(shape):
    if not PROGRAMS:
        pytest.skip("there is no PostgreSQL here: Debian's package postgresql")
    if shape.has_network and network.why_not():
        pytest.skip(network.why_not())
    if shape.store == "supabase" and not PROGRAM.exists():
        pytest.skip("npm's @supabase/lite is not installed here: `npm ci` in tests/integration")


@pytest.fixture(scope="module")
def platform(request, tmp_path_factory):
    """A cluster, and the ledger of all that was acknowledged in it."""
    shape = SHAPES[request.param]
    skip_if_lacking(shape)
    home = tmp_path_factory.mktemp(f"faults-{request.param}-")
    with Cluster(home, shape) as cluster:
        yield cluster, Ledger()
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("platform, kind", CASES, indirect=["platform"], scope="module",
                         ids=[f"{name}-{kind.__name__}" for name, kind in CASES])
def test_what_was_acknowledged_outlives(platform, kind, sanitizer):
    cluster, ledger = platform
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")  # pytest shows it when the test fails
    faults.go_through(cluster, ledger, [kind], seed, memory_bound_kib(sanitizer))
