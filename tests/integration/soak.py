"""Faults at random, one or two at a time, in one cluster after the other, for as long as one likes: `./dev soak`. What
happens follows from the seed that is printed, but for the time that the machine takes."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import faults
import network
from cluster import Cluster, Shape
from ledger import Ledger

SCENE_ROUNDS = 20     # in one cluster, before the next one of perhaps another shape
SHAPES = [Shape(redis=redis, store=store, has_network=has_network)
          for redis in ("single", "watched", "hostile") for store in ("postgres", "replicated", "supabase")
          for has_network in (False, True)
          if not has_network or (redis, store) == ("single", "postgres")]  # the others are at 127.0.0.1 alone
SHAPES.append(Shape(is_proxied=True))
# Short lives, so that tokens, revocations and keys come to their ends meanwhile.
SETTINGS = {"TOKEN_ACCESS_TTL": 240, "TOKEN_REFRESH_TTL": 300, "TOKEN_ID_TTL": 240, "TOKEN_ACCESS_TTL_MAX": 300,
            "TOKEN_REFRESH_TTL_MAX": 300, "TOKEN_ID_TTL_MAX": 300, "TOKEN_PURGE_INTERVAL": 5,
            "TOKEN_JWKS_MAX_AGE": 5, "TOKEN_JWKS_STALE_WHILE_REVALIDATE": 0, "TOKEN_JWKS_STALE_IF_ERROR": 0,
            "TOKEN_KEY_PENDING": 40}
MEMORY_KIB = 64 * 1024


def arguments():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.split(":")[0])
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="as it was printed")
    parser.add_argument("--minutes", type=float, default=10, help="10, if not told otherwise")
    return parser.parse_args()


def choose(shape, chance):
    """One kind of fault, or two that happen to different things."""
    kinds = [kind for kind in faults.ALL if kind.fits(shape)]
    chosen = [chance.choice(kinds)]
    others = [kind for kind in kinds if kind.of != chosen[0].of]
    if others and chance.random() < 0.5:
        chosen.append(chance.choice(others))
    return sorted(chosen, key=lambda kind: kind.of != "instances")


def scene(home, shape, chance, end):
    """Rounds in one cluster."""
    with Cluster(home, shape, **SETTINGS) as cluster:
        ledger = Ledger()
        for _ in range(SCENE_ROUNDS):
            if time.monotonic() > end:
                return
            kinds, seed = choose(shape, chance), chance.getrandbits(32)
            begin, before = time.monotonic(), ledger.acknowledged
            names = " and ".join(kind.__name__ for kind in kinds)
            print(f"{time.strftime('%H:%M:%S')}  {names:40}", end="", flush=True)
            faults.go_through(cluster, ledger, kinds, seed, MEMORY_KIB)
            print(f"{ledger.acknowledged - before:6} acknowledged, all kept; {time.monotonic() - begin:4.0f} s",
                  flush=True)


def main():
    options = arguments()
    chance = random.Random(options.seed)
    shapes = [shape for shape in SHAPES if not shape.has_network or not network.why_not()]
    print(f"seed {options.seed}, {options.minutes:g} minutes")
    if network.why_not():
        print(f"without faults of the network: {network.why_not()}")
    end = time.monotonic() + options.minutes * 60
    while time.monotonic() < end:
        shape, home = chance.choice(shapes), Path(tempfile.mkdtemp(prefix="token-service-soak-"))
        print(f"three instances, Redis {shape.redis}, store {shape.store}"
              + (", a network of their own" if shape.has_network else ""))
        try:
            scene(home, shape, chance, end)
        except BaseException as fault:  # pylint: disable=broad-except
            print(f"\nseed {options.seed}: {type(fault).__name__}: {fault}\nlogs: {home}", file=sys.stderr)
            raise SystemExit(1) from (None if isinstance(fault, (AssertionError, KeyboardInterrupt)) else fault)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
