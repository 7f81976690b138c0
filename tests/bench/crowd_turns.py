"""What giving a crowd its output by turns does to delays and to the work: ``python -m tests.bench.crowd_turns``.

A server that does one thing after the other, in simulated time, so that the figures are the same on every machine: a
task appends a chunk every 20 ms, a send takes what is given by a fifth more or less, and a turn is begun when a
chunk has come or ``LATE_S`` after the one before. Who is given something is decided by the server's own rule; beside it
by giving all of them all at once, and by giving all at once but seldom, so that it takes no more of the time.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from livetask.server.crowding import LATE_S, LEAST_S, SHARE, how_many

CHUNK_S, SECONDS = 0.02, 3.0
TURN_S, LOOK_S = 0.8e-3, 0.45e-6
"""What a round takes beside its sends: all of it, and for each viewer who is looked at."""

Rule = Callable[[int, float, float], int]


def at_once(viewers: int, each_s: float, since_s: float) -> int:
    """All, whenever there is something."""
    return viewers


def seldom(viewers: int, each_s: float, since_s: float) -> int:
    """All, when so much time has passed that they take no more than their share of it."""
    return viewers if viewers * each_s <= max(SHARE * since_s, LEAST_S) else 0


@dataclass
class Crowd:
    """Viewers by how many chunks they have been given, and when that was."""

    viewers: int
    each_s: float
    rule: Rule
    has: list[int] = field(init=False)
    given_s: list[float] = field(init=False)
    late_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.has, self.given_s = [0] * self.viewers, [-1.0] * self.viewers

    def lived(self) -> tuple[float, float, float, float]:
        """p50 and p99 in ms from a chunk to a viewer; frames a second for each viewer; how busy the server is."""
        chance = random.Random(1)
        came = sorted(CHUNK_S * n + chance.uniform(0, 0.001) for n in range(int(SECONDS / CHUNK_S)))
        pending, alarms = list(came), list[tuple[float, float]]()
        now_s = busy_s = 0.0
        turn_s, frames = float("-inf"), 0
        while pending or alarms:
            now_s = max(now_s, min([*pending[:1], *(at_s for at_s, _ in alarms[:1])]))
            heard = bool(pending) and pending[0] <= now_s
            while pending and pending[0] <= now_s:
                pending.pop(0)
            since_s = float("-inf")
            while alarms and alarms[0][0] <= now_s:
                since_s = max(since_s, heapq.heappop(alarms)[1])
            there = len(came) - len(pending)
            want = [n for n in range(self.viewers) if self.has[n] < there and (heard or self.given_s[n] <= since_s)]
            began_s, many = now_s, self.rule(len(want), self.each_s, now_s - turn_s)
            if many and len(want) * self.each_s > LEAST_S:
                turn_s = now_s
            if many < len(want):
                heapq.heappush(alarms, (turn_s + LATE_S, now_s))
            now_s += TURN_S + LOOK_S * len(want)
            for n in sorted(want, key=self.has.__getitem__)[:many]:
                now_s += self.each_s * chance.uniform(0.8, 1.2)
                self.late_s += [now_s - at_s for at_s in came[self.has[n] : there]]
                self.has[n], self.given_s[n] = there, now_s
                frames += 1
            busy_s += now_s - began_s
        late = sorted(self.late_s)
        assert len(late) == self.viewers * len(came), "everybody was given everything"
        p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
        return p50 * 1000, p99 * 1000, frames / self.viewers / SECONDS, busy_s / max(now_s, SECONDS)


def main() -> None:
    print(
        "| viewers, µs a send | rule | p50 / p99, ms | frames a second | of a core |\n| --- | --- | --- | --- | --- |"
    )
    for viewers, each_us in ((300, 16), (1000, 13), (1000, 16), (1000, 19), (1000, 25), (3000, 16)):
        for name, rule in (("all at once", at_once), ("all, seldom", seldom), ("**by turns**", how_many)):
            p50, p99, frames, busy = Crowd(viewers, each_us * 1e-6, rule).lived()
            print(f"| {viewers}, {each_us} | {name} | {p50:.0f} / {p99:.0f} | {frames:.0f} | {busy:.0%} |")


if __name__ == "__main__":
    main()
