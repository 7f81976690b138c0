"""A worker's commands reach a real Redis over a connection that redis-py opens and hiredis reads."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TooLate

from livetask.worker.straight import Line


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, protocol=2, socket_timeout=20) as client:
        client.delete("late", "straight")
        yield client


@pytest.fixture
def line(client: redis.Redis) -> Iterator[Line]:
    line = Line(client)
    yield line
    line.close()


def test_what_is_used_of_redis_py_is_where_it_was(client: redis.Redis) -> None:
    """If this fails after an update: see which names of redis-py's connection ``straight`` uses, and mend them."""
    connection: Any = client.connection_pool.make_connection()
    connection.connect()
    assert isinstance(connection._sock, socket.socket)
    assert isinstance(connection._parser.parse_error("NOSCRIPT no such script"), NoScriptError)
    assert not connection.can_read()
    connection.disconnect()


def test_each_command_has_its_answer_whatever_their_number_and_size(line: Line) -> None:
    texts = [b"%d " % number * (1 + number * number * 40) for number in range(60)]
    wanted = [answer for text in texts for answer in (text, True)]
    assert line.exchange([command for text in texts for command in (("ECHO", text), ("PING",))]) == wanted
    assert line.exchange([]) == []


def test_an_error_stands_where_the_answer_would_and_costs_no_connection(line: Line) -> None:
    (before,) = line.exchange([("CLIENT", "ID")])
    one, two, three = line.exchange([("EVALSHA", "0" * 40, 0), ("NO-SUCH",), ("CLIENT", "ID")])
    assert isinstance(one, NoScriptError)
    assert isinstance(two, ResponseError)
    assert three == before


def test_a_connection_that_was_closed_while_nothing_was_asked_is_opened_again_and_nobody_is_told(
    line: Line, client: redis.Redis
) -> None:
    (first,) = line.exchange([("CLIENT", "ID")])
    client.execute_command("CLIENT", "KILL", "ID", first)  # type: ignore[no-untyped-call]
    (second,) = line.exchange([("CLIENT", "ID")])
    assert second != first


def test_a_connection_that_is_cut_while_an_answer_is_waited_for_is_told_and_the_next_one_is_new(line: Line) -> None:
    (first,) = line.exchange([("CLIENT", "ID")])
    with pytest.raises(Unreachable):
        line.exchange([("CLIENT", "KILL", "SKIPME", "no", "ID", first), ("PING",)])
    assert line.exchange([("PING",)]) == [True]


def test_an_answer_that_does_not_come_in_time_reaches_nobody_later(redis_url: str, client: redis.Redis) -> None:
    line = Line(redis.Redis.from_url(redis_url, protocol=2, socket_timeout=0.2))
    with pytest.raises(TooLate):
        line.exchange([("BLPOP", "late", 0)])
    client.rpush("late", "something")
    while True:
        try:
            assert line.exchange([("ECHO", "asked now")]) == [b"asked now"]
            break
        except TooLate:  # a machine that is that slow
            continue
    line.close()


def test_a_stream_is_read_as_redis_py_reads_it(line: Line, client: redis.Redis) -> None:
    entry = client.xadd("straight", {"a": "b"})
    assert line.exchange([("XREAD", "STREAMS", "straight", "0")]) == [[[b"straight", [(entry, {b"a": b"b"})]]]]
