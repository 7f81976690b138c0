"""Reads what livetask stored: through the server's HTTP interface, and past it, from Redis itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from typing import Any

from livetask.keys import Keys
from livetask.position import Position
from tests.system.rig import wait_for


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. ``headers``: by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def asked(url: str, data: Any = None, method: str | None = None) -> Answer:
    """GET, or POST of JSON; an error status is an answer too."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=90) as response:
            return Answer(response.status, _lowered(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lowered(error.headers), error.read())


def ended_task(url: str, task_id: str, within_s: float = 90) -> dict[str, Any]:
    """The task as the server tells it, once all its runs have ended and are delivered."""

    def seen() -> dict[str, Any] | None:
        answer = asked(f"{url}/api/tasks/{task_id}")
        if answer.status != 200:
            return None
        task: dict[str, Any] = answer.json
        over = task["runs"] and not task["open"] and task["state"] not in ("QUEUED", "RUNNING", "RETRY")
        return task if over else None

    return wait_for(f"task {task_id} has ended", seen, within_s)


def output_by_offset(url: str, task_id: str, run: int | str = "last") -> bytes:
    """All of a run's output, read from offset to offset until the server says that it is closed."""
    data, offset = b"", "-1"
    while True:
        answer = asked(f"{url}/api/tasks/{task_id}/runs/{run}/log?offset={offset}&live=long-poll")
        if answer.status == 204 and answer.headers.get("stream-closed") != "true":
            offset = answer.headers["stream-next-offset"]
            continue
        assert answer.status in (200, 204), (answer.status, answer.body[:500])
        data += answer.body
        offset = answer.headers["stream-next-offset"]
        if answer.headers.get("stream-closed") == "true":
            return data


def output_as_text(url: str, task_id: str, run: int | str = "last") -> bytes:
    """A run's output as the plain text download has it."""
    answer = asked(f"{url}/api/tasks/{task_id}/runs/{run}/log.txt")
    assert answer.status == 200, (answer.status, answer.body[:500])
    return answer.body


def output_in_redis(client: Any, task_id: str, run: int = 1, prefix: str = "livetask") -> bytes:
    """A run's output straight from its stream; fails where an entry does not begin where the one before it ends."""
    keys = Keys(prefix)
    fields = {key.decode(): value for key, value in client.hgetall(keys.task(task_id)).items()}
    entries = client.xrange(keys.output(task_id, fields[f"{run}.nonce"].decode()))
    position, data = Position.parse(fields[f"{run}.first"]), b""
    for entry_id, entry in entries:
        assert Position.parse(entry_id) == position, f"entry {entry_id!r} is not at {position}"
        assert b"g" not in entry, f"a gap at {position}: {entry}"
        data += entry[b"d"]
        position = position.after(entry[b"d"])
    assert position == Position.parse(fields[f"{run}.end"])
    if fields.get(f"{run}.crc") and fields[f"{run}.first"] == b"1-0":
        assert fields[f"{run}.crc"].decode() == f"{zlib.crc32(data):08x}"
    return data


def _lowered(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}
