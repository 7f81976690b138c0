"""Output goes into JSON as Python's own encoder would put it there."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from livetask.position import Cursor, Position
from livetask.server.events import Output
from livetask.server.frames import Told
from livetask.server.json_text import json_text
from livetask.server.wire import event_json

SOME = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from([b'"', b"\\", b"\n", b"\r", b"\t", b"\0", b"\x1b[31m", b"\x7f", b"abc", b"\xe2\x82"])).map(
        b"".join
    ),
)


PARTS = st.lists(SOME, max_size=4)


@given(PARTS)
def test_bytes_become_the_text_that_json_would_make_of_them_however_they_are_cut(parts: list[bytes]) -> None:
    text = b"".join(parts).decode("utf-8", "replace")
    assert b"".join(json_text(parts)).decode("utf-8") == json.dumps(text, ensure_ascii=False)


@given(PARTS)
def test_a_packet_of_output_is_what_the_whole_event_would_be_in_json(parts: list[bytes]) -> None:
    at, data = Position(3, 10), b"".join(parts)
    output = Output(at, Cursor(1, "abcdefghijkl", at.after(data)), tuple(parts), 5, b"1;31", ((3, 99),))
    packet = Told("a-task", output).packet(False)
    name, whole = event_json("a-task", output)
    said = packet.text
    assert said == "2" + json.dumps([name, whole], ensure_ascii=False, separators=(",", ":"))
    assert packet.frames.endswith(b"4" + said.encode())
    assert not packet.attachments


@given(PARTS)
def test_binary_output_is_one_attachment_and_nothing_of_it_is_in_the_text(parts: list[bytes]) -> None:
    at, data = Position(3, 10), b"".join(parts)
    packet = Told("a-task", Output(at, Cursor(1, "abcdefghijkl", at.after(data)), tuple(parts))).packet(True)
    assert packet.attachments == [data]
    assert packet.text.startswith("51-[")
    assert json.loads(packet.text[3:])[1]["data"] == {"_placeholder": True, "num": 0}
    assert b"".join(packet.parts) == packet.frames
    assert packet.frames.endswith(data)
