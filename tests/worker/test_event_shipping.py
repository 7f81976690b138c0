"""A run's events reach Redis exactly, each at its number and its place, and its room; whatever happens on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.keys import Keys
from livetask.parcel import unpacked
from livetask.position import START
from livetask.worker.event_log import EventFacts, EventLog
from livetask.worker.household import Household
from livetask.worker.spool import RunFacts, RunSpool, new_nonce
from livetask.worker.terms import Terms
from tests.real.redis_servers import RealRedis
from tests.worker.test_shipping import Case

ROOM = "kitchen"


def stored_events(case: Case, key: str) -> list[tuple[str, dict[str, Any]]]:
    found: Any = case.stored.client.xrange(key)
    return [(entry_id.decode(), {k.decode(): v.decode() for k, v in fields.items()}) for entry_id, fields in found]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=300),
            st.sampled_from(["event", "event", "turn", "turn", "turn", "lost", "flush", "cut", "again", "renew"]),
        ),
        max_size=40,
    ),
    chunk_bytes=st.integers(64, 200),
    shared=st.booleans(),
)
def test_whatever_happens_on_the_way_each_event_is_stored_once_where_it_stands(
    tmp_path: Path, own_valkey: RealRedis, steps: list[bytes | str], chunk_bytes: int, shared: bool
) -> None:
    case = Case(tmp_path, own_valkey.url, chunk_bytes)
    case.stored.client.flushall()
    keys = case.terms.keys
    log = EventLog(case.paths, EventFacts("t", ROOM, not shared, False), most=1000, most_bytes=1 << 20)
    events_key = keys.events(case.task_id, case.paths.nonce)
    output, places, flushed = b"", [], False
    try:
        for step in steps:
            if isinstance(step, bytes):
                output += step
                case.write(step)
            elif step == "event":
                places.append(len(output))
                log.emit("on_x", {"n": len(places)}, len(output))
            elif step == "flush":
                case.stored.client.flushall()
                flushed = True
            elif step == "cut":
                _cut_tail(case, events_key)
            elif step == "again":
                case.shipping.following.close()
                case.again()
            else:
                case.now_s += 100 if step == "renew" else 0
                case.turn(loses=lambda step=step: step == "lost")  # type: ignore[misc]
        case.finish()
        found = stored_events(case, events_key)
        assert [entry_id for entry_id, _ in found] == [f"{number}-0" for number in range(1, len(places) + 1)]
        assert [unpacked(fields["data"]) for _, fields in found] == [{"n": n} for n in range(1, len(places) + 1)]
        assert [fields["at"] for _, fields in found] == [str(START.after(output[:place])) for place in places]
        assert case.stored.output(case.task_id) == output
        in_room = [int(fields["seq"]) for _, fields in stored_events(case, keys.room(ROOM))]
        if not flushed:
            assert in_room == (list(range(1, len(places) + 1)) if shared else [])
        assert in_room == sorted(set(in_room))
    finally:
        log.close()
        case.close()


def _cut_tail(case: Case, key: str) -> None:
    """Redis comes back without its last event, as after a failover."""
    found = stored_events(case, key)
    if found:
        kept = found[:-1]
        case.stored.client.delete(key)
        for entry_id, fields in kept:
            case.stored.client.xadd(key, fields, id=entry_id)  # type: ignore[arg-type]


def test_events_that_redis_has_lost_at_their_end_are_sent_again_before_the_run_ends(
    tmp_path: Path, own_valkey: RealRedis
) -> None:
    case = Case(tmp_path, own_valkey.url)
    log = EventLog(case.paths, EventFacts("t", "", False, False), most=1000, most_bytes=1 << 20)
    try:
        for number in range(3):
            case.write(b"line\n")
            log.emit("on_x", {"n": number}, 5 * number + 5)
        case.ship()
        key = case.terms.keys.events(case.task_id, case.paths.nonce)
        assert len(stored_events(case, key)) == 3
        _cut_tail(case, key)
        case.finish()
        assert [unpacked(fields["data"])["n"] for _, fields in stored_events(case, key)] == [0, 1, 2]
    finally:
        log.close()
        case.close()


@pytest.mark.parametrize("began", ["begun_ms", "begun_ns"])
def test_runs_that_redis_does_not_know_are_begun_in_the_order_in_which_they_began(tmp_path: Path, began: str) -> None:
    """Also when the wall clock was set back between them."""
    terms = Terms(Keys("ship"), 1000, 1 << 20, 60_000, 10_000, 100, 50, 1000)
    spools = []
    for at in (30, 10, 20):
        begun_ms, begun_ns = (at, 0) if began == "begun_ms" else (100 - at, at)
        facts = RunFacts(
            *("task-1", "tests.case", new_nonce(), "first", "queue", "root", "", "()", "{}"),
            *(1, "host", "worker", begun_ms, False),
            begun_ns=begun_ns,
        )
        spools.append(RunSpool(tmp_path, facts))
    house = Household(tmp_path, terms, None, main_is_alive=True)
    house.find_runs(0.0)
    for _ in range(5):
        assert [getattr(run.facts, began) for run in house.in_turn()] == [10, 20, 30]
    for run in house.runs.values():
        run.calls(0.0, 0)
        run.answered([[1, b"1-0", b"", b""]])
    forgotten = next(iter(house.runs.values()))
    assert not forgotten.verified([b"GAP", b"1-0"])
    for _ in range(5):
        assert list(house.in_turn())[-1] is forgotten
    for run in house.runs.values():
        run.following.close()
    for spool in spools:
        spool.close()
