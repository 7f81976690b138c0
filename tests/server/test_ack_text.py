"""Acknowledgements that are read past the Socket.IO server mean what they mean to it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from livetask.errors import LivetaskError
from livetask.position import Cursor, Position
from livetask.server.ack_text import ack_of
from livetask.server.messages import ack_read

CURSORS = st.builds(
    Cursor,
    st.integers(1, 10**9 - 1),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=8, max_size=32),
    st.builds(Position, st.integers(1, 10**16 - 1), st.integers(0, 10**16 - 1)),
)


def _message(task_id: object, cursor: object) -> str:
    """As JSON.stringify writes it."""
    return "42" + json.dumps(["ack", {"task_id": task_id, "cursor": cursor}], ensure_ascii=False, separators=(",", ":"))


@given(st.text("AZaz09_.:@=+~-", min_size=1, max_size=200), CURSORS)
def test_an_ack_as_clients_write_it_is_read_whole(task_id: str, cursor: Cursor) -> None:
    assert ack_of(_message(task_id, str(cursor))) == (task_id, cursor)


@given(st.one_of(st.text(max_size=30), st.just("task")), st.one_of(st.text(max_size=40), CURSORS.map(str)), st.data())
def test_what_is_read_is_what_the_checked_way_reads_and_all_else_is_left_to_it(
    task_id: str, cursor: str, data: st.DataObject
) -> None:
    message = _message(task_id, cursor)
    cut = data.draw(st.integers(0, len(message)))
    message = message[:cut] + data.draw(st.text('0"}]{,', max_size=2)) + message[cut:]
    found = ack_of(message)
    if found is None:
        return
    try:
        name, fields = json.loads(message[2:])
        assert (name, ack_read(fields)) == ("ack", found)
    except (ValueError, LivetaskError) as error:
        raise AssertionError(f"{message!r} was read as an ack") from error


def test_an_ack_that_wants_an_answer_is_left_to_the_socketio_server() -> None:
    assert ack_of('427["ack",{"task_id":"t","cursor":"1.abcdefgh.1-0"}]') is None
    assert ack_of('42/other,["ack",{"task_id":"t","cursor":"1.abcdefgh.1-0"}]') is None
