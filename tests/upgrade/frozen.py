"""Tasks as a version stored them, kept in a file: what must be read of them, the commands that store them, and the
files of their archive.

``python -m tests.upgrade`` writes the file of the format that is current; it is committed once, and never changed. When
the format changes, the file of the one before goes on being read, for as long as it is promised to be.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from livetask.keys import FORMAT, Keys
from tests.real.writer import RunWriter
from tests.server.archiving import Archiving, lines_written

HERE = Path(__file__).parent
MIXED = "grüße 漢字 🐍\ttab\rback\x1b[31mred\x1b[0m NUL \0\n".encode()


@dataclass
class Frozen:
    """``texts``: by task and run, what it printed. ``holes``: by task, (from, to, reason) of what is missing."""

    texts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    holes: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    commands: list[list[bytes]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def thaw(self, client: redis.Redis, archive: Path) -> None:
        """Put it where a server looks."""
        for command in self.commands:
            client.execute_command(*command)  # type: ignore[no-untyped-call]
        for name, data in self.files.items():
            (archive / name).parent.mkdir(parents=True, exist_ok=True)
            (archive / name).write_bytes(data)

    def write(self, path: Path) -> None:
        head = {
            "texts": {task: {run: _armoured(text) for run, text in runs.items()} for task, runs in self.texts.items()},
            "holes": self.holes,
            "files": {name: _armoured(data) for name, data in self.files.items()},
        }
        rows = [json.dumps(head), *(json.dumps([word.decode("latin-1") for word in one]) for one in self.commands)]
        path.write_text("\n".join(rows) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Frozen:
        head, *rows = (json.loads(row) for row in path.read_text("utf-8").splitlines())
        return cls(
            {task: {run: base64.b64decode(text) for run, text in runs.items()} for task, runs in head["texts"].items()},
            {task: [(start, end, why) for start, end, why in holes] for task, holes in head["holes"].items()},
            [[word.encode("latin-1") for word in row] for row in rows],
            {name: base64.b64decode(data) for name, data in head["files"].items()},
        )


def current() -> Path:
    """The file of the format that this version writes."""
    return HERE / f"format_{FORMAT}.jsonl"


async def freeze(url: str, place: Path) -> Frozen:
    """Let this version store some tasks in an empty Redis, and keep what is then there. ``place``: for the archive."""
    found = Frozen()
    with redis.Redis.from_url(url) as client:
        first = _begun(client, "whole")
        first.write(MIXED)
        lines_written(first, 120)
        first.finish("RETRY", detail={"exception": "ValueError: once more", "retry_in_s": 0})
        second = _begun(client, "whole", why="retry")
        lines_written(second, 100)
        second.write(b"without an end of line")
        second.finish()
        found.texts["whole"] = {"1": bytes(first.text), "2": bytes(second.text)}

        broken = _begun(client, "broken", cap_bytes=2048)
        lines_written(broken, 120)
        gap = broken.gap(3, 100)
        broken.text += b"?" * 100
        lines_written(broken, 20)
        broken.finish("FAILURE", detail={"exception": "OSError: no space left"})
        kept = client.hget(broken.task, "1.first").decode()  # type: ignore[union-attr]
        found.texts["broken"] = {"1": bytes(broken.text)}
        found.holes["broken"] = [("1-0", kept, "trimmed"), (str(gap.start), str(gap.end), "dropped")]

        async with Archiving(url, "livetask", place) as archiving:
            gone = _begun(client, "archived")
            lines_written(gone, 200)
            gone.finish()
            found.texts["archived"] = {"1": bytes(gone.text)}
            await archiving.move("archived")
        client.delete(gone.task, gone.output)
        client.zrem(gone.recent, "archived")

        going = _begun(client, "going")
        lines_written(going, 20)
        found.texts["going"] = {"1": bytes(going.text)}
        found.commands = list(_commands(client))
    found.files = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    return found


def _begun(client: redis.Redis, task_id: str, why: str = "first", **given: Any) -> RunWriter:
    run = RunWriter(client, task_id, nonce=f"{task_id}000{'b' if why == 'retry' else 'a'}".ljust(12, "0"), **given)
    run.begin(why)
    return run


def _commands(client: redis.Redis) -> Iterator[list[bytes]]:
    """What stores all that Redis holds of tasks."""
    for key in sorted(client.scan_iter(f"{Keys().prefix}:*")):
        kind = client.type(key)
        if kind == b"hash":
            yield [b"HSET", key, *(word for pair in sorted(client.hgetall(key).items()) for word in pair)]  # type: ignore[union-attr]
        elif kind == b"zset":
            for member, score in client.zrange(key, 0, -1, withscores=True):  # type: ignore[union-attr]
                yield [b"ZADD", key, b"%d" % score, member]
        elif kind == b"stream":
            for entry_id, fields in client.xrange(key):  # type: ignore[union-attr]
                yield [b"XADD", key, entry_id, *(word for pair in fields.items() for word in pair)]


def _armoured(data: bytes) -> str:
    return base64.b64encode(data).decode()
