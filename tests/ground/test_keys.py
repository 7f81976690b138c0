"""Keys of a task share a slot, buckets spread evenly, and nothing odd gets into a name."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from livetask.errors import TaskIdInvalid
from livetask.keys import BUCKETS, Keys, alive_member, alive_parsed, bucket_of, task_id_checked

task_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@=+~-]{0,199}", fullmatch=True)


@given(task_ids)
def test_all_keys_of_a_task_lie_in_one_slot(task_id: str) -> None:
    keys, bucket = Keys("any"), bucket_of(task_id)
    names = [keys.task(task_id), keys.output(task_id, "k3v9x0q2m4t8"), keys.bell(bucket), keys.watched(bucket)]
    names += [keys.alive(bucket), keys.recent(bucket)]
    assert len({key_slot(name.encode()) for name in names}) == 1


@pytest.mark.parametrize("masters", [1, 2, 3, 4, 8])
def test_buckets_spread_over_any_number_of_masters(masters: int) -> None:
    slots = [key_slot(Keys().bell(bucket).encode()) for bucket in range(BUCKETS)]
    shares = Counter(slot * masters // 16384 for slot in slots)
    assert max(shares.values()) - min(shares[master] for master in range(masters)) <= 1


@given(task_ids)
def test_every_ordinary_task_id_is_accepted(task_id: str) -> None:
    assert task_id_checked(task_id) == task_id


@pytest.mark.parametrize("task_id", ["", " ", "a b", "a/b", "a{b}", "-a", "../x", "a\n", "a" * 201, "é", None, 5, b"a"])
def test_a_strange_task_id_is_refused_with_a_reason(task_id: object) -> None:
    with pytest.raises(TaskIdInvalid, match="is not a task id"):
        task_id_checked(task_id)


@given(task_ids, st.integers(1, 10**6))
def test_a_member_of_the_alive_set_reads_back(task_id: str, run: int) -> None:
    assert alive_parsed(alive_member(task_id, run, "k3v9x0q2m4t8")) == (task_id, run, "k3v9x0q2m4t8")
