"""What a task's page carries of its log, so that the log is shown before anything is asked for."""

from __future__ import annotations

import html.parser
import json
from typing import Any

from livetask.position import Cursor, Position
from livetask.server.opening import LINES, MOST_BYTES
from tests.server.serving import Client, Writer, client_of_the_store, redis_of_the_module
from tests.system.rig import Redis

store = redis_of_the_module
client = client_of_the_store


class Elements(html.parser.HTMLParser):
    """The elements of a page, as a browser finds them, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def carried(client: Client, path: str) -> dict[str, Any] | None:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        page = Elements()
        page.feed(await answer.text())
    assert all("src" in attributes for tag, attributes in page.found if tag == "script")
    logs = [attributes for tag, attributes in page.found if tag == "livetask-log"]
    assert [sorted(set(one) - {"opening", "run"}) for one in logs] == [["hash-links", "id", "keys", "task-id"]]
    opening = logs[0].get("opening")
    return None if opening is None else dict(json.loads(opening))


def text_of(opening: dict[str, Any]) -> str:
    """The text that is told; it must be one piece that begins where the subscription does."""
    at = Cursor.parse(opening["answer"]["cursor"])
    text = ""
    for name, told in opening["told"]:
        assert name == "output"
        assert Position.parse(told["from"]) == at.position
        at, text = Cursor.parse(told["cursor"]), text + told["text"]
        assert at.position.byte - Position.parse(told["from"]).byte == len(told["text"].encode())
    return text


async def test_the_page_of_a_task_carries_its_last_lines_up_to_the_end(store: Redis, client: Client) -> None:
    run = Writer(store.url, "carried").begin()
    for number in range(1, 3001):
        run.write(f"line {number}\n".encode())
    run.write(b"begun")
    found = await carried(client, "/tasks/carried")
    assert found is not None
    assert text_of(found).splitlines() == [*(f"line {number}" for number in range(3002 - LINES, 3001)), "begun"]
    assert found["answer"]["task"]["id"] == "carried"
    assert Cursor.parse(found["told"][-1][1]["cursor"]).position == run.at


async def test_the_page_of_a_run_carries_that_run(store: Redis, client: Client) -> None:
    Writer(store.url, "twice", "nonceofrun1x").begin().write(b"the first\n").finish("RETRY", "RETRY")
    Writer(store.url, "twice", "nonceofrun2x").begin(why="retry").write(b"the second\n")
    assert text_of(await carried(client, "/tasks/twice") or {}) == "the second\n"
    assert text_of(await carried(client, "/tasks/twice?run=1") or {}) == "the first\n"
    for run in ("3", "0", "9" * 30):
        assert await carried(client, f"/tasks/twice?run={run}") is None
    for run in ("x", "²", ""):
        assert text_of(await carried(client, f"/tasks/twice?run={run}") or {}) == "the second\n"


async def test_what_a_page_carries_is_no_markup(store: Redis, client: Client) -> None:
    attack = "'></livetask-log></script><script>window.broken = 1</script><!--<script> ]]> \u2028 ' \" & &lt;\n"
    Writer(store.url, "attack").begin(attack).write(attack.encode() + b"\x00\n")
    assert text_of(await carried(client, "/tasks/attack") or {}).startswith(attack)


async def test_a_page_stays_small_whatever_a_task_prints(store: Redis, client: Client) -> None:
    run = Writer(store.url, "wide").begin()
    for letter in b"abcdefgh":
        run.write(bytes([letter]) * 9_999 + b"\n")
    found = await carried(client, "/tasks/wide")
    assert found is not None
    assert text_of(found) == "".join(letter * 9_999 + "\n" for letter in "fgh")
    assert len(text_of(found)) <= MOST_BYTES
    for _ in range(8):
        run.write(b"x" * 16_000)
    assert await carried(client, "/tasks/wide") is None


async def test_a_page_carries_nothing_where_there_is_nothing_to_show(store: Redis, client: Client) -> None:
    Writer(store.url, "silent").begin()
    assert await carried(client, "/tasks/silent") is None
    assert await carried(client, "/tasks/nowhere") is None
