"""That a task is queued is told of those that wait: not of those that begin at once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from livetask.worker.arrivals import HELD_S, MOST_HELD_S, Arrivals


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


def test_while_tasks_begin_quickly_those_behind_them_are_not_told_of() -> None:
    case = Case()
    waiting = [case.came() for _ in range(50)]
    for _ in range(20):
        for request in waiting[:40]:
            request.time_start = 1.0
        waiting = [*waiting[40:], *(case.came() for _ in range(40))]
        case.look_when_due()
    assert not case.told


def test_when_no_more_tasks_begin_those_that_wait_are_told_of_at_the_next_look() -> None:
    case = Case()
    begin, waiting = [case.came() for _ in range(40)], [case.came() for _ in range(10)]
    for request in begin:
        request.time_start = 1.0
    case.look_when_due()
    assert not case.told
    case.look_when_due()
    assert case.told == waiting


def test_however_many_begin_nobody_waits_for_long_without_being_told_of() -> None:
    case = Case()
    waits, looks = case.came(), 0
    while not case.told:
        for _ in range(100):
            case.came(begun=True)
        case.look_when_due()
        looks += 1
    assert case.told == [waits]
    assert looks * HELD_S <= MOST_HELD_S + HELD_S


def test_a_flood_is_told_before_its_time_and_all_is_told_at_the_end() -> None:
    case = Case()
    requests = [case.came() for _ in range(1005)]
    assert case.told == requests[:5]
    case.arrivals.tell_all()
    assert case.told == requests
