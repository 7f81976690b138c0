"""``python -m tests.models --steps 1000000 --seed 7``: the hub in simulated time, for long; part of `make chaos`."""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import time
from collections import Counter

from tests.models.hub_in_time import simulate

PART = 2000
_SAID_EVERY = 100_000


def main() -> int:
    """Simulate part by part, each with the next seed; prints what befell, and the seed of a part that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, whatever is done")
    given = parser.parse_args()
    logging.disable(logging.ERROR)
    counts: Counter[str] = Counter()
    began_s, done = time.monotonic(), 0
    while done < given.steps and time.monotonic() - began_s < given.seconds:
        seed = given.seed + done // PART
        try:
            counts += simulate(seed, min(PART, given.steps - done))
        except Exception as error:
            print(f"seed {seed}, {PART} steps: {type(error).__name__}: {error}")
            raise
        done += PART
        if done % _SAID_EVERY == 0:
            print(f"{done:>10,}  steps in {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
    took_s = time.monotonic() - began_s
    print(f"{min(done, given.steps):,} steps from seed {given.seed} in {took_s:.0f} s; nothing lost, nothing doubled")
    for name, count in sorted(counts.items()):
        print(f"{count:>10,}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
