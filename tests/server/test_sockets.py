"""Viewers over real sockets: what they are told joins to exactly what was printed, minus announced gaps."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

from livetask.position import START, Cursor
from tests.server.conftest import Write
from tests.server.living import Serving, Viewer, until


async def test_a_viewer_gets_backlog_and_live_output_as_one_text_and_then_the_end(
    serving: Serving, writer: Write
) -> None:
    run = writer()
    run.begin()
    run.write(b"backlog\n")
    async with Viewer(serving) as viewer:
        answer = await viewer.subscribe(run.task_id)
        assert answer["ok"]
        assert answer["run"] == 1
        assert answer["cursor"] == f"1.{run.nonce}.1-0"
        assert answer["task"]["state"] == "RUNNING"
        await until("the backlog is there", lambda: bytes(viewer.tasks[run.task_id].text[1]) == b"backlog\n")
        for number in range(50):
            run.write(b"live %d\n" % number)
            await asyncio.sleep(0.002)
        run.finish()
        seen = await viewer.ended(run.task_id)
    assert bytes(seen.text[1]) == bytes(run.text)
    end = seen.ends[0]
    assert (end["how"], end["bytes"], end["lines"], end["last"]) == ("SUCCESS", len(run.text), 51, True)
    assert end["crc"] == f"{zlib.crc32(run.text):08x}"
    assert end["cursor"] == f"1.{run.nonce}.{run.end}"
    assert seen.names[0] == "output"
    assert seen.names[-1] == "end"
    assert seen.names.count("end") == 1
    assert "caught_up" in seen.names


async def test_every_cursor_and_word_begins_where_it_says(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    for part in (b"one\ntw", b"o\nthree\nfo", b"ur"):
        run.write(part)
    text = bytes(run.text)
    run.finish()
    for byte in range(len(text) + 1):
        async with Viewer(serving) as viewer:
            cursor = Cursor(1, run.nonce, START.after(text[:byte]))
            assert (await viewer.subscribe(run.task_id, whence=str(cursor)))["ok"]
            seen = await viewer.ended(run.task_id)
            assert bytes(seen.text[1]) == text[byte:]
    for word, rest in (("tail:1", b"four"), ("tail:2", b"three\nfour"), ("tail:99", text), ("now", b"")):
        async with Viewer(serving) as viewer:
            assert (await viewer.subscribe(run.task_id, whence=word))["ok"]
            assert bytes((await viewer.ended(run.task_id)).text[1]) == rest


async def test_a_character_is_never_cut_and_binary_viewers_get_bytes_as_they_are(
    serving: Serving, writer: Write
) -> None:
    run = writer()
    run.begin()
    text = "grün 🐍 日本語\n".encode() * 5 + b"\xff\xfe not text\x00\n"
    async with Viewer(serving) as viewer, Viewer(serving) as other:
        await viewer.subscribe(run.task_id)
        await other.subscribe(run.task_id, binary=True)
        for byte in text:
            run.write(bytes([byte]))
            await asyncio.sleep(0.001)
        run.finish()
        seen, raw = await viewer.ended(run.task_id), await other.ended(run.task_id)
    assert bytes(seen.text[1]).decode() == text.decode("utf-8", "replace")
    assert bytes(raw.text[1]) == text


async def test_an_incomplete_character_at_the_end_of_a_run_is_shown_replaced(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    run.write("ab🐍".encode()[:4])
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id)
        seen = viewer.tasks[run.task_id]
        await until("the viewer has caught up", lambda: "caught_up" in seen.names)
        assert bytes(seen.text[1]) == b"ab"
        run.finish()
        assert bytes((await viewer.ended(run.task_id)).text[1]).decode() == "ab\ufffd"


async def test_trims_and_drops_are_exact_gaps(serving: Serving, writer: Write) -> None:
    run = writer(cap_bytes=3000)
    run.begin()
    for number in range(100):
        run.write(b"%099d\n" % number)
    dropped = run.gap(lines=5, size_bytes=777)
    run.write(b"after\n")
    run.finish()
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id)
        seen = await viewer.ended(run.task_id)
    trimmed, told = seen.gaps
    assert (trimmed["from"], trimmed["reason"]) == ("1-0", "trimmed")
    assert (told["from"], told["bytes"], told["lines"], told["reason"]) == (str(dropped.start), 777, 5, "dropped")
    assert bytes(seen.text[1]) == bytes(run.text[trimmed["bytes"] :])


async def test_a_viewer_follows_a_task_over_its_runs_and_one_run_when_asked(serving: Serving, writer: Write) -> None:
    first, second = writer(), writer()
    first.begin()
    first.write(b"try 1\n")
    async with Viewer(serving) as viewer, Viewer(serving) as one:
        await viewer.subscribe(first.task_id)
        first.finish("RETRY", "RETRY", {"exception": "ValueError: x"})
        await viewer.ended(first.task_id)
        assert not viewer.tasks[first.task_id].ends[0]["last"]
        assert viewer.tasks[first.task_id].ends[0]["detail"] == {"exception": "ValueError: x"}
        second.begin("retry")
        second.write(b"try 2\n")
        assert (await one.subscribe(first.task_id, run=2))["run"] == 2
        second.finish()
        seen = await viewer.ended(first.task_id, 2)
        only = await one.ended(first.task_id)
    assert {run: bytes(text) for run, text in seen.text.items()} == {1: b"try 1\n", 2: b"try 2\n"}
    assert seen.ends[1]["last"]
    assert [data["run"]["run"] for name, data in seen.events if name == "run"][-1] == 2
    assert dict(only.text) == {2: b"try 2\n"}


async def test_a_task_that_waits_or_is_not_known_yet_can_be_followed(serving: Serving, writer: Write) -> None:
    run = writer()
    async with Viewer(serving) as viewer:
        answer = await viewer.subscribe(run.task_id)
        assert answer["ok"] is False
        assert answer["code"] == "task_unknown"
        answer = await viewer.subscribe(run.task_id, wait=True)
        assert answer == {"ok": True, "task": None, "run": None, "cursor": None, "window": 256 * 1024}
        run.note("queued", {"name": "x"})
        run.begin()
        run.write(b"hello\n")
        run.finish()
        assert bytes((await viewer.ended(run.task_id)).text[1]) == b"hello\n"


async def test_a_screen_is_pushed_its_newest_lines_and_told_what_it_skips(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    for number in range(4000):
        run.write(b"%063d\n" % number)
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id, mode="screen", lines=50)
        for number in range(4000, 5000):
            run.write(b"%063d\n" % number)
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        run.finish()
        seen = await viewer.ended(run.task_id)
    outputs = [data for name, data in seen.events if name == "output"]
    assert all(data["text"].count("\n") <= 50 for data in outputs)
    assert seen.skipped + len(seen.text[1]) == len(run.text)
    assert outputs[-1]["text"].endswith(f"{4999:063d}\n")
    assert all(data["from"] == f"{int(data['text'][:63]) + 1}-{int(data['text'][:63]) * 64}" for data in outputs)


async def test_a_screen_whose_lines_never_end_is_sent_all_of_it(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    for number in range(30):
        run.write(b"\r%05d " % number + b"#" * 9000)
    run.finish()
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id, mode="screen")
        assert bytes((await viewer.ended(run.task_id)).text[1]) == bytes(run.text)


async def test_ends_mode_tells_positions_and_no_output(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id, mode="ends")
        run.write(b"one\n")
        seen = viewer.tasks[run.task_id]
        await until("the end is told", lambda: seen.events and seen.events[-1][1]["cursor"].endswith(".2-4"))
        run.write(b"two\n")
        run.finish()
        await viewer.ended(run.task_id)
    assert set(seen.names) <= {"grown", "run", "end"}
    assert seen.ends[0]["cursor"].endswith(".3-8")


async def test_without_acks_and_over_polling_the_text_is_the_same(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    async with (
        Viewer(serving, acks=False) as viewer,
        Viewer(serving, acks=False, transports=("polling",)) as poller,
        Viewer(serving, transports=("polling", "websocket")) as changer,
    ):
        for one in (viewer, poller, changer):
            await one.subscribe(run.task_id)
        for number in range(400):
            run.write(b"%d " % number * 500 + b"\n")
            await asyncio.sleep(0)
        run.finish()
        for one in (viewer, poller, changer):
            seen = await one.ended(run.task_id)
            assert bytes(seen.text[1]) == bytes(run.text)


async def test_every_malformed_message_is_answered_with_a_code_and_harms_nothing(
    serving: Serving, writer: Write
) -> None:
    run = writer()
    run.begin()
    wrong: list[tuple[str, Any, str]] = [
        ("subscribe", None, "argument_invalid"),
        ("subscribe", [1], "argument_invalid"),
        ("subscribe", "task-1", "argument_invalid"),
        ("subscribe", {}, "task_id_invalid"),
        ("subscribe", {"task_id": 7}, "task_id_invalid"),
        ("subscribe", {"task_id": "../etc"}, "task_id_invalid"),
        ("subscribe", {"task_id": "x" * 500}, "task_id_invalid"),
        ("subscribe", {"task_id": "task-1", "mode": "most"}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "mode": ["all"]}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "from": 5}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "from": {}}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "from": "tail:0"}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "from": "tail:99999"}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "from": "1.abc"}, "cursor_invalid"),
        ("subscribe", {"task_id": "task-1", "from": "1.aaaaaaaaaaaa.1-0"}, "position_unknown"),
        ("subscribe", {"task_id": "task-1", "run": "1"}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "run": True}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "run": 9}, "run_unknown"),
        ("subscribe", {"task_id": "task-1", "rate": 121}, "argument_invalid"),
        ("subscribe", {"task_id": "task-1", "binary": "yes"}, "argument_invalid"),
        ("subscribe", {"task_id": "nobody"}, "task_unknown"),
        ("unsubscribe", 5, "argument_invalid"),
        ("ack", {"task_id": "task-1", "cursor": "x"}, "cursor_invalid"),
        ("ack", None, "argument_invalid"),
        ("no_such_event", {}, "bad_request"),
        ("subscribe", {"task_id": "task-1", "junk": "x" * 100_000}, "too_large"),
    ]
    async with Viewer(serving) as viewer:
        await viewer.subscribe(run.task_id)
        for event, data, code in wrong:
            answer = await viewer.ask(event, data)
            assert (answer["ok"], answer["code"]) == (False, code), (event, data, answer)
            assert answer["error"]
        for raw in ("9", "", "hello", "42[", "42{}", '42["ack"', "451-[", "4", "49", "42[]", "42[[]]"):
            await viewer.io.eio.ws.send_str(raw)
        assert (await viewer.subscribe(run.task_id, whence="now"))["ok"]
        run.write(b"still here\n")
        seen = viewer.tasks[run.task_id]
        await until("output still comes", lambda: b"still here\n" in bytes(seen.text[1]))


async def test_limits_for_messages_subscriptions_and_viewers_are_answered(valkey: Any, prefix: str) -> None:
    given = {"inbound_per_s": 20, "max_subscriptions": 2, "max_viewers": 1}
    async with Serving(valkey.url, prefix, **given) as serving, Viewer(serving) as viewer:
        for task_id in ("a", "b", "b"):
            assert (await viewer.subscribe(task_id, wait=True))["ok"]
        answer = await viewer.subscribe("c", wait=True)
        assert answer["code"] == "too_many"
        answers = await asyncio.gather(*(viewer.ask("unwatch", {}) for _ in range(200)))
        assert any(answer.get("code") == "too_many" for answer in answers)
        other = Viewer(serving)
        refused = False
        try:
            await other.io.connect(serving.url, transports=["websocket"], retry=False)
        except Exception:
            refused = True
        assert refused


async def test_watchers_see_each_change_of_any_task_and_begin_with_the_newest(serving: Serving, writer: Write) -> None:
    old = writer("old")
    old.begin()
    async with Viewer(serving) as viewer:
        answer = await viewer.ask("watch", {})
        assert [task["id"] for task in answer["tasks"]] == ["old"]
        assert answer["counts"] == {"RUNNING": 1}
        new = writer("new")
        new.note("queued", {"name": "x"})
        new.begin()
        new.note("progress", {"progress": '{"current": 3, "total": 4, "info": NaN}'})
        new.finish("FAILURE")

        def states() -> list[str]:
            return [data["task"]["state"] for name, data in viewer.others if name == "task"]

        await until("the end is told", lambda: states() and states()[-1] == "FAILURE")
        await viewer.ask("unwatch", {})
        last = [data for name, data in viewer.others if name == "task"][-1]
        assert last["task"]["progress"] == {"current": 3, "total": 4, "info": None}


async def test_subscribers_are_told_of_progress_and_heartbeats_tell_the_ends(
    valkey: Any, prefix: str, writer: Write
) -> None:
    async with Serving(valkey.url, prefix, heartbeat_ms=100) as serving, Viewer(serving) as viewer:
        run = writer()
        run.begin()
        await viewer.subscribe(run.task_id)
        run.write(b"text\n")
        run.note("progress", {"progress": '{"current": 1, "total": 2}'})

        def told(event: str) -> list[Any]:
            return [data for name, data in viewer.others if name == event]

        await until("progress is told", lambda: any(one["task"]["progress"] for one in told("task")))
        end = f"1.{run.nonce}.2-5"
        await until("a beat has the end", lambda: any(beat["ends"] == {run.task_id: end} for beat in told("heartbeat")))
        assert told("heartbeat")[-1]["store"] == "ok"


async def test_the_words_of_the_socketio_server_are_no_events_for_a_client(serving: Serving, writer: Write) -> None:
    run = writer()
    run.begin()
    async with Viewer(serving) as viewer:
        assert (await viewer.subscribe(run.task_id))["ok"]
        for word in ("connect", "disconnect", "*", "nothing"):
            answer = await viewer.io.call(word, {"environ": {}}, timeout=30)
            assert (answer["ok"], answer["code"]) == (False, "bad_request"), word
            assert word in answer["error"]
        run.write(b"still here\n")
        run.finish()
        seen = await viewer.ended(run.task_id)
    assert bytes(seen.text[1]) == b"still here\n"
