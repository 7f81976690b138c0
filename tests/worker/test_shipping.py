"""A run reaches Redis exactly, whatever Redis has forgotten, already has, or was told twice."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livetask.keys import Keys
from livetask.position import START, Position
from livetask.worker.ending import End
from livetask.worker.shipping import Shipping
from livetask.worker.spool import RunFacts, RunPaths, RunSpool, new_nonce
from livetask.worker.terms import Terms
from livetask.worker.writing import Call, Writing
from tests.real.redis_servers import RealRedis
from tests.worker.conftest import Stored

MIB = 1024 * 1024


class Case:
    """One run that is written and shipped by hand."""

    def __init__(
        self, directory: Path, url: str, chunk_bytes: int = 16 * 1024, task_id: str = "", retries: int = 0
    ) -> None:
        self.task_id = task_id or f"task-{new_nonce()}"
        facts = RunFacts(
            *(self.task_id, "tests.case", new_nonce(), "first", "queue", "root", "", "()", "{}"),
            *(os.getpid(), "host", "worker", 1, False),
            retries=retries,
        )
        self.spool = RunSpool(directory, facts)
        self.paths = RunPaths(directory, facts.nonce)
        self.terms = Terms(Keys("ship"), chunk_bytes, 8 * MIB, 60_000, 10_000, 100, 50, 1000)
        self.writing = Writing(url)
        self.stored = Stored(redis.Redis.from_url(url), self.terms.keys)
        self.shipping = Shipping(self.paths, facts, self.terms)
        self.now_s = 0.0

    def write(self, data: bytes) -> None:
        os.write(self.spool.out_fd, data)

    def turn(self, loses: Callable[[], bool] = lambda: False) -> None:
        """One round trip; ``loses``: whether its answer is lost."""
        self.shipping.following.look()
        calls = self.shipping.calls(self.now_s, 1000)
        if not calls:
            return
        replies = self.writing.replies(calls)
        if loses():
            self.shipping.unanswered()
        else:
            self.shipping.answered(replies)

    def ship(self) -> None:
        for _ in range(1000):
            self.turn()
            if not self.shipping.has_more:
                return
        raise AssertionError("it does not come to an end")

    def finish(self, how: str = "SUCCESS") -> None:
        self.shipping.final = self.shipping.following.look()
        self.shipping.end = End(how)
        self.ship()
        assert self.shipping.is_finished

    def again(self) -> Shipping:
        """The same run as another shipper finds it."""
        self.shipping = Shipping(self.paths, self.spool.facts, self.terms)
        return self.shipping

    def close(self) -> None:
        self.shipping.following.close()
        self.spool.close()
        self.writing.close()
        self.stored.client.close()


@pytest.fixture
def case(tmp_path: Path, own_valkey: RealRedis) -> Iterator[Case]:
    found = Case(tmp_path, own_valkey.url)
    yield found
    found.close()


def test_what_is_written_is_stored_and_ended(case: Case) -> None:
    case.write(b"one\ntwo\n")
    case.ship()
    case.write(b"three")
    case.finish()
    task = case.stored.task(case.task_id)
    assert case.stored.output(case.task_id) == b"one\ntwo\nthree"
    assert (task["1.end"], task["1.how"], task["state"]) == ("3-13", "SUCCESS", "SUCCESS")
    assert task["1.crc"] == f"{zlib.crc32(b'one' + chr(10).encode() + b'two' + chr(10).encode() + b'three'):08x}"


def _ends_silently(case: Case) -> None:
    case.shipping.final = case.shipping.following.look()
    case.shipping.end = End("SUCCESS", {"reason": "why"})


def test_a_run_that_printed_nothing_begins_and_ends_in_one_round(case: Case) -> None:
    case.shipping.queued_at = "7"
    _ends_silently(case)
    case.turn(loses=lambda: True)
    assert not case.shipping.is_finished
    case.turn()
    assert case.shipping.is_finished
    task = case.stored.task(case.task_id)
    assert (task["runs"], task["1.end"], task["1.how"], task["open"]) == ("1", "1-0", "SUCCESS", "0")
    assert (task["state"], task["queued_at"], task["1.crc"]) == ("SUCCESS", "7", "00000000")


def test_a_silent_run_that_takes_the_place_of_one_that_is_kept_no_longer_deletes_its_stream(
    case: Case, tmp_path: Path
) -> None:
    case.terms = replace(case.terms, runs_kept=1)
    case.again()
    case.write(b"old")
    case.finish()
    old = case.terms.keys.output(case.task_id, case.paths.nonce)
    assert case.stored.client.exists(old)
    spool = RunSpool(tmp_path, case.spool.facts._replace(nonce=new_nonce()))
    case.shipping.following.close()
    case.shipping = Shipping(spool.paths, spool.facts, case.terms)
    _ends_silently(case)
    case.ship()
    spool.close()
    assert case.shipping.is_finished
    assert case.stored.task(case.task_id)["2.how"] == "SUCCESS"
    assert not case.stored.client.exists(old)


def test_answers_that_are_lost_store_nothing_twice(case: Case) -> None:
    chance = random.Random(1)
    output = b""
    for number in range(200):
        line = b"line %d\n" % number * chance.randint(1, 40)
        output += line
        case.write(line)
        case.turn(loses=lambda: chance.random() < 0.5)
    case.finish()
    assert case.stored.output(case.task_id) == output


def test_a_flush_is_healed_from_the_spool(case: Case) -> None:
    case.write(b"before\n" * 10_000)
    case.ship()
    case.stored.client.flushall()
    case.write(b"after\n")
    case.finish()
    assert case.stored.output(case.task_id) == b"before\n" * 10_000 + b"after\n"
    assert case.stored.task(case.task_id)["1.first_why"] == ""


def test_a_flush_is_noticed_by_a_silent_run(case: Case) -> None:
    case.write(b"silent\n")
    case.ship()
    case.stored.client.flushall()
    case.now_s = 100.0
    case.turn()
    case.ship()
    assert case.stored.output(case.task_id) == b"silent\n"


def test_a_flush_after_the_end_is_healed(case: Case) -> None:
    case.write(b"all of it\n")
    case.finish()
    case.shipping.following.close()
    case.stored.client.flushall()
    [reply] = case.writing.replies([case.shipping.verification()])
    assert not case.shipping.verified(reply)
    case.ship()
    assert case.stored.output(case.task_id) == b"all of it\n"
    assert case.stored.task(case.task_id)["1.how"] == "SUCCESS"


def test_a_run_of_which_neither_redis_nor_the_disk_has_anything_left_stays_ended(case: Case) -> None:
    case.write(b"all of it\n")
    case.finish()
    case.shipping.following.close()
    case.stored.client.flushall()
    case.paths.remove()
    [reply] = case.writing.replies([case.shipping.verification()])
    assert case.shipping.verified(reply)
    assert case.shipping.is_finished


@pytest.mark.parametrize("by", ["the same shipper", "the next one"])
def test_a_retry_that_begins_in_an_emptied_store_leaves_room_for_the_runs_before_it(
    case: Case, tmp_path: Path, own_valkey: RealRedis, by: str
) -> None:
    case.write(b"tried\n")
    case.finish("RETRY")
    case.shipping.following.close()
    case.stored.client.flushall()
    retry = Case(tmp_path, own_valkey.url, task_id=case.task_id, retries=1)
    retry.write(b"done\n")
    retry.ship()
    if by == "the same shipper":
        [reply] = case.writing.replies([case.shipping.verification()])
        assert not case.shipping.verified(reply)
        case.ship()
    else:
        case.again()
        case.finish("RETRY")
    retry.finish()
    assert [case.stored.output(case.task_id, run) for run in (1, 2)] == [b"tried\n", b"done\n"]
    assert case.stored.task(case.task_id)["state"] == "SUCCESS"
    retry.close()


@pytest.mark.parametrize("what", ["task", "output"])
@pytest.mark.parametrize("then", ["more is written", "it is silent", "it has ended"])
def test_one_key_of_a_run_that_is_evicted_is_sent_again(case: Case, what: str, then: str) -> None:
    case.write(b"before\n" * 10_000)
    case.ship()
    if then == "it has ended":
        case.finish()
    keys, nonce = case.terms.keys, case.shipping.facts.nonce
    case.stored.client.delete(keys.task(case.task_id) if what == "task" else keys.output(case.task_id, nonce))
    if then == "more is written":
        case.write(b"after\n")
    if then == "it has ended":
        [reply] = case.writing.replies([case.shipping.verification()])
        assert not case.shipping.verified(reply)
    case.now_s = 100.0
    case.turn()
    case.ship()
    case.finish()
    wanted = b"before\n" * 10_000 + (b"after\n" if then == "more is written" else b"")
    assert case.stored.output(case.task_id) == wanted
    task = case.stored.task(case.task_id)
    assert (task["runs"], task["open"], task["1.first"], task["1.how"]) == ("1", "0", "1-0", "SUCCESS")


def test_an_end_that_redis_has_lost_is_told_again(case: Case) -> None:
    case.write(b"all of it\n")
    case.finish()
    case.shipping.following.close()
    case.stored.client.hdel(case.terms.keys.task(case.task_id), "1.how", "1.crc", "1.ended_at")
    case.stored.client.hset(case.terms.keys.task(case.task_id), mapping={"open": "1", "1.how": "LOST"})
    [reply] = case.writing.replies([case.shipping.verification()])
    assert not case.shipping.verified(reply)
    case.ship()
    assert case.stored.task(case.task_id)["1.how"] == "SUCCESS"


def test_a_run_ended_when_its_worker_says_and_never_in_the_future(case: Case) -> None:
    case.write(b"x\n")
    case.shipping.ended_ms = 1_700_000_000_123
    case.finish()
    task = case.stored.task(case.task_id)
    assert (task["1.ended_at"], task["ended_at"]) == ("1700000000123", "1700000000123")
    case.stored.client.flushall()
    [reply] = case.writing.replies([case.shipping.verification()])
    assert not case.shipping.verified(reply)
    case.shipping.ended_ms = 9_999_999_999_999
    case.ship()
    assert int(case.stored.task(case.task_id)["1.ended_at"]) < 9_000_000_000_000


def test_a_call_that_redis_finds_wrong_is_the_affair_of_its_own_run_alone(case: Case) -> None:
    key = case.terms.keys.task(case.task_id)
    case.stored.client.set(key, "somebody else's")
    case.write(b"a line\n")
    good = Call("", (), ("PING",))
    wrong, *_, answer = case.writing.replies([*case.shipping.calls(0.0, 1000), good])
    assert isinstance(wrong, redis.exceptions.ResponseError)
    assert answer, "the others are answered"
    case.shipping.refused(wrong)
    assert not case.shipping.has_more
    assert case.shipping.calls(0.5, 1000) == []
    case.stored.client.delete(key)
    case.now_s = 2.0
    case.turn()
    case.finish()
    assert case.stored.output(case.task_id) == b"a line\n"


def test_output_that_redis_has_lost_at_its_end_is_sent_again(case: Case) -> None:
    case.write(b"a line\n" * 20_000)
    case.ship()
    _cut_tail(case, 4)
    case.write(b"more\n")
    case.finish()
    assert case.stored.output(case.task_id) == b"a line\n" * 20_000 + b"more\n"


def test_output_that_is_lost_just_before_the_end_is_sent_again(case: Case) -> None:
    case.write(b"a line\n" * 20_000)
    case.ship()
    _cut_tail(case, 3)
    case.finish()
    assert case.stored.output(case.task_id) == b"a line\n" * 20_000


def _cut_tail(case: Case, count: int) -> None:
    """As a Redis that comes back without its last writes."""
    entries = case.stored.entries(case.task_id)[-count:]
    key = case.terms.keys.output(case.task_id, case.spool.facts.nonce)
    case.stored.client.delete("copy")
    kept: Any = case.stored.client.xrange(key, max=f"({entries[0][0]}")
    case.stored.client.delete(key)
    for at, fields in kept:
        case.stored.client.xadd(key, fields, id=at)
    case.stored.client.hset(case.terms.keys.task(case.task_id), "1.end", str(entries[0][0]))


def test_another_shipper_goes_on_where_the_first_was(case: Case) -> None:
    case.write(b"\x1b[31mred\n" * 5000)
    case.ship()
    case.shipping.following.close()
    case.again()
    case.write(b"more\n")
    case.finish()
    assert case.stored.output(case.task_id) == b"\x1b[31mred\n" * 5000 + b"more\n"
    assert case.stored.entries(case.task_id)[-1][1][b"s"] == b"31"
    assert case.stored.task(case.task_id)["runs"] == "1"


def test_bytes_given_up_before_they_were_sent_are_an_exact_gap(case: Case) -> None:
    case.ship()
    output = b"".join(b"line %d\n" % number for number in range(100_000))
    case.write(output)
    following = case.shipping.following
    following.look()
    unsent = following.free(following.freeable(MIB // 2))
    assert unsent > 0
    case.finish()
    (start, gap), (after, _), *_ = case.stored.entries(case.task_id)
    assert (start, gap[b"g"], gap[b"e"].decode()) == (START, b"dropped", str(after))
    assert after == START.after(output[: after.byte])
    assert unsent == after.byte
    kept = b"".join(fields[b"d"] for _, fields in case.stored.entries(case.task_id)[1:])
    assert kept == output[after.byte :]
    assert case.stored.task(case.task_id)["1.crc"] == f"{zlib.crc32(output):08x}"


def test_freed_bytes_are_given_back_to_the_disk(case: Case) -> None:
    case.write(b"x" * (4 * MIB))
    case.ship()
    before = Path(case.paths.of("out")).stat().st_blocks
    case.shipping.following.free(case.shipping.following.freeable(MIB))
    assert Path(case.paths.of("out")).stat().st_blocks < before / 2
    assert case.shipping.following.held_bytes <= MIB + 4096


def test_a_run_that_is_forgotten_begins_where_its_spool_begins(case: Case) -> None:
    output = b"".join(b"line %d\n" % number for number in range(100_000))
    case.write(output)
    case.ship()
    case.shipping.following.free(case.shipping.following.freeable(MIB // 4))
    case.stored.client.flushall()
    case.write(b"more\n")
    case.finish()
    task = case.stored.task(case.task_id)
    first = Position.parse(task["1.first"])
    assert (task["1.first_why"], first) == ("lost", START.after(output[: first.byte]))
    kept = b"".join(fields[b"d"] for _, fields in case.stored.entries(case.task_id))
    assert kept == (output + b"more\n")[first.byte :]


def test_another_shipper_knows_what_the_first_has_freed(case: Case) -> None:
    output = b"".join(b"line %d\n" % number for number in range(50_000))
    case.write(output)
    case.ship()
    case.shipping.following.free(case.shipping.following.freeable(64 * 1024))
    case.shipping.following.close()
    case.again()
    case.write(b"more\n")
    case.finish()
    assert case.stored.output(case.task_id) == output + b"more\n"
    assert case.stored.task(case.task_id)["1.crc"] == f"{zlib.crc32(output + b'more' + chr(10).encode()):08x}"


def test_a_run_that_was_given_up_as_lost_is_taken_back(case: Case) -> None:
    case.write(b"one\n")
    case.ship()
    lost = case.shipping._finish(End("LOST"), "")
    case.writing.replies([lost])
    assert case.stored.task(case.task_id)["1.how"] == "LOST"
    case.write(b"two\n")
    case.ship()
    assert "1.how" not in case.stored.task(case.task_id)
    case.finish()
    assert case.stored.output(case.task_id) == b"one\ntwo\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=300),
            st.sampled_from(["turn", "lost", "flush", "cut", "again", "renew"]),
        ),
        max_size=30,
    ),
    chunk_bytes=st.integers(64, 200),
)
def test_whatever_happens_on_the_way_the_output_is_exact(
    tmp_path: Path, own_valkey: RealRedis, steps: list[bytes | str], chunk_bytes: int
) -> None:
    case = Case(tmp_path, own_valkey.url, chunk_bytes)
    output = b""
    try:
        for step in steps:
            if isinstance(step, bytes):
                output += step
                case.write(step)
            elif step == "flush":
                case.stored.client.flushall()
            elif step == "cut" and case.shipping.ordinal and case.stored.task(case.task_id):
                if case.stored.entries(case.task_id):
                    _cut_tail(case, 2)
            elif step == "again":
                case.shipping.following.close()
                case.again()
            else:
                case.now_s += 100 if step == "renew" else 0
                case.turn(loses=lambda step=step: step == "lost")  # type: ignore[misc]
        case.finish()
        assert case.stored.output(case.task_id) == output
        assert case.stored.task(case.task_id)["1.crc"] == f"{zlib.crc32(output):08x}"
    finally:
        case.close()


def test_scripts_are_loaded_where_they_are_missing(own_valkey: RealRedis) -> None:
    writing = Writing(own_valkey.url)
    keys = Keys("x")
    call = Call("note", (keys.task("t"), keys.recent(1), keys.bell(1)), ("t", "queued", 1000, 10, "{}"))
    assert writing.replies([call]) == [[b"OK"]]
    client = redis.Redis.from_url(own_valkey.url)
    client.script_flush()
    client.close()
    assert writing.replies([call, call]) == [[b"KEPT"], [b"KEPT"]]
    writing.close()
