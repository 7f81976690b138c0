"""That a task is queued is told of those that wait: not of those that begin at once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from livetask.worker.arrivals import HELD_S, Arrivals


class Case:
    """With a clock and a timer that go when they are told to. ``told``: the requests, ``times``: since when."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.times: list[int] = []
        self.asked: list[Callable[[], None]] = []
        self.now_s = 10.0
        self.arrivals = Arrivals(self._tell, lambda after_s, call: self.asked.append(call), lambda: self.now_s)

    def _tell(self, request: object, at_ms: int) -> None:
        self.told.append(request)
        self.times.append(at_ms)

    def came(self, *, begun: bool = False) -> SimpleNamespace:
        request = SimpleNamespace(time_start=1.0 if begun else None)
        self.arrivals.came(request, 7)
        return request

    def look_when_due(self) -> None:
        self.now_s += HELD_S
        for call in self.asked[:]:
            self.asked.remove(call)
            call()


def test_of_what_begins_at_once_nothing_is_told() -> None:
    case = Case()
    waits, begins = case.came(), case.came()
    begins.time_start = 1.0
    case.look_when_due()
    assert case.told == [waits]
    assert case.times == [7]
    assert not case.asked


def test_a_look_that_never_came_is_asked_for_again() -> None:
    case = Case()
    first = case.came()
    case.came(begun=True)
    assert len(case.asked) == 1  # one for both
    case.asked.clear()
    case.now_s += 2 * HELD_S
    second = case.came()
    assert len(case.asked) == 1
    case.look_when_due()
    assert case.told == [first, second]


def test_a_flood_is_told_before_its_time_and_all_is_told_at_the_end() -> None:
    case = Case()
    requests = [case.came() for _ in range(1005)]
    assert case.told == requests[:5]
    case.arrivals.tell_all()
    assert case.told == requests
